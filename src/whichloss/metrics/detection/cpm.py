"""Competition performance metric: seven points of the FROC curve."""

from torch import Tensor

from whichloss.metrics.detection.froc import Froc
from whichloss.metrics.detection.froc_metric import ELSEWHERE, TASKS, FrocMetric
from whichloss.metrics.metric import MetricCard


class Cpm(FrocMetric):
    """The mean sensitivity at 1/8, 1/4, 1/2, 1, 2, 4 and 8 false positives per volume, as in LUNA16.

    Each doubling counts the same, so that few false positives weigh more than in FrocArea.
    """

    card = MetricCard(
        title="CPM",
        meaning="The share of lesions found, averaged over one false alarm in eight scans to eight in each.",
        source="niemeijer2011combining",
        tasks=TASKS,
        elsewhere=ELSEWHERE,
    )

    def shares(self, froc: Froc) -> Tensor:
        return froc.found_at_cpm(self.by)
