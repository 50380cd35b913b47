"""The page, really served on the loopback address."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from calcmap.service.outbox import Outbox
from calcmap.service.store import Store
from calcmap.web.local import LocalServer


@contextmanager
def served(store: Store, *, outbox: Outbox | None = None) -> Iterator[LocalServer]:
    """Serve a store for as long as the block lasts."""
    server = LocalServer(store, account="reader-1", outbox=outbox)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        yield server
    finally:
        server.stop()
        thread.join(timeout=30)
        assert not thread.is_alive()
