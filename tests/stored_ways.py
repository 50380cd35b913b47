"""Small CT series stored in other ways than slice by slice from the feet, rows to the back, columns to the left."""

from __future__ import annotations

import numpy as np
from pydicom.dataset import Dataset, FileDataset
from pydicom.sequence import Sequence

from calcmap.core.volume import Volume
from ct_series import ct_images

# How each patient position lays rows (x) and columns (y) of the image onto the patient's axes.
POSITIONS = {
    "HFS": ((1, 0, 0), (0, 1, 0)),
    "FFS": ((-1, 0, 0), (0, 1, 0)),
    "HFP": ((-1, 0, 0), (0, -1, 0)),
    "FFP": ((1, 0, 0), (0, -1, 0)),
    "HFDR": ((0, -1, 0), (1, 0, 0)),
    "HFDL": ((0, 1, 0), (-1, 0, 0)),
}


def stored_as(volume: Volume, rows_along: tuple[int, ...], columns_along: tuple[int, ...]) -> list[FileDataset]:
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


def enhanced_ct(images: list[FileDataset], *, order: list[int]) -> FileDataset:
    """Return slices as the frames of one enhanced CT, in an order of their own; the first image is used up."""

    def item(**values: object) -> Sequence:
        macro = Dataset()
        for keyword, value in values.items():
            setattr(macro, keyword, value)
        return Sequence([macro])

    base = images[0]
    shared = Dataset()
    shared.PlaneOrientationSequence = item(ImageOrientationPatient=base.ImageOrientationPatient)
    shared.PixelMeasuresSequence = item(PixelSpacing=base.PixelSpacing, SliceThickness=base.SliceThickness)
    shared.CTImageFrameTypeSequence = item(FrameType=["ORIGINAL", "PRIMARY", "VOLUME", "NONE"])
    frames, pixels = [], b""
    for number in order:
        intercept = -1024 - number
        frame = Dataset()
        frame.PlanePositionSequence = item(ImagePositionPatient=images[number].ImagePositionPatient)
        frame.PixelValueTransformationSequence = item(
            RescaleSlope="1", RescaleIntercept=str(intercept), RescaleType="HU"
        )
        frames.append(frame)
        stored = np.frombuffer(images[number].PixelData, "<i2") - 1024 - intercept
        pixels += stored.astype("<i2").tobytes()
    for keyword in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness"):
        del base[keyword]
    del base["RescaleSlope"], base["RescaleIntercept"], base["RescaleType"]
    base.SOPClassUID = base.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.2.1"
    base.NumberOfFrames = len(frames)
    base.SharedFunctionalGroupsSequence = Sequence([shared])
    base.PerFrameFunctionalGroupsSequence = Sequence(frames)
    base.PixelData = pixels
    return base
