"""Images and masks are augmented together, by one sampling, as the generator alone decides."""

import pickle
from collections.abc import Sequence
from math import pi, radians

import numpy as np
import pytest
import torch
from scipy import ndimage
from scipy.interpolate import BSpline
from scipy.spatial.transform import Rotation
from torch import Generator, Tensor

from whichloss.core import FieldError, UserError, parse, registry
from whichloss.core.task import IGNORED
from whichloss.study.augment import Augmentation, augment
from whichloss.study.augment.crop import Crop
from whichloss.study.augment.elastic import Elastic
from whichloss.study.augment.flip import Flip
from whichloss.study.augment.intensity import Intensity
from whichloss.study.augment.motion import Affine, Warp
from whichloss.study.augment.resized_crop import ResizedCrop
from whichloss.study.augment.rotate import Rotate, rotation
from whichloss.study.augment.sampling import resample
from whichloss.study.augment.scale import Scale
from whichloss.study.augment.shift import Shift

SIZES = [(21, 30), (12, 15, 18)]
EVERY = [cls() for cls in registry(Augmentation).values()]
MOVING = [one for one in EVERY if not isinstance(one, Intensity)]
STRONG = [Flip(), Shift(share=0.2), Rotate(degrees=180), Scale(low=0.7, high=1.5), Elastic(strength=3, spacing=8)]
CHAINS = [[one] for one in [*MOVING, *STRONG]] + [STRONG, STRONG[::-1]]


def generator(seed: int = 0) -> Generator:
    return torch.Generator().manual_seed(seed)


def noise(count: int, size: Sequence[int], channels: int = 2, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(count, channels, *size, generator=generator(99), dtype=dtype)


def no_mask(images: Tensor) -> Tensor:
    return torch.zeros(len(images), dtype=torch.long)


def images_after(images: Tensor, chain: Sequence[Augmentation], seed: int = 0, **options) -> Tensor:
    return augment(images, no_mask(images), chain, generator(seed), **options)[0]


def names(one: object) -> str:
    return "+".join(each.label for each in one) if isinstance(one, list) else str(one)


@pytest.fixture(params=SIZES, ids=["image", "volume"])
def size(request: pytest.FixtureRequest) -> tuple[int, ...]:
    return request.param


# image and mask together


def blobs(count: int, size: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Three balls in three channels, and the mask that numbers them 1 to 3."""
    places = np.stack(np.meshgrid(*[np.arange(side) for side in size], indexing="ij"))
    mask = torch.zeros(size, dtype=torch.long)
    for label, share in enumerate([(0.35, 0.4, 0.35), (0.45, 0.62, 0.5), (0.65, 0.4, 0.66)], start=1):
        centre = np.array([at * side for at, side in zip(share[-len(size) :], size, strict=True)])
        distance = np.sqrt(((places - centre.reshape(-1, *[1] * len(size))) ** 2).sum(0))
        mask[torch.from_numpy(distance <= 3.1)] = label
    masks = mask.expand(count, *size).contiguous()
    images = torch.stack([(masks == label).float() for label in (1, 2, 3)], 1)
    return images, masks


@pytest.mark.parametrize("chain", CHAINS, ids=names)
def test_an_image_that_is_the_mask_stays_the_mask(chain: list[Augmentation], size: tuple[int, ...]) -> None:
    images, masks = blobs(8, size)
    seen, answers = augment(images, masks, chain, generator())
    assert not torch.equal(answers, masks)
    for label in (1, 2, 3):
        here, channel = answers == label, seen[:, label - 1]
        assert ((channel > 0.875) <= here).all()  # the nearest of voxels that are all but surely inside is inside
        # a voxel of the mask has at least half the weight of its nearest voxel on each axis
        assert (channel[here] >= 0.5 ** len(size) - 1e-5).all()
        assert (channel.sum() - here.sum()).abs() < 0.1 * here.sum() + 5


@pytest.mark.parametrize("chain", CHAINS, ids=names)
def test_a_bright_voxel_and_its_label_move_to_one_place(chain: list[Augmentation], size: tuple[int, ...]) -> None:
    """A voxel of 3 on each side, so that the nearest voxel cannot miss it; centres of mass are compared."""
    images, masks = torch.zeros(8, 1, *size), torch.zeros(8, *size, dtype=torch.long)
    for n in range(8):
        middle = [side // 2 - 2 + (n + axis) % 4 for axis, side in enumerate(size)]
        box = tuple(slice(at - 1, at + 2) for at in middle)
        images[n, 0][box], masks[n][box] = 1.0, 1
    seen, answers = augment(images, masks, chain, generator(1))
    for image, answer in zip(seen[:, 0], answers, strict=True):
        bright, marked = ndimage.center_of_mass(image.numpy()), ndimage.center_of_mass(answer.numpy())
        np.testing.assert_allclose(bright, marked, atol=0.55)


@pytest.mark.parametrize("chain", CHAINS, ids=names)
def test_labels_stay_labels_and_ignored_ones_stay_ignored(chain: list[Augmentation], size: tuple[int, ...]) -> None:
    masks = torch.randint(0, 4, (4, *size), generator=generator(2))
    masks[masks == 1] = IGNORED
    _, answers = augment(noise(4, size), masks, chain, generator())
    assert answers.dtype == torch.long
    assert set(answers.unique().tolist()) == {IGNORED, 0, 2, 3}
    # an ignored voxel moves as one of another class does: exchanging the two before is exchanging them after
    exchanged = masks.where(masks != IGNORED, 7).where(masks != 0, IGNORED).where(masks != 7, 0)
    expected = answers.where(answers != IGNORED, 7).where(answers != 0, IGNORED).where(answers != 7, 0)
    assert torch.equal(augment(noise(4, size), exchanged, chain, generator(), outside_label=IGNORED)[1], expected)


@pytest.mark.parametrize("one", EVERY, ids=names)
def test_classes_and_quantities_of_whole_images_stay_as_they_are(one: Augmentation, size: tuple[int, ...]) -> None:
    for labels in (torch.tensor([1, 0, 2]), torch.tensor([0.5, -3.0, 7.25])):
        images, same = augment(noise(3, size), labels, [one], generator())
        assert same is labels
        assert images.shape == (3, 2, *size)


def test_intensity_leaves_the_mask_alone(size: tuple[int, ...]) -> None:
    images, masks = blobs(2, size)
    seen, same = augment(images, masks, [Intensity(gamma=0.5, noise=0.1)], generator())
    assert same is masks
    assert not torch.equal(seen, images)


# directions, against torch


def quarter(dims: int, axis: tuple[float, float, float] = (1.0, 0.0, 0.0)) -> Affine:
    matrix = rotation(torch.tensor([pi / 2], dtype=torch.float64), torch.tensor([axis], dtype=torch.float64))
    return Affine.linear(matrix if dims == 3 else matrix[:, 1:, 1:])


def moved(images: Tensor, motion: Affine | Warp) -> Tensor:
    return resample(images, None, [motion], "zeros", 0)[0]


@pytest.mark.parametrize("side", [6, 7])
def test_a_quarter_turn_is_that_of_torch(side: int) -> None:
    plane = noise(1, (side, side))
    torch.testing.assert_close(moved(plane, quarter(2)), plane.rot90(1, (2, 3)), atol=1e-5, rtol=0)
    volume = noise(1, (side, side, side))
    for axis, dims in (((1.0, 0, 0), (3, 4)), ((0, 1.0, 0), (4, 2)), ((0, 0, 1.0), (2, 3))):
        turned = moved(volume, quarter(3, axis))
        torch.testing.assert_close(turned, volume.rot90(1, dims), atol=1e-5, rtol=0)


def test_a_quarter_turn_of_a_mask_is_that_of_torch() -> None:
    images, masks = noise(1, (9, 9)), torch.randint(-1, 5, (1, 9, 9), generator=generator())
    assert torch.equal(resample(images, masks, [quarter(2)], "zeros", 0)[1], masks.rot90(1, (1, 2)))


@pytest.mark.parametrize("outside", ["zeros", "border"])
def test_a_shift_by_whole_voxels_is_a_roll_inside(size: tuple[int, ...], outside) -> None:
    images, masks = noise(2, size), torch.randint(-1, 3, (2, *size), generator=generator())
    steps = [3, -2, 4][: len(size)]
    motion = Affine.shift(torch.tensor([steps, steps], dtype=torch.float64))  # what lay 3 further comes here
    seen, answers = resample(images, masks, [motion], outside, 0)
    inside = tuple(slice(max(0, -step), side - max(0, step)) for step, side in zip(steps, size, strict=True))
    axes = tuple(range(-len(size), 0))
    back = [-step for step in steps]
    assert torch.equal(seen[(..., *inside)], images.roll(back, axes)[(..., *inside)])
    assert torch.equal(answers[(..., *inside)], masks.roll(back, axes)[(..., *inside)])
    if outside == "zeros":
        assert (seen[:, :, -3:] == 0).all() and (answers[:, -3:] == 0).all()
    else:
        assert torch.equal(seen[:, :, -1], seen[:, :, -4]) and torch.equal(answers[:, -1], answers[:, -4])


def test_twice_the_size_puts_a_voxel_twice_as_far_from_the_centre() -> None:
    image = torch.zeros(1, 1, 9, 13, 17)
    image[0, 0, 3, 8, 11] = 1  # (-1, 2, 3) from the centre (4, 6, 8)
    seen = images_after(image, [Scale(low=2, high=2)])
    assert seen[0, 0, 2, 10, 14] == pytest.approx(1, abs=1e-5)
    assert seen.flatten().argmax() == torch.tensor([2, 10, 14]) @ torch.tensor([13 * 17, 17, 1])
    assert seen.sum() == pytest.approx(8, rel=1e-4)


def test_half_of_an_image_at_full_size_is_what_interpolation_makes_of_it() -> None:
    images = noise(1, (8, 12))
    centre = Affine.linear(torch.diag_embed(torch.full((1, 2), 0.5, dtype=torch.float64)))
    expected = torch.nn.functional.interpolate(images[:, :, 2:6, 3:9], scale_factor=2, mode="bilinear")
    torch.testing.assert_close(moved(images, centre)[:, :, 1:-1, 1:-1], expected[:, :, 1:-1, 1:-1])


@pytest.mark.parametrize("seed", range(3))
def test_rotations_are_those_of_scipy(seed: int) -> None:
    draw = np.random.default_rng(seed)
    axis, angle = draw.normal(size=3), draw.uniform(-pi, pi)
    axis /= np.linalg.norm(axis)
    ours = rotation(torch.tensor([angle], dtype=torch.float64), torch.from_numpy(axis)[None])[0].numpy()
    np.testing.assert_allclose(ours, Rotation.from_rotvec(-angle * axis).as_matrix(), atol=1e-12)


# what is drawn


def test_angles_are_bounded_and_axes_have_no_preferred_direction() -> None:
    drawn = Rotate(degrees=20).draw(torch.Size((4000, 1, 8, 8, 8)), generator())
    turns = Rotation.from_matrix(drawn.matrix.numpy()).as_rotvec(degrees=True)
    angles = np.linalg.norm(turns, axis=1)
    assert 19 < angles.max() <= 20 + 1e-9
    np.testing.assert_allclose(angles.mean(), 10, atol=0.5)
    np.testing.assert_allclose(np.cov(turns.T), np.eye(3) * 400 / 9, atol=4)  # E[angle^2] = 400 / 3, a third each way


def test_thick_slices_are_turned_within_themselves() -> None:
    volume = noise(3, (4, 9, 9))
    together = images_after(volume, [Rotate(degrees=90, within_slices=True)])
    matrix = Rotate(degrees=90, within_slices=True).draw(volume.shape, generator()).matrix
    for at in range(4):
        alone = moved(volume[:, :, at], Affine.linear(matrix[:, 1:, 1:]))
        torch.testing.assert_close(together[:, :, at], alone, atol=1e-5, rtol=0)


def test_shifts_reach_their_share_of_each_side_and_no_further() -> None:
    shape = torch.Size((2000, 1, 20, 50))
    offset = Shift(share=0.1).draw(shape, generator()).offset
    np.testing.assert_allclose(offset.abs().amax(0), [2, 5], rtol=0.01)
    assert (offset.abs() <= torch.tensor([2, 5])).all()
    np.testing.assert_allclose(offset.std(0), [2 / 3**0.5, 5 / 3**0.5], rtol=0.05)
    whole = Shift(share=0.1, whole=True).draw(shape, generator()).offset
    assert torch.equal(whole, offset.round())


def test_every_offset_of_a_crop_is_equally_likely() -> None:
    offset = Crop(border=2).draw(torch.Size((5000, 1, 8, 8)), generator()).offset
    places, times = offset.unique(dim=0, return_counts=True)
    assert len(places) == 25
    assert (times > 130).all() and (times < 270).all()


def test_a_crop_is_cut_from_the_padded_image() -> None:
    images = noise(6, (7, 9))
    seen = images_after(images, [Crop(border=3)], seed=5)
    offset = Crop(border=3).draw(images.shape, generator(5)).offset.int().tolist()
    wide = torch.nn.functional.pad(images, (3, 3, 3, 3))
    for n, (y, x) in enumerate(offset):
        assert torch.equal(seen[n], wide[n, :, 3 + y : 10 + y, 3 + x : 12 + x])


def test_resized_crops_lie_inside_the_image_and_reach_its_edges(size: tuple[int, ...]) -> None:
    drawn = ResizedCrop(low=0.3, high=0.8).draw(torch.Size((4000, 1, *size)), generator())
    share, half = drawn.matrix.diagonal(dim1=1, dim2=2), torch.tensor(size) / 2
    low, high = drawn.offset - share * half, drawn.offset + share * half
    assert (low >= -half - 1e-9).all() and (high <= half + 1e-9).all()
    assert ((low + half).amin(0) < 0.02 * half).all() and ((half - high).amin(0) < 0.02 * half).all()
    assert share.min() >= 0.3 and share.max() <= 0.8 and torch.equal(share.amin(1), share.amax(1))


def test_factors_are_between_low_and_high() -> None:
    drawn = Scale(low=0.8, high=1.5).draw(torch.Size((2000, 1, 4, 4)), generator())
    factor = 1 / drawn.matrix[:, 0, 0]
    assert 0.8 <= factor.min() < 0.81 and 1.49 < factor.max() <= 1.5
    assert factor.mean() == pytest.approx(1.15, abs=0.02)


def test_flips_are_exact_and_independent_on_each_axis(size: tuple[int, ...]) -> None:
    images, masks = noise(400, size, channels=1), torch.randint(-1, 3, (400, *size), generator=generator(3))
    seen, answers = augment(images, masks, [Flip()], generator())
    found = torch.zeros(2 ** len(size), dtype=torch.long)
    for image, mask, one, answer in zip(images, masks, seen, answers, strict=True):
        for code in range(len(found)):
            axes = [axis for axis in range(len(size)) if code >> axis & 1]
            if torch.equal(one[0], image[0].flip(axes)):
                assert torch.equal(answer, mask.flip(axes))
                found[code] += 1
    assert found.sum() == 400
    expected = 400 / len(found)
    assert ((found - expected).abs() < 4.5 * expected**0.5).all()


def test_only_the_axes_asked_for_are_reversed() -> None:
    images = noise(20, (5, 6))
    assert torch.equal(images_after(images, [Flip(axes=(1,), p=1)]), images.flip(3))
    assert torch.equal(images_after(images, [Flip(axes=(0,), p=1)]), images.flip(2))
    assert torch.equal(images_after(images, [Flip(axes=(0, 1), p=1)]), images.flip(2, 3))


def test_flips_and_whole_shifts_in_a_row_are_exact_and_in_order() -> None:
    images, random = noise(4, (9, 10)), generator()
    flip, crop = Flip(axes=(1,), p=1), Crop(border=2)
    flip.draw(images.shape, random)  # what comes before the crop draws before it
    offset = crop.draw(images.shape, random).offset
    wide = torch.nn.functional.pad(images.flip(3), (2, 2, 2, 2))
    seen = images_after(images, [flip, crop, flip])
    for n, (y, x) in enumerate(offset.int().tolist()):
        assert torch.equal(seen[n], wide[n, :, 2 + y : 11 + y, 2 + x : 12 + x].flip(2))


# one sampling, against scipy


def places(size: Sequence[int]) -> np.ndarray:
    """Places from the centre, (d, voxels)."""
    sides = [np.arange(side) - (side - 1) / 2 for side in size]
    return np.stack(np.meshgrid(*sides, indexing="ij")).reshape(len(size), -1)


def displacement(warp: Warp, n: int, at: np.ndarray, size: Sequence[int]) -> np.ndarray:
    """u of image n at places (d, voxels), by scipy's B-splines."""
    control = warp.control[n].double().numpy()
    centre = (np.array(size)[:, None] - 1) / 2
    index = np.clip(at + centre, 0, np.array(size)[:, None] - 1) / warp.spacing
    weights = []
    for axis, one in enumerate(index):
        knots = np.arange(-3.0, control.shape[1 + axis] + 1)
        weights.append(BSpline.design_matrix(one, knots, 3).toarray())
    letters = "abc"[: len(size)]
    return np.einsum("u" + letters + "," + ",".join("v" + one for one in letters) + "->uv", control, *weights)


def by_scipy(image: np.ndarray, motions: Sequence[Affine | Warp], n: int, order: int, mode: str) -> np.ndarray:
    at = places(image.shape)
    for motion in motions[::-1]:
        if isinstance(motion, Affine):
            at = motion.matrix[n].numpy() @ at + motion.offset[n].numpy()[:, None]
        else:
            at = at + displacement(motion, n, at, image.shape)
    index = at + (np.array(image.shape)[:, None] - 1) / 2
    return ndimage.map_coordinates(image, index, order=order, mode=mode).reshape(image.shape)


@pytest.mark.parametrize(("outside", "mode"), [("zeros", "grid-constant"), ("border", "nearest")])
@pytest.mark.parametrize(
    "chain",
    [
        [Shift(share=0.2)],
        [Rotate(degrees=40)],
        [Scale(low=0.6, high=1.6)],
        [ResizedCrop(low=0.4)],
        [Flip(), Rotate(degrees=90), Scale(low=0.6, high=1.6), Shift(share=0.2), Crop(border=3), ResizedCrop()],
        [Elastic(strength=3, spacing=8)],
        [Rotate(degrees=90), Shift(), Elastic(strength=3, spacing=8)],
    ],
    ids=names,
)
def test_a_chain_is_one_sampling_as_scipy_does_it(chain: list[Augmentation], size: tuple[int, ...], outside, mode):
    images = noise(3, size, channels=1, dtype=torch.float64)
    masks = torch.randint(0, 5, (3, *size), generator=generator(7))
    seen, answers = augment(images, masks, chain, generator(11), outside=outside)
    random = generator(11)
    motions = [one.draw(images.shape, random) for one in chain]
    for n in range(3):
        np.testing.assert_allclose(seen[n, 0], by_scipy(images[n, 0].numpy(), motions, n, 1, mode), atol=1e-9)
        np.testing.assert_array_equal(answers[n], by_scipy(masks[n].numpy(), motions, n, 0, mode))


def test_an_affine_chain_is_affine_transform_of_scipy(size: tuple[int, ...]) -> None:
    """In the words of scipy: one matrix and one offset, in indices."""
    images = noise(2, size, channels=1)
    chain = [Rotate(degrees=60), Scale(low=0.5, high=2), Shift(share=0.2)]
    seen, random = images_after(images, chain, seed=4), generator(4)
    turn, scale, shift = (one.draw(images.shape, random) for one in chain)
    centre = (np.array(size) - 1) / 2
    for n in range(2):
        matrix = turn.matrix[n].numpy() * scale.matrix[n, 0, 0].item()
        offset = matrix @ shift.offset[n].numpy() + centre - matrix @ centre
        expected = ndimage.affine_transform(
            images[n, 0].double().numpy(), matrix, offset, order=1, mode="grid-constant"
        )
        np.testing.assert_allclose(seen[n, 0], expected, atol=1e-4)


def test_bending_before_turning_is_right_up_to_interpolation_of_the_field(size: tuple[int, ...]) -> None:
    """The image is smooth: a field off by a hundredth of a voxel changes it by a hundredth of its slope."""
    images = torch.from_numpy(np.sin(places(size).sum(0) / 4)).reshape(1, 1, *size)
    chain = [Elastic(strength=3, spacing=12), Rotate(degrees=90), Elastic(strength=2, spacing=9)]
    seen, random = images_after(images, chain, seed=2, outside="border"), generator(2)
    motions = [one.draw(images.shape, random) for one in chain]
    expected = by_scipy(images[0, 0].numpy(), motions, 0, 1, "nearest")
    np.testing.assert_allclose(seen[0, 0], expected, atol=0.02)


def test_sampling_once_blurs_less_than_sampling_twice() -> None:
    images = noise(4, (40, 40))
    chain: list[Augmentation] = [Rotate(degrees=30), Rotate(degrees=30)]
    once = images_after(images, chain)
    random = generator()
    twice = images
    for one in chain:
        twice = moved(twice, one.draw(images.shape, random))
    inner = (..., slice(12, 28), slice(12, 28))
    assert once[inner].std() > 1.15 * twice[inner].std()


@pytest.mark.parametrize("spacing", [1.0, 4.0, 7.5, 100.0])
def test_the_spline_is_that_of_scipy_and_nothing_folds(size: tuple[int, ...], spacing: float) -> None:
    warp = Elastic(strength=0.4 * spacing, spacing=spacing).draw(torch.Size((2, 1, *size)), generator())
    field = warp.field(size, torch.zeros(1, dtype=torch.float64))
    for n in range(2):
        expected = displacement(warp, n, places(size), size).reshape(field[n].shape)
        np.testing.assert_allclose(field[n], expected, atol=1e-9)
    assert field.abs().max() <= 0.4 * spacing
    if spacing >= 4:  # below that neighbouring voxels are too far apart to see the slope
        for axis in range(len(size)):
            assert (field[:, axis].diff(dim=1 + axis) > -1).all()


# the generator alone decides


@pytest.mark.parametrize("chain", [*CHAINS, EVERY], ids=names)
def test_the_same_seed_gives_the_same_and_nothing_else_matters(chain: list[Augmentation], size) -> None:
    images, masks = noise(4, size), torch.randint(0, 3, (4, *size), generator=generator())
    kept = images.clone(), masks.clone()
    torch.manual_seed(1)
    state = torch.get_rng_state()
    first = augment(images, masks, chain, generator(5))
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(2)
    second = augment(images, masks, chain, generator(5))
    other = augment(images, masks, chain, generator(6))
    assert torch.equal(first[0], second[0]) and torch.equal(first[1], second[1])
    assert not torch.equal(first[0], other[0])
    assert torch.equal(images, kept[0]) and torch.equal(masks, kept[1])


@pytest.mark.parametrize("one", [*EVERY, *STRONG], ids=names)
def test_every_image_of_a_batch_gets_a_draw_of_its_own(one: Augmentation, size: tuple[int, ...]) -> None:
    images = noise(1, size).expand(12, -1, *[-1] * len(size))
    seen = images_after(images, [one])
    different = {image.numpy().tobytes() for image in seen}
    assert len(different) >= (3 if isinstance(one, Flip) else 10)


def test_an_image_does_not_depend_on_the_others_of_its_batch(size: tuple[int, ...]) -> None:
    images, chain = noise(6, size), [Rotate(p=0.5), Elastic(p=0.5), Intensity(p=0.5)]
    seen = images_after(images, chain)
    others = images.clone()
    others[1:] = 0
    assert torch.equal(images_after(others, chain)[0], seen[0])


@pytest.mark.parametrize("cls", [type(one) for one in EVERY])
def test_images_that_are_not_chosen_stay_exactly_as_they_are(cls: type[Augmentation], size: tuple[int, ...]) -> None:
    images, masks = noise(100, size, channels=1), torch.randint(-1, 3, (100, *size), generator=generator())
    seen, answers = augment(images, masks, [cls(p=0.25)], generator())
    same = torch.stack([(one == before).all() for one, before in zip(seen, images, strict=True)])
    wanted = 0.75 ** len(size) if cls is Flip else 0.75
    assert same.float().mean() == pytest.approx(wanted, abs=0.15)
    assert torch.equal(answers[same], masks[same])
    never, still = augment(images, masks, [cls(p=0)], generator())
    assert torch.equal(never, images) and torch.equal(still, masks)


def test_an_empty_chain_gives_back_what_it_got(size: tuple[int, ...]) -> None:
    images, masks = blobs(2, size)
    random = generator()
    state = random.get_state()
    seen, answers = augment(images, masks, [], random)
    assert seen is images and answers is masks
    assert torch.equal(random.get_state(), state)
    none, nothing = augment(images[:0], masks[:0], [Flip()], random)
    assert len(none) == len(nothing) == 0


# form


@pytest.mark.parametrize("chain", [*[[one] for one in EVERY], EVERY], ids=names)
@pytest.mark.parametrize("channels", [1, 3])
def test_memory_format_type_and_shape_are_kept(chain: list[Augmentation], size, channels: int) -> None:
    last = torch.channels_last if len(size) == 2 else torch.channels_last_3d
    images = noise(3, size, channels)
    for memory in (last, torch.contiguous_format):
        given = images.contiguous(memory_format=memory)
        seen = images_after(given, chain)
        assert seen.shape == images.shape and seen.dtype == torch.float32
        assert seen.stride() == given.stride()
        torch.testing.assert_close(seen, images_after(images, chain), atol=1e-5, rtol=0)


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (2, 3, 1), (5, 1, 4)])
@pytest.mark.parametrize("one", [one for one in [*EVERY, *STRONG] if not isinstance(one, Crop)], ids=names)
def test_the_smallest_images_and_constant_ones_stay_finite(one: Augmentation, size: tuple[int, ...]) -> None:
    for images in (noise(3, size), torch.zeros(3, 1, *size), torch.full((3, 1, *size), 1e30)):
        assert images_after(images, [one]).isfinite().all()


@pytest.mark.parametrize("one", [*EVERY, Intensity(gamma=1, noise=1)], ids=names)
def test_gradients_are_not_asked_for(one: Augmentation) -> None:
    images = noise(2, (9, 9)).requires_grad_()
    assert not images_after(images, [one]).requires_grad


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("chain", [*CHAINS, EVERY], ids=names)
def test_a_gpu_gives_what_a_cpu_gives(chain: list[Augmentation], size: tuple[int, ...]) -> None:
    torch.backends.cuda.matmul.allow_tf32, before = True, torch.backends.cuda.matmul.allow_tf32
    images, masks = blobs(4, size)
    seen, answers = augment(images, masks, chain, generator())
    there, theirs = augment(images.cuda(), masks.cuda(), chain, generator())
    torch.backends.cuda.matmul.allow_tf32 = before
    torch.testing.assert_close(there.cpu(), seen, atol=1e-4, rtol=0)
    assert (theirs.cpu() != answers).float().mean() < 1e-3  # ties between two voxels may be broken either way


# what lies outside


def test_what_is_outside_is_background_or_has_no_say_or_repeats_the_border() -> None:
    images, masks = torch.full((3, 1, 8, 8), 5.0), torch.full((3, 8, 8), 2)
    small = [Scale(low=0.5, high=0.5)]
    seen, answers = augment(images, masks, small, generator())
    assert (seen[:, :, 0] == 0).all() and (answers[:, 0] == 0).all()
    _, ignored = augment(images, masks, small, generator(), outside_label=IGNORED)
    assert (ignored[:, 0] == IGNORED).all() and (ignored[:, 3:5, 3:5] == 2).all()
    seen, answers = augment(images, masks, small, generator(), outside="border")
    torch.testing.assert_close(seen, images)
    assert torch.equal(answers, masks)


# intensity


def test_brightness_is_counted_in_standard_deviations_of_the_channel() -> None:
    images = 40 * noise(500, (8, 8)) + torch.tensor([100.0, -3.0]).reshape(1, 2, 1, 1)
    seen = images_after(images, [Intensity(brightness=0.5, contrast=0)])
    share = (seen - images).mean((2, 3)) / images.std((2, 3), correction=0)
    torch.testing.assert_close(share[:, 0], share[:, 1], atol=1e-4, rtol=0)  # one draw for all channels
    assert -0.5 <= share.min() < -0.48 and 0.48 < share.max() <= 0.5001
    torch.testing.assert_close(seen.std((2, 3)), images.std((2, 3)))


def test_contrast_keeps_the_mean_and_changes_the_deviation() -> None:
    images = noise(500, (8, 8)) + 7
    seen = images_after(images, [Intensity(brightness=0, contrast=0.3)])
    torch.testing.assert_close(seen.mean((2, 3)), images.mean((2, 3)))
    factor = seen.std((2, 3)) / images.std((2, 3))
    assert 0.7 - 1e-4 <= factor.min() < 0.71 and 1.29 < factor.max() <= 1.3 + 1e-4


def test_gamma_keeps_the_least_the_largest_and_the_order() -> None:
    images = noise(200, (6, 6)) - 4
    seen = images_after(images, [Intensity(brightness=0, contrast=0, gamma=1)])
    torch.testing.assert_close(seen.amin((2, 3)), images.amin((2, 3)))
    torch.testing.assert_close(seen.amax((2, 3)), images.amax((2, 3)))
    order = images.flatten(2).argsort(2)
    assert (seen.flatten(2).gather(2, order).diff(dim=2) >= -1e-6).all()
    least, span = (
        images.amin((2, 3), keepdim=True),
        images.amax((2, 3), keepdim=True) - images.amin((2, 3), keepdim=True),
    )
    inner = ((images - least) / span > 0.2) & ((images - least) / span < 0.8)
    exponent = (((seen - least) / span).log() / ((images - least) / span).log()).where(inner, 1.0).flatten(1)
    assert 0.5 - 1e-3 <= exponent.min() < 0.52 and 1.94 < exponent.max() <= 2 + 1e-3


def test_noise_has_the_variance_that_was_asked_for_and_is_new_in_every_voxel() -> None:
    images = 30 * noise(20, (32, 32)) + 5
    added = images_after(images, [Intensity(brightness=0, contrast=0, noise=0.2)]) - images
    share = (added / images.std((2, 3), correction=0, keepdim=True)).double()
    assert share.std().item() == pytest.approx(0.2, rel=0.02)
    assert abs(share.mean().item()) < 0.005
    assert abs(np.corrcoef(share[:, 0].flatten(), share[:, 1].flatten())[0, 1]) < 0.03
    assert abs(np.corrcoef(share[0].flatten(), share[1].flatten())[0, 1]) < 0.08


def test_intensity_comes_after_all_motions_wherever_it_stands() -> None:
    """What is brought in from outside is 0 before brightness is added, not after."""
    images = noise(4, (9, 9)) + 10
    chain = [Intensity(noise=0.1), Scale(low=0.5, high=0.5)]
    random = generator()
    retouch = chain[0].draw(images.shape, random)
    small = moved(images, chain[1].draw(images.shape, random))
    assert torch.equal(images_after(images, chain), retouch(small))


# values


@pytest.mark.parametrize("one", [*EVERY, *STRONG, Flip(axes=(0, 2)), Intensity(gamma=0.5)], ids=names)
def test_text_and_pickle_lead_back(one: Augmentation) -> None:
    assert parse(repr(one), Augmentation) == one == pickle.loads(pickle.dumps(one))
    assert parse(one.label, Augmentation) == one


def test_every_augmentation_is_known_by_name() -> None:
    ours = {name for name, cls in registry(Augmentation).items() if cls.__module__.startswith("whichloss.")}
    assert ours == {"Crop", "Elastic", "Flip", "Intensity", "ResizedCrop", "Rotate", "Scale", "Shift"}


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Flip(axes=(1, 0)), r"axes is \(1, 0\); each axis once, in rising order: \(0, 1\)"),
        (lambda: Flip(axes=()), r"axes is \(\); it must be a list of whole numbers, each at least 0, or None"),
        (lambda: Flip(axes=(0.5,)), "it must be a list of whole numbers"),
        (lambda: Flip(axes=(-1,)), "it must be a list of whole numbers, each at least 0"),
        (lambda: Shift(share=1.1), "share is 1.1"),
        (lambda: Rotate(degrees=181), "degrees is 181"),
        (lambda: Scale(low=1.2), "low is 1.2, above high, 1.1"),
        (lambda: ResizedCrop(low=0.9, high=0.5), "low is 0.9, above high, 0.5"),
        (lambda: Crop(border=0), "border is 0"),
        (lambda: Elastic(strength=7), "could fold the image; with spacing=16 it must be at most 6.4"),
        (lambda: Elastic(strength=0.1, spacing=0.5), "at least 1 voxel apart"),
        (lambda: Intensity(contrast=1.5), "contrast is 1.5"),
        (lambda: Shift(p=2), "p is 2"),
    ],
)
def test_fields_are_checked(make, says: str) -> None:
    with pytest.raises(FieldError, match=says):
        make()


def test_what_does_not_fit_the_images_is_said() -> None:
    with pytest.raises(UserError, match=r"Flip\(axes=\(2,\)\): an image \(9, 9\) has the axes 0 to 1"):
        images_after(noise(1, (9, 9)), [Flip(axes=(2,))])
    with pytest.raises(UserError, match=r"an image \(4, 9\) could be lost behind a border of 4 voxels"):
        images_after(noise(1, (4, 9)), [Crop()])
    with pytest.raises(UserError, match=r"images \(2, 2, 9, 9\) and labels \(2, 9, 8\) do not fit"):
        augment(noise(2, (9, 9)), torch.zeros(2, 9, 8, dtype=torch.long), [Flip()], generator())
    with pytest.raises(UserError, match="do not fit"):
        augment(torch.zeros(2, 3, 9), torch.zeros(2), [Flip()], generator())


def test_degrees_are_degrees() -> None:
    drawn = Rotate(degrees=30).draw(torch.Size((500, 1, 5, 5)), generator())
    angle = torch.atan2(drawn.matrix[:, 1, 0], drawn.matrix[:, 0, 0])
    assert radians(29.5) < angle.abs().max() <= radians(30) + 1e-9
    assert angle.min() < 0 < angle.max()
