"""Cox's partial likelihood and its derivatives, by whole-array sums over risk sets.

The trick that makes a fit fast: the second moment of the covariates is never formed for each event. Summed over events,
it is one product ``x' diag(q) x``, where row j's ``q`` is its risk times the baseline hazard it lived through; what is
left are the means at each event, another product. One evaluation of 2,271 rows and 12 covariates takes a fraction of a
millisecond.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from calcmap.core.volume import Float64Array
from calcmap.prognosis.followup import FollowUp

Places = NDArray[np.int64]


class Ties(StrEnum):
    """How events at one time share their risk set."""

    EFRON = "efron"
    """Those who die together leave the risk set one after the other, each in equal parts (Efron 1977); R's default."""
    BRESLOW = "breslow"
    """All who die together see the whole risk set (Breslow 1974)."""


@dataclass(frozen=True, eq=False)
class RiskSets:
    """Who is at risk at each event time; rows sorted by stratum, and within it from the latest time to the earliest.

    A risk set is then a run of rows that begins where its stratum begins. "Groups" are the distinct event times of
    the strata, G in all, in the same order; "deaths" are the rows with an event, E in all, group by group.
    """

    order: Places
    """Row of the table that stands at each place, shape (n,)."""
    weight: Float64Array
    """Case weights, shape (n,)."""
    death: Places
    """Places of the deaths, shape (E,)."""
    group: Places
    """Group of each death, shape (E,)."""
    share: Float64Array
    """Part of the group's own risk that has left when this death is counted: k / m with Efron's ties, else 0."""
    death_weight: Float64Array
    """Mean case weight of the group, shape (E,): what each of its deaths counts."""
    first_death: Places
    """Where in `death` each group begins, shape (G,)."""
    end: Places
    """Place behind the last of the group's risk set, shape (G,)."""
    first_group: Places
    """Latest group whose risk set holds the row, shape (n,); G if it is in none."""
    row_edges: tuple[int, ...]
    """Places where the strata begin, and n."""
    group_edges: tuple[int, ...]
    """Groups where the strata begin, and G."""
    group_time: Float64Array
    """Event time of each group, shape (G,)."""
    group_stratum: Places
    """Stratum of each group, shape (G,)."""

    def at_risk(self, values: Float64Array) -> Float64Array:
        """Return the sum of sorted rows' values over each group's risk set, shape (G, ...)."""
        return np.asarray(_sums_within(values, self.row_edges)[self.end - 1])

    def dying(self, values: Float64Array) -> Float64Array:
        """Return the sum of sorted rows' values over the deaths of each group, shape (G, ...)."""
        return np.asarray(np.add.reduceat(values[self.death], self.first_death, axis=0))

    def per_group(self, values: Float64Array) -> Float64Array:
        """Return the sum of deaths' values in each group, shape (G, ...)."""
        return np.asarray(np.add.reduceat(values, self.first_death, axis=0))

    def lived_through(self, values: Float64Array) -> Float64Array:
        """Return for each sorted row the sum of groups' values over the groups whose risk set holds it."""
        n_groups = self.group_edges[-1]
        edges = tuple(n_groups - edge for edge in reversed(self.group_edges))
        from_here_on = _sums_within(values[::-1], edges)[::-1]
        return np.asarray(np.concatenate([from_here_on, np.zeros_like(values[:1])])[self.first_group])


@dataclass(frozen=True, eq=False)
class Moments:
    """What one set of coefficients makes of the risk sets; x has the rows sorted."""

    x: Float64Array
    """Covariates, shape (n, p)."""
    risk: Float64Array
    """Case weight times exp(linear predictor), shape (n,)."""
    denominator: Float64Array
    """Risk in front of each death, shape (E,)."""
    mean: Float64Array
    """Risk-weighted mean of the covariates in front of each death, shape (E, p)."""
    log_likelihood: float
    score: Float64Array
    """First derivative, shape (p,)."""


def risk_sets(table: FollowUp, *, ties: Ties) -> RiskSets:
    """Return the risk sets of a table that has at least one event."""
    n = len(table)
    stratum = np.zeros(n, dtype=np.int64) if table.stratum is None else table.stratum
    order = np.lexsort((-table.time, stratum))
    time, stratum, is_event = table.time[order], stratum[order], table.is_event[order]
    weight = np.ones(n) if table.weight is None else table.weight[order]
    is_last = np.append((np.diff(time) != 0) | (np.diff(stratum) != 0), True)
    block = np.concatenate([[0], np.cumsum(is_last)[:-1]])
    death = np.flatnonzero(is_event)
    groups, first_death, group, size = np.unique(
        block[death], return_index=True, return_inverse=True, return_counts=True
    )
    end = np.flatnonzero(is_last)[groups] + 1
    group_stratum = stratum[end - 1]
    rank = np.arange(len(death)) - first_death[group]
    share = rank / size[group] if ties is Ties.EFRON else np.zeros(len(death))
    mean_weight = np.add.reduceat(weight[death], first_death) / size
    strata = np.arange(stratum[-1] + 2)
    first_group = np.searchsorted(end, np.arange(n), side="right")
    is_in_none = first_group >= np.searchsorted(group_stratum, stratum, side="right")
    return RiskSets(
        order=order,
        weight=weight,
        death=death,
        group=group,
        share=share,
        death_weight=mean_weight[group],
        first_death=first_death,
        end=end,
        first_group=np.where(is_in_none, len(end), first_group),
        row_edges=tuple(np.searchsorted(stratum, strata).tolist()),
        group_edges=tuple(np.searchsorted(group_stratum, strata).tolist()),
        group_time=time[end - 1],
        group_stratum=group_stratum,
    )


def _sums_within(values: Float64Array, edges: tuple[int, ...]) -> Float64Array:
    """Return running sums that start anew at each edge.

    Not the difference of running sums over all: where risks span many decades, as with separation, that would be noise.
    """
    if len(edges) == 2:
        return np.asarray(np.cumsum(values, axis=0))
    sums = np.empty_like(values)
    for begin, end in pairwise(edges):
        np.cumsum(values[begin:end], axis=0, out=sums[begin:end])
    return sums


def moments(sets: RiskSets, x: Float64Array, *, linear_predictor: Float64Array) -> Moments:
    """Return the partial likelihood, its first derivative and the means that the second one needs.

    Parameters
    ----------
    sets : RiskSets
        Who is at risk when.
    x : ndarray of float, shape (n, p)
        Covariates, rows in the order of the sets.
    linear_predictor : ndarray of float, shape (n,)
        Log hazard ratio of each row, same order.

    Returns
    -------
    Moments
        Not finite when the linear predictor overflows.
    """
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        risk = sets.weight * np.exp(linear_predictor)
        weighted = x * risk[:, None]
        denominator, total = sets.at_risk(risk)[sets.group], sets.at_risk(weighted)[sets.group]
        if sets.share.any():
            denominator = denominator - sets.share * sets.dying(risk)[sets.group]
            total = total - sets.share[:, None] * sets.dying(weighted)[sets.group]
        mean = total / denominator[:, None]
        at_death = sets.weight[sets.death]
        fit = at_death @ linear_predictor[sets.death] - sets.death_weight @ np.log(denominator)
        score = at_death @ x[sets.death] - sets.death_weight @ mean
    return Moments(x, risk, denominator, mean, float(fit), score)


def information(sets: RiskSets, at: Moments, *, death_factor: Float64Array | None = None) -> Float64Array:
    """Return the negative second derivative of the log partial likelihood, shape (p, p).

    Parameters
    ----------
    sets : RiskSets
        Who is at risk when.
    at : Moments
        From `moments`.
    death_factor : ndarray of float, shape (E,), optional
        Factor on each death's part, 1 by default; a function of time gives the derivatives of the test of
        proportional hazards.

    Returns
    -------
    ndarray of float, shape (p, p)
        Symmetric; without negative eigenvalues, up to rounding, when no factor is negative. Not finite when the linear
        predictor overflows.
    """
    counted = sets.death_weight if death_factor is None else sets.death_weight * death_factor
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        q = at.risk * lived_hazard(sets, counted / at.denominator)
        centre = at.mean.mean(axis=0)  # any would do; this one leaves the least to cancel between the two products
        x, mean = at.x - centre, at.mean - centre
        second = x.T @ (x * q[:, None]) - mean.T @ (mean * counted[:, None])
    return np.asarray(0.5 * (second + second.T))


def lived_hazard(sets: RiskSets, hazard: Float64Array) -> Float64Array:
    """Return the sum of deaths' values that each sorted row was at risk for, shape (n, ...).

    With Efron's ties a row that dies in a group is at risk for one less its `share` of each death of the group.

    Parameters
    ----------
    sets : RiskSets
        Who is at risk when.
    hazard : ndarray of float, shape (E, ...)
        One value a death, for instance 1 / denominator.

    Returns
    -------
    ndarray of float, shape (n, ...)
        Zero for rows that leave before the first death of their stratum.
    """
    lived = sets.lived_through(sets.per_group(hazard))
    if sets.share.any():
        shape = (-1,) + (1,) * (hazard.ndim - 1)
        lived[sets.death] -= sets.per_group(hazard * sets.share.reshape(shape))[sets.group]
    return lived


def score_residuals(sets: RiskSets, at: Moments) -> Float64Array:
    """Return each sorted row's part of the score, without its case weight, shape (n, p).

    Their sum, weighted, is the score: zero at the maximum. In a group of ties every death has the mean of the group's
    means taken off.

    Parameters
    ----------
    sets : RiskSets
        Who is at risk when.
    at : Moments
        From `moments`.

    Returns
    -------
    ndarray of float, shape (n, p)
        Rows in the order of the sets.

    References
    ----------
    .. [1] Therneau, Grambsch, Modeling Survival Data, 2000, section 4.3 (Efron's case).
    """
    hazard = sets.death_weight / at.denominator
    relative_risk = (at.risk / sets.weight)[:, None]
    residual = -relative_risk * (
        at.x * lived_hazard(sets, hazard)[:, None] - lived_hazard(sets, hazard[:, None] * at.mean)
    )
    size = np.diff(np.append(sets.first_death, len(sets.death)))
    centre = (sets.per_group(at.mean) / size[:, None])[sets.group]
    residual[sets.death] += at.x[sets.death] - centre
    return np.asarray(residual)


def hazard_increments(sets: RiskSets, at: Moments) -> Float64Array:
    """Return the jump of the cumulative baseline hazard at each group, shape (G,)."""
    return sets.per_group(sets.death_weight / at.denominator)
