"""DICOM headers, read once and without pixels."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from pydicom import dcmread
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.tag import BaseTag, Tag
from pydicom.uid import (
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    EnhancedCTImageStorage,
    ImplicitVRLittleEndian,
    LegacyConvertedEnhancedCTImageStorage,
)

from calcmap.core.errors import NotAnImageError, UnreadableFileError
from calcmap.io.sources import Source

CLASSIC_CT = str(CTImageStorage)
ENHANCED_CT = (str(EnhancedCTImageStorage), str(LegacyConvertedEnhancedCTImageStorage))

_KEYWORDS = (
    *("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID"),
    *("Modality", "ImageType", "SeriesDescription", "ProtocolName", "AcquisitionNumber", "InstanceNumber"),
    *("SeriesDate", "SeriesTime", "AcquisitionDate", "AcquisitionTime", "ScanOptions", "RelatedSeriesSequence"),
    *("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "Rows", "Columns", "NumberOfFrames"),
    *("SliceThickness", "GantryDetectorTilt", "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"),
    *("BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "SamplesPerPixel", "PhotometricInterpretation"),
    *("RescaleSlope", "RescaleIntercept", "RescaleType", "PixelPaddingValue", "EncryptedAttributesSequence"),
    *("KVP", "XRayTubeCurrent", "Exposure", "ConvolutionKernel", "Manufacturer", "ManufacturerModelName"),
    *("ReconstructionDiameter", "ContrastBolusAgent", "ContrastBolusRoute", "PatientSex", "PatientAge"),
    *("TriggerTime", "NominalPercentageOfCardiacPhase", "CardiacSynchronizationTechnique"),
    *("CalciumScoringMassFactorPatient", "CalciumScoringMassFactorDevice"),
)


def _tag(keyword: str) -> BaseTag:
    number = tag_for_keyword(keyword)
    if number is None:
        raise KeyError(keyword)
    return Tag(number)


TAGS = {keyword: _tag(keyword) for keyword in _KEYWORDS}
"""The elements that are read of any file; the patient's name and identifiers are not among them."""

_TEXT_NUMBERS = frozenset(keyword for keyword, tag in TAGS.items() if dictionary_VR(tag) in ("DS", "IS"))
_SPECIFIC_TAGS: list[BaseTag] = list(TAGS.values())
_PREAMBLE_BYTES = 128
_SNIFFED_GROUPS = (b"\x02\x00", b"\x08\x00")
_PIXEL_DATA_LITTLE_ENDIAN = b"\xe0\x7f\x10\x00"
_PIXEL_DATA_BIG_ENDIAN = b"\x7f\xe0\x00\x10"
_PARSING_ERRORS = (
    *(InvalidDicomError, BytesLengthException, EOFError, OSError, zlib.error),
    *(struct.error, ValueError, KeyError, AttributeError, NotImplementedError, TypeError),
)
"""What pydicom raises on damaged files, as seen when files are cut or bytes are flipped."""


@dataclass(frozen=True, eq=False)
class Instance:
    """The header of one DICOM file that holds pixels.

    Parameters
    ----------
    source : Source
        Where to read the pixels.
    header : Dataset
        The elements of ``TAGS`` only.
    transfer_syntax : str
        How the file is encoded.
    pixel_offset : int or None
        Byte offset of the pixel data element; ``None`` when the dataset is deflated.
    """

    source: Source
    header: Dataset
    transfer_syntax: str
    pixel_offset: int | None

    @property
    def sop_class_uid(self) -> str:
        """SOP Class UID, empty when absent."""
        return self.text("SOPClassUID")

    @property
    def sop_instance_uid(self) -> str:
        """SOP Instance UID, empty when absent."""
        return self.text("SOPInstanceUID")

    @property
    def is_enhanced(self) -> bool:
        """Whether geometry and rescale sit in functional groups."""
        return self.sop_class_uid in ENHANCED_CT

    @property
    def n_frames(self) -> int:
        """Number of frames; 1 when the header does not say."""
        return int(self.number("NumberOfFrames") or 1)

    @property
    def image_type(self) -> tuple[str, ...]:
        """Values of ImageType, upper case."""
        return tuple(value.strip().upper() for value in self.text("ImageType").split("\\") if value.strip())

    def text(self, keyword: str) -> str:
        """Return an element as text without padding, several values joined by backslashes; empty when absent."""
        return element_text(self.header, keyword)

    def numbers(self, keyword: str) -> tuple[float, ...]:
        """Return the numbers of an element; empty when absent or not numbers."""
        return element_numbers(self.header, keyword)

    def number(self, keyword: str) -> float | None:
        """Return the first number of an element; ``None`` when absent or not a number."""
        values = self.numbers(keyword)
        return values[0] if values else None


def element_text(dataset: Dataset, keyword: str) -> str:
    """Return an element of a dataset as text without padding; empty when absent or undecodable."""
    try:
        value = dataset.get(TAGS[keyword])
    except _PARSING_ERRORS:
        return ""
    if value is None or value.value is None:
        return ""
    content = value.value
    if isinstance(content, str):
        return content.strip(" \0")
    try:
        return "\\".join(str(item).strip(" \0") for item in content)
    except TypeError:
        return str(content)


def element_numbers(dataset: Dataset, keyword: str) -> tuple[float, ...]:
    """Return the numbers of an element of a dataset; empty when absent or not numbers.

    Decimal strings are parsed here, without pydicom's decimal objects: a stack has thousands of them.
    """
    element = dataset.get_item(TAGS[keyword])
    if element is None or element.value is None or element.value == b"":
        return ()
    try:
        if keyword in _TEXT_NUMBERS and isinstance(element.value, bytes):
            return tuple(float(part) for part in element.value.strip(b" \0").split(b"\\"))
        content = dataset[TAGS[keyword]].value
        values = content if isinstance(content, (list, tuple)) or hasattr(content, "__iter__") else (content,)
        return tuple(float(value) for value in values)
    except _PARSING_ERRORS:
        return ()


def is_dicom(head: bytes) -> bool:
    """Tell from the first bytes of a file whether it is DICOM, with the preamble or (older files) without."""
    if head[_PREAMBLE_BYTES : _PREAMBLE_BYTES + 4] == b"DICM":
        return True
    # Without preamble the first element is of group 0002 or 0008, little endian, with a small element number.
    return head[:2] in _SNIFFED_GROUPS and len(head) > 8 and head[3] == 0 and head[2] <= 0x18


def read_instance(source: Source) -> Instance:
    """Return the header of one DICOM image.

    Raises
    ------
    UnreadableFileError
        The header is cut off, damaged or encrypted.
    NotAnImageError
        The object holds no pixels, or no UIDs to sort it by.
    """
    try:
        with source.open() as stream:
            header = dcmread(stream, stop_before_pixels=True, specific_tags=_SPECIFIC_TAGS, force=True)
            syntax = str(getattr(header.file_meta, "TransferSyntaxUID", ImplicitVRLittleEndian))
            offset = None if syntax == DeflatedExplicitVRLittleEndian else _pixel_offset(stream)
    except _PARSING_ERRORS as error:
        raise UnreadableFileError(f"{source.name} is not a complete DICOM file: {type(error).__name__}") from error
    has_pixels = offset is not None or (syntax == DeflatedExplicitVRLittleEndian and "Rows" in header)
    instance = Instance(source, header, syntax, offset)
    _check_is_image(instance, has_pixels=has_pixels)
    return instance


def sequence_items(dataset: Dataset, keyword: str) -> Iterator[Dataset]:
    """Yield the items of a sequence; nothing when it is absent or undecodable."""
    try:
        yield from dataset.get(keyword) or ()
    except _PARSING_ERRORS:
        return


def _check_is_image(instance: Instance, *, has_pixels: bool) -> None:
    name = instance.source.name
    if not instance.sop_class_uid and not instance.text("SeriesInstanceUID"):
        raise UnreadableFileError(f"{name} ends before its identification, expected a complete DICOM file")
    if has_pixels:
        if not instance.text("StudyInstanceUID") or not instance.text("SeriesInstanceUID"):
            raise UnreadableFileError(f"{name} lacks a study or series UID")
        return
    if "EncryptedAttributesSequence" in instance.header:
        raise UnreadableFileError(f"{name} is encrypted: its attributes are sealed and it has no pixel data")
    if instance.text("Rows"):
        raise UnreadableFileError(f"{name} describes an image but ends before its pixel data")
    modality = instance.text("Modality") or "unknown modality"
    raise NotAnImageError(f"{name} is a DICOM object without pixels ({modality})")


def _pixel_offset(stream: BinaryIO) -> int | None:
    offset = stream.tell()
    return offset if stream.read(4) in (_PIXEL_DATA_LITTLE_ENDIAN, _PIXEL_DATA_BIG_ENDIAN) else None
