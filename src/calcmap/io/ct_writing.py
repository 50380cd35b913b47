"""A volume as a classic CT series: for simulated patients, and for tests of reading.

Strict, as writing should be: whatever the standard wants of a CT image is there, and nothing is invented silently. The
patient is a made-up one and the headers say so.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian, generate_uid

from calcmap import __version__
from calcmap.core.errors import OutputError
from calcmap.core.volume import Int16Array, Volume

RESCALE_INTERCEPT = -1024
"""Stored values are HU + 1024, as scanners have it."""

STORED_BITS = 16
_UNKNOWN_DATE = "20000101"
"""Dates of made-up scans; a fixed one, so that the same seed gives the same bytes."""


@dataclass(frozen=True)
class CtHeader:
    """What a CT series says of itself besides its pixels.

    Parameters
    ----------
    seed : str
        All UIDs are made from it: the same seed gives the same series, another seed another one.
    study_seed : str
        Series with one study seed belong to one study and share its frame of reference; ``seed`` when empty.
    patient_id : str
        Of a made-up patient; the name is ``"Synthetic^"`` and this.
    patient_sex : str
        ``"M"``, ``"F"``, ``"O"`` or empty.
    patient_age_years : int or None
        Whole years, below 1000.
    description, kernel, manufacturer, scanner_model : str
        SeriesDescription, ConvolutionKernel, Manufacturer, ManufacturerModelName.
    kvp, tube_current_ma : float
        Tube voltage and current.
    slice_thickness_mm : float or None
        The increment when ``None``.
    image_type : tuple of str
        ImageType.
    series_number, acquisition_number : int
        SeriesNumber and AcquisitionNumber.
    """

    seed: str
    study_seed: str = ""
    patient_id: str = "SYNTHETIC"
    patient_sex: str = ""
    patient_age_years: int | None = None
    description: str = "CTAC synthetic"
    kernel: str = "STANDARD"
    manufacturer: str = "CalcMap simulator"
    scanner_model: str = "synthetic"
    kvp: float = 120.0
    tube_current_ma: float = 20.0
    slice_thickness_mm: float | None = None
    image_type: tuple[str, ...] = ("ORIGINAL", "PRIMARY", "AXIAL")
    series_number: int = 1
    acquisition_number: int = 1

    @property
    def study_uid(self) -> str:
        """StudyInstanceUID."""
        return self._uid("study", self.study_seed or self.seed)

    @property
    def series_uid(self) -> str:
        """SeriesInstanceUID."""
        return self._uid("series", self.seed)

    @property
    def frame_of_reference_uid(self) -> str:
        """FrameOfReferenceUID."""
        return self._uid("frame", self.study_seed or self.seed)

    def sop_instance_uid(self, number: int) -> str:
        """SOPInstanceUID of the slice with that InstanceNumber."""
        return self._uid(f"instance {number}", self.seed)

    @staticmethod
    def _uid(kind: str, seed: str) -> str:
        return str(generate_uid(entropy_srcs=["CalcMap synthetic", kind, seed]))


def write_ct_series(volume: Volume, folder: Path, *, header: CtHeader) -> list[Path]:
    """Write a volume as one CT image a slice, ``0001.dcm`` at the feet, and return the files.

    Explicit little endian, 16 bits, RescaleSlope 1; UIDs are made from the header's seed.

    Raises
    ------
    OutputError
        The folder cannot be written, or HU above 31743 would not fit into the stored 16 bits.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        paths = []
        for index in range(volume.grid.shape_zyx[0]):
            path = folder / f"{index + 1:04d}.dcm"
            ct_image(volume, index, header=header).save_as(path, enforce_file_format=True)
            paths.append(path)
    except OSError as error:
        raise OutputError(f"cannot write the series to {folder}: {error.strerror}") from error
    return paths


def ct_image(volume: Volume, index: int, *, header: CtHeader) -> FileDataset:
    """Return slice ``index`` of a volume as a CT image in memory."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = CTImageStorage
    meta.MediaStorageSOPInstanceUID = UID(header.sop_instance_uid(index + 1))
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    image = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    _add_patient_and_study(image, header)
    _add_series(image, header)
    _add_geometry(image, volume, index, header=header)
    _add_pixels(image, volume.ct_hu_zyx[index])
    return image


def _add_patient_and_study(image: Dataset, header: CtHeader) -> None:
    image.SpecificCharacterSet = "ISO_IR 192"
    image.PatientName = f"Synthetic^{header.patient_id}"
    image.PatientID = header.patient_id
    image.PatientBirthDate = ""
    image.PatientSex = header.patient_sex
    if header.patient_age_years is not None:
        image.PatientAge = f"{header.patient_age_years:03d}Y"
    image.PatientComments = "Made by a simulator; not a patient."
    image.StudyInstanceUID = header.study_uid
    image.StudyID = "1"
    image.StudyDate = image.SeriesDate = image.AcquisitionDate = image.ContentDate = _UNKNOWN_DATE
    image.StudyTime = image.SeriesTime = image.AcquisitionTime = image.ContentTime = "120000"
    image.AccessionNumber = ""
    image.ReferringPhysicianName = ""


def _add_series(image: Dataset, header: CtHeader) -> None:
    image.Modality = "CT"
    image.SOPClassUID = CTImageStorage
    image.SeriesInstanceUID = header.series_uid
    image.SeriesNumber = header.series_number
    image.AcquisitionNumber = header.acquisition_number
    image.SeriesDescription = header.description
    image.PatientPosition = "HFS"
    image.FrameOfReferenceUID = header.frame_of_reference_uid
    image.PositionReferenceIndicator = ""
    image.Manufacturer = header.manufacturer
    image.ManufacturerModelName = header.scanner_model
    image.SoftwareVersions = __version__
    image.ImageType = list(header.image_type)
    image.KVP = _decimal(header.kvp)
    image.XRayTubeCurrent = round(header.tube_current_ma)
    image.ConvolutionKernel = header.kernel


def _add_geometry(image: Dataset, volume: Volume, index: int, *, header: CtHeader) -> None:
    increment_mm, dy, dx = volume.spacing_mm_zyx
    columns_mm = volume.grid.affine_lps_mm[:3, :2]
    directions = (columns_mm / np.linalg.norm(columns_mm, axis=0)).T.ravel()
    position_mm = volume.grid.lps_mm((index, 0, 0))
    thickness_mm = increment_mm if header.slice_thickness_mm is None else header.slice_thickness_mm
    image.SOPInstanceUID = header.sop_instance_uid(index + 1)
    image.InstanceNumber = index + 1
    image.ImagePositionPatient = [_decimal(mm) for mm in position_mm]
    image.ImageOrientationPatient = [_decimal(cosine) for cosine in directions]
    image.PixelSpacing = [_decimal(dy), _decimal(dx)]
    image.SliceThickness = _decimal(thickness_mm)
    image.SliceLocation = _decimal(position_mm[2])
    image.GantryDetectorTilt = "0"


def _add_pixels(image: Dataset, hu_yx: Int16Array) -> None:
    stored = hu_yx.astype(np.int32) - RESCALE_INTERCEPT
    limits = np.iinfo(np.int16)
    if stored.min() < limits.min or stored.max() > limits.max:
        raise OutputError(
            f"HU from {hu_yx.min()} to {hu_yx.max()} do not fit, expected at most {limits.max + RESCALE_INTERCEPT}"
        )
    image.Rows, image.Columns = hu_yx.shape
    image.SamplesPerPixel = 1
    image.PhotometricInterpretation = "MONOCHROME2"
    image.BitsAllocated = image.BitsStored = STORED_BITS
    image.HighBit = STORED_BITS - 1
    image.PixelRepresentation = 1
    image.RescaleIntercept = str(RESCALE_INTERCEPT)
    image.RescaleSlope = "1"
    image.RescaleType = "HU"
    image.PixelData = stored.astype("<i2").tobytes()


def _decimal(value: float) -> str:
    """Return a number as a DICOM decimal string: at most 16 characters, as exact as they allow."""
    for digits in range(16, 0, -1):
        text = f"{value + 0.0:.{digits}g}"
        if len(text) <= 16:
            return text
    raise OutputError(f"{value} does not fit into a DICOM decimal string")
