"""How long a cancelled job's block is still in hand."""

import re
import time

import httpx

from datacube import Cube
from server.jobs.records import ENDED
from server.load.asks import job_inputs, start_job, wait_for_job
from server.load.process import ServerProcess

MODEL = "default-x4"  # the slowest block that comes with the package
LATEST_S = 30.0
UNFINISHED = re.compile(r"^srcube_blocks_unfinished (\S+)$", re.MULTILINE)


def slowest_cancel_s(server: ServerProcess, cube: Cube) -> float:
    """Seconds from asking for a job's end until nothing is computed for it, at most of some.

    One job on each date, so that none finds its blocks there. Raises RuntimeError where that takes
    half a minute, and where a job was over before it could be cancelled.
    """
    slowest = 0.0
    with httpx.Client(base_url=server.url, timeout=60) as client:
        for one in cube.scenes:
            job = start_job(client, job_inputs(cube, MODEL, one.slot, (0.01, 0.01, 0.9)))
            state = wait_for_job(client, job, frozenset({"running"}) | ENDED)
            if state != "running":
                raise RuntimeError(f"a job was {state} before it could be cancelled")
            began = time.perf_counter()
            client.delete(f"/jobs/{job}").raise_for_status()
            while _unfinished(client):
                if time.perf_counter() - began > LATEST_S:
                    raise RuntimeError(f"a cancelled job still computes after {LATEST_S:g} s")
                time.sleep(0.02)
            slowest = max(slowest, time.perf_counter() - began)
    return slowest


def _unfinished(client: httpx.Client) -> float:
    found = UNFINISHED.search(client.get("/metrics").raise_for_status().text)
    if found is None:
        raise RuntimeError("the server does not tell how many blocks are unfinished")
    return float(found[1])
