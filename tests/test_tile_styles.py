"""Tiles as numbers, indices and expressions: the right values, and nothing but arithmetic."""

import io
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from rasterio.io import MemoryFile
from rasterio.warp import transform_bounds

from datacube.errors import InvalidInput
from datacube.settings import Settings
from server.expressions import MAX_LENGTH, find_index, index_names, parse
from tests.conftest import serving
from tests.test_tiles import fetch, picture, smooth_cube, tile_path

NAMES = ("B02", "B03", "B04", "B08")


def values(seed: int) -> dict[str, NDArray[np.float32]]:
    random = np.random.default_rng(seed)
    return {name: random.uniform(0.05, 0.6, (3, 5)).astype(np.float32) for name in NAMES}


numbers = st.integers(1, 99).map(str)
names = st.sampled_from(NAMES)
sums = st.recursive(
    names | numbers,
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from("+-*/"), inner).map("".join),
        inner.map(lambda text: f"({text})"),
        inner.map(lambda text: f"-({text})"),
    ),
    max_leaves=8,
)


@given(text=sums, seed=st.integers(0, 9))
def test_expressions_have_the_value_that_python_gives_them(text: str, seed: int) -> None:
    """Python's own arithmetic is the oracle, for text made of this grammar alone."""
    bands = values(seed)
    if not any(name in text for name in NAMES) or len(text) > MAX_LENGTH:
        with pytest.raises(InvalidInput):
            parse(text, NAMES)
        return
    double = {name: one.astype(np.float64) for name, one in bands.items()}
    with np.errstate(all="ignore"):
        try:
            expected = np.broadcast_to(eval(text, {"__builtins__": {}}, double), (3, 5))  # noqa: S307
        except ZeroDivisionError:
            return
    found = parse(text, NAMES).of(bands)
    usual = np.abs(expected) < 1e3
    np.testing.assert_allclose(found[usual], expected[usual], rtol=2e-2, atol=1e-2)


@pytest.mark.parametrize(
    "text",
    ["B04**9**9", "B04**2", "__import__('os')", "B99", "B04 B03", "(B04", "B04)", "", "5",
     "B04,B03", "B04[0]", "abs(B04)", "B04" + "+B04" * 60, "(" * 30 + "B04" + ")" * 30,
     "-" * 40 + "B04", "B04 +", "1e9*B04", "B04.real", "B04;B03", "B\u00b24", "*B04"],
)  # fmt: skip
def test_nothing_but_the_grammar_is_accepted(text: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        parse(text, NAMES)
    assert "\n" not in str(refused.value)


def test_indices_are_those_whose_formula_is_plain_arithmetic() -> None:
    bands = values(3)
    red, nir = bands["B04"], bands["B08"]
    np.testing.assert_allclose(
        find_index("NDVI", NAMES).of(bands), (nir - red) / (nir + red), rtol=1e-5
    )
    blue = bands["B02"]
    evi = 2.5 * (nir - red) / (nir + 6 * red - 7.5 * blue + 1)
    np.testing.assert_allclose(find_index("EVI", NAMES).of(bands), evi, rtol=1e-4)
    listed = index_names(NAMES)
    assert {"NDVI", "EVI", "SAVI", "NDWI"} <= set(listed)
    assert "NBR" not in listed  # needs short-wave infrared
    for name in ("MSAVI", "nothing", "__class__"):  # powers, and what is no index
        with pytest.raises(InvalidInput):
            find_index(name, NAMES)


@pytest.fixture(name="url", scope="module")
def fixture_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    root: Path = tmp_path_factory.mktemp("styles")
    smooth_cube(root, (240, 200))
    with serving(Settings(data=str(root), port=0)) as url:
        yield url


def npy(url: str, **asked: object) -> NDArray[np.float32]:
    answer = fetch(url, tile_path(url, 16, cube_id="field"), format="npy", **asked)
    assert answer.headers["content-type"] == "application/x-npy"
    return np.asarray(np.load(io.BytesIO(answer.content)))


def test_a_tile_of_numbers_holds_reflectance(url: str) -> None:
    found = npy(url, bands="B04,B03,B02")
    assert found.shape == (3, 256, 256)
    assert found.dtype == np.float32
    shown = picture(fetch(url, tile_path(url, 16, cube_id="field"), format="png", rescale="0,2"))
    here = np.isfinite(found).all(axis=0)
    assert here.mean() > 0.5
    level = np.rint(np.clip(found[0] / 2, 0, 1) ** 0.8 * 255)
    assert np.abs(level - shown[..., 0])[here].max() <= 1


def test_a_geotiff_tile_knows_its_place(url: str) -> None:
    path = tile_path(url, 16, cube_id="field")
    answer = fetch(url, path, format="tif", bands="B08")
    assert answer.headers["content-type"] == "image/tiff; application=geotiff"
    with MemoryFile(answer.content) as memory, memory.open() as dataset:
        west, south, east, north = transform_bounds(dataset.crs, "EPSG:4326", *dataset.bounds)
        assert dataset.descriptions == ("B08",)
        np.testing.assert_array_equal(dataset.read(), npy(url, bands="B08"))
    box = httpx.get(f"{url}/collections/field").json()["extent"]["spatial"]["bbox"][0]
    assert west < (box[0] + box[2]) / 2 < east
    assert south < (box[1] + box[3]) / 2 < north


def test_indices_and_expressions_are_drawn_and_told_as_numbers(url: str) -> None:
    bands = npy(url, bands="B08,B04,B02")
    expected = (bands[0] - bands[1]) / (bands[0] + bands[1])
    for asked in ({"index": "NDVI"}, {"expression": "(B08-B04)/(B08+B04)"}):
        np.testing.assert_allclose(npy(url, **asked)[0], expected, rtol=1e-4, atol=1e-4)
    path = tile_path(url, 16, cube_id="field")
    drawn = picture(
        fetch(url, path, index="NDVI", colormap="viridis", rescale="-1,1", format="png")
    )
    other = picture(fetch(url, path, index="NDVI", colormap="magma", rescale="-1,1", format="png"))
    assert drawn.shape == (256, 256, 4)
    assert np.abs(drawn.astype(int) - other).max() > 50
    one = fetch(url, path, bands="B04", colormap="viridis", format="png")
    assert picture(one)[..., :3].std(axis=-1).max() > 5  # coloured, not grey
    tags = {fetch(url, path, **style).headers["etag"]
            for style in ({}, {"index": "NDVI"}, {"index": "NDWI"}, {"expression": "B04/B08"},
                          {"index": "NDVI", "colormap": "magma"})}  # fmt: skip
    assert len(tags) == 5


@pytest.mark.parametrize(
    "asked",
    [{"expression": "B04**9**9"}, {"expression": "B99"}, {"index": "MSAVI"}, {"index": "NDVI",
     "bands": "B04"}, {"index": "NDVI", "expression": "B04"}, {"colormap": "drab", "bands": "B04"},
     {"colormap": "viridis"}, {"format": "exe"}, {"expression": "B04" * 100}],
)  # fmt: skip
def test_bad_styles_are_refused_in_one_line(url: str, asked: dict[str, str]) -> None:
    answer = fetch(url, tile_path(url, 16, cube_id="field"), **asked)
    assert answer.status_code == 422
    assert "\n" not in answer.json()["detail"]


def test_pictures_of_one_band_are_grey(url: str) -> None:
    shown = fetch(url, tile_path(url, 16, cube_id="field"), bands="B08", format="png")
    image = np.asarray(Image.open(io.BytesIO(shown.content)).convert("RGB")).astype(int)
    assert np.ptp(image, axis=-1).max() == 0
