"""Decoding apart: files are opened and read by limited processes that may die in our stead.

A file from elsewhere can crash a decoder, or make it take all memory. So GDAL reads in a child,
kept warm between files, and what happens to it becomes an error that names the file. A death is
held against a file only if that child opened no other; else a fresh one gets the file once more.
"""

import atexit
import itertools
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache

from datacube.sources.child import Bytes, Child, ChildDied, Document, Limits
from datacube.sources.refusals import AssetTooLarge, AssetUnreadable

LEAST_CHILDREN, MOST_CHILDREN = 4, 8  # as many threads read; those of a download mostly wait
NOT_OPENED = (
    "is no readable GeoTIFF or JPEG 2000 file; other formats are not opened, whatever their name"
)
NOT_READ = "cannot be decoded: it is truncated or damaged"


@dataclass(eq=False)
class Asked:
    """One file in the hands of a decoder: `name` for messages, `how` it is opened.

    `child` is the one that has it open, None where none has.
    """

    name: str
    how: Document
    source: Bytes | None = None
    number: int = field(default_factory=itertools.count(1).__next__)
    child: Child | None = None


class Decoder:
    """A child, started when it is first needed; safe to use from several threads, in turn."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        self._lock = threading.Lock()
        self._child: Child | None = None
        self._served: set[int] = set()  # numbers of the files that the child opened

    @property
    def pid(self) -> int | None:
        """The child's process id, None where there is no child now."""
        child = self._child
        return child.pid if child and child.is_running else None

    @contextmanager
    def asking(
        self, file: Asked, request: Document | None = None
    ) -> Iterator[tuple[Document, memoryview]]:
        """The answer to a request about a file (None: open it), and the shared memory.

        A file that this child has not open is opened first. The memory is the caller's until
        the context ends. Raises AssetUnreadable, AssetTooLarge, or what the file's source did.
        """
        with self._lock:
            try:
                answer = self._answer(file, request)
            except ChildDied as died:
                if died.is_final or (died.blames and self._served == {file.number}):
                    self._forget()
                    raise AssetUnreadable(f"{file.name} {died}") from died
                answer = self._second_answer(file, request)
            with memoryview(self._running().shared) as shared:
                yield answer, shared

    def release(self, file: Asked) -> None:
        """Close a file, if the child that opened it is still there."""
        with self._lock:
            if self._child is not None and file.child is self._child:
                try:
                    self._child.ask({"do": "close", "file": file.number})
                except ChildDied:
                    self._forget()
            file.child = None

    def close(self) -> None:
        """End the child; a later request starts another."""
        with self._lock:
            self._forget()

    def _second_answer(self, file: Asked, request: Document | None) -> Document:
        self._forget()
        try:
            return self._answer(file, request)
        except ChildDied as died:
            self._forget()
            raise AssetUnreadable(f"{file.name} {died}") from died

    def _answer(self, file: Asked, request: Document | None) -> Document:
        child = self._running()
        self._served.add(file.number)
        answer: Document = {}
        if file.child is not child or request is None:
            opening = {"do": "open", "file": file.number, **file.how}
            answer = self._checked(file, child.ask(opening, file.source))
            file.child = child
        if request is not None:
            answer = self._checked(file, child.ask({"file": file.number, **request}, file.source))
        return answer

    def _checked(self, file: Asked, answer: Document) -> Document:
        """The answer unless it is a failure; want of memory may be due to other files, at first."""
        if "error" not in answer:
            return answer
        if answer["error"] != "memory":
            raise AssetUnreadable(f"{file.name} {NOT_READ if file.child else NOT_OPENED}")
        if self._served != {file.number}:
            raise ChildDied("took all the memory", blames=False)
        megabytes = self.limits.memory_bytes // 1024**2
        raise AssetTooLarge(f"{file.name} takes more than {megabytes} MB to decode")

    def _running(self) -> Child:
        if self._child is None:
            self._child, self._served = Child(self.limits), set()
        return self._child

    def _forget(self) -> None:
        if self._child is not None:
            self._child.end()
        self._child = None


class Decoders:
    """Decoders for the threads of one process, each thread asking one of them."""

    def __init__(self, count: int, limits: Limits | None = None) -> None:
        self._decoders = [Decoder(limits) for _ in range(count)]
        self._turns = itertools.count()
        self._mine = threading.local()

    def mine(self) -> Decoder:
        """The one that this thread asks."""
        if not hasattr(self._mine, "place"):
            self._mine.place = next(self._turns) % len(self._decoders)
        place: int = self._mine.place
        return self._decoders[place]

    def pids(self) -> list[int]:
        """Process ids of the children that there are now."""
        return [pid for one in self._decoders if (pid := one.pid) is not None]

    def close(self) -> None:
        """End all children."""
        for one in self._decoders:
            one.close()


def shared_decoders() -> Decoders:
    """The decoders of this process; a forked process has its own."""
    return _decoders_of(os.getpid())


@lru_cache(maxsize=1)
def _decoders_of(_pid: int) -> Decoders:
    decoders = Decoders(min(max(os.cpu_count() or 1, LEAST_CHILDREN), MOST_CHILDREN))
    atexit.register(decoders.close)
    return decoders
