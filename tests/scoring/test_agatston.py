from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence

import numpy as np
import pytest

from calcmap.core.errors import ConfigError, GridMismatchError, InputError
from calcmap.core.result import CalciumClass, Vessel
from calcmap.core.volume import BoolArray, Grid, Label, UInt8Array, Volume, grid_from_spacing
from calcmap.scoring.agatston import VesselCode, find_lesions, find_ranked_lesions, score_mask, score_volume
from calcmap.scoring.rules import get_profile
from scoring.scans import Index, scan

CLINICAL = get_profile("clinical")
SQUARE = (1, slice(2, 4), slice(2, 4))
OTHER_SQUARE = (1, slice(2, 4), slice(5, 7))


def _labels(mask_zyx: BoolArray, label: Label = Label.CORONARY) -> UInt8Array:
    return mask_zyx.astype(np.uint8) * np.uint8(label)


def test_a_four_pixel_lesion_by_hand() -> None:
    volume, mask_zyx = scan(calcium=[(SQUARE, 250)])
    scoring = score_mask(volume, mask_zyx, rule=CLINICAL)
    # 4 px x 1 mm2 x weight 2 x 3/3; 4 x 3 mm3
    assert (scoring.coronary.agatston, scoring.coronary.volume_mm3, scoring.coronary.n_lesions) == (8.0, 12.0, 1)


def test_an_empty_mask_scores_zero_and_has_no_density() -> None:
    volume, _ = scan(calcium=[(SQUARE, 500)])
    scoring = score_mask(volume, np.zeros(volume.ct_hu_zyx.shape, dtype=bool), rule=CLINICAL, mass_factor=0.75)
    assert (scoring.coronary.agatston, scoring.coronary.volume_mm3, scoring.coronary.mass_mg) == (0.0, 0.0, 0.0)
    assert scoring.coronary.density is None
    assert scoring.lesions == ()
    assert scoring.noncoronary == scoring.coronary


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int16, np.float32])
def test_any_voxel_that_is_not_zero_is_a_candidate(dtype: type) -> None:
    volume, mask_zyx = scan(calcium=[(SQUARE, 250)])
    assert score_mask(volume, (mask_zyx * 7).astype(dtype), rule=CLINICAL).coronary.agatston == 8.0


def test_a_lesion_says_where_it_is() -> None:
    volume, mask_zyx = scan(
        spacing_mm_zyx=(3.0, 0.5, 0.8),
        calcium=[((0, slice(2, 6), slice(3, 5)), 250), ((1, slice(2, 6), slice(3, 5)), 444)],
    )
    (lesion,) = score_mask(volume, mask_zyx, rule=CLINICAL, mass_factor=0.75).lesions
    assert (lesion.id, lesion.lesion_class, lesion.vessel) == (1, CalciumClass.CORONARY, None)
    assert (lesion.slice_first, lesion.slice_last, lesion.max_hu) == (0, 1, 444)
    # column 3.5 x 0.8 mm, row 3.5 x 0.5 mm, slice 0.5 x 3 mm
    assert lesion.center_mm == pytest.approx((2.8, 1.75, 1.5))
    assert lesion.volume_mm3 == pytest.approx(16 * 1.2)
    # 8 px x 0.4 mm2 x (2 + 4)
    assert lesion.agatston == pytest.approx(19.2)
    # 0.75 x 0.0192 cm3 x mean of 250 and 444 HU
    assert lesion.mass_mg == pytest.approx(0.75 * 0.0192 * 347)


def test_the_centre_of_a_lesion_is_in_patient_coordinates() -> None:
    affine_lps_mm = np.array([[0, -1, 0, 10], [1, 0, 0, 20], [0, 0, -3, 30], [0, 0, 0, 1]], dtype=float)
    volume, mask_zyx = scan(calcium=[((1, 2, 3), 400)])
    turned = Volume(volume.ct_hu_zyx, Grid(volume.grid.shape_zyx, affine_lps_mm))
    (lesion,) = score_mask(turned, mask_zyx, rule=CLINICAL).lesions
    # x = 10 - row 2, y = 20 + column 3, z = 30 - 3 x slice 1
    assert lesion.center_mm == pytest.approx((8.0, 23.0, 27.0))


def test_the_two_classes_are_scored_apart_even_where_they_touch() -> None:
    volume, mask_zyx = scan(calcium=[(SQUARE, 150), ((1, slice(2, 4), slice(4, 6)), 450)])
    labels_zyx = _labels(mask_zyx)
    labels_zyx[:, :, 4:] *= 0
    labels_zyx[1, 2:4, 4:6] = Label.NONCORONARY
    scoring = score_volume(volume, labels_zyx, rule=CLINICAL)
    assert (scoring.coronary.agatston, scoring.noncoronary.agatston) == (4.0, 16.0)
    assert [lesion.lesion_class for lesion in scoring.lesions] == ["coronary", "noncoronary"]
    assert [lesion.id for lesion in scoring.lesions] == [1, 2]


def test_heart_and_background_are_no_candidates() -> None:
    volume, mask_zyx = scan(calcium=[(SQUARE, 450)])
    scoring = score_volume(volume, _labels(mask_zyx, Label.HEART), rule=CLINICAL)
    assert (scoring.coronary.agatston, scoring.noncoronary.agatston) == (0.0, 0.0)


def test_lesions_come_with_the_highest_score_first() -> None:
    volume, mask_zyx = scan(calcium=[(SQUARE, 150), (OTHER_SQUARE, 450), ((0, 7, 7), 200)])
    lesions = score_mask(volume, mask_zyx, rule=CLINICAL).lesions
    assert [lesion.agatston for lesion in lesions] == [16.0, 4.0, 2.0]
    assert [lesion.id for lesion in lesions] == [1, 2, 3]


def test_class_sums_are_the_sums_of_their_lesions() -> None:
    volume, mask_zyx = scan(calcium=[(SQUARE, 150), (OTHER_SQUARE, 450), ((0, 7, 7), 200)])
    scoring = score_mask(volume, mask_zyx, rule=CLINICAL, mass_factor=0.75)
    assert scoring.coronary.agatston == sum(lesion.agatston for lesion in scoring.lesions)
    assert scoring.coronary.volume_mm3 == sum(lesion.volume_mm3 for lesion in scoring.lesions)
    assert scoring.coronary.mass_mg == pytest.approx(sum(lesion.mass_mg for lesion in scoring.lesions))


@pytest.mark.parametrize("increment_mm", [1.5, 3.0, 5.0])
def test_density_is_the_mean_weight_whatever_the_increment(increment_mm: float) -> None:
    volume, mask_zyx = scan(spacing_mm_zyx=(increment_mm, 0.7, 0.9), calcium=[(SQUARE, 150), (OTHER_SQUARE, 450)])
    # four pixels of weight 1, four of weight 4
    assert score_mask(volume, mask_zyx, rule=CLINICAL).coronary.density == pytest.approx(2.5)


def test_without_calibration_there_is_no_mass() -> None:
    volume, mask_zyx = scan(calcium=[(SQUARE, 450)])
    scoring = score_mask(volume, mask_zyx, rule=CLINICAL)
    assert scoring.coronary.mass_mg is None
    assert scoring.lesions[0].mass_mg is None
    assert scoring.method.mass_factor_mg_per_cm3_hu is None


def test_the_method_names_the_rule_on_this_grid() -> None:
    volume, mask_zyx = scan(spacing_mm_zyx=(3.27, 0.488, 0.488), calcium=[(SQUARE, 450)])
    method = score_mask(volume, mask_zyx, rule=CLINICAL, mass_factor=0.75, kvp=140.0).method
    assert (method.profile, method.threshold_hu, method.weights_hu) == ("clinical", 130, (130, 200, 300, 400))
    assert (method.min_area_mm2, method.min_area_px, method.connectivity) == (1.0, 4, 8)
    assert (method.increment_mm, method.kvp, method.mass_factor_mg_per_cm3_hu) == (3.27, 140.0, 0.75)


def _vessel_map(volume: Volume, codes: Sequence[tuple[Index, int]]) -> UInt8Array:
    vessels_zyx = np.zeros(volume.ct_hu_zyx.shape, dtype=np.uint8)
    for index_zyx, code in codes:
        vessels_zyx[index_zyx] = code
    return vessels_zyx


def _cut_rectangle() -> tuple[Volume, UInt8Array, UInt8Array]:
    """Return two touching squares of 4 px, 250 and 450 HU, and the map of parts that cuts between them."""
    volume, mask_zyx = scan(calcium=[((1, slice(2, 4), slice(2, 4)), 250), ((1, slice(2, 4), slice(4, 6)), 450)])
    parts_zyx = np.ones(mask_zyx.shape, dtype=np.uint8)
    parts_zyx[:, :, 4:] = 7
    return volume, _labels(mask_zyx), parts_zyx


def test_calcium_of_two_parts_is_never_joined() -> None:
    volume, labels_zyx, parts_zyx = _cut_rectangle()
    # joined: 8 px x weight 4; cut: 4 px x 4 + 4 px x 2, the higher first
    assert score_volume(volume, labels_zyx, rule=CLINICAL).coronary.agatston == 32.0
    cut = score_volume(volume, labels_zyx, rule=CLINICAL, parts_zyx=parts_zyx)
    assert [(lesion.id, lesion.agatston, lesion.max_hu) for lesion in cut.lesions] == [(1, 16.0, 450), (2, 8.0, 250)]
    assert (cut.coronary.agatston, cut.coronary.volume_mm3, cut.noncoronary.n_lesions) == (24.0, 24.0, 0)


def test_one_part_alone_scores_as_no_parts() -> None:
    volume, labels_zyx, parts_zyx = _cut_rectangle()
    alone = score_volume(volume, labels_zyx, rule=CLINICAL, parts_zyx=np.full_like(parts_zyx, 3))
    assert alone == score_volume(volume, labels_zyx, rule=CLINICAL)


def test_a_map_of_parts_on_another_grid_is_refused() -> None:
    volume, labels_zyx, parts_zyx = _cut_rectangle()
    with pytest.raises(GridMismatchError, match="the map of parts has shape"):
        score_volume(volume, labels_zyx, rule=CLINICAL, parts_zyx=parts_zyx[:2])


def test_ranked_lesions_know_their_voxels() -> None:
    volume, labels_zyx, parts_zyx = _cut_rectangle()
    found = find_ranked_lesions(volume, labels_zyx, label=Label.CORONARY, rule=CLINICAL, parts_zyx=parts_zyx)
    assert found.hu_voxel[found.lesion_voxel == 0].tolist() == [450] * 4
    assert found.hu_voxel[found.lesion_voxel == 1].tolist() == [250] * 4


def test_vessel_sums_hold_whole_lesions_of_their_vessel() -> None:
    volume, mask_zyx = scan(calcium=[(SQUARE, 150), (OTHER_SQUARE, 450)])
    vessels_zyx = _vessel_map(volume, [(SQUARE, VesselCode.LAD), (OTHER_SQUARE, VesselCode.RCA)])
    scoring = score_volume(volume, _labels(mask_zyx), rule=CLINICAL, vessels_zyx=vessels_zyx)
    assert {vessel: score.agatston for vessel, score in scoring.vessels.items()} == {
        Vessel.LM: 0.0,
        Vessel.LAD: 4.0,
        Vessel.LCX: 0.0,
        Vessel.RCA: 16.0,
    }
    assert [lesion.vessel for lesion in scoring.lesions] == [Vessel.RCA, Vessel.LAD]


def test_a_lesion_goes_to_the_vessel_of_most_of_its_voxels() -> None:
    volume, mask_zyx = scan(calcium=[((1, 2, slice(1, 6)), 150)])
    vessels_zyx = _vessel_map(volume, [((1, 2, slice(1, 3)), VesselCode.LM), ((1, 2, slice(3, 6)), VesselCode.LAD)])
    (lesion,) = score_volume(volume, _labels(mask_zyx), rule=CLINICAL, vessels_zyx=vessels_zyx).lesions
    assert lesion.vessel is Vessel.LAD


def test_a_tie_goes_to_the_first_vessel() -> None:
    volume, mask_zyx = scan(calcium=[((1, 2, slice(1, 5)), 150)])
    vessels_zyx = _vessel_map(volume, [((1, 2, slice(1, 3)), VesselCode.LCX), ((1, 2, slice(3, 5)), VesselCode.LM)])
    (lesion,) = score_volume(volume, _labels(mask_zyx), rule=CLINICAL, vessels_zyx=vessels_zyx).lesions
    assert lesion.vessel is Vessel.LM


def test_voxels_without_a_vessel_do_not_vote() -> None:
    volume, mask_zyx = scan(calcium=[((1, 2, slice(1, 6)), 150)])
    vessels_zyx = _vessel_map(volume, [((1, 2, 5), VesselCode.RCA)])
    (lesion,) = score_volume(volume, _labels(mask_zyx), rule=CLINICAL, vessels_zyx=vessels_zyx).lesions
    assert lesion.vessel is Vessel.RCA


def test_a_lesion_of_no_vessel_is_in_no_vessel_sum() -> None:
    volume, mask_zyx = scan(calcium=[(SQUARE, 150)])
    vessels_zyx = _vessel_map(volume, [])
    scoring = score_volume(volume, _labels(mask_zyx), rule=CLINICAL, vessels_zyx=vessels_zyx)
    assert scoring.lesions[0].vessel is None
    assert scoring.coronary.agatston == 4.0
    assert all(score.n_lesions == 0 for score in scoring.vessels.values())


def test_noncoronary_calcium_has_no_vessel() -> None:
    volume, mask_zyx = scan(calcium=[(SQUARE, 150)])
    vessels_zyx = _vessel_map(volume, [(SQUARE, VesselCode.LAD)])
    scoring = score_volume(volume, _labels(mask_zyx, Label.NONCORONARY), rule=CLINICAL, vessels_zyx=vessels_zyx)
    assert scoring.lesions[0].vessel is None
    assert scoring.vessels[Vessel.LAD].agatston == 0.0


def test_without_a_vessel_map_there_are_no_vessel_sums() -> None:
    volume, mask_zyx = scan(calcium=[(SQUARE, 150)])
    assert score_mask(volume, mask_zyx, rule=CLINICAL).vessels == {}


def test_inputs_are_not_changed() -> None:
    volume, mask_zyx = scan(calcium=[(SQUARE, 150)])
    labels_zyx = _labels(mask_zyx)
    before = volume.ct_hu_zyx.copy(), labels_zyx.copy()
    score_volume(volume, labels_zyx, rule=CLINICAL)
    np.testing.assert_array_equal(volume.ct_hu_zyx, before[0])
    np.testing.assert_array_equal(labels_zyx, before[1])


def test_a_label_map_of_another_shape_is_refused() -> None:
    volume, _ = scan()
    with pytest.raises(GridMismatchError, match=r"\(3, 8, 9\), the CT has \(3, 8, 8\)"):
        score_volume(volume, np.zeros((3, 8, 9), dtype=np.uint8), rule=CLINICAL)


def test_a_mask_of_another_shape_is_refused() -> None:
    volume, _ = scan()
    with pytest.raises(GridMismatchError, match=r"\(3, 8\)"):
        score_mask(volume, np.zeros((3, 8), dtype=bool), rule=CLINICAL)


def test_a_vessel_map_of_another_shape_is_refused() -> None:
    volume, mask_zyx = scan()
    with pytest.raises(GridMismatchError, match="vessel map"):
        score_volume(volume, _labels(mask_zyx), rule=CLINICAL, vessels_zyx=np.zeros((1, 8, 8), dtype=np.uint8))


def test_a_label_that_does_not_exist_is_refused() -> None:
    volume, mask_zyx = scan(calcium=[(SQUARE, 150)])
    with pytest.raises(InputError, match="label map holds 4, expected 0 to 3"):
        score_volume(volume, _labels(mask_zyx) * np.uint8(2), rule=CLINICAL)


def test_a_vessel_that_does_not_exist_is_refused() -> None:
    volume, mask_zyx = scan(calcium=[(SQUARE, 150)])
    with pytest.raises(InputError, match="vessel map holds 5, expected 0 to 4"):
        score_volume(volume, _labels(mask_zyx), rule=CLINICAL, vessels_zyx=_vessel_map(volume, [(SQUARE, 5)]))


def test_labels_of_another_type_are_refused() -> None:
    volume, mask_zyx = scan(calcium=[(SQUARE, 150)])
    with pytest.raises(InputError, match="int64, expected uint8"):
        score_volume(volume, _labels(mask_zyx).astype(np.int64), rule=CLINICAL)


@pytest.mark.parametrize("mass_factor", [0.0, -0.7, float("nan"), float("inf")])
def test_an_impossible_mass_factor_is_refused(mass_factor: float) -> None:
    volume, mask_zyx = scan(calcium=[(SQUARE, 150)])
    with pytest.raises(ConfigError, match="mass factor"):
        score_mask(volume, mask_zyx, rule=CLINICAL, mass_factor=mass_factor)


def test_found_lesions_list_the_counted_voxels() -> None:
    volume, mask_zyx = scan(calcium=[(SQUARE, 150), ((2, 3, 3), 250)])
    found = find_lesions(volume, _labels(mask_zyx), label=Label.CORONARY, rule=CLINICAL)
    assert found.index_zyx_voxel.T.tolist() == [[1, 2, 2], [1, 2, 3], [1, 3, 2], [1, 3, 3], [2, 3, 3]]
    assert found.hu_voxel.tolist() == [150, 150, 150, 150, 250]
    assert found.spot_voxel.tolist() == [0, 0, 0, 0, 1]
    assert found.lesion_spot.tolist() == [0, 0]
    assert found.n_lesions == 1


def test_a_disc_of_5_mm_in_1_mm_slices_scores_as_its_area_says() -> None:
    pixel_mm = 0.05
    row_mm, column_mm = np.mgrid[-2.975:3.0:pixel_mm, -2.975:3.0:pixel_mm]
    disc_yx = row_mm**2 + column_mm**2 <= 2.5**2
    ct_hu_zyx = np.full((7, *disc_yx.shape), 40, dtype=np.int16)
    ct_hu_zyx[1:6, disc_yx] = 400
    volume = Volume(ct_hu_zyx, grid_from_spacing(ct_hu_zyx.shape, (1.0, pixel_mm, pixel_mm)))
    scoring = score_mask(volume, ct_hu_zyx >= 130, rule=CLINICAL)
    # 5 slices x 19.63 mm2 x weight 4 x 1/3; the disc in pixels is right to a tenth of a percent
    assert scoring.coronary.agatston == pytest.approx(130.9, rel=1e-3)


def test_the_unit_check_of_calciumscoring_jl() -> None:
    # Its score does without slice scaling: 16 for 32 voxels of 0.5 mm, half of them at 400 HU, volume 2 mm3. With
    # increment / 3 mm that is 16 x 0.5 / 3.
    ct_hu_zyx = np.zeros((2, 4, 4), dtype=np.int16)
    ct_hu_zyx[:, :, :2] = 400
    volume = Volume(ct_hu_zyx, grid_from_spacing(ct_hu_zyx.shape, (0.5, 0.5, 0.5)))
    coronary = score_mask(volume, np.ones((2, 4, 4), dtype=bool), rule=CLINICAL).coronary
    assert coronary.agatston * 3 / 0.5 == pytest.approx(16)
    assert coronary.volume_mm3 == pytest.approx(2)


def test_a_rule_of_ones_own_can_be_used() -> None:
    volume, mask_zyx = scan(calcium=[(SQUARE, 150)])
    rule = dataclasses.replace(CLINICAL, name="own", threshold_hu=151)
    assert score_mask(volume, mask_zyx, rule=rule).coronary.agatston == 0.0


def test_a_scan_of_60_slices_is_scored_in_a_blink() -> None:
    rng = np.random.default_rng(7)
    ct_hu_zyx = rng.integers(20, 60, size=(60, 512, 512), dtype=np.int16)
    labels_zyx = np.zeros(ct_hu_zyx.shape, dtype=np.uint8)
    for z, y, x in rng.integers((15, 180, 180), (45, 330, 330), size=(12, 3)):
        ct_hu_zyx[z : z + 2, y : y + 4, x : x + 4] = 400
        labels_zyx[z : z + 2, y : y + 4, x : x + 4] = Label.CORONARY
    volume = Volume(ct_hu_zyx, grid_from_spacing(ct_hu_zyx.shape, (3.0, 0.977, 0.977)))
    seconds = []
    for _ in range(5):
        start = time.perf_counter()
        score_volume(volume, labels_zyx, rule=CLINICAL)
        seconds.append(time.perf_counter() - start)
    # 12 ms on a quiet machine; the limit leaves room for a busy one.
    assert min(seconds) < 0.1
