"""Cells of a column: missing, words, numbers, levels, identifiers."""

from __future__ import annotations

import math

import numpy as np
import pytest

from calcmap.core.errors import InputError
from calcmap.statistics.cells import are_missing, check_ids, levels_of, numbers_of, word_of


def test_missing_cells_are_none_nan_and_blank() -> None:
    cells = [None, math.nan, np.float32("nan"), " ", 0, "0"]
    assert are_missing(cells).tolist() == [True, True, True, True, False, False]
    assert are_missing([]).tolist() == []


@pytest.mark.parametrize(
    ("cell", "word"), [(1.0, "1"), (np.float32(2), "2"), (1.5, "1.5"), (" a ", "a"), (True, "True")]
)
def test_a_whole_number_is_a_word_without_point(cell: object, word: str) -> None:
    assert word_of(cell) == word


def test_missing_numbers_stay_missing_and_the_first_wrong_one_is_named() -> None:
    np.testing.assert_array_equal(numbers_of(["1e2", None, 3], name="a", expected="a number"), [100, np.nan, 3])
    with pytest.raises(InputError, match=r"^column 'a' holds '-1' \(row 2\), expected an age$"):
        numbers_of([1, "-1"], name="a", expected="an age", least=0.0)


def test_a_message_repeats_forty_letters_of_a_cell() -> None:
    with pytest.raises(InputError, match=r"holds 'x{40}' \(row 1\)"):
        numbers_of(["x" * 41], name="a", expected="a number")


def test_the_first_cut_is_its_upper_levels_and_the_others_are_their_lower_levels() -> None:
    assert levels_of([0.99, 1.0, 100.0, 100.4, math.nan], (1.0, 100.0)).tolist() == [0, 1, 1, 2, 0]
    assert levels_of([5.0], ()).tolist() == [0]


@pytest.mark.parametrize("cells", [["Doe^Jane", "Bob", "Doe^Jane"], [1.0, 2.0, "1"], ["a", "b", " a"]])
def test_a_repeated_patient_is_named_by_rows_and_not_by_name(cells: list[object]) -> None:
    with pytest.raises(InputError, match="1 identifiers stand in more than one row; row 1 and row 3") as refused:
        check_ids(cells, name="id")
    assert "Doe" not in str(refused.value)


def test_each_identifier_counts_once_however_often_it_comes() -> None:
    with pytest.raises(InputError, match="2 identifiers stand in more than one row; row 1 and row 2"):
        check_ids(["a", "a", "a", "b", "b", "c"], name="id")


def test_a_patient_without_identifier_is_refused() -> None:
    with pytest.raises(InputError, match="1 identifiers are missing, row 2 first"):
        check_ids([1, None], name="id")
    check_ids(np.array([1, 2]).tolist(), name="id")
