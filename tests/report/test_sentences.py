from __future__ import annotations

import pytest

from calcmap.report.sentences import (
    Side,
    counted,
    is_small,
    listed,
    shown,
    side_of,
    software_sentence,
    worded,
    worded_p,
    worded_percent,
)
from calcmap.statistics.estimates import Estimate


@pytest.mark.parametrize(
    ("low", "high", "side"),
    [
        (1.1, 2.0, Side.ABOVE),
        (0.2, 0.9, Side.BELOW),
        (0.9, 1.1, Side.BOTH),
        (1.0, 2.0, Side.BOTH),
        (0.5, 1.0, Side.BOTH),
        (None, 2.0, Side.UNKNOWN),
    ],
)
def test_an_interval_lies_above_below_or_covers(low: float | None, high: float | None, side: Side) -> None:
    assert side_of(Estimate(1.5, low, high, 10), 1.0) is side


def test_an_interval_that_covers_no_effect_claims_nothing() -> None:
    words = {"above": "higher", "below": "lower", "none": "no difference shown"}
    assert shown(Estimate(9.0, 0.9, 90.0, 10), 1.0, **words) == "no difference shown"
    assert shown(Estimate(9.0, 1.1, 90.0, 10), 1.0, **words) == "higher"
    assert "nothing is claimed" in shown(Estimate(9.0, None, None, 10), 1.0, **words)


def test_estimates_are_told_with_their_interval_or_the_reason() -> None:
    assert worded(Estimate(0.8, 0.784, 0.816, 9), confidence=0.95) == "0.80 (95 % interval 0.78 to 0.82)"
    assert worded(Estimate(0.8, None, None, 9), confidence=0.9) == "0.80 (without interval)"
    assert worded(Estimate(None, None, None, 9, "no events"), confidence=0.95) == "not estimable (no events)"
    assert worded_percent(Estimate(0.5, 0.25, 0.75, 9), confidence=0.9) == "50.0 % (90 % interval 25.0 to 75.0 %)"


def test_p_values_are_told_as_a_paper_does() -> None:
    assert [worded_p(p) for p in (0.0001, 0.0124, None)] == ["p < 0.001", "p = 0.012", "p not defined"]
    assert [is_small(p, confidence=0.95) for p in (0.049, 0.051, None)] == [True, False, False]


def test_lists_and_counts_read_as_words() -> None:
    assert [listed(words) for words in ([], ["a"], ["a", "b"], ["a", "b", "c"])] == ["", "a", "a and b", "a, b and c"]
    assert [counted(n, "row") for n in (1, 2, 2271)] == ["1 row", "2 rows", "2,271 rows"]


def test_software_that_is_absent_is_left_out() -> None:
    sentence = software_sentence(("numpy", "no-such-package"))
    assert "numpy" in sentence
    assert "no-such-package" not in sentence
