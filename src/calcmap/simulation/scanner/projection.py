"""Line integrals of a slice and filtered backprojection of a sinogram, through the Fourier slice theorem.

Geometry: parallel rays, rebinned slice by slice, view angles spread evenly over half a turn; the isocentre is the
middle of the image. A projection's spectrum is a line through the image's spectrum, so both ways are one small sparse
matrix between polar and Cartesian frequencies (Kaiser-Bessel gridding) and one fast Fourier transform.

A view is the integral over lines with x cos(angle) + y sin(angle) = s; sinograms have shape (views, bins).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import fft, sparse

from calcmap.core.volume import BoolArray, Float32Array, Float64Array, IntArray

OVERSAMPLING = 1.25
"""Padded over plain side of the image, against the gridding kernel's aliasing."""
KERNEL_WIDTH = 3
"""Of the gridding kernel, in samples: errors of a few thousandths."""

Matrices = tuple[sparse.csr_array, sparse.csr_array]
"""For real and for imaginary parts."""


@dataclass(frozen=True, eq=False)
class PolarGrid:
    """Frequencies of all views of an image of one size, in units of pixels."""

    size: int
    """Rows and columns of the image."""
    n_views: int
    """View angles over half a turn."""
    padded: int
    """Side of the padded image; also the number of detector bins, one per pixel."""
    angles_rad: Float64Array
    cycles: Float64Array
    """Frequencies of one view, cycles per pixel, shape (bins // 2 + 1,)."""
    at: tuple[Float64Array, Float64Array]
    """Row and column of every polar sample (views * frequencies) in the padded spectrum."""
    phase: NDArray[np.complex64]
    """Shape (views, frequencies): moves the transform's origin to the middle of image and detector."""
    unroll: Float32Array
    """Deapodisation along one axis, shape (size,)."""

    @cached_property
    def gather(self) -> Matrices:
        """From the padded image's half spectrum to polar samples, for real and imaginary parts."""
        return _gather(_gridding(*self.at, padded=self.padded))

    @cached_property
    def scatter(self) -> Matrices:
        """Back again; the other half plane is the mirrored conjugate."""
        return _scatter(_gridding(*self.at, padded=self.padded), padded=self.padded)


@lru_cache(maxsize=4)
def polar_grid(size: int, *, n_views: int, highest: float = 0.5) -> PolarGrid:
    """Return the frequencies and matrices for an image side; kept, as building the matrices takes a moment.

    Parameters
    ----------
    size, n_views : int
        As in `PolarGrid`.
    highest : float
        Highest frequency used, cycles per pixel: a soft kernel passes nothing above.

    Returns
    -------
    PolarGrid
        Shared: do not change its arrays.
    """
    padded = fft.next_fast_len(int(np.ceil(size * OVERSAMPLING / 2) * 2), real=True)
    angles = np.arange(n_views) * np.pi / n_views
    n_used = int(np.floor(highest * padded)) + 1
    cycles = np.arange(n_used) / padded
    column = (cycles[None, :] * np.cos(angles)[:, None]).ravel() * padded
    row = (cycles[None, :] * np.sin(angles)[:, None]).ravel() * padded
    # image index 0 lies at -(size - 1) / 2, detector bin 0 at -(padded - 1) / 2; the image is rolled by size // 2
    image_shift = size // 2 - (size - 1) / 2
    shift = image_shift * (np.cos(angles) + np.sin(angles))[:, None] + (padded - 1) / 2
    phase = np.exp(2j * np.pi * cycles[None, :] * shift).astype(np.complex64)
    return PolarGrid(size, n_views, padded, angles, cycles, (row, column), phase, _deapodisation(size, padded))


def line_integrals(image_yx: Float32Array, grid: PolarGrid) -> Float32Array:
    """Return the line integrals of an image, in pixels times its unit.

    Parameters
    ----------
    image_yx : ndarray of float32, shape (size, size)
        What the rays cross; it should fall to 0 inside the inscribed circle of the padded image.
    grid : PolarGrid
        Of the image's size.

    Returns
    -------
    ndarray of float32, shape (views, padded)
        Bin j lies (j - (padded - 1) / 2) pixels from the middle.
    """
    size, padded = grid.size, grid.padded
    rolled = np.zeros((padded, padded), dtype=np.float32)
    half = size // 2
    weighted = image_yx * grid.unroll[:, None] * grid.unroll[None, :]
    for rows, to_rows in ((slice(half, size), slice(0, size - half)), (slice(0, half), slice(padded - half, padded))):
        rolled[to_rows, : size - half] = weighted[rows, half:]
        rolled[to_rows, padded - half :] = weighted[rows, :half]
    spectrum = fft.rfft2(rolled).ravel()
    samples = np.empty(grid.phase.size, dtype=np.complex64)
    samples.real = grid.gather[0] @ spectrum.real
    samples.imag = grid.gather[1] @ spectrum.imag
    views = fft.irfft(samples.reshape(grid.phase.shape) * grid.phase.conj(), n=padded, axis=1)
    return views.astype(np.float32, copy=False)


def backprojection(sinogram: Float32Array, grid: PolarGrid, *, transfer: Float32Array) -> Float32Array:
    """Return the image whose filtered backprojection a sinogram is.

    Parameters
    ----------
    sinogram : ndarray of float32, shape (views, padded)
        Line integrals in pixels times the image's unit.
    grid : PolarGrid
        Of the image's size.
    transfer : ndarray of float32, shape (frequencies,)
        The kernel's transfer at ``grid.cycles``; the ramp is added here.

    Returns
    -------
    ndarray of float32, shape (size, size)
    """
    size, padded = grid.size, grid.padded
    ramp = (grid.cycles * transfer * (np.pi / grid.n_views / padded)).astype(np.float32)
    ramp[0] = 0.125 * np.pi / grid.n_views / padded**2  # mean of the ramp over the cell about frequency 0, halved
    samples = fft.rfft(sinogram, axis=1)[:, : len(grid.cycles)] * (grid.phase * ramp)
    samples = samples.ravel()
    spectrum = np.empty(padded * (padded // 2 + 1), dtype=np.complex64)
    spectrum.real = grid.scatter[0] @ np.ascontiguousarray(samples.real)
    spectrum.imag = grid.scatter[1] @ np.ascontiguousarray(samples.imag)
    # without 1 / padded**2: the sum over polar samples is the integral itself
    half = size // 2
    columns = fft.ifft(spectrum.reshape(padded, -1)[:, : len(grid.cycles) + KERNEL_WIDTH], axis=0, norm="forward")
    rolled = fft.irfft(columns, n=padded, axis=1, norm="forward")
    image = np.empty((size, size), dtype=np.float32)
    for rows, from_rows in ((slice(half, size), slice(0, size - half)), (slice(0, half), slice(padded - half, padded))):
        image[rows, half:] = rolled[from_rows, : size - half]
        image[rows, :half] = rolled[from_rows, padded - half :]
    image *= grid.unroll[:, None]
    image *= grid.unroll[None, :]
    return image


@dataclass(frozen=True, eq=False)
class _Gridding:
    """Every pair of a polar sample and a cell of the half spectrum near it."""

    sample: IntArray
    cell: IntArray
    weight: Float64Array
    sign: Float64Array
    """Of the imaginary part: cells of the missing half stand for their mirror image."""
    row: IntArray
    is_on_axis: BoolArray
    """Whether the cell lies in column 0, its own mirror image."""
    shape: tuple[int, int]


def _gridding(row: Float64Array, column: Float64Array, *, padded: int) -> _Gridding:
    turn = np.where(column < 0, -1.0, 1.0)  # the mirrored sample, whose value is the conjugate
    first_row = np.ceil(row * turn - KERNEL_WIDTH / 2).astype(np.int64)
    first_column = np.ceil(column * turn - KERNEL_WIDTH / 2).astype(np.int64)
    steps = np.arange(KERNEL_WIDTH)
    rows, columns = first_row[:, None] + steps, first_column[:, None] + steps
    by_row = _kernel(rows - (row * turn)[:, None])
    by_column = _kernel(columns - (column * turn)[:, None])
    weight = (by_row[:, :, None] * by_column[:, None, :]).ravel()
    at_row = np.broadcast_to(rows[:, :, None], (len(row), KERNEL_WIDTH, KERNEL_WIDTH)).ravel()
    at_column = np.broadcast_to(columns[:, None, :], (len(row), KERNEL_WIDTH, KERNEL_WIDTH)).ravel()
    sample = np.repeat(np.arange(len(row)), KERNEL_WIDTH**2)
    mirrored = at_column < 0
    sign = np.where(mirrored, -1.0, 1.0) * np.repeat(turn, KERNEL_WIDTH**2)
    flip = np.where(mirrored, -1, 1)
    width = padded // 2 + 1
    # beyond the last column the half spectrum mirrors too; only a corner of the highest frequency reaches there
    kept = np.abs(at_column) < width
    cell = ((at_row * flip) % padded) * width + np.minimum(np.abs(at_column), width - 1)
    return _Gridding(sample[kept], cell[kept], weight[kept], sign[kept], at_row[kept], (at_column == 0)[kept],
                     (len(row), padded * width))  # fmt: skip


def _gather(pairs: _Gridding) -> Matrices:
    return (
        _matrix(pairs.weight, pairs.cell, pairs.sample, shape=pairs.shape),
        _matrix(pairs.weight * pairs.sign, pairs.cell, pairs.sample, shape=pairs.shape),
    )


def _scatter(pairs: _Gridding, *, padded: int) -> Matrices:
    # column 0 is its own mirror image: it also holds the conjugate of what its samples put at the other end
    axis = pairs.is_on_axis
    twin = ((-pairs.row[axis]) % padded) * (padded // 2 + 1)
    cells, samples = np.concatenate([pairs.cell, twin]), np.concatenate([pairs.sample, pairs.sample[axis]])
    signed = pairs.weight * pairs.sign
    turned = (pairs.shape[1], pairs.shape[0])
    return (
        _matrix(np.concatenate([pairs.weight, pairs.weight[axis]]), samples, cells, shape=turned),
        _matrix(np.concatenate([signed, -signed[axis]]), samples, cells, shape=turned),
    )


def _matrix(values: Float64Array, columns: IntArray, rows: IntArray, *, shape: tuple[int, int]) -> sparse.csr_array:
    return sparse.csr_array((values.astype(np.float32), (rows, columns)), shape=shape)


def _beta() -> float:
    """Return the Kaiser-Bessel shape that suits width and oversampling (Beatty, IEEE Trans Med Imaging 2005;24:799)."""
    return float(np.pi * np.sqrt((KERNEL_WIDTH / OVERSAMPLING) ** 2 * (OVERSAMPLING - 0.5) ** 2 - 0.8))


def _kernel(distance: Float64Array) -> Float64Array:
    """Return the gridding kernel at a distance in samples; 0 beyond half its width."""
    fine = np.linspace(0, KERNEL_WIDTH / 2, 4001)
    values = np.i0(_beta() * np.sqrt(np.maximum(1 - (2 * fine / KERNEL_WIDTH) ** 2, 0)))
    weights: Float64Array = np.interp(np.abs(distance), fine, values, right=0.0)
    return weights


def _deapodisation(size: int, padded: int) -> Float32Array:
    """Return one over the gridding kernel's transform at each pixel."""
    at = (np.arange(size) - size // 2) / padded
    fine = np.linspace(-KERNEL_WIDTH / 2, KERNEL_WIDTH / 2, 2001)
    weights = _kernel(fine) * (fine[1] - fine[0])
    transform = np.cos(2 * np.pi * np.outer(at, fine)) @ weights
    unrolled: Float32Array = (1 / transform).astype(np.float32)
    return unrolled
