"""MONAI's GeneralizedWassersteinDiceLoss."""

from collections.abc import Sequence

from whichloss.core import Card, Loss, PresetLoss, choice, matrix, nonnegative
from whichloss.losses.region.generalized_wasserstein_dice import GeneralizedWassersteinDice


class MonaiWassersteinDice(PresetLoss):
    r"""`GeneralizedWassersteinDiceLoss(dist_matrix)`: per image, with distances divided by the largest.

    $$\ell = 1 - \frac{2 \sum_i \alpha_{y_i} (1 - W_i) + s}{2 \sum_i \alpha_{y_i} (1 - W_i) + \sum_i W_i + s}$$

    In weighting_mode="GDL" errors are weighed by $\alpha$, too, and there is no $s$.
    """

    dist_matrix: tuple[tuple[float, ...], ...] = matrix()
    weighting_mode: str = choice("default", "GDL")
    smooth: float = nonnegative(1e-5)  # smooth_nr and smooth_dr
    classes: str = choice("exclusive")

    card = Card(
        source="monai",
        equation="its code",
        smooth=True,
        convex=False,
        peers={"MONAI": "GeneralizedWassersteinDiceLoss"},
        note='In weighting_mode="GDL" MONAI\'s smooth stands beside inverse volumes, and counts more, the larger they'
        " are. It gives single precision.",
    )

    @classmethod
    def examples(cls) -> Sequence[Loss]:
        distances = ((0, 2, 2), (2, 0, 1), (2, 1, 0))
        return [cls(dist_matrix=distances), cls(dist_matrix=distances, weighting_mode="GDL")]

    def meaning(self) -> Loss:
        largest = max(max(row) for row in self.dist_matrix) or 1.0
        distances = tuple(tuple(entry / largest for entry in row) for row in self.dist_matrix)
        if self.weighting_mode == "GDL":
            return GeneralizedWassersteinDice(distances=distances, weighting="volume", smooth=0.0)
        return GeneralizedWassersteinDice(distances=distances, smooth=self.smooth / 2)
