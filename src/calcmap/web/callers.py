"""Who makes a request, and what a route asks of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Depends, Request

from calcmap.core.errors import NotAllowedError, NotSignedInError
from calcmap.service.accounts_roles import Right


@dataclass(frozen=True)
class Caller:
    """Who makes a request.

    Parameters
    ----------
    account : str
        Who is written into the audit trail.
    rights : frozenset of Right
        What they may do.
    csrf : str
        The value of the header of writes.
    name : str or None
        What they sign with; ``None`` where they type it.
    role : str or None
        Their role, where there are roles.
    account_id : int or None
        Of their account in the store, where there is one.
    """

    account: str
    rights: frozenset[Right]
    csrf: str = field(repr=False)
    name: str | None = None
    role: str | None = None
    account_id: int | None = None


def signed_in(request: Request) -> Caller:
    """Return who makes a request; `NotSignedInError` when nobody is known to."""
    caller: Caller | None = getattr(request.state, "caller", None)
    if caller is None:
        raise NotSignedInError("log in first")
    return caller


def needs(right: Right) -> Callable[[Request], Caller]:
    """Return what lets the callers through that have a right; `NotAllowedError` for the others."""

    def holder(request: Request) -> Caller:
        caller = signed_in(request)
        if right not in caller.rights:
            raise NotAllowedError(
                f"your role does not allow this: it needs the right to {right.value.replace('_', ' ')}"
            )
        return caller

    return holder


SignedIn = Annotated[Caller, Depends(signed_in)]
Sees = Annotated[Caller, Depends(needs(Right.SEE))]
Reviews = Annotated[Caller, Depends(needs(Right.REVIEW))]
ManagesUsers = Annotated[Caller, Depends(needs(Right.MANAGE_USERS))]
ReadsAudit = Annotated[Caller, Depends(needs(Right.READ_AUDIT))]
