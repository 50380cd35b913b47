"""Who may speak to the page: the guard before every request, and the way of one person on this machine.

The address that is printed carries a random token. Whoever has it gets a cookie that no other site can send and no
script can read; writes need a header that no other site can set. The name in the request must be the loopback's, so a
foreign page whose name was pointed at this machine gets nothing.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus
from typing import Any, Protocol

from fastapi.responses import PlainTextResponse, RedirectResponse
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from calcmap.core.errors import CalcMapError
from calcmap.service.accounts_roles import RIGHTS, Role
from calcmap.web.callers import Caller
from calcmap.web.problems import answer_error

CSRF_HEADER = "x-calcmap-csrf"
TOKEN_PARAMETER = "token"
SECRET_BYTES = 32
"""256 bits: beyond guessing."""
MAX_BODY_BYTES = 4_000_000
"""Largest request: a brush stroke of the most pixels is under 1 MB (our choice)."""
SAFE_METHODS = ("GET", "HEAD")
NOT_OURS = "a write needs the page's own header"
HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "cache-control": "no-store",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}
"""Of every answer: scripts and styles of our own alone, and no copy of patients' data in the browser's cache."""


@dataclass(frozen=True)
class LocalAccess:
    """The secrets of one run, none of them ever logged or printed but the token in the address.

    Parameters
    ----------
    account : str
        Who is written into the audit trail.
    port : int
        Where the page is served.
    token : str
        Opens the page.
    session : str
        The cookie's value.
    csrf : str
        The value of the header of writes.
    """

    account: str
    port: int
    token: str = field(repr=False)
    session: str = field(repr=False)
    csrf: str = field(repr=False)

    @property
    def hosts(self) -> tuple[str, ...]:
        """Names that a request may be addressed to."""
        return f"127.0.0.1:{self.port}", f"localhost:{self.port}"

    @property
    def cookie(self) -> str:
        """The cookie's name. Ports share cookies, so the port is in it."""
        return f"calcmap_review_{self.port}"

    @property
    def address(self) -> str:
        """What a person opens."""
        return f"http://{self.hosts[0]}/?{TOKEN_PARAMETER}={self.token}"

    @property
    def headers(self) -> dict[str, str]:
        """Of every answer."""
        return HEADERS

    async def admit(self, request: Request) -> Response | None:
        """Return the answer to a request that may not pass; ``None``, with its caller noted, when it may."""
        request.state.caller = Caller(self.account, RIGHTS[Role.READER], self.csrf)
        return find_refusal(request, self)


def new_access(*, account: str, port: int) -> LocalAccess:
    """Return fresh secrets for a page that is served at a port."""
    token, session, csrf = (secrets.token_urlsafe(SECRET_BYTES) for _ in range(3))
    return LocalAccess(account, port, token, session, csrf)


class Access(Protocol):
    """A way to decide who may pass."""

    @property
    def headers(self) -> dict[str, str]:
        """Of every answer."""

    async def admit(self, request: Request) -> Response | None:
        """Return the answer to a request that may not pass; ``None``, with its caller noted, when it may."""


class Guard:
    """Answers for the page where a request may not pass, and puts the headers of its access on every answer.

    Parameters
    ----------
    app : ASGIApp
        The page.
    access : Access
        Who may pass.
    """

    def __init__(self, app: ASGIApp, *, access: Access) -> None:
        self._app = app
        self._access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection; what is no HTTP request is not for us."""
        if scope["type"] == "http":
            answer: ASGIApp = await self._refusal(Request(scope)) or self._app
            await answer(scope, receive, partial(_send_guarded, send, self._access.headers))

    async def _refusal(self, request: Request) -> Response | None:
        try:
            return await self._access.admit(request)
        except CalcMapError as error:
            return answer_error(request, error)


def find_refusal(request: Request, access: LocalAccess) -> Response | None:
    """Return the answer to a request that may not pass, or that brings the token; ``None`` when it may."""
    if request.headers.get("host") not in access.hosts:
        return plain(HTTPStatus.MISDIRECTED_REQUEST, "this page answers on the loopback address alone")
    if TOKEN_PARAMETER in request.query_params:
        return _admission(request, access)
    if not is_same(request.cookies.get(access.cookie), access.session):
        return plain(HTTPStatus.UNAUTHORIZED, "open the address that calcmap review printed")
    if request.method not in SAFE_METHODS:
        return _refused_write(request, access)
    return None


def _admission(request: Request, access: LocalAccess) -> Response:
    """Return the way to the page with the cookie set, so that the token does not stay in the address."""
    if request.method not in SAFE_METHODS or not is_same(request.query_params[TOKEN_PARAMETER], access.token):
        return plain(HTTPStatus.UNAUTHORIZED, "this address is of an earlier run: open the one printed last")
    answer = RedirectResponse("/", status_code=HTTPStatus.SEE_OTHER)
    answer.set_cookie(access.cookie, access.session, path="/", httponly=True, samesite="strict")
    return answer


def _refused_write(request: Request, access: LocalAccess) -> Response | None:
    origins = tuple(f"http://{host}" for host in access.hosts)
    return find_foreign(request, origins) or find_forged(request, access.csrf) or find_oversize(request)


def find_foreign(request: Request, origins: tuple[str, ...]) -> Response | None:
    """Return the answer to a write that another site makes."""
    origin = request.headers.get("origin")
    return None if origin is None or origin in origins else plain(HTTPStatus.FORBIDDEN, NOT_OURS)


def find_forged(request: Request, csrf: str) -> Response | None:
    """Return the answer to a write without the header that only the page can know."""
    return None if is_same(request.headers.get(CSRF_HEADER), csrf) else plain(HTTPStatus.FORBIDDEN, NOT_OURS)


def find_oversize(request: Request) -> Response | None:
    """Return the answer to a write that is huge, or does not say how long it is."""
    length = request.headers.get("content-length", "")
    if length.isdecimal() and int(length) <= MAX_BODY_BYTES:
        return None
    return plain(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"a request has at most {MAX_BODY_BYTES} bytes, and says so")


def is_same(given: str | None, wanted: str) -> bool:
    """Tell whether a secret was given, in a time that does not depend on where it differs."""
    return given is not None and secrets.compare_digest(given.encode(), wanted.encode())


def plain(status: HTTPStatus, text: str) -> Response:
    """Return an answer of one line."""
    return PlainTextResponse(f"CalcMap: {text}\n", status_code=status)


async def _send_guarded(send: Send, wanted: dict[str, str], message: Message) -> None:
    if message["type"] == "http.response.start":
        headers: Any = MutableHeaders(scope=message)  # Any: its items are set by name
        for name, value in wanted.items():
            headers[name] = value
    await send(message)
