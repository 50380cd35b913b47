"""``prognosis.json``: every number of a study of prognosis, under names that stay."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from enum import StrEnum
from typing import Any

import numpy as np

from calcmap import __version__
from calcmap.core.config import config_sha256, config_to_dict
from calcmap.prognosis.curves import Curve
from calcmap.prognosis.study import AnalysisResult, CategoryReclassification, PrognosisStudy

Json = dict[str, Any]  # Any: whatever JSON holds

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
    same_settings = dataclasses.replace(settings, bootstrap=dataclasses.replace(settings.bootstrap, workers=None))
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
        "settings_sha256": config_sha256(same_settings),
    }


def _analysis(result: AnalysisResult) -> Json:
    plain: Json = _plain(result)
    return plain


def _plain(value: Any) -> Any:  # noqa: PLR0911 - one return a type; Any: whatever a result holds
    """Return a result as JSON holds it: dataclasses are dicts, enums text, and what is not finite is ``null``."""
    if isinstance(value, Curve):
        return _curve(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        hidden = RISKS if isinstance(value, CategoryReclassification) else frozenset()
        names = [field.name for field in dataclasses.fields(value) if field.name not in hidden]
        return {name: _plain(getattr(value, name)) for name in names}
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return _plain(value.tolist())
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, StrEnum):
        return value.value
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _curve(curve: Curve) -> Json:
    told = curve.n_at_time > 0
    told[-1] = True
    return {
        "start": curve.start,
        **{
            name: _plain(getattr(curve, name)[told])
            for name in ("time", "probability", "standard_error", "low", "high", "at_risk", "n_at_time")
        },
        "n": curve.n,
        "n_events": curve.n_events,
        "scale": curve.scale.value,
        "confidence": curve.confidence,
    }
