"""What tables and page say of a study in which other events compete with the endpoint."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from calcmap.prognosis.assessment import assess_prognosis
from calcmap.prognosis.config import Analysis
from calcmap.prognosis.study import PrognosisStudy, SubdistributionModel
from calcmap.report.page import Paragraph
from calcmap.report.prognosis_json import prognosis_to_json
from calcmap.report.prognosis_page import prognosis_page
from calcmap.report.prognosis_tables import prognosis_tables
from prognosis.made_outcome import SETTINGS, made_cells, made_settings

ENDPOINTS = SETTINGS["endpoints"][1:]
WANTED = {"endpoints": ENDPOINTS, "analyses": [Analysis.CURVES.value, Analysis.HAZARD_RATIOS.value]}


def studied(**changes: Any) -> PrognosisStudy:
    return assess_prognosis(made_cells(), made_settings(**WANTED, **changes))


@pytest.fixture(scope="module")
def study() -> PrognosisStudy:
    return studied()


def models_of(study: PrognosisStudy) -> tuple[SubdistributionModel, ...]:
    assert study.main.hazard_ratios is not None
    return study.main.hazard_ratios.subdistribution


def with_models(study: PrognosisStudy, **changes: Any) -> PrognosisStudy:
    assert study.main.hazard_ratios is not None
    changed = tuple(replace(each, **changes) for each in models_of(study))
    ratios = replace(study.main.hazard_ratios, subdistribution=changed)
    return replace(study, main=replace(study.main, hazard_ratios=ratios))


def said(study: PrognosisStudy) -> str:
    blocks = [block for section in prognosis_page(study, pictures={}).sections for block in section.blocks]
    return " ".join(line for block in blocks if isinstance(block, Paragraph) for line in block.sentences)


def test_each_reading_has_its_model_alone_and_beside_the_covariates(study: PrognosisStudy) -> None:
    found = [(each.name, each.is_adjusted, each.n_events, each.n_competing) for each in models_of(study)]
    assert found == [(name, flag, 63, 19) for flag in (False, True) for name in ("dl", "eye")]


def test_the_ratio_of_the_incidence_is_not_the_cause_specific_one(study: PrognosisStudy) -> None:
    assert study.main.hazard_ratios is not None
    cause = study.main.hazard_ratios.unadjusted[1].terms[2].ratio
    incidence = models_of(study)[1].terms[2].ratio
    assert cause.name == incidence.name
    assert cause.estimate != incidence.estimate
    assert cause.estimate == pytest.approx(incidence.estimate, rel=0.3)


def test_tables_hold_grays_test_and_the_model_of_fine_and_gray(study: PrognosisStudy) -> None:
    tables = {table.name: table for table in prognosis_tables(study)}
    assert tables["curves"].columns[-1] == "Gray's test"
    assert tables["curves"].rows[0][-1].startswith("chi2 ")
    assert tables["curves"].rows[1][-1] == ""
    ratios = tables["subdistribution_eye"]
    assert ratios.title == "Subdistribution hazard ratios by eye; death, n = 240"
    assert ratios.note == "Fine and Gray; 63 events, 19 competing ones."
    assert [row[0] for row in ratios.rows][:3] == ["eye: none", "eye: mild", "eye: severe"]
    assert ratios.rows[0][1] == "1 (reference)"
    assert ratios.rows[3][:3] == ("Age, years, per 10", "", "")


def test_the_page_compares_incidences_and_names_the_kind_of_ratio(study: PrognosisStudy) -> None:
    text = said(study)
    assert "With other events competing, the cumulative incidences by eye of the patients differ (Gray's test" in text
    assert "the subdistribution hazard ratio of eye severe in the patients was, adjusted for the covariates, " in text


def test_without_covariates_ratios_are_unadjusted() -> None:
    alone = studied(covariates=[])
    assert [each.is_adjusted for each in models_of(alone)] == [False, False]
    table = next(each for each in prognosis_tables(alone) if each.name == "subdistribution_eye")
    assert table.columns == ("", "unadjusted (95 % interval)", "p")
    assert "adjusted for the covariates, " not in said(alone)


def test_strata_have_a_reason_in_place_of_a_model() -> None:
    stratified = studied(strata="centre")
    reason = "the model of Fine and Gray is not defined for strata or case weights"
    assert {each.reason for each in models_of(stratified)} == {reason}
    table = next(each for each in prognosis_tables(stratified) if each.name == "subdistribution_eye")
    assert reason in table.note
    assert f"The model of Fine and Gray of eye in the patients is not estimable: {reason}." in said(stratified)


def test_a_test_that_is_not_there_has_a_reason(study: PrognosisStudy) -> None:
    assert study.main.curves is not None
    untested = tuple(replace(each, gray=None, gray_reason="one group") for each in study.main.curves)
    without = replace(study, main=replace(study.main, curves=untested))
    assert "by eye of the patients were not compared: one group." in said(without)
    silent = tuple(replace(each, gray_reason=None) for each in untested)
    assert "were not compared: no reason recorded." in said(replace(study, main=replace(study.main, curves=silent)))


def test_a_category_without_anybody_has_no_ratio(study: PrognosisStudy) -> None:
    lines = models_of(study)[1].terms
    missing = tuple(replace(line, ratio=replace(line.ratio, estimate=None, reason="nobody")) for line in lines)
    assert "of eye severe in the patients is not estimable (nobody)." in said(with_models(study, terms=missing))
    silent = tuple(replace(line, ratio=replace(line.ratio, reason=None)) for line in missing)
    assert "is not estimable (no reason recorded)." in said(with_models(study, terms=silent))


def test_the_file_holds_both(study: PrognosisStudy) -> None:
    main = prognosis_to_json(study)["main"]
    assert main["curves"][1]["gray"]["df"] == 2
    assert main["hazard_ratios"]["subdistribution"][3]["terms"][1]["ratio"]["estimate"] > 1


def test_groups_that_cannot_be_compared_have_a_reason() -> None:
    cells = made_cells()
    cells["eye"] = ["none"] * len(cells["eye"])
    curves = assess_prognosis(cells, made_settings(**WANTED)).main.curves
    assert curves is not None
    assert (curves[1].gray, curves[1].gray_reason) == (
        None,
        "all rows are of one group, so there is nothing to compare",
    )
