"""Which jobs somebody watches, at this server or at another; and dropping what nobody does.

A server judges only jobs that were watched there: whose watchers were all of a server that was
killed runs to its end. It writes down now and then what is watched there, so that another one,
whose watcher has come over here, leaves the job alone.
"""

import time
import uuid
from collections.abc import Collection
from contextlib import suppress

from datacube.errors import NotFound
from server.jobs.database import Database, Transaction
from server.jobs.ledger import Ledger
from server.jobs.records import ENDED, TASK_PROCESSES
from server.jobs.watchers import Watchers

RENEWALS = 3  # within the time after which a job is dropped
LATE_S = 2.0  # that a renewal may come late, since a server looks at its jobs once a second
DROPPED = "dropped, since nobody watches it any more,"


class Attendance:
    """What this server's watchers watch, made known to the others; `after_s` jobs are dropped."""

    def __init__(self, database: Database, watchers: Watchers, after_s: float) -> None:
        self._database = database
        self._ledger = Ledger(database)
        self._watchers = watchers
        self._after_s = after_s
        self._told: frozenset[str] = frozenset()
        self._told_at = float("-inf")
        self.owner = uuid.uuid4().hex

    def look(self) -> None:
        """Say what is watched here where that is due, and drop what is watched nowhere."""
        watched = self._watchers.watched()
        due = time.monotonic() - self._told_at > self._after_s / RENEWALS
        if watched - self._told or (watched and due):
            self._tell(watched)
        if left := self._watchers.abandoned(self._after_s):
            elsewhere = self.watched_elsewhere(left)
            for job_id in left:
                if job_id not in elsewhere:
                    self._drop(job_id)
                    self._watchers.forget(job_id)

    def watched_elsewhere(self, job_ids: Collection[str]) -> frozenset[str]:
        """Those jobs that another server has seen watched not long ago."""

        def ask(db: Transaction) -> frozenset[str]:
            now, clock = self._database.now(db), self._database.clock_id
            # What was seen in the future, or by another clock, was seen now: the clock was set.
            db.execute(
                "UPDATE watched SET boot = ?, seen = ? WHERE boot != ? OR seen > ?",
                (clock, now, clock, now),
            )
            marks = ", ".join("?" * len(job_ids))
            long_ago = now - self._after_s * (1 + 1 / RENEWALS) - LATE_S
            rows = db.execute(
                "SELECT DISTINCT jobs.id FROM watched"  # noqa: S608 (question marks)
                " JOIN jobs ON jobs.number = watched.job"
                f" WHERE watched.owner != ? AND watched.seen > ? AND jobs.id IN ({marks})",
                (self.owner, long_ago, *job_ids),
            ).fetchall()
            return frozenset(row["id"] for row in rows)

        return self._database.write(ask)

    def _tell(self, job_ids: frozenset[str]) -> None:
        def change(db: Transaction) -> None:
            seen = (self.owner, self._database.clock_id, self._database.now(db))
            for job_id in sorted(job_ids):
                db.execute(
                    "INSERT INTO watched (job, owner, boot, seen)"
                    " SELECT number, ?, ?, ? FROM jobs WHERE id = ?"
                    " ON CONFLICT (job, owner) DO UPDATE"
                    " SET boot = excluded.boot, seen = excluded.seen",
                    (*seen, job_id),
                )

        self._database.write(change)
        self._told, self._told_at = job_ids, time.monotonic()

    def _drop(self, job_id: str) -> None:
        with suppress(NotFound):
            job = self._ledger.find(job_id)
            if job.state not in ENDED and job.process not in TASK_PROCESSES:
                self._ledger.dismiss(job_id, DROPPED)
