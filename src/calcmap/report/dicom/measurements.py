"""The score and what it is made of as a structured report that machines read: Comprehensive 3D SR, template 1500."""

from __future__ import annotations

import numpy as np
from highdicom.sr import (
    AlgorithmIdentification,
    CodedConcept,
    Comprehensive3DSR,
    ContainerContentItem,
    CoordinatesForMeasurement3D,
    DeviceObserverIdentifyingAttributes,
    FindingSite,
    GraphicTypeValues3D,
    Measurement,
    MeasurementReport,
    MeasurementsAndQualitativeEvaluations,
    ObservationContext,
    ObserverContext,
    PersonObserverIdentifyingAttributes,
    ReferencedSegment,
    RelationshipTypeValues,
    SourceImageForMeasurementGroup,
    SourceSeriesForSegmentation,
    TextContentItem,
    TrackingIdentifier,
    VolumetricROIMeasurementsAndQualitativeEvaluations,
)
from highdicom.sr.value_types import ContentSequence
from pydicom.dataset import Dataset
from pydicom.sr.coding import Code

from calcmap.core.result import DISCLAIMER, CalciumClass, ClassScore, LesionResult, ScoringMethod
from calcmap.core.volume import Label
from calcmap.io.source_headers import SourceSeries
from calcmap.report.dicom import codes
from calcmap.report.dicom.filing import (
    MANUFACTURER,
    MODEL,
    Filing,
    Kind,
    coding_scheme,
    device_uid,
    documents_sequence,
    file_under,
    fingerprint,
)
from calcmap.report.dicom.segmentation import evidence, segment_uid
from calcmap.report.overview import confidence_line

Group = MeasurementsAndQualitativeEvaluations | VolumetricROIMeasurementsAndQualitativeEvaluations


def measurement_report(
    score: ClassScore, method: ScoringMethod, source: SourceSeries, filing: Filing, *, segmentation: Dataset
) -> Comprehensive3DSR:
    """Return the structured report of a scored study.

    Groups of measurements: the coronary calcium as a whole, tied to its segment, with the rule as parameters of the
    algorithm; each vessel; each lesion, with its slices and its centre; noncoronary calcium, tied to its segment; the
    heart. Numbers are written in full, as in ``result.json``. Category, confidence, percentiles, arterial age and
    quality flags stand as words under Qualitative Evaluations. Noncoronary calcium has no Agatston number here: the
    only code for one means coronary calcium.

    Parameters
    ----------
    score : ClassScore
        Of coronary calcium.
    method : ScoringMethod
        The rule behind it.
    source : SourceSeries
        The images of the scan.
    filing : Filing
        Result, patient, settings.
    segmentation : Dataset
        The masks, as made for the same result.

    Returns
    -------
    Comprehensive3DSR
        Complete; verified where the settings name a verifier.
    """
    images, _ = evidence(source)
    groups = [_total(score, method, filing, segmentation)]
    groups += [_vessel(codes.VESSELS[name], one, filing) for name, one in filing.result.vessels.items()]
    groups += [_lesion(one, source, filing) for one in filing.result.lesions]
    groups += [*_noncoronary(filing, segmentation), *_heart(filing)]
    content = MeasurementReport(
        observation_context=_observers(filing),
        procedure_reported=codes.CT_PROCEDURE,
        imaging_measurements=groups,
        title=codes.REPORT_TITLE,
    )
    content[0].ContentSequence.append(_evaluations(filing))
    verification = filing.settings.verification
    made = Comprehensive3DSR(
        evidence=[*images, segmentation],
        content=content[0],
        series_instance_uid=filing.uid("series", Kind.MEASUREMENTS.name),
        series_number=Kind.MEASUREMENTS.series_number,
        sop_instance_uid=filing.uid(Kind.MEASUREMENTS.name),
        instance_number=1,
        manufacturer=MANUFACTURER,
        is_complete=True,
        is_final=verification is not None,
        is_verified=verification is not None,
        verifying_observer_name=verification.dicom_name if verification else None,
        verifying_organization=verification.organization if verification else None,
    )
    file_under(made, filing, kind=Kind.MEASUREMENTS)
    _finish(made, filing)
    return made


def _finish(made: Dataset, filing: Filing) -> None:
    """Put in what highdicom takes from the clock or does not know."""
    made.CodingSchemeIdentificationSequence.append(
        coding_scheme(codes.OWN_SCHEME, "CalcMap's own concepts", "The CalcMap engineers")
    )
    if filing.settings.verification is not None:
        made.VerifyingObserverSequence[0].VerificationDateTime = filing.in_study_zone(
            filing.settings.verification.at
        ).strftime("%Y%m%d%H%M%S")
    earlier = filing.predecessors_of(made.SOPClassUID)
    if earlier:
        made.PredecessorDocumentsSequence = documents_sequence(earlier)


def _observers(filing: Filing) -> ObservationContext:
    provenance, verification = filing.result.provenance, filing.settings.verification
    device = ObserverContext(
        CodedConcept.from_code(codes.DEVICE),
        DeviceObserverIdentifyingAttributes(
            uid=device_uid(provenance),
            name=f"CalcMap {provenance.version}",
            manufacturer_name=MANUFACTURER,
            model_name=MODEL,
            serial_number=fingerprint(provenance),
        ),
    )
    if verification is None:
        return ObservationContext(observer_device_context=device)
    person = PersonObserverIdentifyingAttributes(
        name=verification.dicom_name, organization_name=verification.organization
    )
    return ObservationContext(
        observer_person_context=ObserverContext(CodedConcept.from_code(codes.PERSON), person),
        observer_device_context=device,
    )


def _total(score: ClassScore, method: ScoringMethod, filing: Filing, segmentation: Dataset) -> Group:
    threshold = Measurement(codes.SCORE_THRESHOLD, float(method.threshold_hu), codes.HOUNSFIELD)
    return VolumetricROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=TrackingIdentifier(segment_uid(filing, Label.CORONARY), "Coronary calcium"),
        referenced_segment=_segment(segmentation, Label.CORONARY, filing),
        # without calcium there is no finding: a reader of "Calcification" alone would be misled
        finding_type=codes.CORONARY_CALCIFICATION if score.n_lesions else None,
        finding_sites=[FindingSite(codes.CORONARY_ARTERY)],
        algorithm_id=_algorithm(method, filing),
        measurements=[*_numbers(score), threshold],
    )


def _vessel(vessel: Code, score: ClassScore, filing: Filing) -> Group:
    return MeasurementsAndQualitativeEvaluations(
        tracking_identifier=TrackingIdentifier(filing.uid("vessel", vessel.value), vessel.meaning),
        finding_type=codes.CORONARY_CALCIFICATION if score.n_lesions else None,
        finding_sites=[FindingSite(vessel)],
        measurements=_numbers(score),
    )


def _lesion(lesion: LesionResult, source: SourceSeries, filing: Filing) -> Group:
    is_coronary = lesion.lesion_class is CalciumClass.CORONARY
    site = codes.HEART if not is_coronary else codes.VESSELS[lesion.vessel] if lesion.vessel else codes.CORONARY_ARTERY
    centre = CoordinatesForMeasurement3D(
        GraphicTypeValues3D.POINT, np.array([lesion.center_mm]), source.reference.FrameOfReferenceUID
    )
    peak = Measurement(codes.ATTENUATION, float(lesion.max_hu), codes.HOUNSFIELD, derivation=codes.MAXIMUM)
    volume = Measurement(
        codes.CALCIUM_VOLUME,
        lesion.volume_mm3,
        codes.CUBIC_MM,
        method=codes.VOLUME_METHOD,
        referenced_coordinates=[centre],
    )
    return MeasurementsAndQualitativeEvaluations(
        tracking_identifier=TrackingIdentifier(filing.uid("lesion", str(lesion.id)), f"Lesion {lesion.id}"),
        finding_type=codes.CORONARY_CALCIFICATION if is_coronary else codes.CALCIFICATION,
        finding_sites=[FindingSite(site)],
        measurements=[*([_agatston(lesion.agatston)] if is_coronary else []), volume, *_mass(lesion.mass_mg), peak],
        source_images=_lesion_images(lesion, source),
    )


def _lesion_images(lesion: LesionResult, source: SourceSeries) -> list[SourceImageForMeasurementGroup]:
    slices = [source.slices[place] for place in source.stored_slices[lesion.slice_first : lesion.slice_last + 1]]
    if slices[0].instance.is_enhanced:
        one = slices[0].instance
        frames = sorted(each.frame + 1 for each in slices)
        return [SourceImageForMeasurementGroup(one.sop_class_uid, one.sop_instance_uid, frames)]
    return [SourceImageForMeasurementGroup(one.instance.sop_class_uid, one.instance.sop_instance_uid) for one in slices]


def _noncoronary(filing: Filing, segmentation: Dataset) -> list[Group]:
    score = filing.result.noncoronary
    if score is None:
        return []
    return [
        VolumetricROIMeasurementsAndQualitativeEvaluations(
            tracking_identifier=TrackingIdentifier(segment_uid(filing, Label.NONCORONARY), "Noncoronary calcium"),
            referenced_segment=_segment(segmentation, Label.NONCORONARY, filing),
            finding_type=codes.CALCIFICATION if score.n_lesions else None,
            finding_sites=[FindingSite(codes.HEART)],
            measurements=_amounts(score),
        )
    ]


def _heart(filing: Filing) -> list[Group]:
    """Return the whole heart's volume; not tied to its segment, which is what calcium leaves of the heart."""
    if filing.result.heart is None:
        return []
    return [
        MeasurementsAndQualitativeEvaluations(
            tracking_identifier=TrackingIdentifier(filing.uid("heart"), "Heart"),
            finding_sites=[FindingSite(codes.HEART)],
            measurements=[Measurement(codes.VOLUME, filing.result.heart.volume_ml, codes.MILLILITER)],
        )
    ]


def _segment(segmentation: Dataset, label: Label, filing: Filing) -> ReferencedSegment:
    return ReferencedSegment(
        sop_class_uid=segmentation.SOPClassUID,
        sop_instance_uid=segmentation.SOPInstanceUID,
        segment_number=int(label),
        source_series=SourceSeriesForSegmentation(filing.reference.SeriesInstanceUID),
    )


def _numbers(score: ClassScore) -> list[Measurement]:
    return [_agatston(score.agatston), *_amounts(score)]


def _agatston(agatston: float) -> Measurement:
    return Measurement(codes.AGATSTON_SCORE, agatston, codes.NO_UNIT, method=codes.AGATSTON_METHOD)


def _amounts(score: ClassScore) -> list[Measurement]:
    return [
        Measurement(codes.CALCIUM_VOLUME, score.volume_mm3, codes.CUBIC_MM, method=codes.VOLUME_METHOD),
        *_mass(score.mass_mg),
        Measurement(codes.N_LESIONS, score.n_lesions, codes.NO_UNIT),
    ]


def _mass(mass_mg: float | None) -> list[Measurement]:
    if mass_mg is None:
        return []
    return [Measurement(codes.CALCIUM_MASS, mass_mg, codes.MILLIGRAM, method=codes.MASS_METHOD)]


def _algorithm(method: ScoringMethod, filing: Filing) -> AlgorithmIdentification:
    provenance = filing.result.provenance
    parameters = {
        "profile": method.profile,
        "threshold_hu": method.threshold_hu,
        "weights_hu": "/".join(map(str, method.weights_hu)),
        "min_area_mm2": method.min_area_mm2,
        "min_area_px": method.min_area_px,
        "connectivity": method.connectivity,
        "increment_mm": method.increment_mm,
        "kvp": method.kvp,
        "mass_factor_mg_per_cm3_hu": method.mass_factor_mg_per_cm3_hu,
        **{f"{name}_weights_sha256": sha256 for name, sha256 in sorted(provenance.weights_sha256.items())},
        "input_sha256": provenance.input_sha256,
        "config_sha256": provenance.config_sha256,
    }
    return AlgorithmIdentification(
        name=MODEL,
        version=provenance.version,
        parameters=[f"{name}={value}" for name, value in parameters.items() if value is not None],
        family=codes.ARTIFICIAL_INTELLIGENCE,
        manufacturer=MANUFACTURER,
    )


def _evaluations(filing: Filing) -> ContainerContentItem:
    """Return what is said in words."""
    result = filing.result
    category = result.category
    said = [(codes.CATEGORY, category.name), (codes.CAC_DRS, category.cac_drs)] if category else []
    if result.confidence is not None:
        said.append((codes.CONFIDENCE, f"{confidence_line(result)}; known of {result.confidence.basis}"))
    said += [
        (codes.PERCENTILE, f"{one.percentile:.0f} ({one.reference}: {one.group}; {one.detail})")
        for one in result.percentiles
    ]
    if result.arterial_age_years is not None:
        said.append((codes.ARTERIAL_AGE, f"{result.arterial_age_years:.1f} years"))
    said += [(codes.QUALITY_FLAG, f"{flag.severity}: {flag.code}: {flag.detail}") for flag in result.quality]
    said.append((codes.COMMENT, DISCLAIMER))
    container = ContainerContentItem(codes.EVALUATIONS, relationship_type=RelationshipTypeValues.CONTAINS)
    container.ContentSequence = ContentSequence(
        [TextContentItem(name, words, relationship_type=RelationshipTypeValues.CONTAINS) for name, words in said]
    )
    return container
