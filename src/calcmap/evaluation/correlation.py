"""Rank correlation of two readings."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import rankdata

from calcmap.evaluation.agreement import paired_values
from calcmap.statistics.estimates import CONFIDENCE, Estimate, normal_quantile


def spearman(reference: ArrayLike, test: ArrayLike, *, confidence: float = CONFIDENCE) -> Estimate:
    """Return Spearman's rank correlation with its interval.

    Parameters
    ----------
    reference, test : array_like of float, shape (n,)
        Scores of the same cases in one order; ties share their mean rank.
    confidence : float
        Coverage of the interval, between 0 and 1.

    Returns
    -------
    Estimate
        -1 to 1; the same for raw and for log scores. ``None`` with fewer than two cases or when a reading does not
        vary. Limits ``None`` with fewer than four cases.

    Raises
    ------
    InputError
        Different lengths, more than one axis, values that are not finite, or the confidence is not between 0 and 1.

    Notes
    -----
    The interval is Fisher's with the standard error of Bonett and Wright, which holds far from zero; many zeros among
    the scores are ties that it knows nothing of: the bootstrap beside it does.

    References
    ----------
    .. [1] Bonett, Wright, Psychometrika 2000;65:23-28.
    """
    quantile = normal_quantile(confidence)
    x, y = paired_values(reference, test)
    n = int(x.size)
    if n < 2:
        return Estimate(None, None, None, n, f"a correlation needs at least two cases, got {n}")
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        return Estimate(None, None, None, n, "one of the readings does not vary")
    rho = float(np.clip(np.corrcoef(rankdata(x), rankdata(y))[0, 1], -1.0, 1.0))
    if n < 4:
        return Estimate(rho, None, None, n)
    if abs(rho) == 1.0:
        return Estimate(rho, rho, rho, n)
    half_width = quantile * math.sqrt((1 + rho**2 / 2) / (n - 3))
    return Estimate(rho, math.tanh(math.atanh(rho) - half_width), math.tanh(math.atanh(rho) + half_width), n)
