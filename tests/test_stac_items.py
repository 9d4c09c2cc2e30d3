"""What an item says: its bands by name, what its numbers mean, and what is wrong with it."""

import copy
import json
import math
import pickle
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from datacube.errors import InvalidInput
from datacube.sources.radiometry import harmonise
from datacube.sources.refusals import BandMissing, CrsMismatch, RadiometryUnknown
from datacube.stac.catalogs import CATALOGS, TokenSigner, find_catalog
from datacube.stac.errors import ItemRejected, Unreachable
from datacube.stac.fetch import Fetcher
from datacube.stac.items import band_of, load_items, read_item
from datacube.stac.radiometry import baseline_of, calibration_of
from datacube.stac.sources import plan_items
from tests.test_fetch import QUICK, reply, server

Document = dict[str, Any]
TIFF = "image/tiff; application=geotiff; profile=cloud-optimized"


def item(
    properties: Document | None = None, asset: Document | None = None, collection: str = "s2-l2a"
) -> Document:
    """A small item with one band, written by hand after the shape of the catalogs' own."""
    return {
        "type": "Feature",
        "stac_version": "1.1.0",
        "id": "S2B_32TPS_20240620_0_L2A",
        "collection": collection,
        "bbox": [10.1, 46.2, 11.4, 47.1],
        "geometry": {"type": "Polygon", "coordinates": [[[10, 46], [11, 46], [11, 47], [10, 46]]]},
        "properties": {"datetime": "2024-06-20T10:20:30.024Z", **(properties or {})},
        "links": [],
        "assets": {"red": {"href": "https://data.example/B04.tif", "type": TIFF, **(asset or {})}},
    }


def offset_of(*args: Any, **kwargs: Any) -> float:
    found = item(*args, **kwargs)
    return calibration_of(found, found["assets"]["red"]).offset


EARTH_SEARCH = {"raster:bands": [{"nodata": 0, "scale": 0.0001, "offset": -0.1}]}
NEW, OLD = {"s2:processing_baseline": "05.10"}, {"s2:processing_baseline": "02.14"}


def applied(value: Any) -> Document:
    return {"earthsearch:boa_offset_applied": value}


@pytest.mark.parametrize(
    ("properties", "asset", "collection", "offset"),
    [
        # Planetary Computer: not harmonised, the baseline alone tells.
        ({"s2:processing_baseline": "04.00"}, {}, "sentinel-2-l2a", -0.1),
        ({"s2:processing_baseline": "03.01"}, {}, "sentinel-2-l2a", 0.0),
        # Copernicus Data Space: the baseline as processing:version, scale and offset on the asset.
        ({"processing:version": "05.11"}, {"raster:scale": 1e-4, "raster:offset": -0.1}, "x", -0.1),
        ({"processing:version": "02.06"}, {"raster:scale": 1e-4, "raster:offset": 0}, "x", 0.0),
        # STAC 1.1 keeps them in the one band.
        (NEW, {"bands": [{"name": "B04", "raster:offset": -0.1}]}, "x", -0.1),
        # Earth Search: removed already, whatever raster:bands goes on saying.
        ({**NEW, **applied(True)}, EARTH_SEARCH, "sentinel-2-l2a", 0.0),
        ({**NEW, **applied(False)}, EARTH_SEARCH, "sentinel-2-c1-l2a", -0.1),
        ({**OLD, **applied(False)}, {}, "sentinel-2-l2a", 0.0),
        ({"sentinel:boa_offset_applied": True, **NEW}, {}, "sentinel-s2-l2a-cogs", 0.0),
        # A harmonised collection says it in its name.
        (NEW, {}, "sentinel-2-l2a-harmonized", 0.0),
        # The product's name tells the baseline.
        ({"s2:product_uri": "S2B_MSIL2A_20240620T102029_N0510_R065_T32TPS_x.SAFE"}, {}, "x", -0.1),
        ({"sentinel:product_id": "S2A_MSIL2A_20200714T115221_N0214_R123_T28QCH_x"}, {}, "x", 0.0),
        # Nothing but the asset's own statement.
        ({}, EARTH_SEARCH, "x", -0.1),
        ({}, {"raster:bands": [{"scale": 0.0001, "offset": 0}]}, "x", 0.0),
    ],
)
def test_the_offset_is_what_the_item_says(
    properties: Document, asset: Document, collection: str, offset: float
) -> None:
    assert offset_of(properties, asset, collection) == offset


@pytest.mark.parametrize(
    ("properties", "asset", "collection"),
    [
        ({}, {}, "sentinel-2-l2a"),  # silence
        ({}, {"raster:bands": [{"scale": 0.0001}]}, "x"),  # a scale alone
        (applied(False), {}, "x"),  # not removed, but was it ever added?
        (NEW, {"raster:bands": [{"scale": 1e-4, "offset": 0}]}, "x"),  # contradiction
        (OLD, EARTH_SEARCH, "x"),
        ({**NEW, **OLD, "processing:version": "05.10"}, {}, "x"),
        ({**NEW, **applied(False)}, EARTH_SEARCH, "sentinel-2-l2a"),  # known to be wrong at times
        ({**NEW, **applied("yes")}, {}, "x"),
        ({**NEW, **applied(True), "sentinel:boa_offset_applied": False}, {}, "x"),
        (NEW, {"raster:bands": [{"offset": "-0.1"}]}, "x"),
        (NEW, {"raster:bands": [{"offset": "nan"}]}, "x"),
        (NEW, {"raster:bands": [{"scale": 0, "offset": -0.1}]}, "x"),
    ],
)
def test_what_cannot_be_told_is_refused(
    properties: Document, asset: Document, collection: str
) -> None:
    with pytest.raises(RadiometryUnknown) as caught:
        offset_of(properties, asset, collection)
    assert "\n" not in str(caught.value)


def test_the_same_ground_gets_the_same_number_from_every_catalog() -> None:
    reflectance = np.array([0.0, 0.0001, 0.05, 0.31, 1.2])
    plain = np.rint(reflectance * 10_000).astype(np.uint16)
    plain[0] = 0  # no data
    shifted = np.where(plain == 0, 0, plain + 1000).astype(np.uint16)
    for numbers, properties, asset in (
        (plain, OLD, {}),
        (shifted, NEW, {}),
        (plain, {**NEW, **applied(True)}, EARTH_SEARCH),
        (shifted, NEW, EARTH_SEARCH),
    ):
        found = item(properties, asset)
        dn = harmonise(numbers, calibration_of(found, found["assets"]["red"]))
        assert dn.tolist() == [0, 1001, 1500, 4100, 13_000]


def test_no_data_may_be_nan() -> None:
    found = item(NEW, {"raster:bands": [{"nodata": "nan", "offset": -0.1}]})
    assert math.isnan(calibration_of(found, found["assets"]["red"]).no_data or 0)


def test_a_version_of_some_software_is_no_baseline() -> None:
    assert baseline_of(item({"processing:version": "2.10.3"})) is None
    assert baseline_of(item({"s2:processing_baseline": "05.09"})) == (5, 9)


@pytest.mark.parametrize(
    ("key", "asset", "band"),
    [
        ("red", {"eo:bands": [{"name": "red", "common_name": "red"}]}, "B04"),
        ("B04", {}, "B04"),
        ("B04_10m", {"bands": [{"name": "B04", "eo:common_name": "red"}]}, "B04"),
        ("B8", {}, "B08"),
        ("nir08", {"eo:bands": [{"name": "nir08", "common_name": "nir08"}]}, "B8A"),
        ("rededge2", {"eo:bands": [{"name": "rededge2", "common_name": "rededge"}]}, "B06"),
        ("anything", {"eo:bands": [{"name": "B11", "common_name": "swir16"}]}, "B11"),
        ("scl", {}, "SCL"),
        ("SCL_20m", {}, "SCL"),
        # The order of assets or bands never tells: neither do several bands in one file.
        ("visual", {"eo:bands": [{"name": "red"}, {"name": "green"}, {"name": "blue"}]}, None),
        ("unknown", {"eo:bands": [{"common_name": "rededge"}]}, None),
        ("red", {"type": "image/jpeg"}, None),
        ("thumbnail", {}, None),
        ("cirrus", {"eo:bands": [{"name": "cirrus"}]}, None),
    ],
)
def test_bands_are_found_by_name(key: str, asset: Document, band: str | None) -> None:
    assert band_of(key, {"type": TIFF, **asset}) == band


def test_of_several_assets_the_bands_own_pixels_are_taken() -> None:
    found = item(NEW)
    for key, gsd in (("red_60m", 60), ("red_20m", 20)):
        found["assets"][key] = {"href": f"./{key}.jp2", "type": "image/jp2", "gsd": gsd}
    found["assets"]["red"]["gsd"] = 10
    found["assets"]["rededge1_20m"] = {"href": "../R20m/B05.jp2", "type": "image/jp2"}
    scene = read_item(found, ("B04", "B05"), "https://data.example/a/b/item.json")
    assert scene.assets["B04"].href == "https://data.example/B04.tif"
    assert scene.assets["B05"].href == "https://data.example/a/R20m/B05.jp2"
    assert scene.assets["B05"].gsd_m == 20
    assert scene.level == "L2A"
    assert scene.scene.datetime == datetime(2024, 6, 20, 10, 20, 30, 24_000, tzinfo=UTC)


def test_a_grid_is_taken_from_the_item_only_if_all_of_it_is_stated() -> None:
    place = {"proj:transform": [10, 0, 600_000, 0, -10, 5_200_020], "proj:shape": [10980, 10970]}
    stated = read_item(item({**NEW, "proj:code": "EPSG:32632"}, place), ("B04",)).assets["B04"]
    assert stated.grid
    assert list(stated.grid.bounds) == [600_000, 5_090_220, 709_700, 5_200_020]
    older = read_item(item({**NEW, "proj:epsg": 32632}, place), ("B04",)).assets["B04"]
    assert older.grid == stated.grid
    assert not read_item(item(NEW, place), ("B04",)).assets["B04"].grid
    rotated = {**place, "proj:transform": [10, 1, 600_000, 1, -10, 5_200_020]}
    with pytest.raises(CrsMismatch, match="north-up"):
        read_item(item({**NEW, "proj:code": "EPSG:32632"}, rotated), ("B04",))


def broken(path: str, value: Any) -> Document:
    """The item with one place changed, or removed for the value ...; `a/b` is a path."""
    found = copy.deepcopy(item(NEW))
    *parents, last = path.split("/")
    place = found
    for name in parents:
        place = place[name]
    if value is ...:
        del place[last]
    else:
        place[last] = value
    return found


@pytest.mark.parametrize(
    ("path", "value", "pointer"),
    [
        ("type", "FeatureCollection", "/type"),
        ("id", 7, "/id"),
        ("id", ..., "/id"),
        ("stac_version", "0.9.0", "/stac_version"),
        ("properties", None, "/properties"),
        ("properties/datetime", ..., "/properties/datetime"),
        ("properties/datetime", "yesterday", "/properties/datetime"),
        ("properties/datetime", "2024-06-20T10:20:30", "/properties/datetime"),
        ("properties/datetime", 1718879, "/properties/datetime"),
        ("bbox", ..., "/bbox"),
        ("bbox", [1, 2, 3], "/bbox"),
        ("bbox", [10, 47, 11, 46], "/bbox"),
        ("bbox", [10, float("nan"), 11, 46], "/bbox"),
        ("bbox", ["10", "46", "11", "47"], "/bbox"),
        ("geometry", None, "/geometry"),
        ("assets", [], "/assets"),
        ("assets/red/href", ..., "/assets/red/href"),
        ("assets/a~b", {}, "/assets/a~0b/href"),
    ],
)
def test_a_broken_item_is_rejected_with_a_pointer(path: str, value: Any, pointer: str) -> None:
    with pytest.raises(ItemRejected) as caught:
        read_item(broken(path, value), ("B04",))
    assert str(caught.value).startswith(pointer + ":")
    assert "\n" not in str(caught.value)


def test_a_missing_band_is_named_with_those_there_are() -> None:
    with pytest.raises(BandMissing, match=r"B08.*it has B04"):
        read_item(item(NEW), ("B04", "B08"))


def test_classes_come_where_there_are_some() -> None:
    assert set(read_item(item(NEW), ("B04", "SCL")).assets) == {"B04"}
    found = item(NEW)
    found["assets"]["scl"] = {"href": "./SCL.tif", "type": TIFF}
    assert set(read_item(found, ("B04", "SCL")).assets) == {"B04", "SCL"}


def test_an_item_of_no_level_is_rejected() -> None:
    found = {**item(NEW, collection="sentinel-2"), "id": "S2B_32TPS_20240620"}
    with pytest.raises(ItemRejected, match="L1C or L2A"):
        read_item(found, ("B04",))


def test_too_many_assets_are_rejected() -> None:
    found = item(NEW)
    found["assets"] |= {f"a{index}": {"href": "x"} for index in range(1001)}
    with pytest.raises(ItemRejected, match="1000"):
        read_item(found, ("B04",))


def test_items_of_a_file_are_one_or_a_collection(tmp_path: Path) -> None:
    path = tmp_path / "items.json"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": [item(), item()]}))
    assert len(load_items(path)) == 2
    path.write_text(json.dumps(item()))
    assert len(load_items(path)) == 1
    for text in ("{", "[" * 100_000, '{"type": "Catalog"}', "[]", "7", ""):
        path.write_text(text)
        with pytest.raises(ItemRejected):
            load_items(path)
    with pytest.raises(ItemRejected):
        load_items(tmp_path / "none.json")


def test_what_is_no_item_is_refused_and_not_fatal() -> None:
    strange: list[Any] = [None, 7, "x", [], {}, {"type": "Feature"}]
    with Fetcher(CATALOGS["earth-search"].policy(), QUICK) as fetcher:
        plan = plan_items(strange, ("B04",), fetcher)
    assert len(plan.refusals) == len(strange)
    assert not plan.scenes


def test_catalogs_are_known_by_name_or_address() -> None:
    for name in ("earth-search", "planetary-computer", "cdse"):
        known = find_catalog(name)
        assert known.policy().check(f"{known.url}/search").port == 443
    assert find_catalog("earth-search", "sentinel-2-l1c").collection == "sentinel-2-l1c"
    own = find_catalog("http://127.0.0.1:8080/stac/")
    assert own.url == "http://127.0.0.1:8080/stac"
    assert own.policy().check("http://127.0.0.1:8080/stac/search").host == "127.0.0.1"
    for wrong in ("earthsearch", "ftp://x.example", "https://", "https://a b", ""):
        with pytest.raises(InvalidInput, match="need one of"):
            find_catalog(wrong)


def test_a_token_is_asked_for_once_and_before_it_ends() -> None:
    ends = "2099-01-01T00:00:00Z"
    body = json.dumps({"msft:expiry": ends, "token": "sv=1&sig=x%2By"}).encode()
    href = "https://sentinel2l2a01.blob.core.windows.net/sentinel2-l2/10/B04.tif"
    with server(reply(200, body)) as served, Fetcher(served.policy, QUICK) as fetcher:
        signer = TokenSigner(fetcher, f"http://{served.origin}/token")
        assert signer(href) == f"{href}?sv=1&sig=x%2By"
        assert signer(href) == f"{href}?sv=1&sig=x%2By"
        assert served.asked == ["/token/sentinel2l2a01/sentinel2-l2"]
        for other in ("https://elsewhere.example/a.tif", signer(href), "/local/file.tif"):
            assert signer(other) == other
        copied = pickle.loads(pickle.dumps(signer))  # noqa: S301 (our own bytes)
        assert copied(href) == signer(href)
    for answer in (b"{}", b"[]", b"no", b'{"token": "x", "msft:expiry": 5}'):
        with server(reply(200, answer)) as served, Fetcher(served.policy, QUICK) as fetcher:
            signer = TokenSigner(fetcher, f"http://{served.origin}/token")
            with pytest.raises((Unreachable, InvalidInput)):
                signer(href)
