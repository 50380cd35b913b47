"""Separable linear resampling between a CT's grid and a coarser one.

Only what the heart network sees is resampled. Scores are computed on the acquired grid, never on an output of this
module.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from calcmap.core.volume import Float32Array, Float64Array, Int16Array

BAND_WEIGHTS = 400
"""Weights of a block of neighbouring outputs and the inputs that they reach, at most: outputs look at a few inputs
only, and blocks of this size are multiplied on one core, in one order, whatever the machine (our choice)."""
LEAST_WEIGHT = 1e-9
"""Inputs that weigh less than this together are touched by rounding only: the output counts as outside."""


def averaging_weights(positions: Float64Array, n_in: int) -> Float32Array:
    """Return weights (outputs, inputs) that average input samples around each output position.

    Each output is the mean of the inputs under a box as wide as the distance of the output positions, or, where these
    lie closer than the inputs, a linear interpolation. Samples beyond the ends take no part: an output whose box hangs
    over an end is the mean of the inputs that the box still touches, and one that touches none has no weights at all.

    Parameters
    ----------
    positions : ndarray of float64, shape (outputs,)
        Evenly spaced positions in units of input samples (0 is the centre of the first input).
    n_in : int
        Number of input samples.

    Returns
    -------
    ndarray of float32, shape (outputs, n_in)
        Rows sum to 1, or to 0 outside the input.
    """
    step = abs(float(positions[1] - positions[0])) if len(positions) > 1 else 1.0
    half_width = max(step, 1.0) / 2.0
    distance = np.abs(positions[:, None] - np.arange(n_in)[None, :])
    # A box of the output's width, softened by half a sample on each side, is linear interpolation when step <= 1.
    weights = np.clip(half_width + 0.5 - distance, 0.0, 1.0)
    total = weights.sum(axis=1, keepdims=True)
    is_reached = total > LEAST_WEIGHT
    return np.where(is_reached, weights / np.where(is_reached, total, 1.0), 0.0).astype(np.float32)


def resample_separable(
    values_zyx: Int16Array | Float32Array,
    weights_zyx: tuple[Float32Array, Float32Array, Float32Array],
    *,
    outside: float,
    at_least: float | None = None,
) -> Float32Array:
    """Return ``values_zyx`` under three weight matrices, one an axis.

    Parameters
    ----------
    values_zyx : ndarray, shape (slices, rows, columns)
        Input values.
    weights_zyx : tuple of three ndarrays of float32, each (outputs, inputs)
        As `averaging_weights` returns them.
    outside : float
        Value of outputs that lie outside the input.
    at_least : float or None
        Input values below this count as this.

    Returns
    -------
    ndarray of float32, shape (output slices, output rows, output columns)
        Resampled values.
    """
    weights_z, weights_y, weights_x = weights_zyx
    reached_z = np.flatnonzero(weights_z.any(axis=0))
    bands_y, bands_x = _bands(weights_y), _bands(weights_x)
    resampled = np.full((len(weights_z), len(weights_y), len(weights_x)), outside, dtype=np.float32)
    if not (reached_z.size and bands_y and bands_x):
        return resampled
    # Slice by slice, so that what is worked on stays near the processor, and no copy of the volume is made.
    planes_zyx = np.zeros((len(values_zyx), len(weights_y), len(weights_x)), dtype=np.float32)
    for z in reached_z:
        _resample_plane(values_zyx[z], bands_y, bands_x, outside=outside, at_least=at_least, out=planes_zyx[z])
    for plane_yx, weights in zip(resampled, weights_z, strict=True):
        inputs = np.flatnonzero(weights)
        plane_yx += np.tensordot(weights[inputs], planes_zyx[inputs], axes=1)
    return resampled


def _resample_plane(
    values_yx: Int16Array | Float32Array,
    bands_y: list[_Band],
    bands_x: list[_Band],
    *,
    outside: float,
    at_least: float | None,
    out: Float32Array,
) -> None:
    """Add to ``out`` how far the resampled slice lies above ``outside``: no weights then mean exactly that value."""
    rows, columns = _reach(bands_y), _reach(bands_x)
    values_yx = values_yx[rows, columns]
    if at_least is not None:
        values_yx = np.maximum(values_yx, values_yx.dtype.type(at_least))
    above_yx = values_yx.astype(np.float32) - np.float32(outside)
    across_yx = np.zeros((rows.stop, out.shape[1]), dtype=np.float32)
    for band in bands_x:
        inputs = slice(band.inputs.start - columns.start, band.inputs.stop - columns.start)
        np.matmul(above_yx[:, inputs], band.weights.T, out=across_yx[rows, band.outputs])
    for band in bands_y:
        np.matmul(band.weights, across_yx[band.inputs], out=out[band.outputs])


@dataclass(frozen=True, eq=False)
class _Band:
    """Neighbouring outputs, the inputs that they reach, and the weights between them."""

    outputs: slice
    inputs: slice
    weights: Float32Array


def _bands(weights: Float32Array) -> list[_Band]:
    """Return the blocks along the diagonal of a weight matrix, in order; outputs without weights are in none."""
    bands: list[_Band] = []
    for output, row in enumerate(weights):
        inputs = np.flatnonzero(row)
        if inputs.size == 0:
            continue
        outputs, reached = slice(output, output + 1), slice(int(inputs[0]), int(inputs[-1]) + 1)
        if bands:
            wider = slice(bands[-1].outputs.start, output + 1), _union(bands[-1].inputs, reached)
            if (wider[0].stop - wider[0].start) * (wider[1].stop - wider[1].start) <= BAND_WEIGHTS:
                outputs, reached = wider
                bands.pop()
        bands.append(_Band(outputs, reached, np.ascontiguousarray(weights[outputs, reached])))
    return bands


def _union(first: slice, second: slice) -> slice:
    return slice(min(first.start, second.start), max(first.stop, second.stop))


def _reach(bands: list[_Band]) -> slice:
    """Return the inputs from the first to the last that any band reaches."""
    return slice(min(band.inputs.start for band in bands), max(band.inputs.stop for band in bands))
