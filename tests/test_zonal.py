"""Statistics of polygons, indices and intervals by EDR: against direct reads of a cube."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray
from pyproj import Transformer

from datacube import Catalog, Cube, Product, ScenePixels, Window, open_storage
from datacube.layer import product_window
from datacube.scene import reflectance_from_dn
from datacube.settings import Settings
from server.trust_figures import UNTOLD
from server.zonal import BINS, MAX_PIXELS
from sr_engine.blocks import compute_block, product_path, product_spec
from sr_engine.registry import find_model
from sr_engine.trust.calibration import calibration_of
from tests.conftest import serving
from tests.opensr_cases import noise, smooth
from tests.scenes import BANDS, new_cube, scene

SHAPE = (140, 170)
MODEL = "default-x2"
RING = ((20.317, 30.641), (22.173, 90.229), (61.437, 71.713), (48.829, 25.917))  # rows, columns
FACTOR = 2
Values = NDArray[np.float64]


@pytest.fixture(name="root", scope="module")
def fixture_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two dates, a patch brighter than any calibration; the second has its first block computed."""
    root = tmp_path_factory.mktemp("zonal")
    cube = new_cube(root, SHAPE)
    for day in (3, 7):
        field = 0.05 + 0.3 * smooth(noise((len(BANDS), *SHAPE), day), 2)
        field[:, 30:36, 60:70] = 1.4
        dn = np.rint((field + 0.1) * 1e4).astype(np.uint16)
        dn[:, 40:44, 40:47] = 0
        cube = cube.append(scene(day), ScenePixels(dn, np.full(SHAPE, 4, np.uint8)))
    model = find_model(MODEL)
    compute_block(Product.ensure(cube, product_spec(cube, model)), model, 1, (0, 0))
    return root


@pytest.fixture(name="client", scope="module")
def fixture_client(root: Path) -> Iterator[httpx.Client]:
    with (
        serving(Settings(data=str(root), port=0)) as url,
        httpx.Client(base_url=url + "/collections/field", timeout=30) as client,
    ):
        yield client


@pytest.fixture(name="cube", scope="module")
def fixture_cube(root: Path) -> Cube:
    return Catalog(open_storage(root)).open("field")


def wkt(cube: Cube) -> str:
    back = Transformer.from_crs(cube.grid.crs, "EPSG:4326", always_xy=True)
    places = [back.transform(*(cube.grid.transform @ (col, row))) for row, col in RING]
    ring = ",".join(f"{lon:.9f} {lat:.9f}" for lon, lat in [*places, places[0]])
    return f"POLYGON(({ring}))"


def inside(factor: int) -> NDArray[np.bool_]:
    """Which pixels of a grid have their centre in the ring: crossings to the right are odd."""
    row, col = ((index + 0.5) / factor for index in np.indices([factor * n for n in SHAPE]))
    odd = np.zeros(row.shape, np.bool_)
    for (row0, col0), (row1, col1) in zip(RING, (*RING[1:], RING[0]), strict=True):
        crossing = col0 + (row - row0) / (row1 - row0) * (col1 - col0)
        odd ^= ((row0 > row) != (row1 > row)) & (col < crossing)
    return odd


def lr(cube: Cube, slot: int, band: str) -> Values:
    dn = cube.window_dn(slot, (band,), Window(0, 0, *SHAPE))[0]
    return reflectance_from_dn(dn).astype(np.float64)


def sr(cube: Cube, band: str) -> Values:
    product = Product.open(cube, product_path(cube, find_model(MODEL)))
    dn = np.zeros((SHAPE[0] * FACTOR, SHAPE[1] * FACTOR), np.uint16)
    block = product.read_block(1, (0, 0))
    assert block is not None
    _, height, width = block.shape
    dn[:height, :width] = block[product.bands.index(band)]
    return reflectance_from_dn(dn).astype(np.float64)


def ndvi(red: Values, nir: Values) -> Values:
    return (nir - red) / (nir + red)


def told(client: httpx.Client, cube: Cube, names: str, **query: str) -> dict[str, Any]:
    answer = client.get("/zonal", params={"coords": wkt(cube), "parameter-name": names, **query})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def check(figures: dict[str, Any], expected: Values) -> None:
    """The figures are those of the values, some of which are not finite."""
    here = expected[np.isfinite(expected)]
    assert figures["count"] == here.size > 100
    for name in ("min", "max", "mean", "std"):
        assert figures[name] == pytest.approx(getattr(here, name)(), rel=1e-4, abs=1e-5), name
    quantiles = np.percentile(here, (5, 25, 50, 75, 95))
    np.testing.assert_allclose(figures["percentiles"], quantiles, rtol=1e-4, atol=1e-5)


def test_figures_are_those_of_the_pixels_inside_at_every_date(
    client: httpx.Client, cube: Cube
) -> None:
    fine = f"sr.{MODEL}.B04"
    found = told(client, cube, f"lr.B04,{fine}")
    assert [one["datetime"] for one in found["dates"]] == [one.scene.stamp for one in cube.scenes]
    for slot, date in enumerate(found["dates"]):
        check(date["figures"]["lr.B04"], lr(cube, slot, "B04")[inside(1)])
    check(found["dates"][1]["figures"][fine], sr(cube, "B04")[inside(FACTOR)])
    nothing = found["dates"][0]["figures"][fine]  # of the first date nothing was computed
    assert (nothing["count"], nothing["mean"], nothing["histogram"]) == (0, None, None)
    assert found["parameters"]["lr.B04"]["pixels"] == inside(1).sum()
    assert found["parameters"]["lr.B04"]["pixels"] > found["dates"][0]["figures"]["lr.B04"]["count"]


def test_histograms_of_a_date_share_their_bins_and_hold_every_value(
    client: httpx.Client, cube: Cube
) -> None:
    names = ("lr.B08", f"sr.{MODEL}.B08")
    date = told(client, cube, ",".join(names), datetime="2024-01-07")["dates"][0]
    assert len(date["edges"]) == BINS + 1
    assert date["edges"][0] == min(date["figures"][name]["min"] for name in names)
    values = lr(cube, 1, "B08")[inside(1)]
    expected = np.histogram(values[np.isfinite(values)], date["edges"])[0]
    assert np.abs(expected - date["figures"]["lr.B08"]["histogram"]).max() <= 1  # digits of edges
    for name in names:
        assert sum(date["figures"][name]["histogram"]) == date["figures"][name]["count"]


def test_the_difference_of_two_layers_is_taken_pixel_by_pixel(
    client: httpx.Client, cube: Cube
) -> None:
    """NDVI of SR minus NDVI of LR, each measured pixel standing for the fine ones in it."""
    name = f"sr.{MODEL}.NDVI"
    found = told(client, cube, name, minus="lr.NDVI", datetime="2024-01-07")
    coarse = ndvi(lr(cube, 1, "B04"), lr(cube, 1, "B08")).repeat(2, 0).repeat(2, 1)
    expected = ndvi(sr(cube, "B04"), sr(cube, "B08")) - coarse
    check(found["dates"][0]["figures"][name], expected[inside(FACTOR)])
    assert found["minus"] == "lr.NDVI"
    assert found["parameters"][name]["unit"]["symbol"] == "1"


def test_edr_tells_indices_and_intervals_in_reflectance(client: httpx.Client, cube: Cube) -> None:
    """Along a row: NDVI of both layers, and half of the 90 % interval where one is told."""
    back = Transformer.from_crs(cube.grid.crs, "EPSG:4326", always_xy=True)
    ends = [back.transform(*(cube.grid.transform @ (col, 33.25))) for col in (50.1, 110.1)]
    line = ",".join(f"{lon:.9f} {lat:.9f}" for lon, lat in ends)
    names = ("lr.NDVI", f"sr.{MODEL}.NDVI", f"interval.{MODEL}.B04")
    asked = {"coords": f"LINESTRING({line})", "parameter-name": ",".join(names),
             "datetime": "2024-01-07"}  # fmt: skip
    ranges = client.get("/trajectory", params=asked).json()["ranges"]
    found = {name: np.array(ranges[name]["values"], float) for name in names}
    columns = np.linspace(50.1, 110.1, found["lr.NDVI"].size)
    assert columns.size == 121  # one place for each fine pixel
    coarse = ndvi(lr(cube, 1, "B04"), lr(cube, 1, "B08"))[33, columns.astype(int)]
    np.testing.assert_allclose(found["lr.NDVI"], coarse, atol=2e-5)
    row, cols = int(33.25 * FACTOR), (columns * FACTOR).astype(int)
    fine = ndvi(sr(cube, "B04"), sr(cube, "B08"))[row, cols]
    np.testing.assert_allclose(found[f"sr.{MODEL}.NDVI"], fine, atol=2e-5)
    product = Product.open(cube, product_path(cube, find_model(MODEL)))
    window = Window(row, 0, 1, 256)
    stored = product_window(product, 1, window, variable="scale_B04").reshape(-1)[cols]
    masks = product_window(product, 1, window, variable="quality").reshape(-1)[cols]
    times = calibration_of(find_model(MODEL).card).multipliers["0.90"]["B04"]
    half = np.where(masks & UNTOLD > 0, np.nan, (stored.astype(float) - 1) * 1e-5 * times)
    assert 5 < np.isnan(half).sum() < 80  # the bright patch has none
    np.testing.assert_allclose(found[f"interval.{MODEL}.B04"], half, atol=1e-5)


BAD = [
    ({"parameter-name": "lr.B99"}, 422),
    ({"parameter-name": "lr.GOLD"}, 422),
    ({"parameter-name": "lr.B04", "minus": "gold"}, 422),
    ({"parameter-name": "lr.B04", "coords": "POINT(10.28 45.14)"}, 422),
    ({"parameter-name": "lr.B04", "coords": "POLYGON((0 0,0 1,1 1,0 0))"}, 422),
    ({"parameter-name": "lr.B04", "coords": "POLYGON((0 0,1 1,1 0,0 1,0 0))"}, 422),
    ({"parameter-name": "lr.B04", "datetime": "1999-01-01"}, 404),
    ({"parameter-name": "lr.B04", "bins": "7"}, 422),
    ({}, 422),
]


@pytest.mark.parametrize(("query", "status"), BAD)
def test_what_cannot_be_counted_is_refused_in_one_line(
    client: httpx.Client, cube: Cube, query: dict[str, str], status: int
) -> None:
    answer = client.get("/zonal", params={"coords": wkt(cube), **query})
    assert answer.status_code == status, answer.text
    assert "\n" not in answer.json()["detail"]


def test_a_polygon_too_large_is_refused_and_the_way_out_told(tmp_path: Path) -> None:
    """Four million pixels of four bands and the two of an index."""
    shape = (2_000, 2_001)
    cube = new_cube(tmp_path, shape)
    nothing = ScenePixels(np.zeros((len(BANDS), *shape), np.uint16), np.zeros(shape, np.uint8))
    cube.append(scene(3), nothing)
    asked = {"coords": "POLYGON((10 44,12 44,12 46,10 46,10 44))",
             "parameter-name": "lr.B02,lr.B03,lr.B04,lr.B08,lr.NDVI"}  # fmt: skip
    with serving(Settings(data=str(tmp_path), port=0)) as url:
        answer = httpx.get(f"{url}/collections/field/zonal", params=asked)
    assert answer.status_code == 413
    assert f"more than the {MAX_PIXELS}" in answer.json()["detail"]
    assert "smaller polygon" in answer.json()["detail"]
