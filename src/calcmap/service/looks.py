"""Who looked at what: an event for a look, not one for each of the sixty slices that a look fetches."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable

from calcmap.service.store import Store

LOOK_S = 900.0
"""Fetches of one person of one thing within this time are one look (our choice)."""
MAX_LOOKS = 10_000
"""Looks that are remembered; one that was forgotten is written again."""


class Looks:
    """Writes looks into the audit trail; safe to share between threads.

    Parameters
    ----------
    store : Store
        Holds the trail.
    clock : callable
        Returns seconds that only grow.
    """

    def __init__(self, store: Store, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._clock = clock
        self._known: OrderedDict[tuple[str, str, str], float] = OrderedDict()
        self._lock = threading.Lock()

    def note(self, action: str, *, subject: str, actor: str) -> None:
        """Write that somebody looked, unless that was written a short while ago."""
        key, now = (action, subject, actor), self._clock()
        with self._lock:
            if now - self._known.get(key, float("-inf")) < LOOK_S:
                return
            self._store.record(action, subject=subject, actor=actor)
            self._known[key] = now
            self._known.move_to_end(key)
            if len(self._known) > MAX_LOOKS:
                self._known.popitem(last=False)
