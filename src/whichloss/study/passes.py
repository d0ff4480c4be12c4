"""Passes: how a batch goes through a network, and its gradient back."""

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from whichloss.core import Loss, MarginLoss, UserError, in_words

from .course import Curve
from .noise import Noise, mixing
from .precision import Precision
from .study import Training
from .team import Team

WORTH = 0.5  # the share of easy cases beyond which another forward pass costs less than a backward pass for all
LOOKED_AT = 8  # images on which the layers of a network are tried


class Passes:
    """Forwards and backwards: in one go, or in parts that come to the same but for rounding.

    In parts, the loss is asked about the logits of the whole batch, whoever computed them, and never knows; the
    gradient that it gives at the logits then goes back into the weights, for each process through its own cases
    (`devices`), and only through those that have any (`skip_easy`). These are passed forward once more, since the
    first time nothing was kept for going back.
    """

    def __init__(
        self,
        training: Training,
        network: nn.Module,
        precision: Precision,
        team: Team,
        images: Tensor,
        several: bool = False,
    ) -> None:
        """images: of which a few are tried. several: whether the loss is of the outputs of all resolutions.

        Raises UserError that names a layer in which the cases of a batch mix.
        """
        self.skip_easy, self.precision, self.team = training.skip_easy, precision, team
        self.in_parts, self.several = training.skip_easy or team.size > 1, several
        check_layers(training, network, images, team.size, images.is_cuda)
        self.network, self.noise = team.wrapped(network, images.device), Noise(network) if self.in_parts else None
        statistics = any(isinstance(one, _BatchNorm) for one in network.modules())
        self.least = team.size if statistics else 1
        self.skipping, self.taught, self.shown = False, 0, 0

    def begin(self, curve: Curve) -> None:
        """A new epoch. What was easy in the one before decides, so that it is the same whatever the time it takes."""
        self.skipping = self.skip_easy and bool(curve) and curve[-1]["idle"] > WORTH
        self.taught = self.shown = 0

    def forward(self, images: Tensor) -> Any:
        """The logits of a batch, of which the gradient will be kept; or those of all resolutions, the finest first."""
        self.shown += len(images)
        if self.noise is None:
            outputs = self.network(images)
            finest(outputs).retain_grad()
            return outputs if self.several else finest(outputs)
        if len(images) < self.least:
            raise UserError(
                f"training.devices: a batch of {len(images)} is too few for {self.least} GPUs and batch normalisation;"
                " choose a batch that leaves more at the end of an epoch"
            )
        mine = self.team.rows(len(images))
        self.rows = mine if mine.start < mine.stop else slice(0, 1)  # who has no case takes part with one of no say
        self.images, self.say = images[self.rows], self.team.size if mine.start < mine.stop else 0
        self.noise.draw(len(images), self.rows)
        with torch.set_grad_enabled(not self.skipping):
            self.made = finest(self.network(self.images))
        return self.team.gathered(self.made.detach(), len(images)).requires_grad_()

    def backward(self, logits: Tensor) -> None:
        """From the gradient at the logits to that of the weights: of all processes the mean, so each counts for all."""
        if self.noise is None:
            return
        assert logits.grad is not None
        gradient, made = logits.grad[self.rows], self.made
        if self.skipping:
            active = (logits.grad.flatten(1) != 0).any(1)
            self.taught += max(1, int(active.sum()))
            active[self.rows.start] |= not bool(active[self.rows].any())  # to have no gradient is not to have one of 0
            chosen = active[self.rows].nonzero().flatten()
            self.noise.repeat(torch.arange(len(logits))[self.rows][chosen.cpu()])
            with self.precision.context():
                made = finest(self.network(self.images[chosen]))
            gradient = gradient[chosen]
        else:
            self.taught += len(logits)
        made.backward(self.say * gradient)
        del self.made

    def noted(self) -> dict[str, float]:
        """For the curve: the share of the cases that were sent backward."""
        return {"backward": self.taught / self.shown} if self.skip_easy else {}


def finest(outputs: Tensor | Sequence[Tensor]) -> Tensor:
    """The logits of a network that may answer at several resolutions."""
    return outputs if isinstance(outputs, Tensor) else outputs[0]


def check_layers(training: Training, network: nn.Module, images: Tensor, devices: int, gpus: bool) -> None:
    """Raises UserError that names a layer in which the cases of a batch mix, where they are to be taken apart.

    gpus: whether the devices are such, which can share batch statistics.
    """
    few = images[: max(2, min(LOOKED_AT, training.plan[0].batch))]
    if training.patches is not None:
        few = training.patches.corners(few)
    if training.skip_easy and (layer := mixing(network, few, again=True)):
        raise UserError(
            f"training.skip_easy: {layer} answers a case by what else is in its batch, or by chance that cannot be"
            f" repeated, so that no case can be left out; {_REMEDY}, or leave out skip_easy"
        )
    if devices > 1 and (layer := mixing(network, few, again=False, synced=gpus)):
        raise UserError(
            f"training.devices: {layer} answers a case by what else is in its batch, or by chance of its own, so that"
            f" {devices} processes cannot share a batch (of batch normalisation GPUs can, a CPU cannot); {_REMEDY},"
            " or say devices: 1"
        )


def check_losses(losses: Iterable[Loss]) -> None:
    """Raises UserError, with the names of losses or of parts of them, where skip_easy would skip nothing for any.

    One loss with easy cases is enough: the others are trained as without, which is what they are compared with.
    """
    found = [_never_flat(loss) for loss in losses]
    if all(found):
        raise UserError(
            f"training.skip_easy: {in_words(found)} {'is' if len(found) == 1 else 'are'} never flat, however right a"
            " case is, so that none can be skipped; take losses with easy cases, such as Hinge(), SmoothHinge() or"
            " Lorenz() (whichloss losses NAME tells), or leave out skip_easy"
        )


def _never_flat(loss: Loss) -> str:
    """The name of a loss, or of the first part of one, that teaches something in every case; "" for none."""
    for leaf in loss.leaves():
        far = torch.tensor(1e3, dtype=torch.float64)
        if leaf.card.easy is None or not isinstance(leaf, MarginLoss) or float(leaf.formula(far)) != 0:
            return leaf.label if leaf is loss else f"{leaf.label} in {loss.label}"
    return ""


_REMEDY = "take a network without it (UNet, SmallConvNet: normalize=False; LymphNet: subtract_mean=False, crop=None)"
