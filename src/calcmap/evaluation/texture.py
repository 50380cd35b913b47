"""What uniform tissue looks like on a scan: its HU, its noise and the noise's grain.

Patches are found by rule, not by hand, so that the same question can be put to a real and to a simulated scan.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import fft, ndimage

from calcmap.core.volume import BoolArray, Float64Array, Int16Array

QUIET_SHARE = 0.25
"""Of all patches of a tissue, the quietest quarter is taken for its noise: the others hold structure (our choice)."""
SPECTRUM_BINS = 12


@dataclass(frozen=True)
class TissuePatches:
    """HU and noise of one tissue on one scan."""

    hu: float
    """Median over the patches of their mean."""
    sd_hu: float
    """Median SD within the quietest `QUIET_SHARE` of the patches."""
    n: int
    """Patches that do not overlap."""


@dataclass(frozen=True)
class NoiseSpectrum:
    """Noise power by spatial frequency, averaged over directions."""

    frequency_per_mm: Float64Array
    """Bin centres, ascending."""
    power_hu2_mm2: Float64Array
    """Noise power of each bin."""

    @property
    def mean_frequency_per_mm(self) -> float:
        """Power-weighted mean frequency: low for coarse, high for fine grain."""
        return float((self.frequency_per_mm * self.power_hu2_mm2).sum() / self.power_hu2_mm2.sum())


def tissue_patches(
    ct_hu_zyx: Int16Array,
    region_zyx: BoolArray,
    *,
    pixel_mm: float,
    patch_mm: float,
    range_hu: tuple[float, float],
) -> TissuePatches | None:
    """Return HU and noise of the square patches that lie wholly inside a region and have a mean within a range.

    Parameters
    ----------
    ct_hu_zyx : ndarray of int16
        The scan.
    region_zyx : ndarray of bool
        Where to look.
    pixel_mm : float
        In-plane pixel size.
    patch_mm : float
        Side of a patch.
    range_hu : tuple of float
        Lowest and highest mean of a patch of this tissue.

    Returns
    -------
    TissuePatches or None
        ``None`` where no patch fits.
    """
    means, sds = [], []
    for plane, region in zip(ct_hu_zyx, region_zyx, strict=True):
        for patch in _patches(plane.astype(np.float64), region, side=max(3, round(patch_mm / pixel_mm))):
            if range_hu[0] <= patch.mean() <= range_hu[1]:
                means.append(float(patch.mean()))
                sds.append(float(patch.std(ddof=1)))
    if not means:
        return None
    quiet = np.sort(sds)[: max(1, round(QUIET_SHARE * len(sds)))]
    return TissuePatches(float(np.median(means)), float(np.median(quiet)), len(means))


def noise_spectrum(
    ct_hu_zyx: Int16Array,
    region_zyx: BoolArray,
    *,
    pixel_mm: float,
    patch_mm: float,
    range_hu: tuple[float, float],
) -> NoiseSpectrum | None:
    """Return the radially averaged noise power spectrum of the quiet patches of a tissue.

    A plane is fitted to each patch and taken off; the spectrum is the mean squared Fourier amplitude times the pixel
    area over the number of pixels, so that its integral over the plane is the variance (definition of ICRU 87).
    The parameters are those of `tissue_patches`; ``None`` where no patch fits.
    """
    side = max(8, round(patch_mm / pixel_mm))
    found = [
        patch
        for plane, region in zip(ct_hu_zyx, region_zyx, strict=True)
        for patch in _patches(plane.astype(np.float64), region, side=side)
        if range_hu[0] <= patch.mean() <= range_hu[1]
    ]
    if not found:
        return None
    flat = sorted((_without_slope(patch) for patch in found), key=lambda patch: float(patch.std()))
    quiet = flat[: max(1, round(QUIET_SHARE * len(flat)))]
    power = np.mean([np.abs(fft.fft2(patch)) ** 2 for patch in quiet], axis=0) * pixel_mm**2 / side**2
    axis = fft.fftfreq(side, pixel_mm)
    frequency = np.hypot(axis[:, None], axis[None, :])
    edges = np.linspace(0, 0.5 / pixel_mm, SPECTRUM_BINS + 1)
    bins = np.digitize(frequency.ravel(), edges) - 1
    filled = [k for k in range(SPECTRUM_BINS) if np.any(bins == k)]
    return NoiseSpectrum(
        np.array([frequency.ravel()[bins == k].mean() for k in filled]),
        np.array([power.ravel()[bins == k].mean() for k in filled]),
    )


def _patches(plane_hu_yx: Float64Array, region_yx: BoolArray, *, side: int) -> list[Float64Array]:
    """Return the squares of a regular lattice that lie wholly inside a region."""
    boxes = ndimage.find_objects(region_yx.astype(np.uint8))
    if not boxes:
        return []
    rows, columns = boxes[0]
    corners = [
        (row, column)
        for row in range(rows.start, rows.stop - side + 1, side)
        for column in range(columns.start, columns.stop - side + 1, side)
    ]
    squares = [(slice(row, row + side), slice(column, column + side)) for row, column in corners]
    return [plane_hu_yx[square] for square in squares if region_yx[square].all()]


def _without_slope(patch_yx: Float64Array) -> Float64Array:
    """Return a patch less the plane that fits it best."""
    y, x = np.indices(patch_yx.shape).reshape(2, -1)
    design = np.stack([np.ones(y.size), y, x], axis=1).astype(np.float64)
    fit = design @ np.linalg.lstsq(design, patch_yx.ravel(), rcond=None)[0]
    flat: Float64Array = patch_yx - fit.reshape(patch_yx.shape)
    return flat
