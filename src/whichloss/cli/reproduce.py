"""A broken promise as a few lines of Python that anyone can run."""

from functools import partial

from torch import Tensor

from whichloss.contract import PROMISES, Finding, Trial, target_first
from whichloss.core import Foreign, Loss


def snippet(loss: Loss, finding: Finding) -> str:
    """Makes the loss, spells the input, and prints value and gradient; or calls the promise by its name."""
    at = finding.at
    assert at is not None
    if any(one.__name__ == finding.promise for one in PROMISES):
        last = [f"promise = next(one for one in contract.PROMISES if one.__name__ == {finding.promise!r})"]
        last += ["promise(loss)  # raises what it found"]
        made, lines = ["from whichloss import contract, parse", "", f"loss = parse({repr(loss)!r}, imports=True)"], []
    elif at.made:
        made, lines, last = _made(at), at.made.splitlines(), []
    else:
        made, lines = _made(at), [f"output = {spelled(at.output)}", f"target = {spelled(at.target)}"]
        pair = "target, output" if target_first(at.loss) else "output, target"
        last = ["output.requires_grad_()", f"value = loss({pair})", "value.backward()", "print(value, output.grad)"]
    return "\n".join([f"# {finding.sentence}: {_one_line(finding.why)}", "import torch", *made, "", *lines, *last])


def spelled(tensor: Tensor) -> str:
    """A tensor as code, to the last bit."""
    values = repr(tensor.tolist())
    for word in ("nan", "-inf", "inf"):
        values = values.replace(f"{word},", f'float("{word}"),').replace(f"{word}]", f'float("{word}")]')
    return f"torch.tensor({values}, dtype={tensor.dtype})"


def _made(at: Trial) -> list[str]:
    """How the loss is made without us, where it is somebody else's."""
    loss = at.loss
    if not isinstance(loss, Foreign):
        return ["from whichloss import parse", "", f"loss = parse({repr(loss)!r}, imports=True)"]
    module, _, name = loss.path.partition(":")
    first = name.partition(".")[0]
    arguments = loss.spell(hide_defaults=True).removeprefix(name)
    if not isinstance(loss.made(), partial):
        return [f"from {module} import {first}", "", f"loss = {name}{arguments}"]
    bound = f"partial({name}, {arguments[1:-1]})" if loss.arguments else name
    imports = ["from functools import partial"] if loss.arguments else []
    return [*imports, f"from {module} import {first}", "", f"loss = {bound}"]


def _one_line(text: str) -> str:
    return " ".join(text.split())
