from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from calcmap.core.errors import InputError
from calcmap.core.result import StudyResult, result_to_json
from calcmap.core.result_reading import result_from_json
from core.results import empty_result, refused_result, scored_result


@pytest.mark.parametrize("make", [scored_result, empty_result, refused_result])
def test_what_was_written_is_read_back(make: Callable[[], StudyResult]) -> None:
    written = json.loads(json.dumps(result_to_json(make())))
    assert result_from_json(written) == make()
    assert result_to_json(result_from_json(written)) == written


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schema_version": "2.0"}, "layout is 2.0, expected version 1"),
        ({"schema_version": ""}, "layout is not stated"),
        ({"status": "guessed"}, "not understood: ValueError"),
        ({"quality": None}, "not understood: TypeError"),
        ({"lesions": [{}]}, "not understood: KeyError"),
    ],
)
def test_what_is_no_result_is_refused_in_one_line(change: dict[str, Any], message: str) -> None:
    written: dict[str, Any] = result_to_json(scored_result()) | change
    with pytest.raises(InputError, match=message) as refusal:
        result_from_json(written)
    assert "\n" not in str(refusal.value)
