from __future__ import annotations

import math

import pytest

from calcmap.core.errors import ConfigError, InputError
from calcmap.evaluation import readings
from calcmap.evaluation.readings import CategoryScheme, ReadingKind, read_reading
from calcmap.scoring import categories

SCHEME = CategoryScheme()
AT_THE_CUTS = [0.0, 0.99, 1.0, 100.0, 100.4, 400.0, 400.1]


def test_default_categories_are_those_of_scoring() -> None:
    assert readings.PAPER_NAMES == categories.PAPER_NAMES
    by_scoring = [categories.paper_category(score).index for score in AT_THE_CUTS]
    assert SCHEME.of_scores(AT_THE_CUTS).tolist() == by_scoring == [0, 0, 1, 1, 2, 2, 3]


def test_scores_are_told_from_their_cells() -> None:
    reading = read_reading([0, 12.5, "401"], name="a", scheme=SCHEME)
    assert reading.kind is ReadingKind.SCORE
    assert reading.categories.tolist() == [0, 1, 3]
    assert reading.scores is not None
    assert reading.scores.tolist() == [0.0, 12.5, 401.0]


@pytest.mark.parametrize("cells", [[0, 3, 1.0], ["0", "3", "1"], ["0", ">400", "1-100"]])
def test_category_numbers_and_names_are_told_from_their_cells(cells: list[object]) -> None:
    reading = read_reading(cells, name="a", scheme=SCHEME)
    assert reading.kind is ReadingKind.CATEGORY
    assert reading.categories.tolist() == [0, 3, 1]
    assert reading.scores is None


def test_a_reader_may_have_words_of_its_own() -> None:
    grades = ("none", "mild", "moderate", "severe")
    reading = read_reading(["severe", " none"], name="a", scheme=SCHEME, names=grades)
    assert reading.categories.tolist() == [3, 0]


def test_small_scores_are_scores_where_the_kind_is_named() -> None:
    reading = read_reading([0, 1, 3], name="a", scheme=SCHEME, kind=ReadingKind.SCORE)
    assert reading.categories.tolist() == [0, 1, 1]


@pytest.mark.parametrize(
    ("cells", "kind", "message"),
    [
        ([1.0, None], ReadingKind.AUTO, "column 'a': 1 of 2 values are missing, row 2 first"),
        ([1.0, math.nan], ReadingKind.AUTO, "row 2"),
        ([1.0, "  "], ReadingKind.AUTO, "missing"),
        ([1.0, "abc"], ReadingKind.AUTO, r"holds 'abc' \(row 2\), expected a score of 0 or more"),
        ([-1.0, 2.0], ReadingKind.AUTO, r"holds '-1.0' \(row 1\)"),
        ([math.inf, 2.0], ReadingKind.SCORE, "inf"),
        ([True, False], ReadingKind.AUTO, "True"),
        ([0, 4], ReadingKind.CATEGORY, r"holds 4 \(row 2\), expected a category 0 to 3"),
        ([0, 1.5], ReadingKind.CATEGORY, "1.5"),
        (["mild", "0"], ReadingKind.CATEGORY, "expected a category: 0, 1-100"),
    ],
)
def test_a_bad_cell_is_named_with_its_row(cells: list[object], kind: ReadingKind, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_reading(cells, name="a", scheme=SCHEME, kind=kind)


@pytest.mark.parametrize(
    ("names", "cuts", "message"),
    [
        (("a",), (), "one cut fewer"),
        (("a", "b"), (1.0, 2.0), "one cut fewer"),
        (("a", "a"), (1.0,), "twice"),
        (("a", "b"), (0.0,), "positive"),
        (("a", "b", "c"), (2.0, 1.0), "ascending"),
        (("a", "b"), (math.nan,), "positive"),
    ],
)
def test_categories_that_do_not_fit_are_refused(names: tuple[str, ...], cuts: tuple[float, ...], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        CategoryScheme(names, cuts)
