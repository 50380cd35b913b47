"""The coronary tree: centre lines in the grooves of the heart, with the vessel's radius along them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np

from calcmap.core.result import Vessel
from calcmap.core.volume import Float64Array
from calcmap.simulation.anatomy.heart import (
    AORTA,
    CHAMBER_BLEND_MM,
    CHAMBERS,
    FLOOR_MM,
    FLOOR_SLOPE,
    LEFT_APPENDAGE,
    PULMONARY_TRUNK,
    RIGHT_APPENDAGE,
    reference_points,
)
from calcmap.simulation.anatomy.shapes import smooth_curve, smooth_union
from calcmap.simulation.anatomy.thorax import Anatomy

STEP_MM = 1.0
COARSE_STEP_MM = 2.5
"""Distance of the points that are moved onto the heart: far below the bends of a vessel."""
WALL_MM = 0.8
"""Thickness of a coronary's wall (our choice: CT shows left mains of 5.0-5.4 mm whose lumen measures 4.5 mm)."""
DEPTH_IN_FAT_MM = 2.4
"""Distance of the centre line from the muscle where there is fat enough: about a vessel's outer radius."""
SIDE_BRANCH_RISE_MM = -1.0
"""Side branches run outside the grooves, where the sac leaves that much less room."""
ABOVE_FLOOR_MM = 1.5
"""Least height of a centre line over the diaphragm."""
N_PROJECTION_STEPS = 6
OSTIAL_MM = 8.0
"""Length over which a vessel leaves the aortic wall before it must lie in the fat."""
WOMEN_RADIUS_FACTOR = 0.91
"""Dodge 1992: women's coronaries are 9 % narrower."""
RADIUS_SD_SHARED, RADIUS_SD_OWN = 0.08, 0.08
"""Relative spread of a person's calibre and of each vessel about it: together 11 %, as Dodge 1992 found."""
LEFT_MAIN_LENGTH_MM = (10.5, 4.5)
"""Mean and SD (our choice, after anatomy textbooks)."""
LEFT_MAIN_RANGE_MM = (3.0, 20.0)
WAY_POINT_SD_MM = 2.0
_BED = tuple(
    body for body in (*CHAMBERS, PULMONARY_TRUNK) if body is not LEFT_APPENDAGE and body is not RIGHT_APPENDAGE
)
"""What coronaries lie on; they pass under the appendages, not over them."""
TORTUOSITY_MM = (0.2, 1.2)
"""Amplitude of a vessel's windings, drawn for each patient (our choice)."""
WINDING_MM = (18.0, 36.0)
"""Wave length of the windings (our choice)."""


class Dominance(StrEnum):
    """Which artery feeds the back of the septum."""

    RIGHT = "right"
    LEFT = "left"
    BALANCED = "balanced"
    """The right coronary gives the descending artery, the circumflex the branches to the left ventricle's back."""


DOMINANCE_SHARES = {Dominance.RIGHT: 0.85, Dominance.LEFT: 0.08, Dominance.BALANCED: 0.07}
"""Shares in people (textbook figures)."""
RAMUS_SHARE = 0.25
THIRD_DIAGONAL_SHARE = 0.4
SECOND_MARGINAL_SHARE = 0.8


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
    parent: str | None = None
    """Branch it springs from; none for the two that spring from the aorta."""

    @property
    def outer_radius_mm(self) -> Float64Array:
        """Radius with the wall, at each point: what a CT without contrast shows."""
        return self.radius_mm + WALL_MM * np.clip(self.radius_mm / 1.5, 0.5, 1.0)

    @property
    def length_mm(self) -> float:
        """Length of the centre line."""
        return float(np.linalg.norm(np.diff(self.points_mm, axis=0), axis=1).sum())


Point = tuple[float, float, float]


@dataclass(frozen=True)
class _Route:
    """One branch of the reference heart."""

    name: str
    vessel: Vessel
    radii_mm: tuple[float, float]
    """At both ends (Dodge 1992 for the large ones, our choice for side branches)."""
    way_points_mm: tuple[Point, ...]
    """In reference-heart coordinates; a side branch's first point lies on its parent instead."""
    parent: str | None = None
    leaves_at: tuple[float, float] = (0.0, 0.0)
    """Range of the share of the parent's length at which a side branch springs."""


# the left main and the anterior descending are one line until the left main's length is drawn
_LEFT = ((4.0, 11.0, 32.0), (11.0, 11.5, 31.0), (18.0, 8.0, 28.5), (22.5, -1.0, 25.5), (26.0, -15.0, 24.0),
         (26.0, -31.0, 15.0), (30.0, -40.0, 0.0), (33.0, -44.0, -20.0), (34.0, -42.0, -40.0))  # fmt: skip
_RIGHT_OSTIUM = ((-12.5, -12.0, 21.0), (-19.0, -16.5, 21.5), (-27.0, -21.0, 20.0), (-33.0, -23.0, 14.0),
                 (-37.0, -24.5, 1.0), (-37.0, -22.0, -14.0))  # fmt: skip
_CRUX = (-3.0, 25.5, -37.0)
_RIGHT_GROOVE = ((-34.0, -11.0, -30.0), (-19.0, 11.0, -37.0), _CRUX)
_LEFT_GROOVE = ((19.5, 16.0, 29.0), (27.5, 20.5, 24.0), (35.0, 27.0, 13.0), (38.5, 33.0, 2.0), (33.0, 40.0, -9.0))
_TO_CRUX = ((21.0, 42.0, -20.0), (9.0, 36.0, -31.0), _CRUX)
_DESCENDING = ((9.0, 19.0, -42.0), (23.0, 3.0, -47.0), (36.0, -12.0, -48.0))
_BACK_OF_VENTRICLE = ((10.0, 34.0, -34.0), (24.0, 34.0, -37.0), (38.0, 22.0, -41.0))

_IN_GROOVES = {"LAD", "LCx", "RCA", "PDA"}
_SIDE_BRANCHES = (
    _Route("D1", Vessel.LAD, (1.2, 0.7), ((37, -20, 20), (46, -17, 8), (52, -14, -8)), "LAD", (0.12, 0.24)),
    _Route("D2", Vessel.LAD, (1.1, 0.7), ((38, -32, 8), (47, -30, -6), (52, -28, -20)), "LAD", (0.32, 0.45)),
    _Route("D3", Vessel.LAD, (0.9, 0.6), ((41, -38, -10), (48, -36, -26)), "LAD", (0.52, 0.64)),
    _Route("RI", Vessel.LCX, (1.2, 0.7), ((32, -3, 25), (44, -3, 15), (53, -4, -2)), "LM", (1.0, 1.0)),
    _Route("OM1", Vessel.LCX, (1.2, 0.7), ((44, 18, 10), (53, 8, -2), (55, -4, -16)), "LCx", (0.28, 0.5)),
    _Route("OM2", Vessel.LCX, (1.1, 0.7), ((44, 28, -8), (49, 18, -20), (49, 6, -32)), "LCx", (0.7, 0.95)),
    _Route("AM", Vessel.RCA, (1.0, 0.6), ((-26, -38, -18), (-12, -46, -28), (4, -48, -36)), "RCA", (0.36, 0.5)),
)


def draw_dominance(rng: np.random.Generator) -> Dominance:
    """Return which artery dominates, in the shares found in people."""
    kinds = list(DOMINANCE_SHARES)
    return kinds[int(rng.choice(len(kinds), p=list(DOMINANCE_SHARES.values())))]


def draw_coronaries(
    rng: np.random.Generator, *, anatomy: Anatomy, dominance: Dominance | None = None
) -> tuple[CoronaryBranch, ...]:
    """Return the coronary tree of one heart, in patient coordinates.

    Way points vary by some mm from heart to heart and lines wind; then every centre line is moved along the distance
    gradient until it lies in the fat just outside the muscle and inside the pericardium. Side branches spring from
    points of their parents.

    Parameters
    ----------
    rng : Generator
        This patient's random numbers.
    anatomy : Anatomy
        Whose heart.
    dominance : Dominance, optional
        Which artery feeds the back of the septum; drawn by default.

    Returns
    -------
    tuple of CoronaryBranch
        LM, LAD, LCx, RCA, then side branches.

    Notes
    -----
    A ramus reports to the circumflex (our choice; reports differ).

    References
    ----------
    Dodge 1992: lumen diameters by vessel, dominance and sex.
    """
    dominance = dominance or draw_dominance(rng)
    routes = _routes(rng, dominance)
    lines = _on_heart(rng, routes, fat_mm=anatomy.person.epicardial_fat_mm)
    calibre = (WOMEN_RADIUS_FACTOR if anatomy.person.sex == "F" else 1.0) * float(rng.normal(1.0, RADIUS_SD_SHARED))
    branches = _split_left(rng, routes, lines)
    bent = np.split(
        anatomy.patient_points(anatomy.frame.from_reference(np.vstack([branch.points_mm for branch in branches]))),
        np.cumsum([len(branch.points_mm) for branch in branches])[:-1],
    )
    return tuple(
        _resized(branch, _evenly(points), factor=calibre * _own_factor(rng))
        for branch, points in zip(branches, bent, strict=True)
    )


def _resized(branch: CoronaryBranch, points_mm: Float64Array, *, factor: float) -> CoronaryBranch:
    """Return a branch along other points, its radius multiplied."""
    radius = factor * np.linspace(branch.radius_mm[0], branch.radius_mm[-1], len(points_mm))
    return replace(branch, points_mm=points_mm, radius_mm=radius)


def _own_factor(rng: np.random.Generator) -> float:
    return float(np.clip(rng.normal(1.0, RADIUS_SD_OWN), 0.75, 1.25))


def _routes(rng: np.random.Generator, dominance: Dominance) -> tuple[_Route, ...]:
    """Return the branches that one heart has; the left main is still part of the anterior descending."""
    if dominance is Dominance.LEFT:
        right = _Route("RCA", Vessel.RCA, (1.4, 0.8), (*_RIGHT_OSTIUM, _RIGHT_GROOVE[0]))
        circumflex = _Route("LCx", Vessel.LCX, (2.1, 1.4), (*_LEFT_GROOVE, *_TO_CRUX), "LAD", (0.1, 0.1))
    else:
        right = _Route("RCA", Vessel.RCA, (1.95, 1.5), (*_RIGHT_OSTIUM, *_RIGHT_GROOVE))
        reach = _TO_CRUX[:1] if dominance is Dominance.BALANCED or rng.random() < 0.3 else ()
        circumflex = _Route("LCx", Vessel.LCX, (1.7, 1.0), (*_LEFT_GROOVE, *reach), "LAD", (0.1, 0.1))
    descending = "LCx" if dominance is Dominance.LEFT else "RCA"
    behind = "RCA" if dominance is Dominance.RIGHT else "LCx"
    crux = (
        _Route("PDA", _vessel(descending), (1.15, 0.6), _DESCENDING, descending, (1.0, 1.0)),
        _Route("PLV", _vessel(behind), (1.1, 0.6), _BACK_OF_VENTRICLE[1 if behind == "LCx" else 0 :], behind,
               (0.97, 1.0)),
    )  # fmt: skip
    missing = {
        name
        for name, share in (("RI", RAMUS_SHARE), ("D3", THIRD_DIAGONAL_SHARE), ("OM2", SECOND_MARGINAL_SHARE))
        if rng.random() >= share
    }
    sides = tuple(route for route in _SIDE_BRANCHES if route.name not in missing)
    left = _Route("LAD", Vessel.LAD, (1.85, 0.95), _LEFT)
    return (left, right, circumflex, *sides, *crux)


def _vessel(name: str) -> Vessel:
    return Vessel.LCX if name == "LCx" else Vessel.RCA


@dataclass
class _Line:
    """A branch while it is being moved onto the heart: where it is in the pile of all points, and its root."""

    part: slice
    is_side: bool
    """Runs outside the grooves."""
    parent: int | None
    """Index of the point that it springs from in the pile."""


def _on_heart(rng: np.random.Generator, routes: tuple[_Route, ...], *, fat_mm: float) -> dict[str, Float64Array]:
    """Return every route's line (reference mm, about `COARSE_STEP_MM` apart) in the fat on the heart.

    All lines move together, because a distance costs the same overhead for one point as for a thousand.
    """
    left_main = float(np.clip(rng.normal(*LEFT_MAIN_LENGTH_MM), *LEFT_MAIN_RANGE_MM))
    amplitude = float(rng.uniform(*TORTUOSITY_MM))
    pile: list[Float64Array] = []
    lines: dict[str, _Line] = {}
    for route in routes:
        start = _root_of(rng, route, lines, pile, left_main_mm=left_main)
        way = np.asarray(route.way_points_mm, dtype=np.float64)
        way = way + rng.normal(0, WAY_POINT_SD_MM, way.shape)
        if start is None:
            way[0] = _on_aorta(way[0])
        else:
            way = np.vstack([np.vstack(pile)[start], way])
        curve = _wound(rng, smooth_curve(way, step_mm=COARSE_STEP_MM), amplitude_mm=amplitude)
        first = sum(len(part) for part in pile)
        pile.append(curve)
        lines[route.name] = _Line(slice(first, first + len(curve)), route.name not in _IN_GROOVES, start)
    moved = _into_fat(np.vstack(pile), tuple(lines.values()), fat_mm=fat_mm)
    return {name: moved[line.part] for name, line in lines.items()}


def _evenly(points_mm: Float64Array) -> Float64Array:
    """Return points `STEP_MM` apart (the last step rounded) on the line through ``points_mm``."""
    along = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(points_mm, axis=0), axis=1))])
    at = np.linspace(0, along[-1], max(3, round(float(along[-1]) / STEP_MM) + 1))
    return np.stack([np.interp(at, along, axis) for axis in points_mm.T], axis=1)


def _root_of(
    rng: np.random.Generator, route: _Route, lines: dict[str, _Line], pile: list[Float64Array], *, left_main_mm: float
) -> int | None:
    """Return the index, in the pile, of the point that a branch springs from."""
    if route.parent is None:
        return None
    share = rng.uniform(*route.leaves_at)
    if route.name in {"LCx", "RI"}:
        return int(lines["LAD"].part.start) + max(1, round(left_main_mm / COARSE_STEP_MM))
    parent = lines[route.parent].part
    return int(parent.start) + round(share * int(parent.stop - parent.start - 1))


def _on_aorta(point_mm: Float64Array) -> Float64Array:
    """Return the nearest point of the aortic root's wall."""
    moved = point_mm.copy()
    for _ in range(3):
        probes = moved + np.vstack([np.zeros(3), 0.5 * np.eye(3)])
        distance = AORTA.distance_mm(reference_points(probes)).astype(np.float64)
        gradient = (distance[1:] - distance[0]) / 0.5
        moved -= distance[0] * gradient / max(float(gradient @ gradient), 0.1)
    return moved


def _wound(rng: np.random.Generator, curve_mm: Float64Array, *, amplitude_mm: float) -> Float64Array:
    """Return a curve with windings; its ends stay."""
    n = len(curve_mm)
    along = np.arange(n) * COARSE_STEP_MM
    fade = np.clip(np.minimum(along, along[-1] - along) / 12, 0, 1)
    shift = np.zeros((n, 3))
    for _ in range(2):
        wave = np.sin(2 * np.pi * along / rng.uniform(*WINDING_MM) + rng.uniform(0, 2 * np.pi))
        shift += wave[:, None] * rng.normal(0, 0.7, 3)
    wound: Float64Array = curve_mm + amplitude_mm * fade[:, None] * shift
    return wound


def _into_fat(points_mm: Float64Array, lines: tuple[_Line, ...], *, fat_mm: float) -> Float64Array:
    """Return all lines' points (reference mm) moved to the muscle's outer surface, kept inside the sac."""
    moved = points_mm.copy()
    free = np.ones(len(points_mm))
    inner = np.ones(len(points_mm), dtype=bool)
    for line in lines:
        n = line.part.stop - line.part.start
        inner[[line.part.start, line.part.stop - 1]] = False
        if line.parent is None:
            free[line.part] = np.clip(np.arange(n) * COARSE_STEP_MM / OSTIAL_MM, 0, 1)
    keep = np.flatnonzero(inner)
    depth = _depth_mm(len(points_mm), lines, fat_mm=fat_mm)
    for _ in range(N_PROJECTION_STEPS):
        distance, gradient = _distance_and_gradient(moved, depth_mm=depth)
        moved -= (free * 0.8 * distance)[:, None] * gradient
        moved[keep] = 0.7 * moved[keep] + 0.15 * (moved[keep - 1] + moved[keep + 1])
        for line in lines:
            if line.parent is not None:
                moved[line.part.start] = moved[line.parent]
    return moved


def _depth_mm(n: int, lines: tuple[_Line, ...], *, fat_mm: float) -> Float64Array:
    """Return how far off the muscle each point should lie: less where the sac leaves less room."""
    depth = np.full(n, np.clip(fat_mm, 0.5, DEPTH_IN_FAT_MM))
    for line in lines:
        if line.is_side:
            rise = np.clip(np.arange(line.part.stop - line.part.start) * COARSE_STEP_MM / 10, 0, 1)
            depth[line.part] = np.clip(depth[line.part] + SIDE_BRANCH_RISE_MM * rise, 0, None)
    return depth


def _distance_and_gradient(points_mm: Float64Array, *, depth_mm: Float64Array) -> tuple[Float64Array, Float64Array]:
    """Return how far points lie from the wanted layer, and the outward unit normal."""
    probes = reference_points(np.vstack([points_mm, *(points_mm + step for step in np.eye(3) * 0.5)]))
    bed = AORTA.distance_mm(probes)
    for body in _BED:
        bed = smooth_union(bed, body.distance_mm(probes), blend_mm=CHAMBER_BLEND_MM)
    below = np.float32(FLOOR_MM + ABOVE_FLOOR_MM) + np.float32(FLOOR_SLOPE) * probes[0] - probes[2]
    layer = np.maximum(bed - np.tile(depth_mm, 4), below).astype(np.float64).reshape(4, -1)
    gradient = ((layer[1:] - layer[0]) / 0.5).T
    norm = np.linalg.norm(gradient, axis=1, keepdims=True)
    return layer[0], gradient / np.maximum(norm, 0.3)


def _split_left(
    rng: np.random.Generator, routes: tuple[_Route, ...], lines: dict[str, Float64Array]
) -> tuple[CoronaryBranch, ...]:
    """Return the branches in reference coordinates, the left main cut off where the circumflex springs."""
    left, start = lines["LAD"], lines["LCx"][0]
    cut = max(1, int(np.argmin(((left - start) ** 2).sum(axis=1))))
    main = CoronaryBranch("LM", Vessel.LM, left[: cut + 1], np.linspace(2.3, 2.2, cut + 1))
    parents = {"LAD": "LM", "LCx": "LM", "RI": "LM"}
    branches = [main]
    for route in routes:
        points = left[cut:] if route.name == "LAD" else lines[route.name]
        radius = np.linspace(*route.radii_mm, len(points))
        parent = parents.get(route.name, route.parent)
        branches.append(CoronaryBranch(route.name, route.vessel, points, radius, parent))
    order = {name: k for k, name in enumerate(("LM", "LAD", "LCx", "RCA"))}
    return tuple(sorted(branches, key=lambda branch: order.get(branch.name, len(order))))
