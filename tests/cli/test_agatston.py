from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from calcmap.cli import conformance
from calcmap.cli.agatston import agatston
from calcmap.core.volume import Labels, Volume, grid_from_spacing
from calcmap.io.nifti import write_labels, write_volume
from calcmap.scoring.conformance import load_cases, suite_mass_factor
from cli.conftest import Calcmap


@pytest.fixture
def tiny(tmp_path: Path) -> tuple[Path, Path]:
    """Return a scan of two slices and a mask: three pixels of 450 HU marked, one of 900 HU not."""
    ct = np.zeros((2, 6, 7), dtype=np.int16)
    ct[1, 2, 2:5], ct[0, 4, 4] = 450, 900
    mask = np.zeros(ct.shape, dtype=np.uint8)
    mask[1, 2, 1:6] = 1
    grid = grid_from_spacing(ct.shape, (2.5, 2.0, 1.0))
    write_volume(Volume(ct, grid), tmp_path / "ct.nii.gz")
    write_labels(Labels(mask, grid), tmp_path / "mask.nii.gz")
    return tmp_path / "ct.nii.gz", tmp_path / "mask.nii.gz"


def test_a_tiny_mask_is_scored_by_hand(calcmap: Calcmap, tiny: tuple[Path, Path]) -> None:
    ct, mask = tiny
    ran = calcmap("agatston", ct, "--mask", mask, "--json", "--mass-factor", "0.8")
    found = json.loads(ran.out)
    assert (ran.code, ran.err) == (0, "")
    # 3 pixels of 2 mm2, weight 4, 2.5 mm apart; mass 0.8 / 1000 mg per mm3 and HU.
    assert found["agatston"] == pytest.approx(3 * 2 * 4 * 2.5 / 3)
    assert found["volume_mm3"] == pytest.approx(15.0)
    assert found["mass_mg"] == pytest.approx(15.0 * 450 * 0.8 / 1000)
    assert (found["n_lesions"], found["category"]) == (1, 1)
    assert len(found["lesions"]) == 1
    assert found["method"]["increment_mm"] == pytest.approx(2.5)


def test_the_table_shows_lesions_sum_and_rule(calcmap: Calcmap, tiny: tuple[Path, Path]) -> None:
    ct, mask = tiny
    ran = calcmap("agatston", ct, "--mask", mask, "--profile", "siemens")
    assert ran.code == 0
    for words in ("Agatston 20.00000", "1-100", "volume 15.00000 mm3", "Rule: siemens, 130 HU", "Not a medical device"):
        assert words in " ".join(ran.out.split())


def test_an_empty_mask_scores_nothing(calcmap: Calcmap, tiny: tuple[Path, Path], tmp_path: Path) -> None:
    grid = grid_from_spacing((2, 6, 7), (2.5, 2.0, 1.0))
    write_labels(Labels(np.zeros((2, 6, 7), dtype=np.uint8), grid), tmp_path / "empty.nii.gz")
    found = json.loads(calcmap("agatston", tiny[0], "--mask", tmp_path / "empty.nii.gz", "--json").out)
    assert (found["agatston"], found["category"], found["lesions"]) == (0.0, 0, [])


def test_a_mask_on_another_grid_is_refused(calcmap: Calcmap, tiny: tuple[Path, Path], tmp_path: Path) -> None:
    other = Labels(np.zeros((2, 6, 7), dtype=np.uint8), grid_from_spacing((2, 6, 7), (2.5, 2.0, 1.1)))
    write_labels(other, tmp_path / "other.nii.gz")
    ran = calcmap("agatston", tiny[0], "--mask", tmp_path / "other.nii.gz")
    assert (ran.code, ran.out) == (2, "")
    assert "both must lie on one grid" in ran.err
    assert ran.err.count("\n") == 1


def test_files_that_are_not_there_or_no_scan_are_refused(
    calcmap: Calcmap, tiny: tuple[Path, Path], tmp_path: Path
) -> None:
    (tmp_path / "bad.nii").write_bytes(b"not a scan")
    for arguments in (
        (tmp_path / "gone.nii", "--mask", tiny[1]),
        (tiny[0], "--mask", tmp_path / "gone.nii"),
        (tmp_path / "bad.nii", "--mask", tiny[1]),
    ):
        ran = calcmap("agatston", *arguments)
        assert (ran.code, ran.out, ran.err.count("\n")) == (2, "", 1)


def test_geometry_is_judged_as_strictly_as_for_a_chest(calcmap: Calcmap, tmp_path: Path) -> None:
    from calcmap.core.volume import Grid

    sheared = np.diag([1.0, 1.0, 3.0, 1.0])
    sheared[1, 2] = 0.5
    grid = Grid((4, 6, 7), sheared)
    write_volume(Volume(np.zeros((4, 6, 7), dtype=np.int16), grid), tmp_path / "ct.nii.gz")
    write_labels(Labels(np.zeros((4, 6, 7), dtype=np.uint8), grid), tmp_path / "mask.nii.gz")
    ran = calcmap("agatston", tmp_path / "ct.nii.gz", "--mask", tmp_path / "mask.nii.gz")
    assert ran.code == 2
    assert "shear" in ran.err or "tilt" in ran.err


@pytest.mark.parametrize("profile", ["clinical", "siemens"])
def test_every_conformance_case_that_is_exported_is_scored_right(
    calcmap: Calcmap, capsys: pytest.CaptureFixture[str], tmp_path: Path, profile: str
) -> None:
    suite = tmp_path / "suite"
    conformance.export(suite, profile=profile)
    capsys.readouterr()
    with (tmp_path / "scores.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["case", "agatston", "volume_mm3", "n_lesions", "mass_mg"])
        for case in load_cases():
            folder = suite / case.id
            agatston(
                folder / "ct.nii.gz",
                mask=folder / "mask.nii.gz",
                profile=profile,
                mass_factor=suite_mass_factor(),
                as_json=True,
            )
            found = json.loads(capsys.readouterr().out)
            writer.writerow([case.id, *(found[name] for name in ("agatston", "volume_mm3", "n_lesions", "mass_mg"))])
    ran = calcmap("conformance", "check", tmp_path / "scores.csv", "--profile", profile, "--json")
    assert ran.code == 0, ran.out
    assert json.loads(ran.out) == {"profile": profile, "cases": 71, "passed": 71, "failed": {}}
