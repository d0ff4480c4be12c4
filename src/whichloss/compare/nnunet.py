"""What nnU-Net writes beside its predictions: summary.json, of the second and of the first version."""

import json
from collections.abc import Iterator, Mapping
from math import isnan
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from whichloss.compare.lines import open_text
from whichloss.compare.score import Score
from whichloss.stats import TableError

COUNTS = {  # of voxels, from which scores are made: no scores themselves
    "TP", "FP", "FN", "TN", "n_pred", "n_ref", "Total Positives Test", "Total Positives Reference",
}  # fmt: skip
BACKGROUND = "0"
UNIT = {"HD95": "mm", "HSD95": "mm", "Hausdorff Distance 95": "mm"}


def read(path: Path, loss: str, fold: int | None, seed: int) -> list[Score]:
    """A score for each case, label and metric; the background (label 0) is left out, as in nnU-Net's foreground mean.

        {"metric_per_case": [{"metrics": {"1": {"Dice": 0.87, ...}, "(1, 2)": {...}},
                              "prediction_file": ".../lung_006.nii.gz", "reference_file": "..."}, ...],
         "mean": ..., "foreground_mean": ...}                                                      version 2
        {"results": {"all": [{"1": {"Dice": 0.87, ...}, "test": "...", "reference": "..."}, ...]}}      version 1

    The case is the name of the prediction without its ending. Where neither the reference nor the prediction has a
    voxel of a label, nnU-Net writes NaN: undefined. Its own means leave such a case out for the losses that marked
    nothing and count 0 for those that did, so that each loss is judged on cases of its own; the means in the file
    are therefore not read.

    Source: nnunetv2/evaluation/evaluate_predictions.py and nnunet/evaluation/evaluator.py of MIC-DKFZ/nnUNet.
    """
    content = _content(path)
    return [
        Score(
            loss=loss, metric=metric, value=_value(value, f"{path}, case {case}, label {label}, {metric}"),
            origin=f"{path}, case {case}", fold=fold, seed=seed, case=case, part=label, unit=UNIT.get(metric, ""),
        )
        for case, label, metric, value in _entries(path, content)
    ]  # fmt: skip


def _content(path: Path) -> Any:
    try:
        with open_text(path) as file:
            return json.load(file)  # which reads the NaN that nnU-Net writes
    except json.JSONDecodeError as error:
        raise TableError(f"{path}: is not JSON ({error})") from error


def _entries(path: Path, content: Any) -> Iterator[tuple[str, str, str, Any]]:
    """Case, label, metric, value of either version."""
    try:
        if "metric_per_case" in content:
            cases = [(one["prediction_file"], one["metrics"]) for one in content["metric_per_case"]]
        else:
            cases = [(one["test"], _labels(one)) for one in content["results"]["all"]]
        for file, labels in cases:
            for label, metrics in labels.items():
                for metric, value in metrics.items():
                    if label != BACKGROUND and metric not in COUNTS:
                        yield case_of(file), label, metric, value
    except (KeyError, TypeError, AttributeError) as error:
        raise TableError(
            f"{path}: is not a summary.json of nnU-Net (no {error})\n"
            '  fits: {"metric_per_case": [{"metrics": {"1": {"Dice": 0.87}}, "prediction_file": "a.nii.gz"}]}'
        ) from error


def _labels(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {label: metrics for label, metrics in entry.items() if label not in ("test", "reference")}


def case_of(file: str) -> str:
    r"""The name of a case from that of its prediction, on whatever system that was written.

    >>> case_of("/results/fold_0/validation/lung_006.nii.gz"), case_of("C:\\results\\BRATS_001.nrrd")
    ('lung_006', 'BRATS_001')
    """
    name = (PureWindowsPath(file) if "\\" in file else PurePosixPath(file)).name
    return name.removesuffix(".gz").rpartition(".")[0] or name


def _value(value: Any, place: str) -> float | None:
    if value is None or (isinstance(value, str) and value.lower() == "nan"):
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TableError(f"{place}: {value!r} is not a number")
    return None if isnan(value) else float(value)
