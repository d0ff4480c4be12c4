"""How the losses of a study were trained, for people who want to train with one of them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from typing import Any

import torch

from whichloss.core import Loss, Task, Value
from whichloss.core.foreign import Named
from whichloss.report import Recipe

from .facts import Ended, names
from .runs import TUNING, Run
from .study import Tune
from .tune import Search, applicable, applied, setting


def recipes(finished: Ended, searches: Sequence[Search], tune: Tune | None, task: Task) -> Iterator[Recipe]:
    """One for each finished run, with the settings that its search has chosen, published defaults included."""
    scored = {_place(one.base): one.chosen.inner for one in searches if one.chosen is not None}
    tuned = {place[0] for place in scored}  # each loss; or the baseline alone, whose settings all use
    for run, _ in finished:
        text, used = names(run)[0], applied(run)
        optimizer, arguments = _of_torch(used.training.optimizer)
        yield Recipe(
            loss=text,
            text=repr(used.loss),
            optimizer=optimizer,
            arguments=arguments,
            kind=task.kind,
            classes=len(task.classes),
            outputs=used.loss.outputs(task),
            answers=used.loss.answers,
            cosines=used.loss.cosines,
            by_class=_by_class(used.loss, task),
            foreign=_foreign(used.loss),
            settings={name: _plain(setting(used, name)) for name in (applicable(tune, used) if tune else ())},
            fold=run.fold,
            seed=run.seed,
            inner=_inner(run, text if text in tuned else next(iter(tuned), ""), scored),
        )


def _plain(value: Any) -> Any:
    """A number or word as it is, and a value as its text."""
    return repr(value) if isinstance(value, Value) else value


Place = tuple[str, tuple[str, ...], int, int]


def _place(run: Run) -> Place:
    """Loss, cell, fold and seed of a search."""
    return names(run)[0], names(run)[1:], run.fold, 0 if run.fold == TUNING else run.seed


def _inner(run: Run, loss: str, scored: Mapping[Place, float | None]) -> float | None:
    """The score of the settings that a run was given: from a search of its own, or from one for all."""
    _, cell, fold, seed = _place(run)
    return scored.get((loss, cell, fold, seed), scored.get((loss, cell, TUNING, 0)))


def _of_torch(optimizer: Value) -> tuple[str, dict[str, Any]]:
    """The class of torch's that an optimizer stands for, and its arguments; nothing for one of somebody's own."""
    name = type(optimizer).__name__
    if isinstance(optimizer, Named) or not hasattr(torch.optim, name):
        return "", {}
    return name, {one.name: getattr(optimizer, one.name) for one in fields(optimizer)}


def _by_class(loss: Loss, task: Task) -> bool:
    """Whether its outputs are scores of the classes as they are."""
    logits = torch.arange(1.0, 1.0 + loss.outputs(task)).unsqueeze(0)
    return loss.answers and torch.equal(loss.class_scores(logits), logits)


def _foreign(value: Value) -> bool:
    """Whether somebody's own code is in it, which is imported by its path."""
    own = type(value).__module__.startswith("whichloss.")
    return isinstance(value, Named) or not own or any(map(_foreign, value.parts()))
