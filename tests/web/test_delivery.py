"""What the page tells of verified reports after a signature."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from calcmap.service.courier import Courier
from calcmap.service.outbox import Outbox
from calcmap.service.store import Store, open_store
from calcmap.service.verified_reports import NO_DICOM
from calcmap.web.access import CSRF_HEADER
from calcmap.web.local import LocalServer
from service.outgoing import POLICY, Place
from web.page_studies import add_study
from web.real_browser import Reader, real_browser
from web.served_page import served


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = open_store(tmp_path / "store")
    yield opened
    opened.close()


@pytest.fixture
def place() -> Place:
    return Place(["connection refused"], name="<b>PACS</b>@host:104")


@pytest.fixture
def outbox(store: Store, place: Place) -> Outbox:
    return Outbox(store, [place], policy=POLICY)


@pytest.fixture
def server(store: Store, outbox: Outbox) -> Iterator[LocalServer]:
    with served(store, outbox=outbox) as running:
        yield running


def test_what_became_of_a_signature_can_be_asked_and_sent_again(
    server: LocalServer, store: Store, outbox: Outbox
) -> None:
    result_id = add_study(store, "one").result_id
    with httpx.Client(base_url=server.address.partition("/?")[0], follow_redirects=True) as client:
        client.get(server.address)
        session = client.get("/api/session").json()
        client.headers[CSRF_HEADER] = session["csrf"]
        assert session["goes_out"] is True
        review = client.post(f"/api/results/{result_id}/review", json={}).json()
        path = f"/api/reviews/{review['id']}/delivery"
        assert client.get(path).json()["state"] is None
        assert client.post(path, json={}).status_code == 422  # not signed
        client.post(f"/api/reviews/{review['id']}/sign", json={"revision": 0, "name": "Reader"})
        assert client.get(path).json()["is_pending"]
        Courier(outbox).run_due()
        said = client.get(path).json()
        (delivery,) = said["deliveries"]
        assert (said["state"], said["reason"]) == ("refused", NO_DICOM)
        assert (delivery["state"], delivery["reason"]) == ("waiting", "connection refused")
        assert 0 < delivery["wait_s"] <= 30
        assert client.post(path, json={}).json()["is_pending"]
        Courier(outbox).run_due()
        assert client.get(path).json()["deliveries"][0]["state"] == "sent"
        assert client.get("/api/reviews/99/delivery").json()["state"] is None
        assert client.post("/api/reviews/99/delivery", json={}).status_code == 404


def test_a_run_without_destinations_says_that_nothing_goes_out(store: Store) -> None:
    with served(store) as server, httpx.Client(base_url=server.address.partition("/?")[0]) as client:
        client.get(server.address)
        assert client.get("/api/session").json()["goes_out"] is False
        answer = client.get("/api/reviews/1/delivery")
        assert (answer.status_code, answer.json()["code"]) == (422, "review_error")


def test_the_reader_sees_what_waits_and_tries_it_now(server: LocalServer, store: Store, outbox: Outbox) -> None:
    add_study(store, "one")
    with real_browser() as browser, Courier(outbox):
        reader = Reader(browser, server.address)
        reader.open("one")
        assert reader.page.locator("#delivery").count() == 0
        reader.press("g")
        reader.page.fill("#asked-text", "Zoë Müller")
        reader.press("Enter")
        waiting = reader.page.locator("#delivery .borderline")
        waiting.wait_for()
        assert "Waiting for <b>PACS</b>@host:104: connection refused; next try in" in waiting.inner_text()
        assert (
            "No DICOM reports: the scan did not come as DICOM" in reader.page.locator("#delivery .problem").inner_text()
        )
        reader.page.get_by_role("button", name="Try now").click()
        sent = reader.page.locator("#delivery .confident")
        sent.wait_for()
        assert sent.inner_text().startswith("Sent to <b>PACS</b>@host:104, 20")
        assert reader.page.get_by_role("button", name="Send again").is_enabled()
        reader.close()
        assert reader.complaints == []
