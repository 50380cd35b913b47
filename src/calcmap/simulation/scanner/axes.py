"""Where a CT's voxels are."""

from __future__ import annotations

from dataclasses import dataclass

from calcmap.core.volume import Float64Array


@dataclass(frozen=True)
class CtAxes:
    """Voxel centres of the CT in patient coordinates, mm."""

    z_mm: Float64Array
    y_mm: Float64Array
    x_mm: Float64Array

    @property
    def pixel_mm(self) -> float:
        """Distance of neighbouring pixels."""
        return float(self.x_mm[1] - self.x_mm[0])
