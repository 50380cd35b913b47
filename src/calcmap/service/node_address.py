"""How a DICOM node is named and how it is trusted; no network is touched."""

from __future__ import annotations

import re
import ssl
from dataclasses import dataclass
from pathlib import Path

from calcmap.core.errors import ConfigError

OUR_TITLE = "CALCMAP"
_TITLE = re.compile(r"[\x20-\x5b\x5d-\x7e]{1,16}")
_ADDRESS = re.compile(r"(?P<title>[^@]+)@(?P<host>\[[0-9A-Fa-f:.]+\]|[^@:\[\]\s]+):(?P<port>\d{1,5})")
_MAX_PORT = 65535


@dataclass(frozen=True)
class TlsFiles:
    """Files by which node and we know each other.

    Parameters
    ----------
    trusted : Path or None
        Certificates to trust; those of the system if absent.
    certificate, key : Path or None
        Our own, where the node asks for one; the key may stand in the certificate's file.
    """

    trusted: Path | None = None
    certificate: Path | None = None
    key: Path | None = None

    def context(self) -> ssl.SSLContext:
        """Return the settings of a connection that checks the node's certificate and name; `ConfigError` if unfit."""
        try:
            made = ssl.create_default_context(cafile=self.trusted)
            if self.certificate is not None:
                made.load_cert_chain(self.certificate, self.key)
        except (OSError, ValueError) as error:
            raise ConfigError(f"certificates for sending cannot be used: {error}") from error
        return made


@dataclass(frozen=True)
class NodeAddress:
    """Where a node is and how it is called.

    Raises
    ------
    ConfigError
        A title is no AE title, or the port is none.
    """

    title: str
    host: str
    port: int

    def __post_init__(self) -> None:
        check_title(self.title)
        if not 1 <= self.port <= _MAX_PORT:
            raise ConfigError(f"port {self.port} of {self.title} is none, expected 1 to {_MAX_PORT}")

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.title}@{host}:{self.port}"


def parse_address(text: str) -> NodeAddress:
    """Return the address written as ``TITLE@HOST:PORT``; `ConfigError` for anything else."""
    found = _ADDRESS.fullmatch(text)
    if found is None:
        raise ConfigError(f"{text!r} is no address of a DICOM node, expected TITLE@HOST:PORT")
    return NodeAddress(found["title"].strip(), found["host"].strip("[]"), int(found["port"]))


def check_title(title: str) -> str:
    """Return an AE title; `ConfigError` for what is none."""
    if not _TITLE.fullmatch(title) or not title.strip():
        raise ConfigError(f"{title!r} is no AE title, expected 1 to 16 characters of ASCII without backslash")
    return title
