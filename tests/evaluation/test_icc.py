from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from calcmap.core.errors import InputError
from calcmap.core.volume import Float64Array
from calcmap.evaluation.icc import Icc, IccForm, intraclass_correlations, mean_squares

SHROUT_FLEISS = [[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]]
"""Shrout and Fleiss 1979, table 2; values by R (FACTS 3.3)."""


def _by_form(ratings: object) -> dict[IccForm, Icc]:
    return {icc.form: icc for icc in intraclass_correlations(ratings)}  # type: ignore[arg-type]


def test_mean_squares_are_the_published_ones() -> None:
    squares = mean_squares(SHROUT_FLEISS)
    assert squares.cases == pytest.approx(11.2417, abs=5e-5)
    assert squares.raters == pytest.approx(32.4861, abs=5e-5)
    assert squares.error == pytest.approx(1.01944, abs=5e-6)
    assert squares.within == pytest.approx(6.26389, abs=5e-6)


@pytest.mark.parametrize(
    ("form", "estimate"),
    [
        (IccForm.ONE_WAY_SINGLE, 0.16574),
        (IccForm.AGREEMENT_SINGLE, 0.28976),
        (IccForm.CONSISTENCY_SINGLE, 0.71484),
        (IccForm.ONE_WAY_MEAN, 0.44280),
        (IccForm.AGREEMENT_MEAN, 0.62005),
        (IccForm.CONSISTENCY_MEAN, 0.90932),
    ],
)
def test_each_form_is_the_published_one(form: IccForm, estimate: float) -> None:
    assert _by_form(SHROUT_FLEISS)[form].estimate == pytest.approx(estimate, abs=5e-6)


def test_interval_and_test_of_agreement_are_those_of_r() -> None:
    icc = _by_form(SHROUT_FLEISS)[IccForm.AGREEMENT_SINGLE]
    assert (icc.low, icc.high) == (pytest.approx(0.0188, abs=5e-5), pytest.approx(0.7611, abs=5e-5))
    assert icc.f == pytest.approx(11.027, abs=5e-4)
    assert icc.df1 == 5
    assert icc.df2 == pytest.approx(4.785, abs=5e-4)
    assert icc.p == pytest.approx(0.01127, abs=5e-6)


def test_interval_of_consistency_is_that_of_r() -> None:
    icc = _by_form(SHROUT_FLEISS)[IccForm.CONSISTENCY_SINGLE]
    assert (icc.low, icc.high) == (pytest.approx(0.3425, abs=5e-5), pytest.approx(0.9459, abs=5e-5))


def test_an_offset_between_raters_lowers_agreement_but_not_consistency() -> None:
    ratings = np.array(SHROUT_FLEISS, dtype=np.float64)
    before, after = _by_form(ratings), _by_form(ratings - np.array([0, 5, 0, 0]))
    assert after[IccForm.CONSISTENCY_SINGLE].estimate == pytest.approx(before[IccForm.CONSISTENCY_SINGLE].estimate)
    assert (after[IccForm.AGREEMENT_SINGLE].estimate or 0) < (before[IccForm.AGREEMENT_SINGLE].estimate or 0)


def test_equal_raters_agree_fully_and_have_no_interval() -> None:
    for icc in intraclass_correlations([[1, 1], [2, 2], [3, 3]]):
        assert icc.estimate == pytest.approx(1.0)
        assert icc.low is None
        assert icc.reason is not None


def test_an_offset_alone_leaves_consistency_full() -> None:
    found = _by_form([[1, 2], [2, 3], [3, 4]])
    assert found[IccForm.CONSISTENCY_SINGLE].estimate == pytest.approx(1.0)
    assert found[IccForm.AGREEMENT_SINGLE].estimate == pytest.approx(2 / 3)  # by hand: (2 - 0) / (2 + 2/3 * 1.5)


def test_raters_who_turn_each_other_round_have_a_mean_without_reliability() -> None:
    found = _by_form([[1, 3], [2, 2], [3, 1]])
    assert found[IccForm.CONSISTENCY_SINGLE].estimate == pytest.approx(-1.0)
    assert found[IccForm.CONSISTENCY_MEAN].estimate is None
    assert found[IccForm.CONSISTENCY_MEAN].reason is not None


@pytest.mark.parametrize("ratings", [[[1.0, 2.0]], [[3.0, 3.0], [3.0, 3.0]]])
def test_without_variation_or_cases_there_is_a_reason(ratings: list[list[float]]) -> None:
    for icc in intraclass_correlations(ratings):
        assert icc.estimate is None
        assert icc.reason is not None


@pytest.mark.parametrize("ratings", [[1.0, 2.0], [[1.0], [2.0]], [[1.0, np.nan], [2.0, 3.0]]])
def test_what_is_no_complete_table_is_refused(ratings: object) -> None:
    with pytest.raises(InputError):
        intraclass_correlations(ratings)  # type: ignore[arg-type]


@settings(max_examples=30, deadline=None)
@given(arrays(np.float64, (6, 2), elements=st.integers(0, 50)), st.floats(0.5, 20), st.floats(-100, 100))
def test_scale_and_origin_do_not_matter(ratings: Float64Array, scale: float, origin: float) -> None:
    for plain, moved in zip(
        intraclass_correlations(ratings), intraclass_correlations(ratings * scale + origin), strict=True
    ):
        if plain.estimate is not None and plain.low is not None and moved.estimate is not None:
            assert moved.estimate == pytest.approx(plain.estimate, abs=1e-6)
