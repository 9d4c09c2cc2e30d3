"""Fusion over HTTP: offered where it applies, computed as a job, drawn, and nearer the truth."""

import io
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from datacube import Catalog, Cube, Product, open_storage
from datacube.demo import DemoSize, build_simulated
from datacube.settings import Settings
from sr_engine.blocks import product_path
from sr_engine.metrics import psnr
from sr_engine.registry import DEFAULT_MODEL, find_model, models
from tests.conftest import serving
from tests.test_tiles import TMS

SIZE = DemoSize(shape=(112, 150), dates=12, truth_dates=1)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("season")
    build_simulated(Catalog(open_storage(folder)), "season", size=SIZE)
    return folder


@pytest.fixture(scope="module")
def url(root: Path) -> Iterator[str]:
    with serving(Settings(data=str(root), port=0)) as address:
        yield address


def collection(url: str) -> dict[str, object]:
    document: dict[str, object] = httpx.get(url + "/collections/season").json()
    return document


def bbox(url: str) -> list[float]:
    extent = httpx.get(url + "/collections/season").json()["extent"]["spatial"]["bbox"]
    found: list[float] = extent[0]
    return found


def compute(url: str, model: str) -> dict[str, object]:
    body = {"inputs": {"collection": "season", "bbox": bbox(url), "model": model}}
    job = httpx.post(url + "/processes/super-resolve/execution", json=body, timeout=30).json()
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        state: dict[str, object] = httpx.get(f"{url}/jobs/{job['jobID']}").json()
        if state["status"] in {"successful", "failed", "dismissed"}:
            return state
        time.sleep(0.05)
    raise TimeoutError("the job did not end within 120 s")


def tile(url: str, layer: str, model: str) -> httpx.Response:
    west, south, east, north = bbox(url)
    place = TMS.tile((west + east) / 2, (south + north) / 2, 15)
    path = f"/collections/season/layers/{layer}/tiles/WebMercatorQuad"
    query = {"model": model, "format": "png"}
    return httpx.get(f"{url}{path}/{place.z}/{place.x}/{place.y}", params=query, timeout=30)


def layers(url: str) -> dict[str, dict[str, object]]:
    listed = httpx.get(url + "/collections/season").json()["layers"]
    return {layer["id"]: layer for layer in listed}


def test_each_layer_lists_the_models_that_make_it(url: str) -> None:
    found = layers(url)
    linear = ["wiener-x4", "wiener-x2", "bicubic-x4", "bicubic-x2"]
    # This cube has no 20 m bands to sharpen.
    assert set(found["sr"]["models"]) == set(models()) - {"sharpen20"}  # type: ignore[call-overload]
    assert found["sr"]["default_model"] == DEFAULT_MODEL == "default-x4"
    assert found["influence"]["models"] == found["reach"]["models"] == linear
    assert found["sigma"]["models"] == ["fusion-x4", "fusion-x2"]
    assert found["sigma"]["default_model"] == "fusion-x4"
    assert found["sigma"]["kind"] == "uncertainty"
    assert found["lr"]["models"] == []
    assert httpx.get(url + "/models/fusion-x2").json()["dates"] > 1


@pytest.mark.parametrize(
    ("layer", "model", "status"),
    [
        ("sigma", "wiener-x2", 422),
        ("influence", "fusion-x2", 422),
        ("lr", "fusion-x2", 422),
        ("sigma", "fusion-x9", 404),
    ],
)
def test_a_model_that_does_not_make_a_layer_is_refused(
    url: str, layer: str, model: str, status: int
) -> None:
    answer = tile(url, layer, model)
    assert answer.status_code == status
    assert "model" in answer.json()["detail"]


def test_fusion_is_computed_drawn_and_beats_bicubic_of_the_date(url: str, root: Path) -> None:
    assert tile(url, "sr", "fusion-x2").status_code == 204
    for model in ("fusion-x2", "bicubic-x2"):
        assert compute(url, model)["status"] == "successful"
    for layer in ("sr", "sigma"):
        drawn = tile(url, layer, "fusion-x2")
        assert drawn.status_code == 200
        assert drawn.headers["x-srcube-complete"] == "true"
        assert np.asarray(Image.open(io.BytesIO(drawn.content)))[..., :3].std() > 3
    cube = Catalog(open_storage(root)).open("season")
    gain_db = error_db(cube, "fusion-x2") - error_db(cube, "bicubic-x2")
    assert gain_db > 0.8
    product = Product.open(cube, product_path(cube, find_model("fusion-x2")))
    stamp = str(collection(url)["default_datetime"])
    dates = product.attributes["dates"][stamp]
    assert stamp in dates
    assert len(dates) == find_model("fusion-x2").card.dates


def error_db(cube: Cube, model: str) -> float:
    """PSNR of a model's layer against the truth, at the date that has one."""
    slot = next(i for i, one in enumerate(cube.scenes)
                if Product.open(cube, "truth").has_block(one.slot, (0, 0)))  # fmt: skip
    made = values_of(cube, product_path(cube, find_model(model)), slot)
    truth = values_of(cube, "truth", slot)
    bands, height, width = truth.shape
    coarse = truth.reshape(bands, height // 2, 2, width // 2, 2).mean(axis=(2, 4))
    return psnr(made, coarse)


def values_of(cube: Cube, path: str, place: int) -> NDArray[np.float32]:
    found: NDArray[np.float32] = Product.open(cube, path).dataset().reflectance.values[place]
    return found
