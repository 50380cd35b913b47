"""Grow the lesion judge's trees, on cases that the networks were not trained on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calcmap.core.errors import ConfigError
from calcmap.core.volume import BoolArray, Float64Array, IntArray, Label, UInt8Array
from calcmap.segmentation.evidence import DecisionOffsets, decide
from calcmap.segmentation.judge import LEAF, LesionJudge, Trees
from calcmap.segmentation.pieces import PIECE_FEATURES, counted_pieces, without_pieces
from calcmap.training.calibrating import HeldOutCase, clinical_score

N_TREES, LEAVES, RATE, LEAF_PIECES, DRAWN_SHARE = 140, 6, 0.05, 12, 0.7
"""Trees, leaves of each, learning rate, pieces a leaf holds at least, and share of the pieces that each tree is grown
on: stochastic gradient boosting (Friedman 2002). Chosen by the log loss of pieces of patients left out."""
FEWEST_PIECES = 50
"""With fewer pieces of either kind no judge is grown (our choice)."""
NO_FOLD = -1
"""Fold of a case that every judge may know: it is left out of none, and none speaks of it."""


@dataclass(frozen=True, eq=False)
class KnownPieces:
    """The counted pieces of many cases, with what the cases' own labels say of them; arrays begin with the pieces.

    Parameters
    ----------
    features_pf : ndarray of float64, shape (pieces, features)
        See `pieces.counted_pieces`.
    is_coronary_p : ndarray of bool, shape (pieces,)
        Whether at least half of the labelled voxels are coronary calcium; heart voxels, which noise joins to calcium,
        are not counted, but a piece without coronary voxels is none.
    case_p : ndarray of int, shape (pieces,)
        Place of its case.
    number_p : ndarray of int, shape (pieces,)
        Its number in the case's candidates.
    """

    features_pf: Float64Array
    is_coronary_p: BoolArray
    case_p: IntArray
    number_p: NDArray[np.intp]


def known_pieces(cases: Sequence[HeldOutCase]) -> KnownPieces:
    """Return the pieces that the networks alone count as coronary, of cases whose labels are known."""
    features, is_coronary, of_case, numbers = [np.zeros((0, len(PIECE_FEATURES)))], [], [], []
    for place, case in enumerate(cases):
        if case.candidates is None or case.label_voxel is None:
            continue
        counted = counted_pieces(case.candidates, decide(case.candidates, DecisionOffsets()))
        features.append(counted.features_pf)
        is_coronary += [_is_coronary(case.label_voxel[case.candidates.piece == each]) for each in counted.number]
        of_case += [place] * len(counted.number)
        numbers += counted.number.tolist()
    return KnownPieces(
        np.concatenate(features),
        np.array(is_coronary, dtype=np.bool_),
        np.array(of_case, dtype=np.intp),
        np.array(numbers, dtype=np.intp),
    )


def grow_trees(features_pf: Float64Array, is_coronary_p: BoolArray, *, seed: int = 0) -> Trees:
    """Return trees whose sum is the logit of a piece being coronary calcium.

    Parameters
    ----------
    features_pf : ndarray of float64, shape (pieces, features)
        See `pieces.PIECE_FEATURES`.
    is_coronary_p : ndarray of bool, shape (pieces,)
        The truth.
    seed : int
        Of the drawn shares.

    Returns
    -------
    Trees
        As scikit-learn's gradient boosting grows them, to its decision function.

    Raises
    ------
    ConfigError
        There are fewer than `FEWEST_PIECES` of one kind, or scikit-learn is not installed.
    """
    n_true, n_false = int(is_coronary_p.sum()), int((~is_coronary_p).sum())
    if min(n_true, n_false) < FEWEST_PIECES:
        raise ConfigError(f"{n_true} pieces are calcium and {n_false} are not; a judge needs {FEWEST_PIECES} of each")
    try:
        from sklearn.ensemble import GradientBoostingClassifier  # only who grows a judge needs it
    except ImportError as error:
        raise ConfigError("growing a judge needs scikit-learn: pip install 'calcmap[train]'") from error
    model = GradientBoostingClassifier(
        n_estimators=N_TREES, max_leaf_nodes=LEAVES, max_depth=None, learning_rate=RATE, min_samples_leaf=LEAF_PIECES,
        subsample=DRAWN_SHARE, random_state=seed,
    ).fit(features_pf, is_coronary_p)  # fmt: skip
    grown = [estimator.tree_ for estimator in model.estimators_[:, 0]]
    shape = (len(grown), max(tree.node_count for tree in grown))
    feature, left, right = np.full(shape, LEAF), np.zeros(shape, dtype=np.intp), np.zeros(shape, dtype=np.intp)
    limit, value = np.zeros(shape, dtype=np.float32), np.zeros(shape)
    for row, tree in enumerate(grown):
        nodes = slice(0, tree.node_count)
        asks = tree.children_left >= 0
        feature[row, nodes] = np.where(asks, tree.feature, LEAF)
        # a value of single precision is at most the limit exactly when it is at most the limit rounded down to one
        limit[row, nodes] = np.where(asks, _rounded_down(tree.threshold), 0.0)
        left[row, nodes], right[row, nodes] = (
            np.where(asks, tree.children_left, 0),
            np.where(asks, tree.children_right, 0),
        )
        value[row, nodes] = np.where(asks, 0.0, RATE * tree.value[:, 0, 0])
    return Trees(feature, limit, left, right, value, base=float(np.log(n_true / n_false)))


def probabilities_of_left_out(known: KnownPieces, fold_n: IntArray, *, seed: int = 0) -> Float64Array:
    """Return each piece's probability (pieces,) by trees that were grown without the fold (cases,) of its case.

    Pieces of cases in `NO_FOLD` get 0.
    """
    fold_p = fold_n[known.case_p]
    probability_p = np.zeros(len(fold_p))
    for fold, judge in _judge_of_fold(known, fold_n, lowest_kept=0.0, seed=seed).items():
        probability_p[fold_p == fold] = judge.probabilities(known.features_pf[fold_p == fold])
    return probability_p


def judges_of_left_out(known: KnownPieces, fold_n: IntArray, *, lowest_kept: float, seed: int = 0) -> list[LesionJudge]:
    """Return for each case that is not in `NO_FOLD` a judge that was grown without its fold (cases,)."""
    judge_of_fold = _judge_of_fold(known, fold_n, lowest_kept=lowest_kept, seed=seed)
    return [judge_of_fold[int(fold)] for fold in fold_n if fold != NO_FOLD]


def _judge_of_fold(known: KnownPieces, fold_n: IntArray, *, lowest_kept: float, seed: int) -> dict[int, LesionJudge]:
    """Return for each fold a judge that was grown without it, for no networks yet."""
    fold_p = fold_n[known.case_p]
    return {
        int(fold): LesionJudge(
            grow_trees(known.features_pf[fold_p != fold], known.is_coronary_p[fold_p != fold], seed=seed),
            lowest_kept,
            networks={},
            basis="cases of other folds",
        )
        for fold in np.unique(fold_n[fold_n != NO_FOLD])
    }


def judged_scores(
    cases: Sequence[HeldOutCase], known: KnownPieces, probability_p: Float64Array, *, lowest_kept: float
) -> Float64Array:
    """Return the clinical score (cases,) when pieces with a lower probability are struck out."""
    score_n = np.zeros(len(cases))
    for place, case in enumerate(cases):
        if case.candidates is None:
            continue
        struck = known.number_p[(known.case_p == place) & (probability_p < lowest_kept)]
        found = decide(case.candidates, DecisionOffsets())
        score_n[place] = clinical_score(case.candidates, without_pieces(case.candidates, found, struck))
    return score_n


def _is_coronary(label_voxel: UInt8Array) -> bool:
    n_coronary = int((label_voxel == Label.CORONARY).sum())
    return n_coronary > 0 and 2 * n_coronary >= int((label_voxel != Label.HEART).sum())


def _rounded_down(limit: Float64Array) -> Float64Array:
    """Return the largest numbers of single precision that are no larger."""
    rounded = limit.astype(np.float32)
    return np.where(rounded > limit, np.nextafter(rounded, np.float32(-np.inf)), rounded).astype(np.float64)
