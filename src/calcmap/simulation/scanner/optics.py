"""Sharpness: reconstruction kernels, slice profiles, and the matrices that blur and sample.

A kernel's in-plane point spread is one Gaussian, or for kernels that enhance edges the difference of a narrow and a
wide one: 1 + e times the narrow minus e times the wide. Both keep the mean, and both parts are separable, so lesions
and anatomy share one exact point spread.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy import sparse, special

from calcmap.core.volume import Float64Array

SLICE_EDGE_FACTOR = 0.12
"""SD of the slice profile's soft edges over its width (our choice: a helical profile is no box)."""
SYSTEM_SIGMA_MM = 0.15
"""Blur of the picture that noise does not share, the focal spot's above all. Noise passes kernel, crosstalk and
interpolation like the picture does: so comes out the noise spectrum of a real attenuation CT with GE's STANDARD kernel
(our choice)."""
WIDE_FACTOR = 2.2
"""Width of an edge-enhancing kernel's negative part over its positive part (our choice)."""
NEGLIGIBLE_WEIGHT = 1e-4


@dataclass(frozen=True)
class PointSpread:
    """In-plane point spread of focal spot, detector and kernel together."""

    sigma_mm: float
    edge: float = 0.0
    """Weight of the negative part; 0 for kernels without edge enhancement."""

    def parts(self) -> Iterator[tuple[float, float]]:
        """Yield weight and SD (mm) of each Gaussian part."""
        yield 1 + self.edge, self.sigma_mm
        if self.edge > 0:
            yield -self.edge, WIDE_FACTOR * self.sigma_mm

    def transfer(self, frequency_per_mm: Float64Array) -> Float64Array:
        """Return the modulation transfer; 1 at frequency 0."""
        total = np.zeros_like(frequency_per_mm)
        for weight, sigma in self.parts():
            total += weight * np.exp(-2 * (np.pi * sigma * frequency_per_mm) ** 2)
        return total

    def kernel_transfer(self, frequency_per_mm: Float64Array) -> Float64Array:
        """Return the kernel's own share of the transfer: what reconstruction filters noise with."""
        system = np.exp(-2 * (np.pi * min(SYSTEM_SIGMA_MM, self.sigma_mm) * frequency_per_mm) ** 2)
        share: Float64Array = self.transfer(frequency_per_mm) / np.maximum(system, 1e-6)
        return share


def slice_profile(offset_mm: Float64Array, *, thickness_mm: float) -> Float64Array:
    """Return the slice sensitivity at a distance from the slice's centre, per mm; its integral is 1."""
    sigma = SLICE_EDGE_FACTOR * thickness_mm * np.sqrt(2)
    edges = special.erf((offset_mm + thickness_mm / 2) / sigma) - special.erf((offset_mm - thickness_mm / 2) / sigma)
    profile: Float64Array = edges / (2 * thickness_mm)
    return profile


def gaussian_profile(offset_mm: Float64Array, *, sigma_mm: float) -> Float64Array:
    """Return a Gaussian point spread at a distance, per mm; its integral is 1."""
    profile: Float64Array = np.exp(-0.5 * (offset_mm / sigma_mm) ** 2) / (sigma_mm * np.sqrt(2 * np.pi))
    return profile


def slice_weights(targets_mm: Float64Array, sources_mm: Float64Array, *, thickness_mm: float) -> Float64Array:
    """Return each target slice's weights over source planes, shape (targets, sources); each row sums to 1.

    A slice beyond the source planes sees the nearest of them.
    """
    inside = np.clip(targets_mm, sources_mm[0], sources_mm[-1])
    weights = slice_profile(inside[:, None] - sources_mm[None, :], thickness_mm=thickness_mm)
    nearest = np.argmin(np.abs(inside[:, None] - sources_mm[None, :]), axis=1)
    weights[np.arange(len(inside)), nearest] += 1e-9
    weights[weights < NEGLIGIBLE_WEIGHT * weights.max(axis=1, keepdims=True)] = 0
    weights /= weights.sum(axis=1, keepdims=True)
    return weights


def sampling_matrix(targets_mm: Float64Array, sources_mm: Float64Array, *, sigma_mm: float) -> sparse.csr_array:
    """Return the matrix that blurs and samples along one axis; targets beyond the source grid get nothing (air)."""
    step = sources_mm[1] - sources_mm[0]
    # the working grid's own soft edges already blur by about a third of a step
    sigma = max(np.sqrt(max(sigma_mm**2 - step**2 / 12, 0.0)), 0.45 * step)
    weights = gaussian_profile(targets_mm[:, None] - sources_mm[None, :], sigma_mm=sigma) * step
    weights[weights < NEGLIGIBLE_WEIGHT] = 0
    total = weights.sum(axis=1, keepdims=True)
    inside = (targets_mm >= sources_mm[0] - step / 2) & (targets_mm <= sources_mm[-1] + step / 2)
    weights = np.where(inside[:, None], weights / np.maximum(total, 1e-9), 0)
    return sparse.csr_array(weights.astype(np.float32))
