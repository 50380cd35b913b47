"""Great vessels, oesophagus and the fat between the lungs.

The lungs' inner surface follows what lies between them: vessels, airways and heart wear a thin coat of fat, and fat
fills the corners they leave. So thin patients show every vessel's outline and stout ones a wide, smooth mediastinum.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy import ndimage

from calcmap.core.volume import Float32Array, Float64Array
from calcmap.simulation.anatomy.abdomen import abdomen_distance_mm
from calcmap.simulation.anatomy.cardiac import HeartField
from calcmap.simulation.anatomy.heart import (
    AORTA,
    CAVA_INFERIOR,
    CAVA_SUPERIOR,
    LEFT_PULMONARY_ARTERY,
    PULMONARY_TRUNK,
    PULMONARY_VEINS,
    RIGHT_PULMONARY_ARTERY,
    heart_distances_mm,
    reference_points,
)
from calcmap.simulation.anatomy.lungs import airway_curves
from calcmap.simulation.anatomy.person import VERTEBRA_HALF_DEPTH_MM
from calcmap.simulation.anatomy.shapes import (
    Box,
    Canvas,
    Coordinates,
    Tube,
    ellipsoid,
    smooth_curve,
    smooth_union,
    tube,
)
from calcmap.simulation.anatomy.thorax import FAT_HU, Anatomy, Thorax, coarse_steps, refined

Curve = tuple[Float64Array, Float64Array]
"""Centre line (n, 3) and radius at each point."""

SPINE_RADIUS_MM = 17.5
COAT_MM = (0.4, 1.5)
"""Fat around each vessel: without visceral fat, and more per unit of it (our choice)."""
CORNER_MM = (2.2, 1.1)
"""How far fat rounds the corners between vessels, likewise."""
LEFT_ATRIUM_ROOF = ellipsoid((-2, 27, 36), (24, 13, 12))
"""Fat and nodes between left atrium, pulmonary arteries and windpipe, where no lung gets in (reference mm)."""
NODE_COUNT = 7.0
"""Mean number of lymph nodes large enough to see."""
WINDPIPE_WALL_MM = 2.0
SUBCLAVIAN_REACH_MM = 125.0
CATHETER_RADIUS_MM = 1.1


def _great_vessels(anatomy: Anatomy) -> dict[str, Curve]:
    """Return curves (model mm) and radii of the vessels around the heart."""
    frame, person = anatomy.frame, anatomy.person
    scale = float(np.mean(person.heart_scale_xyz))
    vessels: dict[str, Curve] = {}
    for name, body in (
        ("pulmonary_trunk", PULMONARY_TRUNK), ("right_pulmonary_artery", RIGHT_PULMONARY_ARTERY),
        ("left_pulmonary_artery", LEFT_PULMONARY_ARTERY), ("cava_superior", CAVA_SUPERIOR),
        ("cava_inferior", CAVA_INFERIOR),
        *((f"pulmonary_vein_{k}", vein) for k, vein in enumerate(PULMONARY_VEINS)),
    ):  # fmt: skip
        vessels[name] = (frame.from_reference(body.points_mm), body.radii_mm * scale)
    vessels["aorta"] = _aorta(anatomy)
    return vessels | _branches(anatomy, vessels["aorta"], vessels["cava_superior"])


def _aorta(anatomy: Anatomy) -> Curve:
    """Return the aorta's centre line from its root over the arch and down the spine, and its radius."""
    person = anatomy.person
    root = anatomy.frame.from_reference(AORTA.points_mm)
    x, y, z = root[-1]
    long, wide = person.aorta_elongation, person.aorta_mm
    down = _descending(anatomy, np.arange(z - 6, -420, -22), radius_mm=0.78 * wide)
    end_x, end_y, _ = down[0]
    lift = 16 + 8 * long
    arch = np.array([
        [x + 0.05 * (end_x - x), y + 0.10 * (end_y - y), z + 0.55 * lift],
        [x + 0.32 * (end_x - x), y + 0.36 * (end_y - y), z + lift],
        [x + 0.72 * (end_x - x), y + 0.72 * (end_y - y), z + 0.92 * lift],
        [end_x + 1, end_y - 2, z + 0.4 * lift],
    ])  # fmt: skip
    root_radii = AORTA.radii_mm / AORTA.radii_mm[-1] * wide
    arch_radii = np.array([0.98, 0.93, 0.88, 0.82]) * wide
    down_radii = np.interp(down[:, 2], [-260.0, -60.0, z], [0.62 * wide, 0.72 * wide, 0.79 * wide])
    return np.vstack([root, arch, down]), np.concatenate([root_radii, arch_radii, down_radii])


def _around_windpipe(anatomy: Anatomy, curve: Curve) -> Curve:
    """Return the aorta's curve bent forwards and to the left where it would press on the windpipe."""
    points, radii = curve
    windpipe, width = airway_curves(anatomy)[0]
    upwards = np.argsort(windpipe[:, 2])
    axis = np.stack([np.interp(points[:, 2], windpipe[upwards, 2], windpipe[upwards, k]) for k in (0, 1)], axis=1)
    away = points[:, :2] - axis
    distance = np.maximum(np.linalg.norm(away, axis=1), 1e-3)
    missing = radii + float(width.max()) + WINDPIPE_WALL_MM - distance
    missing = np.where(points[:, 2] > windpipe[:, 2].min() - 8, np.maximum(missing, 0), 0)
    # the push begins and ends gently, and is never less than needed
    push = np.maximum(ndimage.gaussian_filter1d(missing, 4.0, mode="nearest"), missing)
    moved = points.copy()
    moved[:, :2] += away * (push / distance)[:, None]
    return moved, radii


def _descending(anatomy: Anatomy, heights_mm: Float64Array, *, radius_mm: float) -> Float64Array:
    """Return the descending aorta: left of the spine, in front of it lower down, never inside heart or bone."""
    person = anatomy.person
    top, bottom = heights_mm[0], anatomy.frame.center_mm[2] - 70
    fall = np.clip((top - heights_mm) / (top - bottom), 0, 1)
    long = person.aorta_elongation
    x = (15 + 12 * long) * (1 - fall) + (3 + 6 * long) * fall + 12 * long * np.sin(np.pi * fall)
    spine = anatomy.spine_y_mm(heights_mm)
    around = SPINE_RADIUS_MM + radius_mm
    y = spine - np.sqrt(np.maximum(around**2 - x**2, 36.0)) * VERTEBRA_HALF_DEPTH_MM / SPINE_RADIUS_MM - 2
    behind_heart = _heart_back_mm(anatomy, x, heights_mm) + radius_mm + 1.5
    y = np.minimum(np.maximum(y, behind_heart), spine + 6)
    beside = np.sqrt(np.maximum(around**2 - ((spine - y) * SPINE_RADIUS_MM / VERTEBRA_HALF_DEPTH_MM) ** 2, 0))
    return np.stack([np.maximum(x, beside), y, heights_mm], axis=1)


def _heart_back_mm(anatomy: Anatomy, x_mm: Float64Array, heights_mm: Float64Array) -> Float64Array:
    """Return y of the heart's back surface at some places, far in front where there is no heart."""
    front = anatomy.frame.center_mm[1]
    y = np.arange(front, front + 90, 3.0)
    points = np.stack(np.broadcast_arrays(x_mm[:, None], y[None, :], heights_mm[:, None]), axis=-1).reshape(-1, 3)
    reference = anatomy.frame.to_reference(reference_points(points))
    _, sac = heart_distances_mm(reference, fat_mm=anatomy.person.epicardial_fat_mm)
    inside = sac.reshape(len(x_mm), len(y)) < 0
    back: Float64Array = np.where(inside, y[None, :], front - 500.0).max(axis=1)
    return back


def _branches(anatomy: Anatomy, aorta: Curve, cava: Curve) -> dict[str, Curve]:
    """Return the vessels between the arch and the neck and arms."""
    n = len(AORTA.points_mm)
    first, second, third = aorta[0][n], aorta[0][n + 1], aorta[0][n + 2]
    vein, depth = cava[0][-1], anatomy.person.chest_half_depth_mm
    neck = max(float(second[2]), float(vein[2])) + 70
    reach = SUBCLAVIAN_REACH_MM
    spine = anatomy.spine_mm
    lines: dict[str, tuple[list[list[float]], list[float]]] = {
        "brachiocephalic_trunk": (
            [[*second], [second[0] - 10, second[1] - 2, second[2] + 30], [-16, second[1] + 4, neck - 12],
             [-24, second[1] + 8, neck + 30], [-26, second[1] + 8, neck + 120]], [7, 6.5, 6, 4, 3.5]),
        "left_carotid": (
            [[0.5 * (second[0] + third[0]), 0.5 * (second[1] + third[1]), second[2]], [13, third[1] - 10, neck - 30],
             [20, third[1] - 8, neck + 20], [26, third[1] - 6, neck + 120]], [4.5, 4, 3.6, 3.4]),
        "left_subclavian": (
            [[*third], [24, third[1] - 2, neck - 30], [32, third[1] - 6, neck + 6], [60, 0.2 * spine, neck + 22],
             [reach, 0.1 * spine, neck - 5]], [6, 5.2, 5, 4.5, 4]),
        "right_brachiocephalic_vein": (
            [[*vein], [vein[0] - 2, vein[1] - 2, neck - 26], [-29, first[1] - 4, neck + 2],
             [-68, -0.25 * depth, neck + 14], [-reach, -0.1 * depth, neck - 12]], [8.5, 7.5, 7, 5.5, 5]),
        "left_brachiocephalic_vein": (
            [[*vein], [first[0] - 2, first[1] - 20, vein[2] + 14], [24, second[1] - 18, neck - 22],
             [44, first[1] - 4, neck + 6], [80, -0.25 * depth, neck + 10], [reach, -0.1 * depth, neck - 12]],
            [7.5, 6.5, 6.5, 6.5, 5.5, 5]),
    }  # fmt: skip
    return {name: (np.array(points, dtype=np.float64), np.array(radii)) for name, (points, radii) in lines.items()}


def great_vessel_curve(anatomy: Anatomy, name: str) -> Curve:
    """Return one vessel's centre line (model mm, 2 mm apart) and its radius at each point."""
    return _course(anatomy, name, _great_vessels(anatomy)[name])


def _course(anatomy: Anatomy, name: str, vessel: Curve) -> Curve:
    curve = _smooth(*vessel)
    return _around_windpipe(anatomy, curve) if name == "aorta" else curve


def venous_line_curve(anatomy: Anatomy) -> Curve:
    """Return where a central venous line lies (model mm, 2 mm apart) and its radius at each point.

    From the right subclavian vein through the superior vena cava to where that enters the right atrium.
    """
    vessels = _great_vessels(anatomy)
    arm, cava = vessels["right_brachiocephalic_vein"][0][::-1], vessels["cava_superior"][0][::-1]
    curve = smooth_curve(np.vstack([arm, cava[1:]]), step_mm=2.0)
    return curve, np.full(len(curve), CATHETER_RADIUS_MM)


def _smooth(points_mm: Float64Array, radii_mm: Float64Array) -> Curve:
    curve = smooth_curve(points_mm, step_mm=2.0)
    where = np.linspace(0, len(points_mm) - 1, len(curve))
    return curve, np.interp(where, np.arange(len(points_mm)), radii_mm)


def _gullet(anatomy: Anatomy, aorta: Curve) -> Curve:
    """Return the oesophagus: behind windpipe and left atrium, crossing before the aorta to the hiatus."""
    heights = np.arange(-130.0, 300.0, 18.0)
    down = aorta[0][len(AORTA.points_mm) + 4 :]
    aorta_x, aorta_y = (np.interp(heights, down[::-1, 2], down[::-1, k]) for k in (0, 1))
    low = np.clip((anatomy.frame.center_mm[2] - heights) / 70, 0, 1)
    high = np.clip((heights - down[0, 2]) / 30, 0, 1)
    x = (aorta_x - 15) * (1 - low) + (aorta_x + 4) * low
    y = np.minimum(aorta_y - 9 - 10 * low, anatomy.spine_y_mm(heights) - VERTEBRA_HALF_DEPTH_MM - 8)
    x = np.clip(x, -6, 22) * (1 - high) + 5 * high
    y = y * (1 - high) + (anatomy.spine_y_mm(heights) - VERTEBRA_HALF_DEPTH_MM - 8) * high
    y = np.maximum(y, _heart_back_mm(anatomy, x, heights) + 5)
    return np.stack([x, y, heights], axis=1), np.full(len(heights), 7.0)


def _azygos(anatomy: Anatomy, cava: Curve) -> Curve:
    """Return the azygos vein: up the right front of the spine, then forward over the right bronchus into the cava."""
    top = float(airway_curves(anatomy)[0][0][-1, 2]) + 8
    heights = np.arange(-200.0, top - 8, 20.0)
    up = np.stack([np.full(len(heights), -8.0), anatomy.spine_y_mm(heights) - VERTEBRA_HALF_DEPTH_MM - 4.5, heights], 1)
    end = cava[0][2]
    arch = np.array([[-14, up[-1, 1] - 8, top], [0.5 * (end[0] - 20), 0.5 * (up[-1, 1] + end[1]), top + 3], end])
    return np.vstack([up, arch]), np.array([*np.full(len(up), 3.6), 4.2, 4.6, 4.8])


def _soft_curves(thorax: Thorax) -> dict[str, Curve]:
    """Return every tube between the lungs by name, in model mm."""
    raw = _great_vessels(thorax)
    vessels = {name: _course(thorax, name, vessel) for name, vessel in raw.items()}
    vessels["gullet"] = _smooth(*_gullet(thorax, raw["aorta"]))
    vessels["azygos"] = _smooth(*_azygos(thorax, raw["cava_superior"]))
    return vessels


def paint_mediastinum(thorax: Thorax, cavity: Float32Array, heart: HeartField) -> None:
    """Fill the space between the lungs with fat.

    Parameters
    ----------
    thorax : Thorax
        Painted up to lungs and their vessels.
    cavity : ndarray of float32, the canvas's shape
        Distance to the rib cage's inner surface, mm, negative inside.
    heart : HeartField
        Around which the fat lies.
    """
    canvas, person = thorax.canvas, thorax.person
    reach = 1.1 * max(95.0 * max(person.heart_scale_xyz), 0.8 * person.chest_half_width_mm)
    box = canvas.box(np.array([-reach + 15, -500, -300]), np.array([reach + 15, 500, 500]), margin_mm=0.0)
    if box is None:
        return
    box = _whole_steps(box, coarse_steps(canvas))
    inside = cavity[box]
    fat = _fat_surface(thorax, box, inside, heart)
    fat = np.maximum(fat, inside)
    hu = FAT_HU + thorax.texture(box, sd=7)
    canvas.paint(box, fat, hu)


def _whole_steps(box: Box, steps: tuple[int, int, int]) -> Box:
    """Return the box begun at whole steps of the canvas, so that coarse fields of different boxes meet."""
    first = [part.start - part.start % step for part, step in zip(box, steps, strict=True)]
    return (slice(first[0], box[0].stop), slice(first[1], box[1].stop), slice(first[2], box[2].stop))


def _fat_surface(thorax: Thorax, box: Box, inside: Float32Array, heart: HeartField) -> Float32Array:
    """Return the distance to the mediastinum's surface, mm; the abdomen belongs to it and is painted over it."""
    canvas, person = thorax.canvas, thorax.person
    steps = coarse_steps(canvas)
    skip = (slice(None, None, steps[0]), slice(None, None, steps[1]), slice(None, None, steps[2]))
    x, y, z = (np.ascontiguousarray(axis[skip]) for axis in canvas.model_coordinates(box))
    cavity = np.ascontiguousarray(inside[skip])
    lean, rich = COAT_MM
    corner = np.float32(CORNER_MM[0] + CORNER_MM[1] * person.visceral_fat)
    weight = _weights_of_tubes(thorax, box, skip, corner)
    bodies = [_sac_on(box, heart, canvas.hu.shape)[skip], *_solid_bodies(thorax, (x, y, z))]
    for distance in bodies:
        weight += np.exp(np.clip(-distance / corner, -30, 12))
    fat = -corner * np.log(np.maximum(weight, np.float32(1e-12))) - np.float32(lean + rich * person.visceral_fat)
    forward = np.clip(-y / np.float32(person.chest_half_depth_mm), 0, 1)
    at_wall = (4 + 7 * np.float32(person.visceral_fat) * forward).astype(np.float32)
    fat = smooth_union(fat, -cavity, blend_mm=at_wall)
    abdomen = abdomen_distance_mm(thorax, (x, y, z), cavity)
    pads = (6 + 15 * np.float32(person.visceral_fat) * (0.25 + forward)).astype(np.float32)
    fat = smooth_union(fat, abdomen, blend_mm=pads)
    return refined(fat, steps=steps, shape=inside.shape)


def _sac_on(box: Box, heart: HeartField, shape: tuple[int, ...]) -> Float32Array:
    """Return the distance to the heart's sac over a box, far away beyond the heart's own box."""
    whole = np.full(shape, 99.0, dtype=np.float32)
    whole[heart.box] = heart.sac_mm
    return whole[box]


def _weights_of_tubes(thorax: Thorax, box: Box, skip: Box, corner: np.float32) -> Float32Array:
    """Return the sum over vessels and airways of exp(-distance / corner) on the coarse grid of a box."""
    canvas = thorax.canvas
    axes = tuple(axis[part][step] for axis, part, step in zip(canvas.axes_mm_zyx, box, skip, strict=True))
    coarse = Canvas((axes[0], axes[1], axes[2]), canvas.warped_xyz, slack_mm=0.0)
    weight = np.zeros_like(coarse.hu)
    for points, radii in _tubes(thorax):
        curve = thorax.patient_points(points)
        stride = max(1, int(radii.min() / 2.5))
        curve, radii = np.vstack([curve[:-1:stride], curve[-1:]]), np.append(radii[:-1:stride], radii[-1])
        _add_weight(coarse, weight, curve, radii, corner)
    return weight


def _add_weight(
    coarse: Canvas, weight: Float32Array, curve: Float64Array, radii: Float64Array, corner: np.float32
) -> None:
    """Add one tube's exp(-distance / corner) in place."""
    margin = float(7 * corner)
    around = coarse.box(*tube(curve.tolist(), radii.tolist()).reach_mm(), margin_mm=margin)
    if around is None:
        return
    own = np.zeros_like(weight[around])
    for k in range(len(curve) - 1):
        piece = tube(curve[k : k + 2].tolist(), radii[k : k + 2].tolist())
        box = coarse.box(*piece.reach_mm(), margin_mm=margin)
        if box is not None:
            near = np.exp(-np.maximum(piece.distance_mm(coarse.patient_coordinates(box)), -12 * corner) / corner)
            part = own[_within(around, box)]
            np.maximum(part, near, out=part)
    weight[around] += own


def _within(outer: Box, inner: Box) -> Box:
    """Return a box in the indices of another that holds it."""
    z, y, x = (slice(i.start - o.start, i.stop - o.start) for i, o in zip(inner, outer, strict=True))
    return z, y, x


def _tubes(thorax: Thorax) -> Iterator[Curve]:
    for name, curve in _soft_curves(thorax).items():
        if "subclavian" not in name:
            yield curve
    for points, radii in airway_curves(thorax)[:3]:
        near = np.abs(points[:, 0]) < 40
        yield points[near], radii[near] + 1.5


def _solid_bodies(thorax: Thorax, xyz: Coordinates) -> Iterator[Float32Array]:
    """Yield the distances to the spine's front, the wall before it and the fat behind the breast bone."""
    person = thorax.person
    x, y, z = xyz
    spine = thorax.spine_y_mm(z.astype(np.float64)).astype(np.float32)
    yield np.hypot(x, (y - spine) * np.float32(SPINE_RADIUS_MM / VERTEBRA_HALF_DEPTH_MM)) - np.float32(SPINE_RADIUS_MM)
    yield _before_spine(thorax, xyz)
    yield LEFT_ATRIUM_ROOF.distance_mm(thorax.frame.to_reference(xyz))
    yield _above_arch(thorax).distance_mm(xyz)
    front = np.float32(-person.chest_half_depth_mm)
    root = thorax.frame.from_reference(AORTA.points_mm)
    back = np.interp(z, root[:, 2], root[:, 1]).astype(np.float32)
    middle = np.interp(z, root[:, 2], root[:, 0] + [12, 12, 13, 13, 12, 10]).astype(np.float32)
    deep = np.clip((y - front) / np.maximum(back - front, 10), 0, 1)
    half = 0.6 + person.visceral_fat + (5 + 5 * np.float32(person.visceral_fat)) * deep**1.5
    slope = middle * deep + 2 * (1 - deep)
    plate = np.maximum(np.abs(x - slope) - half, y - back)
    yield np.maximum(plate, np.maximum(np.float32(thorax.frame.center_mm[2]) - z, z - np.float32(root[-1, 2] + 60)))


def _above_arch(thorax: Thorax) -> Tube:
    """Return the room that the vessels to head and arms share with the windpipe, without lung between them."""
    arch = thorax.frame.from_reference(AORTA.points_mm)[-1]
    windpipe = airway_curves(thorax)[0][0]
    behind = float(np.interp(arch[2] + 40, np.sort(windpipe[:, 2]), windpipe[np.argsort(windpipe[:, 2]), 1]))
    y = 0.5 * (behind + float(arch[1]))
    wide = 0.35 * (behind - float(arch[1])) + np.array([4.0, 10.0, 14.0])
    return tube([(4, y, arch[2] + 34), (-2, y, arch[2] + 75), (0, y, arch[2] + 150)], wide.tolist())


def _before_spine(thorax: Thorax, xyz: Coordinates) -> Float32Array:
    """Return the distance to the thin wall between the lungs that ties heart and windpipe to oesophagus and spine."""
    x, y, z = xyz
    points, _ = _gullet(thorax, _great_vessels(thorax)["aorta"])
    middle, back = (np.interp(z, points[:, 2], points[:, k]).astype(np.float32) for k in (0, 1))
    top = np.float32(thorax.frame.from_reference(AORTA.points_mm)[-1, 2])
    # under the windpipe's fork the wall widens to hold lymph nodes
    fork = np.float32(airway_curves(thorax)[0][0][-1, 2] - 16)
    half = 2.0 + 1.5 * np.float32(thorax.person.visceral_fat) + 11 * np.exp(-(((z - fork) / 22) ** 2))
    wall = np.maximum(np.abs(x - middle) - half, np.maximum(y - back - 4, np.float32(thorax.frame.center_mm[1]) - y))
    between: Float32Array = np.maximum(wall, z - top).astype(np.float32)
    return between


def paint_great_vessels(thorax: Thorax, rng: np.random.Generator) -> None:
    """Paint aorta, pulmonary vessels, caval and azygos veins, oesophagus, nodes and the vessels to head and arms."""
    person, canvas = thorax.person, thorax.canvas
    curves = _soft_curves(thorax)
    gullet, gullet_radii = curves.pop("gullet")
    for points, radii in curves.values():
        stride = max(1, int(radii.min() / 3))
        canvas.paint_curve(thorax.patient_points(points)[::stride], radii[::stride], person.blood_hu)
    _paint_nodes(thorax, rng)
    air = rng.random() < 0.35
    width = gullet_radii * rng.uniform(0.8, 1.2)
    bent = thorax.patient_points(gullet)[::3]
    canvas.paint_curve(bent, width[::3], 40.0)
    if air:
        _paint_air(thorax, bent, rng)
    if person.has_hiatus_hernia:
        _paint_hernia(thorax, gullet, rng)


def _paint_nodes(thorax: Thorax, rng: np.random.Generator) -> None:
    """Paint lymph nodes beside the large airways."""
    curves = airway_curves(thorax)
    for _ in range(int(rng.poisson(NODE_COUNT))):
        points, radii = curves[int(rng.integers(0, min(3, len(curves))))]
        k = int(rng.integers(len(points) // 3, len(points)))
        away = rng.normal(0, 1, 3)
        away /= np.linalg.norm(away)
        center = points[k] + away * (radii[k] + rng.uniform(4, 8))
        line = thorax.patient_points(np.stack([center, center + rng.normal(0, 2.5, 3)]))
        thorax.canvas.paint_curve(line, np.full(2, rng.uniform(2.0, 4.5)), 38.0)


def _paint_air(thorax: Thorax, bent: Float64Array, rng: np.random.Generator) -> None:
    """Paint some air into the oesophagus."""
    for _ in range(int(rng.integers(1, 4))):
        first = int(rng.integers(0, len(bent) - 2))
        piece = bent[first : first + int(rng.integers(2, 7))] + np.array([0.0, -1.5, 0.0])
        thorax.canvas.paint_curve(piece, np.full(len(piece), rng.uniform(1.2, 3.5)), -850.0)


def _paint_hernia(thorax: Thorax, gullet: Float64Array, rng: np.random.Generator) -> None:
    """Paint a part of the stomach that slid up through the hiatus, behind the heart."""
    low = thorax.frame.center_mm[2] - 45
    part = gullet[(gullet[:, 2] > low - 30) & (gullet[:, 2] < low + rng.uniform(5, 30))]
    if len(part) < 2:
        return
    radius = rng.uniform(11, 19)
    bent = thorax.patient_points(part)[::3]
    thorax.canvas.paint_curve(bent, np.full(len(bent), radius), 40.0)
    content = float(rng.choice([-700.0, 20.0, 35.0]))
    thorax.canvas.paint_curve(bent, np.full(len(bent), radius - 4), content)
