"""Stored pixels to HU, slice by slice.

Uncompressed little-endian pixels go from the file straight into their place in the volume; every other encoding is
decoded by pydicom's plugins.
"""

from __future__ import annotations

import io
import os
import struct
import zlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import BinaryIO

import numpy as np
from pydicom.errors import InvalidDicomError
from pydicom.pixels.utils import pixel_array
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from calcmap.core.errors import UnreadableFileError
from calcmap.core.scan import QualityFlag
from calcmap.core.volume import Int16Array
from calcmap.io.canonical import VoxelArray
from calcmap.io.hounsfield import to_int16_hu
from calcmap.io.slices import Slice

MAX_DECODERS = 4
"""Threads that decode compressed slices; the codecs let go of the interpreter only in part."""

_PLAIN_SYNTAXES = {str(ImplicitVRLittleEndian): 8, str(ExplicitVRLittleEndian): 12}
"""Transfer syntaxes whose pixels can be read as they lie, with the length of the pixel element's own header."""

_DECODING_ERRORS = (
    *(RuntimeError, ValueError, TypeError, AttributeError, LookupError, ArithmeticError, MemoryError),
    *(EOFError, OSError, struct.error, zlib.error, InvalidDicomError),
)
"""What pydicom and the codecs behind it raise on damaged or unknown pixel data."""


def read_hu(slices: Sequence[Slice]) -> tuple[Int16Array, tuple[QualityFlag, ...]]:
    """Return the slices' HU in the order given.

    Rescale is applied slice by slice; products that are not whole numbers are rounded half to even.

    Returns
    -------
    ct_hu_zyx : ndarray of int16, shape (slices, rows, columns)
        HU.
    flags : tuple of QualityFlag
        ``hu_clipped`` when values beyond int16 were met.

    Raises
    ------
    UnreadableFileError
        Pixels are cut off or cannot be decoded.
    """
    rows, columns = slices[0].shape
    ct_hu_zyx = np.empty((len(slices), rows, columns), np.int16)
    flags: set[QualityFlag] = set()

    def fill(i: int) -> None:
        flags.update(_fill(ct_hu_zyx[i], slices[i]))

    if all(_is_plain(one) for one in slices):
        for i in range(len(slices)):
            fill(i)
    else:
        with ThreadPoolExecutor(min(MAX_DECODERS, os.cpu_count() or 1)) as pool:
            list(pool.map(fill, range(len(slices))))
    return ct_hu_zyx, tuple(sorted(flags, key=lambda flag: flag.detail)[:1])


def have_same_pixels(first: Slice, second: Slice) -> bool:
    """Tell whether two slices hold equal HU."""
    (a, b), _ = read_hu((first, second))
    return np.array_equal(a, b)


def _is_plain(one: Slice) -> bool:
    return one.instance.transfer_syntax in _PLAIN_SYNTAXES and one.instance.number("BitsAllocated") == 16


def _fill(hu_yx: Int16Array, one: Slice) -> tuple[QualityFlag, ...]:
    """Write one slice's HU into ``hu_yx``; return what was noticed."""
    if not _is_plain(one):
        stored = _decoded(one)
    else:
        _read_plain(hu_yx, one)
        stored = hu_yx if one.instance.number("PixelRepresentation") == 1 else hu_yx.view(np.uint16)
        stored = _significant_bits(stored, one)
    if stored.shape != hu_yx.shape:
        raise UnreadableFileError(f"{one.instance.source.name} decodes to {stored.shape} pixels, not {hu_yx.shape}")
    if _rescale_stays_int16(stored, one):
        hu_yx[...] = stored.astype(np.int16, copy=False)
        if one.intercept != 0:
            hu_yx += np.int16(one.intercept)
        return ()
    hu, flags = to_int16_hu(stored * np.float64(one.slope) + one.intercept)
    hu_yx[...] = hu
    return flags


def _rescale_stays_int16(stored: VoxelArray, one: Slice) -> bool:
    """Tell whether stored + intercept is exact in int16, so that the cheap way may be taken."""
    if one.slope != 1.0 or not one.intercept.is_integer() or abs(one.intercept) > np.iinfo(np.int16).max:
        return False
    lowest, highest = int(stored.min()), int(stored.max())
    limits = np.iinfo(np.int16)
    return min(lowest, lowest + one.intercept) >= limits.min and max(highest, highest + one.intercept) <= limits.max


def _significant_bits(stored: VoxelArray, one: Slice) -> VoxelArray:
    """Return the stored value without the bits above BitsStored, which old files fill with overlays."""
    allocated = stored.dtype.itemsize * 8
    unused = allocated - int(one.instance.number("BitsStored") or allocated)
    high_bit = int(one.instance.number("HighBit") or allocated - unused - 1)
    above = allocated - 1 - high_bit
    if unused <= 0 and above == 0:
        return stored
    return (stored << above) >> unused


def _read_plain(hu_yx: Int16Array, one: Slice) -> None:
    instance = one.instance
    offset = (instance.pixel_offset or 0) + _PLAIN_SYNTAXES[instance.transfer_syntax] + one.frame * hu_yx.nbytes
    with instance.source.open() as stream:
        stream.seek(offset)
        n_bytes = _read_into(stream, memoryview(hu_yx.data).cast("B"))
    if n_bytes != hu_yx.nbytes:
        raise UnreadableFileError(
            f"{instance.source.name} is truncated: {n_bytes} of {hu_yx.nbytes} pixel bytes of a slice"
        )


def _read_into(stream: BinaryIO, target: memoryview) -> int:
    if isinstance(stream, (io.BufferedReader, io.BytesIO)):
        return stream.readinto(target)
    content = stream.read(len(target))
    target[: len(content)] = content
    return len(content)


def _decoded(one: Slice) -> VoxelArray:
    """Return the stored values of one slice through pydicom, whatever its encoding."""
    instance = one.instance
    try:
        with instance.source.open() as stream:
            decoded = pixel_array(stream, index=one.frame, raw=True)
    except _DECODING_ERRORS as error:
        detail = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UnreadableFileError(f"{instance.source.name} cannot be decoded: {detail}") from error
    return np.asarray(decoded)
