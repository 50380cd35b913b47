"""Do hazards stay proportional? Two tests that share a name in print and not their numbers.

`score_test` is what R's ``cox.zph`` does since survival 3.0; `schoenfeld_test` is the older one by scaled Schoenfeld
residuals, of earlier versions of R and of lifelines. The older takes the variance of the covariates to be the same at
all times. On Rossi's recidivists the two give p values of 0.015 and 0.0008 for age: name the one that is printed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from scipy.stats import rankdata

from calcmap.core.errors import InputError, NotEstimableError
from calcmap.core.volume import Float64Array
from calcmap.prognosis.cox import ChiSquare, CoxFit, chi_square
from calcmap.prognosis.curves import kaplan_meier
from calcmap.prognosis.followup import FollowUp
from calcmap.prognosis.partial_likelihood import Moments, RiskSets, information, moments, risk_sets


class TimeTransform(StrEnum):
    """The function of time with which a log hazard ratio is suspected to change."""

    KM = "km"
    """1 - Kaplan-Meier just before the time; default of R, robust to late events."""
    RANK = "rank"
    """Rank of the event's time among all times, of events and censoring, as in R; ties have their mean rank."""
    IDENTITY = "identity"
    LOG = "log"
    KM_AFTER = "km-after"
    """1 - Kaplan-Meier just after the time: what lifelines calls ``km``."""
    EVENT_ORDER = "event-order"
    """1, 2, 3, ... for the events in order of time, ties in the table's order: what lifelines calls ``rank``."""


class ProportionalityTest(StrEnum):
    """Which of the two tests a result is from."""

    SCORE = "score test (cox.zph of R survival >= 3.0)"
    SCHOENFELD = "scaled Schoenfeld residuals (Grambsch, Therneau 1994; R survival < 3.0, lifelines)"


@dataclass(frozen=True)
class Proportionality:
    """Test of proportional hazards; a small p value speaks against them."""

    test: ProportionalityTest
    transform: TimeTransform
    terms: dict[str, ChiSquare]
    """By term, in the model's order."""
    overall: ChiSquare
    """Of all terms at once."""


def score_test(
    fit: CoxFit,
    table: FollowUp,
    *,
    transform: TimeTransform = TimeTransform.KM,
    terms: Mapping[str, Sequence[str]] | None = None,
) -> Proportionality:
    """Return the score test of proportional hazards: would covariate times g(time) improve the model?

    Parameters
    ----------
    fit : CoxFit
        A model.
    table : FollowUp
        The rows it was fitted to.
    transform : TimeTransform
        The function g.
    terms : mapping of str to sequence of str, optional
        Covariates that are tested together, as the 0/1 columns of one category; each alone by default.

    Returns
    -------
    Proportionality
        A term has as many degrees of freedom as covariates.

    Raises
    ------
    NotEstimableError
        All events at one time, or an infinite hazard ratio.
    InputError
        A term names a covariate that is not in the model; time 0 with the logarithm.

    References
    ----------
    .. [1] Therneau, cox.zph of the R package survival, version 3.0, 2019.
    .. [2] Grambsch, Therneau, Biometrika 1994;81:515-526.
    """
    _refuse_infinite(fit)
    sets, at = _at_maximum(fit, table)
    g = _centred_times(sets, table, transform=transform)
    p = len(fit.names)
    first, mixed, second = (information(sets, at, death_factor=g**k) for k in range(3))
    whole = np.block([[first, mixed], [mixed, second]])
    score = np.append(np.zeros(p), _score_of_times(sets, at, g))
    groups = terms or {name: (name,) for name in fit.names}
    found = {}
    for name, members in groups.items():
        absent = [member for member in members if member not in fit.names]
        if absent:
            raise InputError(f"the model has no covariate {absent[0]!r}; there are: {', '.join(fit.names)}")
        kept = [*range(p), *(p + fit.names.index(member) for member in members)]
        found[name] = chi_square(_form(score[kept], whole[np.ix_(kept, kept)]), len(members))
    overall = chi_square(_form(score, whole), p)
    return Proportionality(ProportionalityTest.SCORE, transform, found, overall)


def schoenfeld_test(fit: CoxFit, table: FollowUp, *, transform: TimeTransform = TimeTransform.KM) -> Proportionality:
    """Return the older test: do scaled Schoenfeld residuals run with g(time)?

    Parameters
    ----------
    fit : CoxFit
        A model.
    table : FollowUp
        The rows it was fitted to.
    transform : TimeTransform
        The function g.

    Returns
    -------
    Proportionality
        One degree of freedom a covariate.

    Raises
    ------
    NotEstimableError
        All events at one time, or an infinite hazard ratio.
    InputError
        Time 0 with the logarithm.

    References
    ----------
    .. [1] Grambsch, Therneau, Biometrika 1994;81:515-526.
    """
    _refuse_infinite(fit)
    sets, at = _at_maximum(fit, table)
    g = _centred_times(sets, table, transform=transform)
    moved = _score_of_times(sets, at, g)
    n_events, spread = len(g), float(g @ g)
    scaled = fit.model_covariance @ moved * n_events
    one = scaled**2 / (n_events * np.diag(fit.model_covariance) * spread)
    overall = chi_square(float(moved @ fit.model_covariance @ moved) * n_events / spread, len(fit.names))
    terms = {name: chi_square(float(value), 1) for name, value in zip(fit.names, one, strict=True)}
    return Proportionality(ProportionalityTest.SCHOENFELD, transform, terms, overall)


def _refuse_infinite(fit: CoxFit) -> None:
    if fit.infinite:
        raise NotEstimableError(f"the hazard ratio of {fit.infinite[0]!r} is infinite, so it cannot change with time")


def _at_maximum(fit: CoxFit, table: FollowUp) -> tuple[RiskSets, Moments]:
    sets = risk_sets(table, ties=fit.ties)
    x = (table.columns(fit.names) - fit.means)[sets.order]
    return sets, moments(sets, x, linear_predictor=x @ fit.log_hr)


def _score_of_times(sets: RiskSets, at: Moments, g: Float64Array) -> Float64Array:
    """Return the sum of Schoenfeld residuals times g; in a tie all deaths share the mean of the group's means."""
    size = np.diff(np.append(sets.first_death, len(sets.death)))
    mean = (sets.per_group(at.mean) / size[:, None])[sets.group]
    return np.asarray((g * sets.weight[sets.death]) @ (at.x[sets.death] - mean))


def _centred_times(sets: RiskSets, table: FollowUp, *, transform: TimeTransform) -> Float64Array:
    """Return g at each death less its mean over the deaths, shape (E,)."""
    times: Float64Array = sets.group_time[sets.group]
    g: Float64Array
    match transform:
        case TimeTransform.KM:
            curve = kaplan_meier(table)
            g = 1.0 - np.append(1.0, curve.probability)[np.searchsorted(curve.time, times)]
        case TimeTransform.KM_AFTER:
            curve = kaplan_meier(table)
            g = np.asarray(1.0 - curve.probability[np.searchsorted(curve.time, times)], dtype=np.float64)
        case TimeTransform.EVENT_ORDER:
            g = np.argsort(np.lexsort((sets.order[sets.death], times))).astype(np.float64)
        case TimeTransform.RANK:
            g = np.asarray(rankdata(table.time)[sets.order][sets.death], dtype=np.float64)
        case TimeTransform.IDENTITY:
            g = times
        case TimeTransform.LOG:
            if (times <= 0).any():
                raise InputError("the logarithm of time is asked for, but an event is at time 0")
            g = np.asarray(np.log(times), dtype=np.float64)
    if np.ptp(times) == 0:
        raise NotEstimableError("all events are at one time, so no change with time can be seen")
    return np.asarray(g - g.mean(), dtype=np.float64)


def _form(score: Float64Array, matrix: Float64Array) -> float:
    try:
        return float(score @ np.linalg.solve(matrix, score))
    except np.linalg.LinAlgError as error:
        raise NotEstimableError("proportionality cannot be tested: too few events for so many covariates") from error
