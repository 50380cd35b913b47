"""Figures for papers: one look, PDF and PNG, no window and no global state of matplotlib."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from calcmap.core.errors import OutputError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLUMN_INCHES = 3.5
"""Width of one column of a journal page (about 89 mm)."""
PNG_DPI = 300
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
"""Distinct to colour-blind readers (Okabe and Ito 2008)."""
GREY = "#555555"
FONT_POINTS = 8.0
FIGURES_FOLDER = "figures"
"""Of a study's folder."""


def new_figure(*, width_inches: float = COLUMN_INCHES, height_inches: float = COLUMN_INCHES) -> Figure:
    """Return an empty figure that no window system knows of."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width_inches, height_inches), layout="constrained")


def plain_axes(figure: Figure, *, title: str = "", x: str = "", y: str = "") -> Axes:
    """Return the one pair of axes of a figure, without frame above and at the right, in the fonts of all figures."""
    return style_axes(figure.add_subplot(), title=title, x=x, y=y)


def style_axes(axes: Axes, *, title: str = "", x: str = "", y: str = "") -> Axes:
    """Return the axes, without frame above and at the right, in the fonts of all figures."""
    axes.set_title(title, fontsize=FONT_POINTS + 1, loc="left")
    axes.set_xlabel(x, fontsize=FONT_POINTS)
    axes.set_ylabel(y, fontsize=FONT_POINTS)
    axes.tick_params(labelsize=FONT_POINTS)
    axes.spines[["top", "right"]].set_visible(False)
    return axes


def mark_simulated(figure: Figure) -> None:
    """Write above a figure that its patients are simulated, inside the picture, so that a copy of it says so too."""
    figure.suptitle("Simulated patients", fontsize=FONT_POINTS, fontstyle="italic", x=0.99, ha="right")


def save_figure(figure: Figure, folder: Path, *, name: str) -> list[Path]:
    """Write a figure as ``NAME.pdf`` and ``NAME.png`` and return both paths; the folder is made.

    The files hold no date and no name of a machine, so the same figure gives the same bytes.

    Raises
    ------
    OutputError
        The folder cannot be written.
    """
    pdf, png = folder / f"{name}.pdf", folder / f"{name}.png"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        figure.savefig(pdf, metadata={"CreationDate": None, "Creator": "CalcMap"})
        figure.savefig(png, dpi=PNG_DPI, metadata={"Software": "CalcMap"})
    except OSError as error:
        raise OutputError(f"cannot write {folder}: {error.strerror or error}") from error
    return [pdf, png]


def write_figures(figures: Mapping[str, Figure], folder: Path) -> dict[str, bytes]:
    """Write figures by file name as PDF and PNG and return each PNG's bytes, for a page that shows them.

    Raises
    ------
    OutputError
        The folder cannot be written.
    """
    pictures = {}
    for name, figure in figures.items():
        _, png = save_figure(figure, folder, name=name)
        pictures[name] = png.read_bytes()
    return pictures
