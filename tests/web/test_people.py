"""People at the page in a real browser, over TLS: the door, a viewer, a reader who signs, an admin, the way out."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from calcmap.service.store import Store, open_store
from calcmap.web.shared import SharedServer
from service.people import PASSWORD
from web.page_studies import add_study
from web.real_browser import LONGEST_MS, VIEWPORT, real_browser
from web.shared_page import make_settings, shared, write_certificate

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

NOT_LOGGED_IN = "status of 401"
"""What the browser says of the first question of a page that nobody is logged in to."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with real_browser() as opened:
        yield opened


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, browser: Browser) -> Iterator[Store]:
    opened = open_store(tmp_path_factory.mktemp("people") / "store")
    for name in ("first", "second"):
        add_study(opened, name)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def server(store: Store, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SharedServer]:
    folder: Path = tmp_path_factory.mktemp("tls")
    with shared(store, make_settings(store.contents.folder.parent, web=write_certificate(folder))) as running:
        yield running


@pytest.fixture
def page(browser: Browser, server: SharedServer) -> Iterator[Page]:
    """Return a browser of somebody's own at the page; it may complain of nothing but that they are not logged in."""
    context = browser.new_context(viewport=VIEWPORT, ignore_https_errors=True)  # type: ignore[arg-type]
    opened = context.new_page()
    opened.set_default_timeout(LONGEST_MS)
    complaints: list[str] = []

    def hear(message: Any) -> None:  # Any: of a library that may be absent
        if message.type in ("error", "warning") and NOT_LOGGED_IN not in message.text:
            complaints.append(message.text)

    opened.on("console", hear)
    opened.on("pageerror", lambda error: complaints.append(str(error)))
    opened.goto(f"https://localhost:{server.port}/#/result/1")
    yield opened
    context.close()
    assert complaints == []


def ready(page: Page, what: str) -> None:
    page.wait_for_selector(f"body[data-ready={what}]")


def log_in(page: Page, name: str, password: str = PASSWORD) -> None:
    """Type name and password with the keyboard alone."""
    ready(page, "login")
    page.keyboard.type(name)
    page.keyboard.press("Tab")
    page.keyboard.type(password)
    page.keyboard.press("Enter")


def test_a_reader_comes_in_where_they_wanted_to_signs_and_leaves(page: Page, store: Store) -> None:
    log_in(page, "rita", "wrong and wrong again")
    page.wait_for_selector("#problem:not(:empty)")
    assert "do not belong together" in page.locator("#problem").inner_text()
    page.keyboard.type(PASSWORD)  # the cursor is where it is needed
    page.keyboard.press("Enter")
    ready(page, "study")
    assert page.locator("#account").inner_text() == "Dr. rita · reader"
    page.keyboard.press("g")
    assert page.locator("#asked-text").input_value() == "Dr. rita"
    assert page.locator("#asked-text").get_attribute("readonly") is not None
    page.keyboard.press("Enter")
    page.wait_for_selector("#amend")
    row = next(row for row in store.worklist() if row.result_id == 1)
    assert (row.review_state, row.signed_name) == ("signed", "Dr. rita")
    assert [event.actor for event in store.audit_events(subject="review:1") if event.action == "sign_review"] == [
        "rita"
    ]
    page.click("#log-out")
    ready(page, "login")
    assert "logged out" in page.locator("#problem").inner_text()
    page.goto(page.url.partition("/login")[0])
    ready(page, "login")


def test_a_viewer_is_offered_what_a_viewer_may_do(page: Page, store: Store) -> None:
    log_in(page, "vera")
    ready(page, "study")
    page.keyboard.press("w")
    ready(page, "worklist")
    page.get_by_role("link", name="second", exact=True).click()
    ready(page, "study")
    for name in ("Accept", "Reject", "Sign", "Comment", "Add", "Split", "Erase", "Amend"):
        assert page.get_by_role("button", name=name).count() == 0
    for key in ("a", "x", "m", "g", "d", "z", "k"):
        page.keyboard.press(key)
    assert page.locator("dialog").count() == 0
    assert page.locator("[data-score='reader-total']").get_attribute("data-value") == "36"
    assert page.locator("#user a").count() == 0
    row = next(row for row in store.worklist() if row.name == "second")
    assert row.review_id is None


def test_an_admin_turns_an_account_off_and_reads_of_it(page: Page, server: SharedServer) -> None:
    log_in(page, "adam")
    ready(page, "study")
    page.get_by_role("link", name="Users").click()
    ready(page, "users")
    page.fill("#new-name", "neu")
    page.fill("#new-display", "Dr. <b>Neu</b>")
    page.fill("#new-secret", PASSWORD)
    page.get_by_role("button", name="Add").click()
    row = page.locator("tr[data-user=neu]")
    row.get_by_role("button", name="Disable").click()
    row.get_by_role("button", name="Enable").wait_for()
    account = server.door.accounts.named("neu")
    assert (account.is_enabled, account.role.value, account.display_name) == (False, "reader", "Dr. <b>Neu</b>")
    page.get_by_role("link", name="Audit").click()
    ready(page, "audit")
    actions = page.locator("tr[data-action]")
    assert [actions.nth(n).get_attribute("data-action") for n in range(3)] == ["view_audit", "disable_user", "add_user"]
    assert page.locator("tr[data-user=adam] button").count() == 0


def test_a_session_that_ended_leads_back_to_the_door_and_then_to_the_study(page: Page, server: SharedServer) -> None:
    log_in(page, "vera")
    ready(page, "study")
    server.door.accounts.set_password(server.door.accounts.named("vera"), "another four random words", actor="test")
    page.keyboard.press("w")
    log_in(page, "vera", "another four random words")
    ready(page, "worklist")
