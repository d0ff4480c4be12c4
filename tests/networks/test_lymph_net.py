"""LymphNet: weights counted, layers as published, crops and views, and a study that trains it as cuda-convnet did."""

from collections.abc import Callable, Mapping
from copy import deepcopy

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import max_pool2d

from whichloss.core import FieldError, Task, UserError
from whichloss.networks.drop_connect import DropConnect
from whichloss.networks.lymph_net import AcrossMaps, LymphNet, Shown
from whichloss.study.course import Course
from whichloss.study.layers import groups
from whichloss.study.study import Training

VIEW = Task(kind="detection", classes=("no lesion", "lesion"), channels=3, size=(32, 32))


def built(network: LymphNet, outputs: int = 1, task: Task = VIEW) -> nn.Module:
    torch.manual_seed(0)
    return network.build(task, outputs)


def weights(network: LymphNet, outputs: int) -> int:
    return sum(one.numel() for one in built(network, outputs).parameters())


def views(count: int = 4, size: int = 32) -> Tensor:
    return torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(1))


# weights


@pytest.mark.parametrize(
    ("network", "expected"),
    [
        (LymphNet(), 4_702_530),
        (LymphNet(units=1024), 4_702_530 + 512 * (2048 + 1 + 2)),
        (LymphNet(units=2048), 4_702_530 + 1536 * (2048 + 1 + 2)),
        (LymphNet(crop=24), 2_692_802),
        (LymphNet(lrn=True, drop_connect=0, subtract_mean=False), 4_702_530),
        (LymphNet(local_drop=True, masks="example"), 4_702_530),
    ],
)
def test_weights_are_those_of_the_paper(network: LymphNet, expected: int) -> None:
    assert weights(network, 2) == expected
    assert weights(network, 1) == expected - network.units - 1


def test_each_layer_has_its_part() -> None:
    parts: dict[str, int] = {}
    for name, one in built(LymphNet(), 2).named_parameters():
        layer = name.split(".")[0]
        parts[layer] = parts.get(layer, 0) + one.numel()
    assert parts == {
        "conv1": 4_864, "conv2": 102_464, "local3": 2_363_392, "local4": 1_181_696, "fc": 1_049_088, "head": 1_026,
    }  # fmt: skip


@pytest.mark.parametrize(("size", "half", "quarter"), [(32, 16, 8), (24, 12, 6), (33, 16, 8), (7, 3, 1)])
def test_maps_shrink_as_in_cuda_convnet(size: int, half: int, quarter: int) -> None:
    """Outputs of a pooling there: ceil((size - 3) / 2) + 1."""
    shapes: dict[str, tuple[int, ...]] = {}

    def note(name: str) -> Callable[..., None]:
        return lambda _layer, _given, made: shapes.update({name: tuple(made.shape)})

    module = built(LymphNet(units=4), task=Task(kind="detection", classes=("a", "b"), channels=3, size=(size, size)))
    for name, layer in module.named_children():
        layer.register_forward_hook(note(name))
    module(views(2, size))
    assert shapes["conv1"] == (2, 64, size, size)
    assert shapes["pool1"] == (2, 64, half, half)
    assert shapes["conv2"] == (2, 64, half, half)
    assert shapes["pool2"] == shapes["local3"] == (2, 64, quarter, quarter)
    assert shapes["local4"] == (2, 32, quarter, quarter)
    assert shapes["flat"] == (2, 32 * quarter**2)


def test_initial_weights_are_spread_as_published() -> None:
    deviations = {"conv1": 0.0001, "conv2": 0.01, "local3": 0.04, "local4": 0.04, "fc": 0.01, "head": 0.01}
    for name, one in built(LymphNet(units=1024), 2).named_parameters():
        if name.endswith("bias"):
            assert not one.any()
        else:
            expected = deviations[name.split(".")[0]]
            assert one.std().item() == pytest.approx(expected, rel=4 / (2 * one.numel()) ** 0.5)


def test_rates_and_decay_of_cuda_convnet() -> None:
    """Rate of weights 0.001, of biases 0.002; decay 0.004 of the weights of local3, local4, fc and the last layer."""
    training = Training.model_validate(
        {
            "optimizer": "SGD(lr=0.001, momentum=0.9, weight_decay=0.004)",
            "layers": [
                {"match": "*.bias", "rate": 2, "weight_decay": 0},
                {"match": "conv*", "weight_decay": 0},
            ],
            "stages": [{"epochs": 100, "batch": 64}],
        }
    )
    for network in (LymphNet(units=8), LymphNet(units=8, drop_connect=0), LymphNet(units=8, local_drop=True)):
        module = built(network)
        names = {one: name for name, one in module.named_parameters()}
        optimizer = training.optimizer.build(groups(module, training.layers))
        found = {
            names[one]: (group["lr"] * group["rate"], group["weight_decay"])
            for group in optimizer.param_groups
            for one in group["params"]
        }
        assert found == {name: _published(name) for name in names.values()}


def test_a_training_that_is_cut_off_goes_on_to_the_same_weights() -> None:
    network = LymphNet(units=8, crop=12, local_drop=True, lrn=True)
    whole, again = course(network), course(network)
    steps(whole, 2)
    kept = deepcopy(whole.state())
    steps(whole, 3)
    torch.manual_seed(9)
    steps(again, 1)
    again.restore(kept)
    steps(again, 3)
    ended = again.network.state_dict()
    assert all(torch.equal(one, ended[name]) for name, one in whole.network.state_dict().items())


def course(network: LymphNet) -> Course:
    module = built(network)
    optimizer = torch.optim.SGD(module.parameters(), 0.001, 0.9)
    return Course(module, optimizer, torch.amp.GradScaler("cpu", enabled=False), {}, torch.device("cpu"))


def steps(course: Course, times: int) -> None:
    for _ in range(times):
        course.optimizer.zero_grad()
        course.network(views()).sigmoid().mean().backward()
        course.optimizer.step()


def _published(name: str) -> tuple[float, float]:
    if name.endswith("bias"):
        return 0.002, 0.0
    return 0.001, 0.0 if name.startswith("conv") else 0.004


# layers


def test_normalisation_across_maps_equals_a_plain_loop() -> None:
    """cuda-convnet: scale / size, times the sum of squares over the maps there are, plus 1, to the power 0.75."""
    features = 40 * torch.randn(2, 9, 3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    expected = torch.empty_like(features)
    for at in range(9):
        total = sum(features[:, near] ** 2 for near in range(max(0, at - 2), min(9, at + 3)))
        expected[:, at] = features[:, at] / (1 + 0.001 / 5 * total) ** 0.75
    torch.testing.assert_close(AcrossMaps()(features), expected)
    torch.testing.assert_close(nn.LocalResponseNorm(5, alpha=0.001, beta=0.75, k=1.0)(features), expected)


def test_gradient_of_the_normalisation() -> None:
    features = 20 * torch.randn(1, 6, 2, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    assert torch.autograd.gradcheck(AcrossMaps(), features.requires_grad_())


def test_the_whole_network_by_hand() -> None:
    network = LymphNet(units=16, scale=100.0)
    module = built(network, 2)
    with torch.no_grad():
        for one in module.parameters():
            one.mul_(2.0).add_(0.01 * torch.randn_like(one))
        module(views(8))  # a mean image
    state, images = module.eval().state_dict(), views(3)
    features = 100.0 * (images - state["shown.mean"])
    for at in ("1", "2"):
        convolved = nn.functional.conv2d(features, state[f"conv{at}.weight"], state[f"conv{at}.bias"], padding=2)
        features = max_pool2d(convolved.relu(), 3, 2, ceil_mode=True)
    for at in ("3", "4"):
        window = nn.functional.unfold(features, 3, padding=1).unflatten(1, (-1, 9))  # (N, C, 9, P)
        weight = state[f"local{at}.weight"].unflatten(1, (9, -1))  # (P, 9, C, O)
        summed = torch.einsum("nckp,pkco->npo", window, weight) + state[f"local{at}.bias"][:, 0]
        features = summed.permute(0, 2, 1).unflatten(2, (8, 8)).relu()
    drop = module.get_submodule("fc")
    assert isinstance(drop, DropConnect)
    logits = drop(features.flatten(1)) @ state["head.weight"].T + state["head.bias"]
    torch.testing.assert_close(module(images), logits, rtol=1e-4, atol=1e-4)


def test_options_choose_layers() -> None:
    def kinds(network: LymphNet) -> Mapping[str, str]:
        return {name: type(layer).__name__ for name, layer in built(network).named_children()}

    assert kinds(LymphNet(units=4))["fc"] == "DropConnect"
    assert kinds(LymphNet(units=4))["local3"] == "Local"
    assert kinds(LymphNet(units=4, local_drop=True))["local4"] == "DropConnect"
    assert kinds(LymphNet(units=4, drop_connect=0))["fc"] == "Dense"
    assert list(kinds(LymphNet(units=4, lrn=True)))[:5] == ["shown", "conv1", "relu1", "norm1", "pool1"]
    fc = built(LymphNet(units=4, drop_connect=0.2, masks="example", inference="mean")).get_submodule("fc")
    assert isinstance(fc, DropConnect)
    assert (fc.keep, fc.masks, fc.inference) == (0.8, "example", "mean")


# what is shown to the layers


def shown(crop: int | None = 4, ten: bool = False, subtract: bool = True, size: int = 6) -> Shown:
    return Shown((1, size, size), crop, ten, subtract, 1.0)


def numbered(count: int, size: int = 6) -> Tensor:
    """Images whose pixels tell where they are from."""
    return torch.arange(float(count * size * size)).reshape(count, 1, size, size)


def test_training_sees_crops_from_anywhere_and_mirrored() -> None:
    torch.manual_seed(0)
    images = numbered(400)
    cut = shown(subtract=False)(images)
    seen = set()
    for one, image in zip(cut[:, 0], images[:, 0], strict=True):
        places = [
            (down, right, mirrored)
            for down in range(3)
            for right in range(3)
            for mirrored in (False, True)
            for whole in [image[down : down + 4, right : right + 4]]
            if torch.equal(one, whole.flip(1) if mirrored else whole)
        ]
        assert len(places) == 1
        seen.update(places)
    assert len(seen) == 18


def test_crops_are_drawn_from_torchs_global_generator() -> None:
    images, cut = numbered(8), shown()
    state = torch.get_rng_state()
    first = cut(images)
    torch.set_rng_state(state)
    assert torch.equal(shown()(images), first)


def test_afterwards_the_centre_is_seen() -> None:
    images = numbered(2)
    assert torch.equal(shown(subtract=False).eval()(images), images[..., 1:5, 1:5])


def test_or_four_corners_and_the_centre_each_also_mirrored() -> None:
    images = numbered(2)
    ten = shown(ten=True, subtract=False).eval()(images).unflatten(0, (10, 2))
    places = [(0, 0), (0, 2), (2, 0), (2, 2), (1, 1)]
    for at, (down, right) in enumerate(places):
        crop = images[..., down : down + 4, right : right + 4]
        assert torch.equal(ten[at], crop)
        assert torch.equal(ten[at + 5], crop.flip(3))


def test_ten_views_have_the_mean_of_their_logits() -> None:
    module = built(LymphNet(units=4, crop=24, views="ten", lrn=True), 2)
    assert module(views()).shape == (4, 2)  # one crop of each, in training
    module.eval()
    images = views()
    each = module.get_submodule("shown")(images)
    for name, layer in module.named_children():
        each = each if name in ("shown", "over_views") else layer(each)
    torch.testing.assert_close(module(images), torch.stack(each.split(4)).mean(0))


def test_the_mean_image_is_that_of_all_that_was_trained_on() -> None:
    images, layer = numbered(10).sqrt(), shown(crop=None)
    for part in images.split([3, 4, 3]):
        layer(part)
    torch.testing.assert_close(layer.mean, images.mean(0))
    torch.testing.assert_close(layer.eval()(images), images - images.mean(0))
    torch.testing.assert_close(layer.mean, images.mean(0))  # looking at test images teaches nothing


def test_the_mean_image_is_cut_at_the_centre() -> None:
    """cuda-convnet does so, wherever the crop is."""
    images, layer = numbered(1), shown()
    torch.manual_seed(0)
    cut = layer(images)
    torch.manual_seed(0)
    assert torch.equal(cut + images[..., 1:5, 1:5], shown(subtract=False)(images))


def test_without_it_images_are_only_scaled() -> None:
    layer = Shown((3, 32, 32), None, False, False, 255.0)
    assert torch.equal(layer(views()), 255.0 * views())


# what fits


def test_options_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(FieldError, match="such as crop=24"):
        LymphNet(views="ten")
    with pytest.raises(FieldError, match="drop_connect is 0"):
        LymphNet(local_drop=True, drop_connect=0)


@pytest.mark.parametrize("size", [(5, 32), (8, 8, 8)])
def test_small_images_and_volumes_are_refused(size: tuple[int, ...]) -> None:
    with pytest.raises(UserError, match=r"6 pixels or more of each side; the data declare \("):
        LymphNet().build(Task(kind="detection", classes=("a", "b"), channels=3, size=size), 1)


def test_crops_must_fit() -> None:
    small = Task(kind="detection", classes=("a", "b"), size=(20, 32))
    with pytest.raises(UserError, match=r"no crop of 24 pixels fits into images \(20, 32\)"):
        LymphNet(crop=24).build(small, 1)
    with pytest.raises(UserError, match="and crop is 4"):
        LymphNet(crop=4).build(small, 1)
