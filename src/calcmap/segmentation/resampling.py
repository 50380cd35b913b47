"""Separable linear resampling between a CT's grid and a coarser one.

Only what the heart network sees is resampled. Scores are computed on the acquired grid, never on an output of this
module.
"""

from __future__ import annotations

import numpy as np

from calcmap.core.volume import Float32Array, Float64Array, Int16Array

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

    Returns
    -------
    ndarray of float32, shape (output slices, output rows, output columns)
        Resampled values.
    """
    weights_z, weights_y, weights_x = weights_zyx
    used_z, used_y, used_x = (np.flatnonzero(weights.any(axis=0)) for weights in weights_zyx)
    if not (used_z.size and used_y.size and used_x.size):
        return np.full([len(weights) for weights in weights_zyx], outside, dtype=np.float32)
    box = tuple(slice(int(used[0]), int(used[-1]) + 1) for used in (used_z, used_y, used_x))
    # Working on the offset from `outside` makes zero weights mean exactly that value.
    values = values_zyx[box].astype(np.float32) - np.float32(outside)
    columns = values @ weights_x[:, box[2]].T
    rows = np.matmul(weights_y[:, box[1]], columns)
    slices = np.tensordot(weights_z[:, box[0]], rows, axes=(1, 0))
    return np.asarray(slices, dtype=np.float32) + np.float32(outside)
