"""Accounts: who has one, with which role, and whether it is on. Changes are in the audit trail and end sessions."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass, field

from sqlalchemy import Connection, Row, delete, insert, select, update

from calcmap.core.errors import AccountError
from calcmap.core.result import JsonValue
from calcmap.service.accounts_roles import Role
from calcmap.service.passwords import Passwords
from calcmap.service.store import utc_now
from calcmap.service.store_audit import append_event
from calcmap.service.store_database import Database
from calcmap.service.store_tables import ACCOUNT, LOGIN_SESSION

NAME_PATTERN = re.compile(r"[a-z0-9][a-z0-9._@+-]{0,63}")
"""Names of accounts: what people can type at any keyboard, and no two that look alike (our choice)."""
MAX_DISPLAY_CHARACTERS = 64
"""As long as a name may be in DICOM, where it will stand (PS3.5, table 6.2-1)."""


@dataclass(frozen=True)
class Account:
    """One person's account.

    Parameters
    ----------
    id : int
        Its number in the store.
    name : str
        What is typed at the door, and written into the audit trail.
    display_name : str
        What stands under a signed result.
    role : Role
        What the person may do.
    is_enabled : bool
        Whether the person may come in.
    issuer, subject : str or None
        Of the OpenID provider's user, where the account is one.
    password_hash : str or None
        ``None`` where no password opens it.
    """

    id: int
    name: str
    display_name: str
    role: Role
    is_enabled: bool
    issuer: str | None
    subject: str | None
    password_hash: str | None = field(repr=False)


class Accounts:
    """The accounts of a store; safe to share between threads.

    Parameters
    ----------
    database : Database
        The store's.
    passwords : Passwords
        Makes and checks hashes.
    clock : callable
        Returns the time as ``store.utc_now`` does.
    """

    def __init__(self, database: Database, passwords: Passwords, *, clock: Callable[[], str] = utc_now) -> None:
        self.database = database
        self.passwords = passwords
        self.clock = clock

    def add(self, name: str, *, display_name: str, role: Role, password: str, actor: str) -> Account:
        """Make an account that a password opens, and return it.

        Raises
        ------
        AccountError
            The name is taken or no name, or the password is not fit.
        """
        wanted = checked_name(name)
        shown = checked_display_name(display_name)
        password_hash = self.passwords.hash(password, names=(wanted, *shown.split()))
        with self.database.writing() as connection:
            return insert_account(
                connection,
                {"name": wanted, "display_name": shown, "role": role, "password_hash": password_hash},
                actor=actor,
                time_utc=self.clock(),
            )

    def list(self) -> list[Account]:
        """Return every account in the order of names."""
        with self.database.reading() as connection:
            return [_account(row) for row in connection.execute(select(*_COLUMNS).order_by(ACCOUNT.c.name))]

    def named(self, name: str) -> Account:
        """Return the account of a name; `AccountError` when nobody has it."""
        with self.database.reading() as connection:
            found = find_account(connection, name=normal_name(name))
        if found is None:
            raise AccountError(f"nobody has the name {name!r}")
        return found

    def get(self, account_id: int) -> Account:
        """Return the account of a number; `AccountError` when there is none."""
        with self.database.reading() as connection:
            found = find_account(connection, id=account_id)
        if found is None:
            raise AccountError(f"there is no account {account_id}")
        return found

    def enable(self, account: Account, *, actor: str) -> None:
        """Let somebody in again."""
        self._change(account, {"is_enabled": 1}, action="enable_user", actor=actor)

    def disable(self, account: Account, *, actor: str) -> None:
        """Let somebody in no more, from now on: sessions end."""
        self._change(account, {"is_enabled": 0}, action="disable_user", actor=actor)

    def set_role(self, account: Account, role: Role, *, actor: str) -> None:
        """Give somebody another role; sessions end."""
        self._change(account, {"role": role.value}, action="set_role", actor=actor, detail={"role": role.value})

    def set_password(self, account: Account, password: str, *, actor: str) -> None:
        """Give somebody another password; sessions end.

        Raises
        ------
        AccountError
            The password is not fit, or the account is an OpenID provider's.
        """
        if account.issuer is not None:
            raise AccountError(f"{account.name} comes in by the OpenID provider and has no password here")
        names = (account.name, *account.display_name.split())
        change: dict[str, object] = {"password_hash": self.passwords.hash(password, names=names)}
        self._change(account, change, action="set_password", actor=actor)

    def _change(
        self,
        account: Account,
        values: dict[str, object],
        *,
        action: str,
        actor: str,
        detail: dict[str, JsonValue] | None = None,
    ) -> None:
        with self.database.writing() as connection:
            change_account(
                connection, account.id, values, action=action, actor=actor, time_utc=self.clock(), detail=detail
            )


def normal_name(name: str) -> str:
    """Return a name in the one form in which names are kept and compared."""
    return unicodedata.normalize("NFKC", name).strip().casefold()


def checked_name(name: str) -> str:
    """Return a name as it is kept; `AccountError` unless it can be one."""
    wanted = normal_name(name)
    if not NAME_PATTERN.fullmatch(wanted):
        raise AccountError("a name has 1 to 64 of a to z, 0 to 9 and . _ @ + -, and begins with a letter or digit")
    return wanted


def checked_display_name(text: str) -> str:
    """Return the name of a person as it will be signed with; `AccountError` unless it can be one."""
    shown = text.strip()
    if not shown or len(shown) > MAX_DISPLAY_CHARACTERS or not shown.isprintable() or "\\" in shown:
        raise AccountError(
            f"the name that is signed with has 1 to {MAX_DISPLAY_CHARACTERS} printable characters and no backslash"
        )
    return shown


def find_account(connection: Connection, **wanted: object) -> Account | None:
    """Return the account whose columns have given values, ``None`` when there is none."""
    where = [ACCOUNT.c[name] == value for name, value in wanted.items()]
    row = connection.execute(select(*_COLUMNS).where(*where)).first()
    return _account(row) if row else None


def insert_account(connection: Connection, values: dict[str, object], *, actor: str, time_utc: str) -> Account:
    """Write a new account and its event, and return it; `AccountError` when the name is taken."""
    if find_account(connection, name=values["name"]) is not None:
        raise AccountError(f"the name {values['name']} is taken")
    row = {"is_enabled": 1, "created_utc": time_utc, "changed_utc": time_utc, **values}
    account_id = int(connection.execute(insert(ACCOUNT).values(row).returning(ACCOUNT.c.id)).scalar_one())
    made = find_account(connection, id=account_id)
    if made is None:  # written a line ago, by a writer that no other overlaps
        raise AccountError(f"account {account_id} vanished while it was made")
    audit_account(connection, "add_user", made, actor=actor, time_utc=time_utc, detail={"role": made.role.value})
    return made


def change_account(
    connection: Connection,
    account_id: int,
    values: dict[str, object],
    *,
    action: str,
    actor: str,
    time_utc: str,
    detail: dict[str, JsonValue] | None = None,
) -> None:
    """Change an account, end its sessions and write the event.

    Parameters
    ----------
    connection : Connection
        In a writing transaction.
    account_id : int
        Which.
    values : dict
        New values by column.
    action : str
        The event's word.
    actor : str
        Who did it.
    time_utc : str
        When.
    detail : dict, optional
        What else the event says; no hash and no password.
    """
    account = find_account(connection, id=account_id)
    if account is None:
        raise AccountError(f"there is no account {account_id}")
    connection.execute(update(ACCOUNT).where(ACCOUNT.c.id == account_id).values(**values, changed_utc=time_utc))
    connection.execute(delete(LOGIN_SESSION).where(LOGIN_SESSION.c.account_id == account_id))
    audit_account(connection, action, account, actor=actor, time_utc=time_utc, detail=detail)


def audit_account(
    connection: Connection,
    action: str,
    account: Account,
    *,
    actor: str,
    time_utc: str,
    detail: dict[str, JsonValue] | None = None,
) -> None:
    """Write an event of an account, by its name."""
    said: dict[str, JsonValue] = {"name": account.name, **(detail or {})}
    append_event(connection, action, subject=f"user:{account.id}", actor=actor, time_utc=time_utc, detail=said)


_COLUMNS = tuple(ACCOUNT.c[name] for name in Account.__dataclass_fields__)


def _account(row: Row[*tuple[object, ...]]) -> Account:
    fields = dict(row._mapping)
    return Account(**(fields | {"role": Role(fields["role"]), "is_enabled": bool(fields["is_enabled"])}))
