"""The heart as painted: pericardium, fat, muscle and blood, and the label that a reader would draw."""

from __future__ import annotations

from dataclasses import dataclass

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
from calcmap.simulation.anatomy.shapes import Box
from calcmap.simulation.anatomy.thorax import FAT_HU, Thorax


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
    half = 85.0 * max(thorax.person.heart_scale_xyz)
    center = thorax.frame.center_mm
    box = thorax.canvas.box(center - half, center + half, margin_mm=0.0)
    if box is None:
        raise GeometryError("the scan does not reach the heart")
    chambers, sac = np.empty_like(thorax.canvas.hu[box]), np.empty_like(thorax.canvas.hu[box])
    for k, plane in enumerate(thorax.canvas.planes(box)):
        reference = thorax.frame.to_reference(thorax.canvas.model_coordinates(plane))
        distances = heart_distances_mm(reference, fat_mm=thorax.person.epicardial_fat_mm)
        chambers[k], sac[k] = (_scaled(thorax, distance)[0] for distance in distances)
    return HeartField(box, sac, chambers)


def heart_share(thorax: Thorax, heart: HeartField) -> Float32Array:
    """Return the label's share: the sac, cut by the axial plane where readers stop."""
    share = np.zeros_like(thorax.canvas.hu)
    left_main = thorax.patient_points(thorax.frame.from_reference(np.array([LEFT_MAIN_MM])))
    top = np.float32(left_main[0, 2] + TOP_ABOVE_LEFT_MAIN_MM * thorax.person.heart_scale_xyz[2])
    height = thorax.canvas.patient_coordinates(heart.box)[2]
    share[heart.box] = thorax.canvas.coverage(np.maximum(heart.sac_mm, height - top))
    return share


def paint_heart(thorax: Thorax, heart: HeartField) -> None:
    """Paint pericardium, epicardial fat, muscle and blood."""
    canvas, person, box = thorax.canvas, thorax.person, heart.box
    canvas.paint(box, heart.sac_mm - np.float32(0.8), 15.0)
    canvas.paint(box, heart.sac_mm, FAT_HU + 5 + thorax.texture(box, sd=5))
    muscle = np.maximum(heart.chambers_mm, heart.sac_mm + np.float32(0.6))
    canvas.paint(box, muscle, person.blood_hu + thorax.texture(box, sd=1.5))
    reference = thorax.frame.to_reference(canvas.model_coordinates(box))
    ventricle = np.maximum(_scaled(thorax, LEFT_VENTRICLE.distance_mm(reference)), muscle)
    canvas.paint(box, ventricle, person.myocardium_hu)
    canvas.paint(box, _scaled(thorax, LEFT_CAVITY.distance_mm(reference)), person.blood_hu)


def _scaled(thorax: Thorax, distance_mm: Float32Array) -> Float32Array:
    """Return a reference distance in true mm."""
    scaled: Float32Array = distance_mm * np.float32(np.mean(thorax.person.heart_scale_xyz))
    return scaled
