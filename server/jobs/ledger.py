"""The table of jobs and their events: what was asked, how far it is, how it ended."""

import json
import time
from collections.abc import Collection
from dataclasses import dataclass

from server.errors import NoSuchJob, TooMany
from server.jobs.choice import Choice
from server.jobs.database import Database, Transaction
from server.jobs.records import TASK_PROCESSES, Document, Job, NewJob

KEPT_JOBS = 256  # ended jobs whose story can still be asked for
WANTED = (
    "EXISTS (SELECT 1 FROM wants JOIN jobs ON jobs.number = wants.job"
    " WHERE wants.block = blocks.id AND jobs.state IN ('accepted', 'running'))"
)


@dataclass(frozen=True)
class Event:
    """Something that happened to a job; numbers rise by one from 1."""

    number: int
    kind: str
    content: Document


@dataclass(frozen=True)
class Limits:
    """Most jobs that may wait or run, of everybody and of one client."""

    jobs: int
    client_jobs: int


class Ledger:
    """Writes jobs down and finds them again."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, new: NewJob, limits: Limits) -> Job:
        """Write a job down with its blocks, or find the active one of the same wish.

        A block that another job has asked for already is shared with it. Raises TooMany.
        """

        def change(db: Transaction) -> Job:
            row = db.execute(
                "SELECT * FROM jobs WHERE key = ? AND state IN ('accepted', 'running')", (new.key,)
            ).fetchone()
            if row:
                return Job.from_row(row)
            refuse_too_many(db, new.client, limits)
            forget_oldest(db)
            number = insert(db, new)
            tell_status(db, number)
            for position, task in enumerate(new.missing):
                _want(db, number, position, (task.key, task.text(), task.kind))
            if not new.missing:
                become(db, number, "successful")
            return job_of(db, number)

        return self._database.write(change)

    def find(self, job_id: str) -> Job:
        """A job by id; raises NoSuchJob."""
        row = self._database.read(
            lambda db: db.execute("SELECT * FROM jobs WHERE id = ?", (job_id,)).fetchone()
        )
        if row is None:
            raise NoSuchJob
        return Job.from_row(row)

    def of_client(self, client: str, limit: int, choice: Choice | None = None) -> tuple[Job, ...]:
        """The newest jobs of a client that a choice holds, the newest first."""
        where, values = (choice or Choice()).condition(time.time())
        rows = self._database.read(
            lambda db: db.execute(
                f"SELECT * FROM jobs WHERE client = ?{where} ORDER BY number DESC LIMIT ?",  # noqa: S608 (question marks)
                (client, *values, limit),
            ).fetchall()
        )
        return tuple(map(Job.from_row, rows))

    def active(self) -> tuple[Job, ...]:
        """Jobs that wait or run, the oldest first."""
        rows = self._database.read(
            lambda db: db.execute(
                "SELECT * FROM jobs WHERE state IN ('accepted', 'running') ORDER BY number"
            ).fetchall()
        )
        return tuple(map(Job.from_row, rows))

    def events(self, job_id: str, after: int) -> tuple[Event, ...]:
        """Events of a job that come after the one numbered `after`."""
        rows = self._database.read(
            lambda db: db.execute(
                "SELECT events.* FROM events JOIN jobs ON jobs.number = events.job"
                " WHERE jobs.id = ? AND events.number > ? ORDER BY events.number",
                (job_id, after),
            ).fetchall()
        )
        return tuple(Event(row["number"], row["kind"], json.loads(row["content"])) for row in rows)

    def dismiss(self, job_id: str, why: str) -> Job:
        """End a job that has not ended; blocks that nobody else wants are dropped."""
        self.find(job_id)

        def change(db: Transaction) -> Job:
            row = db.execute("SELECT * FROM jobs WHERE id = ?", (job_id,)).fetchone()
            job = Job.from_row(row)
            if job.state not in {"accepted", "running"}:
                return job
            done = "" if job.process in TASK_PROCESSES else f" after {job.done} new blocks"
            become(db, row["number"], "dismissed", why + done)
            drop_unwanted(db)
            return job_of(db, row["number"])

        return self._database.write(change)

    def remove(self, job_id: str) -> None:
        """Forget an ended job and what it told; the blocks it computed stay in the cube."""
        self._database.write(
            lambda db: db.execute(
                "DELETE FROM jobs WHERE id = ? AND state NOT IN ('accepted', 'running')", (job_id,)
            )
        )


def job_of(db: Transaction, number: int) -> Job:
    """The job of a number."""
    return Job.from_row(db.execute("SELECT * FROM jobs WHERE number = ?", (number,)).fetchone())


def tell(db: Transaction, number: int, kind: str, content: Document) -> None:
    """Add an event to a job."""
    db.execute(
        "INSERT INTO events SELECT ?, coalesce(max(number), 0) + 1, ?, ? FROM events WHERE job = ?",
        (number, kind, json.dumps(content), number),
    )


def tell_status(db: Transaction, number: int) -> None:
    """Add an event that says how the job is."""
    tell(db, number, "status", job_of(db, number).document())


def become(db: Transaction, number: int, state: str, message: str = "") -> None:
    """Change a job's state, and say so."""
    now = time.time()
    column = "started" if state == "running" else "finished"
    db.execute(
        f"UPDATE jobs SET state = ?, message = ?, updated = ?, {column} = ? WHERE number = ?",  # noqa: S608 (one of two names of ours)
        (state, message, now, now, number),
    )
    tell_status(db, number)


def drop_unwanted(db: Transaction) -> None:
    """Drop waiting blocks that no active job wants any more."""
    db.execute(f"UPDATE blocks SET state = 'dropped' WHERE state = 'waiting' AND NOT {WANTED}")  # noqa: S608


def ids_of(db: Transaction, numbers: Collection[int]) -> frozenset[str]:
    """Ids of the jobs of these numbers."""
    return frozenset(job_of(db, number).id for number in numbers)


def refuse_too_many(db: Transaction, client: str, limits: Limits) -> None:
    """Raise TooMany where everybody's jobs, or this client's, are at their limit."""
    total, own = db.execute(
        "SELECT count(*), count(CASE WHEN client = ? THEN 1 END) FROM jobs"
        " WHERE state IN ('accepted', 'running')",
        (client,),
    ).fetchone()
    if total >= limits.jobs:
        raise TooMany(f"{total} jobs are under way, the most there may be; try again soon")
    if own >= limits.client_jobs:
        raise TooMany(
            f"{own} jobs of yours are under way, the most one client may have; wait for one to "
            "end or cancel it"
        )


def insert(db: Transaction, new: NewJob) -> int:
    """Add a row to the table of jobs; its number."""
    now = time.time()
    ((number,),) = db.execute(
        "INSERT INTO jobs (id, key, client, process, asked, state, total, cached, estimated_s,"
        " created, updated) VALUES (?, ?, ?, ?, ?, 'accepted', ?, ?, ?, ?, ?) RETURNING number",
        (
            new.id, new.key, new.client, new.process, json.dumps(new.asked), new.total,
            new.total - len(new.missing), new.estimated_s, now, now,
        ),
    ).fetchall()  # fmt: skip
    return int(number)


def _want(db: Transaction, number: int, position: int, block: tuple[str, str, str]) -> None:
    db.execute(
        "INSERT INTO blocks (key, task, model) VALUES (?, ?, ?)"
        " ON CONFLICT (key) WHERE state IN ('waiting', 'leased') DO NOTHING",
        block,
    )
    db.execute(
        "INSERT INTO wants SELECT ?, id, ? FROM blocks"
        " WHERE key = ? AND state IN ('waiting', 'leased')",
        (number, position, block[0]),
    )


def forget_oldest(db: Transaction) -> None:
    """Drop ended jobs beyond those that are kept, and blocks that nobody asks for any more."""
    db.execute(
        "DELETE FROM jobs WHERE state NOT IN ('accepted', 'running') AND number NOT IN"
        " (SELECT number FROM jobs WHERE state NOT IN ('accepted', 'running')"
        "  ORDER BY number DESC LIMIT ?)",
        (KEPT_JOBS,),
    )
    db.execute(
        "DELETE FROM blocks WHERE state NOT IN ('waiting', 'leased')"
        " AND NOT EXISTS (SELECT 1 FROM wants WHERE wants.block = blocks.id)"
    )
