"""``calcmap bench``: time and memory of one study, beside the baselines in the same run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from calcmap.cli.console import EXIT_OK, EXIT_REFUSED, open_console, open_progress, print_error, print_json

if TYPE_CHECKING:
    from rich.table import Table

    from calcmap.benchmark.figures import BenchReport, ProcessFigures
    from calcmap.benchmark.run import BenchOptions


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command("bench")(bench)


def bench(
    study: Annotated[
        Path | None, typer.Option(help="Study to time; one of 60 slices is simulated if not given.")
    ] = None,
    weights: Annotated[
        Path | None, typer.Option(help="Folder with heart.onnx and calcium.onnx; the shipped ones if not given.")
    ] = None,
    repeats: Annotated[int, typer.Option(min=1, help="Passes over the study in one process.")] = 5,
    slices: Annotated[
        int, typer.Option(min=1, help="Slices that the baselines are timed on, then scaled to the whole study.")
    ] = 6,
    keep: Annotated[
        Path | None, typer.Option(help="Keep the simulated study in this folder, and use it again from there.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print as JSON instead of tables.")] = False,
) -> None:
    """Measure reading, networks and scoring on this machine, beside the published layout and a U-Net.

    Takes a minute or two. The baselines need torch (train extra). Exit code 3: the study has no score, so its times
    are not those of a whole one.

    Example: calcmap bench --json
    """
    from calcmap.benchmark.figures import report_to_json
    from calcmap.benchmark.run import BenchOptions

    report = _measure(BenchOptions(study=study, weights=weights, keep=keep, repeats=repeats, slices=slices), as_json)
    for note in report.notes:
        print_error(note)
    if as_json:
        print_json(report_to_json(report))
    else:
        _show(report)
    raise typer.Exit(EXIT_OK if report.study.status == "scored" else EXIT_REFUSED)


def _measure(options: BenchOptions, as_json: bool) -> BenchReport:
    from calcmap.benchmark.run import Stage, run_bench

    with open_progress(is_shown=not as_json) as progress:
        bar = progress.add_task("", total=len(Stage))
        stages = list(Stage)
        return run_bench(
            options,
            on_stage=lambda stage: progress.update(bar, description=stage.value, completed=stages.index(stage)),
        )


def _show(report: BenchReport) -> None:
    from calcmap.core.result import DISCLAIMER

    console = open_console()
    console.print(_machine_line(report))
    console.print(_study_line(report))
    for title, table in (
        (f"One study, warm: {report.warm.repeats} passes in one process", _steps(report)),
        ("Whole processes, start included", _processes(report)),
        ("Memory of the warm process, most up to each stage", _memory(report)),
        ("Heart and calcium network together on the whole study", _networks(report)),
    ):
        console.print(f"\n{title}")
        console.print(table)
    for line in _comparison(report):
        console.print(line)
    console.print(DISCLAIMER)


def _machine_line(report: BenchReport) -> str:
    machine = report.machine
    packages = ", ".join(f"{name} {version or 'not installed'}" for name, version in machine.packages.items())
    return f"{machine.cores} cores of {machine.cpu}; {machine.system}; Python {machine.python}, {packages}"


def _study_line(report: BenchReport) -> str:
    study = report.study
    slices, rows, columns = study.shape_zyx
    kind = "simulated study" if study.is_simulated else "study"
    return f"{kind}: {slices} slices of {rows} x {columns}, increment {study.spacing_mm_zyx[0]:.2f} mm, {study.status}"


def _steps(report: BenchReport) -> Table:
    table = _table("step", "best ms", "median ms")
    for step, seconds in report.warm.steps.items():
        table.add_row(step, f"{1000 * seconds.best:.0f}", f"{1000 * seconds.median:.0f}")
    table.add_section()
    total = report.warm.total_seconds
    table.add_row("total", f"{1000 * total.best:.0f}", f"{1000 * total.median:.0f}")
    return table


def _processes(report: BenchReport) -> Table:
    table = _table("command", "best s", "median s", "cpu s", "peak MB", "runs")
    rows: list[tuple[str, ProcessFigures]] = [("calcmap score", report.cold), ("calcmap --help", report.help)]
    for name, figures in rows:
        table.add_row(
            name,
            f"{figures.wall_seconds.best:.2f}",
            f"{figures.wall_seconds.median:.2f}",
            f"{figures.cpu_seconds.median:.2f}",
            f"{figures.peak_mb:.0f}",
            str(figures.runs),
        )
    return table


def _memory(report: BenchReport) -> Table:
    table = _table("stage", "peak MB")
    for stage, peak_mb in report.warm.memory_mb.items():
        table.add_row(stage.replace("_", " "), f"{peak_mb:.0f}")
    table.add_row("all passes", f"{report.warm.peak_mb:.0f}")
    return table


def _networks(report: BenchReport) -> Table:
    table = _table("networks", "s", "best s", "cpu s", "peak MB", "parameters", "timed on")
    n_slices = report.study.shape_zyx[0]
    for name, figures in report.networks.items():
        timed = f"{figures.extrapolated_from_slices or n_slices} of {n_slices} slices"
        table.add_row(
            name,
            _cell(figures.seconds_per_study, ".2f"),
            _cell(figures.best_seconds_per_study, ".2f"),
            _cell(figures.cpu_seconds_per_study, ".2f"),
            _cell(figures.peak_mb, ".0f"),
            _cell(figures.parameters, ","),
            timed if figures.timings else "not measured",
        )
    return table


def _cell(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)


def _comparison(report: BenchReport) -> list[str]:
    own = report.networks["calcmap"].seconds_per_study
    lines = []
    for name, factor in report.times_faster.items():
        other, less_cpu = report.networks[name].seconds_per_study, report.times_less_cpu[name]
        if factor is None:
            lines.append(f"{name} was not measured: no comparison in this run")
            continue
        lines.append(
            f"calcmap is {factor:.1f} times faster than {name} in this run ({_cell(own, '.2f')} s and "
            f"{_cell(other, '.1f')} s a study), with {_cell(less_cpu, '.1f')} times less processor time"
        )
    return lines


def _table(*columns: str) -> Table:
    from rich.table import Table

    table = Table()
    for number, column in enumerate(columns):
        table.add_column(column, justify="left" if number == 0 else "right")
    return table
