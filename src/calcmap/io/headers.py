"""DICOM files as instances: a header, where its pixels are, and whether it is an image at all."""

from __future__ import annotations

import functools
from dataclasses import dataclass

from calcmap.core.errors import NotAnImageError, UnreadableFileError
from calcmap.io.dicom_elements import Elements, MalformedDicomError, read_header
from calcmap.io.sources import Source

CLASSIC_CT = "1.2.840.10008.5.1.4.1.1.2"
ENHANCED_CT = ("1.2.840.10008.5.1.4.1.1.2.1", "1.2.840.10008.5.1.4.1.1.2.2")
"""Enhanced CT, and legacy converted enhanced CT."""


@dataclass(frozen=True, eq=False)
class Instance:
    """The header of one DICOM file that holds pixels.

    Parameters
    ----------
    source : Source
        Where to read the pixels.
    header : Elements
        The elements of ``dicom_elements.ELEMENTS``.
    transfer_syntax : str
        How the file is encoded.
    pixel_offset, pixel_length : int
        Where the pixel data's value begins, and its announced length.
    """

    source: Source
    header: Elements
    transfer_syntax: str
    pixel_offset: int
    pixel_length: int

    @functools.cached_property
    def sop_class_uid(self) -> str:
        """SOP Class UID, empty when absent."""
        return self.text("SOPClassUID")

    @functools.cached_property
    def sop_instance_uid(self) -> str:
        """SOP Instance UID, empty when absent."""
        return self.text("SOPInstanceUID")

    @property
    def is_enhanced(self) -> bool:
        """Whether geometry and rescale sit in functional groups."""
        return self.sop_class_uid in ENHANCED_CT

    @functools.cached_property
    def n_frames(self) -> int:
        """Number of frames; 1 when the header does not say."""
        return int(self.number("NumberOfFrames") or 1)

    @functools.cached_property
    def image_type(self) -> tuple[str, ...]:
        """Values of ImageType, upper case."""
        return tuple(value.strip().upper() for value in self.text("ImageType").split("\\") if value.strip())

    def text(self, keyword: str) -> str:
        """Return an element as text without padding, several values joined by backslashes; empty when absent."""
        return self.header.text(keyword)

    def numbers(self, keyword: str) -> tuple[float, ...]:
        """Return the numbers of an element; empty when absent or not numbers."""
        return self.header.numbers(keyword)

    def number(self, keyword: str) -> float | None:
        """Return the first number of an element; ``None`` when absent or not a number."""
        return self.header.number(keyword)


def read_instance(source: Source) -> Instance:
    """Return the header of one DICOM image.

    Raises
    ------
    UnreadableFileError
        The header is cut off, damaged or encrypted.
    NotAnImageError
        The object holds no pixels.
    """
    try:
        with source.open() as stream:
            header = read_header(stream)
    except (MalformedDicomError, OSError) as error:
        raise UnreadableFileError(f"{source.name} is not a complete DICOM file: {error}") from error
    elements = header.elements
    if header.pixel_offset is None:
        raise _no_pixels(elements, source.name)
    if not elements.text("StudyInstanceUID") or not elements.text("SeriesInstanceUID"):
        raise UnreadableFileError(f"{source.name} lacks a study or series UID, expected both")
    return Instance(source, elements, header.transfer_syntax, header.pixel_offset, header.pixel_length)


def _no_pixels(elements: Elements, name: str) -> UnreadableFileError | NotAnImageError:
    if not elements.text("SOPClassUID") and not elements.text("SeriesInstanceUID"):
        return UnreadableFileError(f"{name} ends before its identification, expected a complete DICOM file")
    if "EncryptedAttributesSequence" in elements:
        return UnreadableFileError(f"{name} is encrypted: its attributes are sealed and it has no pixel data")
    if "Rows" in elements or elements.text("SOPClassUID") in (CLASSIC_CT, *ENHANCED_CT):
        series_uid = elements.text("SeriesInstanceUID") or None
        return UnreadableFileError(f"{name} describes an image but ends before its pixel data", series_uid=series_uid)
    return NotAnImageError(f"{name} is a DICOM object without pixels ({elements.text('Modality') or 'unknown kind'})")
