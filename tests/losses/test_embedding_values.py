"""Losses of pairs, triplets, similarities and ranks, and of probabilities, against loops over cases."""

from math import exp, log, log1p, sqrt

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from oracles_directions import multi_similarity, ntxent
from oracles_losses import agree, asking, batch, elements, log_softmax, same, shares, sigmoid, softmax
from whichloss import ContrastivePair, CrossEntropy, Triplet, parse
from whichloss.core import UserError
from whichloss.core.question import Batch

SUPCON, HARDEST, ALL, VIOLATING, PAIR, NTXENT, MULTI = (
    "SupervisedContrastive()",
    "Triplet()",
    "Triplet(mining='all')",
    "Triplet(mining='violating')",
    "ContrastivePair()",
    "NTXent()",
    "MultiSimilarity()",
)
EMBEDDING = [SUPCON, HARDEST, ALL, VIOLATING, PAIR, NTXENT, MULTI]


# the oracles: plain Python, one case, pair or triplet at a time


def cases(output, target, weight):
    """The points of a batch, those without say left out: (embedding, label, weight) each."""
    found = []
    for x, y, w in zip(output, target, weight, strict=True):
        labels = y[0] if isinstance(y[0], list) else y  # yes or no: one channel
        for v, label in enumerate(labels):
            say = sum(channel[v] for channel in w) / len(w)
            if say > 0:
                found.append(([channel[v] for channel in x], label, say))
    return found


def unit(x):
    length = sqrt(sum(one * one for one in x))
    return [one / length for one in x] if length else x


def distance(a, b):
    return sqrt(sum((p - q) ** 2 for p, q in zip(a, b, strict=True)))


def weighted_mean(pairs):
    """Of (value, weight); 0 where nothing has a say."""
    pairs = list(pairs)
    say = sum(w for _, w in pairs)
    return sum(v * w for v, w in pairs) / say if say else 0.0


def points_loss(compare, normalize=True):
    def oracle(output, target, weight):
        found = cases(output, target, weight)
        return weighted_mean(compare([(unit(x) if normalize else x, y, w) for x, y, w in found]))

    return oracle


def supervised_contrastive(temperature=0.1):
    def compare(found):
        for i, (x, label, w) in enumerate(found):
            others = [one for j, one in enumerate(found) if j != i]
            friends = sum(v for _, y, v in others if y == label)
            if not friends:
                continue
            surprise = log_softmax([sum(p * q for p, q in zip(x, z, strict=True)) / temperature for z, _, _ in others])
            yield -sum(s * v for s, (_, y, v) in zip(surprise, others, strict=True) if y == label) / friends, w

    return compare


def triplets(found, margin):
    """(anchor, value, weight) of every triplet of the batch."""
    for i, (a, label, w) in enumerate(found):
        for j, (p, own, wp) in enumerate(found):
            for n, other, wn in found:
                if j != i and own == label and other != label:
                    yield i, distance(a, p) - distance(a, n) + margin, (w, wp, wn)


def triplet(mining, margin=0.3):
    def compare(found):
        every = list(triplets(found, margin))
        if mining == "hardest":  # the largest gap: the farthest friend, and the nearest of the others
            for i, (_, _, w) in enumerate(found):
                gaps = [gap for anchor, gap, _ in every if anchor == i]
                if gaps:
                    yield max(0.0, max(gaps)), w
            return
        for _, gap, (w, wp, wn) in every:
            if mining == "all" or gap > 0:
                yield max(0.0, gap), w * wp * wn

    return compare


def contrastive_pair(margin=1.0):
    def compare(found):
        for i, (x, label, w) in enumerate(found):
            for z, other, v in found[:i]:
                d = distance(x, z)
                yield 0.5 * (d * d if label == other else max(0.0, margin - d) ** 2), w * v

    return compare


ORACLES = {
    NTXENT: ntxent(),
    "NTXent(temperature=0.5)": ntxent(0.5),
    MULTI: multi_similarity(),
    "MultiSimilarity(alpha=0.5, beta=4, threshold=-0.5)": multi_similarity(0.5, 4.0, -0.5),
    SUPCON: supervised_contrastive(),
    HARDEST: triplet("hardest"),
    ALL: triplet("all"),
    VIOLATING: triplet("violating"),
    PAIR: contrastive_pair(),
    "SupervisedContrastive(temperature=0.5)": supervised_contrastive(0.5),
    "Triplet(margin=1.5)": triplet("hardest", 1.5),
    "Triplet(margin=0.0, mining='all')": triplet("all", 0.0),
    "Triplet(margin=0.05, mining='violating')": triplet("violating", 0.05),
    "ContrastivePair(margin=1.9)": contrastive_pair(1.9),
}


def ranking_loss(formula, *, exclusive=True, probabilities=False):
    """Over every pair of elements of which one has the higher target; the mean over channels that have such pairs."""

    def oracle(logits, target, weight):
        seen = []
        for u, y, w in elements(logits, target, weight):
            if probabilities:
                u = softmax(u) if exclusive else [sigmoid(x) for x in u]
            seen.append((u, shares(y, len(u)), w))
        channels = [
            [(formula(u[k] - v[k]), w[k] * z[k]) for u, y, w in seen for v, x, z in seen if y[k] > x[k]]
            for k in range(len(seen[0][0]))
        ]
        return weighted_mean((weighted_mean(pairs), 1) for pairs in channels if sum(w for _, w in pairs))

    return oracle


def probability_loss(formula, *, exclusive=True):
    def oracle(logits, target, weight):
        return weighted_mean(
            (formula(p - y), w)
            for u, truth, by_channel in elements(logits, target, weight)
            for p, y, w in zip(
                softmax(u) if exclusive else [sigmoid(x) for x in u], shares(truth, len(u)), by_channel, strict=True
            )
        )

    return oracle


def with_normalize(text, normalize):
    return parse(f"{text[:-1]}{'' if text.endswith('()') else ', '}normalize={normalize})")


def clusters(shape, labels, weight="none", seed=0):
    """Embeddings of any shape, labels from a list over and over, and a weight map of which some is 0."""
    embeddings, _, w = batch(shape, "index", weight, seed=seed)
    n, _, *space = shape
    count = n * int(torch.tensor(space).prod()) if space else n
    return embeddings, torch.tensor([labels[i % len(labels)] for i in range(count)]).reshape(n, *space), w


# embeddings


@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("weight", ["none", "element", "element and channel"])
@pytest.mark.parametrize("text", ORACLES)
def test_every_embedding_loss_is_its_loop_over_cases(text, weight, normalize):
    problem = clusters((8, 3), [0, 1, 0, 2, 1], weight)
    agree(with_normalize(text, normalize), points_loss(ORACLES[text], normalize), *problem)


@pytest.mark.parametrize("shape", [(2, 3, 2, 2), (1, 2, 2, 2, 2)], ids=["2-D", "3-D"])
@pytest.mark.parametrize("text", EMBEDDING)
def test_voxels_are_cases_too(text, shape):
    agree(parse(text), points_loss(ORACLES[text]), *clusters(shape, [3, 1, 1], "element"))


LABELS = {
    "some without a friend": [0, 0, 1, 2, 3, 4],
    "all of one class": [7],
    "all of different classes": list(range(100, 106)),
    "one of two classes alone": [0, 0, 0, 0, 0, 1],
    "negative labels": [-5, -1, -1],
}


@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("labels", LABELS.values(), ids=LABELS)
@pytest.mark.parametrize("text", EMBEDDING)
def test_anchors_that_lack_a_friend_or_a_stranger(text, labels, normalize):
    problem = clusters((6, 3), labels, "element")
    agree(with_normalize(text, normalize), points_loss(ORACLES[text], normalize), *problem)


@pytest.mark.parametrize(
    ("text", "cases"),
    [(text, cases) for text in EMBEDDING for cases in ((0, 1) if text == MULTI else (0, 1, 2))],  # to MULTI two are two
)
def test_a_batch_with_nothing_to_compare_is_zero_with_a_graph(text, cases):
    different = torch.tensor([1, 2])[:cases]
    leaf = torch.randn(cases, 4, requires_grad=True)
    value = (ContrastivePair(margin=1e-3) if text == PAIR else parse(text))(leaf, different)
    value.backward()
    assert value.item() == 0
    assert (leaf.grad == 0).all()


@pytest.mark.parametrize("text", EMBEDDING)
def test_a_yes_or_no_is_a_class(text):
    embeddings, index, weight = clusters((2, 3, 4), [0, 1, 1], "element")
    agree(parse(text), points_loss(ORACLES[text]), embeddings, index.unsqueeze(1).double(), weight)
    for target in (index.unsqueeze(1), index.unsqueeze(1).bool(), index.bool(), index.to(torch.uint8)):
        assert torch.equal(parse(text)(embeddings, target, weight), parse(text)(embeddings, index, weight))


@pytest.mark.parametrize("target", ["index", "yes or no"])
@pytest.mark.parametrize("text", EMBEDDING)
def test_an_ignored_case_is_no_case(text, target):
    embeddings, index, _ = clusters((9, 3), [0, 255, 1])
    kept = index != 255
    leaf = torch.where(kept.unsqueeze(1), embeddings, torch.nan).requires_grad_()
    label = index if target == "index" else index.unsqueeze(1)
    value = parse(text)(leaf, label, ignore_index=255)
    value.backward()
    expected = points_loss(ORACLES[text])(
        embeddings[kept].unsqueeze(2).tolist(), index[kept].unsqueeze(1).tolist(), torch.ones(6, 3, 1).tolist()
    )
    assert value.item() == pytest.approx(expected, rel=1e-12)
    assert (leaf.grad[~kept] == 0).all()
    assert leaf.grad.isfinite().all()


@pytest.mark.parametrize("text", [*EMBEDDING, "CrossEntropy()"])
def test_an_ignore_index_below_zero_hits_no_label_of_a_byte(text):
    output = torch.randn(6, 200, dtype=torch.float64)
    target = torch.tensor([156, 156, 1, 1, 2, 2], dtype=torch.uint8)
    assert torch.allclose(
        parse(text)(output, target, ignore_index=-100), parse(text)(output, target), rtol=1e-14, atol=0.0
    )


@pytest.mark.parametrize("text", EMBEDDING)
def test_weights_count_by_their_proportions(text):
    embeddings, target, weight = clusters((8, 3), [0, 1], "element")
    assert parse(text)(embeddings, target, 7 * weight).item() == pytest.approx(
        parse(text)(embeddings, target, weight).item(), rel=1e-12
    )


def test_what_no_embedding_loss_can_read():
    loss, embeddings = parse(SUPCON), torch.zeros(4, 3)
    for target, says in (
        (torch.zeros(3).long(), "do not fit"),
        (torch.zeros(4, 3), "do not fit"),
        (torch.zeros(4), "class indices are integers"),
    ):
        with pytest.raises(UserError, match=says):
            loss(embeddings, target)
    with pytest.raises(UserError, match="embeddings must be floats"):
        loss(torch.zeros(4, 3).long(), torch.zeros(4).long())
    with pytest.raises(UserError, match="weights must be 0 or more"):
        loss(embeddings, torch.zeros(4).long(), -torch.ones(4))
    with pytest.raises(UserError, match="fit a classifier"):
        loss.decide(embeddings)


# what moves nothing

BATCHES = st.tuples(
    st.lists(st.integers(0, 3), min_size=2, max_size=9), st.integers(1, 5), st.integers(0, 10**6), st.booleans()
)


def random_batch(drawn):
    labels, dimensions, seed, normalize = drawn
    random = torch.Generator().manual_seed(seed)
    embeddings = torch.randn(len(labels), dimensions, generator=random, dtype=torch.float64)
    weight = torch.rand(len(labels), generator=random, dtype=torch.float64)
    return embeddings, torch.tensor(labels), weight, normalize, random


@pytest.mark.parametrize("text", EMBEDDING)
@settings(max_examples=25, deadline=None)
@given(drawn=BATCHES)
def test_the_order_and_the_names_of_things_do_not_matter(text, drawn):
    """Cases in another order, classes by other names, embeddings turned, and turned over, in space."""
    embeddings, target, weight, normalize, random = random_batch(drawn)
    loss = with_normalize(text, normalize)
    order = torch.randperm(len(target), generator=random)
    names = torch.randperm(4, generator=random) * 37 - 50
    turn, _ = torch.linalg.qr(torch.randn(2 * embeddings.shape[1:], generator=random, dtype=torch.float64))
    value = loss(embeddings, target, weight)
    for moved in (
        loss(embeddings[order], target[order], weight[order]),
        loss(embeddings, names[target], weight),
        loss(embeddings @ turn, target, weight),
        loss(-embeddings, target, weight),
    ):
        assert moved.item() == pytest.approx(value.item(), rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("text", EMBEDDING)
@settings(max_examples=25, deadline=None)
@given(drawn=BATCHES, size=st.floats(1e-6, 1e6))
def test_a_length_does_not_matter_where_it_is_brought_to_one(text, drawn, size):
    embeddings, target, weight, _, random = random_batch(drawn)
    loss, sizes = parse(text), size * (0.1 + torch.rand(len(target), 1, generator=random, dtype=torch.float64))
    value, scaled = loss(embeddings, target, weight), loss(sizes * embeddings, target, weight)
    assert scaled.item() == pytest.approx(value.item(), rel=1e-9, abs=1e-9)


@settings(max_examples=25, deadline=None)
@given(drawn=BATCHES, shift=st.floats(-10, 10))
def test_distances_do_not_care_where_the_cloud_lies(drawn, shift):
    embeddings, target, weight, _, _ = random_batch(drawn)
    for text in (HARDEST, ALL, PAIR):
        loss = with_normalize(text, False)
        assert loss(embeddings + shift, target, weight).item() == pytest.approx(
            loss(embeddings, target, weight).item(), rel=1e-9, abs=1e-9
        )


@pytest.mark.parametrize("text", EMBEDDING)
def test_a_normalised_embedding_is_not_pulled_along_its_own_direction(text):
    embeddings, target, _ = clusters((8, 3), [0, 1])
    leaf = embeddings.requires_grad_()
    (slope,) = torch.autograd.grad(parse(text)(leaf, target), leaf)
    assert slope.abs().max() > 1e-3
    assert (slope * leaf).sum(1).abs().max() < 1e-12


# by hand


def test_two_points_by_hand():
    """At right angles on the unit circle: distance sqrt 2, similarity 0."""
    apart = torch.tensor([[2.0, 0.0], [0.0, 3.0]], dtype=torch.float64)
    one, two = torch.tensor([1, 1]), torch.tensor([1, 2])
    assert parse(PAIR)(apart, one).item() == pytest.approx(1.0)  # half of 2
    assert parse(PAIR)(apart, two).item() == 0  # farther than 1
    assert parse("ContrastivePair(margin=2)")(apart, two).item() == pytest.approx(0.5 * (2 - sqrt(2)) ** 2)
    assert parse("ContrastivePair(normalize=False)")(apart, one).item() == pytest.approx(6.5)  # half of 4 + 9
    for text in (HARDEST, ALL, VIOLATING):
        assert parse(text)(apart, one).item() == parse(text)(apart, two).item() == 0  # no triplet
    assert parse(SUPCON)(apart, one).item() == 0  # the only other case is the friend
    assert parse(SUPCON)(apart, two).item() == 0  # no friend


def test_three_points_by_hand():
    """Friends at right angles, a stranger on top of the first: similarities 0, 1 and 0, distances sqrt 2, 0, sqrt 2."""
    points = torch.tensor([[1.0, 0.0], [0.0, 1.0], [5.0, 0.0]], dtype=torch.float64)
    target = torch.tensor([0, 0, 1])
    surprise = (log(1 + exp(1 / 0.5)) + log(2)) / 2
    assert parse("SupervisedContrastive(temperature=0.5)")(points, target).item() == pytest.approx(surprise)
    assert parse(HARDEST)(points, target).item() == pytest.approx((sqrt(2) + 0.3 + 0.3) / 2)
    assert parse(ALL)(points, target).item() == pytest.approx((sqrt(2) + 0.3 + 0.3) / 2)
    assert parse("Triplet(margin=0, mining='violating')")(points, target).item() == pytest.approx(sqrt(2))
    assert parse(PAIR)(points, target).item() == pytest.approx((1.0 + 0.5 + 0.0) / 3)


# supervised contrastive is cross-entropy


def similarities(embeddings, temperature=0.1):
    """Of each case to the others, itself left out: (N, N - 1)."""
    unit_length = F.normalize(embeddings)
    n = len(embeddings)
    others = [[j for j in range(n) if j != i] for i in range(n)]
    return torch.stack([unit_length[i] @ unit_length[others[i]].T for i in range(n)]) / temperature, others


def test_supervised_contrastive_is_cross_entropy_of_similarities():
    embeddings, target, _ = clusters((9, 4), [0, 1, 2, 1])
    _, others = similarities(embeddings)
    friends = (target[torch.tensor(others)] == target.unsqueeze(1)).double()
    proportions = friends / friends.sum(1, keepdim=True)

    def by_torch(x):
        return F.cross_entropy(similarities(x)[0], proportions)

    def by_ours(x):
        return CrossEntropy(classes="exclusive")(similarities(x)[0], proportions)

    for other in (by_torch, by_ours):
        same(lambda x: parse(SUPCON)(x, target), other, embeddings)


def test_the_mean_is_over_anchors_that_have_a_friend():
    """A mean over all cases would halve the loss when half of them are alone: 2.155 for 4.310 in one library."""
    embeddings, _, _ = clusters((8, 4), [0])
    target = torch.tensor([0, 0, 0, 0, 1, 2, 3, 4])
    value, weight = parse(SUPCON).terms(embeddings, target)
    assert weight.tolist() == [1, 1, 1, 1, 0, 0, 0, 0]
    assert parse(SUPCON)(embeddings, target).item() == pytest.approx(2 * (value * weight).sum().item() / len(target))
    friends = (target[torch.tensor(similarities(embeddings)[1])] == target.unsqueeze(1)).double()
    summed = -(friends * similarities(embeddings)[0].log_softmax(1)).sum(1) / friends.sum(1).clamp_min(1)
    assert parse(SUPCON)(embeddings, target).item() == pytest.approx(summed[:4].mean().item())


def test_equally_near_friends_cost_at_least_the_logarithm_of_their_number():
    """As the card says: with 4 friends at the very same point and strangers far off, ln 4 remains."""
    points = torch.tensor([[1.0, 0.0]] * 5 + [[-1.0, 0.0]] * 5, dtype=torch.float64)
    target = torch.tensor([0] * 5 + [1] * 5)
    assert parse(SUPCON)(points, target).item() == pytest.approx(log(4), rel=1e-8)


# triplets


def hardest(embeddings, target):
    """Anchors that have both, with their farthest friend and their nearest stranger, picked one by one."""
    found, n = [], len(target)
    points = embeddings.tolist()
    for i in range(n):
        far = [(distance(points[i], points[j]), j) for j in range(n) if j != i and target[j] == target[i]]
        near = [(distance(points[i], points[j]), j) for j in range(n) if target[j] != target[i]]
        if far and near:
            found.append((i, max(far)[1], min(near)[1]))
    return torch.tensor(found).T


@pytest.mark.parametrize("margin", [0.3, 1.0])
@pytest.mark.parametrize("normalize", [True, False])
def test_torch_triplet_margin_of_the_hardest(normalize, margin):
    embeddings, target, _ = clusters((10, 4), [0, 1, 2, 1, 0, 0, 3])  # 3 is alone
    a, p, n = hardest(F.normalize(embeddings) if normalize else embeddings, target)

    def theirs(x):
        x = F.normalize(x) if normalize else x
        return F.triplet_margin_loss(x[a], x[p], x[n], margin=margin, p=2, eps=0.0)

    ours = Triplet(margin=margin, normalize=normalize)
    same(lambda x: ours(x, target), theirs, embeddings)


@pytest.mark.parametrize("margin", [0.05, 0.3])
def test_the_mean_over_violating_triplets_is_that_over_all_times_their_ratio(margin):
    """0.2292 over those that cost something, and 0.1528 over all, were one batch in one library: two of three."""
    embeddings, target, _ = clusters((9, 4), [0, 1, 2])
    gaps = [
        gap
        for _, gap, _ in triplets([(unit(x), y, 1) for x, y in zip(embeddings.tolist(), target, strict=True)], margin)
    ]
    ratio = sum(gap > 0 for gap in gaps) / len(gaps)
    assert 0.2 < ratio < 0.8
    every, violating = (Triplet(margin=margin, mining=one)(embeddings, target).item() for one in ("all", "violating"))
    assert violating * ratio == pytest.approx(every, rel=1e-12)


def test_the_mean_over_violating_triplets_does_not_fade():
    """A stranger too near two friends, among more and more cases that are right."""
    every, violating = [], []
    for right in (2, 4, 8):
        points = torch.tensor([[1.0, 0.0], [1.0, 0.0], [1.0, 0.1], *[[-1.0, 0.0]] * right], dtype=torch.float64)
        target = torch.tensor([0, 0, 1, *[2] * right])
        every.append(Triplet(mining="all")(points, target).item())
        violating.append(Triplet(mining="violating")(points, target).item())
    near = distance((1, 0), unit((1, 0.1)))
    assert violating == pytest.approx([0.3 - near] * 3)
    assert every == pytest.approx([(0.3 - near) * 2 / (2 * (1 + n) + n * (n - 1) * 3) for n in (2, 4, 8)])


# ranking

RANKED = {
    "Hinge()": lambda m: max(0.0, 1 - m),
    "Logistic()": lambda m: log1p(exp(-m)),
    "SquaredHinge()": lambda m: max(0.0, 1 - m) ** 2,
    "TorchMarginRanking()": lambda m: max(0.0, -m),
    "TorchMarginRanking(margin=0.4)": lambda m: max(0.0, 0.4 - m),
}


@pytest.mark.parametrize("weight", ["none", "element", "element and channel"])
@pytest.mark.parametrize("form", ["index", "proportions", "yes/no"])
@pytest.mark.parametrize("text", RANKED)
def test_ranking_is_a_loop_over_pairs(text, form, weight):
    loss = parse(asking(text, form, lift="ranking"))
    agree(loss, ranking_loss(RANKED[text], exclusive=form != "yes/no"), *batch((2, 3, 4), form, weight))


@pytest.mark.parametrize("shape", [(9, 1), (2, 1, 2, 2), (1, 1, 2, 2, 2)], ids=["plain", "2-D", "3-D"])
def test_ranking_of_one_yes_or_no(shape):
    logits, target, weight = batch(shape, "yes/no", "element")
    agree(
        parse("Hinge(lift='ranking')"), ranking_loss(RANKED["Hinge()"], exclusive=False), logits, target.round(), weight
    )


@pytest.mark.parametrize("form", ["index", "yes/no"])
def test_ranking_of_probabilities(form):
    loss = parse(asking("Hinge()", form, lift="ranking", scores="softmax"))
    oracle = ranking_loss(RANKED["Hinge()"], exclusive=form == "index", probabilities=True)
    agree(loss, oracle, *batch((5, 3), form, "element"))


@pytest.mark.parametrize("target", [[1, 1, 1], [0, 0, 0]])
def test_ranking_has_no_say_where_all_are_alike(target):
    leaf = torch.randn(3, 1, requires_grad=True)
    value = parse("Hinge(lift='ranking')")(leaf, torch.tensor(target).unsqueeze(1))
    value.backward()
    assert value.item() == 0
    assert (leaf.grad == 0).all()


def pairs_of(target, channel):
    """Every pair of which the first has the higher target."""
    y = target[:, channel].tolist()
    return torch.tensor([(i, j) for i in range(len(y)) for j in range(len(y)) if y[i] > y[j]]).T


@pytest.mark.parametrize("margin", [0.0, 0.5])
@pytest.mark.parametrize("channels", [1, 3])
def test_torch_margin_ranking_of_all_pairs(channels, margin):
    scores, target, _ = batch((8, channels), "yes/no")
    target = target.round()
    chosen = [(k, *pairs_of(target, k)) for k in range(channels)]

    def theirs(u):
        one = torch.ones(1, dtype=torch.float64)
        each = [F.margin_ranking_loss(u[i, k], u[j, k], one, margin=margin) for k, i, j in chosen]
        return torch.stack(each).mean()

    loss = parse(f"TorchMarginRanking(margin={margin}, classes='independent')")
    same(lambda u: loss(u, target), theirs, scores)


@pytest.mark.parametrize("weighted", [False, True])
def test_zero_one_ranking_is_what_the_roc_area_lacks_of_one(weighted):
    metrics = pytest.importorskip("sklearn.metrics")
    scores, target, weight = batch((40, 3), "yes/no", "element" if weighted else "none", seed=3)
    target = target.round()
    ours = parse("ZeroOne(lift='ranking', classes='independent')")
    areas = [metrics.roc_auc_score(target[:, k], scores[:, k], sample_weight=weight) for k in range(3)]
    for k in range(3):
        one = ours(scores[:, k : k + 1], target[:, k : k + 1], weight)
        assert one.item() == pytest.approx(1 - areas[k], rel=1e-12)
    assert ours(scores, target, weight).item() == pytest.approx(1 - sum(areas) / 3, rel=1e-12)


def test_the_roc_area_of_classes_by_index_is_that_of_each_against_the_rest():
    metrics = pytest.importorskip("sklearn.metrics")
    scores, _, _ = batch((30, 3))
    target = torch.tensor([0] * 20 + [1] * 8 + [2] * 2)
    area = metrics.roc_auc_score(target, scores.softmax(1), multi_class="ovr", average="macro")
    ours = parse("ZeroOne(lift='ranking', scores='softmax')")
    assert ours(scores, target).item() == pytest.approx(1 - area, rel=1e-12)


@pytest.mark.parametrize("weighted", [False, True])
def test_a_tie_is_half_an_error_to_the_roc_area(weighted):
    metrics = pytest.importorskip("sklearn.metrics")
    random = torch.Generator().manual_seed(1)
    scores = torch.randint(4, (50, 1), generator=random).double()  # of 50 elements at four scores most are tied
    target = torch.randint(2, (50, 1), generator=random)
    weight = torch.rand(50, generator=random, dtype=torch.float64) if weighted else None
    area = metrics.roc_auc_score(target.flatten(), scores.flatten(), sample_weight=weight)
    assert parse("ZeroOne(lift='ranking')")(scores, target, weight).item() == pytest.approx(1 - area, rel=1e-12)
    assert parse("ZeroOne(lift='ranking')")(torch.zeros(4, 1), target[:4]).item() == 0.5
    assert parse("ZeroOne()")(torch.zeros(4, 1), target[:4]).item() == 1  # an answer of 0 is no answer


# probabilities

OF_PROBABILITY = {"SquaredError(of='probability')": lambda d: d * d, "AbsoluteError(of='probability')": abs}


@pytest.mark.parametrize("weight", ["none", "element", "element and channel"])
@pytest.mark.parametrize("form", ["index", "proportions", "yes/no"])
@pytest.mark.parametrize("text", OF_PROBABILITY)
def test_errors_of_probabilities_are_loops_over_elements_and_classes(text, form, weight):
    oracle = probability_loss(OF_PROBABILITY[text], exclusive=form != "yes/no")
    for shape in ((5, 3), (2, 3, 4), (1, 2, 2, 2)):
        agree(parse(asking(text, form)), oracle, *batch(shape, form, weight))


def test_squared_error_of_one_probability_is_the_brier_score():
    metrics = pytest.importorskip("sklearn.metrics")
    logits, target, weight = batch((30, 1), "yes/no", "element")
    target, loss = target.round(), parse("SquaredError(of='probability')")
    p, y = logits.sigmoid().flatten(), target.flatten()
    assert loss(logits, target).item() == pytest.approx(metrics.brier_score_loss(y, p), rel=1e-12)
    weighted = metrics.brier_score_loss(y, p, sample_weight=weight)
    assert loss(logits, target, weight).item() == pytest.approx(weighted, rel=1e-12)


def test_squared_error_of_two_probabilities_is_the_brier_score_of_one():
    """Brier's sum over the two classes counts the same error twice; the mean does not."""
    logits, target, _ = batch((6, 2))
    twin = parse("SquaredError(of='probability')")
    same(lambda u: twin(u, target), lambda u: twin(u[:, 1:] - u[:, :1], target.unsqueeze(1)), logits)


@pytest.mark.parametrize("text", OF_PROBABILITY)
def test_errors_of_probabilities_ignore_an_index_and_stay_between_nothing_and_one(text):
    logits, target, _ = batch((2, 3, 6))
    gone = torch.zeros(2, 6).bool()
    gone[:, ::2] = True
    hollow = torch.where(gone.unsqueeze(1), torch.nan, logits).requires_grad_()
    value = parse(text)(hollow, torch.where(gone, 255, target), ignore_index=255)
    value.backward()
    assert value.item() == pytest.approx(parse(text)(logits[..., 1::2], target[:, 1::2]).item(), rel=1e-12)
    assert hollow.grad.isfinite().all()
    assert parse(text).range == (0, 1)
    assert "regression" not in parse(text).tasks


# numbers at their limits


def value_and_slope(loss, output, target, weight=None):
    leaf = output.clone().requires_grad_()
    value = loss(leaf, target, weight)
    (slope,) = torch.autograd.grad(value, leaf)
    return value.item(), slope


LABELS_OF_EIGHT = torch.tensor([0, 0, 1, 1, 2, 2, 0, 1])


@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("level", [0.0, 1.0, 0.1])
@pytest.mark.parametrize("text", EMBEDDING)
def test_collapsed_embeddings_have_a_finite_slope(text, level, dtype, normalize):
    """All cases at one point: where distances are zero, and where networks that collapse end up."""
    value, slope = value_and_slope(
        with_normalize(text, normalize), torch.full((8, 4), level, dtype=dtype), LABELS_OF_EIGHT
    )
    # 21 of 28 pairs are of two classes; of each case two or one are friends, and five or six are not
    near = (level > 0) * 1.0 if normalize else 4 * level**2
    missing, excess = exp(-2 * (near - 0.5)), exp(50 * (near - 0.5))
    crowded = [(log1p(f * missing) / 2 + log1p(n * excess) / 50, say) for f, n, say in ((2, 5, 6), (1, 6, 2))]
    expected = {
        SUPCON: log(7),
        PAIR: 0.5 * 21 / 28,
        NTXENT: (12 * log(6) + 2 * log(7)) / 14,
        MULTI: weighted_mean(crowded),
    }.get(text, 0.3)
    assert value == pytest.approx(expected, rel=1e-5)
    assert slope.isfinite().all()


@pytest.mark.parametrize("text", EMBEDDING)
def test_one_embedding_at_the_origin_among_others(text):
    embeddings, target, _ = clusters((8, 4), [0, 1, 2])
    embeddings[3] = 0
    value, slope = value_and_slope(parse(text), embeddings, target)
    oracle = points_loss(ORACLES[text])
    assert value == pytest.approx(
        oracle(embeddings.unsqueeze(2).tolist(), target.unsqueeze(1).tolist(), torch.ones(8, 4, 1).tolist()), rel=1e-12
    )
    assert slope.isfinite().all()
    assert (slope[3] == 0).all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("text", EMBEDDING)
def test_half_precision_is_read_as_what_it_stands_for(text, dtype):
    embeddings = (100 * clusters((8, 64), [0])[0]).to(dtype)  # squares of float16 would overflow
    loss = with_normalize(text, False)
    value, slope = value_and_slope(loss, embeddings, LABELS_OF_EIGHT)
    assert value == pytest.approx(loss(embeddings.double(), LABELS_OF_EIGHT).item(), rel=1e-5)
    assert slope.isfinite().all()
    assert slope.dtype == dtype


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("text", EMBEDDING)
def test_autocast_does_not_round_what_is_compared(text, normalize, dtype):
    """A product in half precision is off by a hundredth of the slope, and beyond 65504 it is infinite."""
    embeddings = 100 * clusters((8, 64), [0])[0].float()
    loss = with_normalize(text, normalize)
    value, slope = value_and_slope(loss, embeddings, LABELS_OF_EIGHT)
    leaf = embeddings.clone().requires_grad_()
    with torch.autocast("cpu", dtype=dtype):
        mixed = loss(leaf, LABELS_OF_EIGHT)
    (mixed_slope,) = torch.autograd.grad(mixed, leaf)  # outside, as torch asks
    assert mixed.item() == pytest.approx(value, rel=1e-6)
    torch.testing.assert_close(mixed_slope, slope)


@pytest.mark.parametrize("size", [1e-10, 1e10, 1e18])
@pytest.mark.parametrize("text", EMBEDDING)
def test_a_length_far_from_one_does_not_matter_in_single_precision(text, size):
    embeddings = clusters((8, 4), [0])[0].float()
    value, slope = value_and_slope(parse(text), embeddings, LABELS_OF_EIGHT)
    scaled, steep = value_and_slope(parse(text), size * embeddings, LABELS_OF_EIGHT)
    assert scaled == pytest.approx(value, rel=1e-5)
    torch.testing.assert_close(size * steep, slope, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("dtype", "size"), [(torch.float32, 1e20), (torch.float32, 1e30), (torch.float64, 1e200)])
@pytest.mark.parametrize("text", EMBEDDING)
def test_a_length_whose_square_is_beyond_numbers_does_not_matter(text, dtype, size):
    embeddings = clusters((8, 4), [0])[0].to(dtype)
    value, slope = value_and_slope(parse(text), embeddings, LABELS_OF_EIGHT)
    scaled, steep = value_and_slope(parse(text), size * embeddings, LABELS_OF_EIGHT)
    assert scaled == pytest.approx(value, rel=1e-5)
    torch.testing.assert_close(size * steep, slope, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("text", EMBEDDING)
def test_a_length_of_next_to_nothing_has_no_direction_and_no_slope(text, dtype):
    _, slope = value_and_slope(parse(text), 1e-30 * clusters((8, 4), [0])[0].to(dtype), LABELS_OF_EIGHT)
    assert (slope == 0).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("temperature", [1e-3, 1e3])
def test_a_temperature_near_freezing_and_far_above_boiling(temperature, dtype):
    embeddings, _, _ = clusters((8, 4), [0])
    loss = parse(f"SupervisedContrastive(temperature={temperature})")
    value, slope = value_and_slope(loss, embeddings.to(dtype), LABELS_OF_EIGHT)
    oracle = points_loss(supervised_contrastive(temperature))
    expected = oracle(
        embeddings.unsqueeze(2).tolist(), LABELS_OF_EIGHT.unsqueeze(1).tolist(), torch.ones(8, 4, 1).tolist()
    )
    assert value == pytest.approx(expected, rel=1e-4 if dtype == torch.float32 else 1e-10)
    assert slope.isfinite().all()


@pytest.mark.parametrize("text", [SUPCON, HARDEST, PAIR])
def test_a_batch_of_512_cases_in_128_dimensions(text):
    random = torch.Generator().manual_seed(0)
    embeddings, target = torch.randn(512, 128, generator=random), torch.randint(4, (512,), generator=random)
    value, slope = value_and_slope(parse(text), embeddings, target)
    assert value == pytest.approx(parse(text)(embeddings.double(), target).item(), rel=1e-5)
    assert slope.isfinite().all()


@pytest.mark.parametrize("text", ["Hinge()", "Logistic()", "Lorenz()", "Savage()", "TorchMarginRanking()"])
def test_ranking_of_huge_scores(text):
    scores, target, _ = batch((8, 1), "yes/no")
    loss = parse(asking(text, "index", lift="ranking"))
    for size in (1e4, 1e18, 1e30):
        value, slope = value_and_slope(loss, (size * scores).float(), target.round())
        assert 0 < value < float("inf")
        assert slope.isfinite().all()


@pytest.mark.parametrize("text", OF_PROBABILITY)
def test_errors_of_probabilities_at_huge_logits(text):
    logits, target, _ = batch((8, 3))
    for size in (1e4, 1e38):
        value, slope = value_and_slope(parse(text), (size * logits).float(), target)
        wrong = (logits.argmax(1) != target).double().mean().item()
        assert value == pytest.approx(2 * wrong / 3, rel=1e-5)
        assert slope.isfinite().all()


def test_similarities_have_second_derivatives_and_distances_say_that_they_have_none():
    embeddings, target, _ = clusters((6, 3), [0, 1])
    leaf = embeddings.requires_grad_()
    assert torch.autograd.gradgradcheck(lambda x: parse(SUPCON)(x, target), leaf)
    (slope,) = torch.autograd.grad(parse(PAIR)(leaf, target), leaf, create_graph=True)
    with pytest.raises(RuntimeError, match="_cdist_backward"):
        slope.sum().backward()


def test_pairs_are_not_lost_to_cancellation():
    """Distances of a millionth, far from the origin: |a|^2 + |b|^2 - 2ab has nothing left of them in float32."""
    points = 1000 + 1e-3 * torch.arange(6.0).reshape(6, 1)
    lift = ContrastivePair(normalize=False).lifts[0]
    found = lift(Batch(points, torch.zeros(6).long())).seen[0]
    torch.testing.assert_close(found, (points - points.T).abs())
