"""Run with a folder of kernels: every form of batch through them, with labels that are no class among them."""

import sys
from pathlib import Path

from whichloss.kernels import library

library.HOME = Path(sys.argv[1])
library.LEVELS = {}  # whatever this CPU can do, the kernel that was made for all
library.library.cache_clear()

import torch  # noqa: E402
from problems import KINDS, LAYOUTS, Problem, asking, in_layout, problems, value_and_gradient  # noqa: E402

from whichloss import parse  # noqa: E402
from whichloss.core import UserError  # noqa: E402
from whichloss.kernels import fuse  # noqa: E402

assert library.library() is not None
fuse.COMPILED, fuse.LEAST = True, 0
alone = parse("CrossEntropy() + Focal()")  # whose many classes may be read row by row
loss, done = parse("CrossEntropy() + Dice() + Focal() + SquaredDice()"), 0
for shape in ((1, 2, 1), (2, 3, 7, 9), (1, 14, 17, 31), (2, 5, 4, 6, 11), (1, 4, 600), (1, 37, 270)):
    for kind in KINDS:
        for layout in LAYOUTS:
            for name, one in problems(shape, kind).items():
                logits = in_layout(one.logits, layout)
                for part in (loss, alone):
                    value_and_gradient(asking(part, name), Problem(logits, one.target, one.weight, one.ignore_index))
                    done += 1
for wrong in (-1, 5, 127, 2**31 - 1, 2**40, -(2**62)):
    target = torch.full((1, 9, 33), wrong)
    try:
        loss(torch.randn(1, 5, 9, 33), target)
    except UserError:
        done += 1
print(done)
