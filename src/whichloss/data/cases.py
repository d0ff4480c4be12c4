"""Cases: images and what is true of them, checked once, when they are put together."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from hashlib import sha256
from typing import cast

import torch
from torch import Tensor

from whichloss.core import Candidates, Task, UserError
from whichloss.core.rows import Rows, finite, parts
from whichloss.core.task import IGNORED


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Cases:
    """N images with their labels, in the order of `ids`.

    images: (N, channels, *S), float32. labels: (N,) in classification, (N, *S) in segmentation; long, 0 .. K - 1, and
    -1 for an element of a mask that has no say. In regression (N,), float32, in the unit of the task. In detection
    (N,), 0 or 1, the same for all views of a candidate.
    Volumes larger than memory, and their masks, as int8, lie in files (`maps.py`), and no copy is made of any.
    """

    images: Tensor
    labels: Tensor
    ids: tuple[str, ...]  # of the cases, all different
    task: Task
    groups: tuple[str, ...] = ()  # patients: a group is never split; the ids, where nothing is said
    strata: tuple[str, ...] | None = None  # what every fold should hold its share of
    columns: Mapping[str, tuple] = field(default_factory=dict)  # other facts about each case
    candidates: Candidates | None = None  # in detection, what each case is a view of
    sides: tuple[str, ...] = ()  # "train" or "test" for each, where the data bring a split
    part: bool = False  # of cases that were checked: may lack a class, or be a single case

    def __post_init__(self) -> None:
        if not self.groups:
            object.__setattr__(self, "groups", self.ids)
        self._check_lengths()
        if not self.part:
            self._check_content()

    def __len__(self) -> int:
        return len(self.ids)

    def __repr__(self) -> str:
        shape = " x ".join(map(str, self.images.shape[1:]))
        asked = ", ".join(self.task.classes) or " in ".join(filter(None, (self.task.quantity, self.task.unit)))
        return f"<{len(self)} cases of {shape} in {len(set(self.groups))} groups, {self.task.kind}: {asked}>"

    def subset(self, indices: Sequence[int] | Tensor) -> "Cases":
        """These cases, in this order."""
        index = torch.as_tensor(indices, dtype=torch.long)
        chosen = index.tolist()

        def of(facts: tuple) -> tuple:
            return tuple(facts[i] for i in chosen)

        return Cases(
            images=self.images[index],
            labels=self.labels[index],
            ids=of(self.ids),
            task=self.task,
            groups=of(self.groups),
            strata=None if self.strata is None else of(self.strata),
            columns={name: of(column) for name, column in self.columns.items()},
            candidates=None if self.candidates is None else self.candidates.subset(chosen),
            sides=of(self.sides) if self.sides else (),
            part=True,
        )

    @property
    def in_files(self) -> bool:
        """Whether images and masks are larger than memory."""
        return self.labels.dtype == torch.int8

    def images_at(self, at: Sequence[int]) -> Tensor:
        """The images of these cases; of those in files, Rows stand in for the tensor."""
        return cast(Tensor, Rows(self.images, at)) if self.in_files else self.images[list(at)]

    def labels_at(self, at: Sequence[int]) -> Tensor:
        """As `images_at`."""
        return cast(Tensor, Rows(self.labels, at)) if self.in_files else self.labels[list(at)]

    def truth(self, at: Sequence[int]) -> Tensor:
        """What metrics compare the answers to these cases with: their labels; in detection a table, see Candidates."""
        return self.labels_at(at) if self.candidates is None else self.candidates.truth(self.labels, at)

    @property
    def subgroups(self) -> tuple[str, ...]:
        """What results are shown apart by, where the data say: a column `subgroup`, else the strata; else nothing."""
        return tuple(map(str, self.columns.get("subgroup", self.strata or ())))

    @cached_property
    def digest(self) -> str:
        """SHA-256 of what a run can depend on: images, labels, ids, groups, strata and the task."""
        header = {
            "images": [str(self.images.dtype), *self.images.shape],
            "labels": [str(torch.int64 if self.in_files else self.labels.dtype), *self.labels.shape],
            "ids": self.ids,
            "groups": self.groups,
            "strata": self.strata,
            **({"sides": self.sides} if self.sides else {}),
            **({"candidates": asdict(self.candidates)} if self.candidates else {}),
            "task": [self.task.kind, *(self.task.classes or (self.task.quantity, self.task.unit))],
        }
        digest = sha256(json.dumps(header, sort_keys=True).encode())
        for tensor in (self.images, self.labels):
            for part in parts(tensor.detach().cpu().contiguous()):
                digest.update((part.long() if part.dtype == torch.int8 else part).numpy().data)
        return digest.hexdigest()

    def _check_lengths(self) -> None:
        n, task = len(self.ids), self.task
        facts = {"groups": self.groups, **({} if self.strata is None else {"strata": self.strata}), **self.columns}
        facts |= {"sides": self.sides} if self.sides else {}
        facts |= {"candidates": self.candidates.candidate} if self.candidates else {}
        for name, column in {"images": self.images, "labels": self.labels, **facts}.items():
            if len(column) != n:
                raise UserError(f"{n} ids and {len(column)} {name}: one of each is needed for every case")
        wanted = torch.float32 if task.kind == "regression" else torch.int64
        if (self.candidates is not None) != (task.kind == "detection"):
            raise UserError("candidates go with detection, and detection with candidates")
        if strange := set(self.sides) - {"train", "test"}:
            raise UserError(f"sides hold {sorted(strange)}; each case says 'train' or 'test'")
        if self.images.dtype != torch.float32 or (self.labels.dtype != wanted and not self._masks_in_files):
            raise UserError(
                f"images are {self.images.dtype}, labels {self.labels.dtype}; in {task.kind} they must be float32 and"
                f" {str(wanted).removeprefix('torch.')}"
            )
        shape = (n, task.channels, *task.size)
        if self.images.shape != shape:
            raise UserError(f"images are {tuple(self.images.shape)}; the task says {shape}")
        wanted = (n, *task.size) if task.kind == "segmentation" else (n,)
        if self.labels.shape != wanted:
            raise UserError(f"labels are {tuple(self.labels.shape)}; {task.kind} of these images needs {wanted}")

    @property
    def _masks_in_files(self) -> bool:
        return self.in_files and self.task.kind == "segmentation"

    def _check_content(self) -> None:
        if len(self) < 2:
            raise UserError(f"{len(self)} cases are too few: training and testing need at least 2")
        twice = next((one for one, times in Counter(self.ids).items() if times > 1), None)
        if twice is not None:
            raise UserError(f"two cases have the id {twice!r}")
        self._check_finite(self.images, "not all values in the image of case {} are finite (NaN or infinity)")
        if self.task.kind == "regression":
            what = f"the {self.task.quantity} of case {{}} is not finite (NaN or infinity); leave such cases out"
            self._check_finite(self.labels, what)
        else:
            self._check_classes()

    def _check_finite(self, values: Tensor, says: str) -> None:
        bad = [name for name, one in zip(self.ids, values, strict=True) if not finite(one)]
        if bad:
            others = f", nor are those of {len(bad) - 1} others" if len(bad) > 1 else ""
            raise UserError(says.format(repr(bad[0])) + others)

    def _check_classes(self) -> None:
        classes = self.task.classes
        low, high = int(self.labels.min()), int(self.labels.max())
        if low < (IGNORED if self.task.kind == "segmentation" else 0) or high >= len(classes):
            raise UserError(f"labels run from {low} to {high}; {len(classes)} classes are 0 to {len(classes) - 1}")
        if self.candidates is not None:
            self._check_views(self.candidates)
        counts = sum(
            torch.bincount(part[part >= 0], minlength=len(classes)) for part in parts(self.labels.contiguous())
        )
        assert isinstance(counts, Tensor)
        for name, count in zip(classes, counts.tolist(), strict=True):
            if count == 0:
                what = "pixel or voxel" if self.task.kind == "segmentation" else "case"
                raise UserError(f"class {name!r} is empty: no {what} of {len(self)} cases is labelled so")

    def _check_views(self, candidates: Candidates) -> None:
        seen: dict[int, int] = {}
        for at, (number, label) in enumerate(zip(candidates.numbers.tolist(), self.labels.tolist(), strict=True)):
            name, lesion = candidates.candidate[at], candidates.lesion[at]
            if seen.setdefault(number, label) != label:
                raise UserError(f"views of candidate {name!r} have different labels")
            if lesion and not label:
                raise UserError(f"candidate {name!r} hits lesion {lesion!r} and is labelled {self.task.classes[0]!r}")


def joined(train: Cases, test: Cases) -> Cases:
    """Two sets of cases as one, which remembers the sides."""
    return replace(
        train,
        images=torch.cat([train.images, test.images]),
        labels=torch.cat([train.labels, test.labels]),
        ids=train.ids + test.ids,
        groups=train.groups + test.groups,
        strata=None if train.strata is None or test.strata is None else train.strata + test.strata,
        columns={name: train.columns[name] + test.columns[name] for name in train.columns},
        candidates=None if train.candidates is None or test.candidates is None else train.candidates + test.candidates,
        sides=("train",) * len(train) + ("test",) * len(test),
    )
