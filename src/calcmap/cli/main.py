"""The ``calcmap`` program.

Commands are declared in modules of their own. These import nothing heavy at the top, so that ``calcmap --help`` answers
at once; the rooms are imported when a command runs.
"""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from calcmap import __version__
from calcmap.cli import (
    agatston,
    agreement,
    bench,
    cases,
    conformance,
    evaluate,
    importing,
    prognosis,
    reproduce,
    review,
    score,
    series,
    serve,
    simulate,
    train,
    users,
)
from calcmap.cli.console import EXIT_INTERNAL, EXIT_USAGE, configure_logging, print_error

app = typer.Typer(
    name="calcmap",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    help=(
        "Coronary calcium scores from the attenuation CT of nuclear heart scans. "
        "Not a medical device; research use only.\n\n"
        "Example: calcmap score /data/study -o out"
    ),
)

for module in (
    score,
    series,
    agatston,
    conformance,
    simulate,
    cases,
    train,
    evaluate,
    agreement,
    prognosis,
    reproduce,
    review,
    serve,
    users,
    importing,
    bench,
):
    module.register(app)


def _print_version(is_wanted: bool) -> None:
    if is_wanted:
        typer.echo(f"calcmap {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", help="Log each stage to the error stream, with tracebacks.")
    ] = False,
) -> None:
    configure_logging(is_verbose=verbose)


def main() -> None:
    """Run the program; every error of ours becomes one line and an exit code."""
    from calcmap.core.errors import CalcMapError

    try:
        app()
    except CalcMapError as error:
        print_error(str(error))
        sys.exit(EXIT_USAGE)
    except Exception as error:
        import logging

        logging.getLogger(__name__).debug("unexpected error", exc_info=True)
        print_error(f"unexpected {type(error).__name__}: {error} (run `calcmap --verbose ...` for the traceback)")
        sys.exit(EXIT_INTERNAL)


if __name__ == "__main__":
    main()
