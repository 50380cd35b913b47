"""The results folder of ``calcmap score`` into the store: every study once, however often it is imported."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from calcmap.core.errors import InputError, OutputError
from calcmap.core.result import JsonValue, Status, StudyResult
from calcmap.core.result_reading import result_from_json
from calcmap.core.scan import Scan
from calcmap.core.volume import Labels
from calcmap.io.finding import find_studies
from calcmap.io.nifti import read_labels
from calcmap.io.reading import load_scan
from calcmap.io.source_headers import read_identity
from calcmap.io.study import Series, Study
from calcmap.service.report_files import machine_objects
from calcmap.service.review_calcium import base_from_result
from calcmap.service.store import Store, scan_contents
from calcmap.service.store_studies import Identity, NewResult, StoredResult
from calcmap.service.store_voxels import pack_voxels

RESULT_FILE, LABELS_FILE, OVERVIEW_FILE, SOURCE_FILE = "result.json", "labels.nii.gz", "overview.png", "source.json"
NO_IMAGES = "its images were not found among the sources: the result can be seen, not reviewed"
IDENTITY_KEYWORDS = {
    "patient_name": "PatientName",
    "patient_id": "PatientID",
    "birth_date": "PatientBirthDate",
    "sex": "PatientSex",
    "accession_number": "AccessionNumber",
    "study_instance_uid": "StudyInstanceUID",
    "study_date": "StudyDate",
    "description": "StudyDescription",
}
"""Fields of `Identity` and the DICOM attributes they come from."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Imported:
    """What became of one study folder.

    Parameters
    ----------
    name : str
        The folder's name.
    result_id, study_id : int or None
        Where it lies now; ``None`` when it was not taken.
    is_new : bool
        Whether the result was not there before.
    problem : str or None
        Why it was not taken, or what it lacks; ``None`` when all is well.
    folder : Path
        Where it was found.
    """

    name: str
    result_id: int | None
    study_id: int | None
    is_new: bool
    problem: str | None
    folder: Path


def import_results(store: Store, out: Path, *, sources: Sequence[Path] = (), actor: str) -> list[Imported]:
    """Return what became of every study folder under a results folder.

    Parameters
    ----------
    store : Store
        Takes results, label maps, pictures, and the CT and its DICOM files where they are found.
    out : Path
        What ``calcmap score -o`` wrote, or one study's folder of it.
    sources : sequence of Path
        What was scored. A result is matched with its images by series and by the hash of its input, never by name.
    actor : str
        The account in the audit trail.

    Returns
    -------
    list of Imported
        In the order of the folders' names. A folder that cannot be taken is in it with its problem; the others go on.

    Raises
    ------
    InputError
        There is no study folder, or a source does not exist.
    StoreError
        The store does not take it.
    """
    folders = _study_folders(out)
    if not folders:
        raise InputError(f"{out} holds no {RESULT_FILE}: expected what calcmap score -o wrote")
    studies = find_studies(sources) if sources else []
    return [_import_folder(store, folder, studies, actor) for folder in folders]


def recorded_sources(out: Path) -> list[Path]:
    """Return where the images of a results folder were when it was scored, and still are, by its ``source.json`` files.

    Parameters
    ----------
    out : Path
        As of `import_results`.

    Returns
    -------
    list of Path
        Each path once; those that are no longer there, and files that cannot be read, are left out.
    """
    paths: dict[Path, None] = {}
    for folder in _study_folders(out):
        with suppress(InputError):
            said = _read_json(folder / SOURCE_FILE).get("paths")
            paths |= {Path(str(each)): None for each in said} if isinstance(said, list) else {}
    return [path for path in paths if path.exists()]


def _study_folders(out: Path) -> list[Path]:
    return [out] if (out / RESULT_FILE).is_file() else sorted(path.parent for path in out.glob(f"*/{RESULT_FILE}"))


def _import_folder(store: Store, folder: Path, studies: Sequence[Study], actor: str) -> Imported:
    try:
        draft, result, labels = _read_folder(store, folder)
        known = store.find_result(draft)
        if known is not None and (labels is None or store.has_scan(known.study_id)):
            _note_reports(store, folder, known, actor=actor)
            return Imported(folder.name, known.result_id, known.study_id, False, None, folder)
        new, problem = _with_images(store, draft, result, labels, studies)
    except InputError as error:
        logger.warning("a result was not imported: %s", error.code)
        return Imported(folder.name, None, None, False, str(error), folder)
    stored = store.add_result(new, actor=actor)
    _note_reports(store, folder, stored, actor=actor)
    return Imported(folder.name, stored.result_id, stored.study_id, stored.is_new, problem, folder)


def _read_folder(store: Store, folder: Path) -> tuple[NewResult, StudyResult, Labels | None]:
    """Return a study folder's result, with label map and picture on the store's disk, and without the images."""
    content = _read_json(folder / RESULT_FILE)
    result = result_from_json(content)
    labels = read_labels(folder / LABELS_FILE) if result.status is Status.SCORED else None
    picture = folder / OVERVIEW_FILE
    pictures = {("overview", OVERVIEW_FILE): store.contents.put(picture.read_bytes())} if picture.is_file() else {}
    draft = NewResult(
        name=result.study,
        result=content,
        labels_sha256=store.contents.put(pack_voxels(labels.labels_zyx, labels.grid)) if labels else None,
        voxels_sha256=hashlib.sha256(labels.labels_zyx.tobytes()).hexdigest() if labels else None,
        contents=pictures,
    )
    return draft, result, labels


def _with_images(
    store: Store, draft: NewResult, result: StudyResult, labels: Labels | None, studies: Sequence[Study]
) -> tuple[NewResult, str | None]:
    """Return what is to be stored with the images that were scored, and what it lacks."""
    study_id = store.find_study(draft.input_key)
    if study_id is not None and store.has_scan(study_id):
        _check(store.load_scan(study_id), labels, result)
        return draft, None
    found = _find_images(result, studies)
    if found is None:
        return draft, NO_IMAGES if labels is not None else None
    study, series, scan = found
    _check(scan, labels, result)
    images = scan_contents(scan) | {
        ("dicom", one.sop_instance_uid): one.source.read_bytes() for one in series.instances
    }
    on_disk = {key: store.contents.put(each) for key, each in images.items()}
    return replace(draft, contents={**draft.contents, **on_disk}, identity=_identity(study, series)), None


def _note_reports(store: Store, folder: Path, stored: StoredResult, *, actor: str) -> None:
    """Take the machine's own DICOM reports, if there are such: verified ones name them as what they follow."""
    study_uid = store.identity(stored.study_id).study_instance_uid
    objects = machine_objects(folder, store.contents, study_uid=study_uid) if study_uid else []
    if objects:
        store.add_machine_reports(stored.result_id, objects, actor=actor)


def _read_json(path: Path) -> dict[str, JsonValue]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path.name} cannot be read: {type(error).__name__}") from error
    if not isinstance(content, dict):
        raise InputError(f"{path.name} holds no JSON object")
    return content


def _find_images(result: StudyResult, studies: Sequence[Study]) -> tuple[Study, Series, Scan] | None:
    """Return the scan that a result was made from, with where it was found; ``None`` when no source holds it."""
    if result.chosen_series is None or result.provenance.input_sha256 is None:
        return None
    uid = result.chosen_series.series_uid
    for study, series in _series_of(studies):
        if series.uid == uid:
            scan = load_scan(study, uid)
            if scan.input_sha256 == result.provenance.input_sha256:
                return study, series, scan
    return None


def _identity(study: Study, series: Series) -> Identity | None:
    """Return whose study it is; ``None`` where the images do not say, since nothing is made up."""
    try:
        header = read_identity(study, series.uid)
    except OutputError:
        return None
    said = {name: str(header.get(keyword) or "") for name, keyword in IDENTITY_KEYWORDS.items()}
    return Identity(**said)


def _series_of(studies: Sequence[Study]) -> Iterator[tuple[Study, Series]]:
    return ((study, series) for study in studies for series in study.series)


def _check(scan: Scan, labels: Labels | None, result: StudyResult) -> None:
    """Raise `InputError` unless result, label map and scan belong together."""
    if labels is not None:
        labels.check_on(scan.volume)
        base_from_result(scan, Labels(labels.labels_zyx, scan.volume.grid), result)
