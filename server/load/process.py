"""A server in a process of its own, as an operator starts it, for `srcube bench load`."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from datacube.settings import PREFIX

STARTS_IN_S = 120.0
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class ServerProcess:
    """`srcube serve` on a port of this machine."""

    url: str
    process: subprocess.Popen[str]

    def kill(self) -> None:
        """End it as a power cut would."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def memory_bytes(self) -> int:
        """Resident memory of the process and of all that it started."""
        return sum(map(_resident_bytes, _tree(self.process.pid)))


@contextmanager
def serving_process(data: Path, *options: str, **settings: object) -> Iterator[ServerProcess]:
    """Serve a catalog with more options of `serve` and these settings; stop it in the end."""
    process = subprocess.Popen(  # noqa: S603 (ourselves)
        [sys.executable, "-m", "server.main", "serve", "--data", str(data), "--port", "0",
         *options],
        env=_environment(settings), stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        yield ServerProcess(_address(process), process)
    finally:
        process.terminate()
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
        process.communicate()


def _environment(settings: Mapping[str, object]) -> dict[str, str]:
    """This process's own, with these settings and no others of ours."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith(PREFIX)}
    given = {PREFIX + name.upper(): str(value) for name, value in settings.items()}
    return clean | given | {"COLUMNS": "200", "OMP_NUM_THREADS": "1"}


def _address(process: subprocess.Popen[str]) -> str:
    line = process.stdout.readline() if process.stdout else ""
    found = re.search(r"(http://[\d.:]+)/", line)
    if not found:
        raise RuntimeError(f"the server said {line!r} and no address")
    deadline = time.monotonic() + STARTS_IN_S
    while process.poll() is None and time.monotonic() < deadline:
        try:
            if httpx.get(found[1] + "/readyz", timeout=STARTS_IN_S).status_code == 200:
                return found[1]
        except httpx.TransportError:
            pass
        time.sleep(0.05)
    raise RuntimeError(f"the server has ended, or was not ready within {STARTS_IN_S:g} s")


def _tree(pid: int) -> Iterator[int]:
    """A process and its descendants."""
    yield pid
    for listing in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            children = listing.read_text().split()
        except OSError:  # it has just ended
            continue
        for child in children:
            yield from _tree(int(child))


def _resident_bytes(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE_BYTES
    except OSError:
        return 0
