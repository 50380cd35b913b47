"""How much coronary calcium a patient has: lesions drawn until the ideal score is reached."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from calcmap.core.result import Vessel
from calcmap.simulation.anatomy.coronaries import CoronaryBranch
from calcmap.simulation.calcium.deposits import Deposit, PlateSize, Tissue, wall_deposit
from calcmap.simulation.calcium.rendering import Blur, seen_by_scanner
from calcmap.simulation.scanner.imaging import CtAxes

CATEGORY_SHARES = (0.400, 0.262, 0.156, 0.182)
"""Miller 2023: share of patients with a score of 0, 1-100, 101-400 and above."""
CATEGORY_LIMITS = ((0.0, 0.0), (1.0, 100.0), (101.0, 400.0), (401.0, 6000.0))
THRESHOLD_HU = 130.0
AGATSTON_STEPS_HU = (130, 200, 300, 400)
IDEAL_PIXEL_MM = 0.5
IDEAL_SLICE_MM = 3.0
IDEAL_SIGMA_MM = 0.55
"""A gated calcium scan's pixel, slice and blur (MTF 50 % near 0.34 / mm)."""
SOFT_TISSUE_HU = 40.0
LESION_VOLUME_MEDIAN_MM3 = 14.0
LESION_VOLUME_LOG_SD = 1.25
"""Real lesions: median 10 mm3, tenth to ninetieth percentile 2-74 mm3 (29 lesions of public masks)."""
BRANCH_WEIGHTS = {
    "LM": 0.09,
    "LAD": 0.34,
    "D1": 0.04,
    "D2": 0.02,
    "LCx": 0.15,
    "OM1": 0.03,
    "RCA": 0.28,
    "PDA": 0.03,
    "AM": 0.02,
}
VESSEL_SPEED = {Vessel.RCA: 1.0, Vessel.LCX: 0.7, Vessel.LM: 0.4, Vessel.LAD: 0.35}
"""Path during a slice relative to the right coronary's (mean speeds 69.5, 48.4 and 22.4 mm/s)."""


def ideal_agatston(deposit: Deposit) -> float:
    """Return the Agatston score that an ideal gated scan of the deposit alone would give: sharp, still, noise-free.

    Pixels 0.5 mm, slices 3 mm, 120 kVp; 8-connected lesions of at least 1 mm2.
    """
    low, high = deposit.parts_mm.min(axis=0) - 6, deposit.parts_mm.max(axis=0) + 6
    axes = CtAxes(
        z_mm=np.arange(np.floor(low[2] / IDEAL_SLICE_MM) * IDEAL_SLICE_MM, high[2], IDEAL_SLICE_MM),
        y_mm=np.arange(low[1], high[1], IDEAL_PIXEL_MM),
        x_mm=np.arange(low[0], high[0], IDEAL_PIXEL_MM),
    )
    found = seen_by_scanner(deposit, axes=axes, blur=Blur(IDEAL_SIGMA_MM, IDEAL_SLICE_MM))
    if found is None:
        return 0.0
    score = 0.0
    for plane in found[1] + SOFT_TISSUE_HU:
        lesions, n = ndimage.label(plane >= THRESHOLD_HU, np.ones((3, 3)))
        for k in range(1, n + 1):
            inside = plane[lesions == k]
            area = len(inside) * IDEAL_PIXEL_MM**2
            if area >= 1.0:
                score += area * float(np.searchsorted(AGATSTON_STEPS_HU, inside.max(), side="right"))
    return score


def draw_category(rng: np.random.Generator, *, shares: tuple[float, ...] = CATEGORY_SHARES) -> int:
    """Return a score category, 0 to 3."""
    return int(rng.choice(len(shares), p=np.asarray(shares) / np.sum(shares)))


def draw_target_score(rng: np.random.Generator, *, category: int) -> float:
    """Return a score within a category: log-uniform, above 400 with a falling tail."""
    if category == 0:
        return 0.0
    low, high = CATEGORY_LIMITS[category]
    if category == len(CATEGORY_LIMITS) - 1:
        return float(np.clip(low * np.exp(rng.exponential(0.75)), low, high))
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def draw_coronary_deposits(
    rng: np.random.Generator, *, branches: tuple[CoronaryBranch, ...], category: int
) -> tuple[tuple[Deposit, ...], float]:
    """Return deposits along the coronaries and their ideal Agatston score, which lies within the category.

    Deposits are added until the target is reached; one that would overshoot the category is made smaller.
    """
    target = draw_target_score(rng, category=category)
    limit = min(CATEGORY_LIMITS[category][1], 1.25 * target + 2)
    deposits: list[Deposit] = []
    score = 0.0
    for _ in range(400):
        if score >= 0.85 * target and score >= CATEGORY_LIMITS[category][0]:
            break
        volume = _draw_volume(rng, missing=target - score)
        for _ in range(8):
            deposit = _draw_coronary(rng, branches, volume_mm3=volume)
            added = ideal_agatston(deposit)
            if score + added <= limit:
                break
            volume *= 0.55
        if added >= 0.5 and score + added <= limit:
            deposits.append(deposit)
            score += added
    return tuple(deposits), score


def _draw_volume(rng: np.random.Generator, *, missing: float) -> float:
    """Return a lesion volume; heavy burdens come in larger pieces."""
    median = LESION_VOLUME_MEDIAN_MM3 * max(1.0, (missing / 200) ** 0.6)
    return float(np.clip(median * np.exp(rng.normal(0, LESION_VOLUME_LOG_SD)), 1.0, 900.0))


def _draw_coronary(rng: np.random.Generator, branches: tuple[CoronaryBranch, ...], *, volume_mm3: float) -> Deposit:
    weights = np.array([BRANCH_WEIGHTS[branch.name] for branch in branches])
    branch = branches[int(rng.choice(len(branches), p=weights / weights.sum()))]
    n = len(branch.points_mm)
    middle = int(np.clip(rng.beta(1.15, 2.4), 0.02, 0.98) * (n - 1))
    half = min(middle, n - 1 - middle, 20)
    part = slice(middle - max(half, 1), middle + max(half, 1) + 1)
    if half < 1:
        part = slice(max(middle - 1, 0), max(middle - 1, 0) + 3)
    peak = float(np.clip(680 * np.exp(rng.normal(0, 0.45)), 180, 1450))
    thickness = float(np.clip(0.6 * volume_mm3 ** (1 / 3) * rng.uniform(0.7, 1.3), 0.45, 2.8))
    return wall_deposit(
        rng, tissue=Tissue.CORONARY, place=branch.name, curve_mm=branch.points_mm[part],
        radius_mm=branch.radius_mm[part], size=PlateSize(volume_mm3, thickness, peak),
        motion_share=VESSEL_SPEED[branch.vessel],
    )  # fmt: skip
