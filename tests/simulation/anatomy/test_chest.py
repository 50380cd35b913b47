"""A painted chest has the tissues, places and proportions of real ones (FACTS 8.1 and the scans of ../shared)."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from scipy import ndimage

from calcmap.core.volume import BoolArray, Float32Array
from calcmap.simulation.anatomy.bones import paint_arms
from calcmap.simulation.anatomy.chest import paint_thorax
from calcmap.simulation.anatomy.spine import draw_column, paint_spine
from calcmap.simulation.anatomy.thorax import Thorax
from calcmap.simulation.anatomy.wall import draw_wall, paint_wall
from coarse_thorax import thorax_of


@dataclasses.dataclass(frozen=True)
class Painted:
    """One chest, painted."""

    thorax: Thorax
    heart: Float32Array

    @property
    def hu(self) -> Float32Array:
        """The painted tissues."""
        return self.thorax.canvas.hu

    def slice_at(self, z_mm: float) -> Float32Array:
        """Return the axial slice nearest a height."""
        return self.hu[int(np.argmin(np.abs(self.thorax.canvas.axes_mm_zyx[0] - z_mm)))]


def painted(seed: int, **build: object) -> Painted:
    thorax = thorax_of(seed, **build)  # type: ignore[arg-type]
    return Painted(thorax, paint_thorax(thorax))


@pytest.fixture(scope="module")
def man() -> Painted:
    return painted(5)


@pytest.fixture(scope="module")
def woman() -> Painted:
    return painted(6, sex="F", age=74.0)


def lung_of(plane: Float32Array) -> BoolArray:
    """Return the lung's voxels of a slice: aerated, and not outside."""
    outside, _ = ndimage.label(plane < -500)
    aerated: BoolArray = (plane < -600) & (plane > -985) & (outside != outside[0, 0])
    return aerated


def test_the_heart_is_painted_where_its_share_says(man: Painted) -> None:
    assert man.heart.shape == man.hu.shape
    assert 0.0 <= float(man.heart.min()) <= float(man.heart.max()) <= 1.0
    assert -20 < float(np.median(man.hu[man.heart > 0.99])) < 70


def test_every_voxel_lies_between_air_and_bone(man: Painted, woman: Painted) -> None:
    for chest in (man, woman):
        assert np.isfinite(chest.hu).all()
        assert float(chest.hu.min()) >= -1060
        assert float(chest.hu.max()) <= 1500


def test_the_same_seed_paints_the_same_chest_and_another_does_not() -> None:
    first, again, other = (painted(seed, lowest_mm=20.0, highest_mm=35.0) for seed in (5, 5, 15))

    np.testing.assert_array_equal(again.hu, first.hu)
    np.testing.assert_array_equal(again.heart, first.heart)
    assert other.hu.shape != first.hu.shape or float(np.abs(other.hu - first.hu).mean()) > 20


def test_a_shorter_scan_shows_the_same_wall_and_bones(man: Painted) -> None:
    short = painted(5, lowest_mm=0.0, highest_mm=50.0)
    rows = slice(int(np.searchsorted(man.thorax.canvas.axes_mm_zyx[0], 0.0 - 1e-6)), None)
    same = np.abs(man.hu[rows][: len(short.hu)] - short.hu)[3:-3]

    # smoothing along the body and the grain by slice differ a little at the ends, anatomy does not
    assert float(np.mean(same > 150)) < 0.01


def test_lung_is_as_dense_as_facts_say(man: Painted, woman: Painted) -> None:
    for chest in (man, woman):
        plane = chest.slice_at(50)
        assert -915 < float(np.median(plane[lung_of(plane)])) < -690


def test_the_back_of_the_lung_is_denser_than_the_front(man: Painted) -> None:
    plane = man.slice_at(50)
    lung = lung_of(plane)
    rows = np.nonzero(lung)[0]
    front, back = np.percentile(rows, [25, 75])
    row = np.arange(len(plane))[:, None]

    assert np.median(plane[lung & (row > back)]) > np.median(plane[lung & (row < front)]) + 10


def test_fat_under_the_skin_has_the_hu_of_fat(man: Painted) -> None:
    plane = man.slice_at(0)
    body = ndimage.binary_fill_holes(plane > -400)
    shell = ndimage.binary_erosion(body, iterations=2) & ~ndimage.binary_erosion(body, iterations=3)

    assert -125 < float(np.median(plane[shell & (plane < -40)])) < -80


def test_the_spine_lies_behind_the_middle_and_is_bone(man: Painted) -> None:
    thorax = man.thorax
    z, y, x = thorax.canvas.axes_mm_zyx
    rows = np.abs(y - thorax.spine_mm) < 8
    columns = np.abs(x) < 8
    middle = man.hu[:, rows][:, :, columns].reshape(len(z), -1).mean(axis=1)

    assert thorax.spine_mm > 0
    assert float(np.median(middle)) > 100


def test_older_and_female_bone_is_less_dense() -> None:
    def spongy_hu(sex: str, age: float) -> float:
        values = []
        for seed in range(6):
            thorax = thorax_of(seed, sex=sex, age=age, lowest_mm=0.0, highest_mm=24.0)
            paint_spine(thorax, draw_column(thorax))
            _, y, x = thorax.canvas.axes_mm_zyx
            core = thorax.canvas.hu[:, np.abs(y - thorax.spine_mm) < 6][:, :, np.abs(x) < 6]
            values.append(float(np.median(core)))
        return float(np.mean(values))

    young, old = spongy_hu("M", 40.0), spongy_hu("F", 84.0)
    assert 150 < young < 330
    assert old < young - 40


def test_lowered_arms_lie_beside_the_chest() -> None:
    def half_width_mm(*, arms_down: bool) -> float:
        thorax = thorax_of(8, arms_down=arms_down, lowest_mm=0.0, highest_mm=10.0)
        wall = draw_wall(thorax)
        paint_arms(thorax)
        for plane in thorax.canvas.planes(thorax.canvas.whole):
            paint_wall(thorax, wall, plane)
        columns = np.flatnonzero((thorax.canvas.hu > -300).any(axis=(0, 1)))
        return float(thorax.canvas.axes_mm_zyx[2][columns[-1]])

    assert half_width_mm(arms_down=True) > half_width_mm(arms_down=False) + 40
