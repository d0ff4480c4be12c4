"""Every metric, one file each, in a folder for each task. Importing this package tells core where to look."""

from whichloss.core.catalogue import fill

from .metric import Metric as Metric
from .metric import MetricCard as MetricCard
from .thresholded import ThresholdedMetric as ThresholdedMetric
from .tune import tune_threshold as tune_threshold

fill(Metric, __name__, list(__path__))
