"""What can be said of a scan once the heart has been outlined."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from scipy.special import ndtr

from calcmap.core.errors import GridMismatchError
from calcmap.core.scan import QualityFlag, Scan
from calcmap.core.volume import BoolArray, Int16Array, UInt8Array
from calcmap.quality import rules
from calcmap.quality.motion import EdgeWidths, heart_edge_widths
from calcmap.quality.sampling import (
    BODY_ABOVE_HU,
    IN_PLANE_NEIGHBOURS,
    LUNG_HU,
    PADDING_BELOW_HU,
    block_side_px,
    block_statistics,
    full_blocks,
    thinning_steps,
)

AGATSTON_THRESHOLD_HU = 130
MARGIN_MM = 16.0
"""Surroundings of the heart that are looked at: reaches the lungs (our choice)."""
INTERIOR_BLOCK_MM = 6.0
MIN_INTERIOR_BLOCKS = 20
RING_MM = 8.0
COARSE_MM = 4.0


@dataclass(frozen=True, eq=False)
class _HeartView:
    """The heart's surroundings: the mask's box with a margin in the slice, clipped to the image."""

    ct_hu_zyx: Int16Array
    heart_zyx: BoolArray
    box_zyx: tuple[slice, slice, slice]
    """The heart's own box on the full grid."""
    spacing_mm_zyx: tuple[float, float, float]


@dataclass(frozen=True)
class HeartInterior:
    """Blood and muscle well inside the heart."""

    blood_hu: float
    """Median of block means, blocks of fat left out."""
    noise_hu: float
    """Median of the blocks' standard deviations."""


def assess_heart(
    scan: Scan, heart_mask_zyx: BoolArray | UInt8Array, *, threshold_hu: int = AGATSTON_THRESHOLD_HU
) -> tuple[QualityFlag, ...]:
    """Return what is noticeable about the outlined heart, in the order of `RULES`; empty when all is well.

    Parameters
    ----------
    scan : Scan
        The CT that was segmented.
    heart_mask_zyx : ndarray of bool or uint8, shape (slices, rows, columns)
        Heart with its epicardial fat and everything in it; any non-zero voxel counts. On the grid of the CT.
    threshold_hu : int
        Calcium threshold that noise is compared with, HU.

    Returns
    -------
    tuple of QualityFlag
        Flags with the value found; a refusing one forbids a score. An empty or tiny mask gives ``heart_not_found``
        alone.

    Raises
    ------
    GridMismatchError
        The mask has another shape than the CT.
    """
    volume = scan.volume
    if heart_mask_zyx.shape != volume.grid.shape_zyx:
        raise GridMismatchError(f"the heart mask has shape {heart_mask_zyx.shape}, the CT {volume.grid.shape_zyx}")
    mask_zyx: BoolArray = heart_mask_zyx.astype(np.bool_, copy=False)
    heart_ml = np.count_nonzero(mask_zyx) * volume.grid.voxel_volume_mm3 / 1000.0
    if heart_ml < rules.HEART_MIN_ML:
        return (rules.HEART_NOT_FOUND.flag(f"heart mask of {heart_ml:.0f} mL, expected several hundred"),)
    view = _view(volume.ct_hu_zyx, mask_zyx, volume.spacing_mm_zyx)
    flags = _volume_flags(heart_ml)
    flags += _coverage_flags(view, n_slices=volume.grid.shape_zyx[0])
    flags += _field_flags(view, shape_yx=volume.grid.shape_zyx[1:])
    flags += _position_flags(volume.ct_hu_zyx, view)
    flags += _shape_flags(view)
    flags += _surroundings_flags(view)
    flags += _interior_flags(heart_interior(view.ct_hu_zyx, view.heart_zyx, view.spacing_mm_zyx), threshold_hu)
    flags += _metal_flags(view, voxel_mm3=volume.grid.voxel_volume_mm3)
    z = view.box_zyx[0]
    flags += _motion_flags(heart_edge_widths(volume.ct_hu_zyx[z], mask_zyx[z], volume.spacing_mm_zyx))
    return tuple(flags)


def heart_interior(
    ct_hu_zyx: Int16Array, heart_zyx: BoolArray, spacing_mm_zyx: tuple[float, float, float]
) -> HeartInterior | None:
    """Return blood's HU and noise inside the heart, or ``None`` where the heart is too small to have an inside.

    Blocks of 6 mm that lie wholly in the heart with all their neighbours, so at least 6 mm from its border; blocks of
    fat (mean of 0 HU or less) are left out. Block means make the median robust against noise.
    """
    side_px = block_side_px(spacing_mm_zyx, block_mm=INTERIOR_BLOCK_MM)
    inside = ndimage.binary_erosion(full_blocks(heart_zyx, side_px), IN_PLANE_NEIGHBOURS)
    mean_zyx, sd_zyx = block_statistics(ct_hu_zyx, spacing_mm_zyx, block_mm=INTERIOR_BLOCK_MM)
    tissue = inside & (mean_zyx > 0)
    if np.count_nonzero(tissue) < MIN_INTERIOR_BLOCKS:
        return None
    return HeartInterior(blood_hu=float(np.median(mean_zyx[tissue])), noise_hu=float(np.median(sd_zyx[tissue])))


def _view(ct_hu_zyx: Int16Array, mask_zyx: BoolArray, spacing_mm_zyx: tuple[float, float, float]) -> _HeartView:
    z = _span(np.any(mask_zyx, axis=(1, 2)))
    shadow_yx = np.any(mask_zyx[z], axis=0)
    y, x = _span(np.any(shadow_yx, axis=1)), _span(np.any(shadow_yx, axis=0))
    wide = [
        slice(max(0, part.start - round(MARGIN_MM / mm)), part.stop + round(MARGIN_MM / mm))
        for part, mm in zip((y, x), spacing_mm_zyx[1:], strict=True)
    ]
    return _HeartView(ct_hu_zyx[z, wide[0], wide[1]], mask_zyx[z, wide[0], wide[1]], (z, y, x), spacing_mm_zyx)


def _span(occupied: BoolArray) -> slice:
    index = np.flatnonzero(occupied)
    return slice(int(index[0]), int(index[-1]) + 1)


def _volume_flags(heart_ml: float) -> list[QualityFlag]:
    for rule, (low, high) in (
        (rules.HEART_VOLUME_REFUSE, rules.HEART_REFUSE_ML),
        (rules.HEART_VOLUME_WARNING, rules.HEART_WARNING_ML),
    ):
        if not low <= heart_ml <= high:
            return [rule.flag(f"heart of {heart_ml:.0f} mL, expected {low:g} to {high:g} mL")]
    return []


def _coverage_flags(view: _HeartView, *, n_slices: int) -> list[QualityFlag]:
    area = np.count_nonzero(view.heart_zyx, axis=(1, 2))
    z = view.box_zyx[0]
    ends = [("lowest", area[0] if z.start == 0 else 0), ("highest", area[-1] if z.stop == n_slices else 0)]
    name, cut = max(ends, key=lambda end: int(end[1]))
    share = float(cut) / float(area.max())
    if share == 0:
        return []
    rule = rules.HEART_CUT_REFUSE if share > rules.HEART_CUT_SLIVER else rules.HEART_CUT_WARNING
    return [rule.flag(f"the {name} slice holds {share:.0%} of the heart's largest cross-section, expected none")]


def _field_flags(view: _HeartView, *, shape_yx: tuple[int, int]) -> list[QualityFlag]:
    contact_mm2 = _contact_mm2(view, shape_yx)
    if contact_mm2 == 0:
        return []
    rule = rules.HEART_FOV_REFUSE if contact_mm2 > rules.FOV_CONTACT_REFUSE_MM2 else rules.HEART_FOV_WARNING
    return [rule.flag(f"the heart touches the end of the field of view over {contact_mm2:.0f} mm², expected none")]


def _contact_mm2(view: _HeartView, shape_yx: tuple[int, int]) -> float:
    """Return the area over which the heart meets the image's sides, or padding, or holds padding."""
    dz, dy, dx = view.spacing_mm_zyx
    _, y, x = view.box_zyx
    heart = view.heart_zyx
    side_x, side_y = dz * dy, dz * dx
    area = side_x * (_n_edge(heart, 0, axis=2) if x.start == 0 else 0)
    area += side_x * (_n_edge(heart, -1, axis=2) if x.stop == shape_yx[1] else 0)
    area += side_y * (_n_edge(heart, 0, axis=1) if y.start == 0 else 0)
    area += side_y * (_n_edge(heart, -1, axis=1) if y.stop == shape_yx[0] else 0)
    padding = view.ct_hu_zyx <= PADDING_BELOW_HU
    if padding.any():
        n_x = np.count_nonzero(heart[:, :, 1:] & padding[:, :, :-1]) + np.count_nonzero(
            heart[:, :, :-1] & padding[:, :, 1:]
        )
        n_y = np.count_nonzero(heart[:, 1:] & padding[:, :-1]) + np.count_nonzero(heart[:, :-1] & padding[:, 1:])
        area += side_x * n_x + side_y * n_y
    return float(area)


def _n_edge(mask_zyx: BoolArray, index: int, *, axis: int) -> int:
    return int(np.count_nonzero(mask_zyx.take(index, axis=axis)))


def _position_flags(ct_hu_zyx: Int16Array, view: _HeartView) -> list[QualityFlag]:
    """Compare the heart's box centre with the body's box in the heart's slices."""
    z, y, x = view.box_zyx
    _, step_y, step_x = thinning_steps(view.spacing_mm_zyx, step_mm=COARSE_MM)
    body = ct_hu_zyx[z][::2, ::step_y, ::step_x] > BODY_ABOVE_HU
    # the opening removes the table's shell and cables
    body = ndimage.binary_opening(body, IN_PLANE_NEIGHBOURS)
    if not body.any():
        return []
    rows, columns = _span(np.any(body, axis=(0, 2))), _span(np.any(body, axis=(0, 1)))
    back = ((y.start + y.stop) / 2 / step_y - rows.start) / (rows.stop - rows.start)
    left = ((x.start + x.stop) / 2 / step_x - columns.start) / (columns.stop - columns.start)
    in_width = rules.HEART_CENTER_LEFT_RIGHT[0] <= left <= rules.HEART_CENTER_LEFT_RIGHT[1]
    in_depth = rules.HEART_CENTER_FRONT_BACK[0] <= back <= rules.HEART_CENTER_FRONT_BACK[1]
    if in_width and in_depth:
        return []
    detail = f"the heart's centre lies at {left:.0%} of the body's width from the right and {back:.0%} of its depth"
    return [rules.HEART_POSITION.flag(f"{detail} from the front, expected about 55 % and 40 %")]


def _shape_flags(view: _HeartView) -> list[QualityFlag]:
    flags = []
    lengths = [part.stop - part.start for part in view.box_zyx]
    extents_mm = [n * mm for n, mm in zip(lengths, view.spacing_mm_zyx, strict=True)]
    fill = np.count_nonzero(view.heart_zyx) / float(np.prod(lengths))
    low, high = rules.HEART_EXTENT_MM
    if min(extents_mm) < low or max(extents_mm) > high or not rules.HEART_FILL[0] <= fill <= rules.HEART_FILL[1]:
        height, depth, width = extents_mm
        detail = f"the heart is {width:.0f} mm wide, {depth:.0f} mm deep, {height:.0f} mm high"
        flags.append(
            rules.HEART_SHAPE.flag(
                f"{detail} and fills {fill:.0%} of that box, expected {low:g} to {high:g} mm and about 46 %"
            )
        )
    stray = _stray_share(view)
    if stray > rules.HEART_STRAY_SHARE:
        flags.append(rules.HEART_FRAGMENTED.flag(f"{stray:.0%} of the heart mask lies apart from its largest piece"))
    return flags


def _stray_share(view: _HeartView) -> float:
    _, step_y, step_x = thinning_steps(view.spacing_mm_zyx, step_mm=COARSE_MM)
    pieces, n_pieces = ndimage.label(view.heart_zyx[:, ::step_y, ::step_x], np.ones((3, 3, 3)))
    if n_pieces < 2:
        return 0.0
    sizes = np.bincount(pieces.ravel())[1:]
    return float(1.0 - sizes.max() / sizes.sum())


def _surroundings_flags(view: _HeartView) -> list[QualityFlag]:
    _, step_y, step_x = thinning_steps(view.spacing_mm_zyx, step_mm=COARSE_MM)
    heart = view.heart_zyx[:, ::step_y, ::step_x]
    grown = ndimage.binary_dilation(heart, IN_PLANE_NEIGHBOURS, iterations=round(RING_MM / COARSE_MM))
    ring_hu = view.ct_hu_zyx[:, ::step_y, ::step_x][grown & ~heart]
    share = np.count_nonzero((ring_hu > PADDING_BELOW_HU) & (ring_hu < LUNG_HU[1])) / max(1, ring_hu.size)
    if share >= rules.HEART_LUNG_SHARE:
        return []
    return [rules.HEART_WITHOUT_LUNG.flag(f"{share:.0%} of the heart's surroundings is lung, expected 25 % or more")]


def _interior_flags(interior: HeartInterior | None, threshold_hu: int) -> list[QualityFlag]:
    if interior is None:
        return []
    blood_hu = interior.blood_hu
    flags = []
    if blood_hu > rules.BLOOD_WARNING_HU:
        rule = rules.BLOOD_CONTRAST_REFUSE if blood_hu > rules.BLOOD_REFUSE_HU else rules.BLOOD_CONTRAST_WARNING
        flags.append(rule.flag(f"the heart's inside has a median of {blood_hu:.0f} HU, without contrast 35 to 60 HU"))
    if blood_hu < rules.BLOOD_LOW_HU:
        flags.append(
            rules.BLOOD_LOW.flag(f"the heart's inside has a median of {blood_hu:.0f} HU, expected 35 to 60 HU")
        )
    return flags + _chance_flags(interior, threshold_hu)


def _chance_flags(interior: HeartInterior, threshold_hu: int) -> list[QualityFlag]:
    """Judge how many pixels of plain heart pass the threshold by noise alone."""
    z = (threshold_hu - interior.blood_hu) / max(interior.noise_hu, 1e-3)
    if z >= rules.CHANCE_Z_WARNING:
        return []
    rule = rules.HEART_NOISE_REFUSE if z < rules.CHANCE_Z_REFUSE else rules.HEART_NOISE_WARNING
    chance = float(ndtr(-z))
    return [
        rule.flag(
            f"noise of {interior.noise_hu:.0f} HU (SD) around {interior.blood_hu:.0f} HU lifts {chance:.2%} of the "
            f"heart's pixels over {threshold_hu} HU by chance, expected below 0.13%"
        )
    ]


def _metal_flags(view: _HeartView, *, voxel_mm3: float) -> list[QualityFlag]:
    metal_mm3 = np.count_nonzero(view.heart_zyx & (view.ct_hu_zyx >= rules.HEART_METAL_HU)) * voxel_mm3
    if metal_mm3 <= rules.HEART_METAL_MIN_MM3:
        return []
    return [rules.METAL_IN_HEART.flag(f"{metal_mm3:.0f} mm³ at {rules.HEART_METAL_HU} HU or above inside the heart")]


def _motion_flags(widths: EdgeWidths | None) -> list[QualityFlag]:
    if widths is None or widths.heart_mm <= rules.MOTION_EDGE_MM:
        return []
    if widths.wall_mm is not None and widths.heart_mm <= rules.MOTION_EDGE_RATIO * widths.wall_mm:
        return []
    wall = "" if widths.wall_mm is None else f", the chest wall's {widths.wall_mm:.1f} mm"
    return [
        rules.MOTION_BLUR.flag(
            f"the heart's edge to the lung is {widths.heart_mm:.1f} mm wide{wall}, expected about 2 mm"
        )
    ]
