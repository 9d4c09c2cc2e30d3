"""Jobs: views to super-resolve, computed block by block beside the tiles.

One worker thread takes jobs in turn (the convolutions leave the interpreter free for tiles).
A block that two jobs want is computed for the first and found by the second. Whoever watches a
job gets its events in order, from the first one, however late they come.
"""

import asyncio
import queue
import threading
import time
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from datacube import Cube, Product, Window
from datacube.errors import NotFound, SrcubeError
from datacube.product import Block
from datacube.settings import Settings
from server.problems import TooLarge, TooMany, log
from sr_engine.blocks import BlockPlan, compute_block, plan_blocks, product_path, product_spec
from sr_engine.model import Model
from sr_engine.threads import use_one_thread

FIRST_ESTIMATE_S = 0.5  # of one block, until one has been timed
KEPT_JOBS = 256  # ended jobs whose story can still be asked for
ENDED = frozenset({"successful", "failed", "dismissed"})


@dataclass(frozen=True)
class Order:
    """A view to super-resolve: which scene, by which model, on which blocks."""

    cube: Cube
    model: Model
    plan: BlockPlan


@dataclass(eq=False)
class Job:
    """What was asked, how far it is, how it ended; states are those of OGC API Processes."""

    order: Order
    estimated_s: float
    id: str = field(default_factory=lambda: uuid.uuid4().hex)
    status: str = "accepted"
    message: str = ""
    done: int = 0
    created: float = field(default_factory=time.time)
    cancelled: threading.Event = field(default_factory=threading.Event)
    events: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    watchers: list[Callable[[], None]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def document(self) -> dict[str, Any]:
        """The job as `/jobs/{id}` shows it."""
        plan = self.order.plan
        total = len(plan.blocks)
        done = plan.cached + self.done
        return {
            "jobID": self.id,
            "processID": "super-resolve",
            "type": "process",
            "status": self.status,
            "message": self.message,
            "progress": 100 if self.status == "successful" else round(99 * done / max(total, 1)),
            "blocks": {"total": total, "cached": plan.cached, "done": done},
            "estimated_seconds": round(self.estimated_s, 2),
        }

    def tell(self, kind: str, content: dict[str, Any]) -> None:
        """Add an event and wake everyone who watches."""
        with self.lock:
            self.events.append((kind, content))
            watchers = list(self.watchers)
        for wake in watchers:
            wake()

    def become(self, status: str, message: str = "") -> None:
        """Change state, and say so."""
        self.status, self.message = status, message
        self.tell("status", self.document())


class JobService:
    """Takes orders, works through them, and tells how they go."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._jobs: dict[str, Job] = {}
        self._queue: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._seconds: dict[str, float] = {}
        self._lock = threading.Lock()
        self._worker: threading.Thread | None = None

    def start(self) -> None:
        """Start the worker thread."""
        self._worker = threading.Thread(target=self._work, name="srcube-jobs", daemon=True)
        self._worker.start()

    def stop(self) -> None:
        """Dismiss what waits, finish the block in hand, end the thread."""
        for job in list(self._jobs.values()):
            job.cancelled.set()
        self._queue.put(None)
        if self._worker:
            self._worker.join()

    def plan(self, cube: Cube, model: Model, slot: int, window: Window) -> Order:
        """Which blocks a view has and lacks; nothing is computed or refused yet."""
        path = product_path(cube, model)
        there = path in cube.root.commit.products
        product = Product.open(cube, path) if there else None
        return Order(cube, model, plan_blocks(product, slot, window))

    def estimate_s(self, order: Order) -> float:
        """Seconds the missing blocks will take, from those computed before."""
        each = self._seconds.get(order.model.card.key, FIRST_ESTIMATE_S)
        return each * len(order.plan.missing)

    def submit(self, order: Order) -> Job:
        """Queue an order; raises TooLarge or TooMany beyond what the operator allows."""
        count = len(order.plan.blocks)
        if count > self._settings.limit_blocks:
            raise TooLarge(
                f"the view has {count} blocks, at most {self._settings.limit_blocks} may be "
                "super-resolved at once; zoom in or ask for a smaller bbox"
            )
        job = Job(order, self.estimate_s(order))
        with self._lock:
            active = sum(each.status not in ENDED for each in self._jobs.values())
            if active >= self._settings.limit_jobs:
                raise TooMany(f"{active} jobs are under way, the most there may be; try again soon")
            self._forget_oldest()
            self._jobs[job.id] = job
        job.tell("status", job.document())
        self._queue.put(job)
        return job

    def find(self, job_id: str) -> Job:
        """A job by id; raises NotFound."""
        try:
            return self._jobs[job_id]
        except KeyError:
            raise NotFound("no such job; ended jobs are forgotten after a while") from None

    def dismiss(self, job_id: str) -> Job:
        """Cancel: nothing more is computed after the block in hand."""
        job = self.find(job_id)
        job.cancelled.set()
        if job.status == "accepted":
            job.become("dismissed", "cancelled before it began")
        return job

    async def events(self, job_id: str) -> AsyncIterator[tuple[str, dict[str, Any]]]:
        """Every event of a job, past ones first, until it has ended."""
        job = self.find(job_id)
        loop, woken = asyncio.get_running_loop(), asyncio.Event()

        def wake() -> None:
            with suppress(RuntimeError):  # the loop may be closing
                loop.call_soon_threadsafe(woken.set)

        job.watchers.append(wake)
        try:
            told = 0
            while True:
                woken.clear()
                for event in job.events[told:]:
                    told += 1
                    yield event
                if job.status in ENDED and told == len(job.events):
                    return
                await woken.wait()
        finally:
            job.watchers.remove(wake)

    def _forget_oldest(self) -> None:
        ended = [job for job in self._jobs.values() if job.status in ENDED]
        for job in ended[: max(len(ended) - KEPT_JOBS, 0)]:
            del self._jobs[job.id]

    def _work(self) -> None:
        use_one_thread()
        while (job := self._queue.get()) is not None:
            if job.status in ENDED:
                continue
            try:
                self._run(job)
            except SrcubeError as error:
                log.exception("job %s failed", job.id)
                job.become("failed", str(error))
            except Exception:  # noqa: BLE001 (the thread's outermost handler: it must live on)
                log.exception("job %s failed", job.id)
                job.become("failed", "an error of ours; it has been logged")

    def _run(self, job: Job) -> None:
        job.become("running")
        order = job.order
        product = Product.ensure(order.cube, product_spec(order.cube, order.model))
        for block in order.plan.missing:
            if job.cancelled.is_set():
                job.become("dismissed", f"cancelled after {job.done} new blocks")
                return
            started = time.perf_counter()
            if not product.has_block(order.plan.slot, block):
                compute_block(product, order.model, order.plan.slot, block, source=order.cube)
                self._learn(order.model.card.key, time.perf_counter() - started)
            job.done += 1
            job.tell("block", self._block_event(job, product, block))
        job.become("successful")

    def _learn(self, key: str, seconds: float) -> None:
        """Follow the time that one block takes, the last few counting most."""
        old = self._seconds.get(key, seconds)
        self._seconds[key] = 0.7 * old + 0.3 * seconds

    @staticmethod
    def _block_event(job: Job, product: Product, block: Block) -> dict[str, Any]:
        grid = product.cube.grid.cropped(product.block_window(block))
        blocks = job.document()["blocks"]
        return {
            "bbox": [round(edge, 7) for edge in grid.lonlat_bounds()],
            "done": blocks["done"],
            "total": blocks["total"],
        }
