"""Rows of what goes out: sets of reports, their objects, deliveries and receipts.

A set is asked for in the transaction of what it tells of, and made and delivered later, by whoever claims it. A claim
ends by itself, so work that a killed process began is taken up again. Each function works inside a transaction that
the store or the outbox opens.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import ColumnElement, Connection, Table, and_, func, insert, or_, select, update

from calcmap.core.result import JsonValue
from calcmap.service.store_audit import append_event, sha256_of
from calcmap.service.store_tables import DELIVERY, DELIVERY_RECEIPT, REPORT_OBJECT, REPORT_SET, REVIEW

NOBODY = ""
"""In a claim's place: it is free."""


class SetState(StrEnum):
    """How far a set of reports is."""

    WAITING = "waiting"
    """To be made, now or later."""
    MADE = "made"
    REFUSED = "refused"
    """There are no DICOM objects, and a reason; what needs no DICOM goes out all the same."""


class DeliveryState(StrEnum):
    """How far a set is on its way to one destination."""

    WAITING = "waiting"
    """To be sent, now or later."""
    SENT = "sent"
    """All of it was taken."""
    DEAD = "dead"
    """Given up or refused for good, with the reason; a reader can send it again."""


class Outcome(StrEnum):
    """What a destination said of one object."""

    ACCEPTED = "accepted"
    LATER = "later"
    """Not now: it will be tried again."""
    REFUSED = "refused"
    """Not this object, however often it comes."""


@dataclass(frozen=True)
class Outgoing:
    """What a signature sets going.

    Parameters
    ----------
    organization : str
        Where the verifier works.
    destinations : tuple of str
        Names of the places that the reports go to.
    """

    organization: str
    destinations: tuple[str, ...]


@dataclass(frozen=True)
class Claim:
    """Work that one process does until a moment, after which another may take it."""

    token: str
    now_utc: str
    until_utc: str
    latest_utc: str
    """A next try after this moment was written by a clock that went wrong: it is due."""


@dataclass(frozen=True)
class ReportObject:
    """One file of a set, as content of the store; of DICOM objects with what they are referred to by."""

    name: str
    sha256: str
    sop_class_uid: str | None = None
    sop_instance_uid: str | None = None
    study_uid: str | None = None
    series_uid: str | None = None


@dataclass(frozen=True)
class ReportSet:
    """A set of reports as stored; ``review_id`` is ``None`` for the machine's own, unverified ones."""

    id: int
    result_id: int
    review_id: int | None
    organization: str
    state: SetState
    reason: str | None
    n_attempts: int
    next_try_utc: str
    asked_utc: str
    ended_utc: str | None


@dataclass(frozen=True)
class Delivery:
    """A set on its way to one destination, as stored."""

    id: int
    set_id: int
    destination: str
    state: DeliveryState
    reason: str | None
    n_attempts: int
    since_attempt: int
    """Objects that were taken in this attempt or a later one need not be sent any more."""
    next_try_utc: str
    asked_utc: str
    ended_utc: str | None


@dataclass(frozen=True)
class Receipt:
    """What became of one object in one attempt; without a name, of the attempt as a whole.

    Parameters
    ----------
    outcome : Outcome
        Taken, refused, or to be tried again.
    words : str
        For a reader.
    name, sop_instance_uid : str or None
        The object.
    status : int or None
        As DICOM or HTTP has it.
    place : str
        Where it lies now, if the destination says so.
    """

    outcome: Outcome
    words: str
    name: str | None = None
    sop_instance_uid: str | None = None
    status: int | None = None
    place: str = ""


@dataclass(frozen=True)
class StoredReceipt:
    """A receipt with its attempt and time."""

    attempt: int
    time_utc: str
    receipt: Receipt


def seconds_later(utc: str, seconds: float) -> str:
    """Return a moment as the store writes it, some seconds after another."""
    return (datetime.fromisoformat(utc) + timedelta(seconds=seconds)).isoformat(timespec="microseconds")


def seconds_between(earlier_utc: str, later_utc: str) -> float:
    """Return the seconds from one moment to another, as the store writes them; negative when it came before."""
    return (datetime.fromisoformat(later_utc) - datetime.fromisoformat(earlier_utc)).total_seconds()


def ask(connection: Connection, result_id: int, review_id: int, outgoing: Outgoing, *, time_utc: str) -> int:
    """Return the set of a signed review that is to be made and delivered from now on, whatever became of it before.

    A set that was made is not made again: it is delivered again, whole. One that was refused is tried anew.
    """
    found = find_set(connection, review_id)
    waiting = {"state": SetState.WAITING, "reason": None, "ended_utc": None} | _from_now(time_utc)
    if found is None:
        row = waiting | {"result_id": result_id, "review_id": review_id, "organization": outgoing.organization}
        set_id = _insert_id(connection, REPORT_SET, row)
    else:
        set_id = found.id
        if found.state is SetState.REFUSED:
            row = waiting | {"organization": outgoing.organization}
            connection.execute(update(REPORT_SET).where(REPORT_SET.c.id == set_id).values(row))
    for destination in outgoing.destinations:
        _ask_delivery(connection, set_id, destination, time_utc)
    return set_id


def find_set(connection: Connection, review_id: int) -> ReportSet | None:
    """Return the set of a review, ``None`` where none was asked for."""
    return _first_set(connection, REPORT_SET.c.review_id == review_id)


def find_earlier_sets(connection: Connection, result_id: int, *, number: int) -> tuple[ReportSet, ...]:
    """Return the sets of a result's reviews before the one of a number, the newest first."""
    query = select(REVIEW.c.id).where(REVIEW.c.result_id == result_id, REVIEW.c.number < number)
    earlier = connection.execute(query.order_by(REVIEW.c.number.desc())).scalars().all()
    found = (find_set(connection, review_id) for review_id in earlier)
    return tuple(each for each in found if each is not None)


def find_machine_set(connection: Connection, result_id: int) -> tuple[ReportSet, ...]:
    """Return the newest unverified set of a machine result; empty where none is known."""
    which = and_(REPORT_SET.c.result_id == result_id, REPORT_SET.c.review_id.is_(None))
    found = _first_set(connection, which)
    return () if found is None else (found,)


def read_objects(connection: Connection, set_id: int) -> tuple[ReportObject, ...]:
    """Return the objects of a set in the order of their names."""
    columns = [REPORT_OBJECT.c[name] for name in ReportObject.__dataclass_fields__]
    rows = connection.execute(select(*columns).where(REPORT_OBJECT.c.set_id == set_id).order_by(REPORT_OBJECT.c.name))
    return tuple(ReportObject(**row) for row in rows.mappings())


def add_machine_set(
    connection: Connection, result_id: int, objects: Sequence[ReportObject], *, actor: str, time_utc: str
) -> int:
    """Return the set of the unverified reports of a machine result, written down unless the newest one is the same."""
    for newest in find_machine_set(connection, result_id):
        if set(read_objects(connection, newest.id)) == set(objects):
            return newest.id
    row = _from_now(time_utc) | {"result_id": result_id, "organization": "", "state": SetState.MADE}
    set_id = _insert_id(connection, REPORT_SET, row | {"ended_utc": time_utc})
    _insert_objects(connection, set_id, objects)
    append_event(
        connection,
        "add_reports",
        subject=f"result:{result_id}",
        actor=actor,
        time_utc=time_utc,
        detail=_objects_detail(objects),
    )
    return set_id


def take_set(connection: Connection, claim: Claim) -> ReportSet | None:
    """Claim the oldest set that is to be made now, ``None`` when there is none.

    A set waits for the earlier ones of its result: an amendment names what it follows.
    """
    earlier = REPORT_SET.alias()
    is_first = ~(
        select(earlier.c.id)
        .where(
            earlier.c.result_id == REPORT_SET.c.result_id,
            earlier.c.id < REPORT_SET.c.id,
            earlier.c.state == SetState.WAITING,
        )
        .exists()
    )
    row_id = _take(connection, REPORT_SET, claim, and_(REPORT_SET.c.state == SetState.WAITING, is_first))
    return None if row_id is None else _first_set(connection, REPORT_SET.c.id == row_id)


def take_delivery(
    connection: Connection, claim: Claim, *, destinations: Collection[str]
) -> tuple[Delivery, ReportSet] | None:
    """Claim the oldest delivery to one of these destinations that is due, ``None`` when there is none."""
    is_over = select(REPORT_SET.c.id).where(REPORT_SET.c.state != SetState.WAITING)
    is_wanted = and_(
        DELIVERY.c.state == DeliveryState.WAITING,
        DELIVERY.c.destination.in_(sorted(destinations)),
        DELIVERY.c.set_id.in_(is_over),
    )
    row_id = _take(connection, DELIVERY, claim, is_wanted)
    if row_id is None:
        return None
    (delivery,) = _deliveries(connection, DELIVERY.c.id == row_id)
    made = _first_set(connection, REPORT_SET.c.id == delivery.set_id)
    assert made is not None  # the database holds a delivery to its set
    return delivery, made


def keep_claim(connection: Connection, table: Table, row_id: int, claim: Claim, *, until_utc: str) -> bool:
    """Hold a claim until a later moment; ``False`` when another process has taken the work."""
    return _update_claimed(connection, table, row_id, claim, {"claimed_until_utc": until_utc})


def end_set(
    connection: Connection,
    made: ReportSet,
    claim: Claim,
    *,
    objects: Sequence[ReportObject],
    reason: str | None,
    time_utc: str,
) -> bool:
    """Write down what was made, and why there is no DICOM among it, if so; ``False`` when another process took over."""
    state = SetState.MADE if reason is None else SetState.REFUSED
    values = {"state": state, "reason": reason, "ended_utc": time_utc, "claim": NOBODY, "claimed_until_utc": time_utc}
    if not _update_claimed(connection, REPORT_SET, made.id, claim, values | {"n_attempts": made.n_attempts + 1}):
        return False
    known = {each.name for each in read_objects(connection, made.id)}
    _insert_objects(connection, made.id, [each for each in objects if each.name not in known])
    return True


def end_delivery(
    connection: Connection, delivery: Delivery, claim: Claim, state: DeliveryState, *, reason: str | None, time_utc: str
) -> bool:
    """Write down that a delivery is over; ``False`` when another process took over."""
    values = {"state": state, "reason": reason, "ended_utc": time_utc, "claim": NOBODY, "claimed_until_utc": time_utc}
    return _update_claimed(connection, DELIVERY, delivery.id, claim, values | {"n_attempts": delivery.n_attempts + 1})


def put_off(
    connection: Connection, table: Table, row: ReportSet | Delivery, claim: Claim, *, reason: str, next_try_utc: str
) -> bool:
    """Write down that an attempt failed and when the next one is; ``False`` when another process took over."""
    values = {"reason": reason, "next_try_utc": next_try_utc, "claim": NOBODY, "claimed_until_utc": next_try_utc}
    return _update_claimed(connection, table, row.id, claim, values | {"n_attempts": row.n_attempts + 1})


def add_receipt(connection: Connection, delivery: Delivery, receipt: Receipt, *, time_utc: str) -> None:
    """Write down what a destination said of one object in the attempt that is under way."""
    row = vars(receipt) | {"delivery_id": delivery.id, "attempt": delivery.n_attempts + 1, "time_utc": time_utc}
    connection.execute(insert(DELIVERY_RECEIPT).values(row))


def read_receipts(connection: Connection, delivery_id: int) -> tuple[StoredReceipt, ...]:
    """Return the receipts of a delivery, oldest first."""
    query = select(DELIVERY_RECEIPT).where(DELIVERY_RECEIPT.c.delivery_id == delivery_id)
    return tuple(
        StoredReceipt(
            row["attempt"],
            row["time_utc"],
            Receipt(
                Outcome(row["outcome"]),
                row["words"],
                row["name"],
                row["sop_instance_uid"],
                row["status"],
                row["place"],
            ),
        )
        for row in connection.execute(query.order_by(DELIVERY_RECEIPT.c.id)).mappings()
    )


def read_deliveries(connection: Connection, set_id: int) -> tuple[Delivery, ...]:
    """Return the deliveries of a set in the order in which they were asked for."""
    return tuple(_deliveries(connection, DELIVERY.c.set_id == set_id))


def next_due_utc(connection: Connection, destinations: Collection[str]) -> str | None:
    """Return when the next piece of work is due or free again, ``None`` when nothing waits."""
    queries = (
        select(func.min(REPORT_SET.c.next_try_utc)).where(REPORT_SET.c.state == SetState.WAITING),
        select(func.min(DELIVERY.c.next_try_utc)).where(
            DELIVERY.c.state == DeliveryState.WAITING, DELIVERY.c.destination.in_(sorted(destinations))
        ),
    )
    found = [connection.execute(query).scalar() for query in queries]
    return min((each for each in found if each is not None), default=None)


def object_sha256(row: ReportObject) -> str:
    """Return the hash by which the audit trail vouches for one object of a set."""
    return sha256_of(vars(row))


def audit_objects(
    connection: Connection,
    made: ReportSet,
    objects: Sequence[ReportObject],
    *,
    reason: str | None,
    actor: str,
    time_utc: str,
) -> None:
    """Write into the trail that a review's reports were made; the reason is in the set, not in the trail."""
    detail = _objects_detail(objects) | {"is_dicom": reason is None}
    subject = f"review:{made.review_id}"
    append_event(connection, "make_reports", subject=subject, actor=actor, time_utc=time_utc, detail=detail)


def uids_sha256(uids: Iterable[str]) -> str:
    """Return one hash over the UIDs of objects, in any order."""
    return sha256_of(sorted(uids))


def _objects_detail(objects: Sequence[ReportObject]) -> dict[str, JsonValue]:
    uids = [each.sop_instance_uid for each in objects if each.sop_instance_uid]
    return {"objects": [object_sha256(each) for each in objects], "sop_uids_sha256": uids_sha256(uids)}


def _from_now(time_utc: str) -> dict[str, object]:
    return {
        "n_attempts": 0,
        "next_try_utc": time_utc,
        "claim": NOBODY,
        "claimed_until_utc": time_utc,
        "asked_utc": time_utc,
    }


def _ask_delivery(connection: Connection, set_id: int, destination: str, time_utc: str) -> None:
    known = [each for each in read_deliveries(connection, set_id) if each.destination == destination]
    waiting = _from_now(time_utc) | {"state": DeliveryState.WAITING, "reason": None, "ended_utc": None}
    if not known:
        row = waiting | {"set_id": set_id, "destination": destination, "since_attempt": 1}
        connection.execute(insert(DELIVERY).values(row))
        return
    (present,) = known
    again = waiting | {"n_attempts": present.n_attempts}
    if present.state is not DeliveryState.WAITING:
        again |= {"since_attempt": present.n_attempts + 1}
    connection.execute(update(DELIVERY).where(DELIVERY.c.id == present.id).values(again))


def _insert_id(connection: Connection, table: Table, row: dict[str, object]) -> int:
    return int(connection.execute(insert(table).values(row).returning(table.c.id)).scalar_one())


def _insert_objects(connection: Connection, set_id: int, objects: Sequence[ReportObject]) -> None:
    if objects:
        connection.execute(insert(REPORT_OBJECT), [vars(each) | {"set_id": set_id} for each in objects])


def _take(connection: Connection, table: Table, claim: Claim, is_wanted: ColumnElement[bool]) -> int | None:
    is_due = or_(table.c.next_try_utc <= claim.now_utc, table.c.next_try_utc > claim.latest_utc)
    is_free = or_(
        table.c.claim == NOBODY,
        table.c.claimed_until_utc <= claim.now_utc,
        table.c.claimed_until_utc > claim.latest_utc,
    )
    query = select(table.c.id).where(is_wanted, is_due, is_free).order_by(table.c.next_try_utc, table.c.id).limit(1)
    row_id: int | None = connection.execute(query).scalar()
    if row_id is not None:
        values = {"claim": claim.token, "claimed_until_utc": claim.until_utc}
        connection.execute(update(table).where(table.c.id == row_id).values(values))
    return row_id


def _update_claimed(connection: Connection, table: Table, row_id: int, claim: Claim, values: dict[str, object]) -> bool:
    mine = connection.execute(update(table).where(table.c.id == row_id, table.c.claim == claim.token).values(values))
    return mine.rowcount == 1


def _first_set(connection: Connection, which: ColumnElement[bool]) -> ReportSet | None:
    columns = [REPORT_SET.c[name] for name in ReportSet.__dataclass_fields__]
    query = select(*columns).where(which).order_by(REPORT_SET.c.id.desc()).limit(1)
    row = connection.execute(query).mappings().first()
    return ReportSet(**(dict(row) | {"state": SetState(row["state"])})) if row else None


def _deliveries(connection: Connection, which: ColumnElement[bool]) -> list[Delivery]:
    columns = [DELIVERY.c[name] for name in Delivery.__dataclass_fields__]
    rows = connection.execute(select(*columns).where(which).order_by(DELIVERY.c.id)).mappings()
    return [Delivery(**(dict(row) | {"state": DeliveryState(row["state"])})) for row in rows]
