"""Agatston, volume, mass and density scores of the calcium that a label map marks.

Everything is computed on the acquired grid: areas from the true pixel spacing, slices scaled by their increment.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from calcmap.core.errors import ConfigError, GridMismatchError, InputError
from calcmap.core.result import CalciumClass, ClassScore, LesionResult, ScoringMethod, Vessel
from calcmap.core.volume import BoolArray, Float64Array, Grid, Int16Array, IntArray, Label, UInt8Array, Volume
from calcmap.scoring.rules import AgatstonRule, SliceLinking

REFERENCE_INCREMENT_MM = 3.0
"""Slice increment for which Agatston's weights were set (contiguous 3-mm EBCT slices, Agatston 1990)."""

MM3_PER_CM3 = 1000.0


class VesselCode(IntEnum):
    """Voxel values of a vessel map."""

    NONE = 0
    LM = 1
    LAD = 2
    LCX = 3
    RCA = 4


VESSEL_OF_CODE: dict[VesselCode, Vessel] = {
    VesselCode.LM: Vessel.LM,
    VesselCode.LAD: Vessel.LAD,
    VesselCode.LCX: Vessel.LCX,
    VesselCode.RCA: Vessel.RCA,
}

LABEL_OF_CLASS: dict[CalciumClass, Label] = {
    CalciumClass.CORONARY: Label.CORONARY,
    CalciumClass.NONCORONARY: Label.NONCORONARY,
}


@dataclass(frozen=True)
class Scoring:
    """Every calcium score of one scan, with the lesions and the rule they come from."""

    coronary: ClassScore
    noncoronary: ClassScore
    lesions: tuple[LesionResult, ...]
    """Coronary lesions first; within a class the higher Agatston score first."""
    method: ScoringMethod
    vessels: dict[Vessel, ClassScore] = field(default_factory=dict)
    """All four vessels where a vessel map was given, else empty. Lesions of no vessel are in none of them."""


@dataclass(frozen=True, eq=False)
class FoundLesions:
    """The calcium of one class that counts under a rule, slice by slice and joined through slices.

    A *spot* is one connected component of one slice: what the Agatston score weighs. A *lesion* is one or more spots
    that touch. Arrays end in what they run over.

    Parameters
    ----------
    index_zyx_voxel : ndarray of int, shape (3, voxels)
        Slice, row and column of each counted voxel in the whole volume.
    hu_voxel : ndarray of int16, shape (voxels,)
        Its HU.
    spot_voxel : ndarray of int, shape (voxels,)
        The spot it belongs to, from 0.
    lesion_spot : ndarray of int, shape (spots,)
        The lesion each spot belongs to, from 0.
    """

    index_zyx_voxel: NDArray[np.intp]
    hu_voxel: Int16Array
    spot_voxel: NDArray[np.intp]
    lesion_spot: NDArray[np.intp]

    @property
    def n_lesions(self) -> int:
        """Number of three-dimensional lesions."""
        return int(self.lesion_spot.max()) + 1 if self.lesion_spot.size else 0

    @property
    def lesion_voxel(self) -> NDArray[np.intp]:
        """The lesion each voxel belongs to, from 0, shape (voxels,)."""
        return self.lesion_spot[self.spot_voxel]


def score_volume(
    volume: Volume,
    labels_zyx: UInt8Array,
    *,
    rule: AgatstonRule,
    mass_factor: float | None = None,
    vessels_zyx: UInt8Array | None = None,
    parts_zyx: UInt8Array | None = None,
    kvp: float | None = None,
) -> Scoring:
    """Return the calcium scores of one scan, coronary and noncoronary calcium apart.

    In each slice the voxels of one class at or above the rule's threshold are joined into spots. A spot with fewer
    pixels than the rule asks for counts in no score. Agatston: area (mm²) times weight 1 to 4, by the spot's highest
    HU in that slice, times increment / 3 mm, summed. Volume: counted voxels times voxel volume. Mass: factor times the
    sum of volume times mean HU. Density: Agatston score over the area that weight 1 would have given, 1 to 4. Without
    calcium every score is 0.0 and the density ``None``.

    Parameters
    ----------
    volume : Volume
        CT in HU on its acquired grid; not changed.
    labels_zyx : ndarray of uint8, shape of the CT
        Values of `Label`; only ``CORONARY`` and ``NONCORONARY`` voxels are candidates. Two touching lesions of
        different class stay apart.
    rule : AgatstonRule
        Threshold, weights, smallest spot and connectivity.
    mass_factor : float, optional
        Calibration of the scanner, mg per cm³ and HU; without it there is no mass.
    vessels_zyx : ndarray of uint8, shape of the CT, optional
        Values of `VesselCode`. A coronary lesion belongs to the vessel that most of its counted voxels name, voxels
        without a vessel left aside; a tie goes to the first of LM, LAD, LCx, RCA.
    parts_zyx : ndarray of uint8, shape of the CT, optional
        Calcium of different value is never joined, as a reader's cut asks for. By default all is one part.
    kvp : float, optional
        Tube voltage, kept beside the rule in the result; it changes nothing.

    Returns
    -------
    Scoring
        Scores are 0 or more, higher is more calcium, not rounded.

    Raises
    ------
    GridMismatchError
        A map has another shape than the CT.
    InputError
        A map holds values that are no `Label` or `VesselCode`.
    ConfigError
        The mass factor is not a positive finite number.

    Notes
    -----
    Public codes differ here. Taking the peak over the whole three-dimensional lesion raises weights; scaling by slice
    thickness instead of increment inflates overlapping slices; rounding each lesion loses small ones. None is done.

    References
    ----------
    .. [1] Agatston et al., J Am Coll Cardiol 1990;15:827-832. Scaling by increment / 3 mm follows the "equivalent"
       score of scanner vendors and the code of van Praagh et al., Med Phys 2021 (doi 10.1002/mp.14912).
    .. [2] Callister et al., Radiology 1998;208:807-814 (volume; here without its interpolation).
    .. [3] McCollough et al., Radiology 2007;243:527-538 (mass).
    .. [4] Criqui et al., JAMA 2014;311:271-278 (density).
    """
    _check_map(labels_zyx, volume, highest=max(Label), name="label map")
    if vessels_zyx is not None:
        _check_map(vessels_zyx, volume, highest=max(VesselCode), name="vessel map")
    if parts_zyx is not None:
        _check_map(parts_zyx, volume, highest=np.iinfo(np.uint8).max, name="map of parts")
    if mass_factor is not None and not (math.isfinite(mass_factor) and mass_factor > 0):
        raise ConfigError(f"the mass factor is {mass_factor}, expected a positive number of mg per cm³ and HU")
    found = find_by_class(volume, labels_zyx, rule=rule, parts_zyx=parts_zyx)
    return score_lesions(found, volume.grid, rule=rule, mass_factor=mass_factor, vessels_zyx=vessels_zyx, kvp=kvp)


def find_by_class(
    volume: Volume, labels_zyx: UInt8Array, *, rule: AgatstonRule, parts_zyx: UInt8Array | None = None
) -> dict[CalciumClass, FoundLesions]:
    """Return the lesions of either class, each as `find_ranked_lesions`."""
    return {
        calcium_class: find_ranked_lesions(volume, labels_zyx, label=label, rule=rule, parts_zyx=parts_zyx)
        for calcium_class, label in LABEL_OF_CLASS.items()
    }


def score_lesions(
    found: Mapping[CalciumClass, FoundLesions],
    grid: Grid,
    *,
    rule: AgatstonRule,
    mass_factor: float | None = None,
    vessels_zyx: UInt8Array | None = None,
    kvp: float | None = None,
) -> Scoring:
    """Return the scores of lesions that were found already, for who needs their voxels as well.

    Parameters
    ----------
    found : mapping
        As `find_by_class` gives it, under the same rule.
    grid : Grid
        Of the CT that they were found in.
    rule, mass_factor, vessels_zyx, kvp
        As in `score_volume`, and checked by nobody here.

    Returns
    -------
    Scoring
        As `score_volume`.
    """
    rows = {
        calcium_class: _lesions(
            lesions,
            rule,
            grid,
            calcium_class=calcium_class,
            vessel_lesion=_vessels(lesions, vessels_zyx if calcium_class is CalciumClass.CORONARY else None),
            mass_factor=mass_factor,
        )
        for calcium_class, lesions in found.items()
    }
    coronary, noncoronary = rows[CalciumClass.CORONARY], rows[CalciumClass.NONCORONARY]
    return Scoring(
        coronary=_sum(coronary, mass_factor=mass_factor),
        noncoronary=_sum(noncoronary, mass_factor=mass_factor),
        lesions=_numbered(coronary + noncoronary),
        method=_method(rule, grid, kvp=kvp, mass_factor=mass_factor),
        vessels={} if vessels_zyx is None else _vessel_sums(coronary, mass_factor=mass_factor),
    )


def score_mask(
    volume: Volume,
    mask_zyx: NDArray[np.generic],
    *,
    rule: AgatstonRule,
    mass_factor: float | None = None,
    kvp: float | None = None,
) -> Scoring:
    """Return the calcium scores of the voxels that a mask marks, all counted as coronary.

    Parameters
    ----------
    volume : Volume
        CT in HU on its acquired grid.
    mask_zyx : ndarray of any number or bool, shape of the CT
        Every voxel that is not zero is a candidate.
    rule : AgatstonRule
        Threshold, weights, smallest spot and connectivity.
    mass_factor : float, optional
        As in `score_volume`.
    kvp : float, optional
        As in `score_volume`.

    Returns
    -------
    Scoring
        As `score_volume`; the noncoronary score is 0.0.

    Raises
    ------
    GridMismatchError
        The mask has another shape than the CT.
    ConfigError
        The mass factor is not a positive finite number.
    """
    labels_zyx = np.where(mask_zyx != 0, np.uint8(Label.CORONARY), np.uint8(Label.BACKGROUND))
    return score_volume(volume, labels_zyx, rule=rule, mass_factor=mass_factor, kvp=kvp)


def find_lesions(volume: Volume, labels_zyx: UInt8Array, *, label: Label, rule: AgatstonRule) -> FoundLesions:
    """Return the spots and lesions of one label that count under a rule.

    Parameters
    ----------
    volume : Volume
        CT in HU.
    labels_zyx : ndarray of uint8, shape of the CT
        Values of `Label`.
    label : Label
        The class to look at; voxels of other classes are background.
    rule : AgatstonRule
        Threshold, smallest spot, connectivity and linking.

    Returns
    -------
    FoundLesions
        Empty arrays without calcium. Lesions are numbered in the order of their first voxel.
    """
    box = _box(labels_zyx, label)
    ct_hu_box = volume.ct_hu_zyx[box]
    calcium_box = (labels_zyx[box] == np.uint8(label)) & (ct_hu_box >= rule.threshold_hu)
    in_slice = ndimage.generate_binary_structure(2, 1 if rule.connectivity == 4 else 2)
    spots_box = _connected(calcium_box, np.stack([np.zeros_like(in_slice), in_slice, np.zeros_like(in_slice)]))
    kept_box = _drop_small(spots_box, rule.min_area_px(volume.grid.pixel_area_mm2))
    lesions_box = _connected(kept_box, _linking(in_slice, rule.linking))
    index_box = np.nonzero(kept_box)
    _, first_voxel, spot_voxel = np.unique(spots_box[index_box], return_index=True, return_inverse=True)
    start_zyx = np.array([axis.start for axis in box], dtype=np.intp)
    return FoundLesions(
        index_zyx_voxel=np.stack(index_box) + start_zyx[:, None],
        hu_voxel=ct_hu_box[index_box],
        spot_voxel=spot_voxel.astype(np.intp),
        lesion_spot=lesions_box[index_box][first_voxel].astype(np.intp) - 1,
    )


def find_ranked_lesions(
    volume: Volume,
    labels_zyx: UInt8Array,
    *,
    label: Label,
    rule: AgatstonRule,
    parts_zyx: UInt8Array | None = None,
) -> FoundLesions:
    """Return the lesions of one label in the order of a result: the higher Agatston score first.

    Parameters
    ----------
    volume : Volume
        CT in HU.
    labels_zyx : ndarray of uint8, shape of the CT
        Values of `Label`.
    label : Label
        The class to look at.
    rule : AgatstonRule
        As in `find_lesions`.
    parts_zyx : ndarray of uint8, shape of the CT, optional
        Calcium of different value is never joined; by default all is one part.

    Returns
    -------
    FoundLesions
        Of equal scores the lesion whose first voxel comes first counts first, whatever its part.
    """
    if parts_zyx is None:
        found = find_lesions(volume, labels_zyx, label=label, rule=rule)
    else:
        is_label_zyx = labels_zyx == np.uint8(label)
        found = _together(
            [
                find_lesions(volume, (is_label_zyx & (parts_zyx == part)) * np.uint8(label), label=label, rule=rule)
                for part in np.unique(parts_zyx[is_label_zyx])
            ]
        )
    _, first = np.unique(found.lesion_voxel, return_index=True)
    first_voxel_lesion = np.ravel_multi_index(tuple(found.index_zyx_voxel[:, first]), volume.grid.shape_zyx)
    order = np.lexsort((first_voxel_lesion, -_agatston_lesions(found, rule, volume.grid)))
    rank_lesion = np.empty(found.n_lesions, dtype=np.intp)
    rank_lesion[order] = np.arange(found.n_lesions)
    return replace(found, lesion_spot=rank_lesion[found.lesion_spot])


def agatston_spots(found: FoundLesions, *, rule: AgatstonRule, grid: Grid) -> Float64Array:
    """Return the Agatston score of each spot: area (mm²) x weight of its peak HU x increment / 3 mm, shape (spots,)."""
    n_pixels_spot = np.bincount(found.spot_voxel, minlength=found.lesion_spot.size)
    weight_spot = np.searchsorted(rule.weights_hu, _peaks(found.hu_voxel, found.spot_voxel), side="right")
    area_mm2_spot = n_pixels_spot * grid.pixel_area_mm2
    return np.asarray(area_mm2_spot * weight_spot * (grid.spacing_mm_zyx[0] / REFERENCE_INCREMENT_MM), dtype=np.float64)


def _together(founds: list[FoundLesions]) -> FoundLesions:
    """Return the lesions of several parts as one list, numbered on from part to part."""
    spot_voxel, lesion_spot = [np.empty(0, dtype=np.intp)], [np.empty(0, dtype=np.intp)]
    n_spots = n_lesions = 0
    for found in founds:
        spot_voxel.append(found.spot_voxel + n_spots)
        lesion_spot.append(found.lesion_spot + n_lesions)
        n_spots, n_lesions = n_spots + found.lesion_spot.size, n_lesions + found.n_lesions
    return FoundLesions(
        index_zyx_voxel=np.concatenate([np.empty((3, 0), dtype=np.intp), *(f.index_zyx_voxel for f in founds)], axis=1),
        hu_voxel=np.concatenate([np.empty(0, dtype=np.int16), *(found.hu_voxel for found in founds)]),
        spot_voxel=np.concatenate(spot_voxel),
        lesion_spot=np.concatenate(lesion_spot),
    )


def _agatston_lesions(found: FoundLesions, rule: AgatstonRule, grid: Grid) -> Float64Array:
    agatston_spot = agatston_spots(found, rule=rule, grid=grid)
    return np.asarray(
        np.bincount(found.lesion_spot, weights=agatston_spot, minlength=found.n_lesions), dtype=np.float64
    )


def _check_map(map_zyx: UInt8Array, volume: Volume, *, highest: int, name: str) -> None:
    if map_zyx.shape != volume.ct_hu_zyx.shape:
        raise GridMismatchError(f"the {name} has shape {map_zyx.shape}, the CT has {volume.ct_hu_zyx.shape}")
    if map_zyx.dtype != np.uint8:
        raise InputError(f"the {name} is of {map_zyx.dtype}, expected uint8")
    if map_zyx.max(initial=0) > highest:
        raise InputError(f"the {name} holds {map_zyx.max()}, expected 0 to {int(highest)}")


def _method(rule: AgatstonRule, grid: Grid, *, kvp: float | None, mass_factor: float | None) -> ScoringMethod:
    return ScoringMethod(
        profile=rule.name,
        threshold_hu=rule.threshold_hu,
        weights_hu=rule.weights_hu,
        min_area_mm2=rule.min_area_mm2(grid.pixel_area_mm2),
        min_area_px=rule.min_area_px(grid.pixel_area_mm2),
        connectivity=rule.connectivity,
        increment_mm=grid.spacing_mm_zyx[0],
        kvp=kvp,
        mass_factor_mg_per_cm3_hu=mass_factor,
    )


def _box(labels_zyx: UInt8Array, label: Label) -> tuple[slice, slice, slice]:
    """Return the smallest box around a label, so that the rest of the scan is never looked at; one voxel without it."""
    # A uint8 scalar keeps the comparison in uint8; an IntEnum would widen every slice to int64 first.
    value = np.uint8(label)
    slices = [z for z, labels_yx in enumerate(labels_zyx) if (labels_yx == value).any()]
    if not slices:
        return slice(0, 1), slice(0, 1), slice(0, 1)
    first, last = slices[0], slices[-1]
    footprint_yx = np.zeros(labels_zyx.shape[1:], dtype=np.bool_)
    for z in slices:
        footprint_yx |= labels_zyx[z] == value
    rows, columns = np.flatnonzero(footprint_yx.any(axis=1)), np.flatnonzero(footprint_yx.any(axis=0))
    return (
        slice(first, last + 1),
        slice(int(rows[0]), int(rows[-1]) + 1),
        slice(int(columns[0]), int(columns[-1]) + 1),
    )


def _connected(mask_zyx: BoolArray, structure_zyx: BoolArray) -> IntArray:
    """Return the components of a mask, numbered from 1 in the order of their first voxel."""
    components_zyx, _ = ndimage.label(mask_zyx, structure=structure_zyx)
    return np.asarray(components_zyx)


def _drop_small(spots_zyx: IntArray, min_area_px: int) -> BoolArray:
    is_kept = np.bincount(spots_zyx.ravel()) >= min_area_px
    is_kept[0] = False
    return np.asarray(is_kept[spots_zyx])


def _linking(in_slice_yx: BoolArray, linking: SliceLinking) -> BoolArray:
    """Return which of the 26 voxels around one are its neighbours in three dimensions."""
    across_yx = np.ones((3, 3), dtype=np.bool_)
    if linking is SliceLinking.FACE:
        across_yx = ndimage.generate_binary_structure(2, 0)
    return np.stack([across_yx, in_slice_yx, across_yx])


def _peaks(hu_voxel: Int16Array, group_voxel: NDArray[np.intp]) -> Int16Array:
    """Return the highest HU of each group; groups are numbered from 0 without a gap."""
    peaks = np.full(group_voxel.max(initial=-1) + 1, np.iinfo(np.int16).min, dtype=np.int16)
    np.maximum.at(peaks, group_voxel, hu_voxel)
    return peaks


def _vessels(found: FoundLesions, vessels_zyx: UInt8Array | None) -> list[Vessel | None]:
    """Return the vessel that most voxels of each lesion name, ``None`` where none does."""
    if vessels_zyx is None:
        return [None] * found.n_lesions
    votes_lesion_code = np.zeros((found.n_lesions, len(VesselCode)), dtype=np.intp)
    np.add.at(votes_lesion_code, (found.lesion_voxel, vessels_zyx[tuple(found.index_zyx_voxel)]), 1)
    votes_lesion_code[:, VesselCode.NONE] = 0
    return [VESSEL_OF_CODE[VesselCode(int(v.argmax()))] if v.any() else None for v in votes_lesion_code]


def _lesions(
    found: FoundLesions,
    rule: AgatstonRule,
    grid: Grid,
    *,
    calcium_class: CalciumClass,
    vessel_lesion: list[Vessel | None],
    mass_factor: float | None,
) -> list[LesionResult]:
    """Return one row a lesion, in their order; ids are given later, across classes."""
    lesion_voxel, n_lesions = found.lesion_voxel, found.n_lesions
    n_voxels_lesion = np.bincount(lesion_voxel, minlength=n_lesions)
    agatston_lesion = _agatston_lesions(found, rule, grid)
    peak_lesion = _peaks(found.hu_voxel, lesion_voxel)
    mass_mg_lesion = _masses_mg(found, grid, mass_factor=mass_factor)
    center_lesion_zyx = _centers(found)
    first_lesion, last_lesion = _slice_ranges(found)
    return [
        LesionResult(
            id=0,
            lesion_class=calcium_class,
            vessel=vessel_lesion[k],
            slice_first=int(first_lesion[k]),
            slice_last=int(last_lesion[k]),
            center_mm=grid.lps_mm(tuple(center_lesion_zyx[k])),
            volume_mm3=float(n_voxels_lesion[k] * _voxel_mm3(grid)),
            max_hu=int(peak_lesion[k]),
            agatston=float(agatston_lesion[k]),
            mass_mg=mass_mg_lesion[k],
        )
        for k in range(n_lesions)
    ]


def _voxel_mm3(grid: Grid) -> float:
    """Return pixel area times increment: on a rectangular grid the voxel volume, without a determinant's rounding."""
    return grid.pixel_area_mm2 * grid.spacing_mm_zyx[0]


def _masses_mg(found: FoundLesions, grid: Grid, *, mass_factor: float | None) -> list[float | None]:
    """Return factor x volume (cm³) x mean HU of each lesion; volume times mean HU is voxel volume times sum of HU."""
    if mass_factor is None:
        return [None] * found.n_lesions
    sum_hu_lesion = np.bincount(found.lesion_voxel, weights=found.hu_voxel, minlength=found.n_lesions)
    return [float(mass) for mass in mass_factor * (_voxel_mm3(grid) / MM3_PER_CM3) * sum_hu_lesion]


def _centers(found: FoundLesions) -> Float64Array:
    """Return the mean index (slice, row, column) of each lesion's voxels, shape (lesions, 3)."""
    sums = [np.bincount(found.lesion_voxel, weights=axis, minlength=found.n_lesions) for axis in found.index_zyx_voxel]
    n_voxels = np.bincount(found.lesion_voxel, minlength=found.n_lesions)
    return np.asarray(np.stack(sums, axis=1) / n_voxels[:, None], dtype=np.float64)


def _slice_ranges(found: FoundLesions) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the lowest and the highest slice of each lesion."""
    slice_voxel = found.index_zyx_voxel[0]
    last = np.zeros(found.n_lesions, dtype=np.intp)
    np.maximum.at(last, found.lesion_voxel, slice_voxel)
    first = last.copy()
    np.minimum.at(first, found.lesion_voxel, slice_voxel)
    return first, last


def _numbered(lesions: list[LesionResult]) -> tuple[LesionResult, ...]:
    return tuple(replace(lesion, id=number) for number, lesion in enumerate(lesions, start=1))


def _sum(lesions: list[LesionResult], *, mass_factor: float | None) -> ClassScore:
    agatston = math.fsum(lesion.agatston for lesion in lesions)
    volume_mm3 = math.fsum(lesion.volume_mm3 for lesion in lesions)
    masses_mg = [lesion.mass_mg for lesion in lesions if lesion.mass_mg is not None]
    return ClassScore(
        agatston=agatston,
        volume_mm3=volume_mm3,
        mass_mg=None if mass_factor is None else math.fsum(masses_mg),
        n_lesions=len(lesions),
        # Volume over 3 mm is the area that the Agatston score weighs.
        density=agatston / (volume_mm3 / REFERENCE_INCREMENT_MM) if lesions else None,
    )


def _vessel_sums(lesions: list[LesionResult], *, mass_factor: float | None) -> dict[Vessel, ClassScore]:
    return {
        vessel: _sum([lesion for lesion in lesions if lesion.vessel is vessel], mass_factor=mass_factor)
        for vessel in Vessel
    }
