from __future__ import annotations

from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="TRAINING NOT TESTED: torch is not installed (train extra)")

from calcmap.core.errors import JobError, ModelError  # noqa: E402
from calcmap.training.checkpoint import (  # noqa: E402
    Progress,
    config_of,
    load_checkpoint,
    load_network_weights,
    save_checkpoint,
)
from calcmap.training.config import NetworkSettings  # noqa: E402
from calcmap.training.loop import build_network  # noqa: E402
from training.small_cases import small_config  # noqa: E402

pytestmark = pytest.mark.torch


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    config = small_config()
    network = build_network(config)
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3)
    network(torch.zeros(2, 1, 8, 8)).mean().backward()
    optimizer.step()
    path = tmp_path / "last.pt"
    save_checkpoint(path, network=network, optimizer=optimizer, progress=Progress(7, 0.5, 4), config=config)
    return path


def test_a_checkpoint_gives_back_settings_and_progress(saved: Path) -> None:
    content = load_checkpoint(saved)
    assert Progress(**content["progress"]) == Progress(7, 0.5, 4)
    assert config_of(content, where="test") == small_config()
    assert [path.name for path in saved.parent.iterdir()] == ["last.pt"]


def test_no_checkpoint_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(JobError, match="there is no checkpoint"):
        load_checkpoint(tmp_path / "last.pt")


@pytest.mark.parametrize("share", [0.0, 0.5, 0.99])
def test_a_truncated_checkpoint_is_refused(saved: Path, share: float) -> None:
    saved.write_bytes(saved.read_bytes()[: int(saved.stat().st_size * share)])
    with pytest.raises(ModelError, match="is not a readable checkpoint"):
        load_checkpoint(saved)


def test_a_checkpoint_that_would_run_code_is_refused(tmp_path: Path) -> None:
    torch.save({"network": Path("x")}, tmp_path / "last.pt")
    with pytest.raises(ModelError, match="is not a readable checkpoint"):
        load_checkpoint(tmp_path / "last.pt")


@pytest.mark.parametrize(
    ("content", "message"), [([1, 2], "it holds a list"), ({"network": {}}, "lacks config, optimizer, progress")]
)
def test_a_file_of_something_else_is_refused(tmp_path: Path, content: object, message: str) -> None:
    torch.save(content, tmp_path / "last.pt")
    with pytest.raises(ModelError, match=message):
        load_checkpoint(tmp_path / "last.pt")


def test_weights_of_another_size_are_refused(saved: Path) -> None:
    other = build_network(small_config(network=NetworkSettings(level_channels=(4, 8), lstm_level=1, lstm_channels=2)))
    with pytest.raises(ModelError, match="weights of another network"):
        load_network_weights(other, load_checkpoint(saved), where=saved)
