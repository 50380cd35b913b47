"""From painted tissues to a CT: motion, blur, slice profile, noise, field of view.

All in image space: a separable point spread function with a slice profile, and noise shaped like that of filtered
backprojection. Every operator is a sparse matrix, so the same seed gives the same bytes whatever the number of threads.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import fft, ndimage, sparse, special

from calcmap.core.volume import Float32Array, Float64Array, Int16Array
from calcmap.simulation.scanner.sites import Acquisition

AIR_HU = -1000.0
LOWEST_HU = -1024
HIGHEST_HU = 3071
KVP_SCALE = ((80.0, 1.36), (100.0, 1.115), (120.0, 1.0), (135.0, 0.915), (140.0, 0.89))
"""Calcium's HU over that at 120 kVp (thresholds of Grani 2018 over 130 HU; 140 kVp extrapolated)."""
CALCIFIED_FROM_HU = 100.0
SLICE_EDGE_FACTOR = 0.12
"""SD of the slice profile's soft edges over its width (our choice: a helical profile is no box)."""
STREAK_SHARE = 0.12
"""Share of the noise variance that runs along the rows (our choice)."""
ATTENUATION_PER_MM = 0.019
"""Water at 60-70 keV."""
MODULATION = 0.38
"""Part of the path's attenuation that tube current modulation and the bow-tie leave in the noise (our choice)."""
N_PHASES = 5
PET_TABLE_SHARE = 0.5


@dataclass(frozen=True)
class CtAxes:
    """Voxel centres of the CT in patient coordinates, mm."""

    z_mm: Float64Array
    y_mm: Float64Array
    x_mm: Float64Array


def calcium_factor(kvp: float) -> float:
    """Return calcium's HU at a tube voltage over that at 120 kVp."""
    voltages, factors = zip(*KVP_SCALE, strict=True)
    return float(np.interp(kvp, voltages, factors))


def scale_bone(hu_zyx: Float32Array, *, kvp: float) -> Float32Array:
    """Return HU with what is denser than soft tissue scaled to the tube voltage."""
    scaled: Float32Array = np.maximum(hu_zyx - np.float32(CALCIFIED_FROM_HU), 0)
    scaled *= np.float32(calcium_factor(kvp) - 1)
    scaled += hu_zyx
    return scaled


def slice_profile(offset_mm: Float64Array, *, thickness_mm: float) -> Float64Array:
    """Return the slice sensitivity at a distance from the slice's centre, per mm; its integral is 1."""
    sigma = SLICE_EDGE_FACTOR * thickness_mm * np.sqrt(2)
    edges = special.erf((offset_mm + thickness_mm / 2) / sigma) - special.erf((offset_mm - thickness_mm / 2) / sigma)
    profile: Float64Array = edges / (2 * thickness_mm)
    return profile


def gaussian_profile(offset_mm: Float64Array, *, sigma_mm: float) -> Float64Array:
    """Return the in-plane point spread at a distance, per mm; its integral is 1."""
    profile: Float64Array = np.exp(-0.5 * (offset_mm / sigma_mm) ** 2) / (sigma_mm * np.sqrt(2 * np.pi))
    return profile


def _resampler(targets_mm: Float64Array, sources_mm: Float64Array, *, sigma_mm: float) -> sparse.csr_array:
    """Return the matrix that blurs and samples; targets beyond the source grid get nothing (air)."""
    step = sources_mm[1] - sources_mm[0]
    # the working grid's own soft edges already blur by about a third of a step
    sigma = max(np.sqrt(max(sigma_mm**2 - step**2 / 12, 0.0)), 0.45 * step)
    weights = gaussian_profile(targets_mm[:, None] - sources_mm[None, :], sigma_mm=sigma) * step
    weights[weights < 1e-4] = 0
    total = weights.sum(axis=1, keepdims=True)
    inside = (targets_mm >= sources_mm[0] - step / 2) & (targets_mm <= sources_mm[-1] + step / 2)
    weights = np.where(inside[:, None], weights / np.maximum(total, 1e-9), 0)
    return sparse.csr_array(weights.astype(np.float32))


def resample(
    field_zyx: Float32Array,
    source_mm_zyx: tuple[Float64Array, Float64Array, Float64Array],
    *,
    axes: CtAxes,
    acquisition: Acquisition,
    outside: float,
) -> Float32Array:
    """Return a field of the working grid as the scanner sees it, without noise."""  # fmt: skip
    z, y, x = source_mm_zyx
    along_y = _resampler(axes.y_mm, y, sigma_mm=acquisition.psf_sigma_mm)
    along_x = _resampler(axes.x_mm, x, sigma_mm=acquisition.psf_sigma_mm)
    weights = slice_profile(axes.z_mm[:, None] - z[None, :], thickness_mm=acquisition.thickness_mm)
    weights = (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)
    seen = np.empty((len(axes.z_mm), len(axes.y_mm), len(axes.x_mm)), dtype=np.float32)
    for k, row in enumerate(weights):
        used = np.flatnonzero(row > 1e-4)
        plane = np.zeros(field_zyx.shape[1:], dtype=np.float32)
        for j in used:
            plane += row[j] * (field_zyx[j] - np.float32(outside))
        seen[k] = (along_x @ (along_y @ plane).T).T
    seen += np.float32(outside)
    return seen


def blur_by_motion(
    hu_zyx: Float32Array,
    heart_share_zyx: Float32Array,
    *,
    step_mm_zyx: tuple[float, float, float],
    motion_mm: float,
    rng: np.random.Generator,
) -> None:
    """Average the heart region over some beats, in place; the blur differs by height, as in helical scans."""
    occupied = np.argwhere(heart_share_zyx.max(axis=(1, 2)) > 0.5)
    if motion_mm <= 0 or len(occupied) == 0:
        return
    pad = [int(14 / step) for step in step_mm_zyx]
    found = ndimage.find_objects((heart_share_zyx > 0.5).astype(np.uint8))[0]
    box = tuple(slice(max(s.start - p, 0), s.stop + p) for s, p in zip(found, pad, strict=True))
    sub = hu_zyx[box]
    mask = ndimage.gaussian_filter(heart_share_zyx[box], [4 / s for s in step_mm_zyx])
    mask = np.clip(mask * 1.6, 0, 1)
    n = len(sub)
    height = np.arange(n) * step_mm_zyx[0]
    turn = rng.uniform(0, 2 * np.pi)
    local = motion_mm * (0.55 + 0.45 * np.sin(height / rng.uniform(18, 40) + turn))
    heading = rng.uniform(0, 2 * np.pi) + 0.6 * np.sin(height / 30)
    mean = np.zeros_like(sub)
    for phase in np.linspace(-0.35, 0.35, N_PHASES):
        for k in range(n):
            shift = phase * local[k] * np.array([np.sin(heading[k]), np.cos(heading[k])]) / step_mm_zyx[1:]
            mean[k] += _shift_plane(sub[k], shift)
    sub += mask * (mean / N_PHASES - sub)


def _shift_plane(plane_yx: Float32Array, shift_px: Float64Array) -> Float32Array:
    """Return a plane shifted bilinearly; the border rows wrap, far from the heart."""
    whole = np.floor(shift_px).astype(int)
    fy, fx = (shift_px - whole).astype(np.float32)
    base = np.roll(plane_yx, (whole[0], whole[1]), axis=(0, 1))
    base = (1 - fy) * base + fy * np.roll(base, 1, axis=0)
    shifted: Float32Array = (1 - fx) * base + fx * np.roll(base, 1, axis=1)
    return shifted


def add_table(hu_zyx: Float32Array, *, axes: CtAxes, back_mm: float, rng: np.random.Generator) -> None:
    """Draw a curved patient table under the back, in place."""
    curvature = rng.uniform(0.0006, 0.0022)
    half_width, thick = rng.uniform(190, 260), rng.uniform(14, 45)
    shell = rng.uniform(-200, 500)
    x, y = axes.x_mm[None, :], axes.y_mm[:, None]
    depth = y - (back_mm + rng.uniform(3, 12) - curvature * x**2)
    inside = np.clip(half_width - np.abs(x), 0, 1)
    pixel = axes.x_mm[1] - axes.x_mm[0]

    def layer(at_mm: float, width_mm: float) -> Float64Array:
        share: Float64Array = np.clip((width_mm / 2 - np.abs(depth - at_mm)) / pixel + 0.5, 0, 1) * inside
        return share

    table = np.maximum(layer(1, 2), layer(thick, 2)) * (shell + 1000)
    table = np.maximum(table, layer(thick / 2, thick) * rng.uniform(15, 80))
    plane = (table - 1000).astype(np.float32)
    for k in range(len(hu_zyx)):
        np.maximum(hu_zyx[k], plane, out=hu_zyx[k])


def add_noise(hu_zyx: Float32Array, *, acquisition: Acquisition, heart_yx_z: tuple[int, int, int],
              rng: np.random.Generator) -> None:  # fmt: skip
    """Add noise in place; its SD equals the acquisition's at the heart (row, column, slice).

    The SD grows with what the beam crosses in the row and the column of a pixel: more in shoulders and liver, less in
    the lungs and at the skin.
    """
    transfer = _noise_transfer(hu_zyx.shape[1:], acquisition)
    row, column, middle = heart_yx_z
    rows, columns = _paths(hu_zyx[middle], acquisition.pixel_mm)
    unit = np.sqrt(0.5 * (rows[row - 5 : row + 6].mean() + columns[column - 5 : column + 6].mean()))
    amplitude = acquisition.noise_sd_hu / unit
    for k in range(len(hu_zyx)):
        rows, columns = _paths(hu_zyx[k], acquisition.pixel_mm)
        sd = np.sqrt(0.5 * (rows[:, None] * np.float32(1 - STREAK_SHARE) + columns[None, :]))
        hu_zyx[k] += np.float32(amplitude) * sd * _shaped(transfer, hu_zyx.shape[1:], rng)
        streaks = _streaks(hu_zyx.shape[1:], rng)
        hu_zyx[k] += np.float32(amplitude) * np.sqrt(0.5 * np.float32(STREAK_SHARE) * rows)[:, None] * streaks


def _paths(plane_yx: Float32Array, pixel_mm: float) -> tuple[Float32Array, Float32Array]:
    """Return relative noise variance from the beam's path along each row and each column."""
    density = np.clip((plane_yx + 1000) / 1000, 0, 2)
    scale = np.float32(ATTENUATION_PER_MM * pixel_mm * MODULATION)
    rows = ndimage.uniform_filter1d(density.sum(axis=1), 15, mode="nearest")
    columns = ndimage.uniform_filter1d(density.sum(axis=0), 15, mode="nearest")
    return np.exp(scale * rows), np.exp(scale * columns)


def _noise_transfer(shape_yx: tuple[int, ...], acquisition: Acquisition) -> Float32Array:
    """Return the amplitude by spatial frequency: root of the ramp times the kernel's transfer, for SD 1."""
    fy = fft.fftfreq(shape_yx[0], acquisition.pixel_mm)[:, None]
    fx = fft.rfftfreq(shape_yx[1], acquisition.pixel_mm)[None, :]
    frequency = np.hypot(fy, fx)
    sigma = max(acquisition.psf_sigma_mm * 0.9, 0.35 * acquisition.pixel_mm)
    amplitude = np.sqrt(frequency + 0.02) * np.exp(-2 * (np.pi * sigma * frequency) ** 2)
    full = np.where((fx == 0) | (fx == fx.max()), 1.0, 2.0)
    power = float((full * amplitude**2).sum()) / (shape_yx[0] * shape_yx[1])
    transfer: Float32Array = (amplitude / np.sqrt(power)).astype(np.float32)
    return transfer


def _shaped(transfer: Float32Array, shape_yx: tuple[int, ...], rng: np.random.Generator) -> Float32Array:
    white = rng.standard_normal(shape_yx, dtype=np.float32)
    shaped: Float32Array = fft.irfft2(fft.rfft2(white) * transfer, s=shape_yx)
    return shaped.astype(np.float32)


def _streaks(shape_yx: tuple[int, ...], rng: np.random.Generator) -> Float32Array:
    """Return noise of SD about 1 that changes from row to row and slowly along them."""
    knots = rng.standard_normal((shape_yx[0], 20), dtype=np.float32)
    place = np.linspace(0, 18.999, shape_yx[1]).astype(np.float32)
    left = place.astype(int)
    share = place - left
    norm = np.sqrt((1 - share) ** 2 + share**2)
    streaks: Float32Array = (knots[:, left] * (1 - share) + knots[:, left + 1] * share) / norm
    return streaks


def to_hounsfield(hu_zyx: Float32Array, *, axes: CtAxes, padding_hu: int | None) -> Int16Array:
    """Return rounded HU within the scanner's range, with padding outside the round field of view."""
    rounded = np.clip(np.rint(hu_zyx), LOWEST_HU, HIGHEST_HU).astype(np.int16)
    if padding_hu is not None:
        x, y = axes.x_mm - axes.x_mm.mean(), axes.y_mm - axes.y_mm.mean()
        outside = np.hypot(x[None, :], y[:, None]) > 0.5 * (axes.x_mm[-1] - axes.x_mm[0]) + 0.5
        rounded[:, outside] = padding_hu
    return rounded
