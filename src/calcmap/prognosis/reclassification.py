"""What a second risk model moves: net reclassification and integrated discrimination, with and without censoring.

Two models give each patient a risk at one horizon: the base model, and the extended model that holds one thing more. A
good addition moves patients who will have the event up, and the others down. Several published definitions carry one
name; here each has its own function:

- `net_reclassification`: for censored follow-up; the parts for events and nonevents and their sum (0 to 2 in size).
- `binary_reclassification`: for a known outcome, with the large-sample interval.
- `uno_improvement`: the M1, M2, M3 of the R package survIDINRI; its M2 is *half* of what the others call NRI.

Risks are probabilities, higher = riskier. Movement is +1 up, 0 stays, -1 down: `moves_by_difference`,
`moves_by_category`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr

from calcmap.core.errors import InputError
from calcmap.core.volume import BoolArray, Float64Array
from calcmap.statistics.estimates import CONFIDENCE, Estimate, normal_quantile

UNO_GRID_POINTS = 2000
"""Points from -1 to 1 on which survIDINRI lays its distributions; -1, 0 and 1 are added to them."""

MovesArray = NDArray[np.int8]
"""+1 moved up, 0 stayed, -1 moved down; shape (patients,)."""


class CensoringEstimator(StrEnum):
    """How patients whose follow-up ends before the horizon enter the shares of those who moved."""

    KAPLAN_MEIER = "km"
    """Event-free survival within those who moved, against that of all (Pencina 2011; nricens' ``km``)."""
    INVERSE_WEIGHTING = "ipw"
    """Events by the horizon stand in for the censored, by 1 / probability of being uncensored (Uno 2012; ``ipw``)."""


@dataclass(frozen=True)
class Reclassification:
    """Net reclassification of censored follow-up at one horizon; every share is ``None`` when ``reason`` is set."""

    nri: float | None
    """Sum of the two parts, -2 to 2; higher = the extended model is better."""
    nri_event: float | None
    """Share of events moved up less share moved down, -1 to 1."""
    nri_nonevent: float | None
    """Share of nonevents moved down less share moved up, -1 to 1."""
    up_given_event: float | None
    down_given_event: float | None
    down_given_nonevent: float | None
    up_given_nonevent: float | None
    n: int
    n_up: int
    n_down: int
    n_cases: int
    """Patients with an observed event by the horizon."""
    n_controls: int
    """Patients followed beyond the horizon; the remaining ones were censored before."""
    estimator: CensoringEstimator
    reason: str | None = None


@dataclass(frozen=True)
class ReclassificationTable:
    """Patients by category of the base model (rows) and of the extended one (columns)."""

    all_patients: NDArray[np.int64]
    cases: NDArray[np.int64]
    """With an event by the horizon."""
    controls: NDArray[np.int64]
    """Followed beyond the horizon. Cases and controls leave out who was censored before it."""


@dataclass(frozen=True)
class WaldEstimate(Estimate):
    """An estimate with its normal interval and two-sided test against zero."""

    standard_error: float | None = None
    z: float | None = None
    """``None`` where the standard error is zero."""
    p: float | None = None


@dataclass(frozen=True)
class BinaryReclassification:
    """Net reclassification of a known outcome."""

    nri: WaldEstimate
    nri_event: WaldEstimate
    nri_nonevent: WaldEstimate
    up_given_event: float | None
    down_given_event: float | None
    down_given_nonevent: float | None
    up_given_nonevent: float | None


@dataclass(frozen=True)
class IntegratedDiscrimination:
    """How much further apart the extended model puts the mean risks of events and nonevents."""

    idi: float | None
    """``event`` less ``nonevent``; higher = the extended model is better."""
    event: float | None
    """Mean change of risk among events."""
    nonevent: float | None
    """Mean change of risk among nonevents; negative is good."""
    n_cases: int
    n_controls: int
    reason: str | None = None


@dataclass(frozen=True)
class Contrast:
    """A number among events, among nonevents, and their difference."""

    difference: float
    event: float
    nonevent: float


@dataclass(frozen=True)
class UnoImprovement:
    """The three measures of the R package survIDINRI; all ``None`` when ``reason`` is set."""

    m1: Contrast | None
    """Its IDI: mean change of risk."""
    m2: Contrast | None
    """Share moved up. Its difference is half of the continuous NRI of `net_reclassification`'s kind."""
    m3: Contrast | None
    """Median change of risk."""
    n_cases: int
    n_controls: int
    reason: str | None = None


def moves_by_difference(base_risk: ArrayLike, extended_risk: ArrayLike, *, more_than: float = 0.0) -> MovesArray:
    """Return whom the extended model moves by more than a difference of risk (0: the continuous NRI).

    Parameters
    ----------
    base_risk, extended_risk : array_like of float, shape (n,)
        Risk by each model, 0 to 1, the same patients in one order.
    more_than : float
        Smallest difference that does not count as a move, at least 0. A difference of exactly this much is none.

    Returns
    -------
    ndarray of int8, shape (n,)
        +1 up, 0 stays, -1 down.

    Raises
    ------
    InputError
        Not risks, not the same number of them, or a negative difference.
    """
    base, extended = _risk_pair(base_risk, extended_risk)
    if not more_than >= 0.0:
        raise InputError(f"the smallest difference is {more_than}, expected at least 0")
    change = extended - base
    return (change > more_than).astype(np.int8) - (change < -more_than).astype(np.int8)


def moves_by_category(base_risk: ArrayLike, extended_risk: ArrayLike, *, cut_offs: ArrayLike) -> MovesArray:
    """Return whom the extended model moves into a higher (+1) or lower (-1) category of risk.

    Parameters
    ----------
    base_risk, extended_risk : array_like of float, shape (n,)
        Risk by each model, 0 to 1, the same patients in one order.
    cut_offs : array_like of float
        Ascending, within 0 to 1; a risk equal to a cut-off belongs to the category above it.

    Returns
    -------
    ndarray of int8, shape (n,)
        +1 up, 0 stays, -1 down; moves over one category and over several count alike.

    Raises
    ------
    InputError
        Not risks, not the same number of them, or cut-offs that do not ascend within 0 to 1.
    """
    base, extended = _risk_pair(base_risk, extended_risk)
    cuts = _cut_offs(cut_offs)
    change = np.searchsorted(cuts, extended, side="right") - np.searchsorted(cuts, base, side="right")
    return np.asarray(np.sign(change), dtype=np.int8)


def net_reclassification(
    time: ArrayLike,
    is_event: ArrayLike,
    moves: ArrayLike,
    *,
    horizon: float,
    estimator: CensoringEstimator = CensoringEstimator.KAPLAN_MEIER,
) -> Reclassification:
    """Return the net reclassification improvement at a horizon, for censored follow-up.

    With the Kaplan-Meier survival at the horizon of all patients S, of those moved up S_U (a share u of all): P(up |
    event) = (1 - S_U) u / (1 - S), P(up | nonevent) = S_U u / S; the same for down. With inverse weighting: an event
    by the horizon at time X weighs 1 / G(X), G being the Kaplan-Meier curve of the censoring, and the patients
    followed beyond the horizon weigh alike.

    Parameters
    ----------
    time : array_like of float, shape (n,)
        Follow-up of each patient until event or censoring, at least 0; any unit.
    is_event : array_like of bool, shape (n,)
        Whether follow-up ended with the event.
    moves : array_like of int, shape (n,)
        +1, 0 or -1, from `moves_by_difference` or `moves_by_category`.
    horizon : float
        In the unit of ``time``. An event at the horizon itself is a case.
    estimator : CensoringEstimator
        How the censored enter.

    Returns
    -------
    Reclassification
        Without estimates, and with a reason, when no event falls before the horizon, when nobody is followed beyond it,
        and with `CensoringEstimator.KAPLAN_MEIER` when all who moved up (or down) were censored before it.

    Raises
    ------
    InputError
        Malformed follow-up, moves or horizon.

    Notes
    -----
    With the Kaplan-Meier form P(up | event) + P(down | event) of a continuous NRI need not be exactly 1; it is not
    normalised, as nricens does not either. nricens carries a curve that ends before the horizon forward; we refuse.

    References
    ----------
    .. [1] Pencina, D'Agostino, Steyerberg, Stat Med 2011;30:11-21.
    .. [2] Uno, Tian, Cai, Kohane, Wei, Stat Med 2013;32:2430-2442 (online 2012).
    """
    times, events = _followup(time, is_event)
    moved = _moves(moves, n=times.size)
    cases, controls = _cases_and_controls(times, events, horizon=horizon)
    up, down = moved > 0, moved < 0
    counts = (times.size, int(up.sum()), int(down.sum()), int(cases.sum()), int(controls.sum()))
    reason = _why_no_horizon(cases, controls, horizon=horizon)
    if reason is None and estimator is CensoringEstimator.KAPLAN_MEIER:
        reason = _why_no_curve(times, events, up, down, horizon=horizon)
    if reason is not None:
        return Reclassification(None, None, None, None, None, None, None, *counts, estimator, reason)
    if estimator is CensoringEstimator.KAPLAN_MEIER:
        overall = _survival_at(times, events, horizon)
        (up_event, up_none), (down_event, down_none) = (
            _shares_by_survival(times, events, group, horizon=horizon, overall=overall) for group in (up, down)
        )
    else:
        weights = _case_weights(times, events, cases)
        up_event, down_event = float(weights[up].sum()), float(weights[down].sum())
        up_none, down_none = float(up[controls].mean()), float(down[controls].mean())
    gain, loss = up_event - down_event, down_none - up_none
    shares = (up_event, down_event, down_none, up_none)
    return Reclassification(gain + loss, gain, loss, *shares, *counts, estimator)


def reclassification_table(
    time: ArrayLike,
    is_event: ArrayLike,
    base_risk: ArrayLike,
    extended_risk: ArrayLike,
    *,
    cut_offs: ArrayLike,
    horizon: float,
) -> ReclassificationTable:
    """Return how many patients fall into each pair of risk categories, overall, among cases and among controls.

    Parameters
    ----------
    time, is_event : array_like, shape (n,)
        Follow-up, as for `net_reclassification`.
    base_risk, extended_risk : array_like of float, shape (n,)
        Risk by each model, 0 to 1.
    cut_offs : array_like of float
        Ascending; k cut-offs make k + 1 categories, and a risk equal to a cut-off belongs above it.
    horizon : float
        In the unit of ``time``.

    Returns
    -------
    ReclassificationTable
        Three arrays of shape (k + 1, k + 1), rows base model, columns extended model.

    Raises
    ------
    InputError
        Malformed follow-up, risks, cut-offs or horizon.
    """
    times, events = _followup(time, is_event)
    base, extended = _risk_pair(base_risk, extended_risk)
    if base.size != times.size:
        raise InputError(f"there are {base.size} risks for {times.size} patients")
    cuts = _cut_offs(cut_offs)
    k = cuts.size + 1
    cells = np.searchsorted(cuts, base, side="right") * k + np.searchsorted(cuts, extended, side="right")

    def count(chosen: BoolArray) -> NDArray[np.int64]:
        return np.bincount(cells[chosen], minlength=k * k).reshape(k, k).astype(np.int64)

    cases, controls = _cases_and_controls(times, events, horizon=horizon)
    return ReclassificationTable(count(np.ones(times.size, dtype=bool)), count(cases), count(controls))


def binary_reclassification(
    has_event: ArrayLike, moves: ArrayLike, *, confidence: float = CONFIDENCE
) -> BinaryReclassification:
    """Return the net reclassification of a known outcome, with its large-sample interval.

    Parameters
    ----------
    has_event : array_like of bool, shape (n,)
        The outcome; everyone's is known.
    moves : array_like of int, shape (n,)
        +1, 0 or -1, from `moves_by_difference` or `moves_by_category`.
    confidence : float
        Coverage of the intervals, between 0 and 1.

    Returns
    -------
    BinaryReclassification
        A part has no estimate without patients of its kind, and neither has the sum.

    Raises
    ------
    InputError
        Malformed outcome or moves.

    Notes
    -----
    The standard error of a part is sqrt((p_up + p_down - (p_up - p_down)^2) / n), and the two parts are independent:
    the form of Hmisc's improveProb (which PredictABEL calls, on category numbers for the categorical NRI), not the
    one under the null hypothesis of the first paper. Point estimates equal nricens' nribin. The formula holds the
    models for given; where they were fitted to the same patients, refit them in a bootstrap instead.

    References
    ----------
    .. [1] Pencina, D'Agostino, D'Agostino, Vasan, Stat Med 2008;27:157-172; 2011;30:11-21.
    """
    quantile = normal_quantile(confidence)
    outcome = _booleans(has_event, name="has_event")
    moved = _moves(moves, n=outcome.size)
    up_event, down_event, event_variance, n_event = _moved_shares(moved[outcome])
    up_none, down_none, none_variance, n_none = _moved_shares(moved[~outcome])
    event = _wald(up_event - down_event, event_variance, n=n_event, quantile=quantile, of="events")
    nonevent = _wald(down_none - up_none, none_variance, n=n_none, quantile=quantile, of="nonevents")
    shares = tuple(None if math.isnan(share) else share for share in (up_event, down_event, down_none, up_none))
    return BinaryReclassification(_sum_of(event, nonevent, quantile=quantile), event, nonevent, *shares)


def binary_integrated_discrimination(
    has_event: ArrayLike, base_risk: ArrayLike, extended_risk: ArrayLike, *, confidence: float = CONFIDENCE
) -> WaldEstimate:
    """Return the integrated discrimination improvement of a known outcome, with its large-sample interval.

    It is the mean rise of risk among events plus the mean fall among nonevents; its variance is the sum of the two
    variances of a mean (sample variances, n - 1).

    Parameters
    ----------
    has_event : array_like of bool, shape (n,)
        The outcome; everyone's is known.
    base_risk, extended_risk : array_like of float, shape (n,)
        Risk by each model, 0 to 1.
    confidence : float
        Coverage of the interval, between 0 and 1.

    Returns
    -------
    WaldEstimate
        Higher = the extended model is better; no estimate with fewer than two events or nonevents.

    Raises
    ------
    InputError
        Malformed outcome or risks.

    References
    ----------
    .. [1] Pencina, D'Agostino, D'Agostino, Vasan, Stat Med 2008;27:157-172.
    """
    quantile = normal_quantile(confidence)
    outcome = _booleans(has_event, name="has_event")
    base, extended = _risk_pair(base_risk, extended_risk)
    if base.size != outcome.size:
        raise InputError(f"there are {base.size} risks for {outcome.size} patients")
    change = extended - base
    event, nonevent = change[outcome], change[~outcome]
    if min(event.size, nonevent.size) < 2:
        reason = f"needs two events and two nonevents, got {event.size} and {nonevent.size}"
        return WaldEstimate(None, None, None, outcome.size, reason=reason)
    variance = float(event.var(ddof=1) / event.size + nonevent.var(ddof=1) / nonevent.size)
    return _wald(float(event.mean() - nonevent.mean()), variance, n=outcome.size, quantile=quantile, of="patients")


def integrated_discrimination(
    time: ArrayLike, is_event: ArrayLike, base_risk: ArrayLike, extended_risk: ArrayLike, *, horizon: float
) -> IntegratedDiscrimination:
    """Return the integrated discrimination improvement at a horizon, for censored follow-up.

    Means of the change of risk: among events by the horizon weighted by 1 / G(X), with G the Kaplan-Meier curve of the
    censoring, and plain among the patients followed beyond it.

    Parameters
    ----------
    time, is_event : array_like, shape (n,)
        Follow-up, as for `net_reclassification`.
    base_risk, extended_risk : array_like of float, shape (n,)
        Risk at the horizon by each model, 0 to 1.
    horizon : float
        In the unit of ``time``.

    Returns
    -------
    IntegratedDiscrimination
        Without estimates, and with a reason, when no event falls before the horizon or nobody is followed beyond it.

    Raises
    ------
    InputError
        Malformed follow-up, risks or horizon.

    Notes
    -----
    The definition of Uno et al., exact; survIDINRI's own figure (`uno_improvement`, M1) is this one read off a grid,
    with a slightly different curve for the censoring. A mean has no Kaplan-Meier form like that of the shares.

    References
    ----------
    .. [1] Uno, Tian, Cai, Kohane, Wei, Stat Med 2013;32:2430-2442 (online 2012).
    """
    times, events = _followup(time, is_event)
    base, extended = _risk_pair(base_risk, extended_risk)
    if base.size != times.size:
        raise InputError(f"there are {base.size} risks for {times.size} patients")
    cases, controls = _cases_and_controls(times, events, horizon=horizon)
    counts = (int(cases.sum()), int(controls.sum()))
    reason = _why_no_horizon(cases, controls, horizon=horizon)
    if reason is not None:
        return IntegratedDiscrimination(None, None, None, *counts, reason)
    change = extended - base
    event, nonevent = float(_case_weights(times, events, cases) @ change), float(change[controls].mean())
    return IntegratedDiscrimination(event - nonevent, event, nonevent, *counts)


def uno_improvement(
    time: ArrayLike, is_event: ArrayLike, base_risk: ArrayLike, extended_risk: ArrayLike, *, horizon: float
) -> UnoImprovement:
    """Return M1, M2 and M3 as the R package survIDINRI defines them.

    Cases have their event *before* the horizon, controls are followed *to* it or longer. Cases weigh 1 / G(X), with the
    Fleming-Harrington curve G of the censoring. Of the weighted share of patients whose risk changes by more than s, on
    a grid of s, M1 is the area, M2 the value at s = 0, and M3 the middle of the grid points around one half.

    Parameters
    ----------
    time, is_event : array_like, shape (n,)
        Follow-up, as for `net_reclassification`.
    base_risk, extended_risk : array_like of float, shape (n,)
        Risk at the horizon by each model, 0 to 1.
    horizon : float
        In the unit of ``time``.

    Returns
    -------
    UnoImprovement
        Higher differences = the extended model is better. Without estimates, and with a reason, when there are no cases
        or no controls.

    Raises
    ------
    InputError
        Malformed follow-up, risks or horizon.

    Notes
    -----
    M2 is half of NRI(>0). For comparison with published figures of that package; `net_reclassification` and
    `integrated_discrimination` are exact and are what we report.

    References
    ----------
    .. [1] Uno, Tian, Cai, Kohane, Wei, Stat Med 2013;32:2430-2442 (online 2012); R package survIDINRI 1.1.
    """
    times, events = _followup(time, is_event)
    base, extended = _risk_pair(base_risk, extended_risk)
    if base.size != times.size:
        raise InputError(f"there are {base.size} risks for {times.size} patients")
    _check_horizon(horizon)
    cases, controls = events & (times < horizon), times >= horizon
    counts = (int(cases.sum()), int(controls.sum()))
    reason = _why_no_horizon(cases, controls, horizon=horizon)
    if reason is not None:
        return UnoImprovement(None, None, None, *counts, reason)
    change = extended - base
    weights = _fleming_harrington_weights(times, events, cases)
    event = _grid_measures(change[cases], weights)
    nonevent = _grid_measures(change[controls], np.ones(counts[1]))
    m1, m2, m3 = (Contrast(a - b, a, b) for a, b in zip(event, nonevent, strict=True))
    return UnoImprovement(m1, m2, m3, *counts)


def _grid_measures(change: Float64Array, weights: Float64Array) -> tuple[float, float, float]:
    """Return mean, share above zero and median of a weighted change, as read off survIDINRI's grid."""
    grid = np.unique(np.concatenate([[-1.0, 0.0, 1.0], np.linspace(-1.0, 1.0, UNO_GRID_POINTS)]))
    order = np.argsort(change)
    below = np.concatenate([[0.0], np.cumsum(weights[order])])
    above = (below[-1] - below[np.searchsorted(change[order], grid, side="right")]) / below[-1]
    area = float(np.diff(grid) @ (above[1:] + above[:-1]) / 2.0 - 1.0)
    last_above = grid[np.flatnonzero(above == above[above >= 0.5].min())[-1]]
    first_below = grid[np.flatnonzero(above == above[above <= 0.5].max())[0]]
    return area, float(above[np.searchsorted(grid, 0.0)]), float(last_above + first_below) / 2.0


def _shares_by_survival(
    times: Float64Array, events: BoolArray, group: BoolArray, *, horizon: float, overall: float
) -> tuple[float, float]:
    """Return P(group | event) and P(group | nonevent); an empty group has a share of zero in both."""
    if not group.any():
        return 0.0, 0.0
    survival, share = _survival_at(times[group], events[group], horizon), float(group.mean())
    return (1.0 - survival) * share / (1.0 - overall), survival * share / overall


def _survival_at(times: Float64Array, events: BoolArray, horizon: float) -> float:
    """Return the Kaplan-Meier survival at the horizon; an event at it has happened."""
    at, hazard = _hazard_steps(times, events)
    return float(np.prod(1.0 - hazard[at <= horizon]))


def _hazard_steps(times: Float64Array, leaving: BoolArray) -> tuple[Float64Array, Float64Array]:
    """Return at which times patients leave, ascending, and as what share of those still followed (ties included)."""
    at, leaving_at = np.unique(times[leaving], return_counts=True)
    followed = times.size - np.searchsorted(np.sort(times), at, side="left")
    return at, leaving_at / followed


def _case_weights(times: Float64Array, events: BoolArray, cases: BoolArray) -> Float64Array:
    """Return the weight of each patient among the cases, summing to 1; zero for all others.

    A case is itself still followed at its time, so the share that is censored there is below 1 and no weight is
    infinite.
    """
    at, hazard = _hazard_steps(times, ~events)
    uncensored = np.concatenate([[1.0], np.cumprod(1.0 - hazard)])
    weights = np.zeros(times.size)
    weights[cases] = 1.0 / uncensored[np.searchsorted(at, times[cases], side="right")]
    return np.asarray(weights / weights.sum())


def _fleming_harrington_weights(times: Float64Array, events: BoolArray, cases: BoolArray) -> Float64Array:
    """Return 1 / exp(-cumulative hazard of the censoring) of each case, shape (cases,)."""
    at, hazard = _hazard_steps(times, ~events)
    cumulative = np.concatenate([[0.0], np.cumsum(hazard)])
    return np.asarray(np.exp(cumulative[np.searchsorted(at, times[cases], side="right")]))


def _cases_and_controls(times: Float64Array, events: BoolArray, *, horizon: float) -> tuple[BoolArray, BoolArray]:
    _check_horizon(horizon)
    return events & (times <= horizon), times > horizon


def _check_horizon(horizon: float) -> None:
    if not (math.isfinite(horizon) and horizon > 0.0):
        raise InputError(f"the horizon is {horizon}, expected a time above 0")


def _why_no_horizon(cases: BoolArray, controls: BoolArray, *, horizon: float) -> str | None:
    if not cases.any():
        return f"no event was observed by the horizon of {horizon:g}"
    if not controls.any():
        return f"nobody was followed beyond the horizon of {horizon:g}"
    return None


def _why_no_curve(
    times: Float64Array, events: BoolArray, up: BoolArray, down: BoolArray, *, horizon: float
) -> str | None:
    """Tell why the survival of those who moved is not known at the horizon, if it is not."""
    for name, group in (("up", up), ("down", down)):
        if group.any() and times[group].max() < horizon and not _dies_out(times[group], events[group]):
            return f"nobody who moved {name} was followed to the horizon of {horizon:g}"
    return None


def _dies_out(times: Float64Array, events: BoolArray) -> bool:
    """Tell whether the last patients followed all have the event, so that the curve ends at zero."""
    return bool(events[times == times.max()].all())


def _moved_shares(moved: MovesArray) -> tuple[float, float, float, int]:
    """Return the shares moved up and down, the variance of their difference, and n; NaN without patients."""
    n = int(moved.size)
    if n == 0:
        return math.nan, math.nan, math.nan, 0
    up, down = float((moved > 0).mean()), float((moved < 0).mean())
    return up, down, (up + down - (up - down) ** 2) / n, n


def _wald(estimate: float, variance: float, *, n: int, quantile: float, of: str) -> WaldEstimate:
    if n == 0:
        return WaldEstimate(None, None, None, 0, reason=f"there are no {of}")
    error = math.sqrt(max(variance, 0.0))  # rounding can push a variance of zero below it
    z = estimate / error if error > 0.0 else None
    p = None if z is None else float(2.0 * ndtr(-abs(z)))
    low, high = estimate - quantile * error, estimate + quantile * error
    return WaldEstimate(estimate, low, high, n, standard_error=error, z=z, p=p)


def _sum_of(event: WaldEstimate, nonevent: WaldEstimate, *, quantile: float) -> WaldEstimate:
    """Return the sum of two independent estimates."""
    n = event.n + nonevent.n
    errors = [part.standard_error for part in (event, nonevent) if part.standard_error is not None]
    if event.estimate is None or nonevent.estimate is None:
        return WaldEstimate(None, None, None, n, reason=event.reason or nonevent.reason)
    variance = sum(error**2 for error in errors)
    return _wald(event.estimate + nonevent.estimate, variance, n=n, quantile=quantile, of="patients")


def _followup(time: ArrayLike, is_event: ArrayLike) -> tuple[Float64Array, BoolArray]:
    times, events = _numbers(time, name="time"), _booleans(is_event, name="is_event")
    if times.size != events.size:
        raise InputError(f"there are {times.size} times and {events.size} events; they must be of the same patients")
    if (times < 0.0).any():
        raise InputError(f"time holds {times.min():g}, expected follow-up of at least 0")
    return times, events


def _moves(moves: ArrayLike, *, n: int) -> MovesArray:
    moved = np.asarray(moves)
    if moved.shape != (n,):
        raise InputError(f"moves have shape {moved.shape}, expected ({n},), one a patient")
    if not np.isin(moved, (-1, 0, 1)).all():
        raise InputError("moves must be -1, 0 or +1")
    return moved.astype(np.int8)


def _risk_pair(base_risk: ArrayLike, extended_risk: ArrayLike) -> tuple[Float64Array, Float64Array]:
    base, extended = _numbers(base_risk, name="base_risk"), _numbers(extended_risk, name="extended_risk")
    if base.size != extended.size:
        raise InputError(f"there are {base.size} base and {extended.size} extended risks")
    for name, risks in (("base_risk", base), ("extended_risk", extended)):
        outside = risks[(risks < 0.0) | (risks > 1.0)]
        if outside.size:
            raise InputError(f"{name} holds {outside[0]:g}, expected 0 to 1")
    return base, extended


def _cut_offs(cut_offs: ArrayLike) -> Float64Array:
    cuts = _numbers(cut_offs, name="cut_offs")
    if cuts.size == 0 or (np.diff(cuts) <= 0.0).any() or cuts[0] < 0.0 or cuts[-1] > 1.0:
        raise InputError(f"cut_offs are {cuts.tolist()}, expected ascending numbers within 0 to 1")
    return cuts


def _numbers(values: ArrayLike, *, name: str) -> Float64Array:
    try:
        numbers = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"{name} must hold numbers") from error
    if numbers.ndim != 1:
        raise InputError(f"{name} must have one axis, got shape {numbers.shape}")
    if not np.isfinite(numbers).all():
        raise InputError(f"{name} holds {int((~np.isfinite(numbers)).sum())} values that are missing or not finite")
    return numbers


def _booleans(values: ArrayLike, *, name: str) -> BoolArray:
    numbers = _numbers(values, name=name)
    if not np.isin(numbers, (0.0, 1.0)).all():
        raise InputError(f"{name} must hold 0 and 1, or true and false")
    return numbers.astype(np.bool_)
