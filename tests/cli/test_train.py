from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from cli.conftest import Calcmap
from training.small_cases import write_small_cases

SETTINGS = """
task = "heart"
steps = 2
slices = 4
crop_px = 20
validate_every = 1
validation_share = 0.5
threads = 1
[network]
level_channels = [4, 6]
lstm_level = 1
lstm_channels = 2
[heart_grid]
in_plane_mm = 10
slice_mm = 12
size_px = 20
"""

needs_torch = pytest.mark.skipif(
    importlib.util.find_spec("torch") is None, reason="TRAINING NOT TESTED: torch is not installed (train extra)"
)


@pytest.fixture
def arguments(tmp_path: Path) -> list[object]:
    """Return a command that trains in a second."""
    write_small_cases(tmp_path / "data", n_groups=2)
    (tmp_path / "heart.toml").write_text(SETTINGS, encoding="utf-8")
    folders = ["--data", tmp_path / "data", "-o", tmp_path / "run", "--cache", tmp_path / "cache"]
    return ["train", "heart", "--config", tmp_path / "heart.toml", *folders]


@needs_torch
@pytest.mark.torch
def test_a_network_is_trained_and_exported(
    calcmap: Calcmap, arguments: list[object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("onnx", reason="EXPORT NOT TESTED: onnx is not installed (train extra)")
    monkeypatch.setattr(
        "calcmap.training.exporting.export_onnx", lambda network, path, metadata: path.write_bytes(b"1" * 20000)
    )
    ran = calcmap(*arguments)
    assert ran.code == 0
    assert "best validation" in ran.out
    assert (tmp_path / "run" / "best.pt").is_file()
    exported = calcmap("export", tmp_path / "run")
    assert exported.code == 0
    assert "heart.onnx (0.02 MB)" in " ".join(exported.out.split())


@needs_torch
@pytest.mark.torch
def test_resuming_nothing_ends_with_two(calcmap: Calcmap, arguments: list[object]) -> None:
    ran = calcmap(*arguments, "--resume")
    assert ran.code == 2
    assert "there is no checkpoint" in ran.err


@needs_torch
@pytest.mark.torch
def test_settings_for_another_task_end_with_two(calcmap: Calcmap, arguments: list[object]) -> None:
    arguments[1] = "calcium"
    ran = calcmap(*arguments)
    assert (ran.code, ran.out) == (2, "")
    assert "is for task 'heart', the command says 'calcium'" in ran.err


@needs_torch
@pytest.mark.torch
def test_leaving_out_too_much_ends_with_two(calcmap: Calcmap, arguments: list[object]) -> None:
    ran = calcmap(*arguments, "--exclude", "group-0")
    assert ran.code == 2
    assert "expected at least 2" in ran.err


@needs_torch
@pytest.mark.torch
def test_a_folder_without_a_run_cannot_be_exported(calcmap: Calcmap, tmp_path: Path) -> None:
    ran = calcmap("export", tmp_path)
    assert (ran.code, ran.err.count("\n")) == (2, 1)


def test_without_torch_training_says_how_to_get_it(
    calcmap: Calcmap, arguments: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    ran = calcmap(*arguments)
    assert (ran.code, ran.out) == (2, "")
    assert "pip install 'calcmap[train]'" in ran.err
