"""What decides a result is in the key of its run, and nothing else is."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from whichloss.study.read import make_study
from whichloss.study.runs import runs_of
from whichloss.study.shelf import Shelf
from whichloss.study.study import Study

BASE: dict[str, Any] = {
    "name": "base",
    "question": "?",
    "losses": ["Logistic()", "SmoothHinge(half_width=0.1)", "CrossEntropy() + 0.5 * Dice()"],
    "baseline": "Logistic()",
    "data": "Nodules(cases=40, size=26)",
    "network": "SmallConvNet(width=4, depth=2)",
    "design": {"folds": 3, "seeds": 2},
    "training": {"optimizer": "Adam(lr=0.001)", "stages": [{"epochs": 1, "batch": 8}]},
    "primary": "RocAuc()",
    "rope": 0.02,
}


def study(**changes: Any) -> Study:
    content = json.loads(json.dumps(BASE))
    for key, value in changes.items():
        place = content
        *path, last = key.split("__")
        for step in path:
            place = place[step]
        place[last] = value
    return make_study(content, "test")


def keys(one: Study, root: Path | None = None) -> dict[tuple[Any, ...], str]:
    shelf = Shelf([root] if root else [])
    return {
        (repr(run.loss), repr(run.data), repr(run.network), run.fold, run.seed): run.key for run in runs_of(one, shelf)
    }


@pytest.fixture(scope="module")
def base() -> dict[tuple[Any, ...], str]:
    found = keys(study())
    assert len(set(found.values())) == len(found) == 18
    return found


SHARE_ALL = {
    "name": "another",
    "question": "Another question?",
    "baseline": "SmoothHinge(half_width=0.1)",
    "primary": "Accuracy()",
    "rope": 0.5,
    "secondary": ["Accuracy()", "Recall()"],
    "training__device": "cpu",
    "training__memory_format": "channels_last",
    "losses": ["Logistic()", "SmoothHinge(half_width = 0.10)", "1*CrossEntropy(positive_weight=1) + .5*Dice()"],
}
SHARE_NONE = {
    "data": "Nodules(cases=40, size=26, seed=1)",
    "network": "SmallConvNet(width=4, depth=1)",
    "design__inner": 0.3,
    "design__folds": 4,
    "training__optimizer": "Adam(lr=0.002)",
    "training__schedule": "cosine",
    "training__precision": "bfloat16",
    "training__stages": [{"epochs": 2, "batch": 8}],
}


@pytest.mark.parametrize("field", SHARE_ALL)
def test_a_field_that_decides_no_result_shares_every_run(field: str, base: dict[tuple[Any, ...], str]):
    assert set(keys(study(**{field: SHARE_ALL[field]})).values()) == set(base.values())


@pytest.mark.parametrize("field", SHARE_NONE)
def test_a_field_that_touches_every_run_shares_none(field: str, base: dict[tuple[Any, ...], str]):
    assert not set(keys(study(**{field: SHARE_NONE[field]})).values()) & set(base.values())


def test_folds_that_are_not_drawn_anew_are_other_folds_for_later_seeds(base: dict[tuple[Any, ...], str]):
    fixed = keys(study(design__refold=False))
    assert not set(fixed.values()) & set(base.values())


def test_a_changed_loss_keeps_the_runs_of_the_others(base: dict[tuple[Any, ...], str]):
    changed = keys(study(losses=["Logistic()", "SmoothHinge(half_width=0.2)", "CrossEntropy() + 0.5 * Dice()"]))
    same = {place for place in changed if changed[place] in base.values()}
    assert same == {place for place in base if not place[0].startswith("SmoothHinge")}


def test_more_losses_and_seeds_keep_what_is_there(base: dict[tuple[Any, ...], str]):
    more = keys(study(losses=[*BASE["losses"], "Lorenz()"], design__seeds=3))
    assert {place: key for place, key in more.items() if place in base} == base
    assert len(more) == 4 * 3 * 3


def test_a_raised_version_of_a_loss_reuses_none_of_its_runs(base: dict[tuple[Any, ...], str], monkeypatch):
    from whichloss.losses.region.dice import Dice

    monkeypatch.setattr(Dice, "results_version", Dice.results_version + 1)
    changed = keys(study())
    same = {place for place in changed if changed[place] in base.values()}
    assert same == {place for place in base if "Dice" not in place[0]}


def test_a_raised_version_reaches_the_presets_that_mean_it(monkeypatch):
    from whichloss.losses.region.dice import Dice

    presets = {"losses": ["MonaiDiceCE()", "KerasHinge()"], "baseline": "KerasHinge()"}
    before = keys(study(**presets))
    monkeypatch.setattr(Dice, "results_version", Dice.results_version + 1)
    after = keys(study(**presets))
    assert {place for place in before if before[place] == after[place]} == {
        place for place in before if place[0].startswith("KerasHinge")
    }


@pytest.mark.parametrize("name", ["network", "data", "optimizer", "trainer"])
def test_a_raised_version_below_reuses_nothing(name: str, base: dict[tuple[Any, ...], str], monkeypatch):
    from whichloss.data.nodules import Nodules
    from whichloss.networks.small_conv_net import SmallConvNet
    from whichloss.study import runs
    from whichloss.study.optimizers.adam import Adam

    owner = {"network": SmallConvNet, "data": Nodules, "optimizer": Adam}.get(name)
    if owner is None:
        monkeypatch.setattr(runs, "RESULTS_VERSION", runs.RESULTS_VERSION + 1)
    else:
        monkeypatch.setattr(owner, "results_version", owner.results_version + 1)
    assert not set(keys(study()).values()) & set(base.values())


def test_a_changed_data_file_reuses_nothing_and_a_rewritten_one_everything(tmp_path: Path):
    random = np.random.default_rng(0)
    images = random.integers(0, 255, (12, 8, 8), dtype=np.uint8)
    masks = (images > 128).astype(np.uint8)
    one = study(data='Arrays("cells.npz")', network="UNet(width=2, depth=2)", losses=["Dice()"], baseline="Dice()")
    np.savez(tmp_path / "cells.npz", images=images, masks=masks)
    before = keys(one, tmp_path)
    np.savez_compressed(tmp_path / "cells.npz", masks=masks, images=images)
    assert keys(one, tmp_path) == before
    for changed in ("pixel", "label"):
        other_images, other_masks = images.copy(), masks.copy()
        if changed == "pixel":
            other_images[3, 2, 2] ^= 1
        else:
            other_masks[3, 2, 2] ^= 1
        np.savez(tmp_path / "cells.npz", images=other_images, masks=other_masks)
        assert not set(keys(one, tmp_path).values()) & set(before.values())


def test_the_source_of_a_loss_of_ones_own_is_in_the_key(tmp_path: Path, monkeypatch):
    """Nobody has promised to raise a version there."""
    import importlib
    import sys

    from whichloss.core import Loss, catalogue

    monkeypatch.syspath_prepend(tmp_path)
    found = []
    for power in (1, 1, 2):
        (tmp_path / "homemade.py").write_text(
            "from whichloss.core import Card, MarginLoss\n\n\n"
            "class Own(MarginLoss):\n"
            '    """$(1 - m)_+$"""\n\n'
            "    card = Card(source='me', equation='(1)', smooth=False, convex=True, golden={(0.0,): 1.0})\n\n"
            f"    def formula(self, margin):\n        return (1 - margin).clamp_min(0) ** {power}\n"
        )
        sys.modules.pop("homemade", None)
        catalogue._known[Loss].pop("homemade:Own", None)
        importlib.invalidate_caches()
        found.append(set(keys(study(losses=["homemade:Own()"], baseline="homemade:Own()")).values()))
    assert found[0] == found[1]
    assert not found[0] & found[2]


def test_running_two_studies_computes_shared_runs_once(tmp_path: Path):
    from whichloss.study.conduct import conduct

    first = study(design__seeds=1)
    conduct(first, tmp_path, workers=1)
    records = {one: one.stat().st_mtime_ns for one in tmp_path.glob("runs/??/*/record.json")}
    assert len(records) == 9
    second = study(name="second", design__seeds=1, losses=[*BASE["losses"], "Hinge()"], rope=0.1, primary="Accuracy()")
    conduct(second, tmp_path, workers=1)
    after = {one: one.stat().st_mtime_ns for one in tmp_path.glob("runs/??/*/record.json")}
    assert len(after) == 12
    assert {one: after[one] for one in records} == records
