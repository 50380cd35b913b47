"""Percentile intervals from resampled patients, every model refitted in every draw.

The caller hands over one function: from the rows drawn to named numbers. What it cannot compute in a draw is counted,
with its reasons, and stands beside the interval; a draw is never left out in silence. Each draw has a random stream of
its own, numbered by seed and draw, so the result does not depend on the number of processes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial

import numpy as np
from numpy.typing import ArrayLike, NDArray

from calcmap.core.errors import CalcMapError, ConfigError, InputError
from calcmap.core.machine import usable_cores
from calcmap.core.volume import Float64Array
from calcmap.statistics.bootstrap import UNDEFINED_SHARE
from calcmap.statistics.estimates import CONFIDENCE, Estimate
from calcmap.statistics.processes import run_draws

Rows = NDArray[np.int64]
"""Row numbers of the patients drawn, with repetitions; shape (drawn,)."""

DRAWS = 1000
"""Resamples unless told otherwise; as nricens, and as the paper's interval suggests (FACTS 4.1)."""

DRAWS_PER_TASK = 8
"""Draws that a process takes at a time: few enough for an even progress bar, enough to hide the passing of them."""


@dataclass(frozen=True)
class Undefined:
    """A statistic that the drawn patients do not define, and why."""

    reason: str


Statistics = Callable[[Rows], Mapping[str, "float | Undefined"]]
"""From rows to named numbers, picklable for more than one process. May raise a `CalcMapError` for all of them."""


class QuantileType(StrEnum):
    """Which of the nine sample quantiles of Hyndman and Fan (1996) the limits are."""

    TYPE_2 = "type2"
    """Inverse of the empirical distribution, averaged at its steps; nricens'."""
    TYPE_7 = "type7"
    """Linear between order statistics; the default of R and numpy."""


@dataclass(frozen=True)
class BootstrapSettings:
    """How often, from where, and which limits.

    Parameters
    ----------
    draws : int
        Number of resamples, at least 1.
    seed : int
        Of all random streams, at least 0.
    confidence : float
        Coverage of the intervals, between 0 and 1.
    quantile_type : QuantileType
        How the limits are read from the draws.
    """

    draws: int = DRAWS
    seed: int = 1
    confidence: float = CONFIDENCE
    quantile_type: QuantileType = QuantileType.TYPE_2

    def __post_init__(self) -> None:
        """Refuse settings out of range, all of them at once."""
        complaints = []
        if self.draws < 1:
            complaints.append(f"draws is {self.draws}, expected at least 1")
        if self.seed < 0:
            complaints.append(f"seed is {self.seed}, expected at least 0")
        if not 0.0 < self.confidence < 1.0:
            complaints.append(f"confidence is {self.confidence}, expected a number between 0 and 1")
        if complaints:
            raise ConfigError("; ".join(complaints))


@dataclass(frozen=True)
class BootstrapInterval(Estimate):
    """One statistic: its value on the patients themselves, and the spread of its draws.

    ``reason`` says why there is no estimate, or why it has no interval.
    """

    standard_error: float | None = None
    """Standard deviation of the draws (n - 1); ``None`` where there is no interval."""
    draws_used: int = 0
    failures: Mapping[str, int] = field(default_factory=dict)
    """Reasons of the draws without a value, and how many had each."""

    @property
    def draws_failed(self) -> int:
        """Return the number of draws that gave no value."""
        return sum(self.failures.values())


@dataclass(frozen=True)
class BootstrapResult:
    """All statistics of one run of draws."""

    intervals: Mapping[str, BootstrapInterval]
    draws: Mapping[str, Float64Array]
    """The values that were found, in order of draws, by statistic; failed draws are not among them."""
    settings: BootstrapSettings


class Resampling:
    """How patients are drawn: singly or by whole clusters, from all or within strata.

    Parameters
    ----------
    n_patients : int
        Rows of the table.
    stratum : array_like of shape (n_patients,), optional
        Each stratum keeps its number of patients (or clusters).
    cluster : array_like of shape (n_patients,), optional
        Clusters (such as centres) are drawn whole; each must lie within one stratum. The number of patients then
        varies.

    Raises
    ------
    InputError
        No patients, labels of another length, or a cluster in two strata.

    References
    ----------
    .. [1] Davison, Hinkley, Bootstrap Methods and their Application, 1997, sections 3.2 and 3.8.
    """

    def __init__(self, n_patients: int, *, stratum: ArrayLike | None = None, cluster: ArrayLike | None = None) -> None:
        if n_patients < 1:
            raise InputError(f"there are {n_patients} patients to draw from, expected at least 1")
        strata = _codes(stratum, n_patients, name="stratum")
        self.n_patients = n_patients
        if cluster is None:
            self._rows_of_unit: list[Rows] | None = None
            self._units_of_stratum = [np.flatnonzero(strata == code) for code in np.unique(strata)]
            return
        clusters = _codes(cluster, n_patients, name="cluster")
        self._rows_of_unit = [np.flatnonzero(clusters == code) for code in np.unique(clusters)]
        split = [rows for rows in self._rows_of_unit if np.unique(strata[rows]).size > 1]
        if split:
            raise InputError(f"{len(split)} clusters lie in more than one stratum; each must lie in one")
        of_unit = np.array([strata[rows[0]] for rows in self._rows_of_unit])
        self._units_of_stratum = [np.flatnonzero(of_unit == code) for code in np.unique(of_unit)]

    def draw(self, random: np.random.Generator) -> Rows:
        """Return the rows of one resample; their order carries no meaning."""
        units = np.concatenate([random.choice(units, units.size) for units in self._units_of_stratum])
        if self._rows_of_unit is None:
            return units
        return np.concatenate([self._rows_of_unit[unit] for unit in units])


def bootstrap(
    statistics: Statistics,
    resampling: Resampling,
    *,
    settings: BootstrapSettings | None = None,
    workers: int | None = None,
    advance: Callable[[int], object] | None = None,
) -> BootstrapResult:
    """Return each statistic of the patients with its percentile interval.

    Parameters
    ----------
    statistics : callable
        From rows to named numbers, refitting whatever is fitted; called once with all rows in order for the estimates.
    resampling : Resampling
        How patients are drawn.
    settings : BootstrapSettings, optional
        Draws, seed, coverage, kind of quantile.
    workers : int, optional
        Processes; all usable cores unless told. With 1 nothing leaves this process.
    advance : callable, optional
        Called with the number of draws just finished, for a progress bar.

    Returns
    -------
    BootstrapResult
        A statistic without a value on the patients themselves has no interval, and neither has one that more than
        `UNDEFINED_SHARE` of the draws do not define.

    Raises
    ------
    CalcMapError
        What ``statistics`` raises on the patients themselves.
    ConfigError
        ``workers`` below 1.

    Notes
    -----
    An error of the project's own tree, or a singular matrix, in a draw is a failed refit and is counted; anything else
    is a fault of the program and ends the run. Draws that fail are not replaced: the limits would be those of the
    samples that can be fitted. For the same reason there are none when many fail.

    References
    ----------
    .. [1] Efron, Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13.
    .. [2] Hyndman, Fan, Am Stat 1996;50:361-365 (types of quantile).
    """
    settings = settings or BootstrapSettings()
    if workers is not None and workers < 1:
        raise ConfigError(f"workers is {workers}, expected at least 1")
    estimates = statistics(np.arange(resampling.n_patients, dtype=np.int64))
    outcomes: dict[int, Mapping[str, float | Undefined] | Undefined] = {}
    job = partial(_some_draws, statistics, resampling, settings.seed)
    processes = workers or usable_cores()
    for finished in run_draws(job, settings.draws, at_a_time=DRAWS_PER_TASK, workers=processes):
        outcomes.update(finished)
        if advance is not None:
            advance(len(finished))
    in_order = [outcomes[number] for number in range(settings.draws)]
    values: dict[str, Float64Array] = {}
    intervals: dict[str, BootstrapInterval] = {}
    for name, estimate in estimates.items():
        values[name], failures = _collect(name, in_order)
        intervals[name] = _interval(estimate, values[name], failures, n=resampling.n_patients, settings=settings)
    return BootstrapResult(intervals, values, settings)


def percentile_limits(
    draws: ArrayLike, *, confidence: float = CONFIDENCE, quantile_type: QuantileType = QuantileType.TYPE_2
) -> tuple[float, float]:
    """Return the limits that leave an equal share of the draws outside on either side.

    Parameters
    ----------
    draws : array_like of float, shape (n,)
        Finite, at least one.
    confidence : float
        Share of the draws between the limits, between 0 and 1.
    quantile_type : QuantileType
        How a quantile between two draws is read.

    Returns
    -------
    tuple of float
        Lower and upper limit.

    Raises
    ------
    InputError
        No draws, values that are not finite, or a confidence out of range.
    """
    values = np.asarray(draws, dtype=np.float64)
    if values.size == 0 or not np.isfinite(values).all():
        raise InputError("percentile limits need draws, and finite ones")
    if not 0.0 < confidence < 1.0:
        raise InputError(f"confidence is {confidence}, expected a number between 0 and 1")
    tail = (1.0 - confidence) / 2.0
    if quantile_type is QuantileType.TYPE_2:
        low, high = _type_2_quantile(values, tail), _type_2_quantile(values, 1.0 - tail)
    else:
        low, high = (float(limit) for limit in np.quantile(values, [tail, 1.0 - tail], method="linear"))
    return low, high


def _type_2_quantile(values: Float64Array, share: float) -> float:
    """Return the type 2 quantile; as in R, a position within rounding of a whole number is that number."""
    ordered, position = np.sort(values), values.size * share
    nearest = round(position)
    if abs(position - nearest) < 1e-9 * values.size:  # 1000 x 0.025 is 25.000000000000004 or so in float64
        below, above = max(nearest - 1, 0), min(nearest, values.size - 1)
        return float(ordered[below] + ordered[above]) / 2.0
    return float(ordered[int(np.floor(position))])


_Outcome = Mapping[str, "float | Undefined"] | Undefined


def _some_draws(statistics: Statistics, resampling: Resampling, seed: int, numbers: range) -> dict[int, _Outcome]:
    outcomes: dict[int, _Outcome] = {}
    for number in numbers:
        random = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(number,)))
        try:
            outcomes[number] = dict(statistics(resampling.draw(random)))
        except CalcMapError as error:
            outcomes[number] = Undefined(str(error))
        except np.linalg.LinAlgError:
            outcomes[number] = Undefined("a matrix of the model is singular")
    return outcomes


def _collect(name: str, outcomes: list[_Outcome]) -> tuple[Float64Array, dict[str, int]]:
    """Return the values found for one statistic and the reasons of the draws without one."""
    found: list[float] = []
    failures: Counter[str] = Counter()
    for outcome in outcomes:
        value = outcome if isinstance(outcome, Undefined) else outcome.get(name, Undefined("not computed"))
        if isinstance(value, Undefined):
            failures[value.reason] += 1
        elif not np.isfinite(value):
            failures["not a finite number"] += 1
        else:
            found.append(float(value))
    return np.array(found, dtype=np.float64), dict(failures.most_common())


def _interval(
    estimate: float | Undefined,
    draws: Float64Array,
    failures: dict[str, int],
    *,
    n: int,
    settings: BootstrapSettings,
) -> BootstrapInterval:
    used, failed = draws.size, settings.draws - draws.size
    if isinstance(estimate, Undefined):
        return BootstrapInterval(None, None, None, n, estimate.reason, draws_used=used, failures=failures)
    if used < 2 or failed > UNDEFINED_SHARE * settings.draws:
        reason = f"{failed} of {settings.draws} draws gave no value, so there is no interval"
        return BootstrapInterval(float(estimate), None, None, n, reason, draws_used=used, failures=failures)
    low, high = percentile_limits(draws, confidence=settings.confidence, quantile_type=settings.quantile_type)
    error = float(draws.std(ddof=1))
    return BootstrapInterval(float(estimate), low, high, n, standard_error=error, draws_used=used, failures=failures)


def _codes(labels: ArrayLike | None, n_patients: int, *, name: str) -> NDArray[np.int64]:
    if labels is None:
        return np.zeros(n_patients, dtype=np.int64)
    array = np.asarray(labels)
    if array.shape != (n_patients,):
        raise InputError(f"{name} has shape {array.shape}, expected ({n_patients},), one a patient")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise InputError(f"{name} holds missing values")
    return np.unique(array, return_inverse=True)[1].astype(np.int64)
