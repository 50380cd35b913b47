"""Patients with missing values: left out and counted, or imputed several times and pooled.

Imputation goes by chained equations: each incomplete column in turn is predicted from all the others, numbers by
predictive mean matching (so only values that occur are filled in), yes/no by a logistic model; parameters are drawn,
not fixed, so the imputations differ by as much as is unknown. The outcome belongs among the predictors: give the
event and `cumulative_hazard` of the follow-up as complete columns.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit, stdtrit
from scipy.stats import chi2
from scipy.stats import f as f_distribution
from scipy.stats import t as t_distribution

from calcmap.core.errors import ConfigError, InputError
from calcmap.core.volume import BoolArray, Float64Array

IMPUTATIONS = 20
"""Imputed tables unless told otherwise; about the percentage of incomplete patients is advised (White 2011)."""

CYCLES = 10
"""Rounds over the incomplete columns before a table is kept (van Buuren 2018, section 4.5: 5 to 20)."""

DONORS = 5
"""Nearest observed patients from whom one lends its value (van Buuren 2018, section 3.4.3)."""

RIDGE = 1e-5
"""Share of each predictor's sum of squares added to it, against collinear predictors; mice's own."""

LOGISTIC_PRIOR_PRECISION = 0.01
"""Of a normal prior on standardised coefficients (SD 10): without effect except under separation; our choice."""


class ColumnKind(StrEnum):
    """How a column is imputed."""

    NUMBER = "number"
    """Predictive mean matching; also for ordered categories as 0, 1, 2..."""
    YES_NO = "yes_no"
    """Logistic model; values 0 and 1."""


@dataclass(frozen=True)
class CompleteCases:
    """Who has all values, and what the others lack."""

    is_complete: BoolArray
    """Shape (patients,)."""
    n: int
    n_complete: int
    n_missing: Mapping[str, int]
    """Patients without a value, by column, columns without missing values included."""

    @property
    def n_left_out(self) -> int:
        """Return the number of patients with any value missing."""
        return self.n - self.n_complete


@dataclass(frozen=True)
class ImputationSettings:
    """How many tables, and how each is made.

    Parameters
    ----------
    imputations : int
        Tables, at least 2.
    cycles : int
        Rounds over the columns, at least 1.
    donors : int
        Patients to choose from in matching, at least 1.
    seed : int
        Of the random streams, at least 0.
    """

    imputations: int = IMPUTATIONS
    cycles: int = CYCLES
    donors: int = DONORS
    seed: int = 1

    def __post_init__(self) -> None:
        """Refuse settings out of range, all of them at once."""
        least = {"imputations": 2, "cycles": 1, "donors": 1, "seed": 0}
        complaints = [
            f"{name} is {getattr(self, name)}, expected at least {low}"
            for name, low in least.items()
            if getattr(self, name) < low
        ]
        if complaints:
            raise ConfigError("; ".join(complaints))


@dataclass(frozen=True)
class PooledEstimate:
    """One parameter over all imputed tables."""

    estimate: float
    low: float
    high: float
    standard_error: float
    degrees_of_freedom: float
    """Infinite when the tables agree and those of complete data are not given."""
    p_value: float
    """Two-sided, against zero."""
    fraction_missing: float
    """Share of the information that is missing, 0 to 1."""
    n_imputations: int


@dataclass(frozen=True)
class PooledTest:
    """A joint test that several parameters are zero, over all imputed tables."""

    f_statistic: float
    degrees_of_freedom: tuple[float, float]
    p_value: float


def complete_cases(columns: Mapping[str, ArrayLike]) -> CompleteCases:
    """Return who has a value in every column.

    Parameters
    ----------
    columns : mapping of str to array_like, each of shape (n,)
        NaN, ``None`` and the empty string are missing.

    Returns
    -------
    CompleteCases
        Without columns, nobody is missing anything, and there is nobody.

    Raises
    ------
    InputError
        Columns of different lengths.
    """
    missing = {name: _is_missing(values) for name, values in columns.items()}
    lengths = {name: flags.size for name, flags in missing.items()}
    if len(set(lengths.values())) > 1:
        raise InputError(f"columns differ in length: {lengths}")
    n = next(iter(lengths.values()), 0)
    is_complete = ~np.any(np.array(list(missing.values())).reshape(len(missing), n), axis=0)
    counts = {name: int(flags.sum()) for name, flags in missing.items()}
    return CompleteCases(is_complete, n, int(is_complete.sum()), counts)


def cumulative_hazard(time: ArrayLike, is_event: ArrayLike) -> Float64Array:
    """Return the Nelson-Aalen cumulative hazard of all patients at each one's own time, shape (n,).

    Parameters
    ----------
    time : array_like of float, shape (n,)
        Follow-up, at least 0.
    is_event : array_like of bool, shape (n,)
        Whether it ended with the event.

    Returns
    -------
    ndarray of float64, shape (n,)
        0 for who was censored before the first event; the predictor that stands for follow-up in an imputation.

    References
    ----------
    .. [1] White, Royston, Stat Med 2009;28:1982-1998.
    """
    times, events = np.asarray(time, dtype=np.float64), np.asarray(is_event, dtype=np.bool_)
    at, dying = np.unique(times[events], return_counts=True)
    at_risk = times.size - np.searchsorted(np.sort(times), at, side="left")
    cumulative = np.concatenate([[0.0], np.cumsum(dying / at_risk)])
    return np.asarray(cumulative[np.searchsorted(at, times, side="right")], dtype=np.float64)


def impute(
    columns: Mapping[str, ArrayLike],
    kinds: Mapping[str, ColumnKind],
    *,
    predictors: Mapping[str, ArrayLike] | None = None,
    settings: ImputationSettings | None = None,
) -> tuple[dict[str, Float64Array], ...]:
    """Return several completed copies of the columns, by chained equations.

    Parameters
    ----------
    columns : mapping of str to array_like of float, each of shape (n,)
        The columns of the analysis, complete or not; NaN is missing. Numbers that are very skewed match better on a
        log scale.
    kinds : mapping of str to ColumnKind
        One for each column.
    predictors : mapping of str to array_like of float, optional
        Complete columns that help to predict and are not themselves returned: the event and `cumulative_hazard`.
    settings : ImputationSettings, optional
        Number of tables, rounds, donors, seed.

    Returns
    -------
    tuple of dict
        One table of columns for each imputation; observed values are unchanged, and matched numbers are values that
        occur.

    Raises
    ------
    InputError
        Columns of different lengths, a kind missing, yes/no values that are not 0 or 1, a predictor with missing
        values, or a column with fewer observed values than donors.

    Notes
    -----
    Matching is of type 1: observed patients carry the prediction of the fitted coefficients, missing ones that of the
    drawn coefficients; each borrows from one of the nearest ``donors``, chosen at random. Columns are visited from
    the least to the most incomplete and start from random observed values. A yes/no column with one observed value is
    filled with it.

    References
    ----------
    .. [1] van Buuren, Flexible Imputation of Missing Data, 2nd edition, 2018, algorithms 3.1, 3.3, 3.4, 4.3.
    .. [2] White, Royston, Wood, Stat Med 2011;30:377-399.
    """
    settings = settings or ImputationSettings()
    table = {name: np.array(values, dtype=np.float64) for name, values in columns.items()}
    helpers = {name: np.array(values, dtype=np.float64) for name, values in (predictors or {}).items()}
    _check_columns(table, kinds, helpers, donors=settings.donors)
    streams = np.random.SeedSequence(settings.seed).spawn(settings.imputations)
    return tuple(
        _one_table(table, kinds, list(helpers.values()), settings=settings, random=np.random.default_rng(stream))
        for stream in streams
    )


def pool(
    estimates: ArrayLike,
    variances: ArrayLike,
    *,
    complete_degrees_of_freedom: float = math.inf,
    confidence: float = 0.95,
) -> PooledEstimate:
    """Return one parameter pooled over the imputed tables by Rubin's rules.

    With the mean Q of the m estimates, W of their variances, and the variance B between the estimates, the total
    variance is T = W + (1 + 1/m) B.

    Parameters
    ----------
    estimates, variances : array_like of float, shape (m,)
        Estimate and squared standard error in each table, on a scale that is near normal (log hazard ratios, not hazard
        ratios).
    complete_degrees_of_freedom : float
        Of the analysis if nothing were missing (events or patients less parameters); infinite for the older rule.
    confidence : float
        Coverage, between 0 and 1.

    Returns
    -------
    PooledEstimate
        With the interval of Student's t.

    Raises
    ------
    InputError
        Fewer than two tables, arrays that do not match, variances that are not positive, or a confidence out of range.

    References
    ----------
    .. [1] Rubin, Multiple Imputation for Nonresponse in Surveys, 1987.
    .. [2] Barnard, Rubin, Biometrika 1999;86:948-955 (degrees of freedom).
    """
    values, within = _pooling_arrays(estimates, variances)
    if not 0.0 < confidence < 1.0:
        raise InputError(f"confidence is {confidence}, expected a number between 0 and 1")
    m, mean_within = values.size, float(within.mean())
    between = (1.0 + 1.0 / m) * float(values.var(ddof=1))
    total = mean_within + between
    freedom = _barnard_rubin(between / total, m, complete=complete_degrees_of_freedom)
    ratio = between / mean_within
    fraction = (ratio + 2.0 / (freedom + 3.0)) / (ratio + 1.0) if between > 0.0 else 0.0
    estimate, error = float(values.mean()), math.sqrt(total)
    half_width = float(stdtrit(freedom, 0.5 + confidence / 2.0)) * error
    p_value = float(2.0 * t_distribution.sf(abs(estimate) / error, freedom))
    return PooledEstimate(estimate, estimate - half_width, estimate + half_width, error, freedom, p_value, fraction, m)


def pool_wald_test(estimates: ArrayLike, covariances: ArrayLike) -> PooledTest:
    """Return the pooled Wald test that k parameters are all zero (often called D1).

    Parameters
    ----------
    estimates : array_like of float, shape (m, k)
        The parameters in each table.
    covariances : array_like of float, shape (m, k, k)
        Their covariance in each table.

    Returns
    -------
    PooledTest
        F with k and a number of degrees of freedom that grows as the tables agree.

    Raises
    ------
    InputError
        Fewer than two tables, or shapes that do not match.

    Notes
    -----
    Assumes the missing information to be alike for all k parameters, as the reference does.

    References
    ----------
    .. [1] Li, Raghunathan, Rubin, J Am Stat Assoc 1991;86:1065-1073.
    """
    values, within = np.asarray(estimates, dtype=np.float64), np.asarray(covariances, dtype=np.float64)
    if values.ndim != 2 or values.shape[0] < 2 or within.shape != (*values.shape, values.shape[-1]):
        raise InputError(
            f"estimates {values.shape} and covariances {within.shape}: expected (m, k) and (m, k, k), m >= 2"
        )
    m, k = values.shape
    mean, mean_within = values.mean(axis=0), within.mean(axis=0)
    between = np.atleast_2d(np.cov(values, rowvar=False))
    rise = (1.0 + 1.0 / m) * float(np.trace(np.linalg.solve(mean_within, between))) / k
    statistic = float(mean @ np.linalg.solve(mean_within, mean)) / (k * (1.0 + rise))
    freedom = _li_degrees(k * (m - 1), k, rise)
    known = math.isinf(freedom)  # F with infinitely many degrees is chi-square over k, which scipy leaves undefined
    p_value = chi2.sf(k * statistic, k) if known else f_distribution.sf(statistic, k, freedom)
    return PooledTest(statistic, (float(k), freedom), float(p_value))


def _barnard_rubin(between_share: float, m: int, *, complete: float) -> float:
    old = math.inf if between_share <= 0.0 else (m - 1) / between_share**2
    if math.isinf(complete):
        return old
    observed = (complete + 1.0) / (complete + 3.0) * complete * (1.0 - between_share)
    return observed if math.isinf(old) else old * observed / (old + observed)


def _li_degrees(t: int, k: int, rise: float) -> float:
    if rise <= 0.0:
        return math.inf
    if t > 4:
        return 4.0 + (t - 4) * (1.0 + (1.0 - 2.0 / t) / rise) ** 2
    return t * (1.0 + 1.0 / k) * (1.0 + 1.0 / rise) ** 2 / 2.0


def _pooling_arrays(estimates: ArrayLike, variances: ArrayLike) -> tuple[Float64Array, Float64Array]:
    values, within = np.asarray(estimates, dtype=np.float64), np.asarray(variances, dtype=np.float64)
    if values.ndim != 1 or values.shape != within.shape or values.size < 2:
        raise InputError(f"estimates {values.shape} and variances {within.shape}: expected two of one length >= 2")
    if not (np.isfinite(values).all() and np.isfinite(within).all() and (within > 0.0).all()):
        raise InputError("pooling needs finite estimates and variances above 0")
    return values, within


def _one_table(
    table: Mapping[str, Float64Array],
    kinds: Mapping[str, ColumnKind],
    helpers: Sequence[Float64Array],
    *,
    settings: ImputationSettings,
    random: np.random.Generator,
) -> dict[str, Float64Array]:
    absent = {name: np.isnan(values) for name, values in table.items()}
    filled = {name: values.copy() for name, values in table.items()}
    to_visit = sorted((name for name in table if absent[name].any()), key=lambda name: int(absent[name].sum()))
    for name in to_visit:
        observed = table[name][~absent[name]]
        filled[name][absent[name]] = random.choice(observed, int(absent[name].sum()))
    for _ in range(settings.cycles):
        for name in to_visit:
            others = [values for other, values in filled.items() if other != name]
            design = _design([*others, *helpers], n=absent[name].size)
            draw = _draw_matched if kinds[name] is ColumnKind.NUMBER else _draw_yes_no
            filled[name][absent[name]] = draw(
                design[~absent[name]], table[name][~absent[name]], design[absent[name]], settings.donors, random
            )
    return filled


def _design(columns: Sequence[Float64Array], *, n: int) -> Float64Array:
    """Return an intercept and the standardised columns; constant ones are left out."""
    varying = [(column - column.mean()) / column.std() for column in columns if np.ptp(column) > 0.0]
    return np.column_stack([np.ones(n), *varying])


def _draw_matched(
    design: Float64Array, observed: Float64Array, wanted: Float64Array, donors: int, random: np.random.Generator
) -> Float64Array:
    """Return for each wanted row the value of a random one among the nearest observed patients."""
    gram = design.T @ design
    precision = gram + RIDGE * np.diag(np.diag(gram))
    fitted = np.linalg.solve(precision, design.T @ observed)
    residual = observed - design @ fitted
    freedom = max(observed.size - design.shape[1], 1)
    sigma = math.sqrt(float(residual @ residual) / random.chisquare(freedom))
    root = np.linalg.cholesky(np.linalg.inv(precision))
    drawn = fitted + sigma * root @ random.standard_normal(fitted.size)
    of_observed, of_wanted = design @ fitted, wanted @ drawn
    distance = np.abs(of_wanted[:, None] - of_observed[None, :])  # (wanted, observed)
    nearest = np.argpartition(distance, donors - 1, axis=1)[:, :donors]
    chosen = nearest[np.arange(len(wanted)), random.integers(donors, size=len(wanted))]
    return np.asarray(observed[chosen], dtype=np.float64)


def _draw_yes_no(
    design: Float64Array, observed: Float64Array, wanted: Float64Array, _donors: int, random: np.random.Generator
) -> Float64Array:
    """Return for each wanted row a yes or no, drawn from a logistic model with drawn coefficients."""
    if np.ptp(observed) == 0.0:
        return np.full(len(wanted), observed[0])
    fitted, information = _logistic(design, observed)
    root = np.linalg.cholesky(np.linalg.inv(information))
    drawn = fitted + root @ random.standard_normal(fitted.size)
    return (random.random(len(wanted)) < expit(wanted @ drawn)).astype(np.float64)


def _logistic(design: Float64Array, outcome: Float64Array) -> tuple[Float64Array, Float64Array]:
    """Return the mode of the coefficients and the information there, by Newton's method under the weak prior."""
    prior = LOGISTIC_PRIOR_PRECISION * np.eye(design.shape[1])
    beta = np.zeros(design.shape[1])
    for _ in range(50):
        chance = expit(design @ beta)
        information = (design.T * (chance * (1.0 - chance))) @ design + prior
        step = np.linalg.solve(information, design.T @ (outcome - chance) - prior @ beta)
        beta = beta + step / max(1.0, float(np.abs(step).max()) / 3.0)  # far steps overshoot where the slope is flat
        if np.abs(step).max() < 1e-8:
            break
    return beta, information


def _check_columns(
    table: Mapping[str, Float64Array],
    kinds: Mapping[str, ColumnKind],
    helpers: Mapping[str, Float64Array],
    *,
    donors: int,
) -> None:
    shapes = {name: values.shape for name, values in [*table.items(), *helpers.items()]}
    if len(set(shapes.values())) > 1 or any(len(shape) != 1 for shape in shapes.values()):
        raise InputError(f"columns must be of one length, got {shapes}")
    complaints = [f"{name} has no kind" for name in table if name not in kinds]
    complaints += [f"the predictor {name} has missing values" for name, v in helpers.items() if np.isnan(v).any()]
    for name, values in table.items():
        observed = values[~np.isnan(values)]
        if observed.size < donors:
            complaints.append(f"{name} has {observed.size} observed values, expected at least {donors}")
        if kinds.get(name) is ColumnKind.YES_NO and not np.isin(observed, (0.0, 1.0)).all():
            complaints.append(f"{name} is yes/no and must hold 0, 1 or nothing")
    if complaints:
        raise InputError("; ".join(complaints))


def _is_missing(values: ArrayLike) -> NDArray[np.bool_]:
    array = np.asarray(values)
    if array.dtype.kind in "biu":
        return np.zeros(array.shape, dtype=bool)
    if array.dtype.kind == "f":
        return np.asarray(np.isnan(array))
    return np.array([value is None or value == "" or value != value for value in array], dtype=bool)
