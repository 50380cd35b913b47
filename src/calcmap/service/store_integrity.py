"""Does the store still say what the audit trail says it said?"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, select

from calcmap.core.errors import TamperedError
from calcmap.service.store_audit import AuditEvent, AuditHead, read_events, sha256_of, verify_events
from calcmap.service.store_contents import ContentStore
from calcmap.service.store_reviews import edit_sha256
from calcmap.service.store_tables import MACHINE_RESULT, REPORT_OBJECT, REVIEW, REVIEW_EDIT, SIGNATURE, STUDY_CONTENT


@dataclass(frozen=True)
class Integrity:
    """What a check of the store looked at."""

    head: AuditHead
    """To be noted outside of the store."""
    n_results: int
    n_edits: int
    n_signatures: int
    n_contents: int


def check_store(connection: Connection, contents: ContentStore, *, noted: AuditHead | None = None) -> Integrity:
    """Return what was checked when everything holds.

    The chain of the audit trail; every result, edit and signature against the hash that the trail has of it; every
    review's revision against its edits; every content against its name.

    Parameters
    ----------
    connection : Connection
        In a reading transaction.
    contents : ContentStore
        Where images and label maps lie.
    noted : AuditHead, optional
        A head that was noted earlier.

    Returns
    -------
    Integrity
        Counts, and the head to note.

    Raises
    ------
    TamperedError
        Something does not hold; the message says what.
    NotInStoreError
        A content is gone.
    """
    events = read_events(connection)
    head = verify_events(events, noted=noted)
    said = _said(events)
    names = contents_named(connection)
    for sha256 in sorted(names):
        contents.get(sha256)
    return Integrity(
        head=head,
        n_results=_check_results(connection, said["row_sha256"]),
        n_edits=_check_edits(connection, said["edits"]),
        n_signatures=_check_signatures(connection, said["signature_sha256"]),
        n_contents=len(names),
    )


def contents_named(connection: Connection) -> set[str]:
    """Return the SHA-256 of every content that a row names."""
    columns = (
        STUDY_CONTENT.c.sha256,
        MACHINE_RESULT.c.labels_sha256,
        SIGNATURE.c.labels_sha256,
        SIGNATURE.c.sites_sha256,
        REPORT_OBJECT.c.sha256,
    )
    return {sha256 for column in columns for (sha256,) in connection.execute(select(column)) if sha256}


def _said(events: Iterable[AuditEvent]) -> dict[str, set[str]]:
    """Return every hash that the trail has of a row, by the name under which it stands there."""
    said: dict[str, set[str]] = defaultdict(set)
    for event in events:
        detail: dict[str, Any] = json.loads(event.detail_json)  # Any: written by `append_event` alone
        said["edits"].update(detail.get("edits", ()))
        for name in ("row_sha256", "signature_sha256"):
            if name in detail:
                said[name].add(detail[name])
    return said


def _check_results(connection: Connection, said: set[str]) -> int:
    rows = connection.execute(
        select(MACHINE_RESULT.c.id, MACHINE_RESULT.c.result_json, MACHINE_RESULT.c.labels_sha256)
    ).all()
    for row in rows:
        if sha256_of([row.result_json, row.labels_sha256]) not in said:
            raise TamperedError(f"machine result {row.id} is not the one that the audit trail tells of")
    return len(rows)


def _check_edits(connection: Connection, said: set[str]) -> int:
    n_edits: dict[int, int] = defaultdict(int)
    for row in connection.execute(select(REVIEW_EDIT)).mappings():
        if edit_sha256(dict(row)) not in said:
            raise TamperedError(
                f"edit {row['position']} of review {row['review_id']} is not the one that the audit trail tells of"
            )
        n_edits[row["review_id"]] += 1
    for review in connection.execute(select(REVIEW.c.id, REVIEW.c.revision)):
        if n_edits[review.id] != review.revision:
            raise TamperedError(
                f"review {review.id} is at revision {review.revision} and has {n_edits[review.id]} edits"
            )
    return sum(n_edits.values())


def _check_signatures(connection: Connection, said: set[str]) -> int:
    rows = connection.execute(select(SIGNATURE)).mappings().all()
    for row in rows:
        if sha256_of(dict(row)) not in said:
            raise TamperedError(f"the signature of review {row['review_id']} is not the one that was made")
    return len(rows)
