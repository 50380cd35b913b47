from __future__ import annotations

import pytest

from calcmap.core.errors import InputError
from calcmap.scoring.categories import cac_drs, paper_category


@pytest.mark.parametrize(
    ("agatston", "index", "name"),
    [
        (0.0, 0, "0"),
        (0.9, 0, "0"),
        (0.999999, 0, "0"),
        (1.0, 1, "1-100"),
        (100.0, 1, "1-100"),
        (100.000001, 2, "101-400"),
        (100.4, 2, "101-400"),
        (101.0, 2, "101-400"),
        (400.0, 2, "101-400"),
        (400.1, 3, ">400"),
        (5000.0, 3, ">400"),
    ],
)
def test_category_of_the_paper(agatston: float, index: int, name: str) -> None:
    category = paper_category(agatston)
    assert (category.index, category.name) == (index, name)


@pytest.mark.parametrize(
    ("agatston", "grade"),
    [
        (0.0, "A0"), (0.9, "A0"), (1.0, "A1"), (99.9, "A1"),
        (100.0, "A2"), (299.9, "A2"), (300.0, "A3"), (4000.0, "A3"),
    ],
)  # fmt: skip
def test_grade_of_cac_drs(agatston: float, grade: str) -> None:
    assert cac_drs(agatston) == f"CAC-DRS {grade}"


@pytest.mark.parametrize("n_vessels", range(5))
def test_vessels_follow_the_grade(n_vessels: int) -> None:
    assert paper_category(150.0, n_vessels=n_vessels).cac_drs == f"CAC-DRS A2/N{n_vessels}"


def test_unknown_vessels_are_left_out() -> None:
    assert paper_category(150.0).cac_drs == "CAC-DRS A2"


@pytest.mark.parametrize("n_vessels", [-1, 5])
def test_there_are_four_vessels(n_vessels: int) -> None:
    with pytest.raises(InputError, match="expected 0 to 4"):
        cac_drs(150.0, n_vessels=n_vessels)


@pytest.mark.parametrize("agatston", [-0.1, float("nan"), float("inf")])
def test_an_impossible_score_has_no_category(agatston: float) -> None:
    with pytest.raises(InputError, match="0 or more"):
        paper_category(agatston)
