"""The review page on this machine alone, for the person who started it."""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable

import uvicorn

from calcmap.core.errors import ConfigError
from calcmap.service.reviewing import Reviewing
from calcmap.service.store import Store
from calcmap.web.access import LocalAccess, new_access
from calcmap.web.app import make_app

LOOPBACK = "127.0.0.1"
GRACE_S = 5
"""How long requests that are under way may take once the server is asked to stop (our choice)."""

logger = logging.getLogger(__name__)


class LocalServer:
    """A server on the loopback address, listening from the moment it is made.

    Parameters
    ----------
    store : Store
        Open; it stays open.
    account : str
        Who is written into the audit trail.
    port : int
        0 for any that is free.

    Raises
    ------
    ConfigError
        The port is taken.
    """

    def __init__(self, store: Store, *, account: str, port: int = 0) -> None:
        self._socket = _listen(port)
        self.access: LocalAccess = new_access(account=account, port=self._socket.getsockname()[1])
        config = uvicorn.Config(
            make_app(Reviewing(store), self.access),
            log_config=None,
            access_log=False,  # addresses hold the token
            lifespan="off",
            ws="none",
            server_header=False,
            timeout_graceful_shutdown=GRACE_S,
        )
        self._server = uvicorn.Server(config)

    @property
    def address(self) -> str:
        """What a person opens: it holds the token."""
        return self.access.address

    def run(self, *, when_up: Callable[[], None] = lambda: None) -> None:
        """Serve until `stop` is called or the process is told to end; what is under way is finished.

        Parameters
        ----------
        when_up : callable
            Called once before the first request is taken; the socket listens already.
        """
        when_up()
        try:
            self._server.run(sockets=[self._socket])
        finally:
            self.close()

    def stop(self) -> None:
        """Ask the server to end; safe from any thread."""
        self._server.should_exit = True

    def close(self) -> None:
        """Free the port; `run` does it at its end."""
        self._socket.close()


def _listen(port: int) -> socket.socket:
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((LOOPBACK, port))
        listening.listen()
    except (OSError, OverflowError) as error:
        listening.close()
        raise ConfigError(f"cannot serve at port {port} of {LOOPBACK}: {error}") from error
    return listening
