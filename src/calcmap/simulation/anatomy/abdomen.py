"""What lies under the diaphragm: liver, stomach, spleen, bowel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from calcmap.core.volume import Float32Array
from calcmap.simulation.anatomy.shapes import Body, Box, Coordinates, ellipsoid, smooth_union
from calcmap.simulation.anatomy.thorax import AIR_HU, FAT_HU, MUSCLE_HU, Thorax, heart_floor_mm


def abdomen_distance_mm(thorax: Thorax, xyz: Coordinates, cavity: Float32Array) -> Float32Array:
    """Return the signed distance to what lies under the diaphragm, inside the rib cage."""
    person = thorax.person
    x, y, z = xyz
    floor = heart_floor_mm(person)
    wide, deep = person.chest_half_width_mm, person.chest_half_depth_mm

    def dome(center_x: float, center_y: float, top: float, radii: tuple[float, float, float]) -> Float32Array:
        body = ellipsoid((center_x, center_y, top - radii[2]), radii)
        # below its widest level a dome goes on as a cylinder, so that the abdomen has no waist
        return body.distance_mm((x, y, np.maximum(z, np.float32(top - radii[2]))))

    right = dome(-0.48 * wide, -4.0, floor + person.right_dome_mm, (0.54 * wide, 0.88 * deep, 70))
    left = dome(0.50 * wide, 0.0, floor + person.left_dome_mm, (0.52 * wide, 0.88 * deep, 62))
    tendon = dome(0.05 * wide, -0.42 * deep, floor + 5.0, (0.80 * wide, 0.92 * deep, 50))
    union = smooth_union(smooth_union(right, left, blend_mm=24.0), tendon, blend_mm=24.0)
    inside: Float32Array = np.maximum(union, cavity + np.float32(1.5))
    return inside


def paint_abdomen(thorax: Thorax, cavity: Float32Array, rng: np.random.Generator) -> None:
    """Paint the diaphragm and the organs under it."""
    canvas, person = thorax.canvas, thorax.person
    top = heart_floor_mm(person) + max(person.right_dome_mm, person.left_dome_mm) + 5
    wide, deep = person.chest_half_width_mm + 20, person.chest_half_depth_mm + 20
    box = canvas.box(np.array([-wide, -deep, -400.0]), np.array([wide, deep, top]))
    if box is None:
        return
    liver_reach = float(rng.uniform(0.15, 0.85)) * person.chest_half_width_mm
    organs = _draw_left_organs(thorax, rng)
    for plane in canvas.planes(box):
        xyz = canvas.model_coordinates(plane)
        inside = abdomen_distance_mm(thorax, xyz, cavity[plane])
        canvas.paint(plane, inside, MUSCLE_HU - 8)
        canvas.paint(plane, inside + np.float32(2.5), FAT_HU + thorax.texture(plane, sd=7))
        _paint_left_organs(thorax, plane, inside, organs)
        behind = np.maximum(xyz[1] + 30, 0)
        edge = xyz[0] - np.float32(liver_reach) + behind * 0.4 + behind * behind * 0.005
        edge = edge - (xyz[2] - np.float32(top)) * 0.25
        liver = np.maximum(inside + np.float32(2.2), edge * np.float32(0.7))
        canvas.paint(plane, liver, person.liver_hu + thorax.texture(plane, sd=2))


@dataclass(frozen=True)
class LeftOrgans:
    """What lies under the left dome of one patient."""

    spleen: Body
    stomach: Body
    colon: Body | None
    content_hu: float
    fluid_level_mm: float


def _draw_left_organs(thorax: Thorax, rng: np.random.Generator) -> LeftOrgans:
    person = thorax.person
    top = heart_floor_mm(person) + person.left_dome_mm
    wide, deep = person.chest_half_width_mm, person.chest_half_depth_mm
    center = (0.46 * wide + rng.normal(0, 6), -0.02 * deep + rng.normal(0, 8), top - 44 + rng.normal(0, 6))
    tilt = (1.0, float(rng.normal(0, 0.4)), float(rng.normal(0, 0.4)))
    colon = ellipsoid((0.62 * wide, -0.45 * deep, top - 52), (24, 20, 30)) if rng.random() < 0.5 else None
    return LeftOrgans(
        spleen=ellipsoid((0.72 * wide, 0.42 * deep, top - 52), (0.32 * wide, 0.4 * deep, 50)),
        stomach=ellipsoid(center, (0.36 * wide, 0.5 * deep, 46), axis=tilt),
        colon=colon,
        content_hu=float(rng.choice([12.0, 30.0, 60.0, 160.0], p=[0.45, 0.3, 0.17, 0.08])),
        fluid_level_mm=center[1] + float(rng.uniform(-0.5, 0.2)) * deep,
    )


def _paint_left_organs(thorax: Thorax, plane: Box, inside: Float32Array, organs: LeftOrgans) -> None:
    canvas = thorax.canvas
    xyz = canvas.model_coordinates(plane)
    canvas.paint(plane, np.maximum(organs.spleen.distance_mm(xyz), inside + np.float32(2)), 50.0)
    wall = np.maximum(organs.stomach.distance_mm(xyz), inside + np.float32(2.0))
    canvas.paint(plane, wall, 42.0)
    content = organs.content_hu + thorax.texture(plane, sd=6 + 0.2 * organs.content_hu)
    canvas.paint(plane, wall + np.float32(4), content)
    canvas.paint(plane, np.maximum(wall + np.float32(4), xyz[1] - np.float32(organs.fluid_level_mm)), AIR_HU + 10)
    if organs.colon is not None:
        colon = np.maximum(organs.colon.distance_mm(xyz), inside + np.float32(3))
        canvas.paint(plane, colon, 30.0)
        canvas.paint(plane, colon + np.float32(3), -900.0)
