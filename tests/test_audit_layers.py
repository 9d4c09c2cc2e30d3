"""The audit's layers on the map: consistency with its legend, flags by their colours."""

import io
from collections.abc import Iterator

import httpx
import numpy as np
import pytest
from PIL import Image

from datacube import Product, ScenePixels
from datacube.settings import Settings
from server.reader import Pixels
from server.render import FLAG_COLOURS, flag_rgba
from sr_engine.blocks import compute_block, product_spec
from sr_engine.planes import Quality
from sr_engine.registry import find_model
from tests.conftest import serving
from tests.opensr_cases import noise, smooth
from tests.scenes import BANDS, new_cube, scene


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server of one scene, of which one block is computed; cloud in its upper left corner."""
    root = tmp_path_factory.mktemp("catalog")
    field = 0.05 + 0.3 * smooth(noise((len(BANDS), 128, 120), 1), 2)
    scl = np.full((128, 120), 4, np.uint8)
    scl[:40, :50] = 9
    dn = np.rint((field + 0.1) * 1e4).astype(np.uint16)
    cube = new_cube(root, (128, 120)).append(scene(1), ScenePixels(dn, scl))
    model = find_model("bicubic-x2")
    compute_block(Product.ensure(cube, product_spec(cube, model)), model, 0, (0, 0))
    with serving(Settings(data=str(root), port=0)) as address:
        yield address


def picture(url: str, layer: str) -> np.ndarray:
    path = f"{url}/collections/field/layers/{layer}/WebMercatorQuad/tilejson.json"
    west, south, east, north = httpx.get(path, params={"model": "bicubic-x2"}).json()["bounds"]
    zoom, lon, lat = 14, (west + east) / 2, (south + north) / 2
    x = int((lon + 180) / 360 * 2**zoom)
    y = int((1 - np.arcsinh(np.tan(np.radians(lat))) / np.pi) / 2 * 2**zoom)
    tile = path.replace("WebMercatorQuad/tilejson.json", f"tiles/WebMercatorQuad/{zoom}/{x}/{y}")
    answer = httpx.get(tile, params={"model": "bicubic-x2", "format": "png"})
    assert answer.status_code == 200
    return np.asarray(Image.open(io.BytesIO(answer.content)).convert("RGBA"))


def test_flags_are_drawn_in_their_own_colours_and_never_mixed(url: str) -> None:
    image = picture(url, "quality")
    shown = {tuple(int(part) for part in one) for one in image.reshape(-1, 4) if one[3]}
    assert shown <= {colour for _, colour in FLAG_COLOURS.values()}
    assert FLAG_COLOURS[int(Quality.INPUT_CLOUDY)][1] in shown
    assert FLAG_COLOURS[int(Quality.COMPUTED)][1] in shown


def test_consistency_is_drawn(url: str) -> None:
    assert (picture(url, "consistency")[..., 3] == 255).any()


def test_both_layers_come_with_a_legend_and_every_model(url: str) -> None:
    layers = {one["id"]: one for one in httpx.get(f"{url}/collections/field").json()["layers"]}
    assert layers["consistency"]["legend"]["colormap"] == "magma"
    classes = layers["quality"]["legend"]["classes"]
    assert {one["value"] for one in classes} == {int(flag) for flag in Quality}
    assert "bicubic-x4" in layers["quality"]["models"]


def test_a_pixel_is_drawn_in_its_most_serious_flag() -> None:
    masks = np.array([[[0], [1], [1 | 8], [1 | 2 | 4 | 8]]], np.uint16)
    drawn = flag_rgba(Pixels(masks, np.ones((1, 4), bool)))
    expected = [(0, 0, 0, 0), *(FLAG_COLOURS[value][1] for value in (1, 8, 4))]
    assert [tuple(one) for one in drawn[0].tolist()] == expected


def test_the_guidelines_are_a_page_that_a_browser_may_draw(url: str) -> None:
    answer = httpx.get(f"{url}/guidelines")
    assert answer.status_code == 200
    assert "Never call grid spacing resolution" in answer.text
    policy = answer.headers.get("content-security-policy", "")
    assert not policy or ("img-src 'self' data:" in policy and "'unsafe-inline'" in policy)
