"""A value is its text: every loss can be read back, and every other text is refused with one kind of error."""

import copy
import io
import pickle
import random
import sys
import time
import tokenize
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from whichloss import AdaptiveLog, CrossEntropy, Dice, FocalPower, Hinge, SmoothHinge, Tversky, parse, registry
from whichloss.core import ExpressionError, FieldError, Foreign, Loss, Sum, UserError, Value, foreign
