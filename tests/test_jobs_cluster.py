"""Blocks on a Dask cluster of real processes, whose workers and scheduler are killed meanwhile."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path

import numpy as np
import pytest

from datacube import Cube, Product, Window
from datacube.errors import InvalidInput
from datacube.scene import dn_from_reflectance
from datacube.settings import Settings
from server.jobs.area import Area
from server.jobs.cluster import DaskExecutor, refuse_open_scheduler
from server.jobs.order import Wish
from server.jobs.records import Job
from server.jobs.service import JobService
from sr_engine.blocks import predict_window, product_path
from sr_engine.registry import find_model
from tests.scenes import new_cube, pixels, scene
from tests.test_jobs_faults import wait_for

SHAPE = (260, 390)  # twelve blocks
MODEL = "wiener-x2"
Process = AbstractContextManager[subprocess.Popen[bytes]]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def dask_process(kind: str, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """A scheduler or a worker, on this machine only; killed at the end."""
    process = subprocess.Popen(
        [sys.executable, "-m", f"distributed.cli.dask_{kind}", *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def scheduler(port: int) -> Process:
    return dask_process("scheduler", "--host", "127.0.0.1", "--port", str(port), "--no-dashboard")


def worker(port: int) -> Process:
    return dask_process(
        "worker", f"tcp://127.0.0.1:{port}", "--host", "127.0.0.1", "--nthreads", "1",
        "--no-nanny", "--no-dashboard", "--death-timeout", "60",
    )  # fmt: skip


class Cluster:
    """Processes of a cluster by their parts; ended with the stack."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self.port = free_port()

    def begin(self, kind: Process) -> subprocess.Popen[bytes]:
        process: subprocess.Popen[bytes] = self._stack.enter_context(kind)
        return process


def kill(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGKILL)
    process.wait()


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    with ExitStack() as stack:
        yield Cluster(stack)


def test_killing_a_worker_and_restarting_the_scheduler_lose_no_job(
    cluster: Cluster, tmp_path: Path
) -> None:
    cube = new_cube(tmp_path, SHAPE).append(scene(1), pixels(1, SHAPE))
    first = cluster.begin(scheduler(cluster.port))
    workers = [cluster.begin(worker(cluster.port)) for _ in range(2)]
    executor = DaskExecutor(f"tcp://127.0.0.1:{cluster.port}")
    service = JobService(Settings(data=str(tmp_path)), executor)
    service.start()
    try:
        model = find_model(MODEL)
        order = service.plan(Wish(cube, model, 0, Area(Window(0, 0, *SHAPE))))
        job = service.submit(order, "field", client="me", process="super-resolve")
        wait_for(lambda: service.find(job.id).done >= 2)
        kill(workers[0])
        wait_for(lambda: service.find(job.id).done >= 4)
        kill(first)
        kill(workers[1])
        cluster.begin(scheduler(cluster.port))
        cluster.begin(worker(cluster.port))
        ended = wait_for_end(service, job)
    finally:
        service.stop()
    assert ended.state == "successful", ended.message
    assert ended.done == 12
    product = Product.open(Cube.open(cube.storage), product_path(cube, model))
    for block in ((0, 0), (1, 2), (2, 3)):
        alone = predict_window(cube, model, 0, product.block_window(block)).reflectance
        stored = product.read_block(0, block)
        assert stored is not None
        np.testing.assert_array_equal(stored, dn_from_reflectance(alone))


def test_a_scheduler_that_stays_away_fails_the_job_by_name_and_not_never(
    cluster: Cluster, tmp_path: Path
) -> None:
    cube = new_cube(tmp_path, SHAPE).append(scene(1), pixels(1, SHAPE))
    first = cluster.begin(scheduler(cluster.port))
    executor = DaskExecutor(f"tcp://127.0.0.1:{cluster.port}")
    service = JobService(Settings(data=str(tmp_path), limit_stall_s=2), executor)
    service.start()
    try:
        order = service.plan(Wish(cube, find_model(MODEL), 0, Area(Window(0, 0, *SHAPE))))
        job = service.submit(order, "field", client="me", process="super-resolve")
        kill(first)
        ended = wait_for_end(service, job)
        assert ended.state == "failed"
        assert ended.message.startswith("Unavailable: the Dask scheduler does not answer")
        cluster.begin(scheduler(cluster.port))
        cluster.begin(worker(cluster.port))
        again = service.plan(Wish(cube, find_model(MODEL), 0, Area(Window(0, 0, 9, 9))))
        other = service.submit(again, "field", client="me", process="super-resolve")
        assert wait_for_end(service, other).state == "successful"
    finally:
        service.stop()


def test_a_cancelled_job_asks_nothing_more_of_the_cluster(cluster: Cluster, tmp_path: Path) -> None:
    cube = new_cube(tmp_path, SHAPE).append(scene(1), pixels(1, SHAPE))
    cluster.begin(scheduler(cluster.port))
    service = JobService(
        Settings(data=str(tmp_path)), DaskExecutor(f"tcp://127.0.0.1:{cluster.port}")
    )
    service.start()
    try:
        order = service.plan(Wish(cube, find_model(MODEL), 0, Area(Window(0, 0, *SHAPE))))
        job = service.submit(order, "field", client="me", process="super-resolve")
        time.sleep(0.5)
        assert service.find(job.id).state == "accepted"  # there is no worker yet: it waits
        service.dismiss(job.id)
        cluster.begin(worker(cluster.port))
        small = service.plan(Wish(cube, find_model(MODEL), 0, Area(Window(0, 0, 9, 9))))
        other = service.submit(small, "field", client="me", process="super-resolve")
        assert wait_for_end(service, other).state == "successful"
    finally:
        service.stop()
    product = Product.open(Cube.open(cube.storage), product_path(cube, find_model(MODEL)))
    assert [product.has_block(0, block) for block in ((0, 0), (0, 1), (1, 1))] == [
        True,
        False,
        False,
    ]


def wait_for_end(service: JobService, job: Job) -> Job:
    wait_for(lambda: service.find(job.id).state in {"successful", "failed", "dismissed"})
    return service.find(job.id)


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:1", "tcp://localhost:8786", "tls://farm:1"])
def test_a_scheduler_nearby_or_behind_tls_is_taken(address: str) -> None:
    refuse_open_scheduler(address)


@pytest.mark.parametrize("address", ["tcp://farm:1", "10.0.0.1:8786", "inproc://x", "ucx://farm:1"])
def test_an_open_scheduler_elsewhere_is_refused(address: str) -> None:
    with pytest.raises(InvalidInput, match="tls://"):
        refuse_open_scheduler(address)
