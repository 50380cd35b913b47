"""The thorax that all painters share: one patient's build, the working grid and the HU of plain tissues.

Model coordinates: x = 0 in the middle, y = 0 at the middle depth of the rib cage, z = 0 at the height of the heart
box's centre, mm. Proportions were read off seven public chest CTs; none of their voxels is used.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from calcmap.core.volume import Float32Array, Float64Array
from calcmap.simulation.anatomy.deformation import Deformation
from calcmap.simulation.anatomy.heart import FLOOR_MM, HeartFrame
from calcmap.simulation.anatomy.person import SPINE_SHARE, Person
from calcmap.simulation.anatomy.shapes import Box, Canvas, Coordinates, FloatArray

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
COARSE_MM = 4.0
"""Smooth distances are worked out about this far apart and interpolated (our choice: bodies bend over 10 mm)."""
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
        # the column is furthest back a little above the heart's middle and bends forward from there, more so above
        up = (z_mm - 30) / 100
        forward = np.where(up > 0, 2.4 * up**2 / (1 + 0.5 * up**2), 1.2 * up**2)
        bend: Float64Array = self.spine_mm + self.person.kyphosis * (0.11 - forward)
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
    return person.heart_center_mm[2] + FLOOR_MM * person.heart_scale_xyz[2]


def smooth_step(t: FloatArray | np.floating) -> Float32Array:
    """Return a smooth step from 0 at t <= 0 to 1 at t >= 1."""
    clipped = np.clip(t, 0, 1)
    step: Float32Array = (clipped * clipped * (3 - 2 * clipped)).astype(np.float32)
    return step


def coarse_steps(canvas: Canvas) -> tuple[int, int, int]:
    """Return how many voxels along z, y, x a smooth distance may skip on this canvas."""
    z, y, x = (max(1, round(COARSE_MM / step)) for step in canvas.step_mm_zyx)
    return z, y, x


def refined(coarse: Float32Array, *, steps: tuple[int, int, int], shape: tuple[int, ...]) -> Float32Array:
    """Return every ``steps``-th value of an array's axes as the whole array, linearly interpolated.

    What lies beyond the last given value repeats it.
    """
    for axis, (step, n) in enumerate(zip(steps, shape, strict=True)):
        if step > 1:
            place = np.minimum(np.arange(n, dtype=np.float32) / np.float32(step), np.float32(coarse.shape[axis] - 1))
            low = np.minimum(place.astype(np.intp), max(coarse.shape[axis] - 2, 0))
            high = np.minimum(low + 1, coarse.shape[axis] - 1)
            part = (place - low).astype(np.float32).reshape([-1 if k == axis else 1 for k in range(3)])
            first = np.take(coarse, low, axis=axis)
            coarse = first + part * (np.take(coarse, high, axis=axis) - first)
    return coarse


def smooth_fields(
    canvas: Canvas, box: Box, distances: Callable[[Coordinates], tuple[Float32Array, ...]]
) -> tuple[Float32Array, ...]:
    """Return distances, given as a function of model coordinates, over a box of the canvas."""
    steps = coarse_steps(canvas)
    skip = tuple(slice(None, None, step) for step in steps)
    coarse = [np.ascontiguousarray(axis[skip]) for axis in canvas.model_coordinates(box)]
    planes = [distances((x[None], y[None], z[None])) for x, y, z in zip(*coarse, strict=True)]
    shape = canvas.hu[box].shape
    return tuple(refined(np.concatenate(field), steps=steps, shape=shape) for field in zip(*planes, strict=True))
