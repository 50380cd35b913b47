"""The scanner's noise, profile and field of view are what the acquisition says."""

from __future__ import annotations

import numpy as np
import pytest

from calcmap.simulation.anatomy.deformation import draw_deformation
from calcmap.simulation.scanner.imaging import (
    CtAxes,
    add_noise,
    blur_by_motion,
    gaussian_profile,
    resample,
    slice_profile,
    to_hounsfield,
)
from calcmap.simulation.scanner.sites import SITES, Acquisition, draw_acquisition


@pytest.fixture
def acquisition() -> Acquisition:
    return draw_acquisition(np.random.default_rng(0), site=SITES["ge_nmct"])


def test_noise_has_the_sd_asked_for_at_the_heart(acquisition: Acquisition) -> None:
    hu = np.full((6, 200, 200), -1000, dtype=np.float32)
    hu[:, 40:160, 40:160] = 40

    add_noise(hu, acquisition=acquisition, heart_yx_z=(100, 100, 3), rng=np.random.default_rng(1))

    assert hu[:, 85:115, 85:115].std() == pytest.approx(acquisition.noise_sd_hu, rel=0.15)
    assert hu[:, 85:115, 85:115].mean() == pytest.approx(40, abs=4)


def test_noise_is_less_at_the_skin_than_in_the_middle(acquisition: Acquisition) -> None:
    hu = np.full((6, 200, 200), -1000, dtype=np.float32)
    y, x = np.mgrid[:200, :200] - 99.5
    hu[:, np.hypot(x, y) < 90] = 40
    before = hu.copy()

    add_noise(hu, acquisition=acquisition, heart_yx_z=(100, 100, 3), rng=np.random.default_rng(1))

    noise = hu - before
    assert noise[:, 34:44, 34:44].std() < 0.9 * noise[:, 90:110, 90:110].std()


def test_profiles_integrate_to_one() -> None:
    offset = np.arange(-20, 20, 0.01)

    assert slice_profile(offset, thickness_mm=5.0).sum() * 0.01 == pytest.approx(1, abs=1e-6)
    assert gaussian_profile(offset, sigma_mm=0.8).sum() * 0.01 == pytest.approx(1, abs=1e-6)


def test_resampling_keeps_a_flat_field_and_puts_air_outside(acquisition: Acquisition) -> None:
    source = (np.arange(0, 60, 2.0), np.arange(0, 90, 1.5), np.arange(0, 90, 1.5))
    flat = np.full((30, 60, 60), 40, dtype=np.float32)
    axes = CtAxes(z_mm=np.arange(10, 50, 5.0), y_mm=np.arange(-30, 120, 1.0), x_mm=np.arange(-30, 120, 1.0))

    seen = resample(flat, source, axes=axes, acquisition=acquisition, outside=-1000.0)

    np.testing.assert_allclose(seen[:, 40:110, 40:110], 40, atol=0.01)
    assert (seen[:, :20] == -1000).all()


def test_motion_leaves_what_is_far_from_the_heart_alone() -> None:
    rng = np.random.default_rng(2)
    hu = rng.normal(0, 100, (30, 60, 60)).astype(np.float32)
    share = np.zeros_like(hu)
    share[10:20, 25:35, 25:35] = 1
    before = hu.copy()

    blur_by_motion(hu, share, step_mm_zyx=(2.0, 1.5, 1.5), motion_mm=6.0, rng=rng)

    np.testing.assert_array_equal(hu[:, :5], before[:, :5])
    assert hu[12:18, 27:33, 27:33].std() < 0.8 * before[12:18, 27:33, 27:33].std()


def test_hounsfield_values_are_clipped_and_padded() -> None:
    axis = np.arange(64.0)
    hu = np.full((2, 64, 64), 5000, dtype=np.float32)

    ct = to_hounsfield(hu, axes=CtAxes(z_mm=np.arange(2.0), y_mm=axis, x_mm=axis), padding_hu=-2000)

    assert ct.dtype == np.int16
    assert ct[0, 32, 32] == 3071
    assert ct[0, 0, 0] == -2000


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
