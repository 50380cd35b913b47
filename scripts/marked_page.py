"""Tables that scripts write into pages of the documentation, between markers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path


def write_sections(page: Path, sections: Mapping[str, str]) -> None:
    """Write sections anew between ``<!-- NAME -->`` and ``<!-- /NAME -->`` of a page; the page stays whole on an error.

    Raises
    ------
    SystemExit
        A section does not stand on the page exactly once.
    """
    text = page.read_text(encoding="utf-8")
    for name, body in sections.items():
        pattern = re.compile(rf"(<!-- {re.escape(name)} -->\n).*?(<!-- /{re.escape(name)} -->)", re.DOTALL)
        if len(pattern.findall(text)) != 1:
            raise SystemExit(f"{page} has {len(pattern.findall(text))} sections {name}, expected 1")
        found = pattern.search(text)
        if found is not None:  # always; said for the type checker
            text = f"{text[: found.end(1)]}{body}\n{text[found.start(2) :]}"
    page.write_text(text, encoding="utf-8")
