"""``calcmap serve``: the review page for several people."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from calcmap.cli.console import EXIT_OK, check_packages, open_console, run_until_told
from calcmap.cli.importing import check_results_folder, import_folder

if TYPE_CHECKING:
    from calcmap.service.serve_config import ServeSettings
    from calcmap.web.shared import SharedServer

SERVER_PACKAGES = ("argon2", "fastapi", "httpx", "joserfc", "sqlalchemy", "uvicorn")
"""What the server needs besides the base install: the ``service`` extra."""


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command("serve", no_args_is_help=True)(serve)


def serve(
    config: Annotated[Path, typer.Option(help="TOML file: store, page, people, OpenID provider.")],
    imported: Annotated[
        list[Path] | None,
        typer.Option("--import", metavar="OUT", help="Take what `calcmap score -o` wrote first; may be repeated."),
    ] = None,
    images: Annotated[
        list[Path] | None,
        typer.Option(help="Where the images of imported results are, if they were moved; may be repeated."),
    ] = None,
    is_checked: Annotated[bool, typer.Option("--check", help="Check the TOML file and end.")] = False,
) -> None:
    """Serve the review page to people with accounts, until Ctrl-C.

    Accounts are made with `calcmap users add`.

    Example: calcmap serve --config /etc/calcmap.toml --import out
    """
    check_packages(SERVER_PACKAGES, extra="service", wanted_by="calcmap serve")
    from calcmap.service.courier import Courier
    from calcmap.service.serve_config import load_serve_settings, open_settings_store
    from calcmap.web.shared import SharedServer

    settings = load_serve_settings(config)
    if is_checked:
        open_console().print(f"{config}: nothing to complain about.")
        raise typer.Exit(EXIT_OK)
    for out in imported or []:
        check_results_folder(out)
    store = open_settings_store(settings)
    try:
        for out in imported or []:
            import_folder(store, out.absolute(), images or [])
        outbox = settings.delivery.open_outbox(store) if settings.delivery is not None else None
        server = SharedServer(store, settings, outbox=outbox)
        with Courier(outbox) if outbox is not None else nullcontext():
            run_until_told(lambda: server.run(when_up=lambda: _announce(server, settings, config)))
    finally:
        store.close()
    raise typer.Exit(EXIT_OK)


def _announce(server: SharedServer, settings: ServeSettings, config: Path) -> None:
    from calcmap.core.result import DISCLAIMER

    console = open_console()
    console.print(
        f"Review page: {settings.web.base_url}/ (listening at {settings.web.host}, port {server.port})", soft_wrap=True
    )
    n_accounts = sum(account.is_enabled for account in server.door.accounts.list())
    console.print(f"{n_accounts} accounts are on. Ctrl-C ends it; what was saved is kept. {DISCLAIMER}", soft_wrap=True)
    if not n_accounts and settings.oidc is None:
        console.print(f"Make one: calcmap users add NAME --role reader --config {config}", soft_wrap=True)
