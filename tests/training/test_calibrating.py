from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from calcmap.core.errors import ConfigError
from calcmap.evaluation.agreement import concordance_correlation
from calcmap.segmentation.calcium_input import HeartFrame
from calcmap.segmentation.evidence import Candidates, DecisionOffsets, decide
from calcmap.training.calibrating import (
    NO_OFFSETS,
    OFFSETS,
    DecisionTable,
    HeldOutCase,
    choose_offsets,
    clinical_score,
    concordances,
    cross_validate,
    fit_confidence,
    linear_kappa,
    stratified_folds,
    tabulate_decisions,
)

CANDIDATES = Candidates(
    shape_zyx=(4, 8, 8),
    spacing_mm_zyx=(3.0, 1.0, 1.0),
    index=np.array([70, 71, 135, 200]),
    hu=np.array([150, 250, 420, 120], dtype=np.int16),
    logits_nk=np.float32([[0, 2, 0], [0, 2, 0], [0, 0.2, 0], [0, 2, 0]]),
    piece=np.array([1, 1, 2, 0]),
    is_outlying=np.zeros(4, dtype=np.bool_),
    frame=HeartFrame((2.0, 4.0, 4.0), (2.0, 4.0, 4.0)),
)


def made_table(n: int = 160, *, offset: float = 0.0) -> DecisionTable:
    """Return cases whose scores err on the log scale, shifted by how far a decision is from the best one."""
    rng = np.random.default_rng(0)
    reference = np.where(rng.random(n) < 0.4, 0.0, np.expm1(rng.uniform(1.0, 8.0, n)))
    noise = rng.normal(0.0, 0.3, n)
    shift = np.array([1.5 * (each.calcium - offset) - abs(each.coronary) for each in OFFSETS])
    log_score = np.where(reference > 0, np.log1p(reference) + noise + shift[:, None], 0.0)
    score = np.expm1(np.maximum(log_score, 0.0))
    features = np.zeros((*score.shape, 5))
    features[..., 0], features[..., 1], features[..., 3] = 1.0, np.log1p(score), score > 0
    return DecisionTable(reference, score, features)


def test_scores_of_a_decision_by_hand() -> None:
    # two pixels that peak at 250 HU weigh 2, one of 420 HU weighs 4, one below 130 HU nothing
    assert clinical_score(CANDIDATES, decide(CANDIDATES, DecisionOffsets())) == pytest.approx(8.0)
    assert clinical_score(CANDIDATES, decide(CANDIDATES, DecisionOffsets(calcium=-1.0))) == pytest.approx(4.0)
    assert clinical_score(CANDIDATES, np.zeros(4, dtype=np.intp)) == 0.0


def test_every_decision_is_tried_on_every_case_also_without_a_heart() -> None:
    cases = [HeldOutCase(str(i), "a", 8.0 * (i % 2), CANDIDATES if i % 2 else None) for i in range(20)]
    table = tabulate_decisions(cases)
    assert table.score_on.shape == (len(OFFSETS), 20)
    assert table.score_on[NO_OFFSETS, :2].tolist() == [0.0, pytest.approx(8.0)]
    assert table.features_onf[NO_OFFSETS, 0].tolist() == [1.0, 0.0, 0.0, 0.0, 0.0]


def test_many_concordances_at_once_are_those_of_the_drawn_cases() -> None:
    rng = np.random.default_rng(3)
    reference, scores = rng.uniform(0, 8, 30), rng.uniform(0, 8, (2, 30))
    drawn = rng.integers(0, 30, (3, 30))
    times = np.stack([np.bincount(each, minlength=30) for each in drawn]).astype(np.float64)
    expected = [[concordance_correlation(reference[each], score[each]) for each in drawn] for score in scores]
    np.testing.assert_allclose(concordances(reference, scores, times), expected, rtol=1e-10)
    assert concordances(np.zeros(4), np.zeros((1, 4)), np.ones((1, 4))).tolist() == [[1.0]]


def test_a_few_cases_are_not_calibrated_on() -> None:
    with pytest.raises(ConfigError, match="at least 20"):
        tabulate_decisions([HeldOutCase("a", "a", 0.0, None)] * 19)


def test_a_better_decision_is_found_and_a_good_one_left_alone() -> None:
    everyone = np.ones(160, dtype=np.bool_)
    assert OFFSETS[choose_offsets(made_table(offset=-1.0), everyone)] == DecisionOffsets(-1.0, 0.0)
    assert choose_offsets(made_table(), everyone) == NO_OFFSETS


def test_what_is_no_better_than_chance_moves_nothing() -> None:
    table = made_table()
    same = replace(table, score_on=np.repeat(table.score_on[NO_OFFSETS][None], len(OFFSETS), axis=0))
    assert choose_offsets(same, np.ones(160, dtype=np.bool_)) == NO_OFFSETS


def test_the_fit_finds_the_error_that_was_put_in() -> None:
    table = made_table(2000)
    model = fit_confidence(table.features_onf[NO_OFFSETS], table.reference_n)
    _, spread = model.severity(table.features_onf[NO_OFFSETS][table.reference_n > 50])
    # a logistic law of scale s has a standard deviation of s pi / sqrt 3; 0.3 was put in
    assert np.median(spread) == pytest.approx(0.3 * np.sqrt(3) / np.pi, rel=0.15)


def test_cases_left_out_get_probabilities_that_keep_their_word() -> None:
    table = made_table(200)
    fold = stratified_folds(table.reference_n, n_folds=3, seed=1)
    score, probability = cross_validate(table, fold)
    assert linear_kappa(table.reference_n, score) > 0.8
    np.testing.assert_allclose(probability.sum(axis=1), 1.0)
    has_calcium = table.reference_n > 0
    assert abs((1 - probability[:, 0]).mean() - has_calcium.mean()) < 0.07


def test_folds_hold_every_category_alike() -> None:
    reference = np.repeat([0.0, 50.0, 200.0, 900.0], 10)
    fold = stratified_folds(reference, n_folds=5, seed=0)
    for k in range(5):
        assert np.bincount(np.searchsorted([1, 101, 401], reference[fold == k], side="right")).tolist() == [2, 2, 2, 2]
