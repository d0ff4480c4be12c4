"""Label smoothing: targets that are never quite sure."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from math import inf
from typing import ClassVar

from torch import Tensor

from whichloss.core import Card, FieldError, Loss, WrapperLoss, fraction, parse
from whichloss.core.lift import Lift
from whichloss.core.prepare import Prepared
from whichloss.core.question import Batch
from whichloss.core.terms import Terms


class LabelSmoothing(WrapperLoss):
    r"""Another loss, of targets moved a little towards even chances.

    $$y' = (1 - \varepsilon)\, y + \varepsilon / K \qquad (K = 2 \text{ for yes/no})$$

    with $\varepsilon$: share and K classes. The network is not paid for ever larger logits, so that it is less
    over-confident; in segmentation it also softens what is certain far from any boundary. Ignored elements stay
    ignored. Around cross-entropy it is torch's `label_smoothing`; with class weights torch divides by the weights of
    the true classes, and we by those of the smoothed ones.
    """

    takes = (-inf, inf)
    share: float = fraction(0.1)  # epsilon

    asked: ClassVar[Mapping[str, Loss]]  # the inner loss for either question, made with the wrapper; not a field

    card = Card(
        source="szegedy2016rethinking",
        equation="section 7",
        range=(0.0, inf),
        smooth=True,
        convex=True,
        golden={(0.0,): 0.0, (0.5,): 0.5, (3.0,): 3.0},
        equals=(("LabelSmoothing(CrossEntropy(), share=0.0)", "CrossEntropy()"),),
        note="Peers mean different things by 0.1 for yes and no: 0.95 and 0.05 here and in Keras; 0.9 and 0.1, twice as"
        " strong, in SoftBCEWithLogitsLoss of smp and pytorch-toolbelt.",
        peers={
            "torch.nn": "CrossEntropyLoss(label_smoothing=)",
            "Keras": "CategoricalCrossentropy(label_smoothing=), BinaryCrossentropy(label_smoothing=)",
            "timm": "LabelSmoothingCrossEntropy",
            "smp": "SoftBCEWithLogitsLoss(smooth_factor=)",
        },
    )

    @classmethod
    def examples(cls):
        return [cls(parse("CrossEntropy()")), cls(parse("CrossEntropy()"), share=0.3), cls(parse("Dice()"))]

    def check(self) -> None:
        super().check()
        for leaf in self.loss.leaves():
            if "regression" in leaf.tasks or not leaf.answers:
                raise FieldError(f"LabelSmoothing softens classes, and {leaf.label} does not ask for them")
        asked = {}
        for classes in ("exclusive", "independent"):
            with suppress(FieldError):  # some losses ask one question only
                asked[classes] = self.loss.asking(classes)
        self._set("asked", asked)

    def formula(self, value: Tensor) -> Tensor:
        return value

    def needs(self) -> Sequence[Lift]:
        return ()  # the inner loss sees another target, so that it shares nothing with those beside it

    def measure(self, prepared: Prepared) -> Terms:
        loss, batch = self._softened(prepared.batch)
        return loss.measure(Prepared(batch, loss.lifts))

    def mean(self, prepared: Prepared) -> Tensor:
        loss, batch = self._softened(prepared.batch)
        return loss.mean(Prepared(batch, loss.lifts_of_mean))

    def _softened(self, batch: Batch) -> tuple[Loss, Batch]:
        sharp = batch.question(getattr(next(self.leaves()), "classes", "auto"))
        answers = sharp.logits.shape[1] if sharp.exclusive else 2
        target = (1 - self.share) * sharp.proportions + self.share / answers
        loss = self.asked["exclusive" if sharp.exclusive else "independent"]
        return loss, Batch(sharp.logits, target, sharp.weight.expand_as(target))
