"""Voxels of any orientation brought to the canonical one by flips and axis swaps, never by resampling."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calcmap.core.errors import GeometryError
from calcmap.core.scan import QualityFlag
from calcmap.core.volume import Float64Array, Grid

VoxelArray = NDArray[Any]
"""Voxels of whatever number type the file holds."""

LPS_FROM_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
"""Changes right-anterior-superior coordinates (NIfTI) to left-posterior-superior ones (DICOM), and back."""


@dataclass(frozen=True, eq=False)
class VoxelImage:
    """What a voxel file holds, before anything is said about its meaning.

    Parameters
    ----------
    voxels_zyx : ndarray, shape (slices, rows, columns)
        Values as stored, with the file's own scaling applied.
    affine_lps_mm : ndarray of float64, shape (4, 4)
        Maps (x, y, z, 1) indices to patient coordinates, LPS, mm.
    source_format : str
        ``"nifti"``, ``"nrrd"`` or ``"mha"``.
    flags : tuple of QualityFlag
        What was noticed while reading.
    """

    voxels_zyx: VoxelArray
    affine_lps_mm: Float64Array
    source_format: str
    flags: tuple[QualityFlag, ...] = ()


def to_canonical(voxels_zyx: VoxelArray, affine_lps_mm: Float64Array) -> tuple[VoxelArray, Grid]:
    """Return the voxels with columns running left, rows to the back and slices to the head, and their grid.

    Each patient axis is given the array axis that runs most nearly along it (the permutation with the largest sum of
    direction cosines; the stored order wins ties), then axes that run backwards are flipped. An oblique rotation is
    left in the affine. A left-handed affine is as welcome as a right-handed one.

    Parameters
    ----------
    voxels_zyx : ndarray, shape (slices, rows, columns)
        Any number type.
    affine_lps_mm : ndarray of float64, shape (4, 4)
        Of ``voxels_zyx``, index order (x, y, z, 1), LPS, mm.

    Returns
    -------
    voxels_zyx : ndarray
        A view of the input, possibly with negative strides.
    grid : Grid
        Of that view.

    Raises
    ------
    GeometryError
        The affine is not finite or not invertible.
    """
    shape_xyz = voxels_zyx.shape[::-1]
    affine = Grid((shape_xyz[2], shape_xyz[1], shape_xyz[0]), affine_lps_mm).affine_lps_mm.copy()
    source_axes = _nearest_axes(affine[:3, :3])
    affine[:, :3] = affine[:, list(source_axes)]
    voxels_xyz = voxels_zyx.T.transpose(source_axes)
    for axis in range(3):
        if affine[axis, axis] < 0:
            affine[:, 3] += affine[:, axis] * (voxels_xyz.shape[axis] - 1)
            affine[:, axis] *= -1.0
            voxels_xyz = np.flip(voxels_xyz, axis)
    affine += 0.0  # turns -0.0 into 0.0
    canonical = voxels_xyz.T
    return canonical, Grid((canonical.shape[0], canonical.shape[1], canonical.shape[2]), affine)


def _nearest_axes(directions_mm: Float64Array) -> tuple[int, int, int]:
    """Return, for x, y and z of the patient, the array axis that runs most nearly along it."""
    cosines = np.abs(directions_mm / np.linalg.norm(directions_mm, axis=0))
    scores = {axes: sum(cosines[i, axes[i]] for i in range(3)) for axes in itertools.permutations(range(3))}
    best = max(scores, key=lambda axes: round(float(scores[axes]), 9))
    if any(cosines[i, best[i]] == 0.0 for i in range(3)):
        raise GeometryError("the axes of the image cannot be matched with those of the patient")
    return best[0], best[1], best[2]
