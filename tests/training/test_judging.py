from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="THE JUDGE'S FITTING NOT TESTED: scikit-learn is not installed (train extra)")

from calcmap.core.errors import ConfigError
from calcmap.core.volume import Label
from calcmap.segmentation.pieces import PIECE_FEATURES
from calcmap.training.calibrating import HeldOutCase
from calcmap.training.judging import (
    NO_FOLD,
    grow_trees,
    judged_scores,
    judges_of_left_out,
    known_pieces,
    probabilities_of_left_out,
)
from segmentation.test_pieces import TWO_LESIONS


def a_case(first: Label, second: Label) -> HeldOutCase:
    label = np.full(8, Label.HEART, dtype=np.uint8)
    label[TWO_LESIONS.piece == 1], label[TWO_LESIONS.piece == 2] = first, second
    return HeldOutCase("a", "a", 4.0, TWO_LESIONS, label)


def made_pieces(n: int = 400, *, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(n, len(PIECE_FEATURES)))
    features[:, 3] = np.round(features[:, 3], 1)  # many equal values: limits lie between them
    return features, features[:, 0] + features[:, 3] ** 2 + 0.5 * rng.normal(size=n) > 1.0


def test_the_truth_of_a_piece_is_its_labelled_majority() -> None:
    known = known_pieces([a_case(Label.NONCORONARY, Label.CORONARY), HeldOutCase("b", "a", 0.0, None)])
    assert known.number_p.tolist() == [1, 2]
    assert known.is_coronary_p.tolist() == [False, True]
    assert known.case_p.tolist() == [0, 0]
    mixed = a_case(Label.HEART, Label.HEART)
    assert known_pieces([mixed]).is_coronary_p.tolist() == [False, False]
    label = mixed.label_voxel.copy()
    label[np.flatnonzero(TWO_LESIONS.piece == 1)[0]] = Label.CORONARY  # noise of the heart joins a lesion
    assert known_pieces([replace(mixed, label_voxel=label)]).is_coronary_p.tolist() == [True, False]
    assert len(known_pieces([replace(mixed, label_voxel=None)]).number_p) == 0


def test_trees_give_what_scikit_learn_gives() -> None:
    from sklearn.ensemble import GradientBoostingClassifier

    from calcmap.training import judging

    features, truth = made_pieces()
    model = GradientBoostingClassifier(
        n_estimators=judging.N_TREES, max_leaf_nodes=judging.LEAVES, max_depth=None, learning_rate=judging.RATE,
        min_samples_leaf=judging.LEAF_PIECES, subsample=judging.DRAWN_SHARE, random_state=3,
    ).fit(features, truth)  # fmt: skip
    trees = grow_trees(features, truth, seed=3)
    others, _ = made_pieces(300, seed=1)
    for asked in (features, others):
        np.testing.assert_allclose(trees.sums(asked), model.decision_function(asked), atol=1e-12)


def test_left_out_pieces_are_judged_by_others() -> None:
    features, truth = made_pieces()
    known = replace(
        known_pieces([]),
        features_pf=features, is_coronary_p=truth, case_p=np.arange(400), number_p=np.ones(400, dtype=np.intp),
    )  # fmt: skip
    probability = probabilities_of_left_out(known, np.arange(400) % 4)
    assert 0.0 < probability.min() < probability.max() < 1.0
    assert ((probability > 0.5) == truth).mean() > 0.8  # chance alone: 0.5
    judges = judges_of_left_out(known, np.arange(400) % 4, lowest_kept=0.3)
    assert [judge.lowest_kept for judge in judges] == [0.3] * 400
    assert len({id(judge) for judge in judges}) == 4
    np.testing.assert_allclose(judges[5].probabilities(features[1::4]), probability[1::4])


def test_cases_of_no_fold_teach_every_judge_and_are_judged_by_none() -> None:
    features, truth = made_pieces()
    known = replace(
        known_pieces([]),
        features_pf=features, is_coronary_p=truth, case_p=np.arange(400), number_p=np.ones(400, dtype=np.intp),
    )  # fmt: skip
    fold = np.where(np.arange(400) < 100, np.arange(400) % 2, NO_FOLD)
    probability = probabilities_of_left_out(known, fold)
    assert probability[:100].min() > 0.0
    assert not probability[100:].any()
    assert len(judges_of_left_out(known, fold, lowest_kept=0.3)) == 100
    others = fold != 0
    taught = grow_trees(features[others], truth[others])
    np.testing.assert_allclose(probability[:100:2], 1 / (1 + np.exp(-taught.sums(features[:100:2]))))


def test_scores_without_struck_pieces() -> None:
    case = a_case(Label.NONCORONARY, Label.CORONARY)
    known = known_pieces([case, HeldOutCase("b", "a", 0.0, None)])
    scores = judged_scores([case, HeldOutCase("b", "a", 0.0, None)], known, np.array([0.1, 0.9]), lowest_kept=0.5)
    assert scores.tolist() == [pytest.approx(4.0), 0.0]  # one pixel of 1 mm2 at 400 HU weighs 4
    both = judged_scores([case], known, np.array([0.1, 0.9]), lowest_kept=0.1)
    assert both.tolist() == [pytest.approx(13.0)]  # and three that peak at 310 HU weigh 3


def test_too_few_pieces_grow_no_judge() -> None:
    features, truth = made_pieces()
    few = np.concatenate([np.flatnonzero(truth)[:10], np.flatnonzero(~truth)])
    with pytest.raises(ConfigError, match=r"10 pieces are calcium and .* are not; a judge needs 50 of each"):
        grow_trees(features[few], truth[few])
