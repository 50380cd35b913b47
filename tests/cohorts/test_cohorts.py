from __future__ import annotations

import dataclasses
import hashlib
import json
import multiprocessing
import os
import signal
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from calcmap.cohorts import jobs, planted, simulated
from calcmap.cohorts.order import SimulationOrder
from calcmap.cohorts.planted import erase_lesions, write_planted_cohort
from calcmap.cohorts.simulated import write_simulated_cohort
from calcmap.cohorts.tables import cohort_patient
from calcmap.core.errors import ConfigError, InputError
from calcmap.core.result import CalciumClass
from calcmap.core.volume import Label, Labels, Volume, grid_from_spacing
from calcmap.io.cases import Case, load_case_arrays, read_case, write_case
from calcmap.io.ct_writing import CtHeader, write_ct_series
from calcmap.io.reading import read_single_ct
from calcmap.simulation.nuclear.perfusion import Perfusion
from calcmap.simulation.patient import PatientFacts, Recipe, SimulatedPatient
from calcmap.simulation.planting.plaques import PointSpread
from calcmap.simulation.planting.truth import PlantedScan
from calcmap.simulation.scanner.sites import Acquisition, Site

SHAPE_ZYX = (24, 32, 32)
SPACING_MM_ZYX = (3.0, 4.0, 4.0)


@dataclass(frozen=True)
class StubPlaque:
    agatston: float
    calcium_class: CalciumClass = CalciumClass.NONCORONARY


@dataclass(frozen=True)
class StubPlan:
    seed: int
    site: Site
    recipe: Recipe | None


def stub_plan(order: SimulationOrder, number: int) -> StubPlan:
    return StubPlan(simulated.patient_seed(order.seed, number), simulated.SITES[order.site], order.recipe)


def stub_patient(plan: StubPlan) -> SimulatedPatient:
    """Return a block of tissue with one calcification, in a hundredth of a simulated patient's time."""
    rng = np.random.default_rng(plan.seed)
    ct = np.full(SHAPE_ZYX, -1000) + rng.integers(-9, 10, SHAPE_ZYX)
    ct[:, 6:26, 6:26] += 1040
    labels = np.zeros(SHAPE_ZYX, dtype=np.uint8)
    labels[4:20, 8:24, 8:24] = Label.HEART
    ct[10, 12, 12], labels[10, 12, 12] = 350, Label.CORONARY
    grid = grid_from_spacing(SHAPE_ZYX, SPACING_MM_ZYX)
    acquisition = Acquisition(140.0, 4.0, 3.0, 5.0, 0.5, 9.0, 0.0, 30.0, 30.0, None, 32)
    facts = PatientFacts(plan.seed, plan.site.name, "F", 61.4, 165.0, 27.0, acquisition, 1, 40.0, 600.0)
    return SimulatedPatient(Volume(ct.astype(np.int16), grid), Labels(labels, grid), facts, ())


def stub_study(plan: StubPlan, folder: Path, *, name: str, perfusion: Perfusion | None) -> None:
    """Write the stub's CT as DICOM; whole studies have tests of their own."""
    write_ct_series(stub_patient(plan).volume, folder / "dicom", header=CtHeader(seed=name))
    (folder / "truth").mkdir()
    truth = {"id": name, "stress_tpd_percent": perfusion.stress_tpd_percent if perfusion else None}
    (folder / "truth" / "truth.json").write_text(json.dumps(truth), encoding="utf-8")


def use_stubs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put stubs in the place of the simulator; worker processes are forked and have them too."""
    monkeypatch.setattr(simulated, "plan_of", stub_plan)
    monkeypatch.setattr(simulated, "scan_patient", stub_patient)
    monkeypatch.setattr(simulated, "write_study_and_truth", stub_study)


@pytest.fixture(autouse=True)
def _stub_simulator(monkeypatch: pytest.MonkeyPatch) -> None:
    use_stubs(monkeypatch)


def digests(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def order(**changes: object) -> SimulationOrder:
    return dataclasses.replace(SimulationOrder(patients=3, site="pet_ct", seed=7), **changes)


def test_the_bytes_are_the_same_for_any_number_of_workers(tmp_path: Path) -> None:
    for workers in (1, 2):
        list(write_simulated_cohort(order(), tmp_path / str(workers), workers=workers))
    one = digests(tmp_path / "1")
    assert len(one) == 10  # three cases of three files, and the order
    assert one == digests(tmp_path / "2")


def test_a_worker_writes_what_its_job_says(tmp_path: Path) -> None:
    for as_dicom in (False, True):
        wanted, alone = order(patients=1, as_dicom=as_dicom), tmp_path / f"alone-{as_dicom}"
        (folder,) = write_simulated_cohort(wanted, tmp_path / f"cohort-{as_dicom}", workers=1)
        jobs._write_aside(partial(simulated._simulate_one, wanted, 0), alone)
        assert digests(alone) == digests(folder)


def test_patients_differ_and_are_named_by_site_seed_and_number(tmp_path: Path) -> None:
    folders = list(write_simulated_cohort(order(), tmp_path, workers=1))
    assert sorted(folder.name for folder in folders) == [f"pet_ct-7-{number:05d}" for number in range(3)]
    assert len({digest for name, digest in digests(tmp_path).items() if name.endswith("ct.nii.gz")}) == 3


def test_a_case_says_what_it_is_and_its_reference_score(tmp_path: Path) -> None:
    (folder,) = write_simulated_cohort(order(patients=1), tmp_path, workers=1)
    volume, labels, case = load_case_arrays(folder)
    # One pixel of 16 mm2 at 350 HU (weight 3), 3 mm apart.
    assert case.reference_agatston == pytest.approx(48.0)
    assert (case.id, case.group, case.site) == (folder.name, folder.name, "pet_ct")
    assert case.extra["facts"]["sex"] == "F"
    assert (labels.labels_zyx == Label.CORONARY).sum() == 1
    assert volume.spacing_mm_zyx == pytest.approx(SPACING_MM_ZYX)


def test_a_cohort_goes_on_where_it_was_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    list(write_simulated_cohort(order(), whole, workers=1))
    first = next(iter(write_simulated_cohort(order(patients=1), parts, workers=1)))
    before = {path: path.stat().st_mtime_ns for path in first.iterdir()}
    half = parts / "pet_ct-7-00001.part"  # what a killed process leaves
    half.mkdir()
    (half / "ct.nii.gz").write_bytes(b"half a file")
    (half / "stray").write_text("x", encoding="utf-8")
    finished = list(write_simulated_cohort(order(), parts, workers=2))
    assert finished[0] == first
    assert {path: path.stat().st_mtime_ns for path in first.iterdir()} == before
    assert digests(parts) == digests(whole)


def slow_patient(plan: StubPlan) -> SimulatedPatient:
    time.sleep(0.1)
    return stub_patient(plan)


def simulate_in_a_group_of_its_own(wanted: SimulationOrder, out: Path) -> None:
    os.setsid()
    list(write_simulated_cohort(wanted, out, workers=2))


def kill_after(n_patients: int, wanted: SimulationOrder, out: Path) -> None:
    """Begin a cohort and kill it with all its workers, without warning, once so many patients are finished."""
    run = multiprocessing.get_context("fork").Process(target=simulate_in_a_group_of_its_own, args=(wanted, out))
    run.start()
    deadline = time.monotonic() + 20
    while len(list(out.glob("pet_ct-7-?????"))) < n_patients and time.monotonic() < deadline:
        time.sleep(0.01)
    os.killpg(run.pid or 0, signal.SIGKILL)
    run.join()
    assert run.exitcode == -signal.SIGKILL


def test_a_cohort_killed_twice_is_the_cohort_that_never_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted, whole, parts = order(patients=8), tmp_path / "whole", tmp_path / "parts"
    list(write_simulated_cohort(wanted, whole, workers=1))
    with monkeypatch.context() as patch:
        patch.setattr(simulated, "scan_patient", slow_patient)
        for n_patients in (1, 4):
            kill_after(n_patients, wanted, parts)
            assert len(list(parts.glob("pet_ct-7-?????"))) < 8
    assert len(list(write_simulated_cohort(wanted, parts, workers=2))) == 8
    assert digests(parts) == digests(whole)


def test_a_patient_that_fails_leaves_no_finished_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail_on_second(plan: StubPlan) -> SimulatedPatient:
        if plan.seed == simulated.patient_seed(7, 1):
            raise ZeroDivisionError
        return stub_patient(plan)

    monkeypatch.setattr(simulated, "scan_patient", fail_on_second)
    with pytest.raises(ZeroDivisionError):
        list(write_simulated_cohort(order(patients=2), tmp_path, workers=1))
    assert not (tmp_path / "pet_ct-7-00001").exists()


def test_jobs_that_have_not_begun_are_dropped_when_the_caller_stops(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow(plan: StubPlan) -> SimulatedPatient:
        time.sleep(0.05)
        return stub_patient(plan)

    monkeypatch.setattr(simulated, "scan_patient", slow)
    running = write_simulated_cohort(order(patients=200), tmp_path, workers=1)
    next(running)
    running.close()  # type: ignore[attr-defined]
    assert len(list(tmp_path.iterdir())) < 50


def test_a_dicom_cohort_holds_studies_that_tell_the_story_of_the_table(tmp_path: Path) -> None:
    (folder,) = write_simulated_cohort(order(patients=1, as_dicom=True), tmp_path, workers=1)
    scan = read_single_ct(folder / "dicom")
    np.testing.assert_array_equal(scan.volume.ct_hu_zyx, stub_patient(stub_plan(order(), 0)).volume.ct_hu_zyx)
    truth = json.loads((folder / "truth" / "truth.json").read_text(encoding="utf-8"))
    row, _ = cohort_patient(order(), 0)
    assert truth == {"id": folder.name, "stress_tpd_percent": row.stress_tpd_percent}


def test_single_patients_of_a_cohort_are_made_on_demand(tmp_path: Path) -> None:
    list(write_simulated_cohort(order(), tmp_path / "all", workers=1))
    (folder,) = write_simulated_cohort(order(), tmp_path / "one", numbers=[2, 2], workers=1)
    assert folder.name == "pet_ct-7-00002"
    assert digests(folder) == digests(tmp_path / "all" / folder.name)
    with pytest.raises(ConfigError, match=r"no patients \[3\] among 3, expected 0 to 2"):
        list(write_simulated_cohort(order(), tmp_path / "one", numbers=[3]))


def test_another_order_does_not_mix_into_a_cohort(tmp_path: Path) -> None:
    list(write_simulated_cohort(order(), tmp_path, workers=1))
    with pytest.raises(ConfigError, match="recipe is None there"):
        list(write_simulated_cohort(order(recipe=Recipe(category=3)), tmp_path, workers=1))


def test_the_patient_of_an_image_is_the_patient_of_the_row(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    row, _ = cohort_patient(order(), 2)
    assert simulated.plan_of(order(), 2).profile == row.profile
    assert simulated.plan_of(order(recipe=Recipe(category=0)), 2).profile.category == 0


@pytest.mark.parametrize(
    ("changes", "message"), [({"patients": 0}, "0 patients asked for"), ({"site": "mars"}, "unknown site 'mars'")]
)
def test_impossible_orders_are_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        order(**changes)


def test_a_cohort_needs_a_worker(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="workers is 0"):
        list(write_simulated_cohort(order(), tmp_path, workers=0))


def background(folder: Path, *, unsure: list[list[float]]) -> Path:
    """Write a real-looking case whose one lesion its reader was not sure of."""
    volume, labels = tissue_with_lesions()
    lesions = [{"center_zyx": centre, "confidence": "unsure"} for centre in unsure]
    lesions.append({"center_zyx": [10.0, 12.0, 20.5], "confidence": "sure"})
    case = Case("real1", "a hospital", "CC-BY-4.0", site="real", group="patient1", extra={"lesions": lesions})
    write_case(folder, volume, labels, case)
    return folder


def tissue_with_lesions() -> tuple[Volume, Labels]:
    """Return tissue of 40 +- 9 HU with lesions of 400 HU at (10, 12, 10.5) and (10, 12, 20.5)."""
    rng = np.random.default_rng(3)
    ct = 40 + rng.integers(-9, 10, SHAPE_ZYX)
    labels = np.zeros(SHAPE_ZYX, dtype=np.uint8)
    labels[4:20, 6:26, 6:26] = Label.HEART
    for x in (10, 20):
        ct[10, 12, x : x + 2] = 400
        labels[10, 12, x : x + 2] = Label.CORONARY
    grid = grid_from_spacing(SHAPE_ZYX, (3.0, 2.0, 2.0))
    return Volume(ct.astype(np.int16), grid), Labels(labels, grid)


def test_a_planted_case_stays_in_the_group_of_its_background(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def plant(on: planted.Background, index: int, seed: int) -> SimpleNamespace:
        return SimpleNamespace(
            scan=PlantedScan(on.volume, on.labels, (StubPlaque(float(index)),), 32.0, PointSpread(1.5, 3.0))  # type: ignore[arg-type]
        )

    monkeypatch.setattr(planted, "plant_case", plant)
    real = background(tmp_path / "real1", unsure=[[10.0, 12.0, 10.5]])
    jobs._write_aside(partial(planted._plant_one, real, 0, 5), tmp_path / "alone")
    folders = list(write_planted_cohort([real], tmp_path / "out", per_background=2, seed=5, workers=1))
    assert sorted(folder.name for folder in folders) == ["real1-p5-000", "real1-p5-001"]
    cases = [read_case(folder) for folder in sorted(folders)]
    assert {case.group for case in cases} == {"patient1"}
    assert {case.site for case in cases} == {"planted"}
    assert {case.licence for case in cases} == {"CC-BY-4.0"}
    assert [case.extra["plaques"] for case in cases] == [
        [{"agatston": score, "calcium_class": "noncoronary"}] for score in (0.0, 1.0)
    ]
    # The lesion its reader was sure of is left: two pixels of 4 mm2 at weight 4, 3 mm apart.
    assert [case.reference_agatston for case in cases] == [pytest.approx(32.0)] * 2
    assert "lesions" not in cases[0].extra
    assert digests(tmp_path / "alone") == digests(min(folders))


def test_nothing_to_plant_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="0 cases per scan"):
        list(write_planted_cohort([tmp_path], tmp_path / "out", per_background=0, seed=5))


def test_an_erased_lesion_is_tissue_afterwards_and_the_others_stay() -> None:
    volume, labels = tissue_with_lesions()
    erased, left = erase_lesions(volume, labels, [[10.0, 12.0, 10.5]])
    around = erased.ct_hu_zyx[8:13, 9:16, 7:15]
    assert (around >= 31).all()
    assert (around <= 49).all()
    assert around.std() == pytest.approx(5.5, abs=1.0)
    assert (left.labels_zyx[10, 12, 10:12] == Label.HEART).all()
    assert (left.labels_zyx[10, 12, 20:22] == Label.CORONARY).all()
    changed = erased.ct_hu_zyx != volume.ct_hu_zyx
    assert not changed[:, :, 16:].any()
    assert changed.sum() < 200


def test_erasing_is_the_same_each_time_and_changes_no_input() -> None:
    volume, labels = tissue_with_lesions()
    before = volume.ct_hu_zyx.copy()
    one, two = (erase_lesions(volume, labels, [[10.0, 12.0, 10.5]])[0] for _ in range(2))
    np.testing.assert_array_equal(one.ct_hu_zyx, two.ct_hu_zyx)
    np.testing.assert_array_equal(volume.ct_hu_zyx, before)


@pytest.mark.parametrize("centre", [[10.0, 20.0, 10.0], [0.0, 0.0, 0.0]])
def test_where_no_lesion_is_nothing_is_erased(centre: list[float]) -> None:
    volume, labels = tissue_with_lesions()
    erased, left = erase_lesions(volume, labels, [centre])
    np.testing.assert_array_equal(erased.ct_hu_zyx, volume.ct_hu_zyx)
    np.testing.assert_array_equal(left.labels_zyx, labels.labels_zyx)


def test_a_scan_without_anything_dense_is_left_alone() -> None:
    volume, labels = tissue_with_lesions()
    soft = Volume(np.minimum(volume.ct_hu_zyx, np.int16(60)), volume.grid)
    np.testing.assert_array_equal(erase_lesions(soft, labels, [[10.0, 12.0, 10.5]])[0].ct_hu_zyx, soft.ct_hu_zyx)


def test_a_lesion_without_tissue_around_it_is_refused() -> None:
    volume, labels = tissue_with_lesions()
    lung = Volume(np.where(volume.ct_hu_zyx > 110, 400, -800).astype(np.int16), volume.grid)
    with pytest.raises(InputError, match="no soft tissue surrounds the lesion"):
        erase_lesions(lung, labels, [[10.0, 12.0, 10.5]])
