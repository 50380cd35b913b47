"""Two writers at once, and writers that are killed: nothing lost, nothing half-written."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from calcmap.core.errors import ReviewConflictError
from calcmap.service.review_edits import Comment
from calcmap.service.store import Store
from service.stored_studies import READER, add_chest

WRITERS = Path(__file__).with_name("writers.py")


@pytest.fixture
def review_id(store: Store) -> int:
    return store.open_review(add_chest(store).result_id, actor=READER).id


@pytest.fixture
def run(tmp_path: Path, database_url: str | None) -> Callable[..., dict[str, Any]]:
    """Return what runs the writers on the test's store and returns what became of them."""

    def run_writers(what: str, *numbers: int) -> dict[str, Any]:
        command = [sys.executable, str(WRITERS), what, str(tmp_path / "store"), database_url or ""]
        done = subprocess.run(
            [*command, *(str(number) for number in numbers)], capture_output=True, text=True, check=False, timeout=120
        )
        assert done.returncode == 0, done.stderr
        became: dict[str, Any] = json.loads(done.stdout)
        return became

    return run_writers


def test_processes_that_write_at_once_lose_nothing(
    store: Store, review_id: int, run: Callable[..., dict[str, Any]]
) -> None:
    assert run("race", review_id, 3, 6)["codes"] == [0, 0, 0]
    edits = store.review(review_id).edits
    assert [edit.position for edit in edits] == list(range(1, 19))
    texts = [each.edit.text for each in edits if isinstance(each.edit, Comment)]
    assert sorted(texts) == sorted(f"{name}/{number}" for name in range(3) for number in range(6))
    for name in range(3):
        mine = [text for text in texts if text.startswith(f"{name}/")]
        assert mine == [f"{name}/{number}" for number in range(6)]
    assert store.check().n_edits == 18


def test_threads_that_save_the_same_revision_have_one_winner(store: Store, review_id: int) -> None:
    outcomes: list[str] = []
    together = threading.Barrier(4)

    def save(name: str) -> None:
        together.wait()
        try:
            store.save_edits(review_id, [Comment(name)], revision=0, author=name)
            outcomes.append("saved")
        except ReviewConflictError as conflict:
            outcomes.append(f"saw {len(conflict.since)}")

    threads = [threading.Thread(target=save, args=(f"reader-{number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["saved", "saw 1", "saw 1", "saw 1"]
    assert store.review(review_id).revision == 1


def test_importing_at_once_stores_one_study(store_at: Callable[[], Store]) -> None:
    stores = [store_at() for _ in range(3)]
    together = threading.Barrier(3)
    is_new: list[bool] = []

    def add(store: Store) -> None:
        together.wait()
        is_new.append(add_chest(store).is_new)

    threads = [threading.Thread(target=add, args=(store,)) for store in stores]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(is_new) == [False, False, True]
    assert len(stores[0].worklist()) == 1


def test_a_process_killed_while_saving_leaves_nothing_half_written(
    store: Store, review_id: int, run: Callable[..., dict[str, Any]]
) -> None:
    became = run("kill", review_id, 8, 1)
    assert became["signals"] == [signal.SIGKILL] * 8
    review = store.review(review_id)
    # Each save is two edits: both are there, or neither. What was acknowledged is there; of each process at most one
    # save more, that was committed but not told any more.
    assert review.revision == len(review.edits)
    assert review.revision % 2 == 0
    assert became["acknowledged"] > 0
    assert 0 <= review.revision // 2 - became["acknowledged"] <= 8
    pairs = [each.edit.text for each in review.edits if isinstance(each.edit, Comment)]
    assert pairs == [f"{2 * n}/{which}" for n in range(len(pairs) // 2) for which in ("one", "two")]
    store.check()
    for path in store.contents.folder.glob("*/*"):
        if path.suffix != ".part":
            store.contents.get(path.name)
    store.save_edits(review_id, [Comment("on we go")], revision=review.revision, author=READER)
