from __future__ import annotations

import os

import pytest

from calcmap.core.machine import usable_cores


def test_there_is_a_core_to_run_on() -> None:
    assert 1 <= usable_cores() <= (os.cpu_count() or 1)


@pytest.mark.parametrize(("n_cores", "expected"), [(6, 6), (None, 1)])
def test_where_the_system_does_not_say_what_may_be_used_all_cores_count(
    monkeypatch: pytest.MonkeyPatch, n_cores: int | None, expected: int
) -> None:
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: n_cores)
    assert usable_cores() == expected
