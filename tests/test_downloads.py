"""Files of a view: their pixels are the cube's, two of them overlay, too much is refused."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import rasterio
from rasterio.io import MemoryFile

from datacube import Catalog, Cube, Product, ScenePixels, Window, open_storage
from datacube.layer import product_window
from datacube.provenance import TAG
from datacube.settings import Settings
from server.downloads import MAX_NUMBERS, repeated
from sr_engine.blocks import compute_block, product_spec
from sr_engine.registry import find_model
from sr_engine.trust.calibration import calibration_of
from tests.conftest import serving
from tests.scenes import BANDS, new_cube, pixels, scene

SHAPE = (170, 150)  # four blocks, of which one is computed
MODEL = "default-x2"
COMPUTED = (0, 1)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("catalog")
    cube = new_cube(folder, SHAPE).append(scene(1), pixels(1, SHAPE))
    cube = cube.append(scene(2), ScenePixels(pixels(2, SHAPE).dn, pixels(3, SHAPE).scl))
    model = find_model(MODEL)
    compute_block(Product.ensure(cube, product_spec(cube, model)), model, 1, COMPUTED)
    return folder


@pytest.fixture(scope="module")
def url(root: Path) -> Iterator[str]:
    with serving(Settings(data=str(root), port=0)) as address:
        yield f"{address}/collections/field/layers"


@pytest.fixture(scope="module")
def cube(root: Path) -> Cube:
    return Catalog(open_storage(root)).open("field")


def bbox(cube: Cube, window: Window) -> str:
    """Degrees of a window, a tenth of a pixel inside it, so that it touches no other."""
    left, bottom, right, top = cube.grid.cropped(window).bounds
    grid = cube.grid.from_origin(
        cube.grid.crs, left=left + 1, top=top - 1, gsd_m=1,
        shape=(int(top - bottom) - 2, int(right - left) - 2),
    )  # fmt: skip
    return ",".join(f"{edge:.7f}" for edge in grid.lonlat_bounds())


@contextmanager
def fetched(url: str, layer: str, **query: Any) -> Iterator[rasterio.DatasetReader]:
    answer = httpx.get(f"{url}/{layer}/export.tif", params={"datetime": STAMP, **query})
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("image/tiff")
    with MemoryFile(answer.content) as memory, memory.open() as file:
        yield file


STAMP = "2024-01-02T10:30:00Z"
WINDOW = Window(20, 130, 77, 19)  # within the block that is computed


def asked(cube: Cube) -> Window:
    """The window that the server makes of the box: it may touch a pixel more along an edge."""
    west, south, east, north = (float(edge) for edge in bbox(cube, WINDOW).split(","))
    return cube.grid.window_of(lonlat_bbox=(west, south, east, north))


def test_both_sides_have_one_grid_and_the_pixels_of_the_cube(url: str, cube: Cube) -> None:
    box, window = bbox(cube, WINDOW), asked(cube)
    with fetched(url, "lr", bbox=box, grid=2) as lr, fetched(url, "sr", bbox=box, model=MODEL,
                                                             grid=2) as sr:  # fmt: skip
        assert (lr.crs, lr.transform, lr.shape) == (sr.crs, sr.transform, sr.shape)
        assert lr.transform == cube.grid.refined(2).cropped(window.scaled(2)).transform
        measured = cube.window_dn(1, BANDS, window)
        assert (lr.read() == measured.repeat(2, 1).repeat(2, 2)).all()
        product = Product.open(cube, f"sr/{find_model(MODEL).card.key}")
        made = product_window(product, 1, window.scaled(2))
        assert made.any()
        assert (sr.read() == made).all()
        assert lr.descriptions == sr.descriptions == BANDS
        assert lr.scales == sr.scales == (1e-4,) * 4


def test_tags_say_what_the_pixels_are_and_how_they_came_to_the_grid(url: str, cube: Cube) -> None:
    box = bbox(cube, WINDOW)
    with fetched(url, "lr", bbox=box, grid=4) as lr, fetched(url, "sr", bbox=box,
                                                             model=MODEL) as sr:  # fmt: skip
        assert "stands 4 x 4 times" in lr.tags()["srcube_resampling"]
        assert sr.tags()["srcube_resampling"].startswith("none")
        record = json.loads(sr.tags()[TAG])
        assert record["inferred"]
        assert record["model"] == MODEL
        assert record["inputs"][0]["datetime"] == STAMP
        assert record["window"] == [*(getattr(asked(cube), name) for name in
                                      ("row", "col", "height", "width"))]  # fmt: skip
        assert not json.loads(lr.tags()[TAG])["inferred"]


def test_an_interval_is_in_reflectance_and_flags_are_bits(url: str, cube: Cube) -> None:
    box, model = bbox(cube, WINDOW), find_model(MODEL)
    product = Product.open(cube, f"sr/{model.card.key}")
    place = asked(cube).scaled(2)
    with fetched(url, "interval", bbox=box, model=MODEL) as file:
        scale = (product_window(product, 1, place, variable="scale")[0].astype(float) - 1) * 1e-5
        told = file.read(1) * file.scales[0] + file.offsets[0]
        assert np.allclose(told, scale * calibration_of(model.card).over_bands(), atol=1e-9)
    with fetched(url, "quality", bbox=box, model=MODEL) as file:
        assert (file.read(1) == product_window(product, 1, place, variable="quality")[0]).all()
        assert "saturated" in file.tags()["flag_meanings"]


def test_classes_are_codes(url: str, cube: Cube) -> None:
    with fetched(url, "scl", bbox=bbox(cube, WINDOW), grid=2) as file:
        codes = cube.window_scl(1, asked(cube))
        assert file.dtypes == ("uint8",)
        assert (file.read(1) == codes.repeat(2, 0).repeat(2, 1)).all()


def test_what_was_not_computed_is_no_data_and_nothing_at_all_is_not_found(
    url: str, cube: Cube
) -> None:
    with fetched(url, "sr", model=MODEL) as file:  # all of the cube: one block of four
        there = file.read(1) > 0
        assert there[:256, 256:].any()
        assert not there[256:].any()
    where = {"bbox": bbox(cube, Window(140, 3, 20, 30)), "model": MODEL, "datetime": STAMP}
    answer = httpx.get(f"{url}/sr/export.tif", params=where)
    assert answer.status_code == 404
    assert "super-resolve the view first" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("query", "status", "said"),
    [
        ({"grid": 3, "model": MODEL}, 422, "multiple of 2"),
        ({"bbox": "1,2,3"}, 422, "west,south,east,north"),
        ({"bbox": "0,0,1,1"}, 422, "does not touch"),
        ({"model": "none-such"}, 404, "no model"),
    ],
)
def test_bad_wishes_are_refused_in_a_line(
    url: str, query: dict[str, str], status: int, said: str
) -> None:
    answer = httpx.get(f"{url}/sr/export.tif", params=query)
    assert answer.status_code == status
    assert said in answer.json()["detail"]


def test_too_many_pixels_are_refused_with_their_number(tmp_path: Path) -> None:
    cube = new_cube(tmp_path, (1200, 1000))  # no pixel is there to be read
    empty = ScenePixels(np.zeros((4, 1200, 1000), np.uint16), np.zeros((1200, 1000), np.uint8))
    cube.append(scene(1), empty)
    with serving(Settings(data=str(tmp_path), port=0)) as address:
        path = f"{address}/collections/field/layers/lr/export.tif"
        answer = httpx.get(path, params={"grid": "4"})
    assert answer.status_code == 413
    assert str(4800 * 4000 * 4) in answer.json()["detail"]
    assert str(MAX_NUMBERS) in answer.json()["detail"]


def test_repeated_pixels_are_the_same_whatever_window_is_read() -> None:
    image = np.arange(1 * 7 * 5).reshape(1, 7, 5)
    read = repeated(lambda window: image[:, *window.slices], 3)
    whole = image.repeat(3, 1).repeat(3, 2)
    for window in (Window(0, 0, 21, 15), Window(4, 2, 5, 10), Window(20, 14, 1, 1)):
        assert (read(window) == whole[:, *window.slices]).all()
