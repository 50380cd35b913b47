"""Cox regression: hazard ratios, their tests, baseline hazards and predicted risks.

Why not lifelines, which fits the same model: a bootstrap refits two models a thousand times, which takes seconds here
and many minutes there, and the score test of proportional hazards (`calcmap.prognosis.proportionality`), strata with
robust variances and the warnings below need the inside of the fit. Results are those of R's ``survival``: the tests
hold its printed digits, and ``scripts/check_against_r.py`` lays both side by side.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from scipy.special import chdtrc

from calcmap.core.errors import InputError, NotEstimableError
from calcmap.core.volume import Float64Array
from calcmap.prognosis.followup import Codes, FollowUp
from calcmap.prognosis.newton import centre_and_scale, infinite_terms, inverse_information, maximise, refuse_dependent
from calcmap.prognosis.partial_likelihood import (
    Moments,
    RiskSets,
    Ties,
    hazard_increments,
    information,
    moments,
    risk_sets,
    score_residuals,
)
from calcmap.statistics.estimates import CONFIDENCE, Estimate, normal_quantile

LARGEST_LOG = 700.0
"""Logarithm of the largest hazard ratio that is written down (float64 ends at 709)."""


class Variance(StrEnum):
    """Where the standard errors of a fit come from."""

    MODEL = "model"
    """Inverse of the information."""
    ROBUST = "robust"
    """Sandwich over rows (Lin, Wei 1989)."""
    CLUSTERED = "clustered"
    """Sandwich over clusters: rows of one cluster need not be independent."""
    SUBDISTRIBUTION = "subdistribution"
    """Sandwich that knows that the weights were estimated; see `calcmap.prognosis.subdistribution`."""


class Between(StrEnum):
    """What a cumulative hazard is between two observed times."""

    STEP = "step"
    """The value at the earlier one: the estimator itself."""
    LINEAR = "linear"
    """On the straight line between them, from 0 at time 0; as ``nricens`` predicts risks."""


@dataclass(frozen=True)
class ChiSquare:
    """A chi-squared test."""

    statistic: float
    df: int
    p: float


@dataclass(frozen=True, eq=False)
class CoxFit:
    """A fitted model; arrays follow `names`."""

    names: tuple[str, ...]
    log_hr: Float64Array
    """Log hazard ratio per unit of each covariate, shape (p,). A term in `infinite` holds a large number, at which the
    likelihood has stopped to change: fit for predictions, not for reports."""
    covariance: Float64Array
    """Of `log_hr`, of the kind named in `variance`, shape (p, p)."""
    model_covariance: Float64Array
    """Inverse of the information, shape (p, p)."""
    variance: Variance
    ties: Ties
    means: Float64Array
    """Of the covariates, shape (p,); predictions are relative to them."""
    log_likelihood_null: float
    log_likelihood: float
    score_chi2: float
    """Rao's score statistic at zero; with one 0/1 covariate and no ties, the log-rank statistic."""
    infinite: tuple[str, ...]
    """Terms without a finite estimate: no event in (or out of) a group, or complete separation."""
    n: int
    n_events: int
    iterations: int

    @property
    def standard_error(self) -> Float64Array:
        """Standard errors of `log_hr`, shape (p,)."""
        return np.sqrt(np.diag(self.covariance))

    @property
    def aic(self) -> float:
        """Akaike's criterion of the partial likelihood; lower = better."""
        return 2.0 * len(self.names) - 2.0 * self.log_likelihood

    @property
    def likelihood_ratio(self) -> ChiSquare:
        """Test of all terms at once, against a model without any."""
        return chi_square(2.0 * (self.log_likelihood - self.log_likelihood_null), len(self.names))

    @property
    def score(self) -> ChiSquare:
        """Rao's test of all terms at once."""
        return chi_square(self.score_chi2, len(self.names))

    @property
    def wald(self) -> ChiSquare:
        """Wald's test of all terms at once, with the fit's variance; meaningless when a term is infinite."""
        return chi_square(float(self.log_hr @ np.linalg.solve(self.covariance, self.log_hr)), len(self.names))


@dataclass(frozen=True)
class HazardRatio(Estimate):
    """A hazard ratio per unit of a covariate, with its Wald interval and test; ``None`` when ``reason`` is set."""

    name: str = ""
    n_events: int = 0
    log_hr: float | None = None
    standard_error: float | None = None
    """Of the log hazard ratio."""
    z: float | None = None
    p: float | None = None


@dataclass(frozen=True, eq=False)
class BaselineHazard:
    """Cumulative hazard of somebody with the mean of every covariate, one step function a stratum."""

    time: tuple[Float64Array, ...]
    """All observed times of each stratum, ascending, each shape (times,)."""
    cumulative: tuple[Float64Array, ...]
    """Value from that time on, each shape (times,)."""

    def at(self, time: float, *, between: Between = Between.STEP) -> Float64Array:
        """Return the cumulative hazard of every stratum at one time, shape (strata,); NaN for one without rows.

        Raises
        ------
        InputError
            A stratum's follow-up ends before this time, or the time is negative.
        """
        last = min(float(times[-1]) for times in self.time if len(times))
        if not 0.0 <= time <= last:
            raise InputError(f"the hazard is asked for at time {time:g}, follow-up holds 0 to {last:g}")
        values = [_hazard_at(time, t, h, between=between) for t, h in zip(self.time, self.cumulative, strict=True)]
        return np.array(values)


def sum_over_clusters(influence: Float64Array, cluster: Codes) -> Float64Array:
    """Return the sum of rows' influences (n, p) in each cluster (n,), shape (clusters, p)."""
    return np.stack([np.bincount(cluster, weights=column) for column in influence.T], axis=1)


def chi_square(statistic: float, df: int) -> ChiSquare:
    """Return a chi-squared test with its p value; rounding below zero counts as zero."""
    statistic = max(statistic, 0.0)
    return ChiSquare(statistic, df, float(chdtrc(df, statistic)))


def fit_cox(
    table: FollowUp,
    names: Sequence[str] | None = None,
    *,
    ties: Ties = Ties.EFRON,
    variance: Variance = Variance.MODEL,
) -> CoxFit:
    """Return the Cox model of a table: log hazard ratios that maximise the partial likelihood.

    Parameters
    ----------
    table : FollowUp
        Follow-up; a stratum has its own baseline hazard, a weight counts a row that many times, a competing event ends
        follow-up like censoring (a cause-specific hazard).
    names : sequence of str, optional
        Covariates to use; all of the table by default.
    ties : Ties
        How events at one time share their risk set.
    variance : Variance
        Kind of the standard errors.

    Returns
    -------
    CoxFit
        A term whose estimate is infinite is named in its ``infinite``; all others, and the likelihood, are sound.

    Raises
    ------
    NotEstimableError
        Nobody has the event; a covariate has one value in all rows, or follows from the others; or no convergence.
    InputError
        An unknown covariate, none at all, or clustered variance without clusters.

    Notes
    -----
    Newton's method from zero with step halving. R ends at the same tolerance; here one more step is taken, which moves
    coefficients by about 1e-9 and tells an infinite one, that moves on, from a finite one, that does not.

    References
    ----------
    .. [1] Cox, J R Stat Soc B 1972;34:187-220.
    .. [2] Efron, J Am Stat Assoc 1977;72:557-565; Breslow, Biometrics 1974;30:89-99 (ties).
    .. [3] Lin, Wei, J Am Stat Assoc 1989;84:1074-1078 (robust variance).
    """
    chosen = table.names if names is None else tuple(names)
    if variance is Variance.SUBDISTRIBUTION:
        raise InputError("the subdistribution's variance belongs to fit_subdistribution")
    if variance is Variance.CLUSTERED and table.cluster is None:
        raise InputError("a clustered variance needs the table's cluster column")
    if not table.is_event.any():
        raise NotEstimableError(f"nobody of {len(table)} has the event, so no hazard ratio can be estimated")
    columns = table.columns(chosen)
    means, scales = centre_and_scale(columns, chosen)
    sets = risk_sets(table, ties=ties)
    x = ((columns - means) / scales)[sets.order]
    start = moments(sets, x, linear_predictor=np.zeros(len(x)))
    start_information = information(sets, start)
    refuse_dependent(start_information, chosen)
    found = maximise(
        start,
        start_information,
        evaluate=lambda beta: moments(sets, x, linear_predictor=x @ beta),
        information=lambda at: information(sets, at),
    )
    covariance = inverse_information(found.information, chosen, n_events=table.n_events)
    unscale = np.outer(1.0 / scales, 1.0 / scales)
    return CoxFit(
        names=chosen,
        log_hr=found.beta / scales,
        covariance=_covariance(covariance, sets, found.at, table=table, variance=variance) * unscale,
        model_covariance=covariance * unscale,
        variance=variance,
        ties=ties,
        means=means,
        log_likelihood_null=start.log_likelihood,
        log_likelihood=found.at.log_likelihood,
        score_chi2=float(start.score @ np.linalg.solve(start_information, start.score)),
        infinite=infinite_terms(found, covariance, chosen),
        n=len(table),
        n_events=table.n_events,
        iterations=found.iterations,
    )


def hazard_ratios(fit: CoxFit, *, confidence: float = CONFIDENCE) -> tuple[HazardRatio, ...]:
    """Return the hazard ratio of each term with its Wald interval and p value.

    An infinite term has a reason in place of numbers; so has a ratio too large to be written down, but that one keeps
    its logarithm, standard error, z and p.

    Raises
    ------
    InputError
        The confidence is not between 0 and 1.
    """
    quantile = normal_quantile(confidence)
    rows = []
    for name, log_hr, error in zip(fit.names, fit.log_hr.tolist(), fit.standard_error.tolist(), strict=True):
        if name in fit.infinite:
            reason = f"the hazard ratio of {name!r} is infinite or zero: it separates those with the event"
            rows.append(HazardRatio(None, None, None, fit.n, reason, name=name, n_events=fit.n_events))
            continue
        z, half = log_hr / error, quantile * error
        known = {"name": name, "n_events": fit.n_events, "log_hr": log_hr, "standard_error": error, "z": z}
        p = float(chdtrc(1, z * z))
        if abs(log_hr) + half > LARGEST_LOG:
            reason = f"per unit of {name!r} the hazard ratio is beyond any number: use a larger unit"
            rows.append(HazardRatio(None, None, None, fit.n, reason, p=p, **known))
            continue
        low, high = math.exp(log_hr - half), math.exp(log_hr + half)
        rows.append(HazardRatio(math.exp(log_hr), low, high, fit.n, p=p, **known))
    return tuple(rows)


def added_value(base: CoxFit, extended: CoxFit) -> ChiSquare:
    """Return the likelihood-ratio test of the terms that the second model has and the first has not.

    Parameters
    ----------
    base, extended : CoxFit
        Fits to the same rows with the same ties; every term of the first is in the second.

    Returns
    -------
    ChiSquare
        Twice the difference of the log likelihoods; degrees of freedom: terms added.

    Raises
    ------
    InputError
        The models are not nested, not of the same rows or not of the same treatment of ties.
    """
    if (base.n, base.n_events, base.ties) != (extended.n, extended.n_events, extended.ties):
        raise InputError(
            f"models to compare are of {base.n} and {extended.n} rows, {base.n_events} and {extended.n_events} events; "
            "expected the same rows and the same ties"
        )
    lost = [name for name in base.names if name not in extended.names]
    n_added = len(extended.names) - len(base.names)
    if lost or n_added < 1:
        raise InputError(f"the models are not nested: {lost[0] if lost else 'nothing'!r} is not only in the first")
    return chi_square(2.0 * (extended.log_likelihood - base.log_likelihood), n_added)


def linear_predictor(fit: CoxFit, table: FollowUp) -> Float64Array:
    """Return each row's log hazard ratio against the mean patient of the fit, shape (n,); higher = riskier."""
    return np.asarray((table.columns(fit.names) - fit.means) @ fit.log_hr)


def baseline_hazard(fit: CoxFit, table: FollowUp) -> BaselineHazard:
    """Return the cumulative baseline hazard, with the fit's treatment of ties.

    Parameters
    ----------
    fit : CoxFit
        A model.
    table : FollowUp
        The rows it was fitted to.

    Returns
    -------
    BaselineHazard
        At every observed time, also of censoring. With Efron's ties the estimator of R's ``basehaz``, otherwise
        Breslow's; R's own zero point differs (it does not centre 0/1 covariates), predicted risks do not.
    """
    sets = risk_sets(table, ties=fit.ties)
    x = (table.columns(fit.names) - fit.means)[sets.order]
    at = moments(sets, x, linear_predictor=x @ fit.log_hr)
    increments = hazard_increments(sets, at)
    stratum = np.zeros(len(table), dtype=np.int64) if table.stratum is None else table.stratum
    times, hazards = [], []
    for k in range(int(stratum.max()) + 1):
        mine = sets.group_stratum == k
        event_time, hazard = sets.group_time[mine][::-1], np.cumsum(increments[mine][::-1])
        observed = np.unique(table.time[stratum == k])
        times.append(observed)
        hazards.append(np.append(0.0, hazard)[np.searchsorted(event_time, observed, side="right")])
    return BaselineHazard(tuple(times), tuple(hazards))


def predict_risk(
    fit: CoxFit,
    table: FollowUp,
    *,
    at: float,
    between: Between = Between.STEP,
    baseline: BaselineHazard | None = None,
) -> Float64Array:
    """Return each row's probability to have the event by a time, shape (n,); higher = riskier.

    It is ``1 - exp(-H0(t) exp(lp))``, with the cumulative baseline hazard ``H0`` and the linear predictor ``lp``.

    Parameters
    ----------
    fit : CoxFit
        A model.
    table : FollowUp
        Rows to predict for; their own follow-up is not looked at when a baseline is given.
    at : float
        Horizon, in the table's unit of time.
    between : Between
        The hazard between observed times.
    baseline : BaselineHazard, optional
        Of the rows that the model was fitted to; taken from `table` when it is these.

    Returns
    -------
    ndarray of float, shape (n,)
        0 to 1.

    Raises
    ------
    InputError
        Follow-up ends before the horizon, a covariate is not in the table, or a stratum not in the baseline.
    """
    hazard = (baseline or baseline_hazard(fit, table)).at(at, between=between)
    stratum = np.zeros(len(table), dtype=np.int64) if table.stratum is None else table.stratum
    if stratum.max() >= len(hazard) or np.isnan(hazard[stratum]).any():
        raise InputError("a row to predict for is of a stratum that the baseline has not")
    own = hazard[stratum]
    with np.errstate(divide="ignore", over="ignore"):  # no hazard yet, or a hazard ratio without end
        return np.asarray(-np.expm1(-np.exp(np.log(own) + linear_predictor(fit, table))))


def _hazard_at(time: float, times: Float64Array, hazard: Float64Array, *, between: Between) -> float:
    if not len(times):
        return math.nan
    if between is Between.LINEAR:
        return float(np.interp(time, np.append(0.0, times), np.append(0.0, hazard)))
    return float(np.append(0.0, hazard)[np.searchsorted(times, time, side="right")])


def _covariance(
    inverse: Float64Array, sets: RiskSets, at: Moments, *, table: FollowUp, variance: Variance
) -> Float64Array:
    if variance is Variance.MODEL:
        return inverse
    influence = (score_residuals(sets, at) * sets.weight[:, None]) @ inverse
    if variance is Variance.CLUSTERED and table.cluster is not None:
        influence = sum_over_clusters(influence, table.cluster[sets.order])
    return np.asarray(influence.T @ influence)
