"""Where a coronary score stands among people of the same sex and age, and the age it corresponds to."""

from __future__ import annotations

import bisect
import math
import statistics
from collections.abc import Sequence
from enum import StrEnum

import numpy as np

from calcmap.core.errors import InputError
from calcmap.core.result import Percentile
from calcmap.scoring.categories import check_score
from calcmap.scoring.reference_tables import hoff_table, mesa_table

ADULT_YEARS = (18.0, 120.0)
"""Ages for which Hoff's open-ended groups are taken to hold (our choice)."""

MESA_YEARS = (45.0, 85.0)
"""Ages of MESA: 45 up to and including 84 completed years."""

LOG_SCORE_SD = 1.75
"""Spread of ln(score) among people with calcium, used beyond the table's ends: the eight groups of a third-party fit to
the MESA calculator lie between 1.69 and 1.83."""

ARTERIAL_AGE_AT_ZERO_YEARS = 39.1
ARTERIAL_AGE_PER_LOG_SCORE_YEARS = 7.25
"""Intercept and slope of arterial age on ln(score + 1) (McClelland 2009)."""


class Sex(StrEnum):
    """Sex as the reference populations group it."""

    MALE = "M"
    FEMALE = "F"


class Ethnicity(StrEnum):
    """Groups of the MESA cohort."""

    WHITE = "white"
    CHINESE = "chinese"
    BLACK = "black"
    HISPANIC = "hispanic"


def hoff_percentile(agatston: float, *, sex: Sex | str, age_years: float) -> Percentile:
    """Return the percentile of a score among asymptomatic people of the same sex and age group (Hoff 2001).

    The percentile is the share of people with a lower score, so 0 is the 0th. The paper prints the 25th, 50th, 75th and
    90th percentile; between them the value is interpolated, linear in ln(score + 1). A score above the 90th gets 90.0
    and a ``detail`` that says "above".

    Parameters
    ----------
    agatston : float
        Coronary Agatston score, 0 or more.
    sex : Sex or str
        ``"M"`` or ``"F"``.
    age_years : float
        18 to 120; completed years choose the group.

    Returns
    -------
    Percentile
        0 to 90, higher is more calcium than one's peers; ``detail`` names the printed values around the score.

    Raises
    ------
    InputError
        Negative score, another sex, or an age outside the range.

    Notes
    -----
    Where several printed percentiles are 0, people without calcium fill at least the highest of them; a score just
    above 0 starts from there.

    References
    ----------
    .. [1] Hoff et al., Am J Cardiol 2001;87:1335-1339. The interpolation is our choice.
    """
    check_score(agatston)
    sex = _sex(sex)
    low, high = ADULT_YEARS
    if not low <= age_years <= high:
        raise InputError(f"the age is {age_years} years, expected {low:g} to {high:g}")
    table = hoff_table()
    row = bisect.bisect_right(table.age_from_years, age_years) - 1
    points = list(zip(table.percentiles, table.agatston[sex][row], strict=True))
    none_percentile = max((percentile for percentile, score in points if score == 0), default=0)
    points = [(percentile, score) for percentile, score in points if score > 0]
    group = f"{_people(sex)} {table.age_groups[row]}"
    if agatston == 0:
        detail = f"no calcium, as at least {none_percentile} % of this group" if none_percentile else "no calcium"
        return Percentile("hoff2001", 0.0, group, detail)
    known_percentiles, known_scores = zip((none_percentile, 0), *points, strict=True)
    # Above the last printed percentile the interpolation stays at it.
    percentile = float(np.interp(math.log1p(agatston), np.log1p(known_scores), known_percentiles))
    return Percentile("hoff2001", percentile, group, _around(agatston, points, none_percentile=none_percentile))


def mesa_percentile(agatston: float, *, sex: Sex | str, age_years: float, ethnicity: Ethnicity | str) -> Percentile:
    """Return the percentile of a score in the MESA cohort, for sex, ethnicity and age (McClelland 2006).

    The percentile is the share of people with a lower score, so 0 is the 0th. People without calcium fill the share
    that the MESA calculator gives for the year of age. Where the score lies among those who have calcium follows from
    the paper's Table 2, taken to hold at 50, 60, 70 and 80 years: between and beyond its percentiles the logarithm of
    the score is taken as normal, between the four ages the normal quantile is interpolated, outside them it is kept.

    Parameters
    ----------
    agatston : float
        Coronary Agatston score, 0 or more.
    sex : Sex or str
        ``"M"`` or ``"F"``.
    age_years : float
        45 to under 85.
    ethnicity : Ethnicity or str
        ``"white"``, ``"chinese"``, ``"black"`` or ``"hispanic"``.

    Returns
    -------
    Percentile
        0, or above the share without calcium and below 100; higher is more calcium than one's peers.

    Raises
    ------
    InputError
        Negative score, another sex or ethnicity, or an age outside MESA's.

    Notes
    -----
    MESA's own curves are nonparametric and not published in closed form, so this is an approximation: within 2
    percentile points of the answers of the official calculator that we could check. Asked for the scores that the
    calculator names as 50th, 75th and 90th percentile at 55, 62, 70 and 72 years, it stays within 2 points as well.

    References
    ----------
    .. [1] McClelland et al., Circulation 2006;113:30-37.
    """
    check_score(agatston)
    sex, ethnicity = _sex(sex), _ethnicity(ethnicity)
    nonzero_percent = mesa_nonzero_percent(sex=sex, age_years=age_years, ethnicity=ethnicity)
    people = f"{ethnicity} {_people(sex)}, {int(age_years)} years"
    detail = f"{nonzero_percent:g} % of this group have calcium"
    if agatston == 0:
        return Percentile("mesa2006", 0.0, people, detail)
    table = mesa_table()
    group = f"{ethnicity}_{sex}"
    quantiles = [_quantile_among_nonzero(agatston, group, row=row) for row in range(len(table.age_years))]
    share_below = statistics.NormalDist().cdf(float(np.interp(age_years, table.age_years, quantiles)))
    return Percentile("mesa2006", 100.0 + nonzero_percent * (share_below - 1.0), people, detail)


def mesa_nonzero_percent(*, sex: Sex | str, age_years: float, ethnicity: Ethnicity | str) -> float:
    """Return the share of MESA participants of this age with a score above 0, percent.

    Parameters
    ----------
    sex : Sex or str
        ``"M"`` or ``"F"``.
    age_years : float
        45 to under 85; completed years are looked up.
    ethnicity : Ethnicity or str
        ``"white"``, ``"chinese"``, ``"black"`` or ``"hispanic"``.

    Returns
    -------
    float
        0 to 100.

    Raises
    ------
    InputError
        Another sex or ethnicity, or an age outside MESA's.
    """
    low, high = MESA_YEARS
    if not low <= age_years < high:
        raise InputError(f"the age is {age_years} years; MESA covers {low:g} to under {high:g}")
    table = mesa_table()
    shares = table.nonzero_percent[f"{_ethnicity(ethnicity)}_{_sex(sex)}"]
    return float(shares[int(age_years) - table.nonzero_from_years])


def arterial_age_years(agatston: float) -> float:
    """Return the age at which a person's estimated coronary risk equals that of the score: 39.1 + 7.25 ln(score + 1).

    Parameters
    ----------
    agatston : float
        Coronary Agatston score, 0 or more.

    Returns
    -------
    float
        Years, 39.1 for a score of 0; higher is worse. Not rounded.

    Raises
    ------
    InputError
        The score is negative or not finite.

    References
    ----------
    .. [1] McClelland et al., Am J Cardiol 2009;103:59-63.
    """
    check_score(agatston)
    return ARTERIAL_AGE_AT_ZERO_YEARS + ARTERIAL_AGE_PER_LOG_SCORE_YEARS * math.log1p(agatston)


def _quantile_among_nonzero(agatston: float, group: str, *, row: int) -> float:
    """Return the normal quantile of a score above 0 among those with calcium, at one tabulated age."""
    table = mesa_table()
    nonzero_percent = table.nonzero_percent[group][table.age_years[row] - table.nonzero_from_years]
    points = [
        (math.log(score), statistics.NormalDist().inv_cdf(1.0 - (100 - percentile) / nonzero_percent))
        for percentile, score in zip(table.percentiles, table.agatston[group][row], strict=True)
        if percentile > 100 - nonzero_percent and score > 0
    ]
    logs, quantiles = [log for log, _ in points], [quantile for _, quantile in points]
    log_score = math.log(agatston)
    nearest_log = min(max(log_score, logs[0]), logs[-1])
    return float(np.interp(nearest_log, logs, quantiles)) + (log_score - nearest_log) / LOG_SCORE_SD


def _around(agatston: float, points: Sequence[tuple[float, float]], *, none_percentile: float) -> str:
    """Return a sentence on the known points around a score."""
    known = [(none_percentile, 0.0), *points]
    above = bisect.bisect_left([score for _, score in known], agatston)
    low, low_score = known[above - 1]
    if above == len(known):
        return f"above the {low:g}th percentile ({low_score:.0f})"
    high, high_score = known[above]
    return f"between the {low:g}th percentile ({low_score:.0f}) and the {high:g}th ({high_score:.0f})"


def _sex(sex: Sex | str) -> Sex:
    try:
        return Sex(sex)
    except ValueError:
        raise InputError(f"the sex is {sex!r}, expected 'M' or 'F'") from None


def _ethnicity(ethnicity: Ethnicity | str) -> Ethnicity:
    try:
        return Ethnicity(ethnicity)
    except ValueError:
        raise InputError(f"the ethnicity is {ethnicity!r}, expected one of {', '.join(Ethnicity)}") from None


def _people(sex: Sex) -> str:
    return "men" if sex is Sex.MALE else "women"
