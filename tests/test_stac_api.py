"""STAC API: pystac-client finds what is there, page by page, and what it finds can be opened."""

import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pystac
import pytest
import shapely
import xarray as xr
from obstore.store import HTTPStore
from pystac_client import Client
from zarr.storage import ObjectStore

from datacube import Catalog, Product, Window, open_storage
from datacube.scene import reflectance_from_dn
from datacube.settings import Settings
from server.ogc.stac_items import RENDER, WEB_MAP_LINKS
from sr_engine.blocks import compute_block, product_spec
from sr_engine.registry import find_model
from tests.conftest import serving
from tests.scenes import new_cube, pixels, scene
from tests.stac_check import check_stac, faults_of

DAYS = (1, 4, 9, 16, 25)
MODEL = "wiener-x2"


@pytest.fixture(name="root", scope="module")
def fixture_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five dates, of which the second has a super-resolved block; and an empty cube."""
    root = tmp_path_factory.mktemp("stac")
    cube = new_cube(root)
    for day in DAYS:
        cube = cube.append(scene(day), pixels(day))
    model = find_model(MODEL)
    compute_block(Product.ensure(cube, product_spec(cube, model)), model, 1, (0, 0))
    new_cube(root, (40, 30), "hollow")
    return root


@pytest.fixture(name="url", scope="module")
def fixture_url(root: Path) -> Iterator[str]:
    with serving(Settings(data=str(root), port=0)) as url:
        yield url


@pytest.fixture(name="catalog", scope="module")
def fixture_catalog(url: str) -> Client:
    return Client.open(url + "/")


@pytest.fixture(name="product_id", scope="module")
def fixture_product_id(root: Path) -> str:
    (path,) = Catalog(open_storage(root)).open("field").root.commit.products
    return f"field-{path.replace('/', '-')}"


def ids(**asked: Any) -> list[str]:
    """Ids that a search by pystac-client finds; `catalog` is the client."""
    catalog: Client = asked.pop("catalog")
    return [item.id for item in catalog.search(**asked).items()]


def test_pystac_client_finds_every_item_page_by_page(catalog: Client, product_id: str) -> None:
    found = ids(catalog=catalog, collections=["field"], limit=2)
    assert found == [f"S2X_{day:02d}" for day in reversed(DAYS)]
    by_get = ids(catalog=catalog, collections=["field"], limit=2, method="GET")
    assert by_get == found
    everything = ids(catalog=catalog, limit=3)
    suffix = product_id.removeprefix("field")
    assert sorted(everything) == sorted([*found, f"S2X_04{suffix}"])


def test_whoever_may_only_look_may_search(root: Path) -> None:
    """Beyond one machine everybody may look; pystac-client asks by POST unless told otherwise."""
    with serving(Settings(data=str(root), port=0, anonymous="view")) as url:
        found = ids(catalog=Client.open(url + "/"), collections=["field"], limit=2)
        assert found == [f"S2X_{day:02d}" for day in reversed(DAYS)]
        computing = httpx.post(url + "/processes/super-resolve/execution", json={"inputs": {}})
        assert computing.status_code == 401


def test_searches_by_time_place_and_id(catalog: Client) -> None:
    asked: dict[str, Any] = {"catalog": catalog, "collections": ["field"]}
    assert ids(**asked, datetime="2024-01-04/2024-01-09") == ["S2X_09", "S2X_04"]
    assert ids(**asked, datetime="../2024-01-04T00:00:00Z") == ["S2X_01"]
    assert ids(**asked, datetime="2024-01-16") == ["S2X_16"]
    assert ids(**asked, ids=["S2X_25", "nothing"]) == ["S2X_25"]
    assert len(ids(**asked, bbox=[10.28, 45.13, 10.29, 45.14])) == len(DAYS)
    assert ids(**asked, bbox=[11, 45, 12, 46]) == []
    assert len(ids(**asked, bbox=[170, 45, 11, 46])) == len(DAYS)  # across the antimeridian
    here = {"type": "Point", "coordinates": [10.285, 45.14]}
    there = {"type": "LineString", "coordinates": [[0, 0], [5, 5]]}
    assert len(ids(**asked, intersects=here)) == len(DAYS)
    assert ids(**asked, intersects=there) == []
    assert ids(catalog=catalog, collections=["nowhere"]) == []


def test_items_and_collections_are_valid_stac_with_all_that_they_declare(
    url: str, catalog: Client, product_id: str
) -> None:
    """As they are served, by core 1.1 and by every extension that they name."""
    found = httpx.get(f"{url}/collections").json()["collections"]
    collections = {one["id"]: one for one in found}
    assert set(collections) == {"field", "hollow", product_id}
    items = httpx.get(f"{url}/search", params={"limit": 50}).json()["features"]
    assert len(items) == len(DAYS) + 1
    for document in [*items, *found]:
        check_stac(document)
    assert {uri.split("/")[-3] for one in items for uri in one["stac_extensions"]} == {
        "projection", "eo", "raster", "processing", "render", "web-map-links",
    }  # fmt: skip
    assert {uri.split("/")[-3] for one in found for uri in one["stac_extensions"]} >= {
        "datacube", "projection", "eo", "processing",
    }  # fmt: skip
    parsed = {one.id: one for one in catalog.get_collections()}
    assert parsed["field"].extent.temporal.intervals[0][0] is not None
    landing = httpx.get(url, headers={"accept": "application/json"}).json()
    pystac.validation.validate_dict({**landing, "stac_extensions": []})


@pytest.mark.parametrize(
    ("uri", "spoil"),
    [
        (RENDER, lambda item: item["properties"].pop("renders")),
        (RENDER, lambda item: item["properties"]["renders"]["lr"].pop("assets")),
        (RENDER, lambda item: item["properties"]["renders"]["lr"].update(rescale=[0, 1])),
        (RENDER, lambda item: [one.pop("render", None) for one in item["links"]]),
        (WEB_MAP_LINKS, lambda item: [one.pop("wmts:layer", None) for one in item["links"]]),
        (WEB_MAP_LINKS, lambda item: item.update(links=[])),
    ],
)
def test_the_rules_find_what_is_wrong(url: str, uri: str, spoil: Callable[[Any], Any]) -> None:
    item = httpx.get(f"{url}/collections/field/items/S2X_09").json()
    assert list(faults_of(item, uri)) == []
    spoil(item)
    assert list(faults_of(item, uri)) != []


def test_links_to_maps_name_layers_that_the_wmts_has(url: str, product_id: str) -> None:
    capabilities = httpx.get(f"{url}/collections/field/WMTSCapabilities.xml").content
    space = "{http://www.opengis.net/ows/1.1}Identifier"
    known = {str(one.text) for one in ET.fromstring(capabilities).iter(space)}  # noqa: S314 (ours)
    for collection in ("field", product_id):
        (item,) = httpx.get(f"{url}/collections/{collection}/items?limit=1").json()["features"]
        (found,) = [one for one in item["links"] if one["rel"] == "wmts"]
        assert set(found["wmts:layer"]) <= known
        assert set(item["properties"]["renders"]) == {
            one["render"] for one in item["links"] if one["rel"] == "xyz"
        }


def test_a_product_is_derived_from_what_was_measured(catalog: Client, product_id: str) -> None:
    (item,) = catalog.search(collections=[product_id]).items()
    assert item.properties["srcube:inferred"] is True
    (derived,) = [one for one in item.links if one.rel == "derived_from"]
    source = httpx.get(str(derived.target)).json()
    assert source["id"] == "S2X_04"
    assert source["collection"] == "field"
    assert set(item.properties["renders"]) >= {"sr", "influence", "reach"}
    assert item.properties["renders"]["influence"]["colormap_name"] == "magma"


def test_links_of_an_item_lead_where_they_say(url: str, product_id: str) -> None:
    for collection in ("field", product_id):
        found = httpx.get(f"{url}/collections/{collection}/items", params={"limit": 1}).json()
        (item,) = found["features"]
        for one in item["links"]:
            href = one["href"].format(z=15, x=0, y=0) if one.get("templated") else one["href"]
            assert httpx.get(href).status_code in {200, 204}, href
        own = next(one["href"] for one in item["links"] if one["rel"] == "self")
        assert httpx.get(own).json() == item
        for render in item["properties"]["renders"].values():
            assert set(render["assets"]) <= set(item["assets"])


def test_an_asset_opens_as_zarr_over_http(url: str, root: Path) -> None:
    """Xarray reads the measured pixels from the href alone, and they are those of the cube."""
    item = httpx.get(f"{url}/collections/field/items/S2X_09").json()
    store = HTTPStore.from_url(item["assets"]["r10m"]["href"], client_options={"allow_http": True})
    dataset = xr.open_zarr(ObjectStore(store, read_only=True), consolidated=True)
    cube = Catalog(open_storage(root)).open("field")
    window = Window(30, 40, 25, 35)
    rows, cols = window.slices
    found = dataset["reflectance"].isel(time=2, band=1, y=rows, x=cols).load()
    expected = reflectance_from_dn(cube.window_dn(2, ("B03",), window)[0])
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert str(dataset["time"].values[2]).startswith("2024-01-09")


@pytest.mark.parametrize(
    "key",
    ["zarr.jsom", "../zarr.json", "%2e%2e/zarr.json", ".lock", "measurement/r10m/.lock", "c",
     "measurement/c/0", "measurement/r10m/reflectance/c/0/0/0",
     "measurement/r10m/reflectance/c/99/0/0/0", "measurement/r10m/reflectance/c/0/0/0/77",
     "/etc/passwd", "measurement/r10m/reflectance/c/-1/0/0/0", "a" * 280],
)  # fmt: skip
def test_no_other_key_is_read(url: str, key: str) -> None:
    answer = httpx.get(f"{url}/collections/field/zarr/{key}")
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"


def test_a_committed_chunk_that_is_missing_is_damage_and_not_emptiness(tmp_path: Path) -> None:
    new_cube(tmp_path).append(scene(1), pixels(1))
    key = "measurement/r10m/reflectance/c/0/2/0/0"
    with serving(Settings(data=str(tmp_path), port=0)) as url:
        assert httpx.get(f"{url}/collections/field/zarr/{key}").status_code == 200
        (tmp_path / "field.zarr" / key).unlink()
        answer = httpx.get(f"{url}/collections/field/zarr/{key}")
        assert answer.status_code == 500
        assert answer.json()["code"] == "ChunkCorrupt"


def test_a_page_goes_on_where_it_ended_though_scenes_were_added(tmp_path: Path) -> None:
    cube = new_cube(tmp_path)
    for day in (3, 5, 7):
        cube = cube.append(scene(day), pixels(day))
    with serving(Settings(data=str(tmp_path), port=0)) as url:
        first = httpx.get(f"{url}/search", params={"limit": 2}).json()
        assert [one["id"] for one in first["features"]] == ["S2X_07", "S2X_05"]
        assert (first["numberMatched"], first["numberReturned"]) == (3, 2)
        cube.append(scene(9), pixels(9))
        (following,) = [one for one in first["links"] if one["rel"] == "next"]
        second = httpx.get(following["href"]).json()
        assert [one["id"] for one in second["features"]] == ["S2X_03"]
        assert not [one for one in second["links"] if one["rel"] == "next"]


BAD = [
    {"bbox": "1,2,3"}, {"bbox": "nan,0,1,1"}, {"bbox": "0,5,1,1"}, {"bbox": "0,0,999,1"},
    {"datetime": "yesterday"}, {"datetime": "2024-02-02/2024-01-01"}, {"limit": "0"},
    {"limit": "99999"}, {"token": "x"}, {"token": "W10"}, {"intersects": "{"},
    {"intersects": '{"type": "Point", "coordinates": ["a"]}'},
    {"intersects": '{"type": "Polygon", "coordinates": [[[0,0],[1,1],[1,0],[0,1],[0,0]]]}'},
    {"intersects": "[" * 5000}, {"query": "{}"},
    {"bbox": "0,0,1,1", "intersects": '{"type": "Point", "coordinates": [0, 0]}'},
]  # fmt: skip


@pytest.mark.parametrize("params", BAD)
def test_bad_searches_are_refused_in_one_line(url: str, params: dict[str, str]) -> None:
    answer = httpx.get(f"{url}/search", params=params)
    assert answer.status_code == 422, answer.text
    assert "\n" not in answer.json()["detail"]


@pytest.mark.parametrize(
    "body",
    [{"bbox": [1, 2]}, {"limit": "many"}, {"ids": "S2X_01"}, {"sortby": []},
     {"intersects": {"type": "Polygon", "coordinates": [[]]}},
     {"intersects": {"type": "GeometryCollection", "geometries": []}},
     {"intersects": {"type": "MultiPolygon", "coordinates": [{}, [], {"a": 1}, 2, False]}},
     {"intersects": {"type": "Point", "coordinates": []}}, []],
)  # fmt: skip
def test_bad_bodies_are_refused_in_one_line(url: str, body: object) -> None:
    answer = httpx.post(f"{url}/search", json=body)
    assert answer.status_code == 422, answer.text
    assert "\n" not in answer.json()["detail"]


def pages_of(address: str) -> list[dict[str, Any]]:
    """The pages of a list of features, from link to link."""
    pages = []
    following: str | None = address
    while following is not None:
        answer = httpx.get(following)
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"] == "application/geo+json"
        pages.append(answer.json())
        links = {one["rel"]: one["href"] for one in pages[-1]["links"]}
        assert links["self"] == following
        following = links.get("next")
        assert len(pages) < 20
    return pages


@pytest.mark.parametrize("limit", [1, 2, 4, 5, 6, 10_000])
def test_items_are_features_page_by_page(url: str, limit: int) -> None:
    collection = httpx.get(f"{url}/collections/field").json()
    (listed,) = [one for one in collection["links"] if one["rel"] == "items"]
    assert listed["type"] == "application/geo+json"
    pages = pages_of(f"{listed['href']}?limit={limit}")
    assert len(pages) == -(-len(DAYS) // limit)
    found = [one["id"] for page in pages for one in page["features"]]
    assert found == [f"S2X_{day:02d}" for day in reversed(DAYS)]  # each once
    for page in pages:
        assert page["type"] == "FeatureCollection"
        assert page["numberReturned"] == len(page["features"]) <= limit
        assert page["numberMatched"] == len(DAYS)


@pytest.mark.parametrize(
    ("asked", "days"),
    [
        ("bbox=10.28,45.13,10.29,45.14", DAYS), ("bbox=10.28,45.13,0,10.29,45.14,99", DAYS),
        ("bbox=11,45,12,46", ()), ("bbox=170,45,11,46", DAYS), ("bbox=11,45,9,46", ()),
        ("datetime=2024-01-04T10:30:00Z", (4,)), ("datetime=2024-01-04", (4,)),
        ("datetime=2024-01-04/2024-01-09", (4, 9)), ("datetime=2024-01-05/2024-01-08", ()),
        ("datetime=2024-01-09/..", (9, 16, 25)), ("datetime=../2024-01-04T10:29:59Z", (1,)),
        ("datetime=2024-01-04T10:30:00Z/2024-01-09T10:29:59Z", (4,)),
        ("datetime=2024-01-04T12:30:00%2B02:00", (4,)),
        ("datetime=2024-01-01/2024-01-10&bbox=11,45,12,46", ()),
        ("datetime=2024-01-01/2024-01-10&bbox=10.28,45.13,10.29,45.14&limit=2", (1, 4, 9)),
    ],
)  # fmt: skip
def test_items_are_chosen_by_box_and_by_time(url: str, asked: str, days: tuple[int, ...]) -> None:
    pages = pages_of(f"{url}/collections/field/items?{asked}")
    found = [one["id"] for page in pages for one in page["features"]]
    assert found == [f"S2X_{day:02d}" for day in reversed(days)]
    assert pages[0]["numberMatched"] == len(days)


def test_one_item_is_the_feature_of_the_list(url: str) -> None:
    listed = pages_of(f"{url}/collections/field/items")[0]["features"]
    for one in listed:
        links = {link["rel"]: link for link in one["links"]}
        answer = httpx.get(links["self"]["href"])
        assert answer.headers["content-type"] == links["self"]["type"] == "application/geo+json"
        assert answer.json() == one
        assert httpx.get(links["collection"]["href"]).json()["id"] == one["collection"]
    assert httpx.get(f"{url}/collections/field/items/nothing").status_code == 404
    assert httpx.get(f"{url}/collections/nowhere/items").status_code == 404


def test_items_are_geojson_of_the_ground_of_the_cube(url: str, root: Path) -> None:
    """RFC 7946: rings are closed and counterclockwise, longitude first, the bbox around them."""
    west, south, east, north = Catalog(open_storage(root)).open("field").grid.lonlat_bounds()
    for one in pages_of(f"{url}/collections/field/items")[0]["features"]:
        assert {"type", "id", "geometry", "properties", "bbox"} <= set(one)
        assert one["type"] == "Feature"
        assert one["geometry"]["type"] == "Polygon"
        (ring,) = one["geometry"]["coordinates"]
        assert ring[0] == ring[-1]
        assert shapely.LinearRing(ring).is_ccw
        assert shapely.box(west, south, east, north).buffer(1e-4).contains(shapely.Polygon(ring))
        assert shapely.Polygon(ring).area > 0.9 * (east - west) * (north - south)
        np.testing.assert_allclose(one["bbox"], [west, south, east, north], atol=1e-4)
