"""Which cases are shown, and what is drawn of them."""

import io
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from small_studies import cli, write_study, write_tiny
from whichloss.study.conduct import prepare
from whichloss.study.disagreement import MOST, disagreements
from whichloss.study.facts import ended
from whichloss.study.pictures import in_a_row, middle, shades
from whichloss.study.read import read_study


@pytest.mark.parametrize("kind", ["labels", "masks"])
def test_the_cases_whose_scores_differ_most(tmp_path: Path, kind: str) -> None:
    write_tiny(tmp_path, cases=40)
    masks = {"network": "UNet(width=2, depth=2, dropout=0.0)", "primary": "Dice()", "losses": ["Dice()", "Hinge()"],
             "baseline": "Dice()",
             "data": 'Arrays("tiny.npz", target="masks", group="patients", id="ids")'}  # fmt: skip
    file = write_study(tmp_path, design={"folds": 2, "seeds": 2}, **(masks if kind == "masks" else {}))
    answer = cli("run", file, "--store", tmp_path / "store", here=tmp_path)
    assert answer.code == 0, answer.err
    study = read_study(str(file))
    prepared = prepare(study, tmp_path / "store", [tmp_path])
    found, cases = ended(prepared.final, prepared.store), next(iter(prepared.data.values()))
    shown = disagreements(found, study.labels, study.primary, cases, prepared.store)

    scores: dict[str, dict[str, list[float]]] = {}
    for run, record in found:
        tested = prepared.store.outputs(run.key)["test_cases"].tolist()
        for at, score in zip(tested, record["scores"][repr(study.primary)]["cases"], strict=True):
            if score is not None:
                scores.setdefault(cases.ids[at], {}).setdefault(run.loss.label, []).append(score)
    means = {case: {loss: float(np.mean(one)) for loss, one in by.items()} for case, by in scores.items()}
    spread = {case: abs(np.subtract(*by.values())) for case, by in means.items() if len(by) == 2}
    most = sorted(spread.values(), reverse=True)[:MOST]
    assert [spread[one.title.removeprefix("Case ")] for one in shown] == pytest.approx(most)
    for one in shown:
        told = {loss: float(value) for loss, value in re.findall(r"(\w+) (-?\d\.\d{3})", one.caption)}
        by = means[one.title.removeprefix("Case ")]
        assert {loss: told[loss] for loss in by} == pytest.approx(by, abs=5e-4)
        picture = Image.open(io.BytesIO(one.png))
        assert picture.width / picture.height == pytest.approx(4 if kind == "masks" else 1, rel=0.1)


def test_of_a_volume_the_slice_with_most_to_find() -> None:
    volume, truth = np.arange(2 * 5 * 3 * 4.0).reshape(2, 5, 3, 4), np.zeros((5, 3, 4))
    truth[3, :2] = 1
    truth[1, 0] = 1
    assert np.array_equal(middle(volume, truth), volume[:, 3])
    assert np.array_equal(middle(volume, np.zeros((5, 3, 4))), volume[:, 2])
    assert np.array_equal(middle(volume[:, 0], truth), volume[:, 0])


@pytest.mark.parametrize("shape", [(1, 8, 8), (2, 20, 10), (3, 500, 700), (5, 33, 21)])
def test_pictures_are_bounded(shape: tuple[int, ...]) -> None:
    panel = shades(np.random.default_rng(0).normal(size=shape))
    assert panel.dtype == np.uint8 and panel.shape[2] == 3 and 90 <= max(panel.shape[:2]) <= 400
    assert in_a_row([panel, panel]).shape[1] > 2 * panel.shape[1]
    assert not shades(np.zeros(shape)).any()
