"""How sharp the beating heart's edge is, compared with the chest wall that does not beat."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from calcmap.core.volume import BoolArray, Float64Array, Int16Array

EDGE_HU = (-250.0, -650.0)
"""The stretch of the edge that is measured: below epicardial fat, above aerated lung."""
START_INSIDE_MM = 10.0
"""Profiles start this far inside the outline, so that an outline's error does not matter."""
REACH_MM = 25.0
"""Profiles look this far past the outline for the lung."""
WALL_DEPTH_MM = 8.0
"""Tissue this deep behind the lung is chest wall, not a vessel."""
ROW_STEP_MM = 8.0
MAX_SLICES = 10
MIN_EDGES = 30


@dataclass(frozen=True)
class EdgeWidths:
    """Median widths of tissue-to-lung edges, mm, from -250 to -650 HU along rows."""

    heart_mm: float
    wall_mm: float | None
    """``None`` where the chest wall is seen too rarely."""


def heart_edge_widths(
    ct_hu_zyx: Int16Array, heart_zyx: BoolArray, spacing_mm_zyx: tuple[float, float, float]
) -> EdgeWidths | None:
    """Return how wide the edges of heart and chest wall to the lung are, or ``None`` with too few edges to tell.

    Rows of the middle half of the heart's height and depth are followed outwards to both sides. A sharp edge measures 1
    to 2 mm, and the slices' thickness widens it where the surface is oblique; blur by motion over *d* mm makes it about
    0.45 *d*. An edge seen twice looks sharp to this measure.

    Parameters
    ----------
    ct_hu_zyx : ndarray of int16, shape (slices, rows, columns)
        HU over the body's full width, so that the chest wall is seen; the slices hold the heart from first to last.
    heart_zyx : ndarray of bool, same shape
        The heart.
    spacing_mm_zyx : tuple of float
        Voxel spacing, mm.

    Returns
    -------
    EdgeWidths or None
        Medians over the edges found.
    """
    heart_mm: list[float] = []
    wall_mm: list[float] = []
    mm = spacing_mm_zyx[2]
    for profile, reach in _profiles(ct_hu_zyx, heart_zyx, spacing_mm_zyx):
        edge = _first_edge(profile[:reach])
        if edge is None:
            continue
        width_px, lung_at = edge
        heart_mm.append(width_px * mm)
        wall_px = _wall_width_px(profile[lung_at:], depth_px=max(2, round(WALL_DEPTH_MM / mm)))
        if wall_px is not None:
            wall_mm.append(wall_px * mm)
    if len(heart_mm) < MIN_EDGES:
        return None
    wall = float(np.median(wall_mm)) if len(wall_mm) >= MIN_EDGES else None
    return EdgeWidths(heart_mm=float(np.median(heart_mm)), wall_mm=wall)


def _profiles(
    ct_hu_zyx: Int16Array, heart_zyx: BoolArray, spacing_mm_zyx: tuple[float, float, float]
) -> list[tuple[Float64Array, int]]:
    """Return profiles outwards from just inside the heart, with the index up to which the lung must have come."""
    nz = heart_zyx.shape[0]
    inside_px, reach_px = (round(mm / spacing_mm_zyx[2]) for mm in (START_INSIDE_MM, REACH_MM))
    profiles = []
    for z in range(nz // 4, nz - nz // 4, 1 + nz // (2 * MAX_SLICES)):
        rows = np.flatnonzero(heart_zyx[z].any(axis=1))
        rows = rows[len(rows) // 4 : len(rows) - len(rows) // 4 : max(1, round(ROW_STEP_MM / spacing_mm_zyx[1]))]
        for y in rows:
            columns = np.flatnonzero(heart_zyx[z, y])
            line = ct_hu_zyx[z, y].astype(np.float64)
            to_left = line[max(0, columns[-1] - inside_px) :]
            to_right = line[: columns[0] + inside_px + 1][::-1]
            profiles += [(to_left, inside_px + reach_px), (to_right, inside_px + reach_px)]
    return profiles


def _first_edge(profile_hu: Float64Array) -> tuple[float, int] | None:
    """Return width (pixels) and first lung index of the first edge from tissue to lung; ``None`` without one."""
    below = np.flatnonzero(profile_hu < EDGE_HU[1])
    if below.size == 0:
        return None
    lung_at = int(below[0])
    tissue = np.flatnonzero(profile_hu[:lung_at] > EDGE_HU[0])
    if tissue.size == 0:
        return None
    leave, reach = int(tissue[-1]), lung_at - 1
    start = leave + (profile_hu[leave] - EDGE_HU[0]) / (profile_hu[leave] - profile_hu[leave + 1])
    end = reach + (profile_hu[reach] - EDGE_HU[1]) / (profile_hu[reach] - profile_hu[lung_at])
    return float(end - start), lung_at


def _wall_width_px(from_lung_hu: Float64Array, *, depth_px: int) -> float | None:
    """Return the width of the edge where a profile that starts in the lung meets the chest wall."""
    is_tissue = from_lung_hu > EDGE_HU[0]
    run = np.convolve(is_tissue, np.ones(depth_px, dtype=int), mode="valid")
    walls = np.flatnonzero(run == depth_px)
    if walls.size == 0:
        return None
    edge = _first_edge(from_lung_hu[: walls[0] + 1][::-1])
    return None if edge is None else edge[0]
