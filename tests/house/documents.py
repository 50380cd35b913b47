"""The project's Markdown pages, taken apart for the tests of this folder."""

from __future__ import annotations

import importlib.util
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
RUN_MARK = re.compile(r"^<!-- run(?:, needs (?P<needs>\w+))? -->$")
"""Stands on the line before a block of commands that the tests execute; it may name a package that they need."""

FENCE = re.compile(r"^```(?P<language>\w*)\s*$")
LINK = re.compile(r"(?<!!)\[[^\]]*\]\((?P<target>[^)\s]+)\)|!\[[^\]]*\]\((?P<image>[^)\s]+)\)")


@dataclass(frozen=True)
class Block:
    """One fenced block of a page."""

    page: Path
    line: int
    language: str
    text: str
    is_run: bool
    needs: str = ""
    """Package without which the block cannot run."""

    @property
    def id(self) -> str:
        """Return page and line, for test names."""
        return f"{self.page.relative_to(PROJECT)}:{self.line}"


def has_module(name: str) -> bool:
    """Tell whether a module can be found, without importing it (its packages are); an empty folder is none."""
    try:
        spec = importlib.util.find_spec(name)
    except ModuleNotFoundError:
        return False
    return spec is not None and spec.origin is not None


def pages() -> list[Path]:
    """Return every Markdown page that belongs to the project."""
    return [*sorted(PROJECT.glob("*.md")), *sorted((PROJECT / "docs").rglob("*.md"))]


def blocks(page: Path) -> list[Block]:
    """Return the fenced blocks of a page."""
    found: list[Block] = []
    language, start, mark, inside = "", 0, None, False
    lines = page.read_text(encoding="utf-8").splitlines()
    for number, line in enumerate(lines, start=1):
        fence = FENCE.match(line.strip())
        if inside and line.strip() == "```":
            text = "\n".join(lines[start : number - 1])
            found.append(Block(page, start, language, text, mark is not None, (mark and mark["needs"]) or ""))
            inside = False
        elif not inside and fence:
            inside, language, start = True, fence["language"], number
            mark = RUN_MARK.match(lines[number - 2].strip()) if number > 1 else None
    return found


def prose(page: Path) -> str:
    """Return a page without its fenced blocks."""
    return re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)


def shell_blocks() -> list[Block]:
    """Return every block of shell commands in every page."""
    return [block for page in pages() for block in blocks(page) if block.language == "bash"]


def commands(block: Block) -> Iterator[list[str]]:
    """Yield the words of each command in a shell block; lines that end in a backslash go on."""
    for line in block.text.replace("\\\n", " ").splitlines():
        words = shlex.split(line, comments=True)
        if words:
            yield words


def links(page: Path) -> list[str]:
    """Return the targets of the links and pictures in a page's prose."""
    return [match["target"] or match["image"] for match in LINK.finditer(prose(page))]


def anchors(page: Path) -> set[str]:
    """Return the anchors that headings make, as GitHub spells them."""
    headings = re.findall(r"^#+\s+(.*)$", prose(page), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def sections(page: Path, *, level: int) -> dict[str, str]:
    """Return the text under each heading of a level, backticks removed from the heading; fenced blocks stay in."""
    pieces = re.split(rf"^{'#' * level} (.*)$", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {title.replace("`", "").strip(): text for title, text in zip(pieces[1::2], pieces[2::2], strict=True)}
