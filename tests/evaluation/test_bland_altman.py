from __future__ import annotations

import math

import numpy as np
import pytest

from calcmap.core.errors import InputError
from calcmap.evaluation.bland_altman import SD_PER_MEAN_ABSOLUTE, bland_altman, ratios_of_log
from calcmap.evaluation.correlation import spearman

WRIGHT = [494, 395, 516, 434, 476, 557, 413, 442, 650, 433, 417, 656, 267, 478, 178, 423, 427]
MINI = [512, 430, 520, 428, 500, 600, 364, 380, 658, 445, 432, 626, 260, 477, 259, 350, 451]
"""Peak flow by two meters, Bland and Altman 1986, first readings; Wright less mini (FACTS 3.3)."""


def test_bias_and_limits_are_the_published_ones() -> None:
    limits = bland_altman(MINI, WRIGHT).limits
    assert limits.bias.estimate == pytest.approx(-2.118, abs=5e-4)
    assert limits.sd == pytest.approx(38.765, abs=5e-4)
    assert limits.lower.estimate == pytest.approx(-78.10, abs=5e-3)
    assert limits.upper.estimate == pytest.approx(73.86, abs=5e-3)


def test_intervals_of_bias_and_limits_follow_the_published_formula() -> None:
    limits = bland_altman(MINI, WRIGHT).limits
    t, sd, n = 2.119905, 38.765130, 17  # Student's t, 16 degrees of freedom
    assert limits.bias.high == pytest.approx(-2.117647 + t * sd / math.sqrt(n), abs=1e-3)
    error = sd * math.sqrt(1 / n + 1.96**2 / (2 * (n - 1)))
    assert limits.upper.low == pytest.approx(73.862008 - t * error, abs=1e-3)
    assert limits.lower.low == pytest.approx(-78.097302 - t * error, abs=1e-3)


def test_turning_the_readings_round_turns_the_limits_round() -> None:
    one, other = bland_altman(MINI, WRIGHT).limits, bland_altman(WRIGHT, MINI).limits
    assert one.lower.estimate == pytest.approx(-(other.upper.estimate or 0))
    assert one.bias.low == pytest.approx(-(other.bias.high or 0))


def test_limits_that_vary_follow_a_spread_that_grows() -> None:
    mean = np.repeat(np.arange(1.0, 101.0), 2)
    away = 0.1 * mean * np.tile([1.0, -1.0], 100)  # absolute residual exactly 0.1 of the mean, no bias
    varying = bland_altman(mean - away / 2, mean + away / 2).varying
    assert varying is not None
    assert varying.bias.slope.estimate == pytest.approx(0.0, abs=1e-3)
    assert varying.spread.slope.estimate == pytest.approx(0.1, abs=1e-3)
    last = varying.places[-1]
    assert last.upper == pytest.approx(1.96 * SD_PER_MEAN_ABSOLUTE * 0.1 * last.mean, rel=0.01)


def test_a_line_below_zero_gives_no_limits_there() -> None:
    reference = np.array([0.0, 0.0, 10.0, 10.0, 20.0, 20.0, 30.0, 30.0, 31.0, 32.0])
    away = np.array([9.0, -9.0, 3.0, -3.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0])
    varying = bland_altman(reference - away / 2, reference + away / 2).varying
    assert varying is not None
    assert varying.places[-1].lower is None
    assert varying.places[0].lower is not None


def test_ratios_of_log_limits_are_their_exponentials() -> None:
    scores = np.array([0.0, 10.0, 100.0, 400.0, 1000.0])
    found = bland_altman(np.log1p(scores), np.log1p(2 * scores + 1))  # (test + 1) is exactly twice (reference + 1)
    ratios = ratios_of_log(found.limits)
    assert ratios.bias.estimate == pytest.approx(2.0)
    assert (ratios.lower.estimate, ratios.upper.estimate) == (pytest.approx(2.0), pytest.approx(2.0))


def test_one_case_has_a_bias_and_no_limits() -> None:
    found = bland_altman([1.0], [3.0])
    assert found.limits.bias.estimate == 2.0
    assert found.limits.lower.estimate is None
    assert found.varying is None
    assert ratios_of_log(found.limits).lower.estimate is None


def test_equal_means_have_no_limits_that_vary() -> None:
    assert bland_altman([1.0, 2.0, 1.0, 2.0], [2.0, 1.0, 2.0, 1.0]).varying is None


def test_no_cases_are_refused() -> None:
    with pytest.raises(InputError, match="at least one case"):
        bland_altman([], [])


def test_spearman_of_a_monotone_change_is_one_with_no_width() -> None:
    rho = spearman([1.0, 2.0, 3.0, 4.0], [1.0, 10.0, 100.0, 1000.0])
    assert (rho.estimate, rho.low, rho.high) == pytest.approx((1.0, 1.0, 1.0))


def test_spearman_with_ties_by_hand() -> None:
    # ranks 1.5, 1.5, 3 and 1, 2, 3: covariance 0.75 * ..., correlation sqrt(3) / 2
    assert spearman([0.0, 0.0, 5.0], [1.0, 2.0, 3.0]).estimate == pytest.approx(math.sqrt(3) / 2)


def test_spearman_interval_is_that_of_bonett_and_wright() -> None:
    rho = spearman(WRIGHT, MINI)
    assert rho.estimate is not None
    half_width = 1.959964 * math.sqrt((1 + rho.estimate**2 / 2) / 14)
    assert rho.low == pytest.approx(math.tanh(math.atanh(rho.estimate) - half_width), abs=1e-6)


@pytest.mark.parametrize(("x", "y"), [([1.0], [1.0]), ([1.0, 1.0], [1.0, 2.0])])
def test_spearman_without_variation_gives_a_reason(x: list[float], y: list[float]) -> None:
    assert spearman(x, y).estimate is None
    assert spearman(x, y).reason is not None
