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

PERICARDIUM_BLEND_MM = 17.0
"""Width over which the pericardium bridges the grooves (our choice: gives grooves 8-12 mm deep)."""
CHAMBER_BLEND_MM = 6.0
LEFT_MAIN_MM = (6.0, 5.0, 35.0)
TOP_ABOVE_LEFT_MAIN_MM = 12.0
"""Where readers stop the heart label: near the pulmonary bifurcation."""
FLOOR_MM = -50.0
"""Height of the diaphragm under the reference heart."""

LEFT_VENTRICLE = ellipsoid((17, 3, -12), (46, 34, 34), axis=(0.70, -0.52, -0.49))
LEFT_CAVITY = ellipsoid((13, 6, -9), (36, 23, 23), axis=(0.70, -0.52, -0.49))
RIGHT_VENTRICLE = ellipsoid((-5, -23, -19), (44, 26, 28), axis=(0.88, -0.20, -0.42))
OUTFLOW = tube([(0, -30, -5), (10, -29, 18), (15, -25, 32)], (21, 18.5, 16))
RIGHT_ATRIUM = ellipsoid((-35, 4, -3), (20, 28, 34))
RIGHT_APPENDAGE = ellipsoid((-26, -20, 24), (13, 15, 15))
LEFT_ATRIUM = ellipsoid((-2, 34, 17), (36, 20, 27))
LEFT_APPENDAGE = ellipsoid((32, 6, 25), (12, 18, 12))
AORTA = tube([(4, 2, 10), (-3, -2, 24), (-9, -5, 38), (-16, -8, 58), (-18, -9, 75)], (14, 17.5, 16, 16.5, 16))
PULMONARY_TRUNK = tube([(15, -25, 32), (17, -18, 45), (17, -4, 58)], (13.5, 13.5, 13))
CAVA_SUPERIOR = tube([(-37, 6, 20), (-37, 4, 50), (-34, 2, 110)], (10, 9.5, 9.5))
CAVA_INFERIOR = tube([(-30, 22, -28), (-28, 30, -55), (-24, 38, -110)], (14, 13, 12))
RIGHT_PULMONARY_ARTERY = tube([(17, -4, 58), (2, 12, 60), (-25, 16, 54), (-46, 22, 44)], (13, 12, 11, 8.5))
LEFT_PULMONARY_ARTERY = tube([(17, -4, 58), (28, 12, 64), (38, 28, 60), (44, 40, 44)], (13, 12, 11, 8.5))
PULMONARY_VEINS = (
    tube([(-22, 36, 22), (-42, 30, 28), (-62, 22, 36)], (8, 6, 3.5)),
    tube([(-24, 42, 6), (-44, 46, 2), (-62, 52, -4)], (8, 6, 3.5)),
    tube([(24, 32, 22), (42, 26, 30), (58, 16, 40)], (8, 5.5, 3.5)),
    tube([(24, 42, 8), (42, 46, 2), (58, 54, -6)], (8, 5.5, 3.5)),
)
CHAMBERS: tuple[Body, ...] = (
    LEFT_VENTRICLE, RIGHT_VENTRICLE, OUTFLOW, RIGHT_ATRIUM, LEFT_ATRIUM, RIGHT_APPENDAGE, LEFT_APPENDAGE,
)  # fmt: skip


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
    return HeartFrame(np.asarray(person.heart_center_mm), rotation * np.asarray(person.heart_scale_xyz)[None, :])


def heart_distances_mm(reference: Coordinates, *, fat_mm: float) -> tuple[Float32Array, Float32Array]:
    """Return the signed distances to the chambers and to the pericardial sac (reference mm).

    The chambers are muscle, blood and great-vessel roots, without fat. The sac bridges their grooves, carries
    ``fat_mm`` of fat and is flattened by the diaphragm.
    """
    chambers = sac = AORTA.distance_mm(reference)
    for body in (*CHAMBERS, PULMONARY_TRUNK):
        distance = body.distance_mm(reference)
        chambers = smooth_union(chambers, distance, blend_mm=CHAMBER_BLEND_MM)
        sac = smooth_union(sac, distance, blend_mm=PERICARDIUM_BLEND_MM)
    floor = np.float32(FLOOR_MM) - reference[2]
    return chambers, -smooth_union(np.float32(fat_mm) - sac, -floor, blend_mm=12.0)


def reference_points(points_mm: Float64Array) -> Coordinates:
    """Return (n, 3) points as float32 coordinate arrays."""
    x, y, z = points_mm.astype(np.float32).T
    return x, y, z
