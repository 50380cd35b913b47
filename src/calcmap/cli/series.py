"""``calcmap series``: which series would be scored, and why."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from calcmap.cli.console import EXIT_OK, EXIT_REFUSED, open_console, print_error, print_json

if TYPE_CHECKING:
    from calcmap.core.scan import SeriesChoice
    from calcmap.io.study import Study


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
    from calcmap.io.finding import find_studies

    choices = [(study, _choose(study, series_uid)) for study in find_studies(paths)]
    if as_json:
        print_json([_to_json(study, choice) for study, choice in choices])
    else:
        for study, choice in choices:
            _show(study, choice)
    raise typer.Exit(EXIT_OK if all(choice.chosen for _, choice in choices) else EXIT_REFUSED)


def _choose(study: Study, series_uid: str | None) -> SeriesChoice:
    """Return the choice in one study; a study that lacks the series asked for does not hide the others."""
    from calcmap.core.errors import SeriesNotFoundError
    from calcmap.core.scan import SeriesChoice
    from calcmap.io.choosing import choose_series

    try:
        return choose_series(study, series_uid=series_uid)
    except SeriesNotFoundError as error:
        return SeriesChoice(None, (), refusal=error)


def _to_json(study: Study, choice: SeriesChoice) -> dict[str, object]:
    refusal = choice.refusal
    return {
        "study": study.name,
        "chosen": choice.chosen.series_uid if choice.chosen else None,
        "refusal": {"code": refusal.code, "reason": str(refusal)} if refusal else None,
        "candidates": [asdict(candidate) for candidate in choice.candidates],
        "problems": [{"file": p.name, "code": p.error.code, "reason": str(p.error)} for p in study.problems],
        "ignored": list(study.ignored),
    }


def _show(study: Study, choice: SeriesChoice) -> None:
    from rich.table import Table

    table = Table("rank", "modality", "description", "images", "verdict", "reason", title=study.name)
    for candidate in choice.candidates:
        rank = "" if candidate.rank is None else str(candidate.rank)
        images = str(candidate.n_images)
        table.add_row(rank, candidate.modality, candidate.description, images, candidate.verdict, candidate.reason)
    for problem in study.problems:
        table.add_row("", "", problem.name, "", "problem", str(problem.error))
    open_console().print(table)
    if choice.refusal:
        print_error(f"{study.name}: no series to score: {choice.refusal}")
