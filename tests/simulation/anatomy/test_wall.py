"""Muscles lie in layers, skin covers them, and breasts and shoulders swell it."""

from __future__ import annotations

import numpy as np
import pytest

from calcmap.simulation.anatomy.cage import ANGLES
from calcmap.simulation.anatomy.muscles import BLADE, RIB_LAYER_MM, Musculature, draw_musculature
from calcmap.simulation.anatomy.thorax import Thorax
from calcmap.simulation.anatomy.wall import Wall, draw_wall, outer_wall, paint_wall, restore
from coarse_thorax import thorax_of

LEVELS_MM = np.arange(-60.0, 150.0, 5.0)


@pytest.fixture(scope="module")
def thorax() -> Thorax:
    return thorax_of(3)


@pytest.fixture(scope="module")
def wall(thorax: Thorax) -> Wall:
    return draw_wall(thorax)


@pytest.fixture(scope="module")
def muscles(thorax: Thorax) -> Musculature:
    return draw_musculature(thorax, LEVELS_MM)


def at(angle_deg: float) -> int:
    return int(np.argmin(np.abs(ANGLES - np.deg2rad(angle_deg))))


def test_sheets_lie_over_each_other_outside_the_ribs(muscles: Musculature) -> None:
    reached = np.full((len(LEVELS_MM), len(ANGLES)), RIB_LAYER_MM)
    for sheet in muscles.sheets:
        present = sheet.thickness_mm > 0.5
        # the erector is sunk two millimetres into the grooves beside the spine
        assert (sheet.inner_mm[present] >= reached[present] - 2.01).all()
        reached[present] = (sheet.inner_mm + sheet.thickness_mm)[present]


@pytest.mark.parametrize(
    ("name", "angle_deg", "level_mm"),
    [
        ("pectoralis major", 45, 90),
        ("latissimus fold", 104, 90),
        ("erector spinae", 165, 0),
        (BLADE, 120, 90),
        ("serratus", -92, 20),
        ("rectus abdominis", 18, -55),
    ],
)
def test_a_muscle_lies_where_anatomy_puts_it(
    muscles: Musculature, name: str, angle_deg: float, level_mm: float
) -> None:
    sheet = next(s for s in muscles.sheets if s.sheet.name == name)
    row = int(np.argmin(np.abs(LEVELS_MM - level_mm)))

    assert sheet.thickness_mm[row, at(angle_deg)] > 1.0
    assert sheet.thickness_mm[row, at(0)] < 0.5 * sheet.thickness_mm[row, at(angle_deg)]


def test_the_shoulder_region_is_thicker_than_the_heart_s(muscles: Musculature) -> None:
    low, high = (int(np.argmin(np.abs(LEVELS_MM - z))) for z in (0.0, 100.0))

    assert muscles.outer_mm[high, at(110)] > muscles.outer_mm[low, at(110)] + 10


def test_lowered_arms_thin_the_fold_of_the_armpit() -> None:
    up, down = (draw_musculature(thorax_of(3, arms_down=down), LEVELS_MM) for down in (False, True))

    assert down.outer_mm[:, at(110)].sum() < up.outer_mm[:, at(110)].sum()


def test_skin_covers_every_muscle(wall: Wall, thorax: Thorax) -> None:
    # where shoulders would leave the grid the skin is cut, so only the heart's height is asked
    low = wall.heights_mm < 20

    assert (wall.skin_mm[low] > wall.muscles.outer_mm[low]).all()


def test_more_weight_is_more_fat_under_the_skin() -> None:
    lean, heavy = (draw_wall(thorax_of(3, bmi=bmi)) for bmi in (20.0, 38.0))
    row = int(np.argmin(np.abs(lean.heights_mm)))
    fat = [(w.skin_mm - w.muscles.outer_mm)[row].mean() for w in (lean, heavy)]

    assert fat[1] > fat[0] + 8


def test_a_woman_has_breasts() -> None:
    man, woman = (draw_wall(thorax_of(3, sex=sex)) for sex in ("M", "F"))
    breast = woman.breasts[1]
    row = int(np.argmin(np.abs(woman.heights_mm - breast.height_mm)))
    front = at(np.rad2deg(breast.angle))

    assert all(b.thickness_mm == 0 for b in man.breasts)
    assert woman.skin_mm[row, front] - woman.muscles.outer_mm[row, front] > woman.breasts[1].thickness_mm


def test_the_wall_lies_between_lung_and_skin(thorax: Thorax, wall: Wall) -> None:
    plane = (slice(6, 7), slice(None), slice(None))

    cavity = paint_wall(thorax, wall, plane)

    hu = thorax.canvas.hu[plane]
    assert cavity.shape == hu.shape
    assert (hu[cavity > wall.skin_mm[6].max() + 6] == -1000).all()
    assert (hu[(cavity > -1) & (cavity < 3)] > -150).all()
    assert np.median(hu[cavity < -5]) == pytest.approx(52.0)


def test_what_comes_through_the_upper_wall_is_taken_back() -> None:
    thorax = thorax_of(3, lowest_mm=60.0, highest_mm=95.0)
    wall, canvas = draw_wall(thorax), thorax.canvas
    cavity = np.concatenate([paint_wall(thorax, wall, plane) for plane in canvas.planes(canvas.whole)])
    painted = canvas.hu.copy()
    outside = outer_wall(thorax, wall, cavity)

    canvas.hu[:] = 300.0
    restore(thorax, outside)

    high = wall.heights_mm >= 70
    np.testing.assert_array_equal(canvas.hu[high][cavity[high] > 3], painted[high][cavity[high] > 3])
    assert (canvas.hu[~high] == 300).all()
    assert (canvas.hu[cavity < 3] == 300).all()
