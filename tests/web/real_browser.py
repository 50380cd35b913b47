"""A real headless Chromium, where it is installed, and a reader who uses the page in it."""

from __future__ import annotations

import importlib.util
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page

NAMES = ("chromium", "chromium-browser", "google-chrome")
INSTALL = "apt-get install -y chromium; pip install playwright"
OPTIONS = ["--no-sandbox", "--disable-gpu", "--force-device-scale-factor=1"]
"""Containers let no sandbox be made; the page is our own."""
VIEWPORT = {"width": 1280, "height": 720}
LONGEST_MS = 20_000
EXPECTED = ("409", "willReadFrequently")
"""A conflict is an answer, not a defect; and it is the test that reads the canvas back."""


@contextmanager
def real_browser() -> Iterator[Browser]:
    """Yield a browser; skip loudly where there is none."""
    program = next(filter(None, map(shutil.which, NAMES)), None)
    if program is None or importlib.util.find_spec("playwright") is None:
        pytest.skip(f"NO BROWSER: the review page was not driven as a reader would; {INSTALL}")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=OPTIONS)
        yield browser
        browser.close()


class ReaderComes(Protocol):
    """Lets another reader in."""

    def __call__(self, **screen: object) -> Reader:
        """Return a reader whose browser has the worklist; ``screen`` as playwright's contexts take it."""


class Reader:
    """Somebody at a browser of their own; what the page complains of is kept."""

    def __init__(self, browser: Browser, address: str, **screen: Any) -> None:  # Any: a library's own options
        self.page: Page = browser.new_context(**({"viewport": VIEWPORT} | screen)).new_page()
        self.page.set_default_timeout(LONGEST_MS)
        self.complaints: list[str] = []
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("console", self._hear)
        self.page.goto(address)
        self.wait("worklist")

    def close(self) -> None:
        """Leave."""
        self.page.context.close()

    def wait(self, what: str) -> None:
        """Wait until a page of a kind is shown."""
        self.page.wait_for_selector(f"body[data-ready={what}]")

    def open(self, name: str, *, what: str = "study") -> None:
        """Open a study from the worklist."""
        self.page.get_by_role("link", name=name, exact=True).click()
        self.wait(what)

    def worklist(self) -> None:
        """Go back."""
        self.page.keyboard.press("w")
        self.wait("worklist")

    def press(self, *keys: str) -> None:
        """Press keys, one after the other."""
        for key in keys:
            self.page.keyboard.press(key)

    def shown(self, what: str) -> str:
        """Return a cell of the table of scores, all digits."""
        return self.page.locator(f"[data-score='{what}']").get_attribute("data-value") or ""

    def revision(self) -> int:
        """Return how many edits the page knows of."""
        return int(self.page.locator("#scores").get_attribute("data-revision") or 0)

    def until(self, revision: int) -> None:
        """Wait until an edit was saved and shown."""
        self.page.wait_for_selector(f"#scores[data-revision='{revision}']")

    def lesion(self, site: str, *, mark: str | None = None) -> Locator:
        """Return the entry of the first lesion at a site."""
        wanted = f".lesion[data-site='{site}']" + (f"[data-mark='{mark}']" if mark else "")
        return self.page.locator(wanted).first

    def page_score(self) -> tuple[str, ...]:
        """Return what the table of scores shows the reader's result to be."""
        shown = [self.shown(f"reader-{what}") for what in ("total", "LM", "LAD", "LCx", "RCA", "category")]
        return tuple(f"{float(value):g}" for value in shown)

    def axial(self) -> dict[str, float]:
        """Return slice, window, level and zoom as the axial pane says them."""
        said = self.page.locator("canvas.axial").first.get_attribute("aria-label") or ""
        return {what: float(value) for what, value in re.findall(r"(slice|window|level|zoom) (-?[0-9.]+)", said)}

    def point_of(self, y: int, x: int, *, size: int) -> tuple[float, float]:
        """Return where a pixel of a square slice of 1 mm pixels is on the screen, while the whole field is shown."""
        box: Any = self.page.locator("canvas.axial").first.bounding_box()
        scale = min(box["width"], box["height"]) / size
        across = box["x"] + box["width"] / 2 + (x + 0.5 - size / 2) * scale
        down = box["y"] + box["height"] / 2 + (y + 0.5 - size / 2) * scale
        return across, down

    def measure(self, name: str) -> float:
        """Return the last duration that the page measured under a name, ms."""
        return float(self.page.evaluate(f"performance.getEntriesByName('{name}').at(-1).duration"))

    def _hear(self, message: Any) -> None:  # Any: of a library that may be absent
        if message.type in ("error", "warning") and not any(each in message.text for each in EXPECTED):
            self.complaints.append(message.text)
