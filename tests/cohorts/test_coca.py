from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from calcmap.cohorts.adapters.coca import find_coca
from calcmap.cohorts.adapters.conversion import LabelledScan
from calcmap.core.errors import ConfigError, InputError
from calcmap.core.volume import Label
from calcmap.scoring.agatston import VesselCode
from ct_series import SHAPE_ZYX, ct_images
from foreign_folders import (
    LESION_YX,
    LESION_Z,
    contour,
    ct_with_lesion,
    erased_contour,
    lesion_contour,
    mirrored,
    write_coca_patient,
    write_plist,
)

N_SLICES = SHAPE_ZYX[0]


def _load(root: Path, *contours: tuple[int, dict[str, Any]], is_missing_free: bool = False) -> LabelledScan:
    """Write contours of patient 1 and read it."""
    if contours:
        write_plist(root / "calcium_xml" / "1.xml", contours)
    (candidate,) = find_coca(root, is_missing_free=is_missing_free)
    return candidate.load()


def _marked(scan: LabelledScan) -> set[tuple[int, int, int]]:
    return {(int(z), int(y), int(x)) for z, y, x in np.argwhere(scan.labels.labels_zyx)}


LESION = {(LESION_Z, row, column) for row, column in LESION_YX}


def test_the_pixels_of_a_contour_become_coronary_calcium_of_its_vessel(tmp_path: Path) -> None:
    write_coca_patient(tmp_path, "1")
    scan = _load(tmp_path, (LESION_Z, lesion_contour(ct_with_lesion())))
    assert _marked(scan) == LESION
    assert set(np.unique(scan.labels.labels_zyx)) == {0, Label.CORONARY}
    assert scan.vessels_zyx is not None
    assert set(scan.vessels_zyx[scan.labels.labels_zyx > 0]) == {VesselCode.LAD}


@pytest.mark.parametrize(("rows", "columns"), [(False, True), (True, False), (True, True)])
def test_mirrored_images_are_labelled_alike(tmp_path: Path, rows: bool, columns: bool) -> None:
    volume = ct_with_lesion()
    write_coca_patient(tmp_path, "1", mirrored(ct_images(volume), rows=rows, columns=columns))
    entry = lesion_contour(volume)
    points = [tuple(float(word) for word in point.strip("()").split(",")) for point in entry["Point_px"]]
    stored = [(39 - x if columns else x, 31 - y if rows else y) for x, y in points]
    entry["Point_px"] = [f"({x:.6f}, {y:.6f})" for x, y in stored]
    assert _marked(_load(tmp_path, (LESION_Z, entry))) == LESION


@pytest.mark.parametrize("index", [LESION_Z, N_SLICES - 1 - LESION_Z, 0])
def test_positions_tell_the_slice_whatever_the_index_says(tmp_path: Path, index: int) -> None:
    write_coca_patient(tmp_path, "1")
    assert _marked(_load(tmp_path, (index, lesion_contour(ct_with_lesion())))) == LESION


@pytest.mark.parametrize("index", [LESION_Z, N_SLICES - 1 - LESION_Z], ids=["from the feet", "from the head"])
def test_without_positions_the_measured_pixels_tell_the_order(tmp_path: Path, index: int) -> None:
    write_coca_patient(tmp_path, "1")
    assert _marked(_load(tmp_path, (index, lesion_contour(ct_with_lesion(), Point_mm=None)))) == LESION


def test_pixels_below_130_hu_are_no_calcium(tmp_path: Path) -> None:
    write_coca_patient(tmp_path, "1")
    wide = contour(ct_with_lesion(), [(19, 18), (28, 18), (28, 25), (19, 25)], z=LESION_Z)
    assert _marked(_load(tmp_path, (LESION_Z, wide))) == LESION


def test_an_erased_contour_marks_nothing(tmp_path: Path) -> None:
    write_coca_patient(tmp_path, "1")
    assert _marked(_load(tmp_path, (LESION_Z, erased_contour()))) == set()


def test_a_missing_file_is_free_of_calcium_only_when_the_user_says_so(tmp_path: Path) -> None:
    write_coca_patient(tmp_path, "1")
    with pytest.raises(InputError, match="--missing-is-zero"):
        _load(tmp_path)
    assert _marked(_load(tmp_path, is_missing_free=True)) == set()


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"name": "Zebedee's aorta"}, "called something else"),
        ({"Max": 300.0}, "not those that the viewer measured"),
        ({"z": LESION_Z + 1}, "not those that the viewer measured"),
        ({"z": LESION_Z + 0.5}, "lies at slice 7.50"),
        ({"z": N_SLICES + 4}, "lies at slice 28.00"),
        ({"Point_mm": None, "Max": 300.0}, "not those that the viewer measured"),
        ({"Point_mm": None, "Max": None}, "both fit"),
        ({"Point_px": ["(1, 1)", "(90, 1)", "(90, 9)"], "Point_mm": None}, "leaves the image"),
    ],
)
def test_a_contour_that_does_not_belong_is_refused(tmp_path: Path, changes: dict[str, Any], reason: str) -> None:
    write_coca_patient(tmp_path, "1")
    with pytest.raises(InputError, match=reason) as refused:
        _load(tmp_path, (LESION_Z, lesion_contour(ct_with_lesion(), **changes)))
    assert "Zebedee" not in str(refused.value)


def test_an_index_beyond_the_slices_is_refused(tmp_path: Path) -> None:
    write_coca_patient(tmp_path, "1")
    with pytest.raises(InputError, match="images 40 to 40"):
        _load(tmp_path, (40, lesion_contour(ct_with_lesion(), Point_mm=None)))


def test_contours_without_a_patient_are_refused(tmp_path: Path) -> None:
    (tmp_path / "patient").mkdir()
    with pytest.raises(InputError, match="no patient/ folder"):
        _load(tmp_path, (3, erased_contour()))


def test_patients_come_by_number_from_the_release_folder(tmp_path: Path) -> None:
    root = tmp_path / "Gated_release_final"
    for name in ("10", "9", "2"):
        (root / "patient" / name).mkdir(parents=True)
    (root / "calcium_xml").mkdir()
    assert [one.name for one in find_coca(tmp_path, is_missing_free=True)] == ["2", "9", "10"]


def test_another_folder_is_no_coca(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="calcium_xml"):
        find_coca(tmp_path, is_missing_free=False)
