"""Who may do what: three roles and the rights of each."""

from __future__ import annotations

from enum import StrEnum


class Role(StrEnum):
    """What somebody is to the lab."""

    VIEWER = "viewer"
    READER = "reader"
    ADMIN = "admin"


class Right(StrEnum):
    """What a request may need."""

    SEE = "see"
    """Worklist, studies, images and reviews."""
    REVIEW = "review"
    """Begin, edit, sign and amend reviews."""
    MANAGE_USERS = "manage_users"
    """List accounts, turn them on and off, give them another role."""
    READ_AUDIT = "read_audit"
    """Read the audit trail."""


RIGHTS: dict[Role, frozenset[Right]] = {
    Role.VIEWER: frozenset({Right.SEE}),
    Role.READER: frozenset({Right.SEE, Right.REVIEW}),
    Role.ADMIN: frozenset({Right.SEE, Right.MANAGE_USERS, Right.READ_AUDIT}),
}
"""An admin sees what the trail speaks of, but signs nothing: who gives the rights does not also read (our choice)."""
