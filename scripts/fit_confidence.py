"""Fit the decision's offsets and the confidence model, on labelled cases that the networks were not trained on.

Usage::

    python scripts/fit_confidence.py --data CASES [--data CASES ...] [--heart H.onnx] [--calcium C.onnx]
        [--basis WORDS] [--keep-decision] [--judge-is-grown-here [--also CASES ...]]
        [-o src/calcmap/segmentation/weights/confidence.json]

The networks are the shipped ones unless named, the lesion judge the shipped one if it is for them; the file holds their
hashes and serves beside them alone. Prints and writes how well the probabilities keep their word on cases left out: in
ten stratified folds, and with each site left out in turn. What is shipped is then fitted on all cases. Offsets change
scores; with --keep-decision there are none, and the confidence alone is fitted. --judge-is-grown-here says that the
judge was grown on these very cases: each is then judged by one of nine other folds, for the shipped one remembers it.
--also names the further cases that the judge was grown on; they are in no figure.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from calcmap.core.volume import Float64Array
from calcmap.evaluation.agreement import concordance_correlation
from calcmap.evaluation.calibration import CategoryCalibration, assess_categories
from calcmap.segmentation.cascade import load_cascade
from calcmap.segmentation.confidence import confidence_model_to_json
from calcmap.segmentation.judge import LesionJudge
from calcmap.training.calibrating import (
    NO_OFFSETS,
    OFFSETS,
    DecisionTable,
    HeldOutCase,
    categories,
    choose_offsets,
    cross_validate,
    fit_confidence,
    linear_kappa,
    stratified_folds,
    tabulate_decisions,
)
from calcmap.training.judging import NO_FOLD, judges_of_left_out, known_pieces
from held_out import read_held_out

N_FOLDS, SEED = 10, 0


def figures(
    cases: list[HeldOutCase], table: DecisionTable, *, chosen: int, kept: int | None = None
) -> dict[str, object]:
    """Return what the fit rests on and how good it is, JSON-ready; ``kept`` is a decision that no fold may change."""
    reference = table.reference_n
    site_n = np.unique([case.site for case in cases], return_inverse=True)[1]
    by_fold = cross_validate(table, stratified_folds(reference, n_folds=N_FOLDS, seed=SEED), kept=kept)
    found = {"cross_validated": asdict(assess(reference, *by_fold))}
    if len(np.unique(site_n)) > 1:
        found["site_left_out"] = asdict(assess(reference, *cross_validate(table, site_n, kept=kept)))
    shares = np.bincount(categories(reference), minlength=4) / len(cases)
    return {
        "n": len(cases),
        "sites": sorted({case.site for case in cases}),
        "categories": np.bincount(categories(reference), minlength=4).tolist(),
        "folds": N_FOLDS,
        "seed": SEED,
        "log_loss_of_shares_alone": float(-(shares[shares > 0] * np.log(shares[shares > 0])).sum()),
        "agreement": {
            name: {
                "concordance_log_score": concordance_correlation(np.log1p(reference), np.log1p(score_n)),
                "kappa_linear": linear_kappa(reference, score_n),
            }
            for name, score_n in (
                ("without_offsets", table.score_on[NO_OFFSETS]),
                ("with_offsets", table.score_on[chosen]),
                ("with_offsets_of_other_folds", by_fold[0]),
            )
        },
        **found,
    }


def assess(reference: Float64Array, score_n: Float64Array, probability_nk: Float64Array) -> CategoryCalibration:
    """Return how well probabilities that were made without their own case keep their word."""
    return assess_categories(probability_nk, categories(score_n), categories(reference))


def main() -> None:
    """Fit, report and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, action="append", required=True)
    parser.add_argument("--heart", type=Path)
    parser.add_argument("--calcium", type=Path)
    parser.add_argument("--basis", default="simulated patients")
    parser.add_argument("--keep-decision", action="store_true")
    parser.add_argument("--judge-is-grown-here", action="store_true")
    parser.add_argument("--also", type=Path, action="append", default=[])
    parser.add_argument("-o", "--out", type=Path, default=Path("src/calcmap/segmentation/weights/confidence.json"))
    arguments = parser.parse_args()
    cascade = load_cascade(heart=arguments.heart, calcium=arguments.calcium)
    cases = read_held_out(arguments.data, cascade)
    kept = NO_OFFSETS if arguments.keep_decision else None
    content = fitted(
        cases,
        basis=arguments.basis,
        weights_sha256=cascade.weights_sha256,
        kept=kept,
        judge=cascade.judge,
        is_grown_here=arguments.judge_is_grown_here,
        also=read_held_out(arguments.also, cascade) if arguments.also else [],
    )
    print(json.dumps(content["fit"], indent=1))
    arguments.out.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n", encoding="utf-8")


def fitted(
    cases: list[HeldOutCase],
    *,
    basis: str,
    weights_sha256: dict[str, str],
    kept: int | None,
    judge: LesionJudge | None = None,
    is_grown_here: bool = False,
    also: Sequence[HeldOutCase] = (),
) -> dict[str, object]:
    """Return what the file holds: the model fitted on all cases, and the figures of the fit."""
    table = tabulate_decisions(cases, judges=judges_of(cases, judge, is_grown_here=is_grown_here, also=also))
    chosen = choose_offsets(table, np.ones(len(cases), dtype=np.bool_)) if kept is None else kept
    model = replace(
        fit_confidence(table.features_onf[chosen], table.reference_n),
        networks={task: weights_sha256[task] for task in ("heart", "calcium", *(["judge"] if judge else []))},
        basis=f"{len(cases)} {basis} of {len({case.site for case in cases})} sites",
        offsets=OFFSETS[chosen],
    )
    return confidence_model_to_json(model) | {"fit": figures(cases, table, chosen=chosen, kept=kept)}


def judges_of(
    cases: list[HeldOutCase], judge: LesionJudge | None, *, is_grown_here: bool, also: Sequence[HeldOutCase] = ()
) -> list[LesionJudge | None] | None:
    """Return each case's judge: the shipped one, or where that was grown on the cases one that does not know them."""
    if judge is None:
        return None
    if not is_grown_here:
        return [judge] * len(cases)
    reference = np.array([case.reference_agatston for case in cases])
    folds = np.append(stratified_folds(reference, n_folds=N_FOLDS, seed=SEED), np.full(len(also), NO_FOLD))
    return [*judges_of_left_out(known_pieces([*cases, *also]), folds, lowest_kept=judge.lowest_kept, seed=SEED)]


if __name__ == "__main__":
    main()
