"""Smooth random displacement of coordinates, so that no two thoraces look alike."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from calcmap.core.volume import Float64Array
from calcmap.simulation.anatomy.shapes import Coordinates

KNOT_SPACING_MM = 48.0
"""Distance of control points: about half a heart, so that shapes bend but do not crumple (our choice)."""
N_INVERSION_STEPS = 5
"""Fixed-point steps; each shrinks the error by the field's gradient (< 0.3), to far below 0.1 mm."""


@dataclass(frozen=True)
class Deformation:
    """A tensor-product cubic B-spline displacement field.

    Parameters
    ----------
    first_knot_mm_xyz : ndarray, shape (3,)
        Position of the first control point.
    weights_mm : ndarray, shape (3, nz, ny, nx)
        Displacement weights of x, y, z.
    """

    first_knot_mm_xyz: Float64Array
    weights_mm: Float64Array

    @property
    def slack_mm(self) -> float:
        """No point is displaced further than this along an axis."""
        return float(np.abs(self.weights_mm).max())

    def model_grid(self, axes_mm_zyx: tuple[Float64Array, Float64Array, Float64Array]) -> Coordinates:
        """Return the model coordinates (x, y, z) of every point of a grid, float32."""
        bases = [
            _basis(axis, first, n).astype(np.float32)
            for axis, first, n in zip(axes_mm_zyx, self.first_knot_mm_xyz[::-1], self.weights_mm.shape[1:], strict=True)
        ]
        z, y, x = axes_mm_zyx
        own = (x[None, None, :], y[None, :, None], z[:, None, None])
        warped = []
        for axis, weights in zip(own, self.weights_mm.astype(np.float32), strict=True):
            planes = np.matmul(bases[1], weights @ bases[2].T)  # (knots along z, y, x)
            field = (bases[0] @ planes.reshape(len(planes), -1)).reshape(-1, *planes.shape[1:])
            field += axis.astype(np.float32)
            warped.append(field)
        return warped[0], warped[1], warped[2]

    def to_model(self, points_mm: Float64Array) -> Float64Array:
        """Return model coordinates of patient points (n, 3)."""
        bases = [_basis(points_mm[:, k], self.first_knot_mm_xyz[k], self.weights_mm.shape[3 - k]) for k in range(3)]
        # one axis after the other: far fewer steps than one einsum over all of them
        along_x = np.tensordot(bases[0], self.weights_mm, axes=(1, 3))
        along_y = np.einsum("py,pczy->pcz", bases[1], along_x)
        shift = np.einsum("pz,pcz->pc", bases[2], along_y)
        moved: Float64Array = points_mm + shift
        return moved

    def to_patient(self, points_mm: Float64Array) -> Float64Array:
        """Return patient coordinates of model points (n, 3), the inverse of `to_model`."""
        patient = points_mm.copy()
        for _ in range(N_INVERSION_STEPS):
            patient -= self.to_model(patient) - points_mm
        return patient


def draw_deformation(
    rng: np.random.Generator, *, low_mm_xyz: Float64Array, high_mm_xyz: Float64Array, sd_mm: float
) -> Deformation:
    """Return a random field over a box; ``sd_mm`` is the SD of the control weights."""
    n_xyz = np.ceil((high_mm_xyz - low_mm_xyz) / KNOT_SPACING_MM).astype(int) + 4
    weights = np.clip(rng.standard_normal((3, *n_xyz[::-1])), -2, 2) * sd_mm
    return Deformation(low_mm_xyz - 1.5 * KNOT_SPACING_MM, weights)


def _basis(positions_mm: Float64Array, first_knot_mm: float, n_knots: int) -> Float64Array:
    """Return cubic B-spline values, shape (positions, knots)."""
    u = np.abs((positions_mm[:, None] - first_knot_mm) / KNOT_SPACING_MM - np.arange(n_knots)[None, :])
    near = 2 / 3 - u**2 + u**3 / 2
    far = np.clip(2 - u, 0, None) ** 3 / 6
    return np.where(u < 1, near, far)
