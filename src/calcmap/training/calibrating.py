"""Fit what stands beside the networks: the decision's offsets and the confidence model, on cases they never saw."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import optimize
from scipy.special import log_expit

from calcmap.core.errors import ConfigError
from calcmap.core.volume import BoolArray, Float64Array, IntArray, UInt8Array, Volume, grid_from_spacing
from calcmap.evaluation.agreement import Weighting, confusion_matrix, weighted_kappa
from calcmap.io.cases import load_case_arrays
from calcmap.scoring.agatston import score_mask, score_volume
from calcmap.scoring.categories import PAPER_LOWEST_OF_ONE, PAPER_NAMES, paper_category
from calcmap.scoring.rules import get_profile
from calcmap.segmentation.cascade import Cascade
from calcmap.segmentation.confidence import BORDERS, FEATURES, SPREAD_LIMITS, ConfidenceModel, scan_features
from calcmap.segmentation.evidence import CORONARY_CLASS, Candidates, DecisionOffsets, gather_evidence
from calcmap.segmentation.judge import LesionJudge, decide_and_judge

OFFSETS = tuple(
    DecisionOffsets(*pair) for pair in product(np.linspace(-2.0, 2.0, 9).tolist(), np.linspace(-1.0, 1.0, 5).tolist())
)
"""Decisions tried (calcium, coronary), in logits: one unit makes a class 2.7 times as likely (our choice)."""
NO_OFFSETS = OFFSETS.index(DecisionOffsets())
DRAWS = 500
"""Bootstrap draws of the standard error that an offset has to be worth."""
RIDGE = 1.0
"""Weight of half the squared weights, the constants' aside, against the summed log likelihood (our choice: as much as
one case may say)."""
ROUNDING = 1e-12
FEWEST_CASES = 20
"""With fewer cases nothing is fitted (our choice)."""


@dataclass(frozen=True, eq=False)
class HeldOutCase:
    """One case that the networks were not trained on, and what they say of it."""

    id: str
    site: str
    reference_agatston: float
    candidates: Candidates | None
    """``None`` where no heart was found."""
    label_voxel: UInt8Array | None = None
    """Values of `Label` at the candidates, where the case's own labels are known."""


@dataclass(frozen=True, eq=False)
class DecisionTable:
    """What every decision of `OFFSETS` makes of every case.

    Parameters
    ----------
    reference_n : ndarray of float64, shape (cases,)
        Reference score.
    score_on : ndarray of float64, shape (offsets, cases)
        Clinical score found.
    features_onf : ndarray of float64, shape (offsets, cases, features)
        What the confidence model knows then.
    """

    reference_n: Float64Array
    score_on: Float64Array
    features_onf: Float64Array


def tabulate_decisions(
    cases: Sequence[HeldOutCase], *, judges: Sequence[LesionJudge | None] | None = None
) -> DecisionTable:
    """Return what every decision makes of every case, after the word of its lesion judge where there is one.

    Parameters
    ----------
    cases : sequence of HeldOutCase
        At least `FEWEST_CASES`.
    judges : sequence of LesionJudge or None, optional
        One for each case: a case that the shipped judge was grown on is judged by one that was grown without it.

    Returns
    -------
    DecisionTable
        In the order of the cases.

    Raises
    ------
    ConfigError
        There are fewer than `FEWEST_CASES`.
    """
    if len(cases) < FEWEST_CASES:
        raise ConfigError(f"{len(cases)} held-out cases; calibration needs at least {FEWEST_CASES}")
    score_on = np.zeros((len(OFFSETS), len(cases)))
    features_onf = np.zeros((len(OFFSETS), len(cases), len(FEATURES)))
    each_judge = judges or [None] * len(cases)
    for (o, offsets), (n, case) in product(enumerate(OFFSETS), enumerate(cases)):
        score_on[o, n], features_onf[o, n] = _decided(case.candidates, offsets, each_judge[n])
    return DecisionTable(np.array([case.reference_agatston for case in cases]), score_on, features_onf)


def choose_offsets(table: DecisionTable, among: BoolArray) -> int:
    """Return the index into `OFFSETS` of the decision that surely agrees better with the reference than the network's.

    Agreement is Lin's concordance of log(1 + score). Taken is the decision whose gain over no offsets, less one
    bootstrap standard error of that gain, is largest, among those whose linear weighted kappa is no lower than without
    offsets; no offsets where no gain exceeds its error. Two numbers chosen on few cases should not follow their noise
    (our choice).

    Parameters
    ----------
    table : DecisionTable
        Of all cases.
    among : ndarray of bool, shape (cases,)
        Cases that may be looked at.

    Returns
    -------
    int
        Place in `OFFSETS`.
    """
    log_reference_n, log_score_on = np.log1p(table.reference_n[among]), np.log1p(table.score_on[:, among])
    n = len(log_reference_n)
    # a bootstrap draw is how often each case is in it; the first is each case once
    times_dn = np.random.default_rng(0).multinomial(n, np.full(n, 1.0 / n), size=DRAWS).astype(np.float64)
    agreement_od = concordances(log_reference_n, log_score_on, np.vstack([np.ones(n), times_dn]))
    gain_od = agreement_od - agreement_od[NO_OFFSETS]
    sure_gain_o = gain_od[:, 0] - gain_od[:, 1:].std(axis=1)
    kappa_o = np.array([linear_kappa(table.reference_n[among], score_n) for score_n in table.score_on[:, among]])
    sure_gain_o[kappa_o < kappa_o[NO_OFFSETS]] = -np.inf
    best = int(sure_gain_o.argmax())
    return best if sure_gain_o[best] > 0 else NO_OFFSETS


def fit_confidence(features_nf: Float64Array, reference_n: Float64Array) -> ConfidenceModel:
    """Return a confidence model for no networks yet, its weights by maximum likelihood with a ridge.

    Any calcium: logistic regression. How much: the logistic density of log(1 + reference) above the border of category
    0, over the cases with calcium.

    Parameters
    ----------
    features_nf : ndarray of float64, shape (cases, features)
        See `confidence.scan_features`.
    reference_n : ndarray of float64, shape (cases,)
        Reference score.

    Returns
    -------
    ConfidenceModel
        Without networks, basis and offsets: whoever ships it adds them.
    """
    has_calcium = reference_n >= PAPER_LOWEST_OF_ONE
    with_nf, log_reference_n = features_nf[has_calcium], np.log1p(reference_n[has_calcium])

    def any_loss(weights_f: Float64Array) -> float:
        logit_n = features_nf @ weights_f
        return float(-log_expit(np.where(has_calcium, logit_n, -logit_n)).sum()) + _penalty(weights_f)

    def severity_loss(weights: Float64Array) -> float:
        middle_f, spread_f = np.split(weights, 2)
        middle_n = with_nf[:, FEATURES.index("log_score")] + with_nf @ middle_f
        spread_n = np.exp(np.clip(with_nf @ spread_f, *np.log(SPREAD_LIMITS)))
        z_n = (log_reference_n - middle_n) / spread_n
        log_density_n = log_expit(z_n) + log_expit(-z_n) - np.log(spread_n)
        log_above_n = log_expit((middle_n - BORDERS[0]) / spread_n)
        return float((log_above_n - log_density_n).sum()) + _penalty(middle_f) + _penalty(spread_f)

    middle_f, spread_f = np.split(_minimise(severity_loss, 2 * len(FEATURES)), 2)
    return ConfidenceModel(_minimise(any_loss, len(FEATURES)), middle_f, spread_f, networks={}, basis="")


def held_out_case(folder: Path, cascade: Cascade) -> HeldOutCase:
    """Return what the networks say of one labelled case, with its reference score.

    Raises
    ------
    InputError
        The case cannot be read.
    ConfigError
        Its reference is a range: nothing can be fitted to what a reader was unsure of.
    """
    volume, labels, case = load_case_arrays(folder)
    if case.reference_range is not None and len(set(case.reference_range)) > 1:
        low, high = case.reference_range
        raise ConfigError(f"{folder}: the reference is a range, {low:g} to {high:g}; leave the case out")
    reference = case.reference_range[0] if case.reference_range else case.reference_agatston
    if reference is None:
        reference = score_volume(volume, labels.labels_zyx, rule=get_profile("clinical")).coronary.agatston
    heart_zyx, box = cascade.find_heart(volume)
    if box is None:
        return HeldOutCase(case.id, case.site or "unknown", reference, None)
    candidates = cascade.find_candidates(volume, heart_zyx, box)
    label_voxel = labels.labels_zyx[box].reshape(-1)[candidates.index]
    return HeldOutCase(case.id, case.site or "unknown", reference, candidates, label_voxel)


def cross_validate(
    table: DecisionTable, fold_n: IntArray, *, kept: int | None = None
) -> tuple[Float64Array, Float64Array]:
    """Return scores (n,) and category probabilities (n, 4) of every case, made without its own fold.

    The decision is chosen anew in every fold too, unless one is ``kept`` (its place in `OFFSETS`).
    """
    score_n, probability_nk = np.zeros(len(fold_n)), np.zeros((len(fold_n), len(PAPER_NAMES)))
    for fold in np.unique(fold_n):
        rest, left_out = fold_n != fold, fold_n == fold
        o = choose_offsets(table, rest) if kept is None else kept
        model = fit_confidence(table.features_onf[o, rest], table.reference_n[rest])
        score_n[left_out] = table.score_on[o, left_out]
        probability_nk[left_out] = model.category_probabilities(table.features_onf[o, left_out])
    return score_n, probability_nk


def stratified_folds(reference_n: Float64Array, *, n_folds: int, seed: int) -> IntArray:
    """Return the fold of each case (n,), categories dealt evenly, in seeded order."""
    order = np.lexsort((np.random.default_rng(seed).random(len(reference_n)), categories(reference_n)))
    fold_n = np.empty(len(reference_n), dtype=np.intp)
    fold_n[order] = np.arange(len(reference_n)) % n_folds
    return fold_n


def concordances(reference_n: Float64Array, score_on: Float64Array, times_dn: Float64Array) -> Float64Array:
    """Return Lin's concordance of many sets of scores in many bootstrap draws at once, (sets, draws).

    The same as `agreement.concordance_correlation` of the cases as often as each is drawn; 1 where nothing varies.

    Parameters
    ----------
    reference_n : ndarray of float64, shape (cases,)
        Reference, on the scale of comparison.
    score_on : ndarray of float64, shape (sets, cases)
        Scores on that scale.
    times_dn : ndarray of float64, shape (draws, cases)
        How often each case is drawn.

    Returns
    -------
    ndarray of float64, shape (sets, draws)
        -1 to 1.
    """
    share_nd = (times_dn / times_dn.sum(axis=1, keepdims=True)).T
    centred_n, centred_on = reference_n - reference_n.mean(), score_on - reference_n.mean()
    x_d, y_od = centred_n @ share_nd, centred_on @ share_nd
    distance_od = (centred_on - centred_n) ** 2 @ share_nd
    shared_od = 2.0 * ((centred_on * centred_n) @ share_nd - x_d * y_od)
    spread_od = distance_od + shared_od  # both variances and the squared distance of the means
    return np.asarray(np.where(spread_od > ROUNDING, shared_od / np.maximum(spread_od, ROUNDING), 1.0))


def linear_kappa(reference_n: Float64Array, score_n: Float64Array) -> float:
    """Return the linear weighted kappa of the categories of two sets of scores; 0.0 where it is not defined."""
    matrix = confusion_matrix(categories(reference_n), categories(score_n), n_categories=len(PAPER_NAMES))
    return weighted_kappa(matrix, Weighting.LINEAR).estimate or 0.0


def categories(score_n: Float64Array) -> IntArray:
    """Return the category, 0 to 3, of each score."""
    return np.array([paper_category(float(score)).index for score in score_n])


def clinical_score(candidates: Candidates, class_voxel: NDArray[np.intp]) -> float:
    """Return the coronary Agatston score of decided candidates under the clinical rule."""
    rule = get_profile("clinical")
    voxel = np.flatnonzero((class_voxel == CORONARY_CLASS) & (candidates.hu >= rule.threshold_hu))
    if voxel.size == 0:
        return 0.0
    # a box just around them: dozens of decisions on hundreds of cases are scored
    index_zyx = np.stack(np.unravel_index(candidates.index[voxel], candidates.shape_zyx))
    index_zyx -= index_zyx.min(axis=1, keepdims=True)
    n_slices, n_rows, n_columns = (int(last) + 1 for last in index_zyx.max(axis=1))
    shape_zyx = (n_slices, n_rows, n_columns)
    hu_zyx = np.zeros(shape_zyx, dtype=np.int16)
    hu_zyx[tuple(index_zyx)] = candidates.hu[voxel]
    volume = Volume(hu_zyx, grid_from_spacing(shape_zyx, candidates.spacing_mm_zyx))
    return score_mask(volume, hu_zyx, rule=rule).coronary.agatston


def _decided(
    candidates: Candidates | None, offsets: DecisionOffsets, judge: LesionJudge | None
) -> tuple[float, Float64Array]:
    if candidates is None:
        return 0.0, scan_features(0.0, ())
    class_voxel = decide_and_judge(candidates, offsets, judge)
    score = clinical_score(candidates, class_voxel)
    return score, scan_features(score, gather_evidence(candidates, class_voxel, offsets))


def _penalty(weights_f: Float64Array) -> float:
    return float(RIDGE / 2 * (weights_f[1:] ** 2).sum())


def _minimise(loss: Callable[[Float64Array], float], n_weights: int) -> Float64Array:
    return np.asarray(optimize.minimize(loss, np.zeros(n_weights), method="L-BFGS-B").x, dtype=np.float64)
