"""Patches lie in their images and hold foreground as often as asked; windows cover the whole and agree with it."""

import pickle
from collections.abc import Sequence
from itertools import pairwise

import pytest
import torch
from monai.inferers import sliding_window_inference
from torch import Generator, Tensor, nn

from whichloss.core import FieldError, UserError, parse
from whichloss.core.task import IGNORED
from whichloss.study.patches import Patches, importance, padded, sliding_window

CONVOLUTION = {2: nn.Conv2d, 3: nn.Conv3d}


def generator(seed: int = 0) -> Generator:
    return torch.Generator().manual_seed(seed)


def noise(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=generator(99))


def numbered(count: int, size: Sequence[int]) -> Tensor:
    """Images (N, 1, *S) in which every voxel has a number of its own, none of them 0."""
    total = count * int(torch.tensor(size).prod())
    return torch.arange(1.0, total + 1).reshape(count, 1, *size)


def convolution(dims: int, side: int, outputs: int = 3) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return CONVOLUTION[dims](2, outputs, side, padding=side // 2)


# patches


@pytest.mark.parametrize(("space", "size"), [((20, 31), (8, 9)), ((9, 12, 14), (4, 5, 6)), ((8, 9), (8, 9))])
def test_a_patch_is_a_piece_of_its_image_and_of_its_mask(space: tuple[int, ...], size: tuple[int, ...]) -> None:
    images = numbered(6, space)
    masks = images[:, 0].long() % 5 - 1
    patches, pieces = Patches(size=size).sample(images, masks, generator())
    assert patches.shape == (6, 1, *size) and pieces.shape == (6, *size)
    assert torch.equal(pieces, patches[:, 0].long() % 5 - 1)  # nothing was padded: 0 would be -1 here, and is no number
    for n, patch in enumerate(patches[:, 0]):
        (corner,) = (images[n, 0] == patch.flatten()[0]).nonzero()
        box = tuple(slice(start, start + side) for start, side in zip(corner.tolist(), size, strict=True))
        assert torch.equal(images[n, 0][box], patch)


def test_patches_from_anywhere_begin_at_every_place_alike() -> None:
    images = numbered(1, (6, 8)).expand(6000, 1, 6, 8)
    patches, _ = Patches(size=(4, 5), foreground=0).sample(images, torch.zeros(6000, 6, 8).long(), generator())
    corners, times = patches[:, 0, 0, 0].unique(return_counts=True)
    assert corners.tolist() == [y * 8 + x + 1 for y in range(3) for x in range(4)]
    assert ((times - 500).abs() < 100).all()


@pytest.mark.parametrize("foreground", [0.0, 0.33, 1.0])
def test_the_share_of_patches_centred_on_foreground_is_the_one_asked_for(foreground: float) -> None:
    images, masks = torch.zeros(3000, 1, 40, 40), torch.zeros(3000, 40, 40, dtype=torch.long)
    masks[:, 17, 22] = 1
    _, pieces = Patches(size=(5, 6), foreground=foreground).sample(images, masks, generator())
    centred = (pieces[:, 2, 3] == 1).float().mean().item()
    assert centred == pytest.approx(foreground + (1 - foreground) / (36 * 35), abs=0.03)


def test_every_class_of_an_image_is_as_likely_in_the_middle_and_ignored_voxels_are_none() -> None:
    masks = torch.zeros(2000, 20, 20, dtype=torch.long)
    masks[:, 5:15, 5:10], masks[:, 10, 15], masks[:, 2:5] = 1, 3, IGNORED
    _, pieces = Patches(size=(3, 3), foreground=1).sample(torch.zeros(2000, 1, 20, 20), masks, generator())
    middle = pieces[:, 1, 1]
    assert set(middle.tolist()) == {1, 3}
    assert (middle == 3).float().mean().item() == pytest.approx(0.5, abs=0.05)


def test_foreground_at_the_edge_is_in_the_patch_and_the_patch_in_the_image() -> None:
    images = numbered(1, (9, 9))
    masks = torch.zeros(1, 9, 9, dtype=torch.long)
    masks[0, 8, 0] = 1
    patches, pieces = Patches(size=(4, 4), foreground=1).sample(images, masks, generator())
    assert torch.equal(patches, images[:, :, 5:, :4]) and torch.equal(pieces, masks[:, 5:, :4])


def test_an_image_without_foreground_gives_a_patch_all_the_same() -> None:
    patches = Patches(size=(4, 4), foreground=1)
    seen, pieces = patches.sample(numbered(3, (9, 9)), torch.zeros(3, 9, 9).long(), generator())
    assert (seen > 0).all() and (pieces == 0).all()


def test_an_image_smaller_than_the_patch_is_set_in_zeros_and_background() -> None:
    images = numbered(2, (3, 10))
    masks = torch.full((2, 3, 10), IGNORED)
    patches, pieces = Patches(size=(6, 4)).sample(images, masks, generator())
    assert (patches[:, 0, 1:4] > 0).all() and (pieces[:, 1:4] == IGNORED).all()
    assert (patches[:, 0, [0, 4, 5]] == 0).all() and (pieces[:, [0, 4, 5]] == 0).all()


def test_the_generator_alone_decides_which_patches() -> None:
    images, masks = noise(4, 2, 30, 30), torch.randint(0, 3, (4, 30, 30), generator=generator(1))
    patches = Patches(size=(8, 8))
    torch.manual_seed(1)
    state = torch.get_rng_state()
    first = patches.sample(images, masks, generator(3))
    assert torch.equal(torch.get_rng_state(), state)
    second, other = patches.sample(images, masks, generator(3)), patches.sample(images, masks, generator(4))
    assert torch.equal(first[0], second[0]) and torch.equal(first[1], second[1])
    assert not torch.equal(first[0], other[0])
    # what one image holds does not move the patch of another
    masks[0] = 0
    assert torch.equal(patches.sample(images, masks, generator(3))[0][1:], first[0][1:])


@pytest.mark.parametrize("dims", [2, 3])
def test_patches_lie_in_memory_as_their_images_do(dims: int) -> None:
    last = torch.channels_last if dims == 2 else torch.channels_last_3d
    size = (4, 5, 6)[:dims]
    images, masks = noise(2, 3, *[9] * dims), torch.zeros(2, *[9] * dims, dtype=torch.long)
    for space in (size, (11, 5, 6)[:dims]):  # with and without padding
        patches, _ = Patches(size=space).sample(images.contiguous(memory_format=last), masks, generator())
        assert patches.is_contiguous(memory_format=last)
        assert Patches(size=space).sample(images, masks, generator())[0].is_contiguous()


def test_labels_of_whole_images_have_no_patches() -> None:
    with pytest.raises(UserError, match="what is true of an image need not be true of a patch"):
        Patches(size=(4, 4)).sample(noise(2, 1, 9, 9), torch.zeros(2).long(), generator())
    with pytest.raises(UserError, match=r"patches of \(4, 4\) cannot be cut from images \(2, 1, 9, 9, 9\)"):
        Patches(size=(4, 4)).sample(noise(2, 1, 9, 9, 9), torch.zeros(2, 9, 9, 9).long(), generator())


def test_text_and_pickle_lead_back() -> None:
    for one in (Patches(), Patches(size=(16, 32, 32), foreground=1, overlap=0)):
        assert parse(repr(one), Patches) == one == pickle.loads(pickle.dumps(one))
    assert repr(Patches(size=[8.0, 8])) == "Patches(size=(8, 8), foreground=0.33, overlap=0.5)"


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"size": (96,)}, r"size is \(96,\); an image has 2 axes, a volume 3"),
        ({"size": (96, 0)}, r"it must be a list of whole numbers, each at least 1"),
        ({"size": 96}, "it must be a list of whole numbers"),
        ({"foreground": 1.2}, "foreground is 1.2"),
        ({"overlap": 1}, "overlap is 1"),
    ],
)
def test_fields_are_checked(fields: dict, says: str) -> None:
    with pytest.raises(FieldError, match=says):
        Patches(**fields)


# windows


@pytest.mark.parametrize("weights", ["gaussian", "constant"])
@pytest.mark.parametrize("overlap", [0, 0.25, 0.5, 0.75])
@pytest.mark.parametrize(
    ("space", "size"),
    [
        ((16, 16), (8, 8)),
        ((17, 23), (8, 5)),
        ((5, 30), (8, 8)),  # smaller than the window along one axis
        ((3, 4), (9, 7)),  # along both
        ((1, 1), (4, 3)),
        ((7, 9, 10), (4, 5, 4)),
        ((3, 9, 5), (6, 4, 6)),
    ],
)
def test_windows_of_a_local_network_agree_with_the_whole_image(space, size, overlap: float, weights) -> None:
    """A 1x1 convolution sees nothing around a voxel, so that it cannot matter which window the voxel is in."""
    images, network = noise(3, 2, *space), convolution(len(space), 1)
    logits = sliding_window(network, images, size, overlap, 4, weights=weights)
    assert logits.dtype == torch.float32 and not logits.requires_grad
    torch.testing.assert_close(logits, network(images).detach(), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("dims", [2, 3])
def test_the_number_of_windows_at_once_makes_no_difference(dims: int) -> None:
    images, network = noise(2, 2, *(11, 13, 9)[:dims]), convolution(dims, 3)
    one, *others = [sliding_window(network, images, (6, 5, 4)[:dims], 0.5, batch) for batch in (1, 3, 1000)]
    for other in others:
        torch.testing.assert_close(one, other, atol=1e-6, rtol=0)


def test_an_image_of_the_size_of_a_window_is_seen_once_and_whole() -> None:
    images, network = noise(2, 2, 12, 10), convolution(2, 3)
    torch.testing.assert_close(sliding_window(network, images, (12, 10)), network(images).detach())


def test_voxels_far_from_the_edge_of_every_window_are_right_and_gaussian_weights_trust_them() -> None:
    images, network = noise(1, 2, 40, 40), convolution(2, 3)
    whole = network(images).detach()
    error = {
        weights: (sliding_window(network, images, (16, 16), 0.5, 4, weights=weights) - whole).abs()
        for weights in ("gaussian", "constant")
    }
    middle = error["constant"][:, :, 9:15, 9:15]  # no window begins or ends next to these
    assert middle.max() < 1e-5
    assert error["gaussian"].mean() < 0.2 * error["constant"].mean()


@pytest.mark.parametrize(
    ("space", "size", "overlap"),  # MONAI moves a last window that does not fit, ours are spread evenly: these fit
    [
        ((32, 24), (16, 8), 0.5),
        ((28, 26), (16, 8), 0.25),
        ((16, 8, 12), (8, 4, 4), 0.5),
        ((14, 7, 10), (8, 4, 4), 0.25),
    ],
)
def test_constant_weights_are_those_of_monai_where_both_place_windows_alike(space, size, overlap: float) -> None:
    images, network = noise(2, 2, *space), convolution(len(space), 3)
    with torch.no_grad():
        theirs = sliding_window_inference(images, size, 3, network, overlap=overlap, mode="constant")
    ours = sliding_window(network, images, size, overlap, 3, weights="constant")
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("overlap", [0, 0.5, 0.75, 0.9])
@pytest.mark.parametrize("side", [1, 5, 8, 9, 15, 16, 17, 40])
def test_windows_overlap_by_at_least_the_share_and_end_with_the_image(side: int, overlap: float) -> None:
    seen: list[int] = []

    def network(windows: Tensor) -> Tensor:
        seen.extend(windows[:, 0, 0, 0].int().tolist())
        return windows

    images = torch.arange(1.0, side + 1).reshape(1, 1, side, 1).expand(1, 1, side, 3)
    logits = sliding_window(network, images, (8, 3), overlap, 2)  # type: ignore[arg-type]
    torch.testing.assert_close(logits, images.contiguous())
    if side < 8:
        assert len(seen) == 1
        return
    assert seen[0] == 1 and seen[-1] == side - 7
    steps = [after - before for before, after in pairwise(seen)]
    assert all(1 <= step <= max(1, int(8 * (1 - overlap))) for step in steps)


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (96, 96), (16, 32, 32), (200, 8, 8)])
def test_every_voxel_of_a_window_counts_a_thousandth_or_more(size: tuple[int, ...]) -> None:
    for weights in ("gaussian", "constant"):
        weight = importance(size, weights)
        assert weight.shape == size
        assert weight.min() >= 0.000999 and weight.max() <= 1
        torch.testing.assert_close(weight, weight.flip(*range(len(size))))


def test_logits_of_mixed_precision_are_added_up_in_float32() -> None:
    images, network = noise(1, 2, 20, 20), convolution(2, 1)
    with torch.autocast("cpu", torch.bfloat16):
        logits = sliding_window(network, images, (8, 8), 0.75, 4)
        whole = network(images).detach()
    assert logits.dtype == torch.float32
    torch.testing.assert_close(logits, whole.float(), atol=1e-5, rtol=1e-5)  # each voxel was rounded alike


@pytest.mark.parametrize("dims", [2, 3])
def test_windows_reach_the_network_in_the_memory_format_of_the_images(dims: int) -> None:
    last = torch.channels_last if dims == 2 else torch.channels_last_3d

    def network(windows: Tensor) -> Tensor:
        assert windows.is_contiguous(memory_format=last)
        return windows

    images = noise(2, 3, *[9] * dims).contiguous(memory_format=last)
    sliding_window(network, images, [12] * dims)  # type: ignore[arg-type]
    sliding_window(network, images, [4] * dims)  # type: ignore[arg-type]


def test_padding_is_undone_by_what_comes_with_it() -> None:
    images = noise(2, 3, 4, 7, 5)
    wide, inner = padded(images, (9, 3, 6))
    assert wide.shape == (2, 3, 9, 7, 6)
    assert torch.equal(wide[(..., *inner)], images)
    assert wide.abs().sum() == pytest.approx(images.abs().sum().item(), rel=1e-5)


def test_what_cannot_be_done_is_said() -> None:
    images = noise(2, 2, 9, 9)
    with pytest.raises(UserError, match=r"windows \(1, 2, 4, 4\) were answered by \(1, 2\)"):
        sliding_window(nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()), images, (4, 4))
    for wrong in ({"overlap": 1.0}, {"overlap": -0.1}, {"batch": 0}, {"size": (4, 4, 4)}):
        with pytest.raises(UserError, match="does not fit images"):
            sliding_window(nn.Identity(), images, **{"size": (4, 4), **wrong})
