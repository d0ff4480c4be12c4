"""Answers for whole images (N, C), and many classes side by side: rows of logits, which the kernel reads one by one."""

import pytest
import torch
from problems import Problem, asking, exactly, in_layout, problems, value_and_gradient

from whichloss import parse
from whichloss.core import UserError
from whichloss.kernels import fuse, streamed

SHAPES = [(1, 2), (7, 3), (300, 10), (64, 40), (40, 300), (3, 1000)]
LOSSES = ["CrossEntropy()", "Focal(gamma=1.5)", "CrossEntropy() + Focal()", "Poly1() + 2 * CrossEntropy()"]
TOLERANCE = {torch.float32: 2e-5, torch.float64: 1e-12, torch.bfloat16: 8e-3}


def agree(loss, problem):
    (value, gradient), (exact, slope) = value_and_gradient(loss, problem), exactly(loss, problem)
    within = TOLERANCE[problem.logits.dtype]
    assert gradient.dtype == problem.logits.dtype
    assert float((value - exact).abs()) <= within * (1 + float(exact.abs()))
    assert float((gradient - slope).abs().max()) <= within * float(slope.abs().max()) + 1e-9


@pytest.mark.parametrize("kind", TOLERANCE, ids=str)
@pytest.mark.parametrize("text", LOSSES)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_every_form(shape, text, kind, way):
    for name, one in problems(shape, kind).items():
        across = one.logits.t().contiguous().t()  # as a network with its classes first would leave it
        for logits in (one.logits, across):
            agree(asking(parse(text), name), Problem(logits, one.target, one.weight, one.ignore_index))


@pytest.mark.parametrize("text", LOSSES[:3])
def test_many_classes_side_by_side_in_an_image(text, way):
    for shape in ((2, 40, 7, 9), (1, 100, 300), (2, 257, 3, 4, 5)):
        for kind in TOLERANCE:
            for name, one in problems(shape, kind).items():
                logits = in_layout(one.logits, "channels last")
                agree(asking(parse(text), name), Problem(logits, one.target, one.weight, one.ignore_index))


@pytest.mark.parametrize("classes", [5, 40, 300])
def test_what_is_said_does_not_depend_on_who_computes_it(classes, way):
    """Labels that are no class, NaN, masked classes, and batches in which nothing counts."""
    logits, target = torch.randn(50, classes), torch.randint(classes - 1, (50,))
    for loss in (parse("CrossEntropy()"), parse("Focal()")):
        for wrong in (-100, classes, 2**40, -(2**63)):
            with pytest.raises(UserError, match="indices from"):
                loss(logits, torch.where(torch.arange(50) == 7, wrong, target))
        masked = logits.clone()
        masked[:, -1] = -torch.inf
        value, gradient = value_and_gradient(loss, Problem(masked, target))
        assert value.isfinite() and gradient.isfinite().all() and not gradient[:, -1].any()
        assert value_and_gradient(loss, Problem(logits, target, torch.zeros(50)))[0] == 0
        assert not value_and_gradient(loss, Problem(logits, torch.full((50,), 255), None, 255))[1].any()
        spoilt = logits.clone()
        spoilt[3, 2] = torch.nan
        assert loss(spoilt, target).isnan()
        left_out = torch.where(torch.arange(50) == 3, 255, target)
        value, gradient = value_and_gradient(loss, Problem(spoilt, left_out, None, 255))
        assert value.isfinite() and gradient.isfinite().all() and not gradient[3].any()


@pytest.mark.parametrize("kind", [torch.float32, torch.float64], ids=str)
def test_both_answers_are_exact_to_the_last_place(kind):
    """The logarithm of a sigmoid, against 60 digits: one unit in the last place, however sure the answer."""
    mpmath = pytest.importorskip("mpmath")
    if not fuse.COMPILED:
        pytest.skip("no compiled kernels: no C compiler when this was installed")
    mpmath.mp.dps = 60
    x = torch.cat([torch.linspace(-85, 85, 341), torch.linspace(-1.5, 1.5, 301)]).to(kind).reshape(-1, 1, 1)
    for yes in (0.0, 1.0):
        seen = streamed.stream(x, torch.full_like(x, yes), None, None, False, "none", "sum", 0.0)
        for one, found in zip(x.flatten().tolist(), (seen.said + seen.other).flatten().tolist(), strict=True):
            exact = -mpmath.log1p(mpmath.exp(-one if yes else one))
            assert abs(found - exact) <= 1.2 * torch.finfo(kind).eps * abs(exact)


def test_the_kernel_reads_them_where_it_is_faster(way, lifts_made):
    loss = parse("CrossEntropy()")
    value_and_gradient(loss, problems((64, 10))["indices, weights, ignored"])
    assert bool(lifts_made[1]) == (way == "compiled")
    del lifts_made[1][:]
    value_and_gradient(loss, problems((64, 100))["indices"])  # by torch's operator
    assert lifts_made[1]
