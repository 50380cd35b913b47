from __future__ import annotations

import copy
import shutil
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from highdicom.seg import segread
from highdicom.sr import srread
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes as standard
from pydicom.valuerep import PersonName

import orthanc_roundtrip
import orthanc_server
from calcmap.core.errors import OutputError, UnreadableFileError
from calcmap.core.result import ClassScore, StudyResult
from calcmap.core.volume import Label, Labels
from calcmap.io.finding import find_studies
from calcmap.io.reading import load_scan
from calcmap.io.source_headers import SourceSeries, read_source_series
from calcmap.io.study import Study
from calcmap.pipeline.score import score_scan
from calcmap.report.dicom import (
    Predecessor,
    Reports,
    ReportSettings,
    SegmentationForm,
    Verification,
    codes,
    documents,
    make_reports,
    predecessor_of,
    write_reports,
)
from calcmap.report.dicom.filing import Filing, Kind, blank_object, file_under
from calcmap.report.dicom.measurements import measurement_report
from calcmap.report.dicom.segmentation import segmentation
from calcmap.report.overview import render_overview
from calcmap.scoring.rules import get_profile
from core.results import empty_result, refused_result, scored_result
from ct_series import ct_images, save, small_ct
from dciodvfy import DCIODVFY, needs_dciodvfy
from reported_chest import MADE_AT, SETTINGS, SIGNED_AT, VERIFICATION, ReportedChest, reported_chest
from scored_chest import CORONARY_AGATSTON, scored_chest, write_chest_file
from stored_ways import POSITIONS, enhanced_ct, stored_as

DSRDUMP = shutil.which("dsrdump")
needs_dsrdump = pytest.mark.skipif(
    DSRDUMP is None, reason="DSRDUMP ABSENT: no report was printed; apt-get install dcmtk"
)
FILES = ("seg.dcm", "sr.dcm", "pdf.dcm", "sc.dcm")


@pytest.fixture(scope="module")
def chest(tmp_path_factory: pytest.TempPathFactory) -> ReportedChest:
    return reported_chest(tmp_path_factory.mktemp("reported"))


@pytest.fixture(scope="module")
def verified(chest: ReportedChest) -> Reports:
    earlier = tuple(predecessor_of(made) for made in chest.reports.objects.values())
    return chest.again(settings=replace(SETTINGS, verification=VERIFICATION, predecessors=earlier))


def errors(path: Path) -> list[str]:
    """Return what dicom3tools calls an error; its list of 2022 lacks later additions, so warnings may stand."""
    assert DCIODVFY is not None
    run = subprocess.run([DCIODVFY, str(path)], capture_output=True, text=True, check=False, timeout=60)
    lines = (run.stdout + run.stderr).splitlines()
    assert lines, f"{path.name}: the judge said nothing"
    return [line for line in lines if line.startswith(("Error", "Abort")) or "Duplicate" in line]


def saved(made: Dataset) -> Dataset:
    """Return an object as it is read from its file."""
    held = BytesIO()
    made.save_as(held, enforce_file_format=True)
    held.seek(0)
    return dcmread(held)


def result_of(chest: ReportedChest) -> StudyResult:
    result = chest.scored.result
    assert result.coronary is not None
    assert result.coronary.agatston == pytest.approx(CORONARY_AGATSTON)
    return result


def numbers(group: object) -> dict[str, float]:
    return {one.name.meaning: one.value for one in group.get_measurements()}  # type: ignore[attr-defined]


# Masks


def test_masks_come_back_voxel_for_voxel_on_their_images(chest: ReportedChest) -> None:
    made, labels = segread(chest.folder / "seg.dcm"), chest.scored.labels
    assert labels is not None
    (series,) = [one for one in chest.study.series if one.modality == "CT"]
    by_height = sorted(series.instances, key=lambda one: one.numbers("ImagePositionPatient")[2])
    masks = made.get_pixels_by_source_instance([one.sop_instance_uid for one in by_height])
    assert np.array_equal(masks, np.stack([labels.labels_zyx == label for label in (1, 2, 3)], axis=-1))


def test_every_image_has_a_frame_for_every_segment_in_plain_pydicom(chest: ReportedChest) -> None:
    made, labels = dcmread(chest.folder / "seg.dcm"), chest.scored.labels
    assert labels is not None
    assert made.NumberOfFrames == 3 * labels.grid.shape_zyx[0]
    assert made.SegmentsOverlap == "NO"
    frames = made.pixel_array
    for frame, group in zip(frames, made.PerFrameFunctionalGroupsSequence, strict=True):
        z_mm = float(group.PlanePositionSequence[0].ImagePositionPatient[2])
        index = round((z_mm - labels.grid.lps_mm((0, 0, 0))[2]) / labels.grid.spacing_mm_zyx[0])
        segment = int(group.SegmentIdentificationSequence[0].ReferencedSegmentNumber)
        assert np.array_equal(frame, labels.labels_zyx[index] == segment)


def test_a_label_map_holds_the_same_masks(chest: ReportedChest) -> None:
    labels = chest.scored.labels
    assert labels is not None
    made = saved(chest.masks(settings=replace(SETTINGS, form=SegmentationForm.LABELMAP)))
    assert made.SOPClassUID == "1.2.840.10008.5.1.4.1.1.66.7"
    heights_mm = [
        float(group.PlanePositionSequence[0].ImagePositionPatient[2]) for group in made.PerFrameFunctionalGroupsSequence
    ]
    assert np.array_equal(made.pixel_array[np.argsort(heights_mm)], labels.labels_zyx)


def test_a_heart_without_calcium_has_empty_segments_and_all_frames(tmp_path: Path) -> None:
    (study,) = find_studies([save(ct_images(), tmp_path)])
    labels, uid = labels_of(study)
    source = read_source_series(study, uid)
    blank = Labels(np.zeros_like(labels.labels_zyx), labels.grid)
    made = saved(segmentation(blank, source, Filing(empty_result(), source.reference, SETTINGS)))
    assert (made.NumberOfFrames, len(made.SegmentSequence), made.pixel_array.any()) == (72, 3, False)


def test_segments_say_what_they_are_and_what_made_them(chest: ReportedChest) -> None:
    segments = dcmread(chest.folder / "seg.dcm").SegmentSequence
    assert [one.SegmentLabel for one in segments] == ["Heart", "Coronary calcium", "Noncoronary calcium"]
    assert [one.SegmentedPropertyTypeCodeSequence[0].CodeValue for one in segments] == [
        codes.HEART.value, codes.CALCIFICATION.value, codes.CALCIFICATION.value,
    ]  # fmt: skip
    assert segments[1].AnatomicRegionSequence[0].CodeValue == codes.CORONARY_ARTERY.value
    assert {one.SegmentAlgorithmType for one in segments} == {"AUTOMATIC"}
    assert "b" * 64 in segments[1].SegmentationAlgorithmIdentificationSequence[0].AlgorithmParameters


def labels_of(study: Study) -> tuple[Labels, str]:
    """Return everything dense in a small study as coronary calcium, canonical, and its series."""
    (series,) = study.series
    volume = load_scan(study, series.uid).volume
    dense = (volume.ct_hu_zyx > 300).astype(np.uint8) * np.uint8(Label.CORONARY)
    return Labels(dense, volume.grid), series.uid


def reports_on(study: Study, *, settings: ReportSettings = SETTINGS) -> Reports:
    """Return reports of the made result on a small study, without pictures."""
    labels, uid = labels_of(study)
    return make_reports(result_on(uid), None, labels, study=study, settings=settings)


def result_on(series_uid: str) -> StudyResult:
    """Return the made result, said of another series."""
    result = scored_result()
    assert result.chosen_series is not None
    series = replace(result.chosen_series, series_uid=series_uid)
    return replace(result, chosen_series=series, lesions=result.lesions[:2])  # the third lies above these few slices


def masks_on(study: Study) -> tuple[Dataset, SourceSeries, Filing]:
    """Return the segmentation of a small study, and what it was made with."""
    labels, uid = labels_of(study)
    source = read_source_series(study, uid)
    filing = Filing(result_on(uid), source.reference, SETTINGS)
    return segmentation(labels, source, filing), source, filing


@pytest.mark.parametrize("position", ["FFS", "HFDR"])
def test_masks_lie_on_images_stored_in_other_orientations(tmp_path: Path, position: str) -> None:
    images = stored_as(small_ct(), *POSITIONS[position])
    (study,) = find_studies([save(images, tmp_path)])
    again = segread(BytesIO(_bytes(masks_on(study)[0])))
    assert again.SharedFunctionalGroupsSequence[0].PlaneOrientationSequence[0].ImageOrientationPatient == list(
        images[0].ImageOrientationPatient
    )
    for image in images[10:14]:
        (mask,) = again.get_pixels_by_source_instance([image.SOPInstanceUID], segment_numbers=[2])[..., 0]
        assert np.array_equal(mask, image.pixel_array - 1024 > 300)
        assert mask.any()


def test_masks_and_lesions_point_into_an_enhanced_ct(tmp_path: Path) -> None:
    order = [int(i) for i in np.random.default_rng(5).permutation(24)]
    image = enhanced_ct(ct_images(), order=order)
    (study,) = find_studies([save([image], tmp_path)])
    stored, ct, filing = masks_on(study)
    made, result = segread(BytesIO(_bytes(stored))), filing.result
    assert result.coronary is not None
    assert result.method is not None
    masks = made.get_pixels_by_source_frame(image.SOPInstanceUID, list(range(1, 25)), segment_numbers=[2])[..., 0]
    dense_zyx = small_ct().ct_hu_zyx > 300
    assert np.array_equal(masks, dense_zyx[order])
    report = measurement_report(result.coronary, result.method, ct, filing, segmentation=stored)
    lesion = srread(BytesIO(_bytes(report))).content.get_image_measurement_groups()[2]
    (source,) = lesion.source_images
    assert source.referenced_frame_numbers == sorted(order.index(z) + 1 for z in (20, 21, 22))


def test_an_enhanced_ct_with_frames_outside_the_stack_is_not_written(tmp_path: Path) -> None:
    image = enhanced_ct(ct_images(), order=list(range(24)))
    frame_type = Dataset()
    frame_type.FrameType = ["ORIGINAL", "PRIMARY", "LOCALIZER", "NONE"]
    shared = image.SharedFunctionalGroupsSequence[0]
    for group in image.PerFrameFunctionalGroupsSequence:
        group.CTImageFrameTypeSequence = shared.CTImageFrameTypeSequence
    del shared.CTImageFrameTypeSequence
    image.PerFrameFunctionalGroupsSequence[0].CTImageFrameTypeSequence = [frame_type]
    (study,) = find_studies([save([image], tmp_path)])
    with pytest.raises(OutputError, match="stack of 23 slices is not one multi-frame object of 24"):
        masks_on(study)


def _bytes(made: Dataset) -> bytes:
    held = BytesIO()
    made.save_as(held, enforce_file_format=True)
    return held.getvalue()


# Numbers


def test_numbers_come_back_exactly(chest: ReportedChest) -> None:
    result, report = result_of(chest), srread(chest.folder / "sr.dcm").content
    total, noncoronary = report.get_volumetric_roi_measurement_groups()
    assert result.coronary is not None
    assert result.noncoronary is not None
    assert result.heart is not None
    assert numbers(total) == {
        "Coronary artery calcium score": result.coronary.agatston,
        "Calcium Volume": result.coronary.volume_mm3,
        "Number of lesions": 1.0,
        "Agatston Score Threshold": 130.0,
    }
    assert numbers(noncoronary) == {"Calcium Volume": result.noncoronary.volume_mm3, "Number of lesions": 1.0}
    first, second, heart = report.get_image_measurement_groups()
    assert numbers(first)["Coronary artery calcium score"] == result.lesions[0].agatston
    assert numbers(first)["Attenuation Coefficient"] == result.lesions[0].max_hu
    assert "Coronary artery calcium score" not in numbers(second)
    assert numbers(heart) == {"Volume": result.heart.volume_ml}


def test_the_score_carries_its_code_method_unit_and_segment(chest: ReportedChest) -> None:
    total, _ = srread(chest.folder / "sr.dcm").content.get_volumetric_roi_measurement_groups()
    (score,) = total.get_measurements(codes.AGATSTON_SCORE)
    assert (score.method, score.unit) == (standard.DCM.AgatstonScoringMethod, codes.NO_UNIT)
    masks = dcmread(chest.folder / "seg.dcm")
    segment = total.referenced_segment[0].ReferencedSOPSequence[0]
    assert (segment.ReferencedSOPInstanceUID, segment.ReferencedSegmentNumber) == (masks.SOPInstanceUID, 2)
    assert total.tracking_uid == masks.SegmentSequence[1].TrackingUID
    assert total.finding_type == codes.CORONARY_CALCIFICATION


def test_the_rule_and_the_networks_stand_beside_the_score(chest: ReportedChest) -> None:
    total, _ = srread(chest.folder / "sr.dcm").content.get_volumetric_roi_measurement_groups()
    said = {one.value for one in total[0].ContentSequence if one.name == standard.DCM.AlgorithmParameters}
    method = result_of(chest).method
    assert method is not None
    assert {"profile=clinical", "threshold_hu=130", "connectivity=8", f"increment_mm={method.increment_mm}"} <= said
    assert {f"heart_weights_sha256={'a' * 64}", f"calcium_weights_sha256={'b' * 64}"} <= said
    assert not [one for one in said if "None" in one]


def test_a_lesion_names_its_slices_and_its_centre(chest: ReportedChest) -> None:
    lesion = result_of(chest).lesions[0]
    group, *_ = srread(chest.folder / "sr.dcm").content.get_image_measurement_groups()
    assert len(group.source_images) == lesion.slice_last - lesion.slice_first + 1
    (series,) = chest.study.series
    (named,) = [
        one for one in series.instances if one.sop_instance_uid == group.source_images[0].referenced_sop_instance_uid
    ]
    assert named.numbers("ImagePositionPatient")[2] == pytest.approx(lesion.center_mm[2])
    (volume,) = group.get_measurements(codes.CALCIUM_VOLUME)
    assert volume.referenced_coordinates[0].value.tolist() == [pytest.approx(list(lesion.center_mm))]


def test_vessels_masses_and_words_are_reported(chest: ReportedChest) -> None:
    made = scored_result()
    assert made.chosen_series is not None
    result = replace(made, chosen_series=chest.scored.result.chosen_series)
    content = chest.measurements(result).content
    groups = {one.tracking_identifier: one for one in content.get_image_measurement_groups()}
    lad = numbers(groups["Left anterior descending coronary artery"])
    assert (lad["Coronary artery calcium score"], lad["Calcium Mass"]) == (101.5, 20.1)
    assert groups["Lesion 2"].finding_sites[0].value == codes.VESSELS[result.lesions[1].vessel]  # type: ignore[index]
    words = [item.TextValue for item in content[0].ContentSequence[-1].ContentSequence]
    assert words[:2] == ["101-400", "CAC-DRS A2/N2"]
    assert "likely: 80 % this category" in words[2]
    assert words[3:] == [
        "71 (mesa2006: men, 62 years, white; interpolated)",
        "74.5 years",
        "warning: kvp_not_120: 140 kVp instead of 120 kVp",
        "Not a medical device; research use only.",
    ]


def test_a_score_of_zero_names_no_calcification(chest: ReportedChest) -> None:
    result = replace(
        empty_result(), noncoronary=ClassScore(0.0, 0.0, None, 0), chosen_series=chest.scored.result.chosen_series
    )
    total, noncoronary = chest.measurements(result).content.get_volumetric_roi_measurement_groups()
    assert (total.finding_type, noncoronary.finding_type) == (None, None)
    assert numbers(total)["Coronary artery calcium score"] == 0.0
    without = chest.measurements(replace(result, noncoronary=None))
    assert len(without.content.get_volumetric_roi_measurement_groups()) == 1


@needs_dsrdump
def test_dsrdump_prints_the_score(chest: ReportedChest) -> None:
    run = subprocess.run([str(DSRDUMP), str(chest.folder / "sr.dcm")], capture_output=True, text=True, check=True)
    assert '"Coronary artery calcium score")="180' in run.stdout
    assert "UNVERIFIED" in run.stdout


# Filing


def test_reports_are_new_series_of_the_study_and_its_patient(chest: ReportedChest) -> None:
    made = [dcmread(chest.folder / name) for name in FILES]
    (series,) = chest.study.series
    source = series.instances[0]
    assert {one.StudyInstanceUID for one in made} == {source.text("StudyInstanceUID")}
    assert {(str(one.PatientName), one.PatientID, one.PatientSex) for one in made} == {
        ("Synthetic^SYNTHETIC", "SYNTHETIC", "F")
    }
    uids = {one.SeriesInstanceUID for one in made}
    assert len(uids) == 4
    assert source.text("SeriesInstanceUID") not in uids
    assert made[0].FrameOfReferenceUID == source.text("FrameOfReferenceUID")
    assert [one.Modality for one in made] == ["SEG", "SR", "DOC", "OT"]
    assert [one.SeriesNumber for one in made] == [9101, 9102, 9103, 9104]
    assert made[1].SeriesDescription == "CalcMap calcium score UNVERIFIED"
    assert {one.ContentDate + one.ContentTime for one in made} == {"20261123224005"}
    assert made[1].VerificationFlag == made[2].VerificationFlag == "UNVERIFIED"


def test_every_network_is_contributing_equipment_whose_uid_is_its_own(chest: ReportedChest) -> None:
    items = dcmread(chest.folder / "sr.dcm").ContributingEquipmentSequence
    assert [item.PurposeOfReferenceCodeSequence[0].CodeValue for item in items] == [
        "109101", "109102", "Newcode1", "Newcode1",
    ]  # fmt: skip
    assert [item.ManufacturerModelName for item in items[2:]] == ["CalcMap calcium network", "CalcMap heart network"]
    assert items[2].SoftwareVersions[1] == "b" * 64
    provenance = replace(chest.scored.result.provenance, weights_sha256={"heart": "a" * 64, "calcium": "c" * 64})
    other = chest.measurements(replace(chest.scored.result, provenance=provenance))
    uids = [item.DeviceUID for item in other.ContributingEquipmentSequence[1:]]
    assert [uid in {item.DeviceUID for item in items[1:]} for uid in uids] == [False, False, True]


def test_the_same_result_gives_the_same_objects_and_another_time_others(chest: ReportedChest) -> None:
    uid = dcmread(chest.folder / "sr.dcm").SOPInstanceUID
    assert chest.filing().uid(Kind.MEASUREMENTS.name) == uid
    later = ReportSettings(made_at=MADE_AT + timedelta(seconds=1))
    assert chest.filing(settings=later).uid(Kind.MEASUREMENTS.name) != uid


NAMES = {
    "ISO_IR 100": ["Äneas^Rüdiger", "<script>alert('x')</script>^&amp; $x_1$"],
    "ISO_IR 144": ["Люкceмбypг^Иван"],
    "ISO_IR 127": ["قباني^لنزار"],
    "ISO_IR 126": ["Διονυσιος^Α"],
    "ISO_IR 138": ["שרון^דבורה"],
    "GB18030": ["Wang^XiaoDong=王^小东"],
    "ISO_IR 192": ["Yamada^Tarou=山田^太郎=やまだ^たろう"],
    "\\ISO 2022 IR 87": ["Yamada^Tarou=山田^太郎=やまだ^たろう"],
    "\\ISO 2022 IR 149": ["Hong^Gildong=洪^吉洞=홍^길동"],
}
"""Patients by the character set of their scan; mostly the examples of PS3.5."""


@pytest.mark.parametrize(("charset", "name"), [(charset, name) for charset, names in NAMES.items() for name in names])
def test_names_survive_whatever_their_character_set(chest: ReportedChest, charset: str, name: str) -> None:
    source = saved(_renamed(chest, charset.split("\\"), name))
    assert str(source.PatientName) == name
    source.decode()
    filing = Filing(chest.scored.result, source, SETTINGS)
    made = blank_object("1.2.840.10008.5.1.4.1.1.7", filing, kind=Kind.OVERVIEW)
    file_under(made, filing, kind=Kind.OVERVIEW)
    again = saved(made)
    assert again.SpecificCharacterSet == "ISO_IR 192"
    assert str(again.PatientName) == str(again.OtherPatientIDsSequence[0].IssuerOfPatientID) == name
    assert name.encode("utf-8") in _bytes(made)


def _renamed(chest: ReportedChest, charset: list[str], name: str) -> Dataset:
    """Return an image's header with a name, as an attribute and nested."""
    (series,) = chest.study.series
    image = dcmread(BytesIO(series.instances[0].source.read_bytes()), stop_before_pixels=True)
    image.SpecificCharacterSet = charset if len(charset) > 1 else charset[0]
    image.PatientName = PersonName(name)
    nested = Dataset()
    nested.PatientID, nested.IssuerOfPatientID = "7", name
    image.OtherPatientIDsSequence = [nested]
    return image


def test_a_study_with_a_foreign_name_is_reported_whole(tmp_path: Path) -> None:
    name = "<b>Yamada</b>^Tarou=山田^太郎"

    def alter(image: Dataset) -> None:
        image.SpecificCharacterSet = ["", "ISO 2022 IR 87"]
        image.PatientName = PersonName(name)
        image.TimezoneOffsetFromUTC = "-0330"
        image.ClinicalTrialSponsorName = image.ClinicalTrialProtocolID = "trial"
        image.ClinicalTrialSubjectID = "7"

    images = ct_images()
    for image in images:
        alter(image)
    (study,) = find_studies([save(images, tmp_path / "in")])
    settings = ReportSettings(made_at=datetime(2026, 11, 23, 22, 40, tzinfo=UTC))
    paths = write_reports(reports_on(study, settings=settings), tmp_path / "out")
    assert [path.name for path in paths] == [*FILES, "report.pdf"]
    for path in paths[:4]:
        again = dcmread(path)
        assert (str(again.PatientName), again.ClinicalTrialSubjectID) == (name, "7")
        assert (again.TimezoneOffsetFromUTC, again.ContentTime) == ("-0330", "191000")
        assert DCIODVFY is None or errors(path) == []


def test_half_a_clinical_trial_is_left_out(chest: ReportedChest) -> None:
    source = _renamed(chest, ["ISO_IR 100"], "A^B")
    source.ClinicalTrialProtocolID = "6668"
    del source.Manufacturer
    del source.AccessionNumber
    filing = Filing(chest.scored.result, source, SETTINGS)
    made = blank_object("1.2.840.10008.5.1.4.1.1.7", filing, kind=Kind.OVERVIEW)
    file_under(made, filing, kind=Kind.OVERVIEW)
    assert "ClinicalTrialProtocolID" not in made
    assert made.AccessionNumber == ""
    assert [item.Manufacturer for item in made.ContributingEquipmentSequence] == ["CalcMap"] * 3


# Page and overview


def test_the_page_and_the_overview_are_inside(chest: ReportedChest) -> None:
    page, capture = dcmread(chest.folder / "pdf.dcm"), dcmread(chest.folder / "sc.dcm")
    pdf = (chest.folder / "report.pdf").read_bytes()
    assert page.EncapsulatedDocument[: page.EncapsulatedDocumentLength] == pdf
    assert pdf.startswith(b"%PDF")
    assert b"Synthetic" not in pdf[-1024:]
    scored = chest.scored
    picture = np.asarray(render_overview(scored.volume, scored.labels, scored.result))
    assert np.array_equal(capture.pixel_array, picture)


def test_names_are_printed_as_people_write_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "can_draw", lambda text: "太" not in text)
    name = PersonName("Yamada^Tarou^M^Dr=山田^太郎=やまだ^たろう")
    assert documents.readable_names(name) == ("Yamada, Tarou M Dr", "やまだ, たろう")
    assert documents.readable_names(PersonName("")) == ("",)


def test_an_age_is_printed_as_people_say_it(chest: ReportedChest) -> None:
    filing = chest.filing()
    printed = []
    for age in ("061Y", "006M", None):
        header = copy.deepcopy(filing.reference)
        header.PatientAge = age
        printed.append(dict(documents.page_subject(replace(filing, reference=header)).left)["Sex, age"])
    assert printed == ["F, 61 years", "F, 006M", "F, -"]


# Verified


def test_a_verified_report_names_its_verifier_and_its_predecessor(chest: ReportedChest, verified: Reports) -> None:
    assert verified.measurements is not None
    made = saved(verified.measurements)
    assert (made.VerificationFlag, made.PreliminaryFlag) == ("VERIFIED", "FINAL")
    observer = made.VerifyingObserverSequence[0]
    assert str(observer.VerifyingObserverName) == VERIFICATION.name
    assert (observer.VerifyingOrganization, observer.VerificationDateTime) == ("Clinic <of> hearts", "20261124081500")
    earlier = made.PredecessorDocumentsSequence[0].ReferencedSeriesSequence[0]
    unverified = dcmread(chest.folder / "sr.dcm")
    assert earlier.SeriesInstanceUID == unverified.SeriesInstanceUID
    assert earlier.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == unverified.SOPInstanceUID
    assert {made.SeriesDescription for made in verified.objects.values()} >= {"CalcMap calcium score VERIFIED"}


def test_verified_masks_page_and_overview_refer_to_the_unverified(chest: ReportedChest, verified: Reports) -> None:
    assert verified.segmentation is not None
    for made, name in ((verified.segmentation, "seg.dcm"), (verified.overview, "sc.dcm")):
        assert made.SourceImageSequence[0].ReferencedSOPInstanceUID == dcmread(chest.folder / name).SOPInstanceUID
    page = verified.page.PredecessorDocumentsSequence[0].ReferencedSeriesSequence[0].ReferencedSOPSequence[0]
    assert page.ReferencedSOPInstanceUID == dcmread(chest.folder / "pdf.dcm").SOPInstanceUID
    assert verified.page.VerificationFlag == "VERIFIED"
    assert str(verified.segmentation.ContentCreatorName) == VERIFICATION.name
    assert {one.SegmentAlgorithmType for one in verified.segmentation.SegmentSequence} == {"SEMIAUTOMATIC"}


def test_verified_reports_lie_beside_the_unverified(chest: ReportedChest, verified: Reports, tmp_path: Path) -> None:
    write_reports(chest.reports, tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    paths = write_reports(verified, tmp_path)
    assert [path.name for path in paths] == [f"verified_{name}" for name in (*FILES, "report.pdf")]
    assert {name: (tmp_path / name).read_bytes() for name in before} == before


def test_a_verifier_without_name_or_organization_is_refused() -> None:
    assert Verification("Smith", "Clinic", SIGNED_AT).dicom_name == "Smith^"
    for name, organization in ((" ", "Clinic"), ("Smith", "")):
        with pytest.raises(OutputError, match="names its verifier"):
            Verification(name, organization, SIGNED_AT)


# What is not written


def test_a_refused_study_gets_page_and_overview_and_neither_mask_nor_number(chest: ReportedChest) -> None:
    result = replace(refused_result(), chosen_series=chest.scored.result.chosen_series)
    reports = chest.again(result=result)
    assert list(reports.objects) == ["pdf.dcm", "sc.dcm"]
    assert reports.page.SeriesDescription == "CalcMap report: no score UNVERIFIED"


def test_a_study_without_a_fitting_series_is_still_filed(chest: ReportedChest) -> None:
    reports = chest.again(result=replace(refused_result(), chosen_series=None))
    assert reports.page.StudyInstanceUID == chest.study.series[0].instances[0].text("StudyInstanceUID")


def test_files_of_several_studies_are_filed_nowhere(chest: ReportedChest, tmp_path: Path) -> None:
    (other,) = find_studies([save(ct_images(), tmp_path)])
    mixed = Study("mixed", (*chest.study.series, *other.series))
    with pytest.raises(OutputError, match="2 DICOM studies"):
        make_reports(replace(refused_result(), chosen_series=None), None, None, study=mixed, settings=SETTINGS)


def test_a_scan_that_is_no_dicom_has_no_reports(tmp_path: Path) -> None:
    (study,) = find_studies([write_chest_file(tmp_path / "chest.nii.gz")])
    with pytest.raises(OutputError, match="did not come as DICOM"):
        make_reports(result_on(study.series[0].uid), *scored_chest(), study=study, settings=SETTINGS)


def test_a_score_without_its_label_map_is_not_reported(chest: ReportedChest) -> None:
    with pytest.raises(OutputError, match="its label map"):
        make_reports(chest.scored.result, None, None, study=chest.study, settings=SETTINGS)


def test_labels_of_another_grid_are_not_reported(chest: ReportedChest, tmp_path: Path) -> None:
    (study,) = find_studies([save(ct_images(), tmp_path)])
    labels, _ = labels_of(study)
    with pytest.raises(OutputError, match="do not lie on the grid"):
        make_reports(chest.scored.result, None, labels, study=chest.study, settings=SETTINGS)


@pytest.mark.parametrize(
    ("keyword", "message"),
    [("PatientID", "lack PatientID"), ("FrameOfReferenceUID", "no frame of reference")],
)
def test_nothing_is_made_up_for_a_scan_that_says_too_little(tmp_path: Path, keyword: str, message: str) -> None:
    images = ct_images()
    for image in images:
        del image[keyword]
    (study,) = find_studies([save(images, tmp_path)])
    with pytest.raises(OutputError, match=message):
        reports_on(study)


@pytest.mark.filterwarnings("ignore:Failed to decode")
def test_a_name_in_another_character_set_than_the_scan_says_is_not_guessed(tmp_path: Path) -> None:
    folder = save(ct_images(), tmp_path)
    for path in folder.iterdir():
        path.write_bytes(path.read_bytes().replace(b"Synthetic^SYN", b"M\xfcller^Xavery"))
    (study,) = find_studies([folder])
    with pytest.raises(OutputError, match="not written in the character set"):
        reports_on(study)


def test_a_scan_that_vanished_meanwhile_is_unreadable(tmp_path: Path) -> None:
    (study,) = find_studies([save(ct_images(), tmp_path)])
    labels, _ = labels_of(study)
    for path in tmp_path.iterdir():
        path.unlink()
    with pytest.raises(UnreadableFileError, match="cannot read"):
        make_reports(replace(refused_result(), chosen_series=None), None, labels, study=study, settings=SETTINGS)


def test_a_place_that_cannot_be_written_is_an_output_error(chest: ReportedChest, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    with pytest.raises(OutputError, match="cannot write"):
        write_reports(chest.reports, tmp_path / "file")


def test_reports_are_imported_only_where_they_are_asked_for() -> None:
    code = "import sys, calcmap.report.folder, calcmap.pipeline, calcmap.cli.score; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert {"highdicom", "pydicom", "matplotlib"}.isdisjoint(run.stdout.split())


# The judges


@needs_dciodvfy
@pytest.mark.parametrize("name", FILES)
def test_reports_hold_to_the_standard(chest: ReportedChest, verified: Reports, tmp_path: Path, name: str) -> None:
    assert errors(chest.folder / name) == []
    verified.objects[name].save_as(tmp_path / name, enforce_file_format=True)
    assert errors(tmp_path / name) == []


@pytest.mark.real_data
@needs_dciodvfy
def test_reports_of_the_real_pet_ct_hold_to_the_standard(shared_data: Path, tmp_path: Path) -> None:
    paths = sorted((shared_data / "real_ct" / "acrin042" / "dicom").rglob("*.dcm"))
    heights = {
        path: float(dcmread(path, specific_tags=["ImagePositionPatient"]).ImagePositionPatient[2]) for path in paths
    }
    chosen = sorted(paths, key=lambda path: heights[path])[56:76]
    (study,) = find_studies(chosen)
    scan = load_scan(study, study.series[0].uid)
    calcium = np.where(scan.volume.ct_hu_zyx >= 130, np.uint8(Label.CORONARY), np.uint8(Label.BACKGROUND))
    calcium[:, :200], calcium[:, 260:] = 0, 0
    labels = Labels(calcium, scan.volume.grid)
    scoring = score_scan(scan, labels, rule=get_profile("clinical"), adapt_to_kvp=False)
    made = scored_result()
    assert made.chosen_series is not None
    result = replace(
        made, coronary=scoring.coronary, noncoronary=scoring.noncoronary, vessels={}, lesions=scoring.lesions[:5],
        method=scoring.method, chosen_series=replace(made.chosen_series, series_uid=study.series[0].uid),
    )  # fmt: skip
    write_reports(make_reports(result, scan.volume, labels, study=study, settings=SETTINGS), tmp_path)
    assert [errors(tmp_path / name) for name in FILES] == [[]] * 4
    total, _ = srread(tmp_path / "sr.dcm").content.get_volumetric_roi_measurement_groups()
    assert numbers(total)["Coronary artery calcium score"] == scoring.coronary.agatston
    assert dcmread(tmp_path / "seg.dcm").pixel_array.sum() == np.count_nonzero(calcium)


def test_a_real_archive_gives_back_what_it_was_given(chest: ReportedChest, verified: Reports, tmp_path: Path) -> None:
    reason = orthanc_server.why_absent()
    if reason is not None:
        pytest.skip(reason)
    given, fetched = tmp_path / "given", tmp_path / "fetched"
    fetched.mkdir()
    write_reports(chest.reports, given)
    write_reports(verified, given)
    run = orthanc_server.in_own_network(Path(orthanc_roundtrip.__file__), given, fetched)
    assert run.returncode == 0, run.stdout + run.stderr
    before = {one.SOPInstanceUID: one for one in map(dcmread, given.glob("*.dcm"))}
    after = {one.SOPInstanceUID: one for one in map(dcmread, fetched.glob("*.dcm"))}
    assert len(after) == 8
    assert after == before


def test_predecessors_are_told_by_study_series_and_object(chest: ReportedChest) -> None:
    page = chest.reports.page
    assert predecessor_of(page) == Predecessor(
        "1.2.840.10008.5.1.4.1.1.104.1", page.SOPInstanceUID, page.StudyInstanceUID, page.SeriesInstanceUID
    )
