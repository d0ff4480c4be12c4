"""CosFace: the cosine of the true class must lead by a margin."""

from math import inf, log

from torch import Tensor

from whichloss.core import Card, CosineLoss, nonnegative


class CosFace(CosineLoss):
    r"""Cross-entropy over cosines times a scale s, that of the true class lessened by a margin m.

    $$\ell = -\ln \frac{e^{s (c_y - m)}}{e^{s (c_y - m)} + \sum_{j \ne y} e^{s c_j}}$$

    Lengths of features and of class vectors are taken away by the network's last layer, so that a case becomes easier
    by its direction only. The true cosine has to lead by m before the loss fades, and the larger s is, the more the
    loss is a hinge of that lead, as steep as s. With m = 0 it is the softmax of normalised features alone.
    """

    margin: float = nonnegative(0.35)  # m, in cosines

    card = Card(
        source="wang2018cosface",
        equation="large margin cosine loss",
        range=(0.0, inf),
        smooth=True,
        convex=True,
        golden={
            (0.35, 0.0): log(2),
            (0.35 + log(3) / 64, 0.0): log(4 / 3),
            (0.35 - log(3) / 64, 0.0): log(4),
            (1.0, 64 * 0.65): log(2),
        },
        equals=(("CosFace(scale=1.0, margin=0.0)", "CrossEntropy(classes='exclusive')"),),
        aliases=("AM-Softmax", "large margin cosine loss", "NormFace (margin=0)"),
        peers={"pytorch-metric-learning": "CosFaceLoss (holds the class vectors itself)"},
    )

    def asked(self, cosine: Tensor) -> Tensor:
        return cosine - self.margin
