from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from calcmap.core.errors import InputError, NotEstimableError
from calcmap.prognosis.cox import Variance, fit_cox, hazard_ratios
from calcmap.prognosis.followup import follow_up
from calcmap.prognosis.partial_likelihood import Ties
from calcmap.prognosis.subdistribution import fit_subdistribution
from prognosis.clinical_tables import from_r
from prognosis.competing_cohort import competing_cohort


@pytest.mark.parametrize(
    ("tied", "log_hr", "error", "likelihood"),
    [
        (
            False,
            [0.2640086246, 0.0904033661, 0.7542224994, 1.6291894241],
            [0.1597484337, 0.2535311946, 0.3861583874, 0.3779148415],
            (-304.72526311, -319.73008962),
        ),
        (
            True,
            [0.2502933202, 0.0708088626, 0.7539673236, 1.5937426684],
            [0.1548780340, 0.2462317315, 0.3813353313, 0.3700057258],
            (-309.95967847, -324.10957882),
        ),
    ],
)
def test_ratios_and_errors_are_those_of_r(
    tied: bool, log_hr: list[float], error: list[float], likelihood: tuple[float, float]
) -> None:
    # cmprsk 2.2-12: crr(time, status, covariates, gtol = 1e-13)
    table, _ = competing_cohort(tied=tied)
    fit = fit_subdistribution(table)
    assert fit.variance is Variance.SUBDISTRIBUTION
    assert fit.log_hr == pytest.approx(log_hr, abs=2e-7)
    assert fit.standard_error == pytest.approx(error, abs=2e-8)
    assert (fit.log_likelihood, fit.log_likelihood_null) == pytest.approx(likelihood, abs=1e-7)
    assert [each.name for each in hazard_ratios(fit)] == ["age", "male", "mild", "severe"]


def test_monoclonal_gammopathy_has_rs_numbers() -> None:
    columns = from_r("mgus2")
    progressed = columns["pstat"] == "1"
    months = np.where(progressed, columns["ptime"], columns["futime"]).astype(float)
    died = (columns["death"] == "1") & ~progressed
    covariates = {"age": columns["age"].astype(float), "male": columns["sex"] == "M"}
    fit = fit_subdistribution(follow_up(months, progressed, competing=died, covariates=covariates))
    assert fit.log_hr == pytest.approx([-0.0173381532, -0.2600382378], abs=1e-8)
    assert fit.standard_error == pytest.approx([0.0057371032, 0.1856810348], abs=1e-8)


def test_without_competing_events_it_is_coxs_model() -> None:
    table, _ = competing_cohort(tied=True)
    alone = replace(table, competing=None)
    cox = fit_cox(alone, ties=Ties.BRESLOW, variance=Variance.ROBUST)
    fit = fit_subdistribution(alone)
    assert fit.log_hr == pytest.approx(cox.log_hr, abs=1e-9)
    assert fit.covariance == pytest.approx(cox.covariance, abs=1e-9)
    assert fit.log_likelihood == pytest.approx(cox.log_likelihood, abs=1e-9)
    assert fit.score_chi2 == pytest.approx(cox.score_chi2, rel=1e-9)


def test_without_censoring_competing_patients_stay_to_the_end() -> None:
    """Nobody is censored: whoever had the other event is at risk for ever, as if followed longest."""
    table, _ = competing_cohort()
    everybody = replace(table, competing=np.where(table.is_event, 0, 1))
    stayed = replace(table, competing=None, time=np.where(table.is_event, table.time, table.time.max() + 1))
    fit, cox = fit_subdistribution(everybody), fit_cox(stayed, ties=Ties.BRESLOW, variance=Variance.ROBUST)
    assert fit.log_hr == pytest.approx(cox.log_hr, abs=1e-9)
    assert fit.covariance == pytest.approx(cox.covariance, abs=1e-9)


def test_neither_order_nor_unit_matters() -> None:
    table, _ = competing_cohort(tied=True)
    turned = table.rows(np.random.default_rng(2).permutation(len(table)))
    other = replace(turned, time=12 * turned.time, covariates=turned.covariates * np.array([10.0, 1.0, 1.0, 1.0]))
    fit, again = fit_subdistribution(table), fit_subdistribution(other)
    assert again.log_hr * np.array([10.0, 1.0, 1.0, 1.0]) == pytest.approx(fit.log_hr, abs=1e-9)
    assert again.standard_error * np.array([10.0, 1.0, 1.0, 1.0]) == pytest.approx(fit.standard_error, abs=1e-9)


def test_one_patient_a_cluster_is_no_cluster_and_a_doubled_cohort_has_the_errors_of_one() -> None:
    table, _ = competing_cohort()
    n, fit = len(table), fit_subdistribution(table)
    alone = fit_subdistribution(replace(table, cluster=np.arange(n)))
    assert alone.covariance == pytest.approx(fit.covariance, rel=1e-9)
    twice = table.rows(np.tile(np.arange(n), 2))
    doubled = fit_subdistribution(replace(twice, cluster=np.tile(np.arange(n), 2)))
    assert doubled.log_hr == pytest.approx(fit.log_hr, abs=1e-8)
    assert doubled.standard_error == pytest.approx(fit.standard_error, rel=1e-6)


def test_a_group_without_events_has_no_ratio() -> None:
    table, category = competing_cohort()
    spared = replace(table, is_event=table.is_event & (category != 2))
    fit = fit_subdistribution(spared, ["severe"])
    assert fit.infinite == ("severe",)
    assert hazard_ratios(fit)[0].estimate is None


@pytest.mark.parametrize(
    ("change", "names", "error", "message"),
    [
        ({"stratum": np.zeros(240, dtype=np.int64)}, None, InputError, "not defined for strata or case weights"),
        ({"weight": np.ones(240)}, None, InputError, "not defined for strata or case weights"),
        ({"is_event": np.zeros(240, dtype=bool)}, None, NotEstimableError, "nobody of 240 has the event"),
        ({}, ["height"], InputError, "no covariate is called 'height'"),
        ({}, [], InputError, "needs at least one covariate"),
    ],
)
def test_what_cannot_be_fitted_is_refused(
    change: dict[str, object], names: list[str] | None, error: type[Exception], message: str
) -> None:
    table, _ = competing_cohort()
    with pytest.raises(error, match=message):
        fit_subdistribution(replace(table, **change), names)  # type: ignore[arg-type]


def test_its_variance_is_not_coxs() -> None:
    table, _ = competing_cohort()
    with pytest.raises(InputError, match="belongs to fit_subdistribution"):
        fit_cox(table, variance=Variance.SUBDISTRIBUTION)
