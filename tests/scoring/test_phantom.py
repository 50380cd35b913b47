"""A real scan of the QRM cardio phantom against the values that another group's program published for it."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pydicom
import pytest

from calcmap.core.result import LesionResult
from calcmap.core.volume import Volume, grid_from_spacing
from calcmap.scoring.agatston import Scoring, score_mask
from calcmap.scoring.rules import get_profile

MASS_FACTOR = 0.7220477104
INSERTS = ("5mm_800", "5mm_400", "5mm_200", "3mm_800", "3mm_400", "3mm_200", "1mm_800")
# The published rows and columns are the middle of an insert's extent, ours the centroid of its voxels.
NEAR_PX = 3.0

pytestmark = pytest.mark.real_data


@pytest.fixture(scope="module")
def phantom_folder(shared_data: Path) -> Path:
    return shared_data / "qrm_phantom"


@pytest.fixture(scope="module")
def scoring(phantom_folder: Path) -> Scoring:
    files = sorted((phantom_folder / "dicom").iterdir())
    slices = sorted((pydicom.dcmread(f) for f in files), key=lambda s: float(s.ImagePositionPatient[2]))
    assert len(slices) == 47
    ct_hu_zyx = np.stack([s.pixel_array * s.RescaleSlope + s.RescaleIntercept for s in slices]).astype(np.int16)
    increment_mm = float(slices[1].ImagePositionPatient[2] - slices[0].ImagePositionPatient[2])
    spacing_mm_zyx = (increment_mm, *map(float, slices[0].PixelSpacing))
    volume = Volume(ct_hu_zyx, grid_from_spacing(ct_hu_zyx.shape, spacing_mm_zyx))
    everything = np.ones(ct_hu_zyx.shape, dtype=bool)
    return score_mask(volume, everything, rule=get_profile("clinical"), mass_factor=MASS_FACTOR)


@pytest.fixture(scope="module")
def published(phantom_folder: Path) -> dict[str, dict[str, str]]:
    with (phantom_folder / "published.csv").open(newline="") as table:
        return {row["insert"]: row for row in csv.DictReader(table)}


def _insert(scoring: Scoring, row: dict[str, str]) -> LesionResult:
    """Return the lesion nearest to the published place."""
    first, _, last = row["slices"].partition("-")
    in_range = [k for k in scoring.lesions if k.slice_first >= int(first) and k.slice_last <= int(last or first)]
    x_mm, y_mm = float(row["column"]) * 0.488, float(row["row"]) * 0.488
    nearest = min(in_range, key=lambda k: np.hypot(k.center_mm[0] - x_mm, k.center_mm[1] - y_mm))
    assert np.hypot(nearest.center_mm[0] - x_mm, nearest.center_mm[1] - y_mm) < NEAR_PX * 0.488
    return nearest


@pytest.mark.parametrize("insert", INSERTS)
def test_an_insert_scores_as_published_to_five_decimals(
    scoring: Scoring, published: dict[str, dict[str, str]], insert: str
) -> None:
    row = published[insert]
    lesion = _insert(scoring, row)
    assert f"{lesion.volume_mm3:.5f}" == row["volume_mm3"]
    assert f"{lesion.agatston:.5f}" == row["agatston"]
    assert f"{lesion.mass_mg:.5f}" == row["mass_mg"]


@pytest.mark.parametrize("insert", ["1mm_400", "1mm_200"])
def test_the_inserts_that_nobody_finds_are_published_as_zero(published: dict[str, dict[str, str]], insert: str) -> None:
    assert float(published[insert]["agatston"]) == 0.0
