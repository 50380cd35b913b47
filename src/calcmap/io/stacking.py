"""Slices to one regular stack, or the reason why they are none."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias

import numpy as np

from calcmap.core.errors import (
    DuplicatePositionError,
    GantryTiltError,
    GeometryError,
    IrregularSpacingError,
    MissingSliceError,
    MultipleAcquisitionsError,
    OrientationError,
    TooFewSlicesError,
)
from calcmap.core.scan import QualityFlag, Severity
from calcmap.core.volume import Float64Array, Grid
from calcmap.io.slices import Slice

SPACING_TOLERANCE_MM = 0.1
"""Steps between slices may differ by this much (positions are often rounded to 0.1 mm; our choice) ..."""

SPACING_TOLERANCE_RELATIVE = 0.02
"""... or by this share of the usual step, whichever is more (2 % of the step is 2 % of a lesion's score)."""

SAME_POSITION_MM = 0.01
"""Two slices closer than this claim one position (our choice; far below any increment)."""

MAX_TILT_DEGREES = 0.5
"""Largest shear that passes: 5 mm over 600 mm of stack would go unseen, more is a tilted gantry (our choice)."""

MIN_SLICES = 10
MIN_COVERAGE_MM = 60.0
"""A heart needs about 100 mm; below these limits not even its calcified middle can be inside (our choice)."""

THICKNESS_TOLERANCE = 0.05
"""Share by which increment and slice thickness may differ before slices count as apart or overlapping (our choice)."""

MIN_NORMAL_Z = float(np.cos(np.radians(45.0)))
"""Slices whose normal lies farther than 45 degrees from the body axis are coronal or sagittal."""

SamePixels: TypeAlias = Callable[[Slice, Slice], bool]


class Content(Enum):
    """What a scan has to show to be read; its geometry and encoding are judged alike either way."""

    CHEST = "chest"
    """Enough slices for a heart, and values that can be HU of a chest."""
    ANYTHING = "anything"
    """Also a phantom or a few slices of one: someone else says by a mask where calcium is looked for."""


@dataclass(frozen=True, eq=False)
class Stack:
    """Slices in order along their normal, evenly spaced, with the affine of the array that they will fill.

    Parameters
    ----------
    slices : tuple of Slice
        Ascending along the normal (row direction x column direction).
    affine_lps_mm : ndarray of float64, shape (4, 4)
        Of the array (slices, rows, columns), index order (x, y, z, 1).
    flags : tuple of QualityFlag
        What was noticed.
    """

    slices: tuple[Slice, ...]
    affine_lps_mm: Float64Array
    flags: tuple[QualityFlag, ...]


def stack_slices(slices: Sequence[Slice], *, have_same_pixels: SamePixels, content: Content = Content.CHEST) -> Stack:
    """Return slices of one grid as a regular stack.

    Parameters
    ----------
    slices : sequence of Slice
        In any order; of one size, spacing and orientation.
    have_same_pixels : callable
        Tells whether two slices hold equal pixels; asked only for those that share a position.
    content : Content
        What the stack has to show; two slices are needed in any case, since their distance is the increment.

    Returns
    -------
    Stack
        Ascending along the normal, with what was noticed.

    Raises
    ------
    OrientationError
        Not axial.
    GantryTiltError
        The gantry was tilted, or positions do not run along the normal.
    DuplicatePositionError, MultipleAcquisitionsError
        Different slices at one position, of one acquisition or of several.
    MissingSliceError, IrregularSpacingError, TooFewSlicesError
        Steps that leave out slices, vary, or are too few.
    """
    normal = _normal(slices[0])
    _check_gantry(slices)
    ordered = sorted(slices, key=lambda one: (_height_mm(one, normal), one.instance.sop_instance_uid, one.frame))
    unique, flags = _without_duplicates(ordered, normal, have_same_pixels=have_same_pixels)
    least = MIN_SLICES if content is Content.CHEST else 2
    if len(unique) < least:
        raise TooFewSlicesError(f"{len(unique)} slices, expected at least {least}")
    positions_mm = np.array([one.position_mm for one in unique])
    _check_straight(positions_mm, normal)
    try:
        _check_even(positions_mm @ normal)
    except GeometryError as error:
        _blame_acquisitions(unique, normal, cause=error)
        raise
    affine = _affine(unique, positions_mm)
    return Stack(tuple(unique), affine, (*flags, *_acquisition_flags(unique)))


def check_grid(grid: Grid, *, content: Content = Content.CHEST) -> tuple[QualityFlag, ...]:
    """Return what is noteworthy of a canonical grid (non-square pixels).

    The number of slices and the length they cover are judged only where a chest is expected.

    Raises
    ------
    OrientationError
        Slices are not axial.
    GantryTiltError
        The stacking direction is sheared against the slices.
    TooFewSlicesError
        Too few slices, or too little of the body.
    """
    x, y, z = grid.affine_lps_mm[:3, :3].T
    normal = np.cross(x, y) / np.linalg.norm(np.cross(x, y))
    _check_axial(normal)
    _check_shear(z, normal)
    increment_mm, dy, dx = grid.spacing_mm_zyx
    coverage_mm = grid.shape_zyx[0] * increment_mm
    is_short = grid.shape_zyx[0] < MIN_SLICES or coverage_mm < MIN_COVERAGE_MM
    if is_short and content is Content.CHEST:
        raise TooFewSlicesError(
            f"{grid.shape_zyx[0]} slices cover {coverage_mm:.1f} mm, "
            f"expected at least {MIN_SLICES} slices and {MIN_COVERAGE_MM:g} mm"
        )
    if abs(dy - dx) <= 1e-3 * dx:
        return ()
    return (QualityFlag("non_square_pixels", Severity.INFO, f"pixels measure {dy:.4g} x {dx:.4g} mm (rows x columns)"),)


def thickness_flags(increment_mm: float, thickness_mm: float | None) -> tuple[QualityFlag, ...]:
    """Return a flag when slices lie apart (calcium between them is not seen) or overlap."""
    if thickness_mm is None or thickness_mm <= 0:
        return ()
    detail = f"slices of {thickness_mm:g} mm lie {increment_mm:.4g} mm apart"
    if increment_mm > thickness_mm * (1 + THICKNESS_TOLERANCE):
        return (QualityFlag("slice_gap", Severity.WARNING, f"{detail}: calcium in the gaps is not seen"),)
    if increment_mm < thickness_mm * (1 - THICKNESS_TOLERANCE):
        return (QualityFlag("slice_overlap", Severity.INFO, f"{detail}: the score uses the distance"),)
    return ()


def _normal(one: Slice) -> Float64Array:
    row, column = np.array(one.row_direction), np.array(one.column_direction)
    lengths = np.linalg.norm(row), np.linalg.norm(column)
    if max(abs(length - 1.0) for length in lengths) > 1e-2 or abs(float(row @ column)) > 1e-2:
        raise GeometryError(f"ImageOrientationPatient {(*one.row_direction, *one.column_direction)} is no right angle")
    normal = np.cross(row, column)
    normal /= np.linalg.norm(normal)
    _check_axial(normal)
    return normal


def _check_axial(normal: Float64Array) -> None:
    if abs(normal[2]) < MIN_NORMAL_Z:
        degrees = np.degrees(np.arccos(min(1.0, abs(float(normal[2])))))
        raise OrientationError(
            f"the slices' normal lies {degrees:.0f} degrees from the body axis, expected axial slices (below 45)"
        )


def _check_gantry(slices: Sequence[Slice]) -> None:
    tilt = max((abs(one.instance.number("GantryDetectorTilt") or 0.0) for one in slices), default=0.0)
    if tilt > MAX_TILT_DEGREES:
        raise GantryTiltError(f"the gantry was tilted by {tilt:g} degrees, expected at most {MAX_TILT_DEGREES:g}")


def _check_shear(step: Float64Array, normal: Float64Array) -> None:
    cosine = min(1.0, abs(float(step @ normal)) / float(np.linalg.norm(step)))
    degrees = float(np.degrees(np.arccos(cosine)))
    if degrees > MAX_TILT_DEGREES:
        raise GantryTiltError(
            f"slices are stacked {degrees:.1f} degrees off their normal, expected at most {MAX_TILT_DEGREES:g}: "
            "a tilted gantry or wrong positions"
        )


def _height_mm(one: Slice, normal: Float64Array) -> float:
    return float(np.dot(one.position_mm, normal))


def _without_duplicates(
    ordered: Sequence[Slice], normal: Float64Array, *, have_same_pixels: SamePixels
) -> tuple[list[Slice], tuple[QualityFlag, ...]]:
    """Return the slices without exact repeats; neighbours at one position with different pixels are an error."""
    unique: list[Slice] = []
    for one in ordered:
        if not unique or _height_mm(one, normal) - _height_mm(unique[-1], normal) > SAME_POSITION_MM:
            unique.append(one)
        elif not have_same_pixels(unique[-1], one):
            raise _duplicate_error(unique[-1], one)
    n_dropped = len(ordered) - len(unique)
    if n_dropped == 0:
        return unique, ()
    detail = f"{n_dropped} slice(s) that repeat another one exactly were left out"
    return unique, (QualityFlag("duplicate_slice_dropped", Severity.WARNING, detail),)


def _duplicate_error(first: Slice, second: Slice) -> GeometryError | MultipleAcquisitionsError:
    where = f"at z = {first.position_mm[2]:.2f} mm"
    if first.acquisition != second.acquisition:
        return MultipleAcquisitionsError(
            f"acquisitions {first.acquisition or '?'} and {second.acquisition or '?'} both hold a slice {where}"
        )
    return DuplicatePositionError(f"two slices with different pixels lie {where}, expected one")


def _check_straight(positions_mm: Float64Array, normal: Float64Array) -> None:
    """Raise unless positions run along the normal: sheared (tilt) or scattered sideways."""
    _check_shear(positions_mm[-1] - positions_mm[0], normal)
    direction = positions_mm[-1] - positions_mm[0]
    direction /= np.linalg.norm(direction)
    offsets = positions_mm - positions_mm[0]
    sideways_mm = np.linalg.norm(offsets - np.outer(offsets @ direction, direction), axis=1)
    worst = int(np.argmax(sideways_mm))
    if sideways_mm[worst] > SPACING_TOLERANCE_MM:
        raise IrregularSpacingError(
            f"the slice at z = {positions_mm[worst, 2]:.2f} mm lies {sideways_mm[worst]:.2f} mm beside the stack's "
            f"axis, expected at most {SPACING_TOLERANCE_MM:g} mm"
        )


def _check_even(heights_mm: Float64Array) -> None:
    """Raise unless steps agree within the tolerance; steps of whole multiples are missing slices."""
    steps_mm = np.diff(heights_mm)
    usual_mm = float(np.median(steps_mm))
    tolerance_mm = max(SPACING_TOLERANCE_MM, SPACING_TOLERANCE_RELATIVE * usual_mm)
    odd = np.flatnonzero(np.abs(steps_mm - usual_mm) > tolerance_mm)
    if odd.size == 0:
        return
    multiples = np.rint(steps_mm[odd] / usual_mm)
    is_gap = (multiples >= 2) & (np.abs(steps_mm[odd] - multiples * usual_mm) <= tolerance_mm * multiples)
    if is_gap.all():
        where = ", ".join(f"{heights_mm[i]:.2f} and {heights_mm[i + 1]:.2f}" for i in odd[:3])
        more = "" if odd.size <= 3 else f" and {odd.size - 3} more places"
        raise MissingSliceError(
            f"{int((multiples - 1).sum())} slice(s) are missing: between {where} mm{more} along the stack, "
            f"where slices lie {usual_mm:.4g} mm apart"
        )
    raise IrregularSpacingError(
        f"steps between slices run from {steps_mm.min():.3f} to {steps_mm.max():.3f} mm, "
        f"expected {usual_mm:.3f} within {tolerance_mm:.3f} mm"
    )


def _blame_acquisitions(ordered: Sequence[Slice], normal: Float64Array, *, cause: GeometryError) -> None:
    """Raise `MultipleAcquisitionsError` when the uneven stack comes from acquisitions that reach into one another."""
    ranges: dict[str, tuple[float, float]] = {}
    for one in ordered:
        height = _height_mm(one, normal)
        low, high = ranges.get(one.acquisition, (height, height))
        ranges[one.acquisition] = (min(low, height), max(high, height))
    by_start = sorted(ranges.values())
    if any(after[0] < before[1] for before, after in itertools.pairwise(by_start)):
        names = ", ".join(sorted(ranges))
        raise MultipleAcquisitionsError(f"acquisitions {names} overlap under one series UID: {cause}") from cause


def _acquisition_flags(slices: Sequence[Slice]) -> tuple[QualityFlag, ...]:
    n_acquisitions = len({one.acquisition for one in slices})
    if n_acquisitions == 1:
        return ()
    detail = f"{n_acquisitions} acquisitions together form one regular stack"
    return (QualityFlag("several_acquisitions", Severity.INFO, detail),)


def _affine(slices: Sequence[Slice], positions_mm: Float64Array) -> Float64Array:
    first = slices[0]
    affine = np.eye(4)
    affine[:3, 0] = np.array(first.row_direction) * first.spacing_mm[1]
    affine[:3, 1] = np.array(first.column_direction) * first.spacing_mm[0]
    affine[:3, 2] = (positions_mm[-1] - positions_mm[0]) / (len(slices) - 1)
    affine[:3, 3] = positions_mm[0]
    return affine
