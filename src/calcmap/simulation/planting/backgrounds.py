"""A real scan as another scanner might have taken it: kernel, noise, slice thickness, HU offset, body size.

Anatomy is never mirrored: a heart on the right side would be another disease, not another scanner.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage, special

from calcmap.core.errors import ConfigError
from calcmap.core.volume import (
    BoolArray,
    Float32Array,
    Float64Array,
    Grid,
    Int16Array,
    Label,
    Labels,
    UInt8Array,
    Volume,
)
from calcmap.simulation.planting.plaques import FWHM_PER_SIGMA, LOBE_MM

CALCIUM_HU = 130
AIR_HU = -1000.0
PADDING_BELOW_HU = -1100
"""CT numbers end at about -1024; lower values are padding outside the reconstructed field."""
THICK_SLICE_MM = 5.0
THICKENED_BELOW_MM = 3.5
SKIN_STEP_HU = 500.0
EDGE_REACH_MM = 5.0
SHARPEST = 6
"""One in this many edges is sharp (our choice: planted lesions then have the edges of natural ones)."""
MIN_TRENCH = 0.01
"""Seven real scans with soft kernels show up to 0.009 (measured)."""
N_NOISE_SLICES = 8
ERASE_REACH_MM = 4.0
ERASE_ABOVE_HU = 75


@dataclass(frozen=True)
class VariationRecipe:
    """How often, and how far, a background is varied; probabilities 0 to 1, ranges low to high.

    Parameters
    ----------
    p_smooth, smooth_sigma_mm : float, (float, float)
        A softer kernel.
    p_sharpen, sharpen_gain : float, (float, float)
        A sharper kernel (unsharp mask of 1 mm), taken when the scan was not smoothed.
    p_noise, noise_sd_hu : float, (float, float)
        Added noise, correlated over about a pixel in the plane.
    p_thicken : float
        Average thin slices (increment below 3.5 mm) to about 5 mm, from a random first slice.
    hu_offset_sd : float
        Spread of the offset of soft tissue; air stays.
    p_erase : float
        Natural calcium that is labelled is replaced by soft tissue and noise, so that a calcified scan serves as a
        background for every score.
    size_factor : (float, float)
        Factor on the in-plane spacing: a larger or smaller patient.

    Raises
    ------
    ConfigError
        A probability outside 0 to 1, or a range that falls.
    """

    p_smooth: float = 0.3
    smooth_sigma_mm: tuple[float, float] = (0.3, 0.9)
    p_sharpen: float = 0.2
    sharpen_gain: tuple[float, float] = (0.2, 0.7)
    p_noise: float = 0.5
    noise_sd_hu: tuple[float, float] = (3.0, 16.0)
    p_thicken: float = 0.5
    hu_offset_sd: float = 4.0
    p_erase: float = 0.5
    size_factor: tuple[float, float] = (0.85, 1.15)

    def __post_init__(self) -> None:
        check_ranges(self)


def check_ranges(recipe: object) -> None:
    """Raise `ConfigError` for every ``p_`` field outside 0 to 1 and every pair that falls, all at once."""
    complaints = []
    for name, value in vars(recipe).items():
        if name.startswith("p_") and not 0 <= value <= 1:
            complaints.append(f"{name} is {value}, expected 0 to 1")
        if isinstance(value, tuple) and len(value) == 2 and value[0] > value[1]:
            complaints.append(f"{name} is {value}, expected low to high")
    if complaints:
        raise ConfigError("; ".join(complaints))


@dataclass(frozen=True)
class KernelChange:
    """What a variation did to a scan's kernel: Gaussian smoothing or an unsharp mask of `LOBE_MM`, then a scale."""

    smooth_sigma_mm: float = 0.0
    sharpen_gain: float = 0.0
    scale: float = 1.0

    def applied_to(self, kernel: KernelEstimate) -> KernelEstimate:
        """Return the kernel of the varied scan."""
        fwhm_mm = float(np.hypot(kernel.fwhm_mm, self.smooth_sigma_mm * FWHM_PER_SIGMA)) * self.scale
        return KernelEstimate(fwhm_mm, kernel.overshoot + self.sharpen_gain)


@dataclass(frozen=True, eq=False)
class VariedBackground:
    """A background as `vary_background` leaves it."""

    volume: Volume
    labels: Labels
    change: KernelChange


def vary_background(
    volume: Volume, labels: Labels, rng: np.random.Generator, recipe: VariationRecipe | None = None
) -> VariedBackground:
    """Return a scan and its labels as another scanner and another body size might have given them.

    Natural calcium labels follow the image: voxels that fall below 130 HU lose them, direct neighbours that rise above
    gain them. Padding stays padding.

    Parameters
    ----------
    volume : Volume
        The CT; unchanged.
    labels : Labels
        Its labels; unchanged.
    rng : numpy.random.Generator
        Source of all choices.
    recipe : VariationRecipe, optional
        How far to go.

    Returns
    -------
    VariedBackground
        Scan and labels on one grid, which has fewer slices when they were thickened.

    Raises
    ------
    GridMismatchError
        Labels and CT lie on different grids.
    """
    recipe = recipe or VariationRecipe()
    labels.check_on(volume)
    labels_zyx, grid = labels.labels_zyx, volume.grid
    is_padding = volume.ct_hu_zyx < PADDING_BELOW_HU
    if (labels_zyx >= Label.CORONARY).any() and rng.random() < recipe.p_erase:
        volume, labels = erase_calcium(volume, labels, rng)
        labels_zyx = labels.labels_zyx
    hu = np.maximum(volume.ct_hu_zyx, np.int16(-1024)).astype(np.float32)
    if grid.spacing_mm_zyx[0] < THICKENED_BELOW_MM and rng.random() < recipe.p_thicken:
        factor = round(THICK_SLICE_MM / grid.spacing_mm_zyx[0])
        first = int(rng.integers(factor))
        hu, labels_zyx, is_padding = _thickened(hu, labels_zyx, is_padding, factor, first)
        grid = _thick_grid(grid, hu.shape[0], factor, first)
    change = _draw_kernel_change(rng, recipe)
    hu = _filtered(hu, grid.spacing_mm_zyx, change)
    hu += np.float32(rng.normal(0, recipe.hu_offset_sd) / -AIR_HU) * np.clip(hu - AIR_HU, 0, None)
    if rng.random() < recipe.p_noise:
        hu += _noise(hu.shape, grid.spacing_mm_zyx, rng, float(rng.uniform(*recipe.noise_sd_hu)))
    out_hu = np.rint(hu).clip(-1024, 3071).astype(np.int16)
    labels_zyx = _relabelled(out_hu, labels_zyx)
    out_hu[is_padding] = volume.ct_hu_zyx.min()
    affine = grid.affine_lps_mm.copy()
    affine[:3, :2] *= change.scale
    grid = Grid(out_hu.shape, affine)
    return VariedBackground(Volume(out_hu, grid), Labels(labels_zyx, grid), change)


def erase_calcium(volume: Volume, labels: Labels, rng: np.random.Generator) -> tuple[Volume, Labels]:
    """Return the scan with its labelled calcium, and the bright blur about it, replaced by surrounding tissue.

    Every slice is filled with the mean of its unlabelled neighbourhood and noise of the heart's own spread. Streaks
    that calcium threw farther than 4 mm stay. Labels 2 become heart; labels 3 do so near it.
    """
    hu_zyx, labels_zyx = volume.ct_hu_zyx.copy(), labels.labels_zyx.copy()
    spacing = volume.spacing_mm_zyx
    noise_sd = _noise_sd(hu_zyx, labels_zyx)
    for k in np.flatnonzero((labels_zyx >= Label.CORONARY).any(axis=(1, 2))):
        is_calcium = labels_zyx[k] >= Label.CORONARY
        reach = ndimage.distance_transform_edt(~is_calcium, sampling=spacing[1:]) <= ERASE_REACH_MM
        is_hole = is_calcium | (reach & (hu_zyx[k] > ERASE_ABOVE_HU))
        sigma = [ERASE_REACH_MM / mm for mm in spacing[1:]]
        is_tissue = (~is_hole & (hu_zyx[k] > -300)).astype(np.float32)
        mean = ndimage.gaussian_filter(is_tissue * hu_zyx[k], sigma) / (
            ndimage.gaussian_filter(is_tissue, sigma) + 1e-6
        )
        grain = _noise((1, *is_hole.shape), spacing, rng, noise_sd)[0]
        hu_zyx[k][is_hole] = np.rint(mean + grain)[is_hole].astype(np.int16)
        share = ndimage.gaussian_filter((labels_zyx[k] == Label.HEART).astype(np.float32), sigma)
        in_heart = (labels_zyx[k] == Label.CORONARY) | (share > 0.3)
        labels_zyx[k][is_calcium] = np.where(in_heart, Label.HEART, Label.BACKGROUND)[is_calcium]
    return Volume(hu_zyx, volume.grid), Labels(labels_zyx, labels.grid)


def _noise_sd(hu_zyx: Int16Array, labels_zyx: UInt8Array) -> float:
    """Return the spread of neighbouring voxels in the heart's soft tissue, robust against edges; HU."""
    step = (hu_zyx[:, :, 3:].astype(np.float32) - hu_zyx[:, :, :-3])[labels_zyx[:, :, 3:] == Label.HEART]
    return float(1.4826 * np.median(np.abs(step)) / np.sqrt(2)) if len(step) else 10.0


@dataclass(frozen=True)
class KernelEstimate:
    """What a scan's skin says of its kernel; the meaning of both numbers is `plaques.PointSpread`'s."""

    fwhm_mm: float
    overshoot: float


def estimate_kernel(volume: Volume, *, limits_mm: tuple[float, float]) -> KernelEstimate:
    """Return the in-plane blur and edge enhancement of a scan, from how the skin rises out of the air.

    An edge of height h blurred by a Gaussian has the steepest slope h / (sigma sqrt(2 pi)). The sharper sixth of many
    skin edges is taken, as the rest lie oblique to the slice or move; the median of that sixth is the blur. An edge
    enhancing kernel also digs a trench into the air beside the skin: its mean depth gives the overshoot. Scans whose
    air lies at the lower end of the stored range hide part of the trench.

    Parameters
    ----------
    volume : Volume
        The CT.
    limits_mm : tuple of float
        The blur is cut to this range; its middle is returned where no edge is found.

    Returns
    -------
    KernelEstimate
        Blur, mm, and overshoot, 0 to 1.
    """
    _, dy, dx = volume.spacing_mm_zyx
    slices = volume.ct_hu_zyx[:: max(1, len(volume.ct_hu_zyx) // 8)]
    edges = [_skin_edges(hu, dy) for hu in slices] + [_skin_edges(hu.T, dx) for hu in slices]
    sigma_mm = np.concatenate([edge[0] for edge in edges])
    trench = np.concatenate([edge[1] for edge in edges])
    if len(sigma_mm) == 0:
        return KernelEstimate(float(np.mean(limits_mm)), 0.0)
    sharp = np.argsort(sigma_mm, kind="stable")[: max(1, len(sigma_mm) // SHARPEST)]
    steepest_mm = float(np.median(sigma_mm[sharp]))
    overshoot, core_mm = _core_and_overshoot(float(trench[sharp].mean(axis=0).max()), steepest_mm)
    return KernelEstimate(float(np.clip(core_mm * FWHM_PER_SIGMA, *limits_mm)), overshoot)


def _core_and_overshoot(trench: float, steepest_mm: float) -> tuple[float, float]:
    """Return overshoot and core sigma (mm) of the kernel whose edge is as steep and as deep as seen."""
    gains, x_mm = np.linspace(0, 1, 21), np.linspace(-6, 0, 121)
    cores_mm, depths = np.empty(21), np.empty(21)
    for k, gain in enumerate(gains):
        # The slope of the whole kernel's edge, (1 + g) / s - g / w, is the one seen; a few turns settle the core s.
        core_mm = steepest_mm
        for _ in range(8):
            core_mm = (1 + gain) / (1 / steepest_mm + gain / np.hypot(core_mm, LOBE_MM))
        cores_mm[k] = core_mm
        wide = special.ndtr(x_mm / np.hypot(core_mm, LOBE_MM))
        depths[k] = -((1 + gain) * special.ndtr(x_mm / core_mm) - gain * wide).min()
    # Even a soft kernel's air is not quite level: less than this is no trench.
    overshoot = float(np.interp(trench - MIN_TRENCH, depths, gains))
    return overshoot, float(np.interp(overshoot, gains, cores_mm))


def _skin_edges(hu_yx: Int16Array, pixel_mm: float) -> tuple[Float64Array, Float64Array]:
    """Return of each column's first rise out of the air, going down the rows: Gaussian sigma, and the trench before it.

    The trench is how far the air lies below the air 6 to 8 mm off, as a share of the edge's height, at every pixel from
    1.5 to 5 mm before the edge; shape (edges, pixels).
    """
    hu = np.clip(hu_yx, -1050, 100).astype(np.float64)
    reach, far = max(2, round(EDGE_REACH_MM / pixel_mm)), int(np.ceil(8.0 / pixel_mm))
    slope = (hu[2:] - hu[:-2]) / (2 * pixel_mm)
    is_edge = (slope * pixel_mm > SKIN_STEP_HU / 6) & (hu[:-2] > PADDING_BELOW_HU + 51)
    first = np.argmax(is_edge, axis=0)
    columns = np.flatnonzero(is_edge.any(axis=0) & (first > far + reach) & (first < len(slope) - 2 * reach))
    rows = first[columns]
    window = np.stack([slope[rows + k, columns] for k in range(reach)])
    at = rows + window.argmax(axis=0)
    height = hu[at + 1 + reach // 2, columns] - hu[at + 1 - reach // 2, columns]
    is_clean = height > SKIN_STEP_HU
    at, columns, height = at[is_clean], columns[is_clean], height[is_clean]
    sigma = height / np.sqrt(2 * np.pi) / window.max(axis=0)[is_clean]
    before = [hu[at + 1 - k, columns] for k in range(int(np.ceil(6.0 / pixel_mm)), far + 1)]
    near = [hu[at + 1 - k, columns] for k in range(int(np.ceil(1.5 / pixel_mm)), reach + 1)]
    trench = (np.mean(before, axis=0) - np.stack(near)) / height
    # A central difference over two pixels widens the edge by the variance of a box of that width.
    return np.asarray(np.sqrt(np.clip(sigma**2 - pixel_mm**2 / 3, 0.01, None))), trench.T


def _thickened(
    hu: Float32Array, labels_zyx: UInt8Array, is_padding: BoolArray, factor: int, first: int
) -> tuple[Float32Array, UInt8Array, BoolArray]:
    n = (len(hu) - first) // factor
    groups = (n, factor, *hu.shape[1:])
    part = slice(first, first + n * factor)
    thin = labels_zyx[part].reshape(groups)
    calcium = np.where(thin >= Label.CORONARY, thin, 0).max(axis=1)
    heart = 2 * (thin != Label.BACKGROUND).sum(axis=1) >= factor
    labels = np.where(calcium > 0, calcium, heart.astype(np.uint8)).astype(np.uint8)
    hu_thick = np.asarray(hu[part].reshape(groups).mean(axis=1), dtype=np.float32)
    return hu_thick, labels, np.asarray(is_padding[part].reshape(groups).all(axis=1))


def _thick_grid(grid: Grid, n_slices: int, factor: int, first: int) -> Grid:
    affine = grid.affine_lps_mm.copy()
    affine[:3, 3] += affine[:3, 2] * (first + (factor - 1) / 2)
    affine[:3, 2] *= factor
    return Grid((n_slices, *grid.shape_zyx[1:]), affine)


def _draw_kernel_change(rng: np.random.Generator, recipe: VariationRecipe) -> KernelChange:
    scale = float(rng.uniform(*recipe.size_factor))
    if rng.random() < recipe.p_smooth:
        return KernelChange(smooth_sigma_mm=float(rng.uniform(*recipe.smooth_sigma_mm)), scale=scale)
    if rng.random() < recipe.p_sharpen:
        return KernelChange(sharpen_gain=float(rng.uniform(*recipe.sharpen_gain)), scale=scale)
    return KernelChange(scale=scale)


def _filtered(hu: Float32Array, spacing: tuple[float, float, float], change: KernelChange) -> Float32Array:
    sigma_mm = change.smooth_sigma_mm or (LOBE_MM if change.sharpen_gain > 0 else 0.0)
    if sigma_mm == 0:
        return hu
    soft = ndimage.gaussian_filter(hu, (0, sigma_mm / spacing[1], sigma_mm / spacing[2]), truncate=3)
    return np.asarray(hu + np.float32(change.sharpen_gain) * (hu - soft) if change.sharpen_gain > 0 else soft)


def _noise(
    shape_zyx: tuple[int, ...], spacing: tuple[float, float, float], rng: np.random.Generator, sd_hu: float
) -> Float32Array:
    """Return noise of the given SD, smooth over 0.5 to 0.8 mm in the plane and unrelated between slices.

    A few slices are drawn; the others are the same ones rolled by random distances, as drawing is what takes time.
    """
    sigma_mm = rng.uniform(0.5, 0.8)
    white = rng.standard_normal((min(N_NOISE_SLICES, shape_zyx[0]), *shape_zyx[1:]), dtype=np.float32)
    smooth = ndimage.gaussian_filter(white, (0, sigma_mm / spacing[1], sigma_mm / spacing[2]), truncate=3, mode="wrap")
    smooth *= np.float32(sd_hu) / max(float(smooth[0].std()), 1e-6)
    noise = np.empty(shape_zyx, dtype=np.float32)
    for k in range(shape_zyx[0]):
        noise[k] = np.roll(smooth[k % len(smooth)], rng.integers(0, shape_zyx[1:]), axis=(0, 1))
    return noise


def _relabelled(hu_zyx: Int16Array, labels_zyx: UInt8Array) -> UInt8Array:
    """Return labels whose calcium is the voxels of at least 130 HU on, or touching in the slice, the old calcium."""
    out = labels_zyx.copy()
    where = ndimage.find_objects((labels_zyx >= Label.CORONARY).astype(np.uint8))
    if not where:
        return out
    part = (where[0][0], *(slice(max(axis.start - 2, 0), axis.stop + 2) for axis in where[0][1:]))
    old, hu, new = labels_zyx[part], hu_zyx[part], out[part]
    touching = np.ones((1, 3, 3), bool)
    near_heart = ndimage.binary_dilation(old == Label.HEART, touching) | (old == Label.CORONARY)
    is_calcium = old >= Label.CORONARY
    lost = is_calcium & (hu < CALCIUM_HU)
    new[lost] = np.where(near_heart[lost], Label.HEART, Label.BACKGROUND)
    for label in (Label.NONCORONARY, Label.CORONARY):
        grown = ndimage.binary_dilation(old == label, touching)
        new[grown & ~is_calcium & (hu >= CALCIUM_HU)] = label
    return out
