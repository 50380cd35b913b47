"""The bootstrap: resamples of cases, statistics over them on several processes, and intervals from the draws.

Draw k of a seed is the same whatever the number of processes and of draws.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from functools import partial

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr, ndtri

from calcmap.core.errors import ConfigError, InputError
from calcmap.core.volume import Float64Array
from calcmap.statistics.estimates import CONFIDENCE
from calcmap.statistics.processes import run_draws

Indices = NDArray[np.intp]
Statistic = Callable[[Indices], ArrayLike]
"""From the indices of a resample to one or more numbers; NaN where the resample does not define one."""

UNDEFINED_SHARE = 0.05
"""With more than this share of draws without a value no interval is given: the rest is a selection (our choice)."""
DRAWS_PER_JOB = 20
"""Draws that one process makes at a time: they hide the hand-over and yet let a bar move (our choice)."""


class IntervalMethod(StrEnum):
    """How limits are taken from the draws."""

    PERCENTILE = "percentile"
    BCA = "bca"
    """Bias-corrected and accelerated: second-order right, needs a jackknife."""


@dataclass(frozen=True)
class Bootstrap:
    """How to resample."""

    draws: int = 2000
    seed: int = 1
    method: IntervalMethod = IntervalMethod.PERCENTILE
    confidence: float = CONFIDENCE
    workers: int = 1
    """Processes; with more than one the statistic must be picklable."""

    def __post_init__(self) -> None:
        """Refuse settings that give no interval."""
        if self.draws < 1 or self.workers < 1 or self.seed < 0:
            found = f"draws {self.draws}, workers {self.workers}, seed {self.seed}"
            raise ConfigError(f"a bootstrap needs at least 1 draw, 1 worker and a seed from 0, got {found}")
        if not 0.0 < self.confidence < 1.0:
            raise ConfigError(f"confidence is {self.confidence}, expected a number between 0 and 1")


@dataclass(frozen=True)
class DrawnInterval:
    """Limits from bootstrap draws."""

    low: float | None
    """``None`` where too few draws have a value; then ``reason`` says so."""
    high: float | None
    draws: int
    n_undefined: int
    """Draws without a value; left out."""
    method: IntervalMethod
    reason: str | None = None


def resample(n: int, *, seed: int, draw: int) -> Indices:
    """Return the indices of one bootstrap sample: ``n`` of 0 to ``n - 1`` with replacement."""
    return np.random.default_rng([seed, draw]).integers(0, n, size=n, dtype=np.intp)


def bootstrap_draws(
    statistic: Statistic, n: int, *, settings: Bootstrap, advance: Callable[[int], object] | None = None
) -> Float64Array:
    """Return statistics of bootstrap samples of ``n`` cases.

    Parameters
    ----------
    statistic : callable
        From the indices of a sample to one or more numbers. With several workers it must be picklable: a module-level
        function, or `functools.partial` of one with its data.
    n : int
        Number of cases.
    settings : Bootstrap
        Draws, seed, workers.
    advance : callable, optional
        Called with the number of draws just finished, for a progress bar.

    Returns
    -------
    ndarray of float64, shape (draws, number of statistics)
        In the order of the draws; the same for every number of workers.

    Raises
    ------
    InputError
        There are no cases.
    """
    if n < 1:
        raise InputError("a bootstrap needs at least one case, got 0")
    parts: dict[int, Float64Array] = {}
    job = partial(_some_draws, statistic, n, settings.seed)
    for first, rows in run_draws(job, settings.draws, at_a_time=DRAWS_PER_JOB, workers=settings.workers):
        parts[first] = rows
        if advance is not None:
            advance(len(rows))
    return np.concatenate([parts[first] for first in sorted(parts)])


def jackknife(statistic: Statistic, n: int, *, advance: Callable[[int], object] | None = None) -> Float64Array:
    """Return statistics of the cases without each one in turn, shape (n, number of statistics); n is 2 or more."""
    everyone, rows = np.arange(n, dtype=np.intp), []
    for case in range(n):
        rows.append(_row(statistic, np.delete(everyone, case)))
        if advance is not None:
            advance(1)
    return np.stack(rows)


def percentile_interval(draws: ArrayLike, *, confidence: float = CONFIDENCE) -> DrawnInterval:
    """Return the interval between two quantiles of the draws.

    Parameters
    ----------
    draws : array_like of float, shape (draws,)
        Bootstrap draws of one statistic; those that are NaN or infinite are left out and counted.
    confidence : float
        Coverage, between 0 and 1.

    Returns
    -------
    DrawnInterval
        Limits ``None`` with more than `UNDEFINED_SHARE` of draws without a value.

    Notes
    -----
    Quantiles are interpolated between order statistics (R's type 7).

    References
    ----------
    .. [1] Efron, Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13.
    """
    tail = (1.0 - confidence) / 2
    return _between(np.asarray(draws, dtype=np.float64), (tail, 1.0 - tail), method=IntervalMethod.PERCENTILE)


def bca_interval(
    draws: ArrayLike, *, estimate: float, left_out: ArrayLike, confidence: float = CONFIDENCE
) -> DrawnInterval:
    """Return the bias-corrected and accelerated interval.

    Parameters
    ----------
    draws : array_like of float, shape (draws,)
        Bootstrap draws of one statistic.
    estimate : float
        The statistic of all cases.
    left_out : array_like of float, shape (n,)
        The statistic without each case (`jackknife`).
    confidence : float
        Coverage, between 0 and 1.

    Returns
    -------
    DrawnInterval
        Limits ``None`` as for `percentile_interval`, also where all draws lie on one side of the estimate: then the
        bias correction is infinite.

    References
    ----------
    .. [1] Efron, J Am Stat Assoc 1987;82:171-185; Efron, Tibshirani 1993, chapter 14. Draws equal to the estimate count
       half towards the bias, as is usual for statistics of counts.
    """
    values = np.asarray(draws, dtype=np.float64)
    defined = values[np.isfinite(values)]
    below = (np.mean(defined < estimate) + 0.5 * np.mean(defined == estimate)) if defined.size else 0.0
    if not 0.0 < below < 1.0:
        reason = "all bootstrap draws lie on one side of the estimate"
        return DrawnInterval(None, None, len(values), len(values) - len(defined), IntervalMethod.BCA, reason)
    bias, acceleration = float(ndtri(below)), _acceleration(np.asarray(left_out, dtype=np.float64))
    tail = (1.0 - confidence) / 2
    normal = bias + ndtri(np.array([tail, 1.0 - tail]))
    low, high = ndtr(bias + normal / (1.0 - acceleration * normal))
    return _between(values, (float(low), float(high)), method=IntervalMethod.BCA)


def bootstrap_p(draws: ArrayLike) -> float | None:
    """Return the two-sided p of "the difference is zero" from bootstrap draws of the difference.

    Twice the smaller share of draws at or beyond zero, both counted with one more draw so that p is never 0; it asks at
    which confidence the percentile interval would just touch zero.

    Parameters
    ----------
    draws : array_like of float, shape (draws,)
        Draws of a difference; those without a value are left out.

    Returns
    -------
    float or None
        2 / (draws + 1) to 1; ``None`` without draws.

    References
    ----------
    .. [1] Davison, Hinkley, Bootstrap Methods and their Application, 1997, section 4.2 (the added draw).
    """
    values = np.asarray(draws, dtype=np.float64)
    values = values[np.isfinite(values)]
    if values.size == 0:
        return None
    smaller = min(np.count_nonzero(values <= 0), np.count_nonzero(values >= 0))
    return float(min(1.0, 2.0 * (smaller + 1) / (values.size + 1)))


def _some_draws(statistic: Statistic, n: int, seed: int, numbers: range) -> tuple[int, Float64Array]:
    rows = [_row(statistic, resample(n, seed=seed, draw=draw)) for draw in numbers]
    return numbers.start, np.stack(rows)


def _row(statistic: Statistic, indices: Indices) -> Float64Array:
    return np.atleast_1d(np.asarray(statistic(indices), dtype=np.float64))


def _acceleration(left_out: Float64Array) -> float:
    apart = np.mean(left_out) - left_out
    spread = float(np.sum(apart**2))
    return 0.0 if spread == 0.0 else float(np.sum(apart**3) / (6.0 * spread**1.5))


def _between(values: Float64Array, levels: tuple[float, float], *, method: IntervalMethod) -> DrawnInterval:
    defined = values[np.isfinite(values)]
    n_undefined = len(values) - len(defined)
    if len(defined) == 0 or n_undefined > UNDEFINED_SHARE * len(values):
        reason = f"{n_undefined} of {len(values)} bootstrap draws do not define the statistic"
        return DrawnInterval(None, None, len(values), n_undefined, method, reason)
    low, high = np.quantile(defined, levels)
    return DrawnInterval(float(low), float(high), len(values), n_undefined, method)
