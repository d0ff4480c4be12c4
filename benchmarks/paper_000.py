"""What studies of paper 000 (Barbu et al.) say about its findings, as Markdown: docs/results/cad.md is its output.

    whichloss run cad-noise --set design.draws=20 --set 'stress.label_noise=[0.0, 0.2]' --name cad-20
    whichloss run cad-hinge --set design.draws=1 --set 'data=LymphNodePhantom(test_volumes=8)' --name cad-hinge-1
    python -m benchmarks.paper_000 whichloss-runs > docs/results/cad.md

Every claim is a difference of two losses on the same draw. Intervals are 95 % of a paired t over draws, each by itself;
the verdict of a study, which holds all comparisons with the baseline together, is on its page.
"""

import csv
import json
import sys
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, median, stdev

import numpy as np
import torch
from scipy import stats

from whichloss.data.lymph_node_phantom import LymphNodePhantom
from whichloss.metrics.detection.froc_area import FrocArea
from whichloss.metrics.detection.sensitivity_at import SensitivityAt

AREA, AT_3 = "FrocArea(up_to=10.0, count='lesion', by='steps', views='mean')", "SensitivityAt(fp_per_volume=3.0"
NAMES = {"Logistic": "logistic", "SmoothHinge": "smooth hinge", "Lorenz": "Lorenz", "Tangent": "tangent"}
PUBLISHED = {"logistic": "0.698", "Lorenz": "0.713"}
ROPE = 0.01
Table = dict[str, dict[int, float]]  # loss -> draw -> value


def read(path: Path) -> dict[tuple[str, str, str], Table]:
    """By metric, split and stress."""
    found: dict[tuple[str, str, str], Table] = defaultdict(lambda: defaultdict(dict))
    with path.open(newline="") as file:
        for row in csv.DictReader(file):
            loss = NAMES[row["loss"].partition("(")[0]]
            if row["value"]:
                found[row["metric"], row["split"], row["stress"]][loss][int(row["seed"])] = float(row["value"])
    return found


def paired(first: dict[int, float], second: dict[int, float]) -> list[float]:
    return [first[draw] - second[draw] for draw in sorted(first.keys() & second.keys())]


def told(differences: Sequence[float]) -> str:
    """Mean, interval and p."""
    n, mean = len(differences), fmean(differences)
    error = stdev(differences) / n**0.5
    reach = stats.t.ppf(0.975, n - 1) * error
    p = 2 * stats.t.sf(abs(mean) / error, n - 1) if error else float("nan")
    return f"{mean:+.4f} ({mean - reach:+.4f} to {mean + reach:+.4f}), p = {p:.2g}"


def section(title: str, area: Table, train: Table, at_3: Table) -> list[str]:
    gap = {loss: {draw: train[loss][draw] - one for draw, one in by.items()} for loss, by in area.items()}
    lines = [f"## {title}", "", "| loss | FROC area | sensitivity at 3 | on what was trained on | gap | paper |",
             "|---|---:|---:|---:|---:|---:|"]  # fmt: skip
    for loss in area:
        cells = [f"{fmean(table[loss].values()):.4f}" for table in (area, at_3, train, gap)]
        lines.append(f"| {loss} | {' | '.join(cells)} | {PUBLISHED.get(loss, '')} |")
    draws = len(next(iter(area.values())))
    claims = [
        ("Lorenz above logistic", area, "Lorenz", "logistic"),
        ("smooth hinge above logistic", area, "smooth hinge", "logistic"),
        ("Lorenz not below smooth hinge", area, "Lorenz", "smooth hinge"),
        ("logistic above tangent", area, "logistic", "tangent"),
        ("gap: logistic above smooth hinge", gap, "logistic", "smooth hinge"),
        ("gap: Lorenz above smooth hinge", gap, "Lorenz", "smooth hinge"),
        ("gap: tangent above logistic", gap, "tangent", "logistic"),
        ("gap: tangent above Lorenz", gap, "tangent", "Lorenz"),
    ]
    lines += ["", f"| the paper's ordering | difference over {draws} draws | |", "|---|---|---|"]
    for claim, table, first, second in claims:
        differences = paired(table[first], table[second])
        lines.append(f"| {claim} | {told(differences)} | {verdict(differences)} |")
    return [*lines, ""]


def verdict(differences: Sequence[float]) -> str:
    n, mean = len(differences), fmean(differences)
    reach = stats.t.ppf(0.975, n - 1) * stdev(differences) / n**0.5
    return "holds" if mean > reach else "the reverse holds" if mean < -reach else "not shown"


# the paper's Table 1


@dataclass
class Search:
    """What one loss did at each rate and batch, mean over draws."""

    area: dict[tuple[float, int], float]  # on the inner split, last epoch
    reached: dict[tuple[float, int], list[list[float]]]  # the same by epoch, of each draw


def searches(store: Path) -> dict[str, Search]:
    """From the grid of `cad-hinge`; the published default is one of its points, too."""
    values: dict[str, dict[tuple[float, int], list[float]]] = defaultdict(lambda: defaultdict(list))
    curves: dict[str, dict[tuple[float, int], list[list[float]]]] = defaultdict(lambda: defaultdict(list))
    with (store / "studies" / "cad-hinge-1" / "tuning.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            settings = json.loads(row["settings"])
            if not settings:
                continue
            at = settings["training.lr"], settings["training.batch"]
            values[row["loss"]][at].append(float(row["inner"] or 0))
            record = json.loads((store / "runs" / row["run"][:2] / row["run"] / "record.json").read_text())
            curves[row["loss"]][at].append([epoch["inner"] for epoch in record.get("curve", [])])
    return {loss: Search({at: fmean(one) for at, one in by.items()}, curves[loss]) for loss, by in values.items()}


def table_1(found: dict[str, Search]) -> list[str]:
    """Rates that do, and epochs to a target, of each loss at either batch."""
    best = max(max(one.area.values()) for one in found.values())
    target = 0.9 * best
    lines = [
        "## Rates, batches and epochs",
        "",
        f"The best inner FROC area of all is {best:.3f}; the target is 90 % of it, {target:.3f}. A rate will do where"
        f" the area is within {ROPE} of the loss's own best at that batch. Epochs are those of the rate that gets there"
        " first; medians over draws.",
        "",
        "| loss | batch | best area | at rate | rates that do | epochs to the target |",
        "|---|---:|---:|---:|---|---:|",
    ]
    for loss, one in found.items():
        for batch in sorted({batch for _, batch in one.area}):
            area = {rate: value for (rate, b), value in one.area.items() if b == batch}
            top = max(area, key=lambda rate: area[rate])
            do = [rate for rate in sorted(area) if area[rate] >= area[top] - ROPE]
            first = min(epochs(one.reached[rate, batch], target) for rate in area)
            told = f"{first:g}" if first < float("inf") else "not reached"
            lines.append(f"| `{label(loss)}` | {batch} | {area[top]:.3f} | {top:g} |"
                         f" {', '.join(f'{rate:g}' for rate in do)} | {told} |")  # fmt: skip
    return [*lines, ""]


def epochs(curves: Sequence[Sequence[float]], target: float) -> float:
    """The median over draws of the first epoch that reaches the target."""
    first = [next((at for at, value in enumerate(one, 1) if value >= target), float("inf")) for one in curves]
    return median(first)


def label(text: str) -> str:
    name, _, rest = text.partition("(")
    width = rest.partition("half_width=")[2].partition(",")[0]
    return name + (f"(half_width={width})" if width else "")


def robustness(clean: Table, noisy: Table) -> list[str]:
    """What flips cost, and ranks with percentile intervals over resampled draws."""
    lines = [
        "## What 20 % flips cost, and ranks",
        "",
        "| loss | drop of the FROC area | mean rank, clean | mean rank, 20 % flips |",
        "|---|---|---|---|",
    ]
    for loss in clean:
        drop = told(paired(clean[loss], noisy[loss])).partition(", p")[0]
        lines.append(f"| {loss} | {drop} | {rank(clean, loss)} | {rank(noisy, loss)} |")
    return [*lines, ""]


def rank(area: Table, loss: str) -> str:
    draws = sorted(area[loss])
    ranks = np.array([1 + sum(one[draw] > area[loss][draw] for one in area.values()) for draw in draws])
    again = np.random.default_rng(0).choice(ranks, (10_000, len(ranks))).mean(1)
    low, high = np.percentile(again, [2.5, 97.5])
    return f"{ranks.mean():.2f} ({low:.2f} to {high:.2f})"


INTRODUCTION = """# Paper 000's findings on the phantom

Barbu et al. report for lymph nodes in CT (six folds): FROC area up to 10 false positives per volume 0.698 for the
logistic loss and 0.713 for Lorenz, p = 0.028 by a paired t over folds. Folds share training patients; corrected for
that (Nadeau and Bengio), t = 2.065 with 5 degrees of freedom, **p = 0.094**. They report the order Lorenz, smooth
hinge, logistic and tangent (last two close), the smallest gap between training and test for the smooth hinge and the
largest for tangent.

Here each draw is a new training set of 24 volumes of `LymphNodePhantom`, tested on one set of 80 volumes, so that
draws are independent and a paired t over them needs no correction. Made by `benchmarks/paper_000.py`, which says how.
"""


def reader() -> str:
    """Of candidates ranked by what tells the classes apart, which no network is shown."""
    cases = LymphNodePhantom(volumes=24, test_volumes=80, views=5).load_draw(0)
    tested = [at for at, side in enumerate(cases.sides) if side == "test"]
    score = -torch.tensor([cases.columns["elongation"][at] for at in tested])[:, None]
    areas = [metric.value(score, cases.truth(tested), cases.task) for metric in (FrocArea(), SensitivityAt())]
    return (
        "A reader who is told the elongation of each structure, and ranks by it, scores"
        f" {areas[0]:.4f}, and finds {areas[1]:.4f} at 3 false positives per volume."
    )


def main() -> None:
    store = Path(sys.argv[1])
    found = read(store / "studies" / "cad-20" / "results.csv")
    best = max(max(one.values()) for (metric, split, _), by in found.items()
               if (metric, split) == (AREA, "test") for one in by.values())  # fmt: skip
    print(INTRODUCTION)
    print(reader(), f"The best single network below has {best:.4f}.\n")
    areas = {}
    for stress in sorted({stress for _, _, stress in found}):
        at_3 = next(table for (metric, split, here), table in found.items()
                    if metric.startswith(AT_3) and split == "test" and here == stress)  # fmt: skip
        title = f"With {stress}" if stress else "Clean labels"
        areas[stress] = found[AREA, "test", stress]
        print("\n".join(section(title, areas[stress], found[AREA, "train", stress], at_3)))
    print("\n".join([*robustness(*areas.values()), *table_1(searches(store))]))


if __name__ == "__main__":
    main()
