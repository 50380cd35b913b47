"""What a simulated study holds besides its attenuation CT: drawn for each patient, so that studies differ."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import numpy as np

from calcmap.io.study_writing import Layout

SHARES = {
    "rest_nuclear": 0.80,
    "rest_ct": 0.25,
    "gated_ct": 0.12,
    "is_rest_first": 0.45,
    "names_phases": 0.60,
    "names_correction": 0.50,
    "shares_frame": 0.80,
    "uncorrected": 0.70,
    "projections": 0.40,
    "attenuation_map": 0.30,
    "capture": 0.45,
    "dose_report": 0.55,
    "dose_page": 0.40,
}
"""Share of studies with each (our choice: no published survey was found; a second or gated CT costs a second scan)."""
UNCORRECTED_PET_SHARE = 0.25
"""Of PET studies with pictures without correction: their makers rarely send them on (our choice)."""
LOCALIZER_SHARES = (0.25, 0.60, 0.15)
"""None, in a series of its own, inside the attenuation CT's series."""
FLAT_SHARE = 0.6
FIRST_MINUTE, LAST_MINUTE = 7 * 60 + 30, 14 * 60
DAYS_IN_YEAR = 365


class Localizer(Enum):
    """Where the localizer is filed."""

    NONE = "none"
    OWN_SERIES = "own_series"
    INSIDE_CT = "inside_ct"


@dataclass(frozen=True)
class StudyRecipe:
    """What a study holds and how it is filed."""

    rest_nuclear: bool = True
    rest_ct: bool = False
    """A second attenuation CT, of the rest study; without it one CT corrects both."""
    gated_ct: bool = False
    is_rest_first: bool = False
    names_phases: bool = True
    """Whether names of CTs tell stress from rest, as those of nuclear series do."""
    names_correction: bool = True
    """Whether nuclear series name the CT that corrected them."""
    shares_frame: bool = True
    """Whether nuclear images lie in the frame of reference of their CT."""
    uncorrected: bool = True
    projections: bool = False
    """The camera's raw views, of SPECT."""
    attenuation_map: bool = False
    """The map made from the CT, as a nuclear series of SPECT."""
    capture: bool = False
    """A picture of the result."""
    dose_report: bool = True
    """As a structured report."""
    dose_page: bool = False
    """As a picture that is filed as CT."""
    localizer: Localizer = Localizer.OWN_SERIES
    layout: Layout = Layout.SERIES_FOLDERS
    minute: int = 9 * 60
    """Of the day, when the study begins."""
    day: int = 0
    """Of the year 2000, in which no such study was made."""


def draw_study_recipe(rng: np.random.Generator, *, is_pet: bool = False) -> StudyRecipe:
    """Return a random recipe; discs with a DICOMDIR are only written when asked for."""
    shares = SHARES | ({"uncorrected": UNCORRECTED_PET_SHARE} if is_pet else {})
    chosen = {name: bool(rng.random() < share) for name, share in shares.items()}
    localizer = tuple(Localizer)[int(rng.choice(len(LOCALIZER_SHARES), p=LOCALIZER_SHARES))]
    layout = Layout.FLAT if rng.random() < FLAT_SHARE else Layout.SERIES_FOLDERS
    chosen["rest_ct"] &= chosen["rest_nuclear"]
    return StudyRecipe(
        **chosen,
        localizer=localizer,
        layout=layout,
        minute=int(rng.integers(FIRST_MINUTE, LAST_MINUTE)),
        day=int(rng.integers(DAYS_IN_YEAR)),
    )
