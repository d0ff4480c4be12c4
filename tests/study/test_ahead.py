"""Distances to the truth are worked out before the training, and move with the masks: no step waits for them."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Generator, Tensor, nn

from small_studies import TINY, cli, tiny_study, write_study, write_tiny
from whichloss import parse
from whichloss.core import Loss, Task, distance
from whichloss.core.rows import Rows
from whichloss.networks.unet import UNet
from whichloss.study.ahead import Ahead
from whichloss.study.augment import augment
from whichloss.study.augment.augmentation import Augmentation
from whichloss.study.conduct import conduct, prepare
from whichloss.study.patches import Patches
from whichloss.study.train import Trained, train

LOSS = "Dice() + 0.1 * Boundary() + 0.01 * HausdorffDistance(sides='target')"
SPACES = {"2-D": (9, 8), "3-D": (5, 6, 7)}


@pytest.fixture(autouse=True)
def nothing_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distance, "memory", distance.Memory())
    monkeypatch.setenv("WHICHLOSS_DISTANCES", "0")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Images of 16 x 16 with discs as masks."""
    rows, columns = np.mgrid[:16, :16]
    centres = np.random.default_rng(0).integers(4, 12, (24, 2))
    masks = np.stack([(rows - y) ** 2 + (columns - x) ** 2 < 10 for y, x in centres]).astype(np.uint8)
    noise = np.random.default_rng(1).normal(0, 0.3, masks.shape)
    write_tiny(tmp_path, images=(masks + noise).astype(np.float32), masks=masks)
    return tmp_path


def study(loss: str = LOSS, data: str = "", **training: Any) -> Any:
    return tiny_study(
        losses=[loss], baseline=loss, primary="Dice()", network="UNet(width=2, depth=2, dropout=0.0)",
        data=data or 'Arrays("tiny.npz", target="masks", group="patients", id="ids")',
        training=TINY["training"] | {"stages": [{"epochs": 2, "batch": 4}]} | training,
    )  # fmt: skip


def trained(folder: Path, **changes: Any) -> Trained:
    of = study(**changes)
    prepared = prepare(of, folder / "store", [folder])
    run, cases = prepared.runs[0], prepared.data[of.data[0]]
    return train(run, cases, run.split(cases), torch.device("cpu"))


# in a training


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """How many distance transforms there were before the first step of a training, and from then on."""
    calls = {"before": 0, "steps": 0, "transforms in steps": 0}
    nearest, build = distance.to_nearest, UNet.build

    def spied(objects: Tensor, spacing: Any) -> Tensor:
        calls["transforms in steps" if calls["steps"] else "before"] += 1
        return nearest(objects, spacing)

    def watched(self: UNet, task: Task, outputs: int) -> nn.Module:
        network = build(self, task, outputs)
        network.register_forward_pre_hook(lambda one, images: calls.update(steps=calls["steps"] + one.training))
        return network

    monkeypatch.setattr(distance, "to_nearest", spied)
    monkeypatch.setattr(UNet, "build", watched)
    return calls


@pytest.mark.parametrize(
    "training",
    [
        {},
        {"patches": "Patches(size=(8, 8))", "augment": ["Flip()", "Intensity(noise=0.1)"]},
        {"patches": "Patches(size=(8, 4), foreground=1.0)"},
        {"augment": ["Flip(axes=(0,))", "Flip(axes=(1,))"]},
        {"precision": "bfloat16", "patches": "Patches(size=(8, 8))"},
    ],
    ids=str,
)
def test_no_step_transforms_distances(folder: Path, counted: dict[str, int], training: dict[str, Any]) -> None:
    trained(folder, **training)
    assert counted["steps"] == 4 and not counted["transforms in steps"]
    assert counted["before"] == 2 * 8  # inside and outside, eight cases to fit; once for both losses


def test_a_network_learns_from_distances_to_boundaries_in_patches(folder: Path) -> None:
    loss, stages = "Dice() + 0.1 * Boundary()", [{"epochs": 30, "batch": 4}]
    curve = trained(folder, loss=loss, patches="Patches(size=(12, 12))", augment=["Flip()"], stages=stages,
                    optimizer="Adam(lr=0.03)").curve  # fmt: skip
    assert curve[-1]["loss"] < curve[0]["loss"] - 0.1 and curve[-1]["inner"] > max(0.7, curve[0]["inner"])


def test_what_moves_a_mask_otherwise_is_worked_out_anew_for_those_images_alone(
    folder: Path, counted: dict[str, int]
) -> None:
    trained(folder, augment=["Flip()", "Rotate(p=0.4)"])
    assert 0 < counted["transforms in steps"] < 2 * 8 * 2


def test_a_prediction_has_to_be_transformed_in_every_step(folder: Path, counted: dict[str, int]) -> None:
    trained(folder, loss="Dice() + 0.01 * HausdorffDistance()")
    assert counted["transforms in steps"] == 2 * 8 * 2  # inside and outside, in two epochs


@pytest.mark.parametrize("augment", [[], ["Flip()"], ["Flip()", "Rotate(p=0.5)"]], ids=str)
def test_whole_images_teach_the_same_as_without(
    folder: Path, augment: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With and without maps that come along: to the last bit."""
    ahead = trained(folder, augment=augment)
    monkeypatch.setattr(Loss, "ahead", ())
    alone = trained(folder, augment=augment)
    assert torch.equal(ahead.test, alone.test) and ahead.curve == alone.curve


def test_patches_know_of_boundaries_beyond_their_edge(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ahead = trained(folder, patches="Patches(size=(6, 6))")
    monkeypatch.setattr(Loss, "ahead", ())
    assert not torch.equal(ahead.test, trained(folder, patches="Patches(size=(6, 6))").test)


def test_losses_share_every_draw_with_those_that_know_no_distances(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[str, list[Tensor]] = {"Dice()": [], LOSS: []}
    build = UNet.build
    for loss, shown in seen.items():

        def spied(self: UNet, task: Task, outputs: int, shown: list[Tensor] = shown) -> nn.Module:
            network = build(self, task, outputs)
            network.register_forward_pre_hook(lambda one, images: shown.append(images[0].clone()))
            return network

        monkeypatch.setattr(UNet, "build", spied)
        trained(folder, loss=loss, patches="Patches(size=(8, 8))", augment=["Flip()", "Rotate()", "Intensity()"])
    assert len(seen[LOSS]) > 6
    assert all(torch.equal(*pair) for pair in zip(*seen.values(), strict=True))


def test_volumes_in_files_teach_the_same_as_in_memory(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    masks = torch.from_numpy(np.load(folder / "tiny.npz")["masks"]).long()
    masks[0, :, :3] = -1
    task = Task(kind="segmentation", classes=("no", "yes"), size=(16, 16))
    monkeypatch.setenv("WHICHLOSS_CACHE", str(tmp_path / "cache"))
    memory = Ahead(parse(LOSS), task, masks)
    files: Any = Ahead(parse(LOSS), task, Rows(masks.to(torch.int8), range(24)))  # type: ignore[arg-type]
    images, order = torch.zeros(24, 1, 16, 16), torch.tensor([3, 0, 7])
    for one, labels in ((memory, masks), (files, Rows(masks.to(torch.int8), range(24)))):
        beside = one[order]
        Patches(size=(6, 5)).sample(images[order], labels[order], Generator().manual_seed(0), beside)
        one.cut = beside.known
    assert len(memory.cut) == 1 and next(iter(memory.cut.values())).shape == (3, 1, 6, 5)
    assert all(torch.equal(memory.cut[lift], files.cut[lift]) for lift in memory.cut)


def test_a_study_is_conducted_with_such_losses(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    of = tiny_study(
        losses=["Dice()", LOSS, "Dice() + ClDice()", "Dice() + HausdorffErosion(threshold=0.1)"],
        baseline="Dice()", primary="Dice()", network="UNet(width=2, depth=2, dropout=0.0)",
        data='Arrays("tiny.npz", target="masks", group="patients", id="ids")',
        training=TINY["training"] | {"patches": "Patches(size=(8, 8))", "augment": ["Flip()"]},
    )  # fmt: skip
    done = conduct(of, folder / "store", roots=[folder], workers=1)
    assert not done.failed and done.report.exists()


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"data": 'Arrays("tiny.npz", target="labels")'}, "is for segmentation, and the data ask for classification"),
        ({"losses": ["Boundary(spacing=(3, 1, 1))"]}, "has 3 numbers, and an image (16, 16) has 2 axes: give the step"),
        ({"losses": ["Boundary(spacing=(0, 1))"]}, "it must be a list of finite numbers, each above 0, or None"),
        (
            {"losses": ["Boundary(background=False)"]},
            "one output is the foreground, so background=False leaves nothing",
        ),
        ({"losses": ["HausdorffErosion()"]}, "has no gradient on the first cases"),
    ],
    ids=str,
)
def test_what_cannot_be_trained_is_said_before_the_first_run(folder: Path, changes: dict[str, Any], says: str) -> None:
    loss = {"losses": ["Boundary()"]} | changes
    by_image = "labels" in str(changes)
    path = write_study(
        folder, baseline=loss["losses"][0], primary="RocAuc()" if by_image else "Dice()",
        network="SmallConvNet()" if by_image else "UNet(width=2, depth=2)",
        **{"data": 'Arrays("tiny.npz", target="masks")'} | loss,
    )  # fmt: skip
    answer = cli("run", path, here=folder)
    assert answer.code == 2 and says in " ".join(answer.err.split()) and "Traceback" not in answer.err


# maps and masks


def maps(space: tuple[int, ...], classes: int = 3) -> tuple[Ahead, Tensor]:
    task = Task(kind="segmentation", classes=tuple("abc"[:classes]), size=space)
    masks = torch.randint(-1, classes, (6, *space), generator=Generator().manual_seed(0))
    return Ahead(parse(LOSS), task, masks), masks


@pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)
@pytest.mark.parametrize(
    "chain", ["Flip()", "Flip(p=1)", "Rotate()", "Crop(border=2)", "Elastic(strength=2, spacing=5)"]
)
def test_maps_of_a_whole_image_are_those_of_its_mask_however_it_is_moved(
    space: tuple[int, ...], chain: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ahead, masks = maps(space)
    beside, images = ahead[torch.arange(6)], torch.randn(6, 1, *space, generator=Generator().manual_seed(1))
    before = {lift: one.clone() for lift, one in beside.known.items()}
    steps = [parse(chain, Augmentation), parse("Flip(axes=(0,))", Augmentation)]
    _, moved = augment(images, masks, steps, Generator().manual_seed(2), beside=beside)
    assert not torch.equal(moved, masks)
    for lift, expected in ahead.of(moved).items():
        torch.testing.assert_close(beside.known[lift], expected, rtol=0, atol=0)
    again = ahead[torch.arange(6)].known  # what is kept has not been moved
    assert all(torch.equal(one, again[lift]) for lift, one in before.items())


@pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)
def test_maps_of_patches_are_pieces_of_those_of_the_image(space: tuple[int, ...]) -> None:
    ahead, masks = maps(space)
    numbered = torch.arange(masks.numel()).reshape(6, 1, *space).float()  # where each voxel comes from
    beside = ahead[torch.arange(6)]
    patches, _ = Patches(size=(4,) * len(space)).sample(numbered, masks, Generator().manual_seed(3), beside)
    for lift, whole in ahead.maps.items():
        expected = whole.movedim(1, -1).flatten(0, -2)[patches[:, 0].long()].movedim(-1, 1)
        assert torch.equal(beside.known[lift], expected)


def test_background_around_a_small_image_is_background_to_distances_too() -> None:
    ahead, masks = maps((9, 8))
    beside = ahead[torch.arange(6)]
    images = torch.zeros(6, 1, 9, 8)
    _, moved = Patches(size=(6, 12)).sample(images, masks, Generator().manual_seed(0), beside)
    assert all(torch.equal(beside.known[lift], one) for lift, one in ahead.of(moved).items())


def test_labels_of_no_say_are_neither_object_nor_background() -> None:
    ahead, masks = maps((9, 8), classes=2)
    logits = torch.randn(6, 1, 9, 8, generator=Generator().manual_seed(0))
    loss = parse("Boundary()")
    direct = loss(logits, masks.clamp_min(0).unsqueeze(1).float(), (masks >= 0).float())
    told = loss(
        logits, masks.clamp_min(0).unsqueeze(1).float(), (masks >= 0).float(), known=ahead[torch.arange(6)].known
    )
    assert direct == told and direct != loss(logits, masks.clamp_min(0).unsqueeze(1).float())


def test_most_losses_need_nothing_ahead(folder: Path) -> None:
    nothing = Ahead(parse("Dice()"), Task(kind="segmentation", classes=("a", "b"), size=(4, 4)), torch.zeros(2, 4, 4))
    assert nothing.maps == nothing[torch.tensor([0])].known == {}
