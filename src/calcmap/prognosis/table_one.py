"""Table 1: who the patients are, by category, and whether the categories differ.

Yes/no and categories are counted, numbers summarised by mean (SD) or median (IQR); each is tested by what fits it,
and the test is named beside its p value. The tests describe; they are not corrected for their number.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import chdtrc, fdtrc, gammaln
from scipy.stats import rankdata

from calcmap.core.errors import InputError
from calcmap.core.volume import Float64Array

EXPECTED_COUNT = 5.0
"""Chi-square holds when four fifths of the cells expect at least this many, and none fewer than 1 (Cochran 1954)."""

SKEWED = 1.0
"""Numbers skewed by more than this are summarised by median and quartiles where the choice is left; our choice."""

MOST_TABLES = 2_000_000
"""Fisher's test looks at all tables of the same margins up to about so many; beyond, it draws tables; our choice."""

DRAWN_TABLES = 20_000
"""Tables drawn where there are too many to look at; our choice: a p of 0.05 is then known to about 0.0015."""

TABLE_SEED = 1
"""Of those draws, so that a p value is the same every time."""

SAME_PROBABILITY = 1e-7
"""Tables whose probability is within this share of the observed one's count as equally likely (as R's fisher.test)."""


class VariableKind(StrEnum):
    """How a variable is summarised and tested."""

    YES_NO = "yes_no"
    """Number and percent with a yes; values 0 and 1."""
    CATEGORY = "category"
    """Number and percent of each level."""
    NORMAL = "normal"
    """Mean (SD); analysis of variance."""
    SKEWED = "skewed"
    """Median (first to third quartile); Kruskal-Wallis."""
    NUMBER = "number"
    """One of the last two, by the skewness."""


class GroupTest(StrEnum):
    """Which test a p value is from."""

    CHI_SQUARE = "Pearson's chi-square"
    FISHER = "Fisher's exact"
    FISHER_DRAWN = "Fisher's, by drawn tables"
    ANOVA = "analysis of variance"
    KRUSKAL_WALLIS = "Kruskal-Wallis"


@dataclass(frozen=True, eq=False)
class Variable:
    """A column for Table 1."""

    label: str
    values: NDArray[np.generic]
    """Shape (n,); NaN (numbers) or ``None`` and "" (categories) are missing."""
    kind: VariableKind = VariableKind.NUMBER
    levels: tuple[str, ...] = ()
    """Order of the levels of a category; sorted when empty."""


@dataclass(frozen=True)
class GroupComparison:
    """A test that the groups do not differ; all numbers ``None`` when ``reason`` is set."""

    test: GroupTest | None
    statistic: float | None
    """Chi-square, F or H; ``None`` for Fisher's test."""
    p: float | None
    reason: str | None = None


@dataclass(frozen=True)
class Summary:
    """One cell: counts, or location and spread."""

    n: int
    """Patients with a value."""
    count: int | None = None
    percent: float | None = None
    """Of the patients with a value."""
    centre: float | None = None
    low: float | None = None
    high: float | None = None
    """Quartiles; with mean and SD, ``low`` is the SD and ``high`` is ``None``."""


@dataclass(frozen=True)
class TableRow:
    """One line: a variable, or a level of one."""

    label: str
    level: str | None
    kind: VariableKind
    overall: Summary
    groups: tuple[Summary, ...]
    n_missing: int
    comparison: GroupComparison | None
    """Stands on the first line of a variable."""


@dataclass(frozen=True)
class TableOne:
    """All lines, and how many patients each group holds."""

    group_names: tuple[str, ...]
    group_sizes: tuple[int, ...]
    rows: tuple[TableRow, ...] = field(default_factory=tuple)


def table_one(group: ArrayLike, group_names: Sequence[str], variables: Sequence[Variable]) -> TableOne:
    """Return Table 1 by group.

    Parameters
    ----------
    group : array_like of int, shape (n,)
        Group of each patient, 0 to ``len(group_names) - 1``.
    group_names : sequence of str
        At least one; a group may be empty.
    variables : sequence of Variable
        In the order of the table.

    Returns
    -------
    TableOne
        Patients without a value of a variable are left out of it and counted.

    Raises
    ------
    InputError
        Groups out of range, a variable of another length, yes/no values that are not 0 or 1, text among numbers, or a
        level that is not among those named.
    """
    codes, names = _group_codes(group, len(group_names)), tuple(group_names)
    sizes = tuple(int(size) for size in np.bincount(codes, minlength=len(names)))
    rows = [row for variable in variables for row in _rows(variable, codes, n_groups=len(names))]
    return TableOne(names, sizes, tuple(rows))


def printed_table(table: TableOne, *, digits: int = 1) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]:
    """Return the column heads and the lines as text.

    Parameters
    ----------
    table : TableOne
        What to print.
    digits : int
        Decimals of means, medians and percentages.

    Returns
    -------
    tuple
        Heads: variable, overall, each group, missing, p, test; and the lines.
    """
    total = sum(table.group_sizes)
    heads = (
        "",
        f"All (n = {total})",
        *(f"{name} (n = {size})" for name, size in zip(table.group_names, table.group_sizes, strict=True)),
        "Missing",
        "p",
        "Test",
    )
    return heads, tuple(_printed_row(row, digits=digits) for row in table.rows)


def format_p(p: float | None) -> str:
    """Return a p value as it is printed: two decimals, more below 0.01 and next to 0.05, never 0 and never 1.

    Parameters
    ----------
    p : float or None
        0 to 1; ``None`` prints as a dash.

    Returns
    -------
    str
        Such as "<0.001", "0.003", "0.049", "0.20", ">0.99".
    """
    if p is None:
        return "–"
    if p < 0.001:
        return "<0.001"
    if p > 0.99:
        return ">0.99"
    if 0.0495 <= p < 0.0505:  # fewer decimals would hide on which side of 0.05 it lies
        return f"{p:.4f}"
    return f"{p:.3f}" if p < 0.01 or 0.045 <= p < 0.055 else f"{p:.2f}"


def compare_counts(counts: ArrayLike) -> GroupComparison:
    """Return whether groups differ in a table of counts: Pearson's chi-square, or Fisher's where cells are too small.

    Parameters
    ----------
    counts : array_like of int, shape (levels, groups)
        Patients; empty levels and groups are left out.

    Returns
    -------
    GroupComparison
        Without a p value when fewer than two levels or two groups hold patients.

    Notes
    -----
    No continuity correction, also not for 2 x 2. Fisher's test of larger tables is that of Freeman and Halton: all
    tables of the same margins that are no more likely. Where there are too many of them, `DRAWN_TABLES` are drawn,
    and the test says so.

    References
    ----------
    .. [1] Cochran, Biometrics 1954;10:417-451 (when chi-square holds).
    .. [2] Freeman, Halton, Biometrika 1951;38:141-149.
    """
    observed = np.asarray(counts, dtype=np.int64)
    observed = observed[observed.sum(axis=1) > 0][:, observed.sum(axis=0) > 0]
    if min(observed.shape) < 2:
        return GroupComparison(None, None, None, "fewer than two levels or two groups hold patients")
    expected = np.outer(observed.sum(axis=1), observed.sum(axis=0)) / observed.sum()
    if (expected >= 1.0).all() and (expected >= EXPECTED_COUNT).mean() >= 0.8:
        statistic = float(((observed - expected) ** 2 / expected).sum())
        freedom = (observed.shape[0] - 1) * (observed.shape[1] - 1)
        return GroupComparison(GroupTest.CHI_SQUARE, statistic, float(chdtrc(freedom, statistic)))
    exact = _fisher_exact(observed)
    if exact is not None:
        return GroupComparison(GroupTest.FISHER, None, exact)
    return GroupComparison(GroupTest.FISHER_DRAWN, None, _fisher_drawn(observed))


def compare_means(samples: Sequence[Float64Array]) -> GroupComparison:
    """Return the one-way analysis of variance of the samples, one a group; for two, the square of Student's t."""
    held = [sample for sample in samples if sample.size]
    n, k = sum(sample.size for sample in held), len(held)
    if k < 2 or n <= k:
        return GroupComparison(None, None, None, "needs two groups and more patients than groups")
    grand = np.concatenate(held).mean()
    between = sum(sample.size * (sample.mean() - grand) ** 2 for sample in held)
    within = sum(((sample - sample.mean()) ** 2).sum() for sample in held)
    if within <= 0.0:
        return GroupComparison(None, None, None, "no group varies")
    statistic = float((between / (k - 1)) / (within / (n - k)))
    return GroupComparison(GroupTest.ANOVA, statistic, float(fdtrc(k - 1, n - k, statistic)))


def compare_ranks(samples: Sequence[Float64Array]) -> GroupComparison:
    """Return the Kruskal-Wallis test of the samples, one a group, corrected for ties; for two, Wilcoxon's."""
    held = [sample for sample in samples if sample.size]
    if len(held) < 2:
        return GroupComparison(None, None, None, "fewer than two groups hold patients")
    ranks = rankdata(np.concatenate(held))
    n, ends = ranks.size, np.cumsum([sample.size for sample in held])[:-1]
    spread = float(((ranks - ranks.mean()) ** 2).sum())
    if spread == 0.0:
        return GroupComparison(None, None, None, "all patients have one value")
    between = sum(part.size * (part.mean() - (n + 1) / 2) ** 2 for part in np.split(ranks, ends))
    statistic = float((n - 1) * between / spread)
    return GroupComparison(GroupTest.KRUSKAL_WALLIS, statistic, float(chdtrc(len(held) - 1, statistic)))


def _rows(variable: Variable, codes: NDArray[np.int64], *, n_groups: int) -> list[TableRow]:
    if variable.values.shape != codes.shape:
        raise InputError(f"{variable.label} has shape {variable.values.shape}, expected {codes.shape}, one a patient")
    if variable.kind is VariableKind.CATEGORY:
        return _level_rows(variable, codes, n_groups=n_groups)
    values = _numbers(variable)
    known = ~np.isnan(values)
    samples = [values[known & (codes == group)] for group in range(n_groups)]
    kind = _resolved(variable.kind, values[known])
    summarise, compare = _WAYS[kind]
    comparison = compare(samples)
    summaries = tuple(summarise(sample) for sample in samples)
    n_missing = int((~known).sum())
    return [TableRow(variable.label, None, kind, summarise(values[known]), summaries, n_missing, comparison)]


def _level_rows(variable: Variable, codes: NDArray[np.int64], *, n_groups: int) -> list[TableRow]:
    texts = np.array(["" if value is None or value != value else str(value) for value in variable.values])
    known = texts != ""
    levels = variable.levels or tuple(np.unique(texts[known]).tolist())
    strange = sorted(set(texts[known].tolist()) - set(levels))
    if strange:
        raise InputError(f"{variable.label} holds {strange[0]!r}, expected one of {', '.join(levels)}")
    counts = np.array(
        [np.bincount(codes[texts == level], minlength=n_groups) for level in levels], dtype=np.int64
    ).reshape(len(levels), n_groups)
    of_group, comparison = counts.sum(axis=0), compare_counts(counts)
    return [
        TableRow(
            variable.label,
            level,
            VariableKind.CATEGORY,
            _counted(int(row.sum()), int(known.sum())),
            tuple(_counted(int(count), int(n)) for count, n in zip(row, of_group, strict=True)),
            int((~known).sum()),
            comparison if number == 0 else None,
        )
        for number, (level, row) in enumerate(zip(levels, counts, strict=True))
    ]


def _resolved(kind: VariableKind, values: Float64Array) -> VariableKind:
    if kind is not VariableKind.NUMBER:
        return kind
    spread = values.std() if values.size else 0.0
    skewness = ((values - values.mean()) ** 3).mean() / spread**3 if spread > 0.0 else 0.0
    return VariableKind.SKEWED if abs(skewness) > SKEWED else VariableKind.NORMAL


def _counted(count: int, n: int) -> Summary:
    return Summary(n, count=count, percent=100.0 * count / n if n else None)


def _yes(sample: Float64Array) -> Summary:
    return _counted(int(sample.sum()), sample.size)


def _mean(sample: Float64Array) -> Summary:
    if sample.size == 0:
        return Summary(0)
    spread = float(sample.std(ddof=1)) if sample.size > 1 else None
    return Summary(sample.size, centre=float(sample.mean()), low=spread)


def _median(sample: Float64Array) -> Summary:
    if sample.size == 0:
        return Summary(0)
    low, centre, high = (float(value) for value in np.quantile(sample, [0.25, 0.5, 0.75]))
    return Summary(sample.size, centre=centre, low=low, high=high)


def _compare_yes(samples: Sequence[Float64Array]) -> GroupComparison:
    yes = np.array([sample.sum() for sample in samples])
    return compare_counts(np.array([yes, [sample.size for sample in samples] - yes]))


_Summarise = Callable[[Float64Array], Summary]
_Compare = Callable[[Sequence[Float64Array]], GroupComparison]

_WAYS: dict[VariableKind, tuple[_Summarise, _Compare]] = {
    VariableKind.YES_NO: (_yes, _compare_yes),
    VariableKind.NORMAL: (_mean, compare_means),
    VariableKind.SKEWED: (_median, compare_ranks),
}


def _fisher_exact(observed: NDArray[np.int64]) -> float | None:
    """Return the exact p value, or ``None`` when there are too many tables to look at."""
    table = observed if observed.shape[0] <= observed.shape[1] else observed.T
    remaining, cost = (
        table.sum(axis=1)[None, :],
        np.zeros(1),
    )  # room left (states, rows); log factorials of cells so far
    for column in table.sum(axis=0)[:-1]:
        if math.comb(int(column) + table.shape[0] - 1, table.shape[0] - 1) * len(remaining) > MOST_TABLES:
            return None
        parts = _compositions(int(column), table.shape[0])
        state, part = np.nonzero((parts[None, :, :] <= remaining[:, None, :]).all(axis=2))
        cost = cost[state] + gammaln(parts[part] + 1.0).sum(axis=1)
        remaining = remaining[state] - parts[part]
    cost = cost + gammaln(remaining + 1.0).sum(axis=1)
    probability = np.exp(_log_margins(table) - cost)
    limit = math.exp(_log_margins(table) - float(gammaln(table + 1.0).sum())) * (1.0 + SAME_PROBABILITY)
    return float(min(1.0, probability[probability <= limit].sum()))


def _fisher_drawn(observed: NDArray[np.int64]) -> float:
    """Return the p value by permuting the levels over the patients; the observed table counts as one of the draws."""
    random = np.random.default_rng(TABLE_SEED)
    n_levels, n_groups = observed.shape
    level = np.repeat(np.arange(n_levels), observed.sum(axis=1))
    group = np.repeat(np.arange(n_groups), observed.sum(axis=0))
    limit = float(gammaln(observed + 1.0).sum()) - SAME_PROBABILITY
    as_far = 0
    for _ in range(DRAWN_TABLES):
        drawn = np.bincount(random.permutation(level) * n_groups + group, minlength=observed.size)
        as_far += float(gammaln(drawn + 1.0).sum()) >= limit
    return (as_far + 1) / (DRAWN_TABLES + 1)


def _log_margins(table: NDArray[np.int64]) -> float:
    rows, columns = gammaln(table.sum(axis=1) + 1.0).sum(), gammaln(table.sum(axis=0) + 1.0).sum()
    return float(rows + columns - gammaln(table.sum() + 1.0))


def _compositions(total: int, parts: int) -> NDArray[np.int64]:
    """Return all ways to write a total as ordered non-negative parts, shape (ways, parts)."""
    if parts == 1:
        return np.array([[total]], dtype=np.int64)
    rest = [_compositions(total - first, parts - 1) for first in range(total + 1)]
    return np.concatenate(
        [np.column_stack([np.full(len(ways), first), ways]) for first, ways in enumerate(rest)]
    ).astype(np.int64)


def _numbers(variable: Variable) -> Float64Array:
    try:
        values = np.array([np.nan if value is None else value for value in variable.values], dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"{variable.label} must hold numbers") from error
    known = values[~np.isnan(values)]
    if variable.kind is VariableKind.YES_NO and not np.isin(known, (0.0, 1.0)).all():
        raise InputError(f"{variable.label} is yes/no and must hold 0, 1 or nothing")
    if not np.isfinite(known).all():
        raise InputError(f"{variable.label} holds an infinite number")
    return values


def _group_codes(group: ArrayLike, n_groups: int) -> NDArray[np.int64]:
    codes = np.asarray(group)
    if n_groups < 1 or codes.ndim != 1 or codes.size == 0 or codes.dtype.kind not in "iu":
        raise InputError("groups must be whole numbers, one a patient, and there must be at least one group")
    if codes.min() < 0 or codes.max() >= n_groups:
        raise InputError(f"group holds {codes.min()} to {codes.max()}, expected 0 to {n_groups - 1}")
    return codes.astype(np.int64)


def _printed_row(row: TableRow, *, digits: int) -> tuple[str, ...]:
    cells = [_printed(summary, row.kind, digits=digits) for summary in (row.overall, *row.groups)]
    first = row.comparison
    if row.level is not None:
        label = f"{row.label}: {row.level}"
    else:
        label = row.label + {VariableKind.YES_NO: ", n (%)", VariableKind.NORMAL: ", mean (SD)"}.get(
            row.kind, ", median (IQR)"
        )
    p, test = ("", "") if first is None else (format_p(first.p), str(first.test or first.reason))
    return label, *cells, str(row.n_missing), p, test


def _printed(summary: Summary, kind: VariableKind, *, digits: int) -> str:
    if summary.n == 0:
        return "–"
    if summary.count is not None:
        return f"{summary.count} ({summary.percent:.{digits}f})"
    if kind is VariableKind.NORMAL:
        return f"{summary.centre:.{digits}f} ({'–' if summary.low is None else f'{summary.low:.{digits}f}'})"
    return f"{summary.centre:.{digits}f} ({summary.low:.{digits}f}–{summary.high:.{digits}f})"
