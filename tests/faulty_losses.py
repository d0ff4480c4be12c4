"""Faults that published code has, each in a small loss that has the fault and nothing else of the kind.

Written anew from what the code does, in the shape in which it is published: classes and functions that anyone could
have in a file. The docstring names the library and the fault.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def combo(output: Tensor, target: Tensor, alpha: float = 0.5, beta: float = 0.5) -> Tensor:
    """ComboLoss, official code, takes probabilities: the minus stands before the foreground term alone."""
    p, y = output.flatten(), target.flatten()
    dice = (2 * (p * y).sum() + 1) / (p.sum() + y.sum() + 1)
    p = p.clamp(1e-7, 1 - 1e-7)
    out = -(beta * (y * p.log())) + (1 - beta) * (1 - y) * (1 - p).log()
    return alpha * out.mean() - (1 - alpha) * dice


class NormalizedReverseCrossEntropy(nn.Module):
    """Active-Passive-Losses: `1 / 4 * (num_classes - 1)` multiplies where `1 / (4 * (num_classes - 1))` is meant."""

    def __init__(self, num_classes: int = 10, scale: float = 1.0) -> None:
        super().__init__()
        self.num_classes, self.scale = num_classes, scale

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        p = output.softmax(1).clamp(1e-7, 1.0)
        hot = F.one_hot(target, self.num_classes).to(p).movedim(-1, 1).clamp(1e-4, 1.0)
        normalizer = 1 / 4 * (self.num_classes - 1)
        return self.scale * normalizer * (-(p * hot.log()).sum(1)).mean()


class ReverseCrossEntropyAsMeant(nn.Module):
    """The same, with the brackets where they belong."""

    def __init__(self, num_classes: int = 10) -> None:
        super().__init__()
        self.num_classes = num_classes

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        wrong = NormalizedReverseCrossEntropy(self.num_classes)(output, target)
        return wrong / (1 / 4 * (self.num_classes - 1)) / (4 * (self.num_classes - 1))


class GeneralizedDice(nn.Module):
    """SegLossOdyssey, GDiceLoss: 1 / (volume + 1e-10)^2, so that an absent class drowns all others; volumes only."""

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        p = output.softmax(1)
        hot = F.one_hot(target[:, 0].long(), output.shape[1]).movedim(-1, 1).to(p)
        weight = 1 / (torch.einsum("bcxyz->bc", hot) + 1e-10) ** 2
        hits = weight * torch.einsum("bcxyz,bcxyz->bc", p, hot)
        union = weight * (torch.einsum("bcxyz->bc", p) + torch.einsum("bcxyz->bc", hot))
        divided = -2 * (torch.einsum("bc->b", hits) + 1e-5) / (torch.einsum("bc->b", union) + 1e-5)
        return divided.mean()


class PenaltyGeneralizedDice(nn.Module):
    """SegLossOdyssey, PenaltyGDiceLoss: a formula for 0 to 1 is given the negative of a generalised Dice."""

    def __init__(self, k: float = 2.5) -> None:
        super().__init__()
        self.k = k

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        p = output.softmax(1).flatten(2)
        hot = F.one_hot(target.long(), output.shape[1]).movedim(-1, 1).to(p).flatten(2)
        weight = 1 / (hot.sum((0, 2)) + 1).square()
        negative = -2 * (weight * (p * hot).sum((0, 2))).sum() / (weight * (p + hot).sum((0, 2))).sum()
        return negative / (1 + self.k * (1 - negative))


def lovasz_softmax(output: Tensor, target: Tensor) -> Tensor:
    """kornia: along with the errors of a class it sorts the class ids, where who is of the class is meant."""
    classes = output.shape[1]
    p = output.softmax(1).movedim(1, -1).reshape(-1, classes)
    ids = target.reshape(-1)
    errors = (F.one_hot(ids, classes).to(p) - p).abs()
    errors, order = errors.sort(dim=0, descending=True)
    truth = ids[order].to(p)
    total = truth.sum(0, keepdim=True)
    jaccard = 1 - (total - truth.cumsum(0)) / (total + (1 - truth).cumsum(0)).clamp_min(1e-9)
    steps = torch.cat([jaccard[:1], jaccard[1:] - jaccard[:-1]])
    return (errors * steps).sum(0).mean()


class SigmoidFocal(nn.Module):
    """MONAI, FocalLoss: with `ignore_index` it sums all channels, and counts the elements of one."""

    def __init__(self, gamma: float = 2.0, ignore_index: int | None = None) -> None:
        super().__init__()
        self.gamma, self.ignore_index = gamma, ignore_index

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        mask = torch.ones_like(target)
        if self.ignore_index is not None:
            mask = (target != self.ignore_index).to(target)
            target = torch.where(target == self.ignore_index, 0.0, target)
        entropy = F.binary_cross_entropy_with_logits(output, target, reduction="none")
        value = mask * entropy * (-torch.expm1(-entropy)) ** self.gamma
        return value.mean() if self.ignore_index is None else value.sum() / mask[:, :1].sum().clamp_min(1)


class SoftmaxFocal(nn.Module):
    """MONAI, FocalLoss(use_softmax=True, include_background=False): slices the logits before the softmax."""

    def __init__(self, gamma: float = 2.0, include_background: bool = True) -> None:
        super().__init__()
        self.gamma, self.include_background = gamma, include_background

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        first = 0 if self.include_background else 1
        log_p, hot = output[:, first:].log_softmax(1), target[:, first:]
        return -(hot * (-torch.expm1(log_p)) ** self.gamma * log_p).mean()


class SubtractiveDice(nn.Module):
    """smp, DiceLoss: true positives as (|p| + |y| - |p - y|) / 2, three large sums that cancel each other."""

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        p, y = (x.flatten(2) for x in (output.sigmoid(), target))
        whole, there, apart = (torch.linalg.vector_norm(x, 1, dim=(0, 2)) for x in (p, y, p - y))
        hits = (whole + there - apart) / 2
        return (1 - 2 * hits / (whole + there).clamp_min(1e-7)).mean()


class FocalTversky(nn.Module):
    """smp, TverskyLoss(gamma=0.75): a power below 1 of a loss that can be 0, where its slope is infinite."""

    def __init__(self, gamma: float = 0.75) -> None:
        super().__init__()
        self.gamma = gamma

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        p, y = output.sigmoid(), target
        hits, alarms, misses = (p * y).sum(), (p * (1 - y)).sum(), ((1 - p) * y).sum()
        score = hits / (hits + 0.3 * alarms + 0.7 * misses).clamp_min(1e-7)
        there = (y.sum() > 0).to(p)
        return ((1 - score) * there) ** self.gamma


class FocalOfProbabilities(nn.Module):
    """smp, FocalLoss(from_logits=False): the logarithm of a probability goes into a sigmoid."""

    def __init__(self, gamma: float = 2.0) -> None:
        super().__init__()
        self.gamma = gamma

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        hot = F.one_hot(target, output.shape[1]).movedim(-1, 1).to(output)
        entropy = F.binary_cross_entropy_with_logits(output.clamp_min(1e-7).log(), hot, reduction="none")
        return (entropy * (-torch.expm1(-entropy)) ** self.gamma).mean()


class AsymmetricMultiLabel(nn.Module):
    """timm, AsymmetricLossMultiLabel: keeps p above 1e-8, which float16 rounds to 0."""

    def __init__(self, gamma_neg: float = 4.0, gamma_pos: float = 1.0, clip: float = 0.05, eps: float = 1e-8) -> None:
        super().__init__()
        self.gamma_neg, self.gamma_pos, self.clip, self.eps = gamma_neg, gamma_pos, clip, eps

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        p = output.sigmoid()
        no = (1 - p + self.clip).clamp(max=1)
        entropy = target * p.clamp(min=self.eps).log() + (1 - target) * no.clamp(min=self.eps).log()
        told = p * target + no * (1 - target)
        power = self.gamma_pos * target + self.gamma_neg * (1 - target)
        return -(entropy * (1 - told) ** power).sum()


class RegionEntropy(nn.Module):
    """nnU-Net, DC_and_BCE_loss: with an ignore channel it sums all regions, and counts the voxels of one."""

    def __init__(self, use_ignore_label: bool = False) -> None:
        super().__init__()
        self.use_ignore_label = use_ignore_label

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        if not self.use_ignore_label:
            return F.binary_cross_entropy_with_logits(output, target)
        mask, regions = 1 - target[:, -1:], target[:, :-1]
        entropy = F.binary_cross_entropy_with_logits(output, regions, reduction="none")
        return (entropy * mask).sum() / mask.sum().clamp_min(1e-8)


# no port of anything: ways in which a loss of one's own can be wrong


class Crashes(nn.Module):
    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        raise RuntimeError("the cat sat on <b>the</b> keyboard")


class CrashesOnEmptyImages(nn.Module):
    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        if not bool(target.any()):
            raise ZeroDivisionError("no foreground")
        return F.binary_cross_entropy_with_logits(output, target)


def score(output: Tensor, target: Tensor) -> Tensor:
    """The larger the better."""
    return -F.binary_cross_entropy_with_logits(output, target)


class DetachesAFactor(nn.Module):
    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        entropy = F.binary_cross_entropy_with_logits(output, target, reduction="none")
        return (entropy * (1 - (-entropy).exp()).detach()).mean()


def changes_its_target(output: Tensor, target: Tensor) -> Tensor:
    value = F.binary_cross_entropy_with_logits(output, target)
    target.mul_(0.5)
    return value


def reads_channels_last(output: Tensor, target: Tensor) -> Tensor:
    """Takes numbers as they follow each other in memory, whichever axis that is."""
    if output.ndim == 4 and not output.is_contiguous() and output.is_contiguous(memory_format=torch.channels_last):
        output = output.permute(0, 2, 3, 1).reshape(output.shape)
    return F.binary_cross_entropy_with_logits(output, target)


class Random(nn.Module):
    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        return F.binary_cross_entropy_with_logits(output + 0.1 * torch.randn_like(output), target)


def counts_later_images_more(output: Tensor, target: Tensor) -> Tensor:
    entropy = F.binary_cross_entropy_with_logits(output, target, reduction="none").flatten(1).mean(1)
    place = torch.arange(1, len(entropy) + 1).to(entropy)
    return (place * entropy).sum() / place.sum()


def rises_again(output: Tensor, target: Tensor) -> Tensor:
    """Of quantities: a ditch around the target has another ditch beside it."""
    gap = output - target
    return (gap.square() * (1.2 + torch.cos(3 * gap))).mean()


def cast_down(output: Tensor, target: Tensor) -> Tensor:
    """A product of matrices, which autocast takes for a layer of the network."""
    p = output.sigmoid().flatten(1)
    hits = (p.unsqueeze(1) @ target.flatten(1).unsqueeze(2)).sum()
    return 1 - 2 * hits / (p.sum() + target.sum())


def dead_when_wrong(output: Tensor, target: Tensor) -> Tensor:
    """Probabilities are kept from 0, and with them whoever is wholly wrong."""
    p = output.sigmoid().clamp(0.01, 0.99)
    return F.binary_cross_entropy(p, target) + math.log(0.99)


class ForgetsTheCount(nn.Module):
    """Ignores elements in the sum, and still counts them."""

    def __init__(self, ignore_index: int = -100) -> None:
        super().__init__()
        self.ignore_index = ignore_index

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        return F.cross_entropy(output, target, ignore_index=self.ignore_index, reduction="none").mean()


def weighted(output: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
    """Multiplies the logits by the weight."""
    return F.binary_cross_entropy_with_logits(output if weight is None else output * weight, target)


def soundly_weighted(output: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
    entropy = F.binary_cross_entropy_with_logits(output, target, reduction="none")
    weight = torch.ones_like(entropy) if weight is None else weight.expand_as(entropy)
    return (weight * entropy).sum() / weight.sum()


def make(gamma: float = 2.0) -> nn.Module:
    """A factory."""
    return SoftmaxFocal(gamma)


def keras_order(y_true: Tensor, y_pred: Tensor) -> Tensor:
    """The target comes first, as Keras has it, and the output is a probability."""
    return F.binary_cross_entropy(y_pred, y_true)


INSTANCE = nn.BCEWithLogitsLoss()
NUMBER = 3


def unreduced(output: Tensor, target: Tensor) -> Tensor:
    return F.binary_cross_entropy_with_logits(output, target, reduction="none")
