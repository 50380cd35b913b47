from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from calcmap.core.errors import InputError
from calcmap.prognosis.coding import code_table, covariate_values, reading_codes
from calcmap.prognosis.config import CategoryVariable, Covariate, CovariateKind
from prognosis.made_outcome import made_cells, made_settings

PAPER = CategoryVariable("dl", "score", cuts=(1.0, 100.0, 400.0))


def test_scores_are_cut_as_the_paper_does_and_not_rounded() -> None:
    cells = [0, 0.9, 1, 100, 100.4, 400, 400.1, 5000, None]
    assert reading_codes(cells, PAPER).tolist() == [0, 0, 1, 1, 2, 2, 3, 3, -1]


def test_a_reading_without_cuts_holds_words_or_numbers_of_levels() -> None:
    eye = CategoryVariable("eye", "eye", levels=("none", "mild", "severe"))
    assert reading_codes(["mild", "none", None, "severe"], eye).tolist() == [1, 0, -1, 2]
    assert reading_codes([2.0, 0.0, math.nan, 1.0], eye).tolist() == [2, 0, -1, 1]
    assert reading_codes([np.float32(1), np.int64(2)], eye).tolist() == [1, 2]
    with pytest.raises(
        InputError, match=r"'eye' holds 'great' \(row 2\), expected one of none, mild, severe or 0 to 2"
    ):
        reading_codes(["none", "great"], eye)


def test_words_that_are_numbers_are_words_first() -> None:
    grades = CategoryVariable("g", "g", levels=("1", "2", "3"))
    assert reading_codes([1, 3, 2], grades).tolist() == [0, 2, 1]
    assert reading_codes([0, 1, 2], grades).tolist() == [0, 1, 2]


def test_yes_and_no_in_all_their_words() -> None:
    cells = [1, 0, 1.0, True, False, "Yes", "no", "TRUE", None, ""]
    found = covariate_values(cells, Covariate("x", kind=CovariateKind.YES_NO))
    np.testing.assert_array_equal(found, [1, 0, 1, 1, 0, 1, 0, 1, np.nan, np.nan])


def test_a_word_for_yes_stands_beside_one_other_word() -> None:
    sex = Covariate("sex", kind=CovariateKind.YES_NO, yes="M")
    assert covariate_values(["M", "F", "M"], sex).tolist() == [1, 0, 1]
    with pytest.raises(InputError, match="'sex' holds F, unknown beside 'M', expected one word"):
        covariate_values(["M", "F", "unknown"], sex)


def test_text_that_is_a_number_is_one_and_a_unit_is_none() -> None:
    assert covariate_values(["61.5", " 70 "], Covariate("age")).tolist() == [61.5, 70.0]
    with pytest.raises(InputError, match=r"column 'age' holds '61 y' \(row 1\), expected a number"):
        covariate_values(["61 y"], Covariate("age"))
    with pytest.raises(InputError, match="holds 'True'"):
        covariate_values([True], Covariate("age"))


@pytest.mark.parametrize(
    ("column", "cell", "message"),
    [
        ("years", -0.5, r"column 'years' holds '-0.5' \(row 8\), expected a time of 0 or more"),
        ("years", math.inf, "column 'years' holds 'inf'"),
        ("years", "soon", "column 'years' holds 'soon'"),
        ("mace", "maybe", "column 'mace' holds 'maybe' .* expected 0 or 1, true or false, yes or no"),
        ("mace", 2, "column 'mace' holds '2'"),
        ("score", -1, "column 'score' holds '-1' .* a score of 0 or more"),
        ("grade", "d", "column 'grade' holds 'd' .* expected one of a, b, c"),
        ("id", "p3", "1 identifiers stand in more than one row; row 4 and row 8"),
        ("id", None, "1 identifiers are missing, row 8 first"),
    ],
)
def test_a_wrong_cell_is_one_line_with_column_and_row(column: str, cell: Any, message: str) -> None:
    cells = made_cells(20)
    cells[column][7] = cell
    with pytest.raises(InputError, match=message):
        code_table(cells, made_settings())


def test_columns_must_be_there_and_of_one_length() -> None:
    cells = made_cells(20)
    del cells["age"]
    with pytest.raises(InputError, match="the table has no column 'age'"):
        code_table(cells, made_settings())
    with pytest.raises(InputError, match="columns differ in length"):
        code_table({**made_cells(20), "age": [60.0]}, made_settings())


def test_filters_need_every_condition_and_a_cell() -> None:
    keep = [{"column": "age", "at_least": 60, "at_most": 70}, {"column": "grade", "none_of": ["c"]}]
    cells = {**made_cells(5), "age": [60, 70.1, 65, None, 61], "grade": ["a", "a", "c", "a", "b"]}
    coded = code_table(cells, made_settings(sensitivities=[{"name": "few", "keep": keep}]))
    passes = np.logical_and.reduce(list(coded.keeps["few"].values()))
    assert passes.tolist() == [True, False, False, False, True]
