"""A heart of known shape in air, with calcium on both sides of it."""

from __future__ import annotations

import numpy as np

from calcmap.core.volume import Volume, grid_from_spacing


def ellipsoid_mask(
    shape_zyx: tuple[int, int, int],
    spacing_mm_zyx: tuple[float, float, float],
    *,
    center_mm_zyx: tuple[float, float, float],
    radii_mm_zyx: tuple[float, float, float],
) -> np.ndarray:
    """Return the voxels whose centres lie in an ellipsoid."""
    axes = [
        (np.arange(n) * mm - c) / r
        for n, mm, c, r in zip(shape_zyx, spacing_mm_zyx, center_mm_zyx, radii_mm_zyx, strict=True)
    ]
    z, y, x = np.meshgrid(*axes, indexing="ij", sparse=True)
    return z**2 + y**2 + x**2 <= 1.0


def heart_in_air(
    *, spacing_mm_zyx: tuple[float, float, float] = (3.0, 2.0, 2.0), with_calcium: bool = True
) -> tuple[Volume, np.ndarray]:
    """Return a scan and its heart mask: 40 HU in air, 400 HU coronary right of the middle, noncoronary left of it."""
    shape_zyx = tuple(round(mm / step) for mm, step in zip((120.0, 180.0, 180.0), spacing_mm_zyx, strict=True))
    heart = ellipsoid_mask(shape_zyx, spacing_mm_zyx, center_mm_zyx=(60.0, 84.0, 94.0), radii_mm_zyx=(42.0, 38.0, 45.0))
    ct = np.full(shape_zyx, -1000, dtype=np.int16)
    ct[heart] = 40
    if with_calcium:
        z, y, x = (round(c / mm) for c, mm in zip((60.0, 84.0, 94.0), spacing_mm_zyx, strict=True))
        ct[z : z + 2, y : y + 3, x - 12 : x - 9] = 400
        ct[z - 6, y : y + 3, x + 9 : x + 12] = 400
    return Volume(ct, grid_from_spacing(shape_zyx, spacing_mm_zyx)), heart
