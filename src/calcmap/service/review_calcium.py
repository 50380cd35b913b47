"""What calcium a review knows of, voxel by voxel, and what each edit makes of it.

Calcium is kept as a list of voxels, a few thousand in a scan of millions: an edit makes a new list, so undo is keeping
the old one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from calcmap.core.errors import InputError
from calcmap.core.result import ScoringMethod, StudyResult
from calcmap.core.scan import Scan
from calcmap.core.volume import BoolArray, Label, Labels, UInt8Array, Volume
from calcmap.scoring.agatston import find_ranked_lesions, score_volume
from calcmap.scoring.rules import AgatstonRule, get_profile, rule_for_kvp
from calcmap.service.review_edits import SITE_CODES, SITE_OF_VESSEL

SCORE_TOLERANCE = 1e-9
"""Relative difference up to which two sums of the same lesions are one score (our choice: rounding only)."""


class Mark(IntEnum):
    """What the reader has said of a voxel of calcium."""

    PENDING = 0
    """Nothing yet: it is the machine's."""
    ACCEPTED = 1
    REJECTED = 2
    """It counts in no score, and is kept so that it can come back."""


@dataclass(frozen=True, eq=False)
class Calcium:
    """Every voxel that the machine or the reader called calcium.

    Parameters
    ----------
    index : ndarray of int, shape (voxels,)
        Place in the flattened CT, ascending.
    label : ndarray of uint8, shape (voxels,)
        `Label.CORONARY` or `Label.NONCORONARY`.
    site : ndarray of uint8, shape (voxels,)
        Values of ``review_edits.SITE_CODES``; 0 where nobody named a site.
    mark : ndarray of uint8, shape (voxels,)
        Values of `Mark`.
    """

    index: NDArray[np.intp]
    label: UInt8Array
    site: UInt8Array
    mark: UInt8Array

    @property
    def is_live(self) -> BoolArray:
        """Whether each voxel is a candidate for the score: all but the rejected ones, shape (voxels,)."""
        return np.asarray(self.mark != Mark.REJECTED)

    def where(self, index: NDArray[np.intp]) -> BoolArray:
        """Return which voxels are among ``index``, shape (voxels,)."""
        return np.isin(self.index, index)

    def taken(self, is_kept: BoolArray) -> Calcium:
        """Return the voxels of a mask of shape (voxels,)."""
        return Calcium(self.index[is_kept], self.label[is_kept], self.site[is_kept], self.mark[is_kept])

    def marked(self, is_chosen: BoolArray, mark: Mark) -> Calcium:
        """Return the same voxels, those of a mask with another mark."""
        return replace(self, mark=np.where(is_chosen, np.uint8(mark), self.mark))

    def placed(self, is_chosen: BoolArray, *, label: Label, code: int) -> Calcium:
        """Return the same voxels, those of a mask accepted at a site."""
        return Calcium(
            self.index,
            np.where(is_chosen, np.uint8(label), self.label),
            np.where(is_chosen, np.uint8(code), self.site),
            np.where(is_chosen, np.uint8(Mark.ACCEPTED), self.mark),
        )

    def joined(self, index: NDArray[np.intp], *, label: Label, code: int) -> Calcium:
        """Return these voxels and further ones, accepted at a site; what was known of those is replaced."""
        old = self.taken(~self.where(index))
        new = np.ones(index.size, dtype=np.uint8)
        both = Calcium(
            np.concatenate([old.index, index]),
            np.concatenate([old.label, new * np.uint8(label)]),
            np.concatenate([old.site, new * np.uint8(code)]),
            np.concatenate([old.mark, new * np.uint8(Mark.ACCEPTED)]),
        )
        order = np.argsort(both.index, kind="stable")
        return Calcium(both.index[order], both.label[order], both.site[order], both.mark[order])


@dataclass(frozen=True, eq=False)
class ReviewBase:
    """What a review starts from and never changes.

    Parameters
    ----------
    scan : Scan
        The CT, and the factor and tube voltage that its scores need.
    rule : AgatstonRule
        The rule of the machine's score; the reader's follows the same.
    beneath_zyx : ndarray of uint8, shape of the CT
        Heart and background, as they would be without any calcium.
    calcium : Calcium
        What the machine found.
    has_vessels : bool
        Whether the machine named vessels.
    """

    scan: Scan
    rule: AgatstonRule
    beneath_zyx: UInt8Array
    calcium: Calcium
    has_vessels: bool

    @property
    def volume(self) -> Volume:
        """The CT."""
        return self.scan.volume


def base_from_result(scan: Scan, labels: Labels, result: StudyResult) -> ReviewBase:
    """Return the base of a review of a machine's result.

    Every lesion of the result is found again in the label map, under the rule that the result names, and its voxels get
    the vessel that the result gives it.

    Parameters
    ----------
    scan : Scan
        The CT that was scored.
    labels : Labels
        The machine's label map on its grid.
    result : StudyResult
        The machine's result, scored.

    Returns
    -------
    ReviewBase
        Its score without edits is the result's.

    Raises
    ------
    InputError
        The result is a refusal, or its numbers do not follow from the label map.
    GridMismatchError
        The labels lie on another grid than the scan.
    """
    if result.method is None or result.coronary is None:
        raise InputError("a refused study has nothing to review")
    labels.check_on(scan.volume)
    rule = rule_of_method(result.method, scan.volume)
    _check_same_score(scan, labels, result, rule)
    calcium = _calcium_of(labels.labels_zyx)
    return ReviewBase(
        scan=scan,
        rule=rule,
        beneath_zyx=without_calcium(labels.labels_zyx),
        calcium=replace(calcium, site=_machine_sites(scan.volume, labels, result, rule, calcium)),
        has_vessels=bool(result.vessels),
    )


def rule_of_method(method: ScoringMethod, volume: Volume) -> AgatstonRule:
    """Return the rule that a result names; `InputError` where this version's rule of that name says something else."""
    profile, _, adapted = method.profile.partition("@")
    rule = get_profile(profile)
    if adapted:
        rule = rule_for_kvp(rule, float(adapted.removesuffix("kVp")))
    said = (method.threshold_hu, tuple(method.weights_hu), method.connectivity, method.min_area_px)
    known = (rule.threshold_hu, rule.weights_hu, rule.connectivity, rule.min_area_px(volume.grid.pixel_area_mm2))
    if said != known:
        raise InputError(f"the result's rule {method.profile!r} is {said}, this version's is {known}")
    return rule


def without_calcium(labels_zyx: UInt8Array) -> UInt8Array:
    """Return what would lie beneath the calcium: heart where most pixels around its spot are heart, else background.

    Parameters
    ----------
    labels_zyx : ndarray of uint8, shape (slices, rows, columns)
        Values of `Label`.

    Returns
    -------
    ndarray of uint8, same shape
        Only background and heart. The ring of one pixel around a spot decides; calcium of other spots has no vote.
    """
    beneath_zyx = labels_zyx.copy()
    ring = np.ones((3, 3), dtype=np.bool_)
    for z in np.flatnonzero(labels_zyx.max(axis=(1, 2)) >= Label.CORONARY):
        calcium_yx = labels_zyx[z] >= Label.CORONARY
        spots_yx, _ = ndimage.label(calcium_yx, structure=ring)
        for number, box in enumerate(ndimage.find_objects(spots_yx), start=1):
            wide = tuple(slice(max(side.start - 1, 0), side.stop + 1) for side in box)
            spot = spots_yx[wide] == number
            around = labels_zyx[z][wide][ndimage.binary_dilation(spot, structure=ring) & ~calcium_yx[wide]]
            is_heart = 2 * np.count_nonzero(around == Label.HEART) > around.size
            beneath_zyx[z][wide][spot] = Label.HEART if is_heart else Label.BACKGROUND
    return beneath_zyx


def _check_same_score(scan: Scan, labels: Labels, result: StudyResult, rule: AgatstonRule) -> None:
    factor = result.method.mass_factor_mg_per_cm3_hu if result.method else None
    again = score_volume(scan.volume, labels.labels_zyx, rule=rule, mass_factor=factor)
    said = result.agatston or 0.0
    found = again.coronary.agatston
    if len(again.lesions) != len(result.lesions) or abs(found - said) > SCORE_TOLERANCE * max(said, 1.0):
        raise InputError(
            f"the label map gives {found:.3f} in {len(again.lesions)} lesions, the result says {said:.3f} in "
            f"{len(result.lesions)}; they do not belong together"
        )


def _calcium_of(labels_zyx: UInt8Array) -> Calcium:
    index = np.flatnonzero(labels_zyx >= Label.CORONARY)
    zeros = np.zeros(index.size, dtype=np.uint8)
    return Calcium(index, labels_zyx.reshape(-1)[index], zeros, zeros.copy())


def _machine_sites(
    volume: Volume, labels: Labels, result: StudyResult, rule: AgatstonRule, calcium: Calcium
) -> UInt8Array:
    """Return the site code of each voxel: its lesion's vessel, 0 for noncoronary and for what counts in no lesion."""
    found = find_ranked_lesions(volume, labels.labels_zyx, label=Label.CORONARY, rule=rule)
    code_lesion = np.array(
        [SITE_CODES[SITE_OF_VESSEL[lesion.vessel]] if lesion.vessel else 0 for lesion in result.lesions], dtype=np.uint8
    )
    site = calcium.site.copy()
    index = np.ravel_multi_index(tuple(found.index_zyx_voxel), volume.grid.shape_zyx)
    site[np.searchsorted(calcium.index, index)] = code_lesion[found.lesion_voxel]
    return site
