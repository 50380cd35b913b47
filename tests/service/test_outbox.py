from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from calcmap.core.errors import NotInStoreError, OutputError, ReviewError, StoreError
from calcmap.service import making
from calcmap.service.courier import Courier
from calcmap.service.destinations import FolderDestination
from calcmap.service.outbox import NOT_OPEN, DeliveryPolicy, Outbox
from calcmap.service.reviewing import Reviewing
from calcmap.service.store import Store, open_store
from calcmap.service.store_outbox import Outcome, ReportObject
from calcmap.service.verified_reports import NO_DICOM
from service.outgoing import CLINIC, POLICY, SIGNER, Clock, Place, amend, sign, work
from service.stored_studies import READER, add_chest

ACCEPTED, LATER, REFUSED = Outcome.ACCEPTED, Outcome.LATER, Outcome.REFUSED


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def outbox_of(tmp_path: Path, database_url: str | None, clock: Clock) -> Callable[..., Outbox]:
    """Return what opens the test's store, with a way out to some places."""
    opened: list[Store] = []

    def open_outbox(*places: Place, policy: DeliveryPolicy = POLICY) -> Outbox:
        opened.append(open_store(tmp_path / "store", url=database_url, clock=clock))
        return Outbox(opened[-1], places, organization=CLINIC, policy=policy)

    yield open_outbox  # type: ignore[misc]
    for store in opened:
        store.close()


def said(outbox: Outbox, review_id: int) -> list[tuple[object, ...]]:
    """Return state, reason and number of attempts of every delivery."""
    return [
        (each.delivery.state.value, each.delivery.reason, each.delivery.n_attempts)
        for each in outbox.status(review_id).deliveries
    ]


def test_a_signature_sets_its_delivery_going_and_waits_for_none(outbox_of: Callable[..., Outbox]) -> None:
    place = Place()
    outbox = outbox_of(place)
    review_id = sign(outbox, add_chest(outbox.store).result_id)
    assert outbox.has_news.is_set()
    status = outbox.status(review_id).as_json()
    assert (status["state"], status["is_pending"], status["organization"]) == ("waiting", True, CLINIC)
    assert place.seen == []
    assert work(outbox) == 2
    # the chest of these tests has no DICOM files: what needs none goes out all the same
    status = outbox.status(review_id).as_json()
    assert (status["state"], status["reason"], status["n_dicom"]) == ("refused", NO_DICOM, 0)
    assert (said(outbox, review_id), place.seen) == ([("sent", None, 1)], [["result.json"]])
    assert (status["is_pending"], work(outbox)) == (False, 0)
    outbox.store.check()


def test_signature_and_delivery_are_there_together_or_not_at_all(
    outbox_of: Callable[..., Outbox], monkeypatch: pytest.MonkeyPatch
) -> None:
    outbox = outbox_of(Place())
    result_id = add_chest(outbox.store).result_id

    def fail(*_: object, **__: object) -> None:
        raise StoreError("the disk is full")

    with monkeypatch.context() as patched:
        patched.setattr("calcmap.service.store_outbox.ask", fail)
        with pytest.raises(StoreError, match="disk is full"):
            sign(outbox, result_id)
    assert outbox.store.open_review(result_id, actor=READER).state == "open"
    assert outbox.status(sign(outbox, result_id)).is_pending


def test_an_attempt_that_fails_is_repeated_at_growing_intervals(outbox_of: Callable[..., Outbox], clock: Clock) -> None:
    place = Place(["connection refused"] * 4)
    outbox = outbox_of(place)
    review_id = sign(outbox, add_chest(outbox.store).result_id)
    waits = []
    work(outbox)
    while len(place.seen) < 5:
        (delivery,) = outbox.status(review_id).as_json()["deliveries"]  # type: ignore[misc]
        assert delivery["state"] == "waiting"  # type: ignore[call-overload,index]
        assert delivery["reason"] == "connection refused"  # type: ignore[call-overload,index]
        waits.append(delivery["wait_s"])  # type: ignore[call-overload,index]
        clock.turn(waits[-1] - 1)
        assert work(outbox) == 0
        clock.turn(1)
        assert work(outbox) == 1
    assert waits == [30.0, 60.0, 120.0, 120.0]
    assert said(outbox, review_id) == [("sent", None, 5)]
    words = [each.receipt.words for each in outbox.status(review_id).deliveries[0].receipts]
    assert words == ["connection refused"] * 4 + ["accepted"]


def test_what_never_arrives_is_given_up_with_its_reason_and_can_be_sent_again(
    outbox_of: Callable[..., Outbox], clock: Clock
) -> None:
    place = Place(["connection refused"] * 99)
    outbox = outbox_of(place)
    review_id = sign(outbox, add_chest(outbox.store).result_id)
    for _ in range(7):
        work(outbox)
        clock.turn(120)
    ((state, reason, n_attempts),) = said(outbox, review_id)
    assert (state, reason) == ("dead", "connection refused")
    assert work(outbox) == 0
    place.answers.clear()
    assert outbox.send_again(review_id, actor=READER).is_pending
    work(outbox)
    assert said(outbox, review_id) == [("sent", None, n_attempts + 1)]  # type: ignore[operator]
    actions = [event.action for event in outbox.store.audit_events(subject=f"review:{review_id}")]
    # what there was no DICOM of is made anew: the reason may have gone
    assert actions[-4:] == ["deliver", "send_again", "make_reports", "deliver"]


def test_only_what_was_not_taken_is_sent_again(outbox_of: Callable[..., Outbox], clock: Clock) -> None:
    place = Place([[LATER, ACCEPTED, REFUSED], [ACCEPTED, REFUSED]])
    outbox = outbox_of(place)
    review_id = sign(outbox, add_chest(outbox.store).result_id)
    store = outbox.store
    with store.database.writing() as connection:
        for name in ("seg.dcm", "sr.dcm"):
            connection.exec_driver_sql(
                "INSERT INTO report_object (set_id, name, sha256, sop_instance_uid) "
                f"VALUES (1, '{name}', '{store.contents.put(name.encode())}', '1.2.{len(name)}')"
            )
    work(outbox)
    clock.turn(30)
    work(outbox)
    assert place.seen == [["seg.dcm", "sr.dcm", "result.json"], ["seg.dcm", "result.json"]]
    assert said(outbox, review_id) == [("dead", "result.json: refused", 2)]
    outbox.send_again(review_id, actor=READER)
    work(outbox)
    assert place.seen[2] == ["seg.dcm", "sr.dcm", "result.json"]
    event = [event for event in store.audit_events() if event.action == "deliver"][-1]
    detail = json.loads(event.detail_json)
    assert (detail["state"], detail["n_accepted"], detail["attempt"]) == ("sent", 3, 3)


def test_every_place_has_its_own_delivery_and_one_that_is_not_open_waits(outbox_of: Callable[..., Outbox]) -> None:
    first = outbox_of(Place(name="near"), Place(["no connection"], name="far"))
    review_id = sign(first, add_chest(first.store).result_id)
    work(first)
    assert [each[0] for each in said(first, review_id)] == ["sent", "waiting"]
    later = outbox_of(Place(name="near"))
    status = later.status(review_id).as_json()
    _, far = status["deliveries"]  # type: ignore[misc]
    assert (far["reason"], far["wait_s"], status["is_pending"]) == (NOT_OPEN, None, False)  # type: ignore[call-overload,index]


def test_an_amendment_goes_out_after_what_it_amends(outbox_of: Callable[..., Outbox], clock: Clock) -> None:
    place = Place()
    outbox = outbox_of(place)
    first = sign(outbox, add_chest(outbox.store).result_id)
    lost = outbox.store.machine_result(1)[0].labels_sha256
    assert lost
    path = outbox.store.contents.path_of(lost)
    path.rename(path.with_suffix(".away"))
    work(outbox)
    status = outbox.status(first)
    assert status.report_set is not None
    assert "cannot be read" in (status.report_set.reason or "")
    path.with_suffix(".away").rename(path)
    second = amend(outbox, first)
    assert work(outbox) == 0  # the amendment waits for the first
    clock.turn(30)
    assert work(outbox) == 4
    assert [said(outbox, each) for each in (first, second)] == [[("sent", None, 1)]] * 2
    assert [each.action for each in outbox.store.audit_events() if each.action == "make_reports"] == [
        "make_reports"
    ] * 2


def test_what_can_never_be_made_is_given_up(outbox_of: Callable[..., Outbox], clock: Clock) -> None:
    outbox = outbox_of(Place())
    review_id = sign(outbox, add_chest(outbox.store).result_id)
    outbox.store.contents.path_of(outbox.store.machine_result(1)[0].labels_sha256 or "").unlink()
    for _ in range(7):
        work(outbox)
        clock.turn(120)
    status = outbox.status(review_id).as_json()
    assert (status["state"], status["is_pending"]) == ("refused", False)
    assert said(outbox, review_id) == [("dead", f"nothing to send: {status['reason']}", 1)]


def test_work_that_a_dead_process_held_is_taken_up_when_its_claim_ends(
    outbox_of: Callable[..., Outbox], clock: Clock
) -> None:
    dead, alive = outbox_of(Place()), outbox_of(Place())
    review_id = sign(dead, add_chest(dead.store).result_id)
    with dead.store.database.writing() as connection:
        assert making.take_set(connection, dead.new_claim()) is not None
    assert work(alive) == 0
    clock.turn(POLICY.claim_s)
    assert work(alive) == 2
    assert said(alive, review_id) == [("sent", None, 1)]


def test_two_couriers_do_each_piece_of_work_once(outbox_of: Callable[..., Outbox]) -> None:
    place = Place()
    outboxes = [outbox_of(place) for _ in range(3)]
    review_ids = [sign(outboxes[0], add_chest(outboxes[0].store, input_sha256=f"{n}" * 64).result_id) for n in range(4)]
    threads = [threading.Thread(target=work, args=(outbox,)) for outbox in outboxes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    work(outboxes[0])
    assert [said(outboxes[0], each) for each in review_ids] == [[("sent", None, 1)]] * 4
    assert len(place.seen) == 4


def test_a_clock_that_went_back_holds_nothing_up(outbox_of: Callable[..., Outbox], clock: Clock) -> None:
    place = Place(["no connection"])
    outbox = outbox_of(place)
    clock.turn(86_400)
    review_id = sign(outbox, add_chest(outbox.store).result_id)
    work(outbox)
    clock.turn(-86_400)
    work(outbox)
    assert said(outbox, review_id) == [("sent", None, 2)]


def test_a_courier_in_a_thread_delivers_soon_after_the_signature(tmp_path: Path) -> None:
    store, place = open_store(tmp_path / "store"), Place()
    outbox = Outbox(store, [place], policy=replace(POLICY, poll_s=30.0))
    with Courier(outbox):
        review_id = sign(outbox, add_chest(store).result_id)
        until = time.monotonic() + 20
        while outbox.status(review_id).is_pending and time.monotonic() < until:
            time.sleep(0.02)
    assert place.seen == [["result.json"]]
    store.close()


def test_a_courier_lives_through_a_store_that_fails_and_through_a_defect(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, place = open_store(tmp_path / "store"), Place()
    outbox = Outbox(store, [place], policy=POLICY)
    review_id = sign(outbox, add_chest(store).result_id)
    troubles: list[Exception] = [StoreError("the database refused"), ZeroDivisionError("secret")]
    make_next = making.make_next

    def make_or_fail(given: Outbox) -> bool:
        if troubles:
            raise troubles.pop(0)
        return make_next(given)

    monkeypatch.setattr("calcmap.service.courier.make_next", make_or_fail)
    with Courier(outbox):
        until = time.monotonic() + 20
        while outbox.status(review_id).is_pending and time.monotonic() < until:
            time.sleep(0.02)
    assert said(outbox, review_id) == [("sent", None, 1)]
    lines = [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]
    assert lines == [
        "the outbox waits for the store: the database refused",
        "the outbox met a defect: ZeroDivisionError",
    ]
    store.close()


def test_a_destination_with_a_defect_is_tried_again(tmp_path: Path) -> None:
    class Broken(Place):
        def deliver(self, parcel: object) -> object:  # type: ignore[override]
            raise ZeroDivisionError("secret")

    store = open_store(tmp_path / "store", clock=Clock())
    outbox = Outbox(store, [Broken()], policy=POLICY)
    review_id = sign(outbox, add_chest(store).result_id)
    work(outbox)
    assert said(outbox, review_id) == [("waiting", "unexpected ZeroDivisionError", 1)]
    store.close()


def test_an_attempt_whose_claim_was_taken_over_changes_nothing(tmp_path: Path) -> None:
    store = open_store(tmp_path / "store", clock=Clock())

    class Slow(Place):
        def deliver(self, parcel):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
            with store.database.writing() as connection:
                connection.exec_driver_sql("UPDATE delivery SET claim = 'another'")
            yield from super().deliver(parcel)

    outbox = Outbox(store, [Slow()], policy=POLICY)
    review_id = sign(outbox, add_chest(store).result_id)
    work(outbox)
    assert said(outbox, review_id) == [("waiting", None, 0)]
    assert "deliver" not in {event.action for event in store.audit_events()}
    store.close()


def test_only_what_is_signed_goes_out(tmp_path: Path) -> None:
    store = open_store(tmp_path / "store")
    outbox = Outbox(store, [Place()])
    review_id = store.open_review(add_chest(store).result_id, actor=READER).id
    assert outbox.status(review_id).as_json()["state"] is None
    with pytest.raises(ReviewError, match="is not signed"):
        outbox.send_again(review_id, actor=READER)
    with pytest.raises(NotInStoreError):
        outbox.send_again(99, actor=READER)
    with pytest.raises(ReviewError, match="nothing goes out in this run"):
        Reviewing(store).going_out()
    store.close()


def test_a_review_that_was_signed_before_there_was_a_way_out_can_be_sent(tmp_path: Path) -> None:
    store = open_store(tmp_path / "store")
    current = Reviewing(store)
    review_id = store.open_review(add_chest(store).result_id, actor=READER).id
    current.sign(review_id, revision=0, account=READER, name=SIGNER)
    outbox = Outbox(store, [Place()])
    assert outbox.status(review_id).deliveries == ()
    outbox.send_again(review_id, actor=READER)
    work(outbox)
    assert said(outbox, review_id) == [("sent", None, 1)]
    store.close()


def test_without_the_packages_for_reports_the_reason_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "calcmap.service.verified_reports", None)
    store = open_store(tmp_path / "store")
    outbox = Outbox(store, [Place()])
    review_id = sign(outbox, add_chest(store).result_id)
    work(outbox)
    status = outbox.status(review_id).as_json()
    assert (status["state"], status["reason"]) == ("refused", making.REPORTS_MISSING)
    monkeypatch.undo()
    outbox.send_again(review_id, actor=READER)
    work(outbox)
    assert outbox.status(review_id).as_json()["reason"] == NO_DICOM
    store.close()


@pytest.mark.parametrize("organization", ["", " ", "x" * 65, "a\\b", "a\nb"])
def test_an_organization_that_dicom_cannot_write_is_refused_at_the_start(tmp_path: Path, organization: str) -> None:
    store = open_store(tmp_path / "store")
    with pytest.raises(OutputError, match="expected 1 to 64 printable characters"):
        Outbox(store, [], organization=organization)
    store.close()


def test_a_folder_that_cannot_be_written_or_is_not_open_is_tried_again(tmp_path: Path) -> None:
    store = open_store(tmp_path / "store", clock=Clock())
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    for place, reason in (
        (FolderDestination({}), "the study is not in the results folder that is open now"),
        (FolderDestination({1: tmp_path / "file"}), "cannot write into the study's folder: Not a directory"),
    ):
        outbox = Outbox(store, [place], policy=POLICY)
        review_id = outbox.store.open_review(add_chest(store).result_id, actor=READER).id
        if store.review(review_id).state == "open":
            sign(outbox, 1)
        outbox.send_again(review_id, actor=READER)
        work(outbox)
        ((state, said_reason, _),) = said(outbox, review_id)
        assert (state, said_reason) == ("waiting", reason)
    assert FolderDestination({}).wants(ReportObject("a", "b"))
    store.close()
