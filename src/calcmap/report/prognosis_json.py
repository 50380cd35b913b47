"""``prognosis.json``: every number of a study of prognosis, under names that stay."""

from __future__ import annotations

import dataclasses
from typing import Any

from calcmap import __version__
from calcmap.core.config import config_to_dict
from calcmap.prognosis.curves import Curve
from calcmap.prognosis.study import AnalysisResult, CategoryReclassification, PrognosisStudy
from calcmap.report.plain_json import Json, plain_json
from calcmap.report.provenance import settings_sha256

RISKS = frozenset({"base_risk", "extended_risk"})
"""Fields that hold a number for every patient: they stay out of the file."""


def prognosis_to_json(study: PrognosisStudy) -> Json:
    """Return a study as JSON-ready dicts; what is not defined is ``null`` with a reason beside it.

    Fields are those of `calcmap.prognosis.study`. Curves keep the times at which they fall or rise and their last time.
    Numbers of single patients are left out. The number of processes is left out too: no result depends on it.
    """
    settings = study.settings
    plain = config_to_dict(settings)
    plain["bootstrap"].pop("workers")
    return {
        "made_by": f"CalcMap {__version__}; research use only",
        "is_simulated": settings.is_simulated,
        "title": settings.title,
        "n_read": study.n_read,
        "horizon": settings.horizon,
        "time_unit": settings.time_unit,
        "confidence": settings.confidence,
        "main": _analysis(study.main),
        "sensitivities": {each.name: _analysis(each) for each in study.sensitivities},
        "settings": plain,
        "settings_sha256": settings_sha256(settings),
    }


def _analysis(result: AnalysisResult) -> Json:
    plain: Json = plain_json(result, told=_told)
    return plain


def _told(value: Any) -> Any:
    """Return what the file tells of a value: a curve's steps, and of a reclassification no number of a patient."""
    if isinstance(value, Curve):
        return _curve(value)
    if isinstance(value, CategoryReclassification):
        names = [field.name for field in dataclasses.fields(value) if field.name not in RISKS]
        return {name: getattr(value, name) for name in names}
    return value


def _curve(curve: Curve) -> Json:
    told = curve.n_at_time > 0
    told[-1] = True
    return {
        "start": curve.start,
        **{
            name: getattr(curve, name)[told]
            for name in ("time", "probability", "standard_error", "low", "high", "at_risk", "n_at_time")
        },
        "n": curve.n,
        "n_events": curve.n_events,
        "scale": curve.scale.value,
        "confidence": curve.confidence,
    }
