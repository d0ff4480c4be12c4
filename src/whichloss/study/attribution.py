"""Attribution: which pixels an answer rests on, by integrated gradients, for a few test cases of each run."""

from collections.abc import Sequence
from itertools import chain, zip_longest

import torch
from torch import Tensor

from whichloss.core import Task, UserError
from whichloss.data import Cases

from .predict import Predictor
from .study import Attribution

MISSING = (
    "attribution needs captum, which is not installed\n  remedy: pip install 'whichloss[attribution]', or leave"
    " attribution out"
)


def check(task: Task) -> None:
    """Raises UserError where attributions cannot be made."""
    if task.kind == "segmentation":
        raise UserError(
            "attribution: explains one answer for each image, and the data ask for a mask; the page shows masks of the"
            " cases on which losses disagree anyway\n  remedy: leave attribution out"
        )
    try:
        import captum.attr as captum
    except ImportError:
        raise UserError(MISSING) from None
    del captum


def chosen(cases: Cases, test: Sequence[int], count: int) -> list[int]:
    """So many test cases at even steps, of the classes in turn: the same for every loss, and nobody has chosen them."""
    by_class: dict[int, list[int]] = {}
    for at in test:
        kind = 0 if cases.task.kind == "regression" else int(cases.labels[at])
        by_class.setdefault(kind, []).append(at)
    each = -(-count // max(1, len(by_class)))
    some = [members[:: max(1, len(members) // each)][:each] for _, members in sorted(by_class.items())]
    return sorted([at for at in chain(*zip_longest(*some)) if at is not None][:count])


def attributions(wanted: Attribution, predict: Predictor, images: Tensor, labels: Tensor, batch: int) -> Tensor:
    r"""How much each pixel speaks for the answer, (N, *S), summed over channels: integrated gradients.

    $$a_i = (x_i - x'_i) \int_0^1 \frac{\partial F}{\partial x_i}\bigl(x' + t (x - x')\bigr)\, dt$$

    F is the score of a yes/no question or the quantity itself, and of several classes the score of the true one minus
    the mean of the others. x' is an image of one grey, the mean of each channel over the images fitted to. The sum over
    all pixels is F(x) - F(x').

    Source: Sundararajan, Taly and Yan, Axiomatic attribution for deep networks, ICML 2017.
    """
    from captum.attr import IntegratedGradients

    read, device = predict.smooth(batch), predict.precision.device

    def answer(shown: Tensor, truth: Tensor) -> Tensor:
        scores = read(predict.network(shown).float())
        if scores.shape[1] == 1:
            return scores[:, 0]
        own = scores.gather(1, truth[:, None])[:, 0]
        return own - (scores.sum(1) - own) / (scores.shape[1] - 1)

    grey = predict.images.mean((0, *range(2, predict.images.ndim)), keepdim=True)
    found = [
        IntegratedGradients(answer).attribute(
            shown.to(device), grey.expand_as(shown), additional_forward_args=(truth.to(device),),
            n_steps=wanted.steps, internal_batch_size=max(batch, wanted.steps),
        )
        for shown, truth in zip(images.split(1), labels.long().split(1), strict=True)
    ]  # fmt: skip
    return torch.cat(found).sum(1).detach().float().cpu()
