"""What each ingredient of the calcium network is worth: seven networks, one budget, the same test.

    python scripts/ablation.py --data SIMULATED --real REAL --planted PLANTED --hold-out SCAN --test EXTERNAL \\
        -o runs/ablation --steps 1500 [--limit 600] [--docs docs]

Trains from scratch, two at a time and each on one core, the whole recipe and six networks that lack one thing of it:
the heart mask, the neighbouring slices, the ConvLSTM, the real scans, the planted plaques, the added noise. Steps, seed
and crops are the same. Hearts come from one heart network for all (--heart, else the one that is shipped). Then every
network meets the test cases, and the real scans that --hold-out names: they and what was planted into them are kept
from all seven.

What is finished is kept: a run that was stopped goes on when it is started again, case by case. With --docs the tables
go between the markers of DOCS/reference/networks.md.
"""

from __future__ import annotations

import argparse
import json
import logging
import multiprocessing
import os
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from calcmap.core.config import config_to_dict, load_config
from calcmap.core.volume import BoolArray, Volume
from calcmap.io.cases import find_cases, load_case_arrays, read_case
from calcmap.networks.neighbours import Neighbours
from calcmap.pipeline.evaluation import CaseRow, evaluate_volume
from calcmap.segmentation.cascade import Cascade
from calcmap.segmentation.engine import HEART_FILE, Engine, load_engine, shipped_weights
from kept_rows import (
    AGREEMENT_HEADS,
    agreement_cells,
    append_row,
    check_unseen,
    difference,
    of_sites,
    read_rows,
    row_from_json,
    said,
    table,
)
from marked_page import write_sections

if TYPE_CHECKING:
    from calcmap.training.config import TrainConfig

BASELINE = "whole recipe"
VARIANTS = (
    BASELINE,
    "no heart mask",
    "one slice instead of three",
    "no ConvLSTM",
    "no real scans",
    "no planted plaques",
    "no noise augmentation",
)
PROCESSES = 2
"""Trainings, and later evaluations, at a time; each keeps one core busy."""
PAGE = Path("reference") / "networks.md"


@dataclass(frozen=True)
class Job:
    """One training."""

    name: str
    config: TrainConfig
    folders: tuple[Path, ...]
    run: Path
    cache: Path

    @property
    def network(self) -> Path:
        """The file that the finished run leaves."""
        return self.run / "calcium.onnx"


def main() -> None:
    """Train what is not trained, evaluate what is not evaluated, write the tables."""
    arguments = _parse()
    jobs = [_job(name, arguments) for name in VARIANTS]
    _train_all(jobs)
    heart = arguments.heart or shipped_weights(HEART_FILE)
    groups = {"TEST": _test_cases(arguments), "HELD-OUT": _held_out_cases(arguments)}
    networks = {job.name: job.network for job in jobs}
    sections = {}
    for group, folders in groups.items():
        if folders:
            rows = evaluate_all(folders, networks, heart=heart, out=arguments.out / "rows")
            check_unseen(rows[BASELINE], [job.run for job in jobs])
            sections[f"ABLATION-{group}"] = section(group, rows, steps=arguments.steps)
    for body in sections.values():
        sys.stdout.write(body + "\n\n")
    if arguments.docs is not None:
        write_sections(arguments.docs / PAGE, sections)


def variant_config(name: str, base: TrainConfig) -> TrainConfig:
    """Return the settings of one of `VARIANTS`; those of which data alone are left out have the baseline's."""
    match name:
        case "no heart mask":
            return replace(base, network=replace(base.network, sees_heart=False))
        case "one slice instead of three":
            return replace(base, network=replace(base.network, neighbours=Neighbours.NONE))
        case "no ConvLSTM":
            return replace(base, network=replace(base.network, neighbours=Neighbours.CONCAT))
        case "no noise augmentation":
            return replace(base, augmentation=replace(base.augmentation, noise_hu=0.0))
    return base


def variant_folders(
    name: str, *, simulated: Sequence[Path], real: Sequence[Path], planted: Sequence[Path]
) -> tuple[Path, ...]:
    """Return where the cases of one of `VARIANTS` lie."""
    kept_real = () if name == "no real scans" else tuple(real)
    return (*simulated, *kept_real, *(() if name == "no planted plaques" else planted))


def train_job(job: Job) -> str:
    """Train one network, from its last checkpoint where there is one, and export it; return its name."""
    from calcmap.training.checkpoint import LAST
    from calcmap.training.exporting import export_run
    from calcmap.training.loop import train

    job.run.mkdir(parents=True, exist_ok=True)
    logging.basicConfig(filename=job.run / "train.log", level=logging.INFO, format="%(asctime)s %(message)s")
    train(job.folders, job.config, run=job.run, cache=job.cache, resume=(job.run / LAST).exists())
    export_run(job.run, job.network)
    return job.name


class SharedHeartCascade(Cascade):
    """A cascade that takes the heart of a scan from another one, which finds it once for all that ask.

    Parameters
    ----------
    finder : HeartFinder
        Finds hearts.
    calcium : Engine
        The calcium network.
    """

    def __init__(self, finder: HeartFinder, calcium: Engine) -> None:
        super().__init__(finder.heart, calcium)
        self._finder = finder

    def find_heart(self, volume: Volume) -> tuple[BoolArray, tuple[slice, slice, slice] | None]:
        """Return what the finder found."""
        return self._finder.find(volume)


class HeartFinder:
    """Finds the heart of a scan, and remembers that of the last one.

    Parameters
    ----------
    heart : Engine
        The heart network.
    calcium : Engine
        Any calcium network: a cascade has two.
    """

    def __init__(self, heart: Engine, calcium: Engine) -> None:
        self.heart = heart
        self._cascade = Cascade(heart, calcium)
        self._last: tuple[Volume, Any] | None = None

    def find(self, volume: Volume) -> tuple[BoolArray, tuple[slice, slice, slice] | None]:
        """Return the heart mask and its box, as `Cascade.find_heart` does."""
        if self._last is None or self._last[0] is not volume:
            self._last = volume, self._cascade.find_heart(volume)
        mask, box = self._last[1]
        return mask, box


_cascades: dict[str, Cascade] = {}
"""Of an evaluating process, by the network's name."""


def evaluate_all(
    folders: Sequence[Path], networks: Mapping[str, Path], *, heart: Path, out: Path
) -> dict[str, list[CaseRow]]:
    """Return each network's rows in the order of the folders; rows that are kept are not made again."""
    paths = {name: out / f"{_row_key(heart, network)}.jsonl" for name, network in networks.items()}
    kept = {name: read_rows(path) for name, path in paths.items()}
    missing = {folder: [name for name in networks if str(folder) not in kept[name]] for folder in folders}
    todo = [(folder, names) for folder, names in missing.items() if names]
    with _pool(_load_cascades, heart, dict(networks)) as pool:
        for done, found in enumerate(as_completed([pool.submit(evaluate_one, *each) for each in todo]), start=1):
            folder, rows = found.result()
            for name, values in rows.items():
                kept[name][str(folder)] = row_from_json(values)
                append_row(paths[name], folder, kept[name][str(folder)])
            sys.stderr.write(f"\r{done} of {len(todo)} cases")
    return {name: [kept[name][str(folder)] for folder in folders] for name in networks}


def evaluate_one(folder: Path, names: Sequence[str]) -> tuple[Path, dict[str, dict[str, Any]]]:
    """Return the rows of one case, which is read once, by network."""
    volume, labels, case = load_case_arrays(folder)
    return folder, {name: asdict(evaluate_volume(volume, labels, case, _cascades[name])) for name in names}


def section(group: str, rows: Mapping[str, Sequence[CaseRow]], *, steps: int) -> str:
    """Return a sentence that says what was done, and the table."""
    n = len(rows[BASELINE])
    what = (
        f"{n} simulated patients ({of_sites(rows[BASELINE])}) whom no calcium network has seen"
        if group == "TEST"
        else f"{n} real scans that no calcium network has seen (the heart network may have)"
    )
    heads = ("calcium network", AGREEMENT_HEADS[0], f"kappa minus that of the {BASELINE}", *AGREEMENT_HEADS[1:])
    lines = []
    for name, own in rows.items():
        kappa, *others = agreement_cells(own)
        apart = "" if name == BASELINE else said(difference(own, rows[BASELINE]))
        lines.append([name, kappa, apart, *others])
    return f"\n{steps} steps each, on {what}:\n\n" + table(heads, lines) + "\n"


def _job(name: str, arguments: argparse.Namespace) -> Job:
    from calcmap.training.config import TrainConfig

    base = replace(
        load_config(arguments.config, TrainConfig),
        steps=arguments.steps,
        threads=1,
        init_from=None,
        exclude_groups=tuple(arguments.hold_out),
    )
    folders = variant_folders(name, simulated=arguments.data, real=arguments.real, planted=arguments.planted)
    run = arguments.out / name.replace(" ", "-").lower()
    return Job(name, variant_config(name, base), folders, run, arguments.cache)


def _train_all(jobs: Sequence[Job]) -> None:
    todo = [job for job in jobs if not _is_finished(job)]
    with _pool(per_process=1) as pool:  # each writes a log of its own
        for done in as_completed([pool.submit(train_job, job) for job in todo]):
            sys.stderr.write(f"trained: {done.result()}\n")


def _is_finished(job: Job) -> bool:
    """Return whether a run left its network; one of other settings is not quietly taken for it."""
    if not job.network.exists():
        return False
    settings = json.loads((job.run / "config.json").read_text(encoding="utf-8"))
    if settings != config_to_dict(job.config):
        raise SystemExit(f"{job.run} holds a network of other settings; remove it or name another folder")
    return True


def _pool(initializer: Any = None, *arguments: Any, per_process: int | None = None) -> ProcessPoolExecutor:
    # libraries that count cores on loading get one each, for the other process needs its own
    os.environ |= {"OMP_NUM_THREADS": "1"}
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(PROCESSES, context, initializer, arguments, max_tasks_per_child=per_process)


def _load_cascades(heart: Path, networks: Mapping[str, Path]) -> None:
    engines = {name: load_engine(path, task="calcium", threads=1) for name, path in networks.items()}
    finder = HeartFinder(load_engine(heart, task="heart", threads=1), next(iter(engines.values())))
    _cascades.update({name: SharedHeartCascade(finder, engine) for name, engine in engines.items()})


def _row_key(heart: Path, calcium: Path) -> str:
    """Return a word that is another for other networks."""
    hashes = [load_engine(path, task=task, threads=1).sha256 for task, path in (("heart", heart), ("calcium", calcium))]
    return "-".join(each[:12] for each in hashes)


def _test_cases(arguments: argparse.Namespace) -> tuple[Path, ...]:
    return find_cases(arguments.test)[: arguments.limit]


def _held_out_cases(arguments: argparse.Namespace) -> tuple[Path, ...]:
    groups = {folder: read_case(folder).group for folder in find_cases(arguments.real)}
    unknown = sorted(set(arguments.hold_out) - set(groups.values()))
    if unknown:
        raise SystemExit(f"no real scan is called {', '.join(unknown)}; there are {', '.join(sorted(groups.values()))}")
    return tuple(folder for folder, group in groups.items() if group in arguments.hold_out)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    folders: dict[str, Any] = {"type": Path, "action": "append", "default": []}
    parser.add_argument("--data", **folders, help="simulated cases to train on")
    parser.add_argument("--real", **folders, help="real scans to train on")
    parser.add_argument("--planted", **folders, help="calcium planted into them")
    parser.add_argument("--hold-out", action="append", default=[], metavar="SCAN", help="a real scan kept for the test")
    parser.add_argument("--test", **folders, help="simulated cases of another site")
    parser.add_argument("--limit", type=int, help="test cases, the first in their order; all if not given")
    parser.add_argument("--heart", type=Path, help="heart network of all; the shipped one if not given")
    parser.add_argument("--config", type=Path, default=Path("configs/calcium.toml"), help="the whole recipe")
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--cache", type=Path, default=Path("cache"))
    parser.add_argument("-o", "--out", type=Path, required=True)
    parser.add_argument("--docs", type=Path)
    return parser.parse_args()


if __name__ == "__main__":
    main()
