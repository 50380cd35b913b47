"""A statistic with its interval, and the intervals that need no more than counts."""

from __future__ import annotations

import math
from dataclasses import dataclass

from scipy.special import ndtri

from calcmap.core.errors import InputError

CONFIDENCE = 0.95
"""Coverage of every interval unless told otherwise; the paper's."""


@dataclass(frozen=True)
class Estimate:
    """A statistic with its interval."""

    estimate: float | None
    """``None`` when the data do not define it; then ``reason`` says why."""
    low: float | None
    high: float | None
    n: int
    """Number of cases, or of pairs."""
    reason: str | None = None


def normal_quantile(confidence: float) -> float:
    """Return how many standard errors a two-sided normal interval of this coverage reaches to each side.

    Raises
    ------
    InputError
        The confidence is not between 0 and 1.
    """
    if not 0.0 < confidence < 1.0:
        raise InputError(f"confidence is {confidence}, expected a number between 0 and 1")
    return float(ndtri(0.5 + confidence / 2))


def wilson_proportion(successes: int, n: int, *, confidence: float = CONFIDENCE) -> Estimate:
    """Return a proportion with Wilson's score interval, without continuity correction.

    Parameters
    ----------
    successes, n : int
        Cases that have the property, and all cases.
    confidence : float
        Coverage of the interval, between 0 and 1.

    Returns
    -------
    Estimate
        Between 0 and 1, as are its limits, also for 0 and ``n`` successes; ``None`` without cases.

    Raises
    ------
    InputError
        Not ``0 <= successes <= n``, or the confidence is not between 0 and 1.

    References
    ----------
    .. [1] Wilson, J Am Stat Assoc 1927;22:209-212.
    .. [2] Newcombe, Stat Med 1998;17:857-872, method 3.
    """
    quantile = normal_quantile(confidence)
    if not 0 <= successes <= n:
        raise InputError(f"expected 0 <= successes <= n, got {successes} of {n}")
    if n == 0:
        return Estimate(None, None, None, 0, "there are no cases")
    share = successes / n
    centre = share + quantile**2 / (2 * n)
    half_width = quantile * math.sqrt(share * (1 - share) / n + quantile**2 / (4 * n**2))
    stretch = 1 + quantile**2 / n
    low = 0.0 if successes == 0 else (centre - half_width) / stretch
    high = 1.0 if successes == n else (centre + half_width) / stretch
    return Estimate(share, low, high, n)
