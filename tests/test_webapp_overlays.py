"""A person draws the operator's overlays and a file of their own over the map."""

import io
import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
import rasterio
from PIL import Image
from playwright.sync_api import Locator, ViewportSize, expect
from pyproj import Transformer
from rasterio.transform import from_bounds

from datacube import Catalog, open_storage
from datacube.settings import Settings
from tests.browser import PATIENCE_MS, Pixels, Visitor, chromium, difference
from tests.conftest import serving
from tests.test_overlays import TileServer, entry

pytestmark = pytest.mark.filterwarnings("ignore:.*HTTPServerRequest.*:DeprecationWarning")

SCREEN = ViewportSize(width=1200, height=800)
MAGENTA, GREEN = (230, 0, 200), (0, 200, 40)


@pytest.fixture(scope="module")
def bounds(demo_catalog: Path) -> tuple[float, float, float, float]:
    return Catalog(open_storage(demo_catalog)).open("simulated").grid.lonlat_bounds()


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[TileServer]:
    with TileServer(status=500).serving() as server:
        yield server


@pytest.fixture(scope="module")
def wms() -> Iterator[TileServer]:
    """A WMS of somebody else's, which draws any ground in one colour."""
    with TileServer(body=flat_png(GREEN)).serving() as server:
        yield server


def flat_png(colour: tuple[int, int, int]) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (256, 256), colour).save(out, "PNG")
    return out.getvalue()


@pytest.fixture(scope="module")
def visitor(
    demo_catalog: Path, bounds: tuple[float, ...], elsewhere: TileServer, wms: TileServer,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Visitor]:  # fmt: skip
    folder = tmp_path_factory.mktemp("registry")
    west, south, east, north = bounds
    place = from_bounds(west - 0.1, south - 0.1, east + 0.1, north + 0.1, 60, 40)
    with rasterio.open(
        folder / "flat.tif", "w", driver="GTiff", height=40, width=60, count=3, dtype="uint8",
        crs="EPSG:4326", transform=place,
    ) as file:  # fmt: skip
        file.write(np.stack([np.full((40, 60), level, np.uint8) for level in MAGENTA]))
    registry = folder / "registry.toml"
    registry.write_text(
        entry("flat", "cog", "flat.tif", 'attribution = "Nobody"', "maxzoom = 22")
        + entry("broken", "xyz", elsewhere.url + "/{z}/{x}/{y}")
        + entry("drawn", "wms", wms.url + "/map", 'layers = "a,b"', "maxzoom = 22")
    )
    settings = Settings(data=str(demo_catalog), port=0, limit_blocks=16, registry=registry)
    with serving(settings) as url, chromium() as browser:
        one = Visitor(browser.new_context(viewport=SCREEN).new_page(), url)
        one.open()
        yield one
        # a tile that another server does not give is answered with 503, which Chromium tells
        assert [text for text in one.complaints if "503" not in text] == []


@pytest.fixture(name="tool")
def fixture_tool(visitor: Visitor) -> Locator:
    button = visitor.page.get_by_role("button", name="Overlays", exact=True)
    if button.get_attribute("aria-pressed") != "true":
        button.click()
    visitor.settle()
    return visitor.page.locator(".srcube .dock")


def share_of(strip: Pixels, colour: tuple[int, int, int]) -> float:
    apart = np.abs(strip - np.array(colour)).max(axis=2)
    return float((apart < 14).mean())


def share_magenta(strip: Pixels) -> float:
    return share_of(strip, MAGENTA)


def test_an_overlay_covers_the_map_or_one_side_of_the_comparison(
    visitor: Visitor, tool: Locator
) -> None:
    assert max(map(share_magenta, visitor.strips())) < 0.05
    tool.get_by_label("Overlay flat", exact=True).check()
    opacity = tool.get_by_label("Opacity of Overlay flat")
    opacity.press("End")
    visitor.settle()
    assert min(map(share_magenta, visitor.strips())) > 0.95
    credit = visitor.page.locator(".srcube .overlay-credit")
    expect(credit).to_have_text("Overlay flat (over the map) · Nobody")

    tool.get_by_label("Where Overlay flat lies").select_option("left")
    visitor.settle()
    left, right = map(share_magenta, visitor.strips())
    assert left > 0.95
    assert right < 0.05
    expect(credit).to_contain_text("left side")

    opacity.press("Home")
    visitor.settle()
    assert share_magenta(visitor.strips()[0]) < 0.05
    tool.get_by_label("Overlay flat", exact=True).uncheck()
    expect(credit).to_be_hidden()


def test_an_overlay_beneath_is_seen_around_the_cube_and_one_over_it_everywhere(
    visitor: Visitor, tool: Locator
) -> None:
    for _ in range(3):
        visitor.page.get_by_role("button", name="Zoom out").click()
        visitor.settle()
    around = slice(300, 400), slice(310, 370)  # of the screen: at the map's left rim
    for place, on_the_cube in (("beneath", False), ("over", True)):
        tool.get_by_label("Overlay flat", exact=True).check()
        tool.get_by_label("Where Overlay flat lies").select_option(place)
        tool.get_by_label("Opacity of Overlay flat").press("End")
        visitor.settle()
        assert share_magenta(visitor.screen()[around]) > 0.95
        for strip in middles(visitor):
            assert (share_magenta(strip) > 0.95) is on_the_cube
            assert (share_magenta(strip) < 0.05) is not on_the_cube
    tool.get_by_label("Overlay flat", exact=True).uncheck()
    visitor.page.get_by_role("button", name="Back to the middle").click()
    visitor.settle()


def middles(visitor: Visitor) -> tuple[Pixels, Pixels]:
    """Little of either side: the whole cube is not much larger on the screen than the grip."""
    left, right = (visitor.strip(offset_px=one, width_px=20, height_px=40) for one in (-50, 30))
    return left, right


def test_a_wms_is_drawn_where_its_ground_lies(
    visitor: Visitor, tool: Locator, wms: TileServer
) -> None:
    tool.get_by_label("Overlay drawn", exact=True).check()
    tool.get_by_label("Opacity of Overlay drawn").press("End")
    tool.get_by_label("Where Overlay drawn lies").select_option("right")
    visitor.settle()
    left, right = visitor.strips()
    assert share_of(right, GREEN) > 0.95
    assert share_of(left, GREEN) < 0.05
    lat, lon, _ = visitor.place()
    asked = [parse_qs(urlsplit(one).query) for one in wms.asked]
    assert {(one["REQUEST"][0], one["LAYERS"][0]) for one in asked} == {("GetMap", "a,b")}
    x, y = Transformer.from_crs("EPSG:4326", "EPSG:3857", always_xy=True).transform(lon, lat)
    boxes = [tuple(map(float, one["BBOX"][0].split(","))) for one in asked]
    assert any(box[0] < x < box[2] and box[1] < y < box[3] for box in boxes)
    tool.get_by_label("Overlay drawn", exact=True).uncheck()
    visitor.settle()


def test_an_overlay_that_does_not_answer_says_so_in_its_own_row(tool: Locator) -> None:
    switch = tool.get_by_label("Overlay broken", exact=True)
    switch.check()
    expect(tool.locator(".refused:visible")).to_contain_text("does not answer just now")
    switch.uncheck()
    expect(tool.locator(".refused:visible")).to_have_count(0)


def field(bounds: tuple[float, ...], **properties: object) -> dict[str, object]:
    """A square in the middle of the cube."""
    west, south, east, north = bounds
    x, y, half = (west + east) / 2, (south + north) / 2, (north - south) / 8
    ring = [[x - half, y - half], [x + half, y - half], [x + half, y + half], [x - half, y + half],
            [x - half, y - half]]  # fmt: skip
    geometry = {"type": "Polygon", "coordinates": [ring]}
    return {"type": "Feature", "properties": properties, "geometry": geometry}


def upload(tool: Locator, name: str, content: object) -> None:
    text = content if isinstance(content, str) else json.dumps(content)
    tool.get_by_label("Open a GeoJSON file").set_input_files(
        {"name": name, "mimeType": "application/geo+json", "buffer": text.encode()}
    )


def test_a_file_is_drawn_its_attributes_are_text_and_it_can_be_removed(
    visitor: Visitor, tool: Locator, bounds: tuple[float, ...]
) -> None:
    one = field(bounds, crop="<img src=x onerror=alert(1)>", area_ha=12.5)
    point = {"type": "Point", "coordinates": [bounds[0], bounds[1]]}
    two = {"type": "Feature", "properties": None, "geometry": point}
    upload(tool, "fields.geojson", {"type": "FeatureCollection", "features": [one, two]})
    shapes = visitor.page.locator(".srcube .visitor-pane path")
    expect(shapes).to_have_count(2)
    row = tool.get_by_role("region", name="fields.geojson")
    expect(row).to_contain_text("2 features")
    tool.get_by_label("Move the map to fields.geojson").click()
    visitor.page.get_by_role("button", name="Close Overlays").click()
    visitor.settle()  # the map takes the room of the dock
    box = shapes.first.bounding_box()
    assert box is not None
    x, y = box["x"] + 0.9 * box["width"], box["y"] + box["height"] / 3  # beside the handle
    visitor.page.mouse.click(x, y)
    expect(row).to_contain_text("<img src=x onerror=alert(1)>")  # the dock opens, and shows text
    expect(row).to_contain_text("12.5")
    expect(row).to_contain_text("1 of 2")
    row.get_by_label("Next feature").press("Enter")
    expect(row).to_contain_text("This feature has no attributes")
    tool.get_by_label("Remove fields.geojson").click()
    expect(shapes).to_have_count(0)
    expect(row).to_have_count(0)


def test_a_file_that_cannot_be_drawn_is_refused_in_a_sentence(
    visitor: Visitor, tool: Locator, bounds: tuple[float, ...]
) -> None:
    far = {"type": "Point", "coordinates": [5_500_000, 600_000]}
    many = {"type": "FeatureCollection", "features": [field(bounds)] * 5001}
    for content, said in (
        ("{not json", "no JSON"),
        ({"type": "Topology"}, "no GeoJSON features"),
        ({"type": "Point", "coordinates": "here"}, "no GeoJSON features"),
        (far, "longitude and latitude"),
        (many, "at most 5000 features"),
        (" " * (10 * 1024 * 1024 + 1), "too large"),
    ):
        upload(tool, "wrong.json", content)
        expect(tool.get_by_role("alert").filter(visible=True)).to_contain_text(said)
    expect(visitor.page.locator(".srcube .visitor-pane path")).to_have_count(0)


def sent(visitor: Visitor, link: str) -> Visitor:
    """Another visitor, who was sent a link."""
    browser = visitor.page.context.browser
    assert browser is not None
    other = Visitor(browser.new_context(viewport=SCREEN).new_page(), visitor.base_url)
    other.follow(link)
    return other


def credited(visitor: Visitor) -> Locator:
    return visitor.page.locator(".srcube .overlay-credit")


def test_a_link_brings_overlays_to_their_places(visitor: Visitor, tool: Locator) -> None:
    page = visitor.page
    tool.get_by_label("Overlay flat", exact=True).check()
    tool.get_by_label("Where Overlay flat lies").select_option("right")
    tool.get_by_label("Opacity of Overlay flat").fill("60")
    page.get_by_role("button", name="Close Overlays").click()
    visitor.settle()
    seen, link = visitor.strips(), page.url
    assert "overlays=flat:right:60" in link
    other = sent(visitor, link)
    expect(credited(other)).to_contain_text("right side", timeout=PATIENCE_MS)
    other.settle()
    for one, two in zip(other.strips(), seen, strict=True):
        assert difference(one, two) < 1
    other.page.get_by_role("button", name="Overlays", exact=True).click()
    found = other.page.locator(".srcube .dock")
    expect(found.get_by_label("Overlay flat", exact=True)).to_be_checked()
    expect(found.get_by_label("Where Overlay flat lies")).to_have_value("right")
    expect(found.get_by_label("Opacity of Overlay flat")).to_have_value("60")
    assert other.complaints == []
    other.page.context.close()
    page.get_by_role("button", name="Overlays", exact=True).click()
    tool.get_by_label("Overlay flat", exact=True).uncheck()
    visitor.settle()
    assert "overlays=" not in page.url


def test_an_overlay_that_is_gone_is_named_and_a_reload_keeps_the_others(visitor: Visitor) -> None:
    visitor.settle()
    wanted = "&overlays=flat:left:100,old-map:over:50,flat:inside:9"
    other = sent(visitor, visitor.page.url + wanted)
    said = other.page.get_by_text("This link asks for what is not here").first
    expect(said).to_contain_text("flat:inside:9, old-map", timeout=PATIENCE_MS)
    other.settle()
    assert share_magenta(other.strips()[0]) > 0.95
    assert share_magenta(other.strips()[1]) < 0.05
    other.page.reload()
    expect(credited(other)).to_contain_text("left side", timeout=PATIENCE_MS)
    other.settle()
    assert "overlays=flat:left:100&" in other.page.url
    assert share_magenta(other.strips()[0]) > 0.95
    bare = other.page.url.replace("&overlays=flat:left:100", "")
    other.page.evaluate("link => location.assign(link)", bare)
    expect(credited(other)).to_be_hidden(timeout=PATIENCE_MS)
    assert other.complaints == []
    other.page.context.close()
