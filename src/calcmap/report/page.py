"""A report as one HTML file: sentences, tables and pictures in order, numbered, with nothing to load and no script.

Who writes a report says what stands where; how it looks, and that a reader of screens finds their way, is here.
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass
from html import escape
from importlib import resources
from io import BytesIO
from pathlib import Path
from string import Template

from PIL import Image

from calcmap.core.errors import OutputError
from calcmap.report.tables import TextTable

REPORT_FILE = "report.html"
"""In the folder of a study."""

CSS_PER_INCH = 96.0
"""Pixels of a style sheet in an inch, by definition."""
PICTURE_DPI = 300.0
"""What `calcmap.report.figures.save_figure` writes; with it a picture is as wide on the page as it was drawn."""
SCREEN_ENLARGEMENT = 1.5
"""Pictures are shown larger than in print, for letters of 8 points to be read at arm's length (our choice)."""

NO_BREAK = "\N{NO-BREAK SPACE}"
_REFERENCE = re.compile(r"\[\[([A-Za-z0-9_.-]+)\]\]")
_LIMITS = re.compile(r"\([^()]* to [^()]*\)")
_BOUND = re.compile(r" (?=%)|(?<=\d) (?=patient)|(?<=\bp) (?=[<=]|\d)|(?<=[<=]) (?=\d)")
"""Spaces at which no line ends: before a per cent sign, in ``p = 0.02``, between a number and what it counts."""


@dataclass(frozen=True)
class Paragraph:
    """Sentences; ``[[NAME]]`` in one becomes a link to the table or picture of that name."""

    sentences: tuple[str, ...]
    is_result: bool = False
    """Whether it tells results: in a simulated study each of its sentences says so."""
    is_note: bool = False


@dataclass(frozen=True)
class Picture:
    """A figure of the report."""

    name: str
    png: bytes
    caption: str
    alt: str
    """What it shows, for who cannot see it."""


Block = Paragraph | Picture | TextTable


@dataclass(frozen=True)
class Section:
    """A heading with what stands under it."""

    heading: str
    blocks: tuple[Block, ...]
    is_part: bool = False
    """Whether it belongs under the section before it."""


@dataclass(frozen=True)
class Page:
    """A whole report."""

    title: str
    lead: str
    sections: tuple[Section, ...]
    made_by: str
    is_simulated: bool = False


def render_page(page: Page) -> str:
    """Return the page as HTML; tables and pictures are numbered in the order in which they come."""
    numbers = _numbers(page)
    pieces = {
        "title": escape(page.title),
        "lead": escape(page.lead),
        "made_by": escape(page.made_by),
        "footer": f"{escape(page.made_by)}. Not a medical device.",
        "banner": '<p class="banner" role="note">Simulated patients: no number here is of real people.</p>\n'
        if page.is_simulated
        else "",
        "contents": "\n".join(
            f'<li><a href="#s{k}">{escape(section.heading)}</a></li>'
            for k, section in enumerate(page.sections)
            if not section.is_part
        ),
        "sections": "\n".join(_section(section, k, numbers) for k, section in enumerate(page.sections)),
        "style": _template("page.css").strip(),
    }
    return Template(_template("page.html")).substitute(pieces)


def save_page(page: Page, path: Path) -> Path:
    """Write the page to a file and return its path; the folder is made.

    Raises
    ------
    OutputError
        The file cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(render_page(page), encoding="utf-8")
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror or error}") from error
    return path


def _numbers(page: Page) -> dict[str, str]:
    """Return "Table 2" and the like by name."""
    blocks = [block for section in page.sections for block in section.blocks]
    tables = [block.name for block in blocks if isinstance(block, TextTable)]
    pictures = [block.name for block in blocks if isinstance(block, Picture)]
    return {name: f"Table {k}" for k, name in enumerate(tables, start=1)} | {
        f"figure.{name}": f"Figure {k}" for k, name in enumerate(pictures, start=1)
    }


def _section(section: Section, k: int, numbers: dict[str, str]) -> str:
    level = 3 if section.is_part else 2
    heading = f'<h{level} id="s{k}">{escape(section.heading)}</h{level}>'
    return "\n".join([heading, *(_block(block, numbers) for block in section.blocks)])


def _block(block: Block, numbers: dict[str, str]) -> str:
    if isinstance(block, Paragraph):
        return _paragraph(block, numbers)
    return _table(block, numbers) if isinstance(block, TextTable) else _picture(block, numbers)


def _paragraph(paragraph: Paragraph, numbers: dict[str, str]) -> str:
    kinds = [name for name, holds in (("result", paragraph.is_result), ("note", paragraph.is_note)) if holds]
    kind = f' class="{" ".join(kinds)}"' if kinds else ""
    text = " ".join(_linked(sentence, numbers) for sentence in paragraph.sentences)
    return f"<p{kind}>{text}</p>"


def _linked(sentence: str, numbers: dict[str, str]) -> str:
    def link(found: re.Match[str]) -> str:
        name = found.group(1)
        return f'<a href="#{_anchor(name)}">{numbers[name]}</a>' if name in numbers else found.group(0)

    return _REFERENCE.sub(link, escape(_bound(sentence), quote=False))


def _bound(text: str) -> str:
    return _BOUND.sub(NO_BREAK, text)


def _cell(text: str) -> str:
    """Return a cell in which limits stay on one line."""
    return escape(_LIMITS.sub(lambda found: found.group(0).replace(" ", NO_BREAK), _bound(text)))


def _table(table: TextTable, numbers: dict[str, str]) -> str:
    anchor = _anchor(table.name)
    lines = [
        f'<div class="table" role="region" tabindex="0" aria-labelledby="{anchor}-caption">',
        f'<table id="{anchor}">',
        f'<caption id="{anchor}-caption"><b>{numbers[table.name]}.</b> {escape(table.title)}</caption>',
        f"<thead><tr>{''.join(map(_column_head, table.columns))}</tr></thead>",
        "<tbody>",
        *(f"<tr>{_row(row)}</tr>" for row in table.rows),
        "</tbody>",
        "</table>",
        "</div>",
    ]
    note = f'<p class="note">{escape(_bound(table.note), quote=False)}</p>'
    return "\n".join([*lines, note] if table.note else lines)


def _column_head(name: str) -> str:
    return f'<th scope="col">{escape(name) if name else _hidden("row")}</th>'


def _row(cells: tuple[str, ...]) -> str:
    head = f'<th scope="row">{escape(cells[0]) if cells[0] else _hidden("continued")}</th>'
    return head + "".join(f"<td>{_cell(cell)}</td>" for cell in cells[1:])


def _hidden(text: str) -> str:
    return f'<span class="visually-hidden">{text}</span>'


def _picture(picture: Picture, numbers: dict[str, str]) -> str:
    with Image.open(BytesIO(picture.png)) as image:
        width, height = image.size
    shown = width / PICTURE_DPI * CSS_PER_INCH * SCREEN_ENLARGEMENT
    data = base64.b64encode(picture.png).decode("ascii")
    number = numbers[f"figure.{picture.name}"]
    return (
        f'<figure id="{_anchor("figure." + picture.name)}" style="max-width: {shown:.0f}px">\n'
        f'<img src="data:image/png;base64,{data}" width="{width}" height="{height}" alt="{escape(picture.alt)}">\n'
        f"<figcaption><b>{number}.</b> {escape(picture.caption, quote=False)}</figcaption>\n"
        "</figure>"
    )


def _anchor(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9-]+", "-", name if name.startswith("figure.") else f"table-{name}")


def _template(name: str) -> str:
    return resources.files("calcmap.report").joinpath("templates", name).read_text(encoding="utf-8")
