"""A person's build follows the profile, spreads as asked and stays human."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from calcmap.core.errors import ConfigError
from calcmap.simulation.anatomy.person import SPINE_SHARE, VERTEBRA_HALF_DEPTH_MM, Person, draw_person
from calcmap.simulation.population.profile import Profile

USUAL = Profile(category=0, sex="F", age_years=65.0, height_cm=165.0, bmi=27.0)


def people(n: int, *, sex: str = "F", age: float = 65.0, bmi: float = 27.0, spread: float = 1.0) -> list[Person]:
    profile = Profile(category=0, sex=sex, age_years=age, height_cm=165.0, bmi=bmi)
    return [draw_person(np.random.default_rng(k), profile=profile, spread=spread) for k in range(n)]


def mean(values: Sequence[float]) -> float:
    return float(np.mean(values))


def heart_size(person: Person) -> float:
    return float(np.prod(person.heart_scale_xyz))


def test_the_profile_is_kept() -> None:
    person = draw_person(np.random.default_rng(1), profile=USUAL)

    assert (person.sex, person.age_years, person.height_cm, person.bmi) == ("F", 65.0, 165.0, 27.0)


def test_one_seed_gives_one_person() -> None:
    assert draw_person(np.random.default_rng(3), profile=USUAL) == draw_person(np.random.default_rng(3), profile=USUAL)


def test_without_spread_all_have_the_same_measures() -> None:
    measures = {
        (p.chest_half_width_mm, p.heart_scale_xyz, p.heart_tilt_rad, p.visceral_fat) for p in people(5, spread=0)
    }

    assert len(measures) == 1


@pytest.mark.parametrize("measure", ["chest_half_width_mm", "aorta_mm", "visceral_fat"])
def test_double_spread_is_wider(measure: str) -> None:
    usual, wide = ([getattr(p, measure) for p in people(80, spread=s)] for s in (1.0, 2.0))

    assert np.std(wide) > 1.3 * np.std(usual)


def test_a_high_bmi_brings_fat_a_high_diaphragm_a_level_heart_and_a_larger_one() -> None:
    lean, stout = people(120, bmi=20), people(120, bmi=38)

    assert mean([p.epicardial_fat_mm for p in stout]) > mean([p.epicardial_fat_mm for p in lean]) + 1
    assert mean([p.right_dome_mm for p in stout]) > mean([p.right_dome_mm for p in lean]) + 5
    assert mean([p.heart_tilt_rad[1] for p in stout]) < mean([p.heart_tilt_rad[1] for p in lean]) - 0.1
    assert mean([heart_size(p) for p in stout]) > 1.1 * mean([heart_size(p) for p in lean])


def test_the_aorta_widens_and_winds_and_the_spine_bends_with_age() -> None:
    young, old = people(120, age=40), people(120, age=85)

    assert mean([p.aorta_mm for p in old]) > mean([p.aorta_mm for p in young]) + 1.5
    assert mean([p.aorta_elongation for p in old]) > mean([p.aorta_elongation for p in young]) + 0.3
    assert mean([p.kyphosis for p in old]) > mean([p.kyphosis for p in young]) + 3


def test_ascending_aortas_measure_30_to_40_mm_in_most() -> None:
    diameters = np.array([2 * p.aorta_mm for sex in "MF" for p in people(100, sex=sex)])

    assert np.mean((diameters >= 28) & (diameters <= 40)) > 0.9


def test_women_have_smaller_hearts_and_only_they_have_breasts() -> None:
    women, men = people(120), people(120, sex="M")

    assert mean([heart_size(p) for p in women]) < 0.97 * mean([heart_size(p) for p in men])
    assert min(p.breast_mm for p in women) > 0 == max(p.breast_mm for p in men)
    assert not any(p.has_implants for p in men)


@pytest.mark.parametrize("spread", [1.0, 2.5])
def test_every_heart_fits_between_breast_bone_and_spine(spread: float) -> None:
    for person in people(60, bmi=19, spread=spread) + people(60, bmi=40, spread=spread):
        half = 55.0 * person.heart_scale_xyz[1]
        back = SPINE_SHARE * person.chest_half_depth_mm - VERTEBRA_HALF_DEPTH_MM

        assert person.heart_center_mm[1] + half <= back + 8
        assert person.heart_center_mm[1] - half >= -person.chest_half_depth_mm - 2


@pytest.mark.parametrize(("share", "expected"), [(0.0, {False}), (1.0, {True})])
def test_arms_lie_down_as_often_as_asked(share: float, expected: set[bool]) -> None:
    drawn = {
        draw_person(np.random.default_rng(k), profile=USUAL, arms_down_share=share).has_arms_down for k in range(20)
    }

    assert drawn == expected


@pytest.mark.parametrize("arguments", [{"spread": -0.1}, {"arms_down_share": 1.2}, {"arms_down_share": -0.2}])
def test_an_impossible_spread_is_refused(arguments: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="expected"):
        draw_person(np.random.default_rng(0), profile=USUAL, **arguments)
