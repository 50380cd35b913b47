"""The verified reports of a signed review, made from what was signed and from the images' own headers in the store."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from datetime import datetime
from io import BytesIO
from typing import BinaryIO

import numpy as np
from pydicom.dataset import Dataset

from calcmap.core.errors import NotInStoreError, OutputError, UnreadableFileError
from calcmap.core.result import JsonValue, StudyResult
from calcmap.core.result_reading import result_from_json
from calcmap.core.volume import Labels
from calcmap.io.headers import read_instance
from calcmap.io.study import Series, Study
from calcmap.io.text_files import json_text
from calcmap.report.dicom import Predecessor, Reports, ReportSettings, Verification, make_reports
from calcmap.service.report_files import RESULT_OBJECT, VERIFICATION, object_of
from calcmap.service.signatories import written_name, written_organization
from calcmap.service.store import Store
from calcmap.service.store_contents import ContentStore
from calcmap.service.store_outbox import (
    ReportObject,
    ReportSet,
    find_earlier_sets,
    find_machine_set,
    read_objects,
)
from calcmap.service.store_reviews import Signature, StoredReview

NO_DICOM = "the scan did not come as DICOM, so there is no patient and no study to file reports under"
VERIFIED_LAYOUT = "1.0"


@dataclass(frozen=True)
class StoredSource:
    """A file in the content store, as the reader of files takes it."""

    contents: ContentStore
    sha256: str
    name: str

    @property
    def location(self) -> tuple[str, ...]:
        """The store has no folders that say anything."""
        return ()

    def open(self) -> BinaryIO:
        """Return a stream of the content."""
        return io.BytesIO(self.read_bytes())

    def read_bytes(self) -> bytes:
        """Return the content, checked against its hash."""
        return self.contents.get(self.sha256)

    def sibling(self, name: str) -> StoredSource:
        """Refuse: a content has no neighbours."""
        raise UnreadableFileError(f"{self.name} lies in the store alone, {name} was asked for")


@dataclass(frozen=True, eq=False)
class Signed:
    """A signed review with all that its reports are made from."""

    review: StoredReview
    signature: Signature
    study_id: int
    machine: StudyResult
    result: StudyResult
    labels: Labels
    machine_labels: Labels

    @property
    def has_changes(self) -> bool:
        """Whether a lesion was changed: its voxels, its class or its vessel."""
        before, after = (
            sorted((each.lesion_class, str(each.vessel), each.center_mm) for each in one.lesions)
            for one in (self.machine, self.result)
        )
        is_same_map = np.array_equal(self.labels.labels_zyx, self.machine_labels.labels_zyx)
        return not is_same_map or before != after


def load_signed(store: Store, review_id: int) -> Signed:
    """Return a signed review; `NotInStoreError` when it has no signature or lacks a content."""
    review, signature = store.review(review_id), store.signature(review_id)
    if signature is None:
        raise NotInStoreError(f"review {review_id} is not signed")
    row, machine = store.machine_result(review.result_id)
    if row.labels_sha256 is None:
        raise NotInStoreError(f"machine result {review.result_id} has no label map")
    return Signed(
        review=review,
        signature=signature,
        study_id=row.study_id,
        machine=machine,
        result=result_from_json(json.loads(signature.result_json)),
        labels=store.load_labels(signature.labels_sha256),
        machine_labels=store.load_labels(row.labels_sha256),
    )


def make_verified(store: Store, signed: Signed, *, organization: str) -> Reports:
    """Return the verified reports of a signed review.

    They say what was signed, in the study and under the patient of the images, with the time of the signature. The same
    signature gives the same UIDs, whenever and however often they are made.

    Parameters
    ----------
    store : Store
        Holds the images and what was made of earlier reviews.
    signed : Signed
        What was signed.
    organization : str
        The verifier's.

    Returns
    -------
    Reports
        SEG, SR, page and overview. They name the reports that they follow: those of the review that was amended, else
        the machine's, where either is known.

    Raises
    ------
    OutputError
        The scan did not come as DICOM, says too little of itself, or the names cannot be written.
    StoreError
        A content is missing or damaged.
    """
    verification = Verification(
        written_name(signed.signature.signed_name),
        written_organization(organization),
        datetime.fromisoformat(signed.signature.signed_utc).astimezone(),
        has_changes=signed.has_changes,
    )
    settings = ReportSettings(
        made_at=verification.at, verification=verification, predecessors=find_predecessors(store, signed.review)
    )
    study = stored_study(store, signed)
    volume = store.load_scan(signed.study_id).volume
    return make_reports(signed.result, volume, signed.labels, study=study, settings=settings)


def stored_study(store: Store, signed: Signed) -> Study:
    """Return the scored series as it lies in the store; `OutputError` when it is not there as DICOM."""
    chosen = signed.result.chosen_series
    files = store.study_contents(signed.study_id, kind="dicom")
    if chosen is None or not files:
        raise OutputError(NO_DICOM)
    read = [read_instance(StoredSource(store.contents, sha256, name)) for name, sha256 in files.items()]
    instances = [one for one in read if one.text("SeriesInstanceUID") == chosen.series_uid]
    ordered = tuple(sorted(instances, key=lambda one: one.sop_instance_uid))
    return Study(signed.result.study, (Series(chosen.series_uid, "CT", "", ordered),))


def find_predecessors(store: Store, review: StoredReview) -> tuple[Predecessor, ...]:
    """Return what a review's reports follow: those of the newest review before it that has some, or the machine's."""
    with store.database.reading() as connection:
        earlier = find_earlier_sets(connection, review.result_id, number=review.number)
        for one in (*earlier, *find_machine_set(connection, review.result_id)):
            objects = read_objects(connection, one.id)
            found = tuple(made for each in objects if (made := _predecessor(each)) is not None)
            if found:
                return found
    return ()


def report_objects(store: Store, signed: Signed, made: Reports | None, *, report_set: ReportSet) -> list[ReportObject]:
    """Return what a set of reports consists of, every content on the store's disk.

    Parameters
    ----------
    store : Store
        Takes the contents.
    signed : Signed
        What was signed.
    made : Reports or None
        ``None`` where there can be no DICOM: what is left is the signed result.
    report_set : ReportSet
        The set, for the organization.

    Returns
    -------
    list of ReportObject
        ``seg.dcm``, ``sr.dcm``, ``pdf.dcm``, ``sc.dcm``, ``report.pdf``, ``result.json``, as far as there are such.
    """
    text = json_text(verified_json(signed, organization=report_set.organization))
    objects = [ReportObject(RESULT_OBJECT, store.contents.put(text.encode()))]
    if made is not None:
        objects += [dicom_object(name, one, store.contents) for name, one in made.objects.items()]
        objects.append(ReportObject("report.pdf", store.contents.put(made.pdf)))
    return objects


def dicom_object(name: str, made: Dataset, contents: ContentStore) -> ReportObject:
    """Return a DICOM object as part of a set, written to the store's disk."""
    held = BytesIO()
    made.save_as(held, enforce_file_format=True)
    return object_of(name, made, contents.put(held.getvalue()))


def verified_json(signed: Signed, *, organization: str) -> dict[str, JsonValue]:
    """Return the signed result with its signature: the fields of ``result.json`` and one more."""
    signature = signed.signature
    content: dict[str, JsonValue] = json.loads(signature.result_json)
    return content | {
        VERIFICATION: {
            "layout": VERIFIED_LAYOUT,
            "name": signature.signed_name,
            "organization": organization,
            "account": signature.signed_by,
            "time": signature.signed_utc,
            "number": signed.review.number,
            "n_edits": signature.revision,
            "has_changes": signed.has_changes,
            "result_sha256": signature.result_sha256,
        }
    }


def _predecessor(one: ReportObject) -> Predecessor | None:
    if one.sop_class_uid and one.sop_instance_uid and one.study_uid and one.series_uid:
        return Predecessor(one.sop_class_uid, one.sop_instance_uid, one.study_uid, one.series_uid)
    return None
