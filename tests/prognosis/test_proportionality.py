from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from calcmap.core.errors import InputError, NotEstimableError
from calcmap.prognosis.cox import fit_cox
from calcmap.prognosis.followup import follow_up
from calcmap.prognosis.proportionality import (
    ProportionalityTest,
    TimeTransform,
    schoenfeld_test,
    score_test,
)
from prognosis.clinical_tables import from_r, lung, pbc, rossi, veteran, whas500


def test_lung_score_test_is_rs_printout() -> None:
    table = lung("age", "sex", "ph.ecog")
    test = score_test(fit_cox(table), table)
    assert [t.statistic for t in test.terms.values()] == pytest.approx([0.188, 2.305, 2.054], abs=5e-4)
    assert (test.overall.statistic, test.overall.p) == (pytest.approx(4.464, abs=5e-4), pytest.approx(0.216, abs=5e-4))


@pytest.mark.real_data
def test_rossi_score_test_is_rs_printout(shared_data: Path) -> None:
    table = rossi(shared_data)
    fit = fit_cox(table)
    km, rank = (score_test(fit, table, transform=transform) for transform in (TimeTransform.KM, TimeTransform.RANK))
    assert km.test is ProportionalityTest.SCORE
    assert (km.terms["age"].statistic, km.terms["wexp"].statistic) == pytest.approx((5.974, 4.225), abs=5e-4)
    assert (km.overall.statistic, km.overall.df) == (pytest.approx(17.69442, abs=5e-6), 7)
    assert km.overall.p == pytest.approx(0.0134, abs=5e-5)
    found = rank.terms["age"].statistic, rank.terms["wexp"].statistic, rank.overall.statistic
    assert found == pytest.approx((0.896, 4.160, 11.025), abs=5e-4)


@pytest.mark.real_data
def test_rossi_older_test_is_that_of_lifelines(shared_data: Path) -> None:
    """lifelines 0.30.3: its "rank" and "km" of proportional_hazard_test."""
    table = rossi(shared_data)
    fit = fit_cox(table)
    rank = schoenfeld_test(fit, table, transform=TimeTransform.EVENT_ORDER)
    assert rank.test is ProportionalityTest.SCHOENFELD
    assert (rank.terms["age"].statistic, rank.terms["wexp"].statistic) == pytest.approx((11.4535, 7.3149), abs=5e-5)
    km = schoenfeld_test(fit, table, transform=TimeTransform.KM_AFTER)
    assert (km.terms["age"].statistic, km.terms["wexp"].statistic) == pytest.approx((11.030, 7.475), abs=1e-3)


@pytest.mark.parametrize(
    ("transform", "karno", "overall"),
    [
        (TimeTransform.KM, 12.1382, 18.0732),
        (TimeTransform.IDENTITY, 4.764, 11.439),
        (TimeTransform.RANK, 12.7714, 18.8058),
    ],
)
def test_veteran_score_test_is_rs_printout(transform: TimeTransform, karno: float, overall: float) -> None:
    table = veteran("trt", "prior", "karno")
    test = score_test(fit_cox(table), table, transform=transform)
    assert (test.terms["karno"].statistic, test.overall.statistic) == pytest.approx((karno, overall), abs=5e-4)


def test_terms_of_several_columns_have_rs_numbers() -> None:
    """R: cox.zph(coxph(Surv(time, status) ~ celltype + karno, veteran)), default and logarithm."""
    columns, plain = from_r("veteran"), veteran("karno")
    cells = ("smallcell", "adeno", "large")
    covariates = {cell: columns["celltype"] == cell for cell in cells} | {"karno": plain.covariates[:, 0]}
    table = follow_up(plain.time, plain.is_event, covariates=covariates)
    fit, terms = fit_cox(table), {"celltype": cells, "karno": ("karno",)}
    for transform, printed in [
        (TimeTransform.KM, (14.06623206, 14.41575377, 23.64986557)),
        (TimeTransform.LOG, (12.74302085, 11.41723491, 21.71929886)),
    ]:
        test = score_test(fit, table, transform=transform, terms=terms)
        found = (*(t.statistic for t in test.terms.values()), test.overall.statistic)
        assert found == pytest.approx(printed, abs=5e-7)
        assert [t.df for t in test.terms.values()] == [3, 1]


def test_a_stratified_score_test_has_rs_numbers() -> None:
    """R: cox.zph(coxph(Surv(time, status) ~ trt + karno + strata(celltype), veteran))."""
    plain = veteran("trt", "karno")
    columns = dict(zip(plain.names, plain.covariates.T, strict=True))
    table = follow_up(plain.time, plain.is_event, covariates=columns, stratum=from_r("veteran")["celltype"])
    test = score_test(fit_cox(table), table)
    found = (*(t.statistic for t in test.terms.values()), test.overall.statistic)
    assert found == pytest.approx((0.05076951908, 6.70678848955, 7.09505221242), abs=5e-9)


def test_pbc_score_test_is_rs_printout() -> None:
    table = pbc()
    test = score_test(fit_cox(table), table)
    assert (test.overall.statistic, test.overall.df) == (pytest.approx(13.70435, abs=5e-6), 5)
    assert test.overall.p == pytest.approx(0.0176, abs=5e-5)
    assert test.terms["protime"].statistic == pytest.approx(9.26326, abs=5e-6)


@pytest.mark.real_data
def test_whas500_score_test_is_rs_printout(shared_data: Path) -> None:
    table = whas500(shared_data, "gender", "bmi", "hr", "chf", "diasbp", "age")
    test = score_test(fit_cox(table), table)
    assert (test.overall.statistic, test.overall.p) == (pytest.approx(4.9849, abs=5e-5), pytest.approx(0.546, abs=5e-4))


def test_a_hazard_ratio_that_turns_round_is_seen_by_both_tests() -> None:
    """The exposed die early, the others late: a crossing that no constant ratio describes."""
    time = np.concatenate([np.arange(1, 41), np.arange(41, 81)])
    exposed = np.concatenate([np.tile([1, 1, 1, 0], 10), np.tile([0, 0, 0, 1], 10)])
    table = follow_up(time, np.ones(80), covariates={"exposed": exposed})
    fit = fit_cox(table)
    for test in (score_test(fit, table), schoenfeld_test(fit, table)):
        assert test.overall.p < 0.01


@pytest.mark.parametrize(
    ("time", "transform", "error", "message"),
    [
        ([4, 4, 4, 4], TimeTransform.KM, NotEstimableError, "all events are at one time"),
        ([0, 2, 3, 4], TimeTransform.LOG, InputError, "an event is at time 0"),
    ],
)
def test_times_that_carry_no_change_are_refused(
    time: list[int], transform: TimeTransform, error: type[InputError], message: str
) -> None:
    table = follow_up(time, [1, 1, 1, 0], covariates={"a": [1, 3, 1, 2]})
    with pytest.raises(error, match=message):
        score_test(fit_cox(table), table, transform=transform)


def test_an_unknown_member_of_a_term_and_an_infinite_ratio_are_refused() -> None:
    table = follow_up([1, 2, 3, 4], [1, 1, 1, 0], covariates={"a": [1, 3, 1, 2]})
    with pytest.raises(InputError, match="no covariate 'b'"):
        score_test(fit_cox(table), table, terms={"b": ("b",)})
    apart = follow_up([1, 2, 3, 4], [1, 1, 0, 0], covariates={"a": [1, 1, 0, 0]})
    with pytest.raises(NotEstimableError, match="is infinite"):
        schoenfeld_test(fit_cox(apart), apart)
