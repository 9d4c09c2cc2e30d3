"""Blocks come while a person looks on: where the view rests, one by one, the middle first."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from playwright.sync_api import Browser, BrowserContext, Request, ViewportSize, expect
from pyproj import Transformer

from datacube import Catalog, Cube, open_storage
from datacube.demo import DemoSize, build_simulated
from datacube.settings import Settings
from tests.browser import PATIENCE_MS, Visitor, chromium, colourfulness
from tests.conftest import serving

pytestmark = pytest.mark.filterwarnings("ignore:.*HTTPServerRequest.*:DeprecationWarning")

SCREEN = ViewportSize(width=1000, height=640)
WIDE = ViewportSize(width=1400, height=700)  # two steps out it shows the whole collection
SIZE = DemoSize(shape=(240, 640), dates=2, truth_dates=1)  # two by five blocks
BLOCKS, BLOCK_PX, GSD_M = 10, 128, 10

# Keeps the blocks that the page is told of, and each tile that it fetches anew with how many of
# them it had been told of by then.
LISTEN = """(() => {
  const [Source, known] = [window.EventSource, window.fetch];
  Object.assign(window, {blocks: [], anew: []});
  window.EventSource = class extends Source {
    constructor(...all) {
      super(...all);
      this.addEventListener("block", ({data}) => window.blocks.push(JSON.parse(data)));
    }
  };
  window.fetch = (url, options) => {
    if (options?.cache === "no-cache") window.anew.push([String(url), window.blocks.length]);
    return known(url, options);
  };
})()"""
# Keeps what the bar over the map says, whenever it says something else.
WATCH = """box => {
  const bar = box.querySelector('[role="progressbar"]');
  window.told = [];
  new MutationObserver(() => {
    if (!box.hidden) {
      const now = Number(bar.getAttribute("aria-valuenow"));
      window.told.push([box.querySelector("span").textContent, now]);
    }
  }).observe(box, {subtree: true, attributes: true, childList: true, characterData: true});
}"""


@pytest.fixture(name="root", scope="module")
def fixture_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("wide")
    build_simulated(Catalog(open_storage(root)), "simulated", size=SIZE)
    return root


@pytest.fixture(name="cube", scope="module")
def fixture_cube(root: Path) -> Cube:
    return Catalog(open_storage(root)).open("simulated")


@pytest.fixture(name="visit", scope="module")
def fixture_visit(root: Path) -> Iterator[Callable[[ViewportSize], Visitor]]:
    """Arrive with a screen; each test takes a model that no other one has anything computed of."""
    visitors: list[Visitor] = []
    # One process computes, so that blocks end in the order in which they were begun.
    with serving(Settings(data=str(root), port=0, workers=1)) as url, chromium() as browser:

        def arrive(screen: ViewportSize) -> Visitor:
            one = Visitor(calm(browser, screen).new_page(), url)
            visitors.append(one)
            one.page.add_init_script(LISTEN)
            one.open()
            return one

        yield arrive
    assert [text for one in visitors for text in one.complaints] == []


def calm(browser: Browser, screen: ViewportSize) -> BrowserContext:
    """Without animations, so that the map is where it was put."""
    return browser.new_context(viewport=screen, reduced_motion="reduce")


def whole_in_view(visitor: Visitor) -> None:
    for _ in range(2):
        visitor.page.get_by_role("button", name="Zoom out").click()
        visitor.settle()
    visitor.handle.focus()
    visitor.page.keyboard.press("Home")  # the right side alone
    visitor.settle()


def far_of(cube: Cube, bbox: list[float]) -> float:
    """How far the middle of a block lies from that of the collection, in metres."""
    west, south, east, north = bbox
    to_ground = Transformer.from_crs("EPSG:4326", cube.grid.crs, always_xy=True)
    x, y = to_ground.transform((west + east) / 2, (south + north) / 2)
    middle = cube.grid.transform @ (SIZE.shape[1] / 2, SIZE.shape[0] / 2)
    return float(np.hypot(x - middle[0], y - middle[1]))


def tile_bounds(url: str) -> tuple[float, float, float, float]:
    """West, south, east, north of a map tile, by Web Mercator's formula."""
    found = re.search(r"/WebMercatorQuad/(\d+)/(\d+)/(\d+)", url)
    assert found is not None, url
    zoom, x, y = map(int, found.groups())
    lons = [360 * side / 2**zoom - 180 for side in (x, x + 1)]
    north, south = (
        float(np.degrees(np.arctan(np.sinh(np.pi * (1 - 2 * side / 2**zoom)))))
        for side in (y, y + 1)
    )
    return lons[0], south, lons[1], north


def touch(one: tuple[float, ...], other: list[float]) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def test_progress_grows_by_whole_blocks_and_tiles_are_drawn_anew_from_the_middle_on(
    visit: Callable[[ViewportSize], Visitor], cube: Cube
) -> None:
    visitor = visit(WIDE)
    page = visitor.page
    whole_in_view(visitor)
    page.locator(".srcube .job").evaluate(WATCH)
    page.evaluate("window.blocks.length = window.anew.length = 0")
    visitor.choose("Model", "Wiener deconvolution x4")  # starts what is missing by itself
    expect(page.get_by_text("blocks in view are ready")).to_be_visible(timeout=PATIENCE_MS)
    visitor.settle()

    told: list[tuple[str, int]] = page.evaluate("window.told")
    words = re.compile(rf"Super-resolving: (\d+) of {BLOCKS} blocks")
    steps = [(int(found[1]), now) for text, now in told if (found := words.fullmatch(text))]
    done = list(dict.fromkeys(one for one, _ in steps))
    assert done == list(range(BLOCKS + 1))[-len(done) :]  # one after the other, and all of them
    assert len(done) >= BLOCKS
    assert all(now == round(100 * one / BLOCKS) for one, now in steps)

    blocks: list[dict[str, Any]] = page.evaluate("window.blocks")
    assert [one["done"] for one in blocks] == list(range(1, BLOCKS + 1))
    far = [far_of(cube, one["bbox"]) for one in blocks]
    assert np.diff(far).min() > -3 * GSD_M  # a box in degrees is a little wider than its block
    assert far[-1] > 2 * far[0]

    anew = [(tile_bounds(url), known) for url, known in page.evaluate("window.anew")
            if "/layers/sr/tiles/" in url]  # fmt: skip
    assert [known for _, known in anew] == sorted(known for _, known in anew)
    for index, one in enumerate(blocks):
        drawn = [bounds for bounds, known in anew if known == index + 1]
        assert drawn, "a block was computed and nothing drawn anew"
        assert all(touch(bounds, one["bbox"]) for bounds in drawn)
    page.context.close()


def block_masks(visitor: Visitor, cube: Cube) -> dict[tuple[int, int], NDArray[np.bool_]]:
    """Which pixels of the screen show the inner half of each block of the collection."""
    part = slice(0, WIDE["height"]), slice(0, WIDE["width"])
    lons, lats = visitor.degrees(visitor.place(), part)
    to_ground = Transformer.from_crs("EPSG:4326", cube.grid.crs, always_xy=True)
    east, north = to_ground.transform(lons.ravel(), lats.ravel())
    rows, cols = (one.reshape(lons.shape) for one in cube.grid.pixel_coordinates(x=east, y=north))
    inner = (np.abs(rows / BLOCK_PX % 1 - 0.5) < 0.25) & (np.abs(cols / BLOCK_PX % 1 - 0.5) < 0.25)
    at = np.floor(rows / BLOCK_PX), np.floor(cols / BLOCK_PX)
    return {
        (row, col): inner & (at[0] == row) & (at[1] == col) for row in range(2) for col in range(5)
    }


def test_what_is_there_when_a_person_cancels_lies_around_the_middle(
    visit: Callable[[ViewportSize], Visitor], cube: Cube
) -> None:
    visitor = visit(WIDE)
    page = visitor.page
    whole_in_view(visitor)
    visitor.choose("Model", "Default x2")
    chip = page.locator(".srcube .job")
    expect(chip).to_contain_text(re.compile(r"[1-9]\d* of"), timeout=PATIENCE_MS)
    chip.get_by_role("button", name="Cancel").click()
    expect(page.get_by_text("Cancelled.")).to_be_visible()
    visitor.settle()
    expect(page.locator(".pending-note:visible")).to_have_count(1, timeout=PATIENCE_MS)
    screen = visitor.screen()
    masks = block_masks(visitor, cube)
    assert min(mask.sum() for mask in masks.values()) > 1000
    coloured = {at: colourfulness(screen[mask][:, None]) > 1 for at, mask in masks.items()}
    far = {(row, col): np.hypot(row * BLOCK_PX + 64 - 120, col * BLOCK_PX + 64 - 320)
           for row, col in masks}  # fmt: skip
    near = [float(far[at]) for at, there in coloured.items() if there]
    beyond = [float(far[at]) for at, there in coloured.items() if not there]
    assert near
    assert beyond, "all was computed before it could be cancelled"
    assert max(near) <= min(beyond)
    page.context.close()


def drag_east(visitor: Visitor) -> None:
    """Take the map by its right and hold it further left, without letting it go."""
    mouse = visitor.page.mouse
    mouse.move(900, 250)
    mouse.down()
    mouse.move(650, 250, steps=4)
    mouse.move(400, 250, steps=4)
    visitor.page.wait_for_timeout(300)  # held still, it does not glide on


def test_the_automatic_mode_computes_where_the_view_comes_to_rest(
    visit: Callable[[ViewportSize], Visitor],
) -> None:
    visitor = visit(SCREEN)
    page = visitor.page
    visitor.choose("Model", "Bicubic x4")
    visitor.settle()
    boxes: list[list[float]] = []

    def note(request: Request) -> None:
        if request.method == "POST" and "super-resolve/execution" in request.url:
            boxes.append(json.loads(request.post_data or "")["inputs"]["bbox"])

    page.on("request", note)
    grey = page.locator(".pending-note:visible")
    drag_east(visitor)
    page.mouse.up()
    expect(grey).to_have_count(1, timeout=PATIENCE_MS)
    visitor.settle()
    assert boxes == []  # nobody asked for it
    assert colourfulness(visitor.strips()[1]) < 1
    page.get_by_role("button", name="Back to the middle of the collection").click()
    expect(grey).to_have_count(0, timeout=PATIENCE_MS)

    page.get_by_role("switch", name="Follow the view").click()
    visitor.settle()
    assert boxes == []  # all of this view is there
    drag_east(visitor)
    page.wait_for_timeout(1500)  # longer than the mode waits for the view to rest
    assert boxes == []
    with page.expect_request("**/super-resolve/execution"):
        page.mouse.up()
    visitor.settle()
    expect(grey).to_have_count(0, timeout=PATIENCE_MS)
    expect(page.get_by_text("blocks in view are ready")).to_be_visible()
    assert colourfulness(visitor.strips()[1]) > 3
    lat, lon, _ = visitor.place()
    ((west, south, east, north),) = boxes
    assert west < lon < east
    assert south < lat < north
    page.context.close()
