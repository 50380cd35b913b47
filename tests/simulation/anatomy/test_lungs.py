"""Lungs: trees that branch by halves, airways that connect, fissures that part the lobes."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from calcmap.core.volume import Float64Array
from calcmap.simulation.anatomy.cage import draw_rib_cage
from calcmap.simulation.anatomy.lung_vessels import (
    LEAF_MM,
    MURRAY_EXPONENT,
    Branches,
    grow_tree,
    paint_lung_vessels,
    spread,
)
from calcmap.simulation.anatomy.lungs import airway_curves, draw_lungs
from calcmap.simulation.anatomy.thorax import Thorax
from coarse_thorax import thorax_of


@pytest.fixture(scope="module")
def thorax() -> Thorax:
    return thorax_of(3, lowest_mm=20.0, highest_mm=60.0)


def leaves(n: int) -> Float64Array:
    return np.random.default_rng(2).uniform([40.0, -60, -60], [110.0, 60, 60], (n, 3))


def test_a_tree_doubles_its_branches_and_ends_at_its_leaves() -> None:
    ends = leaves(64)

    tree = grow_tree(np.random.default_rng(1), np.zeros(3), ends)

    assert [len(branches.ends_mm) for branches in tree] == [1, 2, 4, 8, 16, 32, 64]
    np.testing.assert_allclose(np.sort(tree[-1].ends_mm, axis=0), np.sort(ends, axis=0))


def test_every_branch_begins_where_its_parent_ends() -> None:
    tree = grow_tree(np.random.default_rng(1), np.array([1.0, 2, 3]), leaves(32))

    np.testing.assert_array_equal(tree[0].starts_mm, [[1, 2, 3]])
    for parent, child in pairwise(tree):
        np.testing.assert_array_equal(child.starts_mm, np.repeat(parent.ends_mm, 2, axis=0))


def test_calibres_follow_murray() -> None:
    tree = grow_tree(np.random.default_rng(1), np.zeros(3), leaves(16))

    for parent, child in pairwise(tree):
        assert parent.first_radius_mm**MURRAY_EXPONENT == pytest.approx(2 * child.first_radius_mm**MURRAY_EXPONENT)
    assert tree[-1].last_radius_mm < tree[-1].first_radius_mm
    assert tree[-1].first_radius_mm == pytest.approx(LEAF_MM, rel=0.1)


def test_airways_start_at_one_windpipe_and_grow_narrower(thorax: Thorax) -> None:
    curves = airway_curves(thorax)
    trachea, carina = curves[0], curves[0][0][-1]

    assert all((np.diff(radii) <= 0).all() for _, radii in curves)
    assert trachea[1][0] == max(radii.max() for _, radii in curves)
    for curve, _ in curves[1:3]:
        np.testing.assert_allclose(curve[0], carina)
    assert curves[1][0][-1, 0] < carina[0] - 5
    assert curves[2][0][-1, 0] > carina[0] + 15


def test_bronchi_keep_clear_of_the_spine(thorax: Thorax) -> None:
    for curve, _ in airway_curves(thorax)[1:]:
        assert (curve[:, 1] < thorax.spine_y_mm(curve[:, 2]) + 10).all()


def test_vessels_fill_both_lungs_sparsely(thorax: Thorax) -> None:
    before = thorax.canvas.hu.copy()

    paint_lung_vessels(thorax, draw_rib_cage(thorax), draw_lungs(thorax).fissures)

    changed = np.abs(thorax.canvas.hu - before) > 30
    x = thorax.canvas.axes_mm_zyx[2]
    left, right = (float(changed[:, :, side].mean()) for side in (x > 40, x < -40))
    assert 0.01 < left < 0.35
    assert 0.01 < right < 0.35


def test_the_oblique_fissure_rises_to_the_back(thorax: Thorax) -> None:
    fissures = draw_lungs(thorax).fissures
    x = np.full(2, 70, dtype=np.float32)

    front, back = fissures.oblique_mm(x, np.array([-50, 60], dtype=np.float32))

    assert back > front + 50


def test_a_vessel_along_a_slice_is_a_line_and_no_string_of_dots(thorax: Thorax) -> None:
    canvas = thorax_of(3, lowest_mm=20.0, highest_mm=60.0).canvas
    still = Thorax(thorax.person, thorax.frame, thorax.deformation, canvas, thorax.seed, thorax.tile_zyx)
    axes = canvas.axes_mm_zyx
    row, column = len(axes[1]) // 2, len(axes[2]) // 2
    start = np.array([[axes[2][column - 15], axes[1][row], axes[0][3]]])
    end = np.array([[axes[2][column + 15], axes[1][row], axes[0][3]]])

    spread(still, [Branches(start, end, 0.6, 0.6)])

    line = canvas.hu[3, row, column - 13 : column + 14]
    assert line.min() > -950
    assert line.std() < 0.35 * (line.mean() + 1000)
