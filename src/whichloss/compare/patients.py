"""New patients for the same models, where the tables have scores of single cases."""

from collections.abc import Iterable

from whichloss.compare.score import Score
from whichloss.stats import Case, NewPatients, Plan, Resampled, Retested, resample_means
from whichloss.stats.patients import too_few


def on_new_patients(scores: Iterable[Score], plan: Plan) -> NewPatients | None:
    """The mean over cases on patients drawn with replacement; None for scores of whole folds or several labels.

    A case on which some loss has no value is left out for all.
    """
    place = (plan.data, plan.network, plan.stress, "test", plan.primary)
    mine = [one for one in scores if (one.data, one.network, one.stress, one.split, one.metric) == place]
    if not mine or len({one.part for one in mine}) > 1 or not all(one.case for one in mine):
        return None
    unknown = {_spot(one) for one in mine if one.value is None}
    found = {loss: [one for one in mine if one.loss == loss and _spot(one) not in unknown] for loss in plan.losses}
    patients = len({one.group or one.case for ours in found.values() for one in ours})
    if patients < 2:
        return too_few("", patients)
    cases = {loss: [_case(one) for one in ours] for loss, ours in found.items()}
    return NewPatients("", patients, tuple(_retested(loss, cases, plan) for loss in plan.losses), "")


def _spot(one: Score) -> tuple[int | None, int, str]:
    return one.fold, one.seed, one.case


def _case(one: Score) -> Case:
    assert one.value is not None
    return Case(f"{one.loss}/{one.seed}/{one.fold}", one.case, one.group or one.case, one.value)


def _retested(loss: str, cases: dict[str, list[Case]], plan: Plan) -> Retested:
    runs = {name: {case.run for case in ours} for name, ours in cases.items()}
    mine, theirs = cases[loss], cases[plan.baseline]
    if not mine:
        return Retested(loss, plan.label(loss), 0, None, None)
    value = resample_means(mine, runs[loss], confidence=plan.confidence)
    difference = None
    if loss != plan.baseline and theirs:
        apart = resample_means([*mine, *theirs], runs[loss], runs[plan.baseline], confidence=plan.confidence)
        difference = _turned(apart, plan)
    return Retested(loss, plan.label(loss), len(runs[loss]), value, difference)


def _turned(one: Resampled, plan: Plan) -> Resampled:
    """Positive is better."""
    if plan.higher_is_better:
        return one
    return Resampled(-one.value, one.standard_error, -one.high, -one.low, one.groups, one.times)
