"""Deep supervision: a loss at several resolutions, with targets brought to each."""

import pytest
import torch
import torch._dynamo.testing
import torch.nn.functional as F
from monai.losses import DeepSupervisionLoss, DiceLoss
from torch import Tensor

from oracles_losses import same
from whichloss import CrossEntropy, DeepSupervision, Dice, SupervisedContrastive, parse
from whichloss.core import FieldError, UserError

INDEPENDENT = "DeepSupervision(CrossEntropy(classes='independent'))"


def drawn(sizes, classes: int = 3, seed: int = 0) -> tuple[list[Tensor], Tensor, Tensor]:
    """Outputs of these sizes, and an index target and weights of the first."""
    random = torch.Generator().manual_seed(seed)
    outputs = [torch.randn(2, classes, *size, generator=random, dtype=torch.float64) for size in sizes]
    target = torch.randint(classes, (2, *sizes[0]), generator=random)
    return outputs, target, 0.2 + torch.rand(target.shape, generator=random, dtype=torch.float64)


def nearest(labels: Tensor, size) -> Tensor:
    """As torch finds the element whose centre is nearest."""
    return F.interpolate(labels.unsqueeze(1).double(), size, mode="nearest-exact").squeeze(1)


LADDERS = {
    "2-D": [(8, 12), (4, 6), (2, 3)],
    "uneven": [(9, 7), (5, 4), (2, 1)],
    "3-D": [(4, 6, 8), (2, 3, 4), (1, 2, 2)],
    "1-D": [(16,), (8,), (4,)],
}


@pytest.mark.parametrize("sizes", LADDERS.values(), ids=LADDERS)
@pytest.mark.parametrize("text", ["Dice()", "CrossEntropy()", "CrossEntropy() + 0.5 * Dice(over='batch')"])
def test_it_is_the_weighted_mean_over_the_resolutions(text, sizes):
    outputs, target, weight = drawn(sizes)
    target[0, :2] = 255
    loss = parse(text)
    value = DeepSupervision(loss)(outputs, target, weight, ignore_index=255)
    apart = [loss(outputs[0], target, weight, ignore_index=255)] + [
        loss(one, nearest(target, size).long(), nearest(weight, size), ignore_index=255)
        for one, size in zip(outputs[1:], sizes[1:], strict=True)
    ]
    assert value.item() == pytest.approx(((4 * apart[0] + 2 * apart[1] + apart[2]) / 7).item(), rel=1e-12)


def test_labels_too_large_for_a_float_are_not_rounded():
    """An index that is ignored may be anything: 2**24 + 1 is no float32."""
    label = 2**24 + 1
    outputs, target, _ = drawn([(4, 4), (2, 2)])
    target[:] = label
    target[0, 3, 3] = 1
    value = DeepSupervision(CrossEntropy(), weights=(0, 1))(outputs, target, ignore_index=label)
    assert value.item() == pytest.approx(CrossEntropy()(outputs[1][:1, :, 1:, 1:], torch.tensor([[[1]]])).item())


@pytest.mark.parametrize("output", ["tensor", "list", "tuple"])
def test_of_one_output_it_is_the_inner_loss(output):
    outputs, target, weight = drawn([(6, 5)])
    given = {"tensor": outputs[0], "list": outputs, "tuple": tuple(outputs)}[output]
    value = DeepSupervision(Dice())(given, target, weight)
    assert value.item() == pytest.approx(Dice()(outputs[0], target, weight).item(), rel=1e-12)


def test_weights_may_be_given_and_are_divided_by_their_sum():
    outputs, target, _ = drawn([(8, 8), (4, 4)])
    value = DeepSupervision(Dice(), weights=(3, 1))(outputs, target)
    one, other = Dice()(outputs[0], target), Dice()(outputs[1], nearest(target, (4, 4)).long())
    assert value.item() == pytest.approx(((3 * one + other) / 4).item(), rel=1e-12)


def test_as_nnunet_weighs_its_outputs():
    """1, 1/2, 1/4, ..., the coarsest at 0, and then divided by their sum; no gradient reaches the coarsest."""
    outputs, target, _ = drawn([(16, 16), (8, 8), (4, 4), (2, 2)])
    for one in outputs:
        one.requires_grad_()
    value = DeepSupervision(Dice(), weights=(1, 0.5, 0.25, 0))(outputs, target)
    value.backward()
    shares = torch.tensor([1, 0.5, 0.25], dtype=torch.float64)
    shares /= shares.sum()
    each = [Dice()(one, nearest(target, one.shape[2:]).long()) for one in outputs[:3]]
    assert value.item() == pytest.approx(sum(s * e for s, e in zip(shares, each, strict=True)).item(), rel=1e-12)
    assert [one.grad is not None for one in outputs] == [True, True, True, False]


def test_monai_does_not_divide_by_the_sum_of_the_weights():
    outputs, target, _ = drawn([(16, 12), (8, 6), (4, 3)])
    dice = DiceLoss(softmax=True, to_onehot_y=True, smooth_nr=1.0, smooth_dr=1.0)
    theirs = DeepSupervisionLoss(dice)
    ours = DeepSupervision(Dice(smooth=0.5))

    def at(loss, target):
        return lambda u: loss([u, *outputs[1:]], target)

    same(lambda u: 1.75 * at(ours, target)(u), at(theirs, target.unsqueeze(1).double()), outputs[0], single=True)
    with pytest.raises(RuntimeError, match="not implemented for 'Long'"):  # why its targets must be floats
        theirs(outputs, target.unsqueeze(1))


@pytest.mark.parametrize("ignored", [False, True])
@pytest.mark.parametrize("form", ["yes or no", "proportions"])
def test_a_mean_over_the_area_costs_what_the_output_would_at_full_resolution(form, ignored):
    """Cross-entropy is linear in the target: a coarse output costs what it would, repeated, beside the fine target."""
    random = torch.Generator().manual_seed(0)
    coarse = torch.randn(2, 3, 3, 4, generator=random, dtype=torch.float64)
    target = torch.rand(2, 3, 6, 8, generator=random, dtype=torch.float64)
    target = target.softmax(1) if form == "proportions" else target.round()
    weight = torch.rand(2, 6, 8, generator=random, dtype=torch.float64)
    weight[0, :2, :2] = 0
    if ignored:
        target[1, :, :3, :5] = -1
        target[0, 0, 5, 5] = -1
    loss = CrossEntropy(classes="exclusive" if form == "proportions" else "independent")
    given = {"ignore_index": -1} if ignored else {}
    deep = DeepSupervision(loss, weights=(0, 1))
    fine = torch.zeros_like(target)

    def repeated(u: Tensor) -> Tensor:
        return loss(u.repeat_interleave(2, 2).repeat_interleave(2, 3), target, weight, **given)

    same(lambda u: deep([fine, u], target, weight, **given), repeated, coarse)


def test_what_has_no_weight_may_be_no_number():
    outputs, target, _ = drawn([(4, 4), (2, 2)])
    yes = (target == 1).double().unsqueeze(1).expand(-1, 3, -1, -1).clone()
    weight = torch.ones(2, 4, 4, dtype=torch.float64)
    weight[:, 0] = 0
    loss = parse(INDEPENDENT)
    expected = loss(outputs, yes, weight)
    yes[:, :, 0] = float("nan")
    assert loss(outputs, yes, weight).item() == expected.item()


def test_quantities_are_brought_to_the_mean_of_their_area():
    output = [torch.zeros(1, 1, 4), torch.tensor([[[1.0, 2.0]]])]
    target = torch.tensor([[[0.0, 2.0, 3.0, 5.0]]])
    loss = DeepSupervision(parse("AbsoluteError()"), weights=(0, 1))
    assert loss(output, target).item() == pytest.approx((0 + 2) / 2)
    weight = torch.tensor([[1.0, 3.0, 0.0, 1.0]])  # means 1.5 and 5, of a weight of 2 and 0.5
    assert loss(output, target, weight).item() == pytest.approx((2 * 0.5 + 0.5 * 3) / 2.5)


def test_answers_for_whole_images_have_one_resolution():
    """As of a network with a second head, such as GoogLeNet."""
    random = torch.Generator().manual_seed(0)
    one, other = torch.randn(2, 5, 3, generator=random)
    target = torch.tensor([0, 1, 2, 0, 1])
    value = DeepSupervision(CrossEntropy())([one, other], target)
    assert value.item() == pytest.approx(
        (2 / 3 * F.cross_entropy(one, target) + F.cross_entropy(other, target) / 3).item()
    )


def test_several_outputs_compile_to_one_graph():
    torch._dynamo.reset()
    outputs, target, weight = drawn([(8, 8), (4, 4), (2, 2)])
    loss = parse("DeepSupervision(CrossEntropy() + Dice())")
    compiled = torch.compile(lambda x, y, w: loss(x, y, w, ignore_index=2), fullgraph=True, backend="eager")
    torch.testing.assert_close(compiled(outputs, target, weight), loss(outputs, target, weight, ignore_index=2))


def test_the_terms_of_several_outputs_are_one():
    outputs, target, _ = drawn([(8, 8), (4, 4)])
    loss = DeepSupervision(Dice())
    value, weight = loss.terms(outputs, target)
    assert (value.shape, weight.tolist()) == ((1,), [1.0])
    assert value.item() == loss(outputs, target).item()


# mistakes


@pytest.mark.parametrize(
    ("sizes", "says"),
    [
        ([(4, 4), (8, 8)], r"the target is \(4, 4\), the outputs are \(4, 4\), \(8, 8\)"),
        ([(8, 8), (4, 16)], "from the finest"),
    ],
)
def test_outputs_that_become_finer_are_refused(sizes, says):
    outputs, target, _ = drawn(sizes)
    with pytest.raises(UserError, match=says):
        DeepSupervision(Dice())(outputs, target)


def test_an_output_finer_than_the_target_is_refused():
    outputs, target, _ = drawn([(8, 8), (4, 4)])
    with pytest.raises(UserError, match="no finer than the target"):
        DeepSupervision(Dice())(outputs, target[:, ::2, ::2])


def test_a_volume_beside_an_image_is_refused():
    outputs, target, _ = drawn([(8, 8), (4, 4)])
    with pytest.raises(UserError, match="from the finest"):
        DeepSupervision(Dice())([outputs[0], outputs[1].unsqueeze(-1)], target)


def test_as_many_weights_as_outputs():
    outputs, target, _ = drawn([(8, 8), (4, 4)])
    with pytest.raises(UserError, match="has 3 weights for 2 outputs"):
        DeepSupervision(Dice(), weights=(1, 1, 1))(outputs, target)


@pytest.mark.parametrize("outputs", [[], "logits", [1, 2], None, {"out": torch.zeros(1, 2)}], ids=str)
def test_what_are_no_outputs_is_refused(outputs):
    with pytest.raises(UserError, match="takes a tensor or a list of tensors, the finest first"):
        DeepSupervision(Dice())(outputs, torch.zeros(2, 8, 8).long())


@pytest.mark.parametrize("text", ["Dice()", "CrossEntropy() + Dice()", "AdaptiveLog(DeepSupervision(Dice()))"])
def test_a_plain_loss_of_several_outputs_names_the_remedy(text):
    outputs, target, _ = drawn([(8, 8), (4, 4)])
    with pytest.raises(UserError, match=r"takes one output, a tensor, not list.* say DeepSupervision"):
        parse(text)(outputs, target)


@pytest.mark.parametrize("weights", [(0, 0), (0.0,)])
def test_weights_of_nothing_are_refused(weights):
    with pytest.raises(FieldError, match="one of the weights must be above 0"):
        DeepSupervision(Dice(), weights=weights)


def test_embeddings_have_no_resolutions():
    with pytest.raises(FieldError, match="are embeddings"):
        DeepSupervision(SupervisedContrastive())
