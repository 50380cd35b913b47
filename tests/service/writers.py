"""Processes that write to a store at once, and are killed while they do.

Run as ``python writers.py WHAT FOLDER URL ...``: it imports once, forks its writers and prints what became of them as
JSON. A process of its own, because the test's may hold threads, which do not survive a fork.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from calcmap.core.errors import ReviewConflictError
from calcmap.service.review_edits import Comment
from calcmap.service.store import Store, open_store


def main() -> None:
    what, folder, url, *rest = sys.argv[1:]
    store_at: Callable[[], Store] = lambda: open_store(Path(folder), url=url or None)  # noqa: E731
    print(json.dumps({"race": race, "kill": kill}[what](store_at, *(int(each) for each in rest))))  # noqa: T201


def race(store_at: Callable[[], Store], review_id: int, n_writers: int, n_edits: int) -> dict[str, object]:
    """Let several processes append to one review, each trying again after a conflict."""
    start = time.monotonic() + 0.2
    children = [_fork(lambda name=name: _append_all(store_at(), review_id, name, n_edits, start))
                for name in range(n_writers)]  # fmt: skip
    return {"codes": [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]}


def kill(store_at: Callable[[], Store], review_id: int, n_kills: int, seed: int) -> dict[str, object]:
    """Kill a process that saves without end, at a random moment, again and again."""
    rng = random.Random(seed)
    acknowledged, signals = 0, []
    for _ in range(n_kills):
        read_end, write_end = os.pipe()
        child = _fork(lambda end=write_end: _save_without_end(store_at(), review_id, end))
        os.close(write_end)
        acknowledged += len(os.read(read_end, 1))  # its first save: from here on it is in the midst of one
        time.sleep(rng.uniform(0.0, 0.06))
        os.kill(child, signal.SIGKILL)
        signals.append(-os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        while told := os.read(read_end, 4096):  # what it had been told is safe
            acknowledged += len(told)
        os.close(read_end)
    return {"acknowledged": acknowledged, "signals": signals}


def _append_all(store: Store, review_id: int, name: int, n_edits: int, start: float) -> None:
    time.sleep(max(start - time.monotonic(), 0.0))
    for number in range(n_edits):
        while True:
            seen = store.review(review_id)
            try:
                store.save_edits(
                    review_id, [Comment(f"{name}/{number}")], revision=seen.revision, author=f"reader-{name}"
                )
            except ReviewConflictError:
                continue
            break


def _save_without_end(store: Store, review_id: int, told: int) -> NoReturn:
    """Save two edits and a content at a time; tell of each save after it was promised."""
    rng = random.Random(os.getpid())
    while True:
        store.contents.put(rng.randbytes(200_000))
        revision = store.review(review_id).revision
        pair = [Comment(f"{revision}/one"), Comment(f"{revision}/two")]
        store.save_edits(review_id, pair, revision=revision, author="reader-1")
        os.write(told, b".")


def _fork(work: Callable[[], None]) -> int:
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        work()
        code = 0
    finally:
        os._exit(code)


if __name__ == "__main__":
    main()
