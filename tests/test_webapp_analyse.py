"""A person reads values: at a point, along a line, in a polygon; the charts against the cube."""

import csv
import json
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Locator, expect
from pyproj import Geod, Transformer

from datacube import Catalog, Cube, Product, Window, open_storage
from datacube.scene import reflectance_from_dn
from server.layers import TRUTH
from sr_engine.blocks import product_path
from sr_engine.registry import DEFAULT_MODEL, find_model
from sr_engine.trust.calibration import calibration_of
from tests.browser import Visitor, chromium

pytestmark = pytest.mark.filterwarnings("ignore:.*HTTPServerRequest.*:DeprecationWarning")

SR, LR = "Default x4", "Sentinel-2, 10 m pixels"
BANDS = ("B02", "B03", "B04", "B08")
ROW, COL = 120, 150  # of the measured grid, in the middle of the collection
Table = dict[str, dict[str, str]]


@pytest.fixture(name="browser", scope="module")
def fixture_browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


@pytest.fixture(name="visitor", scope="module")
def fixture_visitor(browser: Browser, fresh_server: str) -> Iterator[Visitor]:
    """One page for all, on its middle and super-resolved; nothing complained in the end."""
    context = browser.new_context(viewport={"width": 1240, "height": 760}, reduced_motion="reduce")
    visitor = Visitor(context.new_page(), fresh_server)
    visitor.open()
    visitor.page.get_by_role("button", name="Analyse", exact=True).click()
    yield visitor
    context.close()
    assert visitor.complaints == []


@pytest.fixture(name="cube")
def fixture_cube(fresh_catalog: Path, visitor: Visitor) -> Cube:
    """The cube as it is once the page has had its blocks computed."""
    visitor.settle()
    return Catalog(open_storage(fresh_catalog)).open("simulated")


def tool(visitor: Visitor) -> Locator:
    return visitor.page.locator(".srcube .analyse")


def chart(visitor: Visitor, title: str) -> Locator:
    return tool(visitor).locator("figure.chart").filter(has_text=title)


def table(figure: Locator) -> Table:
    """What the table of a chart holds, by the first cell of its rows and the name of the column."""
    if not figure.locator("table").is_visible():
        figure.locator("summary").click()
    head, *rows = [
        row.locator("th, td").all_inner_texts() for row in figure.locator("table tr").all()
    ]
    return {row[0]: dict(zip(head[1:], row[1:], strict=True)) for row in rows}


def middle(visitor: Visitor) -> tuple[float, float]:
    box = visitor.page.locator(".srcube .map").bounding_box()
    assert box is not None
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def place(visitor: Visitor) -> tuple[float, float]:
    """Longitude and latitude that the tool says it reads."""
    lat, lon = tool(visitor).locator(".place").inner_text().replace("°", "").split(", ")
    return float(lon), float(lat)


def indices(cube: Cube, lon: float, lat: float, factor: int = 1) -> tuple[int, int]:
    """Row and column of a place on the grid `factor` times finer."""
    to_grid = Transformer.from_crs("EPSG:4326", cube.grid.crs, always_xy=True)
    x, y = to_grid.transform(lon, lat)
    rows, cols = cube.grid.refined(factor).pixel_coordinates(x=np.array([x]), y=np.array([y]))
    return int(rows[0]), int(cols[0])


def lr_at(cube: Cube, slot: int, band: str, where: tuple[int, int]) -> float:
    return float(reflectance_from_dn(cube.window_dn(slot, (band,), Window(*where, 1, 1)))[0, 0, 0])


def product_at(
    cube: Cube, path: str, slot: int, where: tuple[int, int], variable: str = "reflectance"
) -> Any:
    """Stored numbers (band) of a product at a fine pixel."""
    product = Product.open(cube, path)
    side = 128 * product.factor
    block = product.read_block(slot, (where[0] // side, where[1] // side), variable=variable)
    assert block is not None
    return block[..., where[0] % side, where[1] % side]


def at_point(visitor: Visitor) -> None:
    """Read a place a little beside the handle, in the middle of a measured pixel's quarter."""
    tool(visitor).get_by_role("button", name="Point", exact=True).click()
    x, y = middle(visitor)
    visitor.page.mouse.click(x + 61, y - 43)
    visitor.settle()


def test_a_point_tells_the_spectra_of_all_layers_as_the_cube_holds_them(
    visitor: Visitor, cube: Cube
) -> None:
    at_point(visitor)
    lon, lat = place(visitor)
    date = visitor.caption("right").locator(".date").inner_text()
    slot = next(one.slot for one in cube.scenes if one.scene.stamp.startswith(date))
    found = table(chart(visitor, f"Spectrum on {date}"))
    assert [name.split()[0] for name in found] == list(BANDS)
    model = find_model(DEFAULT_MODEL)
    path, where = product_path(cube, model), indices(cube, lon, lat, 4)
    fine = reflectance_from_dn(product_at(cube, path, slot, where))
    truth = reflectance_from_dn(product_at(cube, TRUTH, slot, where))
    for index, (name, values) in enumerate(zip(BANDS, found.values(), strict=True)):
        measured = lr_at(cube, slot, name, indices(cube, lon, lat))
        assert float(values[LR]) == pytest.approx(measured, abs=1e-5)
        assert float(values[SR]) == pytest.approx(float(fine[index]), abs=1e-5)
        assert float(values["Truth (simulated), 2.5 m"]) == pytest.approx(truth[index], abs=1e-5)
        scale = int(product_at(cube, path, slot, where, f"scale_{name}"))
        half = (scale - 1) * 1e-5 * calibration_of(model.card).multipliers["0.90"][name]
        assert float(values[f"{SR} ± 90 %"]) == pytest.approx(half, abs=2e-5)
    assert chart(visitor, "Spectrum").locator("svg.plot path.bar").count() == len(BANDS)


def test_a_date_picked_in_the_series_is_the_date_shown(visitor: Visitor, cube: Cube) -> None:
    at_point(visitor)
    lon, lat = place(visitor)
    found = table(chart(visitor, "B08 over time"))
    assert list(found) == [one.scene.stamp for one in cube.scenes]
    for one in cube.scenes:
        expected = lr_at(cube, one.slot, "B08", indices(cube, lon, lat))
        assert float(found[one.scene.stamp][LR]) == pytest.approx(expected, abs=1e-5)
    shown = visitor.caption("right").locator(".date").inner_text()
    other = next(stamp for stamp in found if not stamp.startswith(shown))
    assert found[other][SR] == ""  # nothing was computed of it
    chart(visitor, "B08 over time").get_by_role("button", name=other).click()
    for side in ("left", "right"):
        expect(visitor.caption(side).locator(".date")).to_have_text(other[:10])
    visitor.settle()
    expect(chart(visitor, f"Spectrum on {other[:10]}")).to_be_visible()
    first = next(stamp for stamp in found if stamp.startswith(shown))
    table(chart(visitor, "B08 over time"))
    chart(visitor, "B08 over time").get_by_role("button", name=first).click()
    expect(visitor.caption("right").locator(".date")).to_have_text(shown)
    visitor.settle()


def test_a_line_drawn_by_keys_tells_its_values_and_saves_them(
    visitor: Visitor, cube: Cube, tmp_path: Path
) -> None:
    page, body = visitor.page, tool(visitor)
    body.get_by_role("button", name="Line", exact=True).click()
    frame = page.locator(".srcube .map")
    frame.focus()
    ends = []
    for keys in (("Enter",), ("ArrowRight", "Enter"), ("ArrowDown", "Enter")):
        for key in keys:
            page.keyboard.press(key)
            visitor.settle()
        ends.append(visitor.place())
    page.keyboard.press("Backspace")  # the last place is taken back
    body.get_by_role("button", name="Finish").click()
    visitor.settle()
    figure = chart(visitor, "B08 along the line")
    with page.expect_download() as saved:
        figure.get_by_role("button", name="as CSV").click()
    saved.value.save_as(tmp_path / "line.csv")
    with (tmp_path / "line.csv").open(newline="") as text:
        rows = list(csv.DictReader(text))
    metres = np.array([float(row["Distance, m"]) for row in rows])
    assert metres[0] == 0
    assert np.diff(metres).max() < 2.6  # as fine as the pixels of the finest layer
    assert body.locator("p[role=status]").inner_text().startswith(f"{metres[-1]:.1f} m")
    assert {LR, SR, f"{SR} ± 90 %", "Truth (simulated), 2.5 m"} < set(rows[0])
    values = np.array([float(row[SR]) for row in rows])
    coarse = np.array([float(row[LR]) for row in rows])
    assert np.unique(values).size > 1.5 * np.unique(coarse).size
    check_transect(visitor, cube, rows, [(lon, lat) for lat, lon, _ in ends[:2]])
    expect(figure.locator("path.band").first).to_be_attached()
    box = figure.locator("svg.plot").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    expect(figure.locator(".readout")).to_contain_text(LR)
    expect(page.locator('.srcube path[fill="#ffb000"]')).to_have_count(1)  # the place on the map


def check_transect(
    visitor: Visitor, cube: Cube, rows: list[dict[str, str]], ends: list[tuple[float, float]]
) -> None:
    """Every value is what the cube holds of the pixel at its distance along the line."""
    date = visitor.caption("right").locator(".date").inner_text()
    slot = next(one.slot for one in cube.scenes if one.scene.stamp.startswith(date))
    model, band = find_model(DEFAULT_MODEL), BANDS.index("B08")
    path = product_path(cube, model)
    widen = 1e-5 * calibration_of(model.card).multipliers["0.90"]["B08"]
    metres = np.array([float(row["Distance, m"]) for row in rows])
    east, north = (
        np.interp(metres, metres[[0, -1]], ends_of) for ends_of in zip(*ends, strict=True)
    )
    compared = 0
    for row, lon, lat in zip(rows, east, north, strict=True):
        if near_a_rim(cube, lon, lat):
            continue
        compared += 1
        fine = indices(cube, lon, lat, 4)
        assert float(row[LR]) == pytest.approx(
            lr_at(cube, slot, "B08", indices(cube, lon, lat)), abs=1e-5
        )
        for name, stored in ((SR, path), ("Truth (simulated), 2.5 m", TRUTH)):
            value = reflectance_from_dn(product_at(cube, stored, slot, fine))[band]
            assert float(row[name]) == pytest.approx(float(value), abs=1e-5), name
        half = widen * (int(product_at(cube, path, slot, fine, "scale_B08")) - 1)
        assert float(row[f"{SR} ± 90 %"]) == pytest.approx(half, abs=2e-5)
    assert compared > 0.8 * len(rows)


def near_a_rim(cube: Cube, lon: float, lat: float) -> bool:
    """Whether a place is so near the rim of a fine pixel that a centimetre decides whose it is."""
    to_grid = Transformer.from_crs("EPSG:4326", cube.grid.crs, always_xy=True)
    x, y = to_grid.transform(lon, lat)
    at = cube.grid.refined(4).pixel_coordinates(x=np.array([x]), y=np.array([y]))
    return any(abs(one[0] % 1 - 0.5) > 0.47 for one in at)


def ring_of(cube: Cube) -> list[list[float]]:
    """A quadrangle in degrees, one position for each corner, the first repeated."""
    back = Transformer.from_crs(cube.grid.crs, "EPSG:4326", always_xy=True)
    corners = [(ROW - 9.3, COL - 8.2), (ROW - 7.6, COL + 9.4), (ROW + 8.7, COL + 6.1),
               (ROW + 5.2, COL - 10.9)]  # fmt: skip
    x, y = zip(*(cube.grid.transform @ (col, row) for row, col in corners), strict=True)
    places = [[float(lon), float(lat)] for lon, lat in zip(*back.transform(x, y), strict=True)]
    return [*places, places[0]]


def on_ellipsoid(ring: list[list[float]]) -> tuple[float, float]:
    """Area in square metres and length around, by GeographicLib."""
    lon, lat = zip(*ring, strict=True)
    area, around = Geod(ellps="WGS84").polygon_area_perimeter(lon, lat)
    return abs(float(area)), float(around)


def upload(visitor: Visitor, document: Any) -> None:
    content = document if isinstance(document, bytes) else json.dumps(document).encode()
    tool(visitor).get_by_role("button", name="Polygon", exact=True).click()
    tool(visitor).locator("input[type=file]").set_input_files(
        {"name": "field.geojson", "mimeType": "application/geo+json", "buffer": content}
    )


def test_an_uploaded_polygon_tells_statistics_and_band_maths_across_layers(
    visitor: Visitor, cube: Cube
) -> None:
    ring = ring_of(cube)
    geometry = {"type": "Polygon", "coordinates": [ring]}
    feature = {"type": "Feature", "properties": {}, "geometry": geometry}
    upload(visitor, {"type": "FeatureCollection", "features": [feature]})
    visitor.settle()
    body = tool(visitor)
    area, _ = on_ellipsoid(ring)
    told = body.locator("p[role=status]").inner_text()
    assert float(told.split(" ha")[0]) == pytest.approx(area / 1e4, abs=0.001)

    def figures() -> Table:
        head, *rows = [row.locator("th, td").all_inner_texts()
                       for row in body.locator(".statistics tr").all()]  # fmt: skip
        return {row[0]: dict(zip(head[1:], row[1:], strict=True)) for row in rows}

    found = figures()
    date = visitor.caption("right").locator(".date").inner_text()
    slot = next(one.slot for one in cube.scenes if one.scene.stamp.startswith(date))
    window = Window(ROW - 12, COL - 12, 24, 24)
    dn = cube.window_dn(slot, ("B08",), window)[0]
    inside = within(cube, ring, window)
    expected = reflectance_from_dn(dn)[inside].astype(float)
    assert int(found["Pixels"][LR]) == expected.size
    for name, value in (("Mean", expected.mean()), ("Standard deviation", expected.std()),
                        ("50 %", np.median(expected)), ("Largest", expected.max())):  # fmt: skip
        assert float(found[name][LR]) == pytest.approx(value, rel=1e-3), name
    shares = table(chart(visitor, "Histogram of B08"))
    assert sum(float(row[SR]) for row in shares.values()) == pytest.approx(100)
    means = table(chart(visitor, "B08 over time"))
    now = next(stamp for stamp in means if stamp.startswith(date))
    assert float(means[now][LR]) == pytest.approx(expected.mean(), rel=1e-4)

    body.get_by_role("combobox", name="Value").select_option("NDVI")
    visitor.settle()
    whole = figures()
    body.get_by_role("combobox", name="Shown").select_option("lr")
    visitor.settle()
    difference = figures()
    assert LR not in difference["Mean"]
    between = float(whole["Mean"][SR]) - float(whole["Mean"][LR])
    assert float(difference["Mean"][SR]) == pytest.approx(between, abs=0.02)  # but for the rim
    assert float(difference["Standard deviation"][SR]) > 0.001
    body.get_by_role("combobox", name="Shown").select_option("")
    body.get_by_role("combobox", name="Value").select_option("B08")
    visitor.settle()


def within(cube: Cube, ring: list[list[float]], window: Window) -> Any:
    """Which pixels of a window have their centre in a convex ring."""
    to_grid = Transformer.from_crs("EPSG:4326", cube.grid.crs, always_xy=True)
    y, x = cube.grid.cropped(window).centres()
    east, north = np.meshgrid(x, y)
    lon, lat = zip(*ring, strict=True)
    corners = list(zip(*to_grid.transform(lon, lat), strict=True))
    turns = [
        (x1 - x0) * (north - y0) - (y1 - y0) * (east - x0)
        for (x0, y0), (x1, y1) in pairwise(corners)
    ]
    return np.all([turn < 0 for turn in turns], axis=0) | np.all([t > 0 for t in turns], axis=0)


@pytest.mark.parametrize(
    ("document", "told"),
    [
        (b"no json", "no JSON"),
        ({"type": "Point", "coordinates": [1, 2]}, "no polygon"),
        ({"type": "Polygon", "coordinates": [[[0, 0], [0, 1], [1, 1], [0, 0]]] * 2}, "holes"),
        ({"type": "Polygon", "coordinates": [[[9e5, 0], [0, 1], [1, 1], [9e5, 0]]]}, "WGS 84"),
        ({"type": "Polygon", "coordinates": [[[n / 1e4, n % 7] for n in range(400)]]}, "399 corn"),
        (b" " * 1_000_001, "too large"),
    ],
    ids=["text", "point", "hole", "metres", "many", "large"],
)
def test_a_file_that_cannot_be_used_is_refused_in_words(
    visitor: Visitor, document: Any, told: str
) -> None:
    upload(visitor, document)
    expect(tool(visitor).get_by_role("alert")).to_contain_text(told)


def test_charts_keep_nobody_out(visitor: Visitor) -> None:
    at_point(visitor)
    table(chart(visitor, "Spectrum"))
    rules = Axe().run(visitor.page).response["violations"]
    assert [one["id"] for one in rules if one["impact"] in {"serious", "critical"}] == []


def test_lengths_and_areas_are_those_of_the_ellipsoid(visitor: Visitor) -> None:
    """Drawn with the mouse, and Vincenty's and Snyder's formulae against GeographicLib."""
    page = visitor.page
    script = """async ({assets, ring}) => {
        const {pathLength, ringArea} = await import(assets);
        const places = ring.map(([lng, lat]) => ({lng, lat}));
        return [pathLength([...places, places[0]]), ringArea(places)];
    }"""
    for ring in ([[11.0, 48.0], [11.07, 48.01], [11.05, 48.06]], [[-70.5, -33.2], [-70.4, -33.2],
                 [-70.41, -33.3], [-70.52, -33.27]]):  # fmt: skip
        assets = f"{visitor.base_url}/explorer/assets/geodesy.js"
        length, area = page.evaluate(script, {"assets": assets, "ring": ring})
        expected, around = on_ellipsoid(ring)
        assert length == pytest.approx(around, abs=1e-3)
        assert area == pytest.approx(expected, rel=1e-5)
    page.get_by_role("button", name="Measure", exact=True).click()
    x, y = middle(visitor)
    page.mouse.click(x - 80, y - 50)
    page.mouse.dblclick(x + 90, y + 40)
    result = page.locator(".srcube .measure .result")
    expect(result).to_contain_text(" m")
    page.get_by_role("checkbox", name="Meridians and parallels").check()
    expect(page.locator(".srcube .degrees.meridian").first).to_contain_text("° E")
    expect(page.locator(".srcube .degrees.parallel").first).to_contain_text("° N")
    page.get_by_role("checkbox", name="Meridians and parallels").uncheck()
    expect(page.locator(".srcube .degrees")).to_have_count(0)
    page.keyboard.press("Escape")
