"""Where coronary arteries and aorta run in a real scan, from the heart's box and what the image shows.

Positions are half heart-box units from the box centre: +x to the left, +y to the back, +z to the head. The courses
below were laid through the 29 lesions of FACTS 8.3 and read off the grooves of real scans; the image then pulls each
course to the nearest thing that looks like a vessel in fat, or to the nearest round cross-section for the aorta. Both
searches are one dynamic programme over offsets from the course.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from calcmap.core.errors import ConfigError, UnfitScanError
from calcmap.core.result import Vessel
from calcmap.core.volume import BoolArray, Float32Array, Float64Array, Label, Labels, Volume

COURSES_XYZ: dict[str, tuple[Vessel, tuple[tuple[float, float, float], ...]]] = {
    "LM": (Vessel.LM, ((-0.04, 0.14, 0.60), (0.08, 0.17, 0.58), (0.20, 0.17, 0.55))),
    "LAD": (
        Vessel.LAD,
        (
            (0.20, 0.17, 0.55),
            (0.33, 0.00, 0.48),
            (0.43, -0.28, 0.36),
            (0.48, -0.58, 0.20),
            (0.48, -0.76, -0.10),
            (0.46, -0.82, -0.40),
            (0.48, -0.74, -0.74),
        ),
    ),
    "diagonal": (Vessel.LAD, ((0.42, -0.20, 0.40), (0.60, -0.35, 0.22), (0.72, -0.45, 0.00), (0.78, -0.45, -0.25))),
    "LCx": (
        Vessel.LCX,
        ((0.20, 0.17, 0.55), (0.30, 0.28, 0.44), (0.38, 0.38, 0.26), (0.34, 0.46, 0.06), (0.22, 0.54, -0.12)),
    ),
    "marginal": (Vessel.LCX, ((0.37, 0.38, 0.28), (0.58, 0.30, 0.12), (0.72, 0.20, -0.10), (0.76, 0.10, -0.32))),
    "RCA": (
        Vessel.RCA,
        (
            (-0.24, -0.18, 0.42),
            (-0.40, -0.36, 0.42),
            (-0.55, -0.48, 0.30),
            (-0.64, -0.50, 0.10),
            (-0.66, -0.48, -0.15),
            (-0.62, -0.38, -0.36),
            (-0.48, -0.10, -0.52),
            (-0.30, 0.25, -0.56),
        ),
    ),
    "PDA": (Vessel.RCA, ((-0.30, 0.25, -0.56), (-0.14, 0.20, -0.66), (0.04, 0.05, -0.76), (0.14, -0.08, -0.82))),
}
"""Vessel and course of each coronary branch, proximal end first."""
ON_THE_SURFACE = ("diagonal", "marginal", "PDA")
"""Branches that stay on the heart's outer surface; the others start deep, between the great vessels."""
ASCENDING_XYZ = ((-0.20, -0.03, 0.12), (-0.28, 0.00, 0.36), (-0.42, 0.00, 0.70), (-0.52, 0.02, 1.15))
DESCENDING_XYZ = ((0.02, 1.22, -1.10), (0.02, 1.22, 1.30))
AORTA_FROM_SPINE_MM_YX = (-5.0, 16.0)
"""Centre of the descending aorta from the front middle of the vertebra: in front and to the left."""
MITRAL_CENTER_XYZ = (0.12, 0.20, 0.02)
ASCENDING_RADII_MM = (13.0, 14.5, 16.0, 17.5, 19.0, 20.5)
"""The middle radii are the likely ones (ascending aorta 30 to 38 mm wide)."""
DESCENDING_RADII_MM = (10.0, 12.0, 14.0, 16.0, 18.0, 20.0)
MM_ABOVE_HEART = 35.0

ASCENDING, DESCENDING = "ascending_aorta", "descending_aorta"
PATH_NAMES = (*COURSES_XYZ, ASCENDING, DESCENDING)
"""Vessels whose path may be given."""

STEP_MM = 2.0
AORTA_STEP_MM = 2.0
COARSE_STEP_MM = 5.0
MIN_STANDING_OUT = 0.5
"""Share of the fall to fat or lung that a descending aorta shows at least; guesses show less (seven scans)."""
SNAP_MM = 10.0
VESSEL_WIDTH_MM = 7.5
"""Structures narrower than this stand out as vessels: the widest coronary is 5 to 6 mm (FACTS 8.4) plus blur."""
ANALYSIS_PIXEL_MM = 1.3
MIN_VERTEBRA_MM2 = 150.0
WALL_ANGLES = 64
WALL_REACH_MM = 4.0
"""The traced circle may lie this far off the true wall (its centres lie on a grid of `AORTA_STEP_MM`)."""
MIN_WALL_FALL_HU = 45.0
"""A fall of HU within 2 mm that noise seldom makes in the smoothed maps (our choice)."""
FAT_ABOVE_HU, FAT_BELOW_HU = -250.0, -20.0
FAT_REACH_MM = 3.5


@dataclass(frozen=True, eq=False)
class HeartFrame:
    """The heart's voxel box in the grid's axis frame, mm."""

    center_mm_zyx: Float64Array
    half_mm_zyx: Float64Array

    def to_mm_zyx(self, units_xyz: Float64Array) -> Float64Array:
        """Return positions in mm (z, y, x) of positions in half-box units (x, y, z); shape (n, 3)."""
        return np.asarray(self.center_mm_zyx + np.asarray(units_xyz)[:, ::-1] * self.half_mm_zyx)


@dataclass(frozen=True, eq=False)
class VesselPath:
    """A centre line that someone gave, in place of an estimated one.

    Parameters
    ----------
    name : str
        One of `PATH_NAMES`.
    points_lps_mm : ndarray of float64, shape (n, 3)
        Patient coordinates x, y, z; coronaries from their origin on; n >= 2.
    radius_mm : ndarray of float64, shape (n,)
        Outer radius at each point.

    Raises
    ------
    ConfigError
        An unknown name, fewer than two points, numbers that are not finite, or a radius not above 0.
    """

    name: str
    points_lps_mm: Float64Array
    radius_mm: Float64Array

    def __post_init__(self) -> None:
        if self.name not in PATH_NAMES:
            raise ConfigError(f"unknown vessel {self.name!r}, expected one of {', '.join(PATH_NAMES)}")
        shape = np.shape(self.points_lps_mm)
        if len(shape) != 2 or shape[0] < 2 or shape[1] != 3 or np.shape(self.radius_mm) != shape[:1]:
            raise ConfigError(f"vessel {self.name} needs two or more points x, y, z, each with a radius")
        if not (np.isfinite(self.points_lps_mm).all() and (np.asarray(self.radius_mm) > 0).all()):
            raise ConfigError(f"vessel {self.name} holds a point that is not finite or a radius that is not above 0")


@dataclass(frozen=True, eq=False)
class AortaTrace:
    """Circles that follow a stretch of the aorta, ascending in z.

    Parameters
    ----------
    center_mm_zyx : ndarray of float64, shape (n, 3)
        Centres, one a slice.
    radius_mm : ndarray of float64, shape (n,)
        Outer radii.
    wall_mm : ndarray of float64, shape (n, angles)
        Distance of the outer wall from the centre, at equally spaced angles from +x (left) towards +y (back).
    is_seen : ndarray of bool, shape (n, angles)
        Where the image shows the wall; elsewhere it lies against other tissue, and the circle stands for it.
    """

    center_mm_zyx: Float64Array
    radius_mm: Float64Array
    wall_mm: Float64Array
    is_seen: BoolArray

    def at(self, z_mm: float) -> tuple[Float64Array, float]:
        """Return centre and radius at a height; the ends hold beyond the trace."""
        z = self.center_mm_zyx[:, 0]
        center = np.array([z_mm, *(np.interp(z_mm, z, self.center_mm_zyx[:, k]) for k in (1, 2))])
        return center, float(np.interp(z_mm, z, self.radius_mm))

    def wall_at(self, z_mm: float) -> Float64Array:
        """Return the outer wall's distance from the centre at a height, at equally spaced angles."""
        return np.asarray(self.wall_mm[self._nearest(z_mm)])

    def seen_at(self, z_mm: float) -> BoolArray:
        """Return at which of the angles the wall is seen at a height."""
        return np.asarray(self.is_seen[self._nearest(z_mm)])

    def _nearest(self, z_mm: float) -> int:
        return int(np.abs(self.center_mm_zyx[:, 0] - z_mm).argmin())


@dataclass(frozen=True, eq=False)
class CardiacTraces:
    """What planting needs to know of a scan's anatomy.

    Parameters
    ----------
    frame : HeartFrame
        The heart's box.
    branches : dict of str to ndarray of float64, shape (n, 3)
        Centre lines (z, y, x) in mm, proximal end first; keys of `COURSES_XYZ`.
    ascending : AortaTrace
        Root and ascending aorta.
    descending : AortaTrace or None
        Descending aorta; ``None`` where the scan does not hold it.
    radius_mm : dict of str to ndarray of float64, shape (n,)
        Outer radii along the branches that were given; estimated branches have none.
    surroundings : Surroundings
        What the image shows around the heart.
    """

    frame: HeartFrame
    branches: dict[str, Float64Array]
    ascending: AortaTrace
    descending: AortaTrace | None
    radius_mm: dict[str, Float64Array]
    surroundings: Surroundings


def heart_frame(labels: Labels) -> HeartFrame:
    """Return the box of all heart voxels (heart and coronary labels).

    Raises
    ------
    UnfitScanError
        The labels hold no heart.
    """
    is_heart = (labels.labels_zyx == Label.HEART) | (labels.labels_zyx == Label.CORONARY)
    if not is_heart.any():
        raise UnfitScanError("the label map has no heart voxel (label 1); calcium cannot be planted")
    spacing = np.array(labels.grid.spacing_mm_zyx)
    low, high = np.empty(3), np.empty(3)
    for axis in range(3):
        index = np.flatnonzero(is_heart.any(axis=tuple(other for other in range(3) if other != axis)))
        low[axis], high[axis] = index[0], index[-1]
    return HeartFrame((low + high) / 2 * spacing, (high - low + 1) / 2 * spacing)


def trace_anatomy(volume: Volume, labels: Labels, *, paths: Sequence[VesselPath] = ()) -> CardiacTraces:
    """Return coronary centre lines and aortic circles of a scan.

    Where the image shows nothing (no epicardial fat, a noisy scan) the courses of the half-box prior remain.

    Parameters
    ----------
    volume : Volume
        The CT.
    labels : Labels
        Heart mask on the CT's grid.
    paths : sequence of VesselPath
        Vessels that someone traced; they replace the estimated ones of the same name.

    Returns
    -------
    CardiacTraces
        Positions in the grid's axis frame.

    Raises
    ------
    UnfitScanError
        The labels hold no heart.
    """
    frame = heart_frame(labels)
    around = Surroundings.of(volume, labels, frame)
    given = {path.name: path for path in paths}
    branches = {
        name: _given_course(given[name], volume) if name in given else _snap_branch(name, frame, around)
        for name in COURSES_XYZ
    }
    ascending = _given_aorta(given.get(ASCENDING), volume, around)
    if ascending is None:
        course = frame.to_mm_zyx(np.array(ASCENDING_XYZ))
        ascending = _trace_aorta(course, ASCENDING_RADII_MM, around, reach_mm=14.0) or _unseen_aorta(course)
    descending = _given_aorta(given.get(DESCENDING), volume, around)
    if descending is None:
        beside_spine = _trace_aorta(_beside_spine(frame, around), DESCENDING_RADII_MM, around, reach_mm=26.0)
        descending = _shown_part(beside_spine, around)
    radius_mm = {name: _given_radius(given[name], branches[name], volume) for name in branches if name in given}
    return CardiacTraces(frame, branches, ascending, descending, radius_mm, around)


def axis_mm_zyx(points_lps_mm: Float64Array, volume: Volume) -> Float64Array:
    """Return positions in the grid's axis frame (z, y, x), mm."""
    homogeneous = np.column_stack([points_lps_mm, np.ones(len(points_lps_mm))])
    index_xyz = (homogeneous @ np.linalg.inv(volume.grid.affine_lps_mm).T)[:, :3]
    return np.asarray(index_xyz[:, ::-1] * np.array(volume.spacing_mm_zyx))


def _given_course(path: VesselPath, volume: Volume) -> Float64Array:
    return _resampled(axis_mm_zyx(np.asarray(path.points_lps_mm, dtype=np.float64), volume), 0.5)


def _given_radius(path: VesselPath, course_mm_zyx: Float64Array, volume: Volume) -> Float64Array:
    """Return the radius along a resampled course, from the nearest given point."""
    points = axis_mm_zyx(np.asarray(path.points_lps_mm, dtype=np.float64), volume)
    nearest = ((course_mm_zyx[:, None] - points[None]) ** 2).sum(axis=2).argmin(axis=1)
    return np.asarray(np.asarray(path.radius_mm, dtype=np.float64)[nearest])


def _given_aorta(path: VesselPath | None, volume: Volume, around: Surroundings) -> AortaTrace | None:
    if path is None:
        return None
    points = axis_mm_zyx(np.asarray(path.points_lps_mm, dtype=np.float64), volume)
    order = np.argsort(points[:, 0], kind="stable")
    center, radius_mm = points[order], np.asarray(path.radius_mm, dtype=np.float64)[order]
    return AortaTrace(center, radius_mm, *_wall_mm(center, radius_mm, around))


def _unseen_aorta(course_mm_zyx: Float64Array) -> AortaTrace:
    radius_mm = np.full(len(course_mm_zyx), 16.0)
    wall_mm = np.repeat(radius_mm[:, None], WALL_ANGLES, axis=1)
    return AortaTrace(course_mm_zyx, radius_mm, wall_mm, np.zeros(wall_mm.shape, dtype=np.bool_))


def _wall_mm(
    center_mm_zyx: Float64Array, radius_mm: Float64Array, around: Surroundings
) -> tuple[Float64Array, BoolArray]:
    """Return where the wall lies around each circle, and where it is seen: at the steepest fall of HU near the circle.

    Against fat and lung the wall shows; against another vessel it does not, and neighbours on the wall decide.
    """
    angle = np.arange(WALL_ANGLES) * 2 * np.pi / WALL_ANGLES
    steps_mm = np.arange(-WALL_REACH_MM, WALL_REACH_MM + 0.1, 0.5)
    rho = radius_mm[:, None, None] + steps_mm
    points = np.stack(
        [
            np.broadcast_to(center_mm_zyx[:, 0, None, None], (len(radius_mm), WALL_ANGLES, len(steps_mm))),
            center_mm_zyx[:, 1, None, None] + rho * np.sin(angle)[:, None],
            center_mm_zyx[:, 2, None, None] + rho * np.cos(angle)[:, None],
        ],
        axis=-1,
    )
    hu = np.clip(around.sample(around.soft_hu_zyx, points, outside=-150.0), -150, 60)
    fall_hu = hu[..., :-4] - hu[..., 4:]
    seen = fall_hu.max(axis=2) > MIN_WALL_FALL_HU
    offset_mm = np.where(seen, steps_mm[2:-2][fall_hu.argmax(axis=2)], 0.0)
    # A bulge of few angles is a vessel that leaves, or one beside the aorta.
    offset_mm = ndimage.median_filter(offset_mm, (1, 9), mode="wrap")
    weight = ndimage.gaussian_filter1d(seen.astype(np.float64), 1.5, axis=1, mode="wrap")
    smooth = ndimage.gaussian_filter1d(offset_mm, 1.5, axis=1, mode="wrap") / np.maximum(weight, 0.2)
    wall_mm = radius_mm[:, None] + np.clip(smooth, -WALL_REACH_MM, WALL_REACH_MM)
    return np.asarray(wall_mm), np.asarray(weight > 0.5)


@dataclass(frozen=True, eq=False)
class Surroundings:
    """Coarse maps around the heart, on slices of the CT and pixels of about `ANALYSIS_PIXEL_MM`.

    Parameters
    ----------
    start_mm_zyx, spacing_mm_zyx : ndarray of float64, shape (3,)
        First voxel and spacing, in the grid's axis frame.
    soft_hu_zyx : ndarray of float32
        HU cut to -150 to 250.
    vessel_zyx : ndarray of float32
        Likeness to a vessel in fat, 0 to about 1.
    fat_zyx : ndarray of float32
        Share of fat within a few mm, 0 to 1.
    inside_zyx : ndarray of float32
        Heart mask with soft borders.
    depth_mm_zyx : ndarray of float32
        Distance from the outside within the heart mask.
    """

    start_mm_zyx: Float64Array
    spacing_mm_zyx: Float64Array
    soft_hu_zyx: Float32Array
    vessel_zyx: Float32Array
    fat_zyx: Float32Array
    inside_zyx: Float32Array
    depth_mm_zyx: Float32Array

    @property
    def heights_mm(self) -> Float64Array:
        """Heights of the slices, mm."""
        return np.asarray(self.start_mm_zyx[0] + np.arange(len(self.soft_hu_zyx)) * self.spacing_mm_zyx[0])

    @classmethod
    def of(cls, volume: Volume, labels: Labels, frame: HeartFrame) -> Surroundings:
        """Return the surroundings of a labelled heart."""
        spacing = np.array(volume.spacing_mm_zyx)
        margin_mm = np.array([[15.0, 15.0, 25.0], [MM_ABOVE_HEART + 5, 65.0, 25.0]])
        low = np.floor((frame.center_mm_zyx - frame.half_mm_zyx - margin_mm[0]) / spacing).astype(int)
        high = np.ceil((frame.center_mm_zyx + frame.half_mm_zyx + margin_mm[1]) / spacing).astype(int) + 1
        low, high = np.clip(low, 0, None), np.minimum(high, volume.ct_hu_zyx.shape)
        window = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
        stride = max(1, round(ANALYSIS_PIXEL_MM / spacing[1]))
        hu = volume.ct_hu_zyx[window].astype(np.float32)
        inside = (labels.labels_zyx[window] == Label.HEART) | (labels.labels_zyx[window] == Label.CORONARY)
        smooth = ndimage.uniform_filter(hu, (1, stride, stride))[:, ::stride, ::stride]
        inside = inside[:, ::stride, ::stride].astype(np.float32)
        coarse = spacing * (1, stride, stride)
        vessel = _vessel_likeness(smooth, coarse)
        is_fat = ((smooth < FAT_BELOW_HU) & (smooth > FAT_ABOVE_HU)).astype(np.float32)
        fat = ndimage.gaussian_filter(is_fat, (0, *(FAT_REACH_MM / coarse[1:])))
        # The blurred border of the lung has the CT numbers of fat.
        lung = ndimage.gaussian_filter((smooth < -300).astype(np.float32), (0, *(FAT_REACH_MM / coarse[1:])))
        fat *= np.clip(1 - 4 * lung, 0, 1)
        deep = ndimage.distance_transform_edt(np.pad(inside, 1), sampling=coarse)[1:-1, 1:-1, 1:-1].astype(np.float32)
        border = ndimage.gaussian_filter(inside, (0, *(2.0 / coarse[1:])))
        return cls(low * spacing, coarse, np.clip(smooth, -150, 250), vessel, fat, border, deep)

    def sample(self, field_zyx: Float32Array, points_mm_zyx: Float64Array, *, outside: float) -> Float64Array:
        """Return a field's values at points; ``outside`` beyond its borders."""
        index = ((points_mm_zyx - self.start_mm_zyx) / self.spacing_mm_zyx).reshape(-1, 3).T
        values = ndimage.map_coordinates(field_zyx, index, order=1, mode="constant", cval=outside)
        return np.asarray(values, dtype=np.float64).reshape(points_mm_zyx.shape[:-1])


def _vessel_likeness(hu_zyx: Float32Array, spacing_mm: Float64Array) -> Float32Array:
    """Return 0 to about 1 where something narrow and soft stands out of fat, in each slice; 0 near lung."""
    soft = ndimage.gaussian_filter(np.clip(hu_zyx, -130, 60), (0, *(0.8 / spacing_mm[1:])))
    width = tuple(int(n) for n in (1, *np.maximum(3, np.round(VESSEL_WIDTH_MM / spacing_mm[1:]))))
    stands_out = soft - ndimage.grey_opening(soft, size=width)
    lung = ndimage.gaussian_filter((hu_zyx < -300).astype(np.float32), (0, *(3.0 / spacing_mm[1:])))
    near_fat = ndimage.gaussian_filter((hu_zyx < -20).astype(np.float32), (0, *(3.5 / spacing_mm[1:])))
    is_soft = np.clip((soft + 60) / 60, 0, 1)
    likeness = np.clip(stands_out / 80, 0, 1) * is_soft + 0.35 * np.clip(near_fat / 0.4, 0, 1) * is_soft
    return np.asarray(likeness * np.clip(1 - 8 * lung, 0, 1), dtype=np.float32)


def _snap_branch(name: str, frame: HeartFrame, around: Surroundings) -> Float64Array:
    """Return a branch's course pulled sideways to what looks like its vessel."""
    path = _resampled(frame.to_mm_zyx(np.array(COURSES_XYZ[name][1])), STEP_MM)
    tangent = np.gradient(path, axis=0)
    tangent /= np.linalg.norm(tangent, axis=1, keepdims=True)
    first = np.cross(tangent, np.array([0.3, 1.0, 0.2]))
    first /= np.linalg.norm(first, axis=1, keepdims=True)
    second = np.cross(tangent, first)
    offsets = _offsets(SNAP_MM, STEP_MM)
    points = path[:, None] + offsets[None, :, :1] * first[:, None] + offsets[None, :, 1:] * second[:, None]
    likeness = around.sample(around.vessel_zyx, points, outside=0.0)
    inside = around.sample(around.inside_zyx, points, outside=0.0)
    cost = -3.0 * likeness + 6.0 * np.clip(0.97 - inside, 0, 1) + (offsets**2).sum(axis=1) / (2 * 6.0**2)
    if name in ON_THE_SURFACE:
        depth_mm = around.sample(around.depth_mm_zyx, points, outside=0.0)
        cost += 1.5 * np.clip((depth_mm - 9.0) / 6.0, 0, 2)
    chosen = cheapest_course(cost, offsets, stiffness=0.12)
    snapped = points[np.arange(len(path)), chosen]
    smooth = ndimage.gaussian_filter1d(snapped, 1.0, axis=0, mode="nearest")
    return _resampled(smooth, 0.5)


def _beside_spine(frame: HeartFrame, around: Surroundings) -> Float64Array:
    """Return the likely course of the descending aorta, slice by slice: in front and to the left of the vertebrae."""
    course = np.empty((len(around.heights_mm), 3))
    fallback = frame.to_mm_zyx(np.array(DESCENDING_XYZ))
    y_mm, x_mm = (
        around.start_mm_zyx[k] + np.arange(around.soft_hu_zyx.shape[k]) * around.spacing_mm_zyx[k] for k in (1, 2)
    )
    is_near = (y_mm[:, None] > frame.center_mm_zyx[1] + 0.7 * frame.half_mm_zyx[1]) & (
        np.abs(x_mm - frame.center_mm_zyx[2]) < 45.0
    )
    for k, z_mm in enumerate(around.heights_mm):
        course[k] = z_mm, fallback[0, 1], fallback[0, 2]
        row, column = np.nonzero(is_near & (around.soft_hu_zyx[k] > 160))
        if len(row) * around.spacing_mm_zyx[1] ** 2 > MIN_VERTEBRA_MM2:
            middle = np.median(x_mm[column])
            front = np.percentile(y_mm[row[np.abs(x_mm[column] - middle) < 15]], 5)
            course[k, 1:] = front + AORTA_FROM_SPINE_MM_YX[0], middle + AORTA_FROM_SPINE_MM_YX[1]
    course[:, 1:] = ndimage.median_filter(course[:, 1:], (5, 1), mode="nearest")
    return course


def _trace_aorta(
    course_mm_zyx: Float64Array, radii_mm: tuple[float, ...], around: Surroundings, *, reach_mm: float
) -> AortaTrace | None:
    """Return the circles of a stretch of aorta, or ``None`` where fewer than two slices hold it.

    A wide search on a coarse lattice is followed by a narrow one on a fine lattice.
    """
    heights = around.heights_mm
    heights = heights[(heights >= course_mm_zyx[0, 0] - 0.1) & (heights <= course_mm_zyx[-1, 0] + 0.1)]
    if len(heights) < 2:
        return None
    interpolated = (np.interp(heights, course_mm_zyx[:, 0], course_mm_zyx[:, k]) for k in (1, 2))
    prior = np.stack([heights, *interpolated], axis=1)
    coarse = np.array([(y, x, r) for y, x in _offsets(reach_mm, COARSE_STEP_MM) for r in radii_mm[::2]])
    pull = (coarse[:, :2] ** 2).sum(axis=1) / (2 * (0.6 * reach_mm) ** 2)
    center = prior.copy()
    center[:, 1:] += _cheapest_circles(prior, coarse, pull, radii_mm, around)[:, :2]
    fine = np.array([(y, x, r) for y, x in _offsets(COARSE_STEP_MM, AORTA_STEP_MM) for r in radii_mm])
    chosen = _cheapest_circles(center, fine, np.zeros(len(fine)), radii_mm, around)
    center[:, 1:] += chosen[:, :2]
    center[:, 1:] = ndimage.gaussian_filter1d(center[:, 1:], 1.0, axis=0, mode="nearest")
    radius_mm = ndimage.gaussian_filter1d(chosen[:, 2], 1.0, mode="nearest")
    return AortaTrace(center, radius_mm, *_wall_mm(center, radius_mm, around))


def _cheapest_circles(
    center_mm_zyx: Float64Array,
    states: Float64Array,
    pull: Float64Array,
    radii_mm: tuple[float, ...],
    around: Surroundings,
) -> Float64Array:
    """Return the state (dy, dx, radius) of each slice on the cheapest smooth course about given centres."""
    cost = np.stack([_circle_cost(center, states, around) for center in center_mm_zyx])
    cost += pull + 0.15 * ((states[:, 2] - np.mean(radii_mm)) / 2.5) ** 2
    return states[cheapest_course(cost, states, stiffness=0.6 / around.spacing_mm_zyx[0])]


def _shown_part(trace: AortaTrace | None, around: Surroundings) -> AortaTrace | None:
    """Return the longest run of slices whose circle stands out of what is around it; ``None`` below two."""
    if trace is None:
        return None
    standing_out = np.array(
        [
            _standing_out(center, np.array([[0.0, 0.0, radius]]), around)[0]
            for center, radius in zip(trace.center_mm_zyx, trace.radius_mm, strict=True)
        ]
    )
    shown = ndimage.median_filter(standing_out, 5, mode="nearest") >= MIN_STANDING_OUT
    runs, n = ndimage.label(shown)
    if n == 0:
        return None
    longest = runs == 1 + int(np.bincount(runs[runs > 0], minlength=n + 1)[1:].argmax())
    if longest.sum() < 2:
        return None
    return AortaTrace(
        trace.center_mm_zyx[longest], trace.radius_mm[longest], trace.wall_mm[longest], trace.is_seen[longest]
    )


def _circle_cost(center_mm_zyx: Float64Array, states: Float64Array, around: Surroundings) -> Float64Array:
    """Return each circle's (dy, dx, radius) misfit: uneven tissue within less how it stands out."""
    within = np.stack([_ring_hu(center_mm_zyx, states, around, depth=depth) for depth in (0.65, 0.35, 0.15)])
    # Calcium in the wall is no reason against a circle: it counts as little as other bright tissue.
    uneven = np.clip(np.abs(np.minimum(within, 90.0) - 45.0) - 20.0, 0, 120).mean(axis=(0, 2)) / 15
    return np.asarray(uneven - 2.5 * _standing_out(center_mm_zyx, states, around))


def _standing_out(center_mm_zyx: Float64Array, states: Float64Array, around: Surroundings) -> Float64Array:
    """Return how far HU fall across each circle's border, mean over its angles, 0 to 1."""
    radius = states[:, 2]
    inner = _ring_hu(center_mm_zyx, states, around, depth=2.5 / radius)
    outer = _ring_hu(center_mm_zyx, states, around, depth=-2.0 / radius)
    return np.asarray((np.clip(np.minimum(inner, 60.0) - outer, 0, 60) / 60).mean(axis=1))


def _ring_hu(
    center_mm_zyx: Float64Array, states: Float64Array, around: Surroundings, *, depth: float | Float64Array
) -> Float64Array:
    """Return HU on a ring inside each circle (depth as a share of its radius; negative: outside); (states, angles)."""
    angle = np.linspace(0, 2 * np.pi, 16, endpoint=False)
    ring_yx = np.stack([np.sin(angle), np.cos(angle)], axis=1)
    radius_mm = states[:, 2] * (1 - depth)
    yx = center_mm_zyx[1:] + states[:, None, :2] + radius_mm[:, None, None] * ring_yx
    z = np.full((*yx.shape[:2], 1), center_mm_zyx[0])
    return around.sample(around.soft_hu_zyx, np.concatenate([z, yx], axis=2), outside=-150.0)


def cheapest_course(cost: Float64Array, states: Float64Array, *, stiffness: float) -> NDArray[np.intp]:
    """Return the state at each step that minimises the costs plus ``stiffness`` times squared jumps (Viterbi).

    Parameters
    ----------
    cost : ndarray of float64, shape (steps, states)
        Cost of each state at each step.
    states : ndarray of float64, shape (states, k)
        Coordinates between which jumps are measured.
    stiffness : float
        Cost of a jump of length 1.

    Returns
    -------
    ndarray of int, shape (steps,)
        Chosen states; the first of equal ones.
    """
    jump = stiffness * ((states[:, None] - states[None]) ** 2).sum(axis=2)
    total, came_from = cost[0], []
    for step in range(1, len(cost)):
        candidates = total[:, None] + jump
        best = candidates.argmin(axis=0)
        came_from.append(best)
        total = candidates[best, np.arange(len(best))] + cost[step]
    chosen = [int(total.argmin())]
    for best in reversed(came_from):
        chosen.append(int(best[chosen[-1]]))
    return np.array(chosen[::-1], dtype=np.intp)


def _offsets(reach_mm: float, step_mm: float) -> Float64Array:
    """Return a disc of plane offsets, shape (n, 2)."""
    ticks = np.arange(-reach_mm, reach_mm + step_mm / 2, step_mm)
    grid = np.stack(np.meshgrid(ticks, ticks, indexing="ij"), axis=-1).reshape(-1, 2)
    return np.asarray(grid[(grid**2).sum(axis=1) <= reach_mm**2 + 1e-6])


def _resampled(path_mm: Float64Array, step_mm: float) -> Float64Array:
    along = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(path_mm, axis=0), axis=1))])
    at = np.linspace(0, along[-1], max(3, int(np.ceil(along[-1] / step_mm)) + 1))
    return np.stack([np.interp(at, along, path_mm[:, k]) for k in range(3)], axis=1)
