"""The streamed lifts in Triton say what the plain lifts say in float64."""

from math import exp, inf, log, log1p, nan

import pytest
import torch
from torch import Tensor

from whichloss.core.lifts.log_probability import LogProbability
from whichloss.core.lifts.region import RegionSums
from whichloss.core.question import Batch
from whichloss.kernels import triton_lift

pytestmark = pytest.mark.filterwarnings("ignore:(invalid|divide|overflow):RuntimeWarning")  # of numpy, which interprets

KINDS = ("indices", "proportions", "sigmoid")
IGNORED = {"indices": 1, "proportions": -1, "sigmoid": -1}


class Case:
    """Logits, target, weight and what is asked; and the gradient that comes upstream."""

    def __init__(
        self, kind, classes, space=(7, 9), images=2, weight=None, ignored=False, dtype=torch.float32, device="cpu",
        region=True, likelihood=None, scale=3.0,
    ):  # fmt: skip
        make = torch.Generator().manual_seed(classes + 7 * len(space))
        self.softmax, self.ignored = kind != "sigmoid", IGNORED[kind] if ignored else None
        real = torch.float64 if dtype == torch.float64 else torch.float32
        shape, one = (images, classes, *space), (images, 1, *space)
        self.logits = (scale * torch.randn(shape, generator=make, dtype=torch.float64)).to(dtype)
        if kind == "indices":
            self.target = torch.randint(0, classes, one, generator=make)
            self.target[torch.rand(one, generator=make) < 0.2] = 1
        else:
            self.target = torch.rand(shape, generator=make, dtype=torch.float64).to(real)
            if kind == "proportions":
                self.target = self.target.softmax(1)
            if ignored:
                self.target[torch.rand(shape, generator=make) < 0.2 / classes] = -1
        self.weight = None
        if weight is not None:
            self.weight = torch.rand(one if weight == "voxel" else shape, generator=make, dtype=torch.float64).to(real)
            self.weight[torch.rand(self.weight.shape, generator=make) < 0.3] = 0
        self.region, self.likelihood = region, likelihood or ("each" if kind == "indices" else "sum")
        self.of_sums = torch.randn(images, 6, classes, generator=make, dtype=torch.float64).to(real)
        self.of_each = torch.randn(one, generator=make, dtype=torch.float64).to(real)
        for name in ("logits", "target", "weight", "of_sums", "of_each"):
            if getattr(self, name) is not None:
                setattr(self, name, getattr(self, name).to(device))

    @property
    def asked(self):
        return self.logits, self.target, self.weight, self.ignored, self.softmax, self.region, self.likelihood

    def streamed(self) -> tuple[Tensor, Tensor, Tensor]:
        sums, each = triton_lift.forward(*self.asked)
        return sums, each, triton_lift.backward(*self.asked, self.of_sums, self.of_each)

    def plain(self) -> tuple[Tensor, Tensor, Tensor]:
        """By the plain lifts and autograd, in float64 on the CPU."""
        logits = self.logits.detach().cpu().double().requires_grad_()
        target, weight = self.target.cpu(), None if self.weight is None else self.weight.cpu().double()
        target = target.double() if target.is_floating_point() else target.squeeze(1)
        weight = weight.squeeze(1) if weight is not None and weight.shape[1] == 1 else weight
        batch = Batch(logits, target, weight, self.ignored)
        classes = "exclusive" if self.softmax else "independent"
        images, channels = logits.shape[:2]
        sums, each = torch.zeros(images, 6, channels, dtype=torch.float64), torch.zeros(0, dtype=torch.float64)
        counts = RegionSums(classes)(batch)
        sums[:, 3] = counts.elements.detach()
        if self.region:
            sums[:, :3] = torch.stack(counts[:3], 1)
        if self.likelihood != "none":
            said = LogProbability(classes)(batch)
            terms = torch.where(said.share == 0, 0.0, said.share * said.log_p).flatten(2).sum(2)
            if self.softmax:
                sums[:, 4, 0], sums[:, 5, 0] = terms.sum(1), said.share.flatten(1).sum(1)
            else:
                sums[:, 4], sums[:, 5] = channels * terms[:, : said.yes], channels * terms[:, said.yes :]
        if self.likelihood == "each":
            each = said.log_p
        of_sums = self.of_sums.cpu().double().clone()
        of_sums[:, 3] = 0
        if self.softmax:
            of_sums[:, 5] = 0
        upstream = torch.where(of_sums == 0, 0.0, of_sums * sums).sum()
        if self.likelihood == "each":
            upstream = upstream + (each * self.of_each.cpu()).sum()
        (gradient,) = torch.autograd.grad(upstream + (0 * logits.nan_to_num()).sum(), logits)
        return sums.detach(), each.detach(), gradient


DIGITS = {torch.float32: 1e-5, torch.float64: 1e-12, torch.bfloat16: 1e-5, torch.float16: 1e-5}  # of what is summed
STEP = {torch.float32: 1e-5, torch.float64: 1e-11, torch.bfloat16: 2.0**-7, torch.float16: 2.0**-10}  # of a gradient


def agree(case: Case) -> None:
    (sums, each, gradient), (true_sums, true_each, true_gradient) = case.streamed(), case.plain()
    near = DIGITS[case.logits.dtype]
    assert sums.dtype == each.dtype == case.of_sums.dtype
    assert gradient.dtype == case.logits.dtype
    assert gradient.shape == case.logits.shape
    torch.testing.assert_close(sums.cpu().double(), true_sums, rtol=near, atol=near)
    torch.testing.assert_close(each.cpu().double(), true_each, rtol=near, atol=near)
    step = STEP[case.logits.dtype]
    torch.testing.assert_close(gradient.cpu().double(), true_gradient, rtol=step, atol=min(step, 1e-5))


def test_available_where_there_is_a_gpu(device):
    assert triton_lift.available() == (device == "cuda")


@pytest.mark.parametrize("ignored", [False, True], ids=["all", "ignored"])
@pytest.mark.parametrize("weight", [None, "voxel", "class"])
@pytest.mark.parametrize("classes", [1, 2, 3, 14, 33, 105, 200])
@pytest.mark.parametrize("kind", KINDS)
def test_sums_and_gradients(kind, classes, weight, ignored, device):
    if classes == 1:
        kind = "sigmoid"  # one class excludes nothing
    agree(Case(kind, classes, weight=weight, ignored=ignored, device=device))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize(("kind", "classes"), [(kind, classes) for kind in KINDS for classes in (4, 140)])
def test_types(kind, classes, dtype, device):
    agree(Case(kind, classes, weight="class", ignored=True, dtype=dtype, device=device))


@pytest.mark.parametrize("likelihood", ["none", "sum", "each"])
@pytest.mark.parametrize("region", [True, False])
@pytest.mark.parametrize(("kind", "classes"), [(kind, classes) for kind in KINDS for classes in (3, 140)])
def test_only_what_is_asked(kind, classes, region, likelihood, device):
    if kind != "indices" and likelihood == "each":
        likelihood = "sum"  # without an index there is no one truth
    agree(Case(kind, classes, region=region, likelihood=likelihood, weight="voxel", ignored=True, device=device))


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64], ids=str)
@pytest.mark.parametrize("classes", [5, 260])
def test_indices_of_any_type(classes, dtype, device):
    case = Case("indices", classes, device=device)
    case.target = case.target.clamp(max=torch.iinfo(dtype).max).to(dtype)
    agree(case)


@pytest.mark.parametrize("space", [(1,), (300,), (1, 1), (17, 40), (1, 1, 1), (5, 6, 7), (1, 30, 1)], ids=str)
@pytest.mark.parametrize("classes", [2, 140])
def test_one_to_three_axes(classes, space, device):
    agree(Case("indices", classes, space, weight="voxel", device=device))


def channels_last(x):
    return x.movedim(1, -1).contiguous().movedim(-1, 1)


def transposed(x):
    return x.transpose(-1, -2).contiguous().transpose(-1, -2)


def cropped(x):
    padding = [1, 2] * (x.ndim - 2)
    return torch.nn.functional.pad(x, padding, value=99)[(..., *[slice(1, -2)] * (x.ndim - 2))]


def every_other(x):
    return torch.stack([x, torch.full_like(x, 99)], -1).flatten(-2)[..., ::2]


LAYOUTS = (channels_last, transposed, cropped, every_other)


@pytest.mark.parametrize("name", ["logits", "target", "weight", "of_each"])
@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda one: one.__name__)
@pytest.mark.parametrize(("kind", "classes"), [("indices", 3), ("proportions", 140), ("sigmoid", 3)])
def test_any_layout(kind, classes, layout, name, device):
    case = Case(kind, classes, (3, 4, 5), weight="class", device=device)
    setattr(case, name, layout(getattr(case, name)))
    agree(case)


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda one: one.__name__)
def test_all_in_another_layout(layout, device):
    case = Case("indices", 3, (3, 4, 5), weight="class", device=device)
    for name in ("logits", "target", "weight", "of_each"):
        setattr(case, name, layout(getattr(case, name)))
    agree(case)


def test_the_gradient_lies_as_the_logits(device):
    case = Case("indices", 3, (3, 4, 5), device=device)
    case.logits = channels_last(case.logits)
    assert case.streamed()[2].stride() == case.logits.stride()


def test_expanded_tensors_are_read_as_they_are(device):
    """The mean of log-probabilities comes back as one number with strides of 0."""
    case = Case("indices", 3, weight="voxel", device=device)
    case.of_each = case.of_each[:1, :, :1, :1].expand(case.of_each.shape)
    case.weight = case.weight[:, :, :1].expand(-1, 3, 7, -1)
    agree(case)


@pytest.mark.parametrize(("kind", "classes"), [("indices", 3), ("proportions", 14), ("sigmoid", 30)])
def test_a_program_takes_several_tiles(kind, classes, device, monkeypatch):
    monkeypatch.setattr(triton_lift, "PROGRAMS", 4)
    monkeypatch.setattr(triton_lift, "TILE", 256)
    agree(Case(kind, classes, (10, 41), weight="class", ignored=True, device=device))


@pytest.mark.parametrize(("kind", "classes"), [("indices", 3), ("proportions", 140), ("sigmoid", 3)])
def test_offsets_of_64_bits(kind, classes, device, monkeypatch):
    monkeypatch.setattr(triton_lift, "FAR", 0)
    agree(Case(kind, classes, (3, 4, 5), weight="class", ignored=True, device=device))


def test_offsets_beyond_32_bits(device):
    """Three voxels, of which the last lies farther off than 32 bits say; on a CPU only pages that are touched exist."""
    step = (1 << 30) + 8
    far = torch.empty(2 * step + 1, dtype=torch.uint8, device=device)
    case = Case("indices", 2, (3,), images=1, device=device)
    case.target = far.as_strided((1, 1, 3), (0, 0, step)).copy_(case.target)
    agree(case)


@pytest.mark.parametrize("masked", [3, 150], ids=["some", "a whole block"])
@pytest.mark.parametrize("kind", KINDS)
def test_masked_classes(kind, masked, device):
    """-inf says that a class cannot be: probability 0, and no gradient."""
    case = Case(kind, 200 if masked == 150 else 7, device=device)
    case.logits[:, :masked] = -inf
    if kind == "indices":
        case.target = case.target % (case.logits.shape[1] - masked) + masked
    else:
        case.target[:, :masked] = 0
    agree(case)
    assert not case.streamed()[2][:, :masked].any()


@pytest.mark.parametrize("silent", ["weight", "ignored"])
@pytest.mark.parametrize(("kind", "classes"), [(kind, classes) for kind in KINDS for classes in (3, 140)])
def test_what_has_no_say_says_no_nan(kind, classes, silent, device):
    case = Case(kind, classes, weight="voxel", ignored=True, device=device)
    where = (case.weight == 0) if silent == "weight" else (case.target == case.ignored)
    where = where.expand_as(case.logits) if not case.softmax else where.any(1, keepdim=True).expand_as(case.logits)
    assert where.any()
    before = case.streamed()
    case.logits = torch.where(where, torch.tensor([nan, inf, -inf]).to(case.logits).repeat(70)[:classes].reshape(
        1, -1, 1, 1), case.logits)  # fmt: skip
    agree(case)
    for one, other in zip(before, case.streamed(), strict=True):
        assert torch.equal(one, other)
    assert not case.streamed()[2][where].any()


def test_truth_without_a_say_may_be_nan(device):
    case = Case("proportions", 3, weight="voxel", device=device)
    before = case.streamed()
    case.target = torch.where(case.weight == 0, nan, case.target)
    for one, other in zip(before, case.streamed(), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize(("kind", "classes"), [(kind, classes) for kind in KINDS for classes in (3, 140)])
def test_nan_with_a_say_is_told(kind, classes, device):
    case = Case(kind, classes, images=2, device=device)
    case.logits[0, 1, 2, 3] = nan
    sums, each, gradient = case.streamed()
    assert sums[0, :2, 1].isnan().any()
    assert sums[0, 4].isnan().any()
    assert not sums[1].isnan().any()
    assert gradient[0, 1, 2, 3].isnan()
    assert gradient.isnan().sum() == (classes if case.softmax else 1)
    assert kind != "indices" or int(each.isnan().sum()) == 1


@pytest.mark.parametrize("classes", [3, 140])
@pytest.mark.parametrize("wrong", [-1, -100, 140, 255, 2**31, 2**32, 2**32 + 1])
def test_an_index_that_is_no_class_has_no_say(classes, wrong, device):
    """It can raise nothing, as nobody waits for a GPU to look; but nothing is read beyond the classes."""
    case, left_out = (Case("indices", classes, weight="class", device=device) for _ in range(2))
    case.target[0, 0, 2, 3:6] = wrong
    left_out.weight[0, :, 2, 3:6] = 0
    for one, other in zip(case.streamed(), left_out.streamed(), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("shape", [(0, 7, 9), (2, 0, 9)])
@pytest.mark.parametrize("kind", KINDS)
def test_nothing(kind, shape, device):
    case = Case(kind, 3, shape[1:], images=shape[0], device=device)
    sums, each, gradient = case.streamed()
    assert sums.shape == (shape[0], 6, 3)
    assert not sums.any()
    assert each.shape == ((shape[0], 1, *shape[1:]) if kind == "indices" else (0,))
    assert gradient.shape == case.logits.shape


@pytest.mark.parametrize(("kind", "classes"), [(kind, classes) for kind in KINDS for classes in (14, 140)])
def test_the_same_twice(kind, classes, device):
    case = Case(kind, classes, (40, 41) if device != "cpu" else (9, 11), weight="class", ignored=True, device=device)
    for one, other in zip(case.streamed(), case.streamed(), strict=True):
        assert torch.equal(one, other)


def test_inputs_stay_as_they_are(device):
    case = Case("proportions", 3, weight="class", ignored=True, device=device)
    before = [one.clone() for one in (case.logits, case.target, case.weight, case.of_sums, case.of_each)]
    case.streamed()
    after = (case.logits, case.target, case.weight, case.of_sums, case.of_each)
    assert all(map(torch.equal, before, after))


@pytest.mark.parametrize("scale", [0.01, 30.0, 1000.0])
@pytest.mark.parametrize(("kind", "classes"), [("indices", 14), ("indices", 140), ("sigmoid", 3)])
def test_extreme_logits(kind, classes, scale, device):
    case = Case(kind, classes, scale=scale, device=device)
    agree(case)
    assert all(one.isfinite().all() for one in case.streamed())


def test_a_small_lesion_is_not_lost_in_a_large_image(device):
    """Three voxels of 200 000, and what is missing of them to 1e-5."""
    case = Case("indices", 2, (200_000,), images=1, scale=0.0, device=device)
    case.target[:] = 0
    case.target[..., [5, 70_000, 199_999]] = 1
    case.logits[:, 0] = 12.0
    sums = case.streamed()[0].cpu().double()
    p = 1 / (1 + exp(12))
    assert sums[0, 0, 1].item() == pytest.approx(3 * p, rel=1e-5)
    assert sums[0, 1, 1].item() == pytest.approx(199_997 * p, rel=1e-5)
    assert sums[0, 2, 1].item() == pytest.approx(3 * (1 - p), rel=1e-5)


def test_a_sigmoid_near_one_keeps_what_is_missing(device):
    """1 - sigmoid(40) is 4e-18, not 0; and so is -log sigmoid(40)."""
    case = Case("sigmoid", 1, (3,), images=1, device=device)
    case.logits[:] = 40.0
    case.target[:] = 1.0
    sums = case.streamed()[0].cpu()
    assert sums[0, 2, 0].item() == pytest.approx(3 * exp(-40), rel=1e-5, abs=0)
    assert sums[0, 4, 0].item() == pytest.approx(-3 * log1p(exp(-40)), rel=1e-5, abs=0)


def test_by_hand(device):
    """Two voxels of two classes, logits 0 and log 3: probabilities 1/4 and 3/4."""
    logits = torch.tensor([[[0.0, 0.0], [log(3), log(3)]]], device=device)
    asked = (logits, torch.tensor([[[0, 1]]], device=device), torch.tensor([[[1.0, 2.0]]], device=device), None)
    sums, each = triton_lift.forward(*asked, True, True, "each")
    tp, fp, fn, elements = [1 / 4, 6 / 4], [2 / 4, 3 / 4], [3 / 4, 2 / 4], [3, 3]
    answers = [[log(1 / 4) + 2 * log(3 / 4), 0], [3, 0]]
    torch.testing.assert_close(sums.cpu(), torch.tensor([[tp, fp, fn, elements, *answers]]))
    torch.testing.assert_close(each.cpu(), torch.tensor([[[log(1 / 4), log(3 / 4)]]]))
    of_sums, of_each = torch.zeros_like(sums), torch.zeros_like(each)
    of_sums[0, 0, 1] = 1.0  # TP of class 1, 2 p: its derivative is 2 p (1 - p)
    gradient = triton_lift.backward(*asked, True, True, "each", of_sums, of_each)
    torch.testing.assert_close(gradient.cpu(), torch.tensor([[[0.0, -6 / 16], [0.0, 6 / 16]]]))
