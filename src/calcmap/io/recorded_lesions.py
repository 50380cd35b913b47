"""Lesions that a case records by their centres, found again in the image."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import ndimage

from calcmap.core.volume import BoolArray

RECORDED_RADIUS_MM = 3.0
"""A component whose centroid lies this close to a recorded centre is that lesion (our choice: half a vessel)."""


def find_recorded_lesions(
    dense_zyx: BoolArray, centres_zyx: Sequence[Sequence[float]], spacing_mm_zyx: tuple[float, float, float]
) -> list[BoolArray | None]:
    """Return, for each recorded centre, the connected component whose centroid is nearest to it.

    Parameters
    ----------
    dense_zyx : ndarray of bool, shape (slices, rows, columns)
        Voxels that may belong to lesions; components are 26-connected.
    centres_zyx : sequence of (slice, row, column)
        Recorded centres, voxel indices of ``dense_zyx``; they may lie outside it.
    spacing_mm_zyx : tuple of float
        Voxel spacing.

    Returns
    -------
    list of ndarray of bool, or None
        A mask of the shape of ``dense_zyx`` for each centre; ``None`` where no centroid lies within
        `RECORDED_RADIUS_MM`. Of equally near components the first in index order is taken.
    """
    if len(centres_zyx) == 0:
        return []
    components, n = ndimage.label(dense_zyx, structure=np.ones((3, 3, 3)))
    if n == 0:
        return [None] * len(centres_zyx)
    centroids = np.array(ndimage.center_of_mass(dense_zyx, components, range(1, n + 1)))
    found: list[BoolArray | None] = []
    for centre in centres_zyx:
        distance_mm = np.linalg.norm((centroids - np.asarray(centre)) * np.array(spacing_mm_zyx), axis=1)
        nearest = int(distance_mm.argmin())
        is_near = distance_mm[nearest] <= RECORDED_RADIUS_MM
        found.append(np.asarray(components == nearest + 1) if is_near else None)
    return found
