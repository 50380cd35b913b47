"""Coming in and going out: by name and password, or as an OpenID provider's user. Each is in the audit trail."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, update

from calcmap.core.errors import AccountError, NotAllowedError, NotSignedInError
from calcmap.core.result import JsonValue
from calcmap.service.accounts import (
    Account,
    Accounts,
    audit_account,
    change_account,
    checked_display_name,
    checked_name,
    find_account,
    insert_account,
    normal_name,
)
from calcmap.service.accounts_roles import Role
from calcmap.service.login_attempts import Attempt, AttemptLimits, count_attempt, network_of, settle_attempt
from calcmap.service.sessions import Sessions, begin_session, drop_session
from calcmap.service.store_audit import append_event
from calcmap.service.store_tables import ACCOUNT

NOBODY = "nobody"
"""Who acted, where nobody was let in under a name that is no account's."""
WRONG = "name and password do not belong together, or the account is off"
"""One answer for a wrong name, a wrong password and an account that is off."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ProvidedUser:
    """Somebody whom an OpenID provider vouches for.

    Parameters
    ----------
    issuer, subject : str
        Who, for good: names may change.
    name : str
        For the account, where it is made now.
    display_name : str
        What stands under a signed result.
    role : Role or None
        By the configured claim; ``None`` where nothing in it is one.
    """

    issuer: str
    subject: str
    name: str
    display_name: str
    role: Role | None


class Logins:
    """The door of a store; safe to share between threads.

    Parameters
    ----------
    accounts : Accounts
        Who has one.
    sessions : Sessions
        What somebody gets who comes in.
    limits : AttemptLimits
        How long one waits after failures.
    """

    def __init__(self, accounts: Accounts, sessions: Sessions, *, limits: AttemptLimits | None = None) -> None:
        self.accounts = accounts
        self.sessions = sessions
        self._limits = limits or AttemptLimits()

    def with_password(self, name: str, password: str, *, address: str, old_token: str | None = None) -> str:
        """Return the token of a new session.

        Parameters
        ----------
        name, password : str
            As typed.
        address : str
            Where the request comes from.
        old_token : str, optional
            Of a session that the browser had: it ends.

        Returns
        -------
        str
            To be kept by the browser alone.

        Raises
        ------
        NotSignedInError
            Name or password are wrong, or the account is off.
        TooManyRequestsError
            There were too many failures.
        """
        attempt = Attempt(normal_name(name), address)
        account, counted = self._admit(attempt)
        stored = account.password_hash if account else None
        if not self.accounts.passwords.is_right(password, stored) or account is None or not account.is_enabled:
            self._refuse(account, attempt)
            raise NotSignedInError(WRONG)
        fresh = self._fresh_hash(password, account)
        with self.accounts.database.writing() as connection:
            if find_account(connection, id=account.id) != account:  # changed while the password was looked at
                raise NotSignedInError(WRONG)
            if fresh is not None:
                connection.execute(update(ACCOUNT).where(ACCOUNT.c.id == account.id).values(password_hash=fresh))
            settle_attempt(connection, attempt, counted, now_utc=self._now())
            return self._begin(connection, account, "password", address, old_token)

    def with_provider(self, user: ProvidedUser, *, address: str, old_token: str | None = None) -> str:
        """Return the token of a new session of a provider's user, whose account is made or brought up to date.

        Parameters
        ----------
        user : ProvidedUser
            Verified.
        address : str
            Where the request comes from.
        old_token : str, optional
            Of a session that the browser had: it ends.

        Returns
        -------
        str
            To be kept by the browser alone.

        Raises
        ------
        NotAllowedError
            No role is meant for the user, the account is off, or the user is new and the name is another account's.
        AccountError
            The user's name or the name to sign with cannot be one.
        """
        with self.accounts.database.writing() as connection:
            known = find_account(connection, issuer=user.issuer, subject=user.subject)
            refusal = self._refusal(connection, known, user)
            if refusal is None:
                account = self._updated(connection, known, user) if known else self._made(connection, user)
                return self._begin(connection, account, "openid", address, old_token)
            _audit_failure(connection, known, network_of(address), "openid", time_utc=self._now())
        raise NotAllowedError(refusal)

    def change_password(self, account: Account, *, old: str, new: str, address: str) -> str:
        """Give somebody the password that they chose, and return the token of a new session; all others end.

        Parameters
        ----------
        account : Account
            Who is signed in.
        old, new : str
            As typed.
        address : str
            Where the request comes from.

        Returns
        -------
        str
            To be kept by the browser alone.

        Raises
        ------
        AccountError
            The old password is wrong, which counts as a failure to come in; or the new one is not fit.
        TooManyRequestsError
            There were too many failures.
        """
        attempt = Attempt(account.name, address)
        _, counted = self._admit(attempt)
        if not self.accounts.passwords.is_right(old, account.password_hash):
            self._refuse(account, attempt)
            raise AccountError("the old password is not right")
        with self.accounts.database.writing() as connection:
            settle_attempt(connection, attempt, counted, now_utc=self._now())
        self.accounts.set_password(account, new, actor=account.name)
        with self.accounts.database.writing() as connection:
            return self._begin(connection, account, "password", address, None)

    def _admit(self, attempt: Attempt) -> tuple[Account | None, tuple[str, ...]]:
        with self.accounts.database.writing() as connection:
            counted = count_attempt(connection, attempt, self._limits, now_utc=self._now())
            return find_account(connection, name=attempt.name), counted

    def _refuse(self, account: Account | None, attempt: Attempt) -> None:
        with self.accounts.database.writing() as connection:
            _audit_failure(connection, account, network_of(attempt.address), "password", time_utc=self._now())

    def _fresh_hash(self, password: str, account: Account) -> str | None:
        """Return a new hash where the kept one was made at another cost."""
        passwords = self.accounts.passwords
        is_outdated = account.password_hash is not None and passwords.is_outdated(account.password_hash)
        return passwords.rehash(password) if is_outdated else None

    def _refusal(self, connection: Connection, known: Account | None, user: ProvidedUser) -> str | None:
        """Return why a provider's user may not come in; who has no role any more loses the sessions, too."""
        if known is not None and not known.is_enabled:
            return "the account is off"
        if user.role is not None:
            name = None if known else find_account(connection, name=checked_name(user.name))
            return f"the name {name.name} is another account's: ask an admin" if name else None
        if known is not None:
            change_account(connection, known.id, {}, action="lose_role", actor=known.name, time_utc=self._now())
        return "no role here is meant for this account of the provider"

    def _updated(self, connection: Connection, known: Account, user: ProvidedUser) -> Account:
        """Bring name to sign with and role up to date; a change ends the sessions that were begun under the old."""
        shown = checked_display_name(user.display_name)
        values: Mapping[str, object] = {"role": user.role, "display_name": shown}
        if user.role is None or (known.role, known.display_name) == (user.role, shown):
            return known
        change_account(
            connection,
            known.id,
            dict(values),
            action="set_role",
            actor=known.name,
            time_utc=self._now(),
            detail={"role": user.role.value, "by": "openid"},
        )
        return find_account(connection, id=known.id) or known

    def _made(self, connection: Connection, user: ProvidedUser) -> Account:
        values: dict[str, object] = {
            "name": checked_name(user.name),
            "display_name": checked_display_name(user.display_name),
            "role": user.role,
            "issuer": user.issuer,
            "subject": user.subject,
        }
        return insert_account(connection, values, actor=checked_name(user.name), time_utc=self._now())

    def _begin(self, connection: Connection, account: Account, way: str, address: str, old_token: str | None) -> str:
        if old_token is not None:
            drop_session(connection, old_token)
        detail: dict[str, JsonValue] = {"way": way, "address": network_of(address)}
        audit_account(connection, "login", account, actor=account.name, time_utc=self._now(), detail=detail)
        return begin_session(connection, account, self.sessions.limits, now_utc=self._now())

    def _now(self) -> str:
        return self.accounts.clock()


def _audit_failure(connection: Connection, account: Account | None, network: str, way: str, *, time_utc: str) -> None:
    """Write that somebody was not let in. A name that is nobody's is not repeated: it may be a password."""
    detail: dict[str, JsonValue] = {"way": way, "address": network}
    if account is not None:
        audit_account(connection, "login_failed", account, actor=NOBODY, time_utc=time_utc, detail=detail)
    else:
        append_event(connection, "login_failed", subject="user:unknown", actor=NOBODY, time_utc=time_utc, detail=detail)
