"""Small made-up volumes in the forms in which CT comes: written by SimpleITK, nibabel and pydicom."""

from collections.abc import Callable, Sequence
from pathlib import Path

import nibabel
import numpy as np
import SimpleITK as sitk
from numpy.typing import ArrayLike
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, SegmentationStorage, generate_uid
from scipy.spatial.transform import Rotation

from whichloss.data.views import Volume

OBLIQUE = Rotation.from_euler("xyz", [20, -35, 50], degrees=True).as_matrix()


def chance(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def noise(shape: tuple[int, int, int] = (9, 11, 13), seed: int = 0) -> np.ndarray:
    return chance(seed).integers(-1000, 1500, shape, dtype=np.int16)


def volume(
    values: np.ndarray | None = None,
    spacing: ArrayLike = (0.7, 0.9, 2.5),
    origin: ArrayLike = (-30.0, 12.5, 400.0),
    direction: np.ndarray = OBLIQUE,
) -> Volume:
    return Volume(
        values=noise() if values is None else values,
        spacing=np.array(spacing, float),
        origin=np.array(origin, float),
        direction=direction,
    )


def painted(
    paint: Callable[[np.ndarray], np.ndarray],
    shape: tuple[int, int, int] = (30, 60, 50),
    spacing: ArrayLike = (0.8, 0.7, 1.6),
    direction: np.ndarray | None = None,
    middle: ArrayLike = (0.0, 0.0, 0.0),
) -> Volume:
    """A volume around `middle` whose voxels are what `paint` says of their places in the world (..., 3), mm."""
    direction = np.eye(3) if direction is None else direction
    half = direction @ (np.array(spacing) * (np.array(shape[::-1]) - 1) / 2)
    blank = volume(np.zeros(shape, np.int16), spacing, np.array(middle) - half, direction)
    z, y, x = np.indices(shape)
    values = paint(blank.world(np.stack([x, y, z], -1))).astype(np.int16)
    return volume(values, spacing, blank.origin, direction)


def ball(at: np.ndarray, radius: float = 4.0) -> Callable[[np.ndarray], np.ndarray]:
    """1000 within, -500 elsewhere."""
    return lambda world: np.where(np.linalg.norm(world - at, axis=-1) < radius, 1000, -500)


def as_sitk(scan: Volume) -> sitk.Image:
    image = sitk.GetImageFromArray(scan.values)
    image.SetSpacing(scan.spacing.tolist())
    image.SetOrigin(scan.origin.tolist())
    image.SetDirection(scan.direction.ravel().tolist())
    return image


def write_meta(path: Path, scan: Volume, compressed: bool = False) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    sitk.WriteImage(as_sitk(scan), str(path), useCompression=compressed)
    return path


def write_nifti(path: Path, scan: Volume, dtype: type = np.int16) -> Path:
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = scan.steps, scan.origin
    image = nibabel.Nifti1Image(scan.values.T.astype(dtype), np.diag([-1, -1, 1, 1]) @ affine)
    nibabel.save(image, path)
    return path


def write_arrays(path: Path, scan: Volume) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, volume=scan.values, spacing=scan.spacing, origin=scan.origin, direction=scan.direction)
    return path


def write_dicom(
    folder: Path, scan: Volume, modality: str = "CT", lean: Sequence[float] = (0, 0, 0), leave_out: Sequence[int] = ()
) -> Path:
    """One file a slice, named in no order. lean: how much further than along the third axis each slice lies, mm."""
    folder.mkdir(parents=True, exist_ok=True)
    series, frame = generate_uid(), generate_uid()
    names = chance(1).permutation(len(scan.values))
    for k, plane in enumerate(scan.values):
        if k not in leave_out:
            place = scan.world(np.array([0, 0, k])) + k * np.array(lean)
            made = _slice(plane, place, scan, modality, k)
            made.SeriesInstanceUID, made.FrameOfReferenceUID = series, frame
            made.save_as(folder / f"1-{names[k]:03d}.dcm", enforce_file_format=True)
    return folder


def _slice(plane: np.ndarray, place: np.ndarray, scan: Volume, modality: str, k: int) -> FileDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = CTImageStorage if modality == "CT" else SegmentationStorage
    meta.MediaStorageSOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    made.SOPClassUID, made.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    made.StudyInstanceUID, made.PatientID, made.Modality = "1.2.3", "P", modality
    made.InstanceNumber = k + 1
    made.Rows, made.Columns = plane.shape
    made.PixelSpacing = [_decimal(scan.spacing[1]), _decimal(scan.spacing[0])]  # between rows, between columns
    made.ImagePositionPatient = [_decimal(one) for one in place]
    made.ImageOrientationPatient = [_decimal(one) for one in scan.direction[:, :2].T.ravel()]
    made.SamplesPerPixel, made.PhotometricInterpretation = 1, "MONOCHROME2"
    made.BitsAllocated, made.BitsStored, made.HighBit, made.PixelRepresentation = 16, 16, 15, 0
    made.RescaleSlope, made.RescaleIntercept = 1, -1024
    made.PixelData = (plane.astype(np.int32) + 1024).astype(np.uint16).tobytes()
    return made


def _decimal(value: float) -> str:
    """As DICOM has it, at most 16 characters."""
    return f"{value:.10f}"[:16]
