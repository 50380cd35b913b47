"""``calcmap review``: the page on which a physician verifies what ``calcmap score`` wrote."""

from __future__ import annotations

import webbrowser
from pathlib import Path
from typing import Annotated

import typer

from calcmap.cli.console import EXIT_OK, check_packages, open_console, os_account, run_until_told
from calcmap.cli.importing import import_folder

SERVICE_PACKAGES = ("fastapi", "sqlalchemy", "uvicorn")
"""What the page needs besides the base install: the ``service`` extra."""
SENDING_PACKAGES = ("pynetdicom",)


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
    send: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TITLE@HOST:PORT", help="DICOM node that verified reports are sent to as well; may be repeated."
        ),
    ] = None,
    aet: Annotated[str, typer.Option(help="Our own AE title, by which the node knows us.")] = "CALCMAP",
    organization: Annotated[
        str | None, typer.Option(help="Where the physician works, as it stands in verified reports.")
    ] = None,
    tls_trust: Annotated[
        Path | None, typer.Option(help="Send encrypted, and trust the certificates of this file.")
    ] = None,
) -> None:
    """Open the review page over results: verify them, correct them, sign them.

    The page is served to this machine alone, until Ctrl-C. What is signed is written beside the results, as DICOM
    reports too where the scan came as DICOM.

    Example: calcmap review out
    """
    check_packages(SERVICE_PACKAGES, extra="service", wanted_by="calcmap review")
    if send:
        check_packages(SENDING_PACKAGES, extra="service", wanted_by="--send")
    from calcmap.core.errors import InputError
    from calcmap.service.courier import Courier
    from calcmap.service.delivery_config import DeliverySettings
    from calcmap.service.importing import RESULT_FILE
    from calcmap.service.signatories import NOT_STATED
    from calcmap.service.store import open_store
    from calcmap.web.local import LocalServer

    delivery = DeliverySettings(
        tuple(send or []), aet, organization or NOT_STATED, tls=tls_trust is not None, trusted=tls_trust
    )
    if not out.is_dir():
        raise InputError(f"no such folder: {out}; expected what calcmap score -o wrote ({RESULT_FILE})")
    folder = out.absolute()
    opened = open_store(store or folder.with_name(f"{folder.name}-review"))
    try:
        outbox = delivery.open_outbox(opened, folders=import_folder(opened, folder, images or []))
        server = LocalServer(opened, account=os_account(), port=port, outbox=outbox)
        with Courier(outbox):
            run_until_told(lambda: server.run(when_up=lambda: _announce(server.address, is_opened=not no_browser)))
    finally:
        opened.close()
    raise typer.Exit(EXIT_OK)


def _announce(address: str, *, is_opened: bool) -> None:
    from calcmap.core.result import DISCLAIMER

    console = open_console()
    console.print(f"Review page: {address}", soft_wrap=True)
    console.print(f"Ctrl-C ends it; what was saved is kept. {DISCLAIMER}")
    if is_opened:
        webbrowser.open(address)
