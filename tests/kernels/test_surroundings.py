"""Kernels in threads, forks, workers and compilers; what they keep in memory; which losses they serve."""

import ctypes
import importlib
import os
import signal
import subprocess
import sys
from pathlib import Path
from shutil import which

import pytest
import torch
from problems import asking, problems, value_and_gradient
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.data import DataLoader, Dataset

from whichloss import parse, registry
from whichloss.core import LikelihoodLoss, Loss, PresetLoss, RegionLoss, Sum, WrapperLoss
from whichloss.core.lifts.averaged import Averaged
from whichloss.core.lifts.log_probability import LogProbability
from whichloss.kernels import fuse, library, plan, streamed

HOME = Path(fuse.__file__).parent
LOSS = "CrossEntropy() + Dice() + Focal()"

compiled = pytest.mark.skipif(not fuse.COMPILED, reason="no compiled kernels: no C compiler when this was installed")


def big(classes=14, seed=0):
    draw = torch.Generator().manual_seed(seed)
    logits = torch.randn(2, classes, 24, 40, 40, generator=draw)
    return logits, torch.randint(classes, (2, 24, 40, 40), generator=draw)


def both(text, logits, target):
    z = logits.detach().requires_grad_()
    value = parse(text)(z, target)
    return value.detach(), torch.autograd.grad(value, z)[0]


def test_the_same_bits_run_to_run_and_for_any_number_of_threads(way):
    if way != "compiled":
        pytest.skip("blocks of torch add up as torch does, which may depend on the number of threads")
    for name, problem in problems((2, 5, 24, 40, 40)).items():
        made_in_blocks = name.startswith("exclusive")  # of focal loss: torch's sums depend on its threads
        loss, found = asking(parse("CrossEntropy() + Dice()" if made_in_blocks else LOSS), name), []
        for threads in (1, 2, 1, 2, 3):
            torch.set_num_threads(threads)
            found.append(value_and_gradient(loss, problem))
        for value, gradient in found[1:]:
            assert torch.equal(value, found[0][0]) and torch.equal(gradient, found[0][1])


def test_with_a_team_of_python_threads_where_torch_has_no_openmp_of_its_own(monkeypatch):
    expected = both(LOSS, *big())
    monkeypatch.setattr(library, "_team", lambda: None)
    torch.set_num_threads(3)
    found = both(LOSS, *big())
    assert torch.equal(found[0], expected[0]) and torch.equal(found[1], expected[1])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_after_a_fork():
    """Torch's own operators wait for ever there where they would take several threads; so nothing else is asked."""
    torch.set_num_threads(2)
    logits, target = big()
    expected = both("CrossEntropy() + Dice()", logits, target)
    child = os.fork()
    if not child:  # threads of the parent are gone here
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(60)
        value, gradient = both("CrossEntropy() + Dice()", logits, target)
        torch.set_num_threads(1)
        same = torch.equal(value, expected[0]) and torch.equal(gradient, expected[1])
        os._exit(0 if same else 1)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0


@compiled
@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere threads of Python do the work")
def test_the_threads_are_torchs_though_others_bring_theirs():
    """Two OpenMP libraries fight for the cores: it took 8 ms a step where scikit-learn had been imported."""
    importlib.import_module("sklearn.utils._openmp_helpers")  # which loads another
    loaded = {line.split()[-1] for line in Path("/proc/self/maps").read_text().splitlines() if "libgomp" in line}
    torchs = [name for name in loaded if Path(name).parent == Path(torch.__file__).parent / "lib"]
    if len(torchs) != 1 or len(loaded) < 2:
        pytest.skip(f"one OpenMP library for all: {loaded}")
    start = ctypes.CDLL(torchs[0]).GOMP_parallel
    assert ctypes.cast(library._team(), ctypes.c_void_p).value == ctypes.cast(start, ctypes.c_void_p).value


class Losses(Dataset):
    def __len__(self):
        return 4

    def __getitem__(self, index):
        return both(LOSS, *big(seed=index))[0]


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded")
def test_in_the_workers_of_a_data_loader():
    torch.set_num_threads(2)
    expected = torch.stack([Losses()[index] for index in range(4)])
    found = torch.cat(list(DataLoader(Losses(), batch_size=2, num_workers=2)))
    assert torch.equal(found, expected)


def test_a_compiler_takes_it_as_one_step(way):
    logits, target = big(4)
    for text in (LOSS, "AdaptiveLog(Dice(over='batch', smooth=0.5))"):
        loss = parse(text)
        step = torch.compile(lambda z, t, loss=loss: loss(z, t), fullgraph=True)
        for z, t in ((logits, target), (logits[:1], target[:1])):
            one, other = z.clone().requires_grad_(), z.clone().requires_grad_()
            step(one, t).backward()
            loss(other, t).backward()
            assert torch.allclose(one.grad, other.grad, rtol=1e-4, atol=1e-9)


@compiled
def test_the_operation_keeps_the_rules_of_custom_operations():
    logits, target = torch.randn(2, 3, 6, 5, requires_grad=True), torch.randint(3, (2, 1, 6, 5))
    for likelihood in ("none", "sum", "each"):
        torch.library.opcheck(streamed.streamed, (logits, target, None, None, True, "linear", likelihood, 0.0))


def test_under_autocast(way):
    logits, target = big(4)
    net = torch.nn.Conv3d(4, 4, 1)
    for kind in (torch.bfloat16, torch.float16):
        with torch.autocast("cpu", dtype=kind):
            out = net(logits)
            value = parse(LOSS)(out, target)
        assert out.dtype == kind and value.dtype == torch.float32
        value.backward()
        assert bool(net.weight.grad.isfinite().all())


# memory


class Largest(TorchDispatchMode):
    """The largest tensor that an operation made, and not only looked at otherwise, in elements."""

    def __init__(self):
        super().__init__()
        self.elements = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        seen = {one.untyped_storage().data_ptr() for one in args if isinstance(one, torch.Tensor)}
        for one in out if isinstance(out, tuple | list) else [out]:
            if isinstance(one, torch.Tensor) and one.untyped_storage().data_ptr() not in seen:
                self.elements = max(self.elements, one.untyped_storage().nbytes() // one.itemsize)
        return out


@compiled
@pytest.mark.parametrize("name", ["indices", "indices, ignored", "indices in bytes, weights", "yes and no"])
def test_integers_are_never_one_hot_and_nothing_but_the_gradient_is_as_large_as_the_logits(name):
    problem = problems((2, 14, 24, 40, 40))[name]
    z = problem.logits.detach().requires_grad_()
    with Largest() as forward:
        value = asking(parse("CrossEntropy() + Dice()"), name)(
            z, problem.target, problem.weight, ignore_index=problem.ignore_index
        )
    assert forward.elements <= (z.numel() / 14 if name.startswith("indices") else z.numel() / 2)
    with Largest() as backward:
        value.backward()
    assert backward.elements == z.numel()


# which losses


def serves(need):
    """Whether a kernel should have made it of exclusive indices."""
    return isinstance(need, plan.ADDITIVE | LogProbability) or (
        isinstance(need, Averaged) and isinstance(need.loss, LikelihoodLoss)
    )


def of_both_families():
    examples = [
        one for cls in registry(Loss).values() if cls.__module__.startswith("whichloss.") for one in cls.examples()
    ]
    return [one for one in examples if isinstance(one, RegionLoss | LikelihoodLoss | PresetLoss | WrapperLoss | Sum)]


def test_every_loss_of_both_families_goes_through_them(way, lifts_made):
    asked, given = lifts_made
    served = {}
    for loss in of_both_families():
        asked.clear(), given.clear()
        for name, problem in problems((2, 3, 8, 8)).items():
            if name in ("indices", "soft yes and no") and all(leaf.answers for leaf in loss.leaves()):
                try:
                    value_and_gradient(asking(loss, name), problem)
                except Exception as error:  # not every loss asks either question
                    assert "classes" in str(error) or "yes" in str(error), (loss, error)
        known = [need for need in asked if serves(need)]
        if known:
            served[loss.label] = len([need for need in known if need in given]) / len(known)
    if way == "compiled":
        assert len(served) >= 60
        assert {label for label, share in served.items() if share == 0} == set()


# what is never read


@pytest.mark.skipif(sys.platform != "linux" or which("gcc") is None, reason="needs gcc and its sanitizers")
def test_nothing_outside_of_the_tensors_is_read_or_written(tmp_path):
    """The kernel under the address and undefined-behaviour sanitizers: every form, and labels that are no class."""
    names = [name for name in library.names() if name.endswith(".so")][-1:]
    flags = ["-O1", "-g", "-std=c11", "-shared", "-fPIC", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
    built = subprocess.run(["gcc", *flags, str(HOME / "lift.c"), "-o", str(tmp_path / names[0])], capture_output=True)
    if built.returncode:
        pytest.skip("this gcc has no sanitizers: " + built.stderr.decode()[:200])
    asan = [
        subprocess.run(["gcc", f"-print-file-name={name}"], capture_output=True, text=True).stdout.strip()
        for name in ("libasan.so", "libubsan.so")
    ]
    surroundings = {
        **os.environ,
        "LD_PRELOAD": " ".join(asan),
        "ASAN_OPTIONS": "detect_leaks=0",
        "PYTHONPATH": os.pathsep.join([str(HOME.parent.parent), str(Path(__file__).parent)]),
    }
    program = Path(__file__).parent / "every_form.py"
    done = subprocess.run(
        [sys.executable, str(program), str(tmp_path)], env=surroundings, capture_output=True, text=True, timeout=500
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    assert int(done.stdout.split()[-1]) > 400
