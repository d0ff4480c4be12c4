"""Free-response ROC without torch: the readings of whichloss.metrics, which a test holds equal."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

CPM_RATES = (1 / 8, 1 / 4, 1 / 2, 1.0, 2.0, 4.0, 8.0)  # false positives per scan
UNKNOWN_DIAMETER = 10.0  # mm
Numbers = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Spheres:
    """Marks (the diameter counts for nothing) or findings."""

    scan: Sequence[str]  # (N,)
    centre: Numbers  # (N, 3), mm
    size: Numbers  # (N,): of a mark its score; of a finding its diameter in mm, below 0: unknown, taken for 10 mm


@dataclass(frozen=True, eq=False)
class Froc:
    r"""What each lesion costs: the false positives per scan that are marked with it.

    The sensitivity at a rate is the share of lesions that cost no more; the area up to a rate $u$ is the mean of
    $\max(0, 1 - \mathrm{cost}/u)$ over all lesions. Equal scores are marked together, and between its points the
    curve is read as steps.
    """

    found: Numbers  # (R,): the highest score of each lesion that a mark hits
    false: Numbers  # (F,): the score of each mark that hits nothing
    lesions: int  # all, those that no mark hits too
    scans: int

    @property
    def cost(self) -> Numbers:
        """(R,), false positives per scan."""
        ordered = np.sort(self.false)
        return (len(ordered) - np.searchsorted(ordered, self.found, side="left")) / self.scans

    def sensitivity_at(self, fp_per_scan: float) -> float:
        return float((self.cost <= fp_per_scan).sum()) / self.lesions

    def area(self, up_to: float = 10.0) -> float:
        """The mean sensitivity from 0 to `up_to` false positives per scan."""
        return float((np.clip(up_to - self.cost, 0, None) / up_to).sum()) / self.lesions

    def cpm(self) -> float:
        """Competition performance metric: the mean sensitivity at 1/8, 1/4, 1/2, 1, 2, 4 and 8 (Niemeijer 2011)."""
        return float(np.mean([self.sensitivity_at(rate) for rate in CPM_RATES]))


def froc(marks: Spheres, lesions: Spheres, irrelevant: Spheres, scans: int) -> Froc:
    """As LUNA16 counts (Setio et al. 2017).

    A mark hits what it is closer to than the radius. The highest score of its hits counts for a lesion; its other hits
    are neither true nor false, and one mark may hit two lesions. A mark that hits no lesion but an irrelevant finding
    is left out; all others are false positives.
    """
    mark, lesion = _hits(marks, lesions)
    found = np.full(len(lesions.scan), -np.inf)
    np.maximum.at(found, lesion, marks.size[mark])
    false = np.ones(len(marks.scan), dtype=bool)
    false[mark] = False
    false[_hits(marks, irrelevant)[0]] = False
    return Froc(found[np.unique(lesion)], marks.size[false], len(lesions.scan), scans)


def _hits(marks: Spheres, findings: Spheres) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Mark and finding of each pair in which one is in the other, (P,) each."""
    radius = np.where(findings.size < 0, UNKNOWN_DIAMETER, findings.size) / 2
    here, there = _by_scan(marks), _by_scan(findings)
    pairs = [np.empty((0, 2), dtype=np.intp)]
    for scan in here.keys() & there.keys():
        i, j = here[scan], there[scan]
        distance2 = ((marks.centre[i][:, None] - findings.centre[j]) ** 2).sum(2)
        near, found = np.nonzero(distance2 < radius[j] ** 2)
        pairs.append(np.stack([i[near], j[found]], 1))
    mark, finding = np.concatenate(pairs).T
    return mark, finding


def _by_scan(spheres: Spheres) -> dict[str, NDArray[np.intp]]:
    """The places of each scan."""
    places: dict[str, list[int]] = {}
    for place, scan in enumerate(spheres.scan):
        places.setdefault(scan, []).append(place)
    return {scan: np.array(at) for scan, at in places.items()}
