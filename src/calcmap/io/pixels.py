"""Stored pixels to HU, slice by slice.

Plain numbers go from the file straight into their place in the volume; compressed ones are decoded by pydicom's
plugins, which are imported only then.
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

from calcmap.core.errors import UnreadableFileError
from calcmap.core.scan import QualityFlag
from calcmap.core.volume import Int16Array
from calcmap.io.canonical import VoxelArray
from calcmap.io.dicom_elements import (
    DEFLATED_LITTLE_ENDIAN,
    EXPLICIT_BIG_ENDIAN,
    NATIVE_SYNTAXES,
    MalformedDicomError,
    inflated_dataset,
)
from calcmap.io.hounsfield import to_int16_hu
from calcmap.io.slices import Slice

MAX_DECODERS = 4
"""Threads that decode compressed slices; the codecs let go of the interpreter only in part."""

NATIVE_BITS = 16
"""Plain pixels of this width are read here; CT images have no other, and pydicom takes care of exceptions."""

_INT16 = np.iinfo(np.int16)
_DECODING_ERRORS = (
    *(RuntimeError, ValueError, TypeError, AttributeError, LookupError, ArithmeticError, MemoryError),
    *(EOFError, OSError, struct.error, zlib.error),
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

    def fill(i: int) -> tuple[QualityFlag, ...]:
        return _fill(ct_hu_zyx[i], slices[i])

    if all(_is_native(one) for one in slices):
        flags = [fill(i) for i in range(len(slices))]
    else:
        with ThreadPoolExecutor(min(MAX_DECODERS, os.cpu_count() or 1)) as pool:
            flags = list(pool.map(fill, range(len(slices))))
    return ct_hu_zyx, next((found for found in flags if found), ())


def have_same_pixels(first: Slice, second: Slice) -> bool:
    """Tell whether two slices hold equal HU."""
    (a, b), _ = read_hu((first, second))
    return np.array_equal(a, b)


def _is_native(one: Slice) -> bool:
    instance = one.instance
    return instance.transfer_syntax in NATIVE_SYNTAXES and instance.number("BitsAllocated") == NATIVE_BITS


def _fill(hu_yx: Int16Array, one: Slice) -> tuple[QualityFlag, ...]:
    """Write one slice's HU into ``hu_yx``; return what was noticed."""
    stored = _native(hu_yx, one) if _is_native(one) else _decoded(one)
    if stored.shape != hu_yx.shape:
        raise UnreadableFileError(f"{one.instance.source.name} decodes to {stored.shape} pixels, not {hu_yx.shape}")
    if _is_exact_in_int16(stored, one):
        hu_yx[...] = stored.view(np.int16) if stored.itemsize == hu_yx.itemsize else stored
        hu_yx += np.int16(one.intercept)
        return ()
    hu, flags = to_int16_hu(stored * np.float64(one.slope) + one.intercept)
    hu_yx[...] = hu
    return flags


def _is_exact_in_int16(stored: VoxelArray, one: Slice) -> bool:
    """Tell whether stored + intercept needs no more than int16, so that the cheap way may be taken."""
    if one.slope != 1.0 or not one.intercept.is_integer() or abs(one.intercept) > _INT16.max:
        return False
    if stored.dtype == np.int16 and one.intercept == 0:
        return True
    lowest, highest = int(stored.min()), int(stored.max())
    is_low_enough = max(highest, highest + one.intercept) <= _INT16.max
    return is_low_enough and min(lowest, lowest + one.intercept) >= _INT16.min


def _native(buffer_yx: Int16Array, one: Slice) -> VoxelArray:
    """Return the stored values of a slice of plain numbers, read into ``buffer_yx``."""
    instance = one.instance
    offset = instance.pixel_offset + one.frame * buffer_yx.nbytes
    with instance.source.open() as stream:
        n_bytes = _read_at(stream, offset, memoryview(buffer_yx.data).cast("B"), syntax=instance.transfer_syntax)
    announced = instance.pixel_length - one.frame * buffer_yx.nbytes
    if min(n_bytes, announced) < buffer_yx.nbytes:
        raise UnreadableFileError(
            f"{instance.source.name} is truncated: {max(0, min(n_bytes, announced))} of {buffer_yx.nbytes} pixel bytes"
        )
    if instance.transfer_syntax == EXPLICIT_BIG_ENDIAN:
        buffer_yx.byteswap(inplace=True)
    stored = buffer_yx if instance.number("PixelRepresentation") == 1 else buffer_yx.view(np.uint16)
    return _significant_bits(stored, one)


def _read_at(stream: BinaryIO, offset: int, target: memoryview, *, syntax: str) -> int:
    """Fill ``target`` from the byte at ``offset``; return how many bytes there were."""
    if syntax == DEFLATED_LITTLE_ENDIAN:
        try:
            stream = io.BytesIO(inflated_dataset(stream.read()))
        except MalformedDicomError as error:
            raise UnreadableFileError(f"pixels cannot be inflated: {error}") from error
    stream.seek(offset)
    if isinstance(stream, (io.BufferedReader, io.BytesIO)):
        return stream.readinto(target)
    content = stream.read(len(target))
    target[: len(content)] = content
    return len(content)


def _significant_bits(stored: VoxelArray, one: Slice) -> VoxelArray:
    """Return the stored value without the bits beside BitsStored, which old files fill with overlays."""
    n_stored = int(one.instance.number("BitsStored") or NATIVE_BITS)
    high_bit = int(one.instance.number("HighBit") or n_stored - 1)
    above, unused = NATIVE_BITS - 1 - high_bit, NATIVE_BITS - n_stored
    if above == 0 and unused == 0:
        return stored
    return (stored << above) >> unused


def _decoded(one: Slice) -> VoxelArray:
    """Return the stored values of one slice through pydicom, whatever its encoding."""
    from pydicom.pixels.utils import pixel_array

    instance = one.instance
    try:
        with instance.source.open() as stream:
            decoded = pixel_array(stream, index=one.frame, raw=True)
    except _DECODING_ERRORS as error:
        detail = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UnreadableFileError(f"{instance.source.name} cannot be decoded: {detail}") from error
    return np.asarray(decoded)
