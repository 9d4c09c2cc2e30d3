"""Products and polygons over HTTP: only what is asked for is computed, and only once."""

import sqlite3
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import shapely
from numpy.typing import NDArray
from pyproj import Transformer

from datacube import Cube, Grid, Product
from datacube.settings import Settings
from datacube.store.layout import BLOCK_PX
from server.jobs.area import Area
from server.layers import LAYERS
from server.view_inputs import ALONG, Polygon
from sr_engine.blocks import product_path
from sr_engine.registry import find_model
from tests.conftest import serving
from tests.scenes import small_grid
from tests.test_jobs import Field, finished, make_field

MODEL = "wiener-x2"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    root = tmp_path_factory.mktemp("fields")
    with serving(Settings(data=str(root), port=0, limit_blocks=20, limit_client_jobs=32)) as url:
        yield url, root


@pytest.fixture
def field(server: tuple[str, Path]) -> Field:
    return make_field(*server, cube_id=f"field-{uuid.uuid4().hex[:8]}")


def ask(field: Field, **inputs: Any) -> httpx.Response:
    asked = {"collection": field.id, "model": MODEL, **inputs}
    body = {"inputs": {name: value for name, value in asked.items() if value is not None}}
    return httpx.post(f"{field.url}/processes/super-resolve/execution", json=body, timeout=30)


def done(field: Field, **inputs: Any) -> dict[str, Any]:
    answer = ask(field, **inputs)
    assert answer.status_code == 201, answer.text
    ended = finished(field.url, answer.json()["jobID"])
    assert ended["status"] == "successful", ended["message"]
    return ended


def plan(field: Field, bbox: list[float], products: str = "") -> dict[str, Any]:
    query = {"bbox": ",".join(map(str, bbox)), "model": MODEL, "products": products}
    address = f"{field.url}/collections/{field.id}/layers/sr/plan"
    document: dict[str, Any] = httpx.get(address, params=query).json()
    return document


def computed(field: Field) -> dict[str, int]:
    """How many blocks of each kind were computed, not found: those that took time."""
    with closing(sqlite3.connect(field.root / ".srcube/jobs.sqlite3")) as database:
        rows = database.execute(
            "SELECT model, count(*) FROM blocks WHERE key LIKE ? AND seconds IS NOT NULL"
            " GROUP BY model",
            (field.cube.root.commit.uid + "%",),
        )
        return {("saliency" if kind.endswith("+saliency") else "sr"): n for kind, n in rows}


def kept(field: Field, variable: str = "reflectance") -> set[tuple[int, int]]:
    """Blocks that the cube holds now."""
    cube = Cube.open(field.cube.storage)
    product = Product.open(cube, product_path(cube, find_model(MODEL)))
    cells = [(row, col) for row in range(3) for col in range(4)]
    return {cell for cell in cells if product.has_block(0, cell, variable=variable)}


def test_saliency_is_planned_and_computed_only_where_asked_and_once(field: Field) -> None:
    assert done(field, bbox=field.corner)["blocks"] == {"total": 1, "cached": 0, "done": 1}
    assert computed(field) == {"sr": 1}
    before = plan(field, field.corner, "saliency")
    assert {name: one["cached"] for name, one in before["products"].items()} == {
        "sr": 1, "saliency": 0,
    }  # fmt: skip
    assert (before["total"], before["cached"]) == (2, 1)
    assert before["estimated_seconds"] == before["products"]["saliency"]["estimated_seconds"] > 0
    assert plan(field, field.corner)["products"].keys() == {"sr"}
    assert field.tile(layer="saliency").status_code == 204

    ended = done(field, bbox=field.corner, products=["saliency", "quality", "consistency"])
    assert ended["blocks"] == {"total": 2, "cached": 1, "done": 2}
    assert computed(field) == {"sr": 1, "saliency": 1}
    after = plan(field, field.corner, "saliency,consistency")
    assert (after["total"], after["cached"], after["estimated_seconds"]) == (2, 2, 0)
    again = ask(field, bbox=field.corner, products=["saliency"]).json()
    assert again["status"] == "successful"
    assert computed(field) == {"sr": 1, "saliency": 1}


def test_two_who_ask_at_once_share_one_computation(field: Field) -> None:
    wishes: list[dict[str, Any]] = [
        {"bbox": field.corner, "products": ["saliency"]},
        {"bbox": field.corner, "products": ["saliency", "influence"]},
        {"bbox": field.corner},
    ]
    with ThreadPoolExecutor(len(wishes)) as pool:
        ended = list(pool.map(lambda wish: done(field, **wish), wishes))
    assert [one["blocks"]["total"] for one in ended] == [2, 2, 1]
    assert computed(field) == {"sr": 1, "saliency": 1}


def test_a_saliency_layer_is_drawn_with_its_legend_and_by_models_with_gradients(
    field: Field,
) -> None:
    job = done(field, bbox=field.whole)
    assert field.tile(layer="saliency").status_code == 204  # pending: there is nothing of it
    results = httpx.get(f"{field.url}/jobs/{job['jobID']}/results").json()
    assert "saliency" not in results
    part = done(field, bbox=field.corner, products=["saliency"])
    tile = field.tile(layer="saliency", zoom=13)
    assert tile.status_code == 200
    assert tile.headers["x-srcube-complete"] == "false"
    results = httpx.get(f"{field.url}/jobs/{part['jobID']}/results").json()
    assert "saliency" in results
    layers = httpx.get(f"{field.url}/collections/{field.id}").json()["layers"]
    layer = next(one for one in layers if one["id"] == "saliency")
    assert layer["kind"] == "explanation"
    assert layer["legend"]["min"] < layer["legend"]["max"]
    assert "default-x2" in layer["models"]
    assert not {"fusion-x2", "sharpen20"} & set(layer["models"])


def test_products_count_towards_the_limit(field: Field) -> None:
    found = plan(field, field.whole, "saliency")
    assert found["total"] == 24
    assert found["cached"] == 0
    refused = ask(field, bbox=field.whole, products=["saliency"])
    assert refused.status_code == 413
    assert "24 blocks (12 for each of 2 products), at most 20" in refused.json()["detail"]


@pytest.mark.parametrize(
    ("inputs", "text"),
    [
        ({"products": ["interval"]}, "wiener-x2 does not make layer interval"),
        ({"products": ["sigma"]}, "wiener-x2 does not make layer sigma"),
        ({"products": ["saliency"], "model": "fusion-x2"}, "fusion-x2 does not make layer"),
        ({"products": ["truth"]}, "Input should be"),
        ({"products": "saliency"}, "valid list"),
    ],
)
def test_a_product_that_a_model_lacks_is_refused_in_a_line(
    field: Field, inputs: dict[str, Any], text: str
) -> None:
    answer = ask(field, bbox=field.corner, **inputs)
    assert answer.status_code == 422
    assert text in answer.json()["detail"]
    assert "\n" not in answer.json()["detail"]
    query = {"bbox": "9,44,10,45", "products": "magic"}
    address = f"{field.url}/collections/{field.id}/layers/sr/plan"
    assert "no product 'magic'" in httpx.get(address, params=query).json()["detail"]


def test_every_layer_beside_the_image_can_be_named_as_a_product() -> None:
    layers = {layer.id for layer in LAYERS.values() if layer.by_model} - {"sr"}
    assert set(ALONG) == layers


def triangle(field: Field) -> list[list[float]]:
    """The north-west half of the field, as seen by its corners."""
    west, south, east, north = field.whole
    return [[west, north], [west, south], [east, north], [west, north]]


def test_only_blocks_that_a_polygon_touches_are_computed(field: Field) -> None:
    polygon = {"type": "Polygon", "coordinates": [triangle(field)]}
    ended = done(field, bbox=None, polygon=polygon)
    blocks = kept(field)
    assert ended["blocks"]["total"] == len(blocks)
    assert {(0, 0), (0, 1), (1, 0)} <= blocks  # near the right angle
    assert not {(2, 2), (2, 3), (1, 3)} & blocks  # beyond the longest side
    assert computed(field) == {"sr": len(blocks)}


def degrees(grid: Grid, rows: NDArray[Any], cols: NDArray[Any]) -> tuple[NDArray[Any], ...]:
    """Longitudes and latitudes of places on a grid."""
    x = grid.transform.c + cols * grid.transform.a
    y = grid.transform.f + rows * grid.transform.e
    lon, lat = Transformer.from_crs(grid.crs, 4326, always_xy=True).transform(x, y)
    return lon, lat


@pytest.mark.parametrize("seed", range(8))
def test_blocks_of_a_polygon_are_those_that_hold_a_point_of_it(seed: int) -> None:
    """The oracle: points all over the grid, each asked whether it lies inside."""
    random, grid = np.random.default_rng(seed), small_grid((700, 1100))
    west, south, east, north = grid.lonlat_bounds()
    angles = 2 * np.pi * (np.arange(7) + random.uniform(0, 0.8, 7)) / 7  # no half turn empty
    far = random.uniform(0.05, 0.8, (7, 2)) * [(east - west), (north - south)]
    middle = random.uniform([west, south], [east, north])
    ring = middle + far * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    closed = [*ring.tolist(), ring[0].tolist()]
    outline = Polygon(type="Polygon", coordinates=[closed])
    rows, cols = np.mgrid[2.5:700:5, 2.5:1100:5]
    lon, lat = degrees(grid, rows, cols)
    inside = shapely.contains_xy(outline.geometry(), lon, lat)
    expected = set(zip(*(np.array([rows, cols])[:, inside] // BLOCK_PX).astype(int), strict=True))
    area = Area.of_polygon(grid, outline.geometry())
    found = area.blocks()
    assert len(found) == len(set(found)) == area.count()
    assert expected <= set(found)
    for row, col in set(found) - expected:  # touched by less than the points are apart
        down, along = np.array([row, row, row + 1, row + 1]), np.array([col, col + 1, col + 1, col])
        corners = degrees(grid, down * BLOCK_PX, along * BLOCK_PX)
        block = shapely.Polygon(np.stack(corners, axis=1))
        share = block.intersection(outline.geometry()).area / block.area
        assert 0 < share < 0.05


@pytest.mark.parametrize(
    ("inputs", "text"),
    [
        ({"polygon": None}, "need one of bbox and polygon, got neither"),
        ({"bbox": [9.0, 44.0, 11.0, 46.0]}, "need one of bbox and polygon, got both"),
        ({"ring": [[0, 0], [1, 0], [1, 1], [0, 1]]}, "need closed rings"),
        ({"ring": [[0, 0], [1, 1], [1, 0], [0, 1], [0, 0]]}, "self-intersection"),
        ({"ring": [[0, 0], [1, 1], [0, 0], [0, 0]]}, "surrounds an area"),
        ({"ring": [[0, 0], [1, 100], [1, 0], [0, 0]]}, "latitudes within"),
        ({"ring": [[0, 0], [1, 0], [1, 1], [0, 0]]}, "does not touch the grid"),
        ({"ring": [[0, 0], [1, 0], [0, 0]]}, "at least 4 items"),
        ({"ring": [[0, 0, 5], [1, 0], [1, 1], [0, 0]]}, "at most 2 items"),
        ({"ring": [[0, 0], [200, 0], [1, 1], [0, 0]]}, "less than or equal to 180"),
        ({"ring": [[0, 0]] + [[1, 0]] * 1000}, "at most 1000 items"),
        ({"type": "MultiPolygon"}, "'Polygon'"),
    ],
)
def test_a_place_that_is_none_is_refused_in_a_line(
    field: Field, inputs: dict[str, Any], text: str
) -> None:
    asked = dict(inputs)
    ring = asked.pop("ring", triangle(field))
    polygon = {"type": asked.pop("type", "Polygon"), "coordinates": [ring]}
    answer = ask(field, **{"polygon": polygon, **asked})
    assert answer.status_code == 422, answer.text
    assert text in answer.json()["detail"].lower() or text in answer.json()["detail"]
    assert "\n" not in answer.json()["detail"]


def test_the_description_of_the_process_tells_of_both(field: Field) -> None:
    found = httpx.get(f"{field.url}/processes/super-resolve").json()["inputs"]
    assert {"bbox", "polygon", "products"} <= set(found)
    assert found["polygon"]["minOccurs"] == found["bbox"]["minOccurs"] == 0
    assert "saliency" in str(found["products"]["schema"])
    assert "Polygon" in found["polygon"]["schema"]["$defs"]
