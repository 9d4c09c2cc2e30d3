"""Blocks on a Dask cluster, whose workers see the catalog at the same address as this server.

A running Dask task cannot be stopped: `cancel()` forgets it and lets it run. Therefore a task is
one block, and whether the next one is still wanted is asked before it is handed out. What the
cluster forgot (a scheduler that was restarted) is handed out again.
"""

import threading
import time
import uuid
from ipaddress import ip_address
from typing import Literal
from urllib.parse import urlsplit

from distributed import Client, Future, KilledWorker

from datacube.errors import InvalidInput
from server.errors import log
from server.jobs.blocks import Lease
from server.jobs.tasks import OURS, FindModel, Outcome, Report, run_block
from sr_engine.registry import find_model

CONNECT_S = 3.0  # to reach the scheduler, and between attempts
LOOK_S = 0.05  # between looks at what is in flight
COUNT_S = 2.0  # how long a count of the cluster's threads is believed
PER_THREAD = 2  # one block in hand and the next one there already


class DaskExecutor:
    """Blocks on the workers of one scheduler, connected to again whenever it is lost."""

    def __init__(self, address: str, find: FindModel = find_model) -> None:
        """Raises InvalidInput for a scheduler on another machine without TLS.

        Any peer of a scheduler can run code in it and in its clients.
        """
        refuse_open_scheduler(address)
        self._address = address
        self._find = find
        self._client: Client | None = None
        self._futures: dict[int, Future[Outcome]] = {}
        self._cancelled: set[int] = set()
        self._tried = self._counted = float("-inf")
        self._threads = 0
        self._trouble = ""
        self._woken = threading.Event()

    @property
    def trouble(self) -> str:
        """Why no block can be computed just now; empty where the scheduler answered last."""
        return self._trouble

    def warm_up(self) -> None:
        """Connect."""
        self._connect()

    def free(self) -> int:
        """Two blocks per thread of the cluster, less those in flight; none without scheduler."""
        if not self._connected():
            self._connect()
        if not self._connected() or self._client is None:
            return 0
        now = time.monotonic()
        if now - self._counted > COUNT_S:
            self._counted = now
            try:
                self._threads = sum(self._client.nthreads().values())
            except (OSError, ValueError, RuntimeError):  # the scheduler has just gone
                self._threads = 0
        return PER_THREAD * self._threads - len(self._futures)

    def start(self, lease: Lease) -> None:
        """Send a block to the cluster; a scheduler that has just gone is noticed by `wait`."""
        if self._client is not None:
            self._futures[lease.id] = self._client.submit(
                run_block,
                lease.task,
                self._find,
                key=f"srcube-{lease.id}-{uuid.uuid4().hex}",
                pure=False,
            )

    def cancel(self, block_id: int) -> None:
        """Forget a block: one that waits is not begun, one that runs ends unheard."""
        future = self._futures.get(block_id)
        if future is not None and block_id not in self._cancelled:
            self._cancelled.add(block_id)
            future.cancel()
            self._woken.set()

    def wait(self, timeout_s: float) -> list[Report]:
        """Outcomes since the last call."""
        deadline = time.monotonic() + timeout_s
        while not (reports := self._collected()) and time.monotonic() < deadline:
            if self._woken.wait(LOOK_S if self._futures else deadline - time.monotonic()):
                break
        self._woken.clear()
        return reports

    def wake(self) -> None:
        """Make `wait` return."""
        self._woken.set()

    def stop(self, grace_s: float) -> list[Report]:
        """Wait for blocks in flight, then leave the cluster."""
        reports = []
        deadline = time.monotonic() + grace_s
        while self._futures and self._connected() and time.monotonic() < deadline:
            reports += self.wait(LOOK_S)
        reports += [Report(block_id, "returned") for block_id in self._futures]
        self._leave()
        return reports

    def _connect(self) -> None:
        now = time.monotonic()
        if self._connected() or now - self._tried < CONNECT_S:
            return
        self._leave()
        try:
            self._client = Client(self._address, timeout=CONNECT_S, set_as_default=False)
            self._trouble = ""
        except OSError:  # a timeout is one too
            if not self._trouble:
                self._trouble = "the Dask scheduler does not answer"
                log.error("%s; trying again and again", self._trouble)
        self._tried, self._counted = time.monotonic(), float("-inf")

    def _connected(self) -> bool:
        return self._client is not None and self._client.status == "running"

    def _leave(self) -> None:
        client, self._client = self._client, None
        self._futures.clear()
        self._cancelled.clear()
        if client is not None:
            client.close(timeout=1)

    def _collected(self) -> list[Report]:
        if self._futures and not self._connected():
            reports = [Report(block_id, "returned") for block_id in self._futures]
            self._leave()
            return reports
        ended = [(one, future) for one, future in self._futures.items() if future.done()]
        for block_id, _ in ended:
            del self._futures[block_id]
            self._cancelled.discard(block_id)
        return [Report(block_id, _outcome_of(future)) for block_id, future in ended]


def refuse_open_scheduler(address: str) -> None:
    """Raise InvalidInput unless the address is on this machine or speaks TLS."""
    parts = urlsplit(address)
    host = parts.hostname or ""
    near = host == "localhost" or (_is_ip(host) and ip_address(host).is_loopback)
    if parts.scheme not in {"tcp", "tls"} or not (near or parts.scheme == "tls"):
        raise InvalidInput(
            f"need dask_address=tls://host:port, or tcp:// on this machine, got {address!r}; "
            "whoever reaches a scheduler without TLS can run programs in it"
        )


def _is_ip(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _outcome_of(future: Future[Outcome]) -> Outcome | Literal["returned"]:
    """What a future that is done came to."""
    if future.status == "finished":
        try:
            return future.result(timeout=CONNECT_S)
        except OSError:  # the result was on a worker that has gone
            return "returned"
    if future.status == "error":
        if isinstance(future.exception(timeout=CONNECT_S), KilledWorker):
            return Outcome("failed", why="the block ended every worker that tried it")
        log.error("a task of the Dask cluster failed", exc_info=future.exception())
        return Outcome("failed", why=OURS)
    return "returned"
