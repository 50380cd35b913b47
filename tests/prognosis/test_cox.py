from __future__ import annotations

import time as clock
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from calcmap.core.errors import InputError, NotEstimableError
from calcmap.prognosis.cox import (
    Between,
    CoxFit,
    Variance,
    added_value,
    baseline_hazard,
    fit_cox,
    hazard_ratios,
    linear_predictor,
    predict_risk,
)
from calcmap.prognosis.followup import FollowUp, follow_up
from calcmap.prognosis.partial_likelihood import Ties, moments, risk_sets
from prognosis.clinical_tables import (
    aml,
    from_r,
    lung,
    pbc,
    read_columns,
    rossi,
    table_of,
    veteran,
    whas500,
    whas500_age_groups,
)


def drawn(n: int, p: int, *, seed: int, days: int = 1500) -> FollowUp:
    """Return a made-up cohort with ties, of which about a third has the event."""
    random = np.random.default_rng(seed)
    x = random.normal(size=(n, p))
    event = np.ceil(random.exponential(3 * days, n) * np.exp(-0.3 * x.sum(axis=1) / np.sqrt(p)))
    end = random.integers(days // 4, days, n)
    columns = {f"x{k}": x[:, k] for k in range(p)}
    return follow_up(np.minimum(event, end), event <= end, covariates=columns)


def with_columns(table: FollowUp, **changes: NDArray[np.generic]) -> FollowUp:
    columns = dict(zip(table.names, table.covariates.T, strict=True))
    return follow_up(table.time, table.is_event, covariates=columns, **changes)


def test_lung_by_sex_is_rs_printout() -> None:
    fit = fit_cox(lung("sex"))
    (sex,) = hazard_ratios(fit)
    assert (sex.n, sex.n_events) == (228, 165)
    assert (sex.log_hr, sex.estimate) == pytest.approx((-0.5310235, 0.5880028), abs=5e-8)
    assert (sex.low, sex.high) == pytest.approx((0.42372, 0.81598), abs=5e-6)
    assert (sex.z, sex.p) == (pytest.approx(-3.1764, abs=5e-5), pytest.approx(0.00149, abs=5e-6))
    assert (fit.log_likelihood_null, fit.log_likelihood) == pytest.approx((-749.9098, -744.5930), abs=5e-5)
    assert fit.score.statistic == pytest.approx(10.33, abs=5e-3)


@pytest.mark.parametrize(
    ("ties", "printed", "digits"),
    [(Ties.EFRON, [0.0110668, -0.5526124, 0.4637285], 7), (Ties.BRESLOW, [0.011041, -0.551890, 0.462947], 6)],
)
def test_lung_of_three_covariates_is_rs_printout(ties: Ties, printed: list[float], digits: int) -> None:
    fit = fit_cox(lung("age", "sex", "ph.ecog"), ties=ties)
    assert fit.log_hr == pytest.approx(printed, abs=0.5 * 10**-digits)
    assert (fit.n, fit.n_events) == (227, 164)


def test_adding_ecog_has_the_printed_likelihood_ratio() -> None:
    table = lung("age", "sex", "ph.ecog")
    whole = fit_cox(table)
    assert whole.likelihood_ratio.statistic == pytest.approx(30.5, abs=0.05)
    added = added_value(fit_cox(table, ("age", "sex")), whole)
    assert (added.statistic, added.df) == (pytest.approx(16.6244, abs=5e-5), 1)


@pytest.mark.real_data
def test_rossi_is_rs_printout(shared_data: Path) -> None:
    fit = fit_cox(rossi(shared_data))
    printed = [-0.379422, -0.057438, 0.313900, -0.149796, -0.433704, -0.084871, 0.091497]
    assert fit.log_hr == pytest.approx(printed, abs=5e-7)
    assert (fit.log_likelihood_null, fit.log_likelihood) == pytest.approx((-675.38063, -658.74766), abs=5e-6)
    assert (fit.likelihood_ratio.statistic, fit.likelihood_ratio.df) == (pytest.approx(33.27, abs=5e-3), 7)
    assert fit.aic == pytest.approx(1331.495, abs=5e-4)
    assert hazard_ratios(fit)[0].estimate == pytest.approx(0.684257, abs=5e-7)
    assert (fit.n, fit.n_events) == (432, 114)


def test_veteran_has_rs_coefficients_likelihoods_and_tests() -> None:
    """R survival 3.5-3: coxph(Surv(time, status) ~ trt + prior + karno, veteran), both kinds of ties."""
    table = veteran("trt", "prior", "karno")
    efron, breslow = fit_cox(table), fit_cox(table, ties=Ties.BRESLOW)
    assert efron.log_hr == pytest.approx([0.1801972, -0.0055509, -0.0337710], abs=5e-8)
    assert breslow.log_hr == pytest.approx([0.176486336, -0.005622958885, -0.03357607217], abs=5e-10)
    assert (efron.score.statistic, efron.wald.statistic) == pytest.approx((47.2111258, 44.93780297), abs=5e-8)
    assert (breslow.score.statistic, breslow.wald.statistic) == pytest.approx((46.68210395, 44.44346478), abs=5e-8)
    assert (efron.log_likelihood, breslow.log_likelihood) == pytest.approx((-483.9277463, -484.5832615), abs=5e-8)


def test_strata_have_rs_numbers() -> None:
    """R: coxph(Surv(time, status) ~ trt + karno + strata(celltype), veteran)."""
    table = with_columns(veteran("trt", "karno"), stratum=from_r("veteran")["celltype"])
    fit = fit_cox(table)
    assert fit.log_hr == pytest.approx([0.2328346769, -0.0358011230], abs=5e-11)
    assert fit.standard_error == pytest.approx([0.201098744895, 0.005530190931], abs=5e-11)
    assert (fit.log_likelihood_null, fit.log_likelihood) == pytest.approx((-338.7362072, -317.5805549), abs=5e-8)


@pytest.mark.parametrize(
    ("variance", "column", "printed"),
    [
        (Variance.ROBUST, None, [0.19372153858, 0.00487796054]),
        (Variance.CLUSTERED, "age", [0.165868075754, 0.005304822905]),
    ],
)
def test_robust_variances_have_rs_numbers(variance: Variance, column: str | None, printed: list[float]) -> None:
    """R: coxph(Surv(time, status) ~ trt + karno, veteran), robust=TRUE, and with cluster(age)."""
    cluster = {} if column is None else {"cluster": from_r("veteran")[column]}
    fit = fit_cox(with_columns(veteran("trt", "karno"), **cluster), variance=variance)
    assert fit.standard_error == pytest.approx(printed, abs=5e-11)


@pytest.mark.parametrize(
    ("ties", "log_hr", "model", "robust"),
    [
        (
            Ties.EFRON, [0.15177920177, -0.04032385135], [0.062866479010, 0.001842672279],
            [0.238417529495, 0.004761164734],
        ),
        (Ties.BRESLOW, [0.13422977980, -0.03902703487], [0.062774349238, 0.001830507962], None),
    ],
)  # fmt: skip
def test_case_weights_have_rs_numbers(
    ties: Ties, log_hr: list[float], model: list[float], robust: list[float] | None
) -> None:
    """R: coxph(Surv(time, status) ~ trt + karno, veteran, weights = diagtime)."""
    table = with_columns(veteran("trt", "karno"), weight=from_r("veteran")["diagtime"].astype(float))
    fit = fit_cox(table, ties=ties, variance=Variance.ROBUST)
    assert fit.log_hr == pytest.approx(log_hr, abs=5e-10)
    assert np.sqrt(np.diag(fit.model_covariance)) == pytest.approx(model, abs=5e-12)
    assert robust is None or fit.standard_error == pytest.approx(robust, abs=5e-11)


def test_pbc_and_colon_are_rs_printouts() -> None:
    fit = fit_cox(pbc())
    assert fit.log_hr == pytest.approx([0.039609, 0.896311, 0.863551, 2.386839, -2.506923], abs=5e-7)
    assert (fit.n, fit.n_events) == (416, 160)
    assert fit.likelihood_ratio.statistic == pytest.approx(230.98, abs=5e-3)
    deaths = {name: values[from_r("colon")["etype"] == "2"] for name, values in from_r("colon").items()}
    arms = {arm: (deaths["rx"] == arm).astype(float) for arm in ("Lev", "Lev+5FU")}
    fit = fit_cox(follow_up(deaths["time"].astype(float), deaths["status"] == "1", covariates=arms))
    assert fit.log_hr == pytest.approx([-0.026637, -0.371710], abs=5e-7)
    assert (fit.n, fit.n_events) == (929, 452)


@pytest.mark.real_data
def test_whas500_age_groups_and_six_covariates_are_rs_printouts(shared_data: Path) -> None:
    table = whas500(shared_data)
    group = whas500_age_groups(table)
    columns = {f"group {k}": group == k for k in (1, 2, 3)}
    fit = fit_cox(follow_up(table.time, table.is_event, covariates=columns))
    found = [(term.estimate, term.low, term.high) for term in hazard_ratios(fit)]
    printed = [(1.79790, 0.94351, 3.42596), (5.39758, 3.18800, 9.13861), (8.38824, 5.07522, 13.86394)]
    assert np.array(found, dtype=float) == pytest.approx(np.array(printed), abs=5e-6)
    assert fit.likelihood_ratio.statistic == pytest.approx(124.8, abs=0.05)
    assert fit_cox(table, ("age",)).log_hr == pytest.approx([0.066339], abs=5e-7)
    six = fit_cox(table, ("gender", "bmi", "hr", "chf", "diasbp", "age"))
    assert six.log_hr == pytest.approx([-0.2716960, -0.0452784, 0.0111940, 0.7794224, -0.0106080, 0.0498596], abs=5e-8)
    assert six.likelihood_ratio.statistic == pytest.approx(207.74, abs=5e-3)


@pytest.mark.real_data
def test_pbc_risks_are_those_of_nricens(shared_data: Path) -> None:
    columns = read_columns(shared_data / "statistics" / "pbc312.csv")
    table = table_of(columns, "age", "bili", "albumin", "protime", event=columns["event"] == "1")
    base, extended = fit_cox(table, ("age", "bili", "albumin")), fit_cox(table)
    assert base.log_hr == pytest.approx([0.0372668, 0.1353118, -1.4461185], abs=5e-8)
    assert extended.log_hr == pytest.approx([0.0336268, 0.1251789, -1.3939524, 0.2860292], abs=5e-8)
    likelihoods = (base.log_likelihood_null, base.log_likelihood, extended.log_likelihood)
    assert likelihoods == pytest.approx((-639.96649, -568.23125, -561.51917), abs=5e-6)
    added = added_value(base, extended)
    assert (added.statistic, added.df) == (pytest.approx(13.4242, abs=5e-5), 1)
    assert added.p == pytest.approx(0.000248, abs=5e-7)
    risks = predict_risk(base, table, at=2000, between=Between.LINEAR)
    assert risks[:3] == pytest.approx([0.9991842483, 0.1084189486, 0.4029632813], abs=5e-11)
    risks = predict_risk(extended, table, at=2000, between=Between.LINEAR)
    assert risks[3:5] == pytest.approx([0.6274546235, 0.1861164879], abs=5e-11)


@pytest.mark.parametrize(
    ("ties", "printed"),
    [
        (Ties.EFRON, [0.5146307219, 0.3078043536, 0.3563029809]),
        (Ties.BRESLOW, [0.5131892905, 0.3077504058, 0.3551918508]),
    ],
)
def test_predicted_risks_are_those_of_rs_survfit(ties: Ties, printed: list[float]) -> None:
    """R: 1 - survfit(coxph(Surv(time, status) ~ trt + prior + karno, veteran), newdata)$surv at 90 days."""
    table = veteran("trt", "prior", "karno")
    fit = fit_cox(table, ties=ties)
    assert predict_risk(fit, table, at=90)[[0, 49, 99]] == pytest.approx(printed, abs=5e-10)


def test_stratified_risks_are_those_of_rs_survfit() -> None:
    table = with_columns(veteran("trt", "karno"), stratum=from_r("veteran")["celltype"])
    printed = [0.3324677642, 0.4385632190, 0.4502773791]
    assert predict_risk(fit_cox(table), table, at=90)[[0, 49, 99]] == pytest.approx(printed, abs=5e-10)


def test_the_score_test_of_two_groups_without_ties_is_the_log_rank_test() -> None:
    """Three patients at risk, one in the group, then two and none: O - E = 1 - 1/3; variance 2/9."""
    fit = fit_cox(follow_up([1, 2, 3], [1, 1, 0], covariates={"group": [1, 0, 0]}))
    assert fit.score.statistic == pytest.approx((1 - 1 / 3) ** 2 / (2 / 9))


@pytest.mark.parametrize("ties", Ties)
def test_the_score_is_the_slope_of_the_likelihood(ties: Ties) -> None:
    table = drawn(60, 3, seed=3, days=30)
    sets, beta = risk_sets(table, ties=ties), np.array([0.2, -0.4, 0.1])
    x = table.covariates[sets.order]
    slope = [
        (moments(sets, x, linear_predictor=x @ (beta + step)).log_likelihood
         - moments(sets, x, linear_predictor=x @ (beta - step)).log_likelihood) / 2e-6
        for step in 1e-6 * np.eye(3)
    ]  # fmt: skip
    assert moments(sets, x, linear_predictor=x @ beta).score == pytest.approx(slope, abs=1e-6)


def test_a_group_without_events_is_infinite_with_a_reason_and_leaves_the_others_sound() -> None:
    """R stops at a coefficient of 23 and warns; z and both likelihoods are R's."""
    columns = {"x": [1, 1, 1, 1, 0, 0, 0, 0], "z": [3, 1, 4, 1, 5, 9, 2, 6]}
    table = follow_up(range(1, 9), [1, 1, 1, 1, 0, 0, 0, 0], covariates=columns)
    fit = fit_cox(table)
    assert fit.infinite == ("x",)
    x, z = hazard_ratios(fit)
    assert (x.estimate, x.low, x.p) == (None, None, None)
    assert x.reason == "the hazard ratio of 'x' is infinite or zero: it separates those with the event"
    assert (z.log_hr, z.standard_error) == pytest.approx((0.2071411, 0.4092861), abs=5e-7)
    assert (fit.log_likelihood_null, fit.log_likelihood) == pytest.approx((-7.426549072, -3.048474755), abs=5e-8)


@pytest.mark.parametrize(
    ("columns", "names", "message"),
    [
        ({"a": [1, 1, 1, 1]}, None, "'a' is 1 in all 4 rows, so it has no hazard ratio"),
        ({"a": [1, 2, 3, 5], "b": [2, 4, 6, 10]}, None, "'b' does not vary beside a: drop it"),
        ({"a": [0, 1, 0, 0], "b": [0, 0, 1, 0], "c": [1, 0, 0, 1]}, None, "'c' does not vary beside a, b"),
        ({"a": [5, 1, 1, 1]}, None, "'a' does not vary among those at risk"),
    ],
)
def test_a_model_that_the_table_does_not_determine_is_refused(
    columns: dict[str, list[int]], names: tuple[str, ...] | None, message: str
) -> None:
    is_event = [0, 1, 1, 0]
    with pytest.raises(NotEstimableError, match=message):
        fit_cox(follow_up([1, 2, 3, 4], is_event, covariates=columns), names)


def test_a_model_without_events_covariates_or_clusters_is_refused() -> None:
    table = follow_up([1, 2, 3, 4], [1, 1, 0, 0], covariates={"a": [1, 2, 1, 3]})
    with pytest.raises(NotEstimableError, match="nobody of 2 has the event"):
        fit_cox(table.rows(~table.is_event))
    with pytest.raises(InputError, match="at least one covariate"):
        fit_cox(table, ())
    with pytest.raises(InputError, match="needs the table's cluster column"):
        fit_cox(table, variance=Variance.CLUSTERED)


def test_models_that_are_not_nested_are_not_compared() -> None:
    table = drawn(60, 3, seed=1)
    one, two = fit_cox(table, ("x0", "x1")), fit_cox(table, ("x1", "x2"))
    with pytest.raises(InputError, match="not nested"):
        added_value(one, two)
    with pytest.raises(InputError, match="the same rows"):
        added_value(fit_cox(table.rows(np.arange(50)), ("x0",)), one)


def test_a_risk_beyond_follow_up_is_refused() -> None:
    table = drawn(60, 1, seed=1)
    with pytest.raises(InputError, match="asked for at time 9999, follow-up holds 0 to"):
        predict_risk(fit_cox(table), table, at=9999)


def test_the_hazard_between_observed_times_is_a_step_or_a_line() -> None:
    """Exponent 0: one of four, then one of three at times 2 and 4."""
    table = follow_up([2, 4, 4, 4], [1, 1, 0, 0], covariates={"a": [1, -1, 1, -1]})
    fit = fit_cox(table)
    baseline = baseline_hazard(fit, table)
    assert baseline.at(3)[0] == pytest.approx(baseline.cumulative[0][0])
    assert baseline.at(1, between=Between.LINEAR)[0] == pytest.approx(baseline.cumulative[0][0] / 2)
    assert baseline.at(3, between=Between.LINEAR)[0] == pytest.approx(baseline.cumulative[0].mean())


def test_all_at_one_time_is_fitted_as_ties() -> None:
    fit = fit_cox(follow_up([5] * 6, [1, 1, 1, 0, 0, 0], covariates={"a": [3, 1, 2, 2, 1, 1]}))
    assert np.isfinite(fit.log_hr).all()
    assert fit.infinite == ()


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6), factor=st.floats(0.01, 100.0), shift=st.floats(-100, 100))
def test_units_and_row_order_do_not_matter(seed: int, factor: float, shift: float) -> None:
    table = drawn(80, 2, seed=seed % 50, days=40)
    order = np.random.default_rng(seed).permutation(80)
    columns = {"x0": factor * table.covariates[:, 0] + shift, "x1": table.covariates[:, 1]}
    other = follow_up(3 * table.time, table.is_event, covariates=columns).rows(order)
    one, two = fit_cox(table), fit_cox(other)
    assert two.log_hr * [factor, 1] == pytest.approx(one.log_hr, rel=1e-6, abs=1e-8)
    assert two.log_likelihood == pytest.approx(one.log_likelihood, rel=1e-10)
    assert linear_predictor(two, other) == pytest.approx(linear_predictor(one, table)[order], rel=1e-6, abs=1e-6)


def test_the_sum_of_predicted_hazards_is_the_number_of_events() -> None:
    """Cumulative hazards at each row's own end of follow-up (Breslow's estimator makes this exact)."""
    table = drawn(200, 2, seed=5, days=50)
    fit = fit_cox(table, ties=Ties.BRESLOW)
    baseline = baseline_hazard(fit, table)
    own = baseline.cumulative[0][np.searchsorted(baseline.time[0], table.time)]
    assert (own * np.exp(linear_predictor(fit, table))).sum() == pytest.approx(table.n_events)


def test_a_fit_of_the_papers_size_is_fast_enough_for_a_thousand_bootstraps() -> None:
    """Four to five milliseconds of processor time were measured; the limit leaves room for a busy machine."""
    table = drawn(2271, 12, seed=0)
    fits: list[CoxFit] = []
    begin = clock.process_time()
    for _ in range(10):
        fits.append(fit_cox(table))
    assert (clock.process_time() - begin) / 10 < 0.05
    assert fits[0].n_events > 300


def test_the_leukaemia_trials_arms_differ_as_its_log_rank_says() -> None:
    table, arm = aml()
    fit = fit_cox(follow_up(table.time, table.is_event, covariates={"not maintained": arm == "Nonmaintained"}))
    assert fit.log_hr[0] > 0
    assert fit.score.statistic == pytest.approx(3.4, abs=0.05)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_any_small_table_gives_finite_numbers_or_a_reason(seed: int) -> None:
    """Separation, collinearity and outliers of thirteen decades are the rule here, and warnings are errors."""
    random = np.random.default_rng(seed)
    n, p, kind = random.integers(3, 30), random.integers(1, 7), seed % 3
    values = [random.integers(0, 2, (n, p)), random.normal(size=(n, p)), np.exp(5 * random.normal(size=(n, p)))][kind]
    is_event = random.integers(0, 2, n)
    is_event[0] = 1
    columns = {f"x{k}": column for k, column in enumerate(values.T)}
    table = follow_up(random.integers(1, 20, n), is_event, covariates=columns)
    try:
        fit = fit_cox(table, variance=Variance.ROBUST)
    except NotEstimableError:
        return
    for term in hazard_ratios(fit):
        found = (term.estimate, term.low, term.high, term.p)
        assert term.reason is not None or np.isfinite(np.array(found, dtype=float)).all()
    assert np.isfinite(predict_risk(fit, table, at=float(table.time.max()))).all()


def test_a_ratio_beyond_any_number_keeps_its_logarithm() -> None:
    plain = drawn(80, 1, seed=2)
    table = follow_up(plain.time, plain.is_event, covariates={"a": 1e-7 * plain.covariates[:, 0]})
    (term,) = hazard_ratios(fit_cox(table))
    assert (term.estimate, term.reason) == (
        None, "per unit of 'a' the hazard ratio is beyond any number: use a larger unit",
    )  # fmt: skip
    assert term.log_hr == pytest.approx(1e7 * fit_cox(plain).log_hr[0], rel=1e-6)


def test_a_hopelessly_skewed_covariate_is_refused_where_r_does_not_converge() -> None:
    """One value of 8e7 beside thirty below 7,200: R runs out of iterations and warns."""
    random = np.random.default_rng(53)
    n, p, _ = random.integers(3, 40), random.integers(1, 8), random.integers(0, 3)
    skewed = np.exp(random.normal(size=n) * 5)
    time, event = random.integers(1, random.integers(2, 50), n), random.integers(0, 2, n)
    assert p == 1
    with pytest.raises(NotEstimableError, match="17 events do not determine 1 hazard ratios"):
        fit_cox(follow_up(time, event, covariates={"skewed": skewed}))


def test_a_stratum_that_a_bootstrap_sample_has_lost_does_no_harm_and_has_no_risk() -> None:
    plain = drawn(90, 1, seed=4)
    table = with_columns(plain, stratum=np.repeat(["a", "b", "c"], 30))
    some = table.rows(np.r_[0:30, 60:90])
    fit = fit_cox(some)
    baseline = baseline_hazard(fit, some)
    day = float(min(some.time[:30].max(), some.time[30:].max()))
    assert np.isfinite(predict_risk(fit, some, at=day)).all()
    with pytest.raises(InputError, match="of a stratum that the baseline has not"):
        predict_risk(fit, table, at=day, baseline=baseline)
