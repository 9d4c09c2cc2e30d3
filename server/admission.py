"""Who may draw just now: a bounded number at once, a bounded queue, and one answer for equals.

Drawing happens on threads of its own, so that health, jobs and documents are answered while
every one of them is busy. Whoever finds the queue full, or waits too long, is told to come back.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Hashable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from datacube.errors import SrcubeError

T = TypeVar("T")
Gone = Callable[[], Coroutine[Any, Any, None]]  # returns once nobody is there to hear the answer
SOON_S = 0.05  # most drawings take less; only after it is a client watched


class Overloaded(SrcubeError):
    """More is asked than can be drawn; the same request may succeed soon."""

    code = "Overloaded"


class DeadlineExceeded(SrcubeError):
    """What was asked took longer than the operator allows."""

    code = "DeadlineExceeded"


class ClientGone(SrcubeError):
    """Nobody is there any more to hear the answer."""

    code = "ClientClosedRequest"


@dataclass(frozen=True)
class RenderLimits:
    """How many draw at once, how many may wait, and how long both may take together."""

    at_once: int
    waiting: int
    deadline_s: float


@dataclass(eq=False)
class _Flight(Generic[T]):
    """One drawing that several requests may wait for; `began` is monotonic, once it has."""

    task: asyncio.Task[T] = field(init=False)
    passengers: int = 0
    began: float = float("inf")


@dataclass(eq=False)
class RenderQueue:
    """Admits drawings; belongs to one event loop."""

    limits: RenderLimits
    waiting: int = 0
    drawing: int = 0
    shared: int = 0
    refused: int = 0
    _flights: dict[Hashable, _Flight[Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._slots = asyncio.Semaphore(self.limits.at_once)
        self._threads = ThreadPoolExecutor(self.limits.at_once, thread_name_prefix="srcube-render")

    async def run(self, key: Hashable, draw: Callable[[], T], gone: Gone) -> tuple[T, bool]:
        """What `draw` returns, and whether it began after this was called.

        Requests of one `key` at the same time share one drawing, which for the later ones may
        have begun before they asked. Raises Overloaded, DeadlineExceeded, ClientGone, and
        whatever `draw` raises.
        """
        asked = time.monotonic()
        flight = self._flights.get(key)
        if flight is None or flight.task.done():  # one that has just landed takes nobody along
            flight = self._flights[key] = self._started(key, draw)
        else:
            self.shared += 1
        flight.passengers += 1
        try:
            drawn = await self._awaited(flight.task, gone)
        finally:
            flight.passengers -= 1
            if flight.passengers == 0 and not flight.task.done():
                self._flights.pop(key, None)
                flight.task.cancel()  # ends it if it waits; a thread that draws draws on
        return drawn, flight.began >= asked

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """Hold one of the places for drawing; raises Overloaded, DeadlineExceeded."""
        if self.drawing + self.waiting >= self.limits.at_once + self.limits.waiting:
            self.refused += 1
            raise Overloaded(
                f"{self.drawing} drawings are under way and {self.waiting} wait, which is all "
                "there may be; try again soon"
            )
        self.waiting += 1
        try:
            await asyncio.wait_for(self._slots.acquire(), self.limits.deadline_s)
        except TimeoutError:
            raise _too_late(self.limits.deadline_s) from None
        finally:
            self.waiting -= 1
        self.drawing += 1
        try:
            yield
        finally:
            self.drawing -= 1
            self._slots.release()

    def close(self) -> None:
        """Let the threads end."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _started(self, key: Hashable, draw: Callable[[], T]) -> _Flight[T]:
        flight: _Flight[T] = _Flight()

        def landed(task: asyncio.Task[T]) -> None:
            if self._flights.get(key) is flight:
                del self._flights[key]
            if not task.cancelled():
                task.exception()  # heard, also where every passenger has left

        flight.task = asyncio.create_task(self._drawn(flight, draw))
        flight.task.add_done_callback(landed)
        return flight

    async def _drawn(self, flight: _Flight[T], draw: Callable[[], T]) -> T:
        async with self.slot():
            flight.began = time.monotonic()
            work = asyncio.get_running_loop().run_in_executor(self._threads, draw)
            try:
                return await asyncio.shield(work)
            except asyncio.CancelledError:
                # Nobody waits any more, but the place is taken until the thread has ended.
                await asyncio.wait([work])
                raise

    async def _awaited(self, task: asyncio.Task[T], gone: Gone) -> T:
        """The task's result, for as long as there is somebody to hear it.

        Nobody is asked again and again: with hundreds that wait, looking after each of them took
        more time than was left to draw.
        """
        deadline_s = self.limits.deadline_s
        done, _ = await asyncio.wait([task], timeout=min(SOON_S, deadline_s))
        if done:
            return task.result()
        left = asyncio.ensure_future(gone())
        try:
            both, rest_s = (task, left), max(deadline_s - SOON_S, 0)
            await asyncio.wait(both, timeout=rest_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            left.cancel()
        if task.done():
            return task.result()
        if left.done():
            left.result()  # raises what went wrong with listening
            raise ClientGone("the client has gone")
        raise _too_late(deadline_s)


def _too_late(deadline_s: float) -> DeadlineExceeded:
    return DeadlineExceeded(f"not drawn within {deadline_s:g} s; ask for less, or try again")
