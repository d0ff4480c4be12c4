"""Losses with a margin between directions, and the last layer of a network that gives them cosines."""

import csv
from itertools import pairwise
from math import acos, cos, log, pi, sin
from pathlib import Path

import pytest
import torch
from torch import nn

from oracles_directions import arc, cosine_loss
from oracles_losses import agree, asking, batch, same
from small_studies import cli, execute_here, write_code, write_study, write_tiny
from whichloss import ArcFace, CosFace, CrossEntropy, parse
from whichloss.core import Task, UserError
from whichloss.networks import Network
from whichloss.networks.layers import CosineHead

ASKED = {
    "CosFace(scale=4)": lambda c: c - 0.35,
    "CosFace(scale=7, margin=0)": lambda c: c,
    "ArcFace(scale=4)": arc(),
    "ArcFace(scale=4, margin=1.2)": arc(1.2),
    "ArcFace(scale=4, easy_margin=True)": arc(easy=True),
}


def cosines(shape: tuple[int, ...], form: str, weight: str = "none"):
    logits, target, w = batch(shape, form, weight)
    return 0.9 * logits.sin(), target, w  # away from the ends, where slopes change faster than differences can tell


# values


@pytest.mark.parametrize("weight", ["none", "element", "element and channel"])
@pytest.mark.parametrize("form", ["index", "proportions"])
@pytest.mark.parametrize("shape", [(5, 3), (2, 3, 2, 3), (1, 4, 2, 2, 2)], ids=["plain", "2-D", "3-D"])
@pytest.mark.parametrize("text", ASKED)
def test_every_element_is_cross_entropy_with_another_cosine_for_the_truth(text, shape, form, weight):
    scale = parse(text).scale
    agree(parse(asking(text, "proportions")), cosine_loss(ASKED[text], scale), *cosines(shape, form, weight))


@pytest.mark.parametrize("scale", [1.0, 64.0])
@pytest.mark.parametrize("form", ["index", "proportions"])
def test_without_a_margin_both_are_the_softmax_of_scaled_cosines(scale, form):
    u, target, weight = cosines((6, 3), form, "element")
    plain = CrossEntropy(classes="exclusive")
    for loss in (CosFace(scale=scale, margin=0), ArcFace(scale=scale, margin=0)):
        same(lambda x, loss=loss: loss(x, target, weight), lambda x: plain(scale * x, target, weight), u)


def test_two_classes_by_hand():
    """The truth leads by 0.75 in cosines; or stands at 60 degrees, with the rival at a right angle."""
    leads, truth = torch.tensor([[0.25, 1.0]], dtype=torch.float64), torch.tensor([1])
    assert CosFace(scale=1, margin=0.75)(leads, truth).item() == pytest.approx(log(2))
    assert CosFace(scale=log(3), margin=1.75)(leads, truth).item() == pytest.approx(log(4))
    angles = torch.tensor([[0.0, 0.5]], dtype=torch.float64)
    assert ArcFace(scale=1, margin=pi / 6)(angles, truth).item() == pytest.approx(log(2))
    assert ArcFace(scale=log(3) / 0.5, margin=pi / 3)(angles, truth).item() == pytest.approx(log(1 + 3))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("text", [*ASKED, "CosFace()", "ArcFace()"])
def test_at_both_ends_value_and_slope_are_finite(text, dtype):
    loss, ends = parse(text), torch.tensor([-1.0, 1.0], dtype=dtype)
    beyond = torch.nextafter(ends, 2 * ends)  # where rounding takes a cosine
    u = torch.cartesian_prod(torch.cat([ends, beyond]), torch.cat([ends, beyond])).requires_grad_()
    value = loss(u, torch.zeros(len(u)).long())
    (slope,) = torch.autograd.grad(value, u)
    assert value.isfinite()
    assert slope.isfinite().all()
    here, there = (loss(one.repeat(2, 2), torch.tensor([0, 1])).item() for one in (ends, beyond))
    assert there == pytest.approx(here, rel=1e-5)


def test_the_slope_in_the_angle_is_that_of_the_widened_angle_up_to_the_last_digits():
    """In the cosine it has no bound, so that it is cut; a network turns features, by angles, and sees no cut."""
    for angle in (1e-6, 1e-3, 0.1, 1.0, 2.0):
        theta = torch.tensor(angle, dtype=torch.float64, requires_grad=True)
        (slope,) = torch.autograd.grad(ArcFace().asked(theta.cos()), theta)
        assert slope.item() == pytest.approx(-sin(angle + 0.5), rel=1e-4)


def test_arc_face_jumps_where_its_card_says_so():
    def jump(loss: ArcFace, angle: float) -> float:
        before, after = (torch.tensor(angle + step, dtype=torch.float64).cos() for step in (-1e-9, 1e-9))
        return (loss.asked(before) - loss.asked(after)).item()

    assert jump(ArcFace(), pi - 0.5) == pytest.approx(cos(0.5) + 0.5 * sin(0.5) - 1, abs=1e-6)
    assert jump(ArcFace(), pi - 0.5) == pytest.approx(0.117, abs=1e-3)
    assert jump(ArcFace(easy_margin=True), pi / 2) == pytest.approx(-sin(0.5), abs=1e-6)
    assert jump(ArcFace(easy_margin=True), pi - 0.5) == pytest.approx(0, abs=1e-6)


def test_a_larger_margin_never_costs_less():
    u, target, _ = cosines((40, 3), "index")
    for name, margins in (("CosFace", (0, 0.1, 0.35, 1)), ("ArcFace", (0, 0.1, 0.5, 1))):
        each = [parse(f"{name}(margin={m}, scale=8)").terms(u, target).value for m in margins]
        assert all((one <= other).all() for one, other in pairwise(each))


# meaning


def test_the_largest_cosine_decides_and_none_is_a_probability():
    u = torch.tensor([[0.2, 0.1, -0.9], [-0.5, -0.6, -0.4]])
    assert CosFace().decide(u).tolist() == [0, 2]  # a lead of less than the margin is a lead
    assert CosFace().probability(u) is None
    yes_or_no = Task(kind="classification", classes=("no", "yes"), size=(8, 8))
    assert CosFace().outputs(yes_or_no) == 2


def test_only_losses_of_cosines_go_with_losses_of_cosines():
    four = Task(kind="classification", classes=tuple("abcd"), size=(8, 8))
    mixed = parse("CosFace() + 0.1 * CrossEntropy()")
    assert mixed.outputs(four) == 4
    with pytest.raises(UserError, match=r"needs cosines.* and another does not"):
        mixed.cosines  # noqa: B018
    assert parse("CosFace() + ArcFace()").cosines
    assert parse("AdaptiveLog(CosFace())").cosines
    assert not parse("AdaptiveLog(CrossEntropy())").cosines


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("ArcFace(margin=28.6)", "an angle in radians"),
        ("CosFace(margin=-0.1)", "margin is -0.1"),
        ("CosFace(scale=0)", "scale is 0"),
        ("CosFace(classes='independent')", "'exclusive'"),
    ],
)
def test_what_cannot_be_said(text, says):
    with pytest.raises(UserError, match=says):
        parse(text)
    answer = cli("losses", text)
    assert (answer.code, answer.out) == (2, "")
    assert says in answer.err and "Traceback" not in answer.err


def test_one_output_has_no_rival():
    with pytest.raises(UserError, match="one class excludes nothing"):
        CosFace()(torch.zeros(3, 1), torch.zeros(3, 1))


# the last layer


@pytest.mark.parametrize("space", [(), (3,), (2, 3), (2, 1, 2)])
def test_a_head_gives_the_cosine_of_every_feature_with_every_class(space):
    head, features = CosineHead(4, 3), torch.randn(2, 4, *space)
    found = head(features).reshape(2, 3, -1)
    for image in range(2):
        for k in range(3):
            for v, x in enumerate(features[image].reshape(4, -1).T.tolist()):
                w = head.weight[k].tolist()
                dot = sum(p * q for p, q in zip(x, w, strict=True))
                lengths = sum(p * p for p in x) ** 0.5 * sum(q * q for q in w) ** 0.5
                assert found[image, k, v].item() == pytest.approx(dot / lengths, abs=1e-6)


def test_lengths_do_not_count_and_a_feature_of_nothing_has_no_direction():
    head, features = CosineHead(4, 3), torch.randn(5, 4)
    expected = head(features)
    head.weight.data *= 100
    torch.testing.assert_close(head(1e-3 * features), expected)
    nothing = torch.zeros(1, 4, requires_grad=True)
    cosine = head(nothing)
    assert (cosine == 0).all()
    CosFace()(cosine, torch.tensor([1])).backward()
    assert nothing.grad is not None and nothing.grad.isfinite().all()


def test_autocast_does_not_round_cosines():
    """A cosine of 8 bits is off by 0.004, which a scale of 64 makes a quarter of a logit."""
    head, features = CosineHead(32, 3), torch.randn(6, 32)
    expected = head(features)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = head(features)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, expected)


CLASSIFY = Task(kind="classification", classes=("a", "b", "c"), channels=3, size=(16, 16))
OUTLINE = Task(kind="segmentation", classes=("a", "b", "c"), channels=1, size=(8, 8))


@pytest.mark.parametrize(
    ("text", "task"),
    [
        ("SmallConvNet(width=2, depth=2, features=5)", CLASSIFY),
        ("ViewNet(width=2, deeper=2, units=5)", CLASSIFY),
        ("LymphNet(units=4, crop=12, views='ten')", CLASSIFY),
        ("UNet(width=2, depth=2)", OUTLINE),
    ],
)
def test_every_network_gives_cosines_to_a_loss_of_cosines_and_keeps_the_rest(text, task):
    network, built = parse(text, Network), {}
    for loss in (CosFace(), CrossEntropy()):
        torch.manual_seed(5)
        built[loss] = network.under(loss, task)
    module, plain = built[CosFace()], dict(built[CrossEntropy()].named_parameters())
    images = 50 * torch.randn(4, task.channels, *task.size)
    for training in (True, False):
        answers = module.train(training)(images)
        assert answers.abs().max() <= 1 + 1e-6
        assert answers.shape == built[CrossEntropy()].train(training)(images).shape
    ours = dict(module.named_parameters())
    assert set(plain) - set(ours) == {"head.bias"}
    assert all(torch.equal(ours[name], plain[name]) for name in ours if not name.startswith("head."))


def test_every_resolution_gives_cosines():
    network = parse("UNet(width=2, depth=3, deep_supervision=1)", Network)
    module = network.under(parse("DeepSupervision(CosFace())"), OUTLINE)
    answers = module(50 * torch.randn(2, 1, 8, 8))
    assert [one.shape[1:] for one in answers] == [(3, 8, 8), (3, 4, 4)]
    assert all(one.abs().max() <= 1 + 1e-6 for one in answers)


SOMEONES = """
from torch import nn
from whichloss.networks.layers import CosineHead

class Last(nn.Module):
    def __init__(self, head, name):
        super().__init__()
        setattr(self, name, head)
        self.name = name

    def forward(self, images):
        return getattr(self, self.name)(images.flatten(1))

def linear(outputs):
    return Last(nn.Linear(64, outputs), "head")

def ready(outputs):
    return Last(CosineHead(64, outputs), "head")

def unnamed(outputs):
    return Last(nn.Linear(64, outputs), "fc")

def deep(outputs):
    return Last(nn.Sequential(nn.Linear(64, outputs)), "head")
"""


def test_somebody_elses_network_needs_a_head_that_can_be_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(tmp_path)
    code = write_code(tmp_path, SOMEONES)
    task = Task(kind="classification", classes=("a", "b", "c"), size=(8, 8))

    def built(name: str) -> nn.Module:
        return parse(f"{code}:{name}()", Network, imports=True).under(CosFace(), task)

    for name in ("linear", "ready"):
        assert isinstance(built(name).head, CosineHead)
        assert built(name)(torch.randn(2, 8, 8)).shape == (2, 3)
    for name in ("unnamed", "deep"):
        with pytest.raises(UserError, match=r"CosFace needs cosines.*\n.*remedy: call the last linear layer"):
            built(name)


# studies


@pytest.mark.parametrize("classes", [2, 3])
def test_a_study_compares_cosines_with_logits_and_learns_both(
    tmp_path: Path, classes: int, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("whichloss.study.conduct.execute", execute_here)
    labels = torch.arange(48) // 2 % classes
    images = labels[:, None, None] + 0.3 * torch.randn(48, 8, 8, generator=torch.Generator().manual_seed(0))
    write_tiny(tmp_path, cases=48, classes=classes, images=images.numpy())
    file = write_study(
        tmp_path, losses=["CrossEntropy()", "CosFace(scale=8)", "ArcFace(scale=8)"], baseline="CrossEntropy()",
        primary="Accuracy()", network="SmallConvNet(width=16, depth=1, features=32, normalize=False)",
        training={"optimizer": "Adam(lr=0.02)", "stages": [{"epochs": 30, "batch": 8}], "device": "cpu"},
    )  # fmt: skip
    answer = cli("run", file, "--store", tmp_path / "store", here=tmp_path)
    assert answer.code == 0, answer.err
    with (tmp_path / "store" / "studies" / "tiny" / "results.csv").open() as table:
        rows = [row for row in csv.DictReader(table) if row["split"] == "test"]
    assert len({row["loss"] for row in rows}) == 3
    assert all(float(row["value"]) > 0.8 for row in rows), rows


def test_a_study_with_a_network_that_has_no_head_says_what_to_do(tmp_path: Path):
    write_tiny(tmp_path)
    code = write_code(tmp_path, SOMEONES)
    file = write_study(tmp_path, losses=["CosFace()"], baseline="CosFace()", network=f"{code}:unnamed()")
    answer = cli("run", file, "--store", tmp_path / "store", here=tmp_path)
    assert answer.code == 2
    assert "CosFace needs cosines" in answer.err and "CosineHead" in answer.err and "Traceback" not in answer.err


def test_angles_are_what_the_formula_says():
    """Against acos itself, from end to end."""
    for step in range(1, 180):
        theta = step * pi / 180
        found = ArcFace().asked(torch.tensor(cos(theta), dtype=torch.float64)).item()
        beyond = acos(cos(theta)) > pi - 0.5
        assert found == pytest.approx(cos(theta) - 0.5 * sin(0.5) if beyond else cos(theta + 0.5), abs=1e-12)
