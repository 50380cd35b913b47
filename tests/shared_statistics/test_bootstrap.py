from __future__ import annotations

import math

import numpy as np
import pytest

from calcmap.core.errors import ConfigError, InputError
from calcmap.core.volume import Float64Array
from calcmap.statistics.bootstrap import (
    Bootstrap,
    Indices,
    IntervalMethod,
    bca_interval,
    bootstrap_draws,
    bootstrap_p,
    jackknife,
    percentile_interval,
    resample,
)

VALUES = np.array([1.0, 2.0, 4.0, 8.0, 16.0, 32.0])


def _mean_and_sum(indices: Indices) -> Float64Array:
    return np.array([VALUES[indices].mean(), VALUES[indices].sum()])


def test_a_resample_has_as_many_cases_and_only_known_ones() -> None:
    indices = resample(50, seed=3, draw=7)
    assert len(indices) == 50
    assert set(indices) <= set(range(50))


def test_a_draw_does_not_depend_on_how_many_there_are() -> None:
    few, many = (bootstrap_draws(_mean_and_sum, 6, settings=Bootstrap(draws=draws)) for draws in (3, 30))
    np.testing.assert_array_equal(few, many[:3])


def test_several_processes_give_the_draws_of_one() -> None:
    # numpy's own function: a child process cannot import this file
    alone, together = (bootstrap_draws(np.sum, 6, settings=Bootstrap(draws=45, workers=workers)) for workers in (1, 2))
    np.testing.assert_array_equal(alone, together)


def test_progress_counts_every_draw() -> None:
    done: list[int] = []
    bootstrap_draws(_mean_and_sum, 6, settings=Bootstrap(draws=45), advance=done.append)
    assert sum(done) == 45
    assert len(done) > 1


def test_jackknife_leaves_each_case_out_once() -> None:
    done: list[int] = []
    left_out = jackknife(_mean_and_sum, 6, advance=done.append)
    np.testing.assert_allclose(left_out[:, 1], VALUES.sum() - VALUES)
    assert sum(done) == 6


def test_percentile_limits_are_quantiles_of_the_draws() -> None:
    interval = percentile_interval(np.arange(101.0), confidence=0.90)
    assert (interval.low, interval.high) == pytest.approx((5.0, 95.0))


def test_draws_without_a_value_are_counted_and_left_out() -> None:
    interval = percentile_interval([*np.arange(101.0), np.nan, np.inf], confidence=0.90)
    assert (interval.low, interval.high, interval.n_undefined) == pytest.approx((5.0, 95.0, 2))


def test_too_many_draws_without_a_value_give_a_reason_and_no_limits() -> None:
    interval = percentile_interval([1.0] * 9 + [math.nan])
    assert (interval.low, interval.high) == (None, None)
    assert interval.reason == "1 of 10 bootstrap draws do not define the statistic"


def test_bca_without_bias_and_skew_is_the_percentile_interval() -> None:
    draws = np.arange(-50.0, 51.0)
    bca = bca_interval(draws, estimate=0.0, left_out=[-1.0, 0.0, 1.0])
    assert (bca.low, bca.high) == pytest.approx((percentile_interval(draws).low, percentile_interval(draws).high))


def test_bca_moves_towards_the_side_on_which_the_draws_are_too_low() -> None:
    draws = np.arange(-50.0, 51.0)
    bca = bca_interval(draws, estimate=10.0, left_out=[1.0, 1.0])
    low, high = percentile_interval(draws).low, percentile_interval(draws).high
    assert low is not None
    assert high is not None
    assert bca.low is not None
    assert bca.high is not None
    assert bca.low > low
    assert bca.high > high


def test_bca_with_all_draws_on_one_side_gives_a_reason() -> None:
    bca = bca_interval([1.0, 2.0], estimate=0.0, left_out=[0.0, 1.0])
    assert bca.low is None
    assert bca.reason == "all bootstrap draws lie on one side of the estimate"
    assert bca_interval([math.nan], estimate=0.0, left_out=[0.0, 1.0]).low is None


def test_p_is_twice_the_smaller_side_and_never_zero() -> None:
    assert bootstrap_p([1.0] * 99) == pytest.approx(2 / 100)
    assert bootstrap_p([-1.0] * 9 + [1.0] * 90) == pytest.approx(2 * 10 / 100)
    assert bootstrap_p([0.0] * 10) == 1.0
    assert bootstrap_p([math.nan]) is None


def test_no_cases_are_refused() -> None:
    with pytest.raises(InputError, match="at least one case"):
        bootstrap_draws(_mean_and_sum, 0, settings=Bootstrap())


@pytest.mark.parametrize("wrong", [{"draws": 0}, {"workers": 0}, {"seed": -1}, {"confidence": 1.0}])
def test_settings_that_give_no_interval_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError):
        Bootstrap(**wrong)  # type: ignore[arg-type]


def test_the_methods_have_stable_names() -> None:
    assert [method.value for method in IntervalMethod] == ["percentile", "bca"]
