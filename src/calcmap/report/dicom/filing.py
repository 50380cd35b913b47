"""Under whose name, in which series, made by what and when a report is filed.

Every report goes into the study of the scan it speaks of, as a new series. Patient and study are taken over letter by
letter, in Unicode; nothing of them is made up, corrected or dropped, except that an incomplete clinical trial is left
out, since DICOM has no place for half of one.
"""

from __future__ import annotations

import copy
import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta, timezone
from enum import Enum
from functools import cached_property

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sr.coding import Code
from pydicom.uid import UID, ExplicitVRLittleEndian, generate_uid

from calcmap.core.errors import OutputError
from calcmap.core.result import DISCLAIMER, Provenance, StudyResult, result_to_json
from calcmap.io.source_headers import UNICODE
from calcmap.report.dicom import codes

MANUFACTURER = "CalcMap"
MODEL = "CalcMap"
VERIFIED, UNVERIFIED = "VERIFIED", "UNVERIFIED"
"""Values of VerificationFlag."""

PATIENT_AND_STUDY = (
    *("PatientName", "PatientID", "IssuerOfPatientID", "IssuerOfPatientIDQualifiersSequence", "TypeOfPatientID"),
    *("PatientBirthDate", "PatientBirthTime", "PatientSex", "OtherPatientIDsSequence", "OtherPatientNames"),
    *("EthnicGroup", "PatientComments", "QualityControlSubject", "PatientIdentityRemoved", "DeidentificationMethod"),
    *("DeidentificationMethodCodeSequence", "LongitudinalTemporalInformationModified", "TimezoneOffsetFromUTC"),
    *("PatientAge", "PatientSize", "PatientWeight", "AdmissionID", "IssuerOfAdmissionIDSequence"),
    *("StudyInstanceUID", "StudyDate", "StudyTime", "StudyID", "AccessionNumber", "IssuerOfAccessionNumberSequence"),
    *("StudyDescription", "ReferringPhysicianName", "ReferringPhysicianIdentificationSequence"),
)
"""What a report takes over from the scan where the scan has it."""
ALWAYS_THERE = (
    *("PatientName", "PatientBirthDate", "PatientSex"),
    *("StudyDate", "StudyTime", "StudyID", "AccessionNumber", "ReferringPhysicianName"),
)
"""Attributes that DICOM wants in any case, empty where they are not known (type 2)."""
TRIAL = (
    *("ClinicalTrialSponsorName", "ClinicalTrialProtocolID", "ClinicalTrialProtocolName", "ClinicalTrialSiteID"),
    *("ClinicalTrialSiteName", "ClinicalTrialSubjectID", "ClinicalTrialSubjectReadingID"),
    *("ClinicalTrialTimePointID", "ClinicalTrialTimePointDescription"),
)
TRIAL_NEEDS = ("ClinicalTrialSponsorName", "ClinicalTrialProtocolID")
TRIAL_ALWAYS_THERE = ("ClinicalTrialProtocolName", "ClinicalTrialSiteID", "ClinicalTrialSiteName")
TRIAL_SUBJECT = ("ClinicalTrialSubjectID", "ClinicalTrialSubjectReadingID")


class Kind(Enum):
    """A report: its series number, its modality, and what its series is called."""

    SEGMENTATION = (9101, "SEG", "CalcMap segmentation")
    MEASUREMENTS = (9102, "SR", "CalcMap calcium score")
    PAGE = (9103, "DOC", "CalcMap report")
    OVERVIEW = (9104, "OT", "CalcMap overview")

    @property
    def series_number(self) -> int:
        """SeriesNumber; far above those that scanners give (our choice)."""
        return self.value[0]

    @property
    def modality(self) -> str:
        """Modality."""
        return self.value[1]

    @property
    def words(self) -> str:
        """What the series is called."""
        return self.value[2]


class SegmentationForm(Enum):
    """How masks are stored."""

    BINARY = "BINARY"
    """One bit a pixel and segment: what viewers know."""
    LABELMAP = "LABELMAP"
    """One byte a pixel (DICOM 2024): smaller when compressed, unknown to many viewers."""


@dataclass(frozen=True)
class Verification:
    """Who answers for a result, since when, and whether anything of the machine's was changed.

    Parameters
    ----------
    name : str
        As DICOM writes names, ``"Family^Given"``, or plainly.
    organization : str
        Where the verifier works.
    at : datetime
        When it was signed.
    has_changes : bool
        Whether the physician changed lesions: masks are then no longer the machine's alone.

    Raises
    ------
    OutputError
        Name or organization is empty.
    """

    name: str
    organization: str
    at: datetime
    has_changes: bool = False

    def __post_init__(self) -> None:
        if not self.name.strip() or not self.organization.strip():
            raise OutputError("a verified report names its verifier and the organization, expected both")

    @property
    def dicom_name(self) -> str:
        """The name with DICOM's mark between family and given name, which a plain one lacks."""
        return self.name if "^" in self.name else f"{self.name}^"


@dataclass(frozen=True)
class Predecessor:
    """An earlier report that a new one takes over from."""

    sop_class_uid: str
    sop_instance_uid: str
    study_uid: str
    series_uid: str


def predecessor_of(report: Dataset) -> Predecessor:
    """Return the reference to a report that was made or read."""
    return Predecessor(report.SOPClassUID, report.SOPInstanceUID, report.StudyInstanceUID, report.SeriesInstanceUID)


@dataclass(frozen=True, kw_only=True)
class ReportSettings:
    """What is not in the result.

    Parameters
    ----------
    made_at : datetime
        Time of the reports. One with a time zone is written in the study's, where the study names one.
    form : SegmentationForm
        How masks are stored.
    verification : Verification or None
        ``None``: the machine's result, unverified.
    predecessors : tuple of Predecessor
        The unverified reports that verified ones take over from; each new report refers to those of its own class.
    """

    made_at: datetime
    form: SegmentationForm = SegmentationForm.BINARY
    verification: Verification | None = None
    predecessors: tuple[Predecessor, ...] = ()


@dataclass(frozen=True, eq=False)
class Filing:
    """A result, the scan's patient and study, and the settings: all that reports have in common.

    Parameters
    ----------
    result : StudyResult
        What the reports say.
    reference : Dataset
        Header of an image of the scan, in Unicode.
    settings : ReportSettings
        Time, form, verifier.
    """

    result: StudyResult
    reference: Dataset
    settings: ReportSettings

    @property
    def status(self) -> str:
        """``"VERIFIED"`` or ``"UNVERIFIED"``."""
        return VERIFIED if self.settings.verification else UNVERIFIED

    @property
    def made_at(self) -> datetime:
        """Time of the reports, in the study's time zone where both are known."""
        return self.in_study_zone(self.settings.made_at)

    def in_study_zone(self, moment: datetime) -> datetime:
        """Return a moment in the study's time zone, which is that of all times of an object, if known."""
        offset = str(self.reference.get("TimezoneOffsetFromUTC") or "")
        if moment.tzinfo is None or not re.fullmatch(r"[+-]\d{4}", offset):
            return moment
        minutes = int(offset[1:3]) * 60 + int(offset[3:])
        return moment.astimezone(timezone(timedelta(minutes=-minutes if offset[0] == "-" else minutes)))

    def uid(self, *what: str) -> str:
        """Return the UID of a part of these reports.

        It follows from the scan, everything the result and the settings say, and ``what``: reports that differ in
        anything have other UIDs, and the same report has the same ones.
        """
        return str(generate_uid(entropy_srcs=["CalcMap report", self.reference.SOPInstanceUID, self._told, *what]))

    @cached_property
    def _told(self) -> str:
        said = {key: value for key, value in result_to_json(self.result).items() if key != "seconds"}
        return json.dumps([said, asdict(self.settings)], sort_keys=True, default=str)

    def predecessors_of(self, sop_class_uid: str) -> list[Predecessor]:
        """Return the earlier reports of one class."""
        return [one for one in self.settings.predecessors if one.sop_class_uid == sop_class_uid]


def blank_object(sop_class_uid: str, filing: Filing, *, kind: Kind) -> Dataset:
    """Return an object of a class with its identity and nothing else; explicit little endian."""
    made = Dataset()
    made.preamble = b"\0" * 128
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.file_meta.MediaStorageSOPClassUID = made.SOPClassUID = UID(sop_class_uid)
    made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID = UID(filing.uid(kind.name))
    made.SeriesInstanceUID = filing.uid("series", kind.name)
    made.InstanceNumber = 1
    return made


def file_under(made: Dataset, filing: Filing, *, kind: Kind) -> None:
    """Put patient, study, series, equipment and times into a report, over whatever stands there."""
    _take_over(made, filing.reference)
    made.SpecificCharacterSet = UNICODE
    made.Modality = kind.modality
    is_verified = filing.settings.verification is not None
    made.SeriesNumber = kind.series_number + (10 if is_verified else 0)
    words = kind.words if filing.result.coronary is not None else f"{kind.words}: no score"
    made.SeriesDescription = f"{words} {filing.status}"
    _add_equipment(made, filing)
    day, time = filing.made_at.strftime("%Y%m%d"), filing.made_at.strftime("%H%M%S")
    made.InstanceCreationDate = made.SeriesDate = made.ContentDate = day
    made.InstanceCreationTime = made.SeriesTime = made.ContentTime = time


def _take_over(made: Dataset, reference: Dataset) -> None:
    is_trial = all(reference.get(one) for one in TRIAL_NEEDS) and any(reference.get(one) for one in TRIAL_SUBJECT)
    for keyword in (*PATIENT_AND_STUDY, *(TRIAL if is_trial else ())):
        if keyword in reference:
            made[keyword] = copy.deepcopy(reference[keyword])
    for keyword in (*ALWAYS_THERE, *(TRIAL_ALWAYS_THERE if is_trial else ())):
        if keyword not in made:
            setattr(made, keyword, "")


def _add_equipment(made: Dataset, filing: Filing) -> None:
    provenance = filing.result.provenance
    made.Manufacturer = MANUFACTURER
    made.ManufacturerModelName = MODEL
    made.DeviceSerialNumber = fingerprint(provenance)
    made.SoftwareVersions = provenance.version
    made.ContributingEquipmentSequence = [*_scanner(filing.reference), _itself(filing), *_algorithms(filing)]
    made.CodingSchemeIdentificationSequence = [
        coding_scheme("99IHE", "IHE's provisional concepts", "IHE International")
    ]


def fingerprint(provenance: Provenance) -> str:
    """Return one SHA-256 over all networks of a result: another network, another fingerprint."""
    names = sorted(provenance.weights_sha256.items())
    return hashlib.sha256("\n".join(f"{name} {sha256}" for name, sha256 in names).encode()).hexdigest()


def device_uid(provenance: Provenance) -> str:
    """Return the UID of CalcMap as a device: it changes with the version and with any network."""
    return str(generate_uid(entropy_srcs=["CalcMap device", provenance.version, fingerprint(provenance)]))


def _scanner(reference: Dataset) -> list[Dataset]:
    """Return the scanner, where the scan names its maker."""
    if not reference.get("Manufacturer"):
        return []
    item = _equipment(reference.Manufacturer, codes.ACQUISITION_EQUIPMENT)
    item.ManufacturerModelName = reference.get("ManufacturerModelName")
    return [item]


def _itself(filing: Filing) -> Dataset:
    provenance = filing.result.provenance
    item = _equipment(MANUFACTURER, codes.PROCESSING_EQUIPMENT)
    item.ManufacturerModelName = MODEL
    item.DeviceSerialNumber = fingerprint(provenance)
    item.DeviceUID = device_uid(provenance)
    item.SoftwareVersions = provenance.version
    item.ContributionDateTime = filing.made_at.strftime("%Y%m%d%H%M%S")
    item.ContributionDescription = f"Calcium scoring. {DISCLAIMER}"
    return item


def _algorithms(filing: Filing) -> list[Dataset]:
    """Return one item for each network, with its hash, as IHE AI Results asks for."""
    provenance = filing.result.provenance
    items = []
    for name, sha256 in sorted(provenance.weights_sha256.items()):
        item = _equipment(MANUFACTURER, codes.ALGORITHM_PURPOSE)
        item.ManufacturerModelName = f"{MODEL} {name} network"
        item.DeviceUID = str(generate_uid(entropy_srcs=["CalcMap network", name, provenance.version, sha256]))
        item.SoftwareVersions = [provenance.version, sha256]
        item.ContributionDescription = f"{name} network; its weights have SHA-256 {sha256}"
        items.append(item)
    return items


def _equipment(manufacturer: str, purpose: Code) -> Dataset:
    item = Dataset()
    item.PurposeOfReferenceCodeSequence = [coded(purpose)]
    item.Manufacturer = manufacturer
    return item


def coding_scheme(designator: str, name: str, organization: str) -> Dataset:
    """Return who answers for a coding scheme that is not part of DICOM."""
    item = Dataset()
    item.CodingSchemeDesignator, item.CodingSchemeName = designator, name
    item.CodingSchemeResponsibleOrganization = organization
    return item


def coded(concept: Code) -> Dataset:
    """Return a concept as an item of a code sequence."""
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator = concept.value, concept.scheme_designator
    item.CodeMeaning = concept.meaning
    return item


def referred_to(sop_class_uid: str, sop_instance_uid: str) -> Dataset:
    """Return a reference to an object."""
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = sop_class_uid, sop_instance_uid
    return item


def documents_sequence(predecessors: Iterable[Predecessor]) -> list[Dataset]:
    """Return earlier reports as PredecessorDocumentsSequence has them: by study, series and object."""
    items = []
    for one in predecessors:
        series, study = Dataset(), Dataset()
        series.SeriesInstanceUID = one.series_uid
        series.ReferencedSOPSequence = [referred_to(one.sop_class_uid, one.sop_instance_uid)]
        study.StudyInstanceUID = one.study_uid
        study.ReferencedSeriesSequence = [series]
        items.append(study)
    return items


def images_sequence(predecessors: Iterable[Predecessor]) -> list[Dataset]:
    """Return earlier reports as SourceImageSequence has them, with the purpose."""
    items = []
    for one in predecessors:
        item = referred_to(one.sop_class_uid, one.sop_instance_uid)
        item.PurposeOfReferenceCodeSequence = [coded(codes.DERIVED_FROM)]
        items.append(item)
    return items
