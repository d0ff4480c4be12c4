"""Which readings of the logits serve what a loss needs: worked out once for a loss, not in every step."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import zip_longest
from typing import NamedTuple, cast

import torch
from torch import Tensor

from whichloss.core import EmbeddingLoss, LikelihoodLoss, Prices
from whichloss.core.lift import Lift
from whichloss.core.lifts.averaged import Averaged
from whichloss.core.lifts.four_sums import FourSums
from whichloss.core.lifts.log_probability import Answers, LogProbability
from whichloss.core.lifts.power_sums import ErrorSums, PowerSums
from whichloss.core.lifts.region import Counts, RegionSums

ADDITIVE = RegionSums | PowerSums | ErrorSums | FourSums
REGIONS = {RegionSums(): "linear", RegionSums(squared=True): "squared", PowerSums(exponent=2.0): "power"}  # streamed


class Pass(NamedTuple):
    """One reading of the logits, and the places of the needs that it serves."""

    region: str
    likelihood: str
    focus: float
    counts: int | None  # which are those of `region`
    each: int | None  # log-probabilities
    curved: tuple[int, ...]  # means of another formula of the log-probability
    means: tuple[int, ...]  # of what the kernel adds up itself


class Group:
    """The needs that say the same about classes."""

    def __init__(self, classes: str, needs: dict[int, Lift]) -> None:
        self.classes, self.needs = classes, needs
        regions = [(REGIONS.get(_without_classes(one)), at) for at, one in needs.items()]
        self.regions: dict[str, int | None] = {name: at for name, at in regions if name}
        self.each = [at for at, one in needs.items() if isinstance(one, LogProbability)]
        self.means = {at: one.loss for at, one in needs.items() if isinstance(one, Averaged)}
        self.priced = [at for at, loss in self.means.items() if prices(loss, None) is not None]
        self.looking = [at for at, loss in self.means.items() if looks_at_prevalence(loss)]
        self.focus = {at: loss.focus for at, loss in self.means.items()}
        self._passes: dict[tuple[bool, bool, bool], list[Pass]] = {}

    def passes(self, exclusive: bool, indexed: bool, cuda: bool) -> list[Pass]:
        if (exclusive, indexed, cuda) not in self._passes:
            self._passes[exclusive, indexed, cuda] = self._planned(exclusive, indexed, cuda)
        return self._passes[exclusive, indexed, cuda]

    def _planned(self, exclusive: bool, indexed: bool, cuda: bool) -> list[Pass]:
        """A pass has one way to count errors and one focus; what asks for another has a pass of its own."""
        # exclusive classes have no yes and no to be priced: the plain formula says so
        means = [at for at in self.means if (at not in self.priced if exclusive else self.focus[at] is not None)]
        regions = dict(self.regions)
        if cuda:  # whose kernel counts errors in one way, and has no focus
            regions = {name: at for name, at in regions.items() if name == "linear"}
            means = [at for at in means if exclusive or self.focus[at] == 0]
        curved = tuple([at for at in means if exclusive and indexed and self.focus[at] != 0])
        sums = [at for at in means if not exclusive or self.focus[at] == 0]
        each = [at for at in self.each if exclusive and indexed]
        if not (regions or sums or curved or each):
            return []
        if not exclusive and set(self.looking) & set(sums):
            regions.setdefault("linear", None)
        focuses = list(dict.fromkeys([self.focus[at] for at in sums])) or [0.0]
        likelihood = "each" if each or curved else "sum" if sums else "none"
        passes = []
        for name, focus in zip_longest(regions or ["none"], focuses):
            asked = "none" if focus is None else likelihood
            whole = asked == "each"
            passes.append(
                Pass(
                    region=name or "none",
                    likelihood=asked,
                    focus=focus or 0.0,
                    counts=regions.get(name or ""),
                    each=each[0] if whole and each else None,
                    curved=curved if whole else (),
                    means=tuple([at for at in sums if self.focus[at] == focus]),
                )
            )
        return passes


class Plan:
    def __init__(self, needs: Sequence[Lift]) -> None:
        self.needs = needs  # kept, so that no other tuple can have its identity
        lifts = dict(enumerate(needs))
        self.embeddings = [
            (at, one.loss) for at, one in lifts.items()
            if isinstance(one, Averaged) and isinstance(one.loss, EmbeddingLoss)
        ]  # fmt: skip
        known = {
            at: one for at, one in lifts.items() if isinstance(one, ADDITIVE | LogProbability) or _of_likelihood(one)
        }
        self.groups = [
            Group(classes, {at: one for at, one in known.items() if one.classes == classes})
            for classes in dict.fromkeys(one.classes for one in known.values())
        ]
        # whether a mean over all answers is all that is asked, of what need not know its image or channel
        self.lumps = all(len(one.means) == len(one.needs) and not one.looking for one in self.groups)


_plans: dict[int, Plan] = {}


def plan_of(needs: Sequence[Lift]) -> Plan:
    if torch.compiler.is_compiling():
        return Plan(needs)
    plan = _plans.get(id(needs))
    if plan is None or plan.needs is not needs:
        if len(_plans) > 1000:
            _plans.clear()
        plan = _plans[id(needs)] = Plan(needs)
    return plan


def _of_likelihood(need: Lift) -> bool:
    if not (isinstance(need, Averaged) and isinstance(need.loss, LikelihoodLoss)):
        return False
    try:
        prices(need.loss, None)
    except AttributeError:  # its prices look at each answer
        return False
    return True


def _without_classes(need: Lift) -> Lift | None:
    return replace(need, classes="auto") if isinstance(need, RegionSums | PowerSums) else None


class _Prevalence:
    """Answers of a batch of which only counts are known."""

    def __init__(self, counts: Counts | None) -> None:
        self.counts, self.looked, self.yes = counts, False, 1

    def prevalence(self, over: str) -> Tensor:
        self.looked = True
        if self.counts is None:
            return torch.zeros(())
        yes, total = self.counts.tp + self.counts.fn, self.counts.elements
        if over == "batch":
            yes, total = yes.sum(0, keepdim=True), total.sum(0, keepdim=True)
        return (yes / torch.where(total > 0, total, 1.0)).detach()


def prices(loss: LikelihoodLoss, counts: Counts | None) -> Prices | None:
    return loss.prices(cast(Answers, _Prevalence(counts)))


def looks_at_prevalence(loss: LikelihoodLoss) -> bool:
    seen = _Prevalence(None)
    loss.prices(cast(Answers, seen))
    return seen.looked
