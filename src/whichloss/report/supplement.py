"""What stands beside the verdict, on the page and in a paper."""

from whichloss.report.endured import pace, ranking, stress
from whichloss.report.newcomers import patients, subgroups
from whichloss.report.otherwise import outlook, secondary, sensitivity, variation
from whichloss.report.part import Inks, Part
from whichloss.report.tables import Row

MADE = (outlook, sensitivity, patients, subgroups, secondary, variation, stress, pace, ranking)


def parts(verdict: Row, ink: Inks) -> tuple[Part, ...]:
    """verdict: the content of verdict.json. Nothing where it has no supplement, or no loss to compare."""
    beside = verdict.get("supplement")
    if not beside or not verdict["comparisons"]:
        return ()
    return tuple(part for make in MADE for part in make(verdict, beside, ink))


def undecided(verdict: Row) -> list[str]:
    """Of whom the page says what would settle it."""
    return [c["label"] for c in verdict["comparisons"] if c["decision"] == "undecided"]
