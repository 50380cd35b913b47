"""Two readings as tests of "at least this much calcium", and how one reading moves cases up and down from the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from calcmap.evaluation.agreement import counts_of
from calcmap.statistics.estimates import CONFIDENCE, Estimate, wilson_proportion


@dataclass(frozen=True)
class Detection:
    """One cut: positive is this category or a higher one."""

    from_category: str
    """Lowest positive category."""
    true_positive: int
    false_positive: int
    false_negative: int
    true_negative: int
    sensitivity: Estimate
    specificity: Estimate
    ppv: Estimate
    """Share of the test's positives that the reference calls positive; depends on how common they are here."""
    npv: Estimate
    accuracy: Estimate


@dataclass(frozen=True)
class Reclassified:
    """Cases that the test puts into a higher (up) or lower (down) category than the reference."""

    reference_category: str | None
    """``None`` for all cases."""
    up: Estimate
    down: Estimate
    same: Estimate


@dataclass(frozen=True)
class Shifts:
    """How the test moves cases away from the reference."""

    overall: Reclassified
    by_reference: tuple[Reclassified, ...]
    by_one: Estimate
    """Share of cases one category apart."""
    by_more: Estimate
    """Share of cases two or more categories apart."""
    p_up_equals_down: float | None
    """Exact sign test of as many up as down; ``None`` where no case moves."""


def detections(matrix: ArrayLike, *, names: Sequence[str], confidence: float = CONFIDENCE) -> tuple[Detection, ...]:
    """Return sensitivity, specificity and predictive values at each cut, with Wilson intervals.

    Parameters
    ----------
    matrix : array_like of int, shape (k, k)
        Counts; rows the reference, columns the test, ascending categories.
    names : sequence of str
        Of the categories.
    confidence : float
        Coverage of the intervals, between 0 and 1.

    Returns
    -------
    tuple of Detection
        One for each category but the lowest; the first is any calcium. A share without cases is ``None``.

    Raises
    ------
    InputError
        Not a square matrix of counts, or the confidence is not between 0 and 1.
    """
    counts = counts_of(matrix).astype(np.int64)
    return tuple(_detection(counts, cut, names=names, confidence=confidence) for cut in range(1, len(counts)))


def shifts(matrix: ArrayLike, *, names: Sequence[str], confidence: float = CONFIDENCE) -> Shifts:
    """Return the shares of cases that the test puts higher and lower than the reference, with Wilson intervals.

    Parameters
    ----------
    matrix, names, confidence
        As for `detections`.

    Returns
    -------
    Shifts
        Shares ``None`` where a row of the matrix is empty.

    Raises
    ------
    InputError
        As for `detections`.

    Notes
    -----
    The sign test asks whether up and down are equally likely for a case that moves; for two categories it is the exact
    test of McNemar.

    References
    ----------
    .. [1] McNemar, Psychometrika 1947;12:153-157.
    """
    counts = counts_of(matrix).astype(np.int64)
    k, n = len(counts), int(counts.sum())
    apart = np.abs(np.arange(k)[:, None] - np.arange(k)[None, :])
    up, down = int(np.triu(counts, 1).sum()), int(np.tril(counts, -1).sum())
    rows = tuple(_moved(counts[row], row, names[row], confidence=confidence) for row in range(k))
    return Shifts(
        overall=_reclassified(None, up, down, n=n, confidence=confidence),
        by_reference=rows,
        by_one=wilson_proportion(int(counts[apart == 1].sum()), n, confidence=confidence),
        by_more=wilson_proportion(int(counts[apart > 1].sum()), n, confidence=confidence),
        p_up_equals_down=sign_test(up, down),
    )


def sign_test(first: int, second: int) -> float | None:
    """Return the exact two-sided p of two counts being equally likely; ``None`` where both are zero."""
    return float(stats.binomtest(first, first + second).pvalue) if first + second else None


def _detection(counts: NDArray[np.int64], cut: int, *, names: Sequence[str], confidence: float) -> Detection:
    tp, fp = int(counts[cut:, cut:].sum()), int(counts[:cut, cut:].sum())
    fn, tn = int(counts[cut:, :cut].sum()), int(counts[:cut, :cut].sum())
    return Detection(
        from_category=names[cut],
        true_positive=tp,
        false_positive=fp,
        false_negative=fn,
        true_negative=tn,
        sensitivity=wilson_proportion(tp, tp + fn, confidence=confidence),
        specificity=wilson_proportion(tn, tn + fp, confidence=confidence),
        ppv=wilson_proportion(tp, tp + fp, confidence=confidence),
        npv=wilson_proportion(tn, tn + fn, confidence=confidence),
        accuracy=wilson_proportion(tp + tn, tp + fp + fn + tn, confidence=confidence),
    )


def _moved(counts: NDArray[np.int64], row: int, name: str, *, confidence: float) -> Reclassified:
    up, down = int(counts[row + 1 :].sum()), int(counts[:row].sum())
    return _reclassified(name, up, down, n=int(counts.sum()), confidence=confidence)


def _reclassified(name: str | None, up: int, down: int, *, n: int, confidence: float) -> Reclassified:
    return Reclassified(
        name,
        up=wilson_proportion(up, n, confidence=confidence),
        down=wilson_proportion(down, n, confidence=confidence),
        same=wilson_proportion(n - up - down, n, confidence=confidence),
    )
