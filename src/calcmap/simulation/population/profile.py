"""What a clinical table says of a patient's body, before there is any picture of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

CATEGORY_AGE_YEARS = (61.9, 66.4, 70.8, 72.3)
"""Mean age by calcium category 0, 1-100, 101-400, >400 (Miller 2023, Table 1)."""
AGE_SD_YEARS = 10.0
CATEGORY_MALE_SHARE = (0.42, 0.52, 0.61, 0.72)
"""Share of men by calcium category (our choice: rises as MESA's sex difference does)."""


@dataclass(frozen=True)
class Profile:
    """A patient as a row of a table."""

    category: int
    """Of the ideal calcium score, 0 to 3."""
    sex: str
    """``"M"`` or ``"F"``."""
    age_years: float
    height_cm: float
    bmi: float


def draw_profile(rng: np.random.Generator, *, category: int) -> Profile:
    """Return a random patient of one calcium category (0 to 3)."""
    is_male = bool(rng.random() < CATEGORY_MALE_SHARE[category])
    return Profile(
        category=category,
        sex="M" if is_male else "F",
        age_years=float(np.clip(rng.normal(CATEGORY_AGE_YEARS[category], AGE_SD_YEARS), 30, 92)),
        height_cm=float(rng.normal(176 if is_male else 163, 7)),
        bmi=float(np.clip(18 + rng.gamma(5.0, 2.0), 17.5, 48)),
    )
