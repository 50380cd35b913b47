"""The three networks on the same test: agreement, time, memory, size; CalcMap's own, the published layout, a U-Net.

    python scripts/compare_networks.py --heart-runs runs/heart runs/heart_clstm runs/heart_unet \\
        --calcium-runs runs/calcium runs/calcium_clstm runs/calcium_unet --test data/external -o build/compare \\
        [--limit 600] [--timed 10] [--bench bench.json] [--docs docs]

Runs are given in the order calcmap, clstm, unet. Each pair is exported and evaluated like any other network; cases that
are done are kept, so a run that was stopped goes on. Then, on an otherwise quiet machine if there is one:

* time: the same scans through all three, in turn, in one process on two threads; the networks alone, and the whole way
  from the CT to its label map;
* memory of inference: one scan, one process a pair; of training: a few steps with the crops of the run's own settings,
  one process a network.

All three see the same grids: the heart on the coarse one, calcium in the heart's box. That is not how clstm and unet
were published. --bench takes what `calcmap bench --json` measured, where they see whole slices at native resolution.
With --docs the tables go between the markers of DOCS/reference/networks.md.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np

from calcmap.benchmark.launching import WORKER_ENVIRONMENT, launch
from calcmap.core.memory import peak_rss_mb
from calcmap.core.volume import Float32Array, Grid, Volume
from calcmap.io.cases import find_cases, load_case_arrays
from calcmap.pipeline.evaluation import CaseRow, evaluate_case, summarise
from calcmap.segmentation.cascade import Cascade
from calcmap.segmentation.engine import Engine, load_engine
from kept_rows import (
    AGREEMENT_HEADS,
    NOT_DEFINED,
    agreement_cells,
    append_row,
    check_unseen,
    difference,
    of_sites,
    read_rows,
    said,
    table,
)
from marked_page import write_sections
from training_cost import TrainingCost, training_cost

KINDS = ("calcmap", "clstm", "unet")
TASKS = ("heart", "calcium")
THREADS = 2
"""Cores that the promise is about."""
TRAINING_STEPS = 3
PAPER_SECONDS = {"clstm": 6.18, "unet": 10.1}
PAPER_TRAINING_GB = {"clstm": 13.11, "unet": 22.31}
"""Pieszko et al., Proc SPIE 2022;12032:120323A: convolutional LSTM and U-Net on a CPU, and in training."""
ASKED = {"clstm": "≥ 20", "unet": "≥ 3"}
ASKED_TRAINING_SHARE = 0.5
PAGE = Path("reference") / "networks.md"

Pair = dict[str, Path]
"""Network files by task."""


@dataclass(frozen=True)
class ScanCost:
    """Seconds that one scan took: of all cores together, and by the clock."""

    networks_cpu: float
    networks_clock: float
    whole_cpu: float
    whole_clock: float


@dataclass(frozen=True)
class InferenceMemory:
    """Most memory of a process that segments one scan."""

    startup_mb: float
    """Before there was a network: libraries and the scan."""
    peak_mb: float

    @property
    def added_mb(self) -> float:
        """Of networks and label map."""
        return self.peak_mb - self.startup_mb


@dataclass(frozen=True, eq=False)
class TimedEngine(Engine):
    """An engine that notes what each call cost, (processor, clock) seconds."""

    costs: list[tuple[float, float]] = field(default_factory=list)

    def logits(self, slices_schw: Float32Array) -> Float32Array:
        """Return the logits, and note the cost."""
        found: list[Float32Array] = []
        self.costs.append(seconds_of(lambda: found.append(super(TimedEngine, self).logits(slices_schw))))
        return found[0]


@dataclass(frozen=True)
class Findings:
    """Everything that the tables say, by kind of network."""

    rows: Mapping[str, Sequence[CaseRow]]
    costs: Mapping[str, Sequence[ScanCost]]
    inference: Mapping[str, InferenceMemory]
    training: Mapping[str, Mapping[str, TrainingCost]]
    """By kind and task."""
    steps: Mapping[str, str]
    """Steps of heart and calcium training, in words."""
    published: Mapping[str, float] | None
    """Processor seconds of a study in which clstm and unet see whole slices."""


def main() -> None:
    """Export, evaluate, measure, write the tables."""
    arguments = _parse()
    if arguments.answer is not None:
        arguments.answer.write_text(json.dumps(asdict(_measure_inference(arguments.pair, arguments.scan))), "utf-8")
        return
    runs = {kind: dict(zip(TASKS, pair, strict=True)) for kind, *pair in _by_kind(arguments)}
    folders = find_cases(arguments.test)[: arguments.limit]
    pairs = {kind: _exported(pair, arguments.out / kind) for kind, pair in runs.items()}
    found = Findings(
        rows={kind: evaluated(folders, pairs[kind], out=arguments.out / kind) for kind in KINDS},
        costs=timed(folders[: arguments.timed], pairs),
        inference={kind: inference_memory(pair, folders[0]) for kind, pair in pairs.items()},
        training={kind: {task: _training(run) for task, run in pair.items()} for kind, pair in runs.items()},
        steps={kind: " + ".join(str(_settings(pair[task]).steps) for task in TASKS) for kind, pair in runs.items()},
        published=None if arguments.bench is None else _published(arguments.bench),
    )
    check_unseen(found.rows["calcmap"], [run for pair in runs.values() for run in pair.values()])
    sections = {"COMPARED-AGREEMENT": agreement_table(found), "COMPARED-COST": cost_table(found)}
    for body in sections.values():
        sys.stdout.write(body + "\n\n")
    if arguments.docs is not None:
        write_sections(arguments.docs / PAGE, sections)


def evaluated(folders: Sequence[Path], pair: Pair, *, out: Path) -> list[CaseRow]:
    """Return the rows of a pair of networks, made anew only where they are not kept for these very files."""
    cascade = _cascade(pair, threads=THREADS)
    path = out / f"rows-{'-'.join(sha256[:12] for sha256 in cascade.weights_sha256.values())}.jsonl"
    kept = read_rows(path)
    for number, folder in enumerate(folders, start=1):
        if str(folder) not in kept:
            kept[str(folder)] = evaluate_case(folder, cascade)
            append_row(path, folder, kept[str(folder)])
            sys.stderr.write(f"\r{out.name}: {number} of {len(folders)} cases")
    return [kept[str(folder)] for folder in folders]


def timed(folders: Sequence[Path], pairs: Mapping[str, Pair]) -> dict[str, list[ScanCost]]:
    """Return the cost of each scan, all networks in turn on each, after a scan that is not counted."""
    engines = {kind: {task: _timed_engine(pair[task], task=task) for task in TASKS} for kind, pair in pairs.items()}
    cascades = {kind: Cascade(both["heart"], both["calcium"]) for kind, both in engines.items()}
    costs: dict[str, list[ScanCost]] = {kind: [] for kind in pairs}
    for number, folder in enumerate((folders[0], *folders)):
        volume, _, _ = load_case_arrays(folder)
        for kind, cascade in cascades.items():
            noted = [engine.costs for engine in engines[kind].values()]
            for each in noted:
                each.clear()
            whole_cpu, whole_clock = seconds_of(lambda of=cascade, scan=volume: of.segment(scan))
            cpu, clock = np.sum([cost for each in noted for cost in each], axis=0)
            if number > 0:
                costs[kind].append(ScanCost(float(cpu), float(clock), whole_cpu, whole_clock))
    return costs


def seconds_of(work: Callable[[], object]) -> tuple[float, float]:
    """Return processor seconds, of all cores together, and clock seconds of a call."""
    started, cpu_started = time.perf_counter(), time.process_time()
    work()
    return time.process_time() - cpu_started, time.perf_counter() - started


def inference_memory(pair: Pair, folder: Path) -> InferenceMemory:
    """Return the memory of segmenting one scan, measured in a process of its own."""
    volume, _, _ = load_case_arrays(folder)
    with tempfile.TemporaryDirectory() as work:
        scan, answer = Path(work) / "scan.npz", Path(work) / "answer.json"
        np.savez(scan, ct_hu_zyx=volume.ct_hu_zyx, affine_lps_mm=volume.grid.affine_lps_mm)
        words = ["--answer", answer, "--scan", scan, "--pair", *(pair[task] for task in TASKS)]
        launched = launch([sys.executable, __file__, *words], environment=WORKER_ENVIRONMENT)
        if launched.exit_code != 0:
            raise SystemExit(f"measuring inference failed: {launched.errors.strip() or launched.exit_code}")
        return InferenceMemory(**json.loads(answer.read_text(encoding="utf-8")))


def agreement_table(found: Findings) -> str:
    """Return what the three networks reach."""
    n = len(found.rows["calcmap"])
    heads = ["network", AGREEMENT_HEADS[0], "kappa minus calcmap's", "heart Dice, mean", *AGREEMENT_HEADS[1:], "steps"]
    lines = []
    for kind, rows in found.rows.items():
        kappa, *others = agreement_cells(rows)
        apart = "" if kind == "calcmap" else said(difference(rows, found.rows["calcmap"]))
        figures: Any = summarise(rows)
        lines.append([kind, kappa, apart, said(figures["dice_heart"]), *others, found.steps[kind]])
    return (
        f"\nOn {n} simulated patients ({of_sites(found.rows['calcmap'])}) whom no network has seen; each network found "
        f"heart and calcium itself, and all were trained by one recipe:\n\n{table(heads, lines)}\n"
    )


def cost_table(found: Findings) -> str:
    """Return what the three networks cost, each figure with the grid that it stands for."""
    medians = {
        kind: ScanCost(*np.median([list(asdict(cost).values()) for cost in costs], axis=0))
        for kind, costs in found.costs.items()
    }
    n = len(found.costs["calcmap"])
    heads = ["", *KINDS, *(f"{kind} / calcmap" for kind in KINDS[1:]), "asked", "grid"]
    same = "the same for all"
    asked = " and ".join(f"{kind} {ratio}" for kind, ratio in ASKED.items())
    lines = [
        _line("parameters, both networks", _parameters(found), digits=0, grid=""),
        _line("networks alone, processor s a scan", _each(medians, "networks_cpu"), asked=asked, grid=same),
        _line(f"networks alone, clock s on {THREADS} threads", _each(medians, "networks_clock"), grid=same),
        _line("CT to label map, processor s a scan", _each(medians, "whole_cpu"), grid=same),
        _line("inference, peak MB", _each(found.inference, "peak_mb"), digits=0, grid=same),
        _line("inference, MB above libraries and scan", _each(found.inference, "added_mb"), digits=0, grid=same),
        *_training_lines(found),
    ]
    if found.published is not None:
        lines.append(
            _line(
                "as published, processor s a study", found.published, asked=asked, grid="whole slices; ours as served"
            )
        )
    lines.append(_line("paper's reference 17: s a scan on a CPU", PAPER_SECONDS, grid="theirs"))
    lines.append(_line("paper's reference 17: GB in training", PAPER_TRAINING_GB, grid="theirs"))
    return f"\nMedians of {n} simulated scans:\n\n{table(heads, lines)}\n"


def _training_lines(found: Findings) -> list[list[str]]:
    lines = []
    for task in TASKS:
        costs = {kind: found.training[kind][task] for kind in KINDS}
        seconds, same = _each(costs, "cpu_seconds_per_step"), "the same crops"
        lines.append(_line(f"training {task}, processor s a step", seconds, grid=same))
        lines.append(_line(f"training {task}, peak MB", _each(costs, "peak_mb"), digits=0, grid=same))
        asked = f"unet ≥ {1 / ASKED_TRAINING_SHARE:.0f}"
        added = _each(costs, "added_mb")
        lines.append(_line(f"training {task}, MB above libraries", added, digits=0, asked=asked, grid=same))
    return lines


def _line(what: str, values: Mapping[str, float], *, digits: int = 2, asked: str = "", grid: str) -> list[str]:
    """Return a row of the cost table; a network without a figure gets none, and no ratio."""
    cells = [f"{values[kind]:,.{digits}f}" if kind in values else NOT_DEFINED for kind in KINDS]
    own = values.get("calcmap")
    ratios = [f"{values[kind] / own:.1f}" if own and kind in values else NOT_DEFINED for kind in KINDS[1:]]
    return [what, *cells, *ratios, asked, grid]


def _each(figures: Mapping[str, Any], name: str) -> dict[str, float]:
    return {kind: float(getattr(figure, name)) for kind, figure in figures.items()}


def _parameters(found: Findings) -> dict[str, float]:
    return {kind: float(sum(cost.parameters for cost in both.values())) for kind, both in found.training.items()}


def _measure_inference(pair: Sequence[Path], scan: Path) -> InferenceMemory:
    with np.load(scan) as arrays:
        ct_hu_zyx = arrays["ct_hu_zyx"]
        volume = Volume(ct_hu_zyx, Grid(ct_hu_zyx.shape, arrays["affine_lps_mm"]))
    startup_mb = peak_rss_mb()
    _cascade(dict(zip(TASKS, pair, strict=True)), threads=THREADS).segment(volume)
    return InferenceMemory(startup_mb, peak_rss_mb())


def _exported(runs: Pair, out: Path) -> Pair:
    """Return the network files of a pair of runs, written anew where the run has gone on since."""
    from calcmap.training.checkpoint import BEST
    from calcmap.training.exporting import export_run

    files = {task: out / f"{task}.onnx" for task in runs}
    for task, run in runs.items():
        if not files[task].exists() or files[task].stat().st_mtime < (run / BEST).stat().st_mtime:
            export_run(run, files[task])
    return files


def _settings(run: Path) -> Any:
    from calcmap.training.checkpoint import BEST, config_of, load_checkpoint

    return config_of(load_checkpoint(run / BEST), where=str(run))


def _training(run: Path) -> TrainingCost:
    from dataclasses import replace

    return training_cost(replace(_settings(run), init_from=None, threads=1), steps=TRAINING_STEPS)


def _published(bench: Path) -> dict[str, float]:
    """Return processor seconds of a study from the report of ``calcmap bench --json``, where it has them."""
    networks = json.loads(bench.read_text(encoding="utf-8"))["networks"]
    seconds = {kind: networks[kind]["cpu_seconds_per_study"] for kind in KINDS}
    return {kind: value for kind, value in seconds.items() if value is not None}


def _cascade(pair: Pair, *, threads: int) -> Cascade:
    heart, calcium = (load_engine(pair[task], task=task, threads=threads) for task in TASKS)
    return Cascade(heart, calcium)


def _timed_engine(path: Path, *, task: str) -> TimedEngine:
    engine = load_engine(path, task=task, threads=THREADS)
    return TimedEngine(**{each.name: getattr(engine, each.name) for each in fields(engine)})


def _by_kind(arguments: argparse.Namespace) -> list[tuple[str, Path, Path]]:
    return list(zip(KINDS, arguments.heart_runs, arguments.calcium_runs, strict=True))


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--heart-runs", type=Path, nargs=len(KINDS), metavar=tuple(map(str.upper, KINDS)))
    parser.add_argument("--calcium-runs", type=Path, nargs=len(KINDS), metavar=tuple(map(str.upper, KINDS)))
    parser.add_argument("--test", type=Path, action="append", default=[], help="folder of cases; repeat for more")
    parser.add_argument("--limit", type=int, help="test cases, the first in their order; all if not given")
    parser.add_argument("--timed", type=int, default=10, help="scans that time is measured on")
    parser.add_argument("--bench", type=Path, help="what calcmap bench --json wrote")
    parser.add_argument("-o", "--out", type=Path, default=Path("build/compare"))
    parser.add_argument("--docs", type=Path)
    parser.add_argument("--answer", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--scan", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--pair", type=Path, nargs=len(TASKS), help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
