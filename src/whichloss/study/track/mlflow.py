"""MLflow: a run of its own for each run, in an experiment named after the study."""

import logging
import os
import time
from collections.abc import Mapping
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

from whichloss.core import UserError

from ..store import write_text
from .tracker import Told, Tracker

# Before MLflow is loaded, which reads some of it then. A server that is gone must not hold up a training for minutes,
# and nobody asked for news of their studies to be sent elsewhere; folders are still read by every version.
for _name, _value in {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ALLOW_FILE_STORE": "true",
}.items():
    os.environ.setdefault(_name, _value)

from mlflow.entities import Metric, Param, RunTag  # noqa: E402
from mlflow.exceptions import MlflowException  # noqa: E402
from mlflow.tracking import MlflowClient  # noqa: E402

logging.getLogger("mlflow").setLevel(logging.WARNING)
_SQLITE = "sqlite:///"


class Mlflow(Tracker):
    """Metrics by epoch, settings as parameters, study, key and outcome as tags.

    A run cannot be taken up again without asking the server how far it came. So its number is noted beside the
    checkpoint, and where it was cut off, the run is deleted and written anew.
    """

    @staticmethod
    def address(given: str, home: Path, study: str) -> str:
        if not given:
            raise UserError(
                "--track mlflow needs a place: mlflow:./mlruns, mlflow:sqlite:///FILE or mlflow:http://HOST"
            )
        if given.startswith(_SQLITE):
            return _SQLITE + str(Path(given.removeprefix(_SQLITE)).absolute())
        return given if "://" in given else Path(given).expanduser().absolute().as_uri()

    @staticmethod
    def prepare(address: str, study: str) -> None:
        client = MlflowClient(address)
        if client.get_experiment_by_name(study) is None:
            client.create_experiment(study)

    def __init__(self, address: str, told: Told) -> None:
        self.client = MlflowClient(address)
        noted = told.aside / f"mlflow-{sha256(address.encode()).hexdigest()[:16]}"
        if noted.exists():
            with suppress(MlflowException):  # somebody else has deleted it
                self.client.delete_run(noted.read_text())
        experiment = self.client.get_experiment_by_name(told.study)
        assert experiment is not None, f"the experiment {told.study} is gone"
        tags = {"study": told.study, "key": told.key, "outcome": "running"}
        self.run = self.client.create_run(experiment.experiment_id, tags=tags, run_name=told.name).info.run_id
        write_text(noted, self.run)
        settings = [Param(name, str(value)[:5000]) for name, value in told.parameters.items()]
        self.client.log_batch(self.run, params=settings)

    def epoch(self, number: int, values: Mapping[str, float]) -> None:
        self.client.log_batch(self.run, metrics=_metrics(number, values))

    def end(self, epochs: int, scores: Mapping[str, float], outcome: str, message: str) -> None:
        said = {"outcome": outcome} | ({"message": message[:5000]} if message else {})
        tags = [RunTag(name, value) for name, value in said.items()]
        self.client.log_batch(self.run, metrics=_metrics(epochs, scores), tags=tags)
        self.client.set_terminated(self.run, "FINISHED" if outcome == "finished" else "FAILED")


def _metrics(step: int, values: Mapping[str, float]) -> list[Metric]:
    now = round(time.time() * 1000)
    return [Metric(name, value, now, step) for name, value in values.items()]
