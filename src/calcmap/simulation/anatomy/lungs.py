"""Lungs with their vessels and airways."""

from __future__ import annotations

import numpy as np

from calcmap.core.volume import Float32Array, Float64Array
from calcmap.simulation.anatomy.person import Person
from calcmap.simulation.anatomy.shapes import Box, smooth_curve
from calcmap.simulation.anatomy.thorax import Anatomy, Thorax


def paint_lungs(thorax: Thorax, plane: Box, cavity: Float32Array) -> None:
    """Paint the lungs' tissue in one slice."""
    canvas, person = thorax.canvas, thorax.person
    x, y, _ = canvas.model_coordinates(plane)
    dependent = np.clip(y / np.float32(person.chest_half_depth_mm), -1, 1) * np.float32(35)
    hu = np.float32(person.lung_hu) + dependent + thorax.texture(plane, sd=14)
    spine = np.float32(thorax.spine_y_mm(canvas.axes_mm_zyx[0][plane[0]])[0])
    # beside the spine, rib necks and muscles keep the lung out of the corner
    corner = (y - spine - 14 - np.maximum(np.abs(x) - 18, 0) * np.float32(0.95)) * np.float32(0.72)
    canvas.paint(plane, np.maximum(cavity + np.float32(1.0), corner), hu)


def paint_lung_vessels(thorax: Thorax, rng: np.random.Generator) -> None:
    """Paint vessels that branch from each hilum outwards and taper."""
    curves, radii = [], []
    for side, hilum_x in ((-1, -44.0), (1, 48.0)):
        for _ in range(int(rng.integers(55, 85))):
            curve = _lung_vessel(thorax.person, rng, side=side, hilum_x=hilum_x)
            curves.append(curve)
            radii.append(np.linspace(rng.uniform(1.6, 4.2), 0.6, len(curve)))
    bent = thorax.patient_points(np.vstack(curves))
    ends = np.cumsum([len(curve) for curve in curves])
    for curve, radius in zip(np.split(bent, ends[:-1]), radii, strict=True):
        thorax.canvas.paint_curve(curve, radius, thorax.person.blood_hu)


def _lung_vessel(person: Person, rng: np.random.Generator, *, side: int, hilum_x: float) -> Float64Array:
    hilum_y = person.heart_center_mm[1] + 34 * person.heart_scale_xyz[1]
    reach = rng.uniform(0.35, 0.95)
    angle = rng.uniform(-1.45, 1.45)
    end = np.array([
        side * (55 + reach * (person.chest_half_width_mm - 62) * abs(np.cos(angle))),
        hilum_y + reach * person.chest_half_depth_mm * np.sin(angle) * 0.85,
        rng.uniform(-75, 110),
    ])  # fmt: skip
    start = np.array([hilum_x, hilum_y, 25.0 + np.clip(end[2] * 0.5, -35, 45)]) + rng.normal(0, 4, 3)
    middle = start + (end - start) * rng.uniform(0.35, 0.6) + rng.normal(0, 9, 3)
    return smooth_curve(np.stack([start, middle, end]), step_mm=7.0)


def airway_curves(anatomy: Anatomy) -> tuple[tuple[Float64Array, Float64Array], ...]:
    """Return curves (model mm) and radii of trachea and large bronchi."""
    scale = anatomy.person.heart_scale_xyz
    carina = np.array([0.0, anatomy.spine_mm - 34, 66 * scale[2]])
    y = carina[1]
    # the lower lobes' bronchi pass behind the left atrium
    behind = max(y + 18, anatomy.person.heart_center_mm[1] + 50 * scale[1])
    trachea = np.array([[0, anatomy.spine_mm - 36, 330.0], [0, y - 2, carina[2] + 60], carina])
    right = np.array([carina, [-20, y + 3, carina[2] - 16], [-38, y + 6, carina[2] - 32], [-50, behind, 4]])
    left = np.array([carina, [22, y + 4, carina[2] - 16], [44, y + 10, carina[2] - 28], [54, behind, 4]])
    upper = np.array([[-26, y + 3, carina[2] - 20], [-50, y, carina[2] - 8], [-66, y - 8, carina[2] + 10]])
    lines = ((trachea, (8.5, 8.5)), (right, (7, 3)), (left, (6.5, 3)), (upper, (4.5, 2.5)))
    curves = []
    for points, (start, end) in lines:
        curve = smooth_curve(points.astype(np.float64), step_mm=6.0)
        curves.append((curve, np.linspace(start, end, len(curve))))
    return tuple(curves)


def paint_airways(thorax: Thorax) -> None:
    """Paint trachea and large bronchi with their walls."""
    for curve, radii in airway_curves(thorax):
        thorax.canvas.paint_curve(thorax.patient_points(curve), radii + 1.2, 10.0, core_hu=-970.0, rim_mm=1.2)
