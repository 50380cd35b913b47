from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="TRAINING NOT TESTED: torch is not installed (train extra)")

from calcmap.training.appearance import reconstructed_noise, spread_target, vary_hu, vary_scanner  # noqa: E402
from training.small_cases import STILL  # noqa: E402

pytestmark = pytest.mark.torch

SHAPE = (3, 9, 9)


def a_point(hu: float = 640.0, *, background: float = 40.0) -> np.ndarray:
    point = np.full(SHAPE, background, dtype=np.float32)
    point[1, 4, 4] = hu
    return point


def changed_crops(n: int = 40, **largest: float) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [vary_scanner(a_point(), replace(STILL, **largest), rng) for _ in range(n)]


def test_nothing_changes_where_every_largest_change_is_zero() -> None:
    rng = np.random.default_rng(0)
    np.testing.assert_array_equal(vary_scanner(a_point(), STILL, rng), a_point())
    np.testing.assert_array_equal(vary_hu(a_point(), STILL, rng), a_point())


@pytest.mark.parametrize(
    ("kind", "largest"), [("kernel_px", 2.0), ("motion_px", 2.0), ("voltage", 0.15), ("thickness", 0.2)]
)
def test_about_half_of_the_crops_are_changed(kind: str, largest: float) -> None:
    changed = [not np.array_equal(crop, a_point()) for crop in changed_crops(60, **{kind: largest})]
    assert 0.3 < np.mean(changed) < 0.7


def test_a_voltage_changes_what_is_dense_and_nothing_else() -> None:
    for crop in changed_crops(voltage=0.15):
        background = np.delete(crop.ravel(), 1 * 81 + 4 * 9 + 4)
        np.testing.assert_array_equal(background, 40.0)
        # 640 HU lie 580 above soft tissue (60 HU).
        assert 640 - 0.15 * 580 <= crop[1, 4, 4] <= 640 + 0.15 * 580


def test_motion_keeps_the_sum_and_stays_in_the_slice() -> None:
    for crop in changed_crops(motion_px=2.0):
        np.testing.assert_array_equal(crop[[0, 2]], 40.0)
        assert crop[1].sum() == pytest.approx(a_point()[1].sum(), rel=1e-4)
        rows, columns = np.nonzero(np.abs(crop[1] - 40) > 0.01)
        assert np.hypot(rows - 4, columns - 4).max() <= 1.0 + np.sqrt(2)  # half the line and the neighbour it reaches


def test_a_thicker_slice_lends_to_its_neighbours() -> None:
    for crop in changed_crops(thickness=0.2):
        lent = crop[0, 4, 4] - 40
        assert 0 <= lent <= 0.2 * 600
        assert crop[2, 4, 4] - 40 == pytest.approx(lent)
        assert crop[1, 4, 4] == pytest.approx(640 - 2 * lent, abs=0.01)


def test_kernels_soften_and_sharpen() -> None:
    peaks = np.array([crop[1, 4, 4] for crop in changed_crops(kernel_px=0.6)])
    assert peaks.min() < 600
    assert peaks.max() > 700


def test_calcium_that_spreads_keeps_its_class_and_noise_does_not_join_it() -> None:
    before = a_point(640)
    after = before.copy()
    after[1, 4, 5] = 150  # 110 HU more, beside the calcium
    after[1, 4, 3] = 115  # dense enough, and touching
    after[1, 0, 0] = 300  # risen, but far away
    target = np.zeros(SHAPE, dtype=np.uint8)
    target[1, 4, 4] = 2
    found = spread_target(target, before, after)
    assert set(zip(*(axis.tolist() for axis in np.nonzero(found == 2)), strict=True)) == {
        (1, 4, 3),
        (1, 4, 4),
        (1, 4, 5),
    }


def test_a_voxel_that_was_dense_before_keeps_its_target() -> None:
    before = a_point(640, background=120)
    np.testing.assert_array_equal(
        spread_target((before > 300).astype(np.uint8), before, before + 60), (before > 300).astype(np.uint8)
    )


def test_added_noise_has_the_texture_of_a_reconstruction() -> None:
    rng = np.random.default_rng(0)
    noise = np.concatenate([reconstructed_noise((3, 64, 64), rng) for _ in range(40)])
    assert noise.dtype == np.float32
    assert noise.std() == pytest.approx(1.0, abs=1e-3)
    np.testing.assert_allclose(noise.mean(axis=(1, 2)), 0.0, atol=1e-6)
    power = (np.abs(np.fft.fft2(noise)) ** 2).mean(axis=0)
    along_y, along_x = np.meshgrid(np.fft.fftfreq(64), np.fft.fftfreq(64), indexing="ij")
    cycles = np.hypot(along_y, along_x)
    lowest, middle = power[(cycles > 0) & (cycles < 0.04)].mean(), power[(cycles > 0.1) & (cycles < 0.2)].mean()
    highest = power[cycles > 0.45].mean()
    assert lowest < 0.6 * middle  # the ramp filter
    assert highest < 0.6 * middle  # the kernel
    steep, flat = (
        power[np.abs(along_y) > 3 * np.abs(along_x)].mean(),
        power[np.abs(along_x) > 3 * np.abs(along_y)].mean(),
    )
    assert 1.5 < steep / flat < 4.0  # streaks along the rows: 1 to 4, evenly


def test_neighbouring_slices_share_some_noise() -> None:
    rng = np.random.default_rng(0)
    shared = [np.corrcoef(*(plane.ravel() for plane in reconstructed_noise((2, 64, 64), rng)))[0, 1] for _ in range(40)]
    assert 0.15 < np.mean(shared) < 0.35  # a weight w gives w / (1 + w2), w evenly from 0 to 0.6
    assert max(shared) < 0.5


def test_noise_is_added_to_half_of_the_crops_up_to_its_largest() -> None:
    rng = np.random.default_rng(0)
    flat = np.full((3, 32, 32), 40.0, dtype=np.float32)
    deviations = np.array([vary_hu(flat, replace(STILL, noise_hu=60.0), rng).std() for _ in range(200)])
    assert 0.4 < (deviations > 0).mean() < 0.6
    assert 50.0 < deviations.max() <= 60.001
