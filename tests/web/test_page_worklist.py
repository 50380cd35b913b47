"""The worklist of thousands of studies in a real browser: quick, searched, filtered and walked through by keys."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from calcmap.service.store import Store, open_store
from calcmap.service.store_worklist import WorklistQuery
from web.many_studies import add_many
from web.page_studies import add_refusal, add_study
from web.real_browser import ReaderComes

N_STUDIES = 5_000
LONGEST_CPU_S = 0.5
"""Of a page of the worklist; measured 0.07 s. A list that is read whole and sorted here takes 0.35 s and 5 MB."""
HELP = Path(__file__).parents[2] / "src" / "calcmap" / "web" / "static" / "help.js"
FOCUS_IS_SEEN = """() => {
  const each = document.activeElement;
  return each === document.body || (each.matches(':focus-visible') && getComputedStyle(each).outlineStyle !== 'none');
}"""


@pytest.fixture(scope="module")
def page_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    opened = open_store(tmp_path_factory.mktemp("many") / "store")
    add_many(opened, N_STUDIES)
    add_refusal(opened, "refused")
    add_study(opened, "chest")
    yield opened
    opened.close()


def test_a_page_of_thousands_of_studies_costs_what_a_page_of_few_does(page_store: Store) -> None:
    for query in (WorklistQuery(limit=50), WorklistQuery(limit=50, first=N_STUDIES - 50), WorklistQuery(text="novák")):
        started = time.process_time()
        page = page_store.worklist_page(query)
        assert time.process_time() - started < LONGEST_CPU_S
        assert len(page.rows) in (50, N_STUDIES // 5)
    started = time.process_time()
    assert page_store.worklist_row(N_STUDIES // 2).result_id == N_STUDIES // 2
    assert time.process_time() - started < LONGEST_CPU_S / 10


def test_the_worklist_is_searched_filtered_and_turned_by_keys(enter: ReaderComes) -> None:
    reader = enter()
    page = reader.page

    def shown(state: str = "", words: str = "", first: int = 0) -> list[str]:
        page.wait_for_selector(f"tbody[data-loaded='{state}:{words}:{first}']", state="attached")
        return page.locator("tbody a").all_inner_texts()

    def focused() -> str:
        return str(page.evaluate("document.activeElement.textContent"))

    assert len(shown()) == 50
    assert all("borderline" in row for row in page.locator("tbody tr").all_inner_texts())
    assert "to verify" in page.locator(".worklist > p").inner_text()
    reader.press("PageDown")
    second = shown(first=50)
    assert focused() == second[0]
    reader.press("ArrowUp")  # over the top: the last of the page before
    first = shown()
    assert focused() == first[-1]
    reader.press("/")
    page.keyboard.type("okafor 00042")
    assert shown(words="okafor 00042") == ["study-00421", "study-00426"]
    reader.press("ArrowDown", "ArrowDown")
    assert focused() == "study-00426"
    reader.press("/", "Escape")
    shown()
    page.get_by_role("button", name="Refused").click()
    assert shown("refused") == ["refused"]
    reader.press("/")
    page.keyboard.type("nobody")
    assert shown("refused", "nobody") == []
    assert page.locator(".worklist > p").inner_text() == "No study is found."


def test_whoever_comes_back_stands_where_they_were_and_sees_the_focus(enter: ReaderComes) -> None:
    reader = enter()
    page = reader.page
    reader.press("/")
    page.keyboard.type("chest")
    page.wait_for_selector("tbody[data-loaded=':chest:0']")
    reader.press("ArrowDown", "Enter")
    reader.wait("study")
    for _ in range(40):
        reader.press("Tab")
        assert page.evaluate(FOCUS_IS_SEEN)
    page.locator(".lesions").focus()
    reader.press("ArrowDown")
    chosen = page.locator(".lesion[aria-selected=true]")
    assert page.locator(".lesions").get_attribute("aria-activedescendant") == chosen.get_attribute("id") == "lesion-2"
    assert re.fullmatch(r"RCA, slice 4, 450 HU, score 16\.0, pending", chosen.get_attribute("aria-label") or "")
    reader.press("x")
    reader.until(1)
    assert page.evaluate("document.activeElement.className") == "lesions"
    reader.page.get_by_text("Score 20.0, category 1-100", exact=True).wait_for(state="attached")
    reader.worklist()
    assert page.locator("#search").input_value() == "chest"
    assert page.evaluate("document.activeElement.textContent") == "chest"


def test_the_help_lists_every_key(enter: ReaderComes) -> None:
    study = HELP.with_name("study.js").read_text(encoding="utf-8")
    named = study[study.index("namedKey(event) {") : study.index("return actions[")]
    keys = set(re.findall(r"""(?:^|[\s{,])"?([a-zA-Z]+|[^\s"\w])"?: (?:\(\) =>|z\()""", named))
    assert {"PageUp", "Home", "a", "x", "j", "[", ",", "Escape"} <= keys
    reader = enter()
    reader.press("?")
    listed = " ".join(reader.page.locator("#help kbd").all_inner_texts())
    words = {"PageUp": "Page", "PageDown": "Page", "Escape": "Esc", "=": "+", "-": "−"}
    assert [key for key in keys if words.get(key, key.upper() if len(key) == 1 else key) not in listed] == []
