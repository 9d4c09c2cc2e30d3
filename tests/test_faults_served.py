"""A server whose store or disk fails says so, goes on with the rest, and is well again after."""

import os
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import numpy as np
import pytest

from datacube import ScenePixels
from datacube.catalog import REMOTE_CHECK_S
from datacube.settings import Settings
from server.jobs.workers import LocalExecutor, WorkerLimits
from server.local import LocalServer
from server.main import make_app
from sr_engine.model import Model
from tests.conftest import serving
from tests.s3 import FaultyProxy, environment, new_bucket, s3_server
from tests.scenes import new_cube, scene
from tests.test_jobs import Field, finished, make_field
from tests.test_jobs_faults import wait_for
from tests.test_tiles import TMS

SHAPE = (150, 260)


@pytest.fixture(scope="module")
def store() -> Iterator[int]:
    """Port of an S3 server."""
    with s3_server() as port:
        yield port


def field_in(bucket: str, url: str) -> Field:
    dn = np.full((4, *SHAPE), 2500, np.uint16)
    cube = new_cube(bucket, SHAPE).append(scene(1), ScenePixels(dn, np.full(SHAPE, 4, np.uint8)))  # type: ignore[arg-type]
    return Field(url, Path(), cube, "field")


def measured(field: Field, layer: str = "lr") -> httpx.Response:
    """A tile of a measured layer in the middle of a field."""
    west, south, east, north = field.whole
    tile = TMS.tile((west + east) / 2, (south + north) / 2, 15)
    path = f"/collections/{field.id}/layers/{layer}/tiles/WebMercatorQuad"
    return httpx.get(f"{field.url}{path}/{tile.z}/{tile.x}/{tile.y}", timeout=60)


@pytest.mark.parametrize(
    "fault",
    [
        "refused",
        "denied",
        pytest.param("stalled", marks=pytest.mark.long),
        "reset",
        "error",
    ],
)
def test_a_lost_store_is_a_503_and_tiles_come_when_it_is_back(
    store: int, fault: str, tmp_path: Path
) -> None:
    with FaultyProxy(store) as proxy, environment(proxy.port):
        bucket = new_bucket(store)
        settings = Settings(data=bucket, port=0, jobs_db=tmp_path / "jobs.sqlite3")
        with serving(settings) as url:
            field = field_in(bucket, url)
            seen = measured(field)
            assert seen.status_code == 200
            with proxy.failing(fault):
                began = time.monotonic()
                lost = measured(field, "scl")
                assert lost.status_code == (504 if fault == "stalled" else 503)
                assert 0 < int(lost.headers["retry-after"]) <= 20
                assert time.monotonic() - began <= 20
                assert bucket not in lost.text
                time.sleep(1.1 * REMOTE_CHECK_S)  # whether there is something new is asked again
                assert measured(field).content == seen.content  # its pixels are in memory
                assert httpx.get(url + "/livez").status_code == 200
                assert httpx.get(url + "/readyz", timeout=30).status_code == 503
            assert measured(field, "scl").status_code == 200
            assert measured(field).content == seen.content
            assert httpx.get(url + "/readyz").status_code == 200


@contextmanager
def full_for(pid: int) -> Iterator[None]:
    """No file of a process may grow beyond 10 bytes: to it, the disk is full."""
    _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (10, hard))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (hard, hard))


def test_tiles_go_on_while_a_full_disk_fails_a_job_that_space_lets_succeed(
    tmp_path: Path,
) -> None:
    settings = Settings(data=str(tmp_path), port=0, workers=1)
    with LocalServer(settings, make_app) as server:
        field = make_field(server.url, tmp_path)
        seen = measured(field)
        assert seen.status_code == 200
        field.plan()  # has the worker started
        executor = server.app.state.services.jobs._supervisor._executor
        wait_for(lambda: bool(executor.pids) and executor.free() == 1)
        with full_for(executor.pids[0]):
            job = field.start(field.whole).json()["jobID"]
            ended = {"failed", "successful"}
            while httpx.get(f"{server.url}/jobs/{job}").json()["status"] not in ended:
                assert measured(field).content == seen.content
            failed = finished(server.url, job)
            assert failed["status"] == "failed"
            assert failed["message"].startswith("OutOfSpace")
        assert field.compute(field.whole)["status"] == "successful"
        assert field.tile().headers["x-srcube-complete"] == "true"


def test_workers_that_cannot_start_are_an_alarm(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("server.jobs.workers.STILLBORN", 2)
    executor = LocalExecutor(WorkerLimits(1), Stillborn())
    try:

        def is_told() -> bool:
            executor.warm_up()
            executor.wait(0.1)
            return executor.trouble != ""

        wait_for(is_told)
        assert "2 worker processes died" in executor.trouble
        assert [one.levelname for one in caplog.records if "died" in one.message] == ["ERROR"]
    finally:
        executor.stop(0)


class Stillborn:
    """A way to find models at which a process that gets it dies."""

    def __call__(self, _model_id: str) -> Model:
        raise AssertionError("nobody lives to ask")

    def __reduce__(self) -> tuple[object, tuple[int]]:
        return os._exit, (3,)


def test_ten_thousand_ranges_cost_no_more_than_the_file(live_server: str) -> None:
    address = live_server + "/explorer/assets/explorer.js"
    whole = httpx.get(address)
    for ranges in (["0-0", "2-2"] * 3500, ["0-"] * 7000, [f"{n}-{n}" for n in range(0, 9000, 2)]):
        answer = httpx.get(address, headers={"range": "bytes=" + ",".join(ranges)})
        assert answer.status_code in {200, 206, 400, 416, 431}
        assert len(answer.content) <= max(2 * len(whole.content), 200 * len(ranges))
    part = httpx.get(address, headers={"range": "bytes=5-24"})
    assert (part.status_code, part.content) == (206, whole.content[5:25])
