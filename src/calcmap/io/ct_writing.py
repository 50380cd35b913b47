"""A volume as a classic CT series, and the localizer that is taken before it: for simulated patients, and for tests.

Scanners differ in how they store HU. `Storage` names the ways that hybrid scanners have; whatever does not fit into
the one asked for is an error, never clipped.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileDataset
from pydicom.uid import CTImageStorage

from calcmap.core.errors import OutputError
from calcmap.core.volume import Float64Array, Int16Array, Volume
from calcmap.io.dicom_objects import (
    SeriesHeader,
    add_acquisition_time,
    add_frame_of_reference,
    code,
    decimal,
    new_object,
    save_object,
)

RESCALE_INTERCEPT = -1024
"""Stored values are HU + 1024, as scanners have it."""

BODY_PHANTOM = ("113691", "DCM", "IEC Body Dosimetry Phantom")
"""In which CTDIvol was measured: PS3.16, CID 4052."""

_BITS_ALLOCATED = 16


class Storage(Enum):
    """How HU + 1024 is stored; values are bits stored and whether there is a sign."""

    SIGNED_16 = (16, True)
    """As GE and Canon do: room for padding far below air."""
    UNSIGNED_12 = (12, False)
    """As Siemens and Philips do: HU from -1024 to 3071."""

    @property
    def bits_stored(self) -> int:
        """Number of bits that carry the value."""
        return self.value[0]

    @property
    def is_signed(self) -> bool:
        """Whether stored values may be negative."""
        return self.value[1]

    @property
    def limits(self) -> tuple[int, int]:
        """Lowest and highest stored value."""
        if self.is_signed:
            return -(2 ** (self.bits_stored - 1)), 2 ** (self.bits_stored - 1) - 1
        return 0, 2**self.bits_stored - 1


@dataclass(frozen=True, kw_only=True)
class CtHeader(SeriesHeader):
    """What a CT series says of itself besides its pixels; empty and ``None`` are left out of the files."""

    description: str = "CTAC synthetic"
    kernel: str = "STANDARD"
    kvp: float = 120.0
    tube_current_ma: float = 20.0
    rotation_s: float | None = None
    """Time of one turn of the tube; exposure times follow from it and the pitch."""
    pitch: float | None = None
    """Table feed in a turn over the collimation; ``None`` for scans without feed."""
    collimation_mm: tuple[float, float] | None = None
    """Width of one row of detectors, and of all."""
    ctdi_vol_mgy: float | None = None
    slice_thickness_mm: float | None = None
    """The increment when ``None``."""
    scan_options: str = ""
    image_type: tuple[str, ...] = ("ORIGINAL", "PRIMARY", "AXIAL")
    acquisition_number: int = 1
    storage: Storage = Storage.SIGNED_16
    padding_hu: int | None = None
    """HU of pixels outside the field of view, announced as PixelPaddingValue."""
    is_numbered_from_head: bool = False
    """Whether InstanceNumber 1 is the slice nearest to the head."""


def write_ct_series(volume: Volume, folder: Path, *, header: CtHeader) -> list[Path]:
    """Write a volume as one CT image a slice, ``0001.dcm`` at the feet, and return the files.

    Explicit little endian, RescaleSlope 1; UIDs are made from the header's seed.

    Raises
    ------
    OutputError
        The folder cannot be written, or HU do not fit into the header's storage.
    """
    paths = []
    for index in range(volume.grid.shape_zyx[0]):
        path = folder / f"{index + 1:04d}.dcm"
        save_object(ct_image(volume, index, header=header), path)
        paths.append(path)
    return paths


def ct_image(volume: Volume, index: int, *, header: CtHeader) -> FileDataset:
    """Return slice ``index`` of a volume as a CT image in memory."""
    n_slices = volume.grid.shape_zyx[0]
    number = n_slices - index if header.is_numbered_from_head else index + 1
    image = _new_image(header, number)
    _add_geometry(image, volume, index, header=header)
    _add_pixels(image, volume.ct_hu_zyx[index], header=header)
    return image


def ct_localizer(
    picture_hu_zx: Int16Array,
    *,
    header: CtHeader,
    first_mm: tuple[float, float, float],
    spacing_mm: tuple[float, float],
    number: int = 1,
) -> FileDataset:
    """Return a front view as the localizer image of a CT.

    Parameters
    ----------
    picture_hu_zx : ndarray of int16, shape (rows, columns)
        Rows run from head to feet, columns to the patient's left; scaled like HU, water-like at 0.
    header : CtHeader
        Its image type must say LOCALIZER.
    first_mm : tuple of float
        Centre of the first pixel (x, y, z; LPS).
    spacing_mm : tuple of float
        Between rows, and between columns.
    number : int
        InstanceNumber, of its own when the localizer is filed under another image's series.

    Returns
    -------
    FileDataset
        A CT image whose plane is coronal.
    """
    image = _new_image(header, number)
    _add_plane(image, first_mm, np.array([1.0, 0, 0, 0, 0, -1.0]), spacing_mm)
    image.SliceThickness = ""
    _add_pixels(image, picture_hu_zx, header=header)
    image.RescaleType = "US"  # what a projection measures has no unit
    return image


def _new_image(header: CtHeader, number: int) -> FileDataset:
    image = new_object(CTImageStorage, header=header, modality="CT", number=number)
    add_frame_of_reference(image, header)
    add_acquisition_time(image, header)
    image.PatientPosition = "HFS"
    image.ImageType = list(header.image_type)
    image.AcquisitionNumber = header.acquisition_number
    _add_exposure(image, header)
    return image


def _add_exposure(image: Dataset, header: CtHeader) -> None:
    image.KVP = decimal(header.kvp)
    image.XRayTubeCurrent = round(header.tube_current_ma)
    if header.kernel:
        image.ConvolutionKernel = header.kernel
    if header.scan_options:
        image.ScanOptions = header.scan_options.split("\\")
    if header.rotation_s is not None:
        image.ExposureTime = round(1000 * header.rotation_s)
        image.Exposure = round(header.tube_current_ma * header.rotation_s)
        image.RevolutionTime = header.rotation_s
    if header.pitch is not None:
        image.SpiralPitchFactor = header.pitch
    if header.collimation_mm is not None:
        image.SingleCollimationWidth, image.TotalCollimationWidth = header.collimation_mm
    if header.ctdi_vol_mgy is not None:
        image.CTDIvol = header.ctdi_vol_mgy
        image.CTDIPhantomTypeCodeSequence = [code(*BODY_PHANTOM)]


def _add_geometry(image: Dataset, volume: Volume, index: int, *, header: CtHeader) -> None:
    increment_mm, dy, dx = volume.spacing_mm_zyx
    columns_mm = volume.grid.affine_lps_mm[:3, :2]
    directions = (columns_mm / np.linalg.norm(columns_mm, axis=0)).T.ravel()
    position_mm = volume.grid.lps_mm((index, 0, 0))
    thickness_mm = increment_mm if header.slice_thickness_mm is None else header.slice_thickness_mm
    _add_plane(image, position_mm, directions, (dy, dx))
    image.SliceThickness = decimal(thickness_mm)
    image.SliceLocation = decimal(position_mm[2])
    image.ReconstructionDiameter = decimal(round(dx * volume.grid.shape_zyx[2], 3))
    image.GantryDetectorTilt = "0"


def _add_plane(
    image: Dataset,
    position_mm: tuple[float, float, float],
    directions: Float64Array,
    spacing_mm: tuple[float, float],
) -> None:
    image.ImagePositionPatient = [decimal(mm) for mm in position_mm]
    image.ImageOrientationPatient = [decimal(cosine) for cosine in directions]
    image.PixelSpacing = [decimal(mm) for mm in spacing_mm]


def _add_pixels(image: Dataset, hu_yx: Int16Array, *, header: CtHeader) -> None:
    storage = header.storage
    lowest, highest = storage.limits
    stored = hu_yx.astype(np.int32) - RESCALE_INTERCEPT
    if stored.min() < lowest or stored.max() > highest:
        raise OutputError(
            f"HU from {hu_yx.min()} to {hu_yx.max()} do not fit, "
            f"expected {lowest + RESCALE_INTERCEPT} to {highest + RESCALE_INTERCEPT}"
        )
    image.Rows, image.Columns = hu_yx.shape
    image.SamplesPerPixel = 1
    image.PhotometricInterpretation = "MONOCHROME2"
    image.BitsAllocated = _BITS_ALLOCATED
    image.BitsStored = storage.bits_stored
    image.HighBit = storage.bits_stored - 1
    image.PixelRepresentation = int(storage.is_signed)
    if header.padding_hu is not None:
        image.PixelPaddingValue = header.padding_hu - RESCALE_INTERCEPT
    image.RescaleIntercept = str(RESCALE_INTERCEPT)
    image.RescaleSlope = "1"
    image.RescaleType = "HU"
    image.PixelData = stored.astype("<i2" if storage.is_signed else "<u2").tobytes()
