"""Rows of reviews, edits and signatures. Each function works inside a transaction that the store opens.

A review has a revision: the number of its edits. Whoever saves says which one was seen; if it is no longer the last,
nothing is written and the reader is shown what came between.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, func, insert, select, update

from calcmap.core.errors import EditRefusedError, NotInStoreError, ReviewConflictError, ReviewError, ReviewSignedError
from calcmap.core.result import JsonValue, Status
from calcmap.service.review_edits import Edit, edit_from_json, edit_to_json
from calcmap.service.store_audit import append_event, canonical_json, sha256_of
from calcmap.service.store_tables import MACHINE_RESULT, REVIEW, REVIEW_EDIT, SIGNATURE

OPEN, SIGNED = "open", "signed"
MAX_NAME_CHARACTERS = 200
"""Longest name of a signer (our choice: DICOM's 64 characters a group, three groups)."""


@dataclass(frozen=True)
class StoredEdit:
    """One edit, who made it and when."""

    position: int
    """1 for a review's first edit."""
    edit: Edit
    author: str
    time_utc: str

    def as_json(self) -> dict[str, JsonValue]:
        """Return it as a page shows it."""
        return {
            "position": self.position,
            "edit": edit_to_json(self.edit),
            "author": self.author,
            "time": self.time_utc,
        }


@dataclass(frozen=True)
class StoredReview:
    """A review as stored."""

    id: int
    result_id: int
    number: int
    """1 for a result's first review; amendments count on."""
    state: str
    revision: int
    edits: tuple[StoredEdit, ...]


@dataclass(frozen=True)
class Signature:
    """What somebody signed.

    Parameters
    ----------
    review_id, revision : int
        The review and how many of its edits were seen.
    signed_by : str
        The account.
    signed_name : str
        The name that stands under the result.
    signed_utc : str
        When.
    agatston : float
        The score signed.
    category : int
        Its category.
    result_json : str
        The whole reader's result, canonical JSON.
    result_sha256 : str
        Of that text.
    labels_sha256, sites_sha256 : str
        Contents with the reader's label map and site map.
    """

    review_id: int
    revision: int
    signed_by: str
    signed_name: str
    signed_utc: str
    agatston: float
    category: int
    result_json: str
    result_sha256: str
    labels_sha256: str
    sites_sha256: str


def open_review(connection: Connection, result_id: int, *, actor: str, time_utc: str) -> StoredReview:
    """Return the newest review of a machine result; begin the first one where there is none."""
    newest = _newest(connection, result_id)
    if newest is not None:
        return read_review(connection, newest)
    status = connection.execute(select(MACHINE_RESULT.c.status).where(MACHINE_RESULT.c.id == result_id)).scalar()
    if status is None:
        raise NotInStoreError(f"there is no machine result {result_id}")
    if status != Status.SCORED:
        raise ReviewError("a refused study has nothing to review")
    review_id = _insert_review(connection, result_id, number=1, actor=actor, time_utc=time_utc)
    _audit(connection, "open_review", review_id, actor, time_utc, {"result": result_id})
    return read_review(connection, review_id)


def read_review(connection: Connection, review_id: int, *, known: StoredReview | None = None) -> StoredReview:
    """Return a review with its edits; `NotInStoreError` when there is none of that number.

    Edits never change, so that of a review ``known`` from before only later ones are read.
    """
    row = connection.execute(
        select(REVIEW.c.result_id, REVIEW.c.number, REVIEW.c.state, REVIEW.c.revision).where(REVIEW.c.id == review_id)
    ).first()
    if row is None:
        raise NotInStoreError(f"there is no review {review_id}")
    seen = known.edits if known is not None and known.revision <= row.revision else ()
    edits = (*seen, *read_edits(connection, review_id, after=len(seen)))
    return StoredReview(review_id, row.result_id, row.number, row.state, row.revision, edits)


def read_edits(connection: Connection, review_id: int, *, after: int = 0) -> tuple[StoredEdit, ...]:
    """Return a review's edits after a position, in their order."""
    rows = connection.execute(
        select(REVIEW_EDIT)
        .where(REVIEW_EDIT.c.review_id == review_id, REVIEW_EDIT.c.position > after)
        .order_by(REVIEW_EDIT.c.position)
    )
    return tuple(
        StoredEdit(row.position, edit_from_json(json.loads(row.edit_json)), row.author, row.time_utc) for row in rows
    )


def save_edits(
    connection: Connection, review_id: int, edits: Sequence[Edit], *, revision: int, author: str, time_utc: str
) -> int:
    """Append edits to a review and return its new revision.

    Parameters
    ----------
    connection : Connection
        In a writing transaction.
    review_id : int
        An open review.
    edits : sequence of Edit
        Made by the caller to the review as it was at ``revision``, and not refused.
    revision : int
        The revision that the author saw.
    author : str
        The account.
    time_utc : str
        When.

    Returns
    -------
    int
        ``revision`` and the number of edits.

    Raises
    ------
    ReviewConflictError
        Somebody saved since; ``since`` holds their `StoredEdit` rows. Nothing is written.
    ReviewSignedError
        The review is signed.
    NotInStoreError
        There is no such review.
    EditRefusedError
        There is no edit to save.
    """
    if not edits:
        raise EditRefusedError("there is no edit to save")
    _advance(connection, review_id, revision=revision, to=revision + len(edits), state=OPEN)
    rows = [
        {
            "review_id": review_id,
            "position": revision + number,
            "edit_json": canonical_json(edit_to_json(edit)),
            "author": author,
            "time_utc": time_utc,
        }
        for number, edit in enumerate(edits, start=1)
    ]
    _insert_edits(connection, review_id, rows, actor=author, time_utc=time_utc, action="edit_review")
    return revision + len(edits)


def sign_review(connection: Connection, signature: Signature) -> None:
    """Sign a review and close it.

    Raises
    ------
    ReviewConflictError, ReviewSignedError, NotInStoreError
        As `save_edits`: what is signed is what was seen.
    ReviewError
        The signer has no name.
    """
    name = signature.signed_name
    if not name.strip() or len(name) > MAX_NAME_CHARACTERS or not name.isprintable():
        raise ReviewError(f"a signature needs the signer's name, 1 to {MAX_NAME_CHARACTERS} printable characters")
    _advance(connection, signature.review_id, revision=signature.revision, to=signature.revision, state=SIGNED)
    connection.execute(insert(SIGNATURE).values(vars(signature)))
    detail: dict[str, JsonValue] = {"revision": signature.revision, "signature_sha256": sha256_of(vars(signature))}
    _audit(connection, "sign_review", signature.review_id, signature.signed_by, signature.signed_utc, detail)


def read_signature(connection: Connection, review_id: int) -> Signature | None:
    """Return a review's signature, ``None`` while it has none."""
    row = connection.execute(select(SIGNATURE).where(SIGNATURE.c.review_id == review_id)).mappings().first()
    return Signature(**row) if row else None


def amend_review(connection: Connection, review_id: int, *, actor: str, time_utc: str) -> StoredReview:
    """Begin a new review where a signed one ended, and return it; the signed one stays as it is.

    Raises
    ------
    ReviewError
        The review is not signed, or is not the newest of its result.
    NotInStoreError
        There is no such review.
    """
    signed = read_review(connection, review_id)
    if signed.state != SIGNED or _newest(connection, signed.result_id) != review_id:
        raise ReviewError(f"review {review_id} is not the newest signed one, so it cannot be amended")
    amendment = _insert_review(
        connection, signed.result_id, number=signed.number + 1, actor=actor, time_utc=time_utc, revision=signed.revision
    )
    columns = (REVIEW_EDIT.c.position, REVIEW_EDIT.c.edit_json, REVIEW_EDIT.c.author, REVIEW_EDIT.c.time_utc)
    kept = connection.execute(select(*columns).where(REVIEW_EDIT.c.review_id == review_id)).mappings()
    rows: list[dict[str, object]] = [{**row, "review_id": amendment} for row in kept]
    _insert_edits(connection, amendment, rows, actor=actor, time_utc=time_utc, action="amend_review")
    return read_review(connection, amendment)


def edit_sha256(row: dict[str, object]) -> str:
    """Return the hash by which the audit trail vouches for one row of edits."""
    return sha256_of([row[name] for name in ("review_id", "position", "edit_json", "author", "time_utc")])


def _newest(connection: Connection, result_id: int) -> int | None:
    query = select(REVIEW.c.id).where(REVIEW.c.result_id == result_id).order_by(REVIEW.c.number.desc()).limit(1)
    found: int | None = connection.execute(query).scalar()
    return found


def _insert_review(
    connection: Connection, result_id: int, *, number: int, actor: str, time_utc: str, revision: int = 0
) -> int:
    row = {
        "result_id": result_id,
        "number": number,
        "state": OPEN,
        "revision": revision,
        "created_by": actor,
        "created_utc": time_utc,
    }
    return int(connection.execute(insert(REVIEW).values(row).returning(REVIEW.c.id)).scalar_one())


def _insert_edits(
    connection: Connection,
    review_id: int,
    rows: Sequence[dict[str, object]],
    *,
    actor: str,
    time_utc: str,
    action: str,
) -> None:
    if rows:
        connection.execute(insert(REVIEW_EDIT), list(rows))
    n_edits = connection.execute(
        select(func.count()).select_from(REVIEW_EDIT).where(REVIEW_EDIT.c.review_id == review_id)
    ).scalar_one()
    detail: dict[str, JsonValue] = {"revision": n_edits, "edits": [edit_sha256(dict(row)) for row in rows]}
    _audit(connection, action, review_id, actor, time_utc, detail)


def _advance(connection: Connection, review_id: int, *, revision: int, to: int, state: str) -> None:
    """Move a review from the revision that was seen to the next, or raise with what stands in the way."""
    moved = connection.execute(
        update(REVIEW)
        .where(REVIEW.c.id == review_id, REVIEW.c.revision == revision, REVIEW.c.state == OPEN)
        .values(revision=to, state=state)
    )
    if moved.rowcount == 1:
        return
    stands = read_review(connection, review_id)
    if stands.state == SIGNED:
        raise ReviewSignedError(f"review {review_id} is signed; an amendment can change it")
    since = tuple(edit for edit in stands.edits if edit.position > revision)
    raise ReviewConflictError(
        f"review {review_id} is at revision {stands.revision}, revision {revision} was seen: "
        f"{len(since)} edit(s) were saved meanwhile",
        revision=stands.revision,
        since=since,
    )


def _audit(
    connection: Connection, action: str, review_id: int, actor: str, time_utc: str, detail: dict[str, JsonValue]
) -> None:
    append_event(connection, action, subject=f"review:{review_id}", actor=actor, time_utc=time_utc, detail=detail)
