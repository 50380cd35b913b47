from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import ArrayLike, NDArray

from calcmap.core.errors import InputError
from calcmap.evaluation.agreement import (
    Weighting,
    concordance_correlation,
    confusion_matrix,
    proportion_agreement,
    r_squared,
    weighted_kappa,
)
from calcmap.statistics.estimates import wilson_proportion

SEXUAL_FUN = [[7, 7, 2, 3], [2, 8, 3, 7], [1, 5, 4, 9], [2, 8, 9, 14]]
"""Agresti 2002 by R's vcd::SexualFun; kappas by vcd 1.4-11, equal to statsmodels 0.15 (FACTS 3.1)."""
DEEPCAC_DRS = [[59, 24, 0, 1], [32, 94, 11, 3], [4, 8, 37, 20], [0, 1, 7, 95]]
"""DeepCAC on NLST, 396 pairs, cuts 0/100/300; unweighted kappa and concordance as that group's notebook prints them."""
DEEPCAC_PAPER = [[59, 24, 0, 1], [32, 94, 12, 2], [4, 8, 58, 20], [0, 1, 1, 80]]
"""The same pairs with the cuts of Miller et al., 0/100/400; kappas by R (FACTS 3.1)."""
CHEST_CT = [[62, 11, 0, 0], [6, 395, 2, 0], [0, 13, 260, 1], [0, 2, 9, 152]]
"""PMC9530804, Table 3; its printed kappa 0.946 is the linear one."""

counts_4x4 = arrays(np.int64, (4, 4), elements=st.integers(0, 30))


@pytest.mark.parametrize(
    ("matrix", "weighting", "estimate", "standard_error"),
    [
        (SEXUAL_FUN, Weighting.UNWEIGHTED, 0.12933, 0.06860),
        (SEXUAL_FUN, Weighting.LINEAR, 0.23738, 0.07832),
        (SEXUAL_FUN, Weighting.QUADRATIC, 0.33205, 0.09730),
        (DEEPCAC_DRS, Weighting.LINEAR, 0.75488, 0.02169),
        (DEEPCAC_PAPER, Weighting.LINEAR, 0.76045, 0.02200),
    ],
)
def test_kappa_and_its_error_equal_those_of_r(
    matrix: ArrayLike, weighting: Weighting, estimate: float, standard_error: float
) -> None:
    kappa = weighted_kappa(matrix, weighting)
    assert kappa.estimate == pytest.approx(estimate, abs=6e-6)
    assert kappa.standard_error == pytest.approx(standard_error, abs=6e-6)
    assert kappa.weighting is weighting


@pytest.mark.parametrize(
    ("matrix", "weighting", "low", "high", "tolerance"),
    [
        (SEXUAL_FUN, Weighting.UNWEIGHTED, -0.0051, 0.2638, 6e-5),
        (SEXUAL_FUN, Weighting.LINEAR, 0.08388, 0.39088, 6e-6),
        (DEEPCAC_DRS, Weighting.LINEAR, 0.7124, 0.7974, 6e-5),
        (DEEPCAC_PAPER, Weighting.LINEAR, 0.7173, 0.8036, 6e-5),
        (CHEST_CT, Weighting.LINEAR, 0.9296, 0.9617, 6e-5),
    ],
)
def test_kappa_intervals_equal_those_of_r(
    matrix: ArrayLike, weighting: Weighting, low: float, high: float, tolerance: float
) -> None:
    kappa = weighted_kappa(matrix, weighting)
    assert (kappa.low, kappa.high) == (pytest.approx(low, abs=tolerance), pytest.approx(high, abs=tolerance))


@pytest.mark.parametrize(
    ("matrix", "weighting", "estimate", "tolerance"),
    [
        (DEEPCAC_DRS, Weighting.QUADRATIC, 0.8570, 6e-5),
        (DEEPCAC_PAPER, Weighting.UNWEIGHTED, 0.64223, 6e-6),
        (DEEPCAC_PAPER, Weighting.QUADRATIC, 0.85494, 6e-6),
        (CHEST_CT, Weighting.LINEAR, 0.9457, 6e-5),
        (CHEST_CT, Weighting.UNWEIGHTED, 0.9282, 6e-5),
        (CHEST_CT, Weighting.QUADRATIC, 0.9633, 6e-5),
    ],
)
def test_kappa_equals_the_published_one(
    matrix: ArrayLike, weighting: Weighting, estimate: float, tolerance: float
) -> None:
    assert weighted_kappa(matrix, weighting).estimate == pytest.approx(estimate, abs=tolerance)


def test_deepcac_notebook_is_reproduced_to_its_last_digit() -> None:
    assert weighted_kappa(DEEPCAC_DRS, Weighting.UNWEIGHTED).estimate == pytest.approx(0.6177872074014817, abs=1e-15)
    assert proportion_agreement(DEEPCAC_DRS).estimate == pytest.approx(0.71969697, abs=5e-9)


def test_kappa_by_hand_on_a_two_by_two_table() -> None:
    # po = 35/50 = 0.7; pe = 0.5 * 0.6 + 0.5 * 0.4 = 0.5; kappa = 0.2 / 0.5
    assert weighted_kappa([[20, 5], [10, 15]], Weighting.UNWEIGHTED).estimate == pytest.approx(0.4)


@pytest.mark.parametrize("weighting", list(Weighting))
def test_full_agreement_is_one_with_no_width(weighting: Weighting) -> None:
    kappa = weighted_kappa(np.diag([5, 3, 2, 1]), weighting)
    assert (kappa.estimate, kappa.low, kappa.high) == (pytest.approx(1), pytest.approx(1), pytest.approx(1))


@pytest.mark.parametrize("weighting", list(Weighting))
def test_one_reader_with_one_category_gives_zero(weighting: Weighting) -> None:
    kappa = weighted_kappa([[4, 3, 2], [0, 0, 0], [0, 0, 0]], weighting)
    assert kappa.estimate == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize("weighting", list(Weighting))
@pytest.mark.parametrize(("used", "reason"), [(9, "one category"), (0, "no cases")])
def test_kappa_that_is_not_defined_is_none_with_a_reason(weighting: Weighting, used: int, reason: str) -> None:
    matrix = np.zeros((4, 4), dtype=int)
    matrix[2, 2] = used
    kappa = weighted_kappa(matrix, weighting)
    assert (kappa.estimate, kappa.low, kappa.high, kappa.standard_error) == (None, None, None, None)
    assert kappa.reason is not None
    assert reason in kappa.reason
    assert kappa.n == used


def test_a_wider_confidence_widens_the_interval() -> None:
    narrow, wide = (weighted_kappa(SEXUAL_FUN, Weighting.LINEAR, confidence=c) for c in (0.9, 0.99))
    # 1.644854 standard errors of 0.07832
    assert narrow.high - narrow.estimate == pytest.approx(0.12883, abs=2e-5)
    assert wide.low < narrow.low < narrow.high < wide.high


@given(counts_4x4, st.sampled_from(Weighting))
@settings(deadline=None)
def test_kappa_ignores_which_reader_is_called_the_reference_and_the_direction_of_severity(
    matrix: NDArray[np.int64], weighting: Weighting
) -> None:
    kappa = weighted_kappa(matrix, weighting)
    for same in (matrix.T, matrix[::-1, ::-1]):
        other = weighted_kappa(same, weighting)
        if kappa.estimate is None:
            assert other.estimate is None
        else:
            assert other.estimate == pytest.approx(kappa.estimate, abs=1e-9)
            assert other.standard_error == pytest.approx(kappa.standard_error, abs=1e-6)


@given(counts_4x4, st.sampled_from(Weighting))
@settings(deadline=None)
def test_four_times_the_cases_leave_kappa_and_halve_its_error(matrix: NDArray[np.int64], weighting: Weighting) -> None:
    kappa, larger = weighted_kappa(matrix, weighting), weighted_kappa(4 * matrix, weighting)
    if kappa.estimate is None:
        assert larger.estimate is None
    else:
        assert -1 - 1e-9 <= kappa.estimate <= 1 + 1e-9
        assert larger.estimate == pytest.approx(kappa.estimate, abs=1e-9)
        assert larger.standard_error == pytest.approx(kappa.standard_error / 2, abs=1e-6)


@given(arrays(np.int64, (2, 2), elements=st.integers(0, 30)))
@settings(deadline=None)
def test_with_two_categories_the_weighting_does_not_matter(matrix: NDArray[np.int64]) -> None:
    estimates = [weighted_kappa(matrix, weighting).estimate for weighting in Weighting]
    assert estimates.count(None) in (0, 3)
    if estimates[0] is not None:
        assert estimates == pytest.approx([estimates[0]] * 3, abs=1e-9)


@pytest.mark.parametrize(
    "matrix",
    [
        [[1, 2, 3], [4, 5, 6]],
        [[3]],
        [1, 2],
        [[1, -1], [0, 2]],
        [[0.5, 1], [1, 1]],
        [[np.nan, 1], [1, 1]],
        [["a", "b"]] * 2,
    ],
)
def test_what_is_no_confusion_matrix_is_refused(matrix: ArrayLike) -> None:
    for statistic in (proportion_agreement, lambda m: weighted_kappa(m, Weighting.LINEAR)):
        with pytest.raises(InputError):
            statistic(matrix)


def test_confusion_matrix_has_the_reference_in_its_rows() -> None:
    matrix = confusion_matrix([0, 0, 3, 3, 1], [0, 1, 3, 2, 1], n_categories=4)
    assert matrix.tolist() == [[1, 1, 0, 0], [0, 1, 0, 0], [0, 0, 0, 0], [0, 0, 1, 1]]


def test_confusion_matrix_of_no_cases_is_zero() -> None:
    assert confusion_matrix([], [], n_categories=2).tolist() == [[0, 0], [0, 0]]


def test_whole_numbers_read_from_a_table_as_floats_are_categories() -> None:
    assert confusion_matrix(np.array([1.0]), np.array([0.0]), n_categories=2).tolist() == [[0, 0], [1, 0]]


@pytest.mark.parametrize(
    ("reference", "test", "n_categories", "message"),
    [
        ([0, 1], [0], 2, "2 cases and test 1"),
        ([0, 4], [0, 1], 4, "reference holds category 4, expected 0 to 3"),
        ([0, 1], [0, -1], 4, "test holds category -1"),
        ([0, np.nan], [0, 1], 4, "missing or fractional"),
        ([0, 0.5], [0, 1], 4, "missing or fractional"),
        (["0", "1"], [0, 1], 4, "whole numbers"),
        ([[0, 1]], [0, 1], 4, "one axis"),
        ([0], [0], 1, "at least 2 categories"),
    ],
)
def test_malformed_categories_are_refused_with_the_value_found(
    reference: ArrayLike, test: ArrayLike, n_categories: int, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        confusion_matrix(reference, test, n_categories=n_categories)


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_limits_equal_newcombes_table(successes: int, n: int, low: float, high: float) -> None:
    # Newcombe 1998, Table I, method 3
    share = wilson_proportion(successes, n)
    assert (share.low, share.high) == (pytest.approx(low, abs=5e-5), pytest.approx(high, abs=5e-5))


def test_full_agreement_still_has_a_lower_limit_below_one() -> None:
    share = proportion_agreement(np.diag([10, 10]))
    assert (share.estimate, share.high) == (1.0, 1.0)
    assert share.low == pytest.approx(1 - 0.1611, abs=5e-5)  # the mirror of 0 of 20


def test_proportion_of_no_cases_is_none_with_a_reason() -> None:
    share = proportion_agreement(np.zeros((3, 3), dtype=int))
    assert (share.estimate, share.low, share.high, share.reason) == (None, None, None, "there are no cases")


@pytest.mark.parametrize(("successes", "n"), [(3, 2), (-1, 2)])
def test_impossible_proportions_are_refused(successes: int, n: int) -> None:
    with pytest.raises(InputError, match="successes"):
        wilson_proportion(successes, n)


WRIGHT = [494, 395, 516, 434, 476, 557, 413, 442, 650, 433, 417, 656, 267, 478, 178, 423, 427]
MINI = [512, 430, 520, 428, 500, 600, 364, 380, 658, 445, 432, 626, 260, 477, 259, 350, 451]
"""Peak flow by two meters, Bland and Altman 1986; their correlation 0.9433 (FACTS 3.3)."""


def test_squared_correlation_of_the_peak_flow_meters() -> None:
    fit = r_squared(WRIGHT, MINI)
    assert fit.estimate == pytest.approx(0.9433**2, abs=1e-4)
    # atanh(0.9433) = 1.76718, half width 1.95996 / sqrt(14) = 0.52382
    assert fit.low == pytest.approx(np.tanh(1.24336) ** 2, abs=2e-4)
    assert fit.high == pytest.approx(np.tanh(2.29100) ** 2, abs=2e-4)


def test_squared_correlation_by_hand() -> None:
    # centred: (-1, 0, 1) and (-1, 1, 0); covariance 1, variances 2 and 2
    assert r_squared([1, 2, 3], [1, 3, 2]).estimate == pytest.approx(0.25)


def test_a_factor_and_an_offset_leave_the_squared_correlation_at_one() -> None:
    assert r_squared([0, 10, 100, 400], [5, 25, 205, 805]).estimate == pytest.approx(1.0)
    assert r_squared([0, 10, 100, 400], [0, -10, -100, -400]).estimate == pytest.approx(1.0)


def test_lower_limit_is_zero_when_the_correlation_may_be_zero() -> None:
    fit = r_squared([0, 1, 2, 3, 4], [0, 3, 1, 2, 1])
    assert fit.low == 0.0


@pytest.mark.parametrize(
    ("reference", "test", "reason"), [([], [], "two cases"), ([1], [2], "two cases"), ([1, 1], [1, 2], "does not vary")]
)
def test_squared_correlation_that_is_not_defined_is_none_with_a_reason(
    reference: ArrayLike, test: ArrayLike, reason: str
) -> None:
    fit = r_squared(reference, test)
    assert fit.estimate is None
    assert reason in (fit.reason or "")


@pytest.mark.parametrize(
    ("reference", "test", "message"),
    [
        ([1, 2], [1], "same cases"),
        ([1, np.nan], [1, 2], "1 values that are missing"),
        ([[1, 2]], [1, 2], "one axis"),
        (["high", "low"], [1, 2], "numbers"),
    ],
)
def test_malformed_scores_are_refused(reference: ArrayLike, test: ArrayLike, message: str) -> None:
    with pytest.raises(InputError, match=message):
        r_squared(reference, test)


@pytest.mark.parametrize("confidence", [0.0, 1.0, 95])
def test_impossible_confidence_is_refused(confidence: float) -> None:
    with pytest.raises(InputError, match="between 0 and 1"):
        weighted_kappa(SEXUAL_FUN, Weighting.LINEAR, confidence=confidence)


def test_concordance_is_one_on_the_line_and_falls_with_a_shift() -> None:
    x = [0.0, 1.0, 2.0, 3.0]
    assert concordance_correlation(x, x) == 1.0
    assert concordance_correlation([2.0, 2.0], [2.0, 2.0]) == 1.0
    # By hand: variances 1.25 and 1.25, covariance 1.25, shift 1: 2 * 1.25 / (2.5 + 1).
    assert concordance_correlation(x, [1.0, 2.0, 3.0, 4.0]) == pytest.approx(2.5 / 3.5)
    assert concordance_correlation(x, x[::-1]) == pytest.approx(-1.0)
    assert concordance_correlation([], []) is None
