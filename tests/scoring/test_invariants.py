"""What must not change a score, and how it must change: for random scans."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as np_st

from calcmap.core.result import ClassScore
from calcmap.core.volume import BoolArray, Grid, Int16Array, Volume, grid_from_spacing
from calcmap.scoring.agatston import score_mask
from calcmap.scoring.rules import PROFILES, AgatstonRule, MinimumArea, get_profile

SHAPE_ZYX = (4, 7, 6)
# HU near every limit make joins, splits and weight changes frequent.
hu_volumes = np_st.arrays(np.int16, SHAPE_ZYX, elements=st.sampled_from([40, 129, 130, 199, 200, 300, 399, 400]))
masks = np_st.arrays(np.bool_, SHAPE_ZYX)
spacings = st.tuples(*[st.floats(min_value=0.3, max_value=6.0)] * 3)
# A spacing is held to seven digits: half a unit of the last one in each of two spacings, before and after.
SPACING_ROUNDING = 3e-6
few = settings(max_examples=40, deadline=None)
rules = st.sampled_from(list(PROFILES.values()))


def _score(
    ct_hu_zyx: Int16Array, mask_zyx: BoolArray, spacing_mm_zyx: tuple[float, float, float], rule: AgatstonRule
) -> ClassScore:
    grid = grid_from_spacing(ct_hu_zyx.shape, spacing_mm_zyx)
    return score_mask(Volume(np.ascontiguousarray(ct_hu_zyx), grid), mask_zyx, rule=rule, mass_factor=0.75).coronary


def _same(first: ClassScore, second: ClassScore) -> None:
    assert first.n_lesions == second.n_lesions
    for name in ("agatston", "volume_mm3", "mass_mg"):
        assert getattr(first, name) == pytest.approx(getattr(second, name), rel=1e-9)


@few
@given(ct=hu_volumes, mask=masks, spacing=spacings, rule=rules, axis=st.integers(0, 2))
def test_flipping_an_axis_changes_nothing(
    ct: Int16Array, mask: BoolArray, spacing: tuple[float, float, float], rule: AgatstonRule, axis: int
) -> None:
    _same(_score(ct, mask, spacing, rule), _score(np.flip(ct, axis), np.flip(mask, axis), spacing, rule))


@few
@given(ct=hu_volumes, mask=masks, spacing=spacings, rule=rules, quarters=st.integers(1, 3))
def test_turning_the_slices_by_quarters_changes_nothing(
    ct: Int16Array, mask: BoolArray, spacing: tuple[float, float, float], rule: AgatstonRule, quarters: int
) -> None:
    dz, dy, dx = spacing
    turned_spacing = (dz, dx, dy) if quarters % 2 else spacing
    turned = [np.rot90(array, quarters, axes=(1, 2)) for array in (ct, mask)]
    _same(_score(ct, mask, spacing, rule), _score(*turned, turned_spacing, rule))


@few
@given(ct=hu_volumes, mask=masks, spacing=spacings, rule=rules, degrees=st.floats(0, 360))
def test_where_the_grid_lies_changes_nothing(
    ct: Int16Array, mask: BoolArray, spacing: tuple[float, float, float], rule: AgatstonRule, degrees: float
) -> None:
    angle = np.radians(degrees)
    rotation = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    affine_lps_mm = np.eye(4)
    affine_lps_mm[:3, :3] = rotation @ np.diag(spacing[::-1])
    affine_lps_mm[:3, 3] = (-120.0, 30.0, -1024.0)
    # A pixel area of exactly 1 / (n + 1/2) mm2 may round either way once turned; random spacings do not hit it.
    turned = score_mask(Volume(ct, Grid(SHAPE_ZYX, affine_lps_mm)), mask, rule=rule, mass_factor=0.75).coronary
    _same(_score(ct, mask, spacing, rule), turned)


@few
@given(ct=hu_volumes, mask=masks, scale=st.floats(0.1, 10.0))
def test_without_a_minimum_the_score_grows_with_the_area(ct: Int16Array, mask: BoolArray, scale: float) -> None:
    rule = get_profile("siemens")
    small, large = _score(ct, mask, (3.0, 1.0, 1.0), rule), _score(ct, mask, (3.0, scale, scale), rule)
    assert large.agatston == pytest.approx(small.agatston * scale**2, rel=SPACING_ROUNDING)
    assert large.volume_mm3 == pytest.approx(small.volume_mm3 * scale**2, rel=SPACING_ROUNDING)


@few
@given(ct=hu_volumes, mask=masks, spacing=spacings, rule=rules, scale=st.floats(0.1, 10.0))
def test_the_score_grows_with_the_increment(
    ct: Int16Array, mask: BoolArray, spacing: tuple[float, float, float], rule: AgatstonRule, scale: float
) -> None:
    stretched = _score(ct, mask, (spacing[0] * scale, *spacing[1:]), rule)
    assert stretched.agatston == pytest.approx(_score(ct, mask, spacing, rule).agatston * scale, rel=SPACING_ROUNDING)


@few
@given(ct=hu_volumes, mask=masks, spacing=spacings, rule=rules, raised=st.integers(131, 450))
def test_a_higher_threshold_never_raises_the_score(
    ct: Int16Array, mask: BoolArray, spacing: tuple[float, float, float], rule: AgatstonRule, raised: int
) -> None:
    stricter = _score(ct, mask, spacing, dataclasses.replace(rule, threshold_hu=raised))
    base = _score(ct, mask, spacing, rule)
    assert stricter.agatston <= base.agatston + 1e-9
    assert stricter.volume_mm3 <= base.volume_mm3 + 1e-9


@few
@given(ct=hu_volumes, mask=masks, spacing=spacings, size=st.integers(1, 10))
def test_a_larger_minimum_never_raises_the_score(
    ct: Int16Array, mask: BoolArray, spacing: tuple[float, float, float], size: int
) -> None:
    small, large = (
        dataclasses.replace(get_profile("canon"), minimum=MinimumArea.PIXELS, minimum_size=n) for n in (size, size + 1)
    )
    assert _score(ct, mask, spacing, large).agatston <= _score(ct, mask, spacing, small).agatston


@few
@given(ct=hu_volumes, spacing=spacings, rule=rules)
def test_an_empty_mask_scores_zero(ct: Int16Array, spacing: tuple[float, float, float], rule: AgatstonRule) -> None:
    nothing = _score(ct, np.zeros(SHAPE_ZYX, dtype=bool), spacing, rule)
    assert (nothing.agatston, nothing.volume_mm3, nothing.mass_mg, nothing.n_lesions) == (0.0, 0.0, 0.0, 0)


@few
@given(ct=hu_volumes, mask=masks, spacing=spacings, rule=rules, column=st.integers(1, SHAPE_ZYX[2] - 2))
def test_masks_that_do_not_touch_add_up(
    ct: Int16Array, mask: BoolArray, spacing: tuple[float, float, float], rule: AgatstonRule, column: int
) -> None:
    left, right = mask.copy(), mask.copy()
    left[:, :, column:] = False
    right[:, :, : column + 1] = False
    both, *parts = (_score(ct, part, spacing, rule) for part in (left | right, left, right))
    for name in ("agatston", "volume_mm3", "mass_mg", "n_lesions"):
        assert getattr(both, name) == pytest.approx(sum(getattr(part, name) for part in parts), rel=1e-9)


@few
@given(ct=hu_volumes, mask=masks, spacing=spacings, rule=rules)
def test_slices_score_alone_what_they_score_together(
    ct: Int16Array, mask: BoolArray, spacing: tuple[float, float, float], rule: AgatstonRule
) -> None:
    alone = [_score(ct[z : z + 1], mask[z : z + 1], spacing, rule).agatston for z in range(SHAPE_ZYX[0])]
    assert _score(ct, mask, spacing, rule).agatston == pytest.approx(sum(alone), rel=1e-9)


@few
@given(ct=hu_volumes, mask=masks, spacing=spacings, rule=rules)
def test_voxels_under_the_threshold_may_be_marked_or_not(
    ct: Int16Array, mask: BoolArray, spacing: tuple[float, float, float], rule: AgatstonRule
) -> None:
    _same(_score(ct, mask, spacing, rule), _score(ct, mask & (ct >= 130), spacing, rule))


@few
@given(ct=hu_volumes, mask=masks, spacing=spacings, rule=rules)
def test_the_density_lies_between_the_weights(
    ct: Int16Array, mask: BoolArray, spacing: tuple[float, float, float], rule: AgatstonRule
) -> None:
    density = _score(ct, mask, spacing, rule).density
    assert density is None or 1 - 1e-9 <= density <= 4 + 1e-9
