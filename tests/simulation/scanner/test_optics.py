"""Profiles keep what they spread, and kernels are as sharp as their name."""

from __future__ import annotations

import numpy as np
import pytest

from calcmap.simulation.scanner.optics import (
    PointSpread,
    gaussian_profile,
    sampling_matrix,
    slice_profile,
    slice_weights,
)


def test_profiles_integrate_to_one() -> None:
    offset = np.arange(-20, 20, 0.01)

    assert slice_profile(offset, thickness_mm=5.0).sum() * 0.01 == pytest.approx(1, abs=1e-6)
    assert gaussian_profile(offset, sigma_mm=0.8).sum() * 0.01 == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("edge", [0.0, 0.4])
def test_a_point_spread_keeps_the_mean(edge: float) -> None:
    spread = PointSpread(0.5, edge)

    assert spread.transfer(np.zeros(1))[0] == pytest.approx(1)
    assert sum(weight for weight, _ in spread.parts()) == pytest.approx(1)


def test_half_of_the_modulation_is_left_where_a_gaussian_says() -> None:
    assert PointSpread(0.5).transfer(np.array([0.1874 / 0.5]))[0] == pytest.approx(0.5, abs=0.002)


def test_an_edge_enhancing_kernel_lifts_middle_frequencies_and_undershoots_beside_an_edge() -> None:
    sharp = PointSpread(0.45, 0.8)

    assert sharp.transfer(np.array([0.2]))[0] > 1.05
    profile = sum(weight * gaussian_profile(np.arange(-5, 5, 0.05), sigma_mm=sigma) for weight, sigma in sharp.parts())
    assert np.min(profile) < -0.01


def test_sampling_keeps_a_flat_field_and_puts_nothing_outside() -> None:
    matrix = sampling_matrix(np.arange(-30.0, 120.0), np.arange(0, 90, 1.5), sigma_mm=0.7).toarray()

    np.testing.assert_allclose(matrix[40:110].sum(axis=1), 1, atol=1e-5)
    assert matrix[:25].sum() == 0


def test_slice_weights_average_and_stay_within_the_planes() -> None:
    weights = slice_weights(np.array([10.0, -50.0]), np.arange(0, 40, 2.0), thickness_mm=5.0)

    np.testing.assert_allclose(weights.sum(axis=1), 1)
    assert weights[0] @ np.arange(0, 40, 2.0) == pytest.approx(10)
    assert weights[1, 0] > 0.5
