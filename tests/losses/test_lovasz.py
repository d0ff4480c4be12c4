"""The Lovasz extension of the Jaccard loss: what it is, what weights mean, and what happens at ties."""

from itertools import pairwise, permutations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from oracles_losses import agree, batch, same
from oracles_regions import lovasz_hinge, lovasz_softmax, of_regions
from whichloss import Jaccard, LovaszHinge, LovaszSoftmax, parse
from whichloss.core import FieldError
from whichloss.core.lifts.lovasz import rises


def slope(loss, logits, target, weight=None):
    leaf = logits.clone().requires_grad_()
    return torch.autograd.grad(loss(leaf, target, weight), leaf)[0]


# every field, in every form

FIELDS = [
    {"over": "image", "empty": "formula"},
    {"over": "image", "empty": "skip"},
    {"over": "batch", "empty": "formula"},
    {"over": "batch", "empty": "skip", "smooth": 2.5},
]


@pytest.mark.parametrize("form", ["index", "proportions", "yes/no", "bytes"])
@pytest.mark.parametrize("weight", ["none", "element", "element and channel"])
@pytest.mark.parametrize("fields", FIELDS, ids=str)
@pytest.mark.parametrize(
    ("cls", "formula"), [(LovaszSoftmax, lovasz_softmax), (LovaszHinge, lovasz_hinge)], ids=["softmax", "hinge"]
)
def test_it_is_the_extension_of_the_set_function(cls, formula, fields, weight, form):
    """A soft label in its proportion, an element by its weight; an image in which a class is nowhere."""
    logits, target, w = batch((2, 3, 5), "yes/no" if form == "bytes" else form, weight, classes=2)
    if form == "bytes":
        target = target.round().to(torch.uint8)
    exclusive = form in ("index", "proportions")
    oracle = of_regions(
        formula,
        exclusive=exclusive,
        over=fields["over"],
        smooth=fields.get("smooth", 0.0),
        scores=cls is LovaszHinge,
        absent=fields["empty"],
    )
    asked = {"index": "auto", "proportions": "exclusive"}.get(form, "independent")
    agree(cls(classes=asked, **fields), oracle, logits, target, w)


def choquet(error, weight, there, smooth=0.0):
    """Another way to define it: the integral of the set function over the sets of what is more wrong than t."""
    steps = sorted({0.0, *error})
    value = 0.0
    for low, high in pairwise(steps):
        wrong = [e > low for e in error]
        union = smooth + sum(w for w, y, m in zip(weight, there, wrong, strict=True) if y or m)
        value += (high - low) * (sum(w for w, m in zip(weight, wrong, strict=True) if m) / union if union else 0.0)
    return value


@settings(max_examples=200, deadline=None)
@given(
    cases=st.lists(
        st.tuples(
            st.sampled_from([0.0, 0.25, 0.5, 1.0]) | st.floats(0, 3),  # of which many are equal
            st.sampled_from([0.0, 1.0, 2.0]) | st.floats(1e-3, 10),
            st.booleans(),
        ),
        min_size=1,
        max_size=12,
    ),
    smooth=st.sampled_from([0.0, 1.0]),
)
def test_it_is_an_integral_whatever_the_ties(cases, smooth):
    error, weight, there = (list(one) for one in zip(*cases, strict=True))
    e, w, y = (torch.tensor(one, dtype=torch.float64) for one in (error, weight, there))
    found = (e * rises(e, w * y, w * (1 - y), smooth)).sum()
    assert found.item() == pytest.approx(choquet(error, weight, there, smooth), rel=1e-12, abs=1e-12)


@pytest.mark.parametrize("fields", ["", "over='image'", "over='image', empty='formula', smooth=1.0"])
def test_certain_answers_cost_what_they_do_in_jaccard(fields):
    torch.manual_seed(0)
    target, answer = torch.randint(3, (2, 2, 30))
    logits = 1e4 * F.one_hot(answer, 3).movedim(-1, 1).double()
    loss = parse(f"LovaszSoftmax({fields})")
    jaccard = Jaccard(over=loss.over, smooth=loss.smooth, empty=loss.empty)
    assert loss(logits, target).item() == pytest.approx(jaccard(logits, target).item())
    assert loss(1e4 * F.one_hot(target, 3).movedim(-1, 1).double(), target) == 0


def test_the_hinge_by_hand():
    # errors 2, 1.5 and 0.5 of no, yes and yes: the union is 2 + 1 with the first, then stays
    logits = torch.tensor([[[1.0, -0.5, 0.5]]], dtype=torch.float64)
    target = torch.tensor([[[0.0, 1.0, 1.0]]], dtype=torch.float64)
    assert LovaszHinge()(logits, target).item() == pytest.approx(2 * 1 / 3 + 1.5 * 1 / 3 + 0.5 * 1 / 3)


@pytest.mark.parametrize("text", ["LovaszHinge()", "LovaszHinge(over='batch')"])
def test_the_hinge_is_convex_in_the_scores(text):
    torch.manual_seed(0)
    target = torch.randint(2, (3, 1, 12)).double()
    for _ in range(50):
        one, other = 3 * torch.randn(2, 3, 1, 12, dtype=torch.float64)
        middle = parse(text)((one + other) / 2, target)
        assert middle <= (parse(text)(one, target) + parse(text)(other, target)) / 2 + 1e-12


# weights


@pytest.mark.parametrize("text", ["LovaszHinge()", "LovaszSoftmax()", "LovaszSoftmax(over='image', smooth=1.0)"])
def test_a_weight_of_two_is_an_element_twice(text):
    logits, target, _ = batch((2, 3, 6), "index")
    weight = torch.tensor([[1.0, 2, 0, 3, 1, 1], [2.0, 0, 1, 1, 1, 2]], dtype=torch.float64)
    weight[1, 1:] = weight[0, 1:]  # one shape after repetition
    weight[:, 0] = 1
    twice = weight[0].long()
    repeated = logits.repeat_interleave(twice, 2), target.repeat_interleave(twice, 1)
    loss = parse(text)
    assert loss(logits, target, weight).item() == pytest.approx(loss(*repeated).item(), rel=1e-12)
    each = slope(loss, *repeated)
    ends = twice.cumsum(0).tolist()
    pooled = torch.stack([each[..., a:b].sum(-1) for a, b in zip([0, *ends], ends, strict=False)], -1)
    torch.testing.assert_close(slope(loss, logits, target, weight), pooled)  # the weight is shared out


# ties


@pytest.mark.parametrize("text", ["LovaszHinge()", "LovaszSoftmax()", "LovaszSoftmax(over='image', empty='formula')"])
def test_a_network_that_says_the_same_everywhere_teaches_the_same_whatever_the_order_of_elements(text):
    """A constant output, as at the beginning of training: a sort would favour what happens to come first."""
    torch.manual_seed(0)
    logits = torch.tensor([0.3, -0.2, 0.1], dtype=torch.float64).reshape(1, 3, 1).expand(2, 3, 20).clone()
    target, order = torch.randint(3, (2, 20)), torch.randperm(20)
    loss = parse(text)
    one = slope(loss, logits, target)
    torch.testing.assert_close(slope(loss, logits[..., order], target[..., order]), one[..., order])
    for k in range(3):
        same_class = one[0].T[target[0] == k]
        torch.testing.assert_close(same_class, same_class[:1].expand_as(same_class))


@pytest.mark.parametrize("there", [(1, 0, 0, 1), (0, 0, 0, 0), (1, 1, 1, 1), (0, 1, 1, 0)])
def test_at_a_tie_the_slope_is_a_mean_of_slopes_on_its_sides(there):
    """So it is a subgradient: the value lies on or above the plane with this slope, in every direction."""
    y = torch.tensor(there, dtype=torch.float64)
    tied = torch.tensor([0.7, 0.4, 0.4, 0.4], dtype=torch.float64)
    weight = torch.tensor([1.0, 2.0, 0.5, 1.0], dtype=torch.float64)
    g = rises(tied, weight * y, weight * (1 - y), 0.0)
    sides = []
    for order in permutations(range(1, 4)):
        nudge = torch.zeros(4, dtype=torch.float64)
        nudge[list(order)] = torch.tensor([2e-6, 1e-6, 0.0], dtype=torch.float64)
        sides.append(rises(tied + nudge, weight * y, weight * (1 - y), 0.0))
    for _ in range(100):
        way = torch.randn(4, dtype=torch.float64)
        assert (g * way).sum() <= max((side * way).sum() for side in sides) + 1e-12
    assert g.sum() == pytest.approx(1.0)


# precision


def test_rises_keep_their_digits_in_a_volume():
    """Differences of Jaccard losses that are nearly 1 have the rounding error of 1: here all of what is left."""
    random = torch.Generator().manual_seed(0)
    error = torch.rand(1, 1, 1 << 20, generator=random)
    there = (torch.rand(error.shape, generator=random) < 1e-5).float()
    found, exact = (rises(x, there.to(x), 1 - there.to(x), 0.0) for x in (error, error.double()))
    torch.testing.assert_close(found.double(), exact, rtol=1e-5, atol=0)
    order = error.flatten().argsort(descending=True)
    by_difference, ranked = smp_rise(there.flatten()[order]), exact.flatten()[order]
    assert ((by_difference - ranked).abs() > 0.5 * ranked).float().mean() > 0.1  # the other way does fail here


@pytest.mark.parametrize("text", ["LovaszHinge()", "LovaszSoftmax()"])
def test_half_precision_sums_do_not_overflow(text):
    logits = torch.full((1, 1, 512, 512), 2.2, dtype=torch.float16)
    target = torch.ones_like(logits)
    value = parse(text)(logits, target)
    assert value.item() == pytest.approx(parse(text)(logits.double(), target.double()).item(), rel=1e-5)


# other libraries


def smp_rise(there):
    """Their steps, in the order of falling errors, of whoever is of the class."""
    left = there.sum() - there.cumsum(0)
    union = there.sum() + (1 - there).cumsum(0)
    return (1 - left / union).diff(prepend=torch.zeros_like(union[:1]))


def smp_softmax(u, index, ignore=None):
    p, y = u.softmax(1).movedim(1, -1).flatten(0, -2), index.flatten()
    p, y = (p, y) if ignore is None else (p[y != ignore], y[y != ignore])
    values = []
    for c in y.unique():
        there = (y == c).to(p)
        errors, order = (there - p[:, c]).abs().sort(descending=True)
        values.append(errors @ smp_rise(there[order]))
    return torch.stack(values).mean() if values else 0 * p.sum()


def smp_hinge(u, yes):
    errors, order = (1 - u.flatten() * (2 * yes.flatten() - 1)).sort(descending=True)
    return errors.clamp_min(0) @ smp_rise(yes.flatten()[order])


@pytest.mark.parametrize("shape", [(7, 4), (3, 4, 6, 5), (2, 4, 3, 4, 3)], ids=str)
@pytest.mark.parametrize("classes", [4, 2], ids=["all present", "two absent"])
@pytest.mark.parametrize("text", ["SmpLovasz()", "ToolbeltLovasz()"])
def test_smp_and_toolbelt_take_the_batch_and_the_classes_present(text, classes, shape):
    logits, index, _ = batch(shape, "index", classes=classes)
    loss = parse(text)
    same(lambda u: loss(u, index), lambda u: smp_softmax(u, index), logits)
    marked = index.clone()
    marked.flatten()[::3] = 255
    same(lambda u: loss(u, marked, ignore_index=255), lambda u: smp_softmax(u, marked, 255), logits)


@pytest.mark.parametrize("shape", [(7, 1), (3, 1, 6, 5), (2, 1, 3, 4, 3)], ids=str)
def test_smp_s_binary_loss_is_the_hinge_over_the_batch_or_the_image(shape):
    logits, yes, _ = batch(shape, "yes/no")
    yes = yes.round()
    same(lambda u: parse("SmpBinaryLovasz()")(u, yes), lambda u: smp_hinge(u, yes), logits)
    each = parse("SmpBinaryLovasz(per_image=True)")
    by_image = range(shape[0])
    same(lambda u: each(u, yes), lambda u: torch.stack([smp_hinge(u[n], yes[n]) for n in by_image]).mean(), logits)


@pytest.mark.parametrize("classes", [4, 2], ids=["all present", "two absent"])
def test_kornia_takes_an_image_and_all_classes(classes):
    """Since it sorts who is of the class; its hinge is that of one output, per image."""

    def theirs(u):
        values = []
        for p, y in zip(u.softmax(1).flatten(2), F.one_hot(index.flatten(1), 4).movedim(-1, 1).to(u), strict=True):
            ranked = [(y[c] - p[c]).abs().sort(descending=True) for c in range(4)]
            values += [errors @ smp_rise(y[c][order]) for c, (errors, order) in enumerate(ranked)]
        return torch.stack(values).mean()

    logits, index, _ = batch((3, 4, 6, 5), "index", classes=classes)
    same(lambda u: LovaszSoftmax(over="image", empty="formula")(u, index), theirs, logits)
    yes = (index == 1).double().unsqueeze(1)
    by_image = range(3)
    same(
        lambda u: LovaszHinge()(u, yes),
        lambda u: torch.stack([smp_hinge(u[n], yes[n]) for n in by_image]).mean(),
        logits[:, :1],
    )


def test_all_ignored_is_zero_as_in_smp():
    logits, index, _ = batch((2, 4, 6), "index")
    assert parse("SmpLovasz()")(logits, torch.full_like(index, 255), ignore_index=255) == 0


def test_an_absent_class_costs_its_largest_probability_where_it_counts():
    logits, index, _ = batch((1, 3, 9), "index", classes=2)
    values = LovaszSoftmax(over="image", empty="formula").terms(logits, index).value[0]
    assert values[2].item() == pytest.approx(logits.softmax(1)[0, 2].max().item())
    assert LovaszSoftmax(over="image").terms(logits, index).weight[0].tolist() == [1.0, 1.0, 0.0]


# the mistakes of users


def test_what_other_processes_hold_is_not_sorted():
    with pytest.raises(FieldError, match=r"LovaszSoftmax: over is 'ranks'; it must be one of 'batch', 'image'"):
        LovaszSoftmax(over="ranks")
    with pytest.raises(ValueError, match="over is 'ranks'"):
        parse("LovaszHinge(over='ranks')")
