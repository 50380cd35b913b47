"""Whether probabilities keep their word: of the cases called 80 %, are 80 % so?"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr

from calcmap.core.errors import InputError
from calcmap.core.volume import BoolArray, Float64Array
from calcmap.statistics.estimates import Estimate, wilson_proportion

DRAWS = 2000
"""Sets of outcomes drawn to see how large the calibration error of a perfectly calibrated forecast is."""
MANY_CASES = 200
"""From here on ten bins of a reliability table hold twenty cases each; below, five are drawn (our choice)."""
LEAST_PROBABILITY = 1e-6


@dataclass(frozen=True)
class ReliabilityBin:
    """Cases with neighbouring probabilities: what was said of them, and what was so."""

    n: int
    mean_predicted: float
    observed: Estimate
    """Share of outcomes that are true, with its Wilson interval."""


@dataclass(frozen=True)
class Calibration:
    """How well probabilities of something that is true or false keep their word."""

    n: int
    brier: float
    """Mean squared distance of probability and outcome: 0 is best, 0.25 is always saying one half."""
    ece: float
    """Expected calibration error, the mean distance of predicted and observed over the bins weighted by their cases;
    0 is best."""
    ece_if_calibrated: float
    """95th percentile of that error if every probability were true: chance alone reaches this in so few cases."""
    mean_predicted: float
    observed: Estimate
    z: float | None
    """Spiegelhalter's statistic, normal with variance 1 for calibrated probabilities; ``None`` where all are 0, 1/2 or
    1."""
    p: float | None
    """Two-sided; small where the probabilities do not keep their word."""
    bins: tuple[ReliabilityBin, ...]


@dataclass(frozen=True)
class CategoryCalibration:
    """How well probabilities of ordered categories keep their word; category 0 means none."""

    log_loss: float
    """Mean of minus the logarithm of the reference category's probability: 0 is best, log 4 is knowing nothing of
    four categories."""
    category_right: Calibration
    """Of the reported category's probability."""
    any_calcium: Calibration
    """Of the probability of any category but 0."""


def assess_categories(
    probability_nk: ArrayLike, reported_n: ArrayLike, reference_n: ArrayLike, *, n_bins: int | None = None
) -> CategoryCalibration:
    """Return how well category probabilities keep their word.

    Parameters
    ----------
    probability_nk : array_like of float, shape (n, categories)
        Rows sum to one.
    reported_n, reference_n : array_like of int, shape (n,)
        The category reported beside the probabilities, and the true one.
    n_bins : int, optional
        Bins of the reliability tables; ten from `MANY_CASES` on, else five.

    Returns
    -------
    CategoryCalibration
        Of these cases.

    Raises
    ------
    InputError
        There are no cases, the lengths differ, or a probability lies outside 0 to 1.

    Notes
    -----
    Probabilities below `LEAST_PROBABILITY` count as that in the log loss, so that it stays finite.
    """
    p_nk, reported, reference = np.asarray(probability_nk), np.asarray(reported_n), np.asarray(reference_n)
    if p_nk.ndim != 2 or not len(p_nk) == len(reported) == len(reference) > 0:
        raise InputError(f"expected probabilities of each of at least one case, got shape {p_nk.shape}")
    row = np.arange(len(p_nk))
    n_bins = n_bins or (10 if len(p_nk) >= MANY_CASES else 5)
    is_right, none_n = reported == reference, np.clip(p_nk[:, 0], 0.0, 1.0)
    return CategoryCalibration(
        log_loss=float(-np.log(np.maximum(p_nk[row, reference], LEAST_PROBABILITY)).mean()),
        category_right=assess_calibration(np.clip(p_nk[row, reported], 0.0, 1.0), is_right, n_bins=n_bins),
        any_calcium=assess_calibration(1.0 - none_n, reference > 0, n_bins=n_bins),
    )


def assess_calibration(probability: ArrayLike, outcome: ArrayLike, *, n_bins: int) -> Calibration:
    """Return how well probabilities keep their word.

    Parameters
    ----------
    probability : array_like of float, shape (n,)
        What was said of each case, 0 to 1.
    outcome : array_like of bool, shape (n,)
        What was so.
    n_bins : int
        Bins of the reliability table, see `reliability_bins`.

    Returns
    -------
    Calibration
        Of these cases.

    Raises
    ------
    InputError
        There are no cases, the lengths differ, or a probability lies outside 0 to 1.

    Notes
    -----
    The calibration error of few cases is large even for perfect probabilities, since each bin's share scatters. So the
    value that perfect probabilities stay below in 95 of 100 draws is given beside it (our choice; seeded).

    References
    ----------
    .. [1] Brier, Mon Weather Rev 1950;78:1-3.
    .. [2] Spiegelhalter, Stat Med 1986;5:421-433 (z).
    .. [3] Naeini et al., AAAI 2015:2901-2907 (expected calibration error; bins of equal counts are our choice).
    """
    p, is_true = _checked(probability, outcome)
    bins = reliability_bins(p, is_true, n_bins=n_bins)
    z = _spiegelhalter(p, is_true)
    return Calibration(
        n=len(p),
        brier=float(np.mean((p - is_true) ** 2)),
        ece=calibration_error(bins),
        ece_if_calibrated=_error_by_chance(p, n_bins=n_bins),
        mean_predicted=float(p.mean()),
        observed=wilson_proportion(int(is_true.sum()), len(p)),
        z=z,
        p=None if z is None else float(2 * ndtr(-abs(z))),
        bins=bins,
    )


def reliability_bins(probability: ArrayLike, outcome: ArrayLike, *, n_bins: int) -> tuple[ReliabilityBin, ...]:
    """Return the cases in bins of equal counts (as near as can be), ascending probability; fewer bins than cases.

    Cases of one probability stay in the order given, and so may fall into neighbouring bins.

    Raises
    ------
    InputError
        As `assess_calibration`, or fewer than one bin.
    """
    p, is_true = _checked(probability, outcome)
    return tuple(
        ReliabilityBin(len(cases), float(p[cases].mean()), wilson_proportion(int(is_true[cases].sum()), len(cases)))
        for cases in _bins(p, n_bins=n_bins)
    )


def calibration_error(bins: tuple[ReliabilityBin, ...]) -> float:
    """Return the mean distance of predicted and observed over bins, weighted by their cases: 0 to 1, 0 is best."""
    n = sum(each.n for each in bins)
    return sum(each.n * abs(each.mean_predicted - (each.observed.estimate or 0.0)) for each in bins) / n


def _bins(p: Float64Array, *, n_bins: int) -> list[NDArray[np.intp]]:
    if n_bins < 1:
        raise InputError(f"expected at least one bin, got {n_bins}")
    return np.array_split(np.argsort(p, kind="stable"), min(n_bins, len(p)))


def _error_by_chance(p: Float64Array, *, n_bins: int) -> float:
    """Return the 95th percentile of the calibration error over outcomes drawn from the probabilities themselves."""
    bins = _bins(p, n_bins=n_bins)
    drawn = np.random.default_rng(0).random((DRAWS, len(p))) < p
    errors = sum(np.abs(drawn[:, cases].sum(axis=1) - p[cases].sum()) for cases in bins) / len(p)
    return float(np.quantile(errors, 0.95))


def _spiegelhalter(p: Float64Array, is_true: BoolArray) -> float | None:
    variance = float(((1 - 2 * p) ** 2 * p * (1 - p)).sum())
    return None if variance == 0.0 else float(((is_true - p) * (1 - 2 * p)).sum() / math.sqrt(variance))


def _checked(probability: ArrayLike, outcome: ArrayLike) -> tuple[Float64Array, BoolArray]:
    p, is_true = np.asarray(probability, dtype=np.float64), np.asarray(outcome, dtype=np.bool_)
    if p.ndim != 1 or p.shape != is_true.shape or p.size == 0:
        raise InputError(
            f"expected one outcome for each of at least one probability, got {p.shape} and {is_true.shape}"
        )
    if not ((p >= 0.0) & (p <= 1.0)).all():
        raise InputError("a probability lies outside 0 to 1")
    return p, is_true
