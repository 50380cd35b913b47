"""Drives the review page in headless Chromium: takes the pictures of the documentation, or measures how quick it is.

    scripts/drive_review_page.py pictures RESULTS --study NAME -o docs/images
    scripts/drive_review_page.py timings RESULTS --study NAME [--visits 3]
    scripts/drive_review_page.py large [--slices 400]

RESULTS is what ``calcmap score`` wrote. Pictures are of simulated studies only: real ones are never shown.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from playwright.sync_api import Page, sync_playwright

from calcmap.core.volume import Label, UInt8Array, Volume, grid_from_spacing
from calcmap.service.importing import import_results, recorded_sources
from calcmap.service.store import Store, open_store
from calcmap.web.local import LocalServer

CHROMIUM = "/usr/bin/chromium"
OPTIONS = ["--no-sandbox", "--disable-gpu", "--enable-precise-memory-info"]
DESKTOP, TABLET = {"width": 1280, "height": 720}, {"width": 1024, "height": 768}
MEASURES = ("page-ready", "first-slice", "study-open", "all-slices")
SCROLL = """async () => {
  const steps = [];
  for (let n = 0; n < 40; n += 1) {
    const started = performance.now();
    const key = n % 20 < 10 ? 'ArrowDown' : 'ArrowUp';
    document.body.dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true }));
    await new Promise((drawn) => requestAnimationFrame(drawn));
    steps.push(performance.now() - started);
  }
  return steps;
}"""
EDITS = {"reject": "x", "undo": "z", "relabel": "l", "undo a relabel": "z"}
PAUSE_MS = 80
LONGEST_MS = 180_000
TESTS = Path(__file__).parents[1] / "tests"


@contextmanager
def page_over(store: Store, **screen: Any) -> Iterator[Page]:  # Any: a library's own options
    """Yield a browser's page with the worklist of a store."""
    server = LocalServer(store, account="reader")
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=OPTIONS)
            page = browser.new_context(**({"viewport": DESKTOP} | screen)).new_page()
            page.set_default_timeout(LONGEST_MS)
            page.goto(server.address)
            page.wait_for_selector("body[data-ready=worklist]")
            yield page
            browser.close()
    finally:
        server.stop()
        thread.join()


def open_study(page: Page, name: str) -> None:
    """Open a study and wait for all of it."""
    page.get_by_role("link", name=name, exact=True).click()
    page.wait_for_selector("body[data-ready=study]")
    page.wait_for_selector(".views[data-loaded=all]")


def press(page: Page, *keys: str) -> None:
    """Press keys as slowly as a person does."""
    for key in keys:
        page.keyboard.press(key)
        page.wait_for_timeout(3 * PAUSE_MS)


def take_pictures(store: Store, name: str, folder: Path) -> None:
    """Write the pictures of a study under review: edited, compared, brushed, on a tablet; and the worklist."""
    with page_over(store) as page:
        _picture(page, folder / "review-worklist.png")
        open_study(page, name)
        press(page, "a", "a", "c", "x", "p", "ArrowRight")
        _picture(page, folder / "review-page.png")
        press(page, "b")
        _picture(page, folder / "review-compare.png")
        press(page, "b", "s")
        _picture(page, folder / "review-split.png")
    with page_over(store, viewport=TABLET, has_touch=True) as page:
        open_study(page, name)
        _picture(page, folder / "review-tablet.png")


def measure(store: Store, name: str, *, n_visits: int) -> None:
    """Print how long everything takes, ms: median, lowest and highest."""
    taken: dict[str, list[float]] = {}
    memory: list[str] = []
    with page_over(store) as page:
        for _ in range(n_visits):
            open_study(page, name)
            for what in MEASURES:
                taken.setdefault(what, []).append(_last(page, what))
            taken.setdefault("scroll step", []).extend(page.evaluate(SCROLL))
            for _ in range(4):
                for what, key in EDITS.items():
                    taken.setdefault(what, []).append(_edit(page, key))
            memory.append(_memory(page))
            page.keyboard.press("w")
            page.wait_for_selector("body[data-ready=worklist]")
    for what, values in taken.items():
        print(
            f"{what:16s} {statistics.median(values):7.0f} ({min(values):.0f} to {max(values):.0f}), {len(values)} times"
        )
    print(*memory, f"load {os.getloadavg()[0]:.1f}", sep="\n")


def add_large(store: Store, n_slices: int) -> None:
    """Store a chest of so many slices of 512 x 512 with noise and twelve lesions."""
    sys.path.insert(0, str(TESTS))
    from web.page_studies import add_study  # the tests' own way to store a study without scoring it by the networks

    ct_hu_zyx, labels_zyx, vessels_zyx = _chest(n_slices)
    for n in range(12):
        z, y, x = n_slices // 2 - 30 + 5 * n, 240 + 4 * n, 250 + 6 * n
        part = np.s_[z : z + 4, y : y + 5, x : x + 4]
        ct_hu_zyx[part] = 300 + 20 * n
        labels_zyx[part], vessels_zyx[part] = (Label.CORONARY, 1 + n % 4) if n < 9 else (Label.NONCORONARY, 0)
    volume = Volume(ct_hu_zyx, grid_from_spacing(ct_hu_zyx.shape, (0.75, 0.7, 0.7)))
    add_study(store, "large", volume=volume, maps=(labels_zyx, vessels_zyx))


def _chest(n_slices: int) -> tuple[np.ndarray[Any, np.dtype[np.int16]], UInt8Array, UInt8Array]:
    y, x = np.mgrid[:512, :512] - 256.0
    still_yx = np.where((x / 230) ** 2 + (y / 160) ** 2 < 1, 40, -1000)
    still_yx[((np.abs(x) - 110) / 80) ** 2 + (y / 100) ** 2 < 1] = -850
    still_yx[x**2 + (y - 110) ** 2 < 625] = 500
    heart_yx = ((x - 20) / 90) ** 2 + ((y + 10) / 80) ** 2
    noise = np.random.default_rng(1)
    ct_hu_zyx = np.empty((n_slices, 512, 512), dtype=np.int16)
    labels_zyx, vessels_zyx = (np.zeros(ct_hu_zyx.shape, dtype=np.uint8) for _ in range(2))
    for z in range(n_slices):
        is_heart_yx = heart_yx < 1 - ((z - n_slices / 2) / (n_slices / 6)) ** 2
        labels_zyx[z][is_heart_yx] = Label.HEART
        ct_hu_zyx[z] = np.where(is_heart_yx, 45, still_yx) + noise.normal(0, 15, (512, 512))
    return ct_hu_zyx, labels_zyx, vessels_zyx


def _picture(page: Page, path: Path) -> None:
    page.wait_for_timeout(10 * PAUSE_MS)
    page.screenshot(path=str(path))
    print(path)


def _last(page: Page, what: str) -> float:
    return float(page.evaluate(f"performance.getEntriesByName('{what}').at(-1).duration"))


def _edit(page: Page, key: str) -> float:
    """Return how long one edit took from the key to the new score on the page, ms."""
    revision = int(page.get_attribute("#scores", "data-revision") or 0)
    page.keyboard.press(key)
    page.wait_for_selector(f"#scores[data-revision='{revision + 1}']")
    page.wait_for_timeout(PAUSE_MS)
    return _last(page, "edit-to-score")


def _memory(page: Page) -> str:
    heap_mb = page.evaluate("performance.memory.usedJSHeapSize") >> 20
    names = subprocess.run(["ps", "-eo", "rss,args"], capture_output=True, text=True, check=True).stdout.splitlines()
    tab_mb = max((int(line.split()[0]) for line in names if "--type=renderer" in line), default=0) >> 10
    own = Path("/proc/self/status").read_text(encoding="ascii")
    server_mb, highest_mb = (int(own.split(f"{key}:")[1].split()[0]) >> 10 for key in ("VmRSS", "VmHWM"))
    return f"tab {tab_mb} MB (heap {heap_mb}), server with this script {server_mb} MB, at most {highest_mb} MB"


def _asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("pictures", "timings", "large"))
    parser.add_argument("results", type=Path, nargs="?")
    parser.add_argument("--study")
    parser.add_argument("--visits", type=int, default=3)
    parser.add_argument("--slices", type=int, default=400)
    parser.add_argument("-o", dest="folder", type=Path, default=Path("docs/images"))
    asked = parser.parse_args()
    if asked.what != "large" and not (asked.results and asked.study):
        parser.error("name RESULTS and --study")
    return asked


def main() -> None:
    """Do what the command line asks for, on a store that is gone afterwards."""
    asked = _asked()
    with tempfile.TemporaryDirectory() as folder:
        store = open_store(Path(folder) / "store")
        if asked.what == "large":
            add_large(store, asked.slices)
            measure(store, "large", n_visits=asked.visits)
        else:
            import_results(store, asked.results, sources=recorded_sources(asked.results), actor="reader")
            if asked.what == "pictures":
                take_pictures(store, asked.study, asked.folder)
            else:
                measure(store, asked.study, n_visits=asked.visits)
        store.close()


if __name__ == "__main__":
    main()
