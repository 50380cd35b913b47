"""A picture has its sites' geometry, its patient's tissues, and the same bytes for any number of threads."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from calcmap.simulation.anatomy.heart import HeartFrame
from calcmap.simulation.calcium.deposits import Deposit, Material, Tissue
from calcmap.simulation.scanner.axes import CtAxes
from calcmap.simulation.scanner.imaging import (
    Picture,
    Scene,
    one_contour_a_slice,
    scale_bone,
    take_picture,
    to_hounsfield,
)
from calcmap.simulation.scanner.sites import SITES, TRAINING_SITES, Acquisition, draw_acquisition, gated

ACQUISITION = Acquisition(
    120.0, 4.0, 5.0, 5.0, 3.0, 30.0, 0.5, 0.0, 0.0, -2000, 96, breath_mm=4.0, table_mm_s=20.0, window_turns=1.0
)


def _scene() -> Scene:
    axes = (np.arange(0, 60, 2.0), np.arange(-150, 150, 3.0), np.arange(-180, 180, 3.0))
    y, x = axes[1][None, :, None], axes[2][None, None, :]
    hu = np.full((30, 100, 120), -1000, dtype=np.float32)
    hu[np.broadcast_to((x / 150) ** 2 + (y / 110) ** 2 < 1, hu.shape)] = -100
    heart = np.broadcast_to((x / 50) ** 2 + (y / 45) ** 2 < 1, hu.shape)
    hu[heart] = 40
    inside = (np.hypot(x / 120, y / 90)[0] < 1).astype(np.float32)
    return Scene(hu, heart.astype(np.float32), axes, inside, HeartFrame(np.array([0.0, 0.0, 30.0]), np.eye(3)), 112.0)


def _ball(x_mm: float, *, material: Material = Material.CALCIUM) -> Deposit:
    axis = np.arange(-5, 5.1, 0.5)
    parts = np.stack([grid.ravel() for grid in np.meshgrid(axis, axis, axis, indexing="ij")], axis=1)
    return Deposit(
        Tissue.CORONARY, "LAD", parts + np.array([x_mm, 0.0, 30.0]), np.full(len(parts), 600.0), 0.125, 0.0, material
    )


def _picture(
    acquisition: Acquisition = ACQUISITION, *, deposits: tuple[Deposit, ...] = (), n_threads: int = 2
) -> Picture:
    across = (np.arange(96) - 47.5) * 4.0
    axes = CtAxes(z_mm=np.arange(6, 52, 5.0), y_mm=across, x_mm=across)
    return take_picture(
        np.random.default_rng(1), _scene(), deposits=deposits, axes=axes, acquisition=acquisition, n_threads=n_threads
    )


def test_the_number_of_threads_changes_no_byte() -> None:
    one, three = (_picture(deposits=(_ball(10),), n_threads=n) for n in (1, 3))

    assert one.ct_hu_zyx.tobytes() == three.ct_hu_zyx.tobytes()
    assert one.heart_zyx.tobytes() == three.heart_zyx.tobytes()


def test_tissues_keep_their_hu_and_the_corners_are_padded() -> None:
    ct = _picture().ct_hu_zyx

    assert ct[3:6, 46:50, 46:50].mean() == pytest.approx(40, abs=12)
    assert ct[3:6, 46:50, 20:24].mean() == pytest.approx(-100, abs=15)
    assert ct[0, 0, 0] == -2000


def test_the_table_lies_under_the_back_and_not_in_the_patient() -> None:
    tissue = _picture().tissue_hu_zyx[4]
    below = tissue[int(47.5 + 114 / 4) : int(47.5 + 170 / 4), 40:56]

    assert below.max() > -900
    assert tissue[46:50, 46:50].max() < 60


def test_a_deposit_adds_what_its_material_adds_at_the_tube_voltage() -> None:
    still = replace(ACQUISITION, beat_share=0.0, breath_mm=0.0)
    low = replace(still, kvp=80.0)

    at_120, at_80 = (
        _picture(how, deposits=(_ball(10), _ball(-30, material=Material.IODINE))).added_hu_zyx[Tissue.CORONARY]
        for how in (still, low)
    )

    half = 48
    assert at_80[..., half:].sum() / at_120[..., half:].sum() == pytest.approx(1.36, rel=0.03)
    assert at_80[..., :half].sum() / at_120[..., :half].sum() > 1.5


def test_a_lead_that_is_rendered_in_pieces_keeps_its_mass_and_lies_still_on_the_skin() -> None:
    parts = np.stack([np.linspace(-70, 70, 400), np.full(400, -105.0), np.linspace(14, 44, 400)], axis=1)
    lead = Deposit(Tissue.DEVICE, "ecg_lead", parts, np.full(400, 5000.0), 0.5, 0.0, Material.METAL)
    held = replace(ACQUISITION, breath_mm=0.0)

    breathing, still = (_picture(how, deposits=(lead,)).added_hu_zyx[Tissue.DEVICE] for how in (ACQUISITION, held))

    assert still.sum() * 4.0 * 4.0 * 5.0 == pytest.approx(400 * 5000.0 * 0.5, rel=0.03)
    np.testing.assert_allclose(breathing, still, atol=1e-3)


def test_a_picture_without_deposits_has_no_added_hu() -> None:
    assert _picture().added_hu_zyx == {}


def test_bone_is_brighter_at_a_lower_voltage_and_soft_tissue_is_not() -> None:
    scaled = scale_bone(np.array([-100.0, 40.0, 100.0, 600.0], dtype=np.float32), kvp=80.0)

    np.testing.assert_allclose(scaled[:3], [-100, 40, 100])
    assert scaled[3] > 750


def test_hounsfield_values_are_clipped() -> None:
    np.testing.assert_array_equal(to_hounsfield(np.array([-3000.0, 20.4, 5000.0], np.float32)), [-1024, 20, 3071])


def test_a_reader_draws_one_outline_a_slice() -> None:
    heart = np.zeros((2, 8, 8), dtype=np.bool_)
    heart[0, 1:5, 1:5] = heart[0, 7, 7] = True

    kept = one_contour_a_slice(heart)

    assert kept.sum() == 16
    assert not kept[1].any()


@pytest.mark.parametrize("name", sorted(SITES))
def test_acquisitions_lie_in_their_sites_ranges(name: str) -> None:
    site = SITES[name]
    for seed in range(20):
        drawn = draw_acquisition(np.random.default_rng(seed), site=site)
        assert drawn.kvp in site.kvp
        assert site.mas[0] <= drawn.mas <= site.mas[1]
        assert drawn.kernel in {kernel.name for kernel in site.kernels}
        assert 1 <= drawn.thickness_mm <= 8.4
        assert 0.5 <= drawn.pixel_mm <= 1.4
        assert drawn.breath_mm == 0 or site.breath_mm[0] <= drawn.breath_mm <= site.breath_mm[1]
        assert "{" not in drawn.series_description


def test_the_external_site_shares_neither_kernels_nor_population_with_training_sites() -> None:
    external = SITES["external"]

    for site in TRAINING_SITES:
        assert not {kernel.name for kernel in site.kernels} & {kernel.name for kernel in external.kernels}
        assert site.scan_fov_mm > 0
        assert site.manufacturer != external.manufacturer
    assert external.body_spread > 1
    assert external.arms_down_share > max(site.arms_down_share for site in TRAINING_SITES)


def test_a_gated_scan_is_the_standard_calcium_protocol() -> None:
    drawn = gated(draw_acquisition(np.random.default_rng(0), site=SITES["pet_ct"]), rng=np.random.default_rng(1))

    assert (drawn.kvp, drawn.increment_mm, drawn.thickness_mm, drawn.breath_mm) == (120.0, 3.0, 3.0, 0.0)
    assert 60 <= drawn.mas <= 80
    assert drawn.is_gated


def test_a_gated_scan_of_a_coarse_plan_has_coarse_pixels() -> None:
    drawn = draw_acquisition(np.random.default_rng(0), site=SITES["pet_ct"])

    fine, coarse = (gated(drawn, rng=np.random.default_rng(1), scale=scale) for scale in (1, 4))

    assert coarse.pixel_mm == pytest.approx(4 * fine.pixel_mm)
