from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from calcmap.core.errors import InputError, NotEstimableError
from calcmap.prognosis.added_value import (
    DEFAULT_MEASURES,
    AddedValue,
    CategoryNri,
    ContinuousNri,
    concordance,
    likelihood_ratio,
)
from calcmap.prognosis.bootstrap import BootstrapSettings, Resampling, Undefined, bootstrap
from calcmap.prognosis.followup import FollowUp, follow_up

BASE = ("age", "bili", "albumin")
EXTENDED = (*BASE, "protime")


@pytest.fixture(scope="module")
def pbc(shared_data: Path) -> FollowUp:
    with (shared_data / "statistics" / "pbc312.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    columns = {name: np.array([float(row[name]) for row in rows]) for name in ("time", "event", *EXTENDED)}
    return follow_up(columns["time"], columns["event"], covariates={name: columns[name] for name in EXTENDED})


def everyone(table: FollowUp) -> np.ndarray:
    return np.arange(len(table))


@pytest.mark.real_data
class TestPbc:
    """FACTS 4.3."""

    def test_numbers_of_nricens(self, pbc: FollowUp) -> None:
        measures = (*DEFAULT_MEASURES, ContinuousNri(more_than=0.05), CategoryNri((0.2, 0.4)))
        found = AddedValue(pbc, BASE, EXTENDED, 2000.0, measures)(everyone(pbc))
        printed = {
            "nri_km.nri": 0.5242748479,
            "nri_km.event": 0.2052069235,
            "nri_ipw.nri": 0.4047998961,
            "nri_km_0.05.nri": 0.1007095982,
            "category_nri_km.nri": 0.1102806766,
            "category_nri_km.down_nonevent": 0.0958301576,
        }
        assert {name: found[name] for name in printed} == pytest.approx(printed, rel=0, abs=6e-11)
        assert found["lr_chi2"] == pytest.approx(13.4242, abs=5e-5)
        assert found["log_hr.protime"] == pytest.approx(0.2860292, abs=5e-8)

    def test_bootstrap_with_refits_comes_near_that_of_nricens(self, pbc: FollowUp) -> None:
        # 1,000 draws of R's own stream gave 0.1136..0.8126; 100 draws of ours scatter by about 0.05 around that.
        statistics = AddedValue(pbc, BASE, EXTENDED, 2000.0, (ContinuousNri(),))
        found = bootstrap(statistics, Resampling(312), settings=BootstrapSettings(draws=100), workers=1)
        interval = found.intervals["nri_km.nri"]
        assert (interval.low, interval.high) == pytest.approx((0.1136, 0.8126), abs=0.13)
        assert interval.draws_failed == 0


@pytest.mark.real_data
def test_concordance_of_whas500_with_and_without_age(shared_data: Path) -> None:
    """FACTS 5: R's survival."""
    with (shared_data / "statistics" / "whas500.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    base = ("gender", "bmi", "hr", "chf", "diasbp")
    columns = {name: np.array([float(row[name]) for row in rows]) for name in ("time", "event", *base, "age")}
    table = follow_up(columns["time"], columns["event"], covariates={name: columns[name] for name in (*base, "age")})
    found = AddedValue(table, base, (*base, "age"), 730.0, (concordance, likelihood_ratio))(np.arange(500))
    assert (found["c.base"], found["c.extended"]) == pytest.approx((0.73981024, 0.77709617), abs=5e-9)
    assert found["lr_chi2"] == pytest.approx(64.0943, abs=5e-5)


@pytest.fixture
def simulated() -> FollowUp:
    random = np.random.default_rng(4)
    x, marker, stratum = random.normal(size=300), random.normal(size=300), np.repeat([0, 1, 2], 100)
    time = random.exponential(np.exp(-0.5 * x - 0.7 * marker))
    end = random.uniform(0.2, 2.0, 300)
    columns = {"x": x, "marker": marker}
    return follow_up(np.minimum(time, end), time <= end, covariates=columns, stratum=stratum)


def test_useful_marker_improves_every_measure(simulated: FollowUp) -> None:
    found = AddedValue(simulated, ("x",), ("x", "marker"), 0.5)(everyone(simulated))
    assert all(found[name] > 0 for name in ("nri_km.nri", "nri_ipw.nri", "idi.idi", "lr_chi2", "log_hr.marker"))
    assert found["c.difference"] == pytest.approx(found["c.extended"] - found["c.base"])
    assert found["c.difference"] > 0.03


def test_stratum_lost_in_a_draw_is_a_failed_refit(simulated: FollowUp) -> None:
    with pytest.raises(NotEstimableError, match="a stratum has no patient"):
        AddedValue(simulated, ("x",), ("x", "marker"), 0.5)(np.arange(150))


def test_horizon_beyond_follow_up_is_refused(simulated: FollowUp) -> None:
    with pytest.raises(InputError, match="follow-up holds"):
        AddedValue(simulated, ("x",), ("x", "marker"), 5.0)(everyone(simulated))


def test_horizon_before_all_events_leaves_the_other_measures(simulated: FollowUp) -> None:
    horizon = float(simulated.time[simulated.is_event].min() / 2)
    found = AddedValue(simulated, ("x",), ("x", "marker"), horizon)(everyone(simulated))
    assert isinstance(found["nri_km.nri"], Undefined)
    assert isinstance(found["idi.event"], Undefined)
    assert found["lr_chi2"] > 0


def test_infinite_hazard_ratio_is_no_number() -> None:
    table = follow_up(
        np.arange(1.0, 61), np.arange(60) % 2, covariates={"x": np.tile([0, 1, 2], 20), "never": np.arange(60) % 4 == 0}
    )
    found = AddedValue(table, ("x",), ("x", "never"), 30.0)(np.arange(60))
    assert isinstance(found["log_hr.never"], Undefined)
    assert isinstance(found["log_hr.x"], float)


@pytest.mark.parametrize(
    ("base", "extended", "message"),
    [
        (("x",), ("x",), "the extended model adds nothing"),
        (("x",), ("marker", "other"), "'x' is in the base model alone"),
        (("x",), ("x", "other"), "no covariate is called 'other'"),
    ],
)
def test_models_that_are_not_nested_are_refused(
    simulated: FollowUp, base: tuple[str, ...], extended: tuple[str, ...], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        AddedValue(simulated, base, extended, 0.5, (likelihood_ratio,))
