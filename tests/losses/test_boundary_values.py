"""Losses of where elements lie, against loops over elements, scipy, MONAI, and what kornia was seen to give."""

from math import prod

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import distance_transform_edt
from torch.nn.functional import avg_pool2d, avg_pool3d, one_hot, pad

from oracles_boundary import boundary, cl_dice, distance_weighted, erosion, hausdorff, signed
from oracles_losses import agree, asking, same
from whichloss import Boundary, HausdorffDistance, parse
from whichloss.cli.losses import entry
from whichloss.core import Task, UserError, distance
from whichloss.core.distance import signed_distances

SPACES = {"2-D": (4, 5), "3-D": (2, 3, 3)}
EVERY = ["Boundary()", "HausdorffDistance()", "HausdorffErosion()", "ClDice()", "DistanceWeightedCrossEntropy()"]

# ours, its oracle, and what both are told
TABLE = [
    ("Boundary()", boundary, {}),
    ("Boundary(background=False)", boundary, {"background": False}),
    ("HausdorffDistance()", hausdorff, {}),
    ("HausdorffDistance(sides='target', alpha=1.5)", hausdorff, {"sides": "target", "alpha": 1.5}),
    ("HausdorffDistance(log=True, background=False)", hausdorff, {"logarithm": True, "background": False}),
    ("HausdorffErosion(erosions=4)", erosion, {"times": 4}),
    ("HausdorffErosion(alpha=0.0, erosions=2)", erosion, {"alpha": 0.0, "times": 2}),
    ("HausdorffErosion(threshold=0.1, background=False)", erosion, {"threshold": 0.1, "background": False}),
    ("ClDice(iterations=2)", cl_dice, {"iterations": 2}),
    ("ClDice(iterations=0, smooth=0.01)", cl_dice, {"iterations": 0, "smooth": 0.01}),
    ("ClDice(iterations=1, background=False)", cl_dice, {"iterations": 1, "background": False}),
    ("DistanceWeightedCrossEntropy()", distance_weighted, {}),
]  # fmt: skip


def blobs(shape: tuple[int, ...], seed: int) -> torch.Tensor:
    """Noise (N, C, *S) of which neighbours are alike."""
    noise = torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    pool = avg_pool2d if len(shape) == 4 else avg_pool3d
    return pool(pad(noise, [1, 1] * (len(shape) - 2)), 3, 1) + 0.1 * noise  # without the last no two would differ


def batch(space: tuple[int, ...], form: str, seed: int = 0, size: float = 6.0):
    """Logits, target and weight of two images, of which one lacks a class; some elements and channels are not there."""
    shape = (2, 3, *space)
    logits, truth = size * blobs(shape, seed), blobs(shape, seed + 1)
    random = torch.Generator().manual_seed(seed)
    weight = torch.rand(shape, generator=random, dtype=torch.float64) + 0.1
    weight[torch.rand(shape, generator=random) < 0.15] = 0
    if form == "index":
        target = truth.argmax(1)
        target[0][target[0] == 2] = 0
        return logits, target, weight[:, 0]
    return logits, (truth > 0).double(), weight


@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("form", ["index", "yes/no"])
@pytest.mark.parametrize(("text", "oracle", "options"), TABLE, ids=[text for text, *_ in TABLE])
def test_values_and_gradients_are_those_of_loops(text, oracle, options, form, space):
    logits, target, weight = batch(SPACES[space], form)
    slow = oracle(exclusive=form == "index", space=SPACES[space], **options)
    agree(parse(asking(text, form)), slow, logits, target, weight)


@settings(max_examples=25, deadline=None)
@given(
    space=st.lists(st.integers(1, 4), min_size=2, max_size=3).map(tuple),
    form=st.sampled_from(["index", "yes/no"]),
    one=st.sampled_from(TABLE),
    size=st.floats(0.1, 20),
    seed=st.integers(0, 10**6),
)
def test_values_are_those_of_loops_on_images_of_any_size(space, form, one, size, seed):
    text, oracle, options = one
    logits, target, weight = batch(space, form, seed, size)
    slow = oracle(exclusive=form == "index", space=space, **options)
    wide = (weight.unsqueeze(1) if form == "index" else weight).expand_as(logits)
    lists = [logits.flatten(2).tolist(), target.flatten(1 if form == "index" else 2).tolist(), wide.flatten(2).tolist()]
    expected = slow(*lists) if float(wide[:, -2:].sum()) else 0.0
    assert parse(asking(text, form))(logits, target, weight).item() == pytest.approx(expected, rel=1e-9, abs=1e-10)


@pytest.mark.parametrize("text", ["Boundary", "HausdorffDistance", "DistanceWeightedCrossEntropy"])
def test_distances_may_be_in_millimetres(text):
    oracle = {"Boundary": boundary, "HausdorffDistance": hausdorff}.get(text, distance_weighted)
    logits, target, weight = batch((2, 4, 3), "index")
    spacing = (2.5, 0.7, 0.9)
    agree(parse(f"{text}(spacing={spacing})"), oracle(space=(2, 4, 3), spacing=spacing), logits, target, weight)
    voxels, doubled = (parse(f"{text}({field})")(logits, target) for field in ("", "spacing=(2, 2, 2)"))
    factor = {"Boundary": 2, "HausdorffDistance": 4}.get(text, 1)
    assert doubled.item() == pytest.approx(factor * voxels.item())


def test_erosion_errors_in_these_tests_do_not_vanish():
    logits, target, weight = batch((6, 5), "index")
    assert parse("HausdorffErosion()")(logits, target, weight) > 0.01


# distances


@settings(max_examples=60, deadline=None)
@given(
    space=st.lists(st.integers(1, 7), min_size=1, max_size=3).map(tuple),
    share=st.floats(0, 1),
    spacing=st.lists(st.floats(0.1, 4), min_size=3, max_size=3),
    seed=st.integers(0, 10**6),
)
def test_distances_are_exact(space, share, spacing, seed):
    random = np.random.default_rng(seed)
    yes, there, spacing = random.random(space) < share, random.random(space) < 0.8, spacing[: len(space)]
    masks = [torch.from_numpy(one)[None, None] for one in (yes, there)]
    for steps in (spacing, [1.0] * len(space), [3.0, 2.0, 1.0][: len(space)]):
        expected = signed(yes.ravel().tolist(), there.ravel().tolist(), [*np.ndindex(*space)], steps)
        found = signed_distances(*masks, steps, torch.float64, keep=False)
        assert found.flatten().tolist() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (2.0, 1.0, 0.5), (0.3, 3.0, 0.7)], ids=str)
@pytest.mark.parametrize("share", [0.0003, 0.02, 0.6])
@pytest.mark.parametrize("block", [64, 1 << 16])
def test_distances_in_a_volume_are_those_of_scipy(spacing, share, block, monkeypatch):
    """Whatever is looked at in one go, and wherever it ends early."""
    monkeypatch.setattr(distance, "BLOCK", block)
    objects = torch.rand((20, 17, 33), generator=torch.Generator().manual_seed(5)) < share
    expected = distance_transform_edt(~objects.numpy(), sampling=spacing)
    torch.testing.assert_close(distance.to_nearest(objects, spacing), torch.from_numpy(expected), rtol=1e-12, atol=0)


def test_sums_of_squares_beyond_what_float32_holds_are_exact_too():
    objects = torch.zeros(5000, 2, dtype=torch.bool)
    objects[0, 0] = True
    assert distance.to_nearest(objects, (1.0, 1.0))[4999, 1].item() == pytest.approx((4999**2 + 1) ** 0.5, rel=1e-15)


def test_nothing_is_infinitely_far_away():
    assert distance.to_nearest(torch.zeros(4, 5, dtype=torch.bool), (1.0, 1.0)).isinf().all()
    assert distance.to_nearest(torch.zeros(0, 5, dtype=torch.bool), (1.0, 1.0)).shape == (0, 5)


def test_an_untrained_network_learns_from_erosions_below_a_low_threshold_only():
    logits, target = torch.zeros(1, 1, 9, 9, requires_grad=True), (blobs((1, 1, 9, 9), 0) > 0).float()
    for text, teaches in (("HausdorffErosion()", False), ("HausdorffErosion(threshold=0.1)", True)):
        (slope,) = torch.autograd.grad(parse(text)(logits, target), logits)
        assert bool(slope.any()) == teaches


# no object, or nothing else


@pytest.mark.parametrize("yes", [0.0, 1.0])
@pytest.mark.parametrize("text", ["Boundary()", "HausdorffDistance(sides='target')"])
def test_an_image_without_a_boundary_has_no_distances_and_teaches_nothing(text, yes):
    logits = blobs((2, 1, 6, 5), 3).requires_grad_()
    value = parse(text)(logits, torch.full_like(logits, yes))
    assert value == 0
    assert not torch.autograd.grad(value, logits)[0].any()


def test_a_false_island_in_an_empty_image_costs_its_distances_to_the_prediction():
    logits = torch.full((1, 1, 7, 7), -9.0)
    logits[0, 0, 3, 3] = 9.0
    assert HausdorffDistance()(logits, torch.zeros_like(logits)).item() == pytest.approx(1 / 49, rel=1e-2)


def test_what_has_no_weight_is_neither_object_nor_background():
    """The only background has no weight: the object fills what is there, and there is no boundary."""
    logits, target = blobs((1, 1, 4, 6), 1), torch.ones(1, 1, 4, 6, dtype=torch.float64)
    target[..., 3:] = 0
    assert Boundary()(logits, target) != 0
    weight = torch.ones(1, 4, 6)
    weight[..., 3:] = 0
    assert Boundary()(logits, target, weight) == 0


# MONAI, where it is right


def alike(ours: str, theirs, options: dict, logits, target, *, single: bool = False) -> None:
    """On classes by index and, one channel, on yes or no."""
    monai = pytest.importorskip("monai.losses", reason="MONAI is not installed")
    hot = one_hot(target, logits.shape[1]).movedim(-1, 1).to(logits)
    for softmax in (True, False):
        loss = parse(ours).asking("exclusive" if softmax else "independent")
        peer = getattr(monai, theirs)(**{"softmax" if softmax else "sigmoid": True}, **options)
        same(lambda u, loss=loss: loss(u, hot), lambda u, peer=peer: peer(u, hot), logits, single=single)


@pytest.mark.parametrize("space", [(9, 8), (5, 6, 7)], ids=["2-D", "3-D"])
@pytest.mark.parametrize(
    ("ours", "theirs", "options"),
    [
        ("Boundary()", "BoundaryLoss", {}),
        ("Boundary(background=False)", "BoundaryLoss", {"include_background": False}),
        ("HausdorffDistance()", "HausdorffDTLoss", {"include_background": True}),
        ("HausdorffDistance(background=False, alpha=1.3)", "HausdorffDTLoss", {"alpha": 1.3}),
        ("HausdorffDistance(log=True)", "LogHausdorffDTLoss", {"include_background": True}),
    ],
)
def test_same_as_monai(ours, theirs, options, space):
    logits, target, _ = batch(space, "index", seed=4)
    alike(ours, theirs, options, logits, target, single=True)


@pytest.mark.parametrize("space", [(9, 8), (5, 6, 7)], ids=["2-D", "3-D"])
@pytest.mark.parametrize("iterations", [0, 1, 4])
def test_cl_dice_is_monai_s_of_each_class_by_itself(space, iterations):
    """MONAI pools the classes of an image; its smooth beside the harmonic mean may not be 0."""
    monai = pytest.importorskip("monai.losses", reason="MONAI is not installed")
    logits, target, _ = batch(space, "index", seed=8)
    hot = one_hot(target, 3).movedim(-1, 1).double()
    peer = monai.SoftclDiceLoss(iter_=iterations, smooth=1e-300)

    def theirs(u):
        p = u.softmax(1)
        return torch.stack([peer(p[:, k : k + 1], hot[:, k : k + 1]) for k in range(3)]).mean()

    same(lambda u: parse(f"ClDice(iterations={iterations})")(u, target), theirs, logits)


def test_dice_and_cl_dice_as_a_sum_are_monai_s():
    monai = pytest.importorskip("monai.losses", reason="MONAI is not installed")
    logits, target = 6 * blobs((2, 1, 9, 8), 2), (blobs((2, 1, 9, 8), 3) > 0).double()
    peer = monai.SoftDiceclDiceLoss(sigmoid=True, alpha=0.3, smooth=1e-300)
    ours = parse("0.7 * Dice(smooth=0.5) + 0.3 * ClDice()")
    same(lambda u: ours(u, target), lambda u: peer(u, target), logits)


def test_one_channel_is_the_foreground_of_cl_dice():
    """It was left out as if it were the background, so that an inverted answer cost nothing (MONAI 1.5, #8239)."""
    target = torch.zeros(1, 1, 9, 9)
    target[..., 4, 1:8] = 1
    right, wrong = (parse("ClDice()")(sign * 20 * (target - 0.5), target).item() for sign in (1, -1))
    assert right < 0.01 and wrong > 0.5


# kornia 0.9.0 and SegLossOdyssey, which are no dependencies


def waves(space: tuple[int, ...]) -> tuple[torch.Tensor, torch.Tensor]:
    axes = torch.meshgrid(*(torch.arange(side).double() for side in space), indexing="ij")

    def wave(k: int, phase: float) -> torch.Tensor:
        return torch.stack([((0.31 + 0.07 * k) * (a + 1) * x + phase + k).sin() for a, x in enumerate(axes)]).sum(0)

    logits = torch.stack([9 * wave(k, 0.0) for k in range(3)])
    return logits[None], torch.stack([wave(k, 1.3) for k in range(3)]).argmax(0)[None]


@pytest.mark.parametrize(
    ("space", "text", "kornia"),
    [
        ((14, 12), "HausdorffErosion()", 0.31229252870908214),
        ((14, 12), "HausdorffErosion(alpha=1.0, erosions=3)", 0.23734906621607332),
        ((9, 10, 8), "HausdorffErosion()", 0.198025352575081),
        ((9, 10, 8), "HausdorffErosion(alpha=1.0, erosions=3)", 0.15916762727257802),
    ],
)
def test_erosion_is_that_of_kornia(space, text, kornia):
    """Recorded from HausdorffERLoss and HausdorffERLoss3D, whose kernel is in float32."""
    assert parse(text)(*waves(space)).item() == pytest.approx(kornia, rel=1e-6)


def test_distance_weights_are_those_of_segloss():
    """compute_edts_forPenalizedLoss, by scipy, on an object with an inside."""
    mask = blobs((2, 1, 16, 16), 6)[:, 0] > 0.1
    logits = blobs((2, 1, 16, 16), 7)
    weight = []
    for one in mask.numpy():
        inside, outside = distance_transform_edt(one), distance_transform_edt(~one)
        inside, outside = (inside.max() - inside) * one, (outside.max() - outside) * ~one
        weight.append(1 + inside / inside.max() + outside / outside.max())
    entropy = torch.nn.functional.binary_cross_entropy_with_logits(logits[:, 0], mask.double(), reduction="none")
    expected = (torch.tensor(np.array(weight)) * entropy).mean()
    found = parse("DistanceWeightedCrossEntropy()")(logits, mask.unsqueeze(1).double())
    assert found.item() == pytest.approx(expected.item())


def test_an_object_without_an_inside_is_all_border():
    """SegLossOdyssey divides 0 by 0 here."""
    target = torch.zeros(1, 1, 5, 5)
    target[..., 2, 2] = 1
    loss = parse("DistanceWeightedCrossEntropy()")
    value = loss(torch.zeros_like(target), target, (target == 1).float()[:, 0] * 1 + 1e-9)
    assert value.item() == pytest.approx(2 * np.log(2), rel=1e-4)


# mistakes


@pytest.mark.parametrize("text", EVERY)
def test_answers_for_whole_images_are_refused(text):
    loss = parse(text)
    with pytest.raises(
        UserError, match=r"logits \(4, 3\) are answers for whole images: it is for logits \(N, C, \*S\)"
    ):
        loss(torch.zeros(4, 3), torch.tensor([0, 1, 2, 0]))
    with pytest.raises(UserError, match="is for segmentation, and the data ask for classification"):
        loss.accept(Task(kind="classification", classes=("no", "yes")))


@pytest.mark.parametrize("text", ["Boundary", "HausdorffDistance", "DistanceWeightedCrossEntropy"])
def test_a_spacing_has_a_step_for_each_axis(text):
    loss = parse(f"{text}(spacing=(3, 1, 1))")
    with pytest.raises(UserError, match=r"spacing=\(3.0, 1.0, 1.0\) has 3 numbers, and an image \(5, 4\) has 2 axes"):
        loss(torch.zeros(2, 3, 5, 4), torch.zeros(2, 5, 4).long())
    for wrong in ("(0, 1)", "(-1, 1)", "()", "'mm'"):
        with pytest.raises(
            UserError, match=r"spacing is .*; it must be a list of finite numbers, each above 0, or None"
        ):
            parse(f"{text}(spacing={wrong})")


@pytest.mark.parametrize("text", ["Boundary", "HausdorffDistance", "HausdorffErosion", "ClDice"])
def test_one_output_has_no_background_to_leave_out(text):
    with pytest.raises(UserError, match="one output is the foreground, so background=False leaves nothing"):
        parse(f"{text}(background=False)")(torch.zeros(2, 1, 5, 4), torch.zeros(2, 1, 5, 4))


def test_such_losses_say_so():
    assert [entry(parse(text))["spatial"] for text in ("Boundary()", "Dice()")] == [True, False]
    assert entry(Boundary())["family"] == "boundary"
    for text in [*EVERY, "Dice() + 0.1 * Boundary()", "AdaptiveLog(ClDice())"]:
        assert parse(text).spatial
    assert not parse("Dice() + CrossEntropy()").spatial and not parse("Dice()").ahead
    assert len(parse("Boundary() + HausdorffDistance() + 2 * Boundary(spacing=(1, 2))").ahead) == 2
    assert (
        prod(parse("HausdorffErosion(erosions=2)").range) == 0 and parse("HausdorffErosion(erosions=2)").range[1] == 5
    )
