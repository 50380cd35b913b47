"""What can be said of a scan before anything was segmented."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from calcmap.core.scan import Acquisition, QualityFlag, Scan
from calcmap.core.volume import BoolArray, Volume
from calcmap.quality import rules
from calcmap.quality.sampling import (
    IN_PLANE_NEIGHBOURS,
    PADDING_BELOW_HU,
    TISSUE_HU,
    ThinnedCt,
    block_statistics,
    lungs,
    thin,
)

LOOK_MM = 6.0
"""Distance of the voxels looked at: fine enough for lungs and mediastinum (our choice)."""
NOISE_SLICES = 8
NOISE_BLOCK_MM = 8.0
"""Wider than the noise grain of smooth kernels (about 2 mm), narrower than muscles (our choice)."""
SOFT_TISSUE_HU = (0.0, 100.0)
NOISE_QUANTILE = 0.25
"""Edges only ever add to a block's SD, so the quieter quarter of the blocks is nearest to pure noise (our choice)."""
MIN_NOISE_BLOCKS = 20
MID_CHEST_SHARE = 0.5
"""Slices with at least this share of the largest lung area lie between apex and diaphragm."""
MEDIASTINUM_WIDTH = (0.25, 0.75)
"""Part of the lungs' left-right extent: leaves the ribs out."""
MEDIASTINUM_DEPTH = (0.10, 0.65)
"""Part of the lungs' front-back extent: leaves sternum and spine out."""
MEDIASTINUM_QUANTILE = 0.60
"""Above the median, so that muscle cannot hide bright chambers; low enough to leave bone out (our choice)."""
MIN_MEDIASTINUM_ML = 50.0
NOT_FAT_ABOVE_HU = -20
KVP_EQUAL_THRESHOLDS = ((70.0, 207.0), (80.0, 177.0), (100.0, 145.0), (120.0, 130.0), (135.0, 119.0), (140.0, 115.0))
"""HU at which calcium of 130 HU at 120 kVp is found (Gräni 2018; 140 kVp extrapolated)."""


def assess_scan(scan: Scan) -> tuple[QualityFlag, ...]:
    """Return what is noticeable about a scan before segmentation, in the order of `RULES`; empty when all is well.

    Geometry and padding are the reader's business and stand in ``scan.flags`` already.

    Parameters
    ----------
    scan : Scan
        CT in HU with its acquisition. Voxels are only read, and only a few per cent of them.

    Returns
    -------
    tuple of QualityFlag
        Flags with the value found; a refusing one forbids a score.

    Notes
    -----
    When there is no body, or no lungs in it, the questions that need them are not asked.
    """
    volume = scan.volume
    look = thin(volume, step_mm=LOOK_MM)
    lung_zyx = lungs(look)
    content = _content_flags(look, lung_zyx)
    flags = content or [*_noise_flags(volume), *_contrast_flags(look, lung_zyx)]
    flags[len(content) : len(content)] = _increment_flags(volume)
    flags += _acquisition_flags(scan.acquisition)
    flags += _truncation_flags(look)
    flags += _metal_flags(volume)
    return tuple(flags)


def noise_hu(volume: Volume) -> float | None:
    """Return the noise of soft tissue (SD, HU), or ``None`` where there is too little soft tissue to tell.

    The lower quartile of the standard deviations of blocks of 8 mm with a mean of 0 to 100 HU, over eight slices spread
    evenly. Smooth anatomy inside a block is taken for noise, fine grain is not missed.
    """
    nz = volume.grid.shape_zyx[0]
    slices = np.unique(np.linspace(0, nz - 1, NOISE_SLICES + 2).round().astype(int)[1:-1])
    mean_zyx, sd_zyx = block_statistics(volume.ct_hu_zyx[slices], volume.spacing_mm_zyx, block_mm=NOISE_BLOCK_MM)
    soft = (mean_zyx > SOFT_TISSUE_HU[0]) & (mean_zyx < SOFT_TISSUE_HU[1])
    if np.count_nonzero(soft) < MIN_NOISE_BLOCKS:
        return None
    return float(np.quantile(sd_zyx[soft], NOISE_QUANTILE))


def mediastinum_hu(look: ThinnedCt, lung_zyx: BoolArray) -> float | None:
    """Return the 60th percentile of HU between the lungs (fat left out), or ``None`` where there is too little tissue.

    Looked at is the middle of the chest: slices with at least half the largest lung area, the inner half of the lungs'
    width and their front 10 to 65 %.
    """
    middle = np.zeros(lung_zyx.shape, dtype=bool)
    area = lung_zyx.sum(axis=(1, 2))
    for z in np.flatnonzero((area > 0) & (area >= MID_CHEST_SHARE * area.max())):
        rows = _inner(lung_zyx[z].any(axis=1), MEDIASTINUM_DEPTH)
        columns = _inner(lung_zyx[z].any(axis=0), MEDIASTINUM_WIDTH)
        middle[z, rows, columns] = True
    tissue = look.ct_hu_zyx[middle & (look.ct_hu_zyx > NOT_FAT_ABOVE_HU)]
    if tissue.size * look.voxel_ml < MIN_MEDIASTINUM_ML:
        return None
    return float(np.quantile(tissue, MEDIASTINUM_QUANTILE))


def _inner(occupied: BoolArray, part: tuple[float, float]) -> slice:
    index = np.flatnonzero(occupied)
    first, extent = int(index[0]), int(index[-1] - index[0])
    return slice(first + round(part[0] * extent), first + round(part[1] * extent) + 1)


def _content_flags(look: ThinnedCt, lung_zyx: BoolArray) -> list[QualityFlag]:
    hu = look.ct_hu_zyx
    tissue_ml = np.count_nonzero((hu > TISSUE_HU[0]) & (hu < TISSUE_HU[1])) * look.voxel_ml
    if tissue_ml < rules.MIN_TISSUE_ML:
        return [
            rules.EMPTY_SCAN.flag(
                f"{tissue_ml:.0f} mL of tissue found, a chest has {rules.MIN_TISSUE_ML:.0f} mL or more"
            )
        ]
    lung_ml = np.count_nonzero(lung_zyx) * look.voxel_ml
    if lung_ml < rules.MIN_LUNG_ML:
        return [rules.NO_LUNGS.flag(f"{lung_ml:.0f} mL of lung found, a chest has {rules.MIN_LUNG_ML:.0f} mL or more")]
    return []


def _increment_flags(volume: Volume) -> list[QualityFlag]:
    increment_mm = volume.spacing_mm_zyx[0]
    if increment_mm > rules.INCREMENT_REFUSE_MM:
        detail = f"slice increment {increment_mm:.2f} mm, at most {rules.INCREMENT_REFUSE_MM:g} mm can be scored"
        return [rules.THICK_SLICES_REFUSE.flag(detail)]
    if increment_mm > rules.INCREMENT_WARNING_MM:
        detail = f"slice increment {increment_mm:.2f} mm, expected up to {rules.INCREMENT_WARNING_MM:g} mm"
        return [rules.THICK_SLICES_WARNING.flag(f"{detail}; small plaque may be missed")]
    return []


def _noise_flags(volume: Volume) -> list[QualityFlag]:
    noise = noise_hu(volume)
    if noise is None or noise <= rules.NOISE_WARNING_HU:
        return []
    rule = rules.NOISE_REFUSE if noise > rules.NOISE_REFUSE_HU else rules.NOISE_WARNING
    limit = rules.NOISE_REFUSE_HU if rule is rules.NOISE_REFUSE else rules.NOISE_WARNING_HU
    return [rule.flag(f"noise in soft tissue is {noise:.0f} HU (SD), expected up to {limit:g} HU")]


def _contrast_flags(look: ThinnedCt, lung_zyx: BoolArray) -> list[QualityFlag]:
    hu = mediastinum_hu(look, lung_zyx)
    if hu is None or hu <= rules.MEDIASTINUM_WARNING_HU:
        return []
    rule = rules.CONTRAST_REFUSE if hu > rules.MEDIASTINUM_REFUSE_HU else rules.CONTRAST_WARNING
    return [rule.flag(f"the mediastinum's tissue has a 60th percentile of {hu:.0f} HU, without contrast 35 to 60 HU")]


def _acquisition_flags(acquisition: Acquisition) -> list[QualityFlag]:
    flags = []
    if acquisition.contrast_agent:
        flags.append(
            rules.CONTRAST_DECLARED.flag("the header names a contrast agent; a calcium score needs a scan without")
        )
    if acquisition.kvp is None:
        flags.append(rules.KVP_UNKNOWN.flag("tube voltage not stated; 130 HU is defined for 120 kVp"))
    elif acquisition.kvp != rules.KVP_REFERENCE:
        flags.append(_kvp_flag(acquisition.kvp))
    return flags


def _kvp_flag(kvp: float) -> QualityFlag:
    voltages, thresholds = zip(*KVP_EQUAL_THRESHOLDS, strict=True)
    shift = float(np.interp(kvp, voltages, thresholds)) / np.interp(rules.KVP_REFERENCE, voltages, thresholds) - 1.0
    more, high = ("more", "high") if shift > 0 else ("fewer", "low")
    rule = rules.KVP_FAR if abs(shift) > rules.KVP_NEAR_SHIFT else rules.KVP_NEAR
    return rule.flag(
        f"{kvp:g} kVp instead of 120 kVp: calcium measures about {abs(shift):.0%} {more} HU, so the score tends to be "
        f"too {high}; the threshold was not changed"
    )


def _truncation_flags(look: ThinnedCt) -> list[QualityFlag]:
    hu = look.ct_hu_zyx
    field = hu > PADDING_BELOW_HU
    rim = field & ~ndimage.binary_erosion(field, IN_PLANE_NEIGHBOURS)
    n_rim = np.count_nonzero(rim)
    share = np.count_nonzero(rim & (hu > TISSUE_HU[0])) / n_rim if n_rim else 0.0
    if share <= rules.RIM_BODY_SHARE:
        return []
    return [rules.BODY_TRUNCATED.flag(f"tissue on {share:.0%} of the field of view's rim: the body reaches beyond it")]


def _metal_flags(volume: Volume) -> list[QualityFlag]:
    # every second row and column: a cluster of 100 mm3 still shows some 5 pixels
    n_metal = np.count_nonzero(volume.ct_hu_zyx[:, ::2, ::2] >= rules.METAL_HU)
    metal_mm3 = n_metal * 4 * volume.grid.voxel_volume_mm3
    if metal_mm3 <= rules.METAL_MIN_MM3:
        return []
    return [rules.METAL.flag(f"{metal_mm3:.0f} mm³ at {rules.METAL_HU} HU or above: streaks are possible")]
