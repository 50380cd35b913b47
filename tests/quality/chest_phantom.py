"""A chest of ellipsoids with known heart, for tests that bend one property at a time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calcmap.core.scan import Acquisition, Scan
from calcmap.core.volume import Volume, grid_from_spacing

SHAPE_ZYX = (40, 128, 128)
SPACING_MM_ZYX = (5.0, 3.0, 3.0)
CENTER_MM_ZYX = (100.0, 192.0, 192.0)


def ellipsoid(
    center_mm_zyx: tuple[float, float, float],
    diameters_mm_zyx: tuple[float, float, float],
    *,
    shape_zyx: tuple[int, int, int] = SHAPE_ZYX,
    spacing_mm_zyx: tuple[float, float, float] = SPACING_MM_ZYX,
) -> NDArray[np.bool_]:
    """Return the voxels whose centres lie in an ellipsoid; an infinite diameter makes it a cylinder."""
    axes = [
        (np.arange(n) * mm - c) / (d / 2)
        for n, mm, c, d in zip(shape_zyx, spacing_mm_zyx, center_mm_zyx, diameters_mm_zyx, strict=True)
    ]
    z, y, x = np.meshgrid(*axes, indexing="ij", sparse=True)
    return z**2 + y**2 + x**2 <= 1.0


@dataclass(eq=False)
class Chest:
    """Voxels of the phantom; tests change ``hu_zyx`` or ``heart_zyx`` and call `scan`."""

    hu_zyx: NDArray[np.float64]
    heart_zyx: NDArray[np.bool_]
    blood_zyx: NDArray[np.bool_]
    spacing_mm_zyx: tuple[float, float, float] = SPACING_MM_ZYX
    kvp: float | None = 120.0
    contrast_agent: str | None = None
    noise_hu: float = 15.0
    seed: int = 20240229

    def scan(self) -> Scan:
        rng = np.random.default_rng(self.seed)
        noisy = np.where(
            self.hu_zyx < -1500, self.hu_zyx, self.hu_zyx + rng.normal(0.0, self.noise_hu, self.hu_zyx.shape)
        )
        volume = Volume(noisy.round().astype(np.int16), grid_from_spacing(self.hu_zyx.shape, self.spacing_mm_zyx))
        acquisition = Acquisition("dicom", kvp=self.kvp, contrast_agent=self.contrast_agent)
        return Scan(volume, acquisition, series_uid="1.2.3", input_sha256="0" * 64)


def make_chest() -> Chest:
    """Return body, lungs, spine, and a heart of 110 x 100 x 110 mm (633 mL) with a fat rim, unenhanced."""
    z, y, x = CENTER_MM_ZYX
    hu = np.full(SHAPE_ZYX, -1000.0)
    hu[ellipsoid((z, y, x), (np.inf, 230.0, 330.0))] = -100.0
    hu[ellipsoid((z, y, x), (np.inf, 210.0, 310.0))] = 50.0
    for side in (-1.0, 1.0):
        hu[ellipsoid((z, y, x + side * 75.0), (260.0, 170.0, 125.0))] = -800.0
    hu[ellipsoid((z, y + 75.0, x), (np.inf, 36.0, 40.0))] = 180.0
    heart = ellipsoid((z, y - 20.0, x + 20.0), (110.0, 100.0, 110.0))
    blood = ellipsoid((z, y - 20.0, x + 20.0), (104.0, 94.0, 104.0))
    hu[heart], hu[blood] = -90.0, 45.0
    return Chest(hu, heart, blood)
