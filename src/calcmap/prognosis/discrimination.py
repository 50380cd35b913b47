"""How well risks rank patients, and how true they are: concordance, areas under the curve, calibration.

Every risk goes **higher = riskier** (a predicted risk, a linear predictor, a calcium score). Intervals treat the risk
as given: a model that was fitted to the same patients is overrated by all of these, and the bootstrap with refits is
the remedy.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr
from scipy.stats import rankdata

from calcmap.core.errors import InputError, NotEstimableError
from calcmap.core.volume import BoolArray, Float64Array
from calcmap.prognosis.cox import fit_cox
from calcmap.prognosis.curves import Scale, cumulative_incidence, kaplan_meier
from calcmap.prognosis.followup import FollowUp
from calcmap.statistics.estimates import CONFIDENCE, Estimate, normal_quantile

PAIRS_AT_ONCE = 4_000_000
"""Pairs of patients compared in one piece (our choice: some 40 MB)."""

CALIBRATION_GROUPS = 10
"""Tenths of predicted risk, as is usual."""


@dataclass(frozen=True)
class Concordance(Estimate):
    """Probability that of two patients the one with the higher risk has the event first; 0.5 = chance."""

    standard_error: float | None = None
    concordant: float = 0.0
    """Pairs that count, weighted: in the right order, in the wrong order, and with one risk."""
    discordant: float = 0.0
    tied: float = 0.0


@dataclass(frozen=True)
class Area(Estimate):
    """Area under a ROC curve: 1 = cases above all controls, 0.5 = chance."""

    standard_error: float | None = None
    n_cases: int = 0
    n_controls: int = 0


@dataclass(frozen=True)
class Difference(Estimate):
    """First less second of two measures on the same patients, with the test that it is zero."""

    standard_error: float | None = None
    z: float | None = None
    p: float | None = None


@dataclass(frozen=True)
class TimeDependentAreas:
    """Areas under the ROC curve for the event by each of several times."""

    times: tuple[float, ...]
    areas: tuple[Area, ...]
    mean: float | None
    """Weighted by the fall of survival up to each time; ``None`` if one of the areas is."""


@dataclass(frozen=True)
class CalibrationGroup:
    """Patients of similar predicted risk."""

    n: int
    predicted: float
    """Mean predicted risk."""
    observed: Estimate
    """Share with the event by the horizon, from the group's curve."""


@dataclass(frozen=True)
class Calibration:
    """Predicted against observed risk at one horizon."""

    horizon: float
    groups: tuple[CalibrationGroup, ...]
    """From the lowest to the highest predicted risk."""
    predicted: float
    """Mean predicted risk of all."""
    observed: Estimate
    """Of all; above `predicted` the model underrates."""
    slope: Estimate
    """1 = right spread of risks, below 1 = too extreme (overfitted)."""


def harrell_c(table: FollowUp, risk: ArrayLike, *, confidence: float = CONFIDENCE) -> Concordance:
    """Return Harrell's concordance with its standard error by the infinitesimal jackknife.

    Parameters
    ----------
    table : FollowUp
        Follow-up; pairs are within a stratum, weighted by the product of case weights. A competing event counts as
        censored.
    risk : array_like of float, shape (n,)
        Higher = riskier.
    confidence : float
        Coverage of the interval, between 0 and 1.

    Returns
    -------
    Concordance
        A pair counts if the shorter follow-up ended with the event; somebody censored at the time of an event has
        outlived it; two events at one time do not count. Pairs of one risk count half. ``None`` without such a pair.

    Raises
    ------
    InputError
        Risks that are not finite or not one a row; the confidence is not between 0 and 1.

    References
    ----------
    .. [1] Harrell et al., JAMA 1982;247:2543-2546.
    .. [2] Therneau, Watson, The concordance statistic and the Cox model, Mayo Clinic 2015 (standard error).
    """
    return _concordance(table, _risks(risk, table), np.ones(len(table)), confidence=confidence)


def uno_c(table: FollowUp, risk: ArrayLike, *, tau: float | None = None, confidence: float = CONFIDENCE) -> Concordance:
    """Return Uno's concordance, which does not depend on how long patients happened to be followed.

    Parameters
    ----------
    table : FollowUp
        Follow-up; strata are not looked at. A competing event ends follow-up but is no censoring.
    risk : array_like of float, shape (n,)
        Higher = riskier.
    tau : float, optional
        Only events before this time count; all by default, which puts much weight on the last ones.
    confidence : float
        Coverage of the interval, between 0 and 1.

    Returns
    -------
    Concordance
        Harrell's pairs, each weighted by ``1 / G(t)^2`` with G the probability to be uncensored just before the event.
        The standard error takes G as known.

    Raises
    ------
    InputError
        As for `harrell_c`; or `tau` is not above 0.

    References
    ----------
    .. [1] Uno et al., Stat Med 2011;30:1105-1117.
    """
    if tau is not None and not tau > 0:
        raise InputError(f"tau is {tau:g}, expected a time above 0")
    weight = 1.0 / _uncensored(table) ** 2
    if tau is not None:
        weight = np.where(table.time < tau, weight, 0.0)
    return _concordance(_unstratified(table), _risks(risk, table), weight, confidence=confidence)


def compare_concordance(
    table: FollowUp, first: ArrayLike, second: ArrayLike, *, confidence: float = CONFIDENCE
) -> Difference:
    """Return Harrell's C of one risk less that of another, on the same patients.

    Parameters
    ----------
    table : FollowUp
        Follow-up, as for `harrell_c`.
    first, second : array_like of float, shape (n,)
        Higher = riskier.
    confidence : float
        Coverage of the interval, between 0 and 1.

    Returns
    -------
    Difference
        With a paired standard error. For nested models fitted to these patients the likelihood-ratio test
        (`calcmap.prognosis.cox.added_value`) is the right one: this test is then far too cautious.

    Raises
    ------
    InputError
        As for `harrell_c`.
    """
    pairs = [_pair_sums(table, _risks(risk, table), np.ones(len(table))) for risk in (first, second)]
    if pairs[0].total == 0:
        return Difference(None, None, None, len(table), "no two patients can be compared")
    influence = pairs[0].influence() - pairs[1].influence()
    return _difference(
        pairs[0].share() - pairs[1].share(), math.sqrt(float(influence @ influence)), len(table), confidence=confidence
    )


def time_dependent_auc(
    table: FollowUp, risk: ArrayLike, *, times: Sequence[float], confidence: float = CONFIDENCE
) -> TimeDependentAreas:
    """Return cumulative/dynamic areas: those with the event by a time against those still followed after it.

    Parameters
    ----------
    table : FollowUp
        Follow-up; strata are not looked at. Who had a competing event before a time is neither case nor control.
    risk : array_like of float, shape (n,)
        Higher = riskier.
    times : sequence of float
        Ascending times, before the end of follow-up.
    confidence : float
        Coverage of the intervals, between 0 and 1.

    Returns
    -------
    TimeDependentAreas
        Cases stand in for the censored by ``1 / G``, with G the probability to be uncensored just before their event
        (scikit-survival takes it just after, which differs in the fifth digit). The standard error takes G as known;
        an area is ``None`` without cases or without controls.

    Raises
    ------
    InputError
        As for `harrell_c`; or no times, or times that do not ascend.

    References
    ----------
    .. [1] Uno et al., J Am Stat Assoc 2007;102:527-537; Hung, Chiang, Can J Stat 2010;38:8-26.
    """
    values = _risks(risk, table)
    if not len(times) or any(b <= a for a, b in pairwise(times)):
        raise InputError(f"times are {list(times)}, expected at least one, ascending")
    quantile = normal_quantile(confidence)
    weight = 1.0 / _uncensored(table)
    areas = tuple(_area_at(table, values, weight, time=float(time), quantile=quantile) for time in times)
    survival = [point.estimate for point in kaplan_meier(table).at([float(time) for time in times])]
    known = [area.estimate for area in areas if area.estimate is not None]
    if len(known) < len(areas) or any(s is None for s in survival):
        return TimeDependentAreas(tuple(map(float, times)), areas, None)
    fall = -np.diff([1.0, *(s for s in survival if s is not None)])
    return TimeDependentAreas(tuple(map(float, times)), areas, float(fall @ np.array(known) / fall.sum()))


def roc_area(risk: ArrayLike, is_case: ArrayLike, *, confidence: float = CONFIDENCE) -> Area:
    """Return the area under the ROC curve of a yes-or-no outcome, with DeLong's standard error.

    Parameters
    ----------
    risk : array_like of float, shape (n,)
        Higher = riskier.
    is_case : array_like of bool or 0/1, shape (n,)
        The outcome.
    confidence : float
        Coverage of the interval, between 0 and 1.

    Returns
    -------
    Area
        Equal risks count half. The interval is cut off at 0 and 1; ``None`` without cases or controls, its limits also
        with only one of either.

    Raises
    ------
    InputError
        Different lengths, risks that are not finite, outcomes that are not 0/1; the confidence is not between 0 and 1.

    References
    ----------
    .. [1] DeLong, DeLong, Clarke-Pearson, Biometrics 1988;44:837-845.
    """
    values, cases = _scored(risk, is_case)
    n_cases, n_controls = int(cases.sum()), int((~cases).sum())
    if not n_cases or not n_controls:
        return Area(None, None, None, len(cases), _lacking(n_cases), n_cases=n_cases, n_controls=n_controls)
    of_cases, of_controls = _placements(values, cases)
    error = _placement_error(of_cases, of_controls)
    low, high = _cut(of_cases.mean(), error, quantile=normal_quantile(confidence))
    return Area(float(of_cases.mean()), low, high, len(cases), None, error, n_cases, n_controls)


def compare_roc_areas(
    first: ArrayLike, second: ArrayLike, *, is_case: ArrayLike, confidence: float = CONFIDENCE
) -> Difference:
    """Return the area of one risk less that of another on the same patients, with DeLong's paired test.

    Parameters
    ----------
    first, second : array_like of float, shape (n,)
        Higher = riskier.
    is_case : array_like of bool or 0/1, shape (n,)
        The outcome.
    confidence : float
        Coverage of the interval, between 0 and 1.

    Returns
    -------
    Difference
        ``None`` without cases or controls.

    Raises
    ------
    InputError
        As for `roc_area`.

    References
    ----------
    .. [1] DeLong, DeLong, Clarke-Pearson, Biometrics 1988;44:837-845.
    """
    (one, cases), (two, _) = _scored(first, is_case), _scored(second, is_case)
    if not cases.any() or cases.all():
        return Difference(None, None, None, len(cases), _lacking(int(cases.sum())))
    (cases_1, controls_1), (cases_2, controls_2) = _placements(one, cases), _placements(two, cases)
    error = _placement_error(cases_1 - cases_2, controls_1 - controls_2)
    return _difference(float(cases_1.mean() - cases_2.mean()), error, len(cases), confidence=confidence)


def calibration(
    table: FollowUp,
    risk: ArrayLike,
    *,
    horizon: float,
    n_groups: int = CALIBRATION_GROUPS,
    confidence: float = CONFIDENCE,
) -> Calibration:
    """Return predicted against observed risk at a horizon: by group, overall, and the slope.

    Parameters
    ----------
    table : FollowUp
        Follow-up; with competing events the observed share is the cumulative incidence.
    risk : array_like of float, shape (n,)
        Predicted probability of the event by the horizon, 0 to 1.
    horizon : float
        In the table's unit of time.
    n_groups : int
        Groups of equal size by predicted risk; fewer come out where many risks are equal.
    confidence : float
        Coverage of the intervals, between 0 and 1.

    Returns
    -------
    Calibration
        The slope is the log hazard ratio per unit of ``log(-log(1 - risk))``, the model's own linear predictor. It is
        ``None`` when all risks are equal, or 0 or 1.

    Raises
    ------
    InputError
        Risks outside 0 to 1, not finite or not one a row; fewer than two groups.

    References
    ----------
    .. [1] Royston, Altman, BMC Med Res Methodol 2013;13:33 (slope); Crowson et al., Stat Methods Med Res 2016;25:1692.
    """
    values = _risks(risk, table)
    if values.min() < 0 or values.max() > 1:
        raise InputError(f"predicted risks go from {values.min():g} to {values.max():g}, expected 0 to 1")
    if n_groups < 2:
        raise InputError(f"calibration needs at least 2 groups, got {n_groups}")
    edges = np.unique(np.quantile(values, np.arange(1, n_groups) / n_groups))
    which = np.searchsorted(edges, values, side="left")
    groups = []
    for k in np.unique(which):
        mine = which == k
        share = _observed(table.rows(mine), horizon, confidence=confidence)
        groups.append(CalibrationGroup(int(mine.sum()), float(values[mine].mean()), share))
    observed = _observed(table, horizon, confidence=confidence)
    slope = _slope(table, values, confidence=confidence)
    return Calibration(float(horizon), tuple(groups), float(values.mean()), observed, slope)


@dataclass(frozen=True, eq=False)
class _PairSums:
    """Comparable pairs: their number, and each patient's part in it, shape (n,)."""

    right: float
    wrong: float
    tied: float
    by_patient: Float64Array
    """Pairs that the patient is in, shape (n,)."""
    won_by_patient: Float64Array
    """The same, right ones counting 1 and tied ones a half."""

    @property
    def total(self) -> float:
        return self.right + self.wrong + self.tied

    def share(self) -> float:
        return (self.right + self.tied / 2) / self.total

    def influence(self) -> Float64Array:
        """Return how the share changes with each patient's weight, shape (n,)."""
        return (self.won_by_patient - self.share() * self.by_patient) / self.total


def _concordance(table: FollowUp, risk: Float64Array, event_weight: Float64Array, *, confidence: float) -> Concordance:
    quantile = normal_quantile(confidence)
    pairs = _pair_sums(table, risk, event_weight)
    if pairs.total == 0:
        return Concordance(None, None, None, len(table), "no two patients can be compared")
    influence = pairs.influence()
    error = math.sqrt(float(influence @ influence))
    low, high = _cut(pairs.share(), error, quantile=quantile)
    return Concordance(pairs.share(), low, high, len(table), None, error, pairs.right, pairs.wrong, pairs.tied)


def _pair_sums(table: FollowUp, risk: Float64Array, event_weight: Float64Array) -> _PairSums:
    n = len(table)
    weight = np.ones(n) if table.weight is None else table.weight
    right, wrong, tied = 0.0, 0.0, 0.0
    by_patient, won = np.zeros(n), np.zeros(n)
    events = np.flatnonzero(table.is_event & (event_weight > 0))
    for some in _pieces(events, n):
        later = (table.time > table.time[some, None]) | ((table.time == table.time[some, None]) & ~table.is_event)
        if table.stratum is not None:
            later &= table.stratum == table.stratum[some, None]
        counts = later * weight
        counts *= (event_weight[some] * weight[some])[:, None]
        above = (risk[some, None] > risk) + 0.5 * (risk[some, None] == risk)
        score = counts * above
        all_pairs, half = float(counts.sum()), float(counts[above == 0.5].sum())
        right, tied = right + float(score.sum()) - half / 2, tied + half
        wrong += all_pairs - half - (float(score.sum()) - half / 2)
        by_patient += counts.sum(axis=0)
        by_patient[some] += counts.sum(axis=1)
        won += score.sum(axis=0)
        won[some] += score.sum(axis=1)
    return _PairSums(right, wrong, tied, by_patient, won)


def _pieces(events: NDArray[np.intp], n: int) -> Iterator[NDArray[np.intp]]:
    size = max(1, PAIRS_AT_ONCE // n)
    for begin in range(0, len(events), size):
        yield events[begin : begin + size]


def _uncensored(table: FollowUp) -> Float64Array:
    """Return the probability to be still uncensored just before each row's end of follow-up, shape (n,); above 0.

    An event comes before censoring at the same time, so who has it there is not at risk of being censored.
    """
    place = np.unique(table.time, return_inverse=True)[1]
    ended = table.has_ended
    weight = np.ones(len(table)) if table.weight is None else table.weight
    here, events, censored = (np.bincount(place, weights=weight * flag) for flag in (1.0, ended, ~ended))
    at_risk = np.cumsum(here[::-1])[::-1] - events
    remains = np.cumprod(1.0 - censored / np.where(at_risk > 0, at_risk, 1.0))
    return np.asarray(np.append(1.0, remains)[place], dtype=np.float64)


def _unstratified(table: FollowUp) -> FollowUp:
    return FollowUp(
        table.time, table.is_event, table.covariates, table.names, competing=table.competing, weight=table.weight
    )


def _area_at(table: FollowUp, risk: Float64Array, weight: Float64Array, *, time: float, quantile: float) -> Area:
    is_case, is_control = table.is_event & (table.time <= time), table.time > time
    n_cases, n_controls, n = int(is_case.sum()), int(is_control.sum()), len(table)
    if not n_cases or not n_controls:
        reason = f"nobody has the event by {time:g}" if not n_cases else f"nobody is followed beyond {time:g}"
        return Area(None, None, None, n, reason, n_cases=n_cases, n_controls=n_controls)
    own = np.ones(n) if table.weight is None else table.weight
    of_case, of_control = own[is_case] * weight[is_case], own[is_control]
    cases, controls = risk[is_case], risk[is_control]
    below = _weight_below(controls, of_control, at=cases) / of_control.sum()
    above = 1.0 - _weight_below(cases, of_case, at=controls) / of_case.sum()
    area = float(of_case @ below / of_case.sum())
    spread = float(((of_case * (below - area)) ** 2).sum()) / of_case.sum() ** 2
    spread += float(((of_control * (above - area)) ** 2).sum()) / of_control.sum() ** 2
    error = math.sqrt(spread)
    low, high = _cut(area, error, quantile=quantile)
    return Area(area, low, high, n, None, error, n_cases, n_controls)


def _weight_below(values: Float64Array, weight: Float64Array, *, at: Float64Array) -> Float64Array:
    """Return the weight of the values below each point, that of equal ones counting half, shape (at,)."""
    order = np.argsort(values)
    sums = np.append(0.0, np.cumsum(weight[order]))
    left, right = np.searchsorted(values[order], at), np.searchsorted(values[order], at, side="right")
    return np.asarray((sums[left] + sums[right]) / 2)


def _placements(risk: Float64Array, is_case: BoolArray) -> tuple[Float64Array, Float64Array]:
    """Return the share of controls below each case, and of cases above each control."""
    every = rankdata(risk)
    n_cases, n_controls = int(is_case.sum()), int((~is_case).sum())
    of_cases = (every[is_case] - rankdata(risk[is_case])) / n_controls
    of_controls = 1.0 - (every[~is_case] - rankdata(risk[~is_case])) / n_cases
    return of_cases, of_controls


def _placement_error(of_cases: Float64Array, of_controls: Float64Array) -> float | None:
    if len(of_cases) < 2 or len(of_controls) < 2:
        return None
    return math.sqrt(float(of_cases.var(ddof=1) / len(of_cases) + of_controls.var(ddof=1) / len(of_controls)))


def _observed(table: FollowUp, horizon: float, *, confidence: float) -> Estimate:
    if table.competing is not None:
        return cumulative_incidence(table, confidence=confidence).at([horizon])[0]
    survival = kaplan_meier(table, scale=Scale.LOG_LOG, confidence=confidence).at([horizon])[0]
    if survival.estimate is None:
        return survival
    if survival.estimate == 1.0:  # the curve has not fallen, so its variance is 0: R too then gives 1 to 1
        return Estimate(0.0, None, None, survival.n, "nobody had the event by then, so there is no interval")
    low, high = (None if limit is None else 1.0 - limit for limit in (survival.high, survival.low))
    return Estimate(1.0 - survival.estimate, low, high, survival.n)


def _slope(table: FollowUp, risk: Float64Array, *, confidence: float) -> Estimate:
    if risk.min() <= 0 or risk.max() >= 1:
        return Estimate(None, None, None, len(table), "a predicted risk is 0 or 1, which no slope can change")
    predictor = np.log(-np.log1p(-risk))[:, None]
    only = FollowUp(table.time, table.is_event, predictor, ("predictor",), weight=table.weight)
    try:
        fit = fit_cox(only)
    except NotEstimableError as error:
        return Estimate(None, None, None, len(table), str(error))
    if fit.infinite:
        return Estimate(None, None, None, len(table), "the predicted risks separate those with the event")
    slope, half = float(fit.log_hr[0]), normal_quantile(confidence) * float(fit.standard_error[0])
    return Estimate(slope, slope - half, slope + half, len(table))


def _difference(value: float, error: float | None, n: int, *, confidence: float) -> Difference:
    quantile = normal_quantile(confidence)
    if error is None:
        return Difference(value, None, None, n)
    if error == 0:
        return Difference(value, value, value, n, None, 0.0, None, None)
    z = value / error
    p = 2.0 * float(ndtr(-abs(z)))
    return Difference(value, value - quantile * error, value + quantile * error, n, None, error, z, p)


def _cut(value: float, error: float | None, *, quantile: float) -> tuple[float | None, float | None]:
    if error is None:
        return None, None
    return max(0.0, float(value) - quantile * error), min(1.0, float(value) + quantile * error)


def _lacking(n_cases: int) -> str:
    return "there are no controls" if n_cases else "there are no cases"


def _risks(risk: ArrayLike, table: FollowUp) -> Float64Array:
    values = _finite(risk)
    if values.shape != (len(table),):
        raise InputError(f"risk has shape {values.shape}, the table {len(table)} rows; expected one a row")
    return values


def _scored(risk: ArrayLike, is_case: ArrayLike) -> tuple[Float64Array, BoolArray]:
    values, flags = _finite(risk), _finite(is_case)
    if values.ndim != 1 or values.shape != flags.shape:
        raise InputError(f"risk has shape {values.shape}, outcome {flags.shape}; expected one of each a patient")
    if not np.isin(flags, (0.0, 1.0)).all():
        raise InputError("an outcome is neither 0 nor 1")
    return values, flags > 0


def _finite(values: ArrayLike) -> Float64Array:
    try:
        numbers = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError("risks and outcomes must be numbers") from error
    if not np.isfinite(numbers).all():
        raise InputError(f"{int((~np.isfinite(numbers)).sum())} values are missing or not finite")
    return numbers
