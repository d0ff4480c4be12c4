"""What could not teach a network anything is stopped before the first run, and named."""

from pathlib import Path
from typing import Any

import pytest
import torch

from small_studies import TINY, cli, execute_here, tiny_study, write_code, write_study, write_tiny
from whichloss.core import UserError, parse
from whichloss.study.conduct import Prepared, prepare
from whichloss.study.probe import probe

LOSSES = """
import torch

def constant(logits, target):
    return torch.tensor(1.0)

def flat(logits, target):
    return (0 * logits).sum() + 1

def detached(logits, target):
    return (logits.detach() - target).square().mean()

def not_a_number(logits, target):
    return (logits - target).mean() * float("nan")

def infinite(logits, target):
    return (logits - target).square().mean() / 0

def not_a_number_backwards(logits, target):
    return (logits - logits.detach()).abs().sqrt().sum()

def several(logits, target):
    return (logits - target).square()

def fails(logits, target):
    raise KeyError("ouch")

def sound(logits, target):
    return (logits - target).square().mean()
"""


OURS = ["Logistic()", "Hinge()", "SmoothHinge()", "SquaredHinge()", "Lorenz()", "Tangent()", "CrossEntropy()",
        "Focal()", "Dice()", "Jaccard()", "Tversky()", "AdaptiveLog(Dice())", "FocalPower(Tversky())",
        "CrossEntropy() + 0.5 * Dice(over='batch')"]  # fmt: skip


@pytest.fixture
def code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.syspath_prepend(tmp_path)
    write_tiny(tmp_path)
    return write_code(tmp_path, LOSSES)


def prepared(folder: Path, *losses: str, **changes: Any) -> Prepared:
    return prepare(tiny_study(losses=losses, baseline=losses[0], **changes), folder / "store", [folder])


def probed(folder: Path, *losses: str, **changes: Any) -> None:
    ready = prepared(folder, *losses, **changes)
    for run in ready.runs:
        probe(run, ready.data[run.data])


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("constant", "no gradient"),
        ("flat", "no gradient"),
        ("detached", "no gradient"),
        ("not_a_number", "is nan"),
        ("infinite", "is inf"),
        ("not_a_number_backwards", "gradient"),
        ("several", "one number"),
        ("fails", "KeyError: 'ouch'"),
    ],
)
def test_a_loss_that_cannot_teach_is_named(tmp_path: Path, code: str, name: str, why: str) -> None:
    with pytest.raises(UserError, match=why) as caught:
        probed(tmp_path, "Logistic()", f"{code}:{name}")
    assert name in str(caught.value)


@pytest.mark.parametrize("name", ["detached", "constant", "flat", "not_a_number"])
@pytest.mark.parametrize("mixture", ["Logistic() + {}", "0.5 * {} + Logistic()", "Lorenz() + 2 * (Logistic() + {})"])
def test_one_bad_term_of_a_sum_is_named(tmp_path: Path, code: str, name: str, mixture: str) -> None:
    """The sum itself has a value and a gradient: nothing else would show that one of its terms does nothing."""
    whole = mixture.format(f"{code}:{name}()")
    with pytest.raises(UserError, match=rf"{name}\(\)") as caught:
        probed(tmp_path, "Logistic()", whole)
    if name != "not_a_number":
        assert f"{name}() in {parse(whole, imports=True).label} has no gradient" in str(caught.value)


def test_nothing_is_run_when_one_of_many_losses_is_bad(
    tmp_path: Path, code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("whichloss.study.conduct.execute", execute_here)
    path = write_study(tmp_path, losses=["Logistic()", f"{code}:sound", f"Lorenz() + {code}:detached"])
    for arguments in (["run", path], ["run", path, "--plan"]):
        answer = cli(*arguments, here=tmp_path)
        assert (answer.code, answer.out) == (2, "")
        assert answer.err.startswith("whichloss: detached() in Lorenz + detached() has no gradient on ")
        assert len(answer.err.splitlines()) == 1
    assert not list(tmp_path.rglob("record.json"))


def test_sound_losses_pass(tmp_path: Path, code: str) -> None:
    probed(tmp_path, *OURS, f"{code}:sound()", f"{code}:sound() + 0.1 * Logistic()")


def test_sound_losses_pass_on_masks_and_on_several_classes(tmp_path: Path) -> None:
    write_tiny(tmp_path, classes=4)
    probed(tmp_path, *OURS, "Logistic(lift='one_versus_one')", primary="Accuracy()")
    masks = {"data": 'Arrays("tiny.npz", target="masks")', "network": "UNet(width=2, depth=2)", "primary": "Dice()"}
    probed(tmp_path, *OURS, **masks)


def test_looking_first_changes_nothing(tmp_path: Path) -> None:
    """The weights that a run starts from are drawn from its own stream, whatever was drawn before."""
    write_tiny(tmp_path)
    ready = prepared(tmp_path, *TINY["losses"])
    run = ready.runs[0]
    torch.manual_seed(run.stream("weights"))
    before = run.network.build(ready.data[run.data].task, 1).state_dict()
    probe(run, ready.data[run.data])
    torch.manual_seed(run.stream("weights"))
    after = run.network.build(ready.data[run.data].task, 1).state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
