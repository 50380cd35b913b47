from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="EXPORT NOT TESTED: torch is not installed (train extra)")
pytest.importorskip("onnx", reason="EXPORT NOT TESTED: onnx is not installed (train extra)")

from calcmap import __version__  # noqa: E402
from calcmap.core.config import config_sha256  # noqa: E402
from calcmap.core.errors import JobError  # noqa: E402
from calcmap.segmentation.engine import REQUIRED_METADATA  # noqa: E402
from calcmap.training import exporting  # noqa: E402
from calcmap.training.checkpoint import BEST, LAST, Progress, save_checkpoint  # noqa: E402
from calcmap.training.config import Task  # noqa: E402
from calcmap.training.loop import build_network  # noqa: E402
from training.small_cases import small_config  # noqa: E402

pytestmark = pytest.mark.torch


@pytest.fixture
def exported(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Catch what would be exported: the exporter itself takes seconds and is tested with the networks."""
    caught: dict[str, Any] = {}

    def catch(network: object, path: Path, *, metadata: dict[str, str]) -> None:
        caught.update(network=network, path=path, metadata=metadata)

    monkeypatch.setattr(exporting, "export_onnx", catch)
    return caught


def save(run: Path, *, task: Task = Task.HEART, **changes: object) -> None:
    run.mkdir()
    for name, seed, step in ((BEST, 3, 40), (LAST, 4, 60)):
        network = build_network(small_config(task, seed=seed))
        save_checkpoint(
            run / name,
            network=network,
            optimizer=torch.optim.AdamW(network.parameters()),
            progress=Progress(step, 0.75, 40),
            config=small_config(task, **changes),
        )


@pytest.mark.parametrize("task", list(Task))
def test_the_file_says_what_serving_needs(tmp_path: Path, exported: dict[str, Any], task: Task) -> None:
    save(tmp_path / "run", task=task)
    path = exporting.export_run(tmp_path / "run")
    metadata = exported["metadata"]
    assert path == exported["path"] == tmp_path / "run" / f"{task.value}.onnx"
    assert set(REQUIRED_METADATA[task.value]) <= set(metadata)
    assert (metadata["task"], metadata["stride"], metadata["step"]) == (task.value, "2", "40")
    assert json.loads(metadata["heart_grid"]) == {"in_plane_mm": 10.0, "slice_mm": 12.0, "size_px": 20}
    assert json.loads(metadata["network"])["reach"] == 1
    assert metadata["validation_metric"] == "0.750000"
    assert metadata["config_sha256"] == config_sha256(small_config(task))
    assert metadata["calcmap_version"] == __version__


def test_the_best_weights_are_taken_unless_the_last_are_wanted(tmp_path: Path, exported: dict[str, Any]) -> None:
    save(tmp_path / "run")
    exporting.export_run(tmp_path / "run")
    best = exported["network"].head.weight.clone()
    exporting.export_run(tmp_path / "run", tmp_path / "other.onnx", use_last=True)
    assert torch.equal(best, build_network(small_config(seed=3)).head.weight)
    assert torch.equal(exported["network"].head.weight, build_network(small_config(seed=4)).head.weight)
    assert exported["path"] == tmp_path / "other.onnx"
    assert exported["metadata"]["step"] == "60"


def test_the_start_of_a_run_may_be_gone(tmp_path: Path, exported: dict[str, Any]) -> None:
    save(tmp_path / "run", init_from=tmp_path / "gone.pt")
    exporting.export_run(tmp_path / "run")
    assert exported["network"] is not None


def test_a_folder_without_a_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(JobError, match="there is no checkpoint"):
        exporting.export_run(tmp_path)
