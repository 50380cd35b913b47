"""The score that the Python code gives what the store holds of a review."""

from __future__ import annotations

from calcmap.service.reviewing import Reviewing
from calcmap.service.store import Store


def python_score(store: Store, name: str, *, reviewing: Reviewing | None = None) -> tuple[str, ...]:
    """Return what the table of scores has to show, from the store's edits alone and never from the server's memory."""
    (row,) = [row for row in store.worklist() if row.name == name]
    assert row.review_id is not None
    score = (reviewing or Reviewing(store)).current(row.review_id).review.score
    vessels = {vessel.value: sums.agatston for vessel, sums in score.scoring.vessels.items()}
    values = [score.scoring.coronary.agatston, *(vessels[each] for each in ("LM", "LAD", "LCx", "RCA"))]
    return *(f"{value:g}" for value in values), str(score.category.index)
