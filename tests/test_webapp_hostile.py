"""Words of strangers (titles, descriptions, credits) are shown as words, in a real browser."""

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import numpy as np
import pytest
import rasterio
from playwright.sync_api import ViewportSize, expect
from rasterio.transform import from_bounds

from datacube import Catalog, CubeSpec, ScenePixels, Window, find_bands, open_storage
from datacube.errors import InvalidInput
from datacube.settings import Settings
from sr_engine.blocks import compute_window
from sr_engine.registry import DEFAULT_MODEL, find_model
from tests.browser import PATIENCE_MS, Visitor, chromium
from tests.conftest import serving
from tests.scenes import BANDS, scene, small_grid

pytestmark = pytest.mark.filterwarnings("ignore:.*HTTPServerRequest.*:DeprecationWarning")

SCREEN = ViewportSize(width=1100, height=760)
SHAPE = (120, 150)
TOOLS = ("Trust", "Overlays", "Why does it look like this?", "Analyse", "Share and export",
         "Search and ingest", "Measure", "Help")  # fmt: skip
RAN = "window.ran = (window.ran || 0) + 1"
# Each way in which text becomes a program where it is taken for markup.
ATTACKS = {
    "title": f"<script>{RAN}</script> title",
    "description": f'"><img src=x onerror="{RAN}"> description',
    "notice": f"<svg onload='{RAN}'></svg><iframe srcdoc=\"<script>parent.{RAN}</script>\"> notice",
    "attribution": f"</span><a href=\"javascript:{RAN}\">a</a><img src=x onerror='{RAN}'> credit",
    "overlay": f"<details open ontoggle='{RAN}'> overlay",
    "overlay-credit": f"'-{RAN}-'<math><mi xlink:href='javascript:{RAN}'> lender",
    "source": f"${{{RAN}}}{{{{{RAN}}}}}<script>{RAN}</script> source",
    "property": f'{{"html": "<img src=x onerror={RAN}>"}} property',
}


def hostile_cube(root: Path) -> tuple[float, float, float, float]:
    """A cube whose every free text is an attack, super-resolved; its bounds in degrees."""
    catalog = Catalog(open_storage(root))
    spec = CubeSpec(
        ATTACKS["title"],
        small_grid(SHAPE),
        find_bands(BANDS),
        description=ATTACKS["description"],
        notice=ATTACKS["notice"],
        attribution=ATTACKS["attribution"],
    )
    catalog.create("field", spec)
    random = np.random.default_rng(4)
    dn = random.integers(1500, 2600, (4, *SHAPE), dtype=np.uint16)
    strange = ATTACKS["property"]
    said = {"eo:cloud_cover": 1.0, "platform": strange, "title": ATTACKS["title"],
            "constellation": strange, "s2:product_uri": strange}  # fmt: skip
    taken = replace(scene(3), properties=said)
    cube = catalog.open("field").append(taken, ScenePixels(dn, np.full(SHAPE, 4, np.uint8)))
    compute_window(cube, find_model(DEFAULT_MODEL), 0, Window(0, 0, *SHAPE))
    return cube.grid.lonlat_bounds()


def registry_of(folder: Path, bounds: tuple[float, ...]) -> Path:
    """An overlay and a catalog to search, both with hostile words."""
    west, south, east, north = bounds
    place = from_bounds(west - 0.1, south - 0.1, east + 0.1, north + 0.1, 60, 40)
    with rasterio.open(
        folder / "flat.tif", "w", driver="GTiff", height=40, width=60, count=1, dtype="uint8",
        crs="EPSG:4326", transform=place,
    ) as file:  # fmt: skip
        file.write(np.full((1, 40, 60), 200, np.uint8))
    texts = {name: json.dumps(ATTACKS[name]) for name in ("overlay", "overlay-credit", "source")}
    path = folder / "registry.toml"
    path.write_text(
        f'[[overlay]]\nid = "flat"\nkind = "cog"\naddress = "flat.tif"\nmaxzoom = 22\n'
        f"title = {texts['overlay']}\nattribution = {texts['overlay-credit']}\n"
        f'[[source]]\nname = "alps"\naddress = "https://127.0.0.1/stac"\n'
        f"title = {texts['source']}\n"
    )
    return path


@pytest.fixture(name="url", scope="module")
def fixture_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    root, folder = tmp_path_factory.mktemp("hostile"), tmp_path_factory.mktemp("registry")
    registry = registry_of(folder, hostile_cube(root))
    settings = Settings(data=str(root), port=0, registry=registry, allow_ingest=True)
    with serving(settings) as url:
        yield url


@pytest.fixture(name="visitor", scope="module")
def fixture_visitor(url: str) -> Iterator[Visitor]:
    with chromium() as browser:
        one = Visitor(browser.new_context(viewport=SCREEN).new_page(), url)
        one.page.goto(f"{url}/explorer")
        expect(one.caption("right").locator("strong")).to_be_visible(timeout=PATIENCE_MS)
        one.settle()
        yield one
        assert one.complaints == []


def assert_nothing_ran(visitor: Visitor) -> None:
    """No attack was taken for markup, in the page or in any shadow root (CSS pierces open ones)."""
    assert visitor.page.evaluate("window.ran") is None
    for made in ("img[src='x']", "svg[onload]", "iframe", "details[ontoggle]", "[onerror]",
                 "a[href^='javascript:']", "math"):  # fmt: skip
        assert visitor.page.locator(made).count() == 0, made


def test_an_attack_does_run_where_text_is_taken_for_markup(visitor: Visitor) -> None:
    """What the other tests look for can be seen: this page would run it."""
    page = visitor.page.context.new_page()
    page.goto(f"{visitor.base_url}/explorer")
    page.evaluate("text => document.body.insertAdjacentHTML('beforeend', text)",
                  ATTACKS["description"])  # fmt: skip
    for _ in range(100):  # not wait_for_function: the page's policy allows no eval
        if page.evaluate("window.ran") == 1:
            break
        page.wait_for_timeout(100)
    assert page.evaluate("window.ran") == 1
    page.close()


def test_titles_notices_and_credits_are_shown_as_they_are_written(visitor: Visitor) -> None:
    page = visitor.page
    expect(page.locator(".srcube .notice")).to_contain_text(ATTACKS["notice"])
    expect(page.locator(".srcube")).to_contain_text(ATTACKS["attribution"])
    page.get_by_role("combobox", name="Collection").click()
    option = page.get_by_role("menuitem", name=ATTACKS["title"])
    expect(option).to_be_visible()
    page.keyboard.press("Escape")
    expect(option).to_be_hidden()
    assert_nothing_ran(visitor)


@pytest.mark.parametrize("tool", TOOLS)
def test_every_tool_shows_hostile_words_as_words(visitor: Visitor, tool: str) -> None:
    page = visitor.page
    page.get_by_role("button", name=tool, exact=True).click()
    visitor.settle()
    dock = page.locator(".srcube .dock")
    expect(dock).to_be_visible()
    if tool == "Overlays":
        dock.get_by_label(ATTACKS["overlay"], exact=True).check()
        visitor.settle()
        expect(page.locator(".srcube .overlay-credit")).to_contain_text(ATTACKS["overlay-credit"])
    if tool == "Search and ingest":
        expect(dock).to_contain_text(ATTACKS["source"])
    if tool == "Trust":
        expect(dock).to_contain_text("S2X_03")
    assert_nothing_ran(visitor)


@pytest.mark.parametrize(
    "path",
    ["/", "/collections", "/collections/field", "/collections/field/tiles", "/processes",
     "/collections/field/layers/lr/tiles", "/api.html"],
)  # fmt: skip
def test_documents_as_pages_show_hostile_words_as_words(visitor: Visitor, path: str) -> None:
    page = visitor.page.context.new_page()
    refused: list[str] = []
    page.on("console", lambda message: refused.append(message.text))
    page.goto(f"{visitor.base_url}{path}{'' if path.endswith('html') else '?f=html'}")
    if path == "/collections/field":
        expect(page.locator("body")).to_contain_text(ATTACKS["title"])
    assert page.evaluate("window.ran") is None
    assert page.locator("img, svg, iframe, script, [onerror], math").count() == 0
    assert refused == []  # the policy had nothing to stop
    page.close()


@pytest.mark.parametrize(
    "name", [*ATTACKS.values(), "../S2X", "S2X\n", "=S2X", "+S2X", "-S2X", "@S2X", "", "S" * 129]
)
def test_ids_of_scenes_are_names_or_refused(name: str) -> None:
    with pytest.raises(InvalidInput):
        replace(scene(1), scene_id=name)


@pytest.mark.parametrize("query", ["area", "cube", "position"])
def test_no_cell_of_a_table_is_a_formula(url: str, query: str) -> None:
    """A program of tables computes what begins with =, +, - or @, unless it is a number."""
    collection = httpx.get(f"{url}/collections/field").json()
    west, south, east, north = collection["extent"]["spatial"]["bbox"][0]
    x, y, step = (west + east) / 2, (south + north) / 2, (east - west) / 40
    ring = f"{x} {y},{x + step} {y},{x + step} {y + step},{x} {y}"
    asked = {"area": {"coords": f"POLYGON(({ring}))"}, "position": {"coords": f"POINT({x} {y})"},
             "cube": {"bbox": f"{x},{y},{x + step},{y + step}"}}[query]  # fmt: skip
    for names in ({}, {"parameter-name": "lr.NDVI,lr.B04"}):
        text = httpx.get(
            f"{url}/collections/field/{query}", params=asked | names | {"f": "CSV"}
        ).text
        rows = list(csv.reader(io.StringIO(text)))
        assert len(rows) > 1
        cells = {cell for row in rows for cell in row if cell[:1] in tuple("=+-@\t\r")}
        assert all(np.isfinite(float(cell)) for cell in cells)
    hostile = {"parameter-name": "=cmd|'/c calc'!A1"}
    assert httpx.get(f"{url}/collections/field/{query}", params=asked | hostile).status_code == 422
