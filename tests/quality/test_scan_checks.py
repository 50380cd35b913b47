"""`assess_scan` on a chest of ellipsoids, one property bent at a time."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calcmap.core.scan import Scan, Severity
from calcmap.core.volume import Volume, grid_from_spacing
from calcmap.quality import assess_scan
from calcmap.quality.sampling import lungs, thin
from calcmap.quality.scan_checks import mediastinum_hu, noise_hu
from quality.chest_phantom import CENTER_MM_ZYX, Chest, ellipsoid, make_chest


def found(scan: Scan) -> dict[str, Severity]:
    return {flag.code: flag.severity for flag in assess_scan(scan)}


@pytest.fixture
def chest() -> Chest:
    return make_chest()


def test_a_plain_chest_has_no_flags(chest: Chest) -> None:
    assert assess_scan(chest.scan()) == ()


@pytest.mark.parametrize(
    ("kvp", "severity", "words"),
    [
        (80.0, Severity.WARNING, "36% more HU"),
        (100.0, Severity.WARNING, "12% more HU"),
        (110.0, Severity.INFO, "6% more HU"),
        (130.0, Severity.INFO, "6% fewer HU"),
        (140.0, Severity.WARNING, "12% fewer HU"),
    ],
)
def test_other_tube_voltages_are_flagged_with_direction_and_size(
    chest: Chest, kvp: float, severity: Severity, words: str
) -> None:
    # 177/130 = 1.36; 145/130 = 1.115; 137.5/130 = 1.058; (130 - 11 * 10/15)/130 = 0.944; 115/130 = 0.885
    chest.kvp = kvp
    (flag,) = assess_scan(chest.scan())
    assert (flag.code, flag.severity) == ("kvp_not_120", severity)
    assert words in flag.detail


def test_low_voltage_says_too_high_and_high_voltage_too_low(chest: Chest) -> None:
    details = {}
    for chest.kvp in (100.0, 140.0):
        details[chest.kvp] = assess_scan(chest.scan())[0].detail
    assert "too high" in details[100.0]
    assert "too low" in details[140.0]


def test_unknown_voltage_is_information(chest: Chest) -> None:
    chest.kvp = None
    assert found(chest.scan()) == {"kvp_unknown": Severity.INFO}


@pytest.mark.parametrize(
    ("increment_mm", "expected"),
    [
        (6.0, {}),
        (6.1, {"thick_slices": Severity.WARNING}),
        (8.0, {"thick_slices": Severity.WARNING}),
        (8.1, {"thick_slices": Severity.REFUSE}),
        (10.0, {"thick_slices": Severity.REFUSE}),
    ],
)
def test_increment_limits_are_six_and_eight_mm(
    chest: Chest, increment_mm: float, expected: dict[str, Severity]
) -> None:
    chest.spacing_mm_zyx = (increment_mm, 3.0, 3.0)
    assert found(chest.scan()) == expected


@pytest.mark.parametrize(
    ("noise", "expected"),
    [(30.0, None), (48.0, Severity.WARNING), (75.0, Severity.REFUSE)],
)
def test_noise_warns_above_35_and_refuses_above_60(chest: Chest, noise: float, expected: Severity | None) -> None:
    chest.noise_hu = noise
    assert found(chest.scan()).get("noise_high") == expected


@given(noise=st.floats(5.0, 60.0), seed=st.integers(0, 10_000))
@settings(max_examples=15, deadline=None)
def test_noise_of_plain_tissue_is_measured_within_a_third(noise: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    hu = (50.0 + rng.normal(0.0, noise, (10, 64, 64))).round().astype(np.int16)
    # 8 mm are 3 pixels of 3 mm: the lower quartile of SDs of 9 values lies about 20 % below their true SD
    measured = noise_hu(Volume(hu, grid_from_spacing(hu.shape, (5.0, 3.0, 3.0))))
    assert measured is not None
    assert 0.67 * noise < measured < 1.1 * noise


def test_noise_is_unknown_without_soft_tissue() -> None:
    air = np.full((10, 64, 64), -1000, dtype=np.int16)
    assert noise_hu(Volume(air, grid_from_spacing(air.shape, (5.0, 3.0, 3.0)))) is None


def test_contrast_in_the_heart_is_refused(chest: Chest) -> None:
    chest.hu_zyx[chest.blood_zyx] = 250.0
    assert found(chest.scan()) == {"contrast_suspected": Severity.REFUSE}


def test_faint_contrast_is_a_warning(chest: Chest) -> None:
    chest.hu_zyx[chest.blood_zyx] = 95.0
    assert found(chest.scan()) == {"contrast_suspected": Severity.WARNING}


def test_a_declared_agent_alone_is_a_warning(chest: Chest) -> None:
    chest.contrast_agent = "ORAL"
    assert found(chest.scan()) == {"contrast_declared": Severity.WARNING}


def test_dense_vertebrae_are_not_contrast(chest: Chest) -> None:
    z, y, x = CENTER_MM_ZYX
    chest.hu_zyx[ellipsoid((z, y + 75.0, x), (np.inf, 45.0, 50.0))] = 300.0
    assert found(chest.scan()) == {}


def test_an_abdomen_is_refused(chest: Chest) -> None:
    chest.hu_zyx[chest.hu_zyx == -800.0] = 55.0
    assert found(chest.scan()) == {"no_lungs": Severity.REFUSE}


def test_an_empty_table_is_refused(chest: Chest) -> None:
    chest.hu_zyx[:] = -1000.0
    chest.hu_zyx[:, 110:113, 20:110] = 20.0
    assert found(chest.scan()) == {"empty_scan": Severity.REFUSE}


def test_a_scan_of_padding_alone_is_refused(chest: Chest) -> None:
    chest.hu_zyx[:] = -3024.0
    assert found(chest.scan()) == {"empty_scan": Severity.REFUSE}


def test_a_chest_half_out_of_the_field_is_information(chest: Chest) -> None:
    chest.hu_zyx = chest.hu_zyx[:, :, 30:98]
    assert found(chest.scan()) == {"body_truncated": Severity.INFO}


def test_metal_is_information(chest: Chest) -> None:
    chest.hu_zyx[10, 70:76, 60:66] = 3000.0
    flags = assess_scan(chest.scan())
    # 36 voxels of 45 mm3
    assert [(flag.code, flag.severity) for flag in flags] == [("metal", Severity.INFO)]
    assert "1620 mm³" in flags[0].detail


def test_dense_bone_is_not_metal(chest: Chest) -> None:
    chest.hu_zyx[10, 70:76, 60:66] = 1500.0
    assert found(chest.scan()) == {}


def test_a_sliver_of_chest_has_too_little_mediastinum_to_judge(chest: Chest) -> None:
    chest.hu_zyx[chest.blood_zyx] = 250.0
    chest.hu_zyx = chest.hu_zyx[20:21]
    chest.spacing_mm_zyx = (1.0, 3.0, 3.0)
    look = thin(chest.scan().volume, step_mm=6.0)
    assert mediastinum_hu(look, lungs(look)) is None


@pytest.mark.parametrize("axes", [(2,), (0,), (0, 2)])
def test_verdicts_do_not_depend_on_left_right_or_head_feet(chest: Chest, axes: tuple[int, ...]) -> None:
    chest.hu_zyx[chest.blood_zyx] = 250.0
    scan = chest.scan()
    flipped = np.ascontiguousarray(np.flip(scan.volume.ct_hu_zyx, axes))
    assert found(replace(scan, volume=Volume(flipped, scan.volume.grid))) == found(scan)


def test_the_scan_is_not_changed(chest: Chest) -> None:
    scan = chest.scan()
    before = scan.volume.ct_hu_zyx.copy()
    assess_scan(scan)
    np.testing.assert_array_equal(scan.volume.ct_hu_zyx, before)
