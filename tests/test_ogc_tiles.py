"""OGC API Tiles by its abstract tests: lists lead to tilesets, tilesets to tiles, limits hold."""

import io
import math
from collections.abc import Iterator

import httpx
import morecantile
import numpy as np
import pytest
from PIL import Image

from server.ogc.matrix_sets import NAMES, matrix_set
from tests.test_ogc_common import links_of

SCHEME = "http://www.opengis.net/def/rel/ogc/1.0/tiling-scheme"
TILESETS = "http://www.opengis.net/def/rel/ogc/1.0/tilesets-map"


@pytest.fixture(name="client", scope="module")
def fixture_client(live_server: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=live_server, timeout=30) as client:
        yield client


def filled(template: str, zoom: object, col: object, row: object) -> str:
    for name, value in (("tileMatrix", zoom), ("tileCol", col), ("tileRow", row)):
        template = template.replace(f"{{{name}}}", str(value))
    return template


@pytest.mark.parametrize("name", NAMES)
def test_every_matrix_set_has_square_tiles_of_256_and_levels_from_0(name: str) -> None:
    for number, matrix in enumerate(matrix_set(name).tileMatrices):
        assert (matrix.tileWidth, matrix.tileHeight) == (256, 256)
        assert matrix.id == str(number)
        assert not matrix.variableMatrixWidths


def test_matrix_sets_are_listed_and_defined(client: httpx.Client) -> None:
    listed = client.get("/tileMatrixSets").json()["tileMatrixSets"]
    assert {one["id"] for one in listed} == set(NAMES)
    for one in listed:
        definition = client.get(links_of(one)[SCHEME]["href"]).json()
        assert morecantile.TileMatrixSet.model_validate(definition).id == one["id"]


def test_a_collection_leads_to_tilesets_and_they_to_tiles(client: httpx.Client) -> None:
    """Each tileset of the list names what the standard asks for, and its middle tile is drawn."""
    collection = client.get("/collections/simulated").json()
    tilesets = client.get(links_of(collection)[TILESETS]["href"]).json()["tilesets"]
    drawn = 0
    for entry in tilesets:
        assert entry["dataType"] == "map"
        assert entry["crs"]
        document = client.get(links_of(entry)["self"]["href"]).json()
        assert document["tileMatrixSetURI"] == entry["tileMatrixSetURI"]
        definition = client.get(links_of(document)[SCHEME]["href"]).json()
        assert definition["uri"] == entry["tileMatrixSetURI"] or "WGS1984Quad" in definition["id"]
        level = document["tileMatrixSetLimits"][-4]
        col = (level["minTileCol"] + level["maxTileCol"]) // 2
        row = (level["minTileRow"] + level["maxTileRow"]) // 2
        for item in (one for one in document["links"] if one["rel"] == "item"):
            assert item["templated"] is True
            answer = client.get(filled(item["href"], level["tileMatrix"], col, row))
            assert answer.status_code in {200, 204}
            if answer.status_code == 200:
                assert answer.headers["content-type"] == item["type"]
                drawn += 1
    assert drawn > 10


def test_limits_hold_all_that_is_drawn_and_no_more(client: httpx.Client) -> None:
    """Tiles on the rim of the limits show something, tiles beyond them nothing."""
    path = "/collections/simulated/layers/lr/tiles/WebMercatorQuad"
    document = client.get(path, params={"format": "png"}).json()
    (item,) = [one for one in document["links"] if one["rel"] == "item"]
    level = next(one for one in document["tileMatrixSetLimits"] if one["tileMatrix"] == "14")
    first, last = level["minTileCol"], level["maxTileCol"]
    rows = range(level["minTileRow"], level["maxTileRow"] + 1)
    for col, expected in ((first, 200), (last, 200), (first - 1, 204), (last + 1, 204)):
        answers = {client.get(filled(item["href"], 14, col, row)).status_code for row in rows}
        assert (200 in answers) == (expected == 200)


def test_every_listed_matrix_set_shows_the_same_ground(client: httpx.Client) -> None:
    """The middle of the cube has the same colour wherever it is drawn: axis order is right."""
    collection = client.get("/collections/simulated").json()
    west, south, east, north = collection["extent"]["spatial"]["bbox"][0]
    tilesets = client.get("/collections/simulated/layers/lr/tiles").json()["tilesets"]
    seen = {}
    for entry in tilesets:
        href = links_of(entry)["self"]["href"]
        name = href.rsplit("/", 1)[1]
        tms = matrix_set(name)
        lon, lat = (west + east) / 2, (south + north) / 2
        zoom = next(z for z in range(24) if tms.matrix(z).scaleDenominator * 0.28e-3 < 12)
        at = tms.tile(lon, lat, zoom)
        bounds = tms.xy_bounds(at)
        x, y = tms.xy(lon, lat)
        image = client.get(f"{href}/{zoom}/{at.x}/{at.y}?format=png&resampling=bilinear")
        pixels = np.asarray(Image.open(io.BytesIO(image.content)).convert("RGB")).astype(float)
        size = (bounds.right - bounds.left) / 256
        col, row = math.floor((x - bounds.left) / size), math.floor((bounds.top - y) / size)
        patch = pixels[max(row - 2, 0) : row + 3, max(col - 2, 0) : col + 3]
        seen[name] = patch.mean(axis=(0, 1))
    assert len(seen) >= 4
    reference = seen.pop("WebMercatorQuad")
    for name, colour in seen.items():
        assert np.abs(colour - reference).max() < 12, name


def test_bad_tilesets_are_refused(client: httpx.Client) -> None:
    base = "/collections/simulated/layers"
    assert client.get(f"{base}/lr/tiles/NoSuchQuad").status_code == 404
    assert client.get(f"{base}/gold/tiles").status_code == 404
    assert client.get(f"{base}/lr/tiles", params={"depth": "9"}).status_code == 422
    assert client.get("/collections/nowhere/tiles").status_code == 404
