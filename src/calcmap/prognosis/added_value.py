"""What more terms add to a Cox model: both models fitted to the same rows, and every measure of the difference.

`AddedValue` is what the bootstrap calls: it refits both models on the rows drawn and asks each measure. A measure is a
function from the fitted pair to named numbers; those of this module cover the paper, others can stand beside them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from calcmap.core.errors import InputError, NotEstimableError
from calcmap.core.volume import Float64Array
from calcmap.prognosis.bootstrap import Rows, Undefined
from calcmap.prognosis.cox import Between, CoxFit, added_value, fit_cox, linear_predictor, predict_risk
from calcmap.prognosis.discrimination import harrell_c
from calcmap.prognosis.followup import FollowUp
from calcmap.prognosis.partial_likelihood import Ties
from calcmap.prognosis.reclassification import (
    CensoringEstimator,
    MovesArray,
    Reclassification,
    integrated_discrimination,
    moves_by_category,
    moves_by_difference,
    net_reclassification,
)


@dataclass(frozen=True, eq=False)
class ModelPair:
    """Two nested models of the same rows, and the risks they predict."""

    table: FollowUp
    base: CoxFit
    extended: CoxFit
    horizon: float
    """In the table's unit of time."""
    base_risk: Float64Array
    """Probability of the event by the horizon, shape (n,)."""
    extended_risk: Float64Array


Numbers = Mapping[str, "float | Undefined"]
Measure = Callable[[ModelPair], Numbers]
"""From the fitted pair to named numbers; picklable, for several processes."""


@dataclass(frozen=True)
class ContinuousNri:
    """Net reclassification by any difference of risk (or by more than one), as a measure.

    Names its numbers ``PREFIX.nri``, ``.event``, ``.nonevent`` and the four shares, for instance ``nri_km.up_event``.
    """

    estimator: CensoringEstimator = CensoringEstimator.KAPLAN_MEIER
    more_than: float = 0.0

    def __call__(self, pair: ModelPair) -> Numbers:
        """Return the net reclassification of the pair and its parts."""
        moves = moves_by_difference(pair.base_risk, pair.extended_risk, more_than=self.more_than)
        beyond = f"_{self.more_than:g}" if self.more_than else ""
        return _reclassified(pair, moves, self.estimator, prefix=f"nri_{self.estimator.value}{beyond}")


@dataclass(frozen=True)
class CategoryNri:
    """Net reclassification across cut-offs of risk, as a measure; numbers named ``category_nri_km.nri`` and so on."""

    cut_offs: tuple[float, ...]
    estimator: CensoringEstimator = CensoringEstimator.KAPLAN_MEIER

    def __call__(self, pair: ModelPair) -> Numbers:
        """Return the net reclassification of the pair and its parts."""
        moves = moves_by_category(pair.base_risk, pair.extended_risk, cut_offs=self.cut_offs)
        return _reclassified(pair, moves, self.estimator, prefix=f"category_nri_{self.estimator.value}")


def discrimination_improvement(pair: ModelPair) -> Numbers:
    """Return the integrated discrimination improvement (``idi``) and its two parts."""
    table = pair.table
    found = integrated_discrimination(
        table.time, table.is_event, pair.base_risk, pair.extended_risk, horizon=pair.horizon
    )
    return _named("idi", {"idi": found.idi, "event": found.event, "nonevent": found.nonevent}, found.reason)


def concordance(pair: ModelPair) -> Numbers:
    """Return Harrell's C of both models and the gain, ``c.base``, ``c.extended`` and ``c.difference``."""
    found = [harrell_c(pair.table, linear_predictor(fit, pair.table)) for fit in (pair.base, pair.extended)]
    base, extended = (each.estimate for each in found)
    gain = None if base is None or extended is None else extended - base
    return _named("c", {"base": base, "extended": extended, "difference": gain}, found[0].reason)


def likelihood_ratio(pair: ModelPair) -> Numbers:
    """Return the likelihood-ratio chi-square of the added terms, ``lr_chi2``."""
    return {"lr_chi2": added_value(pair.base, pair.extended).statistic}


def log_hazard_ratios(pair: ModelPair) -> Numbers:
    """Return each term's log hazard ratio in the extended model, named ``log_hr.TERM``."""
    return {
        f"log_hr.{name}": Undefined(f"the hazard ratio of {name!r} is infinite or zero")
        if name in pair.extended.infinite
        else value
        for name, value in zip(pair.extended.names, pair.extended.log_hr.tolist(), strict=True)
    }


DEFAULT_MEASURES: tuple[Measure, ...] = (
    ContinuousNri(CensoringEstimator.KAPLAN_MEIER),
    ContinuousNri(CensoringEstimator.INVERSE_WEIGHTING),
    discrimination_improvement,
    concordance,
    likelihood_ratio,
    log_hazard_ratios,
)
"""The paper's measures of added value that need no cut-off."""


@dataclass(frozen=True, eq=False)
class AddedValue:
    """All measures of what the extended model adds, as a function of rows; hand it to `bootstrap`.

    Parameters
    ----------
    table : FollowUp
        All patients.
    base : tuple of str
        Covariates of the base model.
    extended : tuple of str
        Those of the extended one: all of the base's and at least one more.
    horizon : float
        Time at which risks are predicted, in the table's unit.
    measures : tuple of callable
        What to compute of each fitted pair.
    between : Between
        The baseline hazard between observed times; linear is nricens'.
    ties : Ties
        How events at one time share their risk set. A resample holds ties that the patients do not.

    Raises
    ------
    InputError
        The models are not nested, or a covariate is not in the table.
    """

    table: FollowUp
    base: tuple[str, ...]
    extended: tuple[str, ...]
    horizon: float
    measures: tuple[Measure, ...] = DEFAULT_MEASURES
    between: Between = Between.LINEAR
    ties: Ties = Ties.EFRON

    def __post_init__(self) -> None:
        """Refuse models that are not nested."""
        lost = [name for name in self.base if name not in self.extended]
        if lost or len(self.extended) <= len(self.base):
            what = f"{lost[0]!r} is in the base model alone" if lost else "the extended model adds nothing"
            raise InputError(f"the models are not nested: {what}")
        self.table.columns(self.extended)

    def __call__(self, rows: Rows) -> dict[str, float | Undefined]:
        """Return every measure of both models refitted to the rows.

        Raises
        ------
        NotEstimableError
            A model cannot be fitted to these rows, or they leave a stratum empty.
        """
        pair = self.fit(rows)
        return {name: value for measure in self.measures for name, value in measure(pair).items()}

    def fit(self, rows: Rows) -> ModelPair:
        """Return both models fitted to the rows, with their risks at the horizon.

        Raises
        ------
        NotEstimableError
            A model cannot be fitted to these rows, or they leave a stratum empty.
        InputError
            Follow-up of the rows ends before the horizon.
        """
        table = self.table.rows(rows)
        if table.stratum is not None and self.table.stratum is not None:
            absent = np.setdiff1d(self.table.stratum, table.stratum)
            if absent.size:
                raise NotEstimableError("a stratum has no patient; resample within strata")
        base, extended = (fit_cox(table, names, ties=self.ties) for names in (self.base, self.extended))
        base_risk, extended_risk = (
            predict_risk(fit, table, at=self.horizon, between=self.between) for fit in (base, extended)
        )
        return ModelPair(table, base, extended, self.horizon, base_risk, extended_risk)


def _reclassified(pair: ModelPair, moves: MovesArray, estimator: CensoringEstimator, *, prefix: str) -> Numbers:
    table = pair.table
    found = net_reclassification(table.time, table.is_event, moves, horizon=pair.horizon, estimator=estimator)
    return _named(prefix, _parts(found), found.reason)


def _parts(found: Reclassification) -> dict[str, float | None]:
    return {
        "nri": found.nri,
        "event": found.nri_event,
        "nonevent": found.nri_nonevent,
        "up_event": found.up_given_event,
        "down_event": found.down_given_event,
        "down_nonevent": found.down_given_nonevent,
        "up_nonevent": found.up_given_nonevent,
    }


def _named(prefix: str, values: Mapping[str, float | None], reason: str | None) -> Numbers:
    why = Undefined(reason or "not defined")
    return {f"{prefix}.{name}": why if value is None else value for name, value in values.items()}
