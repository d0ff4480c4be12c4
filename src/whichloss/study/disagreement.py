"""The cases on which losses disagree most, as pictures."""

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import numpy as np

from whichloss.data import Cases
from whichloss.metrics import Metric
from whichloss.report import Picture

from .curves import by_loss
from .facts import Ended
from .pictures import as_png, in_a_row, middle, shades
from .runs import Run
from .store import Store

MOST = 6  # cases
SHOWN = 5  # losses whose predictions are drawn

Scores = dict[int, dict[str, float]]  # case -> loss -> mean of its score over runs
Tested = dict[int, dict[str, tuple[Run, dict[str, Any]]]]  # case -> loss -> a run that was tested on it


def disagreements(found: Ended, labels: Mapping[str, str], metric: Metric, cases: Cases, store: Store) -> list[Picture]:
    """By the spread over losses of a case's score in the primary metric, each a mean over the runs that tested it.

    found: finished runs of one cell. cases: of any draw, since draws share their test part. Only cases that every loss
    was tested on, and that have a score, are looked at.
    """
    groups = by_loss(found, labels)
    if len(groups) < 2:
        return []
    scores, tested = _scores(groups, metric, cases)
    spread = {case: max(by.values()) - min(by.values()) for case, by in scores.items()}
    ranked = sorted((case for case in spread if spread[case] > 0), key=lambda case: (-spread[case], case))
    return [_picture(case, scores[case], tested[case], metric, cases, store) for case in ranked[:MOST]]


def _scores(groups: Mapping[str, Ended], metric: Metric, cases: Cases) -> tuple[Scores, Tested]:
    found: dict[int, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    tested: Tested = defaultdict(dict)
    for label, members in groups.items():
        for run, record in members:
            known = record["scores"].get(repr(metric))
            if known is None:
                continue
            for at, score in zip(run.split(cases).fold.test, known["cases"], strict=True):
                if score is not None:
                    found[at][label].append(score)
                    tested[at].setdefault(label, (run, record))
    means = {at: {label: float(np.mean(one)) for label, one in by.items()} for at, by in found.items()}
    return {at: by for at, by in means.items() if len(by) == len(groups)}, tested


def _picture(
    at: int, scores: Mapping[str, float], tested: Mapping[str, tuple[Run, dict[str, Any]]], metric: Metric,
    cases: Cases, store: Store,
) -> Picture:  # fmt: skip
    image, truth = cases.images[at].numpy(), cases.labels[at].numpy()
    caption = f"{metric.title}: {', '.join(f'{label} {score:.3f}' for label, score in scores.items())}."
    panels = [shades(middle(image, truth))]
    if cases.task.kind == "segmentation":
        drawn = list(scores)[:SHOWN]
        masks = [truth[None], *(_mask(at, truth, *tested[label], metric, cases, store) for label in drawn)]
        panels += [shades(middle(mask, truth), 0, len(cases.task.classes) - 1) for mask in masks]
        caption += f" From the left: image, truth, {', '.join(drawn)}."
    else:
        known = cases.task.classes[int(truth)] if cases.task.classes else f"{float(truth):g} {cases.task.unit}"
        caption += f" Truth: {known}."
    return Picture(title=f"Case {cases.ids[at]}", caption=caption, png=as_png(in_a_row(panels)))


def _mask(
    at: int, truth: np.ndarray, run: Run, record: Mapping[str, Any], metric: Metric, cases: Cases, store: Store
) -> np.ndarray:
    """What a run marked in a case, of a volume in its middle slice, (1, H, W): at the threshold of the metric; of
    several classes, the likeliest."""
    place = run.split(cases).fold.test.index(at)
    logits = middle(store.outputs(run.key)["test"][place].numpy(), truth).astype(np.float32)
    if len(logits) > 1:
        return logits.argmax(0)[None]
    return logits > record["scores"][repr(metric)]["at"]
