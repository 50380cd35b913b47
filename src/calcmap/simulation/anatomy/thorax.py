"""The thorax that all painters share: one patient's build, the working grid and the HU of plain tissues.

Model coordinates: x = 0 in the middle, y = 0 at the middle depth of the rib cage, z = 0 at the height of the heart
box's centre, mm. Proportions were read off seven public chest CTs; none of their voxels is used.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from calcmap.core.volume import Float32Array, Float64Array
from calcmap.simulation.anatomy.deformation import Deformation
from calcmap.simulation.anatomy.heart import HeartFrame
from calcmap.simulation.anatomy.person import SPINE_SHARE, Person
from calcmap.simulation.anatomy.shapes import Box, Canvas, FloatArray

AIR_HU = -1000.0
FAT_HU = -105.0
MUSCLE_HU = 52.0
SKIN_HU = 10.0
CARTILAGE_HU = 110.0
CORTEX_HU = 620.0
DISC_HU = 80.0
CORD_HU = 28.0
WALL_MM = 10.0
"""Thickness of the layer of ribs and intercostal muscles."""
TILE = 64
"""Side of the periodic texture tile, voxels."""


@dataclass(frozen=True)
class Anatomy:
    """One patient's build, before any grid is laid over it: enough to place vessels and calcium."""

    person: Person
    frame: HeartFrame
    deformation: Deformation

    @property
    def spine_mm(self) -> float:
        """y of the vertebral bodies' centres at the heart's height."""
        return SPINE_SHARE * self.person.chest_half_depth_mm

    def spine_y_mm(self, z_mm: Float64Array) -> Float64Array:
        """Return y of the vertebral bodies' centres by height."""
        bend: Float64Array = self.spine_mm + self.person.kyphosis * ((z_mm - 20) / 100) ** 2
        return bend

    def patient_points(self, points_mm: Float64Array) -> Float64Array:
        """Return model points in patient coordinates."""
        return self.deformation.to_patient(points_mm)


@dataclass(frozen=True)
class Thorax(Anatomy):
    """An anatomy on its working grid: what the painters of one patient share."""

    canvas: Canvas
    seed: tuple[int, ...]
    """Of everything about this chest that is drawn while it is painted."""
    tile_zyx: Float32Array
    """Periodic smooth noise of SD 1."""

    def stream(self, name: str) -> np.random.Generator:
        """Return one painter's random numbers: the same whatever others drew and however far the scan reaches."""
        return np.random.default_rng([*self.seed, *name.encode()])

    def texture(self, box: Box, *, sd: float) -> Float32Array:
        """Return smooth noise over a box of the canvas."""
        index = [np.arange(n)[part] % TILE for n, part in zip(self.canvas.hu.shape, box, strict=True)]
        noise: Float32Array = self.tile_zyx[np.ix_(*index)] * np.float32(sd)
        return noise


def heart_floor_mm(person: Person) -> float:
    """Return the height of the diaphragm under the heart."""
    return person.heart_center_mm[2] - 50 * person.heart_scale_xyz[2]


def smooth_step(t: FloatArray | np.floating) -> Float32Array:
    """Return a smooth step from 0 at t <= 0 to 1 at t >= 1."""
    clipped = np.clip(t, 0, 1)
    step: Float32Array = (clipped * clipped * (3 - 2 * clipped)).astype(np.float32)
    return step
