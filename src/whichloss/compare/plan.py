"""What is compared, and how: as the tables and the command say, or not at all."""

import re
from collections.abc import Iterable, Sequence

from whichloss.compare.asked import DESIGN_OPTIONS, Asked
from whichloss.compare.direction import higher_is_better
from whichloss.compare.names import labels_of, short
from whichloss.compare.score import Score
from whichloss.stats import Design, Plan, Row, TableError


def plan_of(asked: Asked, scores: Sequence[Score], rows: Sequence[Row]) -> Plan:
    tests = [row for row in rows if row.split == "test"]
    metrics = distinct(row.metric for row in tests)
    metric = _chosen("metric", asked.metric, metrics)
    title = labels_of(metrics)[metric]
    tests = [row for row in tests if row.metric == metric]
    data = _chosen("data", asked.data, distinct(row.data for row in tests))
    network = _chosen("network", asked.network, distinct(row.network for row in tests if row.data == data))
    stresses = distinct(row.stress for row in tests if (row.data, row.network) == (data, network))
    stress = "" if not asked.stress and "" in stresses else _chosen("stress", asked.stress, stresses)
    losses = distinct(row.loss for row in tests if cell_of(row) == (data, network, stress))
    labels = labels_of(losses)
    try:
        return Plan(
            study=asked.name,
            question=asked.question or f"Which loss is best, measured by {title}?",
            primary=metric,
            primary_label=title,
            baseline=_baseline(asked.baseline, losses, labels),
            losses=tuple(losses),
            labels=labels,
            rope=asked.rope if asked.rope is not None else 0.0,
            design=_design(asked, [row for row in tests if cell_of(row) == (data, network, stress)]),
            higher_is_better=_direction(asked, metric, scores),
            data=data,
            network=network,
            stress=stress,
        )
    except TableError:
        raise
    except ValueError as error:  # what Plan itself refuses, in its words
        raise TableError(str(error)) from error


def cell_of(row: Row) -> tuple[str, str, str]:
    return row.data, row.network, row.stress


def distinct(values: Iterable[str]) -> list[str]:
    """In the order of the tables."""
    return list(dict.fromkeys(values))


def _chosen(option: str, asked: str, found: Sequence[str]) -> str:
    """What was asked for, or the only one that there is."""
    matching = [one for one in found if one == asked] or [one for one in found if asked and short(one) == asked]
    if len(matching) == 1:
        return matching[0]
    if len(matching) > 1:
        raise TableError(
            f"--{option} {asked} fits several:\n  " + "\n  ".join(_option(option, one) for one in matching)
        )
    if not asked and len(found) == 1:
        return found[0]
    told = "\n  ".join(_option(option, one) for one in found)
    if asked:
        raise TableError(f"--{option} {asked}: not in the tables, which have\n  {told or 'nothing'}")
    if not found:
        raise TableError("the tables have no score of a test part, or none that is defined on any case")
    raise TableError(f"several in the tables; say which decides:\n  {told}")


def _option(option: str, value: str) -> str:
    return f'--{option} "{value}"' if re.search(r"[^\w.]", value) or not value else f"--{option} {value}"


def _baseline(asked: str, losses: Sequence[str], labels: dict[str, str]) -> str:
    for loss in losses:
        if asked in (loss, labels.get(loss)) and asked:
            return loss
    told = ", ".join(labels.get(loss, loss) for loss in losses)
    if asked:
        raise TableError(f"--baseline {asked}: no such loss in the tables, which have {told}")
    raise TableError(f"--baseline is missing: the loss that all others are compared with; one of {told}")


def _direction(asked: Asked, metric: str, scores: Iterable[Score]) -> bool:
    """As the tables say, as the command says, or by a name that leaves no doubt."""
    base = [score for score in scores if metric in (score.metric, f"{score.metric} of {score.part}")]
    said = {score.higher_is_better for score in base} - {None}
    if len(said) > 1:
        raise TableError(f"column higher_is_better says both true and false of {metric}; one metric has one direction")
    told = next(iter(said), None)
    if told is not None and asked.higher_is_better not in (None, told):
        raise TableError(
            f"the tables say that {'higher' if told else 'lower'} {metric} is better, and the command the opposite"
        )
    for answer in (told, asked.higher_is_better, higher_is_better(base[0].metric) if base else None):
        if answer is not None:
            return answer
    raise TableError(f"{metric}: say which way is better: --higher-is-better or --lower-is-better")


def _design(asked: Asked, rows: Sequence[Row]) -> Design:
    if asked.design is not None:
        return asked.design
    folds, seeds = ({row.fold for row in rows}, {row.seed for row in rows})
    if len(seeds) == 1:
        return "fixed"  # of one seed, folds that are drawn once; and the assumption that claims least
    told = {
        "refold": "the folds were drawn anew for each seed",
        "fixed": "all seeds have the same folds",
        "draws": "each seed is an independent training set; one test set for all",
        "given": "one split; seeds differ by chance alone",
    }
    raise TableError(
        f"{len(seeds)} seeds and {len(folds)} {'fold' if len(folds) == 1 else 'folds'}: say how they were made, since"
        " the standard error depends on it\n"
        + "\n".join(f"  {option:<16} {told[design]}" for design, option in DESIGN_OPTIONS.items())
    )
