"""Figures on cases that the networks never saw: folds, sites or scans held out in turn, each by networks of its own.

Every part of the cases is held out once. Both networks are trained without its groups, whatever their other cases are,
and then segment and score it. Within the rest a share is held out, as in every run, to choose the weights by; so no
case that a figure rests on took part in choosing. At the end the parts are one table.

    python scripts/cross_validate.py --data CASES --by fold -o runs/cv
    python scripts/cross_validate.py --data CASES --by site -o runs/sites
    python scripts/cross_validate.py --data REAL --also SIMULATED --also PLANTED --by scan -o runs/loo \
        --heart configs/heart_real.toml --calcium configs/calcium_real.toml

A part that has its evaluation already is kept, and a training goes on from its last checkpoint, so an interrupted run
goes on where it stopped.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from calcmap.core.config import config_to_dict, load_config
from calcmap.core.errors import CalcMapError, ConfigError, JobError
from calcmap.io.cases import find_cases, read_case
from calcmap.pipeline.evaluation import (
    CaseRow,
    evaluate_case,
    read_evaluation,
    summarise,
    write_evaluation,
)
from calcmap.segmentation.cascade import load_cascade
from calcmap.training.config import Task, TrainConfig
from calcmap.training.samples import SampleFacts, load_facts
from calcmap.training.splitting import deal_folds

PLAN_FILE = "plan.json"
TABLE_FILE = "table.md"
CASES_FILE = "cases.json"


class By(StrEnum):
    """What is held out together."""

    FOLD = "fold"
    SITE = "site"
    SCAN = "scan"


@dataclass(frozen=True)
class Part:
    """What is held out together.

    Parameters
    ----------
    name : str
        Of its folder.
    cases : tuple of Path
        Case folders that are evaluated.
    groups : frozenset of str
        Groups that are not trained on.
    site : str or None
        Site that is not trained on, whatever else there is of it.
    """

    name: str
    cases: tuple[Path, ...]
    groups: frozenset[str]
    site: str | None = None


def main(words: Sequence[str] | None = None) -> None:
    """Train and evaluate every part, then write the joint evaluation and the table."""
    arguments = _parse(words)
    try:
        settings = {task: load_config(getattr(arguments, task), TrainConfig) for task in Task}
        folders = find_cases(arguments.data)
        facts = load_facts(arguments.data, cache=arguments.cache)
        parts = plan_parts(folders, facts, by=arguments.by, folds=arguments.folds, seed=arguments.seed)
        _check_starts(parts, settings, [*arguments.data, *arguments.also])
        _keep_plan(parts, settings, arguments)
        rows = {part.name: _held_out(part, arguments) for part in parts}
        weights = {name: hash_ for part in parts for name, hash_ in _weights_of(part, arguments.out).items()}
        write_evaluation([row for part in rows.values() for row in part], arguments.out, weights_sha256=weights)
    except CalcMapError as error:
        sys.exit(f"cross_validate: {error}")
    text = table(rows)
    (arguments.out / TABLE_FILE).write_text(text, encoding="utf-8")
    sys.stdout.write(text)


def plan_parts(
    folders: Sequence[Path], facts: Sequence[SampleFacts], *, by: By, folds: int, seed: int
) -> tuple[Part, ...]:
    """Return the parts, in the order of their names; every case is in exactly one.

    By site, a group may reach beyond its part (a patient scanned at two sites, a scan that was planted into); it is
    trained on in neither place.

    Raises
    ------
    ConfigError
        Less than two parts, or two whose folders would have one name.
    """
    names = _names(facts, by=by, folds=folds, seed=seed)
    parts = []
    for name in sorted(set(names)):
        cases = tuple(folder for folder, own in zip(folders, names, strict=True) if own == name)
        site = name if by is By.SITE else None
        groups = frozenset(each.group for each, own in zip(facts, names, strict=True) if own == name)
        parts.append(Part(re.sub(r"[^\w.-]", "_", name), cases, groups, site))
    if len(parts) < 2:
        raise ConfigError(f"all cases are of one {by}: nothing would be left to train on")
    if len({part.name for part in parts}) < len(parts):
        raise ConfigError(f"two of these would share a folder: {', '.join(sorted(set(names)))}")
    return tuple(parts)


def _names(facts: Sequence[SampleFacts], *, by: By, folds: int, seed: int) -> list[str]:
    """Return for each case what it is held out with."""
    if by is By.FOLD:
        dealt = deal_folds(facts, folds=folds, seed=seed)
        fold_of = {group: f"fold-{number}" for number, groups in enumerate(dealt) for group in groups}
        return [fold_of[each.group] for each in facts]
    return [each.site if by is By.SITE else each.group for each in facts]


def table(rows: Mapping[str, Sequence[CaseRow]]) -> str:
    """Return a Markdown table: a row a part, and one for all cases together."""
    together = [row for part in rows.values() for row in part]
    lines = [
        "| held out | cases | linear weighted kappa | categories right | r² of log score | any calcium: sensitivity "
        "| specificity | heart Dice |",
        "|---|---|---|---|---|---|---|---|",
        *(_line(name, summarise(part)) for name, part in rows.items()),
        _line("all", summarise(together)),
    ]
    return "\n".join(lines) + "\n\nIn brackets: 95 % intervals.\n"


def _line(name: str, summary: Mapping[str, Any]) -> str:
    calcium = summary["any_calcium"]
    figures = (
        _words(summary["kappa_linear"]),
        f"{summary['categories_right']} of {summary['n']}",
        _words(summary["r2_log_score"]),
        _words(calcium["sensitivity"]),
        _words(calcium["specificity"]),
        _words(summary["dice_heart"]),
    )
    return f"| {name} | {summary['n']} | " + " | ".join(figures) + " |"


def _words(figure: Mapping[str, Any]) -> str:
    if figure["estimate"] is None:
        return "none"
    # Adding nothing takes the sign from a zero.
    estimate, *ends = (
        f"{round(figure[name], 2) + 0.0:.2f}" for name in ("estimate", "low", "high") if figure[name] is not None
    )
    return f"{estimate} ({' to '.join(ends)})" if ends else estimate


def _check_starts(parts: Iterable[Part], settings: Mapping[Task, TrainConfig], data: Sequence[Path]) -> None:
    """Refuse a first stage that has seen what is held out: its networks would be asked what they know."""
    for config in settings.values():
        if config.init_from is None:
            continue
        path = config.init_from.parent / CASES_FILE
        if not path.is_file():
            raise ConfigError(f"init_from is {config.init_from}, without {CASES_FILE} beside it: what did it see?")
        seen_ids = {name for names in json.loads(path.read_text(encoding="utf-8")).values() for name in names}
        described = [read_case(folder) for folder in find_cases(data)]
        seen = {case.group for case in described if case.id in seen_ids}
        known = sorted(seen & {group for part in parts for group in part.groups})
        if known:
            raise ConfigError(
                f"{config.init_from} was trained with {len(known)} of the groups that are held out, such as {known[0]}"
            )


def _keep_plan(parts: Sequence[Part], settings: Mapping[Task, TrainConfig], arguments: argparse.Namespace) -> None:
    """Write what is done, or refuse a folder in which something else was begun."""
    plan = {
        "by": arguments.by,
        "steps": arguments.steps,
        "settings": {task.value: config_to_dict(config) for task, config in settings.items()},
        "parts": {part.name: [read_case(folder).id for folder in part.cases] for part in parts},
        "also": sorted(read_case(folder).id for folder in (find_cases(arguments.also) if arguments.also else ())),
    }
    path = arguments.out / PLAN_FILE
    if path.exists() and json.loads(path.read_text(encoding="utf-8")) != plan:
        raise JobError(f"{arguments.out} was begun with other cases or settings (see {PLAN_FILE}); name another folder")
    arguments.out.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(plan, indent=1) + "\n", encoding="utf-8")


def _held_out(part: Part, arguments: argparse.Namespace) -> list[CaseRow]:
    """Return the evaluation of one part by networks that were trained without it."""
    folder = arguments.out / part.name
    if not (folder / "evaluation.json").exists():
        train_without(part, folder, arguments)
        cascade = load_cascade(heart=folder / "heart.onnx", calcium=folder / "calcium.onnx")
        rows = [evaluate_case(case, cascade) for case in part.cases]
        write_evaluation(rows, folder, weights_sha256=cascade.weights_sha256)
    rows = read_evaluation(folder)
    sys.stdout.write(f"{part.name}: {sum(row.is_category_right for row in rows)} of {len(rows)} categories right\n")
    sys.stdout.flush()
    return rows


def train_without(part: Part, folder: Path, arguments: argparse.Namespace) -> None:
    """Train both networks without a part's groups and export them; two single-threaded runs use two cores best."""
    folder.mkdir(parents=True, exist_ok=True)
    running = {task: _start(task, part, folder, arguments) for task in Task}
    exit_codes = {task: process.wait() for task, process in running.items()}
    failed = [task.value for task, code in exit_codes.items() if code]
    if failed:
        raise JobError(f"{part.name}: training of {' and '.join(failed)} failed, see the logs in {folder}")
    for task in Task:
        subprocess.run([*_calcmap("export"), folder / task, "-o", folder / f"{task}.onnx"], check=True)


def _start(task: Task, part: Part, folder: Path, arguments: argparse.Namespace) -> subprocess.Popen[bytes]:
    command: list[str | Path] = [*_calcmap("train"), task, "--config", getattr(arguments, task), "-o", folder / task]
    command += [word for data in [*arguments.data, *arguments.also] for word in ("--data", data)]
    command += [word for group in sorted(part.groups) for word in ("--exclude", group)]
    command += [] if part.site is None else ["--exclude-site", part.site]
    command += ["--cache", arguments.cache]
    command += [] if arguments.steps is None else ["--steps", str(arguments.steps)]
    command += ["--resume"] if (folder / task / "last.pt").exists() else []
    with (folder / f"{task}.log").open("ab") as log:
        return subprocess.Popen(command, stdout=log, stderr=log)


def _calcmap(command: str) -> list[str | Path]:
    return [sys.executable, "-m", "calcmap.cli.main", command]


def _weights_of(part: Part, out: Path) -> dict[str, str]:
    summary = json.loads((out / part.name / "evaluation.json").read_text(encoding="utf-8"))
    return {f"{part.name}/{name}": str(value) for name, value in summary["weights_sha256"].items()}


def _parse(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, action="append", required=True, help="folder of cases that are held out")
    parser.add_argument("--also", type=Path, action="append", default=[], help="folder of cases to train on alone")
    parser.add_argument("--by", type=By, choices=list(By), required=True, help="what is held out together")
    parser.add_argument("--folds", type=int, default=5, help="number of folds")
    parser.add_argument("--seed", type=int, default=0, help="of the folds; the settings have the trainings' own")
    parser.add_argument("--steps", type=int, help="optimiser steps instead of those of the settings")
    parser.add_argument("--heart", type=Path, default=Path("configs/heart.toml"), help="settings of the heart network")
    parser.add_argument("--calcium", type=Path, default=Path("configs/calcium.toml"), help="of the calcium network")
    parser.add_argument("--cache", type=Path, default=Path("cache"), help="where prepared samples are kept")
    parser.add_argument("-o", "--out", type=Path, required=True, help="folder of the parts and of the joint table")
    return parser.parse_args(words)


if __name__ == "__main__":
    main()
