"""How a nuclear camera sees the tracer: attenuation, blur, counting noise, and the CT's map for its correction."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy import ndimage, sparse

from calcmap.core.volume import Float32Array, Float64Array, Grid, Volume, grid_from_spacing
from calcmap.simulation.anatomy.thorax import Anatomy
from calcmap.simulation.nuclear.perfusion import Territory, tracer_uptake

WATER_PER_MM = 0.0153
"""Linear attenuation of water at 140 keV (NIST XCOM: 0.153 per cm)."""
BONE_SLOPE = 0.6
"""Attenuation that a HU above water adds at 140 keV, over what one below water takes away (our choice: bilinear)."""
AIR_HU = -1000.0
FWHM_PER_SIGMA = 2.3548
ARC_DEGREES = (-45.0, 135.0)
"""From right anterior over the front to left posterior: where cameras look from at a heart."""
CORRECTION_ANGLES = 12


@dataclass(frozen=True)
class NuclearCamera:
    """Resolution and statistics of a nuclear camera."""

    pixel_mm: float
    slice_mm: float
    matrix: int
    fwhm_mm: float
    """Of the picture, filter included."""
    reach_mm: float
    """How far the picture goes below and above the heart's middle."""
    counts: float
    """Expected in a voxel of healthy wall, before the filter."""
    is_attenuated: bool = True
    """Whether attenuation acts on the picture; coincidences of PET are taken as corrected perfectly."""
    filter_share: float = 0.6
    """Part of the blur's variance that the filter adds after counting: it makes the noise coarse."""


SPECT = NuclearCamera(pixel_mm=6.4, slice_mm=6.4, matrix=64, fwhm_mm=12.0, reach_mm=110.0, counts=90.0)
PET = NuclearCamera(pixel_mm=3.27, slice_mm=3.27, matrix=128, fwhm_mm=7.5, reach_mm=77.0, counts=60.0,
                    is_attenuated=False)  # fmt: skip
"""64 x 64 pixels of 6.4 mm and 12 mm FWHM are usual for SPECT, about 47 slices of 3.27 mm for one family of PET; the
rest is our choice."""


@dataclass(frozen=True, eq=False)
class Scene:
    """A patient before a nuclear camera, on the camera's grid."""

    grid: Grid
    uptake_zyx: Float32Array
    """Tracer, 1 in the healthy wall of the left ventricle."""
    true_map_zyx: Float32Array
    """Attenuation per mm where the body lies during the nuclear scan."""
    ct_map_zyx: Float32Array
    """The same where the CT saw it."""

    @functools.cached_property
    def transmissions(self) -> tuple[Float32Array, Float32Array]:
        """Mean transmission through the true and the CT's map, which stand for loss and correction."""
        both = mean_transmission(np.concatenate([self.true_map_zyx, self.ct_map_zyx]),
                                 pixel_mm=self.grid.spacing_mm_zyx[1])  # fmt: skip
        return both[: len(both) // 2], both[len(both) // 2 :]


def nuclear_grid(ct: Volume, *, heart_mm: tuple[float, float, float], camera: NuclearCamera) -> Grid:
    """Return the camera's grid: the CT's middle across, the heart's along the patient."""
    _, ny, nx = ct.grid.shape_zyx
    middle_x, middle_y, _ = ct.grid.lps_mm((0, (ny - 1) / 2, (nx - 1) / 2))
    n_slices = 2 * round(camera.reach_mm / camera.slice_mm)
    half = 0.5 * (camera.matrix - 1) * camera.pixel_mm
    origin = (middle_x - half, middle_y - half, heart_mm[2] - 0.5 * (n_slices - 1) * camera.slice_mm)
    spacing = (camera.slice_mm, camera.pixel_mm, camera.pixel_mm)
    return grid_from_spacing((n_slices, camera.matrix, camera.matrix), spacing, origin_lps_mm=origin)


def set_scene(
    anatomy: Anatomy,
    ct: Volume,
    grid: Grid,
    *,
    tpd_percent: float,
    territory: Territory,
    shift_mm: tuple[float, float, float],
) -> Scene:
    """Return tracer and attenuation of a patient who lies ``shift_mm`` (x, y, z) from where the CT saw them.

    Parameters
    ----------
    anatomy : Anatomy
        Whose heart.
    ct : Volume
        The patient's attenuation CT, unrotated.
    grid : Grid
        Of the camera.
    tpd_percent : float
        Size of the perfusion defect.
    territory : Territory
        Its place.
    shift_mm : tuple of float
        Misregistration.

    Returns
    -------
    Scene
        All on ``grid``.
    """
    axes = grid_axes_mm(grid)
    moved = (axes[0] - shift_mm[2], axes[1] - shift_mm[1], axes[2] - shift_mm[0])
    hu = averaged_hu(ct, moved)
    model = anatomy.deformation.model_grid(moved)
    uptake = tracer_uptake(anatomy, model, hu, tpd_percent=tpd_percent, territory=territory)
    return Scene(grid, uptake, attenuation_per_mm(hu), attenuation_per_mm(averaged_hu(ct, axes)))


def grid_axes_mm(grid: Grid) -> tuple[Float64Array, Float64Array, Float64Array]:
    """Return z, y and x of the voxel centres of an unrotated grid, mm."""
    x, y, z = grid.lps_mm((0, 0, 0))
    starts = zip((z, y, x), grid.spacing_mm_zyx, grid.shape_zyx, strict=True)
    axes = [first + step * np.arange(n, dtype=np.float64) for first, step, n in starts]
    return axes[0], axes[1], axes[2]


def averaged_hu(ct: Volume, axes_mm_zyx: tuple[Float64Array, Float64Array, Float64Array]) -> Float32Array:
    """Return a CT's HU averaged over coarse voxels; its last slice goes on beyond its ends, beside it is air."""
    along_z, along_y, along_x = (
        _averaging(targets, sources) for targets, sources in zip(axes_mm_zyx, grid_axes_mm(ct.grid), strict=True)
    )
    used = np.unique(along_z.nonzero()[1])
    planes = np.stack(
        [along_x @ (along_y @ np.maximum(ct.ct_hu_zyx[k], AIR_HU).astype(np.float32) - AIR_HU).T for k in used]
    )
    averaged = (along_z[:, used] @ planes.reshape(len(used), -1)).reshape(-1, *planes.shape[1:])
    hu: Float32Array = (averaged.transpose(0, 2, 1) + np.float32(AIR_HU)).astype(np.float32)
    return hu


def _averaging(targets_mm: Float64Array, sources_mm: Float64Array) -> sparse.csr_array:
    """Return the matrix of triangular weights as wide as the coarser of both steps."""
    width = max(targets_mm[1] - targets_mm[0], sources_mm[1] - sources_mm[0])
    reach = np.clip(targets_mm, sources_mm[0], sources_mm[-1])
    weights = np.clip(1 - np.abs(reach[:, None] - sources_mm[None, :]) / width, 0, None)
    weights /= weights.sum(axis=1, keepdims=True)
    return sparse.csr_array(weights.astype(np.float32))


def attenuation_per_mm(hu_zyx: Float32Array) -> Float32Array:
    """Return linear attenuation at 140 keV by HU: straight from air to water, flatter above."""
    below, above = np.minimum(hu_zyx, 0), np.maximum(hu_zyx, 0)
    per_mm: Float32Array = np.maximum(1 + (below + np.float32(BONE_SLOPE) * above) / np.float32(1000), 0)
    per_mm *= np.float32(WATER_PER_MM)
    return per_mm


def picture(scene: Scene, *, camera: NuclearCamera, is_corrected: bool, rng: np.random.Generator) -> Float32Array:
    """Return the reconstructed picture, 1 in the healthy wall but for blur and noise.

    Attenuation and its correction act voxel by voxel, as the mean transmission over the camera's arc: first order, but
    enough for a cold inferior wall without correction, and for the false defects of a map in the wrong place.

    Parameters
    ----------
    scene : Scene
        What is looked at.
    camera : NuclearCamera
        How.
    is_corrected : bool
        Whether the CT's map corrects the attenuation.
    rng : Generator
        Of the counts.

    Returns
    -------
    ndarray of float32
        Non-negative, on the scene's grid.
    """
    seen = scene.uptake_zyx
    if camera.is_attenuated:
        true, used = scene.transmissions
        seen = seen * true / (used if is_corrected else _heart_level(true))
    sigma_mm = camera.fwhm_mm / FWHM_PER_SIGMA
    steps = np.array([camera.slice_mm, camera.pixel_mm, camera.pixel_mm])
    before = sigma_mm * np.sqrt(1 - camera.filter_share) / steps
    after = sigma_mm * np.sqrt(camera.filter_share) / steps
    expected = np.maximum(ndimage.gaussian_filter(seen, before), 0)
    counted = rng.poisson(expected * camera.counts).astype(np.float32) / np.float32(camera.counts)
    filtered: Float32Array = ndimage.gaussian_filter(counted, after)
    return filtered


def _heart_level(transmission_zyx: Float32Array) -> np.float32:
    """Return the transmission at the grid's middle, so that pictures without correction have the same scale."""
    nz, ny, nx = (n // 2 for n in transmission_zyx.shape)
    return np.float32(transmission_zyx[nz - 2 : nz + 2, ny - 4 : ny + 4, nx - 4 : nx + 4].mean())


def mean_transmission(map_zyx: Float32Array, *, pixel_mm: float, n_angles: int = CORRECTION_ANGLES) -> Float32Array:
    """Return the share of photons that leave the body from each voxel, averaged over the camera's arc."""
    total = np.zeros(map_zyx.shape, dtype=np.float32)
    for angle, seen in _views(map_zyx, n_angles):
        back = _turn(map_zyx.shape[1], -angle)
        # less than all is turned back, not what is left: beyond the turned grid nothing is lost
        total += _turned(1 - _transmission(seen, pixel_mm), back)
    mean: Float32Array = np.maximum(1 - total / n_angles, np.float32(1e-3))
    return mean


def projections(
    scene: Scene, *, camera: NuclearCamera, n_views: int, counts: float, rng: np.random.Generator
) -> Float32Array:
    """Return the camera's raw views: attenuated sums along the line of sight, blurred, with counting noise.

    Parameters
    ----------
    scene : Scene
        What is looked at.
    camera : NuclearCamera
        How.
    n_views : int
        Over the camera's arc.
    counts : float
        Expected in the brightest pixel.
    rng : Generator
        Of the counts.

    Returns
    -------
    ndarray of float32, shape (views, rows, columns)
        Rows run from head to feet.
    """
    n_slices, size, _ = scene.uptake_zyx.shape
    views = np.empty((n_views, n_slices, size), dtype=np.float32)
    turned_maps = _views(scene.true_map_zyx, n_views)
    for index, ((_, uptake), (_, seen_map)) in enumerate(
        zip(_views(scene.uptake_zyx, n_views), turned_maps, strict=True)
    ):
        views[index] = (uptake * _transmission(seen_map, camera.pixel_mm)).sum(axis=1)
    sigma = camera.fwhm_mm / FWHM_PER_SIGMA / camera.pixel_mm
    blurred = np.maximum(ndimage.gaussian_filter(views, (0, sigma, sigma)), 0)[:, ::-1]
    counted: Float32Array = rng.poisson(blurred * (counts / blurred.max())).astype(np.float32)
    return counted


def _views(field_zyx: Float32Array, n_views: int) -> Iterator[tuple[float, Float32Array]]:
    """Yield the angle (radians) and the field turned so that rows lead away from the camera."""
    first, last = np.radians(ARC_DEGREES)
    for angle in first + (last - first) * np.arange(n_views) / n_views:
        yield float(angle), _turned(field_zyx, _turn(field_zyx.shape[1], float(angle)))


def _transmission(turned_map_zyx: Float32Array, pixel_mm: float) -> Float32Array:
    """Return what reaches the camera from each voxel when rows lead away from it."""
    depth = np.cumsum(turned_map_zyx, axis=1) - np.float32(0.5) * turned_map_zyx
    transmission: Float32Array = np.exp(-np.float32(pixel_mm) * depth)
    return transmission


def _turned(field_zyx: Float32Array, turn: sparse.csr_array) -> Float32Array:
    n_slices = len(field_zyx)
    turned: Float32Array = (turn @ field_zyx.reshape(n_slices, -1).T).T.reshape(field_zyx.shape)
    return turned


@functools.lru_cache(maxsize=128)
def _turn(size: int, angle: float) -> sparse.csr_array:
    """Return the matrix that turns a square plane about its middle, bilinearly; what comes from outside is 0."""
    middle = 0.5 * (size - 1)
    s, u = np.meshgrid(np.arange(size) - middle, np.arange(size) - middle, indexing="ij")
    y = (u * np.sin(angle) + s * np.cos(angle) + middle).ravel()
    x = (u * np.cos(angle) - s * np.sin(angle) + middle).ravel()
    whole_y, whole_x = np.floor(y).astype(int), np.floor(x).astype(int)
    rows, columns, weights = [], [], []
    for dy in (0, 1):
        for dx in (0, 1):
            at_y, at_x = whole_y + dy, whole_x + dx
            inside = np.flatnonzero((at_y >= 0) & (at_y < size) & (at_x >= 0) & (at_x < size))
            rows.append(inside)
            columns.append((at_y * size + at_x)[inside])
            weights.append(((1 - np.abs(y - at_y)) * (1 - np.abs(x - at_x)))[inside])
    entries = (np.concatenate(weights).astype(np.float32), (np.concatenate(rows), np.concatenate(columns)))
    return sparse.csr_array(entries, shape=(size * size, size * size))
