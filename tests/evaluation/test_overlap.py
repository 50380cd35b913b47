from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.extra.numpy import arrays

from calcmap.core.errors import GridMismatchError, InputError
from calcmap.core.volume import BoolArray
from calcmap.evaluation.overlap import dice, lesion_detection, volume_difference

masks = arrays(np.bool_, (3, 4, 5))


def mask_of(*voxels: tuple[int, int, int]) -> BoolArray:
    mask = np.zeros((6, 8, 8), dtype=bool)
    for voxel in voxels:
        mask[voxel] = True
    return mask


def test_dice_by_hand() -> None:
    # 3 and 2 voxels, 2 shared: 4 / 5
    assert dice(mask_of((0, 0, 0), (0, 0, 1), (0, 0, 2)), mask_of((0, 0, 1), (0, 0, 2))) == pytest.approx(0.8)


def test_two_empty_masks_agree_and_one_empty_mask_does_not() -> None:
    assert dice(mask_of(), mask_of()) == 1.0
    assert dice(mask_of(), mask_of((1, 1, 1))) == 0.0


@given(masks, masks)
@settings(deadline=None)
def test_dice_is_symmetric_bounded_and_blind_to_flips(a: BoolArray, b: BoolArray) -> None:
    value = dice(a, b)
    assert 0.0 <= value <= 1.0
    assert value == dice(b, a) == dice(a[::-1, :, ::-1], b[::-1, :, ::-1])
    assert dice(a, a) == 1.0


def test_volumes_are_in_millilitres_and_the_difference_is_test_minus_reference() -> None:
    reference, test = np.zeros((10, 10, 10), dtype=bool), np.zeros((10, 10, 10), dtype=bool)
    reference[:8] = True  # 800 voxels of 2.5 mm³
    test[:6] = True
    difference = volume_difference(reference, test, voxel_volume_mm3=2.5)
    assert difference.reference_ml == pytest.approx(2.0)
    assert difference.test_ml == pytest.approx(1.5)
    assert difference.difference_ml == pytest.approx(-0.5)
    assert difference.relative == pytest.approx(-0.25)


def test_relative_difference_to_an_empty_reference_is_not_defined() -> None:
    assert volume_difference(mask_of(), mask_of((0, 0, 0)), voxel_volume_mm3=1.0).relative is None


@pytest.mark.parametrize("voxel_volume_mm3", [0.0, -1.0, float("nan")])
def test_voxels_without_volume_are_refused(voxel_volume_mm3: float) -> None:
    with pytest.raises(InputError, match="positive"):
        volume_difference(mask_of(), mask_of(), voxel_volume_mm3=voxel_volume_mm3)


def test_lesions_found_missed_and_invented_are_counted() -> None:
    reference = mask_of((0, 0, 0), (0, 0, 1), (3, 4, 4))  # two lesions
    predicted = mask_of((0, 0, 1), (5, 7, 7), (5, 0, 7))  # touches the first, invents two
    found = lesion_detection(reference, predicted)
    assert (found.n_reference, found.n_detected, found.n_predicted, found.n_false_positive) == (2, 1, 3, 2)
    assert found.sensitivity == pytest.approx(1 / 2)
    assert found.precision == pytest.approx(1 / 3)


def test_voxels_that_touch_by_a_corner_across_slices_are_one_lesion() -> None:
    assert lesion_detection(mask_of((0, 0, 0), (1, 1, 1)), mask_of()).n_reference == 1
    assert lesion_detection(mask_of((0, 0, 0), (2, 0, 0)), mask_of()).n_reference == 2


def test_one_predicted_lesion_may_find_two_and_two_may_find_one() -> None:
    bridge = mask_of(*[(0, 0, x) for x in range(5)])
    ends = mask_of((0, 0, 0), (0, 0, 4))
    assert lesion_detection(ends, bridge).sensitivity == 1.0
    both = lesion_detection(bridge, ends)
    assert (both.n_detected, both.n_predicted, both.n_false_positive) == (1, 2, 0)


def test_more_shared_voxels_can_be_demanded() -> None:
    reference, predicted = mask_of((0, 0, 0), (0, 0, 1)), mask_of((0, 0, 1), (0, 0, 2))
    assert lesion_detection(reference, predicted, min_shared_voxels=1).n_detected == 1
    strict = lesion_detection(reference, predicted, min_shared_voxels=2)
    assert (strict.n_detected, strict.n_false_positive) == (0, 1)


def test_rates_without_a_denominator_are_none() -> None:
    nothing = lesion_detection(mask_of(), mask_of())
    assert (nothing.sensitivity, nothing.precision, nothing.n_false_positive) == (None, None, 0)
    assert lesion_detection(mask_of(), mask_of((0, 0, 0))).precision == 0.0
    assert lesion_detection(mask_of((0, 0, 0)), mask_of()).sensitivity == 0.0


@given(masks, masks)
@settings(deadline=None)
def test_lesion_counts_are_consistent_and_exchange_with_the_masks(a: BoolArray, b: BoolArray) -> None:
    forth, back = lesion_detection(a, b), lesion_detection(b, a)
    assert 0 <= forth.n_detected <= forth.n_reference
    assert forth.n_predicted - forth.n_false_positive == back.n_detected
    assert (forth.sensitivity, forth.precision) == (back.precision, back.sensitivity)


@pytest.mark.parametrize("compare", [dice, lesion_detection])
def test_masks_of_two_grids_or_of_labels_are_refused(compare: Callable[[BoolArray, BoolArray], object]) -> None:
    with pytest.raises(GridMismatchError, match="one grid"):
        compare(np.zeros((2, 2, 2), dtype=bool), np.zeros((2, 2, 3), dtype=bool))
    with pytest.raises(InputError, match="boolean"):
        compare(np.zeros((2, 2, 2), dtype=np.uint8), np.zeros((2, 2, 2), dtype=bool))


def test_lesions_need_three_axes_and_a_positive_overlap() -> None:
    with pytest.raises(InputError, match="3-D"):
        lesion_detection(np.zeros((2, 2), dtype=bool), np.zeros((2, 2), dtype=bool))
    with pytest.raises(InputError, match="min_shared_voxels"):
        lesion_detection(mask_of(), mask_of(), min_shared_voxels=0)
