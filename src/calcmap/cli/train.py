"""``calcmap train`` and ``calcmap export``: from labelled cases to a network file."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from calcmap.cli.console import open_console, open_progress, print_json

if TYPE_CHECKING:
    from rich.progress import Progress

    from calcmap.training.config import TrainConfig
    from calcmap.training.loop import StepReport, TrainResult


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    app.command("train", no_args_is_help=True)(train)
    app.command("export", no_args_is_help=True)(export)


def train(
    task: Annotated[str, typer.Argument(help="heart or calcium.")],
    data: Annotated[list[Path], typer.Option(help="Folder of cases; repeat for more.")],
    config: Annotated[Path, typer.Option(help="Settings (TOML); see configs/.")],
    run: Annotated[Path, typer.Option("-o", "--run", help="Run folder.")],
    cache: Annotated[Path, typer.Option(help="Where prepared samples are kept.")] = Path("cache"),
    fold: Annotated[
        str | None, typer.Option(metavar="K/N", help="Hold out fold K of N, counted from 0: 0/5 to 4/5.")
    ] = None,
    exclude: Annotated[list[str] | None, typer.Option(help="Leave a group (scan) out; repeat for more.")] = None,
    exclude_site: Annotated[list[str] | None, typer.Option(help="Leave a site out; repeat for more.")] = None,
    steps: Annotated[int | None, typer.Option(help="Optimiser steps instead of those of the settings.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed instead of that of the settings.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the run's last checkpoint.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print what the run came to as JSON.")] = False,
) -> None:
    """Train one network on labelled cases; needs the train extra (torch).

    The run folder gets the settings, the cases of both sides, metrics.csv, checkpoints and, where the logs extra is
    installed, event files for TensorBoard.

    Example: calcmap train heart --data cases --config configs/heart.toml -o runs/heart
    """
    _require_torch()
    from calcmap.core.errors import ConfigError
    from calcmap.training.loop import train as train_network

    settings = _with_options(_settings(config), fold=fold, exclude=exclude, sites=exclude_site, steps=steps, seed=seed)
    if settings.task != task:
        raise ConfigError(f"{config} is for task {settings.task.value!r}, the command says {task!r}")
    with open_progress(is_shown=True) as progress:
        show = _shown_in(progress, settings)
        done = train_network(data, settings, run=run, cache=cache, resume=resume, on_step=show)
    if as_json:
        print_json(_result_json(done))
        return
    console = open_console()
    console.print(_cost_words(done))
    console.print(
        f"best validation {done.progress.best_metric:.4f} at step {done.progress.best_step}; next: calcmap export {run}"
    )


def export(
    run: Annotated[Path, typer.Argument(help="Run folder of calcmap train.")],
    out: Annotated[Path | None, typer.Option("-o", "--out", help="ONNX file; RUN/<task>.onnx if not given.")] = None,
    last: Annotated[bool, typer.Option("--last", help="Take the last checkpoint instead of the best.")] = False,
) -> None:
    """Write the network of a run as ONNX, checked against torch; needs the train extra (torch).

    Example: calcmap export runs/heart
    """
    _require_torch()
    from calcmap.training.exporting import export_run

    path = export_run(run, out, use_last=last)
    open_console().print(f"wrote {path} ({path.stat().st_size / 1e6:.2f} MB)")


def _settings(path: Path) -> TrainConfig:
    from calcmap.core.config import load_config
    from calcmap.training.config import TrainConfig

    return load_config(path, TrainConfig)


def _with_options(
    settings: TrainConfig,
    *,
    fold: str | None,
    exclude: list[str] | None,
    sites: list[str] | None,
    steps: int | None,
    seed: int | None,
) -> TrainConfig:
    changes: dict[str, Any] = {} if fold is None else _fold(fold)
    changes |= {name: value for name, value in (("steps", steps), ("seed", seed)) if value is not None}
    return replace(
        settings,
        exclude_groups=(*settings.exclude_groups, *(exclude or [])),
        exclude_sites=(*settings.exclude_sites, *(sites or [])),
        **changes,
    )


def _fold(words: str) -> dict[str, int]:
    from calcmap.core.errors import ConfigError

    found = re.fullmatch(r"(\d+)/(\d+)", words)
    if found is None or int(found[2]) < 2:
        raise ConfigError(f"--fold is {words!r}, expected K/N with N at least 2, such as 0/5")
    return {"fold": int(found[1]), "folds": int(found[2])}


def _shown_in(progress: Progress, settings: TrainConfig) -> Callable[[StepReport], None]:
    """Return what shows each step: a bar with the loss and the last metric, and a line a validation."""
    bar = progress.add_task(f"training {settings.task}", total=settings.steps)
    validated = ""

    def show(report: StepReport) -> None:
        nonlocal validated
        if report.metric is not None:
            validated = f", validation {report.metric:.4f}"
            progress.console.print(f"step {report.step}: validation {report.metric:.4f}")
        words = f"training {settings.task}, loss {report.loss:.4f}{validated}"
        progress.update(bar, completed=report.step, description=words)

    return show


def _cost_words(done: TrainResult) -> str:
    memory = "" if math.isnan(done.peak_memory_mb) else f", peak memory {done.peak_memory_mb:.0f} MB"
    pace = "" if not done.steps_taken else f", {done.seconds / done.steps_taken:.2f} s a step"
    return (
        f"{done.steps_taken} steps on {done.n_training} cases, {done.n_held_out} held out: "
        f"{done.seconds / 60:.1f} min{pace}{memory}"
    )


def _result_json(done: TrainResult) -> dict[str, object]:
    memory = None if math.isnan(done.peak_memory_mb) else done.peak_memory_mb
    cost = {name: value for name, value in asdict(done).items() if name != "progress"}
    return {**asdict(done.progress), **cost, "peak_memory_mb": memory}


def _require_torch() -> None:
    from importlib.util import find_spec

    from calcmap.core.errors import ConfigError

    if find_spec("torch") is None:
        raise ConfigError("training needs torch, which is not installed; install it with: pip install 'calcmap[train]'")
