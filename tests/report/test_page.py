from __future__ import annotations

import re
from html.parser import HTMLParser
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from calcmap.core.errors import OutputError
from calcmap.report.page import Page, Paragraph, Picture, Section, render_page, save_page
from calcmap.report.tables import TextTable

VOID = {"meta", "img", "link", "br", "input"}


class Reader(HTMLParser):
    """Collect tags, and complain of one that is closed in the wrong place."""

    def __init__(self) -> None:
        """Start with nothing open."""
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def read(html: str) -> Reader:
    reader = Reader()
    reader.feed(html)
    assert reader.open == []
    return reader


def png() -> bytes:
    held = BytesIO()
    Image.new("RGB", (300, 150), "white").save(held, format="png")
    return held.getvalue()


def page(*, is_simulated: bool = False, sentence: str = "See [[kappa]], [[figure.km]] and [[none]].") -> Page:
    table = TextTable(
        "kappa", "A <b> & c", ("", "x (95 % interval)"), (("a<b", "0.8 (0.7 to 0.9)"),), note="5 % & more"
    )
    picture = Picture("km", png(), "Curves.", alt='Curves of "all"')
    sections = (
        Section("First", (Paragraph((sentence,), is_result=True), table)),
        Section("Part", (picture,), is_part=True),
    )
    return Page("T <1>", "lead", sections, made_by="Made by a test", is_simulated=is_simulated)


def test_a_page_is_well_formed_and_says_its_language() -> None:
    reader = read(render_page(page()))
    assert reader.all("html") == [{"lang": "en"}]
    assert [tag for tag, _ in reader.tags if tag in ("h1", "h2", "h3")] == ["h1", "h2", "h3"]
    assert len(reader.all("main")) == 1


def test_a_page_loads_nothing_and_runs_nothing() -> None:
    html = render_page(page())
    reader = read(html)
    assert not reader.all("script")
    assert not reader.all("link")
    assert all(str(image["src"]).startswith("data:image/png;base64,") for image in reader.all("img"))
    assert not re.search(r"https?://|url\(|@import", html)


def test_every_link_has_a_target() -> None:
    reader = read(render_page(page()))
    ids = [attributes["id"] for _, attributes in reader.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    links = [str(each["href"]) for each in reader.all("a")]
    assert {link.removeprefix("#") for link in links} <= set(ids)


def test_references_become_numbers_and_unknown_ones_stay() -> None:
    html = render_page(page())
    assert '<a href="#table-kappa">Table 1</a>, <a href="#figure-km">Figure 1</a> and [[none]].' in html


def test_text_cannot_become_markup() -> None:
    html = render_page(page(sentence="<script>alert(1)</script> [[kappa]]"))
    assert "<script" not in html
    assert "A &lt;b&gt; &amp; c" in html
    assert "<title>T &lt;1&gt;</title>" in html


def test_cells_have_heads_and_limits_stay_together() -> None:
    html = render_page(page())
    reader = read(html)
    assert [each["scope"] for each in reader.all("th")] == ["col", "col", "row"]
    assert "0.8 (0.7\N{NO-BREAK SPACE}to\N{NO-BREAK SPACE}0.9)" in html
    assert '<th scope="col"></th>' not in html


def test_pictures_have_alternative_text_and_their_size() -> None:
    image = read(render_page(page())).all("img")[0]
    assert (image["alt"], image["width"], image["height"]) == ('Curves of "all"', "300", "150")


def test_only_a_simulated_page_has_the_banner() -> None:
    assert "no number here is of real people" in render_page(page(is_simulated=True))
    assert "imulated" not in render_page(page())


def test_a_page_that_cannot_be_written_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x", encoding="utf-8")
    with pytest.raises(OutputError, match="cannot write"):
        save_page(page(), tmp_path / "file" / "report.html")
