"""From scores of cases to scores of runs: the rows of the one results table."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Literal, NamedTuple

from whichloss.compare.names import some
from whichloss.compare.score import Score
from whichloss.stats import Row, TableError


class Run(NamedTuple):
    """One loss on one fold of one seed, on one data set, network and stress."""

    loss: str
    data: str
    network: str
    stress: str
    fold: int
    seed: int


class Spot(NamedTuple):
    """Where the scores of all losses meet, case by case."""

    data: str
    network: str
    stress: str
    fold: int
    seed: int
    split: str
    metric: str


class Item(NamedTuple):
    """One score at a spot: a case and the label that was scored."""

    case: str
    part: str


@dataclass(frozen=True)
class Pooled:
    rows: tuple[Row, ...]
    undefined: Mapping[str, tuple[str, ...]]  # metric -> the cases on which some loss has no value
    leaks: tuple[str, ...]  # patients that are tested in several folds of one seed
    per_case: bool  # cases were averaged


@dataclass(frozen=True)
class Sizes:
    """What --n-train and --n-test say of runs whose table does not."""

    n_train: int | Literal["rest"] | None = None
    n_test: int | None = None


def pool(scores: Iterable[Score], study: str, sizes: Sizes, undefined: float | None = None) -> Pooled:
    """One row for each run, split and metric; of several labels the mean of their means, and each by itself too.

    All losses are averaged over the same cases: one on which any loss has no value is left out for all, or counts
    `undefined` where it has none. Raises TableError for a score that comes twice, for losses that were scored on
    different cases, and where it is not said how many cases a run was trained on.
    """
    scores = [score if score.fold is not None else score._replace(fold=0) for score in scores]
    spots: dict[Spot, dict[str, dict[Item, Score]]] = defaultdict(lambda: defaultdict(dict))
    for score in scores:
        items = spots[_spot(score)][score.loss]
        item = Item(score.case, score.part)
        if item in items:
            raise _twice(score, items[item])
        items[item] = score
    missing: dict[str, list[str]] = defaultdict(list)
    tested = _tested(scores)
    rows = []
    for spot, by_loss in spots.items():
        _check_cases(spot, by_loss)
        without = _undefined(by_loss)
        for metric, cases in _by_metric(spot, without).items():
            missing[metric] += sorted(cases)
        for items in by_loss.values():
            rows += _rows(spot, items, without, undefined, study)
    counted = _sized(rows, scores, tested, sizes)
    return Pooled(
        rows=tuple(counted),
        undefined={metric: tuple(cases) for metric, cases in missing.items()},
        leaks=_leaks(tested),
        per_case=any(score.case for score in scores),
    )


def _spot(score: Score) -> Spot:
    fold = 0 if score.fold is None else score.fold
    return Spot(score.data, score.network, score.stress, fold, score.seed, score.split, score.metric)


def _twice(score: Score, other: Score) -> TableError:
    where = f"fold {score.fold}, seed {score.seed}" + (f", case {score.case}" if score.case else "")
    remedy = (
        "keep one"
        if score.case
        else "keep one; scores of single cases need a column case, and of several folds a column fold, or fold_0,"
        " fold_1, ... in the names of their files"
    )
    return TableError(
        f"{score.loss}, {where}: two values of {score.metric}; {remedy}\n  {other.origin}\n  {score.origin}"
    )


def _check_cases(spot: Spot, by_loss: Mapping[str, Mapping[Item, Score]]) -> None:
    """Losses are compared on the same cases only."""
    every = sorted({item for items in by_loss.values() for item in items})
    if any(item.case for item in every) and not all(item.case for item in every):
        loss, items = next((loss, items) for loss, items in by_loss.items() if Item("", "") in items)
        raise TableError(
            f"{next(iter(items.values())).origin}: {spot.metric} of {loss} has no case here, and elsewhere on fold"
            f" {spot.fold} of seed {spot.seed} it has; give all scores by case, or none"
        )
    for loss, items in by_loss.items():
        gone = [item for item in every if item not in items]
        if gone:
            other = next(name for name, theirs in by_loss.items() if gone[0] in theirs)
            raise TableError(
                f"fold {spot.fold} of seed {spot.seed}: {loss} has no {spot.metric} for {len(gone)} of the"
                f" {len(every)} scores that {other} has: {some([_told(item) for item in gone])}\n"
                "  hint: losses are compared on the same cases only; score them, or take them out for all losses"
            )


def _told(item: Item) -> str:
    return item.case + (f" (label {item.part})" if item.part else "")


def _undefined(by_loss: Mapping[str, Mapping[Item, Score]]) -> set[Item]:
    """The cases on which some loss has no value. Without a case it is the run that failed."""
    return {item for items in by_loss.values() for item, score in items.items() if item.case and score.value is None}


def _by_metric(spot: Spot, items: Iterable[Item]) -> dict[str, set[str]]:
    """The cases among these, by the metrics that they count for."""
    found: dict[str, set[str]] = defaultdict(set)
    for item in items:
        for metric in (spot.metric, _of(spot.metric, item.part)):
            found[metric].add(item.case)
    return found


def _of(metric: str, part: str) -> str:
    """What the metric of one label is called beside the mean over labels."""
    return f"{metric} of {part}" if part else metric


def _rows(
    spot: Spot, items: Mapping[Item, Score], without: Collection[Item], undefined: float | None, study: str
) -> list[Row]:
    """Of one loss: one row, and one for each label if there are several. None where nothing is defined."""
    first = next(iter(items.values()))
    parts: dict[str, list[float | None]] = defaultdict(list)
    for item, score in items.items():
        if item not in without:
            parts[item.part].append(score.value)
        elif undefined is not None:
            parts[item.part].append(undefined if score.value is None else score.value)
    means = {part: _mean(values) for part, values in parts.items()}
    if not means:
        return []

    def row(metric: str, value: float | None) -> Row:
        return Row(
            study, first.run, first.loss, spot.data, spot.network, spot.fold, spot.seed, spot.stress, spot.split,
            metric, first.unit, value, -1, -1,
        )  # fmt: skip

    labels = sorted({item.part for item in items})
    by_label = [row(_of(spot.metric, part), means[part]) for part in labels if part in means]
    return [row(spot.metric, _mean(list(means.values()))), *(by_label if len(labels) > 1 else [])]


def _mean(values: Sequence[float | None]) -> float | None:
    """A single value as it is, to the last bit."""
    numbers = [value for value in values if value is not None]
    if len(numbers) < len(values) or not numbers:
        return None
    return numbers[0] if len(numbers) == 1 else fmean(numbers)


# how many were trained on and tested, counted in patients where there are patients

Tested = Mapping[tuple[str, int], Mapping[int, frozenset[str]]]


def _tested(scores: Iterable[Score]) -> Tested:
    """(data, seed) -> fold -> who was tested there."""
    found: dict[tuple[str, int], dict[int, set[str]]] = defaultdict(lambda: defaultdict(set))
    for score in scores:
        who = score.tested or ({score.group or score.case} if score.case else set())
        found[score.data, score.seed][score.fold or 0].update(who)
    return {key: {fold: frozenset(who) for fold, who in folds.items()} for key, folds in found.items()}


def _leaks(tested: Tested) -> tuple[str, ...]:
    found = set()
    for folds in tested.values():
        seen: set[str] = set()
        for who in folds.values():
            found |= seen & who
            seen |= who
    return tuple(sorted(found))


def _sized(rows: Iterable[Row], scores: Iterable[Score], tested: Tested, sizes: Sizes) -> list[Row]:
    said: dict[Run, set[tuple[int | None, int | None]]] = defaultdict(set)
    for score in scores:
        said[_run(score)].add((score.n_train, score.n_test))
    counts = {run: _counts(run, pairs, tested, sizes) for run, pairs in said.items()}
    return [row._replace(n_train=counts[_run(row)][0], n_test=counts[_run(row)][1]) for row in rows]


def _run(one: Score | Row) -> Run:
    return Run(one.loss, one.data, one.network, one.stress, one.fold or 0, one.seed)


def _counts(
    run: Run, pairs: Collection[tuple[int | None, int | None]], tested: Tested, sizes: Sizes
) -> tuple[int, int]:
    folds = tested[run.data, run.seed]
    here = folds[run.fold]
    rest = frozenset().union(*folds.values()) - here
    by_table = _one(run, "n_train", {n for n, _ in pairs}), _one(run, "n_test", {n for _, n in pairs})
    for name, table, option in zip(("n-train", "n-test"), by_table, (sizes.n_train, sizes.n_test), strict=True):
        if table is not None and option not in (None, "rest", table):
            raise TableError(
                f"--{name} is {option}, and the table says {table} for {_name(run)}; leave the option out, or mend it"
            )
    n_test = by_table[1] if by_table[1] is not None else sizes.n_test
    n_test = (len(here) or None) if n_test is None else n_test
    if n_test is None:
        raise TableError(
            f"{_name(run)}: nobody says how many cases were tested; add a column n_test, or --n-test N"
            " (patients where there are several cases of one)"
        )
    n_train = by_table[0] if by_table[0] is not None else sizes.n_train
    if n_train == "rest":
        n_train = len(rest)
        if not rest:
            raise TableError(
                f"--n-train rest counts the cases of the other folds, and {_name(run)} has none that are listed by"
                " case; write a number: --n-train N"
            )
    if n_train is None:
        raise TableError(
            f"{_name(run)}: nobody says how many cases it was trained on, and the standard error depends on it\n"
            "  --n-train rest  all cases of the other folds, as in cross-validation\n"
            "  --n-train N     so many (patients where there are several cases of one); or a column n_train"
        )
    return n_train, n_test


def _one(run: Run, column: str, numbers: Collection[int | None]) -> int | None:
    found = sorted(number for number in numbers if number is not None)
    if len(found) > 1:
        raise TableError(f"{_name(run)}: column {column} says {some([str(n) for n in found])}; one run has one")
    return found[0] if found else None


def _name(run: Run) -> str:
    return f"{run.loss}, fold {run.fold}, seed {run.seed}"
