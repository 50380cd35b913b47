"""What a scan shows of the planned calcifications, without painting the scan.

Only the calcium is rendered: over plain surroundings, on a grid like that of the patient's own attenuation CT (or gated
scan), with its point spread, slice profile and noise, each deposit blurred along a straight path as wide as that of
heart and breath. That takes a tenth of a scan's time or less and is what simulated readers of a whole cohort look at.
The grid's offset, the phase of heart and breath and the noise are drawn anew: they obey the scan's laws but are not
those of the scan that `calcmap.simulation.patient.scan_patient` would paint.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage

from calcmap.core.result import Vessel
from calcmap.core.volume import BoolArray, Float32Array, Float64Array, IntArray
from calcmap.simulation.anatomy.person import Person
from calcmap.simulation.calcium.deposits import Deposit, Tissue
from calcmap.simulation.calcium.ideal_scan import SURROUNDINGS_HU
from calcmap.simulation.calcium.rendering import Blur, scaled_to_kvp, seen_by_scanner
from calcmap.simulation.patient import PatientPlan
from calcmap.simulation.scanner.axes import CtAxes
from calcmap.simulation.scanner.motion import deposit_motion, draw_view_times
from calcmap.simulation.scanner.noise import COUNTS_BY_KVP, COUNTS_PER_MAS_MM2, MODULATION_PATH_MM
from calcmap.simulation.scanner.optics import SYSTEM_SIGMA_MM
from calcmap.simulation.scanner.sites import Acquisition
from calcmap.simulation.scanner.spectrum import REFERENCE_KVP, calcium_factor, water_attenuation_per_mm

BACKGROUND_HU = {Tissue.CORONARY: SURROUNDINGS_HU, Tissue.NONCORONARY: 40.0}
"""What lies around calcium: blood, wall and fat at the coronaries, as on the ideal scan; elsewhere blood and muscle."""
NOISE_FACTOR = 1.6
"""Noise of painted scans over that of the formula, which knows no electronic noise, bow-tie or uneven paths."""
AGATSTON_STEPS_HU = (130.0, 200.0, 300.0, 400.0)
SMALLEST_AREA_MM2 = 1.0
REFERENCE_SLICE_MM = 3.0
"""The Agatston rule of the clinical profile (Agatston 1990)."""
CARDIAC_PLACES = frozenset({"aortic_root", "aortic_valve", "mitral_annulus", "ascending_aorta", "pericardium"})
"""Noncoronary calcium near enough to the coronaries to be taken for theirs."""
OSTIAL_MM = 9.0
"""Calcium this near to the left main's or the right coronary's origin may seem the aorta's (our choice)."""
OSTIAL_ROOT_MM = 14.0
"""The same for calcium of the aortic wall, whose middle lies farther out (our choice)."""
LEAST_NOISE_SIGMA_MM = 0.3
"""Sharpest kernel for whose noise the formula holds."""
EXCESS_HU = 25.0
"""A voxel to which deposits add less is not part of a lesion, whatever its noise: as on the label maps of scans."""
NOISE_TILE_ZYX = (16, 64, 64)
MARGIN_MM = 6.0
HEART_WIDTH_MM, LUNG_DENSITY, FAT_DENSITY, WALL_MM = 105.0, 0.22, 0.92, 12.0
"""For the mean water path of a body (our choice; wall without fat and muscle)."""
TOUCHING = np.ones((3, 3, 3), dtype=np.bool_)
TOUCHING_IN_PLANE = np.stack([np.zeros((3, 3)), np.ones((3, 3)), np.zeros((3, 3))]).astype(np.bool_)


@dataclass(frozen=True)
class VisibleLesion:
    """One bright spot as a reader sees it: touching voxels of 130 HU and more, of one deposit or several."""

    tissue: Tissue
    place: str
    """Of the deposit that brightens most of it."""
    vessel: Vessel | None
    """Of coronary lesions."""
    is_ostial: bool
    """Lies where a coronary leaves the aorta."""
    agatston: float
    """0 when no slice shows a large enough piece of it."""
    visible_mm3: float


@dataclass(frozen=True)
class VisibleCalcium:
    """What one scan of a patient shows."""

    lesions: tuple[VisibleLesion, ...]
    """With the scan's noise: coronary ones first."""
    agatston_without_noise: float
    """Of all coronary calcium."""
    noise_sd_hu: float


def visible_calcium(plan: PatientPlan, *, acquisition: Acquisition | None = None, repeat: int = 0) -> VisibleCalcium:
    """Return what a scan shows of the coronary calcium and of noncoronary calcium at the heart.

    Parameters
    ----------
    plan : PatientPlan
        Whom to scan.
    acquisition : Acquisition, optional
        How; by default the plan's own attenuation CT.
    repeat : int
        Number of the scan: another one has its own offset, motion and noise.

    Returns
    -------
    VisibleCalcium
        Lesions with their scores, and the scan's noise.
    """
    acquisition = acquisition or plan.acquisition
    kind = "gated" if acquisition.is_gated else "ungated"
    rng = np.random.default_rng([plan.seed, *plan.site.name.encode(), *f"visibility {kind} {repeat}".encode()])
    sd_hu = noise_sd_hu(plan.anatomy.person, acquisition)
    noise = _noise_tile(rng, acquisition, sd_hu=sd_hu)
    lesions: list[VisibleLesion] = []
    quiet = 0.0
    for tissue in (Tissue.CORONARY, Tissue.NONCORONARY):
        shown = [d for d in plan.deposits if d.tissue is tissue and (d.vessel or d.place in CARDIAC_PLACES)]
        if not shown:
            continue
        field = _rendered(rng, shown, plan, acquisition)
        lesions += _lesions(field, shown, noise, plan, acquisition)
        if tissue is Tissue.CORONARY:
            still = field.added_hu_zyx + np.float32(BACKGROUND_HU[tissue])
            quiet = agatston_of(still, pixel_mm=acquisition.pixel_mm, increment_mm=acquisition.increment_mm)
    return VisibleCalcium(tuple(lesions), quiet, sd_hu)


def noise_sd_hu(person: Person, acquisition: Acquisition) -> float:
    """Return the noise SD that an acquisition has in a person's heart, HU, to about a sixth of it.

    Quantum noise of filtered backprojection behind a mean water path of the body at heart level, for a Gaussian kernel:
    variance = 0.0353 / (sigma^3 counts thickness mu^2), with counts per mm2 of detector.
    """
    mu = water_attenuation_per_mm(acquisition.kvp)
    path_mm = _water_path_mm(person)
    current = np.exp(0.5 * acquisition.modulation * mu * (1.25 * path_mm - MODULATION_PATH_MM))
    counts = COUNTS_PER_MAS_MM2 * acquisition.mas * current * (acquisition.kvp / REFERENCE_KVP) ** COUNTS_BY_KVP
    sigma_mm = np.sqrt(max(acquisition.psf_sigma_mm**2 - SYSTEM_SIGMA_MM**2, LEAST_NOISE_SIGMA_MM**2))
    variance = np.sqrt(np.pi) / (16 * np.pi * sigma_mm**3 * counts * np.exp(-mu * path_mm) * acquisition.thickness_mm)
    return float(NOISE_FACTOR * 1000 * np.sqrt(variance) / mu)


def agatston_of(hu_zyx: Float32Array, *, pixel_mm: float, increment_mm: float) -> float:
    """Return the Agatston score of HU that hold calcium and plain tissue only.

    Slice by slice: 8-connected pixels of 130 HU and more, at least round(1 mm2 / pixel area) of them and never fewer
    than one; area times 1 to 4 by the lesion's highest HU (130, 200, 300, 400), times increment / 3 mm.
    """
    box = _box_of(hu_zyx >= AGATSTON_STEPS_HU[0])
    if box is None:
        return 0.0
    _, scores = _pieces(hu_zyx[box], pixel_mm=pixel_mm, increment_mm=increment_mm)
    return float(scores.sum())


def is_at_ostium(place: str, middle_mm: Float64Array, ostia_mm: Sequence[Float64Array]) -> bool:
    """Tell whether a deposit of a place, with its middle at (x, y, z) mm, lies where a coronary leaves the aorta."""
    reach_mm = {"LM": OSTIAL_MM, "RCA": OSTIAL_MM, "aortic_root": OSTIAL_ROOT_MM}.get(place)
    return reach_mm is not None and any(float(np.linalg.norm(middle_mm - ostium)) <= reach_mm for ostium in ostia_mm)


@dataclass(frozen=True, eq=False)
class _Field:
    """Calcium of one kind on the scan's grid."""

    added_hu_zyx: Float32Array
    owner_zyx: IntArray
    """Index of the deposit that adds most to each voxel."""


def _rendered(
    rng: np.random.Generator, deposits: Sequence[Deposit], plan: PatientPlan, acquisition: Acquisition
) -> _Field:
    """Return what deposits add to a grid around them all."""
    steps = np.array([acquisition.pixel_mm, acquisition.pixel_mm, acquisition.increment_mm])
    low = np.min([deposit.parts_mm.min(axis=0) for deposit in deposits], axis=0) - MARGIN_MM - rng.uniform(1, 2) * steps
    high = np.max([deposit.parts_mm.max(axis=0) for deposit in deposits], axis=0) + MARGIN_MM + steps
    x_mm, y_mm, z_mm = (
        a + step * np.arange(np.ceil((b - a) / step) + 1) for a, b, step in zip(low, high, steps, strict=True)
    )
    axes = CtAxes(z_mm=z_mm, y_mm=y_mm, x_mm=x_mm)
    times = draw_view_times(rng, z_mm=z_mm, acquisition=acquisition)
    added = np.zeros((len(z_mm), len(y_mm), len(x_mm)), dtype=np.float32)
    most, owner = np.zeros_like(added), np.zeros(added.shape, dtype=np.int32)
    factor = calcium_factor(acquisition.kvp)
    for k, deposit in enumerate(deposits):
        middle_mm = deposit.parts_mm.mean(axis=0)
        motion = deposit_motion(times, center_mm=middle_mm, share=deposit.motion_share, frame=plan.anatomy.frame)
        path = _straight(motion.displacement_mm[int(np.argmin(np.abs(z_mm - middle_mm[2])))].reshape(-1, 3))
        blur = Blur(acquisition.psf_sigma_mm, acquisition.thickness_mm, path, edge=acquisition.edge)
        # the path is the deposit's own already
        found = seen_by_scanner(replace(scaled_to_kvp(deposit, factor=factor), motion_share=1.0), axes=axes, blur=blur)
        if found is None:
            continue
        box, own = found
        added[box] += own
        is_most = own > most[box]
        owner[box][is_most] = k
        most[box][is_most] = own[is_most]
    return _Field(added, owner)


def _straight(displacement_mm: Float64Array) -> tuple[float, float, float]:
    """Return the straight path (x, y, z) that spreads as wide as displacements, shape (n, 3)."""
    _, spread, axes = np.linalg.svd(displacement_mm - displacement_mm.mean(axis=0), full_matrices=False)
    # an even path of length l has SD l / sqrt(12)
    x, y, z = float(np.sqrt(12 / len(displacement_mm)) * spread[0]) * axes[0]
    return float(x), float(y), float(z)


def _lesions(
    field: _Field, deposits: Sequence[Deposit], noise_zyx: Float32Array, plan: PatientPlan, acquisition: Acquisition
) -> list[VisibleLesion]:
    background = BACKGROUND_HU[deposits[0].tissue]
    at = np.nonzero(field.added_hu_zyx >= EXCESS_HU)
    noisy = np.full(field.added_hu_zyx.shape, background, dtype=np.float32)
    noisy[at] += field.added_hu_zyx[at] + noise_zyx[tuple(i % n for i, n in zip(at, NOISE_TILE_ZYX, strict=True))]
    box = _box_of(noisy >= AGATSTON_STEPS_HU[0])
    if box is None:
        return []
    noisy, owner, added = noisy[box], field.owner_zyx[box], field.added_hu_zyx[box]
    bright = noisy >= AGATSTON_STEPS_HU[0]
    spots, n = ndimage.label(bright, TOUCHING)
    spot = spots[bright]
    pieces, piece_scores = _pieces(noisy, pixel_mm=acquisition.pixel_mm, increment_mm=acquisition.increment_mm)
    # all of a piece lies in one spot
    spot_of_piece = np.zeros(len(piece_scores) + 1, dtype=spot.dtype)
    spot_of_piece[pieces[bright]] = spot
    score = np.bincount(spot_of_piece[1:], weights=piece_scores, minlength=n + 1)
    volumes = np.bincount(spot, minlength=n + 1) * acquisition.pixel_mm**2 * acquisition.increment_mm
    main = _main_owner(spot, owner[bright], added[bright], n_owners=len(deposits))
    ostia_mm = [branch.points_mm[0] for branch in plan.coronaries if branch.name in {"LM", "RCA"}]
    return [
        VisibleLesion(
            tissue=deposit.tissue, place=deposit.place,
            vessel=deposit.vessel if deposit.tissue is Tissue.CORONARY else None,
            is_ostial=is_at_ostium(deposit.place, deposit.parts_mm.mean(axis=0), ostia_mm),
            agatston=float(score[k]), visible_mm3=float(volumes[k]),
        )
        for k, deposit in ((k, deposits[main[k]]) for k in range(1, n + 1))
    ]  # fmt: skip


def _box_of(mask_zyx: BoolArray) -> tuple[slice, ...] | None:
    """Return the smallest box that holds a mask; most of a scan around calcium is empty."""
    boxes = ndimage.find_objects(mask_zyx.view(np.uint8))
    return boxes[0] if boxes else None


def _main_owner(spot: IntArray, owner: IntArray, weight: Float32Array, *, n_owners: int) -> IntArray:
    """Return which deposit brightens most of each spot; arguments are one value a voxel."""
    table = np.zeros((int(spot.max()) + 1, n_owners))
    np.add.at(table, (spot, owner), weight)
    main: IntArray = table.argmax(axis=1)
    return main


def _pieces(hu_zyx: Float32Array, *, pixel_mm: float, increment_mm: float) -> tuple[IntArray, Float64Array]:
    """Return the lesions of single slices as labels from 1 on, and each one's Agatston score."""
    bright: BoolArray = hu_zyx >= AGATSTON_STEPS_HU[0]
    labels, n = ndimage.label(bright, TOUCHING_IN_PLANE)
    piece = labels[bright]
    pixels = np.bincount(piece, minlength=n + 1)[1:]
    peaks = np.full(n + 1, -np.inf)
    np.maximum.at(peaks, piece, hu_zyx[bright])
    weights = np.searchsorted(AGATSTON_STEPS_HU, peaks[1:], side="right")
    area_mm2 = pixel_mm**2
    counts = pixels >= max(1, round(SMALLEST_AREA_MM2 / area_mm2))
    scores: Float64Array = (pixels * weights * counts).astype(np.float64) * area_mm2 * increment_mm / REFERENCE_SLICE_MM
    return labels, scores


def _noise_tile(rng: np.random.Generator, acquisition: Acquisition, *, sd_hu: float) -> Float32Array:
    """Return periodic noise of a given SD, smooth within the slice as the kernel makes it."""
    sigma_px = acquisition.psf_sigma_mm / acquisition.pixel_mm
    white = rng.standard_normal(NOISE_TILE_ZYX, dtype=np.float32)
    smooth = ndimage.gaussian_filter(white, (0, sigma_px, sigma_px), mode="wrap")
    tile: Float32Array = smooth * np.float32(sd_hu / smooth.std())
    return tile


def _water_path_mm(person: Person) -> float:
    """Return the mean path through the body at heart level, across and from front to back, as mm of water."""
    heart = HEART_WIDTH_MM * person.heart_scale_xyz[0]
    lungs = LUNG_DENSITY * max(2 * person.chest_half_width_mm - heart, 0)
    across = heart + lungs + 2 * (WALL_MM + person.muscle_mm + FAT_DENSITY * person.fat_mm)
    deep = (
        0.8 * 2 * person.chest_half_depth_mm
        + 2 * WALL_MM
        + FAT_DENSITY * (1.2 * person.fat_mm + 0.5 * person.breast_mm)
    )
    return 0.5 * (across + deep)
