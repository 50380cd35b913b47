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
STREAK_MARGIN_MM = 22.0
BIN_MM = 0.25


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
        return self.volume_mm3 / 1000.0 * HA_MG_PER_CM3_HU * (self.peak_hu - SOFT_TISSUE_HU)


@dataclass(frozen=True)
class PointSpread:
    """Blur of a scan: Gaussian in the plane, box along z.

    Parameters
    ----------
    fwhm_mm : float
        In-plane full width at half maximum, mm.
    thickness_mm : float
        Width of the slice profile, mm; at least the increment in scans without gaps.
    """

    fwhm_mm: float
    thickness_mm: float


@dataclass(frozen=True)
class CardiacMotion:
    """How one vessel moves in the plane while the tube turns.

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
    """

    amplitude_mm: float
    direction_rad: float = 0.0
    heart_period_s: float = 0.9
    rotation_s: float = 0.6
    table_mm_per_s: float = 30.0
    start_s: float = 0.0
    arc: float = 1.4

    def displacement_mm_yx(self, seconds: Float64Array) -> Float64Array:
        """Return the in-plane offset (y, x) in mm at each moment; shape (n, 2).

        Systole takes the first 0.45 of the beat, the atrial kick the last 0.2; between them the vessel rests. A small
        sideways loop keeps the way back from being the way out (shape: ours, after published coronary trajectories).
        """
        phase = np.mod(seconds / self.heart_period_s, 1.0)
        systole = np.where(phase < 0.45, np.sin(np.pi * np.clip(phase / 0.45, 0, 1)) ** 2, 0.0)
        kick = np.where(phase > 0.8, np.sin(np.pi * np.clip((phase - 0.8) / 0.2, 0, 1)) ** 2, 0.0)
        along = systole + 0.35 * kick
        across = 0.25 * np.where(phase < 0.45, np.sin(2 * np.pi * phase / 0.45), 0.0)
        c, s = np.cos(self.direction_rad), np.sin(self.direction_rad)
        return self.amplitude_mm * np.stack([s * along + c * across, c * along - s * across], axis=1)


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
    wall_radius_mm: float,
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
    wall_radius_mm, angle_rad : float
        Where on the wall: radius, and angle from +x (left) towards +y (back).
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
    phi = angle_rad + s * width_mm / 2 / wall_radius_mm + 0.2 * t * rng.normal() * height_mm / wall_radius_mm
    rho = wall_radius_mm + thickness_mm * rng.uniform(-0.5, 0.5, n)
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
    margin_mm = STREAK_MARGIN_MM if is_moving else 3 * spread.fwhm_mm / FWHM_PER_SIGMA + 1.0
    margins = np.array([spread.thickness_mm / 2, margin_mm, margin_mm])
    low = np.floor((plaque.points_mm_zyx.min(axis=0) - margins) / spacing_mm_zyx).astype(int)
    high = np.ceil((plaque.points_mm_zyx.max(axis=0) + margins) / spacing_mm_zyx).astype(int)
    added = np.zeros(tuple(high - low + 1), dtype=np.float32)
    hu_mm3 = plaque.share * plaque.volume_mm3 * (plaque.peak_hu - SOFT_TISSUE_HU)
    for k, slice_index in enumerate(range(low[0], high[0] + 1)):
        z_mm = slice_index * spacing_mm_zyx[0]
        is_in = np.abs(plaque.points_mm_zyx[:, 0] - z_mm) < spread.thickness_mm / 2
        if not is_in.any():
            continue
        weight = hu_mm3[is_in] / spread.thickness_mm
        yx = plaque.points_mm_zyx[is_in, 1:] - low[1:] * np.asarray(spacing_mm_zyx[1:])
        if is_moving and motion is not None:
            added[k] = _moving_slice(yx, weight, added.shape[1:], spacing_mm_zyx[1:], spread.fwhm_mm, motion, z_mm)
        else:
            added[k] = _resting_slice(yx, weight, added.shape[1:], spacing_mm_zyx[1:], spread.fwhm_mm)
    return RenderedPlaque((int(low[0]), int(low[1]), int(low[2])), added)


def _resting_slice(
    yx_mm: Float64Array,
    weight: Float64Array,
    shape_yx: tuple[int, ...],
    pixel_mm_yx: tuple[float, ...],
    fwhm_mm: float,
) -> Float64Array:
    """Return points binned on an odd multiple of the pixel grid, blurred, and read at the pixel centres."""
    factor = 2 * int(np.ceil(max(pixel_mm_yx) / FINE_PIXEL_MM / 2)) + 1
    fine_mm = np.asarray(pixel_mm_yx) / factor
    shape = np.asarray(shape_yx) * factor
    index = np.floor(yx_mm / fine_mm + factor / 2).astype(int)
    index = np.clip(index, 0, shape - 1)
    flat = np.bincount(index[:, 0] * shape[1] + index[:, 1], weights=weight, minlength=int(shape.prod()))
    fine = flat.reshape(shape) / fine_mm.prod()
    blurred = ndimage.gaussian_filter(fine, fwhm_mm / FWHM_PER_SIGMA / fine_mm, mode="constant")
    middle = factor // 2
    return np.asarray(blurred[middle::factor, middle::factor])


def _moving_slice(
    yx_mm: Float64Array,
    weight: Float64Array,
    shape_yx: tuple[int, ...],
    pixel_mm_yx: tuple[float, ...],
    fwhm_mm: float,
    motion: CardiacMotion,
    z_mm: float,
) -> Float64Array:
    """Return filtered back-projection of points that are elsewhere in every view (parallel beams)."""
    turn = np.linspace(0, motion.arc, N_VIEWS, endpoint=False) + motion.arc / N_VIEWS / 2
    feather = max(motion.arc - 1.0, 1e-6)
    view_weight = np.minimum(np.clip(turn / feather, 0, 1), np.clip((motion.arc - turn) / feather, 0, 1))
    start_s = motion.start_s + z_mm / motion.table_mm_per_s
    seconds = start_s + turn * motion.rotation_s / 2
    theta = np.pi * turn + 2 * np.pi * start_s / motion.rotation_s
    normal_yx = np.stack([np.sin(theta), np.cos(theta)], axis=1)
    shift = np.einsum("vk,vk->v", motion.displacement_mm_yx(seconds), normal_yx)
    center = (np.asarray(shape_yx) - 1) / 2 * np.asarray(pixel_mm_yx)
    reach = float(np.linalg.norm(center)) + abs(motion.amplitude_mm) * 1.5 + 2.0
    n_bins = 2 * int(np.ceil(reach / BIN_MM)) + 1
    s = (yx_mm - center) @ normal_yx.T + shift
    index = np.clip(np.rint(s / BIN_MM).astype(int) + n_bins // 2, 0, n_bins - 1)
    flat = (index + np.arange(N_VIEWS) * n_bins).ravel()
    sinogram = np.bincount(flat, np.repeat(weight, N_VIEWS), N_VIEWS * n_bins).reshape(N_VIEWS, n_bins) / BIN_MM
    filtered = _ramp_filtered(sinogram, fwhm_mm / FWHM_PER_SIGMA)
    y = np.arange(shape_yx[0]) * pixel_mm_yx[0] - center[0]
    x = np.arange(shape_yx[1]) * pixel_mm_yx[1] - center[1]
    image = np.zeros(tuple(shape_yx))
    bins_mm = (np.arange(n_bins) - n_bins // 2) * BIN_MM
    for view in range(N_VIEWS):
        at = y[:, None] * normal_yx[view, 0] + x[None, :] * normal_yx[view, 1]
        image += view_weight[view] * np.interp(at, bins_mm, filtered[view])
    return image * np.pi * motion.arc / N_VIEWS


def _ramp_filtered(sinogram: Float64Array, sigma_mm: float) -> Float64Array:
    """Return each view filtered with a ramp and the kernel's Gaussian; zero-padded against wrap-around."""
    n_bins = sinogram.shape[1]
    n_padded = 2 ** int(np.ceil(np.log2(2 * n_bins)))
    frequency = np.fft.rfftfreq(n_padded, BIN_MM)
    ramp = frequency * np.exp(-2 * (np.pi * sigma_mm * frequency) ** 2)
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
    density = np.full(u.shape, 0.35)
    for lump_u, lump_v in lumps:
        density += np.exp(-((u - lump_u) ** 2 + 0.5 * (v - v.mean() - lump_v) ** 2) / 0.25)
    return np.asarray(density / density.sum())
