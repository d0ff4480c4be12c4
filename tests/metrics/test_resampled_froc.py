"""FROC curves of resampled volumes against one drawn volume by volume."""

import numpy as np
import pytest
import torch

from whichloss.core import Candidates, Task
from whichloss.metrics.detection.froc_area import FrocArea
from whichloss.metrics.detection.resample import resampled, resampled_area
from whichloss.metrics.detection.sensitivity_at import SensitivityAt

TASK = Task(kind="detection", classes=("no lesion", "lesion"), size=(2, 2))
RATES = np.linspace(0, 10, 41)


def scene(seed: int, volumes: int = 6, each: int = 9, ties: bool = True) -> tuple[torch.Tensor, torch.Tensor]:
    """Two views of each candidate; two candidates hit a lesion; one volume misses a lesion."""
    draw = np.random.default_rng(seed)
    names = [f"{volume}/{at}" for volume in range(volumes) for at in range(each) for _ in range(2)]
    lesion = ["" if at >= 4 else f"l{at // 2}" for _ in range(volumes) for at in range(each) for _ in range(2)]
    candidates = Candidates(
        candidate=tuple(names), volume=tuple(name.split("/")[0] for name in names), lesion=tuple(lesion),
        missed=(("1", "far away"),),
    )  # fmt: skip
    labels = torch.tensor([int(bool(one)) for one in lesion])
    logits = draw.normal(labels.numpy() * 0.8, 1.0)
    logits = torch.from_numpy(np.round(logits, 0) if ties else logits)[:, None]
    return logits, candidates.truth(labels, range(len(names)))


@pytest.mark.parametrize("seed", range(5))
def test_the_data_themselves(seed: int) -> None:
    logits, labels = scene(seed)
    line, _ = resampled(logits, labels, RATES, 2, seed=0)
    metrics = [SensitivityAt(fp_per_volume=max(rate, 1e-9)) for rate in RATES.tolist()]
    assert line == pytest.approx([one.value(logits, labels, TASK) for one in metrics])
    fine = np.linspace(0, 10, 4001)
    area = resampled(logits, labels, fine, 1, seed=0)[0][:-1].mean()
    assert area == pytest.approx(FrocArea().value(logits, labels, TASK), abs=2e-3)


@pytest.mark.parametrize("seed", range(5))
def test_a_resample_is_a_curve_of_volumes_drawn_with_replacement(seed: int) -> None:
    logits, labels = scene(seed)
    _, lines = resampled(logits, labels, RATES, 3, seed=seed)
    _, areas = resampled_area(logits, labels, 4.0, 3, seed)
    drawn = np.random.default_rng(seed).multinomial(6, np.full(6, 1 / 6), size=3)
    for line, area, times in zip(lines, areas, drawn, strict=True):
        rows, answers, missed, copy = [], [], [], 0
        for volume, count in enumerate(times.tolist()):
            for _ in range(count):
                copy += 1
                for at, row in enumerate(labels.tolist()):
                    if row[2] == volume:
                        renamed = [row[0], row[1] + 1000 * copy, copy, row[3] if row[3] < 0 else row[3] + 1000 * copy]
                        if at < len(logits):
                            rows.append(renamed)
                            answers.append(float(logits[at]))
                        else:
                            missed.append([1, -1, copy, renamed[3]])
        table, given = torch.tensor(rows + missed), torch.tensor(answers, dtype=torch.float64)[:, None]
        metrics = [SensitivityAt(fp_per_volume=max(rate, 1e-9)) for rate in RATES.tolist()]
        assert line == pytest.approx([one.value(given, table, TASK) for one in metrics])
        assert area == pytest.approx(FrocArea(up_to=4.0).value(given, table, TASK))


def test_many_resamples_are_taken_in_parts() -> None:
    logits, labels = scene(3)
    value, areas = resampled_area(logits, labels, 10.0, 700, seed=1)
    assert value == pytest.approx(FrocArea().value(logits, labels, TASK))
    assert len(areas) == 700 and areas[:50] == pytest.approx(resampled_area(logits, labels, 10.0, 700, seed=1)[1][:50])
    drawn = np.random.default_rng(1).multinomial(6, np.full(6, 1 / 6), size=700)
    again = [one for times, one in zip(drawn.tolist(), areas, strict=True) if times == drawn[650].tolist()]
    assert np.ptp(again) < 1e-12


def test_a_score_that_is_no_number_finds_nothing() -> None:
    logits, labels = scene(0, ties=False)
    line, _ = resampled(torch.full_like(logits, torch.nan), labels, RATES, 2, seed=0)
    assert not line.any()
