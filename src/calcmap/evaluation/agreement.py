"""Agreement of two readings of the same scans: confusion matrix, kappa, proportions, squared correlation.

Nothing here is NaN: where a statistic is not defined, its estimate is ``None`` and a reason stands beside it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import ArrayLike, NDArray

from calcmap.core.errors import InputError
from calcmap.core.volume import Float64Array
from calcmap.statistics.estimates import CONFIDENCE, Estimate, normal_quantile, wilson_proportion

ROUNDING = 1e-12
"""Chance agreement closer than this to 1 leaves nothing to be agreed beyond chance (float64 noise of the sums)."""


class Weighting(StrEnum):
    """What a disagreement by several categories costs, relative to the widest possible one."""

    UNWEIGHTED = "unweighted"
    """Every disagreement costs all (Cohen 1960)."""
    LINEAR = "linear"
    """In proportion to the number of categories between; the paper's."""
    QUADRATIC = "quadratic"
    """In proportion to its square."""


@dataclass(frozen=True)
class Kappa(Estimate):
    """A kappa, 1 for full agreement, 0 for agreement by chance, with its large-sample standard error."""

    standard_error: float | None = None
    weighting: Weighting = Weighting.LINEAR


def confusion_matrix(reference: ArrayLike, test: ArrayLike, *, n_categories: int) -> NDArray[np.int64]:
    """Return how many cases fall into each pair of categories.

    Parameters
    ----------
    reference, test : array_like of int, shape (n,)
        Category of each case, 0 to ``n_categories - 1``, in ascending order of severity; the same cases in one order.
    n_categories : int
        Number of categories, whether all of them occur or not; at least 2.

    Returns
    -------
    ndarray of int64, shape (n_categories, n_categories)
        Rows: reference, columns: test. All zero without cases.

    Raises
    ------
    InputError
        Different lengths, more than one axis, values that are not whole numbers or lie outside the categories, or fewer
        than two categories.
    """
    if n_categories < 2:
        raise InputError(f"agreement needs at least 2 categories, got {n_categories}")
    rows = _categories(reference, name="reference", n_categories=n_categories)
    columns = _categories(test, name="test", n_categories=n_categories)
    _check_paired(rows, columns)
    counts = np.bincount(rows * n_categories + columns, minlength=n_categories**2)
    return counts.reshape(n_categories, n_categories).astype(np.int64)


def weighted_kappa(matrix: ArrayLike, weighting: Weighting, *, confidence: float = CONFIDENCE) -> Kappa:
    """Return Cohen's kappa of a confusion matrix with its large-sample interval.

    Kappa is the weighted agreement beyond chance, as a share of what chance leaves open: ``(po - pe) / (1 - pe)``. With
    ``k`` categories, cell (i, j) counts as agreement by 1 - \\|i - j\\| / (k - 1), or 1 minus that fraction squared.

    Parameters
    ----------
    matrix : array_like of int, shape (k, k)
        Counts; rows one reader, columns the other. Kappa is the same if they change places.
    weighting : Weighting
        Cost of a disagreement.
    confidence : float
        Coverage of the interval, between 0 and 1.

    Returns
    -------
    Kappa
        Estimate ``None`` without cases, and when both readers put all cases into one same category. Zero by definition
        when only one of the readers does so.

    Raises
    ------
    InputError
        The matrix is not square with at least two categories, or holds anything but counts; or the confidence is not
        between 0 and 1.

    Notes
    -----
    The standard error is the one for a kappa that is not zero; it serves for intervals, not for the test against zero.
    The interval is normal and is not cut off at 1. With full agreement it has no width, whatever the number of cases.
    Categories that nobody used still count in ``k`` and so in the weights.

    References
    ----------
    .. [1] Cohen, Educ Psychol Meas 1960;20:37-46; Psychol Bull 1968;70:213-220.
    .. [2] Fleiss, Cohen, Everitt, Psychol Bull 1969;72:323-327 (standard error).
    """
    quantile = normal_quantile(confidence)
    counts = counts_of(matrix)
    n = int(counts.sum())
    if n == 0:
        return Kappa(None, None, None, n, "there are no cases", weighting=weighting)
    share = counts / n
    weights = agreement_weights(counts.shape[0], weighting)
    kappa, expected = kappa_of_shares(share, weights)
    if kappa is None:
        reason = "both readers put every case into one category, so nothing is left to agree on beyond chance"
        return Kappa(None, None, None, n, reason, weighting=weighting)
    marginal = marginal_weights(share, weights)
    spread = float((share * (weights - marginal * (1.0 - kappa)) ** 2).sum())
    variance = (spread - (kappa - expected * (1.0 - kappa)) ** 2) / (n * (1.0 - expected) ** 2)
    error = math.sqrt(max(variance, 0.0))  # rounding can push a variance of zero below it
    return Kappa(
        kappa, kappa - quantile * error, kappa + quantile * error, n, standard_error=error, weighting=weighting
    )


def kappa_of_shares(share: Float64Array, weights: Float64Array) -> tuple[float | None, float]:
    """Return kappa and the agreement expected by chance, from shares of cases, shape (k, k), and `agreement_weights`.

    Kappa is ``None`` where chance alone would agree fully, up to `ROUNDING`.
    """
    observed = float((weights * share).sum())
    expected = float(share.sum(axis=1) @ weights @ share.sum(axis=0))
    if 1.0 - expected < ROUNDING:
        return None, expected
    return (observed - expected) / (1.0 - expected), expected


def marginal_weights(share: Float64Array, weights: Float64Array) -> Float64Array:
    """Return for each cell, shape (k, k), the mean weight of its row's category plus that of its column's."""
    by_row, by_column = share.sum(axis=1), share.sum(axis=0)
    marginal: Float64Array = (weights @ by_column)[:, None] + (by_row @ weights)[None, :]
    return marginal


def proportion_agreement(matrix: ArrayLike, *, confidence: float = CONFIDENCE) -> Estimate:
    """Return the share of cases that both readers put into the same category, with its Wilson interval.

    Parameters
    ----------
    matrix : array_like of int, shape (k, k)
        Counts; rows one reader, columns the other.
    confidence : float
        Coverage of the interval, between 0 and 1.

    Returns
    -------
    Estimate
        Between 0 and 1; ``None`` without cases.

    Raises
    ------
    InputError
        As for `weighted_kappa`.
    """
    counts = counts_of(matrix)
    return wilson_proportion(int(np.trace(counts)), int(counts.sum()), confidence=confidence)


def concordance_correlation(reference: ArrayLike, test: ArrayLike) -> float | None:
    """Return Lin's concordance correlation of two readings: how closely they keep to the line of equality.

    Unlike a correlation it falls when one reading is shifted or stretched.

    Parameters
    ----------
    reference, test : array_like of float, shape (n,)
        Scores of the same cases in one order; raw or transformed, as given.

    Returns
    -------
    float or None
        -1 to 1; 1 when all pairs are equal, also where neither reading varies; ``None`` without cases.

    Raises
    ------
    InputError
        Different lengths, more than one axis, or values that are not finite.

    Notes
    -----
    Variances and covariance are divided by n, as Lin did; some packages divide by n - 1.

    References
    ----------
    .. [1] Lin, Biometrics 1989;45:255-268.
    """
    x, y = paired_values(reference, test)
    if x.size == 0:
        return None
    spread = float(x.var() + y.var() + (x.mean() - y.mean()) ** 2)
    if spread == 0.0:
        return 1.0
    return float(2.0 * np.mean((x - x.mean()) * (y - y.mean())) / spread)


def r_squared(reference: ArrayLike, test: ArrayLike, *, confidence: float = CONFIDENCE) -> Estimate:
    """Return the squared Pearson correlation of two readings, with an interval by Fisher's transformation.

    It is the share of variance that a straight line explains. A constant factor or offset between the readings does not
    lower it, so it measures association, not agreement.

    Parameters
    ----------
    reference, test : array_like of float, shape (n,)
        Scores of the same cases in one order, any unit; raw or transformed, as given.
    confidence : float
        Coverage of the interval, between 0 and 1.

    Returns
    -------
    Estimate
        Between 0 and 1; ``None`` with fewer than two cases or when a reading does not vary. The limits are ``None``
        with fewer than four cases.

    Raises
    ------
    InputError
        Different lengths, more than one axis, values that are not finite, or the confidence is not between 0 and 1.

    Notes
    -----
    The limits are those of the correlation, squared; when that interval holds zero, the lower limit is 0. Fisher's
    transformation assumes normal scores, which calcium scores are not: take the interval as a rough guide.

    References
    ----------
    .. [1] Fisher, Metron 1921;1:3-32.
    """
    quantile = normal_quantile(confidence)
    x, y = paired_values(reference, test)
    n = int(x.size)
    if n < 2:
        return Estimate(None, None, None, n, f"a correlation needs at least two cases, got {n}")
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        return Estimate(None, None, None, n, "one of the readings does not vary")
    correlation = float(np.clip(np.corrcoef(x, y)[0, 1], -1.0, 1.0))
    if n < 4:
        return Estimate(correlation**2, None, None, n)
    low, high = _squared_fisher_limits(correlation, n, quantile=quantile)
    return Estimate(correlation**2, low, high, n)


def paired_values(reference: ArrayLike, test: ArrayLike) -> tuple[Float64Array, Float64Array]:
    """Return both readings as float64 arrays of one length.

    Raises
    ------
    InputError
        Different lengths, more than one axis, or values that are not finite numbers.
    """
    x, y = _finite_values(reference, name="reference"), _finite_values(test, name="test")
    _check_paired(x, y)
    return x, y


def _squared_fisher_limits(correlation: float, n: int, *, quantile: float) -> tuple[float, float]:
    size = abs(correlation)
    if size == 1.0:
        return 1.0, 1.0
    half_width = quantile / math.sqrt(n - 3)
    low, high = math.tanh(math.atanh(size) - half_width), math.tanh(math.atanh(size) + half_width)
    return max(low, 0.0) ** 2, high**2


def agreement_weights(n_categories: int, weighting: Weighting) -> Float64Array:
    """Return how much each cell counts as agreement, 1 on the diagonal, shape (n_categories, n_categories)."""
    category = np.arange(n_categories, dtype=np.float64)
    apart = np.abs(category[:, None] - category[None, :]) / (n_categories - 1)
    match weighting:
        case Weighting.LINEAR:
            return 1.0 - apart
        case Weighting.QUADRATIC:
            return 1.0 - apart**2
        case Weighting.UNWEIGHTED:
            return np.eye(n_categories)


def counts_of(matrix: ArrayLike) -> Float64Array:
    """Return a confusion matrix as float64, checked.

    Raises
    ------
    InputError
        Not square with at least two categories, or anything but counts.
    """
    counts = np.asarray(matrix)
    if counts.ndim != 2 or counts.shape[0] != counts.shape[1] or counts.shape[0] < 2:
        raise InputError(f"expected a square matrix of at least 2 categories, got shape {counts.shape}")
    whole = _whole_numbers(counts, name="matrix")
    if (whole < 0).any():
        raise InputError(f"a confusion matrix holds counts, got {whole.min()}")
    return whole.astype(np.float64)


def _categories(values: ArrayLike, *, name: str, n_categories: int) -> NDArray[np.int64]:
    categories = _whole_numbers(np.asarray(values), name=name)
    if categories.ndim != 1:
        raise InputError(f"{name} must have one axis, got shape {categories.shape}")
    outside = categories[(categories < 0) | (categories >= n_categories)]
    if outside.size:
        raise InputError(f"{name} holds category {outside[0]}, expected 0 to {n_categories - 1}")
    return categories


def _whole_numbers(values: NDArray[np.generic], *, name: str) -> NDArray[np.int64]:
    if values.size == 0:
        return np.zeros(values.shape, dtype=np.int64)
    if values.dtype.kind not in "biuf":
        raise InputError(f"{name} must hold whole numbers, got {values.dtype}")
    numbers = values.astype(np.float64)
    if not np.isfinite(numbers).all() or (numbers != np.round(numbers)).any():
        raise InputError(f"{name} must hold whole numbers; a missing or fractional value was found")
    return numbers.astype(np.int64)


def _finite_values(values: ArrayLike, *, name: str) -> Float64Array:
    try:
        numbers = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"{name} must hold numbers") from error
    if numbers.ndim != 1:
        raise InputError(f"{name} must have one axis, got shape {numbers.shape}")
    if not np.isfinite(numbers).all():
        raise InputError(f"{name} holds {int((~np.isfinite(numbers)).sum())} values that are missing or not finite")
    return numbers


def _check_paired(reference: NDArray[np.generic], test: NDArray[np.generic]) -> None:
    if reference.size != test.size:
        raise InputError(f"reference has {reference.size} cases and test {test.size}; they must be the same cases")
