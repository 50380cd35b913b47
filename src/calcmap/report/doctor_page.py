"""The one page that a referring doctor reads: score, what it means, where the calcium is, how far to trust it."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from datetime import datetime
from io import BytesIO
from typing import TYPE_CHECKING

from calcmap.core.result import DISCLAIMER, Category, ClassScore, Percentile, StudyResult
from calcmap.core.scan import Severity
from calcmap.core.volume import Labels, Volume
from calcmap.report import overview, planes
from calcmap.report.letters import drawable, fonts_for
from calcmap.report.overview import confidence_line, format_score, method_lines, what_may_be_shown

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WIDTH_MM, HEIGHT_MM = 210.0, 297.0
EDGE_MM = 14.0
MIDDLE_MM = 112.0
"""Where the right column begins."""
MM_PER_INCH = 25.4
PICTURE_MM, PICTURE_PX = 55.0, 420
PICTURE_STEP_MM = (62.0, 63.5)
"""From one picture to the next: across, and down with its caption."""
PICTURES_TOP_MM = 136.5
N_PICTURES, N_COLUMNS = 6, 3
CAPTION_PX = 320
"""Width of a caption in the pixels that `overview.slice_lines` counts in."""
MAX_FLAGS = 4
"""Flags, and lines for all of them together: a grave one may take several."""
FULL_LINE, HALF_LINE = 128, 60
"""Letters on a line of small print: over the page, in the right column."""
STATUS_LETTERS = 62
NAME_POINTS, NAME_POINT_LETTERS = 11.0, 290.0
"""Size of the patient's name; long names are printed smaller, so that size times letters fits the left column."""
SMALL, PLAIN, LARGE, HUGE = 7.2, 9.0, 15.0, 44.0
LINE_MM = 3.4
"""From one line of small print to the next."""
INK, GREY, WARNING, PALE = "#15181d", "#5a6370", "#a33327", "#eef0f3"

TITLE = "Coronary calcium"
SUBTITLE = "scored on the attenuation-correction CT of a nuclear heart study"
NOT_GIVEN = "not given"
PERCENTILE_NEEDS = "the scan does not tell sex and age, or the age is outside the reference tables"
REFERENCE_PEOPLE = {
    "hoff2001": "Hoff 2001, people without symptoms",
    "mesa2006": "MESA 2006, 45 to 84 years, no known heart disease",
}
"""Whom a percentile compares with."""
ARTERIAL_AGE_VALIDITY = "McClelland 2009, from MESA: 45 to 84 years, no known heart disease"
CAUTION = (
    "Reference people had dedicated calcium scans; this CT is ungated and of low dose: percentile and arterial age are "
    "estimates."
)
LEGEND = "Red, filled: coronary calcium. Green, dashed: other calcium. Yellow: heart. Slices are counted from the feet."


@dataclass(frozen=True)
class PageSubject:
    """Whose page it is, as it is printed.

    Parameters
    ----------
    names : tuple of str
        The patient's name in each script, at least one.
    left, right : tuple of (str, str)
        What else tells patient and study apart: label and value.
    status : str
        Whether a physician has verified the result, and who.
    is_verified : bool
        Sets the colour of the status.
    made_at : datetime
        Stands in the file and on the page.
    """

    names: tuple[str, ...]
    left: tuple[tuple[str, str], ...]
    right: tuple[tuple[str, str], ...]
    status: str
    is_verified: bool
    made_at: datetime


def page_pdf(result: StudyResult, volume: Volume | None, labels: Labels | None, *, subject: PageSubject) -> bytes:
    """Return `draw_page` as a PDF of one page; its properties hold no patient's name."""
    held = BytesIO()
    details = {"Title": "CalcMap report", "Creator": "CalcMap", "CreationDate": subject.made_at}
    draw_page(result, volume, labels, subject=subject).savefig(held, format="pdf", metadata=details)
    return held.getvalue()


def draw_page(result: StudyResult, volume: Volume | None, labels: Labels | None, *, subject: PageSubject) -> Figure:
    """Return the page as a figure in the size of A4.

    From top to bottom: status; patient and study; score, category, percentile and arterial age with whom they hold for;
    the vessels; up to six slices with the lesions marked; quality flags; rule, networks, software; the disclaimer. A
    refused study has its reason where the score would stand, and no calcium marked.

    Parameters
    ----------
    result : StudyResult
        All numbers come from it.
    volume : Volume or None
        The CT; without one there are no pictures.
    labels : Labels or None
        Heart and calcium on the CT's grid.
    subject : PageSubject
        Whose page it is.

    Returns
    -------
    Figure
        Known to no window system.
    """
    from matplotlib.figure import Figure

    page = Figure(figsize=(WIDTH_MM / MM_PER_INCH, HEIGHT_MM / MM_PER_INCH))
    _head(page, subject)
    if result.coronary is None or result.category is None:
        _refusal(page, result)
    else:
        _score(page, result, result.coronary, result.category)
        _reference_people(page, result)
        _table(page, result)
    if volume is not None:
        _pictures(page, result, volume, labels)
    _flags(page, result)
    _method(page, result, subject)
    return page


def _text(
    page: Figure, at_mm: tuple[float, float], words: str, *, size: float = PLAIN, colour: str = INK, bold: bool = False,
    anchor: str = "left",
) -> None:  # fmt: skip
    """Write one line; ``at_mm`` runs from the page's upper left corner to the letters' base line."""
    line = drawable(words)
    fonts = fonts_for(line)
    page.text(
        at_mm[0] / WIDTH_MM,
        1 - at_mm[1] / HEIGHT_MM,
        line,
        fontsize=size,
        color=colour,
        fontweight="bold" if bold and len(fonts) == 1 else "normal",  # fonts of Asia often have no bold face
        ha=anchor,
        family=fonts,
        parse_math=False,  # a name may hold any sign
    )


def _lines(page: Figure, at_mm: tuple[float, float], words: str, *, letters: int, most: int, **style: str) -> float:
    """Write small print over several lines; return where the next line would stand."""
    x, y = at_mm
    for line in textwrap.wrap(words, letters, max_lines=most, placeholder=" ..."):
        _text(page, (x, y), line, size=SMALL, colour=style.get("colour", GREY))
        y += LINE_MM
    return y


def _band(page: Figure, top_mm: float, height_mm: float, *, colour: str) -> None:
    from matplotlib.patches import Rectangle

    low = 1 - (top_mm + height_mm) / HEIGHT_MM
    page.add_artist(Rectangle((0, low), 1, height_mm / HEIGHT_MM, facecolor=colour, edgecolor="none", zorder=-1))


def _head(page: Figure, subject: PageSubject) -> None:
    _text(page, (EDGE_MM, 14), TITLE, size=LARGE, bold=True)
    _text(page, (EDGE_MM, 19.5), SUBTITLE, colour=GREY)
    status_colour = INK if subject.is_verified else WARNING
    _text(
        page,
        (WIDTH_MM - EDGE_MM, 14),
        _clipped(subject.status, STATUS_LETTERS),
        bold=True,
        colour=status_colour,
        anchor="right",
    )
    _text(page, (WIDTH_MM - EDGE_MM, 19.5), DISCLAIMER, size=SMALL, colour=WARNING, anchor="right")
    _band(page, 23, 26, colour=PALE)
    y = 28.5
    first, others = subject.names[0], " / ".join(subject.names[1:])
    _text(page, (EDGE_MM, y), first, size=min(NAME_POINTS, NAME_POINT_LETTERS / max(1, len(first))), bold=True)
    _text(page, (EDGE_MM, y + 5), others)
    _pairs(page, (EDGE_MM, y + 10 if others else y + 5), subject.left)
    _pairs(page, (MIDDLE_MM, 28.5), subject.right)


def _pairs(page: Figure, at_mm: tuple[float, float], pairs: tuple[tuple[str, str], ...]) -> None:
    x, y = at_mm
    for label, value in pairs:
        _text(page, (x, y), label, size=SMALL, colour=GREY)
        _text(page, (x + 22, y), _clipped(value, HALF_LINE - 14) or "-", size=8)
        y += 4.2


def _clipped(words: str, letters: int) -> str:
    return words if len(words) <= letters else words[: letters - 3] + "..."


def _score(page: Figure, result: StudyResult, coronary: ClassScore, category: Category) -> None:
    _text(page, (EDGE_MM, 70), format_score(coronary.agatston), size=HUGE, bold=True)
    _text(page, (EDGE_MM, 76), "Agatston score", colour=GREY)
    _text(page, (EDGE_MM, 83), f"Category {category.name}   {category.cac_drs}", size=12, bold=True)
    _text(page, (EDGE_MM, 88), confidence_line(result), size=SMALL, colour=GREY)
    if coronary.agatston == 0:
        _text(page, (EDGE_MM, 92), overview.NO_CALCIUM, size=SMALL, colour=GREY)


def _reference_people(page: Figure, result: StudyResult) -> None:
    y = 57.0
    for percentile in result.percentiles:
        y = _percentile(page, percentile, y)
    if not result.percentiles:
        _text(page, (MIDDLE_MM, y), f"Percentile: {NOT_GIVEN}", bold=True)
        y = _lines(page, (MIDDLE_MM, y + 3.8), PERCENTILE_NEEDS, letters=HALF_LINE, most=2) + 1.5
    age = result.arterial_age_years
    _text(page, (MIDDLE_MM, y), f"Arterial age: {NOT_GIVEN if age is None else f'{age:.0f} years'}", bold=True)
    if age is not None:
        _lines(page, (MIDDLE_MM, y + 3.8), ARTERIAL_AGE_VALIDITY, letters=HALF_LINE, most=2)
        _lines(page, (EDGE_MM, 97), CAUTION, letters=FULL_LINE, most=1)


def _percentile(page: Figure, percentile: Percentile, y: float) -> float:
    _text(page, (MIDDLE_MM, y), f"Percentile: {percentile.percentile:.0f} among {percentile.group}", bold=True)
    people = REFERENCE_PEOPLE.get(percentile.reference, percentile.reference)
    return _lines(page, (MIDDLE_MM, y + 3.8), f"{people}; {percentile.detail}", letters=HALF_LINE, most=2) + 1.5


def _refusal(page: Figure, result: StudyResult) -> None:
    _text(page, (EDGE_MM, 64), "No score", size=26, bold=True, colour=WARNING)
    _text(page, (EDGE_MM, 71), f"The scan was refused: {result.reason_code}", bold=True)
    y = 77.0
    for line in textwrap.wrap(result.reason or "", 100, max_lines=4, placeholder=" ..."):
        _text(page, (EDGE_MM, y), line)
        y += 4.6
    _text(page, (EDGE_MM, y + 3), "This is not a score of 0: nothing is said about calcium.", bold=True)


def _table(page: Figure, result: StudyResult) -> None:
    columns_mm = (EDGE_MM, 70.0, 100.0, 130.0, 160.0)
    heads = ("", "Agatston", "volume mm³", "mass mg", "lesions")
    rows = [(vessel.value, score) for vessel, score in result.vessels.items()]
    rows += [(name, score) for name, score in (("All coronary", result.coronary), ("Noncoronary", result.noncoronary))
             if score is not None]  # fmt: skip
    _band(page, 100, 5, colour=PALE)
    for x, head in zip(columns_mm, heads, strict=True):
        _text(page, (x, 103.5), head, size=SMALL, colour=GREY, anchor="right" if head else "left")
    y = 109.0
    for name, score in rows:
        mass = "-" if score.mass_mg is None else f"{score.mass_mg:.1f}"
        cells = (name, format_score(score.agatston), f"{score.volume_mm3:.0f}", mass, str(score.n_lesions))
        for x, cell in zip(columns_mm, cells, strict=True):
            _text(page, (x, y), cell, size=8, bold=name == "All coronary", anchor="left" if x == EDGE_MM else "right")
        y += 4.2


def _pictures(page: Figure, result: StudyResult, volume: Volume, labels: Labels | None) -> None:
    legend = overview.CALCIUM_NOT_SHOWN if result.coronary is None else LEGEND
    _text(page, (EDGE_MM, PICTURES_TOP_MM - 1.5), legend, size=6.4, colour=GREY)
    labels = None if labels is None else what_may_be_shown(labels, result)
    box = planes.heart_box(labels)
    z = box.z if box else slice(0, volume.grid.shape_zyx[0])
    frame = planes.frame_around(volume, box)
    shown = overview.choose_slices(result, first=z.start, last=z.stop - 1, at_most=N_PICTURES)
    for place, index in enumerate(shown):
        x_mm = EDGE_MM + (place % N_COLUMNS) * PICTURE_STEP_MM[0]
        y_mm = PICTURES_TOP_MM + (place // N_COLUMNS) * PICTURE_STEP_MM[1]
        picture = planes.axial_picture(volume, labels, index=index, frame=frame, side_px=PICTURE_PX)
        low = 1 - (y_mm + PICTURE_MM) / HEIGHT_MM
        axes = page.add_axes((x_mm / WIDTH_MM, low, PICTURE_MM / WIDTH_MM, PICTURE_MM / HEIGHT_MM))
        axes.imshow(picture, interpolation="none")
        axes.set_axis_off()
        z_mm = volume.grid.lps_mm((index, 0, 0))[2]
        captions = overview.slice_lines(result, index=index, z_mm=z_mm, width_px=CAPTION_PX)
        for row, caption in enumerate(captions):
            _text(page, (x_mm, y_mm + PICTURE_MM + 3 + 3 * row), caption, size=6.4, colour=GREY)


def _flags(page: Figure, result: StudyResult) -> None:
    order = list(reversed(Severity))
    flags = sorted(result.quality, key=lambda flag: order.index(flag.severity))
    n_left = max(0, len(flags) - MAX_FLAGS)
    heading = "Quality: nothing noticed" if not flags else f"Quality ({n_left} more flags)" if n_left else "Quality"
    _text(page, (EDGE_MM, 265.5), heading, size=8, bold=True)
    shown, top_mm, y = flags[:MAX_FLAGS], 268.8, 268.8
    for place, flag in enumerate(shown):
        colour = GREY if flag.severity is Severity.INFO else WARNING
        words = f"{flag.severity.value}: {flag.code}: {flag.detail}"
        # lines that no later flag needs are there for long words, the gravest first
        free = MAX_FLAGS - round((y - top_mm) / LINE_MM) - (len(shown) - place - 1)
        y = _lines(page, (EDGE_MM, y), words, letters=FULL_LINE, most=free, colour=colour)


def _method(page: Figure, result: StudyResult, subject: PageSubject) -> None:
    words = "Method: " + ". ".join(method_lines(result))
    _lines(page, (EDGE_MM, 283.2), words, letters=FULL_LINE, most=3)
    made = f"Made {subject.made_at:%Y-%m-%d %H:%M} by CalcMap {result.provenance.version}. {DISCLAIMER}"
    _text(page, (EDGE_MM, HEIGHT_MM - 3), made, size=6.4, colour=WARNING)


__all__ = ["PageSubject", "draw_page", "page_pdf"]
