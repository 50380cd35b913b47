"""Starting is quick, and serving needs no torch."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from house.documents import has_module

HELP_SECONDS = 0.4
"""The promise of the first issue: `calcmap --help` answers at once."""
N_TRIES = 5
SLOW_PACKAGES = ("numpy", "scipy", "pydicom", "nibabel", "onnxruntime", "PIL", "torch", "matplotlib")

needs_cli = pytest.mark.skipif(not has_module("calcmap.cli.main"), reason="NO COMMAND LINE YET: start-up went untested")


@needs_cli
def test_help_answers_at_once() -> None:
    # Processor time, best of several: on a quiet machine it is the time a person waits, and unlike the clock on the
    # wall it hardly grows when other processes share the machine. Nothing here waits for a disk or a network.
    seconds = min(_seconds_of(Path(sys.executable).parent / "calcmap", "--help") for _ in range(N_TRIES))
    assert seconds <= HELP_SECONDS


@needs_cli
def test_help_imports_nothing_slow() -> None:
    loaded = _python("import sys, calcmap.cli.main; print(*sorted(name for name in sys.modules if '.' not in name))")
    assert set(loaded.split()) & set(SLOW_PACKAGES) == set()


@pytest.mark.parametrize(
    "module", ["calcmap.core", "calcmap.scoring", "calcmap.segmentation", "calcmap.pipeline", "calcmap.cli.main"]
)
def test_room_imports_where_torch_is_absent(module: str) -> None:
    if not has_module(module):
        pytest.skip(f"NOT BUILT YET: {module} is missing")
    # None in sys.modules makes every 'import torch' fail, as on a machine without it.
    assert _python(f"import sys; sys.modules['torch'] = None; import {module}; print('imported')") == "imported"


def _python(code: str) -> str:
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, env=_environment())
    assert run.returncode == 0, run.stderr
    return run.stdout.strip()


def _seconds_of(*command: str | Path) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, capture_output=True, env=_environment())
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _environment() -> dict[str, str]:
    """Return the environment without what makes Python measure coverage in child processes."""
    return {name: value for name, value in os.environ.items() if not name.startswith("COV")}
