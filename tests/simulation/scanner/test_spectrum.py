"""HU follow the tube voltage as attenuation tables and published thresholds say."""

from __future__ import annotations

import numpy as np
import pytest

from calcmap.simulation.calcium.deposits import Material
from calcmap.simulation.scanner.spectrum import (
    bone_factor,
    calcium_factor,
    hardening,
    hu_per_mg_cm3,
    mass_attenuation,
    material_factor,
    spectrum,
    water_attenuation_per_mm,
)


@pytest.mark.parametrize(("kev", "published"), [(20, 0.8096), (40, 0.2683), (60, 0.2059), (100, 0.1707), (150, 0.1505)])
def test_water_mixed_from_elements_is_the_published_water(kev: int, published: float) -> None:
    assert mass_attenuation("water")[kev - 20] == pytest.approx(published, rel=2e-3)


def test_bone_mixed_from_elements_is_the_published_bone_at_60_kev() -> None:
    assert mass_attenuation("cortical_bone")[40] == pytest.approx(0.3148, rel=0.01)


def test_iodine_jumps_at_its_k_edge() -> None:
    iodine = mass_attenuation("iodine")

    assert iodine[34 - 20] / iodine[33 - 20] > 4.5
    assert iodine[33 - 20] == pytest.approx(6.64, rel=0.02)


@pytest.mark.parametrize("kvp", [80.0, 100.0, 120.0, 140.0])
def test_a_spectrum_is_normalised_and_ends_at_the_tube_voltage(kvp: float) -> None:
    weights = spectrum(kvp)

    assert weights.sum() == pytest.approx(1)
    assert weights[int(kvp) - 20 + 1 :].sum() == 0


@pytest.mark.parametrize("kvp", [60.0, 200.0])
def test_a_voltage_of_no_ct_is_refused(kvp: float) -> None:
    with pytest.raises(ValueError, match="kVp"):
        spectrum(kvp)


def test_hydroxyapatite_adds_the_measured_hu_at_120_kvp() -> None:
    # 1 / 0.91 to 1 / 0.714 HU per mg / cm3 in QRM scans of four vendors
    assert 1.10 <= hu_per_mg_cm3("hydroxyapatite", kvp=120.0) <= 1.42


@pytest.mark.parametrize(("kvp", "threshold_hu"), [(80.0, 177), (100.0, 145), (120.0, 130), (135.0, 119)])
def test_calcium_follows_the_published_thresholds_within_three_percent(kvp: float, threshold_hu: float) -> None:
    assert calcium_factor(kvp) == pytest.approx(threshold_hu / 130, rel=0.03)


def test_heavier_elements_gain_more_from_a_lower_voltage() -> None:
    calcium, metal, iodine = (material_factor(m, 80.0) for m in (Material.CALCIUM, Material.METAL, Material.IODINE))

    assert 1.3 < calcium < metal < iodine < 1.7
    assert 1.0 < bone_factor(80.0) < calcium


@pytest.mark.parametrize("material", list(Material))
def test_every_material_is_unchanged_at_120_kvp_and_falls_with_voltage(material: Material) -> None:
    factors = [material_factor(material, kvp) for kvp in (80, 100, 110, 120, 130, 140)]

    assert factors[3] == pytest.approx(1)
    assert (np.diff(factors) < 0).all()


def test_water_attenuates_as_at_70_kev() -> None:
    assert water_attenuation_per_mm(120.0) == pytest.approx(0.0193, abs=0.0006)


def test_bone_behind_much_water_is_seen_too_dark() -> None:
    a, b, c = hardening(120.0)

    def error_mm(water_mm: float, bone_mm: float) -> float:
        return bone_mm * (a + b * water_mm + c * bone_mm)

    assert error_mm(190, 1.0) == pytest.approx(0, abs=0.02)
    assert error_mm(400, 20) < error_mm(300, 20) < error_mm(200, 20) < 0
