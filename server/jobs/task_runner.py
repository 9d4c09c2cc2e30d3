"""Carries tasks out, one after the other, each in a process of its own; and what routes speak to.

The thread here passes on what the process says. Whatever becomes of that process (it ends, is
cancelled, takes too long, dies), the task's job ends with a reason or is taken up again.
"""

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import IO

from datacube.errors import NotFound, SrcubeError, Unavailable
from datacube.settings import Settings
from server.admission import RenderLimits, RenderQueue
from server.errors import log
from server.jobs.address import address_of, open_database
from server.jobs.ledger import Limits
from server.jobs.records import Document, Job
from server.jobs.task_jobs import NewTask, TaskLease, TaskQueue

IDLE_S = 1.0  # between looks at the database: another server may have written there
SEARCHES = RenderLimits(at_once=2, waiting=8, deadline_s=30)  # in catalogs elsewhere
LOOK_S = 0.25  # between looks at a process that says nothing
TELL_S = 0.5  # between two events of progress
GRACE_S = 1.0  # between SIGTERM and SIGKILL

Line = Document | None  # None: the process has closed its output


class TaskService:
    """Takes tasks, sees that they are carried out, and hands out what came of them."""

    def __init__(self, settings: Settings) -> None:
        """Raises InvalidInput for a URL of a database that cannot be used."""
        self._settings = settings
        self._address = address_of(settings)
        self._limits = Limits(settings.limit_jobs, settings.limit_client_jobs)
        self._queue: TaskQueue | None = None
        self.searches = RenderQueue(SEARCHES)

    def start(self) -> None:
        """Open the jobs' database and go on with the tasks in it; without one, none are taken."""
        try:
            self._database = open_database(self._address)
            self._queue = TaskQueue(self._database)
        except SrcubeError:
            log.exception("no tasks can be taken")
            return
        self._runner = TaskRunner(self._queue, self._settings)
        self._runner.start()

    def stop(self) -> None:
        """End what is in hand; it is taken up again when a server starts."""
        if self._queue is not None:
            self._runner.stop()
            self._database.close()
            self._queue = None
        self.searches.close()

    def submit(self, new: NewTask) -> Job:
        """Queue a task, or find the job of the same wish; raises TooMany, Unavailable."""
        job = self._ready().add(new, self._limits)
        self._runner.look()
        return job

    def result(self, job: Job) -> Document:
        """What came of a successful job; raises NotFound."""
        found = self._ready().result(job.id)
        if found is None:
            raise NotFound("this job has no results")
        return found

    def _ready(self) -> TaskQueue:
        if self._queue is None:
            raise Unavailable("the jobs' database is not open")
        return self._queue


class TaskRunner:
    """The thread that carries tasks out."""

    def __init__(self, tasks: TaskQueue, settings: Settings) -> None:
        self._tasks = tasks
        self._settings = settings
        self._stopping = threading.Event()
        self._news = threading.Event()
        self._thread = threading.Thread(target=self._run, name="srcube-tasks", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def look(self) -> None:
        """There is something new."""
        self._news.set()

    def stop(self) -> None:
        """End the process in hand and the thread."""
        self._stopping.set()
        self._news.set()
        self._thread.join()

    def _run(self) -> None:
        recovered = troubled = False
        while not self._stopping.is_set():
            try:
                if not recovered:  # what a dead server had in hand is taken up again
                    self._tasks.recover()
                    recovered = True
                lease = self._tasks.take()
                troubled = False
                if lease is not None:
                    self._carry_out(lease)
                    continue
            except SrcubeError:
                if not troubled:
                    log.exception("the jobs' database could not be used; trying again and again")
                troubled = True
            self._news.wait(IDLE_S)
            self._news.clear()

    def _carry_out(self, lease: TaskLease) -> None:
        process = subprocess.Popen(
            [sys.executable, "-m", "server.jobs.task_process"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8",
            start_new_session=True,  # so that what it starts ends with it
        )  # fmt: skip
        assert process.stdin is not None  # noqa: S101 (asked for just above)
        assert process.stdout is not None  # noqa: S101
        order = {
            **lease.spec,
            "memory_mb": self._settings.worker_memory_mb,
            "niceness": self._settings.worker_niceness,
        }
        lines: queue.Queue[Line] = queue.Queue()
        reader = threading.Thread(target=_read, args=(process.stdout, lines), daemon=True)
        reader.start()
        try:
            with suppress(BrokenPipeError):
                process.stdin.write(json.dumps(order))
                process.stdin.close()
            self._follow(lease, lines)
        finally:
            _end(process)
            reader.join()

    def _follow(self, lease: TaskLease, lines: "queue.Queue[Line]") -> None:
        """Pass on what the process says until it has said its last, or has to end."""
        begun = renewed = time.monotonic()
        told = 0.0
        while True:
            line: Line = {}
            with suppress(queue.Empty):
                line = lines.get(timeout=LOOK_S)
            now = time.monotonic()
            if line is None:
                self._write(lambda: self._tasks.give_back(lease, counted=True))
                return
            if self._has_ended(lease, line, now - begun):
                return
            if line and now - told > TELL_S:
                with suppress(Unavailable):  # the next line will say it
                    self._tasks.progress(lease, line["percent"], line["message"])
                told = now
            if now - renewed > LOOK_S:
                if not self._is_ours(lease):
                    return  # cancelled
                renewed = now

    def _has_ended(self, lease: TaskLease, line: Document, seconds: float) -> bool:
        """Whether this was the last of a task, which is written down then."""
        limit_s = self._settings.limit_task_s
        if "result" in line:
            self._write(lambda: self._tasks.finish(lease, line["result"]))
        elif "failed" in line:
            self._write(lambda: self._tasks.fail(lease, line["failed"]))
        elif self._stopping.is_set():
            self._write(lambda: self._tasks.give_back(lease, counted=False))
        elif seconds > limit_s:
            self._write(lambda: self._tasks.fail(lease, f"not done within {limit_s:g} s"))
        else:
            return False
        return True

    def _is_ours(self, lease: TaskLease) -> bool:
        """Prolong a lease; a database that does not answer says nothing against it."""
        try:
            return self._tasks.renew(lease)
        except Unavailable:
            return True

    def _write(self, what: Callable[[], None]) -> None:
        """Write down how a task ended, as soon as the database answers.

        A server that stops before leaves it: then the task is taken up again.
        """
        while True:
            try:
                what()
            except Unavailable:
                if self._stopping.wait(IDLE_S):
                    return
            else:
                return


def _read(stream: IO[str], lines: "queue.Queue[Line]") -> None:
    with suppress(ValueError):  # a line cut off by the end of the process
        for text in stream:
            lines.put(json.loads(text))
    lines.put(None)


def _end(process: "subprocess.Popen[str]") -> None:
    """End a process and all that it started."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, number)
        with suppress(subprocess.TimeoutExpired):
            process.wait(GRACE_S)
    process.wait()
    if process.stdout is not None:
        process.stdout.close()
