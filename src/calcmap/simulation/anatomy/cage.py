"""The rib cage's inner surface: what lungs fill, ribs lie on and muscles cover.

Axial sections in polar coordinates about a centre that moves with height. Angle 0 is the front, a quarter turn the
patient's left, half a turn the back. How width, front and back change with height was measured on seven public chest
CTs (medians of their lungs' convex hulls every 20 mm); none of their voxels is used.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calcmap.core.volume import Float32Array, Float64Array
from calcmap.simulation.anatomy.thorax import Thorax

N_ANGLES = 720
"""Bins of a section: half a degree, about 1 mm at the wall."""
ANGLES: Float64Array = np.linspace(-np.pi, np.pi, N_ANGLES, endpoint=False) + np.pi / N_ANGLES
_HEIGHTS_MM = (-80.0, -60.0, -40.0, -20.0, 0.0, 20.0, 40.0, 60.0, 80.0, 100.0, 120.0, 140.0, 160.0, 175.0, 185.0)
_WIDTH_SHARE = (1.07, 1.06, 1.045, 1.025, 1.0, 0.99, 0.98, 0.96, 0.935, 0.885, 0.81, 0.70, 0.56, 0.38, 0.10)
_FRONT_MM = (6.0, 2.0, 0.0, -1.0, 0.0, 1.0, 4.0, 9.0, 16.0, 28.0, 44.0, 60.0, 74.0, 84.0, 92.0)
"""How far the front wall lies behind that at the heart's height."""
_CLEAR_HEIGHTS_MM, _CLEAR_MM, _CLEAR_HALF_DEPTH_MM = (80.0, 120.0, 160.0, 190.0), (76.0, 62.0, 50.0, 36.0), 90.0
"""Least depth before the vertebral bodies' centres, by height, in a chest of that half depth (our choice)."""
_GUTTER_MM = (29.0, 30.0, 31.0, 31.0, 31.0, 31.0, 30.0, 29.0, 27.0, 25.0, 23.0, 20.0, 16.0, 8.0, 0.0)
"""How far the lungs reach behind the vertebral bodies' centres."""
_LEAST_SLANT = 0.72
"""So that the corners of a flat section do not draw the wall out."""
_CUPOLA_FROM_MM, _CUPOLA_TOP_MM = 60.0, 188.0
_EDGE_X_MM = (0.0, 17.0, 19.0, 22.0, 26.0, 30.0, 40.0, 50.0, 62.0)
_EDGE_Y_MM = (-14.0, -9.0, 0.0, 7.0, 14.0, 19.0, 26.0, 29.5, 31.0)
"""Where the lung ends behind, beside the spine: y behind the bodies' centres by distance from the middle."""
_FRONT_POWER, _BACK_POWER = 2.1, 2.65
"""Roundness of the section's halves: 2 is an ellipse (our choice, by eye)."""
_WIDEST_SHARE = 0.535
"""Depth of the widest place over the section's whole depth (our choice, by eye)."""


@dataclass(frozen=True)
class Section:
    """One axial section."""

    center_y_mm: float
    radius_mm: Float32Array
    """By angle bin."""
    slant: Float32Array
    """Distance to the surface over distance along the ray, by angle bin."""


@dataclass(frozen=True)
class RibCage:
    """One patient's rib cage."""

    half_width_mm: float
    half_depth_mm: float
    cupola_mm: float
    """Height of the lungs' tops."""
    gutter_scale: float
    spine_heights_mm: Float64Array
    spine_y_mm: Float64Array

    def front_mm(self, z_mm: float) -> float:
        """Return y of the inner front wall in the middle: a bent spine pushes it forward."""
        level = self.level(z_mm)
        clear = float(np.interp(level, _CLEAR_HEIGHTS_MM, _CLEAR_MM)) * self.half_depth_mm / _CLEAR_HALF_DEPTH_MM
        spine = float(np.interp(z_mm, self.spine_heights_mm, self.spine_y_mm))
        return min(-self.half_depth_mm + float(np.interp(level, _HEIGHTS_MM, _FRONT_MM)), spine - clear)

    def back_mm(self, z_mm: float) -> float:
        """Return y of the lungs' rearmost reach beside the spine."""
        gutter = self.gutter_scale * float(np.interp(self.level(z_mm), _HEIGHTS_MM, _GUTTER_MM))
        return float(np.interp(z_mm, self.spine_heights_mm, self.spine_y_mm)) + gutter

    def edge_mm(self, x_mm: Float64Array, z_mm: float) -> Float64Array:
        """Return y of the lungs' rear edge beside the spine, up to the ribs' angles."""
        gutter = self.gutter_scale * float(np.interp(self.level(z_mm), _HEIGHTS_MM, _GUTTER_MM)) / _EDGE_Y_MM[-1]
        edge = np.interp(np.abs(x_mm), _EDGE_X_MM, _EDGE_Y_MM)
        return float(np.interp(z_mm, self.spine_heights_mm, self.spine_y_mm)) + edge * np.where(edge > 0, gutter, 1.0)

    def width_mm(self, z_mm: float) -> float:
        """Return the half width."""
        return self.half_width_mm * float(np.interp(self.level(z_mm), _HEIGHTS_MM, _WIDTH_SHARE))

    def center_y_mm(self, z_mm: float) -> float:
        """Return y of the widest place, the middle of the polar coordinates."""
        return self.front_mm(z_mm) + _WIDEST_SHARE * (self.back_mm(z_mm) - self.front_mm(z_mm))

    def section(self, z_mm: float) -> Section:
        """Return the section at a height (model mm)."""
        radius = self._radius_mm(ANGLES, z_mm)
        slope = np.gradient(radius, ANGLES) / radius
        return Section(
            self.center_y_mm(z_mm),
            radius.astype(np.float32),
            np.maximum(1 / np.hypot(1, slope), _LEAST_SLANT).astype(np.float32),
        )

    def points(self, angles: Float64Array, z_mm: Float64Array, *, outside_mm: float | Float64Array) -> Float64Array:
        """Return points (n, 3) on or outside the surface, in model mm."""
        outside = np.broadcast_to(np.asarray(outside_mm, dtype=np.float64), angles.shape)
        rows = []
        for angle, z, out in zip(angles, z_mm, outside, strict=True):
            radius = float(self._radius_mm(np.array([angle]), float(z))[0]) + out
            rows.append((radius * np.sin(angle), self.center_y_mm(float(z)) - radius * np.cos(angle), z))
        return np.asarray(rows, dtype=np.float64)

    def level(self, z_mm: float) -> float:
        """Return the height in the measured chests that corresponds to one of this cage."""
        if z_mm <= _CUPOLA_FROM_MM:
            return z_mm
        stretch = (_CUPOLA_TOP_MM - _CUPOLA_FROM_MM) / (self.cupola_mm - _CUPOLA_FROM_MM)
        return _CUPOLA_FROM_MM + (z_mm - _CUPOLA_FROM_MM) * stretch

    def _radius_mm(self, angles: Float64Array, z_mm: float) -> Float64Array:
        center, is_front = self.center_y_mm(z_mm), np.cos(angles) > 0
        depth = np.where(is_front, center - self.front_mm(z_mm), self.back_mm(z_mm) - center)
        across, along = np.abs(np.sin(angles)) / self.width_mm(z_mm), np.abs(np.cos(angles)) / np.maximum(depth, 4.0)
        power = np.where(is_front, _FRONT_POWER, _BACK_POWER)
        radius: Float64Array = (across**power + along**power) ** (-1 / power)
        return radius


def draw_rib_cage(thorax: Thorax) -> RibCage:
    """Return a thorax's rib cage."""
    rng, person = thorax.stream("cage"), thorax.person
    heights = np.arange(-400.0, 401.0, 10.0)
    return RibCage(
        half_width_mm=person.chest_half_width_mm,
        half_depth_mm=person.chest_half_depth_mm,
        cupola_mm=float(np.clip(rng.normal(184, 9) * person.height_cm / 170, 160, 205)),
        gutter_scale=float(np.clip(rng.normal(1.05, 0.10), 0.85, 1.3)),
        spine_heights_mm=heights,
        spine_y_mm=thorax.spine_y_mm(heights),
    )


def angle_bins(x: Float32Array, y: Float32Array) -> NDArray[np.intp]:
    """Return the angle bin of positions relative to a section's centre, to a quarter of a bin.

    The arcus tangent is looked up by x's share of the sum of both distances, which runs once around like the angle.
    """
    across = x / np.maximum(np.abs(x) + np.abs(y), np.float32(1e-6))
    turn = np.where(y > 0, np.copysign(np.float32(2), x) - across, across)
    turn += np.float32(2)
    turn *= np.float32((len(_BIN_OF_TURN) - 1) / 4)
    bins: NDArray[np.intp] = _BIN_OF_TURN[turn.astype(np.intp)]
    return bins


def _bins_of_turns() -> NDArray[np.intp]:
    turn = np.linspace(-2, 2, 8 * N_ANGLES + 1)
    across = np.where(np.abs(turn) <= 1, turn, np.copysign(2, turn) - turn)
    along = np.where(np.abs(turn) <= 1, -(1 - np.abs(across)), 1 - np.abs(across))
    angle = np.where(np.abs(turn) == 2, turn * np.pi / 2, np.arctan2(across, -along))
    bins: NDArray[np.intp] = np.minimum((angle + np.pi) * (N_ANGLES / (2 * np.pi)), N_ANGLES - 1).astype(np.intp)
    return bins


_BIN_OF_TURN = _bins_of_turns()
