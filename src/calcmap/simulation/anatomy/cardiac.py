"""The heart as painted: pericardium, fat, veins, muscle and blood, and the label that a reader would draw."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from calcmap.core.errors import GeometryError
from calcmap.core.volume import Float32Array
from calcmap.simulation.anatomy.heart import (
    LEFT_CAVITY,
    LEFT_MAIN_MM,
    LEFT_VENTRICLE,
    TOP_ABOVE_LEFT_MAIN_MM,
    heart_distances_mm,
)
from calcmap.simulation.anatomy.shapes import Box, Coordinates, smooth_curve, smooth_union
from calcmap.simulation.anatomy.thorax import FAT_HU, Thorax, smooth_fields, smooth_step

PERICARDIUM_MM = 1.3
"""Thickness of the sac as CT shows it (1-2 mm where fat lies on both sides)."""
PERICARDIUM_HU = 25.0
FLUID_HU = 12.0
WALL_GAP_MM = 2.5
"""Pericardium and pleura between heart and rib cage."""
CARDIAC_VEINS = {
    "coronary_sinus": (((31, 40, -9), (21, 41, -20), (8, 35, -29), (-6, 24, -31), (-22, 14, -27)), (2.4, 4.6)),
    "great_vein": (
        ((33, -45, -24), (31, -41, 2), (28, -32, 17), (26, -12, 29), (30, 16, 24), (38, 31, 8), (31, 40, -9)),
        (1.0, 2.4),
    ),
    "middle_vein": (((33, -9, -50), (20, 6, -48), (7, 20, -42), (-3, 25, -34)), (1.0, 2.2)),
    "small_vein": (((-37, -22, -10), (-33, -9, -30), (-19, 12, -36), (-8, 23, -33)), (0.8, 1.6)),
}
"""Way points (reference mm) and radii at both ends; they lie in the grooves beside the arteries."""
AORTIC_RECESS_MM = ((-24, 3, 47), (-15, 9, 50), (-3, 9, 49))
"""Where fluid collects behind the ascending aorta (reference mm)."""


@dataclass(frozen=True)
class HeartField:
    """Signed distances (mm) to one patient's heart over a box of the canvas."""

    box: Box
    sac_mm: Float32Array
    chambers_mm: Float32Array


def heart_field(thorax: Thorax) -> HeartField:
    """Return the distances to a thorax's heart.

    Raises
    ------
    GeometryError
        The scan does not reach the heart.
    """
    half = 88.0 * max(thorax.person.heart_scale_xyz)
    center = thorax.frame.center_mm
    box = thorax.canvas.box(center - half, center + half, margin_mm=0.0)
    if box is None:
        raise GeometryError("the scan does not reach the heart")
    fat_mm, scale = thorax.person.epicardial_fat_mm, _scale(thorax)

    def chambers_and_sac(xyz: Coordinates) -> tuple[Float32Array, Float32Array]:
        chambers, sac = heart_distances_mm(thorax.frame.to_reference(xyz), fat_mm=fat_mm)
        return chambers * scale, sac * scale

    chambers, sac = smooth_fields(thorax.canvas, box, chambers_and_sac)
    return HeartField(box, sac, chambers)


def confined(heart: HeartField, cavity: Float32Array) -> HeartField:
    """Return the heart as the rib cage leaves it room: flat where it lies against the breast bone.

    ``cavity`` is the distance to the rib cage's inner surface on the whole canvas, mm.
    """
    wall = cavity[heart.box] + np.float32(WALL_GAP_MM)
    sac = -smooth_union(-heart.sac_mm, -wall, blend_mm=8.0)
    chambers = -smooth_union(-heart.chambers_mm, -wall - np.float32(1), blend_mm=8.0)
    return replace(heart, sac_mm=sac, chambers_mm=chambers)


def heart_share(thorax: Thorax, heart: HeartField) -> Float32Array:
    """Return the label's share: the sac, cut by the axial plane where readers stop."""
    share = np.zeros_like(thorax.canvas.hu)
    left_main = thorax.patient_points(thorax.frame.from_reference(np.array([LEFT_MAIN_MM])))
    top = np.float32(left_main[0, 2] + TOP_ABOVE_LEFT_MAIN_MM * thorax.person.heart_scale_xyz[2])
    height = thorax.canvas.patient_coordinates(heart.box)[2]
    share[heart.box] = thorax.canvas.coverage(np.maximum(heart.sac_mm, height - top))
    return share


def paint_heart(thorax: Thorax, heart: HeartField) -> None:
    """Paint pericardium, epicardial fat, veins, muscle and blood."""
    canvas, person, box = thorax.canvas, thorax.person, heart.box
    canvas.paint(box, heart.sac_mm - np.float32(0.5 * PERICARDIUM_MM), PERICARDIUM_HU)
    fat = heart.sac_mm + np.float32(0.5 * PERICARDIUM_MM)
    canvas.paint(box, fat, FAT_HU + 6 + thorax.texture(box, sd=5))
    if person.pericardial_fluid_mm > 0:
        _paint_fluid(thorax, heart)
    _paint_veins(thorax)
    muscle = np.maximum(heart.chambers_mm, fat)
    canvas.paint(box, muscle, person.blood_hu + thorax.texture(box, sd=1.5))
    if person.myocardium_hu - person.blood_hu > 1.0:
        _paint_myocardium(thorax, muscle, box)


def _paint_myocardium(thorax: Thorax, muscle: Float32Array, box: Box) -> None:
    """Paint the left ventricle's wall: brighter than blood, most of all in anaemia."""

    scale = _scale(thorax)

    def wall_and_cavity(xyz: Coordinates) -> tuple[Float32Array, Float32Array]:
        reference = thorax.frame.to_reference(xyz)
        return LEFT_VENTRICLE.distance_mm(reference) * scale, LEFT_CAVITY.distance_mm(reference) * scale

    wall, cavity = smooth_fields(thorax.canvas, box, wall_and_cavity)
    thorax.canvas.paint(box, np.maximum(wall, muscle), thorax.person.myocardium_hu)
    thorax.canvas.paint(box, np.maximum(cavity, muscle), thorax.person.blood_hu)


def _paint_fluid(thorax: Thorax, heart: HeartField) -> None:
    """Paint fluid inside the sac: it sinks to the back of a lying patient, and fills the recess behind the aorta."""
    canvas, person = thorax.canvas, thorax.person
    _, y, z = canvas.patient_coordinates(heart.box)
    back = smooth_step((y - np.float32(person.heart_center_mm[1] - 20)) / 50)
    low = 1 - smooth_step((z - np.float32(person.heart_center_mm[2] - 5)) / 40)
    depth = np.float32(person.pericardial_fluid_mm) * back * low
    canvas.paint(heart.box, np.maximum(heart.sac_mm, -heart.sac_mm - depth), FLUID_HU)
    recess = thorax.frame.from_reference(smooth_curve(np.array(AORTIC_RECESS_MM, dtype=np.float64), step_mm=3.0))
    radius = min(0.8 * person.pericardial_fluid_mm, 4.0)
    canvas.paint_curve(thorax.patient_points(recess), np.full(len(recess), radius), FLUID_HU, flattening=1.5)


def _paint_veins(thorax: Thorax) -> None:
    for points, (start, end) in CARDIAC_VEINS.values():
        curve = thorax.frame.from_reference(smooth_curve(np.array(points, dtype=np.float64), step_mm=4.0))
        radii = np.linspace(start, end, len(curve)) * float(_scale(thorax))
        thorax.canvas.paint_curve(thorax.patient_points(curve), radii, thorax.person.blood_hu)


def _scale(thorax: Thorax) -> np.float32:
    """Return true mm per reference mm, all axes together."""
    return np.float32(np.mean(thorax.person.heart_scale_xyz))
