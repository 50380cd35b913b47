"""The rib cage's surface: as wide, deep and tall as a person's."""

from __future__ import annotations

import numpy as np
import pytest

from calcmap.simulation.anatomy.cage import ANGLES, N_ANGLES, RibCage, angle_bins, draw_rib_cage
from calcmap.simulation.anatomy.thorax import Thorax
from coarse_thorax import thorax_of


@pytest.fixture(scope="module")
def thorax() -> Thorax:
    return thorax_of(3)


@pytest.fixture(scope="module")
def cage(thorax: Thorax) -> RibCage:
    return draw_rib_cage(thorax)


def test_angle_zero_is_the_front_and_a_quarter_turn_the_left() -> None:
    x, y = np.array([0.0, 50, 0, -50], dtype=np.float32), np.array([-50.0, 0, 50, 0], dtype=np.float32)

    found = ANGLES[angle_bins(x, y)]

    np.testing.assert_allclose(np.abs(found[[0, 2]]), [0, np.pi], atol=0.01)
    np.testing.assert_allclose(found[[1, 3]], [np.pi / 2, -np.pi / 2], atol=0.01)


def test_angle_bins_stay_within_the_section() -> None:
    x, y = np.random.default_rng(1).normal(0, 50, (2, 5000)).astype(np.float32)

    bins = angle_bins(np.append(x, [0, -1e-9]).astype(np.float32), np.append(y, [40, 40]).astype(np.float32))

    assert bins.min() >= 0
    assert bins.max() < N_ANGLES


def test_a_section_reaches_front_back_and_sides(cage: RibCage) -> None:
    section = cage.section(0.0)
    points_y = section.center_y_mm - section.radius_mm * np.cos(ANGLES)
    points_x = section.radius_mm * np.sin(ANGLES)

    assert points_y.min() == pytest.approx(cage.front_mm(0.0), abs=0.5)
    assert points_y.max() == pytest.approx(cage.back_mm(0.0), abs=0.5)
    assert points_x.max() == pytest.approx(cage.width_mm(0.0), abs=0.5)
    assert cage.width_mm(0.0) == pytest.approx(cage.half_width_mm)


def test_a_section_is_the_same_on_both_sides(cage: RibCage) -> None:
    radius = cage.section(40.0).radius_mm

    np.testing.assert_allclose(radius, radius[::-1], rtol=1e-4)


def test_points_lie_as_far_outside_as_asked(cage: RibCage) -> None:
    angles = np.array([-1.0, 0.0, 2.0])
    on, off = (cage.points(angles, np.full(3, 20.0), outside_mm=out) for out in (0.0, 7.0))

    np.testing.assert_allclose(np.linalg.norm(off - on, axis=1), 7.0, atol=1e-6)


def test_the_cage_closes_over_the_lungs_tops(cage: RibCage) -> None:
    widths = [cage.width_mm(z) for z in (0.0, 80.0, 120.0, cage.cupola_mm)]

    assert widths == sorted(widths, reverse=True)
    assert widths[-1] < 0.2 * widths[0]


def test_a_bent_spine_leaves_room_for_windpipe_and_vessels() -> None:
    for seed in range(8):
        cage = draw_rib_cage(thorax_of(seed, age=85.0, sex="F"))
        for z in (80.0, 120.0, 150.0):
            spine = float(np.interp(z, cage.spine_heights_mm, cage.spine_y_mm))
            assert spine - cage.front_mm(z) > 25


def test_the_lungs_edge_beside_the_spine_falls_back_to_the_gutter(cage: RibCage) -> None:
    edge = cage.edge_mm(np.array([0.0, 17, 22, 30, 50, 62]), 0.0)

    assert (np.diff(edge) > 0).all()
    assert edge[-1] == pytest.approx(cage.back_mm(0.0), abs=1.0)
