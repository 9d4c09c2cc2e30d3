"""Twenty visitors pan and one has views super-resolved: nobody meets an error.

Two of them are real pages. How fast tiles are meanwhile is for `srcube bench load` to say.
"""

import asyncio
import threading
from collections.abc import Iterator
from dataclasses import replace
from urllib.parse import parse_qs, parse_qsl, urlsplit

import pytest
from playwright.sync_api import Browser, Page, ViewportSize

from datacube import Cube
from server.load.asks import bench_cube
from server.load.page_line import heard, told
from server.load.pan_view import PanView, lonlat, world_px
from server.load.process import ServerProcess, serving_process
from server.load.visitors import visitors_figures
from tests.browser import Visitor, chromium

SCREEN = ViewportSize(width=1000, height=700)
SIDE_PX, DATES = 640, 2


@pytest.fixture(name="browser", scope="module")
def fixture_browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


@pytest.fixture(name="served", scope="module")
def fixture_served(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[ServerProcess, Cube]]:
    root = tmp_path_factory.mktemp("visited")
    cube = bench_cube(root, SIDE_PX, DATES)
    # The browsers take the cores that the server would draw with: it may keep people waiting, and
    # workers that yield to everybody would hardly get on.
    patient = {"limit_waiting": 512, "limit_render_s": 60, "worker_niceness": 0}
    with serving_process(root, **patient) as server:
        yield server, cube


def opened(browser: Browser, url: str) -> Visitor:
    """A page on the cube, at rest."""
    visitor = Visitor(browser.new_context(viewport=SCREEN).new_page(), url)
    visitor.follow(f"{url}/explorer")
    return visitor


def place_of(page: Page) -> dict[str, str]:
    """What the page's address says of its view."""
    return dict(parse_qsl(urlsplit(page.url).fragment))


def drag(page: Page, *, by: tuple[float, float], steps: int) -> None:
    """Drag the map with the mouse, and hold it until it stands still."""
    page.mouse.move(700, 350)
    page.mouse.down()
    page.mouse.move(700 + by[0], 350 + by[1], steps=steps)
    page.wait_for_timeout(400)  # held still, so that it does not go on by itself
    page.mouse.up()


def test_tiles_of_a_drag_are_those_that_a_real_page_asks_for(
    browser: Browser, served: tuple[ServerProcess, Cube]
) -> None:
    server, _ = served
    page = (visitor := opened(browser, server.url)).page
    collection = page.request.get(f"{server.url}/collections/bench").json()
    words = place_of(page)
    box = page.locator(".srcube .map").bounding_box()
    assert box is not None
    at = world_px(float(words["lon"]), float(words["lat"]), int(words["zoom"]))
    sides = {
        side: {key.split(".")[1]: value for key, value in words.items() if key.startswith(side)}
        for side in ("left", "right")
    }
    shown = {"smooth": False} | {side: {"model": ""} | said for side, said in sides.items()}
    view = PanView(collection, shown, at, (round(box["width"]), round(box["height"])),
                   int(words["zoom"]))  # fmt: skip
    at_once = replace(view, _held=set())
    view.fresh()
    at_once.fresh()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    drag(page, by=(-330, -180), steps=12)
    visitor.settle()
    after = place_of(page)
    moved = world_px(float(after["lon"]), float(after["lat"]), view.zoom)
    assert moved == pytest.approx((at[0] + 330, at[1] + 180), abs=2)
    expected: set[str] = set()
    for _ in range(12):
        view.move((moved[0] - at[0]) / 12, (moved[1] - at[1]) / 12)
        expected |= set(view.fresh())
    assert len(expected) > 6
    # A page looks every 0.2 s, and may miss a corner that came and went: of what is in view in
    # the end nothing is missing, and nothing is asked for that was not in view.
    at_once.move(moved[0] - at[0], moved[1] - at[1])
    real = plain({one for one in asked if "/tiles/" in one})
    assert plain(set(at_once.fresh())) <= real <= plain(expected)
    plans = [one for one in asked if urlsplit(one).path.endswith("/sr/plan")]
    seen = [float(edge) for edge in parse_qs(urlsplit(plans[-1]).query)["bbox"][0].split(",")]
    assert seen == pytest.approx(view.box(), abs=5e-5)  # two pixels
    assert visitor.complaints == []
    page.context.close()


def plain(addresses: set[str]) -> set[tuple[str, frozenset[tuple[str, str]]]]:
    """Paths with what is asked of them, however it is written."""
    parts = (urlsplit(one) for one in addresses)
    return {(one.path, frozenset(parse_qsl(one.query))) for one in parts}


def test_places_of_the_map_and_values_of_the_line_come_back_as_they_went() -> None:
    assert lonlat(*world_px(11.3, -46.5, 16), 16) == pytest.approx((11.3, -46.5), abs=1e-9)
    value = {"id": "a", "list": [{"type": "b", "none": None}], "number": 2.5, "empty": {}}
    assert heard(told(value)) == value


def visit(browser: Browser, served: tuple[ServerProcess, Cube], seconds: float) -> dict[str, float]:
    """Twenty-one visitors without a browser, and two real pages that are dragged meanwhile."""
    server, cube = served
    found: dict[str, float] = {}

    def others() -> None:
        found.update(asyncio.run(visitors_figures(server.url, cube, seconds)))

    pages = [opened(browser, server.url) for _ in range(2)]
    thread = threading.Thread(target=others)  # no page of this thread may wait for it
    thread.start()
    turn = 0
    while thread.is_alive():
        for visitor in pages:
            turn += 1
            drag(visitor.page, by=(200 - 400 * (turn // 2 % 2), 60), steps=20)
            visitor.page.wait_for_timeout(1000)  # looks at it
        if turn == 4:
            pages[0].page.get_by_role("button", name="Zoom in").click()
    thread.join()
    for visitor in pages:
        visitor.settle()
        assert visitor.complaints == []
        visitor.page.context.close()
    return found


@pytest.mark.timeout(900)  # on a crowded machine each of twenty-three waits for all the others
def test_a_while_of_twenty_visitors_and_one_who_computes_is_without_an_error(
    browser: Browser, served: tuple[ServerProcess, Cube]
) -> None:
    found = visit(browser, served, 8)
    assert found["visitors_errors"] == 0
    assert found["visitors_tiles"] > 100
    assert found["visitors_blocks"] > 0


@pytest.mark.long
def test_a_minute_of_twenty_visitors_and_one_who_computes_is_without_an_error(
    browser: Browser, served: tuple[ServerProcess, Cube]
) -> None:
    found = visit(browser, served, 60)
    assert found["visitors_errors"] == 0
    assert found["visitors_tiles"] > 1000
