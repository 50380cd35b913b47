"""Two networks on the same scans: how far their agreement with the reference differs."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from calcmap.core.errors import InputError
from calcmap.core.volume import Float64Array
from calcmap.evaluation.agreement import CONFIDENCE, ROUNDING, Estimate, confusion_matrix

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
        is not are left out; the limits are ``None`` where that leaves none.

    Raises
    ------
    InputError
        Shapes that are not (n, 2), different lengths, or values that are no categories.

    Notes
    -----
    Kappa is that of `calcmap.evaluation.agreement.weighted_kappa`.

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
    times = np.random.default_rng(seed).multinomial(n, np.full(n, 1.0 / n), size=draws)  # (draws, n)
    everyone = np.ones((1, n))
    observed, resampled = (
        _kappas(weights @ cells[0], n_categories) - _kappas(weights @ cells[1], n_categories)
        for weights in (everyone, times)
    )
    if np.isnan(observed[0]):
        return Estimate(None, None, None, n, "a kappa is not defined: every case lies in one category")
    defined = resampled[~np.isnan(resampled)]
    if defined.size == 0:
        return Estimate(float(observed[0]), None, None, n)
    low, high = np.quantile(defined, [(1.0 - confidence) / 2, (1.0 + confidence) / 2])
    return Estimate(float(observed[0]), float(low), float(high), n)


def _cells(pairs: ArrayLike, *, n_categories: int) -> Float64Array:
    """Return which cell of the confusion matrix each case stands in, (n, n_categories ** 2), ones and zeros."""
    table = np.asarray(pairs)
    if table.ndim != 2 or table.shape[1] != 2:
        raise InputError(f"expected a reference and a found category for each case, got shape {table.shape}")
    confusion_matrix(table[:, 0], table[:, 1], n_categories=n_categories)  # refuses what are no categories
    cell = table[:, 0].astype(np.int64) * n_categories + table[:, 1].astype(np.int64)
    return np.eye(n_categories**2)[cell]


def _kappas(counts: Float64Array, n_categories: int) -> Float64Array:
    """Return the linear weighted kappa of confusion matrices (m, n_categories ** 2), NaN where it is not defined."""
    share = (counts / counts.sum(axis=1, keepdims=True)).reshape(-1, n_categories, n_categories)
    category = np.arange(n_categories)
    weights = 1.0 - np.abs(category[:, None] - category[None, :]) / (n_categories - 1)
    by_row, by_column = share.sum(axis=2), share.sum(axis=1)
    observed = (share * weights).sum(axis=(1, 2))
    expected = np.einsum("mi,ij,mj->m", by_row, weights, by_column)
    open_to_chance = 1.0 - expected
    is_defined = open_to_chance >= ROUNDING
    kappas = np.full(len(counts), np.nan)
    kappas[is_defined] = (observed - expected)[is_defined] / open_to_chance[is_defined]
    return kappas
