"""The networks that are built: weights counted, shapes, what losses share."""

import pytest
import torch
from torch import Tensor, nn

from whichloss.core import Task, UserError, registry
from whichloss.core.task import Kind
from whichloss.networks import Network
from whichloss.networks.lymph_net import LymphNet
from whichloss.networks.small_conv_net import SmallConvNet
from whichloss.networks.unet import UNet
from whichloss.networks.view_net import ViewNet

YES_NO = ("no", "yes")
SMALL = {
    "plain": UNet(width=4, depth=3),
    "pool": UNet(width=4, depth=3, down="pool", normalize=False, dropout=0.0),
    "two levels": UNet(width=4, depth=2),
    "classifier": SmallConvNet(width=4),
    "no norm": SmallConvNet(width=4, depth=2, normalize=False),
    "view": ViewNet(width=4, deeper=4, units=8),
    "lymph": LymphNet(units=16),
    "lymph cropped": LymphNet(units=16, crop=12, lrn=True, local_drop=True),
}
each_network = pytest.mark.parametrize("network", SMALL.values(), ids=SMALL)
PLANE: dict[type[Network], int] = {LymphNet: 6}  # in two dimensions only, and sides of so many pixels or more


def task_of(
    network: Network,
    size: tuple[int, ...] = (24, 20),
    classes: int = 2,
    channels: int = 1,
    kind: Kind | None = None,
) -> Task:
    kind = kind or network.card.tasks[0]
    if kind == "regression":
        return Task(kind=kind, quantity="radius", size=size, channels=channels)
    names = YES_NO if classes == 2 else tuple(f"class {k}" for k in range(classes))
    return Task(kind=kind, classes=names, size=size, channels=channels)


def fitting(network: Network, size: tuple[int, ...]) -> tuple[int, ...]:
    """A size that the network takes, as near to this one as may be."""
    least = max(PLANE.get(type(network), 0), getattr(network, "crop", 0) or 0)
    return tuple(max(side, least) for side in (size[-2:] if type(network) in PLANE else size))


def built(network: Network, task: Task, outputs: int = 1, seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return network.build(task, outputs)


def weights(network: Network, task: Task, outputs: int = 1) -> int:
    return sum(one.numel() for one in built(network, task, outputs).parameters())


def images(task: Task, cases: int = 3) -> Tensor:
    return torch.randn(cases, task.channels, *task.size, generator=torch.Generator().manual_seed(1))


# weights counted


def test_the_u_net_of_the_focusnet_code_has_7_760_645_weights() -> None:
    colour = Task(kind="segmentation", classes=YES_NO, channels=3, size=(192, 256))
    assert weights(UNet(normalize=False, down="pool"), colour) == 7_760_645


def test_strided_convolutions_add_783_840() -> None:
    colour = Task(kind="segmentation", classes=YES_NO, channels=3, size=(192, 256))
    assert weights(UNet(normalize=False, down="stride"), colour) == 7_760_645 + 783_840


def test_the_small_network_has_about_25_thousand() -> None:
    network = SmallConvNet()
    assert weights(network, task_of(network, (40, 40))) == 25_521
    assert weights(network, task_of(network, (24, 24, 24))) == 71_889


# shapes


@each_network
@pytest.mark.parametrize("size", [(16, 16), (17, 23), (1, 5), (5, 12, 9), (1, 8, 8)])
def test_any_size_in_two_and_three_dimensions(network: Network, size: tuple[int, ...]) -> None:
    size = fitting(network, size)
    task = task_of(network, size, classes=3, channels=2)
    logits = built(network, task, 3)(images(task))
    assert logits.shape == (3, 3, *(size if task.kind == "segmentation" else ()))
    assert logits.isfinite().all()


@each_network
def test_every_task_on_its_card(network: Network) -> None:
    for kind in network.card.tasks:
        task = task_of(network, kind=kind)
        logits = built(network, task, task.outputs)(images(task))
        assert logits.shape == (3, 1, *(task.size if kind == "segmentation" else ()))


def test_views_of_candidates_are_for_all_that_classify() -> None:
    for name in registry(Network):
        tasks = registry(Network)[name].card.tasks
        assert ("detection" in tasks) == ("classification" in tasks), name


@each_network
def test_evaluation_leaves_nothing_to_chance(network: Network) -> None:
    task = task_of(network)
    module = built(network, task)
    module(images(task))
    module.eval()
    before, first = torch.get_rng_state(), module(images(task))
    assert torch.equal(module(images(task)), first)
    assert torch.equal(torch.get_rng_state(), before)


@each_network
def test_what_training_draws_is_torchs_global_chance(network: Network) -> None:
    task = task_of(network)
    one, other = (built(network, task).train() for _ in range(2))
    for step in range(2):
        state = torch.get_rng_state()
        first = one(images(task))
        torch.set_rng_state(state)
        assert torch.equal(other(images(task)), first), step


def test_padding_is_not_seen_where_nothing_is_padded() -> None:
    """A border that repeats is what padding makes: the padded image by hand gives the same logits."""
    network = UNet(width=4, depth=3)
    task = task_of(network, (13, 15))
    module = built(network, task).eval()
    small = images(task)
    by_hand = torch.cat([small, small[..., -1:, :].expand(-1, -1, 3, -1)], 2)
    by_hand = torch.cat([by_hand, by_hand[..., -1:]], 3)
    assert torch.allclose(module(small), module(by_hand)[..., :13, :15])


def test_a_voxel_hears_only_what_lies_around_it() -> None:
    """Up and down are aligned: the answer to a shifted image is the shifted answer."""
    network = UNet(width=4, depth=3, dropout=0.0)
    task = task_of(network, (64, 64))
    module = built(network, task).eval()
    spot = torch.zeros(1, 1, 64, 64)
    spot[..., 24:32, 24:32] = 1.0
    moved = spot.roll(4, -1)
    assert torch.allclose(module(spot).roll(4, -1)[..., 16:40, 16:48], module(moved)[..., 16:40, 16:48], atol=1e-5)


# what losses share


@each_network
def test_one_seed_one_network(network: Network) -> None:
    task = task_of(network)
    first, again, other = (built(network, task, seed=seed).state_dict() for seed in (0, 0, 1))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)


@each_network
@pytest.mark.parametrize("classes", [2, 5])
def test_losses_that_ask_for_other_outputs_share_all_earlier_weights(network: Network, classes: int) -> None:
    task = task_of(network, classes=classes)
    few, many = (built(network, task, outputs).state_dict() for outputs in (1, 7))
    assert few.keys() == many.keys()
    assert {name for name in few if few[name].shape != many[name].shape} == {"head.weight", "head.bias"}
    assert all(torch.equal(few[name], many[name]) for name in few if not name.startswith("head."))


@each_network
@pytest.mark.parametrize("size", [(24, 20), (8, 12, 12)])
def test_every_weight_is_taught(network: Network, size: tuple[int, ...]) -> None:
    task = task_of(network, fitting(network, size))
    module = built(network, task)
    module(images(task, 6)).square().mean().backward()
    silent = [name for name, one in module.named_parameters() if one.grad is None or not one.grad.any()]
    assert silent == []


@each_network
def test_a_few_steps_learn_bright_from_dark(network: Network) -> None:
    task = task_of(network, (16, 16))
    draw = torch.Generator().manual_seed(2)
    target = (torch.rand(24, 1, *(task.size if task.kind == "segmentation" else ()), generator=draw) > 0.5).float()
    noise = 0.1 * torch.randn(24, 1, 16, 16, generator=draw)
    bright = noise + (target if target.ndim == 4 else target[..., None, None])
    module = built(network, task)
    optimizer = torch.optim.Adam(module.parameters(), 0.02)
    for _ in range(60):
        loss = nn.functional.binary_cross_entropy_with_logits(module(bright), target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.35


# what does not fit


@pytest.mark.parametrize("network", [UNet(), SmallConvNet(), ViewNet(), LymphNet()])
def test_the_wrong_task_and_unknown_sizes_are_refused(network: Network) -> None:
    other = next(kind for kind in ("classification", "segmentation") if kind not in network.card.tasks)
    with pytest.raises(UserError, match=f"and the data ask for {other}"):
        network.build(Task(kind=other, classes=YES_NO, size=(8, 8)), 1)
    with pytest.raises(UserError, match=r"\(D, H, W\); the data declare \(\)"):
        network.build(task_of(network, ()), 1)


def test_a_quantity_is_one_output_of_the_small_network() -> None:
    task = Task(kind="regression", quantity="radius", size=(24, 20))
    network = SmallConvNet(width=4)
    assert built(network, task, task.outputs)(images(task)).shape == (3, 1)
    with pytest.raises(UserError, match="UNet is for segmentation, and the data ask for regression"):
        UNet().build(task, 1)


def test_all_are_found_by_looking() -> None:
    assert {type(network).__name__ for network in SMALL.values()} == set(registry(Network))
    assert "Factory" not in registry(Network)
