"""What another scanner would have made of a crop: noise, kernel, tube voltage, motion, slice thickness."""

from __future__ import annotations

import numpy as np
from scipy import fft, ndimage

from calcmap.core.volume import Float32Array, UInt8Array
from calcmap.segmentation.calcium_input import CANDIDATE_HU
from calcmap.training.config import AugmentationSettings

SOFT_TISSUE_HU = 60.0
"""Only what is denser than unenhanced blood and muscle changes with the tube voltage (our choice)."""
SHARPENING_PX = 1.0
"""SD of the blurred copy that a sharper kernel is made of (our choice)."""
NOISE_KERNEL_PX = (0.3, 1.3)
"""SD of the point spread that shapes added noise, from sharp to smooth kernels (our choice)."""
STREAKS = (0.0, 3.0)
"""Power that rays along the rows add to the noise, relative to that of rays across (our choice)."""
SHARED_NOISE = (0.0, 0.6)
"""Weight of the next slice's noise in a slice: slices that overlap share quanta (our choice)."""
SPREAD_HU = 20.0
"""A voxel that becomes a candidate beside calcium belongs to it when it rose by at least this much: more than what
rounding or a gain does (our choice)."""


def vary_hu(hu_zyx: Float32Array, vary: AugmentationSettings, rng: np.random.Generator) -> Float32Array:
    """Return HU with another gain, offset and noise, the noise with the texture of a filtered backprojection."""
    gain = 1.0 + rng.uniform(-vary.hu_gain, vary.hu_gain)
    offset = rng.uniform(-vary.hu_offset, vary.hu_offset)
    noise_sd = rng.uniform(0.0, vary.noise_hu) if rng.random() < 0.5 else 0.0
    varied = hu_zyx * np.float32(gain) + np.float32(offset)
    if noise_sd > 0.0:
        varied = varied + np.float32(noise_sd) * reconstructed_noise(hu_zyx.shape, rng)
    return np.asarray(varied, dtype=np.float32)


def reconstructed_noise(shape_zyx: tuple[int, ...], rng: np.random.Generator) -> Float32Array:
    """Return noise as a filtered backprojection leaves it, SD 1 over the crop.

    Its power rises with frequency, as the ramp filter makes it, and falls with the square of the kernel's transfer: a
    Gaussian of random width (`NOISE_KERNEL_PX`). Rays along the rows, which cross shoulders and arms, may be noisier:
    streaks (`STREAKS`). Neighbouring slices share a random part of their noise (`SHARED_NOISE`).

    Parameters
    ----------
    shape_zyx : tuple of int
        Slices, rows and columns.
    rng : numpy.random.Generator
        Where chance comes from.

    Returns
    -------
    ndarray of float32, shape (slices, rows, columns)
        Mean 0 in every slice.
    """
    kernel_px, streaks, shared = (rng.uniform(*limits) for limits in (NOISE_KERNEL_PX, STREAKS, SHARED_NOISE))
    n_slices, n_rows, n_columns = shape_zyx
    quanta = rng.standard_normal((n_slices + 1, n_rows, n_columns), dtype=np.float32)
    spectrum = fft.rfft2(quanta[:-1] + np.float32(shared) * quanta[1:])
    along_y, along_x = fft.fftfreq(n_rows)[:, None], fft.rfftfreq(n_columns)[None, :]
    squared = along_y**2 + along_x**2
    squared[0, 0] = 1.0  # where the ramp is zero: any divisor will do
    power = np.sqrt(squared) * np.exp(-4.0 * np.pi**2 * kernel_px**2 * squared) * (1.0 + streaks * along_y**2 / squared)
    power[0, 0] = 0.0
    noise = fft.irfft2(spectrum * np.sqrt(power, dtype=np.float32), s=(n_rows, n_columns))
    return np.asarray(noise / noise.std(), dtype=np.float32)


def vary_scanner(hu_zyx: Float32Array, vary: AugmentationSettings, rng: np.random.Generator) -> Float32Array:
    """Return HU as another tube voltage, kernel, heartbeat and slice thickness would have shown them.

    Each change is made to about half of the crops, one after the other in the order in which a scanner makes them.

    Parameters
    ----------
    hu_zyx : ndarray of float32, shape (slices, rows, columns)
        A crop on native voxels; not changed.
    vary : AugmentationSettings
        Largest changes.
    rng : numpy.random.Generator
        Where chance comes from.

    Returns
    -------
    ndarray of float32, same shape
        No voxel moves by more than the blur.
    """
    contrast, motion_px, thickness, kernel_px = (
        rng.uniform(-1.0, 1.0) * largest if rng.random() < 0.5 else 0.0
        for largest in (vary.voltage, vary.motion_px, vary.thickness, vary.kernel_px)
    )
    direction = rng.uniform(0.0, np.pi)
    varied = _other_voltage(hu_zyx, contrast)
    varied = _moved(varied, abs(motion_px), direction)
    varied = _thicker(varied, abs(thickness))
    return _other_kernel(varied, kernel_px)


def spread_target(target_zyx: UInt8Array, before_zyx: Float32Array, after_zyx: Float32Array) -> UInt8Array:
    """Return a calcium target that follows blurred calcium into the voxels beside it.

    A background voxel that has become dense enough to be a candidate, and touches calcium, takes its class; where two
    classes touch it, the higher value wins, so that what a reader was unsure of is left out of the loss.
    """
    nearby = ndimage.maximum_filter(target_zyx, size=3)
    risen = (after_zyx >= CANDIDATE_HU) & (before_zyx < CANDIDATE_HU) & (after_zyx - before_zyx >= SPREAD_HU)
    return np.asarray(np.where(risen & (target_zyx == 0), nearby, target_zyx), dtype=np.uint8)


def _other_voltage(hu_zyx: Float32Array, change: float) -> Float32Array:
    """Return HU whose excess over soft tissue is larger or smaller by a share, as at a lower or higher voltage."""
    if change == 0.0:
        return hu_zyx
    excess = np.maximum(hu_zyx - np.float32(SOFT_TISSUE_HU), 0.0)
    return np.asarray(hu_zyx + np.float32(change) * excess, dtype=np.float32)


def _moved(hu_zyx: Float32Array, length_px: float, direction: float) -> Float32Array:
    """Return HU averaged along a short line in the slice, as of a heart that moves during the rotation."""
    if length_px == 0.0:
        return hu_zyx
    steps = np.linspace(-0.5, 0.5, 5) * length_px
    shifted = [
        ndimage.shift(hu_zyx, (0.0, s * np.sin(direction), s * np.cos(direction)), order=1, mode="nearest")
        for s in steps
    ]
    return np.asarray(np.mean(shifted, axis=0), dtype=np.float32)


def _thicker(hu_zyx: Float32Array, share: float) -> Float32Array:
    """Return slices that hold a share of each neighbour's HU, as slices do that are thicker than their increment."""
    if share == 0.0:
        return hu_zyx
    return np.asarray(ndimage.convolve1d(hu_zyx, [share, 1.0 - 2.0 * share, share], axis=0), dtype=np.float32)


def _other_kernel(hu_zyx: Float32Array, kernel_px: float) -> Float32Array:
    """Return HU of a softer (above 0: SD of the blur) or sharper kernel (below 0)."""
    if kernel_px == 0.0:
        return hu_zyx
    if kernel_px > 0.0:
        return np.asarray(ndimage.gaussian_filter(hu_zyx, (0.0, kernel_px, kernel_px)), dtype=np.float32)
    smooth = ndimage.gaussian_filter(hu_zyx, (0.0, SHARPENING_PX, SHARPENING_PX))
    return np.asarray(hu_zyx - np.float32(kernel_px) * (hu_zyx - smooth), dtype=np.float32)
