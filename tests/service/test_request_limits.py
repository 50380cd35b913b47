from __future__ import annotations

from pathlib import Path

import pytest

from calcmap.core.errors import TooManyRequestsError
from calcmap.service import looks, request_limits
from calcmap.service.looks import LOOK_S, Looks
from calcmap.service.request_limits import Buckets, RequestLimits
from calcmap.service.store import open_store


def test_a_burst_is_let_through_and_then_the_rate() -> None:
    now = [0.0]
    buckets = Buckets(RequestLimits(burst=3, per_second=2.0), clock=lambda: now[0])
    for _ in range(3):
        buckets.take("a")
    with pytest.raises(TooManyRequestsError) as refusal:
        buckets.take("a")
    assert refusal.value.retry_after_s == 0.5
    buckets.take("b")  # somebody else
    now[0] = 0.5
    buckets.take("a")
    with pytest.raises(TooManyRequestsError):
        buckets.take("a")
    now[0] = 1000.0
    for _ in range(3):
        buckets.take("a")
    with pytest.raises(TooManyRequestsError):
        buckets.take("a")


def test_a_crowd_does_not_grow_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(request_limits, "MAX_BUCKETS", 10)
    buckets = Buckets(RequestLimits())
    for n in range(100):
        buckets.take(str(n))
    assert len(buckets._buckets) == 10


def test_a_look_is_one_event_until_it_is_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(looks, "MAX_LOOKS", 2)
    now = [0.0]
    store = open_store(tmp_path / "store")
    noted = Looks(store, clock=lambda: now[0])

    def note(subject: str, actor: str) -> int:
        noted.note("view_images", subject=subject, actor=actor)
        return len(store.audit_events())

    assert [note("study:1", "mara"), note("study:1", "mara"), note("study:1", "otto")] == [1, 1, 2]
    assert [note("study:2", "mara"), note("study:2", "mara")] == [3, 3]
    assert note("study:1", "mara") == 4  # forgotten: written again
    now[0] = LOOK_S
    assert note("study:1", "mara") == 5
    store.close()
