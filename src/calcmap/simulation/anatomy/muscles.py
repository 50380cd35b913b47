"""The muscles of the chest wall: sheets one over the other, each over a range of angles and heights.

A sheet's thickness is tabled by height for a person of middling muscle and fades out at its borders. Where sheets
begin, end and how thick the stack is follows the medians of seven public chest CTs with raised arms (measured along
rays every 10 degrees and 20 mm); which share belongs to which muscle is anatomy as textbooks draw it, by eye.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from calcmap.core.volume import Float32Array, Float64Array
from calcmap.simulation.anatomy.cage import ANGLES, N_ANGLES
from calcmap.simulation.anatomy.thorax import Thorax, smooth_step

RIB_LAYER_MM = 9.0
"""Ribs with the muscles between them."""
MIDDLING_MUSCLE_MM, MIDDLING_HALF_WIDTH_MM = 8.0, 124.0
"""`Person.muscle_mm` and `chest_half_width_mm` at which the tabled thicknesses hold."""
ARMS_DOWN_SHARE = 0.62
"""Thickness of the back fold of the armpit with the arms down, over that with raised arms (our choice)."""


@dataclass(frozen=True)
class Sheet:
    """One muscle, or the shoulder blade."""

    name: str
    angles_deg: tuple[float, float]
    """From the front, on either side."""
    fade_deg: float
    heights_mm: tuple[float, float]
    fade_mm: float
    thickness_mm: tuple[tuple[float, float], ...]
    """Pairs of height and thickness."""
    gap_mm: float
    """Fat under the sheet, in a lean person."""


BLADE = "shoulder blade"
ERECTOR = "erector spinae"
_RAISED = ("subscapularis", "infraspinatus", "latissimus")
SHEETS: tuple[Sheet, ...] = (
    Sheet("rectus abdominis", (5, 33), 7, (-400, -28), 22, ((-60, 8.0), (-30, 5.0)), 0.5),
    Sheet("pectoralis minor", (34, 60), 11, (72, 190), 22, ((70, 5.0), (140, 11.0)), 1.5),
    Sheet("serratus", (68, 118), 22, (-55, 115), 25, ((-50, 4.0), (0, 7.5), (60, 6.0), (110, 4.0)), 0.4),
    Sheet("external oblique", (30, 98), 20, (-400, -24), 24, ((-80, 5.0), (-20, 2.5)), 0.3),
    Sheet(ERECTOR, (156, 177.5), 17, (-400, 400), 10, ((-80, 18.0), (0, 14.0), (100, 12.0), (160, 12.0)), -2.0),
    Sheet("subscapularis", (104, 140), 14, (22, 190), 25, ((20, 4.0), (60, 9.0), (100, 13.0), (150, 14.0)), 1.0),
    Sheet(BLADE, (97, 139), 1.5, (18, 178), 8, ((20, 1.5), (160, 1.9)), 0.0),
    Sheet("infraspinatus", (98, 138), 13, (24, 190), 18, ((20, 4.0), (60, 10.0), (100, 16.0), (150, 18.0)), 0.0),
    Sheet("pectoralis major", (20, 62), 17, (6, 195), 22, ((20, 4.5), (70, 7.0), (105, 10.0), (175, 21.0)), 1.2),
    Sheet("rhomboid", (150, 170), 12, (35, 160), 20, ((40, 3.5), (120, 6.0)), 0.8),
    Sheet("latissimus", (96, 142), 20, (-95, 62), 30, ((-80, 3.0), (-20, 4.5), (40, 7.0)), 1.2),
    Sheet("latissimus fold", (98, 110), 20, (18, 190), 30, ((20, 5.0), (60, 15.0), (100, 19.0), (140, 22.0)), 1.5),
    Sheet("trapezius", (136, 178.5), 16, (-30, 400), 25, ((-20, 2.5), (60, 4.0), (120, 8.0), (160, 11.0)), 0.8),
    Sheet("deltoid", (62, 114), 26, (140, 400), 10, ((135, 4.0), (150, 14.0), (170, 32.0), (190, 60.0)), 1.0),
    Sheet("serratus posterior", (118, 160), 18, (-400, -5), 30, ((-80, 3.5), (0, 2.5)), 0.6),
)


@dataclass(frozen=True)
class SheetDepths:
    """One sheet by slice and angle bin, mm outside the lungs' surface; thickness 0 where it is absent."""

    sheet: Sheet
    inner_mm: Float32Array
    thickness_mm: Float32Array


@dataclass(frozen=True)
class Musculature:
    """All sheets of one patient, and their common outer surface by slice and angle bin."""

    sheets: tuple[SheetDepths, ...]
    outer_mm: Float32Array


def draw_musculature(thorax: Thorax, levels_mm: Float64Array) -> Musculature:
    """Return a thorax's muscles at the given levels: heights in the measured chests.

    What is drawn does not depend on the levels: another scan of the same patient shows the same muscles.
    """
    rng, person = thorax.stream("muscles"), thorax.person
    uneven = _uneven(rng, levels_mm)
    bulk = person.muscle_mm / MIDDLING_MUSCLE_MM
    fat_share = float(np.clip((person.bmi - 18) / 10, 0.3, 2.0))
    depth = np.full((len(levels_mm), N_ANGLES), RIB_LAYER_MM)
    found = []
    for sheet in SHEETS:
        thickness = _thickness(rng, sheet, levels_mm) * (person.chest_half_width_mm / MIDDLING_HALF_WIDTH_MM)
        wavy = np.roll(uneven, rng.integers(N_ANGLES), axis=1)
        if sheet.name != BLADE:
            thickness *= 1 + 0.12 * np.clip(wavy, -2, 2)
            thickness *= bulk if sheet.name != ERECTOR else np.sqrt(bulk)
        if person.has_arms_down and sheet.name.startswith(_RAISED):
            thickness *= ARMS_DOWN_SHARE
        gap = sheet.gap_mm * np.clip(thickness / 3, 0, 1)
        if sheet.gap_mm > 0:
            gap *= fat_share * np.clip(0.35 - wavy, 0, 2.5)
        inner = depth + gap
        found.append(SheetDepths(sheet, inner.astype(np.float32), thickness.astype(np.float32)))
        depth = np.where(thickness > 0, inner + thickness, depth)
    outer = ndimage.gaussian_filter(depth, (1.0, 4.0), mode=("nearest", "wrap")).astype(np.float32)
    return Musculature(tuple(found), outer)


def _uneven(rng: np.random.Generator, heights_mm: Float64Array) -> Float64Array:
    """Return smooth noise of SD about 1 by height and angle bin."""
    total = np.zeros((len(heights_mm), N_ANGLES))
    for wave in range(4, 24, 2):
        lean = rng.normal(0, 1 / 14)
        total += np.cos(wave * ANGLES[None, :] + rng.uniform(0, 2 * np.pi) + lean * heights_mm[:, None])
    noise: Float64Array = total / np.sqrt(5)
    return noise


def _thickness(rng: np.random.Generator, sheet: Sheet, heights_mm: Float64Array) -> Float64Array:
    """Return one sheet's thickness by height and angle bin, for middling muscle, with its own left and right."""
    low, high = sheet.heights_mm
    heights, widths = zip(*sheet.thickness_mm, strict=True)
    levels = heights_mm - rng.normal(0, 6)
    along = np.interp(levels, heights, widths) * _window(levels, (low, high), sheet.fade_mm)
    thickness = np.zeros((len(heights_mm), N_ANGLES))
    for side in (-1, 1):
        first, last = np.asarray(sheet.angles_deg) + rng.normal(0, 2.0, 2)
        across = _window(np.rad2deg(side * ANGLES), (first, min(last, 179.0)), sheet.fade_deg)
        thickness += along[:, None] * across[None, :] * rng.uniform(0.88, 1.12)
    return thickness


def _window(places: Float64Array, limits: tuple[float, float], fade: float) -> Float64Array:
    """Return 1 between two limits, falling to 0 within ``fade`` outside of them."""
    low, high = limits
    rise = smooth_step((places - low) / fade + 1)
    share: Float64Array = rise.astype(np.float64) * smooth_step((high - places) / fade + 1)
    return share
