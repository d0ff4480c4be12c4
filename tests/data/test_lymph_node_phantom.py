"""The phantom against its density, computed point by point, against its distributions, and against what it promises."""

import tracemalloc
from dataclasses import replace
from math import exp, sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import kstest, special_ortho_group

from whichloss.core import UserError
from whichloss.data import Cases
from whichloss.data.lymph_node_phantom import MEAN, SPREAD, LymphNodePhantom
from whichloss.data.phantom import Structures, Views, Volume, render


@pytest.fixture(scope="module")
def many() -> list[Volume]:
    """What chance decided about 1500 volumes, of which no image is drawn."""
    data = LymphNodePhantom(volumes=1500, views=1)
    return [data.draw(number) for number in range(1500)]


@pytest.fixture(scope="module")
def small() -> Cases:
    return LymphNodePhantom(volumes=6).load()


# the picture


def grey(point: np.ndarray, structures: Structures, place: int) -> float:
    """At one point, from the middle of a place: the brightest spheroid, each in the coordinates of its own axes."""
    brightest = 0.0
    for k in range(len(structures.place)):
        if structures.place[k] != place:
            continue
        b, e, n = structures.radius[k], structures.elongation[k], structures.axis[k]
        across = np.linalg.svd(n[None])[2][1:]  # two directions across the axis
        x = point - structures.centre[k]
        rho = sqrt(sum((float(x @ u) / b) ** 2 for u in across) + (float(x @ n) / (e * b)) ** 2)
        brightest = max(brightest, structures.contrast[k] / (1 + exp(min(b * (rho - 1) / 0.6, 700))))
    return brightest


def by_hand(volume: Volume, v: int, size: int) -> np.ndarray:
    """One view by plain loops over its samples."""
    views, middle = volume.views, (size - 1) / 2
    first, second, third = views.frame[v]
    image = np.zeros((3, size, size))
    for plane, (down, right) in enumerate(((first, second), (first, third), (second, third))):
        for row in range(size):
            for column in range(size):
                away = views.scale[v] * ((row - middle) * down + (column - middle) * right)
                image[plane, row, column] = grey(views.origin[v] + away, volume.structures, views.place[v])
    return image


@pytest.mark.parametrize("size", [5, 12])
def test_the_picture_is_the_density(size: int) -> None:
    volume = LymphNodePhantom(neighbours=2.0, views=2, negatives=6, lesions=2.0).draw(3)
    drawn = render(volume.structures, volume.views, size)
    assert drawn.shape == (2 * volume.candidates, 3, size, size)
    for v in range(0, len(drawn), 5):
        assert np.abs(drawn[v] - by_hand(volume, v, size)).max() < 1e-10


def test_images_are_the_picture_with_noise_and_rescaled(small: Cases) -> None:
    data = LymphNodePhantom(volumes=6)
    quiet = replace(data, noise=0.0).load().images.double().numpy() * SPREAD + MEAN
    drawn = np.concatenate([render(one.structures, one.views, 20) for one in map(data.draw, range(6))])
    assert np.abs(quiet - drawn).max() < 2.0**-12
    noise = small.images.double().numpy() * SPREAD + MEAN - quiet
    assert noise.std() == pytest.approx(0.25, rel=0.005)
    assert abs(noise.mean()) < 0.001
    assert abs(np.corrcoef(noise[:, 0].ravel(), noise[:, 1].ravel())[0, 1]) < 0.01
    assert small.images.mean().item() == pytest.approx(0.0, abs=0.1)
    assert small.images.std().item() == pytest.approx(1.0, abs=0.15)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**63), st.integers(0, 10**6), st.integers(4, 16))
def test_turning_anatomy_and_frame_together_changes_nothing(seed: int, number: int, size: int) -> None:
    volume = LymphNodePhantom(seed=seed, views=1, negatives=3).draw(number)
    turn = special_ortho_group.rvs(3, random_state=seed % 2**32)
    structures, views = volume.structures, volume.views
    turned = render(
        replace(structures, centre=structures.centre @ turn, axis=structures.axis @ turn),
        replace(views, origin=views.origin @ turn, frame=views.frame @ turn),
        size,
    )
    assert np.abs(turned - render(structures, views, size)).max() < 1e-9


def test_views_of_one_candidate_show_the_same_object() -> None:
    """Seen from one frame, they are one picture; so are those of the candidates of one lesion."""
    volume = LymphNodePhantom(views=4).draw(0)
    views = volume.views
    fixed: Views = replace(
        views,
        origin=np.zeros_like(views.origin),
        frame=np.broadcast_to(np.eye(3), views.frame.shape),
        scale=np.ones_like(views.scale),
    )
    pictures = render(volume.structures, fixed, 10).reshape(volume.candidates, 4, -1)
    assert np.array_equal(pictures[:, :1].repeat(4, 1), pictures)
    first = pictures[:, 0]
    assert volume.lesions > 1
    assert np.array_equal(first[0 : 2 * volume.lesions : 2], first[1 : 2 * volume.lesions : 2])
    assert len(np.unique(first, axis=0)) == volume.lesions + 38


def test_anatomy_can_be_drawn_again_with_one_fact_changed() -> None:
    volume = LymphNodePhantom(views=1).draw(0)
    longer = replace(volume.structures, elongation=volume.structures.elongation * 1.5)
    assert (render(longer, volume.views, 8) >= render(volume.structures, volume.views, 8)).all()


# what chance decides


def test_numbers_of_lesions_and_candidates(many: list[Volume]) -> None:
    lesions = np.array([one.lesions for one in many])
    assert lesions.mean() == pytest.approx(5.585, abs=4 * sqrt(5.585 / len(many)))
    assert lesions.var() == pytest.approx(5.585, rel=0.15)
    assert (lesions == 0).mean() == pytest.approx(exp(-5.585), abs=0.006)
    for one in many[:200]:
        assert one.candidates == 2 * one.lesions + 38
        assert np.bincount(one.views.place).tolist() == [2] * one.lesions + [1] * 38
    beside = np.concatenate([np.bincount(one.structures.place) - 1 for one in many])
    assert beside.mean() == pytest.approx(1.0, abs=4 * sqrt(1 / len(beside)))
    assert beside.var() == pytest.approx(1.0, rel=0.05)


def places(many: list[Volume], name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A fact about lesions, about the vessels that are candidates, and about neighbours."""
    parts = [np.split(getattr(one.structures, name), [one.lesions, one.lesions + 38]) for one in many]
    lesion, vessel, beside = (np.concatenate(part) for part in zip(*parts, strict=True))
    return lesion, vessel, beside


def test_elongation_tells_the_classes_apart_and_nothing_else_does(many: list[Volume]) -> None:
    lesion, vessel, beside = places(many, "elongation")
    assert kstest(lesion, lambda e: 1 - ((2.2 - e) / 1.3) ** 2).pvalue > 1e-3
    for one in (vessel, beside):
        assert kstest(one, lambda e: (e - 1.2) / 6.8).pvalue > 1e-3
    assert 0.9 < lesion.min() < 0.91
    assert 2.1 < lesion.max() < 2.2
    for name, low, high in (("radius", 2.5, 6.0), ("contrast", 0.8, 1.2)):
        for one in places(many, name)[:2]:
            assert kstest(one, lambda x, low=low, high=high: (x - low) / (high - low)).pvalue > 1e-3
    thin = places(many, "radius")[2]
    assert kstest(thin, lambda b: (b - 1.5) / 2.5).pvalue > 1e-3
    away = np.linalg.norm(places(many, "centre")[2], axis=1)
    assert kstest(away, lambda d: (d - 4) / 8).pvalue > 1e-3
    assert not any(place.any() for place in places(many, "centre")[:2])


def test_directions_and_rotations_are_even(many: list[Volume]) -> None:
    """Each coordinate of a direction is even over (-1, 1), and so is each entry of a rotation."""
    axis = np.concatenate([one.structures.axis for one in many[:300]])
    frame = np.concatenate([one.views.frame for one in many[:300]])
    assert np.allclose(np.linalg.norm(axis, axis=1), 1)
    assert np.allclose(frame @ frame.swapaxes(1, 2), np.eye(3))
    assert np.allclose(np.linalg.det(frame), 1)
    for coordinate in (*axis.T, *frame.reshape(-1, 9).T):
        assert kstest(coordinate, lambda x: (x + 1) / 2).pvalue > 1e-3
    turn = (np.trace(frame, axis1=1, axis2=2) - 1) / 2  # the cosine of the angle
    angle = np.arccos(np.clip(turn, -1, 1))
    assert kstest(angle, lambda a: (a - np.sin(a)) / np.pi).pvalue > 1e-3


def test_marks_shifts_and_scales() -> None:
    views = [LymphNodePhantom(views=4, hits=1).draw(number).views for number in range(150)]
    origin = np.concatenate([one.origin for one in views])
    assert 2.8 < np.abs(origin).max() < 3
    assert origin.var() == pytest.approx(2 * 3**2 / 12, rel=0.05)
    within = origin.reshape(-1, 4, 3)
    assert within.var(1, ddof=1).mean() == pytest.approx(3**2 / 12, rel=0.05), "of one mark"
    scale = np.concatenate([one.scale for one in views])
    assert set(scale) == {1.0, 1.5}
    assert (scale == 1).mean() == pytest.approx(0.5, abs=4 * sqrt(0.25 / len(scale)))


# the best that can be done


def froc_area(volumes: list[Volume], scores: list[np.ndarray], up_to: float = 10) -> float:
    """Area under sensitivity over false positives per volume; a step at every false positive."""
    false = np.concatenate([score[2 * one.lesions :] for one, score in zip(volumes, scores, strict=True)])
    found = [score[: 2 * one.lesions].reshape(-1, 2).max(1) for one, score in zip(volumes, scores, strict=True)]
    best = np.sort(np.concatenate(found))
    thresholds = np.sort(false)[::-1][: int(up_to * len(volumes))]
    return float(1 - np.searchsorted(best, thresholds, side="right").mean() / len(best))


def test_the_reader_who_knows_the_shape(many: list[Volume]) -> None:
    """1 - (38 / 6.8) / (3 * 1.3^2) / 10 = .890."""
    known = [-one.structures.elongation[one.views.place] for one in many]
    assert froc_area(many, known) == pytest.approx(1 - 38 / 6.8 / (3 * 1.69) / 10, abs=0.008)
    assert round(1 - 38 / 6.8 / (3 * 1.69) / 10, 3) == 0.890


def test_the_reader_who_judges_the_candidates_of_a_lesion_apart(many: list[Volume]) -> None:
    """Marking a candidate of elongation e by chance p maximises the mean of 1 - (1 - p)^2 over lesions at a mean of p
    over vessels: p = 1 - mu / (2.2 - e), 1 where no vessel is. The area is 1 - (38 / 6.8) (1/9 + 4/27) / 1.3^2 / 10.
    """
    chance = np.random.default_rng(0)
    scores = []
    for one in many:
        e = one.structures.elongation[one.views.place]
        # no vessel is below 1.2
        scores.append(np.where(e < 1.2, np.inf, (2.2 - e) * chance.random(len(e))))
    best = 1 - 38 / 6.8 * (1 / 9 + 4 / 27) / 1.69 / 10
    assert froc_area(many, scores) == pytest.approx(best, abs=0.008)
    assert round(best, 3) == 0.914


# cases


def test_names_and_columns(small: Cases) -> None:
    candidates = small.candidates
    assert candidates is not None
    assert candidates.volume == small.groups
    assert len(set(small.groups)) == 6
    assert (small.task.kind, small.task.classes, small.task.channels) == ("detection", ("no lesion", "lesion"), 3)
    assert [bool(lesion) for lesion in candidates.lesion] == small.labels.bool().tolist()
    assert (candidates.numbers.bincount() == 5).all()
    assert candidates.missed == ()
    truth = small.truth(range(len(small)))
    hits = {tuple(row) for row in truth[:, [3, 1]].tolist() if row[0] >= 0}
    assert np.bincount([lesion for lesion, _ in hits]).tolist() == [2] * len({lesion for lesion, _ in hits})
    by_view = {name: np.array(column).reshape(-1, 5) for name, column in small.columns.items()}
    assert set(by_view) == {"elongation", "radius", "contrast", "neighbours", "scale"}
    for name in ("elongation", "radius", "contrast", "neighbours"):
        assert (by_view[name] == by_view[name][:, :1]).all()
    drawn = [LymphNodePhantom().draw(number) for number in range(6)]
    assert by_view["scale"].ravel().tolist() == np.concatenate([one.views.scale for one in drawn]).tolist()
    assert by_view["neighbours"].sum() > 0


def test_a_column_belongs_to_what_the_view_shows() -> None:
    """Where it is thick enough to be met by every view, a structure without neighbours shows its own grey level."""
    data = LymphNodePhantom(volumes=2, neighbours=0.0, noise=0.0, views=2)
    cases = data.load()
    most = cases.images.flatten(1).max(1).values.numpy() * SPREAD + MEAN
    contrast, radius = np.array(cases.columns["contrast"]), np.array(cases.columns["radius"])
    thick = radius > 5
    assert thick.sum() > 20
    assert np.abs(most - contrast)[thick].max() < 0.06
    assert (most <= contrast + 2.0**-12).all()


def test_fewer_volumes_are_the_beginning_of_more(small: Cases) -> None:
    few = LymphNodePhantom(volumes=2).load()
    n = len(few)
    assert few.images.equal(small.images[:n])
    assert few.labels.equal(small.labels[:n])
    assert (few.ids, few.groups) == (small.ids[:n], small.groups[:n])
    assert few.columns == small.subset(range(n)).columns
    assert few.truth(range(n)).equal(small.truth(range(n)))


def test_fewer_views_are_the_beginning_of_more(small: Cases) -> None:
    few = LymphNodePhantom(volumes=6, views=2).load()
    first = small.images.unflatten(0, (-1, 5))[:, :2].flatten(0, 1)
    assert few.images.equal(first)
    assert set(few.ids) < set(small.ids)


def test_another_seed_is_other_anatomy(small: Cases) -> None:
    other = LymphNodePhantom(volumes=6, seed=1).load()
    assert not set(other.columns["elongation"]) & set(small.columns["elongation"])
    assert not set(other.ids) & set(small.ids)
    assert not set(other.groups) & set(small.groups)


def test_draws_are_independent_and_share_one_test_set() -> None:
    data = LymphNodePhantom(volumes=3, test_volumes=4, views=2)
    draws = [data.load_draw(number) for number in (0, 1)]
    tests = [one.subset([i for i, side in enumerate(one.sides) if side == "test"]) for one in draws]
    trains = [one.subset([i for i, side in enumerate(one.sides) if side == "train"]) for one in draws]
    assert tests[0].digest == tests[1].digest
    assert tests[0].columns == tests[1].columns
    assert [len(set(one.groups)) for one in (*trains, *tests)] == [3, 3, 4, 4]
    for one, other in ((trains[0], trains[1]), (trains[0], tests[0]), (trains[1], tests[0])):
        assert not set(one.groups) & set(other.groups)
        assert not set(one.ids) & set(other.ids)
        assert not set(one.columns["elongation"]) & set(other.columns["elongation"])
    candidates = draws[0].candidates
    assert candidates is not None
    assert len(candidates.numbers.unique()) == len(draws[0]) / 2
    assert data.load_draw(0).digest == draws[0].digest
    assert replace(data, volumes=2).load_draw(0).images[:50].equal(draws[0].images[:50])


def test_a_volume_may_have_no_lesion() -> None:
    data = LymphNodePhantom(volumes=30, lesions=0.5, negatives=4, views=2, size=6)
    cases = data.load()
    assert cases.candidates is not None
    healthy = [number for number in range(30) if data.draw(number).lesions == 0]
    assert 8 < len(healthy) < 28
    for number in healthy:
        here = [i for i, volume in enumerate(cases.candidates.volume) if volume == f"0-{number:03d}"]
        assert len(here) == 8
        assert not cases.labels[here].any()
    truth = cases.truth(range(len(cases)))
    assert len(truth[:, 2].unique()) == 30


@settings(max_examples=60, deadline=None)
@given(
    st.fixed_dictionaries(
        {
            "volumes": st.integers(2, 4),
            "views": st.integers(1, 4),
            "size": st.integers(1, 9),
            "lesions": st.floats(0.1, 8),
            "hits": st.integers(1, 3),
            "negatives": st.integers(1, 7),
            "neighbours": st.floats(0, 5),
            "noise": st.floats(0, 10),
            "seed": st.integers(0, 2**70),
        }
    )
)
def test_whatever_is_asked_for(fields: dict) -> None:
    data = LymphNodePhantom(**fields)
    lesions = [data.draw(number).lesions for number in range(data.volumes)]
    if not any(lesions):
        with pytest.raises(UserError, match="class 'lesion' is empty"):
            data.load()
        return
    cases = data.load()
    positive = data.hits * sum(lesions)
    assert len(cases) == data.views * (positive + data.volumes * data.negatives)
    assert cases.labels.sum() == data.views * positive
    assert cases.images.shape[1:] == (3, data.size, data.size)
    assert cases.candidates is not None
    assert len(set(cases.candidates.lesion) - {""}) == sum(lesions)


def test_memory_beyond_the_images_does_not_grow_with_the_volumes() -> None:
    def beyond(volumes: int) -> int:
        tracemalloc.start()
        cases = LymphNodePhantom(volumes=volumes).load()
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak - cases.images.nbytes

    beyond(2)
    assert beyond(24) < 1.5 * beyond(8)
