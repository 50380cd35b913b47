from __future__ import annotations

import importlib.util
import json
import re
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
    said = " ".join(ran.out.split())
    assert re.search(r"2 steps on 1 cases, 1 held out: 0\.\d min, \d+\.\d\d s a step, peak memory \d+ MB", said)
    assert "best validation" in said
    assert (tmp_path / "run" / "best.pt").is_file()
    exported = calcmap("export", tmp_path / "run")
    assert exported.code == 0
    assert "heart.onnx (0.02 MB)" in " ".join(exported.out.split())


@needs_torch
@pytest.mark.torch
def test_options_override_the_settings_and_the_cost_is_told(
    calcmap: Calcmap, arguments: list[object], tmp_path: Path
) -> None:
    ran = calcmap(*arguments, "--steps", 1, "--seed", 9, "--fold", "1/2", "--exclude-site", "nowhere", "--json")
    assert ran.code == 0
    told = json.loads(ran.out)
    assert (told["step"], told["steps_taken"], told["n_training"], told["n_held_out"]) == (1, 1, 1, 1)
    assert told["best_step"] == 1
    assert told["seconds"] > 0
    written = json.loads((tmp_path / "run" / "config.json").read_text(encoding="utf-8"))
    chosen = [written[key] for key in ("steps", "seed", "folds", "fold", "exclude_sites")]
    assert chosen == [1, 9, 2, 1, ["nowhere"]]
    resumed = calcmap(*arguments, "--steps", 1, "--seed", 9, "--fold", "1/2", "--exclude-site", "nowhere", "--resume")
    assert "0 steps on 1 cases, 1 held out" in " ".join(resumed.out.split())


@needs_torch
@pytest.mark.torch
@pytest.mark.parametrize(
    ("fold", "complaint"),
    [("2", "expected K/N"), ("0/1", "N at least 2"), ("-1/5", "expected K/N"), ("5/5", "fold is 5, expected 0 to 4")],
)
def test_a_fold_that_does_not_exist_ends_with_two(
    calcmap: Calcmap, arguments: list[object], fold: str, complaint: str
) -> None:
    ran = calcmap(*arguments, f"--fold={fold}")
    assert (ran.code, ran.out) == (2, "")
    assert complaint in ran.err


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
