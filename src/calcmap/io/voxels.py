"""Raw bytes to voxels, for the formats whose header is a few lines of text."""

from __future__ import annotations

import math

import numpy as np

from calcmap.core.errors import UnreadableFileError
from calcmap.io.canonical import VoxelArray


def voxels_from_bytes(
    plain: bytes, sizes_xyz: tuple[int, ...], number_type: np.dtype[np.generic], *, name: str
) -> VoxelArray:
    """Return ``plain`` as an array (slices, rows, columns).

    Raises
    ------
    UnreadableFileError
        Not three axes, or fewer bytes than they need.
    """
    if len(sizes_xyz) != 3 or min(sizes_xyz) < 1:
        raise UnreadableFileError(f"{name} has axes {sizes_xyz}, expected three")
    expected = math.prod(sizes_xyz) * number_type.itemsize
    if len(plain) < expected:
        raise UnreadableFileError(f"{name} is truncated: {len(plain)} of {expected} bytes of voxels")
    return np.frombuffer(plain, number_type, count=math.prod(sizes_xyz)).reshape(sizes_xyz[::-1])
