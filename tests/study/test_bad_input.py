"""A mistake of the user's costs one message: which file, which key, what came, what would fit. And no run."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from small_studies import TINY, cli, execute_here, tiny, write_code, write_study, write_tiny
from whichloss.core import parse
from whichloss.core.errors import ShapeError

Refuse = Callable[..., str]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with data, from which the command is called."""
    monkeypatch.delenv("WHICHLOSS_DATA", raising=False)
    monkeypatch.setattr("whichloss.study.conduct.execute", execute_here)  # so that a missing refusal is soon seen
    write_tiny(tmp_path)
    return tmp_path


def refused(folder: Path, *arguments: Any) -> str:
    """What the command says; nothing may have been computed."""
    answer = cli(*arguments, here=folder)
    assert answer.code == 2, answer
    assert answer.out == ""
    assert answer.err.startswith("whichloss: ") and answer.err.count("whichloss: ") == 1, answer.err
    assert "Traceback" not in answer.err
    assert not list(folder.rglob("record.json"))
    return answer.err


def run_refused(folder: Path, *arguments: Any, **changes: Any) -> str:
    return refused(folder, "run", write_study(folder, **changes), *arguments)


def holds(message: str, *parts: str) -> None:
    missing = [part for part in parts if part not in message]
    assert not missing, f"{missing} not in:\n{message}"


# what a study says


@pytest.mark.parametrize(
    ("changes", "parts"),
    [
        ({"losses": ["Logistic()", "Lorens()"]}, ["tiny.yaml", "losses.1", "'Lorens'", "did you mean 'Lorenz'?"]),
        ({"losses": ["Logistic()", "SmoothHinge(half_width=-1)"]},
         ["tiny.yaml", "losses.1", "SmoothHinge", "half_width", "-1", "above 0"]),
        ({"losses": ["Logistic()", "SmoothHinge(width=1)"]}, ["losses.1", "'width'", "half_width"]),
        ({"losses": ["Logistic()", "Lorenz("]}, ["losses.1", "Lorenz("]),
        ({"losses": ["Logistic()", "nowhere_at_all:loss"]}, ["losses.1", "nowhere_at_all:loss", "Python path"]),
        ({"losses": []}, ["tiny.yaml", "losses", "at least 1"]),
        ({"losses": ["Logistic()", "Lorenz()", "Logistic( )"]}, ["tiny.yaml", "losses", "Logistic", "twice"]),
        ({"baseline": "Tangent()"}, ["tiny.yaml", "baseline", "Tangent", "Logistic, Lorenz"]),
        ({"roap": 0.1}, ["tiny.yaml", "roap", "unknown key", "did you mean 'rope'?"]),
        ({"zzz": 0.1}, ["tiny.yaml", "zzz", "unknown key", "question"]),
        ({"design": {"folds": 2, "seed": 3}}, ["tiny.yaml", "design.seed", "did you mean 'seeds'?"]),
        ({"training": {"stages": [{"epochs": 1, "batch": 2, "rates": 1}]}},
         ["tiny.yaml", "training.stages.0.rates", "did you mean 'rate'?"]),
        ({"rope": None}, ["tiny.yaml", "rope", "missing"]),
        ({"training": {"optimizer": "Adam()"}}, ["tiny.yaml", "training.stages", "missing"]),
        ({"rope": "small"}, ["tiny.yaml", "rope", "number", "'small'"]),
        ({"rope": -0.1}, ["tiny.yaml", "rope", "greater than or equal to 0", "-0.1"]),
        ({"design": {"folds": 1}}, ["tiny.yaml", "design.folds", "2", "1"]),
        ({"design": {}}, ["tiny.yaml", "design", "folds: k", "splits: FILE"]),
        ({"design": {"folds": 2, "splits": "s.json"}}, ["tiny.yaml", "design", "folds: k", "splits: FILE"]),
        ({"design": {"folds": 13}}, ["13 folds", "12", "groups (patients)"]),
        ({"training": TINY["training"] | {"optimizer": "Adm()"}}, ["training.optimizer", "did you mean 'Adam'?"]),
        ({"training": TINY["training"] | {"optimizer": "SGD(nesterov=true, momentum=0)"}}, ["nesterov", "momentum"]),
        ({"training": TINY["training"] | {"precision": "float8"}}, ["training.precision", "'bfloat16'", "'float8'"]),
        ({"training": TINY["training"] | {"device": "gpu"}}, ["device", "'gpu'", "auto"]),
        ({"training": TINY["training"] | {"device": "cuda:99"}}, ["device", "cuda:99", "auto"]),
        ({"primary": "Jaccard()"}, ["Jaccard", "classification", "RocAuc()"]),
        ({"secondary": ["Accuracy()", "Dice()"]}, ["Dice", "classification", "RocAuc()"]),
        ({"primary": "RocAuk()"}, ["tiny.yaml", "primary", "did you mean 'RocAuc'?"]),
        ({"network": "UNet()"}, ["UNet", "segmentation", "classification"]),
        ({"cell": {"data": "Nodules()"}}, ["tiny.yaml", "cell.data", "Nodules", "not one of data"]),
    ],
    ids=lambda value: str(value)[:50] if isinstance(value, dict) else "",
)  # fmt: skip
def test_what_a_study_says_is_checked_key_by_key(here: Path, changes: dict[str, Any], parts: list[str]) -> None:
    holds(run_refused(here, **changes), *parts)


def test_every_mistake_is_named_at_once(here: Path) -> None:
    lines = run_refused(here, roap=1, rope=None, losses=["Logistic()", "Lorens()"]).splitlines()
    assert len(lines) == 3
    for key in ("roap", "rope", "losses.1"):
        assert any(f": {key}: " in line for line in lines)


def test_the_plan_finds_the_mistakes_of_a_run(here: Path) -> None:
    for change in ({"primary": "Jaccard()"}, {"network": "UNet()"}, {"design": {"folds": 13}}):
        run_refused(here, "--plan", **change)


# a file that cannot be read


@pytest.mark.parametrize(
    ("broken", "line", "column"),
    [
        ("losses: [Tangent(form='original'), Lorenz()", 3, None),
        ("losses: Logistic(): x", 2, 18),
        ("\tlosses: Logistic()", 2, 0),
        ("question: one\nlosses: {a: b}}", 3, 14),
    ],
)
def test_malformed_yaml_shows_the_line(here: Path, broken: str, line: int, column: int | None) -> None:
    rest = yaml_without("question", "losses")
    path = here / "tiny.yaml"
    path.write_text(f"# a study\n{broken}\n{rest}")
    message = refused(here, "run", path)
    shown = message.splitlines()
    assert f"tiny.yaml, line {line}: " in shown[0]
    assert shown[1].strip() == path.read_text().splitlines()[line - 1].strip()
    assert shown[2].strip() == "^"
    assert column is None or shown[2].index("^") == 4 + column
    assert not re.search("[\ue000-\uf8ff]", message), "characters that nobody wrote"


def yaml_without(*keys: str) -> str:
    return "\n".join(f"{key}: {json.dumps(value)}" for key, value in tiny().items() if key not in keys)


@pytest.mark.parametrize(
    ("content", "parts"),
    [
        (b"", ["list of keys and values"]),
        (b"Does it help?", ["list of keys and values"]),
        (b"question: Hilft es, J\xf6rg?\n", ["UTF-8"]),
        (b"1: 2\n", ["1"]),
        (b"on: 2\n", ["key"]),
        (b"question: a\nquestion: b\n", ["line 2", "'question'", "twice"]),
        (b"question: \0\n", ["not YAML"]),
    ],
)
def test_a_file_that_is_no_study_is_named(here: Path, content: bytes, parts: list[str]) -> None:
    (here / "tiny.yaml").write_bytes(content)
    holds(refused(here, "run", "tiny.yaml"), "tiny.yaml", *parts)


def test_an_unknown_study_is_looked_for_among_the_shipped_ones(here: Path) -> None:
    holds(refused(here, "run", "nuclie"), "nuclie", "did you mean 'nuclei'?")
    holds(refused(here, "report", "somewhere/else.yaml"), "somewhere/else.yaml", "demo, nuclei")


# the command line


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        ("rope", ["--set rope", "key=value"]),
        ("=3", ["--set =3", "key=value"]),
        ("rope.x=1", ["--set rope.x=1", "rope holds no keys"]),
        ("training.stages.0.epochs=1", ["stages holds no keys"]),
        ("losses=[Logistic()", ["--set losses", "[Logistic()"]),
        ("roap=1", ["roap", "unknown key", "did you mean 'rope'?"]),
        ("training.precison=float32", ["training.precison", "did you mean 'precision'?"]),
        ("rope=", ["rope", "number"]),
    ],
)
def test_a_bad_change_is_refused(here: Path, change: str, parts: list[str]) -> None:
    holds(run_refused(here, "--set", change), *parts)


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["run", "demo", "--plam"], ["--plam", "--plan"]),
        (["rnu", "demo"], ["rnu", "run"]),
        (["run"], ["STUDY"]),
        (["run", "demo", "--workers", "0"], ["--workers", "1"]),
        (["run", "demo", "--workers", "many"], ["--workers", "integer"]),
        (["run", "demo", "--name", "two words"], ["name", "'two words'"]),
        (["report", "demo", "--store"], ["--store"]),
        (["losses", "Dise"], ["'Dise'", "did you mean 'Dice'?"]),
        (["run", "demo", "nuclei"], ["nuclei"]),
    ],
)
def test_the_command_line_speaks_in_the_same_way(here: Path, arguments: list[str], parts: list[str]) -> None:
    holds(refused(here, *arguments), *parts)


# where things lie


def test_missing_data_are_looked_for_in_named_folders(here: Path) -> None:
    (here / "tiny.npz").unlink()
    (here / "data").mkdir()
    message = run_refused(here, "--data-root", here / "data")
    holds(message, "'tiny.npz'", str(here / "data"), "--data-root", "WHICHLOSS_DATA")
    holds(run_refused(here, data='Arrays("/no/such.npz", target="labels")'), "/no/such.npz")


@pytest.mark.parametrize("store", ["file", "file/below/it"])
def test_a_store_that_cannot_be_written_to(here: Path, store: str) -> None:
    (here / "file").write_text("")
    holds(run_refused(here, "--store", store), "cannot write to the store", store, "--store")


# what data hold


@pytest.mark.parametrize(
    ("arrays", "data", "parts"),
    [
        ({"masks": np.arange(24 * 64).reshape(24, 8, 8) % 3 * 7}, "masks",
         ["wrong mask values", "0, 7, 14", "case00", "0 and 255", "nearest"]),
        ({"masks": np.zeros((24, 8, 9), np.uint8)}, "masks", ["tiny.npz", "(8, 8)", "(8, 9)"]),
        ({"masks": np.zeros((24, 8, 8), np.uint8)}, "masks", ["'foreground'", "empty"]),
        ({"labels": np.array([0, 2] * 12)}, "labels", ["0, 2", "0, 1, ..., K - 1"]),
        ({"labels": np.zeros(24, int)}, "labels", ["labels", "at least two classes"]),
        ({"labels": np.arange(23) % 2}, "labels", ["24 images", "'labels'", "(23,)"]),
        ({"labels": None}, "labels", ["tiny.npz", "no array 'labels'", "images"]),
        ({"ids": np.array(["one"] * 24)}, "labels", ["two cases", "'one'"]),
    ],
)  # fmt: skip
def test_data_are_checked_before_anything_is_run(here: Path, arrays: dict, data: str, parts: list[str]) -> None:
    write_tiny(here, **arrays)
    changes: dict[str, Any] = {"data": f'Arrays("tiny.npz", target="{data}", group="patients", id="ids")'}
    if data == "masks":
        changes |= {"network": "UNet(width=2, depth=2)", "primary": "Jaccard()"}
    holds(run_refused(here, **changes), *parts)


def test_an_image_with_nan_is_named_with_its_file(here: Path) -> None:
    images = np.zeros((24, 8, 8), np.float32)
    images[5, 0, 0] = np.nan
    write_tiny(here, images=images)
    holds(run_refused(here), "tiny.npz", "'case05'", "NaN")


def test_a_mask_without_an_image_is_named(here: Path) -> None:
    for folder, names in (("images", "abc"), ("masks", "abd")):
        (here / "cells" / folder).mkdir(parents=True)
        for name in names:
            Image.fromarray(np.eye(8, dtype=np.uint8)).save(here / "cells" / folder / f"{name}.png")
    message = run_refused(here, data='Folder("cells")', network="UNet(width=2, depth=2)", primary="Jaccard()")
    holds(message, "cells", "no mask for c.png", "no image for d.png", "same name")


IDS = [f"case{at:02}" for at in range(24)]


@pytest.mark.parametrize(
    ("splits", "parts"),
    [
        ([{"train": IDS[:11], "val": IDS[11:]}], ["group leak", "'P05'", "'case10'", "'case11'", "one side"]),
        ([{"train": IDS[:12], "val": IDS[11:]}], ["'case11'", "both in 'train' and in 'val'"]),
        ([{"train": IDS[:12], "val": ["case99"]}], ["fold 0", "'case99'", "'val'"]),
        ([{"train": IDS}], ["list", "val"]),
        ({"train": IDS}, ["list", "val"]),
    ],
)
def test_given_folds_that_leak_or_miss_are_refused(here: Path, splits: Any, parts: list[str]) -> None:
    (here / "splits.json").write_text(json.dumps(splits))
    holds(run_refused(here, design={"splits": "splits.json"}), "splits.json", *parts)


def test_given_folds_that_cannot_be_read(here: Path) -> None:
    holds(run_refused(here, design={"splits": "none.json"}), "none.json", "--data-root")
    (here / "splits.json").write_text("[{")
    holds(run_refused(here, design={"splits": "splits.json"}), "splits.json", "JSON")


def test_a_test_part_of_one_class_is_refused(here: Path) -> None:
    """ROC AUC has no value there, and a run without a value would pass for a failed one."""
    splits = [{"train": IDS[4:], "val": IDS[:2]}]
    (here / "splits.json").write_text(json.dumps(splits))
    holds(run_refused(here, design={"splits": "splits.json"}), "fold 0", "ROC AUC")


# networks and losses of the user's


NETWORKS = """
from torch import nn

def two_too_many(in_channels, outputs):
    return nn.Sequential(nn.Flatten(), nn.Linear(64, outputs + 2))

def other_size(outputs):
    return nn.Sequential(nn.Flatten(), nn.Linear(63, outputs))

def no_module():
    return 3
"""


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("two_too_many", ["gives (8, 3)", "needs (8, 1)"]),
        ("other_size", ["cannot read images (1, 8, 8)", "63"]),
        ("no_module", ["nn.Module", "int"]),
        ("absent", ["network.0", "cannot import", "absent"]),
    ],
)
def test_a_network_that_does_not_fit_is_named(
    here: Path, monkeypatch: pytest.MonkeyPatch, name: str, parts: list[str]
) -> None:
    monkeypatch.syspath_prepend(here)
    code = write_code(here, NETWORKS)
    holds(run_refused(here, network=f"{code}:{name}"), name, *parts)


def test_an_ambiguous_target_names_both_remedies() -> None:
    logits = torch.zeros(2, 3, 4, 4)
    with pytest.raises(ShapeError) as caught:
        parse("CrossEntropy()")(logits, torch.zeros(2, 3, 4, 4))
    holds(str(caught.value), "(2, 3, 4, 4)", "ambiguous", 'classes="exclusive"', 'classes="independent"')
    with pytest.raises(ShapeError) as caught:
        parse("Dice()")(logits, torch.zeros(2, 4, 4))
    holds(str(caught.value), "torch.float32", "target.long()")
    with pytest.raises(ShapeError) as caught:
        parse("Logistic()")(torch.zeros(2), torch.zeros(2))
    holds(str(caught.value), "hint: for one binary score use logits.unsqueeze(1) and target.unsqueeze(1)")


# what has been run already


@pytest.fixture
def done(here: Path) -> Path:
    """The folder after the tiny study was run in it."""
    assert cli("run", write_study(here), here=here).code == 0
    return here


def test_another_protocol_under_the_same_name_is_refused_with_a_diff(done: Path) -> None:
    stages = [{"epochs": 2, "batch": 8}]
    path = write_study(done, training=TINY["training"] | {"stages": stages})
    for verb in ("run", "report"):
        answer = cli(verb, path, here=done)
        assert (answer.code, answer.out) == (2, "")
        holds(answer.err, "tiny has been run with another protocol", "--name")
        changed = [line.split() for line in answer.err.splitlines() if line.strip()[:1] in ("-", "+")]
        assert changed == [["-", '"epochs":', "1,"], ["+", '"epochs":', "2,"]]
    assert cli("run", path, "--name", "longer", here=done).code == 0
    assert len(list(done.rglob("record.json"))) == 8


def test_losses_seeds_metrics_rope_and_baseline_may_change_under_one_name(done: Path) -> None:
    path = write_study(
        done,
        losses=["Lorenz()", "Logistic()", "Tangent()"],
        baseline="Lorenz()",
        rope=0.5,
        secondary=["Accuracy()"],
        design=TINY["design"] | {"seeds": 2},
    )
    assert cli("run", path, here=done).code == 0
    assert len(list(done.rglob("record.json"))) == 12


def test_runs_computed_with_different_threads_are_not_compared_unless_asked(done: Path) -> None:
    records = sorted(done.rglob("record.json"))
    changed = json.loads(records[0].read_text())
    threads = changed["beside"]["threads"]
    changed["beside"]["threads"] = "7"
    records[0].write_text(json.dumps(changed))
    answer = cli("report", done / "tiny.yaml", here=done)
    assert (answer.code, answer.out) == (2, "")
    fold = changed["spec"]["fold"]
    holds(answer.err, "Logistic and Lorenz", f"fold {fold} of seed 0", "threads", "7", threads, "--allow-mixed")
    assert cli("report", done / "tiny.yaml", "--allow-mixed", here=done).code == 0


# leaks


def of_images(here: Path, **arrays: Any) -> Path:
    write_tiny(here, **arrays)
    return write_study(here)


def test_the_same_image_on_both_sides_is_a_leak(here: Path) -> None:
    write_tiny(here)
    images = np.load(here / "tiny.npz")["images"].copy()
    images[:4] = images[20:24]  # other patients
    answer = cli("run", of_images(here, images=images), "--plan", here=here)
    assert answer.code == 2
    assert "leak: " in answer.err and "are trained on, too: case 'case" in answer.err


def test_blank_images_and_twins_of_one_patient_are_no_leak(here: Path) -> None:
    write_tiny(here)
    images = np.load(here / "tiny.npz")["images"].copy()
    images[[0, 4, 8, 12]] = 0.0
    images[3] = images[2]
    assert cli("run", of_images(here, images=images), "--plan", here=here).code == 0


def test_images_that_are_all_the_same_teach_nothing(here: Path) -> None:
    answer = cli("run", of_images(here, images=np.zeros((24, 8, 8), np.float32)), "--plan", here=here)
    assert answer.code == 2
    assert "images of Arrays" in answer.err and "all the same" in answer.err
