"""What one edit makes of the calcium: a new list of voxels, or one clear line why not."""

from __future__ import annotations

from functools import singledispatch

import numpy as np
from numpy.typing import NDArray

from calcmap.core.errors import EditRefusedError
from calcmap.core.volume import Grid, Label, UInt8Array, Volume
from calcmap.scoring.agatston import find_lesions
from calcmap.service.review_calcium import Calcium, Mark, ReviewBase
from calcmap.service.review_edits import (
    SITE_CODES,
    Accept,
    Add,
    Erase,
    PixelIndex,
    Reject,
    Relabel,
    Site,
    Split,
    VoxelEdit,
    VoxelIndex,
    label_of_site,
)
from calcmap.service.review_scoring import ReviewLesion, ReviewScore

ADD_REACH_MM = 40.0
"""Calcium is followed this far from the clicked voxel to each side (our choice: longer than any single plaque)."""
MAX_ADDED_MM3 = 5_000.0
"""Largest lesion that one click adds. At weight 4 it would score 6,667, beyond nearly every whole patient: what is
larger is bone or a device (our choice)."""


def change(base: ReviewBase, calcium: Calcium, score: ReviewScore, edit: VoxelEdit) -> Calcium:
    """Return the calcium after an edit.

    Parameters
    ----------
    base : ReviewBase
        CT and rule.
    calcium : Calcium
        The calcium before.
    score : ReviewScore
        Its score: the lesions that an edit can name.
    edit : VoxelEdit
        What the reader did.

    Returns
    -------
    Calcium
        A new value; the old one stays as it is.

    Raises
    ------
    EditRefusedError
        The edit names no lesion, lies outside the scan, or adds what is no calcium or too much.
    """
    return _change(edit, base, calcium, score)


@singledispatch
def _change(edit: VoxelEdit, base: ReviewBase, calcium: Calcium, score: ReviewScore) -> Calcium:
    raise EditRefusedError(f"an edit of kind {type(edit).__name__.lower()} changes no calcium")


@_change.register
def _accept(edit: Accept, base: ReviewBase, calcium: Calcium, score: ReviewScore) -> Calcium:
    lesion = _lesion(base, score, edit.voxel_zyx)
    return calcium.marked(calcium.where(lesion.index), Mark.ACCEPTED)


@_change.register
def _reject(edit: Reject, base: ReviewBase, calcium: Calcium, score: ReviewScore) -> Calcium:
    lesion = _lesion(base, score, edit.voxel_zyx)
    if lesion.mark is Mark.REJECTED:
        raise EditRefusedError(f"the lesion at {_words(edit.voxel_zyx)} is rejected already")
    return calcium.marked(calcium.where(lesion.index), Mark.REJECTED)


@_change.register
def _relabel(edit: Relabel, base: ReviewBase, calcium: Calcium, score: ReviewScore) -> Calcium:
    lesion = _lesion(base, score, edit.voxel_zyx)
    return _placed(calcium, lesion.index, edit.site)


@_change.register
def _split(edit: Split, base: ReviewBase, calcium: Calcium, score: ReviewScore) -> Calcium:
    brushed = _brushed(base, edit.slice_index, edit.pixels_yx)
    counted = np.concatenate([np.empty(0, dtype=np.intp), *(lesion.index for lesion in score.lesions)])
    covered = np.intersect1d(brushed, counted)
    if covered.size == 0:
        raise EditRefusedError(f"the brush covers no lesion in slice {edit.slice_index}")
    return _placed(calcium, covered, edit.site)


@_change.register
def _erase(edit: Erase, base: ReviewBase, calcium: Calcium, score: ReviewScore) -> Calcium:
    brushed = _brushed(base, edit.slice_index, edit.pixels_yx)
    is_erased = calcium.where(brushed) & calcium.is_live
    if not is_erased.any():
        raise EditRefusedError(f"the brush covers no lesion in slice {edit.slice_index}")
    return calcium.taken(~is_erased)


@_change.register
def _add(edit: Add, base: ReviewBase, calcium: Calcium, score: ReviewScore) -> Calcium:
    clicked = _flat_index(base, edit.voxel_zyx)
    hu = int(base.volume.ct_hu_zyx[edit.voxel_zyx])
    if hu < base.rule.threshold_hu:
        raise EditRefusedError(f"the voxel at {_words(edit.voxel_zyx)} has {hu} HU, below {base.rule.threshold_hu} HU")
    present = next((lesion for lesion in score.lesions if (lesion.index == clicked).any()), None)
    if present is not None:
        raise EditRefusedError(f"the voxel at {_words(edit.voxel_zyx)} is in lesion {present.result.id} already")
    grown = _grown(base, score, edit.voxel_zyx)
    return calcium.joined(grown, label=label_of_site(edit.site), code=SITE_CODES[edit.site])


def _placed(calcium: Calcium, index: NDArray[np.intp], site: Site) -> Calcium:
    return calcium.placed(calcium.where(index), label=label_of_site(site), code=SITE_CODES[site])


def _lesion(base: ReviewBase, score: ReviewScore, voxel_zyx: VoxelIndex) -> ReviewLesion:
    lesion = score.lesion_at(_flat_index(base, voxel_zyx))
    if lesion is None:
        raise EditRefusedError(f"there is no lesion at {_words(voxel_zyx)}")
    return lesion


def _flat_index(base: ReviewBase, voxel_zyx: VoxelIndex) -> int:
    shape_zyx = base.volume.grid.shape_zyx
    if not all(0 <= at < n for at, n in zip(voxel_zyx, shape_zyx, strict=True)):
        raise EditRefusedError(f"{_words(voxel_zyx)} lies outside the scan of {shape_zyx} slices, rows and columns")
    return int(np.ravel_multi_index(voxel_zyx, shape_zyx))


def _brushed(base: ReviewBase, slice_index: int, pixels_yx: tuple[PixelIndex, ...]) -> NDArray[np.intp]:
    """Return the brushed voxels of the flattened CT; a brush may reach over the edge of the slice."""
    n_slices, n_rows, n_columns = base.volume.grid.shape_zyx
    if not 0 <= slice_index < n_slices:
        raise EditRefusedError(f"slice {slice_index} lies outside the scan of {n_slices} slices")
    y, x = np.array(pixels_yx, dtype=np.intp).reshape(-1, 2).T
    is_inside = (y >= 0) & (y < n_rows) & (x >= 0) & (x < n_columns)
    return np.asarray((slice_index * n_rows + y[is_inside]) * n_columns + x[is_inside], dtype=np.intp)


def _grown(base: ReviewBase, score: ReviewScore, voxel_zyx: VoxelIndex) -> NDArray[np.intp]:
    """Return the calcium connected to a voxel, under the rule's own connectivity, that is in no lesion yet."""
    window = _window(base.volume, voxel_zyx)
    start_zyx = np.array([side.start for side in window])
    free_zyx = _free(base, score, window)
    part = Volume(base.volume.ct_hu_zyx[window], Grid(free_zyx.shape, base.volume.grid.affine_lps_mm))
    found = find_lesions(part, free_zyx, label=Label.CORONARY, rule=base.rule)
    at_zyx = found.index_zyx_voxel + start_zyx[:, None]
    is_clicked = (at_zyx == np.array(voxel_zyx)[:, None]).all(axis=0)
    if not is_clicked.any():
        raise EditRefusedError(f"the calcium at {_words(voxel_zyx)} is smaller than the rule's smallest spot")
    own_zyx = at_zyx[:, found.lesion_voxel == found.lesion_voxel[is_clicked][0]]
    _check_extent(base.volume, own_zyx, window)
    return np.asarray(np.ravel_multi_index(tuple(own_zyx), base.volume.grid.shape_zyx), dtype=np.intp)


def _window(volume: Volume, voxel_zyx: VoxelIndex) -> tuple[slice, slice, slice]:
    reach = [int(ADD_REACH_MM / mm) + 1 for mm in volume.spacing_mm_zyx]
    z, y, x = (
        slice(max(at - n, 0), min(at + n + 1, size))
        for at, n, size in zip(voxel_zyx, reach, volume.grid.shape_zyx, strict=True)
    )
    return z, y, x


def _free(base: ReviewBase, score: ReviewScore, window: tuple[slice, slice, slice]) -> UInt8Array:
    """Return a label map of the window: every voxel at or above the threshold that no lesion holds."""
    free_zyx = (base.volume.ct_hu_zyx[window] >= base.rule.threshold_hu) * np.uint8(Label.CORONARY)
    for lesion in score.lesions:
        at = np.unravel_index(lesion.index, base.volume.grid.shape_zyx)
        inside = [(axis >= side.start) & (axis < side.stop) for axis, side in zip(at, window, strict=True)]
        is_inside = np.logical_and.reduce(inside)
        free_zyx[tuple(axis[is_inside] - side.start for axis, side in zip(at, window, strict=True))] = Label.BACKGROUND
    return np.asarray(free_zyx, dtype=np.uint8)


def _check_extent(volume: Volume, own_zyx: NDArray[np.intp], window: tuple[slice, slice, slice]) -> None:
    """Raise unless the calcium ends within reach and is small enough to be a lesion."""
    for axis, side, size in zip(own_zyx, window, volume.grid.shape_zyx, strict=True):
        is_cut_low = side.start > 0 and axis.min() == side.start
        is_cut_high = side.stop < size and axis.max() == side.stop - 1
        if is_cut_low or is_cut_high:
            raise EditRefusedError(
                f"what is connected there reaches further than {ADD_REACH_MM:.0f} mm: bone or a device, not a lesion"
            )
    volume_mm3 = own_zyx.shape[1] * volume.grid.voxel_volume_mm3
    if volume_mm3 > MAX_ADDED_MM3:
        raise EditRefusedError(
            f"what is connected there has {volume_mm3:.0f} mm³, the limit is {MAX_ADDED_MM3:.0f} mm³: bone or a device"
        )


def _words(voxel_zyx: VoxelIndex) -> str:
    z, y, x = voxel_zyx
    return f"slice {z}, row {y}, column {x}"
