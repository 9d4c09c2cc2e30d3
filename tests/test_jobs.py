"""On-the-fly super-resolution over HTTP: asked for, watched, found again, cancelled."""

import io
import json
import sqlite3
import time
import uuid
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from datacube import Cube, ScenePixels
from datacube.product import Product
from datacube.settings import Settings
from server.layers import LAYERS, version_of
from sr_engine.blocks import predict_window, product_spec
from sr_engine.registry import find_model
from tests.conftest import serving
from tests.scenes import new_cube, scene
from tests.test_tiles import TMS

SHAPE = (300, 420)


@dataclass(frozen=True)
class Field:
    """A cube of its own on a server: nothing of it is computed yet."""

    url: str
    root: Path
    cube: Cube
    id: str

    @property
    def whole(self) -> list[float]:
        """A view of all twelve blocks, in degrees."""
        return list(self.cube.grid.lonlat_bounds())

    @property
    def corner(self) -> list[float]:
        """A view well inside the north-west block."""
        west, south, east, north = self.whole
        return [
            west + 0.1 * (east - west), north - 0.2 * (north - south),
            west + 0.2 * (east - west), north - 0.1 * (north - south),
        ]  # fmt: skip

    def plan(self, model: str = "wiener-x2") -> dict[str, Any]:
        """What the whole view would cost."""
        query = {"bbox": ",".join(map(str, self.whole)), "model": model}
        answer = httpx.get(f"{self.url}/collections/{self.id}/layers/sr/plan", params=query)
        document: dict[str, Any] = answer.json()
        return document

    def start(self, bbox: list[float], model: str = "wiener-x2") -> httpx.Response:
        """Ask for a view."""
        body = {"inputs": {"collection": self.id, "bbox": bbox, "model": model}}
        address = self.url + "/processes/super-resolve/execution"
        return httpx.post(address, json=body, timeout=30)

    def compute(self, bbox: list[float], model: str = "wiener-x2") -> dict[str, Any]:
        """Ask for a view, and wait until its job has ended."""
        return finished(self.url, self.start(bbox, model).json()["jobID"])

    def tile(self, model: str = "wiener-x2", layer: str = "sr", zoom: int = 15) -> httpx.Response:
        """The map tile in the middle."""
        west, south, east, north = self.whole
        tile = TMS.tile((west + east) / 2, (south + north) / 2, zoom)
        path = f"/collections/{self.id}/layers/{layer}/tiles/WebMercatorQuad"
        maker = find_model(model) if model else None
        query = {"model": model, "format": "png", "v": version_of(self.cube, LAYERS[layer], maker)}
        address = f"{self.url}{path}/{tile.z}/{tile.x}/{tile.y}"
        return httpx.get(address, params=query, timeout=30)


def make_field(url: str, root: Path, cube_id: str = "field") -> Field:
    """A cube of one date in the catalog at `root`, which `url` serves."""
    random = np.random.default_rng(2)
    dn = random.integers(2000, 2300, (4, *SHAPE), dtype=np.uint16)
    dn[:, 150:, 200:] += 1500
    pixels = ScenePixels(dn, np.full(SHAPE, 4, np.uint8))
    return Field(url, root, new_cube(root, SHAPE, cube_id).append(scene(1), pixels), cube_id)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """One server for all tests of this file, since its workers take seconds to load."""
    root = tmp_path_factory.mktemp("fields")
    settings = Settings(data=str(root), port=0, limit_blocks=12, limit_client_jobs=32)
    with serving(settings) as url:
        yield url, root


@pytest.fixture
def field(server: tuple[str, Path]) -> Field:
    """A cube that nobody else uses."""
    return make_field(*server, cube_id=f"field-{uuid.uuid4().hex[:8]}")


def finished(url: str, job_id: str) -> dict[str, Any]:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        document: dict[str, Any] = httpx.get(f"{url}/jobs/{job_id}").json()
        if document["status"] in {"successful", "failed", "dismissed"}:
            return document
        time.sleep(0.05)
    raise TimeoutError(f"job {job_id} did not end within 120 s")


def events_of(url: str, job_id: str, *, after: int = 0) -> list[tuple[str, dict[str, Any]]]:
    found = []
    headers = {"last-event-id": str(after)}
    address = f"{url}/jobs/{job_id}/events"
    with httpx.stream("GET", address, headers=headers, timeout=60) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        kind = ""
        for line in response.iter_lines():
            if line.startswith("event:"):
                kind = line.split(":", 1)[1].strip()
            elif line.startswith("data:"):
                found.append((kind, json.loads(line.split(":", 1)[1])))
    return found


def test_a_view_is_planned_computed_watched_and_then_cached(field: Field) -> None:
    before = field.plan()
    assert (before["total"], before["cached"]) == (12, 0)
    assert field.tile().status_code == 204

    job = field.start(field.whole)
    assert job.status_code == 201
    job_id = job.json()["jobID"]
    assert job.headers["location"] == f"/jobs/{job_id}"
    events = events_of(field.url, job_id)
    blocks = [content for kind, content in events if kind == "block"]
    assert [content["done"] for content in blocks] == list(range(1, 13))
    assert [kind for kind, _ in events].count("status") == 3
    assert events[-1][1]["status"] == "successful"
    assert events[-1][1]["progress"] == 100

    tile = field.tile()
    assert tile.headers["x-srcube-complete"] == "true"
    assert "immutable" in tile.headers["cache-control"]
    assert (np.asarray(Image.open(io.BytesIO(tile.content)))[..., :3].std()) > 5

    after = field.plan()
    assert (after["total"], after["cached"]) == (12, 12)
    again = field.start(field.whole).json()
    assert again["status"] == "successful"  # at once: there is nothing to compute
    assert again["blocks"] == {"total": 12, "cached": 12, "done": 12}

    model = find_model("wiener-x2")
    fresh = Cube.open(field.cube.storage)
    product = Product.open(fresh, product_spec(fresh, model).path)
    expected = predict_window(fresh, model, 0, product.block_window((1, 2))).reflectance
    stored = product.read_block(0, (1, 2))
    assert stored is not None
    np.testing.assert_allclose(stored * 1e-4 - 0.1, expected, atol=6e-5)


def test_blocks_come_from_the_centre_outwards(field: Field) -> None:
    west, south, east, north = field.whole
    events = events_of(field.url, field.start(field.whole).json()["jobID"])
    centre = ((west + east) / 2, (south + north) / 2)
    spread = []
    for kind, content in events:
        if kind == "block":
            box = content["bbox"]
            spread.append(
                np.hypot((box[0] + box[2]) / 2 - centre[0], (box[1] + box[3]) / 2 - centre[1])
            )
    assert np.mean(spread[:4]) < np.mean(spread[-4:])


def test_a_part_of_the_tiles_is_never_cached(field: Field) -> None:
    field.compute(field.corner)
    partial = field.tile(zoom=13)
    assert partial.status_code == 200
    assert partial.headers["x-srcube-complete"] == "false"
    assert partial.headers["cache-control"] == "no-store"
    assert "etag" not in partial.headers


def test_influence_and_reach_are_drawn_beside(field: Field) -> None:
    field.compute(field.whole)
    for layer in ("influence", "reach"):
        response = field.tile(layer=layer)
        assert response.status_code == 200
        image = np.asarray(Image.open(io.BytesIO(response.content)))
        assert image[..., 0].std() > 1


def test_a_job_can_be_cancelled(field: Field) -> None:
    first = field.start(field.whole, "wiener-x4").json()["jobID"]
    second = field.start(field.whole, "bicubic-x4").json()["jobID"]
    answer = httpx.delete(f"{field.url}/jobs/{second}").json()
    assert answer["status"] == "dismissed"
    assert events_of(field.url, second)[-1][1]["status"] == "dismissed"
    assert httpx.delete(f"{field.url}/jobs/{first}").json()["status"] == "dismissed"
    assert finished(field.url, second)["status"] == "dismissed"
    assert field.compute(field.corner, "bicubic-x2")["status"] == "successful"


def test_too_large_a_view_is_refused_with_the_limit(field: Field) -> None:
    with serving(Settings(data=str(field.root), port=0, limit_blocks=11)) as url:
        small = replace(field, url=url)
        plan = small.plan()
        assert plan["total"] > plan["limit_blocks"] == 11
        answer = small.start(field.whole)
        assert answer.status_code == 413
        assert answer.json()["code"] == "ViewportTooLarge"
        assert "12" in answer.json()["detail"]
        assert "11" in answer.json()["detail"]


MODELS = ("wiener-x4", "wiener-x2", "bicubic-x4", "bicubic-x2")


@pytest.mark.parametrize("limits", [{"limit_jobs": 3}, {"limit_client_jobs": 3}])
def test_a_full_queue_asks_to_come_back(tmp_path: Path, limits: dict[str, int]) -> None:
    with serving(Settings(data=str(tmp_path), port=0, **limits)) as url:  # type: ignore[arg-type]
        field = make_field(url, tmp_path)
        answers = [field.start(field.whole, model) for model in MODELS]
        assert [answer.status_code for answer in answers] == [201, 201, 201, 429]
        assert answers[-1].headers["retry-after"]
        assert "3" in answers[-1].json()["detail"]
        assert field.start(field.whole, MODELS[0]).status_code == 201  # it is the first one's job


def test_equal_wishes_are_one_job_and_other_wishes_share_its_blocks(field: Field) -> None:
    answers = [field.start(field.whole) for _ in range(20)]
    assert {answer.status_code for answer in answers} == {201}
    corner = field.start(field.corner).json()["jobID"]
    jobs = {answer.json()["jobID"] for answer in answers}
    ended = [finished(field.url, job) for job in (corner, *jobs)]
    assert {job["status"] for job in ended} == {"successful"}
    with closing(sqlite3.connect(field.root / ".srcube/jobs.sqlite3")) as database:
        key = field.cube.root.commit.uid + "%"
        rows = database.execute("SELECT count(*) FROM blocks WHERE key LIKE ?", (key,))
        assert rows.fetchone() == (12,)
    listed = httpx.get(field.url + "/jobs", params={"limit": 100}).json()["jobs"]
    assert {job["jobID"] for job in listed} >= {corner, *jobs}


def test_results_lead_to_the_layers_and_only_when_there_are_some(field: Field) -> None:
    job_id = field.start(field.corner).json()["jobID"]
    early = httpx.get(f"{field.url}/jobs/{job_id}/results")
    assert early.status_code == 200 or early.json()["code"] == "ResultNotReady"
    finished(field.url, job_id)
    results = httpx.get(f"{field.url}/jobs/{job_id}/results").json()
    assert set(results) >= {"sr", "influence", "reach"}
    assert httpx.get(field.url + results["sr"]["href"]).status_code == 200


def test_a_dismissed_job_has_no_results(field: Field) -> None:
    job_id = field.start(field.whole, "wiener-x4").json()["jobID"]
    httpx.delete(f"{field.url}/jobs/{job_id}")
    answer = httpx.get(f"{field.url}/jobs/{job_id}/results")
    assert answer.status_code == 409
    assert "dismissed" in answer.json()["detail"]


def test_a_watcher_who_was_interrupted_goes_on_where_he_was(field: Field) -> None:
    job_id = field.start(field.whole).json()["jobID"]
    everything = events_of(field.url, job_id)
    assert len(everything) == 15
    assert events_of(field.url, job_id, after=5) == everything[5:]
    assert events_of(field.url, job_id, after=len(everything)) == []


def test_a_process_takes_only_models_of_its_kind(field: Field) -> None:
    listed = httpx.get(field.url + "/processes").json()["processes"]
    assert {"super-resolve", "fuse"} <= {process["id"] for process in listed}
    for process in listed:
        assert httpx.get(field.url + f"/processes/{process['id']}").json()["id"] == process["id"]
    assert httpx.get(field.url + "/processes/conjure").status_code == 404
    body = {"inputs": {"collection": field.id, "bbox": field.whole, "model": "wiener-x2"}}
    assert httpx.post(field.url + "/processes/fuse/execution", json=body).status_code == 422


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
def test_bad_orders_are_refused(field: Field, inputs: dict[str, object], status: int) -> None:
    body = {"inputs": {"collection": field.id, "bbox": field.whole, **inputs}}
    answer = httpx.post(field.url + "/processes/super-resolve/execution", json=body)
    assert answer.status_code == status, answer.text
    assert answer.json()["status"] == status


def test_an_unknown_job_is_not_found(server: tuple[str, Path]) -> None:
    url, _ = server
    for method in ("GET", "DELETE"):
        assert httpx.request(method, f"{url}/jobs/none").status_code == 404
    assert httpx.get(f"{url}/jobs/none/results").status_code == 404
    assert httpx.get(f"{url}/jobs/none/events").status_code == 404
