"""Small problems of every form on which promises are tried."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from whichloss.core import EmbeddingLoss, Loss, UserError


@dataclass(frozen=True)
class Problem:
    """A loss, and a batch that it accepts. `form` says which question the batch asks."""

    form: str
    loss: Loss
    logits: Tensor
    target: Tensor

    def leaf(self) -> Tensor:
        return self.logits.clone().requires_grad_()

    def __str__(self) -> str:
        return f"{self.form}, logits {tuple(self.logits.shape)}"


SHAPES = ((5, 3), (2, 3, 6, 5), (2, 3, 4, 3, 3))


def problems(loss: Loss, *, shapes: tuple[tuple[int, ...], ...] = SHAPES, seed: int = 0) -> list[Problem]:
    """Every form that the loss accepts, in each shape: classes by index, proportions, yes/no."""
    return [one for shape in shapes for one in _forms(loss, shape, seed) if _accepts(one)]


def _forms(loss: Loss, shape: tuple[int, ...], seed: int) -> Iterator[Problem]:
    random = torch.Generator().manual_seed(seed)
    n, c, *space = shape
    logits = 2 * torch.randn(shape, generator=random, dtype=torch.float64)
    if any(isinstance(leaf, EmbeddingLoss) for leaf in loss.leaves()):
        yield Problem("embeddings", loss, logits, torch.randint(2, (n, *space), generator=random))
        return
    if "regression" in loss.tasks:
        yield Problem("regression", loss, logits, torch.randn(shape, generator=random, dtype=torch.float64))
        return
    index = torch.randint(c, (n, *space), generator=random)
    proportions = torch.rand(shape, generator=random, dtype=torch.float64).softmax(1)
    yes = torch.randint(2, shape, generator=random).double()
    said = {getattr(leaf, "classes", "auto") for leaf in loss.leaves()}
    if "independent" not in said:
        yield Problem("classes by index", loss, logits, index)
        yield Problem("classes in proportions", loss.asking("exclusive"), logits, proportions)
    if "exclusive" not in said:
        yield Problem("yes or no for each channel", loss.asking("independent"), logits, yes)
        yield Problem("one yes or no", loss, logits[:, :1], yes[:, :1])


def one_hot(index: Tensor, classes: int) -> Tensor:
    return torch.nn.functional.one_hot(index, classes).movedim(-1, 1)


def _accepts(problem: Problem) -> bool:
    try:
        problem.loss(problem.logits, problem.target)
    except UserError:
        return False
    return True
