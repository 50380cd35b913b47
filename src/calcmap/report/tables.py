"""Tables as files: CSV for programs, Markdown for pages, LaTeX for papers, all from the same cells."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

from calcmap.core.errors import InputError
from calcmap.io.text_files import write_texts

TABLES_FOLDER = "tables"
"""Of a study's folder."""
_LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "≥": r"$\geq$", "≤": r"$\leq$", "±": r"$\pm$", "²": r"\textsuperscript{2}", "³": r"\textsuperscript{3}",
    "κ": r"$\kappa$", "χ": r"$\chi$", "ρ": r"$\rho$", "–": "--", "−": "$-$", "×": r"$\times$",
}  # fmt: skip


@dataclass(frozen=True)
class TextTable:
    """A table as it is printed: every cell is text, formatted by whoever made it."""

    name: str
    """File name without suffix."""
    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""
    """Below the table: tests, definitions, what is simulated."""

    def __post_init__(self) -> None:
        """Refuse a row that does not have one cell for each column."""
        for row in self.rows:
            if len(row) != len(self.columns):
                raise InputError(f"table {self.name} has {len(self.columns)} columns and a row of {len(row)} cells")


def write_tables(tables: Iterable[TextTable], folder: Path) -> list[Path]:
    """Write each table as ``NAME.csv``, ``NAME.md`` and ``NAME.tex`` and return the paths; the folder is made.

    Raises
    ------
    OutputError
        The folder cannot be written.
    """
    texts = {}
    for table in tables:
        texts[f"{table.name}.csv"] = csv_text(table)
        texts[f"{table.name}.md"] = markdown_text(table)
        texts[f"{table.name}.tex"] = latex_text(table)
    return write_texts(texts, folder)


def csv_text(table: TextTable) -> str:
    """Return the header and the rows as CSV; title and note stay out, so that programs can read it."""
    text = StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(table.columns)
    writer.writerows(table.rows)
    return text.getvalue()


def markdown_text(table: TextTable) -> str:
    """Return title, pipe table and note as Markdown; the first column is aligned left, the others right."""
    lines = [f"**{_markdown(table.title)}**", "", _pipe_row(table.columns)]
    lines.append("|" + "|".join(["---", *["---:"] * (len(table.columns) - 1)]) + "|")
    lines += [_pipe_row(row) for row in table.rows]
    if table.note:
        lines += ["", _markdown(table.note)]
    return "\n".join(lines) + "\n"


def latex_text(table: TextTable) -> str:
    """Return a ``table`` environment with caption; needs the package booktabs."""
    columns = "l" + "r" * (len(table.columns) - 1)
    lines = [
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{_latex(table.title)}}}",
        rf"\label{{tab:{re.sub('[^a-z0-9]+', '-', table.name.lower())}}}",
        rf"\begin{{tabular}}{{{columns}}}",
        r"\toprule",
        _latex_row(table.columns),
        r"\midrule",
        *(_latex_row(row) for row in table.rows),
        r"\bottomrule",
        r"\end{tabular}",
    ]
    if table.note:
        lines.append(rf"\par\smallskip\footnotesize {_latex(table.note)}")
    return "\n".join([*lines, r"\end{table}"]) + "\n"


def _pipe_row(cells: tuple[str, ...]) -> str:
    return "| " + " | ".join(_markdown(cell) for cell in cells) + " |"


def _markdown(text: str) -> str:
    """Return text in which no sign that makes tables, tags or emphasis is left bare."""
    return re.sub(r"([\\|*_<>])", r"\\\1", " ".join(text.split()))


def _latex(text: str) -> str:
    return "".join(_LATEX.get(sign, sign) for sign in " ".join(text.split()))


def _latex_row(cells: tuple[str, ...]) -> str:
    return " & ".join(_latex(cell) for cell in cells) + r" \\"
