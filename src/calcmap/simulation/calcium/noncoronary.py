"""Calcium outside the coronaries: aorta, valves and, rarely, pericardium, muscle, lymph nodes and bronchi."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from calcmap.core.volume import Float64Array
from calcmap.simulation.anatomy.coronaries import CoronaryBranch
from calcmap.simulation.anatomy.heart import AORTA, LEFT_CAVITY, heart_distances_mm, reference_points
from calcmap.simulation.anatomy.lungs import airway_curves
from calcmap.simulation.anatomy.mediastinum import great_vessel_curve
from calcmap.simulation.anatomy.shapes import frame_along
from calcmap.simulation.anatomy.thorax import Anatomy
from calcmap.simulation.calcium.deposits import (
    Deposit,
    Origin,
    Plate,
    Tissue,
    angle_towards,
    blob_deposit,
    draw_plate,
    wall_deposit,
)

MESA_AGE_YEARS = 62.0
"""Mean age of the people in whom prevalences were counted."""
MOST_LIKELY = 0.95
CATEGORY_ODDS = (0.6, 1.0, 1.4, 2.0)
"""Odds by coronary category over those of the population (our choice: the same people calcify everywhere)."""
ROOT_START_MM = 9.0
"""Length of the aorta's curve below the sinuses."""
ARCH_HALF_MM = (22.0, 28.0)
"""Length of the arch before and behind its top."""
DESCENDING_BELOW_HEART_MM = 140.0
"""How far below the heart's middle the aorta is calcified here: no attenuation scan reaches further."""
AORTIC_WALL_INSIDE_MM = 0.5
N_TRIES, LEAST_WALL_SHARE = 5, 0.8
"""How often a side of the aorta is drawn again where a bend leaves no wall, and how far from its middle wall begins."""
PIECES_LOG = (-0.2, 0.8)
"""Mean and SD of ln of a patient's severity, which multiplies the number of further pieces (our choice)."""
OSTIAL_SHARE = 0.45
"""Share of root calcifications beside a coronary's ostium (our choice: what readers take for coronary calcium)."""
OSTIUM_SD_MM = 4.0
WALL_VOLUME_MM3, WALL_VOLUME_LOG_SD = 22.0, 1.2
VOLUME_RANGE_MM3 = (1.0, 900.0)
DENSITY_MG_CM3, DENSITY_LOG_SD = 480.0, 0.40
DENSITY_RANGE_MG_CM3 = (150.0, 1100.0)
VALVE_RADIUS_MM = 11.0
VALVE_MOST_PIECES = 25
VALVE_SIZE_LOG = (0.40, 0.45)
"""Mean and SD of ln radius in mm: with the number of pieces this gives MESA's median valve score of 56."""
MITRAL_CENTER_MM = (10.0, 21.0, -1.0)
MITRAL_NORMAL = (0.72, -0.52, -0.46)
MITRAL_TOWARDS_WALL = (0.35, 1.0, 0.1)
MITRAL_RADIUS_MM = 18.5
MITRAL_SPAN_LOG, MITRAL_WIDTH_LOG = (-0.6, 0.75), (1.05, 0.35)
"""Mean and SD of ln of a piece's angle (rad) and thickness (mm): this gives MESA's median annulus score of 71."""
PAPILLARY_AT = ((0.15, 0.55, 0.35), (0.15, -0.2, 0.6))
"""The two papillary muscles in the left cavity, in its radii along its own axes."""


@dataclass(frozen=True)
class Place:
    """How often a place calcifies, and in how many pieces."""

    prevalence: float
    """In people of 62 years, both sexes together."""
    source: str
    odds_per_decade: float
    odds_of_men: float
    """Men's odds over women's."""
    mean_pieces: float
    motion_share: float
    """Path during a slice relative to the right coronary's."""

    def probability(self, *, age_years: float, sex: str, category: int | None = None) -> float:
        """Return how likely the place is calcified at an age, in one sex and, if given, one coronary category."""
        odds = self.prevalence / (1 - self.prevalence)
        odds *= float(self.odds_per_decade ** ((age_years - MESA_AGE_YEARS) / 10))
        odds *= float(self.odds_of_men ** (0.5 if sex == "M" else -0.5))
        odds *= 1.0 if category is None else CATEGORY_ODDS[category]
        return odds / (1 + odds)


_MESA, _OURS = "MESA, 45-84 years without known disease", "our choice"
PLACES: dict[str, Place] = {
    "aortic_root": Place(0.10, _OURS, 2.2, 1.3, 1.6, 0.6),
    "aortic_valve": Place(0.125, f"{_MESA}: 630 of 5042", 2.2, 1.6, 2.2, 0.8),
    "mitral_annulus": Place(0.088, f"{_MESA}: 442 of 5042", 2.6, 0.8, 1.5, 0.8),
    "ascending_aorta": Place(0.04, "published figures of 3-5 %", 2.4, 1.0, 1.8, 0.3),
    "aortic_arch": Place(0.32, _OURS, 2.6, 1.0, 3.0, 0.1),
    "descending_aorta": Place(0.25, f"{_MESA}: thoracic aorta 1578 of 5886", 2.6, 0.9, 3.5, 0.1),
    "pericardium": Place(0.006, _OURS, 1.3, 1.5, 2.0, 0.8),
    "papillary_muscle": Place(0.010, _OURS, 1.8, 1.0, 1.3, 1.0),
    "lymph_node": Place(0.05, _OURS, 1.1, 1.0, 1.6, 0.0),
    "bronchus": Place(0.03, _OURS, 2.2, 0.5, 3.0, 0.0),
}
"""Ages of nuclear cardiology patients (60-75) raise these prevalences through the odds per decade (our choice, in the
range that cohort studies report)."""


def draw_noncoronary_deposits(
    rng: np.random.Generator,
    *,
    anatomy: Anatomy,
    branches: tuple[CoronaryBranch, ...],
    factor: float = 1.0,
    category: int | None = None,
) -> tuple[Deposit, ...]:
    """Return the deposits of one patient outside the coronaries, in patient coordinates.

    Parameters
    ----------
    rng : Generator
        This patient's random numbers.
    anatomy : Anatomy
        Whose chest.
    branches : tuple of CoronaryBranch
        The coronary tree in patient coordinates: calcifications of the aortic root prefer its ostia.
    factor : float
        Multiplies every prevalence (training wants more than nature gives); 0 gives none.
    category : int, optional
        Coronary category, 0 to 3: calcium elsewhere goes with it.

    Returns
    -------
    tuple of Deposit
        Of tissue `Tissue.NONCORONARY`.
    """
    person, landmarks = anatomy.person, _Landmarks(anatomy, branches)
    deposits: list[Deposit] = []
    for name, place in PLACES.items():
        chance = place.probability(age_years=person.age_years, sex=person.sex, category=category)
        if rng.random() < min(chance * factor, MOST_LIKELY):
            origin = Origin(Tissue.NONCORONARY, name, motion_share=place.motion_share)
            pieces = 1 + int(rng.poisson((place.mean_pieces - 1) * np.exp(rng.normal(*PIECES_LOG))))
            deposits += [_DRAW[name](rng, landmarks, origin) for _ in range(min(pieces, VALVE_MOST_PIECES))]
    return tuple(deposits)


@dataclass
class _Landmarks:
    """Curves and points of one patient, in patient coordinates, found when asked for."""

    anatomy: Anatomy
    branches: tuple[CoronaryBranch, ...]

    def from_reference(self, points_mm: Float64Array) -> Float64Array:
        """Return points of the reference heart (n, 3) in patient coordinates."""
        return self.anatomy.patient_points(self.anatomy.frame.from_reference(points_mm))

    @cached_property
    def aorta(self) -> tuple[Float64Array, Float64Array]:
        """The aorta's curve and radius."""
        curve, radius = great_vessel_curve(self.anatomy, "aorta")
        return self.anatomy.patient_points(curve), radius

    @cached_property
    def aortic_parts(self) -> dict[str, tuple[int, int]]:
        """First and last index of each part of the aorta's curve."""
        curve, _ = self.aorta
        along = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(curve, axis=0), axis=1))])
        junction = along[_nearest(curve, self.from_reference(AORTA.points_mm[2:3])[0])]
        top = along[int(np.argmax(curve[:, 2]))]
        lowest = _nearest(curve[:, 2:], np.array([self.anatomy.frame.center_mm[2] - DESCENDING_BELOW_HEART_MM]))
        ends = {
            "aortic_root": (ROOT_START_MM, junction),
            "ascending_aorta": (junction, top - ARCH_HALF_MM[0]),
            "aortic_arch": (top - ARCH_HALF_MM[0], top + ARCH_HALF_MM[1]),
            "descending_aorta": (top + ARCH_HALF_MM[1], along[lowest]),
        }
        return {name: (int(np.searchsorted(along, low)), int(np.searchsorted(along, high)))
                for name, (low, high) in ends.items()}  # fmt: skip

    @cached_property
    def ostia_mm(self) -> Float64Array:
        """Where coronaries spring from the aorta, shape (n, 3)."""
        return np.array([branch.points_mm[0] for branch in self.branches if branch.parent is None])

    @cached_property
    def airways(self) -> tuple[tuple[Float64Array, Float64Array], ...]:
        """Curves and radii of windpipe and large bronchi."""
        curves = airway_curves(self.anatomy)
        bent = self.anatomy.patient_points(np.vstack([curve for curve, _ in curves]))
        parts = np.split(bent, np.cumsum([len(curve) for curve, _ in curves])[:-1])
        return tuple((part, radii) for part, (_, radii) in zip(parts, curves, strict=True))


def _nearest(curve_mm: Float64Array, point_mm: Float64Array) -> int:
    return int(np.argmin(((curve_mm - point_mm) ** 2).sum(axis=1)))


def _density(rng: np.random.Generator) -> float:
    return float(np.clip(DENSITY_MG_CM3 * np.exp(rng.normal(0, DENSITY_LOG_SD)), *DENSITY_RANGE_MG_CM3))


def _aortic_wall(rng: np.random.Generator, landmarks: _Landmarks, origin: Origin) -> Deposit:
    low, high = landmarks.aortic_parts[origin.place]
    return _aortic_plate(rng, landmarks, origin, middle=int(rng.integers(low, max(high, low + 1))), towards_mm=None)


def _aortic_root(rng: np.random.Generator, landmarks: _Landmarks, origin: Origin) -> Deposit:
    """Return a calcification of the root's wall, often beside a coronary's ostium."""
    if rng.random() >= OSTIAL_SHARE or len(landmarks.ostia_mm) == 0:
        return _aortic_wall(rng, landmarks, origin)
    near = landmarks.ostia_mm[int(rng.integers(len(landmarks.ostia_mm)))] + rng.normal(0, OSTIUM_SD_MM, 3)
    middle = _nearest(landmarks.aorta[0], near)
    return _aortic_plate(rng, landmarks, origin, middle=middle, towards_mm=near)


def _aortic_plate(
    rng: np.random.Generator, landmarks: _Landmarks, origin: Origin, *, middle: int, towards_mm: Float64Array | None
) -> Deposit:
    curve, radius = landmarks.aorta
    half = min(15, middle, len(curve) - 1 - middle)
    middle, half = (middle, half) if half >= 1 else (max(1, min(middle, len(curve) - 2)), 1)
    part = slice(middle - half, middle + half + 1)
    volume = float(np.clip(WALL_VOLUME_MM3 * np.exp(rng.normal(0, WALL_VOLUME_LOG_SD)), *VOLUME_RANGE_MM3))
    thickness = float(np.clip(0.4 * volume ** (1 / 3) * rng.uniform(0.7, 1.3), 0.5, 2.4))
    wall = radius[part] - AORTIC_WALL_INSIDE_MM
    plate = draw_plate(rng, volume_mm3=volume, thickness_mm=thickness, density_mg_cm3=_density(rng),
                       radius_mm=float(wall[half]))  # fmt: skip
    angle = None if towards_mm is None else angle_towards(curve[part], towards_mm)
    for _ in range(N_TRIES):
        deposit = wall_deposit(rng, origin, curve_mm=curve[part], radius_mm=wall, plate=plate, angle=angle)
        # inside a tight bend the wall of one stretch lies in the lumen of the next
        away = np.sqrt(((deposit.parts_mm[:, None] - curve[part][None]) ** 2).sum(axis=2)).min(axis=1)
        if np.quantile(away, 0.1) > LEAST_WALL_SHARE * float(wall[half]):
            break
    return deposit


def _valve(rng: np.random.Generator, landmarks: _Landmarks, origin: Origin) -> Deposit:
    """Return a lump on one of the aortic valve's three cusps, near its hinge or along its edge."""
    points = AORTA.points_mm
    axes = frame_along(points[2] - points[0])
    cusp = rng.integers(3) * 2 * np.pi / 3 + rng.normal(0, 0.45)
    out = VALVE_RADIUS_MM * np.sqrt(rng.uniform(0.1, 1))
    up = rng.normal(0, 1.5) + 0.35 * (out - 0.6 * VALVE_RADIUS_MM)
    center = points[1] + up * axes[0] + out * (np.cos(cusp) * axes[1] + np.sin(cusp) * axes[2])
    radii = np.clip(np.exp(rng.normal(*VALVE_SIZE_LOG) + rng.normal(0, 0.25, 3)), 0.5, 5.0)
    return blob_deposit(rng, origin, center_mm=landmarks.from_reference(center[None])[0], radii_mm=radii,
                        density_mg_cm3=_density(rng))  # fmt: skip


def _mitral(rng: np.random.Generator, landmarks: _Landmarks, origin: Origin) -> Deposit:
    """Return a piece of the C-shaped calcification of the posterior annulus."""
    normal = np.asarray(MITRAL_NORMAL) / np.linalg.norm(MITRAL_NORMAL)
    back = np.asarray(MITRAL_TOWARDS_WALL) - normal * float(np.dot(normal, MITRAL_TOWARDS_WALL))
    back /= np.linalg.norm(back)
    across = np.cross(normal, back)
    span = float(np.clip(np.exp(rng.normal(*MITRAL_SPAN_LOG)), 0.12, 2.8))
    middle = rng.normal(0, 0.6)
    angles = np.linspace(middle - span / 2, middle + span / 2, max(5, int(span * MITRAL_RADIUS_MM)))
    ring = np.asarray(MITRAL_CENTER_MM) + MITRAL_RADIUS_MM * (
        np.cos(angles)[:, None] * back + np.sin(angles)[:, None] * across
    )
    wide = float(np.clip(np.exp(rng.normal(*MITRAL_WIDTH_LOG)), 1.0, 6.0)) * (0.7 + 0.3 * span)
    # a rod along the ring: a plate wrapped nearly around its own axis
    plate = Plate(span * MITRAL_RADIUS_MM, 0.8 * np.pi * wide, 0.5 * wide, _density(rng))
    return wall_deposit(rng, origin, curve_mm=landmarks.from_reference(ring), radius_mm=np.full(len(ring), 0.35 * wide),
                        plate=plate)  # fmt: skip


def _pericardial(rng: np.random.Generator, landmarks: _Landmarks, origin: Origin) -> Deposit:
    """Return a flat plaque on the sac's surface, found by walking outwards from the heart's middle."""
    direction = rng.normal(0, 1, 3)
    direction /= np.linalg.norm(direction)
    ray = np.linspace(20, 80, 61)[:, None] * direction
    sac = heart_distances_mm(reference_points(ray), fat_mm=landmarks.anatomy.person.epicardial_fat_mm)[1]
    point = ray[int(np.argmax(sac > 0))] if (sac > 0).any() else ray[-1]
    across = frame_along(direction)[1]
    line = landmarks.from_reference(point + np.linspace(-15, 15, 11)[:, None] * across)
    inwards = landmarks.from_reference((point - 10 * direction)[None])[0]
    plate = Plate(float(rng.uniform(3, 25)), float(rng.uniform(3, 12)), float(rng.uniform(0.7, 2.0)), _density(rng))
    angle = angle_towards(line, inwards)
    return wall_deposit(rng, origin, curve_mm=line, radius_mm=np.full(11, 1.0), plate=plate, angle=angle)


def _papillary(rng: np.random.Generator, landmarks: _Landmarks, origin: Origin) -> Deposit:
    at = np.asarray(PAPILLARY_AT[int(rng.integers(len(PAPILLARY_AT)))])
    center = LEFT_CAVITY.center_mm + (at * LEFT_CAVITY.radii_mm) @ LEFT_CAVITY.rotation + rng.normal(0, 2, 3)
    return blob_deposit(rng, origin, center_mm=landmarks.from_reference(center[None])[0],
                        radii_mm=rng.uniform(0.7, 2.0, 3), density_mg_cm3=_density(rng))  # fmt: skip


def _node(rng: np.random.Generator, landmarks: _Landmarks, origin: Origin) -> Deposit:
    curve, radii = landmarks.airways[int(rng.integers(1, len(landmarks.airways)))]
    k = int(rng.integers(1, len(curve) - 1))
    direction = rng.normal(0, 1, 3)
    center = curve[k] + direction / np.linalg.norm(direction) * (float(radii[k]) + rng.uniform(4, 9))
    size = rng.uniform(1.0, 4.5) * rng.uniform(0.7, 1.3, 3)
    return blob_deposit(rng, origin, center_mm=center, radii_mm=size, density_mg_cm3=_density(rng))


def _bronchial(rng: np.random.Generator, landmarks: _Landmarks, origin: Origin) -> Deposit:
    curve, radii = landmarks.airways[int(rng.integers(len(landmarks.airways)))]
    low = int(rng.integers(0, max(len(curve) - 4, 1)))
    plate = Plate(float(rng.uniform(2, 14)), float(rng.uniform(2, 10)), float(rng.uniform(0.5, 1.0)),
                  0.6 * _density(rng))  # fmt: skip
    return wall_deposit(rng, origin, curve_mm=curve[low : low + 4], radius_mm=radii[low : low + 4] + 0.6, plate=plate)


_DRAW: dict[str, Callable[[np.random.Generator, _Landmarks, Origin], Deposit]] = {
    "aortic_root": _aortic_root,
    "aortic_valve": _valve,
    "mitral_annulus": _mitral,
    "ascending_aorta": _aortic_wall,
    "aortic_arch": _aortic_wall,
    "descending_aorta": _aortic_wall,
    "pericardium": _pericardial,
    "papillary_muscle": _papillary,
    "lymph_node": _node,
    "bronchus": _bronchial,
}
