"""Losses of ours and what means the same elsewhere: the rows of `benchmarks.losses`, and the batches they are given."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

import whichloss
from whichloss.core import distance

Shape = tuple[int, ...]
Form = Literal["classes", "one-hot", "yes or no", "outlines", "views", "few of each"]
Value = Callable[[Tensor, Tensor], Tensor]

VOLUMES: tuple[Shape, ...] = ((2, 2, 96, 96, 96), (2, 14, 96, 96, 96), (1, 105, 64, 64, 64))
SLICES: Shape = (8, 3, 512, 512)
MASKS: Shape = (16, 1, 512, 512)
CASES: tuple[Shape, ...] = ((256, 10), (4096, 1000))
POINTS: tuple[Shape, ...] = ((512, 128), (4096, 128))

FORMS = {
    "classes": "an index for each voxel",
    "one-hot": "a one-hot mask for each class",
    "yes or no": "a mask for each channel",
    "outlines": "balls, which are new to the loss in every step",
    "views": "two of each class",
    "few of each": "eight of each class",
}


@dataclass(frozen=True)
class Pair:
    name: str
    ours: str  # an expression
    form: Form
    shapes: tuple[Shape, ...]
    peer: str = ""  # Python, a sum of modules, with C for the number of classes; "" where no peer has it
    main: bool = False  # measured in every way
    compiled: bool = False  # measured under torch.compile, too


def _monai(name: str, activation: str, smooth: float | None = None, more: str = "") -> str:
    asked = {"softmax": "softmax=True, to_onehot_y=True", "one-hot": "softmax=True", "sigmoid": "sigmoid=True"}
    shaped = "" if smooth is None else f", smooth_nr={smooth}, smooth_dr={smooth}"
    return f"monai.losses.{name}({asked[activation]}{shaped}{more})"


DICE, YES_DICE = _monai("DiceLoss", "softmax", 2.0), _monai("DiceLoss", "sigmoid", 2.0)
FOCAL = "C * monai.losses.FocalLoss(use_softmax=True, to_onehot_y=True)"  # its mean is over classes, too
IMAGES = (*VOLUMES, SLICES)
MULTI = (VOLUMES[1], SLICES, MASKS)
YES = 'CrossEntropy(classes="independent") + Dice(classes="independent")'
METRIC = "pytorch_metric_learning.losses"

PAIRS = (
    Pair("cross-entropy + Dice", "CrossEntropy() + Dice()", "classes", IMAGES, _monai("DiceCELoss", "softmax", 2.0),
         main=True, compiled=True),
    Pair("Dice", "Dice()", "classes", IMAGES, DICE, compiled=True),
    Pair("cross-entropy", "CrossEntropy()", "classes", (*IMAGES, *CASES), "torch.nn.CrossEntropyLoss()",
         main=True, compiled=True),
    Pair("focal", "Focal()", "classes", (*IMAGES, *CASES), FOCAL, main=True, compiled=True),
    Pair("focal + Dice", "Focal() + Dice()", "classes", IMAGES, f"{DICE} + {FOCAL}", compiled=True),
    Pair("sigmoid focal + softmax Dice", 'Focal(classes="independent") + Dice(classes="exclusive")', "one-hot",
         (VOLUMES[1], SLICES), _monai("DiceFocalLoss", "one-hot", 2.0)),
    Pair("Tversky", "Tversky()", "classes", IMAGES, _monai("TverskyLoss", "softmax", 1.0, ", alpha=0.3, beta=0.7")),
    Pair("generalised Dice", "GeneralizedDice(smooth=0.0)", "classes", IMAGES,
         _monai("GeneralizedDiceLoss", "softmax", 0.0)),
    Pair("squared Dice", "SquaredDice()", "classes", IMAGES, _monai("DiceLoss", "softmax", 2.0, ", squared_pred=True")),
    Pair("Lovasz-softmax", "LovaszSoftmax()", "classes", (VOLUMES[0], VOLUMES[1], SLICES)),
    Pair("yes/no cross-entropy + Dice", YES, "yes or no", MULTI, f"{YES_DICE} + torch.nn.BCEWithLogitsLoss()",
         main=True, compiled=True),
    Pair("yes/no cross-entropy + Dice, one module", "CrossEntropy() + Dice()", "yes or no", (MASKS,),
         _monai("DiceCELoss", "sigmoid", 2.0), compiled=True),
    Pair("yes/no Dice", 'Dice(classes="independent")', "yes or no", MULTI, YES_DICE),
    Pair("yes/no cross-entropy", 'CrossEntropy(classes="independent")', "yes or no", (*MULTI, *CASES),
         "torch.nn.BCEWithLogitsLoss()", compiled=True),
    Pair("yes/no focal", 'Focal(classes="independent")', "yes or no", MULTI, "monai.losses.FocalLoss()", compiled=True),
    Pair("yes/no focal + Dice", 'Focal(classes="independent") + Dice(classes="independent")', "yes or no", MULTI,
         _monai("DiceFocalLoss", "sigmoid", 2.0)),
    Pair("Lovasz hinge", "LovaszHinge()", "yes or no", (MASKS,)),
    Pair("Hausdorff distance", "HausdorffDistance()", "outlines", ((1, 1, 48, 48, 48), (4, 1, 128, 128)),
         "monai.losses.HausdorffDTLoss(sigmoid=True, include_background=True)"),
    Pair("supervised contrastive", "SupervisedContrastive()", "few of each", POINTS,
         f"{METRIC}.SupConLoss(temperature=0.1)"),
    Pair("NT-Xent", "NTXent()", "views", POINTS, f"{METRIC}.NTXentLoss(temperature=0.1)"),
    Pair("triplets that cost something", "Triplet(margin=0.05, mining='violating')", "few of each", POINTS,
         f"{METRIC}.TripletMarginLoss(margin=0.05)"),
)  # fmt: skip

GROWTH: dict[str, tuple[Shape, ...]] = {  # ten times as much of each
    "classes": tuple((1, classes, 48, 48, 48) for classes in (2, 20, 200)),
    "voxels": tuple((1, 4, side, side, side) for side in (32, 69, 149)),
    "batch": tuple((images, 4, 48, 48, 48) for images in (1, 10)),
}


def small(shape: Shape) -> Shape:
    """Of the same kind, done in no time."""
    images, classes, *space = shape
    return (min(images, 2), min(classes, 14), *(min(side, 24) for side in space)) if space else (64, min(classes, 32))


def batch(form: Form, shape: Shape) -> tuple[Tensor, Tensor]:
    """Logits or embeddings, a leaf, and the target as our losses take it."""
    random = torch.Generator().manual_seed(0)
    images, classes, *space = shape
    if form == "outlines":
        from benchmarks.distance_maps import volumes  # where MONAI is needed

        logits, target = volumes(images, space)
        return logits.requires_grad_(), target
    logits = (2 * torch.randn(shape, generator=random)).requires_grad_()
    if form in ("views", "few of each"):
        return logits, torch.arange(images) // (2 if form == "views" else 8)
    if form == "yes or no":
        return logits, torch.randint(2, shape, generator=random).float()
    index = torch.randint(classes, (images, *space), generator=random)
    if form == "classes":
        return logits, index
    return logits, torch.nn.functional.one_hot(index, classes).movedim(-1, 1).float().contiguous()


def ours(pair: Pair) -> Value:
    loss = whichloss.parse(pair.ours)

    def forgetful(logits: Tensor, target: Tensor) -> Tensor:
        distance.memory = distance.Memory()
        return loss(logits, target)

    return forgetful if pair.form == "outlines" else loss


def theirs(pair: Pair, classes: int) -> Value:
    """What the text says, as a function of logits and our target."""
    import monai.losses
    import pytorch_metric_learning.losses

    known = {"torch": torch, "monai": monai, "pytorch_metric_learning": pytorch_metric_learning}
    parts: list[tuple[int, Value, bool]] = []
    for part in pair.peer.split(" + "):
        factor, _, text = part.rpartition(" * ")
        with_axis = pair.form == "classes" and text.startswith("monai")  # indices (N, 1, *S)
        parts.append((classes if factor else 1, eval(text, known), with_axis))

    def value(logits: Tensor, target: Tensor) -> Tensor:
        found = [k * module(logits, target.unsqueeze(1) if axis else target) for k, module, axis in parts]
        return found[0] if len(found) == 1 else found[0] + found[1]

    return value
