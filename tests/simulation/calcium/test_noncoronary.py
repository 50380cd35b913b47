"""Calcium outside the coronaries comes as often as cohorts report, and lies where it is named."""

from __future__ import annotations

import numpy as np
import pytest

from calcmap.core.volume import Float64Array
from calcmap.simulation.anatomy.coronaries import CoronaryBranch, draw_coronaries
from calcmap.simulation.anatomy.heart import AORTA, heart_distances_mm, reference_points
from calcmap.simulation.anatomy.mediastinum import great_vessel_curve
from calcmap.simulation.anatomy.thorax import Anatomy
from calcmap.simulation.calcium.deposits import Deposit, Tissue
from calcmap.simulation.calcium.ideal_scan import ideal_agatston
from calcmap.simulation.calcium.noncoronary import MESA_AGE_YEARS, PLACES, draw_noncoronary_deposits
from calcmap.simulation.patient import Recipe, plan_patient
from calcmap.simulation.population.profile import Profile
from calcmap.simulation.scanner.sites import SITES


@pytest.fixture(scope="module")
def patient() -> tuple[Anatomy, tuple[CoronaryBranch, ...]]:
    profile = Profile(category=0, sex="M", age_years=85.0, height_cm=172.0, bmi=26.0)
    anatomy = plan_patient(3, site=SITES["ge_nmct"], profile=profile, recipe=Recipe(noncoronary_factor=0.0)).anatomy
    return anatomy, draw_coronaries(np.random.default_rng(0), anatomy=anatomy)


@pytest.fixture(scope="module")
def by_place(patient: tuple[Anatomy, tuple[CoronaryBranch, ...]]) -> dict[str, list[tuple[Deposit, ...]]]:
    """Deposits of every place, patient by patient, with every prevalence raised to its highest."""
    anatomy, branches = patient
    found: dict[str, list[tuple[Deposit, ...]]] = {name: [] for name in PLACES}
    for seed in range(40):
        drawn = draw_noncoronary_deposits(
            np.random.default_rng(seed), anatomy=anatomy, branches=branches, factor=1000.0
        )
        for name in PLACES:
            here = tuple(deposit for deposit in drawn if deposit.place == name)
            if here:
                found[name].append(here)
    return found


def _middles(patients: list[tuple[Deposit, ...]]) -> Float64Array:
    return np.array([deposit.parts_mm.mean(axis=0) for deposits in patients for deposit in deposits])


@pytest.mark.parametrize(
    ("name", "prevalence"), [("aortic_valve", 630 / 5042), ("mitral_annulus", 442 / 5042), ("descending_aorta", 0.25)]
)
def test_prevalences_at_62_years_are_those_of_mesa(name: str, prevalence: float) -> None:
    both = [PLACES[name].probability(age_years=MESA_AGE_YEARS, sex=sex) for sex in "MF"]

    assert np.mean(both) == pytest.approx(prevalence, abs=0.006)


@pytest.mark.parametrize("name", sorted(PLACES))
def test_prevalence_rises_with_age_and_with_coronary_calcium(name: str) -> None:
    place = PLACES[name]

    assert place.probability(age_years=75, sex="F") > place.probability(age_years=60, sex="F")
    assert place.probability(age_years=70, sex="M", category=3) > place.probability(age_years=70, sex="M", category=0)
    assert 0 < place.probability(age_years=95, sex="M", category=3) < 1


def test_valves_calcify_more_in_men_and_annuli_more_in_women() -> None:
    valve, annulus = (
        [PLACES[name].probability(age_years=70, sex=sex) for sex in "MF"] for name in ("aortic_valve", "mitral_annulus")
    )

    assert valve[0] > valve[1]
    assert annulus[0] < annulus[1]


def test_every_place_names_its_source() -> None:
    assert all(place.source for place in PLACES.values())


def test_no_factor_means_no_deposits(patient: tuple[Anatomy, tuple[CoronaryBranch, ...]]) -> None:
    anatomy, branches = patient

    assert draw_noncoronary_deposits(np.random.default_rng(0), anatomy=anatomy, branches=branches, factor=0.0) == ()


def test_all_of_it_is_noncoronary_calcium_of_no_vessel(by_place: dict[str, list[tuple[Deposit, ...]]]) -> None:
    deposits = [deposit for patients in by_place.values() for drawn in patients for deposit in drawn]

    assert {deposit.tissue for deposit in deposits} == {Tissue.NONCORONARY}
    assert {deposit.vessel for deposit in deposits} == {None}
    assert all(deposit.mass_mg > 0 for deposit in deposits)


@pytest.mark.parametrize("name", ["aortic_root", "ascending_aorta", "aortic_arch", "descending_aorta"])
def test_aortic_calcium_lies_in_the_aortic_wall(
    name: str,
    patient: tuple[Anatomy, tuple[CoronaryBranch, ...]],
    by_place: dict[str, list[tuple[Deposit, ...]]],
) -> None:
    anatomy, _ = patient
    curve, radius = great_vessel_curve(anatomy, "aorta")
    curve = anatomy.patient_points(curve)
    points = np.vstack([deposit.parts_mm[::9] for drawn in by_place[name][:15] for deposit in drawn])
    away = np.linalg.norm(points[:, None] - curve[None], axis=2)
    nearest = away.argmin(axis=1)

    off = np.abs(away[np.arange(len(points)), nearest] - radius[nearest])
    assert np.median(off) < 1.5
    # on the inner side of the arch the nearest point of the centre line is not the one the wall belongs to
    assert np.quantile(off, 0.98) < 4.0


def test_parts_of_the_aorta_follow_each_other(by_place: dict[str, list[tuple[Deposit, ...]]]) -> None:
    heights = {name: _middles(by_place[name])[:, 2] for name in PLACES}

    assert heights["aortic_root"].max() < heights["aortic_arch"].min() + 10
    assert heights["ascending_aorta"].mean() < heights["aortic_arch"].mean()
    assert _middles(by_place["descending_aorta"])[:, 1].mean() > _middles(by_place["ascending_aorta"])[:, 1].mean() + 30


def test_root_calcium_prefers_the_ostia(
    patient: tuple[Anatomy, tuple[CoronaryBranch, ...]], by_place: dict[str, list[tuple[Deposit, ...]]]
) -> None:
    ostia = np.array([branch.points_mm[0] for branch in patient[1] if branch.parent is None])
    away = np.linalg.norm(_middles(by_place["aortic_root"])[:, None] - ostia[None], axis=2).min(axis=1)

    assert 0.35 < np.mean(away < 10) < 0.85


def test_valve_calcium_lies_in_the_aortic_root(
    patient: tuple[Anatomy, tuple[CoronaryBranch, ...]], by_place: dict[str, list[tuple[Deposit, ...]]]
) -> None:
    anatomy, _ = patient
    valve = anatomy.patient_points(anatomy.frame.from_reference(AORTA.points_mm[1:2]))[0]

    assert np.linalg.norm(_middles(by_place["aortic_valve"]) - valve, axis=1).max() < 22


@pytest.mark.parametrize("name", ["mitral_annulus", "papillary_muscle", "pericardium", "aortic_valve"])
def test_cardiac_calcium_lies_in_or_on_the_heart(
    name: str, patient: tuple[Anatomy, tuple[CoronaryBranch, ...]], by_place: dict[str, list[tuple[Deposit, ...]]]
) -> None:
    anatomy, _ = patient
    model = anatomy.deformation.to_model(_middles(by_place[name]))
    sac = heart_distances_mm(
        anatomy.frame.to_reference(reference_points(model)), fat_mm=anatomy.person.epicardial_fat_mm
    )[1]

    assert sac.max() < (6.0 if name == "pericardium" else 0.0)


@pytest.mark.parametrize(("name", "median"), [("aortic_valve", 55.9), ("mitral_annulus", 71.1)])
def test_valve_scores_are_those_of_mesa(
    name: str, median: float, by_place: dict[str, list[tuple[Deposit, ...]]]
) -> None:
    scores = np.array([ideal_agatston(*deposits) for deposits in by_place[name]])

    assert len(scores) >= 30
    assert 0.4 * median < np.median(scores[scores > 0]) < 2.5 * median
