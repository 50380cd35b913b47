"""The whole benchmark, on a small chest, with its real processes; and what it says when something is missing."""

from __future__ import annotations

import json
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import pytest

from calcmap.benchmark import run
from calcmap.benchmark.figures import report_to_json
from calcmap.benchmark.launching import Launched
from calcmap.benchmark.orders import Measurement, NetworkRun, WorkOrder
from calcmap.benchmark.run import BenchOptions, Stage, measure_networks, run_bench, weights_of
from calcmap.core.errors import ConfigError, InputError, JobError, ModelError
from calcmap.segmentation import engine
from scored_chest import scored_chest, write_chest
from stub_networks import write_networks

PAIR = (Path("heart.onnx"), Path("calcium.onnx"))


@pytest.fixture
def order(tmp_path: Path) -> WorkOrder:
    return WorkOrder(Measurement.CLSTM, tmp_path / "study", *PAIR, tmp_path)


@pytest.mark.torch
def test_one_run_measures_everything(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="THE WHOLE BENCHMARK WAS NOT RUN: torch is not installed (train extra)")
    options = BenchOptions(
        study=write_chest(tmp_path / "chest"),
        weights=write_networks(tmp_path / "networks"),
        repeats=1,
        slices=1,
        starts=1,
    )
    stages: list[Stage] = []
    report = run_bench(options, on_stage=stages.append)
    assert stages == list(Stage)
    assert not report.study.is_simulated
    assert report.study.shape_zyx == scored_chest()[0].grid.shape_zyx
    assert report.warm.total_seconds.best < report.cold.wall_seconds.best
    assert report.help.wall_seconds.best < report.cold.wall_seconds.best
    assert report.help.peak_mb < report.cold.peak_mb
    assert report.networks["clstm"].extrapolated_from_slices == 1
    assert report.times_faster["clstm"] is not None
    assert any("no score" in note for note in report.notes)  # the stubs call the whole body a heart
    printed = json.loads(json.dumps(report_to_json(report), allow_nan=False))
    for name in ("calcmap", "clstm", "unet"):
        assert printed["networks"][name]["seconds_per_study"] > 0
        assert printed["networks"][name]["peak_mb"] > printed["networks"][name]["startup_mb"] > 0
    assert printed["networks"]["unet"]["parameters"] == 7_763_074 + 7_763_107


def test_a_study_is_simulated_where_none_is_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Path] = []

    def make_study(folder: Path, plan: object) -> Path:
        asked.append(folder)
        raise InputError("far enough")

    monkeypatch.setattr(run, "make_study", make_study)
    monkeypatch.setattr(run, "weights_of", lambda folder: PAIR)
    for keep in (tmp_path, None):
        with pytest.raises(InputError, match="far enough"):
            run_bench(BenchOptions(keep=keep))
    assert asked[0] == tmp_path
    assert not asked[1].exists()  # the temporary folder is gone, whatever happened


@pytest.mark.parametrize("baseline", [Measurement.CLSTM, Measurement.UNET])
def test_without_torch_a_baseline_is_null_with_a_reason(
    order: WorkOrder, baseline: Measurement, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "find_spec", lambda name: None if name == "torch" else find_spec(name))
    monkeypatch.delattr(run, "carry_out")  # no process is started
    figures = measure_networks(replace(order, measurement=baseline))
    assert (figures.seconds_per_study, figures.peak_mb, figures.parameters) == (None, None, None)
    assert figures.reason is not None
    assert "pip install 'calcmap[train]'" in figures.reason


def test_without_torch_the_own_networks_are_measured(order: WorkOrder, monkeypatch: pytest.MonkeyPatch) -> None:
    done = NetworkRun((2.0,), (3.0,), 60, 60, 100.0, "onnxruntime", 7)
    monkeypatch.setattr(run, "find_spec", lambda name: None)
    monkeypatch.setattr(run, "carry_out", lambda order, kind: (done, Launched(0, 9.0, 9.0, 480.0, "")))
    figures = measure_networks(replace(order, measurement=Measurement.CALCMAP))
    assert (figures.seconds_per_study, figures.peak_mb, figures.parameters) == (2.0, 480.0, 7)


def test_a_baseline_that_fails_is_null_and_calcmap_that_fails_is_an_error(
    order: WorkOrder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def carry_out(order: WorkOrder, kind: type) -> None:
        raise JobError("was ended by signal 9, at 900 MB")

    monkeypatch.setattr(run, "find_spec", lambda name: object())
    monkeypatch.setattr(run, "carry_out", carry_out)
    assert measure_networks(order).reason == "was ended by signal 9, at 900 MB"
    with pytest.raises(JobError, match="signal 9"):
        measure_networks(replace(order, measurement=Measurement.CALCMAP))


def test_a_measuring_process_that_fails_says_why(tmp_path: Path) -> None:
    (tmp_path / "study").mkdir()
    weights = tmp_path / "networks"
    weights.mkdir()
    for name in PAIR:
        (weights / name).write_bytes(b"no network")
    with pytest.raises(JobError, match=r"measuring warm ended with exit code 2: .*not a network"):
        run_bench(BenchOptions(study=tmp_path / "study", weights=weights))


def test_a_study_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no such file or folder: .*nowhere"):
        run_bench(BenchOptions(study=tmp_path / "nowhere"))


def test_networks_that_are_not_there_are_named_before_anything_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "heart.onnx").touch()
    monkeypatch.delattr(run, "make_study")
    with pytest.raises(ModelError, match=r"holds no calcium\.onnx"):
        run_bench(BenchOptions(weights=tmp_path))


def test_shipped_networks_are_taken_where_none_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "weights").mkdir()
    for name in PAIR:
        (tmp_path / "weights" / name).touch()
    monkeypatch.setattr(engine.resources, "files", lambda package: tmp_path)
    assert [path.name for path in weights_of(None)] == ["heart.onnx", "calcium.onnx"]


def test_no_passes_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "weights_of", lambda folder: PAIR)
    with pytest.raises(ConfigError, match="repeats is 0"):
        run_bench(BenchOptions(repeats=0))
