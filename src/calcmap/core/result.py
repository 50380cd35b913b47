"""The result of one study, as it crosses rooms and as it is written to ``result.json``."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from importlib.resources import files
from typing import TypeAlias

from calcmap.core.scan import QualityFlag, SeriesCandidate

RESULT_SCHEMA_VERSION = "1.1"
"""1.1 added ``confidence``."""
DISCLAIMER = "Not a medical device; research use only."

JsonValue: TypeAlias = "bool | int | float | str | list[JsonValue] | dict[str, JsonValue] | None"


class Status(StrEnum):
    """Whether a study has a score."""

    SCORED = "scored"
    REFUSED = "refused"


class CalciumClass(StrEnum):
    """Where a lesion lies."""

    CORONARY = "coronary"
    NONCORONARY = "noncoronary"


class Vessel(StrEnum):
    """Coronary vessels of a calcium report."""

    LM = "LM"
    LAD = "LAD"
    LCX = "LCx"
    RCA = "RCA"


@dataclass(frozen=True)
class LesionResult:
    """One three-dimensional lesion that counts under the scoring rule."""

    id: int
    lesion_class: CalciumClass
    vessel: Vessel | None
    slice_first: int
    """Lowest slice index (zero-based, ascending towards the head)."""
    slice_last: int
    center_mm: tuple[float, float, float]
    """Centroid, patient coordinates x, y, z (LPS), mm."""
    volume_mm3: float
    max_hu: int
    agatston: float
    mass_mg: float | None = None


@dataclass(frozen=True)
class ClassScore:
    """Sums over the lesions of one class; all 0.0 (mass ``None`` without calibration) when there are none."""

    agatston: float
    volume_mm3: float
    mass_mg: float | None
    n_lesions: int
    density: float | None = None
    """Agatston score over total lesion area at 3 mm: mean weight, 1 to 4; ``None`` without lesions."""


@dataclass(frozen=True)
class ScoringMethod:
    """The rule that made every number of a result."""

    profile: str
    threshold_hu: int
    weights_hu: tuple[int, int, int, int]
    min_area_mm2: float
    min_area_px: int
    """Smallest lesion kept on this grid, pixels per slice."""
    connectivity: int
    """4 or 8 neighbours in the slice."""
    increment_mm: float
    kvp: float | None
    mass_factor_mg_per_cm3_hu: float | None = None


@dataclass(frozen=True)
class HeartSummary:
    """Size and place of the segmented heart."""

    volume_ml: float
    box_mm: tuple[tuple[float, float, float], tuple[float, float, float]]
    """Lowest and highest patient coordinates (LPS, mm) of the heart's voxel box."""


@dataclass(frozen=True)
class Category:
    """Score category of Miller et al. 2023, and CAC-DRS beside it (Hecht 2018)."""

    index: int
    """0 to 3; higher is more calcium."""
    name: str
    cac_drs: str


class ConfidenceWord(StrEnum):
    """How sure a category is, in one word."""

    CONFIDENT = "confident"
    LIKELY = "likely"
    BORDERLINE = "borderline"


@dataclass(frozen=True)
class Confidence:
    """How likely a result's category is right. It stands beside the score and never changes it."""

    word: ConfidenceWord
    category_probability: float
    """That the reported category is the reference's; 0 to 1."""
    any_calcium_probability: float
    """That there is coronary calcium, a score of 1 or more."""
    category_probabilities: tuple[float, float, float, float]
    """Of categories 0 to 3; they sum to one."""
    basis: str
    """Which cases the probabilities were calibrated on: of those alone they are known to hold."""


@dataclass(frozen=True)
class Percentile:
    """Where a score stands among people of the same sex and age."""

    reference: str
    """``"hoff2001"`` or ``"mesa2006"``."""
    percentile: float
    group: str
    detail: str


@dataclass(frozen=True)
class Provenance:
    """What made the result."""

    version: str
    weights_sha256: dict[str, str]
    input_sha256: str | None
    device: str = "cpu"
    config_sha256: str | None = None


@dataclass(frozen=True)
class StudyResult:
    """Everything CalcMap says of one study: a score with its evidence, or a refusal with its reason.

    A refused result has no score, no category and no lesion.
    """

    study: str
    """Name given to the study: folder or file name, never a patient's name."""
    status: Status
    reason: str | None
    reason_code: str | None
    chosen_series: SeriesCandidate | None
    rejected_series: tuple[SeriesCandidate, ...]
    quality: tuple[QualityFlag, ...]
    provenance: Provenance
    seconds: dict[str, float]
    coronary: ClassScore | None = None
    noncoronary: ClassScore | None = None
    category: Category | None = None
    vessels: dict[Vessel, ClassScore] = field(default_factory=dict)
    lesions: tuple[LesionResult, ...] = ()
    heart: HeartSummary | None = None
    method: ScoringMethod | None = None
    percentiles: tuple[Percentile, ...] = ()
    arterial_age_years: float | None = None
    confidence: Confidence | None = None
    """``None`` when refused, and where nothing calibrated is known of these networks and this rule."""

    def __post_init__(self) -> None:
        has_score = (
            self.coronary is not None or self.category is not None or self.lesions or self.confidence is not None
        )
        if self.status is Status.REFUSED and has_score:
            raise ValueError("a refused study carries no score")
        if self.status is Status.SCORED and (self.coronary is None or self.category is None or self.method is None):
            raise ValueError("a scored study carries score, category and method")
        if self.status is Status.REFUSED and not self.reason:
            raise ValueError("a refusal carries its reason")

    @property
    def agatston(self) -> float | None:
        """Coronary Agatston score; ``None`` when the study was refused."""
        return self.coronary.agatston if self.coronary else None


def result_to_json(result: StudyResult) -> dict[str, JsonValue]:
    """Return ``result`` as the JSON object of ``result.json`` (see ``schema/result-1.1.json``).

    The layout puts the coronary score at the top level, so that a reader who wants one number finds it at once.
    """
    coronary, category = result.coronary, result.category
    return _json_object(
        {
            "schema_version": RESULT_SCHEMA_VERSION,
            "study": result.study,
            "status": result.status,
            "reason": result.reason,
            "reason_code": result.reason_code,
            "agatston": coronary.agatston if coronary else None,
            "volume_mm3": coronary.volume_mm3 if coronary else None,
            "mass_mg": coronary.mass_mg if coronary else None,
            "density": coronary.density if coronary else None,
            "category": category.index if category else None,
            "category_name": category.name if category else None,
            "cac_drs": category.cac_drs if category else None,
            "confidence": asdict(result.confidence) if result.confidence else None,
            "percentiles": [asdict(percentile) for percentile in result.percentiles],
            "arterial_age_years": result.arterial_age_years,
            "vessels": {vessel.value: asdict(score) for vessel, score in result.vessels.items()},
            "lesions": [_lesion_to_json(lesion) for lesion in result.lesions],
            "noncoronary": asdict(result.noncoronary) if result.noncoronary else None,
            "heart": asdict(result.heart) if result.heart else None,
            "series": {
                "chosen": asdict(result.chosen_series) if result.chosen_series else None,
                "rejected": [asdict(candidate) for candidate in result.rejected_series],
            },
            "quality": [{"flag": f.code, "severity": f.severity, "detail": f.detail} for f in result.quality],
            "method": asdict(result.method) if result.method else None,
            "provenance": asdict(result.provenance),
            "seconds": result.seconds,
            "disclaimer": DISCLAIMER,
        }
    )


def result_schema() -> dict[str, JsonValue]:
    """Return the JSON Schema (2020-12) of ``result.json``, as shipped with this version."""
    path = files("calcmap.core") / "schema" / f"result-{RESULT_SCHEMA_VERSION}.json"
    schema: dict[str, JsonValue] = json.loads(path.read_text(encoding="utf-8"))
    return schema


def _lesion_to_json(lesion: LesionResult) -> dict[str, object]:
    fields = asdict(lesion)
    fields["class"] = fields.pop("lesion_class")
    fields["slices"] = [fields.pop("slice_first"), fields.pop("slice_last")]
    return fields


def _json_object(fields: dict[str, object]) -> dict[str, JsonValue]:
    return {key: _json(value) for key, value in fields.items()}


def _json(value: object) -> JsonValue:
    """Return ``value`` with tuples as lists, enums as strings; refuse NaN and infinities, which JSON cannot hold."""
    if isinstance(value, dict):
        return {str(key): _json(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_json(item) for item in value]
    if isinstance(value, StrEnum):
        return value.value
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{value} cannot be written as JSON")
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise TypeError(f"{type(value).__name__} cannot be written as JSON")
