"""A person looks for a place: by coordinates, by the catalog's names, and by a gazetteer's."""

import json
import math
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, ViewportSize, expect
from pyproj import Transformer

from datacube import Catalog, CubeSpec, Grid, ScenePixels, find_bands, open_storage
from datacube.demo import build_simulated
from datacube.settings import Settings
from tests.browser import Visitor, chromium
from tests.conftest import SIZE, serving
from tests.scenes import BANDS, pixels, scene
from tests.test_overlays import TileServer
from tests.test_places import place, registry

pytestmark = pytest.mark.filterwarnings("ignore:.*HTTPServerRequest.*:DeprecationWarning")

SCREEN = ViewportSize(width=1200, height=800)
HERE = (48.7161, 11.4663)  # latitude, longitude in the simulated landscape
SHAPE = (120, 140)  # of the other collection, which lies east of Bolzano


@pytest.fixture(name="root", scope="module")
def fixture_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two collections far from each other."""
    root = tmp_path_factory.mktemp("search")
    catalog = Catalog(open_storage(root))
    build_simulated(catalog, "simulated", size=SIZE)
    grid = Grid.from_origin("EPSG:32632", left=680_000, top=5_152_000, gsd_m=10, shape=SHAPE)
    cube = catalog.create("bolzano", CubeSpec("Bözen and Bolzano", grid, find_bands(BANDS)))
    cube.append(scene(1), ScenePixels(pixels(1, SHAPE).dn, pixels(1, SHAPE).scl))
    return root


@pytest.fixture(name="gazetteer", scope="module")
def fixture_gazetteer() -> Iterator[TileServer]:
    with TileServer(media="application/json").serving() as server:
        yield server


@pytest.fixture(name="browser", scope="module")
def fixture_browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


@pytest.fixture(name="visitor", scope="module")
def fixture_visitor(
    browser: Browser, root: Path, gazetteer: TileServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Visitor]:
    path = registry(tmp_path_factory.mktemp("registry"), gazetteer.url + "/search", "pause_s = 0")
    settings = Settings(data=str(root), port=0, limit_blocks=16, registry=path)
    with serving(settings) as url:
        one = Visitor(browser.new_context(viewport=SCREEN).new_page(), url)
        one.open()
        yield one
        # a gazetteer that is silent is answered with 503, which Chromium tells
        assert [text for text in one.complaints if "503" not in text] == []


def opened(visitor: Visitor) -> Locator:
    """The field of the search, empty and in focus."""
    button = visitor.page.get_by_role("button", name="Search a place", exact=True)
    if button.get_attribute("aria-pressed") != "true":
        button.click()
    field = visitor.page.get_by_role("combobox", name="Place, coordinates")
    expect(field).to_be_focused()
    field.fill("")
    visitor.settle()
    return field


@pytest.fixture(name="field")
def fixture_field(visitor: Visitor) -> Locator:
    return opened(visitor)


def options(page: Page) -> Locator:
    return page.get_by_role("listbox", name="Found").get_by_role("option")


def status(page: Page) -> Locator:
    return page.locator(".srcube .search [role=status]")


def check_middle(visitor: Visitor, lat: float, lon: float, *, within_m: float = 3) -> None:
    """The map's middle is the place, and the mark stands on it on the screen."""
    seen_lat, seen_lon, _ = visitor.place()
    metres = 111_200
    assert abs(seen_lat - lat) * metres < within_m
    assert abs(seen_lon - lon) * metres * math.cos(math.radians(lat)) < within_m
    dot = visitor.page.locator(".srcube .place-dot").bounding_box()
    frame = visitor.page.locator(".srcube .map").bounding_box()
    assert dot is not None
    assert frame is not None
    assert dot["x"] + dot["width"] / 2 == pytest.approx(frame["x"] + frame["width"] / 2, abs=2)
    assert dot["y"] + dot["height"] / 2 == pytest.approx(frame["y"] + frame["height"] / 2, abs=2)


def test_coordinates_bring_the_map_to_their_place(visitor: Visitor, field: Locator) -> None:
    lat, lon = HERE
    field.press_sequentially("48.7161, 11.4663")
    option = options(visitor.page)
    expect(option).to_have_text("48.71610° N, 11.46630° ECoordinates")
    expect(field).to_have_attribute("aria-expanded", "true")
    field.press("Enter")
    visitor.settle()
    check_middle(visitor, lat, lon)
    expect(visitor.page.locator(".srcube .place-name")).to_have_text("48.71610° N, 11.46630° E")
    expect(field).to_have_attribute("aria-expanded", "false")
    field.press("Escape")  # empties the field and takes the mark away
    expect(visitor.page.locator(".srcube .place-dot")).to_have_count(0)
    field.press("Escape")  # and then closes the tool
    expect(visitor.page.get_by_role("button", name="Search a place", exact=True)).to_be_focused()


@pytest.mark.parametrize(
    ("text", "lat", "lon"),
    [
        ("46.49, 11.35", 46.49, 11.35),
        ("46.49 11.35", 46.49, 11.35),
        ("46,49; 11,35", 46.49, 11.35),
        ("46°29'24\"N 11°21'E", 46.49, 11.35),
        ("46° 29\u2032 24\u2033 N, 11° 21\u2032 0\u2033 E", 46.49, 11.35),
        ("N46°29.4' E11°21.0'", 46.49, 11.35),
        ("11.35E 46.49N", 46.49, 11.35),
        ("33 52 S 151 13 E", -33.86667, 151.21667),
        ("-33.8667, 151.2167", -33.8667, 151.2167),
        ("151.2167 -33.8667", -33.8667, 151.2167),
        ("32T 680000 5150000", *reversed(
            Transformer.from_crs(32632, 4326, always_xy=True).transform(680_000, 5_150_000))),
        ("56H 334000 6252000", *reversed(
            Transformer.from_crs(32756, 4326, always_xy=True).transform(334_000, 6_252_000))),
        ("32TPS", *reversed(
            Transformer.from_crs(32632, 4326, always_xy=True).transform(650_000, 5_150_000))),
        ("T33UUU", *reversed(
            Transformer.from_crs(32633, 4326, always_xy=True).transform(350_000, 5_850_000))),
        ("32T PS 12345 67890", *reversed(
            Transformer.from_crs(32632, 4326, always_xy=True).transform(612_345.5, 5_167_890.5))),
    ],
)  # fmt: skip
def test_common_notations_are_understood(
    visitor: Visitor, text: str, lat: float, lon: float
) -> None:
    found = read(visitor, text)
    assert found == {"lat": pytest.approx(lat, abs=1e-5), "lon": pytest.approx(lon, abs=1e-5)}


@pytest.mark.parametrize(
    "text",
    ["", "Bolzano", "46", "46.5 N", "91, 181", "46°61'N 11°E", "46N 12N", "46.5.1, 11", "1,2,3",
     "60XXX", "99TPS", "46 11 E", "http://127.0.0.1/", "9" * 61, "46.49, 11.35 <b>"],
)  # fmt: skip
def test_what_is_no_place_is_none(visitor: Visitor, text: str) -> None:
    assert read(visitor, text) is None


def read(visitor: Visitor, text: str) -> object:
    """What the page's own module makes of a text."""
    return visitor.page.evaluate(
        """async (text) => {
             const {readCoordinates} = await import("/explorer/assets/coordinates.js");
             return readCoordinates(text);
           }""",
        text,
    )


def test_a_collection_and_a_use_case_are_found_by_their_names(
    visitor: Visitor, field: Locator
) -> None:
    page = visitor.page
    field.fill("bozen")  # without the dots
    expect(options(page)).to_have_text("Bözen and BolzanoCollection")
    field.press("ArrowDown")
    expect(options(page)).to_have_attribute("aria-selected", "true")
    active = field.get_attribute("aria-activedescendant")
    assert page.locator(f"#{active}").count() == 1
    field.press("Enter")
    visitor.settle()
    assert "collection=bolzano" in page.url
    field = opened(visitor)
    field.fill("shore")
    expect(options(page)).to_contain_text("Use case · Simulated")
    options(page).click()
    visitor.settle()
    assert "collection=simulated" in page.url
    assert "index=NDWI" in page.url


def test_a_name_is_asked_of_the_gazetteer_when_it_is_complete(
    visitor: Visitor, field: Locator, gazetteer: TileServer
) -> None:
    page, (lat, lon) = visitor.page, HERE
    said = "<img src=x onerror=\"document.title='stolen'\">"
    box = [str(lat - 0.005), str(lat + 0.005), str(lon - 0.005), str(lon + 0.005)]
    found = [place(said, lat=str(lat), lon=str(lon), boundingbox=box, type="village")]
    gazetteer.body = json.dumps(found).encode()
    gazetteer.asked.clear()
    field.press_sequentially("Musterdorf")
    expect(status(page)).to_have_text("Press Enter to look for the name.")
    assert gazetteer.asked == []  # no answers while it is typed
    field.press("Enter")
    expect(options(page)).to_have_text(f"{said}Place · village")
    expect(page.locator(".srcube .search")).to_contain_text("Somebody, ODbL")
    field.press("ArrowDown")
    field.press("Enter")
    visitor.settle()
    check_middle(visitor, lat, lon)
    expect(page.locator(".srcube .place-name")).to_have_text(said)
    assert page.title() != "stolen"
    assert len(gazetteer.asked) == 1


def test_a_place_in_another_collection_is_shown_there(
    visitor: Visitor, field: Locator, gazetteer: TileServer
) -> None:
    to_degrees = Transformer.from_crs(32632, 4326, always_xy=True)
    lon, lat = to_degrees.transform(680_700, 5_151_400)
    found = [place("Bolzano", lat=str(lat), lon=str(lon), boundingbox=None)]
    gazetteer.body = json.dumps(found).encode()
    assert "collection=simulated" in visitor.page.url
    field.fill("bolz")
    field.press("Enter")
    options(visitor.page).filter(has_text="Place").click()
    visitor.settle()
    visitor.settle()
    assert "collection=bolzano" in visitor.page.url
    check_middle(visitor, lat, lon)
    expect(status(visitor.page)).to_contain_text("another collection, which is shown now: Bözen")


def test_where_there_are_no_data_the_page_says_so(visitor: Visitor, field: Locator) -> None:
    before = visitor.page.url
    field.fill("33 52 S 151 13 E")
    field.press("Enter")
    expect(status(visitor.page)).to_contain_text("no collection has data there")
    expect(status(visitor.page)).to_contain_text("km from here")
    visitor.settle()
    assert visitor.page.url == before
    lat, lon, _ = visitor.place()  # beside the collection, where the map may be moved
    field.fill(f"{lat + 0.008:.5f}, {lon:.5f}")
    field.press("Enter")
    expect(status(visitor.page)).to_contain_text("lies outside the collection")
    visitor.settle()
    check_middle(visitor, lat + 0.008, lon, within_m=20)


@pytest.mark.parametrize("body", [b"<html>", b'{"error": 1}', b"[" + b" " * 300_000 + b"]"])
def test_a_gazetteer_that_fails_is_said_to_and_the_rest_is_found(
    visitor: Visitor, field: Locator, gazetteer: TileServer, body: bytes
) -> None:
    gazetteer.body = body
    field.fill(f"Nowhere {len(body)}")
    field.press("Enter")
    expect(status(visitor.page)).to_contain_text("gazetteer does not answer just now")
    field.fill("simul")
    expect(options(visitor.page).first).to_contain_text("Simulated season")


def test_without_a_gazetteer_the_page_says_so_before_anything_is_typed(
    browser: Browser, live_server: str
) -> None:
    phone = ViewportSize(width=390, height=844)
    visitor = Visitor(browser.new_context(viewport=phone).new_page(), live_server)
    visitor.open()
    field = opened(visitor)
    expect(status(visitor.page)).to_contain_text("This server has no gazetteer")
    field.fill("Bolzano")
    field.press("Enter")
    expect(status(visitor.page)).to_contain_text("Nothing is found for “Bolzano”")
    field.fill("11.4663E 48.7161N")
    options(visitor.page).click()
    visitor.settle()
    expect(visitor.page.locator(".srcube .dock")).to_be_hidden()  # it lay over the map
    check_middle(visitor, *HERE)
    assert visitor.complaints == []
    visitor.page.context.close()
