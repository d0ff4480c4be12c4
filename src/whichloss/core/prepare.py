"""Prepare, once, what all the leaves of a loss need: the place where fused kernels plug in.

A loss names its needs as lifts. The plain lifts are the truth; `kernels` may put a faster function into `fused`, which
takes the batch and all needs together and gives what it can (None for what it declines).
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from .lift import Lift
from .question import Batch

Fused = Callable[[Batch, Sequence[Lift]], Sequence[Any]]
_fused: Fused | None = None
_plain = False


class Prepared:
    """A batch, and what each lift makes of it."""

    def __init__(self, batch: Batch, needs: Sequence[Lift]) -> None:
        self.batch = batch
        self._needs = tuple(needs)
        made = [None] * len(self._needs) if _fused is None or _plain else list(_fused(batch, self._needs))
        if batch.known:
            made = [batch.known.get(lift, one) for lift, one in zip(self._needs, made, strict=True)]
        for at, lift in enumerate(self._needs):
            if made[at] is None:
                made[at] = lift(batch)
        self._made = made

    def __getitem__(self, lift: Lift) -> Any:
        return next(made for need, made in zip(self._needs, self._made, strict=True) if need == lift)


def fill(fused: Fused | None) -> None:
    """Say how lifts are prepared faster. The hook for `kernels`."""
    global _fused
    _fused = fused


@contextmanager
def plain() -> Iterator[None]:
    """Within this context every loss is computed by its plain formula: the reference.

    Twice differentiable, but for losses of distances.
    """
    global _plain
    before, _plain = _plain, True
    try:
        yield
    finally:
        _plain = before
