"""Who may speak to a page that one person opened on this machine.

The address that is printed carries a random token. Whoever has it gets a cookie that no other site can send and no
script can read; writes need a header that no other site can set. The name in the request must be the loopback's, so a
foreign page whose name was pointed at this machine gets nothing.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus
from typing import Any

from fastapi.responses import PlainTextResponse, RedirectResponse
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

CSRF_HEADER = "x-calcmap-csrf"
TOKEN_PARAMETER = "token"
SECRET_BYTES = 32
"""256 bits: beyond guessing."""
MAX_BODY_BYTES = 4_000_000
"""Largest request: a brush stroke of the most pixels is under 1 MB (our choice)."""
SAFE_METHODS = ("GET", "HEAD")
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


def new_access(*, account: str, port: int) -> LocalAccess:
    """Return fresh secrets for a page that is served at a port."""
    token, session, csrf = (secrets.token_urlsafe(SECRET_BYTES) for _ in range(3))
    return LocalAccess(account, port, token, session, csrf)


class Guard:
    """Answers for the page where a request may not pass, and puts `HEADERS` on every answer.

    Parameters
    ----------
    app : ASGIApp
        The page.
    access : LocalAccess
        Who may pass.
    """

    def __init__(self, app: ASGIApp, *, access: LocalAccess) -> None:
        self._app = app
        self._access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection; what is no HTTP request is not for us."""
        if scope["type"] == "http":
            answer: ASGIApp = find_refusal(Request(scope), self._access) or self._app
            await answer(scope, receive, partial(_send_guarded, send))


def find_refusal(request: Request, access: LocalAccess) -> Response | None:
    """Return the answer to a request that may not pass, or that brings the token; ``None`` when it may."""
    if request.headers.get("host") not in access.hosts:
        return _plain(HTTPStatus.MISDIRECTED_REQUEST, "this page answers on the loopback address alone")
    if TOKEN_PARAMETER in request.query_params:
        return _admission(request, access)
    if not _is_same(request.cookies.get(access.cookie), access.session):
        return _plain(HTTPStatus.UNAUTHORIZED, "open the address that calcmap review printed")
    if request.method not in SAFE_METHODS:
        return _refused_write(request, access)
    return None


def _admission(request: Request, access: LocalAccess) -> Response:
    """Return the way to the page with the cookie set, so that the token does not stay in the address."""
    if request.method not in SAFE_METHODS or not _is_same(request.query_params[TOKEN_PARAMETER], access.token):
        return _plain(HTTPStatus.UNAUTHORIZED, "this address is of an earlier run: open the one printed last")
    answer = RedirectResponse("/", status_code=HTTPStatus.SEE_OTHER)
    answer.set_cookie(access.cookie, access.session, path="/", httponly=True, samesite="strict")
    return answer


def _refused_write(request: Request, access: LocalAccess) -> Response | None:
    origin = request.headers.get("origin")
    is_own = origin is None or origin in {f"http://{host}" for host in access.hosts}
    if not is_own or not _is_same(request.headers.get(CSRF_HEADER), access.csrf):
        return _plain(HTTPStatus.FORBIDDEN, "a write needs the page's own header")
    length = request.headers.get("content-length", "")
    if not length.isdecimal() or int(length) > MAX_BODY_BYTES:
        return _plain(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"a request has at most {MAX_BODY_BYTES} bytes, and says so")
    return None


def _is_same(given: str | None, wanted: str) -> bool:
    return given is not None and secrets.compare_digest(given.encode(), wanted.encode())


def _plain(status: HTTPStatus, text: str) -> Response:
    return PlainTextResponse(f"CalcMap: {text}\n", status_code=status)


async def _send_guarded(send: Send, message: Message) -> None:
    if message["type"] == "http.response.start":
        headers: Any = MutableHeaders(scope=message)  # Any: its items are set by name
        for name, value in HEADERS.items():
            headers[name] = value
    await send(message)
