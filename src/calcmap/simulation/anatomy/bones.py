"""Ribs with their cartilages, breast bone, collar bones and lowered arms."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from calcmap.core.volume import Float64Array
from calcmap.simulation.anatomy.cage import RibCage
from calcmap.simulation.anatomy.muscles import MIDDLING_HALF_WIDTH_MM
from calcmap.simulation.anatomy.shapes import smooth_curve
from calcmap.simulation.anatomy.spine import Column
from calcmap.simulation.anatomy.thorax import (
    CARTILAGE_HU,
    CORTEX_HU,
    FAT_HU,
    MUSCLE_HU,
    SKIN_HU,
    WALL_MM,
    Thorax,
    smooth_step,
)

N_RIBS = 12
N_CARTILAGES = 10
RIB_OUTSIDE_MM = 4.6
"""Of a rib's middle from the lung."""
RIB_DROP_MM = (38.0, 52.0, 65.0, 78.0, 90.0, 100.0, 108.0, 110.0, 106.0, 98.0, 75.0, 48.0)
"""From a rib's head down to its front end: two to four vertebrae, as textbooks show."""
RIB_END_DEG = (31.0, 38.0, 42.0, 44.0, 46.0, 50.0, 56.0, 63.0, 71.0, 80.0, 105.0, 132.0)
"""Angle from the front where the bony rib ends (by eye on seven CTs)."""
STERNAL_SHARE = (-0.30, 0.0, 0.21, 0.41, 0.59, 0.75, 0.90)
"""Where the first seven cartilages meet the breast bone: 0 at the sternal angle, 1 at the xiphoid joint."""
STERNUM_OUTSIDE_MM = 7.0
COLLAR_BONE_RAD, COLLAR_BONE_OUTSIDE_MM = np.deg2rad([22.0, 42.0, 64.0, 82.0]), np.array([7.0, 15.0, 28.0, 36.0])
"""Course of a collar bone: angles from the front, and depths in the wall of a middling chest."""
RIB_MARROW_SHARE, STERNUM_MARROW_SHARE = 0.6, 0.45
"""Spongy bone's HU over `Person.bone_hu` (our choice, by eye)."""


def paint_ribs(thorax: Thorax, cage: RibCage, column: Column) -> None:
    """Paint twelve pairs of ribs and, from the front ends of the upper ten, cartilage to the breast bone."""
    rng = thorax.stream("ribs")
    calcified = float(np.clip((thorax.person.age_years - 32) / 55, 0, 1)) * rng.uniform(0.15, 1.0)
    for side in (-1, 1):
        upper: Float64Array | None = None
        for k in range(N_RIBS):
            curve = _rib_curve(rng, cage, column, side=side, rank=k)
            radii = _rib_radii(rng, len(curve), rank=k, sex=thorax.person.sex)
            thorax.canvas.paint_curve(
                thorax.patient_points(curve), radii, CORTEX_HU, core_hu=RIB_MARROW_SHARE * thorax.person.bone_hu,
                rim_mm=1.3, flattening=1.75 if k else 1.1,
            )  # fmt: skip
            if k < N_CARTILAGES:
                upper = _cartilage_curve(cage, column, curve[-1], upper, side=side, rank=k)
                amount = min(1.0, calcified * rng.uniform(0.3, 1.5) * (2.0 if k == 0 else 1.0))
                _paint_cartilage(thorax, rng, upper, amount)


def _rib_curve(rng: np.random.Generator, cage: RibCage, column: Column, *, side: int, rank: int) -> Float64Array:
    """Return a rib's middle line, from its head beside the spine to its front end."""
    head = column.thoracic_mm(rank + 1) + 9.0 + float(rng.normal(0, 1))
    beside = np.array([20.0, 26.0, 34.0, 45.0])
    falls = np.array([0.0, 2.0, 5.0, 8.0])
    neck = [(x, float(cage.edge_mm(np.array([x]), head - f)[0]) + 6.0, head - f)
            for x, f in zip(beside, falls, strict=True)]  # fmt: skip
    first, last = 0.76 * np.pi, np.deg2rad(RIB_END_DEG[rank] + float(rng.normal(0, 1.5)))
    angles = np.linspace(first, last, max(6, int(26 * (first - last) / 2.0)))
    share = (first - angles) / (first - last)
    wobble = np.cumsum(rng.normal(0, 0.5, len(angles)))
    heights = head - 11 - (RIB_DROP_MM[rank] - 11) * share**1.12 + wobble - share * wobble[-1]
    around = cage.points(angles, heights, outside_mm=RIB_OUTSIDE_MM)
    curve: Float64Array = np.vstack([np.asarray(neck), around]) * np.array([side, 1, 1])
    return curve


def _rib_radii(rng: np.random.Generator, n: int, *, rank: int, sex: str) -> Float64Array:
    """Return half the thickness along a rib: neck, thick angle, thinner side, broad front end."""
    along = np.linspace(0, 1, n)
    base = (3.75 if sex == "M" else 3.35) * (0.9 if rank > 9 else 1.0)
    shape = 0.92 + 0.14 * np.exp(-(((along - 0.22) / 0.12) ** 2)) + 0.16 * smooth_step((along - 0.85) / 0.15)
    ripple = 1 + 0.05 * np.convolve(rng.normal(0, 1, n + 2), np.full(3, 1 / np.sqrt(3)), mode="valid")
    radii: Float64Array = base * shape * ripple
    return radii


@dataclass(frozen=True)
class _Sternum:
    """Heights of the breast bone's joints."""

    notch_mm: float
    angle_mm: float
    xiphoid_mm: float


def _sternum(column: Column) -> _Sternum:
    return _Sternum(column.thoracic_mm(2.6), column.thoracic_mm(4.5), column.thoracic_mm(9.4))


def _cartilage_curve(
    cage: RibCage, column: Column, start: Float64Array, upper: Float64Array | None, *, side: int, rank: int
) -> Float64Array:
    """Return a cartilage's middle line from the rib's end to the breast bone, or to the cartilage above it."""
    bone = _sternum(column)
    if rank < len(STERNAL_SHARE) or upper is None:
        height = bone.angle_mm - STERNAL_SHARE[rank] * (bone.angle_mm - bone.xiphoid_mm)
        reach = 21.0 if rank == 0 else 17.0 - 4.0 * (rank == 6)
        target = _on_wall(cage, side * reach, height, outside_mm=STERNUM_OUTSIDE_MM)
    else:
        target = upper[len(upper) // 2] - np.array([0, 0, 9.0])
    # lower cartilages go on downwards with their rib before they turn up
    sag = float(np.clip(0.22 * (target[2] - start[2]) - 2, 0, 14))
    share = np.linspace(0, 1, 9)
    angle = [np.arctan2(p[0], -(p[1] - cage.center_y_mm(float(p[2])))) for p in (start, target)]
    angles = angle[0] + (angle[1] - angle[0]) * share
    rise = start[2] + (target[2] - start[2]) * share**1.35 - sag * np.sin(np.pi * share) * (1 - share)
    curve = cage.points(angles, rise, outside_mm=RIB_OUTSIDE_MM + (STERNUM_OUTSIDE_MM - RIB_OUTSIDE_MM) * share)
    curve[0] = start
    return curve


def _on_wall(cage: RibCage, x_mm: float, z_mm: float, *, outside_mm: float) -> Float64Array:
    """Return the point of the front wall at a distance from the middle."""
    angle = np.arctan2(x_mm, cage.center_y_mm(z_mm) - cage.front_mm(z_mm))
    point: Float64Array = cage.points(np.array([angle]), np.array([z_mm]), outside_mm=outside_mm)[0]
    return point


def _paint_cartilage(thorax: Thorax, rng: np.random.Generator, curve: Float64Array, amount: float) -> None:
    """Paint one cartilage: mottled, calcified at the rim in men and in the middle in women.

    ``amount``, 0 to 1, is the share of its length that is calcified.
    """
    canvas, person = thorax.canvas, thorax.person
    points = thorax.patient_points(smooth_curve(curve, step_mm=7.0))
    radii = np.linspace(5.3, 4.6, len(points)) * (1.0 if person.sex == "M" else 0.9)
    pieces = canvas.segments(points, radii, flattening=1.35)
    base = CARTILAGE_HU - 32 + 0.35 * min(person.age_years, 80)
    is_rim = person.sex == "M" or rng.random() < 0.25
    drawn = rng.random(len(points)) + 0.35 * np.linspace(-1, 1, len(points))
    density = float(rng.uniform(150, 520))
    for box, distance in pieces:
        canvas.paint(box, distance, base + thorax.texture(box, sd=11))
    for (box, distance), luck in zip(pieces, drawn, strict=False):
        if luck < 1.5 * amount - 0.36:
            chalk = np.clip(thorax.texture(box, sd=1.0) * 0.8 + np.float32(0.5), 0, 1.3)
            reach = np.abs(distance + 1.1) - 1.0 if is_rim else distance + 2.9
            canvas.paint(box, np.maximum(reach, distance), base + density * chalk)


def paint_sternum(thorax: Thorax, cage: RibCage, column: Column) -> None:
    """Paint manubrium, body and xiphoid of the breast bone, with the joints between them."""
    canvas, person = thorax.canvas, thorax.person
    bone = _sternum(column)
    tip = bone.xiphoid_mm - float(thorax.stream("sternum").uniform(18, 42))
    front = -person.chest_half_depth_mm
    box = canvas.box(np.array([-40.0, front - 40, tip]), np.array([40.0, front + 90, bone.notch_mm]))
    if box is None:
        return
    size = 1.0 if person.sex == "M" else 0.9
    for plane in canvas.planes(box):
        z = float(canvas.axes_mm_zyx[0][plane[0]][0])
        wide, thick, gap = (size * v for v in _sternal_size(bone, z, tip))
        x, y, _ = canvas.model_coordinates(plane)
        middle = np.float32(cage.front_mm(z) - STERNUM_OUTSIDE_MM) + x * x * np.float32(0.004)
        level = (np.abs(x) / wide) ** 3.5 + (np.abs(y - middle) / thick) ** 3.5
        plate = (level ** np.float32(1 / 3.5) - 1) * np.float32(thick)
        plate = np.maximum(plate, np.float32(gap))
        canvas.paint(plane, plate, 0.75 * CORTEX_HU)
        marrow = STERNUM_MARROW_SHARE * person.bone_hu + thorax.texture(plane, sd=22)
        canvas.paint(plane, plate + np.float32(1.25), marrow)


def _sternal_size(bone: _Sternum, z_mm: float, tip_mm: float) -> tuple[float, float, float]:
    """Return half width and half thickness of the breast bone, and the distance into a joint (mm, inside positive)."""
    gap = max(1.6 - abs(z_mm - bone.angle_mm), 1.2 - abs(z_mm - bone.xiphoid_mm), tip_mm - z_mm, z_mm - bone.notch_mm)
    if z_mm > bone.angle_mm:
        share = (z_mm - bone.angle_mm) / (bone.notch_mm - bone.angle_mm)
        return 18.0 + 13.0 * min(1.0, 1.3 * share), 7.2, gap
    if z_mm > bone.xiphoid_mm:
        share = (bone.angle_mm - z_mm) / (bone.angle_mm - bone.xiphoid_mm)
        return 15.0 + 6.0 * np.sin(np.pi * share**1.6) - 2.0 * share, 6.1, gap
    share = float(np.clip((bone.xiphoid_mm - z_mm) / (bone.xiphoid_mm - tip_mm), 0, 1))
    return 9.0 - 5.0 * share, 3.4, gap


def paint_collar_bones(thorax: Thorax, cage: RibCage, column: Column) -> None:
    """Paint the collar bones; raised arms lift their outer ends."""
    person, canvas = thorax.person, thorax.canvas
    top = _sternum(column).notch_mm
    lift = 8.0 if person.has_arms_down else 32.0
    heights = top + lift * np.array([0.03, 0.3, 0.75, 1.0])
    size = person.chest_half_width_mm / MIDDLING_HALF_WIDTH_MM
    for side in (-1, 1):
        line = cage.points(side * COLLAR_BONE_RAD, heights, outside_mm=size * COLLAR_BONE_OUTSIDE_MM)
        curve = thorax.patient_points(smooth_curve(line, step_mm=8.0))
        radii = np.interp(np.linspace(0, 1, len(curve)), (0, 0.15, 0.5, 1), (10.5, 7.0, 5.2, 6.0))
        canvas.paint_curve(curve, radii, CORTEX_HU, core_hu=0.9 * person.bone_hu, rim_mm=2.0)


def paint_arms(thorax: Thorax) -> None:
    """Paint lowered arms beside the chest; whatever is painted next lies over them."""
    person, canvas = thorax.person, thorax.canvas
    if not person.has_arms_down:
        return
    fat = 0.4 * person.fat_mm + 3
    radius = 30 + 0.7 * person.muscle_mm + fat
    for side in (-1, 1):
        x = side * (person.chest_half_width_mm + 1.5 * WALL_MM + 1.1 * person.fat_mm + person.muscle_mm + radius)
        points = np.array([[x, 24.0, -400], [x, 16.0, 0], [x * 0.97, 10.0, 120], [x * 0.86, 8.0, 175]])
        line = thorax.patient_points(points)
        for size, hu in ((radius, SKIN_HU), (radius - 2, FAT_HU)):
            canvas.paint_curve(line, np.full(len(line), size), hu)
        # biceps before, triceps behind the bone
        for y, share in ((-0.36, 0.58), (0.34, 0.62)):
            belly = line + np.array([0.06 * side * radius, y * (radius - fat), 0])
            canvas.paint_curve(belly, np.full(len(line), share * (radius - fat)), MUSCLE_HU)
        canvas.paint_curve(line, np.full(len(line), 11.0), CORTEX_HU + 300, core_hu=20.0, rim_mm=4.0)
