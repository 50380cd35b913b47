"""The course of a run: ``metrics.csv`` always, TensorBoard and MLflow beside it where their packages are installed."""

from __future__ import annotations

import csv
import json
import logging
import math
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, astuple, dataclass, fields
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from calcmap import __version__
from calcmap.core.config import config_to_dict
from calcmap.core.errors import ConfigError
from calcmap.training.config import TrainConfig

if TYPE_CHECKING:
    from mlflow import MlflowClient

logger = logging.getLogger(__name__)

METRICS_FILE = "metrics.csv"
STEP_LOSS = "step_loss"
"""Name of the curve of every single step's loss, in TensorBoard alone; the other curves are named as the columns."""
EVENT_FILES = "events.out.tfevents.*"
MLFLOW_RUN_FILE = "mlflow_run.txt"
"""Holds MLflow's id of the run, so that a resumed run goes on in the same one."""
MLFLOW_EXPERIMENT = "calcmap"


@dataclass(frozen=True)
class MetricsRow:
    """What is written down at each validation.

    Parameters
    ----------
    step : int
        Steps done.
    learning_rate : float
        Of the last of them.
    train_loss : float
        Mean over the steps since the row before.
    validation_metric : float
        Higher is better.
    seconds : float
        Since the run was started or resumed.
    peak_memory_mb : float
        Likewise; of the GPU, or on a CPU of the whole process. Not a number where the system does not count it.
    """

    step: int
    learning_rate: float
    train_loss: float
    validation_metric: float
    seconds: float
    peak_memory_mb: float


METRICS_COLUMNS = tuple(each.name for each in fields(MetricsRow))


class RunLog(Protocol):
    """One place that a run's course is written to."""

    def add_step(self, step: int, loss: float) -> None:
        """Note one step's loss."""

    def add_row(self, row: MetricsRow) -> None:
        """Note a validation."""

    def close(self, *, is_finished: bool) -> None:
        """Write what is still held back."""


class RunLogs:
    """All places that a run's course is written to; none of them for a process that does not write.

    Parameters
    ----------
    logs : sequence of RunLog
        Written in this order.
    """

    def __init__(self, logs: Sequence[RunLog]) -> None:
        self._logs = tuple(logs)

    def add_step(self, step: int, loss: float) -> None:
        """Note one step's loss."""
        for log in self._logs:
            log.add_step(step, loss)

    def add_row(self, row: MetricsRow) -> None:
        """Note a validation."""
        for log in self._logs:
            log.add_row(row)

    def close(self, *, is_finished: bool) -> None:
        """Write what is still held back."""
        for log in self._logs:
            log.close(is_finished=is_finished)


@contextmanager
def open_logs(
    run: Path, config: TrainConfig, *, step: int, environment: Mapping[str, str] | None = None
) -> Iterator[RunLogs]:
    """Yield the logs of a run that has done ``step`` steps; whatever they hold of later steps is dropped.

    A resumed run takes those steps again, so every point stands once, however often the run was interrupted.

    Parameters
    ----------
    run : Path
        Run folder. ``metrics.csv`` is written there, and TensorBoard's event files if the package ``tensorboard`` is
        installed.
    config : TrainConfig
        Settings, written once as hyperparameters.
    step : int
        0 for a new run.
    environment : mapping of str, optional
        The process's own by default. With ``MLFLOW_TRACKING_URI`` in it, and the package ``mlflow`` installed, rows go
        to that server too; ``MLFLOW_EXPERIMENT_NAME`` names the experiment.

    Raises
    ------
    ConfigError
        MLflow's server does not take the run.
    """
    environment = os.environ if environment is None else environment
    logs = RunLogs(
        [_MetricsFile(run, step), *_tensorboard(run, config, step), *_mlflow(run, config, step, environment)]
    )
    try:
        yield logs
    except BaseException:
        logs.close(is_finished=False)
        raise
    logs.close(is_finished=True)


def hyperparameters(config: TrainConfig) -> dict[str, int | float | str | bool]:
    """Return a run's settings as one flat table: ``network.reach`` and so on; lists and tables of sites as JSON."""
    flat: dict[str, int | float | str | bool] = {}
    for name, value in config_to_dict(config).items():
        inner = value if isinstance(value, dict) and name != "site_weights" else None
        for key, item in [(name, value)] if inner is None else [(f"{name}.{key}", inner[key]) for key in inner]:
            flat[key] = item if isinstance(item, int | float | str) else json.dumps(item)
    return flat


class _MetricsFile:
    """``metrics.csv``: a row a validation."""

    def __init__(self, run: Path, step: int) -> None:
        self._path = run / METRICS_FILE
        rows = list(csv.reader(self._path.read_text(encoding="utf-8").splitlines())) if self._path.exists() else []
        kept = [row for row in rows[1:] if int(row[0]) <= step]
        with self._path.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([METRICS_COLUMNS, *kept])

    def add_step(self, step: int, loss: float) -> None:
        pass

    def add_row(self, row: MetricsRow) -> None:
        with self._path.open("a", newline="", encoding="utf-8") as file:
            csv.writer(file).writerow([row.step, *(f"{value:.6g}" for value in astuple(row)[1:])])

    def close(self, *, is_finished: bool) -> None:
        pass


class _TensorBoard:
    """Event files of TensorBoard, in the run folder itself, so that a folder of runs is what ``--logdir`` wants."""

    def __init__(self, run: Path, config: TrainConfig) -> None:
        from torch.utils.tensorboard import FileWriter
        from torch.utils.tensorboard.summary import hparams

        self._writer = FileWriter(str(run))
        # The curve that a table of runs is sorted by is named here; its value is not written.
        experiment, start, self._end = hparams(  # type: ignore[no-untyped-call]
            hyperparameters(config), {"validation_metric": 0.0}
        )
        self._writer.add_summary(experiment)
        self._writer.add_summary(start)

    def add_point(self, name: str, value: float, step: int, wall_time: float | None = None) -> None:
        from torch.utils.tensorboard.summary import scalar

        self._writer.add_summary(scalar(name, value), step, wall_time)  # type: ignore[no-untyped-call]

    def add_step(self, step: int, loss: float) -> None:
        self.add_point(STEP_LOSS, loss, step)

    def add_row(self, row: MetricsRow) -> None:
        for name, value in _values(row).items():
            self.add_point(name, value, row.step)
        self.flush()

    def flush(self) -> None:
        self._writer.flush()

    def close(self, *, is_finished: bool) -> None:
        if is_finished:
            self._writer.add_summary(self._end)
        self._writer.close()


def _tensorboard(run: Path, config: TrainConfig, step: int) -> list[RunLog]:
    if find_spec("tensorboard") is None:
        logger.info("no TensorBoard log: the package tensorboard is not installed (pip install 'calcmap[logs]')")
        return []
    earlier_files = list(run.glob(EVENT_FILES))
    earlier = _points_until(run, step) if earlier_files and step else {}
    log = _TensorBoard(run, config)
    for (name, at_step), (value, wall_time) in earlier.items():
        log.add_point(name, value, at_step, wall_time)
    log.flush()
    # Only now, when all that is worth keeping stands in the new file.
    for path in earlier_files:
        path.unlink()
    return [log]


def _points_until(run: Path, step: int) -> dict[tuple[str, int], tuple[float, float]]:
    """Return value and time of every point up to a step that the event files hold, by its curve and step."""
    from tensorboard.backend.event_processing.event_accumulator import SCALARS, EventAccumulator

    events = EventAccumulator(str(run), size_guidance={SCALARS: 0})  # 0: all of them
    events.Reload()
    return {
        (name, point.step): (point.value, point.wall_time)
        for name in events.Tags()[SCALARS]
        for point in events.Scalars(name)
        if point.step <= step
    }


def _values(row: MetricsRow) -> dict[str, float]:
    """Return a row's figures by name; what is no number, as memory is where it is not counted, has no curve."""
    return {name: value for name, value in asdict(row).items() if name != "step" and math.isfinite(value)}


class _MLflow:
    """A run on an MLflow server; a server that fails later on costs points, not the training."""

    def __init__(self, client: MlflowClient, run_id: str) -> None:
        self._client = client
        self._run_id = run_id
        # Points cannot be taken back there; those of steps that a resumed run takes again are the same.
        self._steps = {point.step for point in client.get_metric_history(run_id, "validation_metric")}

    def add_step(self, step: int, loss: float) -> None:
        pass

    def add_row(self, row: MetricsRow) -> None:
        from mlflow.entities import Metric
        from mlflow.exceptions import MlflowException

        if row.step in self._steps:
            return
        now_ms = int(time.time() * 1000)
        try:
            points = [Metric(name, value, now_ms, row.step) for name, value in _values(row).items()]
            self._client.log_batch(self._run_id, metrics=points)
        except MlflowException as error:
            logger.warning("MLflow did not take step %d: %s", row.step, error)

    def close(self, *, is_finished: bool) -> None:
        from mlflow.exceptions import MlflowException

        try:
            self._client.set_terminated(self._run_id, "FINISHED" if is_finished else "FAILED")
        except MlflowException as error:
            logger.warning("MLflow did not take the end of the run: %s", error)


def _mlflow(run: Path, config: TrainConfig, step: int, environment: Mapping[str, str]) -> list[RunLog]:
    uri = environment.get("MLFLOW_TRACKING_URI", "")
    if not uri:
        return []
    try:
        from mlflow import MlflowClient
        from mlflow.exceptions import MlflowException
    except ImportError:
        logger.warning("MLFLOW_TRACKING_URI is set, but the package mlflow is not installed: no log is sent there")
        return []
    try:
        client = MlflowClient(uri)
        id_file = run / MLFLOW_RUN_FILE
        if step and id_file.exists():
            run_id = id_file.read_text(encoding="utf-8").strip()
            client.update_run(run_id, status="RUNNING")
        else:
            run_id = _begin_mlflow(client, environment.get("MLFLOW_EXPERIMENT_NAME") or MLFLOW_EXPERIMENT, run, config)
            id_file.write_text(run_id + "\n", encoding="utf-8")
        return [_MLflow(client, run_id)]
    except MlflowException as error:
        raise ConfigError(f"MLflow at {uri} does not take the run: {error}") from error


def _begin_mlflow(client: MlflowClient, experiment: str, run: Path, config: TrainConfig) -> str:
    """Return the id of a new run, its settings written; each task is an experiment's run of its own."""
    from mlflow.entities import Param

    known = client.get_experiment_by_name(experiment)
    experiment_id = client.create_experiment(experiment) if known is None else known.experiment_id
    begun = client.create_run(experiment_id, run_name=run.name, tags={"calcmap_version": __version__})
    parameters = [Param(name, str(value)) for name, value in hyperparameters(config).items()]
    client.log_batch(begun.info.run_id, params=parameters)
    return str(begun.info.run_id)
