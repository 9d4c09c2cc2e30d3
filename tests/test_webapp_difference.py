"""A person looks at the difference of two layers: colours on the screen against the cube."""

import io
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import Browser, ViewportSize, expect
from pyproj import Transformer
from rio_tiler.colormap import cmap

from datacube import Catalog, Cube, Product, Window, open_storage
from datacube.layer import product_window
from datacube.scene import reflectance_from_dn
from sr_engine.registry import find_model
from tests.browser import PATIENCE_MS, Visitor, chromium, difference
from tests.test_webapp import MODELS, collection, layer, opened, shown
from tests.test_webapp_compare import picture
from webapp.catalog import Collection
from webapp.difference import DIVERGING, Operand, check_difference, usual_difference
from webapp.state import Look, SideState, check_side

pytestmark = pytest.mark.filterwarnings("ignore:.*HTTPServerRequest.*:DeprecationWarning")

SCREEN = ViewportSize(width=1000, height=640)
PART = slice(190, 420), slice(650, 920)  # of the screen: right of the handle, nothing over it
COLOURS = np.array([cmap.get("rdbu")[one][:3] for one in range(256)], np.int16)
LR, DIFFERENCE = "Sentinel-2, 10 m pixels", "Difference of two layers"
Values = NDArray[np.float32]


@pytest.fixture(name="browser", scope="module")
def fixture_browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


@pytest.fixture(name="visitor", scope="module")
def fixture_visitor(browser: Browser, live_server: str) -> Iterator[Visitor]:
    arrived = Visitor(browser.new_context(viewport=SCREEN).new_page(), live_server)
    arrived.open()
    yield arrived
    assert arrived.complaints == []


@pytest.fixture(name="cube", scope="module")
def fixture_cube(demo_catalog: Path) -> Cube:
    return Catalog(open_storage(demo_catalog)).open("simulated")


def ndvi(dn: NDArray[np.uint16]) -> Values:
    """Of numbers (band, y, x) in the order of the cube."""
    _, _, red, nir = reflectance_from_dn(dn)
    return np.asarray((nir - red) / (nir + red), np.float32)


def words_of(visitor: Visitor) -> dict[str, str]:
    return {key: found[0] for key, found in parse_qs(urlsplit(visitor.page.url).fragment).items()}


def slot_of(cube: Cube, stamp: str) -> int:
    return next(one.slot for one in cube.scenes if one.scene.stamp == stamp)


def check_colours(visitor: Visitor, values: Values, gsd_m: float, span: float) -> None:
    """Each pixel of the screen, well inside a pixel of the ground, has the colour of its value."""
    lons, lats = visitor.degrees(visitor.place(), PART)
    to_ground = Transformer.from_crs("EPSG:4326", "EPSG:32632", always_xy=True)
    east, north = to_ground.transform(lons, lats)
    rows, cols = (5_400_000 - north) / gsd_m, (east - 680_000) / gsd_m
    inside = (np.abs(rows % 1 - 0.5) < 0.25) & (np.abs(cols % 1 - 0.5) < 0.25)
    assert inside.sum() > 1000
    here = values[rows[inside].astype(int), cols[inside].astype(int)]
    level = np.rint(np.clip((here + span) / (2 * span), 0, 1) * 255).astype(int)
    seen = visitor.screen()[PART][inside]
    apart = np.abs(seen - COLOURS[level]).max(axis=1)
    assert np.ptp(level) > 60  # there is something to see
    assert np.median(apart) <= 6  # WebP loses a little
    assert np.percentile(apart, 90) <= 30


def test_two_dates_of_the_measurement_are_subtracted_on_the_screen(
    visitor: Visitor, cube: Cube
) -> None:
    visitor.choose("Right of the handle", DIFFERENCE)
    visitor.settle()
    visitor.choose("Take this layer", LR)
    visitor.settle()
    visitor.choose("and subtract this one", LR)
    visitor.settle()
    now = words_of(visitor)["right.date"]
    (other,) = [one.scene for one in cube.scenes if one.scene.stamp != now]
    visitor.choose("Date of what is subtracted", other.stamp[:10])
    visitor.settle()
    visitor.page.get_by_role("button", name="Zoom in").click()
    visitor.settle()
    caption = visitor.caption("right")
    expect(caption.locator("strong")).to_have_text(f"NDVI: {LR} minus {LR} ({other.stamp[:10]})")
    expect(caption.locator(".ends")).to_have_text("-0.20.2")
    expect(caption.locator(".units")).to_have_text("difference of NDVI")
    expect(visitor.caption("left").locator(".legend")).to_have_count(0)
    whole = Window(0, 0, *cube.grid.shape)
    bands = tuple(one.name for one in cube.bands)
    dates = (now, other.stamp)
    first, second = (ndvi(cube.window_dn(slot_of(cube, one), bands, whole)) for one in dates)
    check_colours(visitor, first - second, 10, 0.2)


def test_super_resolved_minus_measured_is_fitted_to_the_view_and_shared(
    visitor: Visitor, cube: Cube, browser: Browser, demo_catalog: Path
) -> None:
    page = visitor.page
    visitor.choose("Take this layer", "Super-resolved · Wiener deconvolution x2")
    visitor.settle()
    visitor.choose("Date of what is subtracted", "the same date")
    visitor.settle()
    with page.expect_response("**/difference/statistics?*") as answer:
        page.get_by_role("button", name="Fit to view").first.click()
    told = answer.value.json()
    visitor.settle()
    span = max(abs(told["percentile_2"]), abs(told["percentile_98"]))
    low, high = map(float, words_of(visitor)["right.rescale"].split(","))
    assert (-low, high) == (span, span)
    words = words_of(visitor)
    assert {key: words[f"right.{key}"] for key in ("layer", "minuend", "model", "subtrahend")} == {
        "layer": "difference", "minuend": "sr", "model": "wiener-x2", "subtrahend": "lr",
    }  # fmt: skip
    slot, whole = slot_of(cube, words["right.date"]), Window(0, 0, *cube.grid.shape)
    fresh = Catalog(open_storage(demo_catalog)).open("simulated")  # as it is now
    product = Product.open(fresh, f"sr/{find_model('wiener-x2').card.key}")
    made = ndvi(product_window(product, slot, whole.scaled(2)))
    measured = ndvi(cube.window_dn(slot, tuple(one.name for one in cube.bands), whole))
    check_colours(visitor, made - measured.repeat(2, 0).repeat(2, 1), 5, span)

    # Somebody who is sent the link sees the same.
    other = Visitor(browser.new_context(viewport=SCREEN).new_page(), visitor.base_url)
    other.follow(page.url)
    expect(other.caption("right").locator("strong")).to_contain_text("minus", timeout=PATIENCE_MS)
    other.settle()
    assert difference(picture(other), picture(visitor)) < 0.5
    assert other.page.url == page.url
    gone = page.url.replace("model=wiener-x2", "model=wiener-x9").replace("rdbu", "drab")
    other.page.evaluate("link => location.assign(link)", gone)
    said = other.page.get_by_text("This link asks for what is not here")
    expect(said).to_contain_text("wiener-x9, drab", timeout=PATIENCE_MS)
    other.settle()
    expect(other.caption("right").locator("strong")).to_contain_text("minus")
    assert other.complaints == []
    other.page.context.close()


def test_it_is_taken_along_as_an_address_and_as_python(visitor: Visitor) -> None:
    page = visitor.page
    page.get_by_role("button", name="Share and export").click()
    visitor.settle()
    dock = page.locator(".srcube .dock")
    template = dock.get_by_label("XYZ, right", exact=True).input_value()
    assert "/layers/difference/tiles/" in template
    lat, lon, _ = visitor.place()
    x = int((lon + 180) / 360 * 2**15)
    y = int((1 - np.arcsinh(np.tan(np.radians(lat))) / np.pi) / 2 * 2**15)
    tile = httpx.get(template.replace("{z}", "15").replace("{x}", str(x)).replace("{y}", str(y)))
    assert Image.open(io.BytesIO(tile.content)).size == (256, 256)
    code = dock.locator("textarea").input_value()
    run = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    _, told, shapes = run.stdout.strip().splitlines()
    assert told.startswith("NDVI: sr.wiener-x2 minus lr.")
    one, other = (part.strip("()").split(", ") for part in shapes.split(") ("))
    assert other == ["1", *one[1:]]
    page.keyboard.press("Escape")


def test_trust_and_reasons_are_those_of_the_model_in_it(visitor: Visitor) -> None:
    page = visitor.page
    page.get_by_role("button", name="Trust", exact=True).click()
    visitor.settle()
    expect(page.locator(".srcube .dock")).to_contain_text("Agrees with the measurement",
                                                          timeout=PATIENCE_MS)  # fmt: skip
    page.keyboard.press("Escape")


def fields() -> dict[str, object]:
    """The collection of the other tests, with differences."""
    plain = collection()
    differences = layer("difference", "difference") | {"operands": ["sr", "lr", "truth"]}
    return {**plain, "layers": [*plain["layers"], differences]}


def test_controls_of_a_difference_stand_only_where_one_is_chosen() -> None:
    explorer = opened(fields())
    right = explorer.right
    assert not any(map(shown, right.difference.widgets()))
    right.layer.value = "difference"
    assert all(map(shown, right.difference.widgets()))
    assert not shown(right.model)
    told = explorer.map.shown["right"]
    assert {key: told[key] for key in ("minuend", "model", "subtrahend", "subtrahend_model")} == {
        "minuend": "sr", "model": MODELS[0]["id"], "subtrahend": "lr", "subtrahend_model": "",
    }  # fmt: skip
    assert shown(explorer.look.bands)  # of the left side
    explorer.left.layer.value = "difference"
    assert not shown(explorer.look.bands)  # nobody shows it
    right.layer.value = "lr"
    assert not any(map(shown, right.difference.widgets()))
    assert explorer.map.shown["right"]["bands"] == "B04,B03,B02"


def test_indices_that_come_late_are_offered_and_a_choice_stays() -> None:
    explorer = opened(fields())
    explorer.right.layer.value = "difference"
    assert explorer.map.shown["right"]["bands"] == "B02"  # before the indices are known
    explorer.map.indices = [{"name": "NDVI", "title": "Vegetation", "bands": ["B08", "B04"]}]
    explorer.right.difference.quantity.value = "NDVI"
    assert explorer.map.shown["right"]["index"] == "NDVI"
    assert explorer.map.shown["right"]["bands"] == ""


def test_a_fitted_range_is_that_of_the_side_and_of_its_value() -> None:
    explorer = opened(fields())
    explorer.right.layer.value = "difference"
    explorer.map.stretched = {"side": "right", "rescale": "-0.03,0.03", "at": 1}
    assert explorer.map.shown["right"]["rescale"] == "-0.03,0.03"
    assert explorer.map.shown["left"]["rescale"] == "0,0.25"
    explorer.right.difference.quantity.value = "band:B08"
    assert explorer.map.shown["right"]["rescale"] == "-0.2,0.2"


def test_what_a_link_wants_subtracted_is_taken_where_it_exists_and_else_named() -> None:
    known = Collection.from_json(fields())
    usual = SideState("lr", "", known.default_datetime, Look())
    state = SideState(
        "difference", "", known.default_datetime, Look(), usual_difference(known, ["NDVI"])
    )
    again = check_side(state.document(), usual, known, ["NDVI"])
    assert again.gone == ()
    assert again.side.document() == state.document()
    wanted = {"layer": "difference", "minuend": "mist", "model": "wiener-x2", "subtrahend": "sr",
              "subtrahend_model": "wiener-x9", "subtrahend_date": "1999-01-01T00:00:00Z",
              "index": "EVI", "colormap": "viridis", "rescale": "1,0"}  # fmt: skip
    found = check_side(wanted, usual, known, ["NDVI"])
    assert found.gone == ("mist", "wiener-x9", "1999-01-01T00:00:00Z", "EVI", "viridis", "1,0")
    assert found.side.difference == usual_difference(known, ["NDVI"])
    band, gone = check_difference(
        {"minuend": "truth", "subtrahend": "lr", "bands": "B08"}, known, ["NDVI"]
    )
    assert (band.minuend, band.band, band.index, gone) == (Operand("truth"), "B08", "", [])
    assert band.colormap == DIVERGING[0]
