from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from calcmap.core.volume import Label, Labels, Volume
from calcmap.io.cases import load_case_arrays
from calcmap.io.nifti import write_labels, write_volume
from cli.conftest import Calcmap
from ct_series import ct_images
from foreign_folders import (
    LESION_YX,
    LESION_Z,
    ct_with_lesion,
    lesion_contour,
    write_coca_patient,
    write_plist,
)

AGATSTON = 5 * 16.0 * 2
"""Five pixels of 4 x 4 mm, at most 274 HU (weight 2), in one slice, slices 3 mm apart."""
PLANTED = {"PatientName": "Plantedname^Zebedee", "PatientID": "PLANTEDID4711", "PatientBirthDate": "19310203"}


def _labels(*, has_heart: bool = True) -> Labels:
    volume = ct_with_lesion()
    labels = np.zeros(volume.grid.shape_zyx, np.uint8)
    if has_heart:
        labels[4:12, 15:26, 16:30] = Label.HEART
    for row, column in LESION_YX:
        labels[LESION_Z, row, column] = Label.CORONARY
    return Labels(labels, volume.grid)


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    """Return a folder of two pairs."""
    folder = tmp_path / "scans"
    folder.mkdir()
    for name in ("a", "b"):
        write_volume(ct_with_lesion(), folder / f"{name}_ct.nii.gz")
        write_labels(_labels(), folder / f"{name}_seg.nii.gz")
    return folder


@pytest.fixture
def arguments(scans: Path, tmp_path: Path) -> list[object]:
    """Return a command that turns them into cases."""
    return ["cases", scans, "--ct", "*_ct.nii.gz", "--labels", "*_seg.nii.gz", "-o", tmp_path / "out"]


class _HeartCascade:
    """Finds the heart of the labelled CT, some rows lower where ``moved``; nowhere when there is ``None``."""

    def __init__(self, moved: int | None) -> None:
        self.moved = moved
        self.weights_sha256 = {"heart": "a" * 64, "calcium": "b" * 64}

    def find_heart(self, volume: Volume) -> tuple[np.ndarray, None]:
        if self.moved is None:
            return np.zeros(volume.grid.shape_zyx, np.bool_), None
        return np.roll(_labels().labels_zyx > 0, self.moved, axis=1), None


def test_pairs_become_cases_with_their_score(calcmap: Calcmap, arguments: list[object], tmp_path: Path) -> None:
    ran = calcmap(*arguments, "--source", "our ward", "--licence", "ours", "--site", "north")
    assert ran.code == 0
    assert "2 written, 0 kept, 0 refused" in " ".join(ran.out.split())
    volume, labels, case = load_case_arrays(tmp_path / "out" / "a")
    assert np.array_equal(volume.ct_hu_zyx, ct_with_lesion().ct_hu_zyx)
    assert np.array_equal(labels.labels_zyx, _labels().labels_zyx)
    assert (case.id, case.group, case.source, case.licence, case.site) == ("a", "a", "our ward", "ours", "north")
    assert case.reference_agatston == pytest.approx(AGATSTON)


def test_a_second_run_keeps_what_is_there(calcmap: Calcmap, arguments: list[object], tmp_path: Path) -> None:
    calcmap(*arguments)
    before = (tmp_path / "out" / "a" / "ct.nii.gz").stat().st_mtime_ns
    (tmp_path / "out" / "b" / "case.json").parent.rename(tmp_path / "out" / "b.part")  # as an interruption leaves it
    ran = calcmap(*arguments, "--json")
    assert (tmp_path / "out" / "a" / "ct.nii.gz").stat().st_mtime_ns == before
    assert [(row["case"], row["fate"]) for row in json.loads(ran.out)["cases"]] == [("a", "kept"), ("b", "written")]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a", "b"]


def test_a_case_made_with_another_map_is_not_kept(calcmap: Calcmap, arguments: list[object]) -> None:
    calcmap(*arguments)
    ran = calcmap(*arguments, "--map", "heart=1,noncoronary=2")
    assert (ran.code, ran.err.count("made with other settings")) == (3, 2)


def test_a_bad_case_is_refused_in_one_line_and_the_others_go_on(
    calcmap: Calcmap, arguments: list[object], scans: Path, tmp_path: Path
) -> None:
    (scans / "a_ct.nii.gz").write_bytes((scans / "a_ct.nii.gz").read_bytes()[:500])
    ran = calcmap(*arguments, "--json")
    rows = json.loads(ran.out)
    assert ran.code == 3
    assert (rows["written"], rows["kept"], rows["refused"]) == (1, 0, 1)
    assert [row["reason_code"] for row in rows["cases"]] == ["unreadable_file", None]
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["b"]
    shown = calcmap(*arguments)
    assert (shown.code, shown.err.count("\n")) == (3, 1)
    assert shown.err.startswith("calcmap: a: refused (unreadable_file)")


def test_labels_without_a_heart_are_refused(calcmap: Calcmap, arguments: list[object], scans: Path) -> None:
    write_labels(_labels(has_heart=False), scans / "a_seg.nii.gz")
    ran = calcmap(*arguments)
    assert ran.code == 3
    assert "--draw-heart" in ran.err


@pytest.mark.parametrize(
    ("moved", "reason"), [(0, None), (None, "finds no heart"), (-15, "only 0% of the coronary calcium")]
)
def test_a_heart_is_drawn_where_there_is_none(
    calcmap: Calcmap,
    arguments: list[object],
    scans: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    moved: int | None,
    reason: str | None,
) -> None:
    monkeypatch.setattr("calcmap.segmentation.cascade.load_cascade", lambda: _HeartCascade(moved))
    write_labels(_labels(has_heart=False), scans / "a_seg.nii.gz")
    ran = calcmap(*arguments, "--draw-heart")
    assert "heart_drawn_by" not in load_case_arrays(tmp_path / "out" / "b")[2].extra
    if reason:
        assert ran.code == 3
        assert reason in ran.err
        return
    _, labels, case = load_case_arrays(tmp_path / "out" / "a")
    assert ran.code == 0
    assert np.array_equal(labels.labels_zyx, _labels().labels_zyx)
    assert case.extra["heart_drawn_by"] == "a" * 64


def test_coca_becomes_cases_without_the_patient_s_name(
    calcmap: Calcmap, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("calcmap.segmentation.cascade.load_cascade", lambda: _HeartCascade(0))
    root = tmp_path / "coca"
    for name in ("3", "4", "5"):
        images = ct_images(ct_with_lesion())
        for image in images:
            for keyword, value in PLANTED.items():
                setattr(image, keyword, value)
        write_coca_patient(root, name, images)
    write_plist(root / "calcium_xml" / "3.xml", [(LESION_Z, lesion_contour(ct_with_lesion()))])
    wrong = lesion_contour(ct_with_lesion(), name="Zebedee Plantedname")
    write_plist(root / "calcium_xml" / "4.xml", [(LESION_Z, wrong)])
    ran = calcmap("--verbose", "cases", root, "--layout", "coca", "--draw-heart", "-o", tmp_path / "out")
    assert ran.code == 3
    assert "1 written, 0 kept, 2 refused" in " ".join(ran.out.split())
    _, labels, case = load_case_arrays(tmp_path / "out" / "3")
    assert np.array_equal(labels.labels_zyx, _labels().labels_zyx)
    assert (case.site, case.reference_agatston) == ("coca", pytest.approx(AGATSTON))
    assert sorted(path.name for path in (tmp_path / "out" / "3").iterdir()) == [
        *("case.json", "ct.nii.gz", "labels.nii.gz", "vessels.nii.gz"),
    ]
    words = ran.out + ran.err + (tmp_path / "out" / "3" / "case.json").read_text(encoding="utf-8")
    assert not any(secret in words.lower() for secret in ("zebedee", "planted", "19310203"))


@pytest.mark.parametrize(
    "wrong",
    [
        ["--layout", "coca", "--map", "heart=1"],
        ["--layout", "coca"],
        ["--layout", "orcascore"],
        ["--layout", "sheep"],
        ["--missing-is-zero"],
        ["--map", "heart"],
        ["--ct", "ct.nii.gz"],
    ],
    ids=" ".join,
)
def test_wrong_usage_ends_with_two(calcmap: Calcmap, scans: Path, tmp_path: Path, wrong: list[str]) -> None:
    ran = calcmap("cases", scans, "-o", tmp_path / "out", *wrong)
    assert (ran.code, ran.out) == (2, "")
    assert not (tmp_path / "out").exists()


def test_a_folder_that_is_not_there_ends_with_two(calcmap: Calcmap, tmp_path: Path) -> None:
    ran = calcmap("cases", tmp_path / "none", "-o", tmp_path / "out")
    assert (ran.code, ran.err.count("\n")) == (2, 1)


def test_a_folder_that_cannot_be_written_ends_with_two(
    calcmap: Calcmap, arguments: list[object], tmp_path: Path
) -> None:
    (tmp_path / "out").write_text("a file", encoding="utf-8")
    ran = calcmap(*arguments)
    assert (ran.code, ran.out) == (2, "")
    assert "cannot write" in ran.err
