from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest

from calcmap.core.errors import ConfigError, StoreError
from calcmap.service.review_edits import SITE_CODES, Site
from calcmap.service.review_json import score_to_json
from calcmap.service.reviewing import Reviewing
from calcmap.service.store import Store, open_store
from calcmap.service.store_studies import Identity, NewResult, StoredResult
from calcmap.web.access import CSRF_HEADER, MAX_BODY_BYTES, new_access
from calcmap.web.files import page_files
from calcmap.web.local import LocalServer
from calcmap.web.problems import error_to_json
from service.reviewed_chest import LAD, MACHINE_SCORE, MISSED, RCA, TISSUE, reviewed_volume
from web.page_studies import HTML_NAME, add_no_calcium, add_refusal, add_study
from web.served_page import served

VOXEL_BYTES = 4 + 2 + 1 + 1 + 1


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    opened = open_store(tmp_path_factory.mktemp("web") / "store")
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def server(store: Store) -> Iterator[LocalServer]:
    with served(store) as running:
        yield running


@pytest.fixture(scope="module")
def client(server: LocalServer) -> Iterator[httpx.Client]:
    """Return a browser's session: it opened the printed address and read the header of writes."""
    with httpx.Client(base_url=f"http://127.0.0.1:{server.access.port}", follow_redirects=True) as opened:
        assert opened.get(server.address).status_code == 200
        opened.headers[CSRF_HEADER] = opened.get("/api/session").json()["csrf"]
        yield opened


@pytest.fixture
def chest(store: Store, request: pytest.FixtureRequest) -> StoredResult:
    return add_study(store, request.node.name)


@pytest.fixture
def bare(server: LocalServer) -> Iterator[httpx.Client]:
    """Return a client without a cookie."""
    with httpx.Client(base_url=f"http://127.0.0.1:{server.access.port}") as opened:
        yield opened


def start(client: httpx.Client, chest: StoredResult) -> dict:  # type: ignore[type-arg]
    answer = client.post(f"/api/results/{chest.result_id}/review", json={})
    assert answer.status_code == 200, answer.text
    return answer.json()  # type: ignore[no-any-return]


def send(client: httpx.Client, review: dict, *edits: dict, revision: int | None = None) -> httpx.Response:  # type: ignore[type-arg]
    seen = review["revision"] if revision is None else revision
    return client.post(f"/api/reviews/{review['id']}/edits", json={"revision": seen, "edits": list(edits)})


def test_the_printed_address_opens_the_page_and_leaves_no_token_in_it(server: LocalServer, bare: httpx.Client) -> None:
    answer = bare.get(server.address)
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert bare.get("/").headers["content-type"].startswith("text/html")
    assert "script-src 'self'" in bare.get("/").headers["content-security-policy"]
    assert "unsafe" not in bare.get("/").headers["content-security-policy"]
    assert bare.get("/").headers["cache-control"] == "no-store"


@pytest.mark.parametrize("path", ["/", "/static/review.js", "/api/session", "/api/worklist", "/?token=wrong", "/docs"])
def test_nothing_is_shown_without_the_token(bare: httpx.Client, path: str) -> None:
    assert bare.get(path).status_code == 401


def test_a_request_to_another_name_is_refused_even_with_the_cookie(client: httpx.Client) -> None:
    answer = client.get("/api/worklist", headers={"host": "evil.example:80"})
    assert answer.status_code == 421
    assert "content-security-policy" in answer.headers


def test_the_token_opens_nothing_but_by_reading(server: LocalServer, bare: httpx.Client) -> None:
    assert bare.post(server.address, json={}).status_code == 401


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({CSRF_HEADER: "wrong"}, 403),
        ({"origin": "http://evil.example"}, 403),
    ],
)
def test_a_write_that_another_site_could_make_is_refused(
    client: httpx.Client, chest: StoredResult, headers: dict[str, str], status: int
) -> None:
    answer = client.post(f"/api/results/{chest.result_id}/review", headers=headers, json={})
    assert answer.status_code == status


def test_a_huge_request_is_refused_unread(client: httpx.Client) -> None:
    assert client.post("/api/results/1/review", content=bytes(MAX_BODY_BYTES + 1)).status_code == 413


def test_secrets_stay_out_of_printed_forms() -> None:
    access = new_access(account="me", port=1)
    assert not {access.token, access.session, access.csrf} & set(str(access).replace("'", " ").split())
    assert access.token in access.address


def test_a_port_that_is_taken_is_named(server: LocalServer, store: Store) -> None:
    with pytest.raises(ConfigError, match=f"port {server.access.port}"):
        LocalServer(store, account="me", port=server.access.port)


def test_the_page_is_shipped_and_no_other_file_can_be_had(client: httpx.Client) -> None:
    assert {"index.html", "review.css", "review.js"} <= set(page_files())
    assert client.get("/static/review.js").headers["content-type"].startswith("text/javascript")
    for name in ("nothing.js", "..%2Froutes.py", "%2e%2e%2f__init__.py"):
        assert client.get(f"/static/{name}").status_code == 404
    markup = page_files()["index.html"].content.decode()
    assert "http" not in markup.replace("http-equiv", "")
    scripts = b"".join(file.content for name, file in page_files().items() if name.endswith(".js"))
    for way in (b"innerHTML", b"outerHTML", b"insertAdjacent", b"document.write", b"eval(", b"http://", b"https://"):
        assert way not in scripts


def test_a_study_is_shown_with_its_patient_and_the_look_is_recorded(
    client: httpx.Client, server: LocalServer, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    stored = add_study(store, "named", identity=Identity(patient_name=HTML_NAME, patient_id="4711"))
    shown = client.get(f"/api/results/{stored.result_id}").json()
    assert shown["study"]["identity"]["patient_name"] == HTML_NAME
    assert shown["result"]["agatston"] == MACHINE_SCORE
    assert shown["scan"]["shape"] == [8, 60, 60]
    events = store.audit_events(subject=f"study:{stored.study_id}")
    assert (events[-1].action, events[-1].actor) == ("view_study", "reader-1")
    rows = client.get("/api/worklist").json()["rows"]
    assert {row["name"]: row["identity"]["patient_id"] for row in rows}["named"] == "4711"
    logged = [record.getMessage() for record in caplog.records if record.name.startswith(("calcmap", "uvicorn"))]
    assert not any(secret in line for secret in ("Bold", server.access.token, "4711") for line in logged)


def test_slices_and_heart_arrive_as_they_are(client: httpx.Client, chest: StoredResult) -> None:
    review = start(client, chest)
    volume = reviewed_volume()
    for z in (0, 4, 7):
        answer = client.get(f"/api/studies/{chest.study_id}/ct/{z}")
        assert answer.headers["content-encoding"] == "gzip"
        np.testing.assert_array_equal(np.frombuffer(answer.content, "<i2"), volume.ct_hu_zyx[z].reshape(-1))
    for z in (-1, 8):
        assert client.get(f"/api/studies/{chest.study_id}/ct/{z}").status_code in (404, 422)
    bits = np.frombuffer(client.get(f"/api/reviews/{review['id']}/heart").content, np.uint8)
    is_heart = np.unpackbits(bits, bitorder="little")[: volume.ct_hu_zyx.size].reshape(volume.ct_hu_zyx.shape)
    assert is_heart[0, 20, 20] == 1
    assert is_heart[0, 5, 5] == 0


def test_the_packed_calcium_names_lesion_site_and_mark_of_each_voxel(client: httpx.Client, chest: StoredResult) -> None:
    review = send(client, start(client, chest), {"kind": "reject", "voxel": list(RCA)}).json()
    packed = base64.b64decode(review["calcium"])
    n = len(packed) // VOXEL_BYTES
    index, lesion = np.frombuffer(packed[: 4 * n], "<u4"), np.frombuffer(packed[4 * n : 6 * n], "<u2")
    label, site, mark = np.frombuffer(packed[6 * n :], np.uint8).reshape(3, n)
    at = {int(place): k for k, place in enumerate(index)}
    lad, rca = (at[int(np.ravel_multi_index(voxel, (8, 60, 60)))] for voxel in (LAD, RCA))
    both = [*review["reader"]["lesions"], *review["reader"]["rejected"]]
    assert both[lesion[lad] - 1]["site"] == "LAD"
    assert both[lesion[rca] - 1]["mark"] == "rejected"
    assert (label[lad], site[lad], mark[lad], mark[rca]) == (2, SITE_CODES[Site.LAD], 0, 2)


def test_every_edit_answers_with_the_score_that_python_computes(
    client: httpx.Client, store: Store, chest: StoredResult
) -> None:
    review = start(client, chest)
    assert review["machine"]["agatston"] == MACHINE_SCORE
    brushed = [[40, 20], [41, 20]]
    for each in (
        {"kind": "relabel", "voxel": list(LAD), "site": "LM"},
        {"kind": "reject", "voxel": list(RCA)},
        {"kind": "add", "voxel": list(MISSED), "site": "LCx"},
        {"kind": "undo"},
        {"kind": "undo"},
        {"kind": "split", "slice": 4, "pixels": brushed, "site": "annulus"},
        {"kind": "erase", "slice": 4, "pixels": brushed},
        {"kind": "comment", "text": "of <i>doubtful</i> quality"},
    ):
        answer = send(client, review, each)
        assert answer.status_code == 200, answer.text
        review = answer.json()
        again = Reviewing(store).current(review["id"])
        assert review["reader"] == score_to_json(again.review.score)
    assert review["revision"] == 8
    assert review["comments"] == ["of <i>doubtful</i> quality"]
    assert review["log"][5]["edit"] == {"kind": "split", "slice": 4, "pixels": 2, "site": "annulus"}
    assert client.get(f"/api/reviews/{review['id']}").json()["reader"] == review["reader"]


def test_a_second_reader_is_told_what_the_first_one_saved(client: httpx.Client, chest: StoredResult) -> None:
    review = start(client, chest)
    assert send(client, review, {"kind": "reject", "voxel": list(LAD)}).status_code == 200
    late = send(client, review, {"kind": "accept", "voxel": list(LAD)})
    assert late.status_code == 409
    said = late.json()
    assert (said["code"], said["revision"]) == ("review_conflict", 1)
    assert [entry["edit"]["kind"] for entry in said["since"]] == ["reject"]
    late = client.post(f"/api/reviews/{review['id']}/sign", json={"revision": 0, "name": "Dr. Late"})
    assert late.json()["code"] == "review_conflict"


def test_a_signed_review_is_closed_until_it_is_amended(client: httpx.Client, chest: StoredResult) -> None:
    review = send(client, start(client, chest), {"kind": "reject", "voxel": list(RCA)}).json()
    signed = client.post(f"/api/reviews/{review['id']}/sign", json={"revision": 1, "name": "Dr. 山田"}).json()
    assert signed["state"] == "signed"
    assert signed["signature"]["name"] == "Dr. 山田"
    assert signed["signature"]["agatston"] == MACHINE_SCORE - 16.0
    assert send(client, signed, {"kind": "undo"}).json()["code"] == "review_signed"
    amended = client.post(f"/api/reviews/{review['id']}/amend", json={}).json()
    assert (amended["state"], amended["revision"], amended["number"]) == ("open", 1, 2)
    assert start(client, chest)["id"] == amended["id"]


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        ({"kind": "add", "voxel": list(TISSUE), "site": "LAD"}, "below 130 HU"),
        ({"kind": "reject", "voxel": [0, 0, 0]}, "no lesion"),
        ({"kind": "jump"}, "kind"),
        ({"kind": "relabel", "voxel": list(LAD), "site": "<b>"}, "no site"),
    ],
)
def test_an_edit_that_makes_no_sense_is_refused_in_words(
    client: httpx.Client,
    chest: StoredResult,
    edit: dict,  # type: ignore[type-arg]
    words: str,
) -> None:
    answer = send(client, start(client, chest), edit)
    assert answer.status_code == 422
    assert words in answer.json()["error"]


def test_a_request_of_another_form_is_refused_without_repeating_it(client: httpx.Client, chest: StoredResult) -> None:
    review = start(client, chest)
    answer = client.post(f"/api/reviews/{review['id']}/edits", json={"revision": "PLANTED", "edits": 1})
    assert answer.status_code == 422
    assert "PLANTED" not in answer.text


def test_what_is_not_there_is_said(client: httpx.Client, store: Store, chest: StoredResult) -> None:
    for path in ("/api/results/99999", "/api/reviews/99999", f"/api/studies/{chest.study_id}/overview"):
        assert client.get(path).status_code == 404
    assert client.get("/api/studies/99999/ct/0").json()["code"] == "not_in_store"
    imageless = add_study(store, "imageless", has_images=False)
    assert client.get(f"/api/results/{imageless.result_id}").json()["scan"] is None
    assert client.post(f"/api/results/{imageless.result_id}/review", json={}).status_code == 404


def test_a_refusal_and_a_study_without_calcium_are_told_apart(client: httpx.Client, store: Store) -> None:
    refused, clear = add_refusal(store, "refused"), add_no_calcium(store, "clear")
    shown = client.get(f"/api/results/{refused.result_id}").json()
    assert (shown["result"]["status"], shown["result"]["agatston"]) == ("refused", None)
    review = start(client, clear)
    assert (review["reader"]["agatston"], review["reader"]["lesions"]) == (0.0, [])
    added = send(client, review, {"kind": "add", "voxel": list(MISSED), "site": "RCA"}).json()
    assert added["reader"]["agatston"] == 18.0


def test_the_picture_of_a_study_is_served(client: httpx.Client, store: Store, chest: StoredResult) -> None:
    stored, _ = store.machine_result(chest.result_id)
    picture = store.contents.put(b"\x89PNG picture")
    again = NewResult(
        "pictured", json.loads(stored.result_json), contents={("overview", "overview.png"): picture}, identity=None
    )
    added = store.add_result(again, actor="node")
    answer = client.get(f"/api/studies/{added.study_id}/overview")
    assert (answer.content, answer.headers["content-type"]) == (b"\x89PNG picture", "image/png")


def test_defects_of_the_store_and_of_ours_are_answered_without_a_traceback(
    client: httpx.Client, server: LocalServer, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(kind: type[Exception]) -> None:
        def worklist(self: Store, query: object) -> list[object]:
            raise kind("the disk is full")

        monkeypatch.setattr(Store, "worklist_page", worklist)

    fail(StoreError)
    answer = client.get("/api/worklist")
    assert (answer.status_code, answer.json()["code"]) == (500, "store_error")
    fail(KeyError)
    answer = client.get("/api/worklist")
    assert (answer.status_code, answer.json()["code"]) == (500, "internal_error")
    assert "disk" not in answer.text


def test_an_error_is_told_by_code_and_words() -> None:
    assert error_to_json(StoreError("no room")) == {"code": "store_error", "error": "no room"}


def test_a_server_stops_when_told_and_frees_its_port(tmp_path: Path) -> None:
    store = open_store(tmp_path / "store")
    try:
        with served(store) as running:
            port = running.access.port
        again = LocalServer(store, account="me", port=port)
        assert again.access.port == port
        again.close()
    finally:
        store.close()
