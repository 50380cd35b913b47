from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset, FileDataset
from pydicom.uid import generate_uid

from calcmap.core.errors import NoScorableSeriesError, SeriesNotFoundError
from calcmap.core.scan import SeriesChoice, Verdict
from calcmap.core.volume import Volume
from calcmap.io.choosing import choose_series
from calcmap.io.ct_writing import CtHeader
from calcmap.io.finding import find_studies
from calcmap.io.reading import load_scan
from ct_series import ct_images, save, small_ct

STUDY = "one patient"
STRESS = CtHeader(seed="stress", study_seed=STUDY, description="AC CT STRESS", slice_thickness_mm=5.0)
REST = CtHeader(seed="rest", study_seed=STUDY, description="AC CT REST", slice_thickness_mm=5.0)
GATED = CtHeader(seed="gated", study_seed=STUDY, description="CaSc 3.0 B35f", slice_thickness_mm=3.0)
CHEST = CtHeader(seed="chest", study_seed=STUDY, description="Thorax", kernel="B70f", slice_thickness_mm=5.0)


def _thick(n_slices: int = 21) -> Volume:
    return small_ct((n_slices, 20, 24), spacing_mm_zyx=(5.0, 7.0, 7.0))


def _named(header: CtHeader, **values: object) -> list[FileDataset]:
    images = ct_images(small_ct() if header is GATED else _thick(), header=header)
    for image in images:
        for keyword, value in values.items():
            setattr(image, keyword, value)
    return images


def _nuclear(*, corrected_with: str | None = None) -> FileDataset:
    (image, *_) = ct_images(header=replace(STRESS, seed="nm"))
    image.Modality = "NM"
    image.SOPClassUID = image.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.20"
    if corrected_with is not None:
        purpose, related = Dataset(), Dataset()
        purpose.CodeValue, purpose.CodingSchemeDesignator = "122403", "DCM"
        purpose.CodeMeaning = "For Attenuation Correction"
        related.StudyInstanceUID, related.SeriesInstanceUID = STRESS.study_uid, corrected_with
        related.PurposeOfReferenceCodeSequence = [purpose]
        image.RelatedSeriesSequence = [related]
    return image


def _choose(folder: Path, *, series_uid: str | None = None) -> SeriesChoice:
    (study,) = find_studies([folder])
    return choose_series(study, series_uid=series_uid)


def _spect_ct_study(folder: Path, *, corrected_with: str | None = None) -> Path:
    save(_named(STRESS), folder, prefix="stress")
    save(_named(REST), folder, prefix="rest")
    save(_named(GATED, ScanOptions="ECG GATED"), folder, prefix="gated")
    save(_named(CHEST), folder, prefix="chest")
    localizer = CtHeader(seed="scout", study_seed=STUDY, description="Topogram", image_type=("ORIGINAL", "LOCALIZER"))
    save(_named(localizer)[:1], folder, prefix="scout")
    mu_map = CtHeader(seed="mu", study_seed=STUDY, description="CTACMAP")
    save(_named(mu_map), folder, prefix="mu")
    save([_nuclear(corrected_with=corrected_with)], folder, prefix="nm")
    return folder


@pytest.fixture(scope="module")
def spect_ct(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _spect_ct_study(tmp_path_factory.mktemp("spect_ct"))


def test_the_stress_attenuation_ct_is_taken_and_every_series_has_its_reason(spect_ct: Path) -> None:
    choice = _choose(spect_ct)
    assert choice.chosen is not None
    assert choice.chosen.series_uid == STRESS.series_uid
    assert choice.chosen.reason.startswith("taken: ")
    reasons = {candidate.description + candidate.modality: candidate for candidate in choice.candidates}
    assert len(reasons) == 7
    assert [c.rank for c in choice.candidates] == [1, 2, 3, 4, None, None, None]
    assert "rest study, stress is preferred" in reasons["AC CT RESTCT"].reason
    assert "a heart-gated or calcium scan (ScanOptions ECG GATED)" in reasons["CaSc 3.0 B35fCT"].reason
    assert "a sharp kernel (B70F)" in reasons["ThoraxCT"].reason
    assert "a localizer" in reasons["TopogramCT"].reason
    assert "an attenuation map" in reasons["CTACMAPCT"].reason
    assert "modality is NM" in reasons["AC CT STRESSNM"].reason
    assert {c.verdict for c in choice.rejected} == {Verdict.REJECTED}


def test_what_the_nuclear_series_names_outweighs_everything(tmp_path: Path) -> None:
    choice = _choose(_spect_ct_study(tmp_path, corrected_with=REST.series_uid))
    assert choice.chosen is not None
    assert choice.chosen.series_uid == REST.series_uid
    assert "nuclear images name it" in choice.chosen.reason
    others = next(c for c in choice.candidates if c.series_uid == STRESS.series_uid)
    assert "nuclear images name it" in others.reason


def test_a_series_asked_for_is_taken_whatever_the_rules_say(spect_ct: Path) -> None:
    choice = _choose(spect_ct, series_uid=GATED.series_uid)
    assert choice.chosen is not None
    assert choice.chosen.series_uid == GATED.series_uid
    assert "asked for" in choice.chosen.reason
    assert "gated" in choice.chosen.reason


def test_a_series_that_is_not_there_cannot_be_asked_for(tmp_path: Path) -> None:
    save(_named(STRESS), tmp_path)
    with pytest.raises(SeriesNotFoundError, match=r"1\.2\.3"):
        _choose(tmp_path, series_uid="1.2.3")


def test_a_gated_scan_is_taken_when_it_is_the_only_one(tmp_path: Path) -> None:
    choice = _choose(save(_named(GATED), tmp_path))
    assert choice.chosen is not None
    assert "calcium scan" in choice.chosen.reason


@pytest.mark.parametrize(
    ("values", "is_taken"),
    [
        ({"ContrastBolusAgent": "OMNIPAQUE"}, False),
        ({"ContrastBolusAgent": "NONE"}, True),
        ({"ContrastBolusAgent": "BARIUM", "ContrastBolusRoute": "ORAL"}, True),
        ({"SeriesDescription": "Cor CTA 0.75"}, False),
        ({"SeriesDescription": "chest with contrast"}, False),
        ({"SeriesDescription": "chest without contrast"}, True),
        ({"SeriesDescription": "thorax non-contrast"}, True),
        ({"ImageType": ["DERIVED", "SECONDARY", "AXIAL"]}, True),
        ({"ImageType": ["DERIVED", "PRIMARY", "MPR"]}, True),
        ({"ImageType": ["DERIVED", "SECONDARY", "MIP"]}, False),
        ({"SeriesDescription": "mu map"}, False),
    ],
)
def test_what_rules_a_series_out(tmp_path: Path, values: dict[str, object], is_taken: bool) -> None:
    choice = _choose(save(_named(CHEST, **values), tmp_path))
    assert (choice.chosen is not None) is is_taken
    assert (choice.refusal is None) is is_taken


NAMES_IN_USE = (
    *("CTAC", "CT AC", "CTAC 3.75 THICK", "AC CT STRESS", "CT Atten Cor", "AC  5.0  B08s", "CT AC REST 5.0 B08s"),
    *("Cardiac CT AC  3.0  B31s", "AC CT 5.0 HD_FoV", "LowDose CT", "XCT"),
)


@pytest.mark.parametrize("name", NAMES_IN_USE)
def test_names_of_attenuation_cts_in_use_are_recognised(tmp_path: Path, name: str) -> None:
    save(_named(CHEST), tmp_path, prefix="chest")
    save(_named(replace(CHEST, seed="ac", description=name)), tmp_path, prefix="ac")
    choice = _choose(tmp_path)
    assert choice.chosen is not None
    assert choice.chosen.description == name.strip()
    assert "names an attenuation" in choice.chosen.reason


def test_ties_go_to_more_slices_and_then_to_the_later_series(tmp_path: Path) -> None:
    early = _named(replace(CHEST, seed="early"), AcquisitionTime="080000")
    late = _named(replace(CHEST, seed="late"), AcquisitionTime="090000")
    save(early, tmp_path, prefix="e")
    save(late, tmp_path, prefix="l")
    choice = _choose(tmp_path)
    assert choice.chosen is not None
    assert choice.chosen.series_uid == replace(CHEST, seed="late").series_uid
    save(ct_images(_thick(22), header=replace(CHEST, seed="long")), tmp_path, prefix="x")
    longest = _choose(tmp_path).chosen
    assert longest is not None
    assert longest.n_images == 22


def test_a_study_in_which_nothing_fits_is_refused_with_all_reasons(tmp_path: Path) -> None:
    save([_nuclear()], tmp_path, prefix="nm")
    save(_named(CHEST, ContrastBolusAgent="IOHEXOL"), tmp_path, prefix="ct")
    choice = _choose(tmp_path)
    assert choice.chosen is None
    assert isinstance(choice.refusal, NoScorableSeriesError)
    assert "modality is NM" in str(choice.refusal)
    assert "contrast agent" in str(choice.refusal)


def test_reasons_hold_no_patient_data(spect_ct: Path) -> None:
    text = repr(_choose(spect_ct))
    assert "Synthetic" not in text
    assert "SYNTHETIC" not in text


def test_the_chosen_series_is_read_alone(spect_ct: Path) -> None:
    (study,) = find_studies([spect_ct])
    choice = choose_series(study)
    assert choice.chosen is not None
    scan = load_scan(study, choice.chosen.series_uid)
    assert np.array_equal(scan.volume.ct_hu_zyx, _thick().ct_hu_zyx)


def test_series_uids_of_a_header_are_valid_and_differ() -> None:
    uids = {STRESS.series_uid, REST.series_uid, STRESS.study_uid, STRESS.frame_of_reference_uid, str(generate_uid())}
    assert len(uids) == 5
    assert STRESS.study_uid == REST.study_uid


@pytest.mark.parametrize("is_named", [True, False])
def test_nuclear_images_tell_which_of_two_equally_named_cts_is_of_the_stress_study(
    tmp_path: Path, is_named: bool
) -> None:
    twins = [replace(STRESS, seed=seed, frame_seed=f"frame {seed}", description="CT AC") for seed in ("one", "two")]
    for phase, twin, time in zip(("Stress", "Rest"), twins, ("080000", "100000"), strict=True):
        save(_named(twin, AcquisitionTime=time), tmp_path, prefix=f"ct{phase}")
        image = _nuclear(corrected_with=twin.series_uid if is_named else None)
        image.SeriesInstanceUID = image.SOPInstanceUID = generate_uid(entropy_srcs=[phase])
        image.FrameOfReferenceUID = "1.2.3" if is_named else twin.frame_of_reference_uid
        image.SeriesDescription = f"{phase} AC Transverse"
        save([image], tmp_path, prefix=f"nm{phase}")
    chosen = _choose(tmp_path).chosen
    assert chosen is not None
    assert chosen.series_uid == twins[0].series_uid
    assert "stress" in chosen.reason
