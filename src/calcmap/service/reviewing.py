"""Reviews as a server serves them: loaded from the store, edited by the pure code, saved under a lock."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

from calcmap.core.errors import NotInStoreError, ReviewConflictError, ReviewError
from calcmap.core.result import StudyResult, result_to_json
from calcmap.core.volume import Labels
from calcmap.service.outbox import Outbox
from calcmap.service.review import Review, reviewed_result, start_review
from calcmap.service.review_calcium import ReviewBase, base_from_result
from calcmap.service.review_edits import Edit
from calcmap.service.store import Store
from calcmap.service.store_audit import canonical_json, sha256_of_text
from calcmap.service.store_reviews import Signature, StoredReview
from calcmap.service.store_voxels import pack_voxels

UNBEGUN = "unbegun"
"""State of a review that nobody began, beside ``open`` and ``signed``."""
KEPT_REVIEWS = 8
"""Reviews held ready, each with its CT (about 50 MB): readers at once, and the studies they go back to (our choice)."""
KEPT_BYTES = 1 << 30
"""Memory that held reviews may take beside the newest one: one of 400 slices of 512 x 512 takes 300 MB (our choice)."""


@dataclass(frozen=True, eq=False)
class CurrentReview:
    """A review as it stands."""

    stored: StoredReview
    review: Review


class Reviewing:
    """Loads, edits and signs reviews; safe to share between threads.

    Parameters
    ----------
    store : Store
        Where they lie.
    kept : int
        How many reviews are held ready.
    outbox : Outbox or None
        The way out for what is signed; ``None``: nothing goes out.
    """

    def __init__(self, store: Store, *, kept: int = KEPT_REVIEWS, outbox: Outbox | None = None) -> None:
        self.store = store
        self.outbox = outbox
        self._kept = kept
        self._ready: OrderedDict[int, Review] = OrderedDict()
        self._known: dict[int, StoredReview] = {}
        self._lock = threading.Lock()

    def current(self, review_id: int) -> CurrentReview:
        """Return a review as the store has it now, whoever saved last."""
        with self._lock:
            review, known = self._ready.get(review_id), self._known.get(review_id)
        stored = self.store.review(review_id, known=known)
        if review is None or review.revision > stored.revision:
            review = start_review(self._base(stored.result_id))
        for each in stored.edits[review.revision :]:
            review = review.with_edit(each.edit)
        self._keep(review_id, review, stored)
        return CurrentReview(stored, review)

    def unbegun(self, result_id: int) -> CurrentReview:
        """Return what a review of a result would begin with; nothing is begun."""
        with self._lock:
            review = self._ready.get(-result_id)  # numbers of reviews are positive
        if review is None:
            review = start_review(self._base(result_id))
            self._keep(-result_id, review)
        return CurrentReview(StoredReview(0, result_id, 0, UNBEGUN, 0, ()), review)

    def edit(self, review_id: int, edits: Sequence[Edit], *, revision: int, author: str) -> CurrentReview:
        """Return a review after further edits, saved.

        Parameters
        ----------
        review_id : int
            An open review.
        edits : sequence of Edit
            In their order; all are saved, or none.
        revision : int
            The revision that the reader saw.
        author : str
            The account.

        Returns
        -------
        CurrentReview
            As it stands after the edits.

        Raises
        ------
        EditRefusedError
            One of the edits makes no sense.
        ReviewConflictError
            Somebody saved since that revision; ``since`` says who and what.
        ReviewSignedError
            The review is signed.
        """
        seen = self.current(review_id)
        # Of a stale revision the store tells what came between: what the edits would mean there is not asked.
        review = seen.review
        if seen.stored.revision == revision:
            for edit in edits:
                review = review.with_edit(edit)
        self.store.save_edits(review_id, edits, revision=revision, author=author)
        self._keep(review_id, review)
        return self.current(review_id)

    def sign(self, review_id: int, *, revision: int, account: str, name: str) -> Signature:
        """Sign a review as it was seen.

        Parameters
        ----------
        review_id : int
            An open review.
        revision : int
            The revision that the signer saw.
        account, name : str
            Who signs, and the name that will stand under the result.

        Returns
        -------
        Signature
            With the time and what was signed.

        Raises
        ------
        ReviewConflictError, ReviewSignedError
            As `edit`.
        ReviewError
            The name is empty or no name.
        """
        seen = self.current(review_id)
        if seen.stored.revision != revision:
            since = tuple(edit for edit in seen.stored.edits if edit.position > revision)
            raise ReviewConflictError(
                f"review {review_id} is at revision {seen.stored.revision}, revision {revision} was seen",
                revision=seen.stored.revision,
                since=since,
            )
        read = self.result(seen)
        text = canonical_json(result_to_json(read))
        grid = seen.review.base.volume.grid
        draft = Signature(
            review_id=review_id,
            revision=revision,
            signed_by=account,
            signed_name=name,
            signed_utc="",
            agatston=seen.review.score.scoring.coronary.agatston,
            category=seen.review.score.category.index,
            result_json=text,
            result_sha256=sha256_of_text(text),
            labels_sha256=self.store.contents.put(pack_voxels(seen.review.labels().labels_zyx, grid)),
            sites_sha256=self.store.contents.put(pack_voxels(seen.review.sites_zyx(), grid)),
        )
        if self.outbox is None:
            return self.store.sign_review(draft)
        signed = self.store.sign_review(draft, outgoing=self.outbox.outgoing)
        self.outbox.has_news.set()
        return signed

    def going_out(self) -> Outbox:
        """Return the way out; `ReviewError` where nothing goes out in this run."""
        if self.outbox is None:
            raise ReviewError("nothing goes out in this run: it has no destinations")
        return self.outbox

    def result(self, current: CurrentReview) -> StudyResult:
        """Return the reader's result: the machine's with every number that the review changes made anew."""
        _, machine = self.store.machine_result(current.stored.result_id)
        return reviewed_result(machine, current.review)

    def _base(self, result_id: int) -> ReviewBase:
        row, result = self.store.machine_result(result_id)
        if row.labels_sha256 is None:
            raise NotInStoreError(f"machine result {result_id} has no label map")
        scan = self.store.load_scan(row.study_id)
        labels = self.store.load_labels(row.labels_sha256)
        labels.check_on(scan.volume)
        return base_from_result(scan, Labels(labels.labels_zyx, scan.volume.grid), result)

    def _keep(self, review_id: int, review: Review, stored: StoredReview | None = None) -> None:
        with self._lock:
            self._ready[review_id] = review
            if stored is not None:
                self._known[review_id] = stored
            self._ready.move_to_end(review_id)
            while len(self._ready) > self._kept or self._is_over(KEPT_BYTES):
                dropped, _ = self._ready.popitem(last=False)
                self._known.pop(dropped, None)

    def _is_over(self, n_bytes: int) -> bool:
        """Tell whether the held reviews, of which there are more than one, take more than so much memory."""
        held = [review.base.volume.ct_hu_zyx.nbytes + review.base.beneath_zyx.nbytes for review in self._ready.values()]
        return len(held) > 1 and sum(held) > n_bytes
