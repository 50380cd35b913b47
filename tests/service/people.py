"""People at a door, for the tests: passwords at a cost that nobody should use, and a clock that is set by hand."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from calcmap.service.accounts import Account, Accounts
from calcmap.service.accounts_roles import Role
from calcmap.service.logins import Logins
from calcmap.service.passwords import HashingCost, Passwords
from calcmap.service.sessions import SessionLimits, Sessions
from calcmap.service.store import Store

CHEAP = HashingCost(passes=1, memory_kib=8, lanes=1, at_once=2)
PASSWORD = "four random words here"
ADMIN = "root on the server"
HOME, AWAY = "192.0.2.1", "198.51.100.7"


class Clock:
    """A time that moves when told to."""

    def __init__(self) -> None:
        self.now = datetime.fromisoformat("2026-01-02T03:04:05.000000+00:00")

    def __call__(self) -> str:
        return self.now.isoformat(timespec="microseconds")

    def pass_(self, **span: float) -> None:
        """Let time go by."""
        self.now += timedelta(**span)


@dataclass(frozen=True)
class People:
    """Accounts, sessions and the door of one store."""

    accounts: Accounts
    sessions: Sessions
    logins: Logins
    clock: Clock

    def add(self, name: str, *, role: Role = Role.READER) -> Account:
        """Make an account with the password of all."""
        return self.accounts.add(name, display_name=f"Dr. {name}", role=role, password=PASSWORD, actor=ADMIN)

    def enter(self, name: str, password: str = PASSWORD, *, address: str = HOME) -> str:
        """Log in."""
        return self.logins.with_password(name, password, address=address)


def people_of(store: Store, *, cost: HashingCost = CHEAP, limits: SessionLimits | None = None) -> People:
    """Return the people of a store at a clock of their own."""
    clock = Clock()
    accounts = Accounts(store.database, Passwords(cost), clock=clock)
    sessions = Sessions(store.database, limits or SessionLimits(), clock=clock)
    return People(accounts, sessions, Logins(accounts, sessions), clock)
