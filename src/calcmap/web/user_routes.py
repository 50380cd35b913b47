"""The door of a page that several people share, and what an admin sees: accounts and the audit trail."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import JSONResponse, RedirectResponse, Response
from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictStr

from calcmap import __version__
from calcmap.core.errors import AccessError, AccountError, NotAllowedError, NotSignedInError
from calcmap.core.result import DISCLAIMER, JsonValue
from calcmap.service.accounts import Account, Accounts
from calcmap.service.accounts_roles import Role
from calcmap.service.logins import Logins
from calcmap.service.oidc import Flow, Provider, new_flow
from calcmap.service.passwords import MAX_PASSWORD_CHARACTERS
from calcmap.service.sessions import Sessions
from calcmap.service.store import Store
from calcmap.service.store_audit import AuditEvent
from calcmap.web.callers import ManagesUsers, ReadsAudit, SignedIn
from calcmap.web.routes import static
from calcmap.web.user_access import Cookies, address_of

MAX_EVENTS = 200
"""Most events of one answer (our choice)."""
MAX_NAME_CHARACTERS = 200
MAX_NUMBER = 10**15

router = APIRouter()
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Door:
    """What these routes speak to.

    Parameters
    ----------
    store : Store
        With the audit trail.
    accounts, sessions, logins : Accounts, Sessions, Logins
        Of the store.
    provider : Provider or None
        The OpenID provider, where there is one.
    cookies : Cookies
        Of the page.
    has_passwords : bool
        Whether accounts with passwords may come in.
    """

    store: Store
    accounts: Accounts
    sessions: Sessions
    logins: Logins
    provider: Provider | None
    cookies: Cookies
    has_passwords: bool


def get_door(request: Request) -> Door:
    """Return what the app was made with."""
    door: Door = request.app.state.door
    return door


AtDoor = Annotated[Door, Depends(get_door)]
Typed = Annotated[StrictStr, Field(max_length=4 * MAX_PASSWORD_CHARACTERS, repr=False)]


class LoginRequest(BaseModel):
    """A name and a password."""

    model_config = ConfigDict(extra="forbid")
    name: Annotated[StrictStr, Field(max_length=MAX_NAME_CHARACTERS)]
    password: Typed


class PasswordRequest(BaseModel):
    """The password that one has, and the one that one wants."""

    model_config = ConfigDict(extra="forbid")
    old: Typed
    new: Typed


class NewUserRequest(BaseModel):
    """An account to be made."""

    model_config = ConfigDict(extra="forbid")
    name: Annotated[StrictStr, Field(max_length=MAX_NAME_CHARACTERS)]
    display_name: Annotated[StrictStr, Field(max_length=MAX_NAME_CHARACTERS)]
    role: Role
    password: Typed


class UserChangeRequest(BaseModel):
    """What is to change of an account; what is left out stays."""

    model_config = ConfigDict(extra="forbid")
    is_enabled: StrictBool | None = None
    role: Role | None = None


class AuditRequest(BaseModel):
    """Which events: the newest before a number, of one subject or actor or of all."""

    model_config = ConfigDict(extra="forbid")
    before: Annotated[int, Field(ge=1, le=MAX_NUMBER)] | None = None
    limit: Annotated[int, Field(ge=1, le=MAX_EVENTS)] = MAX_EVENTS
    subject: Annotated[str, Field(max_length=MAX_NAME_CHARACTERS)] | None = None
    actor: Annotated[str, Field(max_length=MAX_NAME_CHARACTERS)] | None = None


@router.get("/login")
def login_page() -> Response:
    """Return the page on which people log in."""
    return static("login.html")


@router.get("/api/login")
def ways_in(door: AtDoor) -> JSONResponse:
    """Return how people may log in."""
    label = door.provider.settings.label if door.provider else None
    return JSONResponse(
        {"passwords": door.has_passwords, "openid": label, "version": __version__, "disclaimer": DISCLAIMER}
    )


@router.post("/api/login")
def log_in(asked: LoginRequest, request: Request, door: AtDoor) -> Response:
    """Let somebody in by name and password: a new session, whatever session the browser had."""
    if not door.has_passwords:
        raise NotAllowedError("here the OpenID provider alone lets people in")
    old_token = request.cookies.get(door.cookies.session)
    token = door.logins.with_password(asked.name, asked.password, address=address_of(request), old_token=old_token)
    return _let_in(door, token)


@router.post("/api/logout")
def log_out(request: Request, caller: SignedIn, door: AtDoor) -> Response:
    """End the session."""
    door.sessions.close(request.cookies[door.cookies.session], actor=caller.account)
    answer = Response(status_code=HTTPStatus.NO_CONTENT)
    door.cookies.drop_session(answer)
    return answer


@router.post("/api/password")
def change_password(asked: PasswordRequest, request: Request, caller: SignedIn, door: AtDoor) -> Response:
    """Give the caller another password; every session of theirs ends, and a new one begins here."""
    account = _own_account(door, caller.account_id)
    token = door.logins.change_password(account, old=asked.old, new=asked.new, address=address_of(request))
    return _let_in(door, token)


@router.get("/oidc/start")
def go_to_provider(door: AtDoor) -> Response:
    """Send the browser to the OpenID provider."""
    if door.provider is None:
        return Response(status_code=HTTPStatus.NOT_FOUND)
    flow = new_flow()
    try:
        answer = RedirectResponse(door.provider.address_of(flow), status_code=HTTPStatus.SEE_OTHER)
    except AccessError as error:
        return _back_to_door(door, error)
    door.cookies.keep_flow(answer, flow.secret)
    return answer


@router.get("/oidc/callback")
def come_from_provider(request: Request, door: AtDoor) -> Response:
    """Let somebody in for whom the OpenID provider vouches."""
    if door.provider is None:
        return Response(status_code=HTTPStatus.NOT_FOUND)
    secret = request.cookies.get(door.cookies.flow)
    try:
        if not secret:
            raise NotSignedInError("the login took too long, or began in another browser")
        user = door.provider.user_of(Flow(secret), dict(request.query_params))
        old_token = request.cookies.get(door.cookies.session)
        token = door.logins.with_provider(user, address=address_of(request), old_token=old_token)
    except AccessError as error:
        return _back_to_door(door, error)
    answer = RedirectResponse("/", status_code=HTTPStatus.SEE_OTHER)
    door.cookies.drop_flow(answer)
    door.cookies.keep_session(answer, token)
    return answer


@router.get("/api/users")
def users(caller: ManagesUsers, door: AtDoor) -> JSONResponse:
    """Return every account."""
    return JSONResponse([_user(account) for account in door.accounts.list()])


@router.post("/api/users")
def add_user(asked: NewUserRequest, caller: ManagesUsers, door: AtDoor) -> JSONResponse:
    """Make an account."""
    made = door.accounts.add(
        asked.name, display_name=asked.display_name, role=asked.role, password=asked.password, actor=caller.account
    )
    return JSONResponse(_user(made), status_code=HTTPStatus.CREATED)


@router.post("/api/users/{account_id}")
def change_user(account_id: int, asked: UserChangeRequest, caller: ManagesUsers, door: AtDoor) -> JSONResponse:
    """Turn an account on or off, or give it another role; its sessions end."""
    account = door.accounts.get(account_id)
    if account.id == caller.account_id:
        raise AccountError("your own account is changed by another admin, or on the server with calcmap users")
    if asked.role is not None and asked.role is not account.role:
        door.accounts.set_role(account, asked.role, actor=caller.account)
    if asked.is_enabled is not None and asked.is_enabled is not account.is_enabled:
        change = door.accounts.enable if asked.is_enabled else door.accounts.disable
        change(account, actor=caller.account)
    return JSONResponse(_user(door.accounts.get(account_id)))


@router.get("/api/audit")
def audit(asked: Annotated[AuditRequest, Query()], caller: ReadsAudit, door: AtDoor) -> JSONResponse:
    """Return the newest events of the trail, and record that somebody read it."""
    if asked.before is None:
        door.store.record("view_audit", subject="audit", actor=caller.account)
    events = door.store.latest_events(
        before=asked.before, limit=asked.limit, subject=asked.subject or None, actor=asked.actor or None
    )
    return JSONResponse([_event(event) for event in events])


def _let_in(door: Door, token: str) -> Response:
    answer = Response(status_code=HTTPStatus.NO_CONTENT)
    door.cookies.keep_session(answer, token)
    return answer


def _back_to_door(door: Door, error: AccessError) -> Response:
    logger.warning("a login by the OpenID provider failed: %s", error)
    answer = RedirectResponse(f"/login#{error.code}", status_code=HTTPStatus.SEE_OTHER)
    door.cookies.drop_flow(answer)
    return answer


def _own_account(door: Door, account_id: int | None) -> Account:
    if account_id is None:
        raise NotSignedInError("log in first")
    return door.accounts.get(account_id)


def _user(account: Account) -> dict[str, JsonValue]:
    return {
        "id": account.id,
        "name": account.name,
        "display_name": account.display_name,
        "role": account.role.value,
        "is_enabled": account.is_enabled,
        "way": "openid" if account.issuer else "password",
    }


def _event(event: AuditEvent) -> dict[str, JsonValue]:
    return {
        "number": event.number,
        "time": event.time_utc,
        "actor": event.actor,
        "action": event.action,
        "subject": event.subject,
        "detail": json.loads(event.detail_json),
    }
