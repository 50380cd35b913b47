"""Scans of the phantom: by a vendor's calcium-scoring protocol, or by any site's attenuation CT."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy import fft

from calcmap.core.errors import ConfigError
from calcmap.core.volume import (
    BoolArray,
    Float32Array,
    Float64Array,
    Grid,
    Label,
    Labels,
    UInt8Array,
    Volume,
    grid_from_spacing,
)
from calcmap.simulation.anatomy.heart import HeartFrame
from calcmap.simulation.calcium.deposits import HU_PER_MG_CM3
from calcmap.simulation.calcium.rendering import Blur, seen_by_scanner
from calcmap.simulation.phantom.geometry import (
    AIR_HU,
    BODY_CENTER_Y_MM,
    BODY_RADII_MM,
    BODY_Z_MM,
    INSERTS,
    RING_RADII_MM,
    ROD_Z_MM,
    TISSUE_ABOVE_WATER_HU,
    Insert,
    MaterialHu,
    PhantomSize,
    body_plane_hu,
    phantom_deposits,
    placed,
    share_in_slices,
)
from calcmap.simulation.phantom.scanners import PhantomScanner, Protocol
from calcmap.simulation.scanner.axes import CtAxes
from calcmap.simulation.scanner.imaging import Scene, take_picture, to_hounsfield
from calcmap.simulation.scanner.sites import Acquisition
from calcmap.simulation.scanner.spectrum import calcium_factor

THRESHOLD_HU = 130
SHIFT_MM = 5.0
TURN_DEG = 3.0
"""Largest shift and turn of the phantom between repetitions (our choice for the publication's "small")."""
REACH_MM = 2.5
"""How far around its outline an insert's voxels are looked for: an edge blurred by 0.7 mm falls below 130 HU there."""
REACH_SIGMAS = 3.0
NOISE_SIGMA_SHARE = 0.68
"""Blur that noise went through over that of the picture: focal spot and detector do not blur noise. From the noise
power spectrum of a real scan, (f + 0.05) exp(-(f / 0.34)^2), beside a point spread of 0.69 mm."""
NOISE_FLOOR_PER_MM = 0.05
CANVAS_MM, CANVAS_SLICE_MM = 1.35, 2.0
CANVAS_EDGE_MM = 0.4 * CANVAS_MM
CANVAS_MARGIN_MM = 12.0
SITE_WATER_HU = 0.0


@dataclass(frozen=True, eq=False)
class SimulatedPhantom:
    """A scan of the phantom and its truth."""

    volume: Volume
    labels: Labels
    """`Label.CORONARY` where a voxel of an insert's surroundings has at least 130 HU."""
    inserts: tuple[Insert, ...]
    """As they lay: with their nominal mass, in the coordinates of the volume."""
    insert_zyx: UInt8Array
    """Number of the insert (from 1, in the order of ``inserts``) whose surroundings a voxel belongs to; 0 for none."""
    mass_factor: float
    """Calibration by the rods: mg per cm3 and HU."""

    def labels_of(self, insert: Insert) -> UInt8Array:
        """Return the labels of one insert alone, 0 elsewhere."""
        is_own: BoolArray = self.insert_zyx == 1 + self.inserts.index(insert)
        return np.where(is_own, self.labels.labels_zyx, np.uint8(Label.BACKGROUND))


def simulate_phantom(
    *,
    seed: int,
    scanner: PhantomScanner,
    size: PhantomSize = PhantomSize.SMALL,
    z_mm: tuple[float, float] = BODY_Z_MM,
) -> SimulatedPhantom:
    """Return a vendor's calcium scan of the phantom; the same arguments give the same bytes.

    Parameters
    ----------
    seed : int
        Of one repetition: shift, turn, place of the slices, noise. Non-negative.
    scanner : PhantomScanner
        Which scanner; a smaller ``matrix`` gives a smaller field of view about the heart insert.
    size : PhantomSize
        Without or with extension ring.
    z_mm : tuple of float
        Lowest and highest slice centre relative to the calcifications' plane; the whole phantom by default.

    Returns
    -------
    SimulatedPhantom
        CT of int16 HU with the calcifications' plane near z = 0.

    Raises
    ------
    ConfigError
        The seed is negative, no slice lies between the heights, or the scanner has no such size.
    """
    protocol = scanner.protocol(size)
    _check(seed, z_mm, scanner.increment_mm)
    rng = np.random.default_rng([seed, *f"{scanner.name} {size}".encode()])
    turn = float(np.deg2rad(rng.uniform(-TURN_DEG, TURN_DEG)))
    inserts = placed(INSERTS, turn_rad=turn, tilt_deg_xy=protocol.alignment.tilt_deg_xy)
    axes = _axes(rng, scanner, protocol, z_mm)
    hu = _body_zyx(axes, size, protocol, scanner.thickness_mm)
    blur = Blur(protocol.psf_sigma_mm, scanner.thickness_mm)
    for deposit in phantom_deposits(protocol.materials, inserts=inserts):
        found = seen_by_scanner(deposit, axes=axes, blur=blur)
        if found is not None:
            hu[found[0]] += found[1]
    for plane in hu:
        plane += protocol.noise_sd_hu * noise_plane(
            rng, n_pixels=scanner.matrix, pixel_mm=scanner.pixel_mm, sigma_mm=protocol.psf_sigma_mm
        )
    return _with_truth(Volume(to_hounsfield(hu), _grid(axes)), axes, inserts, blur, protocol.mass_factor)


def scan_phantom(acquisition: Acquisition, *, seed: int, size: PhantomSize = PhantomSize.SMALL) -> SimulatedPhantom:
    """Return the phantom as a site's attenuation CT shows it: its voltage, dose, kernel, slices and artefacts.

    Parameters
    ----------
    acquisition : Acquisition
        Of any site; heart beat and breath are ignored, for the phantom has none.
    seed : int
        Of the place of the slices, the table and the noise. Non-negative.
    size : PhantomSize
        Without or with extension ring.

    Returns
    -------
    SimulatedPhantom
        The mass factor is that of the simulator's calcium at the acquisition's voltage.

    Raises
    ------
    ConfigError
        The seed is negative.
    """
    _check(seed, BODY_Z_MM, acquisition.increment_mm)
    still = replace(acquisition, beat_share=0.0, breath_mm=0.0)
    rng = np.random.default_rng([seed, *f"site {size}".encode()])
    across = _centered_mm(still.matrix, still.pixel_mm)
    start = BODY_Z_MM[0] + rng.uniform(0, still.increment_mm)
    axes = CtAxes(
        np.arange(start, BODY_Z_MM[1], still.increment_mm),
        across + BODY_CENTER_Y_MM + rng.uniform(-SHIFT_MM, SHIFT_MM),
        across + rng.uniform(-SHIFT_MM, SHIFT_MM),
    )
    materials = MaterialHu(SITE_WATER_HU, SITE_WATER_HU + TISSUE_ABOVE_WATER_HU, HU_PER_MG_CM3)
    picture = take_picture(
        rng, _scene(size, materials), deposits=phantom_deposits(materials), axes=axes, acquisition=still
    )
    blur = Blur(still.psf_sigma_mm, still.thickness_mm)
    factor = 1 / (HU_PER_MG_CM3 * calcium_factor(still.kvp))
    return _with_truth(Volume(picture.ct_hu_zyx, _grid(axes)), axes, INSERTS, blur, factor)


def noise_plane(rng: np.random.Generator, *, n_pixels: int, pixel_mm: float, sigma_mm: float) -> Float32Array:
    """Return noise of SD 1 with the spectrum of filtered backprojection behind a kernel, shape (n_pixels, n_pixels)."""
    frequency = np.hypot(fft.fftfreq(n_pixels, pixel_mm)[:, None], fft.rfftfreq(n_pixels, pixel_mm)[None, :])
    blur = np.exp(-2 * (np.pi * NOISE_SIGMA_SHARE * sigma_mm * frequency) ** 2)
    amplitude = np.sqrt(frequency + NOISE_FLOOR_PER_MM) * blur
    # all but the first and, for an even number, the last column stand for two frequencies each
    times = np.full(amplitude.shape[1], 2.0)
    times[0] = 1.0
    if n_pixels % 2 == 0:
        times[-1] = 1.0
    amplitude /= np.sqrt((times * amplitude**2).sum() / n_pixels**2)
    white = fft.rfft2(rng.standard_normal((n_pixels, n_pixels), dtype=np.float32))
    noise: Float32Array = fft.irfft2(white * amplitude, s=(n_pixels, n_pixels)).astype(np.float32)
    return noise


def _check(seed: int, z_mm: tuple[float, float], increment_mm: float) -> None:
    if seed < 0 or z_mm[1] - z_mm[0] < increment_mm:
        raise ConfigError(f"seed is {seed} and heights {z_mm}, expected 0 or more and at least {increment_mm:g} mm")


def _axes(rng: np.random.Generator, scanner: PhantomScanner, protocol: Protocol, z_mm: tuple[float, float]) -> CtAxes:
    across = _centered_mm(scanner.matrix, scanner.pixel_mm)
    alignment = protocol.alignment
    shift_y, shift_x = rng.uniform(-SHIFT_MM, SHIFT_MM, 2)
    offset = scanner.increment_mm * (alignment.start_phase + alignment.start_spread * rng.uniform(-0.5, 0.5))
    first = int(np.ceil((z_mm[0] - offset) / scanner.increment_mm))
    last = int(np.floor((z_mm[1] - offset) / scanner.increment_mm))
    z = offset + scanner.increment_mm * np.arange(first, last + 1, dtype=np.float64)
    return CtAxes(z, across + shift_y, across + shift_x)


def _centered_mm(n: int, step_mm: float) -> Float64Array:
    centers: Float64Array = np.arange(n, dtype=np.float64) * step_mm
    centers -= centers.mean()
    return centers


def _body_zyx(axes: CtAxes, size: PhantomSize, protocol: Protocol, thickness_mm: float) -> Float32Array:
    """Return the phantom without calcifications and noise on the CT's voxels."""
    body, rods = (
        share_in_slices(axes.z_mm, extent_mm=extent, thickness_mm=thickness_mm) for extent in (BODY_Z_MM, ROD_Z_MM)
    )
    plain = body_plane_hu(axes.y_mm, axes.x_mm, size=size, materials=protocol.materials,
                          blur_mm=protocol.psf_sigma_mm, has_rods=False)  # fmt: skip
    if not rods.any():
        return _stacked(plain, plain, body, rods)
    with_rods = body_plane_hu(axes.y_mm, axes.x_mm, size=size, materials=protocol.materials,
                              blur_mm=protocol.psf_sigma_mm, has_rods=True)  # fmt: skip
    return _stacked(plain, with_rods, body, rods)


def _stacked(
    plain_yx: Float64Array, with_rods_yx: Float64Array, body_z: Float64Array, rods_z: Float64Array
) -> Float32Array:
    """Return slices of body, rods and air by their shares."""
    above_air = (plain_yx - AIR_HU).astype(np.float32)
    added = (with_rods_yx - plain_yx).astype(np.float32)
    stack: Float32Array = body_z.astype(np.float32)[:, None, None] * above_air + np.float32(AIR_HU)
    for k in np.flatnonzero(rods_z):
        stack[k] += np.float32(rods_z[k]) * added
    return stack


def _scene(size: PhantomSize, materials: MaterialHu) -> Scene:
    """Return the phantom on a working grid as coarse as that of patients; nothing in it moves."""
    radii = RING_RADII_MM if size is PhantomSize.LARGE else BODY_RADII_MM
    x = np.arange(-radii[0] - CANVAS_MARGIN_MM, radii[0] + CANVAS_MARGIN_MM, CANVAS_MM)
    y = BODY_CENTER_Y_MM + np.arange(-radii[1] - CANVAS_MARGIN_MM, radii[1] + CANVAS_MARGIN_MM, CANVAS_MM)
    z = np.arange(BODY_Z_MM[0] - CANVAS_MARGIN_MM, BODY_Z_MM[1] + CANVAS_MARGIN_MM, CANVAS_SLICE_MM)
    plain, with_rods = (
        body_plane_hu(y, x, size=size, materials=materials, blur_mm=CANVAS_EDGE_MM, has_rods=has_rods)
        for has_rods in (False, True)
    )
    body, rods = (
        share_in_slices(z, extent_mm=extent, thickness_mm=CANVAS_SLICE_MM) for extent in (BODY_Z_MM, ROD_Z_MM)
    )
    hu = _stacked(plain, with_rods, body, rods)
    return Scene(
        hu, np.zeros_like(hu), (z, y, x), np.zeros((len(y), len(x)), dtype=np.float32),
        HeartFrame(np.zeros(3), np.eye(3)), back_mm=BODY_CENTER_Y_MM + radii[1],
    )  # fmt: skip


def _grid(axes: CtAxes) -> Grid:
    increment = float(axes.z_mm[1] - axes.z_mm[0])
    return grid_from_spacing(
        (len(axes.z_mm), len(axes.y_mm), len(axes.x_mm)),
        (increment, axes.pixel_mm, axes.pixel_mm),
        origin_lps_mm=(float(axes.x_mm[0]), float(axes.y_mm[0]), float(axes.z_mm[0])),
    )


def _with_truth(
    volume: Volume, axes: CtAxes, inserts: tuple[Insert, ...], blur: Blur, mass_factor: float
) -> SimulatedPhantom:
    """Return a scan with the surroundings of its inserts and their labels."""
    insert_zyx = np.zeros(volume.ct_hu_zyx.shape, dtype=np.uint8)
    reach = max(REACH_MM, REACH_SIGMAS * blur.sigma_mm)
    for number, insert in enumerate(inserts, start=1):
        radius = insert.diameter_mm / 2
        x, y, z = (slice(*np.searchsorted(axis, [at - far, at + far])) for axis, at, far in (
            (axes.x_mm, insert.center_mm[0], radius + reach),
            (axes.y_mm, insert.center_mm[1], radius + reach),
            (axes.z_mm, insert.center_mm[2], radius + blur.thickness_mm / 2),
        ))  # fmt: skip
        distance = np.hypot(axes.x_mm[x] - insert.center_mm[0], axes.y_mm[y, None] - insert.center_mm[1])
        insert_zyx[z, y, x][:, distance <= radius + reach] = number
    is_calcium = (insert_zyx > 0) & (volume.ct_hu_zyx >= THRESHOLD_HU)
    labels = np.where(is_calcium, np.uint8(Label.CORONARY), np.uint8(Label.BACKGROUND))
    return SimulatedPhantom(volume, Labels(labels, volume.grid), inserts, insert_zyx, mass_factor)
