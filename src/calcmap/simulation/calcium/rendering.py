"""What a scanner makes of a calcification: point spread, slice profile and motion, with subvoxel accuracy."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from calcmap.core.volume import Float32Array, Float64Array
from calcmap.simulation.calcium.deposits import PART_MM, Deposit
from calcmap.simulation.scanner.imaging import CtAxes, gaussian_profile, slice_profile

FINE_Z_MM = 0.6
N_MOTION_PHASES = 7


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


def scaled_to_kvp(deposit: Deposit, *, factor: float) -> Deposit:
    """Return the deposit with its HU at another tube voltage."""
    return replace(deposit, added_hu=deposit.added_hu * factor)
