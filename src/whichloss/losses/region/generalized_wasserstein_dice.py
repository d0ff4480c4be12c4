"""Generalised Wasserstein Dice: overlap in which a voxel of a related class is not wholly wrong."""

from collections.abc import Sequence

import torch
from torch import Tensor

from whichloss.core import Card, Counts, FieldError, RegionLoss, choice, matrix
from whichloss.core.lift import Lift
from whichloss.core.lifts.transport import Distances, Transport


class GeneralizedWassersteinDice(RegionLoss):
    r"""Dice of all classes together, an error $W$ as large as the classes that are mistaken are far apart.

    $$\ell = 1 - \frac{2 \sum_i \alpha_{y_i} (1 - W_i)}{2 \sum_i \alpha_{y_i} (1 - W_i) + \sum_i W_i}, \qquad
    W_i = \sum_c M_{y_i c}\,p_{ic}$$

    with the distances $M$ between 0 and 1, and $\alpha$ 0 for the background, class 0, and 1 for the others. To call
    the core of a tumour its rim costs less than to call it healthy. weighting="volume": $\alpha_c = 1 / (1 + V_c)$, of
    class 0 too, and errors weigh by it as well. Where nothing but background is there, the loss is 1 but for smooth.
    """

    distances: Distances | None = matrix(None, optional=True)  # between every two classes; None: all are 1 apart
    weighting: str = choice("foreground", "volume")
    classes: str = choice("exclusive")

    background_first = True

    card = Card(
        source="fidon2017generalised",
        equation="generalised Wasserstein Dice score",
        range=(0.0, 1.0),
        smooth=True,
        convex=False,
        golden={(8.0, 2.0, 2.0): 0.2, (0.0, 4.0, 0.0): 1.0, (5.0, 0.0, 0.0): 0.0},
        aliases=("GWDL", "Wasserstein Dice"),
        note="Golden values: TP is the sum of 1 - W over foreground, FN that of W there and FP over background. The"
        " weighting by volume is of the authors' code (and Tilborghs and others 2020); the published score has the"
        " other. MONAI divides distances by the largest.",
        peers={"MONAI": "GeneralizedWassersteinDiceLoss"},
    )

    @classmethod
    def examples(cls):
        distances = ((0.0, 1.0, 1.0), (1.0, 0.0, 0.5), (1.0, 0.5, 0.0))
        return [cls(), cls(distances=distances), cls(distances=distances, weighting="volume", over="batch")]

    def check(self) -> None:
        rows, name = self.distances, type(self).__name__
        if rows is None:
            return
        if max(max(row) for row in rows) > 1:
            raise FieldError(f"{name}: distances lie between 0 and 1; divide them by the largest")
        if any(rows[k][k] for k in range(len(rows))):
            raise FieldError(f"{name}: the distance of a class from itself is 0")
        if any(rows[j][k] != rows[k][j] for j in range(len(rows)) for k in range(j)):
            raise FieldError(f"{name}: one class is as far from another as that is from it")

    def needs(self) -> Sequence[Lift]:
        return (Transport(self.classes, self.distances, self.weighting == "volume"),)

    def formula(self, n: Counts) -> Tensor:
        return 1 - 2 * n.tp / (2 * n.tp + n.fp + n.fn)

    def say(self, volume: Tensor) -> Tensor:
        return 1 / (1 + volume) if self.weighting == "volume" else torch.ones_like(volume)
