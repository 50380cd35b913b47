"""The part of a scan on which calcium is being planted, and the truth that an expert would draw there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from calcmap.core.result import CalciumClass
from calcmap.core.volume import BoolArray, Float32Array, Float64Array, Int16Array, Label, Labels, UInt8Array, Volume
from calcmap.simulation.planting.backgrounds import CALCIUM_HU, PADDING_BELOW_HU
from calcmap.simulation.planting.plaque_sites import DrawnPlaque, Place
from calcmap.simulation.planting.plaques import CardiacMotion, PointSpread, RenderedPlaque, render_plaque
from calcmap.simulation.planting.tracing import HeartFrame

MATERIAL_HU = 20.0
"""A voxel belongs to a plaque that adds at least this much to it."""
CORE_HU = 60.0
"""A component belongs to a plaque that adds at least this much somewhere in it."""
MINOR_SHARE = 0.3
BONE_HU = 160.0
"""Unlabelled voxels above this before planting are bone (noise seldom reaches it)."""
CROP_MARGIN_MM = ((25.0, 40.0), (15.0, 70.0), (30.0, 30.0))
"""Below and above, before and behind, right and left of the heart's box: what planting can reach."""
AIRWAY_HU = -850.0
AIRWAY_MM2 = (25.0, 450.0)
"""Section of a lobar bronchus up to the trachea (our choice)."""


@dataclass(eq=False)
class Canvas:
    """The part of a scan around the heart while calcium is being planted; the only mutable thing here."""

    hu_zyx: Float32Array
    natural_zyx: UInt8Array
    window: tuple[slice, slice, slice]
    spacing_mm_zyx: tuple[float, float, float]
    spread: PointSpread
    added: dict[CalciumClass, Float32Array]
    slice_scores: Float64Array

    @classmethod
    def around_heart(cls, volume: Volume, labels: Labels, frame: HeartFrame, spread: PointSpread) -> Canvas:
        """Return the canvas of everything that planting about a heart can reach."""
        margin = np.array(CROP_MARGIN_MM)
        low_mm = frame.center_mm_zyx - frame.half_mm_zyx - margin[:, 0]
        high_mm = frame.center_mm_zyx + frame.half_mm_zyx + margin[:, 1]
        return cls.within(volume, labels, low_mm, high_mm, spread=spread)

    @classmethod
    def within(
        cls, volume: Volume, labels: Labels, low_mm: Float64Array, high_mm: Float64Array, *, spread: PointSpread
    ) -> Canvas:
        """Return the canvas between two corners (z, y, x) in the grid's axis frame, as far as the scan reaches."""
        spacing = np.array(volume.spacing_mm_zyx)
        low, high = np.floor(low_mm / spacing).astype(int), np.ceil(high_mm / spacing).astype(int) + 1
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

    def render(self, drawn: DrawnPlaque, motion: Mapping[Place, CardiacMotion]) -> RenderedPlaque:
        """Return a plaque as this scan would show it."""
        return render_plaque(drawn.plaque, self.spacing_mm_zyx, spread=self.spread, motion=motion.get(drawn.place))

    def add(self, rendered: RenderedPlaque, kind: CalciumClass, *, sign: int = 1) -> None:
        """Add a rendered plaque (sign 1) or take it back (sign -1), and score its slices again."""
        here, there = self._overlap(rendered)
        self.added[kind][here] += sign * rendered.added_hu_zyx[there]
        self._score(here[0].start, here[0].stop)

    def covered_share(self, rendered: RenderedPlaque, kind: CalciumClass) -> float:
        """Return the share of a plaque's own bright voxels that calcium planted before has already made bright."""
        here, there = self._overlap(rendered)
        is_core = rendered.added_hu_zyx[there] >= CORE_HU
        if not is_core.any():
            return 0.0
        return float((self.added[kind][here][is_core] >= CORE_HU).mean())

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

    def airway_points(self, frame: HeartFrame) -> Float64Array:
        """Return points in the walls of the large airways above the heart's middle (mm; n, 3)."""
        start_mm = np.array([part.start for part in self.window]) * self.spacing_mm_zyx
        pixel_mm2 = self.spacing_mm_zyx[1] * self.spacing_mm_zyx[2]
        points = []
        for z in range(len(self.hu_zyx)):
            if start_mm[0] + z * self.spacing_mm_zyx[0] < frame.center_mm_zyx[0]:
                continue
            lumens, _ = ndimage.label(self.hu_zyx[z] < AIRWAY_HU)
            for k, box in enumerate(ndimage.find_objects(lumens)):
                lumen = np.pad(lumens[box] == k + 1, 2)
                if AIRWAY_MM2[0] <= lumen.sum() * pixel_mm2 <= AIRWAY_MM2[1]:
                    wall = np.argwhere(ndimage.binary_dilation(lumen, np.ones((3, 3), dtype=np.bool_)) & ~lumen)
                    yx = wall - 2 + [box[0].start, box[1].start]
                    points += [(z, y, x) for y, x in yx if self._is_soft_at(z, y, x)]
        return np.array(points, dtype=np.float64).reshape(-1, 3) * self.spacing_mm_zyx + start_mm

    def _is_soft_at(self, z: int, y: int, x: int) -> bool:
        """Tell whether there is tissue, no lung, in the 5 x 5 pixels about a place, air of the lumen aside."""
        near = self.hu_zyx[z, max(y - 2, 0) : y + 3, max(x - 2, 0) : x + 3]
        return bool((near > -150).mean() > 0.35)

    def result(self, volume: Volume, labels: Labels) -> tuple[Int16Array, UInt8Array]:
        """Return the whole scan's HU and labels."""
        hu_zyx, labels_zyx = volume.ct_hu_zyx.copy(), labels.labels_zyx.copy()
        new_hu = self._rounded(slice(None))
        hu_zyx[self.window] = np.where(volume.ct_hu_zyx[self.window] < PADDING_BELOW_HU, hu_zyx[self.window], new_hu)
        truth = self._truth(slice(None))
        labels_zyx[self.window] = np.where(truth > 0, truth, self.natural_zyx)
        return hu_zyx, labels_zyx

    def own_voxels(
        self, rendered: RenderedPlaque, kind: CalciumClass, *, hu_zyx: Int16Array, labels_zyx: UInt8Array
    ) -> tuple[Int16Array, BoolArray]:
        """Return the finished scan's HU about a rendered plaque, and which of these voxels are labelled because of it.

        Of a voxel to which several plaques add, each owns it that adds at least `MATERIAL_HU`.
        """
        here, there = self._overlap(rendered)
        label = Label.CORONARY if kind is CalciumClass.CORONARY else Label.NONCORONARY
        is_own = (labels_zyx[self.window][here] == label) & (rendered.added_hu_zyx[there] >= MATERIAL_HU)
        return hu_zyx[self.window][here], is_own

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
        coronary_box = is_coronary(coronary[box], noncoronary[box], keep[components])
        truth[box] = np.where(coronary_box, Label.CORONARY, Label.NONCORONARY) * keep[components]
        return truth

    def _score(self, first: int, last: int) -> None:
        part = slice(first, last)
        calcium = (self.natural_zyx[part] == Label.CORONARY) | (self._truth(part) == Label.CORONARY)
        for k in range(last - first):
            self.slice_scores[first + k] = 0.0
            if calcium[k].any():
                hu = self._rounded(slice(first + k, first + k + 1))[0]
                self.slice_scores[first + k] = slice_agatston(hu, calcium[k], self.spacing_mm_zyx)


def is_coronary(coronary_hu: Float32Array, noncoronary_hu: Float32Array, is_calcium: BoolArray) -> BoolArray:
    """Tell which calcium voxels are coronary: the greater contribution decides, then the lesion.

    A lesion of one slice to which one class gives less than `MINOR_SHARE` belongs to the other class as a whole: nobody
    draws the faint rim of one plaque around another.
    """
    stronger = coronary_hu >= noncoronary_hu
    in_slice = np.zeros((3, 3, 3))
    in_slice[1] = 1
    lesions, n = ndimage.label(is_calcium, in_slice)
    if n == 0:
        return stronger
    own, other = (
        np.bincount(lesions.ravel(), np.clip(hu, 0, None).ravel(), n + 1) for hu in (coronary_hu, noncoronary_hu)
    )
    share = own / np.maximum(own + other, 1e-6)
    stronger = np.where(share[lesions] >= 1 - MINOR_SHARE, True, stronger)
    return np.asarray(np.where(share[lesions] <= MINOR_SHARE, False, stronger))


def slice_agatston(hu_yx: Int16Array, is_calcium_yx: BoolArray, spacing_mm_zyx: tuple[float, float, float]) -> float:
    """Return one slice's Agatston score by the clinical rule, for steering a planting.

    Eight-connected lesions of at least 130 HU and round(1 mm² / pixel area) pixels, weight 1 to 4 by the maximum, times
    increment / 3 mm. The `scoring` room has the profiles; this room may not import it.
    """
    area_mm2 = spacing_mm_zyx[1] * spacing_mm_zyx[2]
    components, n = ndimage.label(is_calcium_yx & (hu_yx >= CALCIUM_HU), np.ones((3, 3)))
    if n == 0:
        return 0.0
    lesion = components[components > 0]
    pixels = np.bincount(lesion, minlength=n + 1)[1:]
    peaks = np.zeros(n + 1, dtype=hu_yx.dtype)
    np.maximum.at(peaks, lesion, hu_yx[components > 0])
    weight = np.digitize(peaks[1:], (130, 200, 300, 400))
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
