"""Calcified plaques as clouds of hydroxyapatite points, and what a scanner makes of them.

Points live in the frame of a grid's axes: (z, y, x) in mm from the centre of voxel (0, 0, 0). A plaque is a set of such
points that shares one volume and one CT number; the scanner is a slice profile along z and a Gaussian in the plane. A
plaque that moves while the tube turns is projected and back-projected view by view, which gives the crescents, tails
and dark bands that real ungated scans show and a plain smear does not.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from calcmap.core.volume import Float32Array, Float64Array

SOFT_TISSUE_HU = 45.0
"""Unenhanced myocardium, vessel wall and blood (FACTS 8.1: 35 to 50)."""
HA_MG_PER_CM3_HU = 0.78
"""Hydroxyapatite per HU above soft tissue at 120 kVp, mg/cm³; the middle of 0.71 to 0.91 measured in QRM scans."""
FWHM_PER_SIGMA = 2.3548200450309493
POINTS_PER_MM3 = 60.0
MIN_POINTS, MAX_POINTS = 300, 4000
FINE_PIXEL_MM = 0.3
"""Points are binned at least this finely before blurring: well below the sharpest CTAC kernel's sigma of 0.4 mm."""
N_VIEWS = 96
PROFILE_RAMP = 0.15
"""Slopes of the slice profile, as a share of its width: helical profiles are no boxes (our choice, symmetric slopes so
that contiguous slices still add up to one)."""
LOBE_MM = 1.0
"""Gaussian by which the kernel's negative lobe is wider than its core: that of an unsharp mask (our choice)."""
STREAK_MARGIN_MM = 22.0
"""Streaks of the fastest plaques are followed this far; those of slower ones are shorter."""
BIN_MM = 0.15


@dataclass(frozen=True, eq=False)
class Plaque:
    """Hydroxyapatite as points of equal CT number.

    Parameters
    ----------
    points_mm_zyx : ndarray of float64, shape (n, 3)
        Positions in the grid's axis frame, mm.
    share : ndarray of float64, shape (n,)
        Each point's share of the volume; sums to 1.
    volume_mm3 : float
        Volume before any blur.
    peak_hu : float
        CT number of the calcified matter before any blur.
    length_mm : float
        Extent along the vessel or wall.
    """

    points_mm_zyx: Float64Array
    share: Float64Array
    volume_mm3: float
    peak_hu: float
    length_mm: float

    @property
    def center_mm_zyx(self) -> Float64Array:
        """Centre of mass in the grid's axis frame, mm."""
        return np.asarray(self.share @ self.points_mm_zyx, dtype=np.float64)

    @property
    def mass_mg(self) -> float:
        """Hydroxyapatite, mg."""
        return self.volume_mm3 / 1000.0 * density_mg_cm3(self.peak_hu)


def density_mg_cm3(peak_hu: float) -> float:
    """Return the hydroxyapatite density of calcified matter of a CT number at 120 kVp, mg/cm³."""
    return HA_MG_PER_CM3_HU * (peak_hu - SOFT_TISSUE_HU)


def peak_hu_of(density_mg_per_cm3: float) -> float:
    """Return the CT number at 120 kVp, before any blur, of matter of a hydroxyapatite density in mg/cm³."""
    return SOFT_TISSUE_HU + density_mg_per_cm3 / HA_MG_PER_CM3_HU


@dataclass(frozen=True)
class PointSpread:
    """What a scanner makes of a point: a kernel in the plane, a trapezoid along z.

    The kernel is (1 + g) G(s) - g G(w), with G a Gaussian of area 1, w² = s² + `LOBE_MM`² and g the overshoot: a blur
    followed by an unsharp mask. Its area is 1 for every g, so that it moves calcium about but neither makes nor loses
    any.

    Parameters
    ----------
    fwhm_mm : float
        In-plane full width at half maximum of the kernel's core G(s), mm.
    thickness_mm : float
        Full width at half maximum of the slice profile, mm; at least the increment in scans without gaps.
    overshoot : float
        Edge enhancement g: 0 for soft kernels, about 0.5 for sharp ones, which leave dark rims.
    calcium_factor : float
        HU that calcium adds, relative to 120 kVp.
    """

    fwhm_mm: float
    thickness_mm: float
    overshoot: float = 0.0
    calcium_factor: float = 1.0

    @property
    def reach_mm(self) -> float:
        """Distance in the plane beyond which all but about 0.3 % of a point has been seen."""
        return 3 * (self.lobe_sigma_mm if self.overshoot > 0 else self.sigma_mm) + 1.0

    @property
    def sigma_mm(self) -> float:
        """Gaussian sigma of the kernel's core."""
        return self.fwhm_mm / FWHM_PER_SIGMA

    @property
    def lobe_sigma_mm(self) -> float:
        """Gaussian sigma of the kernel's negative lobe."""
        return float(np.hypot(self.sigma_mm, LOBE_MM))

    @property
    def z_reach_mm(self) -> float:
        """Distance along z beyond which a point is not seen."""
        return self.thickness_mm * (0.5 + PROFILE_RAMP / 2)

    def z_weight(self, offset_mm: Float64Array) -> Float64Array:
        """Return how much of a point a slice at a distance sees, 0 to 1."""
        ramp_mm = PROFILE_RAMP * self.thickness_mm
        return np.asarray(np.clip((self.z_reach_mm - np.abs(offset_mm)) / ramp_mm, 0.0, 1.0))


@dataclass(frozen=True)
class CardiacMotion:
    """How one vessel moves while the tube turns.

    Parameters
    ----------
    amplitude_mm : float
        Distance between rest and the far end of the beat, mm; 0 for no motion.
    direction_rad : float
        Direction of the main excursion in the plane, from +x towards +y.
    heart_period_s, rotation_s : float
        Length of a beat and of a turn of the tube.
    table_mm_per_s : float
        Speed of the table, which decides at which moment each slice was taken.
    start_s : float
        Moment of the beat at which slice position 0 mm was taken.
    arc : float
        Arc of views behind one slice, in half turns: 1 (half scan) to 2 (full turn).
    through_plane : float
        Excursion along z relative to the one in the plane: the vessel may leave the slice for part of the turn.
    """

    amplitude_mm: float
    direction_rad: float = 0.0
    heart_period_s: float = 0.9
    rotation_s: float = 0.6
    table_mm_per_s: float = 30.0
    start_s: float = 0.0
    arc: float = 1.4
    through_plane: float = 0.0

    def displacement_mm_zyx(self, seconds: Float64Array) -> Float64Array:
        """Return the offset (z, y, x) in mm at each moment; shape (n, 3).

        Systole takes the first 0.45 of the beat, the atrial kick the last 0.2; between them the vessel rests. A small
        sideways loop keeps the way back from being the way out (shape: ours, after published coronary trajectories).
        """
        phase = np.mod(seconds / self.heart_period_s, 1.0)
        systole = np.where(phase < 0.45, np.sin(np.pi * np.clip(phase / 0.45, 0, 1)) ** 2, 0.0)
        kick = np.where(phase > 0.8, np.sin(np.pi * np.clip((phase - 0.8) / 0.2, 0, 1)) ** 2, 0.0)
        along = systole + 0.35 * kick
        across = 0.25 * np.where(phase < 0.45, np.sin(2 * np.pi * phase / 0.45), 0.0)
        c, s = np.cos(self.direction_rad), np.sin(self.direction_rad)
        offset = np.stack([-self.through_plane * along, s * along + c * across, c * along - s * across], axis=1)
        return self.amplitude_mm * offset


@dataclass(frozen=True, eq=False)
class RenderedPlaque:
    """HU that a plaque adds, on the part of the grid that it reaches.

    Parameters
    ----------
    start_zyx : tuple of int
        Index of the patch's first voxel; may be negative, the patch may leave the grid.
    added_hu_zyx : ndarray of float32
        HU to add.
    """

    start_zyx: tuple[int, int, int]
    added_hu_zyx: Float32Array


def plaque_along_path(
    path_mm_zyx: Float64Array,
    rng: np.random.Generator,
    *,
    volume_mm3: float,
    length_mm: float,
    radius_mm: float,
    peak_hu: float,
) -> Plaque:
    """Return a crescent of calcium on the wall of a vessel that follows a path.

    The plaque lies around the path's middle, on one side of the wall; it thins out towards its ends and its density is
    lumpy. When the volume is large for the wall, the crescent grows into a ring and then fills the lumen.

    Parameters
    ----------
    path_mm_zyx : ndarray of float64, shape (n, 3)
        The vessel's centre line, n >= 2.
    rng : numpy.random.Generator
        Source of the side, the lumps and the points.
    volume_mm3, length_mm, radius_mm, peak_hu : float
        Volume, extent along the path (cut to the path's own length), outer radius of the vessel, CT number.

    Returns
    -------
    Plaque
        The points.
    """
    along_mm = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(path_mm_zyx, axis=0), axis=1))])
    length_mm = min(length_mm, float(along_mm[-1]))
    n = _n_points(volume_mm3)
    s = rng.uniform(-1, 1, n)
    taper = np.sqrt(1 - s**2)
    area_mm2 = volume_mm3 / (length_mm * np.pi / 4)
    thick_mm = min(radius_mm, max(0.5, 0.75 * np.sqrt(area_mm2)))
    arc_rad = min(2 * np.pi, area_mm2 / (thick_mm * max(radius_mm - thick_mm / 2, 0.3)))
    phi = rng.uniform(0, 2 * np.pi) + 0.4 * s * rng.normal() + arc_rad * taper * rng.uniform(-0.5, 0.5, n)
    rho = radius_mm - thick_mm * taper * rng.random(n)
    position = along_mm[-1] / 2 + s * length_mm / 2
    center = np.stack([np.interp(position, along_mm, path_mm_zyx[:, k]) for k in range(3)], axis=1)
    normal, binormal = _frame(path_mm_zyx[-1] - path_mm_zyx[0])
    points = center + rho[:, None] * (np.cos(phi)[:, None] * normal + np.sin(phi)[:, None] * binormal)
    return Plaque(points, _lumpy_share(s, phi, rng), volume_mm3, peak_hu, length_mm)


def plaque_on_wall(
    center_mm_zyx: Float64Array,
    rng: np.random.Generator,
    *,
    wall_radius_mm: float | Float64Array,
    angle_rad: float,
    width_mm: float,
    height_mm: float,
    thickness_mm: float,
    peak_hu: float,
) -> Plaque:
    """Return a thin curved plate of calcium on the wall of an upright tube such as the aorta.

    Parameters
    ----------
    center_mm_zyx : ndarray of float64, shape (3,)
        Axis point of the tube at the plaque's middle.
    rng : numpy.random.Generator
        Source of the lumps and the points.
    wall_radius_mm : float or ndarray of float64, shape (angles,)
        Distance of the plate's middle layer from the axis; an array holds it at equally spaced angles from 0.
    angle_rad : float
        Where on the wall: angle from +x (left) towards +y (back).
    width_mm, height_mm, thickness_mm : float
        Extent along the circumference, along z and across the wall.
    peak_hu : float
        CT number of the calcified matter.

    Returns
    -------
    Plaque
        The points.
    """
    volume_mm3 = np.pi / 4 * width_mm * height_mm * thickness_mm
    n = _n_points(volume_mm3)
    s, t = _disc(n, rng)
    radii_mm = np.atleast_1d(np.asarray(wall_radius_mm, dtype=np.float64))
    angles = np.arange(len(radii_mm)) * 2 * np.pi / len(radii_mm)
    middle_mm = float(np.interp(angle_rad, angles, radii_mm, period=2 * np.pi))
    phi = angle_rad + s * width_mm / 2 / middle_mm + 0.2 * t * rng.normal() * height_mm / middle_mm
    thick_mm = thickness_mm * np.sqrt(np.clip(1 - 0.8 * (s**2 + t**2), 0, 1))
    rho = np.interp(phi, angles, radii_mm, period=2 * np.pi) + thick_mm * rng.uniform(-0.5, 0.5, n)
    offset = np.stack([t * height_mm / 2, rho * np.sin(phi), rho * np.cos(phi)], axis=1)
    return Plaque(center_mm_zyx + offset, _lumpy_share(s, t, rng), volume_mm3, peak_hu, max(width_mm, height_mm))


def plaque_nodule(
    center_mm_zyx: Float64Array, rng: np.random.Generator, *, radii_mm_zyx: tuple[float, float, float], peak_hu: float
) -> Plaque:
    """Return an ellipsoid of calcium: a lymph node, or a speck."""
    volume_mm3 = 4 / 3 * np.pi * float(np.prod(radii_mm_zyx))
    n = _n_points(volume_mm3)
    direction = rng.normal(size=(n, 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    unit = direction * np.cbrt(rng.random((n, 1)))
    share = _lumpy_share(unit[:, 1], unit[:, 2], rng)
    return Plaque(center_mm_zyx + unit * radii_mm_zyx, share, volume_mm3, peak_hu, 2 * max(radii_mm_zyx))


def render_plaque(
    plaque: Plaque,
    spacing_mm_zyx: tuple[float, float, float],
    *,
    spread: PointSpread,
    motion: CardiacMotion | None = None,
) -> RenderedPlaque:
    """Return the HU that a plaque adds to soft tissue on a grid, seen through a scanner.

    Parameters
    ----------
    plaque : Plaque
        The points.
    spacing_mm_zyx : tuple of float
        Grid spacing.
    spread : PointSpread
        The scanner's blur.
    motion : CardiacMotion, optional
        Motion during the turn of the tube; ``None`` or amplitude 0 for a plaque at rest.

    Returns
    -------
    RenderedPlaque
        A patch that holds all but about 0.3 % of a resting plaque. The sum over the patch times the voxel volume is
        the plaque's volume times its contrast where slices tile space (thickness equal to the increment).
    """
    is_moving = motion is not None and motion.amplitude_mm > 0
    z_drift_mm = 1.4 * motion.amplitude_mm * motion.through_plane if motion is not None else 0.0
    streak_mm = min(STREAK_MARGIN_MM, 8.0 + 2.0 * motion.amplitude_mm) if motion is not None and is_moving else 0.0
    plane_mm = max(streak_mm, spread.reach_mm)
    margins = np.array([spread.z_reach_mm + z_drift_mm, plane_mm, plane_mm])
    low = np.floor((plaque.points_mm_zyx.min(axis=0) - margins) / spacing_mm_zyx).astype(int)
    high = np.ceil((plaque.points_mm_zyx.max(axis=0) + margins) / spacing_mm_zyx).astype(int)
    added = np.zeros(tuple(high - low + 1), dtype=np.float32)
    contrast_hu = (plaque.peak_hu - SOFT_TISSUE_HU) * spread.calcium_factor
    weight = plaque.share * plaque.volume_mm3 * contrast_hu / spread.thickness_mm
    for k, slice_index in enumerate(range(low[0], high[0] + 1)):
        z_mm = slice_index * spacing_mm_zyx[0]
        offset_mm = plaque.points_mm_zyx[:, 0] - z_mm
        is_near = np.abs(offset_mm) < margins[0]
        if not is_near.any():
            continue
        yx_mm = plaque.points_mm_zyx[is_near, 1:] - low[1:] * np.asarray(spacing_mm_zyx[1:])
        points = _SlicePoints(yx_mm, offset_mm[is_near], weight[is_near])
        if motion is not None and is_moving:
            added[k] = _moving_slice(points, added.shape[1:], spacing_mm_zyx[1:], spread, motion, z_mm)
        else:
            added[k] = _resting_slice(points, added.shape[1:], spacing_mm_zyx[1:], spread)
    return RenderedPlaque((int(low[0]), int(low[1]), int(low[2])), added)


@dataclass(frozen=True, eq=False)
class _SlicePoints:
    """Points near one slice: places in the patch's plane, distances from the slice, HU mm² each."""

    yx_mm: Float64Array
    z_offset_mm: Float64Array
    weight: Float64Array


def _resting_slice(
    points: _SlicePoints, shape_yx: tuple[int, ...], pixel_mm_yx: tuple[float, ...], spread: PointSpread
) -> Float64Array:
    """Return points binned on an odd multiple of the pixel grid, blurred, and read at the pixel centres."""
    factor = 2 * int(np.ceil(max(pixel_mm_yx) / FINE_PIXEL_MM / 2)) + 1
    fine_mm = np.asarray(pixel_mm_yx) / factor
    shape = np.asarray(shape_yx) * factor
    index = np.floor(points.yx_mm / fine_mm + factor / 2).astype(int)
    index = np.clip(index, 0, shape - 1)
    weight = points.weight * spread.z_weight(points.z_offset_mm)
    flat = np.bincount(index[:, 0] * shape[1] + index[:, 1], weights=weight, minlength=int(shape.prod()))
    fine = flat.reshape(shape) / fine_mm.prod()
    blurred = ndimage.gaussian_filter(fine, spread.sigma_mm / fine_mm, mode="constant")
    if spread.overshoot > 0:
        wide = ndimage.gaussian_filter(fine, spread.lobe_sigma_mm / fine_mm, mode="constant")
        blurred = (1 + spread.overshoot) * blurred - spread.overshoot * wide
    middle = factor // 2
    return np.asarray(blurred[middle::factor, middle::factor])


def _moving_slice(
    points: _SlicePoints,
    shape_yx: tuple[int, ...],
    pixel_mm_yx: tuple[float, ...],
    spread: PointSpread,
    motion: CardiacMotion,
    z_mm: float,
) -> Float64Array:
    """Return filtered back-projection of points that are elsewhere in every view (parallel beams)."""
    turn = np.linspace(0, motion.arc, N_VIEWS, endpoint=False) + motion.arc / N_VIEWS / 2
    start_s = motion.start_s + z_mm / motion.table_mm_per_s
    theta = np.pi * turn + 2 * np.pi * start_s / motion.rotation_s
    normal_yx = np.stack([np.sin(theta), np.cos(theta)], axis=1)
    offset_mm = motion.displacement_mm_zyx(start_s + turn * motion.rotation_s / 2)
    shift = np.einsum("vk,vk->v", offset_mm[:, 1:], normal_yx)
    center = (np.asarray(shape_yx) - 1) / 2 * np.asarray(pixel_mm_yx)
    reach = float(np.linalg.norm(center)) + abs(motion.amplitude_mm) * 1.5 + 2.0
    n_bins = 2 * int(np.ceil(reach / BIN_MM)) + 1
    s = (points.yx_mm - center) @ normal_yx.T + shift
    index = np.clip(np.rint(s / BIN_MM).astype(int) + n_bins // 2, 0, n_bins - 1)
    flat = (index + np.arange(N_VIEWS) * n_bins).ravel()
    seen = points.weight[:, None] * spread.z_weight(points.z_offset_mm[:, None] + offset_mm[None, :, 0])
    sinogram = np.bincount(flat, seen.ravel(), N_VIEWS * n_bins).reshape(N_VIEWS, n_bins) / BIN_MM
    filtered = (
        _ramp_filtered(sinogram, spread) * (_view_weight(turn, motion.arc) * np.pi * motion.arc / N_VIEWS)[:, None]
    )
    y = np.arange(shape_yx[0])[:, None] * pixel_mm_yx[0] - center[0]
    x = np.arange(shape_yx[1])[None, :] * pixel_mm_yx[1] - center[1]
    image = np.zeros(tuple(shape_yx), dtype=np.float32)
    # Bins are far narrower than the blur, so that the nearest one is near enough (and much faster than between two).
    normal_bins, half = normal_yx / BIN_MM, n_bins // 2 + 0.5
    for view in range(N_VIEWS):
        at = (y * normal_bins[view, 0] + half) + x * normal_bins[view, 1]
        image += filtered[view].astype(np.float32).take(at.astype(np.intp))
    return np.asarray(image, dtype=np.float64)


def _view_weight(turn: Float64Array, arc: float) -> Float64Array:
    """Return weights of views along an arc (half turns) that fade where rays are measured twice."""
    feather = max(arc - 1.0, 1e-6)
    return np.asarray(np.minimum(np.clip(turn / feather, 0, 1), np.clip((arc - turn) / feather, 0, 1)))


def _ramp_filtered(sinogram: Float64Array, spread: PointSpread) -> Float64Array:
    """Return each view filtered with a ramp and the kernel; zero-padded against wrap-around."""
    n_bins = sinogram.shape[1]
    n_padded = 2 ** int(np.ceil(np.log2(2 * n_bins)))
    frequency = np.fft.rfftfreq(n_padded, BIN_MM)
    exponent = -2 * (np.pi * frequency) ** 2
    core, lobe = np.exp(exponent * spread.sigma_mm**2), np.exp(exponent * spread.lobe_sigma_mm**2)
    ramp = frequency * ((1 + spread.overshoot) * core - spread.overshoot * lobe)
    # The sampled ramp loses its mean at frequency 0; this value restores it (Kak and Slaney 1988, ch. 3).
    ramp[0] = frequency[1] / 6
    return np.asarray(np.fft.irfft(np.fft.rfft(sinogram, n_padded, axis=1) * ramp, n_padded, axis=1)[:, :n_bins])


def _n_points(volume_mm3: float) -> int:
    return int(np.clip(volume_mm3 * POINTS_PER_MM3, MIN_POINTS, MAX_POINTS))


def _frame(tangent: Float64Array) -> tuple[Float64Array, Float64Array]:
    """Return two unit vectors at right angles to a tangent (any tangent, length above 0)."""
    tangent = tangent / max(float(np.linalg.norm(tangent)), 1e-9)
    helper = np.eye(3)[int(np.argmin(np.abs(tangent)))]
    normal = np.cross(tangent, helper)
    normal /= np.linalg.norm(normal)
    return normal, np.cross(tangent, normal)


def _disc(n: int, rng: np.random.Generator) -> tuple[Float64Array, Float64Array]:
    radius, angle = np.sqrt(rng.random(n)), rng.uniform(0, 2 * np.pi, n)
    return radius * np.cos(angle), radius * np.sin(angle)


def _lumpy_share(u: Float64Array, v: Float64Array, rng: np.random.Generator) -> Float64Array:
    """Return shares that sum to 1 and vary over the plaque by a few soft lumps."""
    lumps = rng.uniform(-1, 1, (rng.integers(1, 5), 2))
    density = np.full(u.shape, 0.2)
    for lump_u, lump_v in lumps:
        density += np.exp(-((u - lump_u) ** 2 + 0.5 * (v - v.mean() - lump_v) ** 2) / 0.25)
    return np.asarray(density / density.sum())
