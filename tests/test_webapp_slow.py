"""A slow server and a busy one: skeletons where tiles are awaited, and a drag that costs little."""

import asyncio
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from fastapi import FastAPI
from playwright.sync_api import Browser, ViewportSize, expect

from datacube.settings import Settings
from server.local import LocalServer
from server.main import make_app
from server.middleware.asgi import ASGIApp, Receive, Scope, Send
from tests.browser import Visitor, chromium, colourfulness, difference

pytestmark = pytest.mark.filterwarnings("ignore:.*HTTPServerRequest.*:DeprecationWarning")

SCREEN = ViewportSize(width=1000, height=640)
STEPS = 30


@pytest.fixture(name="browser", scope="module")
def fixture_browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


@dataclass(eq=False)
class Gate:
    """A layer of the server that holds some answers back until it is opened."""

    held: str  # a part of their path
    opened: threading.Event = field(default_factory=threading.Event)

    def around(self, app: ASGIApp) -> ASGIApp:
        async def layer(scope: Scope, receive: Receive, send: Send) -> None:
            while self.held in scope.get("path", "") and not self.opened.is_set():
                await asyncio.sleep(0.05)
            await app(scope, receive, send)

        return layer

    def make_app(self, settings: Settings, home: Path | None = None) -> FastAPI:
        application = make_app(settings, home)
        application.add_middleware(self.around)
        return application


def test_a_slow_server_shows_skeletons_and_then_the_tiles(
    browser: Browser, demo_catalog: Path
) -> None:
    gate = Gate("/truth/tiles/")
    context = browser.new_context(viewport=SCREEN, reduced_motion="reduce")
    with LocalServer(Settings(data=str(demo_catalog), port=0), gate.make_app) as server:
        visitor = Visitor(context.new_page(), server.url)
        visitor.open()
        visitor.choose("Left of the handle", "Truth")
        skeletons = visitor.page.locator(".srcube .leaflet-tile.slow")
        expect(skeletons.first).to_be_attached()
        expect(visitor.caption("left")).to_have_class("caption left waiting")
        expect(visitor.caption("right")).to_have_class("caption right")
        visitor.page.wait_for_timeout(500)
        waiting, other = visitor.strips()
        assert colourfulness(waiting) < 12  # grey, and striped: neither blank nor an old picture
        assert waiting.std(axis=(0, 1)).min() > 1
        gate.opened.set()
        expect(skeletons).to_have_count(0)
        visitor.settle()
        arrived, unchanged = visitor.strips()
        assert difference(arrived, waiting) > 20
        assert difference(unchanged, other) < 0.5
        assert visitor.complaints == []
        context.close()


# Counts what changes within the explorer, from now on.
WATCH = """() => {
  const within = (root) => [...root.querySelectorAll("*")].flatMap(
    (host) => host.shadowRoot ? [host.shadowRoot, ...within(host.shadowRoot)] : []);
  const map = within(document).map((root) => root.querySelector(".srcube")).find(Boolean);
  window.changes = [];
  new MutationObserver((records) => {
    for (const {type, target, attributeName} of records) {
      window.changes.push(`${type} ${attributeName ?? ""} ${target.className || target.nodeName}`);
    }
  }).observe(map, {subtree: true, attributes: true, childList: true, characterData: true});
}"""


def test_a_step_of_a_drag_moves_the_picture_and_changes_little_else(
    browser: Browser, live_server: str
) -> None:
    """The cause of smooth panning; how smooth it is, `make bench-page` says."""
    context = browser.new_context(viewport=SCREEN)
    visitor = Visitor(page := context.new_page(), live_server)
    visitor.open()
    metrics = context.new_cdp_session(page)
    metrics.send("Performance.enable")

    def layouts() -> int:
        told = metrics.send("Performance.getMetrics")["metrics"]
        return int(next(one["value"] for one in told if one["name"] == "LayoutCount"))

    page.mouse.move(800, 300)
    page.mouse.down()
    page.mouse.move(810, 310, steps=4)
    page.wait_for_timeout(300)
    page.evaluate(WATCH)
    before = layouts()
    for step in range(STEPS):
        page.mouse.move(810 + 4 * (step % 2), 312 + 2 * (step % 3))
    page.wait_for_timeout(100)
    after, changes = layouts(), page.evaluate("window.changes")
    page.mouse.up()
    # The map's own place, where each of two sides is cut, and the place that is told beneath;
    # a tile that comes into view at the rim is another matter.
    others = ("leaflet-tile", "caption", "aria-busy")
    own = [one for one in changes if not any(word in one for word in others)]
    assert own, "the map did not move"
    assert len(own) <= 5 * STEPS, sorted({" ".join(one.split()[:3]) for one in own})
    assert after - before <= 3 * STEPS
    assert visitor.complaints == []
    context.close()
