"""One process of a team: `python one_of_team.py RANK SIZE PORT FOLDER LOSS...` trains, and writes FOLDER/RANK.pt."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from small_studies import TINY, tiny_study
from whichloss.study.checkpoint import Checkpoints
from whichloss.study.course import Course
from whichloss.study.runs import runs_of
from whichloss.study.shelf import Shelf
from whichloss.study.team import ALONE, Team, joined, meeting_of
from whichloss.study.train import train

CPU = torch.device("cpu")
VIEWS = {"network": "ViewNet(width=3, deeper=4, units=12, dropout=0.3)"}
MASKS = {
    "data": 'Arrays("tiny.npz", target="masks", group="patients", ignore=255)',
    "primary": "Jaccard()",
    "network": "UNet(width=3, depth=2, normalize=False, dropout=0.4)",
}
FLIP = {"augment": ["Flip()", "Intensity(noise=0.1)"]}
SGD = {"optimizer": "SGD(lr=0.1, momentum=0.9)"}

# study, training; nine cases are fitted to, so that the last batch of four is one case, and one process has none
PLANS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "Dice(over='batch')": (MASKS, {}),
    "Dice(over='ranks')": (MASKS, {}),
    "Dice() + CrossEntropy()": (MASKS, FLIP),
    "AdaptiveLog(Dice(over='batch', smooth=0.5))": (MASKS, {"patches": "Patches(size=(6, 6))"}),
    "BalancedCrossEntropy(over='batch')": (MASKS, {"clip": 0.1, "schedule": "cosine"}),
    "CrossEntropy()": (VIEWS, FLIP),
    "CrossEntropy(classes='exclusive')": (VIEWS, SGD),
    "Hinge()": (VIEWS, SGD | {"skip_easy": True, "stages": [{"epochs": 12, "batch": 4}]}),
    "Hinge(lift='ranking')": (VIEWS, SGD),
    "SupervisedContrastive()": (VIEWS, {}),
    "Total(SquaredHinge())": (VIEWS, {"optimizer": "SGD(lr=0.01)"}),
    "TopK(CrossEntropy(), fraction=0.5)": (MASKS, {"mixup": 0.4}),
    "LabelSmoothing(Logistic())": (VIEWS, {"mixup": 0.4}),
}


class Weights(Checkpoints):
    def __init__(self, folder: Path) -> None:
        super().__init__(folder, "key", CPU, interval=0)
        self.last: dict[str, Tensor] = {}

    def offer(self, course: Course) -> None:
        self.last = {name: one.detach().clone() for name, one in course.network.named_parameters()}


def weights(loss: str, folder: Path, team: Team = ALONE) -> dict[str, Tensor]:
    """After training in float64, and what the curve says of each epoch."""
    changes, training = PLANS[loss]
    training = TINY["training"] | {"stages": [{"epochs": 3, "batch": 4}]} | training
    study = tiny_study(losses=[loss], baseline=loss, **changes, training=training)
    shelf = Shelf([folder])
    run = next(iter(runs_of(study, shelf)))
    cases = replace(shelf.of(run), part=True)
    object.__setattr__(cases, "images", cases.images.double())  # against their rule, which says float32
    kept = Weights(folder / "nothing")
    trained = train(run, cases, run.split(cases), CPU, checkpoints=kept, team=team)
    curve = [[entry["loss"], entry["idle"], entry.get("backward", 1.0)] for entry in trained.curve]
    return kept.last | {"curve": torch.tensor(curve), "test": trained.test.double()}


def main(rank: int, size: int, port: int, folder: Path, losses: list[str]) -> None:
    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float64)
    with joined(meeting_of(size, port), rank, size, CPU) as team:
        torch.save({loss: weights(loss, folder, team) for loss in losses}, folder / f"{rank}.pt")


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]), sys.argv[5:])
