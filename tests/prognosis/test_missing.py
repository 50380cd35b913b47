from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from scipy.stats import norm, t

from calcmap.core.errors import ConfigError, InputError
from calcmap.prognosis.missing import (
    ColumnKind,
    ImputationSettings,
    complete_cases,
    cumulative_hazard,
    impute,
    pool,
    pool_wald_test,
)

Holes = tuple[dict[str, np.ndarray], dict[str, np.ndarray]]

NUMBER, YES_NO = ColumnKind.NUMBER, ColumnKind.YES_NO


class TestCompleteCases:
    def test_counts_by_column_and_in_all(self) -> None:
        found = complete_cases({"age": [60.0, np.nan, 70.0, 80.0], "sex": ["f", "", None, "m"], "n": [1, 2, 3, 4]})
        assert found.is_complete.tolist() == [True, False, False, True]
        assert (found.n, found.n_complete, found.n_left_out) == (4, 2, 2)
        assert found.n_missing == {"age": 1, "sex": 2, "n": 0}

    def test_no_columns_are_nobody(self) -> None:
        assert complete_cases({}).n == 0

    def test_columns_of_two_lengths_are_refused(self) -> None:
        with pytest.raises(InputError, match="differ in length"):
            complete_cases({"a": [1.0], "b": [1.0, 2.0]})


class TestPooling:
    """Worked by hand: estimates 1, 2, 3 with variance 1 each: Q = 2, W = 1, B = 1, T = 1 + 4/3."""

    def test_total_variance(self) -> None:
        found = pool([1.0, 2.0, 3.0], [1.0, 1.0, 1.0])
        assert found.estimate == 2.0
        assert found.standard_error == pytest.approx(math.sqrt(7 / 3))
        assert found.n_imputations == 3

    def test_rubins_degrees_of_freedom(self) -> None:
        # The share of T that lies between is (4/3) / (7/3) = 4/7, and (3 - 1) / (4/7)^2 = 6.125.
        found = pool([1.0, 2.0, 3.0], [1.0, 1.0, 1.0])
        assert found.degrees_of_freedom == pytest.approx(6.125)
        # r = 4/3; (r + 2 / (6.125 + 3)) / (r + 1) = 1.552511 / 2.333333.
        assert found.fraction_missing == pytest.approx(0.665362, abs=5e-7)

    def test_barnard_and_rubins_degrees_of_freedom(self) -> None:
        # Observed: 98/100 * 97 * 3/7 = 40.74; 6.125 * 40.74 / 46.865 = 5.324495...
        found = pool([1.0, 2.0, 3.0], [1.0, 1.0, 1.0], complete_degrees_of_freedom=97)
        assert found.degrees_of_freedom == pytest.approx(6.125 * 40.74 / 46.865)
        half_width = t.ppf(0.975, found.degrees_of_freedom) * math.sqrt(7 / 3)
        assert (found.low, found.high) == pytest.approx((2 - half_width, 2 + half_width))
        assert found.p_value == pytest.approx(2 * t.sf(2 / math.sqrt(7 / 3), found.degrees_of_freedom))

    def test_unequal_variances(self) -> None:
        # W = (0.04 + 0.09) / 2 = 0.065; B = 0.02; T = 0.065 + 1.5 * 0.02 = 0.095.
        found = pool([0.5, 0.7], [0.04, 0.09])
        assert found.estimate == pytest.approx(0.6)
        assert found.standard_error == pytest.approx(math.sqrt(0.095))
        assert found.degrees_of_freedom == pytest.approx((0.095 / 0.03) ** 2)

    def test_equal_tables_are_a_normal_interval(self) -> None:
        found = pool([1.0, 1.0], [0.25, 0.25])
        assert (found.low, found.high) == pytest.approx((1 - norm.ppf(0.975) / 2, 1 + norm.ppf(0.975) / 2))
        assert (found.degrees_of_freedom, found.fraction_missing) == (math.inf, 0.0)
        assert found.p_value == pytest.approx(2 * norm.sf(2.0))
        small = pool([1.0, 1.0], [0.25, 0.25], complete_degrees_of_freedom=10)
        assert small.degrees_of_freedom == pytest.approx(11 / 13 * 10)

    def test_joint_test_of_one_parameter_is_the_square_of_its_t(self) -> None:
        found = pool_wald_test([[1.0], [2.0], [3.0]], np.ones((3, 1, 1)))
        assert found.f_statistic == pytest.approx(4 / (7 / 3))
        # t = 2 <= 4: 2 * (1 + 1) * (1 + 3/4)^2 / 2 = 6.125, as for the single parameter.
        assert found.degrees_of_freedom == (1.0, pytest.approx(6.125))

    def test_joint_test_of_two_by_hand(self) -> None:
        # W = I; B = [[1, 0], [0, 0]] over m = 4 tables; r = 1.25 * 1 / 2 = 0.625; mean (1, 2): F = 5 / (2 * 1.625).
        root = math.sqrt(1.5)
        estimates = [[1 - root, 2.0], [1 + root, 2.0], [1.0, 2.0], [1.0, 2.0]]
        found = pool_wald_test(estimates, np.tile(np.eye(2), (4, 1, 1)))
        assert found.f_statistic == pytest.approx(5 / 3.25)
        assert found.degrees_of_freedom[1] == pytest.approx(4 + 2 * (1 + (1 - 2 / 6) / 0.625) ** 2)

    def test_joint_test_of_equal_tables_is_chi_square(self) -> None:
        found = pool_wald_test([[1.0, 1.0]] * 2, np.tile(np.eye(2), (2, 1, 1)))
        assert found.degrees_of_freedom[1] == math.inf
        assert found.p_value == pytest.approx(math.exp(-1.0))

    @pytest.mark.parametrize(
        ("call", "message"),
        [
            (lambda: pool([1.0], [1.0]), "expected two of one length"),
            (lambda: pool([1.0, 2.0], [1.0]), "expected two of one length"),
            (lambda: pool([1.0, 2.0], [1.0, 0.0]), "variances above 0"),
            (lambda: pool([1.0, 2.0], [1.0, 1.0], confidence=0), "confidence is 0"),
            (lambda: pool_wald_test([[1.0]], [[[1.0]]]), "m >= 2"),
        ],
    )
    def test_malformed_input_is_named(self, call: Callable[[], object], message: str) -> None:
        with pytest.raises(InputError, match=message):
            call()


def test_cumulative_hazard_by_hand() -> None:
    # Deaths at 1 (of 4), 3 (two of 2 at risk, with a censored one at 2 between).
    found = cumulative_hazard([1.0, 2.0, 3.0, 3.0], [1, 0, 1, 1])
    assert found == pytest.approx([0.25, 0.25, 1.25, 1.25])


@pytest.fixture(scope="module")
def cohort() -> Holes:
    """Return age, pressure and diabetes, where older patients lack pressure and diabetes far more often."""
    random = np.random.default_rng(11)
    age = random.normal(65, 10, 800)
    pressure = 80 + age + random.normal(0, 5, 800)
    diabetes = (random.random(800) < 1 / (1 + np.exp(-(age - 65) / 5))).astype(float)
    lacks = random.random((2, 800)) < np.where(age > 65, 0.7, 0.1)
    holes = {
        "age": age,
        "pressure": np.where(lacks[0], np.nan, pressure),
        "diabetes": np.where(lacks[1], np.nan, diabetes),
    }
    return {"age": age, "pressure": pressure, "diabetes": diabetes}, holes


KINDS = {"age": NUMBER, "pressure": NUMBER, "diabetes": YES_NO}
FEW = ImputationSettings(imputations=4, cycles=4)


class TestImputation:
    def test_mends_what_complete_cases_get_wrong(self, cohort: Holes) -> None:
        truth, holes = cohort
        tables = impute(holes, KINDS, settings=FEW)
        for name, tolerance in (("pressure", 0.6), ("diabetes", 0.05)):
            error = np.mean([table[name].mean() for table in tables]) - truth[name].mean()
            naive = np.nanmean(holes[name]) - truth[name].mean()
            assert abs(error) < tolerance < abs(naive)

    def test_keeps_relations(self, cohort: Holes) -> None:
        table = impute(cohort[1], KINDS, settings=FEW)[0]
        assert np.polyfit(table["age"], table["pressure"], 1)[0] == pytest.approx(1.0, abs=0.08)

    def test_keeps_observed_values_and_invents_none(self, cohort: Holes) -> None:
        _, holes = cohort
        before = holes["pressure"].copy()
        for table in impute(holes, KINDS, settings=FEW):
            seen = ~np.isnan(before)
            assert_array_equal(table["pressure"][seen], before[seen])
            assert np.isin(table["pressure"], before[seen]).all()
            assert np.isin(table["diabetes"], (0.0, 1.0)).all()
        assert_array_equal(holes["pressure"], before)

    def test_tables_differ_and_seeds_repeat(self, cohort: Holes) -> None:
        _, holes = cohort
        first, again = impute(holes, KINDS, settings=FEW), impute(holes, KINDS, settings=FEW)
        assert not np.array_equal(first[0]["pressure"], first[1]["pressure"])
        assert all(np.array_equal(a["pressure"], b["pressure"]) for a, b in zip(first, again, strict=True))

    def test_predictor_carries_information_and_is_not_returned(self, cohort: Holes) -> None:
        truth, holes = cohort
        lone = {"diabetes": holes["diabetes"]}
        table = impute(lone, KINDS, predictors={"age": truth["age"]}, settings=FEW)[0]
        assert list(table) == ["diabetes"]
        assert abs(table["diabetes"].mean() - truth["diabetes"].mean()) < 0.08

    def test_complete_table_comes_back(self, cohort: Holes) -> None:
        truth, _ = cohort
        assert_array_equal(impute(truth, KINDS, settings=FEW)[1]["age"], truth["age"])

    def test_collinear_and_separated_columns_do_not_break_it(self) -> None:
        x = np.arange(40.0)
        columns = {
            "x": x,
            "twice": 2 * x,
            "same": np.ones(40),
            "above": np.where(x % 7 == 0, np.nan, (x > 20).astype(float)),
            "gap": np.where(x % 5 == 0, np.nan, x),
            "one": np.where(x % 6 == 0, np.nan, 1.0),
        }
        kinds = dict.fromkeys(columns, NUMBER) | {"above": YES_NO, "one": YES_NO}
        table = impute(columns, kinds, settings=FEW)[0]
        assert not any(np.isnan(values).any() for values in table.values())
        assert (table["one"] == 1.0).all()
        assert table["above"][35] == 1.0

    def test_complaints_come_together(self) -> None:
        with pytest.raises(InputError, match=r"b has no kind.*predictor e has missing.*a is yes/no.*b has 1 observed"):
            impute(
                {"a": [0.0, 2.0, 1.0, 1.0, 0.0], "b": [1.0, *[np.nan] * 4]},
                {"a": YES_NO},
                predictors={"e": [np.nan] * 5},
            )
        with pytest.raises(InputError, match="one length"):
            impute({"a": [0.0, 1.0], "b": [1.0]}, KINDS)
        with pytest.raises(ConfigError, match=r"imputations is 1.*donors is 0"):
            ImputationSettings(imputations=1, donors=0)
