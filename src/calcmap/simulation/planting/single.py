"""One plaque of known mass and size at a known place: what does this scanner make of it?"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from calcmap.core.errors import ConfigError
from calcmap.core.volume import Labels, Volume
from calcmap.simulation.planting.canvas import Canvas
from calcmap.simulation.planting.planting import KnownFacts, PlantingRecipe
from calcmap.simulation.planting.plaque_sites import CORONARY_SHARE, DrawnPlaque, Place, coronary_plaque
from calcmap.simulation.planting.plaques import CardiacMotion, peak_hu_of, plaque_nodule
from calcmap.simulation.planting.tracing import axis_mm_zyx, trace_anatomy
from calcmap.simulation.planting.truth import PlantedScan, finish_scan

MARGIN_MM = 30.0
"""Room around a plaque: farther than its blur, and the streaks of a moving one, reach."""


@dataclass(frozen=True)
class PlaqueOrder:
    """One plaque to plant.

    Parameters
    ----------
    volume_mm3 : float
        Volume before any blur.
    density_mg_cm3 : float
        Hydroxyapatite density; the mass is volume times density.
    place : Place
        What the plaque counts as; a coronary branch makes it coronary calcium.
    center_lps_mm : (float, float, float), optional
        Patient coordinates of its centre: an even ball there.
    position : float, optional
        Instead of a centre: 0 (origin) to 1 (end) along the branch ``place``: a lumpy crescent on its wall.
    motion : CardiacMotion, optional
        How it moves while it is scanned; at rest where ``None``.

    Raises
    ------
    ConfigError
        All complaints at once: volume or density not above 0, not exactly one of centre and position, a position
        outside 0 to 1 or on a place that is no coronary branch.
    """

    volume_mm3: float
    density_mg_cm3: float
    place: Place
    center_lps_mm: tuple[float, float, float] | None = None
    position: float | None = None
    motion: CardiacMotion | None = None

    def __post_init__(self) -> None:
        complaints = [
            f"{name} is {value}, expected a number above 0"
            for name, value in (("volume_mm3", self.volume_mm3), ("density_mg_cm3", self.density_mg_cm3))
            if not (np.isfinite(value) and value > 0)
        ]
        if (self.center_lps_mm is None) == (self.position is None):
            complaints.append("expected either center_lps_mm or position")
        if self.position is not None and not 0 <= self.position <= 1:
            complaints.append(f"position is {self.position}, expected 0 to 1")
        if self.position is not None and self.place not in CORONARY_SHARE:
            complaints.append(f"a position needs a coronary branch, {self.place.value} is none; give center_lps_mm")
        if complaints:
            raise ConfigError("; ".join(complaints))


def plant_one(
    volume: Volume, labels: Labels, order: PlaqueOrder, *, known: KnownFacts | None = None, seed: int = 0
) -> PlantedScan:
    """Return the scan with one plaque of given mass and size, and what is seen of it.

    Parameters
    ----------
    volume, labels : Volume, Labels
        The scan; the labels need a heart only where the plaque is ordered by its position on a branch. Unchanged.
    order : PlaqueOrder
        The plaque.
    known : KnownFacts, optional
        What is known of the scan; its blur is estimated where this does not say it.
    seed : int
        Seed of the side of the wall and of the plaque's lumps.

    Returns
    -------
    PlantedScan
        With one plaque, whose ``seen_agatston`` and ``ideal_agatston`` are this scanner's and a gated scan's score.

    Raises
    ------
    ConfigError
        The centre lies outside the scan.
    GridMismatchError
        Labels and CT lie on different grids.
    UnfitScanError
        A position is ordered and the labels hold no heart.
    """
    labels.check_on(volume)
    known = known or KnownFacts()
    rng = np.random.default_rng(seed)
    drawn = _on_branch(volume, labels, order, known, rng) if order.center_lps_mm is None else _ball(volume, order, rng)
    spread = known.spread_of(volume, limits_mm=PlantingRecipe().fwhm_mm)
    points = drawn.plaque.points_mm_zyx
    canvas = Canvas.within(
        volume, labels, points.min(axis=0) - MARGIN_MM, points.max(axis=0) + MARGIN_MM, spread=spread
    )
    rendered = canvas.render(drawn, {} if order.motion is None else {order.place: order.motion})
    canvas.add(rendered, drawn.calcium_class)
    return finish_scan(canvas, volume, labels, [(drawn, rendered)])


def _on_branch(
    volume: Volume, labels: Labels, order: PlaqueOrder, known: KnownFacts, rng: np.random.Generator
) -> DrawnPlaque:
    return coronary_plaque(
        trace_anatomy(volume, labels, paths=known.paths),
        rng,
        place=order.place,
        position=order.position or 0.0,
        volume_mm3=order.volume_mm3,
        length_mm=2.0 * order.volume_mm3**0.42,
        peak_hu=peak_hu_of(order.density_mg_cm3),
    )


def _ball(volume: Volume, order: PlaqueOrder, rng: np.random.Generator) -> DrawnPlaque:
    center = axis_mm_zyx(np.array([order.center_lps_mm], dtype=np.float64), volume)[0]
    last_mm = (np.array(volume.grid.shape_zyx) - 1) * volume.spacing_mm_zyx
    if (center < 0).any() or (center > last_mm).any():
        raise ConfigError(f"the centre {order.center_lps_mm} (LPS, mm) lies outside the scan")
    radius_mm = float(np.cbrt(3 * order.volume_mm3 / (4 * np.pi)))
    plaque = plaque_nodule(
        center, rng, radii_mm_zyx=(radius_mm, radius_mm, radius_mm), peak_hu=peak_hu_of(order.density_mg_cm3)
    )
    # An ordered density holds throughout, and the centre is exact: drawn plaques are lumpy and a little off.
    even = np.full(len(plaque.share), 1 / len(plaque.share))
    points = plaque.points_mm_zyx - plaque.points_mm_zyx.mean(axis=0) + center
    return DrawnPlaque(replace(plaque, points_mm_zyx=points, share=even), order.place)
