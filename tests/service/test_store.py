from __future__ import annotations

import logging
import os
import stat
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import inspect, text

from calcmap.core.errors import (
    ConfigError,
    EditRefusedError,
    NotInStoreError,
    ReviewConflictError,
    ReviewError,
    ReviewSignedError,
    StoreError,
    TamperedError,
)
from calcmap.core.result import Confidence, ConfidenceWord, result_to_json
from calcmap.service.review_edits import Accept, Comment, Reject, Relabel, Site, Undo
from calcmap.service.reviewing import Reviewing
from calcmap.service.store import Store, open_store
from calcmap.service.store_audit import AuditHead
from calcmap.service.store_database import Database
from calcmap.service.store_migrations import FROZEN_TABLES, MIGRATIONS, Migration, migrate
from calcmap.service.store_reviews import Signature
from calcmap.service.store_studies import NewResult
from calcmap.service.store_tables import METADATA
from core.results import scored_result
from service.reviewed_chest import LAD, MACHINE_SCORE, RCA, machine_result
from service.stored_studies import IDENTITY, READER, add_chest, add_refused


@pytest.fixture
def review_id(store: Store) -> int:
    return store.open_review(add_chest(store).result_id, actor=READER).id


def execute(store: Store, *statements: str) -> None:
    """Run statements in one transaction."""
    with store.database.writing() as connection:
        for statement in statements:
            connection.execute(text(statement))


def tamper(store: Store, table: str, statement: str) -> None:
    """Change rows as somebody with the database's password could: past the triggers."""
    with store.database.writing() as connection:
        if store.database.kind == "sqlite":
            for what in ("update", "delete"):
                connection.execute(text(f"DROP TRIGGER {table}_no_{what}"))
        else:
            connection.execute(text(f"ALTER TABLE {table} DISABLE TRIGGER ALL"))
        connection.execute(text(statement))


def test_a_study_comes_back_as_it_went_in(store: Store) -> None:
    stored = add_chest(store)
    scan, labels, result = machine_result()
    row, again = store.machine_result(stored.result_id)
    assert again == result
    assert (row.number, stored.is_new) == (1, True)
    loaded = store.load_scan(stored.study_id)
    np.testing.assert_array_equal(loaded.volume.ct_hu_zyx, scan.volume.ct_hu_zyx)
    assert (loaded.volume.grid.affine_lps_mm == scan.volume.grid.affine_lps_mm).all()
    assert (loaded.acquisition, loaded.series_uid) == (scan.acquisition, scan.series_uid)
    assert row.labels_sha256
    np.testing.assert_array_equal(store.load_labels(row.labels_sha256).labels_zyx, labels.labels_zyx)


def test_one_result_twice_is_stored_once_and_another_beside_it(store: Store) -> None:
    first = add_chest(store, input_sha256="d" * 64)
    n_events = len(store.audit_events())
    again = add_chest(store, input_sha256="d" * 64)
    assert (again.result_id, again.is_new, len(store.audit_events())) == (first.result_id, False, n_events)
    slower = replace(scored_result(), seconds={"read": 9.0})
    one = store.add_result(NewResult("a", result_to_json(scored_result())), actor="node")
    same = store.add_result(NewResult("a", result_to_json(slower)), actor="node")
    assert (same.result_id, same.is_new) == (one.result_id, False)
    other = store.add_result(NewResult("a", result_to_json(replace(slower, arterial_age_years=1.0))), actor="node")
    assert (other.study_id, other.number, other.is_new) == (one.study_id, 2, True)


def test_refused_studies_without_input_stay_apart(store: Store) -> None:
    refused = machine_result()[2]
    unread = replace(refused, provenance=replace(refused.provenance, input_sha256=None))
    one, other = add_refused(store, unread), add_refused(store, replace(unread, study="another"))
    assert one.study_id != other.study_id
    assert add_refused(store, unread).result_id == one.result_id


def test_the_worklist_has_the_doubtful_first_and_the_signed_last(store: Store) -> None:
    def add(name: str, word: ConfidenceWord) -> int:
        made = scored_result()
        confidence = Confidence(word, 0.5, 0.5, (0.25, 0.25, 0.25, 0.25), "made up")
        provenance = replace(made.provenance, input_sha256=name)
        result = replace(made, study=name, confidence=confidence, provenance=provenance)
        return store.add_result(NewResult(name, result_to_json(result), identity=IDENTITY), actor="node").result_id

    add("sure", ConfidenceWord.CONFIDENT)
    add("doubtful", ConfidenceWord.BORDERLINE)
    add_refused(store)
    chest = add_chest(store, input_sha256="d" * 64)
    signing = Reviewing(store)
    review_id = store.open_review(chest.result_id, actor=READER).id
    signing.sign(review_id, revision=0, account=READER, name="Dr. A. Reader")
    rows = store.worklist()
    assert [row.name for row in rows] == ["doubtful", "sure", "study_09", "study_07"]
    assert (rows[0].identity.patient_name, rows[0].n_warnings) == ("Plantedname^Zebedee", 1)
    assert (rows[3].review_state, rows[3].signed_name, rows[3].signed_agatston) == (
        "signed",
        "Dr. A. Reader",
        MACHINE_SCORE,
    )
    assert (rows[2].agatston, rows[2].review_id) == (None, None)


def test_the_newest_result_of_a_study_stands_on_the_worklist(store: Store) -> None:
    add_chest(store)
    result = replace(machine_result()[2], arterial_age_years=1.0)
    newer = store.add_result(NewResult("study_07", result_to_json(result)), actor="node")
    assert [row.result_id for row in store.worklist()] == [newer.result_id]


def test_a_review_is_opened_once(store: Store) -> None:
    result_id = add_chest(store).result_id
    assert store.open_review(result_id, actor=READER) == store.open_review(result_id, actor="reader-2")
    with pytest.raises(ReviewError, match="a refused study has nothing to review"):
        store.open_review(add_refused(store).result_id, actor=READER)
    with pytest.raises(NotInStoreError, match="there is no machine result 99"):
        store.open_review(99, actor=READER)
    with pytest.raises(NotInStoreError, match="there is no review 99"):
        store.review(99)
    with pytest.raises(NotInStoreError, match="there is no machine result 99"):
        store.machine_result(99)


def test_edits_come_back_with_author_and_time(store: Store, review_id: int) -> None:
    edits = (Reject(RCA), Relabel(LAD, Site.LM), Comment("näher betrachtet"), Undo())
    assert store.save_edits(review_id, edits[:3], revision=0, author=READER) == 3
    assert store.save_edits(review_id, edits[3:], revision=3, author="reader-2") == 4
    review = store.review(review_id)
    assert tuple(each.edit for each in review.edits) == edits
    assert [each.author for each in review.edits] == [READER] * 3 + ["reader-2"]
    assert review.edits[0].as_json()["edit"] == {"kind": "reject", "voxel": list(RCA)}
    assert review.edits[0].time_utc.endswith("+00:00")


def test_the_second_of_two_readers_sees_the_conflict(store_at: Callable[[], Store]) -> None:
    one, other = store_at(), store_at()
    review_id = one.open_review(add_chest(one).result_id, actor=READER).id
    assert other.review(review_id).revision == 0
    one.save_edits(review_id, [Reject(RCA), Accept(LAD)], revision=0, author=READER)
    with pytest.raises(ReviewConflictError, match=r"at revision 2, revision 0 was seen: 2 edit") as conflict:
        other.save_edits(review_id, [Accept(RCA)], revision=0, author="reader-2")
    assert conflict.value.revision == 2
    assert [each.edit for each in conflict.value.since if hasattr(each, "edit")] == [Reject(RCA), Accept(LAD)]
    assert other.review(review_id).revision == 2
    # a revision that never was is refused too
    with pytest.raises(ReviewConflictError):
        other.save_edits(review_id, [Accept(RCA)], revision=7, author="reader-2")
    with pytest.raises(NotInStoreError):
        other.save_edits(99, [Accept(RCA)], revision=0, author="reader-2")


def test_reviewing_follows_what_others_save(store_at: Callable[[], Store]) -> None:
    first, second = store_at(), store_at()
    review_id = first.open_review(add_chest(first).result_id, actor=READER).id
    one, other = Reviewing(first), Reviewing(second, kept=1)
    assert other.current(review_id).review.score.scoring.coronary.agatston == MACHINE_SCORE
    one.edit(review_id, [Reject(RCA)], revision=0, author=READER)
    assert other.current(review_id).review.score.scoring.coronary.agatston == 20.0
    with pytest.raises(ReviewConflictError):
        other.edit(review_id, [Reject(LAD)], revision=0, author="reader-2")
    after = other.edit(review_id, [Reject(LAD)], revision=1, author="reader-2")
    assert (after.stored.revision, after.review.score.scoring.coronary.agatston) == (2, 4.0)
    with pytest.raises(ReviewConflictError):
        one.sign(review_id, revision=1, account=READER, name="A")


def test_a_signature_holds_what_was_seen_and_closes_the_review(store: Store, review_id: int) -> None:
    reviewing = Reviewing(store)
    reviewing.edit(review_id, [Reject(RCA)], revision=0, author=READER)
    signature = reviewing.sign(review_id, revision=1, account=READER, name="Dr. A. Reader")
    assert (signature.agatston, signature.category, signature.signed_name) == (20.0, 1, "Dr. A. Reader")
    assert store.signature(review_id) == signature
    assert store.load_labels(signature.labels_sha256).labels_zyx[RCA] == 1
    assert store.load_labels(signature.sites_sha256).labels_zyx[LAD] == 2
    for refused in (
        lambda: store.save_edits(review_id, [Undo()], revision=1, author=READER),
        lambda: reviewing.sign(review_id, revision=1, account=READER, name="Dr. B. Reader"),
    ):
        with pytest.raises(ReviewSignedError, match="is signed; an amendment can change it"):
            refused()
    row, machine = store.machine_result(store.review(review_id).result_id)
    assert (machine.agatston, row.number) == (MACHINE_SCORE, 1)


@pytest.mark.parametrize("name", ["", "  ", "a\nb", "x" * 201])
def test_nobody_signs_without_a_name(store: Store, review_id: int, name: str) -> None:
    with pytest.raises(ReviewError, match="a signature needs the signer's name"):
        Reviewing(store).sign(review_id, revision=0, account=READER, name=name)
    assert (store.signature(review_id), store.review(review_id).state) == (None, "open")


def test_an_amendment_goes_on_where_the_signed_review_ended(store: Store, review_id: int) -> None:
    reviewing = Reviewing(store)
    with pytest.raises(ReviewError, match="is not the newest signed one"):
        store.amend_review(review_id, actor=READER)
    reviewing.edit(review_id, [Reject(RCA)], revision=0, author=READER)
    reviewing.sign(review_id, revision=1, account=READER, name="A")
    amendment = store.amend_review(review_id, actor="reader-2")
    assert (amendment.number, amendment.revision, amendment.state) == (2, 1, "open")
    changed = reviewing.edit(amendment.id, [Undo()], revision=1, author="reader-2")
    assert changed.review.score.scoring.coronary.agatston == MACHINE_SCORE
    assert store.review(review_id).revision == 1
    assert store.open_review(amendment.result_id, actor=READER).id == amendment.id
    with pytest.raises(ReviewError, match="is not the newest signed one"):
        store.amend_review(review_id, actor=READER)
    store.check()


def test_the_database_itself_refuses_to_change_what_was_written(store: Store, review_id: int) -> None:
    reviewing = Reviewing(store)
    reviewing.edit(review_id, [Reject(RCA)], revision=0, author=READER)
    reviewing.sign(review_id, revision=1, account=READER, name="A")
    for table in FROZEN_TABLES:
        column = METADATA.tables[table].primary_key.columns.keys()[0]
        for statement in (f"UPDATE {table} SET {column} = {column}", f"DELETE FROM {table}"):
            with pytest.raises(StoreError, match=f"{table} is append-only"):
                execute(store, statement)


@pytest.mark.parametrize(
    ("table", "statement", "message"),
    [
        (
            "audit_event",
            "UPDATE audit_event SET actor = 'x' WHERE number = 2",
            "event 2 of the audit trail was changed",
        ),
        ("audit_event", "DELETE FROM audit_event WHERE number = 1", "jumps from event 0 to 2"),
        ("audit_event", "DELETE FROM audit_event WHERE number = 4", "signature of review 1 is not the one"),
        ("machine_result", "UPDATE machine_result SET result_json = '{}'", "machine result 1 is not the one"),
        ("review_edit", "UPDATE review_edit SET author = 'reader-2'", "edit 1 of review 1 is not the one"),
        ("review_edit", "DELETE FROM review_edit", "review 1 is at revision 1 and has 0 edits"),
        ("signature", "UPDATE signature SET signed_name = 'B'", "the signature of review 1 is not the one"),
    ],
)
def test_tampering_shows(store: Store, review_id: int, table: str, statement: str, message: str) -> None:
    reviewing = Reviewing(store)
    reviewing.edit(review_id, [Reject(RCA)], revision=0, author=READER)
    reviewing.sign(review_id, revision=1, account=READER, name="A")
    whole = store.check()
    assert (whole.n_results, whole.n_edits, whole.n_signatures, whole.n_contents) == (1, 1, 1, 5)
    tamper(store, table, statement)
    with pytest.raises(TamperedError, match=message):
        store.check()


def test_a_trail_that_was_cut_off_shows_by_its_noted_head(store: Store, review_id: int) -> None:
    noted = store.check().head
    store.record("view_study", subject="study:1", actor=READER)
    assert store.check(noted=noted).head.number == noted.number + 1
    later = store.check().head
    tamper(store, "audit_event", f"DELETE FROM audit_event WHERE number = {later.number}")
    assert store.check(noted=noted).head == noted
    with pytest.raises(TamperedError, match="the head noted at"):
        store.check(noted=later)
    assert store.check(noted=AuditHead(0, "0" * 64)).head == noted


def test_a_changed_or_lost_content_shows(store: Store, review_id: int) -> None:
    sha256 = store.machine_result(1)[0].labels_sha256
    assert sha256
    path = store.contents.path_of(sha256)
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + b"x")
    with pytest.raises(TamperedError, match="is not what its name says"):
        store.check()
    path.unlink()
    with pytest.raises(NotInStoreError, match="cannot be read"):
        store.check()


def test_no_row_names_a_content_that_is_not_there(store: Store, review_id: int) -> None:
    lost = "0" * 64
    with pytest.raises(NotInStoreError, match="is not on disk, so no row may name it"):
        store.add_result(NewResult("a", result_to_json(scored_result()), labels_sha256=lost), actor="node")
    with pytest.raises(NotInStoreError, match="is not on disk"):
        store.sign_review(Signature(review_id, 0, READER, "A", "", 1.0, 1, "{}", "0", lost, lost))
    assert (len(store.worklist()), store.review(review_id).state) == (1, "open")


def test_the_sweep_spares_what_rows_name(store: Store, review_id: int) -> None:
    loose = store.contents.put(b"loose")
    for path in store.contents.folder.glob("*/*"):
        os.utime(path, (0, 0))
    assert store.sweep() == [loose]
    store.check()


def test_a_study_without_images_is_not_reviewed(store: Store) -> None:
    result = result_to_json(replace(scored_result(), study="bare"))
    stored = store.add_result(NewResult("bare", result), actor="node")
    reviewing, review_id = Reviewing(store), store.open_review(stored.result_id, actor=READER).id
    with pytest.raises(NotInStoreError, match="has no label map"):
        reviewing.current(review_id)
    with pytest.raises(NotInStoreError, match=f"the CT of study {stored.study_id} is not in the store"):
        store.load_scan(stored.study_id)


def test_every_step_is_in_the_trail_of_its_subject(store: Store, review_id: int) -> None:
    reviewing = Reviewing(store)
    store.record("view_study", subject="study:1", actor="viewer-3")
    reviewing.edit(review_id, [Reject(RCA)], revision=0, author=READER)
    reviewing.sign(review_id, revision=1, account=READER, name="A")
    store.amend_review(review_id, actor=READER)
    assert [event.action for event in store.audit_events()] == [
        "add_result",
        "open_review",
        "view_study",
        "edit_review",
        "sign_review",
        "amend_review",
    ]
    assert [event.actor for event in store.audit_events(subject="study:1")] == ["node", "viewer-3"]


def test_neither_log_nor_trail_nor_error_names_a_patient(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.DEBUG, logger="calcmap")  # a command that ran before may have quieted it
    stored = add_chest(store, identity=IDENTITY)
    review_id = store.open_review(stored.result_id, actor=READER).id
    Reviewing(store).edit(review_id, [Reject(RCA), Comment("Plantedname again")], revision=0, author=READER)
    with pytest.raises(StoreError) as refusal:
        execute(store, "SELECT 'Plantedname' FROM nowhere")
    seen = caplog.text + str(store.audit_events()) + str(IDENTITY) + str(store.worklist()) + str(refusal.value)
    assert "planted" not in seen.lower()
    assert "audit 1: add_result study:1 by node" in caplog.text


def test_tables_are_those_that_queries_name(store: Store) -> None:
    with store.database.reading() as connection:
        found = inspect(connection)
        tables = set(found.get_table_names()) - {"sqlite_sequence"}
        assert tables == set(METADATA.tables)
        for name, table in METADATA.tables.items():
            columns = {column["name"]: column for column in found.get_columns(name)}
            assert columns.keys() == set(table.columns.keys())
            assert set(found.get_pk_constraint(name)["constrained_columns"]) == set(table.primary_key.columns.keys())
            for column in table.columns:
                kind = columns[column.name]["type"]
                assert kind.python_type is column.type.python_type, (name, column.name)


def test_a_store_is_brought_up_to_date_once(store_at: Callable[[], Store]) -> None:
    store = store_at()
    store_at()
    last = max(step.number for step in MIGRATIONS)
    more = Migration(last + 1, "a table more", ("CREATE TABLE more (id {id}, size {real})",))
    with store.database.writing() as connection:
        assert migrate(connection, migrations=(*MIGRATIONS, more), time_utc="now") == [last + 1]
    with store.database.writing() as connection:
        assert migrate(connection, migrations=(*MIGRATIONS, more), time_utc="now") == []
    with pytest.raises(StoreError, match=f"the store has step {last + 1}, this version knows up to {last}"):
        store_at()


def test_a_step_that_fails_leaves_nothing(store: Store) -> None:
    broken = Migration(99, "half", ("CREATE TABLE half (id {id})", "CREATE TABLE half (id {id})"))
    with pytest.raises(StoreError, match="already exists"), store.database.writing() as connection:
        migrate(connection, migrations=(*MIGRATIONS, broken), time_utc="now")
    with store.database.reading() as connection:
        assert "half" not in inspect(connection).get_table_names()


def test_a_released_step_that_was_edited_is_refused(store: Store) -> None:
    edited = replace(MIGRATIONS[0], name="something else")
    with (
        pytest.raises(StoreError, match="step 1 of the store is not the one that this version knows"),
        store.database.writing() as connection,
    ):
        migrate(connection, migrations=(edited,), time_utc="now")


def test_a_transaction_that_fails_is_as_if_it_never_began(store: Store, review_id: int) -> None:
    sha256 = store.contents.put(b"a map")
    signature = Signature(review_id, 0, READER, "A", "", 1.0, 1, "{}", "0", sha256, sha256)
    with pytest.raises(StoreError):
        execute(store, "UPDATE review SET revision = 9", "SELECT 1 FROM nowhere")
    assert store.review(review_id).revision == 0
    store.sign_review(signature)
    assert store.review(review_id).state == "signed"


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("no url", "is no URL"),
        ("mysql://host/name", "is mysql, expected sqlite or postgresql"),
        ("sqlite://", "is in memory, expected a file"),
    ],
)
def test_a_database_that_is_not_known_is_refused(tmp_path: Path, url: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        open_store(tmp_path, url=url)


def test_a_database_that_is_not_there_is_refused_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="the database refused: ") as refusal:
        open_store(tmp_path, url=f"postgresql://secretname:secretword@/postgres?host={tmp_path}")
    assert "\n" not in str(refusal.value)
    assert "secretword" not in str(refusal.value)
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="cannot make the store's folder"):
        open_store(tmp_path / "file")


def test_saving_nothing_is_refused(store: Store, review_id: int) -> None:
    with pytest.raises(EditRefusedError, match="there is no edit to save"):
        store.save_edits(review_id, [], revision=0, author=READER)


def test_a_folder_may_have_any_name(tmp_path: Path) -> None:
    folder = tmp_path / "a b?c=d#e%20f"
    open_store(folder).close()
    assert (folder / "calcmap.sqlite").is_file()


def test_the_store_is_its_owners_alone(tmp_path: Path) -> None:
    store = open_store(tmp_path / "store")
    path = store.contents.path_of(store.contents.put(b"a scan"))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == stat.S_IMODE((tmp_path / "store").stat().st_mode) == 0o700
    store.close()


def test_a_url_names_its_driver() -> None:
    database = Database("postgresql://a@b/c")
    assert database.kind == "postgresql"
    database.close()
