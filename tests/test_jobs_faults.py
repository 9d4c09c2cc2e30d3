"""What goes wrong while blocks are computed ends with one job, never with the others."""

import asyncio
import os
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

import numpy as np
import pytest

from datacube import Cube, Product, Window
from datacube.settings import Settings
from server.jobs.area import Area
from server.jobs.blocks import Lease
from server.jobs.order import Wish
from server.jobs.records import ENDED, Job
from server.jobs.service import JobService
from server.jobs.tasks import Report
from server.jobs.workers import LocalExecutor, WorkerLimits
from sr_engine.blocks import product_path
from tests.faulty_models import FOLDER, attempts, find_faulty
from tests.scenes import new_cube, pixels, scene

SHAPE = (200, 150)  # four blocks
ONE_BLOCK = Window(10, 10, 50, 60)
PATIENCE_S = 120


@dataclass(frozen=True)
class Workshop:
    """A job service whose workers know the faulty models, and a cube to compute."""

    service: JobService
    executor: LocalExecutor
    cube: Cube
    id: str = "field"

    def submit(self, model_id: str, window: Window = ONE_BLOCK, client: str = "me") -> Job:
        order = self.service.plan(Wish(self.cube, find_faulty(model_id), 0, Area(window)))
        return self.service.submit(order, self.id, client=client, process="super-resolve")

    def ended(self, job: Job) -> Job:
        wait_for(lambda: self.service.find(job.id).state in ENDED)
        return self.service.find(job.id)

    def product(self, model_id: str) -> Product | None:
        cube = Cube.open(self.cube.storage)
        path = product_path(cube, find_faulty(model_id))
        there = path in cube.root.commit.products
        return Product.open(cube, path) if there else None

    def has(self, model_id: str) -> bool:
        product = self.product(model_id)
        return product is not None and product.has_block(0, (0, 0))


def wait_for(what: Callable[[], bool]) -> None:
    """Wait until a function is true; how long that takes is nobody's concern here."""
    deadline = time.monotonic() + PATIENCE_S
    while not what():
        if time.monotonic() > deadline:
            raise TimeoutError("it did not come about")
        time.sleep(0.02)


@contextmanager
def workshop(root: Path, *, memory_mb: int = 0) -> Iterator[Workshop]:
    cube = new_cube(root, SHAPE).append(scene(1), pixels(1, SHAPE))
    executor = LocalExecutor(WorkerLimits(1, memory_mb), find_faulty)
    service = JobService(Settings(data=str(root), unwatched_s=0.2), executor)
    service.start()
    try:
        yield Workshop(service, executor, cube)
    finally:
        service.stop()


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("faults")
    os.environ[FOLDER] = str(folder)  # before the workers start, which inherit it
    yield folder
    del os.environ[FOLDER]


@pytest.fixture(scope="module")
def everybodys(root: Path) -> Iterator[Workshop]:
    """One service for all tests of this file: it has to be sound after each of them."""
    with workshop(root) as opened:
        yield opened


@pytest.fixture
def shop(everybodys: Workshop, root: Path) -> Workshop:
    """The service, with a cube that nobody else uses."""
    (root / "attempts").unlink(missing_ok=True)
    name = f"field-{uuid.uuid4().hex[:8]}"
    cube = new_cube(root, SHAPE, name).append(scene(1), pixels(1, SHAPE))
    return replace(everybodys, cube=cube, id=name)


def test_a_broken_model_fails_its_job_and_no_other(shop: Workshop) -> None:
    failed, done = shop.submit("broken"), shop.submit("bicubic-x2")
    assert shop.ended(failed).state == "failed"
    assert "scale" not in shop.ended(failed).message
    assert shop.ended(done).state == "successful"
    assert attempts("broken") == 1  # it would only break again


def test_a_block_that_ends_its_worker_is_given_up_after_three_attempts(shop: Workshop) -> None:
    poison = shop.ended(shop.submit("deadly"))
    assert poison.state == "failed"
    assert "3 attempts" in poison.message
    assert attempts("deadly") == 3
    assert shop.ended(shop.submit("bicubic-x2")).state == "successful"


def test_a_block_whose_worker_was_killed_is_computed_by_the_next_one(shop: Workshop) -> None:
    whole = Window(0, 0, *SHAPE)
    assert shop.ended(shop.submit("deadly-once", whole)).state == "successful"
    assert shop.ended(shop.submit("bicubic-x2", whole)).state == "successful"
    disturbed, quiet = shop.product("deadly-once"), shop.product("bicubic-x2")
    assert disturbed is not None
    assert quiet is not None
    for block in ((0, 0), (0, 1), (1, 0), (1, 1)):
        expected = quiet.read_block(0, block)
        assert expected is not None
        np.testing.assert_array_equal(disturbed.read_block(0, block), expected)


@pytest.mark.parametrize("model_id", ["slow", "deaf"])
def test_a_cancelled_block_ends_though_it_would_not_by_itself(
    shop: Workshop, model_id: str
) -> None:
    """Also where it does not listen to SIGTERM; and what it had begun is not to be seen."""
    job = shop.submit(model_id)
    wait_for(lambda: attempts(model_id) == 1)
    (pid,) = shop.executor.pids
    assert shop.service.dismiss(job.id).state == "dismissed"
    wait_for(lambda: not _is_running(pid))
    assert shop.service.find(job.id).state == "dismissed"
    assert not shop.has(model_id)
    assert shop.ended(shop.submit("bicubic-x2")).state == "successful"


def test_cancelling_one_job_leaves_the_block_to_another_that_wants_it(shop: Workshop) -> None:
    first = shop.submit("slow")
    wait_for(lambda: attempts("slow") == 1)
    second = shop.submit("slow", client="you")
    (pid,) = shop.executor.pids
    shop.service.dismiss(first.id)
    shop.ended(shop.submit("bicubic-x2", Window(0, 0, 0, 0)))  # the supervisor had its turn
    assert _is_running(pid)
    shop.service.dismiss(second.id)
    wait_for(lambda: not _is_running(pid))


def test_a_job_is_dropped_when_its_last_watcher_has_left(shop: Workshop) -> None:
    async def glance(job: Job) -> None:
        stream = shop.service.events(job.id)
        assert (await anext(stream)).content["status"] == "accepted"
        await stream.aclose()  # type: ignore[attr-defined]

    job = shop.submit("slow")
    asyncio.run(glance(job))
    left = shop.ended(job)
    assert left.state == "dismissed"
    assert "nobody watches" in left.message


def test_memory_beyond_the_limit_fails_the_job_by_name(tmp_path: Path, root: Path) -> None:
    assert root.is_dir()
    with workshop(tmp_path, memory_mb=8192) as shop:
        failed = shop.ended(shop.submit("greedy"))
        assert failed.state == "failed"
        assert failed.message.startswith("OutOfMemory")
        assert shop.ended(shop.submit("bicubic-x2")).state == "successful"


def test_a_block_beyond_its_time_is_ended_and_reported_as_lost(shop: Workshop) -> None:
    order = shop.service.plan(Wish(shop.cube, find_faulty("slow"), 0, Area(ONE_BLOCK)))
    (task,) = order.tasks(str(Path(shop.cube.storage.address).parent), shop.id)
    executor = LocalExecutor(WorkerLimits(1, 0, 0.1), find_faulty)
    executor.warm_up()
    wait_for(lambda: not executor.wait(0.1) and executor.free() == 1)
    executor.start(Lease(1, task))
    assert list(chain.from_iterable(reports_of(executor))) == [Report(1, "lost")]
    executor.stop(0)


def test_a_full_disk_fails_the_job_by_name_and_space_lets_it_succeed(
    shop: Workshop, root: Path
) -> None:
    full = root / "disk-is-full"
    full.touch()
    failed = shop.ended(shop.submit("filling"))
    assert failed.state == "failed"
    assert failed.message.startswith("OutOfSpace")
    assert not shop.has("filling")
    full.unlink()
    assert shop.ended(shop.submit("filling")).state == "successful"
    assert shop.has("filling")


def test_a_job_is_told_when_its_cube_was_replaced(shop: Workshop) -> None:
    slow = shop.submit("slow")
    wait_for(lambda: attempts("slow") == 1)
    waiting = shop.submit("bicubic-x2")
    shop.cube.append(scene(1), pixels(7, SHAPE), replace=True)
    shop.service.dismiss(slow.id)
    assert "ask again" in shop.ended(waiting).message


def reports_of(executor: LocalExecutor) -> Iterator[list[Report]]:
    """What an executor says, until it has said something."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        yield (reports := executor.wait(0.1))
        if reports:
            return
    raise TimeoutError("nothing was reported")


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
