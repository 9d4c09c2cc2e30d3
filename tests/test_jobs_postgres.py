"""Servers that share a catalog and a PostgreSQL: one queue, whichever of them is asked or dies."""

import asyncio
import os
import re
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from pydantic import SecretStr

from datacube.errors import InvalidInput, NotFound, Unavailable
from datacube.settings import Settings
from server.app import create_app
from server.jobs.address import address_of, open_database
from server.jobs.attendance import Attendance
from server.jobs.blocks import BlockQueue
from server.jobs.database import Transaction
from server.jobs.ledger import Ledger
from server.jobs.postgres import Address, PostgresDatabase
from server.jobs.task_jobs import NewTask, TaskQueue
from server.jobs.task_runner import TaskRunner
from server.jobs.watchers import Watchers
from tests.conftest import serving
from tests.postgres import PASSWORD, Cluster
from tests.test_jobs import Field, events_of, finished, make_field
from tests.test_jobs_faults import wait_for
from tests.test_jobs_ledger import ACTS, MANY, Clock, Story, wish
from tests.test_jobs_restart import SRCUBE, block_files, wait_for_blocks
from tests.test_task_jobs import process_of_a_task
from tests.test_tiles import tile_path

BLOCKS = 12  # of a field


@dataclass
class Served:
    """One `srcube serve` in a process of its own, and all that it said."""

    root: Path
    database: str
    log: Path
    url: str = ""
    process: subprocess.Popen[bytes] = field(init=False)

    def start(self) -> None:
        """Start it, and wait until it answers."""
        clean = {key: value for key, value in os.environ.items() if not key.startswith("SRCUBE_")}
        ours = {"SRCUBE_JOBS_DB": self.database, "SRCUBE_WORKERS": "1", "COLUMNS": "200"}
        ours |= {"SRCUBE_WORKER_NICENESS": "0", "SRCUBE_LOG_LEVEL": "info"}
        ours |= {"SRCUBE_UNWATCHED_S": "600"}  # a glance at a job does not end it
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [SRCUBE, "serve", "--data", str(self.root), "--port", "0"],
                env=clean | ours, stdout=log, stderr=log,
            )  # fmt: skip
        wait_for(self._answers)

    def _answers(self) -> bool:
        found = re.findall(r"(http://[\d.:]+)/", self.log.read_text())
        self.url = found[-1] if found else ""
        return bool(self.url) and status_of(f"{self.url}/livez") == 200

    def kill(self) -> None:
        """End it as a power cut would, and its workers with it."""
        self.process.kill()
        self.process.wait()

    def computed(self) -> int:
        """How many blocks it has computed."""
        text = httpx.get(f"{self.url}/metrics").text
        (found,) = re.findall(r"^srcube_blocks_computed_total (\S+)$", text, re.MULTILINE)
        return int(float(found))


@dataclass(frozen=True)
class Pair:
    """Two servers of one catalog that share a PostgreSQL, where its tables are `schema`."""

    root: Path
    cluster: Cluster
    schema: str
    servers: tuple[Served, Served]

    def field(self, server: Served) -> Field:
        """A cube that nobody has asked for yet, asked for at a server."""
        return make_field(server.url, self.root, f"field-{uuid.uuid4().hex[:8]}")

    def said(self) -> str:
        return "".join(one.log.read_text() for one in self.servers)


def status_of(address: str) -> int:
    """The status of an answer, 0 where there is none."""
    try:
        return httpx.get(address, timeout=30).status_code
    except httpx.TransportError:
        return 0


@pytest.fixture(scope="module")
def started(postgres: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    root = tmp_path_factory.mktemp("shared")
    logs = tmp_path_factory.mktemp("logs")
    schema = Address.of(postgres.url, str(root)).schema
    first, second = (Served(root, postgres.url, logs / name) for name in ("first", "second"))
    try:
        with ThreadPoolExecutor() as pool:
            list(pool.map(Served.start, (first, second)))
        yield Pair(root, postgres, schema, (first, second))
    finally:
        for one in (first, second):
            one.kill()


@pytest.fixture
def pair(started: Pair) -> Pair:
    """Two servers that are both there, whatever became of them before."""
    for one in started.servers:
        if one.process.poll() is not None:
            one.start()
    return started


def keys_of(pair: Pair, field: Field, state: str = "done") -> list[str]:
    """Blocks of a cube that are in a state, in the database's words."""
    uid = field.cube.root.commit.uid
    sql = f"SELECT key FROM blocks WHERE state = '{state}' AND key LIKE '{uid}%'"  # noqa: S608
    return [key for (key,) in pair.cluster.rows(pair.schema, sql)]


def test_a_job_asked_of_one_server_is_seen_watched_and_cancelled_at_the_other(pair: Pair) -> None:
    first, second = pair.servers
    field = pair.field(first)
    job = field.start(field.whole).json()["jobID"]
    assert httpx.get(f"{second.url}/jobs/{job}").json()["processID"] == "super-resolve"
    assert job in {one["jobID"] for one in httpx.get(f"{second.url}/jobs").json()["jobs"]}
    events = events_of(second.url, job)
    blocks = [content["done"] for kind, content in events if kind == "block"]
    assert blocks == list(range(1, BLOCKS + 1))
    assert events[-1][1]["status"] == "successful"
    assert events == events_of(first.url, job)

    other = field.start(field.whole, "wiener-x4").json()["jobID"]
    assert httpx.delete(f"{second.url}/jobs/{other}").json()["status"] == "dismissed"
    assert events_of(first.url, other)[-1][1]["status"] == "dismissed"
    wait_for(lambda: not keys_of(pair, field, "leased"))
    assert not keys_of(pair, field, "waiting")


def test_fifty_equal_wishes_of_two_servers_are_one_job_and_no_block_is_computed_twice(
    pair: Pair,
) -> None:
    field = pair.field(pair.servers[0])
    before = sum(one.computed() for one in pair.servers)
    asked = [Field(one.url, pair.root, field.cube, field.id) for one in pair.servers] * 25
    with ThreadPoolExecutor(10) as pool:
        answers = list(pool.map(lambda one: one.start(one.whole), asked))
    assert {answer.status_code for answer in answers} == {201}
    (job,) = {answer.json()["jobID"] for answer in answers}
    for one in pair.servers:
        assert finished(one.url, job)["status"] == "successful"
    assert sum(one.computed() for one in pair.servers) == before + BLOCKS
    assert len(keys_of(pair, field)) == len(set(keys_of(pair, field))) == BLOCKS


def test_a_database_that_stops_and_starts_again_delays_jobs_and_nothing_else(pair: Pair) -> None:
    first, second = pair.servers
    field = pair.field(first)
    jobs = [field.start(field.whole, model).json()["jobID"] for model in ("wiener-x4", "wiener-x2")]
    wait_for_blocks(first.url, jobs[0], 1)
    with pair.cluster.away():
        refused = [
            field.start(field.whole, "bicubic-x2"),
            httpx.get(f"{second.url}/jobs/{jobs[0]}", timeout=30),
            httpx.delete(f"{first.url}/jobs/{jobs[0]}", timeout=30),
        ]
        for answer in refused:
            assert answer.status_code == 503, answer.text
            assert answer.headers["retry-after"]
            assert answer.json()["code"] == "Unavailable"
        for one in pair.servers:
            here = Field(one.url, pair.root, field.cube, field.id)
            assert status_of(one.url + tile_path(one.url, 15, cube_id=field.id)) == 200
            assert here.plan()["total"] == BLOCKS
            assert httpx.get(f"{one.url}/metrics").status_code == 200
            checks = httpx.get(f"{one.url}/readyz").json()["checks"]
            assert checks == {"catalog": True, "jobs": False, "workers": True}
    for job in jobs:
        assert finished_again(second.url, job)["status"] == "successful"
        assert len([kind for kind, _ in events_of(first.url, job) if kind == "block"]) == BLOCKS
    wait_for(lambda: all(status_of(f"{one.url}/readyz") == 200 for one in pair.servers))
    assert "does not answer" in pair.said()
    told = pair.said() + "".join(answer.text for answer in refused)
    assert PASSWORD not in told
    assert quote(PASSWORD, safe="") not in told


def finished_again(url: str, job_id: str) -> dict[str, object]:
    """How a job ended, once the server can tell."""
    wait_for(lambda: status_of(f"{url}/jobs/{job_id}") == 200)
    return finished(url, job_id)


def test_a_server_that_is_killed_leaves_its_blocks_to_the_other_and_none_is_done_twice(
    pair: Pair,
) -> None:
    field = pair.field(pair.servers[0])
    jobs = [field.start(field.whole, one).json()["jobID"] for one in ("wiener-x4", "wiener-x2")]
    wait_for_blocks(field.url, jobs[0], 2)
    killed, left = holder_and_other(pair)
    killed.kill()
    seen = written(pair, field)
    assert seen
    for job in jobs:
        assert finished(left.url, job)["status"] == "successful"
        blocks = [content for kind, content in events_of(left.url, job) if kind == "block"]
        assert [content["done"] for content in blocks] == list(range(1, BLOCKS + 1))
        assert len({tuple(content["bbox"]) for content in blocks}) == BLOCKS
    now = written(pair, field)
    assert {path: now[path] for path in seen} == seen


def holder_and_other(pair: Pair) -> tuple[Served, Served]:
    """The server that has a block in hand, and the other one."""
    pids = {one.process.pid: one for one in pair.servers}

    def holders() -> list[Served]:
        rows = pair.cluster.rows(pair.schema, "SELECT owner FROM blocks WHERE state = 'leased'")
        return [pids[int(owner.partition(":")[0])] for (owner,) in rows]

    wait_for(lambda: bool(holders()))
    holder = holders()[0]
    return holder, next(one for one in pair.servers if one is not holder)


def written(pair: Pair, field: Field) -> dict[Path, int]:
    """Files of blocks that the database calls done, and when each was written."""
    places = {(key.split("/")[2], *key.split("/")[4:]) for key in keys_of(pair, field)}
    files = block_files(pair.root, field.id)
    return {
        path: moment
        for path, moment in files.items()
        if (path.parts[path.parts.index("sr") + 1], *path.parts[-2:]) in places
    }


def test_a_server_that_starts_without_its_database_takes_jobs_when_that_is_back(
    postgres: Cluster, tmp_path: Path
) -> None:
    settings = Settings(data=str(tmp_path), port=0, jobs_db=SecretStr(postgres.url))
    with ExitStack() as stack:
        with postgres.away():
            url = stack.enter_context(serving(settings))
            field = make_field(url, tmp_path)
            assert httpx.get(f"{url}/readyz").status_code == 503
            assert field.start(field.corner).status_code == 503
            assert status_of(url + tile_path(url, 15, cube_id=field.id)) == 200
        wait_for(lambda: status_of(f"{url}/readyz") == 200)
        assert field.compute(field.corner)["status"] == "successful"


Opening = Callable[[str], PostgresDatabase]


@pytest.fixture
def opening(postgres: Cluster) -> Iterator[Opening]:
    """Opens the database of a catalog, as one more server would."""
    with ExitStack() as stack:
        yield lambda catalog: stack.enter_context(
            closing(PostgresDatabase(Address.of(postgres.url, catalog)))
        )


@pytest.fixture
def opened(opening: Opening, tmp_path: Path) -> PostgresDatabase:
    return opening(str(tmp_path))


def test_a_database_that_hangs_is_given_up_in_time_and_only_one_waits_for_it(
    opened: PostgresDatabase, postgres: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("server.jobs.postgres.ANSWER_S", 0.5)
    ledger = Ledger(opened)
    ledger.add(wish("a", [1]), MANY)
    postgres.stand_still()
    try:
        with pytest.raises(Unavailable, match="does not answer"):
            ledger.find("a")
        assert not opened.answers
        time.sleep(1.1)  # so that the next one connects, which takes longer
        waiting = threading.Thread(target=finds, args=(ledger, "a"))
        waiting.start()
        time.sleep(0.2)
        began = time.monotonic()
        with pytest.raises(Unavailable):
            ledger.find("a")
        assert time.monotonic() - began < 0.2
    finally:
        postgres.stand_still(still=False)
    waiting.join()
    wait_for(lambda: finds(ledger, "a"))
    assert opened.answers


def finds(ledger: Ledger, job_id: str) -> bool:
    try:
        return ledger.find(job_id).id == job_id
    except Unavailable:
        return False


def test_who_stands_still_in_the_middle_of_a_change_keeps_nobody_from_his(
    opening: Opening, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("server.jobs.postgres.ANSWER_S", 0.5)
    opened, other = opening(str(tmp_path)), opening(str(tmp_path))
    began, go_on = threading.Event(), threading.Event()
    Ledger(opened).add(wish("a", [1]), MANY)

    def stand_still(_db: Transaction) -> None:
        began.set()
        go_on.wait(60)

    def dawdle() -> None:
        with pytest.raises(Unavailable, match="does not answer"):
            opened.write(stand_still)

    with ThreadPoolExecutor(1) as pool:
        dawdling = pool.submit(dawdle)
        began.wait(60)
        wait_for(lambda: adds(Ledger(other), "b"))
        assert not dawdling.done()
        go_on.set()
        dawdling.result()
    wait_for(lambda: finds(Ledger(opened), "b"))


def adds(ledger: Ledger, job_id: str) -> bool:
    try:
        return ledger.add(wish(job_id, [2]), MANY).id == job_id
    except Unavailable:
        return False


@given(acts=ACTS)
@hypothesis_settings(max_examples=8)
def test_whatever_happens_every_block_wanted_is_in_postgresql_or_on_its_way(
    postgres: Cluster, acts: list[tuple[str, int, set[int]]]
) -> None:
    address = Address.of(postgres.url, uuid.uuid4().hex)
    Story(lambda: PostgresDatabase(address)).tell(acts)


def test_what_a_task_came_to_is_written_down_when_the_database_is_back(
    opened: PostgresDatabase, postgres: Cluster, tmp_path: Path
) -> None:
    tasks, ledger = TaskQueue(opened), Ledger(opened)
    runner = TaskRunner(tasks, Settings(data=str(tmp_path)))
    job = tasks.add(NewTask("me", "evaluate", {}, {"task": "none that there is"}), MANY)
    runner.start()
    try:
        pid = process_of_a_task()
        with postgres.away():
            wait_for(lambda: _has_ended(pid))
            time.sleep(0.5)  # so that it is tried in vain
        wait_for(lambda: finds(ledger, job.id) and ledger.find(job.id).state == "failed")
    finally:
        runner.stop()
    assert "logged" in ledger.find(job.id).message
    attempts = opened.read(lambda db: db.execute("SELECT attempts FROM tasks").fetchone())
    assert attempts[0] == 1


def _has_ended(pid: int) -> bool:
    """Whether a process of ours is over; it is a zombie until it is waited for."""
    stat = Path(f"/proc/{pid}/stat")
    return not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] == "Z"


def test_catalogs_in_one_database_see_nothing_of_each_other(
    opening: Opening, opened: PostgresDatabase
) -> None:
    other = opening("s3://bucket/another")
    Ledger(opened).add(wish("a", [1]), MANY)
    with pytest.raises(NotFound):
        Ledger(other).find("a")
    assert BlockQueue(other).take() is None
    assert BlockQueue(opened).take() is not None


def test_text_that_postgresql_cannot_hold_is_held_all_the_same(opened: PostgresDatabase) -> None:
    ledger, queue = Ledger(opened), BlockQueue(opened)
    ledger.add(wish("a", [1]), MANY)
    taken = queue.take()
    assert taken is not None
    queue.fail(taken[0].id, "100 % \0 of it?")
    assert ledger.find("a").message == "100 % \ufffd of it?"
    with pytest.raises(NotFound):
        ledger.find("a\0")


def test_a_wrong_password_is_told_without_it(postgres: Cluster) -> None:
    wrong = "wr%40ng"
    url = postgres.url.replace(quote(PASSWORD, safe=""), wrong)
    database = PostgresDatabase(Address.of(url, "catalog"))
    with pytest.raises(Unavailable, match="password authentication failed") as caught:
        Ledger(database).active()
    assert wrong not in str(caught.value)
    assert "wr@ng" not in str(caught.value)
    assert caught.value.__suppress_context__
    assert wrong not in repr(database._address)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://me:secr@et@host/jobs",
        "postgresql://me:secr/et@host/jobs",
        "postgresql://me:secr%et@host/jobs",
        "postgres://me:secret@host:port:1/jobs?secret",
    ],
)
def test_a_url_that_cannot_be_used_is_refused_at_the_start_without_a_word_of_it(
    url: str, tmp_path: Path
) -> None:
    with pytest.raises(InvalidInput, match=r"SRCUBE_JOBS_DB.*%40") as caught:
        create_app(Settings(data=str(tmp_path), jobs_db=SecretStr(url)))
    assert "secr" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_without_the_driver_it_is_said_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    monkeypatch.delitem(sys.modules, "server.jobs.postgres")
    url = SecretStr("postgresql://host/jobs")
    with pytest.raises(InvalidInput, match=r"pip install 'srcube\[postgres\]'"):
        create_app(Settings(data=str(tmp_path), jobs_db=url))


@contextmanager
def watching(watchers: Watchers, job_id: str) -> Iterator[None]:
    """Somebody follows a job at one of the servers."""
    loop = asyncio.new_event_loop()
    watch = watchers.watching(job_id)

    async def enter() -> None:
        watch.__enter__()

    loop.run_until_complete(enter())
    yield
    watch.__exit__(None, None, None)
    loop.close()


def test_a_job_whose_watcher_went_to_another_server_is_dropped_when_he_leaves_that_too(
    jobs_in: Settings, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    first, second = (open_database(address_of(jobs_in)) for _ in range(2))
    request.addfinalizer(first.close)
    request.addfinalizer(second.close)
    clocks = [Clock(one, monkeypatch) for one in (first, second)]
    ledger = Ledger(first)
    ledger.add(wish("a", [1]), MANY)
    here, there = Watchers(), Watchers()
    ours, theirs = Attendance(first, here, 0.3), Attendance(second, there, 0.3)
    with watching(here, "a"):
        ours.look()
    with watching(there, "a"):
        theirs.look()
        time.sleep(0.4)
        ours.look()
        assert ledger.find("a").state == "accepted"
        set_back(clocks, 3600)
        ours.look()
        assert ledger.find("a").state == "accepted"
    set_back(clocks, -3600)  # long ago
    theirs.look()
    assert ledger.find("a").state == "accepted"  # he may come back
    time.sleep(0.4)
    theirs.look()
    assert ledger.find("a").state == "dismissed"
    assert "nobody watches" in ledger.find("a").message
    ours.look()


def set_back(clocks: list[Clock], seconds: float) -> None:
    for clock in clocks:
        clock.now -= seconds
