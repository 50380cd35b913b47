"""Passes over a whole study in one process: from its path to its files, step by step."""

from __future__ import annotations

import time
from pathlib import Path

from calcmap.benchmark.orders import WarmRun, WorkOrder
from calcmap.core.errors import InputError, NoScorableSeriesError
from calcmap.core.memory import peak_rss_mb
from calcmap.core.result import StudyResult
from calcmap.core.volume import Volume
from calcmap.io.choosing import choose_series
from calcmap.io.finding import find_studies
from calcmap.io.reading import load_scan
from calcmap.io.study import Study
from calcmap.pipeline import ScoreOptions, score_study
from calcmap.report.folder import write_study
from calcmap.segmentation.cascade import Cascade, load_cascade

STEPS = ("find", "choose", "read", "quality", "heart", "calcium", "score", "write", "other")
"""Steps of one study; a refused study leaves out the later ones. ``other`` is what the total holds besides."""


def measure_warm(order: WorkOrder) -> WarmRun:
    """Return the seconds of each step in every counted pass, and the memory of each stage of the pass before them.

    Raises
    ------
    InputError
        The path does not hold exactly one study, or its CT cannot be read.
    ModelError
        A network cannot be loaded.
    """
    memory_mb = {"start": peak_rss_mb()}
    cascade = load_cascade(heart=order.heart, calcium=order.calcium)
    memory_mb["networks_loaded"] = peak_rss_mb()
    volume = read_volume(order.study)
    memory_mb["read"] = peak_rss_mb()
    cascade.segment(volume)
    memory_mb["networks_run"] = peak_rss_mb()
    shape_zyx, spacing_mm_zyx = volume.grid.shape_zyx, volume.spacing_mm_zyx
    del volume  # the next step reads its own: two at once would never be held in use
    result, _ = pass_over(order, cascade)
    memory_mb["scored_and_written"] = peak_rss_mb()
    passes = [pass_over(order, cascade)[1] for _ in range(order.repeats)]
    return WarmRun(
        shape_zyx=shape_zyx,
        spacing_mm_zyx=spacing_mm_zyx,
        status=result.status,
        reason=result.reason,
        total_seconds=tuple(sum(seconds.values()) for seconds in passes),
        step_seconds={step: tuple(seconds[step] for seconds in passes) for step in STEPS if step in passes[0]},
        memory_mb=memory_mb,
        weights_sha256=cascade.weights_sha256,
    )


def pass_over(order: WorkOrder, cascade: Cascade) -> tuple[StudyResult, dict[str, float]]:
    """Return the result of one pass from path to written files, and the seconds of its steps, which add up to all."""
    started = time.perf_counter()
    study = only_study(order.study)
    found = time.perf_counter()
    scored = score_study(study, cascade, options=ScoreOptions())
    scored_at = time.perf_counter()
    write_study(scored.result, scored.volume, scored.labels, folder=order.work / study.name)
    ended = time.perf_counter()
    seconds = {"find": found - started, **scored.result.seconds, "write": ended - scored_at}
    return scored.result, seconds | {"other": ended - started - sum(seconds.values())}


def read_volume(path: Path) -> Volume:
    """Return the CT that would be scored.

    Raises
    ------
    InputError
        The path does not hold exactly one study, or it has no CT that can be read.
    """
    study = only_study(path)
    choice = choose_series(study)
    if choice.chosen is None:
        raise choice.refusal or NoScorableSeriesError("no series of the study can be the attenuation CT")
    return load_scan(study, choice.chosen.series_uid).volume


def only_study(path: Path) -> Study:
    """Return the one study under a path.

    Raises
    ------
    InputError
        There is none, or there are several: times would be those of any of them.
    """
    studies = find_studies([path])
    if len(studies) != 1:
        raise InputError(f"{path} holds {len(studies)} studies, expected one to be timed")
    return studies[0]
