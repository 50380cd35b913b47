"""Fingers on the glass of a tablet, as Chromium's own protocol sends them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Page

Point = tuple[float, float]
STEPS = 8


class Fingers:
    """One or two fingers on a page."""

    def __init__(self, page: Page) -> None:
        self._page = page
        self._protocol = page.context.new_cdp_session(page)

    def tap(self, at: Point) -> None:
        """Touch and let go."""
        self._send("touchStart", at)
        self._send("touchEnd")

    def drag(self, start: Point, end: Point, *, rest_ms: int = 0, with_second: bool = False) -> None:
        """Move one finger, after it rested if asked for; or let a second one come down on the way."""
        self._send("touchStart", start)
        self._page.wait_for_timeout(rest_ms)
        for at in _between(start, end):
            self._send("touchMove", at)
        if with_second:
            self._send("touchStart", end, (end[0] + 60, end[1]))
            self._send("touchEnd", end)
        self._send("touchEnd")

    def pinch(self, middle: Point, *, apart: tuple[float, float], by: Point = (0.0, 0.0)) -> None:
        """Move two fingers from one distance to another, and both by so many pixels."""
        x, y = middle
        self._send("touchStart", (x - apart[0] / 2, y))
        self._send("touchStart", (x - apart[0] / 2, y), (x + apart[0] / 2, y))
        for (width, _), (dx, dy) in zip(_between((apart[0], 0), (apart[1], 0)), _between((0.0, 0.0), by), strict=True):
            self._send("touchMove", (x + dx - width / 2, y + dy), (x + dx + width / 2, y + dy))
        self._send("touchEnd")

    def _send(self, kind: str, *points: Point) -> None:
        touches = [{"x": x, "y": y, "id": n} for n, (x, y) in enumerate(points)]
        self._protocol.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": touches})
        self._page.evaluate("new Promise((done) => requestAnimationFrame(done))")


def _between(start: Point, end: Point) -> list[Point]:
    return [
        (start[0] + (end[0] - start[0]) * n / STEPS, start[1] + (end[1] - start[1]) * n / STEPS)
        for n in range(1, STEPS + 1)
    ]
