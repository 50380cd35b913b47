"""The few DICOM elements that finding and reading need, straight from the bytes in front of the pixels.

pydicom would do as well, and decodes the compressed pixels later. But its import takes longer than reading a whole
study, and a header costs it five times as much; a scan of 60 slices is to be read in a tenth of a second.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import BinaryIO

IMPLICIT_LITTLE_ENDIAN = "1.2.840.10008.1.2"
EXPLICIT_LITTLE_ENDIAN = "1.2.840.10008.1.2.1"
DEFLATED_LITTLE_ENDIAN = "1.2.840.10008.1.2.1.99"
EXPLICIT_BIG_ENDIAN = "1.2.840.10008.1.2.2"
NATIVE_SYNTAXES = (IMPLICIT_LITTLE_ENDIAN, EXPLICIT_LITTLE_ENDIAN, DEFLATED_LITTLE_ENDIAN, EXPLICIT_BIG_ENDIAN)
"""Transfer syntaxes whose pixels are plain numbers; in all others they are compressed."""

ELEMENTS: dict[str, tuple[int, str]] = {
    "TransferSyntaxUID": (0x00020010, "UI"),
    "DirectoryRecordSequence": (0x00041220, "SQ"),
    "ReferencedFileID": (0x00041500, "CS"),
    "SpecificCharacterSet": (0x00080005, "CS"),
    "ImageType": (0x00080008, "CS"),
    "SOPClassUID": (0x00080016, "UI"),
    "SOPInstanceUID": (0x00080018, "UI"),
    "SeriesDate": (0x00080021, "DA"),
    "AcquisitionDate": (0x00080022, "DA"),
    "SeriesTime": (0x00080031, "TM"),
    "AcquisitionTime": (0x00080032, "TM"),
    "Modality": (0x00080060, "CS"),
    "Manufacturer": (0x00080070, "LO"),
    "CodeValue": (0x00080100, "SH"),
    "SeriesDescription": (0x0008103E, "LO"),
    "ManufacturerModelName": (0x00081090, "LO"),
    "RelatedSeriesSequence": (0x00081250, "SQ"),
    "FrameType": (0x00089007, "CS"),
    "PatientSex": (0x00100040, "CS"),
    "PatientAge": (0x00101010, "AS"),
    "ContrastBolusAgent": (0x00180010, "LO"),
    "ScanOptions": (0x00180022, "CS"),
    "SliceThickness": (0x00180050, "DS"),
    "KVP": (0x00180060, "DS"),
    "ProtocolName": (0x00181030, "LO"),
    "ContrastBolusRoute": (0x00181040, "LO"),
    "TriggerTime": (0x00181060, "DS"),
    "ReconstructionDiameter": (0x00181100, "DS"),
    "GantryDetectorTilt": (0x00181120, "DS"),
    "XRayTubeCurrent": (0x00181151, "IS"),
    "Exposure": (0x00181152, "IS"),
    "ConvolutionKernel": (0x00181210, "SH"),
    "CardiacSynchronizationTechnique": (0x00189037, "CS"),
    "CTImageFrameTypeSequence": (0x00189329, "SQ"),
    "CalciumScoringMassFactorPatient": (0x00189351, "FL"),
    "StudyInstanceUID": (0x0020000D, "UI"),
    "SeriesInstanceUID": (0x0020000E, "UI"),
    "AcquisitionNumber": (0x00200012, "IS"),
    "ImagePositionPatient": (0x00200032, "DS"),
    "ImageOrientationPatient": (0x00200037, "DS"),
    "FrameOfReferenceUID": (0x00200052, "UI"),
    "PlanePositionSequence": (0x00209113, "SQ"),
    "PlaneOrientationSequence": (0x00209116, "SQ"),
    "NominalPercentageOfCardiacPhase": (0x00209241, "FL"),
    "SamplesPerPixel": (0x00280002, "US"),
    "NumberOfFrames": (0x00280008, "IS"),
    "Rows": (0x00280010, "US"),
    "Columns": (0x00280011, "US"),
    "PixelSpacing": (0x00280030, "DS"),
    "BitsAllocated": (0x00280100, "US"),
    "BitsStored": (0x00280101, "US"),
    "HighBit": (0x00280102, "US"),
    "PixelRepresentation": (0x00280103, "US"),
    "PixelPaddingValue": (0x00280120, "US or SS"),
    "RescaleIntercept": (0x00281052, "DS"),
    "RescaleSlope": (0x00281053, "DS"),
    "RescaleType": (0x00281054, "LO"),
    "PixelMeasuresSequence": (0x00289110, "SQ"),
    "PixelValueTransformationSequence": (0x00289145, "SQ"),
    "PurposeOfReferenceCodeSequence": (0x0040A170, "SQ"),
    "EncryptedAttributesSequence": (0x04000500, "SQ"),
    "SharedFunctionalGroupsSequence": (0x52009229, "SQ"),
    "PerFrameFunctionalGroupsSequence": (0x52009230, "SQ"),
}
"""Keyword to tag and value representation, as in DICOM PS3.6. The patient's name and identifiers are not among them."""

_TAGS = {keyword: tag for keyword, (tag, _) in ELEMENTS.items()}
_WANTED = frozenset(_TAGS.values())
DIRECTORY_ELEMENTS = frozenset(
    _TAGS[keyword] for keyword in ("TransferSyntaxUID", "DirectoryRecordSequence", "ReferencedFileID")
)
"""What is wanted of a DICOMDIR; its records hold names of patients, which are not."""
_SEQUENCES = frozenset(tag for tag, vr in ELEMENTS.values() if vr == "SQ")
_BINARY_FORMATS = {"US": "H", "US or SS": "H", "FL": "f"}

_CHARACTER_SET = _TAGS["SpecificCharacterSet"]

_CHUNK_BYTES = 16384
"""Most headers fit into one read of this size."""

_PREAMBLE_BYTES = 128
_PIXEL_TAGS = frozenset({0x7FE00010, 0x7FE00008, 0x7FE00009})
_META_GROUP_BYTES = b"\x02\x00"
_ITEM_GROUP = 0xFFFE
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_UNDEFINED_LENGTH = 0xFFFFFFFF
_LONG_VRS = frozenset({b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"})
"""Value representations whose explicit header is 12 bytes long (PS3.5, 7.1.2)."""

_MAX_DEPTH = 16
"""Sequences nested deeper than this are taken for garbage."""

_CHARSETS = {
    "": "latin-1",
    "ISO_IR 6": "latin-1",
    "ISO_IR 100": "latin-1",
    "ISO_IR 101": "iso8859-2",
    "ISO_IR 109": "iso8859-3",
    "ISO_IR 110": "iso8859-4",
    "ISO_IR 144": "iso8859-5",
    "ISO_IR 127": "iso8859-6",
    "ISO_IR 126": "iso8859-7",
    "ISO_IR 138": "iso8859-8",
    "ISO_IR 148": "iso8859-9",
    "ISO_IR 13": "shift_jis",
    "ISO_IR 166": "tis_620",
    "ISO_IR 192": "utf-8",
    "GB18030": "gb18030",
    "GBK": "gbk",
    "ISO 2022 IR 87": "iso2022_jp",
    "ISO 2022 IR 149": "euc_kr",
    "ISO 2022 IR 58": "gb2312",
}
"""Character sets in use for descriptions; in any other, bytes are shown as Latin-1."""


class MalformedDicomError(ValueError):
    """Bytes that are not the DICOM elements they should be."""


@dataclass
class Elements:
    """The wanted elements of a dataset or of a sequence item.

    Parameters
    ----------
    byte_order : str
        ``"<"`` or ``">"``.
    charset : str
        Python's name of the character set.
    values : dict of int to bytes
        Raw values by tag.
    items : dict of int to list of Elements
        Sequences by tag.
    """

    byte_order: str = "<"
    charset: str = "latin-1"
    values: dict[int, bytes] = field(default_factory=dict)
    items: dict[int, list[Elements]] = field(default_factory=dict)

    def __contains__(self, keyword: str) -> bool:
        return _TAGS[keyword] in self.values or _TAGS[keyword] in self.items

    def text(self, keyword: str) -> str:
        """Return a value as text without padding, several joined by backslashes; empty when absent."""
        raw = self.values.get(_TAGS[keyword], b"")
        try:
            return raw.decode(self.charset).strip(" \0")
        except (UnicodeDecodeError, LookupError):
            return raw.decode("latin-1").strip(" \0")

    def numbers(self, keyword: str) -> tuple[float, ...]:
        """Return the numbers of a value; empty when absent or not numbers."""
        tag, vr = ELEMENTS[keyword]
        raw = self.values.get(tag, b"")
        try:
            if vr in _BINARY_FORMATS:
                size = struct.calcsize(_BINARY_FORMATS[vr])
                return struct.unpack(f"{self.byte_order}{len(raw) // size}{_BINARY_FORMATS[vr]}", raw)
            return tuple(float(part) for part in raw.strip(b" \0").split(b"\\")) if raw else ()
        except (ValueError, struct.error):
            return ()

    def number(self, keyword: str) -> float | None:
        """Return the first number of a value; ``None`` when absent or not a number."""
        values = self.numbers(keyword)
        return values[0] if values else None

    def sequence(self, keyword: str) -> list[Elements]:
        """Return the items of a sequence; empty when absent."""
        return self.items.get(_TAGS[keyword], [])


@dataclass(frozen=True, eq=False)
class DicomHeader:
    """What stands in front of the pixels.

    Parameters
    ----------
    elements : Elements
        The wanted elements.
    transfer_syntax : str
        UID; implicit little endian when the file does not say, as the standard has it.
    pixel_offset : int or None
        Where the pixel data's value begins, in the file or (deflated) in the inflated dataset; ``None`` without pixels.
    pixel_length : int
        Its announced length in bytes; 0xFFFFFFFF when it is compressed.
    """

    elements: Elements
    transfer_syntax: str
    pixel_offset: int | None
    pixel_length: int


def is_dicom(head: bytes) -> bool:
    """Tell from the first 132 bytes of a file whether it is DICOM, with preamble or (older files) without."""
    if head[_PREAMBLE_BYTES : _PREAMBLE_BYTES + 4] == b"DICM":
        return True
    # Without preamble the first element is of group 0002 or 0008, little endian, with a small element number.
    return len(head) > 8 and head[:2] in (b"\x02\x00", b"\x08\x00") and head[3] == 0 and head[2] <= 0x18


def read_header(stream: BinaryIO, *, wanted: Iterable[int] = _WANTED) -> DicomHeader:
    """Return the wanted elements in front of the pixels; the stream is read no further than needed.

    Raises
    ------
    MalformedDicomError
        The bytes end within an element, or are no DICOM elements.
    """
    cursor = _Cursor(stream)
    if cursor.has(_PREAMBLE_BYTES + 4) and cursor.data[_PREAMBLE_BYTES : _PREAMBLE_BYTES + 4] == b"DICM":
        cursor.position = _PREAMBLE_BYTES + 4
    parser = _Parser(cursor, frozenset(wanted))
    meta = Elements()
    parser.parse(meta, is_meta=True)
    syntax = meta.text("TransferSyntaxUID") or IMPLICIT_LITTLE_ENDIAN
    if syntax == DEFLATED_LITTLE_ENDIAN:
        parser.cursor = _Cursor.inflated(cursor)
    parser.byte_order = ">" if syntax == EXPLICIT_BIG_ENDIAN else "<"
    parser.is_explicit = parser.looks_explicit()
    elements = Elements(parser.byte_order)
    pixels = parser.parse(elements)
    offset, length = pixels if pixels is not None else (None, 0)
    return DicomHeader(elements, syntax, offset, length)


def inflated_dataset(content: bytes) -> bytes:
    """Return the inflated dataset of a deflated file, the bytes that ``DicomHeader.pixel_offset`` counts.

    Raises
    ------
    MalformedDicomError
        The deflated stream is damaged.
    """
    cursor = _Cursor(io.BytesIO(content))
    cursor.position = _PREAMBLE_BYTES + 4 if content[_PREAMBLE_BYTES : _PREAMBLE_BYTES + 4] == b"DICM" else 0
    _Parser(cursor, frozenset()).parse(Elements(), is_meta=True)
    return _Cursor.inflated(cursor).data


class _Cursor:
    """A position in a stream that is read chunk by chunk."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.data = stream.read(_CHUNK_BYTES)
        self.position = 0

    @classmethod
    def inflated(cls, cursor: _Cursor) -> _Cursor:
        """Return a cursor at the start of the inflated rest of a deflated file."""
        rest = cursor.data[cursor.position :] + cursor._stream.read()
        try:
            plain = zlib.decompressobj(-zlib.MAX_WBITS).decompress(rest)
        except zlib.error as error:
            raise MalformedDicomError(f"the deflated dataset is damaged: {error}") from error
        inner = cls(io.BytesIO(b""))
        inner.data = plain
        return inner

    def has(self, n_bytes: int) -> bool:
        """Tell whether ``n_bytes`` more bytes exist, reading on as needed."""
        end = self.position + n_bytes
        while len(self.data) < end:
            more = self._stream.read(max(_CHUNK_BYTES, end - len(self.data)))
            if not more:
                return False
            self.data += more
        return True

    def skip(self, n_bytes: int) -> None:
        """Step over bytes, which must exist."""
        if self.position + n_bytes > len(self.data) and not self.has(n_bytes):
            raise MalformedDicomError(f"the file ends within an element at byte {self.position}")
        self.position += n_bytes

    def take(self, n_bytes: int) -> bytes:
        """Return the next bytes and step over them."""
        self.skip(n_bytes)
        return self.data[self.position - n_bytes : self.position]


class _Parser:
    """Walks over elements and keeps the wanted ones."""

    def __init__(self, cursor: _Cursor, wanted: frozenset[int]) -> None:
        self.cursor = cursor
        self.wanted = wanted
        self.byte_order = "<"
        self.is_explicit = True

    def looks_explicit(self) -> bool:
        """Tell whether the next element names its value representation; files are believed over their meta header."""
        cursor = self.cursor
        return cursor.has(6) and _is_vr(cursor.data[cursor.position + 4 : cursor.position + 6])

    def parse(
        self, target: Elements, *, end: int | None = None, is_meta: bool = False, depth: int = 0
    ) -> tuple[int, int] | None:
        """Fill ``target`` up to ``end``, the end of the item or meta group, or the pixels; return the pixels' place."""
        if depth > _MAX_DEPTH:
            raise MalformedDicomError("sequences are nested without end")
        cursor = self.cursor
        while (end is None or cursor.position < end) and cursor.has(8):
            # Looked at first: what follows the meta group may be encoded otherwise, or deflated.
            if is_meta and cursor.data[cursor.position : cursor.position + 2] != _META_GROUP_BYTES:
                return None
            tag, vr, length = self._element_head()
            if tag == _ITEM_END:
                return None
            if tag in _PIXEL_TAGS and depth == 0:
                return cursor.position, length
            self._value(target, tag, vr=vr, length=length, depth=depth)
        return None

    def _element_head(self) -> tuple[int, bytes, int]:
        """Return tag, value representation and length of the next element, and step to its value."""
        cursor = self.cursor
        start, data = cursor.position, cursor.data
        cursor.position = start + 8
        group, element, length = struct.unpack_from(self.byte_order + "HHI", data, start)
        tag = group << 16 | element
        if not self.is_explicit or group == _ITEM_GROUP:
            return tag, b"", length
        vr = data[start + 4 : start + 6]
        if vr in _LONG_VRS:
            return tag, vr, int(struct.unpack(self.byte_order + "I", cursor.take(4))[0])
        if not _is_vr(vr):
            raise MalformedDicomError(f"no value representation at byte {start + 4}")
        return tag, vr, int(struct.unpack_from(self.byte_order + "H", data, start + 6)[0])

    def _value(self, target: Elements, tag: int, *, vr: bytes, length: int, depth: int) -> None:
        is_wanted = tag in self.wanted
        if length == _UNDEFINED_LENGTH or (is_wanted and tag in _SEQUENCES):
            items = self._sequence(target, length, is_unknown=vr == b"UN", depth=depth)
            if is_wanted:
                target.items[tag] = items
            return
        if not is_wanted:
            self.cursor.skip(length)
            return
        value = target.values[tag] = self.cursor.take(length)
        if tag == _CHARACTER_SET:
            target.charset = _python_charset(value)

    def _sequence(self, parent: Elements, length: int, *, is_unknown: bool, depth: int) -> list[Elements]:
        """Return the items of a sequence; one of unknown representation is implicit inside (PS3.5, 6.2.2)."""
        cursor, was_explicit = self.cursor, self.is_explicit
        self.is_explicit = was_explicit and not is_unknown
        end = None if length == _UNDEFINED_LENGTH else cursor.position + length
        items: list[Elements] = []
        while end is None or cursor.position < end:
            if not cursor.has(8):
                raise MalformedDicomError(f"the file ends within a sequence at byte {cursor.position}")
            tag, _, item_length = self._element_head()
            if tag == _SEQUENCE_END:
                break
            if tag != _ITEM:
                raise MalformedDicomError(f"no sequence item at byte {cursor.position - 8}")
            item = Elements(parent.byte_order, parent.charset)
            item_end = None if item_length == _UNDEFINED_LENGTH else cursor.position + item_length
            self.parse(item, end=item_end, depth=depth + 1)
            items.append(item)
        self.is_explicit = was_explicit
        return items


def _is_vr(head: bytes) -> bool:
    return len(head) == 2 and head.isalpha() and head.isupper()


def _python_charset(value: bytes) -> str:
    """Return the Python codec of a SpecificCharacterSet; of several, the last, which extends the first."""
    names = [name.strip() for name in value.decode("ascii", "replace").strip(" \0").split("\\")]
    known = [_CHARSETS[name] for name in names if name in _CHARSETS]
    return known[-1] if known else "latin-1"
