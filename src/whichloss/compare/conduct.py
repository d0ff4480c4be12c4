"""Read, pool, judge, and make the page: one comparison from beginning to end."""

from dataclasses import dataclass, replace
from math import isfinite
from pathlib import Path

from whichloss.compare import cases, luna16, sources
from whichloss.compare.asked import Asked
from whichloss.compare.notes import notes_on
from whichloss.compare.patients import on_new_patients
from whichloss.compare.plan import cell_of, plan_of
from whichloss.compare.pool import Sizes, pool
from whichloss.compare.record import record_of
from whichloss.report import Record
from whichloss.stats import Row, TableError, Verdict, judge, supplement_of


@dataclass(frozen=True)
class Compared:
    """What came of it."""

    verdict: Verdict
    rows: tuple[Row, ...]  # of all metrics
    record: Record

    @property
    def failed(self) -> int:
        return len(self.record.failures)


def compare_tables(asked: Asked) -> Compared:
    """The verdict on scores that were computed elsewhere. Raises TableError for whatever its caller can mend."""
    _check(asked)
    listed = cases.read(Path(asked.cases)) if asked.cases else None
    read = sources.read(asked.tables, _reference(asked, listed))
    scores = [score for source in read for score in source.scores]
    if listed is not None:
        scores = [listed.place(score) for score in scores]
    pooled = pool(scores, asked.name, Sizes(asked.n_train, asked.n_test), asked.undefined)
    plan = plan_of(asked, scores, pooled.rows)
    here = [row for row in pooled.rows if cell_of(row) == (plan.data, plan.network, plan.stress)]
    verdict = judge(here, plan)
    notes = notes_on(asked, plan, pooled, here, read)
    beside = supplement_of(pooled.rows, plan, patients=on_new_patients(scores, plan))
    verdict = replace(verdict, warnings=(*verdict.warnings, *notes), supplement=beside)
    return Compared(verdict, pooled.rows, record_of(asked, plan, verdict, here, read, pooled))


def _check(asked: Asked) -> None:
    if asked.rope is None:
        raise TableError(
            "--rope is missing: the smallest difference that matters, in the unit of the metric, such as 0.01 of Dice\n"
            "  it must be chosen before looking: without it no two losses can be called equal, and a difference that\n"
            "  nobody would notice counts as a victory; --rope 0 says that every difference matters"
        )
    if asked.undefined is not None and not isfinite(asked.undefined):
        raise TableError(f"--undefined {asked.undefined}: write what a case without a value counts, such as 1")


def _reference(asked: Asked, listed: cases.Cases | None) -> luna16.Reference | None:
    if not asked.annotations:
        if asked.excluded:
            raise TableError("--excluded goes with --annotations, the lesions themselves")
        return None
    if listed is None:
        raise TableError(
            "--annotations needs --cases FILE: all scans that were searched (seriesuid, and fold where there are"
            " several), since false positives are counted per scan and some scans have none"
        )
    return luna16.Reference(Path(asked.annotations), Path(asked.excluded) if asked.excluded else None, listed)
