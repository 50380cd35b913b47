"""A real scan as another scanner might have taken it: kernel, noise, slice thickness, HU offset, body size.

Anatomy is never mirrored: a heart on the right side would be another disease, not another scanner.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

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
from calcmap.simulation.planting.plaques import FWHM_PER_SIGMA

CALCIUM_HU = 130
AIR_HU = -1000.0
PADDING_BELOW_HU = -1100
"""CT numbers end at about -1024; lower values are padding outside the reconstructed field."""
THICK_SLICE_MM = 5.0
THICKENED_BELOW_MM = 3.5
SKIN_STEP_HU = 500.0
EDGE_REACH_MM = 5.0
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


def vary_background(
    volume: Volume, labels: Labels, rng: np.random.Generator, recipe: VariationRecipe | None = None
) -> tuple[Volume, Labels]:
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
    tuple of Volume and Labels
        On one grid, which has fewer slices when they were thickened.

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
    hu = _filtered(hu, grid.spacing_mm_zyx, rng, recipe)
    hu += np.float32(rng.normal(0, recipe.hu_offset_sd) / -AIR_HU) * np.clip(hu - AIR_HU, 0, None)
    if rng.random() < recipe.p_noise:
        hu += _noise(hu.shape, grid.spacing_mm_zyx, rng, float(rng.uniform(*recipe.noise_sd_hu)))
    out_hu = np.rint(hu).clip(-1024, 3071).astype(np.int16)
    labels_zyx = _relabelled(out_hu, labels_zyx)
    out_hu[is_padding] = volume.ct_hu_zyx.min()
    affine = grid.affine_lps_mm.copy()
    affine[:3, :2] *= rng.uniform(*recipe.size_factor)
    grid = Grid(out_hu.shape, affine)
    return Volume(out_hu, grid), Labels(labels_zyx, grid)


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


def estimate_fwhm_mm(volume: Volume, *, limits_mm: tuple[float, float]) -> float:
    """Return the in-plane blur of a scan, from how steeply the skin rises out of the air.

    An edge of height h blurred by a Gaussian has the steepest slope h / (sigma sqrt(2 pi)). The sharper third of many
    skin edges is taken, as the rest lie oblique to the slice or move; the median of that third is the answer.

    Parameters
    ----------
    volume : Volume
        The CT.
    limits_mm : tuple of float
        The answer is cut to this range; its middle is returned where no edge is found.

    Returns
    -------
    float
        Full width at half maximum, mm.
    """
    _, dy, dx = volume.spacing_mm_zyx
    slices = volume.ct_hu_zyx[:: max(1, len(volume.ct_hu_zyx) // 8)]
    sigmas = [_edge_sigmas(np.clip(hu, -1000, 100).astype(np.float64), dy) for hu in slices]
    sigmas += [_edge_sigmas(np.clip(hu.T, -1000, 100).astype(np.float64), dx) for hu in slices]
    sigma_mm = np.sort(np.concatenate(sigmas))
    if len(sigma_mm) == 0:
        return float(np.mean(limits_mm))
    sharp = sigma_mm[: max(1, len(sigma_mm) // 3)]
    return float(np.clip(np.median(sharp) * FWHM_PER_SIGMA, *limits_mm))


def _edge_sigmas(hu_yx: Float64Array, pixel_mm: float) -> Float64Array:
    """Return the Gaussian sigma of each column's first rise out of the air, going down the rows."""
    reach = max(2, round(EDGE_REACH_MM / pixel_mm))
    slope = (hu_yx[2:] - hu_yx[:-2]) / (2 * pixel_mm)
    is_edge = slope * pixel_mm > SKIN_STEP_HU / 6
    first = np.argmax(is_edge, axis=0)
    columns = np.flatnonzero(is_edge.any(axis=0) & (first > reach) & (first < len(slope) - 2 * reach))
    rows = first[columns]
    window = np.stack([slope[rows + k, columns] for k in range(reach)])
    at = rows + window.argmax(axis=0)
    height = hu_yx[at + 1 + reach // 2, columns] - hu_yx[at + 1 - reach // 2, columns]
    is_clean = height > SKIN_STEP_HU
    sigma = height[is_clean] / np.sqrt(2 * np.pi) / window.max(axis=0)[is_clean]
    # A central difference over two pixels widens the edge by the variance of a box of that width.
    return np.asarray(np.sqrt(np.clip(sigma**2 - pixel_mm**2 / 3, 0.01, None)))


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


def _filtered(
    hu: Float32Array, spacing: tuple[float, float, float], rng: np.random.Generator, recipe: VariationRecipe
) -> Float32Array:
    if rng.random() < recipe.p_smooth:
        sigma_mm = rng.uniform(*recipe.smooth_sigma_mm)
        return np.asarray(ndimage.gaussian_filter(hu, (0, sigma_mm / spacing[1], sigma_mm / spacing[2]), truncate=3))
    if rng.random() < recipe.p_sharpen:
        gain = np.float32(rng.uniform(*recipe.sharpen_gain))
        soft = ndimage.gaussian_filter(hu, (0, 1.0 / spacing[1], 1.0 / spacing[2]), truncate=3)
        return np.asarray(hu + gain * (hu - soft))
    return hu


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
