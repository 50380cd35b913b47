from __future__ import annotations

import hashlib
import itertools
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset

from calcmap.cohorts import studies
from calcmap.cohorts.stations import correction_name, series_name, station_of
from calcmap.cohorts.studies import Role, WrittenStudy, write_study, write_study_and_truth
from calcmap.cohorts.study_recipe import Localizer, StudyRecipe, draw_study_recipe
from calcmap.core.scan import SeriesChoice
from calcmap.core.volume import Grid, Labels, Volume
from calcmap.io.choosing import choose_series
from calcmap.io.finding import find_studies
from calcmap.io.nifti import read_nifti
from calcmap.io.reading import load_scan
from calcmap.io.study_writing import Layout
from calcmap.simulation.nuclear.perfusion import Perfusion, Territory
from calcmap.simulation.patient import PatientPlan, SimulatedPatient, plan_patient, scan_patient
from calcmap.simulation.scanner.sites import SITES, Acquisition
from dciodvfy import complaints, needs_dciodvfy

EVERYTHING = StudyRecipe(
    rest_ct=True, gated_ct=True, projections=True, attenuation_map=True, capture=True, dose_page=True,
)  # fmt: skip
ONE_CT = StudyRecipe(rest_nuclear=False, uncorrected=False, localizer=Localizer.NONE)
PERFUSION = Perfusion(12.0, 4.0, Territory.LAD)
SCALE = 4


@pytest.fixture(scope="module")
def plan() -> PatientPlan:
    return plan_patient(3, site=SITES["ge_nmct"], scale=SCALE)


@pytest.fixture(scope="module")
def scan(plan: PatientPlan) -> SimulatedPatient:
    return _smaller(scan_patient(plan))


def _smaller(scan: SimulatedPatient) -> SimulatedPatient:
    """Return every second pixel of the lower slices: writing a study many times is to be quick."""
    affine = scan.volume.grid.affine_lps_mm @ np.diag([2.0, 2.0, 1.0, 1.0])
    ct_hu_zyx, labels_zyx = scan.volume.ct_hu_zyx[:20, ::2, ::2], scan.labels.labels_zyx[:20, ::2, ::2]
    grid = Grid(ct_hu_zyx.shape, affine)
    return replace(scan, volume=Volume(ct_hu_zyx, grid), labels=Labels(labels_zyx, grid))


@pytest.fixture
def quick(scan: SimulatedPatient, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every further scan show the first one's picture: painting is tested elsewhere."""

    def scanned(_: PatientPlan, *, acquisition: Acquisition | None = None, repeat: int = 0) -> SimulatedPatient:
        wanted = acquisition or scan.facts.acquisition
        return replace(scan, facts=replace(scan.facts, acquisition=wanted))

    monkeypatch.setattr(studies, "scan_patient", scanned)


def _roles(study: WrittenStudy) -> list[str]:
    return [one.role.value for one in study.series]


def _uid(study: WrittenStudy, role: Role) -> str:
    return next(one.uid for one in study.series if one.role is role)


def _chosen(folder: Path) -> SeriesChoice:
    (study,) = find_studies([folder])
    return choose_series(study)


def _digest(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def _first_objects(folder: Path) -> list[Dataset]:
    """Return the first object of each series folder."""
    return [dcmread(min(series.iterdir()), stop_before_pixels=True) for series in sorted(folder.iterdir())]


@needs_dciodvfy
@pytest.mark.parametrize("site", sorted(SITES))
@pytest.mark.usefixtures("quick")
def test_every_kind_of_object_of_every_site_holds_to_the_standard(tmp_path: Path, site: str) -> None:
    plan = plan_patient(5, site=SITES[site], scale=SCALE)
    write_study(plan, tmp_path, name=f"{site}-x", recipe=EVERYTHING, perfusion=PERFUSION)
    ends = [path for series in sorted(tmp_path.iterdir()) for path in sorted(series.iterdir())[:1]]
    assert complaints(ends) == []


@pytest.mark.usefixtures("quick")
def test_a_full_study_holds_what_a_camera_sends(plan: PatientPlan, tmp_path: Path) -> None:
    study = write_study(plan, tmp_path, name="p", recipe=EVERYTHING, perfusion=PERFUSION)
    assert sorted(_roles(study)) == sorted(
        [
            *("localizer", "stress_ctac", "rest_ctac", "gated_ct", "capture", "dose_page", "dose_report"),
            *2 * ("nuclear_corrected", "nuclear_uncorrected", "nuclear_projections", "attenuation_map"),
        ]
    )
    assert len({one.uid for one in study.series}) == len(study.series)


@pytest.mark.usefixtures("quick")
def test_the_same_arguments_give_the_same_bytes_and_another_name_other_uids(plan: PatientPlan, tmp_path: Path) -> None:
    for folder, name in (("a", "p"), ("b", "p"), ("c", "q")):
        recipe = replace(EVERYTHING, rest_ct=False, gated_ct=False, layout=Layout.FLAT)
        write_study(plan, tmp_path / folder, name=name, recipe=recipe)
    assert _digest(tmp_path / "a") == _digest(tmp_path / "b")
    assert _digest(tmp_path / "a").keys().isdisjoint(_digest(tmp_path / "c"))


@pytest.mark.usefixtures("quick")
def test_the_patient_is_plainly_made_up_and_nothing_is_private(plan: PatientPlan, tmp_path: Path) -> None:
    write_study(plan, tmp_path, name="made-up-7", recipe=EVERYTHING)
    for made in _first_objects(tmp_path):
        assert str(made.PatientName) == "Synthetic^made-up-7"
        assert made.PatientComments == "Made by a simulator; not a patient."
        assert made.InstitutionName == "Synthetic"
        assert made.StudyDate.startswith("2000")
        assert not [element for element in made.iterall() if element.tag.is_private]


@pytest.mark.usefixtures("quick")
def test_times_follow_the_order_of_the_day(plan: PatientPlan, tmp_path: Path) -> None:
    study = write_study(plan, tmp_path, name="p", recipe=replace(EVERYTHING, is_rest_first=True))
    times = {str(made.SeriesInstanceUID): made.SeriesTime for made in _first_objects(tmp_path)}
    assert times[_uid(study, Role.REST_CT)] < times[_uid(study, Role.STRESS_CT)]
    assert times[_uid(study, Role.STRESS_CT)] < times[_uid(study, Role.GATED_CT)]
    assert times[_uid(study, Role.DOSE_REPORT)] >= times[_uid(study, Role.GATED_CT)]


CORNERS = [corner for corner in itertools.product((True, False), repeat=3) if any(corner)]
"""CTs name their phases, nuclear images name their CT, both share a frame; with none of it nothing can tell."""


@pytest.mark.parametrize(("names_phases", "names_correction", "shares_frame"), CORNERS)
@pytest.mark.usefixtures("quick")
def test_the_stress_ct_is_chosen_whatever_tells_it(
    plan: PatientPlan, tmp_path: Path, names_phases: bool, names_correction: bool, shares_frame: bool
) -> None:
    # stress first: of two equal series the later one is taken, so that luck cannot help
    recipe = replace(
        EVERYTHING, names_phases=names_phases, names_correction=names_correction, shares_frame=shares_frame,
        is_rest_first=False, projections=False, uncorrected=False, layout=Layout.FLAT,
    )  # fmt: skip
    study = write_study(plan, tmp_path, name="p", recipe=recipe, perfusion=PERFUSION)
    chosen = _chosen(tmp_path).chosen
    assert chosen is not None
    assert chosen.series_uid == study.reference.uid


@pytest.mark.usefixtures("quick")
def test_an_attenuation_ct_is_chosen_even_where_nothing_tells_stress_from_rest(
    plan: PatientPlan, tmp_path: Path
) -> None:
    recipe = replace(EVERYTHING, names_phases=False, names_correction=False, shares_frame=False, layout=Layout.FLAT)
    study = write_study(plan, tmp_path, name="p", recipe=recipe)
    chosen = _chosen(tmp_path).chosen
    assert chosen is not None
    assert chosen.series_uid in (_uid(study, Role.STRESS_CT), _uid(study, Role.REST_CT))


@pytest.mark.parametrize("site", sorted(SITES))
@pytest.mark.usefixtures("quick")
def test_the_attenuation_ct_of_every_site_is_chosen_before_its_gated_scan(tmp_path: Path, site: str) -> None:
    recipe = replace(ONE_CT, gated_ct=True, attenuation_map=True, names_correction=False, shares_frame=False)
    study = write_study(plan_patient(6, site=SITES[site], scale=SCALE), tmp_path, name="p", recipe=recipe)
    chosen = _chosen(tmp_path).chosen
    assert chosen is not None
    assert chosen.series_uid == study.reference.uid


def test_a_localizer_inside_the_series_is_no_slice_of_it(
    plan: PatientPlan, scan: SimulatedPatient, tmp_path: Path
) -> None:
    recipe = replace(ONE_CT, localizer=Localizer.INSIDE_CT)
    study = write_study(plan, tmp_path, name="p", recipe=recipe, scan=scan)
    assert study.reference.n_objects == scan.volume.grid.shape_zyx[0] + 1
    (found,) = find_studies([tmp_path])
    chosen = choose_series(found).chosen
    assert chosen is not None
    read = load_scan(found, chosen.series_uid)
    assert np.array_equal(read.volume.ct_hu_zyx, scan.volume.ct_hu_zyx)
    assert read.volume.grid.is_same_as(scan.volume.grid)


@pytest.mark.parametrize("is_named", [True, False])
@pytest.mark.usefixtures("quick")
def test_nuclear_images_name_the_ct_of_their_own_phase_or_none(
    plan: PatientPlan, tmp_path: Path, is_named: bool
) -> None:
    recipe = replace(ONE_CT, rest_nuclear=True, rest_ct=True, names_correction=is_named)
    study = write_study(plan, tmp_path, name="p", recipe=recipe)
    nuclear = [made for made in _first_objects(tmp_path) if made.Modality == "NM"]
    assert len(nuclear) == 2
    for made in nuclear:
        role = Role.STRESS_CT if "STRESS" in made.SeriesDescription else Role.REST_CT
        named = [item.SeriesInstanceUID for item in made.get("RelatedSeriesSequence", [])]
        assert named == ([_uid(study, role)] if is_named else [])


def test_a_chest_ct_alone_has_no_nuclear_images(tmp_path: Path, scan: SimulatedPatient) -> None:
    plan = plan_patient(5, site=SITES["chest_low_dose"], scale=SCALE)
    study = write_study(plan, tmp_path, name="p", recipe=ONE_CT, scan=scan, perfusion=PERFUSION)
    assert {one.modality for one in study.series} == {"CT", "SR"}
    assert study.perfusion is None


@pytest.mark.usefixtures("quick")
def test_truth_lies_beside_the_study_with_labels_for_every_ct(
    plan: PatientPlan, scan: SimulatedPatient, tmp_path: Path
) -> None:
    study = write_study_and_truth(plan, tmp_path, name="p", recipe=replace(ONE_CT, gated_ct=True), perfusion=PERFUSION)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dicom", "truth"]
    names = sorted(path.name for path in (tmp_path / "truth").iterdir())
    assert names == ["gated_ct.labels.nii.gz", "labels.nii.gz", "truth.json"]
    labels = read_nifti((tmp_path / "truth" / "labels.nii.gz").read_bytes(), name="labels")
    assert np.count_nonzero(labels.voxels_zyx) == np.count_nonzero(scan.labels.labels_zyx)
    truth = json.loads((tmp_path / "truth" / "truth.json").read_text())
    assert truth["reference_series"] == study.reference.uid
    assert truth["perfusion"] == {"stress_tpd_percent": 12.0, "rest_tpd_percent": 4.0, "territory": "lad"}
    assert [one["role"] for one in truth["series"]] == _roles(study)
    assert truth["facts"]["seed"] == 3


def test_recipes_vary_and_follow_their_stream() -> None:
    drawn = [draw_study_recipe(np.random.default_rng(seed)) for seed in range(300)]
    assert drawn[:5] == [draw_study_recipe(np.random.default_rng(seed)) for seed in range(5)]
    assert np.mean([one.rest_ct for one in drawn]) == pytest.approx(0.2, abs=0.07)
    assert np.mean([one.gated_ct for one in drawn]) == pytest.approx(0.12, abs=0.06)
    assert {one.localizer for one in drawn} == set(Localizer)
    assert not any(one.rest_ct and not one.rest_nuclear for one in drawn)


@pytest.mark.parametrize(
    ("description", "phase", "name"),
    [
        ("AC CT STRESS", "REST", "AC CT REST"),
        ("CT AC REST 5.0 B08s", "Stress", "CT AC Stress 5.0 B08s"),
        ("CT AC REST 5.0 B08s", "", "CT AC 5.0 B08s"),
        ("CTAC", "STRESS", "CTAC STRESS"),
        ("CTAC", "", "CTAC"),
    ],
)
def test_a_cts_name_tells_its_own_phase(description: str, phase: str, name: str) -> None:
    assert correction_name(description, phase=phase) == name


def test_a_series_name_may_leave_the_phase_out() -> None:
    assert series_name("{phase}AC", phase="Rest") == "Rest AC"
    assert series_name("{phase}AC", phase="") == "AC"


def test_padding_that_twelve_bits_cannot_hold_is_stored_with_a_sign(plan: PatientPlan) -> None:
    symbia = station_of(replace(plan.acquisition, scanner_model="Symbia T6"), site_name="siemens_symbia")
    assert symbia.storage_of(None).bits_stored == 12
    assert symbia.storage_of(-2000).bits_stored == 16
    assert symbia.announced_padding(-1024) is None
    assert symbia.announced_padding(-2000) == -2000
