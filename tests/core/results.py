"""One scored and one refused result with every field filled, for tests of what is made of results."""

from __future__ import annotations

from calcmap.core.result import (
    CalciumClass,
    Category,
    ClassScore,
    Confidence,
    ConfidenceWord,
    HeartSummary,
    LesionResult,
    Percentile,
    Provenance,
    ScoringMethod,
    Status,
    StudyResult,
    Vessel,
)
from calcmap.core.scan import QualityFlag, SeriesCandidate, Severity, Verdict

PROVENANCE = Provenance("0.1.0", {"heart": "a" * 64, "calcium": "b" * 64}, "c" * 64, config_sha256="d" * 64)
CHOSEN = SeriesCandidate("1.2.3", "CT", "CTAC 5.0 thk", 60, Verdict.CHOSEN, "the only attenuation CT", rank=1)
REJECTED = SeriesCandidate("1.2.4", "NM", "EMISSION", 1, Verdict.REJECTED, "not a CT")
CONFIDENCE = Confidence(ConfidenceWord.LIKELY, 0.8, 0.99, (0.01, 0.17, 0.8, 0.02), "148 simulated patients")
METHOD = ScoringMethod("clinical", 130, (130, 200, 300, 400), 1.0, 1, 8, 5.0, 120.0, 0.8)


def scored_result() -> StudyResult:
    """Return a score of 121.5: a left-anterior-descending and a right coronary lesion, and one in the aorta."""
    lesions = (
        LesionResult(1, CalciumClass.CORONARY, Vessel.LAD, 20, 22, (30.0, -20.0, 100.0), 98.2, 412, 101.5, 20.1),
        LesionResult(2, CalciumClass.CORONARY, Vessel.RCA, 14, 14, (-40.0, -30.0, 70.0), 15.0, 231, 20.0, 2.0),
        LesionResult(3, CalciumClass.NONCORONARY, None, 25, 27, (0.0, 40.0, 120.0), 240.0, 655, 310.25, None),
    )
    lad, rca = ClassScore(101.5, 98.2, 20.1, 1, 2.9), ClassScore(20.0, 15.0, 2.0, 1, 2.0)
    return StudyResult(
        study="study_07",
        status=Status.SCORED,
        reason=None,
        reason_code=None,
        chosen_series=CHOSEN,
        rejected_series=(REJECTED,),
        quality=(QualityFlag("kvp_not_120", Severity.WARNING, "140 kVp instead of 120 kVp"),),
        provenance=PROVENANCE,
        seconds={"read": 0.1, "heart": 0.2},
        coronary=ClassScore(121.5, 113.2, 22.1, 2, 2.7),
        noncoronary=ClassScore(310.25, 240.0, None, 1, 3.5),
        category=Category(2, "101-400", "CAC-DRS A2/N2"),
        vessels={Vessel.LAD: lad, Vessel.RCA: rca},
        lesions=lesions,
        heart=HeartSummary(633.0, ((-50.0, -80.0, 20.0), (60.0, 20.0, 130.0))),
        method=METHOD,
        percentiles=(Percentile("mesa2006", 71.0, "men, 62 years, white", "interpolated"),),
        arterial_age_years=74.5,
        confidence=CONFIDENCE,
    )


def empty_result() -> StudyResult:
    """Return a score of 0, with only what every scored study has."""
    return StudyResult(
        study="study_08",
        status=Status.SCORED,
        reason=None,
        reason_code=None,
        chosen_series=CHOSEN,
        rejected_series=(),
        quality=(),
        provenance=Provenance("0.1.0", {}, "c" * 64),
        seconds={},
        coronary=ClassScore(0.0, 0.0, None, 0),
        category=Category(0, "0", "CAC-DRS A0/N0"),
        method=ScoringMethod("clinical", 130, (130, 200, 300, 400), 1.0, 1, 8, 5.0, None),
    )


def refused_result() -> StudyResult:
    """Return a refusal: nothing but the reason and what was found until then."""
    return StudyResult(
        study="study_09",
        status=Status.REFUSED,
        reason="the lowest slice holds 60% of the heart's largest cross-section, expected none",
        reason_code="unfit_scan",
        chosen_series=None,
        rejected_series=(REJECTED,),
        quality=(QualityFlag("heart_cut", Severity.REFUSE, "the lowest slice holds 60%"),),
        provenance=PROVENANCE,
        seconds={"read": 0.1},
    )
