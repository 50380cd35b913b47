from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calcmap.prognosis.added_value import DEFAULT_MEASURES, AddedValue, CategoryNri
from calcmap.prognosis.bootstrap import BootstrapSettings, Resampling, Undefined
from calcmap.prognosis.coding import code_table
from calcmap.prognosis.cox import fit_cox, linear_predictor
from calcmap.prognosis.design import select_patients
from calcmap.prognosis.discrimination import harrell_c
from calcmap.prognosis.followup import FollowUp
from calcmap.prognosis.refits import OPTIMISM, Refits, bootstrap_refits, concordance_share
from prognosis.made_outcome import made_cells, made_settings

BASE = ("age", "sex", "grade: b", "grade: c")
EXTENDED = {
    "dl": ("dl: 1-100", "dl: 101-400", "dl: >400", *BASE),
    "eye": ("eye: mild", "eye: severe", *BASE),
}


@pytest.fixture(scope="module")
def table() -> FollowUp:
    of_made = made_settings()
    return select_patients(code_table(made_cells(), of_made), of_made, None).table


@pytest.fixture(scope="module")
def refits(table: FollowUp) -> Refits:
    return Refits(table, BASE, EXTENDED, 3.0, (0.1, 0.3))


def test_one_call_gives_what_the_single_measures_give(table: FollowUp, refits: Refits) -> None:
    rows = np.random.default_rng(1).integers(240, size=240)
    found = refits(rows)
    for reading, names in EXTENDED.items():
        single = AddedValue(table, BASE, names, 3.0, (*DEFAULT_MEASURES, CategoryNri((0.1, 0.3))))(rows)
        for name in ("nri_km.nri", "nri_ipw.event", "category_nri_km.nonevent", "idi.idi"):
            assert found[f"{reading}.{name}"] == single[name]
        assert found[f"{reading}.c"] == pytest.approx(single["c.extended"], abs=1e-12)
        assert found[f"{reading}-base.c"] == pytest.approx(single["c.difference"], abs=1e-12)
    assert found["dl-eye.nri_km.nri"] == found["dl.nri_km.nri"] - found["eye.nri_km.nri"]


def test_a_reading_that_cannot_be_fitted_leaves_the_other_its_numbers(table: FollowUp) -> None:
    rows = np.flatnonzero(table.columns(["dl: >400"])[:, 0] == 0)
    found = Refits(table, BASE, EXTENDED, 3.0)(rows)
    lost = found["dl.nri_km.nri"]
    assert isinstance(lost, Undefined)
    assert "'dl: >400' is 0 in all" in lost.reason
    assert isinstance(found["dl-eye.c"], Undefined)
    assert isinstance(found["eye.nri_km.nri"], float)


def test_on_the_patients_themselves_there_is_no_optimism(refits: Refits) -> None:
    found = refits(np.arange(240))
    assert [found[f"{name}.{OPTIMISM}"] for name in ("base", "dl", "eye")] == [0.0, 0.0, 0.0]


def test_optimism_is_what_a_refitted_model_loses_on_all_patients(table: FollowUp, refits: Refits) -> None:
    rows = np.random.default_rng(2).integers(240, size=240)
    fit = fit_cox(table.rows(rows), EXTENDED["dl"])
    apart = [harrell_c(of, linear_predictor(fit, of)).estimate or 0.0 for of in (table.rows(rows), table)]
    assert refits(rows)[f"dl.{OPTIMISM}"] == pytest.approx(apart[0] - apart[1], abs=1e-12)


def test_a_draw_from_an_imputed_table_is_laid_against_that_table(table: FollowUp) -> None:
    other = replace(table, covariates=table.covariates[::-1])
    both = replace(
        table,
        time=np.tile(table.time, 2),
        is_event=np.tile(table.is_event, 2),
        covariates=np.concatenate([table.covariates, other.covariates]),
    )
    rows = np.random.default_rng(3).integers(240, size=240)
    stacked = Refits(both, BASE, EXTENDED, 3.0, n_tables=2)
    assert stacked(rows + 240)[f"eye.{OPTIMISM}"] == Refits(other, BASE, EXTENDED, 3.0)(rows)[f"eye.{OPTIMISM}"]


def test_beyond_follow_up_there_is_ranking_but_no_risk(table: FollowUp) -> None:
    found = Refits(table, BASE, EXTENDED, 50.0)(np.arange(240))
    assert isinstance(found["dl.c"], float)
    assert isinstance(found["dl.nri_km.nri"], Undefined)


def test_draws_do_not_depend_on_the_number_of_processes(refits: Refits) -> None:
    how = BootstrapSettings(draws=10)
    one, two = (bootstrap_refits(refits, Resampling(240), settings=how, workers=k) for k in (1, 2))
    assert one.intervals == two.intervals


def test_imputed_tables_are_drawn_from_one_at_a_time_and_averaged(table: FollowUp) -> None:
    stacked = table.rows(np.tile(np.arange(240), 2))
    shifted = stacked.covariates.copy()
    shifted[240:, table.names.index("age")] = shifted[240:, table.names.index("age")][::-1]
    both = FollowUp(stacked.time, stacked.is_event, shifted, stacked.names)
    refits = Refits(both, BASE, EXTENDED, 3.0)
    found = bootstrap_refits(refits, Resampling(240), n_tables=2, settings=BootstrapSettings(draws=4), workers=1)
    of_tables = [refits(np.arange(240) + first)["base.c"] for first in (0, 240)]
    assert found.intervals["base.c"].estimate == pytest.approx(np.mean(of_tables), abs=1e-12)
    assert of_tables[0] != of_tables[1]
    assert found.intervals["base.c"].n == 240


@settings(deadline=None)
@given(st.integers(0, 10_000), st.booleans())
def test_fast_concordance_is_that_of_the_slow_one(seed: int, has_strata: bool) -> None:
    random = np.random.default_rng(seed)
    n = int(random.integers(2, 30))
    table = FollowUp(
        random.integers(1, 6, n).astype(float),
        random.random(n) < 0.6,
        np.empty((n, 0)),
        (),
        stratum=random.integers(2, size=n) if has_strata else None,
    )
    risk = random.integers(4, size=n).astype(float)
    slow = harrell_c(table, risk).estimate
    fast = concordance_share(table, risk)
    assert (fast is None) == (slow is None)
    assert slow is None or fast == pytest.approx(slow, abs=1e-12)
