"""Curves over time and their comparison: Kaplan-Meier, event rates, log-rank, cumulative incidence.

A function takes one group's follow-up (``table.rows(mask)``) or, to compare, the whole table with a label a row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import chdtri

from calcmap.core.errors import InputError, NotEstimableError
from calcmap.core.volume import BoolArray, Float64Array, IntArray
from calcmap.prognosis.cox import ChiSquare, chi_square
from calcmap.prognosis.followup import FollowUp
from calcmap.prognosis.partial_likelihood import Ties, risk_sets
from calcmap.statistics.estimates import CONFIDENCE, Estimate, normal_quantile

EQUAL_PROBABILITY = 1.5e-8
"""Probabilities closer than this are one when a quantile is read off a curve (R's: root of the machine precision)."""


class Scale(StrEnum):
    """On which scale an interval of a probability is symmetric."""

    PLAIN = "plain"
    LOG = "log"
    """Of the probability itself; default of R's ``survfit``."""
    LOG_LOG = "log-log"
    """log(-log); never leaves 0 to 1, and covers best in small groups."""


class RateInterval(StrEnum):
    """How a rate gets its interval."""

    EXACT = "exact"
    """Both tails of the Poisson distribution (Garwood 1936)."""
    BYAR = "byar"
    """Byar's close approximation to it (Breslow, Day 1987)."""


@dataclass(frozen=True, eq=False)
class Curve:
    """A probability that changes in steps; arrays have one value for each distinct time of the table, ascending."""

    time: Float64Array
    probability: Float64Array
    """From that time on. Before the first time: 1 for survival, 0 for an incidence."""
    standard_error: Float64Array
    """Of the probability; not finite once nobody is left."""
    low: Float64Array
    """Pointwise limits, within 0 to 1; NaN where the data say nothing about the spread."""
    high: Float64Array
    at_risk: Float64Array
    """Weighted number just before the time."""
    n_at_time: Float64Array
    """Weighted number of events of this curve at the time."""
    start: float
    """Probability before the first time."""
    n: int
    n_events: int
    scale: Scale
    confidence: float

    def at(self, times: Sequence[float]) -> tuple[Estimate, ...]:
        """Return the probability at each time; ``None`` after the end of follow-up or before 0.

        At a probability of 0 or 1 the limits are ``None`` when the data do not tell a spread.
        """
        return tuple(self._at(float(time)) for time in times)

    def _at(self, time: float) -> Estimate:
        if not 0.0 <= time <= self.time[-1]:
            reason = f"follow-up holds 0 to {self.time[-1]:g}, asked for {time:g}"
            return Estimate(None, None, None, self.n, reason)
        k = int(np.searchsorted(self.time, time, side="right")) - 1
        if k < 0:
            return Estimate(self.start, self.start, self.start, self.n)
        low, high = _known(self.low[k]), _known(self.high[k])
        return Estimate(float(self.probability[k]), low, high, self.n)


@dataclass(frozen=True)
class EventRate(Estimate):
    """Events per so much follow-up, with its interval."""

    n_events: int = 0
    follow_up: float = 0.0
    """Sum of follow-up, in the table's unit of time."""
    per: float = 1.0
    """The rate is per this much follow-up."""
    interval: RateInterval = RateInterval.EXACT


@dataclass(frozen=True, eq=False)
class LogRank(ChiSquare):
    """The log-rank test of k groups; arrays follow `groups`, shape (k,), `covariance` (k, k)."""

    groups: tuple[object, ...]
    n: IntArray
    observed: Float64Array
    expected: Float64Array
    covariance: Float64Array
    """Of the observed events, all else fixed."""


def kaplan_meier(table: FollowUp, *, scale: Scale = Scale.LOG, confidence: float = CONFIDENCE) -> Curve:
    """Return the Kaplan-Meier estimate of event-free survival, with Greenwood's standard error.

    Parameters
    ----------
    table : FollowUp
        One group. Its strata are not looked at; a competing event counts as censored, so that with competing events
        `cumulative_incidence` is what patients will see.
    scale : Scale
        Of the pointwise intervals.
    confidence : float
        Coverage of the intervals, between 0 and 1.

    Returns
    -------
    Curve
        Events at a time come before censoring at the same time. Without any event it stays at 1.

    Raises
    ------
    InputError
        The confidence is not between 0 and 1, or the table has no rows.

    References
    ----------
    .. [1] Kaplan, Meier, J Am Stat Assoc 1958;53:457-481; Greenwood 1926.
    """
    time, at_risk, events, _ = _counts(table)
    with np.errstate(divide="ignore", invalid="ignore"):
        survival = np.asarray(np.cumprod(1.0 - events / at_risk), dtype=np.float64)
        error = np.asarray(survival * np.sqrt(np.cumsum(events / (at_risk * (at_risk - events)))), dtype=np.float64)
    low, high = _limits(survival, error, scale=scale, quantile=normal_quantile(confidence))
    return Curve(time, survival, error, low, high, at_risk, events, 1.0, len(table), table.n_events, scale, confidence)


def cumulative_incidence(
    table: FollowUp, *, cause: int = 0, scale: Scale = Scale.LOG_LOG, confidence: float = CONFIDENCE
) -> Curve:
    """Return the Aalen-Johansen estimate of the probability that one kind of event has come first.

    Parameters
    ----------
    table : FollowUp
        One group, with its competing events.
    cause : int
        0 for the event of interest, else the code of a competing event.
    scale : Scale
        Of the pointwise intervals.
    confidence : float
        Coverage of the intervals, between 0 and 1.

    Returns
    -------
    Curve
        Starts at 0. Without competing events it is 1 minus Kaplan-Meier, and so is its standard error.

    Raises
    ------
    InputError
        The confidence is not between 0 and 1, the table has no rows, or no row has the competing code asked for.

    Notes
    -----
    The standard error is the delta method's [2]_, which gives the same numbers as the infinitesimal jackknife of R's
    ``survfit``; that of ``cmprsk`` differs in the third digit.

    References
    ----------
    .. [1] Aalen, Johansen, Scand J Stat 1978;5:141-150.
    .. [2] Marubini, Valsecchi, Analysing Survival Data, 1995, section 10.4.
    """
    time, at_risk, mine, others = _counts(table, cause=cause)
    every = mine + others
    with np.errstate(divide="ignore", invalid="ignore"):
        before = np.append(1.0, np.cumprod(1.0 - every / at_risk)[:-1])
        incidence = np.cumsum(before * mine / at_risk)
        all_cause = np.where(every > 0, every / (at_risk * (at_risk - every)), 0.0)
        own = before**2 * (at_risk - mine) * mine / at_risk**3
        mixed = before * mine / at_risk**2
    # the last time, when everybody left has an event, adds nothing: its own increment of the incidence is the factor
    all_cause = np.where(at_risk > every, all_cause, 0.0)
    spread = incidence**2 * np.cumsum(all_cause) - 2 * incidence * np.cumsum(incidence * all_cause)
    spread += np.cumsum(incidence**2 * all_cause) + np.cumsum(own)
    spread -= 2 * (incidence * np.cumsum(mixed) - np.cumsum(incidence * mixed))
    error = np.sqrt(np.maximum(spread, 0.0))
    low, high = _limits(incidence, error, scale=scale, quantile=normal_quantile(confidence))
    n_events = int(np.count_nonzero(_is_cause(table, cause)))
    return Curve(time, incidence, error, low, high, at_risk, mine, 0.0, len(table), n_events, scale, confidence)


def survival_quantile(curve: Curve, share: float = 0.5) -> Estimate:
    """Return the time by which a share of patients has had the event, with its interval.

    Parameters
    ----------
    curve : Curve
        From `kaplan_meier`.
    share : float
        0.5 for the median.

    Returns
    -------
    Estimate
        Where the curve, and each of its limits, first falls to ``1 - share``; if it stays there for a while, the
        middle of that while. ``None`` where it never does.

    Raises
    ------
    InputError
        The share is not between 0 and 1.

    References
    ----------
    .. [1] Brookmeyer, Crowley, Biometrics 1982;38:29-41 (interval by inverting the limits).
    """
    if not 0.0 < share < 1.0:
        raise InputError(f"the share is {share}, expected a number between 0 and 1")
    times = [_crossing(curve.time, y, 1.0 - share) for y in (curve.probability, curve.low, curve.high)]
    reason = None if times[0] is not None else f"fewer than {share:.0%} have the event during follow-up"
    return Estimate(times[0], times[1], times[2], curve.n, reason)


def reverse_kaplan_meier(table: FollowUp, *, scale: Scale = Scale.LOG, confidence: float = CONFIDENCE) -> Curve:
    """Return the probability to be still followed, had nobody an event; its median is the median follow-up.

    Raises
    ------
    InputError
        The confidence is not between 0 and 1, or the table has no rows.

    References
    ----------
    .. [1] Schemper, Smith, Control Clin Trials 1996;17:343-346.
    """
    ended = table.has_ended
    return kaplan_meier(replace(table, is_event=~ended, competing=None), scale=scale, confidence=confidence)


def number_at_risk(table: FollowUp, times: Sequence[float]) -> tuple[int, ...]:
    """Return how many rows are followed to each time or longer: the figures under a survival plot."""
    return tuple(int(np.count_nonzero(table.time >= time)) for time in times)


def event_rate(
    table: FollowUp,
    *,
    per: float = 1.0,
    interval: RateInterval = RateInterval.EXACT,
    confidence: float = CONFIDENCE,
) -> EventRate:
    """Return events per follow-up time, such as events per 100 person-years.

    Parameters
    ----------
    table : FollowUp
        One group; case weights are not looked at.
    per : float
        Follow-up that the rate is given for, in the table's unit of time (100 for per cent a year).
    interval : RateInterval
        Kind of the interval.
    confidence : float
        Coverage of the interval, between 0 and 1.

    Returns
    -------
    EventRate
        ``None`` without any follow-up time.

    Raises
    ------
    InputError
        The confidence is not between 0 and 1, or `per` is not above 0.

    References
    ----------
    .. [1] Garwood, Biometrika 1936;28:437-442.
    .. [2] Breslow, Day, Statistical Methods in Cancer Research II, 1987, p. 69 (Byar).
    """
    quantile = normal_quantile(confidence)
    if not per > 0:
        raise InputError(f"a rate is per {per:g}, expected a length of follow-up above 0")
    d, total, n = table.n_events, float(table.time.sum()), len(table)
    shared = {"n_events": d, "follow_up": total, "per": per, "interval": interval}
    if total == 0:
        return EventRate(None, None, None, n, "there is no follow-up time", **shared)  # type: ignore[arg-type]
    tail = (1.0 - confidence) / 2
    if interval is RateInterval.EXACT:
        low = float(chdtri(2 * d, 1.0 - tail)) / 2 if d else 0.0
        high = float(chdtri(2 * d + 2, tail)) / 2
    else:
        low = d * (1 - 1 / (9 * d) - quantile / (3 * d**0.5)) ** 3 if d else 0.0
        high = (d + 1) * (1 - 1 / (9 * (d + 1)) + quantile / (3 * (d + 1) ** 0.5)) ** 3
    unit = per / total
    return EventRate(d * unit, low * unit, high * unit, n, **shared)  # type: ignore[arg-type]


def log_rank(table: FollowUp, group: ArrayLike) -> LogRank:
    """Return the log-rank test (Mantel-Haenszel) of equal hazards in all groups.

    Parameters
    ----------
    table : FollowUp
        All groups. Strata are kept apart and summed; a competing event counts as censored.
    group : array_like, shape (n,)
        Label of each row; groups are taken in ascending order of their labels.

    Returns
    -------
    LogRank
        Degrees of freedom: groups with somebody at risk at an event, less one.

    Raises
    ------
    InputError
        Another number of labels than rows, or case weights, for which the test is not defined.
    NotEstimableError
        Fewer than two groups with anybody at risk at an event, or nobody with an event.

    References
    ----------
    .. [1] Mantel, Cancer Chemother Rep 1966;50:163-170; Peto, Peto, J R Stat Soc A 1972;135:185-207.
    """
    labels = np.asarray(group)
    if labels.shape != (len(table),):
        raise InputError(f"group has shape {labels.shape}, the table {len(table)} rows; expected one label a row")
    if table.weight is not None:
        raise InputError("the log-rank test is not defined for case weights")
    if not table.is_event.any():
        raise NotEstimableError(f"nobody of {len(table)} has the event, so groups cannot be compared")
    groups, which = np.unique(labels, return_inverse=True)
    sets = risk_sets(table, ties=Ties.BRESLOW)
    member = (which[sets.order, None] == np.arange(len(groups))).astype(np.float64)
    share = sets.at_risk(member)
    at_risk = share.sum(axis=1)
    share /= at_risk[:, None]
    deaths = sets.per_group(np.ones(len(sets.death)))
    observed, expected = sets.dying(member).sum(axis=0), deaths @ share
    factor = deaths * np.where(at_risk > 1, (at_risk - deaths) / np.maximum(at_risk - 1, 1), 0.0)
    covariance = np.diag(factor @ share) - share.T @ (share * factor[:, None])
    statistic, df = _quadratic_form(observed - expected, covariance, is_used=expected > 0)
    test = chi_square(statistic, df)
    return LogRank(
        test.statistic, test.df, test.p, tuple(groups.tolist()), np.bincount(which), observed, expected, covariance
    )


def log_rank_trend(test: LogRank, scores: Sequence[float] | None = None) -> ChiSquare:
    """Return the test for trend: do hazards rise (or fall) along the order of the groups?

    Parameters
    ----------
    test : LogRank
        From `log_rank`.
    scores : sequence of float, optional
        Position of each group; 0, 1, 2, ... by default.

    Returns
    -------
    ChiSquare
        One degree of freedom.

    Raises
    ------
    InputError
        Another number of scores than groups.
    NotEstimableError
        The scores do not differ among those at risk.

    References
    ----------
    .. [1] Tarone, Biometrika 1975;62:679-682.
    """
    position = np.arange(len(test.groups), dtype=np.float64) if scores is None else np.asarray(scores, dtype=np.float64)
    if position.shape != (len(test.groups),):
        raise InputError(f"there are {len(test.groups)} groups, got {position.size} scores")
    spread = float(position @ test.covariance @ position)
    if spread <= 0:
        raise NotEstimableError("the scores of the groups do not differ among those at risk, so there is no trend")
    return chi_square(float(position @ (test.observed - test.expected)) ** 2 / spread, 1)


def _quadratic_form(difference: Float64Array, covariance: Float64Array, *, is_used: BoolArray) -> tuple[float, int]:
    kept = np.flatnonzero(is_used)[1:]  # the differences add up to zero: one of them is redundant
    if not len(kept):
        raise NotEstimableError(
            "fewer than two groups have anybody at risk at an event, so there is nothing to compare"
        )
    inner = covariance[np.ix_(kept, kept)]
    try:
        return float(difference[kept] @ np.linalg.solve(inner, difference[kept])), len(kept)
    except np.linalg.LinAlgError as error:
        raise NotEstimableError("groups are never at risk together, so they cannot be compared") from error


def _is_cause(table: FollowUp, cause: int) -> BoolArray:
    if cause == 0:
        return table.is_event
    if table.competing is None or not (table.competing == cause).any():
        raise InputError(f"no row has the competing event {cause}")
    return np.asarray(table.competing == cause)


def _counts(table: FollowUp, *, cause: int = 0) -> tuple[Float64Array, Float64Array, Float64Array, Float64Array]:
    """Return distinct times, who is at risk, events of the cause and all other events, each weighted."""
    if not len(table):
        raise InputError("the group has no rows, so it has no curve")
    weight = np.ones(len(table)) if table.weight is None else table.weight
    time, place = np.unique(table.time, return_inverse=True)
    mine = _is_cause(table, cause)
    ended = table.has_ended
    here, events, others = (np.bincount(place, weights=weight * flag) for flag in (1.0, mine, ended & ~mine))
    return time, np.cumsum(here[::-1])[::-1].astype(np.float64), events.astype(np.float64), others.astype(np.float64)


def _limits(
    probability: Float64Array, error: Float64Array, *, scale: Scale, quantile: float
) -> tuple[Float64Array, Float64Array]:
    p, half = probability, quantile * error
    is_inside = (p > 0) & (p < 1)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        match scale:
            case Scale.PLAIN:
                low, high = p - half, p + half
            case Scale.LOG:
                low, high = p * np.exp(-half / p), p * np.exp(half / p)
            case Scale.LOG_LOG:
                turn = half / (p * np.log(p))
                low, high = (np.where(is_inside, p ** np.exp(sign * turn), p) for sign in (-1.0, 1.0))
                low, high = np.minimum(low, high), np.maximum(low, high)
    low, high = (np.where(np.isfinite(error), np.clip(limit, 0.0, 1.0), np.nan) for limit in (low, high))
    is_start = (p == 0) & (error == 0)  # an incidence before its first event
    return np.where(is_start, 0.0, low), np.where(is_start, 0.0, high)


def _crossing(time: Float64Array, y: Float64Array, level: float) -> float | None:
    with np.errstate(invalid="ignore"):
        reached = np.flatnonzero(y < level + EQUAL_PROBABILITY)
    if not len(reached):
        return None
    first = int(reached[0])
    below = reached[y[reached] < y[first] - EQUAL_PROBABILITY]
    if abs(y[first] - level) < EQUAL_PROBABILITY and len(below):
        return float(time[first] + time[below[0]]) / 2
    return float(time[first])


def _known(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
