"""A network is a value; somebody else's is named by its path."""

import pickle
from pathlib import Path

import pytest
import torch
from torch import nn

from whichloss.core import ExpressionError, FieldError, Task, UserError, parse
from whichloss.networks import Factory, Network
from whichloss.networks.lymph_net import LymphNet
from whichloss.networks.small_conv_net import SmallConvNet
from whichloss.networks.unet import UNet
from whichloss.networks.view_net import ViewNet

TASK = Task(kind="classification", classes=("no", "yes"), channels=3, size=(8, 8))

SOMEONES = """
from torch import nn

class Linear(nn.Module):
    def __init__(self, in_channels, outputs, hidden=4):
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.LazyLinear(hidden), nn.Linear(hidden, outputs))
        self.in_channels, self.hidden = in_channels, hidden

    def forward(self, images):
        return self.layers(images)

def by_task(task, depth=1):
    return nn.Sequential(*[nn.Conv2d(task.channels, task.channels, 1)] * depth)

def alone():
    return nn.Linear(2, 1)

def options(**anything):
    return nn.Linear(2, 1 + len(anything))

def keras_like(num_classes):
    return nn.Linear(2, num_classes)

def broken(outputs):
    raise RuntimeError("no weights here")

def nothing():
    return "a network"

made = nn.Linear(2, 1)
number = 3
"""


@pytest.fixture
def someones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "someones_networks.py").write_text(SOMEONES)
    monkeypatch.syspath_prepend(tmp_path)


def written(text: str) -> Network:
    """As a person writes it in a study."""
    return parse(f"someones_networks:{text}", Network, imports=True)


@pytest.mark.parametrize(
    "network",
    [
        UNet(),
        UNet(width=8, depth=3, down="pool"),
        SmallConvNet(normalize=False),
        ViewNet(units=12),
        LymphNet(units=1024, crop=24, views="ten", drop_connect=0.3),
    ],
)
def test_text_and_pickle_lead_back(network: Network) -> None:
    assert parse(repr(network), Network) == network == pickle.loads(pickle.dumps(network))


def test_fields_are_checked() -> None:
    assert UNet(width=8).label == "UNet(width=8)"
    for wrong in ({"depth": 1}, {"down": "maxpool"}, {"dropout": 1.0}, {"width": 0}):
        with pytest.raises(FieldError, match=next(iter(wrong))):
            UNet(**wrong)


# somebody else's


@pytest.mark.usefixtures("someones")
def test_a_class_is_given_what_its_signature_names() -> None:
    network = written("Linear(hidden=5)")
    assert isinstance(network, Factory)
    module = network.build(TASK, 4)
    assert (module.in_channels, module.hidden) == (3, 5)
    assert module(torch.zeros(2, 3, 8, 8)).shape == (2, 4)
    assert network.label == "Linear(hidden=5)"
    assert network == pickle.loads(pickle.dumps(network)) == parse(repr(network), Network, imports=True)


@pytest.mark.usefixtures("someones")
def test_what_the_text_says_is_not_overruled() -> None:
    assert written("Linear(in_channels=1)").build(TASK, 1).in_channels == 1
    assert written("Linear(7, hidden=2)").build(TASK, 1).in_channels == 7
    assert written("options(outputs=5)").build(TASK, 1).out_features == 2


@pytest.mark.usefixtures("someones")
def test_functions_of_the_task_or_of_nothing_will_do() -> None:
    assert len(written("by_task(depth=2)").build(TASK, 1)) == 2
    assert isinstance(written("alone()").build(TASK, 1), nn.Linear)
    assert written("alone").build(TASK, 1).in_features == 2
    assert written("keras_like(num_classes=2)").build(TASK, 1).out_features == 2


@pytest.mark.usefixtures("someones")
@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("nothing()", "nothing.* must give an nn.Module, not str"),
        ("broken()", "broken.* failed: RuntimeError: no weights here"),
        ("keras_like()", "missing a required argument: 'num_classes'.*\n.*in_channels, outputs and task"),
        ("alone(depth=3)", "unexpected keyword argument 'depth'"),
    ],
)
def test_what_cannot_be_built_says_why(text: str, says: str) -> None:
    with pytest.raises(UserError, match=says):
        written(text).build(TASK, 1)


@pytest.mark.usefixtures("someones")
def test_a_module_made_already_would_carry_its_weights_from_run_to_run() -> None:
    with pytest.raises(UserError, match="made already; name a function"):
        Factory(path="someones_networks:made", source="a digest").build(TASK, 1)


@pytest.mark.usefixtures("someones")
def test_what_is_not_there_is_refused_when_it_is_read() -> None:
    for text in ("absent()", "number"):
        with pytest.raises(ExpressionError):
            written(text)


def test_a_text_from_a_store_imports_nothing() -> None:
    network = parse("nowhere.at_all:make(depth=3)", Network)
    assert network == parse(repr(network), Network)
    with pytest.raises(UserError, match="known only by its text"):
        network.build(TASK, 1)
