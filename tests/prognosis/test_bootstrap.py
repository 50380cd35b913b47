from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from calcmap.core.errors import ConfigError, InputError
from calcmap.prognosis.bootstrap import (
    BootstrapSettings,
    QuantileType,
    Resampling,
    bootstrap,
    percentile_limits,
)
from resampled_statistics import FailsWhenFirstIsAbsent, Faulty, MeanOf, Singular

VALUES = np.random.default_rng(5).normal(10.0, 2.0, 400)


class TestPercentileLimits:
    """As R's quantile(1:10, c(.25, .75), type = 2 and 7), and type 2 of 1:8."""

    def test_type_2_takes_an_order_statistic(self) -> None:
        assert percentile_limits(np.arange(1, 11), confidence=0.5, quantile_type=QuantileType.TYPE_2) == (3.0, 8.0)

    def test_type_2_averages_at_a_step(self) -> None:
        assert percentile_limits(np.arange(8, 0, -1), confidence=0.5, quantile_type=QuantileType.TYPE_2) == (2.5, 6.5)

    def test_type_7_is_linear(self) -> None:
        assert percentile_limits(np.arange(1, 11), confidence=0.5, quantile_type=QuantileType.TYPE_7) == (3.25, 7.75)

    def test_a_thousand_draws_give_the_mean_of_the_25th_and_26th(self) -> None:
        low, high = percentile_limits(np.arange(1, 1001))
        assert (low, high) == (25.5, 975.5)

    def test_without_draws_there_are_none(self) -> None:
        with pytest.raises(InputError, match="need draws"):
            percentile_limits([])
        with pytest.raises(InputError, match="confidence is 1"):
            percentile_limits([1.0], confidence=1)


class TestResampling:
    def test_strata_keep_their_sizes(self) -> None:
        stratum = np.repeat(["a", "b", "c"], [5, 10, 1])
        rows = Resampling(16, stratum=stratum).draw(np.random.default_rng(0))
        assert {label: int((stratum[rows] == label).sum()) for label in "abc"} == {"a": 5, "b": 10, "c": 1}

    def test_clusters_come_whole(self) -> None:
        cluster = np.array([7, 7, 7, 8, 8, 9])
        rows = Resampling(6, cluster=cluster).draw(np.random.default_rng(3))
        counts = np.bincount(rows, minlength=6)
        assert counts[0] == counts[1] == counts[2]
        assert counts[3] == counts[4]
        assert counts[0] + counts[3] + counts[5] == 3

    def test_clusters_are_drawn_within_their_strata(self) -> None:
        cluster, stratum = np.array([1, 1, 2, 3, 3, 3]), np.array([0, 0, 0, 1, 1, 1])
        rows = Resampling(6, cluster=cluster, stratum=stratum).draw(np.random.default_rng(1))
        assert sorted(rows[stratum[rows] == 1]) == [3, 4, 5]

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"n_patients": 0}, "0 patients"),
            ({"n_patients": 3, "stratum": [1, 2]}, "stratum has shape"),
            ({"n_patients": 2, "stratum": [1.0, np.nan]}, "stratum holds missing values"),
            ({"n_patients": 2, "cluster": [1, 1], "stratum": [0, 1]}, "1 clusters lie in more than one stratum"),
        ],
    )
    def test_malformed_labels_are_named(self, arguments: dict[str, Any], message: str) -> None:
        with pytest.raises(InputError, match=message):
            Resampling(**arguments)


class TestBootstrap:
    def test_mean_gets_its_normal_interval(self) -> None:
        found = bootstrap(MeanOf(VALUES), Resampling(400), settings=BootstrapSettings(draws=2000), workers=1).intervals[
            "mean"
        ]
        error = VALUES.std(ddof=1) / 20
        assert found.estimate == VALUES.mean()
        assert found.standard_error == pytest.approx(error, rel=0.06)
        assert (found.low, found.high) == pytest.approx(
            (VALUES.mean() - 1.96 * error, VALUES.mean() + 1.96 * error), abs=0.25 * error
        )
        assert (found.n, found.draws_used, found.draws_failed, found.reason) == (400, 2000, 0, None)

    def test_result_does_not_depend_on_processes(self) -> None:
        settings = BootstrapSettings(draws=20, seed=4)
        alone, together = (
            bootstrap(MeanOf(VALUES), Resampling(400), settings=settings, workers=workers) for workers in (1, 2)
        )
        assert np.array_equal(alone.draws["mean"], together.draws["mean"])

    def test_seed_changes_the_draws(self) -> None:
        first, second = (
            bootstrap(MeanOf(VALUES), Resampling(400), settings=BootstrapSettings(draws=3, seed=seed), workers=1).draws[
                "mean"
            ]
            for seed in (1, 2)
        )
        assert not np.isin(first, second).any()

    def test_progress_adds_up_to_the_draws(self) -> None:
        seen = []
        settings = BootstrapSettings(draws=20)
        bootstrap(MeanOf(VALUES), Resampling(400), settings=settings, workers=1, advance=seen.append)
        assert seen == [8, 8, 4]

    def test_failed_refits_are_counted_with_their_reason(self) -> None:
        settings = BootstrapSettings(draws=200)
        found = bootstrap(FailsWhenFirstIsAbsent(), Resampling(5), settings=settings, workers=1).intervals["drawn"]
        assert list(found.failures) == ["the only event was not drawn"]
        # A row of five is absent from a resample in (4/5)^5 = 33 % of draws.
        assert found.draws_failed == pytest.approx(66, abs=25)
        assert found.draws_used + found.draws_failed == 200
        assert found.reason == f"{found.draws_failed} of 200 draws gave no value, so there is no interval"
        assert (found.estimate, found.low, found.high) == (5.0, None, None)

    def test_undefined_statistic_leaves_the_others(self) -> None:
        constant = np.array([1.0, 1.0, 1.0, 2.0])
        result = bootstrap(MeanOf(constant), Resampling(4), settings=BootstrapSettings(draws=100), workers=1)
        assert result.intervals["mean"].draws_failed == 0
        assert list(result.intervals["spread"].failures) == ["no spread"]

    def test_statistic_undefined_on_the_patients_has_no_interval(self) -> None:
        result = bootstrap(MeanOf(np.ones(4)), Resampling(4), settings=BootstrapSettings(draws=10), workers=1)
        found = result.intervals["spread"]
        assert (found.estimate, found.low, found.reason, found.draws_failed) == (None, None, "no spread", 10)

    def test_singular_matrix_is_a_failed_refit(self) -> None:
        found = bootstrap(Singular(), Resampling(30), settings=BootstrapSettings(draws=5), workers=1).intervals["x"]
        assert found.failures == {"a matrix of the model is singular": 5}
        assert (found.estimate, found.low, found.reason) == (
            1.0,
            None,
            "5 of 5 draws gave no value, so there is no interval",
        )

    def test_fault_of_the_program_is_not_a_failed_refit(self) -> None:
        with pytest.raises(ZeroDivisionError):
            bootstrap(Faulty(), Resampling(30), settings=BootstrapSettings(draws=5), workers=1)

    def test_settings_out_of_range_are_all_named(self) -> None:
        with pytest.raises(ConfigError, match=r"draws is 0.*seed is -1.*confidence is 2"):
            BootstrapSettings(draws=0, seed=-1, confidence=2)
        with pytest.raises(ConfigError, match="workers is 0"):
            bootstrap(MeanOf(VALUES), Resampling(400), workers=0)
