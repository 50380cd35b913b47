from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from lifelines import CoxPHFitter

from calcmap.core.errors import InputError
from calcmap.prognosis.assessment import assess_prognosis, n_bootstrap_draws, risk_times
from calcmap.prognosis.config import Analysis
from calcmap.prognosis.models import area_times
from calcmap.prognosis.study import BASE, AnalysisResult, CoxModel, PrognosisStudy
from prognosis.clinical_tables import read_columns
from prognosis.made_outcome import SETTINGS, made_cells, made_settings

QUICK = {"bootstrap": {"draws": 2, "workers": 1}}
NO_DRAWS = {"analyses": [each.value for each in Analysis if each not in ("discrimination", "reclassification")]}


@pytest.fixture(scope="module")
def made() -> PrognosisStudy:
    return assess_prognosis(
        made_cells(),
        made_settings(
            risk_cut_offs=[0.1, 0.3],
            sensitivities=[
                {"name": "death", "endpoint": "death"},
                {"name": "nobody", "keep": [{"column": "age", "at_least": 500}]},
            ],
        ),
    )


def _ratios(model: CoxModel) -> dict[str, float | None]:
    return {line.ratio.name: line.ratio.estimate for line in model.terms if not line.is_reference}


@pytest.fixture(scope="module")
def whas(shared_data: Path) -> AnalysisResult:
    columns = read_columns(shared_data / "statistics" / "whas500.csv")
    names = ("gender", "bmi", "hr", "chf", "diasbp", "age")
    settings = made_settings(
        id=None,
        horizon=730.0,
        time_unit="days",
        endpoints=[{"name": "death", "time": "time", "event": "event"}],
        categories=[{"name": "group", "column": "age", "levels": ["<60", "60s", "70s", "80+"], "cuts": [60, 69, 79]}],
        covariates=[{"column": name} for name in names],
        analyses=[each.value for each in Analysis if each is not Analysis.RECLASSIFICATION],
        **QUICK,
    )
    cells = {name: [float(cell) for cell in columns[name]] for name in ("time", "event", *names)}
    return assess_prognosis(cells, settings).main


@pytest.mark.real_data
class TestWhas500:
    """FACTS 5: four age groups as the reading, and the six-variable model as covariates."""

    def test_groups_and_log_rank(self, whas: AnalysisResult) -> None:
        assert whas.curves is not None
        curves = whas.curves[0]
        assert [at.n for at in curves.survival] == [138, 86, 114, 162]
        assert curves.log_rank is not None
        assert curves.log_rank.statistic == pytest.approx(120.1, abs=0.05)

    def test_unadjusted_hazard_ratios(self, whas: AnalysisResult) -> None:
        assert whas.hazard_ratios is not None
        model = whas.hazard_ratios.unadjusted[0]
        printed = [(1.0, None, None), (1.79790, 0.94351, 3.42596), (5.39758, 3.18800, 9.13861)]
        printed.append((8.38824, 5.07522, 13.86394))
        for line, (estimate, low, high) in zip(model.terms, printed, strict=True):
            assert line.ratio.estimate == pytest.approx(estimate, abs=6e-6)
            assert line.ratio.low == (low if low is None else pytest.approx(low, abs=6e-6))
            assert line.ratio.high == (high if high is None else pytest.approx(high, abs=6e-6))
        assert model.likelihood_ratio is not None
        assert model.likelihood_ratio.statistic == pytest.approx(124.8, abs=0.05)

    def test_base_model_and_its_concordance(self, whas: AnalysisResult) -> None:
        assert whas.hazard_ratios is not None
        assert whas.discrimination is not None
        base = whas.hazard_ratios.base
        assert base is not None
        printed = {"gender": -0.2716960, "bmi": -0.0452784, "hr": 0.0111940, "chf": 0.7794224, "age": 0.0498596}
        logs = {line.ratio.name: line.ratio.log_hr for line in base.terms}
        assert {name: logs[name] for name in printed} == pytest.approx(printed, abs=6e-8)
        assert base.likelihood_ratio is not None
        assert base.likelihood_ratio.statistic == pytest.approx(207.74, abs=0.005)
        assert base.score_test is not None
        assert base.score_test.overall.statistic == pytest.approx(4.9849, abs=5e-5)
        assert whas.discrimination.models[0].name == BASE
        assert whas.discrimination.models[0].harrell.estimate == pytest.approx(0.77709617, abs=6e-9)


def test_adjusted_ratios_and_likelihood_ratio_are_those_of_lifelines(made: PrognosisStudy) -> None:
    cells, found = made_cells(), made.main
    assert found.hazard_ratios is not None
    assert found.added_value is not None
    frame = pd.DataFrame(
        {
            "dl: 1-100": [1 <= each <= 100 for each in cells["score"]],
            "dl: 101-400": [100 < each <= 400 for each in cells["score"]],
            "dl: >400": [each > 400 for each in cells["score"]],
            "age": np.array(cells["age"]) / 10,
            "sex": [each == "M" for each in cells["sex"]],
            "grade: b": [each == "b" for each in cells["grade"]],
            "grade: c": [each == "c" for each in cells["grade"]],
            "years": cells["years"],
            "mace": cells["mace"],
        }
    ).astype(float)
    # lifelines stops early: its ratios are known to 5e-5, its likelihood better
    whole = CoxPHFitter().fit(frame, "years", "mace")
    base = CoxPHFitter().fit(frame.drop(columns=["dl: 1-100", "dl: 101-400", "dl: >400"]), "years", "mace")
    assert _ratios(found.hazard_ratios.adjusted[0]) == pytest.approx(whole.hazard_ratios_.to_dict(), rel=1e-4)
    test = found.added_value[0].likelihood_ratio
    assert test is not None
    assert test.statistic == pytest.approx(2 * (whole.log_likelihood_ - base.log_likelihood_), abs=1e-5)
    assert test.df == 3


def test_every_part_is_there(made: PrognosisStudy) -> None:
    found = made.main
    assert found.table_one is not None
    assert found.table_one.group_names == ("0", "1-100", "101-400", ">400")
    assert [row.label for row in found.table_one.rows if row.comparison][-1] == "height"
    assert found.event_rates is not None
    rates = found.event_rates[0].levels
    assert rates[0].rate.n_events == sum(each.rate.n_events for each in rates[1:]) == sum(made_cells()["mace"])
    assert found.discrimination is not None
    assert [each.name for each in found.discrimination.models] == ["base", "dl", "eye", "dl_alone", "eye_alone"]
    assert [(each.first, each.second) for each in found.discrimination.gains] == [
        *(("dl", "base"), ("eye", "base"), ("dl", "eye"))
    ]
    assert found.calibration is not None
    assert all(each.calibration is not None for each in found.calibration)
    assert found.reclassification is not None
    dl = found.reclassification.categories[0]
    assert [(each.is_categorical, each.estimator.value) for each in dl.nri] == [
        *((False, "km"), (False, "ipw"), (True, "km"), (True, "ipw"))
    ]
    for nri in dl.nri:
        assert nri.nri.estimate == pytest.approx((nri.event.estimate or 0) + (nri.nonevent.estimate or 0), abs=1e-12)
        assert nri.nri.low is not None
    assert dl.table is not None
    assert dl.table.all_patients.sum() == 240


def test_a_sensitivity_analysis_that_cannot_be_made_says_why(made: PrognosisStudy) -> None:
    nobody = made.sensitivities[1]
    assert nobody.reason is not None
    assert nobody.reason.startswith("0 of 240 patients are left, expected at least 2; filter of 'age': 240")
    assert nobody.hazard_ratios is None


def test_c_less_optimism_stands_beside_c(made: PrognosisStudy) -> None:
    assert made.main.discrimination is not None
    for model in made.main.discrimination.models:
        if model.name.endswith("_alone"):
            assert (model.optimism, model.harrell_corrected) == (None, None)
        else:
            assert model.optimism is not None
            assert model.harrell_corrected == pytest.approx((model.harrell.estimate or 0.0) - model.optimism, abs=1e-12)


def test_competing_events_give_incidence_and_a_warning(made: PrognosisStudy) -> None:
    death = made.sensitivities[0]
    assert death.curves is not None
    assert made.main.curves is not None
    assert len(death.curves[0].incidence) == 4
    assert made.main.curves[0].incidence == ()
    assert "hazard ratios are cause-specific" in death.warnings[0]
    assert death.patients.n_competing == sum(made_cells()["other"])
    last = death.curves[0]
    for free, first in zip(last.survival, last.incidence, strict=True):
        assert (first.at_horizon.estimate or 0) < 1 - (free.at_horizon.estimate or 0)


def test_an_empty_category_has_no_ratio_and_the_others_have() -> None:
    cells = made_cells()
    cells["score"] = [min(score, 400.0) for score in cells["score"]]
    found = assess_prognosis(cells, made_settings(**QUICK)).main
    assert found.hazard_ratios is not None
    ratios = {line.level: line.ratio for line in found.hazard_ratios.adjusted[0].terms if line.variable == "dl"}
    assert ratios[">400"].estimate is None
    assert ratios[">400"].reason == "nobody in >400"
    assert ratios["101-400"].estimate is not None
    assert found.warnings[0] == "DL: nobody in >400"
    assert found.curves is not None
    assert found.curves[0].survival[3].curve is None


def test_a_category_without_events_has_no_number() -> None:
    cells = made_cells()
    cells["mace"] = [0 if score > 400 else event for score, event in zip(cells["score"], cells["mace"], strict=True)]
    found = assess_prognosis(cells, made_settings(**NO_DRAWS)).main
    assert found.hazard_ratios is not None
    assert found.added_value is not None
    model = found.hazard_ratios.adjusted[0]
    line = next(each for each in model.terms if each.level == ">400")
    assert line.ratio.estimate is None
    assert "infinite or zero" in (line.ratio.reason or "")
    assert any(each.problem.value == "group_without_events" for each in model.warnings)
    assert model.score_test is None
    assert "is infinite" in (model.proportionality_reason or "")
    assert found.added_value[0].likelihood_ratio is not None


def test_everybody_at_one_time_is_estimated_without_a_test_of_proportional_hazards() -> None:
    cells = {**made_cells(), "years": [2.0] * 240}
    found = assess_prognosis(cells, made_settings(**QUICK)).main
    assert found.hazard_ratios is not None
    assert found.hazard_ratios.adjusted[0].proportionality_reason == (
        "all events are at one time, so no change with time can be seen"
    )
    assert found.reclassification is not None
    assert found.reclassification.categories[0].nri == ()
    assert "follow-up holds 0 to 2" in (found.reclassification.categories[0].reason or "")
    assert "follow-up ends at 2, before the horizon of 3" in found.warnings


def test_twenty_rows_are_analysed_with_reasons_and_warnings() -> None:
    found = assess_prognosis(made_cells(20), made_settings(**QUICK)).main
    assert found.patients.n == 20
    assert found.hazard_ratios is not None
    for model in (*found.hazard_ratios.adjusted, *found.hazard_ratios.unadjusted):
        for line in model.terms:
            assert line.is_reference or (line.ratio.estimate is None) == (line.ratio.reason is not None)
    assert any(each.problem.value == "few_events" for each in found.hazard_ratios.adjusted[0].warnings)


def test_all_censored_is_an_error() -> None:
    with pytest.raises(InputError, match="nobody of 240 has the event: all follow-up is censored"):
        assess_prognosis({**made_cells(), "mace": [0] * 240}, made_settings())


def test_a_covariate_that_follows_from_another_leaves_no_adjusted_model() -> None:
    cells = made_cells()
    cells["twice"] = [2 * age for age in cells["age"]]
    covariates = [{"column": "age"}, {"column": "twice"}]
    found = assess_prognosis(cells, made_settings(covariates=covariates, **QUICK)).main
    assert found.hazard_ratios is not None
    assert found.hazard_ratios.adjusted[0].reason is not None
    assert _ratios(found.hazard_ratios.unadjusted[0])["dl: >400"] is not None
    assert any(each.startswith("no bootstrap: ") for each in found.warnings)
    assert found.reclassification is not None
    assert all(each.reason for each in found.reclassification.categories)


def test_without_covariates_readings_are_judged_alone() -> None:
    found = assess_prognosis(made_cells(), made_settings(covariates=[], **QUICK)).main
    assert found.hazard_ratios is not None
    assert found.hazard_ratios.adjusted == ()
    assert found.added_value is not None
    assert found.added_value[0].likelihood_ratio == found.hazard_ratios.unadjusted[0].likelihood_ratio
    assert found.discrimination is not None
    assert [each.name for each in found.discrimination.models] == ["dl_alone", "eye_alone"]
    assert found.reclassification is not None
    assert found.reclassification.categories[0].reason == "there are no covariates to add a reading to"


def test_imputed_ratios_are_pooled_and_close_to_the_complete_ones(made: PrognosisStudy) -> None:
    cells = made_cells()
    for row in range(0, 240, 20):
        cells["age"][row] = None
    settings = made_settings(missing="impute", imputation={"imputations": 4, "cycles": 2}, **QUICK)
    found = assess_prognosis(cells, settings).main
    assert found.hazard_ratios is not None
    assert made.main.hazard_ratios is not None
    line = next(each for each in found.hazard_ratios.adjusted[0].terms if each.variable == "age")
    whole = next(each for each in made.main.hazard_ratios.adjusted[0].terms if each.variable == "age")
    assert line.fraction_missing is not None
    assert 0 < line.fraction_missing < 0.5
    assert line.ratio.log_hr == pytest.approx(whole.ratio.log_hr, abs=2 * (whole.ratio.standard_error or 0))
    assert found.added_value is not None
    assert found.added_value[0].pooled_wald is not None
    assert found.patients.n == 240
    assert found.discrimination is not None
    assert found.discrimination.models[0].harrell.low is not None


def test_clusters_widen_and_strata_separate() -> None:
    changes = {"cluster": "centre", "bootstrap": {"draws": 2, "workers": 1, "by_cluster": True}}
    plain = assess_prognosis(made_cells(), made_settings(**NO_DRAWS)).main
    clustered = assess_prognosis(made_cells(), made_settings(**{**SETTINGS, **changes})).main
    strata = assess_prognosis(made_cells(), made_settings(strata="centre", **NO_DRAWS)).main
    ratios = []
    for found in (plain, clustered, strata):
        assert found.hazard_ratios is not None
        ratios.append(found.hazard_ratios.adjusted[0].terms[1].ratio)
    assert ratios[0].estimate == ratios[1].estimate
    assert ratios[0].standard_error != ratios[1].standard_error
    assert ratios[0].estimate != ratios[2].estimate


def test_progress_counts_every_draw_also_of_analyses_that_fail() -> None:
    few = [{"name": "nobody", "keep": [{"column": "age", "at_least": 500}]}]
    settings = made_settings(sensitivities=few, **QUICK)
    finished: list[int] = []
    assess_prognosis(made_cells(), settings, advance=finished.append)
    assert sum(finished) == n_bootstrap_draws(settings) == 4
    assert n_bootstrap_draws(made_settings(**NO_DRAWS)) == 0


def test_parts_not_asked_for_are_none() -> None:
    found = assess_prognosis(made_cells(), made_settings(analyses=["curves"])).main
    assert found.curves is not None
    assert found.hazard_ratios is found.reclassification is found.table_one is None


@pytest.mark.parametrize(
    ("last", "times"),
    [(5.6, (0.0, 1.0, 2.0, 3.0, 4.0, 5.0)), (2358.0, (0.0, 500.0, 1000.0, 1500.0, 2000.0)), (0.0, (0.0,))],
)
def test_numbers_at_risk_stand_at_round_times(last: float, times: tuple[float, ...]) -> None:
    assert risk_times(last) == times


def test_areas_are_at_whole_times_up_to_the_horizon() -> None:
    assert area_times(3.0) == (1.0, 2.0, 3.0)
    assert area_times(2.5) == (1.0, 2.0, 2.5)
    assert area_times(730.0) == (182.5, 365.0, 547.5, 730.0)
