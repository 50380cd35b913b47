"""The patient table under the back."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from calcmap.core.volume import Float32Array, Float64Array
from calcmap.simulation.scanner.axes import CtAxes
from calcmap.simulation.scanner.sites import Table

SHELL_MM = 2.0
FOAM_HU = (-985.0, -920.0)


def table_plane(
    rng: np.random.Generator, *, axes: CtAxes, back_mm: float, table: Table, blur_mm: float
) -> Float32Array:
    """Return the HU of a curved table in every slice, shape (rows, columns); air elsewhere.

    Two thin shells with foam between them; the mattress is the gap between the back and the upper shell.
    """
    curvature = rng.uniform(*table.curvature_per_mm)
    half_width, thick = rng.uniform(*table.half_width_mm), rng.uniform(*table.thickness_mm)
    shell = rng.uniform(*table.shell_hu)
    x, y = axes.x_mm[None, :], axes.y_mm[:, None]
    depth = y - (back_mm + rng.uniform(3, 12) - curvature * x**2)
    inside = np.clip(half_width - np.abs(x), 0, 1)

    def layer(at_mm: float, width_mm: float) -> Float64Array:
        share: Float64Array = np.clip((width_mm / 2 - np.abs(depth - at_mm)) / axes.pixel_mm + 0.5, 0, 1) * inside
        return share

    shells = np.maximum(layer(1, SHELL_MM), layer(thick, SHELL_MM)) * (shell + 1000)
    whole = np.maximum(shells, layer(thick / 2, thick) * (rng.uniform(*FOAM_HU) + 1000))
    seen: Float32Array = ndimage.gaussian_filter((whole - 1000).astype(np.float32), blur_mm / axes.pixel_mm)
    return seen
