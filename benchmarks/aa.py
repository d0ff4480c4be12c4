"""How often the verdict errs when real networks are trained: a loss against itself, and against a true difference.

python -m benchmarks.aa --studies 300 --draws 150 --file aa.jsonl > docs/results/aa.md

Each study has fresh patients (`Nodules`), whose folds, networks and order of cases are drawn anew; every run is trained
by `study.train`, and the real `judge` reads the scores. `ARMS` says what is compared. A study is a line of the file, so
that the same command goes on after an interruption.
"""

import argparse
import json
import platform
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from math import sqrt
from pathlib import Path
from statistics import fmean, stdev
from time import monotonic
from typing import Any, Literal

import numpy as np
import scipy
import torch
from scipy import stats

from benchmarks.calibration import Cell, plan_of, rows_of
from whichloss.data import Cases
from whichloss.data.cases import joined
from whichloss.data.nodules import Nodules
from whichloss.losses.margin.logistic import Logistic
from whichloss.metrics.classification.roc_auc import RocAuc
from whichloss.networks.small_conv_net import SmallConvNet
from whichloss.stats import Comparison, judge
from whichloss.study.optimizers.adam import Adam
from whichloss.study.runs import Run
from whichloss.study.study import Design, Training
from whichloss.study.train import train

PATIENTS, SIZE, FOLDS, SEEDS = 80, 26, 5, 2
TRUTH = 2000  # cases that the true difference is measured on
RATE, EPOCHS, BATCH = 0.01, 8, 8
NETWORK, METRIC, CPU = SmallConvNet(width=4, depth=2, features=8), RocAuc(), torch.device("cpu")
ROPE = 0.02  # as in the shipped study `demo`
DESIGNS: tuple[tuple[Literal["refold", "fixed"], int], ...] = (("refold", SEEDS), ("fixed", 1))  # and how many seeds
SETTINGS = [PATIENTS, SIZE, FOLDS, SEEDS, TRUTH, RATE, EPOCHS, BATCH, repr(NETWORK), repr(METRIC), torch.__version__]


class Sham(Run):
    """The same run with a chance of its own; who trains and who is tested is shared."""

    def stream(self, name: str) -> int:
        return super().stream(name if name in ("folds", "inner") else f"sham/{name}")


@dataclass(frozen=True)
class Arm:
    kind: type[Run] = Run
    image: int = 0  # which of a patient's two
    rate: float = RATE
    every: int = 1  # trained in each study, or in some
    what: str = ""


ARMS = {
    "first": Arm(what="the logistic loss, with which the others are compared"),
    "sham": Arm(kind=Sham, what="the same with other initial weights and another order of cases: only luck differs"),
    "other": Arm(
        image=1,
        what="the same training on a second image of each patient, which owes the first nothing but the class: each arm"
        " suits other patients and is taught other things by them, as two losses are, and neither is better",
    ),
    "slow": Arm(
        rate=RATE / 1000,
        every=3,
        what="a thousandth of the learning rate, which is worse by a known difference; in every third study",
    ),
}


def patients(seed: int, cases: int = PATIENTS) -> Nodules:
    return Nodules(cases=cases, size=SIZE, shape=0.9, texture=0.9, seed=seed)


def images(study: int) -> tuple[Cases, Cases]:
    """Two images of each patient of a study, which have nothing in common but the class."""
    first, more = patients(2 * study).load(), patients(2 * study + 1, 2 * PATIENTS).load()
    unused = {y: iter((more.labels == y).nonzero()[:, 0].tolist()) for y in (0, 1)}
    return first, more.subset([next(unused[y]) for y in first.labels.tolist()])


def score(arm: Arm, cases: Cases, design: Design, fold: int, seed: int) -> tuple[float, int]:
    """Train; the score on the test part, and how many patients that has."""
    stages = [{"epochs": EPOCHS, "batch": BATCH}]
    training = Training.model_validate({"optimizer": Adam(lr=arm.rate), "stages": stages, "device": "cpu"})
    run = arm.kind(
        loss=Logistic(), data=patients(0), digest="", network=NETWORK, design=design, fold=fold, seed=seed,
        training=training,
    )  # fmt: skip
    split = run.split(cases)
    return METRIC.value(train(run, cases, split, CPU).test, cases.truth(split.fold.test), cases.task), split.n_test


def study(number: int, seeds: int = SEEDS) -> dict[str, Any]:
    """Scores of every arm and numbers of patients tested, [seed][fold]. No two studies share a seed."""
    shown, design = images(number), Design.model_validate({"folds": FOLDS, "seeds": seeds})
    found = {
        name: [
            [score(arm, shown[arm.image], design, fold, number * SEEDS + seed) for fold in range(FOLDS)]
            for seed in range(seeds)
        ]
        for name, arm in ARMS.items()
        if number % arm.every == 0
    }
    scores = {name: [[value for value, _ in row] for row in rows] for name, rows in found.items()}
    return {"study": number, "scores": scores, "n_test": [[n for _, n in row] for row in found["first"]]}


def draw(number: int, test: Cases) -> dict[str, Any]:
    """Slow minus first on a training set of its own, as large as that of a fold, and a test set for all."""
    training_set = patients(10**6 + number, PATIENTS - PATIENTS // FOLDS).load()
    cases, design = joined(training_set, test), Design.model_validate({"draws": 1})
    first, slow = (score(ARMS[name], cases, design, 0, 10**6 + number)[0] for name in ("first", "slow"))
    return {"draw": number, "difference": slow - first}


def read(file: Path) -> tuple[dict[int, dict[str, Any]], dict[int, float]]:
    """Studies and draws by number. A line that was cut off is done again."""
    studies, draws = {}, {}
    for line in file.read_text().splitlines() if file.exists() else []:
        try:
            one = json.loads(line)
        except ValueError:
            continue
        if one["settings"] != SETTINGS:
            sys.exit(f"{file} has studies with other settings, {one['settings']}; name another file")
        if "study" in one:
            studies[one["study"]] = one
        else:
            draws[one["draw"]] = one["difference"]
    return studies, draws


def compute(file: Path, studies: int, draws: int) -> None:
    """Whatever is missing, a line each."""
    done, drawn = read(file)
    test = patients(10**6 - 1, TRUTH).load()
    todo = [lambda n=n: draw(n, test) for n in range(draws) if n not in drawn]
    todo += [lambda n=n: study(n) for n in range(studies) if n not in done]
    with file.open("a") as out:
        for at, one in enumerate(todo, 1):
            start = monotonic()
            found = one()
            found |= {"settings": SETTINGS, "seconds": round(monotonic() - start, 2)}
            out.write("\n" * (out.tell() > 0 and at == 1) + json.dumps(found) + "\n")
            out.flush()
            if at % 10 == 0 or at == len(todo):
                print(f"{at} of {len(todo)}", file=sys.stderr, flush=True)


# what came of it


@dataclass(frozen=True)
class Judged:
    """One study, one arm against the first."""

    comparison: Comparison
    naive: float  # p of a paired t over all pairs of fold and seed


def judged(one: dict[str, Any], arm: str, design: Literal["refold", "fixed"], seeds: int, rope: float) -> Judged:
    scores = np.array([one["scores"]["first"], one["scores"][arm]])[:, :seeds]
    cell = Cell(folds=FOLDS, seeds=seeds, rope=rope, design=design)
    verdict = judge(rows_of(scores, np.array(one["n_test"])[:seeds], PATIENTS), plan_of(cell))
    naive = stats.ttest_rel(scores[1].ravel(), scores[0].ravel()).pvalue  # nan, which is no alarm, where all are equal
    return Judged(verdict.comparisons[0], float(naive))


def having(studies: dict[int, dict[str, Any]], arm: str) -> list[dict[str, Any]]:
    return [one for one in studies.values() if arm in one["scores"]]


def share(count: int, of: int) -> str:
    """In per cent, with the exact interval of Clopper and Pearson."""
    low, high = stats.binomtest(count, of).proportion_ci(method="exact")
    return f"{100 * count / of:.1f} % ({100 * low:.1f} to {100 * high:.1f})"


def lines(studies: dict[int, dict[str, Any]], truth: float) -> Iterator[str]:
    names = ("arm", "design", "rope", "studies", "better", "worse", "equal")
    shares = ("better or worse", "interval holds the truth", "naive t, p < 0.05")
    yield f"| {' | '.join(names + shares)} |"
    yield "|---|---|" + "---:|" * 8
    for arm, true in (("sham", 0.0), ("other", 0.0), ("slow", truth)):
        for design, seeds in DESIGNS:
            for rope in (0.0, ROPE):
                found = [judged(one, arm, design, seeds, rope) for one in having(studies, arm)]
                said = [one.comparison.decision for one in found]
                better, worse, equal = (said.count(word) for word in ("better", "worse", "equal"))
                held = sum(one.comparison.low <= true <= one.comparison.high for one in found)
                naive = sum(one.naive < 0.05 for one in found)
                yield (
                    f"| {arm} | {design}, {FOLDS} x {seeds} | {rope:g} | {len(said)} | {better} | {worse} | {equal}"
                    f" | {share(better + worse, len(said))} | {share(held, len(said))} | {share(naive, len(said))} |"
                )


def spreads(studies: dict[int, dict[str, Any]]) -> Iterator[str]:
    yield "| arm | design | mean difference | its standard deviation over studies | standard error said, rms |"
    yield "|---|---|---:|---:|---:|"
    for arm in ("sham", "other", "slow"):
        for design, seeds in DESIGNS:
            found = [judged(one, arm, design, seeds, 0.0).comparison for one in having(studies, arm)]
            differences = [one.difference for one in found]
            error = sqrt(fmean(one.standard_error**2 for one in found))
            yield (
                f"| {arm} | {design}, {FOLDS} x {seeds} | {fmean(differences):+.4f}"
                f" | {stdev(differences):.4f} | {error:.4f} |"
            )


def page(studies: dict[int, dict[str, Any]], draws: dict[int, float]) -> Iterator[str]:
    truth, error = fmean(draws.values()), stdev(draws.values()) / sqrt(len(draws))
    score = np.array([one["scores"]["first"] for one in studies.values()])
    seconds = sum(one["seconds"] for one in studies.values())
    runs = sum(len(one["scores"]) for one in studies.values()) * FOLDS * SEEDS
    yield from ("# A verdict on real training: how often it errs", "")
    yield from (f"- **{name}**: {arm.what}" for name, arm in ARMS.items())
    yield (
        "\nSham and other should be called better or worse in at most 5 % of studies, and the interval should hold the"
        " true difference in at least 95 %. The last column is a plain paired t over all pairs of fold and seed.\n"
    )
    yield from (f"{len(studies)} studies of fresh patients, {runs} trained networks, {seconds / runs:.2f} s each.", "")
    yield from lines(studies, truth)
    yield from ("", "Shares of studies; in brackets their exact 95 % intervals (Clopper and Pearson).", "")
    yield from spreads(studies)
    yield (
        f"\nTrue difference of slow: {truth:+.4f} (standard error {error:.4f}), the mean over {len(draws)} independent"
        f" training sets of {PATIENTS - PATIENTS // FOLDS} patients, tested on {TRUTH}."
        f" First arm: mean {METRIC.title} {score.mean():.3f}.\n"
    )
    yield (
        f"Each study: {PATIENTS} patients of `{patients(0)!r}` with a seed of its own, `{NETWORK!r}`,"
        f" `{Adam(lr=RATE)!r}`, {EPOCHS} epochs of batch {BATCH}, inner split 0.2, {METRIC.title}.\n"
    )
    yield (
        f"Computed on {platform.machine()}, CPU, one thread, Python {platform.python_version()},"
        f" torch {torch.__version__}, numpy {np.__version__}, scipy {scipy.__version__}, beside"
        " other work. The same command goes on, or prints the page again:\n"
    )
    size = f"--studies {len(studies)} --draws {len(draws)}"
    yield f"    python -m benchmarks.aa {size} --file aa.jsonl > docs/results/aa.md"


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--studies", type=int, default=300)
    parser.add_argument("--draws", type=int, default=150, help="training sets by which the true difference is known")
    parser.add_argument("--file", type=Path, default=Path("aa.jsonl"), help="a line for each study")
    options = parser.parse_args()
    torch.set_num_threads(1)
    compute(options.file, options.studies, options.draws)
    print("\n".join(page(*read(options.file))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
