"""The worklist: every study with its newest result and review, most urgent first, a page of it at a time.

Sorted, searched and counted by the database, so that thousands of studies cost a page what a hundred do.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import ColumnElement, Connection, FromClause, Row, Select, and_, case, func, or_, select

from calcmap.core.result import ConfidenceWord, Status
from calcmap.service.store_reviews import SIGNED
from calcmap.service.store_studies import Identity
from calcmap.service.store_tables import MACHINE_RESULT, REVIEW, SIGNATURE, STUDY, STUDY_IDENTITY

MAX_SEARCH_WORDS = 8
"""Words of a search beyond these are not looked at (our choice)."""
_SEARCHED = (
    STUDY.c.name,
    *(STUDY_IDENTITY.c[name] for name in ("patient_name", "patient_id", "accession_number", "study_date")),
)


class WorklistState(StrEnum):
    """How far a study is."""

    TO_VERIFY = "to_verify"
    """Scored, and its newest review is not signed."""
    REFUSED = "refused"
    SIGNED = "signed"


@dataclass(frozen=True)
class WorklistRow:
    """One study on the worklist: its newest result and how far its review is."""

    study_id: int
    result_id: int
    name: str
    status: Status
    agatston: float | None
    category: int | None
    confidence: ConfidenceWord | None
    n_warnings: int
    review_id: int | None
    review_state: str | None
    """``"open"``, ``"signed"`` or ``None`` before anybody looked."""
    revision: int
    signed_name: str | None
    signed_utc: str | None
    signed_agatston: float | None
    created_utc: str
    identity: Identity


@dataclass(frozen=True)
class WorklistQuery:
    """Which part of the worklist is asked for.

    Parameters
    ----------
    state : WorklistState or None
        Studies of one state; ``None`` for all.
    text : str
        Words that must each occur in name, patient's name, patient's number, accession number or date (year, month and
        day with or without dashes) of the study. Case does not count.
    first : int
        How many rows are skipped.
    limit : int or None
        Most rows; ``None`` for all.
    """

    state: WorklistState | None = None
    text: str = ""
    first: int = 0
    limit: int | None = None


@dataclass(frozen=True)
class WorklistPage:
    """A part of the worklist, and how many studies of each state the same words find."""

    rows: tuple[WorklistRow, ...]
    n_by_state: dict[WorklistState, int]


def read_worklist(connection: Connection, query: WorklistQuery) -> WorklistPage:
    """Return the part of the worklist that is asked for.

    Unverified studies come first, of those the borderline and then the flagged ones; then refused ones; then signed
    ones, the last signed first. Equals stand in the order in which they came.
    """
    joined, state, found = _joined(), _state(), _has_words(query.text)
    rows = _rows(joined).where(*found)
    if query.state is not None:
        rows = rows.where(state == query.state.value)
    rows = rows.order_by(*_order()).offset(query.first).limit(query.limit)
    how_far = state.label("how_far")  # named like no column: a database groups by a column first
    counts = select(how_far, func.count().label("n")).select_from(joined).where(*found).group_by("how_far")
    n_by_state = dict.fromkeys(WorklistState, 0)
    n_by_state |= {WorklistState(row.how_far): int(row.n) for row in connection.execute(counts)}
    return WorklistPage(tuple(_worklist_row(row) for row in connection.execute(rows)), n_by_state)


def find_row(connection: Connection, result_id: int) -> WorklistRow | None:
    """Return the worklist's row of a result, ``None`` where it is not the newest of a study."""
    row = connection.execute(_rows(_joined()).where(MACHINE_RESULT.c.id == result_id)).first()
    return _worklist_row(row) if row else None


def _state() -> ColumnElement[str]:
    return case(
        (REVIEW.c.state == SIGNED, WorklistState.SIGNED.value),
        (MACHINE_RESULT.c.status == Status.REFUSED.value, WorklistState.REFUSED.value),
        else_=WorklistState.TO_VERIFY.value,
    )


def _order() -> tuple[ColumnElement[object], ...]:
    is_signed = REVIEW.c.state == SIGNED
    state = case({each.value: n for n, each in enumerate(WorklistState)}, value=_state())
    words = list(ConfidenceWord)[::-1]  # borderline first
    doubt = case({word.value: n for n, word in enumerate(words)}, value=MACHINE_RESULT.c.confidence, else_=1)
    return (
        state,
        case((is_signed, 0), else_=doubt),
        case((is_signed, 0), else_=-MACHINE_RESULT.c.n_warnings),
        func.coalesce(SIGNATURE.c.signed_utc, "").desc(),
        MACHINE_RESULT.c.created_utc,
        STUDY.c.id,
    )


def _has_words(text: str) -> list[ColumnElement[bool]]:
    return [_has_word(word) for word in text.replace("\0", " ").split()[:MAX_SEARCH_WORDS]]


def _has_word(word: str) -> ColumnElement[bool]:
    # SQLite folds the case of ASCII letters alone, so that others are looked for as people write names.
    written = {word, word.lower(), word.upper(), word.capitalize()} | ({word.replace("-", "")} - {""})
    return or_(*(column.icontains(each, autoescape=True) for column in _SEARCHED for each in sorted(written)))


def _joined() -> FromClause:
    """Return every study beside its newest result, that one's newest review, signature and identity."""
    result, review = MACHINE_RESULT.c, REVIEW.c
    others, later = MACHINE_RESULT.alias(), REVIEW.alias()
    newest_result = select(func.max(others.c.number)).where(others.c.study_id == STUDY.c.id).scalar_subquery()
    newest_review = select(func.max(later.c.number)).where(later.c.result_id == result.id).scalar_subquery()
    return (
        STUDY.join(MACHINE_RESULT, and_(result.study_id == STUDY.c.id, result.number == newest_result))
        .outerjoin(REVIEW, and_(review.result_id == result.id, review.number == newest_review))
        .outerjoin(SIGNATURE, SIGNATURE.c.review_id == review.id)
        .outerjoin(STUDY_IDENTITY, STUDY_IDENTITY.c.study_id == STUDY.c.id)
    )


def _rows(joined: FromClause) -> Select[*tuple[object, ...]]:
    result = MACHINE_RESULT.c
    return select(
        STUDY.c.id.label("study_id"),
        result.id.label("result_id"),
        STUDY.c.name,
        *(result[name] for name in ("status", "agatston", "category", "confidence", "n_warnings", "created_utc")),
        REVIEW.c.id.label("review_id"),
        REVIEW.c.state.label("review_state"),
        REVIEW.c.revision,
        SIGNATURE.c.signed_name,
        SIGNATURE.c.signed_utc,
        SIGNATURE.c.agatston.label("signed_agatston"),
        *(STUDY_IDENTITY.c[name] for name in Identity.__dataclass_fields__),
    ).select_from(joined)


def _worklist_row(row: Row[*tuple[object, ...]]) -> WorklistRow:
    fields = dict(row._mapping)
    identity = Identity(**{name: fields.pop(name) or "" for name in Identity.__dataclass_fields__})
    confidence = fields.pop("confidence")
    return WorklistRow(
        **(fields | {"status": Status(fields["status"]), "revision": fields["revision"] or 0}),
        confidence=ConfidenceWord(confidence) if confidence else None,
        identity=identity,
    )
