"""Map tiles: the right pixels at the right place, whatever the zoom, and never a stale one."""

import io
import math
from dataclasses import replace
from pathlib import Path

import cv2
import httpx
import morecantile
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from pyproj import Transformer
from rasterio.enums import Resampling
from rasterio.warp import reproject

from datacube import Catalog, Cube, CubeSpec, Grid, ScenePixels, Window, find_bands, open_storage
from datacube.scene import parse_rfc3339
from datacube.settings import Settings
from datacube.simulation import landmark
from server.layers import LAYERS, version_of
from server.reader import Frame, Pixels, _places, read_scene
from server.render import Stretch, encode, rgba
from sr_engine.bicubic import bicubic
from sr_engine.polyphase import PolyphaseModel
from tests.conftest import serving
from tests.scenes import BANDS, new_cube, pixels, scene

TMS = morecantile.tms.get("WebMercatorQuad")
MERCATOR = "EPSG:3857"
NOTHING = np.zeros((2, 2, 5, 5), np.float32)


def frame_around(grid: Grid, zoom: int, size_px: int = 256) -> Frame:
    """The tile of a zoom under the middle of a grid."""
    west, south, east, north = grid.lonlat_bounds()
    tile = TMS.tile((west + east) / 2, (south + north) / 2, zoom)
    left, bottom, right, top = TMS.xy_bounds(tile)
    return Frame(MERCATOR, (left, bottom, right, top), size_px)


def smooth_cube(root: Path, shape: tuple[int, int]) -> tuple[Cube, NDArray[np.uint16]]:
    random = np.random.default_rng(1).random((len(BANDS), *shape)).astype(np.float32)
    blurred = np.stack([cv2.GaussianBlur(plane, (0, 0), 3) for plane in random])
    dn = (2000 + 20_000 * (blurred - blurred.min())).astype(np.uint16)
    cube = new_cube(root, shape).append(scene(1), ScenePixels(dn, np.full(shape, 4, np.uint8)))
    return cube, dn


@pytest.mark.parametrize("zoom", [14, 15, 17])
def test_a_tile_agrees_with_rasterio(tmp_path: Path, zoom: int) -> None:
    """Bilinear warping by GDAL, exact transform, is the oracle."""
    cube, dn = smooth_cube(tmp_path, (400, 330))
    frame = frame_around(cube.grid, zoom)
    found = read_scene(cube, 0, ("B04",), frame, "bilinear")
    assert found is not None
    left, _, right, top = frame.bounds
    expected = np.zeros((256, 256), np.float32)
    oracle = Grid.from_origin(
        MERCATOR, left=left, top=top, gsd_m=(right - left) / 256, shape=(256, 256)
    )
    reproject(
        dn[2].astype(np.float32), expected,
        src_transform=cube.grid.transform, src_crs=cube.grid.crs, src_nodata=0,
        dst_transform=oracle.transform, dst_crs=MERCATOR, dst_nodata=0,
        resampling=Resampling.bilinear, tolerance=0,
    )  # fmt: skip
    both = found.valid & (expected > 0)
    assert both.sum() > 10_000
    assert (found.valid != (expected > 0)).mean() < 0.01  # the rim, by half a pixel
    inner = cv2.erode(both.astype(np.uint8), np.ones((9, 9))).astype(bool)
    error = np.abs(found.dn[..., 0][inner] - expected[inner])
    assert np.median(error) < 1.5
    assert error.max() < 0.02 * np.ptp(dn)


@given(zoom=st.integers(9, 19), dx=st.floats(-0.4, 0.4), dy=st.floats(-0.4, 0.4))
@settings(max_examples=25)
def test_the_control_grid_is_exact_to_a_fiftieth_of_a_pixel(
    zoom: int, dx: float, dy: float
) -> None:
    """A cube whose pixel values are their own coordinates tells where a tile looked."""
    grid = Grid.from_origin("EPSG:32633", left=399_960, top=5_800_020, gsd_m=10, shape=(50, 60))
    frame = frame_around(grid, zoom)
    left, bottom, right, top = frame.bounds
    shift_x, shift_y = dx * (right - left), dy * (top - bottom)
    frame = Frame(MERCATOR, (left + shift_x, bottom + shift_y, right + shift_x, top + shift_y), 256)
    places = _places(frame, grid)
    left, bottom, right, top = frame.bounds
    x = left + (np.arange(256) + 0.5) / 256 * (right - left)
    y = top - (np.arange(256) + 0.5) / 256 * (top - bottom)
    exact_x, exact_y = Transformer.from_crs(MERCATOR, grid.crs, always_xy=True).transform(
        *np.meshgrid(x, y)
    )
    rows, cols = grid.pixel_coordinates(x=exact_x, y=exact_y)
    step = max(abs(rows[1, 0] - rows[0, 0]), 1.0)  # in pixels of the level that is read
    assert np.abs(places.rows - rows).max() / step < 0.02
    assert np.abs(places.cols - cols).max() / step < 0.02


@pytest.mark.parametrize("zoom", [10, 12, 13])
def test_far_out_a_coarser_level_is_read(tmp_path: Path, zoom: int) -> None:
    cube, dn = smooth_cube(tmp_path, (1100, 900))
    frame = frame_around(cube.grid, zoom)
    found = read_scene(cube, 0, ("B02",), frame, "bilinear")
    assert found is not None
    shown = found.dn[..., 0][found.valid].astype(float)
    if zoom == 10:  # the whole cube lies in the tile
        assert shown.mean() == pytest.approx(dn[0].mean(), rel=0.02)
    reads = cube.chunks.cache.bytes if cube.chunks.cache else 0
    assert reads <= 4 * 512 * 512 * 2


def test_no_data_is_transparent_and_does_not_bleed(tmp_path: Path) -> None:
    cube = new_cube(tmp_path, (120, 100))
    dn = np.full((4, 120, 100), 3000, np.uint16)
    dn[:, 40:60, 30:70] = 0
    cube = cube.append(scene(1), ScenePixels(dn, np.full((120, 100), 4, np.uint8)))
    found = read_scene(cube, 0, ("B04", "B03", "B02"), frame_around(cube.grid, 16), "bilinear")
    assert found is not None
    assert not found.valid.all()
    assert set(np.unique(found.dn[found.valid])) == {3000}


def test_a_frame_elsewhere_has_nothing(tmp_path: Path) -> None:
    cube, _ = smooth_cube(tmp_path, (60, 50))
    assert (
        read_scene(cube, 0, ("B04",), Frame(MERCATOR, (0, 0, 1000, 1000), 256), "nearest") is None
    )


def test_a_stretch_maps_its_ends_to_black_and_white() -> None:
    dn = np.array([[[1000], [2500], [4000]]], np.uint16)  # reflectance 0, 0.15, 0.3
    image = rgba(Pixels(dn, np.array([[True, True, False]])), Stretch(0.0, 0.3))
    assert image[0, 0].tolist() == [0, 0, 0, 255]
    assert 0 < image[0, 1, 0] < 255
    assert image[0, 2, 3] == 0
    for image_format in ("webp", "png"):
        decoded = np.asarray(Image.open(io.BytesIO(encode(image, image_format))).convert("RGBA"))
        assert decoded.shape == (1, 3, 4)
        assert decoded[0, 2, 3] == 0


def fetch(base: str, path: str, /, **params: object) -> httpx.Response:
    return httpx.get(base + path, params={k: str(v) for k, v in params.items()}, timeout=30)


def tile_path(url: str, zoom: int, layer: str = "lr", cube_id: str = "simulated") -> str:
    """Path of the tile in the middle of a collection."""
    west, south, east, north = fetch(url, f"/collections/{cube_id}").json()["extent"]["spatial"][
        "bbox"
    ][0]
    tile = TMS.tile((west + east) / 2, (south + north) / 2, zoom)
    base = f"/collections/{cube_id}/layers/{layer}/tiles/WebMercatorQuad"
    return f"{base}/{tile.z}/{tile.x}/{tile.y}"


def picture(response: httpx.Response) -> NDArray[np.uint8]:
    assert response.status_code == 200, response.text
    return np.asarray(Image.open(io.BytesIO(response.content)).convert("RGBA"))


@pytest.mark.parametrize("layer", ["lr", "truth", "scl"])
def test_layers_are_drawn_in_every_format_and_size(live_server: str, layer: str) -> None:
    path = tile_path(live_server, 15, layer)
    for image_format in ("webp", "png", "jpeg"):
        response = fetch(live_server, path, format=image_format)
        assert response.headers["content-type"] == f"image/{image_format}"
        assert picture(response).shape == (256, 256, 4)
    assert picture(fetch(live_server, path + "@2x")).shape == (512, 512, 4)


@pytest.mark.parametrize("layer", ["lr", "truth"])
def test_a_known_edge_is_drawn_where_it_lies(
    live_server: str, demo_catalog: Path, layer: str
) -> None:
    """The western edge of the landmark through the whole path, to a tenth of a measured pixel.

    An edge lies where the brightness along a line across it passes the middle between its two
    sides; the date's own known shift is taken off the measured one.
    """
    cube = Catalog(open_storage(demo_catalog)).open("simulated")
    moment = fetch(live_server, "/collections/simulated").json()["default_datetime"]
    row, col = landmark(cube.grid.shape)
    x, y = 680_000 + 10 * col, 5_400_000 - 10 * (row + 6)  # half way down the western arm
    to_mercator = Transformer.from_crs(cube.grid.crs, MERCATOR, always_xy=True)
    to_lonlat = Transformer.from_crs(cube.grid.crs, "EPSG:4326", always_xy=True)
    tile = TMS.tile(*to_lonlat.transform(x, y), 18)
    bounds = TMS.xy_bounds(tile)
    path = f"/collections/simulated/layers/{layer}/tiles/WebMercatorQuad"
    image = picture(
        fetch(
            live_server, f"{path}/{tile.z}/{tile.x}/{tile.y}@2x",
            datetime=moment, format="png", bands="B03", rescale="0,0.6",
        )
    )  # fmt: skip
    screen_px = (bounds.right - bounds.left) / 512
    map_x, map_y = to_mercator.transform(x, y)
    line = image[int((bounds.top - map_y) / screen_px), :, 0].astype(float)
    expected = (map_x - bounds.left) / screen_px
    pixel = 10 / math.cos(math.radians(48.7)) / screen_px  # a measured pixel on the screen
    near = np.arange(max(int(expected - 2 * pixel), 0), min(int(expected + 2 * pixel), 511))
    dark, bright = line[near[: near.size // 4]].min(), line[near[-near.size // 3 :]].max()
    first = near[np.argmax(line[near] > (dark + bright) / 2)]
    below, above = line[first - 1], line[first]
    crossing = first - 0.5 + ((dark + bright) / 2 - below) / (above - below)
    shift = 0.0
    if layer == "lr":
        properties = cube.scene_at(parse_rfc3339(moment)).scene.properties
        shift = properties["srcube:true_shift_px"]["x"] * pixel
    assert bright - dark > 60
    assert abs(crossing - expected - shift) / pixel < 0.1


def version(url: str, layer: str, model: str = "", cube_id: str = "simulated") -> str:
    """What the collection says that a layer's tiles are to be asked with."""
    layers = fetch(url, f"/collections/{cube_id}").json()["layers"]
    return str(next(one for one in layers if one["id"] == layer)["versions"][model])


def test_etag_304_and_version(live_server: str) -> None:
    path = tile_path(live_server, 15)
    v = version(live_server, "lr")
    first = fetch(live_server, path, v=v)
    assert "immutable" in first.headers["cache-control"]
    strange = fetch(live_server, path, v=version(live_server, "sr", "wiener-x2"))
    assert strange.headers["cache-control"] == "no-cache"
    again = httpx.get(
        live_server + path,
        params={"v": v},
        headers={"if-none-match": first.headers["etag"]},
    )
    assert again.status_code == 304
    assert again.content == b""
    assert fetch(live_server, path).headers["cache-control"] == "no-cache"
    other = fetch(live_server, path, rescale="0,0.5")
    assert other.headers["etag"] != first.headers["etag"]


def test_other_numbers_of_a_model_or_another_cube_of_one_name_have_another_address(
    tmp_path: Path,
) -> None:
    cube, _ = smooth_cube(tmp_path / "one", (120, 100))
    again, _ = smooth_cube(tmp_path / "two", (120, 100))
    model = bicubic(2)
    retrained = PolyphaseModel(replace(model.card, weights_sha256="f" * 64), lambda _: NOTHING)
    sr, lr = LAYERS["sr"], LAYERS["lr"]
    seen = [
        version_of(cube, sr, model),
        version_of(cube, sr, retrained),
        version_of(again, sr, model),
        version_of(cube, lr, None),
        version_of(cube.append(scene(9), pixels(9, (120, 100))), lr, None),
    ]
    assert len(set(seen)) == len(seen)
    assert version_of(Catalog(open_storage(tmp_path / "one")).open("field"), lr, None) == seen[4]


def test_a_new_scene_is_seen_at_once_and_old_urls_are_not_stale(tmp_path: Path) -> None:
    cube, _ = smooth_cube(tmp_path, (120, 100))
    with serving(Settings(data=str(tmp_path), port=0)) as url:
        path = tile_path(url, 15, cube_id="field")
        before = fetch(url, path, datetime="2024-01-01T10:30:00Z")
        assert fetch(url, path, datetime="2024-01-09T10:30:00Z").status_code == 404
        cube = cube.append(scene(9), pixels(9, (120, 100)))
        after = fetch(url, path, datetime="2024-01-09T10:30:00Z")
        assert after.status_code == 200
        assert after.content != before.content
        replaced = ScenePixels(
            np.full((4, 120, 100), 2500, np.uint16), cube.window_scl(0, Window(0, 0, 120, 100))
        )
        cube.append(scene(1), replaced, replace=True)
        fresh = fetch(url, path, datetime="2024-01-01T10:30:00Z")
        assert fresh.headers["etag"] != before.headers["etag"]
        assert picture(fresh)[..., 0].std() < 1


def test_outside_the_cube_there_is_no_content(live_server: str) -> None:
    response = fetch(live_server, "/collections/simulated/layers/lr/tiles/WebMercatorQuad/10/0/0")
    assert response.status_code == 204
    assert response.headers["cache-control"] == "no-store"


def test_a_damaged_chunk_is_a_500_for_its_tiles_alone(tmp_path: Path) -> None:
    smooth_cube(tmp_path, (120, 100))
    chunk = tmp_path / "field.zarr/measurement/r10m/reflectance/c/0/2/0/0"
    chunk.write_bytes(chunk.read_bytes()[:-7])
    with serving(Settings(data=str(tmp_path), port=0)) as url:
        path = tile_path(url, 15, cube_id="field")
        broken = fetch(url, path, bands="B04")
        assert broken.status_code == 500
        assert broken.json()["code"] == "ChunkCorrupt"
        assert str(tmp_path) not in broken.text
        assert fetch(url, path, bands="B02").status_code == 200


BAD_REQUESTS = [
    ("/collections/simulated/layers/lr/tiles/WebMercatorQuad/99/0/0", {}, 422),
    ("/collections/simulated/layers/lr/tiles/WebMercatorQuad/-1/0/0", {}, 422),
    ("/collections/simulated/layers/lr/tiles/WebMercatorQuad/a/0/0", {}, 422),
    (f"/collections/simulated/layers/lr/tiles/WebMercatorQuad/9/{10**30}/0", {}, 404),
    ("/collections/simulated/layers/lr/tiles/WebMercatorQuad/9/-1/0", {}, 404),
    ("/collections/simulated/layers/lr/tiles/NoSuchQuad/9/0/0", {}, 404),
    ("/collections/nowhere/layers/lr/tiles/WebMercatorQuad/9/0/0", {}, 404),
    ("/collections/..%2fsecret/layers/lr/tiles/WebMercatorQuad/9/0/0", {}, 404),
    ("/collections/simulated/layers/gold/tiles/WebMercatorQuad/9/0/0", {}, 404),
    ("MIDDLE", {"bands": "B99"}, 422),
    ("MIDDLE", {"bands": "B04,B03"}, 422),
    ("MIDDLE", {"rescale": "nan,1"}, 422),
    ("MIDDLE", {"rescale": "0.5,0.1"}, 422),
    ("MIDDLE", {"rescale": ",".join(["0,1"] * 9)}, 422),
    ("MIDDLE", {"format": "tiff2"}, 422),
    ("MIDDLE", {"expression": "B04**9**9"}, 422),
    ("MIDDLE", {"url": "file:///etc/passwd"}, 422),
    ("MIDDLE", {"datetime": "yesterday"}, 422),
    ("MIDDLE", {"datetime": "2024-06-20T10:30:00"}, 422),
    ("MIDDLE", {"datetime": "1999-01-01"}, 404),
    ("MIDDLE", {"model": "wiener-x4"}, 422),
]


@pytest.mark.parametrize(("path", "params", "status"), BAD_REQUESTS)
def test_bad_requests_are_answered_in_one_line(
    live_server: str, path: str, params: dict[str, str], status: int
) -> None:
    if path == "MIDDLE":
        path = tile_path(live_server, 15)
    response = fetch(live_server, path, **params)
    assert response.status_code == status, response.text
    body = response.json()
    assert response.headers["content-type"] == "application/problem+json"
    assert response.headers["cache-control"] == "no-store"
    assert body["status"] == status
    assert 0 < len(body["detail"]) < 700
    assert "\n" not in body["detail"]


def test_tilejson_leads_to_the_tiles(live_server: str) -> None:
    response = fetch(
        live_server,
        "/collections/simulated/layers/sr/WebMercatorQuad/tilejson.json",
        model="wiener-x2",
    )
    document = response.json()
    west, south, east, north = document["bounds"]
    assert west < east
    assert south < north
    tile = TMS.tile((west + east) / 2, (south + north) / 2, 15)
    url = document["tiles"][0].format(z=tile.z, x=tile.x, y=tile.y)
    assert httpx.get(url).status_code in {200, 204}
    assert "model=wiener-x2" in url


def test_an_empty_catalog_serves(tmp_path: Path) -> None:
    Catalog(open_storage(tmp_path)).create(
        "hollow",
        CubeSpec("Hollow", Grid.from_origin("EPSG:32632", left=0, top=100, gsd_m=10, shape=(5, 6)),
                 find_bands(["B08"])),
    )  # fmt: skip
    with serving(Settings(data=str(tmp_path), port=0)) as url:
        facts = fetch(url, "/collections/hollow").json()
        assert facts["scenes"] == []
        assert facts["default_datetime"] is None
        path = "/collections/hollow/layers/lr/tiles/WebMercatorQuad/3/4/4"
        assert fetch(url, path).status_code == 404
