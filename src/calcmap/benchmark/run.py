"""The benchmark: a list of measurements, each in a process of its own."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import StrEnum
from importlib.util import find_spec
from pathlib import Path

from calcmap.benchmark.figures import (
    BenchReport,
    NetworkFigures,
    ProcessFigures,
    StudyFacts,
    WarmFigures,
    figures_of_networks,
    spread,
)
from calcmap.benchmark.launching import Launched, carry_out, check_system, launch_repeatedly
from calcmap.benchmark.machine import machine_facts
from calcmap.benchmark.orders import BASELINES, NETWORKS, Measurement, NetworkRun, WarmRun, WorkOrder
from calcmap.benchmark.study import StudyPlan, make_study
from calcmap.core.errors import InputError, JobError, ModelError
from calcmap.segmentation.engine import CALCIUM_FILE, HEART_FILE, shipped_weights

SCORE_EXIT_CODES = (0, 3)
"""Of ``calcmap score``: scored, or refused, which the report notes."""
CALCMAP_COMMAND = (sys.executable, "-m", "calcmap.cli.main")
NO_TORCH = "torch is not installed; install it with: pip install 'calcmap[train]'"


class Stage(StrEnum):
    """Where a benchmark stands, in the order of the stages."""

    STUDY = "making the study"
    WARM = "warm: one process, several passes"
    COLD = "cold: a process per study"
    HELP = "starting the program"
    CALCMAP = "networks: calcmap"
    CLSTM = "networks: clstm"
    UNET = "networks: unet"


@dataclass(frozen=True)
class BenchOptions:
    """What to measure.

    Parameters
    ----------
    study : Path or None
        A study to time; simulated when ``None``.
    weights : Path or None
        Folder with ``heart.onnx`` and ``calcium.onnx``; the shipped networks when ``None``.
    keep : Path or None
        Folder in which the simulated study is kept and found again; a temporary one when ``None``.
    repeats : int
        Passes over the whole study in one process, after one that is not counted.
    slices : int
        Slices that the baselines are timed on.
    starts : int
        Processes started to score the study, and as many to print the help.
    plan : StudyPlan
        The study to simulate.
    """

    study: Path | None = None
    weights: Path | None = None
    keep: Path | None = None
    repeats: int = 5
    slices: int = 6
    starts: int = 3
    plan: StudyPlan = field(default_factory=StudyPlan)


def run_bench(options: BenchOptions, *, on_stage: Callable[[Stage], None] = lambda stage: None) -> BenchReport:
    """Return times and memory of reading, networks and scoring on this machine.

    Parameters
    ----------
    options : BenchOptions
        What to measure.
    on_stage : callable
        Told each stage as it begins.

    Returns
    -------
    BenchReport
        A baseline that could not be measured has no figures and a reason; nothing else may fail.

    Raises
    ------
    ConfigError
        Fewer than one pass or slice, or the system does not tell what a process cost.
    InputError
        There is no such study.
    ModelError
        There are no such networks.
    JobError
        A measuring process failed; the message says why.
    """
    check_system()
    machine = machine_facts()  # first of all: the load that it tells shall not be ours
    with tempfile.TemporaryDirectory(prefix="calcmap-bench-") as temporary:
        order = _first_order(options, Path(temporary))
        on_stage(Stage.STUDY)
        order = replace(order, study=_study_of(options, Path(temporary)))
        on_stage(Stage.WARM)
        warm, warm_process = carry_out(order, WarmRun)
        on_stage(Stage.COLD)
        cold = measure_cold(order, runs=options.starts)
        on_stage(Stage.HELP)
        started = launch_repeatedly([*CALCMAP_COMMAND, "--help"], runs=options.starts)
        networks = {}
        for network in NETWORKS:
            on_stage(Stage[network.name])
            networks[network.value] = measure_networks(replace(order, measurement=network))
    return BenchReport(
        machine=machine,
        study=_study_facts(warm, is_simulated=options.study is None),
        weights_sha256=warm.weights_sha256,
        warm=_warm_figures(warm, warm_process),
        cold=cold,
        help=started,
        networks=networks,
    )


def measure_cold(order: WorkOrder, *, runs: int) -> ProcessFigures:
    """Return what ``calcmap score`` costs from the start of its process to its end, all files written.

    Raises
    ------
    JobError
        It neither scored nor refused the study.
    """
    weights: list[str | Path] = ["--heart-weights", order.heart, "--calcium-weights", order.calcium]
    command = [*CALCMAP_COMMAND, "score", order.study, "-o", order.work / "cold", *weights]
    return launch_repeatedly(command, runs=runs, accepted=lambda code: code in SCORE_EXIT_CODES)


def measure_networks(order: WorkOrder) -> NetworkFigures:
    """Return the figures of one pair of networks; a baseline that cannot be measured has none, and a reason.

    Raises
    ------
    JobError
        CalcMap's own networks cannot be measured.
    """
    is_baseline = order.measurement in BASELINES
    if is_baseline and find_spec("torch") is None:
        return NetworkFigures(reason=NO_TORCH)
    try:
        run, launched = carry_out(order, NetworkRun)
    except JobError as error:
        if not is_baseline:
            raise
        return NetworkFigures(reason=str(error))
    return figures_of_networks(run, peak_mb=launched.peak_mb)


def weights_of(folder: Path | None) -> tuple[Path, Path]:
    """Return heart and calcium network of a folder, or the shipped ones.

    Raises
    ------
    ModelError
        One of them is not there.
    """
    if folder is None:
        return shipped_weights(HEART_FILE), shipped_weights(CALCIUM_FILE)
    for name in (HEART_FILE, CALCIUM_FILE):
        if not (folder / name).is_file():
            raise ModelError(f"{folder} holds no {name}")
    return folder / HEART_FILE, folder / CALCIUM_FILE


def _first_order(options: BenchOptions, work: Path) -> WorkOrder:
    """Return the order that the others are made from, so that wrong options end the run before anything is measured."""
    if options.study is not None and not options.study.exists():
        raise InputError(f"no such file or folder: {options.study}")
    heart, calcium = weights_of(options.weights)
    return WorkOrder(
        measurement=Measurement.WARM,
        study=options.study or work,
        heart=heart,
        calcium=calcium,
        work=work,
        repeats=options.repeats,
        slices=options.slices,
    )


def _study_of(options: BenchOptions, temporary: Path) -> Path:
    return options.study or make_study(options.keep or temporary, options.plan)


def _study_facts(warm: WarmRun, *, is_simulated: bool) -> StudyFacts:
    return StudyFacts(is_simulated, warm.shape_zyx, warm.spacing_mm_zyx, warm.status, warm.reason)


def _warm_figures(warm: WarmRun, process: Launched) -> WarmFigures:
    return WarmFigures(
        repeats=len(warm.total_seconds),
        total_seconds=spread(warm.total_seconds),
        steps={step: spread(seconds) for step, seconds in warm.step_seconds.items()},
        memory_mb=warm.memory_mb,
        peak_mb=process.peak_mb,
    )
