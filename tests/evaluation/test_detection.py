from __future__ import annotations

import pytest

from calcmap.evaluation.detection import detections, shifts

DEEPCAC_PAPER = [[59, 24, 0, 1], [32, 94, 12, 2], [4, 8, 58, 20], [0, 1, 1, 80]]
"""FACTS 3.1, rows and columns as there; what follows is counted by hand from it."""
NAMES = ("0", "1-100", "101-400", ">400")


def test_the_first_cut_is_any_calcium() -> None:
    any_calcium = detections(DEEPCAC_PAPER, names=NAMES)[0]
    assert any_calcium.from_category == "1-100"
    assert (any_calcium.true_negative, any_calcium.false_positive) == (59, 25)
    assert (any_calcium.false_negative, any_calcium.true_positive) == (36, 276)
    assert any_calcium.sensitivity.estimate == pytest.approx(276 / 312)
    assert any_calcium.specificity.estimate == pytest.approx(59 / 84)
    assert any_calcium.ppv.estimate == pytest.approx(276 / 301)
    assert any_calcium.npv.estimate == pytest.approx(59 / 95)
    assert any_calcium.accuracy.estimate == pytest.approx(335 / 396)


def test_the_last_cut_is_the_highest_category_alone() -> None:
    severe = detections(DEEPCAC_PAPER, names=NAMES)[-1]
    assert severe.from_category == ">400"
    assert (severe.true_positive, severe.false_positive, severe.false_negative) == (80, 23, 2)


def test_an_interval_is_wilsons() -> None:
    # Newcombe 1998, method 3: 81 of 263 gives 0.2553 to 0.3662
    detection = detections([[10, 0], [182, 81]], names=("no", "yes"))[0]
    assert detection.sensitivity.low == pytest.approx(0.2553, abs=5e-5)
    assert detection.sensitivity.high == pytest.approx(0.3662, abs=5e-5)


def test_without_a_diseased_case_sensitivity_has_a_reason() -> None:
    detection = detections([[5, 1], [0, 0]], names=("no", "yes"))[0]
    assert detection.sensitivity.estimate is None
    assert detection.sensitivity.reason == "there are no cases"


def test_shares_up_and_down_are_those_off_the_diagonal() -> None:
    found = shifts(DEEPCAC_PAPER, names=NAMES)
    assert found.overall.up.estimate == pytest.approx(59 / 396)
    assert found.overall.down.estimate == pytest.approx(46 / 396)
    assert found.overall.same.estimate == pytest.approx(291 / 396)
    assert found.by_one.estimate == pytest.approx(97 / 396)
    assert found.by_more.estimate == pytest.approx(8 / 396)


def test_each_category_of_the_reference_has_its_shares() -> None:
    moderate = shifts(DEEPCAC_PAPER, names=NAMES).by_reference[2]
    assert moderate.reference_category == "101-400"
    assert (moderate.up.estimate, moderate.down.estimate) == (pytest.approx(20 / 90), pytest.approx(12 / 90))
    assert moderate.same.n == 90


def test_up_and_down_are_compared_by_the_exact_sign_test() -> None:
    assert shifts([[0, 5], [0, 5]], names=("a", "b")).p_up_equals_down == pytest.approx(2 / 2**5)
    assert shifts([[5, 0], [0, 5]], names=("a", "b")).p_up_equals_down is None
