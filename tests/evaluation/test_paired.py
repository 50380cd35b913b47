from __future__ import annotations

import numpy as np
import pytest

from calcmap.core.errors import InputError
from calcmap.evaluation.agreement import Weighting, confusion_matrix, weighted_kappa
from calcmap.evaluation.paired import kappa_difference

REFERENCE = np.array([0, 0, 0, 1, 1, 2, 2, 3, 3, 3] * 6)
RIGHT = np.stack([REFERENCE, REFERENCE], axis=1)


def readings(*, n_wrong: int) -> np.ndarray:
    """Return readings of which the first ``n_wrong`` are one category too high, or too low at the top."""
    found = REFERENCE.copy()
    found[:n_wrong] += np.where(found[:n_wrong] < 3, 1, -1)
    return np.stack([REFERENCE, found], axis=1)


def kappa_of(pairs: np.ndarray) -> float:
    estimate = weighted_kappa(confusion_matrix(pairs[:, 0], pairs[:, 1], n_categories=4), Weighting.LINEAR).estimate
    assert estimate is not None
    return estimate


def test_the_estimate_is_the_difference_of_the_two_kappas() -> None:
    first, second = readings(n_wrong=5), readings(n_wrong=20)
    found = kappa_difference(first, second, n_categories=4)
    assert found.estimate == pytest.approx(kappa_of(first) - kappa_of(second), abs=1e-12)
    assert (found.n, found.reason) == (60, None)


def test_the_interval_holds_the_estimate_and_not_zero_where_one_is_clearly_better() -> None:
    found = kappa_difference(RIGHT, readings(n_wrong=25), n_categories=4)
    assert found.low is not None
    assert found.high is not None
    assert 0 < found.low < (found.estimate or 0) < found.high


def test_changing_places_turns_the_sign() -> None:
    first, second = readings(n_wrong=5), readings(n_wrong=20)
    one, other = (kappa_difference(*pair, n_categories=4) for pair in ((first, second), (second, first)))
    assert one.estimate == -(other.estimate or 0)
    assert (one.low, one.high) == pytest.approx((-(other.high or 0), -(other.low or 0)))


def test_equal_readings_differ_by_nothing_in_every_resample() -> None:
    # an unpaired interval would have a width
    found = kappa_difference(readings(n_wrong=9), readings(n_wrong=9), n_categories=4)
    assert (found.estimate, found.low, found.high) == (0.0, 0.0, 0.0)


def test_the_reference_may_differ_within_a_range() -> None:
    lenient = readings(n_wrong=6)
    lenient[:6, 0] = lenient[:6, 1]
    assert (kappa_difference(lenient, RIGHT, n_categories=4).estimate or 0) == pytest.approx(0.0)


def test_resamples_without_a_kappa_are_left_out() -> None:
    # Six of twelve cases in each of two categories: one resample in two thousand holds one category alone.
    pairs = np.array([[0, 0], [1, 1]] * 6)
    found = kappa_difference(pairs, pairs, n_categories=4)
    assert (found.estimate, found.low, found.high) == (0.0, 0.0, 0.0)


def test_with_many_resamples_without_a_kappa_there_is_no_interval() -> None:
    # Two of three cases alike: one resample in three holds one category alone.
    pairs = np.array([[0, 0], [0, 0], [1, 1]])
    found = kappa_difference(pairs, pairs, n_categories=4)
    assert (found.estimate, found.low, found.high) == (0.0, None, None)
    assert "do not define" in (found.reason or "")


@pytest.mark.parametrize(("pairs", "n"), [(np.zeros((0, 2), int), 0), (np.zeros((4, 2), int), 4)])
def test_where_a_kappa_is_not_defined_neither_is_the_difference(pairs: np.ndarray, n: int) -> None:
    found = kappa_difference(pairs, pairs, n_categories=4)
    assert (found.estimate, found.low, found.high, found.n) == (None, None, None, n)
    assert found.reason


@pytest.mark.parametrize(
    ("first", "second"),
    [(RIGHT[:5], RIGHT[:4]), (RIGHT[:, 0], RIGHT), (RIGHT + 1, RIGHT), (np.zeros((3, 3)), RIGHT[:3])],
)
def test_what_are_no_pairs_of_categories_is_refused(first: np.ndarray, second: np.ndarray) -> None:
    with pytest.raises(InputError):
        kappa_difference(first, second, n_categories=4)
