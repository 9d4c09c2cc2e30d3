"""The queue of drawings: bounded, shared by equals, and left by those who have gone."""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from server.admission import (
    ClientGone,
    DeadlineExceeded,
    Overloaded,
    RenderLimits,
    RenderQueue,
)

PATIENT = 60.0


async def here() -> None:
    await asyncio.Event().wait()


async def gone() -> None:
    return


class Easel:
    """Drawings that last until they are let go, and how many there were."""

    def __init__(self) -> None:
        self.released = threading.Event()
        self.begun: list[int] = []
        self.most = 0
        self._now = 0
        self._lock = threading.Lock()

    def draws(self, number: int) -> Callable[[], int]:
        def draw() -> int:
            with self._lock:
                self.begun.append(number)
                self._now += 1
                self.most = max(self.most, self._now)
            assert self.released.wait(PATIENT)
            with self._lock:
                self._now -= 1
            return number

        return draw

    async def has_begun(self, count: int) -> None:
        while len(self.begun) < count:
            await asyncio.sleep(0.005)


def run(
    story: Callable[[RenderQueue, Easel], Coroutine[None, None, None]],
    *, at_once: int = 2, waiting: int = 3, deadline_s: float = PATIENT,
) -> None:  # fmt: skip
    async def told() -> None:
        queue, easel = RenderQueue(RenderLimits(at_once, waiting, deadline_s)), Easel()
        try:
            await story(queue, easel)
        finally:
            easel.released.set()
            queue.close()

    asyncio.run(told())


def test_so_many_draw_at_once_so_many_wait_and_the_rest_is_sent_away() -> None:
    async def story(queue: RenderQueue, easel: Easel) -> None:
        asked = [asyncio.create_task(queue.run(n, easel.draws(n), here)) for n in range(9)]
        await easel.has_begun(2)
        while queue.refused < 4:
            await asyncio.sleep(0.005)
        assert (queue.drawing, queue.waiting) == (2, 3)
        easel.released.set()
        answers = await asyncio.gather(*asked, return_exceptions=True)
        assert list(answers[:5]) == [(n, True) for n in range(5)]
        assert all(isinstance(answer, Overloaded) for answer in answers[5:])
        assert easel.most == 2
        assert (queue.drawing, queue.waiting) == (0, 0)

    run(story)


def test_a_hundred_equal_requests_are_one_drawing() -> None:
    async def story(queue: RenderQueue, easel: Easel) -> None:
        asked = [asyncio.create_task(queue.run("same", easel.draws(7), here)) for _ in range(100)]
        await easel.has_begun(1)
        easel.released.set()
        assert {drawn for drawn, _ in await asyncio.gather(*asked)} == {7}
        assert easel.begun == [7]
        assert queue.shared == 99

    run(story, waiting=0)


def test_who_comes_later_is_told_that_the_drawing_had_begun_before() -> None:
    async def story(queue: RenderQueue, easel: Easel) -> None:
        first = asyncio.create_task(queue.run("same", easel.draws(1), here))
        await easel.has_begun(1)
        late = asyncio.create_task(queue.run("same", easel.draws(2), here))
        await asyncio.sleep(0)
        easel.released.set()
        assert await first == (1, True)
        assert await late == (1, False)
        assert await queue.run("same", easel.draws(3), here) == (3, True)

    run(story)


def test_a_deadline_ends_the_waiting_of_the_client_but_not_the_place_of_the_thread() -> None:
    async def story(queue: RenderQueue, easel: Easel) -> None:
        with pytest.raises(DeadlineExceeded, match=r"0\.2 s"):
            await queue.run(1, easel.draws(1), here)
        assert queue.drawing == 1  # the thread draws on
        with pytest.raises(DeadlineExceeded):
            await queue.run(2, easel.draws(2), here)
        assert easel.begun == [1]
        easel.released.set()
        assert await queue.run(3, easel.draws(3), here) == (3, True)

    run(story, at_once=1, deadline_s=0.2)


def test_nothing_is_drawn_for_a_client_that_has_gone() -> None:
    async def story(queue: RenderQueue, easel: Easel) -> None:
        busy = asyncio.create_task(queue.run(1, easel.draws(1), here))
        await easel.has_begun(1)
        with pytest.raises(ClientGone):
            await queue.run(2, easel.draws(2), gone)
        while queue.waiting:  # its place in the queue is free at the loop's next turn
            await asyncio.sleep(0)
        easel.released.set()
        await busy
        assert easel.begun == [1]

    run(story, at_once=1)


def test_those_who_wait_cost_nothing_while_they_wait() -> None:
    turns = watched = 0

    async def listening() -> None:
        nonlocal watched
        watched += 1
        await here()

    async def story(queue: RenderQueue, easel: Easel) -> None:
        nonlocal turns
        asked = [asyncio.create_task(queue.run(n, easel.draws(n), listening)) for n in range(50)]
        while watched < 50:
            await asyncio.sleep(0.01)
        loop = asyncio.get_running_loop()
        own = loop.call_soon

        def counted(*told: Any, **more: Any) -> asyncio.Handle:
            nonlocal turns
            turns += 1
            return own(*told, **more)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(loop, "call_soon", counted)
            await asyncio.sleep(0.6)
        assert turns < 10  # the sleep's own; once a second each would be 50
        assert watched == 50
        easel.released.set()
        await asyncio.gather(*asked)

    run(story, at_once=1, waiting=50)


def test_who_asks_the_moment_a_drawing_ends_gets_one_of_his_own() -> None:
    async def asks(queue: RenderQueue, easel: Easel) -> int:
        for count in range(1, 1000):
            _, began_since = await queue.run("same", easel.draws(1), here)
            if began_since:
                return count
        raise AssertionError("asked a thousand times in vain, without a turn for the loop")

    async def story(queue: RenderQueue, easel: Easel) -> None:
        first = asyncio.create_task(queue.run("same", easel.draws(1), here))
        await easel.has_begun(1)
        others: list[asyncio.Task[int]] = []
        easel.released.set()
        while not first.done():  # one asks at each turn of the loop, so also at the one between
            others.append(asyncio.create_task(asks(queue, easel)))
            await asyncio.sleep(0)
        assert max(await asyncio.gather(*others)) <= 3

    for _ in range(20):
        run(story)


def test_what_goes_wrong_with_listening_is_told() -> None:
    async def broken() -> None:
        raise ConnectionError

    async def story(queue: RenderQueue, easel: Easel) -> None:
        with pytest.raises(ConnectionError):
            await queue.run(1, easel.draws(1), broken)
        easel.released.set()

    run(story)


def test_a_client_that_goes_does_not_take_the_drawing_from_another() -> None:
    async def story(queue: RenderQueue, easel: Easel) -> None:
        stays = asyncio.create_task(queue.run("same", easel.draws(1), here))
        await easel.has_begun(1)
        with pytest.raises(ClientGone):
            await queue.run("same", easel.draws(2), gone)
        easel.released.set()
        assert await stays == (1, True)

    run(story)


def test_what_a_drawing_raises_reaches_all_who_asked_and_frees_its_place() -> None:
    def fail() -> int:
        raise ZeroDivisionError

    async def story(queue: RenderQueue, easel: Easel) -> None:
        asked = [asyncio.create_task(queue.run("same", fail, here)) for _ in range(3)]
        answers = await asyncio.gather(*asked, return_exceptions=True)
        assert all(isinstance(answer, ZeroDivisionError) for answer in answers)
        easel.released.set()
        assert await queue.run("same", easel.draws(4), here) == (4, True)

    run(story, at_once=1)
