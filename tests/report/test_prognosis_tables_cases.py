"""Rows of the tables of a study where a number is missing, pooled or of competing events."""

from __future__ import annotations

from dataclasses import replace

import pytest

from calcmap.prognosis.missing import PooledTest
from calcmap.prognosis.study import AddedTerms, ModelCalibration, PrognosisStudy
from calcmap.report.prognosis_tables import prognosis_tables
from report.prognosis_studies import made_study

REASON = "nobody had the event"


@pytest.fixture(scope="module")
def study() -> PrognosisStudy:
    return made_study(sensitivities=())


def rows(study: PrognosisStudy, name: str, **parts: object) -> list[tuple[str, ...]]:
    """Return the rows of one table when parts of the main analysis are others."""
    changed = replace(study, main=replace(study.main, **parts))  # type: ignore[arg-type]
    return [row for table in prognosis_tables(changed) if table.name == name for row in table.rows]


def test_competing_events_have_a_row_where_there_are_any(study: PrognosisStudy) -> None:
    competing = replace(study.main.patients, n_competing=7)
    assert ("with a competing event", "7") in rows(study, "patients", patients=competing)
    assert "with a competing event" not in [row[0] for row in rows(study, "patients")]


def test_a_pooled_test_stands_in_place_of_the_likelihood_ratio(study: PrognosisStudy) -> None:
    pooled = AddedTerms("dl", "Network", None, PooledTest(2.5, (3.0, 41.5), 0.07))
    untested = AddedTerms("expert", "Expert", None, None, REASON)
    assert rows(study, "added_value", added_value=(pooled, untested)) == [
        ("Network", "F(3, 41.5) = 2.50, p 0.070"),
        ("Expert", REASON),
    ]


def test_a_model_without_calibration_has_one_row_with_the_reason(study: PrognosisStudy) -> None:
    missing = ModelCalibration("base", "Covariates", None, REASON)
    unexplained = replace(missing, reason=None)
    assert rows(study, "calibration", calibration=(missing, unexplained)) == [
        ("Covariates", REASON, "-", "-", "-"),
        ("Covariates", "-", "-", "-", "-"),
    ]


def test_a_reading_without_reclassification_has_one_row_with_the_reason(study: PrognosisStudy) -> None:
    found = study.main.reclassification
    assert found is not None
    without = replace(found.categories[0], nri=(), idi=None, table=None, reason=REASON)
    changed = replace(found, categories=(without, replace(found.categories[1], idi=None)))
    told = rows(study, "reclassification", reclassification=changed)
    assert told[0] == ("Network", REASON, "-", "-", "-")
    assert [row[1] for row in told[1:]] == [
        "continuous NRI, Kaplan-Meier",
        "continuous NRI, inverse weighting",
        "categorical NRI, Kaplan-Meier",
        "categorical NRI, inverse weighting",
    ]
    assert rows(study, "reclassification_table_dl", reclassification=changed) == []
