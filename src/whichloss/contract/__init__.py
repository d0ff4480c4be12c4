"""What every loss promises: run over all of them by the tests, and on anyone's loss.

promise.py       what a promise is, and `check`
card.py          what the card says is true
values.py        values and gradients
batches.py       images in any order, classes under any name, everything or nothing there
surroundings.py  memory, autocast, the state of torch
weights.py       weights, masks, ignored elements
forms.py         index, one-hot, proportions; voxels in another order; a slice and its volume
space.py         images turned and moved, for losses that see where elements lie
problems.py      the small batches on which all this is tried

What anybody's loss is expected to do, be it ours or a callable that promised nothing:

conduct.py       what an expectation is, and `conduct`
readings.py      how a loss wants to be asked, told from what it does
order.py         right before wrong
shares.py        who counts how much: images, classes, weights, what is ignored
computing.py     derivatives, precision, memory, the compiler
portrait.py      what it looks like and what it costs
"""

from . import batches as batches
from . import card as card
from . import computing as computing
from . import forms as forms
from . import order as order
from . import shares as shares
from . import space as space
from . import surroundings as surroundings
from . import values as values
from . import weights as weights
from .conduct import EXPECTATIONS as EXPECTATIONS
from .conduct import Subject as Subject
from .conduct import conduct as conduct
from .conduct import subject as subject
from .measure import Shape as Shape
from .measure import extent as extent
from .measure import shape as shape
from .problems import Problem as Problem
from .problems import problems as problems
from .promise import PROMISES as PROMISES
from .promise import Broken as Broken
from .promise import Finding as Finding
from .promise import Trial as Trial
from .promise import check as check
from .promise import examine as examine
from .promise import promise as promise
from .readings import Reading as Reading
from .readings import accepted as accepted
from .readings import needs_of as needs_of
from .readings import refusal as refusal
from .readings import takes_proportions as takes_proportions
from .readings import target_first as target_first
