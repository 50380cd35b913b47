"""Calcium planted into real scans, with its truth.

Real anatomy, blur and noise; invented plaques. Coronary and noncoronary burden are drawn independently, so that scans
with heavy aortic calcium and none in the coronaries, and the other way round, are common.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np

from calcmap.core.result import CalciumClass
from calcmap.core.volume import Float64Array, Labels, Volume
from calcmap.simulation.planting.backgrounds import (
    KernelEstimate,
    VariationRecipe,
    check_ranges,
    erase_calcium,
    estimate_kernel,
    vary_background,
)
from calcmap.simulation.planting.canvas import Canvas
from calcmap.simulation.planting.plaque_sites import (
    CORONARY_SHARE,
    DrawnPlaque,
    Place,
    believable,
    draw_coronary,
    draw_motion,
    draw_noncoronary,
)
from calcmap.simulation.planting.plaques import CardiacMotion, PointSpread, RenderedPlaque
from calcmap.simulation.planting.tracing import CardiacTraces, VesselPath, trace_anatomy
from calcmap.simulation.planting.truth import PlantedScan, finish_scan
from calcmap.simulation.scanner.imaging import calcium_factor

SCORE_RANGES = ((0.0, 0.0), (2.0, 100.0), (101.0, 400.0), (401.0, 2500.0))
"""Agatston scores aimed at by category (Miller et al. 2023); 2 rather than 1 so that one pixel counts."""
MAX_DRAWS = 160
GROWTH = 1.02
"""Plaques grow from draw to draw, so that a score that small ones cannot reach is reached at last."""
KEEP_LOST = 0.1
"""Share kept of the plaques that blur away: the faint stains below 130 HU that scans without a score also have."""
MAX_COVERED = 0.35
"""A plaque that would lie mostly on calcium planted before is drawn again: matter does not pile up."""
FOCI_MEAN = (2.0, 7.0, 18.0)
"""Mean number of further diseased places in categories 1 to 3 (our choice)."""
FOCUS_TRIES = 6
"""Diseased places drawn for each focus; the most believable of them is taken."""


@dataclass(frozen=True)
class PlantingRecipe:
    """What is planted, how often and how large; probabilities 0 to 1, ranges low to high.

    Parameters
    ----------
    category_weights : (float, float, float, float)
        Shares of coronary scores 0, 1 to 100, 101 to 400 and above 400.
    coronary_median_mm3 : (float, float, float)
        Median volume before blur of a coronary plaque in categories 1, 2 and 3. Blur hides the smallest and widens the
        others: with these medians the lesions seen have the volumes of FACTS 8.3 (median 10 mm³).
    p_no_noncoronary : float
        Scans without any planted noncoronary calcium.
    p_heavy_noncoronary : float
        Scans with large and many noncoronary plaques, among the others.
    p_root, p_valve, p_mitral, p_ascending, p_descending, p_pericardium, p_node, p_bronchus : float
        Places calcified in scans with noncoronary calcium: far above real prevalence on purpose, as these are what a
        network mistakes for coronary.
    p_motion : float
        Scans in which plaques move during the turn of the tube.
    hard_negatives_mean : float
        Mean number of noise clusters and streaks of 130 to 180 HU that are no calcium.
    fwhm_mm : (float, float)
        Limits of the estimated in-plane blur.
    variation : VariationRecipe or None
        How backgrounds are varied by `plant_cohort`; ``None`` leaves them as they are, with all their own calcium.
    is_natural_erased : bool
        Labelled natural calcium is replaced by soft tissue first, so that all that is left is planted.

    Raises
    ------
    ConfigError
        Values outside their ranges, all at once.
    """

    category_weights: tuple[float, float, float, float] = (0.3, 0.25, 0.2, 0.25)
    coronary_median_mm3: tuple[float, float, float] = (2.0, 2.5, 3.0)
    p_no_noncoronary: float = 0.25
    p_heavy_noncoronary: float = 0.3
    p_root: float = 0.5
    p_valve: float = 0.3
    p_mitral: float = 0.35
    p_ascending: float = 0.4
    p_descending: float = 0.5
    p_pericardium: float = 0.06
    p_node: float = 0.15
    p_bronchus: float = 0.1
    p_motion: float = 0.75
    hard_negatives_mean: float = 2.0
    fwhm_mm: tuple[float, float] = (0.9, 3.2)
    variation: VariationRecipe | None = field(default_factory=VariationRecipe)
    is_natural_erased: bool = False

    def __post_init__(self) -> None:
        check_ranges(self)

    @property
    def place_probability(self) -> dict[Place, float]:
        """Probability of each noncoronary place."""
        return {
            Place.AORTIC_ROOT: self.p_root,
            Place.AORTIC_VALVE: self.p_valve,
            Place.MITRAL_ANNULUS: self.p_mitral,
            Place.ASCENDING_AORTA: self.p_ascending,
            Place.DESCENDING_AORTA: self.p_descending,
            Place.PERICARDIUM: self.p_pericardium,
            Place.NODE: self.p_node,
            Place.BRONCHUS: self.p_bronchus,
        }


@dataclass(frozen=True, eq=False)
class KnownFacts:
    """What the files, or the user, say of a scan; what they do not say is estimated.

    Parameters
    ----------
    thickness_mm : float or None
        Slice thickness; the increment where unknown.
    kvp : float or None
        Tube voltage, which decides how bright calcium is; 120 where unknown.
    paths : tuple of VesselPath
        Vessels that someone traced.
    kernel : KernelEstimate or None
        In-plane blur; read off the skin where unknown.
    """

    thickness_mm: float | None = None
    kvp: float | None = None
    paths: tuple[VesselPath, ...] = ()
    kernel: KernelEstimate | None = None

    def spread_of(self, volume: Volume, *, limits_mm: tuple[float, float]) -> PointSpread:
        """Return the blur to plant with."""
        kernel = self.kernel or estimate_kernel(volume, limits_mm=limits_mm)
        return PointSpread(
            kernel.fwhm_mm,
            self.thickness_mm or volume.spacing_mm_zyx[0],
            overshoot=kernel.overshoot,
            calcium_factor=1.0 if self.kvp is None else calcium_factor(self.kvp),
        )


@dataclass(frozen=True, eq=False)
class Background:
    """A real scan with its labels, under a name that seeds its plantings."""

    name: str
    volume: Volume
    labels: Labels
    known: KnownFacts = KnownFacts()


@dataclass(frozen=True, eq=False)
class PlantedCase:
    """One of a background's plantings."""

    background: str
    index: int
    scan: PlantedScan


def plant_cohort(
    backgrounds: Iterable[Background], n_per_background: int, seed: int, recipe: PlantingRecipe | None = None
) -> Iterator[PlantedCase]:
    """Yield planted scans one by one, each from its own variation of its background.

    A case depends on the seed, the background's name and its index alone: not on the order, nor on how many others are
    made.

    Parameters
    ----------
    backgrounds : iterable of Background
        Real scans.
    n_per_background : int
        Plantings of each.
    seed : int
        Seed of the cohort, 0 or above.
    recipe : PlantingRecipe, optional
        What to plant.

    Yields
    ------
    PlantedCase
        Index 0 to ``n_per_background - 1`` of each background in turn.
    """
    for background in backgrounds:
        for index in range(n_per_background):
            yield plant_case(background, index, seed, recipe)


def plant_case(background: Background, index: int, seed: int, recipe: PlantingRecipe | None = None) -> PlantedCase:
    """Return case ``index`` of a background in the cohort of a seed; see `plant_cohort`."""
    recipe = recipe or PlantingRecipe()
    name_key = int.from_bytes(hashlib.sha256(background.name.encode()).digest()[:8], "big")
    rng = np.random.default_rng([seed, name_key, index])
    volume, labels, known = background.volume, background.labels, background.known
    if recipe.is_natural_erased:
        volume, labels = erase_calcium(volume, labels, rng)
    if recipe.variation is not None:
        volume, labels, known = _varied(volume, labels, known, recipe, rng)
    return PlantedCase(background.name, index, plant_calcium(volume, labels, recipe=recipe, rng=rng, known=known))


def _varied(
    volume: Volume, labels: Labels, known: KnownFacts, recipe: PlantingRecipe, rng: np.random.Generator
) -> tuple[Volume, Labels, KnownFacts]:
    variation = recipe.variation or VariationRecipe()
    if known.paths:
        # Paths are patient coordinates: they would not follow a patient who changes size.
        variation = replace(variation, size_factor=(1.0, 1.0))
    kernel = known.kernel or estimate_kernel(volume, limits_mm=recipe.fwhm_mm)
    varied = vary_background(volume, labels, rng, variation)
    is_thickened = varied.volume.spacing_mm_zyx[0] > volume.spacing_mm_zyx[0]
    known = replace(
        known,
        kernel=varied.change.applied_to(kernel),
        thickness_mm=None if is_thickened else known.thickness_mm,
    )
    return varied.volume, varied.labels, known


def plant_calcium(
    volume: Volume,
    labels: Labels,
    *,
    recipe: PlantingRecipe,
    rng: np.random.Generator,
    known: KnownFacts | None = None,
) -> PlantedScan:
    """Return the scan with calcium planted along its vessels and walls, and the truth an expert would draw.

    A voxel is labelled when it reaches 130 HU, a planted plaque adds at least 20 HU to it, and its component holds a
    voxel to which that plaque adds at least 60 HU. Where coronary and noncoronary calcium run together, the greater
    contribution decides. Natural labels stay.

    Parameters
    ----------
    volume : Volume
        A CT without contrast; unchanged.
    labels : Labels
        Its heart (1) and natural calcium (2, 3); unchanged.
    recipe : PlantingRecipe
        What to plant.
    rng : numpy.random.Generator
        Source of all choices.
    known : KnownFacts, optional
        What is known of the scan.

    Returns
    -------
    PlantedScan
        On the grid of the input.

    Raises
    ------
    GridMismatchError
        Labels and CT lie on different grids.
    UnfitScanError
        The labels hold no heart.
    """
    labels.check_on(volume)
    known = known or KnownFacts()
    traces = trace_anatomy(volume, labels, paths=known.paths)
    spread = known.spread_of(volume, limits_mm=recipe.fwhm_mm)
    canvas = Canvas.around_heart(volume, labels, traces.frame, spread)
    motion = draw_motion(rng, is_moving=bool(rng.random() < recipe.p_motion))
    canvas.add_decoys(int(rng.poisson(recipe.hard_negatives_mean)), rng)
    drawn = _plant_noncoronary(canvas, traces, motion, recipe, rng)
    drawn += _plant_coronary(canvas, traces, motion, recipe, rng)
    return finish_scan(canvas, volume, labels, drawn)


_Drawn = list[tuple[DrawnPlaque, RenderedPlaque]]


def _plant_noncoronary(
    canvas: Canvas,
    traces: CardiacTraces,
    motion: dict[Place, CardiacMotion],
    recipe: PlantingRecipe,
    rng: np.random.Generator,
) -> _Drawn:
    planted: _Drawn = []
    if rng.random() < recipe.p_no_noncoronary:
        return planted
    burden = 1.7 if rng.random() < recipe.p_heavy_noncoronary else float(rng.uniform(0.5, 1.1))
    for place, probability in recipe.place_probability.items():
        if rng.random() >= probability:
            continue
        points = _candidate_points(canvas, traces, place, rng)
        for _ in range(1 + rng.poisson(1.3 * burden**2)):
            drawn = draw_noncoronary(traces, rng, place=place, size=burden, points_mm_zyx=points)
            if drawn is not None:
                rendered = canvas.render(drawn, motion)
                canvas.add(rendered, CalciumClass.NONCORONARY)
                planted.append((drawn, rendered))
    return planted


def _candidate_points(canvas: Canvas, traces: CardiacTraces, place: Place, rng: np.random.Generator) -> Float64Array:
    if place is Place.NODE:
        return canvas.mediastinal_points(traces.frame, rng)
    if place is Place.BRONCHUS:
        return canvas.airway_points(traces.frame)
    return np.empty((0, 3))


def _plant_coronary(
    canvas: Canvas,
    traces: CardiacTraces,
    motion: dict[Place, CardiacMotion],
    recipe: PlantingRecipe,
    rng: np.random.Generator,
) -> _Drawn:
    """Plant until the drawn score is reached; a plaque that would overshoot its category is taken back."""
    planted: _Drawn = []
    category = int(rng.choice(4, p=np.array(recipe.category_weights) / np.sum(recipe.category_weights)))
    low, high = SCORE_RANGES[category]
    if category == len(SCORE_RANGES) - 1:
        high = max(high, canvas.agatston + 1500.0)
    if category == 0 or canvas.agatston > high:
        return planted
    target = float(np.exp(rng.uniform(np.log(low), np.log(high))))
    median_mm3 = recipe.coronary_median_mm3[category - 1]
    foci = _draw_foci(traces, category, rng)
    for _ in range(MAX_DRAWS):
        place, around = foci[rng.integers(len(foci))]
        drawn = draw_coronary(traces, rng, place=place, around=around, median_volume_mm3=median_mm3)
        rendered = canvas.render(drawn, motion)
        if canvas.covered_share(rendered, CalciumClass.CORONARY) > MAX_COVERED:
            continue
        before = canvas.agatston
        canvas.add(rendered, CalciumClass.CORONARY)
        is_lost = canvas.agatston <= before
        if canvas.agatston > high or (is_lost and rng.random() >= KEEP_LOST):
            canvas.add(rendered, CalciumClass.CORONARY, sign=-1)
            median_mm3 *= GROWTH if is_lost else 0.8
            continue
        median_mm3 *= GROWTH
        planted.append((drawn, rendered))
        if canvas.agatston >= target:
            break
    return planted


def _draw_foci(traces: CardiacTraces, category: int, rng: np.random.Generator) -> list[tuple[Place, float]]:
    """Return diseased places (branch, 0 proximal to 1 distal); more of them in higher categories.

    Where the course is a guess, several places are drawn for each and the one that looks most like a vessel's is taken.
    """
    places, shares = list(CORONARY_SHARE), np.array(list(CORONARY_SHARE.values()))
    n = 1 + int(rng.poisson(FOCI_MEAN[category - 1]))
    foci = []
    for k in rng.choice(len(places), n, p=shares / shares.sum()):
        course = traces.branches[places[k].value]
        around = rng.beta(1.2, 2.0, FOCUS_TRIES)
        likely = believable(traces, course[np.rint(around * (len(course) - 1)).astype(int)])
        is_given = places[k].value in traces.radius_mm
        foci.append((places[k], float(around[0 if is_given else likely.argmax()])))
    return foci
