"""Prepare, once, what all the leaves of a loss need: the place where fused kernels plug in.

A loss names its needs as lifts. The plain lifts are the truth; `kernels` may put a faster function into `fused`, which
takes the batch and all needs together and gives what it can (None for what it declines).
"""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from .lift import Lift
from .question import Batch

Fused = Callable[[Batch, Sequence[Lift]], Sequence[Any]]
_fused: Fused | None = None
_name = "plain"
_plain = False
_ready = False


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


def fill(fused: Fused | None, name: str = "plain") -> None:
    """Say how lifts are prepared faster, and what that is called. The hook for `kernels`."""
    global _fused, _name
    _fused, _name = fused, name


def in_effect() -> str:
    """How lifts are prepared: the kernels' name for it, or "plain"."""
    ready()
    return _name


def ready() -> None:
    """Have the package above us load the kernels, once: when the first loss is made, since no compiler may see it."""
    global _ready
    if not _ready:
        _ready = True
        load = getattr(sys.modules[__name__.partition(".")[0]], "_load", None)
        if load is not None:
            load()


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
