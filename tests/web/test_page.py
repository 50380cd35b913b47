"""The page driven as a reader drives it, in one real browser for all of this file."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from calcmap.service.store import Store, open_store
from calcmap.service.store_studies import Identity
from service.reviewed_chest import MACHINE_SCORE, MISSED, SHAPE_ZYX
from web.page_studies import (
    ARABIC_NAME,
    HTML_ID,
    HTML_NAME,
    JAPANESE_NAME,
    REFUSAL,
    add_long,
    add_no_calcium,
    add_refusal,
    add_study,
)
from web.python_scores import python_score
from web.real_browser import Reader, ReaderComes

SIZE = SHAPE_ZYX[1]
NAMES = {"html": HTML_NAME, "japan": JAPANESE_NAME, "arabic": ARABIC_NAME}


@pytest.fixture(scope="module")
def page_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    opened = open_store(tmp_path_factory.mktemp("page") / "store")
    for name, patient in NAMES.items():
        add_study(opened, name, identity=Identity(patient_name=patient, patient_id=HTML_ID, study_date="20260102"))
    for name in ("conflict", "keys"):
        add_study(opened, name)
    add_no_calcium(opened, "clear")
    add_long(opened, "long")
    add_refusal(opened, "refused")
    yield opened
    opened.close()


def test_a_study_is_verified_from_the_worklist_to_the_signature(enter: ReaderComes, page_store: Store) -> None:
    reader = enter()
    page = reader.page
    reader.open("html")
    assert reader.page_score() == python_score(page_store, "html")
    assert float(reader.shown("machine-total")) == MACHINE_SCORE

    def saved(revision: int) -> None:
        reader.until(revision)
        assert reader.page_score() == python_score(page_store, "html")
        assert float(reader.shown("machine-total")) == MACHINE_SCORE

    reader.lesion("LAD").click()
    reader.press("m")  # it lies in the left main
    saved(1)
    reader.lesion("RCA").click()
    page.get_by_role("button", name="Reject", exact=True).click()
    saved(2)
    assert reader.lesion("RCA", mark="rejected").count() == 1
    reader.press("f", "Home", "ArrowUp", "d")  # the whole field, the slice of the missed lesion, add
    page.mouse.click(*reader.point_of(*MISSED[1:], size=SIZE))
    page.locator("#sites [data-site=LCx]").click()
    saved(3)
    assert float(reader.lesion("LCx").get_attribute("data-agatston") or 0) == 18.0
    reader.press("Escape", "s", ",", ",")  # a brush of one pixel
    across, down = reader.point_of(44, 44, size=SIZE)
    page.mouse.move(across, down)
    page.mouse.down()
    page.mouse.move(*reader.point_of(44, 46, size=SIZE))
    page.mouse.up()
    reader.press("n")  # what was brushed lies in the annulus
    saved(4)
    assert float(reader.shown("reader-LCx")) == 12.0
    reader.press("Control+z")
    saved(5)
    reader.press("y")
    saved(6)
    reader.press("e")
    page.mouse.click(*reader.point_of(46, 46, size=SIZE))
    saved(7)
    assert float(reader.shown("reader-LCx")) == 10.0
    reader.press("Escape", "k")
    page.locator("#asked-text").fill("<b>motion</b> هنا")
    reader.press("Control+Enter")
    saved(8)
    before = reader.page_score()
    page.reload()
    reader.wait("study")
    assert reader.page_score() == before
    assert page.locator(".comments bdi").inner_text() == "<b>motion</b> هنا"
    reader.press("g")
    page.locator("#asked-text").fill("Dr. 山田 <i>Tarou</i>")
    reader.press("Enter")
    page.wait_for_selector(".signed")
    assert "Dr. 山田 <i>Tarou</i>" in page.locator(".signed").inner_text()
    assert page.get_by_role("button", name="Accept", exact=True).is_disabled()
    reader.worklist()
    row = page.locator("tr.signed")
    assert "signed by Dr. 山田 <i>Tarou</i>" in row.inner_text()
    assert page.locator("tbody tr").last.inner_text() == row.inner_text()
    page_store.check()


def test_names_and_reasons_are_shown_as_text_in_every_script(enter: ReaderComes) -> None:
    reader = enter()
    text = reader.page.locator("tbody").inner_text()
    assert f"<script>alert(1)</script> <b>Bold</b> {HTML_ID}" in text
    assert "Yamada Tarou (山田 太郎, やまだ たろう)" in text
    assert "قباني لنزار" in text
    reader.open("japan")
    assert reader.page.locator("#subject .patient").inner_text() == "Yamada Tarou (山田 太郎, やまだ たろう)"
    reader.worklist()
    reader.open("refused", what="refused")
    assert REFUSAL in reader.page.locator(".reason").inner_text()
    assert "No score" in reader.page.locator("h1").inner_text()
    assert reader.page.evaluate("window.hacked") is None
    assert reader.page.locator("main img, main b, main script").count() == 0


def test_the_second_of_two_browsers_is_shown_what_the_first_one_changed(enter: ReaderComes, page_store: Store) -> None:
    first, second = enter(), enter()
    for reader in (first, second):
        reader.open("conflict")
    first.lesion("LAD").click()
    first.press("x")
    first.until(1)
    second.lesion("RCA").click()
    second.press("a")
    told = second.page.locator("#conflict")
    told.wait_for()
    assert "reject at slice 2, row 20, column 20" in told.inner_text()
    assert "reader-1" in told.inner_text()
    assert second.revision() == 0
    second.press("Enter")
    second.until(1)
    assert second.page_score() == first.page_score() == python_score(page_store, "conflict")
    second.press("a")
    second.until(2)


def test_the_keyboard_alone_is_enough(enter: ReaderComes, page_store: Store) -> None:
    reader = enter()
    page = reader.page
    while page.evaluate("document.activeElement.textContent") != "keys":
        reader.press("ArrowDown")
    reader.press("Enter")
    reader.wait("study")
    reader.press("?")
    assert page.locator("#help").is_visible()
    reader.press("Escape", "ArrowRight", "t")  # the second lesion lies elsewhere
    reader.until(1)
    reader.press("Home", "ArrowUp", "d")  # from here on arrows move the cross
    _move_cross(reader, MISSED[1], MISSED[2])
    reader.press("Enter", "c")
    reader.until(2)
    assert float(reader.shown("reader-LCx")) == 18.0
    reader.press("Escape", "e", ",", ",", "Shift+Enter", "ArrowLeft", "Enter")
    reader.until(3)
    assert float(reader.shown("reader-LCx")) == 14.0
    reader.press("Escape", "Shift+A")
    page.wait_for_selector(".lesion[data-mark=pending]", state="detached")
    assert reader.page_score() == python_score(page_store, "keys")
    for key in ("1", "5", " ", "p", "h", "i", "b", "b", "+", "-", "Shift+ArrowLeft", "[", "}", "PageUp", "End", "f"):
        reader.press(key)
    page.get_by_role("button", name="Overlay", exact=True).focus()
    reader.press("Enter")
    assert page.evaluate("document.activeElement.textContent") == "OverlaySpace"
    assert (
        page.get_by_role("button", name="Overlay", exact=True).get_attribute("aria-pressed") == "true"
    )  # Space had hidden it
    page.get_by_role("button", name="Overlay", exact=True).evaluate("button => button.blur()")
    reader.press("g")
    page.keyboard.type("Dr. Keys")
    reader.press("Enter")
    page.wait_for_selector("#amend")


def test_no_calcium_and_four_hundred_slices_are_shown_right(enter: ReaderComes) -> None:
    reader = enter()
    page = reader.page
    reader.open("clear")
    assert "No calcium was found" in page.locator("#lesions").inner_text()
    assert (reader.shown("reader-total"), reader.shown("reader-category")) == ("0", "0")
    reader.worklist()
    reader.open("long")
    assert "slice 390" in page.locator(".lesion").inner_text()
    assert reader.shown("reader-total") == "8"
    reader.press("5", " ")  # at a threshold of 130 HU the slice is black but for the calcium
    page.wait_for_timeout(100)
    assert page.evaluate(_CENTRE_IS_WHITE)
    page.mouse.move(*reader.point_of(20, 20, size=48))
    page.mouse.wheel(0, 100)
    page.wait_for_timeout(100)
    assert not page.evaluate(_CENTRE_IS_WHITE)
    preset = page.get_by_role("button", name="≥ 130 HU")
    assert preset.get_attribute("aria-pressed") == "true"
    page.mouse.down(button="right")
    page.mouse.move(500, 600)
    page.mouse.up(button="right")
    assert preset.get_attribute("aria-pressed") == "false"


_CENTRE_IS_WHITE = """() => {
  const canvas = document.querySelector('canvas.axial');
  const pixels = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
  let white = 0;
  for (let i = 0; i < pixels.length; i += 4) white += Math.min(pixels[i], pixels[i + 1], pixels[i + 2]) === 255;
  return white > 500;
}"""
"""Whether a patch of the slice is white."""


def _move_cross(reader: Reader, y: int, x: int) -> None:
    """Move the cross to a pixel by arrow keys, as somebody without a mouse would."""
    for _ in range(SIZE // 5):
        reader.press("Shift+ArrowUp", "Shift+ArrowLeft")
    reader.press(*["Shift+ArrowDown"] * (y // 5), *["ArrowDown"] * (y % 5))
    reader.press(*["Shift+ArrowRight"] * (x // 5), *["ArrowRight"] * (x % 5))
