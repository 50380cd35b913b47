from __future__ import annotations

from itertools import islice
from typing import NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

from calcmap.prognosis.cox import CoxFit, fit_cox
from calcmap.prognosis.followup import follow_up
from calcmap.simulation.population.clinical import ClinicalRow, draw_clinical_row
from calcmap.simulation.population.draws import cohort_points
from calcmap.simulation.population.outcomes import Event, Outcome, cohort_outcome, draw_outcome, log_hazard
from calcmap.simulation.population.populations import EXTERNAL

N = 2271
UNADJUSTED = np.log([2.20, 4.58, 5.92])
"""Miller 2023, abstract: against no calcium."""
ADJUSTED = np.array([0.642, 1.200, 1.275, 0.113, 0.104, -0.010, -0.020, 0.247, 0.0, -0.105, 0.166,
                     0.199, 0.531, 1.554, 0.0, -0.010])  # fmt: skip
"""Miller 2023, Table 2: calcium, age, male, BMI, hypertension, diabetes, dyslipidaemia, family history, smoking, stress
deficit, rest deficit, ejection fraction."""


class Cohort(NamedTuple):
    rows: tuple[ClinicalRow, ...]
    outcomes: tuple[Outcome, ...]

    def fit(self, columns: slice) -> CoxFit:
        days = np.array([outcome.mace_follow_up_days for outcome in self.outcomes])
        is_event = np.array([outcome.mace is not None for outcome in self.outcomes])
        values = {str(k): column for k, column in enumerate(covariates(self.rows)[:, columns].T)}
        return fit_cox(follow_up(days, is_event, covariates=values))


def holds(fit: CoxFit, printed: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Tell for each coefficient whether its 95 % interval holds a printed one."""
    return np.abs(fit.log_hr - printed) <= 1.96 * fit.standard_error


def draw_cohort(seed: int, n: int = N) -> Cohort:
    points = list(islice(cohort_points(seed, population=EXTERNAL.name), n))
    rows = tuple(draw_clinical_row(point, number=k, population=EXTERNAL) for k, point in enumerate(points))
    return Cohort(rows, tuple(draw_outcome(point, row=row) for point, row in zip(points, rows, strict=True)))


def covariates(rows: tuple[ClinicalRow, ...]) -> NDArray[np.float64]:
    return np.array(
        [
            [
                *(row.category == k for k in (1, 2, 3)),
                row.age_years / 10, row.sex == "M", row.bmi_kg_m2, row.has_hypertension, row.has_diabetes,
                row.has_dyslipidaemia, row.has_family_history, row.is_smoker,
                *(row.stress_tpd_class == k for k in (1, 2, 3)),
                row.rest_tpd_percent, row.lvef_percent,
            ]
            for row in rows
        ],
        dtype=np.float64,
    )  # fmt: skip


@pytest.fixture(scope="module")
def cohorts() -> tuple[Cohort, ...]:
    return tuple(draw_cohort(seed) for seed in range(5))


@pytest.fixture(scope="module")
def large_cohort() -> Cohort:
    return draw_cohort(1, 16384)


def test_every_seed_gives_about_320_events(cohorts: tuple[Cohort, ...]) -> None:
    events = [sum(outcome.mace is not None for outcome in cohort.outcomes) for cohort in cohorts]
    assert all(abs(n - 320) <= 20 for n in events), events


def test_events_by_category_are_those_derived_from_the_paper(large_cohort: Cohort) -> None:
    category = np.array([row.category for row in large_cohort.rows])
    is_event = np.array([outcome.mace is not None for outcome in large_cohort.outcomes])
    scaled = np.bincount(category, is_event) * N / len(category)
    np.testing.assert_allclose(scaled, [52, 72, 81, 115], rtol=0.06)


def test_follow_up_has_the_papers_quartiles(cohorts: tuple[Cohort, ...]) -> None:
    for cohort in cohorts:
        years = np.array([outcome.follow_up_days for outcome in cohort.outcomes]) / 365.25
        np.testing.assert_allclose(np.percentile(years, [25, 50, 75]), [1.7, 2.8, 4.1], atol=0.06)


def test_the_unadjusted_hazard_ratios_of_the_paper_come_out(large_cohort: Cohort) -> None:
    np.testing.assert_allclose(large_cohort.fit(slice(0, 3)).log_hr, UNADJUSTED, atol=0.1)


def test_the_adjusted_hazard_ratios_of_the_paper_come_out(large_cohort: Cohort) -> None:
    fit = large_cohort.fit(slice(None))
    assert (np.abs(fit.log_hr - ADJUSTED) < 3 * fit.standard_error).all()


def test_each_printed_ratio_lies_in_the_simulated_interval_of_a_cohort(cohorts: tuple[Cohort, ...]) -> None:
    adjusted = [holds(cohort.fit(slice(None)), ADJUSTED) for cohort in cohorts]
    unadjusted = [holds(cohort.fit(slice(0, 3)), UNADJUSTED) for cohort in cohorts]
    assert np.mean(adjusted) > 0.95
    assert np.mean(unadjusted) > 0.95


def test_a_patients_outcome_drawn_alone_is_that_of_the_cohort(cohorts: tuple[Cohort, ...]) -> None:
    for number in (0, 17, 2000):
        assert cohort_outcome(2, number, population=EXTERNAL) == cohorts[2].outcomes[number]


def test_days_are_consistent(cohorts: tuple[Cohort, ...]) -> None:
    for outcome in cohorts[0].outcomes:
        days = [
            outcome.death_days,
            outcome.revascularisation_days,
            outcome.infarction_days,
            outcome.unstable_angina_days,
        ]
        known = [day for day in days if day is not None]
        assert all(1 <= day <= outcome.follow_up_days for day in known)
        assert outcome.mace_follow_up_days == min([outcome.follow_up_days, *known])
        assert (outcome.mace is None) == (not known)
        assert outcome.death_days in (None, outcome.follow_up_days)
        assert outcome.mace_follow_up_days <= outcome.hard_follow_up_days <= outcome.follow_up_days


def test_every_kind_of_event_happens(cohorts: tuple[Cohort, ...]) -> None:
    kinds = [outcome.mace for outcome in cohorts[0].outcomes if outcome.mace is not None]
    shares = {kind: kinds.count(kind) / len(kinds) for kind in Event}
    assert 0.30 < shares[Event.DEATH] < 0.45
    assert 0.38 < shares[Event.REVASCULARISATION] < 0.55
    assert 0.10 < shares[Event.INFARCTION] + shares[Event.UNSTABLE_ANGINA] < 0.25


def test_early_revascularisation_follows_large_deficits(cohorts: tuple[Cohort, ...]) -> None:
    early = [
        row.stress_tpd_class == 3
        for row, outcome in zip(*cohorts[0], strict=True)
        if outcome.has_early_revascularisation
    ]
    assert 20 <= len(early) <= 80
    assert np.mean(early) > 4 * np.mean([row.stress_tpd_class == 3 for row in cohorts[0].rows])


def test_the_hazard_of_one_patient_by_hand() -> None:
    row = ClinicalRow(0, 3, "M", 75.0, 175.0, 28.0, True, True, True, False, False, True, 12.0, 3.0, 45.0)
    by_hand = 1.275 + 1.554 + 0.113 * 1 + 0.104 - 0.020 + 0.247 - 0.010 * (45 - 65)
    assert log_hazard(row) == pytest.approx(by_hand)
