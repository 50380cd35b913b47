from __future__ import annotations

import sys

import numpy as np
import pytest

from calcmap.benchmark import launching
from calcmap.benchmark.launching import check_system, launch, launch_repeatedly
from calcmap.core import memory
from calcmap.core.errors import ConfigError, JobError
from calcmap.core.memory import peak_rss_mb, to_mb

PYTHON = (sys.executable, "-I", "-S", "-c")
HELD_MB = 300


def test_a_process_is_not_charged_with_the_memory_of_its_starter() -> None:
    held = np.ones(HELD_MB * 1_000_000, dtype=np.uint8)
    assert peak_rss_mb() > HELD_MB
    assert launch([*PYTHON, "pass"]).peak_mb < HELD_MB / 4
    assert held.all()


def test_a_process_is_charged_with_its_own_memory() -> None:
    assert launch([*PYTHON, f"x = bytearray({HELD_MB} * 10**6); x[::4096] = b'1' * len(x[::4096])"]).peak_mb > HELD_MB


def test_time_is_by_the_clock_and_by_the_processor() -> None:
    launched = launch([*PYTHON, "import time; time.sleep(0.3)"])
    assert launched.wall_seconds >= 0.3
    assert 0 < launched.cpu_seconds < 0.3


def test_output_is_dropped_and_errors_are_kept() -> None:
    launched = launch([*PYTHON, "import sys; print('out'); sys.stderr.write('oh'); sys.exit(7)"])
    assert (launched.exit_code, launched.errors) == (7, "oh")


def test_variables_are_set_beside_those_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CALCMAP_BEFORE", "3")
    code = "import os, sys; sys.exit(int(os.environ['CALCMAP_BEFORE'] + os.environ['CALCMAP_NEW']))"
    assert launch([*PYTHON, code], environment={"CALCMAP_NEW": "4"}).exit_code == 34


def test_a_signal_is_a_negative_exit_code() -> None:
    assert launch([*PYTHON, "import os; os.kill(os.getpid(), 9)"]).exit_code == -9


def test_a_program_that_is_not_there_is_named() -> None:
    with pytest.raises(JobError, match=r"cannot start /no/such/program: FileNotFoundError"):
        launch(["/no/such/program", "-x"])


def test_several_runs_become_best_median_and_largest_peak(monkeypatch: pytest.MonkeyPatch) -> None:
    runs = iter([(3.0, 2.0, 50.0), (1.0, 1.0, 90.0), (2.0, 1.5, 60.0)])
    monkeypatch.setattr(launching, "launch", lambda command: launching.Launched(0, *next(runs), ""))
    figures = launch_repeatedly(["calcmap"], runs=3)
    assert figures.runs == 3
    assert (figures.wall_seconds.best, figures.wall_seconds.median) == (1.0, 2.0)
    assert (figures.cpu_seconds.best, figures.cpu_seconds.median) == (1.0, 1.5)
    assert figures.peak_mb == 90.0


@pytest.mark.parametrize(
    ("code", "complaint"),
    [
        ("raise SystemExit('line one\\nno heart in it')", "exit code 1: no heart in it"),
        ("raise SystemExit(4)", "exit code 4: it said nothing"),
        ("import os; os.kill(os.getpid(), 9)", r"ended by signal 9, at \d+ MB"),
    ],
)
def test_a_run_that_fails_is_an_error_with_its_last_words(code: str, complaint: str) -> None:
    with pytest.raises(JobError, match=complaint):
        launch_repeatedly([*PYTHON, code], runs=1)


def test_exit_codes_that_are_expected_are_no_error() -> None:
    assert launch_repeatedly([*PYTHON, "raise SystemExit(3)"], runs=1, accepted=lambda code: code == 3).runs == 1


def test_memory_is_in_decimal_megabytes_whatever_the_system_counts_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory.sys, "platform", "linux")
    assert to_mb(1000) == 1.024
    monkeypatch.setattr(memory.sys, "platform", "darwin")
    assert to_mb(1_000_000) == 1.0


def test_a_system_that_tells_no_cost_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    check_system()
    monkeypatch.delattr(launching.os, "wait4")
    with pytest.raises(ConfigError, match="wait4"):
        check_system()
