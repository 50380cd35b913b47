"""Deposits: clouds of small equal parts, each with the HU that calcium, iodine or metal adds there.

The cloud is placed along vessel walls with subvoxel accuracy and blurred by the scanner's exact point spread, so that
volume averaging, slice thickness and motion act on a lesion as they do in people.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from calcmap.core.result import Vessel
from calcmap.core.volume import Float64Array

PART_MM = 0.45
"""Distance of a deposit's parts: a fifth of the blur of the sharpest kernel."""
HU_PER_MG_CM3 = 1.25
"""HU that 1 mg/cm3 of hydroxyapatite adds at 120 kVp: the mean mass factor of four vendors' phantom scans is 0.80."""
EDGE_DENSITY = 0.6
"""Density at a deposit's edge over that in its middle (our choice)."""
GRAIN_SD = 0.08
"""Relative spread of the density from part to part (our choice)."""
ELLIPSE_SHARE = np.pi / 4
"""Area of an ellipse over that of its box."""
WIDEST_ARC = 0.8
"""A plate takes at most this share of a vessel's circumference."""


class Tissue(StrEnum):
    """What a deposit counts as."""

    CORONARY = "coronary"
    NONCORONARY = "noncoronary"
    DEVICE = "device"
    """Man-made: no calcium at all, whatever its HU."""


class Material(StrEnum):
    """What a deposit is made of: decides its HU at other tube voltages, and its artefacts."""

    CALCIUM = "calcium"
    IODINE = "iodine"
    METAL = "metal"


@dataclass(frozen=True)
class Origin:
    """What a deposit belongs to."""

    tissue: Tissue
    place: str
    """Coronary branch, or e.g. ``"aortic_valve"``."""
    vessel: Vessel | None = None
    """Which vessel of a calcium report it counts for; only coronary deposits and stents have one."""
    motion_share: float = 0.0
    """Path during a slice relative to the right coronary's."""


@dataclass(frozen=True)
class Deposit:
    """One calcification or one piece of a device."""

    tissue: Tissue
    place: str
    """Coronary branch, or e.g. ``"aortic_valve"``."""
    parts_mm: Float64Array
    """Shape (n, 3): x, y, z in patient coordinates."""
    added_hu: Float64Array
    """HU above soft tissue of each part at 120 kVp, shape (n,)."""
    part_mm3: float
    motion_share: float = 0.0
    """Path during a slice relative to the right coronary's."""
    material: Material = Material.CALCIUM
    vessel: Vessel | None = None
    """Which vessel of a calcium report it counts for; only coronary deposits and stents have one."""

    @property
    def volume_mm3(self) -> float:
        """True volume."""
        return len(self.parts_mm) * self.part_mm3

    @property
    def mass_mg(self) -> float:
        """True mass of hydroxyapatite; 0 for other materials."""
        if self.material is not Material.CALCIUM:
            return 0.0
        return float(self.added_hu.sum()) * self.part_mm3 / (1000 * HU_PER_MG_CM3)


@dataclass(frozen=True)
class Plate:
    """Size and density of a deposit that lies along a wall: elliptical in outline, denser in its middle."""

    length_mm: float
    """Along the vessel."""
    arc_mm: float
    """Around it."""
    thickness_mm: float
    density_mg_cm3: float
    """Hydroxyapatite in its middle."""


def draw_plate(
    rng: np.random.Generator, *, volume_mm3: float, thickness_mm: float, density_mg_cm3: float, radius_mm: float
) -> Plate:
    """Return a plate of a given volume on a vessel of a given radius: mostly longer than wide."""
    area = volume_mm3 / (ELLIPSE_SHARE * thickness_mm)
    arc = min(float(np.sqrt(area) * rng.uniform(0.5, 1.05)), WIDEST_ARC * 2 * np.pi * radius_mm)
    return Plate(area / max(arc, 0.3), arc, thickness_mm, density_mg_cm3)


def wall_deposit(
    rng: np.random.Generator,
    origin: Origin,
    *,
    curve_mm: Float64Array,
    radius_mm: Float64Array,
    plate: Plate,
    angle: float | None = None,
) -> Deposit:
    """Return a deposit lying along a vessel's wall: a curved plate with a ragged outline and softer edges.

    Parameters
    ----------
    rng : Generator
        Draws outline, grain and, by default, the side of the vessel.
    origin : Origin
        What the deposit belongs to.
    curve_mm, radius_mm : ndarray, shapes (n, 3) and (n,)
        The vessel's centre line and the distance of the plate's middle layer from it. The deposit's middle is the
        curve's middle point; a plate longer than the curve is cut.
    plate : Plate
        Size and density.
    angle : float, optional
        Side of the vessel, rad; drawn by default.

    Returns
    -------
    Deposit
        Of calcium, in the curve's coordinates; never empty.
    """
    radius = float(radius_mm[len(radius_mm) // 2])
    spacing = float(np.linalg.norm(np.diff(curve_mm, axis=0), axis=1).mean())
    length = min(plate.length_mm, spacing * (len(curve_mm) - 1))
    along, across, outward = (_lattice(size) for size in (length, plate.arc_mm, plate.thickness_mm))
    s, a, out = (grid.ravel() for grid in np.meshgrid(along, across, outward, indexing="ij"))
    edge = np.hypot(2 * s / max(length, PART_MM), 2 * a / max(plate.arc_mm, PART_MM))
    ragged = edge + 0.15 * _ripples(rng, s, a)
    keep = ragged <= max(1.0, float(ragged.min()))
    s, a, out, edge = s[keep], a[keep], out[keep], edge[keep]
    phi = a / radius + (rng.uniform(0, 2 * np.pi) if angle is None else angle)
    parts = _on_wall(curve_mm, s / spacing + (len(curve_mm) - 1) / 2, phi, radius + out)
    sizes = (max(length, PART_MM), max(plate.arc_mm, PART_MM), plate.thickness_mm)
    part_mm3 = float(np.prod(sizes)) / (len(along) * len(across) * len(outward))
    return _calcium(rng, origin, parts, edge=edge, density_mg_cm3=plate.density_mg_cm3, part_mm3=part_mm3)


def blob_deposit(
    rng: np.random.Generator,
    origin: Origin,
    *,
    center_mm: Float64Array,
    radii_mm: Float64Array,
    density_mg_cm3: float,
) -> Deposit:
    """Return a lumpy ellipsoidal deposit of calcium; never empty."""  # fmt: skip
    reach = [np.arange(-r, r + PART_MM / 2, PART_MM) for r in np.maximum(radii_mm, PART_MM / 2)]
    parts = np.stack([grid.ravel() for grid in np.meshgrid(*reach, indexing="ij")], axis=1)
    edge = np.linalg.norm(parts / np.maximum(radii_mm, PART_MM), axis=1)
    lumps = 0.2 * np.sin(parts @ rng.normal(0, 1.0, 3) + rng.uniform(0, 6))
    keep = edge + lumps <= max(1.0, float((edge + lumps).min()))
    return _calcium(rng, origin, parts[keep] + center_mm, edge=edge[keep], density_mg_cm3=density_mg_cm3,
                    part_mm3=PART_MM**3)  # fmt: skip


def _calcium(
    rng: np.random.Generator,
    origin: Origin,
    parts_mm: Float64Array,
    *,
    edge: Float64Array,
    density_mg_cm3: float,
    part_mm3: float,
) -> Deposit:
    """Return a deposit whose density falls from its middle (``edge`` 0) to its outline (1) and is grainy."""
    fall = np.clip(1 - (1 - EDGE_DENSITY) * edge, EDGE_DENSITY, 1.0)
    grain = np.clip(rng.normal(1, GRAIN_SD, len(edge)), 0.6, 1.4)
    return Deposit(
        tissue=origin.tissue, place=origin.place, parts_mm=parts_mm,
        added_hu=HU_PER_MG_CM3 * density_mg_cm3 * fall * grain, part_mm3=part_mm3, motion_share=origin.motion_share,
        vessel=origin.vessel,
    )  # fmt: skip


def _lattice(size_mm: float) -> Float64Array:
    """Return the middles of equal cells, at most `PART_MM` wide, that fill a length about 0."""
    n = max(1, int(np.ceil(size_mm / PART_MM)))
    middles: Float64Array = (np.arange(n, dtype=np.float64) - (n - 1) / 2) * (size_mm / n)
    return middles


def _ripples(rng: np.random.Generator, s_mm: Float64Array, a_mm: Float64Array) -> Float64Array:
    """Return smooth noise of about unit size over a plate, with bumps some mm wide."""
    noise = np.zeros(len(s_mm))
    for _ in range(3):
        along, across = rng.normal(0, 1.1, 2)
        noise += np.sin(along * s_mm + across * a_mm + rng.uniform(0, 2 * np.pi))
    return noise * 0.8


def angle_towards(curve_mm: Float64Array, point_mm: Float64Array) -> float:
    """Return the side of a curve's middle, as `wall_deposit` counts sides, on which a point lies; rad."""
    middle = len(curve_mm) // 2
    first, second = _sides(curve_mm)
    offset = point_mm - curve_mm[middle]
    return float(np.arctan2(offset @ second[middle], offset @ first[middle]))


def _sides(curve_mm: Float64Array) -> tuple[Float64Array, Float64Array]:
    """Return two unit vectors across a curve, at right angles to each other, at each of its points (n, 3)."""
    tangent = np.empty_like(curve_mm)
    tangent[1:-1] = curve_mm[2:] - curve_mm[:-2]
    tangent[0], tangent[-1] = curve_mm[1] - curve_mm[0], curve_mm[-1] - curve_mm[-2]
    tangent /= np.maximum(np.sqrt((tangent**2).sum(axis=1, keepdims=True)), 1e-9)
    # any direction across will do, if the curve never runs along it
    across = np.eye(3)[int(np.argmin(np.abs(tangent).max(axis=0)))]
    first = across - (tangent @ across)[:, None] * tangent
    first /= np.maximum(np.sqrt((first**2).sum(axis=1, keepdims=True)), 1e-9)
    (ax, ay, az), (bx, by, bz) = tangent.T, first.T
    return first, np.stack([ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx], axis=1)


def _on_wall(curve_mm: Float64Array, at: Float64Array, phi: Float64Array, radius: Float64Array) -> Float64Array:
    """Return points at index ``at`` of a curve, turned by ``phi`` about it, ``radius`` away."""
    at = np.clip(at, 0, len(curve_mm) - 1)
    before = np.minimum(at.astype(np.intp), len(curve_mm) - 2)
    share = (at - before)[:, None]
    center, first, second = (
        (1 - share) * vectors[before] + share * vectors[before + 1] for vectors in (curve_mm, *_sides(curve_mm))
    )
    around: Float64Array = center + radius[:, None] * (np.cos(phi)[:, None] * first + np.sin(phi)[:, None] * second)
    return around
