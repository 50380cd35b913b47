"""Deposits keep their mass through the scanner, and their ideal score follows the rule."""

from __future__ import annotations

import numpy as np
import pytest

from calcmap.simulation.calcium.burden import CATEGORY_SHARES, draw_category, draw_target_score, ideal_agatston
from calcmap.simulation.calcium.deposits import Deposit, PlateSize, Tissue, blob_deposit, wall_deposit
from calcmap.simulation.calcium.rendering import Blur, seen_by_scanner
from calcmap.simulation.scanner.imaging import CtAxes, calcium_factor

AXES = CtAxes(z_mm=np.arange(0, 90, 2.5), y_mm=np.arange(0, 80, 0.9), x_mm=np.arange(0, 80, 0.9))


def _ball(*, radius_mm: float, added_hu: float, center_mm: tuple[float, float, float] = (40, 40, 45)) -> Deposit:
    axis = np.arange(-radius_mm, radius_mm + 0.1, 0.25)
    x, y, z = (grid.ravel() for grid in np.meshgrid(axis, axis, axis, indexing="ij"))
    inside = x**2 + y**2 + z**2 <= radius_mm**2
    parts = np.stack([x, y, z], axis=1)[inside] + np.asarray(center_mm)
    return Deposit(Tissue.CORONARY, "LAD", parts, np.full(len(parts), added_hu), 0.25**3, motion_share=1.0)


@pytest.mark.parametrize("motion_mm_xyz", [(0.0, 0.0, 0.0), (6.0, 3.0, 2.0)])
def test_blur_and_motion_keep_the_mass(motion_mm_xyz: tuple[float, float, float]) -> None:
    deposit = _ball(radius_mm=2.0, added_hu=700)

    found = seen_by_scanner(deposit, axes=AXES, blur=Blur(0.9, 2.5, motion_mm_xyz))

    assert found is not None
    seen_hu_mm3 = float(found[1].sum()) * 2.5 * 0.9 * 0.9
    assert seen_hu_mm3 == pytest.approx(700 * deposit.volume_mm3, rel=0.03)


def test_motion_lowers_the_peak() -> None:
    deposit = _ball(radius_mm=1.5, added_hu=700)

    still = seen_by_scanner(deposit, axes=AXES, blur=Blur(0.8, 2.5))
    moved = seen_by_scanner(deposit, axes=AXES, blur=Blur(0.8, 2.5, (8.0, 0.0, 0.0)))

    assert still is not None
    assert moved is not None
    assert moved[1].max() < 0.6 * still[1].max()


def test_a_deposit_lies_where_it_was_put() -> None:
    found = seen_by_scanner(_ball(radius_mm=2.0, added_hu=700), axes=AXES, blur=Blur(0.8, 2.5))

    assert found is not None
    (box_z, box_y, box_x), seen = found
    share = seen / seen.sum()
    assert float((share * AXES.x_mm[box_x]).sum()) == pytest.approx(40, abs=0.15)
    assert float((share * AXES.y_mm[box_y, None]).sum()) == pytest.approx(40, abs=0.15)
    assert float((share * AXES.z_mm[box_z, None, None]).sum()) == pytest.approx(45, abs=0.3)


def test_a_deposit_outside_the_scan_is_not_seen() -> None:
    assert (
        seen_by_scanner(_ball(radius_mm=1, added_hu=700, center_mm=(40, 40, 200)), axes=AXES, blur=Blur(1, 3)) is None
    )


def test_a_large_dense_deposit_scores_four_times_its_area() -> None:
    # 12 mm across and 3 mm high in the middle of a slice: the area above 130 HU is the disc, widened by the blur
    axis, height = np.arange(-6, 6.1, 0.25), np.arange(-1.4, 1.41, 0.2)
    x, y, z = (grid.ravel() for grid in np.meshgrid(axis, axis, height, indexing="ij"))
    inside = x**2 + y**2 <= 36
    parts = np.stack([x, y, z], axis=1)[inside] + [0, 0, 30]
    disc = Deposit(Tissue.CORONARY, "RCA", parts, np.full(len(parts), 800.0), 0.25**2 * 0.2)

    score = ideal_agatston(disc)

    assert 4 * np.pi * 6.0**2 <= score <= 4 * np.pi * 7.0**2 * 1.25


def test_a_faint_deposit_scores_nothing() -> None:
    assert ideal_agatston(_ball(radius_mm=2, added_hu=80)) == 0


def test_a_plate_has_about_the_volume_asked_for() -> None:
    rng = np.random.default_rng(1)
    curve = np.stack([np.zeros(60), np.zeros(60), np.arange(60.0)], axis=1)
    volumes = [
        wall_deposit(
            rng, tissue=Tissue.NONCORONARY, place="aortic_arch", curve_mm=curve, radius_mm=np.full(60, 14.0),
            size=PlateSize(60.0, 1.35, 600.0),
        ).volume_mm3
        for _ in range(40)
    ]  # fmt: skip

    assert np.median(volumes) == pytest.approx(60, rel=0.35)


def test_a_plate_lies_on_the_wall() -> None:
    curve = np.stack([np.zeros(60), np.zeros(60), np.arange(60.0)], axis=1)
    plate = wall_deposit(
        np.random.default_rng(2), tissue=Tissue.NONCORONARY, place="aortic_arch", curve_mm=curve,
        radius_mm=np.full(60, 14.0), size=PlateSize(60.0, 1.35, 600.0),
    )  # fmt: skip

    distance = np.hypot(plate.parts_mm[:, 0], plate.parts_mm[:, 1])
    assert 13.0 <= distance.min() <= distance.max() <= 15.0


def test_a_blob_is_never_empty() -> None:
    blob = blob_deposit(
        np.random.default_rng(3), tissue=Tissue.NONCORONARY, place="aortic_valve", center_mm=np.zeros(3),
        radii_mm=np.full(3, 0.1), peak_hu=500,
    )  # fmt: skip

    assert blob.volume_mm3 > 0


def test_categories_come_in_the_shares_of_the_paper() -> None:
    rng = np.random.default_rng(4)
    drawn = np.bincount([draw_category(rng) for _ in range(20_000)], minlength=4) / 20_000

    np.testing.assert_allclose(drawn, CATEGORY_SHARES, atol=0.015)


@pytest.mark.parametrize(("category", "low", "high"), [(0, 0, 0), (1, 1, 100), (2, 101, 400), (3, 401, 6000)])
def test_target_scores_stay_in_their_category(category: int, low: float, high: float) -> None:
    rng = np.random.default_rng(5)
    targets = [draw_target_score(rng, category=category) for _ in range(300)]

    assert low <= min(targets) <= max(targets) <= high + 1e-9


@pytest.mark.parametrize(("kvp", "factor"), [(120.0, 1.0), (100.0, 1.115), (80.0, 1.36)])
def test_calcium_is_brighter_at_lower_voltage(kvp: float, factor: float) -> None:
    assert calcium_factor(kvp) == pytest.approx(factor)
