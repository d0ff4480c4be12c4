"""A few lines that run, and what they print."""

import io
from contextlib import redirect_stdout

import torch

import whichloss
from whichloss.cli.losses import family_of
from whichloss.core import Loss, UserError

QUESTIONS = {
    "yes or no": (
        "logits = torch.tensor([[2.0], [0.3], [-1.5]])  # (N, C): three cases, one yes/no question",
        "target = torch.tensor([[1.0], [0.0], [1.0]])",
    ),
    "classes": (
        "logits = torch.tensor([[2.0, 0.5, -1.0], [0.2, 0.1, 1.4]])  # (N, C): two cases, three classes",
        "target = torch.tensor([0, 1])  # the class of each",
    ),
    "mask": (
        "logits = torch.tensor([[[[-4.0, -1.0, 2.0], [-3.0, 0.5, 3.0], [-5.0, -2.0, -1.0]]]])  # (N, C, H, W)",
        "target = torch.tensor([[[[0.0, 1.0, 1.0], [0.0, 0.0, 1.0], [0.0, 0.0, 0.0]]]])",
    ),
    "class map": (
        "logits = torch.tensor([[[[2.0, -1.0]], [[0.5, 1.0]], [[-1.0, 0.0]]]])  # (N, C, H, W): three classes",
        "target = torch.tensor([[[0, 2]]])  # the class of each pixel",
    ),
    "embeddings": (
        "logits = torch.tensor([[1.0, 0.2], [0.3, 0.9], [0.8, 0.7], [-0.5, 1.0]])  # (N, D): four embeddings",
        "target = torch.tensor([0, 0, 1, 1])  # the class of each",
    ),
    "cosines": (
        "logits = torch.tensor([[0.8, 0.1, -0.4], [0.2, 0.1, 0.9]])  # (N, C): two cases, cosines with three classes",
        "target = torch.tensor([0, 1])  # the class of each",
    ),
    "quantity": (
        "logits = torch.tensor([[4.1], [7.5], [2.0]])  # (N, C): three quantities",
        "target = torch.tensor([[4.0], [6.0], [2.5]])",
    ),
}
FIRST = {
    "margin": "yes or no", "likelihood": "classes", "region": "mask", "boundary": "mask", "embedding": "embeddings",
    "regression": "quantity", "wrap": "mask", "compat": "mask",
}  # fmt: skip


def expression(loss: Loss) -> str:
    """As a person writes it: a class without brackets is given some."""
    return f"{loss.label}()" if loss.label.isidentifier() else loss.label


def example(loss: Loss) -> str:
    """The lines of the first question that the loss has an answer to: a value above 0, if there is one.

    Raises ValueError where none of the batches suits.
    """
    first = "cosines" if loss.cosines else FIRST.get(family_of(loss), "mask")
    if type(loss).__name__.endswith("Softmax"):
        first = "class map"
    order = [first, *(name for name in QUESTIONS if name != first)]
    found = [code for name in order if (code := _code(loss, *QUESTIONS[name])) and printed(code) not in ("", "nan")]
    if not found:
        raise ValueError(f"no example suits {loss.label}: add a batch that it accepts to docs/pages/example.py")
    return next((code for code in found if float(printed(code)) != 0), found[0])


def printed(code: str) -> str:
    """What the lines print; nothing, where the loss refuses the batch."""
    said = io.StringIO()
    try:
        with redirect_stdout(said):
            exec(compile(code, "example", "exec"), {})
    except UserError:
        return ""
    return said.getvalue().strip()


def _code(loss: Loss, logits: str, target: str) -> str:
    return "\n".join([
        "import torch",
        "import whichloss",
        "",
        f'loss = whichloss.parse("{expression(loss)}")',
        logits,
        target,
        'print(f"{loss(logits, target):.4f}")',
    ])  # fmt: skip


assert torch and whichloss  # what the lines import is there
