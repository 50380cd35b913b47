from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from calcmap.core.volume import Float32Array, Volume, grid_from_spacing
from calcmap.simulation.nuclear.camera import (
    PET,
    SPECT,
    WATER_PER_MM,
    Scene,
    attenuation_per_mm,
    averaged_hu,
    mean_transmission,
    nuclear_grid,
    picture,
    projections,
)

GRID = grid_from_spacing((4, 64, 64), (6.4, 6.4, 6.4), origin_lps_mm=(-201.6, -201.6, 0.0))


def _disc(radius_px: float, *, value: float, center_yx: tuple[float, float] = (31.5, 31.5)) -> Float32Array:
    y, x = np.mgrid[:64, :64]
    plane = value * np.clip(radius_px + 0.5 - np.hypot(y - center_yx[0], x - center_yx[1]), 0, 1)
    return np.repeat(plane[None], 4, axis=0).astype(np.float32)


def _scene(uptake: Float32Array, *, true: Float32Array, ct: Float32Array) -> Scene:
    return Scene(GRID, uptake, true, ct)


def test_half_the_photons_pass_the_half_value_layer_from_the_middle_of_a_water_cylinder() -> None:
    # 45.3 mm of water halve 140 keV photons; from the middle of a disc all ways out are one radius long
    through = mean_transmission(_disc(45.3 / 6.4, value=WATER_PER_MM), pixel_mm=6.4)
    assert through[2, 31:33, 31:33].mean() == pytest.approx(0.5, abs=0.03)
    assert through[2, 2, 2] == pytest.approx(1.0, abs=0.02)


@pytest.mark.parametrize(("hu", "share"), [(-1000, 0.0), (-500, 0.5), (0, 1.0), (1000, 1.6)])
def test_attenuation_runs_from_air_through_water_to_bone(hu: int, share: float) -> None:
    assert attenuation_per_mm(np.array([[[hu]]], np.float32)) == pytest.approx(share * WATER_PER_MM)


def test_correction_with_the_true_map_gives_the_activity_back_and_none_does_not() -> None:
    water = _disc(24, value=WATER_PER_MM)
    uptake = _disc(20, value=1.0)
    camera = replace(SPECT, counts=1e6)
    scene = _scene(uptake, true=water, ct=water)
    middle = (slice(1, 3), slice(28, 36), slice(28, 36))
    corrected = picture(scene, camera=camera, is_corrected=True, rng=np.random.default_rng(0))
    plain = picture(scene, camera=camera, is_corrected=False, rng=np.random.default_rng(0))
    assert corrected[middle].mean() == pytest.approx(1.0, abs=0.01)
    front, deep = plain[2, 14, 31], plain[2, 40, 31]
    assert front > 1.3 * deep


def test_a_map_in_the_wrong_place_makes_a_false_defect() -> None:
    uptake = _disc(5, value=1.0, center_yx=(24.0, 36.0))
    true = _disc(5, value=WATER_PER_MM, center_yx=(24.0, 36.0)) + _disc(27, value=0.2 * WATER_PER_MM)
    moved = _disc(5, value=WATER_PER_MM, center_yx=(24.0, 30.0)) + _disc(27, value=0.2 * WATER_PER_MM)
    camera = replace(SPECT, counts=1e6)
    right, wrong = (
        picture(_scene(uptake, true=true, ct=ct), camera=camera, is_corrected=True, rng=np.random.default_rng(0))
        for ct in (true, moved)
    )
    assert wrong[2, 24, 39] < 0.95 * right[2, 24, 39]


def test_coincidences_need_no_map() -> None:
    scene = _scene(_disc(20, value=1.0), true=_disc(24, value=WATER_PER_MM), ct=_disc(24, value=0.0))
    seen = picture(scene, camera=replace(PET, counts=1e6), is_corrected=False, rng=np.random.default_rng(0))
    assert seen[2, 31, 31] == pytest.approx(1.0, abs=0.01)


def test_a_source_at_the_left_is_seen_on_the_right_of_the_front_view_and_fades_from_behind() -> None:
    uptake = _disc(3, value=1.0, center_yx=(20.0, 44.0))
    scene = _scene(uptake, true=_disc(27, value=WATER_PER_MM), ct=_disc(27, value=WATER_PER_MM))
    views = projections(scene, camera=SPECT, n_views=4, counts=500.0, rng=np.random.default_rng(0))
    # views at -45, 0, 45 and 90 degrees: the second looks from the front
    assert int(views[1].sum(axis=0).argmax()) == pytest.approx(44, abs=1)
    totals = views.sum(axis=(1, 2))
    assert totals[2] == max(totals)
    assert totals[0] == min(totals)


def test_the_grid_lies_about_the_heart_in_the_middle_of_the_ct() -> None:
    grid = grid_from_spacing((30, 64, 64), (5.0, 7.0, 7.0), origin_lps_mm=(-220.0, -210.0, -100.0))
    ct = Volume(np.zeros(grid.shape_zyx, np.int16), grid)
    made = nuclear_grid(ct, heart_mm=(30.0, -20.0, -10.0), camera=SPECT)
    middle = made.lps_mm(tuple((n - 1) / 2 for n in made.shape_zyx))  # type: ignore[arg-type]
    assert middle == pytest.approx((0.5, 10.5, -10.0))
    assert made.spacing_mm_zyx == (6.4, 6.4, 6.4)


def test_averaged_hu_keep_plains_and_take_padding_for_air() -> None:
    grid = grid_from_spacing((6, 40, 40), (5.0, 2.0, 2.0))
    hu = np.full(grid.shape_zyx, 40, np.int16)
    hu[:, :10] = -3024
    axes = (np.arange(-10.0, 40, 6.4), np.arange(0.0, 78, 6.4), np.arange(10.0, 60, 6.4))
    seen = averaged_hu(Volume(hu, grid), axes)
    assert seen[:, 6:].min() == pytest.approx(40, abs=0.1)
    assert seen[:, 0] == pytest.approx(-1000, abs=0.1)
    assert seen.shape == tuple(len(axis) for axis in axes)
