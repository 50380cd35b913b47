from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import jsonschema
import numpy as np
import pytest

from calcmap import __version__
from calcmap.core.errors import ConfigError, GridMismatchError, InputError, UnfitScanError
from calcmap.core.result import CalciumClass, Status, result_schema, result_to_json
from calcmap.core.scan import Acquisition, QualityFlag, Scan, Severity
from calcmap.core.volume import Label, Labels, grid_from_spacing
from calcmap.io.finding import find_studies
from calcmap.io.study import Study
from calcmap.pipeline import ScoredStudy, ScoreOptions, refuse_study, score_study
from calcmap.pipeline.score import above_threshold, find_percentiles, refuse_unfit, score_scan, summarise_heart
from calcmap.scoring.percentiles import Ethnicity, hoff_percentile, mesa_percentile
from calcmap.scoring.rules import get_profile
from calcmap.segmentation.cascade import Segmentation
from calcmap.segmentation.confidence import FEATURES, ConfidenceModel
from ct_series import ct_images, save
from scored_chest import (
    CORONARY_AGATSTON,
    HEADER,
    NONCORONARY_AGATSTON,
    StubCascade,
    scored_chest,
    write_chest,
    write_chest_file,
)


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    (study,) = find_studies([write_chest(tmp_path_factory.mktemp("studies") / "study1")])
    return study


@pytest.fixture(scope="module")
def cascade() -> StubCascade:
    return StubCascade(scored_chest()[1].labels_zyx)


def sure_cascade() -> StubCascade:
    """Return a cascade with a confidence model that calls scores of the chest's size right."""
    cascade = StubCascade(scored_chest()[1].labels_zyx)
    none = np.zeros(len(FEATURES))
    cascade.confidence = ConfidenceModel(none, none, none, networks={}, basis="no case at all")
    return cascade


@pytest.fixture(scope="module")
def scored(study: Study, cascade: StubCascade) -> ScoredStudy:
    return score_study(study, cascade, options=ScoreOptions())


def test_a_study_is_scored_as_its_calcium_is_worth(scored: ScoredStudy) -> None:
    result = scored.result
    assert result.status is Status.SCORED
    assert (result.agatston, result.noncoronary.agatston) == pytest.approx((CORONARY_AGATSTON, NONCORONARY_AGATSTON))
    assert (result.category.index, result.category.name) == (2, "101-400")
    assert [lesion.lesion_class for lesion in result.lesions] == [CalciumClass.CORONARY, CalciumClass.NONCORONARY]
    assert (result.method.profile, result.method.increment_mm, result.method.kvp) == ("clinical", 5.0, 120.0)
    assert result.quality == ()


def test_the_result_says_what_made_it(scored: ScoredStudy, study: Study) -> None:
    result = scored.result
    assert result.study == study.name == "study1"
    assert result.chosen_series.series_uid == study.series[0].uid
    assert result.rejected_series == ()
    assert result.provenance.version == __version__
    assert result.provenance.weights_sha256 == {"heart": "a" * 64, "calcium": "b" * 64}
    assert len(result.provenance.input_sha256) == len(result.provenance.config_sha256) == 64
    assert set(result.seconds) == {"choose", "read", "quality", "heart", "calcium", "score"}
    assert (result.seconds["heart"], result.seconds["calcium"]) == (0.25, 0.5)
    assert result.arterial_age_years is not None


def test_how_sure_a_score_is_stands_beside_it_and_changes_nothing(study: Study, scored: ScoredStudy) -> None:
    cascade = sure_cascade()
    result = score_study(study, cascade, options=ScoreOptions()).result
    assert result.confidence == cascade.confidence.judge(CORONARY_AGATSTON, ())
    assert (result.coronary, result.category) == (scored.result.coronary, scored.result.category)
    assert scored.result.confidence is None


@pytest.mark.parametrize("options", [ScoreOptions(profile="ge"), ScoreOptions(adapt_threshold_to_kvp=True)])
def test_scores_by_another_rule_have_no_confidence(study: Study, options: ScoreOptions) -> None:
    assert score_study(study, sure_cascade(), options=options).result.confidence is None


def test_a_refused_study_has_no_confidence() -> None:
    empty = Study("nothing", ())
    assert score_study(empty, sure_cascade(), options=ScoreOptions()).result.confidence is None


def test_arrays_of_a_scored_study_come_with_it(scored: ScoredStudy) -> None:
    volume, labels = scored_chest()
    np.testing.assert_array_equal(scored.volume.ct_hu_zyx, volume.ct_hu_zyx)
    np.testing.assert_array_equal(scored.labels.labels_zyx, labels.labels_zyx)


def test_results_follow_the_shipped_schema(scored: ScoredStudy, study: Study, cascade: StubCascade) -> None:
    jsonschema.validate(result_to_json(scored.result), result_schema())
    refused = refuse_study(study, cascade, options=ScoreOptions(), reason="so it is", code="internal_error")
    jsonschema.validate(result_to_json(refused.result), result_schema())


def test_sex_and_age_of_the_headers_give_percentiles(scored: ScoredStudy, study: Study, cascade: StubCascade) -> None:
    assert [each.reference for each in scored.result.percentiles] == ["hoff2001"]
    options = ScoreOptions(ethnicity=Ethnicity.WHITE)
    both = score_study(study, cascade, options=options).result.percentiles
    assert both == (
        hoff_percentile(CORONARY_AGATSTON, sex="F", age_years=61),
        mesa_percentile(CORONARY_AGATSTON, sex="F", age_years=61, ethnicity=Ethnicity.WHITE),
    )


def test_a_file_without_headers_is_scored_alike(scored: ScoredStudy, cascade: StubCascade, tmp_path: Path) -> None:
    (study,) = find_studies([write_chest_file(tmp_path / "chest.nii.gz")])
    result = score_study(study, cascade, options=ScoreOptions()).result
    assert result.agatston == scored.result.agatston
    assert result.percentiles == ()
    assert result.method.kvp is None


def test_without_calcium_the_score_is_zero(study: Study) -> None:
    heart_only = np.minimum(scored_chest()[1].labels_zyx, np.uint8(Label.HEART))
    result = score_study(study, StubCascade(heart_only), options=ScoreOptions()).result
    assert (result.status, result.agatston, result.category.index) == (Status.SCORED, 0.0, 0)
    assert result.lesions == ()


def test_another_profile_is_another_rule(study: Study, cascade: StubCascade) -> None:
    result = score_study(study, cascade, options=ScoreOptions(profile="siemens")).result
    assert result.method.profile == "siemens"


def test_an_unknown_profile_is_the_users_error(study: Study, cascade: StubCascade) -> None:
    with pytest.raises(ConfigError, match="nobody"):
        score_study(study, cascade, options=ScoreOptions(profile="nobody"))


def test_an_unknown_series_is_refused(study: Study, cascade: StubCascade) -> None:
    result = score_study(study, cascade, options=ScoreOptions(series_uid="1.2.3")).result
    assert (result.status, result.reason_code) == (Status.REFUSED, "series_not_found")
    assert result.chosen_series is None
    assert set(result.seconds) == {"choose"}


def test_a_study_that_cannot_be_chosen_from_has_the_code_of_its_cause(cascade: StubCascade, tmp_path: Path) -> None:
    images = ct_images()
    for image in images:
        image.Modality = "MR"
    (study,) = find_studies([save(images, tmp_path)])
    scored = score_study(study, cascade, options=ScoreOptions())
    assert (scored.result.status, scored.result.reason_code) == (Status.REFUSED, "wrong_modality")
    assert scored.volume is None
    assert [candidate.modality for candidate in scored.result.rejected_series] == ["MR"]


def test_a_scan_without_a_heart_is_refused_with_flag_and_picture(study: Study) -> None:
    nothing = StubCascade(np.zeros_like(scored_chest()[1].labels_zyx))
    scored = score_study(study, nothing, options=ScoreOptions())
    result = scored.result
    assert (result.status, result.reason_code, result.agatston) == (Status.REFUSED, "unfit_scan", None)
    assert [flag.code for flag in result.quality if flag.severity is Severity.REFUSE] == ["heart_not_found"]
    assert result.reason == "; ".join(flag.detail for flag in result.quality if flag.severity is Severity.REFUSE)
    assert result.heart is None
    assert scored.volume is not None


def test_what_a_scan_was_refused_for_after_segmentation_keeps_its_heart(study: Study) -> None:
    labels = scored_chest()[1].labels_zyx.copy()
    labels[:21], labels[24:] = Label.BACKGROUND, Label.BACKGROUND  # three slices of a heart
    result = score_study(study, StubCascade(labels), options=ScoreOptions()).result
    assert result.status is Status.REFUSED
    assert 0 < result.heart.volume_ml < 150


def test_thresholds_for_the_tube_voltage_need_one(cascade: StubCascade, tmp_path: Path) -> None:
    (study,) = find_studies([write_chest_file(tmp_path / "chest.nii.gz")])
    result = score_study(study, cascade, options=ScoreOptions(adapt_threshold_to_kvp=True)).result
    assert (result.status, result.reason_code) == (Status.REFUSED, "unfit_scan")
    assert "does not state its kVp" in result.reason


def test_a_tube_voltage_outside_the_table_refuses_that_study_alone(cascade: StubCascade, tmp_path: Path) -> None:
    (study,) = find_studies([write_chest(tmp_path, header=replace(HEADER, kvp=140.0))])
    result = score_study(study, cascade, options=ScoreOptions(adapt_threshold_to_kvp=True)).result
    assert (result.status, result.reason_code) == (Status.REFUSED, "input_error")


def test_a_lower_tube_voltage_takes_higher_thresholds_on_request(cascade: StubCascade, tmp_path: Path) -> None:
    (study,) = find_studies([write_chest(tmp_path, header=replace(HEADER, kvp=100.0))])
    plain, adapted = (
        score_study(study, cascade, options=ScoreOptions(adapt_threshold_to_kvp=wanted)).result
        for wanted in (False, True)
    )
    assert (plain.method.threshold_hu, plain.method.profile) == (130, "clinical")
    assert adapted.method.threshold_hu > 130
    assert adapted.method.profile == "clinical@100kVp"
    assert "kvp_not_120" in [flag.code for flag in plain.quality]


def test_a_refusal_of_which_only_the_reason_is_known(study: Study, cascade: StubCascade) -> None:
    refused = refuse_study(study, cascade, options=ScoreOptions(), reason="a defect", code="internal_error")
    result = refused.result
    assert (result.study, result.reason, result.reason_code) == ("study1", "a defect", "internal_error")
    assert refused.volume is None
    assert refused.labels is None
    assert result.provenance.weights_sha256 == cascade.weights_sha256


def test_one_line_is_logged_a_study_without_its_name(
    study: Study, cascade: StubCascade, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, logger="calcmap.pipeline"):
        score_study(study, cascade, options=ScoreOptions())
        score_study(study, cascade, options=ScoreOptions(series_uid="1.2.3"))
    messages = [record.getMessage() for record in caplog.records]
    assert [message.split(",")[0] for message in messages] == ["scored: 2 lesions", "refused: series_not_found"]
    assert "study1" not in caplog.text


def test_only_flags_that_forbid_a_score_refuse() -> None:
    flags = tuple(QualityFlag(f"flag_{severity}", severity, f"because of {severity}") for severity in Severity)
    with pytest.raises(UnfitScanError, match=r"^because of refuse; and so on$"):
        refuse_unfit((*flags, QualityFlag("another", Severity.REFUSE, "and so on")))
    refuse_unfit(flags[:2])


def test_labels_on_another_grid_are_not_scored() -> None:
    volume, labels = scored_chest()
    scan = Scan(volume, Acquisition("nifti"), "a", "0" * 64)
    moved = Labels(labels.labels_zyx, grid_from_spacing(labels.grid.shape_zyx, (5.0, 3.0, 3.1)))
    with pytest.raises(GridMismatchError):
        score_scan(scan, moved, rule=get_profile("clinical"), adapt_to_kvp=False)


def test_the_heart_is_summed_and_boxed_in_patient_coordinates() -> None:
    volume, _ = scored_chest()
    heart = np.zeros(volume.grid.shape_zyx, dtype=np.bool_)
    heart[10:12, 20:23, 30:34] = True
    summary = summarise_heart(volume, heart)
    assert summary.volume_ml == pytest.approx(24 * 0.045)
    assert summary.box_mm == ((90.0, 60.0, 50.0), (99.0, 66.0, 55.0))
    assert summarise_heart(volume, np.zeros_like(heart)) is None


@pytest.mark.parametrize(
    ("sex", "age_years", "expected"),
    [
        ("F", 61.0, ["hoff2001", "mesa2006"]),
        ("F", 35.0, ["hoff2001"]),
        ("M", 12.0, []),
        (None, 61.0, []),
        ("F", None, []),
    ],
)
def test_a_table_that_does_not_know_the_age_leaves_only_its_own_percentile_out(
    sex: str | None, age_years: float | None, expected: list[str]
) -> None:
    acquisition = Acquisition("dicom", patient_sex=sex, patient_age_years=age_years)
    scan = Scan(scored_chest()[0], acquisition, "a", "0" * 64)
    found = find_percentiles(scan, 100.0, ethnicity=Ethnicity.WHITE)
    assert [each.reference for each in found] == expected


def test_errors_that_are_no_refusals_are_not_swallowed(study: Study) -> None:
    class Broken(StubCascade):
        def segment(self, volume: object) -> object:  # type: ignore[override]
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        score_study(study, Broken(np.zeros((1, 1, 1), dtype=np.uint8)), options=ScoreOptions())


def test_an_input_error_of_any_step_is_a_refusal(study: Study) -> None:
    class Refusing(StubCascade):
        def segment(self, volume: object) -> object:  # type: ignore[override]
            raise InputError("not today")

    result = score_study(study, Refusing(np.zeros((1, 1, 1), dtype=np.uint8)), options=ScoreOptions()).result
    assert (result.reason, result.reason_code) == ("not today", "input_error")


def test_labels_show_only_calcium_that_the_threshold_lets_count() -> None:
    volume, labels = scored_chest()
    found_zyx = labels.labels_zyx.copy()
    in_heart, outside = (22, 50, 60), (22, 1, 1)
    found_zyx[in_heart] = found_zyx[outside] = Label.CORONARY  # soft tissue and air, far below 130 HU
    segmentation = Segmentation(Labels(found_zyx, volume.grid), labels.labels_zyx > Label.BACKGROUND)
    shown = above_threshold(volume, segmentation, threshold_hu=130)
    assert np.array_equal(shown.labels_zyx, labels.labels_zyx)
