"""Run: everything that decides one result, and nothing else. A study is a product of runs."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from itertools import product
from pathlib import Path
from typing import Any

from whichloss.core import Loss, Value
from whichloss.core.foreign import Named, source_digest
from whichloss.data import Cases, DataSet, Fold
from whichloss.data import folds as draw_folds
from whichloss.data import given as given_folds
from whichloss.data import inner as draw_inner
from whichloss.networks import Network

from .study import Design, Study, Training

RESULTS_VERSION = 1  # of training, prediction and scoring; raised by a person when results change


@dataclass(frozen=True, kw_only=True)
class Run:
    """One loss on one fold of one seed."""

    loss: Loss
    data: DataSet
    digest: str  # of the content of the data
    network: Network
    design: Design
    splits: str = ""  # digest of the file of given folds
    splits_file: str = ""  # where it lies; does not decide the result
    fold: int
    seed: int
    training: Training

    @cached_property
    def spec(self) -> dict[str, Any]:
        """What decides the result, in plain JSON: parsed, so that spelling makes no difference."""
        design: dict[str, Any] = {"inner": self.design.inner, "by": self.design.by}
        if self.splits:
            design["splits"] = self.splits
        else:
            design |= {"folds": self.design.folds, "refold": self.design.refold}
        return {
            "loss": repr(self.loss),
            "data": repr(self.data),
            "digest": self.digest,
            "network": repr(self.network),
            "design": design,
            "fold": self.fold,
            "seed": self.seed,
            "stress": {},
            "training": self.training.protocol(),
            "tuned": {},
            "versions": {"trainer": RESULTS_VERSION}
            | versions(self.loss)
            | versions(self.data)
            | versions(self.network)
            | versions(self.training.optimizer),
        }

    @cached_property
    def key(self) -> str:
        return sha256(json.dumps(self.spec, sort_keys=True, separators=(",", ":")).encode()).hexdigest()

    def stream(self, name: str) -> int:
        """The seed of one source of chance: the same for all losses, different for every seed, fold and source."""
        fold = "" if name == "folds" else self.fold
        seed = "fixed" if name == "folds" and not self.design.refold else self.seed
        return int.from_bytes(sha256(f"{name}/{seed}/{fold}".encode()).digest()[:4], "big") >> 1

    def split(self, cases: Cases) -> "Split":
        """Fit, inner and test part; patients are never on two sides."""
        if self.splits_file:
            fold = given_folds(Path(self.splits_file), cases)[self.fold]
        else:
            assert self.design.folds is not None
            fold = draw_folds(cases, k=self.design.folds, seed=self.stream("folds"))[self.fold]
        fit, inner = draw_inner(cases, fold.train, fraction=self.design.inner, seed=self.stream("inner"))
        return Split(fit=tuple(fit), inner=tuple(inner), fold=fold, groups=cases.groups)


@dataclass(frozen=True, kw_only=True)
class Split:
    """Indices of cases. `fit` is trained on, `inner` chooses thresholds, the test part is read once."""

    fit: tuple[int, ...]
    inner: tuple[int, ...]
    fold: Fold
    groups: tuple[str, ...]

    @property
    def n_train(self) -> int:
        """Patients of the outer training part, its inner split included."""
        return len({self.groups[at] for at in self.fold.train})

    @property
    def n_test(self) -> int:
        return len({self.groups[at] for at in self.fold.test})


def runs_of(study: Study, data: Mapping[DataSet, Cases], splits_file: str = "") -> Iterator[Run]:
    """Losses vary fastest, so that pairs on the same fold and seed finish together."""
    folds, splits = study.design.folds or 0, ""
    if splits_file:
        splits = sha256(Path(splits_file).read_bytes()).hexdigest()
        folds = len(given_folds(Path(splits_file), data[study.data[0]]))
    for dataset, network, seed, fold, loss in product(
        study.data, study.network, range(study.design.seeds), range(folds), study.losses
    ):
        yield Run(
            loss=loss, data=dataset, digest=data[dataset].digest, network=network, design=study.design,
            splits=splits, splits_file=splits_file, fold=fold, seed=seed, training=study.training,
        )  # fmt: skip


def versions(value: Value) -> dict[str, Any]:
    """The results_version of each of our classes in a value; the source of classes that are not ours.

    We promise to raise a version when results change. Nobody else has promised, so their source counts.
    """
    cls = type(value)
    own = cls.__module__.startswith("whichloss.")
    if isinstance(value, Named):
        found: dict[str, Any] = {value.path: value.source}
    else:
        found = {f"{value.kind().__name__}.{cls.__name__}": cls.results_version if own else source_digest(cls)}
    for part in value.parts():
        found |= versions(part)
    return found
