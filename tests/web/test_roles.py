"""Who may do what on the page for several people: every route, every role."""

from __future__ import annotations

import json
import re
import socket
import ssl
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest
from fastapi.routing import APIRoute

from calcmap.core.errors import ConfigError
from calcmap.service.accounts_roles import Role
from calcmap.service.store import Store, open_store
from calcmap.service.store_studies import Identity, StoredResult
from calcmap.web import routes, user_routes
from calcmap.web.access import CSRF_HEADER
from calcmap.web.shared import SharedServer
from calcmap.web.user_access import OPEN_PATHS
from service.people import ADMIN, PASSWORD
from service.reviewed_chest import LAD
from web.page_studies import HTML_NAME, add_study
from web.shared_page import NAMES, enter, make_settings, shared, write_certificate

ANYBODY, SIGNED_IN = {"", *NAMES}, set(NAMES)
SEES, REVIEWS, ADMINS = {"vera", "rita", "adam"}, {"rita"}, {"adam"}
TABLE: dict[tuple[str, str], set[str]] = {
    ("GET", "/"): ANYBODY,
    ("GET", "/static/{name}"): ANYBODY,
    ("GET", "/login"): ANYBODY,
    ("GET", "/api/login"): ANYBODY,
    ("POST", "/api/login"): ANYBODY,
    ("GET", "/oidc/start"): ANYBODY,
    ("GET", "/oidc/callback"): ANYBODY,
    ("GET", "/api/session"): SIGNED_IN,
    ("POST", "/api/password"): SIGNED_IN,
    ("GET", "/api/worklist"): SEES,
    ("GET", "/api/results/{result_id}"): SEES,
    ("GET", "/api/results/{result_id}/review"): SEES,
    ("GET", "/api/results/{result_id}/heart"): SEES,
    ("POST", "/api/results/{result_id}/review"): REVIEWS,
    ("GET", "/api/reviews/{review_id}"): SEES,
    ("GET", "/api/reviews/{review_id}/heart"): SEES,
    ("GET", "/api/reviews/{review_id}/delivery"): SEES,
    ("POST", "/api/reviews/{review_id}/delivery"): REVIEWS,
    ("POST", "/api/reviews/{review_id}/edits"): REVIEWS,
    ("POST", "/api/reviews/{review_id}/sign"): REVIEWS,
    ("POST", "/api/reviews/{review_id}/amend"): REVIEWS,
    ("GET", "/api/studies/{study_id}/ct/{slice_index}"): SEES,
    ("GET", "/api/studies/{study_id}/overview"): SEES,
    ("GET", "/api/users"): ADMINS,
    ("POST", "/api/users"): ADMINS,
    ("POST", "/api/users/{account_id}"): ADMINS,
    ("GET", "/api/audit"): ADMINS,
    ("POST", "/api/logout"): SIGNED_IN,
}
"""Who is let through to each route; the empty name is somebody who did not log in."""


HEARD = ("calcmap", "uvicorn.error")
"""Logs that a server writes: that of requests is off, though pytest listens at it."""


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    opened = open_store(tmp_path_factory.mktemp("roles") / "store")
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def chest(store: Store) -> StoredResult:
    return add_study(store, "named", identity=Identity(patient_name=HTML_NAME, patient_id="PLANTED4711"))


@pytest.fixture(scope="module")
def server(store: Store, chest: StoredResult) -> Iterator[SharedServer]:
    with shared(store, make_settings(store.contents.folder.parent)) as running:
        yield running


@pytest.fixture
def visit(server: SharedServer) -> Iterator[Callable[..., httpx.Client]]:
    """Return what makes somebody's browser; named, they are logged in."""
    with ExitStack() as browsers:

        def come(name: str = "", **options: object) -> httpx.Client:
            base_url = f"http://localhost:{server.port}"
            client = browsers.enter_context(httpx.Client(base_url=base_url, timeout=30, **options))  # type: ignore[arg-type]
            if name:
                assert enter(client, name).status_code == 204
            else:
                client.headers[CSRF_HEADER] = "door"
            return client

        yield come


def test_the_table_knows_every_route() -> None:
    known = {
        (method, route.path)
        for router in (routes.router, user_routes.router)
        for route in router.routes
        if isinstance(route, APIRoute)
        for method in route.methods
    }
    assert known == set(TABLE)
    assert {path for (_, path), who in TABLE.items() if "" in who} - {"/static/{name}"} == OPEN_PATHS


@pytest.mark.parametrize("name", ["", *NAMES])
def test_every_route_lets_through_who_may_and_nobody_else(
    visit: Callable[..., httpx.Client], chest: StoredResult, name: str
) -> None:
    client = visit(name)
    for (method, path), who in TABLE.items():
        asked = re.sub(r"\{(\w+)\}", lambda found: "review.css" if found[1] == "name" else "99", path)
        answer = client.request(method, asked, **({"json": {}} if method == "POST" else {}))  # type: ignore[arg-type]
        is_refused = answer.status_code in (401, 403)
        assert is_refused is (name not in who), (method, path, name, answer.status_code)
        if is_refused:
            assert answer.json()["code"] == ("not_allowed" if name else "not_signed_in")
        assert answer.status_code < 500, (method, path, name)


def test_the_page_says_who_is_logged_in_and_what_they_may(visit: Callable[..., httpx.Client]) -> None:
    said = visit("vera").get("/api/session").json()
    assert (said["account"], said["name"], said["role"], said["rights"]) == ("vera", "Dr. vera", "viewer", ["see"])


def test_a_viewer_sees_a_study_that_nobody_reviewed_and_begins_nothing(
    visit: Callable[..., httpx.Client], store: Store
) -> None:
    stored = add_study(store, "untouched")
    client = visit("vera")
    shown = client.get(f"/api/results/{stored.result_id}/review").json()
    assert (shown["id"], shown["state"], shown["reader"]["agatston"]) == (0, "unbegun", shown["machine"]["agatston"])
    assert client.get(f"/api/results/{stored.result_id}/heart").content
    assert store.worklist_row(stored.result_id).review_id is None
    rita = visit("rita")
    begun = rita.post(f"/api/results/{stored.result_id}/review", json={}).json()
    edits = [{"kind": "reject", "voxel": list(LAD)}]
    rita.post(f"/api/reviews/{begun['id']}/edits", json={"revision": 0, "edits": edits})
    assert client.get(f"/api/results/{stored.result_id}/review").json()["revision"] == 1


def test_a_reader_signs_with_their_own_name_alone(visit: Callable[..., httpx.Client], store: Store) -> None:
    client = visit("rita")
    review = client.post(f"/api/results/{add_study(store, 'to sign').result_id}/review", json={}).json()
    path = f"/api/reviews/{review['id']}/sign"
    assert client.post(path, json={"revision": 0, "name": "Dr. Somebody Else"}).status_code == 422
    signed = client.post(path, json={"revision": 0}).json()
    assert (signed["signature"]["name"], signed["signature"]["account"]) == ("Dr. rita", "rita")


def test_every_view_of_a_patient_is_in_the_trail_and_no_patient(
    visit: Callable[..., httpx.Client], store: Store, chest: StoredResult, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    caplog.set_level("DEBUG", logger="calcmap")
    before = len(store.audit_events())
    client = visit("vera")
    client.get("/api/worklist", params={"q": "PLANTED"})
    client.get(f"/api/results/{chest.result_id}")
    for z in range(3):
        client.get(f"/api/studies/{chest.study_id}/ct/{z}")
    client.get("/api/studies/99/ct/0")
    client.post("/api/logout")
    events = store.audit_events()[before:]
    assert [(event.action, event.subject, event.actor) for event in events] == [
        ("login", "user:1", "vera"),
        ("view_worklist", "worklist", "vera"),
        ("view_study", f"study:{chest.study_id}", "vera"),
        ("view_images", f"study:{chest.study_id}", "vera"),
        ("logout", "user:1", "vera"),
    ]
    assert json.loads(events[1].detail_json) == {"studies": [chest.study_id]}
    logged = [record.getMessage() for record in caplog.records if record.name.startswith(HEARD)]
    told = str(events) + str(logged)
    assert [secret for secret in ("PLANTED", "Bold", PASSWORD, client.headers[CSRF_HEADER]) if secret in told] == [], (
        told
    )


def test_an_admin_reads_the_trail_page_by_page(visit: Callable[..., httpx.Client]) -> None:
    client = visit("adam")
    first = client.get("/api/audit", params={"limit": 2}).json()
    assert [event["action"] for event in first] == ["view_audit", "login"]
    then = client.get("/api/audit", params={"limit": 2, "before": first[-1]["number"]}).json()
    assert then[0]["number"] == first[-1]["number"] - 1
    of_adam = client.get("/api/audit", params={"actor": "adam", "subject": "user:3"}).json()
    assert {(event["actor"], event["subject"]) for event in of_adam} == {("adam", "user:3")}
    assert "sha256" not in first[0]


def test_an_admin_makes_and_changes_accounts_but_not_their_own(
    visit: Callable[..., httpx.Client], server: SharedServer
) -> None:
    client = visit("adam")
    new = {"name": "neu", "display_name": "Dr. Neu", "role": "viewer", "password": PASSWORD}
    assert client.post("/api/users", json=new | {"password": "short"}).status_code == 422
    made = client.post("/api/users", json=new)
    assert (made.status_code, made.json()["is_enabled"]) == (201, True)
    path = f"/api/users/{made.json()['id']}"
    visitor = visit("neu")
    assert visitor.get("/api/worklist").status_code == 200
    changed = client.post(path, json={"role": "reader", "is_enabled": False}).json()
    assert (changed["role"], changed["is_enabled"]) == ("reader", False)
    assert visitor.get("/api/worklist").status_code == 401
    assert enter(visitor, "neu").status_code == 401
    assert client.post(path, json={"is_enabled": True}).json()["is_enabled"] is True
    assert enter(visitor, "neu").status_code == 204
    own = server.door.accounts.named("adam")
    assert client.post(f"/api/users/{own.id}", json={"is_enabled": False}).status_code == 422
    assert client.post("/api/users/999", json={}).status_code == 422
    listed = {row["name"]: row for row in client.get("/api/users").json()}
    assert set(listed["neu"]) == {"id", "name", "display_name", "role", "is_enabled", "way"}


def test_the_cookie_is_the_browsers_alone_and_new_at_every_login(visit: Callable[..., httpx.Client]) -> None:
    client = visit()
    client.cookies.set(f"calcmap_{client.base_url.port}", "fixed", domain="localhost.local")
    cookie = enter(client, "rita").headers["set-cookie"]
    assert "fixed" not in cookie
    assert {part.strip().lower() for part in cookie.split(";")[1:]} == {"httponly", "path=/", "samesite=strict"}
    first = client.cookies[f"calcmap_{client.base_url.port}"]
    enter(client, "rita")
    second = client.cookies[f"calcmap_{client.base_url.port}"]
    assert first != second
    client.cookies.set(f"calcmap_{client.base_url.port}", first)
    assert (
        httpx.get(client.base_url.join("/api/session"), cookies={f"calcmap_{client.base_url.port}": first}).status_code
        == 401
    )


def test_logging_out_ends_the_session_itself(visit: Callable[..., httpx.Client], server: SharedServer) -> None:
    client = visit("rita")
    token = client.cookies[server.door.cookies.session]
    answer = client.post("/api/logout")
    assert (answer.status_code, client.cookies.get(server.door.cookies.session)) == (204, None)
    again = httpx.get(f"http://localhost:{server.port}/api/session", cookies={server.door.cookies.session: token})
    assert again.status_code == 401


def test_ones_own_password_is_changed_by_who_knows_it(visit: Callable[..., httpx.Client], server: SharedServer) -> None:
    server.door.accounts.add("pia", display_name="Pia", role=Role.READER, password=PASSWORD, actor=ADMIN)
    client, other = visit("pia"), visit("pia")
    assert client.post("/api/password", json={"old": "wrong", "new": "a new one of four"}).status_code == 422
    assert client.post("/api/password", json={"old": PASSWORD, "new": "a new one of four"}).status_code == 204
    assert (client.get("/api/session").status_code, other.get("/api/session").status_code) == (200, 401)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({CSRF_HEADER: "wrong"}, 403),
        ({CSRF_HEADER: ""}, 403),
        ({"origin": "https://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"host": "evil.example"}, 421),
    ],
)
def test_a_write_that_another_site_could_make_is_refused(
    visit: Callable[..., httpx.Client], headers: dict[str, str], status: int
) -> None:
    assert visit("rita").post("/api/logout", headers=headers).status_code == status


def test_nobody_is_logged_in_by_another_site(visit: Callable[..., httpx.Client]) -> None:
    client, asked = visit(), {"name": "rita", "password": PASSWORD}
    for headers in ({CSRF_HEADER: ""}, {"origin": "https://evil.example"}):
        assert client.post("/api/login", json=asked, headers=headers).status_code == 403
    own = {"origin": f"http://localhost:{client.base_url.port}"}
    assert client.post("/api/login", json=asked, headers=own).status_code == 204
    assert client.post("/api/login", json=asked | {"name": "x" * 5_000_000}).status_code == 413
    answer = client.post("/api/login", json=asked | {"more": "PLANTED"})
    assert (answer.status_code, "PLANTED" in answer.text) == (422, False)


def test_failures_are_answered_with_the_time_to_wait(visit: Callable[..., httpx.Client]) -> None:
    client = visit()
    answers = [enter(client, "someone.else", "wrong and wrong again") for _ in range(6)]
    assert [answer.status_code for answer in answers] == [401] * 5 + [429]
    assert int(answers[-1].headers["retry-after"]) in (1, 2)
    assert answers[-1].json()["code"] == "too_many_requests"
    assert enter(client, "rita").status_code == 204  # was here before


def test_requests_of_a_session_have_a_limit(store: Store) -> None:
    settings = make_settings(store.contents.folder.parent, limits={"burst": 8, "per_second": 0.5})
    with shared(store, settings) as running, httpx.Client(base_url=f"http://localhost:{running.port}") as client:
        enter(client, "rita")
        answers = [client.get("/api/session") for _ in range(9)]
        assert [answer.status_code for answer in answers[-3:]] == [200, 429, 429]
        assert int(answers[-1].headers["retry-after"]) >= 1
        enter(client, "vera")  # another session, another bucket
        assert client.get("/api/session").status_code == 200


def test_a_proxy_is_believed_and_nobody_else(store: Store) -> None:
    folder = store.contents.folder.parent
    behind = make_settings(folder, web={"trusted_proxies": ["127.0.0.1"], "public_url": "https://calcmap.example"})
    host = {"host": "calcmap.example", "x-forwarded-for": "203.0.113.9, 192.0.2.77", "x-forwarded-proto": "https"}
    with shared(store, behind) as running, httpx.Client(base_url=f"http://127.0.0.1:{running.port}") as client:
        client.headers.update(host)
        asked = {"name": "rita", "password": PASSWORD}
        answer = client.post("/api/login", json=asked, headers={CSRF_HEADER: "door"})
        assert (answer.status_code, answer.headers["strict-transport-security"]) == (204, "max-age=31536000")
        assert answer.headers["set-cookie"].startswith("__Host-calcmap=")
        assert "secure" in answer.headers["set-cookie"].lower()
        assert '"address":"192.0.2.77"' in store.audit_events(subject="user:2")[-1].detail_json
    strict = make_settings(folder, web={"trusted_proxies": ["192.0.2.1"], "public_url": "https://calcmap.example"})
    with shared(store, strict) as running:
        assert httpx.get(f"http://127.0.0.1:{running.port}/", headers=host).status_code == 403


def test_tls_is_spoken_from_1_2_on(store: Store, tmp_path: Path) -> None:
    settings = make_settings(store.contents.folder.parent, web=write_certificate(tmp_path))
    trust = ssl.create_default_context(cafile=str(tmp_path / "cert.pem"))
    with shared(store, settings) as running:
        with httpx.Client(base_url=f"https://localhost:{running.port}", verify=trust) as client:
            answer = client.get("/login")
            assert answer.headers["strict-transport-security"] == "max-age=31536000"
        for version, is_spoken in ((ssl.TLSVersion.TLSv1_1, False), (ssl.TLSVersion.TLSv1_2, True)):
            assert speaks(running.port, version) is is_spoken


def speaks(port: int, version: ssl.TLSVersion) -> bool:
    """Tell whether a handshake of a version succeeds."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings(action="ignore"):  # 1.1 is out of date: so it is
        context.minimum_version = context.maximum_version = version
    try:
        with socket.create_connection(("127.0.0.1", port)) as plain, context.wrap_socket(plain):
            return True
    except (ssl.SSLError, ConnectionError):
        return False


def test_files_that_are_no_certificate_are_named(store: Store, tmp_path: Path) -> None:
    files = write_certificate(tmp_path)
    (tmp_path / "key.pem").write_text("no key", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"cert\.pem and .*key\.pem are not a certificate and its key"):
        SharedServer(store, make_settings(tmp_path, web=files))


def test_without_passwords_the_provider_alone_lets_people_in(store: Store) -> None:
    oidc = {"issuer": "http://127.0.0.1:9", "client_id": "calcmap", "roles": {"a": "reader"}, "label": "Hospital"}
    settings = make_settings(store.contents.folder.parent, users={"passwords": False}, oidc=oidc)
    with shared(store, settings) as running, httpx.Client(base_url=f"http://localhost:{running.port}") as client:
        ways = client.get("/api/login").json()
        assert (ways["passwords"], ways["openid"]) == (False, "Hospital")
        assert enter(client, "rita").status_code == 403
        for path in ("/oidc/start", "/oidc/callback?code=1&state=2"):
            answer = client.get(path)
            assert (answer.status_code, answer.headers["location"]) == (303, "/login#not_signed_in")
