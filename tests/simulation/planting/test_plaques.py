from __future__ import annotations

import numpy as np
import pytest

from calcmap.simulation.planting.plaques import (
    HA_MG_PER_CM3_HU,
    SOFT_TISSUE_HU,
    CardiacMotion,
    Plaque,
    PointSpread,
    plaque_along_path,
    plaque_nodule,
    plaque_on_wall,
    render_plaque,
)

SPACING = (3.0, 0.8, 0.7)


def speck(volume_mm3: float = 10.0, peak_hu: float = 545.0) -> Plaque:
    points = np.array([[30.0, 24.0, 21.0]])
    return Plaque(points, np.ones(1), volume_mm3, peak_hu, 1.0)


def total_hu_mm3(plaque: Plaque, motion: CardiacMotion | None = None) -> float:
    rendered = render_plaque(plaque, SPACING, spread=PointSpread(1.4, SPACING[0]), motion=motion)
    return float(rendered.added_hu_zyx.sum() * np.prod(SPACING))


def test_a_resting_plaque_keeps_its_volume_times_contrast() -> None:
    assert total_hu_mm3(speck()) == pytest.approx(10.0 * (545.0 - SOFT_TISSUE_HU), rel=0.01)


def test_a_resting_point_is_a_gaussian_of_the_given_width() -> None:
    rendered = render_plaque(speck(), SPACING, spread=PointSpread(2.0, 3.0))
    sigma = 2.0 / 2.3548
    by_hand = 10.0 * 500.0 / 3.0 / (2 * np.pi * sigma**2)
    assert rendered.added_hu_zyx.max() == pytest.approx(by_hand, rel=0.03)


def test_the_brightest_voxel_is_where_the_point_is() -> None:
    rendered = render_plaque(speck(), SPACING, spread=PointSpread(1.4, 3.0))
    index = np.unravel_index(rendered.added_hu_zyx.argmax(), rendered.added_hu_zyx.shape)
    assert tuple(np.add(index, rendered.start_zyx)) == (10, 30, 30)


def test_overlapping_slices_see_a_plaque_twice() -> None:
    thick = render_plaque(speck(), SPACING, spread=PointSpread(1.4, 6.1))
    assert np.count_nonzero(thick.added_hu_zyx.sum(axis=(1, 2)) > 1) in (2, 3)


def test_back_projection_without_motion_equals_the_gaussian() -> None:
    spread = PointSpread(1.6, 3.0)
    still = render_plaque(speck(), SPACING, spread=spread)
    turned = render_plaque(speck(), SPACING, spread=spread, motion=CardiacMotion(amplitude_mm=1e-6, arc=1.5))
    offset = np.subtract(still.start_zyx, turned.start_zyx)
    part = tuple(slice(o, o + n) for o, n in zip(offset, still.added_hu_zyx.shape, strict=True))
    assert np.abs(turned.added_hu_zyx[part] - still.added_hu_zyx).max() < 0.03 * still.added_hu_zyx.max()


def test_motion_lowers_the_peak_and_leaves_dark_bands() -> None:
    spread = PointSpread(1.4, 3.0)
    still = render_plaque(speck(), SPACING, spread=spread).added_hu_zyx
    moved = render_plaque(speck(), SPACING, spread=spread, motion=CardiacMotion(8.0, start_s=0.1)).added_hu_zyx
    assert moved.max() < 0.7 * still.max()
    assert moved.min() < -5


def test_a_vessel_plaque_lies_on_the_wall_of_its_path() -> None:
    path = np.stack([np.full(41, 20.0), np.linspace(0, 20, 41), np.full(41, 15.0)], axis=1)
    plaque = plaque_along_path(
        path, np.random.default_rng(0), volume_mm3=6.0, length_mm=8.0, radius_mm=1.8, peak_hu=600.0
    )
    off_axis = np.hypot(plaque.points_mm_zyx[:, 0] - 20.0, plaque.points_mm_zyx[:, 2] - 15.0)
    assert off_axis.max() <= 1.8 + 1e-6
    assert off_axis.mean() > 0.9
    assert np.abs(plaque.points_mm_zyx[:, 1] - 10.0).max() <= 4.0
    assert plaque.share.sum() == pytest.approx(1.0)


def test_a_path_shorter_than_the_plaque_limits_it() -> None:
    path = np.array([[0.0, 0.0, 0.0], [0.0, 3.0, 0.0]])
    plaque = plaque_along_path(
        path, np.random.default_rng(0), volume_mm3=5.0, length_mm=20.0, radius_mm=1.5, peak_hu=600.0
    )
    assert plaque.length_mm == pytest.approx(3.0)


def test_a_wall_plaque_keeps_its_distance_from_the_axis() -> None:
    center = np.array([30.0, 50.0, 60.0])
    plaque = plaque_on_wall(
        center,
        np.random.default_rng(1),
        wall_radius_mm=15.0,
        angle_rad=np.pi / 2,
        width_mm=8.0,
        height_mm=6.0,
        thickness_mm=1.0,
        peak_hu=500.0,
    )
    distance = np.hypot(*(plaque.points_mm_zyx - center)[:, 1:].T)
    assert np.abs(distance - 15.0).max() <= 0.5 + 1e-9
    assert plaque.center_mm_zyx[1] > 60.0, "angle of 90 degrees points to the back"
    assert plaque.volume_mm3 == pytest.approx(np.pi / 4 * 8 * 6)


def test_mass_is_volume_times_contrast_times_the_calibration_factor() -> None:
    assert speck(1000.0, 245.0).mass_mg == pytest.approx(200.0 * HA_MG_PER_CM3_HU)


def test_a_nodule_fills_its_ellipsoid() -> None:
    nodule = plaque_nodule(np.zeros(3), np.random.default_rng(2), radii_mm_zyx=(2.0, 1.0, 1.0), peak_hu=400.0)
    assert nodule.volume_mm3 == pytest.approx(4 / 3 * np.pi * 2)
    assert np.linalg.norm(nodule.points_mm_zyx / (2.0, 1.0, 1.0), axis=1).max() <= 1.0 + 1e-9
