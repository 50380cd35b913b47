"""The vertebral column: bodies, discs, canal, arches and processes.

Sizes are those of textbooks for adults (body 25-40 mm wide and 18-32 mm deep from the upper to the lowest thoracic
vertebra, canal 16 mm); how the parts are joined is our simplification.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from calcmap.core.volume import Float32Array, Float64Array
from calcmap.simulation.anatomy.shapes import Box
from calcmap.simulation.anatomy.thorax import CORD_HU, CORTEX_HU, DISC_HU, FAT_HU, Thorax, smooth_step

FIRST_THORACIC_MM = 163.0
"""Height of the first thoracic vertebra's middle, for a person of 170 cm: the carina (fifth) then lies at its place."""
PITCH_MM = (18.0, 18.5, 19.0, 20.0, 20.5, 21.0, 21.5, 22.0, 23.0, 24.0, 25.5, 27.0)
"""From each thoracic vertebra's middle to the next lower one's; below the twelfth the last is repeated."""
N_THORACIC = 12
SPONGY_SHARE = 0.85
"""Spongy HU between vein and endplates over `Person.bone_hu` (seven real CTs: medians 145 to 209 HU)."""
_LOWEST_MM, _HIGHEST_MM = -330.0, 420.0
_REACH_MM = (46.0, 34.0, 72.0)
"""To either side, to the front and to the back of the bodies' centres."""


@dataclass(frozen=True)
class Column:
    """One patient's vertebrae, from the top down."""

    heights_mm: Float64Array
    """Middles of the bodies."""
    first_thoracic: int
    """Index of the first thoracic vertebra."""
    osteophytes_mm: Float64Array
    """By the disc under each vertebra."""
    disc_share: Float64Array
    """Height of the disc under each vertebra over the distance of the middles."""
    girth: float

    def thoracic_mm(self, number: float) -> float:
        """Return the height of a thoracic level, 1 to 12; halves are discs."""
        index = self.first_thoracic + number - 1
        return float(np.interp(index, np.arange(len(self.heights_mm)), self.heights_mm))


def draw_column(thorax: Thorax) -> Column:
    """Return a thorax's vertebral column."""
    rng, person = thorax.stream("spine"), thorax.person
    size = person.height_cm / 170
    heights = [FIRST_THORACIC_MM * size + float(rng.normal(0, 5))]
    for k in range(40):
        heights.append(heights[-1] - PITCH_MM[min(k, N_THORACIC - 1)] * size)
    above = [heights[0] + PITCH_MM[0] * size * k for k in range(12, 0, -1)]
    levels = np.array([*above, *heights])
    worn = float(np.clip((person.age_years - 40) / 45, 0, 1)) * rng.uniform(0.2, 1.2)
    n = len(levels)
    return Column(
        heights_mm=levels,
        first_thoracic=len(above),
        osteophytes_mm=worn * 4.5 * rng.random(n) ** 1.6,
        disc_share=np.clip(rng.normal(0.19 - 0.03 * worn, 0.015, n), 0.10, 0.25),
        girth=float(np.clip(rng.normal(1.0, 0.05), 0.88, 1.12)) * size * (1.04 if person.sex == "M" else 0.94),
    )


def paint_spine(thorax: Thorax, column: Column) -> None:
    """Paint the vertebral column."""
    canvas = thorax.canvas
    spine = thorax.spine_y_mm(canvas.axes_mm_zyx[0])
    side, front, back = _REACH_MM
    low = np.array([-side, float(spine.min()) - front, _LOWEST_MM])
    high = np.array([side, float(spine.max()) + back, _HIGHEST_MM])
    box = canvas.box(low, high)
    if box is None:
        return
    for plane in canvas.planes(box):
        _paint_slice(thorax, column, plane)
    _paint_processes(thorax, column)


@dataclass(frozen=True)
class _Place:
    """Where the voxels of a slice lie relative to the nearest vertebra, mm."""

    x: Float32Array
    y: Float32Array
    """Behind the body's centre."""
    up: Float32Array
    """Above the body's middle."""
    to_disc: Float32Array
    """From the nearest endplate; negative in the body."""
    rim: Float32Array
    """Osteophytes' reach next to the nearest disc."""
    half_width: float
    half_depth: float


def _place(thorax: Thorax, column: Column, plane: Box) -> _Place:
    canvas = thorax.canvas
    height = float(canvas.axes_mm_zyx[0][plane[0]][0])
    x, y, z = (axis[0] for axis in canvas.model_coordinates(plane))
    ends = thorax.spine_y_mm(np.array([height - 5, height, height + 5]))
    y = y - np.float32(ends[1])
    lean = np.float32((ends[2] - ends[0]) / 10)
    level = (z + lean * y).astype(np.float64)
    number = np.interp(-level, -column.heights_mm, np.arange(len(column.heights_mm)))
    nearest = np.rint(number).astype(np.int32)
    pitch = float(np.interp(-height, -column.heights_mm[1:], -np.diff(column.heights_mm)))
    up = ((nearest - number) * pitch).astype(np.float32)
    disc = np.floor(number).astype(np.int32)
    half_disc = 0.5 * pitch * column.disc_share[disc]
    to_disc = (np.abs(up) - (0.5 * pitch - half_disc)).astype(np.float32)
    rim = (column.osteophytes_mm[disc] * np.exp(-np.abs(to_disc) / 3.0)).astype(np.float32)
    low = float(np.clip((160 - height) / 240, -0.2, 1.3))
    return _Place(x, y, up, to_disc, rim, (12.5 + 6.5 * low) * column.girth, (9.5 + 6.5 * low) * column.girth)


def _paint_slice(thorax: Thorax, column: Column, plane: Box) -> None:
    """Paint bodies, discs and arches of one slice; the canal comes last."""
    canvas, person = thorax.canvas, thorax.person
    at = _place(thorax, column, plane)
    view = canvas.hu[plane][0]
    grain = thorax.texture(plane, sd=1.0)[0]
    body = _body_mm(at)
    vein = np.exp(-((at.x / 4.0) ** 2) - ((at.y - 0.45 * at.half_depth) / 6.0) ** 2 - (at.up / 3.5) ** 2)
    spongy = SPONGY_SHARE * person.bone_hu + np.float32(26) * grain + 55 * np.exp(at.to_disc / 2.5)
    spongy = spongy * (1 - 0.55 * vein)
    cortex = 0.45 * CORTEX_HU + 0.9 * person.bone_hu
    _cover(thorax, view, body, DISC_HU)
    bone = np.maximum(body, at.to_disc)
    _cover(thorax, view, bone, cortex)
    _cover(thorax, view, bone + np.float32(1.25), spongy)
    arch = _arch_mm(at)
    _cover(thorax, view, arch, 0.85 * CORTEX_HU)
    _cover(thorax, view, arch + np.float32(1.7), person.bone_hu + 60 * grain)
    back = at.y - np.float32(at.half_depth)
    canal = np.hypot(at.x / 1.12, back - np.float32(7.5)) - np.float32(7.8)
    _cover(thorax, view, np.maximum(canal, -back + 0.5), FAT_HU + 60)
    _cover(thorax, view, canal + np.float32(1.4), 14.0)
    _cover(thorax, view, np.hypot(at.x / 1.25, back - np.float32(7.2)) - np.float32(4.2), CORD_HU + 8)


def _cover(thorax: Thorax, view: Float32Array, distance: Float32Array, hu: float | Float32Array) -> None:
    view += thorax.canvas.coverage(distance) * (hu - view)


def _body_mm(at: _Place) -> Float32Array:
    """Return the distance to the body and disc: an oval with a hollow back, waisted, with worn rims."""
    waist = np.float32(0.94) + np.float32(0.10) * np.exp(-np.abs(at.to_disc) / 4)
    rim = at.rim * (0.35 + 0.65 * smooth_step((np.float32(2) - at.x + 3 - at.y) / 14))
    hollow = np.where(at.y > 0, np.float32(3.2) * np.exp(-((at.x / 6.5) ** 2)), 0)
    wide, deep = np.float32(at.half_width) * waist + rim, np.float32(at.half_depth) * waist + rim
    u, v = np.abs(at.x / wide), np.abs((at.y + hollow) / deep)
    level = (u**2.4 + v**2.4) ** np.float32(1 / 2.4)
    distance: Float32Array = (level - 1) * np.minimum(wide, deep)
    return distance.astype(np.float32)


def _arch_mm(at: _Place) -> Float32Array:
    """Return the distance to pedicles, joints and laminae."""
    out, back = np.abs(at.x), at.y - np.float32(at.half_depth)
    pedicle = np.maximum(np.abs(out - 10.5) - 2.8, np.abs(back - 4.5) - 8.0)
    pedicle = np.maximum(pedicle, np.abs(at.up - 4.0) - 5.0)
    joint = np.hypot((out - 11.0) / 1.1, back - 13.0) - 5.0
    joint = np.maximum(joint, np.abs(at.up) - 10.5)
    # a lamina runs from the joint to the midline and slopes down like a roof tile
    along = np.abs(back - (20.5 - 0.62 * out)) * 0.85
    lamina = np.maximum(along - 2.6, out - 12.5)
    lamina = np.maximum(lamina, np.abs(at.up + 1.0 + 0.3 * (back - 15)) - 10.0)
    arch: Float32Array = np.minimum(np.minimum(pedicle, joint), lamina).astype(np.float32)
    return arch


def _paint_processes(thorax: Thorax, column: Column) -> None:
    """Paint spinous and transverse processes."""
    low, high = thorax.canvas.axes_mm_zyx[0][[0, -1]]
    rng = thorax.stream("processes")
    for z in column.heights_mm:
        tilt, length = float(rng.normal(0, 2.5)), float(rng.uniform(24, 32))
        if not low - 45 < z < high + 20:
            continue
        size = column.girth
        y = float(thorax.spine_y_mm(np.array([z]))[0]) + (9.5 + 6.5 * np.clip((160 - z) / 240, -0.2, 1.3)) * size
        fall = 0.95 if z > -50 else 0.45
        lines = [([(0, y + 17, z), (tilt / 2, y + 18 + 0.6 * length, z - 3 - fall * 0.6 * length),
                   (tilt, y + 18 + length, z - 3 - fall * length)], (3.4, 2.3, 3.4))]  # fmt: skip
        if z > column.thoracic_mm(12.4):
            lines += [([(s * 11, y + 11, z + 2), (s * 21, y + 16, z + 4), (s * 31, y + 20, z + 4)], (3.6, 3.4, 4.4))
                      for s in (-1, 1)]  # fmt: skip
        for points, radii in lines:
            curve = thorax.patient_points(np.asarray(points, dtype=np.float64))
            thorax.canvas.paint_curve(
                curve, np.asarray(radii) * size, 0.85 * CORTEX_HU, core_hu=thorax.person.bone_hu, rim_mm=1.5,
                flattening=2.0,
            )  # fmt: skip
