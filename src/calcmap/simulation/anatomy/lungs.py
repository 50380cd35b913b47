"""Lung tissue, fissures, airways and what age and smoke leave behind."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from calcmap.core.volume import Float32Array, Float64Array
from calcmap.simulation.anatomy.cage import RibCage
from calcmap.simulation.anatomy.heart import LEFT_PULMONARY_ARTERY, RIGHT_PULMONARY_ARTERY
from calcmap.simulation.anatomy.shapes import Box, smooth_curve
from calcmap.simulation.anatomy.thorax import TILE, Anatomy, Thorax, heart_floor_mm

FRONT_TO_BACK_HU = 32.0
"""Half the rise of the density from front to back, lying down (our choice within what is published)."""
BETWEEN_VESSELS_HU = 22.0
"""How much less dense the tissue between the painted vessels is than the lung as a whole."""
EMPHYSEMA_SHARE = 0.18
EMPHYSEMA_HU = -965.0
FISSURE_HU = 110.0
"""What a fissure adds where it lies square to the slice (our choice, by eye)."""
UPPER_BRANCH_SHARE = 0.6
"""Of the pulmonary arteries' length, to where the upper lobe's branch leaves (our choice)."""
AIRWAY_WALL_HU = 10.0
AIRWAY_AIR_HU = -975.0


@dataclass(frozen=True)
class Fissures:
    """The oblique fissures rise to the back as ``z = height + slope * y``; the right lung has a level one as well."""

    height_mm: tuple[float, float]
    """Right, left."""
    slope: float
    level_mm: float

    def oblique_mm(self, x: Float32Array, y: Float32Array) -> Float32Array:
        """Return the height of the oblique fissure of the lung on x's side."""
        right, left = (np.float32(h) for h in self.height_mm)
        bowl = (np.abs(x) - np.float32(70)) ** 2 * np.float32(0.002)
        height: Float32Array = np.where(x < 0, right, left) + np.float32(self.slope) * y - bowl
        return height


@dataclass(frozen=True)
class Lungs:
    """One patient's lung tissue."""

    fissures: Fissures
    mottle_zyx: Float32Array
    """Periodic noise of SD 1 with patches of about a centimetre."""
    tile_places: NDArray[np.intp]
    """Of each voxel of a slice in a slice of the periodic noise."""
    mottle_hu: float
    emphysema: float
    """0 none, 1 severe."""
    dependent_hu: float
    """Added just inside the rear pleura."""


def draw_lungs(thorax: Thorax) -> Lungs:
    """Return a thorax's lung tissue."""
    rng, person = thorax.stream("lungs"), thorax.person
    mottle = ndimage.gaussian_filter(thorax.tile_zyx, 2.2, mode="wrap")
    age = float(np.clip((person.age_years - 40) / 45, 0, 1))
    right = float(rng.normal(10, 8))
    return Lungs(
        fissures=Fissures((right, right + float(rng.normal(3, 5))), float(rng.uniform(0.75, 1.05)),
                          float(rng.normal(32, 7))),
        mottle_zyx=(mottle / mottle.std()).astype(np.float32),
        tile_places=tile_places(thorax),
        mottle_hu=float(rng.uniform(5, 12)),
        emphysema=float(rng.uniform(0.2, 1.0)) * age if rng.random() < EMPHYSEMA_SHARE else 0.06 * age,
        dependent_hu=float(rng.gamma(1.5, 45)),
    )  # fmt: skip


def paint_lungs(thorax: Thorax, lungs: Lungs, cage: RibCage, plane: Box, cavity: Float32Array) -> None:
    """Paint the lungs' tissue in one slice."""
    canvas = thorax.canvas
    height = float(canvas.axes_mm_zyx[0][plane[0]][0])
    view, inner = canvas.hu[plane], np.flatnonzero(cavity < canvas.step_mm)
    if len(inner) == 0:
        return
    x, y, z = (axis.ravel()[inner] for axis in canvas.model_coordinates(plane))
    steps = np.arange(0, 200, 0.5)
    edge = cage.edge_mm(steps, height).astype(np.float32)
    behind = edge[np.minimum(np.abs(x) * 2, len(edge) - 1).astype(np.int32)] - y
    outside = np.maximum(cavity.ravel()[inner] + np.float32(1.0), behind * np.float32(-0.75))
    hu = _tissue_hu(thorax, lungs, plane, inner, (x, y, z), behind)
    flat = view.ravel()
    flat[inner] += canvas.coverage(outside) * (hu - flat[inner])
    canvas.hu[plane] = flat.reshape(view.shape)


def _tissue_hu(
    thorax: Thorax,
    lungs: Lungs,
    plane: Box,
    inner: NDArray[np.intp],
    xyz: tuple[Float32Array, Float32Array, Float32Array],
    behind: Float32Array,
) -> Float32Array:
    """Return the HU of lung voxels, given by their place in a slice."""  # fmt: skip
    person = thorax.person
    x, y, z = xyz
    k = range(len(thorax.canvas.hu))[plane[0]][0] % TILE
    places = lungs.tile_places[inner]
    mottle, grain = lungs.mottle_zyx[k].ravel()[places], thorax.tile_zyx[k].ravel()[places]
    slope = np.clip(y / np.float32(person.chest_half_depth_mm), -1, 1)
    hu = (
        np.float32(person.lung_hu - BETWEEN_VESSELS_HU)
        + FRONT_TO_BACK_HU * slope
        + 10 * grain
        + lungs.mottle_hu * mottle
    )
    hu = hu - np.clip(z, -80, 160) * np.float32(0.08)
    hu += lungs.dependent_hu * np.clip(1 - behind / np.float32(14), 0, 1) ** 2
    if lungs.emphysema > 0:
        upper = np.clip((z + 90) / 200, 0.15, 1) * np.float32(lungs.emphysema)
        hole = np.clip(mottle + np.float32(2.2) * upper - np.float32(1.9), 0, 1)
        hu += hole * (EMPHYSEMA_HU - hu)
    hu += _fissure_hu(lungs.fissures, x, y, z)
    tissue: Float32Array = hu.astype(np.float32)
    return tissue


def tile_places(thorax: Thorax) -> NDArray[np.intp]:
    """Return where each voxel of a flattened slice falls in a flattened slice of the periodic texture tile."""
    _, rows, columns = (np.arange(n) % TILE for n in thorax.canvas.hu.shape)
    return np.add.outer(rows * TILE, columns).ravel()


def _fissure_hu(fissures: Fissures, x: Float32Array, y: Float32Array, z: Float32Array) -> Float32Array:
    above = z - fissures.oblique_mm(x, y)
    sheet = np.clip(1.3 - np.abs(above) * np.float32(1 / np.hypot(1, fissures.slope)), 0, 1)
    level = z - np.float32(fissures.level_mm) - np.float32(0.12) * (x + 70)
    right = np.clip(1.1 - np.abs(level), 0, 1) * ((x < 0) & (above > 0))
    added: Float32Array = (np.float32(FISSURE_HU) * np.maximum(sheet, 0.8 * right)).astype(np.float32)
    return added


def airway_curves(anatomy: Anatomy) -> tuple[tuple[Float64Array, Float64Array], ...]:
    """Return curves (model mm) and radii of trachea and large bronchi."""
    scale = anatomy.person.heart_scale_xyz
    carina = np.array([0.0, anatomy.spine_mm - 34, 66 * scale[2]])
    y = carina[1]
    heights = np.array([260.0, carina[2] + 70])
    before = anatomy.spine_y_mm(heights) - 32
    trachea = np.array([[0, before[0], heights[0]], [1, before[1], heights[1]], carina])
    # the lower lobes' bronchi run on the inner and rear side of the arteries
    (_, right_low), (_, left_low) = (_hilar(anatomy, name) for name in ("right", "left"))
    right_mid, left_mid = (0.5 * (np.array([side * 30, y + 5, carina[2] - 24]) + low)
                           for side, low in ((-1, right_low), (1, left_low)))  # fmt: skip
    right = np.array([carina, [-18, y + 3, carina[2] - 15], right_mid, right_low + np.array([9, 6, 0])])
    left = np.array([carina, [20, y + 4, carina[2] - 14], left_mid, left_low + np.array([-9, 6, 0])])
    upper = np.array([right[1] + (-6, 0, -3), _hilar(anatomy, "right")[0] + (-4, 6, 8)])
    upper = np.vstack([upper, upper[-1] + (-18, -4, 14)])
    left_upper = np.array([left[2], left[2] + (14, -12, 0), left[2] + (30, -20, 10)])
    lines = (
        (trachea, (8.5, 8.5)),
        (right, (7, 3.2)),
        (left, (6.5, 3.2)),
        (upper, (4.5, 2.5)),
        (left_upper, (4.2, 2.4)),
    )
    curves = []
    for points, (start, end) in lines:
        curve = smooth_curve(points.astype(np.float64), step_mm=6.0)
        curves.append((curve, np.linspace(start, end, len(curve))))
    return tuple(curves)


def _hilar(anatomy: Anatomy, side: str) -> tuple[Float64Array, Float64Array]:
    """Return where a lung's artery gives its upper branch, and where it ends."""
    artery = RIGHT_PULMONARY_ARTERY if side == "right" else LEFT_PULMONARY_ARTERY
    points = anatomy.frame.from_reference(artery.points_mm)
    return points[int(UPPER_BRANCH_SHARE * (len(points) - 1))], points[-1]


def paint_airways(thorax: Thorax) -> None:
    """Paint trachea and large bronchi: all walls first, so that air runs on through the branchings."""
    bent = [(thorax.patient_points(curve), radii) for curve, radii in airway_curves(thorax)]
    for curve, radii in bent:
        thorax.canvas.paint_curve(curve, radii + 1.2, AIRWAY_WALL_HU)
    for curve, radii in bent:
        thorax.canvas.paint_curve(curve, radii, AIRWAY_AIR_HU)


def paint_scars(thorax: Thorax, cage: RibCage) -> None:
    """Paint scars and plates of collapsed lung: thin strands above the diaphragm and at the tops."""
    rng, person = thorax.stream("scars"), thorax.person
    floor = heart_floor_mm(person)
    for _ in range(int(rng.poisson(person.age_years / 30))):
        is_low = rng.random() < 0.7
        z = floor + rng.uniform(0, 30) if is_low else cage.cupola_mm - rng.uniform(15, 50)
        side, angle = rng.choice((-1, 1)), rng.uniform(0.3, 2.6)
        start = cage.points(np.array([side * angle]), np.array([z]), outside_mm=-float(rng.uniform(2, 25)))[0]
        along = np.array([-start[0], -start[1], 0]) / max(np.hypot(start[0], start[1]), 1.0)
        along = along + rng.normal(0, 0.5, 3) * [1, 1, 0.3]
        line = start + np.linspace(0, rng.uniform(12, 45), 5)[:, None] * along + rng.normal(0, 1.2, (5, 3))
        thorax.canvas.paint_curve(
            thorax.patient_points(line), np.linspace(rng.uniform(0.7, 1.6), 0.4, 5), float(rng.uniform(-350, 10)),
            flattening=float(rng.uniform(0.8, 1.6)),
        )  # fmt: skip
