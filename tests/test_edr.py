"""EDR: the numbers of the pixels themselves, at the right place, or refused before any read."""

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from fastapi.testclient import TestClient
from numpy.typing import NDArray
from pyproj import Transformer

from datacube import Catalog, Cube, Product, Window, open_storage
from datacube.scene import reflectance_from_dn
from datacube.settings import Settings
from server.main import make_app
from server.ogc.sampling import MAX_VALUES, parameters_of
from sr_engine.blocks import compute_block, product_spec
from sr_engine.registry import find_model
from tests.conftest import serving
from tests.scenes import new_cube, pixels, scene

SHAPE = (300, 201)
MODEL = "wiener-x2"
FORMATS = ("CoverageJSON", "GeoJSON", "CSV")


@pytest.fixture(name="root", scope="module")
def fixture_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two dates, and one super-resolved block of the second."""
    root = tmp_path_factory.mktemp("edr")
    cube = new_cube(root).append(scene(3), pixels(3)).append(scene(7), pixels(7))
    model = find_model(MODEL)
    compute_block(Product.ensure(cube, product_spec(cube, model)), model, 1, (1, 0))
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


def lonlat(cube: Cube, row: float, col: float) -> tuple[float, float]:
    """A place given in pixels, in degrees."""
    x, y = cube.grid.transform @ (col, row)
    lon, lat = Transformer.from_crs(cube.grid.crs, "EPSG:4326", always_xy=True).transform(x, y)
    return float(lon), float(lat)


def ring(cube: Cube, corners: list[tuple[float, float]]) -> str:
    places = [lonlat(cube, *corner) for corner in [*corners, corners[0]]]
    return ",".join(f"{lon:.9f} {lat:.9f}" for lon, lat in places)


def array(document: dict[str, Any], name: str) -> NDArray[np.float64]:
    found = document["ranges"][name]
    return np.array(found["values"], float).reshape(found["shape"])


def reflectance(cube: Cube, slot: int, band: str, window: Window) -> NDArray[np.float32]:
    return reflectance_from_dn(cube.window_dn(slot, (band,), window)[0])


def test_a_position_tells_the_pixel_it_lies_in_at_every_date(
    client: httpx.Client, cube: Cube
) -> None:
    lon, lat = lonlat(cube, 200.9, 41.1)
    document = client.get("/position", params={"coords": f"POINT({lon} {lat})"}).json()
    assert document["domain"]["domainType"] == "PointSeries"
    assert document["domain"]["axes"]["t"]["values"] == [
        "2024-01-03T10:30:00Z", "2024-01-07T10:30:00Z",
    ]  # fmt: skip
    assert document["domain"]["axes"]["x"]["values"] == [pytest.approx(lon, abs=1e-7)]
    expected = [reflectance(cube, slot, "B04", Window(200, 41, 1, 1))[0, 0] for slot in (0, 1)]
    np.testing.assert_allclose(array(document, "lr.B04"), expected, atol=1e-5)
    assert set(document["parameters"]) == set(parameters_of(cube))
    fine = array(document, f"sr.{MODEL}.B04")
    assert np.isnan(fine[0])  # of the first date nothing was computed
    product = Product.open(cube, product_spec(cube, find_model(MODEL)).path)
    block = product.read_block(1, (1, 0))
    assert block is not None
    row, col = int(2 * 200.9) - 256, int(2 * 41.1)
    assert fine[1] == pytest.approx(reflectance_from_dn(block)[2, row, col], abs=1e-5)
    assert array(document, f"influence.{MODEL}")[1] >= 0


def test_a_box_gives_every_pixel_it_touches_on_the_cubes_own_grid(
    client: httpx.Client, cube: Cube
) -> None:
    (west, south), (east, north) = lonlat(cube, 8.5, 3.4), lonlat(cube, 2.4, 20.6)
    asked = {"bbox": f"{west},{south},{east},{north}", "parameter-name": "lr.B08,scl"}
    document = client.get("/cube", params={**asked, "datetime": "2024-01-03"}).json()
    window = cube.grid.window_of(lonlat_bbox=(west, south, east, north))
    assert window.row == 2
    assert window.col == 3
    found = array(document, "lr.B08")
    np.testing.assert_allclose(found[0], reflectance(cube, 0, "B08", window), atol=1e-5)
    assert np.isnan(found).any()  # the patch without data
    np.testing.assert_array_equal(array(document, "scl")[0], cube.window_scl(0, window))
    axes = document["domain"]["axes"]
    left, top = cube.grid.transform @ (window.col, window.row)
    assert axes["x"] == {"start": left + 5, "stop": left + 10 * window.width - 5,
                         "num": window.width}  # fmt: skip
    assert axes["y"]["start"] == top - 5
    assert document["domain"]["referencing"][0]["system"]["id"].endswith("EPSG/0/32632")


def test_layers_of_other_spacing_come_as_coverages_of_their_own(
    client: httpx.Client, cube: Cube
) -> None:
    (west, south), (east, north) = lonlat(cube, 150, 10), lonlat(cube, 140, 30)
    names = f"lr.B04,sr.{MODEL}.B04"
    asked = {"bbox": f"{west},{south},{east},{north}", "parameter-name": names}
    document = client.get("/cube", params={**asked, "datetime": "2024-01-07"}).json()
    assert document["type"] == "CoverageCollection"
    coarse, fine = document["coverages"]
    (_, rows, cols), (_, fine_rows, fine_cols) = (
        coarse["ranges"]["lr.B04"]["shape"], fine["ranges"][f"sr.{MODEL}.B04"]["shape"],
    )  # fmt: skip
    assert (fine_rows, fine_cols) == (2 * rows, 2 * cols)
    values = array(fine, f"sr.{MODEL}.B04")[0]
    assert np.isfinite(values).all()
    halved = values.reshape(rows, 2, cols, 2).mean(axis=(1, 3))
    assert np.corrcoef(halved.ravel(), array(coarse, "lr.B04")[0].ravel())[0, 1] > 0.8


def test_an_area_leaves_out_what_lies_around_it(client: httpx.Client, cube: Cube) -> None:
    """A triangle: pixels are in it by their centres."""
    coords = f"POLYGON(({ring(cube, [(50, 20), (50, 60), (80, 20)])}))"
    asked = {"coords": coords, "parameter-name": "lr.B02", "datetime": "2024-01-07"}
    document = client.get("/area", params=asked).json()
    found = array(document, "lr.B02")[0]
    axes = document["domain"]["axes"]
    first_col, first_row = ~cube.grid.transform @ (axes["x"]["start"], axes["y"]["start"])
    row, col = np.indices(found.shape)
    below, right = row + first_row - 50, col + first_col - 20  # of the triangle's right angle
    inside = (below > 0) & (right > 0) & (below / 30 + right / 40 < 1)
    clear = np.abs(below / 30 + right / 40 - 1) > 0.05
    np.testing.assert_array_equal(np.isfinite(found)[clear], inside[clear])
    whole = reflectance(
        cube, 1, "B02", Window(round(first_row - 0.5), round(first_col - 0.5), *found.shape)
    )
    np.testing.assert_allclose(found[np.isfinite(found)], whole[np.isfinite(found)], atol=1e-5)


def test_a_trajectory_follows_the_line_pixel_by_pixel(client: httpx.Client, cube: Cube) -> None:
    line = ",".join(f"{lon} {lat}" for lon, lat in [lonlat(cube, 250.5, 10.5),
                                                    lonlat(cube, 250.5, 110.5)])  # fmt: skip
    asked = {"coords": f"LINESTRING({line})", "parameter-name": "lr.B03", "datetime": "2024-01-03"}
    document = client.get("/trajectory", params=asked).json()
    axis = document["domain"]["axes"]["composite"]
    assert axis["coordinates"] == ["t", "x", "y"]
    assert 100 <= len(axis["values"]) <= 102
    found = array(document, "lr.B03")
    columns = np.linspace(10.5, 110.5, found.size).astype(int)
    row = reflectance(cube, 0, "B03", Window(250, 0, 1, SHAPE[1]))[0]
    assert (np.abs(found - row[columns]) < 1e-5).mean() > 0.9


@pytest.mark.parametrize("kind", FORMATS)
def test_formats_tell_the_same_values(client: httpx.Client, cube: Cube, kind: str) -> None:
    (west, south), (east, north) = lonlat(cube, 12.5, 3.5), lonlat(cube, 2.5, 20.5)
    asked = {"bbox": f"{west},{south},{east},{north}", "parameter-name": "lr.B08",
             "datetime": "2024-01-03", "f": kind}  # fmt: skip
    answer = client.get("/cube", params=asked)
    media = {"CoverageJSON": "application/prs.coverage+json", "GeoJSON": "application/geo+json",
             "CSV": "text/csv; charset=utf-8"}[kind]  # fmt: skip
    assert answer.headers["content-type"] == media
    window = cube.grid.window_of(lonlat_bbox=(west, south, east, north))
    expected = reflectance(cube, 0, "B08", window)
    here = np.isfinite(expected)
    if kind == "CoverageJSON":
        found = array(answer.json(), "lr.B08")[0][here]
    elif kind == "GeoJSON":
        found = np.array([one["properties"]["lr.B08"] for one in answer.json()["features"]])
        first = answer.json()["features"][0]["geometry"]["coordinates"]
        row, col = np.argwhere(here)[0]
        place = lonlat(cube, window.row + row + 0.5, window.col + col + 0.5)
        assert first == pytest.approx(place, abs=1e-6)
    else:
        rows = list(csv.DictReader(io.StringIO(answer.text)))
        found = np.array([float(one["lr.B08"]) for one in rows])
    np.testing.assert_allclose(found, expected[here], atol=1e-5)


def test_several_points_are_several_series(client: httpx.Client, cube: Cube) -> None:
    points = [lonlat(cube, 100.5, 50.5), lonlat(cube, 20.5, 150.5)]
    coords = f"MULTIPOINT({','.join(f'({lon} {lat})' for lon, lat in points)})"
    document = client.get("/position", params={"coords": coords, "parameter-name": "lr.B04"}).json()
    assert len(document["coverages"]) == 2
    for part, (row, col) in zip(document["coverages"], [(100, 50), (20, 150)], strict=True):
        expected = reflectance(cube, 0, "B04", Window(row, col, 1, 1))[0, 0]
        assert array(part, "lr.B04")[0] == pytest.approx(expected, abs=1e-5)


def test_the_collection_describes_its_parameters_and_queries(
    client: httpx.Client, cube: Cube
) -> None:
    document = httpx.get(str(client.base_url).rstrip("/")).json()
    assert set(document["parameter_names"]) == set(parameters_of(cube))
    assert {f"lr.{band.name}" for band in cube.bands} < set(document["parameter_names"])
    for one in document["parameter_names"].values():
        assert one["type"] == "Parameter"
        assert one["observedProperty"]["label"]
    assert set(document["data_queries"]) == {"position", "area", "trajectory", "cube"}
    for kind, one in document["data_queries"].items():
        assert one["link"]["variables"]["query_type"] == kind
        assert client.get(f"/{kind}").status_code == 422  # a query without its place


def test_a_parameter_is_listed_only_once_something_of_it_is_held(cube: Cube) -> None:
    names = set(parameters_of(cube))
    assert f"sr.{MODEL}.B04" in names
    assert not any("wiener-x4" in name for name in names)


INSIDE = "POINT(10.285 45.14)"
BAD = [
    ("/position", {"coords": "POINT(0 0)"}, 404),
    ("/position", {"coords": "POINT(nan 45)"}, 422),
    ("/position", {"coords": "POINT(1000 45)"}, 422),
    ("/position", {"coords": "POINT EMPTY"}, 422),
    ("/position", {"coords": "LINESTRING(0 0,1 1)"}, 422),
    ("/position", {"coords": "file:///etc/passwd"}, 422),
    ("/position", {"coords": INSIDE, "datetime": "1999-01-01"}, 404),
    ("/position", {"coords": INSIDE, "datetime": "soon"}, 422),
    ("/position", {"coords": INSIDE, "datetime": "9999-12-31/9999-12-31"}, 422),
    ("/position", {"coords": INSIDE, "datetime": "0001-01-01T00:00:00+23:00"}, 422),
    ("/position", {"coords": INSIDE, "parameter-name": "gold"}, 422),
    ("/position", {"coords": INSIDE, "crs": "EPSG:9999"}, 422),
    ("/position", {"coords": INSIDE, "f": "xlsx"}, 422),
    ("/position", {"coords": INSIDE, "url": "x"}, 422),
    ("/position", {"coords": "MULTIPOINT(" + "(10.285 45.14)," * 1500 + "(10.285 45.14))"}, 422),
    ("/area", {"coords": "POLYGON((0 0,1 1,1 0,0 1,0 0))"}, 422),
    ("/area", {"coords": "POLYGON((0 0,0 1,1 1,0 0))"}, 422),
    ("/trajectory", {"coords": "LINESTRING(-10 0,10 50)"}, 422),
    ("/cube", {"bbox": "nan,0,1,1"}, 422),
    ("/cube", {"bbox": "2,0,1,1"}, 422),
    ("/cube", {"bbox": "1,2,3"}, 422),
    ("/cube", {"bbox": "0,0,1,1"}, 422),
    ("/cube", {"bbox": "10,45,11,46"}, 413),
]  # fmt: skip


@pytest.mark.parametrize(("path", "params", "status"), BAD)
def test_bad_queries_are_refused_in_one_line(
    client: httpx.Client, path: str, params: dict[str, str], status: int
) -> None:
    answer = client.get(path, params=params)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert "\n" not in answer.json()["detail"]


def test_what_is_too_large_is_refused_before_a_chunk_is_read(root: Path) -> None:
    app = make_app(Settings(data=str(root), port=0))
    cache = app.state.services.catalog.cache
    with TestClient(app, base_url="http://127.0.0.1") as client:
        refused = client.get("/collections/field/cube", params={"bbox": "10,45,11,46"})
        assert refused.status_code == 413
        assert str(MAX_VALUES) in refused.json()["detail"]
        assert client.get("/collections/field/position", params={"coords": "POINT(0 0)"}).is_error
        assert (cache.hits, cache.misses) == (0, 0)
        here = client.get("/collections/field/position", params={"coords": INSIDE})
        assert here.status_code == 200
        assert cache.misses > 0
