"""What tiles feel of super-resolution that runs beside them."""

import itertools
import statistics
import time

import httpx

from datacube import Cube
from server.load.asks import job_inputs, start_job, state_of, tile_paths, wait_for_job
from server.load.process import ServerProcess

PACE_S = 0.03  # between two tiles of the one client that measures
ROUNDS, ROUND_TILES = 3, 200
MODEL = "wiener-x4"


def p95_ratio(server: ServerProcess, cube: Cube) -> float:
    """How long tiles take at their slowest twentieth while blocks are computed, over idle.

    One client asks at a steady pace, in turns while workers are idle and while they compute.
    """
    paths = tile_paths(cube, 15)
    idle: list[float] = []
    busy: list[float] = []
    with httpx.Client(base_url=server.url, timeout=60) as client:
        _timed(client, paths)  # what is decoded once has been
        for slot in range(ROUNDS):
            idle += _timed(client, paths)
            job = start_job(client, job_inputs(cube, MODEL, slot, (0.01, 0.01, 0.98)))
            wait_for_job(client, job, frozenset({"running"}))
            busy += _timed(client, paths)
            if (state := state_of(client, job)) != "running":
                raise RuntimeError(f"the job was {state} before the tiles had been timed")
            client.delete(f"/jobs/{job}").raise_for_status()
    return _p95(busy) / _p95(idle)


def _timed(client: httpx.Client, paths: list[str]) -> list[float]:
    taken = []
    for path in itertools.islice(itertools.cycle(paths), ROUND_TILES):
        began = time.perf_counter()
        client.get(path).raise_for_status()
        taken.append(time.perf_counter() - began)
        time.sleep(max(PACE_S - taken[-1], 0))
    return taken


def _p95(values: list[float]) -> float:
    return statistics.quantiles(values, n=20)[-1]
