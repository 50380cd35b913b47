"""Bodies bend smoothly, and the bend can be undone."""

from __future__ import annotations

import numpy as np

from calcmap.simulation.anatomy.deformation import draw_deformation


def test_a_deformation_can_be_undone() -> None:
    rng = np.random.default_rng(3)
    low, high = np.array([-150.0, -120, -100]), np.array([150.0, 120, 100])
    field = draw_deformation(rng, low_mm_xyz=low, high_mm_xyz=high, sd_mm=3.2)
    points = rng.uniform(low, high, (50, 3))

    np.testing.assert_allclose(field.to_model(field.to_patient(points)), points, atol=0.02)


def test_a_deformation_is_the_same_for_points_and_grids() -> None:
    rng = np.random.default_rng(4)
    low, high = np.array([-60.0, -60, -60]), np.array([60.0, 60, 60])
    field = draw_deformation(rng, low_mm_xyz=low, high_mm_xyz=high, sd_mm=3.2)
    axes = (np.arange(-50, 50, 10.0), np.arange(-50, 50, 7.0), np.arange(-50, 50, 6.0))

    x, y, z = field.model_grid(axes)
    point = field.to_model(np.array([[axes[2][5], axes[1][3], axes[0][7]]]))[0]

    np.testing.assert_allclose([x[7, 3, 5], y[7, 3, 5], z[7, 3, 5]], point, atol=1e-3)
