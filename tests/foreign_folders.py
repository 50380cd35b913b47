"""Small folders laid out as other data sets are: COCA, orCaScore and pairs of NIfTI files."""

from __future__ import annotations

import plistlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
from pydicom.dataset import FileDataset

from calcmap.core.volume import Volume
from ct_series import ct_images, save, small_ct, with_values

BEYOND = 255 / 256
"""A brush's contour runs this far outside the centres of its outermost pixels."""
LESION_Z, LESION_HU = 7, 250
LESION_YX = ((20, 22), (20, 23), (20, 24), (21, 23), (21, 24))
"""Five pixels, a row of three and two under it, in soft tissue."""
LAD = "Left Anterior Descending Artery"


def ct_with_lesion() -> Volume:
    """Return the small CT with the lesion; its slices differ, so that each tells its place."""
    volume = small_ct()
    ct = volume.ct_hu_zyx.copy()
    for row, column in LESION_YX:
        ct[LESION_Z, row, column] = LESION_HU + column
    return with_values(volume, ct)


def lesion_contour(volume: Volume, *, z: int = LESION_Z, name: str = LAD, **changes: Any) -> dict[str, Any]:
    """Return the lesion's contour as a viewer exports it; changes overwrite its entries, ``None`` removes them."""
    b = BEYOND
    points = [
        *((22 - b, 20), (22, 20 + b), (23 - b, 21), (23, 21 + b), (24, 21 + b)),
        *((24 + b, 21), (24 + b, 20), (24, 20 - b), (23, 20 - b), (22, 20 - b)),
    ]
    return contour(volume, points, z=z, name=name, **changes)


def contour(
    volume: Volume, points_xy: Sequence[tuple[float, float]], *, z: int, name: str = LAD, **changes: Any
) -> dict[str, Any]:
    """Return a contour of a slice with the positions that the viewer writes, half a pixel off within the slice."""
    in_mm = [volume.grid.lps_mm((z, y - 0.5, x - 0.5)) for x, y in points_xy]
    entry = {
        "Name": name,
        "NumberOfPoints": len(points_xy),
        "Point_px": [f"({x:.6f}, {y:.6f})" for x, y in points_xy],
        "Point_mm": [f"({x:.6f}, {y:.6f}, {height:.6f})" for x, y, height in in_mm],
        "Min": float(LESION_HU + 22),
        "Max": float(LESION_HU + 24),
        "Type": 20,
    }
    return {key: value for key, value in (entry | changes).items() if value is not None}


def erased_contour() -> dict[str, Any]:
    """Return what remains in an export of a contour that the reader erased."""
    return {"Name": LAD, "NumberOfPoints": 0, "Point_px": [], "Point_mm": [], "Min": 0.0, "Max": 0.0, "Type": 20}


def write_plist(path: Path, contours: Iterable[tuple[int, dict[str, Any]]]) -> Path:
    """Write contours, each with its ImageIndex, and return the file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    images = [{"ImageIndex": index, "NumberOfROIs": 1, "ROIs": [roi]} for index, roi in contours]
    path.write_bytes(plistlib.dumps({"Images": images}))
    return path


def write_coca_patient(root: Path, name: str, images: Iterable[FileDataset] | None = None) -> Path:
    """Write one patient's series below ``root`` and return its folder."""
    folder = root / "patient" / name
    save(ct_images(ct_with_lesion()) if images is None else images, folder / "Pro_Gated_CS_3.0")
    (root / "calcium_xml").mkdir(exist_ok=True)
    return folder


def mirrored(images: Sequence[FileDataset], *, rows: bool, columns: bool) -> list[FileDataset]:
    """Return images stored with rows or columns the other way round, their geometry told as it is."""
    for image in images:
        stored = image.pixel_array
        position = np.array(image.ImagePositionPatient, dtype=float)
        directions = np.array(image.ImageOrientationPatient, dtype=float).reshape(2, 3)
        row_mm, column_mm = (float(mm) for mm in image.PixelSpacing)
        if columns:
            position += directions[0] * column_mm * (stored.shape[1] - 1)
            directions[0] *= -1
            stored = stored[:, ::-1]
        if rows:
            position += directions[1] * row_mm * (stored.shape[0] - 1)
            directions[1] *= -1
            stored = stored[::-1]
        image.ImagePositionPatient = [f"{mm:g}" for mm in position]
        image.ImageOrientationPatient = [f"{cosine:g}" for cosine in directions.ravel()]
        image.PixelData = np.ascontiguousarray(stored).tobytes()
    return list(images)


def write_metaimage(values_zyx: np.ndarray, volume: Volume, path: Path) -> None:
    """Write voxels on a volume's grid as MHD with RAW beside it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = sitk.GetImageFromArray(values_zyx)
    dz, dy, dx = volume.spacing_mm_zyx
    image.SetSpacing((dx, dy, dz))
    image.SetOrigin(tuple(volume.grid.affine_lps_mm[:3, 3]))
    sitk.WriteImage(image, str(path))
