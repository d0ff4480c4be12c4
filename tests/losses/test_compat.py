"""Presets of libraries that are not installed here, against their formulas, written down from their code."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from oracles_losses import same
from whichloss import KorniaFocal, MonaiSoftmaxFocal, NnunetDice, parse

SHAPES = [(7, 4), (3, 4, 6, 5), (2, 4, 3, 4, 3)]


def draw(shape: tuple[int, ...], seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Logits, an index target, and yes or no for each channel."""
    random = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(shape, generator=random, dtype=torch.float64)
    index = torch.randint(shape[1], (shape[0], *shape[2:]), generator=random)
    return logits, index, torch.randint(2, shape, generator=random).double()


def hot(index: Tensor, classes: int = 4) -> Tensor:
    return F.one_hot(index, classes).movedim(-1, 1).double()


def pooled(x: Tensor) -> Tensor:
    """The sum over batch and voxels, one for each class."""
    return x.movedim(1, 0).flatten(1).sum(1)


def regions(p: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    return pooled(p * y), pooled(p * (1 - y)), pooled((1 - p) * y)


# Overlaps, as functions of probabilities and targets of their shape


def smp(p: Tensor, y: Tensor, alpha: float, beta: float, s: float, gamma: float = 1.0) -> Tensor:
    tp, fp, fn = regions(p, y)
    each = 1 - (tp + s) / (tp + alpha * fp + beta * fn + s)
    return (each * (pooled(y) > 0)).mean() ** gamma


def toolbelt(p: Tensor, y: Tensor, s: float) -> Tensor:
    each = 1 - (2 * pooled(p * y) + s) / (pooled(p + y) + s)
    return (each * (pooled(y) > 0)).mean()


def keras_tversky(p: Tensor, y: Tensor, alpha: float, beta: float) -> Tensor:
    """What its code calls false positives are (1 - prediction) * target."""
    tp, fp, fn = regions(p, y)
    return (1 - tp / (tp + alpha * fn + beta * fp)).mean()


def keras_dice(p: Tensor, y: Tensor) -> Tensor:
    return 1 - 2 * (p * y).sum() / (p + y).sum()


OVERLAPS = [
    ("SmpDice()", lambda p, y: smp(p, y, 0.5, 0.5, 0)),
    ("SmpDice(smooth=1.0)", lambda p, y: smp(p, y, 0.5, 0.5, 1)),
    ("SmpJaccard()", lambda p, y: smp(p, y, 1, 1, 0)),
    ("SmpJaccard(smooth=2.0)", lambda p, y: smp(p, y, 1, 1, 2)),
    ("SmpTversky()", lambda p, y: smp(p, y, 0.5, 0.5, 0)),
    ("SmpTversky(alpha=0.3, beta=0.8, smooth=1.0)", lambda p, y: smp(p, y, 0.3, 0.8, 1)),
    ("SmpTversky(alpha=0.3, beta=0.7, gamma=0.75)", lambda p, y: smp(p, y, 0.3, 0.7, 0, 0.75)),
    ("SmpTversky(gamma=2.0)", lambda p, y: smp(p, y, 0.5, 0.5, 0, 2)),
    ("ToolbeltDice()", lambda p, y: toolbelt(p, y, 0)),
    ("ToolbeltDice(smooth=1.0)", lambda p, y: toolbelt(p, y, 1)),
    ("KerasTversky()", lambda p, y: keras_tversky(p, y, 0.5, 0.5)),
    ("KerasTversky(alpha=0.2, beta=0.9)", lambda p, y: keras_tversky(p, y, 0.2, 0.9)),
    ("KerasDice()", keras_dice),
]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("absent", [False, True], ids=["all present", "one absent"])
@pytest.mark.parametrize(("text", "formula"), OVERLAPS, ids=[text for text, _ in OVERLAPS])
def test_overlaps_of_other_libraries(text: str, formula, absent: bool, shape: tuple[int, ...]):
    logits, index, yes = draw(shape)
    if absent:
        index[index == 2], yes[:, 2] = 0, 0
    exclusive, independent = parse(text), parse(text).asking("independent")
    same(lambda u: exclusive(u, index), lambda u: formula(u.softmax(1), hot(index)), logits)
    same(lambda u: independent(u, yes), lambda u: formula(u.sigmoid(), yes), logits)
    same(lambda u: exclusive(u, yes[:, :1]), lambda u: formula(u.sigmoid(), yes[:, :1]), logits[:, :1])


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("gamma", [2.0, 0.5])
@pytest.mark.parametrize("alpha", [None, 0.25])
def test_smp_focal_is_a_yes_or_no_for_each_class_in_every_mode(alpha, gamma: float, shape: tuple[int, ...]):
    def theirs(u: Tensor, y: Tensor) -> Tensor:
        surprise = F.binary_cross_entropy_with_logits(u, y, reduction="none")
        price = 1 if alpha is None else alpha * y + (1 - alpha) * (1 - y)
        return (price * (1 - (-surprise).exp()) ** gamma * surprise).mean()

    logits, index, yes = draw(shape)
    ours = parse(f"SmpFocal(gamma={gamma}, alpha={alpha})")
    same(lambda u: ours(u, hot(index)), lambda u: theirs(u, hot(index)), logits)
    same(lambda u: ours(u, yes), lambda u: theirs(u, yes), logits)
    same(lambda u: ours(u, yes[:, :1]), lambda u: theirs(u, yes[:, :1]), logits[:, :1])


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("gamma", [0.0, 1.0, 2.0])
def test_kornia_focal_is_a_mean_over_voxels_and_classes(gamma: float, shape: tuple[int, ...]):
    def theirs(u: Tensor) -> Tensor:
        return (-((1 - u.softmax(1)) ** gamma) * u.log_softmax(1) * hot(index)).mean()

    logits, index, _ = draw(shape)
    ours = parse(f"KorniaFocal(num_classes=4, gamma={gamma})")
    same(lambda u: ours(u, index), theirs, logits)


@pytest.mark.parametrize("absent", [False, True])
def test_kornia_dice_is_the_mean_probability_of_the_truth(absent: bool):
    def theirs(u: Tensor) -> Tensor:
        p, y = u.softmax(1), hot(index)
        return (1 - 2 * (p * y).sum((1, 2, 3)) / (p + y).sum((1, 2, 3))).mean()

    logits, index, _ = draw(SHAPES[1])
    if absent:
        index[index == 2] = 0
    same(lambda u: parse("KorniaDice()")(u, index), theirs, logits)
    truth = logits.softmax(1).gather(1, index.unsqueeze(1))
    assert theirs(logits).item() == pytest.approx(1 - truth.mean().item())


@pytest.mark.parametrize("shape", [(7, 1), (3, 1, 6, 5), (2, 1, 3, 4, 3)], ids=str)
@pytest.mark.parametrize("text", ["ToolbeltBalancedBCE()", "BalancedCrossEntropy(over='batch')"])
def test_toolbelt_balanced_cross_entropy_weighs_by_the_batch(text: str, shape: tuple[int, ...]):
    def theirs(u: Tensor) -> Tensor:
        no = (yes == 0).sum() / yes.numel()
        terms = no.double() * yes * F.logsigmoid(u) + (1 - no.double()) * (1 - yes) * F.logsigmoid(-u)
        return -terms.mean()

    logits, _, yes = draw(shape, 3)
    same(lambda u: parse(text)(u, yes), theirs, logits, single=True)  # its shares are quotients of integers


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize(("text", "power"), [("KerasHinge()", 1), ("KerasSquaredHinge()", 2)])
def test_keras_hinges_bring_labels_to_plus_and_minus_one(text: str, power: int, shape: tuple[int, ...]):
    def theirs(u: Tensor, y: Tensor) -> Tensor:
        return ((1 - (2 * y - 1) * u).clamp_min(0) ** power).mean()

    logits, index, yes = draw(shape)
    same(lambda u: parse(text)(u, index), lambda u: theirs(u, hot(index)), logits)
    same(lambda u: parse(text).asking("independent")(u, yes), lambda u: theirs(u, yes), logits)


def keras_categorical_hinge(u: Tensor, y: Tensor) -> Tensor:
    return (((1 - y) * u).amax(1) - (y * u).sum(1) + 1).clamp_min(0).mean()


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_keras_categorical_hinge_of_probabilities(shape: tuple[int, ...]):
    logits, index, yes = draw(shape)
    ours = parse("KerasCategoricalHinge()")
    same(lambda u: ours(u, index), lambda u: keras_categorical_hinge(u.softmax(1), hot(index)), logits)
    one, y = logits[:, :1], yes[:, :1]
    same(lambda u: ours(u, y), lambda u: keras_categorical_hinge(u.sigmoid(), y), one)


def test_keras_categorical_hinge_of_scores_is_not_that_of_crammer_and_singer():
    """Its strongest rival is at least 0, which the truth's own place in (1 - y) u always holds."""
    scores, index = torch.tensor([[-1.0, -3.0]], dtype=torch.float64), torch.tensor([0])
    assert keras_categorical_hinge(scores, hot(index, 2)).item() == 2
    assert parse("Hinge(lift='top_rival')")(scores, index).item() == 0


@pytest.mark.parametrize("batch", [False, True])
@pytest.mark.parametrize("smooth", [1.0, 1e-5])
def test_nnunet_dice_is_the_negative_score(smooth: float, batch: bool):
    def theirs(u: Tensor, y: Tensor) -> Tensor:
        p, axes = u.softmax(1), (0, 2, 3) if batch else (2, 3)
        score = (2 * (p * y).sum(axes) + smooth) / ((p + y).sum(axes) + smooth)
        return -(score[1:] if batch else score[:, 1:]).mean()

    logits, index, _ = draw(SHAPES[1])
    ours = NnunetDice(batch_dice=batch, smooth=smooth, do_bg=False)
    same(lambda u: ours(u, index), lambda u: theirs(u, hot(index)), logits)
    both = parse(f"NnunetDiceCE(batch_dice={batch}, smooth={smooth})")
    same(lambda u: both(u, index), lambda u: theirs(u, hot(index)) + F.cross_entropy(u, index), logits)


def test_a_negative_loss_is_not_wrapped():
    with pytest.raises(ValueError, match="never negative"):
        parse("AdaptiveLog(NnunetDice())")
    assert NnunetDice().range == (-1.0, 0.0)


@pytest.mark.parametrize("preset", [MonaiSoftmaxFocal, KorniaFocal])
def test_a_mean_over_classes_needs_their_number(preset: type):
    with pytest.raises(TypeError, match="num_classes"):
        preset()
    with pytest.raises(ValueError, match="num_classes is 1; it must be a whole number of at least 2"):
        preset(num_classes=1)
