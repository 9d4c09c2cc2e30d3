"""What the routes speak to: orders taken, watched, cancelled, and told how they go.

A job that somebody has watched is dropped when nobody has watched it for a while
(`SRCUBE_UNWATCHED_S`); one that nobody ever watched runs to its end, and so does an ingest.
"""

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

from datacube.errors import SrcubeError, Unavailable
from datacube.settings import Settings
from server.errors import NoSuchJob, TooLarge, log
from server.jobs.address import address_of, open_database
from server.jobs.attendance import Attendance
from server.jobs.blocks import BlockQueue
from server.jobs.choice import Choice
from server.jobs.database import Database
from server.jobs.ledger import Event, Ledger, Limits
from server.jobs.order import Order, Wish, make_order
from server.jobs.records import ENDED, Job, NewJob, kind_of
from server.jobs.supervisor import Supervisor
from server.jobs.tasks import Executor
from server.jobs.watchers import Watchers
from server.jobs.workers import LocalExecutor, WorkerLimits
from server.telemetry import BlockTraces, tracer_of
from sr_engine.planes import SALIENCY

FIRST_ESTIMATE_S = 0.5  # of one block, until one has been timed
PART_COSTS = {SALIENCY.name: 5}  # times the image, until one has been timed
LOOK_S = 1.0  # between a watcher's looks where it is not woken: another server may do the work


class JobService:
    """Takes orders, sees that they are worked through, and tells how they go."""

    def __init__(self, settings: Settings, executor: Executor | None = None) -> None:
        """Raises InvalidInput for a URL of a database that cannot be used."""
        self._settings = settings
        self._address = address_of(settings)
        self._executor = executor
        self._limits = Limits(settings.limit_jobs, settings.limit_client_jobs)
        self._watchers = Watchers()
        self._traces = BlockTraces(tracer_of(settings))
        self._database: Database | None = None

    def start(self) -> None:
        """Open the database and go on with what is in it.

        Where a file cannot be opened, the server goes on without jobs: each is answered by
        Unavailable. So it is while a database server does not answer.
        """
        try:
            self._database = open_database(self._address)
        except SrcubeError:
            log.exception("no jobs can be taken")
            return
        self._ledger, self._blocks = Ledger(self._database), BlockQueue(self._database)
        executor = self._executor or make_executor(self._settings)
        attendance = Attendance(self._database, self._watchers, self._settings.unwatched_s)
        stall_s = self._settings.limit_stall_s
        self._supervisor = Supervisor(
            self._blocks, executor, self._watchers.ring, attendance.look, stall_s
        )
        self._supervisor.computed_block = self._traces.computed
        self._supervisor.start()

    def stop(self) -> None:
        """Finish the blocks in hand; the rest waits in the database for the next start."""
        if self._database:
            self._supervisor.stop()
            self._database.close()
            self._database = None

    @property
    def ready(self) -> bool:
        """Whether jobs can be taken."""
        return self._database is not None and self._database.answers

    @property
    def trouble(self) -> str:
        """Why no block can be computed just now; empty where they can."""
        return self._supervisor.trouble if self._database else ""

    def plan(self, wish: Wish) -> Order:
        """Which blocks a view has and lacks; workers get ready meanwhile."""
        if self._database:
            self._supervisor.warm_up()
        return make_order(wish, most=self._settings.limit_blocks)

    def estimate_s(self, order: Order) -> float:
        """Seconds the missing blocks will take, from those computed before."""
        return sum(self.estimate_part_s(order, part) for part in order.wish.parts())

    def estimate_part_s(self, order: Order, part: str) -> float:
        """Seconds that those of one part will take."""
        kind = kind_of(order.wish.model.card.key, part)
        timed = None
        if self.ready:
            with suppress(Unavailable):  # then the first guess will do
                timed = self._blocks.seconds_each(kind)
        each = FIRST_ESTIMATE_S * PART_COSTS.get(part, 1) if timed is None else timed
        return each * order.lacking(part) / self._settings.workers

    def submit(
        self, order: Order, cube_id: str, *, client: str, process: str, document: str = ""
    ) -> Job:
        """Queue an order, or find the job that was queued for the same; raises TooLarge, TooMany.

        An order that finds all its blocks has ended when this returns. `document` names the
        output, where the results are wanted as a document of outputs.
        """
        if order.blocks is None:
            parts = len(order.wish.parts())
            counted = f" ({order.each} for each of {parts} products)" if parts > 1 else ""
            raise TooLarge(
                f"the view has {order.total} blocks{counted}, at most "
                f"{self._settings.limit_blocks} may be super-resolved at once; zoom in or ask for "
                "a smaller bbox"
            )
        ledger = self._ledger_or_refusal()
        new = NewJob(
            id=uuid.uuid4().hex,
            client=client,
            process=process,
            asked=_asked(order, cube_id) | ({"document": document} if document else {}),
            total=order.total,
            missing=order.tasks(self._settings.address, cube_id),
            estimated_s=self.estimate_s(order),
        )
        job = ledger.add(new, self._limits)
        self._traces.asked(job.id)
        self._supervisor.look()
        return job

    def find(self, job_id: str) -> Job:
        """A job by id; raises NotFound."""
        return self._ledger_or_refusal().find(job_id)

    def of_client(self, client: str, limit: int, choice: Choice | None = None) -> tuple[Job, ...]:
        """A client's newest jobs, all or some."""
        return self._ledger_or_refusal().of_client(client, limit, choice)

    def dismiss(self, job_id: str, why: str = "cancelled") -> Job:
        """Cancel: nothing more is computed, and a block in hand ends as its executor says."""
        job = self._ledger_or_refusal().dismiss(job_id, why)
        self._watchers.ring([job_id])
        self._supervisor.look()
        return job

    def remove(self, job_id: str) -> None:
        """Forget an ended job; what it computed stays."""
        self._ledger_or_refusal().remove(job_id)

    async def events(self, job_id: str, after: int = 0) -> AsyncIterator[Event]:
        """Every event of a job after the one numbered so, past ones first, until it has ended.

        While the database does not answer there are none.
        """
        ledger = self._ledger_or_refusal()
        with self._watchers.watching(job_id) as woken:
            while self._database:
                woken.clear()
                events, ended = await asyncio.to_thread(_news, ledger, job_id, after)
                for event in events:
                    after = event.number
                    yield event
                    if event.kind == "status" and event.content["status"] in ENDED:
                        return
                if ended:
                    return
                with suppress(TimeoutError):
                    await asyncio.wait_for(woken.wait(), LOOK_S)

    @property
    def computed(self) -> int:
        """Blocks computed since the start, those excepted that were there already."""
        return self._supervisor.computed if self._database else 0

    def counts(self) -> dict[str, int]:
        """Jobs that wait or run, blocks unfinished, and event streams open.

        The first two are 0 while the database does not answer, as `ready` tells.
        """
        counts = {"jobs": 0, "blocks": 0, "watchers": self._watchers.count()}
        if self.ready:
            with suppress(Unavailable):
                counts |= {"jobs": len(self._ledger.active()), "blocks": self._blocks.unfinished()}
        return counts

    def _ledger_or_refusal(self) -> Ledger:
        if self._database is None:
            raise Unavailable("the jobs' database is not open")
        return self._ledger


def make_executor(settings: Settings) -> Executor:
    """Where blocks are computed: a Dask cluster if settings name one, else worker processes."""
    if settings.dask_address is not None:
        from server.jobs.cluster import DaskExecutor  # noqa: PLC0415 (starts an event loop)

        return DaskExecutor(settings.dask_address)
    return LocalExecutor(
        WorkerLimits(
            count=settings.workers,
            memory_mb=settings.worker_memory_mb,
            block_s=settings.limit_block_s,
            niceness=settings.worker_niceness,
        )
    )


def _news(ledger: Ledger, job_id: str, after: int) -> tuple[tuple[Event, ...], bool]:
    """What has happened since, and whether nothing more will; nothing, if that is not known.

    Of a job that was removed meanwhile nothing more will be heard.
    """
    try:
        events = ledger.events(job_id, after)
        return events, not events and ledger.find(job_id).state in ENDED
    except NoSuchJob:
        return (), True
    except Unavailable:
        return (), False


def _asked(order: Order, cube_id: str) -> dict[str, Any]:
    """The wish in few words: what tells it from another wish, and what results are found by."""
    wish = order.wish
    cube, card = wish.cube, wish.model.card
    return {
        "collection": cube_id,
        "datetime": next(one.scene.stamp for one in cube.scenes if one.slot == wish.slot),
        "model": card.id,
        "key": card.key,
        "uid": cube.root.commit.uid,
        "generation": cube.generation,
        "blocks": sorted(order.blocks or ()),
        "parts": wish.parts(),
    }
