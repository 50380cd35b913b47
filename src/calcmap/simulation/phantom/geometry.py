"""What the phantom is made of and where: nine calcifications, two calibration rods, thorax and extension ring.

Coordinates are those of a patient lying on the back (x to the left, y to the back, z to the head; mm), with the origin
in the middle of the 100 mm heart insert, at the height of the calcifications.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from functools import lru_cache

import numpy as np
from scipy import special

from calcmap.core.volume import Float64Array
from calcmap.simulation.calcium.deposits import PART_MM, Deposit, Tissue
from calcmap.simulation.calcium.rendering import FINE_Z_MM

DENSITY_FACTORS = {800: 1.03, 400: 0.99, 200: 1.1}
"""What inserts add over what their nominal density would, judged by the 200 mg/cm3 rod: chosen so that the published
scores of four scanners come out. One real scan gave 1.09, 1.05 and 1.11 in the middle of the large inserts and 1.07,
1.14 and 1.14 by a template of the large and medium ones (error about 0.04): what is chosen is low, most for 400."""
VOLUME_FACTORS = {5: 1.0, 3: 1.0, 1: 1.3}
"""What inserts of each diameter hold over their nominal volume. With 1, simulated inserts of 1 mm are fainter than four
scanners show them; a template fitted to those of one real scan gave 1.43 (error 0.19), and 1.3 fits the published
scores: a cylinder of 1.09 mm."""
TISSUE_ABOVE_WATER_HU = 40.0
"""Soft tissue of the heart insert over the water rod: 36 to 43 HU along a real scan."""
RINGS_MM = {5: 37.0, 3: 25.0, 1: 12.5}
"""Distance of the inserts of each diameter from the middle: 37.1, 24.8 and 13.1 mm on a real scan."""
ANGLES_DEG = {800: 178.0, 400: 298.0, 200: 58.0}
"""Direction of the inserts of each density, from the patient's left towards the back: as on a real scan."""
HEIGHTS_MM = {
    (5, 800): -0.22, (5, 400): -0.80, (5, 200): -0.56, (3, 800): 0.12, (3, 400): -0.11, (3, 200): 0.10,
}  # fmt: skip
"""Height of inserts, by diameter and density: centres of mass on a real scan; those of 1 mm are too faint."""
PARTS_PER_CELL = 3
"""Of an insert, along one axis, in a cell of the lattice that deposits are rendered on: even filling, no moire."""
BODY_Z_MM = (-44.0, 48.0)
"""Lowest and highest point of the thorax, as on a real scan."""
HEART_RADIUS_MM = 50.0
HEART_WALL_MM = 54.0
ROD_Z_MM = (25.0, 48.0)
ROD_RADIUS_MM = 10.0
CALCIUM_ROD_MM = (0.5, 0.5)
WATER_ROD_MM = (-9.0, -17.5)
ROD_DENSITY_MG_CM3 = 200.0
BODY_CENTER_Y_MM = 20.0
BODY_RADII_MM = (150.0, 100.0)
"""Half width and half depth: 300 x 200 mm."""
RING_RADII_MM = (200.0, 150.0)
"""With the extension ring: 400 x 300 mm."""
LUNG_RADII_MM = (132.0, 82.0)
FRONT_HALF_WIDTH_MM = 22.0
FRONT_REACH_MM = 70.0
"""Soft tissue between breastbone and heart insert."""
BACK_HALF_WIDTH_MM = 9.0
"""Soft tissue between heart insert and spine."""
SPINE_CENTER_MM = (0.0, 71.0)
SPINE_RADIUS_MM = 17.5
CORTEX_MM = 3.0
PROCESS_Y_MM = 92.0
LUNG_HU = -800.0
RING_HU = -74.0
SPINE_HU = 147.0
CORTEX_HU = 440.0
AIR_HU = -1000.0
"""Lung, ring, spine: as measured on a real scan at 120 kVp."""


class PhantomSize(StrEnum):
    """With or without the extension ring."""

    SMALL = "small"
    LARGE = "large"


@dataclass(frozen=True)
class Insert:
    """One calcification: a cylinder along z, as long as wide."""

    diameter_mm: int
    density_mg_cm3: int
    """Hydroxyapatite."""
    center_mm: tuple[float, float, float]

    @property
    def name(self) -> str:
        """Diameter and density, as in ``5mm_800``."""
        return f"{self.diameter_mm}mm_{self.density_mg_cm3}"

    @property
    def volume_mm3(self) -> float:
        """Nominal volume."""
        return float(np.pi * self.diameter_mm**3 / 4)

    @property
    def mass_mg(self) -> float:
        """Nominal mass of hydroxyapatite."""
        return self.density_mg_cm3 * self.volume_mm3 / 1000


@dataclass(frozen=True)
class MaterialHu:
    """HU of the phantom's materials on one scanner at one tube voltage."""

    water_hu: float
    tissue_hu: float
    hu_per_mg_cm3: float

    def insert_contrast_hu(self, density_mg_cm3: int) -> float:
        """Return what an insert of a nominal density adds to soft tissue."""
        calcium = DENSITY_FACTORS[density_mg_cm3] * density_mg_cm3 * self.hu_per_mg_cm3
        return calcium + self.water_hu - self.tissue_hu

    @property
    def rod_hu(self) -> float:
        """HU of the 200 mg/cm3 calibration rod."""
        return self.water_hu + ROD_DENSITY_MG_CM3 * self.hu_per_mg_cm3


def _insert(diameter_mm: int, density_mg_cm3: int) -> Insert:
    angle = np.deg2rad(ANGLES_DEG[density_mg_cm3])
    x, y = RINGS_MM[diameter_mm] * np.cos(angle), RINGS_MM[diameter_mm] * np.sin(angle)
    height = HEIGHTS_MM.get((diameter_mm, density_mg_cm3), 0.0)
    return Insert(diameter_mm, density_mg_cm3, (float(x), float(y), height))


INSERTS = tuple(_insert(diameter, density) for diameter in (5, 3, 1) for density in (800, 400, 200))
"""The nine calcifications, the largest and densest first; nominal sizes of the manufacturer."""


def placed(
    inserts: tuple[Insert, ...], *, turn_rad: float, tilt_deg_xy: tuple[float, float] = (0.0, 0.0)
) -> tuple[Insert, ...]:
    """Return inserts of a phantom that is tilted and then turned about the z axis.

    The turn goes from the patient's left towards the back; the tilt is the rise of the phantom along x and along y.
    """
    cosine, sine = np.cos(turn_rad), np.sin(turn_rad)
    rise_x, rise_y = np.tan(np.deg2rad(tilt_deg_xy))
    moved = []
    for insert in inserts:
        x, y, z = insert.center_mm
        center = (cosine * x - sine * y, sine * x + cosine * y, z + rise_x * x + rise_y * y)
        moved.append(replace(insert, center_mm=(float(center[0]), float(center[1]), float(center[2]))))
    return tuple(moved)


def phantom_deposits(materials: MaterialHu, *, inserts: tuple[Insert, ...] = INSERTS) -> tuple[Deposit, ...]:
    """Return the calcifications as deposits, one an insert and in their order, named after them.

    Parameters
    ----------
    materials : MaterialHu
        At 120 kVp for deposits that a simulated scanner will scale to its own voltage.
    inserts : tuple of Insert
        Where they are.

    Returns
    -------
    tuple of Deposit
        At rest, of even density; each has the nominal volume of its cylinder times `VOLUME_FACTORS`.
    """
    return tuple(_deposit(insert, materials) for insert in inserts)


def body_plane_hu(
    y_mm: Float64Array, x_mm: Float64Array, *, size: PhantomSize, materials: MaterialHu, blur_mm: float, has_rods: bool
) -> Float64Array:
    """Return a cross-section of the phantom without calcifications, HU, shape (rows, columns).

    Edges are blurred as a Gaussian of SD ``blur_mm`` blurs a straight edge. The thin air gap round the heart insert of
    real phantoms is left out.
    """
    y, x = y_mm[:, None], x_mm[None, :]
    heart = np.hypot(x, y)
    spine = np.hypot(x - SPINE_CENTER_MM[0], y - SPINE_CENTER_MM[1])
    outer = RING_RADII_MM if size is PhantomSize.LARGE else BODY_RADII_MM
    layers: list[tuple[Float64Array, float]] = [
        (_ellipse_mm(x, y, outer), RING_HU),
        (_ellipse_mm(x, y, BODY_RADII_MM), materials.tissue_hu),
        (_ellipse_mm(x, y, LUNG_RADII_MM), LUNG_HU),
        (heart - HEART_WALL_MM, materials.tissue_hu),
        (np.maximum(np.abs(x) - FRONT_HALF_WIDTH_MM, np.maximum(y, -FRONT_REACH_MM - y)), materials.tissue_hu),
        (np.maximum(np.abs(x) - BACK_HALF_WIDTH_MM, np.maximum(-y, y - SPINE_CENTER_MM[1])), materials.tissue_hu),
        (np.maximum(np.abs(x) - 0.25 * SPINE_RADIUS_MM, np.abs(y - PROCESS_Y_MM - 8) - 14), CORTEX_HU),
        (np.maximum(np.abs(x) - 30.0, np.abs(y - PROCESS_Y_MM) - 4 + 0.1 * np.abs(x)), CORTEX_HU),
        (spine - SPINE_RADIUS_MM, CORTEX_HU),
        (spine - (SPINE_RADIUS_MM - CORTEX_MM), SPINE_HU),
    ]
    if has_rods:
        layers.append((np.hypot(x - WATER_ROD_MM[0], y - WATER_ROD_MM[1]) - ROD_RADIUS_MM, materials.water_hu))
        layers.append((np.hypot(x - CALCIUM_ROD_MM[0], y - CALCIUM_ROD_MM[1]) - ROD_RADIUS_MM, materials.rod_hu))
    hu = np.full((len(y_mm), len(x_mm)), AIR_HU)
    for distance_mm, inside_hu in layers:
        hu += special.ndtr(-distance_mm / blur_mm) * (inside_hu - hu)
    return hu


def share_in_slices(z_mm: Float64Array, *, extent_mm: tuple[float, float], thickness_mm: float) -> Float64Array:
    """Return the share of each slice that lies between two heights, 0 to 1."""
    low = np.maximum(z_mm - thickness_mm / 2, extent_mm[0])
    high = np.minimum(z_mm + thickness_mm / 2, extent_mm[1])
    share: Float64Array = np.clip(high - low, 0, None) / thickness_mm
    return share


def _ellipse_mm(x: Float64Array, y: Float64Array, radii_mm: tuple[float, float]) -> Float64Array:
    """Return the signed distance from an ellipse about the body's middle, to first order; inside negative."""
    a, b = radii_mm
    dx, dy = x / a, (y - BODY_CENTER_Y_MM) / b
    level = dx**2 + dy**2
    steepness = 2 * np.sqrt((dx / a) ** 2 + (dy / b) ** 2)
    distance: Float64Array = (level - 1) / np.maximum(steepness, 1e-3)
    return distance


def _deposit(insert: Insert, materials: MaterialHu) -> Deposit:
    parts = _cylinder_mm(insert.diameter_mm)
    added = np.full(len(parts), materials.insert_contrast_hu(insert.density_mg_cm3))
    part_mm3 = VOLUME_FACTORS[insert.diameter_mm] * insert.volume_mm3 / len(parts)
    return Deposit(Tissue.CORONARY, insert.name, parts + np.asarray(insert.center_mm), added, part_mm3)


@lru_cache(maxsize=8)
def _cylinder_mm(diameter_mm: int) -> Float64Array:
    """Return points that fill a cylinder about the origin evenly, shape (n, 3)."""
    across = _steps(diameter_mm, PART_MM / PARTS_PER_CELL)
    along = _steps(diameter_mm, FINE_Z_MM / PARTS_PER_CELL)
    points = np.stack([axis.ravel() for axis in np.meshgrid(across, across, along, indexing="ij")], axis=1)
    points = points[np.hypot(points[:, 0], points[:, 1]) <= diameter_mm / 2]
    points.setflags(write=False)
    return points


def _steps(length_mm: float, step_mm: float) -> Float64Array:
    """Return cell centres that fill a length symmetrically."""
    n = round(length_mm / step_mm)
    centers: Float64Array = np.arange(n, dtype=np.float64) * step_mm
    centers -= centers.mean()
    return centers
