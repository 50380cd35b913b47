from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from calcmap.core.volume import Labels, Volume, grid_from_spacing
from calcmap.simulation.planting.plaque_sites import Place, draw_noncoronary
from calcmap.simulation.planting.tracing import AortaTrace, CardiacTraces, trace_anatomy

RADIUS_MM, ANGLES = 15.0, 64
AXIS_MM_YX = np.array([150.0, 120.0])
NOWHERE = np.empty((0, 3))


@pytest.fixture(scope="module")
def traces() -> CardiacTraces:
    """Return an elliptic heart with an upright aorta of 15 mm whose wall is seen on the left (+x) only, below 80 mm."""
    shape, spacing = (40, 110, 120), (4.0, 2.0, 2.0)
    z, y, x = np.meshgrid(*(np.arange(n) * mm for n, mm in zip(shape, spacing, strict=True)), indexing="ij")
    heart = ((z - 75) / 50) ** 2 + ((y - 85) / 45) ** 2 + ((x - 125) / 60) ** 2 < 1
    grid = grid_from_spacing(shape, spacing, origin_lps_mm=(0.0, 0.0, 0.0))
    volume = Volume(np.where(heart, 40, -800).astype(np.int16), grid)
    found = trace_anatomy(volume, Labels(heart.astype(np.uint8), grid))
    height_mm = np.arange(0.0, 161.0, 4.0)
    center = np.column_stack([height_mm, np.tile(AXIS_MM_YX, (len(height_mm), 1))])
    angle = np.arange(ANGLES) * 2 * np.pi / ANGLES
    seen = (np.cos(angle) > 0)[None, :] & (height_mm < 80)[:, None]
    radius = np.full(len(height_mm), RADIUS_MM)
    return replace(found, descending=AortaTrace(center, radius, np.full(seen.shape, RADIUS_MM), seen))


def centers_zyx(traces: CardiacTraces, place: Place, n: int) -> np.ndarray:
    rng = np.random.default_rng(5)
    drawn = [draw_noncoronary(traces, rng, place=place, size=0.3, points_mm_zyx=NOWHERE) for _ in range(n)]
    return np.array([one.plaque.center_mm_zyx for one in drawn if one is not None])


def test_aortic_calcium_lies_mostly_where_the_wall_is_seen(traces: CardiacTraces) -> None:
    center = centers_zyx(traces, Place.DESCENDING_AORTA, 200)
    assert (center[:, 0] < 84).mean() > 0.7, "half of the heights are seen: blind draws would give about 0.5"
    low = center[center[:, 0] < 76]
    assert (low[:, 2] > AXIS_MM_YX[1]).mean() > 0.8, "half of the angles are seen; the others are ten times rarer"


def test_aortic_calcium_lies_below_the_outer_border(traces: CardiacTraces) -> None:
    depth_mm = RADIUS_MM - np.linalg.norm(centers_zyx(traces, Place.DESCENDING_AORTA, 100)[:, 1:] - AXIS_MM_YX, axis=1)
    # 0.6 to 2.6 mm, less than half a millimetre more or less by the plate's lumps and its curve.
    assert depth_mm.min() > 0.3
    assert depth_mm.max() < 3.1
    assert np.median(depth_mm) == pytest.approx(1.6, abs=0.4)


def test_pericardial_calcium_lies_on_the_border_of_the_heart_mask(traces: CardiacTraces) -> None:
    z, y, x = centers_zyx(traces, Place.PERICARDIUM, 60).T
    # 1 on the ellipsoid's surface; a millimetre is about 0.02.
    level = np.sqrt(((z - 75) / 50) ** 2 + ((y - 85) / 45) ** 2 + ((x - 125) / 60) ** 2)
    assert len(level) == 60
    assert level.min() > 0.86
    assert level.max() < 1.02
