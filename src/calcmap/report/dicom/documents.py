"""What people look at in the PACS: the page as Encapsulated PDF, the overview as secondary capture."""

from __future__ import annotations

import re

import numpy as np
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.uid import EncapsulatedPDFStorage, SecondaryCaptureImageStorage
from pydicom.valuerep import PersonName

from calcmap.report.dicom import codes
from calcmap.report.dicom.filing import (
    MANUFACTURER,
    MODEL,
    Filing,
    Kind,
    blank_object,
    coded,
    documents_sequence,
    file_under,
    images_sequence,
    referred_to,
)
from calcmap.report.doctor_page import PageSubject
from calcmap.report.letters import can_draw

_COLOURS = 3


def encapsulated_page(pdf: bytes, filing: Filing, *, sources: list[tuple[str, str]]) -> Dataset:
    """Return a PDF as a DICOM object.

    Parameters
    ----------
    pdf : bytes
        The file.
    filing : Filing
        Result, patient, settings.
    sources : list of (str, str)
        Class and instance UID of what the page was made from.

    Returns
    -------
    Dataset
        Encapsulated PDF.
    """
    made = blank_object(EncapsulatedPDFStorage, filing, kind=Kind.PAGE)
    file_under(made, filing, kind=Kind.PAGE)
    made.ConversionType = "SYN"
    made.BurnedInAnnotation = "YES"
    made.AcquisitionDateTime = _acquired_at(filing.reference)
    made.DocumentTitle = "Coronary calcium score"
    made.ConceptNameCodeSequence = [coded(codes.REPORT_TITLE)]
    made.VerificationFlag = filing.status
    made.SourceInstanceSequence = [referred_to(*source) for source in sources]
    earlier = filing.predecessors_of(EncapsulatedPDFStorage)
    if earlier:
        made.PredecessorDocumentsSequence = documents_sequence(earlier)
    made.MIMETypeOfEncapsulatedDocument = "application/pdf"
    made.EncapsulatedDocumentLength = len(pdf)
    made.EncapsulatedDocument = pdf + b"\0" * (len(pdf) % 2)
    return made


def captured_overview(picture: Image.Image, filing: Filing) -> Dataset:
    """Return an RGB picture as secondary capture; its words are burnt in, and it says so."""
    made = blank_object(SecondaryCaptureImageStorage, filing, kind=Kind.OVERVIEW)
    file_under(made, filing, kind=Kind.OVERVIEW)
    rgb_yxc = np.asarray(picture)
    made.ConversionType = "SYN"
    made.SecondaryCaptureDeviceManufacturer, made.SecondaryCaptureDeviceManufacturerModelName = MANUFACTURER, MODEL
    made.SecondaryCaptureDeviceSoftwareVersions = filing.result.provenance.version
    made.ImageType = ["DERIVED", "SECONDARY"]
    made.BodyPartExamined = "HEART"
    made.PatientOrientation = ""
    made.BurnedInAnnotation = "YES"
    made.LossyImageCompression = "00"
    made.Rows, made.Columns = rgb_yxc.shape[:2]
    made.SamplesPerPixel, made.PlanarConfiguration = _COLOURS, 0
    made.PhotometricInterpretation = "RGB"
    made.BitsAllocated = made.BitsStored = 8
    made.HighBit, made.PixelRepresentation = 7, 0
    earlier = filing.predecessors_of(SecondaryCaptureImageStorage)
    if earlier:
        made.SourceImageSequence = images_sequence(earlier)
    pixels = rgb_yxc.tobytes()
    made.PixelData = pixels + b"\0" * (len(pixels) % 2)
    made["PixelData"].VR = "OB"
    return made


def page_subject(filing: Filing) -> PageSubject:
    """Return patient, study and status as the page prints them."""
    reference, verification = filing.reference, filing.settings.verification
    status = "UNVERIFIED: by software alone, not seen by a physician"
    if verification is not None:
        at = filing.in_study_zone(verification.at)
        name = readable_names(PersonName(verification.name))[0]
        status = f"VERIFIED {at:%Y-%m-%d %H:%M} by {name}, {verification.organization}"
    return PageSubject(
        names=readable_names(PersonName(str(reference.get("PatientName") or ""))),
        left=(
            ("Patient ID", str(reference.PatientID)),
            ("Born", _day(reference.get("PatientBirthDate"))),
            ("Sex, age", f"{reference.get('PatientSex') or '-'}, {_age(reference.get('PatientAge'))}"),
        ),
        right=(
            ("Study", str(reference.get("StudyDescription") or "")),
            ("Date", _day(reference.get("StudyDate"))),
            ("Accession", str(reference.get("AccessionNumber") or "")),
            ("Referred by", readable_names(PersonName(str(reference.get("ReferringPhysicianName") or "")))[0]),
            ("Series", str(reference.get("SeriesDescription") or "")),
        ),
        status=status,
        is_verified=verification is not None,
        made_at=filing.made_at,
    )


def readable_names(name: PersonName) -> tuple[str, ...]:
    """Return a name as people write it, in each script that DICOM carries and this machine's fonts can draw.

    The first script is always given, letters that no font has as question marks.
    """
    written = []
    for group in str(name).split("="):
        family, _, others = group.partition("^")
        given = " ".join(part for part in others.split("^") if part)
        written.append(f"{family}, {given}" if given else family)
    return (written[0], *(one for one in written[1:] if one and can_draw(one)))


def _age(value: object) -> str:
    """Return an age string as people write it; one in months or days as it stands."""
    age = re.fullmatch(r"0*(\d+)Y", str(value or ""))
    return f"{age[1]} years" if age else str(value or "-")


def _day(value: object) -> str:
    text = str(value or "")
    return f"{text[:4]}-{text[4:6]}-{text[6:]}" if len(text) == len("YYYYMMDD") else text


def _acquired_at(reference: Dataset) -> str:
    """Return when the scan was made; empty where it does not say."""
    day, time = str(reference.get("AcquisitionDate") or ""), str(reference.get("AcquisitionTime") or "")
    return f"{day}{time}" if day else ""
