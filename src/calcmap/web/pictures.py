"""Calcium and heart of a review as compact bytes that a page draws from."""

from __future__ import annotations

import zlib

import numpy as np

from calcmap.core.volume import Label, UInt8Array
from calcmap.service.review import Review, Step

GZIP_LEVEL = 1
"""On the loopback time counts, not size (our choice)."""
_GZIP_FORMAT = 31
"""``wbits`` of zlib for the gzip format."""


def pack_step(step: Step) -> bytes:
    """Return every voxel that is or was calcium at one step of a review.

    Parameters
    ----------
    step : Step
        Calcium, and the lesions it makes.

    Returns
    -------
    bytes
        One table after the other, little endian, each as long as there are voxels: place in the flattened CT (uint32),
        number of the lesion (uint16; from 1 in the order of ``lesions`` and then ``rejected``, 0 in none), label, site
        and mark (uint8 each).
    """
    calcium = step.calcium
    lesion = np.zeros(calcium.index.size, dtype="<u2")
    for number, each in enumerate((*step.score.lesions, *step.score.rejected), start=1):
        lesion[np.searchsorted(calcium.index, each.index)] = number
    tables = (calcium.index.astype("<u4"), lesion, calcium.label, calcium.site, calcium.mark)
    return b"".join(table.tobytes() for table in tables)


def pack_heart(review: Review) -> bytes:
    """Return the heart, one bit a voxel of the flattened CT, lowest bit first, as one gzip member."""
    is_heart_zyx = review.base.beneath_zyx == Label.HEART
    bits: UInt8Array = np.packbits(is_heart_zyx, bitorder="little")
    packer = zlib.compressobj(GZIP_LEVEL, zlib.DEFLATED, _GZIP_FORMAT)
    return packer.compress(bits.tobytes()) + packer.flush()
