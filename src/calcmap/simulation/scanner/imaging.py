"""From painted tissues to a CT, slice by slice: breath, beat, slice profile, point spread, table, calcium, noise.

Slices do not depend on each other and each has its own random numbers, so any number of threads gives the same bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage, sparse

from calcmap.core.volume import BoolArray, Float32Array, Float64Array, Int16Array, IntArray
from calcmap.simulation.anatomy.heart import HeartFrame
from calcmap.simulation.calcium.deposits import Deposit, Tissue
from calcmap.simulation.calcium.rendering import Blur, scaled_to_kvp, seen_by_scanner
from calcmap.simulation.scanner.axes import CtAxes
from calcmap.simulation.scanner.motion import (
    HeartMotion,
    ViewTimes,
    deposit_motion,
    draw_view_times,
    heart_motion,
    seen_heart,
)
from calcmap.simulation.scanner.noise import (
    Beam,
    added_density,
    body_density,
    error_image,
    make_beam,
    white_quanta,
)
from calcmap.simulation.scanner.optics import (
    PointSpread,
    gaussian_profile,
    sampling_matrix,
    slice_profile,
    slice_weights,
)
from calcmap.simulation.scanner.sites import Acquisition
from calcmap.simulation.scanner.spectrum import bone_factor, calcium_factor, material_factor
from calcmap.simulation.scanner.table import table_plane

AIR_HU = -1000.0
LOWEST_HU = -1024
HIGHEST_HU = 3071
DENSE_FROM_HU = 100.0
"""Above this, bone mineral or contrast raises HU and follows the tube voltage."""
N_THREADS = 2
LONGEST_MM = 30.0
"""A longer deposit (a lead, a wire) is rendered in pieces of at most this side: its box is mostly empty."""
SLICES_A_TASK = 5
"""Slices that one thread makes in a row: they share the random numbers of their common quanta."""
CONE_BLUR = 0.08
"""Growth of a flat panel's slice thickness per mm from its middle plane: rays there are oblique (our choice)."""


@dataclass(frozen=True, eq=False)
class Scene:
    """What lies in the scanner: the working grid with everything but calcium and devices.

    Parameters
    ----------
    hu_zyx : ndarray of float32
        HU at 120 kVp.
    heart_share_zyx : ndarray of float32
        Share of each voxel inside the labelled heart.
    axes_mm_zyx : tuple of ndarray
        Voxel centres.
    breathing_yx : ndarray of float32
        How far a place moves with the breath: 1 within the ribs, 0 at wall and spine.
    frame : HeartFrame
        Where the heart is.
    back_mm : float
        y of the skin of the back, on the table.
    """

    hu_zyx: Float32Array
    heart_share_zyx: Float32Array
    axes_mm_zyx: tuple[Float64Array, Float64Array, Float64Array]
    breathing_yx: Float32Array
    frame: HeartFrame
    back_mm: float


@dataclass(frozen=True, eq=False)
class Picture:
    """A CT on its grid, and what a label needs to know of each voxel; shape (slices, rows, columns)."""

    ct_hu_zyx: Int16Array
    heart_zyx: BoolArray
    tissue_hu_zyx: Int16Array
    """Without calcium, devices and noise."""
    added_hu_zyx: dict[Tissue, Float32Array]
    """What each kind of deposit adds."""


@dataclass(frozen=True, eq=False)
class _Setup:
    """What all slices of one scan share."""

    scene: Scene
    axes: CtAxes
    acquisition: Acquisition
    times: ViewTimes
    heart: HeartMotion | None
    beam: Beam
    table_yx: Float32Array
    table_density_yx: Float32Array
    added_zyx: Float32Array
    sampling: tuple[tuple[float, sparse.csr_array, sparse.csr_array], ...]
    seeds: IntArray


def take_picture(
    rng: np.random.Generator,
    scene: Scene,
    *,
    deposits: Sequence[Deposit],
    axes: CtAxes,
    acquisition: Acquisition,
    n_threads: int = N_THREADS,
) -> Picture:
    """Return the CT of a scene with its deposits.

    Parameters
    ----------
    rng : Generator
        Of the heart's and the breath's start, the table and the noise.
    scene : Scene
        What lies in the scanner.
    deposits : sequence of Deposit
        Calcium and devices, in patient coordinates.
    axes : CtAxes
        The CT's voxel centres; square pixels, as many rows as columns.
    acquisition : Acquisition
        How the scan is taken.
    n_threads : int
        Has no influence on the result.

    Returns
    -------
    Picture
        The CT, what it shows of tissue and of each kind of deposit, and the heart on its grid.
    """
    times = draw_view_times(rng, z_mm=axes.z_mm, acquisition=acquisition)
    with ThreadPoolExecutor(n_threads) as pool:
        added = _added_by_deposits(scene, deposits, times, axes, acquisition, pool)
        setup = _set_up(rng, scene, times, axes, acquisition, added)
        ct = np.empty(setup.added_zyx.shape, dtype=np.int16)
        tissue, heart = np.empty_like(ct), np.empty(ct.shape, dtype=np.bool_)

        def finish(first: int) -> None:
            quanta = _quanta(setup, first)
            for k in range(first, min(first + SLICES_A_TASK, len(ct))):
                own, quanta = quanta, _quanta(setup, k + 1)
                ct[k], tissue[k], heart[k] = _slice(setup, k, own=own, following=quanta)

        list(pool.map(finish, range(0, len(ct), SLICES_A_TASK)))
    _pad(ct, axes=axes, acquisition=acquisition)
    return Picture(ct, heart, tissue, added)


def scale_bone(hu_zyx: Float32Array, *, kvp: float) -> Float32Array:
    """Return HU with what is denser than soft tissue scaled to the tube voltage."""
    factor = bone_factor(kvp)
    if factor == 1:
        return hu_zyx
    scaled: Float32Array = np.maximum(hu_zyx - np.float32(DENSE_FROM_HU), 0)
    scaled *= np.float32(factor - 1)
    scaled += hu_zyx
    return scaled


def to_hounsfield(hu: Float32Array) -> Int16Array:
    """Return rounded HU within the scanner's range."""
    return np.clip(np.rint(hu), LOWEST_HU, HIGHEST_HU).astype(np.int16)


def _pad(ct_hu_zyx: Int16Array, *, axes: CtAxes, acquisition: Acquisition) -> None:
    """Write the padding value outside the round field of view, in place."""
    if acquisition.padding_hu is None:
        return
    x, y = axes.x_mm - axes.x_mm.mean(), axes.y_mm - axes.y_mm.mean()
    radius = 0.5 * min(axes.x_mm[-1] - axes.x_mm[0], acquisition.scan_fov_mm) + 0.5
    ct_hu_zyx[:, np.hypot(x[None, :], y[:, None]) > radius] = acquisition.padding_hu


def _set_up(
    rng: np.random.Generator,
    scene: Scene,
    times: ViewTimes,
    axes: CtAxes,
    acquisition: Acquisition,
    added: dict[Tissue, Float32Array],
) -> _Setup:
    z, y, x = scene.axes_mm_zyx
    scene = Scene(scale_bone(scene.hu_zyx, kvp=acquisition.kvp), scene.heart_share_zyx, scene.axes_mm_zyx,
                  scene.breathing_yx, scene.frame, scene.back_mm)  # fmt: skip
    profile = slice_weights(z, z, thickness_mm=acquisition.thickness_mm)
    heart = heart_motion(scene.hu_zyx, scene.heart_share_zyx, axes_mm_zyx=scene.axes_mm_zyx, profile=profile,
                         times=times, frame=scene.frame)  # fmt: skip
    beam = make_beam(rng, acquisition, axes=axes, canvas_y_mm=y, canvas_x_mm=x)
    table = table_plane(rng, axes=axes, back_mm=scene.back_mm, table=acquisition.table,
                        blur_mm=acquisition.psf_sigma_mm)  # fmt: skip
    sampling = tuple(
        (weight, sampling_matrix(axes.y_mm, y, sigma_mm=sigma), sampling_matrix(axes.x_mm, x, sigma_mm=sigma))
        for weight, sigma in PointSpread(acquisition.psf_sigma_mm, acquisition.edge).parts()
    )
    total = np.zeros((len(axes.z_mm), len(axes.y_mm), len(axes.x_mm)), dtype=np.float32)
    for field_zyx in added.values():
        total += field_zyx
    seeds = rng.integers(0, 2**63, len(axes.z_mm) + 1)
    return _Setup(scene, axes, acquisition, times, heart, beam, table, added_density(table - np.float32(AIR_HU), beam),
                  total, sampling, seeds)  # fmt: skip


def _added_by_deposits(
    scene: Scene,
    deposits: Sequence[Deposit],
    times: ViewTimes,
    axes: CtAxes,
    acquisition: Acquisition,
    pool: ThreadPoolExecutor,
) -> dict[Tissue, Float32Array]:
    """Return what the deposits of each kind add to every voxel."""
    shape = (len(axes.z_mm), len(axes.y_mm), len(axes.x_mm))
    added = {tissue: np.zeros(shape, dtype=np.float32) for tissue in {deposit.tissue for deposit in deposits}}

    def render(piece: tuple[Deposit, Float64Array]) -> tuple[tuple[slice, slice, slice], Float32Array] | None:
        deposit, whole_center_mm = piece
        center = deposit.parts_mm.mean(axis=0)
        motion = None
        if times.has_motion:
            own = replace(times, breath_mm_zy=times.breath_mm_zy * _breathing_at(scene, center))
            motion = deposit_motion(own, center_mm=whole_center_mm, share=deposit.motion_share, frame=scene.frame)
        blur = Blur(acquisition.psf_sigma_mm, _thickness_mm(acquisition, axes, float(center[2])),
                    edge=acquisition.edge, motion=motion)  # fmt: skip
        factor = material_factor(deposit.material, acquisition.kvp)
        return seen_by_scanner(scaled_to_kvp(deposit, factor=factor), axes=axes, blur=blur)

    pieces = [(piece, deposit.parts_mm.mean(axis=0)) for deposit in deposits for piece in _pieces(deposit)]
    for (deposit, _), found in zip(pieces, pool.map(render, pieces), strict=True):
        if found is not None:
            added[deposit.tissue][found[0]] += found[1]
    return added


def _pieces(deposit: Deposit) -> list[Deposit]:
    """Return a deposit, or what lies of it in each cube of side `LONGEST_MM`."""
    low = deposit.parts_mm.min(axis=0)
    if np.ptp(deposit.parts_mm, axis=0).max() <= LONGEST_MM:
        return [deposit]
    cubes, cube_of_part = np.unique(np.floor((deposit.parts_mm - low) / LONGEST_MM), axis=0, return_inverse=True)
    mine = [cube_of_part.ravel() == k for k in range(len(cubes))]
    return [replace(deposit, parts_mm=deposit.parts_mm[m], added_hu=deposit.added_hu[m]) for m in mine]


def _breathing_at(scene: Scene, point_mm: Float64Array) -> float:
    """Return how far a place (x, y, z) moves with the breath: what lies on the skin or in the wall does not."""
    _, y, x = scene.axes_mm_zyx
    row = np.clip(np.searchsorted(y, point_mm[1]), 0, len(y) - 1)
    column = np.clip(np.searchsorted(x, point_mm[0]), 0, len(x) - 1)
    return float(scene.breathing_yx[row, column])


def _thickness_mm(acquisition: Acquisition, axes: CtAxes, z_mm: float) -> float:
    """Return the slice thickness at a height: a flat panel's grows towards the ends of its cone."""
    if not acquisition.is_flat_panel:
        return acquisition.thickness_mm
    middle = 0.5 * (axes.z_mm[0] + axes.z_mm[-1])
    return float(np.hypot(acquisition.thickness_mm, CONE_BLUR * abs(z_mm - middle)))


def _quanta(setup: _Setup, k: int) -> Float32Array:
    return white_quanta(np.random.default_rng(int(setup.seeds[k])), setup.beam)


def _slice(
    setup: _Setup, k: int, *, own: Float32Array, following: Float32Array
) -> tuple[Int16Array, Int16Array, BoolArray]:
    """Return one slice's CT, its HU without calcium and noise, and its heart."""
    plane, share = _tissue_planes(setup, k)
    tissue = _sampled(setup, plane)
    np.maximum(tissue, setup.table_yx, out=tissue)
    heart = _sampled_share(setup, share) >= 0.5
    density = body_density(plane, setup.beam) + setup.table_density_yx
    hu = tissue
    if setup.added_zyx[k].any():
        density += added_density(setup.added_zyx[k], setup.beam)
        hu = tissue + setup.added_zyx[k]
    hu = hu + error_image(density, setup.beam, own=own, following=following)
    return to_hounsfield(hu), to_hounsfield(tissue), heart


def _tissue_planes(setup: _Setup, k: int) -> tuple[Float32Array, Float32Array]:
    """Return a slice's HU and heart share on the working grid, with breath and beat."""
    scene, z_mm = setup.scene, float(setup.axes.z_mm[k])
    breath = setup.times.breath_mm_zy[k].reshape(-1, 2)
    thickness = _thickness_mm(setup.acquisition, setup.axes, z_mm)
    still = slice_weights(np.array([z_mm]), scene.axes_mm_zyx[0], thickness_mm=thickness)[0]
    moved = slice_weights(z_mm - breath[:, 0], scene.axes_mm_zyx[0], thickness_mm=thickness).mean(axis=0)
    plane = _mean_plane(scene.hu_zyx, moved)
    share = _mean_plane(scene.heart_share_zyx, moved)
    source_mm = float(z_mm - breath[:, 0].mean())
    if setup.heart is not None and setup.heart.reaches(source_mm):
        _, rows, columns = setup.heart.box
        change, share_change = seen_heart(setup.heart, k, z_mm=source_mm)
        plane[rows, columns] += change
        share[rows, columns] += share_change
    if np.abs(breath).max() > 0:
        depth = float(breath[:, 1].mean()) / float(scene.axes_mm_zyx[1][1] - scene.axes_mm_zyx[1][0])
        rest = _mean_plane(scene.hu_zyx, still)
        plane = rest + scene.breathing_yx * (_shifted_rows(plane, depth) - rest)
        share = _shifted_rows(share, depth)
    return plane, share


def _mean_plane(field_zyx: Float32Array, weights: Float64Array) -> Float32Array:
    plane = np.zeros(field_zyx.shape[1:], dtype=np.float32)
    for j in np.flatnonzero(weights):
        plane += np.float32(weights[j]) * field_zyx[j]
    return plane


def _shifted_rows(plane_yx: Float32Array, rows: float) -> Float32Array:
    """Return a plane moved to the back by some rows; the border, far from what moves, wraps."""
    whole = int(np.floor(rows))
    share = np.float32(rows - whole)
    base = np.roll(plane_yx, whole, axis=0)
    shifted: Float32Array = base + share * (np.roll(base, 1, axis=0) - base)
    return shifted


def _sampled(setup: _Setup, plane_yx: Float32Array) -> Float32Array:
    """Return a plane of the working grid blurred and sampled on the CT's pixels; air beyond the grid."""
    above_air = plane_yx - np.float32(AIR_HU)
    seen = np.full((len(setup.axes.y_mm), len(setup.axes.x_mm)), AIR_HU, dtype=np.float32)
    for weight, along_y, along_x in setup.sampling:
        seen += np.float32(weight) * (along_x @ (along_y @ above_air).T).T
    return seen


def _sampled_share(setup: _Setup, share_yx: Float32Array) -> Float32Array:
    if not share_yx.any():
        return np.zeros((len(setup.axes.y_mm), len(setup.axes.x_mm)), dtype=np.float32)
    _, along_y, along_x = setup.sampling[0]
    sampled: Float32Array = (along_x @ (along_y @ share_yx).T).T
    return sampled


def one_contour_a_slice(heart_zyx: BoolArray) -> BoolArray:
    """Return the mask with the largest piece of each slice only: readers draw one outline."""
    kept = np.zeros_like(heart_zyx)
    for k in np.flatnonzero(heart_zyx.any(axis=(1, 2))):
        pieces, _ = ndimage.label(heart_zyx[k])
        kept[k] = pieces == 1 + int(np.argmax(np.bincount(pieces.ravel())[1:]))
    return kept


__all__ = ["CtAxes", "Picture", "Scene", "calcium_factor", "gaussian_profile", "one_contour_a_slice", "scale_bone",
           "slice_profile", "take_picture", "to_hounsfield"]  # fmt: skip
