from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from calcmap.core.errors import InputError, NotEstimableError
from calcmap.prognosis.curves import (
    RateInterval,
    Scale,
    cumulative_incidence,
    event_rate,
    kaplan_meier,
    log_rank,
    log_rank_trend,
    number_at_risk,
    reverse_kaplan_meier,
    survival_quantile,
)
from calcmap.prognosis.followup import follow_up
from prognosis.clinical_tables import (
    aml,
    from_r,
    lung,
    table_of,
    veteran,
    whas500,
    whas500_age_groups,
)

SMALL = follow_up([1, 2, 2, 3, 4], [1, 1, 0, 0, 1])
"""By hand: 4/5, then 4/5 * 3/4 = 0.6, then 0."""


def test_kaplan_meier_of_five_patients_is_the_one_by_hand() -> None:
    curve = kaplan_meier(SMALL)
    assert curve.probability == pytest.approx([0.8, 0.6, 0.6, 0.0])
    assert curve.at_risk.tolist() == [5, 4, 2, 1]
    assert curve.standard_error[:2] == pytest.approx([0.8 * math.sqrt(1 / 20), 0.6 * math.sqrt(1 / 20 + 1 / 12)])


def test_nothing_is_said_where_nobody_is_left() -> None:
    curve = kaplan_meier(SMALL)
    end, beyond = curve.at([4, 5])
    assert (end.estimate, end.low, end.high) == (0.0, None, None)
    assert beyond.estimate is None
    assert beyond.reason == "follow-up holds 0 to 4, asked for 5"


def test_kaplan_meier_without_an_event_stays_at_one() -> None:
    curve = kaplan_meier(SMALL.rows(~SMALL.is_event))
    assert curve.probability.tolist() == [1.0, 1.0]
    assert survival_quantile(curve).reason == "fewer than 50% have the event during follow-up"


def test_kaplan_meier_of_the_leukaemia_trial_is_the_printed_one() -> None:
    table, arm = aml()
    curve = kaplan_meier(table.rows(arm == "Maintained"))
    printed = [0.9091, 0.8182, 0.7159, 0.6136, 0.4909, 0.3682, 0.1841]
    assert curve.probability[curve.n_at_time > 0] == pytest.approx(printed, abs=5e-5)
    medians = [survival_quantile(kaplan_meier(table.rows(arm == name))).estimate for name in np.unique(arm)]
    assert medians == [31, 23]


def test_the_leukaemia_trials_log_rank_is_the_printed_one() -> None:
    test = log_rank(*aml())
    assert (test.observed[0], test.df) == (7, 1)
    assert test.expected[0] == pytest.approx(10.689, abs=5e-4)
    assert test.statistic == pytest.approx(3.4, abs=0.05)


def test_lung_survival_has_rs_numbers() -> None:
    curve = kaplan_meier(lung())
    points = curve.at([180, 365, 730])
    assert [p.estimate for p in points] == pytest.approx([0.72167065, 0.40924162, 0.11569310], abs=5e-9)
    assert [p.low for p in points] == pytest.approx([0.6655, 0.3447, 0.0716], abs=5e-5)
    assert [p.high for p in points] == pytest.approx([0.7825, 0.4858, 0.1869], abs=5e-5)
    errors = [curve.standard_error[np.searchsorted(curve.time, day, side="right") - 1] for day in (180, 365, 730)]
    assert errors == pytest.approx([0.0298124, 0.0358236, 0.0282982], abs=5e-8)
    median = survival_quantile(curve)
    assert (median.estimate, median.low, median.high) == (310, 285, 363)


@pytest.mark.parametrize(("sex", "printed"), [("1", (270, 212, 310)), ("2", (426, 348, 550))])
def test_median_survival_by_sex_has_rs_interval(sex: str, printed: tuple[float, float, float]) -> None:
    table = lung()
    median = survival_quantile(kaplan_meier(table.rows(from_r("lung")["sex"] == sex)))
    assert (median.estimate, median.low, median.high) == printed


@pytest.mark.parametrize(
    ("scale", "low", "high"),
    [
        (Scale.PLAIN, 0.339028584, 0.479454665),
        (Scale.LOG, 0.34472158, 0.48583760),
        (Scale.LOG_LOG, 0.33871427, 0.47838077),
    ],
)
def test_the_three_scales_have_rs_limits(scale: Scale, low: float, high: float) -> None:
    """R survival 3.5-3, lung at 365 days."""
    point = kaplan_meier(lung(), scale=scale).at([365])[0]
    assert (point.low, point.high) == pytest.approx((low, high), abs=5e-9)


def test_printed_log_ranks() -> None:
    sex, arm = from_r("lung")["sex"], from_r("veteran")
    assert log_rank(lung(), sex).statistic == pytest.approx(10.33, abs=5e-3)
    assert log_rank(veteran(), arm["trt"]).statistic == pytest.approx(0.008227, abs=5e-7)
    cells = log_rank(veteran(), arm["celltype"])
    assert (cells.statistic, cells.df) == (pytest.approx(25.4, abs=0.05), 3)


def test_the_colon_trials_log_rank_is_the_printed_one() -> None:
    columns = {name: v[from_r("colon")["etype"] == "2"] for name, v in from_r("colon").items()}
    test = log_rank(table_of(columns, event=columns["status"] == "1"), columns["rx"])
    assert (test.statistic, test.df) == (pytest.approx(11.7, abs=0.05), 2)
    assert test.p == pytest.approx(0.0029, abs=5e-5)


def test_a_stratified_log_rank_has_rs_number() -> None:
    """R survival 3.5-3: survdiff(Surv(time, status) ~ trt + strata(celltype), veteran)."""
    columns = from_r("veteran")
    table = follow_up(columns["time"].astype(float), columns["status"] == "1", stratum=columns["celltype"])
    assert log_rank(table, columns["trt"]).statistic == pytest.approx(0.7017433468, abs=5e-11)


@pytest.mark.real_data
def test_whas500_curve_and_log_ranks_are_the_printed_ones(shared_data: Path) -> None:
    table = whas500(shared_data)
    curve = kaplan_meier(table)
    days = [365.0, 730.0, 1095.0]
    assert [p.estimate for p in curve.at(days)] == pytest.approx([0.72400000, 0.64157965, 0.61439408], abs=5e-9)
    errors = curve.standard_error[np.searchsorted(curve.time, days, side="right") - 1]
    assert errors == pytest.approx([0.019991, 0.022221, 0.022882], abs=5e-7)
    assert survival_quantile(curve).estimate == 1627
    groups = whas500_age_groups(table)
    test = log_rank(table, groups)
    assert test.n.tolist() == [138, 86, 114, 162]
    assert (test.statistic, test.df) == (pytest.approx(120.1, abs=0.05), 3)
    assert log_rank(table, table.columns(["gender"])[:, 0]).statistic == pytest.approx(7.79114, abs=5e-6)
    assert log_rank_trend(test).statistic < test.statistic


def test_the_trend_test_of_two_groups_is_the_log_rank_test() -> None:
    test = log_rank(*aml())
    assert log_rank_trend(test, [3, 10]).statistic == pytest.approx(test.statistic)


@pytest.mark.parametrize(
    ("scores", "error", "message"),
    [([1], InputError, "2 groups, got 1 scores"), ([1, 1], NotEstimableError, "do not differ")],
)
def test_a_trend_needs_scores_that_differ(scores: list[float], error: type[InputError], message: str) -> None:
    with pytest.raises(error, match=message):
        log_rank_trend(log_rank(*aml()), scores)


@pytest.mark.parametrize(
    ("group", "error", "message"),
    [
        ([0, 0, 0, 0, 0], NotEstimableError, "fewer than two groups"),
        ([0, 1], InputError, "one label a row"),
    ],
)
def test_a_log_rank_needs_two_groups(group: list[int], error: type[InputError], message: str) -> None:
    with pytest.raises(error, match=message):
        log_rank(SMALL, group)


def test_a_log_rank_without_events_or_with_weights_is_refused() -> None:
    with pytest.raises(NotEstimableError, match="nobody of 2"):
        log_rank(SMALL.rows(~SMALL.is_event), [0, 1])
    with pytest.raises(InputError, match="not defined for case weights"):
        log_rank(follow_up([1, 2], [1, 1], weight=[1, 2]), [0, 1])


def test_cumulative_incidence_of_five_patients_is_the_one_by_hand() -> None:
    """Survival of all causes: 4/5, 3/5, then 3/10; the cause takes 1/5 + 3/5 * 1/2."""
    table = follow_up([1, 2, 3, 4, 5], [1, 0, 0, 1, 0], competing=[0, 2, 0, 0, 0])
    curve = cumulative_incidence(table)
    assert curve.probability == pytest.approx([0.2, 0.2, 0.2, 0.5, 0.5])
    assert cumulative_incidence(table, cause=2).probability == pytest.approx([0, 0.2, 0.2, 0.2, 0.2])
    assert (curve.n_events, curve.start) == (2, 0.0)


def test_cumulative_incidence_has_rs_numbers() -> None:
    """R survival 3.5-3, survfit of the multi-state outcome of mgus2: progression, death without it."""
    columns = from_r("mgus2")
    progressed = columns["pstat"] == "1"
    time = np.where(progressed, columns["ptime"], columns["futime"]).astype(float)
    died = (~progressed) & (columns["death"] == "1")
    table = follow_up(time, progressed, competing=died)
    for cause, estimates, errors in [
        (0, (0.034103713, 0.063722168, 0.0998137159), (0.00488925791, 0.00679684842, 0.00978484679)),
        (1, (0.320367010, 0.531817704, 0.7240279761), (0.0125673715, 0.0140596452, 0.0156063451)),
    ]:
        curve = cumulative_incidence(table, cause=cause)
        assert [p.estimate for p in curve.at([60, 120, 240])] == pytest.approx(estimates, abs=5e-10)
        places = np.searchsorted(curve.time, [60, 120, 240], side="right") - 1
        assert curve.standard_error[places] == pytest.approx(errors, abs=5e-11)


def test_without_competing_events_incidence_is_one_less_survival() -> None:
    table, _ = aml()
    curve, survival = cumulative_incidence(table), kaplan_meier(table)
    assert curve.probability == pytest.approx(1 - survival.probability)
    assert curve.standard_error[:-1] == pytest.approx(survival.standard_error[:-1])


def test_a_competing_code_that_nobody_has_is_refused() -> None:
    with pytest.raises(InputError, match="no row has the competing event 3"):
        cumulative_incidence(SMALL, cause=3)


def test_the_median_lies_in_the_middle_of_a_flat_half() -> None:
    assert survival_quantile(kaplan_meier(follow_up([1, 2, 3, 4], [1, 1, 1, 1]))).estimate == 2.5
    with pytest.raises(InputError, match="between 0 and 1"):
        survival_quantile(kaplan_meier(SMALL), 1.0)


def test_reverse_kaplan_meier_swaps_events_and_censoring() -> None:
    table = follow_up([1, 2, 3, 4], [1, 0, 0, 0], competing=[0, 1, 0, 0])
    assert reverse_kaplan_meier(table).probability == pytest.approx([1, 1, 0.5, 0])


def test_number_at_risk_counts_who_reaches_the_time() -> None:
    assert number_at_risk(SMALL, [0, 2, 2.5, 5]) == (5, 4, 2, 0)


def test_an_exact_rate_has_rs_poisson_interval() -> None:
    """R: poisson.test(165, sum(lung$time) / 365.25)."""
    rate = event_rate(lung(), per=365.25)
    assert (rate.low, rate.high) == pytest.approx((0.7388865, 1.0086626), abs=1e-7)
    assert (rate.n_events, rate.follow_up) == (165, 69593)


@pytest.mark.parametrize("interval", RateInterval)
def test_a_group_without_events_has_a_rate_of_zero_with_an_upper_limit(interval: RateInterval) -> None:
    """3.689 expected events leave 2.5 % for none (Garwood); Byar's approximation says 3.669."""
    rate = event_rate(SMALL.rows(~SMALL.is_event), interval=interval)
    assert (rate.estimate, rate.low) == (0.0, 0.0)
    assert rate.high is not None
    assert rate.high * rate.follow_up == pytest.approx(3.68, abs=0.02)


def test_byars_interval_is_close_to_the_exact_one() -> None:
    exact, byar = (event_rate(SMALL, interval=kind) for kind in RateInterval)
    assert (byar.low, byar.high) == pytest.approx((exact.low, exact.high), rel=0.05)


def test_no_follow_up_has_no_rate_and_no_rows_no_curve() -> None:
    assert event_rate(follow_up([0, 0], [1, 1])).reason == "there is no follow-up time"
    with pytest.raises(InputError, match="expected a length of follow-up above 0"):
        event_rate(SMALL, per=0)
    with pytest.raises(InputError, match="no rows"):
        kaplan_meier(SMALL.rows(np.zeros(5, dtype=bool)))
