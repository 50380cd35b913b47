"""A socket, an application and the server between them."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import uvicorn
from starlette.types import ASGIApp

from calcmap.core.errors import ConfigError

GRACE_S = 5
"""How long requests that are under way may take once the server is asked to stop (our choice)."""


@dataclass(frozen=True)
class Encryption:
    """What TLS needs.

    Parameters
    ----------
    certificate, key : Path
        PEM files.
    password : str or None
        Of the key, where it has one.
    """

    certificate: Path
    key: Path
    password: str | None = None

    def context(self) -> ssl.SSLContext:
        """Return TLS 1.2 or newer with this certificate; `ConfigError` when the files do not make one."""
        made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        made.minimum_version = ssl.TLSVersion.TLSv1_2
        try:
            made.load_cert_chain(self.certificate, self.key, lambda: self.password or "")
        except (OSError, ssl.SSLError) as error:
            raise ConfigError(
                f"{self.certificate} and {self.key} are not a certificate and its key, or the key's password is missing"
            ) from error
        return made


class PageServer:
    """Serves an application at a socket that listens already.

    Parameters
    ----------
    app : ASGIApp
        What answers.
    listening : socket
        From `listen`.
    tls : SSLContext, optional
        Without it the server speaks plain HTTP.
    """

    def __init__(self, app: ASGIApp, listening: socket.socket, *, tls: ssl.SSLContext | None = None) -> None:
        self._socket = listening
        config = uvicorn.Config(
            app,
            log_config=None,
            access_log=False,  # addresses may hold a token
            lifespan="off",
            ws="none",
            proxy_headers=False,  # who is believed is decided by the application
            server_header=False,
            timeout_graceful_shutdown=GRACE_S,
        )
        config.load()
        config.ssl = tls
        self._server = uvicorn.Server(config)

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


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens at an address of this machine; `ConfigError` when it cannot."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
        listening.listen()
    except (OSError, OverflowError) as error:
        listening.close()
        raise ConfigError(f"cannot serve at port {port} of {host}: {error}") from error
    return listening
