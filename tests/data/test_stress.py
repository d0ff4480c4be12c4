"""Stress: exactly what a level says is changed, nothing else, and the same for every loss."""

import json
import pickle
from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import ndimage
from scipy.stats import chisquare
from torch import Tensor

from whichloss.core import Candidates, Task, UserError, parse, registry
from whichloss.core.task import Kind
from whichloss.data import Cases, inner
from whichloss.data.stress import Stress, touched

OURS = {name: cls for name, cls in registry(Stress).items() if cls.__module__.startswith("whichloss.")}
PLAIN = {"imbalance": None, "size": 1.0}  # axis -> level that leaves the data as they are; elsewhere 0
STRONG = {"imbalance": 0.2, "boundary_noise": 2, "shift": 0.7}  # elsewhere 0.4
KINDS: tuple[Kind, ...] = ("classification", "segmentation", "regression", "detection")


def chance(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def cases_of(labels: Sequence[int], classes: int = 2, groups: Sequence[str] = (), strata: tuple | None = None) -> Cases:
    n = len(labels)
    names = ("benign", "malignant", "cyst", "scar", "node", "vessel")[:classes]
    return Cases(
        images=torch.from_numpy(chance(1).random((n, 1, 2, 2), dtype=np.float32)),
        labels=torch.tensor(labels),
        ids=tuple(f"c{i}" for i in range(n)),
        task=Task(kind="classification", classes=names, size=(2, 2)),
        groups=tuple(groups),
        strata=strata,
        part=True,
    )


def masks_of(masks: np.ndarray, classes: tuple[str, ...] = ("background", "lesion")) -> Cases:
    n, *size = masks.shape
    return Cases(
        images=torch.from_numpy(chance(1).random((n, 1, *size), dtype=np.float32)),
        labels=torch.from_numpy(masks.astype(np.int64)),
        ids=tuple(f"m{i}" for i in range(n)),
        task=Task(kind="segmentation", classes=classes, size=tuple(size)),
        part=True,
    )


def radii(n: int = 30) -> Cases:
    return Cases(
        images=torch.from_numpy(chance(1).random((n, 1, 2, 2), dtype=np.float32)),
        labels=torch.linspace(1, 9, n),
        ids=tuple(f"r{i}" for i in range(n)),
        task=Task(kind="regression", quantity="radius", unit="mm", size=(2, 2)),
    )


def views(volumes: int = 10, each: int = 4, shown: int = 3) -> Cases:
    """Candidates, half of which are lesions, in some views each, in an order that mixes them."""
    at = chance(5).permutation([candidate for candidate in range(volumes * each) for _ in range(shown)])
    return Cases(
        images=torch.from_numpy(chance(1).random((len(at), 3, 2, 2), dtype=np.float32)),
        labels=torch.from_numpy(at % 2),
        ids=tuple(f"v{i}" for i in range(len(at))),
        task=Task(kind="detection", classes=("no lesion", "lesion"), channels=3, size=(2, 2)),
        groups=tuple(f"p{i // each}" for i in at),
        candidates=Candidates(
            candidate=tuple(map(str, at)),
            volume=tuple(f"p{i // each}" for i in at),
            lesion=tuple(f"l{i // 4}" if i % 2 else "" for i in at),
        ),
        part=True,
    )


def blobs(n: int = 6, size: tuple[int, ...] = (24, 24), classes: int = 3, empty: int = 2, seed: int = 0) -> Cases:
    """Smooth random masks with several lesions of each class, some of them touching; a few cases without any."""
    draw = chance(seed)
    field = ndimage.gaussian_filter(draw.standard_normal((n, *size)), (0, *(1.5 for _ in size)))
    edges = np.quantile(field, np.linspace(0.7, 1, classes)[:-1])
    masks = np.searchsorted(edges, field)
    masks[:empty] = 0
    return masks_of(masks, ("background", *(f"class {k}" for k in range(1, classes))))


def example_cases(kind: Kind) -> Cases:
    if kind == "classification":
        return cases_of([0, 1, 0, 1, 1] * 8, groups=[f"p{i // 2}" for i in range(40)])
    if kind == "detection":
        return views()
    return blobs(n=12, empty=7) if kind == "segmentation" else radii()


def strong(cls: type[Stress]) -> Stress:
    return Stress.of(cls.card.axis, STRONG.get(cls.card.axis, 0.4))


def flips(stress: Stress, cases: Cases, train: Sequence[int], seed: int = 0) -> dict[int, tuple[int, int]]:
    """Case -> (true class, class that is trained on)."""
    after = stress.relabel(cases, train, chance(seed)).tolist()
    pairs = zip(train, cases.labels[list(train)].tolist(), after, strict=True)
    return {case: (true, now) for case, true, now in pairs if true != now}


# what every stress promises


@pytest.fixture(params=OURS.values(), ids=lambda cls: cls.__name__)
def cls(request: pytest.FixtureRequest) -> type[Stress]:
    return request.param


def suited(cls: type[Stress]) -> Iterator[tuple[Cases, tuple[int, ...]]]:
    """Cases of each kind that it suits, and which of them train."""
    for kind in cls.card.tasks:
        cases = example_cases(kind)
        yield cases, tuple(range(len(cases) - 2)) if kind == "segmentation" else tuple(range(4, len(cases)))


def test_every_axis_has_its_class():
    assert {axis: cls.__name__ for axis, cls in Stress.axes().items()} == {
        "label_noise": "LabelNoise",
        "class_noise": "ClassNoise",
        "boundary_noise": "BoundaryNoise",
        "missed_lesions": "MissedLesions",
        "imbalance": "Imbalance",
        "size": "TrainingSize",
        "shift": "TestShift",
    }


def test_text_and_pickle_bring_it_back(cls: type[Stress]):
    for one in [*cls.examples(), strong(cls), Stress.of(cls.card.axis, PLAIN.get(cls.card.axis, 0))]:
        assert isinstance(one, Stress)
        assert parse(repr(one), Stress) == one
        assert parse(one.label, Stress) == one
        assert Stress.of(cls.card.axis, repr(one)) == Stress.of(cls.card.axis, one) == one
        assert pickle.loads(pickle.dumps(one)) == one


def test_a_plain_level_changes_nothing(cls: type[Stress]):
    plain = Stress.of(cls.card.axis, PLAIN.get(cls.card.axis, 0))
    assert plain.none
    for cases, train in suited(cls):
        assert plain.keep(cases, train, chance()) == train
        assert plain.relabel(cases, train, chance()).equal(cases.labels[list(train)])
        assert plain.reimage(cases.images, chance()).equal(cases.images)


def test_only_what_the_card_says_is_changed_and_that_is(cls: type[Stress]):
    hard = strong(cls)
    assert not hard.none
    for cases, train in suited(cls):
        hard.accept(cases.task)
        changed = {
            "cases": hard.keep(cases, train, chance()) != train,
            "labels": not hard.relabel(cases, train, chance()).equal(cases.labels[list(train)]),
            "images": not hard.reimage(cases.images, chance()).equal(cases.images),
        }
        assert [what for what, is_so in changed.items() if is_so] == [cls.card.changes]


def test_the_cases_and_the_global_generators_stay_as_they_are(cls: type[Stress]):
    def bytes_of(cases: Cases) -> list[bytes]:
        tensors = (cases.labels, cases.images, torch.get_rng_state())
        return [pickle.dumps(np.random.get_state()), *(one.numpy().tobytes() for one in tensors)]

    for cases, train in suited(cls):
        before = bytes_of(cases)
        strong(cls).keep(cases, train, chance())
        strong(cls).relabel(cases, train, chance()).fill_(0)  # what comes back is nobody else's memory
        strong(cls).reimage(cases.images, chance())
        assert bytes_of(cases) == before


def test_one_stream_gives_one_result_and_another_stream_another(cls: type[Stress]):
    def made(cases: Cases, train: Sequence[int], seed: int) -> tuple:
        hard = strong(cls)
        labels = hard.relabel(cases, train, chance(seed)).flatten().tolist()
        return hard.keep(cases, train, chance(seed)), labels, hard.reimage(cases.images, chance(seed)).tolist()

    for cases, train in suited(cls):
        assert made(cases, train, 5) == made(cases, train, 5)
        assert made(cases, train, 5) != made(cases, train, 6)


def test_what_remains_is_part_of_training_and_ascending(cls: type[Stress]):
    for cases, train in suited(cls):
        kept = strong(cls).keep(cases, train[::-1], chance())
        assert set(kept) <= set(train)
        assert list(kept) == sorted(set(kept))


def test_labels_come_in_the_order_of_the_training_cases(cls: type[Stress]):
    plain = Stress.of(cls.card.axis, PLAIN.get(cls.card.axis, 0))
    for cases, train in suited(cls):
        assert plain.relabel(cases, train[::-1], chance()).equal(cases.labels[list(train[::-1])])


def test_other_tasks_are_refused_with_what_suits_them(cls: type[Stress]):
    for kind in KINDS:
        task = example_cases(kind).task
        if kind in cls.card.tasks:
            strong(cls).accept(task)
            continue
        with pytest.raises(UserError, match=f"{cls.__name__} is for .*, and the data ask for {kind}; .*shift, size"):
            strong(cls).accept(task)


def test_every_task_has_its_way_to_less_and_to_other_data():
    assert {kind for kind in KINDS for cls in OURS.values() if kind in cls.card.tasks} == set(KINDS)
    for axis in ("size", "shift"):
        assert set(Stress.axes()[axis].card.tasks) >= set(KINDS)


# levels


def test_a_bare_level_is_the_first_field():
    assert repr(Stress.of("label_noise", 0.3)) == "LabelNoise(share=0.3)"
    assert repr(Stress.of("boundary_noise", 2)) == "BoundaryNoise(voxels=2, share=1.0)"
    assert Stress.of("shift", 1).level == 1.0
    assert Stress.of("shift", "TestShift(blur=1)") == parse("TestShift(blur=1.0)", Stress)
    assert Stress.of("imbalance", None).none


def test_the_label_always_tells_the_level():
    assert Stress.of("label_noise", 0.2).label == "LabelNoise(share=0.2)"
    assert Stress.of("label_noise", 0.3).label == "LabelNoise(share=0.3)"
    assert parse("ClassNoise(target='benign')", Stress).label == "ClassNoise(share=0.2, target='benign')"
    assert parse("TestShift(blur=2)", Stress).label == "TestShift(noise=0.0, blur=2.0)"


@pytest.mark.parametrize(
    ("axis", "level", "says"),
    [
        ("lable_noise", 0.2, "no stress is called 'lable_noise'.*did you mean 'label_noise'"),
        ("label_noise", 1.2, "LabelNoise: share is 1.2; it must be .* at least 0 and at most 1"),
        ("label_noise", -0.1, "share is -0.1"),
        ("label_noise", True, "share is True"),
        ("label_noise", None, "share is None"),
        ("label_noise", "TrainingSize()", r"TrainingSize\(share=0.5\) is no level of 'label_noise': .*'size'"),
        ("boundary_noise", 0.5, "voxels is 0.5; it must be a whole number of at least 0"),
        ("size", 0, "share is 0; it must be above 0, and 1 leaves the data as they are"),
        ("imbalance", 0, "share is 0; it must lie between 0 and 1.*None"),
        ("imbalance", 1, "share is 1; it must lie between 0 and 1"),
        ("shift", -1, "noise is -1"),
        ("shift", "TestShift(contrast=0)", "contrast is 0; it must be a finite number above 0"),
        ("class_noise", "ClassNoise(source='a', target='a')", "source and target are both 'a'"),
    ],
)
def test_a_wrong_level_says_what_would_fit(axis: str, level: object, says: str):
    with pytest.raises(UserError, match=says):
        Stress.of(axis, level)


# label noise


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 80), st.floats(0, 1), st.integers(2, 6), st.integers(0, 99))
def test_exactly_the_share_of_training_cases_get_another_class(n: int, share: float, classes: int, seed: int):
    labels = chance(seed).integers(classes, size=n + 7).tolist()
    train = sorted(chance(seed).permutation(n + 7)[:n].tolist())
    changed = flips(Stress.of("label_noise", share), cases_of(labels, classes), train, seed)
    assert len(changed) == round(share * n)
    assert all(0 <= now < classes for _, now in changed.values())


@settings(max_examples=30, deadline=None)
@given(st.tuples(st.floats(0, 1), st.floats(0, 1)).map(sorted), st.integers(2, 5), st.integers(0, 99))
def test_cases_flipped_at_a_low_level_are_flipped_alike_at_a_higher_one(shares: list, classes: int, seed: int):
    cases = cases_of(chance(seed).integers(classes, size=50).tolist(), classes)
    low, high = (flips(Stress.of("label_noise", share), cases, range(50), seed) for share in shares)
    assert low.items() <= high.items()


def test_every_other_class_is_equally_likely():
    cases = cases_of(np.repeat(range(5), 2000).tolist(), 5)
    changed = flips(Stress.of("label_noise", 0.6), cases, range(10_000))
    for true in range(5):
        counts = np.bincount([now for was, now in changed.values() if was == true], minlength=5)
        assert counts[true] == 0
        assert chisquare(np.delete(counts, true)).pvalue > 0.01  # one fixed seed
    assert chisquare(np.bincount([was for was, _ in changed.values()])).pvalue > 0.01


def test_halves_are_rounded_to_the_even_number():
    for n, share, count in ((5, 0.5, 2), (7, 0.5, 4), (3, 0.1, 0), (30, 0.2, 6)):
        assert len(flips(Stress.of("label_noise", share), cases_of([0] * n), range(n))) == count


# class noise


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 60), st.floats(0, 1), st.integers(0, 99))
def test_exactly_the_share_of_the_source_and_of_no_other_class(n: int, share: float, seed: int):
    labels = chance(seed).integers(3, size=n).tolist()
    noise = parse(f"ClassNoise(share={share!r}, source='cyst', target='malignant')", Stress)
    changed = flips(noise, cases_of(labels, 3), range(n), seed)
    assert len(changed) == round(share * labels.count(2))
    assert set(changed.values()) <= {(2, 1)}
    more = parse(f"ClassNoise(share={min(1, share + 0.2)!r}, source='cyst', target='malignant')", Stress)
    assert changed.items() <= flips(more, cases_of(labels, 3), range(n), seed).items()


@pytest.mark.parametrize(
    ("fields", "pair"),
    [
        ("", (1, 0)),
        ("source='malignant'", (1, 0)),
        ("target='malignant'", (0, 1)),
        ("source='benign'", (0, 1)),
        ("source='benign', target='malignant'", (0, 1)),
    ],
)
def test_in_a_yes_no_question_one_class_says_the_other(fields: str, pair: tuple[int, int]):
    changed = flips(parse(f"ClassNoise({fields})", Stress), cases_of([0, 1] * 20), range(40))
    assert list(changed.values()) == [pair] * 4


def test_class_noise_says_which_classes_there_are():
    three = cases_of([0, 1, 2], 3).task
    with pytest.raises(UserError, match=r"with 3 classes, say which .*source='cyst', target='benign'"):
        Stress.of("class_noise", 0.2).accept(three)
    with pytest.raises(UserError, match="no class 'tumour'; there are benign, malignant, cyst"):
        parse("ClassNoise(source='tumour', target='cyst')", Stress).accept(three)


# masks


def lesions_of(mask: np.ndarray) -> list[np.ndarray]:
    """The connected parts of each class, as masks, found by flooding from voxel to voxel."""
    found, left = [], mask > 0
    while left.any():
        start = np.zeros_like(left)
        start[tuple(np.argwhere(left)[0])] = True
        same = mask == mask[start][0]
        whole = ndimage.binary_propagation(start, structure=np.ones((3,) * mask.ndim), mask=same)
        found.append(whole)
        left &= ~whole
    return found


SIZES = [(24, 24), (10, 12, 12)]


@pytest.mark.parametrize("size", SIZES, ids=["2-D", "3-D"])
@pytest.mark.parametrize("share", [0.0, 0.1, 0.35, 1.0])
def test_missed_lesions_are_whole_and_exactly_as_many_as_asked(size: tuple[int, ...], share: float):
    cases, train = blobs(size=size), (0, 3, 4, 5)
    after = Stress.of("missed_lesions", share).relabel(cases, train, chance()).numpy()
    total = missed = 0
    for before, now in zip(cases.labels[list(train)].numpy(), after, strict=True):
        for lesion in lesions_of(before):
            gone = now[lesion] == 0
            assert gone.all() or (now[lesion] == before[lesion]).all()
            total, missed = total + 1, missed + bool(gone.all())
        assert (now[before == 0] == 0).all()
    assert total > 10
    assert missed == round(share * total)


def test_lesions_missed_at_a_low_level_are_missed_at_a_higher_one():
    cases = blobs()
    less, more = (Stress.of("missed_lesions", share).relabel(cases, range(6), chance()) for share in (0.2, 0.5))
    assert ((less != cases.labels) <= (more != cases.labels)).all()
    assert (less != cases.labels).any()


def test_touching_corners_are_one_lesion_and_classes_are_apart():
    row = np.array([[1, 0, 0, 2], [0, 1, 2, 0], [0, 0, 0, 0], [1, 0, 0, 0]])
    cases = masks_of(row[None], ("background", "a", "b"))
    made = [Stress.of("missed_lesions", 1 / 3).relabel(cases, [0], chance(seed))[0] for seed in range(30)]
    gone = {tuple(row[one.numpy() != row].tolist()) for one in made}
    assert gone == {(1, 1), (2, 2), (1,)}


def depth(mask: np.ndarray) -> np.ndarray:
    """How far each voxel is from the nearest known one of another class."""
    far = np.full(mask.shape, np.inf)
    for label in set(np.unique(mask).tolist()) - {-1}:
        other = (mask != label) & (mask != -1)
        if other.any():
            far = np.where(mask == label, ndimage.distance_transform_edt(~other), far)
    return far


@pytest.mark.parametrize("size", SIZES, ids=["2-D", "3-D"])
@pytest.mark.parametrize("classes", [2, 4])
@pytest.mark.parametrize("voxels", [1, 2, 3])
def test_boundary_noise_changes_only_voxels_near_a_boundary(size: tuple[int, ...], classes: int, voxels: int):
    cases = blobs(size=size, classes=classes)
    cases.labels[:, :2] = -1  # a strip that nobody has looked at
    after = Stress.of("boundary_noise", voxels).relabel(cases, range(6), chance()).numpy()
    for before, now in zip(cases.labels.numpy(), after, strict=True):
        assert (depth(before)[before != now] <= voxels).all()
        assert ((before == -1) == (now == -1)).all()
        assert set(np.unique(now)) <= set(np.unique(before))


def one_lesion(radius: int = 5, size: tuple[int, ...] = (21, 21), n: int = 40) -> Cases:
    grid = np.indices(size) - np.array([side // 2 for side in size]).reshape(-1, *(1 for _ in size))
    return masks_of(np.stack([(grid**2).sum(0) <= radius**2] * n))


@pytest.mark.parametrize("size", [(21, 21), (17, 17, 17)], ids=["2-D", "3-D"])
def test_a_lone_lesion_is_dilated_or_eroded_by_a_ball_about_evenly(size: tuple[int, ...]):
    cases = one_lesion(size=size)
    true = cases.labels[0].numpy() > 0
    ball = (np.indices((5,) * len(size)) - 2).__pow__(2).sum(0) <= 4
    wide, narrow = ndimage.binary_dilation(true, ball), ndimage.binary_erosion(true, ball)
    after = Stress.of("boundary_noise", 2).relabel(cases, range(40), chance()).numpy() > 0
    is_wide = [bool((one == wide).all()) for one in after]
    assert all(grown or (one == narrow).all() for grown, one in zip(is_wide, after, strict=True))
    assert 12 <= sum(is_wide) <= 28


@settings(max_examples=25, deadline=None)
@given(st.floats(0, 1), st.integers(1, 30), st.integers(0, 99))
def test_exactly_the_share_of_lesions_gets_another_outline(share: float, n: int, seed: int):
    cases = one_lesion(n=n)
    after = parse(f"BoundaryNoise(share={share!r})", Stress).relabel(cases, range(n), chance(seed))
    moved = (after != cases.labels).flatten(1).any(1)
    assert int(moved.sum()) == round(share * n)
    more = parse(f"BoundaryNoise(share={min(1, share + 0.3)!r})", Stress).relabel(cases, range(n), chance(seed))
    assert more[moved].equal(after[moved])


def every_outcome(mask: np.ndarray, classes: tuple[str, ...], voxels: int = 1) -> set[tuple[int, ...]]:
    """All masks that boundary noise makes of one mask of one row, as rows."""
    cases = masks_of(mask[None], classes)
    made = (Stress.of("boundary_noise", voxels).relabel(cases, [0], chance(seed)) for seed in range(40))
    return {tuple(one.flatten().tolist()) for one in made}


def test_what_a_tumour_loses_becomes_the_organ_around_it():
    row = np.array([[1, 1, 1, 2, 2, 2, 1, 1, 1]])  # the liver fills the image but for its tumour
    made = every_outcome(row, ("background", "liver", "tumour"))
    assert (1, 1, 1, 1, 2, 1, 1, 1, 1) in made
    # each boundary moves one way, whatever becomes of the lesions on its two sides
    assert made == {(1, 1, *left, 2, *right, 1, 1) for left in ((1, 1), (2, 2)) for right in ((1, 1), (2, 2))}


def test_a_lesion_that_shrinks_takes_nothing_from_another_in_its_box():
    mask = np.zeros((20, 20), dtype=int)
    mask[2:18, 2:18] = 1  # liver
    mask[4:14, 4:7] = mask[11:14, 4:14] = 2  # a tumour, bent around
    mask[7, 10] = 2  # a small one
    seen, cases = 0, masks_of(mask[None], ("background", "liver", "tumour"))
    for seed in range(60):
        after = parse("BoundaryNoise(share=0.6666)", Stress).relabel(cases, [0], chance(seed))[0]
        if after[2, 8] == 0 and after[4, 5] == 1:  # the liver shrank, then the bent tumour; the third was not drawn
            assert (after[[6, 8, 7, 7], [10, 10, 9, 11]] == 2).all()
            seen += 1
    assert seen


def test_no_lesion_vanishes_by_erosion():
    assert every_outcome(np.array([[0, 0, 1, 0, 0]]), ("background", "lesion"), 3) == {
        (0, 0, 1, 0, 0),
        (1, 1, 1, 1, 1),
    }
    assert every_outcome(np.array([[0, 1, 1, 1, 0]]), ("background", "lesion"), 3) == {
        (0, 0, 1, 0, 0),
        (1, 1, 1, 1, 1),
    }


def test_the_edge_of_the_image_and_ignored_voxels_are_no_boundary():
    assert every_outcome(np.array([[1, 1, 1, 0, 0]]), ("background", "lesion")) == {(1, 1, 0, 0, 0), (1, 1, 1, 1, 0)}
    assert every_outcome(np.array([[-1, 1, 1, 1, 0]]), ("background", "lesion")) == {
        (-1, 1, 1, 0, 0),
        (-1, 1, 1, 1, 1),
    }
    assert every_outcome(np.array([[1, 1, 1]]), ("background", "lesion")) == {(1, 1, 1)}


# imbalance


@settings(max_examples=60, deadline=None)
@given(st.integers(2, 60), st.integers(2, 60), st.floats(0.03, 0.9), st.integers(0, 99))
def test_the_positive_class_makes_up_the_share_within_one_case(rare: int, others: int, share: float, seed: int):
    cases = cases_of([1] * rare + [0] * others + [1] * 9)
    train = range(rare + others)
    wanted = round(share / (1 - share) * others)
    assume(2 <= wanted <= rare)
    kept = Stress.of("imbalance", share).keep(cases, train, chance(seed))
    labels = cases.labels[list(kept)]
    assert set(range(rare, rare + others)) <= set(kept) <= set(train)
    assert abs(int(labels.sum()) - share * len(kept)) <= 1
    if (lower := share * 0.8) / (1 - lower) * others >= 2.5:
        assert set(Stress.of("imbalance", lower).keep(cases, train, chance(seed))) <= set(kept)


def test_of_several_classes_the_rarest_is_thinned_unless_one_is_named():
    cases = cases_of([0] * 40 + [1] * 20 + [2] * 30, 3)
    kept = Stress.of("imbalance", 0.125).keep(cases, range(90), chance())
    assert np.bincount(cases.labels[list(kept)]).tolist() == [40, 10, 30]
    named = parse("Imbalance(share=0.25, rare='benign')", Stress)
    kept = named.keep(cases, range(90), chance())
    assert np.bincount(cases.labels[list(kept)]).tolist() == [17, 20, 30]  # 50 others are three quarters of 66.7


def test_in_segmentation_cases_with_foreground_are_thinned():
    cases = blobs(n=30, empty=16)
    kept = Stress.of("imbalance", 0.2).keep(cases, range(30), chance())
    assert set(range(16)) <= set(kept)
    assert len(kept) == 20
    rare = parse("Imbalance(share=0.2, rare='class 2')", Stress)
    shows = (cases.labels == 2).flatten(1).any(1).numpy()
    kept = list(rare.keep(cases, range(30), chance()))
    assert shows[kept].sum() == round(0.25 * (~shows).sum())


def test_imbalance_that_cannot_be_had_says_what_to_do():
    with pytest.raises(UserError, match=r"2 of 20 training cases show what is looked for, a share of 0.1: already rar"):
        Stress.of("imbalance", 0.2).keep(cases_of([1] * 2 + [0] * 18), range(20), chance())
    with pytest.raises(UserError, match=r"and 1 would remain; 2 are needed.*\n.*18 others that is a share of 0.1"):
        Stress.of("imbalance", 0.05).keep(cases_of([1] * 2 + [0] * 18), range(20), chance())
    with pytest.raises(UserError, match=r"6 of 6 .* show foreground, so that dropping .*\n.*patches.*MissedLesions"):
        Stress.of("imbalance", 0.2).keep(blobs(empty=0), range(6), chance())
    with pytest.raises(UserError, match="no class 'tumour'; there are benign, malignant"):
        parse("Imbalance(rare='tumour')", Stress).accept(cases_of([0, 1]).task)


def test_the_least_share_that_an_error_names_is_enough():
    cases = cases_of([1] * 10 + [0] * 90)
    kept = Stress.of("imbalance", 2 / 92).keep(cases, range(100), chance())
    assert int(cases.labels[list(kept)].sum()) == 2


# training size


def uneven(seed: int, patients: int = 30, classes: int = 3) -> Cases:
    """Patients with 1 to 9 cases, each with its own mixture of classes."""
    draw = chance(seed)
    patient = np.repeat(np.arange(patients), draw.integers(1, 10, patients))
    labels = (patient + (draw.random(len(patient)) < 0.2)) % classes
    return cases_of(labels.tolist(), classes, [f"p{one}" for one in patient])


def patients_of(cases: Cases, index: Sequence[int]) -> set[str]:
    return {cases.groups[i] for i in index}


@settings(max_examples=40, deadline=None)
@given(st.floats(0.001, 1), st.integers(3, 40), st.integers(0, 99))
def test_the_share_of_patients_remains_whole_to_within_one(share: float, patients: int, seed: int):
    cases = uneven(seed, patients)
    train = [i for i in range(len(cases)) if cases.groups[i] != "p0"]
    kept = Stress.of("size", share).keep(cases, train, chance(seed))
    names = patients_of(cases, kept)
    assert kept == tuple(i for i in train if cases.groups[i] in names)
    assert set(cases.labels[list(kept)].tolist()) == set(cases.labels[train].tolist())
    least = 5  # so few hold every class
    assert abs(len(names) - share * (patients - 1)) <= 0.5 or len(names) <= least
    assert len(names) >= 2
    fit, chosen = inner(cases, kept, fraction=0.2, seed=seed)
    assert fit and chosen


@settings(max_examples=25, deadline=None)
@given(st.lists(st.floats(0.01, 1), min_size=2, max_size=4), st.integers(0, 99))
def test_patients_of_a_smaller_training_set_are_in_a_larger_one(shares: list[float], seed: int):
    cases = uneven(seed)
    sets = [set(Stress.of("size", share).keep(cases, range(len(cases)), chance(seed))) for share in sorted(shares)]
    assert all(small <= large for small, large in pairwise(sets))


@pytest.mark.parametrize("share", [0.1, 0.25, 0.4, 0.7])
def test_classes_and_strata_keep_their_shares(share: float):
    labels = np.repeat([0, 1, 2], [120, 60, 20])
    strata = chance(0).choice(["ct", "mr"], 200, p=[0.7, 0.3])
    cases = cases_of(labels.tolist(), 3, strata=tuple(strata.tolist()))
    for seed in range(5):
        kept = list(Stress.of("size", share).keep(cases, range(200), chance(seed)))
        assert len(kept) == round(200 * share)
        assert np.abs(np.bincount(labels[kept]) - share * np.array([120, 60, 20])).max() <= 4
        assert abs((strata[kept] == "ct").sum() - share * (strata == "ct").sum()) <= 4


def test_a_quantity_keeps_its_spread():
    cases = radii(100)
    for seed in range(5):
        kept = Stress.of("size", 0.2).keep(cases, range(100), chance(seed))
        assert len(kept) == 20
        assert np.bincount(np.array(kept) // 20, minlength=5).tolist() == pytest.approx([4] * 5, abs=1)


def test_every_patient_has_about_the_same_chance_to_remain():
    cases = cases_of([0, 1] * 10)
    counts = np.zeros(20)
    for seed in range(400):
        counts[list(Stress.of("size", 0.3).keep(cases, range(20), chance(seed)))] += 1
    assert counts.sum() == 2400
    assert counts.min() > 85 and counts.max() < 155  # expected 120, sd about 9


def test_the_smallest_training_set_has_every_class_even_one_of_a_single_patient():
    cases = cases_of([0] * 60 + [1] * 39 + [2], 3)
    for seed in range(20):
        kept = Stress.of("size", 0.01).keep(cases, range(100), chance(seed))
        assert set(cases.labels[list(kept)].tolist()) == {0, 1, 2}
        assert len(kept) <= 8


def test_one_patient_is_too_few():
    with pytest.raises(UserError, match="only 1 training patient; 2 are needed"):
        Stress.of("size", 0.5).keep(cases_of([0, 1], groups=["p", "p"]), [0, 1], chance())


# test shift


def scans(n: int = 3, channels: int = 2, size: tuple[int, ...] = (64, 64)) -> Tensor:
    """Each channel with a mean and a spread of its own."""
    images = chance(2).standard_normal((n, channels, *size)).astype(np.float32)
    images = ndimage.gaussian_filter(images, (0, 0, *(1.0 for _ in size)))
    scale = np.arange(1, n * channels + 1).reshape(n, channels, *(1 for _ in size))
    return torch.from_numpy((images * scale + 10 * scale).astype(np.float32))


def shifted(fields: str, images: Tensor) -> Tensor:
    after = parse(f"TestShift({fields})", Stress).reimage(images, chance())
    assert after.dtype == torch.float32
    assert after.shape == images.shape
    return after


@pytest.mark.parametrize("size", [(64, 64), (16, 16, 16)], ids=["2-D", "3-D"])
def test_each_shift_is_what_its_unit_says(size: tuple[int, ...]):
    images = scans(size=size)
    axes = tuple(range(2, images.ndim))
    mean, sd = images.mean(axes, keepdim=True), images.std(axes, keepdim=True, correction=0)
    noise = (shifted("noise=0.5", images) - images) / sd
    assert noise.mean(axes).abs().max() < 0.05
    assert (noise.std(axes) - 0.5).abs().max() < 0.03
    assert not noise[0].equal(noise[1])
    torch.testing.assert_close(shifted("brightness=-2", images), images - 2 * sd)
    torch.testing.assert_close(shifted("contrast=0.5", images), mean + (images - mean) / 2, rtol=1e-4, atol=1e-4)
    for dark, fields in ((True, "gamma=2"), (False, "gamma=0.5")):
        bent = shifted(fields, images)
        assert ((bent <= images + 1e-3) if dark else (bent >= images - 1e-3)).all()
        torch.testing.assert_close(bent.amax(axes), images.amax(axes))
        torch.testing.assert_close(bent.amin(axes), images.amin(axes))


@pytest.mark.parametrize("size", [(33, 33), (17, 17, 17)], ids=["2-D", "3-D"])
def test_blur_spreads_a_point_by_its_sigma_and_not_over_cases_or_channels(size: tuple[int, ...]):
    images = torch.zeros(2, 2, *size)
    images[(0, 1, *(side // 2 for side in size))] = 1
    after = shifted("blur=1.5", images)
    assert after[0, 0].abs().max() == after[1].abs().max() == 0
    point = after[0, 1].double().numpy()
    offsets = np.indices(size) - size[0] // 2
    assert point.sum() == pytest.approx(1, rel=1e-4)
    for axis in offsets:
        assert (point * axis**2).sum() == pytest.approx(1.5**2, rel=0.02)


def test_a_stronger_shift_is_the_same_noise_louder():
    images = scans()
    low, high = shifted("noise=0.2", images) - images, shifted("noise=0.4", images) - images
    torch.testing.assert_close(2 * low, high, rtol=1e-3, atol=1e-4)


def test_a_blank_image_stays_blank():
    blank = torch.full((1, 1, 8, 8), 3.0)
    assert shifted("noise=1, brightness=1, contrast=2, gamma=2, blur=1", blank).equal(blank)


# what a record keeps


def test_flipped_labels_are_told_by_id():
    cases = cases_of([0, 1, 2, 0, 1, 2] * 5, 3)
    train = list(range(3, 30))
    after = Stress.of("label_noise", 0.2).relabel(cases, train, chance())
    told = touched(cases.labels[train], after, [cases.ids[i] for i in train])
    assert json.loads(json.dumps(told)) == told
    assert {case: (was, now) for case, was, now in told["flipped"]} == {
        f"c{case}": pair for case, pair in flips(Stress.of("label_noise", 0.2), cases, train).items()
    }
    assert len(told["flipped"]) == 5


def test_changed_voxels_are_counted_by_id():
    before = torch.zeros(3, 2, 2, dtype=torch.long)
    after = before.clone()
    after[1, 0] = 1
    told = touched(before, after, ["a", "b", "c"])
    assert told == {"voxels": {"b": 2}}
    assert json.loads(json.dumps(told)) == told


def test_nothing_changed_is_told_too():
    assert touched(torch.tensor([0, 1]), torch.tensor([0, 1]), ["a", "b"]) == {"flipped": []}
    assert touched(torch.zeros(1, 2, 2), torch.zeros(1, 2, 2), ["a"]) == {"voxels": {}}
    with pytest.raises(ValueError, match=r"labels \(2,\) and \(3,\) of 2 cases do not fit"):
        touched(torch.zeros(2), torch.zeros(3), ["a", "b"])


def test_label_noise_flips_candidates_with_all_their_views():
    cases, train = views(), range(30, 120)
    flipped = flips(Stress.of("label_noise", 0.25), cases, train)
    assert cases.candidates is not None
    number = cases.candidates.numbers
    hit, shown = {int(number[at]) for at in flipped}, {int(number[at]) for at in train}
    assert set(flipped) == {at for at in train if int(number[at]) in hit}
    assert len(hit) == round(0.25 * len(shown))
