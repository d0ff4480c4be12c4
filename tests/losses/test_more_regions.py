"""Region losses that see more than overlap: correlations, powers, distances between classes, background apart."""

from itertools import product

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import fbeta_score, matthews_corrcoef

from oracles_losses import agree, as_lists, asking, batch, same
from oracles_regions import REGIONS, f_beta, matthews, noise_robust_dice, of_regions, power_jaccard, squared_dice
from whichloss import (
    MCC,
    Dice,
    FBeta,
    GeneralizedWassersteinDice,
    ModifiedFocalTversky,
    NoiseRobustDice,
    PenaltyGeneralizedDice,
    PowerJaccard,
    SquaredDice,
    Tversky,
    parse,
)
from whichloss.core import FieldError, Loss, UserError, registry, suggestion
from whichloss.core.question import Batch

FORMULAS = {
    "MCC()": matthews,
    "SquaredDice()": squared_dice,
    "PowerJaccard()": power_jaccard(2.0),
    "PowerJaccard(exponent=1.25)": power_jaccard(1.25),
    "FBeta(beta=2.0)": f_beta(2.0),
    "NoiseRobustDice()": noise_robust_dice(1.5),
    "NoiseRobustDice(gamma=1.0)": noise_robust_dice(1.0),
}
MANY = pytest.mark.parametrize("shape", [(7, 4), (3, 4, 6, 5), (2, 4, 3, 4, 3)], ids=str)


def gradient(loss, logits, target):
    leaf = logits.clone().requires_grad_()
    value = loss(leaf, target)
    return value.item(), torch.autograd.grad(value, leaf)[0]


@pytest.mark.parametrize("form", ["index", "proportions", "yes/no"])
@pytest.mark.parametrize("weight", ["none", "element", "element and channel"])
@pytest.mark.parametrize("fields", [{}, {"over": "batch", "smooth": 0.25}], ids=str)
@pytest.mark.parametrize("name", FORMULAS)
def test_every_formula_in_every_form(name, fields, weight, form):
    """With a class that is nowhere."""
    oracle = of_regions(FORMULAS[name], exclusive=form != "yes/no", **fields)
    agree(parse(asking(name, form, **fields)), oracle, *batch((3, 3, 2, 2), form, weight, classes=2))


@settings(max_examples=25, deadline=None)
@given(
    space=st.lists(st.integers(1, 4), max_size=3).map(tuple),
    images=st.integers(1, 3),
    size=st.floats(0.1, 5),
    classes=st.integers(1, 3),
    seed=st.integers(0, 10**6),
)
@pytest.mark.parametrize("text", [text for text, (form, _) in REGIONS.items() if form == "index"])
def test_the_value_is_that_of_the_oracle_whatever_is_ignored(text, space, images, size, classes, seed):
    logits, index, _ = batch((images, 3, *space), "index", classes=classes, seed=seed)
    random = torch.Generator().manual_seed(seed)
    weight = torch.rand(index.shape, generator=random, dtype=torch.float64).round(decimals=1)
    ignored = torch.rand(index.shape, generator=random) < 0.3
    first = (slice(None), *[0] * len(space))
    weight[first], ignored[first] = 1.0, False  # an oracle of all classes needs one
    found = parse(text)(size * logits, torch.where(ignored, 255, index), weight, ignore_index=255)
    spread = torch.where(ignored, 0.0, weight).unsqueeze(1).expand_as(logits)
    expected = REGIONS[text][1](as_lists(size * logits, 2), as_lists(index, 1), as_lists(spread, 2))
    assert found.item() == pytest.approx(expected, rel=1e-9, abs=1e-9)


# correlation


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=30))
def test_of_certain_answers_it_is_the_correlation_that_scikit_learn_has(cases):
    """Whose convention is 0 where it has no meaning, also where nothing is wrong; there it costs nothing here."""
    said, true = (list(one) for one in zip(*cases, strict=True))
    value = MCC(smooth=0.0)(torch.tensor([[1e4 if x else -1e4 for x in said]]).unsqueeze(1), torch.tensor([[true]]))
    expected = 0.0 if said == true else 1 - matthews_corrcoef(true, said)
    assert value.item() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("weight", ["none", "element"])
def test_yes_and_no_may_change_places(weight):
    """Also with smooth, which counts as imagined true negatives, too."""
    logits, target, w = batch((3, 1, 8), "yes/no", weight)
    same(lambda u: MCC()(u, target, w), lambda u: MCC()(-u, 1 - target, w), logits)
    logits, target = batch((3, 2, 8), "index")[:2]
    each = MCC().terms(logits, target).value
    torch.testing.assert_close(each[:, 0], each[:, 1])  # of two classes


def test_a_few_true_negatives_are_not_lost_to_cancellation():
    """256^3 voxels of background, 30 of them a lesion: as negatives of background they are what is left of a sum."""
    logits = torch.full((1, 1, 256, 256, 256), 8.0)
    target = torch.ones_like(logits)
    logits[0, 0, 0, 0, :30], target[0, 0, 0, 0, :30] = 1.0, 0
    n = MCC().lifts[0](Batch(logits, target))
    exact = 30 * torch.tensor(-1.0, dtype=torch.float64).sigmoid().item()
    assert n.tn.item() == pytest.approx(exact, rel=1e-5)
    assert abs((n.elements - n.tp - n.fp - n.fn).item() - exact) > 0.02 * exact  # the other way does fail here
    value = MCC(smooth=0.0)(logits, target).item()
    p, q = (torch.tensor(x, dtype=torch.float64).sigmoid().item() for x in (8.0, 1.0))
    size = 256**3 - 30
    tp, fn, fp, tn = size * p, size * (1 - p), 30 * q, 30 * (1 - q)
    product_of_margins = (tp + fp) * (tp + fn) * (tn + fp) * (tn + fn)
    assert value == pytest.approx(1 - (tp * tn - fp * fn) / product_of_margins**0.5, rel=1e-4)


def test_margins_whose_product_leaves_float32():
    """Four sums of 4e9 have a product of 3e38."""
    logits = torch.tensor([[[1.0, -1.0]]])
    target, weight = torch.tensor([[[1.0, 0.0]]]), torch.full((1, 2), 1e11)
    value = MCC(smooth=0.0)(logits, target, weight)
    assert value.item() == pytest.approx(MCC(smooth=0.0)(logits, target).item(), rel=1e-5)


@pytest.mark.parametrize(("present", "p"), list(product([False, True], [1e-4, 0.3, 0.9])))
def test_an_image_that_is_all_one_has_a_slope(present, p):
    """By definition the correlation has no meaning there; with smooth every error is felt."""
    target = torch.full((1, 1, 8, 8), float(present))
    logits = (1 if present else -1) * torch.full_like(target, 1 - p).logit()
    value, slope = gradient(MCC(), logits, target)
    assert 0 < value < 1
    assert ((slope < 0) if present else (slope > 0)).all()
    silent, still = gradient(MCC(smooth=0.0), logits, target)
    assert silent == 1 and (still == 0).all()
    assert MCC(smooth=0.0)(torch.where(target > 0, 1e4, -1e4), target) == 0


@pytest.mark.parametrize("empty", ["formula", "skip", "zero", "volume"])
def test_empty_targets_of_a_correlation_by_hand(empty):
    # p = 1/2 on four background voxels: TP 1, FP 2, TN 2 + 1, FN 0, so MCC = 3 / sqrt(3 * 1 * 5 * 3)
    values = {"formula": 1 - 3 / 45**0.5, "skip": 0.0, "zero": 0.0, "volume": 0.5}
    value = MCC(empty=empty)(torch.zeros(1, 1, 4, dtype=torch.float64), torch.zeros(1, 1, 4))
    assert value.item() == pytest.approx(values[empty])


@pytest.mark.parametrize(
    ("p", "value", "slope"), [(1e-13, 0.5, 8e5), (1e-6, 0.756, 9e4), (1e-2, 0.997, 0.14), (0.5, 1.0, 1e-3)]
)
def test_smp_s_correlation_of_background_is_what_was_recorded(p, value, slope):
    """Per image of 64 voxels; the slope with respect to p."""
    logits = torch.full((1, 1, 8, 8), p, dtype=torch.float64).logit()
    found, steep = gradient(parse("SmpMCC()"), logits, torch.zeros_like(logits))
    assert found == pytest.approx(value, abs=5e-4)
    assert (steep / (p * (1 - p))).abs().sum().item() == pytest.approx(slope, rel=0.12)  # one digit was


@pytest.mark.parametrize("eps", [1e-5, 1e-7, 0.5])
def test_smp_adds_to_every_count(eps):
    def theirs(u):
        p = u.sigmoid()
        tp, tn = (p * yes).sum() + eps, ((1 - p) * (1 - yes)).sum() + eps
        fp, fn = (p * (1 - yes)).sum() + eps, ((1 - p) * yes).sum() + eps
        return 1 - (tp * tn - fp * fn) / ((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn)).sqrt()

    logits, yes, _ = batch((3, 1, 6, 5), "yes/no")
    same(lambda u: parse(f"SmpMCC(smooth={eps})")(u, yes), theirs, logits)


# F-beta


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=30).filter(lambda x: any(y for _, y in x)),
    st.floats(0.1, 5),
)
def test_of_certain_answers_it_is_the_score_that_scikit_learn_has(cases, beta):
    said, true = (list(one) for one in zip(*cases, strict=True))
    value = FBeta(beta=beta, smooth=0.0)(
        torch.tensor([[1e4 if x else -1e4 for x in said]]).unsqueeze(1), torch.tensor([[true]])
    )
    score = fbeta_score(true, said, beta=beta, zero_division=0)  # pyright: ignore[reportArgumentType]
    assert value.item() == pytest.approx(1 - score, abs=1e-6)


@pytest.mark.parametrize("beta", [0.5, 1.0, 1.5, 3.0])
@MANY
def test_it_is_tversky_with_prices_that_sum_to_one(shape, beta):
    logits, index, _ = batch(shape, "index")
    share = beta**2 / (1 + beta**2)
    same(
        lambda u: FBeta(beta=beta)(u, index),
        lambda u: Tversky(fp=1 - share, fn=share)(u, index),
        logits,
    )


def test_asymmetric_loss_of_segloss_is_the_negative_score():
    """Its smooth is 1, its beta 1.5, and it is minus the index."""

    def theirs(u):
        p, y = u.softmax(1), F.one_hot(index, 4).movedim(-1, 1)
        tp, fp, fn = ((p * y).sum((2, 3)), (p * (1 - y)).sum((2, 3)), ((1 - p) * y).sum((2, 3)))
        part = 1.5**2 / (1 + 1.5**2)
        return -((tp + 1) / (tp + part * fn + (1 - part) * fp + 1)).mean()

    logits, index, _ = batch((3, 4, 6, 5), "index")
    same(lambda u: FBeta()(u, index) - 1, theirs, logits)


def test_the_soft_f1_of_toolbelt_is_dice_over_the_batch():
    """Its eps of 1e-6 stands below alone, and beside the probabilities."""
    logits, yes, _ = batch((3, 1, 6, 5), "yes/no")
    p, y = logits.sigmoid().clamp(1e-6, 1 - 1e-6), yes.round()
    tp, fp, fn = (p * y).sum(), (p * (1 - y)).sum(), ((1 - p) * y).sum()
    theirs = 1 - 2 * tp / (2 * tp + fp + fn + 1e-6)
    assert Dice(over="batch", smooth=0.0)(logits, y).item() == pytest.approx(theirs.item(), abs=1e-6)


# squares and powers


def test_the_recorded_dice_with_squares():
    """Two samples of four voxels, for which the linear form gives 0.4828."""
    p = torch.tensor([[[0.9, 0.8, 0.3, 0.1]], [[0.6, 0.2, 0.1, 0.05]]], dtype=torch.float64)
    y = torch.tensor([[[1.0, 1, 0, 0]], [[0.0, 1, 0, 0]]], dtype=torch.float64)
    assert SquaredDice(smooth=0.0)(p.logit(), y).item() == pytest.approx(0.3795, abs=5e-5)


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 10**6), smooth=st.sampled_from([0.0, 1.0]))
def test_hesitant_answers_cost_less_with_squares_and_certain_ones_the_same(seed, smooth):
    logits, yes, _ = batch((1, 1, 12), "yes/no", seed=seed)
    yes = yes.round()
    yes[..., 0] = 1
    assert SquaredDice(smooth=smooth)(logits, yes) < Dice(smooth=smooth)(logits, yes)
    certain = 1e4 * logits.sign()
    assert SquaredDice(smooth=smooth)(certain, yes).item() == pytest.approx(Dice(smooth=smooth)(certain, yes).item())


def test_with_squares_a_jaccard_is_a_function_of_dice():
    """2 D / (1 + D), as of the linear forms."""
    logits, index, _ = batch((3, 4, 6, 5), "index")
    dice = SquaredDice(smooth=0.5).terms(logits, index).value
    power = PowerJaccard(smooth=0.5).terms(logits, index).value
    torch.testing.assert_close(power, 2 * dice / (1 + dice))


def test_a_power_above_two_would_leave_the_range():
    p = 0.8
    assert 1 - p / (p**3 + 1 - p) == pytest.approx(-0.12, abs=5e-3)
    with pytest.raises(FieldError, match="exponent is 3; it must be a finite number at least 1 and at most 2"):
        PowerJaccard(exponent=3)
    with pytest.raises(FieldError, match=r"exponent is 0\.5"):
        PowerJaccard(exponent=0.5)


@pytest.mark.parametrize("gamma", [1.0, 1.25, 1.5, 2.0])
def test_noise_robust_dice_as_printed(gamma):
    def printed(u):
        p = u.sigmoid()
        above, below = (p - yes).abs() ** gamma, p**2 + yes**2
        return (above.sum((2, 3)) / (below.sum((2, 3)) + 2.0)).mean()

    logits, yes, _ = batch((3, 1, 6, 5), "yes/no")
    yes = yes.round()
    same(lambda u: NoiseRobustDice(gamma=gamma)(u, yes), printed, logits)


def test_a_mislabelled_voxel_pulls_less_the_smaller_gamma():
    """A lesion of ten, found, and one voxel beside it that is called lesion and is not: its share of all slopes."""
    target = torch.zeros(1, 1, 100, dtype=torch.float64)
    target[..., :11] = 1
    logits = torch.where(target > 0, 2.0, -2.0).double()
    logits[..., 10] = -2.0
    shares = []
    for gamma in (2.0, 1.5, 1.0):
        _, slope = gradient(NoiseRobustDice(gamma=gamma), logits, target)
        shares.append((slope[..., 10].abs() / slope.abs().sum()).item())
    assert shares[0] > 1.5 * shares[1] > 1.5 * 1.5 * shares[2]


def test_noise_robust_dice_is_not_bounded_by_one_and_needs_smooth():
    many = torch.full((1, 1, 100, 100), 0.01).logit()
    value = NoiseRobustDice()(many, torch.zeros_like(many)).item()
    assert value == pytest.approx(0.001 * 1e4 / (1e-4 * 1e4 + 2), rel=1e-5) and value > 3
    with pytest.raises(FieldError, match=r"smooth=0 a class without target .* say smooth=1.0, or gamma=2"):
        NoiseRobustDice(smooth=0)
    assert NoiseRobustDice(smooth=0, gamma=2).gamma == 2.0


# one overlap of all classes, errors counted several times


@pytest.mark.parametrize("k", [0.0, 1.0, 2.5])
@pytest.mark.parametrize("over", ["image", "batch"])
def test_the_penalty_is_of_the_score(k, over):
    logits, index, _ = batch((3, 4, 6, 5), "index")
    loss = PenaltyGeneralizedDice(penalty=k, over=over)
    score = 1 - parse(f"GeneralizedDice(over={over!r})").terms(logits, index).value
    expected = 1 - score / (1 + k * (1 - score))
    torch.testing.assert_close(loss.terms(logits, index).value, expected)
    assert (expected >= 1 - score).all()  # a penalty, not a discount


def test_the_penalty_of_nothing_right_is_one_and_of_all_right_nothing():
    """SegLoss, with the negative score in the place of the loss, has -1/6 for all right and 0 for nothing."""
    index = torch.arange(60).reshape(1, 60) % 3
    right = 60.0 * F.one_hot(index, 3).movedim(-1, 1).double()
    loss = PenaltyGeneralizedDice(smooth=0.0)
    assert loss(right, index).item() == pytest.approx(0.0, abs=1e-12)
    assert loss(right.roll(1, 1), index).item() == pytest.approx(1.0)


# distances between classes


@MANY
@pytest.mark.parametrize("weight", ["none", "element"])
def test_of_two_classes_it_is_the_dice_of_the_foreground(shape, weight):
    logits, index, w = batch((shape[0], 2, *shape[2:]), "index", weight)
    one, other = GeneralizedWassersteinDice(), Dice(background=False)
    same(lambda u: one(u, index, w), lambda u: other(u, index, w), logits)


def test_a_related_class_is_not_wholly_wrong():
    near = ((0.0, 1.0, 1.0), (1.0, 0.0, 0.25), (1.0, 0.25, 0.0))
    index = torch.ones(1, 10).long()
    rim, healthy = (60.0 * F.one_hot(torch.full((1, 10), k), 3).movedim(-1, 1).double() for k in (2, 0))
    loss = GeneralizedWassersteinDice(distances=near, smooth=0.0)
    assert loss(rim, index).item() == pytest.approx(0.25 / (2 * 0.75 + 0.25))
    assert loss(healthy, index).item() == pytest.approx(1.0)
    assert GeneralizedWassersteinDice(smooth=0.0)(rim, index).item() == pytest.approx(1.0)


@pytest.mark.parametrize("empty", ["formula", "skip", "zero", "volume"])
def test_an_image_of_background_alone(empty):
    """p of background 1/2, 1/3 ... W is what is not background; with smooth 1 the loss is W n / (2 + W n)."""
    logits, index = torch.zeros(1, 3, 6, dtype=torch.float64), torch.zeros(1, 6).long()
    values = {"formula": 4 / (2 + 4), "skip": 0.0, "zero": 0.0, "volume": 4 / 6}
    value, slope = gradient(GeneralizedWassersteinDice(empty=empty), logits, index)
    assert value == pytest.approx(values[empty])
    assert (slope.abs().sum() > 0.01) == (empty in ("formula", "volume"))


@pytest.mark.parametrize(
    ("distances", "says"),
    [
        (((0, 1), (1, 0, 1)), "must be a square"),
        ((0, 1), "must be a square"),
        ("nearest", "must be a square"),
        (((0, -1), (-1, 0)), "must be a square of finite numbers, each at least 0"),
        (((0, 2), (2, 0)), "between 0 and 1; divide them by the largest"),
        (((0.5, 1), (1, 0)), "of a class from itself is 0"),
        (((0, 1), (0.5, 0)), "one class is as far from another as that is from it"),
    ],
)
def test_distances_that_are_none(distances, says):
    with pytest.raises(FieldError, match=says):
        GeneralizedWassersteinDice(distances=distances)
    with pytest.raises(ValueError, match=says):
        parse(f"GeneralizedWassersteinDice(distances={distances!r})")


def test_distances_must_be_between_the_classes_that_there_are():
    with pytest.raises(UserError, match="the distances are between 2 classes, and the logits have 3"):
        GeneralizedWassersteinDice(distances=((0, 1), (1, 0)))(torch.zeros(1, 3, 4), torch.zeros(1, 4).long())


def test_distances_need_classes_that_exclude_each_other():
    with pytest.raises(FieldError, match="classes is 'independent'; it must be one of 'exclusive'"):
        GeneralizedWassersteinDice(classes="independent")
    with pytest.raises(UserError, match="one class excludes nothing"):
        GeneralizedWassersteinDice()(torch.zeros(1, 1, 4), torch.zeros(1, 1, 4))


# the unified focal loss


def unified(u, index, delta, gamma, share, *, symmetric, eps=1e-7):
    """Both parts as plain loops over the two classes, as their authors have them."""
    p, y = u.softmax(1), F.one_hot(index, 2).movedim(-1, 1).double()
    space = tuple(range(2, u.ndim))
    tp, fn, fp = (y * p).sum(space), (y * (1 - p)).sum(space), ((1 - y) * p).sum(space)
    lack = 1 - (tp + eps) / (tp + delta * fn + (1 - delta) * fp + eps)
    tversky = torch.stack([lack[:, 0] ** (1 - gamma) if symmetric else lack[:, 0], lack[:, 1] ** (1 - gamma)]).mean()
    background = (1 - delta) * (1 - p[:, 0]) ** gamma * -y[:, 0] * p[:, 0].log()
    foreground = delta * ((1 - p[:, 1]) ** gamma if symmetric else 1.0) * -y[:, 1] * p[:, 1].log()
    return share * tversky + (1 - share) * (background + foreground).mean()


@pytest.mark.parametrize("shape", [(3, 2, 6, 5), (2, 2, 3, 4, 3)], ids=str)
@pytest.mark.parametrize(("delta", "gamma", "share"), [(0.6, 0.5, 0.5), (0.7, 0.25, 0.3)])
@pytest.mark.parametrize("symmetric", [False, True])
def test_the_unified_focal_loss_is_a_sum(shape, delta, gamma, share, symmetric):
    both = ("suppress='all'", "enhance='all'") if symmetric else ("suppress='background'", "enhance='foreground'")
    loss = parse(
        f"{1 - share} * ModifiedFocal(delta={delta}, gamma={gamma}, {both[0]})"
        f" + {share} * ModifiedFocalTversky(delta={delta}, gamma={gamma}, {both[1]}, smooth=1e-7)"
    )
    logits, index, _ = batch(shape, "index")
    same(lambda u: loss(u, index), lambda u: unified(u, index, delta, gamma, share, symmetric=symmetric), logits)


def test_the_name_of_the_whole_leads_to_both_of_its_parts():
    assert suggestion(Loss, "UnifiedFocal") == (
        "; here it is 'ModifiedFocalTversky' (unified focal loss: 0.5 * ModifiedFocal() + 0.5 * ModifiedFocalTversky())"
    )
    assert {type(leaf).__name__ for leaf in parse("MonaiUnifiedFocal()").leaves()} == {
        "ModifiedFocal",
        "ModifiedFocalTversky",
    }
    for name in ("MonaiUnifiedFocal", "ModifiedFocalTversky"):
        assert any(alias.startswith("unified focal loss") for alias in registry(Loss)[name].card.aliases)


def test_background_is_raised_to_no_power():
    """And where classes do not exclude each other, or class 0 is left out, there is none."""
    logits, index, _ = batch((2, 3, 8), "index")
    plain = 1 - ModifiedFocalTversky(gamma=0.0).terms(logits, index).value
    root = ModifiedFocalTversky(gamma=0.5).terms(logits, index).value
    torch.testing.assert_close(root[:, 0], 1 - plain[:, 0])
    torch.testing.assert_close(root[:, 1:], (1 - plain[:, 1:]).sqrt())
    left = ModifiedFocalTversky(background=False).terms(logits, index).value
    torch.testing.assert_close(left, root[:, 1:])
    yes = F.one_hot(index, 3).movedim(-1, 1).double()
    every = ModifiedFocalTversky(classes="independent").terms(logits, yes).value
    flat = ModifiedFocalTversky(classes="independent", gamma=0.0).terms(logits, yes).value
    torch.testing.assert_close(every, flat.sqrt())


@pytest.mark.parametrize("enhance", ["foreground", "all"])
@pytest.mark.parametrize("size", [40.0, 200.0])
def test_a_root_has_a_slope_where_its_value_is_zero(enhance, size):
    index = torch.arange(64).reshape(1, 8, 8) % 3
    perfect = size * F.one_hot(index, 3).movedim(-1, 1).float()
    value, slope = gradient(ModifiedFocalTversky(enhance=enhance), perfect, index)
    assert value == pytest.approx(0.0, abs=1e-3)
    assert slope.isfinite().all()
