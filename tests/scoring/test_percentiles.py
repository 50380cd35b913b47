from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calcmap.core.errors import InputError
from calcmap.scoring.percentiles import (
    Ethnicity,
    Sex,
    arterial_age_years,
    hoff_percentile,
    mesa_nonzero_percent,
    mesa_percentile,
)

OFFICIAL_MESA_ANSWERS = [
    # Audit of the MESA web calculator: score, sex, age, ethnicity, percentile, share with calcium.
    (0, "M", 55, "white", 0, 56),
    (35, "F", 46, "chinese", 97, 7),
    (120, "F", 62, "black", 91, 32),
    (450, "M", 70, "hispanic", 84, 75),
    (1200, "M", 72, "white", 85, 86),
]
OFFICIAL_MESA_SCORES = [
    # The same audit: sex, age, ethnicity, percentile, score that the calculator names for it.
    ("M", 55, "white", 50, 6),
    ("M", 55, "white", 75, 68),
    ("M", 55, "white", 90, 234),
    ("F", 62, "black", 75, 11),
    ("F", 62, "black", 90, 102),
    ("M", 70, "hispanic", 25, 1),
    ("M", 70, "hispanic", 50, 56),
    ("M", 70, "hispanic", 75, 247),
    ("M", 70, "hispanic", 90, 666),
    ("M", 72, "white", 25, 32),
    ("M", 72, "white", 50, 180),
    ("M", 72, "white", 75, 641),
    ("M", 72, "white", 90, 1584),
]
MESA_TOLERANCE_POINTS = 2.0

few = settings(max_examples=60, deadline=None)
scores = st.floats(min_value=0.0, max_value=1e5)
mesa_ages = st.floats(min_value=45.0, max_value=84.99)
sexes = st.sampled_from(list(Sex))
ethnicities = st.sampled_from(list(Ethnicity))


@pytest.mark.parametrize(
    ("agatston", "sex", "age_years", "percentile"),
    [
        (13, "M", 62, 25),
        (113, "M", 60, 50),
        (410, "M", 64.9, 75),
        (994, "M", 62, 90),
        (3, "F", 67, 25 + 25 * math.log(4 / 2) / math.log(25 / 2)),  # between 1 and 24
        (1, "F", 30, 75),
        (75, "F", 75, 50),
        (52, "F", 74.9, 50),
        (1, "M", 39.9, 50),
    ],
)
def test_hoff_gives_the_printed_percentiles(agatston: float, sex: str, age_years: float, percentile: float) -> None:
    assert hoff_percentile(agatston, sex=sex, age_years=age_years).percentile == pytest.approx(percentile)


def test_hoff_says_what_lies_around_a_score() -> None:
    result = hoff_percentile(500, sex="M", age_years=62)
    assert result.reference == "hoff2001"
    assert result.group == "men 60-64"
    assert result.detail == "between the 75th percentile (410) and the 90th (994)"
    assert result.percentile == pytest.approx(75 + 15 * math.log(501 / 411) / math.log(995 / 411))


def test_hoff_ends_at_the_ninetieth_percentile_and_says_so() -> None:
    result = hoff_percentile(995, sex="M", age_years=62)
    assert result.percentile == 90.0
    assert result.detail == "above the 90th percentile (994)"


def test_hoff_counts_calcium_from_the_highest_printed_zero() -> None:
    result = hoff_percentile(0.5, sex="F", age_years=52)  # 0/0/5/55
    assert 50 < result.percentile < 75


def test_no_calcium_is_the_0th_percentile_of_hoff() -> None:
    result = hoff_percentile(0, sex="F", age_years=52)
    assert (result.percentile, result.detail) == (0.0, "no calcium, as at least 50 % of this group")
    assert hoff_percentile(0, sex="F", age_years=80).detail == "no calcium"


@pytest.mark.parametrize("age_years", [17.9, 120.1, float("nan")])
def test_hoff_is_for_adults(age_years: float) -> None:
    with pytest.raises(InputError, match="18 to 120"):
        hoff_percentile(10, sex="M", age_years=age_years)


@pytest.mark.parametrize(("agatston", "sex", "age", "ethnicity", "percentile", "nonzero"), OFFICIAL_MESA_ANSWERS)
def test_mesa_agrees_with_the_official_calculator(
    agatston: float, sex: str, age: float, ethnicity: str, percentile: float, nonzero: float
) -> None:
    ours = mesa_percentile(agatston, sex=sex, age_years=age, ethnicity=ethnicity)
    assert ours.percentile == pytest.approx(percentile, abs=MESA_TOLERANCE_POINTS)
    assert mesa_nonzero_percent(sex=sex, age_years=age, ethnicity=ethnicity) == nonzero
    assert ours.detail == f"{nonzero} % of this group have calcium"


@pytest.mark.parametrize(("sex", "age", "ethnicity", "percentile", "agatston"), OFFICIAL_MESA_SCORES)
def test_mesa_finds_the_percentiles_that_the_official_calculator_names(
    sex: str, age: float, ethnicity: str, percentile: float, agatston: float
) -> None:
    ours = mesa_percentile(agatston, sex=sex, age_years=age, ethnicity=ethnicity)
    assert ours.percentile == pytest.approx(percentile, abs=1.0)


def test_mesa_names_its_group() -> None:
    result = mesa_percentile(10, sex="F", age_years=62.7, ethnicity="black")
    assert (result.reference, result.group) == ("mesa2006", "black women, 62 years")


@pytest.mark.parametrize("age_years", [44.99, 85.0, float("nan")])
def test_mesa_covers_45_to_84(age_years: float) -> None:
    with pytest.raises(InputError, match="45 to under 85"):
        mesa_percentile(10, sex="M", age_years=age_years, ethnicity="white")


def test_mesa_knows_four_groups() -> None:
    with pytest.raises(InputError, match="white, chinese, black, hispanic"):
        mesa_percentile(10, sex="M", age_years=60, ethnicity="other")


@pytest.mark.parametrize("sex", ["O", "", "m"])
def test_an_unknown_sex_has_no_percentile(sex: str) -> None:
    with pytest.raises(InputError, match="'M' or 'F'"):
        hoff_percentile(10, sex=sex, age_years=60)


@pytest.mark.parametrize("agatston", [-1.0, float("nan")])
def test_an_impossible_score_has_no_percentile(agatston: float) -> None:
    for place in (
        lambda: hoff_percentile(agatston, sex="M", age_years=60),
        lambda: mesa_percentile(agatston, sex="M", age_years=60, ethnicity="white"),
        lambda: arterial_age_years(agatston),
    ):
        with pytest.raises(InputError, match="0 or more"):
            place()


@few
@given(low=scores, high=scores, sex=sexes, age=st.floats(min_value=18, max_value=120))
def test_more_calcium_never_lowers_the_percentile_of_hoff(low: float, high: float, sex: str, age: float) -> None:
    low, high = sorted((low, high))
    lower, higher = (hoff_percentile(score, sex=sex, age_years=age).percentile for score in (low, high))
    assert 0 <= lower <= higher <= 90


@few
@given(low=scores, high=scores, sex=sexes, age=mesa_ages, ethnicity=ethnicities)
def test_more_calcium_never_lowers_the_percentile_of_mesa(
    low: float, high: float, sex: str, age: float, ethnicity: str
) -> None:
    low, high = sorted((low, high))
    lower, higher = (
        mesa_percentile(score, sex=sex, age_years=age, ethnicity=ethnicity).percentile for score in (low, high)
    )
    assert 0 <= lower <= higher <= 100


@few
@given(score=scores.filter(bool), sex=sexes, age=mesa_ages, ethnicity=ethnicities)
def test_any_calcium_ranks_above_those_without(score: float, sex: str, age: float, ethnicity: str) -> None:
    none = 100 - mesa_nonzero_percent(sex=sex, age_years=age, ethnicity=ethnicity)
    assert mesa_percentile(score, sex=sex, age_years=age, ethnicity=ethnicity).percentile >= none


@pytest.mark.parametrize(
    ("agatston", "years"), [(0, 39.1), (1, 44.13), (10, 56.48), (100, 72.56), (400, 82.56), (1000, 89.19)]
)
def test_arterial_age(agatston: float, years: float) -> None:
    assert arterial_age_years(agatston) == pytest.approx(years, abs=0.005)
