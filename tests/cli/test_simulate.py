from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from calcmap.cohorts import planted, tables
from calcmap.cohorts.order import SimulationOrder
from calcmap.cohorts.planted import PlantingOrder
from calcmap.simulation.planting.plaques import PointSpread
from calcmap.simulation.planting.truth import PlantedScan
from cli.conftest import Calcmap
from cohorts.test_cohorts import background, use_stubs


@pytest.fixture(autouse=True)
def _stub_simulator(monkeypatch: pytest.MonkeyPatch) -> None:
    use_stubs(monkeypatch)
    monkeypatch.setattr(tables, "patient_row", stub_row)  # a plan a row is dear, and the table has tests of its own


def stub_row(order: SimulationOrder, number: int) -> dict[str, str | int]:
    return {column.name: "" for column in tables.COLUMNS} | {"id": order.name_of(number), "patient_seed": number}


def rows(out: Path) -> list[str]:
    with (out / "patients.csv").open(encoding="utf-8") as file:
        return [row["id"] for row in csv.DictReader(file)]


def test_a_cohort_is_made_and_going_on_keeps_it(calcmap: Calcmap, tmp_path: Path) -> None:
    out = tmp_path / "cohort"
    arguments = ("simulate", "--site", "ge-nmct", "--seed", 3, "-o", out, "--workers", 1)
    assert calcmap(*arguments, "--patients", 1).code == 0
    ran = calcmap(*arguments, "--patients", 2)
    assert ran.code == 0
    assert "2 patients with images, 2 rows" in ran.out
    names = ["ge_nmct-3-00000", "ge_nmct-3-00001"]
    assert sorted(path.name for path in out.iterdir() if path.is_dir()) == names
    assert rows(out) == names


def test_a_table_needs_no_images_and_images_come_on_demand(calcmap: Calcmap, tmp_path: Path) -> None:
    out = tmp_path / "cohort"
    arguments = ("simulate", "--patients", 5, "-o", out, "--workers", 1)
    assert calcmap(*arguments, "--no-images").code == 0
    assert len(rows(out)) == 5
    assert [path for path in out.iterdir() if path.is_dir()] == []
    ran = calcmap(*arguments, "--number", 4)
    assert "1 patients with images, 5 rows" in ran.out
    assert [path.name for path in out.iterdir() if path.is_dir()] == ["pet_ct-1-00004"]


def test_dicom_studies_are_made_on_request(calcmap: Calcmap, tmp_path: Path) -> None:
    ran = calcmap("simulate", "--dicom", "-o", tmp_path / "cohort", "--workers", 1)
    assert ran.code == 0
    assert len(list((tmp_path / "cohort" / "pet_ct-1-00000" / "dicom").glob("*.dcm"))) == 24


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--site", "mars"), "unknown site 'mars'"),
        (("--patients", "0"), "0 patients asked for"),
        (("--workers", "0"), "workers is 0"),
        (("--missing", "0.7"), "missing share is 0.7"),
        (("--number", "3"), "no patients [3] among 1"),
        (("--labels", "labels.nii.gz"), "belong to a --background"),
        (("--background", "scan", "--dicom"), "do not go with it"),
        (("--background", "scan", "--paths", "lines.csv"), "--paths needs --labels"),
        (("--background", "a", "--background", "b", "--labels", "l"), "--labels belongs to one --background"),
    ],
)
def test_impossible_orders_end_with_two(
    calcmap: Calcmap, tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    ran = calcmap("simulate", "-o", tmp_path / "cohort", *arguments)
    assert ran.code == 2
    assert message in ran.err
    assert ran.err.count("calcmap:") == 1


def test_calcium_is_planted_into_each_background(
    calcmap: Calcmap, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def plant(on: planted.Background, index: int, seed: int) -> SimpleNamespace:
        return SimpleNamespace(scan=PlantedScan(on.volume, on.labels, (), 0.0, PointSpread(1.5, 3.0)))

    monkeypatch.setattr(planted, "plant_case", plant)
    real = background(tmp_path / "real1", unsure=[])
    out = tmp_path / "cohort"
    ran = calcmap("simulate", "--background", real, "--patients", 2, "--seed", 4, "-o", out, "--workers", 1)
    assert (ran.code, len(list(out.iterdir()))) == (0, 2)
    assert "2 patients in" in ran.out


def test_calcium_is_planted_into_a_scan_with_its_label_map(
    calcmap: Calcmap, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    orders = []

    def plant(ct: Path, labels: Path, out: Path, *, order: PlantingOrder, workers: int | None) -> Iterator[Path]:
        orders.append((ct.name, labels.name, order))
        yield out / "scan-p4-000"

    monkeypatch.setattr(planted, "plant_into_scan", plant)
    ran = calcmap("simulate", "--background", tmp_path / "ct.nii.gz", "--labels", tmp_path / "heart.nii.gz",
                  "--paths", tmp_path / "lines.csv", "--seed", 4, "-o", tmp_path / "out")  # fmt: skip
    assert ran.code == 0
    assert orders == [("ct.nii.gz", "heart.nii.gz", PlantingOrder(seed=4, paths=tmp_path / "lines.csv"))]
