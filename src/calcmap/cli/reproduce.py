"""``calcmap reproduce``: the paper's evidence on a simulated cohort, from images to report."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from calcmap.cli.console import open_console, open_progress, print_json

if TYPE_CHECKING:
    from calcmap.cohorts.order import SimulationOrder
    from calcmap.evaluation.study import AgreementReport
    from calcmap.prognosis.study import PrognosisStudy
    from calcmap.reproduction.analyses import RoomSettings
    from calcmap.reproduction.folder import Reproduction

PATIENTS_FOLDER, COHORT_FOLDER = "patients", "cohort"


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command("reproduce", no_args_is_help=True)(reproduce)


def reproduce(
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder; what is finished in it is kept.")],
    patients: Annotated[int, typer.Option(min=20, help="Simulated patients; the paper has 2271.")] = 2271,
    seed: Annotated[int, typer.Option(help="Of the cohort.")] = 1,
    draws: Annotated[int, typer.Option(min=20, help="Bootstrap draws of the agreement and of each prognosis.")] = 1000,
    workers: Annotated[int | None, typer.Option(help="Processes; one per core if not given.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print comparison.json instead of tables.")] = False,
) -> None:
    """Do the paper again on simulated patients: images, scores, agreement, prognosis, and its numbers beside ours.

    About ten seconds of one core a patient: 200 in a quarter of an hour on two cores, 2271 overnight. An interrupted
    run goes on where it stopped.

    Example: calcmap reproduce --patients 200 -o out/reproduction
    """
    from calcmap.cohorts.order import SimulationOrder
    from calcmap.core.machine import usable_cores
    from calcmap.reproduction.analyses import room_settings
    from calcmap.reproduction.folder import write_reproduction

    order = SimulationOrder(patients=patients, site="external", seed=seed)
    processes = usable_cores() if workers is None else workers
    is_shown = not as_json
    _make(order, out, workers=processes, is_shown=is_shown)
    found = _analyse(order, out, settings=room_settings(draws=draws, workers=processes), is_shown=is_shown)
    content = write_reproduction(found, out)
    if as_json:
        print_json(content)
        return
    _show(found, out)


def _make(order: SimulationOrder, out: Path, *, workers: int, is_shown: bool) -> None:
    from calcmap.cohorts.tables import write_cohort_table
    from calcmap.reproduction.scoring import score_patients

    with open_progress(is_shown=is_shown) as progress:
        scored = score_patients(order, out / PATIENTS_FOLDER, workers=workers)
        for _ in progress.track(scored, total=order.patients, description="simulating and scoring"):
            pass
        task = progress.add_task("table", total=order.patients)
        for done in write_cohort_table(order, out / COHORT_FOLDER, workers=workers):
            progress.update(task, completed=done)


def _analyse(order: SimulationOrder, out: Path, *, settings: RoomSettings, is_shown: bool) -> Reproduction:
    from calcmap.cohorts.tables import TABLE_FILE
    from calcmap.io.tables import file_sha256
    from calcmap.pipeline.evaluation import write_evaluation
    from calcmap.report.agreement_folder import write_agreement
    from calcmap.report.prognosis_folder import write_prognosis
    from calcmap.reproduction.comparison import compare, network_columns
    from calcmap.reproduction.folder import Reproduction, count_refusals
    from calcmap.reproduction.scoring import networks_of, read_scored_patients
    from calcmap.reproduction.table import read_scored_table, write_scored_table

    scored = read_scored_patients(order, out / PATIENTS_FOLDER)
    networks = networks_of(scored)
    table = write_scored_table(out / COHORT_FOLDER / TABLE_FILE, scored, out)
    against_labels = write_evaluation(
        [each.against_labels for each in scored], out / "evaluation", weights_sha256=networks
    )
    agreement, prognosis = _assess(table, settings, is_shown=is_shown)
    write_agreement(agreement, out / "agreement", table_sha256=file_sha256(table))
    write_prognosis(prognosis, out / "prognosis", table_sha256=file_sha256(table))
    return Reproduction(
        lines=compare(network_columns(read_scored_table(table)), agreement, prognosis),
        n_patients=order.patients,
        refusals=count_refusals(scored),
        against_labels=against_labels,
        networks=networks,
        seed=order.seed,
    )


def _assess(table: Path, settings: RoomSettings, *, is_shown: bool) -> tuple[AgreementReport, PrognosisStudy]:
    from calcmap.evaluation.study import assess_agreement, n_bootstrap_samples
    from calcmap.prognosis.assessment import n_bootstrap_draws
    from calcmap.reproduction.analyses import assess_table, read_readings

    readings = read_readings(table, settings.agreement)
    with open_progress(is_shown=is_shown) as progress:
        task = progress.add_task("agreement", total=n_bootstrap_samples(readings, settings.agreement))
        agreement = assess_agreement(readings, settings=settings.agreement, advance=lambda n: progress.advance(task, n))
        other = progress.add_task("prognosis", total=n_bootstrap_draws(settings.prognosis))
        prognosis = assess_table(table, settings.prognosis, advance=lambda n: progress.advance(other, n))
    return agreement, prognosis


def _show(found: Reproduction, out: Path) -> None:
    from rich.table import Table

    from calcmap.reproduction.folder import comparison_tables

    console = open_console()
    for text in comparison_tables(found).values():
        table = Table(
            *text.columns, title=text.title, title_justify="left", caption=text.note or None, caption_justify="left"
        )
        for row in text.rows:
            table.add_row(*row)
        console.print(table)
    console.print(f"{found.n_inside} of the paper's {found.n_compared} numbers lie in the simulated 95 % interval")
    console.print(f"{found.n_patients} simulated patients; report in {out / 'report.html'}; research use only")
