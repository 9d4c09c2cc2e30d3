"""On-the-fly super-resolution over HTTP: asked for, watched, found again, cancelled."""

import io
import json
import time
from collections.abc import Collection, Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image

from datacube import Cube, ScenePixels, Window
from datacube.product import Product
from datacube.settings import Settings
from server.jobs import JobService
from sr_engine.blocks import predict_window, product_spec
from sr_engine.model import Prediction, Reflectance
from sr_engine.polyphase import PolyphaseModel
from sr_engine.registry import find_model
from tests.conftest import serving
from tests.scenes import new_cube, scene
from tests.test_tiles import TMS

SHAPE = (300, 420)


@pytest.fixture
def cube(tmp_path: Path) -> Cube:
    random = np.random.default_rng(2)
    dn = random.integers(2000, 2300, (4, *SHAPE), dtype=np.uint16)
    dn[:, 150:, 200:] += 1500
    return new_cube(tmp_path, SHAPE).append(scene(1), ScenePixels(dn, np.full(SHAPE, 4, np.uint8)))


@pytest.fixture
def url(cube: Cube, tmp_path: Path) -> Iterator[str]:
    assert cube.scenes
    with serving(Settings(data=str(tmp_path), port=0, limit_blocks=12, limit_jobs=3)) as address:
        yield address


def whole_view(url: str) -> list[float]:
    bbox: list[float] = httpx.get(url + "/collections/field").json()["extent"]["spatial"]["bbox"][0]
    return bbox


def corner_view(url: str) -> list[float]:
    """A view well inside the north-west block."""
    west, south, east, north = whole_view(url)
    return [
        west + 0.1 * (east - west), north - 0.2 * (north - south),
        west + 0.2 * (east - west), north - 0.1 * (north - south),
    ]  # fmt: skip


def start(url: str, bbox: list[float], model: str = "wiener-x2") -> httpx.Response:
    body = {"inputs": {"collection": "field", "bbox": bbox, "model": model}}
    return httpx.post(url + "/processes/super-resolve/execution", json=body, timeout=30)


def finished(url: str, job_id: str) -> dict[str, object]:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        document: dict[str, object] = httpx.get(f"{url}/jobs/{job_id}").json()
        if document["status"] in {"successful", "failed", "dismissed"}:
            return document
        time.sleep(0.05)
    raise TimeoutError(f"job {job_id} did not end within 60 s")


def events_of(url: str, job_id: str) -> list[tuple[str, dict[str, object]]]:
    found = []
    with httpx.stream("GET", f"{url}/jobs/{job_id}/events", timeout=60) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        kind = ""
        for line in response.iter_lines():
            if line.startswith("event:"):
                kind = line.split(":", 1)[1].strip()
            elif line.startswith("data:"):
                found.append((kind, json.loads(line.split(":", 1)[1])))
    return found


def sr_tile(url: str, model: str = "wiener-x2", zoom: int = 15) -> httpx.Response:
    west, south, east, north = whole_view(url)
    tile = TMS.tile((west + east) / 2, (south + north) / 2, zoom)
    path = f"/collections/field/layers/sr/tiles/WebMercatorQuad/{tile.z}/{tile.x}/{tile.y}"
    return httpx.get(url + path, params={"model": model, "format": "png", "v": "1"}, timeout=30)


def test_a_view_is_planned_computed_watched_and_then_cached(url: str, cube: Cube) -> None:
    bbox = whole_view(url)
    query = {"bbox": ",".join(map(str, bbox)), "model": "wiener-x2"}
    before = httpx.get(url + "/collections/field/layers/sr/plan", params=query).json()
    assert (before["total"], before["cached"]) == (12, 0)
    assert sr_tile(url).status_code == 204

    job = start(url, bbox)
    assert job.status_code == 201
    job_id = job.json()["jobID"]
    assert job.headers["location"] == f"/jobs/{job_id}"
    events = events_of(url, job_id)
    blocks = [content for kind, content in events if kind == "block"]
    assert [content["done"] for content in blocks] == list(range(1, 13))
    assert events[-1][0] == "status"
    assert events[-1][1]["status"] == "successful"
    assert events[-1][1]["progress"] == 100

    tile = sr_tile(url)
    assert tile.headers["x-srcube-complete"] == "true"
    assert "immutable" in tile.headers["cache-control"]
    assert (np.asarray(Image.open(io.BytesIO(tile.content)))[..., :3].std()) > 5

    after = httpx.get(url + "/collections/field/layers/sr/plan", params=query).json()
    assert (after["total"], after["cached"]) == (12, 12)
    again = finished(url, start(url, bbox).json()["jobID"])
    assert again["blocks"] == {"total": 12, "cached": 12, "done": 12}

    model = find_model("wiener-x2")
    fresh = Cube.open(cube.storage)
    product = Product.open(fresh, product_spec(fresh, model).path)
    expected = predict_window(fresh, model, 0, product.block_window((1, 2))).reflectance
    stored = product.read_block(0, (1, 2))
    assert stored is not None
    np.testing.assert_allclose(stored * 1e-4 - 0.1, expected, atol=6e-5)


def test_blocks_come_from_the_centre_outwards(url: str) -> None:
    west, south, east, north = whole_view(url)
    events = events_of(url, start(url, [west, south, east, north]).json()["jobID"])
    centre = ((west + east) / 2, (south + north) / 2)
    spread = []
    for kind, content in events:
        if kind == "block":
            box = content["bbox"]
            assert isinstance(box, list)
            spread.append(
                np.hypot((box[0] + box[2]) / 2 - centre[0], (box[1] + box[3]) / 2 - centre[1])
            )
    assert np.mean(spread[:4]) < np.mean(spread[-4:])


def test_a_part_of_the_tiles_is_never_cached(url: str) -> None:
    finished(url, start(url, corner_view(url)).json()["jobID"])
    partial = sr_tile(url, zoom=13)
    assert partial.status_code == 200
    assert partial.headers["x-srcube-complete"] == "false"
    assert partial.headers["cache-control"] == "no-store"
    assert "etag" not in partial.headers


def test_influence_and_reach_are_drawn_beside(url: str) -> None:
    finished(url, start(url, whole_view(url)).json()["jobID"])
    west, south, east, north = whole_view(url)
    tile = TMS.tile((west + east) / 2, (south + north) / 2, 15)
    for layer in ("influence", "reach"):
        path = f"/collections/field/layers/{layer}/tiles/WebMercatorQuad/{tile.z}/{tile.x}/{tile.y}"
        response = httpx.get(url + path, params={"model": "wiener-x2", "format": "png"})
        assert response.status_code == 200
        image = np.asarray(Image.open(io.BytesIO(response.content)))
        assert image[..., 0].std() > 1


def test_a_job_can_be_cancelled(url: str) -> None:
    first = start(url, whole_view(url), "wiener-x4").json()["jobID"]
    second = start(url, whole_view(url), "bicubic-x4").json()["jobID"]
    answer = httpx.delete(f"{url}/jobs/{second}").json()
    assert answer["status"] == "dismissed"
    assert events_of(url, second)[-1][1]["status"] == "dismissed"
    httpx.delete(f"{url}/jobs/{first}")
    ended = finished(url, first)
    assert ended["status"] in {"dismissed", "successful"}
    assert finished(url, second)["blocks"] == {"total": 12, "cached": 0, "done": 0}


def test_too_large_a_view_is_refused_with_the_limit(cube: Cube, tmp_path: Path) -> None:
    assert cube.scenes
    with serving(Settings(data=str(tmp_path), port=0, limit_blocks=11)) as url:
        query = {"bbox": ",".join(map(str, whole_view(url)))}
        plan = httpx.get(url + "/collections/field/layers/sr/plan", params=query).json()
        assert plan["total"] > plan["limit_blocks"] == 11
        answer = start(url, whole_view(url))
        assert answer.status_code == 413
        assert answer.json()["code"] == "ViewportTooLarge"
        assert "11" in answer.json()["detail"]


def test_a_full_queue_asks_to_come_back(url: str) -> None:
    answers = [start(url, whole_view(url), "wiener-x4") for _ in range(6)]
    refused = [answer for answer in answers if answer.status_code == 429]
    assert all(answer.status_code in {201, 429} for answer in answers)
    assert len(refused) >= 1
    assert refused[0].headers["retry-after"]


@pytest.mark.parametrize(
    ("inputs", "status"),
    [
        ({"bbox": [10.0, 45.0, 9.0, 46.0]}, 422),
        ({"bbox": [10.0, 45.0]}, 422),
        ({"bbox": ["a", 0, 1, 2]}, 422),
        ({"bbox": [100.0, 10.0, 101.0, 11.0]}, 422),
        ({"model": "oracle-x9"}, 404),
        ({"collection": "nowhere"}, 404),
        ({"collection": "../field"}, 404),
        ({"datetime": "1999-01-01"}, 404),
        ({"url": "http://example.org"}, 422),
    ],
)
def test_bad_orders_are_refused(url: str, inputs: dict[str, object], status: int) -> None:
    body = {"inputs": {"collection": "field", "bbox": whole_view(url), **inputs}}
    answer = httpx.post(url + "/processes/super-resolve/execution", json=body)
    assert answer.status_code == status, answer.text
    assert answer.json()["status"] == status


def test_an_unknown_job_is_not_found(url: str) -> None:
    for method in ("GET", "DELETE"):
        assert httpx.request(method, f"{url}/jobs/none").status_code == 404
    assert httpx.get(f"{url}/jobs/none/events").status_code == 404


class BrokenModel(PolyphaseModel):
    """A third party's model with a mistake in it."""

    def predict(
        self, patch: Reflectance, bands: tuple[str, ...], *, planes: Collection[str] = ()
    ) -> Prediction:
        raise ZeroDivisionError(f"no scale for {bands} {planes} of {patch.shape}")


def test_a_broken_model_fails_its_job_and_no_other(cube: Cube, tmp_path: Path) -> None:
    sound = find_model("bicubic-x2")
    assert isinstance(sound, PolyphaseModel)
    broken = BrokenModel(replace(sound.card, id="broken-x2"), sound.kernel)
    service = JobService(Settings(data=str(tmp_path)))
    service.start()
    try:
        window = Window(0, 0, 100, 100)
        failed, done = (
            service.submit(service.plan(cube, model, 0, window)) for model in (broken, sound)
        )
        deadline = time.monotonic() + 60
        while done.status not in {"successful", "failed"} and time.monotonic() < deadline:
            time.sleep(0.02)
    finally:
        service.stop()
    assert failed.status == "failed"
    assert "scale" not in failed.message
    assert done.status == "successful"
