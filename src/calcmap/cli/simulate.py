"""``calcmap simulate``: simulated cohorts, or calcium planted into real scans."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from calcmap.cli.console import open_console, open_progress

if TYPE_CHECKING:
    from calcmap.cohorts.order import SimulationOrder
    from calcmap.cohorts.tables import Missing


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command("simulate", no_args_is_help=True)(simulate)


def simulate(
    out: Annotated[Path, typer.Option("-o", "--out", help="Cohort folder; what is finished in it is kept.")],
    patients: Annotated[int, typer.Option(help="Patients; with --background, plantings per scan.")] = 1,
    site: Annotated[str, typer.Option(help="Simulated site, e.g. ge_nmct, pet_ct, external.")] = "pet_ct",
    seed: Annotated[int, typer.Option(help="Seed of the cohort.")] = 1,
    dicom: Annotated[bool, typer.Option("--dicom", help="Write DICOM studies instead of labelled cases.")] = False,
    images: Annotated[
        bool, typer.Option("--images/--no-images", help="--no-images: only the table, in seconds a hundred.")
    ] = True,
    number: Annotated[
        list[int] | None, typer.Option(help="Make images of this patient of the cohort only, from 0; repeat for more.")
    ] = None,
    missing: Annotated[float, typer.Option(help="Share of clinical values left out of the table.")] = 0.0,
    background: Annotated[
        list[Path] | None,
        typer.Option(
            help="Plant calcium into this real scan instead: a labelled case (may repeat), or a CT with --labels."
        ),
    ] = None,
    labels: Annotated[Path | None, typer.Option(help="Label map of the one --background CT; 1 is the heart.")] = None,
    paths: Annotated[Path | None, typer.Option(help="Vessel centre lines for --background (JSON, CSV, FCSV).")] = None,
    workers: Annotated[int | None, typer.Option(help="Processes; one per core if not given.")] = None,
) -> None:
    """Make a cohort whose truth is known. Same seed, same bytes; an interrupted cohort goes on where it stopped.

    Example: calcmap simulate --patients 10 --site pet_ct --seed 1 -o cohort
    """
    from calcmap.cohorts.order import SimulationOrder
    from calcmap.cohorts.tables import Missing
    from calcmap.core.errors import ConfigError

    if background:
        if dicom or number or not images:
            raise ConfigError("--background makes labelled cases: --dicom, --number and --no-images do not go with it")
        _plant(background, out, labels=labels, paths=paths, patients=patients, seed=seed, workers=workers)
        return
    if labels or paths:
        raise ConfigError("--labels and --paths belong to a --background")
    order = SimulationOrder(patients=patients, site=site.replace("-", "_"), seed=seed, as_dicom=dicom)
    left_out = Missing(missing)
    numbers: list[int] | None = None if images else []
    _simulate(order, out, numbers=number or numbers, missing=left_out, workers=workers)


def _simulate(
    order: SimulationOrder, out: Path, *, numbers: list[int] | None, missing: Missing, workers: int | None
) -> None:
    from calcmap.cohorts.simulated import write_simulated_cohort
    from calcmap.cohorts.tables import TABLE_FILE, write_cohort_table

    folders = write_simulated_cohort(order, out, numbers=numbers, workers=workers)
    made = _track(folders, total=order.patients if numbers is None else len(numbers), what="simulating")
    rows = write_cohort_table(order, out, missing=missing, workers=workers)
    with open_progress(is_shown=True) as progress:
        task = progress.add_task("table", total=order.patients)
        for done in rows:
            progress.update(task, completed=done)
    open_console().print(f"{made} patients with images, {order.patients} rows in {out / TABLE_FILE}")


def _plant(
    backgrounds: list[Path], out: Path, *, labels: Path | None, paths: Path | None, patients: int, seed: int,
    workers: int | None,
) -> None:  # fmt: skip
    from calcmap.cohorts.planted import PlantingOrder, plant_into_scan, write_planted_cohort
    from calcmap.core.errors import ConfigError

    if labels is None:
        if paths is not None:
            raise ConfigError("--paths needs --labels: a case's vessels are found by CalcMap")
        folders = write_planted_cohort(backgrounds, out, per_background=patients, seed=seed, workers=workers)
    else:
        if len(backgrounds) != 1:
            raise ConfigError(f"--labels belongs to one --background, {len(backgrounds)} are given")
        order = PlantingOrder(cases=patients, seed=seed, paths=paths)
        folders = plant_into_scan(backgrounds[0], labels, out, order=order, workers=workers)
    made = _track(folders, total=patients * len(backgrounds), what="planting")
    open_console().print(f"{made} patients in {out}")


def _track(folders: Iterable[Path], *, total: int, what: str) -> int:
    with open_progress(is_shown=True) as progress:
        return sum(1 for _ in progress.track(folders, total=total, description=what))
