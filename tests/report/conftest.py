"""A small made-up study, and ways to bend it."""

from collections.abc import Callable
from dataclasses import replace
from math import exp
from typing import Any

import pytest

from whichloss.report import Curve, Record

QUESTION = "Does bounding the penalty of wrong cases raise sensitivity at a few false positives per volume?"
REASON = "more seeds cannot settle this; about 140 patients would"
BASELINE = "Logistic(lift='one_versus_rest')"
LOSSES = {  # text: label, mean, difference, low, high, decision, at half the rope, at twice
    BASELINE: ("Logistic", 0.7412, None, None, None, None, None, None),
    "Lorenz()": ("Lorenz", 0.7893, 0.0481, 0.0213, 0.0749, "better", "better", "better"),
    "SmoothHinge(half_width=0.1)": (
        "SmoothHinge",
        0.7431,
        0.0019,
        -0.0061,
        0.0099,
        "equal",
        "undecided",
        "equal",
    ),
    "Tangent()": ("Tangent(form='original')", 0.7298, -0.0114, -0.0433, 0.0205, *("undecided",) * 3),
    "AdaptiveLog(Dice(over='batch', smooth=0.5), threshold=0.1)": (
        "AdaptiveLog(Dice(over='batch', smooth=0.5), threshold=0.1)",
        0.7002,
        -0.0410,
        -0.0667,
        -0.0153,
        "worse",
        "worse",
        "worse",
    ),
}


def a_loss(text: str, label: str, mean: float | None) -> dict[str, Any]:
    best = text in ("Lorenz()", "Tangent()")
    sd = 0.0213 if mean is not None else None
    return {"loss": text, "label": label, "mean": mean, "sd": sd, "runs": 6, "failed": 0, "in_best_set": best}


def a_comparison(text: str, row: tuple[Any, ...]) -> dict[str, Any]:
    label, _, difference, low, high, decision, half, double = row
    return {
        "loss": text,
        "label": label,
        "difference": difference,
        "standard_error": 0.00817,
        "df": 5,
        "low": low,
        "high": high,
        "decision": decision,
        "reason": REASON if decision == "undecided" else "",
        "decision_half_rope": half,
        "decision_double_rope": double,
        "pairs": 6,
        "failed_pairs": 0,
        "without_failures": None,
    }


def a_verdict() -> dict[str, Any]:
    verdict = {
        "study": "lorenz_nodes",
        "question": QUESTION,
        "interim": False,
        "primary": "FrocArea(up_to=10)",
        "primary_label": "FROC area",
        "unit": "",
        "higher_is_better": True,
        "baseline": BASELINE,
        "baseline_label": "Logistic",
        "rope": 0.01,
        "confidence": 0.95,
        "design": {
            "kind": "folds re-drawn per seed",
            "folds": 3,
            "seeds": 2,
            "pairs": 6,
            "n_train": 48,
            "n_test": 24,
            "df": 5,
        },
        "cell": {"data": "LymphNodePhantom(volumes=24)", "network": "ViewNet()", "stress": "label_noise=0.2"},
        "losses": [a_loss(text, *row[:2]) for text, row in LOSSES.items()],
        "comparisons": [a_comparison(text, row) for text, row in LOSSES.items() if text != BASELINE],
        "best_set": ["Lorenz()", "Tangent()"],
        "sentences": [
            "Lorenz is better than Logistic by 0.048 in FROC area (0.021 to 0.075), SmoothHinge is equal "
            "to it, AdaptiveLog is worse, and Tangent is undecided.",
            "Lorenz and Tangent cannot be told from the best.",
        ],
        "warnings": ["One run of Tangent diverged; the verdict is the same without it."],
    }
    verdict["losses"][3]["failed"] = 1
    tangent = verdict["comparisons"][2]
    tangent["failed_pairs"] = 1
    tangent["without_failures"] = {
        "difference": -0.0031,
        "low": -0.0287,
        "high": 0.0225,
        "decision": "undecided",
    }
    return verdict


def a_row(loss: str, metric: str, unit: str, stress: str, seed: int, value: float) -> dict[str, Any]:
    return {
        "study": "lorenz_nodes",
        "run": f"{list(LOSSES).index(loss)}{seed}",
        "loss": loss,
        "data": "LymphNodePhantom(volumes=24)",
        "network": "ViewNet()",
        "fold": "0",
        "seed": str(seed),
        "stress": stress,
        "split": "test",
        "metric": metric,
        "unit": unit,
        "value": f"{value:.6f}",
        "n_train": "48",
        "n_test": "24",
    }


def some_results() -> tuple[dict[str, Any], ...]:
    return tuple(
        a_row(loss, metric, unit, stress, seed, base + 0.011 * i + 0.004 * seed)
        for stress in ("label_noise=0.2", "label_noise=0.0")
        for metric, unit, base in (
            ("FrocArea(up_to=10)", "", 0.7),
            ("SensitivityAt(fp_per_volume=3)", "%", 61.0),
            ("Hausdorff95()", "mm", 4.2),
        )
        for i, loss in enumerate(LOSSES)
        for seed in range(6)
    )


def a_curve(title: str, label: str, rate: float) -> Curve:
    x = tuple(i / 2 for i in range(21))
    mean = tuple(1 - exp(-rate * t) for t in x)
    return Curve(
        title,
        "false positives per volume",
        "sensitivity",
        label,
        x,
        mean,
        tuple(0.94 * y for y in mean),
        tuple(min(1.0, 1.05 * y) for y in mean),
    )


@pytest.fixture
def record() -> Record:
    labels = [row[0] for row in LOSSES.values()]
    return Record(
        study="lorenz_nodes",
        question=QUESTION,
        verdict=a_verdict(),
        results=some_results(),
        costs=tuple(
            {
                "loss": label,
                "runs": 6,
                "seconds_mean": 61.3 + 4.7 * i,
                "seconds_sd": 2.9,
                "peak_memory_mib": 512 + 32 * i,
            }
            for i, label in enumerate(labels)
        ),
        curves=tuple(
            a_curve(title, label, 0.35 + 0.08 * i)
            for title in ("FROC on the test volumes", "Sensitivity while training")
            for i, label in enumerate(labels)
        ),
        failures=(
            {
                "run": "3f9a01c2",
                "loss": "Tangent()",
                "fold": 1,
                "seed": 0,
                "outcome": "diverged",
                "message": "loss is NaN at step 412\n  last finite value 3.1e+38 (learning rate 0.1)",
            },
        ),
        provenance={
            "Data": {"LymphNodePhantom(volumes=24)": "sha256 " + 8 * "7d1c0e2f"},
            "Protocol": {
                "Tuning": "8 trials per loss on the inner split",
                "Selection": "FROC area, inner split",
            },
            "Versions": {"whichloss": "0.1.0", "torch": "2.13.0"},
            "Machine": {"CPU": "16 cores", "GPU": "none"},
        },
        study_text="question: Does bounding the penalty help?\nlosses: [Logistic(), Lorenz()]\nrope: 0.01\n",
        labels={
            "SensitivityAt(fp_per_volume=3)": "Sensitivity at 3 FP per volume",
            "Hausdorff95()": "Hausdorff 95",
        },
    )


@pytest.fixture
def with_verdict(record: Record) -> Callable[..., Record]:
    """The record, some keys of its verdict replaced."""
    return lambda **changes: replace(record, verdict={**record.verdict, **changes})
