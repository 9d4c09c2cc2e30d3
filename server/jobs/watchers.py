"""Who follows a job's events: waking them, and noticing that the last one has left."""

import asyncio
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field


@dataclass(eq=False)
class _Watched:
    """Who watches one job, and since when nobody does (monotonic seconds)."""

    watchers: set[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = field(default_factory=set)
    left: float = 0.0


class Watchers:
    """Everyone who follows an event stream of this process."""

    def __init__(self) -> None:
        self._jobs: dict[str, _Watched] = {}
        self._lock = threading.Lock()

    @contextmanager
    def watching(self, job_id: str) -> Iterator[asyncio.Event]:
        """An event that is set whenever something happened to the job."""
        bell = (asyncio.get_running_loop(), asyncio.Event())
        with self._lock:
            self._jobs.setdefault(job_id, _Watched()).watchers.add(bell)
        try:
            yield bell[1]
        finally:
            with self._lock:
                watched = self._jobs[job_id]
                watched.watchers.discard(bell)
                watched.left = time.monotonic()

    def ring(self, job_ids: Iterable[str]) -> None:
        """Wake all who watch these jobs; from any thread."""
        with self._lock:
            bells = [
                bell
                for job_id in job_ids
                if job_id in self._jobs
                for bell in self._jobs[job_id].watchers
            ]
        for loop, event in bells:
            with suppress(RuntimeError):  # the loop may be closing
                loop.call_soon_threadsafe(event.set)

    def watched(self) -> frozenset[str]:
        """Jobs that somebody watches now."""
        with self._lock:
            return frozenset(one for one, watched in self._jobs.items() if watched.watchers)

    def abandoned(self, after_s: float) -> tuple[str, ...]:
        """Jobs that were watched, and that nobody has watched for a while, until forgotten."""
        horizon = time.monotonic() - after_s
        with self._lock:
            return tuple(
                job_id
                for job_id, watched in self._jobs.items()
                if not watched.watchers and watched.left <= horizon
            )

    def forget(self, job_id: str) -> None:
        """A job was dealt with; one that is watched again is not forgotten."""
        with self._lock:
            if not self._jobs[job_id].watchers:
                del self._jobs[job_id]

    def count(self) -> int:
        """Open event streams."""
        with self._lock:
            return sum(len(watched.watchers) for watched in self._jobs.values())
