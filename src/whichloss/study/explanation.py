"""What the answers of each loss rest on, as pictures of the same cases."""

from collections.abc import Mapping

import numpy as np

from whichloss.data import Cases
from whichloss.report import Picture

from .curves import by_loss
from .disagreement import SHOWN
from .facts import Ended
from .pictures import as_png, in_a_row, shades
from .store import Store

MOST = 6  # cases
TITLE = "What the answers rest on"
FOR, AGAINST = np.array([214.0, 47.0, 30.0]), np.array([33.0, 87.0, 200.0])


def explanations(found: Ended, labels: Mapping[str, str], cases: Cases, store: Store) -> list[Picture]:
    """Cases of the first seed and fold that every loss has finished: the image, and a picture for each loss."""
    groups = by_loss(found, labels)
    runs = {label: {(run.seed, run.fold): run for run, _ in members} for label, members in groups.items()}
    shared = sorted(set.intersection(*map(set, runs.values()))) if runs else []
    if not shared:
        return []
    kept = {label: store.outputs(runs[label][shared[0]].key) for label in list(runs)[:SHOWN]}
    which = next(iter(kept.values()))["attribution_cases"].tolist()[:MOST]
    return [
        _picture(cases, at, {label: one["attribution"][row].numpy() for label, one in kept.items()})
        for row, at in enumerate(which)
    ]


def _picture(cases: Cases, at: int, found: Mapping[str, np.ndarray]) -> Picture:
    """Of a volume the slice with most of what any loss rests on."""
    image, truth = cases.images[at].numpy(), cases.labels[at].item()
    strength = sum((np.abs(one) / max(float(np.abs(one).max()), 1e-30) for one in found.values()), np.zeros(1))
    place = strength.sum((1, 2)).argmax() if image.ndim == 4 else ...
    panels = [shades(image[:, place]), *(_over(image[:, place], one[place]) for one in found.values())]
    known = cases.task.classes[int(truth)] if cases.task.classes else f"{truth:g} {cases.task.unit}".strip()
    caption = (
        f"Case {cases.ids[at]}, truth: {known}. From the left: the image, {', '.join(found)}. Red speaks for"
        f" {_answer(cases)}, blue against it; each picture has shades of its own."
    )
    return Picture(title=TITLE, caption=caption, png=as_png(in_a_row(panels)))


def _answer(cases: Cases) -> str:
    if not cases.task.classes:
        return f"a larger {cases.task.quantity}"
    return cases.task.classes[1] if cases.task.binary else "the true class"


def _over(image: np.ndarray, found: np.ndarray) -> np.ndarray:
    """A map in two colours over the image in pale grey; its strongest hundredth is opaque."""
    pale = 255 - (255 - shades(image).astype(float)) * 0.45
    strength = shades(np.abs(found)[None], 0.0, max(float(np.quantile(np.abs(found), 0.99)), 1e-30))[..., :1] / 255.0
    positive = shades((found > 0)[None].astype(float), 0.0, 1.0)[..., :1] > 0
    return (pale * (1 - strength) + np.where(positive, FOR, AGAINST) * strength).round().astype(np.uint8)
