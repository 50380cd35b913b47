from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from calcmap.cohorts import planted, simulated
from cli.conftest import Calcmap
from cohorts.test_cohorts import background, stub_patient


@pytest.fixture(autouse=True)
def _stub_simulator(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(simulated, "simulate_patient", stub_patient)


def test_a_cohort_is_made_and_going_on_keeps_it(calcmap: Calcmap, tmp_path: Path) -> None:
    arguments = ("simulate", "--site", "ge-nmct", "--seed", 3, "-o", tmp_path / "cohort", "--workers", 1)
    assert calcmap(*arguments, "--patients", 1).code == 0
    ran = calcmap(*arguments, "--patients", 2)
    assert ran.code == 0
    assert "2 patients in" in ran.out
    assert {path.name for path in (tmp_path / "cohort").iterdir()} == {"ge_nmct-3-00000", "ge_nmct-3-00001"}


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
        return SimpleNamespace(scan=SimpleNamespace(volume=on.volume, labels=on.labels, plaques=()))

    monkeypatch.setattr(planted, "plant_case", plant)
    real = background(tmp_path / "real1", unsure=[])
    out = tmp_path / "cohort"
    ran = calcmap("simulate", "--background", real, "--patients", 2, "--seed", 4, "-o", out, "--workers", 1)
    assert (ran.code, len(list(out.iterdir()))) == (0, 2)
    assert "2 patients in" in ran.out


def test_planted_cases_cannot_be_dicom(calcmap: Calcmap, tmp_path: Path) -> None:
    real = background(tmp_path / "real1", unsure=[])
    ran = calcmap("simulate", "--background", real, "--dicom", "-o", tmp_path / "cohort")
    assert (ran.code, ran.out) == (2, "")
    assert "cannot be joined with --dicom" in ran.err
