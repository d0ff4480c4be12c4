"""A training that is cut off goes on from its last checkpoint, and nobody can tell: not by a bit."""

import json
import pickle
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from math import inf, nan
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from small_studies import TINY, tiny_study, write_code, write_tiny
from whichloss.core import UserError
from whichloss.core.catalogue import registry
from whichloss.data import Cases
from whichloss.metrics.classification.roc_auc import RocAuc
from whichloss.study.best import Best
from whichloss.study.checkpoint import SECONDS, Checkpoint, Checkpoints, Spent, seconds_between
from whichloss.study.course import Course
from whichloss.study.execute import Worker
from whichloss.study.layers import optimizer_of
from whichloss.study.optimizers.adam import Adam
from whichloss.study.optimizers.optimizer import Groups, Optimizer
from whichloss.study.optimizers.sgd import SGD
from whichloss.study.pack import pack, unpack
from whichloss.study.precision import Precision
from whichloss.study.runs import Run, runs_of
from whichloss.study.schedules import Schedule
from whichloss.study.shelf import Shelf
from whichloss.study.store import Store
from whichloss.study.train import Diverged, Trained, train
from whichloss.study.worker import compute, order

CPU = torch.device("cpu")
STAGES = [{"epochs": 2, "batch": 4, "share": 0.75}, {"epochs": 3, "batch": 5, "rate": 0.5}]
EPOCHS = 5
MASKS: dict[str, Any] = {
    "data": 'Arrays("tiny.npz", target="masks", group="patients")',
    "losses": ["Dice() + CrossEntropy()"],
    "baseline": "Dice() + CrossEntropy()",
    "primary": "Jaccard()",
    "network": "UNet(width=2, depth=2, dropout=0.5)",
}


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_tiny(tmp_path)
    return tmp_path


class Killed(BaseException):
    """What no outcome catches, as a signal would end the process."""


class Watched(Checkpoints):
    """Keeps one at the end of each epoch, up to `keep`; notes every state it sees; ends the process after `until`."""

    def __init__(self, folder: Path, *, until: int = 99, keep: int = 99, key: str = "key") -> None:
        super().__init__(folder, key, CPU, interval=0)
        self.until, self.keep = until, keep
        self.seen: dict[int, str] = {}  # epoch: digest of all that the next one depends on

    def offer(self, course: Course) -> None:
        epoch = len(course.curve)
        self.seen[epoch] = digest(course.state())
        if epoch <= self.keep:
            super().offer(course)
        if epoch == self.until:
            raise Killed


def digest(state: dict[str, Any]) -> str:
    tensors: dict[str, Tensor] = {}
    text = json.dumps(pack(state, tensors))
    content = {name: (str(one.dtype), one.tolist()) for name, one in tensors.items()}
    return sha256((text + json.dumps(content)).encode()).hexdigest()


@dataclass
class Ready:
    """One run with its cases, and folders for checkpoints."""

    run: Run
    cases: Cases
    folder: Path

    def train(self, checkpoints: Checkpoints | None = None) -> Trained:
        return train(self.run, self.cases, self.run.split(self.cases), CPU, checkpoints=checkpoints)

    def whole(self) -> tuple[Trained, dict[int, str]]:
        watched = Watched(self.folder / "whole", keep=0)
        return self.train(watched), watched.seen

    def cut(self, until: int, keep: int = 99) -> tuple[Trained, Watched]:
        """Cut off after an epoch, with what was kept up to another one; and taken up again."""
        place = self.folder / f"cut-{until}-{keep}"
        torch.rand(5)
        with pytest.raises(Killed):
            self.train(Watched(place, until=until, keep=keep))
        torch.rand(3)  # another process, with another past
        again = Watched(place)
        return self.train(again), again


def ready(folder: Path, optimizer: str = "Adam(lr=0.02)", **changes: Any) -> Ready:
    training = {"optimizer": optimizer, "stages": STAGES} | changes.pop("training", {})
    study = tiny_study(**changes | {"training": TINY["training"] | training})
    shelf = Shelf([folder])
    run = next(iter(runs_of(study, shelf)))
    return Ready(run, shelf.of(run), folder)


def assert_goes_on(of: Ready, *, cuts: tuple[int, ...] = (1, 2, 4)) -> Trained:
    """Cut off at each of these epochs, right after a checkpoint and an epoch later: the same to the last bit."""
    trained, states = of.whole()
    assert sorted(states) == [1, 2, 3, 4, 5] and len(set(states.values())) == 5
    for until, keep in [(cut, keep) for cut in cuts for keep in {cut, max(1, cut - 1)}]:
        again, watched = of.cut(until, keep)
        assert watched.spent.continued == 1
        assert sorted(watched.seen) == list(range(keep + 1, EPOCHS + 1)), "it went on where it had been kept"
        assert watched.seen == {epoch: states[epoch] for epoch in watched.seen}
        assert_same(again, trained)
    return trained


def assert_same(one: Trained, other: Trained) -> None:
    for name in ("inner", "test", "best_inner", "best_test"):
        assert torch.equal(getattr(one, name), getattr(other, name)), name
    assert (one.curve, one.best_epoch) == (other.curve, other.best_epoch)


# bit for bit


OPTIMIZERS = [*(repr(cls.examples()[0]) for cls in registry(Optimizer).values())]
OPTIMIZERS += ["SGD(lr=0.05, momentum=0.0)", "SGD(lr=0.05, nesterov=True, weight_decay=0.01)"]


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_every_optimizer_goes_on(folder: Path, optimizer: str) -> None:
    assert_goes_on(ready(folder, optimizer))


@pytest.mark.parametrize("schedule", [repr(cls.examples()[0]) for cls in registry(Schedule).values()])
def test_every_schedule_goes_on(folder: Path, schedule: str) -> None:
    assert_goes_on(ready(folder, training={"schedule": schedule}), cuts=(3,))


@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16"])
def test_dropout_and_batch_norm_go_on_in_every_precision(folder: Path, precision: str) -> None:
    assert_goes_on(ready(folder, **MASKS, training={"precision": precision}), cuts=(2, 3))


def test_patches_augmentation_layers_and_clipping_go_on(folder: Path) -> None:
    training = {
        "augment": ["Flip()", "Rotate()", "Intensity(noise=0.1)"],
        "patches": "Patches(size=(4, 4))",
        "layers": [{"match": "encode.*", "rate": 0.5}, {"match": "*.bias", "weight_decay": 0.1}],
        "clip": 0.5,
        "schedule": "Step(at=(0.3, 0.6))",
    }
    assert_goes_on(ready(folder, "SGD(lr=0.1)", **MASKS, training=training))


def test_blends_of_cases_and_outputs_of_several_resolutions_go_on(folder: Path) -> None:
    loss = {"losses": ["DeepSupervision(Dice())"], "baseline": "DeepSupervision(Dice())"}
    network = {"network": "UNet(width=2, depth=3, dropout=0.5, deep_supervision=1)"}
    assert_goes_on(ready(folder, **MASKS | loss | network, training={"mixup": 0.4}), cuts=(2,))


def test_contiguous_and_channels_last_go_on(folder: Path) -> None:
    for memory in ("contiguous", "channels_last"):
        of = ready(folder, **MASKS, training={"memory_format": memory})
        of.folder = folder / memory
        assert_goes_on(of, cuts=(3,))


NOISY = """
import torch
from torch import nn
from torch.nn import functional as F

class Noisy(nn.Module):
    '''Noise on the weights, a buffer that no state_dict holds, and one in a short type.'''

    def __init__(self):
        super().__init__()
        self.body, self.norm, self.head = nn.Linear(64, 6), nn.BatchNorm1d(6), nn.Linear(6, 1)
        self.register_buffer("mean", torch.zeros(6), persistent=False)
        self.register_buffer("calls", torch.zeros((), dtype=torch.bfloat16))
        self.norm.register_buffer("unused", None)

    def forward(self, images):
        weight = F.dropout(self.body.weight, 0.5, self.training) + 0.1 * torch.randn(6, 64) * self.training
        features = F.linear(images.flatten(1), weight, self.body.bias) - self.mean
        if self.training:
            self.mean.lerp_(features.detach().mean(0), 0.1)
            self.calls += 1
        return self.head(self.norm(features).relu())
"""


def test_noise_on_weights_and_buffers_of_all_kinds_go_on(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(folder)
    of = ready(folder, network=f"{write_code(folder, NOISY)}:Noisy")
    assert_goes_on(of, cuts=(1, 3))


def test_the_best_epoch_is_remembered_whether_it_was_before_or_after(folder: Path) -> None:
    of = ready(folder, "Adam(lr=0.5)", training={"stages": [{"epochs": 5, "batch": 4}]})
    trained = assert_goes_on(of, cuts=(1, 2, 3, 4))
    assert 1 < trained.best_epoch < 4, "cuts come before and after it"
    assert not torch.equal(trained.test, trained.best_test)


def test_a_run_cut_off_twice_goes_on_twice(folder: Path) -> None:
    of = ready(folder)
    trained, states = of.whole()
    place = folder / "twice"
    for until in (1, 3):
        with pytest.raises(Killed):
            of.train(Watched(place, until=until))
    last = Watched(place)
    assert_same(of.train(last), trained)
    assert last.spent.continued == 2 and last.seen == {epoch: states[epoch] for epoch in (4, 5)}


def test_a_run_cut_off_after_its_last_epoch_only_answers(folder: Path) -> None:
    of = ready(folder)
    trained, _ = of.whole()
    again, watched = of.cut(EPOCHS)
    assert_same(again, trained)
    assert watched.seen == {}


def test_a_run_that_diverges_does_so_in_the_same_epoch(folder: Path) -> None:
    stages = [{"epochs": 60, "batch": 4}]
    of = ready(folder, "SGD(lr=5.0)", network="SmallConvNet(normalize=false)", training={"stages": stages})
    with pytest.raises(Diverged) as whole:
        of.train(last := Watched(folder / "whole", keep=0))
    end = max(last.seen)
    assert end >= 2
    with pytest.raises(Killed):
        of.train(Watched(folder / "cut", until=end - 1))
    with pytest.raises(Diverged) as again:
        of.train(Watched(folder / "cut"))
    assert str(again.value) == str(whole.value)


# a process that is killed


FRAGILE = """
import os, signal
from pathlib import Path
from torch import nn
from whichloss.networks.small_conv_net import SmallConvNet

def network(task, outputs):
    made, steps = SmallConvNet(width=2, depth=1, features=4).build(task, outputs), [0]

    def count(module, images):
        steps[0] += module.training
        mark = Path(os.environ["FRAGILE_MARK"])
        if module.training and steps[0] == int(os.environ["FRAGILE_STEP"]) and not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)

    made.register_forward_pre_hook(count)
    return made
"""


def test_a_killed_worker_leaves_a_checkpoint_that_the_next_one_takes_up(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(folder)
    of = ready(folder, network=f"{write_code(folder, FRAGILE)}:network")
    per_epoch = -(-round(0.75 * len(of.run.split(of.cases).fit)) // 4)
    monkeypatch.setenv("FRAGILE_STEP", str(per_epoch + 2))  # in the middle of the second epoch
    monkeypatch.setenv("FRAGILE_MARK", str(folder / "mark"))
    monkeypatch.setenv(SECONDS, "0")
    store = Store(folder / "store")

    def work() -> str:
        worker = Worker(0, store, [folder], folder, 1)
        try:
            return worker.do(of.run, order(of.run, ["RocAuc()"], "cpu")).outcome
        finally:
            worker.stop()

    assert work() == "died"
    file = store.checkpoint(of.run.key) / "state.safetensors"
    kept = Checkpoint.load(file)
    assert kept is not None and len(kept.state["curve"]) == 1
    assert b"pickle" not in file.read_bytes() and load_file(file)
    assert work() == "finished"
    assert not file.parent.exists(), "the run has ended"
    record, outputs = store.record(of.run.key), store.outputs(of.run.key)
    whole, expected = compute(of.run, [], of.cases, CPU)
    assert record is not None and record["continued"] == 1 and whole["continued"] == 0
    assert record["seconds"] > kept.spent.seconds > 0
    assert record["peak_memory_mib"] >= (kept.spent.peak or inf)
    assert record["curve"] == whole["curve"] and record["best_epoch"] == whole["best_epoch"]
    assert outputs.keys() == expected.keys()
    assert all(torch.equal(outputs[name], expected[name]) for name in outputs)


# what is ignored


def rewrite(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Another content, with a digest that is right: as other code or another machine would have written it."""
    found = Checkpoint.load(path)
    assert found is not None
    content = {"origin": dict(found.origin), "spent": found.spent, "state": found.state}
    change(content)
    Checkpoint(**content).save(path)


def turn(path: Path, at: float) -> None:
    """One bit, at this share of the file."""
    content = bytearray(path.read_bytes())
    content[int(at * len(content))] ^= 1
    path.write_bytes(content)


def turn_last(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))


def other_header(path: Path) -> None:
    save_file(load_file(path), path)


def huge_header(path: Path) -> None:
    path.write_bytes(struct.pack("<Q", 2**40) + path.read_bytes()[8:])


def other_origin(name: str) -> Callable[[Path], None]:
    return lambda path: rewrite(path, lambda content: content["origin"].update({name: "another"}))


def other_weights(path: Path) -> None:
    def change(content: dict[str, Any]) -> None:
        content["state"]["weights"]["head.weight"] = torch.zeros(3, 3)

    rewrite(path, change)


def other_groups(path: Path) -> None:
    def change(content: dict[str, Any]) -> None:
        content["state"]["optimizer"]["param_groups"][0]["params"].pop()

    rewrite(path, change)


DAMAGES: dict[str, Callable[[Path], Any]] = {
    "empty": lambda path: path.write_bytes(b""),
    "cut short": lambda path: path.write_bytes(path.read_bytes()[:-7]),
    "its first half": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "a text": lambda path: path.write_text("not at all"),
    "a pickle": lambda path: path.write_bytes(pickle.dumps({"state": 1})),
    "a folder": lambda path: (path.unlink(), path.mkdir()),
    "a bit of the header": lambda path: turn(path, 0.2),
    "a bit of the weights": lambda path: turn(path, 0.9),
    "the last bit": turn_last,
    "a header of its own": other_header,
    "a header without end": huge_header,
    "other weights": other_weights,
    "other groups of weights": other_groups,
} | {f"another {name}": other_origin(name) for name in ("key", "source", "torch", "device", "threads")}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_checkpoint_that_does_not_fit_is_as_good_as_none(folder: Path, damage: str) -> None:
    of = ready(folder)
    place = folder / "place"
    with pytest.raises(Killed):
        of.train(Watched(place, until=2))
    DAMAGES[damage](place / "state.safetensors")
    again = Watched(place, keep=0)
    trained = of.train(again)
    assert again.spent == Spent() and sorted(again.seen) == [1, 2, 3, 4, 5]
    whole, states = of.whole()
    assert_same(trained, whole)
    assert again.seen == states


def test_a_checkpoint_that_does_fit_is_not(folder: Path) -> None:
    """The same, rewritten without a change, is taken up: the test above can fail."""
    of = ready(folder)
    with pytest.raises(Killed):
        of.train(Watched(folder / "place", until=2))
    rewrite(folder / "place" / "state.safetensors", lambda content: None)
    again = Watched(folder / "place", keep=0)
    of.train(again)
    assert sorted(again.seen) == [3, 4, 5]


# when one is written


def test_checkpoints_are_at_least_an_interval_apart(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    monkeypatch.setattr("whichloss.study.checkpoint.time.monotonic", lambda: clock[0])
    place, written = Checkpoints(folder / "place", "key", CPU, interval=60), []
    course = course_of(nn.Linear(2, 1))
    for seconds in (10, 49, 1, 30, 30, 59, 2):
        clock[0] += seconds
        place.offer(course)
        written.append(place.path.exists())
        place.path.unlink(missing_ok=True)
    assert written == [False, False, True, False, True, False, True]


def test_the_environment_says_how_often(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(SECONDS, raising=False)
    assert Checkpoints(tmp_path, "key", CPU).interval == 60
    for text, seconds in (("0", 0), ("2.5", 2.5), ("inf", inf)):
        monkeypatch.setenv(SECONDS, text)
        assert Checkpoints(tmp_path, "key", CPU).interval == seconds
    for text in ("often", "-1", "nan", ""):
        monkeypatch.setenv(SECONDS, text)
        with pytest.raises(UserError, match=f"{SECONDS} is '{text}'; say a number of seconds, such as 60"):
            seconds_between()


def test_time_and_memory_before_the_cut_are_not_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock, peaks = [0.0], iter((700.0, 300.0, None))
    monkeypatch.setattr("whichloss.study.checkpoint.time.monotonic", lambda: clock[0])
    monkeypatch.setattr("whichloss.study.checkpoint.machine.peak_memory", lambda device: next(peaks))
    course = course_of(nn.Linear(2, 1))
    for at, seconds in enumerate((5.0, 8.0, 11.0)):
        place = Checkpoints(tmp_path, "key", CPU, interval=0)
        place.resume(course)
        clock[0] += seconds
        place.offer(course)
        found = Checkpoint.load(place.path)
        assert found is not None
        assert found.spent == Spent(sum((5.0, 8.0, 11.0)[: at + 1]), 700.0, at)


def test_the_record_has_the_costs_of_the_whole_run_and_results_without_them(folder: Path) -> None:
    of = ready(folder)
    with pytest.raises(Killed):
        of.train(Watched(folder / "place", until=2))
    file = folder / "place" / "state.safetensors"
    rewrite(file, lambda content: content.update(spent=Spent(seconds=1000.0, peak=1e6, continued=4)))
    record, outputs = compute(of.run, [], of.cases, CPU, checkpoints=Checkpoints(folder / "place", "key", CPU, inf))
    whole, expected = compute(of.run, [], of.cases, CPU)
    assert 1000 < record["seconds"] < 1100 and whole["seconds"] < 100
    assert (record["peak_memory_mib"], record["continued"]) == (1e6, 5)
    costs = ("seconds", "peak_memory_mib", "continued")
    assert {name: one for name, one in record.items() if name not in costs} == {
        name: one for name, one in whole.items() if name not in costs
    }
    assert all(torch.equal(outputs[name], expected[name]) for name in expected)


def test_a_place_that_cannot_be_written_ends_no_training(folder: Path, capfd: pytest.CaptureFixture) -> None:
    (folder / "file").write_text("no folder")
    of = ready(folder)
    whole, _ = of.whole()
    assert_same(of.train(Checkpoints(folder / "file", "key", CPU, interval=0)), whole)
    assert capfd.readouterr().err.count("no checkpoint could be written: ") == EPOCHS


class Remembering(torch.optim.SGD):
    """An optimizer with a state of its own kind."""

    def step(self, closure: Any = None) -> Any:
        self.state[self.param_groups[0]["params"][0]]["history"] = {1, 2}
        return super().step(closure)


def test_a_state_that_is_neither_json_nor_tensor_ends_no_training(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture
) -> None:
    def build(self: SGD, groups: Groups) -> torch.optim.Optimizer:
        return Remembering(groups, lr=self.lr)

    monkeypatch.setattr(SGD, "build", build)
    place = Checkpoints(folder / "place", "key", CPU, interval=0)
    ready(folder, "SGD()").train(place)
    assert not place.path.exists()
    assert "a set can be kept neither as JSON nor as a tensor" in capfd.readouterr().err


# what is left behind


def test_a_run_that_ends_leaves_no_checkpoint(tmp_path: Path) -> None:
    place = Checkpoints(tmp_path / "checkpoints" / "key", "key", CPU, interval=0)
    place.remove()
    place.offer(course_of(nn.Linear(2, 1)))
    assert [path.name for path in place.path.parent.iterdir()] == ["state.safetensors"]
    place.remove()
    assert not list((tmp_path / "checkpoints").iterdir())


def test_checkpoints_of_finished_runs_are_cleaned_away(tmp_path: Path) -> None:
    """A process may die between the end of a run and the end of its checkpoint."""
    store = Store(tmp_path)
    for key, outcome in (("aa" * 32, "finished"), ("bb" * 32, "died"), ("cc" * 32, None)):
        Checkpoints(store.checkpoint(key), key, CPU, interval=0).offer(course_of(nn.Linear(2, 1)))
        if outcome is not None:
            store.write(key, {"outcome": outcome}, {})
    left = next((tmp_path / "checkpoints").glob("cc*")) / ".state.safetensors-host-1-aa"
    left.write_bytes(b"of another machine")
    store.clean()
    assert sorted(one.name[:2] for one in (tmp_path / "checkpoints").iterdir()) == ["bb", "cc"]
    assert left.exists()


def test_what_a_dead_process_left_half_written_is_cleaned_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, key = Store(tmp_path), "dd" * 32
    monkeypatch.setattr("whichloss.study.store.os.getpid", lambda: 2**22 + 1)  # more than there can be
    monkeypatch.setattr(Path, "replace", lambda self, target: (_ for _ in ()).throw(Killed()))
    with pytest.raises(Killed):
        Checkpoints(store.checkpoint(key), key, CPU, interval=0).offer(course_of(nn.Linear(2, 1)))
    assert len(list(store.checkpoint(key).iterdir())) == 1
    store.clean()
    assert not list(store.checkpoint(key).iterdir())


# the parts


def course_of(network: nn.Module, optimizer: Optimizer | None = None) -> Course:
    made = optimizer_of(optimizer or Adam(), network)
    return Course(network, made, Precision("float32", CPU).scaler, {"order": torch.Generator()}, CPU)


def test_plain_values_and_tensors_come_back_as_they_were() -> None:
    value = {
        0: {"step": torch.tensor(3.0), "buffer": None, "betas": (0.9, 0.999)},
        "nested": [1, True, -0.0, 0.1 + 0.2, 5e-324, 1e308, inf, "text", [], (), {}],
        "tensors": [torch.arange(6).reshape(2, 3).T, torch.empty(0), torch.ones(2, dtype=torch.bfloat16)],
        ("a", 1): {"tensor": {"tuple": 1}},
    }
    tensors: dict[str, Tensor] = {}
    text = json.dumps(pack(value, tensors))
    back = unpack(json.loads(text), tensors)
    assert repr(back) == repr(value)
    assert unpack(json.loads(json.dumps(pack(nan, {}))), {}) != 0
    assert back[0]["betas"] == (0.9, 0.999) and type(back[0]["betas"]) is tuple
    for wrong in ({1}, 1j, b"bytes", object(), torch.float32):
        with pytest.raises(TypeError, match="can be kept neither as JSON nor as a tensor"):
            pack([wrong], {})


def test_tensors_are_kept_to_the_bit_and_in_their_type(tmp_path: Path) -> None:
    shared = torch.randn(4)
    kept = {
        "half": torch.randn(3, 2).half(), "short": torch.randn(5).bfloat16(), "double": torch.randn(2).double(),
        "bytes": torch.get_rng_state(), "truth": torch.tensor([True, False]), "none": torch.empty(0, 3),
        "number": torch.tensor(7), "turned": torch.randn(3, 4).T, "nan": torch.tensor([nan, inf, -0.0]),
        "shared": shared, "again": shared,
    }  # fmt: skip
    Checkpoint({}, Spent(), kept).save(tmp_path / "file")
    found = Checkpoint.load(tmp_path / "file")
    assert found is not None and found.state.keys() == kept.keys()
    for name, one in kept.items():
        other = found.state[name]
        assert (other.dtype, other.shape) == (one.dtype, one.shape)
        assert other.reshape(-1).view(torch.uint8).equal(one.reshape(-1).view(torch.uint8))


def test_an_optimizers_state_gets_the_memory_order_of_its_weights_back() -> None:
    """In another order sums and vector instructions may round otherwise."""

    def layers() -> nn.Module:
        torch.manual_seed(0)
        return nn.Conv2d(3, 4, 3).to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    course, other = course_of(layers()), course_of(layers())
    course.network(torch.randn(2, 3, 5, 5)).sum().backward()
    course.optimizer.step()
    tensors: dict[str, Tensor] = {}
    packed = pack(course.state(), tensors)
    plain = {name: one.clone(memory_format=torch.contiguous_format) for name, one in tensors.items()}
    other.restore(unpack(packed, plain))
    weight = other.network.weight
    assert other.optimizer.state[weight]["exp_avg"].stride() == weight.stride() != torch.empty(4, 3, 3, 3).stride()
    assert digest(other.state()) == digest(course.state())


def test_the_best_epoch_is_a_copy() -> None:
    network = nn.Linear(2, 1)
    best = Best().or_now(1, 0.5, RocAuc(), network)
    before = network.weight.detach().clone()
    with torch.no_grad():
        network.weight += 1
    assert torch.equal(best.weights["weight"], before)
