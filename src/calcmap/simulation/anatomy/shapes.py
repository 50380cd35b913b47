"""Signed distances of simple bodies, and the canvas on which tissues are painted.

A signed distance is negative inside a body, positive outside, in mm. Every function takes coordinates as three arrays
(x, y, z; LPS, mm) that broadcast against each other, so the same body can be asked about a grid or about a few points.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calcmap.core.volume import Float32Array, Float64Array

Coordinates = tuple[Float32Array, Float32Array, Float32Array]
FloatArray = NDArray[np.floating]
Box = tuple[slice, slice, slice]
N_UNBENDING_STEPS = 3
"""Fixed-point steps of `Canvas.unbent`; each shrinks the error by the bending's gradient (< 0.3)."""


@dataclass(frozen=True)
class Ellipsoid:
    """An ellipsoid; ``rotation`` maps patient axes to the body's own axes (rows are its axes)."""

    center_mm: Float64Array
    radii_mm: Float64Array
    rotation: Float64Array

    def distance_mm(self, xyz: Coordinates) -> Float32Array:
        """Return the approximate signed distance (exact at the surface to first order)."""
        offset = [axis - np.float32(c) for axis, c in zip(xyz, self.center_mm, strict=True)]
        scaled = np.float32(0)
        gradient = np.float32(0)
        for row, radius in zip(self.rotation.astype(np.float32), self.radii_mm.astype(np.float32), strict=True):
            along = (offset[0] * row[0] + offset[1] * row[1] + offset[2] * row[2]) / radius
            scaled = scaled + along * along
            gradient = gradient + (along / radius) ** 2
        norm = np.sqrt(scaled)
        distance: Float32Array = norm * (norm - np.float32(1)) / np.maximum(np.sqrt(gradient), np.float32(1e-6))
        return distance

    def reach_mm(self) -> tuple[Float64Array, Float64Array]:
        """Return the lowest and highest corner of the bounding box."""
        half = np.sqrt(((self.rotation * self.radii_mm[:, None]) ** 2).sum(axis=0))
        return self.center_mm - half, self.center_mm + half


@dataclass(frozen=True)
class Tube:
    """A chain of round cones through ``points_mm`` (n, 3) with a radius at each point."""

    points_mm: Float64Array
    radii_mm: Float64Array

    def distance_mm(self, xyz: Coordinates) -> Float32Array:
        """Return the signed distance to the chain (distance to the axis minus the interpolated radius)."""
        best: Float32Array | None = None
        for k in range(len(self.points_mm) - 1):
            distance = _cone_distance_mm(xyz, self.points_mm[k : k + 2], self.radii_mm[k : k + 2], flattening=1.0)
            best = distance if best is None else np.minimum(best, distance)
        if best is None:
            raise ValueError("a tube needs two points")
        return best

    def reach_mm(self) -> tuple[Float64Array, Float64Array]:
        """Return the lowest and highest corner of the bounding box."""
        radius = self.radii_mm.max()
        return self.points_mm.min(axis=0) - radius, self.points_mm.max(axis=0) + radius


Body = Ellipsoid | Tube


def ellipsoid(
    center_mm: Sequence[float], radii_mm: Sequence[float], *, axis: Sequence[float] | Float64Array | None = None
) -> Ellipsoid:
    """Return an ellipsoid whose first radius lies along ``axis`` (patient axes when ``None``)."""
    rotation = np.eye(3) if axis is None else frame_along(np.asarray(axis, dtype=np.float64))
    return Ellipsoid(np.asarray(center_mm, dtype=np.float64), np.asarray(radii_mm, dtype=np.float64), rotation)


def tube(points_mm: Sequence[Sequence[float]], radii_mm: Sequence[float] | float) -> Tube:
    """Return a tube; one radius serves all points."""
    points = np.asarray(points_mm, dtype=np.float64)
    return Tube(points, np.broadcast_to(np.asarray(radii_mm, dtype=np.float64), (len(points),)).copy())


def frame_along(axis: Float64Array) -> Float64Array:
    """Return three orthonormal rows, the first along ``axis``."""
    first = axis / np.linalg.norm(axis)
    helper = np.eye(3)[int(np.argmin(np.abs(first)))]
    second = np.cross(first, helper)
    second /= np.linalg.norm(second)
    return np.stack([first, second, np.cross(first, second)])


def smooth_union(first: Float32Array, second: Float32Array, *, blend_mm: float | Float32Array) -> Float32Array:
    """Return the union of two bodies whose seam is filled over about ``blend_mm``."""
    k = np.asarray(blend_mm, dtype=np.float32)
    overlap = np.maximum(k - np.abs(first - second), np.float32(0)) / k
    union: Float32Array = np.minimum(first, second) - overlap * overlap * k * np.float32(0.25)
    return union


def smooth_curve(points_mm: Float64Array, *, step_mm: float) -> Float64Array:
    """Return the Catmull-Rom curve through ``points_mm`` (n, 3), resampled to about ``step_mm``."""
    padded = np.vstack([2 * points_mm[0] - points_mm[1], points_mm, 2 * points_mm[-1] - points_mm[-2]])
    pieces = []
    for p0, p1, p2, p3 in zip(padded[:-3], padded[1:-2], padded[2:-1], padded[3:], strict=True):
        n = max(2, round(float(np.linalg.norm(p2 - p1)) / step_mm))
        t = np.arange(n)[:, None] / n
        pieces.append(
            0.5 * (2 * p1 + (p2 - p0) * t + (2 * p0 - 5 * p1 + 4 * p2 - p3) * t**2 + (3 * p1 - p0 - 3 * p2 + p3) * t**3)
        )
    return np.vstack([*pieces, points_mm[-1:]])


def _cone_distance_mm(
    xyz: Coordinates, ends_mm: Float64Array, radii_mm: Float64Array, *, flattening: float
) -> Float32Array:
    """Return the signed distance to one segment; ``flattening`` > 1 makes the section that much taller in z."""
    squash = np.array([1.0, 1.0, 1.0 / flattening])
    start, along = (ends_mm[0] * squash).astype(np.float32), ((ends_mm[1] - ends_mm[0]) * squash).astype(np.float32)
    px, py, pz = xyz[0] - start[0], xyz[1] - start[1], xyz[2] * np.float32(squash[2]) - start[2]
    length2 = np.float32(max(float(along @ along), 1e-6))
    t = np.clip((px * along[0] + py * along[1] + pz * along[2]) / length2, 0, 1)
    dx, dy, dz = px - t * along[0], py - t * along[1], pz - t * along[2]
    radius = np.float32(radii_mm[0]) + t * np.float32(radii_mm[1] - radii_mm[0])
    distance: Float32Array = np.sqrt(dx * dx + dy * dy + dz * dz) - radius
    return distance


class Canvas:
    """The working grid: HU painted tissue by tissue, with soft edges one grid step wide.

    Parameters
    ----------
    axes_mm_zyx : tuple of ndarray
        Ascending voxel centres along z, y, x in patient coordinates, mm.
    warped_xyz : tuple of ndarray of float32, each of the grid's shape
        Undeformed ("model") coordinates of each voxel, in which bodies are described.
    slack_mm : float
        Largest distance between a voxel's patient and model coordinates.
    """

    def __init__(
        self, axes_mm_zyx: tuple[Float64Array, Float64Array, Float64Array], warped_xyz: Coordinates, *, slack_mm: float
    ) -> None:
        self.axes_mm_zyx = axes_mm_zyx
        self.warped_xyz = warped_xyz
        self.slack_mm = slack_mm
        self.step_mm = float(axes_mm_zyx[2][1] - axes_mm_zyx[2][0])
        shape = tuple(len(axis) for axis in axes_mm_zyx)
        self.hu = np.full(shape, -1000, dtype=np.float32)

    @property
    def step_mm_zyx(self) -> tuple[float, float, float]:
        """Distance of voxel centres along z, y, x."""
        z = self.axes_mm_zyx[0]
        return float(z[1] - z[0]), self.step_mm, self.step_mm

    @property
    def whole(self) -> Box:
        """The box that holds every voxel."""
        return (slice(None), slice(None), slice(None))

    def box(self, low_mm: Float64Array, high_mm: Float64Array, *, margin_mm: float | None = None) -> Box | None:
        """Return the voxels between two corners (x, y, z) and a margin (default: the slack); ``None`` without any."""
        margin = (self.slack_mm if margin_mm is None else margin_mm) + self.step_mm
        slices = []
        for axis, low, high in zip(self.axes_mm_zyx, low_mm[::-1], high_mm[::-1], strict=True):
            first, last = np.searchsorted(axis, [low - margin, high + margin])
            if first >= last:
                return None
            slices.append(slice(int(first), int(last)))
        return (slices[0], slices[1], slices[2])

    def planes(self, box: Box) -> Iterator[Box]:
        """Yield a box slice by slice: arrays that stay in the processor's cache are several times faster."""
        first, last, _ = box[0].indices(self.hu.shape[0])
        for k in range(first, last):
            yield (slice(k, k + 1), box[1], box[2])

    def model_coordinates(self, box: Box) -> Coordinates:
        """Return the model coordinates (x, y, z) of a box."""
        x, y, z = self.warped_xyz
        return x[box], y[box], z[box]

    def patient_coordinates(self, box: Box) -> Coordinates:
        """Return the patient coordinates (x, y, z) of a box as broadcastable axes."""
        z, y, x = (axis[part].astype(np.float32) for axis, part in zip(self.axes_mm_zyx, box, strict=True))
        return x[None, None, :], y[None, :, None], z[:, None, None]

    def unbent(self, points_mm: Float64Array) -> Float64Array:
        """Return patient coordinates of model points (n, 3), to about half a voxel: enough for thousands of twigs.

        Points beyond the grid are shifted like its nearest voxel.
        """
        axes = self.axes_mm_zyx[::-1]
        steps = np.array(self.step_mm_zyx[::-1])
        origin, last = np.array([axis[0] for axis in axes]), np.array([len(axis) - 1 for axis in axes])
        patient = points_mm
        for _ in range(N_UNBENDING_STEPS):
            x, y, z = np.clip(np.rint((patient - origin) / steps), 0, last).astype(np.intp).T
            bent = np.stack([field[z, y, x] for field in self.warped_xyz], axis=1)
            own = np.stack([axis[k] for axis, k in zip(axes, (x, y, z), strict=True)], axis=1)
            patient = points_mm - (bent - own)
        return patient

    def coverage(self, distance_mm: FloatArray) -> Float32Array:
        """Return the share of each voxel inside a body, 0 to 1."""
        share: Float32Array = np.clip(np.float32(0.5) - distance_mm / np.float32(self.step_mm), 0, 1, dtype=np.float32)
        return share

    def paint(self, box: Box, distance_mm: FloatArray, hu: float | FloatArray) -> None:
        """Lay a tissue over what is there."""
        view = self.hu[box]
        view += self.coverage(distance_mm) * (np.asarray(hu, dtype=np.float32) - view)

    def paint_body(self, body: Body, hu: float | Float32Array) -> None:
        """Lay one body, described in model coordinates, over what is there."""
        box = self.box(*body.reach_mm())
        if box is not None:
            self.paint(box, body.distance_mm(self.model_coordinates(box)), hu)

    def paint_curve(
        self,
        points_mm: Float64Array,
        radii_mm: Float64Array,
        hu: float,
        *,
        core_hu: float | None = None,
        rim_mm: float = 1.5,
        flattening: float = 1.0,
    ) -> None:
        """Lay a thin tube, given in *patient* coordinates, over what is there, segment by segment.

        ``core_hu`` fills what lies deeper than ``rim_mm``: marrow inside cortex, air inside an airway wall.
        """  # fmt: skip
        pieces = self.segments(points_mm, radii_mm, flattening=flattening)
        for box, distance in pieces:
            self.paint(box, distance, hu)
        if core_hu is not None:
            for box, distance in pieces:
                self.paint(box, distance + np.float32(rim_mm), core_hu)

    def segments(
        self, points_mm: Float64Array, radii_mm: Float64Array, *, flattening: float
    ) -> list[tuple[Box, Float32Array]]:
        """Return each segment of a thin tube in *patient* coordinates: its box and the signed distance in it."""
        tall = np.array([1.0, 1.0, flattening])
        pieces = []
        for k in range(len(points_mm) - 1):
            ends, radii = points_mm[k : k + 2], radii_mm[k : k + 2]
            reach = radii.max() * tall
            box = self.box(ends.min(axis=0) - reach, ends.max(axis=0) + reach, margin_mm=0.0)
            if box is not None:
                xyz = self.patient_coordinates(box)
                pieces.append((box, _cone_distance_mm(xyz, ends, radii, flattening=flattening)))
        return pieces
