from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calcmap.segmentation.resampling import averaging_weights, resample_separable

N_IN = 20


def positions_at(first: float, step: float, n: int) -> np.ndarray:
    return first + step * np.arange(n, dtype=np.float64)


@settings(deadline=None, max_examples=60)
@given(first=st.floats(-30.0, 50.0), step=st.floats(0.05, 8.0), n=st.integers(1, 40))
def test_rows_sum_to_one_inside_and_to_zero_outside(first: float, step: float, n: int) -> None:
    weights = averaging_weights(positions_at(first, step, n), N_IN)
    assert weights.shape == (n, N_IN)
    assert (weights >= 0).all()
    sums = weights.sum(axis=1)
    assert np.all(np.isclose(sums, 1.0, atol=1e-5) | (sums == 0.0))


@settings(deadline=None, max_examples=40)
@given(first=st.floats(-4.0, 4.0), step=st.floats(0.1, 5.0), value=st.integers(-1000, 3000))
def test_a_constant_stays_constant_where_there_is_input(first: float, step: float, value: int) -> None:
    weights = averaging_weights(positions_at(first, step, 12), N_IN)
    found = weights @ np.full(N_IN, value, dtype=np.float32)
    inside = weights.any(axis=1)
    np.testing.assert_allclose(found[inside], value, rtol=1e-5, atol=1e-3)


@pytest.mark.parametrize("step", [0.125, 0.3, 1.0, 2.0, 3.0, 5.0])
def test_linear_ramps_are_exact_away_from_the_rim(step: float) -> None:
    # Interpolation below a step of 1; above it, boxes as wide as a whole number of samples are exact.
    positions = positions_at(step + 0.3, step, 40)
    positions = positions[positions < N_IN - 1 - step]
    found = averaging_weights(positions, N_IN) @ np.arange(N_IN)
    np.testing.assert_allclose(found, positions, atol=1e-5)


@pytest.mark.parametrize("step", [1.3, 2.6, 4.1])
def test_linear_ramps_are_a_tenth_of_a_sample_off_at_most_for_any_step(step: float) -> None:
    positions = positions_at(step + 0.3, step, 40)
    positions = positions[positions < N_IN - 1 - step]
    found = averaging_weights(positions, N_IN) @ np.arange(N_IN)
    np.testing.assert_allclose(found, positions, atol=0.1)


def test_weights_of_a_box_by_hand() -> None:
    # Three samples wide around sample 4: 3, 4 and 5 alike. Around 4.5: half of 3 and 6, all of 4 and 5.
    weights = averaging_weights(np.array([1.0, 4.0, 7.0]), 10)
    np.testing.assert_allclose(weights[1, 2:7], [0, 1 / 3, 1 / 3, 1 / 3, 0], atol=1e-6)
    between = averaging_weights(np.array([1.5, 4.5, 7.5]), 10)
    np.testing.assert_allclose(between[1, 2:8], [0, 1 / 6, 1 / 3, 1 / 3, 1 / 6, 0], atol=1e-6)


def test_half_way_between_samples_each_counts_half() -> None:
    np.testing.assert_allclose(averaging_weights(np.array([2.0, 2.5, 3.0]), 5)[1], [0, 0, 0.5, 0.5, 0])


def test_positions_beyond_both_ends_have_no_weights() -> None:
    weights = averaging_weights(np.array([-9.0, -4.0, 1.0, 6.0, 11.0, 16.0]), 8)
    assert weights.any(axis=1).tolist() == [False, False, True, True, False, False]


def test_a_single_position_is_interpolated() -> None:
    np.testing.assert_allclose(averaging_weights(np.array([1.25]), 4), [[0, 0.75, 0.25, 0]])


def test_outputs_outside_have_exactly_the_outside_value() -> None:
    values = np.random.default_rng(0).normal(40, 20, (6, 7, 8)).astype(np.float32)
    far = averaging_weights(np.array([-20.0, -18.0, 3.0, 30.0]), 7)
    near = (averaging_weights(np.arange(6.0), 6), averaging_weights(np.arange(8.0), 8))
    found = resample_separable(values, (near[0], far, near[1]), outside=-1000.0)
    assert (found[:, [0, 1, 3]] == -1000.0).all()
    assert (found[:, 2] > -200).all()


def test_nothing_but_outside_is_a_constant_block() -> None:
    none = averaging_weights(np.array([90.0, 91.0]), 4)
    found = resample_separable(np.zeros((4, 4, 4), dtype=np.int16), (none, none, none), outside=-1000.0)
    assert found.shape == (2, 2, 2)
    assert (found == -1000.0).all()


def test_each_axis_is_resampled_by_its_own_weights() -> None:
    z, y, x = np.meshgrid(np.arange(5.0), np.arange(6.0), np.arange(7.0), indexing="ij")
    ramp = (100 * z + 10 * y + x).astype(np.float32)
    at = (np.array([1.5, 2.5]), np.array([2.0, 3.0, 4.0]), np.array([0.25, 1.25]))
    weights = tuple(averaging_weights(p, n) for p, n in zip(at, ramp.shape, strict=True))
    expected = 100 * at[0][:, None, None] + 10 * at[1][None, :, None] + at[2][None, None, :]
    np.testing.assert_allclose(resample_separable(ramp, weights, outside=0.0), expected, atol=1e-3)


def test_the_input_is_not_changed() -> None:
    values = np.full((3, 3, 3), 7, dtype=np.int16)
    same = averaging_weights(np.arange(3.0), 3)
    resample_separable(values, (same, same, same), outside=-1000.0)
    assert (values == 7).all()


@pytest.mark.parametrize("n_out", [5, 60])
@pytest.mark.parametrize("is_backwards", [False, True])
def test_blocks_of_weights_give_what_whole_matrices_give(n_out: int, is_backwards: bool) -> None:
    values = np.random.default_rng(3).integers(-1000, 400, (7, 90, 80), dtype=np.int16)
    weights = []
    for n_in in values.shape:
        positions = np.linspace(-2.0, n_in - 3.0, n_out)
        weights.append(averaging_weights(positions[::-1] if is_backwards else positions, n_in))
    expected = np.einsum("az,by,cx,zyx->abc", *weights, values.astype(np.float64) + 1000.0, optimize=True) - 1000.0
    found = resample_separable(values, (weights[0], weights[1], weights[2]), outside=-1000.0)
    np.testing.assert_allclose(found, expected, atol=2e-3)


def test_values_below_the_least_count_as_the_least() -> None:
    values = np.array([[[-3000, 100], [-1001, -999]]], dtype=np.int16)
    two, one = averaging_weights(np.arange(2.0), 2), averaging_weights(np.arange(1.0), 1)
    found = resample_separable(values, (one, two, two), outside=-1000.0, at_least=-1000.0)
    np.testing.assert_allclose(found, [[[-1000, 100], [-1000, -999]]])
