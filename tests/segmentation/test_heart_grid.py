from __future__ import annotations

import numpy as np
import pytest

from calcmap.core.errors import ConfigError
from calcmap.core.volume import Volume, grid_from_spacing
from calcmap.evaluation.overlap import dice
from calcmap.segmentation.heart_grid import (
    AIR_HU,
    HeartGridConfig,
    heart_network_input,
    native_box,
    sample_at,
    to_heart_grid,
    to_native_grid,
)
from segmentation.heart_in_air import heart_in_air

CONFIG = HeartGridConfig(in_plane_mm=4.0, slice_mm=5.0, size_px=64)


@pytest.mark.parametrize("spacing_mm_zyx", [(2.5, 1.2, 1.2), (3.27, 1.0, 1.3), (5.0, 2.0, 2.0)])
def test_a_heart_survives_the_way_to_the_coarse_grid_and_back(spacing_mm_zyx: tuple[float, float, float]) -> None:
    volume, heart = heart_in_air(spacing_mm_zyx=spacing_mm_zyx, with_calcium=False)
    grid = to_heart_grid(volume, CONFIG)
    share = sample_at(heart.astype(np.float32), grid.positions_zyx, outside=0.0)
    box = native_box(share >= 0.5, grid, margin_mm=8.0, spacing_mm_zyx=volume.spacing_mm_zyx)
    back = np.zeros_like(heart)
    back[box] = to_native_grid(share, grid, box=box) >= 0.5
    assert dice(back, heart) > 0.97


def test_the_box_holds_the_heart_with_its_margin() -> None:
    volume, heart = heart_in_air(with_calcium=False)
    grid = to_heart_grid(volume, CONFIG)
    coarse = sample_at(heart.astype(np.float32), grid.positions_zyx, outside=0.0) >= 0.5
    box = native_box(coarse, grid, margin_mm=8.0, spacing_mm_zyx=volume.spacing_mm_zyx)
    outside = heart.copy()
    outside[box] = False
    assert not outside.any()
    for part, mm, axis in zip(box, volume.spacing_mm_zyx, range(3), strict=True):
        hit = np.flatnonzero(heart.any(axis=tuple(other for other in range(3) if other != axis)))
        assert (hit[0] - part.start) * mm >= 5.0
        assert (part.stop - 1 - hit[-1]) * mm >= 5.0


def test_the_box_ends_where_the_scan_ends() -> None:
    volume, _ = heart_in_air(with_calcium=False)
    grid = to_heart_grid(volume, CONFIG)
    everywhere = np.ones(grid.ct_hu_zyx.shape, dtype=np.bool_)
    box = native_box(everywhere, grid, margin_mm=100.0, spacing_mm_zyx=volume.spacing_mm_zyx)
    assert box == tuple(slice(0, n) for n in volume.grid.shape_zyx)


def test_coarse_slices_divide_the_scan_evenly_and_none_hangs_over() -> None:
    volume = Volume(np.full((23, 8, 8), 40, dtype=np.int16), grid_from_spacing((23, 8, 8), (3.0, 4.0, 4.0)))
    grid = to_heart_grid(volume, HeartGridConfig(slice_mm=5.0, size_px=8))
    along_z = grid.positions_zyx[0]
    assert len(along_z) == 14  # 69 mm in steps of about 5 mm
    assert np.diff(along_z) == pytest.approx(23 / 14)
    assert along_z[0] - 23 / 28 == pytest.approx(-0.5)
    assert along_z[-1] + 23 / 28 == pytest.approx(22.5)


def test_the_field_is_centred_on_the_body_wherever_it_lies() -> None:
    ct = np.full((10, 128, 128), -1000, dtype=np.int16)
    ct[:, 24:73, 64:113] = 40  # its middle is row 48, column 88
    grid = to_heart_grid(Volume(ct, grid_from_spacing(ct.shape, (5.0, 3.0, 3.0))), CONFIG)
    assert grid.positions_zyx[1].mean() == pytest.approx(48, abs=8)
    assert grid.positions_zyx[2].mean() == pytest.approx(88, abs=8)


def test_without_a_body_the_field_is_centred_on_the_scan() -> None:
    ct = np.full((10, 60, 80), -1000, dtype=np.int16)
    grid = to_heart_grid(Volume(ct, grid_from_spacing(ct.shape, (5.0, 3.0, 3.0))), CONFIG)
    assert (grid.positions_zyx[1].mean(), grid.positions_zyx[2].mean()) == (pytest.approx(29.5), pytest.approx(39.5))


def test_scanner_padding_counts_as_air() -> None:
    ct = np.full((10, 32, 32), 40, dtype=np.int16)
    padded, plain = ct.copy(), ct.copy()
    padded[:, :6], plain[:, :6] = -3024, -1000
    grids = [
        to_heart_grid(Volume(each, grid_from_spacing(ct.shape, (5.0, 4.0, 4.0))), CONFIG) for each in (padded, plain)
    ]
    np.testing.assert_array_equal(grids[0].ct_hu_zyx, grids[1].ct_hu_zyx)


def test_beyond_the_scan_lies_air() -> None:
    ct = np.full((10, 16, 16), 40, dtype=np.int16)
    grid = to_heart_grid(Volume(ct, grid_from_spacing(ct.shape, (5.0, 4.0, 4.0))), CONFIG)
    assert (grid.ct_hu_zyx[:, 0] == AIR_HU).all()
    assert np.median(grid.ct_hu_zyx[:, 28:36, 28:36]) == pytest.approx(40, abs=1e-3)


def test_the_network_sees_hu_from_minus_one_to_one() -> None:
    hu = np.array([-3000.0, -1000.0, -300.0, 400.0, 2000.0], dtype=np.float32).reshape(1, 1, 5)
    seen = heart_network_input(hu)
    assert seen.shape == (1, 1, 1, 5)
    assert seen.dtype == np.float32
    np.testing.assert_allclose(seen.ravel(), [-1, -1, 0, 1, 1], atol=1e-6)


@pytest.mark.parametrize("wrong", [{"in_plane_mm": 0.0}, {"slice_mm": -1.0}, {"size_px": 1}])
def test_impossible_grids_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="expected lengths above 0 and at least 2 px"):
        HeartGridConfig(**wrong)  # type: ignore[arg-type]
