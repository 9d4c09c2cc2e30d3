"""One limited process that decodes, seen from this side: start it, ask it, end it.

It runs `decoder.py`. Whatever it says is taken as a text from a stranger: bounded in size and in
time, and nothing in it is executed.
"""

import json
import mmap
import os
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Pipe
from pathlib import Path
from typing import Any, Protocol

from datacube.errors import SrcubeError, Unavailable

Document = dict[str, Any]

SHARED_BYTES = 64 * 1024 * 1024
MAX_ANSWER_BYTES = 4 * 1024 * 1024
MAX_WANTS = 20_000  # pieces of a file for one answer; 32 MB in strips of a row are 1500
START_S = 60.0  # a third of a second, unless the machine is very busy
STOPPING_S = 1.0  # between the end of its messages and its own
PASSED_ON = {  # of our environment; whatever else is in it, keys above all, is none of its business
    "PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "LD_LIBRARY_PATH", "PYTHONPATH", "PYTHONHOME",
    "VIRTUAL_ENV", "GDAL_DATA", "PROJ_DATA", "PROJ_LIB",
}  # fmt: skip
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}  # each would reserve memory
ADDED, REFUSED = b"+", b"-"


@dataclass(frozen=True)
class Limits:
    """What a child may take: memory beyond its start, and seconds of its own for one answer.

    A JPEG 2000 file that is one block of 10980 x 10980 takes 1.5 GB; 32 MB of pixels a second.
    After `idle_s` without an open file it leaves: to start again costs a third of a second.
    """

    memory_bytes: int = 2 * 1024**3
    answer_s: float = 60.0
    idle_s: float = 60.0


class Bytes(Protocol):
    """A file that only this process can read, such as one behind a checked connection."""

    size: int

    def read_at(self, start: int, length: int) -> bytes:
        """Bytes of a range that lies inside; raises a SrcubeError."""


class ChildDied(Exception):  # never leaves `datacube.sources`
    """The child ended, or was ended, before it answered; the text says how.

    `blames` is false if that was no file's doing, `is_final` true if asking again would end alike.
    """

    def __init__(self, how: str, *, blames: bool = True, is_final: bool = False) -> None:
        super().__init__(how)
        self.blames = blames
        self.is_final = is_final


class Child:
    """A running child. Not for two threads at once: the caller sees to that."""

    def __init__(self, limits: Limits) -> None:
        """Raise Unavailable unless it starts and says so."""
        self.limits = limits
        self._connection, theirs = Pipe()
        shared = _shared_file()
        try:
            self.shared = mmap.mmap(shared, SHARED_BYTES)
            words = (theirs.fileno(), shared, SHARED_BYTES, limits.memory_bytes, limits.idle_s)
            self._process = _started(words, (theirs.fileno(), shared))
        finally:
            os.close(shared)
            theirs.close()
        try:
            self._heard(START_S)
        except (EOFError, OSError, ValueError) as error:
            self.end()
            raise Unavailable("the process that decodes files does not start; retry") from error

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether it is there; one that was idle for long has left."""
        return self._process.poll() is None

    def ask(self, request: Document, source: Bytes | None = None) -> Document:
        """The answer to a request; what it wants of the file is given from `source`.

        Only the child's own time counts. Raises ChildDied, after which it is gone, or what
        the source raised.
        """
        given = _Given(source)
        left_s = self.limits.answer_s
        try:
            self._connection.send_bytes(json.dumps(request).encode())
            for _ in range(MAX_WANTS):
                answer, left_s = self._heard(left_s)
                if "want" not in answer:
                    given.check()
                    return answer
                self._connection.send_bytes(given.bytes(answer["want"]))
        except TimeoutError:
            self.end()
            late = f"was not decoded within {self.limits.answer_s:g} s"
            raise ChildDied(late, is_final=True) from None
        except (EOFError, OSError, ValueError, TypeError) as error:
            raise self._last_words() from error
        except KeyboardInterrupt:
            self.end()  # it would answer this to whoever asks next
            raise
        self.end()
        raise ChildDied(f"is read in more than {MAX_WANTS} pieces", is_final=True)

    def end(self, wait_s: float = 0.0) -> None:
        """Kill it, after `wait_s` in which it may end by itself."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(wait_s)
        self._process.kill()
        self._process.wait()
        self._connection.close()

    def _heard(self, left_s: float) -> tuple[Document, float]:
        """The next message, and the seconds that are left for others."""
        begun = time.monotonic()
        if not self._connection.poll(max(left_s, 0.0)):
            raise TimeoutError
        document = json.loads(self._connection.recv_bytes(MAX_ANSWER_BYTES))
        if not isinstance(document, dict):
            raise TypeError("need an object")
        return document, left_s - (time.monotonic() - begun)

    def _last_words(self) -> ChildDied:
        self.end(STOPPING_S)
        status = self._process.returncode
        how = signal.Signals(-status).name if status < 0 else f"status {status}"
        text = f"ended the process that decoded it ({how}): damaged, or made to do so"
        return ChildDied(text, blames=status != 0)  # 0: it had been idle for long, and left


class _Given:
    """Answers what the child wants of a file; after a failure of the file's source, nothing."""

    def __init__(self, source: Bytes | None) -> None:
        self._source = source
        self._failure: SrcubeError | None = None

    def bytes(self, want: Any) -> bytes:
        start, length = (int(value) for value in want)
        if self._source is None or self._failure is not None:
            return REFUSED
        try:
            return ADDED + self._source.read_at(start, length)
        except SrcubeError as error:
            self._failure = error
            return REFUSED

    def check(self) -> None:
        """Raise what happened to the source, whatever the decoder made of the bytes it got."""
        if self._failure is not None:
            raise self._failure


def _started(words: tuple[float, ...], descriptors: tuple[int, ...]) -> subprocess.Popen[bytes]:
    script = Path(__file__).with_name("decoder.py")
    environment = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    try:
        return subprocess.Popen(  # noqa: S603 (our own script)
            [sys.executable, "-P", str(script), *map(str, words)],
            pass_fds=descriptors,
            env=environment | ONE_THREAD,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
    except OSError as error:
        raise Unavailable(
            f"cannot start the process that decodes files: {error.strerror}; retry"
        ) from error


def _shared_file() -> int:
    """Descriptor of an unnamed file of `SHARED_BYTES`, in memory where the system can."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("srcube-pixels")
    else:
        with tempfile.TemporaryFile() as file:
            descriptor = os.dup(file.fileno())
    os.ftruncate(descriptor, SHARED_BYTES)
    return descriptor
