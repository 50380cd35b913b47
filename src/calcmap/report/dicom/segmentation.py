"""The label map as DICOM segmentation, frame by frame on the images it was drawn on."""

from __future__ import annotations

from highdicom import AlgorithmIdentificationSequence, PixelMeasuresSequence
from highdicom.color import CIELabColor
from highdicom.seg import Segmentation, SegmentDescription
from pydicom.dataset import Dataset
from pydicom.sr.coding import Code

from calcmap.core.errors import OutputError
from calcmap.core.result import DISCLAIMER
from calcmap.core.volume import Label, Labels
from calcmap.io.dicom_objects import decimal
from calcmap.io.slices import Slice
from calcmap.io.source_headers import SourceSeries
from calcmap.report import drawing
from calcmap.report.dicom import codes
from calcmap.report.dicom.filing import (
    MANUFACTURER,
    MODEL,
    Filing,
    Kind,
    file_under,
    fingerprint,
    images_sequence,
)

SEGMENTS: dict[Label, tuple[str, Code, Code, Code, drawing.Rgb]] = {
    Label.HEART: ("Heart", codes.ANATOMY, codes.HEART, codes.HEART, drawing.HEART),
    Label.CORONARY: (
        *("Coronary calcium", codes.ABNORMALITY, codes.CALCIFICATION, codes.CORONARY_ARTERY, drawing.CORONARY),
    ),
    Label.NONCORONARY: (
        *("Noncoronary calcium", codes.ABNORMALITY, codes.CALCIFICATION, codes.HEART, drawing.NONCORONARY),
    ),
}
"""Name, category, type, place and colour of each segment; segment numbers are the values of the label map."""

_EMPTY_IN_EVIDENCE = (
    *("PatientID", "PatientName", "PatientBirthDate", "PatientSex", "AccessionNumber", "StudyID"),
    *("StudyDate", "StudyTime", "ReferringPhysicianName"),
)


def segmentation(labels: Labels, source: SourceSeries, filing: Filing) -> Segmentation:
    """Return a label map as DICOM segmentation: heart, coronary and noncoronary calcium as segments 1, 2 and 3.

    The segments are the values of the label map: they do not overlap, the heart is what is left of it around calcium.
    Every image has a frame for every segment, empty ones too, so that viewers which count frames stay aligned.

    Parameters
    ----------
    labels : Labels
        On the canonical grid of the scan.
    source : SourceSeries
        The images of the scan.
    filing : Filing
        Result, patient, settings.

    Returns
    -------
    Segmentation
        Binary, or a label map where the settings ask for one.

    Raises
    ------
    OutputError
        The labels lie on another grid, or the scan is spread over several multi-frame objects.
    """
    images, order = evidence(source)
    made = Segmentation(
        source_images=images,
        pixel_array=source.as_stored(labels)[order],
        segmentation_type=filing.settings.form.value,
        segment_descriptions=[_description(label, filing) for label in SEGMENTS],
        series_instance_uid=filing.uid("series", Kind.SEGMENTATION.name),
        series_number=Kind.SEGMENTATION.series_number,
        sop_instance_uid=filing.uid(Kind.SEGMENTATION.name),
        instance_number=1,
        manufacturer=MANUFACTURER,
        manufacturer_model_name=MODEL,
        software_versions=filing.result.provenance.version,
        device_serial_number=fingerprint(filing.result.provenance),
        content_label="CALCIUM",
        content_description=f"CalcMap {filing.status}. {DISCLAIMER}",
        pixel_measures=_measures(source),
        omit_empty_frames=False,
    )
    if filing.settings.verification is not None:
        made.ContentCreatorName = filing.settings.verification.dicom_name
    file_under(made, filing, kind=Kind.SEGMENTATION)
    _name_dimensions(made, filing)
    earlier = filing.predecessors_of(made.SOPClassUID)
    if earlier:
        made.SourceImageSequence = images_sequence(earlier)
    return made


def _name_dimensions(made: Dataset, filing: Filing) -> None:
    """Give the organization of frames a UID of ours: highdicom draws one by chance, and the same masks would differ."""
    for item in (*made.get("DimensionOrganizationSequence", ()), *made.get("DimensionIndexSequence", ())):
        item.DimensionOrganizationUID = filing.uid("dimensions")


def segment_uid(filing: Filing, label: Label) -> str:
    """Return the tracking UID by which segmentation and measurements name one segment."""
    return filing.uid("segment", label.name)


def evidence(source: SourceSeries) -> tuple[list[Dataset], list[int]]:
    """Return the images of a scan without anything personal, and their order.

    highdicom takes geometry and references from them. Patient and study are put in afterwards by `filing.file_under`,
    which keeps character sets; highdicom would also log names that are not as DICOM has them.

    Returns
    -------
    images : list of Dataset
        One an image, or the one multi-frame object.
    order : list of int
        For each of their frames, its place in ``source.slices``.

    Raises
    ------
    OutputError
        Several multi-frame objects, or one whose frames are not all part of the stack.
    """
    if source.slices[0].instance.is_enhanced:
        return _one_multiframe(source)
    images = [_image(one, source.reference, thickness_mm=_thickness_mm(source)) for one in source.slices]
    return images, list(range(len(images)))


def _one_multiframe(source: SourceSeries) -> tuple[list[Dataset], list[int]]:
    first = source.slices[0].instance
    order = sorted(range(len(source.slices)), key=lambda place: source.slices[place].frame)
    if [source.slices[place].frame for place in order] != list(range(first.n_frames)):
        raise OutputError(
            f"the stack of {len(order)} slices is not one multi-frame object of {first.n_frames}, expected every frame"
        )
    image = _anonymous(source.reference)
    for keyword in ("NumberOfFrames", "Rows", "Columns", "PositionReferenceIndicator"):
        setattr(image, keyword, source.reference.get(keyword))
    for keyword in ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"):
        setattr(image, keyword, source.reference.get(keyword))
    return [image], order


def _image(one: Slice, reference: Dataset, *, thickness_mm: float) -> Dataset:
    image = _anonymous(reference)
    image.SOPInstanceUID = one.instance.sop_instance_uid
    image.SOPClassUID = one.instance.sop_class_uid
    image.Rows, image.Columns = one.shape
    image.ImagePositionPatient = [decimal(mm) for mm in one.position_mm]
    image.ImageOrientationPatient = [decimal(cosine) for cosine in (*one.row_direction, *one.column_direction)]
    image.PixelSpacing = [decimal(mm) for mm in one.spacing_mm]
    image.SliceThickness = decimal(thickness_mm)
    image.PositionReferenceIndicator = reference.get("PositionReferenceIndicator", "")
    return image


def _anonymous(reference: Dataset) -> Dataset:
    image = Dataset()
    for keyword in _EMPTY_IN_EVIDENCE:
        setattr(image, keyword, "")
    for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID", "FrameOfReferenceUID"):
        setattr(image, keyword, reference.get(keyword))
    image.Modality = "CT"
    return image


def _measures(source: SourceSeries) -> PixelMeasuresSequence:
    return PixelMeasuresSequence(
        pixel_spacing=source.slices[0].spacing_mm,
        slice_thickness=_thickness_mm(source),
        spacing_between_slices=source.grid.spacing_mm_zyx[0],
    )


def _thickness_mm(source: SourceSeries) -> float:
    """Return the slice thickness; the increment where the images do not tell it, since DICOM wants one."""
    thickness_mm = source.slices[0].thickness_mm
    return source.grid.spacing_mm_zyx[0] if thickness_mm is None else thickness_mm


def _description(label: Label, filing: Filing) -> SegmentDescription:
    name, category, kind, place, colour = SEGMENTS[label]
    verification, provenance = filing.settings.verification, filing.result.provenance
    is_edited = verification is not None and verification.has_changes
    return SegmentDescription(
        segment_number=int(label),
        segment_label=name,
        segmented_property_category=category,
        segmented_property_type=kind,
        algorithm_type="SEMIAUTOMATIC" if is_edited else "AUTOMATIC",
        algorithm_identification=AlgorithmIdentificationSequence(
            name=MODEL,
            family=codes.ARTIFICIAL_INTELLIGENCE,
            version=provenance.version,
            source=MANUFACTURER,
            parameters={f"{name} sha256": sha256 for name, sha256 in sorted(provenance.weights_sha256.items())} or None,
        ),
        tracking_uid=segment_uid(filing, label),
        tracking_id=name,
        anatomic_regions=[place],
        display_color=CIELabColor.from_rgb(*colour),
    )
