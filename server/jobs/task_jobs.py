"""Jobs that are one task with progress: an ingest, an evaluation.

They stand in the same table as jobs of blocks, so that they are listed, watched and cancelled
alike; beside it a table of tasks says what to do and who does it, under a lease as blocks have.
A task is carried out by a process of its own (`task_process`), one at a time. Where the server
or that process is gone the task is taken up again from its beginning: an ingest finds what is
committed already, an evaluation writes nothing.
"""

import json
import os
import sqlite3
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from server.jobs.blocks import LEASE_S, MOST_ATTEMPTS, boot_id, is_alive
from server.jobs.database import Database
from server.jobs.ledger import (
    Limits,
    become,
    forget_oldest,
    insert,
    job_of,
    refuse_too_many,
    tell,
    tell_status,
)
from server.jobs.records import TASK_STEPS, Document, Job, NewJob

SCHEMA = """
CREATE TABLE IF NOT EXISTS tasks (
  job INTEGER PRIMARY KEY REFERENCES jobs ON DELETE CASCADE,
  spec TEXT NOT NULL, result TEXT, attempts INTEGER NOT NULL DEFAULT 0,
  owner TEXT NOT NULL DEFAULT '', boot TEXT NOT NULL DEFAULT '', until REAL NOT NULL DEFAULT 0)
"""
LOST = "the process that worked on it died"


@dataclass(frozen=True)
class NewTask:
    """A task to be written down: whose, of which process, and all that carrying it out takes.

    `asked` is what tells one wish from another; `spec` may name addresses and is not shown.
    """

    client: str
    process: str
    asked: Mapping[str, Any]
    spec: Mapping[str, Any]


@dataclass(frozen=True)
class TaskLease:
    """A task that this process has taken upon itself."""

    number: int
    job_id: str
    spec: Document


class TaskQueue:
    """Writes tasks down, hands them out to one owner, and keeps what came of them."""

    def __init__(self, database: Database, clock: Callable[[], float] = time.monotonic) -> None:
        self._database = database
        self._clock = clock
        self._boot = boot_id()
        self.owner = f"{os.getpid()}:{uuid.uuid4().hex}"
        database.write(lambda db: db.execute(SCHEMA))

    def add(self, new: NewTask, limits: Limits) -> Job:
        """Write a task down, or find the active job of the same wish; raises TooMany."""
        job = NewJob(uuid.uuid4().hex, new.client, new.process, new.asked, TASK_STEPS, (), 0.0)

        def change(db: sqlite3.Connection) -> Job:
            row = db.execute(
                "SELECT * FROM jobs WHERE key = ? AND state IN ('accepted', 'running')", (job.key,)
            ).fetchone()
            if row:
                return Job.from_row(row)
            refuse_too_many(db, new.client, limits)
            forget_oldest(db)
            number = insert(db, job)
            db.execute("UPDATE jobs SET cached = 0 WHERE number = ?", (number,))
            db.execute(
                "INSERT INTO tasks (job, spec) VALUES (?, ?)", (number, json.dumps(new.spec))
            )
            tell_status(db, number)
            return job_of(db, number)

        return self._database.write(change)

    def take(self) -> TaskLease | None:
        """Lease the oldest task that nobody works on; None if there is none.

        One that was begun too often is failed instead, with the reason.
        """

        def change(db: sqlite3.Connection) -> TaskLease | None:
            while True:
                row = db.execute(
                    "SELECT tasks.*, jobs.id, jobs.state FROM tasks"
                    " JOIN jobs ON jobs.number = tasks.job"
                    " WHERE jobs.state IN ('accepted', 'running')"
                    " AND (tasks.boot != ? OR tasks.until <= ?) ORDER BY tasks.job LIMIT 1",
                    (self._boot, self._clock()),
                ).fetchone()
                if row is None:
                    return None
                if row["attempts"] < MOST_ATTEMPTS:
                    return self._lease(db, row)
                why = f"{LOST}; given up after {row['attempts']} attempts"
                become(db, row["job"], "failed", why)

        return self._database.write(change)

    def renew(self, lease: TaskLease) -> bool:
        """Prolong a lease; False where the job has been cancelled, or is another's by now."""

        def change(db: sqlite3.Connection) -> bool:
            cursor = db.execute(
                "UPDATE tasks SET until = ? WHERE job = ? AND owner = ? AND EXISTS (SELECT 1 FROM"
                " jobs WHERE number = tasks.job AND state = 'running')",
                (self._clock() + LEASE_S, lease.number, self.owner),
            )
            return cursor.rowcount > 0

        return self._database.write(change)

    def recover(self) -> None:
        """Make free what processes had taken that are gone."""

        def change(db: sqlite3.Connection) -> None:
            rows = db.execute("SELECT DISTINCT owner FROM tasks WHERE owner != ''").fetchall()
            for (owner,) in rows:
                if owner != self.owner and not is_alive(owner):
                    db.execute("UPDATE tasks SET until = 0, owner = '' WHERE owner = ?", (owner,))

        self._database.write(change)

    def progress(self, lease: TaskLease, percent: float, message: str) -> None:
        """Write down how far a task is; the percentage never falls."""

        def change(db: sqlite3.Connection) -> None:
            db.execute(
                "UPDATE jobs SET done = max(done, ?), message = ?, updated = ?"
                " WHERE number = ? AND state = 'running'",
                (min(TASK_STEPS, round(percent)), message[:300], time.time(), lease.number),
            )
            job = job_of(db, lease.number)
            if job.state == "running":
                tell(db, lease.number, "progress", job.document())

        self._database.write(change)

    def finish(self, lease: TaskLease, result: Document) -> None:
        """Write down what came of a task."""

        def change(db: sqlite3.Connection) -> None:
            if job_of(db, lease.number).state != "running":
                return  # cancelled in the meantime
            text = json.dumps(result, allow_nan=False)
            db.execute("UPDATE tasks SET result = ? WHERE job = ?", (text, lease.number))
            db.execute("UPDATE jobs SET done = total WHERE number = ?", (lease.number,))
            become(db, lease.number, "successful")

        self._database.write(change)

    def fail(self, lease: TaskLease, why: str) -> None:
        """Write down why a task cannot be done."""

        def change(db: sqlite3.Connection) -> None:
            if job_of(db, lease.number).state == "running":
                become(db, lease.number, "failed", why[:300])

        self._database.write(change)

    def give_back(self, lease: TaskLease, *, counted: bool) -> None:
        """Let a task be taken again; an attempt is not `counted` where the server stops."""
        self._database.write(
            lambda db: db.execute(
                "UPDATE tasks SET until = 0, owner = '', attempts = attempts - ? WHERE job = ?",
                (0 if counted else 1, lease.number),
            )
        )

    def result(self, job_id: str) -> Document | None:
        """What came of a task, None where there is nothing (yet)."""
        row = self._database.read(
            lambda db: db.execute(
                "SELECT tasks.result FROM tasks JOIN jobs ON jobs.number = tasks.job"
                " WHERE jobs.id = ?",
                (job_id,),
            ).fetchone()
        )
        if row is None or row["result"] is None:
            return None
        found: Document = json.loads(row["result"])
        return found

    def _lease(self, db: sqlite3.Connection, row: sqlite3.Row) -> TaskLease:
        db.execute(
            "UPDATE tasks SET owner = ?, boot = ?, until = ?, attempts = attempts + 1"
            " WHERE job = ?",
            (self.owner, self._boot, self._clock() + LEASE_S, row["job"]),
        )
        if row["state"] == "accepted":
            become(db, row["job"], "running")
        return TaskLease(row["job"], row["id"], json.loads(row["spec"]))
