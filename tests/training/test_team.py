from __future__ import annotations

import math

import pytest

torch = pytest.importorskip("torch", reason="TRAINING NOT TESTED: torch is not installed (train extra)")

from calcmap.core.errors import ConfigError  # noqa: E402
from calcmap.training import team  # noqa: E402
from calcmap.training.config import Device  # noqa: E402

pytestmark = pytest.mark.torch


def test_without_a_launcher_a_process_is_alone_and_first() -> None:
    with team.joined_team(Device.CPU, {}) as joined:
        assert (joined.rank, joined.size, joined.is_first, joined.device.type) == (0, 1, True, "cpu")


def test_a_gpu_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ConfigError, match="torch sees no GPU"), team.joined_team(Device.CUDA, {}):
        pass


def test_where_memory_is_not_counted_training_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> float:
        raise ModuleNotFoundError("resource")

    alone = team.Team(0, 1, torch.device("cpu"))
    assert team.peak_memory_mb(alone) > 1
    monkeypatch.setattr(team, "peak_rss_mb", missing)
    assert math.isnan(team.peak_memory_mb(alone))
