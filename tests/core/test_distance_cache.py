"""Distance maps are worked out once for what a target holds, whoever asks, and never for what it held before."""

import pickle
import subprocess
import sys
import threading

import pytest
import torch

from whichloss import Boundary, HausdorffDistance, parse
from whichloss.core import UserError, distance
from whichloss.kernels import euclidean


@pytest.fixture
def worked_out(monkeypatch):
    """The masks of which distances were computed, in a process that remembers nothing yet."""
    calls = []
    nearest = distance.to_nearest

    def spied(objects, spacing):
        calls.append(objects.clone())
        return nearest(objects, spacing)

    monkeypatch.setattr(distance, "to_nearest", spied)
    monkeypatch.setattr(distance, "memory", distance.Memory())
    monkeypatch.delenv("WHICHLOSS_DISTANCES", raising=False)
    return calls


def batch(seed: int = 0, side: int = 8) -> tuple[torch.Tensor, torch.Tensor]:
    random = torch.Generator().manual_seed(seed)
    return torch.randn(2, 1, side, side, generator=random), torch.rand(2, 1, side, side, generator=random).round()


def test_a_target_is_worked_out_once_whoever_asks_and_in_whatever_order(worked_out):
    logits, target = batch()
    Boundary()(logits, target)
    assert len(worked_out) == 4  # two images, inside and outside
    Boundary()(2 * logits, target.flip(0))
    HausdorffDistance(sides="target")(logits, target.clone())
    parse("DistanceWeightedCrossEntropy() + 0.1 * Boundary(classes='independent')")(logits, target)
    assert len(worked_out) == 4


def test_a_prediction_is_worked_out_in_every_step_and_not_remembered(worked_out):
    logits, target = batch()
    loss = HausdorffDistance()
    loss(logits, target)
    held = len(distance.memory)
    for step in range(1, 4):
        worked_out.clear()
        loss(logits + step / 9, target)
        assert len(worked_out) == 4 and len(distance.memory) == held == 2


@pytest.mark.parametrize("change", ["target", "weight", "spacing", "precision", "ignored"])
def test_what_changes_in_place_is_another_target(worked_out, change):
    logits, target = batch()
    weight, loss, options = torch.ones(2, 8, 8), Boundary(), {}
    loss(logits, target, weight)
    if change == "target":
        target[0, 0, :3] = 1 - target[0, 0, :3]
    elif change == "weight":
        weight[0, 5:] = 0
    elif change == "spacing":
        loss = Boundary(spacing=(1, 3))
    elif change == "precision":
        logits = logits.double()
    else:
        target[0, 0, 2] = 255
        options = {"ignore_index": 255}
    worked_out.clear()
    found = loss(logits, target, weight, **options)
    assert worked_out
    distance.memory = distance.Memory()
    assert loss(logits, target, weight, **options) == found


def test_what_is_given_back_can_be_written_to_without_harm(worked_out):
    _, target = batch()
    masks = target > 0.5, torch.ones_like(target, dtype=torch.bool)
    first = distance.signed_distances(*masks, [1.0, 1.0], torch.float32, keep=True)
    expected = first.clone()
    first.zero_()
    assert torch.equal(distance.signed_distances(*masks, [1.0, 1.0], torch.float32, keep=True), expected)


def test_the_room_is_kept_and_what_was_asked_for_longest_ago_goes_first(worked_out, monkeypatch):
    one = 8 * 8 * 4  # bytes of a map
    monkeypatch.setenv("WHICHLOSS_DISTANCES", str(5 * one / 1e9))
    targets = [batch(seed)[1] for seed in range(4)]
    logits = batch()[0]
    for target in targets[:2]:
        Boundary()(logits, target)
    Boundary()(logits, targets[0])
    Boundary()(logits, targets[2])  # two maps more than there is room for: one has to go, of the second target
    assert distance.memory.size == 5 * one and len(distance.memory) == 5
    worked_out.clear()
    Boundary()(logits, targets[0])
    assert not worked_out
    Boundary()(logits, targets[1])
    assert worked_out


def test_none_is_remembered_where_none_is_wanted(worked_out, monkeypatch):
    monkeypatch.setenv("WHICHLOSS_DISTANCES", "0")
    logits, target = batch()
    for _ in range(2):
        Boundary()(logits, target)
    assert len(worked_out) == 8 and not len(distance.memory)


@pytest.mark.parametrize("said", ["much", "-1", "nan", "inf"])
def test_a_room_that_is_no_number_is_said(worked_out, monkeypatch, said):
    monkeypatch.setenv("WHICHLOSS_DISTANCES", said)
    with pytest.raises(UserError, match=f"WHICHLOSS_DISTANCES is '{said}'; it must be a number of GB"):
        Boundary()(*batch())


def test_threads_may_ask_at_the_same_time(worked_out, monkeypatch):
    monkeypatch.setenv("WHICHLOSS_DISTANCES", str(6 * 8 * 8 * 4 / 1e9))
    batches = [batch(seed) for seed in range(6)]
    expected = [Boundary()(*one).item() for one in batches]
    wrong = []

    def ask(first: int) -> None:
        for turn in range(60):
            at = (first + turn) % len(batches)
            if Boundary()(*batches[at]).item() != expected[at]:
                wrong.append(at)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(6)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert not wrong and distance.memory.size == sum(one.nbytes for one in distance.memory._maps.values())


def test_nothing_of_it_travels_with_a_loss(worked_out):
    loss = Boundary()
    before = pickle.dumps(loss)
    loss(*batch())
    assert pickle.dumps(loss) == before and len(before) < 500


def test_maps_that_are_known_are_not_worked_out(worked_out):
    logits, target = batch()
    loss = parse("Dice() + 0.5 * Boundary()")
    (lift,) = loss.ahead
    known = {lift: torch.full_like(logits, 2.0)}
    value = loss(logits, target, known=known)
    assert not worked_out
    assert value.item() == pytest.approx((parse("Dice()")(logits, target) + logits.sigmoid().mean()).item())


@pytest.mark.parametrize("spacing", [1.0, 0.7])
@pytest.mark.parametrize("shape", [(37,), (150, 9), (9, 150), (5, 90, 70)])
@pytest.mark.parametrize("many", [0, 1, 3, 0.2])
def test_linear_time_takes_over_where_objects_lie_far_and_gives_the_same(monkeypatch, shape, many, spacing):
    objects = torch.rand(shape, generator=torch.Generator().manual_seed(1))
    objects = objects < many if many < 1 else objects <= objects.flatten().kthvalue(many).values
    steps, calls = [spacing * (1 + axis) for axis in range(len(shape))], []

    def linear(objects, spacing):
        calls.append(1)
        return euclidean.to_nearest(objects, spacing)

    monkeypatch.setattr(distance, "_linear", None)
    monkeypatch.setattr(distance, "_asked", True)
    plain = distance.to_nearest(objects, steps)
    monkeypatch.setattr(distance, "_linear", linear)
    for most in (distance.FAR, (1, 1)):
        monkeypatch.setattr(distance, "FAR", most)
        found = distance.to_nearest(objects, steps)
        assert found.dtype == plain.dtype and torch.allclose(found, plain, rtol=1e-12)
        assert bool(plain.isinf().all()) == (not objects.any())
    if many != 0.2:  # where one of five is an object, all lie near
        assert bool(calls) == (len(shape) > 1 and many > 0)


@pytest.mark.parametrize("first", ["import whichloss; whichloss.Boundary", "from whichloss.core import Loss"])
def test_kernels_are_asked_for_a_transform_in_linear_time(first):
    told = "import torch; from whichloss.core import distance; print(distance._linear_on(torch.zeros(2)).__module__)"
    said = subprocess.run([sys.executable, "-c", f"{first}; {told}"], check=True, capture_output=True, text=True)
    assert said.stdout == "whichloss.kernels.euclidean\n"
