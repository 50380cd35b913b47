"""What stands in the way of a Cox model before, or although, it can be fitted: few events, empty groups, collinearity.

A finding that is fatal means that the model has no estimate; one that is not means that an estimate exists and should
be read with care.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from scipy.linalg import qr

from calcmap.core.errors import NotEstimableError
from calcmap.core.volume import BoolArray, Float64Array
from calcmap.prognosis.cox import fit_cox
from calcmap.prognosis.followup import FollowUp

EVENTS_PER_TERM = 10.0
"""Fewer events for each term are remarked on (Peduzzi 1995); 5 to 9 can do (Vittinghoff, McCulloch 2007)."""

VARIANCE_INFLATION = 10.0
"""A term whose variance the other terms inflate by more is nearly collinear (Marquardt 1970)."""

DEPENDENT_SHARE = 1e-7
"""A standardised term with less than this left beside the others follows from them (float64 noise; our choice)."""


class Problem(StrEnum):
    """What is wrong with a model."""

    NO_EVENTS = "no_events"
    CONSTANT = "constant"
    """A term has one value in all rows."""
    COLLINEAR = "collinear"
    """A term follows from the others."""
    EMPTY_GROUP = "empty_group"
    """A category without any patient."""
    GROUP_WITHOUT_EVENTS = "group_without_events"
    """A category in which nobody has the event: its hazard ratio is zero, or infinite for all others if it is the
    reference."""
    SEPARATION = "separation"
    """The likelihood rises without end along a term (monotone likelihood)."""
    NOT_ESTIMABLE = "not_estimable"
    """The fit failed for another reason."""
    FEW_EVENTS = "few_events"
    NEARLY_COLLINEAR = "nearly_collinear"


_FATAL = frozenset({Problem.NO_EVENTS, Problem.CONSTANT, Problem.COLLINEAR, Problem.EMPTY_GROUP, Problem.NOT_ESTIMABLE})


@dataclass(frozen=True)
class ModelWarning:
    """One finding about a model."""

    problem: Problem
    terms: tuple[str, ...]
    """Covariates concerned; empty when it is the whole model."""
    detail: str
    """One sentence with the numbers."""

    @property
    def is_fatal(self) -> bool:
        """Whether the model has no estimate at all (a term without a finite one leaves the others sound)."""
        return self.problem in _FATAL


def screen_model(
    table: FollowUp, names: Sequence[str] | None = None, *, categories: Mapping[str, Sequence[str]] | None = None
) -> tuple[ModelWarning, ...]:
    """Return everything that speaks against a Cox model of these covariates, fatal findings first.

    Parameters
    ----------
    table : FollowUp
        Follow-up and covariates.
    names : sequence of str, optional
        Covariates of the model; all by default.
    categories : mapping of str to sequence of str, optional
        For each categorical variable the 0/1 columns that stand for its levels above the reference; only so can the
        reference level be looked at. Other 0/1 columns are looked at as groups of their own.

    Returns
    -------
    tuple of ModelWarning
        Empty when nothing was found. The model is fitted only when nothing is fatal before.

    Raises
    ------
    InputError
        A covariate is not in the table.

    References
    ----------
    .. [1] Peduzzi, Concato, Feinstein, Holford, J Clin Epidemiol 1995;48:1503-1510.
    .. [2] Vittinghoff, McCulloch, Am J Epidemiol 2007;165:710-718.
    .. [3] Heinze, Schemper, Biometrics 2001;57:114-119 (monotone likelihood).
    .. [4] Marquardt, Technometrics 1970;12:591-612 (variance inflation).
    """
    chosen = table.names if names is None else tuple(names)
    x = table.columns(chosen)
    found = [*_events(table, chosen), *_constants(x, chosen)]
    found += _groups(x, chosen, table.is_event, categories or {})
    found += _collinearity(x, chosen)
    if not any(warning.is_fatal for warning in found):
        named = {term for warning in found if warning.problem is Problem.GROUP_WITHOUT_EVENTS for term in warning.terms}
        found += _separation(table, chosen, already_named=named)
    return tuple(sorted(found, key=lambda warning: not warning.is_fatal))


def _events(table: FollowUp, names: tuple[str, ...]) -> list[ModelWarning]:
    n = table.n_events
    if n == 0:
        return [ModelWarning(Problem.NO_EVENTS, (), f"nobody of {len(table)} has the event")]
    if n < EVENTS_PER_TERM * len(names):
        detail = f"{n} events for {len(names)} terms, {n / len(names):.1f} each; {EVENTS_PER_TERM:g} are advised"
        return [ModelWarning(Problem.FEW_EVENTS, (), detail)]
    return []


def _constants(x: Float64Array, names: tuple[str, ...]) -> list[ModelWarning]:
    return [
        ModelWarning(Problem.CONSTANT, (name,), f"{name!r} is {column[0]:g} in all {len(column)} rows")
        for name, column in zip(names, x.T, strict=True)
        if np.ptp(column) == 0.0
    ]


def _groups(
    x: Float64Array, names: tuple[str, ...], is_event: BoolArray, categories: Mapping[str, Sequence[str]]
) -> list[ModelWarning]:
    """Return findings on the levels of categorical variables and on both sides of every other 0/1 column."""
    column = dict(zip(names, x.T, strict=True))
    found, in_category = [], set()
    for variable, levels in categories.items():
        used = [level for level in levels if level in column]
        if not used:
            continue
        in_category.update(used)
        reference = ~np.any([column[level] > 0 for level in used], axis=0)
        found += _group(f"the reference level of {variable!r}", reference, is_event, tuple(used))
        for level in used:
            found += _group(repr(level), column[level] > 0, is_event, (level,))
    for name, values in column.items():
        if name in in_category or np.ptp(values) == 0.0 or not np.isin(values, (0.0, 1.0)).all():
            continue
        found += _group(f"{name!r} = 1", values > 0, is_event, (name,))
        found += _group(f"{name!r} = 0", values == 0, is_event, (name,))
    return found


def _group(label: str, member: BoolArray, is_event: BoolArray, terms: tuple[str, ...]) -> list[ModelWarning]:
    n = int(member.sum())
    if n == 0:
        return [ModelWarning(Problem.EMPTY_GROUP, terms, f"{label} holds no patient")]
    if not is_event[member].any() and is_event.any():
        return [ModelWarning(Problem.GROUP_WITHOUT_EVENTS, terms, f"none of the {n} patients of {label} has the event")]
    return []


def _collinearity(x: Float64Array, names: tuple[str, ...]) -> list[ModelWarning]:
    varying = np.ptp(x, axis=0) > 0.0
    kept = [name for name, varies in zip(names, varying, strict=True) if varies]
    if len(kept) < 2:
        return []
    z = (x[:, varying] - x[:, varying].mean(axis=0)) / x[:, varying].std(axis=0) / np.sqrt(len(x))
    _, triangle, order = qr(z, mode="economic", pivoting=True)
    left = np.zeros(len(kept))
    left[: min(triangle.shape)] = np.abs(np.diag(triangle))
    dependent = [kept[order[j]] for j in np.flatnonzero(left <= DEPENDENT_SHARE)]
    if dependent:
        detail = f"{', '.join(dependent)} can be computed from the other terms; leave it out"
        return [ModelWarning(Problem.COLLINEAR, tuple(dependent), detail)]
    inflation = np.diag(np.linalg.inv(z.T @ z))
    return [
        ModelWarning(
            Problem.NEARLY_COLLINEAR, (name,), f"the other terms inflate the variance of {name!r} by {value:.3g}"
        )
        for name, value in zip(kept, inflation.tolist(), strict=True)
        if value > VARIANCE_INFLATION
    ]


def _separation(table: FollowUp, names: tuple[str, ...], *, already_named: set[str]) -> list[ModelWarning]:
    try:
        fit = fit_cox(table, names)
    except NotEstimableError as error:
        return [ModelWarning(Problem.NOT_ESTIMABLE, (), str(error))]
    return [
        ModelWarning(Problem.SEPARATION, (name,), f"{name!r} separates those with the event: no finite hazard ratio")
        for name in fit.infinite
        if name not in already_named
    ]
