from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from calcmap.evaluation.texture import noise_spectrum, tissue_patches

PIXEL_MM = 0.8


def noisy_slices(sd_hu: float, *, smooth_px: float = 0.0, n: int = 4) -> np.ndarray:
    noise = np.random.default_rng(3).standard_normal((n, 128, 128))
    if smooth_px:
        noise = ndimage.gaussian_filter(noise, (0, smooth_px, smooth_px), mode="wrap")
    return np.rint(50 + sd_hu * noise / noise.std()).astype(np.int16)


def everywhere(ct: np.ndarray) -> np.ndarray:
    return np.ones(ct.shape, dtype=bool)


def test_hu_and_noise_of_a_uniform_tissue_come_back() -> None:
    ct = noisy_slices(20)
    found = tissue_patches(ct, everywhere(ct), pixel_mm=PIXEL_MM, patch_mm=12, range_hu=(0, 100))
    assert found is not None
    assert found.hu == pytest.approx(50, abs=0.5)
    assert found.sd_hu == pytest.approx(20, rel=0.1)  # the quietest quarter lies a little below
    assert found.n == 4 * (128 // 15) ** 2


def test_other_tissue_and_places_outside_the_region_do_not_count() -> None:
    ct = noisy_slices(5)
    ct[:, :64] = -900
    region = everywhere(ct)
    region[:, :, :64] = False
    found = tissue_patches(ct, region, pixel_mm=1.0, patch_mm=16, range_hu=(0, 100))
    assert found is not None
    assert (found.n, round(found.hu)) == (4 * 4 * 4, 50)
    assert tissue_patches(ct, region, pixel_mm=1.0, patch_mm=16, range_hu=(500, 900)) is None
    assert tissue_patches(ct, ~everywhere(ct), pixel_mm=1.0, patch_mm=16, range_hu=(0, 100)) is None


def test_the_spectrum_of_white_noise_is_flat_and_integrates_to_the_variance() -> None:
    ct = noisy_slices(20, n=16)
    found = noise_spectrum(ct, everywhere(ct), pixel_mm=PIXEL_MM, patch_mm=25.6, range_hu=(0, 100))
    assert found is not None
    assert found.power_hu2_mm2[2:] == pytest.approx(np.full(10, 20**2 * PIXEL_MM**2), rel=0.2)


def test_smooth_noise_has_a_lower_mean_frequency() -> None:
    coarse, fine = (
        noise_spectrum(ct, everywhere(ct), pixel_mm=PIXEL_MM, patch_mm=25.6, range_hu=(0, 100))
        for ct in (noisy_slices(20, smooth_px=1.5), noisy_slices(20))
    )
    assert coarse is not None
    assert fine is not None
    assert coarse.mean_frequency_per_mm < 0.5 * fine.mean_frequency_per_mm


def test_a_region_too_small_for_a_patch_has_no_spectrum() -> None:
    ct = noisy_slices(20, n=1)
    region = ~everywhere(ct)
    region[0, :5, :5] = True
    assert noise_spectrum(ct, region, pixel_mm=PIXEL_MM, patch_mm=25.6, range_hu=(0, 100)) is None
