"""The losses that cannot be told from the best."""

from whichloss.stats.cell import Cell
from whichloss.stats.paired import estimate
from whichloss.stats.plan import Plan


def best_set(cell: Cell, plan: Plan, *, failures: bool = True) -> tuple[str, ...]:
    r"""All but the losses that some other is better than: $\bar d - t\,\mathrm{se} > 0$, one-sided.

    The set holds the true best with the plan's confidence: that one goes only if one of k - 1 bounds errs,
    each with probability (1 - confidence) / (k - 1). One loss stands alone only if all others have been told
    from some better one. failures=False leaves out pairs with a failed run instead of scoring them at chance.

    Source: Hsu, Annals of Statistics 9 (1981) and 12 (1984), multiple comparisons with the best; here with
    Bonferroni's bound and one standard error per pair, since differences of losses are not equally variable.
    """
    ran = [loss for loss in plan.losses if cell.scores[loss]]

    def better(loss: str, other: str) -> bool:
        pairs = cell.paired(loss, other)
        if not failures:
            failed = cell.failed(loss, other)
            pairs = {pair: paired for pair, paired in pairs.items() if pair not in failed}
        low, _ = estimate(pairs, plan.design).interval((1 - plan.confidence) / len(plan.rivals))
        return low > 0

    best = tuple(loss for loss in ran if not any(better(other, loss) for other in ran if other != loss))
    # On different pairs A can beat B, B beat C and C beat A: then the table tells nothing.
    return best or tuple(ran)
