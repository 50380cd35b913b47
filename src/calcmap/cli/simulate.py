"""``calcmap simulate``: simulated patients, or calcium planted into real scans."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from calcmap.cli.console import open_console, open_progress


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command("simulate", no_args_is_help=True)(simulate)


def simulate(
    out: Annotated[Path, typer.Option("-o", "--out", help="Cohort folder; finished patients in it are kept.")],
    patients: Annotated[int, typer.Option(help="Patients; with --background, cases per scan.")] = 1,
    site: Annotated[str, typer.Option(help="Simulated site, e.g. ge_nmct, siemens_symbia, pet_ct.")] = "pet_ct",
    seed: Annotated[int, typer.Option(help="Seed of the cohort.")] = 1,
    dicom: Annotated[bool, typer.Option("--dicom", help="Write DICOM studies instead of labelled cases.")] = False,
    background: Annotated[
        list[Path] | None, typer.Option(help="Plant calcium into this labelled case instead; repeat for more.")
    ] = None,
    workers: Annotated[int | None, typer.Option(help="Processes; one per core if not given.")] = None,
) -> None:
    """Make a cohort whose truth is known. Same seed, same bytes; an interrupted cohort goes on where it stopped.

    Example: calcmap simulate --patients 10 --site pet_ct --seed 1 -o cohort
    """
    from calcmap.cohorts.planted import write_planted_cohort
    from calcmap.cohorts.simulated import SimulationOrder, write_simulated_cohort
    from calcmap.core.errors import ConfigError

    if background and dicom:
        raise ConfigError("--background makes labelled cases; it cannot be joined with --dicom")
    if background:
        total = patients * len(background)
        folders = write_planted_cohort(background, out, per_background=patients, seed=seed, workers=workers)
    else:
        total = patients
        order = SimulationOrder(patients=patients, site=site.replace("-", "_"), seed=seed, as_dicom=dicom)
        folders = write_simulated_cohort(order, out, workers=workers)
    with open_progress(is_shown=True) as progress:
        made = sum(1 for _ in progress.track(folders, total=total, description="simulating"))
    open_console().print(f"{made} patients in {out}")
