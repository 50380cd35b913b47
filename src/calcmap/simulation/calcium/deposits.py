"""Calcium: where it lies, how much of it, and what a scanner makes of it.

A deposit is a cloud of small equal parts, each with the HU that calcium adds there. The cloud is placed along vessel
walls with subvoxel accuracy and blurred by the scanner's exact point spread, so that volume averaging, slice thickness
and motion act on a lesion as they do in people.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
from scipy import ndimage

from calcmap.core.result import Vessel
from calcmap.core.volume import Float32Array, Float64Array
from calcmap.simulation.anatomy.coronaries import CoronaryBranch
from calcmap.simulation.scanner.imaging import CtAxes, gaussian_profile, slice_profile

CATEGORY_SHARES = (0.400, 0.262, 0.156, 0.182)
"""Miller 2023: share of patients with a score of 0, 1-100, 101-400 and above."""
CATEGORY_LIMITS = ((0.0, 0.0), (1.0, 100.0), (101.0, 400.0), (401.0, 6000.0))
PART_MM = 0.45
"""Distance of a deposit's parts: a fifth of the blur of the sharpest kernel."""
FINE_Z_MM = 0.6
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
N_MOTION_PHASES = 7


class Tissue(StrEnum):
    """Whether a deposit counts for the coronary score."""

    CORONARY = "coronary"
    NONCORONARY = "noncoronary"


@dataclass(frozen=True)
class Deposit:
    """One calcification."""

    tissue: Tissue
    place: str
    """Coronary branch, or e.g. ``"aortic_valve"``."""
    parts_mm: Float64Array
    """Shape (n, 3): x, y, z."""
    added_hu: Float64Array
    """HU above soft tissue of each part at 120 kVp, shape (n,)."""
    part_mm3: float
    motion_share: float = 0.0
    """Path during a slice relative to the right coronary's."""

    @property
    def volume_mm3(self) -> float:
        """True volume."""
        return len(self.parts_mm) * self.part_mm3


@dataclass(frozen=True)
class PlateSize:
    """A wall deposit's size and density."""

    volume_mm3: float
    thickness_mm: float
    peak_hu: float
    """HU above soft tissue in its middle, at 120 kVp."""


def wall_deposit(
    rng: np.random.Generator,
    *,
    tissue: Tissue,
    place: str,
    curve_mm: Float64Array,
    radius_mm: Float64Array,
    size: PlateSize,
    motion_share: float = 0.0,
) -> Deposit:
    """Return a deposit lying along a vessel's wall: a curved plate with a ragged outline and softer edges.

    ``curve_mm`` (n, 3) with ``radius_mm`` (n,) is the vessel's centre line; the deposit's middle is the curve's middle
    point. Length and arc follow from the volume.
    """  # fmt: skip
    volume_mm3, thickness_mm = size.volume_mm3, size.thickness_mm
    radius = float(radius_mm[len(radius_mm) // 2])
    arc = min(float(np.sqrt(volume_mm3 / thickness_mm) * rng.uniform(0.5, 1.1)), 1.6 * np.pi * radius)
    length = volume_mm3 / (thickness_mm * max(arc, 0.6))
    spacing = float(np.linalg.norm(np.diff(curve_mm, axis=0), axis=1).mean())
    length = min(length, spacing * (len(curve_mm) - 1))
    along = np.arange(-length / 2, length / 2 + PART_MM / 2, PART_MM)
    around = np.arange(-arc / 2, arc / 2 + PART_MM / 2, PART_MM) / radius + rng.uniform(0, 2 * np.pi)
    outward = np.arange(0, max(thickness_mm, PART_MM / 2), PART_MM) - thickness_mm / 2
    s, phi, out = (grid.ravel() for grid in np.meshgrid(along, around, outward, indexing="ij"))
    edge = np.sqrt((2 * s / max(length, PART_MM)) ** 2 + (2 * (phi - around.mean()) * radius / max(arc, PART_MM)) ** 2)
    ragged = edge + 0.25 * np.sin(s * rng.uniform(0.5, 2) + rng.uniform(0, 6)) * np.cos(phi * 3)
    keep = ragged <= max(float(np.quantile(ragged, 0.8)), float(ragged.min()))
    s, phi, out, edge = s[keep], phi[keep], out[keep], edge[keep]
    parts = _on_wall(curve_mm, s / spacing + (len(curve_mm) - 1) / 2, phi, radius + out)
    added = size.peak_hu * np.clip(1.15 - 0.45 * edge, 0.35, 1.0) * np.clip(rng.normal(1, 0.08, len(s)), 0.6, 1.3)
    return Deposit(tissue, place, parts, added, PART_MM**2 * min(PART_MM, thickness_mm), motion_share)


def blob_deposit(
    rng: np.random.Generator,
    *,
    tissue: Tissue,
    place: str,
    center_mm: Float64Array,
    radii_mm: Float64Array,
    peak_hu: float,
    motion_share: float = 0.0,
) -> Deposit:
    """Return a lumpy ellipsoidal deposit."""  # fmt: skip
    reach = [np.arange(-r, r + PART_MM / 2, PART_MM) for r in np.maximum(radii_mm, PART_MM / 2)]
    parts = np.stack([grid.ravel() for grid in np.meshgrid(*reach, indexing="ij")], axis=1)
    edge = np.linalg.norm(parts / np.maximum(radii_mm, PART_MM), axis=1)
    lumps = 0.2 * np.sin(parts @ rng.normal(0, 1.0, 3) + rng.uniform(0, 6))
    keep = edge + lumps <= max(1.0, float((edge + lumps).min()))
    added = peak_hu * np.clip(1.15 - 0.4 * edge[keep], 0.4, 1.0)
    return Deposit(tissue, place, parts[keep] + center_mm, added, PART_MM**3, motion_share)


def _on_wall(curve_mm: Float64Array, at: Float64Array, phi: Float64Array, radius: Float64Array) -> Float64Array:
    """Return points at index ``at`` of a curve, turned by ``phi`` about it, ``radius`` away."""
    index = np.arange(len(curve_mm))
    at = np.clip(at, 0, len(curve_mm) - 1)
    center = np.stack([np.interp(at, index, axis) for axis in curve_mm.T], axis=1)
    tangents = np.gradient(curve_mm, axis=0)
    tangent = np.stack([np.interp(at, index, axis) for axis in tangents.T], axis=1)
    tangent /= np.maximum(np.linalg.norm(tangent, axis=1, keepdims=True), 1e-9)
    helper = np.eye(3)[int(np.argmin(np.abs(tangent.mean(axis=0))))]
    first = np.cross(tangent, helper)
    first /= np.maximum(np.linalg.norm(first, axis=1, keepdims=True), 1e-9)
    second = np.cross(tangent, first)
    around: Float64Array = center + radius[:, None] * (np.cos(phi)[:, None] * first + np.sin(phi)[:, None] * second)
    return around


@dataclass(frozen=True)
class Blur:
    """The scanner's point spread, and the path (mm, patient axes) of the right coronary during a slice."""

    sigma_mm: float
    thickness_mm: float
    motion_mm_xyz: tuple[float, float, float] = (0.0, 0.0, 0.0)


def seen_by_scanner(
    deposit: Deposit, *, axes: CtAxes, blur: Blur
) -> tuple[tuple[slice, slice, slice], Float32Array] | None:
    """Return where on the CT a deposit adds HU, and how much; ``None`` outside the scan.

    Parts are binned on a fine lattice, then each axis is multiplied with its point spread; motion averages the cloud
    over `N_MOTION_PHASES` positions on a straight path.
    """
    parts, added = deposit.parts_mm, deposit.added_hu * deposit.part_mm3
    path = np.asarray(blur.motion_mm_xyz) * deposit.motion_share
    if np.abs(path).max() > PART_MM:
        phases = np.linspace(-0.5, 0.5, N_MOTION_PHASES)
        parts = np.concatenate([parts + phase * path for phase in phases])
        added = np.tile(added / N_MOTION_PHASES, N_MOTION_PHASES)
    steps = np.array([FINE_Z_MM, PART_MM, PART_MM])
    margins = np.array([blur.thickness_mm, 4 * blur.sigma_mm, 4 * blur.sigma_mm])
    where: list[slice] = []
    matrices: list[Float64Array] = []
    bins = []
    for axis, position, step, margin in zip(
        (axes.z_mm, axes.y_mm, axes.x_mm), parts.T[::-1], steps, margins, strict=True
    ):
        low, high = position.min(), position.max()
        first, last = (int(i) for i in np.searchsorted(axis, [low - margin, high + margin]))
        if first >= last:
            return None
        lattice = low + step * np.arange(int((high - low) / step) + 2)
        bins.append(np.rint((position - low) / step).astype(int))
        offset = axis[first:last, None] - lattice[None, :]
        is_z = len(matrices) == 0
        spread = (
            slice_profile(offset, thickness_mm=blur.thickness_mm) if is_z
            else gaussian_profile(offset, sigma_mm=blur.sigma_mm)
        )  # fmt: skip
        matrices.append(spread)
        where.append(slice(first, last))
    mass = np.zeros([matrix.shape[1] for matrix in matrices])
    np.add.at(mass, tuple(bins), added)
    seen = np.einsum("zi,ijk->zjk", matrices[0], mass)
    seen = np.einsum("yj,zjk->zyk", matrices[1], seen)
    seen = np.einsum("xk,zyk->zyx", matrices[2], seen)
    return (where[0], where[1], where[2]), seen.astype(np.float32)


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


def scaled_to_kvp(deposit: Deposit, *, factor: float) -> Deposit:
    """Return the deposit with its HU at another tube voltage."""
    return replace(deposit, added_hu=deposit.added_hu * factor)
