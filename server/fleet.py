"""Several processes behind one address: `srcube serve --workers N`.

One process has the page and the jobs, whose state is in memory (sessions, watchers, workers); N
others draw tiles and keep nothing. They all accept connections from one socket that the parent
has bound: the kernel gives each to whoever is free, a tile goes no longer way than in a single
process, and what waits in the queue when a process dies is taken by another (of a socket of its
own, as SO_REUSEPORT makes them, the queue would be lost). One connection carries tiles and pages
alike, so that the kernel cannot part them by path: what is for the page or the jobs, the tile
process passes on (`server.middleware.forward`). A parent that passed on everything would be one
process that every tile waits for.

Limits of rates and of requests at once hold for each process.
"""

import ctypes
import multiprocessing
import os
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Protocol

import uvicorn
from fastapi import FastAPI

from datacube.errors import SrcubeError, Unavailable
from datacube.settings import Settings
from server.errors import log
from server.gdal import pin_gdal, refuse_open_drivers
from server.metrics import FOLDER, forget_process
from server.observability import log_to_stderr
from server.protocol import uvicorn_limits

MISUSED = 78  # exit status of a process that would refuse to start the next time, too
STARTS_PER_MINUTE = 5
STOPS_IN_S = 40.0  # blocks in hand are finished, connections drained
DIES_WITH_PARENT = 1  # PR_SET_PDEATHSIG


class MakeApp(Protocol):
    """Makes the application; `home` is the socket of the process with page and jobs, if not it."""

    def __call__(self, settings: Settings, home: Path | None = None) -> FastAPI:
        """Make it."""


@dataclass(eq=False)
class _Member:
    """One of the processes, and when it was started (monotonic seconds)."""

    name: str
    make: Callable[[], BaseProcess]
    process: BaseProcess | None = None
    starts: list[float] = field(default_factory=list)

    def start(self) -> None:
        """Start it; raises Unavailable where it has died too often."""
        now = time.monotonic()
        self.starts = [one for one in self.starts if now - one < 60]
        if len(self.starts) >= STARTS_PER_MINUTE:
            raise Unavailable(f"{self.name} died {STARTS_PER_MINUTE} times within a minute")
        self.starts.append(now)
        self.process = self.make()
        self.process.start()


def run_fleet(make_app: MakeApp, settings: Settings, listener: socket.socket, tiles: int) -> None:
    """Serve until told to stop; a process that dies is started anew."""
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory(prefix="srcube-") as folder, _told_to_stop() as told:
        home = Path(folder) / "home"
        os.environ[FOLDER] = folder
        small = _share(settings, tiles)

        def home_process() -> BaseProcess:
            return context.Process(target=_serve_home, args=(make_app, settings, home))

        def tile_process() -> BaseProcess:
            return context.Process(target=_serve_tiles, args=(make_app, small, home, listener))

        members = [_Member("page and jobs", home_process)]
        members += [_Member(f"tiles {number + 1}", tile_process) for number in range(tiles)]
        try:
            _keep(members, told)
        finally:
            _stop(members)
            del os.environ[FOLDER]


def _keep(members: list[_Member], told: int) -> None:
    """Start all, and again whoever dies, until there is something to read from `told`."""
    for member in members:
        member.start()
    while True:
        alive = {one.process.sentinel: one for one in members if one.process}
        ready = wait([told, *alive])
        if told in ready:
            return
        for member in (alive[one] for one in ready if isinstance(one, int)):
            status = member.process.exitcode if member.process else None
            if status == MISUSED:
                raise Unavailable("a process could not be started; it has said why")
            log.error("%s ended with %s; started anew", member.name, status)
            if member.process and member.process.pid:
                forget_process(member.process.pid)
            member.start()


def _stop(members: list[_Member]) -> None:
    """Let all finish what they have in hand, then end them."""
    running = [one.process for one in members if one.process]
    for process in running:
        process.terminate()
    deadline = time.monotonic() + STOPS_IN_S
    for process in running:
        process.join(max(deadline - time.monotonic(), 0.1))
        if process.is_alive():
            process.kill()
            process.join()


@contextmanager
def _told_to_stop() -> Iterator[int]:
    """A descriptor from which there is something to read once a signal has come."""
    reading, writing = os.pipe()

    def tell(_number: int, _frame: object) -> None:
        os.write(writing, b"!")

    before = {one: signal.signal(one, tell) for one in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield reading
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        os.close(reading)
        os.close(writing)


def _share(settings: Settings, tiles: int) -> Settings:
    """Settings of one of several tile processes: together they take what one would."""
    return settings.model_copy(
        update={
            "cache_mb": max(settings.cache_mb // tiles, 16),
            "limit_renders": max(-(-settings.limit_renders // tiles), 1),
        }
    )


def _serve_home(make_app: MakeApp, settings: Settings, home: Path) -> None:
    # Whoever connects here is a tile process: what it says of the client is true.
    with _member(settings):
        config = uvicorn.Config(
            make_app(settings), uds=str(home), forwarded_allow_ips="*", **uvicorn_limits()
        )
        uvicorn.Server(config).run()


def _serve_tiles(
    make_app: MakeApp, settings: Settings, home: Path, listener: socket.socket
) -> None:
    with _member(settings):
        config = uvicorn.Config(make_app(settings, home), **uvicorn_limits())
        uvicorn.Server(config).run(sockets=[listener])


@contextmanager
def _member(settings: Settings) -> Iterator[None]:
    """What holds in each process: it logs, dies with the parent, and says why it cannot start."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl+C is for the parent to answer
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(DIES_WITH_PARENT, signal.SIGKILL)
    log_to_stderr(settings.log_level)
    try:
        pin_gdal()
        refuse_open_drivers()
        yield
    except SrcubeError as error:
        sys.stderr.write(f"srcube: {error}\n")
        sys.exit(MISUSED)
