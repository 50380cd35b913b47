"""One record per slice, whether it came as a classic CT image or as a frame of an enhanced one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from calcmap.core.errors import GeometryError, MixedSeriesError, NotHounsfieldError, UnreadableFileError
from calcmap.core.scan import QualityFlag, Severity
from calcmap.io.dicom_elements import Elements
from calcmap.io.headers import Instance

Vector: TypeAlias = tuple[float, float, float]

SPACING_TOLERANCE = 1e-4
"""Relative difference of pixel spacings of one grid: rounding in decimal strings, no more (our choice)."""

COSINE_TOLERANCE = 1e-3
"""Difference of direction cosines of one stack: 0.06 degrees (our choice)."""

MIN_BITS = 9
"""Eight bits cannot hold the range of HU; such images are windowed pictures."""

HU_RESCALE_TYPES = ("", "HU", "US")
"""RescaleType of CT values: Hounsfield, absent, or "unspecified", which the standard reads as HU for original CT."""

LOCALIZER_TYPES = frozenset({"LOCALIZER", "SCOUT", "TOPOGRAM"})
"""Values of ImageType that mark a projection image taken for planning."""


@dataclass(frozen=True)
class Slice:
    """Where one slice lies and how its stored values become HU.

    Parameters
    ----------
    instance : Instance
        The file.
    frame : int
        Zero-based frame within it.
    position_mm : tuple of float
        Centre of the first pixel, LPS.
    row_direction, column_direction : tuple of float
        Unit vectors along which the column and the row index grow.
    spacing_mm : tuple of float
        Distance between rows, and between columns.
    slope, intercept : float
        HU = stored value x slope + intercept.
    thickness_mm : float or None
        SliceThickness.
    image_type : tuple of str
        Values of ImageType or FrameType.
    acquisition : str
        AcquisitionNumber, empty when absent.
    """

    instance: Instance
    frame: int
    position_mm: Vector
    row_direction: Vector
    column_direction: Vector
    spacing_mm: tuple[float, float]
    slope: float
    intercept: float
    thickness_mm: float | None
    image_type: tuple[str, ...]
    acquisition: str

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return int(self.instance.number("Rows") or 0), int(self.instance.number("Columns") or 0)


def slices_of(instances: Sequence[Instance]) -> tuple[list[Slice], tuple[QualityFlag, ...]]:
    """Return every slice of a series but localizers, and a flag when there were some.

    Raises
    ------
    NotHounsfieldError
        No rescale, eight bits, colour, or a rescale into other units.
    GeometryError
        Position, orientation or pixel spacing is absent or malformed.
    UnreadableFileError
        A multi-frame object without the functional groups of its frames.
    """
    kept = [instance for instance in instances if not is_localizer(instance.image_type)]
    slices = [one for instance in kept for one in _instance_slices(instance)]
    axial = [one for one in slices if not is_localizer(one.image_type)]
    n_dropped = len(instances) - len(kept) + len(slices) - len(axial)
    if n_dropped == 0:
        return axial, ()
    detail = f"{n_dropped} localizer image(s) inside the series were left out"
    return axial, (QualityFlag("localizer_dropped", Severity.INFO, detail),)


def is_localizer(image_type: Sequence[str]) -> bool:
    """Tell whether ImageType says that the image is a localizer."""
    return not LOCALIZER_TYPES.isdisjoint(image_type)


def check_one_grid(slices: Sequence[Slice]) -> None:
    """Raise `MixedSeriesError` unless all slices share size, spacing, orientation and frame of reference."""
    first = slices[0]
    frame_of_reference = first.instance.text("FrameOfReferenceUID")
    for one in slices[1:]:
        if one.shape != first.shape:
            raise MixedSeriesError(f"slices of {first.shape} and of {one.shape} pixels are under one series UID")
        if _differ(one.spacing_mm, first.spacing_mm, SPACING_TOLERANCE * max(first.spacing_mm)):
            raise MixedSeriesError(
                f"pixel spacings {first.spacing_mm} and {one.spacing_mm} mm are under one series UID"
            )
        if _differ(_directions(one), _directions(first), COSINE_TOLERANCE):
            raise MixedSeriesError("slices of several orientations are under one series UID")
        if one.instance.text("FrameOfReferenceUID") != frame_of_reference:
            raise MixedSeriesError("slices of several frames of reference are under one series UID")


def _differ(a: Sequence[float], b: Sequence[float], tolerance: float) -> bool:
    return any(abs(left - right) > tolerance for left, right in zip(a, b, strict=True))


def _directions(one: Slice) -> tuple[float, ...]:
    return (*one.row_direction, *one.column_direction)


def _instance_slices(instance: Instance) -> list[Slice]:
    _check_values(instance)
    if not instance.is_enhanced:
        if instance.n_frames > 1:
            raise UnreadableFileError(f"a classic CT image claims {instance.n_frames} frames, expected 1")
        return [_slice(instance, 0, groups=(instance.header,), image_type=instance.image_type)]
    shared = instance.header.sequence("SharedFunctionalGroupsSequence")
    frames = instance.header.sequence("PerFrameFunctionalGroupsSequence")
    if len(frames) != instance.n_frames:
        raise UnreadableFileError(
            f"a multi-frame CT announces {instance.n_frames} frames but describes {len(frames)}: truncated or damaged"
        )
    return [
        _slice(instance, i, groups=_flattened([frame, *shared]), image_type=_frame_type(frame, shared, instance))
        for i, frame in enumerate(frames)
    ]


_MACROS = (
    *("PlanePositionSequence", "PlaneOrientationSequence", "PixelMeasuresSequence"),
    *("PixelValueTransformationSequence", "CTImageFrameTypeSequence"),
)


def _flattened(groups: Sequence[Elements]) -> tuple[Elements, ...]:
    """Return the first item of each macro that holds geometry or rescale, per-frame ones before shared ones."""
    return tuple(item for group in groups for macro in _MACROS for item in group.sequence(macro)[:1])


def _frame_type(frame: Elements, shared: Sequence[Elements], instance: Instance) -> tuple[str, ...]:
    for group in (frame, *shared):
        for item in group.sequence("CTImageFrameTypeSequence"):
            return tuple(value.strip().upper() for value in item.text("FrameType").split("\\"))
    return instance.image_type


def _slice(instance: Instance, frame: int, *, groups: Sequence[Elements], image_type: tuple[str, ...]) -> Slice:
    position = _vector(groups, "ImagePositionPatient", 3)
    orientation = _vector(groups, "ImageOrientationPatient", 6)
    spacing = _vector(groups, "PixelSpacing", 2)
    if min(spacing) <= 0:
        raise GeometryError(f"PixelSpacing is {spacing} mm, expected two positive numbers")
    slope, intercept = _first(groups, "RescaleSlope"), _first(groups, "RescaleIntercept")
    if slope is None or intercept is None:
        raise NotHounsfieldError("RescaleSlope or RescaleIntercept is absent, so stored values cannot become HU")
    if slope == 0:
        raise NotHounsfieldError("RescaleSlope is 0, expected a factor that keeps the values apart")
    return Slice(
        instance=instance,
        frame=frame,
        position_mm=(position[0], position[1], position[2]),
        row_direction=(orientation[0], orientation[1], orientation[2]),
        column_direction=(orientation[3], orientation[4], orientation[5]),
        spacing_mm=(spacing[0], spacing[1]),
        slope=slope,
        intercept=intercept,
        thickness_mm=_first(groups, "SliceThickness"),
        image_type=image_type,
        acquisition=instance.text("AcquisitionNumber"),
    )


def _vector(groups: Sequence[Elements], keyword: str, length: int) -> tuple[float, ...]:
    for group in groups:
        values = group.numbers(keyword)
        if len(values) == length:
            return values
    raise GeometryError(f"{keyword} is absent or malformed, expected {length} numbers")


def _first(groups: Sequence[Elements], keyword: str) -> float | None:
    for group in groups:
        values = group.numbers(keyword)
        if values:
            return values[0]
    return None


def _check_values(instance: Instance) -> None:
    samples = int(instance.number("SamplesPerPixel") or 1)
    if samples != 1:
        raise NotHounsfieldError(f"the image is in colour ({samples} samples a pixel), expected one HU value")
    bits = int(instance.number("BitsAllocated") or 0)
    stored = int(instance.number("BitsStored") or bits)
    if stored < MIN_BITS:
        raise NotHounsfieldError(f"the image has {stored} bits a pixel, expected at least {MIN_BITS} for HU")
    unit = instance.text("RescaleType").upper()
    if unit not in HU_RESCALE_TYPES:
        raise NotHounsfieldError(f"values are rescaled to {unit}, expected HU")
