"""What a reader must know about the tables before believing the verdict."""

from collections.abc import Sequence

from whichloss.compare.asked import Asked
from whichloss.compare.names import NAMED, some
from whichloss.compare.pool import Pooled
from whichloss.compare.sources import Source
from whichloss.stats import Plan, Row


def notes_on(asked: Asked, plan: Plan, pooled: Pooled, here: Sequence[Row], read: Sequence[Source]) -> list[str]:
    return [
        *_missing(plan, here),
        *_left_out(asked, plan, pooled),
        *_one_fold(plan, here, read),
        *(
            [f"Tested in several folds of one seed, and so trained on too: {some(pooled.leaks)}."]
            if pooled.leaks and plan.design in ("refold", "fixed")
            else []
        ),
        *(
            ["One seed: the folds are taken for those of one cross-validation."]
            if asked.design is None and len({row.fold for row in here}) > 1
            else []
        ),
    ]


def _missing(plan: Plan, here: Sequence[Row]) -> list[str]:
    """Runs that some loss has and another has not, by name."""
    mine = [row for row in here if (row.metric, row.split) == (plan.primary, "test")]
    every = sorted({(row.seed, row.fold) for row in mine})
    have = {(row.loss, row.seed, row.fold) for row in mine}
    gone = [
        f"{plan.label(loss)} on fold {fold} of seed {seed}"
        for loss in plan.losses
        for seed, fold in every
        if (loss, seed, fold) not in have
    ]
    return [f"Not in the tables, and left out of their comparisons: {some(gone, 2 * NAMED)}."] if gone else []


def _left_out(asked: Asked, plan: Plan, pooled: Pooled) -> list[str]:
    """Cases without a value, and what was done about them."""
    found = pooled.undefined.get(plan.primary, ())
    if not found:
        return []
    done = "left out for all losses" if asked.undefined is None else f"counted {asked.undefined:g} where undefined"
    return [
        f"{plan.primary_label} is undefined for some loss on {len(found)} {'case' if len(found) == 1 else 'cases'}"
        f" (such as an empty reference), which {'is' if len(found) == 1 else 'are'} {done}: {some(found)}."
    ]


def _one_fold(plan: Plan, here: Sequence[Row], read: Sequence[Source]) -> list[str]:
    pairs = {(row.fold, row.seed) for row in here}
    if len(pairs) > 1 or plan.design != "fixed":
        return []
    forms = {source.form for source in read}
    cure = (
        "MIST's table holds the test cases of all folds: say which fold each was in with --cases train_paths.csv"
        if "MIST" in forms
        else "the fold of a file is read off its path (fold_0), of a case off a column fold or --cases"
    )
    return [f"All scores are of one fold and one seed, from which no spread can be told; {cure}."]
