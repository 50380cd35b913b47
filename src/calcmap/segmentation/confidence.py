"""How likely a score's category is right: a small model beside the networks, which never changes a score."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import expit

from calcmap.core.errors import ModelError
from calcmap.core.result import Confidence, ConfidenceWord
from calcmap.core.volume import Float64Array
from calcmap.scoring.categories import (
    PAPER_HIGHEST_OF_ONE,
    PAPER_HIGHEST_OF_TWO,
    PAPER_LOWEST_OF_ONE,
    paper_category,
)
from calcmap.segmentation.evidence import DecisionOffsets, Evidence
from calcmap.segmentation.model_files import is_for, load_model, networks_of

CONFIDENCE_FILE = "confidence.json"
CONFIDENT_FROM, LIKELY_FROM = 0.9, 0.7
"""Lowest probability of the reported category that is called confident, and likely (our choice)."""
FEATURES = ("one", "log_score", "log_expected", "surest_counted", "log_nearest_miss")
"""What the model knows of a scan, see `scan_features`."""
BORDERS = tuple(float(np.log1p(score)) for score in (PAPER_LOWEST_OF_ONE, PAPER_HIGHEST_OF_ONE, PAPER_HIGHEST_OF_TWO))
"""The categories' borders on the scale of log(1 + score)."""
SPREAD_LIMITS = (0.05, 3.0)
"""Smallest and largest scale of the error of log(1 + score): keeps a badly fitted model from certainty (our choice)."""


@dataclass(frozen=True, eq=False)
class ConfidenceModel:
    """Probability of each score category, from the score and the evidence for and against it.

    Two steps. A logistic regression gives the probability of any coronary calcium. Where there is some, log(1 + true
    score) follows a logistic distribution above the border of category 0; its middle is log(1 + score) and a linear
    correction, the logarithm of its scale is linear too. The categories' shares of that distribution are their
    probabilities.

    Parameters
    ----------
    any_weights, middle_weights, spread_weights : ndarray of float64, shape (len(FEATURES),)
        Of each feature.
    networks : mapping of str to str
        SHA-256 of the networks, and of the lesion judge if there is one, whose errors it describes.
    basis : str
        What it was fitted on, for readers.
    offsets : DecisionOffsets
        Decision that goes with the same networks.
    sha256 : str
        Of its file, for provenance; empty for a model without one.

    Raises
    ------
    ModelError
        Weights are of another shape, or not finite.
    """

    any_weights: Float64Array
    middle_weights: Float64Array
    spread_weights: Float64Array
    networks: Mapping[str, str]
    basis: str
    offsets: DecisionOffsets = field(default_factory=DecisionOffsets)
    sha256: str = ""

    def __post_init__(self) -> None:
        for weights in (self.any_weights, self.middle_weights, self.spread_weights):
            if weights.shape != (len(FEATURES),) or not np.isfinite(weights).all():
                raise ModelError(
                    f"confidence weights have shape {weights.shape}, expected ({len(FEATURES)},), all finite"
                )

    def is_for(self, weights_sha256: Mapping[str, str]) -> bool:
        """Return whether the model was fitted for these networks (hashes by task; others are left aside)."""
        return is_for(self.networks, weights_sha256)

    def category_probabilities(self, features_nf: Float64Array) -> Float64Array:
        """Return the probabilities of the four categories (n, 4), each row summing to one, of features (n, f)."""
        any_n = expit(features_nf @ self.any_weights)
        middle_n, spread_n = self.severity(features_nf)
        above_nb = expit((middle_n[:, None] - np.array(BORDERS)) / spread_n[:, None])
        above_nb /= np.maximum(above_nb[:, :1], np.finfo(np.float64).tiny)
        reached_nb = any_n[:, None] * above_nb  # probability of at least category 1, 2, 3
        ones, zeros = np.ones((len(any_n), 1)), np.zeros((len(any_n), 1))
        return np.asarray(-np.diff(np.hstack([ones, reached_nb, zeros]), axis=1))

    def severity(self, features_nf: Float64Array) -> tuple[Float64Array, Float64Array]:
        """Return middle and scale (n,) of log(1 + true score) where there is calcium."""
        middle_n = features_nf[:, FEATURES.index("log_score")] + features_nf @ self.middle_weights
        return middle_n, np.exp(np.clip(features_nf @ self.spread_weights, *np.log(SPREAD_LIMITS)))

    def judge(self, agatston: float, evidence: Sequence[Evidence]) -> Confidence:
        """Return how sure a clinical score and its category are.

        Parameters
        ----------
        agatston : float
            Coronary score under the clinical rule; it stays what it is, whatever the confidence.
        evidence : sequence of Evidence
            Of the same scan.

        Returns
        -------
        Confidence
            Probabilities between 0 and 1.
        """
        share_k = self.category_probabilities(scan_features(agatston, evidence)[None])[0]
        category = paper_category(agatston).index
        none, low, middle, high = (float(share) for share in share_k)
        probability = float(share_k[category])
        return Confidence(
            word=confidence_word(probability),
            category_probability=probability,
            any_calcium_probability=1.0 - none,
            category_probabilities=(none, low, middle, high),
            basis=self.basis,
        )


def confidence_word(probability: float) -> ConfidenceWord:
    """Return the word for a probability: confident from 0.9 on, likely from 0.7 on, else borderline."""
    if probability >= CONFIDENT_FROM:
        return ConfidenceWord.CONFIDENT
    return ConfidenceWord.LIKELY if probability >= LIKELY_FROM else ConfidenceWord.BORDERLINE


def scan_features(agatston: float, evidence: Sequence[Evidence]) -> Float64Array:
    """Return what the model knows of a scan, shape (features,), in the order of `FEATURES`.

    The constant 1; log(1 + score); how much log(1 + expected score) lies above it, where the expected score sums every
    piece's score times its mean probability of being coronary; the highest such probability among pieces that count, 0
    without any; and log(1 + the largest expected score of a near miss).
    """
    expected = sum(each.agatston * each.coronary_mean for each in evidence)
    counted = [each.coronary_mean for each in evidence if each.is_coronary]
    missed = [each.agatston * each.coronary_mean for each in evidence if not each.is_coronary]
    log_score = np.log1p(agatston)
    return np.array(
        [
            1.0,
            log_score,
            np.log1p(expected) - log_score,
            max(counted, default=0.0),
            np.log1p(max(missed, default=0.0)),
        ]
    )


def load_confidence_model(path: Path | None = None) -> ConfidenceModel | None:
    """Return a confidence model from its JSON file; by default the shipped one, or ``None`` where none is shipped.

    Raises
    ------
    ModelError
        The file was named and is missing, or is not a confidence model.
    """
    return load_model(path, shipped=CONFIDENCE_FILE, kind="confidence model", read=_model_from_json)


def confidence_model_to_json(model: ConfidenceModel) -> dict[str, object]:
    """Return a model as the JSON object that `load_confidence_model` reads, weights named by feature."""
    weights = {"any": model.any_weights, "middle": model.middle_weights, "spread": model.spread_weights}
    return {
        "basis": model.basis,
        "networks": dict(model.networks),
        "offsets": {"calcium": model.offsets.calcium, "coronary": model.offsets.coronary},
        "weights": {
            name: {feature: round(float(weight), 5) for feature, weight in zip(FEATURES, values, strict=True)}
            for name, values in weights.items()
        },
    }


def _model_from_json(content: dict[str, Any], sha256: str) -> ConfidenceModel:  # Any: checked by what is made of it
    any_weights, middle_weights, spread_weights = (
        np.array([content["weights"][name][feature] for feature in FEATURES], dtype=np.float64)
        for name in ("any", "middle", "spread")
    )
    return ConfidenceModel(
        any_weights,
        middle_weights,
        spread_weights,
        networks=networks_of(content),
        basis=str(content["basis"]),
        offsets=DecisionOffsets(
            calcium=float(content["offsets"]["calcium"]), coronary=float(content["offsets"]["coronary"])
        ),
        sha256=sha256,
    )
