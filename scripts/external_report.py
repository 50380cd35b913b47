"""Lay what the shipped networks reach on the simulated external site beside the paper's figures.

Usage::

    calcmap simulate --patients 600 --site external --seed 1 -o data/external
    calcmap evaluate --data data/external -o build/external
    python scripts/external_report.py build/external [--docs docs]

Prints the tables, or with ``--docs`` writes them between the markers of DOCS/explanation/external-site.md.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from marked_page import write_sections

CATEGORIES = ("0", "1-100", "101-400", ">400")
PAPER_KAPPA, PAPER_R2, PAPER_N = 0.80, 0.693, 2271
"""Miller et al., J Nucl Med 2023;64:652: network against expert, Calgary."""
RECONSTRUCTED = ((802, 105, 1, 0), (105, 392, 94, 5), (1, 94, 191, 67), (0, 5, 67, 341))
"""Rows network, columns expert. The cells of the paper's figure 3 are not in its text: a latent normal model with the
network's printed margins on both sides and the printed kappa (FACTS 3.2); symmetric, so rows and columns may change
places."""
GOALS = {
    "kappa_linear": 0.85,
    "r2_log_score": 0.90,
    "sensitivity": 0.93,
    "specificity": 0.93,
    "dice_heart": 0.95,
}
"""What issue 4 asks for."""


def main() -> None:
    """Print or write the tables."""
    arguments = _parse()
    summary = json.loads((arguments.evaluation / "evaluation.json").read_text(encoding="utf-8"))
    sections = {"FIGURES": figures(summary), "MATRIX": matrices(summary["matrix"]), "MISSED": largest_misses(summary)}
    if arguments.docs is None:
        sys.stdout.write("\n\n".join(sections.values()) + "\n")
    else:
        write_sections(arguments.docs / "explanation" / "external-site.md", sections)


def figures(summary: Mapping[str, Any]) -> str:
    """Return the table of figures with intervals, what was asked for and what the paper found."""
    lesions, calcium = summary["lesions"], summary["any_calcium"]
    paper_kappa, paper_r2 = f"{PAPER_KAPPA:.2f}", f"{PAPER_R2:.3f} (raw scores)"
    rows = [
        ("linear weighted kappa", summary["kappa_linear"], GOALS["kappa_linear"], paper_kappa),
        ("r² of log(1 + score)", summary["r2_log_score"], GOALS["r2_log_score"], paper_r2),
        ("any calcium: sensitivity", calcium["sensitivity"], GOALS["sensitivity"], ""),
        ("any calcium: specificity", calcium["specificity"], GOALS["specificity"], ""),
        ("category equal", summary["category_agreement"], None, "0.76 (reconstructed)"),
        ("lesion sensitivity", lesions["sensitivity"], None, ""),
        ("heart Dice, mean", summary["dice_heart"], GOALS["dice_heart"], ""),
    ]
    lines = [
        f"| simulated, n = {summary['n']} | estimate (95 % interval) | asked | paper, n = {PAPER_N} |",
        "|---" * 4 + "|",
    ]
    lines += [f"| {name} | {_interval(value)} | {_asked(goal)} | {paper} |" for name, value, goal, paper in rows]
    dice = summary["dice_heart"]
    lines += [
        f"| heart Dice, median and lowest | {dice['median']:.3f}, {dice['lowest']:.3f} | | |",
        f"| off by two categories or more | {summary['off_by_two_or_more']} | | 12 (reconstructed) |",
        f"| lesions found of the reference's | {lesions['found']} of {lesions['reference']} | | |",
        f"| false lesions a scan | {lesions['false_per_scan']:.2f} | | |",
    ]
    return "\n".join(lines)


def matrices(found: Sequence[Sequence[int]]) -> str:
    """Return the concordance matrix in patients and percent, and the paper's as it was reconstructed."""
    ours, paper = np.array(found), np.array(RECONSTRUCTED)
    lines = ["| reference | " + " | ".join([*CATEGORIES, *(f"paper: {name}" for name in CATEGORIES)]) + " |"]
    lines.append("|---" * 9 + "|")
    for name, own, theirs in zip(CATEGORIES, ours, paper, strict=True):
        cells = [f"{n} ({100 * n / ours.sum():.1f} %)" for n in own]
        cells += [f"{n} ({100 * n / paper.sum():.1f} %)" for n in theirs]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def largest_misses(summary: Mapping[str, Any], *, n: int = 12) -> str:
    """Return the cases whose log score is farthest from the reference's."""

    def distance(row: Mapping[str, Any]) -> float:
        return abs(float(np.log1p(row["agatston"]) - np.log1p(row["reference_range"][0])))

    worst = sorted(summary["cases"], key=distance, reverse=True)[:n]
    lines = ["| case | reference | network | lesions found, of, false | heart Dice |", "|---" * 5 + "|"]
    lines += [
        f"| {row['case_id']} | {row['reference_range'][0]:.1f} | {row['agatston']:.1f} | "
        f"{row['n_found_lesions']}, {row['n_reference_lesions']}, {row['n_false_lesions']} | {row['dice_heart']:.3f} |"
        for row in worst
    ]
    return "\n".join(lines)


def _interval(value: Mapping[str, float]) -> str:
    return f"{value['estimate']:.3f} ({value['low']:.3f}-{value['high']:.3f})"


def _asked(goal: float | None) -> str:
    return "" if goal is None else f"≥ {goal:.2f}"


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("evaluation", type=Path, help="folder that calcmap evaluate wrote")
    parser.add_argument("--docs", type=Path)
    return parser.parse_args()


if __name__ == "__main__":
    main()
