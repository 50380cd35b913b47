"""The worker behind the outbox: makes what is to be made, delivers what is to be delivered, and tries again."""

from __future__ import annotations

import logging
import threading

from calcmap.core.errors import StoreError
from calcmap.service.delivering import deliver_next
from calcmap.service.making import make_next
from calcmap.service.outbox import Outbox
from calcmap.service.store_outbox import next_due_utc, seconds_between

STOP_S = 5.0
"""How long the end of a run waits for an object that is on its way (our choice)."""
SHORTEST_WAIT_S = 0.5
"""Work that another process has claimed is looked for again no sooner (our choice)."""

logger = logging.getLogger(__name__)


class Courier:
    """Works through an outbox, by hand with `run_due` or in a thread of its own with `start`.

    Parameters
    ----------
    outbox : Outbox
        What is to be done, and where it goes.
    """

    def __init__(self, outbox: Outbox) -> None:
        self.outbox = outbox
        self._is_ending = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Courier:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Begin to work in a thread of its own; what an earlier run left is done first."""
        self._thread = threading.Thread(target=self._run, name="courier", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread; what is not done is left for the next run."""
        self._is_ending.set()
        self.outbox.has_news.set()
        if self._thread is not None:
            self._thread.join(STOP_S)

    def run_due(self) -> int:
        """Do everything that is due now, and return how many pieces of work that were."""
        n_done = 0
        while not self._is_ending.is_set() and (make_next(self.outbox) or deliver_next(self.outbox)):
            n_done += 1
        return n_done

    def _run(self) -> None:
        while not self._is_ending.is_set():
            wait_s = self.outbox.policy.poll_s
            self.outbox.has_news.clear()  # before looking: what is asked for meanwhile is news again
            try:
                self.run_due()
                wait_s = self._idle_s()
            except StoreError as error:
                logger.error("the outbox waits for the store: %s", error)
            except Exception as error:
                logger.error("the outbox met a defect: %s", type(error).__name__)
                logger.debug("its traceback", exc_info=True)
            if not self._is_ending.is_set():
                self.outbox.has_news.wait(wait_s)

    def _idle_s(self) -> float:
        """Return how long nothing is due, at most until it is looked again."""
        poll_s = self.outbox.policy.poll_s
        with self.outbox.store.database.reading() as connection:
            due_utc = next_due_utc(connection, self.outbox.by_name)
        if due_utc is None:
            return poll_s
        left_s = seconds_between(self.outbox.store.now_utc(), due_utc)
        return min(max(left_s, SHORTEST_WAIT_S), poll_s)
