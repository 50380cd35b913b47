"""Heart beat and breath while the gantry turns: where tissue is in each view of each slice.

Reconstruction takes every spatial frequency from the one view that is parallel to it. A slice of a moving heart is,
frequency by frequency, the picture of the moment at which that view was taken: this makes double contours and arcs, not
only blur. A slice uses half a turn, or averages two half turns. In helical scans the next slice comes some tenths of a
second later and sees another phase; a flat panel sees many beats and breaths in every slice.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import fft, ndimage

from calcmap.core.volume import Float32Array, Float64Array
from calcmap.simulation.anatomy.heart import HeartFrame
from calcmap.simulation.scanner.sites import Acquisition

N_VIEWS = 8
"""Moments that represent half a turn: 25-50 ms apart."""
N_FLAT_PANEL_MOMENTS = 6
"""Moments averaged in each view of a flat panel, which turns for many beats."""
RCA_SPEED_MM_S = 69.5
"""Mean in-plane speed of the right coronary artery (FACTS 8.4); other places move by their share of it."""
BEAT_PHASES = (0.0, 0.06, 0.18, 0.33, 0.40, 0.46, 0.56, 0.64, 0.80, 0.90, 1.0)
BEAT_INWARD = (0.0, 0.05, 0.60, 1.0, 1.0, 0.80, 0.36, 0.27, 0.25, 0.06, 0.0)
"""Contraction by phase after the R wave: systole, a short rest, filling, diastasis, atrial kick (shape: our choice)."""
BEAT_SIDEWAYS = (0.0, 0.05, 0.30, 0.15, 0.0, -0.12, -0.12, -0.05, 0.0, 0.06, 0.0)
"""Twist across the contraction: vessels come back on another track."""
LONG_AXIS = np.array([0.70, -0.52, -0.49])
"""From the valve plane to the apex in the reference heart; the base moves this way in systole, the apex stays."""
VENTRICLE_CENTER_MM = np.array([10.0, -5.0, -14.0])
APEX_TO_BASE_MM = 80.0
GATED_PHASE = 0.71
PASSING = (np.arange(5) + 0.5) / 5 - 0.5
"""Moments of a slice's passage through the beam, over the passage's duration."""
EDGE_SD_MM = 5.0
"""Width over which motion fades outside the heart."""
PAD_MM = 24.0
"""How far around the heart its streaks are followed; they fade out over `FADE_MM` at the border."""
FADE_MM = 12.0
BREATH_DEPTH_SHARE = 0.25
"""Motion to the front over motion to the feet in shallow breathing (our choice)."""


@dataclass(frozen=True, eq=False)
class ViewTimes:
    """State of heart and breath in each view of each slice.

    Parameters
    ----------
    start_rad : ndarray, shape (slices,)
        Angle of the first view of each slice, 0 to pi.
    inward, sideways : ndarray, shape (slices, turns, views)
        Position on the beat's curve; 1 is the farthest contraction.
    breath_mm_zy : ndarray, shape (slices, turns, views, 2)
        Shift of the body's inside to the head and to the back.
    amplitude_mm : float
        Path from end-diastole to end-systole of the right coronary artery; 0 for a still heart.
    """

    start_rad: Float64Array
    inward: Float64Array
    sideways: Float64Array
    breath_mm_zy: Float64Array
    amplitude_mm: float

    @property
    def has_motion(self) -> bool:
        """Whether anything moves."""
        return self.amplitude_mm > 0 or bool(np.abs(self.breath_mm_zy).max() > 0)


@dataclass(frozen=True, eq=False)
class DepositMotion:
    """What a deposit does in each view: displacement (x, y, z; mm), shape (slices, turns, views, 3)."""

    start_rad: Float64Array
    displacement_mm: Float64Array


def draw_view_times(rng: np.random.Generator, *, z_mm: Float64Array, acquisition: Acquisition) -> ViewTimes:
    """Return the moments at which each slice is seen, from a random start of heart and breath."""
    moments, start = _moments_s(acquisition)
    middle = np.zeros(len(z_mm)) if acquisition.is_flat_panel else (z_mm - z_mm[0]) / acquisition.table_mm_s
    middle = middle * rng.choice([-1.0, 1.0])
    time_s = middle[:, None, None] + moments
    passing_s = PASSING * _passage_s(acquisition)
    start_rad = (2 * np.pi * (middle + start) / acquisition.rotation_s + rng.uniform(0, np.pi)) % np.pi
    per_s = acquisition.heart_rate_bpm / 60
    phase = _gated_phase(time_s * per_s + rng.uniform(), acquisition)[..., None] + passing_s * per_s
    inward, sideways = (np.interp(phase % 1, BEAT_PHASES, curve).mean(-1) for curve in (BEAT_INWARD, BEAT_SIDEWAYS))
    breath = _breath_mm_zy(rng, time_s[..., None] + passing_s, acquisition)
    return ViewTimes(start_rad, inward, sideways, breath, beat_amplitude_mm(acquisition))


def _passage_s(acquisition: Acquisition) -> float:
    """Return how long the table takes through one slice; 0 where it stands still.

    A helical slice is put together from detector rows that cross its thickness one after the other, so each of its
    views is a mean over this time, and slices that overlap share part of it. Means of positions stand for it.
    """
    if acquisition.is_flat_panel or acquisition.is_gated:
        return 0.0
    return acquisition.thickness_mm / acquisition.table_mm_s


def _moments_s(acquisition: Acquisition) -> tuple[Float64Array, float]:
    """Return when a slice's views are taken, shape (turns, views), and the first moment, from the slice's middle.

    A flat panel sees each direction twice a turn, each time for about a beat: the moments share out over both.
    """
    half_turn = 0.5 * acquisition.rotation_s
    moments_s: Float64Array
    if acquisition.is_flat_panel:
        moment, view = np.mgrid[:N_FLAT_PANEL_MOMENTS, :N_VIEWS].astype(np.float64)
        within = (moment // 2 + 0.5) / (N_FLAT_PANEL_MOMENTS // 2)
        moments_s = half_turn * ((view + within) / N_VIEWS + moment % 2 - 1)
        return moments_s, -half_turn
    turns = 1 if acquisition.window_turns < 0.75 else 2
    moments_s = half_turn * ((np.arange(turns * N_VIEWS) + 0.5) / N_VIEWS - 0.5 * turns)
    return moments_s.reshape(turns, N_VIEWS), -0.5 * turns * half_turn


def beat_amplitude_mm(acquisition: Acquisition) -> float:
    """Return the right coronary's path from end-diastole to end-systole that gives its published mean speed."""
    fine = np.linspace(0, 1, 2001)
    steps = np.hypot(np.diff(np.interp(fine, BEAT_PHASES, BEAT_INWARD)),
                     np.diff(np.interp(fine, BEAT_PHASES, BEAT_SIDEWAYS)))  # fmt: skip
    path_mm = acquisition.beat_share * RCA_SPEED_MM_S * 60 / max(acquisition.heart_rate_bpm, 1.0)
    return float(path_mm / steps.sum())


def _gated_phase(phase: Float64Array, acquisition: Acquisition) -> Float64Array:
    """Return phases as they are, or for a gated scan moved into diastasis, where each slice's window is centred."""
    if not acquisition.is_gated:
        return phase
    moved: Float64Array = phase - phase.mean(axis=(1, 2), keepdims=True) + GATED_PHASE
    return moved


def _breath_mm_zy(rng: np.random.Generator, time_s: Float64Array, acquisition: Acquisition) -> Float64Array:
    """Return the shift of the inside of the body, a mean over the times' last axis, shape (slices, turns, views, 2).

    Most of a breath is spent near its end.
    """
    if acquisition.breath_mm <= 0:
        return np.zeros((*time_s.shape[:-1], 2))
    cycle = (np.sin(np.pi * (time_s / acquisition.breath_s + rng.uniform())) ** 4).mean(axis=-1)
    down = -acquisition.breath_mm * (cycle - cycle.mean())
    return np.stack([down, BREATH_DEPTH_SHARE * down], axis=-1)


def motion_vectors(points_mm: Float64Array, *, frame: HeartFrame) -> tuple[Float64Array, Float64Array]:
    """Return how places of the heart move in systole, relative to the right coronary's path.

    Parameters
    ----------
    points_mm : ndarray, shape (n, 3)
        Places (x, y, z).
    frame : HeartFrame
        Where the heart is.

    Returns
    -------
    tuple of ndarray, each of shape (n, 3)
        Contraction and sideways vectors. The base comes down to the apex, most on the right; walls move inwards; the
        apex and the great vessels move little.
    """
    reference = (points_mm - frame.center_mm) @ np.linalg.inv(frame.matrix).T
    offset = reference - VENTRICLE_CENTER_MM
    along = offset @ LONG_AXIS
    base = np.clip(0.5 - along / APEX_TO_BASE_MM, 0.0, 1.0)
    rightward = np.clip(0.62 - reference[:, 0] / 90, 0.2, 1.0)
    across = offset - along[:, None] * LONG_AXIS
    distance = np.linalg.norm(across, axis=1, keepdims=True)
    above = np.clip(1.0 - (reference[:, 2] - 30) / 60, 0.3, 1.0)
    inward = -0.28 * across / np.maximum(distance, 25.0)
    moved = (base * rightward * above)[:, None] * LONG_AXIS + above[:, None] * inward
    twist = 0.5 * np.cross(LONG_AXIS, across) / np.maximum(distance, 25.0)
    turn = np.linalg.svd(frame.matrix)
    rotation = turn.U @ turn.Vh
    return moved @ rotation.T, (above[:, None] * twist) @ rotation.T


def deposit_motion(times: ViewTimes, *, center_mm: Float64Array, share: float, frame: HeartFrame) -> DepositMotion:
    """Return what a deposit does: its vessel's share of the right coronary's path, along the motion of its place."""
    moved, twist = (vectors[0] for vectors in motion_vectors(center_mm[None, :], frame=frame))
    direction = moved / max(float(np.linalg.norm(moved)), 1e-6)
    across = twist - (twist @ direction) * direction
    across /= max(float(np.linalg.norm(across)), 1e-6)
    path = times.inward[..., None] * direction + times.sideways[..., None] * across
    displacement = share * times.amplitude_mm * path
    displacement[..., 2] += times.breath_mm_zy[..., 0]
    displacement[..., 1] += times.breath_mm_zy[..., 1]
    return DepositMotion(times.start_rad, displacement)


@dataclass(frozen=True, eq=False)
class HeartMotion:
    """The part of the canvas that beats, ready to be seen slice by slice."""

    box: tuple[slice, slice, slice]
    axes_mm_zyx: tuple[Float64Array, Float64Array, Float64Array]
    hu_zyx: Float32Array
    """The box's HU, already averaged over the slice profile at every height."""
    share_zyx: Float32Array
    fade_zyx: Float32Array
    """Share of the motion that a place takes part in: 1 in the heart, 0 far from it."""
    times: ViewTimes
    frame: HeartFrame
    angle_rad: Float64Array
    """Angle of each frequency of the padded box, 0 to pi."""
    padded_yx: tuple[int, int]

    def reaches(self, z_mm: float) -> bool:
        """Tell whether anything at a height may move."""
        return bool(self.axes_mm_zyx[0][0] <= z_mm <= self.axes_mm_zyx[0][-1])


def heart_motion(
    hu_zyx: Float32Array,
    share_zyx: Float32Array,
    *,
    axes_mm_zyx: tuple[Float64Array, Float64Array, Float64Array],
    profile: Float64Array,
    times: ViewTimes,
    frame: HeartFrame,
) -> HeartMotion | None:
    """Return the beating part of a canvas; ``None`` for a still heart or none.

    Parameters
    ----------
    hu_zyx, share_zyx : ndarray of float32
        Canvas, and the heart's share of its voxels.
    axes_mm_zyx : tuple of ndarray
        The canvas's voxel centres.
    profile : ndarray, shape (planes, planes)
        Weights of the canvas's planes in a slice at the height of each.
    times : ViewTimes
        The scan's moments.
    frame : HeartFrame
        Where the heart is.

    Returns
    -------
    HeartMotion or None
        What moves, and how far at each of the scan's moments.
    """  # fmt: skip
    found = ndimage.find_objects((share_zyx > 0.5).astype(np.uint8))
    if times.amplitude_mm <= 0 or not found:
        return None
    steps = [float(axis[1] - axis[0]) for axis in axes_mm_zyx]
    box = tuple(
        slice(max(part.start - int(PAD_MM / step), 0), min(part.stop + int(PAD_MM / step), n))
        for part, step, n in zip(found[0], steps, hu_zyx.shape, strict=True)
    )
    fade = ndimage.gaussian_filter(share_zyx[box], [EDGE_SD_MM / step for step in steps])
    weights = profile[box[0], box[0]]
    weights = (weights / np.maximum(weights.sum(axis=1, keepdims=True), 1e-9)).astype(np.float32)
    shape = fade.shape
    rows, columns = (fft.next_fast_len(n, real=True) for n in shape[1:])
    along_y, along_x = fft.fftfreq(rows, steps[1])[:, None], fft.rfftfreq(columns, steps[2])[None, :]
    return HeartMotion(
        (box[0], box[1], box[2]), tuple(axis[part] for axis, part in zip(axes_mm_zyx, box, strict=True)),  # type: ignore[arg-type]
        (weights @ hu_zyx[box].reshape(shape[0], -1)).reshape(shape),
        (weights @ share_zyx[box].reshape(shape[0], -1)).reshape(shape),
        np.clip(1.5 * fade, 0, 1), times, frame, np.arctan2(along_y, along_x) % np.pi, (rows, columns),
    )  # fmt: skip


def seen_heart(motion: HeartMotion, k: int, *, z_mm: float) -> tuple[Float32Array, Float32Array]:
    """Return what the views of slice ``k`` change in the box: HU, and the label's share at the mean position.

    Both are differences to the heart at rest, at the height ``z_mm`` that breathing has brought into the slice.
    """
    times = motion.times
    z_axis, y_axis, x_axis = motion.axes_mm_zyx
    steps = np.array([axis[1] - axis[0] for axis in motion.axes_mm_zyx])
    height = float(np.clip((z_mm - z_axis[0]) / steps[0], 0, len(z_axis) - 1))
    y, x = np.meshgrid(y_axis, x_axis, indexing="ij")
    points = np.stack([x.ravel(), y.ravel(), np.full(x.size, z_mm)], axis=1)
    fade = motion.fade_zyx[round(height)].ravel()[:, None] * times.amplitude_mm
    moved, twist = (
        (vectors * fade)[:, ::-1].T.reshape(3, *x.shape) / steps[:, None, None]
        for vectors in motion_vectors(points, frame=motion.frame)
    )
    rest = np.stack(np.broadcast_arrays(height, *np.mgrid[: x.shape[0], : x.shape[1]])).astype(np.float64)

    def warped(field: Float32Array, inward: float, sideways: float) -> Float32Array:
        at = rest - inward * moved - sideways * twist
        plane: Float32Array = ndimage.map_coordinates(field, at, order=1, mode="nearest", output=np.float32)
        return plane

    inward, sideways = times.inward[k], times.sideways[k]
    views = np.zeros((inward.shape[1], *x.shape), dtype=np.float32)
    for turn in range(len(inward)):
        for view in range(inward.shape[1]):
            views[view] += warped(motion.hu_zyx, inward[turn, view], sideways[turn, view])
    views /= len(inward)
    views -= warped(motion.hu_zyx, 0.0, 0.0)
    share = warped(motion.share_zyx, float(inward.mean()), float(sideways.mean()))
    share -= warped(motion.share_zyx, 0.0, 0.0)
    change = _by_view(views, motion.angle_rad - times.start_rad[k], motion.padded_yx)
    change *= _fading(x.shape[0], float(steps[1]))[:, None] * _fading(x.shape[1], float(steps[2]))
    return change, share


def _by_view(views: Float32Array, angle_rad: Float64Array, padded_yx: tuple[int, int]) -> Float32Array:
    """Return the picture that takes each frequency from the view parallel to it; neighbouring views are blended."""
    spectra = fft.rfft2(views, s=padded_yx)
    lower, share = view_of(angle_rad, len(views))
    upper = (lower + 1) % len(views)
    first = np.take_along_axis(spectra, lower[None], axis=0)[0]
    second = np.take_along_axis(spectra, upper[None], axis=0)[0]
    mixed = first + share.astype(np.float32) * (second - first)
    mixed[0, 0] = spectra[:, 0, 0].mean()
    seen: Float32Array = fft.irfft2(mixed, s=padded_yx)[: views.shape[1], : views.shape[2]]
    return seen


def _fading(n: int, step_mm: float) -> Float32Array:
    """Return 1 in the middle of an axis, falling to 0 at both ends."""
    from_end = np.minimum(np.arange(n), np.arange(n)[::-1]) * step_mm
    fading: Float32Array = np.clip(from_end / FADE_MM, 0, 1).astype(np.float32)
    return fading


def view_of(angle_rad: Float64Array, n_views: int) -> tuple[np.ndarray, Float64Array]:
    """Return the view before each angle (counted from the slice's first view) and the share of the next one.

    The last view blends into the first, as overscan weighting does.
    """
    at = (angle_rad % np.pi) / np.pi * n_views - 0.5
    lower = np.floor(at)
    return lower.astype(np.int64) % n_views, at - lower
