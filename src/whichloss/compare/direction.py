"""Which way a metric is better: as the tables or the command say, or by its name where that leaves no doubt."""

import re

LOWER = (
    "hausdorff", "haus", "hd95", "hsd95", "hd", "asd", "assd", "avg_surf", "surface distance", "error", "mae", "mse",
    "rmse", "loss", "brier", "ece", "false positive rate", "false negative rate", "false discovery rate",
    "false omission rate",
)  # fmt: skip
HIGHER = (
    "dice", "iou", "jaccard", "surf_dice", "nsd", "auc", "auroc", "roc", "froc", "cpm", "accuracy", "sensitivity",
    "specificity", "recall", "precision", "f1", "fscore", "kappa", "mcc", "negative predictive value",
    "true negative rate",
)  # fmt: skip


def higher_is_better(metric: str) -> bool | None:
    """By the words of its name; None where they say nothing, or both.

    >>> higher_is_better("tumor_surf_dice"), higher_is_better("Hausdorff Distance 95"), higher_is_better("volume")
    (True, False, None)
    >>> higher_is_better("MeanAbsoluteError()"), higher_is_better("RocAuc()"), higher_is_better("1 - Dice")
    (False, True, None)
    """
    name = metric.partition("(")[0].strip()
    if re.search(r"^\d\s*-|^-|\bnot\b|\binverse\b|difference", name.lower()):
        return None
    words = " ".join(re.sub(r"([a-z0-9])([A-Z])", r"\1 \2", name).lower().replace("_", " ").split())
    lower, higher = (_says(words, known) for known in (LOWER, HIGHER))
    return higher if lower != higher else None


def _says(words: str, known: tuple[str, ...]) -> bool:
    return any(re.search(rf"\b{re.escape(one.replace('_', ' '))}\d*\b", words) for one in known)
