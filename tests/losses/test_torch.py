"""torch.nn's losses: the same values and gradients, for cases, images and volumes."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from oracles_losses import batch, same
from whichloss import TorchMultiMargin, parse

SHAPES = {"cases": (7, 4), "2-D": (3, 4, 6, 5), "3-D": (2, 4, 3, 4, 2)}
PRICES = torch.tensor([1.0, 2.0, 5.0, 0.5], dtype=torch.float64)


def draw(form: str, space: str, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits and a target: "index", "proportions", "yes/no" in proportions, "hard" yes/no, "binary" in one channel."""
    shape = SHAPES[space]
    if form == "binary":
        shape = (shape[0], 1, *shape[2:])
    logits, target, _ = batch(shape, "yes/no" if form in ("hard", "binary") else form, seed=seed)
    return logits, target.round() if form in ("hard", "binary") else target


# ours, torch.nn's, and the forms of target in which the two mean the same
PLAIN = [
    ("CrossEntropy()", nn.CrossEntropyLoss(), ("index", "proportions")),
    ("CrossEntropy()", nn.BCEWithLogitsLoss(), ("yes/no", "hard", "binary")),
    ("CrossEntropy()", nn.MultiLabelSoftMarginLoss(), ("hard", "binary")),
    ("Logistic()", nn.BCEWithLogitsLoss(), ("yes/no", "hard", "binary")),
    ("Focal(gamma=0.0)", nn.CrossEntropyLoss(), ("index", "proportions")),
    ("GeneralizedCrossEntropy(q=0.0)", nn.CrossEntropyLoss(), ("index", "proportions")),
    ("KullbackLeibler()", nn.CrossEntropyLoss(), ("index",)),
    *(
        (f"CrossEntropy(positive_weight={price})", nn.BCEWithLogitsLoss(pos_weight=torch.tensor(price)), forms)
        for price in (0.25, 3.0)
        for forms in [("yes/no", "hard", "binary")]
    ),
]


@pytest.mark.parametrize("space", SHAPES)
@pytest.mark.parametrize(
    ("ours", "theirs", "form"),
    [pytest.param(ours, theirs, form, id=f"{ours}-{theirs}-{form}") for ours, theirs, forms in PLAIN for form in forms],
)
def test_same_as_torch(ours: str, theirs: nn.Module, form: str, space: str):
    logits, target = draw(form, space)
    says = {"index": "auto", "proportions": "exclusive"}
    loss = parse(ours).asking(says.get(form, "independent"))
    if isinstance(theirs, nn.MultiLabelSoftMarginLoss):  # takes the mean over the last axis, so the classes go there
        same(lambda u: loss(u, target), lambda u: theirs(u.movedim(1, -1), target.movedim(1, -1)), logits)
    else:
        same(lambda u: loss(u, target), lambda u: theirs(u, target), logits)


@pytest.mark.parametrize("space", SHAPES)
def test_cross_entropy_with_class_weights_is_a_weight_map(space: str):
    logits, target = draw("index", space)
    by_channel = PRICES.reshape(1, -1, *[1] * (logits.ndim - 2)).expand_as(logits)
    ours, theirs = parse("CrossEntropy()"), nn.CrossEntropyLoss(PRICES)
    same(lambda u: ours(u, target, by_channel), lambda u: theirs(u, target), logits)


@pytest.mark.parametrize("space", SHAPES)
@pytest.mark.parametrize("label", [-100, 2, 255])
def test_cross_entropy_with_ignored_elements_is_the_mean_of_the_others(label: int, space: str):
    logits, target = draw("index", space)
    if label != 2:  # a class may be ignored, too
        target.flatten()[::2] = label
    ours, theirs = parse("CrossEntropy()"), nn.CrossEntropyLoss(ignore_index=label)
    same(lambda u: ours(u, target, ignore_index=label), lambda u: theirs(u, target), logits)


@pytest.mark.parametrize("space", SHAPES)
def test_cross_entropy_with_class_weights_and_ignored_elements(space: str):
    logits, target = draw("index", space, seed=1)
    target.flatten()[::3] = -100
    by_channel = PRICES.reshape(1, -1, *[1] * (logits.ndim - 2)).expand_as(logits)
    ours, theirs = parse("CrossEntropy()"), nn.CrossEntropyLoss(PRICES)
    same(lambda u: ours(u, target, by_channel, ignore_index=-100), lambda u: theirs(u, target), logits)


@pytest.mark.parametrize("space", SHAPES)
@pytest.mark.parametrize("smoothing", [0.1, 0.5, 1.0])
def test_cross_entropy_with_label_smoothing_is_that_of_proportions(smoothing: float, space: str):
    logits, target = draw("index", space)
    smoothed = (1 - smoothing) * F.one_hot(target, 4).movedim(-1, 1).double() + smoothing / 4
    ours, theirs = parse("CrossEntropy(classes='exclusive')"), nn.CrossEntropyLoss(label_smoothing=smoothing)
    same(lambda u: ours(u, smoothed), lambda u: theirs(u, target), logits)


@pytest.mark.parametrize("space", SHAPES)
def test_binary_cross_entropy_with_a_weight_map(space: str):
    """torch divides by the number of elements, and we by their weights."""
    logits, target = draw("yes/no", space)
    weight = torch.rand(logits.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    ours, theirs = parse("CrossEntropy(classes='independent')"), nn.BCEWithLogitsLoss(weight)
    same(lambda u: ours(u, target, weight) * weight.mean(), lambda u: theirs(u, target), logits)


@pytest.mark.parametrize("space", SHAPES)
def test_kullback_leibler_is_per_element(space: str):
    """torch's "batchmean" divides by the number of images, its "mean" by that of voxels and classes."""
    logits, target = draw("proportions", space)
    ours, theirs = parse("KullbackLeibler(classes='exclusive')"), nn.KLDivLoss(reduction="sum")
    elements = target[:, 0].numel()
    same(lambda u: ours(u, target), lambda u: theirs(u.log_softmax(1), target) / elements, logits)


@pytest.mark.parametrize("space", SHAPES)
def test_kullback_leibler_of_cases_is_the_batchmean(space: str):
    logits, target = (x.movedim(1, -1).flatten(0, -2) for x in draw("proportions", space))
    ours, theirs = parse("KullbackLeibler(classes='exclusive')"), nn.KLDivLoss(reduction="batchmean", log_target=True)
    target = target.clamp_min(1e-3)
    target = target / target.sum(1, keepdim=True)
    same(lambda u: ours(u, target), lambda u: theirs(u.log_softmax(1), target.log()), logits)


@pytest.mark.parametrize("space", SHAPES)
@pytest.mark.parametrize(
    ("ours", "theirs"), [("AbsoluteError()", nn.L1Loss()), ("SquaredError()", nn.MSELoss())], ids=str
)
def test_errors_of_quantities(ours: str, theirs: nn.Module, space: str):
    output, target = draw("yes/no", space)
    same(lambda u: parse(ours)(u, target), lambda u: theirs(u, target), output)


@pytest.mark.parametrize("space", SHAPES)
@pytest.mark.parametrize("form", ["hard", "binary"])
def test_soft_margin_is_logistic(form: str, space: str):
    logits, target = draw(form, space)
    ours, theirs = parse("Logistic(classes='independent')"), nn.SoftMarginLoss()
    same(lambda u: ours(u, target), lambda u: theirs(u, 2 * target - 1), logits)


def of_cases(x: torch.Tensor) -> torch.Tensor:
    """Voxels as cases: (N, C, *S) as (N * S, C), which is all that torch's margin losses take."""
    return x.movedim(1, -1).flatten(0, -2)


@pytest.mark.parametrize("space", SHAPES)
@pytest.mark.parametrize(("p", "margin"), [(1, 1.0), (2, 1.0), (1, 0.3), (2, 2.5)])
def test_multi_margin(p: int, margin: float, space: str):
    logits, target = draw("index", space)
    ours, theirs = TorchMultiMargin(p=p, margin=margin), nn.MultiMarginLoss(p=p, margin=margin)
    same(lambda u: ours(u, target), lambda u: theirs(of_cases(u), target.flatten()), logits)


@pytest.mark.parametrize("space", SHAPES)
@pytest.mark.parametrize("name", ["Hinge", "SquaredHinge"])
def test_multi_margin_divides_the_sum_over_rivals_by_the_number_of_classes(name: str, space: str):
    logits, target = draw("index", space)
    theirs = nn.MultiMarginLoss(p=2 if name == "SquaredHinge" else 1)
    for per_class, asked in (("sum", 4), ("mean", 4 / 3)):
        ours = parse(f"{name}(lift='each_rival', per_class={per_class!r})")
        same(lambda u, ours=ours, n=asked: ours(u, target) / n, lambda u: theirs(of_cases(u), target.flatten()), logits)


@settings(max_examples=80, deadline=None)
@given(
    space=st.lists(st.integers(1, 4), max_size=3).map(tuple),
    images=st.integers(1, 3),
    channels=st.integers(2, 5),
    size=st.floats(0.01, 1e3),
    ignored=st.floats(0, 0.9),
    seed=st.integers(0, 10**6),
)
def test_cross_entropies_are_torch_s_on_images_of_any_size(space, images, channels, size, ignored, seed):
    random = torch.Generator().manual_seed(seed)
    logits = size * torch.randn((images, channels, *space), generator=random, dtype=torch.float64)
    target = torch.randint(channels, (images, *space), generator=random)
    target[torch.rand(target.shape, generator=random) < ignored] = -100
    target.flatten()[0] = 0  # torch has NaN where all is ignored
    ours = parse("CrossEntropy()")
    same(lambda u: ours(u, target, ignore_index=-100), lambda u: F.cross_entropy(u, target), logits)
    yes = torch.rand(logits.shape, generator=random, dtype=torch.float64)
    binary = parse("CrossEntropy(classes='independent')")
    same(lambda u: binary(u, yes), lambda u: F.binary_cross_entropy_with_logits(u, yes), logits)
