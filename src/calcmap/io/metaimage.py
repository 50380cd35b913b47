"""MetaImage (MHA with the numbers inside, MHD with the numbers beside it)."""

from __future__ import annotations

import zlib

import numpy as np

from calcmap.core.errors import UnreadableFileError
from calcmap.core.volume import Float64Array
from calcmap.io.canonical import VoxelImage
from calcmap.io.sources import Source
from calcmap.io.voxels import voxels_from_bytes

_NUMBER_TYPES = {
    "MET_CHAR": np.int8,
    "MET_UCHAR": np.uint8,
    "MET_SHORT": np.int16,
    "MET_USHORT": np.uint16,
    "MET_INT": np.int32,
    "MET_UINT": np.uint32,
    "MET_FLOAT": np.float32,
    "MET_DOUBLE": np.float64,
}
_DATA_KEY = b"ElementDataFile"
_MAX_HEADER_BYTES = 65536
"""A header is some twenty lines; further down there are only numbers."""


def read_metaimage(source: Source, *, content: bytes) -> VoxelImage:
    """Return a three-dimensional MetaImage with its affine; MetaImage coordinates are LPS already.

    Raises
    ------
    UnreadableFileError
        Truncated, of another dimension or number type, with several channels, or with a malformed header.
    """
    try:
        fields, data_start = _parse_header(content)
        sizes_xyz = tuple(int(word) for word in fields["DimSize"].split())
        number_type = np.dtype(_NUMBER_TYPES[fields["ElementType"]])
        affine = _affine(fields)
        stored = content[data_start:]
        if fields["ElementDataFile"] != "LOCAL":
            stored = source.sibling(fields["ElementDataFile"]).read_bytes()
        plain = zlib.decompress(stored) if _is_true(fields, "CompressedData") else stored
        channels = int(fields.get("ElementNumberOfChannels", "1"))
    except (KeyError, ValueError, zlib.error) as error:
        raise UnreadableFileError(f"{source.name} is not a MetaImage that can be read: {error}") from error
    if channels != 1:
        raise UnreadableFileError(f"{source.name} has {channels} channels, expected 1")
    is_big = _is_true(fields, "BinaryDataByteOrderMSB") or _is_true(fields, "ElementByteOrderMSB")
    if number_type.itemsize > 1:
        number_type = number_type.newbyteorder(">" if is_big else "<")
    return VoxelImage(voxels_from_bytes(plain, sizes_xyz, number_type, name=source.name), affine, "mha")


def _parse_header(content: bytes) -> tuple[dict[str, str], int]:
    """Return the header's fields and where the numbers start: after the line that names the data file."""
    key_at = content.find(_DATA_KEY, 0, _MAX_HEADER_BYTES)
    if key_at < 0:
        raise ValueError("the header names no data file")
    line_end = content.find(b"\n", key_at)
    data_start = len(content) if line_end < 0 else line_end + 1
    fields: dict[str, str] = {}
    for line in content[:data_start].decode("latin-1").splitlines():
        key, separator, value = line.partition("=")
        if separator:
            fields[key.strip()] = value.strip()
    return fields, data_start


def _affine(fields: dict[str, str]) -> Float64Array:
    spacing_mm = _numbers(fields, ("ElementSpacing", "ElementSize"), "1 1 1")
    directions = _numbers(fields, ("TransformMatrix", "Rotation", "Orientation"), "1 0 0 0 1 0 0 0 1").reshape(3, 3)
    affine = np.eye(4)
    # Each triple of the matrix is the direction of one array axis, so the axes are its rows.
    affine[:3, :3] = directions.T * spacing_mm
    affine[:3, 3] = _numbers(fields, ("Offset", "Position", "Origin"), "0 0 0")
    return affine


def _numbers(fields: dict[str, str], keys: tuple[str, ...], default: str) -> Float64Array:
    text = next((fields[key] for key in keys if key in fields), default)
    return np.array([float(word) for word in text.split()])


def _is_true(fields: dict[str, str], key: str) -> bool:
    return fields.get(key, "False").lower() == "true"
