"""Noise and artefacts of one slice, made where they arise: in its projections.

What the rays cross is projected; photons are counted with quantum and electronic noise; what the scanner's corrections
leave of scatter, beam hardening, truncation and detector gain is added; ramp and kernel filter it; backprojection
spreads it. Only the error goes this way: the picture itself keeps its exact point spread. Geometry: see `projection`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage, sparse

from calcmap.core.volume import Float32Array, Float64Array
from calcmap.simulation.scanner.axes import CtAxes
from calcmap.simulation.scanner.optics import PointSpread
from calcmap.simulation.scanner.projection import PolarGrid, backprojection, line_integrals, polar_grid
from calcmap.simulation.scanner.sites import Acquisition
from calcmap.simulation.scanner.spectrum import REFERENCE_KVP, hardening, water_attenuation_per_mm

BODY_PIXELS = 256
BODY_PIXEL_MM = 2.75
"""The grid that is projected: 704 mm wide, so that no arm is cut off."""
N_BODY_VIEWS = 160
N_VIEWS = 480
"""Over half a turn, a multiple of `N_BODY_VIEWS`; with fewer, single views show as straight lines beside the body."""
COUNTS_PER_MAS_MM2 = 1.0e6
"""Noise-equivalent quanta of a rotation per mAs and mm2 at the isocentre, 120 kVp, without attenuation (our choice: the
noise of FACTS 8.4 comes out; a tube's fluence there is some times larger)."""
COUNTS_BY_KVP = 2.6
"""Exponent of the tube voltage in the counts behind a body."""
ELECTRONIC_COUNTS = 12.0
"""SD of electronic noise in counts of one bin (our choice)."""
FEWEST_COUNTS = 0.7
"""A smaller reading is taken as this before the logarithm."""
BOWTIE_SHARE, BOWTIE_RADIUS_MM = 0.6, 160.0
"""The bow-tie filter makes up for this share of what rays beside the middle of a 320 mm water disc lack."""
MODULATION_PATH_MM = 240.0
"""Widest water path of the reference patient for tube current modulation."""
HIGHEST_MODULATION = 4.0
ADAPTED_FROM, ADAPTED_FULLY = 0.035, 0.12
"""Relative noise of a ray from which scanners smooth it, and at which the smoothed reading replaces it. Adaptive
filtering after Hsieh (Med Phys 1998;25:2139) and Kachelriess (Med Phys 2001;28:475); these limits are our choice."""
ADAPTED_WIDTH_MM = 3.0
"""Width on the detector over which a starved ray is smoothed; along the views it is `ADAPTED_VIEWS` (our choice)."""
ADAPTED_VIEWS = 3
DENSE_FROM_HU = 130.0
METAL_FROM_HU = 1800.0
METAL_WEIGHT = 3.0
"""Metal hardens the beam more than bone of the same HU."""
LARGEST_HARDENING_MM = 12.0
SCATTER_WIDTH_MM = 90.0
NEIGHBOUR_CORRELATION = 0.12
"""Of the noise of slices that touch: helical interpolation makes neighbours alike (our choice)."""
HIGHEST_CORRELATION = 0.49
FADE_BINS = 0.04
"""Part of the detector at each end over which smooth errors fade out."""
ROLL_OFF_MM = 40.0
"""Truncated views are extrapolated to 0 over this length."""


@dataclass(frozen=True, eq=False)
class Beam:
    """Everything about one patient's scan that its slices share."""

    acquisition: Acquisition
    body: PolarGrid
    image: PolarGrid
    to_body_y: sparse.csr_array
    to_body_x: sparse.csr_array
    """From the working grid to the projected grid."""
    from_ct: sparse.csr_array
    """From one axis of the CT to the projected grid."""
    to_bins: Float32Array
    """From body bins to detector bins, shape (body bins, bins)."""
    bin_mm: Float64Array
    """Detector bins' distance from the isocentre."""
    open_counts: Float32Array
    """Counts of each bin without a patient, behind the bow-tie."""
    transfer: Float32Array
    attenuation_per_mm: float
    gain_mm: Float32Array
    """Errors of each bin's gain, as water path."""
    neighbour_share: float
    """Weight of the next slice's quanta in a slice."""


def make_beam(
    rng: np.random.Generator,
    acquisition: Acquisition,
    *,
    axes: CtAxes,
    canvas_y_mm: Float64Array,
    canvas_x_mm: Float64Array,
) -> Beam:
    """Return the beam of a scan; the isocentre is the middle of the CT's field of view."""
    body, image = polar_grids(acquisition)
    spread = PointSpread(acquisition.psf_sigma_mm, acquisition.edge)
    bin_mm = axes.pixel_mm * (np.arange(image.padded, dtype=np.float64) - (image.padded - 1) / 2)
    center_y, center_x = axes.y_mm.mean(), axes.x_mm.mean()
    gain = rng.normal(0, 1, image.padded) + 2.0 * ndimage.gaussian_filter1d(rng.normal(0, 1, image.padded), 4.0)
    gain = (gain + gain[::-1]) / np.sqrt(2)  # over a whole turn a cell sees both sides: rings, not half rings
    return Beam(
        acquisition, body, image,
        _cells(canvas_y_mm - center_y), _cells(canvas_x_mm - center_x), _cells(axes.x_mm - center_x),
        _bin_weights(bin_mm, body.padded), bin_mm,
        _open_counts(bin_mm, acquisition, image).astype(np.float32),
        spread.kernel_transfer(image.cycles / axes.pixel_mm).astype(np.float32),
        water_attenuation_per_mm(acquisition.kvp),
        (acquisition.ring_mm * gain).astype(np.float32), _neighbour_share(acquisition),
    )  # fmt: skip


def polar_grids(acquisition: Acquisition) -> tuple[PolarGrid, PolarGrid]:
    """Return the grids on which bodies are projected and pictures reconstructed, their matrices made.

    They depend on no patient: whoever has time to spare before `make_beam` may ask for them then.
    """
    spread = PointSpread(acquisition.psf_sigma_mm, acquisition.edge)
    transfer = spread.kernel_transfer(np.arange(0, 0.5, 1 / 1024) / acquisition.pixel_mm)
    passed = np.flatnonzero(transfer * np.arange(len(transfer)) > 4.0)
    # matrices are kept by size and band, so bands come in a few steps
    highest = min(0.5, np.ceil(((passed[-1] + 1) / 1024) * 10) / 10) if len(passed) else 0.5
    body = polar_grid(BODY_PIXELS, n_views=N_BODY_VIEWS)
    image = polar_grid(acquisition.matrix, n_views=N_VIEWS, highest=float(highest))
    _ = body.gather, image.scatter  # made here, not by the threads that share them
    return body, image


def body_density(plane_yx: Float32Array, beam: Beam) -> Float32Array:
    """Return a plane of the working grid (HU) as density relative to water on the projected grid."""
    density: Float32Array = (beam.to_body_x @ (beam.to_body_y @ (plane_yx + np.float32(1000))).T).T
    return density * np.float32(1e-3)


def added_density(added_hu_yx: Float32Array, beam: Beam) -> Float32Array:
    """Return HU above what is there, on the CT's pixels, as density on the projected grid."""
    density: Float32Array = (beam.from_ct @ (beam.from_ct @ added_hu_yx).T).T
    return density * np.float32(1e-3)


def white_quanta(rng: np.random.Generator, beam: Beam) -> Float32Array:
    """Return one slice's own counting noise, normal with SD 1, shape (views, bins)."""
    return rng.standard_normal((N_VIEWS, beam.image.padded), dtype=np.float32)


def error_image(density_yx: Float32Array, beam: Beam, *, own: Float32Array, following: Float32Array) -> Float32Array:
    """Return what noise and artefacts add to one slice, HU, shape (matrix, matrix).

    Parameters
    ----------
    density_yx : ndarray of float32, shape (256, 256)
        Attenuation relative to water of what the rays cross, see `body_density`.
    beam : Beam
        Of the scan.
    own, following : ndarray of float32, shape (views, bins)
        `white_quanta` of this slice and of the next: neighbours share some.

    Returns
    -------
    ndarray of float32, shape (matrix, matrix)
        To be added to the noise-free slice.
    """
    water_mm, dense_mm = _paths_mm(density_yx, beam)
    path = beam.attenuation_per_mm * (water_mm + dense_mm)
    error_mm = _smooth_error_mm(path, water_mm, dense_mm, beam)
    path_fine, error_fine = _on_detector(path, beam), _on_detector(error_mm, beam)
    error_fine += beam.gain_mm
    error_fine *= _fade(beam.image.padded)
    share = np.float32(beam.neighbour_share)
    random = own + share * following
    random /= np.hypot(np.float32(1), share)
    counts = beam.open_counts * _tube_current(path_fine, beam)[:, None] * np.exp(-path_fine)
    error_fine += _noise_mm(counts, random, beam)
    error_fine *= np.float32(1000 / beam.acquisition.pixel_mm)
    return backprojection(error_fine, beam.image, transfer=beam.transfer)


def _neighbour_share(acquisition: Acquisition) -> float:
    """Return the weight c of the next slice's quanta for which neighbours correlate by c / (1 + c2) as they overlap."""
    overlap = max(0.0, 1 - acquisition.increment_mm / acquisition.thickness_mm)
    gap = max(0.0, 1 - acquisition.thickness_mm / acquisition.increment_mm)
    correlation = min(overlap + NEIGHBOUR_CORRELATION * (1 - gap), HIGHEST_CORRELATION)
    return float((1 - np.sqrt(1 - 4 * correlation**2)) / (2 * correlation)) if correlation > 0 else 0.0


def _cells(position_mm: Float64Array) -> sparse.csr_array:
    """Return the matrix that averages a working-grid axis into the projected grid's cells."""
    step = float(position_mm[1] - position_mm[0])
    center = (np.arange(BODY_PIXELS) - (BODY_PIXELS - 1) / 2) * BODY_PIXEL_MM
    overlap = np.minimum(center[:, None] + BODY_PIXEL_MM / 2, position_mm + step / 2) - np.maximum(
        center[:, None] - BODY_PIXEL_MM / 2, position_mm - step / 2
    )
    return sparse.csr_array((np.clip(overlap, 0, None) / BODY_PIXEL_MM).astype(np.float32))


def _bin_weights(bin_mm: Float64Array, n_body_bins: int) -> Float32Array:
    """Return the linear interpolation from the projected grid's bins, shape (body bins, bins)."""
    at = np.clip(bin_mm / BODY_PIXEL_MM + (n_body_bins - 1) / 2, 0, n_body_bins - 1)
    distance = np.abs(at[None, :] - np.arange(n_body_bins)[:, None])
    weights: Float32Array = np.clip(1 - distance, 0, 1).astype(np.float32)
    return weights


def _open_counts(bin_mm: Float64Array, acquisition: Acquisition, image: PolarGrid) -> Float64Array:
    """Return counts per bin without a patient: tube current, voltage, bin area and bow-tie."""
    area_mm2 = acquisition.pixel_mm * acquisition.thickness_mm
    per_view = COUNTS_PER_MAS_MM2 * acquisition.mas * (acquisition.kvp / REFERENCE_KVP) ** COUNTS_BY_KVP / N_VIEWS
    chord = 2 * np.sqrt(np.maximum(BOWTIE_RADIUS_MM**2 - bin_mm**2, 0))
    filter_mm = BOWTIE_SHARE * (2 * BOWTIE_RADIUS_MM - chord)
    counts: Float64Array = per_view * area_mm2 * np.exp(-water_attenuation_per_mm(acquisition.kvp) * filter_mm)
    return counts


def _paths_mm(density_yx: Float32Array, beam: Beam) -> tuple[Float32Array, Float32Array]:
    """Return the path through water-like tissue and the excess of dense matter, mm of water, by body view and bin."""
    dense = np.maximum(density_yx - np.float32(1 + DENSE_FROM_HU / 1000), 0)
    metal = np.maximum(density_yx - np.float32(1 + METAL_FROM_HU / 1000), 0)
    dense += np.float32(METAL_WEIGHT - 1) * metal
    total = line_integrals(density_yx, beam.body)
    total *= np.float32(BODY_PIXEL_MM)
    np.maximum(total, 0, out=total)
    if not dense.any():
        return total, np.zeros_like(total)
    excess = line_integrals(dense, beam.body)
    excess *= np.float32(BODY_PIXEL_MM)
    np.clip(excess, 0, None, out=excess)
    return np.maximum(total - excess, 0), excess


def _smooth_error_mm(path: Float32Array, water_mm: Float32Array, dense_mm: Float32Array, beam: Beam) -> Float32Array:
    """Return what corrections leave of beam hardening, scatter and truncation, as water path by body view and bin."""
    acquisition = beam.acquisition
    a, b, c = (np.float32(value) for value in hardening(acquisition.kvp))
    error = np.float32(acquisition.hardening) * dense_mm * (a + b * water_mm + c * dense_mm)
    np.clip(error, -LARGEST_HARDENING_MM, LARGEST_HARDENING_MM, out=error)
    width = int(SCATTER_WIDTH_MM / BODY_PIXEL_MM)
    around = ndimage.uniform_filter1d(path, width, axis=1, mode="nearest")
    ratio = np.float32(acquisition.scatter) * np.exp(np.clip(path - around, -6, 4))
    error -= (np.log1p(ratio) - np.log1p(np.float32(acquisition.scatter))) / np.float32(beam.attenuation_per_mm)
    error += _truncation_mm(water_mm + dense_mm, acquisition.scan_fov_mm)
    return error


def _truncation_mm(total_mm: Float32Array, scan_fov_mm: float) -> Float32Array | np.float32:
    """Return what extrapolation gets wrong where the body leaves the measured field; 0 when it does not."""
    bin_mm = (np.arange(total_mm.shape[1]) - (total_mm.shape[1] - 1) / 2) * BODY_PIXEL_MM
    inside = np.flatnonzero(np.abs(bin_mm) <= scan_fov_mm / 2)
    if float(total_mm[:, : inside[0]].max(initial=0) + total_mm[:, inside[-1] + 1 :].max(initial=0)) < 1:
        return np.float32(0)
    beyond = np.abs(bin_mm) - np.abs(bin_mm[inside[0]])
    falling = np.where(beyond < ROLL_OFF_MM, np.cos(np.pi / 2 * np.clip(beyond / ROLL_OFF_MM, 0, 1)) ** 2, 0)
    edge = np.where(bin_mm[None, :] < 0, total_mm[:, [inside[0]]], total_mm[:, [inside[-1]]])
    guess = np.minimum(edge * falling, 1e4)
    error: Float32Array = np.where(beyond > 0, guess - total_mm, 0).astype(np.float32)
    return error


def _on_detector(views: Float32Array, beam: Beam) -> Float32Array:
    """Return smooth body views at every detector view and bin."""
    fine = views @ beam.to_bins
    repeat = N_VIEWS // N_BODY_VIEWS
    detector = np.empty((N_VIEWS, fine.shape[1]), dtype=np.float32)
    # after half a turn the next view is the first one, seen from the other side
    following = np.concatenate([fine[1:], fine[:1, ::-1]])
    for step in range(repeat):
        share = np.float32(step / repeat)
        detector[step::repeat] = fine + share * (following - fine)
    return detector


def _fade(n_bins: int) -> Float32Array:
    """Return 1 in the middle of the detector, falling smoothly to 0 at its ends: the transform is periodic."""
    width = max(int(FADE_BINS * n_bins), 1)
    ramp = 0.5 - 0.5 * np.cos(np.pi * (np.arange(width) + 0.5) / width)
    fade = np.ones(n_bins, dtype=np.float32)
    fade[:width], fade[n_bins - width :] = ramp, ramp[::-1]
    return fade


def _tube_current(path: Float32Array, beam: Beam) -> Float32Array:
    """Return each view's tube current over the nominal one: it follows the square root of the widest attenuation."""
    excess = path.max(axis=1) - np.float32(beam.attenuation_per_mm * MODULATION_PATH_MM)
    factor = np.exp(np.float32(0.5 * beam.acquisition.modulation) * excess)
    clipped: Float32Array = np.clip(factor, 1 / HIGHEST_MODULATION, HIGHEST_MODULATION)
    return clipped


def _noise_mm(counts: Float32Array, random: Float32Array, beam: Beam) -> Float32Array:
    """Return the error of the line integral from counting, as water path; starved views are biased and heavy-tailed."""
    relative = np.sqrt(counts + np.float32(ELECTRONIC_COUNTS**2)) / counts
    deviation, relative = _adapted(relative * random, relative, pixel_mm=beam.acquisition.pixel_mm)
    measured = np.maximum(1 + deviation, np.float32(FEWEST_COUNTS) / counts)
    # the logarithm's mean shift is known to the scanner and taken out as long as it is small
    bias = np.minimum(0.5 * relative**2, np.float32(0.05))
    noise: Float32Array = (-np.log(measured) - bias) / np.float32(beam.attenuation_per_mm)
    return noise


def _adapted(deviation: Float32Array, relative: Float32Array, *, pixel_mm: float) -> tuple[Float32Array, Float32Array]:
    """Return readings' relative deviations and their SD after the scanner has smoothed its noisiest rays.

    Only noise is smoothed here: what the filter does to sharpness is a fraction of what starved rays hide.
    """
    share = np.clip((relative - ADAPTED_FROM) / np.float32(ADAPTED_FULLY - ADAPTED_FROM), 0, 1)
    if not share.any():
        return deviation, relative
    n_bins = 2 * max(1, round(0.5 * ADAPTED_WIDTH_MM / pixel_mm)) + 1
    smooth = ndimage.uniform_filter1d(deviation, n_bins, axis=1, mode="nearest")
    smooth = ndimage.uniform_filter1d(smooth, ADAPTED_VIEWS, axis=0, mode="nearest")
    left = np.sqrt((1 - share) ** 2 + share * (2 - share) / np.float32(n_bins * ADAPTED_VIEWS))
    return deviation + share * (smooth - deviation), relative * left
