from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calcmap.benchmark import study
from calcmap.benchmark.passes import read_volume
from calcmap.benchmark.study import StudyPlan, cut_around_heart, make_study
from calcmap.core.errors import ConfigError
from calcmap.core.volume import Volume, grid_from_spacing

N_SLICES = 20
PLAN = StudyPlan(slices=30, scale=8)


def numbered_slices() -> Volume:
    """Return a scan whose voxels hold the number of their slice."""
    ct = np.broadcast_to(np.arange(N_SLICES, dtype=np.int16)[:, None, None], (N_SLICES, 2, 2))
    return Volume(ct, grid_from_spacing((N_SLICES, 2, 2), (3.0, 1.0, 1.0), origin_lps_mm=(5.0, 6.0, -100.0)))


def heart_in(first: int, last: int) -> np.ndarray:
    heart = np.zeros((N_SLICES, 2, 2), dtype=bool)
    heart[first : last + 1, 0, 0] = True
    return heart


@pytest.mark.parametrize(
    ("heart", "slices", "first"),
    [((8, 11), 6, 7), ((0, 3), 8, 0), ((16, 19), 8, 12), ((8, 11), 20, 0), ((4, 5), 1, 4)],
)
def test_the_heart_lies_in_the_middle_as_far_as_the_scan_reaches(
    heart: tuple[int, int], slices: int, first: int
) -> None:
    cut = cut_around_heart(numbered_slices(), heart_in(*heart), slices=slices)
    assert cut.ct_hu_zyx[:, 0, 0].tolist() == list(range(first, first + slices))


def test_without_a_heart_the_middle_of_the_scan_is_kept() -> None:
    nothing = np.zeros((N_SLICES, 2, 2), dtype=bool)
    assert cut_around_heart(numbered_slices(), nothing, slices=4).ct_hu_zyx[:, 0, 0].tolist() == [8, 9, 10, 11]


@given(slices=st.integers(1, N_SLICES), first=st.integers(0, N_SLICES - 1))
def test_slices_that_are_kept_stay_where_they_are(slices: int, first: int) -> None:
    volume = numbered_slices()
    cut = cut_around_heart(volume, heart_in(first, N_SLICES - 1), slices=slices)
    number = float(cut.ct_hu_zyx[0, 0, 0])
    assert cut.grid.lps_mm((0, 1, 1)) == pytest.approx(volume.grid.lps_mm((number, 1, 1)))
    assert cut.spacing_mm_zyx == volume.spacing_mm_zyx


@pytest.mark.parametrize("slices", [0, N_SLICES + 1])
def test_more_slices_than_there_are_is_an_error(slices: int) -> None:
    with pytest.raises(ConfigError, match=f"{slices} slices asked for, the simulated scan has {N_SLICES}"):
        cut_around_heart(numbered_slices(), heart_in(8, 11), slices=slices)


def test_a_study_is_made_once_and_found_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = make_study(tmp_path, PLAN)
    assert len(list(made.glob("*.dcm"))) == 30
    assert [path.name for path in tmp_path.iterdir()] == [made.name]
    volume = read_volume(made)
    assert volume.grid.shape_zyx == (30, 64, 64)
    assert volume.spacing_mm_zyx[0] == pytest.approx(study.INCREMENT_MM)
    monkeypatch.delattr(study, "simulate_patient")  # the second call must not simulate
    assert make_study(tmp_path, PLAN) == made


def test_plans_that_differ_have_folders_that_differ() -> None:
    plans = [StudyPlan(), StudyPlan(slices=50), StudyPlan(seed=2), StudyPlan(scale=2)]
    assert len({plan.folder_name for plan in plans}) == len(plans)
