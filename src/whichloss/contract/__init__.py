"""What every loss promises: run over all of them by the tests, and on anyone's loss.

promise.py       what a promise is, and `check`
card.py          what the card says is true
values.py        values and gradients
batches.py       images in any order, classes under any name, everything or nothing there
surroundings.py  memory, autocast, the state of torch
weights.py       weights, masks, ignored elements
forms.py         index, one-hot, proportions; voxels in another order; a slice and its volume
problems.py      the small batches on which all this is tried
"""

from . import batches as batches
from . import card as card
from . import forms as forms
from . import surroundings as surroundings
from . import values as values
from . import weights as weights
from .measure import Shape as Shape
from .measure import extent as extent
from .measure import shape as shape
from .problems import Problem as Problem
from .problems import problems as problems
from .promise import PROMISES as PROMISES
from .promise import Broken as Broken
from .promise import check as check
from .promise import promise as promise
