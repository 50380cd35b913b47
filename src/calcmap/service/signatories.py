"""Names of people and organizations as DICOM can write them: checked before they are needed."""

from __future__ import annotations

from calcmap.core.errors import OutputError

NOT_STATED = "not stated"
"""Organization of a verifier of whom none is told: DICOM wants one, and none is made up."""
MAX_CHARACTERS = 64
"""Of one script of a name, and of an organization (PS3.5, table 6.2-1)."""
MAX_SCRIPTS = 3
MAX_PARTS = 5
"""Family, given and middle name, prefix and suffix."""


def written_name(name: str) -> str:
    """Return a signer's name as DICOM can write it; `OutputError` when it cannot."""
    scripts = name.split("=")
    is_long = any(len(script) > MAX_CHARACTERS or script.count("^") >= MAX_PARTS for script in scripts)
    if is_long or len(scripts) > MAX_SCRIPTS or "\\" in name:
        raise OutputError(
            f"the signer's name cannot be written in DICOM, expected at most {MAX_CHARACTERS} characters, "
            f"{MAX_PARTS} parts and no backslash"
        )
    return name


def written_organization(name: str) -> str:
    """Return an organization as DICOM can write it; `OutputError` when it cannot."""
    if not name.strip() or len(name) > MAX_CHARACTERS or "\\" in name or not name.isprintable():
        raise OutputError(
            f"the verifier's organization is {name!r}, expected 1 to {MAX_CHARACTERS} printable characters "
            "and no backslash"
        )
    return name
