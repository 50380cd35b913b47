"""Calcium: where it lies, how much of it, and what a scanner makes of it.

A deposit is a cloud of small equal parts, each with the HU that calcium adds there. The cloud is placed along vessel
walls with subvoxel accuracy and blurred by the scanner's exact point spread, so that volume averaging, slice thickness
and motion act on a lesion as they do in people.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from calcmap.core.volume import Float64Array

PART_MM = 0.45
"""Distance of a deposit's parts: a fifth of the blur of the sharpest kernel."""


class Tissue(StrEnum):
    """Whether a deposit counts for the coronary score."""

    CORONARY = "coronary"
    NONCORONARY = "noncoronary"


class Material(StrEnum):
    """What a deposit is made of: decides its HU at other tube voltages, and its artefacts."""

    CALCIUM = "calcium"
    IODINE = "iodine"
    METAL = "metal"


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
    material: Material = Material.CALCIUM

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
