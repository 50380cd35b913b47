"""What all commands share of the terminal: streams, exit codes, logging."""

from __future__ import annotations

import getpass
import logging
import signal
import sys
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING

import typer

from calcmap.io.text_files import json_text

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

EXIT_OK, EXIT_INTERNAL, EXIT_USAGE, EXIT_REFUSED = 0, 1, 2, 3
"""Exit codes: all well; a defect of CalcMap; wrong usage or input; some study was refused."""

LOCAL_ACCOUNT = "local"
"""Who acts where the machine knows no name of its user."""


def configure_logging(*, is_verbose: bool) -> None:
    """Send CalcMap's log to the error stream: warnings, or everything when asked for."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(name)s %(levelname)s %(message)s"))
    logger = logging.getLogger("calcmap")
    logger.handlers[:] = [handler]
    logger.setLevel(logging.DEBUG if is_verbose else logging.WARNING)


def print_error(message: str) -> None:
    """Write one line to the error stream."""
    sys.stderr.write(f"calcmap: {' '.join(message.split())}\n")


def print_json(value: object) -> None:
    """Write a value as JSON to the output stream."""
    sys.stdout.write(json_text(value))


def check_packages(names: Sequence[str], *, extra: str, wanted_by: str) -> None:
    """Stop with the command that installs them when packages of an extra are missing.

    Raises
    ------
    typer.BadParameter
        Naming what is missing, beside the option or command that wants it.
    """
    missing = [name for name in names if find_spec(name) is None]
    if missing:
        raise typer.BadParameter(
            f"{' and '.join(missing)} is not installed: pip install 'calcmap[{extra}]'", param_hint=wanted_by
        )


def os_account() -> str:
    """Return the name of the account of this machine, for the audit trail."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return LOCAL_ACCOUNT


def run_until_told(serve: Callable[[], None]) -> None:
    """Serve until Ctrl-C or the system's request to end, both of which are no errors."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        serve()
    except KeyboardInterrupt:
        open_console().print("The review page is closed.")
    finally:
        signal.signal(signal.SIGTERM, before)


def open_console() -> Console:
    """Return a console on the output stream.

    Text is shown as it is: a series description with square brackets in it is not markup.
    """
    from rich.console import Console

    return Console(highlight=False, markup=False, emoji=False)


def open_progress(*, is_shown: bool) -> Progress:
    """Return a progress bar on the error stream, so that the output stream holds results alone.

    Nothing is drawn where no one watches: into a file or a pipe.
    """
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    console = Console(stderr=True, markup=False, emoji=False)
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("gone,"),
        TimeRemainingColumn(),
        TextColumn("left"),
        console=console,
        transient=True,
        disable=not (is_shown and console.is_terminal),
    )
