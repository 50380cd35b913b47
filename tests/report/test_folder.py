from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from calcmap.core.errors import OutputError
from calcmap.core.result import StudyResult, result_to_json
from calcmap.core.volume import Label, Labels, Volume
from calcmap.io.nifti import read_labels
from calcmap.report import folder as folder_room
from calcmap.report.folder import RESULTS_COLUMNS, write_results_csv, write_study
from core.results import empty_result, refused_result, scored_result
from scored_chest import scored_chest


@pytest.fixture(scope="module")
def chest() -> tuple[Volume, Labels]:
    return scored_chest()


@pytest.fixture(autouse=True)
def _blank_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawing is tested beside; here it only matters that a picture is there."""

    def write(volume: Volume, labels: Labels | None, result: StudyResult, *, path: Path) -> None:
        path.write_text("a picture", encoding="utf-8")

    monkeypatch.setattr(folder_room, "write_overview", write)


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def read_rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_a_scored_study_leaves_result_labels_and_picture(chest: tuple[Volume, Labels], tmp_path: Path) -> None:
    volume, labels = chest
    write_study(scored_result(), volume, labels, folder=tmp_path / "a" / "b")
    assert names(tmp_path / "a" / "b") == {"result.json", "labels.nii.gz", "overview.png"}
    content = json.loads((tmp_path / "a" / "b" / "result.json").read_text(encoding="utf-8"))
    assert content == result_to_json(scored_result())
    again = read_labels(tmp_path / "a" / "b" / "labels.nii.gz", volume=volume)
    np.testing.assert_array_equal(again.labels_zyx, labels.labels_zyx)


def test_where_the_images_lie_is_written_without_anything_of_the_patient(
    chest: tuple[Volume, Labels], tmp_path: Path
) -> None:
    write_study(scored_result(), *chest, folder=tmp_path, sources=[tmp_path / "ct", tmp_path / "é.zip"])
    said = json.loads((tmp_path / "source.json").read_text(encoding="utf-8"))
    assert said == {
        "schema_version": "1.0",
        "paths": [str(tmp_path / "ct"), str(tmp_path / "é.zip")],
        "series_uid": "1.2.3",
        "input_sha256": "c" * 64,
    }
    write_study(scored_result(), *chest, folder=tmp_path)
    assert "source.json" not in names(tmp_path)


def test_a_refused_study_has_no_label_map(chest: tuple[Volume, Labels], tmp_path: Path) -> None:
    write_study(refused_result(), *chest, folder=tmp_path)
    assert names(tmp_path) == {"result.json", "overview.png"}


def test_a_scan_that_was_never_read_has_no_picture(tmp_path: Path) -> None:
    write_study(refused_result(), None, None, folder=tmp_path)
    assert names(tmp_path) == {"result.json"}


def test_files_of_an_earlier_run_are_removed_and_strangers_stay(chest: tuple[Volume, Labels], tmp_path: Path) -> None:
    write_study(scored_result(), *chest, folder=tmp_path)
    (tmp_path / "notes.txt").write_text("mine", encoding="utf-8")
    write_study(refused_result(), None, None, folder=tmp_path)
    assert names(tmp_path) == {"result.json", "notes.txt"}


def test_a_run_that_ends_while_writing_leaves_no_result(
    chest: tuple[Volume, Labels], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    write_study(empty_result(), *chest, folder=tmp_path)
    monkeypatch.setattr(folder_room, "write_overview", fail)
    with pytest.raises(KeyboardInterrupt):
        write_study(scored_result(), *chest, folder=tmp_path)
    assert "result.json" not in names(tmp_path)


def test_a_label_map_is_never_seen_half_written(
    chest: tuple[Volume, Labels], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def half(labels: Labels, path: Path) -> None:
        path.write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(folder_room, "write_labels", half)
    with pytest.raises(KeyboardInterrupt):
        write_study(scored_result(), *chest, folder=tmp_path)
    assert "labels.nii.gz" not in names(tmp_path)


def test_folders_that_cannot_be_written_are_said(chest: tuple[Volume, Labels], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    with pytest.raises(OutputError, match=r"cannot write .*file: "):
        write_study(scored_result(), *chest, folder=tmp_path / "file")
    with pytest.raises(OutputError, match=r"cannot write .*results\.csv: "):
        write_results_csv([], tmp_path / "file" / "results.csv")


def test_the_table_has_a_row_a_study_in_the_order_given(tmp_path: Path) -> None:
    path = tmp_path / "new" / "results.csv"
    write_results_csv([refused_result(), scored_result(), empty_result()], path)
    rows = read_rows(path)
    assert tuple(rows[0]) == RESULTS_COLUMNS
    assert [row["study"] for row in rows] == ["study_09", "study_07", "study_08"]
    assert names(tmp_path / "new") == {"results.csv"}


def test_a_scored_row_by_hand(tmp_path: Path) -> None:
    write_results_csv([scored_result()], tmp_path / "results.csv")
    (row,) = read_rows(tmp_path / "results.csv")
    assert row == {
        "study": "study_07",
        "series": "1.2.3",
        "status": "scored",
        "reason": "",
        "agatston": "121.5",
        "category": "2",
        "heart_ml": "633.0",
        "n_coronary": "2",
        "n_noncoronary": "1",
        "seconds": "0.3",
    }


def test_nothing_found_is_a_zero_and_nothing_known_is_empty(tmp_path: Path) -> None:
    write_results_csv([empty_result(), refused_result()], tmp_path / "results.csv")
    empty, refused = read_rows(tmp_path / "results.csv")
    assert [empty[name] for name in ("agatston", "category", "heart_ml", "n_coronary")] == ["0.0", "0", "", "0"]
    assert [refused[name] for name in ("series", "agatston", "category", "n_coronary", "n_noncoronary")] == [""] * 5
    assert refused["reason"] == refused_result().reason


def test_a_reason_with_commas_quotes_and_lines_stays_one_cell(tmp_path: Path) -> None:
    reason = 'gap at 12.5 mm, "slice" 7;\nand more'
    write_results_csv([replace(refused_result(), reason=reason)], tmp_path / "results.csv")
    assert read_rows(tmp_path / "results.csv")[0]["reason"] == reason


def test_labels_keep_their_values(chest: tuple[Volume, Labels], tmp_path: Path) -> None:
    volume, labels = chest
    write_study(scored_result(), volume, labels, folder=tmp_path)
    found = read_labels(tmp_path / "labels.nii.gz").labels_zyx
    assert set(np.unique(found)) == {int(label) for label in Label}
