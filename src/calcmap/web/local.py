"""The review page on this machine alone, for the person who started it."""

from __future__ import annotations

from calcmap.service.outbox import Outbox
from calcmap.service.reviewing import Reviewing
from calcmap.service.store import Store
from calcmap.web.access import LocalAccess, new_access
from calcmap.web.app import make_app
from calcmap.web.server import PageServer, listen

LOOPBACK = "127.0.0.1"


class LocalServer(PageServer):
    """A server on the loopback address, listening from the moment it is made.

    Parameters
    ----------
    store : Store
        Open; it stays open.
    account : str
        Who is written into the audit trail.
    port : int
        0 for any that is free.
    outbox : Outbox, optional
        Takes what is signed; without it nothing goes out.

    Raises
    ------
    ConfigError
        The port is taken.
    """

    def __init__(self, store: Store, *, account: str, port: int = 0, outbox: Outbox | None = None) -> None:
        listening = listen(LOOPBACK, port)
        self.access: LocalAccess = new_access(account=account, port=listening.getsockname()[1])
        super().__init__(make_app(Reviewing(store, outbox=outbox), self.access), listening)

    @property
    def address(self) -> str:
        """What a person opens: it holds the token."""
        return self.access.address
