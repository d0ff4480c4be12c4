"""From what was seen to a study: the reader's settings, task, losses, network, metric, folds and budget."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod

import numpy as np

from whichloss.core import Task, UserError, parse
from whichloss.core.task import Kind
from whichloss.data import DataSet
from whichloss.data.files import FileSet
from whichloss.data.files.image import by
from whichloss.data.subset import Subset
from whichloss.networks import Network

from .budget import Budget, budget
from .look import Seen
from .patients import pattern_of

SIDE = {"segmentation": 96, "classification": 64, "regression": 64}  # pixels of the longer side of a picture, at most
VOXELS = {"segmentation": 64_000, "classification": 27_000, "regression": 27_000}  # of a volume, at most
DEEP = 40  # pixels; on nodules of 50 x 50 four levels reached an area of .86 under the ROC curve, three .68
SOFT = 0.9  # share of a mask's elements at its two ends, whose edges are soft
SMALL = 0.05  # share of foreground below which losses for small structures are compared
LOSSES: dict[str, tuple[str, ...]] = {
    "yes or no": ("Logistic()", "Focal(gamma=2.0)", "SmoothHinge(half_width=0.1)", "Lorenz()"),
    "several classes": ("CrossEntropy()", "Focal(gamma=2.0)", "GeneralizedCrossEntropy(q=0.7)", "Lorenz()"),
    "outlines": ("CrossEntropy()", "Dice()", "CrossEntropy() + Dice()"),
    "small outlines": ("Dice()", "CrossEntropy() + Dice()", "Tversky(fp=0.3, fn=0.7)"),
    "quantity": ("SquaredError()", "AbsoluteError()"),
}


@dataclass(frozen=True, kw_only=True)
class Guess:
    """A study, and why it is so."""

    data: DataSet
    kind: Kind
    classes: tuple[str, ...]
    groups: tuple[str, ...]  # of all cases
    grouped: str  # how patients were found, for people
    size: tuple[int, ...]
    network: str
    batch: int
    losses: tuple[str, ...]
    primary: str
    secondary: tuple[str, ...]
    rope: float
    folds: int
    given: bool  # whether the split of the data is used
    seeds: int
    constant: str  # what an answer that ignores the image scores
    notes: tuple[str, ...]  # what was done to the data, for people
    budget: Budget


def guess(seen: Seen) -> Guess:
    """Raises UserError where there are too few patients for any study."""
    data, notes = seen.data, list[str]()
    data, groups, grouped = _with_patients(seen, data)
    if isinstance(data, FileSet):
        data = _with_masks(seen, data, notes)
        data = _with_channels(seen, data)
        data = _at_one_size(seen, data, notes)
    classes = _classes(seen, data)
    size = _size(seen, data)
    folds, given = _design(seen, groups)
    kind = _question(seen, classes)
    losses = LOSSES[kind]
    network, batch = _network(seen.kind, size)
    seeds = 2 if given else 1
    channels = (data.channels if isinstance(data, FileSet) else None) or max(one.channels for one in seen.facts)
    task = _task(seen, classes, channels, size)
    tested = (seen.sides.count("test") / len(seen.ids)) if given else 1 / folds
    limits = budget(
        parse(network, Network), task, task.outputs, batch, cases=len(seen.ids),
        runs=len(losses) * (seeds if given else folds), share=0.8 * (1 - tested), reading=seen.seconds,
    )  # fmt: skip
    if limits.cases is not None:
        data = Subset(data, cases=limits.cases)
    primary, secondary, rope, constant = _metrics(seen, classes, data)
    return Guess(
        data=data, kind=seen.kind, classes=classes, groups=groups, grouped=grouped, size=size, network=network,
        batch=batch, losses=losses, primary=primary, secondary=secondary, rope=rope, folds=folds, given=given,
        seeds=seeds, constant=constant, notes=tuple(notes), budget=limits,
    )  # fmt: skip


# the reader


def _with_patients(seen: Seen, data: DataSet) -> tuple[DataSet, tuple[str, ...], str]:
    if all(seen.groups):
        return data, seen.groups, "as the data say"
    pattern = pattern_of(seen.ids)
    if pattern is not None and isinstance(data, FileSet):
        data = replace(data, group=pattern)
        found = tuple(data.patient(one) for one in seen.ids)
        return data, found, f"by their names: {seen.ids[0]!r} is of {found[0]!r}"
    return data, seen.ids, "each case is taken for a patient of its own"


def _with_masks(seen: Seen, data: FileSet, notes: list[str]) -> FileSet:
    """Which values of masks are foreground, where they are not 0 and 1, or 0 and 255, or a few classes."""
    if seen.kind != "segmentation" or data.objects or getattr(data, "ignore", None) is not None:
        return data
    values = seen.values
    if set(values) <= {0.0, 1.0} or set(values) <= {0.0, 255.0}:
        return data
    if data.above is not None:
        return data
    consecutive = list(values) == list(map(float, range(len(values))))
    numbered = [one for one in seen.facts if len(one.values) > 4]
    if numbered and sum(one.whole for one in numbered) >= 0.9 * len(numbered) and len(values) > 8:
        notes.append("masks number objects one by one; all of them are foreground: above=0")
        return replace(data, above=0.0)
    if consecutive and len(values) <= 33:
        return data
    ends = values.get(0.0, 0) + values.get(max(values), 0)
    if len(values) > 3 and ends > SOFT * sum(values.values()):
        middle = max(values) / 2
        notes.append(f"masks have soft edges, {len(values)} values from 0 to {max(values):g}: above={middle:g}")
        return replace(data, above=middle)
    shown = ", ".join(f"{one:g}" for one in list(values)[:8]) + (", ..." if len(values) > 8 else "")
    notes.append(f"masks hold {shown}, which are no classes 0, 1, ..., K - 1; all above 0 is foreground: above=0")
    return replace(data, above=0.0)


def _with_channels(seen: Seen, data: FileSet) -> FileSet:
    mixed = {one.channels for one in seen.facts} == {1, 3}
    return replace(data, channels=3) if mixed and data.channels is None else data


def _at_one_size(seen: Seen, data: FileSet, notes: list[str]) -> FileSet:
    shapes = sorted({one.shape for one in seen.facts})
    if seen.dims == 3 and all(one.spacing for one in seen.facts):
        return _at_one_spacing(seen, data, notes)
    middle = np.median([one.shape for one in seen.facts], 0)
    longest = SIDE[seen.kind] if seen.dims == 2 else round(VOXELS[seen.kind] ** (1 / 3))
    scale = min(1.0, longest / float(middle.max()))
    if len(shapes) == 1 and scale == 1.0:
        return data
    size = tuple(max(8, round(float(side) * scale / 8) * 8) for side in middle)
    notes.append(f"images of {by(shapes[0])}" + (f" to {by(shapes[-1])}" * (len(shapes) > 1)) + f" become {by(size)}")
    return replace(data, size=size)


def _at_one_spacing(seen: Seen, data: FileSet, notes: list[str]) -> FileSet:
    """The finest spacing, no finer than the data's, at which the largest volume is small enough."""
    own = np.median([one.spacing for one in seen.facts], 0)
    extent = np.max([np.multiply(one.shape, one.spacing) for one in seen.facts], 0)
    step = float(own.min())
    while prod(np.ceil(extent / np.maximum(own, step))) > VOXELS[seen.kind]:
        step *= 1.05
    spacing = tuple(float(f"{one:.2g}") for one in np.maximum(own, step))
    notes.append(f"volumes are brought to {' x '.join(f'{one:g}' for one in spacing)} mm (z, y, x), and filled up")
    data = replace(data, spacing=spacing)
    grey = np.concatenate([one.grey for one in seen.facts])
    if min(one.low for one in seen.facts) < -500 and data.window is None:  # Hounsfield units: air is -1000
        low, high = (float(10 * round(one / 10)) for one in np.quantile(grey, (0.005, 0.995)))
        notes.append(f"these are Hounsfield units; {low:g} and {high:g} become black and white")
        data = replace(data, window=(low, max(high, low + 10)))
    return data


def _size(seen: Seen, data: DataSet) -> tuple[int, ...]:
    """Of the images that the network will see."""
    if isinstance(data, FileSet) and data.spacing is not None:
        extent = [np.multiply(one.shape, one.spacing) / data.spacing for one in seen.facts]
        return tuple(max(1, round(one)) for one in np.max(extent, 0).tolist())
    if isinstance(data, FileSet) and data.size is not None:
        return data.size
    return seen.facts[0].shape


# the task


def _classes(seen: Seen, data: DataSet) -> tuple[str, ...]:
    if seen.kind == "segmentation":
        binary = isinstance(data, FileSet) and (data.above is not None or data.objects)
        count = 2 if binary or len(seen.values) < 3 else len(seen.values)
        return ("background", "foreground") if count == 2 else ("background", *map(str, range(1, count)))
    return () if seen.kind == "regression" else tuple(sorted(map(str, seen.classes)))


def _task(seen: Seen, classes: tuple[str, ...], channels: int, size: tuple[int, ...]) -> Task:
    if seen.kind == "regression":
        return Task(kind="regression", quantity="quantity", channels=channels, size=size)
    return Task(kind=seen.kind, classes=classes, channels=channels, size=size)


def _question(seen: Seen, classes: tuple[str, ...]) -> str:
    if seen.kind == "regression":
        return "quantity"
    if seen.kind == "segmentation":
        return "small outlines" if seen.foreground < SMALL else "outlines"
    return "yes or no" if len(classes) == 2 else "several classes"


def _design(seen: Seen, groups: Sequence[str]) -> tuple[int, bool]:
    """Folds, and whether the split of the data is used instead: where it has two sides that share no patient."""
    sides = Counter(seen.sides)
    leaks = {g for g, s in zip(groups, seen.sides, strict=True) if s == "train"} & {
        g for g, s in zip(groups, seen.sides, strict=True) if s == "test"
    }
    patients = len(set(groups))
    if patients < 6:
        raise UserError(f"{patients} patients are too few for a study: each fold trains on some and tests on others")
    return 3, sides["train"] >= 10 and sides["test"] >= 10 and not leaks


def _network(kind: str, size: tuple[int, ...]) -> tuple[str, int]:
    """The network, and how many cases are in a batch."""
    if kind == "segmentation" and len(size) == 2:
        return f"UNet(width=8, depth={4 if min(size) >= 32 else 3}, dropout=0.0)", 4
    if kind == "segmentation":
        return "UNet(width=6, depth=3, dropout=0.0)", 2
    if len(size) == 2:
        return "SmallConvNet(depth=4)" if max(size) > DEEP else "SmallConvNet()", 16
    return "SmallConvNet(width=8)", 8


def _metrics(seen: Seen, classes: tuple[str, ...], data: DataSet) -> tuple[str, tuple[str, ...], float, str]:
    """Primary and secondary metrics, rope, and what a constant answer scores."""
    if seen.kind == "regression":
        values = np.array(seen.labels, float)
        away = float(np.abs(values - np.median(values)).mean())
        said = f"the middle value for all: a mean absolute error of {away:.3g}"
        return "MeanAbsoluteError()", ("RootMeanSquareError()",), float(f"{0.03 * away:.1g}"), said
    if seen.kind == "segmentation":
        dice = float(np.mean([_dice_of_all(one.values, data) for one in seen.facts]))
        return "Dice()", ("Jaccard()", "Recall()"), 0.01, f"all foreground: a Dice of {dice:.2f}" * (len(classes) == 2)
    name, many = seen.classes.most_common(1)[0]
    share = many / len(seen.labels)
    if len(classes) == 2:
        return "RocAuc()", ("Accuracy()", "Recall()", "Specificity()"), 0.01, (
            f"{name!r} for all: accuracy {share:.2f}, ROC AUC 0.50"
        )  # fmt: skip
    return "Accuracy()", ("RocAuc()",), 0.01, f"{name!r} for all: accuracy {share:.2f}"


def _dice_of_all(values: dict[float, int], data: DataSet) -> float:
    """Of a mask that is foreground everywhere."""
    base = data.data if isinstance(data, Subset) else data
    cut = (base.above or 0.0) if isinstance(base, FileSet) else 0.0
    share = sum(count for value, count in values.items() if value > cut) / sum(values.values())
    return 2 * share / (1 + share)
