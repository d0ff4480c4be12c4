"""Masks written in the space of the image that they were drawn on: a label map, as every viewer reads it."""

from pathlib import Path

import numpy as np

from whichloss.core import UserError

from ..views.read import METAIMAGE, NIFTI, NRRD, ending, need
from ..views.volume import Volume
from .image import Image
from .picture import is_picture, write_drawn

_LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0])


def write_back(prediction: np.ndarray, of: Image, to: str | Path, spacing: tuple[float, ...] | None = None) -> Path:
    """Class indices (*S), as a network that sees images of this size answers, on the grid of the file `of` came from.

    `to` ends in .nii, .nii.gz, .mha, .mhd or .nrrd for a volume, which gets the size, spacing, origin and direction of
    the input, and in .png or .tif for a picture, whose two classes are 0 and 255. spacing: what volumes were brought to
    before, as in the data set. Classes go to the nearest voxel; beyond what the network saw there is background.
    """
    to, frame = Path(to), of.frame
    mask = np.asarray(prediction)
    if mask.dtype.kind not in "biu" or mask.ndim != len(frame.shape):
        raise UserError(f"a prediction is class indices of {len(frame.shape)} axes, not {mask.dtype} {mask.shape}")
    mask = frame.restored(mask, spacing)
    if of.volume is None:
        if not is_picture(to) or to.suffix.lower() in (".dcm", ".jpg", ".jpeg"):
            raise UserError(f"{to}: a mask of a picture is written as .png or .tif")
        to.parent.mkdir(parents=True, exist_ok=True)
        write_drawn(to, mask * 255 if mask.max(initial=0) <= 1 else mask)
    else:
        write_volume(to, mask, of.volume)
    return to


def write_volume(to: Path, mask: np.ndarray, like: Volume) -> None:
    """Whole numbers (D, H, W) on the grid of a volume; 8 bit where they fit."""
    kind = ending(to)
    if kind not in (*NIFTI, *METAIMAGE, *NRRD):
        raise UserError(f"{to}: a mask of a volume is written as .nii.gz, .nii, .mha, .mhd or .nrrd")
    to.parent.mkdir(parents=True, exist_ok=True)
    mask = mask.astype(np.uint8 if mask.max(initial=0) < 256 else np.int16)
    if kind in NIFTI:
        nibabel, affine = need("nibabel", to), np.eye(4)
        affine[:3, :3], affine[:3, 3] = _LPS_TO_RAS @ like.steps, _LPS_TO_RAS @ like.origin
        made = nibabel.Nifti1Image(mask.T, affine)
        made.set_sform(affine, code=1)
        made.set_qform(affine, code=1, strip_shears=True)  # which a tilted gantry has, and a qform cannot say
        nibabel.save(made, to)
        return
    sitk = need("SimpleITK", to)
    made = sitk.GetImageFromArray(mask)
    made.SetSpacing(like.spacing.tolist())
    made.SetOrigin(like.origin.tolist())
    made.SetDirection(like.direction.ravel().tolist())
    sitk.WriteImage(made, str(to), useCompression=True)
