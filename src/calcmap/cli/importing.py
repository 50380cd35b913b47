"""``calcmap import``: what ``calcmap score`` wrote, taken into the store of a server."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from calcmap.cli.console import EXIT_OK, EXIT_REFUSED, check_packages, open_console, os_account, print_error

if TYPE_CHECKING:
    from calcmap.service.store import Store

PACKAGES = ("argon2", "sqlalchemy")


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command("import", no_args_is_help=True)(import_results)


def import_results(
    outs: Annotated[
        list[Path], typer.Argument(metavar="OUT...", help="What `calcmap score -o` wrote, or one study's folder of it.")
    ],
    config: Annotated[Path, typer.Option(help="The server's TOML file; its [store] is written to.")],
    images: Annotated[
        list[Path] | None,
        typer.Option(help="Where the images are, if they were moved since they were scored; may be repeated."),
    ] = None,
) -> None:
    """Take results into the store of `calcmap serve`, running or not. A result that is there is not taken again.

    Example: calcmap import out --config /etc/calcmap.toml
    """
    check_packages(PACKAGES, extra="service", wanted_by="calcmap import")
    from calcmap.service.serve_config import load_serve_settings, open_settings_store

    for out in outs:
        check_results_folder(out)
    store = open_settings_store(load_serve_settings(config))
    try:
        n_taken = sum(len(import_folder(store, out.absolute(), images or [])) for out in outs)
    finally:
        store.close()
    raise typer.Exit(EXIT_OK if n_taken else EXIT_REFUSED)


def check_results_folder(out: Path) -> None:
    """Raise `InputError` unless a folder of results is there."""
    from calcmap.core.errors import InputError
    from calcmap.service.importing import RESULT_FILE

    if not out.is_dir():
        raise InputError(f"no such folder: {out}; expected what calcmap score -o wrote ({RESULT_FILE})")


def import_folder(store: Store, out: Path, images: list[Path]) -> dict[int, Path]:
    """Take the results into the store, tell what they lack, and return the folder of each."""
    from calcmap.service.importing import import_results, recorded_sources

    done = import_results(store, out, sources=[*recorded_sources(out), *images], actor=os_account())
    for each in done:
        if each.problem:
            print_error(f"{each.name}: {each.problem}")
    open_console().print(f"{len(done)} studies, {sum(each.is_new for each in done)} of them new to the store.")
    return {each.result_id: each.folder for each in done if each.result_id is not None}
