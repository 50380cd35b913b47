"""Vertebrae, ribs, cartilages and breast bone: their number, order, place and density."""

from __future__ import annotations

import numpy as np
import pytest

from calcmap.simulation.anatomy.bones import paint_ribs, paint_sternum
from calcmap.simulation.anatomy.cage import RibCage, draw_rib_cage
from calcmap.simulation.anatomy.spine import N_THORACIC, Column, draw_column, paint_spine
from calcmap.simulation.anatomy.thorax import Thorax
from coarse_thorax import thorax_of


@pytest.fixture(scope="module")
def thorax() -> Thorax:
    return thorax_of(4, age=70.0)


@pytest.fixture(scope="module")
def column(thorax: Thorax) -> Column:
    return draw_column(thorax)


@pytest.fixture(scope="module")
def cage(thorax: Thorax) -> RibCage:
    return draw_rib_cage(thorax)


def test_vertebrae_grow_taller_downwards(column: Column) -> None:
    pitch = -np.diff(column.heights_mm[column.first_thoracic : column.first_thoracic + N_THORACIC])

    assert (pitch > 14).all()
    assert (np.diff(pitch) >= 0).all()
    assert pitch[-1] < 32


def test_the_heart_lies_before_the_middle_thoracic_vertebrae(column: Column) -> None:
    numbers = np.arange(1, N_THORACIC + 1)
    heights = np.array([column.thoracic_mm(float(n)) for n in numbers])

    assert 7 <= numbers[int(np.argmin(np.abs(heights)))] <= 10


def test_a_disc_lies_between_two_bodies(column: Column) -> None:
    assert column.thoracic_mm(8.5) == pytest.approx(0.5 * (column.thoracic_mm(8) + column.thoracic_mm(9)))
    assert ((column.disc_share > 0.05) & (column.disc_share < 0.3)).all()


def test_only_the_worn_spine_has_osteophytes() -> None:
    young, old = (draw_column(thorax_of(4, age=age)) for age in (30.0, 85.0))

    assert young.osteophytes_mm.max() == 0
    assert old.osteophytes_mm.max() > 0.5


def test_the_canal_holds_cord_not_bone() -> None:
    thorax = thorax_of(4, lowest_mm=-20.0, highest_mm=30.0)
    column = draw_column(thorax)
    paint_spine(thorax, column)
    z, y, x = thorax.canvas.axes_mm_zyx
    depth = (9.5 + 6.5 * (160 - 5) / 240) * column.girth + 7.0
    canal = [thorax.canvas.hu[k][np.abs(y - thorax.spine_y_mm(h) - depth) < 2.5][:, np.abs(x) < 2.5]
             for k, h in enumerate(z)]  # fmt: skip

    assert float(np.median(np.concatenate([c.ravel() for c in canal]))) < 80


def test_a_level_cuts_several_ribs_on_each_side(cage: RibCage, column: Column) -> None:
    thorax = thorax_of(4, age=70.0, lowest_mm=0.0, highest_mm=10.0)
    paint_ribs(thorax, cage, column)
    hu = thorax.canvas.hu[0]
    x = thorax.canvas.axes_mm_zyx[2]

    for side in (x < -60, x > 60):
        rows = (hu[:, side] > 150).any(axis=1)
        assert np.count_nonzero(np.diff(rows.astype(int)) == 1) >= 2


def test_cartilage_is_softer_than_bone_and_calcifies_with_age() -> None:
    def calcified_share(age: float) -> float:
        shares = []
        for seed in range(3):
            thorax = thorax_of(seed, age=age, lowest_mm=10.0, highest_mm=50.0)
            paint_ribs(thorax, draw_rib_cage(thorax), draw_column(thorax))
            _, y, x = thorax.canvas.axes_mm_zyx
            front = thorax.canvas.hu[:, y < -0.6 * thorax.person.chest_half_depth_mm][:, :, np.abs(x) < 45]
            shares.append(float((front > 180).sum()) / max(float((front > 40).sum()), 1.0))
        return float(np.mean(shares))

    young, old = calcified_share(30.0), calcified_share(85.0)
    assert young < 0.04
    assert old > young + 0.02


def test_the_breast_bone_lies_in_the_middle_of_the_front(cage: RibCage, column: Column) -> None:
    thorax = thorax_of(4, age=70.0, lowest_mm=30.0, highest_mm=70.0)
    paint_sternum(thorax, cage, column)
    z, y, x = np.nonzero(thorax.canvas.hu > 100)
    axes = thorax.canvas.axes_mm_zyx

    assert len(z) > 0
    assert abs(float(axes[2][x].mean())) < 6
    assert float(axes[1][y].mean()) < cage.front_mm(50.0) + 4


def test_a_breast_bone_ends_in_a_point_whatever_the_grid(cage: RibCage, column: Column) -> None:
    for lowest in (-70.0, -64.0, -58.0):
        thorax = thorax_of(4, age=70.0, lowest_mm=lowest, highest_mm=10.0)
        paint_sternum(thorax, cage, column)

        assert np.isfinite(thorax.canvas.hu).all()
        assert (thorax.canvas.hu[-1] > 100).any()
