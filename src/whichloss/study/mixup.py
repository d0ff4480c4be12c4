"""Mixup: the cases of a batch blended in pairs, and what is true of them in the same shares."""

import torch
import torch.nn.functional as F
from scipy.special import betaincinv
from torch import Generator, Tensor

from whichloss.core import Loss, Task, UserError


class Mixup:
    """One share for each batch, drawn from Beta(alpha, alpha), as in Zhang et al. (2018); without alpha, nothing.

    A case is shown with a share of another, which may be itself, and its target is the proportions of both: of classes,
    or of a quantity. Where either has no label, the blend has no say. Of several classes the loss is asked for
    proportions, which for unblended cases comes to the same as indices.
    """

    def __init__(self, alpha: float | None, loss: Loss, task: Task, random: Generator) -> None:
        """random: on the CPU, so that devices draw alike."""
        self.alpha, self.task, self.random = alpha, task, random
        self.loss = loss if alpha is None or loss.outputs(task) == 1 else loss.asking("exclusive")
        self.share, self.partner = 1.0, torch.empty(0)

    def images(self, images: Tensor) -> Tensor:
        """Images (N, C, *S), blended anew; target and weight then belong to these."""
        if self.alpha is None:
            return images
        place = torch.rand((), generator=self.random, dtype=torch.float64)
        self.share = float(betaincinv(self.alpha, self.alpha, float(place)))
        self.partner = torch.randperm(len(images), generator=self.random).to(images.device)
        return self._blended(images)

    def target(self, labels: Tensor, like: Tensor) -> Tensor:
        """Labels (N, *S) in the form in which a loss asks for them beside logits `like`."""
        target = self.task.target(labels, like)
        if self.alpha is None:
            return target
        if not target.is_floating_point():
            target = F.one_hot(target, like.shape[1]).movedim(-1, 1)
        return self._blended(target.to(torch.promote_types(like.dtype, torch.float32)))

    def weight(self, known: Tensor) -> Tensor:
        """1 where a case (N, *S) has a label, and 0 elsewhere."""
        return known if self.alpha is None else known * known[self.partner]

    def _blended(self, cases: Tensor) -> Tensor:
        return cases.lerp(cases[self.partner], 1 - self.share)


def sentence(alpha: float) -> str:
    """For people."""
    return f"cases blended in pairs, and their targets with them, in shares drawn from Beta({alpha:g}, {alpha:g})"


def check_mixup(loss: Loss, task: Task) -> None:
    """Raises UserError where a loss cannot learn from blended cases."""
    if why := _refusal(loss, task):
        raise UserError(
            f"training.mixup: {loss.label} cannot learn from blended cases: {why}\n"
            "  remedy: leave out mixup, or this loss"
        )


def _refusal(loss: Loss, task: Task) -> str:
    if not loss.answers:
        return "it compares cases of the same class with others, and a blend of two is of neither"
    if loss.ahead:
        return "it measures distances to the truth, and a blend of two masks has no boundary"
    space = [8] * task.dims if task.kind == "segmentation" else []
    cases = torch.arange(4 * 8 ** len(space)).reshape(4, *space)
    logits = torch.linspace(-0.5, 0.5, cases.numel() * loss.outputs(task)).reshape(4, -1, *space)
    labels = cases.float() if task.kind == "regression" else cases % len(task.classes)
    mixup = Mixup(1.0, loss, task, Generator().manual_seed(0))
    mixup.images(cases.float())
    try:
        mixup.loss(logits, mixup.target(labels, logits))
    except Exception as error:  # whatever somebody else's code raises
        return f"{type(error).__name__}: {error}" if not isinstance(error, UserError) else str(error)
    return ""
