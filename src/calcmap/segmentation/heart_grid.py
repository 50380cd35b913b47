"""The coarse grid on which the heart is found, and the way back to the CT."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from calcmap.core.errors import ConfigError
from calcmap.core.volume import BoolArray, Float32Array, Float64Array, Int16Array, Volume
from calcmap.segmentation.resampling import averaging_weights, resample_separable

AIR_HU = -1000.0
BODY_HU = -300.0
"""Above this lies the body, below it lung and air (our choice: between lung and fat)."""
HEART_WINDOW_HU = (-1000.0, 400.0)
"""HU range that the heart network sees; denser bone and metal look alike to it."""


@dataclass(frozen=True)
class HeartGridConfig:
    """Sampling of the heart network's input.

    Parameters
    ----------
    in_plane_mm : float
        Spacing of rows and columns.
    slice_mm : float
        Spacing of slices, about: coarse slices divide the scan's length evenly.
    size_px : int
        Rows and columns; the field is ``size_px * in_plane_mm`` wide, centred on the body.

    Raises
    ------
    ConfigError
        A length is not positive, or there are fewer than two pixels.
    """

    in_plane_mm: float = 4.0
    slice_mm: float = 5.0
    size_px: int = 96

    def __post_init__(self) -> None:
        if min(self.in_plane_mm, self.slice_mm) <= 0 or self.size_px < 2:
            raise ConfigError(
                f"heart_grid is {self.in_plane_mm} mm in plane, {self.slice_mm} mm along slices, {self.size_px} px; "
                "expected lengths above 0 and at least 2 px"
            )


@dataclass(frozen=True, eq=False)
class HeartGrid:
    """A CT on the coarse grid.

    Parameters
    ----------
    ct_hu_zyx : ndarray of float32, shape (coarse slices, size, size)
        Mean HU of each coarse voxel; air outside the CT.
    positions_zyx : tuple of three ndarrays of float64
        For each axis, the native index (fractional) of each coarse voxel centre.
    shape_zyx : tuple of int
        Shape of the native CT.
    """

    ct_hu_zyx: Float32Array
    positions_zyx: tuple[Float64Array, Float64Array, Float64Array]
    shape_zyx: tuple[int, int, int]


def to_heart_grid(volume: Volume, config: HeartGridConfig) -> HeartGrid:
    """Return the CT averaged onto the heart network's grid, centred on the body; scanner padding counts as air."""
    positions_zyx = _coarse_positions(volume, config)
    return HeartGrid(
        ct_hu_zyx=sample_at(volume.ct_hu_zyx, positions_zyx, outside=AIR_HU, at_least=AIR_HU),
        positions_zyx=positions_zyx,
        shape_zyx=volume.grid.shape_zyx,
    )


def sample_at(
    values_zyx: Int16Array | Float32Array,
    positions_zyx: tuple[Float64Array, Float64Array, Float64Array],
    *,
    outside: float,
    at_least: float | None = None,
) -> Float32Array:
    """Return native values averaged at coarse positions, as `HeartGrid` holds them.

    Parameters
    ----------
    values_zyx : ndarray of int16 or float32, shape (slices, rows, columns)
        Values on the native grid.
    positions_zyx : tuple of three ndarrays of float64
        For each axis, the native index (fractional) of each coarse voxel centre.
    outside : float
        Value of coarse voxels that no native voxel reaches.
    at_least : float or None
        Native values below this count as this.

    Returns
    -------
    ndarray of float32, shape (coarse slices, size, size)
        Means over the coarse voxels.
    """
    positions_z, positions_y, positions_x = positions_zyx
    n_slices, n_rows, n_columns = values_zyx.shape
    weights_zyx = (
        averaging_weights(positions_z, n_slices),
        averaging_weights(positions_y, n_rows),
        averaging_weights(positions_x, n_columns),
    )
    return resample_separable(values_zyx, weights_zyx, outside=outside, at_least=at_least)


def heart_network_input(ct_hu_zyx: Float32Array) -> Float32Array:
    """Return what the heart network sees, float32 (slices, 1, rows, columns): HU windowed to -1 ... 1."""
    low, high = HEART_WINDOW_HU
    scaled = (np.clip(ct_hu_zyx, low, high) - low) / (high - low) * 2.0 - 1.0
    return scaled[:, None].astype(np.float32)


def to_native_grid(prob_zyx: Float32Array, grid: HeartGrid, *, box: tuple[slice, slice, slice]) -> Float32Array:
    """Return coarse heart probabilities interpolated to the native voxels of ``box``.

    Parameters
    ----------
    prob_zyx : ndarray of float32, shape of the coarse grid
        Values from 0 to 1.
    grid : HeartGrid
        Where the coarse voxels lie.
    box : tuple of three slices
        Native index ranges, with start and stop.

    Returns
    -------
    ndarray of float32, shape of the box
        Linear interpolation; beyond the first and the last coarse centre, their own values.
    """
    weights = []
    for positions, native in zip(grid.positions_zyx, box, strict=True):
        step = positions[1] - positions[0]
        wanted = (np.arange(native.start, native.stop) - positions[0]) / step
        # The first and last coarse slice stand for the native ones beyond their centres.
        weights.append(averaging_weights(np.clip(wanted, 0, len(positions) - 1), len(positions)))
    return resample_separable(prob_zyx, (weights[0], weights[1], weights[2]), outside=0.0)


def native_box(
    mask_zyx: BoolArray, grid: HeartGrid, *, margin_mm: float, spacing_mm_zyx: tuple[float, float, float]
) -> tuple[slice, slice, slice]:
    """Return the native index box around a non-empty coarse mask, ``margin_mm`` wider as far as the scan reaches."""
    box = []
    for axis, (positions, n, spacing_mm) in enumerate(
        zip(grid.positions_zyx, grid.shape_zyx, spacing_mm_zyx, strict=True)
    ):
        hit = np.flatnonzero(mask_zyx.any(axis=tuple(other for other in range(3) if other != axis)))
        half_step = (positions[1] - positions[0]) / 2
        low = positions[hit[0]] - half_step - margin_mm / spacing_mm
        high = positions[hit[-1]] + half_step + margin_mm / spacing_mm
        box.append(slice(max(0, int(np.floor(low))), min(n, int(np.ceil(high)) + 1)))
    return box[0], box[1], box[2]


def _coarse_positions(volume: Volume, config: HeartGridConfig) -> tuple[Float64Array, Float64Array, Float64Array]:
    n_slices = volume.grid.shape_zyx[0]
    increment_mm, row_mm, column_mm = volume.spacing_mm_zyx
    n_coarse = max(2, round(n_slices * increment_mm / config.slice_mm))
    # Coarse slices divide the scan's length evenly, so that none hangs over its ends.
    along_z = (np.arange(n_coarse, dtype=np.float64) + 0.5) * (n_slices / n_coarse) - 0.5
    centre_y, centre_x = _body_centre_yx(volume)
    offsets_mm = (np.arange(config.size_px, dtype=np.float64) - (config.size_px - 1) / 2) * config.in_plane_mm
    return along_z, centre_y + offsets_mm / row_mm, centre_x + offsets_mm / column_mm


def _body_centre_yx(volume: Volume) -> tuple[float, float]:
    """Return row and column in the middle of the body: medians, which a table or an arm hardly moves."""
    step = 8
    body = volume.ct_hu_zyx[::2, ::step, ::step] > BODY_HU
    if not body.any():
        _, n_rows, n_columns = volume.grid.shape_zyx
        return (n_rows - 1) / 2, (n_columns - 1) / 2
    _, rows, columns = np.nonzero(body)
    return float(np.median(rows)) * step, float(np.median(columns)) * step
