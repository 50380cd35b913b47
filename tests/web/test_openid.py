"""Logging in by a real OpenID provider, from the page to the provider and back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from calcmap.service.store import Store, open_store
from calcmap.web.shared import CALLBACK_PATH, SharedServer
from service.openid_server import CLIENT_SECRET, consent, openid_server
from web.shared_page import make_settings, shared

ROLES = {"nuclear-readers": "reader", "nuclear-viewers": "viewer"}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    opened = open_store(tmp_path_factory.mktemp("openid") / "store")
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def server(store: Store, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SharedServer]:
    secret = tmp_path_factory.mktemp("secret") / "client"
    secret.write_text(f"{CLIENT_SECRET}\n", encoding="utf-8")
    oidc = {"client_id": "calcmap", "client_secret_file": str(secret), "roles": ROLES, "issuer": "http://127.0.0.1:9"}
    settings = make_settings(store.contents.folder.parent, oidc=oidc)
    assert settings.oidc is not None
    with openid_server(f"{settings.web.base_url}{CALLBACK_PATH}") as issuer:
        told = replace(settings, oidc=replace(settings.oidc, issuer=issuer))
        with shared(store, told) as running:
            yield running


@pytest.fixture
def browser(server: SharedServer) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"http://localhost:{server.port}", timeout=30) as opened:
        yield opened


def go(browser: httpx.Client, name: str) -> httpx.Response:
    """Go to the provider, log in there, and return the answer that sends the browser back to the page."""
    start = browser.get("/oidc/start")
    assert start.status_code == 303
    return consent(browser, start.headers["location"], name=name)


def test_a_user_of_the_provider_comes_in_with_the_role_of_their_group(browser: httpx.Client, store: Store) -> None:
    back = browser.get(go(browser, "mara").headers["location"])
    assert (back.status_code, back.headers["location"]) == (303, "/")
    said = browser.get("/api/session").json()
    assert (said["account"], said["name"], said["role"]) == ("mara", "Dr. mara", "reader")
    login = store.audit_events()[-1]
    assert (login.action, login.actor, '"way":"openid"' in login.detail_json) == ("login", "mara", True)


def test_an_answer_is_good_once_and_in_its_own_browser(browser: httpx.Client, server: SharedServer) -> None:
    address = go(browser, "otto").headers["location"]
    with httpx.Client(base_url=browser.base_url) as another:
        assert another.get(address).headers["location"] == "/login#not_signed_in"
        another.get("/oidc/start")
        assert another.get(address).headers["location"] == "/login#not_signed_in"
    assert browser.get(address).headers["location"] == "/"
    assert browser.get(address).headers["location"] == "/login#not_signed_in"


def test_a_user_without_a_role_stays_out(browser: httpx.Client, server: SharedServer) -> None:
    back = browser.get(go(browser, "gast").headers["location"])
    assert back.headers["location"] == "/login#not_allowed"
    assert browser.get("/api/session").status_code == 401
    assert "gast" not in {account.name for account in server.door.accounts.list()}


def test_the_secret_is_the_clients_and_not_in_the_store(store: Store) -> None:
    held = b"".join(path.read_bytes() for path in Path(store.contents.folder.parent).glob("calcmap.sqlite*"))
    assert CLIENT_SECRET.encode() not in held
