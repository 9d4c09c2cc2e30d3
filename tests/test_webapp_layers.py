"""What the map shows besides pictures: layers that judge them, scale, coordinates, the way home."""

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from playwright.sync_api import ViewportSize, expect
from pyproj import Transformer
from rio_tiler.colormap import cmap

from datacube import Catalog, Cube, Product, Window, open_storage
from datacube.layer import product_window
from server.layer_list import LAYERS
from server.render import FLAG_COLOURS
from sr_engine.planes import Quality
from sr_engine.registry import DEFAULT_MODEL, find_model
from tests.browser import Visitor, chromium, difference

pytestmark = pytest.mark.filterwarnings("ignore:.*HTTPServerRequest.*:DeprecationWarning")

SCREEN = ViewportSize(width=1000, height=640)
PART = slice(300, 440), slice(700, 920)  # of the screen: right of the handle, nothing over it
AROUND_M = 40_075_016.686  # of the equator, on which Web Mercator is true to scale


@pytest.fixture(name="visitor", scope="module")
def fixture_visitor(live_server: str) -> Iterator[Visitor]:
    """One person for all tests; nothing was complained about at the end."""
    with chromium() as browser:
        context = browser.new_context(viewport=SCREEN, reduced_motion="reduce")
        one = Visitor(context.new_page(), live_server)
        one.open()
        yield one
        assert one.complaints == []


@pytest.fixture(name="cube")
def fixture_cube(demo_catalog: Path, visitor: Visitor) -> Cube:
    """The cube as it is once the page has had its blocks computed."""
    visitor.settle()
    return Catalog(open_storage(demo_catalog)).open("simulated")


def stored(
    visitor: Visitor, cube: Cube, variable: str
) -> tuple[NDArray[np.int16], NDArray[np.int64]]:
    """Colours of the screen well inside fine pixels, and what the product holds of them."""
    model = find_model(DEFAULT_MODEL)
    date = visitor.caption("right").locator(".date").inner_text()
    slot = next(one.slot for one in cube.scenes if one.scene.stamp.startswith(date))
    product = Product.open(cube, f"sr/{model.card.key}")
    fine = cube.grid.refined(model.card.factor)
    whole = Window(0, 0, *fine.shape)
    numbers = np.asarray(product_window(product, slot, whole, variable=variable), np.int64)
    lons, lats = visitor.degrees(visitor.place(), PART)
    to_ground = Transformer.from_crs("EPSG:4326", cube.grid.crs, always_xy=True)
    east, north = to_ground.transform(lons.ravel(), lats.ravel())
    rows, cols = (one.reshape(lons.shape) for one in fine.pixel_coordinates(x=east, y=north))
    inside = (np.abs(rows % 1 - 0.5) < 0.25) & (np.abs(cols % 1 - 0.5) < 0.25)
    assert inside.sum() > 1000
    plane = numbers.reshape(-1, *fine.shape)[0]
    return visitor.screen()[PART][inside], plane[rows[inside].astype(int), cols[inside].astype(int)]


def test_consistency_and_interval_are_drawn_by_the_ramp_of_their_legend(
    visitor: Visitor,
) -> None:
    pictures = {}
    for layer_id in ("consistency", "interval"):
        layer = LAYERS[layer_id]
        visitor.choose("Right of the handle", layer.title)
        visitor.settle()
        legend = visitor.caption("right").locator(".legend")
        expect(legend.locator(".units")).to_have_text(layer.units)
        expect(legend.locator(".ends")).to_have_text(f"{layer.low:g}{layer.high:g}")
        expect(visitor.caption("left").locator(".legend")).to_have_count(0)
        ramp = legend.locator(".ramp").evaluate("element => element.style.background")
        ends = [tuple(map(int, found)) for found in re.findall(r"rgb\((\d+), (\d+), (\d+)\)", ramp)]
        colours = np.array(
            [cmap.get(layer.colormap or "")[one][:3] for one in range(256)], np.int16
        )
        assert [ends[0], ends[-1]] == [tuple(colours[0]), tuple(colours[-1])]
        pictures[layer_id] = seen = visitor.screen()[PART]
        near = np.abs(seen.reshape(-1, 1, 3) - colours).max(axis=2).min(axis=1)
        assert np.median(near) <= 8  # colours of the ramp and no others; WebP loses a little
        assert np.unique(seen.reshape(-1, 3), axis=0).shape[0] > 100
    assert difference(*pictures.values()) > 10


def test_flags_have_the_colour_of_their_legend_where_the_product_holds_them(
    visitor: Visitor, cube: Cube
) -> None:
    layer = LAYERS["quality"]
    visitor.choose("Right of the handle", layer.title)
    visitor.settle()
    rows = visitor.caption("right").locator(".legend .ends")
    expect(rows).to_have_count(len(FLAG_COLOURS))
    expect(rows.last).to_contain_text("Nothing against it")
    patch = rows.last.locator(".ramp")
    shown = patch.evaluate("element => getComputedStyle(element).backgroundColor")
    assert shown == "rgb({}, {}, {})".format(*FLAG_COLOURS[int(Quality.COMPUTED)][1][:3])
    seen, flags = stored(visitor, cube, layer.variable)
    assert (flags > 0).all()
    expected = np.zeros_like(seen)
    for value, (_, colour) in reversed(FLAG_COLOURS.items()):  # the most serious one last
        expected[(flags & value) > 0] = colour[:3]
    assert np.percentile(np.abs(seen - expected).max(axis=1), 90) <= 30
    assert np.unique(expected, axis=0).shape[0] > 1  # there is something to tell apart


def metres_per_px(visitor: Visitor) -> float:
    lat, _, zoom = visitor.place()
    return float(AROUND_M * np.cos(np.radians(lat)) / (256 * 2**zoom))


def test_the_scale_bar_is_as_long_as_it_says(visitor: Visitor) -> None:
    bar = visitor.page.locator(".srcube .leaflet-control-scale-line")
    told = []
    for button in ("Zoom in", "Zoom out"):
        visitor.page.get_by_role("button", name=button).click()
        visitor.settle()
        box = bar.bounding_box()
        assert box is not None
        told.append(float(bar.inner_text().removesuffix(" m")))
        assert box["width"] * metres_per_px(visitor) == pytest.approx(told[-1], rel=0.03)
    assert told[0] < told[1]


def test_coordinates_are_those_beneath_the_mouse_and_else_of_the_middle(visitor: Visitor) -> None:
    readout = visitor.page.locator(".srcube .coordinates")
    for x, y in ((420, 200), (880, 500)):
        visitor.page.mouse.move(x, y)
        lons, lats = visitor.degrees(visitor.place(), (slice(y, y + 1), slice(x, x + 1)))
        lat, lon = (float(one) for one in re.findall(r"[\d.]+(?=°)", readout.inner_text()))
        half = metres_per_px(visitor) / 111_000
        assert lat == pytest.approx(float(lats[0, 0]), abs=1.5 * half)
        assert lon == pytest.approx(float(lons[0, 0]), abs=2.5 * half)
    visitor.page.mouse.move(150, 300)  # over the controls
    lat, lon, _ = visitor.place()
    expect(readout).to_have_text(f"{lat:.5f}° N  {lon:.5f}° E")


def test_home_brings_the_middle_of_the_collection_back(visitor: Visitor) -> None:
    visitor.choose("Right of the handle", "Truth")
    home = visitor.page.get_by_role("button", name="Back to the middle of the collection")
    home.click()
    visitor.settle()
    start = visitor.place()
    picture = visitor.screen()[PART]
    visitor.page.get_by_role("button", name="Zoom in").click()
    visitor.page.mouse.move(800, 300)
    visitor.page.mouse.down()
    visitor.page.mouse.move(600, 400, steps=5)
    visitor.page.mouse.up()
    visitor.settle()
    away = difference(visitor.screen()[PART], picture)
    assert away > 5
    home.click()
    visitor.settle()
    degrees = metres_per_px(visitor) / 70_000  # of a pixel, east to west
    assert visitor.place() == pytest.approx(start, abs=degrees)
    assert visitor.place()[2] == start[2]
    assert difference(visitor.screen()[PART], picture) < away / 2
