"""Volumes in the common orientation and spacing, and masks written back into the space of the input."""

import json
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given as these
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image
from scipy import ndimage

from small_scans import OBLIQUE, as_sitk, noise, volume, write_arrays, write_dicom, write_meta, write_nifti
from whichloss.core import UserError, parse
from whichloss.data import DataSet
from whichloss.data.files import write_back
from whichloss.data.files.frame import Frame
from whichloss.data.files.image import read_image
from whichloss.data.files.label_map import write_volume
from whichloss.data.files.resize import centred, linear, nearest
from whichloss.data.views import Volume, read_volume
from whichloss.data.views.read import read_channels, read_region

FLIPS = [np.diag(signs) for signs in ((1.0, 1.0, 1.0), (-1.0, 1.0, 1.0), (1.0, -1.0, -1.0))]
TURNS = [np.eye(3)[:, list(order)] for order in ((0, 1, 2), (2, 0, 1), (1, 0, 2))]
DIRECTIONS = [turn @ flip for turn in TURNS for flip in FLIPS] + [
    OBLIQUE,
    OBLIQUE @ FLIPS[1],
    OBLIQUE @ TURNS[1] @ FLIPS[2],
]


@pytest.fixture(params=range(len(DIRECTIONS)))
def scan(request: pytest.FixtureRequest) -> Volume:
    """Anisotropic, in any orientation, straight and oblique."""
    return volume(noise((7, 9, 11)), spacing=(0.7, 1.1, 2.5), direction=DIRECTIONS[request.param])


def test_the_common_orientation_is_lps_as_simpleitk_has_it(scan: Volume, tmp_path: Path) -> None:
    image = read_image([write_meta(tmp_path / "a.mha", scan)], window=(-1000, 1500))
    oriented = sitk.DICOMOrient(as_sitk(scan), "LPS")
    wanted = (sitk.GetArrayFromImage(oriented).astype(np.float64) + 1000) / 2500
    np.testing.assert_allclose(image.values[0], wanted, atol=1e-6)
    np.testing.assert_allclose(image.frame.spacing, oriented.GetSpacing()[::-1])


def by_sitk(source: Path) -> sitk.Image:
    """The input; of slices, SimpleITK knows their order, which is towards the head of a right-handed grid."""
    if source.is_file():
        return sitk.ReadImage(str(source))
    return sitk.ReadImage(sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(source)))


@pytest.mark.parametrize("form", ["a.mha", "a.nii.gz", "a.nrrd", "series"])
@pytest.mark.parametrize("to", ["p.nii.gz", "p.mha", "p.nrrd"])
def test_a_mask_lies_where_its_input_lies(scan: Volume, tmp_path: Path, form: str, to: str) -> None:
    """What is bright is marked; SimpleITK reads both files."""
    if form == "series":
        source = write_dicom(tmp_path / "series", scan)
    else:
        source = (write_nifti if "nii" in form else write_meta)(tmp_path / form, scan)
    image = read_image([source])
    marked = (image.values[0] > 0.5).astype(np.int64)
    written = write_back(marked, image, tmp_path / "out" / to)
    mask, given = sitk.ReadImage(str(written)), by_sitk(source)
    assert mask.GetSize() == given.GetSize()
    np.testing.assert_allclose(mask.GetSpacing(), given.GetSpacing(), atol=1e-5)
    np.testing.assert_allclose(mask.GetOrigin(), given.GetOrigin(), atol=1e-4)
    np.testing.assert_allclose(mask.GetDirection(), given.GetDirection(), atol=1e-5)
    values = sitk.GetArrayFromImage(given).astype(np.float64)
    assert np.array_equal(sitk.GetArrayFromImage(mask), (values - values.mean()) / values.std() > 0.5)


def test_nifti_keeps_both_of_its_transforms(scan: Volume, tmp_path: Path) -> None:
    source = write_nifti(tmp_path / "a.nii.gz", scan)
    image = read_image([source])
    made = nibabel.load(write_back(np.zeros(image.frame.shape, int), image, tmp_path / "p.nii.gz"))
    wanted = nibabel.load(source).affine
    np.testing.assert_allclose(made.get_sform(), wanted, atol=1e-4)
    np.testing.assert_allclose(made.get_qform(), wanted, atol=1e-3)
    assert (int(made.header["sform_code"]), int(made.header["qform_code"])) == (1, 1)
    assert made.get_data_dtype() == np.uint8


def test_a_tilted_gantry_goes_back_to_its_shear(tmp_path: Path) -> None:
    image = read_image([write_dicom(tmp_path / "s", volume(direction=np.eye(3)), lean=(0.0, 0.8, 0.0))])
    written = nibabel.load(write_back(np.ones(image.frame.shape, int), image, tmp_path / "p.nii"))
    np.testing.assert_allclose(written.affine[:3, :3] @ [0, 0, 1], [0, -0.8, 2.5], atol=1e-5)


def test_at_another_spacing_a_mask_comes_back_within_half_a_voxel(tmp_path: Path) -> None:
    """A ball, resampled, set in a box, and brought back: it overlaps the drawn one as far as voxels allow."""
    z, y, x = np.indices((20, 48, 40))
    ball = ((z - 9) * 2.5) ** 2 + ((y - 25) * 0.8) ** 2 + ((x - 18) * 0.8) ** 2 < 14.0**2
    scan = volume((1000 * ball).astype(np.int16), spacing=(0.8, 0.8, 2.5), direction=OBLIQUE @ FLIPS[2])
    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir()
    for name in ("a", "b"):
        write_nifti(tmp_path / "images" / f"{name}.nii.gz", scan)
        write_nifti(
            tmp_path / "masks" / f"{name}.nii.gz", volume(ball.astype(np.int16), scan.spacing, direction=scan.direction)
        )
    for fields in ("spacing=(2, 1.5, 1.5)", "spacing=(2, 1.5, 1.5), size=(32, 20, 24)", "size=(20, 24, 24)"):
        data = parse(f"Folder('{tmp_path}', {fields})", DataSet)
        cases = data.load()
        back = read_volume(data.write_back(cases.labels[1].numpy(), "b", tmp_path / "back.mha"))  # type: ignore[attr-defined]
        assert back.values.shape == ball.shape
        cut = ball if "size=(32" not in fields else back.values & ball  # a box of 30 mm cuts the ball, which stays cut
        overlap = 2 * (back.values * cut).sum() / (back.values.sum() + cut.sum())
        assert overlap > 0.93, (fields, overlap)


def test_pictures_go_back_to_their_size(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((30, 50, 3), np.uint8)).save(tmp_path / "a.jpg")
    image = read_image([tmp_path / "a.jpg"])
    mask = np.zeros((10, 10), int)
    mask[:5, :2] = 1
    shown = np.asarray(Image.open(write_back(mask, image, tmp_path / "m.png")))
    assert shown.shape == (30, 50)
    assert np.array_equal(shown == 255, np.indices((30, 50))[0] // 15 + np.indices((30, 50))[1] // 10 == 0)
    assert np.asarray(Image.open(write_back(2 * mask, image, tmp_path / "k.png"))).max() == 2


def test_what_cannot_be_written_is_told(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(tmp_path / "a.png")
    picture = read_image([tmp_path / "a.png"])
    scan = read_image([write_meta(tmp_path / "a.mha", volume())])
    flat, deep = np.zeros((8, 8), int), np.zeros((9, 11, 13), int)
    for mask, of, to, says in (
        (flat, picture, "m.jpg", r"a mask of a picture is written as \.png or \.tif"),
        (flat, picture, "m.nii.gz", r"a mask of a picture is written as \.png"),
        (deep, scan, "m.png", r"a mask of a volume is written as \.nii\.gz"),
        (deep, scan, "m.npz", r"a mask of a volume is written as \.nii\.gz"),
        (deep, picture, "m.png", "class indices of 2 axes, not int64"),
        (flat + 0.5, picture, "m.png", "class indices of 2 axes, not float64"),
    ):
        with pytest.raises(UserError, match=says):
            write_back(mask, of, tmp_path / to)
    (tmp_path / "one").mkdir()
    (tmp_path / "a.png").rename(tmp_path / "one" / "a.png")
    data = parse(f"Folder('{tmp_path}', images='one', masks='one')", DataSet)
    with pytest.raises(UserError, match="has no case 'z'"):
        data.write_back(flat, "z", tmp_path / "z.png")  # type: ignore[attr-defined]


@settings(max_examples=40, deadline=None)
@these(
    values=arrays(np.int16, st.tuples(*[st.integers(1, 6)] * 3), elements=st.integers(0, 300)),
    turn=st.permutations(range(3)),
    signs=st.tuples(*[st.sampled_from([-1.0, 1.0])] * 3),
    spacing=st.tuples(*[st.floats(0.2, 6.0)] * 3),
)
def test_into_the_array_and_out_again_is_nothing(values, turn, signs, spacing) -> None:
    scan = Volume(
        values=values,
        spacing=np.array(spacing),
        origin=np.zeros(3),
        direction=OBLIQUE @ np.eye(3)[:, turn] @ np.diag(signs),
    )
    frame = Frame.of(scan)
    assert frame.into(values).shape == frame.shape
    assert np.array_equal(frame.out_of(frame.into(values)), values)
    assert np.array_equal(frame.restored(frame.into(values), None), values)


def test_a_mask_beside_its_image_in_the_body_is_refused(tmp_path: Path) -> None:
    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir()
    scan = volume()
    for name in ("a", "b"):
        write_nifti(tmp_path / "images" / f"{name}.nii", scan)
        write_nifti(tmp_path / "masks" / f"{name}.nii", volume((scan.values > 0).astype(np.int16)))
    assert len(parse(f"Folder('{tmp_path}')", DataSet).load()) == 2
    moved = volume((scan.values > 0).astype(np.int16), direction=OBLIQUE @ FLIPS[1])
    write_nifti(tmp_path / "masks" / "b.nii", moved)
    with pytest.raises(UserError, match=r"b\.nii and its image b\.nii lie up to .* voxels apart in the body"):
        parse(f"Folder('{tmp_path}')", DataSet).load()
    write_nifti(tmp_path / "masks" / "b.nii", volume(np.zeros((4, 5, 6), np.int16)))
    with pytest.raises(UserError, match=r"is 4 x 5 x 6 \(z x y x x\), and its image b\.nii is 9 x 11 x 13"):
        parse(f"Folder('{tmp_path}')", DataSet).load()


def _at(shape: tuple[int, int, int]) -> np.ndarray:
    """The shape at a spacing of 2.5, .9 and .7 mm, towards head, back and left, by SimpleITK's orientation."""
    oriented = sitk.DICOMOrient(as_sitk(volume(noise(shape))), "LPS")
    extent = np.multiply(oriented.GetSize(), oriented.GetSpacing())[::-1]
    return np.rint(extent / (2.5, 0.9, 0.7)).astype(int)


def test_volumes_of_other_sizes_need_one(tmp_path: Path) -> None:
    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir()
    for name, shape in (("a", (4, 5, 6)), ("b", (5, 5, 6))):
        scan = volume(noise(shape))
        write_nifti(tmp_path / "images" / f"{name}.nii", scan)
        write_nifti(tmp_path / "masks" / f"{name}.nii", volume((scan.values > 0).astype(np.int16)))
    with pytest.raises(UserError, match=r"size=\(D, H, W\), or to one spacing with  spacing=\(z, y, x\)"):
        parse(f"Folder('{tmp_path}')", DataSet).load()
    cases = parse(f"Folder('{tmp_path}', spacing=(2.5, 0.9, 0.7))", DataSet).load()
    assert cases.task.size == tuple(np.max([_at(shape) for shape in ((4, 5, 6), (5, 5, 6))], 0))
    with pytest.raises(UserError, match=r"size=\(8, 8\) has other axes"):
        parse(f"Folder('{tmp_path}', size=8)", DataSet).load()


# resizing


@settings(max_examples=40, deadline=None)
@these(arrays(np.uint8, st.tuples(st.integers(1, 20), st.integers(1, 20))), st.tuples(*[st.integers(1, 30)] * 2))
def test_linear_and_nearest_are_those_of_pillow(values, size) -> None:
    picture = Image.fromarray(values.astype(np.float32))
    wanted = np.asarray(picture.resize(size[::-1], Image.Resampling.BILINEAR))
    np.testing.assert_allclose(linear(values[None], size)[0], wanted, atol=0.02)
    drawn = np.asarray(Image.fromarray(values).resize(size[::-1], Image.Resampling.NEAREST))
    rows, columns = (
        ((2 * np.arange(new) + 1) * old) % (2 * new) != 0 for old, new in zip(values.shape, size, strict=True)
    )
    assert np.array_equal(
        nearest(values, size)[rows][:, columns], drawn[rows][:, columns]
    )  # between two, either is near


def test_enlarging_a_volume_is_linear_as_in_scipy() -> None:
    values = noise((4, 5, 6)).astype(np.float64)
    at = np.stack(np.meshgrid(*[(np.arange(2 * n) + 0.5) / 2 - 0.5 for n in values.shape], indexing="ij"))
    wanted = ndimage.map_coordinates(values, at, order=1, mode="nearest")
    np.testing.assert_allclose(linear(values[None], (8, 10, 12))[0], wanted, rtol=1e-4, atol=0.01)


@these(st.integers(1, 9), st.integers(1, 9))
def test_the_middle_of_the_middle_comes_back(small: int, large: int) -> None:
    line = np.arange(1, small + 1)
    there = centred(line, (large,), 0)
    assert len(there) == large
    if large >= small:
        assert np.array_equal(centred(there, (small,), 0), line)
    else:
        assert np.array_equal(there, line[(small - large) // 2 :][:large])


# regions and channels


@pytest.mark.parametrize("form", ["a.mha", "a.mhd", "a.nii", "a.nii.gz", "a.nrrd", "a.npz", "a.npy", "series"])
def test_a_region_is_the_same_part_at_the_same_place(tmp_path: Path, form: str) -> None:
    scan = volume()
    if form == "series":
        path = write_dicom(tmp_path / form, scan)
    elif form == "a.npy":
        np.save(tmp_path / form, scan.values)
        facts = {name: getattr(scan, name).tolist() for name in ("spacing", "origin", "direction")}
        (tmp_path / "a.json").write_text(json.dumps(facts))
        path = tmp_path / form
    else:
        write = write_nifti if "nii" in form else write_arrays if "npz" in form else write_meta
        path = write(tmp_path / form, scan)
    box = (slice(2, 5), slice(0, 11), slice(3, 9))
    part = read_region(path, box)
    assert np.array_equal(part.values, scan.values[box])
    np.testing.assert_allclose(part.origin, as_sitk(scan).TransformIndexToPhysicalPoint((3, 0, 2)), atol=1e-4)
    np.testing.assert_allclose(part.direction, scan.direction, atol=1e-4)
    with pytest.raises(UserError, match="reaches beyond the volume"):
        read_region(path, (slice(2, 5), slice(0, 12), slice(3, 9)))
    with pytest.raises(UserError, match="a region is three slices"):
        read_region(path, (slice(2, 5, 2), slice(0, 12), slice(3, 9)))


def test_a_fourth_axis_is_channels(tmp_path: Path) -> None:
    values = noise((4, 5, 6))
    nibabel.save(nibabel.Nifti1Image(np.stack([values.T, -values.T], -1), np.diag([2, 1, 3, 1])), tmp_path / "a.nii")
    first, second = read_channels(tmp_path / "a.nii")
    assert np.array_equal(first.values, values) and np.array_equal(second.values, -values)
    assert len(read_channels(write_meta(tmp_path / "b.mha", volume()))) == 1


def test_channels_must_lie_together(tmp_path: Path) -> None:
    one, other = write_nifti(tmp_path / "a.nii", volume()), write_nifti(tmp_path / "b.nii", volume(spacing=(1, 1, 1)))
    both = read_image([one, one]).values
    assert len(both) == 2 and np.array_equal(both[0], both[1])
    with pytest.raises(UserError, match=r"b\.nii and the first channel lie up to .* voxels apart"):
        read_image([one, other])


def test_large_class_numbers_are_kept(tmp_path: Path) -> None:
    mask = np.zeros((9, 11, 13), int)
    mask[0] = 300
    write_volume(tmp_path / "m.nii.gz", mask, volume())
    assert np.array_equal(read_volume(tmp_path / "m.nii.gz").values, mask)
