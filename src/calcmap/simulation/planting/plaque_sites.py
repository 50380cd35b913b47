"""Where plaques sit and how large they are: draws for every place of the heart and its great vessels."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from calcmap.core.result import CalciumClass, Vessel
from calcmap.core.volume import Float64Array
from calcmap.simulation.planting.plaques import (
    CardiacMotion,
    Plaque,
    plaque_along_path,
    plaque_nodule,
    plaque_on_wall,
)
from calcmap.simulation.planting.tracing import COURSES_XYZ, MITRAL_CENTER_XYZ, AortaTrace, CardiacTraces


class Place(StrEnum):
    """Where a planted plaque lies."""

    LM = "LM"
    LAD = "LAD"
    DIAGONAL = "diagonal"
    LCX = "LCx"
    MARGINAL = "marginal"
    RCA = "RCA"
    PDA = "PDA"
    AORTIC_ROOT = "aortic_root"
    AORTIC_VALVE = "aortic_valve"
    MITRAL_ANNULUS = "mitral_annulus"
    ASCENDING_AORTA = "ascending_aorta"
    DESCENDING_AORTA = "descending_aorta"
    PERICARDIUM = "pericardium"
    NODE = "node"
    BRONCHUS = "bronchus"


CORONARY_SHARE = {
    Place.LM: 0.09,
    Place.LAD: 0.36,
    Place.DIAGONAL: 0.07,
    Place.LCX: 0.15,
    Place.MARGINAL: 0.05,
    Place.RCA: 0.24,
    Place.PDA: 0.04,
}
"""Share of lesions by branch (our choice: LAD first, then RCA and LCx, few in side branches)."""
RADIUS_MM = {
    Place.LM: (2.3, 2.2),
    Place.LAD: (1.85, 0.95),
    Place.DIAGONAL: (1.1, 0.8),
    Place.LCX: (1.7, 1.2),
    Place.MARGINAL: (1.1, 0.8),
    Place.RCA: (1.95, 1.4),
    Place.PDA: (1.1, 0.8),
}
"""Proximal and distal radius (Dodge 1992, halves of the diameters in FACTS 8.4; side branches ours)."""
MOTION_MM = {
    Place.LM: (1.0, 4.0),
    Place.LAD: (1.0, 5.0),
    Place.DIAGONAL: (1.0, 5.0),
    Place.LCX: (2.0, 7.0),
    Place.MARGINAL: (2.0, 7.0),
    Place.RCA: (3.0, 10.0),
    Place.PDA: (2.0, 7.0),
    Place.AORTIC_ROOT: (1.0, 6.0),
    Place.AORTIC_VALVE: (2.0, 7.0),
    Place.MITRAL_ANNULUS: (3.0, 9.0),
    Place.ASCENDING_AORTA: (0.5, 3.0),
    Place.DESCENDING_AORTA: (0.0, 0.8),
    Place.PERICARDIUM: (0.5, 4.0),
    Place.NODE: (0.0, 1.5),
    Place.BRONCHUS: (0.0, 2.0),
}
"""In-plane excursion of a beat; the order RCA > LCx > LM > LAD is Mao 2000's, the ranges ours (FACTS 8.4)."""

PEAK_HU = (200.0, 1400.0)
PEAK_MEDIAN_HU, PEAK_LOG_SD = 560.0, 0.5
CORONARY_VOLUME_LOG_SD = 1.1
CORONARY_VOLUME_LIMITS_MM3 = (0.4, 120.0)
"""Before blur (our choice): with the blur of CTAC these give the lesions of FACTS 8.3, see docs/how-to."""
N_POSITIONS = 8
PLACE_SPREAD = 0.12
"""Spread of plaques about a diseased place, as a share of the branch's length."""
PULL_MM = 3.0
P_BESIDE_OSTIUM = 0.3
OSTIUM_SPREAD_RAD = 0.5
UNSEEN_WEIGHT = 0.1
"""Plaques on a wall that the image does not show would often float in the lumen: they are rare (our choice)."""
N_HEIGHTS = 6
"""Heights drawn for a plaque on the aorta; those at which more of the wall is seen are likelier (our choice)."""
WALL_DEPTH_MM = (0.6, 2.6)
"""Middle of a plaque below the aorta's outer border. Calcium lies in the intima, below media and adventitia: 23 natural
lesions of four real scans lay 0.5 to 1.7 mm deeper than plaques planted at 0 to 1.2 mm (docs/explanation)."""
BORDER_ANGLES = 64
MIN_BORDER_MM = 10.0
PERICARDIUM_DEPTH_MM = 1.5
"""Below the border of the heart's mask, which is drawn along the pericardium's outside (our choice)."""
MAX_THROUGH_PLANE = 0.7
"""Excursion along z relative to that in the plane (our choice: coronaries move obliquely)."""


@dataclass(frozen=True, eq=False)
class DrawnPlaque:
    """A plaque with its place."""

    plaque: Plaque
    place: Place

    @property
    def vessel(self) -> Vessel | None:
        """Coronary vessel, or ``None`` for noncoronary places."""
        return COURSES_XYZ[self.place.value][0] if self.place in CORONARY_SHARE else None

    @property
    def calcium_class(self) -> CalciumClass:
        """Coronary or noncoronary."""
        return CalciumClass.CORONARY if self.place in CORONARY_SHARE else CalciumClass.NONCORONARY


def draw_coronary(
    traces: CardiacTraces, rng: np.random.Generator, *, place: Place, around: float, median_volume_mm3: float
) -> DrawnPlaque:
    """Return one coronary plaque.

    Parameters
    ----------
    traces : CardiacTraces
        Vessel courses.
    rng : numpy.random.Generator
        Source of size, density, side and place.
    place : Place
        A coronary branch.
    around : float
        Place along the branch, 0 proximal to 1 distal, about which the plaque lies.
    median_volume_mm3 : float
        Median of the drawn volume before blur.

    Returns
    -------
    DrawnPlaque
        The plaque.
    """
    drawn = median_volume_mm3 * np.exp(rng.normal(0, CORONARY_VOLUME_LOG_SD))
    volume_mm3 = float(np.clip(drawn, *CORONARY_VOLUME_LIMITS_MM3))
    length_mm = float(np.clip(2.0 * volume_mm3**0.42 * np.exp(rng.normal(0, 0.3)), 1.2, 22.0))
    position = _draw_position(traces, rng, place=place, around=around)
    return coronary_plaque(
        traces,
        rng,
        place=place,
        position=position,
        volume_mm3=volume_mm3,
        length_mm=length_mm,
        peak_hu=draw_peak_hu(rng),
    )


def coronary_plaque(
    traces: CardiacTraces,
    rng: np.random.Generator,
    *,
    place: Place,
    position: float,
    volume_mm3: float,
    length_mm: float,
    peak_hu: float,
) -> DrawnPlaque:
    """Return a plaque of given size at a given position of a branch, 0 proximal to 1 distal.

    On an estimated course the plaque is pulled sideways, by at most `PULL_MM`, to the likeliest vessel.
    """
    course = traces.branches[place.value]
    length_all_mm = float(np.linalg.norm(np.diff(course, axis=0), axis=1).sum())
    middle_mm = np.clip(position * length_all_mm, length_mm / 2, max(length_all_mm - length_mm / 2, length_mm / 2))
    along_mm = np.linspace(0, length_all_mm, len(course))
    part = course[np.abs(along_mm - middle_mm) <= length_mm / 2 + 0.8]
    if place.value in traces.radius_mm:
        radius_mm = float(np.interp(middle_mm, along_mm, traces.radius_mm[place.value]))
    else:
        part = part + _pull_to_vessel(traces, part[len(part) // 2], rng)
        near, far = RADIUS_MM[place]
        radius_mm = (near + (far - near) * position) * rng.uniform(0.85, 1.15)
    plaque = plaque_along_path(
        part, rng, volume_mm3=volume_mm3, length_mm=length_mm, radius_mm=radius_mm, peak_hu=peak_hu
    )
    return DrawnPlaque(plaque, place)


def believable(traces: CardiacTraces, points_mm_zyx: Float64Array) -> Float64Array:
    """Return how well a coronary could run through each point, 0.02 to 1: within the heart, with fat around it."""
    around = traces.surroundings
    fat = around.sample(around.fat_zyx, points_mm_zyx, outside=0.0)
    inside = around.sample(around.inside_zyx, points_mm_zyx, outside=0.0)
    return np.asarray(np.clip((fat - 0.04) / 0.16 * np.clip(2 * inside - 1, 0, 1), 0.02, 1.0))


def _draw_position(traces: CardiacTraces, rng: np.random.Generator, *, place: Place, around: float) -> float:
    """Return a position about a diseased place; where the course is a guess, rather where a vessel could be."""
    positions = np.clip(around + rng.normal(0, PLACE_SPREAD, N_POSITIONS), 0.02, 0.98)
    if place.value in traces.radius_mm:
        return float(positions[0])
    course = traces.branches[place.value]
    likely = believable(traces, course[np.rint(positions * (len(course) - 1)).astype(int)])
    return float(rng.choice(positions, p=likely / likely.sum()))


def _pull_to_vessel(traces: CardiacTraces, point_mm_zyx: Float64Array, rng: np.random.Generator) -> Float64Array:
    """Return the offset, in the plane, to what looks most like a vessel, with a little spread."""
    ticks = np.arange(-PULL_MM, PULL_MM + 0.5)
    offsets = np.stack(np.meshgrid([0.0], ticks, ticks, indexing="ij"), axis=-1).reshape(-1, 3)
    around = traces.surroundings
    likeness = around.sample(around.vessel_zyx, point_mm_zyx + offsets, outside=0.0)
    best = offsets[int((likeness - 0.03 * (offsets**2).sum(axis=1)).argmax())]
    return np.asarray(best + rng.normal(0, 0.5, 3) * (0.5, 1, 1))


def draw_noncoronary(
    traces: CardiacTraces, rng: np.random.Generator, *, place: Place, size: float, points_mm_zyx: Float64Array
) -> DrawnPlaque | None:
    """Return one noncoronary plaque, or ``None`` where the scan does not hold its place.

    Parameters
    ----------
    traces : CardiacTraces
        Aorta, annulus and box.
    rng : numpy.random.Generator
        Source of size, density and place.
    place : Place
        A noncoronary place.
    size : float
        Factor on lengths; 1 for usual plaques.
    points_mm_zyx : ndarray of float64, shape (n, 3)
        Candidate points for a calcified node or bronchus; ignored for other places.

    Returns
    -------
    DrawnPlaque or None
        The plaque.
    """
    if place in (Place.AORTIC_ROOT, Place.ASCENDING_AORTA, Place.DESCENDING_AORTA):
        plaque = _aortic_wall(traces, rng, place, size)
    elif place is Place.AORTIC_VALVE:
        plaque = _valve_cusp(traces, rng, size)
    elif place is Place.MITRAL_ANNULUS:
        plaque = _annulus(traces, rng, size)
    elif place is Place.PERICARDIUM:
        plaque = _pericardium(traces, rng, size)
    elif place is Place.BRONCHUS:
        plaque = _bronchus(points_mm_zyx, rng)
    else:
        plaque = _node(points_mm_zyx, rng, size)
    return None if plaque is None else DrawnPlaque(plaque, place)


def draw_motion(rng: np.random.Generator, *, is_moving: bool) -> dict[Place, CardiacMotion]:
    """Return how each place moves in one scan: one heart beat, turn and table for all, own direction and reach each."""
    period_s, rotation_s = float(rng.uniform(0.7, 1.1)), float(rng.uniform(0.4, 0.8))
    table_mm_per_s, start_s = float(rng.uniform(15, 45)), float(rng.uniform(0, 1))
    arc, strength = float(rng.uniform(1.1, 2.0)), float(rng.uniform(0.15, 1.0)) ** 1.5 if is_moving else 0.0
    return {
        place: CardiacMotion(
            amplitude_mm=strength * float(rng.uniform(*reach)),
            direction_rad=float(rng.uniform(0, 2 * np.pi)),
            heart_period_s=period_s,
            rotation_s=rotation_s,
            table_mm_per_s=table_mm_per_s,
            start_s=start_s,
            arc=arc,
            through_plane=float(rng.uniform(0, MAX_THROUGH_PLANE)),
        )
        for place, reach in MOTION_MM.items()
    }


def draw_peak_hu(rng: np.random.Generator) -> float:
    """Return a plaque's CT number before blur: log-normal about 560 HU, cut to 200 to 1400."""
    return float(np.clip(PEAK_MEDIAN_HU * np.exp(rng.normal(0, PEAK_LOG_SD)), *PEAK_HU))


def _aortic_wall(traces: CardiacTraces, rng: np.random.Generator, place: Place, size: float) -> Plaque | None:
    trace = traces.descending if place is Place.DESCENDING_AORTA else traces.ascending
    if trace is None:
        return None
    z_low, z_high = float(trace.center_mm_zyx[0, 0]), float(trace.center_mm_zyx[-1, 0])
    if place is not Place.DESCENDING_AORTA:
        middle = float(traces.frame.center_mm_zyx[0] + 0.62 * traces.frame.half_mm_zyx[0])
        z_low, z_high = (z_low, min(middle, z_high)) if place is Place.AORTIC_ROOT else (min(middle, z_high), z_high)
    z_mm = _wall_height(trace, rng, z_low, z_high)
    center, radius_mm = trace.at(z_mm)
    return plaque_on_wall(
        center,
        rng,
        wall_radius_mm=trace.wall_at(z_mm) - rng.uniform(*WALL_DEPTH_MM),
        angle_rad=_wall_angle(traces, trace, center, rng, place),
        width_mm=float(np.clip(3.6 * size * np.exp(rng.normal(0, 0.55)), 1.2, 0.9 * radius_mm)),
        height_mm=float(np.clip(3.4 * size * np.exp(rng.normal(0, 0.5)), 1.2, 15.0)),
        thickness_mm=float(np.clip(np.exp(rng.normal(0.25, 0.35)), 0.6, 2.8)),
        peak_hu=draw_peak_hu(rng),
    )


def _wall_height(trace: AortaTrace, rng: np.random.Generator, z_low_mm: float, z_high_mm: float) -> float:
    """Return a height between two, rather where much of the wall is seen."""
    heights_mm = rng.uniform(z_low_mm, z_high_mm, N_HEIGHTS)
    weight = UNSEEN_WEIGHT + np.array([trace.seen_at(float(z_mm)).mean() for z_mm in heights_mm])
    return float(rng.choice(heights_mm, p=weight / weight.sum()))


def _wall_angle(
    traces: CardiacTraces, trace: AortaTrace, center: Float64Array, rng: np.random.Generator, place: Place
) -> float:
    """Return an angle on the wall, rather where the wall is seen.

    In the root it often lies beside a coronary ostium, where it is mistaken for coronary.
    """
    is_seen = trace.seen_at(float(center[0]))
    step_rad = 2 * np.pi / len(is_seen)
    weight = np.where(is_seen, 1.0, UNSEEN_WEIGHT)
    if place is Place.AORTIC_ROOT and rng.random() < P_BESIDE_OSTIUM:
        ostium = traces.branches[rng.choice(["LM", "RCA"])][0] - center
        away = np.angle(np.exp(1j * (np.arange(len(is_seen)) * step_rad - np.arctan2(ostium[1], ostium[2]))))
        weight = weight * np.exp(-((away / OSTIUM_SPREAD_RAD) ** 2) / 2)
    angle = rng.choice(len(weight), p=weight / weight.sum()) + rng.uniform(-0.5, 0.5)
    return float(angle * step_rad)


def _valve_cusp(traces: CardiacTraces, rng: np.random.Generator, size: float) -> Plaque:
    frame = traces.frame
    z_mm = float(frame.center_mm_zyx[0] + rng.uniform(0.14, 0.34) * frame.half_mm_zyx[0])
    center, radius_mm = traces.ascending.at(z_mm)
    share = np.linspace(rng.uniform(0.1, 0.4), rng.uniform(0.6, 0.85), 12)
    angle = rng.uniform(0, 2 * np.pi) + rng.normal(0, 0.8) * (share - share[0])
    rise = rng.normal(0, 2.0) * (share - share.mean())
    path = center + np.stack([rise, share * radius_mm * np.sin(angle), share * radius_mm * np.cos(angle)], axis=1)
    volume_mm3 = float(np.clip(14.0 * size**2 * np.exp(rng.normal(0, 0.9)), 1.0, 250.0))
    return plaque_along_path(
        path, rng, volume_mm3=volume_mm3, length_mm=9.0 * size, radius_mm=1.6, peak_hu=draw_peak_hu(rng)
    )


def _annulus(traces: CardiacTraces, rng: np.random.Generator, size: float) -> Plaque:
    """Return calcium on the back of the mitral ring: inside the LCx's course, towards the valve's middle."""
    frame = traces.frame
    lcx = traces.branches[Place.LCX.value]
    medial = frame.to_mm_zyx(np.array([(0.12, 0.50, -0.18), (-0.02, 0.42, -0.22)]))
    ring = np.concatenate([lcx[int(0.45 * len(lcx)) :: 8], medial])
    inward = frame.to_mm_zyx(np.array([MITRAL_CENTER_XYZ]))[0] - ring
    ring = ring + inward / np.linalg.norm(inward, axis=1, keepdims=True) * rng.uniform(6.0, 11.0)
    dense = np.stack([np.interp(np.linspace(0, 1, 80), np.linspace(0, 1, len(ring)), ring[:, k]) for k in range(3)], 1)
    length_mm = float(np.clip(8.0 * size * np.exp(rng.normal(0, 0.6)), 2.5, 45.0))
    step_mm = float(np.linalg.norm(np.diff(dense, axis=0), axis=1).mean())
    n = int(np.clip(length_mm / step_mm, 4, len(dense)))
    start = int(rng.integers(0, len(dense) - n + 1))
    volume_mm3 = length_mm * float(np.clip(4.0 * size * np.exp(rng.normal(0, 0.6)), 0.8, 25.0))
    return plaque_along_path(
        dense[start : start + n],
        rng,
        volume_mm3=volume_mm3,
        length_mm=length_mm,
        radius_mm=rng.uniform(1.5, 3.2),
        peak_hu=draw_peak_hu(rng),
    )


def _pericardium(traces: CardiacTraces, rng: np.random.Generator, size: float) -> Plaque | None:
    """Return a plate on the border of the heart's mask, or ``None`` where the mask does not hold the drawn height."""
    frame = traces.frame
    center = frame.center_mm_zyx + np.array([rng.uniform(-0.5, 0.4), 0, 0]) * frame.half_mm_zyx
    border_mm = _mask_border_mm(traces, center)
    angle_rad = float(rng.uniform(0, 2 * np.pi))
    nearest = round(angle_rad * BORDER_ANGLES / (2 * np.pi)) % BORDER_ANGLES
    if border_mm[nearest] < MIN_BORDER_MM:
        return None
    return plaque_on_wall(
        center,
        rng,
        wall_radius_mm=border_mm - PERICARDIUM_DEPTH_MM,
        angle_rad=angle_rad,
        width_mm=float(rng.uniform(5, 25)) * size,
        height_mm=float(rng.uniform(3, 15)),
        thickness_mm=float(rng.uniform(0.8, 2.5)),
        peak_hu=draw_peak_hu(rng),
    )


def _mask_border_mm(traces: CardiacTraces, center_mm_zyx: Float64Array) -> Float64Array:
    """Return the farthest distance within the heart's mask at equally spaced angles about a point; 0 where none."""
    reach_mm = np.arange(0.0, 1.5 * float(traces.frame.half_mm_zyx[1:].max()), 1.0)
    angle = np.arange(BORDER_ANGLES) * 2 * np.pi / BORDER_ANGLES
    offset = np.stack([np.zeros(BORDER_ANGLES), np.sin(angle), np.cos(angle)], axis=1)
    points = center_mm_zyx + reach_mm[None, :, None] * offset[:, None, :]
    is_in = traces.surroundings.sample(traces.surroundings.inside_zyx, points, outside=0.0) > 0.5
    return np.asarray(np.where(is_in, reach_mm, 0.0).max(axis=1))


def _bronchus(points_mm_zyx: Float64Array, rng: np.random.Generator) -> Plaque | None:
    """Return a short strip of calcified cartilage in the wall of an airway."""
    if len(points_mm_zyx) < 2:
        return None
    middle = points_mm_zyx[rng.integers(len(points_mm_zyx))]
    near = points_mm_zyx[((points_mm_zyx - middle) ** 2).sum(axis=1) < 3.0**2]
    direction = near[rng.integers(len(near))] - middle
    length_mm = float(rng.uniform(1.5, 6.0))
    unit = direction / np.linalg.norm(direction) if np.linalg.norm(direction) > 0.1 else np.array([0.0, 1.0, 0.0])
    path = middle + np.linspace(-0.5, 0.5, 8)[:, None] * length_mm * unit
    volume_mm3 = length_mm * float(rng.uniform(0.6, 2.5))
    return plaque_along_path(
        path, rng, volume_mm3=volume_mm3, length_mm=length_mm, radius_mm=0.7, peak_hu=draw_peak_hu(rng)
    )


def _node(points_mm_zyx: Float64Array, rng: np.random.Generator, size: float) -> Plaque | None:
    if len(points_mm_zyx) == 0:
        return None
    center = points_mm_zyx[rng.integers(len(points_mm_zyx))]
    z, y, x = np.clip(size * rng.uniform(0.8, 3.0, 3), 0.6, 6.0)
    return plaque_nodule(center, rng, radii_mm_zyx=(float(z), float(y), float(x)), peak_hu=draw_peak_hu(rng))
