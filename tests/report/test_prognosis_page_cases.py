"""What page and tables of a study say where a part is missing, imputed or not estimable."""

from __future__ import annotations

from dataclasses import replace

import pytest

from calcmap.prognosis.config import Analysis
from calcmap.prognosis.missing import PooledTest
from calcmap.prognosis.study import (
    AddedTerms,
    AnalysisResult,
    Discrimination,
    HazardRatios,
    LeftOut,
    ModelCalibration,
    PrognosisStudy,
    Reclassifications,
)
from calcmap.report.page import Paragraph, render_page
from calcmap.report.prognosis_page import prognosis_page
from calcmap.report.prognosis_tables import prognosis_tables
from report.prognosis_studies import made_study

REASON = "nobody had the event"
NOTHING = {
    "table_one": None,
    "table_by_event": None,
    "event_rates": None,
    "curves": None,
    "hazard_ratios": None,
    "added_value": None,
    "discrimination": None,
    "calibration": None,
    "reclassification": None,
}


@pytest.fixture(scope="module")
def study() -> PrognosisStudy:
    return made_study()


@pytest.fixture(scope="module")
def poor(study: PrognosisStudy) -> PrognosisStudy:
    """The study with a reason in place of numbers wherever there can be one."""
    return replace(study, main=without_numbers(study.main))


def without_numbers(main: AnalysisResult) -> AnalysisResult:
    assert main.curves is not None
    assert main.hazard_ratios is not None
    assert main.added_value is not None
    assert main.calibration is not None
    assert main.reclassification is not None
    untested = replace(main.curves[0], log_rank=None, reason=REASON)
    unfitted = tuple(replace(model, reason=REASON) for model in main.hazard_ratios.adjusted)
    pooled = AddedTerms("dl", "Network", None, PooledTest(2.5, (3.0, 41.5), 0.07))
    moved = main.reclassification.categories
    return replace(
        main,
        event_rates=None,
        patients=replace(main.patients, imputed=(LeftOut("Age, years", 3),)),
        curves=(untested, *main.curves[1:]),
        hazard_ratios=HazardRatios(main.hazard_ratios.unadjusted, unfitted, None),
        added_value=(pooled, AddedTerms("expert", "Expert", None, None, REASON)),
        discrimination=Discrimination((), ()),
        calibration=(ModelCalibration("base", "Covariates", None, REASON), *main.calibration[1:]),
        reclassification=Reclassifications(
            (replace(moved[0], nri=(), reason=REASON), replace(moved[1], idi=None, table=None)), ()
        ),
    )


@pytest.mark.parametrize(
    "said",
    [
        "Imputed in the simulated patients were Age, years of 3.",
        "no log-rank test is possible: nobody had the event.",
        "The adjusted model of dl in the simulated patients is not estimable: nobody had the event.",
        "show no improvement of the model (pooled Wald test, ",
        "were not tested: nobody had the event.",
        "is possible: nobody had the event.",
        "gives no net reclassification: nobody had the event.",
    ],
)
def test_the_page_gives_the_reason_in_place_of_a_number(poor: PrognosisStudy, said: str) -> None:
    html = render_page(prognosis_page(poor, pictures={}))
    assert said in html.replace("\N{NO-BREAK SPACE}", " ")


def test_tables_give_the_reason_in_place_of_a_number(poor: PrognosisStudy) -> None:
    cells = {table.name: [cell for row in table.rows for cell in row] for table in prognosis_tables(poor)}
    assert any(cell.startswith("F(3, 41.5) = 2.50, p ") for cell in cells["added_value"])
    assert REASON in cells["calibration"]
    assert REASON in cells["reclassification"]
    assert "IDI, inverse weighting" not in cells["reclassification"]
    assert cells.get("reclassification_table_expert", []) == []


def test_a_main_analysis_that_failed_ends_after_its_patients(study: PrognosisStudy) -> None:
    page = prognosis_page(replace(study, main=replace(study.main, reason=REASON)), pictures={})
    headings = [section.heading for section in page.sections]
    assert "Patients and follow-up" in headings
    assert "Hazard ratios" not in headings


def test_analyses_that_were_not_asked_for_have_no_place(study: PrognosisStudy) -> None:
    bare = [replace(each, **NOTHING) for each in study.analyses]  # type: ignore[arg-type]
    page = prognosis_page(replace(study, main=bare[0], sensitivities=tuple(bare[1:])), pictures={})
    headings = {section.heading for section in page.sections}
    assert not headings & {"Events over time", "Hazard ratios", "Discrimination", "Calibration", "Reclassification"}


def test_the_methods_name_strata_and_clusters(study: PrognosisStudy) -> None:
    settings = replace(study.settings, strata="scanner", cluster="hospital", analyses=(Analysis.TABLE_ONE,))
    html = render_page(prognosis_page(replace(study, settings=settings), pictures={}))
    assert "Each value of scanner has a baseline hazard of its own." in html
    assert "clusters by hospital" in html
    assert "Tied events" not in html


def told(study: PrognosisStudy, heading: str) -> str:
    """Return the sentences under one heading of the page."""
    sections = [part for part in prognosis_page(study, pictures={}).sections if part.heading == heading]
    blocks = [block for section in sections for block in section.blocks]
    return " ".join(line for block in blocks if isinstance(block, Paragraph) for line in block.sentences)


def test_a_model_that_is_not_estimable_tells_no_ratio(study: PrognosisStudy, poor: PrognosisStudy) -> None:
    assert "the hazard of MACE relative to" in told(study, "Hazard ratios")
    assert "the hazard of MACE relative to" not in told(poor, "Hazard ratios")


def test_without_models_no_discrimination_is_told(study: PrognosisStudy, poor: PrognosisStudy) -> None:
    assert "Harrell's C in the simulated patients" in told(study, "Discrimination")
    assert told(poor, "Discrimination") == ""


def test_competing_events_are_told_where_there_are_any(study: PrognosisStudy) -> None:
    competing = replace(study.main, patients=replace(study.main.patients, n_competing=7))
    said = "A competing event ended the follow-up of 7 simulated patients."
    assert said in told(replace(study, main=competing), "Patients and follow-up")
    assert "competing" not in told(study, "Patients and follow-up")


def test_a_sensitivity_analysis_compares_the_curves_of_the_first_reading_alone(study: PrognosisStudy) -> None:
    said = told(study, "Men alone")
    assert "Between the categories of Network" in said
    assert "Between the categories of Expert" not in said


@pytest.mark.parametrize(
    ("low", "high", "claim"),
    [
        (0.1, 0.5, "overall it moved risks the right way more often than the wrong."),
        (-0.5, -0.1, "overall it moved risks the wrong way more often than the right."),
        (-0.1, 0.5, "no net reclassification is shown overall."),
    ],
)
def test_net_reclassification_claims_what_its_interval_allows(
    study: PrognosisStudy, low: float, high: float, claim: str
) -> None:
    found = study.main.reclassification
    assert found is not None
    first = found.categories[0]
    nri = tuple(
        replace(each, nri=replace(each.nri, estimate=(low + high) / 2, low=low, high=high)) for each in first.nri
    )
    changed = replace(study.main, reclassification=Reclassifications((replace(first, nri=nri),), ()))
    assert told(replace(study, main=changed), "Reclassification").endswith(f": {claim}")
