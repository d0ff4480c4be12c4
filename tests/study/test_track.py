"""Runs told to TensorBoard and MLflow as they go: read with the tools' own readers, and of no weight for any result."""

import json
import re
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from mlflow.entities import Run as Shown
from mlflow.tracking import MlflowClient
from mlflow.utils.validation import _validate_metric_name
from tensorboard.backend.event_processing.plugin_event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import metadata
from tensorboard.util.tensor_util import make_ndarray

from small_studies import TINY, Answer, cli, tiny_study, write_study, write_tiny
from whichloss.core import registry
from whichloss.metrics import Metric
from whichloss.study import execute
from whichloss.study.checkpoint import SECONDS, Checkpoints
from whichloss.study.conduct import conduct
from whichloss.study.course import Course
from whichloss.study.runs import runs_of
from whichloss.study.shelf import Shelf
from whichloss.study.store import Store
from whichloss.study.track import Tracks
from whichloss.study.track.journal import _title
from whichloss.study.worker import fulfil, order

EPOCHS = 4
TRAINING = TINY["training"] | {"stages": [{"epochs": EPOCHS, "batch": 8}]}
LOST = "is left alone from now on; the runs go on"
Points = list[tuple[int, float]]  # (step, value)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_tiny(tmp_path)
    return tmp_path


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers answer without a process of their own, which saves the seconds that MLflow takes to load."""

    def ask(asked: Any, message: dict[str, Any]) -> str:
        store, *roots = map(Path, asked.command[3:])
        return json.dumps(fulfil(json.loads(json.dumps(message)), Store(store), Shelf(roots)))

    monkeypatch.setattr(execute.Worker, "_alive", lambda self: self)
    monkeypatch.setattr(execute, "_ask", ask)


def run(folder: Path, store: str, *track: str, workers: int = 1, **changes: Any) -> Answer:
    path = write_study(folder, **{"training": TRAINING} | changes)
    wanted = [part for one in track for part in ("--track", one)]
    return cli("run", path, "--store", folder / store, "--workers", workers, *wanted, here=folder)


def records(store: Path) -> dict[str, dict[str, Any]]:
    found = [json.loads(path.read_text()) for path in store.glob("runs/*/*/record.json")]
    return {one["key"]: one for one in found}


def results(store: Path) -> bytes:
    return (store / "studies" / "tiny" / "results.csv").read_bytes()


# as the tools read it


class Board:
    """A run as TensorBoard's server reads it."""

    def __init__(self, folder: Path) -> None:
        self.events = EventAccumulator(str(folder), tensor_size_guidance={"scalars": 0, "text": 0})
        self.events.Reload()

    @property
    def scalars(self) -> dict[str, Points]:
        found = {name: self.events.Tensors(name) for name in self.events.PluginTagToContent("scalars")}
        return {name: [(one.step, make_ndarray(one.tensor_proto).item()) for one in found[name]] for name in found}

    @property
    def settings(self) -> dict[str, Any]:
        content = self.events.PluginTagToContent("hparams")[metadata.SESSION_START_INFO_TAG]
        found = metadata.parse_session_start_info_plugin_data(content).hparams
        return {name: getattr(one, one.WhichOneof("kind")) for name, one in found.items()}

    def text(self, name: str) -> str:
        [one] = self.events.Tensors(f"run/{name}/text_summary")
        return one.tensor_proto.string_val[0].decode()


def boards(folder: Path) -> dict[str, Board]:
    """By the beginning of a key."""
    return {one.name[-8:]: Board(one) for one in folder.iterdir()}


def shown(uri: str, study: str = "tiny") -> dict[str, Shown]:
    """The runs that MLflow shows, by key; there must be one each."""
    client = MlflowClient(uri)
    experiment = client.get_experiment_by_name(study)
    assert experiment is not None
    found = client.search_runs([experiment.experiment_id])
    assert len({one.data.tags["key"] for one in found}) == len(found)
    return {one.data.tags["key"]: one for one in found}


def history(uri: str, one: Shown, name: str) -> Points:
    return [(point.step, point.value) for point in MlflowClient(uri).get_metric_history(one.info.run_id, name)]


def points(record: dict[str, Any], name: str) -> Points:
    return [(epoch, entry[name]) for epoch, entry in enumerate(record["curve"], 1)]


def about(expected: Points) -> Any:
    """TensorBoard keeps single precision."""
    return [(step, pytest.approx(value, rel=1e-6)) for step, value in expected]


# what is told


@pytest.mark.usefixtures("here")
def test_both_tools_show_what_the_store_has_and_results_are_the_same_bytes(folder: Path) -> None:
    uri = f"sqlite:///{folder}/mlflow.db"
    assert run(folder, "plain").code == 0
    answer = run(folder, "told", "tensorboard", "mlflow:sqlite:///mlflow.db", "tensorboard:board")
    assert answer.code == 0 and "warning" not in answer.err
    assert results(folder / "told") == results(folder / "plain")
    kept = records(folder / "told")
    assert kept.keys() == records(folder / "plain").keys() and len(kept) == 4

    told = shown(uri)
    assert told.keys() == kept.keys()
    for place in (folder / "told/studies/tiny/tensorboard", folder / "board/tiny"):
        found = boards(place)
        assert found.keys() == {key[:8] for key in kept}
        for key, record in kept.items():
            board, spec = found[key[:8]], record["spec"]
            for name in ("loss", "inner", "idle"):
                assert board.scalars[f"epoch/{name}"] == about(points(record, name))
            assert board.scalars["test/RocAuc"] == about([(EPOCHS, record["scores"]["RocAuc()"]["value"])])
            assert board.scalars["inner/RocAuc"] == about([(EPOCHS, record["inner"]["RocAuc()"]["value"])])
            assert [board.text(name) for name in ("study", "key", "outcome")] == ["tiny", key, "finished"]
            expected = {name: spec[name] for name in ("loss", "data", "network", "fold", "seed")}
            expected |= {"stress": "", "learning_rate": 0.01, "optimizer": "Adam(lr=0.01, weight_decay=0.0)"}
            assert board.settings == expected
            assert told[key].data.params == {name: str(value) for name, value in expected.items()}
    for key, record in kept.items():
        one = told[key]
        for name in ("loss", "inner", "idle"):
            assert history(uri, one, f"epoch/{name}") == points(record, name)
        assert one.data.metrics["test/RocAuc"] == record["scores"]["RocAuc()"]["value"]
        assert one.data.metrics["inner/RocAuc"] == record["inner"]["RocAuc()"]["value"]
        assert [one.data.tags[name] for name in ("study", "outcome")] == ["tiny", "finished"]
        assert one.info.status == "FINISHED"
    again = run(folder, "told", "tensorboard", "mlflow:sqlite:///mlflow.db")
    assert again.code == 0 and len(shown(uri)) == 4, "what is finished is not told again"


def test_from_worker_processes(folder: Path) -> None:
    uri = (folder / "mlruns").as_uri()
    assert run(folder, "told", "tensorboard", "mlflow:./mlruns", workers=2).code == 0
    kept = records(folder / "told")
    told, found = shown(uri), boards(folder / "told/studies/tiny/tensorboard")
    assert len(kept) == 4 and told.keys() == kept.keys()
    for key, record in kept.items():
        assert history(uri, told[key], "epoch/loss") == points(record, "loss")
        assert found[key[:8]].scalars["epoch/loss"] == about(points(record, "loss"))
    assert not list((folder / "told" / "checkpoints").glob("*"))


@pytest.mark.usefixtures("here")
def test_tuned_settings_are_told_and_the_test_part_of_a_trial_is_not(folder: Path) -> None:
    tune = {"trials": 3, "over": {"training.lr": "loguniform(1e-4, 1e-1)"}}
    assert run(folder, "told", "mlflow:mlruns", tune=tune, design={"folds": 2, "inner": 0.25}).code == 0
    kept, told = records(folder / "told"), shown((folder / "mlruns").as_uri())
    assert len(kept) == len(told) == 12
    rates = set()
    for key, record in kept.items():
        tuned = record["spec"]["tuned"]
        assert float(told[key].data.params["learning_rate"]) == tuned.get("training.lr", 0.01)
        assert ("tuned/training.lr" in told[key].data.params) == bool(tuned)
        assert not any(name.startswith("test/") for name in told[key].data.metrics)
        rates.add(tuned.get("training.lr"))
    assert len(rates) > 2


@pytest.mark.usefixtures("here")
def test_a_run_that_diverged_is_told_as_far_as_it_came(folder: Path) -> None:
    stages = [{"epochs": 2, "batch": 8}, {"epochs": 8, "batch": 2, "rate": 1e8}]
    training = TINY["training"] | {"optimizer": "SGD(lr=0.01)", "stages": stages}
    answer = run(
        folder, "told", "tensorboard", "mlflow:mlruns", training=training, network="SmallConvNet(normalize=false)"
    )
    assert answer.code == 1
    kept, told = records(folder / "told"), shown((folder / "mlruns").as_uri())
    failed = [key for key, record in kept.items() if record["outcome"] == "diverged"]
    assert failed
    for key in failed:
        board = boards(folder / "told/studies/tiny/tensorboard")[key[:8]]
        assert (board.text("outcome"), board.text("message")) == ("diverged", kept[key]["message"])
        assert (told[key].info.status, told[key].data.tags["outcome"]) == ("FAILED", "diverged")
        assert told[key].data.tags["message"] == kept[key]["message"]
        epoch = re.search(r"in epoch (\d+)", kept[key]["message"])
        assert epoch is not None and int(epoch[1]) > 2
        assert [step for step, _ in board.scalars["epoch/loss"]] == list(range(1, int(epoch[1])))


def test_every_metric_has_a_name_that_mlflow_takes() -> None:
    texts = {repr(one) for cls in registry(Metric).values() for one in cls.examples()}  # type: ignore[attr-defined]
    names = {_title(text) for text in texts}
    assert len(names) == len(texts) > 10
    for name in names:
        _validate_metric_name(f"test/{name}")


# a run that is cut off


class Killed(BaseException):
    """What no outcome catches, as a signal would end the process."""


CUTS = {  # where; and whether there is a checkpoint to go on from
    "before the checkpoint of epoch 3": ("offer", 3, True, True),
    "after the checkpoint of epoch 3": ("offer", 3, False, True),
    "after the last checkpoint": ("offer", EPOCHS, False, True),
    "in epoch 3, without checkpoints": ("offer", 3, True, False),
    "before its record is kept": ("write", 0, True, True),
    "after its record is kept": ("write", 0, False, True),
}


@pytest.mark.parametrize("cut", CUTS)
def test_a_run_that_is_cut_off_has_every_epoch_once(cut: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name, epoch, first, kept = CUTS[cut]
    owner = {"offer": Checkpoints, "write": Store}[name]
    original: Callable[..., None] = getattr(owner, name)
    monkeypatch.setenv(SECONDS, "0" if kept else "1000")
    study, store, shelf = tiny_study(training=TRAINING), Store(folder / "store"), Shelf([folder])
    uri, place = (folder / "mlruns").as_uri(), folder / "board" / "tiny"
    tracks = Tracks([f"tensorboard:{folder}/board", f"mlflow:{uri}"], store.study("tiny"), "tiny")
    tracks.prepare(pytest.fail)
    one = next(iter(runs_of(study, shelf)))
    message = order(one, ["RocAuc()"], "cpu") | tracks.order()

    def cut_off(self: Any, *rest: Any) -> None:
        now = not isinstance(rest[0], Course) or len(rest[0].curve) == epoch
        if now and first:
            raise Killed
        original(self, *rest)
        if now:
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(owner, name, cut_off)
        with pytest.raises(Killed):
            fulfil(message, store, shelf)
    [viewer] = boards(place).values()  # open while the run is cut off, as a browser is
    assert viewer.scalars["epoch/loss"]
    reply = fulfil(message, store, shelf)
    assert (reply["outcome"], reply["untracked"]) == ("finished", {})
    record = store.record(one.key)
    assert record is not None and record["continued"] == (kept if name == "offer" and epoch else record["continued"])
    [fresh] = boards(place).values()
    viewer.events.Reload()
    for entry in ("loss", "inner", "idle"):
        expected = points(record, entry)
        assert [step for step, _ in expected] == list(range(1, EPOCHS + 1))
        assert fresh.scalars[f"epoch/{entry}"] == about(expected)
        assert viewer.scalars[f"epoch/{entry}"] == about(expected)
        assert history(uri, shown(uri)[one.key], f"epoch/{entry}") == expected
    assert shown(uri)[one.key].info.status == "FINISHED"
    for board in (fresh, viewer):
        assert board.scalars["test/RocAuc"] == about([(EPOCHS, record["scores"]["RocAuc()"]["value"])])
        assert board.text("outcome") == "finished"


# what a person gets wrong


@pytest.mark.parametrize(
    ("track", "said"),
    [
        ("wandb:project", "there is tensorboard, tensorboard:DIR and mlflow:URI; 'wandb' is none"),
        ("Tensorboard", "'Tensorboard' is none"),
        ("./runs", "'./runs' is none"),
        ("", "'' is none"),
        ("mlflow", "--track mlflow needs a place: mlflow:./mlruns"),
        ("mlflow:", "--track mlflow needs a place: mlflow:./mlruns"),
    ],
)
def test_a_place_that_is_none(track: str, said: str, folder: Path) -> None:
    answer = run(folder, "store", "tensorboard", track)
    assert answer.code == 2 and said in answer.err and "Traceback" not in answer.err
    assert not records(folder / "store")


@pytest.mark.parametrize(
    ("track", "module"), [("tensorboard", "tensorboard.compat.proto.event_pb2"), ("mlflow:x", "mlflow.entities")]
)
def test_a_package_that_is_missing(track: str, module: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.delitem(sys.modules, f"whichloss.study.track.{track.partition(':')[0]}", raising=False)
    answer = run(folder, "store", track)
    assert answer.code == 2 and f"--track {track} needs more than a study" in answer.err
    assert "pip install 'whichloss[track]'" in answer.err and "Traceback" not in answer.err
    assert not records(folder / "store")


# what fails while it runs


def assert_only_a_warning(answer: Answer, folder: Path) -> None:
    assert answer.code == 0 and "Traceback" not in answer.err
    assert " ".join(answer.err.split()).count(LOST) == 1
    assert run(folder, "plain").code == 0
    assert results(folder / "told") == results(folder / "plain")


@pytest.mark.usefixtures("here")
def test_a_file_stands_where_the_folder_should_be(folder: Path) -> None:
    (folder / "board").write_text("")
    answer = run(folder, "told", "tensorboard:board", "mlflow:mlruns")
    assert_only_a_warning(answer, folder)
    assert len(shown((folder / "mlruns").as_uri())) == 4, "the other place is told all the same"


@pytest.mark.usefixtures("here")
def test_a_folder_that_goes_away_between_two_runs(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    board, write = folder / "board", Store.write

    def replaced(self: Store, *rest: Any) -> None:
        write(self, *rest)
        if board.is_dir():
            board.rename(folder / "elsewhere")
            board.write_text("")

    monkeypatch.setattr(Store, "write", replaced)
    assert_only_a_warning(run(folder, "told", "tensorboard:board"), folder)
    assert len(boards(folder / "elsewhere" / "tiny")) == 1


@pytest.mark.usefixtures("here")
def test_a_disk_that_is_full_in_the_middle_of_a_run(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tensorboard.summary.writer.record_writer import RecordWriter

    written, write = [0], RecordWriter.write

    def full(self: RecordWriter, data: bytes) -> None:
        written[0] += 1
        if written[0] > 10:
            raise OSError(28, "No space left on device")
        write(self, data)

    monkeypatch.setattr(RecordWriter, "write", full)
    answer = run(folder, "told", "tensorboard:board")
    assert written[0] == 11, "nothing is tried again"
    assert_only_a_warning(answer, folder)


class Server(ThreadingHTTPServer):
    """As much of MLflow's REST interface as a run needs; after so many requests it is gone."""

    def __init__(self, most: int, silent: bool) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.most, self.silent, self.closing = most, silent, threading.Event()
        self.heard: list[tuple[str, dict[str, Any]]] = []
        self.refused = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Server  # type: ignore[assignment]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        if len(self.server.heard) >= self.server.most:
            self.server.refused += 1
            if self.server.silent:
                self.server.closing.wait()
            self.close_connection = True
            return
        path = self.path.partition("?")[0].removeprefix("/api/2.0/mlflow/")
        self.server.heard.append((path, json.loads(body or b"{}")))
        made = sum(one == "runs/create" for one, _ in self.server.heard)
        info = {"run_id": f"run{made}", "run_uuid": f"run{made}", "experiment_id": "7", "status": "RUNNING"}
        answers = {
            "experiments/get-by-name": {"experiment": {"experiment_id": "7", "name": "tiny"}},
            "runs/create": {"run": {"info": info}},
            "runs/get": {"run": {"info": info}},
        }
        text = json.dumps(answers.get(path, {})).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    do_GET = do_POST

    def log_message(self, format: str, *args: Any) -> None: ...


@contextmanager
def serving(most: int = 10**6, silent: bool = False) -> Iterator[Server]:
    server = Server(most, silent)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.closing.set()
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.mark.usefixtures("here")
def test_a_server_is_told(folder: Path) -> None:
    with serving() as server:
        answer = run(folder, "told", f"mlflow:{server.url}")
    assert answer.code == 0 and "warning" not in answer.err
    for number, record in enumerate(sorted(records(folder / "told").values(), key=order_of(server)), 1):
        batches = [body for path, body in server.heard if path == "runs/log-batch" and body["run_id"] == f"run{number}"]
        sent = [one for body in batches for one in body.get("metrics", [])]
        found = [(one["step"], one["value"]) for one in sent if one["key"] == "epoch/loss"]
        assert found == points(record, "loss")
        assert [one["value"] for one in sent if one["key"] == "test/RocAuc"] == [record["scores"]["RocAuc()"]["value"]]
    ended = [body["status"] for path, body in server.heard if path == "runs/update"]
    assert ended == ["FINISHED"] * 4


def order_of(server: Server) -> Callable[[dict[str, Any]], int]:
    """The order in which the runs were begun."""
    begun = [body for path, body in server.heard if path == "runs/create"]
    keys = [tag["value"] for body in begun for tag in body["tags"] if tag["key"] == "key"]
    return lambda record: keys.index(record["key"])


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("silent", [False, True], ids=["gone", "silent"])
@pytest.mark.parametrize("most", [0, 3, 6, 15], ids=["at-once", "at-the-first-run", "in-its-epochs", "in-a-later-run"])
def test_a_server_that_goes_away(most: int, silent: bool, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    with serving(most, silent) as server:
        answer = run(folder, "told", f"mlflow:{server.url}", "tensorboard")
    assert server.refused == 1, "nobody asks again"
    assert_only_a_warning(answer, folder)
    assert f"mlflow:{server.url}" in answer.err.replace("\n", "")
    assert len(boards(folder / "told/studies/tiny/tensorboard")) == 4


@pytest.mark.usefixtures("here")
def test_a_server_that_never_was(folder: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{free.getsockname()[1]}"
        assert_only_a_warning(run(folder, "told", f"mlflow:{address}"), folder)


@pytest.mark.usefixtures("here")
def test_from_python_it_is_a_python_warning(folder: Path) -> None:
    (folder / "board").write_text("")
    study = tiny_study(training=TRAINING)
    with pytest.warns(UserWarning, match=LOST) as said:
        conduct(study, folder / "store", roots=[folder], workers=1, track=[f"tensorboard:{folder}/board"])
    assert len([one for one in said if LOST in str(one.message)]) == 1
    assert len(records(folder / "store")) == 4
