"""A thousand different tiles asked for at once, each over a connection of its own."""

import asyncio

import httpx

from datacube import Cube
from server.load.asks import tile_paths
from server.load.process import ServerProcess

BURST, ZOOM = 1000, 17
Answer = httpx.Response | BaseException


def burst_figures(server: ServerProcess, cube: Cube) -> dict[str, float]:
    """Errors, how many were served at once, and memory that the burst took.

    An error is an answer other than 200, 503 or 429, a refusal that does not say when to come
    back, an image other than the one a lonely client gets, a connection lost, or health that is
    not answered meanwhile.
    """
    paths = tile_paths(cube, ZOOM)[:BURST]
    if len(paths) < BURST:
        raise RuntimeError(f"the cube has {len(paths)} tiles, {BURST} are needed")
    before = server.memory_bytes()
    answers, healthy = asyncio.run(_burst(server.url, paths))
    taken = server.memory_bytes() - before
    with httpx.Client(base_url=server.url, timeout=60) as client:
        wrong = sum(_is_wrong(answer, client) for answer in answers)
    served = sum(isinstance(one, httpx.Response) and one.status_code == 200 for one in answers)
    return {
        "burst_1000_errors": wrong + (not healthy),
        "burst_1000_served": served,
        "burst_1000_memory_mb": taken / 1e6,
    }


async def _burst(url: str, paths: list[str]) -> tuple[list[Answer], bool]:
    limits = httpx.Limits(max_connections=len(paths) + 1)
    async with httpx.AsyncClient(base_url=url, limits=limits, timeout=120) as client:
        asked = asyncio.gather(*map(client.get, paths), return_exceptions=True)
        health = set()
        while not asked.done():
            health.add((await client.get("/livez")).status_code)
            await asyncio.sleep(0.1)
        return list(await asked), health == {200}


def _is_wrong(answer: Answer, client: httpx.Client) -> bool:
    if isinstance(answer, BaseException):
        return True
    if answer.status_code in {503, 429}:
        return int(answer.headers.get("retry-after", "0")) <= 0
    alone = client.get(answer.request.url)
    return (answer.status_code, answer.content) != (200, alone.content)
