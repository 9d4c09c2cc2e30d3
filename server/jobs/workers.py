"""Worker processes of this server: warm, limited, and replaced when they die.

Each computes one block at a time. A worker that is killed, runs out of time or is ended by its
block takes nothing with it but that block, which is reported as lost.
"""

import ctypes
import multiprocessing
import os
import resource
import signal
import sys
import time
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess

from server.errors import log
from server.jobs.blocks import Lease
from server.jobs.records import BlockTask
from server.jobs.tasks import FindModel, Outcome, Report, run_block
from sr_engine.registry import find_model, models
from sr_engine.threads import use_one_thread

GRACE_S = 0.8  # for a cancelled block to end by itself, and again between SIGTERM and SIGKILL
MEGABYTE = 1_000_000
DIES_WITH_PARENT = 1  # PR_SET_PDEATHSIG
STARTS_PER_MINUTE = 30  # beyond this a worker cannot live here, whatever the block
STILLBORN = 5  # processes that died one after the other before they were ready: an alarm


@dataclass(frozen=True)
class WorkerLimits:
    """What one executor may take: processes, memory of each (0: no limit), time of a block.

    `niceness` makes them yield to map tiles.
    """

    count: int
    memory_mb: int = 0
    block_s: float = 600.0
    niceness: int = 0


@dataclass(frozen=True)
class Hello:
    """What a worker says when it has loaded all it needs."""


@dataclass(eq=False)
class _Worker:
    """One process, and the block it has in hand."""

    process: BaseProcess
    pipe: Connection
    ready: bool = False
    block_id: int | None = None
    began: float = 0.0
    cancelled: float | None = None
    signals: list[int] = field(default_factory=list)


class LocalExecutor:
    """Blocks on processes of this machine."""

    def __init__(self, limits: WorkerLimits, find: FindModel = find_model) -> None:
        self._limits = limits
        self._find = find
        self._workers: list[_Worker] = []
        self._starts: list[float] = []
        self._stillborn = 0
        self._trouble = ""
        # Not `fork`: threads of the server may hold locks that nobody would ever release.
        self._context = multiprocessing.get_context("spawn")
        self._bell, self._ring = self._context.Pipe(duplex=False)

    @property
    def pids(self) -> tuple[int, ...]:
        """Processes there are just now."""
        return tuple(worker.process.pid or 0 for worker in self._workers)

    @property
    def trouble(self) -> str:
        """Why no block can be computed just now; empty where they can, or may soon."""
        return self._trouble

    def warm_up(self) -> None:
        """Start the processes that are missing; they import and load while nobody waits.

        Where they die again and again before they are ready, that is an alarm, told once: in the
        log, and in `trouble` until one has become ready.
        """
        now = time.monotonic()
        self._starts = [moment for moment in self._starts if now - moment < 60]
        while len(self._workers) < self._limits.count and len(self._starts) < STARTS_PER_MINUTE:
            self._starts.append(now)
            self._workers.append(self._start_worker())
        if self._stillborn >= STILLBORN and not self._trouble:
            self._trouble = (
                f"{self._stillborn} worker processes died before they were ready; see what they "
                "wrote to stderr, and whether SRCUBE_WORKER_MEMORY_MB is enough"
            )
            log.error("%s", self._trouble)

    def free(self) -> int:
        """Processes that are ready and have no block."""
        return sum(worker.ready and worker.block_id is None for worker in self._workers)

    def start(self, lease: Lease) -> None:
        """Give a block to a process that has none."""
        worker = next(one for one in self._workers if one.ready and one.block_id is None)
        worker.block_id, worker.began = lease.id, time.monotonic()
        worker.cancelled = None
        try:
            worker.pipe.send(lease.task)
        except OSError:
            return  # it has just died: `wait` will see that

    def cancel(self, block_id: int) -> None:
        """Ask for a block's end; `wait` sees to it."""
        for worker in self._workers:
            if worker.block_id == block_id and worker.cancelled is None:
                worker.cancelled = time.monotonic()

    def wait(self, timeout_s: float) -> list[Report]:
        """Outcomes of blocks, and blocks of processes that died; signals those that are late."""
        if any(worker.cancelled is not None for worker in self._workers):
            timeout_s = min(timeout_s, 0.1)
        pipes = {worker.pipe: worker for worker in self._workers}
        ready = wait([self._bell, *pipes], timeout_s)
        if self._bell in ready:
            while self._bell.poll():
                self._bell.recv_bytes()
        reports = [self._received(worker) for pipe, worker in pipes.items() if pipe in ready]
        for worker in self._workers:
            self._hurry(worker)
        return [report for report in reports if report is not None]

    def wake(self) -> None:
        """Make `wait` return."""
        self._ring.send_bytes(b"!")

    def stop(self, grace_s: float) -> list[Report]:
        """Wait for blocks in hand, then end every process."""
        reports = []
        deadline = time.monotonic() + grace_s
        while any(one.block_id is not None for one in self._workers):
            if time.monotonic() > deadline:
                break
            reports += self.wait(0.1)
        for worker in self._workers:
            if worker.block_id is not None:
                reports.append(Report(worker.block_id, "returned"))
            worker.process.terminate()
        for worker in self._workers:
            worker.process.join(GRACE_S)
            self._bury(worker)
        self._workers.clear()
        return reports

    def _start_worker(self) -> _Worker:
        ours, theirs = self._context.Pipe()
        process = self._context.Process(
            target=work, args=(theirs, self._find, self._limits), daemon=True
        )
        process.start()
        theirs.close()
        return _Worker(process, ours)

    def _received(self, worker: _Worker) -> Report | None:
        """What a process sent; or, where it can send no more, that its block is lost."""
        block_id = worker.block_id
        try:
            outcome: Outcome | Hello = worker.pipe.recv()
        except (EOFError, OSError):
            self._workers.remove(worker)
            self._bury(worker)
            self._stillborn += not worker.ready
            if block_id is None:
                return None
            return Report(block_id, "lost" if worker.cancelled is None else "returned")
        if isinstance(outcome, Hello):
            worker.ready = True
            self._stillborn, self._trouble = 0, ""
            return None
        worker.block_id, worker.cancelled = None, None
        return None if block_id is None else Report(block_id, outcome)

    def _hurry(self, worker: _Worker) -> None:
        """Signal a process whose block was cancelled, or has taken too long."""
        now = time.monotonic()
        if worker.cancelled is not None:
            late_s = now - worker.cancelled
        else:
            late_s = now - worker.began - self._limits.block_s if worker.block_id else 0.0
        if late_s > GRACE_S and signal.SIGTERM not in worker.signals:
            worker.signals.append(signal.SIGTERM)
            worker.process.terminate()
        if late_s > 2 * GRACE_S and signal.SIGKILL not in worker.signals:
            worker.signals.append(signal.SIGKILL)
            worker.process.kill()

    @staticmethod
    def _bury(worker: _Worker) -> None:
        worker.pipe.close()
        worker.process.join(GRACE_S)
        if worker.process.is_alive():
            worker.process.kill()
            worker.process.join()
        worker.process.close()


def work(pipe: Connection, find: FindModel, limits: WorkerLimits) -> None:
    """A worker's life: limits, models, then block after block until the server hangs up."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl+C is for the server to answer
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(DIES_WITH_PARENT, signal.SIGKILL)
    os.nice(limits.niceness)
    if limits.memory_mb:
        resource.setrlimit(resource.RLIMIT_AS, (limits.memory_mb * MEGABYTE,) * 2)
    use_one_thread()
    models()
    try:
        pipe.send(Hello())
        while True:
            task: BlockTask = pipe.recv()
            pipe.send(run_block(task, find))
    except (EOFError, OSError):
        return
