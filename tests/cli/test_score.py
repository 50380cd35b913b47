from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import jsonschema
import numpy as np
import pytest

from calcmap.core.result import result_schema
from calcmap.core.volume import Volume
from calcmap.io.nifti import read_nifti_volume
from calcmap.segmentation.cascade import Segmentation
from cli.conftest import Calcmap, Ran
from ct_series import ct_images, save
from malformed import MALFORMED, Malformed
from scored_chest import CORONARY_AGATSTON, HEADER, StubCascade, write_chest, write_chest_file

COLUMNS = "study,series,status,reason,agatston,category,heart_ml,n_coronary,n_noncoronary,seconds"
"""As DESIGN and the reference page of results say; tests/house compares the page with the program."""


@pytest.fixture(scope="module")
def chest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_chest(tmp_path_factory.mktemp("studies") / "patient1")


@pytest.fixture
def gapped(tmp_path: Path) -> Path:
    """Return a study that lacks a slice."""
    images = ct_images()
    return save(images[:9] + images[10:], tmp_path / "gapped")


def read_rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def is_plain(ran: Ran) -> bool:
    return "Traceback" not in ran.out + ran.err


@pytest.mark.usefixtures("stub_cascade")
def test_a_scored_study_is_shown_and_written(calcmap: Calcmap, chest: Path, tmp_path: Path) -> None:
    ran = calcmap("score", chest, "-o", tmp_path / "out")
    assert ran.code == 0
    assert "patient1" in ran.out
    assert "180.0" in ran.out
    assert "101-400" in ran.out
    assert "Not a medical device" in ran.out
    assert (tmp_path / "out" / "results.csv").read_text(encoding="utf-8").splitlines()[0] == COLUMNS
    (row,) = read_rows(tmp_path / "out" / "results.csv")
    assert (row["study"], row["status"], row["reason"], row["category"]) == ("patient1", "scored", "", "2")
    assert float(row["agatston"]) == pytest.approx(CORONARY_AGATSTON)
    assert (row["series"], row["n_coronary"], row["n_noncoronary"]) == (HEADER.series_uid, "1", "1")
    folder = tmp_path / "out" / "patient1"
    assert {path.name for path in folder.iterdir()} == {"result.json", "labels.nii.gz", "overview.png", "source.json"}
    result = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    jsonschema.validate(result, result_schema())
    assert result["agatston"] == pytest.approx(CORONARY_AGATSTON)


@pytest.mark.usefixtures("stub_cascade")
def test_json_is_all_there_is_on_the_output_stream(calcmap: Calcmap, chest: Path) -> None:
    ran = calcmap("score", chest, "--json")
    (result,) = json.loads(ran.out)
    assert (ran.code, ran.err) == (0, "")
    assert (result["status"], result["agatston"]) == ("scored", pytest.approx(CORONARY_AGATSTON))
    jsonschema.validate(result, result_schema())


@pytest.mark.usefixtures("stub_cascade")
def test_a_refused_study_does_not_stop_the_others(calcmap: Calcmap, chest: Path, gapped: Path, tmp_path: Path) -> None:
    ran = calcmap("score", gapped, chest, "-o", tmp_path / "out")
    assert ran.code == 3
    assert is_plain(ran)
    assert [line for line in ran.err.splitlines() if line.startswith("calcmap: gapped: refused (missing_slice): ")]
    refused, scored = read_rows(tmp_path / "out" / "results.csv")
    assert (refused["study"], refused["status"], scored["status"]) == ("gapped", "refused", "scored")
    assert {refused[name] for name in ("agatston", "category", "heart_ml", "n_coronary", "n_noncoronary")} == {""}
    assert refused["reason"]
    assert not (tmp_path / "out" / "gapped" / "labels.nii.gz").exists()
    result = json.loads((tmp_path / "out" / "gapped" / "result.json").read_text(encoding="utf-8"))
    assert (result["status"], result["reason_code"], result["agatston"]) == ("refused", "missing_slice", None)


@pytest.mark.usefixtures("stub_cascade")
@pytest.mark.parametrize("row", MALFORMED.values(), ids=MALFORMED.keys())
def test_each_defect_is_refused_or_flagged_without_a_traceback(
    calcmap: Calcmap, row: Malformed, tmp_path: Path
) -> None:
    ran = calcmap("score", row.build(tmp_path / "study"), "--json")
    (result,) = json.loads(ran.out)
    # Flagged rows are too small for a heart: the stub finds none, so that all of the table is refused.
    assert (ran.code, result["status"], result["agatston"]) == (3, "refused", None)
    assert is_plain(ran)
    if row.is_refused:
        assert result["reason_code"] == row.expected
    else:
        assert row.expected in [flag["flag"] for flag in result["quality"]]
        assert result["reason_code"] == "unfit_scan"
    jsonschema.validate(result, result_schema())


class FailingOnce(StubCascade):
    """Meets a defect in the first scan."""

    n_seen = 0

    def segment(self, volume: Volume) -> Segmentation:
        self.n_seen += 1
        if self.n_seen == 1:
            raise ZeroDivisionError("a secret of the scan")
        return super().segment(volume)


@pytest.fixture
def failing(stub_cascade: StubCascade, monkeypatch: pytest.MonkeyPatch) -> None:
    cascade = FailingOnce(stub_cascade.labels_zyx)
    monkeypatch.setattr("calcmap.segmentation.cascade.load_cascade", lambda **_: cascade)


@pytest.mark.usefixtures("failing")
def test_a_defect_in_one_study_does_not_stop_the_others(calcmap: Calcmap, chest: Path, tmp_path: Path) -> None:
    odd = write_chest(tmp_path / "odd", header=replace(HEADER, seed="odd"))
    ran = calcmap("score", odd, chest, "-o", tmp_path / "out")
    assert ran.code == 3
    assert is_plain(ran)
    assert "a secret" not in ran.out + ran.err
    failed, scored = read_rows(tmp_path / "out" / "results.csv")
    assert (failed["study"], failed["status"], scored["status"]) == ("odd", "refused", "scored")
    result = json.loads((tmp_path / "out" / "odd" / "result.json").read_text(encoding="utf-8"))
    assert result["reason_code"] == "internal_error"
    assert result["reason"].startswith("unexpected ZeroDivisionError")
    jsonschema.validate(result, result_schema())


@pytest.mark.usefixtures("failing")
def test_verbose_shows_the_traceback_of_a_defect(calcmap: Calcmap, tmp_path: Path) -> None:
    ran = calcmap("--verbose", "score", write_chest(tmp_path / "odd"))
    assert ran.code == 3
    assert "Traceback" in ran.err
    assert "ZeroDivisionError" in ran.err


@pytest.mark.usefixtures("stub_cascade")
def test_a_picture_that_cannot_be_drawn_refuses_the_study_and_leaves_no_half_result(
    calcmap: Calcmap, chest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    out = tmp_path / "out"
    calcmap("score", chest, "-o", out)
    monkeypatch.setattr("calcmap.report.folder.write_overview", fail)
    ran = calcmap("score", chest, "-o", out)
    assert ran.code == 3
    assert {path.name for path in (out / "patient1").iterdir()} == {"result.json"}
    assert read_rows(out / "results.csv")[0]["status"] == "refused"


@pytest.mark.usefixtures("stub_cascade")
def test_a_file_is_scored_like_the_series_it_was_made_from(calcmap: Calcmap, tmp_path: Path) -> None:
    ran = calcmap("score", write_chest_file(tmp_path / "chest.nii.gz"), "-o", tmp_path / "out", "--json")
    (result,) = json.loads(ran.out)
    assert result["agatston"] == pytest.approx(CORONARY_AGATSTON)
    labels = read_nifti_volume(tmp_path / "out" / "chest" / "labels.nii.gz")
    assert np.bincount(labels.ct_hu_zyx.ravel())[2:].tolist() == [4, 2]


@pytest.mark.usefixtures("stub_cascade")
def test_dicom_reports_are_written_when_asked_for_and_go_with_their_result(
    calcmap: Calcmap, chest: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    ran = calcmap("score", chest, "-o", out, "--dicom")
    assert (ran.code, ran.err) == (0, "")
    usual = {"result.json", "labels.nii.gz", "overview.png", "source.json"}
    reports = {"seg.dcm", "sr.dcm", "pdf.dcm", "sc.dcm", "report.pdf"}
    assert {path.name for path in (out / "patient1").iterdir()} == usual | reports
    calcmap("score", chest, "-o", out)
    assert {path.name for path in (out / "patient1").iterdir()} == usual


@pytest.mark.usefixtures("stub_cascade")
def test_a_refused_study_is_reported_without_mask_and_number(calcmap: Calcmap, gapped: Path, tmp_path: Path) -> None:
    ran = calcmap("score", gapped, "-o", tmp_path / "out", "--dicom")
    assert (ran.code, "no DICOM reports" in ran.err) == (3, False)
    written = {path.name for path in (tmp_path / "out" / "gapped").iterdir()}
    assert {"pdf.dcm", "sc.dcm", "report.pdf"} <= written
    assert {"seg.dcm", "sr.dcm"} & written == set()


@pytest.mark.usefixtures("stub_cascade")
def test_a_score_without_dicom_reports_stands_and_says_why(calcmap: Calcmap, tmp_path: Path) -> None:
    ran = calcmap("score", write_chest_file(tmp_path / "chest.nii.gz"), "-o", tmp_path / "out", "--dicom")
    assert ran.code == 3
    assert "calcmap: chest: no DICOM reports: the scan did not come as DICOM" in ran.err
    assert read_rows(tmp_path / "out" / "results.csv")[0]["status"] == "scored"


@pytest.mark.usefixtures("stub_cascade")
def test_a_defect_in_the_reports_leaves_the_score(
    calcmap: Calcmap, chest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError("a secret of the scan")

    monkeypatch.setattr("calcmap.report.dicom.make_reports", fail)
    ran = calcmap("score", chest, "-o", tmp_path / "out", "--dicom")
    assert ran.code == 3
    assert "patient1: no DICOM reports: unexpected ZeroDivisionError" in ran.err
    assert "a secret" not in ran.out + ran.err
    assert (tmp_path / "out" / "patient1" / "result.json").exists()


def test_dicom_reports_need_a_folder_and_their_packages(
    calcmap: Calcmap, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def said(*more: object) -> str:
        ran = calcmap("score", tmp_path, "--dicom", *more)
        assert (ran.code, ran.out) == (2, "")
        return " ".join(ran.err.replace("│", " ").split())

    assert "give -o as well" in said()
    monkeypatch.setattr("calcmap.cli.console.find_spec", lambda name: None)
    assert "highdicom and matplotlib is not installed" in said("-o", tmp_path / "out")


@pytest.mark.usefixtures("stub_cascade")
def test_options_reach_the_score(calcmap: Calcmap, chest: Path) -> None:
    ran = calcmap(
        "score", chest, "--json", "--profile", "siemens", "--ethnicity", "White", "--series", HEADER.series_uid
    )
    (result,) = json.loads(ran.out)
    assert result["method"]["profile"] == "siemens"
    assert [percentile["reference"] for percentile in result["percentiles"]] == ["hoff2001", "mesa2006"]
    refused = calcmap("score", chest, "--json", "--series", "1.2.3")
    assert (refused.code, json.loads(refused.out)[0]["reason_code"]) == (3, "series_not_found")


@pytest.mark.usefixtures("stub_cascade")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--profile", "nobody"), "calcmap: no scoring profile"),
        (("--ethnicity", "martian"), "'martian' is none of white"),
    ],
)
def test_wrong_options_end_with_two(calcmap: Calcmap, chest: Path, arguments: tuple[str, ...], message: str) -> None:
    ran = calcmap("score", chest, *arguments)
    assert (ran.code, ran.out) == (2, "")
    assert message.lower() in " ".join(ran.err.replace("│", " ").split()).lower()
    assert is_plain(ran)


def test_a_path_that_is_not_there_ends_with_two(calcmap: Calcmap, tmp_path: Path) -> None:
    ran = calcmap("score", tmp_path / "gone")
    assert ran == (2, "", f"calcmap: no such file or folder: {tmp_path / 'gone'}\n")


def test_networks_that_are_not_there_end_with_two(calcmap: Calcmap, chest: Path, tmp_path: Path) -> None:
    ran = calcmap("score", chest, "--heart-weights", tmp_path / "gone.onnx")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith("calcmap: cannot read the heart network")
    assert ran.err.count("\n") == 1


@pytest.mark.usefixtures("stub_cascade")
def test_a_folder_that_cannot_be_written_ends_with_two(calcmap: Calcmap, chest: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    ran = calcmap("score", chest, "-o", tmp_path / "file")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith("calcmap: cannot write")
