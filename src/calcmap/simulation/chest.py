"""The thorax around the heart: wall, bones, lungs, mediastinum and upper abdomen, painted onto the canvas.

Model coordinates: x = 0 in the middle, y = 0 at the middle depth of the rib cage, z = 0 at the height of the heart
box's centre, mm. Proportions were read off seven public chest CTs; none of their voxels is used.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from calcmap.core.errors import GeometryError
from calcmap.core.volume import Float32Array, Float64Array
from calcmap.simulation.deformation import Deformation
from calcmap.simulation.heart import (
    AORTA,
    CAVA_INFERIOR,
    CAVA_SUPERIOR,
    LEFT_CAVITY,
    LEFT_MAIN_MM,
    LEFT_PULMONARY_ARTERY,
    LEFT_VENTRICLE,
    PULMONARY_VEINS,
    RIGHT_PULMONARY_ARTERY,
    TOP_ABOVE_LEFT_MAIN_MM,
    HeartFrame,
    heart_distances_mm,
)
from calcmap.simulation.person import SPINE_SHARE, VERTEBRA_HALF_DEPTH_MM, Person
from calcmap.simulation.shapes import (
    Body,
    Box,
    Canvas,
    Coordinates,
    FloatArray,
    ellipsoid,
    smooth_curve,
    smooth_union,
    tube,
)

AIR_HU = -1000.0
FAT_HU = -105.0
MUSCLE_HU = 52.0
SKIN_HU = 10.0
CARTILAGE_HU = 110.0
CORTEX_HU = 620.0
DISC_HU = 80.0
CORD_HU = 28.0
WALL_MM = 10.0
"""Thickness of the layer of ribs and intercostal muscles."""
TILE = 64
"""Side of the periodic texture tile, voxels."""


@dataclass(frozen=True)
class Thorax:
    """Everything that the painters of one patient share."""

    person: Person
    frame: HeartFrame
    deformation: Deformation
    canvas: Canvas
    tile_zyx: Float32Array
    """Periodic smooth noise of SD 1."""

    @property
    def spine_mm(self) -> float:
        """y of the vertebral bodies' centres at the heart's height."""
        return SPINE_SHARE * self.person.chest_half_depth_mm

    def spine_y_mm(self, z_mm: Float64Array) -> Float64Array:
        """Return y of the vertebral bodies' centres by height."""
        bend: Float64Array = self.spine_mm + self.person.kyphosis * ((z_mm - 20) / 100) ** 2
        return bend

    def patient_points(self, points_mm: Float64Array) -> Float64Array:
        """Return model points in patient coordinates."""
        return self.deformation.to_patient(points_mm)

    def texture(self, box: Box, *, sd: float) -> Float32Array:
        """Return smooth noise over a box of the canvas."""
        index = [np.arange(n)[part] % TILE for n, part in zip(self.canvas.hu.shape, box, strict=True)]
        noise: Float32Array = self.tile_zyx[np.ix_(*index)] * np.float32(sd)
        return noise


@dataclass(frozen=True)
class HeartField:
    """Signed distances (mm) to one patient's heart over a box of the canvas."""

    box: Box
    sac_mm: Float32Array
    chambers_mm: Float32Array


def paint_thorax(thorax: Thorax, rng: np.random.Generator) -> Float32Array:
    """Paint everything but coronaries and calcium, from the outside to the inside.

    Returns
    -------
    ndarray of float32
        Share of each canvas voxel inside the labelled heart, 0 to 1.
    """
    heart = _heart_field(thorax)
    cavity = np.empty_like(thorax.canvas.hu)
    for plane in thorax.canvas.planes(thorax.canvas.whole):
        cavity[plane] = _paint_wall(thorax, plane)
        _paint_lungs(thorax, plane, cavity[plane])
    _paint_lung_vessels(thorax, rng)
    _paint_abdomen(thorax, cavity, rng)
    _paint_mediastinum(thorax, cavity, heart)
    _paint_great_vessels(thorax, rng)
    _paint_heart(thorax, heart)
    _paint_airways(thorax)
    _paint_spine(thorax, rng)
    _paint_ribs(thorax, rng)
    _paint_sternum(thorax)
    _paint_shoulders(thorax)
    return _heart_share(thorax, heart)


def _heart_field(thorax: Thorax) -> HeartField:
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


def _heart_share(thorax: Thorax, heart: HeartField) -> Float32Array:
    """Return the label's share: the sac, cut by the axial plane where readers stop."""
    share = np.zeros_like(thorax.canvas.hu)
    left_main = thorax.patient_points(thorax.frame.from_reference(np.array([LEFT_MAIN_MM])))
    top = np.float32(left_main[0, 2] + TOP_ABOVE_LEFT_MAIN_MM * thorax.person.heart_scale_xyz[2])
    height = thorax.canvas.patient_coordinates(heart.box)[2]
    share[heart.box] = thorax.canvas.coverage(np.maximum(heart.sac_mm, height - top))
    return share


def _paint_heart(thorax: Thorax, heart: HeartField) -> None:
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


def _paint_wall(thorax: Thorax, plane: Box) -> Float32Array:
    """Paint skin, fat, muscle and the rib layer of a slice; return the distance to the rib cage's inner surface."""
    canvas, person = thorax.canvas, thorax.person
    x, y, z = canvas.model_coordinates(plane)
    height = np.float32(canvas.axes_mm_zyx[0][plane[0]][0])
    front, back, side, cavity = _around(person, x, y, height)
    shoulder = _step((height - 40) / 90)
    lower = 1 - _step((height + 60) / 60)
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
    narrowing = 1 - np.float32(0.42) * _step((height - 40) / 190) - np.float32(0.03) * _step((-height - 20) / 80)
    half_width = np.float32(person.chest_half_width_mm) * narrowing
    half_depth = np.float32(person.chest_half_depth_mm) * (1 - np.float32(0.28) * _step((height - 30) / 190))
    u, v = x / half_width, (y - 12 * _step((height - 30) / 190)) / half_depth
    u2, v2 = u * u, v * v
    r2 = np.maximum(u2 + v2, np.float32(1e-4))
    side = u2 / r2
    front, back = np.where(v < 0, 1 - side, 0), np.where(v >= 0, 1 - side, 0)
    level = np.sqrt(r2) * (1 - np.float32(0.28) * side * (1 - side))
    cavity = np.sqrt(x * x + y * y) * (1 - 1 / np.maximum(level, np.float32(0.02)))
    return front.astype(np.float32), back.astype(np.float32), side, np.maximum(cavity, -half_depth).astype(np.float32)


def _step(t: FloatArray | np.floating) -> Float32Array:
    """Return a smooth step from 0 at t <= 0 to 1 at t >= 1."""
    clipped = np.clip(t, 0, 1)
    step: Float32Array = (clipped * clipped * (3 - 2 * clipped)).astype(np.float32)
    return step


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


def _paint_lungs(thorax: Thorax, plane: Box, cavity: Float32Array) -> None:
    canvas, person = thorax.canvas, thorax.person
    x, y, _ = canvas.model_coordinates(plane)
    dependent = np.clip(y / np.float32(person.chest_half_depth_mm), -1, 1) * np.float32(35)
    hu = np.float32(person.lung_hu) + dependent + thorax.texture(plane, sd=14)
    spine = np.float32(thorax.spine_y_mm(canvas.axes_mm_zyx[0][plane[0]])[0])
    # beside the spine, rib necks and muscles keep the lung out of the corner
    corner = (y - spine - 14 - np.maximum(np.abs(x) - 18, 0) * np.float32(0.95)) * np.float32(0.72)
    canvas.paint(plane, np.maximum(cavity + np.float32(1.0), corner), hu)


def _paint_lung_vessels(thorax: Thorax, rng: np.random.Generator) -> None:
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


def _heart_floor_mm(person: Person) -> float:
    return person.heart_center_mm[2] - 50 * person.heart_scale_xyz[2]


def _abdomen_distance_mm(thorax: Thorax, xyz: Coordinates, cavity: Float32Array) -> Float32Array:
    """Return the signed distance to what lies under the diaphragm, inside the rib cage."""
    person = thorax.person
    x, y, z = xyz
    floor = _heart_floor_mm(person)
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


def _paint_abdomen(thorax: Thorax, cavity: Float32Array, rng: np.random.Generator) -> None:
    canvas, person = thorax.canvas, thorax.person
    top = _heart_floor_mm(person) + max(person.right_dome_mm, person.left_dome_mm) + 5
    wide, deep = person.chest_half_width_mm + 20, person.chest_half_depth_mm + 20
    box = canvas.box(np.array([-wide, -deep, -400.0]), np.array([wide, deep, top]))
    if box is None:
        return
    liver_reach = float(rng.uniform(0.15, 0.85)) * person.chest_half_width_mm
    organs = _draw_left_organs(thorax, rng)
    for plane in canvas.planes(box):
        xyz = canvas.model_coordinates(plane)
        inside = _abdomen_distance_mm(thorax, xyz, cavity[plane])
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
    top = _heart_floor_mm(person) + person.left_dome_mm
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


def _great_vessels(thorax: Thorax) -> dict[str, tuple[Float64Array, Float64Array]]:
    """Return curves (model mm) and radii of the vessels around the heart."""
    frame, person = thorax.frame, thorax.person
    calibre = 1 + 0.004 * (person.age_years - 60)
    scale = float(np.mean(person.heart_scale_xyz))
    vessels: dict[str, tuple[Float64Array, Float64Array]] = {}
    for name, body in (
        ("right_pulmonary_artery", RIGHT_PULMONARY_ARTERY), ("left_pulmonary_artery", LEFT_PULMONARY_ARTERY),
        ("cava_superior", CAVA_SUPERIOR), ("cava_inferior", CAVA_INFERIOR),
        *((f"pulmonary_vein_{k}", vein) for k, vein in enumerate(PULMONARY_VEINS)),
    ):  # fmt: skip
        vessels[name] = (frame.from_reference(body.points_mm), body.radii_mm * scale)
    vessels["aorta"] = _aorta(thorax, calibre=calibre * scale)
    return vessels


def _aorta(thorax: Thorax, *, calibre: float) -> tuple[Float64Array, Float64Array]:
    """Return the aorta's centre line from its root over the arch and down the spine."""
    root = thorax.frame.from_reference(AORTA.points_mm)
    top = root[-1]
    spine = thorax.spine_mm
    arch = np.array([
        [top[0] + 4, top[1] + 8, top[2] + 16],
        [top[0] + 20, 0.5 * (top[1] + spine - 22), top[2] + 24],
        [24.0, spine - 24, top[2] + 14],
    ])  # fmt: skip
    heights = np.arange(top[2] - 12, -420, -25)
    fall = np.clip((top[2] - heights) / 160, 0, 1)
    beside = 26 - 22 * fall
    down = np.stack([beside, thorax.spine_y_mm(heights) - 20 - 13 * fall, heights], axis=1)
    radii = [*(AORTA.radii_mm * calibre), 15 * calibre, 14 * calibre, 13.5 * calibre]
    radii += list(np.linspace(12.8, 10.8, len(down)) * calibre)
    return np.vstack([root, arch, down]), np.asarray(radii)


def great_vessel_curve(thorax: Thorax, name: str) -> tuple[Float64Array, Float64Array]:
    """Return one vessel's centre line (model mm, 2 mm apart) and its radius at each point."""
    points, radii = _great_vessels(thorax)[name]
    curve = smooth_curve(points, step_mm=2.0)
    where = np.linspace(0, len(points) - 1, len(curve))
    return curve, np.interp(where, np.arange(len(points)), radii)


def _paint_mediastinum(thorax: Thorax, cavity: Float32Array, heart: HeartField) -> None:
    """Fill the space between the lungs with fat."""
    canvas, person = thorax.canvas, thorax.person
    wide, deep = 95.0 * max(person.heart_scale_xyz), person.chest_half_depth_mm + 10
    box = canvas.box(np.array([person.heart_center_mm[0] - wide, -deep, -300]), np.array([wide + 20, deep, 400]))
    if box is None:
        return
    far = np.full_like(canvas.hu[box], 1e3)
    inner = tuple(slice(h.start - b.start, h.stop - b.start) for h, b in zip(heart.box, box, strict=True))
    clipped = tuple(slice(max(i.start, 0), min(i.stop, n)) for i, n in zip(inner, far.shape, strict=True))
    offset = tuple(slice(c.start - i.start, c.stop - i.start) for c, i in zip(clipped, inner, strict=True))
    far[clipped] = heart.sac_mm[offset] - np.float32(1.2)
    bodies = _mediastinal_bodies(thorax)
    for k, plane in enumerate(canvas.planes(box)):
        xyz = canvas.model_coordinates(plane)
        fat = far[k : k + 1]
        for body in bodies:
            fat = smooth_union(fat, body.distance_mm(xyz), blend_mm=18.0)
        fat = np.where(_abdomen_distance_mm(thorax, xyz, cavity[plane]) < 0, np.float32(99), fat)
        canvas.paint(plane, np.maximum(fat, cavity[plane]), FAT_HU + thorax.texture(plane, sd=7))


def _mediastinal_bodies(thorax: Thorax) -> tuple[Body, ...]:
    """Return what pushes the lungs apart besides the heart: before the spine, behind the sternum, above the heart."""
    person = thorax.person
    spine, front = thorax.spine_mm, -person.chest_half_depth_mm
    heart_x, heart_y, _ = person.heart_center_mm
    floor = _heart_floor_mm(person)
    return (
        tube([(8, spine - 22, -300), (10, spine - 20, 20), (4, spine - 18, 400)], (19, 17, 24)),
        ellipsoid((6, 0.5 * (heart_y + 42 + spine), 5), (9, 0.5 * (spine - heart_y - 42) + 22, 62)),
        tube([(0, front - 4, -20), (0, front - 4, 400)], (13, 15)),
        tube([(-4, heart_y - 30, 62), (0, -8, 95), (0, 0, 400)], (24, 34, 42)),
        tube([(0, front, 55), (-6, heart_y - 20, 60)], (8, 20)),
        ellipsoid((heart_x - 34, front + 16, floor + 8), (22, 18, 20)),
        ellipsoid((heart_x + 52, front + 26, floor + 6), (18, 16, 16)),
    )


def _paint_great_vessels(thorax: Thorax, rng: np.random.Generator) -> None:
    person, canvas = thorax.person, thorax.canvas
    for name in _great_vessels(thorax):
        curve, radii = great_vessel_curve(thorax, name)
        stride = max(1, int(radii.min() / 3))
        canvas.paint_curve(thorax.patient_points(curve)[::stride], radii[::stride], person.blood_hu)
    spine = thorax.spine_mm
    heights = np.arange(-320, 260, 20.0)
    behind = thorax.spine_y_mm(heights)
    gullet = np.stack([4 + 3 * np.sin(heights / 60), behind - 27, heights], axis=1)
    is_open = rng.random() < 0.4
    canvas.paint_curve(thorax.patient_points(gullet), np.full(len(gullet), 7.0), 38.0,
                       core_hu=-300.0 if is_open else 20.0, rim_mm=4.5)  # fmt: skip
    azygos = np.stack([np.full(len(heights), -8.0), behind - 20, heights], axis=1)
    canvas.paint_curve(thorax.patient_points(azygos), np.full(len(azygos), 3.6), person.blood_hu)
    arch = thorax.frame.from_reference(AORTA.points_mm)[-1]
    for x, y, radius in ((-16, -0.25, 6.5), (4, -0.05, 4.5), (20, 0.1, 5.5), (-30, -0.3, 7.5)):
        line = np.array([[x * 0.6, y * spine, arch[2] + 14], [x, y * spine, arch[2] + 60], [2.2 * x, 0, arch[2] + 120]])
        canvas.paint_curve(thorax.patient_points(smooth_curve(line, step_mm=8.0)), np.full(40, radius), person.blood_hu)


def airway_curves(thorax: Thorax) -> tuple[tuple[Float64Array, Float64Array], ...]:
    """Return curves (model mm) and radii of trachea and large bronchi."""
    scale = thorax.person.heart_scale_xyz
    carina = np.array([0.0, thorax.spine_mm - 34, 66 * scale[2]])
    y = carina[1]
    # the lower lobes' bronchi pass behind the left atrium
    behind = max(y + 18, thorax.person.heart_center_mm[1] + 50 * scale[1])
    trachea = np.array([[0, thorax.spine_mm - 36, 330.0], [0, y - 2, carina[2] + 60], carina])
    right = np.array([carina, [-20, y + 3, carina[2] - 16], [-38, y + 6, carina[2] - 32], [-50, behind, 4]])
    left = np.array([carina, [22, y + 4, carina[2] - 16], [44, y + 10, carina[2] - 28], [54, behind, 4]])
    upper = np.array([[-26, y + 3, carina[2] - 20], [-50, y, carina[2] - 8], [-66, y - 8, carina[2] + 10]])
    lines = ((trachea, (8.5, 8.5)), (right, (7, 3)), (left, (6.5, 3)), (upper, (4.5, 2.5)))
    curves = []
    for points, (start, end) in lines:
        curve = smooth_curve(points.astype(np.float64), step_mm=6.0)
        curves.append((curve, np.linspace(start, end, len(curve))))
    return tuple(curves)


def _paint_airways(thorax: Thorax) -> None:
    for curve, radii in airway_curves(thorax):
        thorax.canvas.paint_curve(thorax.patient_points(curve), radii + 1.2, 10.0, core_hu=-970.0, rim_mm=1.2)


def _paint_spine(thorax: Thorax, rng: np.random.Generator) -> None:
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
    narrowing = (
        1 - 0.42 * float(_step(np.float32((z_mm - 40) / 190))) - 0.03 * float(_step(np.float32((-z_mm - 20) / 80)))
    )
    high = float(_step(np.float32((z_mm - 30) / 190)))
    wide, deep = person.chest_half_width_mm * narrowing, person.chest_half_depth_mm * (1 - 0.28 * high)
    u, v = np.sin(angle), np.cos(angle)
    side = u * u
    level = 1 - 0.28 * side * (1 - side)
    x, y = wide * u / level, deep * v / level
    norm = np.hypot(x, y)
    return float(x * (1 + outside_mm / norm)), float(y * (1 + outside_mm / norm) + 12 * high), z_mm


def _paint_ribs(thorax: Thorax, rng: np.random.Generator) -> None:
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
    high = float(_step(np.float32((start[2] - 30) / 190)))
    target = np.array([side * target_x, front + 0.28 * person.chest_half_depth_mm * high, start[2] + rise])
    middle = 0.5 * (start + target) + np.array([0, -5.0, -4.0])
    curve = thorax.patient_points(smooth_curve(np.stack([start, middle, target]), step_mm=5.0))
    shell = CARTILAGE_HU + 700 * max(calcified - 0.08, 0)
    thorax.canvas.paint_curve(curve, np.full(len(curve), 5.0), shell, core_hu=CARTILAGE_HU, rim_mm=1.5, flattening=1.6)


def _paint_sternum(thorax: Thorax) -> None:
    canvas, person = thorax.canvas, thorax.person
    front = -person.chest_half_depth_mm - 10
    x_half, y_half = 17.0, 5.5
    box = canvas.box(np.array([-45.0, front - 30, -25]), np.array([45.0, front + 60, 190]))
    if box is None:
        return
    x, y, z = canvas.model_coordinates(box)
    height = canvas.axes_mm_zyx[0][box[0]].astype(np.float32)[:, None, None]
    tilt = np.float32(0.28 * person.chest_half_depth_mm) * _step((height - 30) / 190)
    wide = np.float32(x_half) * (0.75 + 0.25 * _step((height + 15) / 40) + 0.8 * _step((height - 105) / 30))
    plate = np.sqrt((x / wide) ** 4 + ((y - front - tilt) / np.float32(y_half)) ** 4) ** 0.5 - 1
    plate = np.maximum(plate * np.float32(y_half), np.abs(z - 75) - np.float32(95))
    canvas.paint(box, plate, CORTEX_HU * 0.8)
    canvas.paint(box, plate + np.float32(1.5), person.bone_hu * 0.7 + thorax.texture(box, sd=20))


def _paint_shoulders(thorax: Thorax) -> None:
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
