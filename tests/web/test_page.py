"""The page driven as a reader drives it, in one real browser for all of this file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from calcmap.io.finding import find_studies
from calcmap.pipeline import ScoreOptions, score_study
from calcmap.report.folder import write_study
from calcmap.segmentation.cascade import load_cascade
from calcmap.service.importing import import_results
from calcmap.service.reviewing import Reviewing
from calcmap.service.store import Store, open_store
from calcmap.service.store_studies import Identity
from calcmap.web.local import LocalServer
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
from web.real_browser import Reader, real_browser
from web.served_page import served

if TYPE_CHECKING:
    from playwright.sync_api import Browser

SIZE = SHAPE_ZYX[1]
NAMES = {"html": HTML_NAME, "japan": JAPANESE_NAME, "arabic": ARABIC_NAME}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with real_browser() as opened:
        yield opened


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
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


@pytest.fixture(scope="module")
def server(store: Store, browser: Browser) -> Iterator[LocalServer]:
    with served(store) as running:
        yield running


@pytest.fixture
def enter(browser: Browser, server: LocalServer) -> Iterator[Callable[[], Reader]]:
    """Return what lets another reader in; none may have met a complaint of the browser."""
    readers: list[Reader] = []

    def come() -> Reader:
        readers.append(Reader(browser, server.address))
        return readers[-1]

    yield come
    complaints = [each for reader in readers for each in reader.complaints]
    for reader in readers:
        reader.close()
    assert complaints == []


def python_score(store: Store, name: str, *, reviewing: Reviewing | None = None) -> tuple[str, ...]:
    """Return what the table of scores has to show, from the store's edits alone and never from the server's memory."""
    (row,) = [row for row in store.worklist() if row.name == name]
    assert row.review_id is not None
    score = (reviewing or Reviewing(store)).current(row.review_id).review.score
    vessels = {vessel.value: sums.agatston for vessel, sums in score.scoring.vessels.items()}
    values = [score.scoring.coronary.agatston, *(vessels[each] for each in ("LM", "LAD", "LCx", "RCA"))]
    return *(f"{value:g}" for value in values), str(score.category.index)


def page_score(reader: Reader) -> tuple[str, ...]:
    shown = [reader.shown(f"reader-{what}") for what in ("total", "LM", "LAD", "LCx", "RCA", "category")]
    return tuple(f"{float(value):g}" for value in shown)


def test_a_study_is_verified_from_the_worklist_to_the_signature(enter: Callable[[], Reader], store: Store) -> None:
    reader = enter()
    page = reader.page
    reader.open("html")
    assert page_score(reader) == python_score(store, "html")
    assert float(reader.shown("machine-total")) == MACHINE_SCORE

    def saved(revision: int) -> None:
        reader.until(revision)
        assert page_score(reader) == python_score(store, "html")
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
    before = page_score(reader)
    page.reload()
    reader.wait("study")
    assert page_score(reader) == before
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
    store.check()


def test_names_and_reasons_are_shown_as_text_in_every_script(enter: Callable[[], Reader]) -> None:
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


def test_the_second_of_two_browsers_is_shown_what_the_first_one_changed(
    enter: Callable[[], Reader], store: Store
) -> None:
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
    assert page_score(second) == page_score(first) == python_score(store, "conflict")
    second.press("a")
    second.until(2)


def test_the_keyboard_alone_is_enough(enter: Callable[[], Reader], store: Store) -> None:
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
    assert page_score(reader) == python_score(store, "keys")
    for key in ("1", "5", " ", "p", "h", "i", "b", "b", "+", "-", "Shift+ArrowLeft", "[", "}", "PageUp", "End", "f"):
        reader.press(key)
    page.get_by_role("button", name="Overlay", exact=True).focus()
    reader.press("Enter")
    assert page.evaluate("document.activeElement.textContent") == "OverlaySpace"
    assert page.get_by_role("button", name="Overlay", exact=True).get_attribute("aria-pressed") == "true"  # Space had hidden it
    page.get_by_role("button", name="Overlay", exact=True).evaluate("button => button.blur()")
    reader.press("g")
    page.keyboard.type("Dr. Keys")
    reader.press("Enter")
    page.wait_for_selector("#amend")


def test_no_calcium_and_four_hundred_slices_are_shown_right(enter: Callable[[], Reader]) -> None:
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


@pytest.mark.real_data
def test_a_real_pet_ct_study_is_verified(
    enter: Callable[[], Reader], store: Store, shared_data: Path, tmp_path: Path
) -> None:
    (study,) = find_studies([shared_data / "real_ct" / "acrin042"])
    done = score_study(study, load_cascade(), options=ScoreOptions())
    write_study(done.result, done.volume, done.labels, folder=tmp_path / study.name)
    import_results(store, tmp_path, sources=[shared_data / "real_ct" / "acrin042"], actor="local")
    reader, reviewing = enter(), Reviewing(store)
    reader.open(study.name)
    assert page_score(reader) == python_score(store, study.name, reviewing=reviewing)
    assert float(reader.shown("machine-total")) == done.result.agatston
    reader.page.locator(".lesion").first.click()
    for revision, keys in enumerate(
        (
            ["m"],  # the first lesion lies in the left main
            ["x"],  # the second one is none
            ["Control+z"],
            ["s", "Enter", "o", "Escape"],  # what the brush covers at the cross lies in the aorta
            ["e", "Enter", "Escape"],
            ["z"],
        ),
        start=1,
    ):
        reader.press(*keys)
        reader.until(revision)
        assert page_score(reader) == python_score(store, study.name, reviewing=reviewing)
    reader.press("g")
    reader.page.keyboard.type("Dr. Real")
    reader.press("Enter")
    reader.page.wait_for_selector("#amend")
    assert page_score(reader) == python_score(store, study.name, reviewing=reviewing)
