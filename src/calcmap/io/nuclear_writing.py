"""Nuclear images of made-up patients: SPECT as multi-frame NM objects, PET as one image a slice.

They are here because an attenuation CT never comes alone: which CT belongs to which nuclear image, and what else lies
in the study, is what a reader of such studies has to find out.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import numpy as np
from pydicom.dataset import Dataset, FileDataset
from pydicom.uid import NuclearMedicineImageStorage, PositronEmissionTomographyImageStorage

from calcmap.core.errors import OutputError
from calcmap.core.volume import Float32Array, Grid
from calcmap.io.dicom_objects import (
    SeriesHeader,
    add_acquisition_time,
    add_frame_of_reference,
    code,
    decimal,
    new_object,
    related_series,
)

HIGHEST_COUNT = 32767
"""Largest stored value: below 2**15, so that readers which take it for signed are right as well."""

_AXIAL = ("1", "0", "0", "0", "1", "0")
_BITS = 16
_RECUMBENT = ("102538003", "SCT", "recumbent")
_SUPINE = ("40199007", "SCT", "supine")
_HEAD_FIRST = ("102540005", "SCT", "headfirst")
_INTRAVENOUS = ("47625008", "SCT", "Intravenous route")


class Tracer(Enum):
    """What was injected: radionuclide, its code and half-life, the drug and its code, and the energy window in keV."""

    SESTAMIBI = ("^99m^Technetium", "72454006", 21624.0, "Tc-99m sestamibi", "424299003", (126.0, 154.0))
    TETROFOSMIN = ("^99m^Technetium", "72454006", 21624.0, "Tc-99m tetrofosmin", "424118002", (126.0, 154.0))
    RUBIDIUM = ("^82^Rubidium", "79197006", 76.4, "Rubidium chloride Rb^82^", "129503007", (435.0, 650.0))
    AMMONIA = ("^13^Nitrogen", "21576001", 597.9, "Ammonia N^13^", "129508003", (435.0, 650.0))

    @property
    def half_life_s(self) -> float:
        """Half-life of the radionuclide."""
        return self.value[2]

    @property
    def window_kev(self) -> tuple[float, float]:
        """Lowest and highest energy that is counted."""
        return self.value[5]

    def nuclide_code(self) -> Dataset:
        """Return the radionuclide as a coded concept."""
        return code(self.value[1], "SCT", self.value[0])

    def drug_code(self) -> Dataset:
        """Return the radiopharmaceutical as a coded concept."""
        return code(self.value[4], "SCT", self.value[3])


@dataclass(frozen=True, kw_only=True)
class NuclearHeader(SeriesHeader):
    """What a nuclear series says of itself besides its pixels."""

    tracer: Tracer = Tracer.SESTAMIBI
    dose_mbq: float = 740.0
    corrections: tuple[str, ...] = ()
    """CorrectedImage: ``ATTN``, ``SCAT``, ``DECY`` and so on."""
    correction_series_uid: str = ""
    """The CT series that is named as the attenuation correction; none when empty."""
    is_transmission: bool = False
    """Whether the image shows attenuation, not activity."""
    is_derived: bool = False
    frame_duration_ms: int = 20000
    method: str = ""
    """Reconstruction: iterations, subsets, filter; at most 16 characters for SPECT, 64 for PET."""
    attenuation_method: str = ""
    """AttenuationCorrectionMethod of PET images."""


@dataclass(frozen=True)
class Rotation:
    """How the heads of a gamma camera go round the patient."""

    start_degrees: float = 45.0
    step_degrees: float = 3.0
    radius_mm: float = 250.0
    heads: int = 2

    def head_of(self, view: int, n_views: int) -> int:
        """Return which head, from 1, takes a view: each one an equal, connected part of the arc."""
        return 1 + view * self.heads // n_views


def spect_volume(counts_zyx: Float32Array, grid: Grid, *, header: NuclearHeader) -> FileDataset:
    """Return reconstructed axial slices as one multi-frame NM image.

    Parameters
    ----------
    counts_zyx : ndarray of float32, shape (slices, rows, columns)
        Non-negative; rounded. Slices ascend to the head.
    grid : Grid
        Where they lie; not rotated.
    header : NuclearHeader
        Identity and what was done.

    Returns
    -------
    FileDataset
        RECON TOMO.

    Raises
    ------
    OutputError
        A count is negative or above `HIGHEST_COUNT`.
    """
    dz, dy, dx = grid.spacing_mm_zyx
    image = _nuclear_image(header, "RECON TOMO", counts_zyx, spacing_mm=(dy, dx))
    detector = _detector(header)
    detector.ImagePositionPatient = [decimal(mm) for mm in grid.lps_mm((0, 0, 0))]
    detector.ImageOrientationPatient = list(_AXIAL)
    image.DetectorInformationSequence = [detector]
    image.FrameIncrementPointer = 0x00540080
    image.NumberOfSlices = len(counts_zyx)
    image.SliceVector = list(range(1, len(counts_zyx) + 1))
    image.SliceThickness = image.SpacingBetweenSlices = decimal(dz)
    _add_rotation(image, header, Rotation(), n_views=60)
    if header.method:
        image.ConvolutionKernel = header.method
    return image


def spect_projections(
    counts_vyx: Float32Array, *, spacing_mm: float, rotation: Rotation, header: NuclearHeader
) -> FileDataset:
    """Return the views of a gamma camera as one multi-frame NM image.

    Parameters
    ----------
    counts_vyx : ndarray of float32, shape (views, rows, columns)
        Non-negative; rounded. Rows run from head to feet.
    spacing_mm : float
        Pixel side.
    rotation : Rotation
        Where the heads were.
    header : NuclearHeader
        Identity.

    Returns
    -------
    FileDataset
        TOMO; it has no frame of reference in which its pixels lie.

    Raises
    ------
    OutputError
        A count is negative or above `HIGHEST_COUNT`.
    """
    n_views = len(counts_vyx)
    image = _nuclear_image(header, "TOMO", counts_vyx, spacing_mm=(spacing_mm, spacing_mm))
    heads = [rotation.head_of(view, n_views) for view in range(n_views)]
    image.DetectorInformationSequence = [_detector(header) for _ in range(rotation.heads)]
    for index, detector in enumerate(image.DetectorInformationSequence):
        detector.StartAngle = decimal(rotation.start_degrees + heads.index(index + 1) * rotation.step_degrees)
        detector.RadialPosition = decimal(rotation.radius_mm)
        detector.ImagePositionPatient = detector.ImageOrientationPatient = None
    image.NumberOfDetectors = rotation.heads
    image.FrameIncrementPointer = [0x00540010, 0x00540020, 0x00540050, 0x00540090]
    image.EnergyWindowVector = image.RotationVector = [1] * n_views
    image.DetectorVector = heads
    image.AngularViewVector = [1 + view - heads.index(head) for view, head in enumerate(heads)]
    _add_rotation(image, header, rotation, n_views=n_views // rotation.heads)
    return image


def pet_slices(activity_bqml_zyx: Float32Array, grid: Grid, *, header: NuclearHeader) -> list[FileDataset]:
    """Return reconstructed axial slices as PET images, feet first.

    Parameters
    ----------
    activity_bqml_zyx : ndarray of float32, shape (slices, rows, columns)
        Activity in Bq/mL, non-negative; each slice is stored with a slope of its own.
    grid : Grid
        Where they lie; not rotated.
    header : NuclearHeader
        Identity and what was done.

    Returns
    -------
    list of FileDataset
        One object a slice.
    """
    return [_pet_slice(activity_bqml_zyx, grid, index, header=header) for index in range(len(activity_bqml_zyx))]


def _nuclear_image(
    header: NuclearHeader, kind: str, frames: Float32Array, *, spacing_mm: tuple[float, float]
) -> FileDataset:
    """Return an NM image with what its kinds have in common."""
    image = new_object(NuclearMedicineImageStorage, header=header, modality="NM")
    add_frame_of_reference(image, header)
    add_acquisition_time(image, header)
    source = "TRANSMISSION" if header.is_transmission else "EMISSION"
    image.ImageType = ["DERIVED" if header.is_derived else "ORIGINAL", "PRIMARY", kind, source]
    _add_patient_orientation(image)
    _add_tracer(image, header)
    _add_correction(image, header)
    _add_counts(image, frames)
    image.NumberOfFrames = len(frames)
    image.PixelSpacing = [decimal(mm) for mm in spacing_mm]
    image.NumberOfEnergyWindows = image.NumberOfDetectors = 1
    image.CountsAccumulated = int(min(frames.sum(dtype=np.float64), 2**31 - 1))
    return image


def _add_counts(image: Dataset, frames: Float32Array) -> None:
    if frames.min() < 0 or frames.max() > HIGHEST_COUNT:
        raise OutputError(f"counts run from {frames.min()} to {frames.max()}, expected 0 to {HIGHEST_COUNT}")
    _add_pixels(image, np.rint(frames).astype("<u2").tobytes(), shape_yx=frames.shape[-2:])


def _add_pixels(image: Dataset, pixels: bytes, *, shape_yx: tuple[int, ...], is_signed: bool = False) -> None:
    image.Rows, image.Columns = shape_yx
    image.SamplesPerPixel = 1
    image.PhotometricInterpretation = "MONOCHROME2"
    image.BitsAllocated = image.BitsStored = _BITS
    image.HighBit = _BITS - 1
    image.PixelRepresentation = int(is_signed)
    image.PixelData = pixels


def _add_patient_orientation(image: Dataset) -> None:
    orientation = code(*_RECUMBENT)
    orientation.PatientOrientationModifierCodeSequence = [code(*_SUPINE)]
    image.PatientOrientationCodeSequence = [orientation]
    image.PatientGantryRelationshipCodeSequence = [code(*_HEAD_FIRST)]


def _add_tracer(image: Dataset, header: NuclearHeader) -> None:
    window, energies = Dataset(), Dataset()
    energies.EnergyWindowLowerLimit, energies.EnergyWindowUpperLimit = (
        decimal(kev) for kev in header.tracer.window_kev
    )
    window.EnergyWindowRangeSequence = [energies]
    window.EnergyWindowName = "Photopeak"
    image.EnergyWindowInformationSequence = [window]
    image.RadiopharmaceuticalInformationSequence = [_injection(header)]


def _injection(header: NuclearHeader) -> Dataset:
    drug = Dataset()
    drug.Radiopharmaceutical = header.tracer.value[3]
    drug.RadionuclideCodeSequence = [header.tracer.nuclide_code()]
    drug.RadiopharmaceuticalCodeSequence = [header.tracer.drug_code()]
    drug.AdministrationRouteCodeSequence = [code(*_INTRAVENOUS)]
    return drug


def _add_correction(image: Dataset, header: NuclearHeader) -> None:
    image.CorrectedImage = list(header.corrections) or None
    if header.correction_series_uid:
        image.RelatedSeriesSequence = [related_series(header.study_uid, header.correction_series_uid)]


def _detector(header: NuclearHeader) -> Dataset:
    detector = Dataset()
    detector.CollimatorType = "" if header.is_transmission else "PARA"
    return detector


def _add_rotation(image: Dataset, header: NuclearHeader, rotation: Rotation, *, n_views: int) -> None:
    turn = Dataset()
    turn.StartAngle = decimal(rotation.start_degrees)
    turn.AngularStep = decimal(rotation.step_degrees)
    turn.RotationDirection = "CC"
    turn.ScanArc = decimal(rotation.step_degrees * n_views)
    turn.ActualFrameDuration = header.frame_duration_ms
    turn.NumberOfFramesInRotation = n_views
    turn.RadialPosition = decimal(rotation.radius_mm)
    image.NumberOfRotations = 1
    image.RotationInformationSequence = [turn]
    image.TypeOfDetectorMotion = "STEP AND SHOOT"


def _pet_slice(activity_bqml_zyx: Float32Array, grid: Grid, index: int, *, header: NuclearHeader) -> FileDataset:
    n_slices = len(activity_bqml_zyx)
    image = new_object(PositronEmissionTomographyImageStorage, header=header, modality="PT", number=index + 1)
    add_frame_of_reference(image, header)
    add_acquisition_time(image, header)
    image.ImageType = ["ORIGINAL", "PRIMARY"]
    _add_pet_series(image, header, n_slices)
    _add_patient_orientation(image)
    _add_pet_isotope(image, header)
    _add_pet_plane(image, grid, index)
    image.ImageIndex = n_slices - index
    image.FrameReferenceTime = "0"
    image.ActualFrameDuration = header.frame_duration_ms
    image.DecayFactor = "1"
    _add_activity(image, activity_bqml_zyx[index])
    return image


def _add_pet_series(image: Dataset, header: NuclearHeader, n_slices: int) -> None:
    image.Units = "BQML"
    image.CountsSource = "TRANSMISSION" if header.is_transmission else "EMISSION"
    image.SeriesType = ["STATIC", "IMAGE"]
    image.NumberOfSlices = n_slices
    _add_correction(image, header)
    image.DecayCorrection = "START"
    image.CollimatorType = "NONE"
    image.RandomsCorrectionMethod = "DLYD"
    image.ReconstructionMethod = header.method
    if header.attenuation_method:
        image.AttenuationCorrectionMethod = header.attenuation_method
    if "SCAT" in header.corrections:
        image.ScatterCorrectionMethod = "Model-based"


def _add_pet_isotope(image: Dataset, header: NuclearHeader) -> None:
    drug = _injection(header)
    drug.RadionuclideHalfLife = decimal(header.tracer.half_life_s)
    drug.RadionuclideTotalDose = decimal(header.dose_mbq * 1e6)
    drug.RadiopharmaceuticalStartTime = header.acquired_at
    image.RadiopharmaceuticalInformationSequence = [drug]


def _add_pet_plane(image: Dataset, grid: Grid, index: int) -> None:
    dz, dy, dx = grid.spacing_mm_zyx
    position_mm = grid.lps_mm((index, 0, 0))
    image.ImagePositionPatient = [decimal(mm) for mm in position_mm]
    image.ImageOrientationPatient = list(_AXIAL)
    image.PixelSpacing = [decimal(dy), decimal(dx)]
    image.SliceThickness = decimal(dz)
    image.SliceLocation = decimal(position_mm[2])
    image.ReconstructionDiameter = decimal(round(dx * grid.shape_zyx[2], 3))


def _add_activity(image: Dataset, activity_bqml_yx: Float32Array) -> None:
    slope = float(f"{max(float(activity_bqml_yx.max()), 1.0) / HIGHEST_COUNT:.8g}")
    stored = np.clip(np.rint(activity_bqml_yx / slope), 0, HIGHEST_COUNT).astype("<i2")
    _add_pixels(image, stored.tobytes(), shape_yx=stored.shape, is_signed=True)
    image.RescaleIntercept, image.RescaleSlope = "0", decimal(slope)


__all__ = [
    "NuclearHeader",
    "Rotation",
    "Tracer",
    "pet_slices",
    "spect_projections",
    "spect_volume",
]
