"""A browser for all tests of one file, and readers at a store that the file brings."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from calcmap.service.store import Store
from calcmap.web.local import LocalServer
from web.real_browser import Reader, ReaderComes, real_browser
from web.served_page import served

if TYPE_CHECKING:
    from playwright.sync_api import Browser


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with real_browser() as opened:
        yield opened


@pytest.fixture(scope="module")
def page_server(page_store: Store, browser: Browser) -> Iterator[LocalServer]:
    """Serve what the file's own ``page_store`` holds."""
    with served(page_store) as running:
        yield running


@pytest.fixture
def enter(browser: Browser, page_server: LocalServer) -> Iterator[ReaderComes]:
    """Return what lets another reader in; none may have met a complaint of the browser."""
    readers: list[Reader] = []

    def come(**screen: object) -> Reader:
        readers.append(Reader(browser, page_server.address, **screen))
        return readers[-1]

    yield come
    complaints = [each for reader in readers for each in reader.complaints]
    for reader in readers:
        reader.close()
    assert complaints == []
