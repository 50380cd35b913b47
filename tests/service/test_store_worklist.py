"""The worklist of many studies: searched, counted and paged by either database."""

from __future__ import annotations

from dataclasses import replace

import pytest

from calcmap.core.errors import NotInStoreError
from calcmap.core.result import result_to_json
from calcmap.service.reviewing import Reviewing
from calcmap.service.store import Store
from calcmap.service.store_studies import Identity, NewResult
from calcmap.service.store_worklist import WorklistQuery, WorklistState
from core.results import scored_result
from service.stored_studies import READER, add_chest, add_refused

NAMES = ("Müller^Änne", "MÜLLER^BERND", "Yamada^Tarou=山田^太郎", "O'Neil^100%", "")


@pytest.fixture
def many(store: Store) -> Store:
    """Return a store of five scored studies, one of them without a name, a refused one and a signed one."""
    for n, name in enumerate(NAMES):
        made = scored_result()
        result = replace(made, study=f"pet_{n}", provenance=replace(made.provenance, input_sha256=f"{n}" * 64))
        identity = Identity(patient_name=name, patient_id=f"ID{n}", study_date=f"2026010{n}") if name else None
        store.add_result(NewResult(result.study, result_to_json(result), identity=identity), actor="node")
    add_refused(store)
    signed = store.open_review(add_chest(store, input_sha256="d" * 64).result_id, actor=READER)
    Reviewing(store).sign(signed.id, revision=0, account=READER, name="Dr. A. Reader")
    return store


def test_a_page_of_the_worklist_is_a_part_of_the_whole(many: Store) -> None:
    whole = many.worklist()
    assert len(whole) == 7
    for first in (0, 3, 6, 9):
        page = many.worklist_page(WorklistQuery(first=first, limit=3))
        assert list(page.rows) == whole[first : first + 3]
        assert page.n_by_state == {
            WorklistState.TO_VERIFY: 5,
            WorklistState.REFUSED: 1,
            WorklistState.SIGNED: 1,
        }


@pytest.mark.parametrize(
    ("state", "names"),
    [
        (WorklistState.TO_VERIFY, ["pet_0", "pet_1", "pet_2", "pet_3", "pet_4"]),
        (WorklistState.REFUSED, ["study_09"]),
        (WorklistState.SIGNED, ["study_07"]),
    ],
)
def test_studies_of_one_state_are_listed_alone(many: Store, state: WorklistState, names: list[str]) -> None:
    assert [row.name for row in many.worklist_page(WorklistQuery(state=state)).rows] == names


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("müller", ["pet_0", "pet_1"]),
        ("MÜLLER bernd", ["pet_1"]),
        ("tarou yamada", ["pet_2"]),
        ("山田", ["pet_2"]),
        ("100%", ["pet_3"]),
        ("%", ["pet_3"]),
        ("o'neil", ["pet_3"]),
        ("id2", ["pet_2"]),
        ("2026-01-03", ["pet_3"]),
        ("PET_4", ["pet_4"]),
        ("pet_4 müller", []),
        ("\0", ["pet_0", "pet_1", "pet_2", "pet_3", "pet_4", "study_09", "study_07"]),
        ("-", []),
    ],
)
def test_every_word_of_a_search_has_to_occur(many: Store, text: str, names: list[str]) -> None:
    page = many.worklist_page(WorklistQuery(text=text))
    assert [row.name for row in page.rows] == names
    assert sum(page.n_by_state.values()) == len(names)


def test_the_last_signed_stands_first_among_the_signed(store: Store) -> None:
    for key in "ab":
        review = store.open_review(add_chest(store, input_sha256=key * 64).result_id, actor=READER)
        Reviewing(store).sign(review.id, revision=0, account=READER, name="Dr. A. Reader")
    times = [row.signed_utc or "" for row in store.worklist()]
    assert times == sorted(times, reverse=True)


def test_one_row_is_found_by_its_newest_result_alone(many: Store) -> None:
    for row in many.worklist():
        assert many.worklist_row(row.result_id) == row
    result = replace(scored_result(), study="pet_0", arterial_age_years=1.0)
    again = replace(result, provenance=replace(result.provenance, input_sha256="0" * 64))
    newer = many.add_result(NewResult("pet_0", result_to_json(again)), actor="node")
    assert many.worklist_row(newer.result_id).name == "pet_0"
    for absent in (1, 999):
        with pytest.raises(NotInStoreError, match="not on the worklist"):
            many.worklist_row(absent)
