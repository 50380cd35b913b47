"""A simulated patient is a scan with its truth, and its seed fixes every byte."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
import pytest
from scipy import ndimage

from calcmap.core.errors import ConfigError
from calcmap.core.volume import Label
from calcmap.simulation.calcium.burden import CATEGORY_LIMITS
from calcmap.simulation.calcium.deposits import Tissue
from calcmap.simulation.patient import Recipe, SimulatedPatient, patient_seed, simulate_cohort, simulate_patient
from calcmap.simulation.scanner.sites import SITES

COARSE = 4
GE = SITES["ge_nmct"]


@pytest.fixture(scope="module")
def heavy() -> SimulatedPatient:
    return simulate_patient(11, site=GE, recipe=Recipe(category=3, noncoronary_factor=3.0), scale=COARSE)


@pytest.fixture(scope="module")
def clean() -> SimulatedPatient:
    return simulate_patient(12, site=GE, recipe=Recipe(category=0, noncoronary_factor=0.0), scale=COARSE)


def test_same_seed_gives_the_same_bytes(heavy: SimulatedPatient) -> None:
    again = simulate_patient(11, site=GE, recipe=Recipe(category=3, noncoronary_factor=3.0), scale=COARSE)

    assert again.volume.ct_hu_zyx.tobytes() == heavy.volume.ct_hu_zyx.tobytes()
    assert again.labels.labels_zyx.tobytes() == heavy.labels.labels_zyx.tobytes()
    assert again.facts == heavy.facts


def test_another_seed_gives_another_patient(heavy: SimulatedPatient, clean: SimulatedPatient) -> None:
    assert heavy.volume.ct_hu_zyx.tobytes() != clean.volume.ct_hu_zyx.tobytes()


def test_labels_hold_only_the_four_values_and_lie_on_the_scan(heavy: SimulatedPatient) -> None:
    heavy.labels.check_on(heavy.volume)

    assert set(np.unique(heavy.labels.labels_zyx)) <= set(Label)


def test_every_calcium_voxel_has_at_least_130_hu(heavy: SimulatedPatient) -> None:
    is_calcium = heavy.labels.labels_zyx >= Label.CORONARY

    assert is_calcium.any()
    assert heavy.volume.ct_hu_zyx[is_calcium].min() >= 130


def test_a_patient_without_calcium_has_no_calcium_label(clean: SimulatedPatient) -> None:
    assert clean.labels.labels_zyx.max() == Label.HEART
    assert clean.facts.ideal_agatston == 0
    assert clean.facts.deposits == ()


def test_the_heart_is_one_piece_of_human_size(clean: SimulatedPatient) -> None:
    is_heart = clean.labels.labels_zyx == Label.HEART

    assert 350 <= clean.facts.heart_volume_ml <= 1150
    assert ndimage.label(is_heart)[1] == 1


def test_the_heart_is_left_of_the_middle_and_in_the_front_half(clean: SimulatedPatient) -> None:
    _, row, column = (float(axis.mean()) for axis in np.nonzero(clean.labels.labels_zyx))
    body = clean.volume.ct_hu_zyx[len(clean.volume.ct_hu_zyx) // 2] > -300
    rows, columns = np.nonzero(ndimage.binary_opening(body, iterations=2))

    assert columns.min() < column < columns.max()
    assert row < 0.5 * (rows.min() + rows.max())
    assert column > 0.5 * (columns.min() + columns.max()) - 3


def test_blood_and_lung_have_their_hu(clean: SimulatedPatient) -> None:
    ct, heart = clean.volume.ct_hu_zyx, clean.labels.labels_zyx == Label.HEART
    core = ndimage.binary_erosion(heart, iterations=3)
    middle = ct[int(np.nonzero(heart)[0].mean())]

    assert 20 <= np.median(ct[core]) <= 60
    assert (middle < -700).mean() > 0.2


@pytest.mark.parametrize("name", sorted(SITES))
def test_spacing_lies_in_the_protocol_of_the_site(name: str) -> None:
    site = SITES[name]
    increment, pixel_y, pixel_x = simulate_patient(5, site=site, scale=8).volume.spacing_mm_zyx

    assert any(increment == pytest.approx(choice) for choice in site.increment_mm)
    assert pixel_x == pytest.approx(pixel_y)
    assert site.pixel_mm[0] <= pixel_x / 8 <= site.pixel_mm[1] + 1e-9


def test_coronaries_lie_within_the_heart(clean: SimulatedPatient) -> None:
    grid = clean.volume.grid
    near = ndimage.binary_dilation(clean.labels.labels_zyx > 0, iterations=1)
    to_index = np.linalg.inv(grid.affine_lps_mm)
    points = np.vstack([branch.points_mm for branch in clean.coronaries])
    x, y, z = np.rint(to_index[:3, :3] @ points.T + to_index[:3, 3:]).astype(int)

    assert near[z, y, x].mean() > 0.93  # shallow breathing shifts the picture by some mm against the plan


@pytest.mark.parametrize("category", [1, 2, 3])
def test_a_forced_category_holds_for_the_ideal_score(category: int) -> None:
    low, high = CATEGORY_LIMITS[category]
    patient = simulate_patient(category, site=GE, recipe=Recipe(category=category), scale=8)

    assert patient.facts.category == category
    assert low <= patient.facts.ideal_agatston <= high
    assert any(deposit.tissue is Tissue.CORONARY for deposit in patient.facts.deposits)


def test_padding_fills_the_corners_only_outside_the_field_of_view() -> None:
    patients = [simulate_patient(seed, site=SITES["pet_ct"], scale=8) for seed in range(2)]
    padded = [p for p in patients if p.facts.acquisition.padding_hu == -3024]
    for patient in patients:
        has_padding = bool((patient.volume.ct_hu_zyx[0, 0, 0]) < -1024)
        assert has_padding == (patient in padded)


def test_a_cohort_is_lazy_and_its_patients_do_not_depend_on_its_size() -> None:
    cohort = simulate_cohort(10**9, seed=3, site=GE, scale=8)
    first, second = itertools.islice(cohort, 2)

    assert isinstance(cohort, Iterator)
    assert (first.facts.seed, second.facts.seed) == (patient_seed(3, 0), patient_seed(3, 1))
    assert first.facts.seed != second.facts.seed


@pytest.mark.parametrize(
    "arguments",
    [{"category": 4}, {"category_shares": (1.0, 0.0)}, {"category_shares": (0.0,) * 4}, {"noncoronary_factor": -1.0}],
)
def test_an_impossible_recipe_is_refused(arguments: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        Recipe(**arguments)  # type: ignore[arg-type]


@pytest.mark.parametrize(("seed", "scale"), [(-1, 1), (0, 0)])
def test_an_impossible_seed_or_scale_is_refused(seed: int, scale: int) -> None:
    with pytest.raises(ConfigError):
        simulate_patient(seed, site=GE, scale=scale)
