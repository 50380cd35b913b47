from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from calcmap.segmentation.calcium_input import HeartFrame, calcium_network_input, grow_mask, heart_frame
from segmentation.heart_in_air import ellipsoid_mask

SQUARE = (5.0, 1.0, 1.0)


def dot(shape_zyx: tuple[int, int, int], at_zyx: tuple[int, int, int]) -> np.ndarray:
    mask = np.zeros(shape_zyx, dtype=np.bool_)
    mask[at_zyx] = True
    return mask


def test_the_frame_of_an_ellipsoid_is_its_centre_and_nine_tenths_of_its_semi_axes() -> None:
    # The SD of a solid ellipsoid along an axis is its semi-axis over the root of 5.
    heart = ellipsoid_mask((50, 70, 90), (1.0, 1.0, 1.0), center_mm_zyx=(25, 33, 48), radii_mm_zyx=(18, 25, 32))
    frame = heart_frame(heart)
    assert frame.centre_zyx == pytest.approx((25, 33, 48), abs=1e-9)
    assert frame.half_size_zyx == pytest.approx(np.array([18, 25, 32]) * 2 / np.sqrt(5), rel=0.01)


def test_a_heart_of_one_voxel_still_has_a_size() -> None:
    assert heart_frame(dot((3, 4, 5), (1, 2, 3))) == HeartFrame((1.0, 2.0, 3.0), (1.0, 1.0, 1.0))


def test_a_frame_seen_from_a_box_names_the_same_place() -> None:
    frame = HeartFrame((10.0, 20.0, 30.0), (3.0, 4.0, 5.0))
    assert frame.seen_from((4, 5, 6)) == HeartFrame((6.0, 15.0, 24.0), (3.0, 4.0, 5.0))


def test_the_input_of_a_crop_is_the_crop_of_the_input() -> None:
    rng = np.random.default_rng(0)
    ct = rng.integers(-1000, 1500, (6, 12, 14)).astype(np.int16)
    heart = rng.random((6, 12, 14)) < 0.4
    frame = heart_frame(heart)
    box = (slice(2, 5), slice(3, 11), slice(1, 9))
    whole = calcium_network_input(ct, heart, frame)
    part = calcium_network_input(ct[box], heart[box], frame.seen_from((2, 3, 1)))
    np.testing.assert_allclose(part, whole[2:5, :, 3:11, 1:9], atol=1e-6)


def test_channels_by_hand() -> None:
    ct = np.array([[[-2000, -250, 150, 550, 3000]]], dtype=np.int16)
    heart = np.array([[[False, True, True, False, False]]])
    channels = calcium_network_input(ct, heart, HeartFrame((0.0, 1.0, 2.0), (1.0, 2.0, 0.5)))
    assert channels.shape == (1, 5, 1, 5)
    assert channels.dtype == np.float32
    np.testing.assert_allclose(channels[0, 0, 0], [-1, -1, 0, 1, 1])
    np.testing.assert_allclose(channels[0, 1, 0], [0, 1, 1, 0, 0])
    np.testing.assert_allclose(channels[0, 2, 0], 0.0)
    np.testing.assert_allclose(channels[0, 3, 0], -0.5)
    np.testing.assert_allclose(channels[0, 4, 0], [-2, -2, 0, 2, 2])  # -4 and 4 half sizes, clipped


def test_the_scan_is_not_changed() -> None:
    ct = np.full((1, 2, 2), 2000, dtype=np.int16)
    ct.setflags(write=False)
    calcium_network_input(ct, np.ones((1, 2, 2), dtype=np.bool_), HeartFrame((0, 0, 0), (1, 1, 1)))
    assert (ct == 2000).all()


def test_a_dot_grows_to_a_disc_in_its_own_slice() -> None:
    grown = grow_mask(dot((3, 9, 9), (1, 4, 4)), reach_mm=2.0, spacing_mm_zyx=SQUARE)
    disc = ["..#..", ".###.", "#####", ".###.", "..#.."]
    assert not grown[[0, 2]].any()
    assert ["".join(".#"[v] for v in row) for row in grown[1, 2:7, 2:7].astype(int)] == disc
    assert grown.sum() == 13


def test_rows_farther_apart_than_columns_make_an_ellipse() -> None:
    grown = grow_mask(dot((1, 11, 11), (0, 5, 5)), reach_mm=4.0, spacing_mm_zyx=(3.0, 2.0, 1.0))
    rows, columns = (np.flatnonzero(grown[0].any(axis=axis)) for axis in (1, 0))
    assert (rows.min(), rows.max()) == (3, 7)
    assert (columns.min(), columns.max()) == (1, 9)


def test_a_reach_that_is_less_than_half_a_row_only_widens_columns() -> None:
    grown = grow_mask(dot((1, 5, 7), (0, 2, 3)), reach_mm=1.0, spacing_mm_zyx=(3.0, 3.0, 0.5))
    assert grown[0].any(axis=1).tolist() == [False, False, True, False, False]
    assert grown[0, 2].tolist() == [False, True, True, True, True, True, False]


@pytest.mark.parametrize("reach_mm", [0.0, 0.4])
def test_less_than_half_a_pixel_adds_nothing(reach_mm: float) -> None:
    mask = dot((2, 5, 5), (0, 2, 2))
    grown = grow_mask(mask, reach_mm=reach_mm, spacing_mm_zyx=SQUARE)
    assert (grown == mask).all()
    assert grown is not mask


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 1000), reach_mm=st.floats(0.0, 4.0), more_mm=st.floats(0.0, 3.0))
def test_growing_keeps_the_mask_and_grows_with_the_reach(seed: int, reach_mm: float, more_mm: float) -> None:
    mask = np.random.default_rng(seed).random((2, 12, 13)) < 0.05
    small = grow_mask(mask, reach_mm=reach_mm, spacing_mm_zyx=(5.0, 1.0, 0.8))
    large = grow_mask(mask, reach_mm=reach_mm + more_mm, spacing_mm_zyx=(5.0, 1.0, 0.8))
    assert (small | mask == small).all()
    assert (large | small == large).all()


def test_an_empty_mask_stays_empty() -> None:
    assert not grow_mask(np.zeros((2, 5, 5), dtype=np.bool_), reach_mm=3.0, spacing_mm_zyx=SQUARE).any()


@pytest.mark.parametrize("spacing_mm_zyx", [(3.0, 1.0, 1.0), (3.0, 0.6, 0.9), (3.0, 2.5, 0.5), (3.0, 0.4, 4.0)])
def test_growing_is_the_dilation_by_the_ellipse(spacing_mm_zyx: tuple[float, float, float]) -> None:
    mask = np.random.default_rng(4).random((3, 14, 11)) < 0.04
    a, b = (round(3.0 / mm) for mm in spacing_mm_zyx[1:])
    rows, columns = np.ogrid[-a : a + 1, -b : b + 1]
    ellipse = (rows / max(a, 1)) ** 2 + (columns / max(b, 1)) ** 2 <= 1
    expected = ndimage.binary_dilation(mask, ellipse[None])
    np.testing.assert_array_equal(grow_mask(mask, reach_mm=3.0, spacing_mm_zyx=spacing_mm_zyx), expected)
