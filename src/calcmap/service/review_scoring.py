"""The score of a review's calcium: the code that scores a study, run on the box that holds the calcium."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from calcmap.core.result import Category, LesionResult
from calcmap.core.volume import Grid, Label, UInt8Array, Volume
from calcmap.pipeline.score import count_vessels
from calcmap.scoring.agatston import FoundLesions, Scoring, find_by_class, score_lesions
from calcmap.scoring.categories import paper_category
from calcmap.service.review_calcium import Calcium, Mark, ReviewBase
from calcmap.service.review_edits import HIGHEST_VESSEL_CODE, SITE_OF_CODE, Site, VoxelIndex


@dataclass(frozen=True, eq=False)
class ReviewLesion:
    """One lesion as the reader sees it."""

    result: LesionResult
    """As the scoring gives it; of a rejected lesion, what it would be."""
    site: Site | None
    mark: Mark
    """Accepted when every voxel is; rejected lesions are listed apart."""
    anchor_zyx: VoxelIndex
    """Its densest voxel, the first of equals: names the lesion in edits, and is where a viewer jumps to."""
    index: NDArray[np.intp]
    """Its voxels in the flattened CT."""


@dataclass(frozen=True, eq=False)
class ReviewScore:
    """Everything that follows from the calcium of a review at one step."""

    scoring: Scoring
    """By lesion, vessel and class; as `calcmap.scoring.score_volume` gives it."""
    category: Category
    lesions: tuple[ReviewLesion, ...]
    """Those that count, in the order of ``scoring.lesions``."""
    rejected: tuple[ReviewLesion, ...]

    @cached_property
    def n_pending(self) -> int:
        """Number of lesions that the reader has said nothing of."""
        return sum(lesion.mark is Mark.PENDING for lesion in self.lesions)

    def lesion_at(self, index: int) -> ReviewLesion | None:
        """Return the lesion that holds a voxel of the flattened CT; one that counts before a rejected one."""
        for lesion in (*self.lesions, *self.rejected):
            if (lesion.index == index).any():
                return lesion
        return None


def score_calcium(base: ReviewBase, calcium: Calcium) -> ReviewScore:
    """Return the score of the calcium that is not rejected, with the lesions on both sides.

    Calcium of different sites is never joined, so that a lesion cut between two vessels is two. Nothing outside the box
    around the calcium is looked at; lesions and sums are those of the whole scan.

    Parameters
    ----------
    base : ReviewBase
        CT, rule and what scoring needs besides.
    calcium : Calcium
        The voxels.

    Returns
    -------
    ReviewScore
        0.0 and category 0 without calcium.
    """
    is_live = calcium.is_live
    scoring, lesions = _score(base, calcium.taken(is_live))
    _, rejected = _score(base, calcium.taken(~is_live))
    category = paper_category(scoring.coronary.agatston, n_vessels=count_vessels(scoring))
    return ReviewScore(scoring, category, lesions, rejected)


def _score(base: ReviewBase, calcium: Calcium) -> tuple[Scoring, tuple[ReviewLesion, ...]]:
    box = _Box.around(base.volume, calcium.index)
    volume, labels_zyx = box.volume(base.volume), box.map_of(calcium.label)
    sites_zyx = box.map_of(calcium.site)
    acquisition = base.scan.acquisition
    found = find_by_class(volume, labels_zyx, rule=base.rule, parts_zyx=sites_zyx)
    scoring = score_lesions(
        found,
        volume.grid,
        rule=base.rule,
        mass_factor=acquisition.mass_factor_mg_per_cm3_hu,
        vessels_zyx=vessels_of(sites_zyx) if base.has_vessels or _names_vessel(calcium) else None,
        kvp=acquisition.kvp,
    )
    first_z = box.start_zyx[0]
    results = tuple(
        replace(lesion, slice_first=lesion.slice_first + first_z, slice_last=lesion.slice_last + first_z)
        for lesion in scoring.lesions
    )
    return replace(scoring, lesions=results), _lesions(base.volume.grid, calcium, box, list(found.values()), results)


def vessels_of(sites_zyx: UInt8Array) -> UInt8Array:
    """Return the vessel map (values of `scoring.VesselCode`) of a site map: sites outside the vessels become none."""
    return np.where(sites_zyx <= HIGHEST_VESSEL_CODE, sites_zyx, np.uint8(0))


def _names_vessel(calcium: Calcium) -> bool:
    return bool(((calcium.site > 0) & (calcium.label == Label.CORONARY)).any())


@dataclass(frozen=True, eq=False)
class _Box:
    """The smallest box around some voxels; one voxel where there are none."""

    start_zyx: tuple[int, int, int]
    shape_zyx: tuple[int, int, int]
    index_zyx: tuple[NDArray[np.intp], ...]
    """The voxels' place in the box."""

    @classmethod
    def around(cls, volume: Volume, index: NDArray[np.intp]) -> _Box:
        """Return the box around voxels of the flattened CT."""
        if index.size == 0:
            empty = np.empty(0, dtype=np.intp)
            return cls((0, 0, 0), (1, 1, 1), (empty, empty, empty))
        at = np.unravel_index(index, volume.grid.shape_zyx)
        z, y, x = (int(axis.min()) for axis in at)
        nz, ny, nx = (int(np.ptp(axis)) + 1 for axis in at)
        return cls((z, y, x), (nz, ny, nx), tuple(axis - low for axis, low in zip(at, (z, y, x), strict=True)))

    def volume(self, whole: Volume) -> Volume:
        """Return the part of a CT in the box, where it lies in the patient."""
        z, y, x = self.start_zyx
        nz, ny, nx = self.shape_zyx
        affine = whole.grid.affine_lps_mm.copy()
        affine[:3, 3] = whole.grid.lps_mm(self.start_zyx)
        part = whole.ct_hu_zyx[z : z + nz, y : y + ny, x : x + nx]
        return Volume(part, Grid(self.shape_zyx, affine))

    def map_of(self, value: UInt8Array) -> UInt8Array:
        """Return the values of the voxels as a map of the box, 0 elsewhere."""
        map_zyx = np.zeros(self.shape_zyx, dtype=np.uint8)
        map_zyx[self.index_zyx] = value
        return map_zyx


def _lesions(
    grid: Grid, calcium: Calcium, box: _Box, founds: list[FoundLesions], results: tuple[LesionResult, ...]
) -> tuple[ReviewLesion, ...]:
    """Return the lesions of both classes, coronary first, each with its voxels and what the reader said of them."""
    voxels = [(found, lesion) for found in founds for lesion in range(found.n_lesions)]
    return tuple(
        _lesion(grid, calcium, box, found, lesion, result)
        for (found, lesion), result in zip(voxels, results, strict=True)
    )


def _lesion(
    grid: Grid, calcium: Calcium, box: _Box, found: FoundLesions, lesion: int, result: LesionResult
) -> ReviewLesion:
    is_own = found.lesion_voxel == lesion
    at_zyx = found.index_zyx_voxel[:, is_own] + np.array(box.start_zyx, dtype=np.intp)[:, None]
    index = np.ravel_multi_index(tuple(at_zyx), grid.shape_zyx)
    own = np.searchsorted(calcium.index, index)
    z, y, x = (int(axis) for axis in at_zyx[:, found.hu_voxel[is_own].argmax()])
    marks = calcium.mark[own]
    mark = Mark(int(marks[0])) if (marks == marks[0]).all() else Mark.PENDING
    return ReviewLesion(result, SITE_OF_CODE.get(int(calcium.site[own[0]])), mark, (z, y, x), index)
