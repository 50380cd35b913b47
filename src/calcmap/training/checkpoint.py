"""Checkpoints: everything that a run needs to go on as if it had never stopped, read without pickle."""

from __future__ import annotations

import dataclasses
import pickle
from pathlib import Path
from typing import Any

import torch
from torch import nn

from calcmap.core.config import config_from_dict, config_to_dict
from calcmap.core.errors import JobError, ModelError
from calcmap.training.config import TrainConfig

LAST, BEST = "last.pt", "best.pt"


@dataclasses.dataclass(frozen=True)
class Progress:
    """Where a run stands.

    Parameters
    ----------
    step : int
        Steps done.
    best_metric : float
        Best validation metric so far, higher is better; minus infinity before the first.
    best_step : int
        Step after which it was reached.
    """

    step: int
    best_metric: float
    best_step: int


def save_checkpoint(
    path: Path,
    *,
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    progress: Progress,
    config: TrainConfig,
) -> None:
    """Write a checkpoint aside and rename it, so that a killed run never leaves half a one."""
    content = {
        "network": network.state_dict(),
        "optimizer": optimizer.state_dict(),
        "progress": dataclasses.asdict(progress),
        "config": config_to_dict(config),
    }
    part = path.with_suffix(".part")
    torch.save(content, part)
    part.replace(path)


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Return the content of a checkpoint: ``network``, ``optimizer``, ``progress`` and ``config``.

    Nothing but tensors and plain values is unpacked, so that a file from elsewhere cannot run code.

    Raises
    ------
    JobError
        There is no checkpoint.
    ModelError
        The file is not a checkpoint of CalcMap.
    """
    if not path.is_file():
        raise JobError(f"there is no checkpoint {path}; a run has none before its first validation")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, EOFError, KeyError, RuntimeError, ValueError, pickle.UnpicklingError) as error:
        raise ModelError(f"{path} is not a readable checkpoint: {type(error).__name__}") from error
    if not isinstance(content, dict):
        raise ModelError(f"{path} is not a checkpoint of CalcMap: it holds a {type(content).__name__}")
    missing = {"network", "optimizer", "progress", "config"} - content.keys()
    if missing:
        raise ModelError(f"{path} lacks {', '.join(sorted(missing))}")
    return content


def load_network_weights(network: nn.Module, content: dict[str, Any], *, where: Path) -> None:
    """Put a checkpoint's weights into a network.

    Raises
    ------
    ModelError
        They are weights of a network of another size.
    """
    try:
        network.load_state_dict(content["network"])
    except RuntimeError as error:
        raise ModelError(f"{where} holds weights of another network than the settings describe") from error


def config_of(content: dict[str, Any], *, where: str) -> TrainConfig:
    """Return the settings that a checkpoint's run was started with."""
    table = {key: value for key, value in content["config"].items() if value is not None}
    return config_from_dict(table, TrainConfig, where=where)
