"""Sessions: who is signed in, until when. The store keeps a hash of each token, so that a copy of it opens nothing."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Connection, delete, insert, or_, select, update

from calcmap.service.accounts import Account, audit_account, find_account
from calcmap.service.store import utc_now
from calcmap.service.store_database import Database
from calcmap.service.store_tables import LOGIN_SESSION

TOKEN_BYTES = 32
"""256 bits: beyond guessing."""
SEEN_EVERY_S = 60.0
"""How exactly the time of the last request is kept: a write a minute and session, not one a request (our choice)."""


@dataclass(frozen=True)
class SessionLimits:
    """How long a session lasts.

    Parameters
    ----------
    idle_minutes : float
        Without a request.
    absolute_hours : float
        At most, whatever happens.
    """

    idle_minutes: float = 30.0
    absolute_hours: float = 12.0

    def oldest(self, now_utc: str) -> tuple[str, str]:
        """Return the times before which a session that still holds was neither begun nor last seen."""
        return (
            earlier(now_utc, seconds=self.absolute_hours * 3600),
            earlier(now_utc, seconds=self.idle_minutes * 60),
        )


class Sessions:
    """The sessions of a store; safe to share between threads.

    Parameters
    ----------
    database : Database
        The store's.
    limits : SessionLimits
        How long one lasts.
    clock : callable
        Returns the time as ``store.utc_now`` does.
    """

    def __init__(self, database: Database, limits: SessionLimits, *, clock: Callable[[], str] = utc_now) -> None:
        self.database = database
        self.limits = limits
        self.clock = clock

    def find(self, token: str) -> Account | None:
        """Return who is signed in with a token, ``None`` when nobody is any more. That it was seen is kept."""
        now, key = self.clock(), token_sha256(token)
        with self.database.reading() as connection:
            row = connection.execute(
                select(LOGIN_SESSION).where(LOGIN_SESSION.c.token_sha256 == key, ~_has_ended(self.limits, now))
            ).first()
            account = find_account(connection, id=row.account_id) if row else None
        if row is None or account is None or not account.is_enabled:
            return None
        if row.seen_utc < earlier(now, seconds=SEEN_EVERY_S):
            with self.database.writing() as connection:
                connection.execute(
                    update(LOGIN_SESSION).where(LOGIN_SESSION.c.token_sha256 == key).values(seen_utc=now)
                )
        return account

    def close(self, token: str, *, actor: str) -> None:
        """End a session, because its owner said so."""
        with self.database.writing() as connection:
            account_id = connection.execute(
                delete(LOGIN_SESSION)
                .where(LOGIN_SESSION.c.token_sha256 == token_sha256(token))
                .returning(LOGIN_SESSION.c.account_id)
            ).scalar()
            account = find_account(connection, id=account_id) if account_id is not None else None
            if account is not None:
                audit_account(connection, "logout", account, actor=actor, time_utc=self.clock())


def begin_session(connection: Connection, account: Account, limits: SessionLimits, *, now_utc: str) -> str:
    """Write a session of an account, remove those that have ended, and return the new token."""
    connection.execute(delete(LOGIN_SESSION).where(_has_ended(limits, now_utc)))
    token = secrets.token_urlsafe(TOKEN_BYTES)
    row = {
        "token_sha256": token_sha256(token),
        "account_id": account.id,
        "created_utc": now_utc,
        "seen_utc": now_utc,
    }
    connection.execute(insert(LOGIN_SESSION).values(row))
    return token


def drop_session(connection: Connection, token: str) -> None:
    """Remove a session without a word: a new one takes its place."""
    connection.execute(delete(LOGIN_SESSION).where(LOGIN_SESSION.c.token_sha256 == token_sha256(token)))


def token_sha256(token: str) -> str:
    """Return what the store keeps of a token."""
    return hashlib.sha256(token.encode()).hexdigest()


def earlier(time_utc: str, *, seconds: float) -> str:
    """Return a time of the store's form some seconds before another; negative seconds for after."""
    return (datetime.fromisoformat(time_utc) - timedelta(seconds=seconds)).isoformat(timespec="microseconds")


def _has_ended(limits: SessionLimits, now_utc: str) -> ColumnElement[bool]:
    begun, seen = limits.oldest(now_utc)
    return or_(LOGIN_SESSION.c.created_utc < begun, LOGIN_SESSION.c.seen_utc < seen)
