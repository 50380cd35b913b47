"""One simulated patient: a thorax, its calcium, a scan of both, and the truth about them."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace

import numpy as np
from scipy import ndimage

from calcmap.core.errors import ConfigError
from calcmap.core.result import Vessel
from calcmap.core.volume import (
    Float32Array,
    Float64Array,
    Label,
    Labels,
    UInt8Array,
    Volume,
    grid_from_spacing,
)
from calcmap.simulation.anatomy.chest import paint_thorax
from calcmap.simulation.anatomy.coronaries import CoronaryBranch, draw_coronaries
from calcmap.simulation.anatomy.deformation import draw_deformation
from calcmap.simulation.anatomy.heart import LEFT_MAIN_MM, TOP_ABOVE_LEFT_MAIN_MM, HeartFrame, heart_frame
from calcmap.simulation.anatomy.person import Person, draw_person
from calcmap.simulation.anatomy.shapes import Canvas
from calcmap.simulation.anatomy.thorax import TILE, WALL_MM, Anatomy, Thorax, smooth_step
from calcmap.simulation.calcium.burden import (
    CATEGORY_SHARES,
    draw_category,
    draw_coronary_deposits,
    draw_target_score,
)
from calcmap.simulation.calcium.deposits import Deposit, Tissue
from calcmap.simulation.calcium.devices import DeviceRecipe, draw_devices, settled_on_skin
from calcmap.simulation.calcium.noncoronary import draw_noncoronary_deposits
from calcmap.simulation.population.profile import Profile, draw_profile
from calcmap.simulation.scanner.axes import CtAxes
from calcmap.simulation.scanner.imaging import Picture, Scene, one_contour_a_slice, take_picture
from calcmap.simulation.scanner.noise import polar_grids
from calcmap.simulation.scanner.sites import Acquisition, Site, draw_acquisition

WORKING_STEP_MM = 1.35
WORKING_SLICE_MM = 2.0
THICK_MM, THICK_WORKING_SLICE_MM = 4.8, 2.5
"""Slices from this thickness on are made of planes this far apart (our choice, for speed)."""
DEFORMATION_SD_MM = 3.2
FARTHEST_BELOW_MM, FARTHEST_ABOVE_MM = 260.0, 300.0
"""Heights about the heart's middle that no scan leaves: the body bends the same way in every scan of a patient."""
SHOULDERS_FROM_MM = 80.0
"""Height above the heart's middle from which raised arms make the body wider than the chest."""
SHOULDER_MM = 18.0
"""By how much, on each side (eight simulated patients: up to 15 mm)."""
VISIBLE_HU = 25.0
"""A pixel belongs to a deposit when the deposit adds at least this (our choice: about one noise SD)."""
THRESHOLD_HU = 130
BONE_HU = 115.0
"""Without calcium a pixel already this bright is bone or cartilage, and no reader would call it a lesion."""
LABEL_OF_TISSUE = {Tissue.NONCORONARY: Label.NONCORONARY, Tissue.CORONARY: Label.CORONARY}


@dataclass(frozen=True)
class Recipe:
    """What to draw, when not as nature does.

    Parameters
    ----------
    category : int or None
        Force a score category, 0 to 3; ``None`` draws it from ``category_shares``.
    category_shares : tuple of float
        Shares of the four categories.
    noncoronary_factor : float
        Multiplies the prevalence of calcium outside the coronaries.
    devices : DeviceRecipe
        How often each device is there.

    Raises
    ------
    ConfigError
        The category is not 0 to 3, shares are not four non-negative numbers with a positive sum, or the factor is
        negative.
    """

    category: int | None = None
    category_shares: tuple[float, ...] = CATEGORY_SHARES
    noncoronary_factor: float = 1.0
    devices: DeviceRecipe = field(default_factory=DeviceRecipe)

    def __post_init__(self) -> None:
        complaints = []
        if self.category is not None and self.category not in range(len(CATEGORY_SHARES)):
            complaints.append(f"category is {self.category}, expected 0 to {len(CATEGORY_SHARES) - 1} or none")
        shares = self.category_shares
        if len(shares) != len(CATEGORY_SHARES) or min(shares) < 0 or sum(shares) <= 0:
            complaints.append(f"category_shares are {shares}, expected four non-negative shares, not all zero")
        if self.noncoronary_factor < 0:
            complaints.append(f"noncoronary_factor is {self.noncoronary_factor}, expected 0 or more")
        if complaints:
            raise ConfigError("; ".join(complaints))


@dataclass(frozen=True)
class DepositFacts:
    """One calcification, as planted."""

    tissue: Tissue
    place: str
    volume_mm3: float
    center_mm: tuple[float, float, float]
    vessel: Vessel | None = None
    """Which vessel of a calcium report it counts for."""
    mass_mg: float = 0.0
    """Hydroxyapatite."""


@dataclass(frozen=True)
class PatientFacts:
    """What is known of a simulated patient."""

    seed: int
    site: str
    sex: str
    age_years: float
    height_cm: float
    bmi: float
    acquisition: Acquisition
    category: int
    """Of the ideal score, 0 to 3."""
    ideal_agatston: float
    """What a sharp, still, noise-free gated scan would give."""
    heart_volume_ml: float
    """Of the heart label (with the calcium inside it)."""
    deposits: tuple[DepositFacts, ...] = field(default=())


@dataclass(frozen=True)
class SimulatedPatient:
    """A scan, its truth and the facts behind both."""

    volume: Volume
    labels: Labels
    facts: PatientFacts
    coronaries: tuple[CoronaryBranch, ...]
    """Centre lines in patient coordinates, mm."""


@dataclass(frozen=True)
class PatientPlan:
    """A patient before any picture: everything that can be known without painting."""

    seed: int
    site: Site
    profile: Profile
    anatomy: Anatomy
    acquisition: Acquisition
    """Of the attenuation CT."""
    coronaries: tuple[CoronaryBranch, ...]
    """Centre lines in patient coordinates, mm."""
    deposits: tuple[Deposit, ...]
    """Calcifications in patient coordinates."""
    ideal_agatston: float
    """What a sharp, still, noise-free gated scan would give."""
    scale: int = 1


def simulate_patient(
    seed: int, *, site: Site, profile: Profile | None = None, recipe: Recipe | None = None, scale: int = 1
) -> SimulatedPatient:
    """Return one simulated patient, planned by `plan_patient` and scanned by `scan_patient`."""
    return scan_patient(plan_patient(seed, site=site, profile=profile, recipe=recipe, scale=scale))


def plan_patient(
    seed: int, *, site: Site, profile: Profile | None = None, recipe: Recipe | None = None, scale: int = 1
) -> PatientPlan:
    """Return who is scanned and how, with every calcification, but without a picture.

    Parameters
    ----------
    seed : int
        Non-negative.
    site : Site
        Scan protocol.
    profile : Profile, optional
        Row of a clinical table; drawn from the recipe by default.
    recipe : Recipe, optional
        What to draw; nature by default.
    scale : int
        Coarseness for tests: pixels and working grid are ``scale`` times larger, the matrix that much smaller.

    Returns
    -------
    PatientPlan
        Same arguments, same plan.

    Raises
    ------
    ConfigError
        ``scale`` is below 1 or ``seed`` is negative.
    """
    if scale < 1 or seed < 0:
        raise ConfigError(f"scale is {scale} and seed {seed}, expected at least 1 and 0")
    recipe = recipe or Recipe()
    profile = profile or _draw_profile(_stream(seed, site, "profile"), recipe)
    anatomy = _draw_anatomy(_stream(seed, site, "anatomy"), profile, site)
    acquisition = _coarser(draw_acquisition(_stream(seed, site, "acquisition"), site=site), scale=scale)
    rng = _stream(seed, site, "coronaries")
    branches = draw_coronaries(rng, anatomy=anatomy)
    rng = _stream(seed, site, "calcium")
    target = draw_target_score(rng, category=profile.category, age_years=profile.age_years, sex=profile.sex)
    coronary, ideal = draw_coronary_deposits(rng, branches=branches, category=profile.category, target_score=target)
    factor = recipe.noncoronary_factor * site.noncoronary_factor
    noncoronary = draw_noncoronary_deposits(
        _stream(seed, site, "noncoronary"), anatomy=anatomy, branches=branches, factor=factor, category=profile.category
    )
    devices = draw_devices(_stream(seed, site, "devices"), anatomy=anatomy, branches=branches, recipe=recipe.devices)
    return PatientPlan(
        seed=seed, site=site, profile=profile, anatomy=anatomy, acquisition=acquisition,
        coronaries=branches,
        deposits=(*coronary, *noncoronary, *devices),
        ideal_agatston=ideal, scale=scale,
    )  # fmt: skip


def scan_patient(plan: PatientPlan, *, acquisition: Acquisition | None = None, repeat: int = 0) -> SimulatedPatient:
    """Return a planned patient's scan; the same plan, acquisition and repeat give the same bytes.

    Parameters
    ----------
    plan : PatientPlan
        Whom to scan.
    acquisition : Acquisition, optional
        How; by default the plan's own attenuation CT.
    repeat : int
        Number of the scan of this patient: another one has its own noise, heart beat and breath.

    Returns
    -------
    SimulatedPatient
        CT (int16 HU, canonical axes) and labels: 1 heart, 2 coronary, 3 noncoronary calcium: the voxels of at least
        130 HU of this very image to which a deposit adds `VISIBLE_HU` or more, bone left out.
    """
    acquisition = acquisition or plan.acquisition
    thorax = _thorax_of(plan, acquisition)
    rng = _stream(plan.seed, plan.site, f"scan {repeat}")
    volume, labels = _scan(rng, thorax, plan.coronaries, plan.deposits, acquisition)
    heart_ml = float(np.count_nonzero(_heart_of(labels.labels_zyx))) * volume.grid.voxel_volume_mm3 / 1000
    return SimulatedPatient(volume, labels, _facts(plan, acquisition, heart_ml), plan.coronaries)


def _facts(plan: PatientPlan, acquisition: Acquisition, heart_ml: float) -> PatientFacts:
    profile = plan.profile
    return PatientFacts(
        seed=plan.seed, site=plan.site.name, sex=profile.sex, age_years=profile.age_years,
        height_cm=profile.height_cm, bmi=profile.bmi, acquisition=acquisition, category=profile.category,
        ideal_agatston=plan.ideal_agatston, heart_volume_ml=heart_ml,
        deposits=tuple(_facts_of(deposit) for deposit in plan.deposits),
    )  # fmt: skip


def _stream(seed: int, site: Site, name: str) -> np.random.Generator:
    """Return the random numbers of one purpose: what one draws never changes what another gets."""
    return np.random.default_rng([seed, *site.name.encode(), *name.encode()])


def _draw_profile(rng: np.random.Generator, recipe: Recipe) -> Profile:
    category = recipe.category
    if category is None:
        category = draw_category(rng, shares=recipe.category_shares)
    return draw_profile(rng, category=category)


def simulate_cohort(
    n: int, *, seed: int, site: Site, recipe: Recipe | None = None, scale: int = 1
) -> Iterator[SimulatedPatient]:
    """Yield ``n`` patients one by one; patient k has the seed that ``seed`` and k alone determine."""
    for k in range(n):
        yield simulate_patient(patient_seed(seed, k), site=site, recipe=recipe, scale=scale)


def patient_seed(cohort_seed: int, number: int) -> int:
    """Return the seed of one patient of a cohort, whatever the number of patients or workers."""
    return int(np.random.SeedSequence([cohort_seed, number]).generate_state(1, np.uint32)[0])


def _coarser(acquisition: Acquisition, *, scale: int) -> Acquisition:
    return replace(acquisition, pixel_mm=acquisition.pixel_mm * scale, matrix=acquisition.matrix // scale)


def _facts_of(deposit: Deposit) -> DepositFacts:
    x, y, z = (float(v) for v in deposit.parts_mm.mean(axis=0))
    return DepositFacts(deposit.tissue, deposit.place, deposit.volume_mm3, (x, y, z), deposit.vessel, deposit.mass_mg)


def _draw_anatomy(rng: np.random.Generator, profile: Profile, site: Site) -> Anatomy:
    person = draw_person(rng, profile=profile, spread=site.body_spread, arms_down_share=site.arms_down_share)
    frame = heart_frame(person)
    low, high = _corners_mm(person, low_mm=frame.center_mm[2] - FARTHEST_BELOW_MM,
                            high_mm=frame.center_mm[2] + FARTHEST_ABOVE_MM)  # fmt: skip
    return Anatomy(person, frame, draw_deformation(rng, low_mm_xyz=low, high_mm_xyz=high, sd_mm=DEFORMATION_SD_MM))


def _corners_mm(person: Person, *, low_mm: float, high_mm: float) -> tuple[Float64Array, Float64Array]:
    """Return the lowest and highest corner of what may hold body between two heights."""
    arm = 100.0 if person.has_arms_down else 0.0
    half_x = person.chest_half_width_mm + WALL_MM + 1.3 * person.fat_mm + 4.0 * person.muscle_mm + arm
    front = -person.chest_half_depth_mm - WALL_MM - 1.2 * person.fat_mm - person.breast_mm - 30
    back = person.chest_half_depth_mm + WALL_MM + person.fat_mm + 4.0 * person.muscle_mm + 30
    return np.array([-half_x - 10, front, low_mm]), np.array([half_x + 10, back, high_mm])


def _thorax_of(plan: PatientPlan, acquisition: Acquisition) -> Thorax:
    """Return an empty working grid over what a scan reaches."""
    anatomy, scale = plan.anatomy, plan.scale
    low, high = _scan_reach_mm(anatomy.person, anatomy.frame, acquisition)
    corner_low, corner_high = _corners_mm(anatomy.person, low_mm=low, high_mm=high)
    has_shoulders = high > anatomy.frame.center_mm[2] + SHOULDERS_FROM_MM and not anatomy.person.has_arms_down
    aside = SHOULDER_MM if has_shoulders else 0.0
    step = WORKING_STEP_MM * scale
    axes = (
        np.arange(low, high, _working_slice_mm(acquisition) * min(scale, 2)),
        np.arange(corner_low[1], corner_high[1], step),
        np.arange(corner_low[0] - aside, corner_high[0] + aside, step),
    )
    canvas = Canvas(axes, anatomy.deformation.model_grid(axes), slack_mm=anatomy.deformation.slack_mm)
    seed = (plan.seed, *plan.site.name.encode())
    rng = np.random.default_rng([*seed, *b"texture"])
    tile = ndimage.gaussian_filter(rng.standard_normal((TILE, TILE, TILE), dtype=np.float32), 1.3, mode="wrap")
    return Thorax(anatomy.person, anatomy.frame, anatomy.deformation, canvas, seed,
                  (tile / tile.std()).astype(np.float32))  # fmt: skip


def _working_slice_mm(acquisition: Acquisition) -> float:
    """Return the distance of painted planes: thick slices hide what lies between planes a little farther apart."""
    return WORKING_SLICE_MM if acquisition.thickness_mm < THICK_MM else THICK_WORKING_SLICE_MM


def _scan_reach_mm(person: Person, frame: HeartFrame, acquisition: Acquisition) -> tuple[float, float]:
    """Return the lowest and highest z of the working grid: the scan with half a slice more."""
    top = float(frame.center_mm[2]) + (LEFT_MAIN_MM[2] + TOP_ABOVE_LEFT_MAIN_MM) * person.heart_scale_xyz[2]
    bottom = float(frame.center_mm[2]) - 52 * person.heart_scale_xyz[2]
    edge = 0.5 * acquisition.thickness_mm + WORKING_SLICE_MM
    return bottom - acquisition.below_heart_mm - edge, top + acquisition.above_heart_mm + edge


def _scan(
    rng: np.random.Generator,
    thorax: Thorax,
    branches: tuple[CoronaryBranch, ...],
    deposits: tuple[Deposit, ...],
    acquisition: Acquisition,
) -> tuple[Volume, Labels]:
    """Return the CT of a thorax with its calcium, and the labels an expert would draw on it."""  # fmt: skip
    canvas = thorax.canvas
    with ThreadPoolExecutor(1) as aside:
        ready = aside.submit(polar_grids, acquisition)  # kept for `take_picture`, which would wait for them
        share = paint_thorax(thorax)
        ready.result()
    for branch in branches:
        canvas.paint_curve(branch.points_mm[::2], branch.outer_radius_mm[::2], thorax.person.blood_hu)
    deposits = settled_on_skin(deposits, canvas)
    axes = _ct_axes(rng, thorax, acquisition)
    scene = Scene(canvas.hu, share, canvas.axes_mm_zyx, _breathing_yx(thorax), thorax.frame, _back_mm(thorax))
    picture = take_picture(rng, scene, deposits=deposits, axes=axes, acquisition=acquisition)
    spacing = (acquisition.increment_mm, acquisition.pixel_mm, acquisition.pixel_mm)
    origin = (float(axes.x_mm[0]), float(axes.y_mm[0]), float(axes.z_mm[0]))
    grid = grid_from_spacing(picture.ct_hu_zyx.shape, spacing, origin_lps_mm=origin)
    return Volume(picture.ct_hu_zyx, grid), Labels(_labels_of(picture), grid)


def _labels_of(picture: Picture) -> UInt8Array:
    """Return the labels that an expert would draw: what is bright on this very picture because of a deposit.

    A voxel belongs to the kind of deposit that adds most to it; devices and bone are never calcium.
    """
    labels = one_contour_a_slice(picture.heart_zyx).astype(np.uint8) * np.uint8(Label.HEART)
    for tissue, label in LABEL_OF_TISSUE.items():
        added = picture.added_hu_zyx.get(tissue)
        if added is None:
            continue
        voxels = np.nonzero(added >= VISIBLE_HU)
        keep = (picture.ct_hu_zyx[voxels] >= THRESHOLD_HU) & (picture.tissue_hu_zyx[voxels] < BONE_HU)
        for rival, theirs in picture.added_hu_zyx.items():
            if rival != tissue:
                keep &= added[voxels] >= theirs[voxels]
        labels[tuple(index[keep] for index in voxels)] = label
    return labels


def _breathing_yx(thorax: Thorax) -> Float32Array:
    """Return how far each place of the working grid moves with the breath: what the ribs hold, without the spine."""
    _, y, x = thorax.canvas.axes_mm_zyx
    person = thorax.person
    inside = np.hypot(x[None, :] / person.chest_half_width_mm, y[:, None] / person.chest_half_depth_mm)
    from_spine = np.hypot(x[None, :], y[:, None] - thorax.spine_mm - 8)
    return smooth_step((1.02 - inside) / 0.08) * smooth_step((from_spine - 30) / 12)


def _ct_axes(rng: np.random.Generator, thorax: Thorax, acquisition: Acquisition) -> CtAxes:
    """Return the CT's voxel centres: the body about, not exactly, in the middle."""
    z, y, _ = thorax.canvas.axes_mm_zyx
    edge = 0.5 * acquisition.thickness_mm + WORKING_SLICE_MM
    across: Float64Array = np.arange(acquisition.matrix, dtype=np.float64) * acquisition.pixel_mm
    across -= across.mean()
    return CtAxes(
        z_mm=np.arange(z[0] + edge, z[-1] - edge + 1e-6, acquisition.increment_mm),
        y_mm=across + 0.5 * (y[0] + y[-1]) + float(rng.normal(0, 12)),
        x_mm=across + float(rng.normal(0, 8)),
    )


def _back_mm(thorax: Thorax) -> float:
    """Return y of the skin of the back."""
    hu = thorax.canvas.hu
    # a row that crosses 30 mm of body is no stray pixel of skin
    rows = np.flatnonzero((hu[len(hu) // 2] > -400).sum(axis=1) * thorax.canvas.step_mm > 30)
    y: Float64Array = thorax.canvas.axes_mm_zyx[1]
    return float(y[rows[-1]])


def _heart_of(labels_zyx: UInt8Array) -> UInt8Array:
    """Return heart and the coronary calcium in it."""
    return np.isin(labels_zyx, (Label.HEART, Label.CORONARY)).astype(np.uint8)


__all__ = ["DepositFacts", "PatientFacts", "PatientPlan", "Recipe", "SimulatedPatient", "patient_seed",
           "plan_patient", "scan_patient", "simulate_cohort", "simulate_patient"]  # fmt: skip
