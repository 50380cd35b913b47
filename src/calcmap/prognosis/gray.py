"""Gray's test: does the incidence of the event differ between groups where other events compete with it?

The log-rank test asks how fast the event comes to those who still can have it. Who will have had it by a time depends
also on what else happens to them, and that is what Gray's test compares. Neither lifelines nor statsmodels has it; its
numbers are those of R's ``cmprsk``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from calcmap.core.errors import InputError, NotEstimableError
from calcmap.core.volume import BoolArray, Float64Array
from calcmap.prognosis.cox import ChiSquare, chi_square
from calcmap.prognosis.followup import Codes, FollowUp


def gray_test(table: FollowUp, group: ArrayLike) -> ChiSquare:
    """Return Gray's test that the cumulative incidence of the event is the same in all groups.

    Parameters
    ----------
    table : FollowUp
        All groups, with their competing events. Strata are kept apart and summed.
    group : array_like, shape (n,)
        Label of each row.

    Returns
    -------
    ChiSquare
        Degrees of freedom: groups less one. Without competing events it asks what the log-rank test asks, with another
        estimate of the spread.

    Raises
    ------
    InputError
        Another number of labels than rows, or case weights, for which the test is not defined.
    NotEstimableError
        Nobody with the event, one group alone, or groups that are never at risk together.

    Notes
    -----
    Gray's weight is 1 at all times (rho = 0, the default of R's ``cuminc``). Several events at one time lower the
    variance, as there.

    References
    ----------
    .. [1] Gray, Ann Stat 1988;16:1141-1154.
    """
    labels = np.asarray(group)
    if labels.shape != (len(table),):
        raise InputError(f"group has shape {labels.shape}, the table {len(table)} rows; expected one label a row")
    if table.weight is not None:
        raise InputError("Gray's test is not defined for case weights")
    if not table.is_event.any():
        raise NotEstimableError(f"nobody of {len(table)} has the event, so groups cannot be compared")
    groups, which = np.unique(labels, return_inverse=True)
    if len(groups) < 2:
        raise NotEstimableError("all rows are of one group, so there is nothing to compare")
    score, covariance = np.zeros(len(groups)), np.zeros((len(groups), len(groups)))
    stratum = np.zeros(len(table), dtype=np.int64) if table.stratum is None else table.stratum
    for k in np.unique(stratum):
        part = stratum == k
        own_score, own_covariance = _gray_of_stratum(table.rows(part), which[part], n_groups=len(groups))
        score += own_score
        covariance += own_covariance
    kept = slice(0, len(groups) - 1)  # the scores add up to zero: one of them is redundant
    try:
        statistic = float(score[kept] @ np.linalg.solve(covariance[kept, kept], score[kept]))
    except np.linalg.LinAlgError as error:
        raise NotEstimableError("groups are never at risk together, so they cannot be compared") from error
    return chi_square(statistic, len(groups) - 1)


@dataclass(frozen=True, eq=False)
class _GrayCounts:
    """Who is at risk and who has what at each distinct time, by group; arrays have shape (times, groups)."""

    at_risk: Float64Array
    events: Float64Array
    others: Float64Array
    before: Float64Array
    """Share of each group that is free of any event just before the time."""
    after: Float64Array
    is_counted: BoolArray
    """Whether the group has anybody at risk and anybody left free of events."""


def _gray_counts(table: FollowUp, which: Codes, *, n_groups: int) -> _GrayCounts:
    _, place = np.unique(table.time, return_inverse=True)
    cell, size = place * n_groups + which, (int(place.max()) + 1) * n_groups

    def count(flag: BoolArray | None) -> Float64Array:
        weights = None if flag is None else flag.astype(np.float64)
        return np.asarray(np.bincount(cell, weights=weights, minlength=size).reshape(-1, n_groups), dtype=np.float64)

    at_risk = np.asarray(np.cumsum(count(None)[::-1], axis=0)[::-1], dtype=np.float64)
    events, others = count(table.is_event), count(table.is_competing)
    left = np.where(at_risk > 0, 1.0 - (events + others) / np.maximum(at_risk, 1.0), 1.0)
    after = np.asarray(np.cumprod(left, axis=0), dtype=np.float64)
    before = np.vstack([np.ones(n_groups), after[:-1]])
    return _GrayCounts(at_risk, events, others, before, after, (at_risk > 0) & (before > 0))


def _gray_of_stratum(table: FollowUp, which: Codes, *, n_groups: int) -> tuple[Float64Array, Float64Array]:
    """Return the score of each group, shape (k,), and its covariance under one common incidence, shape (k, k).

    The score is a sum over events of what was observed less what the groups' shares of the risk set let expect, where
    a group counts with all who never had the event: at risk / free of any event. Its spread follows from the increments
    of both kinds of event, each of which moves every later incidence.
    """
    counts = _gray_counts(table, which, n_groups=n_groups)
    never = np.where(counts.is_counted, counts.at_risk / np.where(counts.before > 0, counts.before, 1.0), 0.0)
    total = never.sum(axis=1)
    events = np.where(total > 0, counts.events.sum(axis=1), 0.0)
    jump = events / np.maximum(total, 1e-300)
    incidence = np.cumsum(jump)
    incidence_before = np.append(0.0, incidence[:-1])
    # the groups' own incidences weigh the score, the common one its spread: so does R
    own_jump = np.where(counts.at_risk > 0, counts.before * counts.events / np.maximum(counts.at_risk, 1.0), 0.0)
    own_before = np.vstack([np.zeros(n_groups), np.cumsum(own_jump, axis=0)[:-1]])
    weighted = never * (1.0 - own_before)
    share = weighted / np.maximum(weighted.sum(axis=1, keepdims=True), 1e-300)
    score = (counts.events - share * counts.events.sum(axis=1, keepdims=True)).sum(axis=0)

    same = np.eye(n_groups)
    fair = never / np.maximum(total, 1e-300)[:, None]
    # axes: time, group whose score it is, group in which the event happens
    direct = (same[None] - fair[:, :, None]) * never[:, None, :]
    rate = np.where(incidence_before < 1.0, jump / np.maximum(1.0 - incidence_before, 1e-300), 0.0)
    so_far = np.cumsum(direct * rate[:, None, None], axis=0)
    later = so_far[-1] - so_far
    still = counts.after > 0
    share_never = np.where(still, (1.0 - incidence)[:, None] / np.where(still, counts.after, 1.0), 0.0)
    of_event = direct + later * (1.0 - share_never)[:, None, :]
    of_other = later * share_never[:, None, :]
    event_spread = _event_spread(counts, never, jump, events, total)
    other_spread = _other_spread(counts)
    covariance = np.einsum("tkr,tlr,tr->kl", of_event, of_event, event_spread)
    covariance += np.einsum("tkr,tlr,tr->kl", of_other, of_other, other_spread)
    return score, covariance


def _event_spread(
    counts: _GrayCounts, never: Float64Array, jump: Float64Array, events: Float64Array, total: Float64Array
) -> Float64Array:
    """Return the variance that the event adds at each time in each group under a common incidence, (times, groups)."""
    room = total[:, None] * counts.before - 1.0
    tied = np.where(
        (events[:, None] > 1) & (room > 0), 1.0 - (events[:, None] - 1.0) / np.where(room > 0, room, 1.0), 1.0
    )
    return np.where(never > 0, tied * jump[:, None] / np.where(never > 0, never, 1.0), 0.0)


def _other_spread(counts: _GrayCounts) -> Float64Array:
    """Return the variance that competing events add at each time in each group, shape (times, groups)."""
    n, d = counts.at_risk, counts.others
    tied = np.where((d > 1) & (n > 1), 1.0 - (d - 1.0) / np.where(n > 1, n - 1.0, 1.0), 1.0)
    return np.where(n > 0, tied * counts.before**2 * d / np.maximum(n, 1.0) ** 2, 0.0)
