"""CT volumes and label maps with their place in the patient."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from calcmap.core.errors import GeometryError, GridMismatchError

Int16Array: TypeAlias = NDArray[np.int16]
UInt8Array: TypeAlias = NDArray[np.uint8]
BoolArray: TypeAlias = NDArray[np.bool_]
IntArray: TypeAlias = NDArray[np.integer]
Float32Array: TypeAlias = NDArray[np.float32]
Float64Array: TypeAlias = NDArray[np.float64]

GRID_TOLERANCE_MM = 0.01
"""Two grids are one when no corner differs by more than this (our choice: far below a pixel, above float32 noise)."""

SPACING_DIGITS = 7
"""Significant digits of a spacing: what float32, the number type of NIfTI affines, can hold."""


class Label(IntEnum):
    """Voxel values of every label map that CalcMap reads or writes."""

    BACKGROUND = 0
    HEART = 1
    CORONARY = 2
    NONCORONARY = 3


@dataclass(frozen=True, eq=False)
class Grid:
    """Where the voxels of a volume are: shape and affine.

    Parameters
    ----------
    shape_zyx : tuple of int
        Number of slices, rows, columns.
    affine_lps_mm : ndarray of float64, shape (4, 4)
        Maps the homogeneous index (x, y, z, 1) = (column, row, slice, 1), zero-based at voxel centres, to patient
        coordinates in mm: x to the patient's left, y to the back, z to the head (DICOM's LPS).

    Raises
    ------
    GeometryError
        The affine is not a finite, invertible 4 x 4 matrix.
    """

    shape_zyx: tuple[int, int, int]
    affine_lps_mm: Float64Array

    def __post_init__(self) -> None:
        affine = np.array(self.affine_lps_mm, dtype=np.float64)
        if affine.shape != (4, 4) or not np.isfinite(affine).all() or abs(np.linalg.det(affine[:3, :3])) < 1e-9:
            raise GeometryError("the affine must be a finite, invertible 4 x 4 matrix")
        affine.setflags(write=False)
        object.__setattr__(self, "affine_lps_mm", affine)
        object.__setattr__(self, "shape_zyx", tuple(int(n) for n in self.shape_zyx))

    @cached_property
    def spacing_mm_zyx(self) -> tuple[float, float, float]:
        """Distance of neighbouring voxel centres along slices, rows and columns, mm.

        The first is the slice *increment*, not the slice thickness. Values are rounded to `SPACING_DIGITS` significant
        digits, so that one scan gives one score whether its spacing came as decimal text or as float32.
        """
        dx, dy, dz = np.linalg.norm(self.affine_lps_mm[:3, :3], axis=0)
        return _significant(dz), _significant(dy), _significant(dx)

    @property
    def pixel_area_mm2(self) -> float:
        """Area of one pixel, mm²."""
        _, dy, dx = self.spacing_mm_zyx
        return dy * dx

    @property
    def voxel_volume_mm3(self) -> float:
        """Volume of one voxel (pixel area times increment), mm³; slices are never sheared."""
        return self.pixel_area_mm2 * self.spacing_mm_zyx[0]

    def lps_mm(self, index_zyx: tuple[float, float, float]) -> tuple[float, float, float]:
        """Return the patient coordinates (x, y, z; LPS, mm) of a voxel index (slice, row, column)."""
        z, y, x = index_zyx
        point = self.affine_lps_mm @ np.array([x, y, z, 1.0])
        return float(point[0]), float(point[1]), float(point[2])

    def is_same_as(self, other: Grid) -> bool:
        """Tell whether both grids have one shape and their corners agree within ``GRID_TOLERANCE_MM``."""
        if self.shape_zyx != other.shape_zyx:
            return False
        nz, ny, nx = self.shape_zyx
        corners = np.array([[x, y, z, 1.0] for x in (0, nx - 1) for y in (0, ny - 1) for z in (0, nz - 1)]).T
        return bool(np.abs((self.affine_lps_mm - other.affine_lps_mm) @ corners).max() <= GRID_TOLERANCE_MM)


@dataclass(frozen=True, eq=False)
class Volume:
    """One CT on its acquired grid.

    The array is made read-only. Orientation is canonical for every source: slices ascend towards the head, rows run to
    the patient's back, columns to the patient's left, up to an oblique rotation that the affine keeps. Reaching it
    takes flips and axis swaps only, never resampling.

    Parameters
    ----------
    ct_hu_zyx : ndarray of int16, shape (slices, rows, columns)
        Hounsfield units as acquired, with the scanner's padding values left in.
    grid : Grid
        Shape and affine.

    Raises
    ------
    GeometryError
        The array is not three-dimensional int16, or its shape is not the grid's.
    """

    ct_hu_zyx: Int16Array
    grid: Grid

    def __post_init__(self) -> None:
        _check_array(self.ct_hu_zyx, np.dtype(np.int16), self.grid)
        object.__setattr__(self, "ct_hu_zyx", _read_only(self.ct_hu_zyx))

    @property
    def spacing_mm_zyx(self) -> tuple[float, float, float]:
        """Voxel spacing along slices (increment), rows and columns, mm."""
        return self.grid.spacing_mm_zyx


@dataclass(frozen=True, eq=False)
class Labels:
    """A label map (values of `Label`) on the grid of its CT; the array is made read-only.

    Raises
    ------
    GeometryError
        The array is not three-dimensional uint8, or its shape is not the grid's.
    """

    labels_zyx: UInt8Array
    grid: Grid

    def __post_init__(self) -> None:
        _check_array(self.labels_zyx, np.dtype(np.uint8), self.grid)
        object.__setattr__(self, "labels_zyx", _read_only(self.labels_zyx))

    def check_on(self, volume: Volume) -> None:
        """Raise `GridMismatchError` unless the labels lie on the grid of ``volume``."""
        if not self.grid.is_same_as(volume.grid):
            raise GridMismatchError(
                f"labels have shape {self.grid.shape_zyx} and spacing {_rounded(self.grid)} mm, "
                f"the CT has {volume.grid.shape_zyx} and {_rounded(volume.grid)} mm (or another origin); "
                "both must lie on one grid"
            )


def grid_from_spacing(
    shape_zyx: tuple[int, int, int],
    spacing_mm_zyx: tuple[float, float, float],
    *,
    origin_lps_mm: tuple[float, float, float] = (0.0, 0.0, 0.0),
) -> Grid:
    """Return an unrotated grid whose first voxel centre lies at ``origin_lps_mm``."""
    dz, dy, dx = spacing_mm_zyx
    affine = np.diag([dx, dy, dz, 1.0])
    affine[:3, 3] = origin_lps_mm
    return Grid(shape_zyx, affine)


def _significant(mm: float) -> float:
    return float(f"{mm:.{SPACING_DIGITS}g}")


def _check_array(array: NDArray[np.generic], dtype: np.dtype[np.generic], grid: Grid) -> None:
    if array.ndim != 3 or array.dtype != dtype:
        raise GeometryError(f"expected a 3-D {dtype} array (slices, rows, columns), got {array.ndim}-D {array.dtype}")
    if array.shape != grid.shape_zyx:
        raise GeometryError(f"array shape {array.shape} is not the grid's shape {grid.shape_zyx}")


def _read_only(array: NDArray[np.generic]) -> NDArray[np.generic]:
    view = array.view()
    view.setflags(write=False)
    return view


def _rounded(grid: Grid) -> tuple[float, ...]:
    return tuple(round(mm, 4) for mm in grid.spacing_mm_zyx)
