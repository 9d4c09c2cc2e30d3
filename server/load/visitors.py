"""Twenty people who pan the map, and one who has views super-resolved meanwhile.

Each has a page's websocket and asks for the tiles that a page asks for, six at a time, keeps what
may be kept, and looks for a while before the next drag.
"""

import asyncio
import json
import math
import random
import statistics
import time
from collections.abc import AsyncIterator, Awaitable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Self

import httpx

from datacube import Cube
from server.jobs.records import ENDED
from server.load.asks import CUBE
from server.load.page_line import PageLine
from server.load.pan_view import PanView, world_px

PEOPLE = 20
CONNECTIONS = 6  # of a browser to one host
DRAG_PX, DRAG_STEPS, STEP_S = (150, 500), 4, 0.2  # Leaflet asks every 0.2 s while it moves
LOOK_S = (1.5, 4.0)
FINE = {200, 201, 204, 304}  # 204: nothing of the cube lies there
WARM_SHARE = 0.2  # of the time: caches fill, and it is not counted


@dataclass(eq=False)
class Notes:
    """What visitors met: seconds of tiles, and whatever was not as it should be."""

    tile_s: list[float] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    blocks: int = 0


async def visitors_figures(url: str, cube: Cube, seconds: float) -> dict[str, float]:
    """Errors, and the slowest twentieth of tiles while one visitor computes, beside without.

    Lasts `seconds` with super-resolution after half of that without it. A refusal is an error.
    """
    idle, busy = Notes(), Notes()
    async with AsyncExitStack() as pages:
        people = [await pages.enter_async_context(Visitor.arrived(url, cube, number))
                  for number in range(PEOPLE + 1)]  # fmt: skip
        await _pan(people[:-1], WARM_SHARE * seconds, Notes())
        await _pan(people[:-1], seconds / 2, idle)
        await _pan(people[:-1], seconds, busy, people[-1])
    faults = idle.faults + busy.faults
    if not (idle.tile_s and busy.tile_s and busy.blocks):
        raise RuntimeError(f"no tiles, or no block: {faults[:3]}")
    return {
        "visitors_errors": len(faults),
        "visitors_tiles": len(busy.tile_s),
        "visitors_blocks": busy.blocks,
        "visitors_tile_p95_idle_ms": 1000 * p95(idle.tile_s),
        "visitors_tile_p95_ms": 1000 * p95(busy.tile_s),
        "visitors_tile_p95_ratio": p95(busy.tile_s) / p95(idle.tile_s),
    }


def p95(values: list[float]) -> float:
    """What nineteen of twenty stay below."""
    return statistics.quantiles(values, n=20)[-1]


async def _pan(
    people: "list[Visitor]", seconds: float, notes: Notes, patient: "Visitor | None" = None
) -> None:
    """Have people pan for a while, and one have views super-resolved."""
    ends = time.monotonic() + seconds
    visits = [one.pan(ends, notes) for one in people]
    visits += [patient.compute(ends, notes)] if patient else []
    for ended in await asyncio.gather(*visits, return_exceptions=True):
        if isinstance(ended, BaseException):
            notes.faults.append(repr(ended))


@dataclass(eq=False)
class Visitor:
    """One person with a page open."""

    client: httpx.AsyncClient
    line: PageLine
    view: PanView
    choose: random.Random
    _kept: set[str] = field(default_factory=set)  # addresses that the browser has for good
    _free: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(CONNECTIONS))

    @classmethod
    @asynccontextmanager
    async def arrived(cls, url: str, cube: Cube, number: int) -> AsyncIterator[Self]:
        """Open a page as a browser does, up to what it shows first, somewhere in the cube."""
        limits = httpx.Limits(keepalive_expiry=2)  # before the server hangs up on idle ones
        choose = random.Random(number)  # noqa: S311 (a walk that can be repeated)
        async with (
            httpx.AsyncClient(base_url=url, limits=limits, timeout=120) as client,
            PageLine.opened(client) as line,
        ):
            found, cards, indices = [
                (await client.get(path)).raise_for_status().json()
                for path in ("/collections", "/models", "/indices")
            ]
            await line.tell(narrow=False, newcomer=False)
            await line.tell(models=cards["models"], collections=found["collections"])
            await line.tell(indices=indices["indices"])
            (collection,) = [one for one in found["collections"] if one["id"] == CUBE]
            west, south, east, north = cube.grid.lonlat_bounds()
            at = world_px(choose.uniform(west, east), choose.uniform(south, north))
            view = PanView(collection, await line.choice(), at)
            yield cls(client, line, view, choose)

    async def pan(self, ends: float, notes: Notes) -> None:
        """Drag and look, in turns, until the clock stands at `ends` (monotonic seconds)."""
        while time.monotonic() < ends:
            heading = self.choose.uniform(0, 2 * math.pi)
            length = self.choose.uniform(*DRAG_PX) / DRAG_STEPS
            asked: list[asyncio.Task[None]] = []
            for _ in range(DRAG_STEPS):
                self.view.move(length * math.cos(heading), length * math.sin(heading))
                asked += [asyncio.create_task(self._load(one, notes)) for one in self.view.fresh()]
                await asyncio.sleep(STEP_S)
            await self._rest(notes)
            await asyncio.sleep(self.choose.uniform(*LOOK_S))
            await asyncio.gather(*asked)

    async def compute(self, ends: float, notes: Notes) -> None:
        """Have one view after another super-resolved, and see its tiles sharpen."""
        while time.monotonic() < ends:
            await asyncio.gather(*(self._load(one, notes) for one in self.view.fresh()))
            side = self.view.shown["right"]
            inputs = {"collection": CUBE, "datetime": side["date"], "model": side["model"],
                      "products": [], "bbox": self.view.box()}  # fmt: skip
            execution = "/processes/super-resolve/execution"
            answer = await self._ask(self.client.post(execution, json={"inputs": inputs}), notes)
            if answer is not None:
                await self._follow(answer.json()["jobID"], notes)
            await self._rest(notes)
            self.view.move(*(self.choose.uniform(-2, 2) * px for px in self.view.size))

    async def _follow(self, job_id: str, notes: Notes) -> None:
        """Watch a job to its end, as the page does."""
        async with self.client.stream("GET", f"/jobs/{job_id}/events") as events:
            async for text in events.aiter_lines():
                if not text.startswith("data:"):
                    continue
                told: dict[str, Any] = json.loads(text.removeprefix("data:"))
                if "bbox" in told:
                    notes.blocks += 1
                    changed = self.view.touched(told["bbox"])
                    await asyncio.gather(*(self._load(one, notes, True) for one in changed))
                if told.get("status") in ENDED:
                    if told["status"] != "successful":
                        notes.faults.append(f"a job was {told['status']}: {told.get('message')}")
                    return

    async def _rest(self, notes: Notes) -> None:
        """What the page does when the map has come to rest: ask for the plan, tell Python."""
        side, box = self.view.shown["right"], self.view.box()
        query = {"datetime": side["date"], "model": side["model"], "bbox": ",".join(map(str, box))}
        path = f"/collections/{CUBE}/layers/sr/plan"
        await self.line.tell(
            view={"lat": (box[1] + box[3]) / 2, "lon": (box[0] + box[2]) / 2, "zoom": 16}
        )
        answer = await self._ask(self.client.get(path, params=query), notes)
        if answer is not None:
            plan = answer.json()
            known = ("total", "cached", "estimated_seconds", "limit_blocks")
            await self.line.tell(
                plan={key: plan[key] for key in known} | {"over": False, "problem": None}
            )

    async def _load(self, address: str, notes: Notes, anew: bool = False) -> None:
        if address in self._kept and not anew:
            return
        async with self._free:
            began = time.perf_counter()
            answer = await self._ask(self.client.get(address), notes)
            taken = time.perf_counter() - began
        if answer is None:
            return
        notes.tile_s.append(taken)
        if "immutable" in answer.headers.get("cache-control", ""):
            self._kept.add(address)

    async def _ask(self, what: Awaitable[httpx.Response], notes: Notes) -> httpx.Response | None:
        """An answer; None, and a fault, where it is not a good one."""
        try:
            answer = await what
        except httpx.HTTPError as error:
            notes.faults.append(repr(error))
            return None
        if answer.status_code in FINE:
            return answer
        notes.faults.append(f"{answer.status_code} {answer.request.url}: {answer.text[:200]}")
        return None
