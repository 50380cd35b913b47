"""The numbers of the paper that we know, as data.

Source: Miller et al., J Nucl Med 2023;64:652-658, abstract, Tables 1 and 2 and text; its supplement was not to be had.
Numbers marked as derived are not printed: they follow from printed ones.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

from calcmap.evaluation.readings import PAPER_NAMES
from calcmap.statistics.estimates import CONFIDENCE, normal_quantile

PATIENTS = 2271
"""Of the external test."""


class Section(StrEnum):
    """Part of the comparison."""

    COHORT = "cohort"
    AGREEMENT = "agreement"
    UNADJUSTED = "unadjusted hazard ratios"
    ADJUSTED = "adjusted hazard ratios"
    RECLASSIFICATION = "net reclassification"


@dataclass(frozen=True)
class PaperNumber:
    """One number of the paper.

    Parameters
    ----------
    key : str
        Names it in the code and in ``comparison.json``.
    section : Section
        Where it stands in the report.
    what : str
        As it is printed in the report, with its unit.
    value : float
        Printed, or derived.
    low, high : float or None
        Its 95 % interval where the paper prints one.
    digits : int
        After the point.
    is_derived : bool
        Whether it is not printed itself.
    """

    key: str
    section: Section
    what: str
    value: float
    low: float | None = None
    high: float | None = None
    digits: int = 2
    is_derived: bool = False


LEVELS = PAPER_NAMES
_SHARES = (40.0, 26.2, 15.6, 18.2)
_EVENTS = (52, 72, 81, 115)
_UNADJUSTED = (2.20, 4.58, 5.92)
_UNADJUSTED_ERRORS = (0.1817, 0.1776, 0.1671)
"""Standard errors of the logarithms, which the printed intervals give."""
_ADJUSTED = (1.90, 3.32, 3.58)


def _cohort() -> list[PaperNumber]:
    section = Section.COHORT
    numbers = [
        PaperNumber(f"share_{k}", section, f"network calcium {level}, % of patients", share, digits=1)
        for k, (level, share) in enumerate(zip(LEVELS, _SHARES, strict=True))
    ]
    numbers.append(PaperNumber("events", section, "patients with MACE", 320.0, digits=0))
    numbers += [
        PaperNumber(f"events_{k}", section, f"MACE with network calcium {level}", float(n), digits=0, is_derived=True)
        for k, (level, n) in enumerate(zip(LEVELS, _EVENTS, strict=True))
    ]
    numbers += [
        PaperNumber(f"follow_up_{k}", section, f"follow-up, {name}, years", years, digits=1)
        for k, (name, years) in enumerate(
            zip(("first quartile", "median", "third quartile"), (1.7, 2.8, 4.1), strict=True)
        )
    ]
    numbers += [
        PaperNumber("median_with", section, "median network score with MACE", 178.0, digits=0),
        PaperNumber("median_without", section, "median network score without MACE", 11.0, digits=0),
        PaperNumber("high_with", section, "network score above 400 with MACE, %", 35.9, digits=1),
        PaperNumber("high_without", section, "network score above 400 without MACE, %", 15.3, digits=1),
    ]
    return numbers


def _hazard_ratios() -> list[PaperNumber]:
    numbers = []
    for k, (ratio, error) in enumerate(zip(_UNADJUSTED, _UNADJUSTED_ERRORS, strict=True), start=1):
        spread = math.exp(normal_quantile(CONFIDENCE) * error)
        numbers.append(
            PaperNumber(
                f"unadjusted_{k}",
                Section.UNADJUSTED,
                f"network calcium {LEVELS[k]} against 0",
                ratio,
                ratio / spread,
                ratio * spread,
            )
        )
    numbers += [
        PaperNumber(f"adjusted_{k}", Section.ADJUSTED, f"network calcium {LEVELS[k]} against 0", ratio)
        for k, ratio in enumerate(_ADJUSTED, start=1)
    ]
    return numbers


PAPER: tuple[PaperNumber, ...] = (
    *_cohort(),
    PaperNumber("kappa", Section.AGREEMENT, "network and expert, linear weighted kappa", 0.80),
    PaperNumber("r2", Section.AGREEMENT, "network and expert, r2 of scores", 0.693, digits=3),
    *_hazard_ratios(),
    PaperNumber("nri", Section.RECLASSIFICATION, "network: overall", 0.494, 0.363, 0.607, digits=3),
    PaperNumber("nri_event", Section.RECLASSIFICATION, "network: patients with MACE", 0.230, 0.142, 0.314, digits=3),
    PaperNumber(
        "nri_nonevent", Section.RECLASSIFICATION, "network: patients without MACE", 0.264, 0.204, 0.309, digits=3
    ),
    PaperNumber("nri_expert", Section.RECLASSIFICATION, "expert: overall", 0.503, digits=3),
    PaperNumber("nri_visual", Section.RECLASSIFICATION, "visual reading: overall", 0.409, 0.278, 0.537, digits=3),
)
"""Every number that a comparison is made with, in the order of the report. The adjusted ratios of covariates are in
`COVARIATES`."""

COVARIATES: dict[str, tuple[str, float]] = {
    "age_years": ("age, per 10 years", 0.113),
    "sex": ("male", 0.104),
    "bmi_kg_m2": ("body mass index, per kg/m2", -0.010),
    "hypertension": ("hypertension", -0.020),
    "diabetes": ("diabetes", 0.247),
    "dyslipidaemia": ("dyslipidaemia", 0.0),
    "family_history": ("family history", -0.105),
    "smoking": ("smoking", 0.166),
    "stress_tpd_class:1": ("stress TPD 1 to <5 %", 0.199),
    "stress_tpd_class:2": ("stress TPD 5 to <10 %", 0.531),
    "stress_tpd_class:3": ("stress TPD >=10 %", 1.554),
    "rest_tpd_percent": ("rest TPD, per %", 0.0),
    "lvef_percent": ("ejection fraction, per %", -0.010),
}
"""Column of a simulated cohort's table (and level): what it says, and the logarithm of Table 2's adjusted ratio."""
