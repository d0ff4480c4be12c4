"""What stands beside the verdict, from the table, the learning curves and the scores that were kept."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate
from math import ceil, nan

from whichloss.core import Task
from whichloss.data import Cases, DataSet
from whichloss.stats import Axis, Course, Pace, Plan, Row, Supplement, Threshold, pace_of, supplement_of

from .facts import Ended, names
from .measures import at_both_thresholds, watch
from .patients import on_new_patients, parts_of, within_subgroups
from .runs import Run
from .shelf import Shelf
from .store import Store
from .study import Study
from .tune import applied


def supplement(
    study: Study, plan: Plan, table: Sequence[Row], found: Ended, store: Store, shelf: Shelf,
    data: Mapping[DataSet, Cases],
) -> Supplement:  # fmt: skip
    """For the cell that the verdict is for."""
    decides, network, stress = study.decides
    cases = data[decides]
    here = [(run, record) for run, record in found if names(run)[1:] == (repr(decides), repr(network), stress)]
    parts = parts_of(here, cases)
    return supplement_of(
        table,
        plan,
        axes=list(_axes(study)),
        pace=_pace(here, plan, cases.task, store, shelf),
        patients=on_new_patients(here, parts, plan, study.primary, cases, store),
        subgroups=within_subgroups(here, parts, plan, study.primary, cases, store),
        threshold=_threshold(study, cases.task),
    )


def _axes(study: Study) -> Iterator[Axis]:
    """Kinds of stress with two numbers or more, the other kinds at rest."""
    for listed in study.stress.axes.values():
        numbers = [one for one in listed if isinstance(one.level, float | int)]
        levels = {float(one.level): "" if one.none else repr(one) for one in numbers}
        if len(levels) > 1:
            yield Axis(listed[0].card.title, listed[0].card.unit, levels)


def _threshold(study: Study, task: Task) -> Threshold | None:
    """The primary metric at the threshold that does not decide; of several classes none is tuned."""
    _, *other = at_both_thresholds(study.primary)
    if not (other and task.binary):
        return None
    natural = other[0].threshold == "natural"  # type: ignore[attr-defined]
    return Threshold(repr(other[0]), "natural threshold" if natural else "tuned threshold")


def _pace(here: Ended, plan: Plan, task: Task, store: Store, shelf: Shelf) -> Pace:
    metric, sizes = watch(task), {}
    courses = []
    for run, record in here:
        loss = names(run)[0]
        if record["outcome"] != "finished":
            courses.append(Course(loss))
            continue
        if (run.seed, run.fold) not in sizes:
            sizes[run.seed, run.fold] = _fitted(run, task, store, shelf)
        steps, took = steps_of(run, sizes[run.seed, run.fold]), record.get("seconds")
        seconds = () if took is None else tuple(took * step / steps[-1] for step in steps)
        courses.append(Course(loss, tuple(epoch.get("inner", nan) for epoch in record["curve"]), steps, seconds))
    return pace_of(courses, plan, metric.title, metric.unit(task), metric.card.higher_is_better)


def steps_of(run: Run, cases: int) -> tuple[float, ...]:
    """Steps of the optimizer up to the end of each epoch. cases: so many that the run was fitted to."""
    each = [
        float(ceil(max(1, round(stage.share * cases)) / stage.batch))
        for stage in applied(run).training.plan
        for _ in range(stage.epochs)
    ]
    return tuple(accumulate(each))


def _fitted(run: Run, task: Task, store: Store, shelf: Shelf) -> int:
    """How many cases; from the outputs where they tell, since an independent draw takes long to make again."""
    if run.draw is not None and task.by_image:
        return len(store.outputs(run.key)["train_cases"])
    return len(run.split(shelf.of(run)).fit)
