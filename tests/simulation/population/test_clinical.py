from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import chi2

from calcmap.core.errors import ConfigError
from calcmap.simulation.population.clinical import (
    ClinicalRow,
    cohort_profile,
    cohort_row,
    draw_cohort_profiles,
)
from calcmap.simulation.population.populations import EXTERNAL, POPULATIONS, population_of

N = 2271
PRINTED_COUNTS = {
    "is_male": 1147,
    "has_hypertension": 1286,
    "has_diabetes": 533,
    "has_dyslipidaemia": 1003,
    "has_family_history": 1118,
    "is_smoker": 150,
}
"""Sums of Miller 2023, Table 1."""
SEEDS = (0, 1, 2)


@pytest.fixture(scope="module", params=SEEDS)
def rows(request: pytest.FixtureRequest) -> tuple[ClinicalRow, ...]:
    return draw_cohort_profiles(N, seed=request.param, population=EXTERNAL)


def column(rows: tuple[ClinicalRow, ...], name: str) -> NDArray[np.float64]:
    if name == "is_male":
        return np.array([row.sex == "M" for row in rows], dtype=np.float64)
    return np.array([getattr(row, name) for row in rows], dtype=np.float64)


def test_a_longer_cohort_begins_with_the_shorter_one() -> None:
    assert draw_cohort_profiles(40, seed=5, population=EXTERNAL)[:7] == draw_cohort_profiles(
        7, seed=5, population=EXTERNAL
    )


def test_one_patient_drawn_alone_is_the_patient_of_the_cohort() -> None:
    rows = draw_cohort_profiles(30, seed=5, population=EXTERNAL)
    assert cohort_row(5, 29, population=EXTERNAL) == rows[29]
    assert cohort_profile(5, 29, EXTERNAL) == rows[29].profile


def test_category_shares_are_the_papers_within_half_a_point(rows: tuple[ClinicalRow, ...]) -> None:
    shares = np.bincount(column(rows, "category").astype(int), minlength=4) / N
    np.testing.assert_allclose(shares, [0.400, 0.262, 0.156, 0.182], atol=0.005)


@pytest.mark.parametrize("name", sorted(PRINTED_COUNTS))
def test_counts_are_the_papers_within_a_point(rows: tuple[ClinicalRow, ...], name: str) -> None:
    assert abs(column(rows, name).sum() - PRINTED_COUNTS[name]) < 0.01 * N


def test_mean_ages_by_category_are_the_papers(rows: tuple[ClinicalRow, ...]) -> None:
    age, category = column(rows, "age_years"), column(rows, "category")
    means = [age[category == k].mean() for k in range(4)]
    np.testing.assert_allclose(means, [61.9, 66.4, 70.8, 72.3], atol=0.4)


def p_by_category(rows: tuple[ClinicalRow, ...], name: str) -> float:
    value, category = column(rows, name), column(rows, "category").astype(int)
    n = np.bincount(category)
    mean = np.bincount(category, value) / n
    overall = value.mean()
    return float(chi2.sf((n * (mean - overall) ** 2).sum() / (overall * (1 - overall)), 3))


@pytest.mark.parametrize("name", ["is_male", "has_hypertension", "has_diabetes", "has_dyslipidaemia"])
def test_these_rise_with_calcium_as_the_paper_found(rows: tuple[ClinicalRow, ...], name: str) -> None:
    assert p_by_category(rows, name) < 0.001


@pytest.mark.parametrize("name", ["has_family_history", "is_smoker"])
def test_these_do_not_go_with_calcium_as_the_paper_found(rows: tuple[ClinicalRow, ...], name: str) -> None:
    assert p_by_category(rows, name) > 0.05


def test_calcium_depends_on_age_and_sex_about_as_in_mesa() -> None:
    rows = draw_cohort_profiles(8192, seed=1, population=EXTERNAL)
    age, has_calcium, is_male = column(rows, "age_years"), column(rows, "category") > 0, column(rows, "is_male") == 1
    mesa_white_percent = {
        (55, True): 56,
        (65, True): 77,
        (75, True): 90,
        (55, False): 26,
        (65, False): 47,
        (75, False): 73,
    }
    for (years, man), percent in mesa_white_percent.items():
        chosen = (np.abs(age - years) < 2.5) & (is_male == man)
        assert abs(100 * has_calcium[chosen].mean() - percent) < 13


def test_values_stay_where_patients_have_them(rows: tuple[ClinicalRow, ...]) -> None:
    for name, low, high in [("age_years", 30, 92), ("height_cm", 135, 205), ("bmi_kg_m2", 17, 50),
                            ("lvef_percent", 15, 85), ("stress_tpd_percent", 0, 50)]:  # fmt: skip
        values = column(rows, name)
        assert low <= values.min()
        assert values.max() <= high
    assert (column(rows, "rest_tpd_percent") <= column(rows, "stress_tpd_percent")).all()


def within_category(rows: tuple[ClinicalRow, ...], first: str, second: str) -> float:
    a, b, category = (column(rows, name) for name in (first, second, "category"))
    return float(np.mean([np.corrcoef(a[category == k], b[category == k])[0, 1] for k in range(4)]))


@pytest.mark.parametrize(
    ("first", "second", "sign"),
    [
        ("age_years", "has_hypertension", 1),
        ("bmi_kg_m2", "has_diabetes", 1),
        ("stress_tpd_percent", "lvef_percent", -1),
        ("stress_tpd_percent", "rest_tpd_percent", 1),
        ("age_years", "is_smoker", -1),
        ("age_years", "is_pharmacologic_stress", 1),
    ],
)
def test_risk_factors_go_together_as_a_clinician_expects(
    rows: tuple[ClinicalRow, ...], first: str, second: str, sign: int
) -> None:
    assert sign * within_category(rows, first, second) > 0.05


@pytest.mark.parametrize(("percent", "expected"), [(0.9, 0), (1.0, 1), (4.9, 1), (5.0, 2), (9.9, 2), (10.0, 3)])
def test_classes_of_the_deficit_begin_at_their_limit(percent: float, expected: int) -> None:
    row = cohort_row(1, 1, population=EXTERNAL)
    assert replace(row, stress_tpd_percent=percent).stress_tpd_class == expected


def test_sites_without_a_population_of_their_own_see_spect_patients() -> None:
    assert population_of("external") is EXTERNAL
    assert population_of("ge_nmct").name == "spect_training"
    assert len({population.name for population in POPULATIONS.values()}) == len(POPULATIONS)


@pytest.mark.parametrize(
    "broken",
    [
        lambda: replace(EXTERNAL, male=(0.1, 0.2, 0.3, 1.2)),
        lambda: replace(EXTERNAL, category_shares=(0.4, 0.3, 0.2, 0.2)),
        lambda: replace(EXTERNAL, category_shares=(-0.1, 0.5, 0.3, 0.3)),
    ],
)
def test_impossible_shares_are_refused(broken: Callable[[], object]) -> None:
    with pytest.raises(ConfigError, match="population 'external'"):
        broken()
