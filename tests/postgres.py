"""A PostgreSQL of the tests' own: a cluster in a temporary folder, on a port of 127.0.0.1.

PostgreSQL refuses to run as root, so that root runs it as another user. It ends with the tests,
also where they are killed.
"""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
import pytest

from tests.tools.debian import postgres

PASSWORD = "p@ss/w%rd:?"  # noqa: S105 (of a cluster that lives for the length of a test)
USER = "srcube"
STARTS_IN_S = 30
# What was committed survives `kill -9` without fsync, too: only a power cut needs it.
QUICK = {"fsync": "off", "shared_buffers": "16MB", "max_connections": "40"}


class Cluster:
    """A server of PostgreSQL, which can be stopped and started again."""

    def __init__(self, programs: Path, folder: Path) -> None:
        self._programs, self._folder = programs, folder
        self._run_as: dict[str, Any] = {"cwd": folder}
        if os.geteuid() == 0:
            names = {one.pw_name for one in pwd.getpwall()}
            name = "postgres" if "postgres" in names else "nobody"
            group = pwd.getpwnam(name).pw_gid
            shutil.chown(folder, name, group)
            self._run_as |= {"user": name, "group": group, "extra_groups": []}
        self.port = _free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """How servers are told of it."""
        return f"postgresql://{USER}:{quote(PASSWORD, safe='')}@127.0.0.1:{self.port}/postgres"

    def make(self) -> None:
        """Make its files."""
        secret = self._folder / "password"
        secret.write_text(PASSWORD)
        secret.chmod(0o644)
        self._call(
            "initdb", "--pgdata", "data", "--username", USER, "--pwfile", "password",
            "--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C", "--no-sync",
        )  # fmt: skip

    def start(self) -> None:
        """Start it, and wait until it answers."""
        settings = QUICK | {
            "port": str(self.port), "listen_addresses": "127.0.0.1", "unix_socket_directories": "",
        }  # fmt: skip
        told = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        ends_with_us = ["setpriv", "--pdeathsig", "QUIT"] if shutil.which("setpriv") else []
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [*ends_with_us, self._programs / "postgres", "-D", "data", *told],
                stdout=log, stderr=log, **self._run_as,
            )  # fmt: skip
        deadline = time.monotonic() + STARTS_IN_S
        while True:
            try:
                psycopg.connect(self.url, connect_timeout=1).close()
            except psycopg.OperationalError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)
            else:
                return

    def stop(self, how: signal.Signals = signal.SIGQUIT) -> None:
        """Stop it, at once unless told otherwise: connections are cut, nothing is written."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(STARTS_IN_S)
            self._process = None

    @contextmanager
    def away(self) -> Iterator[None]:
        """It is not there meanwhile."""
        self.stop()
        try:
            yield
        finally:
            self.start()

    def stand_still(self, *, still: bool = True) -> None:
        """Let none of its processes do anything, as on a machine that hangs; or go on."""
        assert self._process is not None
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children")
        for pid in (self._process.pid, *map(int, children.read_text().split())):
            os.kill(pid, signal.SIGSTOP if still else signal.SIGCONT)

    def rows(self, schema: str, sql: str) -> list[tuple[Any, ...]]:
        """What a statement finds in the tables of a catalog."""
        with psycopg.connect(self.url) as db:
            db.execute(f"SET search_path = {schema}".encode())
            return db.execute(sql.encode()).fetchall()

    def _call(self, program: str, *arguments: str) -> None:
        command = [str(self._programs / program), *arguments]
        done = subprocess.run(
            command, check=False, capture_output=True, text=True, timeout=120, **self._run_as
        )
        assert done.returncode == 0, done.stderr


@contextmanager
def running_cluster() -> Iterator[Cluster]:
    """A cluster; a machine without PostgreSQL fails the test and says what to install."""
    programs = postgres()
    if programs is None:
        pytest.fail("no PostgreSQL on this machine; install it: apt-get install postgresql")
    folder = Path(tempfile.mkdtemp(prefix="srcube-postgres-"))
    try:
        cluster = Cluster(programs, folder)
        cluster.make()
        try:
            cluster.start()
            yield cluster
        finally:
            cluster.stop()
    finally:
        shutil.rmtree(folder)


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
