"""A small made cohort with two readings, covariates and follow-up; nobody in it is real."""

from __future__ import annotations

from typing import Any

import numpy as np

from calcmap.core.config import config_from_dict
from calcmap.prognosis.config import PrognosisSettings

SETTINGS: dict[str, Any] = {
    "horizon": 3.0,
    "id": "id",
    "endpoints": [
        {"name": "mace", "label": "MACE", "time": "years", "event": "mace"},
        {"name": "death", "time": "years", "event": "mace", "competing": "other"},
    ],
    "categories": [
        {"name": "dl", "label": "DL", "column": "score", "cuts": [1, 100, 400]},
        {"name": "eye", "column": "eye", "levels": ["none", "mild", "severe"]},
    ],
    "covariates": [
        {"column": "age", "label": "Age, years", "per": 10},
        {"column": "sex", "label": "Male", "kind": "yes_no", "yes": "M"},
        {"column": "grade", "label": "Grade", "kind": "category", "levels": ["a", "b", "c"]},
        {"column": "height", "adjust": False},
    ],
    "bootstrap": {"draws": 12, "workers": 1},
}


def made_settings(**changes: Any) -> PrognosisSettings:
    """Return the settings, with other values at the top of the file; ``None`` leaves a key out."""
    wanted = {key: value for key, value in {**SETTINGS, **changes}.items() if value is not None}
    return config_from_dict(wanted, PrognosisSettings, where="made")


def made_cells(n: int = 240, *, seed: int = 3) -> dict[str, list[Any]]:
    """Return cells as a table gives them: numbers, words, ``None`` where missing."""
    random = np.random.default_rng(seed)
    burden = random.normal(size=n)
    score = np.where(burden < -0.3, 0.0, np.round(np.exp(4.5 + 1.6 * burden), 1))
    age = np.round(60 + 8 * random.normal(size=n) + 3 * burden, 1)
    male, grade = random.random(n) < 0.5, random.integers(3, size=n)
    hazard = 0.08 * np.exp(0.7 * burden + 0.03 * (age - 60) + 0.3 * grade)
    event, other, end = random.exponential(1 / hazard), random.exponential(25, n), random.uniform(1, 6, n)
    years = np.minimum(np.minimum(event, other), end)
    eye = np.digitize(score + random.normal(scale=20, size=n), [30, 300])
    return {
        "id": [f"p{k}" for k in range(n)],
        "years": np.round(years, 3).tolist(),
        "mace": (event <= np.minimum(other, end)).astype(int).tolist(),
        "other": ((other < event) & (other < end)).astype(int).tolist(),
        "score": score.tolist(),
        "eye": [("none", "mild", "severe")[k] for k in eye],
        "age": age.tolist(),
        "sex": ["M" if flag else "F" for flag in male],
        "grade": [("a", "b", "c")[k] for k in grade],
        "height": np.round(random.normal(170, 9, n), 1).tolist(),
        "centre": [("north", "south", "west", "east", "mid", "far")[k] for k in random.integers(6, size=n)],
    }
