"""What a server holds ready of reviews: bounded in memory, and no longer in work the longer a review is."""

from __future__ import annotations

import pytest

from calcmap.service import reviewing as reviewing_module
from calcmap.service.review_edits import Comment
from calcmap.service.reviewing import Reviewing
from calcmap.service.store import Store
from service.stored_studies import READER, add_chest


def test_the_newest_review_alone_is_held_where_memory_is_short(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reviewing_module, "KEPT_BYTES", 1)
    reviewing = Reviewing(store)
    ids = [store.open_review(add_chest(store, input_sha256=key * 64).result_id, actor=READER).id for key in "ab"]
    first, _ = (reviewing.current(each).review for each in ids)
    again = reviewing.current(ids[0]).review
    assert again.base is not first.base  # loaded anew
    assert reviewing.current(ids[0]).review.base is again.base  # the newest stays, however large it is


def test_edits_that_were_read_are_not_read_again(store: Store) -> None:
    review_id = store.open_review(add_chest(store).result_id, actor=READER).id
    other = Reviewing(store)
    for n in range(5):
        other.edit(review_id, [Comment(f"{n}")], revision=n, author=READER)
    known = store.review(review_id)
    store.save_edits(review_id, [Comment("late")], revision=5, author="reader-2")
    later = store.review(review_id, known=known)
    assert later == store.review(review_id)
    assert all(one is same for one, same in zip(known.edits, later.edits, strict=False))
    assert [each.edit for each in other.current(review_id).stored.edits][-1] == Comment("late")
