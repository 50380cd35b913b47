"""The phantom's calcium is what the manufacturer states, wherever it is turned to."""

from __future__ import annotations

import numpy as np
import pytest

from calcmap.core.volume import Volume, grid_from_spacing
from calcmap.scoring import get_profile, score_mask
from calcmap.simulation.phantom.geometry import (
    INSERTS,
    VOLUME_FACTORS,
    MaterialHu,
    PhantomSize,
    body_plane_hu,
    phantom_deposits,
    placed,
    share_in_slices,
)

MANUFACTURER_MG = {
    "5mm_800": 78.5, "5mm_400": 39.3, "5mm_200": 19.6,
    "3mm_800": 17.0, "3mm_400": 8.5, "3mm_200": 4.2,
    "1mm_800": 0.6, "1mm_400": 0.3, "1mm_200": 0.2,
}  # fmt: skip
"""The manual's table, FACTS 8.2."""
MATERIALS = MaterialHu(water_hu=0.0, tissue_hu=40.0, hu_per_mg_cm3=1.25)


def test_inserts_have_the_masses_of_the_manual_and_168_mg_in_all() -> None:
    assert {insert.name: round(insert.mass_mg, 1) for insert in INSERTS} == MANUFACTURER_MG
    assert sum(insert.mass_mg for insert in INSERTS) == pytest.approx(168.2, abs=0.2)


def test_deposits_have_the_volume_and_the_place_of_their_inserts() -> None:
    for insert, deposit in zip(INSERTS, phantom_deposits(MATERIALS), strict=True):
        assert deposit.place == insert.name
        assert deposit.volume_mm3 == pytest.approx(VOLUME_FACTORS[insert.diameter_mm] * insert.volume_mm3)
        np.testing.assert_allclose(deposit.parts_mm.mean(axis=0), insert.center_mm, atol=1e-9)
        reach = np.hypot(*(deposit.parts_mm[:, :2] - insert.center_mm[:2]).T).max()
        assert insert.diameter_mm / 2 - 0.15 <= reach <= insert.diameter_mm / 2


def test_turning_keeps_distances_and_heights() -> None:
    for before, after in zip(INSERTS, placed(INSERTS, turn_rad=0.3), strict=True):
        assert np.hypot(*after.center_mm[:2]) == pytest.approx(np.hypot(*before.center_mm[:2]))
        assert after.center_mm[2] == before.center_mm[2]
        assert after.name == before.name


def test_a_tilt_lifts_what_lies_to_the_left_and_keeps_the_rest_in_place() -> None:
    for before, after in zip(INSERTS, placed(INSERTS, turn_rad=0.0, tilt_deg_xy=(1.0, 0.0)), strict=True):
        x, y, z = before.center_mm
        np.testing.assert_allclose(after.center_mm, (x, y, z + 0.017455 * x), atol=1e-4)


def test_a_sharp_5_mm_disc_of_800_scores_130_9_in_1_mm_slices() -> None:
    # FACTS 1.5: five 1 mm slices of 19.63 mm2 and weight 4, each a third of a 3 mm slice. Pixels of 0.05 mm make the
    # disc's area right to 0.1 %.
    pixel_mm = 0.05
    across = (np.arange(120) - 59.5) * pixel_mm
    disc_yx = np.hypot(across[:, None], across[None, :]) <= 2.5
    ct_hu = np.full((7, 120, 120), 40, dtype=np.int16)
    ct_hu[1:6, disc_yx] = 40 + round(MATERIALS.insert_contrast_hu(800))
    volume = Volume(ct_hu, grid_from_spacing(ct_hu.shape, (1.0, pixel_mm, pixel_mm)))

    scoring = score_mask(volume, np.ones(ct_hu.shape, dtype=bool), rule=get_profile("clinical"))

    assert scoring.coronary.agatston == pytest.approx(130.9, rel=2e-3)


def test_the_thorax_is_300_by_200_mm_and_400_by_300_with_its_ring() -> None:
    x, y = np.arange(-220, 221.0), np.arange(-180, 221.0)

    for size, width, depth in ((PhantomSize.SMALL, 300, 200), (PhantomSize.LARGE, 400, 300)):
        plane = body_plane_hu(y, x, size=size, materials=MATERIALS, blur_mm=0.5, has_rods=False)
        inside = plane > -990
        assert np.ptp(x[inside.any(axis=0)]) == pytest.approx(width, abs=4)
        assert np.ptp(y[inside.any(axis=1)]) == pytest.approx(depth, abs=4)
        assert plane[180, 220] == pytest.approx(40)
        assert plane[180, 310] == pytest.approx(-800)


def test_rods_differ_by_200_mg_per_cm3() -> None:
    at_water, at_calcium = np.array([-17.5, 0.5]), np.array([-9.0, 0.5])

    plane = body_plane_hu(at_water, at_calcium, size=PhantomSize.SMALL, materials=MATERIALS, blur_mm=0.5, has_rods=True)

    assert plane[0, 0] == pytest.approx(0, abs=0.5)
    assert plane[1, 1] == pytest.approx(250, abs=0.5)


def test_slices_hold_their_share_of_what_lies_between_two_heights() -> None:
    share = share_in_slices(np.array([-3.0, 0.0, 3.0, 6.0]), extent_mm=(-1.5, 3.0), thickness_mm=3.0)

    np.testing.assert_allclose(share, [0, 1, 0.5, 0])
