"""The page on a tablet: every step of a review by fingers alone, as the browser's own protocol sends them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from calcmap.service.store import Store, open_store
from service.reviewed_chest import LAD, MISSED, SHAPE_ZYX
from web.page_studies import add_study
from web.python_scores import python_score
from web.real_browser import ReaderComes
from web.touch import Fingers

SIZE = SHAPE_ZYX[1]
TABLETS = [{"width": 1024, "height": 768}, {"width": 1180, "height": 820}, {"width": 820, "height": 1180}]
FINGERTIP_PIXELS = 40
"""WCAG 2.2 asks for 24 (AA) and 44 (AAA); ours are 44, less what a browser rounds."""
OUT_OF_SIGHT = """() => [...document.querySelectorAll('button, a, summary, canvas, .lesions')].filter((each) => {
  const { left, right, bottom, width } = each.getBoundingClientRect();
  return width && (left < 0 || right > innerWidth + 0.5 || bottom > innerHeight + 0.5);
}).map((each) => each.className + each.textContent)"""
SMALLEST = """Math.min(
  ...[...document.querySelectorAll('button')].filter((each) => each.offsetWidth).map((each) => each.offsetHeight))"""


@pytest.fixture(scope="module")
def page_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    opened = open_store(tmp_path_factory.mktemp("touch") / "store")
    for name in ("fingers", "verified"):
        add_study(opened, name)
    yield opened
    opened.close()


def test_everything_is_in_sight_and_large_enough_on_a_tablet(enter: ReaderComes) -> None:
    reader = enter(viewport=TABLETS[0], has_touch=True, is_mobile=False)
    reader.open("fingers")
    for size in TABLETS:
        reader.page.set_viewport_size(size)  # type: ignore[arg-type]
        assert reader.page.evaluate(OUT_OF_SIGHT) == []
        assert reader.page.evaluate("document.scrollingElement.scrollWidth") == size["width"]
        assert reader.page.evaluate(SMALLEST) >= FINGERTIP_PIXELS


def test_fingers_scroll_zoom_pan_and_window(enter: ReaderComes) -> None:
    reader = enter(viewport=TABLETS[0], has_touch=True)
    fingers = Fingers(reader.page)
    reader.open("fingers")
    reader.press("f")
    assert reader.axial()["slice"] == 2.0
    x, y = reader.point_of(30, 30, size=SIZE)
    fingers.drag((x, y), (x, y - 28))
    assert reader.axial()["slice"] == 5.0  # upwards is towards the head, 8 pixels a slice
    fingers.drag((x, y), (x, y + 28))
    assert reader.axial()["slice"] == 2.0
    assert reader.axial()["window"] == 400.0
    fingers.drag((x, y), (x + 50, y), rest_ms=700)
    assert (reader.axial()["window"], reader.axial()["slice"]) == (500.0, 2.0)
    fingers.pinch((x, y), apart=(60, 120))
    assert reader.axial()["zoom"] == pytest.approx(2.0, rel=0.05)
    fingers.tap((x, y))
    fingers.tap((x, y))
    assert reader.axial()["zoom"] != pytest.approx(2.0, rel=0.05)  # twice: the heart again
    reader.press("f")
    across, down = reader.point_of(LAD[1], LAD[2], size=SIZE)
    fingers.pinch((across + 80, down + 80), apart=(80, 80), by=(-40, 30))  # both fingers move: it pans
    reader.press("ArrowRight")
    assert reader.page.locator(".lesion[data-site=LAD]").get_attribute("aria-selected") == "false"
    fingers.drag((x, y), (x, y + 20))
    assert reader.axial()["slice"] == LAD[0]
    fingers.tap((across - 40 + 8, down + 30))  # beside the lesion, as fingers hit
    reader.page.wait_for_selector(".lesion[data-site=LAD][aria-selected=true]")
    bar = reader.page.locator("canvas.axial").first.bounding_box()
    assert bar
    fingers.drag((bar["x"] + bar["width"] - 20, bar["y"] + 300), (bar["x"] + bar["width"] - 20, bar["y"] + 2))
    assert reader.axial()["slice"] == 7.0


def test_a_study_is_verified_by_fingers_alone(enter: ReaderComes, page_store: Store) -> None:
    reader = enter(viewport=TABLETS[0], has_touch=True)
    page, fingers = reader.page, Fingers(reader.page)
    page.locator("tr", has_text="verified").tap()
    reader.wait("study")

    def saved(revision: int) -> None:
        reader.until(revision)
        assert reader.page_score() == python_score(page_store, "verified")

    def push(name: str) -> None:
        page.get_by_role("button", name=name, exact=True).tap()

    reader.lesion("LAD").tap()
    push("LM")
    saved(1)
    reader.lesion("RCA").tap()
    push("Reject")
    saved(2)
    push("Fit heart")
    push("Add")
    bar = page.locator("canvas.axial").first.bounding_box()
    assert bar
    part = 1 - MISSED[0] / (SHAPE_ZYX[0] - 1)
    spot = (bar["x"] + bar["width"] - 20, bar["y"] + 10 + part * (bar["height"] - 20))
    fingers.drag(spot, spot)
    assert reader.axial()["slice"] == MISSED[0]
    across, down = reader.point_of(MISSED[1], MISSED[2], size=SIZE)
    fingers.tap((across + 14, down))  # two pixels beside it
    page.locator("#sites [data-site=LCx]").tap()
    saved(3)
    assert float(reader.shown("reader-LCx")) == 18.0
    push("Erase")
    first, last = (reader.point_of(44, x, size=SIZE) for x in (44, 46))
    fingers.drag(first, last, with_second=True)  # a second finger: nothing is erased
    assert reader.revision() == 3
    push("Smaller brush")
    push("Smaller brush")
    first, last = (reader.point_of(44, x, size=SIZE) for x in (44, 46))
    fingers.drag(first, last)
    saved(4)
    assert float(reader.shown("reader-LCx")) == 12.0
    push("Done")
    push("Undo")
    saved(5)
    push("Sign")
    page.locator("#asked-text").fill("Dr. Finger")
    page.locator("#asked").get_by_role("button", name="Sign", exact=True).tap()
    page.wait_for_selector("#amend")
    push("Next study")
    page.locator("#subject", has_text="fingers").wait_for()
