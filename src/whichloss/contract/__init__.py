"""What every loss promises: run over all of them by the tests, and on anyone's loss."""

from .problems import Problem as Problem
from .problems import problems as problems
from .promises import PROMISES as PROMISES
from .promises import Broken as Broken
from .promises import check as check
