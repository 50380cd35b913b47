"""The one simulated study that the tests of this folder share: making it takes seconds."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder in which marked examples run one after the other, with the README's study in ``demo``.

    `calcmap simulate` keeps finished patients, so the examples that begin by simulating it again find it there.
    """
    folder = tmp_path_factory.mktemp("workplace")
    calcmap = Path(sys.executable).parent / "calcmap"
    order = ["simulate", "--patients", "1", "--site", "pet_ct", "--seed", "1", "--dicom", "-o", str(folder / "demo")]
    run = subprocess.run([calcmap, *order], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    return folder
