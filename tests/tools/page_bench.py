"""How fast the page is in a real browser: `make bench-page`, run by a person on a quiet machine.

Two things: from the opening of the page until it shows super-resolved against truth, and frames
while the map is dragged, with super-resolution at rest and under way. It is no `srcube bench`,
because a browser comes with the tools for tests alone.
"""

import json
import math
import statistics
import sys
import tempfile
import time
from pathlib import Path

from playwright.sync_api import Browser, Page, ViewportSize, sync_playwright

from datacube import Catalog, benchmark, open_storage
from datacube.demo import DemoSize, build_simulated
from server.cli import prepare_opening
from server.load.process import serving_process
from tests.browser import FLAGS, Visitor
from tests.tools.debian import chromium

SIZE = DemoSize(shape=(800, 800), dates=2, truth_dates=2)
SCREEN = ViewportSize(width=1440, height=900)
SERVERS, LATER = 3, 4  # how often a server is started, and visitors after the first of each
DRAG_S = 4.0
MODELS = ("wiener-x2", "default-x4", "wiener-x4")  # one a round, so that there is work to do
FRAME_MS = 1000 / 60
WATCH = (Path(__file__).parent / "page_watch.js").read_text("utf-8")
Figures = dict[str, float]


def main() -> None:
    """Measure, and print the figures as `srcube bench NAME --json` does."""
    program = chromium()
    if program is None:
        sys.exit("bench-page: no Chromium; install it: apt-get install chromium")
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        catalog = Catalog(open_storage(folder))
        build_simulated(catalog, "simulated", size=SIZE)
        prepare_opening(catalog)
        browser = playwright.chromium.launch(executable_path=program, args=list(FLAGS))
        figures = opening_figures(browser, Path(folder)) | frame_figures(browser, Path(folder))
        browser.close()
    print(json.dumps(benchmark.report(figures), indent=2))


def opening_figures(browser: Browser, data: Path) -> Figures:
    """Milliseconds from the address to names, to all tiles of both sides, and to rest.

    Medians of openings with nothing in the browser's cache: of the first visitor after each start
    of a server, and of those after it.
    """
    first: list[dict[str, float]] = []
    later: list[dict[str, float]] = []
    for _ in range(SERVERS):
        with serving_process(data) as server:
            first.append(opened(browser, server.url))
            later += [opened(browser, server.url) for _ in range(LATER)]
    return {
        f"open_{which}_{name}_ms": statistics.median(one[name] for one in seen)
        for which, seen in (("first", first), ("later", later))
        for name in ("named", "shown", "at_rest")
    }


def opened(browser: Browser, url: str) -> dict[str, float]:
    """Open the page once as a newcomer; when what was reached, in milliseconds."""
    context = browser.new_context(viewport=SCREEN)
    page = context.new_page()
    page.add_init_script(WATCH)
    page.goto(f"{url}/explorer", wait_until="commit")
    page.wait_for_function("() => 'at_rest' in window.watched", timeout=60_000)
    marks: dict[str, float] = page.evaluate("window.watched")
    context.close()
    time.sleep(1)  # the server forgets the session meanwhile
    return marks


def frame_figures(browser: Browser, data: Path) -> Figures:
    """Frames of a drag of some seconds, without super-resolution and while it runs, in turns.

    Raises RuntimeError where a job ended before the drag: then nothing was measured.
    """
    gaps: dict[str, list[float]] = {"idle": [], "sr": []}
    with serving_process(data) as server:
        page = browser.new_context(viewport=SCREEN).new_page()
        page.add_init_script(WATCH)
        visitor = Visitor(page, server.url)
        visitor.open()
        for _ in range(2):  # so that a view holds more blocks than are computed meanwhile
            visitor.page.get_by_role("button", name="Zoom out").click()
            visitor.settle()
        known = visitor.page.request.get(f"{server.url}/models").json()["models"]
        titles = {one["id"]: one["title"] for one in known}
        under_way = visitor.page.locator(".srcube .job")
        for model in MODELS:
            gaps["idle"] += drag(visitor.page)
            visitor.settle()
            visitor.choose("Model", titles[model])
            under_way.wait_for()
            gaps["sr"] += drag(visitor.page)
            if not under_way.is_visible():
                raise RuntimeError(f"{model} had computed the view before the drag was over")
            visitor.settle()
        visitor.page.context.close()
    return {
        f"frames_{what}_{name}": value
        for what, taken in gaps.items()
        for name, value in told(taken).items()
    }


def told(gaps: list[float]) -> Figures:
    """What is said of the times between frames; a share counts frames that were late as missed."""
    due = sum(max(1, round(gap / FRAME_MS)) for gap in gaps)
    return {
        "per_s": 1000 * len(gaps) / sum(gaps),
        "share_within_17ms": sum(gap <= 1.05 * FRAME_MS for gap in gaps) / due,
        "share_within_33ms": sum(gap <= 2.05 * FRAME_MS for gap in gaps) / len(gaps),
        "longest_ms": max(gaps),
    }


def drag(page: Page) -> list[float]:
    """Drag the map round in circles with the mouse; milliseconds between frames meanwhile."""
    page.mouse.move(760, 640)
    page.mouse.down()
    page.evaluate("window.countFrames()")
    began = time.monotonic()
    while (gone := time.monotonic() - began) < DRAG_S:
        page.mouse.move(760 + 260 * math.sin(1.5 * gone), 460 + 180 * math.cos(1.5 * gone))
    gaps: list[float] = page.evaluate("window.framesCounted()")
    page.mouse.up()
    return gaps


if __name__ == "__main__":
    main()
