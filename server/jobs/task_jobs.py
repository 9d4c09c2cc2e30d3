"""Jobs that are one task with progress: an ingest, an evaluation.

They stand in the same table as jobs of blocks, so that they are listed, watched and cancelled
alike; beside it a table of tasks says what to do and who does it, under a lease as blocks have.
A task is carried out by a process of its own (`task_process`), one at a time. Where the server
or that process is gone the task is taken up again from its beginning: an ingest finds what is
committed already, an evaluation writes nothing.
"""

import json
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from server.jobs.blocks import MOST_ATTEMPTS
from server.jobs.database import Database, Row, Transaction
from server.jobs.leases import FREE, Leases
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

    def __init__(self, database: Database) -> None:
        self._database = database
        self.leases = Leases(database)

    def add(self, new: NewTask, limits: Limits) -> Job:
        """Write a task down, or find the active job of the same wish; raises TooMany."""
        job = NewJob(uuid.uuid4().hex, new.client, new.process, new.asked, TASK_STEPS, (), 0.0)

        def change(db: Transaction) -> Job:
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

        def change(db: Transaction) -> TaskLease | None:
            while True:
                row = db.execute(
                    "SELECT tasks.*, jobs.id, jobs.state FROM tasks"  # noqa: S608 (question marks)
                    " JOIN jobs ON jobs.number = tasks.job"
                    f" WHERE jobs.state IN ('accepted', 'running') AND {FREE}"
                    " ORDER BY tasks.job LIMIT 1",
                    self.leases.free(db),
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

        def change(db: Transaction) -> bool:
            cursor = db.execute(
                "UPDATE tasks SET until = ? WHERE job = ? AND owner = ? AND EXISTS (SELECT 1 FROM"
                " jobs WHERE number = tasks.job AND state = 'running')",
                (self.leases.until(db), lease.number, self.leases.owner),
            )
            return cursor.rowcount > 0

        return self._database.write(change)

    def recover(self) -> None:
        """Make free what processes had taken that are gone."""
        self._database.write(lambda db: self.leases.recover(db, "tasks"))

    def progress(self, lease: TaskLease, percent: float, message: str) -> None:
        """Write down how far a task is; the percentage never falls."""
        done = min(TASK_STEPS, round(percent))

        def change(db: Transaction) -> None:
            db.execute(
                "UPDATE jobs SET done = CASE WHEN done < ? THEN ? ELSE done END,"
                " message = ?, updated = ? WHERE number = ? AND state = 'running'",
                (done, done, message[:300], time.time(), lease.number),
            )
            job = job_of(db, lease.number)
            if job.state == "running":
                tell(db, lease.number, "progress", job.document())

        self._database.write(change)

    def finish(self, lease: TaskLease, result: Document) -> None:
        """Write down what came of a task."""

        def change(db: Transaction) -> None:
            if job_of(db, lease.number).state != "running":
                return  # cancelled in the meantime
            text = json.dumps(result, allow_nan=False)
            db.execute("UPDATE tasks SET result = ? WHERE job = ?", (text, lease.number))
            db.execute("UPDATE jobs SET done = total WHERE number = ?", (lease.number,))
            become(db, lease.number, "successful")

        self._database.write(change)

    def fail(self, lease: TaskLease, why: str) -> None:
        """Write down why a task cannot be done."""

        def change(db: Transaction) -> None:
            if job_of(db, lease.number).state == "running":
                become(db, lease.number, "failed", why[:300])

        self._database.write(change)

    def give_back(self, lease: TaskLease, *, counted: bool) -> None:
        """Let a task be taken again; an attempt is not `counted` where the server stops."""
        self._database.write(
            lambda db: db.execute(
                "UPDATE tasks SET until = 0, owner = '', attempts = attempts - ?"
                " WHERE job = ? AND owner = ?",
                (0 if counted else 1, lease.number, self.leases.owner),
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

    def _lease(self, db: Transaction, row: Row) -> TaskLease:
        db.execute(
            "UPDATE tasks SET owner = ?, boot = ?, until = ?, attempts = attempts + 1"
            " WHERE job = ?",
            (*self.leases.taken(db), row["job"]),
        )
        if row["state"] == "accepted":
            become(db, row["job"], "running")
        return TaskLease(row["job"], row["id"], json.loads(row["spec"]))
