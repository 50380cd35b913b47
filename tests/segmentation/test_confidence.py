from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calcmap.core.errors import ModelError
from calcmap.core.result import ConfidenceWord
from calcmap.segmentation.cascade import load_cascade
from calcmap.segmentation.confidence import (
    FEATURES,
    ConfidenceModel,
    confidence_model_to_json,
    confidence_word,
    load_confidence_model,
    scan_features,
)
from calcmap.segmentation.evidence import DecisionOffsets, Evidence

COUNTED = Evidence(True, 40.0, 60.0, 350, 0.75, 0.9, 0.1, 0.2)
MISSED = Evidence(False, 10.0, 20.0, 180, 0.2, 0.3, 0.1, 0.2)


def weights(**by_feature: float) -> np.ndarray:
    return np.array([by_feature.get(name, 0.0) for name in FEATURES])


MODEL = ConfidenceModel(
    weights(one=-2.0, log_score=2.0),
    weights(),
    weights(one=math.log(0.25)),
    networks={"heart": "a" * 64, "calcium": "b" * 64},
    basis="no case at all",
    offsets=DecisionOffsets(-0.5, 1.0),
)


def test_features_by_hand() -> None:
    found = dict(zip(FEATURES, scan_features(40.0, (COUNTED, MISSED)), strict=True))
    assert found == {
        "one": 1.0,
        "log_score": pytest.approx(math.log(41)),
        "log_expected": pytest.approx(math.log(1 + 30 + 2) - math.log(41)),
        "surest_counted": 0.75,
        "log_nearest_miss": pytest.approx(math.log(3)),
    }
    assert scan_features(0.0, ()).tolist() == [1.0, 0.0, 0.0, 0.0, 0.0]


def test_probabilities_by_hand() -> None:
    (share,) = MODEL.category_probabilities(scan_features(100.0, ())[None])
    any_calcium = 1 / (1 + math.exp(2 - 2 * math.log(101)))
    middle = math.log(101)
    at_least_one = 1 / (1 + math.exp(-(middle - math.log(2)) / 0.25))
    over_400 = 1 / (1 + math.exp(-(middle - math.log(401)) / 0.25))
    expected = [
        1 - any_calcium,
        any_calcium * (1 - 0.5 / at_least_one),  # the border of 100 is the middle itself
        any_calcium * (0.5 - over_400) / at_least_one,
        any_calcium * over_400 / at_least_one,
    ]
    np.testing.assert_allclose(share, expected, rtol=1e-9)


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 1000),
    scale=st.sampled_from([0.1, 3.0, 100.0]),
    agatston=st.sampled_from([0.0, 0.5, 1.0, 100.0, 400.0, 9000.0]),
)
def test_probabilities_are_probabilities_whatever_the_weights(seed: int, scale: float, agatston: float) -> None:
    drawn = scale * np.random.default_rng(seed).standard_normal((3, len(FEATURES)))
    model = replace(MODEL, any_weights=drawn[0], middle_weights=drawn[1], spread_weights=drawn[2])
    found = model.judge(agatston, (COUNTED, MISSED))
    shares = found.category_probabilities
    assert sum(shares) == pytest.approx(1.0)
    assert all(-1e-12 <= share <= 1 + 1e-12 for share in shares)
    assert found.any_calcium_probability == pytest.approx(1 - shares[0])
    assert found.category_probability in shares


def test_scores_beside_a_border_are_less_sure_than_scores_between_borders() -> None:
    beside, between = MODEL.judge(102.0, (COUNTED,)), MODEL.judge(210.0, (COUNTED,))
    assert beside.category_probability < 0.6 < between.category_probability
    assert beside.word is ConfidenceWord.BORDERLINE


@pytest.mark.parametrize(
    ("probability", "word"),
    [
        (1.0, "confident"),
        (0.9, "confident"),
        (0.89, "likely"),
        (0.7, "likely"),
        (0.69, "borderline"),
        (0, "borderline"),
    ],
)
def test_words_of_probabilities(probability: float, word: str) -> None:
    assert confidence_word(probability).value == word


@pytest.mark.parametrize("bad", [np.zeros(3), np.full(len(FEATURES), np.nan)])
def test_weights_of_another_shape_are_refused(bad: np.ndarray) -> None:
    with pytest.raises(ModelError, match="confidence weights"):
        replace(MODEL, spread_weights=bad)


def test_what_is_written_is_what_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "confidence.json"
    path.write_text(json.dumps(confidence_model_to_json(MODEL)), encoding="utf-8")
    found = load_confidence_model(path)
    assert found is not None
    assert (found.networks, found.basis, found.offsets) == (MODEL.networks, MODEL.basis, MODEL.offsets)
    np.testing.assert_allclose(found.spread_weights, MODEL.spread_weights, atol=1e-5)
    assert len(found.sha256) == 64


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"weights": {"any": 1}}', '{"weights": []}'])
def test_what_is_no_confidence_model_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "confidence.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(ModelError, match="is not a confidence model"):
        load_confidence_model(path)


def test_a_named_model_that_is_missing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="cannot read the confidence model"):
        load_confidence_model(tmp_path / "none.json")


def test_the_model_serves_its_own_networks_alone() -> None:
    assert MODEL.is_for({"heart": "a" * 64, "calcium": "b" * 64, "vessels": "c"})
    assert not MODEL.is_for({"heart": "a" * 64, "calcium": "c" * 64})
    assert not MODEL.is_for({"heart": "b" * 64, "calcium": "b" * 64})


def test_the_shipped_model_is_for_the_shipped_networks() -> None:
    shipped = load_confidence_model()
    if shipped is not None:
        assert load_cascade(threads=1).confidence is not None, "refit with scripts/fit_confidence.py"
        assert shipped.basis
