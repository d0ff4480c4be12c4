"""MONAI's correlation, squared Dice, Wasserstein Dice and unified focal loss: where the two agree, and where not."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from oracles_losses import batch, same
from whichloss import parse

monai = pytest.importorskip("monai.losses", reason="MONAI is not installed")

SPACES = [(6, 5), (4, 5, 3)]
DISTANCES = torch.tensor([[0.0, 2, 2, 1], [2, 0, 1, 2], [2, 1, 0, 0.5], [1, 2, 0.5, 0]], dtype=torch.float64)
FORMS = {"binary": (1, "yes/no"), "multi-class": (4, "index"), "multi-label": (4, "yes/no")}
SOFTMAX = {"softmax": True, "to_onehot_y": True}


def draw(form, space, seed=0, images=3):
    channels, target = FORMS[form]
    logits, y, _ = batch((images, channels, *space), target, seed=seed)
    return logits, y.round() if y.is_floating_point() else y


def compare(ours, theirs, form, logits, target, *, single=False):
    loss, peer = parse(ours), theirs(SOFTMAX if form == "multi-class" else {"sigmoid": True})
    loss = loss.asking("independent") if form == "multi-label" else loss
    given = target.unsqueeze(1) if form == "multi-class" else target
    same(lambda u: loss(u, target), lambda u: peer(u, given), logits, single=single)


@pytest.mark.parametrize("space", SPACES, ids=str)
@pytest.mark.parametrize(
    ("options", "form"),
    [({}, form) for form in FORMS]
    + [({"batch": True}, form) for form in FORMS]
    + [({"include_background": False}, form) for form in ("multi-class", "multi-label")],
    ids=str,
)
def test_the_correlation(options, form, space):
    ours = f"MonaiMCC({', '.join(f'{key}={value}' for key, value in options.items())})"
    compare(ours, lambda said: monai.MCCLoss(**said, **options, smooth_dr=0.0), form, *draw(form, space))


@settings(max_examples=60, deadline=None)
@given(
    space=st.lists(st.integers(2, 5), min_size=1, max_size=3).map(tuple),
    form=st.sampled_from(list(FORMS)),
    size=st.floats(0.01, 5),
    seed=st.integers(0, 10**6),
)
def test_the_correlation_of_images_of_any_size(space, form, size, seed):
    """With yes and no in every channel, or MONAI divides by nothing."""
    logits, target = draw(form, space, seed, images=2)
    ones = target.flatten(2) if form != "multi-class" else F.one_hot(target, 4).movedim(-1, 1).flatten(2)
    if bool(((ones.sum(2) == 0) | (ones.sum(2) == ones.shape[2])).any()):
        return
    compare("MonaiMCC()", lambda said: monai.MCCLoss(**said, smooth_dr=0.0), form, size * logits, target)


@pytest.mark.parametrize("p", [1e-6, 1e-2, 0.5])
def test_background_is_wholly_wrong_whatever_is_found_and_teaches_nothing(p):
    """As recorded: 0 at p = 0, and 1 elsewhere, with slopes of 0. The correlation with smooth has them."""
    logits, nothing = torch.full((1, 1, 8, 8), p, dtype=torch.float64).logit(), torch.zeros(1, 1, 8, 8)
    for loss in (parse("MonaiMCC()"), monai.MCCLoss(sigmoid=True)):
        leaf = logits.clone().requires_grad_()
        value = loss(leaf, nothing)
        assert value.item() == 1
        assert (torch.autograd.grad(value, leaf)[0] == 0).all()
        assert loss(torch.full_like(logits, -1e4), nothing) == 0
    leaf = logits.clone().requires_grad_()
    assert (torch.autograd.grad(parse("MCC()")(leaf, nothing), leaf)[0] > 0).all()


@pytest.mark.parametrize("space", SPACES, ids=str)
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("smooth", [1e-5, 1.0])
def test_dice_with_squares(smooth, form, space):
    ours = f"SquaredDice(smooth={smooth / 2})"
    options = {"squared_pred": True, "smooth_nr": smooth, "smooth_dr": smooth}
    single = form == "multi-class"  # the norms of its one-hot are
    compare(ours, lambda said: monai.DiceLoss(**said, **options), form, *draw(form, space), single=single)


def test_the_squares_of_a_volume_do_not_cancel():
    """256^3 voxels, background p = 1e-4, a lesion of 30 at p = 0.02: MONAI 0.0452 where 0.0398 is right."""
    logits = torch.full((1, 1, 256, 256, 256), 1e-4).logit()
    target = torch.zeros_like(logits)
    logits[0, 0, 0, 0, :30], target[0, 0, 0, 0, :30] = torch.tensor(0.02).logit(), 1
    exact = 2 * 30 * 0.02 / ((256**3 - 30) * 1e-8 + 30 * 0.02**2 + 30)
    assert exact == pytest.approx(0.0398, abs=5e-5)
    assert 1 - parse("SquaredDice(smooth=0.0)")(logits, target).item() == pytest.approx(exact, abs=2e-6)
    assert abs(1 - monai.DiceLoss(sigmoid=True, squared_pred=True)(logits, target).item() - exact) > 1e-3


@pytest.mark.parametrize("space", SPACES, ids=str)
def test_dice_with_a_softmax_and_focal_with_a_sigmoid_is_a_sum(space):
    """`DiceFocalLoss(softmax=True)`: each part says which question it asks, and the target is one-hot."""
    logits, index = draw("multi-class", space)
    hot = F.one_hot(index, 4).movedim(-1, 1).double()
    ours, peer = parse("MonaiDice(classes='exclusive') + MonaiFocal()"), monai.DiceFocalLoss(softmax=True)
    same(lambda u: ours(u, hot), lambda u: peer(u, hot), logits, single=True)


@pytest.mark.parametrize("space", SPACES, ids=str)
@pytest.mark.parametrize("absent", [False, True], ids=["all present", "one absent"])
@pytest.mark.parametrize("mode", ["default", "GDL"])
def test_wasserstein_dice_in_both_weightings(mode, absent, space):
    """MONAI's alpha is in single precision. In GDL its smooth stands beside inverse volumes, and is left out."""
    logits, index = draw("multi-class", space)
    index[0] = torch.where((index[0] == 2) & absent, 0, index[0])
    smooth = {} if mode == "default" else {"smooth_nr": 0.0, "smooth_dr": 0.0}
    peer = monai.GeneralizedWassersteinDiceLoss(DISTANCES.clone(), weighting_mode=mode, **smooth)
    ours = parse(f"MonaiWassersteinDice(dist_matrix={DISTANCES.tolist()!r}, weighting_mode={mode!r})")
    same(lambda u: ours(u, index), lambda u: peer(u, index.unsqueeze(1)), logits, single=True)


@pytest.mark.parametrize("smooth", [1e-5, 1.0])
def test_its_smooth_is_half_of_ours_and_background_alone_costs_as_much(smooth):
    logits, index = draw("multi-class", (6, 5))
    index[0] = 0
    peer = monai.GeneralizedWassersteinDiceLoss(DISTANCES.clone(), smooth_nr=smooth, smooth_dr=smooth)
    ours = parse(f"MonaiWassersteinDice(dist_matrix={DISTANCES.tolist()!r}, smooth={smooth})")
    same(lambda u: ours(u, index), lambda u: peer(u, index.unsqueeze(1)), logits, single=True)
    assert ours.range == (0.0, 1.0)


@pytest.mark.parametrize("space", SPACES, ids=str)
@pytest.mark.parametrize(
    "options", [{}, {"weight": 0.3, "gamma": 0.25, "delta": 0.6}, {"weight": 0.0}, {"weight": 1.0}], ids=str
)
def test_the_unified_focal_loss_of_probabilities(options, space):
    logits, index, _ = batch((3, 2, *space), "index")
    peer = monai.AsymmetricUnifiedFocalLoss(to_onehot_y=True, **options)
    ours = parse(f"MonaiUnifiedFocal({', '.join(f'{key}={value}' for key, value in options.items())})")
    same(lambda u: ours(u, index), lambda u: peer(u.softmax(1), index.unsqueeze(1)), logits)


def test_its_unified_focal_loss_has_no_gradient_at_logits_as_it_asks_for_them():
    """It clamps what it takes for probabilities to 1e-7 and 1 - 1e-7."""
    index = torch.arange(16).reshape(1, 4, 4) % 2
    logits = (8.0 * (F.one_hot(index, 2).movedim(-1, 1) - 0.5)).double()
    slopes = []
    for loss in (
        monai.AsymmetricUnifiedFocalLoss(to_onehot_y=True),
        lambda u, y: parse("MonaiUnifiedFocal()")(u, y[:, 0]),
    ):
        leaf = logits.clone().requires_grad_()
        slopes.append(torch.autograd.grad(loss(leaf, index.unsqueeze(1)), leaf)[0].abs().sum().item())
    assert slopes[0] == 0
    assert slopes[1] > 1e-3
