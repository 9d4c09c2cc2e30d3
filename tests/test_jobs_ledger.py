"""The jobs' database: nothing asked for is lost, nothing is computed twice, whoever dies."""

import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from datacube.errors import OutOfSpace, Unavailable
from datacube.settings import Settings
from server.errors import NoSuchJob, TooMany
from server.jobs.address import address_of, open_database
from server.jobs.attendance import Attendance
from server.jobs.blocks import MOST_ATTEMPTS, BlockQueue
from server.jobs.choice import Choice
from server.jobs.database import Database, Transaction
from server.jobs.leases import LEASE_S
from server.jobs.ledger import Ledger, Limits
from server.jobs.records import ENDED, BlockTask, Job, NewJob
from server.jobs.sqlite import SqliteDatabase
from server.jobs.watchers import Watchers

MANY = Limits(1000, 1000)


class Clock:
    """A clock that a test moves, in place of a database's own."""

    def __init__(self, database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr(database, "now", lambda _db: self.now)


@pytest.fixture
def database(jobs_in: Settings) -> Iterator[Database]:
    opened = open_database(address_of(jobs_in))
    yield opened
    opened.close()


@pytest.fixture
def clock(database: Database, monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(database, monkeypatch)


def task(number: int) -> BlockTask:
    return BlockTask("root", "field", "uid", 3, "m", "m-1", "sr/m-1", (number, 2 * number),
                     (1.0, 2.0, 3.0, 4.0))  # fmt: skip


def wish(job_id: str, blocks: list[int], client: str = "me") -> NewJob:
    tasks = tuple(task(number) for number in blocks)
    asked = {"blocks": sorted(blocks)}
    return NewJob(job_id, client, "super-resolve", asked, len(blocks) + 2, tasks, 1.0)


def test_a_task_survives_being_written_down() -> None:
    assert BlockTask.from_text(task(4).text()) == task(4)


def test_equal_wishes_of_a_client_are_one_job_until_it_ends(database: Database) -> None:
    ledger, queue = Ledger(database), BlockQueue(database)
    assert ledger.add(wish("a", [1]), MANY).id == "a"
    assert ledger.add(wish("b", [1]), MANY).id == "a"
    assert ledger.add(wish("c", [1], client="you"), MANY).id == "c"
    lease = take(queue)
    assert queue.take() is None  # one block, though two jobs want it
    assert queue.finish(lease, 1.0) == {"a", "c"}
    assert ledger.add(wish("d", [1]), MANY).id == "d"


def test_the_database_itself_holds_one_active_job_and_one_unfinished_block_of_a_key(
    database: Database,
) -> None:
    Ledger(database).add(wish("a", [1]), MANY)
    columns = "key, client, process, asked, state, total, cached, estimated_s, created, updated"
    job = f"INSERT INTO jobs (id, {columns}) SELECT 'other', {columns} FROM jobs"  # noqa: S608 (names of ours)
    with pytest.raises(Unavailable, match=r"UNIQUE.*jobs\.key|one_active_job_of_a_key"):
        database.write(lambda db: db.execute(job))
    block = "INSERT INTO blocks (key, task, model) SELECT key, '', '' FROM blocks"
    with pytest.raises(Unavailable, match=r"UNIQUE.*blocks\.key|one_unfinished_block_of_a_key"):
        database.write(lambda db: db.execute(block))
    assert Ledger(database).find("a").state == "accepted"


def test_limits_count_waiting_and_running_jobs_of_all_and_of_one(database: Database) -> None:
    ledger = Ledger(database)
    ledger.add(wish("a", [1]), Limits(3, 2))
    ledger.add(wish("b", [2]), Limits(3, 2))
    with pytest.raises(TooMany, match="2 jobs of yours"):
        ledger.add(wish("c", [3]), Limits(3, 2))
    ledger.add(wish("d", [3], client="you"), Limits(3, 2))
    with pytest.raises(TooMany, match="3 jobs"):
        ledger.add(wish("e", [4], client="they"), Limits(3, 2))
    ledger.dismiss("a", "cancelled")
    assert ledger.add(wish("e", [4], client="they"), Limits(3, 2)).state == "accepted"


def test_a_small_wish_does_not_wait_for_a_large_one(database: Database) -> None:
    ledger, queue = Ledger(database), BlockQueue(database)
    ledger.add(wish("large", [1, 2, 3, 4]), MANY)
    take(queue)
    ledger.add(wish("small", [9, 8]), MANY)
    order = [found[0].task.block[0] for _ in range(5) if (found := queue.take())]
    assert order == [9, 2, 8, 3, 4]


def test_a_lease_ends_by_the_clock_and_not_before(database: Database, clock: Clock) -> None:
    Ledger(database).add(wish("a", [1]), MANY)
    mine, other = BlockQueue(database), BlockQueue(database)
    lease = take(mine)
    clock.now += 0.9 * LEASE_S
    assert other.take() is None
    mine.renew([lease])
    clock.now += 0.9 * LEASE_S
    assert other.take() is None
    clock.now += LEASE_S
    assert take(other) == lease
    mine.renew([lease])  # it is no longer mine
    clock.now += 1.01 * LEASE_S
    assert take(mine) == lease
    assert other.give_back(lease, "late") == frozenset()  # nor is it the other's
    assert other.take() is None


def test_a_clock_that_is_set_back_keeps_no_lease(database: Database, clock: Clock) -> None:
    Ledger(database).add(wish("a", [1]), MANY)
    mine, other = BlockQueue(database), BlockQueue(database)
    lease = take(mine)
    clock.now -= 3600
    mine.renew([lease])  # in time
    assert other.take() is None
    clock.now -= 3600
    assert take(other) == lease


def test_leases_of_another_boot_of_the_machine_are_free_at_once(
    database: Database, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    Ledger(database).add(wish("a", [1]), MANY)
    before, after = BlockQueue(database), BlockQueue(database)
    lease = take(before)
    assert after.take() is None
    monkeypatch.setattr(database, "clock_id", "another")  # a new start: it begins anew as well
    clock.now = 995.0
    assert take(after) == lease


def test_leases_of_a_process_that_is_gone_are_free_at_once_and_of_another_machine_never(
    database: Database, jobs_in: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    Ledger(database).add(wish("a", [1]), MANY)
    taking = (
        "from datacube.settings import Settings; from server.jobs.blocks import BlockQueue;"
        "from server.jobs.address import address_of, open_database;"
        "assert BlockQueue(open_database(address_of(Settings.from_environment()))).take()"
    )
    url = jobs_in.jobs_db.get_secret_value() if isinstance(jobs_in.jobs_db, SecretStr) else None
    place = {"SRCUBE_DATA": jobs_in.data, "SRCUBE_JOBS_DB": url or str(jobs_in.jobs_db)}
    subprocess.run([sys.executable, "-c", taking], check=True, timeout=60, env=os.environ | place)
    queue = BlockQueue(database)
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr(database, "machine", "another")
        queue.recover()
    assert queue.take() is None
    queue.recover()
    assert take(queue) == 1


def test_a_block_is_tried_three_times_and_an_innocent_return_is_not_counted(
    database: Database,
) -> None:
    ledger, queue = Ledger(database), BlockQueue(database)
    ledger.add(wish("a", [1, 2]), MANY)
    for _ in range(5):
        queue.give_back(take(queue), "interrupted", counted=False)
    for _ in range(MOST_ATTEMPTS - 1):
        assert queue.give_back(take(queue), "it died") == frozenset()
    assert queue.give_back(take(queue), "it died") == {"a"}
    failed = ledger.find("a")
    assert failed.state == "failed"
    assert failed.message == "it died; given up after 3 attempts"
    assert queue.take() is None  # nobody wants the second block any more


def test_a_block_rests_before_it_is_tried_again(database: Database, clock: Clock) -> None:
    Ledger(database).add(wish("a", [1]), MANY)
    queue = BlockQueue(database)
    queue.give_back(take(queue), "no answer", rest_s=3)
    clock.now += 2.9
    assert queue.take() is None
    clock.now += 0.2
    assert take(queue) == 1


def test_estimates_follow_the_last_blocks_of_the_model(database: Database) -> None:
    queue = BlockQueue(database)
    assert queue.seconds_each("m-1") is None
    Ledger(database).add(wish("a", list(range(20))), MANY)
    for number in range(20):
        queue.finish(take(queue), 9.0 if number < 4 else 0.25)
    assert queue.seconds_each("m-1") == pytest.approx(0.25)
    assert queue.seconds_each("other") is None


def change_job(database: Database, job_id: str, values: str) -> None:
    """Write into the table of jobs what only time would."""
    change = f"UPDATE jobs SET {values} WHERE id = ?"  # noqa: S608 (values of ours)
    database.write(lambda db: db.execute(change, (job_id,)))


def test_a_list_holds_the_jobs_that_a_choice_means(database: Database) -> None:
    ledger = Ledger(database)
    for place, name in enumerate("abcde"):
        ledger.add(wish(name, [place]), MANY)
    changes = {
        "a": "created = 100, started = 110, finished = 140, state = 'successful'",
        "b": "created = 200, started = 210, finished = 270.5, state = 'failed', process = 'fuse'",
        "c": "created = 300, started = 310, state = 'running'",  # 1,690 s so far
        "d": "created = 400, finished = 400, state = 'successful'",  # nothing was lacking
    }
    for name, values in changes.items():
        change_job(database, name, values)

    def listed(**choice: Any) -> str:
        where, values = Choice(**choice).condition(2000.0)
        found = database.read(
            lambda db: db.execute(f"SELECT id FROM jobs WHERE client = ?{where}",  # noqa: S608
                                  ("me", *values)).fetchall()
        )  # fmt: skip
        return "".join(sorted(row["id"] for row in found))

    assert listed() == "abcde"
    assert listed(processes=["fuse"]) == "b"
    assert listed(processes=["fuse", "super-resolve"], states=["failed", "running"]) == "bc"
    assert listed(created=(100.0, 300.0)) == "ab"
    assert listed(seconds=(30, None)) == "abc"
    assert listed(seconds=(31, 1690)) == "bc"
    assert listed(seconds=(None, 60)) == "a"
    assert listed(before="c") == "ab"
    assert listed(before="nobody") == ""
    newest = [job.id for job in ledger.of_client("me", 2, Choice(states=["successful"]))]
    assert newest == ["d", "a"]


def test_an_ended_job_can_be_removed_and_an_active_one_not(database: Database) -> None:
    ledger = Ledger(database)
    ledger.add(wish("a", [1]), MANY)
    ledger.remove("a")
    assert ledger.find("a").state == "accepted"
    ledger.dismiss("a", "cancelled")
    ledger.remove("a")
    with pytest.raises(NoSuchJob):
        ledger.find("a")
    assert ledger.events("a", 0) == ()


def test_ended_jobs_are_forgotten_in_time_and_active_ones_never(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("server.jobs.ledger.KEPT_JOBS", 2)
    ledger, queue = Ledger(database), BlockQueue(database)
    ledger.add(wish("first", [99]), MANY)
    for number in range(5):
        ledger.add(wish(f"job-{number}", [number]), MANY)
        ledger.dismiss(f"job-{number}", "cancelled")
    ledger.add(wish("last", [100]), MANY)
    assert [job.id for job in ledger.of_client("me", 100)] == ["last", "job-4", "job-3", "first"]
    assert queue.unfinished() == 2


ACTS = st.lists(
    st.tuples(
        st.sampled_from(["add", "take", "finish", "fail", "lose", "return", "dismiss", "reopen"]),
        st.integers(0, 5),
        st.sets(st.integers(0, 6), max_size=4),
    ),
    max_size=40,
)


@given(acts=ACTS)
def test_whatever_happens_every_block_wanted_is_there_or_on_its_way(
    tmp_path_factory: pytest.TempPathFactory, acts: list[tuple[str, int, set[int]]]
) -> None:
    """After any story: an active job's blocks are done, waiting or leased, and never lost."""
    path = tmp_path_factory.mktemp("ledger") / "jobs.sqlite3"
    Story(lambda: SqliteDatabase(path)).tell(acts)


class Story:
    """One queue, what is in hand of it, and jobs named by small numbers."""

    def __init__(self, opening: Callable[[], Database]) -> None:
        self.opening = opening
        self.names: list[str] = []
        self.open()

    def open(self) -> None:
        """Begin as a server does that died before: what it had in hand is nobody's."""
        self.database = self.opening()
        self.ledger, self.queue = Ledger(self.database), BlockQueue(self.database)
        self.queue.recover()
        self.in_hand: list[int] = []

    def tell(self, acts: list[tuple[str, int, set[int]]]) -> None:
        """Do one thing after the other, then all that is left."""
        for act, number, blocks in acts:
            self.play(act, number, blocks)
            self.check()
        self.drain()
        assert all(job.state in ENDED for job in self.jobs())
        self.database.close()

    def play(self, act: str, number: int, blocks: set[int]) -> None:
        if act == "add":
            name = f"job-{len(self.names)}"
            added = self.ledger.add(wish(name, sorted(blocks), client=str(number)), MANY)
            self.names += [name] if added.id == name else []
        elif act == "take" and (found := self.queue.take()):
            assert found[0].id not in self.in_hand
            self.in_hand.append(found[0].id)
        elif act == "dismiss" and self.names:
            self.ledger.dismiss(self.names[number % len(self.names)], "cancelled")
        elif act == "reopen":
            self.database.close()
            self.open()
        elif act in {"finish", "fail", "lose", "return"} and self.in_hand:
            self.report(act, self.in_hand.pop(number % len(self.in_hand)))

    def report(self, act: str, block: int) -> None:
        if act == "finish":
            self.queue.finish(block, 0.1)
        elif act == "fail":
            self.queue.fail(block, "it cannot be done")
        else:
            self.queue.give_back(block, "it died", counted=act == "lose")

    def drain(self) -> None:
        for block in self.in_hand:
            self.queue.finish(block, 0.1)
        while found := self.queue.take():
            self.queue.finish(found[0].id, 0.1)

    def jobs(self) -> list[Job]:
        return [self.ledger.find(name) for name in self.names]

    def check(self) -> None:
        def states(db: Transaction) -> dict[str, list[str]]:
            rows = db.execute(
                "SELECT jobs.id, blocks.state FROM jobs LEFT JOIN wants ON wants.job = jobs.number"
                " LEFT JOIN blocks ON blocks.id = wants.block"
            ).fetchall()
            found: dict[str, list[str]] = {}
            for name, state in rows:
                found.setdefault(name, []).append(state)
            return found

        blocks = self.database.read(states)
        for job in self.jobs():
            if job.state in ENDED:
                kinds = [one.content["status"] for one in self.ledger.events(job.id, 0)
                         if one.kind == "status"]  # fmt: skip
                assert kinds[-1] == job.state
                assert sum(kind in ENDED for kind in kinds) == 1
            else:
                assert job.cached + job.done < job.total
                assert blocks[job.id].count("done") == job.done
                assert set(blocks[job.id]) <= {"done", "waiting", "leased"}


def take(queue: BlockQueue) -> int:
    found = queue.take()
    assert found is not None
    return found[0].id


def test_a_folder_that_cannot_be_made_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(Unavailable, match="SRCUBE_JOBS_DB"):
        SqliteDatabase(tmp_path / "file" / "jobs.sqlite3")


def test_a_file_that_is_no_database_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "jobs.sqlite3").write_bytes(os.urandom(5000))
    with pytest.raises(Unavailable, match="database"):
        SqliteDatabase(tmp_path / "jobs.sqlite3")


def test_a_file_of_an_older_version_is_opened_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "jobs.sqlite3"
    with closing(sqlite3.connect(path)) as older:
        older.executescript(OLDER)
    database = SqliteDatabase(path)
    ledger, queue = Ledger(database), BlockQueue(database)
    job = ledger.add(wish("a", [1]), MANY)
    assert Attendance(database, Watchers(), 30).watched_elsewhere([job.id]) == frozenset()
    assert queue.finish(take(queue), 0.5) == {"a"}
    assert ledger.find("a").state == "successful"
    database.close()


# What version 0.1.0 wrote before servers could share a database.
OLDER = """
CREATE TABLE jobs (
  number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT UNIQUE NOT NULL, key TEXT NOT NULL,
  client TEXT NOT NULL, process TEXT NOT NULL, asked TEXT NOT NULL,
  state TEXT NOT NULL, message TEXT NOT NULL DEFAULT '',
  total INTEGER NOT NULL, cached INTEGER NOT NULL, done INTEGER NOT NULL DEFAULT 0,
  taken INTEGER NOT NULL DEFAULT 0, estimated_s REAL NOT NULL,
  created REAL NOT NULL, started REAL, finished REAL, updated REAL NOT NULL);
CREATE UNIQUE INDEX one_active_job_of_a_key
  ON jobs (key) WHERE state IN ('accepted', 'running');
CREATE TABLE blocks (
  id INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL, task TEXT NOT NULL,
  model TEXT NOT NULL, state TEXT NOT NULL DEFAULT 'waiting',
  attempts INTEGER NOT NULL DEFAULT 0, seconds REAL,
  owner TEXT NOT NULL DEFAULT '', boot TEXT NOT NULL DEFAULT '', until REAL NOT NULL DEFAULT 0);
CREATE UNIQUE INDEX one_unfinished_block_of_a_key
  ON blocks (key) WHERE state IN ('waiting', 'leased');
CREATE TABLE wants (
  job INTEGER NOT NULL REFERENCES jobs ON DELETE CASCADE,
  block INTEGER NOT NULL REFERENCES blocks ON DELETE CASCADE,
  position INTEGER NOT NULL, PRIMARY KEY (job, block)) WITHOUT ROWID;
CREATE TABLE events (
  job INTEGER NOT NULL REFERENCES jobs ON DELETE CASCADE,
  number INTEGER NOT NULL, kind TEXT NOT NULL, content TEXT NOT NULL,
  PRIMARY KEY (job, number)) WITHOUT ROWID;
"""


def test_on_a_full_disk_the_reserve_lets_an_end_be_written_down(tmp_path: Path) -> None:
    """The limit on pages stands for the disk: lifting it, for the reserve that is given up."""
    database = SqliteDatabase(tmp_path / "jobs.sqlite3")
    ledger, queue = Ledger(database), BlockQueue(database)
    ledger.add(wish("a", [1]), MANY)
    reserve = tmp_path / "jobs.sqlite3-reserve"
    assert reserve.stat().st_size > 100_000

    def pages(db: Transaction) -> int:
        return int(db.execute("PRAGMA page_count").fetchone()[0])

    used = database.read(pages)
    limit = database._connection.execute("PRAGMA max_page_count").fetchone()[0]
    database._connection.execute(f"PRAGMA max_page_count = {used}")
    with pytest.raises(OutOfSpace):
        ledger.add(wish("large", list(range(2, 2000))), MANY)
    assert not reserve.exists()
    database._connection.execute(f"PRAGMA max_page_count = {limit}")
    queue.fail(take(queue), "OutOfSpace")
    assert ledger.find("a").state == "failed"
    assert reserve.exists()
    database.close()
