"""A PostgreSQL URL as people write it, turned into what the driver takes.

The driver is pg8000 (BSD). It stands on no C library, so it does not know the settings that PostgreSQL's own one reads
from a URL. Those that a lab needs are understood here, by their usual names; others are refused, not ignored.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy.engine import URL

from calcmap.core.errors import ConfigError

DRIVER = "postgresql+pg8000"
PASSWORD_VARIABLE = "PGPASSWORD"
"""Where a password that the URL leaves out is looked for, as PostgreSQL's own programs do."""
SOCKET_NAME = ".s.PGSQL.{port}"
DEFAULT_PORT = 5432
ANSWER_TIMEOUT_S = 30.0
"""How long a server may take to accept, and to each answer, when the URL does not say: as long as SQLite waits."""


def postgres_arguments(url: URL) -> tuple[URL, dict[str, Any]]:
    """Return the URL for the driver and the arguments of its connections.

    Parameters
    ----------
    url : URL
        ``postgresql://user@host:port/name?key=value``. Understood keys: ``host`` (a folder that begins with ``/`` holds
        the server's socket), ``sslmode`` (``disable``, ``require``, ``verify-full``), ``sslrootcert`` (a file of
        certificates to trust), ``connect_timeout`` (seconds, of every answer), ``application_name`` and ``options``.

    Returns
    -------
    URL
        With its driver and without a query.
    dict of str to Any
        Of the driver's own types. The password is the URL's, else that of the environment's ``PGPASSWORD``.

    Raises
    ------
    ConfigError
        A key is not known, or its value makes no sense; the message repeats no password.
    """
    given = dict(url.query)
    unknown = sorted(set(given) - set(_READERS))
    if unknown:
        raise ConfigError(f"the store's database URL has {', '.join(unknown)}; understood are {', '.join(_READERS)}")
    repeated = sorted(key for key, value in given.items() if not isinstance(value, str))
    if repeated:
        raise ConfigError(f"the store's database URL has {', '.join(repeated)} more than once, expected once")
    said = {key: str(value) for key, value in given.items()}
    arguments: dict[str, Any] = {"timeout": ANSWER_TIMEOUT_S}
    for key in said:
        arguments |= _READERS[key](said, url)
    if url.password is None and PASSWORD_VARIABLE in os.environ:
        arguments["password"] = os.environ[PASSWORD_VARIABLE]
    return url.set(drivername=DRIVER, query={}), arguments


def _host(said: Mapping[str, str], url: URL) -> dict[str, Any]:
    host, port = said["host"], url.port or DEFAULT_PORT
    if host.startswith("/"):
        return {"unix_sock": f"{host.rstrip('/')}/{SOCKET_NAME.format(port=port)}"}
    return {"host": host}


def _encryption(said: Mapping[str, str], _: URL) -> dict[str, Any]:
    mode = said.get("sslmode", "verify-full")
    if mode not in ("disable", "require", "verify-full"):
        raise ConfigError(f"the store's database URL has sslmode {mode}, expected disable, require or verify-full")
    if mode == "disable":
        return {"ssl_context": False}
    try:
        context = ssl.create_default_context(cafile=said.get("sslrootcert"))
    except OSError as error:
        raise ConfigError(f"sslrootcert of the store's database URL cannot be read: {error}") from error
    if mode == "require":  # encrypted, whoever answers: what PostgreSQL means by it
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return {"ssl_context": context}


def _timeout(said: Mapping[str, str], _: URL) -> dict[str, Any]:
    text = said["connect_timeout"]
    if not text.isdecimal() or int(text) == 0:
        raise ConfigError(f"the store's database URL has connect_timeout {text}, expected whole seconds from 1 on")
    return {"timeout": float(text)}


def _application_name(said: Mapping[str, str], _: URL) -> dict[str, Any]:
    return {"application_name": said["application_name"]}


def _options(said: Mapping[str, str], _: URL) -> dict[str, Any]:
    return {"startup_params": {"options": said["options"]}}


_READERS: dict[str, Callable[[Mapping[str, str], URL], dict[str, Any]]] = {
    "host": _host,
    "sslmode": _encryption,
    "sslrootcert": _encryption,
    "connect_timeout": _timeout,
    "application_name": _application_name,
    "options": _options,
}
