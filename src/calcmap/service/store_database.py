"""The database behind the store: SQLite in a file, or PostgreSQL by URL, with the same promises.

One writer at a time on either: SQLite by its own lock, PostgreSQL by an advisory one. A write is a few rows, images are
put on disk before it begins, so waiting is short, and what holds on one database holds on the other.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError
from sqlalchemy.pool import ConnectionPoolEntry

from calcmap.core.errors import ConfigError, StoreError
from calcmap.service.store_postgres import postgres_arguments

BUSY_TIMEOUT_MS = 30_000
"""How long SQLite waits for another writer (our choice: far above any write of this store)."""
WRITER_LOCK = 0x43414C43
"""Key of PostgreSQL's advisory lock: the letters CALC."""
_IS_WRITING = "calcmap_is_writing"


class Database:
    """Transactions on one database.

    Parameters
    ----------
    url : str or URL
        ``sqlite:///path`` or ``postgresql://user@host/name``, with the keys that ``store_postgres`` tells.

    Raises
    ------
    ConfigError
        The URL is of neither database, or asks for what is not understood.
    """

    def __init__(self, url: str | URL) -> None:
        self._engine = _engine(_checked(url))

    @property
    def kind(self) -> str:
        """``"sqlite"`` or ``"postgresql"``."""
        return self._engine.dialect.name

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Open a transaction that sees one moment and changes nothing."""
        with _plain_errors(), self._engine.connect() as connection:
            if self.kind == "postgresql":
                connection = connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
            with connection.begin():
                yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Open a transaction that no other writer overlaps; it is committed whole, or with an error not at all."""
        with _plain_errors(), self._engine.connect() as plain:
            connection = plain.execution_options(**{_IS_WRITING: True})
            with connection.begin():
                if self.kind == "postgresql":
                    connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({WRITER_LOCK})")
                yield connection

    def close(self) -> None:
        """Close every connection."""
        self._engine.dispose()


def sqlite_url(path: Path) -> URL:
    """Return the URL of an SQLite file, whatever letters its path has."""
    return URL.create("sqlite", database=str(path.absolute()))


def _checked(url: str | URL) -> URL:
    try:
        made = make_url(url)
    except ArgumentError as error:
        raise ConfigError("the store's database is no URL, expected sqlite:///path or postgresql://...") from error
    kind = made.get_backend_name()
    if kind not in ("sqlite", "postgresql"):
        raise ConfigError(f"the store's database is {kind}, expected sqlite or postgresql")
    if kind == "sqlite" and made.database in (None, "", ":memory:"):
        raise ConfigError("the store's database is in memory, expected a file")
    return made


def _engine(url: URL) -> Engine:
    if url.get_backend_name() == "sqlite":
        engine = create_engine(url.set(drivername="sqlite+pysqlite"))
        event.listen(engine, "connect", _set_up_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
        return engine
    plain, arguments = postgres_arguments(url)
    return create_engine(plain, pool_pre_ping=True, connect_args=arguments)


def _set_up_sqlite(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
    # The driver's own transactions begin late and never for tables; here they begin where `_begin_sqlite` says.
    connection.isolation_level = None
    cursor = connection.cursor()
    for setting in (
        f"busy_timeout = {BUSY_TIMEOUT_MS}",
        "journal_mode = WAL",
        "synchronous = FULL",
        "foreign_keys = ON",
    ):
        cursor.execute(f"PRAGMA {setting}")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    is_writing = connection.get_execution_options().get(_IS_WRITING, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if is_writing else "BEGIN")


@contextmanager
def _plain_errors() -> Iterator[None]:
    """Turn the library's errors, whose text may hold values of a statement, into one line without them."""
    try:
        yield
    except DBAPIError as error:
        raise StoreError(f"the database refused: {_said(error.orig)}") from error
    except SQLAlchemyError as error:
        raise StoreError(f"the database cannot be used: {type(error).__name__}") from error


def _said(error: BaseException | None) -> str:
    """Return one line of what a driver said; PostgreSQL's message alone, since its details repeat values."""
    first = error.args[0] if error is not None and error.args else ""
    text = str(first.get("M", "")) if isinstance(first, dict) else str(first)
    return next(iter(text.strip().splitlines()), type(error).__name__)
