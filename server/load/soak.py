"""Mixed load for a while: tiles, documents, pages and jobs at once, far below every limit.

Whatever is not answered as it should be is an error, a refusal included: nobody asks too much.
"""

import asyncio
import json
import random
import statistics
from collections.abc import Awaitable
from dataclasses import dataclass, field
from typing import Any

import httpx

from datacube import Cube
from server.errors import log
from server.jobs.records import ENDED
from server.load.asks import CUBE, job_inputs, tile_paths
from server.load.process import ServerProcess

TILE_CLIENTS, JOB_CLIENTS = 4, 2
THINK_S = {"tile": 0.03, "document": 0.2, "page": 4.0}
MODELS = ("bicubic-x2", "wiener-x2", "bicubic-x4")
CANCELLED_SHARE = 0.2
JOB_SIDE = 0.2  # of the cube's
SAMPLE_S = 1.0


@dataclass(eq=False)
class Soak:
    """Clients of one server, and what they met."""

    server: ServerProcess
    cube: Cube
    seconds: float
    asked: int = 0
    jobs: int = 0
    faults: list[str] = field(default_factory=list)
    _random: random.Random = field(default_factory=lambda: random.Random(5))  # noqa: S311
    _memory: list[float] = field(default_factory=list)

    async def figures(self) -> dict[str, float]:
        """Errors, requests, jobs, and memory of the last fifth over that of the second.

        The first fifth fills the caches, which are bounded; workers' memory counts, too.
        """
        # The server hangs up on idle connections: the client does so before, or asks into a void.
        limits = httpx.Limits(keepalive_expiry=2)
        async with httpx.AsyncClient(
            base_url=self.server.url, timeout=120, limits=limits
        ) as client:
            clients = [self._tiles(client) for _ in range(TILE_CLIENTS)]
            clients += [self._jobs(client) for _ in range(JOB_CLIENTS)]
            clients += [self._documents(client), self._pages(client), self._sample()]
            running = [asyncio.create_task(one) for one in clients]
            await asyncio.sleep(self.seconds)
            for task in running:
                task.cancel()
            ended = await asyncio.gather(*running, return_exceptions=True)
        self.faults += [repr(one) for one in ended if not isinstance(one, asyncio.CancelledError)]
        for fault in self.faults:
            log.warning("soak: %s", fault)
        fifth = max(len(self._memory) // 5, 1)
        grown = statistics.median(self._memory[-fifth:]) / statistics.median(
            self._memory[fifth : 2 * fifth] or self._memory
        )
        return {
            "soak_minutes": self.seconds / 60,
            "soak_requests": self.asked,
            "soak_jobs": self.jobs,
            "soak_errors": len(self.faults),
            "soak_memory_growth_ratio": grown,
        }

    async def _ask(self, what: Awaitable[httpx.Response]) -> httpx.Response | None:
        """An answer; None, and a fault, where it is not a good one."""
        self.asked += 1
        try:
            answer = await what
        except httpx.HTTPError as error:
            self.faults.append(repr(error))
            return None
        if answer.status_code >= 300:
            self.faults.append(f"{answer.status_code} {answer.request.url}: {answer.text[:200]}")
            return None
        return answer

    async def _tiles(self, client: httpx.AsyncClient) -> None:
        paths = [path for zoom in (13, 14, 15, 16) for path in tile_paths(self.cube, zoom)]
        while True:
            path = self._random.choice(paths)
            if self._random.random() < 0.5:
                model = self._random.choice(MODELS)
                path = path.replace("/layers/lr/", "/layers/sr/") + f"?model={model}"
            await self._ask(client.get(path))
            await asyncio.sleep(THINK_S["tile"])

    async def _documents(self, client: httpx.AsyncClient) -> None:
        west, south, east, north = self.cube.grid.lonlat_bounds()
        point = f"POINT({(west + east) / 2} {(south + north) / 2})"
        paths = ("/", "/collections", f"/collections/{CUBE}", "/metrics", "/readyz", "/models",
                 f"/collections/{CUBE}/position?coords={point}")  # fmt: skip
        while True:
            path = self._random.choice(paths)
            await self._ask(client.get(path))
            await asyncio.sleep(THINK_S["document"])

    async def _pages(self, client: httpx.AsyncClient) -> None:
        """Pages opened and left: each begins a session that has to be collected."""
        while True:
            await self._ask(client.get("/explorer"))
            await asyncio.sleep(THINK_S["page"])

    async def _jobs(self, client: httpx.AsyncClient) -> None:
        while True:
            left, top = (self._random.uniform(0, 0.99 - JOB_SIDE) for _ in range(2))
            slot = self._random.choice([one.slot for one in self.cube.scenes])
            model = self._random.choice(MODELS)
            body = job_inputs(self.cube, model, slot, (left, top, JOB_SIDE))
            answer = await self._ask(client.post("/processes/super-resolve/execution", json=body))
            if answer is not None:
                self.jobs += 1
                await self._follow(client, answer.json()["jobID"])

    async def _follow(self, client: httpx.AsyncClient, job_id: str) -> None:
        """Watch a job to its end, or cancel it on the way."""
        impatient = self._random.random() < CANCELLED_SHARE
        async with client.stream("GET", f"/jobs/{job_id}/events") as response:
            async for line in response.aiter_lines():
                if not line.startswith("data:"):
                    continue
                content: dict[str, Any] = json.loads(line.removeprefix("data:"))
                if content.get("status") in ENDED:
                    self._judge(content, impatient=impatient)
                    return
                if impatient and "done" in content:
                    await self._ask(client.delete(f"/jobs/{job_id}"))

    def _judge(self, job: dict[str, Any], *, impatient: bool) -> None:
        if job["status"] == "failed" or (job["status"] == "dismissed" and not impatient):
            self.faults.append(f"a job was {job['status']}: {job['message']}")

    async def _sample(self) -> None:
        while True:
            self._memory.append(self.server.memory_bytes())
            await asyncio.sleep(SAMPLE_S)
