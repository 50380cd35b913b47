from __future__ import annotations

import csv
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from calcmap.cohorts import tables
from calcmap.cohorts.columns import COLUMNS, Source
from calcmap.cohorts.order import SimulationOrder
from calcmap.cohorts.tables import Missing, Missingness, leave_gaps, patient_row, write_cohort_table
from calcmap.core.errors import ConfigError
from calcmap.simulation.patient import Recipe, patient_seed, plan_patient
from calcmap.simulation.population.clinical import cohort_profile
from calcmap.simulation.population.populations import population_of
from calcmap.simulation.scanner.sites import SITES

ORDER = SimulationOrder(patients=5, site="external", seed=3)


@pytest.fixture(autouse=True)
def _small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "PATIENTS_PER_PART", 2)


@dataclass(frozen=True)
class Written:
    table: bytes
    dictionary: bytes
    progress: list[int]

    @property
    def rows(self) -> list[dict[str, str]]:
        return list(csv.DictReader(self.table.decode().splitlines()))


def write(order: SimulationOrder, out: Path, *, missing: Missing | None = None, workers: int = 1) -> Written:
    progress = list(write_cohort_table(order, out, missing=missing, workers=workers))
    return Written((out / "patients.csv").read_bytes(), (out / "patients.json").read_bytes(), progress)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Written:
    return write(ORDER, tmp_path_factory.mktemp("table"))


def test_there_is_one_row_a_patient_in_order(written: Written) -> None:
    assert [row["number"] for row in written.rows] == ["0", "1", "2", "3", "4"]
    assert [row["id"] for row in written.rows] == [f"external-3-{k:05d}" for k in range(5)]


def test_any_number_of_workers_writes_the_same_bytes_and_tells_its_progress(written: Written, tmp_path: Path) -> None:
    again = write(ORDER, tmp_path, workers=2)
    assert again.table == written.table
    assert again.dictionary == written.dictionary
    assert again.progress[-1] == 5
    assert not (tmp_path / "patients.parts").exists()


class PowerCut(Exception):
    """What ends a run half-way in these tests."""


def interrupt(order: SimulationOrder, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Begin a table whose third patient never comes; worker processes are forked and know it too."""

    def row_until_power_cut(asked: SimulationOrder, number: int) -> dict[str, object]:
        if number >= 2:
            raise PowerCut
        return dict(patient_row(asked, number))

    with monkeypatch.context() as patch:
        patch.setattr(tables, "patient_row", row_until_power_cut)
        with pytest.raises(PowerCut):
            list(write_cohort_table(order, out, workers=1))


def test_an_interrupted_table_is_finished_without_doing_rows_again(
    written: Written, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupt(ORDER, tmp_path, monkeypatch)
    assert not (tmp_path / "patients.csv").exists()
    rows = tmp_path / "patients.parts" / "external-3-00000-00002" / "rows.json"
    kept = [{**row, "site": "done before"} for row in json.loads(rows.read_text())]
    rows.write_text(json.dumps(kept))
    resumed = write(ORDER, tmp_path)
    assert [row["site"] for row in resumed.rows] == ["done before"] * 2 + ["external"] * 3
    assert [{**row, "site": "external"} for row in resumed.rows] == written.rows


def test_a_smaller_table_is_the_beginning_of_a_larger_one(written: Written, tmp_path: Path) -> None:
    assert written.table.startswith(write(replace(ORDER, patients=3), tmp_path).table)


def test_the_row_tells_of_the_patient_that_the_simulator_plans(written: Written) -> None:
    profile = cohort_profile(ORDER.seed, 4, population_of("external"))
    plan = plan_patient(patient_seed(ORDER.seed, 4), site=SITES["external"], profile=profile)
    row = written.rows[4]
    assert float(row["ideal_agatston"]) == pytest.approx(plan.ideal_agatston, abs=0.006)
    assert int(row["category"]) == profile.category
    assert (row["sex"], float(row["age_years"])) == (profile.sex, profile.age_years)


def test_the_category_is_that_of_the_ideal_score_and_vessels_sum_to_it(written: Written) -> None:
    for row in written.rows:
        score = float(row["ideal_agatston"])
        assert int(row["category"]) == (score >= 1) + (score > 100) + (score > 400)
        vessels = sum(float(row[f"ideal_{name}"]) for name in ("lm", "lad", "lcx", "rca"))
        assert vessels == pytest.approx(score, abs=0.03)


def test_the_dictionary_explains_every_column_and_says_that_nobody_is_real(written: Written) -> None:
    dictionary = json.loads(written.dictionary)
    assert [column["name"] for column in dictionary["columns"]] == list(written.rows[0])
    assert {column["source"] for column in dictionary["columns"]} == {str(source) for source in Source}
    assert "simulated" in dictionary["made_by"]
    assert all(column.meaning or column.unit or column.name in {"id"} for column in COLUMNS)


def test_missing_values_spare_truth_readers_and_outcomes(written: Written, tmp_path: Path) -> None:
    gappy = write(ORDER, tmp_path, missing=Missing(0.4))
    changed = set()
    for row, full in zip(gappy.rows, written.rows, strict=True):
        for name, value in row.items():
            if value != full[name]:
                assert value == ""
                changed.add(name)
    assert changed
    assert changed <= {column.name for column in COLUMNS if column.may_be_missing} | {"stress_tpd_class"}


def gaps(missing: Missing, *, age_years: float, n: int = 600) -> float:
    row = {column.name: 1 for column in COLUMNS}
    rows = [leave_gaps({**row, "age_years": age_years, "patient_seed": k}, missing) for k in range(n)]
    return float(np.mean([row["smoking"] is None for row in rows]))


def test_values_missing_at_random_do_not_ask_for_age() -> None:
    missing = Missing(0.2)
    assert gaps(missing, age_years=45) == gaps(missing, age_years=85) == pytest.approx(0.2, abs=0.05)


def test_values_missing_by_age_are_those_of_the_old() -> None:
    missing = Missing(0.2, Missingness.BY_AGE)
    assert gaps(missing, age_years=40) == 0
    assert gaps(missing, age_years=66) == pytest.approx(0.2, abs=0.05)
    assert gaps(missing, age_years=85) == pytest.approx(0.35, abs=0.06)


def test_a_row_alone_is_the_row_of_the_table(written: Written) -> None:
    row = patient_row(ORDER, 2)
    assert {name: "" if value is None else str(value) for name, value in row.items()} == written.rows[2]


@pytest.mark.parametrize(
    "asked",
    [
        lambda out: write_cohort_table(replace(ORDER, recipe=Recipe(category=3)), out),
        lambda out: write_cohort_table(ORDER, out, missing=Missing(0.5)),
        lambda out: write_cohort_table(ORDER, out, missing=Missing(-0.1)),
        lambda out: write_cohort_table(ORDER, out, workers=0),
    ],
)
def test_impossible_tables_are_refused(asked: Callable[[Path], object], tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        list(asked(tmp_path))  # type: ignore[call-overload]


def test_pieces_of_another_order_are_not_mixed_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    interrupt(ORDER, tmp_path, monkeypatch)
    with pytest.raises(ConfigError, match="another cohort"):
        list(write_cohort_table(replace(ORDER, seed=4), tmp_path, workers=1))
