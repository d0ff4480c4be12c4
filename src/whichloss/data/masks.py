"""What the numbers in a mask mean."""

from collections.abc import Sequence

import numpy as np

from whichloss.core import UserError
from whichloss.core.task import IGNORED

MOST = 128  # classes; a mask with more different values holds grey levels or numbers objects


def read_masks(values: np.ndarray, ids: Sequence[str], ignore: int | None = None) -> tuple[np.ndarray, tuple[str, ...]]:
    """Class indices (N, *S), int64, IGNORED where the value is `ignore`; and the names of the classes.

    All masks together hold 0 and 1, or 0 and 255, or 0, 1, ..., K - 1 with none left out, beside `ignore`.
    """
    if ignore is not None and (ignored := values == ignore).any():
        if ignored.all():
            raise UserError(f"wrong mask values: all are {ignore}, which is to be ignored")
        labels, classes = read_masks(np.where(ignored, values[~ignored].min(), values), ids)
        return np.where(ignored, IGNORED, labels), classes
    found = np.unique(values)
    if set(found.tolist()) <= {0, 1} or set(found.tolist()) <= {0, 255}:
        return (values > 0).astype(np.int64), ("background", "foreground")
    if len(found) <= MOST and np.array_equal(found, np.arange(len(found))):
        return values.astype(np.int64), ("background", *map(str, range(1, len(found))))
    raise UserError(_wrong(values, found, ids))


def _wrong(values: np.ndarray, found: np.ndarray, ids: Sequence[str]) -> str:
    odd = next((value for place, value in enumerate(found) if value != place), found[-1])
    here = values == odd if odd == odd else values != values  # NaN equals nothing
    first = ids[int(here.reshape(len(values), -1).any(1).argmax())]
    return (
        f"wrong mask values: found {shown(found)}; {shown(np.array([odd]))} is first met in {first!r}\n"
        "  yes or no:    0 and 1, or 0 and 255\n"
        "  K classes:    0, 1, ..., K - 1 with none left out\n"
        "  hint: values in between come from a JPEG or from smooth resizing: take .png and nearest neighbours;"
        " objects numbered one by one are made a mask by  mask = labels > 0"
    )


def shown(found: np.ndarray, most: int = 8) -> str:
    """The different values, the first few of them spelled out."""
    some = ", ".join(f"{value:g}" if isinstance(value, float) else str(value) for value in found[:most].tolist())
    return some if len(found) <= most else f"{some}, ... ({len(found)} different values)"
