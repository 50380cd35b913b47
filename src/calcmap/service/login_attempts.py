"""How often somebody may try to come in: a wait that grows with failures, kept in the store past a restart.

Failures are counted of three things. Of a name at an address: who guesses somebody's password is slowed down soon. Of
an address: who tries many names. Of a name at any address: who guesses from many. The last wait is short, and neither
of the last two holds where the person came in before: so nobody can lock others out by failing in their name elsewhere,
and a lab behind one address goes on while somebody in it fails.
"""

from __future__ import annotations

import hashlib
import ipaddress
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, Row, and_, delete, insert, select, update

from calcmap.core.errors import TooManyRequestsError
from calcmap.service.sessions import earlier
from calcmap.service.store_tables import LOGIN_ATTEMPTS

FORGOTTEN_S = 3600.0
"""Failures are forgotten after an hour without another (our choice)."""
FAMILIAR_S = 30 * 86400.0
"""An address where somebody came in is familiar for 30 days (our choice)."""
NETWORK_BITS_V6 = 64
"""Of an IPv6 address that one customer holds whole."""
_NEVER = ""


@dataclass(frozen=True)
class BackOff:
    """How a wait grows.

    Parameters
    ----------
    n_free : int
        Failures before the first wait.
    first_s : float
        The first wait, seconds; each further failure doubles it.
    longest_s : float
        The longest wait, seconds.
    """

    n_free: int
    first_s: float
    longest_s: float

    def wait_s(self, n_failures: int) -> float:
        """Return the wait after a number of failures, seconds."""
        n_beyond = n_failures - self.n_free
        return min(self.first_s * 2.0 ** min(n_beyond, 30), self.longest_s) if n_beyond >= 0 else 0.0


@dataclass(frozen=True)
class AttemptLimits:
    """The three waits (our choice): of a name at an address, of an address, of a name."""

    name_at_address: BackOff = BackOff(5, 2.0, 900.0)
    address: BackOff = BackOff(20, 2.0, 900.0)
    name: BackOff = BackOff(20, 2.0, 30.0)


@dataclass(frozen=True)
class Attempt:
    """Somebody at the door.

    Parameters
    ----------
    name : str
        As typed, in the form of names.
    address : str
        Where they come from.
    """

    name: str
    address: str

    @property
    def keys(self) -> dict[str, str]:
        """What is counted, by the name of its limit. Names are hashed: a password is typed there now and then."""
        network = network_of(self.address)
        name = hashlib.sha256(self.name.encode()).hexdigest()
        return {
            "name_at_address": f"name {name} at {network}",
            "address": f"address {network}",
            "name": f"name {name}",
        }


def network_of(address: str) -> str:
    """Return what one customer holds: an IPv4 address, or the network of an IPv6 one."""
    try:
        known = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(known, ipaddress.IPv6Address):
        if known.ipv4_mapped is not None:
            return str(known.ipv4_mapped)
        return str(ipaddress.ip_network(f"{known}/{NETWORK_BITS_V6}", strict=False))
    return str(known)


def count_attempt(connection: Connection, attempt: Attempt, limits: AttemptLimits, *, now_utc: str) -> tuple[str, ...]:
    """Count an attempt as a failure until it is known to be none; many at once are each counted.

    Parameters
    ----------
    connection : Connection
        In a writing transaction.
    attempt : Attempt
        Who, from where.
    limits : AttemptLimits
        How waits grow.
    now_utc : str
        The time.

    Returns
    -------
    tuple of str
        The keys under which it was counted, for `settle_attempt`.

    Raises
    ------
    TooManyRequestsError
        A wait is not over; nothing is counted, and no password is looked at.
    """
    forget_attempts(connection, now_utc=now_utc)
    keys, table = attempt.keys, LOGIN_ATTEMPTS
    rows = {row.key: row for row in connection.execute(select(table).where(table.c.key.in_(keys.values())))}
    pair = rows.get(keys["name_at_address"])
    is_familiar = pair is not None and pair.succeeded_utc >= earlier(now_utc, seconds=FAMILIAR_S)
    counted = {what: keys[what] for what in (["name_at_address"] if is_familiar else keys)}
    left_s = max(_left_s(rows.get(key), getattr(limits, what), now_utc) for what, key in counted.items())
    if left_s > 0:
        raise TooManyRequestsError("too many failed attempts to log in: wait a little", retry_after_s=left_s)
    for what, key in counted.items():
        _count(connection, key, rows.get(key), getattr(limits, what), now_utc)
    return tuple(counted.values())


def settle_attempt(connection: Connection, attempt: Attempt, counted: tuple[str, ...], *, now_utc: str) -> None:
    """Take back what `count_attempt` counted, since the person came in; their failures here are forgotten."""
    table, pair = LOGIN_ATTEMPTS, attempt.keys["name_at_address"]
    others = [key for key in counted if key != pair]
    connection.execute(
        update(table)
        .where(table.c.key.in_(others), table.c.n_failures > 0)
        .values(n_failures=table.c.n_failures - 1, blocked_until_utc=_NEVER)
    )
    connection.execute(
        update(table).where(table.c.key == pair).values(n_failures=0, blocked_until_utc=_NEVER, succeeded_utc=now_utc)
    )


def forget_attempts(connection: Connection, *, now_utc: str) -> None:
    """Remove what is long over."""
    table = LOGIN_ATTEMPTS
    connection.execute(
        delete(table).where(
            and_(
                table.c.last_utc < earlier(now_utc, seconds=FORGOTTEN_S),
                table.c.succeeded_utc < earlier(now_utc, seconds=FAMILIAR_S),
            )
        )
    )


def _left_s(row: Row[*tuple[object, ...]] | None, limit: BackOff, now_utc: str) -> float:
    """Return how much of a wait is left, seconds; a clock that was set back makes none longer."""
    if row is None or row.blocked_until_utc <= now_utc:
        return 0.0
    left = datetime.fromisoformat(row.blocked_until_utc) - datetime.fromisoformat(now_utc)
    return min(left.total_seconds(), limit.longest_s)


def _count(
    connection: Connection, key: str, row: Row[*tuple[object, ...]] | None, limit: BackOff, now_utc: str
) -> None:
    is_recent = row is not None and row.last_utc >= earlier(now_utc, seconds=FORGOTTEN_S)
    n_failures = (row.n_failures if row is not None and is_recent else 0) + 1
    wait_s = limit.wait_s(n_failures)
    values = {
        "n_failures": n_failures,
        "last_utc": now_utc,
        "blocked_until_utc": earlier(now_utc, seconds=-wait_s) if wait_s else _NEVER,
    }
    if row is None:
        connection.execute(insert(LOGIN_ATTEMPTS).values(key=key, succeeded_utc=_NEVER, **values))
    else:
        connection.execute(update(LOGIN_ATTEMPTS).where(LOGIN_ATTEMPTS.c.key == key).values(**values))
