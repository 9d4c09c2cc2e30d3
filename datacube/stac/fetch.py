"""The one HTTP client for addresses that come from a catalog.

It connects only to an address that it has itself resolved and judged (so a name cannot answer
differently the second time), follows redirects by hand with the same judgement at every hop,
keeps to a size limit whatever the headers say, and ends in a typed error. It sends no cookies,
no credentials, uses no proxy from the environment and accepts no compressed body, in which a
small file could be a large one.
"""

import json
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self, TypeVar
from urllib.parse import urljoin

import httpcore

from datacube.sources.refusals import AssetTooLarge, AssetUnreadable
from datacube.stac.connection import CheckedBackend, Resolver, addresses_of
from datacube.stac.errors import Absent, HrefForbidden, Unreachable
from datacube.stac.hrefs import PORTS, Policy, Target, shown

BEYOND_THE_END = 416
REDIRECTS = {301, 302, 303, 307, 308}
ABSENT = {204, 404, 410}
TRANSIENT = {408, 425, 429, 500, 502, 503, 504}
IDENTITY = {"User-Agent": "srcube", "Accept-Encoding": "identity"}
CONTENT_RANGE = re.compile(r"bytes ([0-9]+)-([0-9]+)/([0-9]+)")
FAULTS = (httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError)

Headers = Mapping[str, str]
T = TypeVar("T")


@dataclass(frozen=True)
class Limits:
    """How long and how much.

    A server may be silent for `idle_s`; from `patience_s` on it must have sent
    `min_bytes_per_s` on average, so that one that drips ends too. Three attempts of ten
    silent seconds make the half minute after which a request has failed.
    """

    idle_s: float = 10.0
    connect_s: float = 10.0
    patience_s: float = 30.0
    min_bytes_per_s: float = 10_000.0
    attempts: int = 3
    first_pause_s: float = 0.25
    redirects: int = 3
    max_bytes: int = 64 * 1024 * 1024


@dataclass(frozen=True)
class Reply:
    """A whole answer: its bytes, its headers with lower-case names, and where it came from."""

    data: bytes
    headers: Headers
    href: str


@dataclass
class Traffic:
    """What was sent for and received, for the summary at the end."""

    requests: int = 0
    received_bytes: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def count(self, *, requests: int = 0, received_bytes: int = 0) -> None:
        """Add to the totals, from any thread."""
        with self.lock:
            self.requests += requests
            self.received_bytes += received_bytes


class Fetcher:
    """Fetches what `policy` allows; safe to use from several threads.

    A pickled one, in another process, makes connections of its own.
    """

    def __init__(
        self, policy: Policy, limits: Limits | None = None, resolve: Resolver | None = None
    ) -> None:
        self.policy = policy
        self.limits = limits or Limits()
        self.traffic = Traffic()
        self._resolve = resolve or addresses_of
        backend = CheckedBackend(policy, self._resolve)
        self._pool = httpcore.ConnectionPool(max_connections=16, network_backend=backend)

    def __reduce__(self) -> tuple[Any, ...]:
        return Fetcher, (self.policy, self.limits, self._resolve)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def close(self) -> None:
        """Close every connection."""
        self._pool.close()

    def get(
        self, href: str, headers: Headers | None = None, *, max_bytes: int | None = None
    ) -> Reply:
        """The whole body of `href`; raises HrefForbidden, AssetTooLarge or Unreachable."""
        return self._whole("GET", href, headers or {}, None, max_bytes)

    def post_json(self, href: str, document: Any) -> Reply:
        """The answer to a JSON document."""
        headers = {"Content-Type": "application/json"}
        return self._whole("POST", href, headers, json.dumps(document).encode(), None)

    def read_range(self, href: str, start: int, length: int) -> Reply:
        """At most `length` bytes from `start`; fewer at the end of the file only.

        Raises Unreachable where the server does not serve ranges: taking the whole file
        instead would break the promise to fetch only what is needed.
        """
        headers = {"Range": f"bytes={start}-{start + length - 1}"}
        reply = self._whole("GET", href, headers, None, length)
        found = CONTENT_RANGE.fullmatch(reply.headers.get("content-range", ""))
        if not found or int(found[1]) != start or len(reply.data) != int(found[2]) - start + 1:
            raise Unreachable(f"{shown(href)}: the server does not serve byte ranges")
        return reply

    def save(self, href: str, path: Path, *, max_bytes: int) -> None:
        """Stage a whole file at `path`, for formats that cannot be read by ranges."""
        partial = path.with_name(path.name + ".partial")

        def receive() -> None:
            with partial.open("wb") as file, self._answer("GET", href, {}, None) as answer:
                for part in self._limited(answer, href, max_bytes):
                    file.write(part)

        try:
            self._retried(receive, href)
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)

    def _whole(
        self, method: str, href: str, headers: Headers, body: bytes | None, max_bytes: int | None
    ) -> Reply:
        limit = self.limits.max_bytes if max_bytes is None else max_bytes

        def receive() -> Reply:
            with self._answer(method, href, headers, body) as answer:
                data = b"".join(self._limited(answer, href, limit))
                return Reply(data, _headers(answer), href)

        return self._retried(receive, href)

    def _retried(self, receive: Callable[[], T], href: str) -> T:
        pause_s = self.limits.first_pause_s
        for attempt in range(1, self.limits.attempts + 1):
            try:
                return receive()
            except (_TryAgain, *FAULTS) as error:
                if attempt == self.limits.attempts:
                    reason = str(error) or type(error).__name__
                    raise Unreachable(
                        f"{shown(href)} did not answer in {attempt} attempts: {reason}"
                    ) from error
                time.sleep(pause_s)
                pause_s *= 2
        raise Unreachable(f"{shown(href)} was not asked: no attempt is allowed")

    @contextmanager
    def _answer(
        self, method: str, href: str, headers: Headers, body: bytes | None
    ) -> Iterator[httpcore.Response]:
        """The answer after redirects, each hop checked anew."""
        place = self.policy.check(href)
        for _ in range(self.limits.redirects + 1):
            with self._pool.stream(
                method,
                _url(place),
                headers=list({**IDENTITY, **headers}.items()),
                content=body,
                extensions={"timeout": self._timeouts()},
            ) as answer:
                self.traffic.count(requests=1)
                if answer.status not in REDIRECTS:
                    _refuse_failure(answer, place)
                    yield answer
                    return
                location = _headers(answer).get("location", "")
                if body is not None and answer.status not in {307, 308}:
                    raise Unreachable(f"{shown(href)}: a search was redirected to a page")
            place = self.policy.check(_joined(place, location))
        raise HrefForbidden(f"{shown(href)}: more than {self.limits.redirects} redirects")

    def _limited(self, answer: httpcore.Response, href: str, max_bytes: int) -> Iterator[bytes]:
        """The parts of a body, up to the limit and not slower than allowed."""
        headers = _headers(answer)
        announced = headers.get("content-length", "")
        if announced.isdigit() and int(announced) > max_bytes:
            raise AssetTooLarge(f"{shown(href)}: {announced} bytes, at most {max_bytes} are taken")
        begun, received = time.monotonic(), 0
        for part in answer.iter_stream():
            received += len(part)
            self.traffic.count(received_bytes=len(part))
            if received > max_bytes:
                raise AssetTooLarge(f"{shown(href)}: more than the {max_bytes} bytes taken at most")
            elapsed = time.monotonic() - begun
            if elapsed > self.limits.patience_s + received / self.limits.min_bytes_per_s:
                raise _TryAgain(f"only {received} bytes in {elapsed:.0f} s")
            yield part
        if announced.isdigit() and received != int(announced):
            raise _TryAgain(f"{received} of {announced} bytes")

    def _timeouts(self) -> dict[str, float]:
        idle_s = self.limits.idle_s
        connect_s = self.limits.connect_s
        return {"connect": connect_s, "read": idle_s, "write": idle_s, "pool": 60.0}


class _TryAgain(Exception):
    """A failure that may pass: never leaves this module."""


def _refuse_failure(answer: httpcore.Response, place: Target) -> None:
    if answer.status in TRANSIENT:
        raise _TryAgain(f"status {answer.status}")
    if answer.status == BEYOND_THE_END:
        raise AssetUnreadable(f"{shown(place.href)} is empty, or shorter than it says")
    if answer.status not in {200, 206}:
        kind = Absent if answer.status in ABSENT else Unreachable
        raise kind(f"{shown(place.href)}: the server answered with status {answer.status}")
    if _headers(answer).get("content-encoding", "identity") != "identity":
        raise Unreachable(f"{shown(place.href)}: the server sent a compressed body unasked")


def _headers(answer: httpcore.Response) -> dict[str, str]:
    return {
        name.decode("latin-1").lower(): value.decode("latin-1") for name, value in answer.headers
    }


def _url(place: Target) -> httpcore.URL:
    """The parts as they were checked, so that nothing parses the text a second time."""
    return httpcore.URL(
        scheme=place.scheme.encode(),
        host=place.host.encode(),
        port=None if place.port == PORTS[place.scheme] else place.port,
        target=place.target.encode(),
    )


def _joined(place: Target, location: str) -> str:
    try:
        return urljoin(place.href, location)
    except ValueError as error:
        raise HrefForbidden(f"redirected to {shown(location)}, which is no address") from error
