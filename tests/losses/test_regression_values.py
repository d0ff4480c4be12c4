"""Regression losses: torch's and scikit-learn's values, and what each formula says of residuals large and small."""

from math import log, log1p

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import mean_pinball_loss
from torch import Tensor, nn

from oracles_losses import batch, same
from whichloss import Huber, LogCoshError, Quantile, Wing, parse
from whichloss.core import FieldError

SHAPES = {"cases": (7, 1), "2-D": (3, 2, 6, 5), "3-D": (2, 2, 3, 4, 2)}


@pytest.mark.parametrize("space", SHAPES)
@pytest.mark.parametrize("delta", [0.1, 1.0, 2.5])
def test_huber_is_that_of_torch_and_the_smooth_l1_is_it_over_delta(delta: float, space: str):
    output, target, _ = batch(SHAPES[space], "yes/no")
    ours = Huber(delta=delta)
    same(lambda u: ours(u, target), lambda u: nn.HuberLoss(delta=delta)(u, target), output)
    same(lambda u: ours(u, target) / delta, lambda u: nn.SmoothL1Loss(beta=delta)(u, target), output)


@settings(max_examples=50, deadline=None)
@given(
    delta=st.floats(1e-3, 1e3),
    size=st.floats(1e-3, 1e4),
    seed=st.integers(0, 10**6),
    masked=st.floats(0, 0.8),
)
def test_huber_is_that_of_torch_where_there_is_weight(delta: float, size: float, seed: int, masked: float):
    random = torch.Generator().manual_seed(seed)
    output, target = size * torch.randn(2, 4, 3, 5, generator=random, dtype=torch.float64)
    kept = torch.rand(4, 5, generator=random) >= masked
    kept[0, 0] = True
    chosen = kept.unsqueeze(1).expand_as(output)
    same(
        lambda u: Huber(delta=delta)(u, target, kept.double()),
        lambda u: nn.functional.huber_loss(u[chosen], target[chosen], delta=delta),
        output,
    )


@pytest.mark.parametrize("tau", [0.05, 0.5, 0.9])
def test_the_quantile_loss_is_that_of_scikit_learn(tau: float):
    output, target, weight = batch((9, 1), "yes/no", "element")
    value = Quantile(tau=tau)(output, target, weight).item()
    expected = mean_pinball_loss(target.numpy(), output.numpy(), sample_weight=weight.numpy(), alpha=tau)
    assert value == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("tau", [0.1, 0.5, 0.9])
def test_the_minimiser_of_the_quantile_loss_is_the_quantile(tau: float):
    target = torch.randn(501, 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64).exp()
    answers = torch.linspace(0.01, 10, 5000, dtype=torch.float64)
    values = torch.stack([Quantile(tau=tau)(one.expand_as(target), target) for one in answers])
    assert answers[values.argmin()].item() == pytest.approx(np.quantile(target.numpy(), tau), abs=0.01)


def test_too_low_costs_more_where_a_high_quantile_is_asked_for():
    zero = torch.zeros(1, 1)
    assert Quantile(tau=0.9)(zero - 1, zero).item() == pytest.approx(0.9)
    assert Quantile(tau=0.9)(zero + 1, zero).item() == pytest.approx(0.1)


def toolbelt_wing(output: Tensor, target: Tensor, width: float = 5, curvature: float = 0.5) -> Tensor:
    """As pytorch-toolbelt's wing_loss, and smp's, do it."""
    away = (target - output).abs()
    near = width * torch.log(1 + away / curvature)
    return torch.where(away < width, near, away - (width - width * log(1 + width / curvature))).mean()


@pytest.mark.parametrize("space", SHAPES)
def test_wing_is_that_of_toolbelt_whose_defaults_are_others(space: str):
    output, target, _ = batch(SHAPES[space], "yes/no")
    output = 8 * output  # on both sides of the width
    same(lambda u: Wing(width=5, curvature=0.5)(u, target), lambda u: toolbelt_wing(u, target), output)
    same(lambda u: Wing()(u, target), lambda u: toolbelt_wing(u, target, 10, 2), output)


def test_wing_is_an_adaptive_log_of_the_absolute_error_of_one_quantity():
    output, target, weight = batch((9, 1), "yes/no", "element")
    other = parse("AdaptiveLog(AbsoluteError(), threshold=1.0, scale=1.0, offset=0.2)")
    same(lambda u: Wing(width=1, curvature=0.2)(u, target, weight), lambda u: other(u, target, weight), output)


def slope(loss, residual: float, dtype: torch.dtype = torch.float64) -> tuple[float, float]:
    output = torch.tensor([[residual]], dtype=dtype, requires_grad=True)
    value = loss(output, torch.zeros(1, 1, dtype=dtype))
    value.backward()
    assert output.grad is not None
    return value.item(), output.grad.item()


@pytest.mark.parametrize(
    ("loss", "residual", "pull"),
    [
        (Huber(), 0.25, 0.25),
        (Huber(), 1e4, 1.0),
        (Huber(delta=0.5), -3.0, -0.5),
        (LogCoshError(), 1e4, 1.0),
        (LogCoshError(), -1e4, -1.0),
        (LogCoshError(), log(2), 0.6),  # tanh ln 2 = (2 - 1/2) / (2 + 1/2)
        (Wing(), 1e-9, 5.0),
        (Wing(), 9.999999, 10 / 12),
        (Wing(), 10.000001, 1.0),
        (Wing(), -1e5, -1.0),
    ],
    ids=str,
)
def test_how_hard_a_residual_pulls(loss, residual: float, pull: float):
    assert slope(loss, residual)[1] == pytest.approx(pull, rel=1e-6)


@pytest.mark.parametrize("residual", [1e-30, 1e-6, 1e-4, 1e-2, 0.5, 0.999999, 1.0, 1.000001, 3.0, 88.0, 1e4, 1e30])
@pytest.mark.parametrize("sign", [1, -1])
def test_log_cosh_has_its_last_digits_in_float32(residual: float, sign: int):
    """log(cosh(x)) itself is 0 below 3e-4 and infinite beyond 89."""
    value, pull = slope(LogCoshError(), sign * residual, torch.float32)
    expected = residual**2 / 2 if residual < 1e-3 else residual + log1p(np.exp(-2 * residual)) - log(2)
    expected = float(np.log(np.cosh(np.longdouble(residual)))) if 1e-3 < residual < 100 else expected
    assert value == pytest.approx(expected, rel=2e-6, abs=1e-44)
    assert pull == pytest.approx(sign * np.tanh(residual), rel=2e-6)


def test_huber_of_an_enormous_residual_is_finite():
    """Its square is not, in float32."""
    value, pull = slope(Huber(), 1e25, torch.float32)
    assert (value, pull) == pytest.approx((1e25, 1.0))


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Quantile(tau=0), "tau is 0, a quantile that nothing but infinity is"),
        (lambda: Quantile(tau=1), "tau is 1, a quantile that nothing but infinity is"),
        (lambda: Quantile(tau=90), "at most 1"),
        (lambda: Huber(delta=0), "delta is 0; it must be a finite number above 0"),
        (lambda: Wing(width=-1), "width is -1; it must be a finite number above 0"),
        (lambda: Wing(curvature=0), "curvature is 0"),
    ],
    ids=["tau 0", "tau 1", "tau 90", "delta", "width", "curvature"],
)
def test_a_field_that_cannot_be(make, says: str):
    with pytest.raises(FieldError, match=says):
        make()


@pytest.mark.parametrize("loss", [Huber(), LogCoshError(), Quantile(), Wing()], ids=str)
def test_quantities_have_no_index(loss):
    """A target of class indices is refused: what comes out is no class."""
    with pytest.raises(ValueError, match="must have the same shape"):
        loss(torch.zeros(3, 2), torch.zeros(3).long())
