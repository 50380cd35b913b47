"""`assess_heart` on a chest of ellipsoids with a known heart, one property bent at a time."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from calcmap.core.errors import GridMismatchError
from calcmap.core.scan import QualityFlag, Severity
from calcmap.quality import assess_heart
from calcmap.quality.heart_checks import heart_interior
from calcmap.quality.motion import heart_edge_widths
from quality.chest_phantom import CENTER_MM_ZYX, Chest, ellipsoid, make_chest

Z, Y, X = CENTER_MM_ZYX


def found(chest: Chest) -> dict[str, Severity]:
    return {flag.code: flag.severity for flag in assess_heart(chest.scan(), chest.heart_zyx)}


def only(chest: Chest) -> QualityFlag:
    (flag,) = assess_heart(chest.scan(), chest.heart_zyx)
    return flag


@pytest.fixture
def chest() -> Chest:
    return make_chest()


def test_a_plain_heart_has_no_flags(chest: Chest) -> None:
    assert assess_heart(chest.scan(), chest.heart_zyx) == ()


def test_a_mask_of_integers_counts_like_one_of_booleans(chest: Chest) -> None:
    assert assess_heart(chest.scan(), chest.heart_zyx.astype(np.uint8) * 2) == ()


def test_no_heart_is_refused_with_that_reason_alone(chest: Chest) -> None:
    chest.heart_zyx[:] = False
    assert found(chest) == {"heart_not_found": Severity.REFUSE}


def test_a_speck_is_no_heart(chest: Chest) -> None:
    chest.heart_zyx[:] = False
    chest.heart_zyx[20, 60:70, 60:70] = True
    assert found(chest) == {"heart_not_found": Severity.REFUSE}


def test_a_mask_on_another_grid_is_an_error(chest: Chest) -> None:
    with pytest.raises(GridMismatchError, match=r"\(40, 128, 128\)"):
        assess_heart(chest.scan(), chest.heart_zyx[1:])


@pytest.mark.parametrize(
    ("diameters_mm", "severity"),
    [((60.0, 60.0, 60.0), Severity.REFUSE), ((80.0, 76.0, 80.0), Severity.WARNING), ((110.0, 100.0, 110.0), None)],
)
def test_small_hearts_warn_and_tiny_ones_refuse(
    chest: Chest, diameters_mm: tuple[float, float, float], severity: Severity | None
) -> None:
    # pi/6 of the product: 113 mL, 255 mL, 634 mL
    chest.heart_zyx = ellipsoid((Z, Y - 20.0, X + 20.0), diameters_mm)
    assert found(chest).get("heart_volume") == severity


@pytest.mark.parametrize(
    ("diameters_mm", "severity"),
    [((140.0, 150.0, 150.0), Severity.WARNING), ((170.0, 180.0, 180.0), Severity.REFUSE)],
)
def test_large_hearts_warn_and_enormous_ones_refuse(
    chest: Chest, diameters_mm: tuple[float, float, float], severity: Severity
) -> None:
    # 1649 mL, 2884 mL
    chest.heart_zyx = ellipsoid((Z, Y, X), diameters_mm)
    assert found(chest).get("heart_volume") == severity


@pytest.mark.parametrize("end", [slice(20, None), slice(None, 20)])
def test_half_a_heart_is_refused(chest: Chest, end: slice) -> None:
    chest.hu_zyx, chest.heart_zyx = chest.hu_zyx[end], chest.heart_zyx[end]
    assert found(chest)["heart_cut"] is Severity.REFUSE


@pytest.mark.parametrize("end", [slice(10, None), slice(None, 31)])
def test_a_sliver_in_the_last_slice_is_a_warning(chest: Chest, end: slice) -> None:
    # slice 10 lies 50 of 55 mm from the centre: 1 - (50/55)^2 = 17 % of the largest section
    chest.hu_zyx, chest.heart_zyx = chest.hu_zyx[end], chest.heart_zyx[end]
    flag = only(chest)
    assert (flag.code, flag.severity) == ("heart_cut", Severity.WARNING)
    assert "17%" in flag.detail


def test_a_heart_that_ends_one_slice_inside_is_complete(chest: Chest) -> None:
    chest.hu_zyx, chest.heart_zyx = chest.hu_zyx[8:33], chest.heart_zyx[8:33]
    assert found(chest) == {}


@pytest.mark.parametrize(
    "cut", [np.s_[:, :, 65:], np.s_[:, :, :75], np.s_[:, 55:], np.s_[:, :60]], ids=["right", "left", "front", "back"]
)
def test_a_heart_beyond_the_images_side_is_refused(chest: Chest, cut: tuple[slice, ...]) -> None:
    chest.hu_zyx, chest.heart_zyx = chest.hu_zyx[cut], chest.heart_zyx[cut]
    assert found(chest)["heart_truncated_fov"] is Severity.REFUSE


def test_a_heart_beyond_the_padding_is_refused(chest: Chest) -> None:
    outside = ~ellipsoid((Z, Y, X), (np.inf, 150.0, 150.0))
    chest.hu_zyx[outside] = -3024.0
    chest.heart_zyx &= ~outside
    flags = found(chest)
    assert flags["heart_truncated_fov"] is Severity.REFUSE


def test_one_pixel_at_the_padding_is_a_warning(chest: Chest) -> None:
    y, x = np.argwhere(chest.heart_zyx[20])[0]
    chest.hu_zyx[20, y - 1, x] = -2000.0
    # one face of 5 mm x 3 mm
    flag = only(chest)
    assert (flag.code, flag.severity) == ("heart_truncated_fov", Severity.WARNING)
    assert "15 mm²" in flag.detail


def test_an_outline_in_the_back_is_refused(chest: Chest) -> None:
    chest.heart_zyx = ellipsoid((Z, Y + 85.0, X), (110.0, 60.0, 110.0))
    assert found(chest)["heart_position"] is Severity.REFUSE


def test_an_outline_in_the_flank_is_refused(chest: Chest) -> None:
    chest.heart_zyx = ellipsoid((Z, Y, X - 110.0), (110.0, 100.0, 90.0))
    assert found(chest)["heart_position"] is Severity.REFUSE


def test_a_mirrored_heart_is_accepted(chest: Chest) -> None:
    chest.hu_zyx, chest.heart_zyx = chest.hu_zyx[:, :, ::-1], chest.heart_zyx[:, :, ::-1]
    assert found(chest) == {}


def test_a_flat_outline_is_a_warning(chest: Chest) -> None:
    chest.heart_zyx = ellipsoid((Z, Y - 20.0, X + 20.0), (45.0, 120.0, 140.0))
    assert found(chest)["heart_shape"] is Severity.WARNING


def test_a_box_is_no_shape_for_a_heart(chest: Chest) -> None:
    chest.heart_zyx[:] = False
    chest.heart_zyx[12:29, 42:72, 55:85] = True
    assert found(chest)["heart_shape"] is Severity.WARNING


def test_a_second_piece_is_a_warning(chest: Chest) -> None:
    chest.heart_zyx |= ellipsoid((Z, Y + 60.0, X - 60.0), (60.0, 60.0, 60.0))
    flag = next(flag for flag in assess_heart(chest.scan(), chest.heart_zyx) if flag.code == "heart_fragmented")
    assert flag.severity is Severity.WARNING
    # 113 of 747 mL
    assert flag.detail.startswith("15%")


def test_a_heart_without_lung_around_it_is_a_warning(chest: Chest) -> None:
    chest.hu_zyx[chest.hu_zyx == -800.0] = 60.0
    assert found(chest) == {"heart_without_lung": Severity.WARNING}


@pytest.mark.parametrize(
    ("blood_hu", "expected"),
    [
        (10.0, {"blood_hu_low": Severity.WARNING}),
        (30.0, {}),
        (60.0, {}),
        (80.0, {"blood_contrast": Severity.WARNING}),
        (100.0, {"blood_contrast": Severity.REFUSE}),
    ],
)
def test_blood_is_judged_by_its_hu(chest: Chest, blood_hu: float, expected: dict[str, Severity]) -> None:
    chest.hu_zyx[chest.blood_zyx], chest.noise_hu = blood_hu, 5.0
    assert found(chest) == expected


def test_bright_contrast_is_refused_as_contrast(chest: Chest) -> None:
    chest.hu_zyx[chest.blood_zyx] = 300.0
    assert found(chest)["blood_contrast"] is Severity.REFUSE


@pytest.mark.parametrize(("noise", "severity"), [(24.0, None), (38.0, Severity.WARNING), (75.0, Severity.REFUSE)])
def test_noise_is_judged_by_its_distance_to_the_threshold(
    chest: Chest, noise: float, severity: Severity | None
) -> None:
    # (130 - 45) / SD: 3.5, 2.2, 1.1 with limits 3.0 and 1.5
    chest.noise_hu = noise
    assert found(chest).get("heart_noise") == severity


def test_a_higher_threshold_stands_more_noise(chest: Chest) -> None:
    chest.noise_hu = 38.0
    codes = {flag.code for flag in assess_heart(chest.scan(), chest.heart_zyx, threshold_hu=207)}
    assert "heart_noise" not in codes


def test_metal_in_the_heart_is_a_warning_with_its_volume(chest: Chest) -> None:
    chest.hu_zyx[20, 58, 70:73] = 2800.0
    flag = only(chest)
    assert (flag.code, flag.severity) == ("metal_in_heart", Severity.WARNING)
    assert "135 mm³" in flag.detail


def test_dense_plaque_is_not_metal(chest: Chest) -> None:
    chest.hu_zyx[20, 58, 70:73] = 1400.0
    assert found(chest) == {}


def test_a_smeared_heart_is_a_warning(chest: Chest) -> None:
    still, smeared = chest.hu_zyx, ndimage.uniform_filter1d(chest.hu_zyx, 5, axis=2)
    near = ndimage.binary_dilation(chest.heart_zyx, np.ones((1, 3, 3)), iterations=5)
    chest.hu_zyx = np.where(near, smeared, still)
    assert found(chest) == {"motion_blur": Severity.WARNING}


def test_a_smooth_kernel_is_not_motion(chest: Chest) -> None:
    chest.hu_zyx = ndimage.uniform_filter1d(chest.hu_zyx, 5, axis=2)
    assert "motion_blur" not in found(chest)


def test_sharp_edges_measure_their_interpolated_width(chest: Chest) -> None:
    chest.hu_zyx[chest.heart_zyx] = 50.0
    chest.noise_hu = 0.0
    z = slice(9, 31)
    widths = heart_edge_widths(chest.scan().volume.ct_hu_zyx[z], chest.heart_zyx[z], chest.spacing_mm_zyx)
    assert widths is not None
    # 400 of 850 HU between neighbours of 3 mm
    assert widths.heart_mm == pytest.approx(3.0 * 400 / 850, abs=1e-6)
    assert widths.wall_mm == pytest.approx(3.0 * 400 / 850, abs=1e-6)


def test_no_lung_means_no_edges(chest: Chest) -> None:
    chest.hu_zyx[:] = 50.0
    assert heart_edge_widths(chest.scan().volume.ct_hu_zyx, chest.heart_zyx, chest.spacing_mm_zyx) is None


def test_lung_without_chest_wall_gives_the_hearts_edge_alone(chest: Chest) -> None:
    chest.hu_zyx[~chest.heart_zyx] = -800.0
    z = slice(9, 31)
    widths = heart_edge_widths(chest.scan().volume.ct_hu_zyx[z], chest.heart_zyx[z], chest.spacing_mm_zyx)
    assert widths is not None
    assert widths.wall_mm is None


def test_profiles_that_start_in_the_lung_are_left_out(chest: Chest) -> None:
    chest.hu_zyx[:] = -800.0
    assert heart_edge_widths(chest.scan().volume.ct_hu_zyx, chest.heart_zyx, chest.spacing_mm_zyx) is None


def test_a_thin_outline_has_no_interior(chest: Chest) -> None:
    thin = chest.heart_zyx & ~ellipsoid((Z, Y - 20.0, X + 20.0), (np.inf, 85.0, 95.0))
    assert heart_interior(chest.scan().volume.ct_hu_zyx, thin, chest.spacing_mm_zyx) is None
    chest.heart_zyx = thin
    assert "blood_contrast" not in found(chest)


def test_an_outline_in_the_air_has_no_position_to_judge(chest: Chest) -> None:
    chest.hu_zyx[:] = -1000.0
    assert "heart_position" not in found(chest)


def test_a_blurred_edge_without_a_wall_to_compare_with_is_a_warning(chest: Chest) -> None:
    chest.hu_zyx[~chest.heart_zyx] = -800.0
    chest.hu_zyx = ndimage.uniform_filter1d(chest.hu_zyx, 5, axis=2)
    assert found(chest)["motion_blur"] is Severity.WARNING


@given(blood_hu=st.floats(25.0, 120.0), noise=st.floats(3.0, 25.0), seed=st.integers(0, 1000))
@settings(max_examples=10, deadline=None)
def test_blood_and_noise_are_measured(blood_hu: float, noise: float, seed: int) -> None:
    chest = make_chest()
    chest.hu_zyx[chest.blood_zyx], chest.noise_hu, chest.seed = blood_hu, noise, seed
    interior = heart_interior(chest.scan().volume.ct_hu_zyx, chest.heart_zyx, chest.spacing_mm_zyx)
    assert interior is not None
    assert interior.blood_hu == pytest.approx(blood_hu, abs=4.0)
    assert interior.noise_hu == pytest.approx(noise, rel=0.15, abs=0.5)
