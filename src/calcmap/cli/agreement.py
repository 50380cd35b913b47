"""``calcmap agreement``: how well the readings of one table agree."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from calcmap.cli.console import open_console, open_progress, print_json

if TYPE_CHECKING:
    from calcmap.evaluation.study import AgreementReport, AgreementSettings, Readings

ID_COLUMNS = ("id", "patient_id", "patient", "case_id", "case", "study")
"""Taken for the patients' identifiers, the first that the table has, where no column is named (our choice)."""


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command("agreement", no_args_is_help=True)(agreement)


def agreement(
    table: Annotated[Path, typer.Argument(help="CSV or Parquet, one row a patient.", show_default=False)],
    reference: Annotated[str, typer.Option(help="Column of the reference reader: scores or categories.")],
    test: Annotated[str, typer.Option(help="Column of the reading to be judged.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder for agreement.json, tables and figures.")],
    visual: Annotated[str | None, typer.Option(help="Column of a third reading, compared with both.")] = None,
    config: Annotated[Path | None, typer.Option(help="TOML: categories, kinds of columns, bootstrap.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print agreement.json instead of tables.")] = False,
) -> None:
    """Judge how well two readings agree: kappas, correlations, limits of agreement, detection, a third reader.

    Example: calcmap agreement cohort/patients.csv --reference expert_1_agatston --test dl_like_agatston -o out
    """
    from calcmap.core.config import load_config
    from calcmap.evaluation.study import AgreementSettings, assess_agreement, n_bootstrap_samples
    from calcmap.io.tables import file_sha256
    from calcmap.report.agreement_folder import write_agreement

    settings = load_config(config, AgreementSettings) if config else AgreementSettings()
    columns = {"reference": reference, "test": test} | ({"visual": visual} if visual else {})
    readings = _read(table, columns, settings)
    with open_progress(is_shown=not as_json) as progress:
        task = progress.add_task("bootstrap", total=n_bootstrap_samples(readings, settings))
        report = assess_agreement(readings, settings=settings, advance=lambda n: progress.advance(task, n))
    whole = write_agreement(report, out, table_sha256=file_sha256(table))
    if as_json:
        print_json(whole)
        return
    _show(report, out)


def _read(path: Path, columns: dict[str, str], settings: AgreementSettings) -> Readings:
    from calcmap.evaluation.study import read_columns
    from calcmap.io.tables import read_table, table_column

    frame = read_table(path)
    cells = {part: table_column(frame, name).tolist() for part, name in columns.items()}
    id_column = settings.id or next((name for name in ID_COLUMNS if name in frame.columns), None)
    ids = None if id_column is None else table_column(frame, id_column).tolist()
    return read_columns(cells, columns={**columns, "id": id_column or ""}, settings=settings, ids=ids)


def _show(report: AgreementReport, out: Path) -> None:
    from rich.table import Table

    from calcmap.report.agreement_tables import agreement_tables

    console = open_console()
    for text in agreement_tables(report)[:2]:
        table = Table(*text.columns, title=text.title, title_justify="left")
        for row in text.rows:
            table.add_row(*row)
        console.print(table)
    for note in report.notes:
        console.print(note)
    console.print(f"{report.readings.n} patients; tables, figures and agreement.json in {out}; research use only")
