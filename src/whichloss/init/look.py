"""Look at cases one by one: sizes, grey values, masks, labels, copies, and what cannot be read."""

import time
from collections import Counter
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch

from whichloss.core import UserError
from whichloss.core.task import Kind
from whichloss.data import Cases, DataSet
from whichloss.data.files import Entry, FileSet
from whichloss.data.files.file_set import name_of
from whichloss.data.files.image import Image, read_image, read_mask
from whichloss.data.find import Root
from whichloss.study.twins import mark_of

from .copies import thumbnail

MOST = 3000  # cases whose images are looked at; of more, as many spread over all
SAMPLES = 500  # grey values of each image that are kept, for percentiles


@dataclass(frozen=True, kw_only=True, eq=False)
class Fact:
    """What is true of one case. Of arrays, grey values are as they are read, within 0 and 1 for 8 and 16 bit."""

    at: int  # in the list of all cases
    shape: tuple[int, ...]
    channels: int
    spacing: tuple[float, ...]  # (z, y, x), mm; () for pictures
    mark: bytes | None  # of the image; None where it is constant
    thumbnail: np.ndarray
    low: float  # the lowest grey value
    grey: np.ndarray  # some of its values; of a volume with a mask, those within it
    values: dict[float, int] = field(default_factory=dict)  # of its mask, with how many elements have them
    whole: bool = False  # whether each value above 0 of the mask marks one connected object


@dataclass(frozen=True, kw_only=True, eq=False)
class Seen:
    """All that was seen of a data set."""

    data: DataSet
    kind: Kind
    ids: tuple[str, ...]  # of all cases
    labels: tuple[str | float, ...]  # in classification and regression
    groups: tuple[str, ...]  # "" where nothing is said
    sides: tuple[str, ...]  # "" where nothing is said
    domains: tuple[str, ...]
    facts: tuple[Fact, ...]  # of those that were looked at
    broken: tuple[str, ...]  # what cannot be read, or does not fit
    seconds: float  # to read one case

    @property
    def dims(self) -> int:
        return len(self.facts[0].shape)

    @cached_property
    def classes(self) -> Counter:
        """Of all cases."""
        return Counter(self.labels)

    @cached_property
    def values(self) -> dict[float, int]:
        """Of all masks, with how many elements have them."""
        total: Counter = Counter()
        for one in self.facts:
            total.update(one.values)
        return dict(sorted(total.items()))

    @property
    def foreground(self) -> float:
        """The share of the elements that are above 0."""
        return 1 - self.values.get(0.0, 0) / max(1, sum(self.values.values()))


def look(data: DataSet, root: Root = None) -> Seen:
    """Raises UserError where nothing at all can be read."""
    return _look_at_files(data, root) if isinstance(data, FileSet) else _look_at_cases(data, data.load(root))


def _some(count: int) -> list[int]:
    return sorted({round(at) for at in np.linspace(0, count - 1, min(count, MOST))})


def _look_at_cases(data: DataSet, cases: Cases) -> Seen:
    named = cases.groups if cases.groups != cases.ids else ("",) * len(cases)
    classes = cases.task.classes
    labels: tuple[str | float, ...] = ()
    if cases.task.by_image:
        labels = tuple(classes[one] for one in cases.labels.tolist())
    elif cases.task.kind == "regression":
        labels = tuple(cases.labels.tolist())
    facts, start = [], time.perf_counter()
    for at in _some(len(cases)):
        mask = cases.labels[at].numpy() if cases.task.kind == "segmentation" else None
        facts.append(_fact(at, cases.images[at].numpy(), mask))
    return Seen(
        data=data, kind=cases.task.kind, ids=cases.ids, labels=labels, groups=named,
        sides=cases.sides or ("",) * len(cases), domains=("",) * len(cases), facts=tuple(facts), broken=(),
        seconds=(time.perf_counter() - start) / len(facts),
    )  # fmt: skip


def _look_at_files(data: FileSet, root: Root) -> Seen:
    entries = data.entries(root)
    first = entries[0].label
    measured = getattr(data, "quantity", "")
    facts, broken, start = [], [], time.perf_counter()
    for at in _some(len(entries)):
        try:
            facts.append(_read(data, at, entries[at]))
        except UserError as error:
            broken.append(str(error))
    if not facts:
        raise UserError(broken[0])
    return Seen(
        data=data,
        kind="segmentation" if isinstance(first, tuple) else "regression" if measured else "classification",
        ids=tuple(one.id for one in entries),
        labels=() if isinstance(first, tuple) else tuple(one.label for one in entries),  # type: ignore[misc]
        groups=tuple(one.group for one in entries),
        sides=tuple(one.side for one in entries),
        domains=tuple(one.columns.get("domain", "") for one in entries),
        facts=tuple(facts),
        broken=tuple(broken),
        seconds=(time.perf_counter() - start) / (len(facts) + len(broken)),
    )


def _read(data: FileSet, at: int, entry: Entry) -> Fact:
    image = read_image(entry.images)
    mask = _mask(data, entry, image) if isinstance(entry.label, tuple) else None
    values = image.values
    if image.volume is not None:  # grey values as they are, for a window
        values = image.frame.into(image.volume.values).astype(np.float32)[None]
    return _fact(at, values, mask, image.frame.spacing, len(image.values))


def _mask(data: FileSet, entry: Entry, image: Image) -> np.ndarray:
    if data.objects:
        return data.mask(entry, image)
    assert isinstance(entry.label, tuple)
    return read_mask(entry.label[0], image, name_of(entry))


def _fact(
    at: int, image: np.ndarray, mask: np.ndarray | None, spacing: tuple[float, ...] = (), channels: int | None = None
) -> Fact:
    grey = image[0] if mask is None or image.ndim < 4 or not (mask > 0).any() else image[0][mask > 0]
    flat = grey.ravel()
    values: dict[float, int] = {}
    if mask is not None:
        found, counts = np.unique(mask, return_counts=True)
        values = dict(zip(map(float, found.tolist()), counts.tolist(), strict=True))
    return Fact(
        at=at,
        shape=image.shape[1:],
        channels=len(image) if channels is None else channels,
        spacing=spacing,
        mark=mark_of(torch.from_numpy(np.ascontiguousarray(image))),
        thumbnail=thumbnail(image),
        low=float(image.min()),
        grey=flat[:: max(1, len(flat) // SAMPLES)].astype(np.float32),
        values=values,
        whole=mask is not None and len(values) > 4 and _one_piece_each(mask, list(values)),
    )


def _one_piece_each(mask: np.ndarray, values: list[float]) -> bool:
    """Whether nearly each value above 0 marks one connected region: objects that are numbered."""
    from scipy import ndimage

    above = [one for one in values if one > 0][:30]
    single = sum(ndimage.label(mask == one, np.ones((3,) * mask.ndim))[1] == 1 for one in above)  # type: ignore[index]
    return single >= 0.9 * len(above)
