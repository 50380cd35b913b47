"""Intraclass correlations: how much of the variance of ratings lies between the cases, in its six usual forms."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from calcmap.core.errors import InputError
from calcmap.core.volume import Float64Array
from calcmap.statistics.estimates import CONFIDENCE, Estimate, normal_quantile

LEAST_DF = 1e-3
"""Satterthwaite's degrees of freedom below this leave nothing to read in an F table (our choice)."""


class IccForm(StrEnum):
    """McGraw and Wong's names; Shrout and Fleiss's in the comments."""

    ONE_WAY_SINGLE = "ICC(1,1)"  # ICC(1,1): each case has other raters
    AGREEMENT_SINGLE = "ICC(A,1)"  # ICC(2,1): raters drawn at random; an offset between them counts
    CONSISTENCY_SINGLE = "ICC(C,1)"  # ICC(3,1): an offset between raters does not count
    ONE_WAY_MEAN = "ICC(1,k)"  # ICC(1,k): of the mean of all raters
    AGREEMENT_MEAN = "ICC(A,k)"  # ICC(2,k)
    CONSISTENCY_MEAN = "ICC(C,k)"  # ICC(3,k)


@dataclass(frozen=True)
class Icc(Estimate):
    """An intraclass correlation: 1 when raters do not differ, near 0 (or below) when cases do not."""

    form: IccForm = IccForm.AGREEMENT_SINGLE
    f: float | None = None
    """Of the test against zero; ``None`` where ratings do not differ within cases (infinite)."""
    df1: float | None = None
    df2: float | None = None
    p: float | None = None


@dataclass(frozen=True)
class MeanSquares:
    """Of the two-way table of cases and raters."""

    n_cases: int
    n_raters: int
    cases: float
    """Between cases (MSR)."""
    raters: float
    """Between raters (MSC)."""
    error: float
    """What neither explains (MSE)."""
    within: float
    """Within cases (MSW)."""


def mean_squares(ratings: ArrayLike) -> MeanSquares:
    """Return the mean squares of a table of ratings.

    Parameters
    ----------
    ratings : array_like of float, shape (cases, raters)
        At least two of each; complete.

    Returns
    -------
    MeanSquares
        All 0 or more.

    Raises
    ------
    InputError
        Not such a table, or values that are missing or not finite.
    """
    table = np.asarray(ratings, dtype=np.float64)
    if table.ndim != 2 or min(table.shape) < 2:
        raise InputError(f"an intraclass correlation needs 2 cases and 2 raters or more, got shape {table.shape}")
    if not np.isfinite(table).all():
        raise InputError(f"ratings hold {int((~np.isfinite(table)).sum())} values that are missing or not finite")
    n, k = table.shape
    by_case, by_rater, overall = table.mean(axis=1), table.mean(axis=0), table.mean()
    left: Float64Array = table - by_case[:, None] - by_rater[None, :] + overall
    return MeanSquares(
        n_cases=n,
        n_raters=k,
        cases=float(k * np.sum((by_case - overall) ** 2) / (n - 1)),
        raters=float(n * np.sum((by_rater - overall) ** 2) / (k - 1)),
        error=float(np.sum(left**2) / ((n - 1) * (k - 1))),
        within=float(np.sum((table - by_case[:, None]) ** 2) / (n * (k - 1))),
    )


def intraclass_correlations(ratings: ArrayLike, *, confidence: float = CONFIDENCE) -> tuple[Icc, ...]:
    """Return all six forms, each with its interval and its F test against zero.

    Parameters
    ----------
    ratings : array_like of float, shape (cases, raters)
        Complete; at least two raters. Scores raw or transformed, as given.
    confidence : float
        Coverage of the intervals, between 0 and 1.

    Returns
    -------
    tuple of Icc
        In the order of `IccForm`. Estimate ``None`` with fewer than two cases or where nothing varies; without limits
        where ratings do not differ within cases.

    Raises
    ------
    InputError
        As `mean_squares`, or the confidence is not between 0 and 1.

    Notes
    -----
    The test of the agreement forms takes Satterthwaite's degrees of freedom at the estimate, as R's irr does. The
    intervals assume normal ratings, which calcium scores are not: those of log(1 + score) are the better ones, and a
    bootstrap beside them better still.

    References
    ----------
    .. [1] Shrout, Fleiss, Psychol Bull 1979;86:420-428.
    .. [2] McGraw, Wong, Psychol Methods 1996;1:30-46 (forms, table 7: intervals; correction 1:390).
    """
    normal_quantile(confidence)
    table = np.asarray(ratings, dtype=np.float64)
    if table.ndim == 2 and len(table) < 2:
        return tuple(_no_icc(form, len(table), f"needs at least two cases, got {len(table)}") for form in IccForm)
    squares = mean_squares(table)
    if squares.cases == 0.0 and squares.within == 0.0:
        return tuple(_no_icc(form, len(table), "no rating differs from any other") for form in IccForm)
    upper = 0.5 + confidence / 2
    single = {
        IccForm.ONE_WAY_SINGLE: _one_way(squares, upper=upper),
        IccForm.AGREEMENT_SINGLE: _agreement(squares, upper=upper),
        IccForm.CONSISTENCY_SINGLE: _consistency(squares, upper=upper),
    }
    means = zip(list(IccForm)[3:], single.values(), strict=True)
    return (*single.values(), *(_of_mean(icc, form=form, n_raters=squares.n_raters) for form, icc in means))


def _no_icc(form: IccForm, n: int, reason: str) -> Icc:
    return Icc(None, None, None, n, reason, form=form)


def _one_way(squares: MeanSquares, *, upper: float) -> Icc:
    df2 = squares.n_cases * (squares.n_raters - 1)
    return _ratio_form(IccForm.ONE_WAY_SINGLE, squares, noise=squares.within, df2=df2, upper=upper)


def _consistency(squares: MeanSquares, *, upper: float) -> Icc:
    df2 = (squares.n_cases - 1) * (squares.n_raters - 1)
    return _ratio_form(IccForm.CONSISTENCY_SINGLE, squares, noise=squares.error, df2=df2, upper=upper)


def _ratio_form(form: IccForm, squares: MeanSquares, *, noise: float, df2: int, upper: float) -> Icc:
    """Return a form that depends on one ratio of mean squares, and its interval on the ratio's."""
    n, k = squares.n_cases, squares.n_raters
    estimate = (squares.cases - noise) / (squares.cases + (k - 1) * noise)
    if noise == 0.0:
        return Icc(estimate, None, None, n, "no rating differs within a case, so there is no interval", form=form)
    f, df1 = squares.cases / noise, n - 1
    low, high = f / stats.f.ppf(upper, df1, df2), f * stats.f.ppf(upper, df2, df1)
    return Icc(
        estimate,
        float((low - 1) / (low + k - 1)),
        float((high - 1) / (high + k - 1)),
        n,
        form=form,
        f=f,
        df1=df1,
        df2=df2,
        p=float(stats.f.sf(f, df1, df2)),
    )


def _agreement(squares: MeanSquares, *, upper: float) -> Icc:
    """Return ICC(A,1); its interval takes Satterthwaite's degrees of freedom, since three mean squares take part."""
    n, k, form = squares.n_cases, squares.n_raters, IccForm.AGREEMENT_SINGLE
    msr, msc, mse = squares.cases, squares.raters, squares.error
    estimate = (msr - mse) / (msr + (k - 1) * mse + k / n * (msc - mse))
    if mse == 0.0:
        reason = "ratings differ within a case by an offset at most, so there is no interval"
        return Icc(estimate, None, None, n, reason, form=form)
    a = k * estimate / (n * (1 - estimate))
    b = 1 + k * estimate * (n - 1) / (n * (1 - estimate))
    spread = (a * msc) ** 2 / (k - 1) + (b * mse) ** 2 / ((n - 1) * (k - 1))
    df1, df2 = n - 1, (a * msc + b * mse) ** 2 / spread if spread > 0.0 else 0.0
    if df2 < LEAST_DF:
        reason = "the mean squares cancel each other, so there is no interval"
        return Icc(estimate, None, None, n, reason, form=form)
    f_low, f_high = stats.f.ppf(upper, df1, df2), stats.f.ppf(upper, df2, df1)
    rest = k * msc + (k * n - k - n) * mse
    low = n * (msr - f_low * mse) / (f_low * rest + n * msr)
    high = n * (f_high * msr - mse) / (rest + n * f_high * msr)
    f = msr / mse
    p = float(stats.f.sf(f, df1, df2))
    return Icc(estimate, float(low), float(high), n, form=form, f=f, df1=df1, df2=float(df2), p=p)


def _of_mean(single: Icc, *, form: IccForm, n_raters: int) -> Icc:
    """Return the form for the mean of all raters: Spearman and Brown's step of estimate and limits."""
    estimate, low, high = (_step_up(value, n_raters) for value in (single.estimate, single.low, single.high))
    reason = single.reason if estimate is not None else "raters disagree so much that their mean has no reliability"
    return Icc(estimate, low, high, single.n, reason, form=form, f=single.f, df1=single.df1, df2=single.df2, p=single.p)


def _step_up(value: float | None, k: int) -> float | None:
    if value is None:
        return None
    below = 1.0 + (k - 1) * value
    return k * value / below if below > 0.0 and math.isfinite(value) else None
