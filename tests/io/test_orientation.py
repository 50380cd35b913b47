from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calcmap.core.volume import Float64Array, Volume
from calcmap.io.canonical import to_canonical
from calcmap.io.headers import Instance, read_instance
from calcmap.io.pixels import have_same_pixels, read_hu
from calcmap.io.reading import read_single_ct
from calcmap.io.slices import slices_of
from calcmap.io.sources import FileSource
from calcmap.io.stacking import stack_slices
from ct_series import ct_images, save, small_ct, with_affine
from stored_ways import POSITIONS, stored_as


def _tilted(angles: tuple[float, float, float]) -> Volume:
    rotation: Float64Array = np.eye(3)
    for (i, j), angle in zip(((0, 1), (0, 2), (1, 2)), angles, strict=True):
        turn = np.eye(3)
        turn[[i, j], [i, j]] = np.cos(angle)
        turn[i, j], turn[j, i] = -np.sin(angle), np.sin(angle)
        rotation = rotation @ turn
    affine = small_ct().grid.affine_lps_mm.copy()
    affine[:3, :3] = rotation @ affine[:3, :3]
    return with_affine(small_ct(), affine)


@pytest.mark.parametrize("position", POSITIONS)
@pytest.mark.parametrize("angles", [(0.0, 0.0, 0.0), (0.1, 0.25, -0.2)], ids=["straight", "oblique"])
def test_every_patient_position_arrives_as_the_same_volume(
    tmp_path: Path, position: str, angles: tuple[float, float, float]
) -> None:
    volume = _tilted(angles)
    scan = read_single_ct(save(stored_as(volume, *POSITIONS[position])[::-1], tmp_path))
    assert np.array_equal(scan.volume.ct_hu_zyx, volume.ct_hu_zyx)
    assert scan.volume.grid.is_same_as(volume.grid)
    assert scan.flags == ()


@pytest.fixture(scope="module")
def instances(tmp_path_factory: pytest.TempPathFactory) -> list[Instance]:
    folder = save(ct_images(), tmp_path_factory.mktemp("series"))
    return [read_instance(FileSource(path)) for path in sorted(folder.iterdir())]


@settings(deadline=None, max_examples=15)
@given(order=st.permutations(range(24)))
def test_the_order_of_files_does_not_matter(instances: list[Instance], order: list[int]) -> None:
    slices, _ = slices_of([instances[i] for i in order])
    stack = stack_slices(slices, have_same_pixels=have_same_pixels)
    ct_hu_zyx, grid = to_canonical(read_hu(stack.slices)[0], stack.affine_lps_mm)
    assert np.array_equal(ct_hu_zyx, small_ct().ct_hu_zyx)
    assert grid.is_same_as(small_ct().grid)
