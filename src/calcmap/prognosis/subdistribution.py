"""The model of Fine and Gray: what a covariate does to the incidence of the event where other events compete with it.

A cause-specific hazard ratio (`calcmap.prognosis.cox`) says how fast the event comes to those who still can have it.
The ratio here says how the incidence moves, whatever it is that moves it. Somebody with a competing event stays in the
risk sets, with a weight that falls as censoring would have taken him out. Neither lifelines nor statsmodels fits it;
its numbers are those of R's ``cmprsk``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calcmap.core.errors import InputError, NotEstimableError
from calcmap.core.volume import BoolArray, Float64Array
from calcmap.prognosis.cox import CoxFit, Variance, sum_over_clusters
from calcmap.prognosis.followup import FollowUp
from calcmap.prognosis.newton import centre_and_scale, infinite_terms, inverse_information, maximise, refuse_dependent
from calcmap.prognosis.partial_likelihood import Ties

Places = NDArray[np.intp]


def fit_subdistribution(table: FollowUp, names: Sequence[str] | None = None) -> CoxFit:
    """Return the model of Fine and Gray: log ratios of the subdistribution hazard of the event.

    Parameters
    ----------
    table : FollowUp
        Follow-up with its competing events; without any it is Cox's model with Breslow's ties.
    names : sequence of str, optional
        Covariates to use; all of the table by default.

    Returns
    -------
    CoxFit
        Of the variance `Variance.SUBDISTRIBUTION`, over clusters where the table has them. Its likelihood is none in
        the strict sense: differences of it are not chi-squared.

    Raises
    ------
    NotEstimableError
        As `calcmap.prognosis.cox.fit_cox`.
    InputError
        An unknown covariate or none; strata or case weights, for which the model is not defined here.

    Notes
    -----
    Weights follow from one Kaplan-Meier curve of censoring for all; censoring that differs between groups would need
    one each. Events come before censoring at the same time.

    References
    ----------
    .. [1] Fine, Gray, J Am Stat Assoc 1999;94:496-509.
    .. [2] Zhou, Fine, Latouche, Labopin, Biostatistics 2012;13:371-383 (clusters).
    """
    chosen = table.names if names is None else tuple(names)
    if table.stratum is not None or table.weight is not None:
        raise InputError("the model of Fine and Gray is not defined for strata or case weights")
    if not table.is_event.any():
        raise NotEstimableError(f"nobody of {len(table)} has the event, so no hazard ratio can be estimated")
    columns = table.columns(chosen)
    means, scales = centre_and_scale(columns, chosen)
    sets = _weighted_sets(table)
    x = ((columns - means) / scales)[sets.order]
    start = _stand(sets, x, np.zeros(len(chosen)))
    curvature = _information(sets, start)
    refuse_dependent(curvature, chosen)
    found = maximise(
        start,
        curvature,
        evaluate=lambda beta: _stand(sets, x, beta),
        information=lambda at: _information(sets, at),
    )
    inverse = inverse_information(found.information, chosen, n_events=table.n_events)
    influence = _influence(sets, found.at) @ inverse
    if table.cluster is not None:
        influence = sum_over_clusters(influence, table.cluster[sets.order])
    unscale = np.outer(1.0 / scales, 1.0 / scales)
    return CoxFit(
        names=chosen,
        log_hr=found.beta / scales,
        covariance=(influence.T @ influence) * unscale,
        model_covariance=inverse * unscale,
        variance=Variance.SUBDISTRIBUTION,
        ties=Ties.BRESLOW,
        means=means,
        log_likelihood_null=start.log_likelihood,
        log_likelihood=found.at.log_likelihood,
        score_chi2=float(start.score @ np.linalg.solve(curvature, start.score)),
        infinite=infinite_terms(found, inverse, chosen),
        n=len(table),
        n_events=table.n_events,
        iterations=found.iterations,
    )


@dataclass(frozen=True, eq=False)
class _WeightedSets:
    """Rows in ascending order of time, and the K distinct event times that they meet."""

    order: Places
    """Row of the table that stands at each place, shape (n,)."""
    is_event: BoolArray
    is_censored: BoolArray
    staying: Float64Array
    """Of a row with a competing event 1 / the probability to be still followed just before it; else 0. Shape (n,)."""
    first: Places
    """First place that is at risk at each event time, shape (K,)."""
    n_events: Float64Array
    """At each event time, shape (K,)."""
    followed: Float64Array
    """Probability to be still followed just before each event time, shape (K,)."""
    n_met: Places
    """How many event times are not after each row's own time, shape (n,)."""
    n_before: Places
    """How many event times are before each row's own time, shape (n,)."""
    block: tuple[Places, Places]
    """First place of each row's time, and the place behind its last one, shape (n,) each."""

    def at_risk(self, values: Float64Array) -> Float64Array:
        """Return the weighted sum of rows' values over the risk set of each event time, shape (K, ...)."""
        present = np.cumsum(values[::-1], axis=0)[::-1]
        gone = _led_by_zero(np.cumsum(_times(self.staying, values), axis=0))
        return np.asarray(present[self.first] + _times(self.followed, gone[self.first]))

    def lived_through(self, values: Float64Array) -> Float64Array:
        """Return for each row the weighted sum of event times' values over the risk sets that hold it, (n, ...)."""
        met = _led_by_zero(np.cumsum(values, axis=0))[self.n_met]
        return np.asarray(met + _times(self.staying, self.later(values, after=self.n_met)))

    def later(self, values: Float64Array, *, after: Places) -> Float64Array:
        """Return the sum of values times the probability to be still followed, after so many event times, (n, ...)."""
        falling = _times(self.followed, values)
        return np.asarray(_led_by_zero(np.cumsum(falling[::-1], axis=0))[::-1][after])


@dataclass(frozen=True, eq=False)
class _Standing:
    """What one set of coefficients makes of the risk sets."""

    x: Float64Array
    """Covariates, rows in the order of the sets, shape (n, p)."""
    risk: Float64Array
    """exp(linear predictor), shape (n,)."""
    hazard: Float64Array
    """Jump of the baseline subdistribution hazard at each event time, shape (K,)."""
    mean: Float64Array
    """Risk-weighted mean of the covariates at each event time, shape (K, p)."""
    log_likelihood: float
    score: Float64Array


def _weighted_sets(table: FollowUp) -> _WeightedSets:
    order = np.argsort(table.time, kind="stable")
    time, is_event = table.time[order], table.is_event[order]
    competes = table.is_competing[order]
    is_censored = ~is_event & ~competes
    first, behind = (np.searchsorted(time, time, side=side) for side in ("left", "right"))
    leaving, n_leaving = np.unique(time[is_censored], return_counts=True)
    at_risk = len(time) - np.searchsorted(time, leaving, side="left")
    curve = np.append(1.0, np.cumprod(1.0 - n_leaving / at_risk))
    event_time, n_events = np.unique(time[is_event], return_counts=True)
    # just before a time: what was left after the times of censoring before it
    followed = curve[np.searchsorted(leaving, time, side="left")]
    return _WeightedSets(
        order=order,
        is_event=is_event,
        is_censored=is_censored,
        staying=np.where(competes, 1.0 / followed, 0.0),
        first=np.searchsorted(time, event_time, side="left"),
        n_events=n_events.astype(np.float64),
        followed=curve[np.searchsorted(leaving, event_time, side="left")],
        n_met=np.searchsorted(event_time, time, side="right"),
        n_before=np.searchsorted(event_time, time, side="left"),
        block=(first, behind),
    )


def _stand(sets: _WeightedSets, x: Float64Array, beta: Float64Array) -> _Standing:
    predictor = x @ beta
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        risk = np.exp(predictor)
        denominator = sets.at_risk(risk)
        mean = sets.at_risk(_times(risk, x)) / denominator[:, None]
        likelihood = predictor[sets.is_event].sum() - sets.n_events @ np.log(denominator)
        score = x[sets.is_event].sum(axis=0) - sets.n_events @ mean
    return _Standing(x, risk, sets.n_events / denominator, mean, float(likelihood), score)


def _information(sets: _WeightedSets, at: _Standing) -> Float64Array:
    """Return the negative second derivative: one product of rows, by what each lived through, less one of means."""
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        lived = at.risk * sets.lived_through(at.hazard)
        second = at.x.T @ _times(lived, at.x) - at.mean.T @ _times(sets.n_events, at.mean)
    return np.asarray(0.5 * (second + second.T))


def _influence(sets: _WeightedSets, at: _Standing) -> Float64Array:
    """Return each row's part of the score, shape (n, p): its own, and what its censoring does to all weights."""
    own = -_times(at.risk, _times(sets.lived_through(at.hazard), at.x))
    own += _times(at.risk, sets.lived_through(_times(at.hazard, at.mean)))
    own[sets.is_event] += at.x[sets.is_event] - at.mean[sets.n_met[sets.is_event] - 1]
    return own + _censoring_influence(sets, at)


def _censoring_influence(sets: _WeightedSets, at: _Standing) -> Float64Array:
    """Return what estimating the weights adds to each row's part of the score, shape (n, p).

    Censoring at a time lowers the weights, from that time on, of all who had a competing event before it.
    """
    first, behind = sets.block
    stayed = _led_by_zero(np.cumsum(at.risk * sets.staying))[first]
    stayed_x = _led_by_zero(np.cumsum(_times(at.risk * sets.staying, at.x), axis=0))[first]
    moved = _times(sets.later(at.hazard, after=sets.n_before), stayed_x)
    moved -= _times(stayed, sets.later(_times(at.hazard, at.mean), after=sets.n_before))
    n_at_risk = (len(first) - first).astype(np.float64)
    own = _times(np.where(sets.is_censored, 1.0 / n_at_risk, 0.0), moved)
    compensator = _led_by_zero(np.cumsum(_times(1.0 / n_at_risk, own), axis=0))[behind]
    return np.asarray(own - compensator)


def _times(weights: Float64Array, values: Float64Array) -> Float64Array:
    """Return values, each row times its weight."""
    return np.asarray(weights.reshape((-1,) + (1,) * (values.ndim - 1)) * values)


def _led_by_zero(values: Float64Array) -> Float64Array:
    return np.concatenate([np.zeros_like(values[:1]), values])
