"""What is streamed equals the plain formulas, whatever comes."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from problems import KINDS, LAYOUTS, SHAPES, Problem, asking, exactly, in_layout, problems, value_and_gradient
from torch.autograd import forward_ad

from whichloss import parse, plain
from whichloss.core import Counts, UserError
from whichloss.core.lifts.region import RegionSums
from whichloss.core.question import Batch
from whichloss.kernels import fuse

LOSSES = [
    "CrossEntropy()",
    "Dice()",
    "CrossEntropy() + Dice()",
    "Focal() + Tversky(over='batch')",
    "Focal(gamma=0.5) + 2 * CrossEntropy() + Focal(gamma=3.7)",
    "GeneralizedDice() + KullbackLeibler()",
    "AdaptiveLog(CrossEntropy()) + CrossEntropy() + Jaccard(background=False)",
    "SquaredDice() + Dice()",
    "SensitivitySpecificity() + Poly1()",
    "NoiseRobustDice() + MCC()",
    "TopK(CrossEntropy())",
]
TOLERANCE = {torch.float32: 2e-5, torch.float64: 1e-11, torch.bfloat16: 8e-3, torch.float16: 2e-3}


def agree(loss, problem):
    """As far as numbers of the logits' type can."""
    (value, gradient), (exact, slope) = value_and_gradient(loss, problem), exactly(loss, problem)
    within = TOLERANCE[problem.logits.dtype]
    assert gradient.dtype == problem.logits.dtype
    assert gradient.stride() == torch.empty_like(problem.logits).stride()
    assert float((value - exact).abs()) <= within * (1 + float(exact.abs()))
    # what remains where large parts meet that are nearly equal; and what is less than the least half is 0
    lost = 1e-7 if problem.logits.dtype == torch.float16 else 0.05 * within / max(1, problem.logits.numel())
    assert float((gradient - slope).abs().max()) <= within * float(slope.abs().max()) + lost


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("text", LOSSES)
def test_every_form_of_target_and_weight(text, shape, way, lifts_made):
    for name, problem in problems(shape).items():
        agree(asking(parse(text), name), problem)
    if not text.startswith("TopK") or way == "compiled":  # blocks make sums only
        assert lifts_made[1], "nothing went through the kernels"


@pytest.mark.parametrize("kind", KINDS, ids=str)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_and_type_without_a_copy_of_the_logits(layout, kind, way, lifts_made):
    for shape in SHAPES[1:4]:
        for name, problem in problems(shape, kind).items():
            logits = in_layout(problem.logits, layout)
            loss = asking(parse("CrossEntropy() + Dice() + Focal(gamma=1.5)"), name)
            agree(loss, Problem(logits, problem.target, problem.weight, problem.ignore_index))
    assert lifts_made[1]


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    shape=st.tuples(st.integers(1, 3), st.integers(2, 40), st.integers(1, 20), st.integers(1, 30)),
    scale=st.sampled_from([0.01, 1.0, 30.0, 80.0]),
    name=st.sampled_from(sorted(problems((1, 2, 1)))),
    text=st.sampled_from(LOSSES),
    seed=st.integers(0, 1000),
)
def test_any_size_and_scale(shape, scale, name, text, seed):
    if not fuse.COMPILED:
        pytest.skip("no compiled kernels: no C compiler when this was installed")
    least, fuse.LEAST = fuse.LEAST, 0
    try:
        one = problems(shape, seed=seed)[name]
        agree(asking(parse(text), name), Problem(one.logits * scale, one.target, one.weight, one.ignore_index))
    finally:
        fuse.LEAST = least


@pytest.mark.parametrize("text", ["CrossEntropy() + Dice()", "Focal() + SquaredDice()"])
@pytest.mark.parametrize("scale", [0.1, 1.0, 5.0, 30.0])
def test_no_less_exact_than_the_plain_formula(text, scale, way):
    """Over many draws: the root mean square of the error against float64, at most a fifth above the plain one's."""
    errors = {"ours": torch.zeros(2, dtype=torch.float64), "plain": torch.zeros(2, dtype=torch.float64)}
    for seed in range(6):
        for name, one in problems((2, 14, 16, 16), seed=seed).items():
            loss, problem = asking(parse(text), name), Problem(one.logits * scale, *_rest(one))
            exact, slope = exactly(loss, problem)
            found = {"ours": value_and_gradient(loss, problem)}
            with plain():
                found["plain"] = value_and_gradient(loss, problem)
            for who, (value, gradient) in found.items():
                off = (gradient - slope).norm() / slope.norm()
                errors[who] += torch.stack([((value - exact) / exact).square(), off.square()]).double()
    ours, theirs = errors["ours"].sqrt(), errors["plain"].sqrt()
    assert bool((ours <= 1.2 * theirs + 1e-8).all()), (ours, theirs)


def _rest(problem):
    return problem.target, problem.weight, problem.ignore_index


def test_an_upstream_gradient_that_differs_from_voxel_to_voxel(way):
    for name in ("indices", "indices, weights, ignored", "indices, weights of classes"):
        problem, loss = problems((2, 5, 12, 9), torch.float64)[name], asking(parse("Focal()"), name)
        slope = torch.randn(2, 12, 9, dtype=torch.float64)
        found = []
        for exact in (False, True):
            logits = problem.logits.detach().requires_grad_()
            if exact:
                with plain():
                    value, weight = loss.terms(
                        logits, problem.target, problem.weight, ignore_index=problem.ignore_index
                    )
            else:
                value, weight = loss.terms(logits, problem.target, problem.weight, ignore_index=problem.ignore_index)
            found.append(torch.autograd.grad((value * weight * slope).sum(), logits)[0])
        assert torch.allclose(*found, atol=1e-13)


def test_gradcheck(way):
    for name, problem in problems((2, 3, 4, 5), torch.float64).items():
        loss = asking(parse("CrossEntropy() + Dice() + Focal(gamma=1.5) + SquaredDice()"), name)
        logits = problem.logits.detach().requires_grad_()

        def value(x, loss=loss, problem=problem):
            return loss(x, problem.target, problem.weight, ignore_index=problem.ignore_index)

        assert torch.autograd.gradcheck(value, logits)


def test_log_probabilities_that_nobody_learns_from(way):
    """The other part of the pass still has its gradient."""
    problem, loss = problems((2, 5, 12, 9), torch.float64)["indices"], parse("TopK(CrossEntropy()) + Dice()")
    logits = problem.logits.detach().requires_grad_()
    batch = Batch(logits, problem.target)
    made = fuse.fused(batch, loss.lifts_of_mean)
    counts = next(one for one in made if isinstance(one, Counts)) if way == "compiled" else RegionSums()(batch)
    found = torch.autograd.grad(counts.tp.sum(), logits)[0]
    expected = torch.autograd.grad(RegionSums()(Batch(logits, problem.target)).tp.sum(), logits)[0]
    assert torch.allclose(found, expected, atol=1e-14)
    assert torch.autograd.gradcheck(lambda z: loss(z, problem.target), logits)


def test_masked_classes_have_no_probability_and_no_gradient(way):
    logits = torch.randn(2, 4, 8, 8, dtype=torch.float64)
    logits[:, 3] = -math.inf
    problem = Problem(logits, torch.randint(3, (2, 8, 8)))
    loss = parse("CrossEntropy() + Dice() + Focal()")
    value, gradient = value_and_gradient(loss, problem)
    assert bool((gradient[:, 3] == 0).all()) and bool(gradient.isfinite().all())
    assert torch.allclose(value, exactly(loss, problem)[0])
    nowhere = Problem(logits, torch.full((2, 8, 8), 3))  # the truth cannot be
    assert value_and_gradient(parse("CrossEntropy()"), nowhere)[0] == math.inf


def test_what_is_no_number_is_seen_where_it_has_a_say_and_nowhere_else(way):
    for name, problem in problems((2, 3, 6, 7)).items():
        if problem.weight is None or problem.weight.ndim > 3:
            continue
        logits, weight = problem.logits.clone(), problem.weight.float()
        loss = asking(parse("CrossEntropy() + Dice() + Focal()"), name)
        before = value_and_gradient(loss, Problem(logits, problem.target, weight * 0 + 1, problem.ignore_index))
        for wrong in (math.nan, math.inf, -math.inf):
            logits[0, :, 2, 3] = wrong
            weight[:] = 1
            weight[0, 2, 3] = 0
            unseen = value_and_gradient(loss, Problem(logits, problem.target, weight, problem.ignore_index))
            assert bool(unseen[0].isfinite()) and bool(unseen[1].isfinite().all())
            assert bool((unseen[1][0, :, 2, 3] == 0).all())
            assert unseen[0] != before[0]
        weight[0, 2, 3] = 1
        logits[0, :, 2, 3] = math.nan
        target = problem.target if problem.ignore_index is None else problem.target.clamp_min(0)
        assert value_and_gradient(loss, Problem(logits, target, weight, problem.ignore_index))[0].isnan()


def test_classes_that_are_not_there_and_batches_of_nothing(way):
    loss = parse("CrossEntropy() + Dice()")
    agree(loss, Problem(torch.randn(2, 9, 40), torch.full((2, 40), 4)))
    agree(loss, Problem(torch.randn(2, 9, 40), torch.full((2, 40), 4), torch.zeros(2, 40)))
    for shape in ((0, 3, 4, 4), (2, 3, 0, 4)):
        value, gradient = value_and_gradient(
            loss, Problem(torch.randn(shape), torch.zeros(shape[0], *shape[2:]).long())
        )
        assert value == 0 and gradient.shape == shape


@pytest.mark.parametrize("wrong", [7, -1, 255])
def test_an_index_that_is_no_class_is_refused(wrong, way):
    target = torch.zeros(1, 40, 40, dtype=torch.long)
    target[0, 17, 5] = wrong
    for text in ("CrossEntropy()", "Dice()", "Focal()"):
        with pytest.raises(UserError, match="the logits have 5 classes"):
            parse(text)(torch.randn(1, 5, 40, 40, requires_grad=True), target)
        parse(text)(torch.randn(1, 5, 40, 40, requires_grad=True), target, ignore_index=wrong).backward()


def test_a_weight_below_0_is_refused(way):
    with pytest.raises(UserError, match="weights must be 0 or more"):
        parse("Dice()")(torch.randn(1, 3, 8, 8), torch.zeros(1, 8, 8).long(), torch.full((1, 8, 8), -1.0))


def test_a_second_derivative_is_that_of_the_plain_formula_or_an_error(way):
    loss, target = parse("Dice() + CrossEntropy()"), torch.randint(3, (2, 6, 6))
    logits = torch.randn(2, 3, 6, 6, dtype=torch.float64, requires_grad=True)

    def second():
        (slope,) = torch.autograd.grad(loss(logits, target), logits, create_graph=True)
        return torch.autograd.grad(slope.square().sum(), logits)[0]

    if way == "compiled":
        with pytest.raises(UserError, match=r"with whichloss\.plain\(\):"):
            second()
    else:
        with plain():
            expected = second()
        assert torch.allclose(second(), expected)
    with plain():
        assert bool(second().isfinite().all())


def test_losses_that_ask_something_else_are_left_alone(way):
    """Neither of these targets fits the rule for classes."""
    output, quantity = torch.randn(2, 3, 16, 16), torch.randn(2, 3, 16, 16)
    for text in ("SquaredError()", "Huber()", "AbsoluteError()"):
        assert bool(parse(text)(output, quantity).isfinite())
    for text in ("SupervisedContrastive()", "NTXent()"):
        assert bool(parse(text)(torch.randn(1, 64, 1, 60), torch.randint(2, (1, 1, 1, 60)).float()).isfinite())


def test_yes_and_no_of_whole_images(way, lifts_made):
    for name, problem in problems((40, 7, 1)).items():
        if "yes" in name:
            weight = None if problem.weight is None else problem.weight.squeeze(-1)
            flat = Problem(problem.logits.squeeze(-1), problem.target.squeeze(-1), weight, problem.ignore_index)
            agree(parse("CrossEntropy(positive_weight=2.0) + Focal(alpha=0.3)").asking("independent"), flat)
    assert lifts_made[1] or way != "compiled"
    wrong = Problem(torch.randn(4, 3), torch.rand(4, 3), torch.ones(4, 2))
    with pytest.raises(UserError, match="weight"):
        value_and_gradient(parse("CrossEntropy(classes='independent')"), wrong)


def test_transforms_of_functions_see_the_plain_formula(way):
    logits, target = torch.randn(4, 3, 6, 6, dtype=torch.float64), torch.randint(3, (4, 6, 6))
    loss = parse("CrossEntropy() + Dice() + Focal()")
    found = value_and_gradient(loss, Problem(logits, target))[1]
    assert torch.allclose(torch.func.grad(lambda z: loss(z, target))(logits), found)
    with forward_ad.dual_level():
        moved = loss(forward_ad.make_dual(logits, logits.cos()), target)
        slope = forward_ad.unpack_dual(moved).tangent
    assert torch.allclose(slope, (found * logits.cos()).sum())


def test_a_target_or_weight_that_is_learned_has_its_gradient(way):
    logits, soft = torch.randn(2, 3, 6, 6), torch.rand(2, 3, 6, 6).softmax(1).requires_grad_()
    weight = torch.rand(2, 6, 6, requires_grad=True)
    parse("CrossEntropy(classes='exclusive')")(logits, soft, weight).backward()
    assert bool(soft.grad.abs().sum() > 0) and bool(weight.grad.abs().sum() > 0)


def test_tensors_of_monai_keep_their_class(way):
    from monai.data import MetaTensor

    logits, target = MetaTensor(torch.randn(2, 3, 6, 6)), MetaTensor(torch.randint(3, (2, 6, 6)))
    value = parse("Dice()")(logits, target)
    assert torch.allclose(torch.as_tensor(value), parse("Dice()")(logits.as_tensor(), target.as_tensor()))
