"""NRRD images: a text header, then raw or gzipped numbers, in the same file or beside it."""

from __future__ import annotations

import gzip
import re
import zlib

import numpy as np

from calcmap.core.errors import UnreadableFileError
from calcmap.core.scan import QualityFlag, Severity
from calcmap.core.volume import Float64Array
from calcmap.io.canonical import LPS_FROM_RAS, VoxelImage
from calcmap.io.sources import Source
from calcmap.io.voxels import voxels_from_bytes

_NUMBER_TYPES = {
    **dict.fromkeys(("signed char", "int8", "int8_t"), np.int8),
    **dict.fromkeys(("uchar", "unsigned char", "uint8", "uint8_t"), np.uint8),
    **dict.fromkeys(("short", "short int", "signed short", "signed short int", "int16", "int16_t"), np.int16),
    **dict.fromkeys(("ushort", "unsigned short", "unsigned short int", "uint16", "uint16_t"), np.uint16),
    **dict.fromkeys(("int", "signed int", "int32", "int32_t"), np.int32),
    **dict.fromkeys(("uint", "unsigned int", "uint32", "uint32_t"), np.uint32),
    "float": np.float32,
    "double": np.float64,
}
_SPACES = {
    **dict.fromkeys(("left-posterior-superior", "lps"), np.eye(4)),
    **dict.fromkeys(("right-anterior-superior", "ras"), LPS_FROM_RAS),
    **dict.fromkeys(("left-anterior-superior", "las"), np.diag([1.0, -1.0, 1.0, 1.0])),
}
"""Named spaces, with what turns their coordinates into LPS."""

_NO_SPACE = QualityFlag(
    "nrrd_without_space", Severity.WARNING, "the NRRD file names no space: left and right are assumed, not known"
)


def read_nrrd(source: Source, *, content: bytes) -> VoxelImage:
    """Return a three-dimensional NRRD image with its affine in LPS.

    Without a named space or space directions, axes are taken as LPS with the given spacings, and a warning flag
    ``nrrd_without_space`` is set.

    Raises
    ------
    UnreadableFileError
        Truncated, of another dimension, encoding or number type, or with a malformed header.
    """
    fields, data_start = _parse_header(content, source.name)
    try:
        sizes_xyz = tuple(int(word) for word in fields["sizes"].split())
        number_type = np.dtype(_NUMBER_TYPES[fields["type"].lower()])
        affine, is_oriented = _affine(fields)
        stored = content[data_start:]
        if "data file" in fields:
            stored = source.sibling(fields["data file"]).read_bytes()
        plain = _decoded(stored, fields.get("encoding", "raw").lower())
    except (KeyError, ValueError, EOFError, OSError, zlib.error) as error:
        raise UnreadableFileError(f"{source.name} is not a NRRD image that can be read: {error}") from error
    if number_type.itemsize > 1:
        number_type = number_type.newbyteorder("<" if fields.get("endian", "little").lower() == "little" else ">")
    voxels_zyx = voxels_from_bytes(plain, sizes_xyz, number_type, name=source.name)
    return VoxelImage(voxels_zyx, affine, "nrrd", () if is_oriented else (_NO_SPACE,))


def _parse_header(content: bytes, name: str) -> tuple[dict[str, str], int]:
    """Return the header's fields in lower case, and where the numbers start."""
    if not content.startswith(b"NRRD"):
        raise UnreadableFileError(f"{name} does not begin with NRRD")
    end = re.search(rb"\r?\n\r?\n", content)
    text = content[: end.start() if end else len(content)].decode("latin-1")
    fields: dict[str, str] = {}
    for line in text.splitlines()[1:]:
        key, separator, value = line.partition(":")
        if separator and not line.startswith("#"):
            fields[_ALIASES.get(key.strip().lower(), key.strip().lower())] = value.removeprefix("=").strip()
    return fields, end.end() if end else len(content)


_ALIASES = {"datafile": "data file"}


def _decoded(stored: bytes, encoding: str) -> bytes:
    if encoding == "raw":
        return stored
    if encoding in ("gzip", "gz"):
        return gzip.decompress(stored)
    raise ValueError(f"encoding {encoding}, expected raw or gzip")


def _affine(fields: dict[str, str]) -> tuple[Float64Array, bool]:
    """Return the affine in LPS, and whether the header says where left is."""
    space = fields.get("space", "").lower()
    affine = np.eye(4)
    if "space directions" in fields:
        if space not in _SPACES:
            raise ValueError(f"space {space or 'absent'}, expected one of {', '.join(sorted(_SPACES))}")
        affine[:3, :3] = np.array(_vectors(fields["space directions"])).T
        if "space origin" in fields:
            affine[:3, 3] = _vectors(fields["space origin"])[0]
        return _SPACES[space] @ affine, True
    affine[:3, :3] = np.diag([float(word) for word in fields["spacings"].split()])
    return affine, False


def _vectors(text: str) -> list[list[float]]:
    return [[float(word) for word in group.split(",")] for group in re.findall(r"\(([^)]*)\)", text)]
