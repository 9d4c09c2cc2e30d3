"""The table of blocks: handed out under a lease, written down when they come back.

Computing a block twice would do no harm, since one that is there is left as it is.
"""

import time
from collections.abc import Collection
from dataclasses import dataclass

from server.jobs.database import Database, Transaction
from server.jobs.leases import FREE, Leases
from server.jobs.ledger import WANTED, become, drop_unwanted, ids_of, job_of, tell
from server.jobs.records import BlockTask

MOST_ATTEMPTS = 3
REST_S = 1.0  # before a block is tried again where the store did not answer
UNFINISHED = "state IN ('waiting', 'leased')"


@dataclass(frozen=True)
class Lease:
    """A block that this process has taken upon itself."""

    id: int
    task: BlockTask


class BlockQueue:
    """Hands out blocks to one owner, fairly between jobs, nearest the view's centre first."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.leases = Leases(database)

    def take(self) -> tuple[Lease, frozenset[str]] | None:
        """Lease the next block; also the ids of jobs that began with it. None if there is none.

        Between jobs, the one that was given the fewest blocks comes first: who asks for little
        does not wait for who asked for much.
        """

        def change(db: Transaction) -> tuple[Lease, frozenset[str]] | None:
            row = db.execute(
                "SELECT blocks.id, blocks.task FROM blocks"  # noqa: S608 (question marks)
                " JOIN wants ON wants.block = blocks.id"
                " JOIN jobs ON jobs.number = wants.job"
                f" WHERE blocks.state IN ('waiting', 'leased') AND {FREE}"
                " AND jobs.state IN ('accepted', 'running')"
                " ORDER BY jobs.taken, jobs.number, wants.position LIMIT 1",
                self.leases.free(db),
            ).fetchone()
            if row is None:
                return None
            db.execute(
                "UPDATE blocks SET state = 'leased', owner = ?, boot = ?, until = ? WHERE id = ?",
                (*self.leases.taken(db), row["id"]),
            )
            begun = [number for number in _wanting(db, row["id"]) if _begin(db, number)]
            return Lease(row["id"], BlockTask.from_text(row["task"])), ids_of(db, begun)

        return self._database.write(change)

    def renew(self, ids: Collection[int]) -> None:
        """Prolong the leases of blocks in hand."""
        marks = ", ".join("?" * len(ids))
        self._database.write(
            lambda db: db.execute(
                f"UPDATE blocks SET until = ? WHERE id IN ({marks}) AND owner = ?",  # noqa: S608 (question marks)
                (self.leases.until(db), *ids, self.leases.owner),
            )
        )

    def recover(self) -> None:
        """Make free what processes had leased that are gone: their work will not come back."""
        self._database.write(lambda db: self.leases.recover(db, "blocks"))

    def unwanted(self, ids: Collection[int]) -> frozenset[int]:
        """Those blocks in hand that no active job wants any more."""
        marks = ", ".join("?" * len(ids))
        rows = self._database.read(
            lambda db: db.execute(
                f"SELECT id FROM blocks WHERE id IN ({marks}) AND NOT {WANTED}",  # noqa: S608
                tuple(ids),
            ).fetchall()
        )
        return frozenset(row["id"] for row in rows)

    def finish(self, block_id: int, seconds: float | None) -> frozenset[str]:
        """Write down that a block is there; ids of jobs that heard of it.

        `seconds` it took, None where it had been there already.
        """

        def change(db: Transaction) -> frozenset[str]:
            if not _settle(db, block_id, "done"):
                return frozenset()
            db.execute("UPDATE blocks SET seconds = ? WHERE id = ?", (seconds, block_id))
            jobs = _wanting(db, block_id)
            for number in jobs:
                _progress(db, number, block_id)
            return ids_of(db, jobs)

        return self._database.write(change)

    def fail(self, block_id: int, why: str) -> frozenset[str]:
        """Write down that a block cannot be computed; the jobs that want it fail with it."""

        def change(db: Transaction) -> frozenset[str]:
            return _fail(db, block_id, why)

        return self._database.write(change)

    def fail_stalled(self, seconds: float, why: str) -> frozenset[str]:
        """Fail jobs that want blocks and got no further for so long; the ids of those."""

        def change(db: Transaction) -> frozenset[str]:
            rows = db.execute(
                "SELECT number FROM jobs WHERE state IN ('accepted', 'running') AND updated < ?"
                " AND EXISTS (SELECT 1 FROM wants WHERE wants.job = jobs.number) ORDER BY number",
                (time.time() - seconds,),
            ).fetchall()
            numbers = [row["number"] for row in rows]
            for number in numbers:
                become(db, number, "failed", why)
            drop_unwanted(db)
            return ids_of(db, numbers)

        return self._database.write(change)

    def give_back(
        self, block_id: int, why: str = "", *, counted: bool = True, rest_s: float = 0.0
    ) -> frozenset[str]:
        """Let a block be tried again, at most three times in all; ids of jobs that failed.

        An attempt is not `counted` where nothing is known against the block itself. A block that
        is another's by now is left to it.
        """

        def change(db: Transaction) -> frozenset[str]:
            row = db.execute("SELECT * FROM blocks WHERE id = ?", (block_id,)).fetchone()
            if row is None or (row["state"], row["owner"]) != ("leased", self.leases.owner):
                return frozenset()
            attempts = row["attempts"] + int(counted)
            if attempts >= MOST_ATTEMPTS:
                return _fail(db, block_id, f"{why}; given up after {attempts} attempts")
            db.execute(
                "UPDATE blocks SET state = 'waiting', attempts = ?, until = ? WHERE id = ?",
                (attempts, self.leases.until(db, rest_s), block_id),
            )
            drop_unwanted(db)
            return frozenset()

        return self._database.write(change)

    def seconds_each(self, kind: str) -> float | None:
        """Seconds that one block of a kind takes, from the last ones; None if none was timed."""
        row = self._database.read(
            lambda db: db.execute(
                "SELECT avg(seconds) FROM (SELECT seconds FROM blocks WHERE model = ?"
                " AND seconds IS NOT NULL ORDER BY id DESC LIMIT 16) AS latest",
                (kind,),
            ).fetchone()
        )
        return None if row[0] is None else float(row[0])

    def unfinished(self) -> int:
        """How many blocks wait or are in hand."""
        row = self._database.read(
            lambda db: db.execute(f"SELECT count(*) FROM blocks WHERE {UNFINISHED}").fetchone()  # noqa: S608
        )
        return int(row[0])


def _wanting(db: Transaction, block_id: int) -> list[int]:
    """Numbers of the active jobs that want a block."""
    rows = db.execute(
        "SELECT jobs.number FROM jobs JOIN wants ON wants.job = jobs.number"
        " WHERE wants.block = ? AND jobs.state IN ('accepted', 'running') ORDER BY jobs.number",
        (block_id,),
    )
    return [row["number"] for row in rows]


def _begin(db: Transaction, number: int) -> bool:
    """Count a block as given to a job; whether the job begins with it."""
    db.execute("UPDATE jobs SET taken = taken + 1 WHERE number = ?", (number,))
    if job_of(db, number).state != "accepted":
        return False
    become(db, number, "running")
    return True


def _settle(db: Transaction, block_id: int, state: str) -> bool:
    """End a block; False if it has ended before."""
    cursor = db.execute(
        f"UPDATE blocks SET state = ?, until = 0 WHERE id = ? AND {UNFINISHED}",  # noqa: S608
        (state, block_id),
    )
    return cursor.rowcount > 0


def _progress(db: Transaction, number: int, block_id: int) -> None:
    db.execute(
        "UPDATE jobs SET done = done + 1, updated = ? WHERE number = ?", (time.time(), number)
    )
    job = job_of(db, number)
    task = db.execute("SELECT task FROM blocks WHERE id = ?", (block_id,)).fetchone()["task"]
    done = job.cached + job.done
    content = {
        "bbox": list(BlockTask.from_text(task).bbox),
        "done": done,
        "total": job.total,
    }
    tell(db, number, "block", content)
    if done == job.total:
        become(db, number, "successful")


def _fail(db: Transaction, block_id: int, why: str) -> frozenset[str]:
    jobs = _wanting(db, block_id)
    _settle(db, block_id, "failed")
    for number in jobs:
        become(db, number, "failed", why)
    drop_unwanted(db)
    return ids_of(db, jobs)
