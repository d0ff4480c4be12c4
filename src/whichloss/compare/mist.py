"""What the Medical Imaging Segmentation Toolkit (mist-medical) writes: results.csv."""

import re
from collections.abc import Sequence
from pathlib import Path

from whichloss.compare.lines import column_of, lines_of
from whichloss.compare.score import Score
from whichloss.stats import TableError

METRICS = ("lesion_wise_surf_dice", "lesion_wise_haus95", "lesion_wise_dice", "surf_dice", "avg_surf", "haus95", "dice")
UNIT = {"haus95": "mm", "avg_surf": "mm", "lesion_wise_haus95": "mm"}
STATISTICS = re.compile(r"mean|std|median|min|max|\d+th percentile", re.IGNORECASE)


def is_mist(header: Sequence[str]) -> bool:
    """An id, and a column for each class and metric."""
    return column_of(header, "id") is not None and any(_metric(column)[1] in METRICS for column in header)


def read(path: Path, loss: str, fold: int | None, seed: int) -> list[Score]:
    """A score for each patient, class and metric.

        id,tumor_dice,tumor_haus95,edema_dice,edema_haus95
        BRATS_001,0.87,3.6,0.71,5.2
        ...
        Mean,...        and Std, 25th Percentile, Median, 75th Percentile: left out

    The column tumor_dice is the metric dice of the class tumor; a column that ends in no metric of MIST's is a metric
    by itself. MIST gives the best value to a class that neither mask has and the worst where one of the two is empty,
    so that nothing is undefined. Its table has the test cases of all folds together: which fold each was in says its
    train_paths.csv, or any list of cases with a column `fold`.

    Source: mist/evaluation/evaluation_utils.py and evaluator.py of mist-medical/MIST.
    """
    lines = lines_of(path)
    name = column_of(lines[0].fields, "id")
    if name is None:
        raise TableError(f"{path}, line 1: no column id; came: {','.join(lines[0].fields)}")
    patients = [line for line in lines if not STATISTICS.fullmatch(line.text(name))]
    if not patients:
        raise TableError(f"{path}: has statistics and no patient")
    scores = []
    for column in (column for column in lines[0].fields if column not in (name, "")):
        part, metric = _metric(column)
        scores += [
            Score(
                loss=loss, metric=metric, value=line.number_of(column), origin=line.origin, fold=fold, seed=seed,
                case=line.text(name), part=part, unit=UNIT.get(metric, ""),
            )
            for line in patients
        ]  # fmt: skip
    return scores


def _metric(column: str) -> tuple[str, str]:
    """The class and the metric.

    >>> _metric("whole_tumor_surf_dice"), _metric("dice"), _metric("volume")
    (('whole_tumor', 'surf_dice'), ('', 'dice'), ('', 'volume'))
    """
    for metric in METRICS:
        if column == metric or column.endswith(f"_{metric}"):
            return column[: -len(metric)].rstrip("_"), metric
    return "", column
