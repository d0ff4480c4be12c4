"""Twins: the same image under two names, which must not stand on both sides of a fold."""

from hashlib import blake2b

from torch import Tensor

from whichloss.core import UserError
from whichloss.data import Cases, Fold

MOST = 0.02  # share of a test part


def mark_of(image: Tensor) -> bytes | None:
    """The same for images that are the same to the last bit; None for a blank one."""
    low, high = image.aminmax()
    return None if low == high else blake2b(image.contiguous().numpy().data, digest_size=16).digest()


class Twins:
    """Which images are the same to the last bit. Blank ones are no evidence: many an edge of a scan is blank."""

    def __init__(self, cases: Cases) -> None:
        self.cases = cases
        self.marks = [mark_of(image) for image in cases.images]

    @property
    def repeated(self) -> int:
        """How many images have stood there before."""
        marks = [mark for mark in self.marks if mark is not None]
        return len(marks) - len(set(marks))

    def check(self, fold: Fold, where: str) -> None:
        """Raises UserError that names two cases, one to train on and the same one to test on, where there are many.

        A few in a hundred can move a score by as much and no more; public collections have some.
        """
        trains = {self.marks[at]: at for at in reversed(fold.train) if self.marks[at] is not None}
        both = [at for at in fold.test if self.marks[at] in trains]
        if len(both) > MOST * len(fold.test):
            one, ids = both[0], self.cases.ids
            raise UserError(
                f"leak: {len(both)} of {len(fold.test)} images tested in {where} are trained on, too: case"
                f" {ids[trains[self.marks[one]]]!r} is case {ids[one]!r}. Leave one out, or give both the same group"
            )
