"""What the studies `cad` and `cad-noise` say about the findings of paper 000 (Barbu et al.), as Markdown.

whichloss run cad-noise --set design.draws=20 --set 'stress.label_noise=[0.0, 0.2]' --name cad-20
python -m benchmarks.paper_000 whichloss-runs/studies/cad-20/results.csv > docs/results/cad.md

Every claim is a difference of two losses on the same draw. Intervals are 95 % of a paired t over draws, each by itself; the
verdict of the study, which holds all comparisons with the baseline together, is `whichloss report`'s.
"""

import csv
import sys
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean, stdev

from scipy import stats

AREA, AT_3 = "FrocArea(up_to=10.0, count='lesion', by='steps', views='mean')", "SensitivityAt(fp_per_volume=3.0"
NAMES = {"Logistic": "logistic", "SmoothHinge": "smooth hinge", "Lorenz": "Lorenz", "Tangent": "tangent"}
PUBLISHED = {"logistic": "0.698", "Lorenz": "0.713"}
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


def main() -> None:
    found = read(Path(sys.argv[1]))
    for stress in sorted({stress for _, _, stress in found}):
        at_3 = next(table for (metric, split, here), table in found.items()
                    if metric.startswith(AT_3) and split == "test" and here == stress)  # fmt: skip
        title = f"With {stress}" if stress else "Clean labels"
        print("\n".join(section(title, found[AREA, "test", stress], found[AREA, "train", stress], at_3)))


if __name__ == "__main__":
    main()
