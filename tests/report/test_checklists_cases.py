"""What a study of prognosis tells a checklist when it imputes, has clusters or strata, or was asked for little."""

from __future__ import annotations

from dataclasses import replace

import pytest

from calcmap.prognosis.config import Analysis, MissingRule
from calcmap.prognosis.study import LeftOut, PrognosisStudy
from calcmap.report.checklists import State, filled, load_checklist, prognosis_facts
from report.prognosis_studies import made_study


@pytest.fixture(scope="module")
def study() -> PrognosisStudy:
    return made_study(sensitivities=(), analyses=(Analysis.EVENT_RATES,))


def with_settings(study: PrognosisStudy, **changes: object) -> PrognosisStudy:
    return replace(study, settings=replace(study.settings, **changes))  # type: ignore[arg-type]


def test_follow_up_is_told_with_quartiles_and_left_out_where_there_is_none(study: PrognosisStudy) -> None:
    told = replace(study, main=replace(study.main, follow_up_quartiles=(1.0, 2.25, 3.5)))
    assert prognosis_facts(told)["follow_up"] == "Median 2.25 years (quartiles 1.00 and 3.50)."
    assert "follow_up" not in prognosis_facts(replace(study, main=replace(study.main, follow_up_quartiles=None)))


def test_imputed_covariates_are_counted(study: PrognosisStudy) -> None:
    imputing = with_settings(study, missing=MissingRule.IMPUTE)
    n_tables = study.settings.imputation.imputations
    how = f"{n_tables} tables by chained equations, pooled by Rubin's rules."
    assert prognosis_facts(imputing)["missing"] == f"Imputed: nothing was missing; {how}"
    flow = replace(study.main.patients, imputed=(LeftOut("age", 7), LeftOut("male", 2)))
    some = replace(imputing, main=replace(study.main, patients=flow))
    assert prognosis_facts(some)["missing"] == f"Imputed: age of 7 and male of 2; {how}"


@pytest.mark.parametrize(
    ("rule", "says"),
    [
        (MissingRule.ERROR, "Missing values are refused."),
        (MissingRule.COMPLETE_CASES, "Complete cases; table patients counts the rest."),
    ],
)
def test_the_rule_for_missing_values_is_told(study: PrognosisStudy, rule: MissingRule, says: str) -> None:
    assert prognosis_facts(with_settings(study, missing=rule))["missing"] == says


@pytest.mark.parametrize(
    ("cluster", "strata", "says"),
    [
        ("Site_ID", None, "Standard errors by cluster Site_ID."),
        (None, "scanner", "Baseline hazard by scanner."),
        ("hospital", "scanner", "Standard errors by cluster hospital and baseline hazard by scanner."),
        (None, None, ""),
    ],
)
def test_clusters_and_strata_are_told(
    study: PrognosisStudy, cluster: str | None, strata: str | None, says: str
) -> None:
    assert prognosis_facts(with_settings(study, cluster=cluster, strata=strata))["clusters"] == says


def test_what_was_not_asked_for_is_no_fact_and_left_to_the_author(study: PrognosisStudy) -> None:
    facts = prognosis_facts(study)
    assert facts["measures"] == facts["characteristics"] == ""
    assert not {"performance", "full_model", "sensitivities"} & set(facts)
    checklist = load_checklist("tripod_ai")
    states = {
        item.number: row[3]
        for item, row in zip(checklist.items, filled(checklist, facts).rows, strict=True)
        if set(item.facts) and set(item.facts) <= {"performance", "full_model"}
    }
    assert states
    assert set(states.values()) == {State.AUTHOR.value}


def test_hazard_ratios_alone_name_their_tables_and_measure(study: PrognosisStudy) -> None:
    facts = prognosis_facts(made_study(sensitivities=(), analyses=(Analysis.HAZARD_RATIOS,)))
    assert facts["full_model"] == "Hazard ratios of every term: tables hazard_ratios_*."
    assert facts["measures"] == "hazard ratios."
    assert "performance" not in facts
