"""`kill -9` of the server in the middle of super-resolution, again and again."""

import itertools
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from datacube import Catalog, open_storage
from datacube.verify import verify
from server.load.asks import CUBE, bench_cube, job_inputs, start_job, wait_for_job
from server.load.process import ServerProcess, serving_process

SIDE_PX, DATES = 512, 3
MODELS = ("wiener-x4", "wiener-x2")
PARTS = tuple((left, top, 0.48) for left in (0.01, 0.51) for top in (0.01, 0.51))
LATEST_S = 1.0  # after a job has begun


def lost_jobs(root: Path, kills: int) -> int:
    """Jobs that did not end well, and chunks that are damaged, after so many kills.

    Before each kill another job is begun, so that there is always one in the middle.
    """
    cube = bench_cube(root, SIDE_PX, DATES)
    moment = random.Random(11)  # noqa: S311 (chooses moments, guards nothing)
    wishes = itertools.cycle(itertools.product(range(DATES), PARTS, MODELS))
    jobs: list[str] = []
    for _ in range(kills):
        with _server(root) as (server, client):
            slot, part, model = next(wishes)
            jobs.append(start_job(client, job_inputs(cube, model, slot, part)))
            wait_for_job(client, jobs[-1], frozenset({"running"}))
            time.sleep(moment.uniform(0, LATEST_S))
            server.kill()
    with _server(root) as (_, client):
        lost = sum(wait_for_job(client, job) != "successful" for job in jobs)
    return lost + len(verify(Catalog(open_storage(root)).open(CUBE)).faults)


@contextmanager
def _server(root: Path) -> Iterator[tuple[ServerProcess, httpx.Client]]:
    with (
        serving_process(root, limit_client_jobs=32) as server,
        httpx.Client(base_url=server.url, timeout=60) as client,
    ):
        yield server, client
