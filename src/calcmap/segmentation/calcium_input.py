"""What the calcium network sees: native pixels in the heart's box, and where in the heart they lie."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from calcmap.core.volume import BoolArray, Float32Array, Float64Array, Int16Array, IntArray

CALCIUM_WINDOW_HU = (-250.0, 550.0)
"""HU range that the calcium network sees: from below fat to dense calcium."""
CANDIDATE_HU = 110
"""Voxels from here on are what the network is trained to tell apart: a little below the 130 HU of the score, so that
noise around the threshold is learned too (our choice)."""
HEART_REACH_MM = 3.0
"""Calcium counts up to this far outside the heart mask, to forgive a mask a little too small (our choice)."""


@dataclass(frozen=True)
class HeartFrame:
    """Centre and half size of a heart mask, in voxels of its box: the coordinates that the calcium network knows.

    The half size is twice the standard deviation of the mask's voxels along an axis, 0.89 of the semi-axis of an
    ellipsoid: steadier than the outermost voxel.
    """

    centre_zyx: tuple[float, float, float]
    half_size_zyx: tuple[float, float, float]

    def relative(self, index_zyx: IntArray) -> Float64Array:
        """Return voxel indices (n, 3) as heart-relative coordinates: 0 is the centre, 1 the half size."""
        position: Float64Array = (index_zyx - np.array(self.centre_zyx)) / np.array(self.half_size_zyx)
        return position

    def seen_from(self, corner_zyx: tuple[int, ...]) -> HeartFrame:
        """Return the same frame in indices of a box that begins at ``corner_zyx``."""
        z, y, x = (centre - corner for centre, corner in zip(self.centre_zyx, corner_zyx, strict=True))
        return HeartFrame((z, y, x), self.half_size_zyx)


def heart_frame(heart_zyx: BoolArray) -> HeartFrame:
    """Return the frame of a non-empty heart mask; half sizes are at least one voxel."""
    centres, half_sizes = [], []
    for axis in range(3):
        counts = heart_zyx.sum(axis=tuple(other for other in range(3) if other != axis), dtype=np.float64)
        index = np.arange(len(counts))
        mean = float((counts * index).sum() / counts.sum())
        spread = float(np.sqrt((counts * (index - mean) ** 2).sum() / counts.sum()))
        centres.append(mean)
        half_sizes.append(max(2.0 * spread, 1.0))
    return HeartFrame((centres[0], centres[1], centres[2]), (half_sizes[0], half_sizes[1], half_sizes[2]))


def calcium_network_input(ct_hu_zyx: Int16Array, heart_zyx: BoolArray, frame: HeartFrame) -> Float32Array:
    """Return the calcium network's input, (slices, 5, rows, columns).

    Parameters
    ----------
    ct_hu_zyx : ndarray of int16, shape (slices, rows, columns)
        HU of consecutive native slices, cropped to a box.
    heart_zyx : ndarray of bool, same shape
        Heart mask.
    frame : HeartFrame
        Heart-relative coordinates, in indices of this very box.

    Returns
    -------
    ndarray of float32, shape (slices, 5, rows, columns)
        HU windowed to -1 ... 1, heart mask 0 or 1, and the heart-relative coordinates z, y, x, clipped to -2 ... 2.
    """
    low, high = CALCIUM_WINDOW_HU
    n_slices, n_rows, n_columns = ct_hu_zyx.shape
    channels = np.empty((n_slices, 5, n_rows, n_columns), dtype=np.float32)
    np.clip(ct_hu_zyx, low, high, out=channels[:, 0], casting="unsafe")
    channels[:, 0] = (channels[:, 0] - low) * (2.0 / (high - low)) - 1.0
    channels[:, 1] = heart_zyx
    for axis, shape in enumerate([(-1, 1, 1), (1, -1, 1), (1, 1, -1)]):
        along = (np.arange(ct_hu_zyx.shape[axis]) - frame.centre_zyx[axis]) / frame.half_size_zyx[axis]
        channels[:, 2 + axis] = np.clip(along, -2.0, 2.0).reshape(shape)
    return channels


def grow_mask(mask_zyx: BoolArray, *, reach_mm: float, spacing_mm_zyx: tuple[float, float, float]) -> BoolArray:
    """Return a mask widened in each slice.

    Parameters
    ----------
    mask_zyx : ndarray of bool, shape (slices, rows, columns)
        Any mask, also an empty one.
    reach_mm : float
        How far, rounded to whole pixels for rows and for columns; below half a pixel nothing is added.
    spacing_mm_zyx : tuple of float
        Voxel spacing; the first takes no part, since slices are widened each by itself.

    Returns
    -------
    ndarray of bool, shape of the mask
        Every pixel within an ellipse (a disc, where pixels are square) of a pixel of the mask.
    """
    rows_px, columns_px = (round(reach_mm / mm) for mm in spacing_mm_zyx[1:])
    if max(rows_px, columns_px) < 1:
        return mask_zyx.copy()
    # The ellipse as a pile of horizontal runs, the shortest first so that each grows from the one before; shifted masks
    # laid over each other are many times as quick as a dilation by the whole ellipse, and give the same pixels.
    n_rows = mask_zyx.shape[1]
    grown, run, run_px = mask_zyx.copy(), mask_zyx.copy(), 0
    for row_px in reversed(range(rows_px + 1)):
        reach_px = _ellipse_reach(row_px, rows_px=rows_px, columns_px=columns_px)
        for column_px in range(run_px + 1, reach_px + 1):
            run[:, :, column_px:] |= mask_zyx[:, :, :-column_px]
            run[:, :, :-column_px] |= mask_zyx[:, :, column_px:]
        run_px = reach_px
        if row_px < n_rows:
            grown[:, row_px:] |= run[:, : n_rows - row_px]
            grown[:, : n_rows - row_px] |= run[:, row_px:]
    return grown


def _ellipse_reach(row_px: int, *, rows_px: int, columns_px: int) -> int:
    """Return the most columns x with (row / a)^2 + (x / b)^2 <= 1, in whole numbers so that no rounding decides."""
    a, b = max(rows_px, 1), max(columns_px, 1)
    return min(columns_px, math.isqrt((a * a - row_px * row_px) * b * b // (a * a)))
