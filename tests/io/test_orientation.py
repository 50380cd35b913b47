from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import FileDataset

from calcmap.core.volume import Float64Array, Volume
from calcmap.io.canonical import to_canonical
from calcmap.io.headers import Instance, read_instance
from calcmap.io.pixels import have_same_pixels, read_hu
from calcmap.io.reading import read_single_ct
from calcmap.io.slices import slices_of
from calcmap.io.sources import FileSource
from calcmap.io.stacking import stack_slices
from ct_series import ct_images, save, small_ct, with_affine

# How each patient position lays rows (x) and columns (y) of the image onto the patient's axes.
POSITIONS = {
    "HFS": ((1, 0, 0), (0, 1, 0)),
    "FFS": ((-1, 0, 0), (0, 1, 0)),
    "HFP": ((-1, 0, 0), (0, -1, 0)),
    "FFP": ((1, 0, 0), (0, -1, 0)),
    "HFDR": ((0, -1, 0), (1, 0, 0)),
    "HFDL": ((0, 1, 0), (-1, 0, 0)),
}


def _stored_as(volume: Volume, rows_along: tuple[int, ...], columns_along: tuple[int, ...]) -> list[FileDataset]:
    """Return the slices of a volume, each turned in its plane as a scanner would store it."""
    images = ct_images(volume)
    axes = volume.grid.affine_lps_mm[:3, :3] / np.linalg.norm(volume.grid.affine_lps_mm[:3, :3], axis=0)
    row_direction, column_direction = axes @ np.array(rows_along), axes @ np.array(columns_along)
    for index, image in enumerate(images):
        stored = np.frombuffer(image.PixelData, "<i2").reshape(volume.grid.shape_zyx[1:])
        turned, corner_yx = _turned(stored, rows_along, columns_along)
        image.Rows, image.Columns = turned.shape
        image.PixelData = np.ascontiguousarray(turned).tobytes()
        image.ImagePositionPatient = [round(mm, 6) for mm in volume.grid.lps_mm((index, *corner_yx))]
        image.ImageOrientationPatient = [round(float(c), 9) for c in (*row_direction, *column_direction)]
    return images


def _turned(
    stored_yx: np.ndarray, rows_along: tuple[int, ...], columns_along: tuple[int, ...]
) -> tuple[np.ndarray, tuple[int, int]]:
    ny, nx = stored_yx.shape
    x_sign, y_sign = rows_along[0] + columns_along[0], rows_along[1] + columns_along[1]
    flipped = stored_yx[:: (1 if y_sign > 0 else -1), :: (1 if x_sign > 0 else -1)]
    corner = (0 if y_sign > 0 else ny - 1, 0 if x_sign > 0 else nx - 1)
    return (flipped.T if rows_along[0] == 0 else flipped), corner


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
    scan = read_single_ct(save(_stored_as(volume, *POSITIONS[position])[::-1], tmp_path))
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
