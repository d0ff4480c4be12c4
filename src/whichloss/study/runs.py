"""Run: everything that decides one result, and nothing else. A study is a product of runs."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from hashlib import sha256
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from whichloss.core import Loss, UserError, Value
from whichloss.core.foreign import Named, source_digest
from whichloss.data import Cases, DataSet, Fold
from whichloss.data import folds as draw_folds
from whichloss.data import given as given_folds
from whichloss.data import inner as draw_inner
from whichloss.data.folds import check_groups
from whichloss.data.stress import Stress, touched
from whichloss.networks import Network

from .ranges import Setting
from .shelf import Shelf
from .study import Attribution, Design, Study, Training

TUNING = -1  # the fold on which settings are tuned once, for all others
RESULTS_VERSION = 1  # of training, prediction and scoring; raised by a person when results change


@dataclass(frozen=True, kw_only=True)
class Run:
    """One loss on one fold of one seed, under some stress, with some settings tuned."""

    loss: Loss
    data: DataSet
    digest: str  # of the content of the data
    network: Network
    design: Design
    splits: str = ""  # digest of the file of given folds
    splits_file: str = ""  # where it lies; does not decide the result
    fold: int
    seed: int  # the number of the draw, where training sets are drawn
    training: Training
    stress: tuple[Stress, ...] = ()
    tuned: tuple[tuple[str, Setting], ...] = ()  # settings that differ from those above, by name
    reserved: float = 0.0  # share of patients on whom settings were tuned once, and who are not tested on
    best_by: str = ""  # the metric by which the best epoch is chosen; "": the last epoch counts
    attribution: Attribution | None = None

    @cached_property
    def spec(self) -> dict[str, Any]:
        """What decides the result, in plain JSON: parsed, so that spelling makes no difference."""
        design: dict[str, Any] = {"inner": self.design.inner, "by": self.design.by}
        if self.splits:
            design["splits"] = self.splits
        elif self.design.folds is not None:
            design |= {"folds": self.design.folds, "refold": self.design.refold}
        else:
            design["kind"] = self.design.kind
        if self.reserved:
            design["reserved"] = self.reserved
        if self.best_by:
            design["best_by"] = self.best_by
        return {
            **({"attribution": self.attribution.model_dump()} if self.attribution else {}),
            "loss": repr(self.loss),
            "data": repr(self.data),
            "digest": self.digest,
            "network": repr(self.network),
            "design": design,
            "fold": self.fold,
            "seed": self.seed,
            "stress": [repr(one) for one in self.stress],
            "training": self.training.protocol(),
            "tuned": dict(self.tuned),
            "versions": {"trainer": RESULTS_VERSION}
            | versions(self.loss)
            | versions(self.data)
            | versions(self.network)
            | versions(self.training.optimizer)
            | versions(self.training.schedule)
            | {name: version for one in self.training.augment for name, version in versions(one).items()}
            | {name: version for one in self.stress for name, version in versions(one).items()},
        }

    @cached_property
    def key(self) -> str:
        return sha256(json.dumps(self.spec, sort_keys=True, separators=(",", ":")).encode()).hexdigest()

    @property
    def draw(self) -> int | None:
        """Which independent training set of a generator, where the design draws them."""
        return self.seed if self.design.draws is not None else None

    def stream(self, name: str) -> int:
        """The seed of one source of chance: the same for all losses, different for every seed, fold and source."""
        fold = "" if name == "folds" else self.fold
        seed = "fixed" if name == "folds" and not self.design.refold else self.seed
        return int.from_bytes(sha256(f"{name}/{seed}/{fold}".encode()).digest()[:4], "big") >> 1

    def split(self, cases: Cases) -> "Split":
        """Fit, inner and test part; patients are never on two sides."""
        fold = self._fold(cases)
        for one in self.stress:
            fold = replace(fold, train=one.keep(cases, fold.train, self._chance(one)))
        fit, inner = draw_inner(cases, fold.train, fraction=self.design.inner, seed=self.stream("inner"))
        return Split(fit=tuple(fit), inner=tuple(inner), fold=fold, groups=cases.groups)

    def stressed(self, cases: Cases, split: "Split") -> tuple[Cases, dict[str, Any]]:
        """The cases as this run meets them, and what was done to the labels of its training part.

        The inner split is a part of the training part, and as noisy: nobody has clean labels to tune by.
        """
        if cases.in_files:  # whose labels and images no stress changes: `probe` has refused it
            return cases, {}
        train, test = list(split.fold.train), list(split.fold.test)
        labels, images = cases.labels, cases.images
        for one in self.stress:
            changed = one.relabel(replace(cases, labels=labels, part=True), train, self._chance(one))
            if changed is not labels and not changed.equal(labels[train]):
                labels = labels.clone()
                labels[train] = changed
            if one.card.changes == "images":
                images = images.clone()
                images[test] = one.reimage(images[test], self._chance(one))
        facts = touched(cases.labels[train], labels[train], [cases.ids[at] for at in train]) if self.stress else {}
        return (replace(cases, labels=labels, images=images, part=True) if self.stress else cases), facts

    def _chance(self, one: Stress) -> np.random.Generator:
        """Its own stream for each kind of stress: the same at every level and for every loss."""
        return np.random.default_rng(self.stream(f"stress/{type(one).__name__}"))

    def _fold(self, cases: Cases) -> Fold:
        if self.reserved or self.fold == TUNING:
            tuning = self._tuning(cases)
            if self.fold == TUNING:
                return Fold(tuning, ())
            fold = self._drawn(cases)
            return replace(fold, test=tuple(sorted(set(fold.test) - set(tuning))))
        return self._drawn(cases)

    def _tuning(self, cases: Cases) -> tuple[int, ...]:
        """The cases of the patients that settings are tuned on, once: the same for every fold and seed."""
        if self.design.kind in ("draws", "given"):
            return _given(cases, self.data).train  # a draw of its own; or a training part, which is never tested on
        everyone = range(len(cases))
        seed = int.from_bytes(sha256(b"tuning").digest()[:4], "big") >> 1
        return draw_inner(cases, everyone, fraction=self.reserved, seed=seed)[1]

    def _drawn(self, cases: Cases) -> Fold:
        if self.design.kind in ("draws", "given"):
            folds: Sequence[Fold] = [_given(cases, self.data)]
        elif self.splits_file:
            folds = given_folds(Path(self.splits_file), cases)
        else:
            assert self.design.folds is not None
            folds = draw_folds(cases, k=self.design.folds, seed=self.stream("folds"))
        if not 0 <= self.fold < len(folds):
            raise UserError(f"fold {self.fold} does not exist: there are {len(folds)}, from 0 to {len(folds) - 1}")
        return folds[self.fold]


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


def _given(cases: Cases, data: DataSet) -> Fold:
    """The split that the cases bring with them."""
    if not cases.sides:
        raise UserError(f"{data.label} brings no split: design.split: given needs cases that say where they belong")
    train, test = (tuple(at for at, one in enumerate(cases.sides) if one == side) for side in ("train", "test"))
    fold = Fold(train, test)
    check_groups(cases, fold)
    return fold


def runs_of(study: Study, shelf: Shelf, splits_file: str = "") -> Iterator[Run]:
    """Losses vary fastest, so that pairs on the same fold and seed finish together."""
    design = study.design
    folds, splits = design.folds or 1, ""
    if splits_file:
        splits = sha256(Path(splits_file).read_bytes()).hexdigest()
        folds = len(given_folds(Path(splits_file), shelf.cases(study.data[0])))
    seeds = design.seeds if design.draws is None else design.draws
    for dataset, network, stress, seed, fold, loss in product(
        study.data, study.network, study.stress.levels, range(seeds), range(folds), study.losses
    ):
        yield Run(
            loss=loss, data=dataset, digest=shelf.digest(dataset, design), network=network, design=design,
            splits=splits, splits_file=splits_file, fold=fold, seed=seed, training=study.training, stress=stress,
            reserved=study.reserved, best_by=repr(study.primary) if design.select == "primary" else "",
            attribution=study.attribution,
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
