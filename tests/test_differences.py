"""Differences of two layers: the values of one minus those of the other, pixel by pixel."""

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray
from pyproj import Transformer
from rasterio.io import MemoryFile
from rio_tiler.colormap import cmap

from datacube import Catalog, Cube, Product, Window, open_storage
from datacube.layer import product_window
from datacube.provenance import TAG
from datacube.scene import reflectance_from_dn
from datacube.settings import Settings
from sr_engine.blocks import compute_block, product_spec
from sr_engine.registry import find_model
from tests.conftest import serving
from tests.scenes import BANDS, new_cube, pixels, scene
from tests.test_tiles import TMS, fetch, picture, tile_path

SHAPE = (170, 150)  # four blocks
MODEL, PARTLY = "wiener-x2", "bicubic-x2"
FIRST, SECOND = "2024-01-01T10:30:00Z", "2024-01-02T10:30:00Z"
SR_MINUS_LR = {"minuend": "sr", "model": MODEL, "subtrahend": "lr", "datetime": SECOND}


@pytest.fixture(name="root", scope="module")
def fixture_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two dates; on the second all blocks of one model are there, and one block of another."""
    folder = tmp_path_factory.mktemp("catalog")
    cube = new_cube(folder, SHAPE).append(scene(1), pixels(1, SHAPE))
    cube = cube.append(scene(2), pixels(2, SHAPE))
    for model, blocks in ((find_model(MODEL), ((0, 0), (0, 1), (1, 0), (1, 1))),
                          (find_model(PARTLY), ((0, 0),))):  # fmt: skip
        product = Product.ensure(cube, product_spec(cube, model))
        for block in blocks:
            compute_block(product, model, 1, block)
        cube = product.cube
    return folder


@pytest.fixture(name="url", scope="module")
def fixture_url(root: Path) -> Iterator[str]:
    with serving(Settings(data=str(root), port=0)) as url:
        yield url


@pytest.fixture(name="cube")
def fixture_cube(root: Path) -> Cube:
    return Catalog(open_storage(root)).open("field")


def path_of(url: str, layer: str, zoom: int = 15) -> str:
    return tile_path(url, zoom, layer, "field")


def asked_version(url: str) -> str:
    """What tiles of super-resolved minus measured depend on, as the collection tells it."""
    layers = {one["id"]: one for one in fetch(url, "/collections/field").json()["layers"]}
    return f"{layers['sr']['versions'][MODEL]}-{layers['lr']['versions']['']}"


def npy(url: str, layer: str, **asked: object) -> NDArray[np.float32]:
    answer = fetch(url, path_of(url, layer), format="npy", **asked)
    assert answer.status_code == 200, answer.text
    return np.asarray(np.load(io.BytesIO(answer.content))[0], np.float32)


@pytest.mark.parametrize("asked", [{"index": "NDVI"}, {"bands": "B08"}, {"expression": "B04/B03"}])
@pytest.mark.parametrize("resampling", ["nearest", "bilinear"])
def test_a_difference_is_that_of_what_both_layers_tell_as_numbers(
    url: str, asked: dict[str, str], resampling: str
) -> None:
    common = {**asked, "resampling": resampling, "datetime": SECOND}
    made, measured = npy(url, "sr", model=MODEL, **common), npy(url, "lr", **common)
    found = npy(url, "difference", **SR_MINUS_LR | common)
    both = np.isfinite(made) & np.isfinite(measured)  # random numbers divide by zero here and there
    expected = np.where(both, np.where(both, made, 0) - np.where(both, measured, 0), np.nan)
    np.testing.assert_array_equal(found, expected)
    assert np.isfinite(found).mean() > 0.2
    assert np.nanstd(found) > 1e-3
    turned = npy(url, "difference", minuend="lr", subtrahend="sr", subtrahend_model=MODEL, **common)
    np.testing.assert_array_equal(turned, -found)


def test_two_dates_of_one_layer_are_subtracted(url: str) -> None:
    found = npy(url, "difference", minuend="lr", datetime=SECOND, subtrahend="lr",
                subtrahend_datetime=FIRST, bands="B04")  # fmt: skip
    second, first = (npy(url, "lr", datetime=one, bands="B04") for one in (SECOND, FIRST))
    np.testing.assert_array_equal(found, second - first)
    assert np.nanmax(np.abs(found)) > 0.01


def test_no_difference_has_the_middle_colour_and_signs_have_the_two_ends(url: str) -> None:
    asked = {"minuend": "lr", "subtrahend": "lr", "datetime": SECOND, "bands": "B08",
             "format": "png"}  # fmt: skip
    path = path_of(url, "difference")
    nothing = picture(fetch(url, path, **asked))
    shown = nothing[nothing[..., 3] > 0]
    assert len(shown) > 10_000
    assert np.ptp(shown, axis=0).max() == 0
    assert shown[0, :3].min() > 235  # nearly white
    dates = {key: value for key, value in asked.items() if key != "format"}
    values = npy(url, "difference", **dates, subtrahend_datetime=FIRST)
    drawn = picture(fetch(url, path, **asked, subtrahend_datetime=FIRST, rescale="-0.05,0.05"))
    level = np.rint(np.clip((values + 0.05) / 0.1, 0, 1) * 255)
    here = np.isfinite(values)
    colours = np.array([cmap.get("rdbu")[one] for one in range(256)])
    np.testing.assert_array_equal(drawn[here], colours[level[here].astype(int)])
    assert (drawn[~here][:, 3] == 0).all()


def test_a_final_tile_is_kept_and_one_that_lacks_a_block_is_not(url: str, cube: Cube) -> None:
    asked = {**SR_MINUS_LR, "index": "NDVI", "v": asked_version(url)}
    x, y = cube.grid.transform @ (128, 128)  # where the four blocks meet
    tile = TMS.tile(*Transformer.from_crs(cube.grid.crs, 4326, always_xy=True).transform(x, y), 16)
    layer = "/collections/field/layers/difference/tiles/WebMercatorQuad"
    path = f"{layer}/{tile.z}/{tile.x}/{tile.y}"
    whole = fetch(url, path, **asked)
    assert "immutable" in whole.headers["cache-control"]
    tag = whole.headers["etag"]
    again = httpx.get(url + path, params=asked, headers={"if-none-match": tag})
    assert (again.status_code, again.content) == (304, b"")
    others = ({"subtrahend": "sr", "subtrahend_model": MODEL, "minuend": "lr", "model": None},
              {"subtrahend_datetime": FIRST}, {"index": "NDWI"}, {"rescale": "-1,1"})  # fmt: skip
    tags = {tag}
    for other in others:
        words = {key: value for key, value in (asked | other).items() if value is not None}
        tags.add(fetch(url, path, **words).headers["etag"])
    assert len(tags) == 5
    partly = fetch(url, path, **asked | {"model": PARTLY, "format": "png"})
    assert partly.headers["cache-control"] == "no-store"
    assert "etag" not in partly.headers
    assert 0 < (picture(partly)[..., 3] > 0).mean() < (picture(whole)[..., 3] > 0).mean()
    nothing = fetch(url, path, **asked | {"datetime": FIRST})
    assert nothing.status_code == 204
    assert nothing.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    ("changes", "status", "said"),
    [
        ({"minuend": None}, 422, "minuend"),
        ({"subtrahend": None}, 422, "subtrahend"),
        ({"index": None}, 422, "need one of index, expression and bands"),
        ({"bands": "B04"}, 422, "need one of index, expression and bands"),
        ({"index": None, "bands": "B04,B03,B02"}, 422, "single band"),
        ({"index": None, "expression": "B04**2"}, 422, ""),
        ({"index": "NBR"}, 422, "no band"),
        ({"subtrahend": "scl"}, 422, "no bands to compute with; those that have are lr, sr"),
        ({"minuend": "consistency"}, 422, "no bands to compute with"),
        ({"subtrahend_model": MODEL}, 422, "not made by a model"),
        ({"subtrahend": "difference"}, 404, "no layer"),
        ({"subtrahend": "nothing"}, 404, "no layer"),
        ({"model": "wiener-x9"}, 404, "wiener-x9"),
        ({"subtrahend_datetime": "2031-01-01T00:00:00Z"}, 404, ""),
        ({"subtrahend_datetime": "yesterday"}, 422, ""),
        ({"minus": "lr"}, 422, "unknown parameter 'minus'"),
        ({"rescale": "1,-1"}, 422, "low < high"),
        ({"colormap": "drab"}, 422, "colormap"),
    ],
)
def test_what_makes_no_difference_is_refused_in_a_sentence(
    url: str, changes: dict[str, str | None], status: int, said: str
) -> None:
    asked = {key: value for key, value in {**SR_MINUS_LR, "index": "NDVI", **changes}.items()
             if value is not None}  # fmt: skip
    answer = fetch(url, path_of(url, "difference"), **asked)
    assert answer.status_code == status, answer.text
    assert said in answer.json()["detail"]
    assert "\n" not in answer.json()["detail"]


def test_operands_are_refused_where_there_is_no_difference(url: str) -> None:
    answer = fetch(url, path_of(url, "lr"), minuend="sr")
    assert answer.status_code == 422
    assert "minuend" in answer.json()["detail"]


def test_statistics_are_of_the_differences_in_the_box(url: str) -> None:
    box = httpx.get(f"{url}/collections/field").json()["extent"]["spatial"]["bbox"][0]
    base = f"{url}/collections/field/layers"
    words = {"bbox": ",".join(map(str, box))}
    told = httpx.get(f"{base}/difference/statistics", params=words | SR_MINUS_LR | {"bands": "B08"})
    found = told.json()
    assert (found["datetime"], found["subtrahend_datetime"]) == (SECOND, SECOND)
    assert found["percentile_2"] < 0 < found["percentile_98"]
    common = words | {"bands": "B08", "datetime": SECOND}
    made = httpx.get(f"{base}/sr/statistics", params=common | {"model": MODEL}).json()
    measured = httpx.get(f"{base}/lr/statistics", params=common).json()
    assert found["mean"] == pytest.approx(made["mean"] - measured["mean"], abs=2e-5)
    missing = words | SR_MINUS_LR | {"bands": "B08", "datetime": FIRST}
    nothing = httpx.get(f"{base}/difference/statistics", params=missing).json()
    assert (nothing["count"], nothing["mean"]) == (0, None)


def test_tilejson_has_a_template_that_can_be_fetched(url: str) -> None:
    path = f"{url}/collections/field/layers/difference/WebMercatorQuad/tilejson.json"
    found = httpx.get(path, params=SR_MINUS_LR | {"index": "NDVI"}).json()
    single = httpx.get(f"{url}/collections/field/layers/lr/WebMercatorQuad/tilejson.json").json()
    assert found["maxzoom"] > single["maxzoom"]  # as fine as the finer operand
    z, x, y = path_of(url, "difference").split("/")[-3:]
    place = found["tiles"][0].replace("{z}", z).replace("{x}", x).replace("{y}", y)
    assert httpx.get(place).headers["cache-control"].endswith("immutable")


def test_it_is_listed_with_its_operands_and_not_where_a_layer_has_an_address_without(
    url: str,
) -> None:
    document = httpx.get(f"{url}/collections/field").json()
    entry = next(one for one in document["layers"] if one["id"] == "difference")
    assert entry["operands"] == ["lr", "sr"]
    assert entry["legend"]["min"] == -entry["legend"]["max"]
    assert entry["legend"]["colormap"] == "rdbu"
    assert all("difference" in one["layers"] for one in document["scenes"])
    assert not any(name.startswith("difference") for name in document["parameter_names"])
    for path in ("WMTSCapabilities.xml", "tiles", "items"):
        answer = httpx.get(f"{url}/collections/field/{path}")
        assert answer.status_code == 200
        assert "layers/difference/" not in answer.text
    paths = httpx.get(f"{url}/openapi.json").json()["paths"]
    own = {path: one for path, one in paths.items() if "/layers/difference/" in path}
    assert len(own) == 5
    for operations in own.values():
        named = {one["name"]: one for one in operations["get"]["parameters"]}
        assert named["minuend"]["required"]
        assert {"subtrahend", "subtrahend_model", "subtrahend_datetime"} <= set(named)


def exported(url: str, **asked: Any) -> httpx.Response:
    return httpx.get(f"{url}/collections/field/layers/difference/export.tif", params=asked)


def test_a_file_holds_the_difference_on_the_finer_grid_and_says_so(url: str, cube: Cube) -> None:
    answer = exported(url, **SR_MINUS_LR, bands="B08")
    with MemoryFile(answer.content) as memory, memory.open() as file:
        assert file.dtypes == ("float32",)
        assert np.isnan(file.nodata)
        fine = cube.grid.refined(2)
        assert (file.crs.to_string(), file.transform) == (fine.crs, fine.transform)
        whole = Window(0, 0, *SHAPE)
        product = Product.open(cube, f"sr/{find_model(MODEL).card.key}")
        band = BANDS.index("B08")
        made = reflectance_from_dn(product_window(product, 1, whole.scaled(2)))[band]
        measured = reflectance_from_dn(cube.window_dn(1, BANDS, whole))[band]
        np.testing.assert_array_equal(file.read(1), made - measured.repeat(2, 0).repeat(2, 1))
        record = json.loads(file.tags()[TAG])
        assert record["inferred"]  # so that no ingest takes it for a measurement
        assert record["minuend"]["model"] == MODEL
        assert record["subtrahend"]["product"] == "measurement"
        assert "B08: sr.wiener-x2 minus lr" in file.tags()["TIFFTAG_IMAGEDESCRIPTION"]
    assert 'filename="field-difference-sr-minus-lr' in answer.headers["content-disposition"]


def test_a_file_of_what_is_not_there_is_refused(url: str) -> None:
    assert exported(url, **SR_MINUS_LR | {"datetime": FIRST}, bands="B08").status_code == 404
    assert exported(url, **SR_MINUS_LR, bands="B08", grid=3).status_code == 422
    assert exported(url, **SR_MINUS_LR).status_code == 422
