"""Search, ingest and evaluate over HTTP: allowed by the operator, in a process of their own."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from datacube import Catalog, Window, open_storage
from datacube.settings import Settings
from server.jobs.address import address_of, open_database
from server.jobs.database import Database
from server.jobs.ledger import Ledger, Limits
from server.jobs.task_jobs import NewTask, TaskQueue
from server.keys import add_key
from tests.conftest import serving
from tests.stac_server import WEST, StacServer, served, truth
from tests.test_jobs import events_of, finished

INNER = WEST.cropped(Window(100, 50, 90, 120)).lonlat_bounds()
JUNE = "2024-06-01/2024-06-30"
LIMITS = Limits(8, 8)
Document = dict[str, Any]


@pytest.fixture(scope="module")
def stac(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StacServer]:
    built = StacServer(tmp_path_factory.mktemp("cogs"))
    built.build()
    with served(built) as one:
        yield one


def registry_of(folder: Path, stac: StacServer) -> Path:
    path = folder / "registry.toml"
    path.write_text(
        f'[[source]]\nname = "ours"\ntitle = "Our scenes"\naddress = "{stac.url}"\n'
        '[[source]]\nname = "silent"\naddress = "http://127.0.0.1:9/stac"\n'
    )
    return path


@pytest.fixture(scope="module")
def server(stac: StacServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("ingest")
    settings = Settings(
        data=str(folder / "cubes"), port=0, allow_ingest=True, registry=registry_of(folder, stac),
        limit_ingest_scenes=3,
    )  # fmt: skip
    with serving(settings) as url:
        yield url


def ask(server: str, process: str, **inputs: Any) -> httpx.Response:
    body = {"inputs": inputs}
    return httpx.post(f"{server}/processes/{process}/execution", json=body, timeout=60)


def place(**more: Any) -> Document:
    return {"catalog": "ours", "bbox": list(INNER), "datetime": JUNE, **more}


def test_scenes_are_found_and_taken_in_with_progress(server: str, stac: StacServer) -> None:
    options = httpx.get(f"{server}/ingest").json()
    assert options["allowed"]
    assert options["catalogs"][0] == {
        "name": "ours", "title": "Our scenes", "collection": "sentinel-2-l2a"
    }  # fmt: skip
    assert stac.url.removeprefix("http://") not in str(options)

    found = ask(server, "search", **place()).json()
    assert [one["datetime"][:10] for one in found["scenes"]] == [
        "2024-06-01", "2024-06-11", "2024-06-21"
    ]  # fmt: skip
    assert found["scenes"][0]["cloud_cover"] == 0.5
    chosen = [one["id"] for one in found["scenes"][:2]]

    answer = ask(server, "ingest", **place(cube="field", scenes=chosen, title="A field"))
    assert answer.status_code == 201
    job = answer.json()
    assert "blocks" not in job
    assert answer.headers["location"] == f"/jobs/{job['jobID']}"
    events = events_of(server, job["jobID"])
    assert events[-1][1]["status"] == "successful"
    percents = [content["progress"] for _, content in events]
    assert percents == sorted(percents)
    results = httpx.get(f"{server}/jobs/{job['jobID']}/results").json()
    assert sorted(one["id"] for one in results["taken"]) == chosen

    shown = httpx.get(f"{server}/collections/field").json()
    assert shown["title"] == "A field"
    assert [one["datetime"][:10] for one in shown["scenes"]] == ["2024-06-01", "2024-06-11"]
    again = finished(
        server, ask(server, "ingest", **place(cube="field", scenes=chosen)).json()["jobID"]
    )
    assert again["status"] == "successful"
    results = httpx.get(f"{server}/jobs/{again['jobID']}/results").json()
    assert (results["taken"], len(results["already_there"])) == ([], 2)


@pytest.mark.parametrize(
    ("process", "inputs", "status", "said"),
    [
        ("search", place(catalog="elsewhere"), 404, "no catalog"),
        ("search", place(catalog="http://127.0.0.1"), 422, "catalog"),
        ("search", place(bbox=[10, 45, 14, 48]), 413, "km2"),
        ("search", place(bbox=[11, 46, 10, 47]), 422, "bbox"),
        ("search", place(datetime="yesterday"), 422, "yesterday"),
        ("search", place(max_cloud=101), 422, "max_cloud"),
        ("search", place(url="http://127.0.0.1"), 422, "url"),
        ("search", place(catalog="silent"), 503, "silent does not answer"),
        ("ingest", place(cube="../up"), 422, "cube"),
        ("ingest", place(cube="a", bands=["B99"]), 422, "bands"),
        ("ingest", place(cube="a", scenes=list("abcd")), 413, "at most 3"),
        ("evaluate", {"collection": "nobody"}, 404, "cube"),
    ],
)
def test_a_wish_that_cannot_be_granted_is_refused_in_one_line(
    server: str, process: str, inputs: Document, status: int, said: str
) -> None:
    answer = ask(server, process, **inputs)
    assert answer.status_code == status, answer.text
    detail = answer.json()["detail"]
    assert said in detail
    assert "\n" not in detail
    assert "127.0.0.1:9" not in detail


def test_more_scenes_than_allowed_fail_with_the_number(server: str) -> None:
    wish = place(cube="many", datetime="2024-06-01/2024-07-30")
    job = finished(server, ask(server, "ingest", **wish).json()["jobID"])
    assert job["status"] == "failed"
    assert "4 scenes were found, at most 3" in job["message"]
    refused = httpx.get(f"{server}/jobs/{job['jobID']}/results")
    assert (refused.status_code, refused.json()["code"]) == (422, "InvalidInput")


def test_ingest_is_off_unless_allowed_and_then_takes_its_scope(
    stac: StacServer, tmp_path: Path
) -> None:
    keys = tmp_path / "keys.json"
    with_scope = add_key(keys, "robot", frozenset({"view", "ingest"}))
    without = add_key(keys, "reader", frozenset({"view", "compute"}))
    shared: Document = {"data": str(tmp_path / "cubes"), "port": 0, "keys_file": keys}
    address = "/processes/ingest/execution"
    body = {"inputs": place(cube="field")}
    with serving(Settings(**shared)) as url:
        assert not httpx.get(f"{url}/ingest").json()["allowed"]
        assert httpx.post(url + address, json=body).status_code == 401
        known = {"authorization": f"Bearer {with_scope}"}
        refused = httpx.post(url + address, json=body, headers=known)
        assert (refused.status_code, refused.json()["code"]) == (403, "NotAllowed")
    allowed = Settings(
        **shared, allow_ingest=True, anonymous="view", registry=registry_of(tmp_path, stac)
    )
    with serving(allowed) as url:
        assert not httpx.get(f"{url}/ingest").json()["allowed"]
        assert httpx.get(f"{url}/ingest", headers=known).json()["allowed"]
        assert httpx.post(url + address, json=body).status_code == 401
        other = {"authorization": f"Bearer {without}"}
        assert httpx.post(url + address, json=body, headers=other).status_code == 403
        search = f"{url}/processes/search/execution"
        assert httpx.post(search, json={"inputs": place()}).status_code == 401
        assert httpx.post(search, json={"inputs": place()}, headers=known).status_code == 200


def test_what_is_super_resolved_is_evaluated_against_truth(live_server: str) -> None:
    cube = httpx.get(f"{live_server}/collections/simulated").json()
    dated = next(one["datetime"] for one in cube["scenes"] if "truth" in one["layers"])
    bbox = cube["extent"]["spatial"]["bbox"][0]
    view = {"collection": "simulated", "datetime": dated, "model": "wiener-x4", "bbox": bbox}
    finished(live_server, ask(live_server, "super-resolve", **view).json()["jobID"])
    job = finished(live_server, ask(live_server, "evaluate", **view).json()["jobID"])
    assert job["status"] == "successful", job["message"]
    found = httpx.get(f"{live_server}/jobs/{job['jobID']}/results").json()
    rows = found["rows"]
    assert list(rows) == ["bicubic-x4", next(name for name in rows if name != "bicubic-x4")]
    assert found["truth"]
    assert found["datetime"] == dated
    better = rows[next(name for name in rows if name != "bicubic-x4")]["psnr_db"]
    assert better > rows["bicubic-x4"]["psnr_db"]


def test_an_evaluation_of_what_is_not_there_fails_with_the_way_out(live_server: str) -> None:
    wish = {"collection": "simulated", "model": "bicubic-x3"}
    answer = ask(live_server, "evaluate", **wish)
    if answer.status_code == 404:  # no such model
        wish["model"] = "wiener-x2"
        answer = ask(live_server, "evaluate", **wish)
    job = finished(live_server, answer.json()["jobID"])
    assert job["status"] == "failed"
    assert "super-resolve" in job["message"]


def task(name: str) -> NewTask:
    return NewTask("somebody", "ingest", {"cube": name}, {"task": "ingest", "cube": name})


@pytest.fixture
def database(jobs_in: Settings) -> Iterator[Database]:
    opened = open_database(address_of(jobs_in))
    yield opened
    opened.close()


def test_a_task_of_a_dead_server_is_taken_up_again_and_given_up_in_the_end(
    database: Database,
) -> None:
    ledger, first = Ledger(database), TaskQueue(database)
    job = first.add(task("a"), LIMITS)
    assert first.add(task("a"), LIMITS).id == job.id  # the same wish is the same job
    dead = subprocess.Popen(["true"])
    dead.wait()
    first.leases.owner = f"{dead.pid}:gone@{database.machine}".removesuffix("@")
    for _ in range(3):
        assert first.take() is not None
        assert first.take() is None  # in hand
        TaskQueue(database).recover()
    assert first.take() is None
    ended = ledger.find(job.id)
    assert ended.state == "failed"
    assert "given up after 3 attempts" in ended.message


def test_a_cancelled_task_is_not_renewed_and_its_result_is_not_kept(database: Database) -> None:
    tasks, ledger = TaskQueue(database), Ledger(database)
    job = tasks.add(task("a"), LIMITS)
    lease = tasks.take()
    assert lease is not None
    tasks.progress(lease, 40.0, "pixels")
    tasks.progress(lease, 20.0, "pixels")
    assert ledger.find(job.id).document()["progress"] == 40
    assert tasks.renew(lease)
    assert ledger.dismiss(job.id, "cancelled").message == "cancelled"
    assert not tasks.renew(lease)
    tasks.finish(lease, {"taken": []})
    assert ledger.find(job.id).state == "dismissed"
    assert tasks.result(job.id) is None


def test_cancel_ends_the_process_and_a_killed_one_is_started_again(
    stac: StacServer, tmp_path: Path
) -> None:
    settings = Settings(
        data=str(tmp_path / "cubes"),
        port=0,
        allow_ingest=True,
        registry=registry_of(tmp_path, stac),
    )
    with serving(settings) as url:
        job_id = ask(url, "ingest", **place(cube="killed")).json()["jobID"]
        os.kill(process_of_a_task(), signal.SIGKILL)
        assert finished(url, job_id)["status"] == "successful"
        cancelled = ask(url, "ingest", **place(cube="cancelled")).json()["jobID"]
        pid = process_of_a_task()
        assert httpx.delete(f"{url}/jobs/{cancelled}").json()["status"] == "dismissed"
        deadline = time.monotonic() + 20
        while Path(f"/proc/{pid}").exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not Path(f"/proc/{pid}").exists()
    cube = Catalog(open_storage(tmp_path / "cubes")).open("killed")
    for day, one in enumerate(cube.scenes):
        window = Window(0, 0, *cube.grid.shape)
        found = cube.window_dn(one.slot, ("B02", "B03", "B04", "B08"), window)
        np.testing.assert_array_equal(found, truth(cube.grid, day) + 1000)


def process_of_a_task() -> int:
    """The child of this process that carries out a task, waited for."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                words = (folder / "cmdline").read_bytes().split(b"\0")
                parent = (folder / "stat").read_text().rpartition(")")[2].split()[1]
            except OSError:
                continue
            if b"server.jobs.task_process" in words and int(parent) == os.getpid():
                return int(folder.name)
        time.sleep(0.02)
    raise TimeoutError("no process of a task was started within 30 s")
