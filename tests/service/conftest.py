"""Stores for the tests: each on SQLite and on a PostgreSQL that is really running."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from calcmap.service.store import Store, open_store
from calcmap.service.store_database import Database
from postgres_server import running_postgres

DATABASES = ("sqlite", "postgresql")
_SCHEMAS = itertools.count(1)


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """Return the URL of a server that lives as long as the tests; skip loudly without one."""
    with running_postgres() as url:
        yield url


@pytest.fixture(params=DATABASES)
def database_url(request: pytest.FixtureRequest) -> str | None:
    """Return the URL of an empty database, ``None`` for SQLite in the store's folder."""
    if request.param == "sqlite":
        return None
    return empty_postgres(request.getfixturevalue("postgres_url"))


@pytest.fixture
def store_at(tmp_path: Path, database_url: str | None) -> Iterator[Callable[[], Store]]:
    """Return what opens the test's store; every opening is a connection of its own to the same data."""
    opened: list[Store] = []

    def open_one() -> Store:
        opened.append(open_store(tmp_path / "store", url=database_url))
        return opened[-1]

    yield open_one
    for store in opened:
        store.close()


@pytest.fixture
def store(store_at: Callable[[], Store]) -> Store:
    """Return an empty store."""
    return store_at()


@pytest.fixture
def postgres_database(postgres_url: str) -> str:
    """Return the URL of an empty PostgreSQL database."""
    return empty_postgres(postgres_url)


def empty_postgres(url: str) -> str:
    """Return a URL that sees a new, empty schema of the server."""
    schema = f"test_{next(_SCHEMAS)}"
    database = Database(url)
    with database.writing() as connection:
        connection.exec_driver_sql(f"CREATE SCHEMA {schema}")
    database.close()
    return f"{url}&options=-csearch_path%3D{schema}"
