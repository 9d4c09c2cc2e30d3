"""The thread that moves blocks from the database to an executor and back.

What an executor reported is kept until it could be written down, so that a database without
room or without answer delays jobs and loses none.
"""

import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress

from datacube.errors import SrcubeError
from server.errors import log
from server.jobs.blocks import REST_S, BlockQueue, Lease
from server.jobs.leases import LEASE_S
from server.jobs.tasks import Executor, Outcome, Report

IDLE_S = 1.0  # between looks at the database when nothing happens here: others may write there
FINISH_S = 15.0  # for blocks in hand, when the server stops
LOST = "the process that computed a block died"


class Supervisor:
    """Runs one executor on one queue; `tell` is called with ids of jobs that changed."""

    def __init__(
        self, blocks: BlockQueue, executor: Executor, tell: Callable[[Iterable[str]], None],
        each_turn: Callable[[], None], stall_s: float = float("inf"),
    ) -> None:  # fmt: skip
        """`stall_s`: jobs fail that got no further for so long while the executor cannot work."""
        self._blocks = blocks
        self._executor = executor
        self._tell = tell
        self._each_turn = each_turn
        self._stall_s = stall_s
        self._stalled_since: float | None = None
        self.computed = 0
        # Told of each block that was computed: its key, its seconds, and ids of jobs that heard.
        self.computed_block: Callable[[str, float, frozenset[str]], None] | None = None
        self._in_hand: dict[int, Lease] = {}
        self._unwritten: list[Report] = []
        self._renewed = time.monotonic()
        self._recovered = self._troubled = False
        self._wanted_warm = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="srcube-jobs", daemon=True)

    @property
    def trouble(self) -> str:
        """Why no block can be computed just now; empty where they can."""
        return self._executor.trouble

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def warm_up(self) -> None:
        """Have workers ready soon: somebody is about to ask for blocks."""
        if not self._wanted_warm.is_set():
            self._wanted_warm.set()
            self._executor.wake()

    def look(self) -> None:
        """Look at the database now: there is something new."""
        self._executor.wake()

    def stop(self) -> None:
        """Finish the blocks in hand, and no others; jobs go on when a server starts again."""
        self._stopping.set()
        self._executor.wake()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._turn()
                if self._troubled:
                    log.warning("the jobs' database answers again")
                self._troubled = False
            except SrcubeError:
                if not self._troubled:
                    log.exception("the jobs' database could not be used; trying again and again")
                self._troubled = True
                self._stopping.wait(REST_S)
            self._unwritten += self._executor.wait(IDLE_S)
        self._unwritten += self._executor.stop(FINISH_S)
        with suppress(SrcubeError):  # then the next server finds the lease of a dead one
            self._write_reports()

    def _turn(self) -> None:
        if not self._recovered:  # what a dead server had in hand is handed out again
            self._blocks.recover()
            self._recovered = True
        self._write_reports()
        self._each_turn()
        if self._in_hand:
            for block_id in self._blocks.unwanted(self._in_hand):
                self._executor.cancel(block_id)
            if time.monotonic() - self._renewed > LEASE_S / 3:
                self._blocks.renew(self._in_hand)
                self._renewed = time.monotonic()
        if not self._wanted_warm.is_set() and self._blocks.unfinished():
            self._wanted_warm.set()  # left by a server before, or asked of another one
        if self._wanted_warm.is_set():
            self._executor.warm_up()
        self._give_up_what_waits_for_nothing()
        while self._executor.free() > 0 and (taken := self._blocks.take()):
            lease, begun = taken
            self._in_hand[lease.id] = lease
            self._executor.start(lease)
            self._tell(begun)

    def _give_up_what_waits_for_nothing(self) -> None:
        """Fail jobs that would wait for ever for a cluster, or for workers, that do not come back.

        One that another server goes on with is left alone.
        """
        now, trouble = time.monotonic(), self._executor.trouble
        if not trouble:
            self._stalled_since = None
            return
        if self._stalled_since is None:
            self._stalled_since = now
        if now - self._stalled_since > self._stall_s:
            why = f"Unavailable: {trouble}, for {self._stall_s:g} s by now; ask again later"
            self._tell(self._blocks.fail_stalled(self._stall_s, why))

    def _write_reports(self) -> None:
        while self._unwritten:
            report = self._unwritten[0]
            heard = self._write(report)
            self._trace(report, heard)
            self._tell(heard)
            self._unwritten.pop(0)
            self._in_hand.pop(report.block_id, None)

    def _trace(self, report: Report, heard: frozenset[str]) -> None:
        outcome, lease = report.outcome, self._in_hand.get(report.block_id)
        if self.computed_block and lease and isinstance(outcome, Outcome) and outcome.seconds:
            self.computed_block(lease.task.key, outcome.seconds, heard)

    def _write(self, report: Report) -> frozenset[str]:
        block_id, outcome = report.block_id, report.outcome
        if isinstance(outcome, Outcome):
            if outcome.kind == "done":
                self.computed += outcome.seconds is not None
                return self._blocks.finish(block_id, outcome.seconds)
            if outcome.kind == "failed":
                return self._blocks.fail(block_id, outcome.why)
            return self._blocks.give_back(block_id, outcome.why, rest_s=REST_S)
        return self._blocks.give_back(block_id, LOST, counted=outcome == "lost")
