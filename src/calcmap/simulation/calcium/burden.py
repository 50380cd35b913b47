"""How much coronary calcium a patient has: plaques drawn along the tree until the ideal score is reached."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import special

from calcmap.core.errors import ConfigError
from calcmap.core.result import Vessel
from calcmap.core.volume import Float64Array
from calcmap.simulation.anatomy.coronaries import CoronaryBranch
from calcmap.simulation.calcium.deposits import Deposit, Origin, Plate, Tissue, draw_plate, wall_deposit
from calcmap.simulation.calcium.ideal_scan import IdealScan, ideal_agatston

CATEGORY_SHARES = (0.400, 0.262, 0.156, 0.182)
"""Miller 2023: share of patients with a score of 0, 1-100, 101-400 and above."""
CATEGORY_LIMITS = ((0.0, 0.0), (1.0, 100.0), (101.0, 400.0), (401.0, 6000.0))
MESA_LOG_SCORE = {"M": (0.153612, 0.072702, 1.713372), "F": (1.297325, 0.043854, 1.814196)}
"""Mean of ln score at 0 years, its rise per year, and its SD, of white people with calcium (fitted to MESA's tool)."""
MESA_AGES = (45.0, 84.0)
"""The ages that MESA studied."""

VESSEL_SHARES = {Vessel.LM: 0.08, Vessel.LAD: 0.46, Vessel.LCX: 0.17, Vessel.RCA: 0.29}
"""Mean share of plaques by vessel (our choice: the anterior descending first, as every series finds)."""
VESSEL_LOG_SD = 1.0
"""Spread, from patient to patient, of how prone a vessel is: mild disease keeps to one or two (our choice)."""
SIDE_BRANCH_WEIGHT = 0.25
"""Plaques per mm of side branch over those of the parent (our choice)."""
DECAY_MM = {"LM": 40.0, "LAD": 32.0, "LCx": 32.0, "RCA": 60.0}
SIDE_DECAY_MM = 14.0
"""Length over which plaques become rarer from a branch's root (our choice: the proximal thirds carry most)."""
FORK_GAIN, FORK_REACH_MM = 1.2, 4.0
"""More plaques where branches part, and within which distance (our choice)."""
CLUSTER_GAIN, CLUSTER_REACH_MM = 1.5, 9.0
"""More plaques near a plaque (our choice)."""
VOLUME_MEDIAN_MM3 = 3.8
VOLUME_LOG_SD = 1.38
"""True volumes, calibrated so that *visible* lesions have the real ones' sizes (29 lesions of public masks: median
10 mm3, quartiles 4.6 and 36, tenth and ninetieth percentile 2.3 and 74)."""
VOLUME_RANGE_MM3 = (0.4, 700.0)
HEAVY_FROM, HEAVY_POWER = 150.0, 0.35
"""Scores above this come in larger pieces: the median volume rises with this power of the score (our choice)."""
DENSITY_MG_CM3, DENSITY_LOG_SD = 520.0, 0.40
DENSITY_RANGE_MG_CM3 = (160.0, 1000.0)
"""Hydroxyapatite in a plaque's middle (our choice: lesion maxima on CT then lie at 200-500 HU in the middle)."""
THICKNESS_SHARE = 0.55
"""Thickness over the cube root of the volume (our choice: a plate about 3 x 2 times as long and wide as thick)."""
RAILWAY_FROM, RAILWAY_FULL, RAILWAY_SHARE = 400.0, 2000.0, 0.7
"""Long calcification of both walls: none below the first score, in this share of patients above the second."""
VESSEL_SPEED = {Vessel.RCA: 1.0, Vessel.LCX: 0.7, Vessel.LM: 0.4, Vessel.LAD: 0.35}
"""Path during a slice relative to the right coronary's (mean speeds 69.5, 48.4 and 22.4 mm/s)."""
MOST_PLAQUES = 400
N_SHRINKS = 6
SHRINK_RANGE = (0.2, 0.8)
"""By how much a plaque that overshoots is made smaller at once."""
CLOSE_ENOUGH = 0.92
"""Drawing stops at this share of the wanted score."""


def draw_category(rng: np.random.Generator, *, shares: tuple[float, ...] = CATEGORY_SHARES) -> int:
    """Return a score category, 0 to 3."""
    return int(rng.choice(len(shares), p=np.asarray(shares) / np.sum(shares)))


def draw_target_score(rng: np.random.Generator, *, category: int, age_years: float, sex: str) -> float:
    """Return an Agatston score within a category, as likely as in people of this age and sex; 0 in category 0.

    Scores of people with calcium are log-normal; the draw is truncated to the category. Ages outside MESA's 45-84 count
    as the nearest of those.

    Raises
    ------
    ConfigError
        The category is not 0 to 3, or the sex neither ``"M"`` nor ``"F"``.

    References
    ----------
    McClelland 2006: MESA's scores by age and sex; the log-normal is a third party's fit to its published tool.
    """
    if category not in range(len(CATEGORY_LIMITS)) or sex not in MESA_LOG_SCORE:
        raise ConfigError(f"category is {category} and sex {sex!r}, expected 0 to 3 and 'M' or 'F'")
    if category == 0:
        return 0.0
    start, rise, sd = MESA_LOG_SCORE[sex]
    mean = start + rise * float(np.clip(age_years, *MESA_AGES))
    low, high = (float(special.ndtr((np.log(limit) - mean) / sd)) for limit in CATEGORY_LIMITS[category])
    drawn = float(np.exp(mean + sd * special.ndtri(rng.uniform(low, high))))
    return float(np.clip(drawn, *CATEGORY_LIMITS[category]))


def draw_coronary_deposits(
    rng: np.random.Generator, *, branches: tuple[CoronaryBranch, ...], category: int, target_score: float
) -> tuple[tuple[Deposit, ...], float]:
    """Return deposits along the coronaries and their ideal Agatston score, which lies within the category.

    Plaques are added until the target is nearly reached; one that would overshoot it, or the category, is made smaller.
    Their places follow how prone each vessel of this patient is, falling from the roots, with clusters at forks and
    around earlier plaques. Heavy burdens may begin with long calcifications of both walls.

    Parameters
    ----------
    rng : Generator
        This patient's random numbers.
    branches : tuple of CoronaryBranch
        The tree; deposits come in its coordinates.
    category : int
        0 to 3.
    target_score : float
        Wanted score, within the category.

    Returns
    -------
    tuple of Deposit
        None in category 0.
    float
        Their joint ideal score.
    """
    if category == 0:
        return (), 0.0
    tree = _Tree(rng, branches)
    scan = IdealScan(tree.points_mm)
    limit = min(CATEGORY_LIMITS[category][1], 1.1 * target_score + 1)
    least = max(CATEGORY_LIMITS[category][0], CLOSE_ENOUGH * target_score)
    deposits: list[Deposit] = []
    score = 0.0
    wanted = [*_railway(rng, tree, target_score=target_score)]
    for _ in range(MOST_PLAQUES):
        if score >= least:
            break
        site = wanted.pop() if wanted else _draw_site(rng, tree, target_score=target_score)
        for _ in range(N_SHRINKS):
            deposit = site.deposit(rng)
            added, found = scan.gain(deposit)
            if score + added <= limit:
                break
            site = site.smaller(volume_factor=(limit - score) / added)
        if found is not None and 0 <= added <= limit - score:
            scan.plant(found)
            tree.remember(site)
            deposits.append(deposit)
            score += added
    return tuple(deposits), scan.agatston()


@dataclass(frozen=True)
class _Site:
    """Where one plaque goes, and how large it is."""

    branch: CoronaryBranch
    point: int
    plate: Plate
    angle: float

    def deposit(self, rng: np.random.Generator) -> Deposit:
        branch, half = self.branch, 2 + int(self.plate.length_mm)
        half = min(half, max(self.point, 1), max(len(branch.points_mm) - 1 - self.point, 1))
        middle = int(np.clip(self.point, half, len(branch.points_mm) - 1 - half))
        part = slice(middle - half, middle + half + 1)
        # a plaque thickens the wall outwards: its inner face stays near the lumen
        middle_layer = branch.radius_mm[part] + 0.4 * self.plate.thickness_mm
        origin = Origin(Tissue.CORONARY, branch.name, branch.vessel, VESSEL_SPEED[branch.vessel])
        return wall_deposit(
            rng, origin, curve_mm=branch.points_mm[part], radius_mm=middle_layer, plate=self.plate, angle=self.angle
        )

    def smaller(self, *, volume_factor: float) -> _Site:
        plate = self.plate
        factor = float(np.clip(0.9 * volume_factor, *SHRINK_RANGE)) ** (1 / 3)
        smaller = Plate(plate.length_mm * factor, plate.arc_mm * factor, plate.thickness_mm * factor,
                        plate.density_mg_cm3)  # fmt: skip
        return _Site(self.branch, self.point, smaller, self.angle)


class _Tree:
    """How likely a plaque is at each point of one patient's tree."""

    def __init__(self, rng: np.random.Generator, branches: tuple[CoronaryBranch, ...]) -> None:
        self.branches = branches
        self._number = {branch.name: k for k, branch in enumerate(branches)}
        self.points_mm = np.vstack([branch.points_mm for branch in branches])
        self._owner = np.repeat(np.arange(len(branches)), [len(branch.points_mm) for branch in branches])
        self._along = np.concatenate([np.arange(len(branch.points_mm)) for branch in branches])
        weight = np.concatenate([_fall(branch) for branch in branches])
        forks = np.array([branch.points_mm[0] for branch in branches])
        distance2 = ((self.points_mm[:, None] - forks[None]) ** 2).sum(axis=2).min(axis=1)
        weight *= 1 + FORK_GAIN * np.exp(-0.5 * distance2 / FORK_REACH_MM**2)
        vessel = np.array([list(VESSEL_SHARES).index(branch.vessel) for branch in branches])[self._owner]
        prone = np.array(list(VESSEL_SHARES.values())) * np.exp(rng.normal(0, VESSEL_LOG_SD, len(VESSEL_SHARES)))
        total = np.bincount(vessel, weights=weight, minlength=len(prone))
        self._weight = weight * (prone / total)[vessel]

    def draw_point(self, rng: np.random.Generator) -> tuple[CoronaryBranch, int]:
        """Return a branch and the index of a point of it."""
        sums = np.cumsum(self._weight)
        k = int(np.searchsorted(sums, rng.random() * sums[-1]))
        return self.branches[self._owner[k]], int(self._along[k])

    def remember(self, site: _Site) -> None:
        """Make plaques likelier near a new one, and unlikely on top of it."""
        is_branch = self._owner == self._number[site.branch.name]
        away = np.abs(self._along[is_branch] - site.point)
        self._weight[is_branch] *= 1 + CLUSTER_GAIN * np.exp(-0.5 * (away / CLUSTER_REACH_MM) ** 2)
        # other branches' roots may lie just as close
        distance2 = ((self.points_mm - site.branch.points_mm[site.point]) ** 2).sum(axis=1)
        self._weight *= 1 - 0.9 * np.exp(-0.5 * distance2 / (0.5 * site.plate.length_mm + 1.5) ** 2)


def _fall(branch: CoronaryBranch) -> Float64Array:
    """Return how plaques become rarer along a branch."""
    along = np.arange(len(branch.points_mm), dtype=np.float64)
    if branch.name in DECAY_MM:
        return np.exp(-along / DECAY_MM[branch.name])
    return SIDE_BRANCH_WEIGHT * np.exp(-along / SIDE_DECAY_MM)


def _draw_site(rng: np.random.Generator, tree: _Tree, *, target_score: float) -> _Site:
    branch, point = tree.draw_point(rng)
    median = VOLUME_MEDIAN_MM3 * max(1.0, target_score / HEAVY_FROM) ** HEAVY_POWER
    volume = float(np.clip(median * np.exp(rng.normal(0, VOLUME_LOG_SD)), *VOLUME_RANGE_MM3))
    thickness = float(np.clip(THICKNESS_SHARE * volume ** (1 / 3) * rng.uniform(0.7, 1.3), 0.4, 2.6))
    plate = draw_plate(rng, volume_mm3=volume, thickness_mm=thickness, density_mg_cm3=_draw_density(rng),
                       radius_mm=float(branch.radius_mm[point]) + 0.4 * thickness)  # fmt: skip
    return _Site(branch, point, plate, float(rng.uniform(0, 2 * np.pi)))


def _draw_density(rng: np.random.Generator) -> float:
    return float(np.clip(DENSITY_MG_CM3 * np.exp(rng.normal(0, DENSITY_LOG_SD)), *DENSITY_RANGE_MG_CM3))


def _railway(rng: np.random.Generator, tree: _Tree, *, target_score: float) -> list[_Site]:
    """Return the pieces of a long calcification of both walls, in patients who have one."""
    share = RAILWAY_SHARE * np.clip((target_score - RAILWAY_FROM) / (RAILWAY_FULL - RAILWAY_FROM), 0, 1)
    if rng.random() >= share:
        return []
    branch = {b.name: b for b in tree.branches}[str(rng.choice(["LAD", "RCA", "LCx"], p=[0.5, 0.35, 0.15]))]
    start, length, angle = int(rng.integers(2, 25)), rng.uniform(15, 45), rng.uniform(0, 2 * np.pi)
    sites = []
    at = float(start)
    while at < min(start + length, len(branch.points_mm) - 6):
        piece = float(rng.uniform(4, 13))
        for side in (0.0, np.pi):
            if rng.random() < 0.85:
                arc = float(rng.uniform(0.6, 1.3)) * float(branch.radius_mm[int(at)])
                plate = Plate(piece, arc, float(rng.uniform(0.5, 1.0)), _draw_density(rng))
                sites.append(_Site(branch, int(at + piece / 2), plate, float(angle + side + rng.normal(0, 0.3))))
        at += piece + float(rng.uniform(0.2, 2.5))
    return sites


__all__ = ["CATEGORY_LIMITS", "CATEGORY_SHARES", "draw_category", "draw_coronary_deposits", "draw_target_score",
           "ideal_agatston"]  # fmt: skip
