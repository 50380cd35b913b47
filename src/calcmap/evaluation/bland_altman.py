"""Limits of agreement: how far apart two readings of one case are, in the scores' unit or as ratios."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from calcmap.core.errors import InputError
from calcmap.core.volume import Float64Array
from calcmap.evaluation.agreement import paired_values
from calcmap.statistics.estimates import CONFIDENCE, Estimate, normal_quantile

SD_PER_MEAN_ABSOLUTE = math.sqrt(math.pi / 2)
"""Of a normal residual: its SD over the mean of its absolute value (Bland and Altman 1999)."""
LIMIT_SDS = 1.96
"""Half the width of limits of agreement in SDs, as published: nineteen in twenty normal differences lie between."""
PLACES = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Quantiles of the mean at which limits that vary are written down (our choice)."""


@dataclass(frozen=True)
class Limits:
    """Bias and limits of agreement; differences are test minus reference."""

    bias: Estimate
    sd: float | None
    """Of the differences, n - 1 below; ``None`` with fewer than two cases."""
    lower: Estimate
    upper: Estimate


@dataclass(frozen=True)
class Line:
    """A least-squares line."""

    intercept: float
    slope: Estimate
    p: float | None
    """Of the slope being zero; ``None`` where the line fits exactly."""


@dataclass(frozen=True)
class PlaceOnLines:
    """Bias and limits that vary, at one mean of both readings."""

    mean: float
    bias: float
    lower: float | None
    """``None``, as ``upper``, where the line of the spread is below zero."""
    upper: float | None


@dataclass(frozen=True)
class VaryingLimits:
    """Bias and limits as straight lines over the mean of both readings."""

    bias: Line
    """Of the differences."""
    spread: Line
    """Of the absolute residuals of that line; times `SD_PER_MEAN_ABSOLUTE` it is the SD."""
    places: tuple[PlaceOnLines, ...]


@dataclass(frozen=True)
class BlandAltman:
    """Two readings of the same cases, compared in one unit."""

    n: int
    limits: Limits
    varying: VaryingLimits | None
    """``None`` with fewer than four cases or where the means do not differ."""


@dataclass(frozen=True)
class Ratios:
    """Limits on the log scale, back in ratios of (test + 1) to (reference + 1)."""

    bias: Estimate
    lower: Estimate
    upper: Estimate


def bland_altman(reference: ArrayLike, test: ArrayLike, *, confidence: float = CONFIDENCE) -> BlandAltman:
    """Return bias and limits of agreement, constant and varying with the mean, with intervals.

    Parameters
    ----------
    reference, test : array_like of float, shape (n,)
        Scores of the same cases in one order; raw, or ``log1p`` of them.
    confidence : float
        Coverage of the intervals of bias, limits and slopes; the limits themselves are those of `LIMIT_SDS`.

    Returns
    -------
    BlandAltman
        Differences are test minus reference.

    Raises
    ------
    InputError
        Different lengths, more than one axis, values that are not finite, no cases, or the confidence is not between 0
        and 1.

    Notes
    -----
    Limits are ``bias -+ 1.96 sd``, n - 1 in the SD. The interval of a limit takes the standard error
    ``sd sqrt(1 / n + 1.96^2 / (2 (n - 1)))`` and Student's t with n - 1 degrees of freedom.

    References
    ----------
    .. [1] Bland, Altman, Lancet 1986;327:307-310.
    .. [2] Bland, Altman, Stat Methods Med Res 1999;8:135-160, sections 2 (intervals) and 3.2 (regression).
    """
    normal_quantile(confidence)
    x, y = paired_values(reference, test)
    if x.size == 0:
        raise InputError("limits of agreement need at least one case, got 0")
    difference, mean = y - x, (x + y) / 2
    limits = _limits(difference, confidence=confidence)
    return BlandAltman(n=int(x.size), limits=limits, varying=_varying(difference, mean, confidence=confidence))


def ratios_of_log(limits: Limits) -> Ratios:
    """Return limits of ``log(1 + score)`` as ratios of (score + 1): 1 is no bias, 2 is twice as much in the test."""
    return Ratios(*(_exponential(estimate) for estimate in (limits.bias, limits.lower, limits.upper)))


def _limits(difference: Float64Array, *, confidence: float) -> Limits:
    n = len(difference)
    bias = float(difference.mean())
    if n < 2:
        reason = "the spread of differences needs at least two cases, got 1"
        nothing = Estimate(None, None, None, n, reason)
        return Limits(Estimate(bias, None, None, n), None, nothing, nothing)
    sd = float(difference.std(ddof=1))
    t = float(stats.t.ppf(0.5 + confidence / 2, n - 1))
    of_bias = t * sd / math.sqrt(n)
    of_limit = t * sd * math.sqrt(1 / n + LIMIT_SDS**2 / (2 * (n - 1)))
    lower, upper = bias - LIMIT_SDS * sd, bias + LIMIT_SDS * sd
    return Limits(
        Estimate(bias, bias - of_bias, bias + of_bias, n),
        sd,
        Estimate(lower, lower - of_limit, lower + of_limit, n),
        Estimate(upper, upper - of_limit, upper + of_limit, n),
    )


def _varying(difference: Float64Array, mean: Float64Array, *, confidence: float) -> VaryingLimits | None:
    if len(mean) < 4 or np.ptp(mean) == 0.0:
        return None
    bias = _line(mean, difference, confidence=confidence)
    residual = np.abs(difference - _on(bias, mean))
    spread = _line(mean, residual, confidence=confidence)
    places = tuple(_place(float(at), bias=bias, spread=spread) for at in np.unique(np.quantile(mean, PLACES)))
    return VaryingLimits(bias, spread, places)


def _place(mean: float, *, bias: Line, spread: Line) -> PlaceOnLines:
    middle = float(_on(bias, np.array([mean]))[0])
    half_width = LIMIT_SDS * SD_PER_MEAN_ABSOLUTE * float(_on(spread, np.array([mean]))[0])
    if half_width < 0.0:
        return PlaceOnLines(mean, middle, None, None)
    return PlaceOnLines(mean, middle, middle - half_width, middle + half_width)


def _line(x: Float64Array, y: Float64Array, *, confidence: float) -> Line:
    """Return the least-squares line of at least three places, its slope with Student's interval."""
    n = len(x)
    around = x - x.mean()
    slope = float((around * y).sum() / (around**2).sum())
    intercept = float(y.mean() - slope * x.mean())
    left = y - intercept - slope * x
    error = math.sqrt(float((left**2).sum()) / (n - 2) / float((around**2).sum()))
    half_width = float(stats.t.ppf(0.5 + confidence / 2, n - 2)) * error
    p = float(2 * stats.t.sf(abs(slope) / error, n - 2)) if error > 0.0 else None
    return Line(intercept, Estimate(slope, slope - half_width, slope + half_width, n), p)


def _on(line: Line, x: Float64Array) -> Float64Array:
    values: Float64Array = line.intercept + (line.slope.estimate or 0.0) * x
    return values


def _exponential(estimate: Estimate) -> Estimate:
    values = [None if each is None else math.exp(each) for each in (estimate.estimate, estimate.low, estimate.high)]
    return Estimate(values[0], values[1], values[2], estimate.n, estimate.reason)
