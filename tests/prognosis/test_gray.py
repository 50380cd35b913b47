from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from calcmap.core.errors import InputError, NotEstimableError
from calcmap.prognosis.followup import follow_up
from calcmap.prognosis.gray import gray_test
from prognosis.clinical_tables import from_r
from prognosis.competing_cohort import competing_cohort


@pytest.mark.parametrize(
    ("tied", "cause", "stratum", "statistic"),
    [
        (False, "mace", False, 28.715480018245),
        (False, "other", False, 0.644035917182),
        (False, "mace", True, 28.599012733283),
        (False, "other", True, 0.677610195157),
        (True, "mace", False, 29.048842304075),
        (True, "other", False, 0.612091397921),
        (True, "mace", True, 30.154045136421),
        (True, "other", True, 0.646777816826),
    ],
)
def test_the_statistic_is_that_of_r(tied: bool, cause: str, stratum: bool, statistic: float) -> None:
    # cmprsk 2.2-12: cuminc(time, status, group, strata)$Tests
    table, category = competing_cohort(tied=tied, cause=cause, stratum=stratum)
    found = gray_test(table, category)
    assert found.df == 2
    assert found.statistic == pytest.approx(statistic, rel=1e-10)


def test_monoclonal_gammopathy_by_sex_has_rs_numbers() -> None:
    columns = from_r("mgus2")
    progressed = columns["pstat"] == "1"
    years = np.where(progressed, columns["ptime"], columns["futime"]).astype(float)
    died = (columns["death"] == "1") & ~progressed
    assert gray_test(follow_up(years, progressed, competing=died), columns["sex"]).statistic == pytest.approx(
        1.19450782508, rel=1e-9
    )
    assert gray_test(follow_up(years, died, competing=progressed), columns["sex"]).statistic == pytest.approx(
        11.65125901213, rel=1e-9
    )


def test_neither_the_order_of_rows_nor_the_names_of_groups_matter() -> None:
    table, category = competing_cohort()
    turned = np.random.default_rng(1).permutation(len(table))
    names = np.array(["z", "a", "m"])[category]
    assert gray_test(table.rows(turned), names[turned]).statistic == pytest.approx(
        gray_test(table, category).statistic, rel=1e-9
    )


def test_only_the_order_of_times_matters() -> None:
    table, category = competing_cohort()
    stretched = replace(table, time=np.exp(table.time))
    assert gray_test(stretched, category).statistic == pytest.approx(gray_test(table, category).statistic, rel=1e-12)


def test_of_four_patients_the_score_and_its_spread_are_those_by_hand() -> None:
    # Group a: an event at 1, censored at 4; group b: events at 2 and 3. At risk / free of events is 2 in both groups at
    # each event, so the common incidence rises by 1/4 each time.
    table = follow_up([1, 4, 2, 3], [1, 0, 1, 1])
    score = 1 - (1 / 2 + 1 / 3 + 1 / 2)  # of a: one event, less its shares, each two times 1 - its own incidence before
    later = [1 / 3 + 1 / 2, 1 / 2, 0]  # rises of the common incidence still to come, of what is left of 1 before each
    in_a = [1 + later[0] * (1 - 0.75 / 0.5), 1 + later[1] * (1 - 0.5 / 0.5), 1]
    in_b = [1 + later[0] * (1 - 0.75 / 1.0), 1 + later[1] * (1 - 0.5 / 0.5), 1]
    spread = sum(value**2 for value in (*in_a, *in_b)) / 8  # a rise of 1/4 in a group that counts 2
    assert gray_test(table, ["a", "a", "b", "b"]).statistic == pytest.approx(score**2 / spread, rel=1e-12)


@pytest.mark.parametrize(
    ("change", "group", "error", "message"),
    [
        ({}, [1, 2], InputError, "group has shape"),
        ({"weight": np.full(240, 2.0)}, None, InputError, "not defined for case weights"),
        ({"is_event": np.zeros(240, dtype=bool)}, None, NotEstimableError, "nobody of 240 has the event"),
        ({}, ["all"] * 240, NotEstimableError, "all rows are of one group"),
    ],
)
def test_what_cannot_be_compared_is_refused(
    change: dict[str, object], group: list[object] | None, error: type[Exception], message: str
) -> None:
    table, category = competing_cohort()
    with pytest.raises(error, match=message):
        gray_test(replace(table, **change), category if group is None else group)  # type: ignore[arg-type]


def test_groups_that_are_never_at_risk_together_cannot_be_compared() -> None:
    table = follow_up([1, 1, 2, 2], [1, 1, 1, 1], stratum=["a", "a", "b", "b"])
    with pytest.raises(NotEstimableError, match="never at risk together"):
        gray_test(table, ["a", "a", "b", "b"])
