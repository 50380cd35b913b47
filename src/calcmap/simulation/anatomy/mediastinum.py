"""Great vessels, oesophagus and the fat between the lungs."""

from __future__ import annotations

import numpy as np

from calcmap.core.volume import Float32Array, Float64Array
from calcmap.simulation.anatomy.abdomen import abdomen_distance_mm
from calcmap.simulation.anatomy.cardiac import HeartField
from calcmap.simulation.anatomy.heart import (
    AORTA,
    CAVA_INFERIOR,
    CAVA_SUPERIOR,
    LEFT_PULMONARY_ARTERY,
    PULMONARY_VEINS,
    RIGHT_PULMONARY_ARTERY,
)
from calcmap.simulation.anatomy.shapes import Body, ellipsoid, smooth_curve, smooth_union, tube
from calcmap.simulation.anatomy.thorax import FAT_HU, Anatomy, Thorax, heart_floor_mm


def _great_vessels(anatomy: Anatomy) -> dict[str, tuple[Float64Array, Float64Array]]:
    """Return curves (model mm) and radii of the vessels around the heart."""
    frame, person = anatomy.frame, anatomy.person
    calibre = 1 + 0.004 * (person.age_years - 60)
    scale = float(np.mean(person.heart_scale_xyz))
    vessels: dict[str, tuple[Float64Array, Float64Array]] = {}
    for name, body in (
        ("right_pulmonary_artery", RIGHT_PULMONARY_ARTERY), ("left_pulmonary_artery", LEFT_PULMONARY_ARTERY),
        ("cava_superior", CAVA_SUPERIOR), ("cava_inferior", CAVA_INFERIOR),
        *((f"pulmonary_vein_{k}", vein) for k, vein in enumerate(PULMONARY_VEINS)),
    ):  # fmt: skip
        vessels[name] = (frame.from_reference(body.points_mm), body.radii_mm * scale)
    vessels["aorta"] = _aorta(anatomy, calibre=calibre * scale)
    return vessels


def _aorta(anatomy: Anatomy, *, calibre: float) -> tuple[Float64Array, Float64Array]:
    """Return the aorta's centre line from its root over the arch and down the spine."""
    root = anatomy.frame.from_reference(AORTA.points_mm)
    top = root[-1]
    spine = anatomy.spine_mm
    arch = np.array([
        [top[0] + 4, top[1] + 8, top[2] + 16],
        [top[0] + 20, 0.5 * (top[1] + spine - 22), top[2] + 24],
        [24.0, spine - 24, top[2] + 14],
    ])  # fmt: skip
    heights = np.arange(top[2] - 12, -420, -25)
    fall = np.clip((top[2] - heights) / 160, 0, 1)
    beside = 26 - 22 * fall
    down = np.stack([beside, anatomy.spine_y_mm(heights) - 20 - 13 * fall, heights], axis=1)
    radii = [*(AORTA.radii_mm * calibre), 15 * calibre, 14 * calibre, 13.5 * calibre]
    radii += list(np.linspace(12.8, 10.8, len(down)) * calibre)
    return np.vstack([root, arch, down]), np.asarray(radii)


def great_vessel_curve(anatomy: Anatomy, name: str) -> tuple[Float64Array, Float64Array]:
    """Return one vessel's centre line (model mm, 2 mm apart) and its radius at each point."""
    points, radii = _great_vessels(anatomy)[name]
    curve = smooth_curve(points, step_mm=2.0)
    where = np.linspace(0, len(points) - 1, len(curve))
    return curve, np.interp(where, np.arange(len(points)), radii)


def paint_mediastinum(thorax: Thorax, cavity: Float32Array, heart: HeartField) -> None:
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
        fat = np.where(abdomen_distance_mm(thorax, xyz, cavity[plane]) < 0, np.float32(99), fat)
        canvas.paint(plane, np.maximum(fat, cavity[plane]), FAT_HU + thorax.texture(plane, sd=7))


def _mediastinal_bodies(thorax: Thorax) -> tuple[Body, ...]:
    """Return what pushes the lungs apart besides the heart: before the spine, behind the sternum, above the heart."""
    person = thorax.person
    spine, front = thorax.spine_mm, -person.chest_half_depth_mm
    heart_x, heart_y, _ = person.heart_center_mm
    floor = heart_floor_mm(person)
    return (
        tube([(8, spine - 22, -300), (10, spine - 20, 20), (4, spine - 18, 400)], (19, 17, 24)),
        ellipsoid((6, 0.5 * (heart_y + 42 + spine), 5), (9, 0.5 * (spine - heart_y - 42) + 22, 62)),
        tube([(0, front - 4, -20), (0, front - 4, 400)], (13, 15)),
        tube([(-4, heart_y - 30, 62), (0, -8, 95), (0, 0, 400)], (24, 34, 42)),
        tube([(0, front, 55), (-6, heart_y - 20, 60)], (8, 20)),
        ellipsoid((heart_x - 34, front + 16, floor + 8), (22, 18, 20)),
        ellipsoid((heart_x + 52, front + 26, floor + 6), (18, 16, 16)),
    )


def paint_great_vessels(thorax: Thorax, rng: np.random.Generator) -> None:
    """Paint aorta, pulmonary vessels, caval and azygos veins, oesophagus and the vessels to head and arms."""
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
