"""The one rule for shapes: what is accepted, and how a refusal helps."""

import pytest
import torch

from whichloss import CrossEntropy, Dice, Focal, Hinge, parse
from whichloss.core import RegressionLoss, ShapeError, UserError
from whichloss.core.lifts.residual import Residual
from whichloss.core.question import Batch

LOSSES = [Dice(), CrossEntropy(), Hinge(), Hinge(lift="top_rival"), Dice() + Focal()]
each_loss = pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: loss.label)


def refusal(loss, logits, target, weight=None, **more):
    with pytest.raises(UserError) as error:
        loss(logits, target, weight, **more)
    return error.value


# what comes, what would fit, and the remedy


@each_loss
@pytest.mark.parametrize(
    ("logits", "target", "parts"),
    [
        (
            torch.zeros(3),
            torch.zeros(3),
            ["logits (3,) and target (3,) of torch.float32 do not fit.", "logits.unsqueeze(1) and target.unsqueeze(1)"],
        ),
        (torch.zeros(3), torch.zeros(3).long(), ["for one binary score use logits.unsqueeze(1)"]),
        (torch.zeros(()), torch.zeros(()), ["logits () and target () of torch.float32 do not fit."]),
        (
            torch.zeros(2, 3, 4),
            torch.zeros(2, 1, 4).long(),
            ["target (2, 1, 4) of torch.int64 do not fit", "has no class axis; use target.squeeze(1).long()"],
        ),
        (torch.zeros(2, 3), torch.zeros(2, 1), ["has no class axis; use target.squeeze(1).long()"]),
        (
            torch.zeros(2, 3, 4),
            torch.zeros(2, 4),
            ["target (2, 4) of torch.float32 do not fit: class indices are integers; use target.long()"],
        ),
        (
            torch.zeros(2, 3, 4),
            torch.zeros(2, 3, 4),
            ['are ambiguous: say classes="exclusive" or classes="independent"'],
        ),
        (torch.zeros(2, 3, 4), torch.zeros(2, 3, 4).long(), ["are ambiguous"]),
        (
            torch.zeros(2, 1, 4),
            torch.zeros(2, 4).long(),
            ["logits (2, 1, 4) and target (2, 4)", "for a yes/no question use target.unsqueeze(1)"],
        ),
        (torch.zeros(5, 1), torch.zeros(5), ["for a yes/no question use target.unsqueeze(1)"]),
        (torch.zeros(2, 3, 4), torch.zeros(2, 5), ["do not fit"]),
        (torch.zeros(2, 3, 4), torch.zeros(3, 4).long(), ["do not fit"]),
        (torch.zeros(2, 3, 4), torch.zeros(2, 3, 5), ["do not fit"]),
        (torch.zeros(2, 3, 4, 4), torch.zeros(2, 4).long(), ["do not fit"]),
        (torch.zeros(2, 3, 4).long(), torch.zeros(2, 4).long(), ["do not fit"]),
    ],
    ids=lambda one: None if isinstance(one, list) else str(tuple(one.shape)),
)
def test_a_batch_that_does_not_fit(loss, logits, target, parts):
    error = refusal(loss, logits, target)
    assert isinstance(error, ShapeError)
    for part in [
        *parts,
        "one class of several:   logits (N, C, *S) with C > 1, target (N, *S) of integer indices",
        'a yes/no per channel:   logits (N, C, *S), target (N, C, *S) with classes="independent" (C = 1 needs no word)',
    ]:
        assert part in str(error)


def test_the_message_reads_as_a_whole():
    assert str(refusal(Dice(), torch.zeros(3), torch.zeros(3))) == (
        "logits (3,) and target (3,) of torch.float32 do not fit.\n"
        "  one class of several:   logits (N, C, *S) with C > 1, target (N, *S) of integer indices"
        ' or (N, C, *S) with classes="exclusive"\n'
        "  a yes/no per channel:   logits (N, C, *S), target (N, C, *S)"
        ' with classes="independent" (C = 1 needs no word)\n'
        "  hint: for one binary score use logits.unsqueeze(1) and target.unsqueeze(1)"
    )


def test_one_channel_excludes_nothing():
    for target in (torch.zeros(2, 1, 4), torch.zeros(2, 4).long()):
        assert isinstance(refusal(Dice(classes="exclusive"), torch.zeros(2, 1, 4), target), ShapeError)
    text = str(refusal(Dice(classes="exclusive"), torch.zeros(2, 1, 4), torch.zeros(2, 1, 4)))
    assert "have one channel, and one class excludes nothing" in text


def test_independent_classes_have_no_index():
    assert isinstance(refusal(Dice(classes="independent"), torch.zeros(2, 3, 4), torch.zeros(2, 4).long()), ShapeError)


@each_loss
@pytest.mark.parametrize("shape", [(2,), (2, 5), (1, 4), (2, 3, 5), (2, 1, 4), (2, 3, 4, 1), ()], ids=str)
def test_a_weight_map_that_does_not_fit(loss, shape):
    error = refusal(loss, torch.zeros(2, 3, 4), torch.zeros(2, 4).long(), torch.ones(shape))
    assert (
        f"weight {shape} does not fit logits (2, 3, 4): it must be (N, *S), one number an element, or (N, C, *S)"
        in str(error)
    )


# what is accepted


@pytest.mark.parametrize("space", [(), (4,), (4, 3), (2, 4, 3)], ids=str)
@each_loss
def test_every_dimension_is_one_code_path(loss, space):
    torch.manual_seed(0)
    logits = torch.randn(2, 3, *space, requires_grad=True)
    value = loss(logits, torch.randint(3, (2, *space)))
    value.backward()
    assert value.ndim == 0
    assert logits.grad.isfinite().all()
    one = loss(logits[:, :1], torch.randint(2, (2, 1, *space)))
    assert one.isfinite()


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int16, torch.int32, torch.int64])
def test_indices_of_any_integer_type(dtype):
    torch.manual_seed(0)
    logits, target = torch.randn(2, 3, 4), torch.randint(3, (2, 4))
    for loss in LOSSES:
        assert torch.equal(loss(logits, target.to(dtype)), loss(logits, target))


def test_two_images_of_as_many_channels_as_images_are_no_index():
    """(N, C) logits with N == C: a target (N,) is an index and (N, C) is ambiguous, whatever the numbers are."""
    logits = torch.randn(3, 3)
    assert CrossEntropy()(logits, torch.tensor([0, 1, 2])).isfinite()
    assert isinstance(refusal(CrossEntropy(), logits, torch.eye(3)), ShapeError)


def test_a_space_that_looks_like_classes_is_a_space():
    # (N, C, S) with S == C: (N, S) integers are indices by the rule, never one-hot
    assert CrossEntropy()(torch.randn(2, 3, 3), torch.eye(3)[:2].long()).isfinite()


# ignored voxels, in every form


def random_batch(form, seed=0):
    random = torch.Generator().manual_seed(seed)
    logits = torch.randn(2, 3, 6, generator=random, dtype=torch.float64)
    index = torch.randint(3, (2, 6), generator=random)
    hot = torch.nn.functional.one_hot(index, 3).movedim(-1, 1).double()
    if form == "index":
        return "auto", logits, index
    if form == "exclusive":
        return "exclusive", logits, hot
    if form == "independent":
        return "independent", logits, hot
    return "auto", logits[:, :1], hot[:, :1]


@pytest.mark.parametrize("sentinel", [255, -100, -1])
@pytest.mark.parametrize("form", ["index", "exclusive", "independent", "one channel"])
@pytest.mark.parametrize("text", ["Dice", "CrossEntropy", "Hinge", "Focal"])
def test_an_ignored_element_is_one_without_weight(text, form, sentinel):
    classes, logits, target = random_batch(form)
    loss = parse(f"{text}(classes={classes!r})")
    weight = torch.linspace(0.5, 2, 12, dtype=torch.float64).reshape(2, 6)
    ignored = target.clone()
    ignored[..., ::3] = sentinel
    masked = weight.clone()
    masked[:, ::3] = 0
    assert torch.allclose(loss(logits, ignored, weight, ignore_index=sentinel), loss(logits, target, masked))
    assert not torch.allclose(loss(logits, ignored, weight, ignore_index=sentinel), loss(logits, target, weight))


def test_one_channel_of_an_independent_element_can_be_ignored():
    """Partly labelled data: the others of the element keep their say."""
    _, logits, target = random_batch("independent")
    ignored, weight = target.clone(), torch.ones_like(logits)
    ignored[:, 1, ::2], weight[:, 1, ::2] = -1, 0
    for text in ("Dice", "CrossEntropy", "Hinge"):
        loss = parse(f"{text}(classes='independent')")
        assert torch.allclose(loss(logits, ignored, ignore_index=-1), loss(logits, target, weight))


def test_an_exclusive_element_is_ignored_as_a_whole():
    _, logits, target = random_batch("exclusive")
    ignored, weight = target.clone(), torch.ones(2, 6, dtype=torch.float64)
    ignored[:, 1, ::2], weight[:, ::2] = -1, 0  # the sentinel in one channel only
    for text in ("Dice", "CrossEntropy", "Hinge(lift='each_rival')"):
        loss = parse(text.removesuffix(")") + ("," if "(" in text else "(") + " classes='exclusive')")
        assert torch.allclose(loss(logits, ignored, ignore_index=-1), loss(logits, target, weight))


@pytest.mark.parametrize("form", ["index", "exclusive", "independent", "one channel"])
def test_nothing_leaks_from_where_nothing_has_a_say(form):
    classes, logits, target = random_batch(form)
    hollow, filled = logits.clone(), target.clone()
    hollow[..., ::3] = float("nan")
    filled[..., ::3] = 255
    for text in ("Dice", "CrossEntropy", "Hinge", "Focal"):
        loss = parse(f"{text}(classes={classes!r})")
        leaf = hollow.clone().requires_grad_()
        value = loss(leaf, filled, ignore_index=255)
        value.backward()
        assert torch.allclose(value, loss(logits, filled, ignore_index=255))
        assert leaf.grad.isfinite().all()
        assert (leaf.grad[..., ::3] == 0).all()


# residuals have no classes


class Off(RegressionLoss):
    r"""$r^2$, known to no catalogue."""

    listed = False

    def formula(self, residual):
        return residual.square()


def test_a_residual_needs_the_shape_of_the_output():
    error = refusal(Off(), torch.zeros(2, 3), torch.zeros(2))
    assert "output (2, 3) and target (2,) must have the same shape (N, C, *S)" in str(error)
    assert "no index to ignore: give a weight map" in str(
        refusal(Off(), torch.zeros(2, 3), torch.zeros(2, 3), ignore_index=0)
    )
    assert "weight (3,) does not fit output (2, 3)" in str(
        refusal(Off(), torch.zeros(2, 3), torch.zeros(2, 3), torch.ones(3))
    )


def test_a_residual_is_output_minus_target_with_its_weights():
    output, target = torch.tensor([[1.0, 4.0], [0.0, float("nan")]]), torch.tensor([[0.0, 2.0], [3.0, 0.0]])
    weight = torch.tensor([[1.0, 1.0], [2.0, 0.0]])
    assert Off()(output, target, weight).item() == pytest.approx((1 + 4 + 2 * 9) / 4)
    assert Off()(output[:1], target[:1], torch.tensor([5.0])).item() == pytest.approx(2.5)
    assert torch.equal(Residual()(Batch(output[:1], target[:1])).residual, torch.tensor([[1.0, 2.0]]))
