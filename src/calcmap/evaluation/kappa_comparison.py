"""Are two kappas of the same patients different? Kappas that share patients are correlated; this allows for it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from calcmap.core.errors import InputError
from calcmap.core.volume import Float64Array
from calcmap.evaluation.agreement import (
    ROUNDING,
    Weighting,
    agreement_weights,
    confusion_matrix,
    kappa_of_shares,
    marginal_weights,
)
from calcmap.statistics.estimates import CONFIDENCE, Estimate, normal_quantile

ReaderPair = tuple[ArrayLike, ArrayLike]
"""Categories of the same patients by two readers, each of shape (n,)."""


@dataclass(frozen=True)
class KappaDifference(Estimate):
    """First kappa minus second, over the same patients; positive when the first pair agrees better."""

    standard_error: float | None = None
    z: float | None = None
    p: float | None = None
    """Two-sided, normal; ``None`` where the difference cannot vary."""


@dataclass(frozen=True)
class KappaEquality:
    """Test that several kappas of the same patients are equal."""

    t_squared: float | None
    """``None`` where it is not defined; then ``reason`` says why."""
    df1: int
    df2: int
    p: float | None
    reason: str | None = None


def kappa_difference(
    first: ReaderPair,
    second: ReaderPair,
    *,
    n_categories: int,
    weighting: Weighting,
    confidence: float = CONFIDENCE,
) -> KappaDifference:
    """Return the difference of two kappas of the same patients with its delta-method interval and test.

    Parameters
    ----------
    first, second : pair of array_like of int
        Categories by the two readers of each kappa; all of the same patients in one order. The pairs may share a
        reader.
    n_categories : int
        Number of categories; at least 2.
    weighting : Weighting
        Of both kappas.
    confidence : float
        Coverage of the interval, between 0 and 1.

    Returns
    -------
    KappaDifference
        ``None`` where one of the kappas is not defined. No p where no patient makes a difference to the difference.

    Raises
    ------
    InputError
        Different numbers of patients, values that are no categories, or the confidence is not between 0 and 1.

    Notes
    -----
    The covariance of both kappas is that of the delta method over the joint multinomial of all readings: each patient
    pulls each kappa by a known amount, and the variance of the difference of pulls, over n, is the square of the
    standard error. For one kappa alone this is the error of Fleiss, Cohen and Everitt.

    References
    ----------
    .. [1] Barnhart, Williamson, Biometrics 2002;58:1012-1019 (same covariance, by weighted least squares).
    .. [2] Vanbelle, Biom J 2017;59:1016-1034 (delta method, Hotelling's T squared; R package multiagree).
    """
    quantile = normal_quantile(confidence)
    pulls = [_pulls(pair, n_categories=n_categories, weighting=weighting) for pair in (first, second)]
    n = len(pulls[0][1])
    if n != len(pulls[1][1]):
        raise InputError(f"the kappas are of {n} and {len(pulls[1][1])} patients; they must be the same patients")
    (one, one_pull), (other, other_pull) = pulls
    if one is None or other is None:
        return KappaDifference(None, None, None, n, "one of the kappas is not defined")
    difference = one - other
    error = math.sqrt(float(np.mean((one_pull - other_pull) ** 2)) / n)
    if error < ROUNDING:
        return KappaDifference(difference, None, None, n, "no patient makes a difference to it", standard_error=0.0)
    z = difference / error
    return KappaDifference(
        difference,
        difference - quantile * error,
        difference + quantile * error,
        n,
        standard_error=error,
        z=z,
        p=float(2 * stats.norm.sf(abs(z))),
    )


def kappas_equal(pairs: Sequence[ReaderPair], *, n_categories: int, weighting: Weighting) -> KappaEquality:
    """Return Hotelling's test that the kappas of several pairs of readers are equal in these patients.

    Parameters
    ----------
    pairs : sequence of pairs of array_like of int
        At least two; categories of the same patients in one order.
    n_categories : int
        Number of categories; at least 2.
    weighting : Weighting
        Of all kappas.

    Returns
    -------
    KappaEquality
        Without p where a kappa is not defined or two cannot differ.

    Raises
    ------
    InputError
        As for `kappa_difference`.

    Notes
    -----
    ``T^2 (n - g + 1) / ((n - 1) (g - 1))`` for g kappas of n patients is referred to F with g - 1 and n - g + 1 degrees
    of freedom; covariances by the delta method.

    References
    ----------
    .. [1] Vanbelle, Biom J 2017;59:1016-1034.
    """
    pulls = [_pulls(pair, n_categories=n_categories, weighting=weighting) for pair in pairs]
    sizes = {len(pull) for _, pull in pulls}
    if len(sizes) != 1:
        raise InputError(f"the kappas are of {sorted(sizes)} patients; they must be the same patients")
    n, g = sizes.pop(), len(pairs)
    df1, df2 = g - 1, n - g + 1
    kappas = [kappa for kappa, _ in pulls if kappa is not None]
    if len(kappas) < g or df2 < 1:
        return KappaEquality(None, df1, df2, None, "one of the kappas is not defined, or there are too few patients")
    contrasts = np.stack([pulls[0][1] - pull for _, pull in pulls[1:]])
    covariance = contrasts @ contrasts.T / n / (n - 1)
    if np.linalg.matrix_rank(covariance, hermitian=True) < df1:
        return KappaEquality(None, df1, df2, None, "some kappas cannot differ: their readers gave the same categories")
    apart = np.array([kappas[0] - kappa for kappa in kappas[1:]])
    t_squared = float(apart @ np.linalg.solve(covariance, apart))
    return KappaEquality(t_squared, df1, df2, float(stats.f.sf(t_squared * df2 / ((n - 1) * df1), df1, df2)))


def _pulls(pair: ReaderPair, *, n_categories: int, weighting: Weighting) -> tuple[float | None, Float64Array]:
    """Return a kappa and how much each patient pulls it, shape (n,), mean zero; the kappa ``None`` if not defined."""
    rows, columns = (np.asarray(reader) for reader in pair)
    counts = confusion_matrix(rows, columns, n_categories=n_categories)
    n = int(counts.sum())
    if n == 0:
        return None, np.zeros(0)
    share, weights = counts / n, agreement_weights(n_categories, weighting)
    kappa, expected = kappa_of_shares(share, weights)
    if kappa is None:
        return None, np.zeros(n)
    marginal = marginal_weights(share, weights)
    cell = (weights - marginal * (1.0 - kappa) - (kappa - expected * (1.0 - kappa))) / (1.0 - expected)
    pull: Float64Array = cell[rows.astype(np.int64), columns.astype(np.int64)]
    return kappa, pull
