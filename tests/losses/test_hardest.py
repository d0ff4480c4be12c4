"""TopK and HardExamples: a mean over the hardest elements, beside what other libraries compute."""

from math import log

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from oracles_losses import as_lists, batch, same
from oracles_wrap import hardest, mean_of, mined
from whichloss import AbsoluteError, CrossEntropy, HardExamples, TopK, parse
from whichloss.core import FieldError

SHAPES = {"cases": (40, 3), "2-D": (3, 4, 6, 5), "3-D": (2, 3, 4, 3, 4)}


def nnunet_top_k(logits: Tensor, target: Tensor, k: float) -> Tensor:
    """As nnU-Net's TopKLoss does it, k in per cent; ignored voxels have a loss of 0, and count."""
    each = F.cross_entropy(logits, target, reduction="none", ignore_index=-100).flatten()
    return each.topk(int(each.numel() * k / 100), sorted=False).values.mean()


def ohem(logits: Tensor, target: Tensor, probability: float) -> Tensor:
    """As BiSeNet's OhemCELoss does it."""
    least = int((target != -100).sum()) // 16
    each = F.cross_entropy(logits, target, reduction="none", ignore_index=-100).flatten()
    hard = each[each > -log(probability)]
    return (each.topk(least).values if len(hard) < least else hard).mean()


@pytest.mark.parametrize("space", SHAPES)
@pytest.mark.parametrize("k", [10, 29, 33.3, 50, 100])
def test_top_k_is_that_of_nnunet(k: float, space: str):
    logits, target, _ = batch(SHAPES[space])
    loss = TopK(CrossEntropy(), fraction=k / 100)
    same(lambda u: loss(u, target), lambda u: nnunet_top_k(u, target, k), logits)


def test_a_share_that_falls_short_of_a_whole_number_by_rounding_is_not_cut():
    """0.29 * 100 is 28.999999999999996."""
    loss = TopK(AbsoluteError(), fraction=0.29)
    output = torch.arange(1.0, 101.0, dtype=torch.float64).unsqueeze(1)
    assert loss(output, torch.zeros_like(output)).item() == pytest.approx(sum(range(72, 101)) / 29)


def test_ignored_voxels_are_never_among_the_hardest_and_do_not_count():
    """nnU-Net ranks them with a loss of 0, so that a half ignored image has twice the share of its valid voxels."""
    logits, target, _ = batch((2, 3, 10, 10))
    valid = torch.rand(target.shape, generator=torch.Generator().manual_seed(3)) < 0.5
    known = torch.where(valid, target, -100)
    value = TopK(CrossEntropy(), fraction=0.4)(logits, known, ignore_index=-100)
    each = F.cross_entropy(logits, target, reduction="none")[valid]
    assert value.item() == pytest.approx(each.topk(int(0.4 * len(each))).values.mean().item(), rel=1e-12)
    assert nnunet_top_k(logits, known, 40).item() < 0.8 * value.item()
    assert TopK(CrossEntropy(), fraction=0.4)(logits, target, valid.double()).item() == pytest.approx(value.item())


def test_a_share_of_less_than_one_element_is_one():
    logits, target, _ = batch((1, 3, 5))
    each = F.cross_entropy(logits, target, reduction="none")
    assert nnunet_top_k(logits, target, 10).isnan()  # the mean of nothing
    assert TopK(CrossEntropy(), fraction=0.1)(logits, target).item() == pytest.approx(each.max().item())


def test_elements_are_ranked_by_their_value_and_averaged_by_their_weight():
    output, target = torch.tensor([[4.0], [3.0], [2.0], [1.0]]), torch.zeros(4, 1)
    weight = torch.tensor([1.0, 3.0, 100.0, 0.0])  # three have a say: two thirds of them are two
    assert TopK(AbsoluteError(), fraction=0.7)(output, target, weight).item() == pytest.approx((4 + 3 * 3) / 4)


def test_those_that_tie_for_the_last_place_have_equal_parts_of_it():
    output = torch.tensor([[3.0], [2.0], [2.0], [1.0]], requires_grad=True)
    value = TopK(AbsoluteError(), fraction=0.5)(output, torch.zeros(4, 1))
    value.backward()
    assert value.item() == pytest.approx(2.5)
    assert output.grad is not None
    assert output.grad.flatten().tolist() == pytest.approx([0.5, 0.25, 0.25, 0.0])


@pytest.mark.parametrize(
    "loss", [TopK(CrossEntropy(), fraction=0.1), HardExamples(CrossEntropy(), threshold=5.0)], ids=str
)
def test_a_network_of_constant_output_learns_from_the_whole_image(loss):
    """All voxels tie; to take those that are stored first would teach it the upper edge alone."""
    logits = torch.zeros(1, 3, 8, 8, dtype=torch.float64, requires_grad=True)
    target = torch.zeros(1, 8, 8, dtype=torch.long)
    loss(logits, target).backward()
    found = logits.grad
    plain = logits.detach().clone().requires_grad_()
    CrossEntropy()(plain, target).backward()
    torch.testing.assert_close(found, plain.grad)


def test_each_image_has_its_own_hardest():
    output = torch.tensor([[[9.0, 8.0, 7.0, 1.0]], [[4.0, 3.0, 2.0, 1.0]]])
    target = torch.zeros_like(output)
    assert TopK(AbsoluteError(), fraction=0.5)(output, target).item() == pytest.approx((9 + 8 + 7 + 4) / 4)
    assert TopK(AbsoluteError(), fraction=0.5, over="image")(output, target).item() == pytest.approx(
        (9 + 8 + 4 + 3) / 4
    )


@pytest.mark.parametrize("loss", [TopK(AbsoluteError()), HardExamples(AbsoluteError())], ids=str)
def test_what_is_no_number_is_seen(loss):
    """A training that has diverged must not look as if it had learned everything."""
    output = torch.tensor([[1.0], [float("nan")], [2.0]])
    assert loss(output, torch.zeros(3, 1)).isnan()


@pytest.mark.parametrize("space", SHAPES)
@pytest.mark.parametrize("probability", [0.7, 0.3, 1e-6])
def test_hard_examples_are_those_of_bisenet(probability: float, space: str):
    logits, target, _ = batch(SHAPES[space])
    target.flatten()[::4] = -100
    loss = HardExamples(CrossEntropy(), threshold=-log(probability))
    same(lambda u: loss(u, target, ignore_index=-100), lambda u: ohem(u, target, probability), logits)


@settings(max_examples=60, deadline=None)
@given(
    space=st.lists(st.integers(1, 4), max_size=3).map(tuple),
    images=st.integers(1, 3),
    share=st.floats(0.01, 1.0),
    threshold=st.floats(0, 4),
    over=st.sampled_from(["batch", "image"]),
    ignored=st.floats(0, 0.8),
    seed=st.integers(0, 10**6),
)
def test_the_hardest_are_those_of_the_oracle(space, images, share, threshold, over, ignored, seed):
    random = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn((images, 3, *space), generator=random, dtype=torch.float64)
    target = torch.randint(3, (images, *space), generator=random)
    weight = 0.1 + torch.rand(target.shape, generator=random, dtype=torch.float64)
    gone = torch.rand(target.shape, generator=random) < ignored
    gone.flatten()[0] = False
    lists = (
        as_lists(logits, 2),
        as_lists(target, 1),
        as_lists((weight * ~gone).unsqueeze(1).expand_as(logits), 2),
    )
    marked = torch.where(gone, 255, target)
    value = TopK(CrossEntropy(), fraction=share, over=over)(logits, marked, weight, ignore_index=255)
    assert value.item() == pytest.approx(mean_of(lambda cases: hardest(cases, share), over)(*lists), rel=1e-10)
    value = HardExamples(CrossEntropy(), threshold=threshold, least=share, over=over)(
        logits, marked, weight, ignore_index=255
    )
    oracle = mean_of(lambda cases: mined(cases, threshold, share), over)
    assert value.item() == pytest.approx(oracle(*lists), rel=1e-10)


def test_a_wrapper_of_the_hardest_changes_each_of_them():
    output, target = torch.tensor([[4.0], [3.0], [2.0], [1.0]]), torch.zeros(4, 1)
    value = parse("FocalPower(TopK(AbsoluteError(), fraction=0.5), exponent=2)")(output, target)
    assert value.item() == pytest.approx((16 + 9) / 2)


@pytest.mark.parametrize("name", ["TopK", "HardExamples"])
@pytest.mark.parametrize(
    "inner",
    [
        "(CrossEntropy() + Dice())",
        "Total(CrossEntropy())",
        "FocalPower(CrossEntropy() + Dice())",
        "MonaiDiceCE()",
        "LabelSmoothing(2 * CrossEntropy())",
    ],
)
def test_a_total_is_refused(name: str, inner: str):
    with pytest.raises(ValueError, match=rf"{name} chooses among many terms.*{name}\(CrossEntropy\(\)\) \+ Dice\(\)"):
        parse(f"{name}({inner})")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("TopK(CrossEntropy(), fraction=10)", "fraction is 10; it must be a finite number at least 0 and at most 1"),
        ("TopK(CrossEntropy(), fraction=0)", "the share of the elements that is kept, above 0 and at most 1"),
        ("HardExamples(CrossEntropy(), least=0)", "nothing might be left to learn from"),
        ("TopK(CrossEntropy(), over='volume')", "over is 'volume'; it must be one of 'batch', 'image'"),
    ],
)
def test_a_field_that_cannot_be(text: str, says: str):
    with pytest.raises(ValueError, match=says):
        parse(text)


def test_a_loss_of_somebody_else_is_one_number():
    with pytest.raises(FieldError, match="gives but one, its total"):
        TopK(parse("torch.nn:CrossEntropyLoss()", imports=True))
