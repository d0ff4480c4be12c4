"""TensorBoard: a folder for each run, and in it a file of events for each attempt at it."""

import re
import time
from collections.abc import Mapping
from pathlib import Path

from tensorboard.compat.proto.event_pb2 import Event, SessionLog  # type: ignore[attr-defined]  # made when loaded
from tensorboard.compat.proto.summary_pb2 import Summary  # type: ignore[attr-defined]
from tensorboard.summary.writer.record_writer import RecordWriter
from torch.utils.tensorboard.summary import hparams, scalar, text

from .tracker import Told, Tracker


class TensorBoard(Tracker):
    """Scalars by epoch, settings as hyperparameters, the rest as text.

    Written directly, not by SummaryWriter: that hands events to a thread, whose errors show late or not at all.
    """

    @staticmethod
    def address(given: str, home: Path, study: str) -> str:
        return str((Path(given).expanduser() / study if given else home / "tensorboard").absolute())

    @staticmethod
    def prepare(address: str, study: str) -> None:
        Path(address).mkdir(parents=True, exist_ok=True)

    def __init__(self, address: str, told: Told) -> None:
        folder = Path(address) / re.sub(r"[^\w.,=()+-]+", "_", told.name)
        folder.mkdir(parents=True, exist_ok=True)
        self.file = (folder / f"events.out.tfevents.{time.time_ns()}.whichloss").open("wb")
        self.records = RecordWriter(self.file)
        self._write(Event(file_version="brain.Event:2"))
        # Whatever an earlier attempt wrote is forgotten from here on. Its file stays: without it, a viewer that is open
        # does not find its way to this one.
        self._write(Event(step=0, session_log=SessionLog(status=SessionLog.START)))
        shown, begun, self.ended = hparams(dict(told.parameters), dict.fromkeys(("epoch/loss", *told.scores), 0.0))
        texts = {"study": told.study, "key": told.key}
        self._tell(0, shown, begun, *(text(f"run/{name}", one) for name, one in texts.items()))

    def epoch(self, number: int, values: Mapping[str, float]) -> None:
        self._tell(number, *(scalar(name, value) for name, value in values.items()))

    def end(self, epochs: int, scores: Mapping[str, float], outcome: str, message: str) -> None:
        said = {"outcome": outcome} | ({"message": message} if message else {})
        self._tell(epochs, *(text(f"run/{name}", one) for name, one in said.items()))
        self._tell(epochs, *(scalar(name, value) for name, value in scores.items()), self.ended)
        self.file.close()

    def _tell(self, step: int, *summaries: Summary) -> None:
        for one in summaries:
            self._write(Event(step=step, summary=one))

    def _write(self, event: Event) -> None:
        event.wall_time = time.time()
        self.records.write(event.SerializeToString())
        self.file.flush()
