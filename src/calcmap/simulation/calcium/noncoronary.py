"""Calcium outside the coronaries: aorta, valves and, rarely, pericardium, lymph nodes and bronchi."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from calcmap.core.volume import Float64Array
from calcmap.simulation.anatomy.heart import heart_distances_mm
from calcmap.simulation.anatomy.lungs import airway_curves
from calcmap.simulation.anatomy.mediastinum import great_vessel_curve
from calcmap.simulation.anatomy.shapes import ellipsoid
from calcmap.simulation.anatomy.thorax import Anatomy
from calcmap.simulation.calcium.deposits import Deposit, PlateSize, Tissue, blob_deposit, wall_deposit

ROOT_LENGTH_MM = 34.0
"""Length of the aortic curve that is root and sinus."""
ASCENDING_END_MM = 78.0
ARCH_END_MM = 150.0
MITRAL_CENTER_MM = (8.0, 20.0, -2.0)
MITRAL_NORMAL = (0.70, -0.52, -0.49)
MITRAL_RADIUS_MM = 18.0
VALVE_CENTER_MM = (-1.0, 0.0, 19.0)
VALVE_RADIUS_MM = 11.0


@dataclass(frozen=True)
class Place:
    """How often a place calcifies, and in how many pieces."""

    prevalence: float
    """At 68 years."""
    mean_pieces: float
    motion_share: float


PLACES: dict[str, Place] = {
    "aortic_root": Place(0.14, 1.6, 0.6),
    "aortic_valve": Place(0.16, 3.0, 0.8),
    "mitral_annulus": Place(0.11, 1.6, 0.8),
    "ascending_aorta": Place(0.06, 1.8, 0.3),
    "aortic_arch": Place(0.38, 3.0, 0.1),
    "descending_aorta": Place(0.33, 4.0, 0.1),
    "pericardium": Place(0.008, 2.0, 0.8),
    "lymph_node": Place(0.05, 1.6, 0.0),
    "bronchus": Place(0.04, 3.0, 0.0),
}
"""MESA (45-84 years): aortic valve 12.5 %, mitral annulus 8.8 %, thoracic aorta 27 %; raised to the ages of nuclear
cardiology patients. The rest is our choice."""


def draw_noncoronary_deposits(rng: np.random.Generator, *, anatomy: Anatomy, factor: float) -> tuple[Deposit, ...]:
    """Return the deposits of one patient outside the coronaries, in model coordinates.

    ``factor`` multiplies every prevalence (training wants more than nature gives).
    """
    age_factor = float(np.exp((anatomy.person.age_years - 68) / 22))
    deposits: list[Deposit] = []
    for name, place in PLACES.items():
        if rng.random() < min(place.prevalence * age_factor * factor, 0.95):
            pieces = 1 + int(rng.poisson(place.mean_pieces - 1))
            deposits += [_DRAW[name](rng, anatomy, name, place.motion_share) for _ in range(pieces)]
    return tuple(deposits)


def _peak(rng: np.random.Generator) -> float:
    return float(np.clip(600 * np.exp(rng.normal(0, 0.5)), 180, 1450))


def _volume(rng: np.random.Generator, *, median_mm3: float) -> float:
    return float(np.clip(median_mm3 * np.exp(rng.normal(0, 1.1)), 1.5, 900))


def _aortic_wall(rng: np.random.Generator, anatomy: Anatomy, name: str, motion_share: float) -> Deposit:
    curve, radius = great_vessel_curve(anatomy, "aorta")
    length = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(curve, axis=0), axis=1))])
    low, high = {
        "aortic_root": (16.0, ROOT_LENGTH_MM + 6),
        "ascending_aorta": (ROOT_LENGTH_MM, ASCENDING_END_MM),
        "aortic_arch": (ASCENDING_END_MM, ARCH_END_MM),
        "descending_aorta": (ARCH_END_MM, min(ARCH_END_MM + 260, float(length[-1]) - 30)),
    }[name]
    middle = int(np.searchsorted(length, rng.uniform(low, high)))
    part = slice(max(middle - 10, 0), min(middle + 11, len(curve)))
    volume = _volume(rng, median_mm3=30.0)
    thickness = float(rng.uniform(0.6, 2.2))
    return wall_deposit(
        rng, tissue=Tissue.NONCORONARY, place=name, curve_mm=curve[part], radius_mm=radius[part] - 0.5,
        size=PlateSize(volume, thickness, _peak(rng)), motion_share=motion_share,
    )  # fmt: skip


def _valve(rng: np.random.Generator, anatomy: Anatomy, name: str, motion_share: float) -> Deposit:
    angle, out = rng.uniform(0, 2 * np.pi), VALVE_RADIUS_MM * np.sqrt(rng.random())
    point = np.array(VALVE_CENTER_MM)
    point += (out * np.cos(angle), out * np.sin(angle), rng.normal(0, 2) - 0.2 * out)
    radii = np.clip(np.exp(rng.normal(0.6, 0.45, 3)), 0.6, 6.0)
    center = anatomy.frame.from_reference(point[None])[0]
    return blob_deposit(rng, tissue=Tissue.NONCORONARY, place=name, center_mm=center, radii_mm=radii,
                        peak_hu=_peak(rng), motion_share=motion_share)  # fmt: skip


def _mitral(rng: np.random.Generator, anatomy: Anatomy, name: str, motion_share: float) -> Deposit:
    """Return a piece of the C-shaped calcification of the posterior annulus."""
    normal = np.asarray(MITRAL_NORMAL) / np.linalg.norm(MITRAL_NORMAL)
    back = np.array([0.35, 1.0, 0.1]) - normal * float(np.dot(normal, [0.35, 1.0, 0.1]))
    back /= np.linalg.norm(back)
    across = np.cross(normal, back)
    span, start = rng.uniform(0.5, 2.4), rng.uniform(-1.0, 1.0)
    angles = np.linspace(start - span / 2, start + span / 2, max(5, int(span * MITRAL_RADIUS_MM)))
    ring = np.asarray(MITRAL_CENTER_MM) + MITRAL_RADIUS_MM * (
        np.cos(angles)[:, None] * back + np.sin(angles)[:, None] * across
    )
    curve = anatomy.frame.from_reference(ring)
    thickness = float(rng.uniform(0.8, 3.5))
    volume = span * MITRAL_RADIUS_MM * thickness * thickness * rng.uniform(0.8, 2.0)
    return wall_deposit(
        rng, tissue=Tissue.NONCORONARY, place=name, curve_mm=curve, radius_mm=np.full(len(curve), 1.0 + thickness / 2),
        size=PlateSize(float(volume), thickness, _peak(rng)), motion_share=motion_share,
    )  # fmt: skip


def _pericardial(rng: np.random.Generator, anatomy: Anatomy, name: str, motion_share: float) -> Deposit:
    """Return a flat plaque on the sac's surface, found by walking outwards from the heart's middle."""
    direction = rng.normal(0, 1, 3)
    direction /= np.linalg.norm(direction)
    ray = np.linspace(20, 80, 61)[:, None] * direction
    x, y, z = ray.astype(np.float32).T
    outside = heart_distances_mm((x, y, z), fat_mm=anatomy.person.epicardial_fat_mm)[1] > 0
    point = ray[int(np.argmax(outside))] if outside.any() else ray[-1]
    shape = ellipsoid((0, 0, 0), (1.0, 5.0, 5.0), axis=direction)
    radii = np.abs(shape.rotation.T @ (shape.radii_mm * rng.uniform(0.6, 1.8)))
    center = anatomy.frame.from_reference(point[None])[0]
    return blob_deposit(rng, tissue=Tissue.NONCORONARY, place=name, center_mm=center, radii_mm=radii,
                        peak_hu=_peak(rng), motion_share=motion_share)  # fmt: skip


def _near_airway(rng: np.random.Generator, anatomy: Anatomy) -> tuple[Float64Array, float]:
    curves = airway_curves(anatomy)
    curve, radii = curves[int(rng.integers(1, len(curves)))]
    k = int(rng.integers(1, len(curve) - 1))
    return curve[k], float(radii[k])


def _node(rng: np.random.Generator, anatomy: Anatomy, name: str, motion_share: float) -> Deposit:
    point, radius = _near_airway(rng, anatomy)
    direction = rng.normal(0, 1, 3)
    center = point + direction / np.linalg.norm(direction) * (radius + rng.uniform(4, 9))
    radii = rng.uniform(1.0, 4.5) * rng.uniform(0.7, 1.3, 3)
    return blob_deposit(rng, tissue=Tissue.NONCORONARY, place=name, center_mm=center, radii_mm=radii,
                        peak_hu=_peak(rng), motion_share=motion_share)  # fmt: skip


def _bronchial(rng: np.random.Generator, anatomy: Anatomy, name: str, motion_share: float) -> Deposit:
    curves = airway_curves(anatomy)
    curve, radii = curves[int(rng.integers(0, len(curves)))]
    low = int(rng.integers(0, max(len(curve) - 4, 1)))
    return wall_deposit(
        rng, tissue=Tissue.NONCORONARY, place=name, curve_mm=curve[low : low + 4], radius_mm=radii[low : low + 4] + 0.6,
        size=PlateSize(_volume(rng, median_mm3=15.0), 0.8, 0.6 * _peak(rng)), motion_share=motion_share,
    )  # fmt: skip


_DRAW: dict[str, Callable[[np.random.Generator, Anatomy, str, float], Deposit]] = {
    "aortic_root": _aortic_wall,
    "aortic_valve": _valve,
    "mitral_annulus": _mitral,
    "ascending_aorta": _aortic_wall,
    "aortic_arch": _aortic_wall,
    "descending_aorta": _aortic_wall,
    "pericardium": _pericardial,
    "lymph_node": _node,
    "bronchus": _bronchial,
}
