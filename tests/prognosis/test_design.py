from __future__ import annotations

import numpy as np
import pytest

from calcmap.core.errors import ConfigError, InputError
from calcmap.prognosis.coding import code_table
from calcmap.prognosis.design import AnalysisPatients, select_patients
from prognosis.made_outcome import SETTINGS, made_cells, made_settings


def _selected(cells, which=None, **changes) -> AnalysisPatients:  # noqa: ANN001 - cells and settings of the made cohort
    settings = made_settings(**changes)
    return select_patients(code_table(cells, settings), settings, which and settings.sensitivities[0])


def test_terms_are_the_levels_above_the_reference() -> None:
    patients = _selected(made_cells())
    assert patients.table.names == (
        *("dl: 1-100", "dl: 101-400", "dl: >400", "eye: mild", "eye: severe"),
        *("age", "sex", "grade: b", "grade: c"),
    )
    cells = made_cells()
    np.testing.assert_allclose(patients.table.columns(["age"])[:, 0], np.array(cells["age"]) / 10)
    np.testing.assert_array_equal(patients.table.columns(["sex"])[:, 0], [word == "M" for word in cells["sex"]])
    assert patients.flow.n == patients.flow.n_read == 240
    assert patients.flow.left_out == ()


def test_each_patient_leaves_once_under_the_first_reason() -> None:
    cells = made_cells()
    cells["years"][0], cells["score"][0], cells["score"][1], cells["age"][2] = None, None, None, None
    cells["height"][3] = None  # of no model
    flow = _selected(cells).flow
    assert [(each.reason, each.n) for each in flow.left_out] == [
        ("column 'years' is missing", 1),
        ("column 'score' is missing", 1),
        ("column 'age' is missing", 1),
    ]
    assert flow.n == 237


def test_missing_cells_are_an_error_where_the_settings_say_so() -> None:
    cells = made_cells()
    cells["age"][4] = None
    with pytest.raises(InputError, match="column 'age' is missing in 1 of 240 rows, row 5 first"):
        _selected(cells, missing="error")


def test_imputation_keeps_the_patients_and_what_is_known() -> None:
    cells = made_cells()
    for row in range(0, 240, 12):
        cells["age"][row] = None
    cells["grade"][5] = None
    patients = _selected(cells, missing="impute", imputation={"imputations": 3, "cycles": 2})
    assert len(patients.tables) == 3
    assert [(each.reason, each.n) for each in patients.flow.imputed] == [("Age, years", 20), ("Grade", 1)]
    ages = np.stack([table.columns(["age"])[:, 0] for table in patients.tables])
    known = np.array([cell is not None for cell in cells["age"]])
    np.testing.assert_allclose(ages[:, known], np.tile([c / 10 for c in cells["age"] if c is not None], (3, 1)))
    assert np.ptp(ages[:, ~known], axis=0).max() > 0
    assert set(ages.ravel().tolist()) <= {c / 10 for c in cells["age"] if c is not None}


def test_what_does_not_vary_leaves_the_models_and_is_told() -> None:
    cells = made_cells()
    keep = [{"column": "sex", "one_of": ["F"]}, {"column": "grade", "none_of": ["a"]}]
    patients = _selected(cells, True, sensitivities=[{"name": "women", "keep": keep}])
    assert [each.name for each in patients.covariates] == ["age", "grade"]
    assert patients.table.names[-2:] == ("age", "grade: c")
    assert patients.notes == ("Male is 0 in all 74 patients; it is in no model", "Grade: nobody in a; compared with b")


def test_an_empty_reference_leaves_a_reading_without_a_model() -> None:
    cells = made_cells()
    cells["score"] = [max(score, 5.0) for score in cells["score"]]
    reading = _selected(cells).readings[0]
    assert reading.reason == "the reference category 0 of DL holds no patient"
    assert reading.terms == {}


def test_all_censored_or_hardly_anybody_left_is_one_line() -> None:
    cells = made_cells()
    with pytest.raises(InputError, match="nobody of 240 has the event"):
        _selected({**cells, "mace": [0] * 240})
    with pytest.raises(
        InputError, match=r"0 of 240 patients are left, expected at least 2; column 'age' is missing: 240"
    ):
        _selected({**cells, "age": [None] * 240})


def test_an_event_and_a_competing_one_at_once_are_refused() -> None:
    endpoints = [{"name": "death", "time": "years", "event": "mace", "competing": "other"}]
    cells = made_cells()
    cells["other"] = cells["mace"]
    with pytest.raises(InputError, match="rows have both the event and a competing event"):
        _selected(cells, endpoints=endpoints)


def test_log_of_a_number_below_minus_one_is_refused() -> None:
    covariates = [{"column": "age", "transform": "log1p"}]
    cells = made_cells()
    assert _selected(cells, covariates=covariates).table.columns(["age"])[0, 0] == np.log1p(cells["age"][0])
    cells["age"][3] = -1.5
    with pytest.raises(InputError, match=r"column 'age' holds -1.5, which has no log\(1 \+ x\)"):
        _selected(cells, covariates=covariates)


def test_a_reading_and_a_covariate_cannot_share_a_name() -> None:
    category = {"name": "grade", "column": "score", "cuts": [1, 100, 400]}
    with pytest.raises(ConfigError, match="a reading and a covariate are both called 'grade'"):
        _selected(made_cells(), categories=[category, SETTINGS["categories"][1]])
