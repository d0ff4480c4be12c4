"""Volumes from files: MetaImage, NRRD, NIfTI, arrays, and folders of DICOM slices; whole, or a region of them."""

import json
import re
import zipfile
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from whichloss.core import UserError

from .volume import Volume

NIFTI, METAIMAGE, ARRAYS, NRRD = (".nii", ".nii.gz"), (".mhd", ".mha"), (".npz", ".npy"), (".nrrd",)
ENDINGS = METAIMAGE + NIFTI + ARRAYS + NRRD
_NO_IMAGES = ("SEG", "RTSTRUCT", "RTPLAN", "RTDOSE", "SR", "PR", "KO", "REG")  # modalities of other series beside a CT
_RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0])
_UNEVEN = 0.1  # of a step between slices; beyond that one is missing


Region = tuple[slice, slice, slice]  # z, y, x
Parts = tuple[np.ndarray, np.ndarray, np.ndarray]  # values, steps (3, 3) and origin (3,) of the whole volume
_WHOLE: Region = (slice(None), slice(None), slice(None))


def ending(path: Path) -> str:
    """The one of ENDINGS that a file has, or ""."""
    return next((one for one in sorted(ENDINGS, key=len, reverse=True) if path.name.lower().endswith(one)), "")


def read_volume(path: str | Path) -> Volume:
    """The volume in a file of one of ENDINGS, or the one series of DICOM images in or below a folder.

    `.npz` holds the arrays `volume` (D, H, W) and `spacing` (x, y, z; mm), and may hold `origin` and `direction`;
    beside NAME.npy stands NAME.json with these facts. NIfTI says RAS, and is turned into LPS.
    """
    path = Path(path)
    return _checked(path, *_attempt(path, _WHOLE))


def read_channels(path: str | Path) -> list[Volume]:
    """As `read_volume`; a fourth axis, as NIfTI files of several sequences have it, makes a volume for each channel."""
    path = Path(path)
    values, steps, origin = _attempt(path, _WHOLE)
    each = values if values.ndim == 4 else [values]
    return [_checked(path, one, steps, origin) for one in each]


def read_region(path: str | Path, region: Region) -> Volume:
    """A part of the volume that `read_volume` gives, `values[region]`, which lies where it lies in the whole.

    region: three slices (z, y, x) with start and stop, step 1. Of NIfTI, uncompressed MetaImage and .npy nothing else
    is in memory; of other files the whole is read, and cut.
    """
    path = Path(path)
    if len(region) != 3 or any(one.step not in (None, 1) or not 0 <= one.start < one.stop for one in region):
        raise UserError(f"a region is three slices (z, y, x) with 0 <= start < stop and step 1, not {region}")
    return _checked(path, *_attempt(path, region))


def sources(path: Path) -> list[Path]:
    """All files that a volume is made of."""
    if path.is_dir():
        return sorted(one for one in path.rglob("*") if one.is_file())
    if ending(path) == ".mhd":
        return [path, *_data_files(path)]
    return [path, path.with_suffix(".json")] if ending(path) == ".npy" else [path]


def _data_files(header: Path) -> list[Path]:
    """The files that the last line of a MetaImage header names: one, or LIST and one a line."""
    text = header.read_bytes().decode("latin-1")
    found = re.search(r"^ElementDataFile\s*=\s*(.+)$", text, re.MULTILINE)
    name = found[1].strip() if found else ""
    names = text[found.end() :].split("\n") if found and name.startswith("LIST") else [name]
    return [header.parent / one.strip() for one in names if one.strip() and (header.parent / one.strip()).is_file()]


def _attempt(path: Path, region: Region) -> Parts:
    """Values, in the region, steps of the grid, and the place of the first of these values."""
    kind = "" if path.is_dir() else ending(path)
    if not path.is_dir() and not kind:
        raise UserError(f"{path} is no volume that can be read: {', '.join(ENDINGS)}, or a folder of DICOM slices")
    read = _dicom if path.is_dir() else _nifti if kind in NIFTI else _arrays if kind in ARRAYS else _itk
    try:
        values, steps, origin = read(path, region)
        first = [one.start or 0 for one in region]
        _refuse_beyond(path, values, region)
        return values, steps, origin + steps @ first[::-1]
    except UserError:
        raise
    except (OSError, RuntimeError, ValueError, LookupError, EOFError, TypeError, zipfile.BadZipFile) as error:
        raise UserError(f"{path} cannot be read as a volume: {error}") from error
    except Exception as error:
        if type(error).__module__.startswith("nibabel"):  # whose errors have no other common base
            raise UserError(f"{path} cannot be read as a volume: {error}") from error
        raise


def _refuse_beyond(path: Path, values: np.ndarray, region: Region) -> None:
    wanted = [one.stop - one.start for one in region if one.stop is not None]
    if wanted and list(values.shape[-3:]) != wanted:
        raise UserError(f"{path}: the region {region} reaches beyond the volume")


def _checked(path: Path, values: np.ndarray, steps: np.ndarray, origin: np.ndarray) -> Volume:
    if values.ndim != 3 or not values.size:
        raise UserError(f"{path} has the shape {values.shape}; a volume has three axes (one channel, one time)")
    spacing = np.linalg.norm(steps, axis=0)
    if not (np.isfinite(steps).all() and np.isfinite(origin).all() and (spacing > 0).all()):
        raise UserError(f"{path}: spacing {spacing.tolist()} mm and origin {origin.tolist()} mm place no voxel")
    direction = steps / spacing
    if abs(np.linalg.det(direction)) < 1e-3:
        raise UserError(f"{path}: the axes of the volume do not span the space: {direction.tolist()}")
    return Volume(values=_narrow(path, values), spacing=spacing, origin=origin, direction=direction)


def _narrow(path: Path, values: np.ndarray) -> np.ndarray:
    """int16 where nothing is lost by it, else float32; (D, H, W) in this order in memory."""
    if values.dtype.kind not in "biuf":
        raise UserError(f"{path} holds {values.dtype}; a volume holds numbers")
    low, high = values.min(), values.max()
    if not np.isfinite([low, high]).all():
        raise UserError(f"{path}: not all voxels are finite (NaN or infinity)")
    fits = low >= np.iinfo(np.int16).min and high <= np.iinfo(np.int16).max
    whole = values.dtype.kind != "f" or (fits and all(np.array_equal(part, np.rint(part)) for part in values))
    return np.ascontiguousarray(values, dtype=np.int16 if fits and whole else np.float32)


def need(package: str, path: object) -> Any:
    """A package of the extra `medical`, which reads this file."""
    try:
        return import_module(package)
    except ImportError:
        raise UserError(
            f'{path} is read with {package}, which is not installed; remedy: pip install "whichloss[medical]"'
        ) from None


def _itk(path: Path, region: Region) -> Parts:
    """MetaImage and NRRD. The origin is that of the whole volume."""
    sitk = need("SimpleITK", path)
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    if region is _WHOLE:
        return _from_sitk(path, sitk, reader.Execute())
    reader.ReadImageInformation()
    whole = reader.GetSize()
    if len(whole) == 3 and all(one.stop <= size for one, size in zip(region, whole[::-1], strict=True)):
        reader.SetExtractIndex([one.start for one in region[::-1]])
        reader.SetExtractSize([one.stop - one.start for one in region[::-1]])
    values, steps, _ = _from_sitk(path, sitk, reader.Execute())
    return values, steps, np.array(reader.GetOrigin())


def _from_sitk(path: Path, sitk: Any, image: Any) -> Parts:
    if image.GetDimension() != 3 or image.GetNumberOfComponentsPerPixel() != 1:
        channels = image.GetNumberOfComponentsPerPixel()
        raise UserError(f"{path} has {image.GetDimension()} axes and {channels} channels; a volume has 3 and 1")
    steps = np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()
    return sitk.GetArrayFromImage(image), steps, np.array(image.GetOrigin())


def _nifti(path: Path, region: Region) -> Parts:
    image = need("nibabel", path).load(path)
    values = np.asanyarray(image.dataobj if region is _WHOLE else image.dataobj[region[::-1]])
    while values.ndim > 3 and values.shape[-1] == 1:
        values = values[..., 0]
    return values.T, _RAS_TO_LPS @ image.affine[:3, :3], _RAS_TO_LPS @ image.affine[:3, 3]


def _arrays(path: Path, region: Region) -> Parts:
    if path.suffix.lower() == ".npz":
        with np.load(path, allow_pickle=False) as file:
            facts = {name: file[name] for name in file.files}
    else:
        beside = path.with_suffix(".json")
        if not beside.exists():
            raise UserError(f"{path} does not say its spacing; remedy: write it into {beside.name}: " + _EXAMPLE)
        mapped = np.load(path, mmap_mode="r", allow_pickle=False)
        facts = {**json.loads(beside.read_text(encoding="utf-8")), "volume": mapped}
    if missing := {"volume", "spacing"} - facts.keys():
        raise UserError(f"{path} has no {' and no '.join(sorted(missing))}; it has {', '.join(sorted(facts))}")
    spacing, origin = np.reshape(facts["spacing"], 3), np.reshape(facts.get("origin", np.zeros(3)), 3)
    direction = np.reshape(facts.get("direction", np.eye(3)), (3, 3))
    return _cut((facts["volume"], direction * spacing.astype(float), origin.astype(float)), region)


_EXAMPLE = '{"spacing": [0.7, 0.7, 1.25], "origin": [0, 0, 0]} (x, y, z; mm)'


# DICOM


def _dicom(folder: Path, region: Region) -> Parts:
    """The steps from slice to slice come from where the slices say they are, so that a tilted gantry is no error."""
    sitk = need("SimpleITK", folder)
    files = _series(folder, sitk)
    if len(files) == 1:
        return _cut(_from_sitk(folder, sitk, sitk.ReadImage(files[0])), region)
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(files)
    reader.MetaDataDictionaryArrayUpdateOn()
    warns = sitk.ProcessObject.GetGlobalWarningDisplay()
    sitk.ProcessObject.SetGlobalWarningDisplay(False)  # of uneven slices we say more, below
    try:
        values, steps, _ = _from_sitk(folder, sitk, reader.Execute())
    finally:
        sitk.ProcessObject.SetGlobalWarningDisplay(warns)
    places = np.array([[float(x) for x in reader.GetMetaData(k, "0020|0032").split("\\")] for k in range(len(files))])
    _refuse_uneven(folder, files, places)
    steps[:, 2] = (places[-1] - places[0]) / (len(places) - 1)
    return _cut((values, steps, places[0]), region)


def _cut(parts: Parts, region: Region) -> Parts:
    values, steps, origin = parts
    return (values if region is _WHOLE else values[region]), steps, origin


def _series(folder: Path, sitk: Any) -> Sequence[str]:
    """The files of the only series of images, slice by slice."""
    found = {}
    for place in [folder, *sorted(one for one in folder.rglob("*") if one.is_dir())]:
        if any(one.is_file() for one in place.iterdir()):
            for uid in sitk.ImageSeriesReader.GetGDCMSeriesIDs(str(place)):
                files = sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(place), uid)
                if _modality(files[0], sitk) not in _NO_IMAGES:
                    found[f"{place.relative_to(folder)}: {uid}"] = files
    if len(found) != 1:
        names = "".join(f"\n  {name} ({len(files)} files)" for name, files in found.items())
        raise UserError(
            f"{folder} holds {len(found) or 'no'} DICOM series of images; a volume is one{names}\n"
            "  remedy: name the folder of one series with volumes="
        )
    return next(iter(found.values()))


def _modality(file: str, sitk: Any) -> str:
    reader = sitk.ImageFileReader()
    reader.SetFileName(file)
    reader.ReadImageInformation()
    return reader.GetMetaData("0008|0060").strip() if reader.HasMetaDataKey("0008|0060") else ""


def _refuse_uneven(folder: Path, files: Sequence[str], places: np.ndarray) -> None:
    gaps = np.linalg.norm(np.diff(places, axis=0), axis=1)
    usual = float(np.median(gaps))
    odd = int(np.abs(gaps - usual).argmax())
    if abs(gaps[odd] - usual) > _UNEVEN * usual or usual == 0:
        raise UserError(
            f"{folder}: from {Path(files[odd]).name} to {Path(files[odd + 1]).name} it is {gaps[odd]:g} mm, and"
            f" {usual:g} mm between other slices: a slice is missing or there twice\n"
            "  remedy: complete the series, resample it, or leave its candidates out of the list"
        )
