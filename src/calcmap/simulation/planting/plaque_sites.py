"""Where plaques sit and how large they are: draws for every site of the heart and its great vessels."""

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
from calcmap.simulation.planting.tracing import COURSES_XYZ, MITRAL_CENTER_XYZ, CardiacTraces


class Site(StrEnum):
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


CORONARY_SHARE = {
    Site.LM: 0.09,
    Site.LAD: 0.36,
    Site.DIAGONAL: 0.07,
    Site.LCX: 0.15,
    Site.MARGINAL: 0.05,
    Site.RCA: 0.24,
    Site.PDA: 0.04,
}
"""Share of lesions by branch (our choice: LAD first, then RCA and LCx, few in side branches)."""
RADIUS_MM = {
    Site.LM: (2.3, 2.2),
    Site.LAD: (1.85, 0.95),
    Site.DIAGONAL: (1.1, 0.8),
    Site.LCX: (1.7, 1.2),
    Site.MARGINAL: (1.1, 0.8),
    Site.RCA: (1.95, 1.4),
    Site.PDA: (1.1, 0.8),
}
"""Proximal and distal radius (Dodge 1992, halves of the diameters in FACTS 8.4; side branches ours)."""
MOTION_MM = {
    Site.LM: (1.0, 4.0),
    Site.LAD: (1.0, 5.0),
    Site.DIAGONAL: (1.0, 5.0),
    Site.LCX: (2.0, 7.0),
    Site.MARGINAL: (2.0, 7.0),
    Site.RCA: (3.0, 10.0),
    Site.PDA: (2.0, 7.0),
    Site.AORTIC_ROOT: (1.0, 6.0),
    Site.AORTIC_VALVE: (2.0, 7.0),
    Site.MITRAL_ANNULUS: (3.0, 9.0),
    Site.ASCENDING_AORTA: (0.5, 3.0),
    Site.DESCENDING_AORTA: (0.0, 0.8),
    Site.PERICARDIUM: (0.5, 4.0),
    Site.NODE: (0.0, 1.5),
}
"""In-plane excursion of a beat; the order RCA > LCx > LM > LAD is Mao 2000's, the ranges ours (FACTS 8.4)."""

PEAK_HU = (200.0, 1600.0)
PEAK_MEDIAN_HU, PEAK_LOG_SD = 560.0, 0.5
CORONARY_VOLUME_LOG_SD = 1.35
CORONARY_VOLUME_LIMITS_MM3 = (0.4, 300.0)


@dataclass(frozen=True, eq=False)
class DrawnPlaque:
    """A plaque with its site."""

    plaque: Plaque
    site: Site

    @property
    def vessel(self) -> Vessel | None:
        """Coronary vessel, or ``None`` for noncoronary sites."""
        return COURSES_XYZ[self.site.value][0] if self.site in CORONARY_SHARE else None

    @property
    def calcium_class(self) -> CalciumClass:
        """Coronary or noncoronary."""
        return CalciumClass.CORONARY if self.site in CORONARY_SHARE else CalciumClass.NONCORONARY


def draw_coronary(
    traces: CardiacTraces, rng: np.random.Generator, *, site: Site, around: float, median_volume_mm3: float
) -> DrawnPlaque:
    """Return one coronary plaque.

    Parameters
    ----------
    traces : CardiacTraces
        Vessel courses.
    rng : numpy.random.Generator
        Source of size, density, side and place.
    site : Site
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
    path = traces.branches[site.value]
    length_all_mm = float(np.linalg.norm(np.diff(path, axis=0), axis=1).sum())
    drawn = median_volume_mm3 * np.exp(rng.normal(0, CORONARY_VOLUME_LOG_SD))
    volume_mm3 = float(np.clip(drawn, *CORONARY_VOLUME_LIMITS_MM3))
    length_mm = float(np.clip(2.0 * volume_mm3**0.42 * np.exp(rng.normal(0, 0.3)), 1.2, 22.0))
    place = float(np.clip(around + rng.normal(0, 0.1), 0.02, 0.98))
    near, far = RADIUS_MM[site]
    radius_mm = (near + (far - near) * place) * rng.uniform(0.85, 1.15)
    middle_mm = np.clip(place * length_all_mm, length_mm / 2, max(length_all_mm - length_mm / 2, length_mm / 2))
    along = np.linspace(0, length_all_mm, len(path))
    is_part = np.abs(along - middle_mm) <= length_mm / 2 + 0.8
    part = path[is_part] + rng.normal(0, 0.6, 3) * (0.5, 1, 1)
    plaque = plaque_along_path(
        part, rng, volume_mm3=volume_mm3, length_mm=length_mm, radius_mm=radius_mm, peak_hu=draw_peak_hu(rng)
    )
    return DrawnPlaque(plaque, site)


def draw_noncoronary(
    traces: CardiacTraces, rng: np.random.Generator, *, site: Site, size: float, soft_points_mm_zyx: Float64Array
) -> DrawnPlaque | None:
    """Return one noncoronary plaque, or ``None`` where the scan does not hold its site.

    Parameters
    ----------
    traces : CardiacTraces
        Aorta, annulus and box.
    rng : numpy.random.Generator
        Source of size, density and place.
    site : Site
        A noncoronary site.
    size : float
        Factor on lengths; 1 for usual plaques.
    soft_points_mm_zyx : ndarray of float64, shape (n, 3)
        Candidate places for a calcified node.

    Returns
    -------
    DrawnPlaque or None
        The plaque.
    """
    if site in (Site.AORTIC_ROOT, Site.ASCENDING_AORTA, Site.DESCENDING_AORTA):
        plaque = _aortic_wall(traces, rng, site, size)
    elif site is Site.AORTIC_VALVE:
        plaque = _valve_cusp(traces, rng, size)
    elif site is Site.MITRAL_ANNULUS:
        plaque = _annulus(traces, rng, size)
    elif site is Site.PERICARDIUM:
        plaque = _pericardium(traces, rng, size)
    else:
        plaque = _node(soft_points_mm_zyx, rng, size)
    return None if plaque is None else DrawnPlaque(plaque, site)


def draw_motion(rng: np.random.Generator, *, is_moving: bool) -> dict[Site, CardiacMotion]:
    """Return how each site moves in one scan: one heart beat, turn and table for all, own direction and reach each."""
    period_s, rotation_s = float(rng.uniform(0.7, 1.1)), float(rng.uniform(0.4, 0.8))
    table_mm_per_s, start_s = float(rng.uniform(15, 45)), float(rng.uniform(0, 1))
    arc, strength = float(rng.uniform(1.1, 2.0)), float(rng.uniform(0.3, 1.0)) if is_moving else 0.0
    return {
        site: CardiacMotion(
            amplitude_mm=strength * float(rng.uniform(*reach)),
            direction_rad=float(rng.uniform(0, 2 * np.pi)),
            heart_period_s=period_s,
            rotation_s=rotation_s,
            table_mm_per_s=table_mm_per_s,
            start_s=start_s,
            arc=arc,
        )
        for site, reach in MOTION_MM.items()
    }


def draw_peak_hu(rng: np.random.Generator) -> float:
    """Return a plaque's CT number before blur: log-normal about 560 HU, cut to 200 to 1600."""
    return float(np.clip(PEAK_MEDIAN_HU * np.exp(rng.normal(0, PEAK_LOG_SD)), *PEAK_HU))


def _aortic_wall(traces: CardiacTraces, rng: np.random.Generator, site: Site, size: float) -> Plaque | None:
    trace = traces.descending if site is Site.DESCENDING_AORTA else traces.ascending
    if trace is None:
        return None
    z_low, z_high = float(trace.center_mm_zyx[0, 0]), float(trace.center_mm_zyx[-1, 0])
    if site is not Site.DESCENDING_AORTA:
        middle = float(traces.frame.center_mm_zyx[0] + 0.62 * traces.frame.half_mm_zyx[0])
        z_low, z_high = (z_low, min(middle, z_high)) if site is Site.AORTIC_ROOT else (min(middle, z_high), z_high)
    center, radius_mm = trace.at(float(rng.uniform(z_low, z_high)))
    return plaque_on_wall(
        center,
        rng,
        wall_radius_mm=radius_mm - rng.uniform(0.3, 1.5),
        angle_rad=_wall_angle(traces, center, rng, site),
        width_mm=float(np.clip(5.0 * size * np.exp(rng.normal(0, 0.6)), 1.5, 1.6 * radius_mm)),
        height_mm=float(np.clip(4.0 * size * np.exp(rng.normal(0, 0.5)), 1.5, 15.0)),
        thickness_mm=float(np.clip(np.exp(rng.normal(0.1, 0.35)), 0.6, 2.4)),
        peak_hu=draw_peak_hu(rng),
    )


def _wall_angle(traces: CardiacTraces, center: Float64Array, rng: np.random.Generator, site: Site) -> float:
    """Return an angle on the wall; in the root often beside a coronary ostium, where it is mistaken for coronary."""
    if site is Site.AORTIC_ROOT and rng.random() < 0.4:
        ostium = traces.branches[rng.choice(["LM", "RCA"])][0] - center
        return float(np.arctan2(ostium[1], ostium[2]) + rng.normal(0, 0.4))
    return float(rng.uniform(0, 2 * np.pi))


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
    lcx = traces.branches[Site.LCX.value]
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


def _pericardium(traces: CardiacTraces, rng: np.random.Generator, size: float) -> Plaque:
    frame = traces.frame
    angle, z_unit = rng.uniform(0, 2 * np.pi), rng.uniform(-0.5, 0.4)
    wall_mm = 0.93 * float(min(frame.half_mm_zyx[1:])) * np.sqrt(1 - 0.5 * z_unit**2)
    center = frame.center_mm_zyx + np.array([z_unit, 0, 0]) * frame.half_mm_zyx
    return plaque_on_wall(
        center,
        rng,
        wall_radius_mm=wall_mm,
        angle_rad=angle,
        width_mm=float(rng.uniform(5, 25)) * size,
        height_mm=float(rng.uniform(3, 15)),
        thickness_mm=float(rng.uniform(0.8, 2.5)),
        peak_hu=draw_peak_hu(rng),
    )


def _node(soft_points_mm_zyx: Float64Array, rng: np.random.Generator, size: float) -> Plaque | None:
    if len(soft_points_mm_zyx) == 0:
        return None
    center = soft_points_mm_zyx[rng.integers(len(soft_points_mm_zyx))]
    z, y, x = np.clip(size * rng.uniform(0.8, 3.0, 3), 0.6, 6.0)
    return plaque_nodule(center, rng, radii_mm_zyx=(float(z), float(y), float(x)), peak_hu=draw_peak_hu(rng))
