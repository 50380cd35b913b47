"""Passwords: which are taken, and how they are kept.

Kept as Argon2id hashes. A name that nobody has costs the same work as a wrong password, so that the time of an answer
tells nothing.

References
----------
NIST SP 800-63B (2017), 5.1.1: length counts, composition rules do not, common passwords are refused, NFKC.
RFC 9106 (2021), section 4: Argon2id, second recommended option (64 MiB, 3 passes).
"""

from __future__ import annotations

import threading
import unicodedata
from dataclasses import dataclass

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from calcmap.core.errors import AccountError

MIN_PASSWORD_CHARACTERS = 12
"""Shortest password (NIST asks for 8 at least; ours is longer, since no second factor is asked for)."""
MAX_PASSWORD_CHARACTERS = 256
"""Longest password: beyond it is no password but a load (NIST asks to take 64 at least)."""
MIN_DISTINCT_CHARACTERS = 5
"""A password of fewer different characters is a pattern (our choice)."""
COMMON_PARTS = (
    "password",
    "passwort",
    "qwerty",
    "qwertz",
    "letmein",
    "welcome",
    "calcmap",
    "iloveyou",
    "administrator",
)
"""Words that lists of stolen passwords are full of; what is left beside them must be long enough by itself."""
MIN_BESIDE_COMMON = 8
MIN_NAME_CHARACTERS = 3
"""Shorter names are in many words."""
_SEQUENCES = ("01234567890123456789", "abcdefghijklmnopqrstuvwxyz", "qwertyuiopasdfghjklzxcvbnm")


@dataclass(frozen=True)
class HashingCost:
    """What one hash costs.

    Parameters
    ----------
    passes : int
        Passes over the memory.
    memory_kib : int
        Memory of one hash, KiB.
    lanes : int
        Threads of one hash.
    at_once : int
        Hashes computed at one time; others wait, so that a crowd at the door leaves memory and cores to readers.
    """

    passes: int = 3
    memory_kib: int = 64 * 1024
    lanes: int = 2
    at_once: int = 2


class Passwords:
    """Makes and checks hashes; safe to share between threads.

    Parameters
    ----------
    cost : HashingCost
        Of new hashes. One that was made at another cost is still checked, and `is_outdated`.
    min_characters : int
        Shortest password that is taken.
    """

    def __init__(self, cost: HashingCost | None = None, *, min_characters: int = MIN_PASSWORD_CHARACTERS) -> None:
        cost = cost or HashingCost()
        self._hasher = PasswordHasher(time_cost=cost.passes, memory_cost=cost.memory_kib, parallelism=cost.lanes)
        self._min_characters = min_characters
        self._turn = threading.BoundedSemaphore(cost.at_once)
        self._nobodys = self._hasher.hash("the password of nobody")

    def hash(self, password: str, *, names: tuple[str, ...] = ()) -> str:
        """Return the hash of a new password.

        Parameters
        ----------
        password : str
            As typed.
        names : tuple of str
            Of the person: a password that is little more than one of them is refused.

        Returns
        -------
        str
            With its parameters and salt in it.

        Raises
        ------
        AccountError
            The password is too short, too long or one of those that are tried first; the message does not repeat it.
        """
        self._check(_normal(password), names)
        return self.rehash(password)

    def rehash(self, password: str) -> str:
        """Return the hash of a password that was taken before."""
        with self._turn:
            return self._hasher.hash(_normal(password))

    def is_right(self, password: str, stored: str | None) -> bool:
        """Tell whether a password belongs to a hash; for ``None``, after the same work, that it does not."""
        with self._turn:
            try:
                self._hasher.verify(stored or self._nobodys, _normal(password)[:MAX_PASSWORD_CHARACTERS])
            except (VerificationError, InvalidHashError):
                return False
        return stored is not None

    def is_outdated(self, stored: str) -> bool:
        """Tell whether a hash was made at another cost than new ones are."""
        return self._hasher.check_needs_rehash(stored)

    def _check(self, password: str, names: tuple[str, ...]) -> None:
        if not self._min_characters <= len(password) <= MAX_PASSWORD_CHARACTERS:
            bounds = f"{self._min_characters} to {MAX_PASSWORD_CHARACTERS}"
            raise AccountError(f"a password has {bounds} characters, this one has {len(password)}")
        if not password.isprintable():
            raise AccountError("a password has printable characters and spaces alone")
        if _is_expected(password.casefold(), names):
            raise AccountError(
                "this password is one of those that are tried first: take another, say four random words"
            )


def _normal(password: str) -> str:
    """Return one form of what keyboards write in several."""
    return unicodedata.normalize("NFKC", password)


def _is_expected(password: str, names: tuple[str, ...]) -> bool:
    is_pattern = len(set(password)) < MIN_DISTINCT_CHARACTERS
    is_run = any(password in run or password[::-1] in run for run in _SEQUENCES)
    rest = password
    for part in (*COMMON_PARTS, *(name.casefold() for name in names if len(name) >= MIN_NAME_CHARACTERS)):
        rest = rest.replace(part, "")
    return is_pattern or is_run or (rest != password and len(rest) < MIN_BESIDE_COMMON)
