"""What another scanner would have made of a crop: noise, kernel, tube voltage, motion, slice thickness."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from calcmap.core.volume import Float32Array, UInt8Array
from calcmap.segmentation.calcium_input import CANDIDATE_HU
from calcmap.training.config import AugmentationSettings

SOFT_TISSUE_HU = 60.0
"""Only what is denser than unenhanced blood and muscle changes with the tube voltage (our choice)."""
SHARPENING_PX = 1.0
"""SD of the blurred copy that a sharper kernel is made of (our choice)."""
SPREAD_HU = 20.0
"""A voxel that becomes a candidate beside calcium belongs to it when it rose by at least this much: more than what
rounding or a gain does (our choice)."""


def vary_hu(hu_zyx: Float32Array, vary: AugmentationSettings, rng: np.random.Generator) -> Float32Array:
    """Return HU with another gain, offset and noise; noise is blurred a little, as reconstruction does."""
    gain = 1.0 + rng.uniform(-vary.hu_gain, vary.hu_gain)
    offset = rng.uniform(-vary.hu_offset, vary.hu_offset)
    noise_sd = rng.uniform(0.0, vary.noise_hu) if rng.random() < 0.5 else 0.0
    varied = hu_zyx * np.float32(gain) + np.float32(offset)
    if noise_sd > 0.0:
        noise = rng.standard_normal(hu_zyx.shape, dtype=np.float32)
        for axis in (1, 2):
            noise = ndimage.uniform_filter1d(noise, size=2, axis=axis)
        varied = varied + noise * np.float32(noise_sd / noise.std())
    return np.asarray(varied, dtype=np.float32)


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
