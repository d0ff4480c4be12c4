"""MONAI's losses: the same values and gradients, over every form of question in two and three dimensions."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from oracles_losses import same
from whichloss import parse

monai = pytest.importorskip("monai.losses", reason="MONAI is not installed")

SPACES = {"2-D": (6, 5), "3-D": (4, 5, 3)}
CLASSES = 4
SINGLE = {"FocalLoss", "DiceFocalLoss", "GeneralizedDiceLoss", "GeneralizedDiceFocalLoss"}  # they call .float()
FORMS = ("binary", "multi-class", "multi-label")
SIGMOID = ("binary", "multi-label")
SEVERAL = ("multi-class", "multi-label")

# ours, MONAI's, its options, and the forms in which the two mean the same
TABLE = [
    ("MonaiDice()", "DiceLoss", {}, FORMS),
    ("MonaiDice(batch=True)", "DiceLoss", {"batch": True}, FORMS),
    ("MonaiDice(include_background=False)", "DiceLoss", {"include_background": False}, SEVERAL),
    ("MonaiDice(smooth=1.0)", "DiceLoss", {"smooth_nr": 1.0, "smooth_dr": 1.0}, FORMS),
    ("MonaiDice(jaccard=True)", "DiceLoss", {"jaccard": True}, FORMS),
    ("MonaiDice(jaccard=True, batch=True)", "DiceLoss", {"jaccard": True, "batch": True}, FORMS),
    ("Jaccard(smooth=0.5)", "DiceLoss", {"jaccard": True, "smooth_nr": 1.0, "smooth_dr": 1.0}, FORMS),
    ("MonaiTversky()", "TverskyLoss", {}, FORMS),
    ("MonaiTversky(alpha=0.3, beta=0.7)", "TverskyLoss", {"alpha": 0.3, "beta": 0.7}, FORMS),
    ("MonaiTversky(alpha=2.0, beta=0.1, batch=True)", "TverskyLoss", {"alpha": 2.0, "beta": 0.1, "batch": True}, FORMS),
    ("MonaiTversky(include_background=False)", "TverskyLoss", {"include_background": False}, SEVERAL),
    ("MonaiDiceCE()", "DiceCELoss", {}, ("binary", "multi-class")),
    (
        "MonaiDiceCE(lambda_dice=0.7, lambda_ce=1.3, batch=True)",
        "DiceCELoss",
        {"lambda_dice": 0.7, "lambda_ce": 1.3, "batch": True},
        ("binary", "multi-class"),
    ),
    ("MonaiDiceCE(include_background=False)", "DiceCELoss", {"include_background": False}, ("multi-class",)),
    ("MonaiFocal()", "FocalLoss", {}, SIGMOID),
    ("MonaiFocal(gamma=0.5, alpha=0.25)", "FocalLoss", {"gamma": 0.5, "alpha": 0.25}, SIGMOID),
    ("MonaiSoftmaxFocal(num_classes=4)", "FocalLoss", {}, ("multi-class",)),
    ("MonaiSoftmaxFocal(num_classes=4, gamma=1.5)", "FocalLoss", {"gamma": 1.5}, ("multi-class",)),
    ("MonaiDiceFocal()", "DiceFocalLoss", {}, SIGMOID),
    (
        "MonaiDiceFocal(gamma=3.0, alpha=0.25, lambda_dice=0.5, lambda_focal=2.0, batch=True)",
        "DiceFocalLoss",
        {"gamma": 3.0, "alpha": 0.25, "lambda_dice": 0.5, "lambda_focal": 2.0, "batch": True},
        SIGMOID,
    ),
    *(
        (
            f"MonaiGeneralizedDice(w_type={w_type!r}, batch={batch})",
            "GeneralizedDiceLoss",
            {"w_type": w_type, "batch": batch, "smooth_nr": 0.0, "smooth_dr": 0.0},
            FORMS,
        )
        for w_type in ("square", "simple", "uniform")
        for batch in (False, True)
    ),
    (
        "MonaiGeneralizedDice(include_background=False)",
        "GeneralizedDiceLoss",
        {"include_background": False, "smooth_nr": 0.0, "smooth_dr": 0.0},
        SEVERAL,
    ),
    (
        "GeneralizedDice(weighting='uniform', smooth=0.5)",
        "GeneralizedDiceLoss",
        {"w_type": "uniform", "smooth_nr": 1.0, "smooth_dr": 1.0},
        FORMS,
    ),
    (
        "0.5 * MonaiGeneralizedDice() + 2.0 * MonaiFocal()",
        "GeneralizedDiceFocalLoss",
        {"lambda_gdl": 0.5, "lambda_focal": 2.0, "smooth_nr": 0.0, "smooth_dr": 0.0},
        SIGMOID,
    ),
]
MATRIX = [
    pytest.param(ours, theirs, options, form, id=f"{ours}-{form}")
    for ours, theirs, options, forms in TABLE
    for form in forms
]


def draw(form: str, space: tuple[int, ...], seed: int = 0, images: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    random = torch.Generator().manual_seed(seed)
    shape = (images, 1 if form == "binary" else CLASSES, *space)
    logits = 2 * torch.randn(shape, generator=random, dtype=torch.float64)
    if form == "multi-class":
        return logits, torch.randint(CLASSES, (images, *space), generator=random)
    return logits, torch.randint(2, shape, generator=random).double()


def without_a_class_in_the_first_image(form: str, target: torch.Tensor) -> torch.Tensor:
    target = target.clone()
    if form == "multi-class":
        target[0][target[0] == CLASSES - 1] = 0
    else:
        target[0, -1] = 0
    return target


def undefined(_: str, theirs: str, options: dict, form: str) -> bool:
    """Whether MONAI has NaN for an image without foreground: 0 / 0, as no class has a weight."""
    weighed = theirs.startswith("Generalized") and options.get("w_type") != "uniform"
    return weighed and form == "binary" and options["smooth_nr"] == 0 and not options.get("batch")


def compare(ours: str, theirs: str, options: dict, form: str, logits: torch.Tensor, target: torch.Tensor) -> None:
    loss = parse(ours)
    if form == "multi-label":
        loss = loss.asking("independent")
    softmax, sigmoid = ("use_softmax", None) if theirs == "FocalLoss" else ("softmax", "sigmoid")
    activation = {softmax: True, "to_onehot_y": True} if form == "multi-class" else {sigmoid: True} if sigmoid else {}
    peer = getattr(monai, theirs)(**activation, **options)
    as_theirs = target.unsqueeze(1) if form == "multi-class" else target
    same(lambda u: loss(u, target), lambda u: peer(u, as_theirs), logits, single=theirs in SINGLE)


@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize(("ours", "theirs", "options", "form"), MATRIX)
def test_same_as_monai(ours: str, theirs: str, options: dict, form: str, space: str):
    logits, target = draw(form, SPACES[space])
    compare(ours, theirs, options, form, logits, target)


@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize(
    ("ours", "theirs", "options", "form"), [case for case in MATRIX if not undefined(*case.values)]
)
def test_same_as_monai_where_a_class_is_absent_from_an_image(
    ours: str, theirs: str, options: dict, form: str, space: str
):
    logits, target = draw(form, SPACES[space], seed=1)
    compare(ours, theirs, options, form, logits, without_a_class_in_the_first_image(form, target))


@pytest.mark.parametrize("w_type", ["square", "simple"])
def test_where_no_class_is_present_generalised_dice_is_zero_as_with_monai_s_smooth(w_type: str):
    logits = draw("binary", SPACES["2-D"])[0].requires_grad_()
    nothing = torch.zeros_like(logits)
    assert monai.GeneralizedDiceLoss(sigmoid=True, w_type=w_type)(logits, nothing) == 0
    value = parse(f"MonaiGeneralizedDice(w_type={w_type!r})")(logits, nothing)
    assert value == 0
    assert (torch.autograd.grad(value, logits)[0] == 0).all()
    assert monai.GeneralizedDiceLoss(sigmoid=True, smooth_nr=0, smooth_dr=0)(logits, nothing).isnan()


@settings(max_examples=60, deadline=None)
@given(
    space=st.lists(st.integers(1, 4), min_size=1, max_size=3).map(tuple),
    images=st.integers(1, 3),
    form=st.sampled_from(FORMS),
    size=st.floats(0.01, 10),
    smooth=st.sampled_from([1e-5, 0.1, 1.0]),
    batch=st.booleans(),
    alpha=st.floats(0.05, 3),
    beta=st.floats(0.05, 3),
    seed=st.integers(0, 10**6),
)
def test_overlaps_are_monai_s_on_images_of_any_size(space, images, form, size, smooth, batch, alpha, beta, seed):
    logits, target = draw(form, space, seed, images)  # small images, so that classes are often absent
    said = {"smooth_nr": smooth, "smooth_dr": smooth, "batch": batch}
    ours = f"smooth={smooth}, batch={batch}"
    compare(f"MonaiDice({ours})", "DiceLoss", said, form, size * logits, target)
    compare(f"MonaiDice({ours}, jaccard=True)", "DiceLoss", {**said, "jaccard": True}, form, size * logits, target)
    prices = {"alpha": alpha, "beta": beta}
    tversky = f"MonaiTversky({ours}, alpha={alpha}, beta={beta})"
    compare(tversky, "TverskyLoss", {**said, **prices}, form, size * logits, target)


@settings(max_examples=60, deadline=None)
@given(
    space=st.lists(st.integers(1, 4), max_size=3).map(tuple),
    size=st.floats(0.01, 10),
    gamma=st.floats(0, 5),
    alpha=st.none() | st.floats(0, 1),
    seed=st.integers(0, 10**6),
)
def test_focal_terms_are_monai_s_in_double_precision(space, size, gamma, alpha, seed):
    """Its class works in single precision; the functions that it calls do not."""
    functions = pytest.importorskip("monai.losses.focal_loss")
    logits, yes = draw("multi-label", space, seed)
    ours = parse(f"MonaiFocal(gamma={gamma}, alpha={alpha})")
    same(lambda u: ours(u, yes), lambda u: functions.sigmoid_focal_loss(u, yes, gamma, alpha).mean(), size * logits)
    logits, index = draw("multi-class", space, seed)
    hot = F.one_hot(index, CLASSES).movedim(-1, 1).double()
    softmax = parse(f"MonaiSoftmaxFocal(gamma={gamma}, num_classes={CLASSES})")
    logits = (size * logits).clamp(-5, 5)  # beyond, its 1 - p cancels, and its slope may be NaN
    same(lambda u: softmax(u, index), lambda u: functions.softmax_focal_loss(u, hot, gamma).mean(), logits)


def test_the_sigmoid_focal_loss_of_classes_that_exclude_each_other():
    """MONAI's default, also with to_onehot_y: a yes/no for each class. An index asks another question."""
    logits, index = draw("multi-class", SPACES["2-D"])
    hot = F.one_hot(index, CLASSES).movedim(-1, 1).double()
    ours, theirs = parse("MonaiFocal()"), monai.FocalLoss(to_onehot_y=True)
    same(lambda u: ours(u, hot), lambda u: theirs(u, index.unsqueeze(1)), logits, single=True)
    with pytest.raises(ValueError, match="do not fit"):
        ours(logits, index)


def test_monai_weighs_classes_without_dividing_by_the_weights():
    logits, target = draw("multi-class", SPACES["2-D"])
    prices = [1.0, 2.0, 5.0, 0.5]
    theirs = monai.DiceLoss(softmax=True, to_onehot_y=True, weight=prices, smooth_nr=2.0, smooth_dr=2.0)
    ours = parse(f"Dice(class_weight={prices})")
    same(lambda u: ours(u, target) * sum(prices) / 4, lambda u: theirs(u, target.unsqueeze(1)), logits)


def test_monai_s_focal_loss_with_an_ignore_index_that_occurs_nowhere_is_too_large_by_the_number_of_classes():
    logits, target = draw("multi-class", SPACES["2-D"])
    hot = F.one_hot(target, CLASSES).movedim(-1, 1).double()
    theirs = monai.FocalLoss(to_onehot_y=True, ignore_index=255)(logits, target.unsqueeze(1))
    assert theirs.item() == pytest.approx(CLASSES * parse("MonaiFocal()")(logits, hot).item(), rel=1e-6)


def test_monai_s_masked_loss_scores_a_perfect_prediction_as_if_half_of_the_rest_were_found():
    """It multiplies logits by the mask, and sigmoid(0) is 0.5; a weight map is multiplied after the sigmoid."""
    target = torch.zeros(1, 1, 8, 8)
    target[..., :2, :2] = 1
    logits, mask = torch.where(target > 0, 20.0, -20.0), torch.zeros_like(target)
    mask[..., :4, :4] = 1
    leaking = monai.MaskedLoss(monai.DiceLoss, sigmoid=True)(logits, target, mask)
    assert leaking > 0.5
    assert parse("MonaiDice()")(logits, target, mask) < 1e-6
