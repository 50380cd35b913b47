"""Processes started to be measured."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from calcmap.benchmark.figures import ProcessFigures, spread
from calcmap.benchmark.orders import WorkOrder
from calcmap.core.config import config_from_dict, config_to_dict
from calcmap.core.errors import ConfigError, JobError
from calcmap.core.memory import to_mb

LAUNCHER = Path(__file__).with_name("launcher.py")
LAUNCHER_FLAGS = ("-I", "-S")
"""No site packages and no environment: the launcher stays small (see there)."""

WORKER_ENVIRONMENT = {"OMP_WAIT_POLICY": "passive"}
"""Threads of torch that wait for each other sleep. By default they spin: where other work holds one core, two threads
then took fifteen times the processor time of one thread for the same slice."""

AnswerT = TypeVar("AnswerT")


@dataclass(frozen=True)
class Launched:
    """A process that has ended."""

    exit_code: int
    """Negative when a signal ended it."""
    wall_seconds: float
    cpu_seconds: float
    peak_mb: float
    errors: str
    """What it wrote to the error stream."""


def check_system() -> None:
    """Raise `ConfigError` where the system does not tell what a process cost."""
    if not (hasattr(os, "wait4") and hasattr(os, "posix_spawn")):
        raise ConfigError("calcmap bench measures memory by wait4, which this system lacks; use Linux or macOS")


def launch(command: Sequence[str | Path], *, environment: Mapping[str, str] | None = None) -> Launched:
    """Return the cost of a command, from its start to its end; its output is dropped.

    Parameters
    ----------
    command : sequence of str or Path
        Program, by its full path, and arguments.
    environment : mapping of str to str, optional
        Variables to set beside those of this process.

    Returns
    -------
    Launched
        Times and peak memory, whatever the exit code.

    Raises
    ------
    JobError
        The program cannot be started.
    """
    words = [str(word) for word in command]
    run = subprocess.run(
        [sys.executable, *LAUNCHER_FLAGS, str(LAUNCHER), *words],
        env=os.environ | dict(environment or {}),
        capture_output=True,
        text=True,
        check=False,
    )
    if run.returncode != 0:
        raise JobError(f"cannot start {words[0]}: {_last_line(run.stderr)}")
    cost = json.loads(run.stdout)
    peak_mb = to_mb(cost.pop("max_rss"))
    return Launched(**cost, peak_mb=peak_mb, errors=run.stderr)


def launch_repeatedly(
    command: Sequence[str | Path], *, runs: int, accepted: Callable[[int], bool] = lambda code: code == 0
) -> ProcessFigures:
    """Return the figures of a command that is run several times.

    Parameters
    ----------
    command : sequence of str or Path
        As for `launch`.
    runs : int
        At least 1.
    accepted : callable
        Tells whether an exit code is one to expect; 0 alone if not given.

    Returns
    -------
    ProcessFigures
        Smallest and median times, largest peak.

    Raises
    ------
    JobError
        An exit code is not accepted.
    """
    launched = [launch(command) for _ in range(runs)]
    for each in launched:
        if not accepted(each.exit_code):
            raise JobError(f"{Path(command[0]).name} {' '.join(map(str, command[1:]))} {_ending(each)}")
    return ProcessFigures(
        runs=runs,
        wall_seconds=spread([each.wall_seconds for each in launched]),
        cpu_seconds=spread([each.cpu_seconds for each in launched]),
        peak_mb=max(each.peak_mb for each in launched),
    )


def carry_out(order: WorkOrder, answer_type: type[AnswerT]) -> tuple[AnswerT, Launched]:
    """Return the answer of a measuring process and what the process cost.

    Raises
    ------
    JobError
        The process gave no answer; the message says why.
    """
    answer = order.work / f"{order.measurement}.json"
    text = json.dumps(config_to_dict(order))
    command: list[str | Path] = [sys.executable, "-m", "calcmap.benchmark.worker", text, answer]
    launched = launch(command, environment=WORKER_ENVIRONMENT)
    if launched.exit_code != 0:
        raise JobError(f"measuring {order.measurement} {_ending(launched)}")
    table = json.loads(answer.read_text(encoding="utf-8"))
    return config_from_dict(table, answer_type, where=str(order.measurement)), launched


def _ending(launched: Launched) -> str:
    if launched.exit_code < 0:
        return f"was ended by signal {-launched.exit_code}, at {launched.peak_mb:.0f} MB"
    return f"ended with exit code {launched.exit_code}: {_last_line(launched.errors)}"


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1] if lines else "it said nothing"
