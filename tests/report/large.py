"""A study as large as they come: 20 losses, 10 folds, 3 seeds, every kind of curve, pictures and tuning."""

import io
from dataclasses import replace
from typing import Any

import numpy as np
from PIL import Image

from whichloss.report import Curve, Picture, Recipe, Record

LOSSES = 20
FOLDS, SEEDS = 10, 3
METRICS = {
    "RocAuc()": "ROC AUC", "PrecisionRecallArea()": "Area under precision and recall", "Brier()": "Brier score",
    "Accuracy(threshold='tuned')": "Accuracy", "Recall(threshold='tuned')": "Recall (sensitivity)",
    "Specificity(threshold='tuned')": "Specificity", "Hausdorff95()": "Hausdorff 95, lower is better",
}  # fmt: skip


def labels() -> list[str]:
    """Some short, some long."""
    named = ["Logistic", "Hinge", "SquaredHinge", "Lorenz", "Savage", "Tangent(form='original')", "Dice", "Jaccard"]
    mixed = [f"Tversky(fp={at / 10:.1f}, fn={1 - at / 10:.1f})" for at in range(1, 7)]
    long = [f"AdaptiveLog(Dice(over='batch', smooth={at / 4}), threshold=0.1)" for at in range(1, 5)]
    return [*named, *mixed, *long, "0.5 * CrossEntropy + 0.5 * Dice(over='batch')", "Focal(gamma=2.0, alpha=0.25)"]


def large(record: Record) -> Record:
    """record: a small one, whose shape is kept."""
    chance = np.random.default_rng(0)
    names = labels()
    texts = {name: f"{name}#{at}" for at, name in enumerate(names)}
    verdict: dict[str, Any] = dict(record.verdict)
    first, rival = verdict["losses"][0], verdict["comparisons"][0]
    shift = {name: float(at) / 200 - 0.05 for at, name in enumerate(names)}
    verdict |= {
        "losses": [{**first, "loss": texts[one], "label": one, "mean": 0.8 + shift[one], "runs": FOLDS * SEEDS,
                    "in_best_set": shift[one] > 0.03} for one in names],
        "comparisons": [
            {**rival, "loss": texts[one], "label": one, "difference": shift[one], "low": shift[one] - 0.02,
             "high": shift[one] + 0.02, "decision": "better" if shift[one] > 0.02 else "undecided"}
            for one in names[1:]
        ],
        "baseline": texts[names[0]], "baseline_label": names[0],
        "design": {**verdict["design"], "folds": FOLDS, "seeds": SEEDS, "pairs": FOLDS * SEEDS, "df": 29},
    }  # fmt: skip
    runs = [(name, fold, seed) for name in names for fold in range(FOLDS) for seed in range(SEEDS)]
    rows = tuple(
        {**record.results[0], "loss": texts[name], "fold": str(fold), "seed": str(seed), "split": split,
         "metric": metric, "stress": stress, "value": repr(float(chance.normal(0.8, 0.03)))}
        for name, fold, seed in runs for metric in METRICS for split in ("test", "train") for stress in ("", "noise")
    )  # fmt: skip
    return replace(
        record,
        verdict=verdict,
        results=rows,
        labels={text: name for name, text in texts.items()} | METRICS,
        costs=tuple({**record.costs[0], "loss": name, "runs": FOLDS * SEEDS} for name in names),
        curves=tuple(curves(names, chance)),
        failures=tuple(
            {**record.failures[0], "loss": texts[name], "fold": fold, "seed": seed} for name, fold, seed in runs[::3]
        ),
        recipes=tuple(
            Recipe(texts[name], "Lorenz()", "SGD", {"lr": 0.01}, "segmentation", 2, 1, fold=fold, seed=seed,
                   settings={"training.lr": float(chance.lognormal()), "training.batch": int(chance.integers(1, 4))},
                   inner=float(chance.random()))
            for name, fold, seed in runs
        ),
        pictures=tuple(pictures(chance)),
        provenance={
            **record.provenance,
            "Runs": {f"{at:012x}": f"{name}, fold {fold}, seed {seed}" for at, (name, fold, seed) in enumerate(runs)},
        },
    )  # fmt: skip


def curves(names: list[str], chance: np.random.Generator) -> list[Curve]:
    rates, epochs = np.linspace(0, 1, 101), np.arange(1.0, 301.0)
    wide, trials, margins = np.linspace(0, 10, 101), np.arange(30.0), np.linspace(-3, 2, 121)
    drawn: list[list[Curve]] = []
    for at, name in enumerate(names):
        steep = 2 + at / 2
        learning = 0.9 - 0.4 * np.exp(-epochs / (10 + at)) + chance.normal(0, 0.004, len(epochs))
        found = np.maximum.accumulate(chance.random(30))
        shapes = {
            "Learning curves": (epochs, learning, 0.02, ()),
            "Cases that teach nothing": (epochs, 1 - np.exp(-epochs / (3 * steep)), 0.01, ()),
            "ROC curves": (rates, rates ** (1 / steep), 0.03, ()),
            "FROC curves": (wide, 1 - np.exp(-steep * wide / 4), 0.04, (0.5, 1.0, 2.0, 4.0, 8.0)),
            "FROC curves of what was trained on": (wide, 1 - np.exp(-steep * wide), 0.01, (0.5, 1.0, 2.0, 4.0, 8.0)),
            "Under noisy labels": (np.linspace(0, 0.4, 5), 0.9 - at / 100 - np.linspace(0, 0.4, 5) ** 2, 0.02, ()),
            "Under fewer cases": (np.linspace(0.1, 1, 5), 0.9 - 0.1 / np.linspace(0.1, 1, 5), 0.02, ()),
            "Tuning": (trials, found, 0.05, ()),
            "The losses by margin": (margins, np.log1p(np.exp(-steep * margins)), 0.0, ()),
            "Their slopes by margin": (margins, -steep / (1 + np.exp(steep * margins)), 0.0, ()),
        }
        of_loss = []
        for title, (x, y, spread, marks) in shapes.items():
            lines = (x, y, y - spread * (1 + np.sin(x)), y + spread * (1 + np.cos(x)))
            of_loss.append(Curve(title, "x", "y", name, *(tuple(map(float, one)) for one in lines), marks=marks))
        drawn.append(of_loss)
    return [curve for same_title in zip(*drawn, strict=True) for curve in same_title]


def pictures(chance: np.random.Generator) -> list[Picture]:
    """Of the size that studies make; noise, which no compression makes smaller."""
    sheets = [("Candidates", (300, 620))] + [(f"Case {at}", (288, 2000)) for at in range(6)]
    made = []
    for title, size in sheets:
        file = io.BytesIO()
        Image.fromarray(chance.integers(0, 256, (*size, 3), dtype=np.uint8)).save(file, format="PNG")
        made.append(Picture(title, "Image, truth, and what the losses marked.", file.getvalue()))
    return made
