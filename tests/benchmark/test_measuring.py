"""Each measurement, made inside the test's own process on a small chest."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from calcmap.benchmark import passes, worker
from calcmap.benchmark.orders import Measurement, NetworkRun, WarmRun, WorkOrder
from calcmap.benchmark.own_networks import stated_parameters
from calcmap.benchmark.passes import STEPS, measure_warm, only_study, pass_over, read_volume
from calcmap.benchmark.worker import main, measure
from calcmap.core.config import config_from_dict, config_to_dict
from calcmap.core.errors import ConfigError, InputError
from calcmap.io.ct_writing import CtHeader
from calcmap.segmentation.engine import load_engine
from scored_chest import StubCascade, scored_chest, write_chest
from stub_networks import METADATA, heart_weights, network_file, write_networks


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_chest(tmp_path_factory.mktemp("study") / "chest")


@pytest.fixture
def order(study: Path, tmp_path: Path) -> WorkOrder:
    networks = tmp_path / "networks"
    return WorkOrder(
        Measurement.WARM, study, networks / "heart.onnx", networks / "calcium.onnx", tmp_path / "out", 2, 3
    )


@pytest.fixture
def stub_cascade(monkeypatch: pytest.MonkeyPatch) -> StubCascade:
    cascade = StubCascade(scored_chest()[1].labels_zyx)
    monkeypatch.setattr(passes, "load_cascade", lambda **_: cascade)
    return cascade


@pytest.mark.usefixtures("stub_cascade")
def test_every_step_of_every_pass_is_timed(order: WorkOrder) -> None:
    run = measure_warm(order)
    assert (run.status, run.reason, run.shape_zyx) == ("scored", None, scored_chest()[0].grid.shape_zyx)
    assert tuple(run.step_seconds) == STEPS
    assert {len(seconds) for seconds in run.step_seconds.values()} == {len(run.total_seconds)} == {2}
    assert run.step_seconds["heart"] == (0.25, 0.25)  # as the stub says
    assert run.weights_sha256["heart"] == "a" * 64
    memory_mb = list(run.memory_mb.values())
    assert len(memory_mb) == 5
    assert memory_mb == sorted(memory_mb)  # the most so far never falls
    assert memory_mb[0] > 10


def test_steps_add_up_to_the_whole_pass(order: WorkOrder, stub_cascade: StubCascade) -> None:
    result, seconds = pass_over(order, stub_cascade)  # type: ignore[arg-type]
    whole = sum(seconds.values())
    assert whole == pytest.approx(sum(result.seconds.values()) + seconds["find"] + seconds["write"] + seconds["other"])
    assert {path.name for path in (order.work / "chest").iterdir()} >= {"result.json", "overview.png"}


def test_own_networks_are_timed_on_whole_studies(order: WorkOrder) -> None:
    write_networks(order.heart.parent)
    run = measure(replace(order, measurement=Measurement.CALCMAP))
    assert isinstance(run, NetworkRun)
    assert len(run.seconds) == len(run.cpu_seconds) == 2
    assert run.slices_each == run.study_slices == scored_chest()[0].grid.shape_zyx[0]
    assert run.parameters is None  # the stub's files do not say
    assert run.engine.startswith("onnxruntime")


@pytest.mark.parametrize(("stated", "expected"), [(("7", "8"), 15), (("7", None), None), (("7", "many"), None)])
def test_parameters_are_what_both_files_say(
    tmp_path: Path, stated: tuple[str | None, ...], expected: int | None
) -> None:
    engines = []
    for number, count in enumerate(stated):
        path = tmp_path / f"{number}.onnx"
        metadata = METADATA["heart"] | ({} if count is None else {"parameters": count})
        path.write_bytes(network_file(*heart_weights(), metadata=metadata))
        engines.append(load_engine(path, task="heart", threads=1))
    assert stated_parameters(*engines) == expected


def test_a_folder_of_several_studies_is_not_timed(tmp_path: Path) -> None:
    for name in "ab":
        write_chest(tmp_path / "both" / name, header=CtHeader(seed=name))
    with pytest.raises(InputError, match="holds 2 studies, expected one"):
        only_study(tmp_path / "both")


def test_a_study_without_a_ct_is_not_timed(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError):
        read_volume(tmp_path / "empty")


def test_a_refused_study_leaves_out_the_steps_it_never_reached(order: WorkOrder) -> None:
    write_networks(order.heart.parent)  # these call the whole body a heart
    answer = order.heart.parent / "answer.json"
    assert main([json.dumps(config_to_dict(replace(order, repeats=1))), str(answer)]) == 0
    # The answer is read back as the parent process does.
    run = config_from_dict(json.loads(answer.read_text(encoding="utf-8")), WarmRun, where="answer")
    assert run.status == "refused"
    assert run.reason is not None
    assert run.spacing_mm_zyx == pytest.approx(scored_chest()[0].spacing_mm_zyx)
    assert "score" not in run.step_seconds
    assert {"find", "read", "heart", "calcium", "write"} <= set(run.step_seconds)


def test_the_worker_says_why_it_cannot_measure(order: WorkOrder, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([json.dumps(config_to_dict(order)), "never-written.json"]) == worker.EXIT_REFUSED
    assert "cannot read the heart network" in capsys.readouterr().err


@pytest.mark.parametrize(("repeats", "slices"), [(0, 1), (1, 0), (-1, 6)])
def test_an_order_for_nothing_is_refused(order: WorkOrder, repeats: int, slices: int) -> None:
    with pytest.raises(ConfigError, match="expected at least 1 of each"):
        replace(order, repeats=repeats, slices=slices)
