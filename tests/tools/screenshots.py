"""Take pictures of the page's main states, for people to look at: `make screenshots`.

Simulates a small catalog, serves it, and writes `screenshots/WIDTHxHEIGHT/STATE.png` for a desk, a
small notebook and a phone. Nothing is compared: what is wrong is for a person to see.
"""

import re
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import rasterio
from playwright.sync_api import Browser, expect, sync_playwright
from rasterio.transform import from_bounds

from datacube import Catalog, open_storage
from datacube.demo import DemoSize, build_simulated
from datacube.settings import Settings
from server.cli import prepare_opening
from tests.browser import FLAGS, PATIENCE_MS, Visitor
from tests.conftest import serving
from tests.tools.debian import chromium

TARGET = Path(__file__).resolve().parents[2] / "screenshots"
SCREENS = ((1440, 900), (1024, 768), (390, 844))
SIZE = DemoSize(shape=(480, 480), dates=4, truth_dates=2)


def main() -> None:
    """Write all pictures, or those of the states that are named."""
    program = chromium()
    if program is None:
        sys.exit("screenshots: no Chromium; install it: apt-get install chromium")
    wanted = sys.argv[1:] or [*ARRIVALS, *STATES]
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        catalog = Catalog(open_storage(folder))
        build_simulated(catalog, "simulated", size=SIZE)
        prepare_opening(catalog)
        registry = _registry(Path(folder), catalog.open("simulated").grid.lonlat_bounds())
        settings = Settings(data=folder, port=0, registry=registry, embed_origins=["http://a.b"])
        browser = playwright.chromium.launch(executable_path=program, args=list(FLAGS))
        with serving(settings) as url:
            for screen in SCREENS:
                take_all(browser, url, screen, wanted)
        browser.close()
    print(f"screenshots: {TARGET}")


def take_all(browser: Browser, url: str, screen: tuple[int, int], wanted: list[str]) -> None:
    """Visit the page at one size: arrivals on a page each, other states one after the other."""
    folder = TARGET / f"{screen[0]}x{screen[1]}"
    folder.mkdir(parents=True, exist_ok=True)

    def visitor(options: Mapping[str, str], *, returning: bool) -> Visitor:
        size = {"width": screen[0], "height": screen[1]}
        context = browser.new_context(viewport=size, **options)  # type: ignore[arg-type]
        return Visitor(context.new_page(), url, returning=returning)

    for name, (options, act) in ARRIVALS.items():
        if name in wanted:
            one = visitor(options, returning=name != "first_visit")
            act(one)
            take(one, folder / f"{name}.png")
            one.page.context.close()
    one = visitor({}, returning=True)
    one.open()
    for name, (act, leave) in STATES.items():
        if name in wanted:
            act(one)
            take(one, folder / f"{name}.png")
            leave(one)
    one.page.context.close()


def take(visitor: Visitor, path: Path) -> None:
    """Write what is on the screen."""
    visitor.page.screenshot(path=str(path))
    print(f"{path.parent.name}/{path.name}", flush=True)


def _dark(visitor: Visitor) -> None:
    visitor.open()
    visitor.page.get_by_role("button", name="Toggle theme").click()
    visitor.settle()


def _drawer(visitor: Visitor) -> None:
    """On a phone the controls are in a drawer; elsewhere they stand beside the map."""
    visitor.open()
    if visitor.page.get_by_role("combobox", name="Collection").is_hidden():
        visitor.page.get_by_role("button", name="Open drawer").click()
        visitor.page.get_by_role("button", name="Fit to view").wait_for()  # what is drawn last
        visitor.settle()


def _embedded(visitor: Visitor) -> None:
    visitor.follow(f"{visitor.base_url}/explorer?embed=1#collection=simulated")


def _compare(mode: str) -> Callable[[Visitor], None]:
    def act(visitor: Visitor) -> None:
        visitor.compare_by(mode)
        visitor.settle()

    return act


def _tool(name: str) -> Callable[[Visitor], None]:
    def act(visitor: Visitor) -> None:
        _close_dock(visitor)
        visitor.page.get_by_role("button", name=name, exact=True).click()
        visitor.settle()

    return act


def _close_dock(visitor: Visitor) -> None:
    """On a phone it lies over the buttons of the other tools."""
    close = visitor.page.locator(".srcube .dock .close")
    if close.is_visible():
        close.click()


def _why(visitor: Visitor) -> None:
    visitor.page.get_by_role("button", name="Why does it look like this?").click()
    _click_beside_the_middle(visitor)
    visitor.page.locator(".srcube .why .pictures").wait_for()
    visitor.settle()


def _analyse(visitor: Visitor) -> None:
    _tool("Analyse")(visitor)
    visitor.page.locator(".srcube .analyse").get_by_role("button", name="Point", exact=True).click()
    _click_beside_the_middle(visitor)
    visitor.page.locator(".srcube .analyse figure.chart").first.wait_for()
    visitor.settle()


def _overlays(visitor: Visitor) -> None:
    _tool("Overlays")(visitor)
    visitor.page.locator(".srcube .dock input[type='checkbox']").first.check()
    visitor.settle()


def _no_overlays(visitor: Visitor) -> None:
    visitor.page.locator(".srcube .dock input[type='checkbox']").first.uncheck()
    _close_dock(visitor)


def _at_work(visitor: Visitor) -> None:
    """A job under way on a date of this screen's own: some blocks are there, others to come."""
    _close_dock(visitor)
    for _ in range(2):
        visitor.page.get_by_role("button", name="Zoom out").click()
        visitor.settle()
    collection = visitor.page.request.get(f"{visitor.base_url}/collections/simulated").json()
    shown = visitor.caption("right").locator(".date").inner_text()
    others = [one["datetime"] for one in collection["scenes"] if shown not in one["datetime"]]
    size = visitor.page.viewport_size
    assert size is not None
    date = others[SCREENS.index((size["width"], size["height"]))]
    visitor.page.evaluate(
        "date => { location.hash = location.hash.replace(/date=[^&]*/g, `date=${date}`); }", date
    )
    some = re.compile("[1-9][0-9]* (of|von)")
    expect(visitor.page.locator(".srcube .job")).to_contain_text(some, timeout=PATIENCE_MS)
    visitor.page.wait_for_timeout(300)


def _click_beside_the_middle(visitor: Visitor) -> None:
    box = visitor.page.locator(".srcube .map").bounding_box()
    assert box is not None
    visitor.page.mouse.click(box["x"] + 0.62 * box["width"], box["y"] + 0.36 * box["height"])


def _nothing(_visitor: Visitor) -> None:
    pass


def _registry(folder: Path, bounds: tuple[float, float, float, float]) -> Path:
    """One overlay: a raster of stripes over the place."""
    west, south, east, north = bounds
    rows, cols = np.mgrid[0:200, 0:300]
    level = (128 + 100 * np.sin((rows + cols) / 9)).astype(np.uint8)
    with rasterio.open(
        folder / "stripes.tif", "w", driver="GTiff", height=200, width=300, count=3, dtype="uint8",
        crs="EPSG:4326", transform=from_bounds(west, south, east, north, 300, 200),
    ) as file:  # fmt: skip
        file.write(np.stack([level, level // 2, 255 - level]))
    registry = folder / "registry.toml"
    registry.write_text(
        '[[overlay]]\nid = "stripes"\ntitle = "Stripes"\nkind = "cog"\naddress = "stripes.tif"\n'
        'attribution = "Nobody"\nmaxzoom = 22\n'
    )
    return registry


# How one may arrive, each on a page of its own: options of the browser, and what is done.
ARRIVALS: dict[str, tuple[dict[str, str], Callable[[Visitor], None]]] = {
    "first_visit": ({}, Visitor.open),
    "dark": ({}, _dark),
    "german": ({"locale": "de-DE"}, Visitor.open),
    "embed": ({}, _embedded),
    "controls": ({}, _drawer),
}
# What one may do then, one after the other: how a state is reached, and how it is left.
STATES: dict[str, tuple[Callable[[Visitor], None], Callable[[Visitor], None]]] = {
    "swipe": (_nothing, _nothing),
    "lens": (_compare("Lens"), _nothing),
    "opacity": (_compare("Opacity"), _nothing),
    "blink": (_compare("Blink"), _nothing),
    "difference": (_compare("Difference"), _compare("Swipe")),
    "why": (_why, lambda visitor: visitor.page.locator(".srcube .why .close").click()),
    "trust": (_tool("Trust"), _nothing),
    "analyse": (_analyse, _nothing),
    "stories": (_tool("Use cases"), _nothing),
    "export": (_tool("Share and export"), _nothing),
    "help": (_tool("Help"), _nothing),
    "overlays": (_overlays, _no_overlays),
    "job": (_at_work, _nothing),
}


if __name__ == "__main__":
    main()
