from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from calcmap.core.errors import ModelError
from calcmap.segmentation.evidence import DecisionOffsets
from calcmap.segmentation.judge import (
    LEAF,
    LesionJudge,
    Trees,
    decide_and_judge,
    judge_from_json,
    judge_to_json,
    load_lesion_judge,
)
from calcmap.segmentation.pieces import PIECE_FEATURES
from segmentation.test_pieces import TWO_LESIONS

PEAK = PIECE_FEATURES.index("peak_hu")
NETWORKS = {"heart": "a" * 64, "calcium": "b" * 64}


def peak_judge(limit_hu: float = 350.0, *, lowest_kept: float = 0.5) -> LesionJudge:
    """Return a judge of two trees: one asks whether the peak lies above a limit, the other always adds the same."""
    trees = Trees(
        feature_tn=np.array([[PEAK, LEAF, LEAF], [LEAF, LEAF, LEAF]]),
        limit_tn=np.array([[limit_hu, 0, 0], [0, 0, 0]], dtype=np.float32),
        left_tn=np.array([[1, 0, 0], [0, 0, 0]]),
        right_tn=np.array([[2, 0, 0], [0, 0, 0]]),
        value_tn=np.array([[0.0, -2.0, 2.0], [0.5, 0.0, 0.0]]),
        base=-0.25,
    )
    return LesionJudge(trees, lowest_kept, NETWORKS, "a test")


def features_with_peaks(*peaks_hu: float) -> np.ndarray:
    features = np.zeros((len(peaks_hu), len(PIECE_FEATURES)))
    features[:, PEAK] = peaks_hu
    return features


def test_trees_add_up_and_a_value_at_the_limit_goes_left() -> None:
    sums = peak_judge().trees.sums(features_with_peaks(100.0, 350.0, 351.0))
    assert sums.tolist() == [-1.75, -1.75, 2.25]
    assert peak_judge().probabilities(features_with_peaks(351.0)) == pytest.approx([1 / (1 + np.exp(-2.25))])


def test_unlikely_pieces_are_struck_out_and_none_is_added() -> None:
    alone = decide_and_judge(TWO_LESIONS, DecisionOffsets(), None)
    judged = decide_and_judge(TWO_LESIONS, DecisionOffsets(), peak_judge())
    assert set(TWO_LESIONS.piece[alone == 1].tolist()) == {0, 1, 2}
    assert set(TWO_LESIONS.piece[judged == 1].tolist()) == {
        0,
        2,
    }  # the piece of 310 HU is gone, the one of 400 HU stays
    assert ((judged == alone) | ((alone == 1) & (judged == 0))).all()
    np.testing.assert_array_equal(decide_and_judge(TWO_LESIONS, DecisionOffsets(), peak_judge(lowest_kept=0.0)), alone)


def test_a_scan_without_calcium_needs_no_judge() -> None:
    nothing = np.zeros(8, dtype=np.intp)
    np.testing.assert_array_equal(peak_judge().strike_out(TWO_LESIONS, nothing), nothing)


def test_a_judge_serves_the_networks_it_was_fitted_for_alone() -> None:
    assert peak_judge().is_for(NETWORKS | {"vessels": "c" * 64})
    assert not peak_judge().is_for(NETWORKS | {"calcium": "c" * 64})


def test_a_judge_is_the_same_after_its_file(tmp_path: Path) -> None:
    path = tmp_path / "judge.json"
    path.write_text(json.dumps(judge_to_json(peak_judge())))
    loaded = load_lesion_judge(path)
    assert loaded is not None
    assert (loaded.basis, loaded.lowest_kept, dict(loaded.networks)) == ("a test", 0.5, NETWORKS)
    assert len(loaded.sha256) == 64
    peaks = features_with_peaks(100.0, 351.0)
    np.testing.assert_array_equal(loaded.probabilities(peaks), peak_judge().probabilities(peaks))


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        ("features", ["peak_hu"], "knows other features"),
        ("lowest_kept", 1.5, "lowest_kept is 1.5, expected 0 to 1"),
        ("base", float("nan"), "not finite"),
        (("trees", "feature"), [[99, -1, -1], [-1, -1, -1]], "none of 18"),
        (("trees", "left"), [[0, 0, 0], [0, 0, 0]], "later one"),
        (("trees", "right"), [[3, 0, 0], [0, 0, 0]], "later one"),
        (("trees", "value"), [[0.0, 1.0]], "expected one shape"),
        (("trees", "limit"), [[None, 0, 0], [0, 0, 0]], "not finite"),
        ("networks", {"heart": "a"}, "KeyError"),
        ("trees", None, "TypeError"),
    ],
)
def test_a_damaged_judge_is_named(tmp_path: Path, place: Any, value: Any, message: str) -> None:
    content = judge_to_json(peak_judge())
    if isinstance(place, tuple):
        content[place[0]][place[1]] = value
    else:
        content[place] = value
    path = tmp_path / "judge.json"
    path.write_text(json.dumps(content))
    with pytest.raises(ModelError, match=message):
        load_lesion_judge(path)


def test_a_missing_judge_is_an_error_only_when_it_was_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="cannot read the lesion judge"):
        load_lesion_judge(tmp_path / "none.json")
    (tmp_path / "broken.json").write_text("{")
    with pytest.raises(ModelError, match="not a lesion judge: JSONDecodeError"):
        load_lesion_judge(tmp_path / "broken.json")


def test_a_judge_without_trees_is_refused() -> None:
    content = judge_to_json(peak_judge())
    content["trees"] = {name: [] for name in content["trees"]}
    with pytest.raises(ModelError, match="expected one shape"):
        judge_from_json(content)
