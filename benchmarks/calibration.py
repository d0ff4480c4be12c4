"""How often the verdict errs: whole studies are simulated in which no loss is better, and the real `judge` reads them.

python benchmarks/calibration.py --studies 2000

Each study has fresh patients. Folds are drawn anew for each seed, all losses share folds and seeds, and what a model
scores depends on who was in its training set. Two worlds:

effects   patient scores are sums of random effects: how hard the patient is, how a loss suits the patient, what each
          training patient taught this loss, the run's own luck, and noise
trained   a ridge classifier per loss is really fitted to the training patients, each loss on features of its own with
          the same distribution: nobody chose how strongly a training set acts

Losses are exchangeable, so the true difference is zero for any metric: a mean (normal), a mean of exponentials, where
few patients weigh most (skewed), a share of few patients (tied). A twentieth of runs may fail.

--limits shows where the procedure gives way. It is too careful (below 1 %) where the runs' own noise is several times
what the patients do: it takes all variance for shared. It is too bold (6 to 40 %) where a training patient teaches as
much or more than a loss suits a test patient: folds of one data set share nearly all of what was taught, and do not
show it. With --power losses differ, and what is said of undecided studies (`whichloss.stats.outlook`) is put to the
test: they are continued as was said, and judged again.
"""

import argparse
import sys
from dataclasses import dataclass, field
from math import sqrt
from time import monotonic
from typing import Literal

import numpy as np

from whichloss.stats import Plan, Row, judge
from whichloss.stats.outlook import outlooks

DESIGNS = ((5, 1), (5, 3), (6, 10), (10, 3))  # folds, seeds
METRICS = ("normal", "skewed", "tied")
# what a training patient must teach for the standard error to be as right as it is for a normal metric, 1.0 to 1.3
# times the true spread: of a thresholded or a skewed score less is left of it
ALIKE = {"skewed": 0.6, "tied": 0.9}
MANY = 150  # seeds that stand for infinitely many
MOST_PATIENTS = 2000  # larger studies are not simulated
BOUNDS = {"false": (0.01, 0.06), "cover": (0.93, 0.99)}  # shares of studies


@dataclass(frozen=True)
class Effects:
    """Standard deviations, in units of a patient's difficulty."""

    suits: float = 0.6  # a loss suits a patient
    taught: float = 0.5  # what a training patient teaches; their mean acts on all test patients
    luck: float = 0.1  # of a run
    noise: float = 0.3  # of a patient in a run


@dataclass(frozen=True)
class Cell:
    """A kind of study."""

    world: str = "effects"
    metric: str = "normal"
    folds: int = 5
    seeds: int = 3
    losses: int = 2
    failures: float = 0.0  # the probability that a run fails
    patients: int = 64
    effects: Effects = Effects()
    spread: float = 0.0  # standard deviation of the true difference, drawn for each study
    rope: float = 0.0
    design: Literal["refold", "fixed", "draws"] = "refold"


def partition(random: np.random.Generator, patients: int, folds: int, seeds: int) -> np.ndarray:
    """Which fold tests each patient, drawn anew for each seed: (seeds, patients)."""
    return random.permuted(np.tile(np.arange(patients) % folds, (seeds, 1)), axis=1)


def outcome(z: np.ndarray, metric: str) -> np.ndarray:
    """What a patient scores."""
    return {"normal": lambda: z, "skewed": lambda: np.exp(0.6 * z), "tied": lambda: (z > -0.5).astype(float)}[metric]()


class World:
    """Patients and their effects: seeds can be added to the same patients."""

    def __init__(self, random: np.random.Generator, cell: Cell) -> None:
        self.random, self.cell = random, cell
        self.better = np.append(cell.spread * random.normal(), np.zeros(cell.losses - 1))[::-1, None]
        self.suits = np.empty((cell.losses, 0))
        self.taught = np.empty((cell.losses, 0))
        self.drawn = int(random.integers(2**31))  # the folds, where they are fixed
        self.grow(cell.patients)

    def grow(self, patients: int) -> None:
        """More patients join those that there are."""
        effects, random, size = self.cell.effects, self.random, (self.cell.losses, patients)
        suits = self.better + random.normal(size=patients) + effects.suits * random.normal(size=size)
        self.suits = np.concatenate([self.suits, suits], 1)
        self.taught = np.concatenate([self.taught, effects.taught * random.normal(size=size)], 1)

    def scores(self, seeds: int) -> tuple[np.ndarray, np.ndarray]:
        """The score of each run, (losses, seeds, folds), and the patients it was tested on, (seeds, folds)."""
        cell, effects, random = self.cell, self.cell.effects, self.random
        patients = self.taught.shape[1]
        if cell.design == "fixed":
            where = partition(np.random.default_rng(self.drawn), patients, cell.folds, 1).repeat(seeds, 0)
        else:
            where = partition(random, patients, cell.folds, seeds)
        tested = (where[:, None] == np.arange(cell.folds)[:, None]).astype(float)  # seeds, folds, patients
        n_test = tested.sum(-1)
        learnt = np.einsum("lp,sfp->lsf", self.taught, 1 - tested) / (patients - n_test)
        learnt += effects.luck * random.normal(size=learnt.shape)
        mine = np.take_along_axis(learnt, np.broadcast_to(where, (cell.losses, *where.shape)), 2)
        z = self.suits[:, None] + mine + effects.noise * random.normal(size=mine.shape)
        return np.einsum("lsp,sfp->lsf", outcome(z, cell.metric), tested) / n_test, n_test


class Draws(World):
    """Independent training sets and one large test set: only what was taught varies, and luck."""

    def scores(self, seeds: int) -> tuple[np.ndarray, np.ndarray]:
        size = (self.cell.losses, seeds, 1)
        sd = sqrt(self.cell.effects.taught**2 / self.cell.patients + self.cell.effects.luck**2)
        return self.better[..., None] + sd * self.random.normal(size=size), np.full(size[1:], 1000)


class Trained:
    """Patients with features and a label; a ridge classifier per loss, on features of its own."""

    features, ridge, signal = 4, 1.0, 0.7

    def __init__(self, random: np.random.Generator, cell: Cell) -> None:
        self.random, self.cell = random, cell
        self.label = random.choice((-1.0, 1.0), size=cell.patients)
        shared = random.normal(size=(cell.patients, self.features))
        own = random.normal(size=(cell.losses, cell.patients, self.features))
        self.x = (shared + own) / sqrt(2) + self.signal * self.label[:, None] / sqrt(self.features)

    def scores(self, seeds: int) -> tuple[np.ndarray, np.ndarray]:
        cell, random = self.cell, self.random
        where = partition(random, cell.patients, cell.folds, seeds)
        tested = (where[:, None] == np.arange(cell.folds)[:, None]).astype(float)
        n_test = tested.sum(-1)
        # a run's own luck: each model sees its training patients with weights of its own, as in a bootstrap
        weight = (1 - tested) * random.gamma(4, 1 / 4, size=(cell.losses, *tested.shape))
        gram = np.einsum("lsfp,lpa,lpb->lsfab", weight, self.x, self.x, optimize=True)
        target = np.einsum("lsfp,lpa,p->lsfa", weight, self.x, self.label, optimize=True)
        beta = np.linalg.solve(gram + self.ridge * np.eye(self.features), target[..., None])[..., 0]
        beta /= np.linalg.norm(beta, axis=-1, keepdims=True)
        margin = np.einsum("lsfa,lpa->lsfp", beta, self.x, optimize=True) * self.label  # distance from the boundary
        value = {
            "normal": lambda: margin,
            "skewed": lambda: np.exp(-margin),
            "tied": lambda: (margin > 0).astype(float),
        }[cell.metric]()
        return (value * tested).sum(-1) / n_test, n_test


WORLDS = {"effects": World, "trained": Trained, "draws": Draws}


def rows_of(scores: np.ndarray, n_test: np.ndarray, patients: int, failed: np.ndarray | None = None) -> list[Row]:
    """The table of a study; a failed run has no value, and chance is about what a poor run scores."""
    rows = []
    failed = np.zeros(scores.shape, bool) if failed is None else failed
    chance = float(np.quantile(scores, 0.1))
    for (loss, seed, fold), score in np.ndenumerate(scores):
        n = int(n_test[seed, fold])
        place = ("simulated", "", f"L{loss}", "patients", "net", fold, seed, "")
        if failed[loss, seed, fold]:
            rows.append(Row(*place, "test", "score", "", None, patients - n, n))
            rows.append(Row(*place, "chance", "score", "", chance, patients - n, n))
        else:
            rows.append(Row(*place, "test", "score", "", float(score), patients - n, n))
    return rows


def plan_of(cell: Cell) -> Plan:
    names = tuple(f"L{i}" for i in range(cell.losses))
    return Plan(
        study="simulated", question="", primary="score", primary_label="score", baseline="L0", losses=names,
        labels={}, rope=cell.rope, design=cell.design, higher_is_better=cell.metric != "skewed",
    )  # fmt: skip


def errs(cell: Cell, random: np.random.Generator) -> tuple[bool, bool, bool]:
    """One study: some loss called better or worse; every interval covers zero; the best set has lost the first loss."""
    scores, n_test = WORLDS[cell.world](random, cell).scores(cell.seeds)
    failed = random.random(scores.shape) < cell.failures
    verdict = judge(rows_of(scores, n_test, cell.patients, failed), plan_of(cell))
    false = any(c.decision in ("better", "worse") for c in verdict.comparisons)
    return false, all(c.low <= 0 <= c.high for c in verdict.comparisons), "L0" not in verdict.best_set


def calibrate(cell: Cell, studies: int, seed: int = 0) -> tuple[float, float, float]:
    """Shares of studies: false better or worse, intervals that all cover, one loss (all are the best) put out."""
    random = np.random.default_rng([seed, studies, *map(ord, repr(cell))])
    return tuple(np.mean([errs(cell, random) for _ in range(studies)], axis=0).tolist())


@dataclass
class Kept:
    """What was said of undecided studies, and how often it came true."""

    undecided: int = 0
    fair: list[bool] = field(default_factory=list)  # decided after as many seeds as 70 % need
    good: list[bool] = field(default_factory=list)  # ... and as 90 % need
    never: list[bool] = field(default_factory=list)  # still undecided after MANY seeds, where seeds cannot settle it
    least: list[bool] = field(default_factory=list)  # decided with as many patients as 80 % need at least
    most: list[bool] = field(default_factory=list)  # ... and at most


def foresee(cell: Cell, kept: Kept, random: np.random.Generator) -> None:
    """One study: where it is undecided, it is continued as was said, and judged again."""
    world, plan = (Draws if cell.design == "draws" else World)(random, cell), plan_of(cell)
    first = world.scores(cell.seeds)

    def continued(seeds: int) -> bool:
        parts = zip(first, world.scores(seeds), strict=True)
        scores, n_test = (np.concatenate([a, b], axis=-2) for a, b in parts)
        return decided(rows_of(scores, n_test, cell.patients))

    def decided(rows: list[Row]) -> bool:
        return judge(rows, plan).comparisons[0].decision != "undecided"

    rows = rows_of(*first, cell.patients)
    if cell.design == "draws":  # what is said of draws holds if the true difference is the one measured
        world.better[1] = judge(rows, plan).comparisons[0].difference
    for said in outlooks(rows, plan):
        kept.undecided += 1
        if said.seeds:
            kept.fair.append(continued(said.seeds[0]))
            kept.good.append(continued(said.seeds[1]))
        if said.kind == "patients":
            kept.never.append(not continued(MANY))
        for patients, true in zip(said.patients or (), (kept.least, kept.most), strict=False):
            if patients and patients <= MOST_PATIENTS:
                world.grow(patients - world.taught.shape[1])
                true.append(decided(rows_of(*world.scores(cell.seeds), patients)))


PROMISES = {  # what was said -> the share of studies in which it may come true
    "fair": (0.6, 0.8), "good": (0.8, 1.0), "never": (0.9, 1.0), "least": (0.0, 0.9), "most": (0.7, 1.0),
}  # fmt: skip
UNDECIDED = [  # kinds of studies that may remain so; the true difference is about as large as its standard error
    *(Cell(folds=k, seeds=s, effects=Effects(noise=noise, luck=luck), spread=0.25, rope=rope)
      for k, s in DESIGNS for noise, luck in ((0.3, 0.0), (0.3, 0.1), (1.2, 0.1)) for rope in (0.0, 0.15)),
    *(Cell(folds=5, seeds=s, spread=0.25, rope=rope, design="fixed", effects=Effects(noise=noise))
      for s in (3, 6) for noise in (0.3, 1.2) for rope in (0.0, 0.15)),
    *(Cell(folds=1, seeds=s, spread=spread, rope=rope, design="draws")
      for s in (4, 8) for spread in (0.05, 0.15) for rope in (0.0, 0.05)),
]  # fmt: skip


def powers(studies: int, seed: int) -> bool:
    """True if a promise was broken in 50 studies or more."""
    print("design  folds x seeds  noise  luck  spread  rope  undecided", *(f"{name:>13}" for name in PROMISES))
    broken = False
    for cell in UNDECIDED:
        random, kept = np.random.default_rng([seed, *map(ord, repr(cell))]), Kept()
        for _ in range(studies):
            foresee(cell, kept, random)
        line = (
            f"{cell.design:7} {cell.folds:5} x {cell.seeds:<5} {cell.effects.noise:5} {cell.effects.luck:5}"
            f" {cell.spread:7} {cell.rope:5} {kept.undecided:10}"
        )
        for name, (low, high) in PROMISES.items():
            came_true: list[bool] = getattr(kept, name)
            share = float(np.mean(came_true)) if came_true else np.nan
            wrong = len(came_true) >= 50 and not low <= share <= high
            broken |= wrong
            line += f"{100 * share:6.0f} of {len(came_true):<4}{'!' if wrong else ' '}"
        print(line, flush=True)
    return broken


def cells(worlds: list[str]) -> list[Cell]:
    """Every metric on every design with two losses; then failed runs, and twenty losses."""
    plain = [Cell(w, m, *d) for w in worlds for m in METRICS for d in DESIGNS]
    failing = [Cell(w, "normal", *d, failures=0.05) for w in worlds for d in DESIGNS]
    many = [Cell(w, m, *d, losses=20) for w in worlds for m in METRICS for d in DESIGNS]
    alike = [Cell("effects", m, *d, losses=20, effects=Effects(taught=x)) for m, x in ALIKE.items() for d in DESIGNS]
    drawn = [Cell("draws", "normal", 1, s, design="draws", losses=n) for s in (5, 10) for n in (2, 20)]
    fixed = [Cell("effects", m, *d, design="fixed") for m in METRICS for d in DESIGNS]
    return plain + failing + drawn + fixed + many + (alike if "effects" in worlds else [])


def limits() -> list[Cell]:
    """Where the procedure gives way: runs that are mostly noise, and training patients that matter ever more."""
    noisy = [Cell(folds=k, seeds=s, effects=Effects(noise=x)) for k, s in DESIGNS for x in (0.0, 0.3, 0.6, 1.2)]
    taught = [Cell(folds=k, seeds=s, effects=Effects(taught=x)) for k, s in DESIGNS for x in (0.0, 0.5, 1.0, 2.0)]
    return noisy + taught


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--studies", type=int, default=2000)
    parser.add_argument("--world", choices=WORLDS, action="append")
    parser.add_argument("--losses", type=int, help="only cells with so many losses")
    parser.add_argument("--limits", action="store_true", help="more noise, and more of what training patients teach")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--power", action="store_true", help="what is said of undecided studies")
    options = parser.parse_args()
    if options.power:
        return powers(options.studies, options.seed)
    print("world    metric  folds x seeds  losses  failures  taught  noise  false %  cover %  a best out %  seconds")
    outside = 0
    for cell in limits() if options.limits else cells(options.world or ["effects", "trained"]):
        if options.losses not in (None, cell.losses):
            continue
        start = monotonic()
        false, cover, out = calibrate(cell, options.studies, options.seed)
        inside = all(low <= x <= high for x, (low, high) in zip((false, cover), BOUNDS.values(), strict=True))
        outside += not inside
        print(
            f"{cell.world:8} {cell.metric:7} {cell.folds:5} x {cell.seeds:<5} {cell.losses:7} {cell.failures:9.0%}"
            f" {cell.effects.taught:7} {cell.effects.noise:6}"
            f" {100 * false:8.1f} {100 * cover:8.1f} {100 * out:13.1f} {monotonic() - start:8.0f}"
            + ("" if inside else "   outside"),
            flush=True,
        )
    print(f"{outside} outside: false {BOUNDS['false']}, cover {BOUNDS['cover']}")
    return bool(outside)


if __name__ == "__main__":
    sys.exit(main())
