from __future__ import annotations

import csv
import logging
import sys
import warnings
from collections import defaultdict
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from calcmap.core.errors import ConfigError
from calcmap.training import logs
from calcmap.training.logs import (
    EVENT_FILES,
    METRICS_COLUMNS,
    METRICS_FILE,
    MLFLOW_RUN_FILE,
    STEP_LOSS,
    MetricsRow,
    hyperparameters,
    open_logs,
)
from training.small_cases import small_config

WITHOUT_MLFLOW: dict[str, str] = {}


class Stopped(Exception):
    """Stands for whatever ends a run in the middle."""


def row(step: int) -> MetricsRow:
    return MetricsRow(step, 1e-3 / step, 1.0 / step, 0.5 + step / 100, 3.0 * step, 100.0)


def write_run(
    run: Path, *, steps: range, stopped_before: int | None = None, environment: dict[str, str] = WITHOUT_MLFLOW
) -> None:
    """Write a course with a row at every second step; ``steps.start`` are done already."""
    run.mkdir(exist_ok=True)
    with open_logs(run, small_config(), step=steps.start, environment=environment) as course:
        for step in range(steps.start + 1, steps.stop + 1):
            if step == stopped_before:
                raise Stopped
            course.add_step(step, 1.0 / step)
            if step % 2 == 0:
                course.add_row(row(step))


def metrics_steps(run: Path) -> list[str]:
    return [line[0] for line in csv.reader((run / METRICS_FILE).read_text(encoding="utf-8").splitlines())]


@pytest.fixture
def no_tensorboard(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "find_spec", lambda name: None)


@pytest.mark.usefixtures("no_tensorboard")
def test_without_tensorboard_the_table_is_written_and_one_line_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, logger="calcmap"):
        write_run(tmp_path / "run", steps=range(4))
    assert [path.name for path in (tmp_path / "run").iterdir()] == [METRICS_FILE]
    assert metrics_steps(tmp_path / "run") == ["step", "2", "4"]
    assert [record.levelname for record in caplog.records] == ["INFO"]
    assert "pip install 'calcmap[logs]'" in caplog.text


@pytest.mark.usefixtures("no_tensorboard")
def test_a_resumed_table_has_each_row_once(tmp_path: Path) -> None:
    with pytest.raises(Stopped):
        write_run(tmp_path / "run", steps=range(8), stopped_before=7)
    write_run(tmp_path / "run", steps=range(4, 8))
    assert metrics_steps(tmp_path / "run") == ["step", "2", "4", "6", "8"]
    assert METRICS_COLUMNS[1:3] == ("learning_rate", "train_loss")


def test_hyperparameters_are_one_flat_table() -> None:
    table = hyperparameters(small_config(site_weights={"a": 0.5}, exclude_groups=("g",)))
    assert table["task"] == "heart"
    assert table["network.level_channels"] == "[4, 6]"
    assert table["loss.dice_weight"] == 0.5
    assert (table["site_weights"], table["exclude_groups"]) == ('{"a": 0.5}', '["g"]')
    assert table["init_from"] == "null"
    assert "network" not in table


@pytest.mark.torch
def test_tensorboard_shows_every_curve_and_a_resumed_run_each_point_once(tmp_path: Path) -> None:
    event_accumulator = _event_accumulator()
    run = tmp_path / "run"
    with pytest.raises(Stopped):
        write_run(run, steps=range(8), stopped_before=7)
    first = event_accumulator.EventAccumulator(str(run)).Reload().Scalars(STEP_LOSS)
    write_run(run, steps=range(4, 8))
    assert len(list(run.glob(EVENT_FILES))) == 1
    shown = event_accumulator.EventAccumulator(str(run)).Reload()
    assert set(shown.Tags()["scalars"]) == {STEP_LOSS, *METRICS_COLUMNS[1:]}
    assert [(e.step, e.value) for e in shown.Scalars("seconds")] == [(2, 6.0), (4, 12.0), (6, 18.0), (8, 24.0)]
    assert [e.step for e in shown.Scalars(STEP_LOSS)] == list(range(1, 9))
    assert [e.wall_time for e in shown.Scalars(STEP_LOSS)[:4]] == [e.wall_time for e in first[:4]]


@pytest.mark.torch
def test_tensorboard_gets_the_settings_once(tmp_path: Path) -> None:
    event_accumulator = _event_accumulator()
    from tensorboard.plugins.hparams import plugin_data_pb2

    write_run(tmp_path, steps=range(2))
    write_run(tmp_path, steps=range(2, 4))
    metadata = event_accumulator.EventAccumulator(str(tmp_path)).Reload().summary_metadata
    content = metadata["_hparams_/session_start_info"].plugin_data.content
    shown = plugin_data_pb2.HParamsPluginData.FromString(content).session_start_info.hparams
    assert shown["task"].string_value == "heart"
    assert set(shown) == set(hyperparameters(small_config()))


def _event_accumulator() -> ModuleType:
    pytest.importorskip("torch", reason="TENSORBOARD LOG NOT TESTED: torch is not installed (train extra)")
    reason = "TENSORBOARD LOG NOT TESTED: tensorboard is not installed (logs extra)"
    return pytest.importorskip("tensorboard.backend.event_processing.event_accumulator", reason=reason)


class StandIn:
    """An MLflow server of one experiment in memory, as much of it as a run uses."""

    def __init__(self) -> None:
        self.experiments: dict[str, str] = {}
        self.params: dict[str, dict[str, str]] = {}
        self.points: dict[str, list[SimpleNamespace]] = defaultdict(list)
        self.status: dict[str, str] = {}
        self.is_down = False
        self.error = type("MlflowException", (Exception,), {})

    def __call__(self, uri: str) -> StandIn:
        return self

    def get_experiment_by_name(self, name: str) -> SimpleNamespace | None:
        if self.is_down:
            raise self.error("no answer")
        return SimpleNamespace(experiment_id=self.experiments[name]) if name in self.experiments else None

    def create_experiment(self, name: str) -> str:
        return self.experiments.setdefault(name, str(len(self.experiments)))

    def create_run(self, experiment_id: str, *, run_name: str, tags: dict[str, str]) -> SimpleNamespace:
        self.status[f"{run_name}-{len(self.status)}"] = "RUNNING"
        return SimpleNamespace(info=SimpleNamespace(run_id=list(self.status)[-1]))

    def update_run(self, run_id: str, *, status: str) -> None:
        self.status[run_id] = status

    def set_terminated(self, run_id: str, status: str) -> None:
        if self.is_down:
            raise self.error("no answer")
        self.status[run_id] = status

    def get_metric_history(self, run_id: str, name: str) -> list[SimpleNamespace]:
        return [point for point in self.points[run_id] if point.key == name]

    def log_batch(self, run_id: str, *, metrics: tuple = (), params: tuple = ()) -> None:
        if self.is_down:
            raise self.error("no answer")
        self.points[run_id] += metrics
        self.params.setdefault(run_id, {}).update({param.key: param.value for param in params})


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, no_tensorboard: None) -> StandIn:
    """Return a stand-in for MLflow's server, and for its package."""
    server = StandIn()
    entities = {
        "Metric": lambda key, value, timestamp, step: SimpleNamespace(key=key, value=value, step=step),
        "Param": lambda key, value: SimpleNamespace(key=key, value=value),
    }
    for name, content in {
        "mlflow": {"MlflowClient": server},
        "mlflow.entities": entities,
        "mlflow.exceptions": {"MlflowException": server.error},
    }.items():
        module = ModuleType(name)
        vars(module).update(content)
        monkeypatch.setitem(sys.modules, name, module)
    return server


MLFLOW = {"MLFLOW_TRACKING_URI": "http://stand-in"}


def test_mlflow_gets_settings_and_rows_and_a_resumed_run_goes_on_in_the_same(server: StandIn, tmp_path: Path) -> None:
    run = tmp_path / "heart"
    with pytest.raises(Stopped):
        write_run(run, steps=range(8), stopped_before=7, environment=MLFLOW)
    assert server.status == {"heart-0": "FAILED"}
    write_run(run, steps=range(4, 8), environment=MLFLOW)
    assert server.status == {"heart-0": "FINISHED"}
    assert (run / MLFLOW_RUN_FILE).read_text(encoding="utf-8") == "heart-0\n"
    assert list(server.experiments) == ["calcmap"]
    assert server.params["heart-0"]["network.level_channels"] == "[4, 6]"
    assert [point.step for point in server.get_metric_history("heart-0", "validation_metric")] == [2, 4, 6, 8]
    assert {point.key for point in server.points["heart-0"]} == set(METRICS_COLUMNS[1:])


def test_another_run_is_another_one_there_too(server: StandIn, tmp_path: Path) -> None:
    environment = MLFLOW | {"MLFLOW_EXPERIMENT_NAME": "ours"}
    write_run(tmp_path / "run", steps=range(2), environment=environment)
    write_run(tmp_path / "run", steps=range(2), environment=environment)
    assert list(server.experiments) == ["ours"]
    assert len(server.status) == 2


def test_a_server_that_is_not_there_refuses_the_run(server: StandIn, tmp_path: Path) -> None:
    server.is_down = True
    with pytest.raises(ConfigError, match="MLflow at http://stand-in does not take the run: no answer"):
        write_run(tmp_path / "run", steps=range(2), environment=MLFLOW)


def test_a_server_that_goes_away_costs_points_and_not_the_run(
    server: StandIn, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with open_logs(tmp_path, small_config(), step=0, environment=MLFLOW) as course:
        course.add_row(row(2))
        server.is_down = True
        course.add_row(row(4))
    assert "did not take step 4: no answer" in caplog.text
    assert "did not take the end of the run" in caplog.text
    assert metrics_steps(tmp_path) == ["step", "2", "4"]


@pytest.mark.usefixtures("no_tensorboard")
def test_an_address_without_the_package_is_warned_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "mlflow", None)
    with caplog.at_level(logging.WARNING, logger="calcmap"):
        write_run(tmp_path / "run", steps=range(2), environment=MLFLOW)
    assert "the package mlflow is not installed" in caplog.text


@pytest.mark.usefixtures("no_tensorboard")
def test_mlflow_itself_reads_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its own, on import
        mlflow = pytest.importorskip("mlflow", reason="MLFLOW NOT TESTED: mlflow is not installed")
    environment = {"MLFLOW_TRACKING_URI": (tmp_path / "store").as_uri()}
    with pytest.raises(Stopped):
        write_run(tmp_path / "run", steps=range(8), stopped_before=7, environment=environment)
    write_run(tmp_path / "run", steps=range(4, 8), environment=environment)
    client = mlflow.MlflowClient(environment["MLFLOW_TRACKING_URI"])
    experiment = client.get_experiment_by_name("calcmap")
    (read,) = client.search_runs([experiment.experiment_id])
    assert read.info.status == "FINISHED"
    assert read.data.params["loss.dice_weight"] == "0.5"
    history = client.get_metric_history(read.info.run_id, "train_loss")
    assert [(point.step, point.value) for point in history] == [(2, 0.5), (4, 0.25), (6, 1 / 6), (8, 0.125)]
