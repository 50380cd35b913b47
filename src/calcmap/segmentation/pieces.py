"""Dense pieces that count as coronary calcium, as a few numbers each: what the lesion judge knows of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.special import softmax

from calcmap.core.volume import BoolArray, Float64Array, IntArray
from calcmap.segmentation.evidence import (
    BACKGROUND_CLASS,
    CORONARY_CLASS,
    NONCORONARY_CLASS,
    Candidates,
    agatston_of_parts,
    largest_of_parts,
)

PIECE_FEATURES = (
    "log_volume",
    "peak_hu",
    "mean_hu",
    "logit_over_background",
    "logit_over_noncoronary",
    "coronary_max",
    "coronary_mean",
    "coronary_share",
    "noncoronary_share",
    "z",
    "y",
    "x",
    "radius",
    "elongation",
    "n_slices",
    "log_other_score",
    "log_n_pieces",
    "log_coronary_volume",
)
"""What `counted_pieces` tells of a piece, in this order."""
ROUNDNESS_MM2 = 0.3
"""Added to both variances of a piece's pixels, about those of one pixel of 1 to 2 mm: a pixel is round (our choice)."""


@dataclass(frozen=True, eq=False)
class CountedPieces:
    """The dense pieces of one scan in which at least one voxel was found coronary; arrays begin with the pieces.

    Parameters
    ----------
    number : ndarray of int, shape (pieces,)
        As in `Candidates.piece`, rising.
    features_pf : ndarray of float64, shape (pieces, len(PIECE_FEATURES))
        See `counted_pieces`.
    """

    number: NDArray[np.intp]
    features_pf: Float64Array


def counted_pieces(candidates: Candidates, class_voxel: NDArray[np.intp]) -> CountedPieces:
    """Return the pieces that count as coronary calcium, with what is known of each.

    Parameters
    ----------
    candidates : Candidates
        Of one box.
    class_voxel : ndarray of int, shape (voxels,)
        As `evidence.decide` returns it.

    Returns
    -------
    CountedPieces
        Features over all dense voxels of a piece: logarithm of its volume (mm3); peak and mean HU; how far the mean
        logit of coronary lies above those of background and of noncoronary calcium; largest and mean probability of
        coronary calcium; shares of voxels found coronary and noncoronary; the middle in heart-relative coordinates and
        its distance from the heart's; how elongated it is within slices (ratio of the principal deviations); how many
        slices it has; and of the scan log(1 + score of what else counts), log(1 + dense pieces), which tells noise from
        calcium better than a piece alone can, and log(1 + volume found coronary in mm3).
    """
    dense = np.flatnonzero((candidates.piece > 0) & ~candidates.is_outlying)
    is_coronary = class_voxel[dense] == CORONARY_CLASS
    number = np.unique(candidates.piece[dense][is_coronary])
    n_pieces_in_all = len(np.unique(candidates.piece[dense]))
    if len(number) == 0:
        return CountedPieces(number, np.zeros((0, len(PIECE_FEATURES))))
    is_counted = np.isin(candidates.piece[dense], number)
    voxel, is_coronary = dense[is_counted], is_coronary[is_counted]
    part = np.searchsorted(number, candidates.piece[voxel])
    n_voxels = np.bincount(part).astype(np.float64)
    voxel_mm3 = float(np.prod(candidates.spacing_mm_zyx))
    logits_nk = candidates.logits_nk[voxel].astype(np.float64)
    coronary = softmax(logits_nk, axis=1)[:, CORONARY_CLASS]
    mean_logit = [np.bincount(part, logits_nk[:, k]) / n_voxels for k in range(logits_nk.shape[1])]
    score = agatston_of_parts(candidates, voxel[is_coronary], part[is_coronary], n_parts=len(number))
    zyx = np.stack(np.unravel_index(candidates.index[voxel], candidates.shape_zyx), axis=1)
    middle_pc = _middles(candidates.frame.relative(zyx), part, n_voxels)
    columns = [
        np.log(n_voxels * voxel_mm3),
        largest_of_parts(candidates.hu[voxel], part),
        np.bincount(part, candidates.hu[voxel]) / n_voxels,
        mean_logit[CORONARY_CLASS] - mean_logit[BACKGROUND_CLASS],
        mean_logit[CORONARY_CLASS] - mean_logit[NONCORONARY_CLASS],
        largest_of_parts(coronary, part),
        np.bincount(part, coronary) / n_voxels,
        np.bincount(part, is_coronary) / n_voxels,
        np.bincount(part, class_voxel[voxel] == NONCORONARY_CLASS) / n_voxels,
        *middle_pc.T,
        np.linalg.norm(middle_pc, axis=1),
        _elongation(zyx[:, 1:] * np.array(candidates.spacing_mm_zyx[1:]), part, n_voxels),
        _slice_counts(zyx[:, 0], part),
        np.log1p(np.maximum(score.sum() - score, 0.0)),
        np.full(len(number), np.log1p(n_pieces_in_all)),
        np.full(len(number), np.log1p(is_coronary.sum() * voxel_mm3)),
    ]
    return CountedPieces(number, np.stack(columns, axis=1))


def without_pieces(candidates: Candidates, class_voxel: NDArray[np.intp], struck: NDArray[np.intp]) -> NDArray[np.intp]:
    """Return the decision without the coronary calcium of some pieces, and without their less dense rims.

    Parameters
    ----------
    candidates : Candidates
        Of one box.
    class_voxel : ndarray of int, shape (voxels,)
        As `evidence.decide` returns it; not changed.
    struck : ndarray of int
        Numbers of the pieces whose coronary voxels become background. Below the pieces' threshold a voxel goes with
        them when it hangs together (26 neighbours, coronary voxels alone) with a struck piece and with no other: a
        scoring profile with a lower threshold must not bring back what was struck out.

    Returns
    -------
    ndarray of int, shape (voxels,)
        Classes.
    """
    kept_class = class_voxel.copy()
    if len(struck) == 0:
        return kept_class
    coronary = np.flatnonzero(class_voxel == CORONARY_CLASS)
    piece = candidates.piece[coronary]
    is_struck = np.isin(piece, struck)
    group = _touching_groups(np.stack(np.unravel_index(candidates.index[coronary], candidates.shape_zyx), axis=1))
    loses = _any_of_group(is_struck, group) & ~_any_of_group((piece > 0) & ~is_struck, group)
    kept_class[coronary[is_struck | (loses & (piece == 0))]] = BACKGROUND_CLASS
    return kept_class


def _middles(position_nc: Float64Array, part: NDArray[np.intp], n_voxels: Float64Array) -> Float64Array:
    """Return the mean position (parts, 3) of each part's voxels."""
    return np.stack([np.bincount(part, along) / n_voxels for along in position_nc.T], axis=1)


def _elongation(yx_mm: Float64Array, part: NDArray[np.intp], n_voxels: Float64Array) -> Float64Array:
    """Return the ratio (parts,), 1 or more, of the principal standard deviations of each part's pixels in the slice."""
    y_mm, x_mm = (along - (np.bincount(part, along) / n_voxels)[part] for along in yx_mm.T)
    # the sample's variances, as of one voxel none
    yy, xx, yx = (
        np.bincount(part, product) / np.maximum(n_voxels - 1, 1) for product in (y_mm**2, x_mm**2, y_mm * x_mm)
    )
    middle, half = (yy + xx) / 2 + ROUNDNESS_MM2, np.hypot((yy - xx) / 2, yx)
    return np.asarray(np.sqrt((middle + half) / (middle - half)))


def _slice_counts(z: IntArray, part: NDArray[np.intp]) -> NDArray[np.intp]:
    """Return in how many slices each part has voxels."""
    n_slices = int(z.max()) + 1
    return np.bincount(np.unique(part * n_slices + z) // n_slices)


def _touching_groups(zyx: NDArray[np.intp]) -> NDArray[np.intp]:
    """Return the group of each voxel (n,) of voxels (n, 3), at least one; one hangs together by 26 neighbours."""
    first, last = zyx.min(axis=0), zyx.max(axis=0)
    mask = np.zeros(tuple(last - first + 1), dtype=np.bool_)
    place = tuple((zyx - first).T)
    mask[place] = True
    groups, _ = ndimage.label(mask, structure=np.ones((3, 3, 3)))
    return np.asarray(groups[place], dtype=np.intp)


def _any_of_group(is_it: BoolArray, group: NDArray[np.intp]) -> BoolArray:
    """Return whether any voxel of each voxel's group is it."""
    return np.asarray(np.bincount(group, is_it)[group] > 0)
