"""What the headers of a series say that matters when the attenuation CT is looked for."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from calcmap.core.volume import Float64Array
from calcmap.io.acquisition import contrast_agent, gating_evidence
from calcmap.io.dicom_elements import Elements
from calcmap.io.headers import Instance
from calcmap.io.slices import MIN_BITS, is_localizer
from calcmap.io.study import Series, Study

ATTENUATION_CORRECTION_CODE = "122403"
"""DCM code "For Attenuation Correction", CID 7210: why a nuclear series refers to a CT series."""

NUCLEAR_MODALITIES = ("NM", "PT")


@dataclass(frozen=True)
class SeriesFacts:
    """One series, reduced to what the rules of ``choosing`` ask for; ``None`` where headers do not say."""

    uid: str
    modality: str
    description: str
    words: str
    """Description, protocol and image type in lower case."""
    n_images: int
    sop_class_uid: str
    image_types: frozenset[str]
    n_axial_images: int
    """Images that are no localizers."""
    normal_z: float | None
    """Cosine between the slices' normal and the body axis."""
    increment_mm: float | None
    coverage_mm: float | None
    thickness_mm: float | None
    kernel: str
    contrast: str | None
    gating: str | None
    has_rescale: bool
    has_enough_bits: bool
    frame_of_reference: str
    acquired_at: str
    """Date and time as digits, for comparison only."""


@dataclass(frozen=True)
class NuclearContext:
    """What the nuclear images of a study say about its CTs."""

    corrected_with: frozenset[str]
    """Series UIDs that a nuclear series names as its attenuation correction."""
    frames_of_reference: frozenset[str]
    words: Mapping[str, str]
    """By each of those UIDs: the descriptions, in lower case, of the nuclear series that name it or lie in it."""


def series_facts(series: Series) -> SeriesFacts:
    """Return the facts of one DICOM series."""
    first = next((one for one in series.instances if not is_localizer(one.image_type)), series.instances[0])
    image_types = frozenset(value for one in series.instances for value in one.image_type)
    axial = [one for one in series.instances if not is_localizer(one.image_type)]
    normal, heights_mm = _heights_mm(axial)
    increment_mm = float(np.median(np.diff(heights_mm))) if heights_mm.size > 1 else None
    groups = _measure_groups(first)
    return SeriesFacts(
        uid=series.uid,
        modality=series.modality,
        description=series.description,
        words=" ".join((series.description, first.text("ProtocolName"), *sorted(image_types))).lower(),
        n_images=series.n_images,
        sop_class_uid=first.sop_class_uid,
        image_types=image_types,
        n_axial_images=sum(one.n_frames for one in axial),
        normal_z=None if normal is None else abs(float(normal[2])),
        increment_mm=increment_mm,
        coverage_mm=None if increment_mm is None else float(np.ptp(heights_mm)) + increment_mm,
        thickness_mm=_first_number(groups, "SliceThickness"),
        kernel=first.text("ConvolutionKernel"),
        contrast=contrast_agent(first),
        gating=gating_evidence(first),
        has_rescale=_first_number(groups, "RescaleSlope") is not None,
        has_enough_bits=(first.number("BitsStored") or first.number("BitsAllocated") or 0) >= MIN_BITS,
        frame_of_reference=first.text("FrameOfReferenceUID"),
        acquired_at=_acquired_at(first),
    )


def nuclear_context(study: Study) -> NuclearContext:
    """Return which series the nuclear images of a study refer to, and in which frames of reference they lie."""
    nuclear = [one for series in study.series for one in series.instances if one.text("Modality") in NUCLEAR_MODALITIES]
    related = [(uid, one) for one in nuclear for uid in _correction_series(one)]
    frames = [(uid, one) for one in nuclear if (uid := one.text("FrameOfReferenceUID"))]
    words: dict[str, set[str]] = defaultdict(set)
    for uid, one in (*related, *frames):
        words[uid].add(one.text("SeriesDescription").lower())
    return NuclearContext(
        frozenset(uid for uid, _ in related),
        frozenset(uid for uid, _ in frames),
        {uid: " ".join(sorted(found)) for uid, found in words.items()},
    )


def _correction_series(instance: Instance) -> list[str]:
    uids = []
    for item in instance.header.sequence("RelatedSeriesSequence"):
        purposes = item.sequence("PurposeOfReferenceCodeSequence")
        if any(code.text("CodeValue") == ATTENUATION_CORRECTION_CODE for code in purposes):
            uids.append(item.text("SeriesInstanceUID"))
    return uids


def _heights_mm(instances: Sequence[Instance]) -> tuple[Float64Array | None, Float64Array]:
    """Return the normal of the first slice and every distinct position along it, ascending."""
    normal: Float64Array | None = None
    heights_mm: list[float] = []
    for position, orientation in (plane for instance in instances for plane in _planes(instance)):
        if len(position) != 3 or len(orientation) != 6:
            continue
        if normal is None:
            normal = np.cross(orientation[:3], orientation[3:])
            normal = normal / max(float(np.linalg.norm(normal)), 1e-9)
        heights_mm.append(round(float(np.dot(position, normal)), 2))
    return normal, np.unique(np.array(heights_mm))


def _planes(instance: Instance) -> list[tuple[tuple[float, ...], tuple[float, ...]]]:
    if not instance.is_enhanced:
        return [(instance.numbers("ImagePositionPatient"), instance.numbers("ImageOrientationPatient"))]
    shared = instance.header.sequence("SharedFunctionalGroupsSequence")
    planes = []
    for frame in instance.header.sequence("PerFrameFunctionalGroupsSequence"):
        groups = [
            item
            for group in (frame, *shared)
            for macro in ("PlanePositionSequence", "PlaneOrientationSequence")
            for item in group.sequence(macro)
        ]
        planes.append(
            (_first_numbers(groups, "ImagePositionPatient"), _first_numbers(groups, "ImageOrientationPatient"))
        )
    return planes


def _measure_groups(instance: Instance) -> list[Elements]:
    if not instance.is_enhanced:
        return [instance.header]
    shared = instance.header.sequence("SharedFunctionalGroupsSequence")
    frames = instance.header.sequence("PerFrameFunctionalGroupsSequence")[:1]
    macros = ("PixelMeasuresSequence", "PixelValueTransformationSequence")
    return [item for group in (*frames, *shared) for macro in macros for item in group.sequence(macro)]


def _first_number(groups: Sequence[Elements], keyword: str) -> float | None:
    values = _first_numbers(groups, keyword)
    return values[0] if values else None


def _first_numbers(groups: Sequence[Elements], keyword: str) -> tuple[float, ...]:
    return next((values for group in groups if (values := group.numbers(keyword))), ())


def _acquired_at(instance: Instance) -> str:
    for kind in ("Acquisition", "Series"):
        date, time = instance.text(f"{kind}Date"), instance.text(f"{kind}Time")
        if date or time:
            return date + time
    return ""
