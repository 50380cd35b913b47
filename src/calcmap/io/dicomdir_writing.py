"""The directory (DICOMDIR) of a folder of DICOM files, as studies on a disc have it."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.uid import UID, ExplicitVRLittleEndian, MediaStorageDirectoryStorage

from calcmap.io.dicom_objects import made_up_uid, save_object

DIRECTORY_NAME = "DICOMDIR"

_ITEM_HEAD_BYTES = 8
_SEQUENCE_HEAD_BYTES = 12
_IN_USE = 0xFFFF
_RECORD_KEYS = {
    "PATIENT": ("PatientName", "PatientID"),
    "STUDY": ("StudyDate", "StudyTime", "StudyDescription", "StudyInstanceUID", "StudyID", "AccessionNumber"),
    "SERIES": ("Modality", "SeriesInstanceUID", "SeriesNumber"),
    "IMAGE": ("InstanceNumber",),
    "SR DOCUMENT": (
        *("InstanceNumber", "CompletionFlag", "VerificationFlag", "ContentDate", "ContentTime"),
        "ConceptNameCodeSequence",
    ),
}
"""What the records of each level repeat of the files, PS3.3 F.5."""


@dataclass(eq=False)
class _Record:
    """A directory record and those below it; offsets count bytes from the start of the file."""

    content: Dataset
    below: list[_Record]
    offset: int = 0


def write_directory(files: Sequence[tuple[tuple[str, ...], Dataset]], folder: Path, *, seed: str) -> Path:
    """Write the DICOMDIR of one patient's one study and return it.

    Parameters
    ----------
    files : sequence of (way, object)
        Folders and name of each file below ``folder``, and what is in it; the objects of a series stand together.
    folder : Path
        Where the DICOMDIR goes.
    seed : str
        The UID of the file set is made from it.

    Returns
    -------
    Path
        The DICOMDIR.

    Raises
    ------
    OutputError
        The file cannot be written.
    """
    first = files[0][1]
    study = _Record(_record("STUDY", first), [_series_record(list(group)) for _, group in _by_series(files)])
    patient = _Record(_record("PATIENT", first), [study])
    directory = _empty_directory(seed)
    records = list(_flattened([patient]))
    directory.DirectoryRecordSequence = [record.content for record in records]
    _set_offsets(directory, records)
    _link([patient])
    directory.OffsetOfTheFirstDirectoryRecordOfTheRootDirectoryEntity = patient.offset
    directory.OffsetOfTheLastDirectoryRecordOfTheRootDirectoryEntity = patient.offset
    save_object(directory, folder / DIRECTORY_NAME)
    return folder / DIRECTORY_NAME


def _by_series(
    files: Sequence[tuple[tuple[str, ...], Dataset]],
) -> itertools.groupby[str, tuple[tuple[str, ...], Dataset]]:
    return itertools.groupby(files, key=lambda file: str(file[1].SeriesInstanceUID))


def _series_record(files: list[tuple[tuple[str, ...], Dataset]]) -> _Record:
    return _Record(_record("SERIES", files[0][1]), [_file_record(way, made) for way, made in files])


def _file_record(way: tuple[str, ...], made: Dataset) -> _Record:
    record = _record("SR DOCUMENT" if made.Modality == "SR" else "IMAGE", made)
    record.ReferencedFileID = list(way)
    record.ReferencedSOPClassUIDInFile = made.SOPClassUID
    record.ReferencedSOPInstanceUIDInFile = made.SOPInstanceUID
    record.ReferencedTransferSyntaxUIDInFile = ExplicitVRLittleEndian
    return _Record(record, [])


def _record(kind: str, made: Dataset) -> Dataset:
    record = Dataset()
    record.OffsetOfTheNextDirectoryRecord = 0
    record.RecordInUseFlag = _IN_USE
    record.OffsetOfReferencedLowerLevelDirectoryEntity = 0
    record.DirectoryRecordType = kind
    record.SpecificCharacterSet = made.SpecificCharacterSet
    for keyword in _RECORD_KEYS[kind]:
        if keyword in made:
            record[keyword] = made[keyword]
    if kind == "STUDY" and "StudyDescription" not in record:
        record.StudyDescription = ""
    return record


def _empty_directory(seed: str) -> FileDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = MediaStorageDirectoryStorage
    meta.MediaStorageSOPInstanceUID = UID(made_up_uid("file set", seed))
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    directory = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    directory.FileSetID = "CALCMAP"
    directory.OffsetOfTheFirstDirectoryRecordOfTheRootDirectoryEntity = 0
    directory.OffsetOfTheLastDirectoryRecordOfTheRootDirectoryEntity = 0
    directory.FileSetConsistencyFlag = 0
    return directory


def _flattened(records: Sequence[_Record]) -> list[_Record]:
    return [one for record in records for one in (record, *_flattened(record.below))]


def _set_offsets(directory: FileDataset, records: Sequence[_Record]) -> None:
    """Find where each record will stand; all records lie behind everything else, so the end is the anchor."""
    lengths = [_ITEM_HEAD_BYTES + _n_bytes(record.content) for record in records]
    buffer = DicomBytesIO()
    directory.save_as(buffer, enforce_file_format=True)
    start = len(buffer.getvalue()) - sum(lengths)
    for record, length in zip(records, lengths, strict=True):
        record.offset = start
        start += length


def _n_bytes(content: Dataset) -> int:
    buffer = DicomBytesIO()
    buffer.is_little_endian, buffer.is_implicit_VR = True, False
    return int(write_dataset(buffer, content))


def _link(records: Sequence[_Record]) -> None:
    """Write into each record where the next one and the first one below it stand."""
    for record, following in itertools.zip_longest(records, records[1:]):
        record.content.OffsetOfTheNextDirectoryRecord = following.offset if following else 0
        if record.below:
            record.content.OffsetOfReferencedLowerLevelDirectoryEntity = record.below[0].offset
            _link(record.below)
