"""The heart: chambers, great vessels' roots, pericardium and epicardial fat.

The reference heart is described in mm about the centre of its box (x to the left, y to the back, z to the head), about
120 x 112 x 104 mm, as the hand-drawn hearts of real scans measure (`Person` scales, tilts and moves it). Fat fills what
lies between the chambers and a pericardium that bridges them: so the atrioventricular and interventricular grooves come
out where they are in people, without being drawn.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from calcmap.core.volume import Float32Array, Float64Array
from calcmap.simulation.anatomy.person import Person
from calcmap.simulation.anatomy.shapes import Body, Coordinates, ellipsoid, smooth_union, tube

BRIDGE_MM = (9.0, 3.0, 17.0)
"""Width over which the pericardium bridges the grooves: without fat, more per mm of fat, and at most (our choice: the
seven real hearts hold 1 to 21 % fat)."""
TOP_BRIDGE_SHARE = 0.75
"""Around the great vessels the sac fits closer."""
CHAMBER_BLEND_MM = 5.0
GROOVE_MM = (3.0, 1.7, 9.5)
"""Radius of the fat about the grooves' outer edges: without other fat, more per mm of fat, and at most (our choice)."""
LEFT_MAIN_MM = (6.0, 5.0, 35.0)
TOP_ABOVE_LEFT_MAIN_MM = 12.0
"""Where readers stop the heart label: near the pulmonary bifurcation."""
FLOOR_MM = -47.0
"""Height of the diaphragm under the middle of the reference heart."""
FLOOR_SLOPE = -0.07
"""Rise of the diaphragm under the heart per mm to the left: the apex lies lowest."""

LEAN = -0.24
"""Shift of the heart to the left per mm upwards: apex to the left, base towards the right (seven real hearts)."""

LEFT_VENTRICLE = ellipsoid((18, 2, -16), (48, 34, 33), axis=(0.72, -0.52, -0.46))
LEFT_CAVITY = ellipsoid((14, 5, -13), (37, 23, 22), axis=(0.72, -0.52, -0.46))
RIGHT_VENTRICLE = ellipsoid((-5, -24, -22), (45, 26, 27), axis=(0.88, -0.18, -0.44))
OUTFLOW = tube([(0, -30, -8), (9, -30, 12), (15, -26, 30)], (21, 17, 13.5))
RIGHT_ATRIUM = ellipsoid((-36, 3, -9), (19, 27, 33))
RIGHT_APPENDAGE = ellipsoid((-25, -18, 20), (11, 13, 14))
LEFT_ATRIUM = ellipsoid((-2, 33, 13), (36, 19, 25))
LEFT_APPENDAGE = tube([(24, 20, 20), (31, 8, 26), (29, -5, 27)], (9, 9, 5.5))
AORTA = tube([(4, 2, 10), (0, -1, 19), (-5, -3, 29), (-10, -5, 41), (-15, -7, 55), (-17, -8, 68)],
             (14, 17.5, 16, 15.5, 16, 16))  # fmt: skip
PULMONARY_TRUNK = tube([(15, -26, 30), (17, -19, 42), (18, -6, 54)], (13, 13, 12.5))
CAVA_SUPERIOR = tube([(-36, 5, 12), (-34, 3, 40), (-26, 2, 75), (-19, 2, 100)], (10, 9.5, 9, 8.5))
CAVA_IN_SAC = tube([(-36, 5, 12), (-34, 3, 40), (-32, 2.5, 49)], (10, 9.5, 8))
"""The part of the superior cava that the pericardium wraps."""
CAVA_INFERIOR = tube([(-31, 20, -26), (-28, 28, -52), (-24, 36, -75), (-20, 42, -120)], (13, 12.5, 12, 11))
RIGHT_PULMONARY_ARTERY = tube(
    [(18, -6, 53), (6, 9, 50), (-20, 14, 44), (-38, 19, 35), (-46, 27, 18), (-49, 34, -4)],
    (12.5, 11.5, 10.5, 9, 6.5, 3.5),
)
LEFT_PULMONARY_ARTERY = tube(
    [(18, -6, 53), (26, 10, 57), (35, 26, 53), (41, 37, 39), (44, 44, 18), (48, 50, -4)],
    (12.5, 11.5, 10.5, 8.5, 6.5, 3.5),
)
PULMONARY_VEINS = (
    tube([(-22, 33, 20), (-40, 27, 26), (-60, 20, 36)], (8, 6.5, 3.5)),
    tube([(-24, 39, 4), (-42, 42, 0), (-62, 50, -8)], (8, 6.5, 3.5)),
    tube([(24, 30, 19), (41, 25, 29), (58, 15, 42)], (8, 6, 3.5)),
    tube([(24, 39, 5), (41, 43, -1), (58, 53, -10)], (8, 6, 3.5)),
)
CHAMBERS: tuple[Body, ...] = (
    LEFT_VENTRICLE, RIGHT_VENTRICLE, OUTFLOW, RIGHT_ATRIUM, LEFT_ATRIUM, RIGHT_APPENDAGE, LEFT_APPENDAGE,
)  # fmt: skip
GROOVES: tuple[tuple[float, tuple[tuple[float, float, float], ...]], ...] = (
    (1.0, ((-19, -25, 28), (-35, -30, 18), (-44, -30, -4), (-41, -17, -30), (-23, 12, -43), (-4, 30, -43))),
    (1.0, ((26, 15, 31), (40, 29, 17), (44, 38, 2), (36, 46, -11), (16, 44, -31), (-4, 30, -43))),
    (0.9, ((24, -7, 33), (30, -25, 30), (33, -42, 14), (36, -50, -8), (38, -51, -38))),
    (0.8, ((-4, 30, -43), (13, 16, -51), (38, -12, -57))),
    (0.5, ((-4, 30, -43), (-7, 27, -28), (-10, 24, -12))),
)
"""Right and left atrioventricular, anterior and posterior interventricular groove and the fat of the crux: share of the
full width, and course."""


@dataclass(frozen=True)
class HeartFrame:
    """Where one patient's heart is: model = ``matrix`` times reference plus ``center_mm``."""

    center_mm: Float64Array
    matrix: Float64Array

    def from_reference(self, points_mm: Float64Array) -> Float64Array:
        """Return model coordinates of reference points (n, 3)."""
        moved: Float64Array = points_mm @ self.matrix.T + self.center_mm
        return moved

    def to_reference(self, xyz: Coordinates) -> Coordinates:
        """Return reference coordinates of model coordinates."""
        inverse = np.linalg.inv(self.matrix).astype(np.float32)
        offset = [axis - np.float32(c) for axis, c in zip(xyz, self.center_mm, strict=True)]
        x, y, z = (row[0] * offset[0] + row[1] * offset[1] + row[2] * offset[2] for row in inverse)
        return x, y, z


def heart_frame(person: Person) -> HeartFrame:
    """Return the place, size and tilt of a person's heart."""
    rotation = np.eye(3)
    for axis, angle in enumerate(person.heart_tilt_rad):
        i, j = (axis + 1) % 3, (axis + 2) % 3
        turn = np.eye(3)
        turn[i, i] = turn[j, j] = np.cos(angle)
        turn[i, j], turn[j, i] = -np.sin(angle), np.sin(angle)
        rotation = turn @ rotation
    lean = np.array([[1.0, 0.0, LEAN], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    shape = lean @ np.diag(person.heart_scale_xyz)
    return HeartFrame(np.asarray(person.heart_center_mm), rotation @ shape)


def heart_distances_mm(reference: Coordinates, *, fat_mm: float) -> tuple[Float32Array, Float32Array]:
    """Return the signed distances to the chambers and to the pericardial sac (reference mm).

    The chambers are muscle, blood and great-vessel roots, without fat. The sac bridges their grooves, carries
    ``fat_mm`` of fat and is flattened by the diaphragm.
    """
    z = reference[2]
    base, per_mm, most = BRIDGE_MM
    closer = 1 - np.float32(1 - TOP_BRIDGE_SHARE) * np.clip((z - 12) / 30, 0, 1)
    bridge: Float32Array = np.asarray(min(base + per_mm * fat_mm, most) * closer, dtype=np.float32)
    chambers = sac = AORTA.distance_mm(reference)
    for body in (*CHAMBERS, PULMONARY_TRUNK):
        distance = body.distance_mm(reference)
        chambers = smooth_union(chambers, distance, blend_mm=CHAMBER_BLEND_MM)
        sac = smooth_union(sac, distance, blend_mm=bridge)
    sac = smooth_union(sac, CAVA_IN_SAC.distance_mm(reference), blend_mm=bridge)
    # over the right ventricle fat is thickest, over the left ventricle's side there is hardly any
    right_front = np.clip(0.85 - 0.011 * reference[0] - 0.005 * reference[1], 0.3, 1.5)
    sac = sac - np.float32(fat_mm) * right_front.astype(np.float32)
    above: Float32Array = np.asarray(
        (z - FLOOR_MM - FLOOR_SLOPE * reference[0]) / np.hypot(1, FLOOR_SLOPE), dtype=np.float32
    )
    return _without_grooves(chambers, reference, fat_mm=fat_mm), -smooth_union(-sac, above, blend_mm=9.0)


def _without_grooves(chambers_mm: Float32Array, reference: Coordinates, *, fat_mm: float) -> Float32Array:
    """Return the distance to the chambers with the fat of the grooves taken out of them."""
    base, per_mm, most = GROOVE_MM
    radius = min(base + per_mm * fat_mm, most)
    fat: Float32Array | None = None
    for share, points in GROOVES:
        # a groove narrows along its course
        widths = share * radius * np.linspace(1.0, 0.75, len(points))
        groove = tube(points, widths.tolist()).distance_mm(reference)
        fat = groove if fat is None else np.minimum(fat, groove)
    if fat is None:
        return chambers_mm
    return -smooth_union(-chambers_mm, fat, blend_mm=3.0)


def reference_points(points_mm: Float64Array) -> Coordinates:
    """Return (n, 3) points as float32 coordinate arrays."""
    x, y, z = points_mm.astype(np.float32).T
    return x, y, z
