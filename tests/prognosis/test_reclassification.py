"""Published and re-run values of reclassification: nricens 1.6, Hmisc 4.8, PredictABEL, survIDINRI (R)."""

from __future__ import annotations

import csv
import subprocess
from collections.abc import Callable
from pathlib import Path
from shutil import which
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy.optimize import minimize

from calcmap.core.errors import InputError
from calcmap.prognosis.cox import Between, fit_cox, predict_risk
from calcmap.prognosis.followup import follow_up
from calcmap.prognosis.reclassification import (
    CensoringEstimator,
    Reclassification,
    binary_integrated_discrimination,
    binary_reclassification,
    integrated_discrimination,
    moves_by_category,
    moves_by_difference,
    net_reclassification,
    reclassification_table,
    uno_improvement,
)

KM, IPW = CensoringEstimator.KAPLAN_MEIER, CensoringEstimator.INVERSE_WEIGHTING

PBC_HORIZON_DAYS = 2000.0
WHAS_HORIZON_DAYS = 730.0

Cohort = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
"""Time, event, base risk, extended risk."""

TOY_BASE = np.array([0.10, 0.20, 0.30, 0.40, 0.50, 0.60, 0.15, 0.25, 0.35, 0.45])
TOY_EXTENDED = np.array([0.15, 0.18, 0.35, 0.52, 0.50, 0.75, 0.10, 0.30, 0.20, 0.40])
TOY_EVENT = np.array([0, 0, 0, 1, 1, 1, 0, 1, 0, 0])
"""Ten patients of FACTS 4.3."""


class Table(dict[str, np.ndarray]):
    """Columns of a table by name."""

    @classmethod
    def read(cls, path: Path) -> Table:
        with path.open(encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        return cls({name: np.array([float(row[name] or "nan") for row in rows]) for name in rows[0]})

    def __call__(self, *names: str) -> np.ndarray:
        return np.column_stack([self[name] for name in names])


@pytest.fixture(scope="module")
def pbc(shared_data: Path) -> Cohort:
    """Return time, event, base and extended risk of survival::pbc[1:312] at 2,000 days."""
    table = Table.read(shared_data / "statistics" / "pbc312.csv")
    time, event = table["time"], table["event"]
    base = cox_risk(table("age", "bili", "albumin"), time, event, PBC_HORIZON_DAYS)
    extended = cox_risk(table("age", "bili", "albumin", "protime"), time, event, PBC_HORIZON_DAYS)
    return time, event, base, extended


@pytest.fixture(scope="module")
def whas500(shared_data: Path) -> Cohort:
    """Return time, event, base and extended risk of the Worcester Heart Attack Study at 730 days."""
    table = Table.read(shared_data / "statistics" / "whas500.csv")
    time, event = table["time"], table["event"]
    without = ("gender", "bmi", "hr", "chf", "diasbp")
    base = cox_risk(table(*without), time, event, WHAS_HORIZON_DAYS)
    extended = cox_risk(table(*without, "age"), time, event, WHAS_HORIZON_DAYS)
    return time, event, base, extended


def assert_reclassifies(found: Reclassification, printed: tuple[float, ...], digits: int = 10) -> None:
    values = (
        found.nri,
        found.nri_event,
        found.nri_nonevent,
        found.up_given_event,
        found.down_given_event,
        found.down_given_nonevent,
        found.up_given_nonevent,
    )
    assert_allclose(values[: len(printed)], printed, rtol=0, atol=0.5 * 10.0**-digits + 1e-12)


@pytest.mark.real_data
class TestNricensOnPbc:
    """FACTS 4.3: every call of nricens 1.6."""

    def test_risks(self, pbc: Cohort) -> None:
        printed_base = [0.9991842483, 0.1084189486, 0.4029632813, 0.6979740939, 0.1739311449]
        printed_extended = [0.9998459048, 0.1061350245, 0.4983571515, 0.6274546235, 0.1861164879]
        assert_allclose(pbc[2][:5], printed_base, rtol=0, atol=5e-11)
        assert_allclose(pbc[3][:5], printed_extended, rtol=0, atol=5e-11)

    @pytest.mark.parametrize(
        ("cut_offs", "estimator", "printed"),
        [
            (
                (0.2, 0.4),
                KM,
                (0.1102806766, 0.0512338118, 0.0590468648, 0.0634853755, 0.0122515637, 0.0958301576, 0.0367832928),
            ),
            (
                (0.2, 0.4),
                IPW,
                (0.0859569491, 0.0512347269, 0.0347222222, 0.0642297301, 0.0129950032, 0.0833333333, 0.0486111111),
            ),
        ],
    )
    def test_categories(
        self, pbc: Cohort, cut_offs: tuple[float, ...], estimator: CensoringEstimator, printed: tuple[float, ...]
    ) -> None:
        time, event, base, extended = pbc
        moves = moves_by_category(base, extended, cut_offs=cut_offs)
        found = net_reclassification(time, event, moves, horizon=PBC_HORIZON_DAYS, estimator=estimator)
        assert_reclassifies(found, printed)

    @pytest.mark.parametrize(
        ("more_than", "estimator", "printed"),
        [
            (
                0.05,
                KM,
                (0.1007095982, 0.0509722276, 0.0497373706, 0.2243149935, 0.1733427658, 0.1085906391, 0.0588532685),
            ),
            (
                0.05,
                IPW,
                (0.0636103809, 0.0844437143, -0.0208333333, 0.2290590853, 0.1446153710, 0.0555555556, 0.0763888889),
            ),
            (
                0.0,
                KM,
                (0.5242748479, 0.2052069235, 0.3190679245, 0.6022271083, 0.3970201849, 0.6596975060, 0.3406295816),
            ),
            (
                0.0,
                IPW,
                (0.4047998961, 0.2242443406, 0.1805555556, 0.6121221703, 0.3878778297, 0.5902777778, 0.4097222222),
            ),
        ],
    )
    def test_differences(
        self, pbc: Cohort, more_than: float, estimator: CensoringEstimator, printed: tuple[float, ...]
    ) -> None:
        time, event, base, extended = pbc
        moves = moves_by_difference(base, extended, more_than=more_than)
        found = net_reclassification(time, event, moves, horizon=PBC_HORIZON_DAYS, estimator=estimator)
        assert_reclassifies(found, printed)

    def test_counts(self, pbc: Cohort) -> None:
        time, event, base, extended = pbc
        moves = moves_by_difference(base, extended)
        found = net_reclassification(time, event, moves, horizon=PBC_HORIZON_DAYS)
        assert (found.n, found.n_cases, found.n_controls, found.n_up, found.n_down) == (312, 88, 144, 131, 181)
        is_case, is_control = (event == 1) & (time <= PBC_HORIZON_DAYS), time > PBC_HORIZON_DAYS
        assert [(moves[is_case] > 0).sum(), (moves[is_control] > 0).sum()] == [55, 59]
        assert [(moves[is_case] < 0).sum(), (moves[is_control] < 0).sum()] == [33, 85]

    def test_tables(self, pbc: Cohort) -> None:
        found = reclassification_table(*pbc, cut_offs=(0.2, 0.4), horizon=PBC_HORIZON_DAYS)
        assert found.all_patients.tolist() == [[139, 7, 1], [17, 72, 6], [0, 5, 65]]
        assert found.cases.tolist() == [[9, 2, 0], [1, 21, 4], [0, 0, 51]]
        assert found.controls.tolist() == [[92, 4, 1], [9, 29, 2], [0, 3, 4]]

    @pytest.mark.parametrize(
        ("rule", "printed"),
        [
            ({"more_than": 0.02}, (0.0871212121, 0.0454545455, 0.0416666667)),
            ({"more_than": 0.0}, (0.0391414141, -0.1136363636, 0.1527777778)),
            ({"cut_offs": (0.2, 0.4)}, (-0.0227272727, -0.0227272727, 0.0)),
        ],
    )
    def test_nribin(self, shared_data: Path, rule: dict[str, Any], printed: tuple[float, ...]) -> None:
        table = Table.read(shared_data / "statistics" / "pbc312.csv")
        is_case = (table["event"] == 1) & (table["time"] <= PBC_HORIZON_DAYS)
        known = is_case | (table["time"] > PBC_HORIZON_DAYS)
        assert (known.sum(), is_case.sum()) == (232, 88)
        base = logistic_risk(table("age", "bili", "albumin")[known], is_case[known])
        extended = logistic_risk(table("age", "bili", "albumin", "protime")[known], is_case[known])
        move = moves_by_category if "cut_offs" in rule else moves_by_difference
        found = binary_reclassification(is_case[known], move(base, extended, **rule))
        assert_allclose(
            [found.nri.estimate, found.nri_event.estimate, found.nri_nonevent.estimate], printed, rtol=0, atol=5.1e-11
        )


@pytest.mark.real_data
class TestNricensOnWhas500:
    def test_continuous_by_kaplan_meier(self, whas500: Cohort) -> None:
        time, event, base, extended = whas500
        moves = moves_by_difference(base, extended)
        found = net_reclassification(time, event, moves, horizon=WHAS_HORIZON_DAYS)
        printed = (0.634604179, 0.335149130, 0.299455049, 0.664485689, 0.329336560, 0.651453134, 0.351998085)
        assert_reclassifies(found, printed, digits=9)
        assert (found.n_cases, found.n_controls) == (172, 236)

    def test_continuous_by_weighting(self, whas500: Cohort) -> None:
        time, event, base, extended = whas500
        moves = moves_by_difference(base, extended)
        found = net_reclassification(time, event, moves, horizon=WHAS_HORIZON_DAYS, estimator=IPW)
        assert_reclassifies(found, (0.593540466, 0.347777754, 0.245762712), digits=9)

    def test_categories(self, whas500: Cohort) -> None:
        time, event, base, extended = whas500
        moves = moves_by_category(base, extended, cut_offs=(0.1, 0.3))
        found = net_reclassification(time, event, moves, horizon=WHAS_HORIZON_DAYS)
        assert_reclassifies(found, (0.243708488, 0.056358408, 0.187350081), digits=9)


class TestHmiscToy:
    """FACTS 4.3: improveProb on ten patients."""

    def test_reclassification(self) -> None:
        found = binary_reclassification(TOY_EVENT, moves_by_difference(TOY_BASE, TOY_EXTENDED))
        assert found.nri.estimate == pytest.approx(1.083333, abs=5e-7)
        assert found.nri.standard_error == pytest.approx(0.441614, abs=5e-7)
        assert found.nri.z == pytest.approx(2.453121, abs=5e-7)
        assert (found.nri_event.estimate, found.nri_nonevent.estimate) == pytest.approx((0.75, 0.333333), abs=5e-7)
        assert found.nri_event.standard_error == pytest.approx(0.216506, abs=5e-7)
        assert found.nri_nonevent.standard_error == pytest.approx(0.384900, abs=5e-7)

    def test_integrated_discrimination(self) -> None:
        found = binary_integrated_discrimination(TOY_EVENT, TOY_BASE, TOY_EXTENDED)
        assert found.estimate == pytest.approx(0.1083333, abs=5e-8)
        assert found.standard_error == pytest.approx(0.0456740, abs=5e-8)
        assert found.z == pytest.approx(2.371884, abs=5e-7)


def test_predictabel_continuous_interval_follows_from_its_counts() -> None:
    """ExampleData is out of reach, but its printed parts fix the counts: 1215 - 772 of 1987, 5162 - 2851 of 8013."""
    moves = np.repeat([1, -1, -1, 1], [1215, 772, 5162, 2851])
    found = binary_reclassification(np.arange(10_000) < 1987, moves)
    assert found.nri_event.estimate == pytest.approx(0.22294917, abs=5e-9)
    assert found.nri_nonevent.estimate == pytest.approx(0.28840634, abs=5e-9)
    assert found.nri.standard_error == pytest.approx(0.024344862, abs=5e-10)
    assert (found.nri.estimate, found.nri.low, found.nri.high) == pytest.approx((0.5114, 0.4636, 0.5591), abs=5e-5)


def test_survidinri_on_the_first_hundred_complete_of_pbc(tmp_path: Path) -> None:
    table = pbc_of_r(tmp_path)
    columns = table("time", "status", "age", "albumin", "edema", "protime", "bili")
    columns = columns[~np.isnan(columns).any(axis=1)][:100]
    time, event, horizon = columns[:, 0], columns[:, 1] == 2, 1825.0
    base, extended = (cox_risk(columns[:, 2:last], time, event, horizon) for last in (6, 7))
    found = uno_improvement(time, event, base, extended, horizon=horizon)
    assert [found.m1.difference, found.m1.event, found.m1.nonevent] == pytest.approx(
        [0.073190, 0.034864, -0.038326], abs=5.1e-7
    )
    assert [found.m2.difference, found.m2.event, found.m2.nonevent] == pytest.approx(
        [0.443922, 0.540696, 0.096774], abs=5.1e-7
    )
    assert [found.m3.difference, found.m3.event, found.m3.nonevent] == pytest.approx(
        [0.042021, 0.002001, -0.040020], abs=5.1e-7
    )
    exact = integrated_discrimination(time, event, base, extended, horizon=horizon)
    assert exact.idi == pytest.approx(found.m1.difference, abs=5e-4)  # half a step of the package's grid


def risk_lists(n: int) -> st.SearchStrategy[list[float]]:
    return st.lists(st.floats(0.0, 1.0), min_size=n, max_size=n)


class TestProperties:
    @settings(max_examples=40, deadline=None)
    @given(risk_lists(12), risk_lists(12))
    def test_swapping_the_models_turns_the_sign(self, base: list[float], extended: list[float]) -> None:
        time, event = np.arange(1.0, 13.0), np.tile([1, 0, 1], 4)
        forth = net_reclassification(time, event, moves_by_difference(base, extended), horizon=6.5, estimator=IPW)
        back = net_reclassification(time, event, moves_by_difference(extended, base), horizon=6.5, estimator=IPW)
        assert forth.nri == pytest.approx(-back.nri)

    @settings(max_examples=40, deadline=None)
    @given(risk_lists(12), risk_lists(12))
    def test_without_censoring_all_definitions_agree(self, base: list[float], extended: list[float]) -> None:
        time, event = np.arange(1.0, 13.0), np.ones(12)
        moves = moves_by_difference(base, extended)
        by_curve, by_weight = (
            net_reclassification(time, event, moves, horizon=5.0, estimator=estimator) for estimator in (KM, IPW)
        )
        known = binary_reclassification(time <= 5.0, moves)
        assert by_curve.nri == pytest.approx(known.nri.estimate)
        assert by_weight.nri == pytest.approx(known.nri.estimate)
        spread = integrated_discrimination(time, event, base, extended, horizon=5.0)
        assert spread.idi == pytest.approx(binary_integrated_discrimination(time <= 5.0, base, extended).estimate)

    def test_one_cut_off_in_both_parts_by_hand(self) -> None:
        # Four events: two cross 0.5 upwards, one downwards; four others: one down.
        base = np.array([0.4, 0.4, 0.6, 0.6, 0.6, 0.4, 0.4, 0.4])
        extended = np.array([0.5, 0.9, 0.1, 0.8, 0.3, 0.2, 0.45, 0.1])
        found = binary_reclassification([1, 1, 1, 1, 0, 0, 0, 0], moves_by_category(base, extended, cut_offs=[0.5]))
        assert found.nri_event.estimate == 0.25
        assert found.nri_nonevent.estimate == 0.25
        assert found.nri.estimate == 0.5

    def test_equal_models_improve_nothing(self) -> None:
        risk = np.linspace(0.1, 0.9, 9)
        found = net_reclassification(np.arange(1, 10), np.ones(9), moves_by_difference(risk, risk), horizon=4)
        assert (found.nri, found.n_up, found.n_down) == (0.0, 0, 0)


class TestNotEstimable:
    TIME = np.array([1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
    MOVES = np.array([1, -1, 1, -1, 1, -1])

    def test_no_event_by_the_horizon(self) -> None:
        found = net_reclassification(self.TIME, [0, 0, 0, 1, 1, 1], self.MOVES, horizon=3.0)
        assert found.nri is None
        assert found.reason == "no event was observed by the horizon of 3"

    def test_nobody_followed_beyond_the_horizon(self) -> None:
        found = net_reclassification(self.TIME, np.ones(6), self.MOVES, horizon=6.0)
        assert found.reason == "nobody was followed beyond the horizon of 6"
        spread = integrated_discrimination(self.TIME, np.ones(6), np.full(6, 0.1), np.full(6, 0.2), horizon=6.0)
        assert (spread.idi, spread.reason) == (None, found.reason)
        early = uno_improvement(self.TIME, np.ones(6), np.full(6, 0.1), np.full(6, 0.2), horizon=7.0)
        assert (early.m1, early.reason) == (None, "nobody was followed beyond the horizon of 7")

    def test_group_that_was_censored_early(self) -> None:
        found = net_reclassification(self.TIME, [1, 0, 0, 1, 1, 0], [0, 1, 1, 0, 0, -1], horizon=4.5)
        assert found.reason == "nobody who moved up was followed to the horizon of 4.5"

    def test_group_whose_last_patient_dies_is_known(self) -> None:
        found = net_reclassification(self.TIME, [1, 0, 1, 0, 0, 0], [1, 0, 1, 0, 0, -1], horizon=4.5)
        assert found.up_given_nonevent == 0.0

    def test_outcome_of_one_kind(self) -> None:
        found = binary_reclassification([1, 1], [1, 0])
        assert (found.nri.estimate, found.nri.reason) == (None, "there are no nonevents")
        assert found.down_given_nonevent is None
        assert binary_integrated_discrimination([1, 1], [0.1, 0.2], [0.2, 0.3]).estimate is None


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: moves_by_difference([0.1, 1.2], [0.1, 0.2]), "base_risk holds 1.2, expected 0 to 1"),
        (lambda: moves_by_difference([0.1], [0.1, 0.2]), "1 base and 2 extended"),
        (lambda: moves_by_difference([0.1], [np.nan]), "missing or not finite"),
        (lambda: moves_by_difference(["a"], ["b"]), "must hold numbers"),
        (lambda: moves_by_difference([[0.1]], [[0.1]]), "one axis"),
        (lambda: moves_by_difference([0.1], [0.1], more_than=-0.1), "at least 0"),
        (lambda: moves_by_category([0.1], [0.1], cut_offs=[0.4, 0.2]), "ascending"),
        (lambda: net_reclassification([1, -2], [1, 0], [1, 0], horizon=1), "time holds -2"),
        (lambda: net_reclassification([1, 2], [1, 2], [1, 0], horizon=1), "is_event must hold 0 and 1"),
        (lambda: net_reclassification([1, 2], [1], [1, 0], horizon=1), "2 times and 1 events"),
        (lambda: net_reclassification([1, 2], [1, 0], [1, 3], horizon=1), "-1, 0 or"),
        (lambda: net_reclassification([1, 2], [1, 0], [1], horizon=1), r"expected \(2,\)"),
        (lambda: net_reclassification([1, 2], [1, 0], [1, 0], horizon=0), "horizon is 0"),
        (lambda: uno_improvement([1, 2], [1, 0], [0.1], [0.2], horizon=1), "1 risks for 2 patients"),
        (lambda: integrated_discrimination([1, 2], [1, 0], [0.1], [0.2], horizon=1), "1 risks for 2 patients"),
        (lambda: reclassification_table([1], [1], [0.1, 0.2], [0.1, 0.2], cut_offs=[0.1], horizon=1), "2 risks for 1"),
        (lambda: binary_integrated_discrimination([1], [0.1, 0.2], [0.1, 0.2]), "2 risks for 1"),
        (lambda: binary_reclassification([1], [1], confidence=1.0), "confidence is 1.0"),
    ],
)
def test_malformed_input_is_named(call: Callable[[], object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        call()


def cox_risk(columns: np.ndarray, time: np.ndarray, event: np.ndarray, horizon: float) -> np.ndarray:
    """Return the risks as nricens predicts them: Efron's ties, the hazard on straight lines between observed times."""
    table = follow_up(time, event, covariates={f"x{j}": column for j, column in enumerate(columns.T)})
    return predict_risk(fit_cox(table), table, at=horizon, between=Between.LINEAR)


def logistic_risk(columns: np.ndarray, outcome: np.ndarray) -> np.ndarray:
    """Return the fitted probabilities of an unpenalised logistic model."""
    design = np.column_stack([np.ones(len(columns)), (columns - columns.mean(axis=0)) / columns.std(axis=0)])
    y = outcome.astype(float)

    def loss(beta: np.ndarray) -> tuple[float, np.ndarray]:
        score = design @ beta
        return float((np.logaddexp(0.0, score) - y * score).sum()), design.T @ (1 / (1 + np.exp(-score)) - y)

    fit = minimize(loss, np.zeros(design.shape[1]), jac=True, method="BFGS", options={"gtol": 1e-9})
    return 1.0 / (1.0 + np.exp(-design @ fit.x))


def pbc_of_r(folder: Path) -> Table:
    """Return survival::pbc, or skip: R's data are read where R is, never shipped."""
    if which("Rscript") is None:
        pytest.skip("R ABSENT: Rscript is not installed, the comparison with survIDINRI did not run")
    path = folder / "pbc.csv"
    command = (
        f"suppressMessages(library(survival)); d <- pbc; d$sex <- 0; write.csv(d, '{path}', row.names=F, na='nan')"
    )
    done = subprocess.run(["Rscript", "-e", command], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"R's survival ABSENT, the comparison with survIDINRI did not run: {done.stderr.strip()[-200:]}")
    return Table.read(path)
