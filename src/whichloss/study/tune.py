"""Tuning: every loss gets the same number of trials, judged on the inner split of each training part.

Nothing is kept but the runs. A search is played again from their records whenever it is asked what comes next: the
sampler has a seed, so the same answers lead to the same questions, before and after any interruption.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from itertools import product
from typing import Any

from pydantic import ValidationError

from whichloss.core import Loss, Sum, UserError, Value

from .agenda import Attempted, Job
from .ranges import Setting
from .runs import TUNING, Run
from .score import inner_score
from .shelf import Shelf
from .store import Store
from .study import Study, Training, Tune

Inner = Callable[[Run], float | None]  # the primary metric on the inner split; None where a run has no outputs


@dataclass(frozen=True)
class Trial:
    """One try of a search; `inner` is None where it failed or has not ended."""

    number: int
    run: Run
    ended: bool
    inner: float | None = None


@dataclass(frozen=True)
class Search:
    """The trials of one loss on one training part, as far as their records tell."""

    base: Run  # with every setting at its published default
    trials: tuple[Trial, ...]
    chosen: Trial | None  # None until the budget is spent

    @property
    def next(self) -> Run | None:
        return next((trial.run for trial in self.trials if not trial.ended), None)


def play(base: Run, tune: Tune, ended: Callable[[Run], bool], inner: Inner, higher_is_better: bool) -> Search:
    """The search as its records have it: all trials that ended, and the one that comes next.

    Trial 0 is the published default. The rest comes from Optuna's tree-structured Parzen estimator, which begins with
    random draws. Each trial has a seed, the same for all losses, and shared settings are drawn first, so that losses
    are tried at the same points until their results tell the sampler apart, also where some have settings of their own.
    A failed trial counts: the budget is trials, not hits. A grid is gone through in the order in which it is written.
    """
    over = applicable(tune, base)
    trials: list[Trial] = []
    sampler: _Sampler | _Grid = _Grid(over, base) if tune.trials == "grid" else _Sampler(over, base, higher_is_better)
    for number in range(planned(tune, base)):
        run = base if number == 0 else replace(base, tuned=sampler.ask(number))
        if not ended(run):
            return Search(base, (*trials, Trial(number, run, ended=False)), None)
        value = inner(run)
        sampler.tell(value)
        trials.append(Trial(number, run, ended=True, inner=value))
    return Search(base, tuple(trials), _best(trials, higher_is_better))


def planned(tune: Tune, base: Run) -> int:
    """How many trials a search has, the published default included."""
    return tune.trials if isinstance(tune.trials, int) else 1 + len(_Grid(applicable(tune, base), base).points)


class Tuning:
    """All searches of a study. Where nothing is tuned, a run is its own answer."""

    def __init__(self, study: Study, store: Store, shelf: Shelf) -> None:
        self.tune, self.baseline, self.draws = study.tune, study.baseline, study.design.draws is not None
        self.metric, self.store, self.shelf = study.primary, store, shelf
        self._complete: dict[str, Search] = {}
        self._before: dict[str, bool] = {}

    def at(self, base: Run) -> Run:
        """Where the settings of a run are searched: on its own training part, or once for all."""
        assert self.tune is not None
        if self.tune.losses == "baseline":
            base = replace(base, loss=self.baseline)
        return replace(base, fold=TUNING, seed=-1 if self.draws else 0) if self.tune.where == "once" else base

    def search(self, base: Run, attempted: Attempted) -> Search:
        """The search whose choice a run uses, as far as it has come."""
        assert self.tune is not None
        base = self.at(base)
        if base.key not in self._complete:

            def ended(run: Run) -> bool:
                return attempted(run) or self._ended_before(run)

            found = play(base, self.tune, ended, self.inner, self.metric.card.higher_is_better)
            if found.chosen is None:
                return found
            self._complete[base.key] = found
        return self._complete[base.key]

    def final(self, base: Run, attempted: Attempted) -> Run | None:
        """The run that counts: with the settings that its search has chosen; None while it is searching."""
        if self.tune is None:
            return base
        chosen = self.search(base, attempted).chosen
        return None if chosen is None else replace(base, tuned=chosen.run.tuned)

    def job(self, base: Run) -> Job:
        """What must be computed for a run: the trials of its search one after another, and then itself."""

        def following(attempted: Attempted) -> Run | None:
            run = self.final(base, attempted)
            if run is None:
                return self.search(base, attempted).next
            done = attempted(run) or (self._is_trial(base) and self._ended_before(run))
            return None if done else run

        return following

    def searches(self, runs: Iterable[Run]) -> Iterator[Search]:
        """The searches of these runs as far as their records tell, each once."""
        seen: set[str] = set()
        for base in runs if self.tune is not None else ():
            found = self.search(base, self.known)
            if found.base.key not in seen:
                seen.add(found.base.key)
                yield found

    def left(self, runs: Sequence[Run]) -> list[Run]:
        """What is still to be trained; where settings are not known yet, with the published ones in their place."""
        left: dict[str, Run] = {}
        if self.tune is not None:
            for search in self.searches(runs):
                for number in range(sum(trial.ended for trial in search.trials), planned(self.tune, search.base)):
                    left[f"{search.base.key}/{number}"] = search.base
        for base in runs:
            run = self.final(base, self.known)
            if run is None and not self._is_trial(base):
                left[base.key] = base
            elif run is not None and not (self.store.finished(run.key) or self._is_trial(base)):
                left[run.key] = run
        return list(left.values())

    def known(self, run: Run) -> bool:
        return self.store.known(run.key)

    def inner(self, run: Run) -> float | None:
        """The primary metric on the inner split, where a run has finished."""
        record = self.store.record(run.key)
        if record is None or record["outcome"] != "finished":
            return None
        task = self.shelf.task(run.data, run.design)
        return inner_score(self.metric, record, lambda: self.store.outputs(run.key), task)

    def _is_trial(self, base: Run) -> bool:
        """Whether the run that counts is one of the trials of its search, and needs no training of its own."""
        return self.tune is not None and self.at(base).key == base.key

    def _ended_before(self, run: Run) -> bool:
        """Whether a run had ended when it was first asked for: a trial that failed then is not tried again now.

        Another outcome would lead the sampler elsewhere, and the trials after it would have been for nothing.
        """
        if run.key not in self._before:
            self._before[run.key] = self.known(run)
        return self._before[run.key]


def _best(trials: Sequence[Trial], higher_is_better: bool) -> Trial:
    """The first of the best; the default where all failed."""
    scored = [trial for trial in trials if trial.inner is not None]
    sign = -1 if higher_is_better else 1
    return min(scored, key=lambda trial: sign * (trial.inner or 0.0)) if scored else trials[0]


class _Sampler:
    """Optuna, asked and told in order."""

    def __init__(self, over: Mapping[str, Any], base: Run, higher_is_better: bool) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.distributions = {name: one.distribution() for name, one in over.items()}
        self.defaults = {name: setting(base, name) for name in over}
        self.known = all(one.holds(self.defaults[name]) for name, one in over.items())
        self.seed = base.stream("tuning")
        self.study = optuna.create_study(direction="maximize" if higher_is_better else "minimize")
        self.trial: Any = None

    def ask(self, number: int) -> tuple[tuple[str, Setting], ...]:
        import optuna

        self.study.sampler = optuna.samplers.TPESampler(seed=self.seed + number)
        self.trial = self.study.ask(self.distributions)
        return tuple(sorted(self.trial.params.items()))

    def tell(self, value: float | None) -> None:
        import optuna

        failed = optuna.trial.TrialState.FAIL
        if self.trial is not None:
            self.study.tell(self.trial, value, state=failed if value is None else None)
        elif self.known and value is not None:  # the default, where it is one of the points that may be drawn
            default = optuna.trial.create_trial(params=self.defaults, distributions=self.distributions, value=value)
            self.study.add_trial(default)


class _Grid:
    """Every combination of the choices but the published default, which is trial 0."""

    def __init__(self, over: Mapping[str, Any], base: Run) -> None:
        default = {name: setting(base, name) for name in over}
        points = (dict(zip(over, point, strict=True)) for point in product(*(one.ends for one in over.values())))
        self.points = [tuple(sorted(point.items())) for point in points if point != default]

    def ask(self, number: int) -> tuple[tuple[str, Setting], ...]:
        return self.points[number - 1]

    def tell(self, value: float | None) -> None:
        """What came of a trial changes nothing."""


# what a name of a setting means


def applicable(tune: Tune, base: Run) -> dict[str, Any]:
    """The ranges that concern this run: those of the training and network, then those of its loss."""
    shared = {name: one for name, one in tune.over.items() if _of_everyone(name)}
    classes = {type(part).__name__ for part in _tree(base.loss)}
    own = {name: one for name, one in tune.over.items() if name.rpartition(".")[0] in classes}
    return shared | own


def check(tune: Tune, runs: Sequence[Run]) -> None:
    """Raises UserError for a name that means nothing here, or a range that a field would not take."""
    for name, one in tune.over.items():
        concerned = [run for run in runs if name in applicable(tune, run)]
        if not concerned:
            raise UserError(
                f"tune.over: {name}: no such setting; say training.lr, network.dropout, or the field of a loss of this"
                " study, such as SmoothHinge.half_width"
            )
        for run in concerned:
            setting(run, name)
            for value in one.samples:
                applied(replace(run, tuned=((name, value),)))


def setting(run: Run, name: str) -> Any:
    """What a setting is by default."""
    head, _, field = name.rpartition(".")
    if _of_everyone(name):
        return getattr(_holder(run, head, field), field)
    return next(getattr(part, field) for part in _tree(run.loss) if _has(part, head, field, name))


def applied(run: Run) -> Run:
    """The run as it is trained: with its tuned settings in their places."""
    for name, value in run.tuned:
        head, _, field = name.rpartition(".")
        if not _of_everyone(name):
            run = replace(run, loss=_with(run.loss, head, field, value))
        elif head == "network":
            run = replace(run, network=_changed(_holder(run, head, field), field, value))
        elif field in Training.model_fields and head == "training":
            run = replace(run, training=_trained(run.training, {field: value}))
        else:
            optimizer = _changed(run.training.optimizer, field, value)
            run = replace(run, training=_trained(run.training, {"optimizer": optimizer}))
    return run


def _of_everyone(name: str) -> bool:
    return name.startswith(("training.", "network."))


def _holder(run: Run, head: str, field: str) -> Any:
    """What has the field: the network, the training, or its optimizer."""
    if head == "network":
        return _checked(run.network, field, head)
    if head == "training" and field in run.training.protocol():  # where it is computed is no setting
        return run.training
    if head in ("training", "training.optimizer"):
        return _checked(run.training.optimizer, field, head)
    raise UserError(f"tune.over: {head}.{field}: no such setting; say training.lr or network.dropout")


def _checked(value: Value, field: str, head: str) -> Value:
    known = [one.name for one in fields(value)]
    if field not in known:
        raise UserError(f"tune.over: {head}.{field}: {type(value).__name__} has no {field}; it has {', '.join(known)}")
    return value


def _has(part: Loss, head: str, field: str, name: str) -> bool:
    return type(part).__name__ == head and _checked(part, field, head) is part


def _tree(loss: Loss) -> list[Loss]:
    """A loss and all in it that `_with` can change: what a preset means, or somebody else's code holds, stays so."""
    held = [part for _, part in loss.addends] if isinstance(loss, Sum) else _wrapped(loss).values()
    return [loss, *(one for part in held for one in _tree(part))]


def _wrapped(loss: Loss) -> dict[str, Loss]:
    """The fields of a loss that hold another."""
    return {one.name: part for one in fields(loss) if isinstance(part := getattr(loss, one.name), Loss)}


def _with(loss: Loss, name: str, field: str, value: Any) -> Loss:
    """The loss, with a field of every part of that class changed."""
    if isinstance(loss, Sum):
        return Sum(addends=tuple((weight, _with(part, name, field, value)) for weight, part in loss.addends))
    changes: dict[str, Any] = {at: _with(part, name, field, value) for at, part in _wrapped(loss).items()}
    if type(loss).__name__ == name:
        changes[field] = value
    return _changed_all(loss, changes) if changes else loss


def _changed(value: Any, field: str, to: Any) -> Any:
    return _changed_all(value, {field: to})


def _changed_all(value: Any, changes: dict[str, Any]) -> Any:
    try:
        return replace(value, **changes)
    except ValueError as error:
        raise UserError(f"tune.over: {error}") from None


def _trained(training: Training, changes: dict[str, Any]) -> Training:
    try:
        return Training.model_validate(training.model_dump() | changes)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(map(str, first["loc"]))
        raise UserError(f"tune.over: training.{name}: {first['msg']} (given: {first['input']!r})") from None
