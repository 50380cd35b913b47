from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from calcmap.core.result import Vessel
from calcmap.simulation.calcium.deposits import Tissue
from calcmap.simulation.patient import PatientPlan, plan_patient
from calcmap.simulation.population.profile import Profile
from calcmap.simulation.scanner.sites import SITES
from calcmap.simulation.visibility import (
    CARDIAC_PLACES,
    agatston_of,
    is_at_ostium,
    noise_sd_hu,
    visible_calcium,
)

HEAVY = Profile(category=3, sex="M", age_years=72.0, height_cm=175.0, bmi=28.0)


@pytest.fixture(scope="module")
def plan() -> PatientPlan:
    return plan_patient(4, site=SITES["ge_nmct"], profile=HEAVY)


def test_the_score_of_a_block_by_hand() -> None:
    hu = np.full((4, 10, 10), 40, dtype=np.float32)
    hu[1, 2:5, 2:4] = 250  # 6 pixels, weight 2
    hu[2, 2, 2] = 450  # one pixel, weight 4
    assert agatston_of(hu, pixel_mm=1.0, increment_mm=5.0) == pytest.approx((6 * 2 + 1 * 4) * 5 / 3)


def test_specks_below_a_square_millimetre_do_not_count() -> None:
    hu = np.full((1, 10, 10), 40, dtype=np.float32)
    hu[0, 2, 2:5] = 300  # 3 pixels of 0.25 mm2; 4 are needed
    assert agatston_of(hu, pixel_mm=0.5, increment_mm=3.0) == 0
    hu[0, 3, 3] = 300
    assert agatston_of(hu, pixel_mm=0.5, increment_mm=3.0) == pytest.approx(3.0)


def coronary_score(plan: PatientPlan, **changes: float) -> float:
    acquisition = replace(plan.acquisition, **changes)  # type: ignore[arg-type]
    return visible_calcium(plan, acquisition=acquisition).agatston_without_noise


STILL = {"beat_share": 0.0, "breath_mm": 0.0}


def test_lesions_know_their_vessel_and_only_cardiac_calcium_is_shown(plan: PatientPlan) -> None:
    lesions = visible_calcium(plan).lesions
    coronary = [lesion for lesion in lesions if lesion.tissue is Tissue.CORONARY]
    assert coronary
    assert all(lesion.vessel in Vessel for lesion in coronary)
    assert all(lesion.vessel is None and lesion.place in CARDIAC_PLACES for lesion in lesions if lesion not in coronary)


def test_the_same_scan_shows_the_same_and_another_scan_something_else(plan: PatientPlan) -> None:
    assert visible_calcium(plan) == visible_calcium(plan)
    assert visible_calcium(plan, repeat=1) != visible_calcium(plan)


def test_a_still_sharp_thin_scan_shows_about_the_ideal_score(plan: PatientPlan) -> None:
    seen = coronary_score(plan, kvp=120.0, pixel_mm=0.5, increment_mm=3.0, thickness_mm=3.0, psf_sigma_mm=0.55, **STILL)
    assert seen == pytest.approx(plan.ideal_agatston, rel=0.25)


def test_motion_hides_calcium(plan: PatientPlan) -> None:
    moving = {"beat_share": 1.0, "breath_mm": 10.0, "rotation_s": 0.8, "window_turns": 1.0}
    assert coronary_score(plan, **moving) < 0.9 * coronary_score(plan, **STILL)


def test_deposits_that_touch_are_one_lesion(plan: PatientPlan) -> None:
    coronary = max((d for d in plan.deposits if d.tissue is Tissue.CORONARY), key=lambda d: d.volume_mm3)
    alone = replace(plan, deposits=(coronary,))
    twice = replace(plan, deposits=(coronary, coronary))
    assert len(visible_calcium(twice).lesions) <= len(visible_calcium(alone).lesions) == 1


def test_a_patient_without_calcium_shows_none(plan: PatientPlan) -> None:
    empty = visible_calcium(replace(plan, deposits=()))
    assert empty.lesions == ()
    assert empty.agatston_without_noise == 0


def test_noise_falls_with_tube_current_and_rises_with_the_patient(plan: PatientPlan) -> None:
    person, acquisition = plan.anatomy.person, replace(plan.acquisition, modulation=0.0)
    noise = noise_sd_hu(person, acquisition)
    assert noise_sd_hu(person, replace(acquisition, mas=4 * acquisition.mas)) == pytest.approx(noise / 2)
    assert noise_sd_hu(replace(person, fat_mm=person.fat_mm + 30), acquisition) > 1.3 * noise
    assert 8 < noise < 60


@pytest.mark.parametrize(
    ("place", "distance_mm", "expected"),
    [("LM", 8.9, True), ("LM", 9.1, False), ("aortic_root", 13.0, True), ("LAD", 0.0, False)],
)
def test_what_counts_as_ostial(place: str, distance_mm: float, expected: bool) -> None:
    assert is_at_ostium(place, np.array([distance_mm, 0.0, 0.0]), [np.zeros(3)]) is expected
