"""``calcmap prognosis``: what the readings of one table say about outcome."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from calcmap.cli.console import open_console, open_progress, print_json

if TYPE_CHECKING:
    from calcmap.prognosis.study import PrognosisStudy

SHOWN = ("patients", "hazard_ratios_", "reclassification")
"""Tables of the main analysis that are printed: those whose names begin so, the first of each."""


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command("prognosis", no_args_is_help=True)(prognosis)


def prognosis(
    table: Annotated[Path, typer.Argument(help="CSV or Parquet, one row a patient.", show_default=False)],
    config: Annotated[Path, typer.Option(help="TOML: columns, endpoints, categories, covariates, analyses.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder for prognosis.json, tables, figures, report.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print prognosis.json instead of tables.")] = False,
) -> None:
    """Judge what readings say about outcome: curves, hazard ratios, discrimination, calibration, reclassification.

    Example: calcmap prognosis cohort/patients.csv --config configs/prognosis.toml -o out
    """
    from calcmap.core.config import load_config
    from calcmap.io.tables import file_sha256, read_table, table_column
    from calcmap.prognosis.assessment import assess_prognosis, n_bootstrap_draws
    from calcmap.prognosis.config import PrognosisSettings
    from calcmap.report.prognosis_folder import write_prognosis

    settings = load_config(config, PrognosisSettings)
    frame = read_table(table)
    cells = {name: table_column(frame, name).tolist() for name in settings.columns}
    with open_progress(is_shown=not as_json) as progress:
        task = progress.add_task("bootstrap", total=n_bootstrap_draws(settings))
        study = assess_prognosis(cells, settings, advance=lambda n: progress.advance(task, n))
    whole = write_prognosis(study, out, table_sha256=file_sha256(table))
    if as_json:
        print_json(whole)
        return
    _show(study, out)


def _show(study: PrognosisStudy, out: Path) -> None:
    from rich.table import Table

    from calcmap.report.prognosis_tables import prognosis_tables

    console = open_console()
    tables = prognosis_tables(study)
    for begin in SHOWN:
        text = next((each for each in tables if each.name.startswith(begin)), None)
        if text is None:
            continue
        table = Table(*text.columns, title=text.title, title_justify="left")
        for row in text.rows:
            table.add_row(*row)
        console.print(table)
    for warning in study.main.warnings:
        console.print(warning)
    for result in study.sensitivities:
        if result.reason:
            console.print(f"{result.label}: not analysed, {result.reason}")
    console.print(
        f"{study.main.patients.n} patients; report.html, tables, figures and prognosis.json in {out}; research use only"
    )
