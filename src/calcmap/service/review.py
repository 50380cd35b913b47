"""A review: the machine's result and an ordered list of edits, from which everything else follows.

Pure: no database, no clock, no file. The same base and the same edits give the same score, on the page, in the store
and in the report.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from calcmap.core.errors import EditRefusedError
from calcmap.core.result import StudyResult
from calcmap.core.volume import Labels, UInt8Array
from calcmap.pipeline.score import find_percentiles
from calcmap.scoring.percentiles import Ethnicity, arterial_age_years
from calcmap.service.review_calcium import Calcium, ReviewBase
from calcmap.service.review_changes import change
from calcmap.service.review_edits import Comment, Edit, Redo, Undo, VoxelEdit
from calcmap.service.review_scoring import ReviewScore, score_calcium

MAX_EDITS = 10_000
"""Most edits of one review: far beyond any reader's patience; keeps what a page can ask of the server finite."""


@dataclass(frozen=True, eq=False)
class Step:
    """The calcium after an edit, and its score."""

    edit: VoxelEdit | None
    """``None`` for the machine's own result."""
    calcium: Calcium
    score: ReviewScore


@dataclass(frozen=True, eq=False)
class Review:
    """The state of a review. Made by `start_review`; each edit gives a new one.

    Parameters
    ----------
    base : ReviewBase
        What it started from.
    log : tuple of Edit
        Every edit, undone ones, undos and comments too. Nothing is ever taken out.
    steps : tuple of Step
        The machine's result, then the edits that stand.
    undone : tuple of Step
        What a redo would bring back, the next one last.
    """

    base: ReviewBase
    log: tuple[Edit, ...]
    steps: tuple[Step, ...]
    undone: tuple[Step, ...]

    @property
    def revision(self) -> int:
        """Number of edits so far."""
        return len(self.log)

    @property
    def calcium(self) -> Calcium:
        """The calcium as it stands."""
        return self.steps[-1].calcium

    @property
    def score(self) -> ReviewScore:
        """The score as it stands."""
        return self.steps[-1].score

    @property
    def machine(self) -> ReviewScore:
        """The machine's score."""
        return self.steps[0].score

    @property
    def comments(self) -> tuple[str, ...]:
        """What readers wrote, oldest first."""
        return tuple(edit.text for edit in self.log if isinstance(edit, Comment))

    def with_edit(self, edit: Edit) -> Review:
        """Return the review after one more edit.

        Raises
        ------
        EditRefusedError
            The edit makes no sense on this scan, there is nothing to undo or redo, or the review has `MAX_EDITS`.
        """
        if self.revision >= MAX_EDITS:
            raise EditRefusedError(f"a review has at most {MAX_EDITS} edits")
        log = (*self.log, edit)
        if isinstance(edit, Comment):
            return replace(self, log=log)
        if isinstance(edit, Undo):
            return self._undone(log)
        if isinstance(edit, Redo):
            return self._redone(log)
        calcium = change(self.base, self.calcium, self.score, edit)
        step = Step(edit, calcium, score_calcium(self.base, calcium))
        return Review(self.base, log, (*self.steps, step), ())

    def labels(self) -> Labels:
        """Return the label map as it stands, values of `calcmap.core.volume.Label` on the CT's grid."""
        labels_zyx = self.base.beneath_zyx.copy()
        is_live = self.calcium.is_live
        labels_zyx.reshape(-1)[self.calcium.index[is_live]] = self.calcium.label[is_live]
        return Labels(labels_zyx, self.base.volume.grid)

    def sites_zyx(self) -> UInt8Array:
        """Return the site of every voxel of calcium, values of ``review_edits.SITE_CODES``, 0 elsewhere."""
        sites_zyx = np.zeros(self.base.volume.grid.shape_zyx, dtype=np.uint8)
        is_live = self.calcium.is_live
        sites_zyx.reshape(-1)[self.calcium.index[is_live]] = self.calcium.site[is_live]
        return sites_zyx

    def slice_maps(self, slice_index: int) -> tuple[UInt8Array, UInt8Array]:
        """Return label map and site map of one slice, without making those of the scan.

        Parameters
        ----------
        slice_index : int
            From 0, ascending towards the head.

        Returns
        -------
        labels_yx, sites_yx : ndarray of uint8, shape (rows, columns)
            As the slices of `labels` and `sites_zyx`.
        """
        labels_yx = self.base.beneath_zyx[slice_index].copy()
        sites_yx = np.zeros_like(labels_yx)
        first = slice_index * labels_yx.size
        is_here = self.calcium.is_live & (self.calcium.index >= first) & (self.calcium.index < first + labels_yx.size)
        at = self.calcium.index[is_here] - first
        labels_yx.reshape(-1)[at] = self.calcium.label[is_here]
        sites_yx.reshape(-1)[at] = self.calcium.site[is_here]
        return labels_yx, sites_yx

    def _undone(self, log: tuple[Edit, ...]) -> Review:
        if len(self.steps) == 1:
            raise EditRefusedError("there is nothing to undo")
        return Review(self.base, log, self.steps[:-1], (*self.undone, self.steps[-1]))

    def _redone(self, log: tuple[Edit, ...]) -> Review:
        if not self.undone:
            raise EditRefusedError("there is nothing to redo")
        return Review(self.base, log, (*self.steps, self.undone[-1]), self.undone[:-1])


def start_review(base: ReviewBase) -> Review:
    """Return a review without edits: its score is the machine's."""
    return Review(base, (), (Step(None, base.calcium, score_calcium(base, base.calcium)),), ())


def replay(base: ReviewBase, edits: Iterable[Edit]) -> Review:
    """Return the review that a list of edits leads to.

    Parameters
    ----------
    base : ReviewBase
        What the review started from.
    edits : iterable of Edit
        In their order.

    Returns
    -------
    Review
        The same, whenever and wherever it is done.

    Raises
    ------
    EditRefusedError
        An edit cannot be made where it stands; a list that a review recorded never holds one.
    """
    review = start_review(base)
    for edit in edits:
        review = review.with_edit(edit)
    return review


def changed_slices(before: Review, after: Review) -> list[int]:
    """Return the slices whose maps differ between two states of one review, ascending: what a page draws anew."""
    voxels = [
        np.stack([state.calcium.index, state.calcium.label, state.calcium.site, state.calcium.mark], axis=1)
        for state in (before, after)
    ]
    both, n_seen = np.unique(np.concatenate(voxels), axis=0, return_counts=True)
    _, n_rows, n_columns = before.base.volume.grid.shape_zyx
    return [int(z) for z in np.unique(both[n_seen == 1, 0] // (n_rows * n_columns))]


def reviewed_result(machine: StudyResult, review: Review, *, ethnicity: Ethnicity | None = None) -> StudyResult:
    """Return the reader's result: the machine's with every number that the review changes made anew.

    Parameters
    ----------
    machine : StudyResult
        The machine's result; it stays as it is.
    review : Review
        As it stands.
    ethnicity : Ethnicity, optional
        For MESA percentiles, which need it.

    Returns
    -------
    StudyResult
        Without confidence, which speaks of the networks and not of a reader.
    """
    score = review.score
    agatston = score.scoring.coronary.agatston
    return replace(
        machine,
        coronary=score.scoring.coronary,
        noncoronary=score.scoring.noncoronary,
        category=score.category,
        vessels=score.scoring.vessels,
        lesions=score.scoring.lesions,
        method=score.scoring.method,
        percentiles=find_percentiles(review.base.scan, agatston, ethnicity=ethnicity),
        arterial_age_years=arterial_age_years(agatston),
        confidence=None,
    )
