"""Pictures of every depth, and single DICOM images."""

import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from small_scans import noise, volume, write_dicom
from whichloss.core import UserError
from whichloss.data.files.image import read_image, stem
from whichloss.data.files.picture import read_drawn, read_picture


@settings(max_examples=30, deadline=None)
@given(
    st.sampled_from([np.uint8, np.uint16, np.float32]).flatmap(
        lambda kind: arrays(
            kind,
            st.tuples(st.integers(1, 9), st.integers(1, 9))
            | st.tuples(st.integers(1, 9), st.integers(1, 9), st.just(3)),
            elements=st.floats(-9, 9, width=32) if kind is np.float32 else None,
        )
    )
)
def test_tiff_of_every_depth_is_what_tifffile_wrote(tmp_path_factory: pytest.TempPathFactory, pixels) -> None:
    path = tmp_path_factory.mktemp("tiff") / "a.tif"
    tifffile.imwrite(path, pixels, photometric="rgb" if pixels.ndim == 3 else "minisblack")
    white = {"uint8": 255, "uint16": 65535, "float32": 1}[pixels.dtype.name]
    wanted = pixels[None] if pixels.ndim == 2 else np.moveaxis(pixels, -1, 0)
    np.testing.assert_allclose(read_picture(path), wanted.astype(np.float64) / white, rtol=1e-6, atol=1e-7)


def test_a_tiff_of_other_numbers_is_told(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((4, 4, 3), np.complex64), photometric="minisblack")
    with pytest.raises(UserError, match=r"a\.tif"):
        read_picture(tmp_path / "a.tif")


def test_a_dicom_image_has_its_rescaled_values(tmp_path: Path) -> None:
    """A chest film: one slice, in grey values of its own, of mean 0 and standard deviation 1, or within a window."""
    scan = volume(noise((1, 20, 30)))
    write_dicom(tmp_path, scan)
    file = next(tmp_path.iterdir())
    np.testing.assert_allclose(read_picture(file)[0], scan.values[0], atol=1e-3)
    shown = read_image([file])
    assert abs(shown.values.mean()) < 1e-5 and abs(shown.values.std() - 1) < 1e-4
    np.testing.assert_allclose(read_image([file], (-1000, 1500)).values[0], (scan.values[0] + 1000) / 2500, atol=1e-5)
    import pydicom

    negative = pydicom.dcmread(file)
    negative.PhotometricInterpretation = "MONOCHROME1"
    negative.save_as(tmp_path / "n.dcm")
    np.testing.assert_allclose(read_picture(tmp_path / "n.dcm")[0], -scan.values[0].astype(float), atol=1e-3)
    (tmp_path / "x.dcm").write_bytes(b"no image")
    with pytest.raises(UserError, match="cannot be read as a DICOM image"):
        read_picture(tmp_path / "x.dcm")


def test_a_missing_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_dicom(tmp_path, volume(noise((1, 4, 4))))
    monkeypatch.setitem(sys.modules, "pydicom", None)
    with pytest.raises(
        UserError, match=r'read with pydicom, which is not installed.*pip install "whichloss\[medical\]"'
    ):
        read_picture(next(tmp_path.glob("*.dcm")))
    tifffile.imwrite(tmp_path / "deep.tif", np.zeros((4, 4, 3), np.uint16), photometric="rgb")
    monkeypatch.setitem(sys.modules, "tifffile", None)
    with pytest.raises(
        UserError, match=r'read with tifffile, which is not installed.*pip install "whichloss\[medical\]"'
    ):
        read_drawn(tmp_path / "deep.tif")


def test_names_without_their_endings(tmp_path: Path) -> None:
    for name, wanted in (("a.nii.gz", "a"), ("a.b.PNG", "a.b"), ("a.mha", "a"), ("a", "a"), ("ü ö.jpeg", "ü ö")):
        assert stem(tmp_path / name) == wanted
