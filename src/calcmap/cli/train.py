"""``calcmap train`` and ``calcmap export``: from labelled cases to a network file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from calcmap.cli.console import open_console, open_progress

if TYPE_CHECKING:
    from calcmap.training.config import TrainConfig


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
    exclude: Annotated[list[str] | None, typer.Option(help="Leave a group (scan) out; repeat for more.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the run's last checkpoint.")] = False,
) -> None:
    """Train one network on labelled cases; needs the train extra (torch).

    Example: calcmap train heart --data cases --config configs/heart.toml -o runs/heart
    """
    _require_torch()
    from calcmap.core.errors import ConfigError
    from calcmap.training.loop import StepReport
    from calcmap.training.loop import train as train_network

    settings = _settings(config, exclude or [])
    if settings.task != task:
        raise ConfigError(f"{config} is for task {settings.task.value!r}, the command says {task!r}")
    with open_progress(is_shown=True) as progress:
        bar = progress.add_task(f"training {task}", total=settings.steps)

        def show(report: StepReport) -> None:
            progress.update(bar, completed=report.step, description=f"training {task}, loss {report.loss:.4f}")
            if report.metric is not None:
                progress.console.print(f"step {report.step}: validation {report.metric:.4f}")

        done = train_network(data, settings, run=run, cache=cache, resume=resume, on_step=show)
    open_console().print(
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


def _settings(path: Path, exclude: list[str]) -> TrainConfig:
    from dataclasses import replace

    from calcmap.core.config import load_config
    from calcmap.training.config import TrainConfig

    settings = load_config(path, TrainConfig)
    return replace(settings, exclude_groups=(*settings.exclude_groups, *exclude))


def _require_torch() -> None:
    from importlib.util import find_spec

    from calcmap.core.errors import ConfigError

    if find_spec("torch") is None:
        raise ConfigError("training needs torch, which is not installed; install it with: pip install 'calcmap[train]'")
