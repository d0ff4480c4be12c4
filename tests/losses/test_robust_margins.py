"""What the robust margin losses are said to have, at the numbers worked out from their formulas."""

from math import log, pi

import pytest
import torch

from whichloss import Hinge, Logistic, Lorenz, SmoothHinge, SquaredHinge, Tangent


def curve(loss, low=-8.0, high=4.0, points=240_001):
    margin = torch.linspace(low, high, points, dtype=torch.float64, requires_grad=True)
    value = loss.formula(margin)
    return margin.detach(), value.detach(), torch.autograd.grad(value.sum(), margin)[0]


def at(loss, *margins):
    margin = torch.tensor(margins, dtype=torch.float64, requires_grad=True)
    value = loss.formula(margin)
    return value.tolist(), torch.autograd.grad(value.sum(), margin)[0].tolist()


@pytest.mark.parametrize(
    ("loss", "slope", "margin"),
    [(Lorenz(), 1.0, 0.0), (Tangent(), 2.011, -0.422), (SmoothHinge(), 1.0, None), (Logistic(), 1.0, None)],
    ids=lambda one: getattr(one, "label", None),
)
def test_the_steepest_slope_and_where_it_is(loss, slope, margin):
    where, _, slopes = curve(loss)
    assert slopes.abs().max().item() == pytest.approx(slope, abs=5e-4)
    if margin is not None:
        assert where[slopes.abs().argmax()].item() == pytest.approx(margin, abs=5e-3)


@pytest.mark.parametrize(
    ("loss", "at_zero", "at_minus_five"),
    [
        (Lorenz(), log(2), 3.611),
        (Tangent(), (pi / 4) ** 2, 4.66041),
        (Tangent(form="original"), 1.0, 14.03852),
        (SmoothHinge(), 1.0, 6.0),
        (SquaredHinge(), 1.0, 36.0),
        (Logistic(), log(2), 5.00672),
    ],
    ids=lambda one: getattr(one, "label", None),
)
def test_values_for_a_doubtful_and_a_badly_wrong_case(loss, at_zero, at_minus_five):
    assert at(loss, 0.0, -5.0)[0] == pytest.approx([at_zero, at_minus_five], abs=5e-4)


def test_bounded_and_unbounded():
    assert at(Tangent(), -1e9)[0][0] == pytest.approx((3 * pi / 4) ** 2, abs=1e-6)
    assert at(Tangent(form="original"), -1e9, 1e9)[0] == pytest.approx([(pi + 1) ** 2, (pi - 1) ** 2], abs=1e-6)
    assert at(Tangent(form="original"), 0.5463024898)[0][0] == pytest.approx(0, abs=1e-18)
    assert at(Lorenz(), -1e9)[0][0] == pytest.approx(2 * log(1e9), abs=1e-6)


def test_lorenz_is_smooth_where_its_square_would_overflow():
    values, slopes = at(Lorenz(), -9998.9, -9999.1, -1e200)
    assert values[1] - values[0] == pytest.approx(0.2 * 2e-4, rel=1e-3)
    assert slopes[:2] == pytest.approx([-2e-4, -2e-4], rel=1e-3)
    assert values[2] == pytest.approx(2 * 200 * log(10))


@pytest.mark.parametrize("loss", [SmoothHinge(), Lorenz(), Tangent()], ids=lambda one: one.label)
def test_decreasing_and_then_zero(loss):
    margin, value, slope = curve(loss)
    easy = loss.card.easy
    assert (slope[margin < easy - 1e-3] < 0).all()
    assert (value[margin > easy] == 0).all()
    assert (slope[margin > easy] == 0).all()


@pytest.mark.parametrize(
    ("loss", "grows"), [(Logistic(), 1.0), (SmoothHinge(), 1.0), (Lorenz(), 0.0), (Tangent(), 0.0)]
)
def test_growth_for_gross_errors(loss, grows):
    assert -at(loss, -1e6)[1][0] == pytest.approx(grows, abs=1e-5)


def test_the_tangent_loss_gives_up_what_lorenz_still_tries():
    (near, far), (near_lorenz, far_lorenz) = at(Tangent(), -0.4, -20.0)[1], at(Lorenz(), -0.4, -20.0)[1]
    assert near / near_lorenz > 2
    assert far / far_lorenz < 0.15


@pytest.mark.parametrize("half_width", [0.1, 0.5, 1.0])
def test_the_corner_of_the_smooth_hinge(half_width):
    values, slopes = at(SmoothHinge(half_width=half_width), 1 + half_width, 1 - half_width, 1.0)
    assert values == pytest.approx([0.0, half_width, half_width / 4], abs=1e-12)
    assert slopes == pytest.approx([0.0, -1.0, -0.5], abs=1e-12)
    margin, value, _ = curve(SmoothHinge(half_width=half_width))
    assert (value - Hinge().formula(margin)).max() <= half_width / 4 + 1e-12


def test_second_derivatives_at_the_hinge_point():
    for loss, margin, bend in ((SmoothHinge(), 1.0, 5.0), (Lorenz(), 1 - 1e-9, 2.0), (SquaredHinge(), 0.0, 2.0)):
        m = torch.tensor(margin, dtype=torch.float64, requires_grad=True)
        (slope,) = torch.autograd.grad(loss.formula(m), m, create_graph=True)
        assert torch.autograd.grad(slope, m)[0].item() == pytest.approx(bend, abs=1e-6)
