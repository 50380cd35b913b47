"""The clinical table: who is scanned, with what risk factors, perfusion and function."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import islice

import numpy as np
from scipy.special import ndtr, ndtri

from calcmap.core.volume import Float64Array
from calcmap.simulation.population.draws import Draw, cohort_point, cohort_points
from calcmap.simulation.population.populations import ByCategory, Population
from calcmap.simulation.population.profile import Profile

TPD_LIMITS_PERCENT = (1.0, 5.0, 10.0)
"""Classes of the paper's Table 2."""
AGE_RANGE_YEARS = (30.0, 92.0)
BMI_RANGE = (17.0, 50.0)
BMI_LOG_SD = 0.19
"""Interquartile range 25 to 32 about 28 to 29 kg/m2, as in the group's SPECT and PET cohorts."""
HEIGHT_CM = {"M": (176.0, 7.0), "F": (162.5, 6.5)}
"""Mean and SD (our choice: North American adults of these ages)."""
WOMEN_OLDER_YEARS = 3.0
"""Women of a calcium category are older than its men (our choice, after MESA's later onset in women)."""
WOMEN_LVEF_HIGHER_PERCENT = 5.0
LVEF_SD_PERCENT = 9.0
LVEF_RANGE_PERCENT = (15.0, 85.0)
TPD_TAIL_PERCENT = 7.0
"""Mean excess of large deficits over 10 % (our choice)."""
TPD_HIGHEST_PERCENT = 50.0

_LATENT = (
    Draw.AGE, Draw.BMI, Draw.STRESS_TPD, Draw.LVEF, Draw.REST_TPD, Draw.HYPERTENSION, Draw.DIABETES,
    Draw.DYSLIPIDAEMIA, Draw.FAMILY_HISTORY, Draw.SMOKING, Draw.STRESS_TYPE,
)  # fmt: skip
"""Variables that go together within a category."""
_CORRELATIONS: dict[tuple[Draw, Draw], float] = {
    (Draw.AGE, Draw.BMI): -0.15,
    (Draw.AGE, Draw.STRESS_TPD): 0.05,
    (Draw.AGE, Draw.HYPERTENSION): 0.30,
    (Draw.AGE, Draw.DIABETES): 0.05,
    (Draw.AGE, Draw.DYSLIPIDAEMIA): 0.10,
    (Draw.AGE, Draw.FAMILY_HISTORY): -0.12,
    (Draw.AGE, Draw.SMOKING): -0.25,
    (Draw.AGE, Draw.STRESS_TYPE): 0.40,
    (Draw.BMI, Draw.HYPERTENSION): 0.18,
    (Draw.BMI, Draw.DIABETES): 0.25,
    (Draw.BMI, Draw.STRESS_TYPE): 0.15,
    (Draw.HYPERTENSION, Draw.DIABETES): 0.25,
    (Draw.HYPERTENSION, Draw.DYSLIPIDAEMIA): 0.25,
    (Draw.DIABETES, Draw.DYSLIPIDAEMIA): 0.20,
    (Draw.STRESS_TPD, Draw.LVEF): -0.40,
    (Draw.STRESS_TPD, Draw.REST_TPD): 0.35,
    (Draw.LVEF, Draw.REST_TPD): -0.30,
    (Draw.DIABETES, Draw.STRESS_TYPE): 0.10,
}
"""Of the normal scores within a category and sex (our choice: signs and sizes that clinicians would expect)."""


@dataclass(frozen=True)
class ClinicalRow:
    """One patient of a clinical table; numbers are rounded as a table would have them."""

    number: int
    """Of the patient in the cohort, from 0."""
    category: int
    """Of the ideal calcium score, 0 to 3."""
    sex: str
    """``"M"`` or ``"F"``."""
    age_years: float
    height_cm: float
    bmi_kg_m2: float
    has_hypertension: bool
    has_diabetes: bool
    has_dyslipidaemia: bool
    has_family_history: bool
    is_smoker: bool
    is_pharmacologic_stress: bool
    """Not stressed by exercise."""
    stress_tpd_percent: float
    """Total perfusion deficit at stress, attenuation-corrected, per cent of the left ventricle."""
    rest_tpd_percent: float
    lvef_percent: float

    @property
    def stress_tpd_class(self) -> int:
        """0 below 1 %, 1 from 1 %, 2 from 5 %, 3 from 10 % on."""
        return int(np.searchsorted(TPD_LIMITS_PERCENT, self.stress_tpd_percent, side="right"))

    @property
    def profile(self) -> Profile:
        """What the simulator's anatomy and calcium need to know."""
        return Profile(self.category, self.sex, self.age_years, self.height_cm, self.bmi_kg_m2)


def draw_clinical_row(point: Float64Array, *, number: int, population: Population) -> ClinicalRow:
    """Return the patient that a point of the unit cube (coordinates as `Draw`) stands for.

    Every variable is the inverse of its marginal distribution, given category and sex, at a coordinate; correlation
    within a category comes from mixing normal scores, which leaves each margin as it is.
    """
    category = int(np.searchsorted(np.cumsum(population.category_shares)[:-1], point[Draw.CATEGORY], side="right"))
    is_male = bool(point[Draw.SEX] < population.male[category])
    score = dict(zip(_LATENT, _mixing() @ ndtri(point[list(_LATENT)]), strict=True))
    tpd = _stress_tpd_percent(float(ndtr(score[Draw.STRESS_TPD])), shares=population.stress_tpd[category])

    def has(draw: Draw, prevalence: ByCategory) -> bool:
        return bool(ndtr(-score[draw]) < prevalence[category])

    height_mean, height_sd = HEIGHT_CM["M" if is_male else "F"]
    return ClinicalRow(
        number=number,
        category=category,
        sex="M" if is_male else "F",
        age_years=_age_years(score[Draw.AGE], category=category, is_male=is_male, population=population),
        height_cm=round(height_mean + height_sd * float(ndtri(point[Draw.HEIGHT])), 1),
        bmi_kg_m2=round(float(np.clip(population.bmi_median * np.exp(BMI_LOG_SD * score[Draw.BMI]), *BMI_RANGE)), 1),
        has_hypertension=has(Draw.HYPERTENSION, population.hypertension),
        has_diabetes=has(Draw.DIABETES, population.diabetes),
        has_dyslipidaemia=has(Draw.DYSLIPIDAEMIA, population.dyslipidaemia),
        has_family_history=has(Draw.FAMILY_HISTORY, population.family_history),
        is_smoker=has(Draw.SMOKING, population.smoking),
        is_pharmacologic_stress=has(Draw.STRESS_TYPE, population.pharmacologic_stress),
        stress_tpd_percent=tpd,
        rest_tpd_percent=_rest_tpd_percent(float(ndtr(score[Draw.REST_TPD])), stress_tpd_percent=tpd),
        lvef_percent=_lvef_percent(score[Draw.LVEF], category=category, is_male=is_male, population=population),
    )


def cohort_row(seed: int, number: int, *, population: Population) -> ClinicalRow:
    """Return one patient of a cohort, whatever the number of patients or workers."""
    point = cohort_point(seed, number, population=population.name)
    return draw_clinical_row(point, number=number, population=population)


def cohort_profile(seed: int, number: int, population: Population) -> Profile:
    """Return the profile of one patient of a cohort: that of `cohort_row`."""
    return cohort_row(seed, number, population=population).profile


def draw_cohort_profiles(n: int, *, seed: int, population: Population) -> tuple[ClinicalRow, ...]:
    """Return the first ``n`` patients of a cohort; a longer cohort begins with the same patients."""
    return tuple(islice(_rows(seed, population), n))


def _rows(seed: int, population: Population) -> Iterator[ClinicalRow]:
    for number, point in enumerate(cohort_points(seed, population=population.name)):
        yield draw_clinical_row(point, number=number, population=population)


@cache
def _mixing() -> Float64Array:
    """Return the lower triangle that gives independent normal scores their correlations."""
    matrix: Float64Array = np.eye(len(_LATENT), dtype=np.float64)
    for (first, second), value in _CORRELATIONS.items():
        i, j = _LATENT.index(first), _LATENT.index(second)
        matrix[i, j] = matrix[j, i] = value
    return np.linalg.cholesky(matrix).astype(np.float64)


def _age_years(score: float, *, category: int, is_male: bool, population: Population) -> float:
    """Return the age at a normal score: normal about the category's mean, without ages outside the range."""
    men = population.male[category]
    mean = population.age_mean_years[category] + WOMEN_OLDER_YEARS * (-(1 - men) if is_male else men)
    sd = population.age_sd_years[category]
    low, high = (float(ndtr((limit - mean) / sd)) for limit in AGE_RANGE_YEARS)
    return round(mean + sd * float(ndtri(low + (high - low) * float(ndtr(score)))), 1)


def _lvef_percent(score: float, *, category: int, is_male: bool, population: Population) -> float:
    men = population.male[category]
    mean = population.lvef_mean_percent[category] + WOMEN_LVEF_HIGHER_PERCENT * (-(1 - men) if is_male else men)
    return float(round(float(np.clip(mean + LVEF_SD_PERCENT * score, *LVEF_RANGE_PERCENT))))


def _stress_tpd_percent(u: float, *, shares: tuple[float, ...]) -> float:
    """Return the deficit at a quantile: even within a class, with a falling tail above the last limit."""
    ends = np.cumsum(shares)
    k = int(np.searchsorted(ends[:-1], u, side="right"))
    within = (u - (ends[k] - shares[k])) / shares[k]
    if k == len(TPD_LIMITS_PERCENT):
        percent = min(TPD_LIMITS_PERCENT[-1] - TPD_TAIL_PERCENT * np.log1p(-min(within, 1 - 1e-9)), TPD_HIGHEST_PERCENT)
    else:
        low, high = (0.0, *TPD_LIMITS_PERCENT)[k], TPD_LIMITS_PERCENT[k]
        percent = low + (high - low) * min(within, 1 - 1e-9)
    # cut, not rounded, so that no deficit leaves its class
    return float(np.floor(10 * percent) / 10)


def _rest_tpd_percent(u: float, *, stress_tpd_percent: float) -> float:
    """Return the deficit at rest: none in two of five, else a growing part of that at stress (our choice)."""
    share = max(u - 0.4, 0.0) / 0.6
    return float(np.floor(10 * 0.85 * share**1.5 * stress_tpd_percent) / 10)
