"""``calcmap series``: which series would be scored, and why."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from calcmap.cli.console import EXIT_OK, EXIT_REFUSED, open_console, print_json


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command("series", no_args_is_help=True)(series)


def series(
    paths: Annotated[list[Path], typer.Argument(help="Folders or files, as for calcmap score.")],
    series_uid: Annotated[str | None, typer.Option("--series", help="Choose this SeriesInstanceUID.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """Show every series of every study, whether it would be scored, and why.

    Nothing is scored; no pixel is read. Exit code 3 when a study has no series to score.

    Example: calcmap series /data/spect_ct/patient1
    """
    from rich.table import Table

    from calcmap.io.choosing import choose_series
    from calcmap.io.finding import find_studies

    choices = [(study, choose_series(study, series_uid=series_uid)) for study in find_studies(paths)]
    if as_json:
        print_json(
            [
                {
                    "study": study.name,
                    "chosen": choice.chosen.series_uid if choice.chosen else None,
                    "candidates": [asdict(candidate) for candidate in choice.candidates],
                    "problems": [
                        {"file": p.name, "code": p.error.code, "reason": str(p.error)} for p in study.problems
                    ],
                    "ignored": list(study.ignored),
                }
                for study, choice in choices
            ]
        )
    else:
        console = open_console()
        for study, choice in choices:
            table = Table("rank", "modality", "description", "images", "verdict", "reason", title=study.name)
            for candidate in choice.candidates:
                rank = "" if candidate.rank is None else str(candidate.rank)
                images = str(candidate.n_images)
                table.add_row(
                    rank, candidate.modality, candidate.description, images, candidate.verdict, candidate.reason
                )
            for problem in study.problems:
                table.add_row("", "", problem.name, "", "problem", str(problem.error))
            console.print(table)
    raise typer.Exit(EXIT_OK if all(choice.chosen for _, choice in choices) else EXIT_REFUSED)
