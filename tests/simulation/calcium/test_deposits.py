"""Deposits keep their mass through the scanner, and their ideal score follows the rule."""

from __future__ import annotations

import numpy as np
import pytest

from calcmap.core.result import Vessel
from calcmap.simulation.calcium.deposits import (
    Deposit,
    Material,
    Origin,
    Plate,
    Tissue,
    angle_towards,
    blob_deposit,
    draw_plate,
    wall_deposit,
)
from calcmap.simulation.calcium.ideal_scan import ideal_agatston
from calcmap.simulation.calcium.rendering import Blur, seen_by_scanner
from calcmap.simulation.scanner.imaging import CtAxes

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


CURVE = np.stack([np.zeros(61), np.zeros(61), np.arange(61.0)], axis=1)
ARCH = Origin(Tissue.NONCORONARY, "aortic_arch", motion_share=0.1)


def _on_arch(rng: np.random.Generator, plate: Plate, *, angle: float | None = None) -> Deposit:
    return wall_deposit(rng, ARCH, curve_mm=CURVE, radius_mm=np.full(61, 14.0), plate=plate, angle=angle)


@pytest.mark.parametrize("volume_mm3", [2.0, 12.0, 60.0, 200.0])
def test_a_plate_has_about_the_volume_asked_for(volume_mm3: float) -> None:
    rng = np.random.default_rng(1)
    volumes = [
        _on_arch(
            rng, draw_plate(rng, volume_mm3=volume_mm3, thickness_mm=1.35, density_mg_cm3=500.0, radius_mm=14.0)
        ).volume_mm3
        for _ in range(40)
    ]

    assert np.median(volumes) == pytest.approx(volume_mm3, rel=0.2)


def test_a_plate_lies_on_the_wall() -> None:
    plate = _on_arch(np.random.default_rng(2), Plate(8.0, 6.0, 1.4, 500.0))

    distance = np.hypot(plate.parts_mm[:, 0], plate.parts_mm[:, 1])
    assert 13.3 <= distance.min() <= distance.max() <= 14.7
    assert abs(plate.parts_mm[:, 2].mean() - 30) < 0.5


def test_a_plate_lies_on_the_side_asked_for() -> None:
    wanted = np.array([-20.0, 5.0, 30.0])

    plate = _on_arch(np.random.default_rng(3), Plate(4.0, 4.0, 1.0, 500.0), angle=angle_towards(CURVE, wanted))

    middle = plate.parts_mm.mean(axis=0)[:2]
    assert middle @ wanted[:2] / np.linalg.norm(middle) / np.linalg.norm(wanted[:2]) > 0.999


def test_a_plate_is_no_longer_than_its_vessel() -> None:
    rail = _on_arch(np.random.default_rng(4), Plate(500.0, 2.0, 1.0, 500.0))

    assert 0 <= rail.parts_mm[:, 2].min() <= rail.parts_mm[:, 2].max() <= 60


def test_a_blob_is_never_empty() -> None:
    blob = blob_deposit(
        np.random.default_rng(3), Origin(Tissue.NONCORONARY, "aortic_valve"), center_mm=np.zeros(3),
        radii_mm=np.full(3, 0.1), density_mg_cm3=400,
    )  # fmt: skip

    assert blob.volume_mm3 > 0


def test_calcium_of_200_mg_per_cm3_adds_250_hu_and_is_weighed() -> None:
    # four vendors' phantom scans: 0.80 mg/cm3 per HU, so 200 mg/cm3 add 250 HU
    parts = np.zeros((1000, 3))
    cube = Deposit(Tissue.CORONARY, "LAD", parts, np.full(1000, 250.0), part_mm3=0.1, vessel=Vessel.LAD)

    assert cube.volume_mm3 == pytest.approx(100.0)
    assert cube.mass_mg == pytest.approx(20.0)


def test_metal_has_no_calcium_mass() -> None:
    wire = Deposit(Tissue.DEVICE, "clip", np.zeros((3, 3)), np.full(3, 2e4), 0.1, material=Material.METAL)

    assert wire.mass_mg == 0


def test_a_deposit_keeps_what_it_belongs_to() -> None:
    origin = Origin(Tissue.CORONARY, "OM1", Vessel.LCX, 0.7)
    plate = wall_deposit(np.random.default_rng(5), origin, curve_mm=CURVE, radius_mm=np.full(61, 1.5),
                         plate=Plate(3.0, 2.0, 0.8, 500.0))  # fmt: skip

    assert (plate.tissue, plate.place, plate.vessel, plate.motion_share) == (Tissue.CORONARY, "OM1", Vessel.LCX, 0.7)


def test_touching_deposits_are_scored_as_one_lesion() -> None:
    # the weight comes from the brighter one: 3 x the faint one's area more than it would score alone
    faint, bright = (_ball(radius_mm=3.0, added_hu=hu, center_mm=(x, 40, 45)) for hu, x in ((170, 38.5), (900, 44.0)))

    assert ideal_agatston(faint, bright) > ideal_agatston(faint) + ideal_agatston(bright)


def test_no_deposit_scores_nothing() -> None:
    assert ideal_agatston() == 0
