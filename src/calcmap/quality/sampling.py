"""Cheap looks at a large volume: thinned grids and square blocks.

Quality needs no full resolution, and the whole study has one second: each look reads a few per cent of the voxels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from calcmap.core.volume import BoolArray, Float32Array, Int16Array, Volume

PADDING_BELOW_HU = -1500
"""No matter measures less than -1024; scanners pad with -2000, -2048 or -3024."""
LUNG_HU = (-950, -500)
"""Aerated lung at rest with its dependent parts; -950 keeps air outside the body out."""
TISSUE_HU = (-200, 300)
"""Fat to contrast-filled blood, without bone cortex and metal."""
BODY_ABOVE_HU = -300
IN_PLANE_NEIGHBOURS = np.ones((1, 3, 3), dtype=bool)


@dataclass(frozen=True, eq=False)
class ThinnedCt:
    """Every n-th voxel of a CT, unsmoothed.

    Parameters
    ----------
    ct_hu_zyx : ndarray of int16, shape (slices, rows, columns)
        Values of the voxels kept, HU.
    steps_zyx : tuple of int
        Distance of the voxels kept, in voxels of the full grid; the first voxel of every axis is kept.
    spacing_mm_zyx : tuple of float
        Distance of the voxels kept, mm.
    """

    ct_hu_zyx: Int16Array
    steps_zyx: tuple[int, int, int]
    spacing_mm_zyx: tuple[float, float, float]

    @property
    def voxel_ml(self) -> float:
        """Volume that one kept voxel stands for, mL."""
        return float(np.prod(self.spacing_mm_zyx)) / 1000.0


def thin(volume: Volume, *, step_mm: float) -> ThinnedCt:
    """Return every n-th voxel of ``volume``, so that neighbours lie about ``step_mm`` apart; every one where finer."""
    steps = thinning_steps(volume.spacing_mm_zyx, step_mm=step_mm)
    sz, sy, sx = steps
    kept = np.ascontiguousarray(volume.ct_hu_zyx[::sz, ::sy, ::sx])
    dz, dy, dx = volume.spacing_mm_zyx
    return ThinnedCt(kept, steps, (dz * sz, dy * sy, dx * sx))


def thinning_steps(spacing_mm_zyx: tuple[float, float, float], *, step_mm: float) -> tuple[int, int, int]:
    """Return the step of each axis (>= 1) that comes nearest to ``step_mm``."""
    z, y, x = (max(1, round(step_mm / mm)) for mm in spacing_mm_zyx)
    return z, y, x


def block_statistics(
    ct_hu_zyx: Int16Array, spacing_mm_zyx: tuple[float, float, float], *, block_mm: float
) -> tuple[Float32Array, Float32Array]:
    """Return mean and standard deviation (HU) of square in-plane blocks of about ``block_mm``.

    Both have the shape (slices, rows // n, columns // n); rows and columns that fill no block are left out.
    """
    side_px = block_side_px(spacing_mm_zyx, block_mm=block_mm)
    hu_zyx = ct_hu_zyx.astype(np.float32)
    n_px = side_px * side_px
    mean: Float32Array = _block_sums(hu_zyx, side_px) / np.float32(n_px)
    np.multiply(hu_zyx, hu_zyx, out=hu_zyx)
    squares = _block_sums(hu_zyx, side_px) - np.float32(n_px) * mean * mean
    sd: Float32Array = np.sqrt(np.maximum(squares, 0.0) / np.float32(n_px - 1))
    return mean, sd


def block_side_px(spacing_mm_zyx: tuple[float, float, float], *, block_mm: float) -> int:
    """Return the side of a block in pixels; at least 3, so that a standard deviation means something."""
    return max(3, round(block_mm / max(spacing_mm_zyx[1:])))


def full_blocks(mask_zyx: BoolArray, side_px: int) -> BoolArray:
    """Return which blocks lie wholly inside the mask, on the grid of `block_statistics`."""
    inside: BoolArray = _block_sums(mask_zyx.astype(np.float32), side_px) == side_px * side_px
    return inside


def _block_sums(values_zyx: Float32Array, side_px: int) -> Float32Array:
    nz, ny, nx = values_zyx.shape
    rows, columns = ny // side_px, nx // side_px
    whole = values_zyx[:, : rows * side_px, : columns * side_px]
    # rows first: numpy adds whole rows at once, but sums short runs within a row slowly
    by_row = whole.reshape(nz, rows, side_px, columns * side_px).sum(axis=2)
    sums: Float32Array = by_row.reshape(nz, rows, columns, side_px).sum(axis=3)
    return sums


def lungs(ct: ThinnedCt) -> BoolArray:
    """Return the aerated lung: lung's HU, at least three samples wide in the slice, with tissue before and behind it.

    Tissue on both sides keeps out clothes and mattress. Left and right are not asked, because a small field of view
    cuts the chest wall there.
    """
    hu = ct.ct_hu_zyx
    lung = ndimage.binary_opening((hu > LUNG_HU[0]) & (hu < LUNG_HU[1]), IN_PLANE_NEIGHBOURS)
    enclosed: BoolArray = lung & between(hu > BODY_ABOVE_HU, axis=1)
    return enclosed


def between(mask_zyx: BoolArray, *, axis: int) -> BoolArray:
    """Return the voxels that have mask on both sides along ``axis`` (the mask itself included)."""
    before = np.logical_or.accumulate(mask_zyx, axis=axis)
    after = np.flip(np.logical_or.accumulate(np.flip(mask_zyx, axis), axis=axis), axis)
    inside: BoolArray = before & after
    return inside
