"""The store: studies, machine results, reviews, signatures and the audit trail, on one database and one disk folder."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from calcmap.core.errors import NotInStoreError, StoreError
from calcmap.core.result import JsonValue, StudyResult
from calcmap.core.result_reading import result_from_json
from calcmap.core.scan import Acquisition, Scan
from calcmap.core.volume import Labels
from calcmap.service import store_audit, store_outbox, store_reviews, store_studies, store_worklist
from calcmap.service.review_edits import Edit
from calcmap.service.store_audit import AuditEvent, AuditHead
from calcmap.service.store_contents import ContentStore
from calcmap.service.store_database import Database, sqlite_url
from calcmap.service.store_integrity import Integrity, check_store, contents_named
from calcmap.service.store_migrations import migrate
from calcmap.service.store_outbox import Outgoing, ReportObject
from calcmap.service.store_reviews import Signature, StoredReview
from calcmap.service.store_studies import Identity, MachineResult, NewResult, StoredResult
from calcmap.service.store_voxels import pack_voxels, unpack_ct, unpack_labels
from calcmap.service.store_worklist import WorklistPage, WorklistQuery, WorklistRow

DATABASE_FILE = "calcmap.sqlite"
CONTENTS_FOLDER = "contents"
_OWNER_ONLY_FOLDER = 0o700
_OWNER_ONLY_FILE = 0o600


def utc_now() -> str:
    """Return the time as the store writes it: ISO 8601, UTC, microseconds."""
    return datetime.now(UTC).isoformat(timespec="microseconds")


class Store:
    """Everything that outlives a request. Made by `open_store`; safe to share between threads.

    Parameters
    ----------
    database : Database
        Where the rows are.
    contents : ContentStore
        Where images and label maps are.
    clock : callable
        Returns the time as `utc_now` does.
    """

    def __init__(self, database: Database, contents: ContentStore, *, clock: Callable[[], str] = utc_now) -> None:
        self.database = database
        self.contents = contents
        self._clock = clock

    def now_utc(self) -> str:
        """Return the time by the store's own clock."""
        return self._clock()

    def close(self) -> None:
        """Close the database's connections."""
        self.database.close()

    def add_result(self, new: NewResult, *, actor: str) -> StoredResult:
        """Store a machine result, and its study unless it is there; the same result twice is stored once."""
        with self.database.writing() as connection:
            self._check_kept(new.labels_sha256, *new.contents.values())
            return store_studies.add_result(connection, new, actor=actor, time_utc=self._clock())

    def machine_result(self, result_id: int) -> tuple[MachineResult, StudyResult]:
        """Return a machine result as stored, and what it says."""
        with self.database.reading() as connection:
            row = store_studies.read_result(connection, result_id)
        return row, result_from_json(json.loads(row.result_json))

    def add_machine_reports(self, result_id: int, objects: Sequence[ReportObject], *, actor: str) -> None:
        """Write down the machine's own reports of a result, their contents on disk; those that are known stay."""
        with self.database.writing() as connection:
            self._check_kept(*(each.sha256 for each in objects))
            store_outbox.add_machine_set(connection, result_id, objects, actor=actor, time_utc=self._clock())

    def identity(self, study_id: int) -> Identity:
        """Return whose study it is; all empty where nothing says it."""
        with self.database.reading() as connection:
            return store_studies.read_identity(connection, study_id)

    def find_study(self, input_key: str) -> int | None:
        """Return the number of the study with an input key, ``None`` when there is none."""
        with self.database.reading() as connection:
            return store_studies.find_study(connection, input_key)

    def find_result(self, new: NewResult) -> StoredResult | None:
        """Return where a machine result lies, ``None`` when it was never stored."""
        with self.database.reading() as connection:
            return store_studies.find_result(connection, new)

    def has_scan(self, study_id: int) -> bool:
        """Tell whether the CT of a study is there."""
        with self.database.reading() as connection:
            known = store_studies.read_contents(connection, study_id, kind="ct")
        return bool(known) and all(self.contents.has(sha256) for sha256 in known.values())

    def study_contents(self, study_id: int, *, kind: str) -> dict[str, str]:
        """Return the SHA-256 of a study's contents of one kind, by name."""
        with self.database.reading() as connection:
            return store_studies.read_contents(connection, study_id, kind=kind)

    def worklist(self) -> list[WorklistRow]:
        """Return every study with its newest result and review, most urgent first."""
        return list(self.worklist_page(WorklistQuery()).rows)

    def worklist_page(self, query: WorklistQuery) -> WorklistPage:
        """Return the part of the worklist that is asked for."""
        with self.database.reading() as connection:
            return store_worklist.read_worklist(connection, query)

    def worklist_row(self, result_id: int) -> WorklistRow:
        """Return the worklist's row of a result; `NotInStoreError` where it is not the newest of a study."""
        with self.database.reading() as connection:
            row = store_worklist.find_row(connection, result_id)
        if row is None:
            raise NotInStoreError(f"result {result_id} is not on the worklist")
        return row

    def load_scan(self, study_id: int) -> Scan:
        """Return the CT of a study; `NotInStoreError` where it was never stored or is deleted."""
        ct, facts = (self.study_contents(study_id, kind=kind) for kind in ("ct", "acquisition"))
        if not ct or not facts:
            raise NotInStoreError(f"the CT of study {study_id} is not in the store")
        volume = unpack_ct(self.contents.get(next(iter(ct.values()))))
        fields = json.loads(self.contents.get(next(iter(facts.values()))))
        return Scan(volume, Acquisition(**fields["acquisition"]), fields["series"], fields["input"])

    def load_labels(self, sha256: str) -> Labels:
        """Return a label map by the SHA-256 of its content."""
        return unpack_labels(self.contents.get(sha256))

    def open_review(self, result_id: int, *, actor: str) -> StoredReview:
        """Return the newest review of a machine result, begun now where there was none."""
        with self.database.writing() as connection:
            return store_reviews.open_review(connection, result_id, actor=actor, time_utc=self._clock())

    def review(self, review_id: int, *, known: StoredReview | None = None) -> StoredReview:
        """Return a review with its edits; those of a review known from before are not read again."""
        with self.database.reading() as connection:
            return store_reviews.read_review(connection, review_id, known=known)

    def save_edits(self, review_id: int, edits: Sequence[Edit], *, revision: int, author: str) -> int:
        """Append edits that were made to a review at a revision, and return the new one; see ``store_reviews``."""
        with self.database.writing() as connection:
            return store_reviews.save_edits(
                connection, review_id, edits, revision=revision, author=author, time_utc=self._clock()
            )

    def sign_review(self, signature: Signature, *, outgoing: Outgoing | None = None) -> Signature:
        """Sign a review with the time of now, and return the signature as it stands.

        What is to go out because of it is asked for in the same transaction: both are there, or neither.
        """
        signed = Signature(**(vars(signature) | {"signed_utc": self._clock()}))
        with self.database.writing() as connection:
            self._check_kept(signed.labels_sha256, signed.sites_sha256)
            store_reviews.sign_review(connection, signed)
            if outgoing is not None:
                result_id = store_reviews.read_review(connection, signed.review_id).result_id
                store_outbox.ask(connection, result_id, signed.review_id, outgoing, time_utc=signed.signed_utc)
        return signed

    def signature(self, review_id: int) -> Signature | None:
        """Return a review's signature, ``None`` while it has none."""
        with self.database.reading() as connection:
            return store_reviews.read_signature(connection, review_id)

    def amend_review(self, review_id: int, *, actor: str) -> StoredReview:
        """Begin a new review where a signed one ended."""
        with self.database.writing() as connection:
            return store_reviews.amend_review(connection, review_id, actor=actor, time_utc=self._clock())

    def record(
        self, action: str, *, subject: str, actor: str, detail: dict[str, JsonValue] | None = None
    ) -> AuditEvent:
        """Write an event that changes nothing else, such as that somebody looked at a study."""
        with self.database.writing() as connection:
            return store_audit.append_event(
                connection, action, subject=subject, actor=actor, time_utc=self._clock(), detail=detail or {}
            )

    def audit_events(self, *, subject: str | None = None) -> list[AuditEvent]:
        """Return the audit trail, oldest first; of one subject when it is named."""
        with self.database.reading() as connection:
            return store_audit.read_events(connection, subject=subject)

    def latest_events(
        self, *, before: int | None = None, limit: int, subject: str | None = None, actor: str | None = None
    ) -> list[AuditEvent]:
        """Return the newest events of the trail before a number, newest first; of one subject or actor if named."""
        with self.database.reading() as connection:
            return store_audit.read_latest(connection, before=before, limit=limit, subject=subject, actor=actor)

    def check(self, *, noted: AuditHead | None = None) -> Integrity:
        """Return what was checked when the whole store holds; `TamperedError` says what does not."""
        with self.database.reading() as connection:
            return check_store(connection, self.contents, noted=noted)

    def sweep(self) -> list[str]:
        """Remove what writers that died left on the disk, and contents that nothing names; return their names.

        No row is written meanwhile: a row whose content is being removed is refused, not left without it.
        """
        with self.database.writing() as connection:
            return self.contents.sweep(contents_named(connection))

    def _check_kept(self, *named: str | None) -> None:
        """Raise `NotInStoreError` unless every content that a row is about to name is on disk."""
        for sha256 in named:
            if sha256 is not None and not self.contents.has(sha256):
                raise NotInStoreError(f"content {sha256[:12]} is not on disk, so no row may name it")


def open_store(folder: Path, *, url: str | None = None, clock: Callable[[], str] = utc_now) -> Store:
    """Return the store in a folder, its tables brought up to date.

    Parameters
    ----------
    folder : Path
        Holds images and label maps, and the SQLite file; made when absent, for its owner alone.
    url : str, optional
        A database of its own, ``postgresql://...``; by default SQLite in the folder.
    clock : callable
        Returns the time as `utc_now` does.

    Returns
    -------
    Store
        Open.

    Raises
    ------
    ConfigError
        The URL is of no database that the store knows.
    StoreError
        Folder or database cannot be used, or belong to a newer version.
    """
    try:
        folder.mkdir(mode=_OWNER_ONLY_FOLDER, parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"cannot make the store's folder {folder}: {error.strerror}") from error
    if url is None:
        _keep_private(folder / DATABASE_FILE)
    database = Database(url or sqlite_url(folder / DATABASE_FILE))
    try:
        with database.writing() as connection:
            migrate(connection, time_utc=clock())
    except BaseException:
        database.close()
        raise
    return Store(database, ContentStore(folder / CONTENTS_FOLDER), clock=clock)


def _keep_private(path: Path) -> None:
    """Make a file, or find it, for its owner alone: SQLite lets others read it, and copies its mode."""
    try:
        path.touch(mode=_OWNER_ONLY_FILE)
        path.chmod(_OWNER_ONLY_FILE)
    except OSError as error:
        raise StoreError(f"cannot use the store's database {path}: {error.strerror}") from error


def scan_contents(scan: Scan) -> dict[tuple[str, str], bytes]:
    """Return what `Store.load_scan` reads a scan from, by kind and name."""
    facts: dict[str, Any] = {  # Any: fields of an acquisition, each of its own type
        "acquisition": asdict(scan.acquisition),
        "series": scan.series_uid,
        "input": scan.input_sha256,
    }
    return {
        ("ct", scan.series_uid): pack_voxels(scan.volume.ct_hu_zyx, scan.volume.grid),
        ("acquisition", scan.series_uid): store_audit.canonical_json(facts).encode(),
    }
