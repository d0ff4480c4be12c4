"""How to train with the winner: code for the frameworks that people train with, with what the study tuned."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from whichloss.report.numerals import plain
from whichloss.report.record import Recipe

Verdict = Mapping[str, Any]


@dataclass(frozen=True)
class Snippet:
    """Code for one framework; `note`: what to know beside it."""

    id: str
    title: str
    code: str
    note: str = ""


def snippets(verdict: Verdict, recipes: Sequence[Recipe], ours: bool) -> tuple[Snippet, ...]:
    """For a loss of the best set, the baseline where it is one. None where the losses are not ours to parse."""
    best = shown(verdict)
    if not (best and ours):
        return ()
    taken = [chosen(text, recipes, verdict["higher_is_better"]) for text in best]
    first = taken[0]
    if first is None:
        return (Snippet("pytorch", "PyTorch", _bare(best), "The same object serves Lightning, MONAI and nnU-Net."),)
    makers = [_pytorch, _lightning]
    makers += [_monai] if first.kind != "regression" else []
    makers += [_nnunet] if _fits_nnunet(first) else []
    others = [_other(one or text, first) for one, text in zip(taken[1:], best[1:], strict=True)]
    return tuple(make(first, others) for make in makers)


def shown(verdict: Verdict) -> list[str]:
    """The best set, the baseline first where it is one."""
    best = [loss["loss"] for loss in verdict["losses"] if loss["in_best_set"]]
    return sorted(best, key=lambda text: text != verdict["baseline"])


def chosen(loss: str, recipes: Sequence[Recipe], higher_is_better: bool) -> Recipe | None:
    """With the settings chosen most often; where none were chosen twice, those with the best inner score."""
    own = [one for one in recipes if one.loss == loss]
    votes = _votes(own)
    sign = 1 if higher_is_better else -1

    def merit(one: Recipe) -> tuple[int, float]:
        return votes[_settings(one)], float("-inf") if one.inner is None else sign * one.inner

    return max(own, key=merit) if own else None


def told(verdict: Verdict, recipes: Sequence[Recipe]) -> str:
    """Where the settings in the code come from; nothing where nothing was tuned."""
    best = shown(verdict)
    one = chosen(best[0], recipes, verdict["higher_is_better"]) if best else None
    if one is None or not one.settings:
        return ""
    label = next(loss["label"] for loss in verdict["losses"] if loss["loss"] == one.loss)
    own = [recipe for recipe in recipes if recipe.loss == one.loss]
    votes = _votes(own)
    values = _listed(one.settings)
    if len(votes) == 1:
        return f"Tuning chose the same for every run of {label}: {values}."
    most = votes[_settings(one)]
    start = f"Tuning chose different settings for different runs of {label}. The code has those"
    if most > 1:
        return f"{start} chosen most often, for {most} of {len(own)} runs: {values}."
    score = f", {plain(one.inner)}" if one.inner is not None else ""
    where = f"that of fold {one.fold}, seed {one.seed}"
    return f"{start} of the search with the best score on its inner split ({where}{score}): {values}."


def _settings(one: Recipe) -> tuple[tuple[str, str], ...]:
    return tuple(sorted((name, repr(value)) for name, value in one.settings.items()))


def _votes(recipes: Sequence[Recipe]) -> Counter[tuple[tuple[str, str], ...]]:
    return Counter(map(_settings, recipes))


def _listed(settings: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} = {value!r}" for name, value in settings.items())


# parts of the code


def _parsed(one: Recipe | str) -> str:
    if isinstance(one, str):
        return f"whichloss.parse({one!r})"
    return f"whichloss.parse({one.text!r}{', imports=True' if one.foreign else ''})"


def _other(one: Recipe | str, first: Recipe) -> str:
    """Another loss that may be the best; with its optimizer, where tuning gave it one of its own."""
    if isinstance(one, str) or (one.optimizer, one.arguments) == (first.optimizer, first.arguments):
        return _parsed(one)
    return f"{_parsed(one)}  # with {_optimizer(one, 'network.parameters()')}"


def _optimizer(one: Recipe, weights: str) -> str:
    arguments = "".join(f", {name}={value!r}" for name, value in one.arguments.items())
    return f"torch.optim.{one.optimizer or 'Adam'}({weights}{arguments})"


def _space(one: Recipe) -> str:
    return ", *S" if one.kind == "segmentation" else ""


def _output(one: Recipe) -> str:
    """The output of the network in words."""
    if not one.answers:
        return "embeddings (N, D)"
    if one.kind == "regression":
        return "output (N, 1), in the same unit"
    if one.cosines:
        return f"cosines (N, {one.outputs}{_space(one)}), of features and classes"
    return f"logits (N, {one.outputs}{_space(one)}), never probabilities"


def _target(one: Recipe) -> str:
    """The target that fits the output, in words."""
    if one.kind == "regression":
        return "target (N, 1): standard deviations from the mean of the training cases"
    if one.outputs == 1 and one.answers:
        return f"target (N, 1{_space(one)}): 1.0 for yes, 0.0 for no"
    return f"target (N{_space(one)}): class indices"


def _beside(one: Recipe) -> str:
    """What was tuned that the code has no place for."""
    elsewhere = ("training.batch", "training.length", "training.clip", "training.schedule", "network.")
    left = {name: value for name, value in one.settings.items() if name.startswith(elsewhere)}
    said = [f"Tuned, too, and to be set in your own code: {_listed(left)}."] if left else []
    if not one.optimizer:
        said.append("The study's optimizer is not one of torch.optim's; put yours in the place of Adam.")
    if not one.answers:
        said.append("The network learns embeddings: fit a classifier on them afterwards.")
    if one.cosines:
        said.append(
            "In place of the network's last linear layer stands"
            f" whichloss.networks.layers.CosineHead(features, {one.outputs})."
        )
    return " ".join(said)


def _bare(best: Sequence[str]) -> str:
    first, *others = map(_parsed, best)
    return "\n".join([
        "import whichloss", "", f"loss = {first}", *(f"# or: loss = {other}" for other in others), "",
        "value = loss(logits, target)  # logits (N, C, *S), never probabilities", "value.backward()",
    ])  # fmt: skip


# frameworks


def _pytorch(one: Recipe, others: Sequence[str]) -> Snippet:
    code = f"""\
import torch
import whichloss

loss = {_parsed(one)}
{"".join(f"# or: loss = {other}" + chr(10) for other in others)}
optimizer = {_optimizer(one, "network.parameters()")}

for images, target in loader:  # {_target(one)}
    value = loss(network(images), target)  # {_output(one)}
    optimizer.zero_grad()
    value.backward()
    optimizer.step()"""
    return Snippet("pytorch", "PyTorch", code, _beside(one))


def _lightning(one: Recipe, _: Sequence[str]) -> Snippet:
    code = f"""\
import pytorch_lightning
import torch
import whichloss


class Trained(pytorch_lightning.LightningModule):
    def __init__(self, network: torch.nn.Module):
        super().__init__()
        self.network = network
        self.loss = {_parsed(one)}

    def training_step(self, batch, batch_idx):
        images, target = batch  # {_target(one)}
        value = self.loss(self.network(images), target)  # {_output(one)}
        self.log("loss", value)
        return value

    def configure_optimizers(self):
        return {_optimizer(one, "self.parameters()")}


pytorch_lightning.Trainer(max_epochs=100).fit(Trained(network), loader)"""
    more = "With the package lightning, write import lightning.pytorch as pytorch_lightning."
    return Snippet("lightning", "Lightning", code, " ".join(filter(None, [_beside(one), more])))


def _monai(one: Recipe, _: Sequence[str]) -> Snippet:
    code = f"""\
import torch
import whichloss
from monai.engines import SupervisedTrainer

loss = {_parsed(one)}


def loss_function(output, label):
{_monai_label(one)}


trainer = SupervisedTrainer(
    device=torch.device("cuda" if torch.cuda.is_available() else "cpu"),
    max_epochs=100,
    train_data_loader=loader,  # of dictionaries with "image" and "label"
    network=network,
    optimizer={_optimizer(one, "network.parameters()")},
    loss_function=loss_function,
)
trainer.run()"""
    more = "SupervisedTrainer needs pytorch-ignite; in a loop of your own, call loss_function."
    return Snippet("monai", "MONAI", code, " ".join(filter(None, [_beside(one), more])))


def _monai_label(one: Recipe) -> str:
    """From MONAI's labels to ours: of a mask they have a channel, (N, 1, *S); of an image they are (N,)."""
    binary = one.outputs == 1 and one.answers
    if one.kind != "segmentation":
        target = "label.reshape(-1, 1).to(output.dtype)" if binary else "label.reshape(-1).long()"
        return f"    return loss(output, {target})  # label (N,); {_output(one)}"
    if binary:
        return f"    return loss(output, label.to(output.dtype))  # label (N, 1, *S) of 0 and 1; {_output(one)}"
    return f"""\
    if label.shape[1] > 1:  # one-hot
        label = label.argmax(1, keepdim=True)
    return loss(output, label.squeeze(1).long())  # label (N, 1, *S) of class indices; {_output(one)}"""


def _fits_nnunet(one: Recipe) -> bool:
    """Its networks have an output for each class, background included."""
    plain = one.by_class and not one.cosines
    return one.kind == "segmentation" and plain and (one.outputs == one.classes or one.classes == 2)


def _nnunet(one: Recipe, _: Sequence[str]) -> Snippet:
    rate = one.arguments.get("lr")
    moved = [name for name in one.settings if name == "training.lr" or name.startswith("training.optimizer")]
    ours = bool(moved and one.optimizer and rate is not None)
    imports = ["import torch"] * ours + [
        "import whichloss",
        "from nnunetv2.training.loss.deep_supervision import DeepSupervisionWrapper",
        *["from nnunetv2.training.lr_scheduler.polylr import PolyLRScheduler"] * ours,
        "from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer",
    ]
    if one.outputs == 1:  # the softmax of two logits is the sigmoid of their difference
        called = """\
            output = output.float()
            return loss(output[:, 1:] - output[:, :1], target.float(), ignore_index=ignored)"""
    else:
        called = "            return loss(output, target[:, 0].long(), ignore_index=ignored)"
    optimizer = f"""

    def configure_optimizers(self):
        optimizer = {_optimizer(one, "self.network.parameters()")}
        return optimizer, PolyLRScheduler(optimizer, {rate!r}, self.num_epochs)"""
    code = (
        "\n".join(imports)
        + f"""


class nnUNetTrainerWhichloss(nnUNetTrainer):
    def _build_loss(self):
        if self.label_manager.has_regions:
            raise NotImplementedError("the classes of the study exclude each other: train on labels, not on regions")
        loss = {_parsed(one)}
        ignored = self.label_manager.ignore_label

        def at_one_scale(output, target):  # logits (N, {max(one.outputs, 2)}, *S), class indices (N, 1, *S)
{called}

        if not self.enable_deep_supervision:
            return at_one_scale
        weights = [0.5**scale for scale in range(len(self._get_deep_supervision_scales()))]
        if len(weights) > 1:  # nnU-Net does not use the lowest scale; DDP wants all of its outputs used
            weights[-1] = 1e-6 if self.is_ddp else 0.0
        return DeepSupervisionWrapper(at_one_scale, [weight / sum(weights) for weight in weights]){optimizer * ours}"""
    )
    kept = "" if ours else " nnU-Net's own optimizer and schedule stay."
    note = (
        "Save it as nnUNetTrainerWhichloss.py in nnunetv2/training/nnUNetTrainer/variants/loss, and train with"
        f" -tr nnUNetTrainerWhichloss.{kept}"
    )
    return Snippet("nnunet", "nnU-Net", code, note)
