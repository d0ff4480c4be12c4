"""Pictures of a study's cases for its page."""

import io
from collections.abc import Sequence

import numpy as np
from PIL import Image

from whichloss.data import Cases
from whichloss.report import Picture

EACH = 8  # candidates of either kind
SIDE = 72  # pixels of a picture, at least
GAP = 6
PANEL = 144  # pixels of the longer side, about


def gallery(cases: Cases, at: Sequence[int]) -> Picture:
    """First views of some candidates `at`, lesions above, others below: three planes as red, green and blue, and below
    them the first plane alone.

    Of each kind they are taken at even steps from the list of all candidates, so that nobody has chosen them.
    """
    assert cases.candidates is not None
    numbers, labels = cases.candidates.numbers.tolist(), cases.labels.tolist()
    first: dict[int, int] = {}
    for one in at:
        first.setdefault(numbers[one], one)
    rows = [_some([one for one in first.values() if labels[one] == kind]) for kind in (1, 0)]
    low, high = (float(np.quantile(cases.images[[*rows[0], *rows[1]]].numpy(), share)) for share in (0.005, 0.995))
    tiles = [[_tile(cases.images[one].numpy(), low, high) for one in row] for row in rows]
    height, width = tiles[0][0].shape[:2]
    columns = max(map(len, tiles))
    sheet = np.full((len(tiles) * (height + GAP) - GAP, columns * (width + GAP) - GAP, 3), 255, np.uint8)
    for down, row in enumerate(tiles):
        for right, tile in enumerate(row):
            top, left = down * (height + GAP), right * (width + GAP)
            sheet[top : top + height, left : left + width] = tile
    yes, no = cases.task.classes[1], cases.task.classes[0]
    colours = "three planes as red, green and blue, and the first of them below"
    planes = colours if len(cases.images[0]) == 3 else "a view"
    return Picture(
        title="Candidates",
        caption=f"Above: {yes} ({len(rows[0])}). Below: {no} ({len(rows[1])}). Of each, {planes}.",
        png=as_png(sheet),
    )


# grey levels and layout


def middle(image: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """The image itself, (channels, H, W); of a volume the slice with most of what is to be found, else the middle."""
    if image.ndim == 3:
        return image
    marked = np.array([(one > 0).sum() for one in truth]) if truth.ndim == 3 else np.zeros(image.shape[1])
    return image[:, int(marked.argmax()) if marked.any() else image.shape[1] // 2]


def shades(image: np.ndarray, low: float | None = None, high: float | None = None) -> np.ndarray:
    """(channels, H, W) to (height, width, 3) of 8 bits; one channel, or the first of two, in grey."""
    image = image.astype(np.float64)
    low = float(np.quantile(image, 0.005)) if low is None else low
    high = float(np.quantile(image, 0.995)) if high is None else high
    grey = (255 * ((image - low) / max(high - low, 1e-12)).clip(0, 1)).astype(np.uint8)
    shown = np.moveaxis(grey[:3] if len(grey) >= 3 else np.repeat(grey[:1], 3, 0), 0, -1)
    times = max(1, round(PANEL / max(shown.shape[:2])))
    step = -(-max(shown.shape[:2]) // (2 * PANEL))  # of large images every second pixel, or fewer
    return shown[::step, ::step].repeat(times, 0).repeat(times, 1)


def in_a_row(panels: Sequence[np.ndarray]) -> np.ndarray:
    """Pictures of one height side by side."""
    gap = np.full((len(panels[0]), GAP, 3), 255, np.uint8)
    return np.concatenate([one for panel in panels for one in (gap, panel)][1:], 1)


def _some(candidates: list[int]) -> list[int]:
    return candidates[:: max(1, len(candidates) // EACH)][:EACH]


def _tile(view: np.ndarray, low: float, high: float) -> np.ndarray:
    """(channels, H, W) to (height, width, 3), grey levels between low and high, each pixel as a small square."""
    grey = (255 * ((view - low) / max(high - low, 1e-12)).clip(0, 1)).astype(np.uint8)
    shown = [np.moveaxis(grey, 0, -1)] if len(view) == 3 else []
    shown.append(np.repeat(grey[0][..., None], 3, 2))
    times = -(-SIDE // view.shape[-1])
    return np.concatenate([one.repeat(times, 0).repeat(times, 1) for one in shown])


def as_png(sheet: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(sheet).save(file, format="PNG", optimize=True)
    return file.getvalue()
