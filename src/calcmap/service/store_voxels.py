"""CT and label maps as the store keeps them: each slice compressed by itself, behind one line that says where.

A page shows one slice at a time. Kept so, a slice is read and sent as it lies on the disk (``Content-Encoding: gzip``),
without its neighbours and without being packed again.
"""

from __future__ import annotations

import json
import zlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from calcmap.core.errors import StoreError
from calcmap.core.volume import Grid, Int16Array, Labels, UInt8Array, Volume

Voxels: TypeAlias = Int16Array | UInt8Array
MAGIC = b"CALCMAP-VOXELS-1\n"
GZIP_LEVEL = 1
"""A CT shrinks little more at higher levels, and each takes longer (our choice, as for label maps)."""
_GZIP_FORMAT = 31
"""``wbits`` of zlib for the gzip format."""
_TYPES: dict[str, np.dtype[np.int16] | np.dtype[np.uint8]] = {
    "int16": np.dtype(np.int16).newbyteorder("<"),
    "uint8": np.dtype(np.uint8),
}


@dataclass(frozen=True, eq=False)
class VoxelHeader:
    """What stands in front of the slices.

    Parameters
    ----------
    grid : Grid
        Shape and affine, to the last bit.
    dtype : str
        ``"int16"`` (little endian) or ``"uint8"``.
    ends : tuple of int
        Where each slice ends, in bytes behind the header.
    start : int
        Where the first slice begins, in bytes from the start of the file.
    """

    grid: Grid
    dtype: str
    ends: tuple[int, ...]
    start: int

    def extent(self, slice_index: int) -> tuple[int, int]:
        """Return first byte and length of a slice in the file; `StoreError` for one that is not there."""
        if not 0 <= slice_index < len(self.ends):
            raise StoreError(f"slice {slice_index} is asked for, there are {len(self.ends)}")
        first = self.ends[slice_index - 1] if slice_index else 0
        return self.start + first, self.ends[slice_index] - first


def pack_voxels(voxels_zyx: Voxels, grid: Grid) -> bytes:
    """Return a CT or a label map as one content; the same voxels give the same bytes.

    Parameters
    ----------
    voxels_zyx : ndarray of int16 or uint8, shape of the grid
        HU or labels.
    grid : Grid
        Shape and affine.

    Returns
    -------
    bytes
        A magic line, a line of JSON, and the slices, each a gzip member of row after row.
    """
    name = voxels_zyx.dtype.name
    with ThreadPoolExecutor(2) as workers:  # zlib works without the interpreter's lock
        slices = list(workers.map(lambda each: _packed(each.astype(_TYPES[name], copy=False)), voxels_zyx))
    header = {
        "dtype": name,
        "shape_zyx": grid.shape_zyx,
        "affine_lps_mm": grid.affine_lps_mm.tolist(),
        "ends": np.cumsum([len(each) for each in slices]).tolist(),
    }
    return MAGIC + json.dumps(header, separators=(",", ":")).encode() + b"\n" + b"".join(slices)


def unpack_ct(content: bytes) -> Volume:
    """Return the CT that `pack_voxels` packed; `StoreError` when the content is none."""
    header = _header(content, wanted="int16")
    hu = np.frombuffer(_rows(content, header), dtype="<i2").astype(np.int16, copy=False)
    return Volume(hu.reshape(header.grid.shape_zyx), header.grid)


def unpack_labels(content: bytes) -> Labels:
    """Return the map of labels or of sites that `pack_voxels` packed; `StoreError` when the content is none."""
    header = _header(content, wanted="uint8")
    return Labels(np.frombuffer(_rows(content, header), dtype=np.uint8).reshape(header.grid.shape_zyx), header.grid)


def read_header(path: Path) -> VoxelHeader:
    """Return what a file of voxels says of itself, without reading the slices."""
    with path.open("rb") as file:
        return _header(file.readline() + file.readline())


def read_slice_gzip(path: Path, header: VoxelHeader, slice_index: int) -> bytes:
    """Return one slice as it lies on the disk: gzip, row after row, little endian."""
    first, length = header.extent(slice_index)
    with path.open("rb") as file:
        file.seek(first)
        return file.read(length)


def _packed(slice_yx: Voxels) -> bytes:
    packer = zlib.compressobj(GZIP_LEVEL, zlib.DEFLATED, _GZIP_FORMAT)
    return packer.compress(slice_yx.tobytes()) + packer.flush()


def _rows(content: bytes, header: VoxelHeader) -> bytes:
    """Return every row of every slice, one after the other."""
    extents = [header.extent(z) for z in range(len(header.ends))]
    with ThreadPoolExecutor(2) as workers:
        slices = workers.map(lambda at: zlib.decompress(content[at[0] : sum(at)], _GZIP_FORMAT), extents)
        return b"".join(slices)


def _header(content: bytes, *, wanted: str | None = None) -> VoxelHeader:
    end = content.find(b"\n", len(MAGIC))
    if not content.startswith(MAGIC) or end < 0:
        raise StoreError("the content is no CT or label map of this store")
    fields: dict[str, Any] = json.loads(content[len(MAGIC) : end])  # Any: written by `pack_voxels` alone
    if wanted not in (None, fields["dtype"]):
        raise StoreError(f"the content holds {fields['dtype']} voxels, expected {wanted}")
    grid = Grid(tuple(fields["shape_zyx"]), np.array(fields["affine_lps_mm"], dtype=np.float64))
    return VoxelHeader(grid, fields["dtype"], tuple(fields["ends"]), end + 1)
