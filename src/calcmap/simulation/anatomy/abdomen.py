"""What lies under the diaphragm: liver, stomach, spleen, bowel, kidneys and the fat between them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from calcmap.core.volume import Float32Array, Float64Array
from calcmap.simulation.anatomy.heart import CAVA_INFERIOR, FLOOR_MM, FLOOR_SLOPE
from calcmap.simulation.anatomy.shapes import Body, Box, Coordinates, ellipsoid, smooth_curve, smooth_union
from calcmap.simulation.anatomy.thorax import (
    AIR_HU,
    FAT_HU,
    MUSCLE_HU,
    Anatomy,
    Thorax,
    heart_floor_mm,
    smooth_fields,
)

DIAPHRAGM_MM = 2.4
CAPSULE_MM = 3.0
"""Least distance of liver and other organs from the diaphragm's upper side."""
COLLAPSED_STOMACH_SHARE = 0.3
GALLBLADDER_SHARE = 0.85
"""Some have lost theirs (our choice)."""
STOMACH_CONTENTS_HU = ((8.0, 3.0), (25.0, 12.0), (45.0, 35.0), (190.0, 60.0))
STOMACH_SHARES = (0.3, 0.3, 0.32, 0.08)
"""Mean and SD of water, drink and food, food with air in it, oral contrast, and how often each (our choice)."""


def diaphragm_mm(anatomy: Anatomy, xyz: Coordinates) -> Float32Array:
    """Return the signed distance to what lies under the diaphragm, as if there were no rib cage."""
    person = anatomy.person
    x, y, z = xyz
    floor = heart_floor_mm(person)
    wide, deep = person.chest_half_width_mm, person.chest_half_depth_mm

    def dome(center_x: float, center_y: float, top: float, radii: tuple[float, float, float]) -> Float32Array:
        body = ellipsoid((center_x, center_y, top - radii[2]), radii)
        # below its widest level a dome goes on as a cylinder, so that the abdomen has no waist
        return body.distance_mm((x, y, np.maximum(z, np.float32(top - radii[2]))))

    right = dome(-0.49 * wide, -0.05 * deep, floor + person.right_dome_mm, (0.58 * wide, 0.90 * deep, 66))
    left = dome(0.50 * wide, 0.02 * deep, floor + person.left_dome_mm, (0.55 * wide, 0.88 * deep, 60))
    tendon = dome(0.02 * wide, -0.35 * deep, floor + 2.0, (0.85 * wide, 0.80 * deep, 48))
    union = smooth_union(smooth_union(right, left, blend_mm=26.0), tendon, blend_mm=26.0)
    return smooth_union(union, _under_heart(anatomy, xyz), blend_mm=14.0)


def _under_heart(anatomy: Anatomy, xyz: Coordinates) -> Float32Array:
    """Return the distance to the part of the diaphragm on which the heart lies."""
    x, y, z = anatomy.frame.to_reference(xyz)
    above = (z - np.float32(FLOOR_MM) - np.float32(FLOOR_SLOPE) * x) * np.float32(anatomy.person.heart_scale_xyz[2])
    beside = (np.hypot((x - 6) / 52, (y + 4) / 46) - 1) * np.float32(46)
    under: Float32Array = np.maximum(above, beside).astype(np.float32)
    return under


def abdomen_distance_mm(anatomy: Anatomy, xyz: Coordinates, cavity: Float32Array) -> Float32Array:
    """Return the signed distance to what lies under the diaphragm, inside the rib cage.

    ``cavity`` is the distance to the rib cage's inner surface at the same points.
    """
    inside: Float32Array = np.maximum(diaphragm_mm(anatomy, xyz), cavity + np.float32(1.5))
    return inside


def paint_abdomen(thorax: Thorax, cavity: Float32Array, rng: np.random.Generator) -> None:
    """Paint the diaphragm and the organs under it."""
    canvas, person = thorax.canvas, thorax.person
    top = heart_floor_mm(person) + max(person.right_dome_mm, person.left_dome_mm, 4) + 8
    wide, deep = person.chest_half_width_mm + 20, person.chest_half_depth_mm + 20
    box = canvas.box(np.array([-wide, -deep, -500.0]), np.array([wide, deep, top]))
    liver, left = _draw_liver(thorax, rng), _draw_left_organs(thorax, rng)
    if box is None:
        return

    def fields(xyz: Coordinates) -> tuple[Float32Array, Float32Array]:
        return diaphragm_mm(thorax, xyz), _liver_edge_mm(thorax, liver, xyz)

    under, edge = smooth_fields(canvas, box, fields)
    inside = np.maximum(under, cavity[box] + np.float32(1.5))
    canvas.paint(box, inside, MUSCLE_HU - 8)
    canvas.paint(box, inside + np.float32(DIAPHRAGM_MM), FAT_HU + thorax.texture(box, sd=7))
    deep_inside = inside + np.float32(CAPSULE_MM)
    _paint_left_organs(thorax, box, deep_inside, left)
    _paint_bowel(thorax, box, deep_inside, rng)
    organ = -smooth_union(-deep_inside, -edge, blend_mm=9.0)
    canvas.paint(box, organ, person.liver_hu + thorax.texture(box, sd=2))
    _paint_liver_vessels(thorax, box, organ, rng)
    _paint_behind(thorax, rng)


@dataclass(frozen=True)
class Liver:
    """One patient's liver: how far it reaches to the left, and how deep."""

    reach_mm: float
    """Of the left lobe, at its top."""
    lobe_mm: float
    """Height of the left lobe."""
    height_mm: float
    """Of the right lobe."""
    waves: tuple[float, float, float]
    """Phases of the bumps on its edge."""


def _draw_liver(thorax: Thorax, rng: np.random.Generator) -> Liver:
    wide = thorax.person.chest_half_width_mm
    return Liver(
        reach_mm=float(rng.beta(2.0, 1.6)) * wide,
        lobe_mm=float(rng.uniform(35, 80)),
        height_mm=float(rng.uniform(125, 190)),
        waves=(rng.uniform(0, 6.3), rng.uniform(0, 6.3), rng.uniform(0, 6.3)),
    )


def _liver_edge_mm(anatomy: Anatomy, liver: Liver, xyz: Coordinates) -> Float32Array:
    """Return the distance to the liver where the diaphragm does not bound it: left, below and behind."""
    person = anatomy.person
    x, y, z = xyz
    top = heart_floor_mm(person) + person.right_dome_mm
    depth = np.maximum(np.float32(heart_floor_mm(person) + 8) - z, 0)
    first, second, third = liver.waves
    # the left lobe ends in a wedge; behind, the liver leaves room for stomach, spine and spleen
    wedge = np.exp(-((depth / np.float32(liver.lobe_mm)) ** 2))
    front = liver.reach_mm * wedge + (0.10 * person.chest_half_width_mm - 0.35 * depth) * (1 - wedge)
    back = -10 - 0.12 * depth
    start = np.float32(-0.8 * person.chest_half_depth_mm)
    turn = np.clip((y - start) / (np.float32(anatomy.spine_mm - 22) - start), 0, 1) ** 1.4
    left = front * (1 - turn) + back * turn
    left = left + 7 * np.sin(y / 15 + np.float32(first)) * np.sin(z / 23) + 5 * np.sin(z / 14 + np.float32(second))
    across = (x - left) * np.float32(0.72)
    below = np.float32(top - liver.height_mm) - z + 6 * np.sin(x / 21 + np.float32(third)) - 0.35 * x
    cleft = np.abs(x - 14 - 0.35 * y + 4 * np.sin(y / 12 + np.float32(third))) - np.clip((depth - 30) / 16, -1, 1.3)
    cleft = np.maximum(cleft, y + np.float32(0.4 * person.chest_half_depth_mm))
    edge = -smooth_union(-across, -below, blend_mm=20.0)
    cut: Float32Array = np.maximum(edge, -cleft).astype(np.float32)
    return cut


def _paint_liver_vessels(thorax: Thorax, box: Box, organ: Float32Array, rng: np.random.Generator) -> None:
    """Paint hepatic veins and portal branches as faint as they are without contrast, and the gallbladder."""
    canvas, person = thorax.canvas, thorax.person
    cava = thorax.frame.from_reference(CAVA_INFERIOR.points_mm)[1]
    wide, deep = person.chest_half_width_mm, person.chest_half_depth_mm
    before = canvas.hu[box].copy()
    for x, y, down in ((-0.75, 0.1, 25), (-0.45, -0.45, 22), (-0.05, -0.5, 18), (-0.6, 0.35, 60), (-0.5, -0.1, 75)):
        start = cava - [8.0, 2.0, 10.0 + 0.6 * down]
        end = np.array([x * wide, y * deep, cava[2] - down]) + rng.normal(0, 7, 3)
        curve = smooth_curve(np.stack([start, 0.5 * (start + end) + rng.normal(0, 5, 3), end]), step_mm=6.0)
        canvas.paint_curve(thorax.patient_points(curve), np.linspace(4.5, 1.5, len(curve)), person.blood_hu)
    if rng.random() < GALLBLADDER_SHARE:
        place = (-0.42 * wide + rng.normal(0, 6), -0.5 * deep, cava[2] - 78 + rng.normal(0, 10))
        bladder = ellipsoid(place, (13, 26, 15), axis=(0.3, 1.0, 0.4))
        canvas.paint_body(bladder, 9.0)
    # what would leave the liver is not there
    view = canvas.hu[box]
    np.copyto(view, before, where=organ > np.float32(-1.5))


@dataclass(frozen=True)
class LeftOrgans:
    """What lies under the left dome of one patient."""

    spleen: Body
    spleen_hu: float
    stomach: tuple[Body, Body]
    wall_mm: float
    content_hu: float
    content_sd_hu: float
    fluid_level_mm: float
    """y below which (towards the front) there is gas."""
    folds: float
    """Phase of the stomach's folds."""


def _draw_left_organs(thorax: Thorax, rng: np.random.Generator) -> LeftOrgans:
    person = thorax.person
    top = heart_floor_mm(person) + person.left_dome_mm
    wide, deep = person.chest_half_width_mm, person.chest_half_depth_mm
    is_collapsed = rng.random() < COLLAPSED_STOMACH_SHARE
    size = rng.uniform(0.5, 0.75) if is_collapsed else rng.uniform(0.75, 1.15)
    fundus = np.array([0.42 * wide, 0.10 * deep, top - 10 - 34 * size]) + rng.normal(0, 6, 3)
    body = np.array([0.30 * wide, -0.35 * deep, top - 42 - 40 * size]) + rng.normal(0, 8, 3)
    kind = int(rng.choice(len(STOMACH_SHARES), p=STOMACH_SHARES))
    mean, sd = STOMACH_CONTENTS_HU[kind]
    half_depth, half_width = 0.48 * deep * size, 0.34 * wide * size
    turn = rng.normal(0, 0.4, 2)
    return LeftOrgans(
        spleen=ellipsoid((0.72 * wide, 0.42 * deep, top - 50 + rng.normal(0, 8)),
                         (0.36 * wide * rng.uniform(0.8, 1.15), 0.52 * deep, 52), axis=(1.0, 0.35, 0.2)),
        spleen_hu=float(rng.normal(48, 3)),
        stomach=(
            ellipsoid(fundus.tolist(), (half_width, half_depth, 36 * size), axis=(1.0, turn[0], 0.3)),
            ellipsoid(body.tolist(), (0.9 * half_width, 0.7 * half_depth, 44 * size), axis=(1.0, 0.3, turn[1])),
        ),
        wall_mm=float(rng.uniform(5, 9) if is_collapsed else rng.uniform(3, 5)),
        content_hu=mean + float(rng.normal(0, 0.3 * sd)),
        content_sd_hu=sd,
        fluid_level_mm=float(fundus[1] + rng.uniform(-1.1, 0.1) * half_depth),
        folds=float(rng.uniform(0, 6.3)),
    )  # fmt: skip


def _paint_left_organs(thorax: Thorax, box: Box, inside: Float32Array, organs: LeftOrgans) -> None:
    canvas = thorax.canvas

    def fields(xyz: Coordinates) -> tuple[Float32Array, Float32Array]:
        x, y, z = xyz
        fundus, body = (part.distance_mm(xyz) for part in organs.stomach)
        folds = 2.5 * np.sin(x / 11 + np.float32(organs.folds)) * np.sin(z / 9) + 2 * np.sin(y / 8)
        return organs.spleen.distance_mm(xyz), smooth_union(fundus, body, blend_mm=25.0) + folds.astype(np.float32)

    spleen, stomach = smooth_fields(canvas, box, fields)
    canvas.paint(box, np.maximum(spleen, inside), organs.spleen_hu)
    wall = np.maximum(stomach, inside)
    canvas.paint(box, wall - np.float32(1.5), FAT_HU)
    canvas.paint(box, wall, 42.0)
    lumen = wall + np.float32(organs.wall_mm)
    canvas.paint(box, lumen, organs.content_hu + thorax.texture(box, sd=organs.content_sd_hu))
    y = canvas.model_coordinates(box)[1]
    canvas.paint(box, np.maximum(lumen, y - np.float32(organs.fluid_level_mm)), AIR_HU + 15)


def _paint_bowel(thorax: Thorax, box: Box, inside: Float32Array, rng: np.random.Generator) -> None:
    """Paint colon, with gas and stool, and loops of small bowel, wherever the liver will not lie."""
    canvas, person = thorax.canvas, thorax.person
    floor, wide, deep = heart_floor_mm(person), person.chest_half_width_mm, person.chest_half_depth_mm
    before = canvas.hu[box].copy()
    flexure = floor + min(person.left_dome_mm, 10) - rng.uniform(22, 75)
    low = floor - rng.uniform(75, 130)
    colon = np.array([
        [0.85 * wide, 0.25 * deep, low - 70], [0.84 * wide, 0.05 * deep, flexure - 30],
        [0.72 * wide, -0.2 * deep, flexure], [0.5 * wide, -0.6 * deep, 0.5 * (flexure + low)], [0.0, -0.72 * deep, low],
        [-0.5 * wide, -0.6 * deep, low + 12], [-0.72 * wide, -0.2 * deep, low - 5], [-0.75 * wide, 0.0, low - 80],
    ])  # fmt: skip
    _paint_gut(thorax, colon + rng.normal(0, 6, colon.shape), rng, radius_mm=float(rng.uniform(14, 22)))
    for _ in range(6):
        start = np.array([rng.uniform(-0.2, 0.7) * wide, rng.uniform(-0.6, 0.1) * deep, floor - rng.uniform(85, 170)])
        loop = start + np.cumsum(rng.normal(0, 16, (5, 3)), axis=0)
        curve = smooth_curve(loop, step_mm=6.0)
        canvas.paint_curve(thorax.patient_points(curve), np.full(len(curve), 11.0), 32.0)
    view = canvas.hu[box]
    np.copyto(view, before, where=inside > 0)


def _paint_gut(thorax: Thorax, points_mm: Float64Array, rng: np.random.Generator, *, radius_mm: float) -> None:
    """Paint a piece of colon: pouches of changing width, each with gas or stool."""
    curve = smooth_curve(points_mm, step_mm=8.0)
    bent = thorax.patient_points(curve)
    pouches = radius_mm * (0.85 + 0.22 * np.sin(np.arange(len(curve)) * 1.7 + rng.uniform(0, 6.3)))
    thorax.canvas.paint_curve(bent, pouches, 38.0)
    first = 0
    while first < len(bent) - 1:
        last = min(first + int(rng.integers(3, 9)), len(bent) - 1)
        part = slice(first, last + 1)
        content = -920.0 if rng.random() < 0.5 else float(rng.uniform(-150, 50))
        shift = np.array([0.0, -0.15 * radius_mm if content < -500 else 0.0, 0.0])
        thorax.canvas.paint_curve(bent[part] + shift, pouches[part] - (5.0 if content < -500 else 3.0), content)
        first = last


def _paint_behind(thorax: Thorax, rng: np.random.Generator) -> None:
    """Paint what lies beside the spine: crura of the diaphragm, adrenal glands and kidneys."""
    floor, spine = heart_floor_mm(thorax.person), thorax.spine_mm
    for side in (-1, 1):
        thick = float(rng.uniform(2.6, 4.5))
        x = 5 + side * 14
        crus = np.array([
            [x - side * 6, spine - 46, floor + 2], [x, spine - 36, floor - 18], [x + side, spine - 24, floor - 45],
            [x, spine - 16, floor - 80], [x - side * 3, spine - 14, floor - 140],
        ])  # fmt: skip
        curve = smooth_curve(crus, step_mm=5.0)
        thorax.canvas.paint_curve(thorax.patient_points(curve), np.full(len(curve), thick), 48.0, flattening=2.0)
        top = floor - (55 if side > 0 else 68) + float(rng.normal(0, 10))
        for toe in (-7.0, 9.0):
            gland = np.array([[side * 30, spine - 26, top], [side * (33 + 0.5 * toe), spine - 14, top - 2]])
            thorax.canvas.paint_curve(thorax.patient_points(gland), np.full(2, 2.8), 30.0, flattening=3.0)
        kidney = ellipsoid((side * 58, spine + 2, top - 58), (27, 24, 52), axis=(1.0, 0.6 * side, 0.0))
        thorax.canvas.paint_body(kidney, 33.0)
        thorax.canvas.paint_body(ellipsoid((side * 50, spine - 4, top - 62), (13, 10, 28)), FAT_HU)
