from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from calcmap.core.errors import ConfigError
from calcmap.core.result import Vessel
from calcmap.core.volume import Label, Labels, Volume, grid_from_spacing
from calcmap.simulation.anatomy.coronaries import CoronaryBranch
from calcmap.simulation.calcium.deposits import Tissue
from calcmap.simulation.patient import DepositFacts, PatientFacts, SimulatedPatient
from calcmap.simulation.population.readers import (
    EXPERT_1,
    EXPERT_2,
    GATED,
    Reader,
    read_labels,
    read_lesions,
)
from calcmap.simulation.scanner.sites import SITES, draw_acquisition
from calcmap.simulation.visibility import VisibleCalcium, VisibleLesion

PERFECT = Reader("perfect", half_seen_mm3=0.0, ostial_swap=0.0, noncoronary_share=0.0, speck_share=0.0,
                 lesion_log_sd=0.0)  # fmt: skip
BIG = VisibleLesion(Tissue.CORONARY, "LAD", Vessel.LAD, is_ostial=False, agatston=75.0, visible_mm3=90.0)
SMALL = replace(BIG, agatston=1.5, visible_mm3=1.0)
UNDER_A_SQUARE_MM = replace(BIG, agatston=0.0, visible_mm3=0.8)
OSTIAL = replace(BIG, place="LM", vessel=Vessel.LM, is_ostial=True)
VALVE = replace(BIG, tissue=Tissue.NONCORONARY, place="aortic_valve", vessel=None)
SEEDS = range(400)


def scan(*lesions: VisibleLesion, noise_sd_hu: float = 20.0) -> VisibleCalcium:
    return VisibleCalcium(lesions, 0.0, noise_sd_hu)


def share_with_score(lesion: VisibleLesion, reader: Reader, *, noise_sd_hu: float = 20.0) -> float:
    quiet = replace(reader, speck_share=0.0)
    shown = scan(lesion, noise_sd_hu=noise_sd_hu)
    return float(np.mean([read_lesions(shown, reader=quiet, seed=seed).agatston > 0 for seed in SEEDS]))


def test_a_perfect_reader_reports_what_the_scan_shows() -> None:
    reading = read_lesions(scan(BIG, SMALL, VALVE, UNDER_A_SQUARE_MM), reader=PERFECT, seed=1)
    assert reading.agatston == pytest.approx(76.5)
    assert reading.n_lesions == 2
    assert reading.false_agatston == 0


def test_nothing_to_see_is_a_score_of_zero() -> None:
    assert read_lesions(scan(), reader=PERFECT, seed=1).agatston == 0


def test_a_lesion_of_half_seen_volume_is_found_half_of_the_time() -> None:
    at_half = replace(SMALL, visible_mm3=EXPERT_1.half_seen_mm3)
    assert share_with_score(at_half, EXPERT_1) == pytest.approx(0.5, abs=0.08)


def test_small_lesions_are_missed_more_often_and_most_in_noise() -> None:
    assert share_with_score(BIG, EXPERT_1) > 0.95
    assert share_with_score(SMALL, EXPERT_1) < 0.6
    assert share_with_score(SMALL, EXPERT_1, noise_sd_hu=40.0) < share_with_score(SMALL, EXPERT_1)


def test_ostial_calcium_goes_to_the_wrong_side_as_often_as_the_reader_errs() -> None:
    root = replace(OSTIAL, tissue=Tissue.NONCORONARY, place="aortic_root", vessel=None)
    reader = replace(PERFECT, ostial_swap=0.25)
    assert share_with_score(OSTIAL, reader) == pytest.approx(0.75, abs=0.07)
    assert share_with_score(root, reader) == pytest.approx(0.25, abs=0.07)


def test_other_cardiac_calcium_is_called_coronary_as_often_as_the_reader_errs() -> None:
    assert share_with_score(VALVE, replace(PERFECT, noncoronary_share=0.1)) == pytest.approx(0.1, abs=0.05)


def test_specks_of_noise_make_scores_of_nothing_only_in_noisy_scans() -> None:
    reader = replace(PERFECT, speck_share=1.0)
    quiet, noisy = (
        np.mean([read_lesions(scan(noise_sd_hu=sd), reader=reader, seed=seed).false_agatston > 0 for seed in SEEDS])
        for sd in (8.0, 30.0)
    )
    assert quiet < 0.03
    assert noisy > 0.3


def test_outlines_err_to_both_sides() -> None:
    reader = replace(PERFECT, lesion_log_sd=0.4, patient_log_sd=0.3)
    scores = [read_lesions(scan(BIG), reader=reader, seed=seed).agatston for seed in SEEDS]
    assert np.mean(scores) == pytest.approx(BIG.agatston, rel=0.06)
    assert np.std(np.log(scores)) == pytest.approx(0.5, rel=0.1)


def test_two_readers_find_the_same_lesions_hard() -> None:
    hard = replace(SMALL, visible_mm3=EXPERT_1.half_seen_mm3)
    found = np.array(
        [
            [read_lesions(scan(hard), reader=reader, seed=seed).agatston > 0 for seed in SEEDS]
            for reader in (EXPERT_1, EXPERT_2)
        ]
    )
    assert 0.15 < np.corrcoef(found)[0, 1] < 0.75


def test_one_reader_reads_one_patient_the_same_twice() -> None:
    shown = scan(BIG, SMALL, OSTIAL, VALVE)
    once, twice = (read_lesions(shown, reader=EXPERT_1, seed=9) for _ in range(2))
    assert once == twice


@pytest.mark.parametrize(
    "broken",
    [lambda: replace(EXPERT_1, ostial_swap=1.2), lambda: replace(EXPERT_1, half_seen_mm3=-1.0)],
)
def test_impossible_readers_are_refused(broken: Callable[[], object]) -> None:
    with pytest.raises(ConfigError, match="expert_1"):
        broken()


SHAPE_ZYX = (12, 60, 60)
SPACING_MM_ZYX = (3.0, 1.0, 1.0)
PLACES_ZYX = {"LAD": (3, 15, 15), "RCA": (6, 30, 45), "aortic_root": (9, 45, 20)}
"""First voxels of three cubes of calcium on a label map; the right coronary's is at its origin."""


@pytest.fixture(scope="module")
def patient() -> SimulatedPatient:
    ct = np.random.default_rng(1).normal(40, 10, SHAPE_ZYX).astype(np.int16)
    labels = np.full(SHAPE_ZYX, Label.HEART, dtype=np.uint8)
    facts = []
    for place, (z, y, x) in PLACES_ZYX.items():
        is_coronary = place != "aortic_root"
        cube = (slice(z, z + 2), slice(y, y + 4), slice(x, x + 4))
        labels[cube] = Label.CORONARY if is_coronary else Label.NONCORONARY
        ct[cube] = 300 + np.arange(32).reshape(2, 4, 4)
        middle = (x + 1.5, y + 1.5, 3 * (z + 0.5))
        facts.append(DepositFacts(Tissue.CORONARY if is_coronary else Tissue.NONCORONARY, place, 96.0, middle))
    ct[1, 50, 50:53] = 160  # a speck of noise
    grid = grid_from_spacing(SHAPE_ZYX, SPACING_MM_ZYX)
    acquisition = draw_acquisition(np.random.default_rng(1), site=SITES["ge_nmct"])
    rca = CoronaryBranch("RCA", Vessel.RCA, np.array([facts[1].center_mm, (40.0, 20.0, 10.0)]), np.array([2.0, 2.0]))
    known = PatientFacts(1, "ge_nmct", "F", 60.0, 165.0, 27.0, acquisition, 1, 90.0, 600.0, tuple(facts))
    return SimulatedPatient(Volume(ct, grid), Labels(labels, grid), known, (rca,))


def calcium_at(labels: Labels, place: str) -> int:
    z, y, x = PLACES_ZYX[place]
    return int(labels.labels_zyx[z, y + 1, x + 1])


def test_a_perfect_reader_draws_the_truth(patient: SimulatedPatient) -> None:
    read = read_labels(patient, reader=PERFECT, seed=1)
    np.testing.assert_array_equal(read.labels_zyx, patient.labels.labels_zyx)


def test_a_missed_lesion_becomes_heart(patient: SimulatedPatient) -> None:
    blind = replace(PERFECT, half_seen_mm3=1e9, steepness=5.0)
    read = read_labels(patient, reader=blind, seed=1)
    assert calcium_at(read, "LAD") == Label.HEART
    assert calcium_at(read, "aortic_root") == Label.NONCORONARY


def test_a_reader_who_confuses_ostia_swaps_both_sides_and_nothing_else(patient: SimulatedPatient) -> None:
    read = read_labels(patient, reader=replace(PERFECT, ostial_swap=1.0), seed=1)
    assert calcium_at(read, "RCA") == Label.NONCORONARY
    assert calcium_at(read, "LAD") == Label.CORONARY
    assert calcium_at(read, "aortic_root") == Label.NONCORONARY  # too far from an ostium


def test_a_reader_who_calls_everything_coronary_does_so(patient: SimulatedPatient) -> None:
    read = read_labels(patient, reader=replace(PERFECT, noncoronary_share=1.0), seed=1)
    assert calcium_at(read, "aortic_root") == Label.CORONARY


def test_outlines_vary_inside_the_bright_pixels(patient: SimulatedPatient) -> None:
    wide_or_tight = replace(PERFECT, lesion_log_sd=0.5)
    sizes = {
        int((read_labels(patient, reader=wide_or_tight, seed=s).labels_zyx == Label.CORONARY).sum()) for s in range(6)
    }
    assert len(sizes) > 1
    assert max(sizes) <= 64  # no bright neighbours to take in
    assert min(sizes) >= 2  # every lesion keeps a voxel


def test_a_speck_is_called_calcium_by_who_believes_in_specks(patient: SimulatedPatient) -> None:
    read = read_labels(patient, reader=replace(PERFECT, speck_share=1.0), seed=1)
    assert (read.labels_zyx[1, 50, 50:53] == Label.CORONARY).all()


def test_a_gated_reader_cannot_read_an_attenuation_ct(patient: SimulatedPatient) -> None:
    with pytest.raises(ConfigError, match="gated"):
        read_labels(patient, reader=GATED, seed=1)
