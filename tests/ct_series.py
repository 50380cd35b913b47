"""Small synthetic CT series, as files or in memory, for tests of every room that reads DICOM."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from pydicom.dataset import FileDataset
from pydicom.fileset import FileSet

from calcmap.core.volume import Grid, Int16Array, Volume, grid_from_spacing
from calcmap.io.ct_writing import CtHeader, ct_image

SHAPE_ZYX = (24, 32, 40)
SPACING_MM_ZYX = (3.0, 4.0, 4.0)
HEADER = CtHeader(seed="a", slice_thickness_mm=3.0, patient_sex="F", patient_age_years=61)


def small_ct(
    shape_zyx: tuple[int, int, int] = SHAPE_ZYX,
    *,
    seed: int = 0,
    spacing_mm_zyx: tuple[float, float, float] = SPACING_MM_ZYX,
) -> Volume:
    """Return a block of tissue in air; every voxel has noise, so that no two slices and no two flips are alike."""
    noise = np.random.default_rng(seed).integers(-20, 21, shape_zyx)
    ct = np.full(shape_zyx, -1000) + noise
    ct[:, 6:-5, 8:-6] = 40 + noise[:, 6:-5, 8:-6]
    ct[:, 12:16, 14:20] = 600
    return Volume(
        ct.astype(np.int16), grid_from_spacing(shape_zyx, spacing_mm_zyx, origin_lps_mm=(-80.0, -60.0, -200.0))
    )


def with_values(volume: Volume, ct_hu_zyx: Int16Array) -> Volume:
    """Return other voxels on the same grid."""
    return Volume(ct_hu_zyx.astype(np.int16), volume.grid)


def with_affine(volume: Volume, affine: np.ndarray) -> Volume:
    """Return the same voxels elsewhere."""
    return Volume(volume.ct_hu_zyx, Grid(volume.grid.shape_zyx, affine))


def ct_images(volume: Volume | None = None, *, header: CtHeader = HEADER) -> list[FileDataset]:
    """Return a volume's slices as CT images in memory, from the feet up."""
    volume = small_ct() if volume is None else volume
    return [ct_image(volume, index, header=header) for index in range(volume.grid.shape_zyx[0])]


def save(images: Iterable[FileDataset], folder: Path, *, prefix: str = "") -> Path:
    """Write images into a folder, named by their order, and return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, image in enumerate(images):
        image.save_as(folder / f"{prefix}{number:04d}.dcm", enforce_file_format=True)
    return folder


def save_with_directory(images: Iterable[FileDataset], folder: Path) -> Path:
    """Write images as a file set with its DICOMDIR, and return the DICOMDIR."""
    file_set = FileSet()
    for image in images:
        file_set.add(image)
    file_set.write(folder)
    file_set._stage["t"].cleanup()  # pydicom leaves it to the garbage collector, which warns
    return folder / "DICOMDIR"
