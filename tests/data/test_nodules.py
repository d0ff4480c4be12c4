"""The generator against its formula, computed pixel by pixel, and against its distribution."""

from dataclasses import replace
from math import atan2, cos, exp, hypot, sqrt

import numpy as np
import pytest

from whichloss.data.nodule import Drawn, edge, render
from whichloss.data.nodules import Nodules


def by_hand(drawn: Drawn, i: int, grain: float) -> np.ndarray:
    """One image by plain loops over pixels."""
    size = drawn.noise.shape[-1]
    middle = (size - 1) / 2

    def smoothed(white: np.ndarray, sigma: float) -> list[list[float]]:
        def weights(at: int) -> list[float]:
            raw = [exp(-((at - other) ** 2) / (2 * sigma * sigma)) for other in range(size)]
            length = sqrt(sum(w * w for w in raw))
            return [w / length for w in raw]

        rows = [weights(at) for at in range(size)]
        half = [[sum(rows[a][b] * white[b, c] for b in range(size)) for c in range(size)] for a in range(size)]
        return [[sum(half[a][b] * rows[c][b] for b in range(size)) for c in range(size)] for a in range(size)]

    texture, background = smoothed(drawn.noise[i, 0], 1.2), smoothed(drawn.noise[i, 1], 2.0)
    s = 0.15 + 0.7 * drawn.shape[i] + drawn.shape_spread[i]
    t = 0.15 + 0.7 * drawn.texture[i] + drawn.texture_spread[i]
    k, (phi, phi2) = drawn.spikes[i], drawn.spike_phase[i]
    image = np.zeros((size, size))
    for row in range(size):
        for column in range(size):
            down = row - middle - drawn.centre[i, 0]
            right = column - middle - drawn.centre[i, 1]
            theta, rho = atan2(down, right), hypot(down, right)
            low = sum(drawn.bend[i, j - 2] * cos(j * theta + drawn.bend_phase[i, j - 2]) for j in (2, 3))
            spikes = 0.7 * cos(k * theta + phi) + 0.3 * cos((k + 3) * theta + phi2)
            r = drawn.radius[i] * (1 + 0.05 * low + (0.02 + 0.30 * s) * spikes)
            m = 1 / (1 + exp(-(r - rho) / 0.6))
            b = 0.12 + 0.05 * background[row][column]
            inside = 0.6 + (0.02 + 0.16 * t) * texture[row][column]
            image[row, column] = b * (1 - m) + m * inside + grain * drawn.noise[i, 2, row, column]
    return image


@pytest.mark.parametrize("number", [0, 5])
def test_the_picture_is_the_formula(number: int) -> None:
    drawn = Nodules().draw([0, 5])
    i = [0, 5].index(number)
    assert np.abs(render(drawn, 0.04)[i] - by_hand(drawn, i, 0.04)).max() < 1e-5


def test_fewer_cases_are_the_beginning_of_more() -> None:
    few, many = Nodules(cases=30).load(), Nodules(cases=300).load()
    assert few.images.equal(many.images[:30])
    assert few.labels.equal(many.labels[:30])
    assert few.ids == many.ids[:30]
    assert few.columns == many.subset(range(30)).columns


def test_shape_and_texture_agree_with_the_class_as_often_as_asked() -> None:
    for shape, texture in ((0.95, 0.85), (1.0, 0.5), (0.0, 1.0)):
        drawn = Nodules(size=26, shape=shape, texture=texture).draw(range(2000))
        for latent, wanted in ((drawn.shape, shape), (drawn.texture, texture)):
            spread = sqrt(wanted * (1 - wanted) / 2000)
            assert abs((latent == drawn.y).mean() - wanted) <= 4 * spread
        assert abs(drawn.y.mean() - 0.5) < 4 * sqrt(0.25 / 2000)
        within = [(drawn.shape == drawn.y)[drawn.y == y].mean() for y in (0, 1)]
        assert abs(within[0] - within[1]) <= 8 * sqrt(shape * (1 - shape) / 1000)


def test_latents_stay_in_their_ranges() -> None:
    cases = Nodules(cases=1000, size=46, size_shift=3.0).load()
    y = cases.labels.numpy()
    radius = np.array(cases.columns["radius"])
    for label, low, high in ((0, 6, 11), (1, 9, 14)):
        of_class = radius[y == label]
        assert low <= of_class.min() < low + 0.1
        assert high - 0.1 < of_class.max() <= high
    for name in ("shape", "texture"):
        graded, mode = np.array(cases.columns[f"graded_{name}"]), np.array(cases.columns[name])
        assert ((graded >= 0.7 * mode) & (graded <= 0.3 + 0.7 * mode)).all()
    drawn = Nodules(size=26).draw(range(1000))
    assert set(drawn.spikes) == {6, 7, 8, 9, 10}
    assert 1.9 < np.abs(drawn.centre).max() <= 2


def test_smoothed_noise_has_variance_one_at_the_border_too() -> None:
    """The background alone: far from the nodule it is .12 + .05 G."""
    drawn = Nodules().draw(range(2000))
    corner = render(drawn, 0.0)[:, 0, 0]
    assert corner.mean() == pytest.approx(0.12, abs=4 * 0.05 / sqrt(2000))
    assert corner.std() == pytest.approx(0.05, rel=0.08)


def test_one_seed_gives_paired_suites_and_another_seed_other_cases() -> None:
    iid, conflict = Nodules(cases=40).draw(range(40)), Nodules(cases=40, shape=1.0, texture=0.0).draw(range(40))
    assert np.array_equal(iid.y, conflict.y)
    assert np.array_equal(iid.noise, conflict.noise)
    assert np.array_equal(iid.bend, conflict.bend)
    other = Nodules(cases=40, seed=1).draw(range(40))
    assert not np.isin(iid.noise[:, 0, 0, 0], other.noise[:, 0, 0, 0]).any()


def test_a_case_can_be_drawn_again_with_one_fact_changed() -> None:
    data = Nodules(cases=20)
    drawn = data.draw(range(20))
    assert np.array_equal(render(drawn, data.noise), data.load().images[:, 0].numpy())
    outer, inner = edge(drawn) < -10, edge(drawn) > 6
    rough = render(replace(drawn, texture=1 - drawn.texture), data.noise)
    before = render(drawn, data.noise)
    assert np.abs(rough - before)[outer].max() < 1e-4
    assert np.abs(rough - before)[inner].max() > 0.05
    spiky = render(replace(drawn, shape=1 - drawn.shape), data.noise)
    assert np.abs(spiky - before).reshape(20, -1).max(1).min() > 0.1


def test_the_two_features_show() -> None:
    """Spiculated nodules have the longer outline, heterogeneous ones the larger spread inside."""
    drawn = Nodules(shape=0.5, texture=0.5).draw(range(400))
    image, inside = render(drawn), edge(drawn) > 2
    spread = np.array([one[where].std() for one, where in zip(image, inside, strict=True)])
    assert np.quantile(spread[drawn.texture == 1], 0.05) > np.quantile(spread[drawn.texture == 0], 0.95)
    whole = edge(drawn) > 0
    rim = np.abs(np.diff(whole.astype(int), axis=1)).sum((1, 2)) + np.abs(np.diff(whole.astype(int), axis=2)).sum(
        (1, 2)
    )
    roughness = rim / np.sqrt(whole.sum((1, 2)))
    assert roughness[drawn.shape == 1].mean() > 1.2 * roughness[drawn.shape == 0].mean()
