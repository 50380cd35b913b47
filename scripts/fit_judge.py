"""Grow the lesion judge, on labelled cases that the networks were not trained on.

Usage::

    python scripts/fit_judge.py --data CASES [--data CASES ...] [--also CASES ...] [--heart H.onnx] [--calcium C.onnx]
        [--basis WORDS] [-o src/calcmap/segmentation/weights/judge.json]

The networks are the shipped ones unless named; the file holds their hashes and serves beside them alone. Prints and
writes what the judge is worth on patients left out, in ten stratified folds and with each site left out in turn: the
agreement of scores without it and with each of several lowest probabilities. The lowest probability that is shipped is
the one with the highest concordance of log(1 + score) in the folds. The trees that are shipped are grown on all cases.
Cases under --also teach every judge and are in no figure: rare things, more of them than a clinic meets, such as valve
prostheses. After it the confidence has to be fitted anew.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from calcmap.core.volume import Float64Array
from calcmap.evaluation.agreement import concordance_correlation
from calcmap.scoring.categories import PAPER_LOWEST_OF_ONE
from calcmap.segmentation.cascade import load_cascade
from calcmap.segmentation.evidence import DecisionOffsets, decide
from calcmap.segmentation.judge import LesionJudge, judge_to_json
from calcmap.training.calibrating import (
    HeldOutCase,
    clinical_score,
    linear_kappa,
    stratified_folds,
)
from calcmap.training.judging import (
    NO_FOLD,
    KnownPieces,
    grow_trees,
    judged_scores,
    known_pieces,
    probabilities_of_left_out,
)
from held_out import read_held_out

N_FOLDS, SEED = 10, 0
LOWEST_KEPT = (0.2, 0.3, 0.4, 0.5, 0.6)
"""Lowest probabilities tried (our choice): one of five, chosen on hundreds of patients, follows little noise."""
UNJUDGED = "without a judge"


def agreement(reference_n: Float64Array, score_n: Float64Array) -> dict[str, float | None]:
    """Return how well scores agree with the reference."""
    has_calcium, found = reference_n >= PAPER_LOWEST_OF_ONE, score_n >= PAPER_LOWEST_OF_ONE
    logs = np.log1p(np.stack([reference_n, score_n]))
    return {
        "kappa_linear": linear_kappa(reference_n, score_n),
        "concordance_log_score": concordance_correlation(*logs),
        "r2_log_score": float(np.corrcoef(logs)[0, 1] ** 2),
        "sensitivity": float(found[has_calcium].mean()),
        "specificity": float((~found[~has_calcium]).mean()),
    }


def worth(cases: list[HeldOutCase], known: KnownPieces, fold_n: np.ndarray) -> dict[str, dict[str, float | None]]:
    """Return the agreement without a judge and with each lowest probability, by judges of other folds.

    The known pieces may be of further cases behind these, which all judges know.
    """
    reference_n = np.array([case.reference_agatston for case in cases])
    n_more = int(known.case_p.max(initial=len(cases) - 1)) + 1 - len(cases)
    probability_p = probabilities_of_left_out(known, np.append(fold_n, np.full(n_more, NO_FOLD)))
    alone_n = [
        0.0 if case.candidates is None else clinical_score(case.candidates, decide(case.candidates, DecisionOffsets()))
        for case in cases
    ]
    found = {UNJUDGED: agreement(reference_n, np.array(alone_n))}
    for lowest in LOWEST_KEPT:
        score_n = judged_scores(cases, known, probability_p, lowest_kept=lowest)
        found[f"{lowest:g}"] = agreement(reference_n, score_n)
    return found


def main() -> None:
    """Grow, report and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, action="append", required=True)
    parser.add_argument("--also", type=Path, action="append", default=[])
    parser.add_argument("--heart", type=Path)
    parser.add_argument("--calcium", type=Path)
    parser.add_argument("--basis", default="simulated patients")
    parser.add_argument("-o", "--out", type=Path, default=Path("src/calcmap/segmentation/weights/judge.json"))
    arguments = parser.parse_args()
    cascade = load_cascade(heart=arguments.heart, calcium=arguments.calcium)
    cases = read_held_out(arguments.data, cascade)
    also = read_held_out(arguments.also, cascade) if arguments.also else []
    content = fitted(cases, also=also, basis=arguments.basis, weights_sha256=cascade.weights_sha256)
    print(json.dumps(content["fit"], indent=1))
    arguments.out.write_text(json.dumps(content, allow_nan=False) + "\n", encoding="utf-8")


def fitted(
    cases: list[HeldOutCase], *, also: list[HeldOutCase], basis: str, weights_sha256: dict[str, str]
) -> dict[str, object]:
    """Return what the file holds: the judge grown on all cases, and the figures of the fit, of the first ones alone."""
    known = known_pieces([*cases, *also])
    reference_n = np.array([case.reference_agatston for case in cases])
    site_n = np.unique([case.site for case in cases], return_inverse=True)[1]
    by_fold = worth(cases, known, stratified_folds(reference_n, n_folds=N_FOLDS, seed=SEED))
    lowest = max(LOWEST_KEPT, key=lambda each: by_fold[f"{each:g}"]["concordance_log_score"] or 0.0)
    fit: dict[str, object] = {
        "n": len(cases),
        "n_also": len(also),
        "sites": sorted({case.site for case in cases}),
        "pieces": len(known.is_coronary_p),
        "coronary_pieces": int(known.is_coronary_p.sum()),
        "folds": N_FOLDS,
        "seed": SEED,
        "cross_validated": by_fold,
    }
    if len(np.unique(site_n)) > 1:
        fit["site_left_out"] = worth(cases, known, site_n)
    judge = LesionJudge(
        grow_trees(known.features_pf, known.is_coronary_p, seed=SEED),
        lowest_kept=lowest,
        networks={task: weights_sha256[task] for task in ("heart", "calcium")},
        basis=f"{len(cases)} {basis} of {len({case.site for case in cases})} sites",
    )
    return judge_to_json(judge) | {"fit": fit}


if __name__ == "__main__":
    main()
