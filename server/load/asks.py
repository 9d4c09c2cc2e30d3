"""What the clients of a benchmark ask: tiles of the bench's cube, and jobs on it."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
from morecantile import Tile

from datacube import Cube
from server.jobs.records import ENDED
from server.tiles_bench import TMS, make_cube, square_grid

CUBE = "bench"
JOB_ENDS_IN_S = 1800


def bench_cube(root: Path, side_px: int, dates: int) -> Cube:
    """A textured cube of so many pixels a side."""
    return make_cube(root, CUBE, square_grid(side_px), dates=dates)


def tile_paths(cube: Cube, zoom: int) -> list[str]:
    """Addresses of the tiles that lie wholly within a cube, of its newest date."""
    base = f"/collections/{CUBE}/layers/lr/tiles/{TMS.id}"
    return [f"{base}/{tile.z}/{tile.x}/{tile.y}" for tile in _inner_tiles(cube, zoom)]


def _inner_tiles(cube: Cube, zoom: int) -> Iterator[Tile]:
    west, south, east, north = cube.grid.lonlat_bounds()
    first, last = TMS.tile(west, north, zoom), TMS.tile(east, south, zoom)
    # The grid is turned a little against the map: its rim is left out.
    rim_y, rim_x = ((last.y - first.y) // 10 + 1), ((last.x - first.x) // 10 + 1)
    for y in range(first.y + rim_y, last.y - rim_y + 1):
        for x in range(first.x + rim_x, last.x - rim_x + 1):
            yield Tile(x, y, zoom)


def job_inputs(cube: Cube, model: str, slot: int, part: tuple[float, float, float]) -> Any:
    """The body of an order: a square part of a cube, as left, top and side in shares of it."""
    west, south, east, north = cube.grid.lonlat_bounds()
    left, top, side = part
    width, height = east - west, north - south
    bbox = [west + left * width, north - (top + side) * height,
            west + (left + side) * width, north - top * height]  # fmt: skip
    stamp = next(one.scene.stamp for one in cube.scenes if one.slot == slot)
    return {"inputs": {"collection": CUBE, "model": model, "datetime": stamp, "bbox": bbox}}


def start_job(client: httpx.Client, body: Any) -> str:
    """Order super-resolution; the job's id."""
    answer = client.post("/processes/super-resolve/execution", json=body)
    answer.raise_for_status()
    return str(answer.json()["jobID"])


def state_of(client: httpx.Client, job_id: str) -> str:
    """How a job is."""
    return str(client.get(f"/jobs/{job_id}").raise_for_status().json()["status"])


def wait_for_job(client: httpx.Client, job_id: str, states: frozenset[str] = ENDED) -> str:
    """The first of some states that a job comes to; raises RuntimeError if it comes to none."""
    deadline = time.monotonic() + JOB_ENDS_IN_S
    while time.monotonic() < deadline:
        if (state := state_of(client, job_id)) in states:
            return state
        time.sleep(0.05)
    raise RuntimeError(f"a job came to none of {', '.join(states)} in {JOB_ENDS_IN_S} s")
