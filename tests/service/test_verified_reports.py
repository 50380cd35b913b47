from __future__ import annotations

import itertools
import json
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from highdicom.seg import segread
from highdicom.sr import srread
from pydicom import dcmread
from pydicom.dataset import Dataset

import orthanc_server
from calcmap.core.errors import OutputError, UnreadableFileError
from calcmap.core.result_reading import result_from_json
from calcmap.service.destinations import FolderDestination
from calcmap.service.importing import import_results
from calcmap.service.outbox import Outbox
from calcmap.service.review_edits import Accept
from calcmap.service.reviewing import Reviewing
from calcmap.service.store import Store, open_store
from calcmap.service.verified_reports import (
    NO_DICOM,
    StoredSource,
    load_signed,
    make_verified,
    report_objects,
)
from dciodvfy import DCIODVFY, needs_dciodvfy
from scored_chest import CORONARY_AGATSTON, write_chest_file
from service import orthanc_delivery
from service.outgoing import CLINIC, NAME, POLICY, SIGNER, amend, score_into, sign, take_results, work, write_results

DSRDUMP = shutil.which("dsrdump")
MACHINE_FILES = ("seg.dcm", "sr.dcm", "pdf.dcm", "sc.dcm")
VERIFIED_FILES = tuple(f"verified_{name}" for name in MACHINE_FILES)


@dataclass(frozen=True)
class Signed:
    """A study that was imported, corrected, signed and delivered to its folder, and amended."""

    store: Store
    folder: Path
    before: dict[str, bytes]
    first: int
    first_files: dict[str, bytes]
    second: int


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_results(tmp_path_factory.mktemp("results"))


@pytest.fixture(scope="module")
def signed(results: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Signed]:
    work_folder = tmp_path_factory.mktemp("signed")
    shutil.copytree(results.parent, work_folder / "study")
    out = work_folder / "study" / "out"
    store = open_store(work_folder / "store")
    folders = take_results(store, out)
    take_results(store, out)  # a second look knows what is there
    ((result_id, folder),) = folders.items()
    shutil.rmtree(work_folder / "study" / "chest")  # what reports are made from is in the store
    outbox = Outbox(store, [FolderDestination(folders)], organization=CLINIC, policy=POLICY)
    before = files_of(folder)
    first = sign(outbox, result_id, is_edited=True)
    work(outbox)
    first_files = files_of(folder)
    second = amend(outbox, first, name="Zoë^Second")
    work(outbox)
    yield Signed(store, folder, before, first, first_files, second)
    store.close()


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def header(signed: Signed, name: str) -> Dataset:
    return dcmread(signed.folder / name)


def numbers(report: Dataset) -> dict[str, float]:
    total, *_ = srread_content(report).get_volumetric_roi_measurement_groups()
    return {one.name.meaning: one.value for one in total.get_measurements()}


def srread_content(report: Dataset) -> Any:  # Any: highdicom's content, of a class that depends on the template
    return report.content


def judged(path: Path) -> list[str]:
    assert DCIODVFY is not None
    run = subprocess.run([DCIODVFY, str(path)], capture_output=True, text=True, check=False, timeout=60)
    lines = (run.stdout + run.stderr).splitlines()
    assert lines
    return [line for line in lines if line.startswith(("Error", "Abort"))]


def test_a_signature_puts_verified_reports_beside_the_machines_own(signed: Signed) -> None:
    new = set(signed.first_files) - set(signed.before)
    assert new == {*VERIFIED_FILES, "verified_report.pdf", "verified.json"}
    assert {name: signed.first_files[name] for name in signed.before} == signed.before
    assert {one.name for one in signed.folder.iterdir()} == {
        *signed.first_files, *(name.replace("verified", "verified_1") for name in new),
    }  # fmt: skip


def test_an_amendment_sets_the_earlier_one_aside_unchanged(signed: Signed) -> None:
    after = files_of(signed.folder)
    for name in set(signed.first_files) - set(signed.before):
        assert after[name.replace("verified", "verified_1")] == signed.first_files[name]
        assert after[name] != signed.first_files[name]
    said = json.loads(after["verified.json"])["verification"]
    assert (said["number"], said["name"]) == (2, "Zoë^Second")


def test_verified_json_is_the_signed_result_with_its_signature(signed: Signed) -> None:
    content = json.loads(signed.first_files["verified.json"])
    signature = signed.store.signature(signed.first)
    assert signature is not None
    result = result_from_json(content)
    assert result.coronary is not None
    assert result.coronary.agatston == signature.agatston
    verification = content.pop("verification")
    assert content == json.loads(signature.result_json)
    assert verification == {
        "layout": "1.0",
        "name": SIGNER,
        "organization": CLINIC,
        "account": "local",
        "time": signature.signed_utc,
        "number": 1,
        "n_edits": 1,
        "has_changes": True,
        "result_sha256": signature.result_sha256,
    }


def test_masks_and_numbers_are_those_that_were_signed(signed: Signed) -> None:
    first = load_signed(signed.store, signed.first)
    masks = segread(signed.folder / "verified_1_seg.dcm")
    images = [
        read
        for sha256 in signed.store.study_contents(first.study_id, kind="dicom").values()
        if (read := dcmread(signed.store.contents.path_of(sha256), stop_before_pixels=True))
    ]
    by_height = sorted(images, key=lambda image: image.ImagePositionPatient[2])
    stored = masks.get_pixels_by_source_instance([image.SOPInstanceUID for image in by_height])
    assert np.array_equal(stored, np.stack([first.labels.labels_zyx == label for label in (1, 2, 3)], axis=-1))
    assert not np.array_equal(first.labels.labels_zyx, first.machine_labels.labels_zyx)
    report = srread(signed.folder / "verified_1_sr.dcm")
    assert numbers(report)["Coronary artery calcium score"] == first.signature.agatston
    assert {one.SegmentAlgorithmType for one in masks.SegmentSequence} == {"SEMIAUTOMATIC"}


def test_verified_reports_are_verified_by_name_place_and_time(signed: Signed) -> None:
    signature = signed.store.signature(signed.first)
    assert signature is not None
    report = header(signed, "verified_1_sr.dcm")
    observer = report.VerifyingObserverSequence[0]
    assert (report.VerificationFlag, report.SpecificCharacterSet) == ("VERIFIED", "ISO_IR 192")
    assert (str(observer.VerifyingObserverName), observer.VerifyingOrganization) == (f"{SIGNER}^", CLINIC)
    assert (report.SeriesNumber, str(report.PatientName)) == (9112, NAME)
    assert header(signed, "verified_1_pdf.dcm").VerificationFlag == "VERIFIED"
    assert str(header(signed, "verified_1_seg.dcm").ContentCreatorName) == f"{SIGNER}^"


def test_verified_reports_follow_the_machines_and_amendments_the_former(signed: Signed) -> None:
    sr = [header(signed, name) for name in ("sr.dcm", "verified_1_sr.dcm", "verified_sr.dcm")]
    for earlier, later in itertools.pairwise(sr):
        (said,) = later.PredecessorDocumentsSequence[0].ReferencedSeriesSequence
        assert said.SeriesInstanceUID == earlier.SeriesInstanceUID
        assert said.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == earlier.SOPInstanceUID
    assert len({one.StudyInstanceUID for one in sr}) == 1
    assert len({one.SeriesInstanceUID for one in sr}) == 3
    masks = [header(signed, name) for name in ("seg.dcm", "verified_1_seg.dcm", "verified_seg.dcm")]
    assert masks[2].SourceImageSequence[0].ReferencedSOPInstanceUID == masks[1].SOPInstanceUID
    assert len({one.FrameOfReferenceUID for one in masks}) == 1


def test_the_same_signature_gives_the_same_bytes_again(signed: Signed) -> None:
    first = load_signed(signed.store, signed.first)
    report_set = Outbox(signed.store, []).status(signed.first).report_set
    assert report_set is not None
    again = make_verified(signed.store, first, organization=CLINIC)
    for one in report_objects(signed.store, first, again, report_set=report_set):
        name = "verified.json" if one.name == "result.json" else f"verified_{one.name}"
        assert signed.store.contents.get(one.sha256) == signed.first_files[name], name


@needs_dciodvfy
def test_verified_reports_hold_to_the_standard(signed: Signed) -> None:
    assert [judged(signed.folder / name) for name in VERIFIED_FILES] == [[]] * 4


@pytest.mark.skipif(DSRDUMP is None, reason="DSRDUMP ABSENT: no report was printed; apt-get install dcmtk")
def test_dsrdump_prints_the_score_and_that_it_is_verified(signed: Signed) -> None:
    run = subprocess.run(
        [str(DSRDUMP), str(signed.folder / "verified_sr.dcm")], capture_output=True, text=True, check=True
    )
    agatston = load_signed(signed.store, signed.second).signature.agatston
    assert f'"Coronary artery calcium score")="{agatston:g}' in run.stdout
    assert "VERIFIED" in run.stdout
    assert "UNVERIFIED" not in run.stdout


def test_neither_trail_nor_receipts_name_the_patient(signed: Signed) -> None:
    trail = "".join(event.detail_json for event in signed.store.audit_events())
    said = json.dumps(Outbox(signed.store, []).status(signed.second).as_json())
    assert "lanted" not in trail + said
    assert "VERIFIED" not in trail
    signed.store.check()


def test_a_late_delivery_of_an_earlier_signature_leaves_the_newer_in_its_place(signed: Signed) -> None:
    before = files_of(signed.folder)
    outbox = Outbox(signed.store, [FolderDestination({1: signed.folder})], policy=POLICY)
    outbox.send_again(signed.first, actor="local")
    work(outbox)
    assert files_of(signed.folder) == before


def test_a_real_archive_takes_the_verified_and_keeps_the_unverified(
    results: Path, tmp_path: Path, postgres_database: str
) -> None:
    reason = orthanc_server.why_absent()
    if reason is not None:
        pytest.skip(reason)
    studies = [Path(shutil.copytree(results.parent, tmp_path / name)) for name in ("sqlite", "postgresql")]
    fetched = tmp_path / "fetched"
    fetched.mkdir()
    given = {one.SOPInstanceUID: one for one in map(dcmread, (studies[0] / "out" / "chest").glob("*.dcm"))}
    arguments = [each for pair in zip(studies, ("", postgres_database), strict=True) for each in pair]
    run = orthanc_server.in_own_network(Path(orthanc_delivery.__file__), *arguments, fetched)
    assert run.returncode == 0, run.stdout + run.stderr
    for story in json.loads(run.stdout.splitlines()[-1]):
        check_story(story)
    after = {one.SOPInstanceUID: one for one in map(dcmread, fetched.glob("*.dcm"))}
    assert {uid: after[uid] for uid in given} == given
    written = [dcmread(path) for study in studies for path in (study / "out" / "chest").glob("verified_*.dcm")]
    assert len(written) == 8
    assert {one.SOPInstanceUID: one for one in written} == {uid: after[uid] for uid in after.keys() - given.keys()}


def check_story(story: list[dict[str, Any]]) -> None:
    """Check what was said after the kill, while the node was away, when it was back, and after sending again."""
    asked, refused, taken, again = story
    assert [asked["state"], asked["is_pending"]] == ["waiting", True]
    assert [each["state"] for each in refused["deliveries"]] == ["sent", "waiting"]
    assert refused["deliveries"][1]["reason"] == "connection refused"
    for status, n_receipts in ((taken, 4), (again, 8)):
        assert [each["state"] for each in status["deliveries"]] == ["sent", "sent"]
        receipts = [each for each in status["deliveries"][1]["receipts"] if each["name"]]
        assert [each["status"] for each in receipts] == [0] * n_receipts


def test_a_result_from_a_voxel_file_has_no_dicom_and_says_so(tmp_path: Path) -> None:
    score_into(write_chest_file(tmp_path / "chest" / "one.nii.gz"), tmp_path / "out", has_reports=False)
    store = open_store(tmp_path / "store")
    ((result_id, folder),) = take_results(store, tmp_path / "out").items()
    outbox = Outbox(store, [FolderDestination({result_id: folder})])
    review_id = sign(outbox, result_id)
    work(outbox)
    status = outbox.status(review_id).as_json()
    assert (status["state"], status["reason"]) == ("refused", NO_DICOM)
    assert [path.name for path in folder.iterdir() if path.name.startswith("verified")] == ["verified.json"]
    store.close()


@pytest.mark.parametrize("name", ["x" * 65, "a\\b", "a=b=c=d", "a^b^c^d^e^f"])
def test_a_name_that_dicom_cannot_write_is_told(signed: Signed, name: str) -> None:
    first = load_signed(signed.store, signed.first)
    object.__setattr__(first.signature, "signed_name", name)
    with pytest.raises(OutputError, match="the signer's name cannot be written in DICOM"):
        make_verified(signed.store, first, organization=CLINIC)


def test_a_review_that_changed_nothing_keeps_its_masks_automatic(results: Path, tmp_path: Path) -> None:
    store = open_store(tmp_path / "store")
    ((result_id, _),) = take_results(store, results).items()
    reviewing, review_id = Reviewing(store), store.open_review(result_id, actor="local").id
    lesion = reviewing.current(review_id).review.score.lesions[0]
    reviewing.edit(review_id, [Accept(lesion.anchor_zyx)], revision=0, author="local")
    reviewing.sign(review_id, revision=1, account="local", name=SIGNER)
    signed = load_signed(store, review_id)
    assert not signed.has_changes
    assert signed.signature.agatston == pytest.approx(CORONARY_AGATSTON)
    store.close()


def test_files_that_are_no_reports_of_the_study_are_no_predecessors(results: Path, tmp_path: Path) -> None:
    shutil.copytree(results.parent, tmp_path / "study")
    folder = tmp_path / "study" / "out" / "chest"
    (folder / "seg.dcm").write_bytes(b"no DICOM")
    other = dcmread(folder / "sr.dcm")
    other.StudyInstanceUID = "1.2.3"
    other.save_as(folder / "sr.dcm")
    for name in ("pdf.dcm", "sc.dcm"):
        (folder / name).unlink()
    store = open_store(tmp_path / "store")
    import_results(store, tmp_path / "study" / "out", sources=[tmp_path / "study" / "chest"], actor="local")
    assert "add_reports" not in {event.action for event in store.audit_events()}
    store.close()


def test_a_stored_file_stands_alone(tmp_path: Path) -> None:
    store = open_store(tmp_path / "store")
    source = StoredSource(store.contents, store.contents.put(b"bytes"), "one")
    assert (source.read_bytes(), source.open().read(), source.location) == (b"bytes", b"bytes", ())
    with pytest.raises(UnreadableFileError, match="lies in the store alone"):
        source.sibling("two")
    store.close()
