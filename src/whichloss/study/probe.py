"""Look before the first run: does every term of every loss give a number and a gradient on real cases?"""

from dataclasses import replace
from typing import Any

import torch
from torch import Generator, Tensor

from whichloss.core import Loss, Sum, UserError
from whichloss.data import Cases
from whichloss.losses.wrap.deep_supervision import DeepSupervision

from .layers import groups
from .mixup import check_mixup
from .passes import check_layers, finest
from .runs import Run
from .scale import Scale


def probe(run: Run, cases: Cases, size: int = 8, here: bool = True) -> None:
    """Raises UserError naming the loss, or the part of one, that could not teach this network anything.

    here: whether it will be trained on this machine; another may have GPUs.
    """
    run.loss.accept(cases.task)
    run.network.accept(cases.task)
    split = run.split(cases)
    if run.loss.reach == "pairs":  # at a squared cost: no more than training compares
        size = min(size, max(2, run.training.plan[0].batch))
    chosen = _both_ways(cases, split.fit, size)
    shown, labels = _shown(run, cases, chosen)
    if len(chosen) > 1 and bool((shown == shown[:1]).all()):
        raise UserError(
            f"the first {len(chosen)} images of {run.data.label} are all the same: there is nothing to learn"
        )
    torch.manual_seed(run.stream("weights"))
    network = run.network.under(run.loss, cases.task)
    groups(network, run.training.layers)
    try:
        outputs = network(shown)
    except Exception as error:
        raise UserError(
            f"{run.network.label} cannot read images {tuple(shown.shape[1:])} of {run.data.label}:"
            f" {type(error).__name__}: {error}"
        ) from error
    logits = finest(outputs)
    expected = (
        len(chosen),
        run.loss.outputs(cases.task),
        *(shown.shape[2:] if cases.task.kind == "segmentation" else ()),
    )
    if tuple(logits.shape) != expected:
        raise UserError(f"{run.network.label} gives {tuple(logits.shape)} where the task needs {expected}")
    if run.training.skip_easy or run.training.devices > 1:
        gpus = run.training.device != "cpu" and (torch.cuda.is_available() or not here)
        try:
            check_layers(run.training, network, shown, run.training.devices, gpus)
        except UserError as error:
            raise UserError(f"{run.network.label}: {error}") from None
        except Exception as error:  # whatever somebody else's code raises
            raise UserError(f"{run.network.label} fails when it is tried: {type(error).__name__}: {error}") from error
    labels = Scale.of(cases.labels_at(split.fit), cases.task).learned(labels)
    target = cases.task.target(labels, logits)
    ignoring = cases.task.kind == "segmentation" and int(cases.labels.min()) < 0
    weight = (labels >= 0).float() if ignoring else None
    if any(isinstance(term, DeepSupervision) for term in terms_of(run.loss)):
        _check_several(run, outputs, target, weight)
    if run.training.mixup is not None:
        check_mixup(run.loss, cases.task)
    for term in terms_of(run.loss):
        leaf = logits.detach().requires_grad_()
        part = "" if term is run.loss else f" in {run.loss.label}"
        try:
            value = term(leaf, target, weight)
        except UserError:
            raise
        except Exception as error:  # whatever somebody else's code raises
            raise UserError(
                f"{term.label}{part} fails on the first cases of {run.data.label}: {type(error).__name__}: {error}"
            ) from error
        if not value.isfinite():
            raise UserError(f"{term.label}{part} is {value.item()} on the first cases of {run.data.label}")
        gradient = torch.autograd.grad(value, leaf, allow_unused=True)[0] if value.requires_grad else None
        if gradient is None or not gradient.isfinite().all() or not gradient.any():
            raise UserError(
                f"{term.label}{part} has no gradient on the first cases of {run.data.label}: it cannot teach"
            )


def _check_several(run: Run, outputs: Any, target: Tensor, weight: Tensor | None) -> None:
    """Raises UserError where a loss of several resolutions does not get them."""
    loss, training = run.loss, run.training
    if not isinstance(loss, DeepSupervision):
        raise UserError(f"{loss.label}: DeepSupervision goes around everything else, as in DeepSupervision(A() + B())")
    if isinstance(outputs, Tensor):
        raise UserError(
            f"{loss.label} needs a network that answers at several resolutions; {run.network.label} answers at one\n"
            "  remedy: UNet(deep_supervision=2), or one whose forward gives a list in training, the finest first"
        )
    if training.skip_easy or training.devices > 1:
        raise UserError(
            f"training.{'skip_easy' if training.skip_easy else 'devices'}: {loss.label} is of several outputs, which"
            " cannot be taken apart; leave it out"
        )
    loss([one.detach() for one in outputs], target, weight)


def _shown(run: Run, cases: Cases, chosen: list[int]) -> tuple[Tensor, Tensor]:
    """These images and labels; of volumes larger than memory, or to be compared in pairs, a patch of each, about its
    foreground."""
    if not cases.in_files and (run.training.patches is None or run.loss.reach != "pairs"):
        return cases.images[chosen], cases.labels[chosen]
    if run.training.patches is None:
        raise UserError(
            f"the volumes of {run.data.label} take more than a quarter of this machine's memory (or than"
            " WHICHLOSS_MAP_ABOVE), and such are trained on by patch only\n"
            "  remedy: say  training: {patches: 'Patches(size=(64, 64, 64))'}, or read a smaller size=(D, H, W)"
        )
    if stress := [one for one in run.stress if not one.none and one.card.changes != "cases"]:
        raise UserError(
            f"{stress[0].label} changes the {stress[0].card.changes} of whole volumes, and those of"
            f" {run.data.label} are larger than memory\n"
            "  remedy: bring them to a smaller size=(D, H, W), or leave this stress out"
        )
    about = replace(run.training.patches, foreground=1.0)
    return about.sample(cases.images_at(chosen), cases.labels_at(chosen), Generator().manual_seed(0))


def terms_of(loss: Loss) -> list[Loss]:
    """A loss and, where it is made of several, each of them."""
    if isinstance(loss, Sum):
        return [loss, *(term for _, part in loss.addends for term in terms_of(part))]
    return [loss, *(term for part in loss.parts() if isinstance(part, Loss) for term in terms_of(part))]


def _both_ways(cases: Cases, candidates: tuple[int, ...], size: int) -> list[int]:
    """A few cases in which, if at all possible, not everything is of one class."""
    if cases.task.by_image:
        by_class: dict[int, list[int]] = {}
        for at in candidates:
            by_class.setdefault(int(cases.labels[at]), []).append(at)
        mixed = [one for group in zip(*by_class.values(), strict=False) for one in group]
        return (mixed or list(candidates))[:size]
    if cases.task.kind == "regression":
        return list(candidates[:size])
    busy = [at for at in candidates if int(cases.labels[at].max()) > 0]
    return (busy or list(candidates))[:size]
