"""The review page for several people, as a TOML file says it."""

from __future__ import annotations

import os
import ssl

from calcmap.service.accounts import Accounts
from calcmap.service.logins import Logins
from calcmap.service.oidc import Provider
from calcmap.service.outbox import Outbox
from calcmap.service.passwords import HashingCost, Passwords
from calcmap.service.reviewing import Reviewing
from calcmap.service.serve_config import KEY_PASSWORD_VARIABLE, ServeSettings, WebSettings
from calcmap.service.sessions import Sessions
from calcmap.service.store import Store
from calcmap.web.app import make_app
from calcmap.web.server import Encryption, PageServer, listen
from calcmap.web.user_access import Cookies, FromProxy, UserAccess
from calcmap.web.user_routes import Door, router

CALLBACK_PATH = "/oidc/callback"


class SharedServer(PageServer):
    """A server for people with accounts, listening from the moment it is made.

    Parameters
    ----------
    store : Store
        Open; it stays open.
    settings : ServeSettings
        Of the whole file.
    cost : HashingCost, optional
        Of passwords.
    outbox : Outbox or None
        The way out for what is signed; ``None``: nothing goes out.

    Raises
    ------
    ConfigError
        The port is taken, certificate and key make no pair, or a secret cannot be read.
    """

    def __init__(
        self,
        store: Store,
        settings: ServeSettings,
        *,
        cost: HashingCost | None = None,
        outbox: Outbox | None = None,
    ) -> None:
        tls = _tls(settings.web)
        door = _door(store, settings, cost)
        listening = listen(settings.web.host, settings.web.port)
        self.port: int = listening.getsockname()[1]
        access = UserAccess(settings.web, door.sessions, limits=settings.limits, cookies=door.cookies)
        app = make_app(Reviewing(store, outbox=outbox), access, more=router, door=door)
        if settings.web.trusted_proxies:
            app = FromProxy(app, trusted=settings.web.trusted_proxies)
        self.door = door
        super().__init__(app, listening, tls=tls)

    def close(self) -> None:
        """Free the port, and the connections to the provider."""
        super().close()
        if self.door.provider is not None:
            self.door.provider.close()


def _door(store: Store, settings: ServeSettings, cost: HashingCost | None) -> Door:
    passwords = Passwords(cost, min_characters=settings.users.min_password_characters)
    accounts = Accounts(store.database, passwords)
    sessions = Sessions(store.database, settings.sessions)
    redirect_url = f"{settings.web.base_url}{CALLBACK_PATH}"
    return Door(
        store=store,
        accounts=accounts,
        sessions=sessions,
        logins=Logins(accounts, sessions),
        provider=Provider(settings.oidc, redirect_url=redirect_url) if settings.oidc else None,
        cookies=Cookies(settings.web.is_secure, settings.web.public_port),
        has_passwords=settings.users.passwords,
    )


def _tls(web: WebSettings) -> ssl.SSLContext | None:
    if web.certificate is None or web.key is None:
        return None
    return Encryption(web.certificate, web.key, os.environ.get(KEY_PASSWORD_VARIABLE)).context()
