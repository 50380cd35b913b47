"""The lesion judge: boosted trees that strike out what the calcium network took for coronary calcium and is not.

The network sees a few slices of a window; the judge sees a whole dense piece, where it lies, and how many others the
scan holds: in a noisy scan a hundred specks look like calcium, and no one of them knows of the others.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from calcmap.core.errors import ModelError
from calcmap.core.volume import Float32Array, Float64Array, IntArray
from calcmap.segmentation.evidence import Candidates, DecisionOffsets, decide
from calcmap.segmentation.model_files import is_for, load_model, networks_of
from calcmap.segmentation.pieces import PIECE_FEATURES, counted_pieces, without_pieces

JUDGE_FILE = "judge.json"
LEAF = -1
"""Feature number of a node that asks nothing."""


@dataclass(frozen=True, eq=False)
class Trees:
    """Regression trees whose values are added up; every tree fills its row from the root, and unused nodes are leaves.

    Parameters
    ----------
    feature_tn : ndarray of int, shape (trees, nodes)
        Feature that a node asks for; `LEAF` where it ends.
    limit_tn : ndarray of float32, shape (trees, nodes)
        Values up to it go left, others right; in single precision, as the trees were grown.
    left_tn, right_tn : ndarray of int, shape (trees, nodes)
        Next node, always a later one.
    value_tn : ndarray of float64, shape (trees, nodes)
        What a leaf adds.
    base : float
        What the sum begins with.

    Raises
    ------
    ModelError
        Shapes differ, a feature is unknown, a value is not finite, or a node leads back.
    """

    feature_tn: IntArray
    limit_tn: Float32Array
    left_tn: IntArray
    right_tn: IntArray
    value_tn: Float64Array
    base: float

    def __post_init__(self) -> None:
        arrays = (self.feature_tn, self.limit_tn, self.left_tn, self.right_tn, self.value_tn)
        if self.feature_tn.ndim != 2 or len({array.shape for array in arrays}) != 1 or self.feature_tn.size == 0:
            raise ModelError(
                f"trees have shapes {[array.shape for array in arrays]}, expected one shape (trees, nodes)"
            )
        if not (np.isfinite(self.limit_tn).all() and np.isfinite(self.value_tn).all() and np.isfinite(self.base)):
            raise ModelError("a limit or a value of the trees is not finite")
        if self.feature_tn.min() < LEAF or self.feature_tn.max() >= len(PIECE_FEATURES):
            raise ModelError(f"the trees ask for a feature that is none of {len(PIECE_FEATURES)}")
        n_nodes, asks = self.feature_tn.shape[1], self.feature_tn != LEAF
        here = np.broadcast_to(np.arange(n_nodes), asks.shape)[asks]
        for following in (self.left_tn[asks], self.right_tn[asks]):
            if ((following <= here) | (following >= n_nodes)).any():
                raise ModelError("a node of the trees does not lead to a later one")

    def sums(self, features_pf: Float64Array) -> Float64Array:
        """Return the sum of all trees' values (n,) for features (n, f)."""
        asked_pf = features_pf.astype(np.float32)
        row, tree = np.arange(len(asked_pf))[:, None], np.arange(len(self.feature_tn))[None, :]
        node_pt = np.zeros((len(asked_pf), len(self.feature_tn)), dtype=np.intp)
        while (asks_pt := self.feature_tn[tree, node_pt] != LEAF).any():
            goes_left = asked_pf[row, self.feature_tn[tree, node_pt]] <= self.limit_tn[tree, node_pt]
            following_pt = np.where(goes_left, self.left_tn[tree, node_pt], self.right_tn[tree, node_pt])
            node_pt = np.where(asks_pt, following_pt, node_pt)
        return np.asarray(self.base + self.value_tn[tree, node_pt].sum(axis=1), dtype=np.float64)


@dataclass(frozen=True, eq=False)
class LesionJudge:
    """Says how likely a dense piece that counts is coronary calcium, and strikes out the unlikely ones.

    Parameters
    ----------
    trees : Trees
        Their sum is the logit.
    lowest_kept : float
        Pieces with a lower probability are struck out.
    networks : mapping of str to str
        SHA-256 of the heart and the calcium network whose errors it knows.
    basis : str
        What it was fitted on, for readers.
    sha256 : str
        Of its file, for provenance; empty for a model without one.

    Raises
    ------
    ModelError
        ``lowest_kept`` is no probability.
    """

    trees: Trees
    lowest_kept: float
    networks: Mapping[str, str]
    basis: str
    sha256: str = ""

    def __post_init__(self) -> None:
        if not 0.0 <= self.lowest_kept <= 1.0:
            raise ModelError(f"lowest_kept is {self.lowest_kept:g}, expected 0 to 1")

    def is_for(self, weights_sha256: Mapping[str, str]) -> bool:
        """Return whether the judge was fitted for these networks (hashes by task; others are left aside)."""
        return is_for(self.networks, weights_sha256)

    def probabilities(self, features_pf: Float64Array) -> Float64Array:
        """Return the probability (pieces,) that a piece is coronary calcium, of `pieces.PIECE_FEATURES` (pieces, f)."""
        return np.asarray(expit(self.trees.sums(features_pf)), dtype=np.float64)

    def strike_out(self, candidates: Candidates, class_voxel: NDArray[np.intp]) -> NDArray[np.intp]:
        """Return the decision (voxels,) without the pieces that are hardly coronary calcium; it adds none."""
        counted = counted_pieces(candidates, class_voxel)
        if len(counted.number) == 0:
            return class_voxel
        struck = counted.number[self.probabilities(counted.features_pf) < self.lowest_kept]
        return without_pieces(candidates, class_voxel, struck)


def decide_and_judge(candidates: Candidates, offsets: DecisionOffsets, judge: LesionJudge | None) -> NDArray[np.intp]:
    """Return the class of each candidate voxel (voxels,): the network's, and where there is one, the judge's word."""
    found = decide(candidates, offsets)
    return found if judge is None else judge.strike_out(candidates, found)


def load_lesion_judge(path: Path | None = None) -> LesionJudge | None:
    """Return a lesion judge from its JSON file; by default the shipped one, or ``None`` where none is shipped.

    Raises
    ------
    ModelError
        The file was named and is missing, or is not a lesion judge.
    """
    return load_model(
        path,
        shipped=JUDGE_FILE,
        kind="lesion judge",
        read=lambda content, sha256: judge_from_json(content, sha256=sha256),
    )


def judge_to_json(judge: LesionJudge) -> dict[str, Any]:
    """Return the content of a judge's file, without its hash."""
    trees = judge.trees
    return {
        "features": list(PIECE_FEATURES),
        "lowest_kept": judge.lowest_kept,
        "networks": dict(judge.networks),
        "basis": judge.basis,
        "base": trees.base,
        "trees": {
            "feature": trees.feature_tn.tolist(),
            "limit": [[float(limit) for limit in row] for row in trees.limit_tn],
            "left": trees.left_tn.tolist(),
            "right": trees.right_tn.tolist(),
            "value": trees.value_tn.tolist(),
        },
    }


def judge_from_json(content: Mapping[str, Any], *, sha256: str = "") -> LesionJudge:
    """Return the judge whose file holds this content.

    Raises
    ------
    ModelError
        Its features are others than `pieces.PIECE_FEATURES`, or its trees are damaged.
    KeyError, TypeError, ValueError
        Something is missing or of another kind.
    """
    if tuple(content["features"]) != PIECE_FEATURES:
        raise ModelError(f"the lesion judge knows other features: {content['features']}")
    nodes = content["trees"]
    trees = Trees(
        feature_tn=np.array(nodes["feature"], dtype=np.intp),
        limit_tn=np.array(nodes["limit"], dtype=np.float32),
        left_tn=np.array(nodes["left"], dtype=np.intp),
        right_tn=np.array(nodes["right"], dtype=np.intp),
        value_tn=np.array(nodes["value"], dtype=np.float64),
        base=float(content["base"]),
    )
    return LesionJudge(
        trees,
        lowest_kept=float(content["lowest_kept"]),
        networks=networks_of(content),
        basis=str(content["basis"]),
        sha256=sha256,
    )
