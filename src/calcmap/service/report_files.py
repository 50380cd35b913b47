"""The files of a set of reports: how they are called, and those that ``calcmap score --dicom`` wrote already."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError

from calcmap.service.store_contents import ContentStore
from calcmap.service.store_outbox import ReportObject

DICOM_FILES = ("seg.dcm", "sr.dcm", "pdf.dcm", "sc.dcm")
"""In the order in which they are sent: the structured report refers to the masks."""
PAGE_FILE = "report.pdf"
RESULT_OBJECT = "result.json"
"""The signed result in a set of reports; in a folder it is ``verified.json``."""
VERIFICATION = "verification"
"""The field that ``verified.json`` has besides those of ``result.json``."""
SET_FILES = (*DICOM_FILES, PAGE_FILE, RESULT_OBJECT)
_UIDS = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")


def object_of(name: str, header: Dataset, sha256: str) -> ReportObject:
    """Return a DICOM object as part of a set by its header."""
    return ReportObject(name, sha256, *(str(header[keyword].value) for keyword in _UIDS))


def machine_objects(folder: Path, contents: ContentStore, *, study_uid: str) -> list[ReportObject]:
    """Return the machine's own DICOM reports of a study folder, written to the store's disk.

    Parameters
    ----------
    folder : Path
        Of one study.
    contents : ContentStore
        Takes them.
    study_uid : str
        StudyInstanceUID of the images; reports of another study are passed over, and so is what is no DICOM.

    Returns
    -------
    list of ReportObject
        Empty where none were asked for.
    """
    found = []
    for name in DICOM_FILES:
        path = folder / name
        if path.is_file():
            content = path.read_bytes()
            header = _header(content)
            if header is not None and header.StudyInstanceUID == study_uid:
                found.append(object_of(name, header, contents.put(content)))
    return found


def _header(content: bytes) -> Dataset | None:
    try:
        header = dcmread(BytesIO(content), specific_tags=list(_UIDS))
    except (InvalidDicomError, EOFError, OSError):
        return None
    return header if all(header.get(keyword) for keyword in _UIDS) else None
