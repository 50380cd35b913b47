"""What happens to a patient after the scan: follow-up and major adverse cardiac events (MACE).

MACE is the first of death, coronary revascularisation, myocardial infarction and unstable angina. Its hazard is a
baseline times the exponential of the paper's adjusted log hazard ratios, so a Cox model on a large simulated cohort
gives those ratios back. What kind of event it is, and what follows it, is our choice.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from calcmap.core.volume import Float64Array
from calcmap.simulation.population.clinical import ClinicalRow, draw_clinical_row
from calcmap.simulation.population.draws import Draw, cohort_point
from calcmap.simulation.population.populations import Population

DAYS_PER_YEAR = 365.25

LOG_HR_CATEGORY = (0.0, 0.642, 1.200, 1.275)
LOG_HR_STRESS_TPD = (0.0, 0.199, 0.531, 1.554)
LOG_HR_AGE_PER_10_YEARS = 0.113
LOG_HR_MALE = 0.104
LOG_HR_BMI = -0.010
LOG_HR_HYPERTENSION = -0.020
LOG_HR_DIABETES = 0.247
LOG_HR_FAMILY_HISTORY = -0.105
LOG_HR_SMOKING = 0.166
LOG_HR_LVEF_PER_PERCENT = -0.010
"""Adjusted log hazard ratios of Miller 2023, Table 2; those of dyslipidaemia and of the deficit at rest are 0."""

REFERENCE_AGE_YEARS = 65.0
REFERENCE_BMI = 28.0
REFERENCE_LVEF_PERCENT = 65.0
"""Where the log hazard is 0, in a woman without any risk factor, deficit or calcium."""
BASELINE_RATE = 0.0195
"""Cumulative hazard of the reference patient after one year; calibrated: 320 events in 2,271 (Miller 2023)."""
BASELINE_SHAPE = 0.85
"""Weibull: below 1, more events soon after the scan, many of them revascularisations (our choice)."""

FOLLOW_UP_YEARS = (0.5, 1.86, 2.95, 4.22, 6.2)
"""Quartiles of the time at which follow-up would end but for death; calibrated: median 2.8 (1.7-4.1) years of follow-up
(Miller 2023). The ends are our choice."""

EARLY_DAYS = 90
"""A revascularisation this soon is taken for a consequence of the scan (usual in the group's work)."""
EARLY_YEARS = EARLY_DAYS / DAYS_PER_YEAR


class Event(StrEnum):
    """What a major adverse cardiac event was."""

    DEATH = "death"
    REVASCULARISATION = "revascularisation"
    INFARCTION = "infarction"
    UNSTABLE_ANGINA = "unstable_angina"


EVENT_WEIGHTS = {
    Event.DEATH: 0.85,
    Event.REVASCULARISATION: 0.28,
    Event.INFARCTION: 0.27,
    Event.UNSTABLE_ANGINA: 0.20,
}
"""Before the factors below; overall about 37 % deaths, 46 % revascularisations and 17 % acute coronary syndromes.
In 13,988 SPECT patients of the group: 35, 47 and 18 % (npj Digital Medicine 2023, s41746-023-00806-x, Table 2)."""
DEATH_LOG_FACTOR_PER_10_YEARS = 0.5
REVASCULARISATION_FACTOR_CATEGORY = (1.0, 1.8, 2.5, 2.8)
REVASCULARISATION_FACTOR_TPD = (1.0, 1.4, 2.5, 6.0)
REVASCULARISATION_FACTOR_EARLY = 10.0
LATER_DEATH_PER_YEAR = 0.035
"""After a first event that was not death, at the reference age (our choice)."""
LATER_INFARCTION_PER_YEAR = 0.015
REVASCULARISED_SHARE = {Event.INFARCTION: 0.5, Event.UNSTABLE_ANGINA: 0.45}
"""Who is revascularised within days of an acute coronary syndrome (our choice)."""
REVASCULARISED_WITHIN_DAYS = 10


@dataclass(frozen=True)
class Outcome:
    """What is known when follow-up ends; whole days since the scan, ``None`` where nothing happened."""

    follow_up_days: int
    """To death or the end of follow-up."""
    mace_follow_up_days: int
    """To the first MACE or the end of follow-up."""
    mace: Event | None
    """Kind of the first MACE."""
    death_days: int | None
    revascularisation_days: int | None
    infarction_days: int | None
    unstable_angina_days: int | None

    @property
    def has_early_revascularisation(self) -> bool:
        """Tell whether the scan led to a revascularisation within `EARLY_DAYS`."""
        return self.revascularisation_days is not None and self.revascularisation_days <= EARLY_DAYS

    @property
    def has_hard_event(self) -> bool:
        """Tell whether the patient died or had a myocardial infarction."""
        return self.death_days is not None or self.infarction_days is not None

    @property
    def hard_follow_up_days(self) -> int:
        """To the first of death, infarction and the end of follow-up."""
        days = [d for d in (self.death_days, self.infarction_days) if d is not None]
        return min([self.follow_up_days, *days])


def log_hazard(row: ClinicalRow) -> float:
    """Return the log of a patient's MACE hazard over the reference patient's; higher means more risk."""
    return float(
        LOG_HR_CATEGORY[row.category]
        + LOG_HR_STRESS_TPD[row.stress_tpd_class]
        + LOG_HR_AGE_PER_10_YEARS * (row.age_years - REFERENCE_AGE_YEARS) / 10
        + LOG_HR_MALE * (row.sex == "M")
        + LOG_HR_BMI * (row.bmi_kg_m2 - REFERENCE_BMI)
        + LOG_HR_HYPERTENSION * row.has_hypertension
        + LOG_HR_DIABETES * row.has_diabetes
        + LOG_HR_FAMILY_HISTORY * row.has_family_history
        + LOG_HR_SMOKING * row.is_smoker
        + LOG_HR_LVEF_PER_PERCENT * (row.lvef_percent - REFERENCE_LVEF_PERCENT)
    )


def cohort_outcome(seed: int, number: int, *, population: Population) -> Outcome:
    """Return what happens to one patient of a cohort, whatever the number of patients or workers."""
    point = cohort_point(seed, number, population=population.name)
    return draw_outcome(point, row=draw_clinical_row(point, number=number, population=population))


def draw_outcome(point: Float64Array, *, row: ClinicalRow) -> Outcome:
    """Return the follow-up of the patient that a point of the unit cube (coordinates as `Draw`) stands for."""
    end_years = float(np.interp(point[Draw.CENSORING_TIME], (0, 0.25, 0.5, 0.75, 1), FOLLOW_UP_YEARS))
    end = _days(end_years)
    hazard = -np.log1p(-point[Draw.EVENT_TIME])
    years = float((hazard / (BASELINE_RATE * np.exp(log_hazard(row)))) ** (1 / BASELINE_SHAPE))
    days = _days(years)
    if days > end:
        return Outcome(end, end, None, None, None, None, None)
    event = _event_kind(float(point[Draw.EVENT_TYPE]), row=row, years=years)
    found = {event: days, **_later_events(point, row=row, event=event, years=years)}
    found = {kind: day for kind, day in found.items() if day <= min(end, found.get(Event.DEATH, end))}
    return Outcome(
        follow_up_days=found.get(Event.DEATH, end),
        mace_follow_up_days=days,
        mace=event,
        death_days=found.get(Event.DEATH),
        revascularisation_days=found.get(Event.REVASCULARISATION),
        infarction_days=found.get(Event.INFARCTION),
        unstable_angina_days=found.get(Event.UNSTABLE_ANGINA),
    )


def _days(years: float) -> int:
    """Return the day, from 1, on which a time ends."""
    return max(1, int(np.ceil(years * DAYS_PER_YEAR)))


def _event_kind(u: float, *, row: ClinicalRow, years: float) -> Event:
    weights = dict(EVENT_WEIGHTS)
    weights[Event.DEATH] *= float(np.exp(DEATH_LOG_FACTOR_PER_10_YEARS * (row.age_years - REFERENCE_AGE_YEARS) / 10))
    weights[Event.REVASCULARISATION] *= (
        REVASCULARISATION_FACTOR_CATEGORY[row.category]
        * REVASCULARISATION_FACTOR_TPD[row.stress_tpd_class]
        * (REVASCULARISATION_FACTOR_EARLY if years <= EARLY_YEARS else 1.0)
    )
    ends = np.cumsum(list(weights.values()))
    return list(weights)[int(np.searchsorted(ends[:-1], u * ends[-1], side="right"))]


def _later_events(point: Float64Array, *, row: ClinicalRow, event: Event, years: float) -> dict[Event, int]:
    """Return on which days other events follow a first one; those beyond the end of follow-up are among them."""
    if event is Event.DEATH:
        return {}
    aged = np.exp(DEATH_LOG_FACTOR_PER_10_YEARS * (row.age_years - REFERENCE_AGE_YEARS) / 10)
    later = {Event.DEATH: _days(years - np.log(point[Draw.LATER_DEATH]) / (LATER_DEATH_PER_YEAR * aged))}
    u = float(point[Draw.LATER_REVASCULARISATION])
    share = REVASCULARISED_SHARE.get(event, 0.0)
    if u < share:
        later[Event.REVASCULARISATION] = _days(years) + int(REVASCULARISED_WITHIN_DAYS * u / share)
    if event is not Event.INFARCTION:
        wait_years = -np.log(point[Draw.LATER_INFARCTION]) / LATER_INFARCTION_PER_YEAR
        later[Event.INFARCTION] = _days(years + wait_years)
    return later
