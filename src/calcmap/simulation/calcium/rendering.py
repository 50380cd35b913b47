"""What a scanner makes of a calcification: point spread, slice profile and motion, with subvoxel accuracy."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy import fft

from calcmap.core.volume import Float32Array, Float64Array
from calcmap.simulation.calcium.deposits import PART_MM, Deposit
from calcmap.simulation.scanner.axes import CtAxes
from calcmap.simulation.scanner.motion import DepositMotion, view_of
from calcmap.simulation.scanner.optics import WIDE_FACTOR, PointSpread, gaussian_profile, slice_profile

FINE_Z_MM = 0.6
N_MOTION_PHASES = 7
STILL_MM = 0.25
"""Views that differ by less show a still deposit (our choice: far below a pixel)."""
ARTEFACT_MARGIN_MM = 8.0
"""How far beyond its path a moving deposit's arcs are followed."""
Found = tuple[tuple[slice, slice, slice], Float32Array]


@dataclass(frozen=True, eq=False)
class Blur:
    """The scanner's point spread, and what the deposit does meanwhile."""

    sigma_mm: float
    thickness_mm: float
    motion_mm_xyz: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Straight path (mm, patient axes) of the right coronary during a slice, for a plain average over it."""
    edge: float = 0.0
    """Edge enhancement of the kernel, see `PointSpread`."""
    motion: DepositMotion | None = None
    """Where the deposit is in each view of each slice of the scan."""


@dataclass(frozen=True, eq=False)
class _Lattice:
    """A deposit binned on fine planes: HU mm3 per cell, with the positions of the cells."""

    mass_zyx: Float64Array
    axes_mm_zyx: tuple[Float64Array, Float64Array, Float64Array]


def seen_by_scanner(deposit: Deposit, *, axes: CtAxes, blur: Blur) -> Found | None:
    """Return where on the CT a deposit adds HU, and how much; ``None`` outside the scan.

    Parts are binned on a fine lattice, then each axis is multiplied with its point spread. A straight path averages the
    cloud over `N_MOTION_PHASES` positions; view-wise motion takes each frequency from the view parallel to it.
    """
    lattice = _binned(deposit, np.asarray(blur.motion_mm_xyz) * deposit.motion_share)
    shift, spread = _per_slice_shift(blur.motion, len(axes.z_mm))
    where = _where(lattice, axes, blur, reach_mm=_reach_mm(blur, moves=spread > STILL_MM))
    if where is None:
        return None
    if blur.motion is not None and spread > STILL_MM:
        return where, _moving(lattice, axes, where, blur, blur.motion)
    return where, _still(lattice, axes, where, blur, shift)


def scaled_to_kvp(deposit: Deposit, *, factor: float) -> Deposit:
    """Return the deposit with its HU at another tube voltage."""
    return replace(deposit, added_hu=deposit.added_hu * factor)


def _binned(deposit: Deposit, path_mm: Float64Array) -> _Lattice:
    parts, added = deposit.parts_mm, deposit.added_hu * deposit.part_mm3
    if np.abs(path_mm).max() > PART_MM:
        phases = np.linspace(-0.5, 0.5, N_MOTION_PHASES)
        parts = np.concatenate([parts + phase * path_mm for phase in phases])
        added = np.tile(added / N_MOTION_PHASES, N_MOTION_PHASES)
    steps = np.array([FINE_Z_MM, PART_MM, PART_MM])
    position = parts[:, ::-1]
    low = position.min(axis=0)
    index = np.rint((position - low) / steps).astype(np.int64)
    shape = index.max(axis=0) + 1
    flat = np.ravel_multi_index(tuple(index.T), tuple(shape))
    mass = np.bincount(flat, weights=added, minlength=int(np.prod(shape))).reshape(shape)
    z, y, x = (start + step * np.arange(n) for start, step, n in zip(low, steps, shape, strict=True))
    return _Lattice(mass, (z, y, x))


def _per_slice_shift(motion: DepositMotion | None, n_slices: int) -> tuple[Float64Array, float]:
    """Return each slice's mean displacement (x, y, z), and the largest difference of a view from it, mm."""
    if motion is None:
        return np.zeros((n_slices, 3)), 0.0
    mean = motion.displacement_mm.mean(axis=(1, 2))
    return mean, float(np.abs(motion.displacement_mm - mean[:, None, None]).max())


def _reach_mm(blur: Blur, *, moves: bool) -> tuple[float, float]:
    """Return how far a deposit may be seen from where it rests, along z and within the slice."""
    wide = WIDE_FACTOR if blur.edge > 0 else 1.0
    if blur.motion is None:
        return blur.thickness_mm, 4 * wide * blur.sigma_mm
    farthest = np.abs(blur.motion.displacement_mm).reshape(-1, 3).max(axis=0)
    margin = ARTEFACT_MARGIN_MM if moves else 0.0
    return blur.thickness_mm + farthest[2], 4 * wide * blur.sigma_mm + float(farthest[:2].max()) + margin


def _where(
    lattice: _Lattice, axes: CtAxes, blur: Blur, *, reach_mm: tuple[float, float]
) -> tuple[slice, slice, slice] | None:
    slices = []
    for axis, own, reach in zip(
        (axes.z_mm, axes.y_mm, axes.x_mm), lattice.axes_mm_zyx, (reach_mm[0], reach_mm[1], reach_mm[1]), strict=True
    ):
        first, last = (int(i) for i in np.searchsorted(axis, [own[0] - reach, own[-1] + reach]))
        if first >= last:
            return None
        slices.append(slice(first, last))
    return slices[0], slices[1], slices[2]


def _planes(lattice: _Lattice, z_mm: Float64Array, *, thickness_mm: float) -> Float64Array:
    """Return what slices at heights ``z_mm`` (n,) see of the lattice, shape (n, y, x)."""
    weights = slice_profile(z_mm[:, None] - lattice.axes_mm_zyx[0], thickness_mm=thickness_mm)
    n_z, n_y, n_x = lattice.mass_zyx.shape
    return (weights @ lattice.mass_zyx.reshape(n_z, -1)).reshape(len(z_mm), n_y, n_x)


def _still(
    lattice: _Lattice, axes: CtAxes, where: tuple[slice, slice, slice], blur: Blur, shift_mm_xyz: Float64Array
) -> Float32Array:
    """Return the added HU of a deposit that rests within each slice, perhaps at another place in the next."""
    shift = shift_mm_xyz[where[0]]
    planes = _planes(lattice, axes.z_mm[where[0]] - shift[:, 2], thickness_mm=blur.thickness_mm)
    y, x = axes.y_mm[where[1]], axes.x_mm[where[2]]
    seen = np.zeros((len(planes), len(y), len(x)))
    same = bool((shift[:, :2] == shift[:1, :2]).all())
    for weight, sigma in PointSpread(blur.sigma_mm, blur.edge).parts():
        for k, (dx, dy, _) in enumerate(shift):
            if k == 0 or not same:
                along_y = gaussian_profile(y[:, None] - dy - lattice.axes_mm_zyx[1], sigma_mm=sigma)
                along_x = gaussian_profile(x[:, None] - dx - lattice.axes_mm_zyx[2], sigma_mm=sigma)
            seen[k] += weight * (along_y @ planes[k] @ along_x.T)
    return seen.astype(np.float32)


def _moving(
    lattice: _Lattice, axes: CtAxes, where: tuple[slice, slice, slice], blur: Blur, motion: DepositMotion
) -> Float32Array:
    """Return the added HU when every frequency comes from the view parallel to it, wherever the deposit then was."""
    y, x = axes.y_mm[where[1]], axes.x_mm[where[2]]
    pixel = float(axes.x_mm[1] - axes.x_mm[0])
    finer = max(1, int(np.ceil(pixel / (0.8 * blur.sigma_mm))))
    rows, columns = (fft.next_fast_len(finer * len(axis), real=True) for axis in (y, x))
    along_y, along_x = fft.fftfreq(rows, pixel / finer)[:, None], fft.rfftfreq(columns, pixel / finer)[None, :]
    transfer = PointSpread(blur.sigma_mm, blur.edge).transfer(np.hypot(along_y, along_x))
    # the lattice's spectrum, with the patch's first pixel as origin; the point spread is in the transfer
    to_y = np.exp(-2j * np.pi * along_y * (lattice.axes_mm_zyx[1] - y[0])[None, :])
    to_x = np.exp(-2j * np.pi * along_x.T * (lattice.axes_mm_zyx[2] - x[0])[None, :])
    angle = np.arctan2(along_y, along_x) % np.pi
    seen = np.empty((where[0].stop - where[0].start, len(y), len(x)), dtype=np.float32)
    for j, k in enumerate(range(where[0].start, where[0].stop)):
        spectrum = np.zeros((rows, along_x.size), dtype=np.complex128)
        lower, share = view_of(angle - motion.start_rad[k], motion.displacement_mm.shape[2])
        for views in motion.displacement_mm[k]:
            spectrum += _turn(lattice, views, axes.z_mm[k], blur, (to_y, to_x), (along_y, along_x), (lower, share))
        spectrum *= transfer * (finer / pixel) ** 2 / len(motion.displacement_mm[k])
        seen[j] = fft.irfft2(spectrum, s=(rows, columns))[: finer * len(y) : finer, : finer * len(x) : finer]
    return seen


def _turn(
    lattice: _Lattice,
    views_mm: Float64Array,
    z_mm: float,
    blur: Blur,
    bases: tuple[np.ndarray, np.ndarray],
    frequencies: tuple[Float64Array, Float64Array],
    view: tuple[np.ndarray, Float64Array],
) -> np.ndarray:
    """Return the spectrum that one half turn collects, shape (rows, columns)."""  # fmt: skip
    lower, share = view
    upper = (lower + 1) % len(views_mm)
    planes = _planes(lattice, z_mm - views_mm[:, 2], thickness_mm=blur.thickness_mm)
    spectra = np.einsum("yj,vjx->vyx", bases[0], planes @ bases[1].T, optimize=True)
    below = np.take_along_axis(spectra, lower[None], axis=0)[0]
    above = np.take_along_axis(spectra, upper[None], axis=0)[0]
    dx, dy = (views_mm[lower, i] + share * (views_mm[upper, i] - views_mm[lower, i]) for i in (0, 1))
    carried = np.exp(-2j * np.pi * (frequencies[0] * dy + frequencies[1] * dx))
    collected: np.ndarray = (below + share * (above - below)) * carried
    return collected
