"""Colours, letters and line breaking for every picture of this room."""

from __future__ import annotations

import unicodedata
from functools import lru_cache
from typing import TypeAlias

from PIL import ImageDraw, ImageFont

from calcmap.core.scan import Severity

Rgb: TypeAlias = tuple[int, int, int]
Font: TypeAlias = ImageFont.FreeTypeFont | ImageFont.ImageFont

BACKGROUND: Rgb = (16, 18, 22)
PANEL: Rgb = (27, 30, 36)
WHITE: Rgb = (240, 242, 245)
TEXT: Rgb = (205, 210, 218)
DIM: Rgb = (146, 154, 166)
DARK: Rgb = (18, 18, 20)
AMBER: Rgb = (245, 190, 90)

CORONARY: Rgb = (255, 76, 66)
CORONARY_FILL: Rgb = (110, 44, 44)
NONCORONARY: Rgb = (64, 224, 128)
HEART: Rgb = (240, 214, 96)
"""Red and green also differ by line: coronary is solid and filled, noncoronary dashed and open."""

CATEGORY_COLOURS: tuple[Rgb, Rgb, Rgb, Rgb] = ((72, 176, 164), (240, 214, 96), (245, 158, 74), (236, 92, 72))
"""Categories 0 to 3; the lightness falls with the last three, so they differ without colour too."""
REFUSED_COLOUR: Rgb = (190, 196, 206)
SEVERITY_COLOURS: dict[Severity, Rgb] = {
    Severity.REFUSE: (236, 92, 72),
    Severity.WARNING: AMBER,
    Severity.INFO: (110, 168, 220),
}
ELLIPSIS = "..."
_WRITTEN_OUT = str.maketrans({"≥": ">=", "≤": "<=", "µ": "u", "–": "-", "−": "-", "×": "x", "ß": "ss"})


@lru_cache(maxsize=16)
def font(size_px: int) -> Font:
    """Return Pillow's own letters at a size; no font file is needed."""
    return ImageFont.load_default(size=size_px)


def writable(text: str) -> str:
    """Return ``text`` in signs that Pillow's letters have: accents dropped, powers on the line, others as ``"?"``."""
    plain = unicodedata.normalize("NFKD", text.translate(_WRITTEN_OUT))
    return "".join(sign if sign.isascii() else "?" for sign in plain if not unicodedata.combining(sign))


def text_width_px(text: str, size_px: int) -> int:
    """Return the width of one line of text, pixels, rounded up."""
    return int(font(size_px).getlength(text)) + 1


def clip_text(text: str, size_px: int, *, width_px: int) -> str:
    """Return ``text`` on one line, its end replaced by an ellipsis where it is wider than ``width_px``.

    Signs that Pillow's letters lack are written out.
    """
    text = " ".join(writable(text).split())
    if text_width_px(text, size_px) <= width_px:
        return text
    low, high = 0, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        fits = text_width_px(text[:middle].rstrip() + ELLIPSIS, size_px) <= width_px
        low, high = (middle, high) if fits else (low, middle - 1)
    return text[:low].rstrip() + ELLIPSIS


def wrap_text(text: str, size_px: int, *, width_px: int, max_lines: int) -> list[str]:
    """Return ``text`` in at most ``max_lines`` lines of ``width_px``; what is left over ends in an ellipsis.

    Lines break at spaces; a word wider than a line is cut.
    """
    words = writable(text).split()
    lines: list[str] = []
    while words and len(lines) < max_lines - 1:
        n_words = 1
        while n_words < len(words) and text_width_px(" ".join(words[: n_words + 1]), size_px) <= width_px:
            n_words += 1
        lines.append(clip_text(" ".join(words[:n_words]), size_px, width_px=width_px))
        words = words[n_words:]
    if words:
        lines.append(clip_text(" ".join(words), size_px, width_px=width_px))
    return lines


def draw_text(
    draw: ImageDraw.ImageDraw, at_px: tuple[int, int], text: str, size_px: int, colour: Rgb, *, anchor: str = "la"
) -> None:
    """Draw one line; ``anchor`` as Pillow names it (``la``: left and top of the letters)."""
    draw.text(at_px, text, fill=colour, font=font(size_px), anchor=anchor)


def draw_shadowed(
    draw: ImageDraw.ImageDraw, at_px: tuple[int, int], text: str, size_px: int, colour: Rgb, *, anchor: str
) -> None:
    """Draw one line with a dark rim, to be read on any grey."""
    draw.text(at_px, text, fill=colour, font=font(size_px), anchor=anchor, stroke_width=2, stroke_fill=DARK)


def draw_chip(draw: ImageDraw.ImageDraw, at_px: tuple[int, int], text: str, size_px: int, colour: Rgb) -> int:
    """Draw a filled label with dark letters; return the pixel column where it ends."""
    x, y = at_px
    right = x + text_width_px(text, size_px) + size_px
    bottom = y + round(1.6 * size_px)
    draw.rounded_rectangle((x, y, right, bottom), radius=size_px // 3, fill=colour)
    draw.text(((x + right) // 2, (y + bottom) // 2), text, fill=DARK, font=font(size_px), anchor="mm")
    return right
