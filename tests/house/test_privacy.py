"""Nothing that names a patient reaches a log, the screen or a result file, whether the study is scored or refused."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

import pydicom
import pytest

from house.documents import has_module

PLANTED = {
    "PatientName": "Plantedname^Zebedee",
    "PatientID": "PLANTEDID4711",
    "PatientBirthDate": "19310203",
    "OtherPatientIDs": "PLANTEDOTHER0815",
    "PatientAddress": "Plantedstreet 12",
    "AccessionNumber": "PLANTEDACC99",
    "PatientComments": "Plantedcomment",
    "ReferringPhysicianName": "Planteddoctor^Who",
}
"""DICOM keyword and the value that must appear nowhere."""
SECRETS = ("plantedname", "zebedee", "19310203", "planted")
PLANTED_DESCRIPTION = "CTAC HIDDENWORD"
"""A series description may be shown to the user, but carries free text: it is never logged."""

pytestmark = pytest.mark.skipif(
    not (has_module("calcmap.cli.main") and has_module("calcmap.pipeline")),
    reason="NO COMMAND LINE YET: logs were not searched for patients' names",
)


@pytest.fixture(scope="module")
def named_study(demo: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a simulated DICOM study whose every file carries the planted identity."""
    folder = Path(shutil.copytree(demo, tmp_path_factory.mktemp("named") / "study"))
    files = sorted(folder.rglob("*.dcm"))
    assert files
    for path in files:
        dataset = pydicom.dcmread(path)
        for keyword, value in PLANTED.items():
            setattr(dataset, keyword, value)
        dataset.SeriesDescription = PLANTED_DESCRIPTION
        dataset.save_as(path)
    return folder


def test_scored_study_leaves_no_name(named_study: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    shown = _calcmap("score", str(named_study), "-o", str(tmp_path))
    assert "scored" in (tmp_path / "results.csv").read_text(encoding="utf-8")
    _assert_nameless(shown, caplog, tmp_path)


def test_refused_study_leaves_no_name(named_study: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    broken = _without_a_slice(named_study, tmp_path / "broken")
    shown = _calcmap("score", str(broken), "-o", str(tmp_path / "out"), exit_code=3)
    assert "refused" in (tmp_path / "out" / "results.csv").read_text(encoding="utf-8")
    _assert_nameless(shown, caplog, tmp_path / "out")


def test_truncated_file_leaves_no_name(named_study: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    source = sorted(named_study.rglob("*.dcm"))[0]
    (tmp_path / "cut").mkdir()
    (tmp_path / "cut" / "0001.dcm").write_bytes(source.read_bytes()[:4000])
    shown = _calcmap("score", str(tmp_path / "cut"), "-o", str(tmp_path / "out"), exit_code=3)
    _assert_nameless(shown, caplog, tmp_path / "out")


def test_series_list_leaves_no_name(named_study: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    shown = _calcmap("series", str(named_study))
    assert _found(SECRETS, shown) == []
    assert _found((*SECRETS, "hiddenword"), caplog.text) == []


def _assert_nameless(shown: str, caplog: pytest.LogCaptureFixture, out: Path) -> None:
    assert _found(SECRETS, shown) == []
    assert _found((*SECRETS, "hiddenword"), caplog.text) == []
    written = [path for path in out.rglob("*") if path.suffix in (".json", ".csv", ".log", ".txt")]
    assert written
    for path in written:
        assert _found(SECRETS, path.read_text(encoding="utf-8")) == [], path.name


def _found(secrets: tuple[str, ...], text: str) -> list[str]:
    return [secret for secret in secrets if secret in text.lower()]


def _without_a_slice(study: Path, folder: Path) -> Path:
    files = sorted(study.rglob("*.dcm"))
    folder.mkdir()
    for number, path in enumerate(files):
        if number != len(files) // 2:
            (folder / path.name).write_bytes(path.read_bytes())
    return folder


def _calcmap(*arguments: str, exit_code: int = 0) -> str:
    """Run a command in this process, so that every logger is heard; return what it showed."""
    from typer.testing import CliRunner

    from calcmap.cli.main import app

    run = CliRunner().invoke(app, list(arguments))
    assert run.exit_code == exit_code, run.output
    return run.output
