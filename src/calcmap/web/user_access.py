"""Who may speak to a page that several people share: those who logged in, each by their role.

The browser holds a token that no script can read and no other site can send; the header of writes is made from it. The
page itself, its scripts and the door are open, and hold nothing of a patient.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from calcmap.core.errors import NotSignedInError
from calcmap.service.accounts import Account
from calcmap.service.accounts_roles import RIGHTS
from calcmap.service.login_attempts import network_of
from calcmap.service.request_limits import Buckets, RequestLimits
from calcmap.service.serve_config import WebSettings
from calcmap.service.sessions import Sessions
from calcmap.web.access import (
    CSRF_HEADER,
    HEADERS,
    NOT_OURS,
    SAFE_METHODS,
    find_foreign,
    find_forged,
    find_oversize,
    plain,
)
from calcmap.web.callers import Caller

STATIC_PATH = "/static/"
LOGIN_PATH = "/api/login"
OPEN_PATHS = frozenset({"/", "/login", LOGIN_PATH, "/oidc/start", "/oidc/callback"})
"""What is answered to anybody: the empty page, its files and the door."""
HSTS = {"strict-transport-security": "max-age=31536000"}
"""Browsers come back encrypted for a year. Subdomains are not ours to speak for."""
FLOW_S = 600
"""How long one may take at the OpenID provider (our choice)."""


@dataclass(frozen=True)
class Cookies:
    """Names and rules of the page's cookies. The prefix makes browsers refuse one that was set without TLS.

    Parameters
    ----------
    is_secure : bool
        Whether browsers speak TLS with the page.
    port : int
        Told apart by it where they do not: ports of one machine share cookies.
    """

    is_secure: bool
    port: int

    @property
    def session(self) -> str:
        """Name of the cookie that holds a session's token."""
        return "__Host-calcmap" if self.is_secure else f"calcmap_{self.port}"

    @property
    def flow(self) -> str:
        """Name of the cookie on the way to the OpenID provider and back."""
        return "__Host-calcmap-login" if self.is_secure else f"calcmap_login_{self.port}"

    def keep_session(self, answer: Response, token: str) -> None:
        """Hand a browser its session, until it is closed; no other site can send it."""
        answer.set_cookie(self.session, token, path="/", httponly=True, secure=self.is_secure, samesite="strict")

    def drop_session(self, answer: Response) -> None:
        """Take a browser's session away."""
        answer.delete_cookie(self.session, path="/", httponly=True, secure=self.is_secure, samesite="strict")

    def keep_flow(self, answer: Response, secret: str) -> None:
        """Hand a browser what it needs when the provider sends it back, which is another site's doing: lax."""
        answer.set_cookie(
            self.flow, secret, max_age=FLOW_S, path="/", httponly=True, secure=self.is_secure, samesite="lax"
        )

    def drop_flow(self, answer: Response) -> None:
        """Take it away: a way is gone once."""
        answer.delete_cookie(self.flow, path="/", httponly=True, secure=self.is_secure, samesite="lax")


class UserAccess:
    """Lets those through who are logged in.

    Parameters
    ----------
    settings : WebSettings
        Names of the page, and whether it is encrypted.
    sessions : Sessions
        Who is logged in.
    limits : RequestLimits
        How many requests a session, or an address without one, may make.
    cookies : Cookies
        Of the page.
    """

    def __init__(self, settings: WebSettings, sessions: Sessions, *, limits: RequestLimits, cookies: Cookies) -> None:
        self._hosts, self._origins = settings.hosts, settings.origins
        self._sessions = sessions
        self._buckets = Buckets(limits)
        self.cookies = cookies
        self.headers = HEADERS | (HSTS if settings.is_secure else {})

    async def admit(self, request: Request) -> Response | None:
        """Return the answer to a request that may not pass; ``None``, with its caller noted, when it may."""
        if request.headers.get("host", "").lower() not in self._hosts:
            return plain(HTTPStatus.MISDIRECTED_REQUEST, "this page does not answer to that name")
        is_open = request.url.path in OPEN_PATHS or request.url.path.startswith(STATIC_PATH)
        caller = None if is_open else await self._caller(request)
        self._buckets.take(f"session {caller.csrf}" if caller else f"address {network_of(address_of(request))}")
        request.state.caller = caller
        if request.method not in SAFE_METHODS:
            return self._refused_write(request, caller)
        if caller is None and not is_open:
            raise NotSignedInError("log in first")
        return None

    async def _caller(self, request: Request) -> Caller | None:
        token = request.cookies.get(self.cookies.session)
        account = await run_in_threadpool(self._sessions.find, token) if token else None
        return caller_of(account, token) if account and token else None

    def _refused_write(self, request: Request, caller: Caller | None) -> Response | None:
        refusal = find_foreign(request, self._origins) or find_oversize(request)
        if refusal is not None:
            return refusal
        if request.url.path == LOGIN_PATH:  # there is no session yet: a header that no other site can set will do
            return None if request.headers.get(CSRF_HEADER) else plain(HTTPStatus.FORBIDDEN, NOT_OURS)
        if caller is None:
            raise NotSignedInError("log in first")
        return find_forged(request, caller.csrf)


class FromProxy:
    """Answers the proxy alone, and believes what it says of those behind it.

    Parameters
    ----------
    app : ASGIApp
        The guarded page.
    trusted : tuple of str
        Addresses and networks of the proxy.
    """

    def __init__(self, app: ASGIApp, *, trusted: tuple[str, ...]) -> None:
        believing: Any = ProxyHeadersMiddleware  # Any: it names the types of messages otherwise
        self._believing: Any = believing(app, trusted_hosts=list(trusted))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] != "http":
            return
        if (scope.get("client") or ("", 0))[0] not in self._believing.trusted_hosts:
            refusal = plain(HTTPStatus.FORBIDDEN, "this page is reached through its proxy alone")
            await refusal(scope, receive, send)
            return
        await self._believing(scope, receive, send)


def caller_of(account: Account, token: str) -> Caller:
    """Return who makes a request, by their account and session."""
    return Caller(
        account=account.name,
        rights=RIGHTS[account.role],
        csrf=csrf_of(token),
        name=account.display_name,
        role=account.role.value,
        account_id=account.id,
    )


def csrf_of(token: str) -> str:
    """Return the value of the header of writes of a session. The token cannot be had from it."""
    return hmac.digest(token.encode(), b"calcmap writes", "sha256").hex()


def address_of(request: Request) -> str:
    """Return where a request comes from, as the proxy says where there is one."""
    return request.client.host if request.client else "unknown"
