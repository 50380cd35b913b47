"""Calcium planted into real scans, with its truth.

Real anatomy, blur and noise; invented plaques. Coronary and noncoronary burden are drawn independently, so that scans
with heavy aortic calcium and none in the coronaries, and the other way round, are common.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
from scipy import ndimage

from calcmap.core.result import CalciumClass, Vessel
from calcmap.core.volume import BoolArray, Float32Array, Float64Array, Int16Array, Label, Labels, UInt8Array, Volume
from calcmap.simulation.planting.backgrounds import (
    CALCIUM_HU,
    VariationRecipe,
    check_ranges,
    estimate_fwhm_mm,
    vary_background,
)
from calcmap.simulation.planting.plaque_sites import (
    CORONARY_SHARE,
    DrawnPlaque,
    Site,
    draw_coronary,
    draw_motion,
    draw_noncoronary,
)
from calcmap.simulation.planting.plaques import CardiacMotion, PointSpread, RenderedPlaque, render_plaque
from calcmap.simulation.planting.tracing import CardiacTraces, HeartFrame, trace_anatomy

MATERIAL_HU = 20.0
"""A voxel belongs to a plaque that adds at least this much to it."""
CORE_HU = 60.0
"""A component belongs to a plaque that adds at least this much somewhere in it."""
MINOR_SHARE = 0.3
BONE_HU = 160.0
"""Unlabelled voxels above this before planting are bone (noise seldom reaches it)."""
SCORE_RANGES = ((0.0, 0.0), (2.0, 100.0), (101.0, 400.0), (401.0, 2500.0))
"""Agatston scores aimed at by category (Miller et al. 2023); 2 rather than 1 so that one pixel counts."""
MAX_DRAWS = 60
GROWTH = 1.045
"""Plaques grow from draw to draw, so that a score that small ones cannot reach is reached at last."""
KEEP_LOST = 0.1
"""Share kept of the plaques that blur away: the faint stains below 130 HU that scans without a score also have."""
CROP_MARGIN_MM = ((25.0, 40.0), (15.0, 70.0), (30.0, 30.0))
"""Below and above, before and behind, right and left of the heart's box: what planting can reach."""


@dataclass(frozen=True)
class PlantingRecipe:
    """What is planted, how often and how large; probabilities 0 to 1, ranges low to high.

    Parameters
    ----------
    category_weights : (float, float, float, float)
        Shares of coronary scores 0, 1 to 100, 101 to 400 and above 400.
    coronary_median_mm3 : (float, float, float)
        Median volume before blur of a coronary plaque in categories 1, 2 and 3. Blur triples small ones: FACTS 8.3 has
        a measured median of 10 mm³.
    p_no_noncoronary : float
        Scans without any planted noncoronary calcium.
    p_heavy_noncoronary : float
        Scans with large and many noncoronary plaques, among the others.
    p_root, p_valve, p_mitral, p_ascending, p_descending, p_pericardium, p_node : float
        Sites calcified in scans with noncoronary calcium: far above real prevalence on purpose, as these are what a
        network mistakes for coronary.
    p_motion : float
        Scans in which plaques move during the turn of the tube.
    hard_negatives_mean : float
        Mean number of noise clusters and streaks of 130 to 180 HU that are no calcium.
    fwhm_mm : (float, float)
        Limits of the estimated in-plane blur.
    variation : VariationRecipe
        How backgrounds are varied by `plant_cohort`.

    Raises
    ------
    ConfigError
        Values outside their ranges, all at once.
    """

    category_weights: tuple[float, float, float, float] = (0.3, 0.25, 0.2, 0.25)
    coronary_median_mm3: tuple[float, float, float] = (1.0, 1.5, 2.2)
    p_no_noncoronary: float = 0.25
    p_heavy_noncoronary: float = 0.3
    p_root: float = 0.5
    p_valve: float = 0.3
    p_mitral: float = 0.35
    p_ascending: float = 0.4
    p_descending: float = 0.5
    p_pericardium: float = 0.06
    p_node: float = 0.15
    p_motion: float = 0.75
    hard_negatives_mean: float = 2.0
    fwhm_mm: tuple[float, float] = (0.9, 3.2)
    variation: VariationRecipe = field(default_factory=VariationRecipe)

    def __post_init__(self) -> None:
        check_ranges(self)

    @property
    def site_probability(self) -> dict[Site, float]:
        """Probability of each noncoronary site."""
        return {
            Site.AORTIC_ROOT: self.p_root,
            Site.AORTIC_VALVE: self.p_valve,
            Site.MITRAL_ANNULUS: self.p_mitral,
            Site.ASCENDING_AORTA: self.p_ascending,
            Site.DESCENDING_AORTA: self.p_descending,
            Site.PERICARDIUM: self.p_pericardium,
            Site.NODE: self.p_node,
        }


@dataclass(frozen=True)
class PlantedPlaque:
    """Truth of one planted plaque."""

    calcium_class: CalciumClass
    site: Site
    vessel: Vessel | None
    center_mm: tuple[float, float, float]
    """Patient coordinates x, y, z (LPS), mm."""
    length_mm: float
    peak_hu: float
    """CT number before any blur."""
    volume_mm3: float
    """Volume before any blur."""
    mass_mg: float
    n_voxels: int
    """Labelled voxels that it contributes to; 0 for a plaque lost in blur."""


@dataclass(frozen=True, eq=False)
class PlantedScan:
    """A scan with planted calcium.

    Parameters
    ----------
    volume : Volume
        The CT with calcium.
    labels : Labels
        The background's labels with the planted calcium: 2 coronary, 3 noncoronary (also outside the heart).
    plaques : tuple of PlantedPlaque
        Planted plaques, noncoronary first.
    agatston : float
        Coronary Agatston score of the labels, natural calcium included (8-connected, at least round(1 mm² / pixel
        area) pixels, increment / 3 mm).
    fwhm_mm : float
        In-plane blur the plaques were given.
    """

    volume: Volume
    labels: Labels
    plaques: tuple[PlantedPlaque, ...]
    agatston: float
    fwhm_mm: float


@dataclass(frozen=True, eq=False)
class Background:
    """A real scan with its labels, under a name that seeds its plantings."""

    name: str
    volume: Volume
    labels: Labels


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
    volume, labels = vary_background(background.volume, background.labels, rng, recipe.variation)
    return PlantedCase(background.name, index, plant_calcium(volume, labels, recipe=recipe, rng=rng))


def plant_calcium(volume: Volume, labels: Labels, *, recipe: PlantingRecipe, rng: np.random.Generator) -> PlantedScan:
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
    traces = trace_anatomy(volume, labels)
    spread = PointSpread(estimate_fwhm_mm(volume, limits_mm=recipe.fwhm_mm), volume.spacing_mm_zyx[0])
    canvas = _Canvas.around(volume, labels, traces.frame, spread)
    motion = draw_motion(rng, is_moving=bool(rng.random() < recipe.p_motion))
    canvas.add_decoys(int(rng.poisson(recipe.hard_negatives_mean)), rng)
    drawn = _plant_noncoronary(canvas, traces, motion, recipe, rng)
    drawn += _plant_coronary(canvas, traces, motion, recipe, rng)
    hu_zyx, labels_zyx = canvas.result(volume, labels)
    plaques = tuple(canvas.facts(item, rendered, volume, labels_zyx) for item, rendered in drawn)
    return PlantedScan(
        Volume(hu_zyx, volume.grid), Labels(labels_zyx, volume.grid), plaques, canvas.agatston, spread.fwhm_mm
    )


_Drawn = list[tuple[DrawnPlaque, RenderedPlaque]]


def _plant_noncoronary(
    canvas: _Canvas,
    traces: CardiacTraces,
    motion: dict[Site, CardiacMotion],
    recipe: PlantingRecipe,
    rng: np.random.Generator,
) -> _Drawn:
    planted: _Drawn = []
    if rng.random() < recipe.p_no_noncoronary:
        return planted
    burden = 1.7 if rng.random() < recipe.p_heavy_noncoronary else float(rng.uniform(0.5, 1.1))
    nodes = canvas.mediastinal_points(traces.frame, rng)
    for site, probability in recipe.site_probability.items():
        if rng.random() >= probability:
            continue
        for _ in range(1 + rng.poisson(1.3 * burden**2)):
            drawn = draw_noncoronary(traces, rng, site=site, size=burden, soft_points_mm_zyx=nodes)
            if drawn is not None:
                rendered = canvas.render(drawn, motion)
                canvas.add(rendered, CalciumClass.NONCORONARY)
                planted.append((drawn, rendered))
    return planted


def _plant_coronary(
    canvas: _Canvas,
    traces: CardiacTraces,
    motion: dict[Site, CardiacMotion],
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
    foci = _draw_foci(category, rng)
    for _ in range(MAX_DRAWS):
        site, around = foci[rng.integers(len(foci))]
        drawn = draw_coronary(traces, rng, site=site, around=around, median_volume_mm3=median_mm3)
        rendered = canvas.render(drawn, motion)
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


def _draw_foci(category: int, rng: np.random.Generator) -> list[tuple[Site, float]]:
    """Return diseased places (branch, 0 proximal to 1 distal); more of them in higher categories."""
    sites, shares = list(CORONARY_SHARE), np.array(list(CORONARY_SHARE.values()))
    n = 1 + int(rng.poisson((1.0, 3.0, 8.0)[category - 1]))
    return [(sites[k], float(rng.beta(1.2, 2.0))) for k in rng.choice(len(sites), n, p=shares / shares.sum())]


@dataclass(eq=False)
class _Canvas:
    """The part of a scan around the heart while calcium is being planted; the only mutable thing here."""

    hu_zyx: Float32Array
    natural_zyx: UInt8Array
    window: tuple[slice, slice, slice]
    spacing_mm_zyx: tuple[float, float, float]
    spread: PointSpread
    added: dict[CalciumClass, Float32Array]
    slice_scores: Float64Array

    @classmethod
    def around(cls, volume: Volume, labels: Labels, frame: HeartFrame, spread: PointSpread) -> _Canvas:
        spacing = np.array(volume.spacing_mm_zyx)
        margin = np.array(CROP_MARGIN_MM)
        low = np.floor((frame.center_mm_zyx - frame.half_mm_zyx - margin[:, 0]) / spacing).astype(int)
        high = np.ceil((frame.center_mm_zyx + frame.half_mm_zyx + margin[:, 1]) / spacing).astype(int) + 1
        low, high = np.clip(low, 0, None), np.minimum(high, volume.ct_hu_zyx.shape)
        window = (slice(low[0], high[0]), slice(low[1], high[1]), slice(low[2], high[2]))
        hu = volume.ct_hu_zyx[window].astype(np.float32)
        added = {kind: np.zeros_like(hu) for kind in CalciumClass}
        canvas = cls(hu, labels.labels_zyx[window], window, volume.spacing_mm_zyx, spread, added, np.zeros(len(hu)))
        canvas._score(0, len(hu))
        return canvas

    @property
    def agatston(self) -> float:
        """Coronary score of natural and planted calcium so far."""
        return float(self.slice_scores.sum())

    def render(self, drawn: DrawnPlaque, motion: dict[Site, CardiacMotion]) -> RenderedPlaque:
        return render_plaque(drawn.plaque, self.spacing_mm_zyx, spread=self.spread, motion=motion[drawn.site])

    def add(self, rendered: RenderedPlaque, kind: CalciumClass, *, sign: int = 1) -> None:
        here, there = self._overlap(rendered)
        self.added[kind][here] += sign * rendered.added_hu_zyx[there]
        self._score(here[0].start, here[0].stop)

    def add_decoys(self, n: int, rng: np.random.Generator) -> None:
        """Raise short streaks and clusters in the heart to 130 to 180 HU, in one slice each."""
        soft = ndimage.uniform_filter(self.hu_zyx, (1, 5, 5))
        places = np.argwhere((self.natural_zyx == Label.HEART) & (soft > 10) & (soft < 75))
        for place in places[rng.integers(len(places), size=n)] if len(places) else ():
            z, row, column = (int(i) for i in place)
            length_mm = float(rng.choice([0.0, rng.uniform(3, 14)]))
            bump = _streak(self.hu_zyx.shape[1:], (row, column), self.spacing_mm_zyx[1:], length_mm, self.spread, rng)
            self.hu_zyx[z] += (rng.uniform(130, 180) - soft[z, row, column]) * bump
        self._score(0, len(self.hu_zyx))

    def mediastinal_points(self, frame: HeartFrame, rng: np.random.Generator) -> Float64Array:
        """Return random soft-tissue places behind and above the heart's middle, outside its mask (mm; n, 3)."""
        start_mm = np.array([part.start for part in self.window]) * self.spacing_mm_zyx
        unit = rng.uniform((0.2, 0.3, -1.0), (1.3, 1.1, 1.0), (300, 3))
        points = frame.center_mm_zyx + unit * frame.half_mm_zyx
        index = np.rint((points - start_mm) / self.spacing_mm_zyx).astype(int)
        is_in = ((index >= 2) & (index < np.array(self.hu_zyx.shape) - 2)).all(axis=1)
        points, index = points[is_in], index[is_in]
        mean = np.array([self.hu_zyx[z, y - 2 : y + 3, x - 2 : x + 3].mean() for z, y, x in index])
        is_soft = (mean > 0) & (mean < 80) & (self.natural_zyx[tuple(index.T)] == Label.BACKGROUND)
        return np.asarray(points[is_soft])

    def result(self, volume: Volume, labels: Labels) -> tuple[Int16Array, UInt8Array]:
        """Return the whole scan's HU and labels."""
        hu_zyx, labels_zyx = volume.ct_hu_zyx.copy(), labels.labels_zyx.copy()
        new_hu = self._rounded(slice(None))
        hu_zyx[self.window] = np.where(volume.ct_hu_zyx[self.window] < -1100, hu_zyx[self.window], new_hu)
        truth = self._truth(slice(None))
        labels_zyx[self.window] = np.where(truth > 0, truth, self.natural_zyx)
        return hu_zyx, labels_zyx

    def facts(
        self, drawn: DrawnPlaque, rendered: RenderedPlaque, volume: Volume, labels_zyx: UInt8Array
    ) -> PlantedPlaque:
        here, there = self._overlap(rendered)
        label = Label.CORONARY if drawn.calcium_class is CalciumClass.CORONARY else Label.NONCORONARY
        is_own = (labels_zyx[self.window][here] == label) & (rendered.added_hu_zyx[there] >= MATERIAL_HU)
        center_zyx = drawn.plaque.center_mm_zyx / np.array(self.spacing_mm_zyx)
        return PlantedPlaque(
            calcium_class=drawn.calcium_class,
            site=drawn.site,
            vessel=drawn.vessel,
            center_mm=volume.grid.lps_mm((float(center_zyx[0]), float(center_zyx[1]), float(center_zyx[2]))),
            length_mm=drawn.plaque.length_mm,
            peak_hu=drawn.plaque.peak_hu,
            volume_mm3=drawn.plaque.volume_mm3,
            mass_mg=drawn.plaque.mass_mg,
            n_voxels=int(is_own.sum()),
        )

    def _overlap(self, rendered: RenderedPlaque) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
        """Return the patch's part of the canvas, and the part of the patch that lies on it (both may be empty)."""
        here, there = [], []
        for axis in range(3):
            start = rendered.start_zyx[axis] - self.window[axis].start
            stop = start + rendered.added_hu_zyx.shape[axis]
            first = min(max(start, 0), self.hu_zyx.shape[axis])
            last = max(min(stop, self.hu_zyx.shape[axis]), first)
            here.append(slice(first, last))
            there.append(slice(first - start, last - start))
        return tuple(here), tuple(there)

    def _rounded(self, part: slice) -> Int16Array:
        total = self.hu_zyx[part] + sum(field[part] for field in self.added.values())
        return np.asarray(np.rint(np.clip(total, -1024, 3071)), dtype=np.int16)

    def _truth(self, part: slice) -> UInt8Array:
        """Return the planted calcium's labels (0, 2 or 3) in a slice range, as an expert would draw them."""
        coronary = self.added[CalciumClass.CORONARY][part]
        noncoronary = self.added[CalciumClass.NONCORONARY][part]
        own = np.maximum(coronary, noncoronary)
        truth = np.zeros(own.shape, dtype=np.uint8)
        where = ndimage.find_objects((own >= MATERIAL_HU).astype(np.uint8))
        if not where:
            return truth
        box = where[0]
        is_candidate = (own[box] >= MATERIAL_HU) & (self.hu_zyx[part][box] < BONE_HU)
        is_candidate &= (self.natural_zyx[part][box] < Label.CORONARY) & (self._rounded(part)[box] >= CALCIUM_HU)
        components, n = ndimage.label(is_candidate, np.ones((3, 3, 3)))
        keep = np.zeros(n + 1, dtype=bool)
        keep[components[is_candidate & (own[box] >= CORE_HU)]] = True
        is_coronary = _is_coronary(coronary[box], noncoronary[box], keep[components])
        truth[box] = np.where(is_coronary, Label.CORONARY, Label.NONCORONARY) * keep[components]
        return truth

    def _score(self, first: int, last: int) -> None:
        part = slice(first, last)
        is_coronary = (self.natural_zyx[part] == Label.CORONARY) | (self._truth(part) == Label.CORONARY)
        for k in range(last - first):
            self.slice_scores[first + k] = 0.0
            if is_coronary[k].any():
                hu = self._rounded(slice(first + k, first + k + 1))[0]
                self.slice_scores[first + k] = slice_agatston(hu, is_coronary[k], self.spacing_mm_zyx)


def _is_coronary(coronary_hu: Float32Array, noncoronary_hu: Float32Array, is_calcium: BoolArray) -> BoolArray:
    """Tell which calcium voxels are coronary: the greater contribution decides, then the lesion.

    A lesion of one slice to which one class gives less than `MINOR_SHARE` belongs to the other class as a whole: nobody
    draws the faint rim of one plaque around another.
    """
    is_coronary = coronary_hu >= noncoronary_hu
    in_slice = np.zeros((3, 3, 3))
    in_slice[1] = 1
    lesions, n = ndimage.label(is_calcium, in_slice)
    if n == 0:
        return is_coronary
    own, other = (
        np.bincount(lesions.ravel(), np.clip(hu, 0, None).ravel(), n + 1) for hu in (coronary_hu, noncoronary_hu)
    )
    share = own / np.maximum(own + other, 1e-6)
    is_coronary = np.where(share[lesions] >= 1 - MINOR_SHARE, True, is_coronary)
    return np.asarray(np.where(share[lesions] <= MINOR_SHARE, False, is_coronary))


def slice_agatston(hu_yx: Int16Array, is_calcium_yx: BoolArray, spacing_mm_zyx: tuple[float, float, float]) -> float:
    """Return one slice's Agatston score by the clinical rule, for steering a planting.

    Eight-connected lesions of at least 130 HU and round(1 mm² / pixel area) pixels, weight 1 to 4 by the maximum, times
    increment / 3 mm. The `scoring` room has the profiles; this room may not import it.
    """
    area_mm2 = spacing_mm_zyx[1] * spacing_mm_zyx[2]
    components, n = ndimage.label(is_calcium_yx & (hu_yx >= CALCIUM_HU), np.ones((3, 3)))
    if n == 0:
        return 0.0
    index = np.arange(1, n + 1)
    pixels = np.bincount(components.ravel(), minlength=n + 1)[1:]
    weight = np.digitize(ndimage.maximum(hu_yx, components, index), (130, 200, 300, 400))
    is_counted = pixels >= max(1, round(1.0 / area_mm2))
    return float((pixels * weight * is_counted).sum() * area_mm2 * spacing_mm_zyx[0] / 3.0)


def _streak(
    shape_yx: tuple[int, ...],
    middle: tuple[int, int],
    pixel_mm_yx: tuple[float, ...],
    length_mm: float,
    spread: PointSpread,
    rng: np.random.Generator,
) -> Float32Array:
    """Return a bump of height 1: a short line as blurred as the scan, in one slice."""
    angle = rng.uniform(0, np.pi)
    y = (np.arange(shape_yx[0])[:, None] - middle[0]) * pixel_mm_yx[0]
    x = (np.arange(shape_yx[1])[None, :] - middle[1]) * pixel_mm_yx[1]
    along, across = y * np.sin(angle) + x * np.cos(angle), y * np.cos(angle) - x * np.sin(angle)
    beyond = np.clip(np.abs(along) - length_mm / 2, 0, None)
    sigma_mm = max(spread.fwhm_mm, 1.2 * pixel_mm_yx[0]) / 2.355
    return np.asarray(np.exp(-(across**2 + beyond**2) / (2 * sigma_mm**2)), dtype=np.float32)
