"""``calcmap users``: who may come in to the page of ``calcmap serve``."""

from __future__ import annotations

import getpass
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from calcmap.cli.console import EXIT_OK, check_packages, open_console, os_account, print_json
from calcmap.service.accounts_roles import Role

if TYPE_CHECKING:
    from calcmap.service.accounts import Accounts

PACKAGES = ("argon2", "sqlalchemy")
STDIN = Path("-")

Config = Annotated[Path, typer.Option(help="The server's TOML file; the accounts are in its [store].")]
Name = Annotated[str, typer.Argument(help="Name of the account, as it is typed to log in.")]
PasswordFile = Annotated[
    Path | None,
    typer.Option(help="File whose first line is the password, - for standard input; asked for if absent."),
]
RoleName = Annotated[Role, typer.Option(help="viewer sees; reader also edits and signs; admin manages accounts.")]


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    users = typer.Typer(no_args_is_help=True, help="Accounts of the page that `calcmap serve` shows.")
    for name, command in (
        ("add", add),
        ("list", list_accounts),
        ("disable", disable),
        ("enable", enable),
        ("role", role),
        ("password", password),
    ):
        users.command(name, no_args_is_help=True)(command)
    app.add_typer(users, name="users")


def add(
    name: Name,
    config: Config,
    role: RoleName,
    display_name: Annotated[str | None, typer.Option(help="The name that is signed with; asked for if absent.")] = None,
    password_file: PasswordFile = None,
) -> None:
    """Make an account. The password is asked for, twice and unseen, or read from a file.

    Example: calcmap users add mara --role reader --display-name "Dr. Mara Lind" --config /etc/calcmap.toml
    """
    from calcmap.service.accounts import checked_display_name, checked_name

    wanted = checked_name(name)
    with _accounts(config) as accounts:
        shown = checked_display_name(display_name if display_name is not None else typer.prompt("Signs as"))
        made = accounts.add(
            wanted, display_name=shown, role=role, password=_read_password(password_file), actor=_actor()
        )
    _tell(f"{made.name} may come in as {made.role} and signs as {made.display_name}.")


def list_accounts(
    config: Config, is_json: Annotated[bool, typer.Option("--json", help="Write JSON instead of a table.")] = False
) -> None:
    """Show every account.

    Example: calcmap users list --config /etc/calcmap.toml
    """
    from rich.table import Table

    with _accounts(config) as accounts:
        rows = accounts.list()
    if is_json:
        named = ("name", "display_name", "role", "is_enabled", "issuer")
        print_json([{field: getattr(account, field) for field in named} for account in rows])
        raise typer.Exit(EXIT_OK)
    table = Table("name", "signs as", "role", "", "comes in by", box=None)
    for account in rows:
        way = f"OpenID, {account.issuer}" if account.issuer else "password"
        table.add_row(account.name, account.display_name, account.role, "on" if account.is_enabled else "off", way)
    open_console().print(table if rows else "There are no accounts.")


def disable(name: Name, config: Config) -> None:
    """Let somebody in no more; sessions end at once. What they did stays.

    Example: calcmap users disable mara --config /etc/calcmap.toml
    """
    with _accounts(config) as accounts:
        accounts.disable(accounts.named(name), actor=_actor())
    _tell(f"{name} is off.")


def enable(name: Name, config: Config) -> None:
    """Let somebody in again.

    Example: calcmap users enable mara --config /etc/calcmap.toml
    """
    with _accounts(config) as accounts:
        accounts.enable(accounts.named(name), actor=_actor())
    _tell(f"{name} is on.")


def role(name: Name, role: Annotated[Role, typer.Argument(help="viewer, reader or admin.")], config: Config) -> None:
    """Give somebody another role; sessions end.

    Example: calcmap users role mara admin --config /etc/calcmap.toml
    """
    with _accounts(config) as accounts:
        accounts.set_role(accounts.named(name), role, actor=_actor())
    _tell(f"{name} is {role} now.")


def password(name: Name, config: Config, password_file: PasswordFile = None) -> None:
    """Give somebody another password; sessions end.

    Example: calcmap users password mara --config /etc/calcmap.toml
    """
    with _accounts(config) as accounts:
        account = accounts.named(name)
        accounts.set_password(account, _read_password(password_file), actor=_actor())
    _tell(f"{name} has another password.")


@contextmanager
def _accounts(config: Path) -> Iterator[Accounts]:
    check_packages(PACKAGES, extra="service", wanted_by="calcmap users")
    from calcmap.service.accounts import Accounts
    from calcmap.service.passwords import Passwords
    from calcmap.service.serve_config import load_serve_settings, open_settings_store

    settings = load_serve_settings(config)
    store = open_settings_store(settings)
    try:
        yield Accounts(store.database, Passwords(min_characters=settings.users.min_password_characters))
    finally:
        store.close()


def _read_password(path: Path | None) -> str:
    """Return a new password: from a file, from standard input, or typed twice and unseen."""
    from calcmap.core.errors import AccountError
    from calcmap.service.serve_config import read_secret

    if path == STDIN:
        return sys.stdin.readline().rstrip("\r\n")
    if path is not None:
        return read_secret(path)
    if not sys.stdin.isatty():
        raise AccountError("there is no terminal to ask for a password: name --password-file, - for standard input")
    typed = getpass.getpass("Password: ")
    if getpass.getpass("Once more: ") != typed:
        raise AccountError("the two passwords differ")
    return typed


def _actor() -> str:
    """Return who acts, in words that no account's name can be."""
    return f"{os_account()} on the server"


def _tell(text: str) -> None:
    open_console().print(text, soft_wrap=True)
