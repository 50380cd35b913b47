from __future__ import annotations

import math

import numpy as np
import pytest

from calcmap.core.errors import InputError
from calcmap.evaluation.calibration import assess_calibration, calibration_error, reliability_bins


def test_a_table_by_hand() -> None:
    bins = reliability_bins([0.9, 0.1, 0.7, 0.3], [True, False, False, False], n_bins=2)
    assert [(each.n, each.mean_predicted, each.observed.estimate) for each in bins] == [
        (2, pytest.approx(0.2), 0.0),
        (2, pytest.approx(0.8), 0.5),
    ]
    assert calibration_error(bins) == pytest.approx((0.2 + 0.3) / 2)


def test_scores_by_hand() -> None:
    found = assess_calibration([0.8, 0.2], [True, True], n_bins=5)
    assert found.brier == pytest.approx((0.04 + 0.64) / 2)
    assert (found.mean_predicted, found.observed.estimate, len(found.bins)) == (0.5, 1.0, 2)
    # sum of (o - p)(1 - 2p) over the root of the sum of (1 - 2p)^2 p(1 - p)
    expected = (0.2 * -0.6 + 0.8 * 0.6) / math.sqrt(2 * 0.36 * 0.16)
    assert found.z == pytest.approx(expected)
    assert found.p == pytest.approx(math.erfc(expected / math.sqrt(2)))


def test_bins_hold_equal_counts() -> None:
    bins = reliability_bins(np.linspace(0, 1, 23), np.zeros(23), n_bins=5)
    assert sorted(each.n for each in bins) == [4, 4, 5, 5, 5]


def test_probabilities_that_are_true_pass_and_overconfident_ones_do_not() -> None:
    rng = np.random.default_rng(1)
    p = rng.uniform(0.5, 1.0, 2000)
    so = rng.random(2000) < p
    good = assess_calibration(p, so, n_bins=10)
    bad = assess_calibration(np.sqrt(p), so, n_bins=10)
    assert good.ece < good.ece_if_calibrated
    assert bad.ece > 2 * bad.ece_if_calibrated
    assert good.p is not None
    assert good.p > 0.01
    assert bad.p is not None
    assert bad.p < 1e-6


def test_certainty_has_no_statistic() -> None:
    found = assess_calibration([1.0, 0.0], [True, False], n_bins=5)
    assert (found.brier, found.ece, found.ece_if_calibrated, found.z, found.p) == (0.0, 0.0, 0.0, None, None)


@pytest.mark.parametrize(
    ("probability", "outcome", "n_bins"),
    [([], [], 5), ([0.5], [True, False], 5), ([1.5], [True], 5), ([float("nan")], [True], 5), ([0.5], [True], 0)],
)
def test_what_is_no_forecast_is_refused(probability: list[float], outcome: list[bool], n_bins: int) -> None:
    with pytest.raises(InputError):
        assess_calibration(probability, outcome, n_bins=n_bins)
