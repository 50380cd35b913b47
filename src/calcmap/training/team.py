"""Who trains together: one process, or several that a launcher such as ``torchrun`` has started."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass

import torch
from torch import distributed, nn

from calcmap.core.errors import ConfigError
from calcmap.core.memory import BYTES_PER_MB, peak_rss_mb
from calcmap.training.config import Device


@dataclass(frozen=True)
class Team:
    """One process's place among those that train one network.

    Parameters
    ----------
    rank, size : int
        Its number and how many there are; the first, 0, writes the run folder.
    device : torch.device
        What it computes on.
    """

    rank: int
    size: int
    device: torch.device

    @property
    def is_first(self) -> bool:
        """Whether this process validates, writes and reports."""
        return self.rank == 0


@contextmanager
def joined_team(device: Device, environment: Mapping[str, str] | None = None) -> Iterator[Team]:
    """Yield this process's place, and leave the team at the end.

    Parameters
    ----------
    device : Device
        What is asked for.
    environment : mapping of str, optional
        ``RANK``, ``WORLD_SIZE`` and ``LOCAL_RANK`` as ``torchrun`` sets them; the process's own by default. Without
        them the process trains alone.

    Raises
    ------
    ConfigError
        A GPU is asked for and torch sees none.
    """
    environment = os.environ if environment is None else environment
    has_gpu = torch.cuda.is_available()
    if device is Device.CUDA and not has_gpu:
        raise ConfigError("device is 'cuda', but torch sees no GPU; use 'auto' or 'cpu'")
    use_gpu = has_gpu and device is not Device.CPU
    size, rank = int(environment.get("WORLD_SIZE", "1")), int(environment.get("RANK", "0"))
    place = torch.device("cuda", int(environment.get("LOCAL_RANK", "0"))) if use_gpu else torch.device("cpu")
    if size > 1:
        distributed.init_process_group("nccl" if use_gpu else "gloo", rank=rank, world_size=size)
    try:
        yield Team(rank, size, place)
    finally:
        if size > 1:
            distributed.destroy_process_group()


def share_gradients(network: nn.Module, team: Team) -> None:
    """Replace every gradient by its mean over the team."""
    if team.size == 1:
        return
    for parameter in network.parameters():
        if parameter.grad is not None:
            distributed.all_reduce(parameter.grad)
            parameter.grad /= team.size


def autocast(team: Team, *, mixed_precision: bool) -> AbstractContextManager[object]:
    """Return the context of a forward pass: bfloat16 on a GPU where asked for, float32 elsewhere."""
    if team.device.type == "cuda" and mixed_precision:
        return torch.autocast("cuda", dtype=torch.bfloat16)
    return nullcontext()


def peak_memory_mb(team: Team) -> float:
    """Return the most memory training has held so far, MB: of the GPU, or of the process on a CPU.

    Not a number where the system does not count it.
    """
    if team.device.type == "cuda":
        return torch.cuda.max_memory_allocated(team.device) / BYTES_PER_MB
    try:
        return peak_rss_mb()
    except ImportError:  # Windows keeps no such count; a loss curve is worth having without it
        return math.nan
