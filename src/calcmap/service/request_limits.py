"""How many requests somebody may make: a bucket each, that fills at a rate. Kept in memory; a crowd cannot grow it."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from calcmap.core.errors import TooManyRequestsError

MAX_BUCKETS = 10_000
"""People at once that are told apart; the longest unseen are forgotten (about 2 MB; our choice)."""


@dataclass(frozen=True)
class RequestLimits:
    """How many requests a session may make.

    Parameters
    ----------
    burst : int
        At once: a study of 400 slices opened twice and more (our choice).
    per_second : float
        In the long run, one after the other.
    """

    burst: int = 1000
    per_second: float = 40.0


class Buckets:
    """Counts requests by key; safe to share between threads.

    Parameters
    ----------
    limits : RequestLimits
        Size and rate of each bucket.
    clock : callable
        Returns seconds that only grow.
    """

    def __init__(self, limits: RequestLimits, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._limits = limits
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._lock = threading.Lock()

    def take(self, key: str) -> None:
        """Count one request; `TooManyRequestsError` when there is no room for it."""
        now = self._clock()
        with self._lock:
            left, then = self._buckets.pop(key, (float(self._limits.burst), now))
            left = min(left + (now - then) * self._limits.per_second, float(self._limits.burst))
            self._buckets[key] = (left - 1.0 if left >= 1.0 else left, now)
            if len(self._buckets) > MAX_BUCKETS:
                self._buckets.popitem(last=False)
        if left < 1.0:
            raise TooManyRequestsError("too many requests", retry_after_s=(1.0 - left) / self._limits.per_second)
