"""The QRM phantom through ``calcmap agatston``, from DICOM and a mask file to printed numbers."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from calcmap.core.volume import Labels
from calcmap.io.nifti import write_labels
from calcmap.io.reading import read_single_ct
from calcmap.io.stacking import Content

MASS_FACTOR = "0.7220477104"
HALF_BOX_PX = 9
"""Around a published position: larger than an insert with its blur, smaller than half the way to the next one."""

pytestmark = pytest.mark.real_data


def test_every_found_insert_is_printed_as_published_to_five_decimals(shared_data: Path, tmp_path: Path) -> None:
    folder = shared_data / "qrm_phantom"
    with (folder / "published.csv").open(newline="") as table:
        published = [row for row in csv.DictReader(table) if row["slices"]]
    mask = tmp_path / "mask.nii.gz"
    _write_mask(folder / "dicom", published, mask)
    command = [sys.executable, "-m", "calcmap.cli.main", "agatston", str(folder / "dicom"), "--mask", str(mask)]
    done = subprocess.run(
        [*command, "--mass-factor", MASS_FACTOR, "--json"], check=True, capture_output=True, text=True
    )
    found = json.loads(done.stdout)["lesions"]
    assert len(published) == len(found) == 7
    wanted = sorted((row["agatston"], row["volume_mm3"], row["mass_mg"]) for row in published)
    assert wanted == sorted(
        (f"{one['agatston']:.5f}", f"{one['volume_mm3']:.5f}", f"{one['mass_mg']:.5f}") for one in found
    )


def _write_mask(dicom: Path, published: list[dict[str, str]], path: Path) -> None:
    """Write a mask of one box per published insert, on the grid of the scan."""
    grid = read_single_ct(dicom, content=Content.ANYTHING).volume.grid
    mask_zyx = np.zeros(grid.shape_zyx, dtype=np.uint8)
    for row in published:
        first, _, last = row["slices"].partition("-")
        y, x = round(float(row["row"])), round(float(row["column"]))
        rows, columns = (slice(c - HALF_BOX_PX, c + HALF_BOX_PX + 1) for c in (y, x))
        mask_zyx[int(first) : int(last or first) + 1, rows, columns] = 1
    write_labels(Labels(mask_zyx, grid), path)
