"""Grids, volumes and label maps keep the place of every voxel."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calcmap.core.errors import GeometryError, GridMismatchError
from calcmap.core.volume import GRID_TOLERANCE_MM, Grid, Label, Labels, Volume, grid_from_spacing

SHAPE = (3, 4, 5)


def grid() -> Grid:
    return grid_from_spacing(SHAPE, (5.0, 0.5, 0.25), origin_lps_mm=(-10.0, -20.0, -30.0))


def oblique(angle_degrees: float) -> Grid:
    """Return the grid turned about the x axis."""
    angle = np.deg2rad(angle_degrees)
    turn = np.eye(4)
    turn[1:3, 1:3] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    return Grid(SHAPE, turn @ grid().affine_lps_mm)


def test_spacing_is_slices_rows_columns() -> None:
    assert grid().spacing_mm_zyx == (5.0, 0.5, 0.25)


def test_pixel_area_and_voxel_volume() -> None:
    assert grid().pixel_area_mm2 == 0.125
    assert grid().voxel_volume_mm3 == pytest.approx(0.625)


def test_an_index_maps_to_patient_coordinates() -> None:
    # x = -10 + 4 * 0.25, y = -20 + 3 * 0.5, z = -30 + 2 * 5
    assert grid().lps_mm((2.0, 3.0, 4.0)) == (-9.0, -18.5, -20.0)


@given(angle=st.floats(-180.0, 180.0))
def test_turning_a_grid_keeps_spacing_and_volume(angle: float) -> None:
    turned = oblique(angle)
    assert turned.spacing_mm_zyx == pytest.approx((5.0, 0.5, 0.25))
    assert turned.voxel_volume_mm3 == pytest.approx(0.625)


def test_a_mirrored_grid_has_a_positive_volume() -> None:
    assert Grid(SHAPE, np.diag([-1.0, 1.0, 2.0, 1.0])).voxel_volume_mm3 == pytest.approx(2.0)


@pytest.mark.parametrize(
    "affine", [np.eye(3), np.zeros((4, 4)), np.diag([1.0, np.nan, 1.0, 1.0]), np.diag([1.0, 0.0, 1.0, 1.0])]
)
def test_an_impossible_affine_is_an_error(affine: np.ndarray) -> None:
    with pytest.raises(GeometryError, match="invertible 4 x 4"):
        Grid(SHAPE, affine)


def test_an_affine_cannot_be_changed_afterwards() -> None:
    affine = np.eye(4)
    kept = Grid(SHAPE, affine)
    affine[0, 3] = 7.0
    assert kept.affine_lps_mm[0, 3] == 0.0
    with pytest.raises(ValueError, match="read-only"):
        kept.affine_lps_mm[0, 3] = 7.0


def test_a_shape_of_numpy_integers_becomes_plain_integers() -> None:
    shape = Grid(tuple(np.array(SHAPE)), np.eye(4)).shape_zyx
    assert shape == SHAPE
    assert all(type(n) is int for n in shape)


def test_grids_are_the_same_within_the_tolerance() -> None:
    near, far = (
        grid_from_spacing(SHAPE, (5.0, 0.5, 0.25), origin_lps_mm=(-10.0, -20.0, -30.0 + shift))
        for shift in (0.9 * GRID_TOLERANCE_MM, 1.5 * GRID_TOLERANCE_MM)
    )
    assert grid().is_same_as(near)
    assert not grid().is_same_as(far)


def test_grids_of_other_shape_differ() -> None:
    assert not grid().is_same_as(grid_from_spacing((3, 4, 6), (5.0, 0.5, 0.25), origin_lps_mm=(-10.0, -20.0, -30.0)))


def test_a_spacing_error_is_seen_at_the_far_corner() -> None:
    # 0.005 mm per slice: 0.010 mm after two slices passes, 0.015 mm after three does not
    def stack(n_slices: int, dz: float) -> Grid:
        return grid_from_spacing((n_slices, 4, 5), (dz, 1.0, 1.0))

    assert stack(2, 5.0).is_same_as(stack(2, 5.005))
    assert not stack(4, 5.0).is_same_as(stack(4, 5.005))


def test_a_volume_is_read_only_without_freezing_the_callers_array() -> None:
    hu = np.zeros(SHAPE, dtype=np.int16)
    volume = Volume(hu, grid())
    with pytest.raises(ValueError, match="read-only"):
        volume.ct_hu_zyx[0, 0, 0] = 1
    hu[0, 0, 0] = 1
    assert volume.spacing_mm_zyx == grid().spacing_mm_zyx


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros(SHAPE), "3-D float64"),
        (np.zeros(SHAPE, dtype=np.uint16), "3-D uint16"),
        (np.zeros((4, 5), dtype=np.int16), "2-D int16"),
        (np.zeros((3, 4, 6), dtype=np.int16), r"\(3, 4, 6\) is not the grid's shape \(3, 4, 5\)"),
    ],
)
def test_a_volume_of_wrong_type_or_shape_is_an_error(array: np.ndarray, message: str) -> None:
    with pytest.raises(GeometryError, match=message):
        Volume(array, grid())


def test_labels_are_uint8_on_their_grid() -> None:
    with pytest.raises(GeometryError, match="uint8"):
        Labels(np.zeros(SHAPE, dtype=np.int16), grid())
    labels = Labels(np.full(SHAPE, Label.CORONARY, dtype=np.uint8), grid())
    assert not labels.labels_zyx.flags.writeable


def test_labels_on_the_grid_of_a_ct_pass() -> None:
    Labels(np.zeros(SHAPE, dtype=np.uint8), grid()).check_on(Volume(np.zeros(SHAPE, dtype=np.int16), grid()))


def test_labels_on_another_grid_are_an_error_that_names_both() -> None:
    volume = Volume(np.zeros(SHAPE, dtype=np.int16), grid())
    labels = Labels(np.zeros(SHAPE, dtype=np.uint8), grid_from_spacing(SHAPE, (3.0, 0.5, 0.25)))
    with pytest.raises(GridMismatchError, match=r"\(3\.0, 0\.5, 0\.25\) mm, the CT has .*\(5\.0, 0\.5, 0\.25\) mm"):
        labels.check_on(volume)


def test_a_spacing_is_the_same_from_decimal_text_and_from_float32() -> None:
    from_text = grid_from_spacing((3, 4, 5), (3.27, 0.976562, 0.976562))
    from_float32 = grid_from_spacing((3, 4, 5), tuple(float(np.float32(mm)) for mm in (3.27, 0.976562, 0.976562)))
    assert from_text.spacing_mm_zyx == from_float32.spacing_mm_zyx == (3.27, 0.976562, 0.976562)
