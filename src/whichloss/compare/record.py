"""What the page is drawn from."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from whichloss import __version__
from whichloss.compare.asked import Asked
from whichloss.compare.direction import higher_is_better
from whichloss.compare.lines import digest
from whichloss.compare.names import labels_of
from whichloss.compare.plan import distinct
from whichloss.compare.pool import Pooled
from whichloss.compare.sources import OWN, Source
from whichloss.report import Record
from whichloss.stats import Design, Plan, Row, Verdict

DESIGNS: dict[Design, str] = {
    "refold": "folds, drawn anew for each seed",
    "fixed": "folds, the same for all seeds",
    "draws": "independent training sets, one test set for all",
    "given": "one split, several seeds",
}


def record_of(
    asked: Asked, plan: Plan, verdict: Verdict, here: Sequence[Row], read: Sequence[Source], pooled: Pooled
) -> Record:
    own = all(source.form == OWN for source in read)
    return Record(
        study=asked.name,
        question=plan.question,
        verdict=verdict.to_json(),
        results=tuple(row._asdict() for row in here),
        costs=(),
        curves=(),
        failures=tuple(_failures(plan, here)),
        provenance={
            "Files": _files(asked, read),
            "Protocol": _protocol(asked, plan, pooled),
            "Computed with": {"whichloss": __version__},
        },
        study_text=asked.command() + "\n",
        labels={
            **plan.labels,
            **{name: _heading(name, title) for name, title in labels_of(distinct(row.metric for row in here)).items()},
        },
        ours=own,
    )


def _heading(metric: str, title: str) -> str:
    """What tables call it, and which way is better where its name says that it is down."""
    return title + (", lower is better" if higher_is_better(metric) is False else "")


def _failures(plan: Plan, here: Iterable[Row]) -> Iterable[dict[str, object]]:
    for row in here:
        if (row.metric, row.split) == (plan.primary, "test") and row.value is None:
            yield {
                "run": row.run[:12],
                "loss": row.loss,
                "fold": row.fold,
                "seed": row.seed,
                "outcome": "failed",
                "message": "the table has no value",
            }


def _files(asked: Asked, read: Sequence[Source]) -> dict[str, str]:
    found = {
        str(
            one.path
        ): f"{one.form}{f', {one.loss}' if one.loss else ''}, {len(one.scores)} scores, SHA-256 {one.sha256}"
        for one in read
    }
    others = (("cases", asked.cases), ("annotations", asked.annotations), ("excluded", asked.excluded))
    return found | {path: f"{what}, SHA-256 {digest(Path(path))}" for what, path in others if path}


def _protocol(asked: Asked, plan: Plan, pooled: Pooled) -> dict[str, str]:
    known = {
        "scores": "computed elsewhere; nothing was trained here, and whether all losses were tuned alike is not known",
        "design": DESIGNS[plan.design],
        "training cases": _trained(asked),
    }
    if asked.annotations:
        known["candidates"] = "scored here as LUNA16 counts, equal scores together; all that are listed count"
    if pooled.per_case:
        known["averaging"] = "over the cases of a fold, of several labels over these; cases are counted in patients"
        known["undefined values"] = (
            "left out for all losses" if asked.undefined is None else f"counted {asked.undefined:g}"
        )
    return known


def _trained(asked: Asked) -> str:
    if asked.n_train == "rest":
        return "all cases of the other folds, as the command says"
    return "as the tables say" if asked.n_train is None else f"{asked.n_train}, as the command says"
