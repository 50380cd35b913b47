from __future__ import annotations

import dataclasses
import inspect

import numpy as np
import pytest

from calcmap.core.errors import ConfigError, InputError
from calcmap.scoring.rules import (
    PROFILES,
    AgatstonRule,
    MinimumArea,
    SliceLinking,
    get_profile,
    rule_for_kvp,
)


def test_an_unknown_profile_is_refused_with_the_list() -> None:
    with pytest.raises(ConfigError, match="clinical, ge, siemens, philips, canon, orcascore"):
        get_profile("toshiba")


@pytest.mark.parametrize("name", PROFILES)
def test_every_profile_names_its_source(name: str) -> None:
    rule = get_profile(name)
    assert rule.name == name
    assert len(rule.source) > 40


@pytest.mark.parametrize("name", PROFILES)
def test_every_profile_uses_the_thresholds_of_agatston(name: str) -> None:
    rule = get_profile(name)
    assert (rule.threshold_hu, rule.weights_hu) == (130, (130, 200, 300, 400))


@pytest.mark.parametrize(
    ("profile", "pixel_area_mm2", "expected_px"),
    [
        ("clinical", 0.25, 4),
        ("clinical", 0.488**2, 4),  # 4.2 px
        ("clinical", 0.977**2, 1),  # 1.05 px
        ("clinical", 0.4, 3),  # 2.5 px
        ("clinical", 0.5 * 0.8, 3),  # the same, through floating point
        ("clinical", float(np.float32(0.5)) * float(np.float32(0.8)), 3),  # the same, through single precision
        ("ge", float(np.float32(0.7)) * float(np.float32(0.2)), 8),  # 7.14 px
        ("ge", float(np.float32(0.1)) ** 2, 100),
        ("clinical", 2 / 3, 2),  # 1.5 px
        ("clinical", 1 / 4.5, 5),
        ("clinical", 2.25, 1),  # 0.44 px
        ("clinical", 1.0, 1),
        ("ge", 0.25, 4),
        ("ge", 0.1 * 0.1, 100),  # not 101 by floating point
        ("ge", 0.488**2, 5),
        ("ge", 0.977**2, 2),
        ("ge", 2.25, 1),
        ("siemens", 0.25, 1),
        ("philips", 0.25, 2),
        ("philips", 0.488**2, 3),
        ("philips", 0.977**2, 1),
        ("canon", 0.25, 3),
        ("canon", 2.25, 3),
        ("orcascore", 0.25, 1),
    ],
)
def test_the_smallest_spot_in_pixels(profile: str, pixel_area_mm2: float, expected_px: int) -> None:
    assert get_profile(profile).min_area_px(pixel_area_mm2) == expected_px


@pytest.mark.parametrize(
    ("profile", "expected_mm2"), [("clinical", 1.0), ("philips", 0.5), ("siemens", 0.0), ("canon", 0.75)]
)
def test_the_smallest_area_is_reported_as_the_rule_states_it(profile: str, expected_mm2: float) -> None:
    assert get_profile(profile).min_area_mm2(0.25) == expected_mm2


def test_only_orcascore_links_lesions_by_faces() -> None:
    assert {name for name, rule in PROFILES.items() if rule.linking is SliceLinking.FACE} == {"orcascore"}


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"connectivity": 6}, "expected 4 or 8"),
        ({"weights_hu": (130, 300, 200, 400)}, "do not ascend"),
        ({"weights_hu": (130, 130, 300, 400)}, "do not ascend"),
        ({"threshold_hu": 129}, "above the threshold"),
        ({"minimum_size": 0.0}, "does not fit"),
        ({"minimum_size": -1.0}, "does not fit"),
        ({"minimum_size": float("nan")}, "does not fit"),
        ({"minimum_size": float("inf")}, "does not fit"),
        ({"minimum": MinimumArea.NONE}, "does not fit"),
    ],
)
def test_a_rule_that_contradicts_itself_is_refused(changes: dict[str, object], complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        dataclasses.replace(get_profile("clinical"), **changes)


def test_every_complaint_about_a_rule_is_listed_at_once() -> None:
    with pytest.raises(ConfigError, match=r"expected 4 or 8.*do not ascend"):
        dataclasses.replace(get_profile("clinical"), connectivity=5, weights_hu=(1, 1, 1, 1))


@pytest.mark.parametrize(
    ("kvp", "limits_hu"),
    [
        (70, (207, 318, 477, 636)),
        (80, (177, 271, 408, 544)),
        (90, (161, 247, 371, 495)),  # halfway between 80 and 100: 161, 246.5, 371, 495
        (100, (145, 222, 334, 446)),
        (110, (138, 211, 317, 423)),  # halfway between 100 and 120: 137.5, 211, 317, 423
        (120, (130, 200, 300, 400)),
        (130, (123, 189, 283, 376)),  # two thirds from 120 to 135: 122.67, 188.67, 282.67, 376
        (135, (119, 183, 274, 364)),
    ],
)
def test_limits_for_a_tube_voltage_come_from_the_published_table(
    kvp: float, limits_hu: tuple[int, int, int, int]
) -> None:
    adapted = rule_for_kvp(get_profile("clinical"), kvp)
    assert (adapted.threshold_hu, adapted.weights_hu) == (limits_hu[0], limits_hu)
    assert adapted.name == f"clinical@{kvp}kVp"


def test_a_tube_voltage_changes_nothing_but_the_limits() -> None:
    adapted = rule_for_kvp(get_profile("philips"), 100.0)
    assert (adapted.minimum, adapted.minimum_size, adapted.connectivity) == (MinimumArea.EXACT_AREA, 0.5, 4)


@pytest.mark.parametrize("kvp", [69.9, 140.0, 0.0, float("nan")])
def test_thresholds_are_not_extrapolated(kvp: float) -> None:
    with pytest.raises(InputError, match="70 to 135 kVp"):
        rule_for_kvp(get_profile("clinical"), kvp)


def test_a_rule_is_not_adapted_twice() -> None:
    with pytest.raises(ConfigError, match="limits of 120 kVp"):
        rule_for_kvp(rule_for_kvp(get_profile("clinical"), 100.0), 120.0)


def test_a_rule_is_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        get_profile("clinical").threshold_hu = 100  # type: ignore[misc]


def test_a_rule_has_no_defaults_that_hide_a_choice() -> None:
    assert all(p.default is inspect.Parameter.empty for p in inspect.signature(AgatstonRule).parameters.values())
