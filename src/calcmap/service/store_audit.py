"""The audit trail: who did what and when, each event bound to the one before it by a hash.

An event's hash is made of its fields and of the hash before. Whoever changes, removes or inserts one breaks the chain
from there on; whoever cuts the end off is found out by a head that was noted elsewhere.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, insert, select

from calcmap.core.errors import TamperedError
from calcmap.core.result import JsonValue
from calcmap.service.store_tables import AUDIT_EVENT

FIRST_SHA256 = "0" * 64
"""What the first event takes for the hash before it."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class AuditEvent:
    """One event. Nothing in it names a patient: subjects are numbers of the store, details are hashes and counts."""

    number: int
    time_utc: str
    actor: str
    action: str
    subject: str
    detail_json: str
    previous_sha256: str
    sha256: str

    def expected_sha256(self) -> str:
        """Return the hash that follows from the fields."""
        fields = (self.number, self.time_utc, self.actor, self.action, self.subject, self.detail_json)
        return sha256_of([*fields, self.previous_sha256])


@dataclass(frozen=True)
class AuditHead:
    """Length of a trail and its last hash: noted elsewhere, it shows later whether the end was cut off."""

    number: int
    sha256: str


def canonical_json(value: object) -> str:
    """Return JSON that is the same for the same value: sorted keys, no spaces, no NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def sha256_of(value: object) -> str:
    """Return the SHA-256 of a value's canonical JSON."""
    return sha256_of_text(canonical_json(value))


def sha256_of_text(text: str) -> str:
    """Return the SHA-256 of a text in UTF-8."""
    return hashlib.sha256(text.encode()).hexdigest()


def append_event(
    connection: Connection, action: str, *, subject: str, actor: str, time_utc: str, detail: Mapping[str, JsonValue]
) -> AuditEvent:
    """Write the next event of the trail, in the transaction of what it tells of.

    Parameters
    ----------
    connection : Connection
        In a writing transaction, which no other writer overlaps.
    action : str
        One word, e.g. ``"sign"``.
    subject : str
        What it was done to, e.g. ``"review:7"``.
    actor : str
        Who did it: an account, never a patient.
    time_utc : str
        When.
    detail : mapping
        Hashes, counts and numbers; no patient data.

    Returns
    -------
    AuditEvent
        As written.
    """
    head = read_head(connection)
    draft = AuditEvent(head.number + 1, time_utc, actor, action, subject, canonical_json(detail), head.sha256, "")
    written = AuditEvent(**(vars(draft) | {"sha256": draft.expected_sha256()}))
    connection.execute(insert(AUDIT_EVENT).values(vars(written)))
    logger.info("audit %d: %s %s by %s", written.number, action, subject, actor)
    return written


def read_head(connection: Connection) -> AuditHead:
    """Return length and last hash of the trail."""
    last = connection.execute(
        select(AUDIT_EVENT.c.number, AUDIT_EVENT.c.sha256).order_by(AUDIT_EVENT.c.number.desc()).limit(1)
    ).first()
    return AuditHead(last.number, last.sha256) if last else AuditHead(0, FIRST_SHA256)


def read_events(connection: Connection, *, subject: str | None = None) -> list[AuditEvent]:
    """Return the trail, oldest first; of one subject when it is named."""
    query = select(AUDIT_EVENT).order_by(AUDIT_EVENT.c.number)
    if subject is not None:
        query = query.where(AUDIT_EVENT.c.subject == subject)
    return [AuditEvent(**row) for row in connection.execute(query).mappings()]


def read_latest(
    connection: Connection, *, before: int | None, limit: int, subject: str | None, actor: str | None
) -> list[AuditEvent]:
    """Return the newest events before a number, newest first; of one subject or actor when it is named."""
    query = select(AUDIT_EVENT).order_by(AUDIT_EVENT.c.number.desc()).limit(limit)
    wanted = [AUDIT_EVENT.c[name] == value for name, value in (("subject", subject), ("actor", actor)) if value]
    if before is not None:
        wanted.append(AUDIT_EVENT.c.number < before)
    return [AuditEvent(**row) for row in connection.execute(query.where(*wanted)).mappings()]


def verify_events(events: list[AuditEvent], *, noted: AuditHead | None = None) -> AuditHead:
    """Return the head of a trail whose chain holds.

    Parameters
    ----------
    events : list of AuditEvent
        The whole trail, oldest first.
    noted : AuditHead, optional
        A head that was noted earlier, outside of the database.

    Returns
    -------
    AuditHead
        To be noted.

    Raises
    ------
    TamperedError
        An event was changed, removed or put in; the message names the first one. Or the noted head is not in the trail.
    """
    head = AuditHead(0, FIRST_SHA256)
    is_noted_seen = noted is None or noted == head
    for event in events:
        if event.number != head.number + 1:
            raise TamperedError(f"the audit trail jumps from event {head.number} to {event.number}")
        if event.previous_sha256 != head.sha256 or event.sha256 != event.expected_sha256():
            raise TamperedError(f"event {event.number} of the audit trail was changed, or one before it")
        head = AuditHead(event.number, event.sha256)
        is_noted_seen = is_noted_seen or head == noted
    if not is_noted_seen and noted is not None:
        raise TamperedError(
            f"the audit trail ends at {head.number} or differs: the head noted at {noted.number} is gone"
        )
    return head
