"""Results keep their promises, and ``result.json`` keeps its schema."""

import copy
import json
import math
from dataclasses import replace
from typing import Any

import jsonschema
import pytest

from calcmap.core import result as result_module
from calcmap.core.result import DISCLAIMER, ClassScore, Status, result_schema, result_to_json
from core.results import empty_result, refused_result, scored_result

RESULTS = {"scored": scored_result, "empty": empty_result, "refused": refused_result}


@pytest.fixture(scope="module")
def validator() -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(result_schema())


def objects(schema: Any) -> list[dict[str, Any]]:
    """Return every schema of an object with named properties, wherever it stands."""
    found = [schema] if isinstance(schema, dict) and "additionalProperties" in schema and "properties" in schema else []
    children = schema.values() if isinstance(schema, dict) else schema if isinstance(schema, list) else ()
    return found + [inner for child in children for inner in objects(child)]


def test_the_schema_is_a_valid_2020_12_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(result_schema())


@pytest.mark.parametrize("name", RESULTS)
def test_a_result_satisfies_the_schema(validator: jsonschema.Draft202012Validator, name: str) -> None:
    text = json.dumps(result_to_json(RESULTS[name]()), allow_nan=False)
    validator.validate(json.loads(text))


def test_objects_allow_no_other_key_and_require_every_key() -> None:
    found = objects(result_schema())
    assert len(found) == 11
    for schema in found:
        assert schema["additionalProperties"] is False
        assert schema["required"] == list(schema["properties"])


def test_every_property_is_described() -> None:
    for schema in objects(result_schema()):
        undescribed = [name for name, entry in schema["properties"].items() if not entry.get("description")]
        assert undescribed == []


@pytest.mark.parametrize(
    ("unit", "name"),
    [("mm³", "volume_mm3"), ("mg", "mass_mg"), ("years", "arterial_age_years"), ("mL", "volume_ml"), ("HU", "max_hu")],
)
def test_units_stand_in_the_descriptions(unit: str, name: str) -> None:
    entries = [s["properties"][name] for s in objects(result_schema()) if name in s["properties"]]
    assert entries
    assert all(unit in entry["description"] for entry in entries)


@pytest.mark.parametrize(
    ("name", "key", "value"),
    [
        ("scored", "agatston", None),
        ("scored", "agatston", -1.0),
        ("scored", "category", None),
        ("scored", "method", None),
        ("scored", "reason", "but"),
        ("scored", "surprise", 1),
        ("refused", "agatston", 0.0),
        ("refused", "category", 0),
        ("refused", "confidence", result_to_json(scored_result())["confidence"]),
        ("scored", "confidence", {"word": "confident"}),
        ("refused", "reason", None),
        ("refused", "reason", ""),
        ("refused", "status", "scored"),
        ("refused", "disclaimer", "certified"),
    ],
)
def test_a_result_that_breaks_a_promise_fails_the_schema(
    validator: jsonschema.Draft202012Validator, name: str, key: str, value: object
) -> None:
    broken = {**result_to_json(RESULTS[name]()), key: value}
    assert not validator.is_valid(broken)


@pytest.mark.parametrize("key", list(result_to_json(scored_result())))
def test_no_key_may_be_missing(validator: jsonschema.Draft202012Validator, key: str) -> None:
    fields = copy.deepcopy(result_to_json(scored_result()))
    del fields[key]
    assert not validator.is_valid(fields)


def test_the_coronary_score_stands_at_the_top() -> None:
    fields = result_to_json(scored_result())
    assert (fields["agatston"], fields["volume_mm3"], fields["mass_mg"]) == (121.5, 113.2, 22.1)
    assert (fields["category"], fields["category_name"], fields["cac_drs"]) == (2, "101-400", "CAC-DRS A2/N2")
    assert fields["disclaimer"] == DISCLAIMER


def test_a_lesion_has_its_class_and_both_slices() -> None:
    lesions = result_to_json(scored_result())["lesions"]
    assert isinstance(lesions, list)
    assert isinstance(lesions[0], dict)
    assert lesions[0]["class"] == "coronary"
    assert lesions[0]["vessel"] == "LAD"
    assert lesions[0]["slices"] == [20, 22]


def test_a_refused_study_has_no_score_in_json() -> None:
    fields = result_to_json(refused_result())
    for key in ("agatston", "volume_mm3", "mass_mg", "category", "category_name", "cac_drs", "method"):
        assert fields[key] is None
    assert fields["lesions"] == []


def test_agatston_is_the_coronary_sum_or_nothing() -> None:
    assert scored_result().agatston == 121.5
    assert empty_result().agatston == 0.0
    assert refused_result().agatston is None


@pytest.mark.parametrize("field", ["coronary", "category", "method"])
def test_a_scored_study_without_score_category_or_method_is_refused(field: str) -> None:
    with pytest.raises(ValueError, match="scored study carries"):
        replace(scored_result(), **{field: None})


@pytest.mark.parametrize("field", ["coronary", "category", "lesions", "confidence"])
def test_a_refused_study_with_a_score_is_refused(field: str) -> None:
    with pytest.raises(ValueError, match="carries no score"):
        replace(refused_result(), **{field: getattr(scored_result(), field)})


@pytest.mark.parametrize("reason", [None, ""])
def test_a_refusal_without_reason_is_refused(reason: str | None) -> None:
    with pytest.raises(ValueError, match="carries its reason"):
        replace(refused_result(), reason=reason)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_numbers_that_json_cannot_hold_are_refused(value: float) -> None:
    with pytest.raises(ValueError, match="cannot be written as JSON"):
        result_to_json(replace(empty_result(), coronary=ClassScore(value, 0.0, None, 0)))


def test_objects_that_json_cannot_hold_are_refused() -> None:
    with pytest.raises(TypeError, match="set cannot be written as JSON"):
        result_to_json(replace(empty_result(), seconds={"read": {1.0}}))


def test_the_schema_file_is_named_after_the_version() -> None:
    assert result_schema()["$id"] == f"urn:calcmap:schema:result-{result_module.RESULT_SCHEMA_VERSION}"
    assert Status.SCORED.value == "scored"
