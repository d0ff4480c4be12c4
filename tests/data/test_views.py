"""2.5-D views: where voxels lie, what readers make of files, and what is on the planes."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk
import torch
from scipy import ndimage

from small_scans import (
    OBLIQUE,
    as_sitk,
    ball,
    chance,
    noise,
    painted,
    volume,
    write_arrays,
    write_dicom,
    write_meta,
    write_nifti,
)
from whichloss.core import UserError
from whichloss.data.views import Sampler, Volume, draw, grey, read_volume
from whichloss.data.views import cache as caching
from whichloss.data.views.cache import Cache
from whichloss.data.views.frames import PLANES
from whichloss.data.views.read import sources

# the world


def test_places_and_indices_are_those_of_simpleitk():
    scan = volume()
    image, points = as_sitk(scan), scan.world(chance().uniform(-3, 15, (300, 3)))
    wanted = [image.TransformPhysicalPointToContinuousIndex(point.tolist()) for point in points]
    np.testing.assert_allclose(scan.index(points), wanted, atol=1e-9)
    voxels = np.array([image.TransformPhysicalPointToIndex(point.tolist()) for point in points])
    assert (np.floor(scan.index(points) + 0.5) == voxels).all()
    assert (scan.holds(points) == ((voxels >= 0) & (voxels < scan.size)).all(1)).all()
    for voxel in ((0, 0, 0), (12, 0, 0), (3, 7, 5)):
        np.testing.assert_allclose(scan.world(np.array(voxel)), image.TransformIndexToPhysicalPoint(voxel), atol=1e-9)


# readers


def same(read: Volume, scan: Volume, atol: float = 1e-4) -> None:
    assert read.values.dtype == np.int16
    assert read.values.flags.c_contiguous
    assert np.array_equal(read.values, scan.values)
    np.testing.assert_allclose(read.spacing, scan.spacing, atol=atol)
    np.testing.assert_allclose(read.origin, scan.origin, atol=atol)
    np.testing.assert_allclose(read.direction, scan.direction, atol=atol)


@pytest.mark.parametrize(("name", "compressed"), [("a.mha", False), ("a.mha", True), ("a.mhd", False), ("a.mhd", True)])
def test_metaimage(tmp_path: Path, name: str, compressed: bool):
    path = write_meta(tmp_path / name, volume(), compressed)
    same(read_volume(path), volume())
    assert set(sources(path)) == set(tmp_path.iterdir())  # the data lie beside the header


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
def test_nifti_lies_where_simpleitk_says(tmp_path: Path, name: str):
    path = write_nifti(tmp_path / name, volume())
    same(read_volume(path), volume())
    image = sitk.ReadImage(str(path))
    np.testing.assert_allclose(read_volume(path).origin, image.GetOrigin(), atol=1e-4)
    np.testing.assert_allclose(read_volume(path).direction.ravel(), image.GetDirection(), atol=1e-4)


def test_nifti_may_be_mirrored(tmp_path: Path):
    scan = volume(direction=OBLIQUE @ np.diag([-1.0, 1.0, 1.0]))
    read = read_volume(write_nifti(tmp_path / "a.nii", scan))
    same(read, scan)


def test_whole_floats_become_16_bits_and_others_stay(tmp_path: Path):
    same(read_volume(write_nifti(tmp_path / "a.nii", volume(), np.float64)), volume())
    halves = volume(noise() + np.float32(0.5))
    read = read_volume(write_meta(tmp_path / "b.mha", halves))
    assert read.values.dtype == np.float32
    assert np.array_equal(read.values, halves.values)
    bright = volume(noise().astype(np.int32) + 40000)
    assert np.array_equal(read_volume(write_meta(tmp_path / "c.mha", bright)).values, bright.values)


def test_arrays(tmp_path: Path):
    same(read_volume(write_arrays(tmp_path / "a.npz", volume())), volume())
    np.save(tmp_path / "b.npy", noise())
    (tmp_path / "b.json").write_text(json.dumps({"spacing": [1, 2, 3]}))
    read = read_volume(tmp_path / "b.npy")
    assert np.array_equal(read.values, noise())
    assert (read.spacing.tolist(), read.origin.tolist()) == ([1, 2, 3], [0, 0, 0])
    assert sources(tmp_path / "b.npy") == [tmp_path / "b.npy", tmp_path / "b.json"]


def test_dicom_slices_in_no_order(tmp_path: Path):
    same(read_volume(write_dicom(tmp_path / "study" / "series", volume())), volume(), atol=1e-6)
    same(read_volume(tmp_path), volume(), atol=1e-6)


def test_slices_of_a_tilted_gantry_lie_where_they_say(tmp_path: Path):
    straight = volume(direction=np.eye(3))
    read = read_volume(write_dicom(tmp_path, straight, lean=(0.0, 0.8, 0.0)))
    voxel, moved = np.array([2, 3, 4]), np.array([0, 4 * 0.8, 0])
    np.testing.assert_allclose(read.world(voxel), straight.world(voxel) + moved)
    np.testing.assert_allclose(read.spacing[2], np.hypot(2.5, 0.8))


def test_a_segmentation_beside_a_ct_is_no_second_series(tmp_path: Path):
    write_dicom(tmp_path / "ct", volume())
    write_dicom(tmp_path / "seg", volume(np.zeros_like(noise())), modality="SEG")
    same(read_volume(tmp_path), volume(), atol=1e-6)


def test_two_series_of_images_are_one_too_many(tmp_path: Path):
    write_dicom(tmp_path / "thin", volume())
    write_dicom(tmp_path / "thick", volume(noise((4, 5, 6))))
    with pytest.raises(UserError, match=r"holds 2 DICOM series of images; a volume is one\n  thick: .*\(4 files\)\n"):
        read_volume(tmp_path)
    same(read_volume(tmp_path / "thin"), volume(), atol=1e-6)


def test_a_missing_slice_is_named(tmp_path: Path):
    write_dicom(tmp_path, volume(), leave_out=[4])
    with pytest.raises(UserError, match=r"it is 5 mm, and 2\.5 mm between other slices: a slice is missing"):
        read_volume(tmp_path)


def broken(folder: Path) -> dict[str, tuple[Path, str]]:
    """Files that are no volumes, and what is said."""
    (folder / "empty").mkdir()
    (folder / "a.png").touch()
    (folder / "a.mha").write_bytes(b"no image")
    (folder / "a.nii").write_bytes(b"no image")
    (folder / "a.npz").write_bytes(b"no arrays")
    np.savez(folder / "b.npz", volume=noise())
    np.savez(folder / "c.npz", volume=noise(), spacing=[1, 1])
    np.savez(folder / "d.npz", volume=noise()[0], spacing=[1, 1, 1])
    np.savez(folder / "e.npz", volume=np.full((2, 2, 2), np.nan), spacing=[1, 1, 1])
    np.savez(folder / "f.npz", volume=noise(), spacing=[1, 1, 1], direction=np.ones((3, 3)))
    np.savez(folder / "g.npz", volume=noise(), spacing=[1, 0, 1])
    np.save(folder / "h.npy", noise())
    nibabel.save(nibabel.Nifti1Image(np.zeros((3, 3, 3, 2), np.int16), np.eye(4)), folder / "i.nii")
    sitk.WriteImage(sitk.GetImageFromArray(np.zeros((4, 4), np.int16)), str(folder / "j.mha"))
    return {
        "empty": (folder / "empty", "holds no DICOM series of images"),
        "ending": (folder / "a.png", "is no volume that can be read: .mhd, .mha, .nii"),
        "mha": (folder / "a.mha", "cannot be read as a volume"),
        "nii": (folder / "a.nii", "cannot be read as a volume"),
        "npz": (folder / "a.npz", "cannot be read as a volume"),
        "no spacing": (folder / "b.npz", "has no spacing; it has volume"),
        "two numbers": (folder / "c.npz", "cannot be read as a volume"),
        "a slice": (folder / "d.npz", r"has the shape \(11, 13\); a volume has three axes"),
        "nan": (folder / "e.npz", "not all voxels are finite"),
        "flat": (folder / "f.npz", "do not span the space"),
        "no step": (folder / "g.npz", "place no voxel"),
        "no json": (folder / "h.npy", r"does not say its spacing; remedy: write it into h\.json: \{\"spacing\""),
        "times": (folder / "i.nii", r"has the shape \(2, 3, 3, 3\); a volume has three axes"),
        "picture": (folder / "j.mha", "has 2 axes and 1 channels"),
        "gone": (folder / "k.mha", "cannot be read as a volume"),
    }


def test_what_is_no_volume_is_told(tmp_path: Path):
    for path, says in broken(tmp_path).values():
        with pytest.raises(UserError, match=says):
            read_volume(path)


@pytest.mark.parametrize(("name", "package"), [("a.mha", "SimpleITK"), ("a.nii", "nibabel")])
def test_a_package_that_is_not_installed_is_named(tmp_path: Path, monkeypatch, name: str, package: str):
    def absent(wanted: str):
        raise ImportError(wanted)

    monkeypatch.setattr("whichloss.data.views.read.import_module", absent)
    with pytest.raises(UserError, match=rf'read with {package}.*pip install "whichloss\[medical\]"'):
        read_volume(tmp_path / name)


def test_importing_loads_no_reader():
    code = (
        "import sys, whichloss.data.candidate_views;"
        "print({'SimpleITK', 'nibabel', 'pydicom', 'scipy', 'safetensors'} & set(sys.modules))"
    )
    seen = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert seen.stdout.strip() == "set()"


# frames


def names(n: int) -> list[str]:
    return [f"c{k}" for k in range(n)]


def test_rotations_are_uniform():
    """Of a uniform rotation each entry has mean 0 and mean square 1/3, and the angle has density (1 - cos) / pi."""
    turned = draw(names(400), np.zeros((400, 3))).rotations.reshape(-1, 3, 3)
    np.testing.assert_allclose(turned @ turned.swapaxes(1, 2), np.broadcast_to(np.eye(3), turned.shape), atol=1e-12)
    assert (np.linalg.det(turned) > 0).all()
    n = len(turned)
    assert np.abs(turned.mean(0)).max() < 5 * np.sqrt(1 / 3 / n)
    assert np.abs((turned**2).mean(0) - 1 / 3).max() < 5 * np.sqrt(4 / 45 / n)
    angle = np.arccos(((np.trace(turned, axis1=1, axis2=2) - 1) / 2).clip(-1, 1))
    share = (angle[:, None] < np.array([1.0, 2.0, 3.0])).mean(0)
    np.testing.assert_allclose(share, [(a - np.sin(a)) / np.pi for a in (1, 2, 3)], atol=0.02)


def test_36_views_are_4_scales_of_3_shifts_of_3_rotations():
    frames = draw(names(50), np.zeros((50, 3)))
    assert sorted(frames.edges.tolist()) == [30.0] * 9 + [35.0] * 9 + [40.0] * 9 + [45.0] * 9
    for scale in (30, 35, 40, 45):
        shifts = frames.shifts[0, frames.edges == scale]
        assert np.unique(shifts, axis=0, return_counts=True)[1].tolist() == [3, 3, 3]
    lengths = np.linalg.norm(frames.shifts, axis=-1)
    assert lengths.max() <= 3
    assert np.unique(lengths.round(9), axis=None).mean() == pytest.approx(1.5, abs=0.2)
    assert len(np.unique(frames.rotations.round(9).reshape(-1, 9), axis=0)) == 50 * 36


@pytest.mark.parametrize("views", [1, 5, 10, 36, 50])
def test_any_number_of_views_begins_the_larger_one_and_is_spread_evenly(views: int):
    few, many = (draw(names(3), np.zeros((3, 3)), views=n) for n in (views, 72))
    assert np.array_equal(few.rotations, many.rotations[:, :views])
    assert np.array_equal(few.shifts, many.shifts[:, :views])
    counts = [(few.edges == scale).sum() for scale in (30, 35, 40, 45)]
    assert max(counts) - min(counts) <= 1


def test_chances_belong_to_a_name_and_a_seed():
    points = chance().random((3, 3))
    all_of_them, one = draw(["a", "b", "c"], points), draw(["b"], points[1:2])
    assert np.array_equal(all_of_them.rotations[1], one.rotations[0])
    assert np.array_equal(all_of_them.shifts[1], one.shifts[0])
    assert not np.array_equal(all_of_them.rotations[0], one.rotations[0])
    assert not np.array_equal(draw(["b"], points[1:2], seed=1).rotations, one.rotations)


def test_fields_that_differ_leave_other_chances_alone():
    usual, still = draw(["a"], np.zeros((1, 3))), draw(["a"], np.zeros((1, 3)), shift=0.0)
    assert np.array_equal(usual.rotations, still.rotations)
    assert not still.shifts.any()
    upright = draw(["a"], np.zeros((1, 3)), rotate="axial").rotations
    np.testing.assert_allclose(upright[..., 2], np.broadcast_to([0, 0, 1], (1, 36, 3)))
    assert np.array_equal(draw(["a"], np.zeros((1, 3)), rotate="none").rotations[0, 5], np.eye(3))


# what is on the planes


def places(frames, size: int) -> np.ndarray:
    """Where each pixel lies in the world (n, V, 3, size, size, 3), from the definition."""
    along = (np.arange(size) - (size - 1) / 2) / size
    right, down = (np.array([ways[k] for ways in PLANES.values()], float) for k in (0, 1))
    in_cube = along[:, None, None] * down[:, None, None] + along[:, None] * right[:, None, None]
    turned = np.einsum("nvij,pabj->nvpabi", frames.rotations, in_cube) * frames.edges[:, None, None, None, None]
    return turned + (frames.points[:, None] + frames.shifts)[:, :, None, None, None]


@pytest.mark.parametrize(("interpolation", "order"), [("linear", 1), ("cubic", 3)])
@pytest.mark.parametrize("shape", [(30, 40, 50), (3, 5, 60)])
def test_values_are_those_of_scipy(interpolation: str, order: int, shape: tuple[int, int, int]):
    smooth = ndimage.gaussian_filter(chance().standard_normal(shape), 0.7)
    scan = volume((smooth / smooth.std() * 400).astype(np.int16))
    points = scan.world(chance().random((7, 3)) * (scan.size - 1))
    frames = draw(names(7), points, views=6, scales=(8, 30))
    seen = Sampler(scan, interpolation)(frames, 15).double().numpy()
    index = scan.index(places(frames, 15))
    there = np.moveaxis(index[..., ::-1], -1, 0)
    wanted = ndimage.map_coordinates(scan.values.astype(float), there, order=order, mode="constant", cval=-1000)
    clear = (np.minimum(np.abs(index), np.abs(index - scan.size + 1)) > 1e-3).all(-1)
    outside = ((index < 0) | (index > scan.size - 1)).any(-1)
    assert 0.05 < outside.mean() < 1
    assert (seen[outside & clear] == -1000).all()
    assert np.abs(seen - wanted)[clear].max() < 0.02  # Hounsfield units


@pytest.mark.parametrize("interpolation", ["linear", "cubic"])
def test_a_single_slice_is_seen_from_above(interpolation: str):
    scan = volume(noise((1, 9, 9)), spacing=(1, 1, 5), origin=(0, 0, 0), direction=np.eye(3))
    frames = draw(["a"], np.array([[4.0, 4.0, 0.0]]), views=1, scales=(9,), shift=0.0, rotate="none")
    np.testing.assert_allclose(Sampler(scan, interpolation)(frames, 9)[0, 0, 0], scan.values[0], atol=0.01)


def test_several_points_at_once_are_as_one_by_one():
    scan = volume(noise((20, 30, 40)))
    frames = draw(names(5), scan.world(chance().random((5, 3)) * scan.size), views=4, scales=(12, 20))
    sampler = Sampler(scan, "cubic")
    together = sampler._views(frames, 9, sampler._box(frames))
    assert together.equal(sampler(frames, 9))
    assert together.shape == (5, 4, 3, 9, 9)
    assert [at for at, _ in sampler.batches(frames, 9)] == [slice(k, k + 1) for k in range(5)]
    assert sampler(frames[:0], 9).shape == (0, 4, 3, 9, 9)


def test_threads_change_nothing_and_torch_keeps_its_own(monkeypatch):
    scan = volume(noise((20, 30, 40)))
    frames = draw(names(40), scan.world(chance().random((40, 3)) * scan.size), views=4, scales=(12, 20))
    usual = torch.get_num_threads()
    made = []
    try:
        for threads in (1, 3):
            torch.set_num_threads(threads)
            made.append(Sampler(scan)(frames, 16))
            next(iter(Sampler(scan).batches(frames, 16)))  # and no more of them
            assert torch.get_num_threads() == threads
        monkeypatch.setattr(Sampler, "_views", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            Sampler(scan)(frames, 16)
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(usual)
    assert made[0].equal(made[1])


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
@pytest.mark.parametrize("interpolation", ["linear", "cubic"])
def test_another_device_sees_the_same(interpolation: str):
    scan = volume(noise((20, 30, 40)))
    frames = draw(names(50), scan.world(chance().random((50, 3)) * scan.size))
    here, there = (Sampler(scan, interpolation, device)(frames, 32).cpu() for device in ("cpu", "cuda"))
    assert (here - there).abs().quantile(0.999) < 0.05  # a sample on the very border may fall either way


def test_coefficients_of_splines_are_found_once_for_a_volume(monkeypatch):
    calls, real = [], ndimage.spline_filter
    monkeypatch.setattr(ndimage, "spline_filter", lambda *a, **k: (calls.append(a), real(*a, **k))[1])
    sampler = Sampler(volume(), "cubic")
    for seed in range(3):
        sampler(draw(["a", "b"], sampler.volume.world(np.array([[1, 2, 3], [5, 5, 5]])), views=2, seed=seed), 8)
    assert len(calls) == 1


def test_the_volume_is_not_copied_and_not_changed():
    scan = volume()
    before = scan.values.copy()
    sampler = Sampler(scan)
    sampler(draw(["a"], scan.world(np.array([[1.0, 2, 3]]))), 8)
    assert sampler.values.data_ptr() == scan.values.ctypes.data
    assert np.array_equal(scan.values, before)


# landmarks


@pytest.mark.parametrize("interpolation", ["linear", "cubic"])
@pytest.mark.parametrize(
    "direction", [np.eye(3), OBLIQUE, np.diag([-1.0, -1.0, 1.0])], ids=["straight", "oblique", "flip"]
)
def test_a_ball_is_in_the_middle_of_all_planes_at_any_rotation(interpolation: str, direction: np.ndarray):
    at = np.array([31.0, -52.0, 208.0])
    scan = painted(ball(at), direction=direction, middle=at + np.array([1.5, -2.0, 1.0]))
    views = Sampler(scan, interpolation)(draw(["a"], at[None], views=24, shift=0.0, scales=(16, 24)), 33)[0]
    disc = (views > 250).double()
    grid = torch.arange(33.0).double() - 16
    area = disc.sum((-1, -2))
    pixel = torch.tensor([16, 24] * 12).double()[:, None] / 33
    torch.testing.assert_close(area * pixel**2, torch.full((24, 3), np.pi * 16.0).double(), rtol=0.12, atol=0)
    for offset in ((disc.sum(-2) * grid).sum(-1), (disc.sum(-1) * grid).sum(-1)):
        assert (offset / area * pixel).abs().max() < 0.35  # mm


def test_a_shift_moves_the_middle_of_the_cube():
    at = np.zeros(3)
    scan = painted(ball(at, 3.0))
    frames = draw(["a"], at[None], views=12, shift=3.0, scales=(24,), rotate="none")
    views = Sampler(scan)(frames, 48)[0]
    grid = (torch.arange(48.0).double() - 23.5) / 2  # mm
    axial = (views[:, 0] > 250).double()
    weight = axial.sum((-1, -2))
    seen = torch.stack([(axial.sum(-2) * grid).sum(-1), (axial.sum(-1) * grid).sum(-1)], -1) / weight[:, None]
    np.testing.assert_allclose(seen, -frames.shifts[0, :, :2], atol=0.4)


LEFT, BACK, HEAD = np.eye(3)


@pytest.mark.parametrize(
    ("along", "long"),
    [(LEFT, ("right", "right", None)), (BACK, ("down", None, "right")), (HEAD, (None, "down", "down"))],
    ids=["left", "back", "head"],
)
@pytest.mark.parametrize("direction", [np.eye(3), OBLIQUE], ids=["straight", "oblique"])
def test_a_rod_points_the_right_way_in_each_plane(along: np.ndarray, long: tuple, direction: np.ndarray):
    def rod(world: np.ndarray) -> np.ndarray:
        way = world @ along
        return np.where(
            (np.abs(way) < 9) & (np.linalg.norm(world - way[..., None] * along, axis=-1) < 2.5), 1000, -1000
        )

    scan = painted(rod, direction=direction, shape=(30, 60, 50))
    frames = draw(["a"], np.zeros((1, 3)), views=1, scales=(24,), shift=0.0, rotate="none")
    planes = Sampler(scan)(frames, 24)[0, 0] > 0
    for plane, way in zip(planes, long, strict=True):
        down, right = (int(plane.any(axis).sum()) for axis in (1, 0))
        if way is None:
            assert (down, right) == (pytest.approx(5, abs=1), pytest.approx(5, abs=1))
        else:
            assert {"down": down, "right": right}[way] == pytest.approx(18, abs=2)
            assert {"down": right, "right": down}[way] == pytest.approx(5, abs=1)


@pytest.mark.parametrize(
    ("towards", "seen"),
    [(LEFT, [(0, 1), (0, 1), None]), (BACK, [(1, 0), None, (0, 1)]), (HEAD, [None, (-1, 0), (-1, 0)])],
    ids=["left", "back", "head"],
)
def test_left_and_back_and_head_are_where_radiologists_have_them(towards: np.ndarray, seen: list):
    scan = painted(ball(8 * towards, 3.0), direction=OBLIQUE)
    frames = draw(["a"], np.zeros((1, 3)), views=1, scales=(24,), shift=0.0, rotate="none")
    for plane, wanted in zip(Sampler(scan)(frames, 25)[0, 0], seen, strict=True):
        bright = (plane > 250).nonzero().double()
        if wanted is None:
            assert not len(bright)
        else:
            assert ((bright.mean(0) - 12) / 8 * 24 / 25).tolist() == pytest.approx(list(wanted), abs=0.1)


def test_beyond_the_volume_is_air():
    scan = volume(np.full((10, 10, 10), 300, np.int16), spacing=(1, 1, 1), origin=(0, 0, 0), direction=np.eye(3))
    frames = draw(["a"], np.array([[0.0, 4.5, 4.5]]), views=1, scales=(8,), shift=0.0, rotate="none")
    for interpolation in ("linear", "cubic"):
        views = Sampler(scan, interpolation)(frames, 8)[0, 0]
        assert (views[:2, :, :4] == -1000).all()
        np.testing.assert_allclose(views[:2, :, 4:], 300, atol=1e-2)
        np.testing.assert_allclose(views[2], 300, atol=1e-2)


def test_grey_levels_of_a_window():
    scan = volume(noise((20, 30, 40)))
    frames = draw(names(3), scan.world(chance().random((3, 3)) * scan.size), views=4)
    whole = grey(Sampler(scan)(frames, 8), (-100.0, 200.0))
    for at, levels in Sampler(scan).batches(frames, 8, (-100.0, 200.0)):
        assert levels.equal(whole[at])
    values = torch.tensor([-2000.0, -100.0, -99.5, -99.4, 50.0, 199.5, 200.0, 3000.0])
    assert grey(values, (-100.0, 200.0)).tolist() == [0, 0, 0, 1, 128, 255, 255, 255]
    assert values[0] == -2000


# cache


def test_what_was_kept_comes_back_and_nothing_else(tmp_path: Path):
    cache, views = Cache(tmp_path / "new"), chance().integers(0, 256, (2, 3, 4), dtype=np.uint8)
    assert cache.get("ab12", (2, 3, 4)) is None
    cache.keep("ab12", views)
    kept = cache.get("ab12", (2, 3, 4))
    assert kept is not None and np.array_equal(kept, views)
    assert cache.get("ab12", (2, 4, 3)) is None
    assert [one.name for one in (tmp_path / "new").rglob("*") if one.is_file()] == ["ab12.safetensors"]


@pytest.mark.parametrize("harm", ["one bit", "cut", "empty", "folder"])
def test_what_is_damaged_does_not_come_back(tmp_path: Path, harm: str):
    cache, views = Cache(tmp_path), chance().integers(0, 256, (2, 3, 4), dtype=np.uint8)
    cache.keep("ab12", views)
    (file,) = tmp_path.rglob("*.safetensors")
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes({"one bit": content, "cut": content[:-5], "empty": b"", "folder": b""}[harm])
    if harm == "folder":
        file.unlink()
        file.mkdir()
    assert cache.get("ab12", (2, 3, 4)) is None
    if harm != "folder":
        cache.keep("ab12", views)
        kept = cache.get("ab12", (2, 3, 4))
        assert kept is not None and np.array_equal(kept, views)


def test_a_folder_that_cannot_be_written_is_no_error(tmp_path: Path):
    (tmp_path / "file").touch()
    cache = Cache(tmp_path / "file" / "cache")
    cache.keep("ab12", np.zeros(3, np.uint8))
    assert cache.get("ab12", (3,)) is None
    assert len(cache.files_digest([tmp_path / "file"])) == 64


def test_the_digest_of_files_is_of_their_content(tmp_path: Path, monkeypatch):
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_bytes(b"abc")
    two.write_bytes(b"abc")
    cache = Cache(tmp_path / "cache")
    first = cache.files_digest([one])
    assert first == cache.files_digest([two])
    one.write_bytes(b"abd")  # as long, and perhaps in the same tick of the clock
    assert cache.files_digest([one]) != first
    # contents of files that have not changed for a while are not read again
    for file in (one, two):
        os.utime(file, (time.time() - 100, time.time() - 100))
    wanted = cache.files_digest([one, two])
    monkeypatch.setattr(caching, "file_digest", None)
    assert cache.files_digest([one, two]) == wanted


def test_the_cache_is_where_it_is_said(monkeypatch, tmp_path: Path):
    monkeypatch.setenv("WHICHLOSS_CACHE", str(tmp_path))
    assert caching.cache_folder() == tmp_path
    monkeypatch.setenv("WHICHLOSS_CACHE", "off")
    assert caching.cache_folder() is None
    monkeypatch.delenv("WHICHLOSS_CACHE")
    folder = caching.cache_folder()
    assert folder is not None
    assert folder.is_absolute() and "whichloss" in folder.parts
