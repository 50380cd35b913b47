"""``calcmap review``: the page on which a physician verifies what ``calcmap score`` wrote."""

from __future__ import annotations

import getpass
import signal
import webbrowser
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from calcmap.cli.console import EXIT_OK, check_packages, open_console, print_error

if TYPE_CHECKING:
    from calcmap.service.store import Store

SERVICE_PACKAGES = ("fastapi", "sqlalchemy", "uvicorn")
"""What the page needs besides the base install: the ``service`` extra."""
LOCAL_ACCOUNT = "local"


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command("review", no_args_is_help=True)(review)


def review(
    out: Annotated[Path, typer.Argument(help="What `calcmap score -o` wrote, or one study's folder of it.")],
    images: Annotated[
        list[Path] | None,
        typer.Option(help="Where the images are, if they were moved since they were scored; may be repeated."),
    ] = None,
    store: Annotated[
        Path | None, typer.Option(help="Folder that keeps reviews and images; OUT-review beside OUT if absent.")
    ] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port of the page; 0 takes any that is free.")] = 0,
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Print the address and open nothing.")] = False,
) -> None:
    """Open the review page over results: verify them, correct them, sign them.

    The page is served to this machine alone, until Ctrl-C.

    Example: calcmap review out
    """
    check_packages(SERVICE_PACKAGES, extra="service", wanted_by="calcmap review")
    from calcmap.core.errors import InputError
    from calcmap.service.importing import RESULT_FILE
    from calcmap.service.store import open_store
    from calcmap.web.local import LocalServer

    if not out.is_dir():
        raise InputError(f"no such folder: {out}; expected what calcmap score -o wrote ({RESULT_FILE})")
    folder = out.absolute()
    opened = open_store(store or folder.with_name(f"{folder.name}-review"))
    try:
        _import(opened, folder, images or [])
        server = LocalServer(opened, account=_account(), port=port)
        _run_until_told(lambda: server.run(when_up=lambda: _announce(server.address, is_opened=not no_browser)))
    finally:
        opened.close()
    raise typer.Exit(EXIT_OK)


def _import(store: Store, out: Path, images: list[Path]) -> None:
    from calcmap.service.importing import import_results, recorded_sources

    done = import_results(store, out, sources=[*recorded_sources(out), *images], actor=_account())
    for each in done:
        if each.problem:
            print_error(f"{each.name}: {each.problem}")
    open_console().print(f"{len(done)} studies, {sum(each.is_new for each in done)} of them new to the store.")


def _announce(address: str, *, is_opened: bool) -> None:
    from calcmap.core.result import DISCLAIMER

    console = open_console()
    console.print(f"Review page: {address}", soft_wrap=True)
    console.print(f"Ctrl-C ends it; what was saved is kept. {DISCLAIMER}")
    if is_opened:
        webbrowser.open(address)


def _run_until_told(serve: Callable[[], None]) -> None:
    """Serve until Ctrl-C or the system's request to end, both of which are no errors."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        serve()
    except KeyboardInterrupt:
        open_console().print("The review page is closed.")
    finally:
        signal.signal(signal.SIGTERM, before)


def _account() -> str:
    """Return the name of the account of this machine, for the audit trail."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return LOCAL_ACCOUNT
