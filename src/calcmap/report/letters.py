"""Which letters of the world this machine's fonts can draw into a PDF."""

from __future__ import annotations

from functools import lru_cache

USUAL_FONT = "DejaVu Sans"
"""Comes with matplotlib; has Latin, Greek, Cyrillic, Arabic and Hebrew letters."""
FURTHER_FONTS = (
    *("Noto Sans CJK JP", "Noto Sans CJK SC", "Noto Sans CJK KR", "Droid Sans Fallback", "WenQuanYi Zen Hei"),
    *("IPAGothic", "NanumGothic", "Noto Sans Thai", "Noto Sans Devanagari", "Hiragino Sans", "PingFang SC"),
    *("Yu Gothic", "Microsoft YaHei", "Malgun Gothic", "Arial Unicode MS"),
)
"""Fonts with the scripts of Asia, as Debian, macOS and Windows install them; those that are there are used."""
NO_LETTER = "?"


@lru_cache(maxsize=1)
def _letters_of() -> dict[str, frozenset[int]]:
    """Return the letters of each font, in the order in which a letter is looked for."""
    from matplotlib import font_manager

    installed = {one.name for one in font_manager.fontManager.ttflist}
    names = [USUAL_FONT, *(name for name in FURTHER_FONTS if name in installed)]
    return {name: frozenset(font_manager.get_font(font_manager.findfont(name)).get_charmap()) for name in names}


def fonts_for(text: str) -> list[str]:
    """Return the fonts that a text needs: the usual one, and others only for letters that it lacks."""
    fonts = _letters_of()
    return [USUAL_FONT] if all(ord(letter) in fonts[USUAL_FONT] for letter in text) else list(fonts)


def can_draw(text: str) -> bool:
    """Tell whether every letter of a text is in one of the fonts."""
    return all(any(ord(letter) in font for font in _letters_of().values()) for letter in text)


def drawable(text: str) -> str:
    """Return a text on one line, with a question mark for each letter that no font has."""
    return "".join(letter if can_draw(letter) else NO_LETTER for letter in " ".join(text.split()))
