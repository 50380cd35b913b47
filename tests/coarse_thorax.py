"""Thoraces on a coarse grid, for tests of what is painted into them."""

from __future__ import annotations

import dataclasses

import numpy as np
from scipy import ndimage

from calcmap.simulation.anatomy.deformation import draw_deformation
from calcmap.simulation.anatomy.heart import heart_frame
from calcmap.simulation.anatomy.person import draw_person
from calcmap.simulation.anatomy.shapes import Canvas
from calcmap.simulation.anatomy.thorax import TILE, Thorax
from calcmap.simulation.population.profile import Profile

STEP_MM, SLICE_MM = 3.0, 5.0
LOWEST_MM, HIGHEST_MM = -30.0, 95.0


def thorax_of(seed: int, *, sex: str = "M", age: float = 62.0, bmi: float = 27.0, arms_down: bool = False,
              lowest_mm: float = LOWEST_MM, highest_mm: float = HIGHEST_MM) -> Thorax:  # fmt: skip
    """Return an unpainted thorax on a coarse grid."""
    rng = np.random.default_rng(seed)
    profile = Profile(sex=sex, age_years=age, height_cm=172.0 if sex == "M" else 162.0, bmi=bmi, category=0)
    person = dataclasses.replace(draw_person(rng, profile=profile), has_arms_down=arms_down)
    reach = person.chest_half_width_mm + 70 + 1.3 * person.fat_mm + (110 if arms_down else 0)
    low, high = np.array([-reach, -200.0, -300.0]), np.array([reach, 190.0, 320.0])
    deformation = draw_deformation(rng, low_mm_xyz=low, high_mm_xyz=high, sd_mm=3.2)
    axes = (
        np.arange(lowest_mm, highest_mm, SLICE_MM),
        np.arange(low[1], high[1], STEP_MM),
        np.arange(low[0], high[0], STEP_MM),
    )
    canvas = Canvas(axes, deformation.model_grid(axes), slack_mm=deformation.slack_mm)
    tile = ndimage.gaussian_filter(
        np.random.default_rng(seed).standard_normal((TILE, TILE, TILE), dtype=np.float32), 1.3, mode="wrap"
    )
    return Thorax(person, heart_frame(person), deformation, canvas, (seed,), (tile / tile.std()).astype(np.float32))
