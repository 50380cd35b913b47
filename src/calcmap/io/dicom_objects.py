"""What every DICOM object that CalcMap makes up has in common: identity, patient, study, series and equipment.

Strict, as writing should be: whatever the standard wants of an object is there, and nothing is invented silently. The
patient is a made-up one and the headers say so.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path

from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian, generate_uid

from calcmap import __version__
from calcmap.core.errors import OutputError

MADE_UP_DATE = "20000101"
"""Date of made-up studies unless another one is asked for; a fixed one: the same seed gives the same bytes."""
MADE_UP_TIME = "120000"

CORRECTION_PURPOSE = ("122403", "DCM", "For Attenuation Correction")
"""Why a nuclear series refers to a CT series: PS3.16, CID 7210."""

_DECIMAL_CHARACTERS = 16


@dataclass(frozen=True, kw_only=True)
class SeriesHeader:
    """Whose series it is, in which study, made when and by what.

    Raises
    ------
    OutputError
        The patient's age does not fit into three digits.
    """

    seed: str
    """All UIDs of the series are made from it: the same seed gives the same series, another seed another one."""
    study_seed: str = ""
    """Series with one study seed belong to one study; ``seed`` when empty."""
    frame_seed: str = ""
    """Series with one frame seed share their frame of reference; the study's seed when empty."""
    patient_id: str = "SYNTHETIC"
    """Of a made-up patient; the name is ``"Synthetic^"`` and this."""
    patient_sex: str = ""
    """``"M"``, ``"F"``, ``"O"`` or empty."""
    patient_age_years: int | None = None
    patient_height_m: float | None = None
    patient_weight_kg: float | None = None
    study_description: str = ""
    study_date: str = MADE_UP_DATE
    """Year, month, day as DICOM has them; of every object of the study."""
    study_time: str = MADE_UP_TIME
    """Hour, minute, second."""
    time: str = ""
    """When the series was acquired, on the study's date; the study's time when empty."""
    institution: str = "Synthetic"
    description: str = ""
    protocol: str = ""
    body_part: str = "HEART"
    manufacturer: str = "CalcMap simulator"
    scanner_model: str = "synthetic"
    series_number: int = 1

    def __post_init__(self) -> None:
        if self.patient_age_years is not None and not 0 <= self.patient_age_years <= 999:
            raise OutputError(f"the patient's age is {self.patient_age_years} years, expected 0 to 999")

    @property
    def study_uid(self) -> str:
        """StudyInstanceUID."""
        return made_up_uid("study", self.study_seed or self.seed)

    @property
    def series_uid(self) -> str:
        """SeriesInstanceUID."""
        return made_up_uid("series", self.seed)

    @property
    def frame_of_reference_uid(self) -> str:
        """FrameOfReferenceUID."""
        return made_up_uid("frame", self.frame_seed or self.study_seed or self.seed)

    @property
    def acquired_at(self) -> str:
        """Time of the series, of its acquisition and of its content."""
        return self.time or self.study_time

    def sop_instance_uid(self, number: int) -> str:
        """SOPInstanceUID of the object with that InstanceNumber."""
        return made_up_uid(f"instance {number}", self.seed)


@functools.lru_cache(maxsize=1024)
def made_up_uid(kind: str, seed: str) -> str:
    """Return the UID that a kind of thing and a seed determine."""
    return str(generate_uid(entropy_srcs=["CalcMap synthetic", kind, seed]))


def new_object(sop_class_uid: str, *, header: SeriesHeader, modality: str, number: int = 1) -> FileDataset:
    """Return an object with its identity, patient, study, series and equipment, ready for what its kind adds.

    Explicit little endian. The frame of reference and the content are left to the caller.
    """
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = UID(sop_class_uid)
    meta.MediaStorageSOPInstanceUID = UID(header.sop_instance_uid(number))
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    made.SpecificCharacterSet = "ISO_IR 192"
    made.SOPClassUID = meta.MediaStorageSOPClassUID
    made.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
    made.InstanceNumber = number
    _add_patient(made, header)
    _add_study(made, header)
    _add_series(made, header, modality=modality)
    return made


def _add_patient(made: Dataset, header: SeriesHeader) -> None:
    made.PatientName = f"Synthetic^{header.patient_id}"
    made.PatientID = header.patient_id
    made.PatientBirthDate = ""
    made.PatientSex = header.patient_sex
    made.PatientComments = "Made by a simulator; not a patient."
    if header.patient_age_years is not None:
        made.PatientAge = f"{header.patient_age_years:03d}Y"
    if header.patient_height_m is not None:
        made.PatientSize = f"{header.patient_height_m:.2f}"
    if header.patient_weight_kg is not None:
        made.PatientWeight = f"{header.patient_weight_kg:.1f}"


def _add_study(made: Dataset, header: SeriesHeader) -> None:
    made.StudyInstanceUID = header.study_uid
    made.StudyID = "1"
    made.StudyDate, made.StudyTime = header.study_date, header.study_time
    made.AccessionNumber = ""
    made.ReferringPhysicianName = ""
    if header.study_description:
        made.StudyDescription = header.study_description


def _add_series(made: Dataset, header: SeriesHeader, *, modality: str) -> None:
    made.Modality = modality
    made.SeriesInstanceUID = header.series_uid
    made.SeriesNumber = header.series_number
    made.SeriesDescription = header.description
    if header.protocol:
        made.ProtocolName = header.protocol
    made.SeriesDate = made.ContentDate = header.study_date
    made.SeriesTime = made.ContentTime = header.acquired_at
    made.Manufacturer = header.manufacturer
    made.ManufacturerModelName = header.scanner_model
    made.InstitutionName = header.institution
    made.SoftwareVersions = f"CalcMap {__version__}"


def add_frame_of_reference(made: Dataset, header: SeriesHeader) -> None:
    """Say in which space a series lies and which part of the body it shows."""
    made.BodyPartExamined = header.body_part
    made.FrameOfReferenceUID = header.frame_of_reference_uid
    made.PositionReferenceIndicator = ""


def add_acquisition_time(made: Dataset, header: SeriesHeader) -> None:
    """Say when the data of an image were acquired."""
    made.AcquisitionDate, made.AcquisitionTime = header.study_date, header.acquired_at


def related_series(study_uid: str, series_uid: str) -> Dataset:
    """Return the reference by which a nuclear series names the CT series that corrected its attenuation."""
    related = Dataset()
    related.StudyInstanceUID, related.SeriesInstanceUID = study_uid, series_uid
    related.PurposeOfReferenceCodeSequence = [code(*CORRECTION_PURPOSE)]
    return related


def code(value: str, scheme: str, meaning: str) -> Dataset:
    """Return a coded concept as an item of a code sequence."""
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return item


def save_object(made: FileDataset, path: Path) -> None:
    """Write an object as a DICOM file; folders on the way are made.

    Raises
    ------
    OutputError
        The file cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        made.save_as(path, enforce_file_format=True)
    except OSError as error:
        raise OutputError(f"cannot write {path.name} to {path.parent}: {error.strerror}") from error


def decimal(value: float) -> str:
    """Return a number as a DICOM decimal string: at most 16 characters, as exact as they allow."""
    for digits in range(_DECIMAL_CHARACTERS, 0, -1):
        text = f"{value + 0.0:.{digits}g}"
        if len(text) <= _DECIMAL_CHARACTERS:
            return text
    raise OutputError(f"{value} does not fit into a DICOM decimal string")
