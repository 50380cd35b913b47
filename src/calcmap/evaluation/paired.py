"""Two networks on the same scans: how far their agreement with the reference differs."""

from __future__ import annotations

from functools import partial

import numpy as np
from numpy.typing import ArrayLike

from calcmap.core.errors import InputError
from calcmap.core.volume import Float64Array
from calcmap.evaluation.agreement import Weighting, agreement_weights, confusion_matrix, kappa_of_shares
from calcmap.statistics.bootstrap import Bootstrap, Indices, bootstrap_draws, percentile_interval
from calcmap.statistics.estimates import CONFIDENCE, Estimate

DRAWS = 2000
"""Resamples of a bootstrap interval (our choice; its ends then move by a few thousandths from seed to seed)."""


def kappa_difference(
    first: ArrayLike,
    second: ArrayLike,
    *,
    n_categories: int,
    draws: int = DRAWS,
    seed: int = 0,
    confidence: float = CONFIDENCE,
) -> Estimate:
    """Return linear weighted kappa of ``first`` minus that of ``second``, with a paired percentile bootstrap interval.

    Cases are drawn with replacement and keep both readings, so that what is hard for both does not widen the interval.

    Parameters
    ----------
    first, second : array_like of int, shape (n, 2)
        Reference category and found category of each case, 0 to ``n_categories - 1``; the same cases in one order. The
        reference may differ between the two, where it is a range and the category nearest to the finding is taken.
    n_categories : int
        Number of categories, at least 2.
    draws : int
        Bootstrap resamples.
    seed : int
        Of the resampling.
    confidence : float
        Coverage of the interval, between 0 and 1.

    Returns
    -------
    Estimate
        Positive where ``first`` agrees better. Estimate ``None`` where a kappa is not defined. Resamples in which one
        is not are left out; the limits are ``None`` where these are more than `UNDEFINED_SHARE` of
        `calcmap.statistics.bootstrap`, and ``reason`` says so.

    Raises
    ------
    InputError
        Shapes that are not (n, 2), different lengths, or values that are no categories.

    Notes
    -----
    Kappa is that of `calcmap.evaluation.agreement.weighted_kappa`. The difference of the same name in
    `calcmap.evaluation.kappa_comparison` has an interval by the delta method, which no seed moves.

    References
    ----------
    .. [1] Efron, Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13 (percentile intervals).
    """
    cells = [_cells(pairs, n_categories=n_categories) for pairs in (first, second)]
    n = len(cells[0])
    if n != len(cells[1]):
        raise InputError(f"the first has {n} cases and the second {len(cells[1])}; they must be the same cases")
    if n == 0:
        return Estimate(None, None, None, 0, "there are no cases")
    weights = agreement_weights(n_categories, Weighting.LINEAR)
    statistic = partial(_difference, cells=np.stack(cells), weights=weights)
    observed = statistic(np.arange(n))
    if np.isnan(observed):
        return Estimate(None, None, None, n, "a kappa is not defined: every case lies in one category")
    drawn = bootstrap_draws(statistic, n, settings=Bootstrap(draws, seed))
    interval = percentile_interval(drawn[:, 0], confidence=confidence)
    return Estimate(observed, interval.low, interval.high, n, interval.reason)


def _cells(pairs: ArrayLike, *, n_categories: int) -> Indices:
    """Return which cell of the confusion matrix each case stands in, row by row, shape (n,)."""
    table = np.asarray(pairs)
    if table.ndim != 2 or table.shape[1] != 2:
        raise InputError(f"expected a reference and a found category for each case, got shape {table.shape}")
    confusion_matrix(table[:, 0], table[:, 1], n_categories=n_categories)  # refuses what are no categories
    return table[:, 0].astype(np.intp) * n_categories + table[:, 1].astype(np.intp)


def _difference(indices: Indices, *, cells: Indices, weights: Float64Array) -> float:
    """Return kappa of the first less that of the second, cells (2, n), in one sample; NaN where one is not defined."""
    counts = (np.bincount(each[indices], minlength=weights.size).reshape(weights.shape) for each in cells)
    one, other = (kappa_of_shares(each / len(indices), weights)[0] for each in counts)
    return np.nan if one is None or other is None else one - other
