"""Text finds its place: clipped, wrapped and in signs the letters have."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from calcmap.report.drawing import ELLIPSIS, clip_text, draw_chip, text_width_px, wrap_text, writable

TEXT = st.text(st.characters(min_codepoint=32, max_codepoint=0x24F), max_size=120)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("12 mm²", "12 mm2"), ("≥ 3 mm³", ">= 3 mm3"), ("Gräni", "Grani"), ("Ω-1 × 2", "?-1 x 2"), ("plain", "plain")],
)
def test_signs_without_letters_are_written_out(text: str, expected: str) -> None:
    assert writable(text) == expected


def test_text_that_fits_is_left_alone() -> None:
    assert clip_text("short", 20, width_px=500) == "short"


@given(text=TEXT, width_px=st.integers(60, 600))
@settings(max_examples=25, deadline=None)
def test_clipped_text_is_never_wider_than_its_place(text: str, width_px: int) -> None:
    assert text_width_px(clip_text(text, 20, width_px=width_px), 20) <= width_px


@given(text=TEXT, width_px=st.integers(60, 600), max_lines=st.integers(1, 5))
@settings(max_examples=25, deadline=None)
def test_wrapped_text_keeps_width_and_number_of_lines(text: str, width_px: int, max_lines: int) -> None:
    lines = wrap_text(text, 20, width_px=width_px, max_lines=max_lines)
    assert len(lines) <= max_lines
    assert all(text_width_px(line, 20) <= width_px for line in lines)


def test_wrapping_loses_no_word_when_there_is_room() -> None:
    text = "the lowest slice holds 60% of the heart's largest cross-section, expected none"
    lines = wrap_text(text, 20, width_px=200, max_lines=20)
    assert len(lines) > 2
    assert " ".join(lines) == text


def test_what_finds_no_room_ends_in_an_ellipsis() -> None:
    assert wrap_text("word " * 50, 20, width_px=200, max_lines=2)[-1].endswith(ELLIPSIS)


def test_a_word_wider_than_a_line_is_cut() -> None:
    first, second = wrap_text("x" * 100 + " end", 20, width_px=100, max_lines=2)
    assert first.endswith(ELLIPSIS)
    assert second == "end"


def test_no_text_is_no_line() -> None:
    assert wrap_text("  ", 20, width_px=100, max_lines=3) == []


def test_a_chip_ends_where_it_says() -> None:
    picture = Image.new("RGB", (300, 60))
    end = draw_chip(ImageDraw.Draw(picture), (10, 10), "101-400", 20, (200, 100, 50))
    left, _, right, _ = picture.getbbox() or (0, 0, 0, 0)
    assert (left, right) == (10, end + 1)
