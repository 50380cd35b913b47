"""The one simulated study that the tests of this folder share: making it takes seconds."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder in which marked examples run one after the other."""
    return tmp_path_factory.mktemp("workplace")


@pytest.fixture(scope="session")
def demo(workplace: Path) -> Path:
    """Return the README's simulated study (its seed is the README's); what an example has made already is kept."""
    folder = workplace / "demo"
    calcmap = Path(sys.executable).parent / "calcmap"
    order = ["simulate", "--patients", "1", "--site", "pet_ct", "--seed", "4", "--dicom", "-o", str(folder)]
    run = subprocess.run([calcmap, *order], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    return folder / "pet_ct-4-00000"  # an example may have added another patient
