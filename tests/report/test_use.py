"""The code under "How to use it" is run: for each kind of task, with what a study has tuned, in each framework."""

import csv
import json
import re
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from html import unescape
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from small_studies import execute_here, tiny_study, write_code, write_tiny
from whichloss import parse
from whichloss.networks import layers
from whichloss.report import Recipe, Record, page
from whichloss.report.use import Snippet, chosen, snippets, told
from whichloss.study.conduct import Listener, prepare, report, run_missing

CROSS = {"losses": ["CrossEntropy()", "Hinge()"], "baseline": "CrossEntropy()", "rope": 0.9}
MASKS = {"data": 'Arrays("tiny.npz", target="masks", group="patients", id="ids")', "primary": "Dice()",
         "network": "UNet(width=2, depth=2, dropout=0.0)"}  # fmt: skip
STUDIES: dict[str, dict[str, Any]] = {
    "classification": CROSS,
    "three classes": CROSS | {"primary": "Accuracy()"},
    "segmentation": CROSS | MASKS,
    "three tissues": CROSS | MASKS,
    "regression": {
        "losses": ["SquaredError()", "AbsoluteError()"], "baseline": "SquaredError()", "rope": 50.0,
        "data": 'Arrays("tiny.npz", target="depths", group="patients", id="ids", quantity="depth", unit="mm")',
        "primary": "MeanAbsoluteError()",
    },
    "detection": CROSS | {
        "data": "LymphNodePhantom(volumes=6, test_volumes=5, views=2, size=12, negatives=6, lesions=3)",
        "network": "ViewNet(width=2, deeper=2, units=4)", "design": {"draws": 2, "inner": 0.3}, "primary": "FrocArea()",
    },
}  # fmt: skip
CLASSES = {"three classes": 3, "three tissues": 3}
SHOWN = {"classification": ["PyTorch", "Lightning", "MONAI"], "regression": ["PyTorch", "Lightning"],
         "segmentation": ["PyTorch", "Lightning", "MONAI", "nnU-Net"]}  # fmt: skip
SHOWN |= {"three classes": SHOWN["classification"], "detection": SHOWN["classification"]}
SHOWN |= {"three tissues": SHOWN["segmentation"]}

pytestmark = [  # what other libraries say about themselves
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:.*is deprecated"),
    pytest.mark.filterwarnings("ignore:The number of training batches"),
]


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def carried_out(folder: Path, classes: int = 2, cases: int = 24, **changes: Any) -> tuple[Record, Path]:
    """A tiny study, run here; its record and its folder."""
    depths = np.linspace(-20.0, 180.0, cases).astype(np.float32)
    tissues = np.random.default_rng(0).integers(0, classes, (cases, 8, 8)).astype(np.uint8)
    write_tiny(folder, cases, classes, depths=depths, masks=tissues)
    prepared = prepare(tiny_study(**changes), folder / "store", [folder])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("whichloss.study.conduct.execute", execute_here)
        run_missing(prepared, workers=1, listener=Listener())
    done = report(prepared)
    assert done.failed == 0
    return done.record, done.report.parent


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Record]:
    return {
        name: carried_out(tmp_path_factory.mktemp("study"), CLASSES.get(name, 2), **changes)[0]
        for name, changes in STUDIES.items()
    }


def of(record: Record) -> dict[str, Snippet]:
    return {one.title: one for one in snippets(record.verdict, record.recipes, record.ours)}


def batch(kind: str) -> tuple[nn.Module, Tensor, Tensor]:
    """A network as the study would build it, and images and targets in the shapes that the code names."""
    torch.manual_seed(0)
    images = torch.randn(6, 1, 8, 8)
    labels = torch.randint(0, CLASSES.get(kind, 2), (6, 8, 8) if kind in MASKED else (6,))
    outputs = CLASSES.get(kind, 1)
    network = (
        nn.Conv2d(1, outputs, 3, padding=1) if kind in MASKED else nn.Sequential(nn.Flatten(), nn.Linear(64, outputs))
    )
    if kind == "regression":
        return network, images, torch.randn(6, 1)
    return network, images, labels if outputs > 1 else labels.unsqueeze(1).float()


MASKED = ("segmentation", "three tissues")


def loader(items: Sequence[Any]) -> Any:
    """All items in one batch."""
    return torch.utils.data.DataLoader(items, len(items))  # pyright: ignore[reportArgumentType]


def expected(kind: str, output: Tensor, target: Tensor) -> Tensor:
    """PyTorch's own loss."""
    if kind == "regression":
        return F.mse_loss(output, target)
    return (
        F.cross_entropy(output, target) if output.shape[1] > 1 else F.binary_cross_entropy_with_logits(output, target)
    )


# --- each framework, each task ---


@pytest.mark.parametrize("kind", STUDIES)
def test_the_frameworks_that_suit_the_task(records: dict[str, Record], kind: str) -> None:
    assert list(of(records[kind])) == SHOWN[kind]


@pytest.mark.parametrize("kind", STUDIES)
def test_plain_pytorch_runs(records: dict[str, Record], kind: str) -> None:
    network, images, target = batch(kind)
    before = expected(kind, network(images), target)
    names: dict[str, Any] = {"network": network, "loader": [(images, target)]}
    exec(of(records[kind])["PyTorch"].code, names)
    torch.testing.assert_close(names["value"], before)
    assert isinstance(names["optimizer"], torch.optim.Adam) and names["optimizer"].param_groups[0]["lr"] == 0.01
    assert expected(kind, network(images), target) < before


@pytest.mark.parametrize("kind", STUDIES)
def test_lightning_trains(
    records: dict[str, Record], kind: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)  # for what Lightning writes
    network, images, target = batch(kind)
    before = expected(kind, network(images), target)
    code = of(records[kind])["Lightning"].code.replace("max_epochs=100", "max_epochs=3, accelerator='cpu'")
    names: dict[str, Any] = {"network": network, "loader": loader([*zip(images, target, strict=True)])}
    exec(code, names)
    assert expected(kind, network(images), target) < before
    trained = names["Trained"](network)
    torch.testing.assert_close(trained.loss(network(images), target), expected(kind, network(images), target))


@pytest.mark.parametrize("kind", [kind for kind in STUDIES if "MONAI" in SHOWN[kind]])
def test_monai_trains(records: dict[str, Record], kind: str) -> None:
    """With labels as MONAI has them: (N, 1, *S) of a mask, (N,) of an image, as a tensor or a MetaTensor."""
    from monai.data.meta_tensor import MetaTensor

    network, images, target = batch(kind)
    several = target.ndim < images.ndim and kind in MASKED
    labels = target.unsqueeze(1) if several else target if kind in MASKED else target.flatten()
    before = expected(kind, network(images), target)
    items = [{"image": image, "label": label} for image, label in zip(images, labels, strict=True)]
    names: dict[str, Any] = {"network": network, "loader": loader(items)}
    exec(of(records[kind])["MONAI"].code.replace("max_epochs=100", "max_epochs=3"), names)
    after = expected(kind, network(images), target)
    assert after < before
    for form in (labels, MetaTensor(labels), labels.float()):
        torch.testing.assert_close(torch.as_tensor(names["loss_function"](network(images), form)), after)
    if several:
        one_hot = F.one_hot(target, 3).movedim(-1, 1).float()
        torch.testing.assert_close(names["loss_function"](network(images), one_hot), after)


class Wrapper(nn.Module):
    """Stands in for nnU-Net's DeepSupervisionWrapper: the weighted sum over scales."""

    def __init__(self, loss: Any, weight_factors: Any = None) -> None:
        super().__init__()
        self.loss, self.weight_factors = loss, weight_factors

    def forward(self, outputs: list[Tensor], targets: list[Tensor]) -> Tensor:
        assert len(outputs) == len(targets) == len(self.weight_factors)
        terms = zip(self.weight_factors, outputs, targets, strict=True)
        return sum((weight * self.loss(output, target) for weight, output, target in terms), torch.zeros(()))


class Trainer:
    """Stands in for nnU-Net's nnUNetTrainer: the attributes and methods around its `_build_loss`."""

    is_ddp = False
    num_epochs = 1000
    initial_lr = 1e-2

    def __init__(self, deep: bool, ignored: int | None, regions: bool = False) -> None:
        self.enable_deep_supervision = deep
        self.label_manager = SimpleNamespace(has_regions=regions, ignore_label=ignored)
        self.network = nn.Conv2d(1, 2, 1)

    def _get_deep_supervision_scales(self) -> list[list[float]] | None:
        return [[1.0, 1.0], [0.5, 0.5], [0.25, 0.25]] if self.enable_deep_supervision else None

    def configure_optimizers(self) -> tuple[Any, Any]:
        return torch.optim.SGD(self.network.parameters(), self.initial_lr), "nnU-Net's own"


@pytest.fixture
def nnunet(monkeypatch: pytest.MonkeyPatch) -> None:
    """The modules of nnU-Net that the code imports, as small as can be."""
    training = "nnunetv2.training"
    contents = {
        f"{training}.loss.deep_supervision": {"DeepSupervisionWrapper": Wrapper},
        f"{training}.lr_scheduler.polylr": {"PolyLRScheduler": lambda *given: ("poly", *given)},
        f"{training}.nnUNetTrainer.nnUNetTrainer": {"nnUNetTrainer": Trainer},
    }
    parents = {".".join(name.split(".")[:depth]) for name in contents for depth in range(1, 4)}
    for name in sorted(parents | set(contents)):
        module = ModuleType(name)
        vars(module).update(contents.get(name, {}))
        monkeypatch.setitem(sys.modules, name, module)


@pytest.mark.parametrize("kind", MASKED)
@pytest.mark.usefixtures("nnunet")
def test_the_trainer_for_nnunet(records: dict[str, Record], kind: str) -> None:
    """nnU-Net is not installed: a stand-in has the attributes of its trainer (version 2.5) that the code touches.

    Its networks answer with a logit for each class, background included, against class indices (N, 1, *S). Of the two
    logits of a yes/no question the loss must see what it saw in the study, so that softmax over both is the oracle.
    """
    names: dict[str, Any] = {}
    exec(of(records[kind])["nnU-Net"].code, names)
    make = names["nnUNetTrainerWhichloss"]
    classes = CLASSES.get(kind, 2)
    torch.manual_seed(0)
    outputs = [torch.randn(2, classes, size, size) for size in (8, 4, 2)]
    targets = [torch.randint(0, classes, (2, 1, size, size)).float() for size in (8, 4, 2)]
    each = [F.cross_entropy(output, target[:, 0].long()) for output, target in zip(outputs, targets, strict=True)]

    torch.testing.assert_close(make(False, None)._build_loss()(outputs[0], targets[0]), each[0])
    deep = make(True, None)._build_loss()
    torch.testing.assert_close(deep(outputs, targets), (each[0] + each[1] / 2) / 1.5)  # the lowest has no say
    spread = make(True, None)
    spread.is_ddp = True
    weights = spread._build_loss().weight_factors
    assert 0 < weights[-1] < 1e-5 and sum(weights) == pytest.approx(1)

    holes = targets[0].clone()
    holes[:, :, :3] = classes  # nnU-Net's label for voxels to be ignored comes after the classes
    kept = F.cross_entropy(outputs[0], holes[:, 0].long(), ignore_index=classes)
    torch.testing.assert_close(make(False, classes)._build_loss()(outputs[0], holes), kept)
    assert make(False, None).configure_optimizers()[1] == "nnU-Net's own"
    with pytest.raises(NotImplementedError, match="not on regions"):
        make(True, None, regions=True)._build_loss()


@pytest.mark.usefixtures("nnunet")
def test_a_tuned_rate_comes_with_the_trainer(records: dict[str, Record]) -> None:
    record = records["segmentation"]
    tuned = tuple(replace(one, arguments={"lr": 0.25, "weight_decay": 0.0}, settings={"training.lr": 0.25})
                  for one in record.recipes)  # fmt: skip
    names: dict[str, Any] = {}
    exec(of(replace(record, recipes=tuned))["nnU-Net"].code, names)
    optimizer, (kind, driven, rate, epochs) = names["nnUNetTrainerWhichloss"](True, None).configure_optimizers()
    assert isinstance(optimizer, torch.optim.Adam) and optimizer.param_groups[0]["lr"] == 0.25
    assert (kind, driven, rate, epochs) == ("poly", optimizer, 0.25, 1000)


def test_scores_of_pairs_of_classes_are_nothing_for_nnunet(records: dict[str, Record]) -> None:
    """Three classes have three pairs: the number of outputs alone does not tell."""
    pairs = tuple(replace(one, by_class=False) for one in records["three tissues"].recipes)
    assert "nnU-Net" not in of(replace(records["three tissues"], recipes=pairs))


# --- what was tuned ---


@pytest.mark.parametrize("where", ["each_fold", "once"])
def test_what_a_study_tuned_is_in_the_code(tmp_path: Path, where: str) -> None:
    """Against tuning.csv, counted here."""
    loss = "SmoothHinge"
    record, folder = carried_out(
        tmp_path, cases=80, losses=[f"{loss}()", "Logistic()"], baseline=f"{loss}()", rope=0.9,
        tune={"trials": 4, "where": where, "share": 0.5,
              "over": {"training.lr": "loguniform(1e-3, 1e-1)", f"{loss}.half_width": "uniform(0.05, 0.9)"}},
    )  # fmt: skip
    with (folder / "tuning.csv").open(newline="") as file:
        winners = [row for row in csv.DictReader(file) if row["chosen"] == "yes" and row["loss"].startswith(loss)]
    tally = Counter(row["settings"] for row in winners)
    most = [text for text, n in tally.items() if n == max(tally.values())]
    row = max((one for one in winners if one["settings"] in most), key=lambda one: float(one["inner"]))
    settings = {"training.lr": 0.01, f"{loss}.half_width": 0.1} | json.loads(row["settings"])

    code = of(record)["PyTorch"].code
    network, images, target = batch("classification")
    names: dict[str, Any] = {"network": network, "loader": [(images, target)]}
    exec(code, names)
    assert names["loss"].half_width == settings[f"{loss}.half_width"]
    assert names["optimizer"].param_groups[0]["lr"] == settings["training.lr"]
    said = told(record.verdict, record.recipes)
    if len(tally) == 1:
        assert "the same for every run" in said
    else:
        assert "best score on its inner split" in said and f"fold {row['fold']}, seed {row['seed']}" in said
    html = page(record)
    assert unescape(said) in unescape(html) and 'id="settings"' in html
    defaults = {"training.lr": 0.01, f"{loss}.half_width": 0.1}
    found = {
        (int(one["fold"]), int(one["seed"])): (defaults | json.loads(one["settings"]), float(one["inner"]))
        for one in winners
    }
    for one in record.recipes:
        if one.loss.startswith(loss):
            place = (one.fold, one.seed) if where == "each_fold" else (-1, 0)
            assert (dict(one.settings), one.inner) == found[place]
        else:
            assert list(one.settings) == ["training.lr"]


def a_recipe(settings: dict[str, Any], inner: float | None, fold: int = 0) -> Recipe:
    return Recipe("Lorenz()", "Lorenz()", "SGD", {"lr": settings.get("training.lr", 0.01)}, "classification", 2, 1,
                  settings=settings, fold=fold, inner=inner)  # fmt: skip


def test_the_most_frequent_choice_is_called_so(record: Record) -> None:
    often, best = {"training.lr": 0.1}, {"training.lr": 0.3}
    recipes = (a_recipe(often, 0.7), a_recipe(best, 0.9, 1), a_recipe(often, 0.6, 2))
    one = chosen("Lorenz()", recipes, higher_is_better=True)
    assert one is not None and dict(one.settings) == often
    assert "chosen most often, for 2 of 3 runs: training.lr = 0.1" in told(record.verdict, recipes)
    assert "lr=0.1" in of(replace(record, recipes=recipes))["PyTorch"].code


@pytest.mark.parametrize(("higher_is_better", "rate"), [(True, 0.3), (False, 0.1)])
def test_without_a_majority_the_best_on_an_inner_split(record: Record, higher_is_better: bool, rate: float) -> None:
    recipes = (
        a_recipe({"training.lr": 0.1}, 0.7),
        a_recipe({"training.lr": 0.3}, 0.9, 1),
        a_recipe({"training.lr": 9.0}, None, 2),
    )
    verdict = {**record.verdict, "higher_is_better": higher_is_better}
    assert f"best score on its inner split (that of fold {int(higher_is_better)}" in told(verdict, recipes)
    assert f"lr={rate}" in snippets(verdict, recipes, True)[0].code


def test_settings_that_the_code_has_no_place_for_are_named(record: Record) -> None:
    recipe = a_recipe({"training.batch": 16, "network.dropout": 0.2, "training.lr": 0.1}, 0.5)
    assert "training.batch = 16, network.dropout = 0.2." in of(replace(record, recipes=(recipe,)))["PyTorch"].note


def test_where_nothing_was_tuned_nothing_is_said(records: dict[str, Record]) -> None:
    record = records["classification"]
    assert told(record.verdict, record.recipes) == "" and 'id="settings"' not in page(record)


# --- somebody's own, and nobody's ---


def test_a_loss_of_ones_own_is_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    module = write_code(
        tmp_path,
        "from torch.nn.functional import binary_cross_entropy_with_logits as score\n"
        "def bce(logits, target):\n    return score(logits, target)\n",
    )
    own = f"{module}:bce"
    record, _ = carried_out(tmp_path, losses=[own, "Hinge()"], baseline=own, rope=0.9)
    network, images, target = batch("classification")
    before = expected("classification", network(images), target)
    names: dict[str, Any] = {"network": network, "loader": [(images, target)]}
    exec(of(record)["PyTorch"].code, names)
    torch.testing.assert_close(names["value"], before)


def test_embeddings_say_what_they_are(tmp_path: Path) -> None:
    text = "SupervisedContrastive()"
    record, _ = carried_out(tmp_path, losses=[text, "Logistic()"], baseline=text, rope=0.9)
    one = of(record)["PyTorch"]
    assert "embeddings (N, D)" in one.code and "fit a classifier" in one.note
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 5))
    _, images, target = batch("classification")
    names: dict[str, Any] = {"network": network, "loader": [(images, target.flatten().long())]}
    exec(one.code, names)
    assert names["value"].isfinite()


def test_cosines_say_what_they_are_and_of_which_layer(tmp_path: Path) -> None:
    record, _ = carried_out(tmp_path, losses=["CosFace()", "Logistic()"], baseline="CosFace()", rope=0.9)
    one = of(record)["PyTorch"]
    assert "cosines (N, 2)" in one.code and "logits (N" not in one.code
    layer = re.search(r"whichloss\.networks\.layers\.(\w+)\(features, 2\)", one.note)
    assert layer is not None
    network = nn.Sequential(nn.Flatten(), getattr(layers, layer[1])(64, 2))
    _, images, target = batch("classification")
    names: dict[str, Any] = {"network": network, "loader": [(images, target.flatten().long())]}
    exec(one.code, names)
    assert names["value"].isfinite()


def test_cosines_are_nothing_for_nnunet(records: dict[str, Record]) -> None:
    record = records["segmentation"]
    recipes = tuple(replace(one, cosines=True) for one in record.recipes)
    assert [one.title for one in snippets(record.verdict, recipes, ours=True)] == ["PyTorch", "Lightning", "MONAI"]


def test_losses_that_are_not_ours_have_no_code(record: Record) -> None:
    assert snippets(record.verdict, record.recipes, ours=False) == ()


def test_without_recipes_the_loss_alone(record: Record) -> None:
    [one] = snippets(record.verdict, (), ours=True)
    logits, target = torch.zeros(2, 1, requires_grad=True), torch.ones(2, 1)
    exec(one.code, {"logits": logits, "target": target})
    assert logits.grad is not None


def test_hostile_texts_stay_inside_their_quotes(record: Record) -> None:
    """A loss's text is data: it ends neither the string in the code nor the element on the page."""
    nasty = 'Lorenz()\'); import os  # </code></pre><script>alert(1)</script>\n"""'
    verdict = {**record.verdict, "losses": [{**record.verdict["losses"][1], "loss": nasty}]}
    recipe = replace(a_recipe({"training.lr": nasty}, 0.5), loss=nasty, text=nasty)
    for one in snippets(verdict, (recipe,), ours=True):
        assert repr(nasty) in one.code
        compile(one.code, one.title, "exec")
    html = re.sub(
        r'<script id="plotly">.*?</script>',
        "",
        page(replace(record, verdict=verdict, recipes=(recipe,))),
        flags=re.DOTALL,
    )
    assert "<script>alert" not in html


def test_what_is_parsed_is_what_the_study_trained(records: dict[str, Record]) -> None:
    for record in records.values():
        assert all(repr(parse(one.text)) == one.text for one in record.recipes)
