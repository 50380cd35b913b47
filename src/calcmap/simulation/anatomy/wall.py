"""The wall of the chest: skin, fat, muscle and breasts."""

from __future__ import annotations

import numpy as np

from calcmap.core.volume import Float32Array
from calcmap.simulation.anatomy.person import Person
from calcmap.simulation.anatomy.shapes import Body, Box, Coordinates, ellipsoid, smooth_union
from calcmap.simulation.anatomy.thorax import FAT_HU, MUSCLE_HU, SKIN_HU, WALL_MM, Thorax, smooth_step


def paint_wall(thorax: Thorax, plane: Box) -> Float32Array:
    """Paint skin, fat, muscle and the rib layer of a slice; return the distance to the rib cage's inner surface."""
    canvas, person = thorax.canvas, thorax.person
    x, y, z = canvas.model_coordinates(plane)
    height = np.float32(canvas.axes_mm_zyx[0][plane[0]][0])
    front, back, side, cavity = _around(person, x, y, height)
    shoulder = smooth_step((height - 40) / 90)
    lower = 1 - smooth_step((height + 60) / 60)
    bulk = np.float32(person.muscle_mm)
    muscle = WALL_MM + bulk * (0.15 + side * side * (0.35 + 1.9 * shoulder) + front * (0.05 + 1.2 * shoulder))
    muscle = muscle + back * (3 + 2.0 * bulk * np.exp(-((np.abs(x) - 32) ** 2) / 1100))
    muscle = muscle + 6 * np.exp(-(x * x) / 700) * back
    fat = np.float32(person.fat_mm) * (0.5 + 0.5 * side + 0.3 * lower * front - 0.15 * back)
    body = _with_breasts(thorax, cavity - muscle - fat, (x, y, z))
    canvas.paint(plane, body, SKIN_HU)
    canvas.paint(plane, body + np.float32(2.0), FAT_HU + thorax.texture(plane, sd=6))
    _paint_breasts(thorax, plane, body)
    canvas.paint(plane, cavity - muscle, MUSCLE_HU - np.maximum(thorax.texture(plane, sd=20) - 22, 0) * 3)
    # a sheet of fat parts the outer muscles from the ribs, thicker towards the armpits
    sheet = np.abs(cavity - np.float32(WALL_MM + 3)) - (
        side * (1.5 + 5 * shoulder) - 0.6 + thorax.texture(plane, sd=0.8)
    )
    canvas.paint(plane, np.maximum(sheet, cavity - muscle + np.float32(4)), FAT_HU + 20)
    return cavity


def _around(
    person: Person, x: Float32Array, y: Float32Array, height: np.float32
) -> tuple[Float32Array, Float32Array, Float32Array, Float32Array]:
    """Return the shares of front, back and side in a voxel's direction, and the distance to the rib cage's inside."""
    narrowing = (
        1 - np.float32(0.42) * smooth_step((height - 40) / 190) - np.float32(0.03) * smooth_step((-height - 20) / 80)
    )
    half_width = np.float32(person.chest_half_width_mm) * narrowing
    half_depth = np.float32(person.chest_half_depth_mm) * (1 - np.float32(0.28) * smooth_step((height - 30) / 190))
    u, v = x / half_width, (y - 12 * smooth_step((height - 30) / 190)) / half_depth
    u2, v2 = u * u, v * v
    r2 = np.maximum(u2 + v2, np.float32(1e-4))
    side = u2 / r2
    front, back = np.where(v < 0, 1 - side, 0), np.where(v >= 0, 1 - side, 0)
    level = np.sqrt(r2) * (1 - np.float32(0.28) * side * (1 - side))
    cavity = np.sqrt(x * x + y * y) * (1 - 1 / np.maximum(level, np.float32(0.02)))
    return front.astype(np.float32), back.astype(np.float32), side, np.maximum(cavity, -half_depth).astype(np.float32)


def _breasts(thorax: Thorax) -> tuple[Body, ...]:
    person = thorax.person
    front = -person.chest_half_depth_mm - WALL_MM - 0.5 * person.fat_mm
    deep = person.breast_mm
    return tuple(ellipsoid((side * 0.62 * person.chest_half_width_mm, front, -5.0), (58, deep, 62)) for side in (-1, 1))


def _with_breasts(thorax: Thorax, body: Float32Array, xyz: Coordinates) -> Float32Array:
    if thorax.person.breast_mm > 0:
        for breast in _breasts(thorax):
            body = smooth_union(body, breast.distance_mm(xyz), blend_mm=22.0)
    return body


def _paint_breasts(thorax: Thorax, plane: Box, body: Float32Array) -> None:
    """Paint glandular strands, or implants, into the breasts."""
    person, canvas = thorax.person, thorax.canvas
    if person.breast_mm <= 0:
        return
    share = float(np.clip(1.2 - person.age_years / 75, 0.0, 0.8))
    for breast in _breasts(thorax):
        inside = np.maximum(breast.distance_mm(canvas.model_coordinates(plane)), body) + np.float32(10)
        if person.has_implants:
            canvas.paint(plane, inside + np.float32(4), 60.0)
            continue
        gland = np.clip(thorax.texture(plane, sd=1.0) + np.float32(share - 0.9), 0, 1)
        canvas.hu[plane] += canvas.coverage(inside) * gland * np.float32(110)
