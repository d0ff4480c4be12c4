"""DropConnect: what it drops in training, and what stands for the mean over all of it afterwards."""

from math import pi

import pytest
import torch
from torch import Tensor

from whichloss.networks.drop_connect import Dense, DropConnect, mean_of_relu
from whichloss.networks.layers import Affine
from whichloss.networks.local import Local

dense_or_local = pytest.mark.parametrize("kind", ["dense", "local"])


def affine(kind: str) -> Affine:
    torch.manual_seed(0)
    layer = Dense(60, 7) if kind == "dense" else Local(6, 4, (4, 5), 3, padding=1)
    torch.nn.init.normal_(layer.bias, std=0.3)
    return layer.double()


def features_for(kind: str, count: int = 5) -> Tensor:
    shape = (60,) if kind == "dense" else (6, 4, 5)
    return torch.rand(count, *shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def draws(layer: DropConnect, features: Tensor, times: int) -> Tensor:
    torch.manual_seed(2)
    with torch.no_grad():
        return torch.stack([layer.train()(features) for _ in range(times)])


# training


@dense_or_local
def test_a_batch_shares_its_mask(kind: str) -> None:
    features = features_for(kind, 1)
    twice = features.expand(2, *features.shape[1:])
    batch = draws(DropConnect(affine(kind)), twice, 3)
    assert torch.equal(batch[:, 0], batch[:, 1])
    assert not torch.equal(batch[0], batch[1])


@dense_or_local
def test_each_example_may_have_its_own(kind: str) -> None:
    features = features_for(kind, 1)
    own = draws(DropConnect(affine(kind), masks="example"), features.expand(2, *features.shape[1:]), 1)[0]
    assert not torch.equal(own[0], own[1])


def test_weights_are_kept_or_left_out_and_biases_stay() -> None:
    """A weight of 1 for each of the unit vectors: what comes out is the mask, and the bias."""
    layer = Dense(40, 50)
    torch.nn.init.ones_(layer.weight)
    torch.nn.init.constant_(layer.bias, 3.0)
    for masks in ("batch", "example"):
        kept = draws(DropConnect(layer, keep=0.8, masks=masks), torch.eye(40), 10) - 3
        assert set(kept.unique().tolist()) == {0.0, 1.0}
        assert kept.mean().item() == pytest.approx(0.8, abs=4 * (0.16 / kept.numel()) ** 0.5)


@dense_or_local
@pytest.mark.parametrize("masks", ["batch", "example"])
def test_connections_that_are_left_out_are_not_taught(kind: str, masks: str) -> None:
    layer = affine(kind)
    torch.nn.init.constant_(layer.bias, 50.0)  # no ReLU is at rest
    torch.manual_seed(3)
    DropConnect(layer, masks=masks)(features_for(kind, 1)).sum().backward()
    assert layer.weight.grad is not None and layer.bias.grad is not None
    full = torch.autograd.grad(layer.linear(features_for(kind, 1), layer.weight).sum(), layer.weight)[0]
    taught = layer.weight.grad[full != 0] != 0
    assert 0.4 < taught.double().mean().item() < 0.6
    assert (layer.bias.grad == 1).all()


@dense_or_local
@pytest.mark.parametrize("masks", ["batch", "example"])
def test_chance_is_torchs_global_generator(kind: str, masks: str) -> None:
    layer, features = DropConnect(affine(kind), masks=masks), features_for(kind)
    first, again = draws(layer, features, 2), draws(layer, features, 2)
    assert torch.equal(first, again)
    state = torch.get_rng_state()
    follows = layer(features)
    torch.set_rng_state(state)
    assert torch.equal(layer(features), follows)


# evaluation


@dense_or_local
@pytest.mark.parametrize("masks", ["batch", "example"])
def test_evaluation_is_the_mean_over_masks(kind: str, masks: str) -> None:
    """Within the noise of many draws, and what is left of u not being normal; max(0, mean) is far outside."""
    layer, features = DropConnect(affine(kind), masks=masks), features_for(kind)
    sampled = draws(layer, features, 3000 if masks == "batch" else 800)
    mean, error = sampled.mean(0), sampled.std(0) / len(sampled) ** 0.5
    moments = layer.eval()(features)
    assert ((moments - mean).abs() < 5 * error + 0.01 * sampled.std(0).max()).all()
    layer.inference = "mean"
    assert (layer(features) - mean).abs().mean() > 3 * (moments - mean).abs().mean()


@dense_or_local
@pytest.mark.parametrize("inference", ["moments", "mean"])
def test_evaluation_draws_nothing(kind: str, inference: str) -> None:
    layer, features = DropConnect(affine(kind), inference=inference).eval(), features_for(kind)
    before = torch.get_rng_state()
    assert torch.equal(layer(features), layer(features))
    assert torch.equal(torch.get_rng_state(), before)


def test_moments_by_hand() -> None:
    """W = (2, -1, 4), x = (1, 3, 0.5), b = 0.25, p = 0.5: mean 0.75, variance 0.25 (4 + 9 + 4) = 4.25."""
    layer = Dense(3, 1).double()
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[2.0, -1.0, 4.0]]))
        layer.bias.fill_(0.25)
    features = torch.tensor([[1.0, 3.0, 0.5]], dtype=torch.float64)
    expected = mean_of_relu(torch.tensor([[0.75]]).double(), torch.tensor([[4.25]]).double())
    torch.testing.assert_close(DropConnect(layer).eval()(features), expected)
    torch.testing.assert_close(DropConnect(layer, inference="mean").eval()(features), torch.tensor([[0.75]]).double())


@pytest.mark.parametrize("mean", [-6.0, -1.0, 0.0, 0.3, 5.0])
@pytest.mark.parametrize("deviation", [0.2, 1.0, 3.0])
def test_mean_of_relu_equals_the_integral(mean: float, deviation: float) -> None:
    points = torch.linspace(max(-40.0, -mean / deviation), 40, 1_000_001, dtype=torch.float64)  # from the corner on
    density = (-0.5 * points.square()).exp() / (2 * pi) ** 0.5
    integral = torch.trapezoid((mean + deviation * points) * density, points)
    closed = mean_of_relu(*torch.tensor([mean, deviation**2], dtype=torch.float64))
    assert closed.item() == pytest.approx(integral.item(), abs=1e-9)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_mean_of_relu_at_its_ends(dtype: torch.dtype) -> None:
    mean = torch.tensor([-1e4, -3.0, 0.0, 2.0, 1e4], dtype=dtype)
    torch.testing.assert_close(mean_of_relu(mean, torch.zeros_like(mean)), mean.relu(), rtol=0, atol=1e-18)
    far = mean_of_relu(torch.linspace(-40, 0, 4001, dtype=dtype), torch.ones(4001, dtype=dtype))
    assert (far >= 0).all() and far.isfinite().all()


def test_evaluation_keeps_its_precision_where_training_is_mixed() -> None:
    """Squares of features near 300 are beyond float16."""
    layer, features = DropConnect(affine("dense").float()).eval(), 300 * features_for("dense").float()
    with torch.autocast("cpu", torch.float16):
        assert torch.equal(layer(features), layer(features.float()))
        assert layer(features).isfinite().all()


def test_nothing_dropped_is_the_layer_itself() -> None:
    plain, features = affine("dense"), features_for("dense")
    layer = DropConnect(plain, keep=1.0)
    expected = plain(features).relu()
    torch.testing.assert_close(layer(features), expected)
    torch.testing.assert_close(layer.eval()(features), expected)
