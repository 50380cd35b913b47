"""All models of an analysis refitted to one draw of patients, and everything that is bootstrapped, in one go.

One draw fits the base model once and each reading's model once; net reclassification, discrimination improvement,
concordance and areas are all taken from these fits, so that they, and their differences between readings, come from
the same patients.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from calcmap.core.errors import InputError, NotEstimableError
from calcmap.core.volume import Float64Array
from calcmap.prognosis.added_value import (
    CategoryNri,
    ContinuousNri,
    Measure,
    ModelPair,
    discrimination_improvement,
)
from calcmap.prognosis.bootstrap import (
    BootstrapResult,
    BootstrapSettings,
    Resampling,
    Rows,
    Undefined,
    bootstrap,
)
from calcmap.prognosis.cox import Between, CoxFit, fit_cox, linear_predictor, predict_risk
from calcmap.prognosis.discrimination import time_dependent_auc
from calcmap.prognosis.followup import FollowUp
from calcmap.prognosis.partial_likelihood import Ties
from calcmap.prognosis.reclassification import CensoringEstimator
from calcmap.prognosis.study import BASE

NRI_PARTS = ("nri", "event", "nonevent", "up_event", "down_event", "down_nonevent", "up_nonevent")
IDI_PARTS = ("idi", "event", "nonevent")
RANKS = ("c", "area")
OPTIMISM = "c_optimism"
"""By how much Harrell's C of a refitted model is higher on the draw that it was fitted to than on all patients."""
EVENTS_AT_ONCE = 256
"""Events laid against all patients in one piece: the piece stays near the processor (our choice)."""

CONTRASTED = ("nri_km.nri", "nri_km.event", "nri_km.nonevent")

Values = dict[str, "float | Undefined"]


@dataclass(frozen=True, eq=False)
class Refits:
    """Everything that is bootstrapped, as a function of rows; hand it to `calcmap.prognosis.bootstrap.bootstrap`.

    Numbers are named ``MODEL.MEASURE`` (``dl.nri_km.event``, ``base.c``) and ``FIRST-SECOND.MEASURE`` for differences
    between two models.

    Parameters
    ----------
    table : FollowUp
        All patients; with imputation all imputed tables, one behind the other.
    base : tuple of str
        Terms of the base model.
    extended : mapping of str to tuple of str
        By reading, the terms of its model: the base's and its own.
    horizon : float
        In the table's unit of time.
    cut_offs : tuple of float
        Of the risk, for the categorical net reclassification; none without them.
    ties : Ties
        How events at one time share their risk set.
    n_tables : int
        Imputed tables that stand one behind the other.
    """

    table: FollowUp
    base: tuple[str, ...]
    extended: Mapping[str, tuple[str, ...]]
    horizon: float
    cut_offs: tuple[float, ...] = ()
    ties: Ties = Ties.EFRON
    n_tables: int = 1

    @property
    def measures(self) -> tuple[Measure, ...]:
        """What is asked of each pair of base and extended model."""
        categorical = tuple(CategoryNri(self.cut_offs, each) for each in CensoringEstimator) if self.cut_offs else ()
        return (
            *(ContinuousNri(estimator=each) for each in CensoringEstimator),
            *categorical,
            discrimination_improvement,
        )

    def __call__(self, rows: Rows) -> Values:
        """Return every number of the models refitted to the rows.

        A reading whose model cannot be fitted, or risks that cannot be predicted, are `Undefined` with the reason; the
        other readings keep their numbers.

        Raises
        ------
        NotEstimableError
            The base model cannot be fitted to these rows.
        """
        table, whole = self.table.rows(rows), self._whole_of(rows)
        base = fit_cox(table, self.base, ties=self.ties)
        found = self._ranks(BASE, table, base, whole=whole)
        base_risk = self._risk(base, table)
        for reading, names in self.extended.items():
            try:
                fit = fit_cox(table, names, ties=self.ties)
            except NotEstimableError as error:
                found |= self._undefined(reading, (*RANKS, OPTIMISM), str(error))
                found |= self._undefined(reading, self._names_of_pairs(), str(error))
                continue
            found |= self._ranks(reading, table, fit, whole=whole)
            risk = self._risk(fit, table)
            if isinstance(base_risk, str) or isinstance(risk, str):
                why = base_risk if isinstance(base_risk, str) else str(risk)
                found |= self._undefined(reading, self._names_of_pairs(), why)
                continue
            pair = ModelPair(table, base, fit, self.horizon, base_risk, risk)
            for measure in self.measures:
                found |= {f"{reading}.{name}": value for name, value in measure(pair).items()}
        return found | self._differences(found)

    def _whole_of(self, rows: Rows) -> FollowUp:
        """Return all patients, of that imputed table which the rows are from."""
        n = len(self.table) // self.n_tables
        first = int(rows[0]) // n * n
        return self.table.rows(np.arange(first, first + n))

    def _ranks(self, model: str, table: FollowUp, fit: CoxFit, *, whole: FollowUp) -> Values:
        risk = linear_predictor(fit, table)
        share, elsewhere = concordance_share(table, risk), concordance_share(whole, linear_predictor(fit, whole))
        area = time_dependent_auc(table, risk, times=[self.horizon]).areas[0]
        none = Undefined("no two patients can be compared")
        return {
            f"{model}.c": none if share is None else share,
            f"{model}.{OPTIMISM}": none if share is None or elsewhere is None else share - elsewhere,
            f"{model}.area": Undefined(area.reason or "not defined") if area.estimate is None else area.estimate,
        }

    def _risk(self, fit: CoxFit, table: FollowUp) -> Float64Array | str:
        """Return the risks at the horizon, or why there are none."""
        try:
            return predict_risk(fit, table, at=self.horizon, between=Between.LINEAR)
        except InputError as error:
            return str(error)

    def _names_of_pairs(self) -> tuple[str, ...]:
        kinds = ("nri", "category_nri") if self.cut_offs else ("nri",)
        of_nri = [f"{kind}_{each.value}.{part}" for kind in kinds for each in CensoringEstimator for part in NRI_PARTS]
        return (*of_nri, *(f"idi.{part}" for part in IDI_PARTS))

    def _undefined(self, reading: str, names: tuple[str, ...], reason: str) -> Values:
        return {f"{reading}.{name}": Undefined(reason) for name in names}

    def _differences(self, found: Values) -> Values:
        readings = list(self.extended)
        values: Values = {}
        for first, second in contrasts_of(readings):
            names = RANKS if second == BASE else (*RANKS, *CONTRASTED)
            for name in names:
                one, other = found[f"{first}.{name}"], found[f"{second}.{name}"]
                values[f"{first}-{second}.{name}"] = _less(one, other)
        return values


class ImputedResampling(Resampling):
    """Patients drawn from imputed tables that stand one behind the other: each draw is from one table, at random.

    Parameters
    ----------
    within : Resampling
        How patients are drawn from one table.
    n_tables : int
        Imputed tables.

    References
    ----------
    .. [1] Schomaker, Heumann, Stat Med 2018;37:2252-2266 ("MI Boot, pooled sample").
    """

    def __init__(self, within: Resampling, *, n_tables: int) -> None:
        super().__init__(within.n_patients)
        self._within = within
        self._n_tables = n_tables

    def draw(self, random: np.random.Generator) -> Rows:
        """Return the rows of one resample of one table."""
        first = int(random.integers(self._n_tables)) * self.n_patients
        return self._within.draw(random) + first


def contrasts_of(readings: list[str]) -> list[tuple[str, str]]:
    """Return which models are compared: each reading with `BASE`, then the first reading with each other."""
    return [(name, BASE) for name in readings] + [(readings[0], name) for name in readings[1:]]


def bootstrap_refits(
    refits: Refits,
    resampling: Resampling,
    *,
    n_tables: int = 1,
    settings: BootstrapSettings,
    workers: int | None = None,
    advance: Callable[[int], object] | None = None,
) -> BootstrapResult:
    """Return all numbers of the refitted models with their percentile intervals.

    Parameters
    ----------
    refits : Refits
        What to compute.
    resampling : Resampling
        How patients are drawn from one table.
    n_tables : int
        Imputed tables in the refits' table.
    settings : BootstrapSettings
        Draws, seed, coverage.
    workers : int, optional
        Processes; all usable cores unless told.
    advance : callable, optional
        Called with the number of draws just finished.

    Returns
    -------
    BootstrapResult
        With several tables, an estimate is the mean over them, where all define it.

    Raises
    ------
    NotEstimableError
        The base model cannot be fitted to the patients.
    """
    drawn = resampling if n_tables == 1 else ImputedResampling(resampling, n_tables=n_tables)
    result = bootstrap(refits, drawn, settings=settings, workers=workers, advance=advance)
    if n_tables == 1:
        return result
    n = resampling.n_patients
    of_tables = [refits(np.arange(k * n, (k + 1) * n, dtype=np.int64)) for k in range(n_tables)]
    means = {name: _mean([values[name] for values in of_tables]) for name in result.intervals}
    intervals = {
        name: replace(interval, estimate=None, low=None, high=None, reason=mean.reason)
        if isinstance(mean := means[name], Undefined)
        else replace(interval, estimate=mean)
        for name, interval in result.intervals.items()
    }
    return BootstrapResult(intervals, result.draws, result.settings)


def concordance_share(table: FollowUp, risk: Float64Array) -> float | None:
    """Return Harrell's C alone, without its standard error, many times faster than `harrell_c`.

    Parameters
    ----------
    table : FollowUp
        Follow-up without case weights; pairs are within a stratum.
    risk : ndarray of float, shape (n,)
        Higher = riskier.

    Returns
    -------
    float or None
        0 to 1; ``None`` where no two patients can be compared.
    """
    stratum = np.zeros(len(table), dtype=np.int64) if table.stratum is None else table.stratum
    order = np.lexsort((~table.is_event, table.time, stratum))
    time, is_event, stratum = table.time[order], table.is_event[order], stratum[order]
    ends = np.searchsorted(stratum, stratum, side="right")
    is_new = np.concatenate([[True], (np.diff(time) != 0) | (np.diff(stratum) != 0) | (np.diff(is_event) != 0)])
    starts = np.append(np.flatnonzero(is_new), len(time))[np.cumsum(is_new)]  # behind those who die together
    rank = np.unique(risk[order], return_inverse=True)[1].astype(np.int32)  # small numbers compare fastest
    place, events = np.arange(len(time), dtype=np.int32), np.flatnonzero(is_event)
    won = tied = 0
    for first in range(0, len(events), EVENTS_AT_ONCE):
        some = events[first : first + EVENTS_AT_ONCE, None]
        later = (place >= starts[some].astype(np.int32)) & (place < ends[some].astype(np.int32))
        won += int(np.count_nonzero(later & (rank < rank[some])))
        tied += int(np.count_nonzero(later & (rank == rank[some])))
    total = int((ends - starts)[events].sum())
    return (won + tied / 2) / total if total else None


def _less(one: float | Undefined, other: float | Undefined) -> float | Undefined:
    if isinstance(one, Undefined):
        return one
    return other if isinstance(other, Undefined) else one - other


def _mean(values: list[float | Undefined]) -> float | Undefined:
    lacking = next((each for each in values if isinstance(each, Undefined)), None)
    if lacking is not None:
        return lacking
    return float(np.mean([each for each in values if not isinstance(each, Undefined)]))
