"""A server that is killed, or told to stop, in the middle of its jobs goes on with them."""

import os
import random
import re
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import httpx
import pytest

from datacube import Cube
from tests.test_jobs import Field, events_of, finished, make_field

SRCUBE = Path(sys.executable).with_name("srcube")
STARTS_IN_S = 60


@contextmanager
def server_process(
    root: Path, *options: str, port: int = 0
) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """`srcube serve` in a process of its own; killed, if it still runs at the end."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith("SRCUBE_")}
    process = subprocess.Popen(
        [SRCUBE, "serve", "--data", str(root), "--port", str(port), *options],
        env=clean | {"SRCUBE_WORKERS": "1", "SRCUBE_WORKER_NICENESS": "0", "COLUMNS": "200"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield _address(process), process
    finally:
        process.kill()
        process.communicate()


def _address(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    line = process.stdout.readline()
    found = re.search(r"(http://[\d.:]+)/", line)
    assert found, line
    deadline = time.monotonic() + STARTS_IN_S
    while time.monotonic() < deadline:
        try:
            if httpx.get(found[1] + "/livez").status_code == 200:
                return found[1]
        except httpx.TransportError:
            time.sleep(0.05)
    raise TimeoutError("the server did not answer")


def wait_for_blocks(url: str, job_id: str, count: int) -> None:
    """Watch a job until so many of its blocks are done, or it has ended."""
    with httpx.stream("GET", f"{url}/jobs/{job_id}/events", timeout=120) as response:
        for line in response.iter_lines():
            count -= line.startswith("event: block")
            if count <= 0 or '"successful"' in line:
                return


def block_files(root: Path, cube_id: str = "field") -> dict[Path, int]:
    """Chunks of super-resolved blocks, and when each was written."""
    return {
        path: path.stat().st_mtime_ns
        for path in (root / f"{cube_id}.zarr/sr").rglob("*")
        if re.search(r"/(reflectance|influence|reach)(_blocks)?/c/.*/\d+$", str(path))
        and path.is_file()
    }


def kill_until_done(root: Path, kills: int, seed: int) -> None:
    """Kill the server so often in the middle of two jobs; they end, and nothing is done twice."""
    moment = random.Random(seed)  # noqa: S311 (chooses moments, guards nothing)
    field = make_field("", root)
    jobs: list[str] = []
    seen: dict[Path, int] = {}
    for _ in range(kills):
        with server_process(root) as (url, process):
            here = Field(url, root, field.cube, field.id)
            jobs = jobs or [
                here.start(here.whole, model).json()["jobID"]
                for model in ("bicubic-x4", "wiener-x2")
            ]
            wait_for_blocks(url, jobs[-1], moment.randint(1, 3))
            time.sleep(moment.uniform(0, 0.2))
            process.send_signal(signal.SIGKILL)
            process.wait()
        assert all(block_files(root)[path] == written for path, written in seen.items())
        seen = finished_chunks(field.cube, root)
    with server_process(root) as (url, _):
        for job in jobs:
            assert finished(url, job)["status"] == "successful"
            blocks = [content for kind, content in events_of(url, job) if kind == "block"]
            assert [content["done"] for content in blocks] == list(range(1, 13))
            assert len({tuple(content["bbox"]) for content in blocks}) == 12
    assert all(block_files(root)[path] == written for path, written in seen.items())


def finished_chunks(cube: Cube, root: Path) -> dict[Path, int]:
    """Files that are written for good: where a block is recorded, all of its level's chunks."""
    assert cube.scenes
    with closing(sqlite3.connect(root / ".srcube/jobs.sqlite3")) as database:
        done = {key for (key,) in database.execute("SELECT key FROM blocks WHERE state = 'done'")}
    places = {(key.split("/")[2], *map(int, key.split("/")[4:])) for key in done}
    return {
        path: written
        for path, written in block_files(root).items()
        if (path.parts[path.parts.index("sr") + 1], int(path.parts[-2]), int(path.parts[-1]))
        in places
    }


def test_a_killed_server_goes_on_with_its_jobs_and_repeats_no_block(tmp_path: Path) -> None:
    kill_until_done(tmp_path, kills=1, seed=3)


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_twenty_kills_lose_no_job(tmp_path: Path) -> None:
    kill_until_done(tmp_path, kills=20, seed=7)


def blocks_of_jobs(root: Path) -> dict[str, str]:
    """Keys of all blocks that jobs want or wanted, and their states."""
    with closing(sqlite3.connect(root / ".srcube/jobs.sqlite3", timeout=30)) as database:
        return dict(database.execute("SELECT key, state FROM blocks"))


def wait_for_a_fresh_block(root: Path) -> None:
    """Until a block is in hand that was not before: it has all of its time ahead."""
    held = {key for key, state in blocks_of_jobs(root).items() if state == "leased"}
    deadline = time.monotonic() + STARTS_IN_S
    while not {key for key, state in blocks_of_jobs(root).items() if state == "leased"} - held:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def start_slow_job(field: Field) -> str:
    """A job of twelve blocks that take a second or so each; its id."""
    inputs = {"collection": field.id, "bbox": field.whole, "model": "default-x4",
              "products": ["saliency"]}  # fmt: skip
    deadline = time.monotonic() + STARTS_IN_S
    while httpx.get(field.url + "/readyz", timeout=30).status_code != 200:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    address = field.url + "/processes/super-resolve/execution"
    job: str = httpx.post(address, json={"inputs": inputs}, timeout=30).json()["jobID"]
    return job


@pytest.mark.parametrize("options", [(), ("--workers", "2")], ids=["alone", "fleet"])
def test_a_server_told_to_stop_finishes_the_block_in_hand(
    tmp_path: Path, options: tuple[str, ...]
) -> None:
    """Of the blocks that wait none is begun; the one in hand is done, kept, and not done again."""
    with server_process(tmp_path, *options) as (url, process):
        field = make_field(url, tmp_path)
        job = start_slow_job(field)
        wait_for_blocks(url, job, 1)
        wait_for_a_fresh_block(tmp_path)
        process.send_signal(signal.SIGTERM)
        asked_to_stop = blocks_of_jobs(tmp_path)
        said, _ = process.communicate(timeout=60)
        assert process.returncode in {0, -signal.SIGTERM}  # uvicorn ends by the signal it got
        assert "Traceback" not in said
    in_hand = {key for key, state in asked_to_stop.items() if state == "leased"}
    left = blocks_of_jobs(tmp_path)
    done = {key for key, state in left.items() if state == "done"}
    assert len(in_hand) <= 1
    assert in_hand <= done
    # One more may have been begun before the signal was heard.
    assert sum(asked_to_stop[key] == "waiting" for key in done) <= 1
    assert "leased" not in left.values()
    assert list(left.values()).count("waiting") > 5
    with closing(sqlite3.connect(tmp_path / ".srcube/jobs.sqlite3")) as database:
        assert database.execute("SELECT max(attempts) FROM blocks").fetchone() == (0,)
    kept = block_files(tmp_path)
    assert kept
    with server_process(tmp_path) as (url, process):
        wait_for_blocks(url, job, len(done) + 1)
        assert {path: block_files(tmp_path)[path] for path in kept} == kept
