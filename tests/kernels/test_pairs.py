"""Embedding losses in blocks of cases are those of the whole matrix, in memory that grows with the cases alone."""

from contextlib import nullcontext
from math import exp, log, sqrt

import pytest
import torch
import torch.nn.functional as F
from pytorch_metric_learning import losses as pml
from torch.autograd import forward_ad
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from whichloss import parse, plain
from whichloss.core import EmbeddingLoss, UserError, prepare
from whichloss.core.lifts.averaged import Averaged
from whichloss.core.question import Batch
from whichloss.kernels import pairs

LINEAR = [
    "SupervisedContrastive()",
    "NTXent(temperature=0.5)",
    "MultiSimilarity()",
    "ContrastivePair()",
    "Triplet()",
]
CUBIC = ["Triplet(mining='all')", "Triplet(mining='violating')"]
LOSSES = LINEAR + CUBIC
SMOOTH = LINEAR[:3]  # those that see similarities have a second derivative, those of distances none


@pytest.fixture
def made(monkeypatch):
    """What went through blocks, a list that grows: all embedding losses, in blocks of three cases."""
    monkeypatch.setattr(pairs, "CELLS", 0)
    monkeypatch.setattr(pairs, "LEAST", 3)
    return through_blocks(monkeypatch)


def through_blocks(monkeypatch):
    """The blocks are asked, and nothing else. Gives the losses that they took, a list that grows."""
    taken = []

    def asked(batch, needs):
        found = []
        for need in needs:
            embedding = isinstance(need, Averaged) and isinstance(need.loss, EmbeddingLoss)
            value = pairs.averaged(batch, need.loss) if embedding else None
            found.append(value)
            taken.extend([need.loss] if value is not None else [])
        return found

    monkeypatch.setattr(prepare, "_fused", asked)
    return taken


def cases(shape=(11, 4), labels=3, seed=0, kind=torch.float64):
    """Embeddings, their classes, and weights of which a third is 0."""
    draw = torch.Generator().manual_seed(seed)
    embeddings = torch.randn(shape, generator=draw, dtype=torch.float64).to(kind)
    places = (shape[0], *shape[2:])
    weight = torch.rand(places, generator=draw) * (torch.rand(places, generator=draw) > 0.33)
    return embeddings, torch.randint(labels, places, generator=draw), weight


def value_and_gradient(loss, embeddings, target, weight=None, **more):
    leaf = embeddings.detach().clone().requires_grad_()
    value = loss(leaf, target, weight, **more)
    return value.detach(), torch.autograd.grad(value, leaf)[0]


def agree(loss, *problem, **more):
    found = value_and_gradient(loss, *problem, **more)
    with plain():
        expected = value_and_gradient(loss, *problem, **more)
    for one, other in zip(found, expected, strict=True):
        assert one.dtype == other.dtype
        assert torch.allclose(one, other, rtol=1e-12, atol=1e-12), float((one - other).abs().max())
    return found


def normalized(text, normalize):
    return parse(f"{text[:-1]}{'' if text.endswith('()') else ', '}normalize={normalize})")


# the same numbers


@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("text", LOSSES)
def test_whatever_has_a_say(text, normalize, made):
    loss, (embeddings, target, weight) = normalized(text, normalize), cases()
    agree(loss, embeddings, target)
    agree(loss, embeddings, target, weight)
    agree(loss, embeddings, target, weight > 0)
    agree(loss, embeddings, target, weight.unsqueeze(1) * torch.rand(11, 4))
    agree(loss, embeddings, target, ignore_index=1)
    agree(loss, embeddings, target, weight, ignore_index=2)
    agree(loss, embeddings, target.to(torch.uint8))
    agree(loss, embeddings, (target > 0).unsqueeze(1).float())
    assert made == [loss] * 8


@pytest.mark.parametrize("shape", [(2, 3, 7), (2, 3, 3, 3), (1, 3, 2, 2, 4)], ids=str)
@pytest.mark.parametrize("text", LOSSES)
def test_voxels(text, shape, made):
    embeddings, target, weight = cases(shape)
    agree(parse(text), embeddings, target, weight)
    agree(parse(text), embeddings, (target > 0).unsqueeze(1).double(), weight)
    agree(parse(text), embeddings.movedim(1, -1).contiguous().movedim(-1, 1), target)
    assert len(made) == 3


@pytest.mark.parametrize("labels", [[0], [0, 1, 2, 3, 4, 5, 6], [0, 0, 0, 0, 0, 0, 1], [0, 0, 1, 2, 3, 4, 5]], ids=str)
@pytest.mark.parametrize("text", LOSSES)
def test_anchors_that_lack_a_friend_or_a_stranger(text, labels, made):
    target = torch.tensor(labels * (7 // len(labels)))
    for seed in range(3):
        embeddings, _, weight = cases((7, 3), seed=seed)
        agree(parse(text), embeddings, target)
        agree(parse(text), embeddings, target, weight)
    assert len(made) == 6


@pytest.mark.parametrize("text", LOSSES)
def test_points_in_one_place_and_at_the_origin(text, made):
    """Where distances tie, or are 0, and a direction is not defined."""
    embeddings, target, _ = cases((9, 3))
    embeddings[4:7] = embeddings[3]
    embeddings[7] = 0
    for normalize in (True, False):
        agree(normalized(text, normalize), embeddings, target)
        agree(normalized(text, normalize), torch.zeros(9, 3, dtype=torch.float64), target)
    assert len(made) == 4


@pytest.mark.parametrize("text", LOSSES)
def test_batches_of_nothing_and_of_one_and_without_a_say(text, made):
    for count in (0, 1):
        value, gradient = agree(parse(text), torch.randn(count, 3), torch.zeros(count).long())
        assert value == 0 and gradient.shape == (count, 3) and bool((gradient == 0).all())
    embeddings, target, _ = cases()
    value, gradient = agree(parse(text), embeddings, target, torch.zeros(11))
    assert value == 0 and bool((gradient == 0).all())
    assert len(made) == 2  # of none there are no blocks


@pytest.mark.parametrize("text", LOSSES)
def test_what_is_no_number_is_seen_where_it_has_a_say_and_nowhere_else(text, made):
    embeddings, target, _ = cases()
    embeddings[4] = torch.nan
    target[:] = torch.arange(11) % 2
    weight = torch.ones(11)
    with plain():
        seen = normalized(text, False)(embeddings, target, weight).isnan()
    assert bool(seen) == ("violating" not in text)  # no number violates nothing
    assert value_and_gradient(normalized(text, False), embeddings, target, weight)[0].isnan() == seen
    weight[4] = 0
    value, gradient = agree(parse(text), embeddings, target, weight)
    assert bool(value.isfinite()) and bool(gradient.isfinite().all()) and bool((gradient[4] == 0).all())
    target[4] = 7
    assert bool(agree(parse(text), embeddings, target, ignore_index=7)[1].isfinite().all())
    assert len(made) == 3


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("text", LOSSES)
def test_types_of_numbers(text, kind, made):
    embeddings, target, weight = cases((40, 6), kind=kind)
    found = value_and_gradient(parse(text), embeddings, target, weight)
    with plain():
        whole = value_and_gradient(parse(text), embeddings, target, weight)
        exact = value_and_gradient(parse(text), embeddings.double(), target, weight)
    assert [one.dtype for one in found] == [one.dtype for one in whole] == [torch.float32, kind]
    for one, other in zip(found, exact, strict=True):
        lost = 1e-5 if one.dtype == torch.float32 else torch.finfo(kind).eps
        assert float((one - other).abs().max()) <= lost * float(other.abs().max())
    assert len(made) == 1


@pytest.mark.parametrize("text", LOSSES)
def test_under_autocast(text, made):
    embeddings, target, weight = cases((40, 6), kind=torch.float32)
    found = []
    for way in (nullcontext(), plain()):
        leaf = embeddings.clone().requires_grad_()
        with way, torch.autocast("cpu", torch.bfloat16):
            value = parse(text)(leaf, target, weight)
        found.append((value.detach(), torch.autograd.grad(value, leaf)[0]))
    for one, other in zip(*found, strict=True):
        assert one.dtype == other.dtype == torch.float32
        assert torch.allclose(one, other, rtol=1e-5, atol=1e-6)
    assert len(made) == 1


# oracles


def supervised_contrastive(points, target, weight, temperature=0.1):
    """Case by case, in plain Python."""
    units = [[x / sqrt(sum(y * y for y in point)) for x in point] for point in points]
    told, cost = 0.0, 0.0
    for i, anchor in enumerate(units):
        others = [j for j in range(len(units)) if j != i and weight[j] > 0]
        friends = [j for j in others if target[j] == target[i]]
        if not friends or not weight[i]:
            continue
        near = {j: sum(a * b for a, b in zip(anchor, units[j], strict=True)) / temperature for j in others}
        norm = log(sum(exp(one) for one in near.values()))
        surprise = sum(weight[j] * (norm - near[j]) for j in friends) / sum(weight[j] for j in friends)
        told, cost = told + weight[i], cost + weight[i] * surprise
    return cost / told


def test_supervised_contrastive_is_its_loop_over_cases(made):
    embeddings, target, weight = cases((23, 4))
    value, gradient = value_and_gradient(parse("SupervisedContrastive()"), embeddings, target, weight.double())
    listed = target.tolist(), weight.double().tolist()
    assert value.item() == pytest.approx(supervised_contrastive(embeddings.tolist(), *listed), rel=1e-12)
    step = 1e-6
    for case, along in ((0, 0), (7, 2), (22, 3)):
        ends = []
        for sign in (1, -1):
            moved = embeddings.clone()
            moved[case, along] += sign * step
            ends.append(supervised_contrastive(moved.tolist(), *listed))
        assert gradient[case, along].item() == pytest.approx((ends[0] - ends[1]) / (2 * step), rel=1e-6, abs=1e-9)
    assert len(made) == 1


def simclr(embeddings, target):
    """The authors' form, for two views of each image, which lie beside each other."""
    points = F.normalize(embeddings)
    near = (points @ points.T / 0.1).fill_diagonal_(-torch.inf)
    return F.cross_entropy(near, torch.arange(len(near)) ^ 1)


@pytest.mark.parametrize(
    ("ours", "theirs", "of_each"),
    [
        ("SupervisedContrastive()", pml.SupConLoss(temperature=0.1), 10),
        ("MultiSimilarity()", pml.MultiSimilarityLoss(alpha=2, beta=50, base=0.5), 10),
        ("NTXent()", simclr, 2),
    ],
)
def test_at_the_size_from_which_on_it_is_taken(ours, theirs, of_each, monkeypatch):
    taken, (embeddings, _, _) = through_blocks(monkeypatch), cases((900, 16))
    target = torch.arange(900) // of_each
    value, gradient = value_and_gradient(parse(ours), embeddings, target)
    expected, slope = value_and_gradient(lambda x, y, _: theirs(x, y), embeddings, target)
    assert len(taken) == 1
    assert torch.allclose(value, expected, rtol=1e-10)
    assert torch.allclose(gradient, slope, rtol=1e-8, atol=1e-12)


# derivatives


@pytest.mark.parametrize("text", LOSSES)
def test_gradcheck(text, made):
    embeddings, target, weight = cases((8, 3))
    assert torch.autograd.gradcheck(lambda x: parse(text)(x, target, weight), embeddings.requires_grad_())
    assert made


@pytest.mark.parametrize("text", LOSSES)
def test_an_upstream_gradient_and_a_second_look(text, made):
    embeddings, target, _ = cases()
    slope = value_and_gradient(parse(text), embeddings, target)[1]
    value = parse(text)(embeddings.requires_grad_(), target)
    (-3 * value).backward(retain_graph=True)
    value.backward()
    assert torch.allclose(embeddings.grad, -2 * slope, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("text", LOSSES)
def test_a_second_derivative_is_that_of_the_plain_formula_or_there_is_none(text, made):
    embeddings, target, weight = cases()
    embeddings.requires_grad_()

    def second():
        (slope,) = torch.autograd.grad(2 * parse(text)(embeddings, target, weight), embeddings, create_graph=True)
        return slope.detach(), torch.autograd.grad(slope.square().sum(), embeddings)[0]

    if text not in SMOOTH:
        for _ in range(2):
            with pytest.raises(NotImplementedError, match="_cdist_backward"):
                second()
            with plain(), pytest.raises(NotImplementedError, match="_cdist_backward"):
                second()
        return
    with plain():
        expected = second()
    for one, other in zip(second(), expected, strict=True):
        assert torch.allclose(one, other, rtol=1e-11, atol=1e-12)
    assert len(made) == 1


@pytest.mark.parametrize("text", LOSSES)
def test_a_value_alone(text, made):
    embeddings, target, weight = cases()
    with plain():
        expected = parse(text)(embeddings, target, weight)
    value = parse(text)(embeddings, target, weight)
    assert torch.allclose(value, expected, rtol=1e-12) and not value.requires_grad
    with torch.no_grad():
        assert torch.equal(parse(text)(embeddings.requires_grad_(), target, weight), value)
    assert len(made) == 2


class Near(EmbeddingLoss):
    """Counts pairs that are near: a formula without a slope."""

    listed = False

    def needs(self):
        return parse("ContrastivePair()").needs()

    def formula(self, distance, same):
        return (distance < 0.5).to(distance)


def test_a_formula_without_a_slope_has_a_value(made):
    embeddings, target, _ = cases()
    value = Near()(embeddings.requires_grad_(), target)
    with plain():
        assert torch.equal(value, Near()(embeddings, target))
    value.backward()
    assert bool((embeddings.grad == 0).all())
    assert made == [Near()]


@pytest.mark.parametrize("text", LOSSES)
def test_the_same_bits_every_time(text, made):
    problem = cases((60, 8), kind=torch.float32)
    once = value_and_gradient(parse(text), *problem)
    for _ in range(3):
        for one, other in zip(once, value_and_gradient(parse(text), *problem), strict=True):
            assert torch.equal(one, other)


def test_the_parts_of_a_sum(made):
    loss = parse("SupervisedContrastive() + 0.5 * Triplet() + NTXent()")
    agree(loss, *cases())
    assert len(made) == 3


def test_what_asks_for_terms_has_those_of_the_whole_matrix(made):
    loss, problem = parse("TopK(SupervisedContrastive(), fraction=0.5)"), cases()
    with plain():
        expected = loss(*problem)
    assert torch.equal(loss(*problem), expected)
    assert loss.loss.terms(*problem).value.shape == (11,)
    assert not made


def test_errors_are_those_of_the_plain_formula(made):
    embeddings, target, weight = cases()
    for problem, says in (
        ((embeddings, target[:5]), "do not fit"),
        ((embeddings, target.double()), "class indices are integers"),
        ((embeddings.long(), target), "embeddings must be floats"),
        ((embeddings, target, weight - 1), "weights must be 0 or more"),
        ((embeddings, target, weight[:5]), "does not fit"),
    ):
        with pytest.raises(UserError, match=says):
            parse("NTXent()")(*problem)


# memory


class Largest(TorchDispatchMode):
    """The number of bytes of the largest tensor that is made."""

    def __init__(self):
        super().__init__()
        self.bytes = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        made = function(*args, **(kwargs or {}))
        sizes = [one.untyped_storage().nbytes() for one in tree_leaves(made) if isinstance(one, torch.Tensor)]
        self.bytes = max(self.bytes, *sizes, 0)
        return made


def largest(loss, *problem):
    with Largest() as seen:
        value_and_gradient(loss, *problem)
    return seen.bytes


@pytest.mark.parametrize("text", LINEAR)
def test_no_tensor_holds_a_number_for_each_pair(text, monkeypatch):
    taken = through_blocks(monkeypatch)
    count = 2048
    problem = cases((count, 4), labels=99, kind=torch.float32)
    with plain():
        assert largest(parse(text), *problem) >= 4 * count * count
    assert largest(parse(text), *problem) <= count * count / 2  # bytes: an eighth of that
    assert len(taken) == 1


@pytest.mark.parametrize("text", CUBIC)
def test_no_tensor_holds_a_number_for_each_triplet(text, monkeypatch):
    taken = through_blocks(monkeypatch)
    count = 256
    problem = cases((count, 4), labels=3, kind=torch.float32)
    with plain():
        whole = largest(parse(text), *problem)
    assert whole >= 4 * count**2 * count / 5  # bytes: of a third of the cases, some of no weight
    assert largest(parse(text), *problem) <= whole / 8
    assert len(taken) == 1


# what it leaves to the plain formula


@pytest.mark.parametrize("text", LOSSES)
def test_small_batches_and_batches_beyond_all_bounds(text, monkeypatch):
    loss = parse(text)
    few = 60 if text in CUBIC else 700
    assert pairs.averaged(Batch(torch.randn(few, 2), torch.zeros(few).long()), loss) is None
    one = torch.zeros(1)
    many = Batch(one.expand(1 << 19, 2), one.long().expand(1 << 19))
    assert pairs.averaged(many, loss) is None


def test_what_only_formulas_can_do(made):
    embeddings, target, weight = cases()
    loss = parse("NTXent()")

    def value(x):
        return loss(x, target, weight)

    with plain():
        expected, slope = value_and_gradient(loss, embeddings, target, weight)
        change = torch.func.jvp(value, (embeddings,), (embeddings,))[1]
    assert torch.allclose(torch.func.grad(value)(embeddings), slope)
    assert torch.allclose(torch.vmap(value)(embeddings.unsqueeze(0)), expected)
    with forward_ad.dual_level():
        along = forward_ad.unpack_dual(value(forward_ad.make_dual(embeddings, embeddings))).tangent
    assert torch.allclose(along, change)
    learned = weight.clone().requires_grad_()
    loss(embeddings, target, learned).backward()
    assert bool(learned.grad.abs().sum() > 0)
    assert torch.allclose(torch.compile(value, backend="eager")(embeddings), expected)
    assert not made


class Tagged(torch.Tensor):
    """A class of somebody's own."""


def test_tensors_of_other_classes(made):
    embeddings, target, _ = cases()
    value = parse("Triplet()")(embeddings.as_subclass(Tagged), target)
    assert isinstance(value, Tagged) and not made
    parameter = torch.nn.Parameter(embeddings)
    parse("Triplet()")(parameter, target).backward()
    assert len(made) == 1 and parameter.grad is not None


class Own(EmbeddingLoss):
    """Measures in a way of its own."""

    listed = False

    def needs(self):
        return parse("NTXent()").needs()

    def formula(self, log_p):
        return -log_p

    def measure(self, prepared):
        terms = super().measure(prepared)
        return terms._replace(value=terms.value / terms.value.sum())


def test_a_loss_that_measures_in_a_way_of_its_own(made):
    agree(Own(), *cases())
    assert not made


def test_a_loss_called_with_many_cases_is_computed_in_blocks(lifts_made):
    asked, given = lifts_made
    for text in ("SupervisedContrastive()", "NTXent()", "Triplet()"):
        asked.clear(), given.clear()
        parse(text)(torch.randn(2048, 16, requires_grad=True), torch.arange(2048) // 2).backward()
        assert asked == given and len(asked) == 1


@pytest.mark.parametrize("text", CUBIC)
def test_triplets_are_mapped_over(text):
    """How many friends a case has is a matter of labels, which torch.func.vmap leaves alone."""
    many, labels, loss = torch.randn(3, 9, 4, dtype=torch.float64), torch.arange(9) // 3, parse(text)
    mapped = torch.func.vmap(lambda one: loss(one, labels))(many)
    assert torch.allclose(mapped, torch.stack([loss(one, labels) for one in many]), rtol=1e-12)
