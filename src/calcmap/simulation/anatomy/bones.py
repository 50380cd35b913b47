"""Spine, ribs with their cartilages, sternum and shoulders."""

from __future__ import annotations

import numpy as np

from calcmap.core.volume import Float64Array
from calcmap.simulation.anatomy.person import VERTEBRA_HALF_DEPTH_MM, Person
from calcmap.simulation.anatomy.shapes import smooth_curve
from calcmap.simulation.anatomy.thorax import (
    CARTILAGE_HU,
    CORD_HU,
    CORTEX_HU,
    DISC_HU,
    FAT_HU,
    MUSCLE_HU,
    SKIN_HU,
    WALL_MM,
    Thorax,
    smooth_step,
)


def paint_spine(thorax: Thorax, rng: np.random.Generator) -> None:
    """Paint the vertebral column: bodies and discs, canal, arches and processes."""
    canvas, person = thorax.canvas, thorax.person
    spine = thorax.spine_mm
    box = canvas.box(np.array([-45.0, spine - 30, -500]), np.array([45.0, spine + 100, 500]))
    if box is None:
        return
    x, y, z = canvas.model_coordinates(box)
    height = canvas.axes_mm_zyx[0][box[0]]
    y = y - thorax.spine_y_mm(height).astype(np.float32)[:, None, None]
    pitch, start = np.float32(rng.uniform(22, 26)), np.float32(rng.uniform(0, 25))
    phase = np.abs(((z + start) / pitch) % 1 - np.float32(0.5)) * pitch  # 0 at mid body, pitch / 2 at mid disc
    waist = 1 + np.float32(0.10) * (2 * phase / pitch) ** 2
    ring = np.sqrt((x / (np.float32(17.5) * waist)) ** 2 + (y / (np.float32(VERTEBRA_HALF_DEPTH_MM) * waist)) ** 2)
    ring = (ring - 1) * np.float32(15)
    bone = np.maximum(ring, phase - (pitch / 2 - np.float32(2.6)))
    spongy = person.bone_hu + thorax.texture(box, sd=25)
    canvas.paint(box, ring, DISC_HU)
    canvas.paint(box, bone, CORTEX_HU * 0.75 + 0.4 * person.bone_hu)
    canvas.paint(box, bone + np.float32(1.6), spongy)
    arch = np.maximum(np.sqrt((x / 1.25) ** 2 + (y - 24) ** 2) - np.float32(13), phase - np.float32(9))
    canvas.paint(box, arch, CORTEX_HU)
    _paint_processes(thorax, pitch=float(pitch), start=float(start))
    canal = np.sqrt((x / 1.1) ** 2 + (y - 23) ** 2)
    canvas.paint(box, canal - np.float32(8.5), -20.0)
    canvas.paint(box, canal - np.float32(6.5), CORD_HU)


def _paint_processes(thorax: Thorax, *, pitch: float, start: float) -> None:
    low, high = thorax.canvas.axes_mm_zyx[0][[0, -1]]
    for k in range(int((low + start) // pitch) - 1, int((high + start) // pitch) + 3):
        z = (k + 0.5) * pitch - start
        y = float(thorax.spine_y_mm(np.array([z]))[0])
        lines = [([(0, y + 32, z), (0, y + 46, z - 10), (0, y + 58, z - 22)], 3.2)]
        lines += [([(s * 12, y + 24, z + 2), (s * 24, y + 33, z + 4), (s * 33, y + 38, z + 5)], 4.5) for s in (-1, 1)]
        for points, radius in lines:
            curve = thorax.patient_points(np.asarray(points, dtype=np.float64))
            thorax.canvas.paint_curve(
                curve, np.full(3, radius), CORTEX_HU, core_hu=thorax.person.bone_hu, rim_mm=1.6, flattening=1.6
            )


def _cage_point(person: Person, angle: float, z_mm: float, *, outside_mm: float) -> tuple[float, float, float]:
    """Return a point outside the rib cage's inner surface; angle 0 = back, pi = front, on the +x side."""
    upper, lower = (float(smooth_step(np.float32(t))) for t in ((z_mm - 40) / 190, (-z_mm - 20) / 80))
    narrowing = 1 - 0.42 * upper - 0.03 * lower
    high = float(smooth_step(np.float32((z_mm - 30) / 190)))
    wide, deep = person.chest_half_width_mm * narrowing, person.chest_half_depth_mm * (1 - 0.28 * high)
    u, v = np.sin(angle), np.cos(angle)
    side = u * u
    level = 1 - 0.28 * side * (1 - side)
    x, y = wide * u / level, deep * v / level
    norm = np.hypot(x, y)
    return float(x * (1 + outside_mm / norm)), float(y * (1 + outside_mm / norm) + 12 * high), z_mm


def paint_ribs(thorax: Thorax, rng: np.random.Generator) -> None:
    """Paint twelve pairs of ribs; from the front ends of those above the costal arch, cartilage to the sternum."""
    person = thorax.person
    pitch, first = rng.uniform(23, 26), rng.uniform(150, 170)
    calcified = np.clip((person.age_years - 45) / 60, 0, 0.6)
    for k in range(12):
        z_back = first - pitch * k
        drop = 25 + 62 * min(k / 5, 1.0)
        end = (0.84, 0.83, 0.83, 0.82, 0.80, 0.78, 0.75, 0.72, 0.68, 0.6, 0.5, 0.42)[k] * np.pi
        for side in (-1, 1):
            angles = np.linspace(0.14 * np.pi, end, 26)
            fall = ((angles - angles[0]) / (0.83 * np.pi - angles[0])) ** 1.1 * drop
            points = [_cage_point(person, a, z_back - f, outside_mm=4.5) for a, f in zip(angles, fall, strict=True)]
            neck = (22.0, float(thorax.spine_y_mm(np.array([z_back]))[0]) + 22, z_back + 4)
            curve = np.array([neck, *points]) * np.array([side, 1, 1])
            thorax.canvas.paint_curve(
                thorax.patient_points(curve), np.full(len(curve), 3.9), CORTEX_HU,
                core_hu=person.bone_hu * 0.9, rim_mm=1.4, flattening=1.7,
            )  # fmt: skip
            if k < 10:
                _paint_cartilage(thorax, curve[-1], side=side, rank=k, calcified=calcified * rng.random())


def _paint_cartilage(thorax: Thorax, start: Float64Array, *, side: int, rank: int, calcified: float) -> None:
    """Paint one costal cartilage; a calcified one gets a bright shell, as old ribs have."""
    person = thorax.person
    rise = 6.0 if rank < 3 else 10.0 + 9.0 * (rank - 3)
    target_x = 18.0 + (8.0 * (rank - 6) if rank > 6 else 0.0)
    front = -person.chest_half_depth_mm - 9
    high = float(smooth_step(np.float32((start[2] - 30) / 190)))
    target = np.array([side * target_x, front + 0.28 * person.chest_half_depth_mm * high, start[2] + rise])
    middle = 0.5 * (start + target) + np.array([0, -5.0, -4.0])
    curve = thorax.patient_points(smooth_curve(np.stack([start, middle, target]), step_mm=5.0))
    shell = CARTILAGE_HU + 700 * max(calcified - 0.08, 0)
    thorax.canvas.paint_curve(curve, np.full(len(curve), 5.0), shell, core_hu=CARTILAGE_HU, rim_mm=1.5, flattening=1.6)


def paint_sternum(thorax: Thorax) -> None:
    """Paint breast bone and its handle."""
    canvas, person = thorax.canvas, thorax.person
    front = -person.chest_half_depth_mm - 10
    x_half, y_half = 17.0, 5.5
    box = canvas.box(np.array([-45.0, front - 30, -25]), np.array([45.0, front + 60, 190]))
    if box is None:
        return
    x, y, z = canvas.model_coordinates(box)
    height = canvas.axes_mm_zyx[0][box[0]].astype(np.float32)[:, None, None]
    tilt = np.float32(0.28 * person.chest_half_depth_mm) * smooth_step((height - 30) / 190)
    wide = np.float32(x_half) * (0.75 + 0.25 * smooth_step((height + 15) / 40) + 0.8 * smooth_step((height - 105) / 30))
    plate = np.sqrt((x / wide) ** 4 + ((y - front - tilt) / np.float32(y_half)) ** 4) ** 0.5 - 1
    plate = np.maximum(plate * np.float32(y_half), np.abs(z - 75) - np.float32(95))
    canvas.paint(box, plate, CORTEX_HU * 0.8)
    canvas.paint(box, plate + np.float32(1.5), person.bone_hu * 0.7 + thorax.texture(box, sd=20))


def paint_shoulders(thorax: Thorax) -> None:
    """Paint shoulder blades, collar bones and, with arms down, the upper arms."""
    person, canvas = thorax.person, thorax.canvas
    wide, deep = person.chest_half_width_mm, person.chest_half_depth_mm
    for side in (-1, 1):
        for step in range(7):
            z = 25.0 + 18 * step
            blade = np.array([
                [side * (0.52 * wide - 2 * step), 0.98 * deep + 20, z],
                [side * (0.86 * wide - 1 * step), 0.72 * deep + 24, z + 2],
                [side * (1.02 * wide), 0.36 * deep + 24, z + 4],
            ])  # fmt: skip
            curve = thorax.patient_points(smooth_curve(blade[: 2 if step < 1 else 3], step_mm=10.0))
            canvas.paint_curve(curve, np.full(len(curve), 2.3), 380.0, flattening=4.2)
        collar = np.array([[side * 22.0, -0.72 * deep, 165], [side * 70, -0.7 * deep, 176], [side * 130, -10, 200]])
        curve = thorax.patient_points(smooth_curve(collar, step_mm=8.0))
        canvas.paint_curve(curve, np.full(len(curve), 6.0), CORTEX_HU, core_hu=person.bone_hu, rim_mm=2.0)
        if person.has_arms_down:
            _paint_arm(thorax, side)


def _paint_arm(thorax: Thorax, side: int) -> None:
    person, canvas = thorax.person, thorax.canvas
    x = side * (person.chest_half_width_mm + WALL_MM + person.fat_mm + person.muscle_mm + 48)
    line = thorax.patient_points(np.array([[x, 20.0, -400], [x, 15.0, 0], [x * 0.95, 5.0, 300]]))
    radius = 38 + 0.5 * person.fat_mm
    for size, hu in ((radius, SKIN_HU), (radius - 2, FAT_HU), (radius - 0.5 * person.fat_mm - 3, MUSCLE_HU)):
        canvas.paint_curve(line, np.full(3, size), hu)
    canvas.paint_curve(line, np.full(3, 11.0), CORTEX_HU + 300, core_hu=20.0, rim_mm=4.0)
