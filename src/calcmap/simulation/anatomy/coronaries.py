"""The coronary tree: centre lines in the grooves of the heart, with the vessel's radius along them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from calcmap.core.result import Vessel
from calcmap.core.volume import Float64Array
from calcmap.simulation.anatomy.heart import HeartFrame, heart_distances_mm, reference_points
from calcmap.simulation.anatomy.shapes import smooth_curve

STEP_MM = 1.0
DEPTH_IN_FAT_MM = 2.2
"""Distance of the centre line from the muscle: about a vessel radius."""
INSIDE_SAC_MM = 1.5
N_PROJECTION_STEPS = 8
OSTIAL_MM = 8.0
"""Length over which a vessel leaves the aortic wall before it must lie in the fat."""
WOMEN_RADIUS_FACTOR = 0.91
"""Dodge 1992: women's coronaries are 9 % narrower."""


@dataclass(frozen=True)
class CoronaryBranch:
    """One branch: centre line and radius."""

    name: str
    vessel: Vessel
    """Which vessel of a calcium report the branch belongs to."""
    points_mm: Float64Array
    """Shape (n, 3): x, y, z, about `STEP_MM` apart, from the ostium outwards."""
    radius_mm: Float64Array
    """Lumen radius at each point."""


_ROUTES: dict[str, tuple[Vessel, tuple[float, float], tuple[tuple[float, float, float], ...]]] = {
    # name: vessel, radius at both ends (Dodge 1992), way points in reference-heart coordinates, mm
    "LM": (Vessel.LM, (2.3, 2.2), ((6, 6, 35), (12, 6, 35.5), (19, 1, 35))),
    "LAD": (
        Vessel.LAD,
        (1.85, 0.95),
        ((19, 1, 35), (25, -9, 33), (27, -20, 27), (28, -33, 16), (31, -41, 0), (33, -45, -20), (36, -44, -40)),
    ),
    "D1": (Vessel.LAD, (1.2, 0.7), ((27, -20, 27), (37, -20, 20), (46, -17, 8), (52, -14, -8))),
    "D2": (Vessel.LAD, (1.1, 0.7), ((28, -33, 16), (38, -32, 8), (47, -30, -6), (52, -28, -20))),
    "LCx": (
        Vessel.LCX,
        (1.75, 1.0),
        ((19, 1, 35), (21, 11, 32), (29, 19, 26), (36, 27, 15), (38, 34, 4), (32, 40, -8), (20, 42, -20)),
    ),
    "OM1": (Vessel.LCX, (1.2, 0.7), ((36, 26, 17), (46, 16, 10), (53, 8, -2), (55, -4, -16))),
    "RCA": (
        Vessel.RCA,
        (1.95, 1.5),
        ((-12, -19, 30), (-18, -26, 27), (-27, -30, 20), (-34, -29, 6), (-37, -25, -12), (-33, -10, -32),
         (-18, 12, -38), (-2, 26, -38)),
    ),
    "PDA": (Vessel.RCA, (1.2, 0.7), ((-2, 26, -38), (10, 18, -43), (24, 2, -47), (36, -12, -48))),
    "AM": (Vessel.RCA, (1.0, 0.7), ((-36, -27, -6), (-26, -38, -18), (-12, -46, -28), (4, -48, -36))),
}  # fmt: skip


def draw_coronaries(
    rng: np.random.Generator, *, frame: HeartFrame, sex: str, fat_mm: float
) -> tuple[CoronaryBranch, ...]:
    """Return the coronary tree of one heart, in model coordinates.

    Way points vary by some mm from heart to heart; then each centre line is moved along the distance gradient until it
    lies in the fat just outside the muscle and inside the pericardium. Radii follow Dodge 1992.
    """
    factor = (WOMEN_RADIUS_FACTOR if sex == "F" else 1.0) * float(rng.normal(1.0, 0.1))
    shared: dict[tuple[float, float, float], Float64Array] = {}
    branches = []
    for name, (vessel, (start, end), route) in _ROUTES.items():
        jittered = np.array([shared.setdefault(point, _jitter(rng, point)) for point in route])
        curve = smooth_curve(jittered, step_mm=STEP_MM)
        curve = _into_fat(curve, fat_mm=fat_mm, has_ostium=name in {"LM", "RCA"})
        branches.append(
            CoronaryBranch(name, vessel, frame.from_reference(curve), factor * np.linspace(start, end, len(curve)))
        )
    return tuple(branches)


def _jitter(rng: np.random.Generator, point_mm: tuple[float, float, float]) -> Float64Array:
    return np.asarray(point_mm) + rng.normal(0, 2.0, 3)


def _into_fat(points_mm: Float64Array, *, fat_mm: float, has_ostium: bool) -> Float64Array:
    """Return the curve (reference mm) moved to the muscle's outer surface, smoothed, kept inside the sac."""
    moved = points_mm.copy()
    free = np.ones(len(points_mm))
    if has_ostium:
        free = np.clip(np.arange(len(points_mm)) * STEP_MM / OSTIAL_MM, 0, 1)
    for _ in range(N_PROJECTION_STEPS):
        distance, gradient = _distance_and_gradient(moved, fat_mm=fat_mm)
        moved -= (free * 0.7 * distance)[:, None] * gradient
        moved[1:-1] = 0.5 * moved[1:-1] + 0.25 * (moved[:-2] + moved[2:])
    return moved


def _distance_and_gradient(points_mm: Float64Array, *, fat_mm: float) -> tuple[Float64Array, Float64Array]:
    """Return how far points lie from the wanted layer, and the outward unit normal."""

    def wanted(at_mm: Float64Array) -> Float64Array:
        xyz = reference_points(at_mm)
        chambers, sac = heart_distances_mm(xyz, fat_mm=fat_mm)
        layer: Float64Array = np.maximum(chambers - DEPTH_IN_FAT_MM, sac + INSIDE_SAC_MM).astype(np.float64)
        return layer

    here = wanted(points_mm)
    gradient = np.stack([wanted(points_mm + step) - here for step in np.eye(3) * 0.5], axis=1) / 0.5
    norm = np.linalg.norm(gradient, axis=1, keepdims=True)
    return here, gradient / np.maximum(norm, 0.3)
