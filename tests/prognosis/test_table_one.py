"""Values of R 4.2.2: chisq.test(correct = FALSE), fisher.test, aov, kruskal.test, quantile; plants of Dobson 1983."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import fisher_exact

from calcmap.core.errors import InputError
from calcmap.prognosis import table_one as module
from calcmap.prognosis.table_one import (
    GroupTest,
    Variable,
    VariableKind,
    compare_counts,
    compare_means,
    compare_ranks,
    format_p,
    printed_table,
    table_one,
)

CONTROL = np.array([4.17, 5.58, 5.18, 6.11, 4.50, 4.61, 5.17, 4.53, 5.33, 5.14])
TREATED = np.array([4.81, 4.17, 4.41, 3.59, 5.87, 3.83, 6.03, 4.89, 4.32, 4.69])
OTHERWISE = np.array([6.31, 5.12, 5.54, 5.50, 5.37, 5.29, 4.92, 6.15, 5.80, 5.26])
PLANTS = [CONTROL, TREATED, OTHERWISE]


class TestCounts:
    def test_chi_square_of_r(self) -> None:
        found = compare_counts([[12, 30, 25, 33], [18, 22, 9, 51]])
        assert found.test is GroupTest.CHI_SQUARE
        assert found.statistic == pytest.approx(13.817324, abs=5e-7)
        assert found.p == pytest.approx(0.003164652, abs=5e-10)

    def test_categories_of_the_paper_that_differ(self) -> None:
        found = compare_counts([[600, 400, 200, 200], [308, 196, 154, 213]])
        assert (found.statistic, found.p) == pytest.approx((49.58179, 9.80755e-11), rel=1e-6)

    def test_small_cells_take_fishers_test_of_r(self) -> None:
        found = compare_counts([[3, 1, 0, 2], [20, 15, 12, 9]])
        assert (found.test, found.statistic) == (GroupTest.FISHER, None)
        assert found.p == pytest.approx(0.4678130625, abs=5e-11)

    def test_three_by_three_of_r(self) -> None:
        assert compare_counts([[3, 1, 0], [1, 4, 2], [0, 2, 5]]).p == pytest.approx(0.04655034508, abs=5e-12)

    @settings(max_examples=30, deadline=None)
    @given(st.lists(st.integers(0, 4), min_size=4, max_size=4))
    def test_two_by_two_equals_scipy(self, cells: list[int]) -> None:
        table = np.array(cells).reshape(2, 2)
        found = compare_counts(table)
        if found.p is not None and found.test is GroupTest.FISHER:
            assert found.p == pytest.approx(fisher_exact(table).pvalue)

    def test_transposed_table_has_the_same_p(self) -> None:
        table = np.array([[3, 1, 0, 2], [2, 1, 2, 0], [0, 0, 1, 3]])
        assert compare_counts(table).p == pytest.approx(compare_counts(table.T).p)

    def test_tables_beyond_counting_are_drawn(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(module, "MOST_TABLES", 1)
        monkeypatch.setattr(module, "DRAWN_TABLES", 4000)
        found = compare_counts([[3, 1, 0, 2], [20, 15, 12, 9]])
        assert found.test is GroupTest.FISHER_DRAWN
        assert found.p == pytest.approx(0.4678, abs=0.025)

    def test_one_level_has_no_test(self) -> None:
        found = compare_counts([[3, 4], [0, 0]])
        assert (found.p, found.reason) == (None, "fewer than two levels or two groups hold patients")


class TestNumbers:
    def test_analysis_of_variance_of_r(self) -> None:
        found = compare_means(PLANTS)
        assert (found.statistic, found.p) == pytest.approx((4.84609, 0.01591), rel=1e-3)

    def test_kruskal_wallis_of_r(self) -> None:
        found = compare_ranks(PLANTS)
        assert found.statistic == pytest.approx(7.9882287, abs=5e-8)
        assert found.p == pytest.approx(0.01842376, abs=5e-9)

    def test_kruskal_wallis_with_ties_of_r(self) -> None:
        samples = [np.array([1.0, 2, 2, 3]), np.array([2.0, 3, 4, 5]), np.array([5.0, 5, 6, 7])]
        assert compare_ranks(samples).p == pytest.approx(0.01715555565, abs=5e-12)

    def test_what_does_not_vary_is_not_tested(self) -> None:
        ones = [np.ones(3), np.ones(4)]
        assert compare_means(ones).reason == "no group varies"
        assert compare_ranks(ones).reason == "all patients have one value"
        assert compare_means([np.ones(1), np.zeros(1)]).reason == "needs two groups and more patients than groups"
        assert compare_ranks([np.arange(4.0), np.array([])]).reason == "fewer than two groups hold patients"


class TestTable:
    GROUP = np.repeat([0, 1, 2], 10)
    WEIGHT = np.concatenate(PLANTS)

    def test_mean_and_sd_of_r(self) -> None:
        (row,) = table_one(self.GROUP, "abc", [Variable("weight", self.WEIGHT, VariableKind.NORMAL)]).rows
        assert [cell.centre for cell in row.groups] == pytest.approx([5.032, 4.661, 5.526])
        assert [cell.low for cell in row.groups] == pytest.approx([0.5830913784, 0.7936756964, 0.4425732833])

    def test_median_and_quartiles_of_r(self) -> None:
        (row,) = table_one(self.GROUP, "abc", [Variable("weight", self.WEIGHT, VariableKind.SKEWED)]).rows
        first = row.groups[0]
        assert (first.low, first.centre, first.high) == pytest.approx((4.55, 5.155, 5.2925))
        assert row.comparison.test is GroupTest.KRUSKAL_WALLIS

    def test_margins_of_the_paper(self) -> None:
        """FACTS 0: 2,271 patients, 908 / 596 / 354 / 413; men 1,147 (50.5 %), smoking 150 (6.6 %)."""
        sizes = (908, 596, 354, 413)
        male, smoker = np.arange(2271) < 1147, np.arange(2271) < 150
        group = np.repeat(np.arange(4), sizes)
        yes = [Variable("Male", male, VariableKind.YES_NO), Variable("Smoking", smoker, VariableKind.YES_NO)]
        heads, lines = printed_table(table_one(group, ("0", "1-100", "101-400", ">400"), yes))
        assert heads[1:6] == ("All (n = 2271)", "0 (n = 908)", "1-100 (n = 596)", "101-400 (n = 354)", ">400 (n = 413)")
        assert [line[1] for line in lines] == ["1147 (50.5)", "150 (6.6)"]
        assert lines[0][-2:] == ("<0.001", "Pearson's chi-square")

    def test_lines_as_text(self) -> None:
        values = np.array([1.0, 2.0, np.nan, 100.0])
        colour = np.array(["red", "blue", None, "red"], dtype=object)
        variables = [
            Variable("Score", values, VariableKind.SKEWED),
            Variable("Mass", values, VariableKind.NORMAL),
            Variable("Colour", colour, VariableKind.CATEGORY, levels=("red", "blue")),
            Variable("Known", np.array([1, 0, None, 1], dtype=object), VariableKind.YES_NO),
        ]
        _, lines = printed_table(table_one([0, 0, 1, 1], ["a", "b"], variables))
        assert lines[0] == ("Score, median (IQR)", "2.0 (1.5–51.0)", "1.5 (1.2–1.8)", "100.0 (100.0–100.0)", "1",
                            "0.22", "Kruskal-Wallis")  # fmt: skip
        assert lines[1][2:4] == ("1.5 (0.7)", "100.0 (–)")
        assert lines[2] == ("Colour: red", "2 (66.7)", "1 (50.0)", "1 (100.0)", "1", ">0.99", "Fisher's exact")
        assert lines[3] == ("Colour: blue", "1 (33.3)", "1 (50.0)", "0 (0.0)", "1", "", "")
        assert lines[4][0] == "Known, n (%)"

    def test_empty_group_is_a_dash(self) -> None:
        _, lines = printed_table(
            table_one([0, 0], ["a", "b"], [Variable("x", np.array([1.0, 2.0]), VariableKind.NORMAL)])
        )
        assert lines[0][3:] == ("–", "0", "–", "needs two groups and more patients than groups")
        _, lines = printed_table(
            table_one([0, 0], ["a", "b"], [Variable("x", np.array([1.0, 2.0]), VariableKind.SKEWED)])
        )
        assert lines[0][3] == "–"

    def test_skewed_numbers_choose_the_median(self) -> None:
        calm, wild = np.arange(30.0), np.exp(np.arange(30.0))
        rows = table_one(self.GROUP, "abc", [Variable("calm", calm), Variable("wild", wild)]).rows
        assert [row.kind for row in rows] == [VariableKind.NORMAL, VariableKind.SKEWED]
        constant = table_one(self.GROUP, "abc", [Variable("one", np.ones(30))]).rows[0]
        assert constant.kind is VariableKind.NORMAL

    @pytest.mark.parametrize(
        ("group", "variable", "message"),
        [
            ([0, 3], Variable("x", np.array([1.0, 2.0])), "group holds 0 to 3, expected 0 to 1"),
            ([0.5, 1.0], Variable("x", np.array([1.0, 2.0])), "whole numbers"),
            ([0, 1], Variable("x", np.array([1.0])), r"x has shape \(1,\)"),
            ([0, 1], Variable("x", np.array(["a", "b"])), "x must hold numbers"),
            ([0, 1], Variable("x", np.array([1.0, 2.0]), VariableKind.YES_NO), "x is yes/no"),
            ([0, 1], Variable("x", np.array([1.0, np.inf])), "infinite"),
            ([0, 1], Variable("x", np.array(["a", "c"]), VariableKind.CATEGORY, ("a", "b")), "x holds 'c'"),
        ],
    )
    def test_malformed_input_is_named(self, group: list[float], variable: Variable, message: str) -> None:
        with pytest.raises(InputError, match=message):
            table_one(group, ["a", "b"], [variable])


@pytest.mark.parametrize(
    ("p", "text"),
    [
        (None, "–"), (0.0, "<0.001"), (0.00099, "<0.001"), (0.001, "0.001"), (0.0049, "0.005"), (0.012, "0.01"),
        (0.0496, "0.0496"), (0.0489, "0.049"), (0.0512, "0.051"), (0.2, "0.20"), (0.67, "0.67"), (1.0, ">0.99"),
    ],
)  # fmt: skip
def test_p_as_printed(p: float | None, text: str) -> None:
    assert format_p(p) == text
