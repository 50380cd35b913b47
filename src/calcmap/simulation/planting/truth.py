"""What is known of a planted plaque: how it was made, and what became of it in the scan."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from calcmap.core.result import CalciumClass, Vessel
from calcmap.core.volume import Labels, Volume
from calcmap.simulation.planting.canvas import Canvas, slice_agatston
from calcmap.simulation.planting.plaque_sites import DrawnPlaque, Place
from calcmap.simulation.planting.plaques import (
    SOFT_TISSUE_HU,
    Plaque,
    PointSpread,
    RenderedPlaque,
    density_mg_cm3,
    render_plaque,
)

IDEAL_SPACING_MM = (3.0, 0.5, 0.5)
IDEAL_SPREAD = PointSpread(1.3, 3.0)
"""A gated calcium scan's slices, pixels and blur (MTF 50 % near 0.34 / mm, FACTS 8.2), at 120 kVp."""


@dataclass(frozen=True)
class PlantedPlaque:
    """Truth of one planted plaque."""

    calcium_class: CalciumClass
    place: Place
    vessel: Vessel | None
    center_mm: tuple[float, float, float]
    """Patient coordinates x, y, z (LPS), mm."""
    length_mm: float
    peak_hu: float
    """CT number at 120 kVp before any blur."""
    density_mg_cm3: float
    volume_mm3: float
    """Volume before any blur."""
    mass_mg: float
    ideal_agatston: float
    """Score of the plaque alone in a sharp, still, noise-free gated scan."""
    n_voxels: int
    """Labelled voxels that it contributes to; 0 for a plaque lost in blur."""
    seen_volume_mm3: float
    """Volume of those voxels."""
    seen_peak_hu: int | None
    """Highest CT number among them; ``None`` for a plaque lost in blur."""
    seen_agatston: float
    """Score of those voxels alone; voxels that two plaques share count for both."""


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
    spread : PointSpread
        The blur that the plaques were given.
    """

    volume: Volume
    labels: Labels
    plaques: tuple[PlantedPlaque, ...]
    agatston: float
    spread: PointSpread

    @property
    def ideal_agatston(self) -> float:
        """Sum of the planted coronary plaques' ideal scores; natural calcium is not in it."""
        return sum(p.ideal_agatston for p in self.plaques if p.calcium_class is CalciumClass.CORONARY)


def ideal_agatston(plaque: Plaque) -> float:
    """Return the Agatston score of a plaque alone in a sharp, still, noise-free gated scan of soft tissue."""
    rendered = render_plaque(plaque, IDEAL_SPACING_MM, spread=IDEAL_SPREAD)
    hu = np.rint(rendered.added_hu_zyx + SOFT_TISSUE_HU).astype(np.int16)
    return sum(slice_agatston(plane, np.ones(plane.shape, dtype=np.bool_), IDEAL_SPACING_MM) for plane in hu)


def finish_scan(
    canvas: Canvas, volume: Volume, labels: Labels, drawn: list[tuple[DrawnPlaque, RenderedPlaque]]
) -> PlantedScan:
    """Return the scan of a finished canvas with the truth of everything planted on it."""
    hu_zyx, labels_zyx = canvas.result(volume, labels)
    finished = Volume(hu_zyx, volume.grid), Labels(labels_zyx, volume.grid)
    plaques = tuple(_facts(canvas, item, rendered, finished) for item, rendered in drawn)
    return PlantedScan(*finished, plaques, canvas.agatston, canvas.spread)


def _facts(
    canvas: Canvas, drawn: DrawnPlaque, rendered: RenderedPlaque, finished: tuple[Volume, Labels]
) -> PlantedPlaque:
    volume, labels = finished
    hu_zyx, is_own = canvas.own_voxels(
        rendered, drawn.calcium_class, hu_zyx=volume.ct_hu_zyx, labels_zyx=labels.labels_zyx
    )
    spacing = volume.spacing_mm_zyx
    z, y, x = drawn.plaque.center_mm_zyx / np.array(spacing)
    seen = [slice_agatston(hu, own, spacing) for hu, own in zip(hu_zyx, is_own, strict=True)]
    n_voxels = int(is_own.sum())
    return PlantedPlaque(
        calcium_class=drawn.calcium_class,
        place=drawn.place,
        vessel=drawn.vessel,
        center_mm=volume.grid.lps_mm((float(z), float(y), float(x))),
        length_mm=drawn.plaque.length_mm,
        peak_hu=drawn.plaque.peak_hu,
        density_mg_cm3=density_mg_cm3(drawn.plaque.peak_hu),
        volume_mm3=drawn.plaque.volume_mm3,
        mass_mg=drawn.plaque.mass_mg,
        ideal_agatston=ideal_agatston(drawn.plaque),
        n_voxels=n_voxels,
        seen_volume_mm3=n_voxels * volume.grid.voxel_volume_mm3,
        seen_peak_hu=int(hu_zyx[is_own].max()) if n_voxels else None,
        seen_agatston=float(sum(seen)),
    )
