"""dicom3tools' judge of DICOM objects, where it is installed."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

import pytest

DCIODVFY = shutil.which("dciodvfy")
INSTALL = "apt-get install -y dicom3tools"
ACCEPTED_WARNINGS = (
    # The standard has US (unspecified) for values without a unit, as those of a localizer; the tool's list has not.
    "Unrecognized defined term <US> for value 1 of attribute <Rescale Type>",
)

needs_dciodvfy = pytest.mark.skipif(
    DCIODVFY is None, reason=f"DCIODVFY ABSENT: no DICOM object was checked against the standard; {INSTALL}"
)


def complaints(paths: Iterable[Path]) -> list[str]:
    """Return every error and every warning that is not accepted, each with its file."""
    assert DCIODVFY is not None
    found, n_files = [], 0
    for path in paths:
        run = subprocess.run([DCIODVFY, str(path)], capture_output=True, text=True, check=False, timeout=60)
        lines = (run.stdout + run.stderr).splitlines()
        assert lines, f"{path.name}: the judge said nothing, not even the kind of object"
        n_files += 1
        found += [f"{path.name}: {line}" for line in lines if line.startswith(("Error", "Warning", "Abort"))]
    assert n_files, "nothing was checked"
    return [line for line in found if not any(accepted in line for accepted in ACCEPTED_WARNINGS)]
