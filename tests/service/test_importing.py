from __future__ import annotations

import json
import shutil
from pathlib import Path

import pydicom
import pytest

from calcmap.core.errors import InputError
from calcmap.core.volume import Labels
from calcmap.io.finding import find_studies
from calcmap.io.nifti import write_labels
from calcmap.pipeline import ScoreOptions
from calcmap.pipeline.score import score_study
from calcmap.report.folder import write_study
from calcmap.service.importing import NO_IMAGES, import_results, recorded_sources
from calcmap.service.review_edits import Reject
from calcmap.service.reviewing import Reviewing
from calcmap.service.store import Store, open_store
from calcmap.service.store_studies import Identity
from scored_chest import CORONARY_AGATSTON, StubCascade, scored_chest, write_chest, write_chest_file

NAME = "Plantedname^Zebedee"


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Return the DICOM folder of a study and what ``calcmap score`` would write of it."""
    folder = tmp_path_factory.mktemp("scored")
    source = write_chest(folder / "chest")
    for path in source.rglob("*.dcm"):
        dataset = pydicom.dcmread(path)
        dataset.PatientName = NAME
        dataset.save_as(path)
    _score(source, folder / "out")
    # a refused one beside it: half of the slices are gone
    broken = Path(shutil.copytree(source, folder / "broken"))
    for path in sorted(broken.rglob("*.dcm"))[::2]:
        path.unlink()
    _score(broken, folder / "out")
    return source, folder / "out"


def _score(source: Path, out: Path) -> None:
    cascade = StubCascade(scored_chest()[1].labels_zyx)
    (study,) = find_studies([source])
    done = score_study(study, cascade, options=ScoreOptions())  # type: ignore[arg-type]
    write_study(done.result, done.volume, done.labels, folder=out / done.result.study)


@pytest.fixture
def sqlite_store(tmp_path: Path) -> Store:
    return open_store(tmp_path / "store")


def test_a_results_folder_is_taken_whole_and_can_be_reviewed(
    sqlite_store: Store, scored: tuple[Path, Path], caplog: pytest.LogCaptureFixture
) -> None:
    source, out = scored
    caplog.set_level("DEBUG")
    refused, chest = import_results(sqlite_store, out, sources=[source], actor="local")
    assert (refused.name, refused.is_new, refused.problem) == ("broken", True, None)
    assert (chest.name, chest.is_new, chest.problem) == ("chest", True, None)
    assert chest.result_id
    assert chest.study_id
    assert len(sqlite_store.study_contents(chest.study_id, kind="dicom")) == len(list(source.rglob("*.dcm")))
    assert sqlite_store.study_contents(chest.study_id, kind="overview")
    reviewing = Reviewing(sqlite_store)
    review = reviewing.current(sqlite_store.open_review(chest.result_id, actor="local").id)
    assert review.review.score.scoring.coronary.agatston == pytest.approx(CORONARY_AGATSTON)
    anchor = review.review.score.lesions[0].anchor_zyx
    after = reviewing.edit(review.stored.id, [Reject(anchor)], revision=0, author="local")
    assert after.review.score.scoring.coronary.agatston == 0.0
    rows = {row.name: row for row in sqlite_store.worklist()}
    assert rows["chest"].identity.patient_name == NAME
    assert rows["broken"].identity == Identity()
    assert "planted" not in caplog.text.lower()
    sqlite_store.check()


def test_importing_again_changes_nothing(sqlite_store: Store, scored: tuple[Path, Path]) -> None:
    source, out = scored
    first = import_results(sqlite_store, out, sources=[source], actor="local")
    n_events, worklist = len(sqlite_store.audit_events()), sqlite_store.worklist()
    again = import_results(sqlite_store, out, sources=[source], actor="local")
    assert [(each.result_id, each.is_new) for each in again] == [(each.result_id, False) for each in first]
    assert (len(sqlite_store.audit_events()), sqlite_store.worklist()) == (n_events, worklist)


def test_images_may_come_later(sqlite_store: Store, scored: tuple[Path, Path]) -> None:
    source, out = scored
    (without,) = import_results(sqlite_store, out / "chest", actor="local")
    assert (without.is_new, without.problem) == (True, NO_IMAGES)
    (later,) = import_results(sqlite_store, out / "chest", sources=[source], actor="local")
    assert (later.result_id, later.is_new, later.problem) == (without.result_id, False, None)
    assert later.study_id
    assert sqlite_store.load_scan(later.study_id).volume.grid.shape_zyx == scored_chest()[0].grid.shape_zyx
    (again,) = import_results(sqlite_store, out / "chest", actor="local")
    assert again.problem is None


def test_a_folder_that_cannot_be_taken_does_not_stop_the_others(
    sqlite_store: Store, scored: tuple[Path, Path], tmp_path: Path
) -> None:
    source, out = scored
    copy = Path(shutil.copytree(out, tmp_path / "out"))
    for name, content in (("cut", "{"), ("list", "[]"), ("old", '{"schema_version": "0.9"}')):
        (copy / name).mkdir()
        (copy / name / "result.json").write_text(content, encoding="utf-8")
    other = Path(shutil.copytree(out / "chest", copy / "other"))
    labels = scored_chest()[1]
    write_labels(Labels(labels.labels_zyx.clip(0, 1), labels.grid), other / "labels.nii.gz")
    # its images are there by then: they came with the folder before
    became = {each.name: each for each in import_results(sqlite_store, copy, sources=[source], actor="local")}
    assert became["chest"].is_new
    assert became["cut"].problem == "result.json cannot be read: JSONDecodeError"
    assert became["list"].problem == "result.json holds no JSON object"
    assert "layout is 0.9" in (became["old"].problem or "")
    assert "they do not belong together" in (became["other"].problem or "")


def test_labels_of_another_result_are_not_taken(sqlite_store: Store, scored: tuple[Path, Path], tmp_path: Path) -> None:
    source, out = scored
    other = Path(shutil.copytree(out / "chest", tmp_path / "out" / "other"))
    labels = scored_chest()[1]
    write_labels(Labels(labels.labels_zyx.clip(0, 1), labels.grid), other / "labels.nii.gz")
    (became,) = import_results(sqlite_store, tmp_path / "out", sources=[source], actor="local")
    assert (became.result_id, became.is_new) == (None, False)
    assert "they do not belong together" in (became.problem or "")
    assert sqlite_store.worklist() == []


def test_images_that_are_not_those_scored_are_not_taken(
    sqlite_store: Store, scored: tuple[Path, Path], tmp_path: Path
) -> None:
    source, out = scored
    other = Path(shutil.copytree(out / "chest", tmp_path / "out" / "other"))
    content = json.loads((other / "result.json").read_text(encoding="utf-8"))
    content["provenance"]["input_sha256"] = "f" * 64
    (other / "result.json").write_text(json.dumps(content), encoding="utf-8")
    (became,) = import_results(sqlite_store, other, sources=[source], actor="local")
    assert became.problem == NO_IMAGES


def test_a_study_from_a_voxel_file_has_no_patient(sqlite_store: Store, tmp_path: Path) -> None:
    source = write_chest_file(tmp_path / "one.nii.gz")
    _score(source, tmp_path / "out")
    (became,) = import_results(sqlite_store, tmp_path / "out", sources=[source], actor="local")
    assert (became.problem, sqlite_store.worklist()[0].identity) == (None, Identity())
    assert became.study_id
    assert sqlite_store.study_contents(became.study_id, kind="dicom") == {}


def test_a_folder_without_results_is_refused(sqlite_store: Store, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"holds no result\.json: expected what calcmap score -o wrote"):
        import_results(sqlite_store, tmp_path, actor="local")


def test_images_are_found_where_the_results_say_they_were(
    sqlite_store: Store, scored: tuple[Path, Path], tmp_path: Path
) -> None:
    source, out = scored
    moved = Path(shutil.copytree(out, tmp_path / "out"))
    assert recorded_sources(moved) == []
    for name, text in (("chest", {"paths": [str(source), "/nowhere/at/all"]}), ("broken", {"paths": None})):
        (moved / name / "source.json").write_text(json.dumps(text), encoding="utf-8")
    assert recorded_sources(moved) == [source]
    assert recorded_sources(moved / "chest") == [source]
    (moved / "broken" / "source.json").write_text("{half", encoding="utf-8")
    done = import_results(sqlite_store, moved, sources=recorded_sources(moved), actor="local")
    assert [each.problem for each in done] == [None, None]
