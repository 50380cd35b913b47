from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from calcmap.core.errors import ConfigError, GridMismatchError, InputError
from calcmap.core.volume import Labels, Volume, grid_from_spacing
from calcmap.io.cases import Case, find_cases, load_case_arrays, read_case, write_case

GRID = grid_from_spacing((4, 5, 6), (3.0, 0.7, 0.6), origin_lps_mm=(-10.0, 20.0, -30.0))
CASE = Case(id="a", source="made here", licence="none", site="north", reference_range=(1.0, 2.5), extra={"kvp": 120})


def _volume() -> Volume:
    return Volume(np.arange(120, dtype=np.int16).reshape(4, 5, 6) - 60, GRID)


def _labels() -> Labels:
    return Labels((np.arange(120) % 4).astype(np.uint8).reshape(4, 5, 6), GRID)


def test_a_case_comes_back_as_written(tmp_path: Path) -> None:
    write_case(tmp_path / "a", _volume(), _labels(), CASE)
    volume, labels, case = load_case_arrays(tmp_path / "a")
    assert case == Case(**{**CASE.__dict__, "group": "a"})
    assert np.array_equal(volume.ct_hu_zyx, _volume().ct_hu_zyx)
    assert np.array_equal(labels.labels_zyx, _labels().labels_zyx)
    assert volume.grid.is_same_as(GRID)
    assert labels.grid is volume.grid


def test_labels_on_another_grid_are_not_written(tmp_path: Path) -> None:
    shifted = grid_from_spacing((4, 5, 6), (3.0, 0.7, 0.6))
    with pytest.raises(GridMismatchError):
        write_case(tmp_path, _volume(), Labels(_labels().labels_zyx, shifted), CASE)


@pytest.mark.parametrize(
    "text",
    [
        "no json",
        "[]",
        json.dumps({"id": "a", "source": "s"}),
        json.dumps({"id": "a", "source": "s", "licence": "l", "reference_range": "abc"}),
        json.dumps({"id": "a", "source": "s", "licence": "l", "reference_agatston": "many"}),
    ],
)
def test_a_damaged_case_file_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "case.json").write_text(text)
    with pytest.raises(InputError, match=r"case\.json"):
        read_case(tmp_path)


def test_a_folder_without_case_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not a case"):
        read_case(tmp_path)


def test_a_case_without_ct_is_refused(tmp_path: Path) -> None:
    write_case(tmp_path, _volume(), _labels(), CASE)
    (tmp_path / "ct.nii.gz").unlink()
    with pytest.raises(InputError, match="neither"):
        load_case_arrays(tmp_path)


def test_cases_are_found_in_depth_and_their_absence_is_said(tmp_path: Path) -> None:
    for name in ("b/two", "a/one"):
        write_case(tmp_path / name, _volume(), _labels(), CASE)
    assert [folder.name for folder in find_cases([tmp_path])] == ["one", "two"]
    (tmp_path / "none").mkdir()
    with pytest.raises(ConfigError, match="none"):
        find_cases([tmp_path / "none"])


@pytest.mark.real_data
def test_the_real_cases_load(shared_data: Path) -> None:
    folders = sorted(path.parent for path in (shared_data / "real_ct").glob("*/case.json"))
    assert len(folders) == 7
    for folder in folders:
        volume, labels, case = load_case_arrays(folder)
        assert case.id == folder.name
        assert labels.grid is volume.grid
        assert labels.labels_zyx.max() in (1, 2, 3)
        assert volume.spacing_mm_zyx == pytest.approx(case.extra["spacing_mm_zyx"], abs=1e-4)
