"""``result.json`` back to a `StudyResult`."""

from __future__ import annotations

from typing import Any, TypeVar

from calcmap.core.errors import InputError
from calcmap.core.result import (
    CalciumClass,
    Category,
    ClassScore,
    Confidence,
    ConfidenceWord,
    HeartSummary,
    JsonValue,
    LesionResult,
    Percentile,
    Provenance,
    ScoringMethod,
    Status,
    StudyResult,
    Vessel,
)
from calcmap.core.scan import QualityFlag, SeriesCandidate, Severity, Verdict

KNOWN_MAJOR = "1"
"""Layouts with this first number only add fields to one another."""

PartT = TypeVar("PartT")


def result_from_json(content: dict[str, JsonValue]) -> StudyResult:
    """Return the result that ``calcmap.core.result.result_to_json`` wrote.

    Parameters
    ----------
    content : dict
        The JSON object of a ``result.json``.

    Returns
    -------
    StudyResult
        Equal to the one that was written.

    Raises
    ------
    InputError
        The layout is of another major version, or a field is missing or not understood.
    """
    version = str(content.get("schema_version", ""))
    if version.partition(".")[0] != KNOWN_MAJOR:
        raise InputError(f"the result's layout is {version or 'not stated'}, expected version {KNOWN_MAJOR}")
    try:
        return _study_result(content)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"the result is not understood: {type(error).__name__}: {error}") from error


def _study_result(content: dict[str, Any]) -> StudyResult:  # Any: JSON, checked by what is made of it
    is_scored = content["agatston"] is not None
    return StudyResult(
        study=content["study"],
        status=Status(content["status"]),
        reason=content["reason"],
        reason_code=content["reason_code"],
        chosen_series=_candidate(content["series"]["chosen"]) if content["series"]["chosen"] else None,
        rejected_series=tuple(_candidate(each) for each in content["series"]["rejected"]),
        quality=tuple(QualityFlag(f["flag"], Severity(f["severity"]), f["detail"]) for f in content["quality"]),
        provenance=Provenance(**content["provenance"]),
        seconds=content["seconds"],
        coronary=_coronary(content) if is_scored else None,
        noncoronary=_made(ClassScore, content["noncoronary"]),
        category=Category(content["category"], content["category_name"], content["cac_drs"]) if is_scored else None,
        vessels={Vessel(name): ClassScore(**score) for name, score in content["vessels"].items()},
        lesions=tuple(_lesion(each) for each in content["lesions"]),
        heart=_heart(content["heart"]) if content["heart"] else None,
        method=_method(content["method"]) if content["method"] else None,
        percentiles=tuple(Percentile(**each) for each in content["percentiles"]),
        arterial_age_years=content["arterial_age_years"],
        confidence=_confidence(content["confidence"]) if content.get("confidence") else None,
    )


def _made(kind: type[PartT], fields: dict[str, Any] | None) -> PartT | None:
    return kind(**fields) if fields is not None else None


def _coronary(content: dict[str, Any]) -> ClassScore:
    return ClassScore(
        agatston=content["agatston"],
        volume_mm3=content["volume_mm3"],
        mass_mg=content["mass_mg"],
        n_lesions=sum(lesion["class"] == CalciumClass.CORONARY for lesion in content["lesions"]),
        density=content["density"],
    )


def _candidate(fields: dict[str, Any]) -> SeriesCandidate:
    return SeriesCandidate(**(fields | {"verdict": Verdict(fields["verdict"])}))


def _lesion(fields: dict[str, Any]) -> LesionResult:
    first, last = fields["slices"]
    x, y, z = fields["center_mm"]
    return LesionResult(
        id=fields["id"],
        lesion_class=CalciumClass(fields["class"]),
        vessel=Vessel(fields["vessel"]) if fields["vessel"] else None,
        slice_first=first,
        slice_last=last,
        center_mm=(x, y, z),
        volume_mm3=fields["volume_mm3"],
        max_hu=fields["max_hu"],
        agatston=fields["agatston"],
        mass_mg=fields["mass_mg"],
    )


def _heart(fields: dict[str, Any]) -> HeartSummary:
    (x0, y0, z0), (x1, y1, z1) = fields["box_mm"]
    return HeartSummary(fields["volume_ml"], ((x0, y0, z0), (x1, y1, z1)))


def _method(fields: dict[str, Any]) -> ScoringMethod:
    w1, w2, w3, w4 = fields["weights_hu"]
    return ScoringMethod(**(fields | {"weights_hu": (w1, w2, w3, w4)}))


def _confidence(fields: dict[str, Any]) -> Confidence:
    p0, p1, p2, p3 = fields["category_probabilities"]
    return Confidence(**(fields | {"word": ConfidenceWord(fields["word"]), "category_probabilities": (p0, p1, p2, p3)}))
