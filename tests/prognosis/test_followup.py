from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from calcmap.core.errors import InputError
from calcmap.prognosis.followup import follow_up

TIME = [3.0, 1.0, 2.0]
EVENT = [1, 0, 1]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"time": [], "event": []}, "0 rows, expected at least 2"),
        ({"time": [1.0], "event": [1]}, "1 rows, expected at least 2"),
        ({"time": [3.0, -1.0, 2.0]}, r"time is negative in 1 rows \(lowest -1\)"),
        ({"time": [3.0, np.nan, 2.0]}, "time is missing or not finite in 1 of 3 rows"),
        ({"time": [3.0, np.inf, 2.0]}, "time is missing or not finite"),
        ({"time": ["3", "1", "2"]}, "time holds text such as '3'"),
        ({"time": [3.0, "soon", 2.0]}, "time holds 'soon'|time holds text"),
        ({"time": np.array([3.0, "soon", 2.0], dtype=object)}, "time holds 'soon', expected numbers"),
        ({"time": [[3.0], [1.0], [2.0]]}, r"one value a row, got shape \(3, 1\)"),
        ({"event": [0, 0, 0]}, "nobody of 3 has the event: all follow-up is censored"),
        ({"event": [1, 2, 1]}, r"event holds 2, expected 0 \(censored\) and 1 \(event\)"),
        ({"event": [1, None, 1]}, "event .*missing or not finite|event holds None"),
        ({"event": [1, 0]}, "event has 2 values, time has 3"),
        ({"covariates": {"bmi": [20.0, np.nan, 30.0]}}, "covariate 'bmi' is missing or not finite in 1 of 3 rows"),
        ({"covariates": {"sex": ["M", "F", "F"]}}, "covariate 'sex' holds 'M', expected numbers"),
        ({"covariates": {"age": [1.0]}}, "covariate 'age' has 1 values, time has 3"),
        ({"competing": [1, 0, 0]}, "1 rows have both the event and a competing event"),
        ({"competing": [0, 0.5, 0]}, "competing holds 0.5, expected whole codes"),
        ({"weight": [1.0, 0.0, 1.0]}, "weight holds 0, expected > 0"),
        ({"stratum": ["a", "b"]}, "stratum has shape"),
        ({"cluster": [1.0, np.nan, 2.0]}, "cluster is missing in 1 of 3 rows"),
        ({"cluster": ["a", None, "b"]}, "cluster is missing in some rows"),
    ],
)  # fmt: skip
def test_a_table_that_cannot_be_analysed_is_refused_in_one_line(changes: dict[str, Any], message: str) -> None:
    given = {"time": TIME, "event": EVENT} | changes
    time, event = given.pop("time"), given.pop("event")
    with pytest.raises(InputError, match=message) as refusal:
        follow_up(time, event, **given)
    assert "\n" not in str(refusal.value)


def test_times_that_differ_by_rounding_alone_become_ties() -> None:
    days = np.array([100, 200, 300])
    table = follow_up(np.append(days / 365.25, days * (1 / 365.25)), [1, 1, 0, 1, 0, 1])
    assert len(np.unique(table.time)) == 3


def test_times_a_day_apart_stay_apart() -> None:
    days = np.arange(1, 4000)
    assert len(np.unique(follow_up(days / 365.25, np.ones(len(days))).time)) == len(days)


def test_labels_of_strata_become_codes_and_rows_keep_them() -> None:
    table = follow_up(TIME, EVENT, covariates={"age": [1, 2, 3]}, stratum=["Yale", "Calgary", "Yale"])
    assert table.stratum is not None
    assert table.stratum.tolist() == [1, 0, 1]
    chosen = table.rows(np.array([2, 2, 0]))
    assert chosen.stratum is not None
    assert (chosen.stratum.tolist(), chosen.time.tolist(), chosen.covariates[:, 0].tolist()) == (
        [1, 1, 1], [2.0, 2.0, 3.0], [3.0, 3.0, 1.0],
    )  # fmt: skip


@pytest.mark.parametrize(
    ("names", "message"), [(("weight",), "no covariate is called 'weight'"), (("age", "age"), "named twice")]
)
def test_an_unknown_or_doubled_covariate_is_refused(names: tuple[str, ...], message: str) -> None:
    with pytest.raises(InputError, match=message):
        follow_up(TIME, EVENT, covariates={"age": [1, 2, 3]}).columns(names)
