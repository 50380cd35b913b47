"""Leave-one-scan-out figures of the shipped recipe: each real scan scored by networks that never saw it.

Per fold both networks are trained from the simulated-only first stage, without the held-out scan and without anything
planted into it, and the held-out scan is evaluated. At the end the folds are one table.

    python scripts/leave_one_scan_out.py --real REAL --data SIMULATED --data PLANTED -o runs/loo

A fold that has its evaluation already is kept, so an interrupted run goes on where it stopped.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from calcmap.io.cases import find_cases, read_case
from calcmap.pipeline.evaluation import CaseRow, evaluate_case, read_evaluation, write_evaluation
from calcmap.segmentation.cascade import load_cascade

TASKS = ("heart", "calcium")


def main() -> None:
    """Train and evaluate every fold, then write the joint table."""
    arguments = _parse()
    rows = [_fold(case, arguments) for case in find_cases([arguments.real])]
    summary = write_evaluation(rows, arguments.out, weights_sha256={"folds": "one pair of networks a fold"})
    sys.stdout.write(
        f"{summary['categories_right']} of {summary['n']} categories right; Dice {summary['dice_heart']}\n"
    )


def _fold(case_folder: Path, arguments: argparse.Namespace) -> CaseRow:
    group = read_case(case_folder).group
    fold = arguments.out / group
    if not (fold / "evaluation.json").exists():
        # Two single-threaded trainings use two cores better than one after the other with two threads.
        running = [_start(task, group, fold, arguments) for task in TASKS]
        exit_codes = [process.wait() for process in running]
        if any(exit_codes):
            sys.exit(f"fold {group}: training failed, see {fold}")
        for task in TASKS:
            subprocess.run([*_calcmap("export"), fold / task, "-o", fold / f"{task}.onnx"], check=True)
        cascade = load_cascade(heart=fold / "heart.onnx", calcium=fold / "calcium.onnx")
        write_evaluation([evaluate_case(case_folder, cascade)], fold, weights_sha256=cascade.weights_sha256)
    (row,) = read_evaluation(fold)
    sys.stdout.write(f"{row}\n")
    sys.stdout.flush()
    return row


def _start(task: str, group: str, fold: Path, arguments: argparse.Namespace) -> subprocess.Popen[bytes]:
    data = [word for folder in [arguments.real, *arguments.data] for word in ("--data", folder)]
    config = arguments.configs / f"{task}_real.toml"
    command = [*_calcmap("train"), task, *data, "--config", config, "-o", fold / task, "--exclude", group]
    fold.mkdir(parents=True, exist_ok=True)
    log = (fold / f"{task}.log").open("wb")
    return subprocess.Popen([*command, "--cache", arguments.cache], stdout=log, stderr=log)


def _calcmap(command: str) -> list[str]:
    return [sys.executable, "-m", "calcmap.cli.main", command]


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--real", type=Path, required=True, help="folder of labelled real scans")
    parser.add_argument("--data", type=Path, action="append", default=[], help="folder of further cases")
    parser.add_argument("--configs", type=Path, default=Path("configs"))
    parser.add_argument("--cache", type=Path, default=Path("cache"))
    parser.add_argument("-o", "--out", type=Path, required=True)
    return parser.parse_args()


if __name__ == "__main__":
    main()
