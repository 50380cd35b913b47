from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from calcmap.core.errors import ConfigError, GridMismatchError, UnfitScanError
from calcmap.core.result import CalciumClass
from calcmap.core.volume import Label, Labels, Volume, grid_from_spacing
from calcmap.io.cases import load_case_arrays
from calcmap.simulation.planting.backgrounds import VariationRecipe, erase_calcium, estimate_kernel, vary_background
from calcmap.simulation.planting.canvas import is_coronary, slice_agatston
from calcmap.simulation.planting.planting import (
    Background,
    PlantingRecipe,
    plant_calcium,
    plant_case,
    plant_cohort,
)
from calcmap.simulation.planting.plaque_sites import CORONARY_SHARE
from calcmap.simulation.planting.truth import PlantedScan

SPACING = (4.0, 1.5, 1.5)
REAL_CASES = ("acrin042", "acrinflt013", "lidc0028", "lidc0293", "lidc0306", "lidc0350", "lungdx_A0001")


def tiny_heart(spacing: tuple[float, float, float] = SPACING) -> tuple[Volume, Labels]:
    """Return a soft-tissue body with lungs, a heart in epicardial fat, and an aorta before a vertebra."""
    shape = tuple(round(mm / step) for mm, step in zip((168, 220, 240), spacing, strict=True))
    z, y, x = np.meshgrid(*(np.arange(n) * step for n, step in zip(shape, spacing, strict=True)), indexing="ij")
    hu = np.full(shape, -1000.0)
    hu[((y - 110) / 95) ** 2 + ((x - 120) / 105) ** 2 < 1] = 40
    hu[((y - 105) / 80) ** 2 + ((x - 120) / 95) ** 2 < 1] = -850
    heart = ((z - 75) / 52) ** 2 + ((y - 85) / 50) ** 2 + ((x - 125) / 56) ** 2 < 1
    muscle = ((z - 75) / 46) ** 2 + ((y - 85) / 43) ** 2 + ((x - 125) / 49) ** 2 < 1
    hu[heart] = -100
    hu[muscle] = 45
    hu[(y - 160) ** 2 + (x - 128) ** 2 < 13**2] = 45
    hu[(y - 188) ** 2 + (x - 115) ** 2 < 17**2] = 300
    hu = ndimage.gaussian_filter(hu, (0, 1.0, 1.0)) + np.random.default_rng(0).normal(0, 8, shape)
    grid = grid_from_spacing(hu.shape, spacing, origin_lps_mm=(-120.0, -110.0, 40.0))
    return Volume(np.rint(hu).astype(np.int16), grid), Labels(heart.astype(np.uint8), grid)


@pytest.fixture(scope="module")
def phantom() -> tuple[Volume, Labels]:
    return tiny_heart()


def heavy(seed: int, phantom: tuple[Volume, Labels]) -> PlantedScan:
    recipe = PlantingRecipe(category_weights=(0, 0, 0, 1), p_no_noncoronary=0, p_motion=0, hard_negatives_mean=0)
    return plant_calcium(*phantom, recipe=recipe, rng=np.random.default_rng(seed))


def test_the_input_is_left_as_it_was(phantom: tuple[Volume, Labels]) -> None:
    before = phantom[0].ct_hu_zyx.copy(), phantom[1].labels_zyx.copy()
    heavy(0, phantom)
    assert (phantom[0].ct_hu_zyx == before[0]).all()
    assert (phantom[1].labels_zyx == before[1]).all()


def test_every_labelled_voxel_reaches_130_hu(phantom: tuple[Volume, Labels]) -> None:
    scan = heavy(1, phantom)
    assert scan.volume.ct_hu_zyx[scan.labels.labels_zyx >= Label.CORONARY].min() >= 130


def test_coronary_calcium_lies_in_the_heart(phantom: tuple[Volume, Labels]) -> None:
    scan = heavy(2, phantom)
    is_coronary = scan.labels.labels_zyx == Label.CORONARY
    assert is_coronary.sum() > 20
    assert (phantom[1].labels_zyx[is_coronary] == Label.HEART).mean() > 0.98


@pytest.mark.parametrize(("category", "low", "high"), [(1, 0.1, 100), (2, 0.1, 400), (3, 401, 2500)])
def test_the_score_stays_in_the_drawn_category(
    phantom: tuple[Volume, Labels], category: int, low: float, high: float
) -> None:
    weights = tuple(float(k == category) for k in range(4))
    recipe = PlantingRecipe(category_weights=weights, p_motion=0)
    scan = plant_calcium(*phantom, recipe=recipe, rng=np.random.default_rng(3))
    assert low <= scan.agatston <= high


def test_a_zero_score_can_come_with_much_noncoronary_calcium(phantom: tuple[Volume, Labels]) -> None:
    recipe = PlantingRecipe(
        category_weights=(1, 0, 0, 0), p_no_noncoronary=0, p_heavy_noncoronary=1, p_root=1, p_motion=0
    )
    scan = plant_calcium(*phantom, recipe=recipe, rng=np.random.default_rng(4))
    assert scan.agatston == 0
    assert not (scan.labels.labels_zyx == Label.CORONARY).any()
    assert (scan.labels.labels_zyx == Label.NONCORONARY).sum() > 20


def test_the_reported_score_is_the_score_of_the_labels(phantom: tuple[Volume, Labels]) -> None:
    scan = heavy(5, phantom)
    by_slice = [
        slice_agatston(hu, labels == Label.CORONARY, scan.volume.spacing_mm_zyx)
        for hu, labels in zip(scan.volume.ct_hu_zyx, scan.labels.labels_zyx, strict=True)
    ]
    assert scan.agatston == pytest.approx(sum(by_slice))


def test_a_four_pixel_lesion_scores_by_hand() -> None:
    hu = np.zeros((6, 6), dtype=np.int16)
    hu[2:4, 2:4] = [[150, 130], [250, 140]]
    hu[0, 5] = 500
    assert slice_agatston(hu, hu >= 130, (6.0, 0.5, 0.5)) == pytest.approx(4 * 0.25 * 2 * 2.0)


def test_natural_calcium_keeps_its_label_and_counts(phantom: tuple[Volume, Labels]) -> None:
    hu, labels_zyx = phantom[0].ct_hu_zyx.copy(), phantom[1].labels_zyx.copy()
    hu[18, 58:61, 78:81], labels_zyx[18, 58:61, 78:81] = 300, Label.CORONARY
    volume, labels = Volume(hu, phantom[0].grid), Labels(labels_zyx, phantom[0].grid)
    recipe = PlantingRecipe(category_weights=(1, 0, 0, 0), p_no_noncoronary=1, hard_negatives_mean=0)
    scan = plant_calcium(volume, labels, recipe=recipe, rng=np.random.default_rng(0))
    assert (scan.labels.labels_zyx == labels_zyx).all()
    assert scan.agatston == pytest.approx(9 * 2.25 * 3 * 4 / 3)


def test_decoys_reach_130_hu_and_stay_heart(phantom: tuple[Volume, Labels]) -> None:
    recipe = PlantingRecipe(category_weights=(1, 0, 0, 0), p_no_noncoronary=1, hard_negatives_mean=30)
    scan = plant_calcium(*phantom, recipe=recipe, rng=np.random.default_rng(0))
    is_heart = phantom[1].labels_zyx == Label.HEART
    n_before, n_after = ((v.ct_hu_zyx[is_heart] >= 130).sum() for v in (phantom[0], scan.volume))
    assert n_after > n_before + 10
    assert (scan.labels.labels_zyx == phantom[1].labels_zyx).all()


def test_plaque_facts_say_where_the_labels_are(phantom: tuple[Volume, Labels]) -> None:
    scan = heavy(6, phantom)
    is_coronary = np.argwhere(scan.labels.labels_zyx == Label.CORONARY)
    largest = max((p for p in scan.plaques if p.calcium_class is CalciumClass.CORONARY), key=lambda p: p.n_voxels)
    assert largest.place in CORONARY_SHARE
    assert largest.vessel is not None
    points = is_coronary[:, ::-1] * np.array(SPACING)[::-1] + (-120.0, -110.0, 40.0)
    assert np.linalg.norm(points - largest.center_mm, axis=1).min() < 4.0


def test_a_cohort_is_the_same_in_any_order_and_length(phantom: tuple[Volume, Labels]) -> None:
    recipe = PlantingRecipe(category_weights=(0, 1, 0, 0))
    first, second = Background("first", *phantom), Background("second", *phantom)
    cohort = {(c.background, c.index): c.scan for c in plant_cohort([first, second], 2, 7, recipe)}
    alone = plant_case(second, 1, 7, recipe).scan
    assert (cohort["second", 1].volume.ct_hu_zyx == alone.volume.ct_hu_zyx).all()
    assert (cohort["second", 1].labels.labels_zyx == alone.labels.labels_zyx).all()
    assert not np.array_equal(cohort["first", 0].labels.labels_zyx, cohort["first", 1].labels.labels_zyx)


def test_labels_without_a_heart_are_refused(phantom: tuple[Volume, Labels]) -> None:
    empty = Labels(np.zeros_like(phantom[1].labels_zyx), phantom[1].grid)
    with pytest.raises(UnfitScanError, match="no heart voxel"):
        plant_calcium(phantom[0], empty, recipe=PlantingRecipe(), rng=np.random.default_rng(0))


def test_labels_on_another_grid_are_refused(phantom: tuple[Volume, Labels]) -> None:
    grid = grid_from_spacing(phantom[0].grid.shape_zyx, SPACING)
    moved = Labels(phantom[1].labels_zyx, grid)
    with pytest.raises(GridMismatchError):
        plant_calcium(phantom[0], moved, recipe=PlantingRecipe(), rng=np.random.default_rng(0))
    with pytest.raises(GridMismatchError):
        vary_background(phantom[0], moved, np.random.default_rng(0))


def test_a_recipe_lists_all_its_faults_at_once() -> None:
    with pytest.raises(ConfigError, match=r"p_root is 1.5.*fwhm_mm"):
        PlantingRecipe(p_root=1.5, fwhm_mm=(3.0, 1.0))


def test_thickening_averages_pairs_and_moves_the_origin() -> None:
    grid = grid_from_spacing((8, 4, 4), (2.5, 1.0, 1.0))
    hu = np.repeat(np.arange(8, dtype=np.int16)[:, None], 16, axis=1).reshape(8, 4, 4) * 10
    labels = Labels((hu >= 30).astype(np.uint8), grid)
    recipe = VariationRecipe(0, p_sharpen=0, p_noise=0, p_thicken=1, hu_offset_sd=0, size_factor=(1.0, 1.0))
    varied = vary_background(Volume(hu, grid), labels, np.random.default_rng(1), recipe)
    thick, thick_labels = varied.volume, varied.labels
    first = 1 if len(thick.ct_hu_zyx) == 3 else 0
    assert thick.spacing_mm_zyx == (5.0, 1.0, 1.0)
    assert thick.ct_hu_zyx[0, 0, 0] == 5 + 10 * first
    assert thick.grid.lps_mm((0, 0, 0))[2] == pytest.approx(1.25 + 2.5 * first)
    assert thick_labels.labels_zyx.max() == 1


def test_variation_keeps_padding_and_scales_the_patient(phantom: tuple[Volume, Labels]) -> None:
    hu = phantom[0].ct_hu_zyx.copy()
    hu[:, :3] = -3024
    recipe = VariationRecipe(size_factor=(1.1, 1.1))
    varied = vary_background(Volume(hu, phantom[0].grid), phantom[1], np.random.default_rng(0), recipe)
    volume, labels = varied.volume, varied.labels
    assert (volume.ct_hu_zyx[:, :3] == -3024).all()
    assert volume.ct_hu_zyx[:, 3:].min() >= -1024
    assert volume.spacing_mm_zyx == pytest.approx((4.0, 1.65, 1.65))
    assert labels.grid.is_same_as(volume.grid)


def test_natural_labels_follow_the_varied_image(phantom: tuple[Volume, Labels]) -> None:
    hu, labels_zyx = phantom[0].ct_hu_zyx.copy(), phantom[1].labels_zyx.copy()
    hu[18, 58, 78], labels_zyx[18, 58, 78] = 140, Label.CORONARY
    recipe = VariationRecipe(1, (0.9, 0.9), p_noise=0, hu_offset_sd=0)
    pair = Volume(hu, phantom[0].grid), Labels(labels_zyx, phantom[0].grid)
    varied = vary_background(*pair, np.random.default_rng(0), recipe).labels
    assert varied.labels_zyx[18, 58, 78] == Label.HEART


@pytest.mark.parametrize("fwhm_mm", [1.2, 1.6, 2.2])
def test_blur_is_read_off_the_skin(fwhm_mm: float) -> None:
    pixel = 0.7
    y, x = np.mgrid[:300, :300] * pixel
    body = np.where(((y - 105) / 80) ** 2 + ((x - 105) / 95) ** 2 < 1, 0.0, -1000.0)
    hu = ndimage.gaussian_filter(body, fwhm_mm / 2.3548 / pixel)
    noisy = hu + np.random.default_rng(0).normal(0, 15, (4, *hu.shape))
    volume = Volume(np.rint(noisy).astype(np.int16), grid_from_spacing(noisy.shape, (5.0, pixel, pixel)))
    assert estimate_kernel(volume, limits_mm=(0.5, 4.0)).fwhm_mm == pytest.approx(fwhm_mm, rel=0.25)


def test_the_faint_rim_of_one_plaque_does_not_split_another_lesion(phantom: tuple[Volume, Labels]) -> None:
    coronary, noncoronary = np.zeros((2, 1, 5, 5), dtype=np.float32)
    noncoronary[0, 1:4, 1:4] = 400
    coronary[0, 2, 3] = 410
    is_calcium = noncoronary > 0
    assert not is_coronary(coronary, noncoronary, is_calcium)[is_calcium].any()
    coronary[0, 1:4, 2:4] = 800
    assert (is_coronary(coronary, noncoronary, is_calcium)[0, 2, 1:4] == [False, True, True]).all()


def test_erasing_leaves_heart_tissue_and_no_label(phantom: tuple[Volume, Labels]) -> None:
    hu, labels_zyx = phantom[0].ct_hu_zyx.copy(), phantom[1].labels_zyx.copy()
    hu[18, 58:62, 78:82] = 500
    labels_zyx[18, 58:60, 78:82], labels_zyx[18, 60:62, 78:82] = Label.CORONARY, Label.NONCORONARY
    pair = Volume(hu, phantom[0].grid), Labels(labels_zyx, phantom[0].grid)
    volume, labels = erase_calcium(*pair, np.random.default_rng(0))
    assert (labels.labels_zyx == phantom[1].labels_zyx).all()
    hole = volume.ct_hu_zyx[18, 58:62, 78:82]
    assert hole.mean() == pytest.approx(45, abs=8)
    assert 3 < hole.std() < 15
    assert pair[0].ct_hu_zyx[18, 58, 78] == 500


@pytest.mark.real_data
@pytest.mark.parametrize("case", REAL_CASES)
def test_calcium_planted_into_a_real_scan_lies_where_calcium_can_be(shared_data: Path, case: str) -> None:
    volume, labels, _ = load_case_arrays(shared_data / "real_ct" / case)
    volume, labels = erase_calcium(volume, labels, np.random.default_rng(0))
    recipe = PlantingRecipe(category_weights=(0, 0, 0, 1), p_no_noncoronary=0)
    scan = plant_calcium(volume, labels, recipe=recipe, rng=np.random.default_rng(0))
    soft = ndimage.gaussian_filter(volume.ct_hu_zyx.astype(np.float32), (0, 1.5, 1.5))
    is_coronary = scan.labels.labels_zyx == Label.CORONARY
    assert 401 <= scan.agatston <= 2500
    assert (labels.labels_zyx[is_coronary] > 0).mean() > 0.97
    assert (soft[is_coronary] < -300).mean() < 0.01, "coronary calcium in the lung"
